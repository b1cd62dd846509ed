//! Judging an approved batch once more before it runs.

use std::sync::Arc;

use abeyance_api::WithdrawReason;
use abeyance_wire::postgres::ErrorFields;

use super::super::{
    Session,
    judge::{Finding, JudgedBatch, Shown},
    wording,
};
use crate::error::SessionError;

/// What a batch comes to that was approved under rules that may have changed.
pub(super) enum Again {
    Stands(Box<JudgedBatch>),
    Refused(Box<JudgedBatch>, ErrorFields),
}

impl Session {
    /// The policy may have changed while the batch waited, and so may what the batch means. What the policy would
    /// now deny, or ask others about, and what would now do other things than were shown, does not run on the
    /// old approval; the hold lapses.
    pub(super) async fn judge_again(
        &mut self,
        judged: JudgedBatch,
        story: &wording::Story<'_>,
        route: &str,
    ) -> Result<Again, SessionError> {
        let current = self.gateway.current.is(&self.snapshot);
        if !story.at_commit {
            self.sight.confirmed = self.confirm().await;
            if !self.sight.confirmed && !self.sight.is_blind() {
                // It may be another thing by now: nobody can say.
                let hold = &story.receipt.id;
                self.gateway.withdraw(hold, WithdrawReason::MeaningChanged);
                return Ok(Again::Refused(Box::new(judged), story.meant_otherwise()));
            }
        }
        if current && (self.sight.holds() || story.at_commit) {
            // What was shown at a COMMIT has run: definitions that change now change nothing of it.
            return Ok(Again::Stands(Box::new(judged)));
        }
        if story.at_commit {
            let hold = &story.receipt.id;
            self.gateway.withdraw(hold, WithdrawReason::PolicyChanged);
            return Ok(Again::Refused(Box::new(judged), story.rules_changed()));
        }
        let hold = &story.receipt.id;
        let shown = Arc::clone(&self.identity.agent);
        if let Err(error) = self.follow_policy() {
            self.gateway.withdraw(hold, WithdrawReason::PolicyChanged);
            return Err(error);
        }
        let (batch, _, finding) = judged.into_parts();
        let mut judged = self.judge(batch).await?;
        let Finding::Held(asked) = &finding else {
            return Err(SessionError::Internal("a hold without what it asked for"));
        };
        let now = judged.shown().iter().filter_map(Shown::facts);
        let same = now.eq(&asked.statements);
        let (fields, reason) = match judged.finding() {
            // Who may not approve was taken from what the hold was opened with.
            _ if !self.identity.agent.answers_to_the_same(&shown) => {
                (Some(story.owned_otherwise()), WithdrawReason::PolicyChanged)
            }
            Finding::Held(held) if held.route != route => {
                let fields = story.rerouted(&held.rule, &held.route);
                (Some(fields), WithdrawReason::PolicyChanged)
            }
            Finding::Refused(refused) => {
                let fields = story.ruled_out(&refused.fields);
                (Some(fields), WithdrawReason::PolicyChanged)
            }
            Finding::Allowed | Finding::Held(_) if !same => (
                Some(story.meant_otherwise()),
                WithdrawReason::MeaningChanged,
            ),
            Finding::Allowed | Finding::Held(_) => (None, WithdrawReason::PolicyChanged),
        };
        // What was approved needs its permit, whatever newer rules would have let pass.
        judged.guard(finding);
        let version = self.snapshot.rules.version();
        tracing::info!(
            hold = hold.as_str(),
            policy = version,
            stands = fields.is_none(),
            "judged again"
        );
        Ok(match fields {
            None => Again::Stands(Box::new(judged)),
            Some(fields) => {
                self.gateway.withdraw(hold, reason);
                Again::Refused(Box::new(judged), fields)
            }
        })
    }
}
