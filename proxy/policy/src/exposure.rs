//! Which of some columns a statement touches, or may: directly, through a star or a view, or in a way
//! that cannot be seen.

use abeyance_sql::ColumnName;

use crate::{
    case::{Case, TableAccess},
    pattern::ColumnPattern,
    truth::Truth,
};

/// What a statement has to do with some columns.
#[derive(Debug)]
pub(crate) struct Exposure<'a> {
    pub(crate) truth: Truth,
    /// The columns that are, or may be, among them.
    pub(crate) columns: Vec<&'a ColumnName>,
    /// Why it is not known, worst first.
    pub(crate) because: Option<Because>,
}

/// Why it is not known whether a column is touched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Because {
    /// The statement is opaque, or runs something nobody vouches for.
    NotUnderstood,
    /// A name may stand for a view, or lead to a rule.
    NotResolved,
    /// A star, whole row or name could not be resolved to columns.
    ColumnsNotKnown,
    /// The column's relation is not known.
    Ambiguous,
}

impl<'a> Case<'a> {
    pub(crate) fn exposes(&self, patterns: &[ColumnPattern]) -> Exposure<'a> {
        let facts = self.facts;
        let mut truth = Truth::False;
        let mut columns = Vec::new();
        for column in &facts.columns {
            let matched = self.column_matches(column, patterns);
            if matched != Truth::False {
                columns.push(column);
                truth = truth.or(matched);
            }
        }
        let because = if truth == Truth::True {
            None
        } else if !facts.is_certain() {
            Some(Because::NotUnderstood)
        } else if !facts.columns_known && self.reads_one_of(patterns) {
            Some(Because::ColumnsNotKnown)
        } else if !self.resolved {
            Some(Because::NotResolved)
        } else if truth == Truth::Unknown {
            Some(Because::Ambiguous)
        } else {
            None
        };
        if because.is_some() {
            truth = truth.or(Truth::Unknown);
        }
        Exposure {
            truth,
            columns,
            because,
        }
    }

    fn column_matches(&self, column: &ColumnName, patterns: &[ColumnPattern]) -> Truth {
        let mut best = Truth::False;
        for pattern in patterns {
            let mut matched = pattern.matches(column);
            if column.relation.is_none() && matched == Truth::Unknown {
                // A name without a relation belongs to one of those that are read or written.
                let mut touched = self.data_tables();
                if self.tables_complete() && !touched.any(|table| pattern.may_be_in(table)) {
                    matched = Truth::False;
                }
            }
            best = best.or(matched);
            if best == Truth::True {
                break;
            }
        }
        best
    }

    fn reads_one_of(&self, patterns: &[ColumnPattern]) -> bool {
        self.data_tables()
            .any(|table| patterns.iter().any(|pattern| pattern.may_be_in(table)))
    }

    /// Relations whose rows are read or written.
    fn data_tables(&self) -> impl Iterator<Item = &'a abeyance_sql::RelationName> {
        self.tables()
            .filter(|(_, access)| *access != TableAccess::Alter)
            .map(|(relation, _)| relation)
    }
}
