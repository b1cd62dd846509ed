//! Definitions and privileges: everything that changes the catalog.
//!
//! Each statement's own name, the objects it changes, and the queries and expressions inside.

use pg_query::{
    Node, NodeEnum as N,
    protobuf::{self as pb, GrantTargetType},
};

use super::{
    Walk,
    object::{belongs_to_relation, object_name},
    qualified, text,
};
use crate::{OpaqueReason, StatementClass as Class};

impl Walk<'_> {
    /// Relations, and what is made of queries.
    #[expect(clippy::too_many_lines, reason = "one short arm a statement")]
    pub(super) fn define(&mut self, statement: &N) {
        match statement {
            N::CreateStmt(node) => self.create_table("CREATE TABLE", node),
            N::CreateForeignTableStmt(node) => {
                match &node.base_stmt {
                    Some(base) => self.create_table("CREATE FOREIGN TABLE", base),
                    None => self.unknown("CreateForeignTableStmt"),
                }
                self.nodes(&node.options);
            }
            N::CreateTableAsStmt(node) => self.create_table_as(node),
            N::ViewStmt(node) => {
                self.ddl("CREATE VIEW");
                self.alter(node.view.as_ref());
                self.nodes(&node.aliases);
                self.inside(node.query.as_deref());
                self.nodes(&node.options);
            }
            N::AlterTableStmt(node) => {
                self.ddl(&format!("ALTER {}", object_name(node.objtype)));
                self.alter(node.relation.as_ref());
                self.nodes(&node.cmds);
            }
            N::IndexStmt(node) => {
                self.ddl("CREATE INDEX");
                self.alter(node.relation.as_ref());
                self.nodes(&node.index_params);
                self.nodes(&node.index_including_params);
                self.nodes(&node.options);
                self.boxed(&node.where_clause);
                self.nodes(&node.exclude_op_names);
            }
            N::CreateSeqStmt(node) => {
                self.ddl("CREATE SEQUENCE");
                self.alter(node.sequence.as_ref());
                self.nodes(&node.options);
            }
            N::AlterSeqStmt(node) => {
                self.ddl("ALTER SEQUENCE");
                self.alter(node.sequence.as_ref());
                self.nodes(&node.options);
            }
            N::CreateStatsStmt(node) => {
                self.ddl("CREATE STATISTICS");
                self.alter_names(&node.defnames);
                self.nodes(&node.exprs);
                self.nodes(&node.relations);
            }
            N::AlterStatsStmt(node) => {
                self.ddl("ALTER STATISTICS");
                self.alter_names(&node.defnames);
                self.boxed(&node.stxstattarget);
            }
            N::CreateTrigStmt(node) => {
                self.ddl("CREATE TRIGGER");
                self.alter(node.relation.as_ref());
                self.alter(node.constrrel.as_ref());
                self.boxed(&node.when_clause);
            }
            N::RuleStmt(node) => {
                self.ddl("CREATE RULE");
                self.alter(node.relation.as_ref());
                self.boxed(&node.where_clause);
                for action in &node.actions {
                    self.inside(Some(action));
                }
            }
            N::CreatePolicyStmt(node) => {
                self.ddl("CREATE POLICY");
                self.alter(node.table.as_ref());
                self.boxed(&node.qual);
                self.boxed(&node.with_check);
            }
            N::AlterPolicyStmt(node) => {
                self.ddl("ALTER POLICY");
                self.alter(node.table.as_ref());
                self.boxed(&node.qual);
                self.boxed(&node.with_check);
            }
            N::CreateSchemaStmt(node) => {
                self.ddl("CREATE SCHEMA");
                self.alter_named(&node.schemaname);
                self.nodes(&node.schema_elts);
            }
            N::DropStmt(node) => self.drop(node),
            N::RenameStmt(node) => {
                let object = if node.relation.is_some() && !belongs_to_relation(node.rename_type) {
                    object_name(node.rename_type)
                } else if belongs_to_relation(node.rename_type) {
                    object_name(node.relation_type)
                } else {
                    object_name(node.rename_type)
                };
                self.ddl(&format!("ALTER {object}"));
                self.alter(node.relation.as_ref());
                self.object(node.object.as_deref());
                if node.relation.is_none() && node.object.is_none() {
                    self.alter_named(&node.subname);
                }
            }
            N::AlterObjectSchemaStmt(node) => {
                self.ddl(&format!("ALTER {}", object_name(node.object_type)));
                self.alter(node.relation.as_ref());
                self.object(node.object.as_deref());
            }
            N::AlterObjectDependsStmt(node) => {
                self.ddl(&format!("ALTER {}", object_name(node.object_type)));
                self.alter(node.relation.as_ref());
                self.object(node.object.as_deref());
            }
            N::AlterOwnerStmt(node) => {
                self.ddl(&format!("ALTER {}", object_name(node.object_type)));
                self.alter(node.relation.as_ref());
                self.object(node.object.as_deref());
            }
            N::CommentStmt(node) => {
                self.ddl("COMMENT");
                self.object_of(node.objtype, node.object.as_deref());
            }
            N::SecLabelStmt(node) => {
                self.ddl("SECURITY LABEL");
                self.object_of(node.objtype, node.object.as_deref());
            }
            N::GrantStmt(node) => self.grant(node),
            _ => self.define_code(statement),
        }
    }

    /// Functions, types and operators.
    fn define_code(&mut self, statement: &N) {
        match statement {
            N::CreateFunctionStmt(node) => {
                let kind = if node.is_procedure {
                    "PROCEDURE"
                } else {
                    "FUNCTION"
                };
                self.ddl(&format!("CREATE {kind}"));
                self.alter_names(&node.funcname);
                self.inside(node.sql_body.as_deref());
                // Known for what it is, but what it will do when called is not.
                self.classes.insert(Class::Opaque);
                self.opaque.get_or_insert(OpaqueReason::DynamicCode);
            }
            N::AlterFunctionStmt(node) => {
                self.ddl(&format!("ALTER {}", object_name(node.objtype)));
                if let Some(function) = &node.func {
                    self.alter_names(&function.objname);
                }
            }
            N::DefineStmt(node) => {
                self.ddl(&format!("CREATE {}", object_name(node.kind)));
                self.alter_names(&node.defnames);
            }
            N::CreateDomainStmt(node) => {
                self.ddl("CREATE DOMAIN");
                self.alter_names(&node.domainname);
                self.nodes(&node.constraints);
            }
            N::AlterDomainStmt(node) => {
                self.ddl("ALTER DOMAIN");
                self.alter_names(&node.type_name);
                self.boxed(&node.def);
            }
            N::CompositeTypeStmt(node) => {
                self.ddl("CREATE TYPE");
                self.alter(node.typevar.as_ref());
            }
            N::CreateEnumStmt(node) => self.ddl_named("CREATE TYPE", &node.type_name),
            N::CreateRangeStmt(node) => self.ddl_named("CREATE TYPE", &node.type_name),
            N::AlterEnumStmt(node) => self.ddl_named("ALTER TYPE", &node.type_name),
            N::AlterTypeStmt(node) => self.ddl_named("ALTER TYPE", &node.type_name),
            N::AlterOperatorStmt(_) => self.ddl("ALTER OPERATOR"),
            N::CreateOpClassStmt(node) => {
                self.ddl_named("CREATE OPERATOR CLASS", &node.opclassname);
            }
            N::CreateOpFamilyStmt(node) => {
                self.ddl_named("CREATE OPERATOR FAMILY", &node.opfamilyname);
            }
            N::AlterOpFamilyStmt(node) => {
                self.ddl_named("ALTER OPERATOR FAMILY", &node.opfamilyname);
            }
            N::CreateCastStmt(_) => self.ddl("CREATE CAST"),
            N::CreateTransformStmt(_) => self.ddl("CREATE TRANSFORM"),
            N::CreateConversionStmt(node) => {
                self.ddl_named("CREATE CONVERSION", &node.conversion_name);
            }
            N::AlterCollationStmt(node) => self.ddl_named("ALTER COLLATION", &node.collname),
            N::AlterTsdictionaryStmt(node) => {
                self.ddl_named("ALTER TEXT SEARCH DICTIONARY", &node.dictname);
            }
            N::AlterTsconfigurationStmt(node) => {
                self.ddl_named("ALTER TEXT SEARCH CONFIGURATION", &node.cfgname);
            }
            N::CreatePlangStmt(node) => self.ddl_object("CREATE LANGUAGE", &node.plname),
            N::CreateAmStmt(node) => self.ddl_object("CREATE ACCESS METHOD", &node.amname),
            N::CreateEventTrigStmt(node) => {
                self.ddl_object("CREATE EVENT TRIGGER", &node.trigname);
            }
            N::AlterEventTrigStmt(node) => self.ddl_object("ALTER EVENT TRIGGER", &node.trigname),
            _ => self.define_cluster(statement),
        }
    }

    /// Roles, databases, servers and other things that are no part of a schema.
    fn define_cluster(&mut self, statement: &N) {
        match statement {
            N::GrantRoleStmt(node) => self.ddl(if node.is_grant { "GRANT" } else { "REVOKE" }),
            N::AlterDefaultPrivilegesStmt(_) => self.ddl("ALTER DEFAULT PRIVILEGES"),
            N::CreateRoleStmt(node) => self.ddl_object("CREATE ROLE", &node.role),
            N::AlterRoleStmt(node) => self.ddl_roles("ALTER ROLE", node.role.as_slice()),
            N::AlterRoleSetStmt(node) => self.ddl_roles("ALTER ROLE", node.role.as_slice()),
            N::DropRoleStmt(node) => self.ddl_objects("DROP ROLE", &node.roles),
            N::DropOwnedStmt(node) => self.ddl_objects("DROP OWNED", &node.roles),
            N::ReassignOwnedStmt(node) => self.ddl_objects("REASSIGN OWNED", &node.roles),
            N::CreatedbStmt(node) => self.ddl_object("CREATE DATABASE", &node.dbname),
            N::AlterDatabaseStmt(node) => self.ddl_object("ALTER DATABASE", &node.dbname),
            N::AlterDatabaseRefreshCollStmt(node) => {
                self.ddl_object("ALTER DATABASE", &node.dbname);
            }
            N::AlterDatabaseSetStmt(node) => self.ddl_object("ALTER DATABASE", &node.dbname),
            N::DropdbStmt(node) => self.ddl_object("DROP DATABASE", &node.dbname),
            N::AlterSystemStmt(_) => self.ddl("ALTER SYSTEM"),
            N::CreateTableSpaceStmt(node) => {
                self.ddl_object("CREATE TABLESPACE", &node.tablespacename);
            }
            N::DropTableSpaceStmt(node) => self.ddl_object("DROP TABLESPACE", &node.tablespacename),
            N::AlterTableSpaceOptionsStmt(node) => {
                self.ddl_object("ALTER TABLESPACE", &node.tablespacename);
            }
            N::AlterTableMoveAllStmt(node) => {
                self.ddl(&format!("ALTER {}", object_name(node.objtype)));
            }
            N::CreateExtensionStmt(node) => self.ddl_object("CREATE EXTENSION", &node.extname),
            N::AlterExtensionStmt(node) => self.ddl_object("ALTER EXTENSION", &node.extname),
            N::AlterExtensionContentsStmt(node) => {
                self.ddl_object("ALTER EXTENSION", &node.extname);
            }
            N::CreateFdwStmt(node) => {
                self.ddl_object("CREATE FOREIGN DATA WRAPPER", &node.fdwname);
            }
            N::AlterFdwStmt(node) => self.ddl_object("ALTER FOREIGN DATA WRAPPER", &node.fdwname),
            N::CreateForeignServerStmt(node) => self.ddl_object("CREATE SERVER", &node.servername),
            N::AlterForeignServerStmt(node) => self.ddl_object("ALTER SERVER", &node.servername),
            N::CreateUserMappingStmt(node) => {
                self.ddl_object("CREATE USER MAPPING", &node.servername);
            }
            N::AlterUserMappingStmt(node) => {
                self.ddl_object("ALTER USER MAPPING", &node.servername);
            }
            N::DropUserMappingStmt(node) => self.ddl_object("DROP USER MAPPING", &node.servername),
            N::ImportForeignSchemaStmt(node) => {
                self.ddl_object("IMPORT FOREIGN SCHEMA", &node.local_schema);
            }
            N::CreatePublicationStmt(node) => {
                self.ddl_object("CREATE PUBLICATION", &node.pubname);
                self.nodes(&node.pubobjects);
            }
            N::AlterPublicationStmt(node) => {
                self.ddl_object("ALTER PUBLICATION", &node.pubname);
                self.nodes(&node.pubobjects);
            }
            N::CreateSubscriptionStmt(node) => {
                self.ddl_object("CREATE SUBSCRIPTION", &node.subname);
            }
            N::AlterSubscriptionStmt(node) => self.ddl_object("ALTER SUBSCRIPTION", &node.subname),
            N::DropSubscriptionStmt(node) => self.ddl_object("DROP SUBSCRIPTION", &node.subname),
            _ => self.unknown("statement"),
        }
    }

    /// Parts that only definitions have.
    pub(super) fn definition_part(&mut self, node: &N) {
        match node {
            N::ColumnDef(node) => self.column_def(node),
            N::TableLikeClause(node) => {
                if let Some(relation) = &node.relation {
                    self.read(relation);
                }
            }
            N::IndexElem(node) => {
                self.boxed(&node.expr);
                self.nodes(&node.opclassopts);
            }
            // Options: sizes, names, file names. Expressions do not occur in them.
            N::DefElem(_) | N::ObjectWithArgs(_) | N::AccessPriv(_) | N::FunctionParameter(_) => {}
            N::PartitionElem(node) => self.boxed(&node.expr),
            N::PartitionSpec(node) => self.nodes(&node.part_params),
            N::PartitionBoundSpec(node) => self.partition_bound(node),
            N::PartitionRangeDatum(node) => self.boxed(&node.value),
            N::PartitionCmd(node) => {
                self.alter(node.name.as_ref());
                if let Some(bound) = &node.bound {
                    self.partition_bound(bound);
                }
            }
            N::AlterTableCmd(node) => self.boxed(&node.def),
            N::Constraint(node) => self.constraint(node),
            N::CreateOpClassItem(_) => {}
            N::StatsElem(node) => self.boxed(&node.expr),
            N::VacuumRelation(node) => self.alter(node.relation.as_ref()),
            N::PublicationTable(node) => {
                self.alter(node.relation.as_ref());
                self.boxed(&node.where_clause);
            }
            N::PublicationObjSpec(node) => {
                if let Some(table) = &node.pubtable {
                    self.alter(table.relation.as_ref());
                    self.boxed(&table.where_clause);
                }
            }
            _ => self.unknown("definition"),
        }
    }

    fn ddl(&mut self, kind: &str) {
        self.is_a(kind, Class::Ddl);
    }

    fn ddl_named(&mut self, kind: &str, names: &[Node]) {
        self.ddl(kind);
        self.alter_names(names);
    }

    fn ddl_object(&mut self, kind: &str, name: &str) {
        self.ddl(kind);
        self.alter_named(name);
    }

    fn ddl_objects(&mut self, kind: &str, objects: &[Node]) {
        self.ddl(kind);
        for object in objects {
            self.object(Some(object));
        }
    }

    fn ddl_roles(&mut self, kind: &str, roles: &[pb::RoleSpec]) {
        self.ddl(kind);
        for role in roles {
            self.alter_named(&role.rolename);
        }
    }

    /// A query that is stored, not run: what it writes it does not write now.
    fn inside(&mut self, node: Option<&Node>) {
        let Some(node) = node else { return };
        let fresh = self.resolver.fresh();
        let mut inner = Walk::with(fresh);
        inner.is_a("SELECT", Class::Read);
        inner.node(node);
        let fresh = inner.resolver.fresh();
        let stored = std::mem::replace(&mut inner.resolver, fresh);
        self.resolver.stores_query(stored);
        let inner = inner.finish();
        self.reads.extend(inner.reads);
        self.reads.extend(inner.writes);
        self.functions.extend(inner.functions);
        if let Some(reason @ OpaqueReason::UnknownNode { .. }) = inner.opaque {
            self.opaque = Some(reason);
        }
    }

    fn create_table(&mut self, kind: &str, create: &pb::CreateStmt) {
        let pb::CreateStmt {
            relation,
            table_elts,
            inh_relations,
            partbound,
            partspec,
            of_typename: _,
            constraints,
            nnconstraints,
            options,
            oncommit: _,
            tablespacename: _,
            access_method: _,
            if_not_exists: _,
        } = create;
        self.ddl(kind);
        self.alter(relation.as_ref());
        self.nodes(table_elts);
        // A child or partition changes what its parent shows.
        self.alter_all(inh_relations);
        if let Some(bound) = partbound {
            self.partition_bound(bound);
        }
        if let Some(spec) = partspec {
            self.nodes(&spec.part_params);
        }
        self.nodes(constraints);
        self.nodes(nnconstraints);
        self.nodes(options);
    }

    fn create_table_as(&mut self, create: &pb::CreateTableAsStmt) {
        let pb::CreateTableAsStmt {
            query,
            into,
            objtype,
            is_select_into: _,
            if_not_exists: _,
        } = create;
        self.ddl(match object_name(*objtype) {
            "MATERIALIZED VIEW" => "CREATE MATERIALIZED VIEW",
            _ => "CREATE TABLE AS",
        });
        if let Some(into) = into {
            self.makes_table(into);
        }
        self.boxed(query);
    }

    fn column_def(&mut self, column: &pb::ColumnDef) {
        if let Some(of) = &column.type_name {
            self.type_parts(of);
        }
        self.boxed(&column.raw_default);
        if column.cooked_default.is_some() {
            self.unknown("cooked default");
        }
        if let Some(sequence) = &column.identity_sequence {
            self.alter(Some(sequence));
        }
        self.nodes(&column.constraints);
        self.nodes(&column.fdwoptions);
    }

    fn constraint(&mut self, constraint: &pb::Constraint) {
        self.boxed(&constraint.raw_expr);
        self.nodes(&constraint.exclusions);
        self.nodes(&constraint.options);
        self.boxed(&constraint.where_clause);
        // A foreign key locks and constrains the table it points to.
        self.alter(constraint.pktable.as_ref());
    }

    fn partition_bound(&mut self, bound: &pb::PartitionBoundSpec) {
        self.nodes(&bound.listdatums);
        self.nodes(&bound.lowerdatums);
        self.nodes(&bound.upperdatums);
    }

    fn drop(&mut self, drop: &pb::DropStmt) {
        self.ddl(&format!("DROP {}", object_name(drop.remove_type)));
        for object in &drop.objects {
            self.object_of(drop.remove_type, Some(object));
        }
    }

    fn grant(&mut self, grant: &pb::GrantStmt) {
        self.ddl(if grant.is_grant { "GRANT" } else { "REVOKE" });
        for object in &grant.objects {
            match GrantTargetType::try_from(grant.targtype) {
                Ok(GrantTargetType::AclTargetAllInSchema) => {
                    if let Some(schema) = text(object) {
                        self.alter_in(schema, "*");
                    }
                }
                _ => self.object(Some(object)),
            }
        }
    }

    /// An object of a kind; for a trigger, rule, policy or column it is its relation that counts.
    fn object_of(&mut self, kind: i32, object: Option<&Node>) {
        let names = object.and_then(|object| match &object.node {
            Some(N::List(list)) => Some(list.items.as_slice()),
            _ => None,
        });
        match names {
            Some([relation @ .., _part]) if belongs_to_relation(kind) => self.alter_names(relation),
            _ => self.object(object),
        }
    }

    /// However an object is named: a list of parts, a string, a signature, a type, a relation.
    fn object(&mut self, object: Option<&Node>) {
        match object.and_then(|object| object.node.as_ref()) {
            Some(N::List(list)) => {
                if qualified(&list.items).is_some() {
                    self.alter_names(&list.items);
                } else {
                    for item in &list.items {
                        self.object(Some(item));
                    }
                }
            }
            Some(N::String(name)) => self.alter_named(&name.sval),
            Some(N::ObjectWithArgs(object)) => self.alter_names(&object.objname),
            Some(N::TypeName(of)) => self.alter_names(&of.names),
            Some(N::RangeVar(relation)) => self.alter(Some(relation)),
            Some(N::RoleSpec(role)) => self.alter_named(&role.rolename),
            // Numbers of large objects; nothing with a name.
            _ => {}
        }
    }
}
