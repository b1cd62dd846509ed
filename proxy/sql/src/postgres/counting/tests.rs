use super::*;

fn touched(text: &str, standard_strings: bool) -> Option<Touched> {
    let text = text.to_owned();
    pool::submit(move || look(&text, standard_strings))
        .wait()
        .flatten()
}

fn count(text: &str) -> Option<String> {
    match touched(text, true)?.amount {
        Amount::Matching(matching) => Some(matching.count(11)),
        Amount::Given(_) | Amount::Untold => None,
    }
}

#[test]
fn the_predicate_is_the_statements_own() {
    let cases = [
        (
            "DELETE FROM patients WHERE id = 5",
            "SELECT 1 FROM patients WHERE id = 5 LIMIT 11",
        ),
        (
            "delete from ONLY patients",
            "SELECT 1 FROM ONLY patients LIMIT 11",
        ),
        (
            "UPDATE public.visits AS v SET reason = $1 WHERE v.id = $2 RETURNING *",
            "SELECT 1 FROM public.visits v WHERE v.id = $2 LIMIT 11",
        ),
        (
            "DELETE FROM billing b USING patients p WHERE b.patient_id = p.id AND p.city = 'X'",
            "SELECT 1 FROM billing b WHERE EXISTS (SELECT 1 FROM patients p WHERE b.patient_id = p.id AND p.city = 'X') LIMIT 11",
        ),
        (
            "WITH old AS (SELECT id FROM patients WHERE dob < '1950-01-01') UPDATE visits SET notes = NULL FROM old WHERE patient_id = old.id",
            "WITH old AS (SELECT id FROM patients WHERE dob < '1950-01-01') SELECT 1 FROM visits WHERE EXISTS (SELECT 1 FROM old WHERE patient_id = old.id) LIMIT 11",
        ),
        (
            "DELETE FROM t WHERE id IN (SELECT id FROM u ORDER BY at LIMIT 3)",
            "SELECT 1 FROM t WHERE id IN (SELECT id FROM u ORDER BY at LIMIT 3) LIMIT 11",
        ),
        (
            "INSERT INTO a(x) SELECT y FROM b WHERE y > 3",
            "SELECT 1 FROM (SELECT y FROM b WHERE y > 3) abeyance_rows LIMIT 11",
        ),
        (
            "SELECT ssn, ssn FROM patients ORDER BY 1 LIMIT 5",
            "SELECT 1 FROM (SELECT ssn, ssn FROM patients ORDER BY 1 LIMIT 5) abeyance_rows LIMIT 11",
        ),
        (
            "CREATE TABLE c AS SELECT id FROM visits WHERE reason = 'flu'",
            "SELECT 1 FROM (SELECT id FROM visits WHERE reason = 'flu') abeyance_rows LIMIT 11",
        ),
        (
            "SELECT a INTO c FROM t UNION SELECT b FROM u",
            "SELECT 1 FROM (SELECT a FROM t UNION SELECT b FROM u) abeyance_rows LIMIT 11",
        ),
        (
            "COPY (SELECT id FROM t WHERE id > 3) TO STDOUT",
            "SELECT 1 FROM (SELECT id FROM t WHERE id > 3) abeyance_rows LIMIT 11",
        ),
        (
            "COPY s.t(a, b) TO STDOUT",
            "SELECT 1 FROM (SELECT 1 FROM ONLY s.t) abeyance_rows LIMIT 11",
        ),
        (
            "SELECT id FROM t WHERE id > 3 ORDER BY id LIMIT 2 FOR UPDATE SKIP LOCKED",
            "SELECT 1 FROM (SELECT id FROM t WHERE id > 3 ORDER BY id LIMIT 2) abeyance_rows LIMIT 11",
        ),
    ];
    for (text, want) in cases {
        let want = format!("SELECT pg_catalog.count(*) FROM ({want}) AS abeyance_counted");
        assert_eq!(count(text).as_deref(), Some(&*want), "{text}");
    }
}

#[test]
fn values_are_counted_by_the_text() {
    for (text, want) in [
        ("INSERT INTO t VALUES (1), (2), ($1)", 3),
        ("INSERT INTO t DEFAULT VALUES", 1),
        ("INSERT INTO t(a) VALUES (1) ON CONFLICT DO NOTHING", 1),
    ] {
        let touched = touched(text, true).unwrap();
        assert!(matches!(touched.amount, Amount::Given(n) if n == want));
        assert_eq!(touched.on_conflict, text.contains("CONFLICT"));
    }
}

#[test]
fn what_cannot_be_counted_soundly_is_untold() {
    for text in [
        "DELETE FROM t WHERE CURRENT OF c",
        "DELETE FROM t WHERE random() < 0.5",
        "WITH d AS (DELETE FROM t RETURNING id) DELETE FROM u USING d WHERE u.id = d.id",
        "SELECT * FROM (SELECT * FROM t FOR UPDATE) AS u",
        "WITH d AS (DELETE FROM t RETURNING id) SELECT * FROM d",
        "INSERT INTO t SELECT nextval('s')",
    ] {
        assert!(
            matches!(touched(text, true).unwrap().amount, Amount::Untold),
            "{text}"
        );
    }
    for text in [
        "TRUNCATE t",
        "DELETE FROM t; DELETE FROM u",
        "not sql",
        "MERGE INTO t USING u ON true WHEN MATCHED THEN DELETE",
    ] {
        assert!(touched(text, true).is_none(), "{text}");
    }
}

#[test]
fn parameters_keep_their_numbers_and_tell_when_they_are_shared() {
    let matching = |text: &str| match touched(text, true).unwrap().amount {
        Amount::Matching(matching) => matching,
        other => panic!("{other:?}"),
    };
    let update = matching("UPDATE t SET a = $1 WHERE b = $2 AND c = $2");
    assert_eq!(update.params(), &BTreeSet::from([2]));
    assert!(!update.shares_params());
    assert!(matching("UPDATE t SET a = $1 WHERE b = $1").shares_params());
}

#[test]
fn keys_are_those_of_the_written_table() {
    let text = "DELETE FROM billing AS \"B\" USING patients p WHERE \"B\".id = p.id";
    let Amount::Matching(matching) = touched(text, true).unwrap().amount else {
        panic!("not countable");
    };
    let keys = ["id".to_owned(), "odd name".to_owned()];
    assert_eq!(
        matching.columns(&keys, 3).unwrap(),
        "SELECT \"B\".\"id\", \"B\".\"odd name\" FROM billing \"B\" WHERE EXISTS (SELECT 1 FROM patients p WHERE \"B\".id = p.id) LIMIT 3"
    );
}

#[test]
fn set_columns_and_strings_with_backslashes_survive() {
    let touched = touched(
        r"UPDATE t SET (a, b) = (1, 2), c = 'x' WHERE d = 'a\'' OR e = 1",
        false,
    );
    let touched = touched.unwrap();
    let sets: Vec<&str> = touched.sets.iter().map(String::as_str).collect();
    assert_eq!(sets, ["a", "b", "c"]);
    let Amount::Matching(matching) = touched.amount else {
        panic!("not countable");
    };
    // Written so that it means the same whatever `standard_conforming_strings` is.
    assert!(matching.count(1).contains("d = 'a'''"));
}

/// The writer is C and ends the process at a tree it does not know.
#[test]
fn every_statement_of_the_corpus_survives() {
    let corpus = include_str!("../../../../../tests/corpus/open.jsonl");
    let mut countable = 0;
    for line in corpus.lines().filter(|line| !line.trim().is_empty()) {
        let case: serde_json::Value = serde_json::from_str(line).unwrap();
        let Some(sql) = case["sql"].as_str() else {
            continue;
        };
        let amount = touched(sql, true).map(|touched| touched.amount);
        countable += usize::from(matches!(amount, Some(Amount::Matching(_))));
    }
    assert!(countable > 50, "{countable}");
}

#[test]
fn queries_inside_are_explained_without_what_they_do() {
    for (text, want) in [
        ("SELECT id FROM t", None),
        ("SELECT id FROM t FOR UPDATE", Some("SELECT id FROM t")),
        ("SELECT id INTO u FROM t", Some("SELECT id FROM t")),
        (
            "CREATE TABLE u AS SELECT id FROM t WITH NO DATA",
            Some("SELECT id FROM t"),
        ),
        ("COPY t TO STDOUT", Some("SELECT 1 FROM ONLY t")),
    ] {
        let touched = touched(text, true).unwrap();
        assert_eq!(touched.query.as_deref(), want, "{text}");
        assert_eq!(touched.operation, None);
    }
    let empty = touched("CREATE TABLE u AS SELECT id FROM t WITH NO DATA", true);
    assert!(matches!(empty.unwrap().amount, Amount::Given(0)));
    assert!(touched("COPY t FROM STDIN", true).is_none());
    let skipping = touched("SELECT * FROM t FOR UPDATE SKIP LOCKED", true);
    assert!(skipping.unwrap().may_skip.is_some());
}
