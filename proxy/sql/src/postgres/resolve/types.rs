//! As much of an expression's type as it takes to tell a user's operator from the server's.

use super::Names;
use crate::catalog::QualifiedName;

/// A type that is not the server's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum TypeKey {
    /// By position in the catalog.
    Type(u32),
    /// The row type of a relation.
    Row(u32),
}

/// What is known of a value's type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ty {
    Unknown,
    /// A string constant or parameter, which becomes what is wanted.
    Literal,
    BuiltIn(&'static str),
    User(TypeKey),
    Column {
        relation: u32,
        column: u16,
    },
}

impl Names<'_> {
    /// Whether a value of this type may be given where `wanted` is, without a cast being written.
    pub(super) fn may_become(&self, ty: Ty, wanted: &QualifiedName) -> bool {
        let built_in = |name: &QualifiedName| name.schema == "pg_catalog";
        let from_name = |name: &QualifiedName| {
            if !built_in(name) || !built_in(wanted) {
                // Domains and implicit casts lead from and to user types.
                return true;
            }
            fits(&name.name, &wanted.name)
        };
        match ty {
            Ty::Unknown | Ty::Literal | Ty::User(_) => true,
            Ty::BuiltIn(name) => !built_in(wanted) || fits(name, &wanted.name),
            Ty::Column { relation, column } => self
                .column(relation, column)
                .is_none_or(|column| from_name(&column.type_name)),
        }
    }
}

/// The server's implicit casts stay in a category, with few exceptions.
fn fits(name: &str, wanted: &str) -> bool {
    let takes_all = |name: &str| name.starts_with("any") || name == "record";
    if name == wanted || takes_all(wanted) || takes_all(name) {
        return true;
    }
    if let (Some(one), Some(other)) = (name.strip_prefix('_'), wanted.strip_prefix('_')) {
        return fits(one, other);
    }
    match (category(name), category(wanted)) {
        (Some(one), Some(other)) => one == other || (one == 'S' && wanted == "regclass"),
        // Without a category a type is only itself.
        (None, None) | (Some(_), None) | (None, Some(_)) => false,
    }
}

fn category(name: &str) -> Option<char> {
    Some(match name {
        "int2" | "int4" | "int8" | "float4" | "float8" | "numeric" | "money" | "oid"
        | "regclass" | "regproc" | "regprocedure" | "regoper" | "regoperator" | "regtype"
        | "regrole" | "regnamespace" | "regconfig" | "regdictionary" | "regcollation" => 'N',
        "text" | "varchar" | "bpchar" | "name" | "char" => 'S',
        "date" | "time" | "timestamp" | "timestamptz" | "timetz" | "interval" => 'D',
        "bool" => 'B',
        "inet" | "cidr" | "macaddr" | "macaddr8" => 'I',
        "bit" | "varbit" => 'V',
        "point" | "line" | "lseg" | "box" | "path" | "polygon" | "circle" => 'G',
        _ => return None,
    })
}

pub(super) fn is_number(name: &str) -> bool {
    matches!(
        name,
        "int2" | "int4" | "int8" | "float4" | "float8" | "numeric"
    )
}
