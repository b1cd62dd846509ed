//! No character of a literal, comment or bind value is left in redacted text.

use abeyance_sql::{ReadOptions, StatementFacts, analyse};

fn read(sql: &str) -> Vec<StatementFacts> {
    analyse(sql.as_bytes(), ReadOptions::default()).statements
}

fn on_one_line(sql: &str) -> String {
    let text = redacted(sql);
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Statements in which these words stand where values do: none may be left, shown or not.
#[test]
fn words_that_are_values_are_out() {
    for sql in [
        "SET TIME ZONE hunter2word",
        "SET LOCAL myapp.token TO hunter2word, \"hunter2word\"",
        "ALTER SYSTEM SET myapp.token = hunter2word",
        "ALTER DATABASE d SET myapp.token TO hunter2word",
        "ALTER ROLE r IN DATABASE d SET TIME ZONE hunter2word",
        "CREATE DATABASE d ENCODING hunter2word",
        "CREATE DATABASE d LOCALE = hunter2word CONNECTION LIMIT 5",
        "CREATE TABLE t (a int) WITH (fillfactor = 70, myopt = hunter2word, o.p = \"hunter2word\")",
        "CREATE INDEX i ON t (a) WITH (myopt = hunter2word)",
        "CREATE INDEX i ON t USING gist (a gist_ops (siglen = hunter2word))",
        "CREATE VIEW v WITH (check_option = hunter2word) AS SELECT 1",
        "CREATE MATERIALIZED VIEW v WITH (myopt = hunter2word) AS SELECT 1",
        "ALTER VIEW v SET (myopt = hunter2word)",
        "ALTER TABLE t ALTER COLUMN a SET (n_distinct = hunter2word)",
        "CREATE PUBLICATION p WITH (publish = hunter2word)",
        "CREATE SUBSCRIPTION s CONNECTION 'hunter2word' PUBLICATION p WITH (slot_name = hunter2word)",
        "ALTER SUBSCRIPTION s SET (synchronous_commit = hunter2word)",
        "COPY t FROM STDIN (FORMAT csv, NULL hunter2word)",
        "COPY t (a, b) TO STDOUT WITH (DELIMITER \"hunter2word\", FORCE_QUOTE (a, b))",
        "COPY (SELECT 1) TO 'hunter2word' (ENCODING hunter2word)",
        "EXPLAIN (FORMAT hunter2word) SELECT 1",
        "VACUUM (INDEX_CLEANUP hunter2word) t",
        "CREATE TYPE t (INPUT = f, OUTPUT = g, DEFAULT = hunter2word)",
        "CREATE AGGREGATE a (int) (SFUNC = f, STYPE = int, INITCOND = hunter2word)",
        "CREATE COLLATION c (LOCALE = hunter2word)",
        "CREATE TEXT SEARCH DICTIONARY d (TEMPLATE = simple, STOPWORDS = hunter2word)",
        "CREATE TRIGGER x AFTER INSERT ON t EXECUTE FUNCTION f(hunter2word, 'hunter2word', \"hunter2word\")",
        "CREATE TABLE p PARTITION OF t FOR VALUES IN (hunter2word)",
        "CREATE TABLE p PARTITION OF t FOR VALUES FROM (hunter2word) TO (\"hunter2word\")",
        "ALTER TABLE t ATTACH PARTITION p FOR VALUES IN (\"hunter2word\")",
    ] {
        let facts = read(sql).remove(0);
        assert_eq!(
            facts
                .opaque
                .filter(|reason| !reason.to_string().contains("code")),
            None,
            "{sql}"
        );
        assert!(!facts.redacted.contains("hunter2"), "{}", facts.redacted);
        assert!(facts.redacted.contains('$'), "{}", facts.redacted);
    }
}

/// In double quotes where single ones were meant.
#[test]
fn quoted_names_that_look_like_values_are_out() {
    for sql in [
        "SELECT * FROM t WHERE name = \"Hunter\"",
        "SELECT * FROM t WHERE name LIKE \"Hunter\" OR name <> \"Hunter\"",
        "SELECT * FROM t WHERE name IN (\"Hunter\", \"Other\")",
        "INSERT INTO t (a) VALUES (\"Hunter\", 1), (2, lower(\"Hunter\"))",
        "UPDATE t SET a = \"Hunter\"",
        "SELECT \"Ann Hunter\", 1 AS \"Hunter, A\" FROM t AS \"A. Hunter\"",
        "SELECT 1 AS \"Hunter_101110001\", Hunter_101110001",
        "LISTEN \"Hunter/Ann\"",
        "NOTIFY \"Hunter Ann\", 'Hunter'",
        "SAVEPOINT \"Hunter Ann\"",
        "PREPARE \"Hunter-1\" AS SELECT 1",
        "DECLARE \"Hunter-1\" CURSOR FOR SELECT 1",
        "CREATE ROLE \"Hunter@x\"",
        "SELECT U&\"Hunter\\0061\"",
        "CREATE TABLE \"Hunter 1\" (\"Hunter 2\" int)",
    ] {
        let facts = read(sql).remove(0);
        assert!(
            facts.redacted.contains("[name not shown]"),
            "{}",
            facts.redacted
        );
        assert!(
            !facts.redacted.to_lowercase().contains("hunter"),
            "{}",
            facts.redacted
        );
    }
    let kept =
        "SELECT t.\"Name\", \"Id\" AS \"Label\" FROM \"Patients\" t JOIN u ON t.\"Id\" = u.\"Id\"";
    assert_eq!(on_one_line(kept), kept);
    let kept = "INSERT INTO t VALUES ($1) ON CONFLICT (\"Id\") DO UPDATE SET a = excluded.\"A\" WHERE b IN (SELECT \"B\" FROM u)";
    assert_eq!(on_one_line(kept), kept);
}

/// Ordinary words of definitions stay.
#[test]
fn definitions_stay_readable() {
    for sql in [
        "CREATE TYPE pair AS (a int, b text)",
        "CREATE TABLE type (a int, b text)",
        "CREATE AGGREGATE a(int) (sfunc = f, stype = int8)",
        "CREATE INDEX i ON t (lower(name), coalesce(a, b))",
        "CREATE DATABASE d owner = eve template template0",
        "ALTER DATABASE d OWNER TO eve",
        "ALTER DATABASE d RESET work_mem",
        "CREATE VIEW v WITH (security_barrier = TRUE) AS SELECT a FROM t",
        "CREATE TABLE p PARTITION OF t FOR VALUES FROM (minvalue) TO (maxvalue) PARTITION BY list(a)",
        "CREATE TABLE t (LIKE \"Other\")",
        "EXPLAIN (format json, verbose) SELECT a FROM t",
        "UPDATE t SET (a, b) = (c, d)",
        "ALTER FUNCTION f(int) SET search_path FROM CURRENT",
    ] {
        assert_eq!(on_one_line(sql).to_lowercase(), sql.to_lowercase());
    }
}

/// Names that are not shown count all the same.
#[test]
fn fingerprints_tell_hidden_names_apart() {
    let print = |sql: &str| read(sql).remove(0).fingerprint;
    for (one, other) in [
        ("DELETE FROM \"a, b\"", "DELETE FROM \"a, c\""),
        ("SELECT \"a b\" FROM t", "SELECT \"a c\" FROM t"),
        (
            "SELECT U&\"a!0061\" UESCAPE '!'",
            "SELECT U&\"a!0061\" UESCAPE '?'",
        ),
        (
            "INSERT INTO t VALUES (1), (2)",
            "INSERT INTO t VALUES (1), (DEFAULT)",
        ),
        (
            "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC UPDATE t SET a = b; END",
            "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC UPDATE t SET a = c; END",
        ),
    ] {
        assert_ne!(print(one), print(other), "{one} / {other}");
    }
    for (one, other) in [
        (
            "INSERT INTO t VALUES (1, NULL)",
            "INSERT INTO t VALUES (1, NULL), (2, 3), (NULL, 4)",
        ),
        (
            "SELECT a IN ('x'::text)",
            "SELECT a IN ('x'::text, 'y'::text) -- z",
        ),
    ] {
        assert_eq!(print(one), print(other), "{one} / {other}");
    }
}

fn redacted(sql: &str) -> String {
    let texts: Vec<String> = read(sql).into_iter().map(|facts| facts.redacted).collect();
    texts.join("; ")
}

#[test]
fn stays_readable() {
    for (sql, expected) in [
        (
            "delete from visits where patient_id=5 and seen_at < '2020-01-01' -- old ones",
            "DELETE FROM visits WHERE patient_id = $1 AND seen_at < $2",
        ),
        (
            "select * from t where a in (1, -2, 'x') and b = $3",
            "SELECT * FROM t WHERE a IN ($4 /* 3 values */) AND b = $3",
        ),
        (
            "insert into t (a,b) values (1,'x'),(2,'y'),(-3,'z')",
            "INSERT INTO t (a, b) VALUES ($1, $2) /* 3 rows */",
        ),
        (
            "ALTER ROLE eve PASSWORD 'secret'",
            "ALTER ROLE eve PASSWORD $1",
        ),
        (
            "COPY t FROM STDIN WITH (FORMAT csv, NULL 'x', DELIMITER E'\\t')",
            "COPY t FROM STDIN WITH (format csv, NULL $1, delimiter $2)",
        ),
        ("SET search_path TO Ann, Smith", "SET search_path TO $1, $2"),
        ("SET ROLE clinic_owner", "SET ROLE clinic_owner"),
        ("SET x TO DEFAULT", "SET x TO DEFAULT"),
        (
            "ALTER ROLE eve SET search_path = secret",
            "ALTER ROLE eve SET search_path = $1",
        ),
        ("update t set a = b, c = 'x'", "UPDATE t SET a = b, c = $1"),
        (
            "SELECT \"Ann Smith, 101-11-0001\", \"Name\" FROM t",
            "SELECT \"[name not shown]\", \"Name\" FROM t",
        ),
        (
            "select a[1], -b, c - 1, f(x)::text",
            "SELECT a[$1], -b, c - $2, f(x)::text",
        ),
        (
            "select current_date -7, case when a then 1 end -1, -2, (-3), 4 - -5 limit -1",
            "SELECT CURRENT_DATE - $1, CASE WHEN a THEN $2 END - $3, $4, ($5), $6 - $7 LIMIT $8",
        ),
        ("do $$ begin perform 'x'; end $$", "DO $1"),
        ("SELEC 'x'", "[text not shown: it could not be read]"),
        ("SELECT 'x", "SELECT [text not shown: it could not be read]"),
        (
            "select 1 where a in ('x'::text, 'y'::text, null) and b in (f(1), f(2)) and c in (1, d)",
            "SELECT $1\nWHERE a IN ($2::text, $3::text, NULL)\n  AND b IN (f($4) /* 2 values */)\n  AND c IN ($6, d)",
        ),
        (
            "insert into t values (1, null, true), (null, 'x', 2), (3, 4, default)",
            "INSERT INTO t VALUES ($1, NULL, TRUE) /* 2 rows */, ($4, $5, DEFAULT)",
        ),
        (
            "select (1, 2) in ((1, 2), (3, null)) and array['a'::date, 'b'::date] = x",
            "SELECT ($1, $2) IN (($3, $4) /* 2 values */) AND ARRAY[$6::date /* 2 values */] = x",
        ),
        (
            "SELECT U&\"\\0061\" UESCAPE '!', U&'d!0061' UESCAPE '!'",
            "SELECT \"[name not shown]\", $1",
        ),
        (
            "CREATE FUNCTION f() RETURNS int SET search_path = a, b AS 'x' LANGUAGE sql",
            "CREATE FUNCTION f() returns int SET search_path = $1, $2 AS $3 language sql",
        ),
    ] {
        assert_eq!(redacted(sql), expected, "{sql}");
    }
}

#[test]
fn names_that_could_be_values_are_told_to_nobody() {
    let name = "\"Smith, Ann 101-11-0001\"";
    for sql in [
        format!("SELECT * FROM {name}.{name}"),
        format!("SELECT {name}(1), {name}.{name}(2), 'x'::{name}, {name}.to_jsonb"),
        format!("EXECUTE {name}"),
        format!("DELETE FROM {name}"),
        format!("DROP TABLE {name}"),
    ] {
        for facts in read(&sql) {
            let names: Vec<String> = facts.relations().map(ToString::to_string).collect();
            let calls: Vec<String> = facts.functions.iter().map(ToString::to_string).collect();
            let opaque = facts.opaque.as_ref().map(ToString::to_string);
            let told = format!(
                "{} {names:?} {calls:?} {opaque:?} {:?}",
                facts.redacted, facts.doubts
            );
            assert!(
                !told.contains("Ann") && !told.contains("0001"),
                "{sql}: {told}"
            );
        }
    }
}

#[test]
fn long_statements_get_a_line_a_clause() {
    insta::assert_snapshot!(redacted(
        "with d as (delete from visits where id = 5 and seen_at between '1' and '2' returning id) \
         select p.city, count(*) filter (where p.x > 1) from patients p left join visits v on v.patient_id = p.id \
         and v.a = 1 where p.city in ('a','b') and (p.x = 1 or p.y = 2) or exists (select 1 from billing b where \
         b.patient_id = p.id and b.status = 'open') group by p.city having count(*) > 3 order by 2 desc limit 10"
    ));
    insta::assert_snapshot!(redacted(
        "create table a_table_with_a_long_name (id bigint primary key, name text not null default 'x', \
         created_at timestamptz not null default now(), other bigint references others (id) on delete cascade)"
    ));
    insta::assert_snapshot!(redacted(
        "merge into rooms r using (select room, beds from new_rooms where floor = 1) s on r.room = s.room \
         when matched and s.beds = 0 then delete when matched then update set beds = s.beds \
         when not matched then insert (room, beds) values (s.room, s.beds)"
    ));
}

#[test]
fn is_bounded() {
    let sql = format!("SELECT {}", vec!["a_column_name"; 3000].join(", "));
    let text = redacted(&sql);
    assert!(text.len() <= 8 * 1024 && text.ends_with("[cut]"));
}

#[test]
fn fingerprints_see_shape_only() {
    let print = |sql: &str| read(sql).remove(0).fingerprint;
    for (one, other) in [
        ("SELECT 1", "select   'x' -- y"),
        (
            "select a from t where b = 5",
            "SELECT A FROM T WHERE B = $1",
        ),
        (
            "delete from t where a in (1)",
            "delete from t where a in (1, 2, 3)",
        ),
        ("insert into t values (1)", "insert into t values (2), (3)"),
    ] {
        assert_eq!(print(one), print(other), "{one} / {other}");
    }
    for (one, other) in [
        ("select a from t", "select b from t"),
        ("select a from t", "select a from s.t"),
        ("select x.a from t x", "select x.a from u x"),
        ("select * from log_2024", "select * from log_2025"),
        ("delete from t where a = 1", "delete from t where a > 1"),
        ("delete from t where a = 1", "delete from t"),
        ("select \"A\" from t", "select a from t"),
        ("SELECT 'x' 1", "DELETE 'x' 1"),
    ] {
        assert_ne!(print(one), print(other), "{one} / {other}");
    }
}

/// A setting's value may be a bare word or a quoted name: neither is shown, whoever sets it.
#[test]
fn no_value_of_a_setting_is_shown() {
    for sql in [
        "ALTER FUNCTION f() SET myapp.token = hunter2word",
        "ALTER FUNCTION f(int) SET myapp.token TO \"hunter2word\"",
        "ALTER ROUTINE f SECURITY DEFINER SET myapp.token = a, hunter2word",
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql SET myapp.token = hunter2word AS 'select 1'",
        "CREATE OR REPLACE PROCEDURE f() LANGUAGE sql SET myapp.token = hunter2word AS 'select 1'",
        "ALTER ROLE bob SET myapp.token = \"hunter2word\"",
        "SET myapp.token = \"hunter2word\"",
        "ALTER TABLE t SET (myopt = hunter2word)",
        "ALTER TABLE t SET (fillfactor = 70, myopt = \"hunter2word\")",
    ] {
        let analysis = abeyance_sql::analyse(sql.as_bytes(), abeyance_sql::ReadOptions::default());
        for facts in &analysis.statements {
            assert!(
                !facts.redacted.contains("hunter2"),
                "{sql}: {}",
                facts.redacted
            );
        }
    }
}
