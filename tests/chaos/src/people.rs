//! The reviewers: they see what waits, decide as the plan says, and remember what they were answered.

use std::{
    collections::{HashMap, HashSet},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use abeyance_e2e::{
    Approver,
    world::{APPROVE, CHANNEL, DENY, hold_of},
};
use abeyance_slack_double::SlackDouble;
use futures::{StreamExt as _, stream::FuturesUnordered};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::{
    plan::{Act, Job},
    stack::Stack,
};

/// How often they look at what waits.
const LOOK: Duration = Duration::from_millis(100);
/// How long one look, vote or click may take before they try again.
const TRY: Duration = Duration::from_secs(3);

/// One vote that was sent at all.
#[derive(Debug, Clone)]
pub struct Sent {
    pub hold: String,
    pub person: &'static str,
    pub approve: bool,
    /// The approver said that it counts.
    pub confirmed: bool,
}

/// What all people did.
#[derive(Debug, Default)]
pub struct Votes(Mutex<Vec<Sent>>);

impl Votes {
    /// All of them so far.
    #[must_use]
    pub fn all(&self) -> Vec<Sent> {
        self.lock().clone()
    }

    fn note(&self, sent: Sent) -> usize {
        let mut votes = self.lock();
        votes.push(sent);
        votes.len() - 1
    }

    fn confirm(&self, at: usize) {
        if let Some(sent) = self.lock().get_mut(at) {
            sent.confirmed = true;
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Sent>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Decides what waits until it is dropped.
pub async fn decide(stack: &Stack, jobs: &HashMap<&str, &Job>, votes: &Votes) {
    let mut seen = HashSet::new();
    let mut deciding = FuturesUnordered::new();
    loop {
        if let Ok(Ok(holds)) = timeout(TRY, somebody(stack, "bob").pending()).await {
            for (hold, marker) in holds.iter().filter_map(waiting) {
                let Some(job) = jobs.get(marker) else {
                    continue;
                };
                if seen.insert(hold.to_owned()) {
                    for act in &job.acts {
                        deciding.push(carry_out(stack, hold.to_owned(), act, votes));
                    }
                }
            }
        }
        // Both arms are cancel-safe: what is under way stays in the set.
        let pause = tokio::time::sleep(LOOK);
        tokio::pin!(pause);
        loop {
            tokio::select! {
                () = &mut pause => break,
                Some(()) = deciding.next() => {}
            }
        }
    }
}

/// A person at one of the approvers.
fn somebody(stack: &Stack, person: &str) -> Approver {
    Approver::new(&stack.approver(fastrand::usize(..)).url, person)
}

/// Id and marker of a hold that can be decided.
fn waiting(hold: &Value) -> Option<(&str, &str)> {
    Some((
        hold["id"].as_str()?,
        hold["request"]["agent_reason"].as_str()?,
    ))
}

/// Votes until the vote counts or the hold is over, as a person would.
async fn carry_out(stack: &Stack, hold: String, act: &Act, votes: &Votes) {
    tokio::time::sleep(act.after).await;
    loop {
        // Another try may come to another approver, as behind a load balancer.
        let person = somebody(stack, act.person);
        let at = votes.note(Sent {
            hold: hold.clone(),
            person: act.person,
            approve: act.approve,
            confirmed: false,
        });
        if act.by_card {
            let clicked = timeout(TRY, click(&stack.slack, act, &hold)).await;
            drop(clicked);
        } else {
            let decision = if act.approve { "approve" } else { "deny" };
            let vote = person.decide(&hold, decision, Some("by plan"));
            if let Ok(Ok(())) = timeout(TRY, vote).await {
                votes.confirm(at);
                return;
            }
        }
        // A click is answered by the card; whoever sees no change clicks again.
        tokio::time::sleep(LOOK * 4).await;
        if let Ok(Ok(hold)) = timeout(TRY, person.hold(&hold)).await {
            let counted = hold["votes"]
                .as_array()
                .is_some_and(|votes| votes.iter().any(|vote| vote["person"]["id"] == act.person));
            if counted || hold["state"] != "pending" {
                return;
            }
        }
    }
}

async fn click(slack: &SlackDouble, act: &Act, hold: &str) -> anyhow::Result<()> {
    let user = match act.person {
        "cy" => "U0CY00001",
        _ => abeyance_e2e::world::BOB,
    };
    let shows =
        |card: &abeyance_slack_double::Message| hold_of(card).is_ok_and(|shown| shown == hold);
    let card = slack.wait_for_message(CHANNEL, TRY, shows).await?;
    if act.approve {
        slack.click(user, CHANNEL, &card.ts, APPROVE).await?;
        return Ok(());
    }
    slack.click(user, CHANNEL, &card.ts, DENY).await?;
    let view = slack.wait_for_view(user, TRY).await?;
    let values = json!({"reason": {"reason": "by plan"}});
    slack.submit_view(user, &view.id, values).await?;
    Ok(())
}
