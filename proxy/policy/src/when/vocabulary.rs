//! The variables of `when`: every name, its type, and what it stands for. `docs/policy.md` has the
//! same table for people; a test keeps the two equal.

use abeyance_sql::{Predicate, Reach, StatementClass, TableLock, Undo, all_kinds};

use crate::{Access, case::TableAccess};

/// A variable with fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Object {
    Statement,
    Blast,
    Agent,
    Session,
    Target,
    Time,
    /// An element of a list of tables.
    Table,
    /// An element of a list of columns.
    Column,
}

impl Object {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Statement => "statement",
            Self::Blast => "blast",
            Self::Agent => "agent",
            Self::Session => "session",
            Self::Target => "target",
            Self::Time => "time",
            Self::Table => "a table",
            Self::Column => "a column",
        }
    }
}

/// What a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Leaf {
    Object(Object),
    Bool(BoolFact),
    Int(IntFact),
    Text(TextFact),
    Texts(TextList),
    Tables(TableList),
    Columns,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BoolFact {
    Opaque,
    Certain,
    Resolved,
    Explainable,
    OneRow,
    ColumnsKnown,
    BlocksReads,
    BlocksWrites,
    Rewrites,
    Transactional,
    Cascade,
    BlastRewrites,
    BlastFullScan,
    BlastReversible,
    BlastTransactional,
    InTransaction,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum IntFact {
    RowsMax,
    StatementsInBatch,
    BlastRows,
    BlastCascadeRows,
    BlastBlockedSessions,
    SessionAge,
    Year,
    Month,
    Day,
    Hour,
    Minute,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TextFact {
    Kind,
    Class,
    Predicate,
    Lock,
    Undo,
    SessionEffect,
    Sets,
    Fingerprint,
    AgentName,
    AgentOwner,
    AgentAccess,
    Actor,
    ApplicationName,
    ClientAddr,
    TargetName,
    Environment,
    Database,
    Weekday,
    Date,
    /// Of the element at hand.
    ElementSchema,
    ElementTable,
    ElementName,
    ElementAccess,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TextList {
    Kinds,
    Classes,
    Names,
    Functions,
    Operators,
    Casts,
    Routines,
    Triggers,
    Reach,
    KeyedBy,
    Missing,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TableList {
    All,
    Reads,
    Writes,
    Alters,
    Through,
    Foreign,
    Cascades,
}

/// Variables at the top.
pub(super) const GLOBALS: &[(&str, Leaf)] = &[
    ("statement", Leaf::Object(Object::Statement)),
    ("tables", Leaf::Tables(TableList::All)),
    ("columns", Leaf::Columns),
    ("blast", Leaf::Object(Object::Blast)),
    ("agent", Leaf::Object(Object::Agent)),
    ("actor", Leaf::Text(TextFact::Actor)),
    ("session", Leaf::Object(Object::Session)),
    ("target", Leaf::Object(Object::Target)),
    ("time", Leaf::Object(Object::Time)),
];

/// The fields of a variable.
pub(super) fn fields(object: Object) -> &'static [(&'static str, Leaf)] {
    match object {
        Object::Statement => STATEMENT,
        Object::Blast => BLAST,
        Object::Agent => AGENT,
        Object::Session => SESSION,
        Object::Target => TARGET,
        Object::Time => TIME,
        Object::Table => TABLE,
        Object::Column => COLUMN,
    }
}

/// As a condition writes it: `time.hour`.
pub(super) fn written(leaf: Leaf) -> Option<String> {
    GLOBALS.iter().find_map(|(name, known)| match known {
        Leaf::Object(object) => {
            let (field, _) = fields(*object).iter().find(|(_, known)| *known == leaf)?;
            Some(format!("{name}.{field}"))
        }
        known => (*known == leaf).then(|| (*name).to_owned()),
    })
}

const STATEMENT: &[(&str, Leaf)] = &[
    ("kind", Leaf::Text(TextFact::Kind)),
    ("kinds", Leaf::Texts(TextList::Kinds)),
    ("class", Leaf::Text(TextFact::Class)),
    ("classes", Leaf::Texts(TextList::Classes)),
    ("predicate", Leaf::Text(TextFact::Predicate)),
    ("opaque", Leaf::Bool(BoolFact::Opaque)),
    ("certain", Leaf::Bool(BoolFact::Certain)),
    ("resolved", Leaf::Bool(BoolFact::Resolved)),
    ("explainable", Leaf::Bool(BoolFact::Explainable)),
    ("one_row", Leaf::Bool(BoolFact::OneRow)),
    ("rows_max", Leaf::Int(IntFact::RowsMax)),
    ("columns_known", Leaf::Bool(BoolFact::ColumnsKnown)),
    ("names", Leaf::Texts(TextList::Names)),
    ("functions", Leaf::Texts(TextList::Functions)),
    ("operators", Leaf::Texts(TextList::Operators)),
    ("casts", Leaf::Texts(TextList::Casts)),
    ("keyed_by", Leaf::Texts(TextList::KeyedBy)),
    ("reads", Leaf::Tables(TableList::Reads)),
    ("writes", Leaf::Tables(TableList::Writes)),
    ("alters", Leaf::Tables(TableList::Alters)),
    ("through", Leaf::Tables(TableList::Through)),
    ("foreign", Leaf::Tables(TableList::Foreign)),
    ("cascades", Leaf::Tables(TableList::Cascades)),
    ("routines", Leaf::Texts(TextList::Routines)),
    ("triggers", Leaf::Texts(TextList::Triggers)),
    ("missing", Leaf::Texts(TextList::Missing)),
    ("reach", Leaf::Texts(TextList::Reach)),
    ("lock", Leaf::Text(TextFact::Lock)),
    ("blocks_reads", Leaf::Bool(BoolFact::BlocksReads)),
    ("blocks_writes", Leaf::Bool(BoolFact::BlocksWrites)),
    ("rewrites", Leaf::Bool(BoolFact::Rewrites)),
    ("undo", Leaf::Text(TextFact::Undo)),
    ("transactional", Leaf::Bool(BoolFact::Transactional)),
    ("cascade", Leaf::Bool(BoolFact::Cascade)),
    ("session", Leaf::Text(TextFact::SessionEffect)),
    ("sets", Leaf::Text(TextFact::Sets)),
    ("fingerprint", Leaf::Text(TextFact::Fingerprint)),
    ("statements_in_batch", Leaf::Int(IntFact::StatementsInBatch)),
];

const BLAST: &[(&str, Leaf)] = &[
    ("rows", Leaf::Int(IntFact::BlastRows)),
    ("cascade_rows", Leaf::Int(IntFact::BlastCascadeRows)),
    ("blocked_sessions", Leaf::Int(IntFact::BlastBlockedSessions)),
    ("rewrites", Leaf::Bool(BoolFact::BlastRewrites)),
    ("full_scan", Leaf::Bool(BoolFact::BlastFullScan)),
    ("reversible", Leaf::Bool(BoolFact::BlastReversible)),
    ("transactional", Leaf::Bool(BoolFact::BlastTransactional)),
];

const AGENT: &[(&str, Leaf)] = &[
    ("name", Leaf::Text(TextFact::AgentName)),
    ("owner", Leaf::Text(TextFact::AgentOwner)),
    ("access", Leaf::Text(TextFact::AgentAccess)),
];

const SESSION: &[(&str, Leaf)] = &[
    ("application_name", Leaf::Text(TextFact::ApplicationName)),
    ("client_addr", Leaf::Text(TextFact::ClientAddr)),
    ("in_transaction", Leaf::Bool(BoolFact::InTransaction)),
    ("age", Leaf::Int(IntFact::SessionAge)),
];

const TARGET: &[(&str, Leaf)] = &[
    ("name", Leaf::Text(TextFact::TargetName)),
    ("environment", Leaf::Text(TextFact::Environment)),
    ("database", Leaf::Text(TextFact::Database)),
];

const TIME: &[(&str, Leaf)] = &[
    ("year", Leaf::Int(IntFact::Year)),
    ("month", Leaf::Int(IntFact::Month)),
    ("day", Leaf::Int(IntFact::Day)),
    ("hour", Leaf::Int(IntFact::Hour)),
    ("minute", Leaf::Int(IntFact::Minute)),
    ("weekday", Leaf::Text(TextFact::Weekday)),
    ("date", Leaf::Text(TextFact::Date)),
];

const TABLE: &[(&str, Leaf)] = &[
    ("schema", Leaf::Text(TextFact::ElementSchema)),
    ("name", Leaf::Text(TextFact::ElementName)),
    ("access", Leaf::Text(TextFact::ElementAccess)),
];

const COLUMN: &[(&str, Leaf)] = &[
    ("schema", Leaf::Text(TextFact::ElementSchema)),
    ("table", Leaf::Text(TextFact::ElementTable)),
    ("name", Leaf::Text(TextFact::ElementName)),
];

/// A text that is always one of a fixed set of words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Words {
    Kind,
    Class,
    Predicate,
    Lock,
    Undo,
    Session,
    Reach,
    AgentAccess,
    TableAccess,
    Weekday,
}

impl Words {
    pub(super) fn all(self) -> Vec<String> {
        let own = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        match self {
            Self::Kind => all_kinds().collect(),
            Self::Class => StatementClass::ALL
                .iter()
                .map(ToString::to_string)
                .collect(),
            Self::Predicate => Predicate::ALL.iter().map(ToString::to_string).collect(),
            Self::Lock => LOCKS
                .iter()
                .map(|lock| lock_word(*lock).to_owned())
                .collect(),
            Self::Undo => own(&["nothing", "counterpart", "until_commit", "never"]),
            Self::Session => own(&["none", "set", "role", "reset", "notify"]),
            Self::Reach => REACHES
                .iter()
                .map(|reach| reach_word(*reach).to_owned())
                .collect(),
            Self::AgentAccess => own(&[Access::ReadOnly.as_str(), Access::ReadWrite.as_str()]),
            Self::TableAccess => [
                TableAccess::Read,
                TableAccess::Write,
                TableAccess::Alter,
                TableAccess::Cascade,
            ]
            .iter()
            .map(|access| access.as_str().to_owned())
            .collect(),
            Self::Weekday => own(&WEEKDAYS),
        }
    }
}

impl IntFact {
    /// The numbers it can be, both ends counted.
    pub(super) const fn range(self) -> (i64, i64) {
        match self {
            Self::Month => (1, 12),
            Self::Day => (1, 31),
            Self::Hour => (0, 23),
            Self::Minute => (0, 59),
            Self::RowsMax
            | Self::StatementsInBatch
            | Self::BlastRows
            | Self::BlastCascadeRows
            | Self::BlastBlockedSessions
            | Self::SessionAge
            | Self::Year => (0, i64::MAX),
        }
    }
}

impl TextFact {
    pub(super) const fn words(self) -> Option<Words> {
        match self {
            Self::Kind => Some(Words::Kind),
            Self::Class => Some(Words::Class),
            Self::Predicate => Some(Words::Predicate),
            Self::Lock => Some(Words::Lock),
            Self::Undo => Some(Words::Undo),
            Self::SessionEffect => Some(Words::Session),
            Self::AgentAccess => Some(Words::AgentAccess),
            Self::ElementAccess => Some(Words::TableAccess),
            Self::Weekday => Some(Words::Weekday),
            Self::Sets
            | Self::Fingerprint
            | Self::AgentName
            | Self::AgentOwner
            | Self::Actor
            | Self::ApplicationName
            | Self::ClientAddr
            | Self::TargetName
            | Self::Environment
            | Self::Database
            | Self::Date
            | Self::ElementSchema
            | Self::ElementTable
            | Self::ElementName => None,
        }
    }
}

impl TextList {
    pub(super) const fn words(self) -> Option<Words> {
        match self {
            Self::Kinds => Some(Words::Kind),
            Self::Classes => Some(Words::Class),
            Self::Reach => Some(Words::Reach),
            Self::Names
            | Self::Functions
            | Self::Operators
            | Self::Casts
            | Self::Routines
            | Self::Triggers
            | Self::KeyedBy
            | Self::Missing => None,
        }
    }
}

/// In the order of `chrono::Weekday::num_days_from_monday`.
pub(super) const WEEKDAYS: [&str; 7] = [
    "monday",
    "tuesday",
    "wednesday",
    "thursday",
    "friday",
    "saturday",
    "sunday",
];

const LOCKS: [TableLock; 9] = [
    TableLock::None,
    TableLock::AccessShare,
    TableLock::RowShare,
    TableLock::RowExclusive,
    TableLock::ShareUpdateExclusive,
    TableLock::Share,
    TableLock::ShareRowExclusive,
    TableLock::Exclusive,
    TableLock::AccessExclusive,
];

pub(super) const fn lock_word(lock: TableLock) -> &'static str {
    match lock {
        TableLock::None => "none",
        TableLock::AccessShare => "access_share",
        TableLock::RowShare => "row_share",
        TableLock::RowExclusive => "row_exclusive",
        TableLock::ShareUpdateExclusive => "share_update_exclusive",
        TableLock::Share => "share",
        TableLock::ShareRowExclusive => "share_row_exclusive",
        TableLock::Exclusive => "exclusive",
        TableLock::AccessExclusive => "access_exclusive",
    }
}

const REACHES: [Reach; 4] = [
    Reach::ServerFile,
    Reach::Program,
    Reach::Network,
    Reach::OtherSessions,
];

pub(super) const fn reach_word(reach: Reach) -> &'static str {
    match reach {
        Reach::ServerFile => "server_file",
        Reach::Program => "program",
        Reach::Network => "network",
        Reach::OtherSessions => "other_sessions",
    }
}

pub(super) const fn undo_word(undo: Undo) -> Option<&'static str> {
    match undo {
        Undo::Nothing => Some("nothing"),
        Undo::Counterpart => Some("counterpart"),
        Undo::UntilCommit => Some("until_commit"),
        Undo::Never => Some("never"),
        Undo::Unknown => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The page for people names every variable, and no other.
    #[test]
    fn the_documentation_names_every_variable() {
        let page = include_str!("../../../../docs/policy.md");
        let table = page.split("### Variables").nth(1).unwrap_or_default();
        let table = table.split("###").next().unwrap_or_default();
        let mut known = Vec::new();
        for (name, leaf) in GLOBALS {
            match leaf {
                Leaf::Object(object) => {
                    known.extend(
                        fields(*object)
                            .iter()
                            .map(|(field, _)| format!("{name}.{field}")),
                    );
                }
                _ => known.push((*name).to_owned()),
            }
        }
        for (element, object) in [("t", Object::Table), ("c", Object::Column)] {
            let names = fields(object).iter();
            known.extend(names.map(|(field, _)| format!("{element}.{field}")));
        }
        let rows = table.lines().filter(|line| line.starts_with("| `"));
        let named: Vec<String> = rows
            .clone()
            .filter_map(|line| line.split('|').nth(1))
            .flat_map(|cell| cell.split('`').skip(1).step_by(2))
            .map(str::to_owned)
            .collect();
        for name in &known {
            let anywhere = format!("`{name}`");
            assert!(table.contains(&anywhere), "not in docs/policy.md: {name}");
        }
        for name in &named {
            assert!(known.contains(name), "in docs/policy.md only: {name}");
        }
    }
}
