//! What `ALTER TABLE ... ALTER COLUMN ... TYPE` asks for, for whoever can look up the columns' types.
//!
//! Pure. Whether every row is written anew depends on both types. The rules for that are PostgreSQL's own
//! (`ATColumnChangeRequiresRewrite` and the support functions of its length coercions); they are here, and
//! what they rest on is asked of the catalog elsewhere. What they do not cover is [`Rewrite::Possible`].

use pg_query::{
    Node, NodeEnum as N, ParserOptions,
    protobuf::{self as pb, AlterTableType},
};
use serde::Deserialize;

use super::{impact, pool, walk::text as word};
use crate::{RelationName, Rewrite, Undo};

/// Longest statement that is looked at here, in bytes.
const TEXT_BYTES_MAX: usize = 64 * 1024;

/// The changes of type in one ALTER TABLE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retypes {
    pub table: RelationName,
    pub columns: Vec<Retype>,
    /// What its other commands do.
    pub others: Rewrite,
    /// Its other commands may lose something of every row.
    pub others_lose: bool,
}

/// A column that gets another type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retype {
    pub column: String,
    /// The new type as `to_regtype` reads it, without modifiers.
    pub to: String,
    modifiers: Vec<i32>,
    /// USING computes the values from something else than the column.
    computed: bool,
}

/// What the catalog says of a column and the type it gets; names are those of `retype.sql`.
#[derive(Debug, Clone, Deserialize)]
pub struct Types {
    /// Oids, domains resolved to what they are made of.
    pub old: u32,
    pub new: u32,
    /// As `pg_attribute.atttypmod`.
    pub old_modifier: i32,
    pub old_is_domain: bool,
    /// The new type is a domain that checks its values.
    pub checked: bool,
    /// As `pg_cast.castmethod`; of arrays, that of their elements. `None`: there is no such cast.
    pub cast: Option<char>,
    /// The session's time zone is UTC.
    pub utc: bool,
}

/// What an ALTER TABLE does to types; `None` when it is none, or too large to look at.
pub async fn retypes(text: &str, standard_strings: bool) -> Option<Retypes> {
    if text.len() > TEXT_BYTES_MAX {
        return None;
    }
    let text = text.to_owned();
    let job = pool::submit(move || look(&text, standard_strings));
    job.await.flatten()
}

fn look(text: &str, standard_strings: bool) -> Option<Retypes> {
    let mode = if standard_strings {
        ParserOptions::DEFAULT
    } else {
        ParserOptions::DISABLE_STANDARD_CONFORMING_STRINGS
    };
    let tree = pg_query::parse(text, mode).ok()?.protobuf;
    let [only] = &tree.stmts[..] else { return None };
    let N::AlterTableStmt(alter) = only.stmt.as_ref()?.node.as_ref()? else {
        return None;
    };
    let relation = alter.relation.as_ref()?;
    let mut columns = Vec::new();
    let (mut others, mut others_lose) = (Rewrite::No, false);
    for command in &alter.cmds {
        let Some(N::AlterTableCmd(command)) = &command.node else {
            return None;
        };
        if AlterTableType::try_from(command.subtype) == Ok(AlterTableType::AtAlterColumnType) {
            columns.push(retype(command)?);
        } else {
            let impact = impact::alter_command(command);
            others = others.max(impact.rewrite);
            others_lose |= impact.undo >= Undo::UntilCommit;
        }
    }
    Some(Retypes {
        table: RelationName {
            schema: Some(relation.schemaname.clone()).filter(|schema| !schema.is_empty()),
            name: relation.relname.clone(),
        },
        columns,
        others,
        others_lose,
    })
}

fn retype(command: &pb::AlterTableCmd) -> Option<Retype> {
    let Some(N::ColumnDef(column)) = command.def.as_deref()?.node.as_ref() else {
        return None;
    };
    let of = column.type_name.as_ref()?;
    let computed = match column.raw_default.as_deref() {
        None => false,
        Some(using) => !is_column(using, &command.name, of),
    };
    Some(Retype {
        column: command.name.clone(),
        to: written(of)?,
        modifiers: modifiers(of)?,
        computed,
    })
}

/// The column itself, or cast to its new type, which is what happens without USING.
fn is_column(using: &Node, column: &str, to: &pb::TypeName) -> bool {
    match &using.node {
        Some(N::ColumnRef(reference)) => {
            matches!(&reference.fields[..], [name] if word(name) == Some(column))
        }
        Some(N::TypeCast(cast)) => {
            let same = cast.type_name.as_ref().is_some_and(|of| {
                written(of).is_some()
                    && written(of) == written(to)
                    && modifiers(of) == modifiers(to)
            });
            let plain = |arg: &Node| matches!(arg.node, Some(N::ColumnRef(_)));
            same && cast
                .arg
                .as_deref()
                .is_some_and(|arg| plain(arg) && is_column(arg, column, to))
        }
        _ => false,
    }
}

fn written(of: &pb::TypeName) -> Option<String> {
    if of.setof || of.pct_type || of.names.is_empty() {
        return None;
    }
    let quoted = |name: &Node| Some(format!("\"{}\"", word(name)?.replace('"', "\"\"")));
    let names: Vec<String> = of.names.iter().map(quoted).collect::<Option<_>>()?;
    let array = if of.array_bounds.is_empty() { "" } else { "[]" };
    Some(format!("{}{array}", names.join(".")))
}

/// Modifiers as they are written; `None` when one is no plain number.
fn modifiers(of: &pb::TypeName) -> Option<Vec<i32>> {
    let number = |node: &Node| match &node.node {
        Some(N::AConst(constant)) if !constant.isnull => match &constant.val {
            Some(pb::a_const::Val::Ival(value)) => Some(value.ival),
            _ => None,
        },
        _ => None,
    };
    of.typmods.iter().map(number).collect()
}

mod oid {
    pub(super) const BIT: u32 = 1560;
    pub(super) const BPCHAR: u32 = 1042;
    pub(super) const NUMERIC: u32 = 1700;
    pub(super) const TIME: u32 = 1083;
    pub(super) const TIMESTAMP: u32 = 1114;
    pub(super) const TIMESTAMPTZ: u32 = 1184;
    pub(super) const TIMETZ: u32 = 1266;
    pub(super) const VARBIT: u32 = 1562;
    pub(super) const VARCHAR: u32 = 1043;
}

/// Bytes of the length that variable types keep in their modifier.
const HEADER: i32 = 4;
/// Digits after the point of times.
const TIME_PRECISION_MAX: i32 = 6;

impl Retype {
    /// Whether rows are written anew for it.
    #[must_use]
    pub fn rewrites(&self, types: &Types) -> Rewrite {
        if self.computed || types.checked {
            return Rewrite::Yes;
        }
        if types.old == types.new {
            return self.resizes(types);
        }
        let timestamps = [oid::TIMESTAMP, oid::TIMESTAMPTZ];
        if timestamps.contains(&types.old) && timestamps.contains(&types.new) {
            // The same instant in UTC, and the same bytes.
            return match (types.utc, self.modifiers.is_empty()) {
                (true, true) => Rewrite::No,
                (true, false) => Rewrite::Possible,
                (false, _) => Rewrite::Yes,
            };
        }
        match types.cast {
            // The same bytes; a length is checked for each row.
            Some('b') if self.modifiers.is_empty() && !self.implies_length(types) => Rewrite::No,
            Some(_) | None => Rewrite::Yes,
        }
    }

    /// `char` and `bit` alone mean one of them.
    fn implies_length(&self, types: &Types) -> bool {
        matches!(types.new, oid::BIT | oid::BPCHAR)
    }

    /// The same type with another modifier.
    fn resizes(&self, types: &Types) -> Rewrite {
        let Some(new) = self.modifier(types.new) else {
            return Rewrite::Possible;
        };
        let old = types.old_modifier;
        if new == old {
            return Rewrite::No;
        }
        if types.old_is_domain {
            return Rewrite::Possible;
        }
        let wider = match types.new {
            _ if new < 0 => true,
            oid::VARCHAR | oid::VARBIT => old >= 0 && new >= old,
            oid::NUMERIC => {
                let (old, new) = (old - HEADER, new - HEADER);
                old >= 0 && old & 0xffff == new & 0xffff && old >> 16 <= new >> 16
            }
            oid::TIME | oid::TIMETZ | oid::TIMESTAMP | oid::TIMESTAMPTZ => {
                new >= TIME_PRECISION_MAX || old >= 0 && new >= old
            }
            oid::BPCHAR | oid::BIT => false,
            _ => return Rewrite::Possible,
        };
        if wider { Rewrite::No } else { Rewrite::Yes }
    }

    /// The modifier as the catalog keeps it, -1 for none; `None` when it is not known how.
    fn modifier(&self, of: u32) -> Option<i32> {
        Some(match (of, &self.modifiers[..]) {
            (oid::BPCHAR, []) => HEADER + 1,
            (oid::BIT, []) => 1,
            (_, []) => -1,
            (oid::VARCHAR | oid::BPCHAR, [length]) => length.checked_add(HEADER)?,
            (oid::VARBIT | oid::BIT, [length]) => *length,
            (oid::NUMERIC, [precision]) => numeric(*precision, 0)?,
            (oid::NUMERIC, [precision, scale]) => numeric(*precision, *scale)?,
            (oid::TIME | oid::TIMETZ | oid::TIMESTAMP | oid::TIMESTAMPTZ, [precision]) => {
                *precision
            }
            // Intervals keep their fields in there too; types of others keep what they like.
            _ => return None,
        })
    }
}

/// Servers before 15 and after keep scales below zero differently.
fn numeric(precision: i32, scale: i32) -> Option<i32> {
    let known = (1..=1000).contains(&precision) && (0..=1000).contains(&scale);
    known.then_some((precision << 16 | scale) + HEADER)
}

#[cfg(test)]
mod tests;
