//! Marked literals in every place the grammar has for them: no run of their characters is left, in
//! redacted text or in words on what is wrong.

use abeyance_sql::{OpaqueReason, ReadOptions, StatementFacts, analyse};
use proptest::prelude::*;

fn read(sql: &str) -> Vec<StatementFacts> {
    analyse(sql.as_bytes(), ReadOptions::default()).statements
}

/// What a literal holds: letters and digits that occur in no template.
fn secret() -> impl Strategy<Value = String> {
    "[QXZJ]{3}[QXZJ79]{3,9}"
}

/// A string constant of every kind the grammar has, around a secret.
fn string() -> impl Strategy<Value = (String, String)> {
    (secret(), 0..16).prop_map(|(secret, form)| {
        let text = match form {
            0 => format!("'{secret}'"),
            1 => format!("E'{secret}\\n\\'{secret}'"),
            2 => format!("$${secret}$$"),
            3 => format!("$q${secret} $$ {secret}$q$"),
            4 => format!("U&'{secret}\\0061'"),
            5 => format!("U&'{secret}!0061' UESCAPE '!'"),
            6 => format!("'{secret}' -- {secret}\n"),
            7 => format!("'{secret}''{secret}'"),
            8 => format!("'{secret}'\n  '{secret}'"),
            9 => format!("'{secret}' /* {secret} */"),
            10 => format!("'a' -- {secret}\n"),
            11 => format!("/* {secret} /* {secret} */ */ 'a'"),
            12 => format!("'{secret}@example.com'"),
            13 => format!("'{secret}; DELETE FROM {secret}; --'"),
            14 => format!("'{{\"a\": \"{secret}\"}}'"),
            _ => format!("'{secret}\u{e9}\u{1F600}{secret}'"),
        };
        (secret, text)
    })
}

/// A constant where the grammar takes any expression.
fn expression() -> impl Strategy<Value = (String, String)> {
    (string(), 0..8).prop_map(|((secret, string), form)| {
        let text = match form {
            0 => format!("date {string}"),
            1 => format!("{string}::jsonb"),
            2 => format!("CAST({string} AS text)"),
            3 => format!("N'{secret}'"),
            4 => format!("numeric {string}"),
            5 => format!("lower({string})"),
            _ => string,
        };
        (secret, text)
    })
}

/// `?` takes an expression, `!` a string constant, `#` a number, `~` a word or quoted name in the place of a value.
const TEMPLATES: &[&str] = &[
    // Queries.
    "SELECT ?",
    "SELECT a, ? FROM t WHERE b = ? AND c IN (?, ?, ?)",
    "SELECT * FROM f(?) WHERE a LIKE ? ESCAPE ! OR b BETWEEN ? AND ?",
    "SELECT a FROM t WHERE b ~ ? AND c SIMILAR TO ? OR d IS DISTINCT FROM ?",
    "SELECT CASE a WHEN ? THEN ? ELSE ? END FROM t",
    "SELECT coalesce(a, ?), nullif(a, ?), greatest(a, ?) FROM t GROUP BY a HAVING max(a) > ?",
    "SELECT a FROM t WHERE (a, b) = (?, ?) AND c = ANY (ARRAY[?, ?]) ORDER BY a = ? LIMIT # OFFSET #",
    "SELECT interval !, interval ! day, time !, timestamp with time zone !",
    "SELECT B'0101', X'1F', 0x1F, 1_000, .5, 1e10 WHERE a = ?",
    "SELECT a[#], a[#:#], (a).b[#] FROM t",
    "SELECT extract(year FROM ?), position(? IN ?), substring(? FROM # FOR #), trim(BOTH ? FROM ?), overlay(? PLACING ? FROM #)",
    "SELECT a AT TIME ZONE ?, a COLLATE \"C\" FROM t",
    "SELECT x.* FROM (VALUES (?, #), (?, #)) AS x (a, b)",
    "VALUES (?, ?), (?, #)",
    "WITH a AS (SELECT ?) SELECT * FROM a WHERE EXISTS (SELECT ? FROM a WHERE a.b = ?)",
    "SELECT ? UNION ALL SELECT ? EXCEPT SELECT ?",
    "SELECT sum(a) FILTER (WHERE b = ?) OVER (PARTITION BY c = ? ORDER BY d ROWS BETWEEN # PRECEDING AND # FOLLOWING) FROM t",
    "SELECT string_agg(a, ? ORDER BY b) FROM t WINDOW w AS (ORDER BY a)",
    "SELECT percentile_cont(#) WITHIN GROUP (ORDER BY a) FROM t",
    "SELECT * FROM t TABLESAMPLE bernoulli (#) REPEATABLE (#)",
    "SELECT * FROM t JOIN u ON t.a = ? LEFT JOIN v ON v.b IN (?, ?) FOR UPDATE",
    "SELECT f(a => ?, b => ?), g(VARIADIC ARRAY[?])",
    "SELECT a -> ? ->> ? #> ?, a @> ?, a ? 'k' FROM t",
    "SELECT jsonb_path_query(a, !) FROM t",
    "SELECT json_value(?, ! DEFAULT ? ON EMPTY), json_query(a, !), json_exists(a, ! PASSING ? AS x)",
    "SELECT json_object(?: ?), json_array(?, ?), json_objectagg(? VALUE ?), a IS JSON FROM t",
    "SELECT * FROM json_table(?, ! COLUMNS (a int PATH ! DEFAULT ? ON EMPTY, NESTED PATH ! COLUMNS (b text PATH !)))",
    "SELECT * FROM xmltable(xmlnamespaces(! AS x, DEFAULT !), ! PASSING a COLUMNS b int PATH ! DEFAULT ?), t",
    "SELECT xmlelement(name a, xmlattributes(? AS b), ?), xmlpi(name a, ?), xmlparse(content ?), xmlforest(? AS a), xmlroot(a, version ?)",
    "SELECT grouping(a) FROM t GROUP BY ROLLUP (a, b = ?)",
    "SELECT ROW(?, ?), (?, ?) OVERLAPS (?, ?)",
    "SELECT a::numeric(#, #), a::varchar(#), a::bit(#) FROM t",
    "SELECT set_config('x', ?, false), set_config(?, ?, false)",
    "SELECT ? FROM broken WHERE WHERE ?",
    "TABLE t",
    // Writing.
    "INSERT INTO t (a, b) VALUES (?, ?), (?, ?)",
    "INSERT INTO t VALUES (#, NULL, ?), (#, ?, NULL) ON CONFLICT (a) WHERE b = ? DO UPDATE SET a = ? WHERE t.a <> ? RETURNING ?",
    "INSERT INTO t (a[#]) SELECT ? FROM u WHERE b = ?",
    "UPDATE t SET a = ?, (b, c) = (?, ?), d[#] = ? FROM u WHERE t.c = ? RETURNING ?",
    "DELETE FROM t USING u WHERE t.a = ARRAY[?, ?] RETURNING ?",
    "MERGE INTO t USING s ON t.a = ? WHEN MATCHED AND s.b = ? THEN UPDATE SET b = ? WHEN NOT MATCHED THEN INSERT (a) VALUES (?)",
    "COPY t FROM STDIN WITH (NULL !, DELIMITER !, QUOTE !, ESCAPE !, ENCODING !, HEADER ~)",
    "COPY t TO PROGRAM !",
    "COPY t FROM ! CSV DELIMITER ! NULL ! QUOTE ! WHERE a = ?",
    "COPY (SELECT ? FROM t) TO ! (FORMAT csv, NULL ~)",
    // Definitions.
    "CREATE TABLE t (a text DEFAULT ?, b int CHECK (b <> #), c text GENERATED ALWAYS AS (a || ?) STORED, CHECK (a <> ?))",
    "CREATE TABLE t (a int GENERATED BY DEFAULT AS IDENTITY (START # INCREMENT #)) WITH (fillfactor = #, x = ~) TABLESPACE s",
    "CREATE TABLE t (EXCLUDE USING gist (a WITH =) WITH (x = ~) WHERE (b = ?))",
    "CREATE TEMP TABLE t AS SELECT ? AS a WITH NO DATA",
    "SELECT ? AS a INTO t",
    "CREATE TABLE p PARTITION OF t FOR VALUES IN (?, ?, NULL)",
    "CREATE TABLE p PARTITION OF t FOR VALUES FROM (?, MINVALUE) TO (?, ~)",
    "CREATE TABLE p PARTITION OF t FOR VALUES WITH (MODULUS #, REMAINDER #)",
    "ALTER TABLE t ATTACH PARTITION p FOR VALUES IN (?)",
    "ALTER TABLE t ADD COLUMN a text DEFAULT ? CHECK (a > ?), ALTER b SET DEFAULT ?, ALTER c TYPE int USING (c || ?)::int",
    "ALTER TABLE t ALTER a SET STATISTICS #, SET (fillfactor = #, x = ~), ALTER a SET (n_distinct = #)",
    "ALTER TABLE t ADD CONSTRAINT c CHECK (a IN (?, ?)) NOT VALID",
    "ALTER FOREIGN TABLE t OPTIONS (ADD a !, SET b !, DROP c)",
    "CREATE FOREIGN TABLE t (a int OPTIONS (b !)) SERVER s OPTIONS (c !)",
    "CREATE INDEX i ON t ((a || ?), lower(b)) INCLUDE (c) WITH (x = ~) WHERE d = ?",
    "CREATE VIEW v WITH (x = ~) AS SELECT ? FROM t WHERE a = ? WITH CHECK OPTION",
    "CREATE MATERIALIZED VIEW v WITH (x = ~) AS SELECT ?",
    "CREATE RULE r AS ON UPDATE TO t WHERE old.a = ? DO ALSO (UPDATE u SET a = ?; NOTIFY c, !)",
    "CREATE POLICY p ON t USING (a = ?) WITH CHECK (b <> ?)",
    "CREATE TRIGGER x BEFORE UPDATE ON t FOR EACH ROW WHEN (old.a = ?) EXECUTE FUNCTION f(!, #, ~)",
    "CREATE EVENT TRIGGER x ON ddl_command_start WHEN tag IN (!, !) EXECUTE FUNCTION f()",
    "CREATE TYPE e AS ENUM (!, !)",
    "ALTER TYPE e ADD VALUE ! BEFORE !",
    "ALTER TYPE e RENAME VALUE ! TO !",
    "CREATE TYPE r AS RANGE (subtype = int, x = ~)",
    "CREATE TYPE b (INPUT = f, OUTPUT = g, DEFAULT = !, DELIMITER = !, CATEGORY = ~)",
    "CREATE DOMAIN d AS text DEFAULT ? CHECK (VALUE ~ ? AND VALUE <> ?)",
    "ALTER DOMAIN d SET DEFAULT ?",
    "CREATE AGGREGATE a (int) (SFUNC = f, STYPE = int, INITCOND = !)",
    "CREATE COLLATION c (PROVIDER = icu, LOCALE = !, RULES = ~)",
    "CREATE TEXT SEARCH DICTIONARY d (TEMPLATE = simple, STOPWORDS = ~, x = !)",
    "CREATE SEQUENCE s START # INCREMENT # MAXVALUE #",
    "CREATE STATISTICS s ON a, (b || ?) FROM t",
    "CREATE FUNCTION f(a text DEFAULT ?) RETURNS int LANGUAGE sql COST # SET x = ~ AS !",
    "CREATE FUNCTION f() RETURNS int LANGUAGE c AS !, !",
    "CREATE FUNCTION f() RETURNS text RETURN lower(?)",
    "CREATE PROCEDURE f() LANGUAGE sql SET x TO ~, ! BEGIN ATOMIC SELECT ?; UPDATE t SET a = ?; END",
    "ALTER FUNCTION f(text) SET x = ~",
    "DO !",
    "DO LANGUAGE plpgsql !",
    "CREATE EXTENSION e VERSION !",
    "CREATE SERVER s TYPE ! VERSION ! FOREIGN DATA WRAPPER w OPTIONS (host !, port !)",
    "CREATE USER MAPPING FOR eve SERVER s OPTIONS (user !, password !)",
    "CREATE FOREIGN DATA WRAPPER w OPTIONS (a !)",
    "IMPORT FOREIGN SCHEMA a FROM SERVER s INTO b OPTIONS (c !)",
    "CREATE PUBLICATION p FOR TABLE t WHERE (a = ?) WITH (publish = !)",
    "CREATE SUBSCRIPTION s CONNECTION ! PUBLICATION p WITH (slot_name = ~, a = !)",
    "ALTER SUBSCRIPTION s CONNECTION !",
    "CREATE TABLESPACE s LOCATION ! WITH (x = ~)",
    "CREATE DATABASE d ENCODING ! LOCALE = ! TEMPLATE template0 STRATEGY = ~",
    "ALTER DATABASE d SET x TO ~",
    "CREATE SCHEMA s CREATE TABLE t (a text DEFAULT ?) CREATE VIEW v AS SELECT ?",
    "CREATE CONVERSION c FOR ! TO ! FROM f",
    "CREATE TRANSFORM FOR int LANGUAGE sql (FROM SQL WITH FUNCTION f(internal), TO SQL WITH FUNCTION g(internal))",
    "COMMENT ON TABLE t IS !",
    "COMMENT ON COLUMN t.a IS !",
    "SECURITY LABEL FOR p ON TABLE t IS !",
    // Roles and settings.
    "CREATE ROLE eve LOGIN PASSWORD ! VALID UNTIL ! CONNECTION LIMIT #",
    "ALTER ROLE eve ENCRYPTED PASSWORD !",
    "ALTER ROLE eve IN DATABASE d SET x = ~, !",
    "ALTER ROLE eve SET TIME ZONE ~",
    "ALTER SYSTEM SET x = ~",
    "SET x = !, ~",
    "SET x.y TO ~",
    "SET LOCAL x TO #",
    "SET SESSION x = -#",
    "SET TIME ZONE !",
    "SET TIME ZONE ~",
    "SET TIME ZONE INTERVAL ! HOUR TO MINUTE",
    "SET NAMES !",
    "SET SCHEMA !",
    "SET TRANSACTION SNAPSHOT !",
    // The rest.
    "NOTIFY a, !",
    "PREPARE TRANSACTION !",
    "COMMIT PREPARED !",
    "ROLLBACK PREPARED !",
    "PREPARE p (text) AS SELECT ? WHERE a = $1",
    "EXECUTE p (?, ?)",
    "CREATE TABLE t AS EXECUTE p (?)",
    "DECLARE c CURSOR FOR SELECT ? FROM t WHERE a = ?",
    "FETCH # FROM c",
    "EXPLAIN (ANALYZE, FORMAT ~) SELECT ?",
    "EXPLAIN DELETE FROM t WHERE a = ?",
    "VACUUM (PARALLEL #, INDEX_CLEANUP ~) t",
    "CALL p(?, x => ?)",
    "LOAD !",
    "GRANT SELECT ON t TO eve",
    "SELECT ?; UPDATE t SET a = ?; SET x = ~",
];

/// The statement with `fill` put into its places.
fn filled(template: &str, mut fill: impl FnMut(char) -> String) -> String {
    let mut sql = String::new();
    let mut characters = template.chars().peekable();
    while let Some(character) = characters.next() {
        let operator = match character {
            // `a ? 'k'`, `b ~ ?`, `#>` and `!` in operators are no places.
            '?' => characters.peek() == Some(&' ') && sql.ends_with("a "),
            '~' => {
                characters.peek() == Some(&' ') && (sql.ends_with("b ") || sql.ends_with("VALUE "))
            }
            '#' => characters.peek() == Some(&'>'),
            '!' => false,
            _ => true,
        };
        if operator {
            sql.push(character);
        } else {
            sql.push_str(&fill(character));
        }
    }
    sql
}

fn plainly(template: &str) -> String {
    filled(template, |place| match place {
        '?' | '!' => "'x'".to_owned(),
        '#' => "7".to_owned(),
        _ => "word".to_owned(),
    })
}

/// A template the grammar refuses proves nothing.
#[test]
fn templates_are_statements() {
    let refused: Vec<String> = TEMPLATES
        .iter()
        .map(|template| plainly(template))
        .filter(|sql| !sql.contains("WHERE WHERE"))
        .filter(|sql| {
            let facts = read(sql).remove(0);
            matches!(facts.opaque, Some(OpaqueReason::Syntax { .. }))
        })
        .collect();
    assert!(refused.is_empty(), "{refused:#?}");
}

/// The text is a pattern: where the grammar takes a parameter, it reads as the same shape.
#[test]
fn redacted_text_reads_as_the_same_shape() {
    let mut readable = 0;
    for template in TEMPLATES {
        let sql = plainly(template);
        let first = read(&sql).remove(0);
        let again = read(&first.redacted);
        if first.opaque.is_none() && again.len() == 1 && again[0].opaque.is_none() {
            readable += 1;
            assert_eq!(again[0].kind, first.kind, "{sql}");
            assert_eq!(
                again[0].fingerprint, first.fingerprint,
                "{sql}\n{}",
                first.redacted
            );
        }
    }
    assert!(
        readable * 2 > TEMPLATES.len(),
        "{readable} of {}",
        TEMPLATES.len()
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn nothing_of_a_literal_is_left(
        template in proptest::sample::select(TEMPLATES),
        strings in proptest::collection::vec(string(), 4),
        expressions in proptest::collection::vec(expression(), 4),
        words in proptest::collection::vec((secret(), any::<bool>()), 2),
        number in 7_000_000_000_u64..7_999_999_999,
        standard_conforming_strings: bool,
    ) {
        let mut counts = [0_usize; 3];
        let mut next = |kind: usize| { counts[kind] += 1; counts[kind] - 1 };
        let sql = filled(template, |place| match place {
            '?' => expressions[next(0) % 4].1.clone(),
            '!' => strings[next(1) % 4].1.clone(),
            '#' => number.to_string(),
            _ => {
                let (word, quoted) = &words[next(2) % 2];
                if *quoted { format!("\"{word}\"") } else { word.clone() }
            }
        });
        let options = ReadOptions { standard_conforming_strings, ..ReadOptions::default() };
        let secrets = strings.iter().chain(&expressions).map(|(secret, _)| secret);
        let secrets: Vec<&String> = secrets.chain(words.iter().map(|(word, _)| word)).collect();
        for facts in analyse(sql.as_bytes(), options).statements {
            let shown = format!("{}\n{:?}\n{:?}\n{:?}", facts.redacted, facts.opaque, facts.doubts, facts.impact);
            for secret in &secrets {
                for part in secret.as_bytes().windows(3) {
                    let part = std::str::from_utf8(part).unwrap();
                    prop_assert!(
                        !shown.to_ascii_uppercase().contains(part),
                        "{part} of {sql:?} is left in {shown:?}"
                    );
                }
            }
            prop_assert!(!shown.contains(&number.to_string()[..4]), "{sql:?}: {shown:?}");
        }
    }

    #[test]
    fn anything_at_all_is_read(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        for facts in analyse(&bytes, ReadOptions::default()).statements {
            prop_assert!(facts.span.end <= bytes.len());
            prop_assert!(!facts.redacted.is_empty() && facts.fingerprint.len() == 32);
        }
    }

    /// Case, white space, comments and values change nothing.
    #[test]
    fn fingerprints_see_shape_only(
        template in proptest::sample::select(TEMPLATES),
        numbers in proptest::collection::vec(0_u32..100_000, 2),
        blank in proptest::sample::select(&[" ", "\n", "\t\n ", " /* x */ ", " -- y\n", " /* /* z */ */\n"]),
        shout: bool,
    ) {
        let with = |number: u32| filled(template, |place| match place {
            '?' | '!' => format!("'x{number}'"),
            '#' => number.to_string(),
            _ => format!("word{number}"),
        });
        let one = with(numbers[0]);
        let other = with(numbers[1]).replace(' ', blank);
        let other = if shout { other.to_ascii_uppercase() } else { other };
        let prints = |sql: &str| read(sql).into_iter().map(|facts| facts.fingerprint).collect::<Vec<_>>();
        if !read(&one)[0].redacted.contains("could not be read") {
            prop_assert_eq!(prints(&one), prints(&other), "{} / {}", one, other);
        }
    }
}
