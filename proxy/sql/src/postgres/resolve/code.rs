//! Code of users' own that a statement runs: functions, operators, casts and types, overloads
//! of the server's own names included.

use super::{Code, Names, Resolver, Ty, TypeKey, names::FoundType};
use crate::{
    RelationName,
    catalog::{QualifiedName, TypeKind},
    facts::shown,
    postgres::builtin,
};

/// Most types one inside another.
const TYPE_DEPTH_MAX: usize = 12;

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

    /// A value of a user's type is made: its checks run, and those of its parts.
    fn makes(&mut self, key: TypeKey, depth: usize) {
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
    fn reads(&mut self, key: TypeKey, depth: usize) {
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

    /// The type a name leads to, as a value's type.
    pub(crate) fn type_named(&self, schema: Option<&str>, name: &str) -> Ty {
        match self.names.map(|names| names.find_type(schema, name)) {
            Some(FoundType::User(key)) => Ty::User(key),
            Some(FoundType::BuiltIn(name)) => Ty::BuiltIn(name),
            Some(FoundType::Missing) | None => Ty::Unknown,
        }
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

    pub(crate) fn stores_named(&mut self, at: u32, name: &str) {
        if let Some(column) = self.names.and_then(|names| names.column_named(at, name)) {
            self.stores(at, column);
        }
    }

    /// Judges all code that was gathered, now that every type in play is known.
    pub(super) fn judge_code(&mut self) -> std::collections::BTreeSet<u32> {
        let mut run = std::collections::BTreeSet::new();
        let Some(names) = self.names else { return run };
        let code = std::mem::take(&mut self.code);
        self.play_results(names, &code);
        let stores = code.contains(&Code::Assignment);
        for one in code {
            match one {
                Code::Call {
                    name,
                    harmless,
                    routines,
                } => self.judge_call(names, &name, harmless, &routines, &mut run),
                Code::Operator {
                    name,
                    harmless,
                    operators,
                } => self.judge_operator(names, &name, harmless, &operators, &mut run),
                Code::Cast(casts) => {
                    for at in casts {
                        self.judge_cast(names, at, &mut run);
                    }
                }
                Code::Assignment => {}
                Code::Compare(at) => {
                    if let Some(of) = names.type_at(at) {
                        self.judge_compare(names, &of.name, &of.on_compare, &mut run);
                    }
                }
                Code::Scan(at) => self.judge_scan(names, at, &mut run),
                Code::Base(at) => {
                    if let Some(of) = names.type_at(at)
                        && !names.vouches(&of.name)
                    {
                        self.doubts.insert(format!(
                            "uses type {}, which has code of its own",
                            RelationName::from(&of.name)
                        ));
                    }
                }
            }
        }
        let rows = self.in_play.iter().filter_map(|key| match key {
            TypeKey::Row(at) => names.relation(*at),
            TypeKey::Type(_) => None,
        });
        let rows: Vec<_> = rows.filter(|one| !one.on_compare.is_empty()).collect();
        for relation in rows {
            self.judge_compare(names, &relation.name, &relation.on_compare, &mut run);
        }
        self.judge_implicit(names, stores, &mut run);
        run
    }

    /// What a routine gives back is in play too, and may bring others into play.
    fn play_results(&mut self, names: Names<'_>, code: &[Code]) {
        let mut before = usize::MAX;
        while before != self.in_play.len() && self.step(code.len()) {
            before = self.in_play.len();
            for one in code {
                let Code::Call {
                    harmless, routines, ..
                } = one
                else {
                    continue;
                };
                for routine in routines.iter().filter_map(|at| names.routine(*at)) {
                    if !harmless || self.all_in_play(names, routine.arguments.iter()) {
                        self.in_play.extend(names.type_key(&routine.returns));
                    }
                }
            }
        }
    }

    fn judge_call(
        &mut self,
        names: Names<'_>,
        name: &str,
        harmless: bool,
        routines: &[u32],
        run: &mut std::collections::BTreeSet<u32>,
    ) {
        for at in routines {
            let Some(routine) = names.routine(*at) else {
                continue;
            };
            if harmless && !self.all_in_play(names, routine.arguments.iter()) {
                continue;
            }
            run.insert(*at);
            if names.vouches(&routine.name) {
                continue;
            }
            let routine = RelationName::from(&routine.name);
            self.doubts.insert(if harmless {
                format!("{}() may be a call of {routine}()", shown(name))
            } else {
                format!("calls {routine}(), not known to be free of side effects")
            });
        }
    }

    fn judge_operator(
        &mut self,
        names: Names<'_>,
        name: &str,
        harmless: bool,
        operators: &[u32],
        run: &mut std::collections::BTreeSet<u32>,
    ) {
        for operator in operators.iter().filter_map(|at| names.operator(*at)) {
            let operands = operator.left.iter().chain(&operator.right);
            if harmless && !self.all_in_play(names, operands) {
                continue;
            }
            run.extend(names.routines_named(&operator.function));
            if names.vouches(&operator.function) {
                continue;
            }
            let function = RelationName::from(&operator.function);
            self.doubts.insert(if harmless {
                format!("operator {name} may be a call of {function}()")
            } else {
                format!("uses operator {name}, which calls {function}()")
            });
        }
    }

    /// Sorting and grouping compare values with no operator in the text.
    fn judge_compare(
        &mut self,
        names: Names<'_>,
        of: &QualifiedName,
        functions: &[QualifiedName],
        run: &mut std::collections::BTreeSet<u32>,
    ) {
        for function in functions {
            run.extend(names.routines_named(function));
            if !names.vouches(function) && !names.vouches(of) {
                self.doubts.insert(format!(
                    "uses type {}, whose values are compared by {}()",
                    RelationName::from(of),
                    RelationName::from(function)
                ));
            }
        }
    }

    /// An index is searched, and a partition chosen, with no operator in the text.
    fn judge_scan(
        &mut self,
        names: Names<'_>,
        relation: u32,
        run: &mut std::collections::BTreeSet<u32>,
    ) {
        let Some(relation) = names.relation(relation) else {
            return;
        };
        for function in &relation.on_scan {
            run.extend(names.routines_named(function));
            if !names.vouches(function) {
                self.doubts.insert(format!(
                    "uses {}, whose index or partitions are searched by {}()",
                    RelationName::from(&relation.name),
                    RelationName::from(function)
                ));
            }
        }
    }

    fn judge_cast(&mut self, names: Names<'_>, at: u32, run: &mut std::collections::BTreeSet<u32>) {
        let Some(cast) = names.cast(at) else { return };
        let Some(function) = &cast.function else {
            return;
        };
        run.extend(names.routines_named(function));
        if !names.vouches(function) {
            self.doubts.insert(format!(
                "converts to {}, which may call {}()",
                RelationName::from(&cast.target),
                RelationName::from(function)
            ));
        }
    }

    /// Casts that nobody writes: implicit ones, and those of a value that is stored.
    fn judge_implicit(
        &mut self,
        names: Names<'_>,
        stores: bool,
        run: &mut std::collections::BTreeSet<u32>,
    ) {
        let index = names.index;
        let anywhere = index.casts_anywhere.iter().map(|at| (at, true));
        let in_play = index.casts_implicit.iter().map(|at| (at, false));
        for (at, anywhere) in anywhere.chain(in_play) {
            let Some(cast) = names.cast(*at) else {
                continue;
            };
            let played = |name: &QualifiedName| {
                names
                    .type_key(name)
                    .is_some_and(|key| self.in_play.contains(&key))
            };
            let applies = cast.context == 'i' || stores;
            if applies && (anywhere || played(&cast.source) || played(&cast.target)) {
                self.judge_cast(names, *at, run);
            }
        }
    }

    /// Whether each of these types that is a user's is in play.
    fn all_in_play<'n>(
        &self,
        names: Names<'_>,
        mut types: impl Iterator<Item = &'n QualifiedName>,
    ) -> bool {
        types.all(|name| {
            names
                .type_key(name)
                .is_none_or(|key| self.in_play.contains(&key))
        })
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

    fn routines_named(&self, name: &QualifiedName) -> impl Iterator<Item = u32> {
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
