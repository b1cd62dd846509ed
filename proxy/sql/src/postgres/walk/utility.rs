//! Statements that are neither queries nor definitions: sessions, transactions, COPY, code,
//! maintenance. Statements that run or name another statement are that other statement.

use pg_query::{
    Node, NodeEnum as N,
    protobuf::{self as pb, DiscardMode, TransactionStmtKind, VariableSetKind},
};

use super::{Walk, expression::string_constant, query::Usage, text};
use crate::{
    OpaqueReason, Predicate, RelationName, SessionEffect, StatementClass as Class,
    TransactionEffect,
    postgres::{builtin, resolve::Event},
};

impl Walk<'_> {
    /// A statement, outermost or nested.
    pub(super) fn statement(&mut self, statement: &N) {
        match statement {
            N::SelectStmt(node) => {
                self.select(node, Usage::Counted);
            }
            N::InsertStmt(node) => {
                self.insert(node, Usage::Counted);
            }
            N::UpdateStmt(node) => {
                self.update(node, Usage::Counted);
            }
            N::DeleteStmt(node) => {
                self.delete(node, Usage::Counted);
            }
            N::MergeStmt(node) => {
                self.merge(node, Usage::Counted);
            }
            N::ReturnStmt(node) => {
                self.is_a("SELECT", Class::Read);
                self.boxed(&node.returnval);
            }
            N::RawStmt(node) => self.boxed(&node.stmt),

            N::ExplainStmt(node) => self.explain(node),
            N::PrepareStmt(node) => {
                self.defines = Some(node.name.clone());
                self.nodes(&node.argtypes);
                self.boxed(&node.query);
            }
            N::DeclareCursorStmt(node) => {
                self.defines = Some(node.portalname.clone());
                self.boxed(&node.query);
            }
            N::ExecuteStmt(node) => {
                self.nodes(&node.params);
                self.refers("EXECUTE", &node.name);
            }
            N::FetchStmt(node) => {
                let kind = if node.ismove { "MOVE" } else { "FETCH" };
                self.refers(kind, &node.portalname);
            }
            N::ClosePortalStmt(node) => {
                self.is_a("CLOSE", Class::Session);
                self.refers_to = some_name(&node.portalname);
            }
            N::DeallocateStmt(node) => {
                self.is_a("DEALLOCATE", Class::Session);
                self.refers_to = some_name(&node.name);
            }

            N::CopyStmt(node) => self.copy(node),
            N::CallStmt(node) => self.call(node),
            N::DoStmt(_) => {
                self.is_a("DO", Class::Opaque);
                self.opaque = Some(OpaqueReason::DynamicCode);
            }

            N::VariableSetStmt(node) => self.set(node),
            N::VariableShowStmt(_) => self.is_a("SHOW", Class::Session),
            N::DiscardStmt(node) => self.discard(node),
            N::ConstraintsSetStmt(_) => self.is_a("SET CONSTRAINTS", Class::Session),
            N::ListenStmt(_) => self.notify("LISTEN", Class::SessionRisk),
            N::NotifyStmt(_) => self.notify("NOTIFY", Class::SessionRisk),
            N::UnlistenStmt(_) => self.notify("UNLISTEN", Class::Session),
            N::TransactionStmt(node) => self.transaction(node),

            N::TruncateStmt(node) => {
                self.is_a("TRUNCATE", Class::Write);
                self.predicate = Predicate::Missing;
                self.truncate(node);
            }
            N::LockStmt(node) => {
                self.is_a("LOCK", Class::Utility);
                self.alter_all(&node.relations);
            }
            _ => self.maintenance(statement),
        }
    }

    fn maintenance(&mut self, statement: &N) {
        match statement {
            N::VacuumStmt(node) => {
                let kind = if node.is_vacuumcmd {
                    "VACUUM"
                } else {
                    "ANALYZE"
                };
                self.is_a(kind, Class::Utility);
                self.nodes(&node.options);
                self.nodes(&node.rels);
            }
            N::ClusterStmt(node) => {
                self.is_a("CLUSTER", Class::Utility);
                self.alter(node.relation.as_ref());
            }
            N::ReindexStmt(node) => {
                self.is_a("REINDEX", Class::Utility);
                self.alter(node.relation.as_ref());
                self.alter_named(&node.name);
            }
            N::RefreshMatViewStmt(node) => {
                self.is_a("REFRESH MATERIALIZED VIEW", Class::Utility);
                let (at, _) = self.write(node.relation.as_ref());
                if let Some(at) = at {
                    self.resolver.refresh(at);
                }
            }
            N::CheckPointStmt(_) => self.is_a("CHECKPOINT", Class::Utility),
            N::LoadStmt(_) => self.is_a("LOAD", Class::Utility),
            _ => self.define(statement),
        }
    }

    /// EXPLAIN ANALYZE runs what it explains; plain EXPLAIN only plans it.
    fn explain(&mut self, explain: &pb::ExplainStmt) {
        let pb::ExplainStmt { query, options } = explain;
        self.explained = true;
        if runs(options) {
            self.boxed(query);
            return;
        }
        let fresh = self.resolver.fresh();
        let mut inner = Walk::with(std::mem::replace(&mut self.resolver, fresh));
        inner.boxed(query);
        // It gathers on, but what would be written is only looked at.
        let fresh = inner.resolver.fresh();
        self.resolver = std::mem::replace(&mut inner.resolver, fresh);
        self.resolver.only_planned();
        let inner = inner.finish();
        self.is_a("EXPLAIN", Class::Read);
        self.reads.extend(inner.reads);
        self.reads.extend(inner.writes);
        self.functions.extend(inner.functions);
        self.operators.extend(inner.operators);
        self.casts.extend(inner.casts);
        // Planning runs immutable functions, so what they are stays a doubt.
        self.doubts.extend(inner.doubts);
        self.refers_to = inner.refers_to;
        if let Some(reason) = inner.opaque {
            self.opaque = Some(reason);
            self.classes.insert(Class::Opaque);
        }
    }

    /// A statement that runs something named elsewhere.
    fn refers(&mut self, kind: &str, name: &str) {
        self.is_a(kind, Class::Opaque);
        self.refers_to = Some(name.to_owned());
        self.opaque = Some(OpaqueReason::UnknownReference {
            name: name.to_owned(),
        });
    }

    fn copy(&mut self, copy: &pb::CopyStmt) {
        let pb::CopyStmt {
            relation,
            query,
            attlist,
            is_from,
            is_program,
            filename,
            options,
            where_clause,
        } = copy;
        let kind = match (is_program, filename.is_empty()) {
            (true, _) => "COPY PROGRAM",
            (false, false) => "COPY FILE",
            (false, true) => "COPY",
        };
        self.is_a(kind, Class::Copy);
        self.resolver.enter();
        if let Some(relation) = relation {
            self.copied(relation, attlist, *is_from);
        }
        self.boxed(query);
        self.nodes(attlist);
        self.nodes(options);
        self.boxed(where_clause);
        self.resolver.leave();
    }

    /// A relation that is copied as a whole, or by some of its columns.
    fn copied(&mut self, relation: &pb::RangeVar, columns: &[Node], into: bool) {
        let (at, source) = if into {
            self.write(Some(relation))
        } else {
            (None, self.read(relation))
        };
        let item = self.named(relation, source);
        for name in columns.iter().filter_map(text) {
            self.resolver.use_of(&item, name);
        }
        if columns.is_empty() {
            let shape = self.resolver.shape_of(&item);
            self.resolver.touch_shape(&shape);
        }
        self.resolver.bring(item);
        if let Some(at) = at {
            self.resolver.stores_all(at);
            self.resolver.event(at, Event::Insert, false, None);
        }
    }

    fn truncate(&mut self, truncate: &pb::TruncateStmt) {
        let cascades = truncate.behavior == pb::DropBehavior::DropCascade as i32;
        for relation in &truncate.relations {
            let Some(N::RangeVar(relation)) = &relation.node else {
                self.unknown("relation");
                continue;
            };
            if let (Some(at), _) = self.write(Some(relation)) {
                self.resolver.truncate(at, !relation.inh, cascades);
            }
        }
    }

    fn call(&mut self, call: &pb::CallStmt) {
        let pb::CallStmt {
            funccall,
            funcexpr,
            outargs,
        } = call;
        self.is_a("CALL", Class::Unvouched);
        if funcexpr.is_some() || !outargs.is_empty() {
            self.unknown("CallStmt");
        }
        if let Some(call) = funccall {
            self.func_call(call);
        }
        self.doubt("runs a procedure, whose code analysis does not see".to_owned());
    }

    fn set(&mut self, set: &pb::VariableSetStmt) {
        let pb::VariableSetStmt {
            kind,
            name,
            args,
            jumble_args: _,
            is_local,
            location: _,
        } = set;
        let name = name.to_ascii_lowercase();
        let kind = VariableSetKind::try_from(*kind);
        let resets = matches!(
            kind,
            Ok(VariableSetKind::VarReset | VariableSetKind::VarResetAll)
        );
        let word = if resets { "RESET" } else { "SET" };
        if kind == Ok(VariableSetKind::VarResetAll) {
            self.is_a(word, Class::Session);
            self.session = SessionEffect::Reset;
            return;
        }
        if kind == Ok(VariableSetKind::VarSetMulti) {
            return self.set_transaction(&name, args);
        }
        let harmless = builtin::is_harmless_setting(&name)
            || matches!(args.as_slice(), [value] if setting_word(value)
                .is_some_and(|value| builtin::is_harmless_value(&name, &value)));
        let class = if harmless {
            Class::Session
        } else {
            Class::SessionRisk
        };
        self.is_a(word, class);
        self.session = match name.as_str() {
            "role" | "session_authorization" => SessionEffect::Role,
            _ => SessionEffect::Set {
                parameter: name,
                local: *is_local,
            },
        };
    }

    /// SET TRANSACTION and SET SESSION CHARACTERISTICS.
    fn set_transaction(&mut self, name: &str, args: &[Node]) {
        let class = if name == "transaction" {
            Class::Transaction
        } else {
            Class::Session
        };
        self.is_a("SET TRANSACTION", class);
        self.session = SessionEffect::Set {
            parameter: name.to_owned(),
            local: class == Class::Transaction,
        };
        self.transaction_options(args);
        if name == "transaction snapshot" {
            self.classes.insert(Class::SessionRisk);
        }
    }

    /// READ WRITE lifts a read-only default.
    fn transaction_options(&mut self, options: &[Node]) {
        for option in options {
            let Some(N::DefElem(option)) = &option.node else {
                continue;
            };
            let read_only = option.defname == "transaction_read_only";
            let off = option.arg.as_deref().and_then(setting_word);
            if read_only && off.as_deref() != Some("1") {
                self.classes.insert(Class::SessionRisk);
            }
        }
    }

    fn discard(&mut self, discard: &pb::DiscardStmt) {
        let class = match DiscardMode::try_from(discard.target) {
            Ok(DiscardMode::DiscardPlans | DiscardMode::DiscardSequences) => Class::Session,
            _ => Class::SessionRisk,
        };
        self.is_a("DISCARD", class);
        self.session = SessionEffect::Reset;
    }

    fn notify(&mut self, kind: &str, class: Class) {
        self.is_a(kind, class);
        self.session = SessionEffect::Notify;
    }

    fn transaction(&mut self, transaction: &pb::TransactionStmt) {
        use TransactionStmtKind as Kind;
        let (kind, class, effect) = match Kind::try_from(transaction.kind) {
            Ok(Kind::TransStmtBegin) => ("BEGIN", Class::Transaction, TransactionEffect::Begin),
            Ok(Kind::TransStmtStart) => (
                "START TRANSACTION",
                Class::Transaction,
                TransactionEffect::Begin,
            ),
            Ok(Kind::TransStmtCommit) => ("COMMIT", Class::Transaction, TransactionEffect::Commit),
            Ok(Kind::TransStmtRollback) => {
                ("ROLLBACK", Class::Transaction, TransactionEffect::Rollback)
            }
            Ok(Kind::TransStmtSavepoint) => (
                "SAVEPOINT",
                Class::Transaction,
                TransactionEffect::Savepoint,
            ),
            Ok(Kind::TransStmtRelease) => (
                "RELEASE SAVEPOINT",
                Class::Transaction,
                TransactionEffect::Savepoint,
            ),
            Ok(Kind::TransStmtRollbackTo) => (
                "ROLLBACK TO SAVEPOINT",
                Class::Transaction,
                TransactionEffect::Savepoint,
            ),
            // Prepared transactions outlive the session, locks and all.
            Ok(Kind::TransStmtPrepare) => (
                "PREPARE TRANSACTION",
                Class::Utility,
                TransactionEffect::TwoPhase,
            ),
            Ok(Kind::TransStmtCommitPrepared) => (
                "COMMIT PREPARED",
                Class::Utility,
                TransactionEffect::TwoPhase,
            ),
            Ok(Kind::TransStmtRollbackPrepared) => (
                "ROLLBACK PREPARED",
                Class::Utility,
                TransactionEffect::TwoPhase,
            ),
            Ok(Kind::Undefined) | Err(_) => return self.unknown("TransactionStmt"),
        };
        self.is_a(kind, class);
        self.transaction = effect;
        self.transaction_options(&transaction.options);
    }

    pub(super) fn alter_all(&mut self, relations: &[Node]) {
        for relation in relations {
            match &relation.node {
                Some(N::RangeVar(relation)) => self.alter(Some(relation)),
                _ => self.unknown("relation"),
            }
        }
    }

    /// A named object that is no relation, such as a role or an extension.
    pub(super) fn alter_in(&mut self, schema: &str, name: &str) {
        self.alters.insert(RelationName {
            schema: some_name(schema),
            name: name.to_owned(),
        });
    }
}

fn some_name(name: &str) -> Option<String> {
    (!name.is_empty()).then(|| name.to_owned())
}

/// Whether EXPLAIN's options make it run the statement. The last of several counts; a value that
/// is not plainly off counts as on.
fn runs(options: &[Node]) -> bool {
    let analyze = options.iter().rev().find_map(|option| match &option.node {
        Some(N::DefElem(option)) if option.defname.eq_ignore_ascii_case("analyze") => Some(option),
        _ => None,
    });
    let Some(option) = analyze else { return false };
    let Some(arg) = option.arg.as_deref() else {
        return true;
    };
    !setting_word(arg).is_some_and(|value| matches!(value.as_str(), "off" | "false" | "0"))
}

/// A setting's value as a lower-case word: `off`, `0`, `utf8`.
fn setting_word(node: &Node) -> Option<String> {
    let word = match &node.node {
        Some(N::Integer(value)) => return Some(value.ival.to_string()),
        Some(N::Boolean(value)) => return Some(value.boolval.to_string()),
        Some(N::String(value)) => value.sval.as_str(),
        Some(N::AConst(constant)) => match &constant.val {
            Some(pb::a_const::Val::Ival(value)) => return Some(value.ival.to_string()),
            Some(pb::a_const::Val::Boolval(value)) => return Some(value.boolval.to_string()),
            _ => string_constant(node)?,
        },
        _ => return None,
    };
    Some(word.to_ascii_lowercase())
}
