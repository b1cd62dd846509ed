//! Calls written as columns: `(x).f` and `alias.f` call `f(x)` where there is no column `f`.
//!
//! Without a catalog a column cannot be told from a call. `(x).f` may take any value, and so may
//! `alias.f` where the alias stands for a function in FROM: its whole row is the function's
//! result. There only names that cannot do harm pass. An alias of anything else is a row, which
//! few functions take; those are listed.

use std::collections::{HashMap, HashSet};

use pg_query::{
    Node, NodeEnum as N,
    protobuf::{self as pb},
};

use super::{
    Walk,
    from::{column_name, function_name},
    text,
};
use crate::{
    FunctionName,
    facts::shown,
    postgres::{
        builtin,
        resolve::{Item, Parts, Ty},
    },
};

/// What the statement says of columns, for judgement at its end: FROM comes after what uses it.
#[derive(Debug, Default)]
pub(super) struct Notation {
    /// Functions in FROM by their alias, each with the columns it surely has. One alias may
    /// stand for several, in different subqueries.
    functions: HashMap<String, Vec<HashSet<String>>>,
    /// Every `alias.name`.
    columns: HashSet<(String, String)>,
}

impl Walk<'_> {
    pub(super) fn column_ref(&mut self, column: &pb::ColumnRef) {
        match Parts::of(&column.fields) {
            Some(parts) => {
                self.note_notation(&parts);
                self.resolver.use_column(&parts);
            }
            None => self.unknown("ColumnRef"),
        }
    }

    /// Without a catalog, `alias.name` is judged when all of FROM is known.
    pub(super) fn note_notation(&mut self, parts: &Parts<'_>) {
        if self.resolver.sighted() || parts.star {
            return;
        }
        if let [.., qualifier, name] = *parts.names() {
            if builtin::is_row_function(name) {
                self.may_call(qualifier, name);
            }
            let column = (qualifier.to_owned(), name.to_owned());
            self.notation.columns.insert(column);
        }
    }

    /// `(value).field`, `value[1]`. Gives the type of what comes out.
    pub(super) fn indirection(&mut self, node: &pb::AIndirection) -> Ty {
        let pb::AIndirection { arg, indirection } = node;
        let mut fields = indirection.as_slice();
        let mut ty = Ty::Unknown;
        match (self.row_of(arg.as_deref()), fields.first().and_then(text)) {
            // `(p).ssn` is `p.ssn`, however it is written.
            (Some(item), Some(name)) => {
                ty = self.resolver.use_field(&item, name);
                if !self.resolver.sighted() {
                    self.boxed(arg);
                } else {
                    fields = fields.get(1..).unwrap_or_default();
                }
            }
            _ => {
                if self.resolver.sighted() && fields.iter().any(|field| text(field).is_some()) {
                    ty = arg.as_deref().map_or(Ty::Unknown, |arg| self.type_of(arg));
                }
                self.boxed(arg);
            }
        }
        for field in fields {
            match text(field) {
                Some(name) if self.resolver.sighted() => ty = self.resolver.field(ty, name),
                Some(name) => {
                    if !is_harmless(name) {
                        self.may_call("it", name);
                    }
                }
                None => {
                    self.node(field);
                    ty = Ty::Unknown;
                }
            }
        }
        ty
    }

    /// The FROM item an expression is the whole row of.
    fn row_of(&mut self, arg: Option<&Node>) -> Option<Item> {
        let Some(N::ColumnRef(column)) = &arg?.node else {
            return None;
        };
        let parts = Parts::of(&column.fields)?;
        let item = self.resolver.row_item(&parts)?;
        (!self.resolver.sees_column(&parts)).then_some(item)
    }

    /// A function in FROM, and the name its rows go by.
    pub(super) fn range_function(&mut self, node: &pb::RangeFunction) {
        let pb::RangeFunction {
            lateral: _,
            ordinality: _,
            is_rowsfrom: _,
            functions,
            alias,
            coldeflist,
        } = node;
        self.nodes(functions);
        self.nodes(coldeflist);
        // The function's values are converted to these types: their input functions run.
        self.converted(coldeflist);
        for item in functions {
            if let Some(N::List(item)) = &item.node {
                for part in &item.items {
                    if let Some(N::List(definitions)) = &part.node {
                        self.converted(&definitions.items);
                    }
                }
            }
        }
        let name = match alias {
            Some(alias) => Some(alias.aliasname.as_str()),
            None => functions.first().and_then(function_name),
        };
        let Some(name) = name else {
            self.doubt("selects from an expression without an alias".to_owned());
            return;
        };
        let renamed = alias.iter().flat_map(|alias| &alias.colnames);
        let renamed = renamed.filter_map(text);
        let defined = coldeflist.iter().filter_map(column_name);
        let mut columns: HashSet<String> = renamed.chain(defined).map(str::to_owned).collect();
        let function = functions.first().and_then(function_name);
        if columns.is_empty() && function.is_some_and(builtin::names_its_column_by_alias) {
            columns.insert(name.to_owned());
        }
        let known = self.notation.functions.entry(name.to_owned());
        known.or_default().push(columns);
    }

    fn converted(&mut self, definitions: &[Node]) {
        for definition in definitions {
            if let Some(N::ColumnDef(column)) = &definition.node {
                self.maybe_type(column.type_name.as_ref());
            }
        }
    }

    /// Judges every `alias.name` now that all of FROM is known.
    pub(super) fn finish_notation(&mut self) {
        let Notation { functions, columns } = std::mem::take(&mut self.notation);
        for (alias, name) in columns {
            let Some(functions) = functions.get(&alias) else {
                continue;
            };
            let is_column = functions.iter().all(|columns| columns.contains(&name));
            if !is_column && !is_harmless(&name) {
                self.may_call(&alias, &name);
            }
        }
    }

    fn may_call(&mut self, of: &str, name: &str) {
        self.functions.insert(FunctionName {
            schema: None,
            name: name.to_owned(),
        });
        self.doubt(format!(
            "{}.{} may be a call of {}()",
            shown(of),
            shown(name),
            shown(name)
        ));
    }
}

/// A column that built-in functions have, or a built-in function that does no harm.
fn is_harmless(name: &str) -> bool {
    !builtin::is_row_function(name)
        && (builtin::is_output_column(name) || builtin::is_function(None, name))
}
