//! As much of an expression's type as it takes to tell a user's operator from the server's.

use super::Names;
use crate::catalog::{QualifiedName, TypeKind};

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
        match ty {
            Ty::Unknown | Ty::Literal => true,
            Ty::BuiltIn(name) => self.leads(From::Own(name), wanted, TYPE_DEPTH_MAX),
            Ty::User(key) => self.leads(From::User(key), wanted, TYPE_DEPTH_MAX),
            Ty::Column { relation, column } => {
                let Some(column) = self.column(relation, column) else {
                    return true;
                };
                let from = match self.type_key(&column.type_name) {
                    Some(key) => From::User(key),
                    None if column.type_name.schema == "pg_catalog" => {
                        From::Own(&column.type_name.name)
                    }
                    None => return true,
                };
                self.leads(from, wanted, TYPE_DEPTH_MAX)
            }
        }
    }

    fn leads(&self, from: From<'_>, wanted: &QualifiedName, depth: usize) -> bool {
        let Some(depth) = depth.checked_sub(1) else {
            return true;
        };
        let own = wanted.schema == "pg_catalog";
        let to = self.type_key(wanted);
        // A domain is its base type, and stands where that does.
        if let Some(TypeKey::Type(at)) = to
            && let Some(TypeKind::Domain { over }) = self.type_at(at).map(|of| &of.kind)
        {
            let same = matches!(from, From::User(key) if to == Some(key));
            return same || self.leads(from, over, depth);
        }
        let direct = match (from, to) {
            (_, None) if takes_all(&wanted.name) => true,
            (From::Own(name), None) => !own || fits(name, &wanted.name),
            (From::Own(_), Some(_)) => false,
            (From::User(key), to) => self.user_leads(key, to, wanted, depth),
        };
        direct || self.cast_leads(from, wanted)
    }

    fn user_leads(
        &self,
        key: TypeKey,
        to: Option<TypeKey>,
        wanted: &QualifiedName,
        depth: usize,
    ) -> bool {
        match (key, to) {
            // A row of a child is a row of its parent.
            (TypeKey::Row(_), Some(TypeKey::Row(_))) => true,
            (key, Some(to)) if key == to => true,
            (TypeKey::Type(at), _) => match self.type_at(at).map(|of| &of.kind) {
                Some(TypeKind::Domain { over }) => match self.type_key(over) {
                    Some(key) => self.leads(From::User(key), wanted, depth),
                    None => self.leads(From::Own(&over.name), wanted, depth),
                },
                Some(TypeKind::Array { .. }) => true,
                _ => false,
            },
            (TypeKey::Row(_), _) => false,
        }
    }

    /// Casts that come in without being written.
    fn cast_leads(&self, from: From<'_>, wanted: &QualifiedName) -> bool {
        let mut casts = self.index.casts_unwritten.iter();
        casts.any(|at| {
            self.cast(*at).is_some_and(|cast| {
                let starts = match from {
                    From::Own(name) => {
                        cast.source.schema == "pg_catalog" && fits(name, &cast.source.name)
                    }
                    From::User(key) => self.type_key(&cast.source) == Some(key),
                };
                let ends = cast.target == *wanted
                    || (cast.target.schema == "pg_catalog"
                        && wanted.schema == "pg_catalog"
                        && fits(&cast.target.name, &wanted.name));
                starts && ends
            })
        })
    }
}

/// Where a value comes from.
#[derive(Debug, Clone, Copy)]
enum From<'a> {
    Own(&'a str),
    User(TypeKey),
}

/// Most domains over domains.
const TYPE_DEPTH_MAX: usize = 8;

fn takes_all(name: &str) -> bool {
    name.starts_with("any") || name == "record"
}

/// The server's implicit casts stay in a category, with few exceptions.
fn fits(name: &str, wanted: &str) -> bool {
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
