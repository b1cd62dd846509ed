//! A checked condition: small, typed, and cheap to evaluate.

use chrono_tz::Tz;

use super::vocabulary::{BoolFact, IntFact, TableList, TextFact, TextList};
use crate::pattern::{ColumnPattern, TablePattern};

/// True, false or not known.
#[derive(Debug, Clone)]
pub(crate) enum Condition {
    Constant(bool),
    Fact(BoolFact),
    Not(Box<Condition>),
    And(Vec<Condition>),
    Or(Vec<Condition>),
    If(Box<[Condition; 3]>),
    Same(Box<[Condition; 2]>),
    Ints(Order, Int, Int),
    IntIn(Int, Vec<i64>),
    Texts(Order, Text, Text),
    TextIn(Text, Vec<String>),
    Has(TextList, Text),
    HasTable(TableList, TablePattern),
    HasColumn(ColumnPattern),
    Part(Part, Text, Text),
    Like(Text, String),
    Some(List, Box<Condition>),
    Every(List, Box<Condition>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Order {
    /// With its sides changed.
    pub(super) const fn turned(self) -> Self {
        match self {
            Self::Equal | Self::NotEqual => self,
            Self::Less => Self::Greater,
            Self::LessOrEqual => Self::GreaterOrEqual,
            Self::Greater => Self::Less,
            Self::GreaterOrEqual => Self::LessOrEqual,
        }
    }

    pub(super) fn holds(self, found: std::cmp::Ordering) -> bool {
        match self {
            Self::Equal => found.is_eq(),
            Self::NotEqual => found.is_ne(),
            Self::Less => found.is_lt(),
            Self::LessOrEqual => found.is_le(),
            Self::Greater => found.is_gt(),
            Self::GreaterOrEqual => found.is_ge(),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Start,
    End,
    Anywhere,
}

/// A whole number; what does not fit 64 bits is not known.
#[derive(Debug, Clone)]
pub(crate) enum Int {
    Constant(i64),
    Fact(IntFact, Tz),
    Size(List),
    Length(Box<Text>),
    Sum(Box<[Int; 2]>),
    Difference(Box<[Int; 2]>),
    Product(Box<[Int; 2]>),
}

#[derive(Debug, Clone)]
pub(crate) enum Text {
    Constant(String),
    Fact(TextFact, Tz),
    /// Of the element that the comprehension at this depth is at.
    Element(usize, TextFact),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum List {
    Texts(TextList),
    Tables(TableList),
    Columns,
}
