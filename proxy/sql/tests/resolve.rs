//! One line a statement: what it touches, with a catalog. The table is `resolve_table.txt`.
//!
//! A line is the statement, ` => ` and what resolution says. Lines that begin with `#` say what the
//! next ones are read under: `# catalog odd`, `# path other,public`, `# temporary staff(id,private)`,
//! `# vouched public.good`, `# no catalog`. `ABEYANCE_TABLE=write cargo test` rewrites what is
//! said of every line; read the difference before committing it.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails the test")]

use std::{collections::BTreeSet, fmt::Write as _, sync::Arc};

use abeyance_sql::{Catalog, FunctionName, ReadOptions, Sight, StatementFacts, analyse};

const TABLE: &str = include_str!("resolve_table.txt");
const CLINIC: &str = include_str!("clinic_catalog.json");
const ODD: &str = include_str!("odd_catalog.json");
const CORPUS: &str = include_str!("../../../tests/corpus/open.jsonl");

#[test]
fn every_line_holds() {
    let mut actual = String::new();
    let mut under = Under::default();
    for line in TABLE.lines() {
        if let Some(words) = line.strip_prefix("# ") {
            under.change(words);
        }
        match line.split_once(" => ") {
            Some((sql, _)) => writeln!(actual, "{sql} => {}", under.summary(sql)).unwrap(),
            None => writeln!(actual, "{line}").unwrap(),
        }
    }
    if std::env::var("ABEYANCE_TABLE").as_deref() == Ok("write") {
        let table = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/resolve_table.txt");
        std::fs::write(table, &actual).unwrap();
        return;
    }
    for (expected, actual) in TABLE.lines().zip(actual.lines()) {
        assert_eq!(actual, expected);
    }
}

/// What the statements of the corpus must touch, or must not.
#[test]
fn protected_columns_are_found() {
    let under = Under::of(CLINIC);
    let protected: BTreeSet<&str> = PROTECTED.split_whitespace().collect();
    let mut seen = 0;
    for line in CORPUS.lines() {
        let row: serde_json::Value = serde_json::from_str(line).unwrap();
        let text = |name: &str| row[name].as_str().unwrap_or_default();
        // One needs another reading of strings, one an output that nobody asks for.
        let other = matches!(text("id"), "pg-lexical-010" | "pg-parser-011");
        if text("dialect") != "postgresql" || other {
            continue;
        }
        let statements = under.read(text("sql"));
        let may_touch = statements.iter().any(|facts| {
            let mut columns = facts.columns.iter();
            !facts.columns_known
                || !facts.is_certain()
                || columns.any(|column| protected.contains(column.to_string().as_str()))
        });
        let benign = row["accept"] == serde_json::json!(["allow"]);
        if text("expect") == "mask"
            || text("category") == "sidechannel" && text("expect") != "allow"
        {
            assert!(may_touch, "{}: {}", text("id"), text("sql"));
            seen += 1;
        } else if benign {
            assert!(!may_touch, "{}: {}", text("id"), text("sql"));
            seen += 1;
        }
    }
    assert!(seen > 80, "{seen} rows of the corpus were looked at");
}

/// A type of the server's own that somebody gave an order: whatever may give such a value may run code.
#[test]
fn own_types_are_compared_by_what_users_say() {
    let mut catalog = Catalog::from_json(CLINIC.as_bytes()).unwrap().clone();
    let json = serde_json::json!({
        "name": {"schema": "pg_catalog", "name": "json"}, "kind": {"is": "enum"}, "on_make": [],
        "on_compare": [{"schema": "public", "name": "order_json"}],
    });
    catalog.types.push(serde_json::from_value(json).unwrap());
    let under = Under::with(catalog);
    let doubted = |sql: &str| {
        let facts = under.read(sql);
        let doubts = facts.iter().flat_map(|facts| &facts.doubts);
        doubts.filter(|doubt| doubt.contains("order_json")).count()
    };
    for sql in [
        "SELECT DISTINCT '{}'::json",
        "SELECT greatest(json '1', json '2')",
        "SELECT DISTINCT to_json(floor) FROM rooms",
        "SELECT DISTINCT r.row_to_json FROM rooms r",
        "SELECT DISTINCT '{}'::json[]",
    ] {
        assert_eq!(doubted(sql), 1, "{sql}");
    }
    assert_eq!(doubted("SELECT room FROM rooms ORDER BY floor + 1"), 0);
}

const PROTECTED: &str = "\
public.patients.name public.patients.ssn public.patients.mrn public.patients.dob \
public.patients.email public.patients.phone public.patients_archive.name \
public.patients_archive.ssn public.patients_archive.mrn public.patients_archive.dob \
public.patients_archive.email public.patients_archive.phone public.visits.notes \
public.billing.card_last4 public.audit_log.old_row public.audit_log.new_row \
public.patient_stats.oldest";

/// What statements are read under.
#[derive(Default)]
struct Under {
    sight: Option<Sight>,
}

impl Under {
    fn of(json: &str) -> Self {
        Self::with(Catalog::from_json(json.as_bytes()).unwrap())
    }

    fn with(catalog: Catalog) -> Self {
        let catalog = Arc::new(catalog);
        Self {
            sight: Some(Sight {
                search_path: catalog.search_path.clone().into(),
                catalog,
                vouched: Arc::default(),
            }),
        }
    }

    fn change(&mut self, words: &str) {
        match words.split_once(' ') {
            Some(("catalog", "odd")) => *self = Self::of(ODD),
            Some(("catalog", "clinic")) => *self = Self::of(CLINIC),
            Some(("no", "catalog")) => self.sight = None,
            Some(("path", path)) => {
                let path = path.split(',').map(str::to_owned).collect();
                self.sight.as_mut().unwrap().search_path = path;
            }
            Some(("temporary", table)) => {
                let sight = self.sight.as_mut().unwrap();
                sight.catalog = Arc::new(sight.catalog.with_temporary(temporary(table)));
            }
            Some(("vouched", name)) => {
                let (schema, name) = name.split_once('.').unwrap();
                let name = FunctionName {
                    schema: Some(schema.to_owned()),
                    name: name.to_owned(),
                };
                self.sight.as_mut().unwrap().vouched = Arc::new([name].into());
            }
            _ => {}
        }
    }

    fn read(&self, sql: &str) -> Vec<StatementFacts> {
        let options = ReadOptions {
            sight: self.sight.clone(),
            ..ReadOptions::default()
        };
        analyse(sql.as_bytes(), options).statements
    }

    fn summary(&self, sql: &str) -> String {
        let each: Vec<String> = self.read(sql).iter().map(summary).collect();
        each.join(" ;; ")
    }
}

/// A session's own table, from `name(column,column)`.
fn temporary(table: &str) -> Catalog {
    let (name, columns) = table.trim_end_matches(')').split_once('(').unwrap();
    let column = |name: &str| serde_json::json!({"name": name, "type_name": {"schema": "pg_catalog", "name": "text"}});
    let columns: Vec<serde_json::Value> = columns.split(',').map(column).collect();
    let relation = serde_json::json!({
        "oid": 99_999, "name": {"schema": "pg_temp_3", "name": name}, "kind": "table",
        "owner": "me", "temporary": true, "columns": columns, "rows": null, "pages": 0,
        "definition": null, "rules": [], "triggers": [], "parents": [], "unique_keys": [],
        "foreign_keys": [], "row_security": false, "on_read": [], "on_write": [],
    });
    let mut catalog = Catalog::default();
    catalog.relations = vec![serde_json::from_value(relation).unwrap()];
    catalog
        .search_path
        .extend(["pg_temp_3", "pg_catalog", "public"].map(str::to_owned));
    catalog
}

fn summary(facts: &StatementFacts) -> String {
    let mut text = facts.kind.clone();
    if facts.kinds.len() > 1 {
        let kinds: Vec<&str> = facts.kinds.iter().map(String::as_str).collect();
        write!(text, " kinds {}", kinds.join(",")).unwrap();
    }
    list(&mut text, "touches", facts.columns.iter());
    if !facts.columns_known {
        text.push_str(" and what is not known");
    }
    list(&mut text, "keyed by", facts.keyed_by.iter());
    if let Some(rows) = facts.rows_max {
        write!(text, "; rows {rows}").unwrap();
    }
    if let Some(catalog) = &facts.catalog {
        list(&mut text, "reads", catalog.reads.iter());
        list(&mut text, "writes", catalog.writes.iter());
        list(&mut text, "through", catalog.through.iter());
        list(&mut text, "foreign", catalog.foreign.iter());
        list(&mut text, "cascades", catalog.cascades.iter());
        list(&mut text, "triggers", catalog.triggers.iter());
        list(&mut text, "routines", catalog.routines.iter());
        list(&mut text, "missing", catalog.missing.iter());
        if catalog.one_row {
            text.push_str("; one row");
        }
    }
    if let Some(reason) = &facts.opaque {
        write!(text, "; opaque: {reason}").unwrap();
    }
    for doubt in &facts.doubts {
        write!(text, "; doubt: {doubt}").unwrap();
    }
    text
}

fn list<T: ToString>(text: &mut String, what: &str, items: impl Iterator<Item = T>) {
    let items: Vec<String> = items
        .map(|item| item.to_string().replace("public.", ""))
        .collect();
    if !items.is_empty() {
        write!(text, "; {what} {}", items.join(" ")).unwrap();
    }
}
