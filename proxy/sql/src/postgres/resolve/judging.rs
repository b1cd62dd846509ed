//! What of the gathered code of users counts, now that every type in play is known, and who vouches for it. The
//! rest becomes a doubt, in words.

use super::{Code, Names, Resolver, TypeKey};
use crate::{RelationName, catalog::QualifiedName, facts::shown};

impl Resolver<'_> {
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
