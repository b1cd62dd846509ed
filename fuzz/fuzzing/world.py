"""What statements can be made of: the relations, functions, operators, casts and types a server has."""

import json
import random
from pathlib import Path

HERE = Path(__file__).resolve().parent
CLINIC = HERE.parent.parent / "tests" / "corpus" / "clinic.sql"
TRAPS = HERE / "traps.sql"

# Shows nothing, or never ends; none of them is about writing.
TOO_SLOW = {"pg_sleep", "pg_sleep_for", "pg_sleep_until", "generate_series", "repeat", "lpad", "rpad", "array_fill", "pg_wal_replay_pause"}
PSEUDO = {"internal", "cstring", "trigger", "event_trigger", "language_handler", "fdw_handler", "index_am_handler", "table_am_handler",
          "tsm_handler", "opaque", "unknown", "pg_ddl_command"}

LITERALS = {
    "int2": ["0", "1", "-1", "7"], "int4": ["0", "1", "-1", "3", "2147483647"], "int8": ["0", "1", "42", "424242", "-9"],
    "float4": ["1.5", "0", "'NaN'"], "float8": ["0.5", "-2", "1e10"], "numeric": ["1.25", "0", "10"], "bool": ["true", "false"],
    "text": ["'x'", "''", "'patients'", "'tickets'", "'work_mem'", "'DELETE FROM rooms'", "'SELECT 1'", "'public'", "'a,b'", "'%'", "'fuzz_file'",
             "'{}'", "'[1]'", "'utf8'", "'5432'", "'on'", "'search_path'", "'A{1}'", "'month'"],
    "varchar": ["'v'"], "bpchar": ["'c'"], "char": ["'r'"], "name": ["'rooms'", "'public'"], "bytea": ["'\\x41'", "''"],
    "date": ["'2026-01-01'", "'infinity'"], "time": ["'10:00'"], "timetz": ["'10:00+00'"], "timestamp": ["'2026-01-01 00:00'"],
    "timestamptz": ["'2026-01-01 00:00+00'", "'now'"], "interval": ["'1 day'", "'1 month'"], "oid": ["1259", "424242", "0", "16384"],
    "regclass": ["'tickets'", "'rooms'", "'pg_class'"], "regproc": ["'now'"], "regtype": ["'int'"], "regrole": ["'clinic_app'"], "regnamespace": ["'public'"],
    "regprocedure": ["'abs(int)'"], "regoper": ["'pg_catalog.||/'"], "regoperator": ["'+(int,int)'"], "regconfig": ["'english'"],
    "regdictionary": ["'simple'"], "regcollation": ["'\"C\"'"], "json": ["'{\"a\": 1}'", "'[1, 2]'", "'\"s\"'"], "jsonb": ["'{\"a\": 1}'", "'[1]'"],
    "jsonpath": ["'$.a'", "'$[*]'"], "xml": ["'<a>1</a>'"], "uuid": ["'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'"], "inet": ["'10.0.0.1'"], "cidr": ["'10.0.0.0/8'"],
    "macaddr": ["'08:00:2b:01:02:03'"], "macaddr8": ["'08:00:2b:01:02:03:04:05'"], "point": ["'(1,1)'"], "box": ["'(1,1),(0,0)'"], "circle": ["'<(0,0),1>'"],
    "lseg": ["'[(0,0),(1,1)]'"], "line": ["'{1,-1,0}'"], "path": ["'((0,0),(1,1))'"], "polygon": ["'((0,0),(1,1),(1,0))'"], "bit": ["B'1'"], "varbit": ["B'101'"],
    "money": ["'1.00'"], "tsvector": ["'a b'"], "tsquery": ["'a & b'"], "pg_lsn": ["'0/1'"], "xid": ["'1'"], "xid8": ["'1'"], "cid": ["'1'"], "tid": ["'(0,1)'"],
    "int4range": ["'[1,3)'"], "int8range": ["'[1,3)'"], "numrange": ["'[1,3)'"], "daterange": ["'[2026-01-01,2026-02-01)'"], "tsrange": ["'empty'"],
    "tstzrange": ["'empty'"], "int4multirange": ["'{[1,3)}'"], "refcursor": ["'c1'"], "record": ["ROW(1, 'x')"], "aclitem": ["'=r/scratch'"],
    "txid_snapshot": ["'1:1:'"], "pg_snapshot": ["'1:1:'"], "oidvector": ["'1 2'"], "int2vector": ["'1 2'"], "mood": ["'good'"], "weight": ["'(1)'"],
    "watched_text": ["'w'"], "watched_pair": ["'(w,1)'", "ROW('w', 1)"], "watched_rows": ["'(1,{w},,a)'"], "trap_range": ["'[1,3)'"], "pairs": ["'(1,2)'"],
    "pair": ["'(1,b)'"], "checked_text": ["'t'"], "room_code": ["'R1'"],
}


class World:
    """Read once from a server. Names are quoted as SQL needs them."""

    def __init__(self, client):
        self.relations = self.read_relations(client)
        self.functions = self.read_functions(client)
        self.by_result = {}
        for function in self.functions:
            self.by_result.setdefault(function["result"], []).append(function)
        rows = client.query("""
            SELECT o.oprname, n.nspname, coalesce(l.typname, ''), coalesce(r.typname, ''), t.typname FROM pg_operator o JOIN pg_namespace n ON n.oid = o.oprnamespace
            LEFT JOIN pg_type l ON l.oid = o.oprleft LEFT JOIN pg_type r ON r.oid = o.oprright JOIN pg_type t ON t.oid = o.oprresult ORDER BY 1, 2, 3, 4""").rows
        self.operators = [dict(zip(("name", "schema", "left", "right", "result"), row)) for row in rows]
        self.operators_by_result = {}
        for operator in self.operators:
            self.operators_by_result.setdefault(operator["result"], []).append(operator)
        rows = client.query("""SELECT s.typname, t.typname FROM pg_cast c JOIN pg_type s ON s.oid = castsource JOIN pg_type t ON t.oid = casttarget ORDER BY 1, 2""").rows
        self.casts_to = {}
        for source, target in rows:
            self.casts_to.setdefault(target, []).append(source)
        rows = client.query("""SELECT typname, n.nspname FROM pg_type t JOIN pg_namespace n ON n.oid = typnamespace
            WHERE typtype IN ('b', 'd', 'e', 'c', 'r', 'm') AND n.nspname IN ('pg_catalog', 'public') AND typname !~ '^_|pg_|^gtrgm' ORDER BY 1""").rows
        self.types = [row[0] for row in rows]

    @staticmethod
    def read_relations(client):
        rows = client.query("""
            SELECT quote_ident(n.nspname), quote_ident(c.relname), c.relkind, json_agg(json_build_array(quote_ident(a.attname), t.typname) ORDER BY attnum)
            FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace JOIN pg_attribute a ON attrelid = c.oid AND NOT attisdropped AND attnum > -7
            JOIN pg_type t ON t.oid = atttypid
            WHERE c.relkind IN ('r', 'v', 'm', 'p', 'S', 'f') AND n.nspname IN ('public', 'pg_catalog', 'information_schema') GROUP BY 1, 2, 3 ORDER BY 1, 2""").rows
        return [{"schema": schema, "name": name, "kind": kind, "columns": json.loads(columns)} for schema, name, kind, columns in rows]

    @staticmethod
    def read_functions(client):
        rows = client.query("""
            SELECT quote_ident(n.nspname), quote_ident(p.proname), p.prokind, p.proretset, t.typname,
                   array_to_string(ARRAY(SELECT a.typname FROM unnest(p.proargtypes) WITH ORDINALITY u(o, i) JOIN pg_type a ON a.oid = u.o ORDER BY i), ','),
                   p.pronargdefaults, p.provariadic <> 0
            FROM pg_proc p JOIN pg_namespace n ON n.oid = pronamespace JOIN pg_type t ON t.oid = prorettype
            WHERE n.nspname IN ('pg_catalog', 'public', 'information_schema') AND p.prokind <> 'p' ORDER BY 1, 2, 6""").rows
        functions = []
        for schema, name, kind, is_set, result, arguments, defaults, variadic in rows:
            arguments = arguments.split(",") if arguments else []
            if name in TOO_SLOW or PSEUDO & {result, *arguments}:
                continue
            functions.append({"schema": schema, "name": name, "kind": kind, "set": is_set == "t", "result": result, "arguments": arguments,
                              "defaults": int(defaults), "variadic": variadic == "t"})
        return functions


def literal(rng: random.Random, name):
    """A constant of the type, written in one of the ways there are."""
    if name.startswith("_"):
        inner = name[1:]
        return rng.choice([f"ARRAY[{literal(rng, inner)}]::{inner}[]", "'{}'::" + inner + "[]"])
    if name in ("any", "anyelement", "anynonarray", "anycompatible", "anycompatiblenonarray"):
        return literal(rng, rng.choice(["int4", "text", "numeric", "date", "weight", "mood"]))
    if name in ("anyarray", "anycompatiblearray"):
        return literal(rng, rng.choice(["_int4", "_text"]))
    if name in ("anyrange", "anycompatiblerange"):
        return literal(rng, "int4range")
    if name in ("anymultirange", "anycompatiblemultirange"):
        return literal(rng, "int4multirange")
    if name == "anyenum":
        return literal(rng, "mood")
    value = rng.choice(LITERALS.get(name, ["NULL"]))
    if value == "NULL" or (not value.startswith("'") and rng.random() < 0.5):
        return value if value != "NULL" else f"NULL::{name}"
    form = rng.randrange(6)
    if form == 0:
        return f"CAST({value} AS {quoted(name)})"
    if form == 1 and value.startswith("'") and name not in ("char", "bit"):
        return f"{quoted(name)} {value}"
    return value if form == 2 else f"{value}::{quoted(name)}"


def quoted(name):
    return '"char"' if name == "char" else name
