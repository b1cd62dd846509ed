//! Code of users' own that a statement runs: functions, operators, casts and types, overloads
//! of the server's own names included.

use super::{Code, Names, Resolver, Ty, TypeKey, names::FoundType, values::TYPE_DEPTH_MAX};
use crate::{RelationName, catalog::QualifiedName, postgres::builtin};

impl Resolver<'_> {
    /// There is a user routine or cast of this name, so that types matter.
    pub(crate) fn has_routine(&self, name: &str) -> bool {
        self.names.is_some_and(|names| {
            let index = names.index;
            !index.routines(name).is_empty() || !index.casts(name).is_empty()
        })
    }

    /// Some routine of users' by this name returns a set.
    pub(crate) fn may_return_set(&self, name: &str) -> bool {
        self.names.is_some_and(|names| {
            let mut routines = names.index.routines(name).iter();
            routines.any(|at| names.routine(*at).is_some_and(|one| one.returns_set))
        })
    }

    /// There is a user operator of this name, so that types matter.
    pub(crate) fn has_operator(&self, name: &str) -> bool {
        self.names
            .is_some_and(|names| !names.index.operators(name).is_empty())
    }

    /// A call by name, with the types of what is given as far as they are known.
    pub(crate) fn call(
        &mut self,
        schema: Option<&str>,
        name: &str,
        given: Option<usize>,
        types: &[Ty],
    ) {
        let Some(names) = self.names else { return };
        self.compares_own();
        if given == Some(1) {
            self.call_as_cast(schema, name, types.first().copied().unwrap_or(Ty::Unknown));
        }
        let mut routines: Vec<u32> = names.routines(schema, name, given).collect();
        let own = builtin::is_function(schema, name);
        let harmless = own || (matches!(schema, None | Some("pg_catalog")) && name == "set_config");
        if routines.is_empty() {
            if !harmless {
                self.unknown_call(schema, name, given);
            }
            return;
        }
        if harmless {
            routines.retain(|at| {
                names.routine(*at).is_none_or(|routine| {
                    let wanted = routine.arguments.iter();
                    let mut pairs = types.iter().zip(wanted);
                    pairs.all(|(ty, wanted)| names.may_become(*ty, wanted))
                })
            });
        }
        if !routines.is_empty() {
            self.code.push(Code::Call {
                name: name.to_owned(),
                harmless,
                routines,
            });
        }
    }

    /// A call that no row takes part in: the planner runs it when it claims to be immutable.
    pub(crate) fn call_fixed(&mut self, schema: Option<&str>, name: &str, given: usize) {
        let Some(names) = self.names else { return };
        let immutable = |at: &u32| names.routine(*at).is_some_and(|one| one.volatility == 'i');
        let routines = names.routines(schema, name, Some(given));
        let routines: Vec<u32> = routines.filter(immutable).collect();
        if !routines.is_empty() {
            self.fixed.push(Code::Call {
                name: name.to_owned(),
                harmless: builtin::is_function(schema, name),
                routines,
            });
        }
    }

    /// What a function of the server's own gives may be of any of its types.
    pub(super) fn compares_own(&mut self) {
        let Some(names) = self.names else { return };
        for at in &names.index.compared {
            if !self.code.contains(&Code::Compare(*at)) {
                self.code.push(Code::Compare(*at));
            }
        }
    }

    /// `box(x)` converts to `box` where no function takes `x`.
    pub(super) fn call_as_cast(&mut self, schema: Option<&str>, name: &str, source: Ty) {
        let Some(names) = self.names else { return };
        let user_type = !names.index.types(name).is_empty();
        if user_type || !names.index.casts(name).is_empty() {
            match names.find_type(schema, name) {
                FoundType::User(key) => self.cast_to_user(key, source),
                FoundType::BuiltIn(name) => self.user_casts("pg_catalog", name, source),
                FoundType::Missing => {}
            }
        }
    }

    /// `name(x)` where no function has that name may be a cast; else nothing is known of it.
    fn unknown_call(&mut self, schema: Option<&str>, name: &str, given: Option<usize>) {
        let Some(names) = self.names else { return };
        if given == Some(1)
            && let FoundType::User(key) = names.find_type(schema, name)
        {
            return self.cast_to_user(key, Ty::Unknown);
        }
        let function = crate::FunctionName {
            schema: schema.map(str::to_owned),
            name: name.to_owned(),
        };
        self.doubt(format!(
            "calls {function}(), not known to be free of side effects"
        ));
    }

    /// An operator by name.
    pub(crate) fn operator(
        &mut self,
        schema: Option<&str>,
        name: &str,
        [left, right]: [Option<Ty>; 2],
    ) {
        let Some(names) = self.names else { return };
        let mut operators: Vec<u32> = names.operators(schema, name).collect();
        let harmless = builtin::is_operator(schema, name);
        if operators.is_empty() {
            if !harmless && !names.only_built_in(schema, name) {
                self.doubt(format!(
                    "uses operator {name}, not known to be free of side effects"
                ));
            }
            return;
        }
        operators.retain(|at| {
            let fits = |ty: Option<Ty>, wanted: &Option<QualifiedName>| match (ty, wanted) {
                (Some(ty), Some(wanted)) => names.may_become(ty, wanted),
                _ => true,
            };
            names
                .operator(*at)
                .is_none_or(|operator| fits(left, &operator.left) && fits(right, &operator.right))
        });
        if !operators.is_empty() {
            self.code.push(Code::Operator {
                name: name.to_owned(),
                harmless,
                operators,
            });
        } else if !harmless {
            self.doubt(format!(
                "uses operator {name}, not known to be free of side effects"
            ));
        }
    }

    /// A type that a value is converted to.
    pub(crate) fn cast_to(&mut self, schema: Option<&str>, name: &str, source: Ty) {
        let Some(names) = self.names else { return };
        match names.find_type(schema, name) {
            FoundType::User(key) => self.cast_to_user(key, source),
            FoundType::BuiltIn(name) => {
                let element = name.strip_prefix('_').unwrap_or(name);
                self.user_casts("pg_catalog", element, source);
            }
            FoundType::Missing if builtin::is_type(schema, name) => {}
            FoundType::Missing => {
                let of = RelationName {
                    schema: schema.map(str::to_owned),
                    name: name.to_owned(),
                };
                self.lacks(of.to_string());
                self.doubt(format!("converts to type {of}, which is not built in"));
            }
        }
    }

    fn cast_to_user(&mut self, key: TypeKey, source: Ty) {
        self.in_play.insert(key);
        self.makes(key, TYPE_DEPTH_MAX);
        let Some(names) = self.names else { return };
        if let Some(name) = names.type_name(key) {
            self.user_casts(&name.schema, &name.name, source);
        }
    }

    /// Casts somebody defined that lead to a type.
    fn user_casts(&mut self, schema: &str, name: &str, source: Ty) {
        let Some(names) = self.names else { return };
        let known = names.index.casts(name);
        if known.is_empty() {
            return;
        }
        let casts: Vec<u32> = known
            .iter()
            .copied()
            .filter(|at| {
                names.cast(*at).is_some_and(|cast| {
                    cast.target.schema == schema
                        && cast.function.is_some()
                        && !cast.built_in
                        && !matches!(source, Ty::Literal)
                        && names.may_become(source, &cast.source)
                })
            })
            .collect();
        if !casts.is_empty() {
            self.code.push(Code::Cast(casts));
        }
    }

    /// RETURNING knows the row before and after since PostgreSQL 18.
    pub(crate) fn has_old_and_new(&self) -> bool {
        self.names
            .is_none_or(|names| names.catalog.server_version >= 180_000)
    }

    /// Whether these columns hold a whole unique key of a table, so that one row has them.
    pub(crate) fn is_unique(
        &self,
        at: u32,
        only: bool,
        keyed: &std::collections::BTreeSet<String>,
    ) -> bool {
        let Some(names) = self.names else {
            return false;
        };
        let Some(relation) = names.relation(at) else {
            return false;
        };
        if !self.rules.kinds.is_empty() || self.seen.through.contains(&at) {
            return false;
        }
        // A key of a partitioned table holds over its partitions; one of a parent does not.
        let alone = only
            || relation.kind == crate::catalog::RelationKind::Partitioned
            || names.index.children(at).is_empty();
        let mut keys = relation.unique_keys.iter();
        alone && keys.any(|key| !key.is_empty() && key.iter().all(|column| keyed.contains(column)))
    }
}

impl<'c> Names<'c> {
    fn type_name(&self, key: TypeKey) -> Option<&'c QualifiedName> {
        match key {
            TypeKey::Type(at) => Some(&self.type_at(at)?.name),
            TypeKey::Row(at) => Some(&self.relation(at)?.name),
        }
    }

    /// Every operator of this name is made of the server's own functions.
    fn only_built_in(&self, schema: Option<&str>, name: &str) -> bool {
        let mut all = self
            .index
            .operators(name)
            .iter()
            .filter_map(|at| self.operator(*at))
            .filter(|one| schema.is_none_or(|schema| one.name.schema == schema))
            .peekable();
        all.peek().is_some() && all.all(|one| one.built_in)
    }

    pub(super) fn routines_named(&self, name: &QualifiedName) -> impl Iterator<Item = u32> {
        let all = self.index.routines(&name.name).iter().copied();
        all.filter(|at| {
            self.routine(*at)
                .is_some_and(|routine| routine.name == *name)
        })
    }
}

impl From<&QualifiedName> for RelationName {
    fn from(name: &QualifiedName) -> Self {
        Self {
            schema: Some(name.schema.clone()),
            name: name.name.clone(),
        }
    }
}
