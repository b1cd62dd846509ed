//! All holds that are alike, by one form: only what it showed is decided, each by itself.

use abeyance_api::{BulkDecision, Claimant, Decision, Surface};
use abeyance_chat::words;
use serde_json::Value;
use tokio::time::timeout;
use tracing::{info, warn};

use super::{
    Clicks,
    wish::{Wish, refused_kind},
};
use crate::{
    form, limits,
    payload::{Asks, Click, Submission},
};

impl Clicks {
    /// Opens the form that shows which holds are alike, or says that none is.
    pub(super) async fn open_alike(&self, click: &Click) -> Option<String> {
        if let Some(why) = self.vain(click, Asks::Alike).await {
            return Some(why);
        }
        let hold = &click.hold;
        let alike = timeout(limits::FORM_LOOK_MAX, self.desk.holds_alike(hold)).await;
        match alike {
            Ok(Ok(alike)) if alike.holds.len() < 2 => Some(format!(
                "Nothing else that waits is like {hold} any more; decide it alone."
            )),
            Ok(Ok(alike)) => {
                let form = form::alike_form(hold, &alike, self.clock.now(), &click.place);
                self.open(click, form).await
            }
            Ok(Err(_)) | Err(_) => Some(format!(
                "What is like {hold} could not be looked up; nothing was done, try again."
            )),
        }
    }

    /// Decides the holds that the form showed, and no others.
    pub(super) async fn decide_alike(&self, submission: &Submission, wish: Wish) -> Option<String> {
        let (decision, holds) = (wish.decision, submission.alike.clone());
        let request = BulkDecision {
            holds,
            claimant: Claimant::Slack {
                user: submission.user.clone(),
            },
            decision,
            reason: wish.reason,
            surface: Surface::Slack,
            key: Some(submission.key.clone()),
        };
        match timeout(limits::BULK_DECIDE_MAX, self.desk.holds_decide(request)).await {
            Ok(Ok(outcomes)) => {
                let counted = outcomes.iter().filter(|one| one.result.is_ok()).count();
                info!(
                    ?decision,
                    counted,
                    of = outcomes.len(),
                    "holds were decided together from Slack"
                );
                words::together(decision, &outcomes)
            }
            Ok(Err(error)) => {
                info!(
                    ?decision,
                    refused = refused_kind(&error),
                    "a decision of several did not count"
                );
                Some(words::refusal(submission.hold.as_str(), decision, &error))
            }
            Err(_) => {
                warn!(
                    ?decision,
                    "the approver did not answer a decision of several in time"
                );
                Some(
                    "The approver did not answer in time. Look at the cards before you try again."
                        .to_owned(),
                )
            }
        }
    }
}

impl Wish {
    /// Of the form for all that are alike: which way, and a reason where one is needed.
    pub(super) fn of_all(submission: &Submission) -> Result<Self, Value> {
        let said = submission.reason.trim();
        let refused = |why: &str| form::refused(Asks::Alike, why);
        match submission.choice.as_str() {
            form::APPROVE_ALL if said.is_empty() => Ok(Self::plain(Decision::Approve, None)),
            form::APPROVE_ALL => {
                let reason = form::reason(said).map_err(|why| refused(&why))?;
                Ok(Self::plain(Decision::Approve, Some(reason)))
            }
            form::DENY_ALL => {
                let reason = form::reason(said).map_err(|why| refused(&why))?;
                Ok(Self::plain(Decision::Deny, Some(reason)))
            }
            _ => Err(form::refused_at(form::CHOICE, "Choose one.")),
        }
    }
}
