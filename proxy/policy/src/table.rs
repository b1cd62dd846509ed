//! Patterns that name relations.

use std::str::FromStr;

use abeyance_sql::RelationName;

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
        let odd = |part: &str| part.contains(['"', '\'', '.', '`']) || part.trim() != part;
        if name.is_empty() || schema.is_some_and(str::is_empty) {
            return Err("a part of the name is empty");
        }
        if odd(name) || schema.is_some_and(odd) {
            return Err("it has quotes, blanks around it, or too many dots");
        }
        Ok(Self {
            schema: schema.map(str::to_owned),
            name: name.to_owned(),
        })
    }
}

impl TablePattern {
    /// The relation may be one of these. A name without a schema is taken to be in `public`.
    pub(crate) fn may_match(&self, relation: &RelationName) -> bool {
        let schema = relation.schema.as_deref().unwrap_or("public");
        self.matches(Some(schema), &relation.name)
    }

    /// The relation is one of these, wherever `search_path` leads: a pattern with a schema
    /// needs a name with a schema.
    pub(crate) fn surely_matches(&self, relation: &RelationName) -> bool {
        self.matches(relation.schema.as_deref(), &relation.name)
    }

    fn matches(&self, schema: Option<&str>, name: &str) -> bool {
        let schema_fits = match (&self.schema, schema) {
            (None, _) => true,
            (Some(pattern), Some(schema)) => glob(pattern, schema),
            (Some(pattern), None) => pattern == "*",
        };
        // `GRANT ... ON ALL TABLES IN SCHEMA s` touches `s.*`: every pattern may be among them.
        schema_fits && (glob(&self.name, name) || name == "*")
    }
}

/// `*` stands for any run of characters. Linear: the last star only is retried.
fn glob(pattern: &str, text: &str) -> bool {
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
