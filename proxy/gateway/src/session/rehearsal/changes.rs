//! What statements that are taken to have run did to the catalog: a rehearsal knows that something changed, not what
//! it is now.

use std::collections::BTreeSet;

use abeyance_sql::{RelationName, StatementClass, StatementFacts};

/// Definitions that changed since the catalog was read.
#[derive(Debug, Default)]
pub(super) struct Changes {
    relations: BTreeSet<RelationName>,
    /// Something else than relations: functions, operators, types, schemas. Any name may lead elsewhere.
    anything: bool,
}

/// Statements that change the definition of relations alone, by their names.
const OF_RELATIONS: [&str; 11] = [
    "CREATE TABLE",
    "CREATE TABLE AS",
    "SELECT INTO",
    "CREATE INDEX",
    "CREATE SEQUENCE",
    "ALTER TABLE",
    "ALTER SEQUENCE",
    "DROP TABLE",
    "DROP INDEX",
    "DROP SEQUENCE",
    "TRUNCATE",
];

impl Changes {
    pub(super) fn follow(&mut self, facts: &StatementFacts) {
        self.relations.extend(facts.alters.iter().cloned());
        let defines = facts.classes.contains(&StatementClass::Ddl);
        let of_relations = facts
            .kinds
            .iter()
            .all(|kind| OF_RELATIONS.contains(&kind.as_str()) || kind == "SELECT");
        let unknown = facts.opaque.is_some() && facts.refers_to.is_none();
        self.anything |= unknown || (defines && !of_relations);
    }

    /// Why the facts of a statement may not be true any more.
    pub(super) fn doubts(&self, facts: &StatementFacts) -> Vec<String> {
        let mut doubts = Vec::new();
        if self.anything {
            doubts.push(
                "an earlier statement changed definitions, which only a live session can follow"
                    .to_owned(),
            );
        }
        let changed = facts
            .relations()
            .find(|named| self.relations.iter().any(|changed| same(named, changed)));
        if let Some(named) = changed {
            doubts.push(format!(
                "{named} was made or changed by an earlier statement, which only a live session can follow"
            ));
        }
        doubts
    }
}

/// The two names may be of one relation.
fn same(one: &RelationName, other: &RelationName) -> bool {
    one.name == other.name || one.name == "*" || other.name == "*"
}

/// What a server says when the statement has completed, as far as anybody looks at it.
pub(super) fn command_tag(facts: &StatementFacts) -> String {
    let begins = |word: &str| {
        let head = facts.redacted.get(..word.len());
        head.is_some_and(|head| head.eq_ignore_ascii_case(word))
    };
    if facts.defines.is_some() {
        let tag = if begins("PREPARE") {
            "PREPARE"
        } else {
            "DECLARE CURSOR"
        };
        return tag.to_owned();
    }
    let all = facts.refers_to.is_none();
    match facts.kind.as_str() {
        "DEALLOCATE" if all => "DEALLOCATE ALL",
        "CLOSE" if all => "CLOSE CURSOR ALL",
        "CLOSE" => "CLOSE CURSOR",
        "DISCARD" if begins("DISCARD ALL") => "DISCARD ALL",
        kind => kind,
    }
    .to_owned()
}
