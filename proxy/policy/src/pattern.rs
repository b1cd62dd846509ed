//! Patterns that name relations and columns. A star stands for any run of characters.

use std::str::FromStr;

use abeyance_sql::{ColumnName, RelationName};

use crate::truth::Truth;

/// `patients` (in any schema), `public.patients`, `audit.*`, `lab_*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TablePattern {
    schema: Option<String>,
    name: String,
}

impl FromStr for TablePattern {
    type Err = &'static str;

    fn from_str(pattern: &str) -> Result<Self, Self::Err> {
        let (schema, name) = match pattern.split_once('.') {
            Some((schema, name)) => (Some(schema), name),
            None => (None, pattern),
        };
        check_parts(schema.into_iter().chain([name]))?;
        Ok(Self {
            schema: schema.map(str::to_owned),
            name: name.to_owned(),
        })
    }
}

fn check_parts<'a>(parts: impl Iterator<Item = &'a str>) -> Result<(), &'static str> {
    for part in parts {
        if part.is_empty() {
            return Err("a part of the name is empty");
        }
        if part.contains(['"', '\'', '.', '`']) || part.trim() != part {
            return Err("it has quotes, blanks around it, or too many dots");
        }
    }
    Ok(())
}

impl TablePattern {
    pub(crate) fn schema(&self) -> Option<&str> {
        self.schema.as_deref()
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Whether the relation is one of these. A name without a schema is doubtful for a pattern
    /// with one that could be meant: it is taken to be in `public`.
    pub(crate) fn matches(&self, relation: &RelationName) -> Truth {
        let name = relation.name.as_str();
        // `GRANT ... ON ALL TABLES IN SCHEMA s` touches `s.*`: every pattern may be among them.
        let everything = name == "*";
        if !everything && !glob(&self.name, name) {
            return Truth::False;
        }
        let schema = match (self.schema.as_deref(), relation.schema.as_deref()) {
            (None | Some("*"), _) => Truth::True,
            (Some(pattern), Some(schema)) => glob(pattern, schema).into(),
            (Some(pattern), None) if glob(pattern, "public") => Truth::Unknown,
            (Some(_), None) => Truth::False,
        };
        let name = if everything && self.name != "*" {
            Truth::Unknown
        } else {
            Truth::True
        };
        schema.and(name)
    }

    /// As [`Self::matches`], but a pattern without a schema leaves the server's own catalogs out.
    fn matches_users(&self, relation: &RelationName) -> Truth {
        if self.schema.is_none() && is_system(relation) {
            return Truth::False;
        }
        self.matches(relation)
    }
}

/// A relation of the server itself, whatever the catalog says: nobody else may make those.
pub(crate) fn is_system(relation: &RelationName) -> bool {
    match relation.schema.as_deref() {
        Some(schema) => matches!(schema, "pg_catalog" | "information_schema"),
        None => relation.name.starts_with("pg_"),
    }
}

/// `patients.ssn`, `*.ssn`, `public.patients.*`, `clinic.*.notes`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ColumnPattern {
    table: TablePattern,
    column: String,
}

impl FromStr for ColumnPattern {
    type Err = &'static str;

    fn from_str(pattern: &str) -> Result<Self, Self::Err> {
        let Some((table, column)) = pattern.rsplit_once('.') else {
            return Err("it has no table; `*` stands for any");
        };
        check_parts(std::iter::once(column))?;
        Ok(Self {
            table: table.parse()?,
            column: column.to_owned(),
        })
    }
}

impl ColumnPattern {
    pub(crate) fn table(&self) -> &TablePattern {
        &self.table
    }

    pub(crate) fn column(&self) -> &str {
        &self.column
    }

    /// Whether the column is one of these, as far as its own name tells.
    pub(crate) fn matches(&self, column: &ColumnName) -> Truth {
        let all = column.name == "*";
        if !all && !glob(&self.column, &column.name) {
            return Truth::False;
        }
        match &column.relation {
            Some(relation) => self.table.matches_users(relation),
            None => Truth::Unknown,
        }
    }

    /// Whether it takes every column of a relation.
    pub(crate) fn takes_all_columns(&self) -> bool {
        self.column == "*"
    }

    /// Whether the relation may have such a column.
    pub(crate) fn may_be_in(&self, relation: &RelationName) -> bool {
        self.table.matches_users(relation) != Truth::False
    }
}

/// `*` stands for any run of characters. Linear in practice and never worse than the product of
/// the lengths: the last star only is retried.
pub(crate) fn glob(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut p, mut t) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                retry = Some((p + 1, t));
                p += 1;
            }
            Some(byte) if text.get(t) == Some(byte) => {
                p += 1;
                t += 1;
            }
            _ => match retry {
                Some((after_star, from)) => {
                    retry = Some((after_star, from + 1));
                    p = after_star;
                    t = from + 1;
                }
                None => return false,
            },
        }
    }
    pattern
        .get(p..)
        .unwrap_or_default()
        .iter()
        .all(|b| *b == b'*')
}
