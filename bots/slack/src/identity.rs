//! Who we are in Slack, asked once and remembered; and whether a payload is meant for us.

use std::sync::Arc;

use tokio::{sync::OnceCell, time::timeout};

use crate::{CallError, SlackIdentity, api::SlackApi, limits};

pub(crate) struct Identity {
    api: Arc<SlackApi>,
    known: OnceCell<SlackIdentity>,
}

/// Where a payload says it comes from. A payload may leave any of it out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Origin {
    pub team: Option<String>,
    pub enterprise: Option<String>,
    /// The workspace of the person who clicked; another one's in a shared channel.
    pub user_team: Option<String>,
}

/// What an origin is to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Belonging {
    Ours,
    /// Our app in our channel, clicked by a person of another workspace.
    Guest,
    Foreign,
}

impl Identity {
    pub fn new(api: Arc<SlackApi>) -> Self {
        Self {
            api,
            known: OnceCell::new(),
        }
    }

    /// Asks Slack the first time. Callers at the same time share one question.
    pub async fn known(&self) -> Result<&SlackIdentity, CallError> {
        self.known.get_or_try_init(|| self.api.auth_test()).await
    }

    /// Whether a payload is for us, when that is known already.
    pub fn judge_now(&self, origin: &Origin) -> Option<Belonging> {
        self.known.get().map(|us| us.judge(origin))
    }

    /// Whether a payload is for us. Without a quick answer from Slack nothing is.
    pub async fn judge(&self, origin: &Origin) -> Result<Belonging, CallError> {
        let known = timeout(limits::IDENTITY_MAX, self.known()).await;
        let unclear = CallError::Unclear {
            method: "auth.test",
            what: "no answer in time",
        };
        Ok(known.map_err(|_| unclear)??.judge(origin))
    }
}

impl SlackIdentity {
    fn judge(&self, origin: &Origin) -> Belonging {
        let same_enterprise =
            self.enterprise_id.is_some() && self.enterprise_id == origin.enterprise;
        let ours = match &origin.team {
            Some(team) => *team == self.team_id || same_enterprise,
            // An app installed for a whole organisation gets no team; the signature still holds.
            None => self.enterprise_id.is_none() || origin.enterprise.is_none() || same_enterprise,
        };
        let guest = origin.team.is_some()
            && !same_enterprise
            && origin
                .user_team
                .as_ref()
                .is_some_and(|team| *team != self.team_id);
        match (ours, guest) {
            (false, _) => Belonging::Foreign,
            (true, true) => Belonging::Guest,
            (true, false) => Belonging::Ours,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_payloads_of_this_workspace_or_organisation_are_ours() {
        let us = SlackIdentity {
            team_id: "T1".to_owned(),
            team: None,
            user_id: "U1".to_owned(),
            bot_id: None,
            enterprise_id: None,
        };
        let grid = SlackIdentity {
            enterprise_id: Some("E1".to_owned()),
            ..us.clone()
        };
        let origin = |team: &str, enterprise: &str, user_team: &str| {
            let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
            Origin {
                team: some(team),
                enterprise: some(enterprise),
                user_team: some(user_team),
            }
        };
        let cases = [
            (&us, origin("T1", "", ""), Belonging::Ours),
            (&us, origin("T1", "", "T1"), Belonging::Ours),
            (&us, origin("T1", "", "T2"), Belonging::Guest),
            (&us, origin("T2", "", "T2"), Belonging::Foreign),
            (&us, origin("", "", "T1"), Belonging::Ours),
            (&us, origin("", "E9", "T1"), Belonging::Ours),
            (&grid, origin("", "E1", "T7"), Belonging::Ours),
            (&grid, origin("T7", "E1", "T7"), Belonging::Ours),
            (&grid, origin("", "E2", "T7"), Belonging::Foreign),
            (&grid, origin("T7", "E2", "T7"), Belonging::Foreign),
        ];
        for (us, origin, want) in cases {
            assert_eq!(us.judge(&origin), want, "{origin:?}");
        }
    }
}
