//! Values of users' types: what runs when one is made, read or stored, and as much of an expression's type as is known.

use super::{Code, Resolver, Ty, TypeKey, names::FoundType};
use crate::{catalog::TypeKind, postgres::builtin};

/// Most types one inside another.
pub(super) const TYPE_DEPTH_MAX: usize = 12;

impl Resolver<'_> {
    /// A value of a user's type is made: its checks run, and those of its parts.
    pub(super) fn makes(&mut self, key: TypeKey, depth: usize) {
        self.reads(key, depth);
        let Some(names) = self.names else { return };
        let at = match key {
            TypeKey::Type(at) => at,
            TypeKey::Row(at) => return self.makes_row(at, depth),
        };
        let Some(of) = names.type_at(at) else { return };
        if !of.on_make.is_empty() {
            let expanded = self.making(at);
            self.absorb(&expanded);
        }
        let Some(depth) = depth.checked_sub(1) else {
            return;
        };
        match &of.kind {
            TypeKind::Domain { over: of } | TypeKind::Array { of } | TypeKind::Range { of } => {
                if let Some(key) = names.type_key(of) {
                    self.makes(key, depth);
                }
            }
            TypeKind::Composite { columns } => {
                for key in columns
                    .iter()
                    .filter_map(|one| names.type_key(&one.type_name))
                {
                    self.makes(key, depth);
                }
            }
            TypeKind::Enum | TypeKind::Base => {}
        }
    }

    /// A value of a relation's row type is made, of a text perhaps.
    fn makes_row(&mut self, at: u32, depth: usize) {
        let (Some(names), Some(depth)) = (self.names, depth.checked_sub(1)) else {
            return;
        };
        let columns = names.relation(at).map_or(&[][..], |one| &one.columns);
        for key in columns
            .iter()
            .filter_map(|one| names.type_key(&one.type_name))
        {
            self.makes(key, depth);
        }
    }

    /// A value of a user's type is read: base types have code of their own.
    pub(super) fn reads(&mut self, key: TypeKey, depth: usize) {
        let Some(names) = self.names else { return };
        let Some(depth) = depth.checked_sub(1) else {
            return self.doubt("uses types that are nested too deeply".to_owned());
        };
        if !self.step(1) {
            return;
        }
        // Whoever vouches for a base type vouches for how it is compared too.
        let compared = |of: &&crate::catalog::Type| {
            !of.on_compare.is_empty() && !matches!(of.kind, TypeKind::Base)
        };
        if let TypeKey::Type(at) = key
            && names.type_at(at).as_ref().is_some_and(compared)
        {
            self.code.push(Code::Compare(at));
        }
        match key {
            TypeKey::Row(at) => {
                let columns = names.relation(at).map_or(&[][..], |one| &one.columns);
                for key in columns
                    .iter()
                    .filter_map(|one| names.type_key(&one.type_name))
                {
                    self.reads(key, depth);
                }
            }
            TypeKey::Type(at) => match names.type_at(at).map(|of| &of.kind) {
                None | Some(TypeKind::Enum) => {}
                Some(TypeKind::Base) => self.code.push(Code::Base(at)),
                Some(
                    TypeKind::Domain { over: of } | TypeKind::Array { of } | TypeKind::Range { of },
                ) => {
                    if let Some(key) = names.type_key(of) {
                        self.reads(key, depth);
                    }
                }
                Some(TypeKind::Composite { columns }) => {
                    for key in columns
                        .iter()
                        .filter_map(|one| names.type_key(&one.type_name))
                    {
                        self.reads(key, depth);
                    }
                }
            },
        }
    }

    /// A column is read: its type is in play.
    pub(super) fn column_type(&mut self, relation: u32, column: u16) {
        let Some(names) = self.names else { return };
        let Some(column) = names.column(relation, column) else {
            return;
        };
        let Some(key) = names.type_key(&column.type_name) else {
            return;
        };
        if self.in_play.insert(key) {
            // A constant beside it becomes one of its type, and that of the parts of it. Not so beside a domain: the
            // server takes the type below.
            match key {
                TypeKey::Type(at)
                    if names
                        .type_at(at)
                        .is_some_and(|of| matches!(of.kind, TypeKind::Domain { .. })) =>
                {
                    self.reads(key, TYPE_DEPTH_MAX);
                }
                _ => self.makes(key, TYPE_DEPTH_MAX),
            }
        }
    }

    /// A column is stored: values of its type are made, and converted to it.
    pub(crate) fn stores(&mut self, relation: u32, column: u16) {
        let Some(names) = self.names else { return };
        if let Some(column) = names.column(relation, column)
            && let Some(key) = names.type_key(&column.type_name)
        {
            self.in_play.insert(key);
            self.makes(key, TYPE_DEPTH_MAX);
        }
        if !self.code.contains(&Code::Assignment) {
            self.code.push(Code::Assignment);
        }
    }

    pub(crate) fn stores_named(&mut self, at: u32, name: &str) {
        if let Some(column) = self.names.and_then(|names| names.column_named(at, name)) {
            self.stores(at, column);
        }
    }

    /// The type a name leads to, as a value's type.
    pub(crate) fn type_named(&self, schema: Option<&str>, name: &str) -> Ty {
        match self.names.map(|names| names.find_type(schema, name)) {
            Some(FoundType::User(key)) => Ty::User(key),
            Some(FoundType::BuiltIn(name)) => Ty::BuiltIn(name),
            Some(FoundType::Missing) | None => Ty::Unknown,
        }
    }

    /// `value.name` where `value` is no column: a field of its type, or a call. Gives its type.
    pub(crate) fn field(&mut self, of: Ty, name: &str) -> Ty {
        let Some(names) = self.names else {
            return Ty::Unknown;
        };
        if let Some(ty) = names.key_of(of).and_then(|key| names.field(key, name)) {
            return ty;
        }
        self.may_call("it", name, false);
        Ty::Unknown
    }

    /// The type of a field, without a word about one that does not exist.
    pub(crate) fn field_type(&self, of: Ty, name: &str) -> Ty {
        let Some(names) = self.names else {
            return Ty::Unknown;
        };
        let key = names.key_of(of);
        key.and_then(|key| names.field(key, name))
            .unwrap_or(Ty::Unknown)
    }

    /// What a call by this name gives, when only one routine can be meant.
    pub(crate) fn returned(&self, schema: Option<&str>, name: &str, given: usize) -> Ty {
        let Some(names) = self.names else {
            return Ty::Unknown;
        };
        let mut routines = names.routines(schema, name, Some(given));
        match (routines.next(), routines.next()) {
            (Some(at), None) if !builtin::is_function(schema, name) => names
                .routine(at)
                .and_then(|routine| names.type_key(&routine.returns))
                .map_or(Ty::Unknown, Ty::User),
            (None, _) if matches!(name, "count" | "length" | "char_length") => Ty::BuiltIn("int8"),
            _ => Ty::Unknown,
        }
    }

    pub(crate) fn is_number(&self, ty: Ty) -> bool {
        let Some(names) = self.names else {
            return false;
        };
        match ty {
            Ty::BuiltIn(name) => super::types::is_number(name),
            Ty::Column { relation, column } => names.column(relation, column).is_some_and(|one| {
                one.type_name.schema == "pg_catalog" && super::types::is_number(&one.type_name.name)
            }),
            Ty::Unknown | Ty::Literal | Ty::User(_) => false,
        }
    }
}
