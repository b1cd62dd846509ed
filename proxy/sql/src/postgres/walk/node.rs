//! The list of every node type and where each goes.

use pg_query::NodeEnum as N;

use super::Walk;

impl Walk<'_> {
    /// Sends a node to the function that knows its parts.
    #[expect(
        clippy::too_many_lines,
        reason = "one line a node type; splitting the list would hide what is missing"
    )]
    pub(super) fn any(&mut self, node: &N) {
        match node {
            // Values and names without parts.
            N::AConst(_)
            | N::Integer(_)
            | N::Float(_)
            | N::Boolean(_)
            | N::String(_)
            | N::BitString(_)
            | N::ParamRef(_)
            | N::AStar(_)
            | N::SetToDefault(_)
            | N::SqlvalueFunction(_)
            | N::MergeSupportFunc(_)
            | N::RoleSpec(_)
            | N::Alias(_)
            | N::JsonFormat(_)
            | N::ReturningOption(_)
            | N::TriggerTransition(_)
            | N::AtalterConstraint(_)
            | N::ReplicaIdentityStmt(_)
            | N::CtesearchClause(_) => {}
            N::CurrentOfExpr(_) => self.at_cursor = true,
            N::List(list) => self.nodes(&list.items),
            N::IntList(list) => self.nodes(&list.items),
            N::OidList(list) => self.nodes(&list.items),

            // Expressions.
            N::ColumnRef(node) => self.column_ref(node),
            N::AExpr(node) => self.a_expr(node),
            N::BoolExpr(node) => self.nodes(&node.args),
            N::TypeCast(node) => self.type_cast(node),
            N::TypeName(node) => self.type_name(node),
            N::FuncCall(node) => self.func_call(node),
            N::SubLink(node) => self.sub_link(node),
            N::CaseExpr(node) => {
                if node.arg.is_some() {
                    self.implied_operator("=");
                }
                self.boxed(&node.arg);
                self.nodes(&node.args);
                self.boxed(&node.defresult);
            }
            N::CaseWhen(node) => {
                self.boxed(&node.expr);
                self.boxed(&node.result);
            }
            N::CoalesceExpr(node) => self.nodes(&node.args),
            N::MinMaxExpr(node) => self.nodes(&node.args),
            N::NullTest(node) => self.boxed(&node.arg),
            N::BooleanTest(node) => self.boxed(&node.arg),
            N::RowExpr(node) => {
                self.nodes(&node.args);
                self.nodes(&node.colnames);
            }
            N::AArrayExpr(node) => self.nodes(&node.elements),
            N::AIndices(node) => {
                self.boxed(&node.lidx);
                self.boxed(&node.uidx);
            }
            N::AIndirection(node) => {
                self.indirection(node);
            }
            N::CollateClause(node) => self.boxed(&node.arg),
            N::NamedArgExpr(node) => self.boxed(&node.arg),
            N::GroupingFunc(node) => {
                self.nodes(&node.args);
                self.nodes(&node.refs);
            }
            N::GroupingSet(node) => self.nodes(&node.content),
            N::MultiAssignRef(node) => self.boxed(&node.source),
            N::ResTarget(node) => {
                self.nodes(&node.indirection);
                self.boxed(&node.val);
            }
            N::SortBy(node) => {
                self.boxed(&node.node);
                self.operator(&node.use_op, [node.node.as_deref(), None]);
            }
            N::WindowDef(node) => self.window(node),
            N::XmlExpr(node) => {
                self.nodes(&node.named_args);
                self.nodes(&node.arg_names);
                self.nodes(&node.args);
            }
            N::XmlSerialize(node) => {
                self.boxed(&node.expr);
                self.maybe_type(node.type_name.as_ref());
            }
            N::JsonReturning(_)
            | N::JsonValueExpr(_)
            | N::JsonIsPredicate(_)
            | N::JsonBehavior(_)
            | N::JsonOutput(_)
            | N::JsonArgument(_)
            | N::JsonFuncExpr(_)
            | N::JsonTablePathSpec(_)
            | N::JsonTable(_)
            | N::JsonTableColumn(_)
            | N::JsonKeyValue(_)
            | N::JsonParseExpr(_)
            | N::JsonScalarExpr(_)
            | N::JsonSerializeExpr(_)
            | N::JsonObjectConstructor(_)
            | N::JsonArrayConstructor(_)
            | N::JsonArrayQueryConstructor(_)
            | N::JsonAggConstructor(_)
            | N::JsonObjectAgg(_)
            | N::JsonArrayAgg(_) => self.json(node),

            // Parts of queries.
            N::RangeVar(node) => {
                self.read(node);
            }
            N::RangeSubselect(node) => self.boxed(&node.subquery),
            N::RangeFunction(node) => self.range_function(node),
            N::RangeTableFunc(node) => self.range_table_func(node),
            N::RangeTableFuncCol(node) => {
                self.maybe_type(node.type_name.as_ref());
                self.boxed(&node.colexpr);
                self.boxed(&node.coldefexpr);
            }
            // These come into scope in `from`, and nowhere else.
            N::RangeTableSample(_) => self.unknown("RangeTableSample"),
            N::JoinExpr(_) => self.unknown("JoinExpr"),
            N::LockingClause(node) => self.nodes(&node.locked_rels),
            N::IntoClause(node) => self.makes_table(node),
            N::WithClause(_) => self.unknown("WithClause"),
            N::CommonTableExpr(node) => {
                self.common_table(node);
            }
            N::CtecycleClause(node) => {
                self.boxed(&node.cycle_mark_value);
                self.boxed(&node.cycle_mark_default);
            }
            N::OnConflictClause(_) => self.unknown("OnConflictClause"),
            N::InferClause(node) => {
                self.nodes(&node.index_elems);
                self.boxed(&node.where_clause);
            }
            N::MergeWhenClause(_) => self.unknown("MergeWhenClause"),
            N::ReturningClause(node) => self.nodes(&node.exprs),

            // Parts of definitions.
            N::ColumnDef(_)
            | N::TableLikeClause(_)
            | N::IndexElem(_)
            | N::DefElem(_)
            | N::PartitionElem(_)
            | N::PartitionSpec(_)
            | N::PartitionBoundSpec(_)
            | N::PartitionRangeDatum(_)
            | N::PartitionCmd(_)
            | N::AlterTableCmd(_)
            | N::Constraint(_)
            | N::CreateOpClassItem(_)
            | N::FunctionParameter(_)
            | N::ObjectWithArgs(_)
            | N::AccessPriv(_)
            | N::StatsElem(_)
            | N::VacuumRelation(_)
            | N::PublicationTable(_)
            | N::PublicationObjSpec(_) => self.definition_part(node),

            // Statements, outermost or nested (data-modifying CTEs, rule actions, schema elements).
            N::RawStmt(node) => self.boxed(&node.stmt),
            N::SelectStmt(_)
            | N::InsertStmt(_)
            | N::UpdateStmt(_)
            | N::DeleteStmt(_)
            | N::MergeStmt(_)
            | N::ReturnStmt(_)
            | N::CreateSchemaStmt(_)
            | N::AlterTableStmt(_)
            | N::AlterCollationStmt(_)
            | N::AlterDomainStmt(_)
            | N::GrantStmt(_)
            | N::GrantRoleStmt(_)
            | N::AlterDefaultPrivilegesStmt(_)
            | N::CopyStmt(_)
            | N::VariableSetStmt(_)
            | N::VariableShowStmt(_)
            | N::CreateStmt(_)
            | N::CreateTableSpaceStmt(_)
            | N::DropTableSpaceStmt(_)
            | N::AlterTableSpaceOptionsStmt(_)
            | N::AlterTableMoveAllStmt(_)
            | N::CreateExtensionStmt(_)
            | N::AlterExtensionStmt(_)
            | N::AlterExtensionContentsStmt(_)
            | N::CreateFdwStmt(_)
            | N::AlterFdwStmt(_)
            | N::CreateForeignServerStmt(_)
            | N::AlterForeignServerStmt(_)
            | N::CreateForeignTableStmt(_)
            | N::CreateUserMappingStmt(_)
            | N::AlterUserMappingStmt(_)
            | N::DropUserMappingStmt(_)
            | N::ImportForeignSchemaStmt(_)
            | N::CreatePolicyStmt(_)
            | N::AlterPolicyStmt(_)
            | N::CreateAmStmt(_)
            | N::CreateTrigStmt(_)
            | N::CreateEventTrigStmt(_)
            | N::AlterEventTrigStmt(_)
            | N::CreatePlangStmt(_)
            | N::CreateRoleStmt(_)
            | N::AlterRoleStmt(_)
            | N::AlterRoleSetStmt(_)
            | N::DropRoleStmt(_)
            | N::CreateSeqStmt(_)
            | N::AlterSeqStmt(_)
            | N::DefineStmt(_)
            | N::CreateDomainStmt(_)
            | N::CreateOpClassStmt(_)
            | N::CreateOpFamilyStmt(_)
            | N::AlterOpFamilyStmt(_)
            | N::DropStmt(_)
            | N::TruncateStmt(_)
            | N::CommentStmt(_)
            | N::SecLabelStmt(_)
            | N::DeclareCursorStmt(_)
            | N::ClosePortalStmt(_)
            | N::FetchStmt(_)
            | N::IndexStmt(_)
            | N::CreateStatsStmt(_)
            | N::AlterStatsStmt(_)
            | N::CreateFunctionStmt(_)
            | N::AlterFunctionStmt(_)
            | N::DoStmt(_)
            | N::CallStmt(_)
            | N::RenameStmt(_)
            | N::AlterObjectDependsStmt(_)
            | N::AlterObjectSchemaStmt(_)
            | N::AlterOwnerStmt(_)
            | N::AlterOperatorStmt(_)
            | N::AlterTypeStmt(_)
            | N::RuleStmt(_)
            | N::NotifyStmt(_)
            | N::ListenStmt(_)
            | N::UnlistenStmt(_)
            | N::TransactionStmt(_)
            | N::CompositeTypeStmt(_)
            | N::CreateEnumStmt(_)
            | N::CreateRangeStmt(_)
            | N::AlterEnumStmt(_)
            | N::ViewStmt(_)
            | N::LoadStmt(_)
            | N::CreatedbStmt(_)
            | N::AlterDatabaseStmt(_)
            | N::AlterDatabaseRefreshCollStmt(_)
            | N::AlterDatabaseSetStmt(_)
            | N::DropdbStmt(_)
            | N::AlterSystemStmt(_)
            | N::ClusterStmt(_)
            | N::VacuumStmt(_)
            | N::ExplainStmt(_)
            | N::CreateTableAsStmt(_)
            | N::RefreshMatViewStmt(_)
            | N::CheckPointStmt(_)
            | N::DiscardStmt(_)
            | N::LockStmt(_)
            | N::ConstraintsSetStmt(_)
            | N::ReindexStmt(_)
            | N::CreateConversionStmt(_)
            | N::CreateCastStmt(_)
            | N::CreateTransformStmt(_)
            | N::PrepareStmt(_)
            | N::ExecuteStmt(_)
            | N::DeallocateStmt(_)
            | N::DropOwnedStmt(_)
            | N::ReassignOwnedStmt(_)
            | N::AlterTsdictionaryStmt(_)
            | N::AlterTsconfigurationStmt(_)
            | N::CreatePublicationStmt(_)
            | N::AlterPublicationStmt(_)
            | N::CreateSubscriptionStmt(_)
            | N::AlterSubscriptionStmt(_)
            | N::DropSubscriptionStmt(_) => self.statement(node),

            // What only an analysed tree has, or only the server makes for itself.
            N::TableFunc(_) => self.unknown("TableFunc"),
            N::Var(_) => self.unknown("Var"),
            N::Param(_) => self.unknown("Param"),
            N::Aggref(_) => self.unknown("Aggref"),
            N::WindowFunc(_) => self.unknown("WindowFunc"),
            N::WindowFuncRunCondition(_) => self.unknown("WindowFuncRunCondition"),
            N::SubscriptingRef(_) => self.unknown("SubscriptingRef"),
            N::FuncExpr(_) => self.unknown("FuncExpr"),
            N::OpExpr(_) => self.unknown("OpExpr"),
            N::DistinctExpr(_) => self.unknown("DistinctExpr"),
            N::NullIfExpr(_) => self.unknown("NullIfExpr"),
            N::ScalarArrayOpExpr(_) => self.unknown("ScalarArrayOpExpr"),
            N::SubPlan(_) => self.unknown("SubPlan"),
            N::AlternativeSubPlan(_) => self.unknown("AlternativeSubPlan"),
            N::FieldSelect(_) => self.unknown("FieldSelect"),
            N::FieldStore(_) => self.unknown("FieldStore"),
            N::RelabelType(_) => self.unknown("RelabelType"),
            N::CoerceViaIo(_) => self.unknown("CoerceViaIO"),
            N::ArrayCoerceExpr(_) => self.unknown("ArrayCoerceExpr"),
            N::ConvertRowtypeExpr(_) => self.unknown("ConvertRowtypeExpr"),
            N::CollateExpr(_) => self.unknown("CollateExpr"),
            N::CaseTestExpr(_) => self.unknown("CaseTestExpr"),
            N::ArrayExpr(_) => self.unknown("ArrayExpr"),
            N::RowCompareExpr(_) => self.unknown("RowCompareExpr"),
            N::JsonConstructorExpr(_) => self.unknown("JsonConstructorExpr"),
            N::JsonExpr(_) => self.unknown("JsonExpr"),
            N::JsonTablePath(_) => self.unknown("JsonTablePath"),
            N::JsonTablePathScan(_) => self.unknown("JsonTablePathScan"),
            N::JsonTableSiblingJoin(_) => self.unknown("JsonTableSiblingJoin"),
            N::MergeAction(_) => self.unknown("MergeAction"),
            N::CoerceToDomain(_) => self.unknown("CoerceToDomain"),
            N::CoerceToDomainValue(_) => self.unknown("CoerceToDomainValue"),
            N::NextValueExpr(_) => self.unknown("NextValueExpr"),
            N::InferenceElem(_) => self.unknown("InferenceElem"),
            N::ReturningExpr(_) => self.unknown("ReturningExpr"),
            N::TargetEntry(_) => self.unknown("TargetEntry"),
            N::RangeTblRef(_) => self.unknown("RangeTblRef"),
            N::FromExpr(_) => self.unknown("FromExpr"),
            N::OnConflictExpr(_) => self.unknown("OnConflictExpr"),
            N::Query(_) => self.unknown("Query"),
            N::RangeTblEntry(_) => self.unknown("RangeTblEntry"),
            N::RtepermissionInfo(_) => self.unknown("RTEPermissionInfo"),
            N::RangeTblFunction(_) => self.unknown("RangeTblFunction"),
            N::TableSampleClause(_) => self.unknown("TableSampleClause"),
            N::WithCheckOption(_) => self.unknown("WithCheckOption"),
            N::SortGroupClause(_) => self.unknown("SortGroupClause"),
            N::WindowClause(_) => self.unknown("WindowClause"),
            N::RowMarkClause(_) => self.unknown("RowMarkClause"),
            N::SetOperationStmt(_) => self.unknown("SetOperationStmt"),
            N::PlassignStmt(_) => self.unknown("PLAssignStmt"),
            N::InlineCodeBlock(_) => self.unknown("InlineCodeBlock"),
            N::CallContext(_) => self.unknown("CallContext"),
        }
    }
}
