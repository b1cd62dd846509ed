//! What a session has without having been told: the settings of its role, its database and its server.
//!
//! They may change between two sessions that were told the same, and statements can read them back. So the session
//! is asked for them before a ticket is given, on its own connection and without a trace.

use std::time::Duration;

use crate::{
    error::{SessionError, TargetError},
    session::{
        Session,
        own::{Unasked, own_statement},
    },
};

/// Everything by name and by the operators of the server alone: nothing the session has put before `pg_catalog` answers
/// in its place. Of what our own frame sets it is what the session began with; left out is what belongs to a transaction. The
/// role is no setting that is listed. Settings that the server does not know are not among `pg_settings`: those that roles and databases have are asked for by their names.
const DEFAULTS_SQL: &str = "SELECT pg_catalog.encode(pg_catalog.sha256(pg_catalog.convert_to(pg_catalog.concat(\
    pg_catalog.quote_ident(CURRENT_USER), ' ', pg_catalog.quote_ident(SESSION_USER), \
    (SELECT pg_catalog.jsonb_object_agg(s.name, s.reset_val) FROM pg_catalog.pg_settings s \
      WHERE s.name OPERATOR(pg_catalog.=) ANY (ARRAY['statement_timeout', 'lock_timeout'])), \
    (SELECT pg_catalog.jsonb_object_agg(s.name, s.setting) FROM pg_catalog.pg_settings s \
      WHERE s.context OPERATOR(pg_catalog.=) ANY (ARRAY['user', 'superuser']) \
        AND s.name OPERATOR(pg_catalog.<>) ALL (ARRAY['statement_timeout', 'lock_timeout', \
            'transaction_isolation', 'transaction_read_only', 'transaction_deferrable'])), \
    (SELECT pg_catalog.jsonb_object_agg(n.name, pg_catalog.current_setting(n.name, true)) \
       FROM (SELECT pg_catalog.split_part(c.line, '=', 1) AS name \
               FROM pg_catalog.pg_db_role_setting d, pg_catalog.unnest(d.setconfig) AS c(line)) n \
      WHERE pg_catalog.strpos(n.name, '.') OPERATOR(pg_catalog.>) 0)\
    ), 'UTF8')), 'hex')";

impl Session {
    /// A digest of them; `None` when the session cannot be asked now, or gives no answer.
    pub(in crate::session) async fn defaults(&mut self) -> Result<Option<String>, SessionError> {
        let limit = self.gateway.limits.exchange_timeout;
        let asked = tokio::time::timeout(limit, self.ask_defaults(limit / 2)).await;
        asked.map_err(|_| TargetError::Timeout)?
    }

    async fn ask_defaults(&mut self, time: Duration) -> Result<Option<String>, SessionError> {
        if let Err(Unasked(_)) = self.may_ask().await? {
            return Ok(None);
        }
        let frame = self.frame_open(time)?;
        own_statement(&mut self.target, DEFAULTS_SQL)?;
        let answer = self.own_group().await?;
        self.frame_close(frame).await?;
        let told = answer.value.filter(|_| answer.sqlstate.is_none());
        Ok(told.and_then(|told| String::from_utf8(told.to_vec()).ok()))
    }
}
