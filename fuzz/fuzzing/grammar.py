"""Random statements over a world: mostly typed, so that many of them run."""

import random

from .world import literal, quoted

DEPTH_MAX = 4


class Grammar:
    """One random statement, or sequence of statements, at a time. `callable_functions` narrows calls to the names worth it."""

    def __init__(self, world, seed, relations, callable_functions):
        self.world, self.random, self.relations, self.likely = world, random.Random(seed), relations, callable_functions
        self.likely_by_result = {}
        for function in callable_functions:
            self.likely_by_result.setdefault(function["result"], []).append(function)
        self.scope, self.names = [], 0

    def chance(self, p):
        return self.random.random() < p

    def pick(self, *options):
        return self.random.choice(options)

    def name(self, prefix):
        self.names += 1
        return f"{prefix}{self.names}"

    def script(self):
        """Statements to be run one after another in one session."""
        self.scope, self.names = [], 0
        query = self.query(0)
        form = self.random.randrange(20)
        if form == 0:
            return [f"PREPARE p1 AS {query}", "EXECUTE p1", "DEALLOCATE p1"]
        if form == 1:
            kind = self.pick("int", "text", "date", "mood", "checked_text")
            return [f"PREPARE p1({kind}) AS SELECT $1, x.* FROM ({query}) x", f"EXECUTE p1({self.expression('text', 3)})", "DEALLOCATE p1"]
        if form == 2:
            scroll = self.pick("", "SCROLL ", "BINARY ", "INSENSITIVE ")
            return [f"DECLARE c1 {scroll}CURSOR FOR {query}", self.pick("FETCH ALL FROM c1", "FETCH 2 FROM c1", "MOVE 1 IN c1"), "CLOSE c1"]
        if form == 3:
            return [f"EXPLAIN ({self.pick('VERBOSE', 'COSTS OFF', 'FORMAT JSON', 'SETTINGS', 'ANALYZE')}) {query}"]
        if form == 4:
            return [f"COPY ({query}) TO STDOUT"]
        if form == 5:
            return [f"{query}; {self.query(1)}"]
        if form == 6:
            return [f"VALUES ({self.any_expression(1)}, {self.any_expression(1)})"]
        if form == 7:
            return [f"TABLE {self.relation_name(self.random.choice(self.relations))}"]
        if form == 8:
            return [self.pick("SHOW ALL", "SHOW work_mem", "SET application_name = 'x'", "SET LOCAL statement_timeout = 1000", "RESET timezone")]
        return [query]

    def query(self, depth):
        if depth > DEPTH_MAX:
            return f"SELECT {self.any_expression(depth)}"
        outer, self.scope = self.scope, list(self.scope)
        form = self.random.random()
        if form < 0.08:
            text = f"({self.query(depth + 2)}) {self.pick('UNION', 'UNION ALL', 'EXCEPT', 'INTERSECT')} ({self.query(depth + 2)})"
        elif form < 0.18:
            text = self.with_query(depth)
        else:
            text = self.select(depth)
        self.scope = outer
        return text

    def with_query(self, depth):
        name = self.name("w")
        inner = self.pick(self.query(depth + 1), f"DELETE FROM rooms WHERE {self.expression('bool', depth + 2)} RETURNING *") if self.chance(0.15) \
            else self.query(depth + 1)
        made = self.pick("", "MATERIALIZED ", "NOT MATERIALIZED ")
        return f"WITH {name} AS {made}({inner}) SELECT {self.pick('*', 'count(*)', '1', name)} FROM {name}"

    def select(self, depth):
        sources = ", ".join(self.source(depth) for _ in range(self.random.choice([0, 1, 1, 1, 2])))
        items = ", ".join(self.item(depth) for _ in range(self.random.choice([1, 1, 2, 3])))
        text = f"SELECT {'DISTINCT ' if self.chance(0.1) else ''}{items}"
        if sources:
            text += f" FROM {sources}"
        if self.chance(0.5):
            text += f" WHERE {self.expression('bool', depth + 1)}"
        if self.chance(0.12):
            text += f" GROUP BY {self.any_expression(depth + 2)}"
            if self.chance(0.3):
                text += f" HAVING {self.expression('bool', depth + 2)}"
        if self.chance(0.2):
            text += f" ORDER BY {self.pick('1', self.any_expression(depth + 2))}{self.pick('', ' DESC', ' USING <', ' NULLS FIRST')}"
        if self.chance(0.3):
            text += f" LIMIT {self.pick('5', '1', self.expression('int8', depth + 2))}"
        if self.chance(0.02):
            text += self.pick(" FOR UPDATE", " FOR SHARE", " INTO made_by_select")
        return text

    def item(self, depth):
        form = self.random.random()
        if form < 0.1:
            return "*"
        if self.scope and form < 0.2:
            alias = self.random.choice(self.scope)["alias"]
            return self.pick(f"{alias}.*", alias, f"({alias}).*", f"{alias}::text", f"row_to_json({alias})")
        if form < 0.3:
            function = self.random.choice(self.likely or self.world.functions)
            return self.call(function, depth + 1)
        text = self.any_expression(depth + 1)
        return text + (f" AS {self.name('c')}" if self.chance(0.3) else "")

    def source(self, depth):
        alias = self.name("t")
        form = self.random.random()
        if form < 0.6 or depth >= DEPTH_MAX:
            relation = self.random.choice(self.relations)
            self.scope.append({"alias": alias, "columns": relation["columns"], "name": relation["name"]})
            sample = " TABLESAMPLE bernoulli (10)" if relation["kind"] in "rmp" and self.chance(0.03) else ""
            return f"{self.pick('', '', '', 'ONLY ') if relation['kind'] in 'rp' else ''}{self.relation_name(relation)} {alias}{sample}"
        if form < 0.75:
            text = f"({self.query(depth + 1)}) {alias}"
            self.scope.append({"alias": alias, "columns": [], "name": alias})
            return self.pick("", "LATERAL ") + text
        if form < 0.9:
            function = self.random.choice([f for f in self.likely if f["set"]] or self.world.functions)
            text = f"{self.call(function, depth + 1)}{self.pick('', ' WITH ORDINALITY')} {alias}"
            if function["result"] == "record" and self.chance(0.5):
                text += f"(a {self.type_name()}, b {self.type_name()})" if "ORDINALITY" not in text else ""
            self.scope.append({"alias": alias, "columns": [["a", "int4"]], "name": alias})
            return text
        left, right = self.source(depth + 1), self.source(depth + 1)
        join = self.pick("JOIN", "LEFT JOIN", "FULL JOIN", "CROSS JOIN", "NATURAL JOIN")
        return f"{left} {join} {right}" + ("" if join.startswith(("CROSS", "NATURAL")) else f" ON {self.expression('bool', depth + 2)}")

    def relation_name(self, relation):
        if relation["schema"] == "information_schema" or self.chance(0.2):
            return f"{relation['schema']}.{relation['name']}"
        return relation["name"]

    def type_name(self):
        return quoted(self.random.choice(self.world.types)) + ("[]" if self.chance(0.1) else "")

    def any_expression(self, depth):
        wanted = self.pick("int4", "text", "bool", "numeric", "date", "timestamptz", "jsonb", "_int4", "_text", "mood", "weight", "pair", "checked_text", "int8",
                           "point", "regclass", "oid", "name", "record")
        return self.expression(wanted, depth)

    def expression(self, wanted, depth):
        if self.chance(0.08):
            wanted = self.random.choice(self.world.types)
        if depth > DEPTH_MAX or self.chance(0.15):
            return self.column(wanted) if self.chance(0.5) else literal(self.random, wanted)
        form = self.random.random()
        if form < 0.25:
            return self.column(wanted)
        if form < 0.5:
            functions = self.likely_by_result.get(wanted) if self.chance(0.85) else self.world.by_result.get(wanted)
            return self.call(self.random.choice(functions), depth + 1) if functions else literal(self.random, wanted)
        if form < 0.7:
            operators = self.world.operators_by_result.get(wanted)
            return self.operation(self.random.choice(operators), depth + 1) if operators else self.column(wanted)
        if form < 0.82:
            return self.cast(wanted, depth)
        return self.special(wanted, depth)

    def cast(self, wanted, depth):
        sources = self.world.casts_to.get(wanted)
        inner = self.expression(self.random.choice(sources) if sources and self.chance(0.8) else self.random.choice(self.world.types), depth + 1)
        return self.pick(f"({inner})::{quoted(wanted)}", f"CAST({inner} AS {quoted(wanted)})", f"{quoted(wanted)}({inner})")

    def special(self, wanted, depth):
        inner = lambda kind=wanted: self.expression(kind, depth + 1)
        options = [
            lambda: f"CASE WHEN {inner('bool')} THEN {inner()} ELSE {inner()} END",
            lambda: f"CASE {inner('text')} WHEN {inner('text')} THEN {inner()} END",
            lambda: f"coalesce({inner()}, {inner()})",
            lambda: f"nullif({inner()}, {inner()})",
            lambda: f"greatest({inner()}, {inner()})",
            lambda: f"(SELECT {inner()} LIMIT 1)",
            lambda: f"({self.query(depth + 2)} LIMIT 1)",
            lambda: f"(ARRAY[{inner()}, {inner()}])[1]",
            lambda: f"({inner('pair')}).{self.pick('a', 'b', 'text', 'shout', 'pair')}",
            lambda: f"({self.any_expression(depth + 1)}).{self.function_name()}",
        ]
        if self.scope:
            alias = self.random.choice(self.scope)["alias"]
            options += [lambda: f"{alias}.{self.function_name()}", lambda: f"({alias}).{self.function_name()}", lambda: f"{self.function_name()}({alias})"] * 2
        if wanted == "bool":
            options += [
                lambda: f"{inner('text')} LIKE {inner('text')}",
                lambda: f"{self.any_expression(depth + 1)} IN ({self.any_expression(depth + 1)}, {self.any_expression(depth + 1)})",
                lambda: f"{self.any_expression(depth + 1)} IS DISTINCT FROM {self.any_expression(depth + 1)}",
                lambda: f"{inner('int4')} BETWEEN {inner('int4')} AND {inner('int4')}",
                lambda: f"EXISTS ({self.query(depth + 1)})",
                lambda: f"{inner('int4')} = ANY ({inner('_int4')})",
                lambda: f"{inner('weight')} {self.pick('<', '=', '>', '<>')} {inner('weight')}",
                lambda: f"{self.any_expression(depth + 1)} {self.pick('=', '<', '||', '<->')} {self.any_expression(depth + 1)}",
                lambda: f"NOT {inner('bool')}",
                lambda: f"({inner('int4')}, {inner('text')}) = ({inner('int4')}, {inner('text')})",
            ]
        if wanted in ("jsonb", "json"):
            options += [lambda: f"to_json{self.pick('', 'b')}({self.any_expression(depth + 1)})"]
        if wanted in ("int8", "int4", "numeric", "weight", "text"):
            options += [lambda: f"{self.pick('max', 'min', 'count', 'tidy', 'tidy_text', 'sum')}({inner()}{self.pick('', ' ORDER BY 1', f' ORDER BY {inner(chr(119) + chr(101) + chr(105) + chr(103) + chr(104) + chr(116))}')})",
                        lambda: f"{self.pick('rank', 'row_number')}() OVER (PARTITION BY {self.any_expression(depth + 1)} ORDER BY {self.any_expression(depth + 1)})"]
        if wanted in ("record", "pair", "weight"):
            options += [lambda: f"ROW({inner('int4')}, {inner('text')})", lambda: f"json_populate_record(NULL::{wanted}, {inner('json')})",
                        lambda: f"jsonb_populate_record(NULL::{wanted}, {inner('jsonb')})"]
        return self.random.choice(options)()

    def column(self, wanted):
        fitting = [(entry["alias"], name) for entry in self.scope for name, kind in entry["columns"] if kind == wanted]
        if fitting:
            alias, name = self.random.choice(fitting)
            return self.pick(f"{alias}.{name}", f"{alias}.{name}", name, f"({alias}).{name}")
        if self.scope and self.chance(0.4):
            entry = self.random.choice(self.scope)
            if entry["columns"]:
                column, kind = self.random.choice(entry["columns"])
                return f"{entry['alias']}.{column}" + ("" if kind == wanted else f"::{quoted(wanted)}")
        return literal(self.random, wanted)

    def function_name(self):
        return self.random.choice(self.likely if self.likely and self.chance(0.6) else self.world.functions)["name"]

    def call(self, function, depth):
        count = len(function["arguments"]) - (self.random.randint(0, function["defaults"]) if function["defaults"] else 0)
        arguments = [self.expression(kind, depth) if self.chance(0.5) else literal(self.random, kind) for kind in function["arguments"][:count]]
        if function["variadic"] and arguments and self.chance(0.7):
            arguments[-1] = f"VARIADIC {arguments[-1]}"
        name = function["name"] if self.chance(0.85) else f"{function['schema']}.{function['name']}"
        text = f"{name}({', '.join(arguments)})"
        if function["kind"] == "a":
            if not arguments:
                text = f"{name}(*)"
            if self.chance(0.1):
                text += f" FILTER (WHERE {self.expression('bool', depth + 1)})"
        elif function["kind"] == "w":
            text += f" OVER ({self.pick('', 'ORDER BY 1')})"
        return text

    def operation(self, operator, depth):
        sign = operator["name"] if self.chance(0.85) else f"OPERATOR({operator['schema']}.{operator['name']})"
        right = self.expression(operator["right"], depth) if operator["right"] else ""
        left = self.expression(operator["left"], depth) if operator["left"] else ""
        return f"({left} {sign} {right})".replace("( ", "(")
