//! Expressions: what they call, cast to and read.

use pg_query::{
    Node, NodeEnum as N,
    protobuf::{self as pb, AExprKind},
};

use super::{Walk, qualified, query::Usage};
use crate::{
    FunctionName, RelationName, SessionEffect, StatementClass,
    postgres::{builtin, resolve::Ty},
};

impl Walk<'_> {
    pub(super) fn a_expr(&mut self, node: &pb::AExpr) {
        let pb::AExpr {
            kind,
            name,
            lexpr,
            rexpr,
            rexpr_list_start: _,
            rexpr_list_end: _,
            location: _,
        } = node;
        match AExprKind::try_from(*kind) {
            // The name is a keyword that stands for <= and >=.
            Ok(
                AExprKind::AexprBetween
                | AExprKind::AexprNotBetween
                | AExprKind::AexprBetweenSym
                | AExprKind::AexprNotBetweenSym,
            ) => {
                self.implied_operator("<=");
                self.implied_operator(">=");
            }
            Ok(
                AExprKind::AexprOp
                | AExprKind::AexprOpAny
                | AExprKind::AexprOpAll
                | AExprKind::AexprDistinct
                | AExprKind::AexprNotDistinct
                | AExprKind::AexprNullif
                | AExprKind::AexprIn
                | AExprKind::AexprLike
                | AExprKind::AexprIlike
                | AExprKind::AexprSimilar,
            ) => self.operator(name, [lexpr.as_deref(), rexpr.as_deref()]),
            Ok(AExprKind::Undefined) | Err(_) => self.unknown("A_Expr"),
        }
        self.boxed(lexpr);
        self.boxed(rexpr);
    }

    pub(super) fn operator(&mut self, name: &[Node], operands: [Option<&Node>; 2]) {
        if name.is_empty() {
            return;
        }
        let Some((schema, operator)) = qualified(name) else {
            return self.unknown("operator name");
        };
        if self.resolver.has_operator(operator) {
            let [left, right] = operands.map(|side| side.map(|side| self.type_of(side)));
            self.resolver.operator(schema, operator, [left, right]);
        } else if !builtin::is_operator(schema, operator) {
            self.doubt(format!(
                "uses operator {operator}, not known to be free of side effects"
            ));
        }
        self.operators.insert(FunctionName {
            schema: schema.map(str::to_owned),
            name: operator.to_owned(),
        });
    }

    /// An operator that no one writes: of BETWEEN, IN, USING, CASE.
    pub(super) fn implied_operator(&mut self, name: &str) {
        if self.resolver.has_operator(name) {
            let unknown = Some(Ty::Unknown);
            self.resolver.operator(None, name, [unknown, unknown]);
        }
    }

    pub(super) fn type_cast(&mut self, node: &pb::TypeCast) {
        let pb::TypeCast {
            arg,
            type_name,
            location: _,
        } = node;
        self.boxed(arg);
        if let Some(name) = type_name {
            let source = match arg.as_deref() {
                Some(arg) if self.resolver.sighted() => self.type_of(arg),
                _ => Ty::Unknown,
            };
            self.converts(name, source);
        }
    }

    pub(super) fn maybe_type(&mut self, name: Option<&pb::TypeName>) {
        if let Some(name) = name {
            self.type_name(name);
        }
    }

    pub(super) fn type_name(&mut self, name: &pb::TypeName) {
        self.converts(name, Ty::Unknown);
    }

    /// A type that values are converted to: its input and cast functions run.
    fn converts(&mut self, name: &pb::TypeName, source: Ty) {
        match qualified(&name.names) {
            Some((schema, of)) if self.resolver.sighted() && !name.pct_type => {
                self.note_cast(schema, of);
                let array = !name.array_bounds.is_empty();
                let source = if array { Ty::Unknown } else { source };
                self.resolver.cast_to(schema, of, source);
            }
            Some((schema, of)) if builtin::is_type(schema, of) && !name.pct_type => {
                self.note_cast(schema, of);
            }
            Some((schema, of)) => {
                self.note_cast(schema, of);
                let of = RelationName {
                    schema: schema.map(str::to_owned),
                    name: of.to_owned(),
                };
                self.doubt(format!("converts to type {of}, which is not built in"));
            }
            None => self.unknown("type name"),
        }
        self.type_parts(name);
    }

    fn note_cast(&mut self, schema: Option<&str>, name: &str) {
        self.casts.insert(FunctionName {
            schema: schema.map(str::to_owned),
            name: name.to_owned(),
        });
    }

    /// A type that is only named: in a definition.
    pub(super) fn type_parts(&mut self, name: &pb::TypeName) {
        let pb::TypeName {
            names: _,
            type_oid: _,
            setof: _,
            pct_type: _,
            typmods,
            typemod: _,
            array_bounds,
            location: _,
        } = name;
        self.nodes(typmods);
        self.nodes(array_bounds);
    }

    pub(super) fn func_call(&mut self, call: &pb::FuncCall) {
        let pb::FuncCall {
            funcname,
            args,
            agg_order,
            agg_filter,
            over,
            agg_within_group,
            agg_star: _,
            agg_distinct: _,
            func_variadic: _,
            funcformat: _,
            location: _,
        } = call;
        match qualified(funcname) {
            Some((schema, name)) => {
                self.function(schema, name, args);
                if self.resolver.sighted() {
                    let given = (!agg_within_group).then_some(args.len());
                    let types = if self.resolver.has_routine(name) {
                        args.iter().map(|arg| self.type_of(arg)).collect()
                    } else {
                        Vec::new()
                    };
                    self.resolver.call(schema, name, given, &types);
                    if self.resolver.has_routine(name)
                        && args.iter().all(crate::postgres::predicate::is_fixed)
                    {
                        self.resolver.call_fixed(schema, name, args.len());
                    }
                }
            }
            None => self.unknown("function name"),
        }
        self.nodes(args);
        self.nodes(agg_order);
        self.boxed(agg_filter);
        if let Some(over) = over {
            self.window(over);
        }
    }

    /// Notes a call by name.
    pub(super) fn function(&mut self, schema: Option<&str>, name: &str, args: &[Node]) {
        let function = FunctionName {
            schema: schema.map(str::to_owned),
            name: name.to_owned(),
        };
        let built_in = matches!(schema, None | Some("pg_catalog"));
        if built_in && name == "set_config" {
            self.set_config(args);
        } else if !self.resolver.sighted() && !builtin::is_function(schema, name) {
            self.doubt(format!(
                "calls {function}(), not known to be free of side effects"
            ));
        }
        self.functions.insert(function);
    }

    /// `set_config(name, value, is_local)` is a SET when the name is a constant.
    fn set_config(&mut self, args: &[Node]) {
        let constant = |index: usize| args.get(index).and_then(string_constant);
        // The name comes as a literal, so only one that the server has may be told.
        let parameter = constant(0)
            .map(str::to_ascii_lowercase)
            .filter(|name| builtin::is_known_setting(name));
        let harmless = parameter.as_deref().is_some_and(|name| {
            builtin::is_harmless_setting(name)
                || constant(1).is_some_and(|value| builtin::is_harmless_value(name, value))
        });
        if !harmless {
            self.is_a("SELECT", StatementClass::SessionRisk);
            self.doubt(match &parameter {
                Some(name) => {
                    format!("sets {name}, on which the judgement of later statements rests")
                }
                None => "sets a session setting that is computed or not known".to_owned(),
            });
        }
        self.session = SessionEffect::Set {
            parameter: parameter.unwrap_or_default(),
            local: false,
        };
    }

    pub(super) fn sub_link(&mut self, node: &pb::SubLink) {
        let pb::SubLink {
            xpr: _,
            sub_link_type,
            sub_link_id: _,
            testexpr,
            oper_name,
            subselect,
            location: _,
        } = node;
        self.boxed(testexpr);
        if oper_name.is_empty() && testexpr.is_some() {
            self.implied_operator("=");
        }
        self.operator(oper_name, [testexpr.as_deref(), None]);
        let exists = *sub_link_type == pb::SubLinkType::ExistsSublink as i32;
        self.gathers |= *sub_link_type == pb::SubLinkType::ArraySublink as i32;
        match subselect.as_ref().and_then(|query| query.node.as_ref()) {
            // EXISTS looks at rows, not at what is in them.
            Some(N::SelectStmt(query)) if exists => {
                self.select(query, Usage::Carried);
            }
            _ => self.boxed(subselect),
        }
    }

    pub(super) fn window(&mut self, node: &pb::WindowDef) {
        let pb::WindowDef {
            name: _,
            refname: _,
            partition_clause,
            order_clause,
            frame_options: _,
            start_offset,
            end_offset,
            location: _,
        } = node;
        self.nodes(partition_clause);
        self.nodes(order_clause);
        self.boxed(start_offset);
        self.boxed(end_offset);
    }

    /// SQL/JSON: constructors, query functions and JSON_TABLE.
    pub(super) fn json(&mut self, node: &N) {
        match node {
            N::JsonValueExpr(node) => self.json_value(Some(node)),
            N::JsonIsPredicate(node) => self.boxed(&node.expr),
            N::JsonBehavior(node) => self.json_behavior(Some(node)),
            N::JsonOutput(node) => self.json_output(Some(node)),
            N::JsonArgument(node) => self.json_value(node.val.as_deref()),
            N::JsonFuncExpr(node) => {
                self.json_value(node.context_item.as_deref());
                self.boxed(&node.pathspec);
                self.nodes(&node.passing);
                self.json_output(node.output.as_ref());
                self.json_behavior(node.on_empty.as_deref());
                self.json_behavior(node.on_error.as_deref());
            }
            N::JsonTablePathSpec(node) => self.boxed(&node.string),
            N::JsonTable(node) => {
                self.json_value(node.context_item.as_deref());
                if let Some(path) = &node.pathspec {
                    self.boxed(&path.string);
                }
                self.nodes(&node.passing);
                self.nodes(&node.columns);
                self.json_behavior(node.on_error.as_deref());
            }
            N::JsonTableColumn(node) => {
                self.maybe_type(node.type_name.as_ref());
                if let Some(path) = &node.pathspec {
                    self.boxed(&path.string);
                }
                self.nodes(&node.columns);
                self.json_behavior(node.on_empty.as_deref());
                self.json_behavior(node.on_error.as_deref());
            }
            _ => self.json_constructor(node),
        }
    }

    fn json_constructor(&mut self, node: &N) {
        match node {
            N::JsonKeyValue(node) => self.json_key_value(Some(node)),
            N::JsonParseExpr(node) => {
                self.json_value(node.expr.as_deref());
                self.json_output(node.output.as_ref());
            }
            N::JsonScalarExpr(node) => {
                self.boxed(&node.expr);
                self.json_output(node.output.as_ref());
            }
            N::JsonSerializeExpr(node) => {
                self.json_value(node.expr.as_deref());
                self.json_output(node.output.as_ref());
            }
            N::JsonObjectConstructor(node) => {
                self.nodes(&node.exprs);
                self.json_output(node.output.as_ref());
            }
            N::JsonArrayConstructor(node) => {
                self.nodes(&node.exprs);
                self.json_output(node.output.as_ref());
            }
            N::JsonArrayQueryConstructor(node) => {
                self.gathers = true;
                self.boxed(&node.query);
                self.json_output(node.output.as_ref());
            }
            N::JsonAggConstructor(node) => self.json_aggregate(Some(node)),
            N::JsonObjectAgg(node) => {
                self.json_aggregate(node.constructor.as_deref());
                self.json_key_value(node.arg.as_deref());
            }
            N::JsonArrayAgg(node) => {
                self.json_aggregate(node.constructor.as_deref());
                self.json_value(node.arg.as_deref());
            }
            // JsonReturning is made by analysis only; nothing else is sent here.
            _ => self.unknown("JSON node"),
        }
    }

    fn json_value(&mut self, node: Option<&pb::JsonValueExpr>) {
        if let Some(node) = node {
            self.boxed(&node.raw_expr);
            self.boxed(&node.formatted_expr);
        }
    }

    fn json_behavior(&mut self, node: Option<&pb::JsonBehavior>) {
        if let Some(node) = node {
            self.boxed(&node.expr);
        }
    }

    fn json_output(&mut self, node: Option<&pb::JsonOutput>) {
        if let Some(node) = node {
            self.maybe_type(node.type_name.as_ref());
        }
    }

    fn json_key_value(&mut self, node: Option<&pb::JsonKeyValue>) {
        if let Some(node) = node {
            self.boxed(&node.key);
            self.json_value(node.value.as_deref());
        }
    }

    fn json_aggregate(&mut self, node: Option<&pb::JsonAggConstructor>) {
        self.gathers = true;
        if let Some(node) = node {
            self.json_output(node.output.as_ref());
            self.boxed(&node.agg_filter);
            self.nodes(&node.agg_order);
            if let Some(over) = &node.over {
                self.window(over);
            }
        }
    }
}

/// The text of a string constant, casts to text looked through.
pub(in crate::postgres) fn string_constant(node: &Node) -> Option<&str> {
    match node.node.as_ref()? {
        N::AConst(constant) => match constant.val.as_ref()? {
            pb::a_const::Val::Sval(value) => Some(&value.sval),
            _ => None,
        },
        N::TypeCast(cast) => string_constant(cast.arg.as_deref()?),
        _ => None,
    }
}
