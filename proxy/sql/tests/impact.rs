//! Locks and rewrites against what PostgreSQL 15 was measured to do.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails the test")]

use abeyance_sql::{ReadOptions, Rewrite, StatementFacts, TableLock, Undo, analyse};

fn read(sql: &str) -> StatementFacts {
    analyse(sql.as_bytes(), ReadOptions::default())
        .statements
        .remove(0)
}

fn lock(name: &str) -> TableLock {
    match name {
        "AccessShare" => TableLock::AccessShare,
        "RowShare" => TableLock::RowShare,
        "RowExclusive" => TableLock::RowExclusive,
        "ShareUpdateExclusive" => TableLock::ShareUpdateExclusive,
        "Share" => TableLock::Share,
        "ShareRowExclusive" => TableLock::ShareRowExclusive,
        "Exclusive" => TableLock::Exclusive,
        _ => TableLock::AccessExclusive,
    }
}

/// Statement, strongest lock on a relation it names, and whether a table was rewritten.
fn measured() -> Vec<(String, Option<TableLock>, bool)> {
    include_str!("../../../tests/corpus/pg15_locks.txt")
        .lines()
        .filter(|line| !line.contains("| ERR"))
        .map(|line| {
            let mut columns = line.split('|').map(str::trim);
            // The table cuts one statement short; its end is known.
            let sql = columns
                .next()
                .unwrap()
                .replace("TO ('2028-01-01", "TO ('2028-01-01')");
            let words: Vec<&str> = sql
                .split(|c: char| !(c.is_alphanumeric() || c == '_'))
                .collect();
            let locks = columns.next().unwrap();
            let strongest = locks
                .split("; ")
                .filter_map(|entry| entry.split_once(':'))
                .filter(|(relation, _)| words.contains(relation))
                // What is being made is nobody else's yet.
                .filter(|(relation, _)| *relation != "pc" && *relation != "p2")
                .flat_map(|(_, modes)| modes.split('+').map(lock))
                .max();
            let rewritten = columns.next().unwrap();
            let index_only = sql.starts_with("REINDEX");
            (sql, strongest, rewritten.contains('\'') && !index_only)
        })
        .collect()
}

#[test]
fn locks_are_those_measured() {
    for (sql, strongest, _) in measured() {
        let facts = read(&sql);
        // What DROP removed, and what was renamed, could not be looked at afterwards.
        let seen = !sql.starts_with("DROP") && !sql.contains("RENAME TO");
        if let Some(strongest) = strongest
            && seen
        {
            assert_eq!(facts.impact.lock, strongest, "{sql}");
        }
    }
}

#[test]
fn no_rewrite_goes_unsaid() {
    for (sql, _, rewritten) in measured() {
        let rewrite = read(&sql).impact.rewrite;
        if rewritten {
            assert_ne!(rewrite, Rewrite::No, "{sql}");
        } else {
            assert_ne!(rewrite, Rewrite::Yes, "{sql}");
        }
    }
}

#[test]
fn what_is_left_to_undo() {
    for (sql, undo, transactional) in [
        ("SELECT * FROM t", Undo::Nothing, true),
        ("SELECT * FROM t FOR UPDATE", Undo::Nothing, true),
        ("SELECT f() FROM t", Undo::Unknown, false),
        ("DELETE FROM t", Undo::UntilCommit, true),
        ("DELETE FROM t WHERE f()", Undo::Unknown, true),
        ("EXPLAIN ANALYZE DELETE FROM t", Undo::UntilCommit, true),
        ("EXPLAIN DELETE FROM t", Undo::Nothing, true),
        (
            "WITH d AS (DELETE FROM t RETURNING 1) SELECT 1",
            Undo::UntilCommit,
            true,
        ),
        ("TRUNCATE t", Undo::UntilCommit, true),
        ("DROP TABLE t", Undo::UntilCommit, true),
        ("DROP VIEW v", Undo::Counterpart, true),
        ("DROP VIEW v CASCADE", Undo::UntilCommit, true),
        ("ALTER TABLE t ADD COLUMN a int", Undo::Counterpart, true),
        ("ALTER TABLE t DROP COLUMN a", Undo::UntilCommit, true),
        ("ALTER TABLE t ALTER a TYPE int", Undo::UntilCommit, true),
        (
            "CREATE INDEX CONCURRENTLY ON t (a)",
            Undo::Counterpart,
            false,
        ),
        ("VACUUM FULL t", Undo::Nothing, false),
        ("DROP DATABASE d", Undo::Never, false),
        ("ALTER SYSTEM SET a = 1", Undo::Never, false),
        ("COPY t TO PROGRAM 'x'", Undo::Never, true),
        ("COPY t FROM STDIN", Undo::UntilCommit, true),
        ("GRANT SELECT ON t TO u", Undo::Counterpart, true),
        ("DO 'x'", Undo::Unknown, false),
        ("SELEC 1", Undo::Unknown, false),
        ("EXECUTE p", Undo::Unknown, false),
    ] {
        let impact = read(sql).impact;
        assert_eq!(
            (impact.undo, impact.transactional),
            (undo, transactional),
            "{sql}"
        );
    }
}

#[test]
fn how_far_it_reaches() {
    for (sql, reach) in [
        ("SELECT 1", "{}"),
        ("SELECT dblink_exec('x', 'y')", "{Network}"),
        (
            "SELECT pg_read_file('x'), pg_terminate_backend(1)",
            "{ServerFile, OtherSessions}",
        ),
        ("SELECT pg_advisory_unlock_all()", "{}"),
        ("COPY t TO PROGRAM 'x'", "{Program}"),
        ("COPY t TO '/x'", "{ServerFile}"),
        ("COPY t TO STDOUT", "{}"),
        ("CREATE SERVER s FOREIGN DATA WRAPPER w", "{Network}"),
        ("NOTIFY a", "{OtherSessions}"),
        ("LOAD 'x'", "{Program}"),
    ] {
        assert_eq!(format!("{:?}", read(sql).impact.reach), reach, "{sql}");
    }
}

#[test]
fn what_depends_on_the_session_s_own_state_is_told() {
    for (sql, positioned) in [
        ("UPDATE rooms SET floor = 1 WHERE CURRENT OF c", true),
        ("DELETE FROM rooms WHERE CURRENT OF c RETURNING room", true),
        ("PREPARE p AS DELETE FROM rooms WHERE CURRENT OF c", true),
        ("DELETE FROM visits WHERE id = lastval()", true),
        (
            "DELETE FROM visits WHERE id = pg_catalog.currval('s')",
            true,
        ),
        ("DELETE FROM visits WHERE id = 7", false),
    ] {
        assert_eq!(read(sql).positioned, positioned, "{sql}");
    }
}

#[test]
fn what_makes_one_value_of_many_rows_is_told() {
    for (sql, gathers) in [
        ("SELECT string_agg(name, ',') FROM patients", true),
        (
            "SELECT pg_catalog.json_agg(p) OVER () FROM patients p",
            true,
        ),
        ("INSERT INTO t SELECT array_agg(id) FROM patients", true),
        ("SELECT ARRAY(SELECT name FROM patients)", true),
        ("SELECT JSON_ARRAYAGG(name) FROM patients", true),
        ("SELECT JSON_OBJECTAGG(id : name) FROM patients", true),
        (
            "SELECT xmlagg(xmlelement(name a, name)) FROM patients",
            true,
        ),
        (
            "SELECT percentile_disc(ARRAY[0.1, 0.2]) WITHIN GROUP (ORDER BY name) FROM patients",
            true,
        ),
        (
            "UPDATE t SET n = (SELECT jsonb_object_agg(id, name) FROM patients)",
            true,
        ),
        (
            "WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r WHERE n < 3) SELECT * FROM r",
            true,
        ),
        (
            "SELECT name FROM patients WHERE id = ANY (ARRAY[1, 2])",
            false,
        ),
        (
            "SELECT count(*), max(name) FROM patients GROUP BY city",
            false,
        ),
        ("WITH r AS (SELECT 1) SELECT * FROM r", false),
        (
            "DELETE FROM visits WHERE id IN (SELECT id FROM visits)",
            false,
        ),
    ] {
        assert_eq!(read(sql).gathers, gathers, "{sql}");
    }
}
