//! Locks, rewrites and reversibility of a statement, from its tree.
//!
//! The rules are the manual's, and a table of what PostgreSQL 15 was measured to do holds them
//! in place. Where the catalog would have to be asked, the answer is the worse one.

use std::collections::BTreeSet;

use pg_query::{
    Node, NodeEnum as N,
    protobuf::{self as pb, AlterTableType as At, ConstrType, DropBehavior, ReindexObjectType},
};

use super::{builtin, walk::text};
use crate::{
    StatementClass, StatementFacts,
    impact::{Impact, Reach, Rewrite, TableLock as Lock, Undo},
};

/// The impact of `statement`, whose other facts are known already.
pub(super) fn of(statement: &N, facts: &StatementFacts) -> Impact {
    let mut impact = shape(statement, facts);
    for function in &facts.functions {
        impact.reach.extend(reach_of(&function.name));
    }
    if facts.opaque.is_some() || !facts.doubts.is_empty() {
        impact.undo = Undo::Unknown;
    }
    impact
}

fn shape(statement: &N, facts: &StatementFacts) -> Impact {
    match statement {
        N::RawStmt(node) => inner(node.stmt.as_deref(), facts),
        N::ExplainStmt(node) if facts.kind != "EXPLAIN" => inner(node.query.as_deref(), facts),
        // These only plan; the locks are taken for that long.
        N::PrepareStmt(node) => inner(node.query.as_deref(), facts),
        N::DeclareCursorStmt(node) => inner(node.query.as_deref(), facts),
        N::AlterTableStmt(node) => alter_table(node),
        N::IndexStmt(node) => Impact {
            transactional: !node.concurrent,
            ..definition(if node.concurrent {
                Lock::ShareUpdateExclusive
            } else {
                Lock::Share
            })
        },
        N::DropStmt(node) => drop(node),
        N::TruncateStmt(node) => Impact {
            cascades: is_cascade(node.behavior),
            ..loss(Lock::AccessExclusive, Rewrite::Yes)
        },
        N::CreateStmt(node) => create_table(node),
        N::VacuumStmt(node) => vacuum(node),
        N::ReindexStmt(node) => reindex(node),
        N::ClusterStmt(node) => Impact {
            transactional: node.relation.is_some(),
            ..maintenance(Lock::AccessExclusive, Rewrite::Yes)
        },
        N::RefreshMatViewStmt(node) if node.concurrent => maintenance(Lock::Exclusive, Rewrite::No),
        N::RefreshMatViewStmt(_) => maintenance(Lock::AccessExclusive, Rewrite::Yes),
        N::LockStmt(node) => maintenance(lock_mode(node.mode), Rewrite::No),
        N::CopyStmt(node) => copy(node),
        _ => by_name(statement, facts),
    }
}

fn inner(node: Option<&Node>, facts: &StatementFacts) -> Impact {
    match node.and_then(|node| node.node.as_ref()) {
        Some(node) => shape(node, facts),
        None => Impact::unknown(),
    }
}

/// Statements whose name and class say it all.
fn by_name(statement: &N, facts: &StatementFacts) -> Impact {
    match statement {
        N::CreateTrigStmt(_) => definition(Lock::ShareRowExclusive),
        N::RuleStmt(_) | N::CreatePolicyStmt(_) | N::AlterPolicyStmt(_) => {
            definition(Lock::AccessExclusive)
        }
        N::RenameStmt(node) if node.relation.is_some() => definition(match facts.kind.as_str() {
            "ALTER INDEX" => Lock::ShareUpdateExclusive,
            _ => Lock::AccessExclusive,
        }),
        N::AlterObjectSchemaStmt(node) if node.relation.is_some() => {
            definition(Lock::AccessExclusive)
        }
        N::AlterOwnerStmt(node) if node.relation.is_some() => definition(Lock::AccessExclusive),
        N::AlterSeqStmt(_) => loss(Lock::ShareRowExclusive, Rewrite::No),
        N::CreateStatsStmt(_)
        | N::CreatePublicationStmt(_)
        | N::AlterPublicationStmt(_)
        | N::CommentStmt(_)
        | N::SecLabelStmt(_) => definition(Lock::ShareUpdateExclusive),
        N::ViewStmt(node) if node.replace => definition(Lock::AccessExclusive),
        N::ViewStmt(_) | N::CreateTableAsStmt(_) => definition(Lock::AccessShare),
        N::CreatedbStmt(_) | N::AlterSystemStmt(_) => at_once([Reach::OtherSessions]),
        N::CreateTableSpaceStmt(_) => at_once([Reach::ServerFile]),
        N::DropdbStmt(_) | N::DropTableSpaceStmt(_) => at_once([Reach::ServerFile]),
        N::CreateSubscriptionStmt(_) | N::AlterSubscriptionStmt(_) | N::DropSubscriptionStmt(_) => {
            at_once([Reach::Network])
        }
        N::CreateForeignServerStmt(_)
        | N::AlterForeignServerStmt(_)
        | N::CreateUserMappingStmt(_)
        | N::AlterUserMappingStmt(_)
        | N::CreateForeignTableStmt(_)
        | N::ImportForeignSchemaStmt(_) => reaching(definition(Lock::None), Reach::Network),
        N::LoadStmt(_) => at_once([Reach::Program]),
        N::CreateExtensionStmt(_) | N::CreatePlangStmt(_) => {
            reaching(definition(Lock::None), Reach::Program)
        }
        N::NotifyStmt(_) => reaching(definition(Lock::None), Reach::OtherSessions),
        N::CheckPointStmt(_) => {
            reaching(maintenance(Lock::None, Rewrite::No), Reach::OtherSessions)
        }
        N::DropOwnedStmt(node) => Impact {
            cascades: is_cascade(node.behavior),
            ..loss(Lock::AccessExclusive, Rewrite::No)
        },
        _ => by_class(facts),
    }
}

fn by_class(facts: &StatementFacts) -> Impact {
    match facts.class {
        StatementClass::Read => Impact {
            lock: if facts.reads.is_empty() {
                Lock::None
            } else {
                Lock::AccessShare
            },
            undo: Undo::Nothing,
            ..definition(Lock::None)
        },
        StatementClass::Write if facts.writes.is_empty() => Impact {
            undo: Undo::Nothing,
            ..definition(Lock::RowShare)
        },
        StatementClass::Write => loss(Lock::RowExclusive, Rewrite::No),
        StatementClass::Ddl => definition(Lock::None),
        StatementClass::Session | StatementClass::SessionRisk => definition(Lock::None),
        StatementClass::Transaction => Impact {
            undo: Undo::Nothing,
            ..definition(Lock::None)
        },
        StatementClass::Copy => loss(Lock::RowExclusive, Rewrite::No),
        StatementClass::Utility => maintenance(Lock::None, Rewrite::No),
        StatementClass::Unvouched | StatementClass::Opaque => Impact::unknown(),
    }
}

/// Changes a definition that another statement can change back.
fn definition(lock: Lock) -> Impact {
    Impact {
        lock,
        rewrite: Rewrite::No,
        undo: Undo::Counterpart,
        transactional: true,
        cascades: false,
        reach: BTreeSet::new(),
    }
}

/// Changes or drops rows.
fn loss(lock: Lock, rewrite: Rewrite) -> Impact {
    Impact {
        rewrite,
        undo: Undo::UntilCommit,
        ..definition(lock)
    }
}

/// Changes no rows and no definition, but takes locks and time.
fn maintenance(lock: Lock, rewrite: Rewrite) -> Impact {
    Impact {
        rewrite,
        undo: Undo::Nothing,
        ..definition(lock)
    }
}

/// Takes effect outside transactions.
fn at_once(reach: impl Into<BTreeSet<Reach>>) -> Impact {
    Impact {
        undo: Undo::Never,
        transactional: false,
        reach: reach.into(),
        ..definition(Lock::None)
    }
}

fn reaching(mut impact: Impact, reach: Reach) -> Impact {
    impact.reach.insert(reach);
    impact
}

fn is_cascade(behavior: i32) -> bool {
    DropBehavior::try_from(behavior) == Ok(DropBehavior::DropCascade)
}

fn drop(node: &pb::DropStmt) -> Impact {
    use pb::ObjectType as Object;
    let base = match Object::try_from(node.remove_type) {
        Ok(
            Object::ObjectTable
            | Object::ObjectMatview
            | Object::ObjectSchema
            | Object::ObjectForeignTable
            | Object::ObjectSequence
            | Object::ObjectExtension
            | Object::ObjectType
            | Object::ObjectDomain,
        ) => loss(Lock::AccessExclusive, Rewrite::No),
        Ok(Object::ObjectIndex) if node.concurrent => Impact {
            transactional: false,
            ..definition(Lock::ShareUpdateExclusive)
        },
        Ok(
            Object::ObjectIndex
            | Object::ObjectView
            | Object::ObjectTrigger
            | Object::ObjectRule
            | Object::ObjectPolicy,
        ) => definition(Lock::AccessExclusive),
        _ => definition(Lock::None),
    };
    let cascades = is_cascade(node.behavior);
    Impact {
        cascades,
        // What goes along is not in the text.
        undo: if cascades {
            Undo::UntilCommit
        } else {
            base.undo
        },
        ..base
    }
}

/// Locks on tables that exist already: parents, and those a foreign key points to.
fn create_table(node: &pb::CreateStmt) -> Impact {
    let mut lock = if node.inh_relations.is_empty() {
        Lock::None
    } else {
        Lock::ShareUpdateExclusive
    };
    for element in node.table_elts.iter().chain(&node.constraints) {
        lock = lock.max(match &element.node {
            Some(N::TableLikeClause(_)) => Lock::AccessShare,
            Some(N::Constraint(constraint)) if constraint.pktable.is_some() => {
                Lock::ShareRowExclusive
            }
            Some(N::ColumnDef(column)) if column.constraints.iter().any(references) => {
                Lock::ShareRowExclusive
            }
            _ => Lock::None,
        });
    }
    definition(lock)
}

fn references(constraint: &Node) -> bool {
    matches!(&constraint.node, Some(N::Constraint(constraint)) if constraint.pktable.is_some())
}

fn vacuum(node: &pb::VacuumStmt) -> Impact {
    if !node.is_vacuumcmd {
        return maintenance(Lock::ShareUpdateExclusive, Rewrite::No);
    }
    let (lock, rewrite) = if has_option(&node.options, "full") {
        (Lock::AccessExclusive, Rewrite::Yes)
    } else {
        (Lock::ShareUpdateExclusive, Rewrite::No)
    };
    Impact {
        transactional: false,
        ..maintenance(lock, rewrite)
    }
}

fn reindex(node: &pb::ReindexStmt) -> Impact {
    let concurrent = has_option(&node.params, "concurrently");
    let one = matches!(
        ReindexObjectType::try_from(node.kind),
        Ok(ReindexObjectType::ReindexObjectIndex | ReindexObjectType::ReindexObjectTable)
    );
    Impact {
        transactional: one && !concurrent,
        ..maintenance(
            if concurrent {
                Lock::ShareUpdateExclusive
            } else {
                Lock::Share
            },
            Rewrite::No,
        )
    }
}

/// An option that is given and not plainly off.
fn has_option(options: &[Node], name: &str) -> bool {
    options.iter().any(|option| match &option.node {
        Some(N::DefElem(option)) => {
            let value = option.arg.as_deref().and_then(text).unwrap_or_default();
            option.defname.eq_ignore_ascii_case(name)
                && !matches!(value.to_ascii_lowercase().as_str(), "off" | "false")
        }
        _ => false,
    })
}

fn copy(node: &pb::CopyStmt) -> Impact {
    let mut impact = if node.is_from {
        loss(Lock::RowExclusive, Rewrite::No)
    } else {
        Impact {
            undo: Undo::Nothing,
            ..definition(Lock::AccessShare)
        }
    };
    if node.is_program {
        impact.reach.insert(Reach::Program);
        impact.undo = Undo::Never;
    } else if !node.filename.is_empty() {
        impact.reach.insert(Reach::ServerFile);
        if !node.is_from {
            impact.undo = Undo::Never;
        }
    }
    impact
}

fn lock_mode(mode: i32) -> Lock {
    match mode {
        1 => Lock::AccessShare,
        2 => Lock::RowShare,
        3 => Lock::RowExclusive,
        4 => Lock::ShareUpdateExclusive,
        5 => Lock::Share,
        6 => Lock::ShareRowExclusive,
        7 => Lock::Exclusive,
        _ => Lock::AccessExclusive,
    }
}

/// The strongest of all its commands.
fn alter_table(node: &pb::AlterTableStmt) -> Impact {
    let mut whole = definition(Lock::None);
    for command in &node.cmds {
        let Some(N::AlterTableCmd(command)) = &command.node else {
            return Impact::unknown();
        };
        let one = alter_command(command);
        whole.lock = whole.lock.max(one.lock);
        whole.rewrite = whole.rewrite.max(one.rewrite);
        whole.undo = whole.undo.max(one.undo);
        whole.transactional &= one.transactional;
        whole.cascades |= is_cascade(command.behavior);
    }
    if whole.cascades {
        whole.undo = whole.undo.max(Undo::UntilCommit);
    }
    whole
}

/// The impact of one command of ALTER TABLE.
pub(super) fn alter_command(command: &pb::AlterTableCmd) -> Impact {
    let def = command.def.as_deref().and_then(|def| def.node.as_ref());
    match At::try_from(command.subtype) {
        Ok(At::AtAddColumn) => Impact {
            rewrite: match def {
                Some(N::ColumnDef(column)) => added_column(column),
                _ => Rewrite::Possible,
            },
            ..definition(Lock::AccessExclusive)
        },
        // Which types need no rewrite depends on the old one.
        Ok(At::AtAlterColumnType) => loss(Lock::AccessExclusive, Rewrite::Possible),
        Ok(At::AtSetExpression | At::AtDropColumn) => {
            let rewrites = command.subtype == At::AtSetExpression as i32;
            let rewrite = if rewrites { Rewrite::Yes } else { Rewrite::No };
            loss(Lock::AccessExclusive, rewrite)
        }
        Ok(At::AtSetLogged | At::AtSetUnLogged | At::AtSetAccessMethod) => Impact {
            rewrite: Rewrite::Yes,
            ..definition(Lock::AccessExclusive)
        },
        Ok(At::AtSetTableSpace) => Impact {
            rewrite: Rewrite::Possible,
            ..definition(Lock::AccessExclusive)
        },
        Ok(
            At::AtSetStatistics
            | At::AtSetOptions
            | At::AtResetOptions
            | At::AtClusterOn
            | At::AtDropCluster
            | At::AtValidateConstraint
            | At::AtDetachPartitionFinalize,
        ) => definition(Lock::ShareUpdateExclusive),
        Ok(At::AtDetachPartition) => match def {
            Some(N::PartitionCmd(partition)) if partition.concurrent => Impact {
                transactional: false,
                ..definition(Lock::ShareUpdateExclusive)
            },
            _ => definition(Lock::AccessExclusive),
        },
        Ok(At::AtSetRelOptions | At::AtResetRelOptions) => definition(storage_options(def)),
        Ok(At::AtAddConstraint) => match def {
            Some(N::Constraint(constraint)) if constraint.pktable.is_some() => {
                definition(Lock::ShareRowExclusive)
            }
            _ => definition(Lock::AccessExclusive),
        },
        Ok(
            At::AtEnableTrig
            | At::AtEnableAlwaysTrig
            | At::AtEnableReplicaTrig
            | At::AtDisableTrig
            | At::AtEnableTrigAll
            | At::AtDisableTrigAll
            | At::AtEnableTrigUser
            | At::AtDisableTrigUser,
        ) => definition(Lock::ShareRowExclusive),
        _ => definition(Lock::AccessExclusive),
    }
}

/// Storage parameters that others may go on through.
fn storage_options(def: Option<&N>) -> Lock {
    let Some(N::List(options)) = def else {
        return Lock::AccessExclusive;
    };
    let gentle = options.items.iter().all(|option| match &option.node {
        Some(N::DefElem(option)) => {
            let name = option.defname.as_str();
            matches!(
                name,
                "fillfactor" | "toast_tuple_target" | "parallel_workers"
            ) || name.starts_with("autovacuum_")
                || name.starts_with("vacuum_")
                || name.starts_with("log_autovacuum")
        }
        _ => false,
    });
    if gentle {
        Lock::ShareUpdateExclusive
    } else {
        Lock::AccessExclusive
    }
}

/// A constant default is kept aside; anything computed for each row is written into each row.
fn added_column(column: &pb::ColumnDef) -> Rewrite {
    let serial = column.type_name.as_ref().is_some_and(|of| {
        let name = of.names.last().and_then(text).unwrap_or_default();
        name.contains("serial")
    });
    if serial {
        return Rewrite::Yes;
    }
    let constraints = column
        .constraints
        .iter()
        .map(|constraint| match &constraint.node {
            Some(N::Constraint(constraint)) => match ConstrType::try_from(constraint.contype) {
                // Virtual generated columns are not stored, but the default before 18 is to store.
                Ok(ConstrType::ConstrIdentity) => Rewrite::Yes,
                Ok(ConstrType::ConstrGenerated) if constraint.generated_kind == "v" => Rewrite::No,
                Ok(ConstrType::ConstrGenerated) => Rewrite::Yes,
                Ok(ConstrType::ConstrDefault) => computed(constraint.raw_expr.as_deref()),
                _ => Rewrite::No,
            },
            _ => Rewrite::Possible,
        });
    let default = computed(column.raw_default.as_deref());
    constraints.fold(default, Rewrite::max)
}

fn computed(expression: Option<&Node>) -> Rewrite {
    let Some(expression) = expression else {
        return Rewrite::No;
    };
    let facts = super::walk::facts_of_expression(expression);
    let volatile = facts
        .functions
        .iter()
        .any(|function| builtin::is_volatile(&function.name));
    if volatile {
        Rewrite::Yes
    } else if facts.is_certain() {
        Rewrite::No
    } else {
        Rewrite::Possible
    }
}

/// Functions that leave the database.
fn reach_of(function: &str) -> Option<Reach> {
    let starts = |prefixes: &[&str]| prefixes.iter().any(|prefix| function.starts_with(prefix));
    if starts(&["dblink", "http_", "postgres_fdw_"]) {
        Some(Reach::Network)
    } else if starts(&[
        "pg_read_",
        "pg_ls_",
        "pg_stat_file",
        "pg_file_",
        "lo_import",
        "lo_export",
        "pg_hba_",
    ]) {
        Some(Reach::ServerFile)
    } else if starts(&[
        "pg_terminate_",
        "pg_cancel_",
        "pg_reload_",
        "pg_rotate_",
        "pg_switch_",
        "pg_promote",
        "pg_advisory_",
        "pg_notify",
        "pg_stat_reset",
        "pg_backup_",
        "pg_create_",
        "pg_drop_",
        "pg_replication_",
        "pg_wal_replay_",
    ]) && function != "pg_advisory_unlock_all"
    {
        Some(Reach::OtherSessions)
    } else {
        None
    }
}
