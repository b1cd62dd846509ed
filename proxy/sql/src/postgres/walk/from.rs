//! FROM: what comes into scope, under which name, and what of it can be seen from where.

use std::{collections::BTreeSet, sync::Arc};

use pg_query::{
    Node, NodeEnum as N,
    protobuf::{self as pb},
};

use super::{Walk, qualified, query::Usage, text};
use crate::postgres::{
    builtin,
    resolve::{Item, Open, OutColumn, Shape, Source, Tree, Ty},
};

impl Walk<'_> {
    /// The FROM clause of the query whose level is open.
    pub(super) fn from(&mut self, items: &[Node]) {
        for item in items {
            let tree = self.item_in_from(item);
            if let Some(level) = self.resolver.level() {
                level.trees.push(tree);
            }
        }
    }

    pub(super) fn item_in_from(&mut self, item: &Node) -> Tree {
        match &item.node {
            Some(N::RangeVar(node)) => self.relation_in_from(node),
            Some(N::RangeSubselect(node)) => self.subquery_in_from(node),
            Some(N::RangeFunction(node)) => self.function_in_from(node),
            Some(N::JoinExpr(node)) => self.join_in_from(node),
            Some(N::RangeTableSample(node)) => {
                let tree = node.relation.as_deref().map(|item| self.item_in_from(item));
                self.table_sample(node);
                tree.unwrap_or(Tree::Item(0))
            }
            Some(N::RangeTableFunc(node)) => {
                self.range_table_func(node);
                let columns = node.columns.iter().filter_map(xml_column);
                let columns = columns.map(str::to_owned).collect();
                self.bring_values(node.alias.as_ref(), "xmltable", columns, false)
            }
            Some(N::JsonTable(node)) => {
                self.json(&N::JsonTable(node.clone()));
                let mut columns = Vec::new();
                json_columns(&node.columns, &mut columns);
                self.bring_values(node.alias.as_ref(), "json_table", columns, false)
            }
            _ => {
                self.node(item);
                self.unknown("FROM item");
                Tree::Item(0)
            }
        }
    }

    fn relation_in_from(&mut self, node: &pb::RangeVar) -> Tree {
        let source = self.read(node);
        let item = self.named(node, source);
        self.resolver.bring(item)
    }

    /// A relation under its alias, or its own name.
    pub(super) fn named(&mut self, node: &pb::RangeVar, source: Source) -> Item {
        let Some(alias) = &node.alias else {
            let schema = match node.schemaname.as_str() {
                "" => self.resolver.schema_of(&source),
                schema => Some(schema.to_owned()),
            };
            return Item {
                name: node.relname.clone(),
                schema,
                source,
            };
        };
        let mut item = Item {
            name: alias.aliasname.clone(),
            schema: None,
            source,
        };
        if !alias.colnames.is_empty() {
            let shape = self.resolver.shape_of(&item);
            let names = alias.colnames.iter().filter_map(text);
            item.source = Source::Shape(Arc::new(Shape::clone(&shape).renamed(names)));
        }
        item
    }

    fn subquery_in_from(&mut self, node: &pb::RangeSubselect) -> Tree {
        let hidden = (!node.lateral).then(|| self.resolver.hide(true));
        let shape = match node.subquery.as_ref().and_then(|query| query.node.as_ref()) {
            Some(N::SelectStmt(query)) => self.select(query, Usage::Carried),
            _ => {
                self.boxed(&node.subquery);
                self.unknown("RangeSubselect");
                Shape::default()
            }
        };
        if let Some(hidden) = hidden {
            self.resolver.hide(hidden);
        }
        let alias = node.alias.as_ref();
        let shape = match alias {
            Some(alias) if !alias.colnames.is_empty() => {
                shape.renamed(alias.colnames.iter().filter_map(text))
            }
            _ => shape,
        };
        self.resolver.bring(Item {
            name: alias.map_or_else(String::new, |alias| alias.aliasname.clone()),
            schema: None,
            source: Source::Shape(Arc::new(shape)),
        })
    }

    /// A function: its arguments count at once, so its columns carry nothing more.
    fn function_in_from(&mut self, node: &pb::RangeFunction) -> Tree {
        self.range_function(node);
        let function = node.functions.first().and_then(function_name);
        let mut columns: Vec<String> = Vec::new();
        let renamed = node.alias.iter().flat_map(|alias| &alias.colnames);
        columns.extend(renamed.filter_map(text).map(str::to_owned));
        columns.extend(
            node.coldeflist
                .iter()
                .filter_map(column_name)
                .map(str::to_owned),
        );
        for item in &node.functions {
            if let Some(N::List(item)) = &item.node {
                for part in &item.items {
                    if let Some(N::List(definitions)) = &part.node {
                        let names = definitions.items.iter().filter_map(column_name);
                        columns.extend(names.map(str::to_owned));
                    }
                }
            }
        }
        if node.ordinality {
            columns.push("ordinality".to_owned());
        }
        let alias = node.alias.as_ref();
        let name = alias.map(|alias| alias.aliasname.as_str()).or(function);
        if columns.is_empty()
            && function.is_some_and(builtin::names_its_column_by_alias)
            && let Some(name) = name
        {
            columns.push(name.to_owned());
        }
        self.bring_values(alias, function.unwrap_or_default(), columns, true)
    }

    /// An item of values that are counted where they come from.
    fn bring_values(
        &mut self,
        alias: Option<&pb::Alias>,
        name: &str,
        mut columns: Vec<String>,
        function: bool,
    ) -> Tree {
        if !function && let Some(alias) = alias {
            let names = alias.colnames.iter().filter_map(text);
            for (column, name) in columns.iter_mut().zip(names) {
                name.clone_into(column);
            }
        }
        let columns = columns.into_iter().map(|name| OutColumn {
            name,
            from: Vec::new(),
            ty: Ty::Unknown,
        });
        let shape = Shape {
            columns: columns.collect(),
            open: if function {
                BTreeSet::from([Open::Values])
            } else {
                BTreeSet::new()
            },
            function,
            ..Shape::default()
        };
        self.resolver.bring(Item {
            name: alias.map_or(name, |alias| &alias.aliasname).to_owned(),
            schema: None,
            source: Source::Shape(Arc::new(shape)),
        })
    }

    fn join_in_from(&mut self, node: &pb::JoinExpr) -> Tree {
        let pb::JoinExpr {
            jointype: _,
            is_natural,
            larg,
            rarg,
            using_clause,
            join_using_alias,
            quals,
            alias,
            rtindex: _,
        } = node;
        let start = self.resolver.items();
        let left = larg.as_deref().map(|item| self.item_in_from(item));
        let right = rarg.as_deref().map(|item| self.item_in_from(item));
        let (Some(left), Some(right)) = (left, right) else {
            self.unknown("JoinExpr");
            return Tree::Item(0);
        };
        let mut merged: Vec<String> = using_clause
            .iter()
            .filter_map(text)
            .map(str::to_owned)
            .collect();
        if *is_natural {
            merged = self.resolver.common_columns(&left, &right);
        }
        if !merged.is_empty() {
            self.implied_operator("=");
        }
        for name in &merged {
            self.resolver.use_since(start, name);
        }
        self.boxed(quals);
        if let Some(alias) = join_using_alias {
            self.resolver.bring_merged(&alias.aliasname, start, &merged);
        }
        let tree = Tree::Join(Box::new(left), Box::new(right), merged);
        match alias {
            None => tree,
            Some(alias) => self.resolver.close_join(&tree, start, |shape| Item {
                name: alias.aliasname.clone(),
                schema: None,
                source: Source::Shape(Arc::new(
                    shape.renamed(alias.colnames.iter().filter_map(text)),
                )),
            }),
        }
    }

    pub(super) fn range_table_func(&mut self, node: &pb::RangeTableFunc) {
        let pb::RangeTableFunc {
            lateral: _,
            docexpr,
            rowexpr,
            namespaces,
            columns,
            alias: _,
            location: _,
        } = node;
        self.boxed(docexpr);
        self.boxed(rowexpr);
        self.nodes(namespaces);
        self.nodes(columns);
    }

    fn table_sample(&mut self, node: &pb::RangeTableSample) {
        let pb::RangeTableSample {
            relation: _,
            method,
            args,
            repeatable,
            location: _,
        } = node;
        match qualified(method) {
            Some((schema, name)) if builtin::is_sampling_method(schema, name) => {}
            _ => self.doubt("samples with a method that is not built in".to_owned()),
        }
        self.nodes(args);
        self.boxed(repeatable);
    }
}

/// The name of the first function of a FROM item: `FROM abs(1)` is `abs`.
pub(super) fn function_name(item: &Node) -> Option<&str> {
    match item.node.as_ref()? {
        N::List(list) => list.items.first().and_then(function_name),
        N::FuncCall(call) => qualified(&call.funcname).map(|(_, name)| name),
        _ => None,
    }
}

pub(super) fn column_name(definition: &Node) -> Option<&str> {
    match definition.node.as_ref()? {
        N::ColumnDef(column) => Some(&column.colname),
        _ => None,
    }
}

fn xml_column(node: &Node) -> Option<&str> {
    match node.node.as_ref()? {
        N::RangeTableFuncCol(column) => Some(&column.colname),
        _ => None,
    }
}

fn json_columns(nodes: &[Node], into: &mut Vec<String>) {
    for node in nodes {
        if let Some(N::JsonTableColumn(column)) = &node.node {
            if !column.name.is_empty() {
                into.push(column.name.clone());
            }
            json_columns(&column.columns, into);
        }
    }
}
