//! Names of a catalog as one session sees them.

use std::collections::BTreeSet;

use super::{Ty, TypeKey};
use crate::{
    FunctionName, RelationName, Sight,
    catalog::{
        Cast, Catalog, Column, Index, Operator, QualifiedName, Relation, Routine, Trigger, Type,
    },
    postgres::builtin,
};

/// A catalog, and the schemas names without one are looked up in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Names<'c> {
    pub catalog: &'c Catalog,
    pub index: &'c Index,
    /// `None` in definitions, whose names are all qualified.
    path: Option<&'c [String]>,
    vouched: Option<&'c BTreeSet<FunctionName>>,
}

/// What a relation's name leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    Relation(u32),
    /// A relation of the system.
    System,
    Missing,
}

/// What a type's name leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FoundType {
    User(TypeKey),
    BuiltIn(&'static str),
    Missing,
}

impl<'c> Names<'c> {
    pub(crate) fn of(sight: &'c Sight) -> Self {
        Self {
            catalog: &sight.catalog,
            index: sight.catalog.index(),
            path: Some(&sight.search_path),
            vouched: Some(&sight.vouched),
        }
    }

    /// The same catalog for text the server wrote, whose names are qualified. Who vouches for
    /// what is a matter of the statement, not of the definition.
    pub(crate) fn for_definitions(self) -> Self {
        Self {
            path: None,
            vouched: None,
            ..self
        }
    }

    pub(crate) fn relation(&self, at: u32) -> Option<&'c Relation> {
        self.catalog.relations.get(at as usize)
    }

    pub(crate) fn column(&self, relation: u32, column: u16) -> Option<&'c Column> {
        self.relation(relation)?.columns.get(usize::from(column))
    }

    pub(crate) fn column_named(&self, relation: u32, name: &str) -> Option<u16> {
        let columns = &self.relation(relation)?.columns;
        let at = columns.iter().position(|column| column.name == name)?;
        u16::try_from(at).ok()
    }

    pub(crate) fn routine(&self, at: u32) -> Option<&'c Routine> {
        self.catalog.routines.get(at as usize)
    }

    pub(crate) fn operator(&self, at: u32) -> Option<&'c Operator> {
        self.catalog.operators.get(at as usize)
    }

    pub(crate) fn cast(&self, at: u32) -> Option<&'c Cast> {
        self.catalog.casts.get(at as usize)
    }

    pub(crate) fn type_at(&self, at: u32) -> Option<&'c Type> {
        self.catalog.types.get(at as usize)
    }

    pub(crate) fn trigger(&self, relation: u32, trigger: u32) -> Option<&'c Trigger> {
        self.relation(relation)?.triggers.get(trigger as usize)
    }

    /// A relation's qualified name.
    pub(crate) fn name_of(&self, at: u32) -> Option<RelationName> {
        let relation = self.relation(at)?;
        let schema = match relation.temporary {
            // As the server prints it, whichever session it is.
            true => "pg_temp",
            false => &relation.name.schema,
        };
        Some(RelationName {
            schema: Some(schema.to_owned()),
            name: relation.name.name.clone(),
        })
    }

    /// Whether the server's own names are found before those of `schema`.
    fn behind_own(&self, schema: &str) -> bool {
        let Some(path) = self.path else { return true };
        let at = |wanted: &str| path.iter().position(|one| one == wanted);
        match (at("pg_catalog"), at(schema)) {
            // Not on the path, it comes first.
            (None, _) | (_, None) => true,
            (Some(own), Some(other)) => own < other,
        }
    }

    /// Whether a name without a schema may be one of this schema.
    fn on_path(&self, schema: &str) -> bool {
        schema == "pg_catalog"
            || self
                .path
                .is_some_and(|path| path.iter().any(|one| one == schema))
    }

    pub(crate) fn find_relation(&self, schema: Option<&str>, name: &str) -> Found {
        let candidates = self.index.relations(name);
        let named = |at: &u32| self.relation(*at);
        if let Some(schema) = schema {
            let found = candidates.iter().find(|at| {
                named(at).is_some_and(|relation| {
                    relation.name.schema == schema || (schema == "pg_temp" && relation.temporary)
                })
            });
            return match found {
                Some(at) => Found::Relation(*at),
                None if builtin::is_system_relation(Some(schema), name) => Found::System,
                None => Found::Missing,
            };
        }
        let in_schema = |schema: &str| {
            candidates
                .iter()
                .find(|at| named(at).is_some_and(|relation| relation.name.schema == schema))
        };
        let path = self.path.unwrap_or_default();
        // Temporary relations come first, unless the path names their schema.
        let temporary_named = path.iter().any(|schema| schema.starts_with("pg_temp"));
        if self.index.any_temporary && !temporary_named {
            let temporary = |at: &&u32| named(at).is_some_and(|relation| relation.temporary);
            if let Some(at) = candidates.iter().find(temporary) {
                return Found::Relation(*at);
            }
        }
        if let Some(at) = path.iter().find_map(|schema| in_schema(schema)) {
            return Found::Relation(*at);
        }
        if let Some(at) = in_schema("pg_catalog") {
            return Found::Relation(*at);
        }
        let shows_information = path.iter().any(|schema| schema == "information_schema");
        if builtin::is_system_relation(None, name) || shows_information {
            Found::System
        } else {
            Found::Missing
        }
    }

    pub(crate) fn find_type(&self, schema: Option<&str>, name: &str) -> FoundType {
        let own = || match builtin::type_named(schema, name) {
            Some(name) => FoundType::BuiltIn(name),
            None => FoundType::Missing,
        };
        let types = self.index.types(name).iter().filter_map(|at| {
            let of = self.type_at(*at)?;
            Some((of.name.schema.as_str(), TypeKey::Type(*at)))
        });
        let rows = self.index.relations(name).iter().filter_map(|at| {
            let relation = self.relation(*at)?;
            Some((relation.name.schema.as_str(), TypeKey::Row(*at)))
        });
        let mut candidates = types.chain(rows).peekable();
        if candidates.peek().is_none() {
            return own();
        }
        let candidates: Vec<(&str, TypeKey)> = candidates.collect();
        let in_schema = |wanted: &str| {
            candidates.iter().find(|(schema, _)| {
                *schema == wanted || (wanted == "pg_temp" && schema.starts_with("pg_temp_"))
            })
        };
        if let Some(schema) = schema {
            return in_schema(schema).map_or_else(own, |(_, key)| FoundType::User(*key));
        }
        if let Some((_, key)) = in_schema("pg_temp") {
            return FoundType::User(*key);
        }
        let path = self.path.unwrap_or_default();
        if !path.iter().any(|schema| schema == "pg_catalog")
            && let found @ FoundType::BuiltIn(_) = own()
        {
            return found;
        }
        for schema in path {
            if let Some((_, key)) = in_schema(schema) {
                return FoundType::User(*key);
            }
            if schema == "pg_catalog"
                && let found @ FoundType::BuiltIn(_) = own()
            {
                return found;
            }
        }
        own()
    }

    /// A type by its qualified name, when it is not the server's own.
    pub(crate) fn type_key(&self, name: &QualifiedName) -> Option<TypeKey> {
        if name.schema == "pg_catalog" && self.index.types(&name.name).is_empty() {
            // An array of what is compared by code of users.
            let at = self.index.compared.iter();
            let mut at = at.filter(|at| {
                let element = self.type_at(**at).map(|of| of.name.name.as_str());
                element.is_some_and(|element| name.name.strip_prefix('_') == Some(element))
            });
            return at.next().map(|at| TypeKey::Type(*at));
        }
        match self.find_type(Some(&name.schema), &name.name) {
            FoundType::User(key) => Some(key),
            FoundType::BuiltIn(_) | FoundType::Missing => None,
        }
    }

    /// User routines a call by this name with so many arguments may be.
    pub(crate) fn routines(
        &self,
        schema: Option<&str>,
        name: &str,
        given: Option<usize>,
    ) -> impl Iterator<Item = u32> {
        let all = self.index.routines(name).iter().copied();
        all.filter(move |at| {
            let Some(routine) = self.routine(*at) else {
                return false;
            };
            let own = &routine.name.schema;
            let seen = match schema {
                Some(schema) => {
                    own == schema || (schema == "pg_temp" && own.starts_with("pg_temp_"))
                }
                None => self.on_path(own) && !(routine.doubles_built_in && self.behind_own(own)),
            };
            seen && given.is_none_or(|given| {
                let all = routine.arguments.len();
                let few = all.saturating_sub(routine.defaults + usize::from(routine.variadic));
                (few..=all).contains(&given) || (routine.variadic && given >= few)
            })
        })
    }

    /// User operators this one may be.
    pub(crate) fn operators(&self, schema: Option<&str>, name: &str) -> impl Iterator<Item = u32> {
        let all = self.index.operators(name).iter().copied();
        all.filter(move |at| {
            let Some(operator) = self.operator(*at) else {
                return false;
            };
            let own = &operator.name.schema;
            !operator.built_in
                && match schema {
                    Some(schema) => own == schema,
                    None => {
                        self.on_path(own) && !(operator.doubles_built_in && self.behind_own(own))
                    }
                }
        })
    }

    /// Somebody vouches for this routine, or type.
    pub(crate) fn vouches(&self, name: &QualifiedName) -> bool {
        self.vouched.is_some_and(|vouched| {
            !vouched.is_empty()
                && vouched.contains(&FunctionName {
                    schema: Some(name.schema.clone()),
                    name: name.name.clone(),
                })
        })
    }

    /// The user type a value is of.
    pub(super) fn key_of(&self, ty: Ty) -> Option<TypeKey> {
        match ty {
            Ty::User(key) => Some(key),
            Ty::Column { relation, column } => {
                self.type_key(&self.column(relation, column)?.type_name)
            }
            Ty::Unknown | Ty::Literal | Ty::BuiltIn(_) => None,
        }
    }

    /// The type of a field of a composite type.
    pub(super) fn field(&self, key: TypeKey, name: &str) -> Option<Ty> {
        match key {
            TypeKey::Row(relation) => {
                let column = self.column_named(relation, name)?;
                Some(Ty::Column { relation, column })
            }
            TypeKey::Type(at) => match &self.type_at(at)?.kind {
                crate::catalog::TypeKind::Composite { columns } => {
                    let column = columns.iter().find(|column| column.name == name)?;
                    Some(
                        self.type_key(&column.type_name)
                            .map_or(Ty::Unknown, Ty::User),
                    )
                }
                crate::catalog::TypeKind::Domain { over } => self.field(self.type_key(over)?, name),
                _ => None,
            },
        }
    }
}
