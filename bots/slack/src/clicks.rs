//! From a click to a decision and an answer. HTTP and Socket Mode both end here.
//!
//! Slack is acknowledged first; the work follows in a tracked task. This part authenticates nobody beyond what
//! the transport proved and authorises nobody at all: the server does, at the time of the click (invariant 9).
//! What it checks before opening a form only saves people from writing a reason for nothing.

mod alike;
mod wish;

use std::sync::Arc;

use abeyance_api::{
    Claimant, Clock, DecideError, Decision, DecisionDesk, DecisionRequest, DeskError, HoldId,
    LookRequest, Surface,
};
use abeyance_chat::{Card, ChatPort, words};
use serde_json::Value;
use slack_morphism::prelude::SlackModalView;
use tokio::{sync::OwnedSemaphorePermit, time::timeout};
use tracing::{debug, info, warn};

use self::wish::{Wish, decided, hopeless, refused_kind};
use crate::{
    form, limits,
    payload::{self, Asks, Click, Interaction, Place, Submission, Wanted},
    reception::Reception,
};

/// What the transport tells Slack, at once.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Ack {
    /// Understood; any answer comes by itself.
    Empty,
    /// Understood; this goes back with the acknowledgement.
    Answer(Value),
    /// Not a payload Slack would send.
    Malformed(&'static str),
    /// For another workspace.
    Foreign,
    /// More clicks than we work on at the same time.
    Busy,
}

pub(crate) struct Clicks {
    reception: Arc<Reception>,
    desk: Arc<dyn DecisionDesk>,
    clock: Arc<dyn Clock>,
}

/// Who decides, and by which request of Slack's.
#[derive(Clone, Copy)]
struct By<'a> {
    user: &'a str,
    key: &'a str,
}

impl<'a> By<'a> {
    fn click(click: &'a Click) -> Self {
        Self {
            user: &click.user,
            key: &click.key,
        }
    }

    fn submission(submission: &'a Submission) -> Self {
        Self {
            user: &submission.user,
            key: &submission.key,
        }
    }
}

impl Clicks {
    pub fn new(
        reception: Arc<Reception>,
        desk: Arc<dyn DecisionDesk>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            reception,
            desk,
            clock,
        }
    }

    /// Takes a payload whose origin the transport has proved. Answers within
    /// [`limits::SUBMISSION_ANSWER_MAX`]; what takes longer goes on in a tracked task.
    pub async fn accept(self: &Arc<Self>, payload: &Value) -> Ack {
        let interaction = match payload::read(payload) {
            Ok(interaction) => interaction,
            Err(payload::Malformed(what)) => {
                warn!(what, "a payload from Slack was malformed");
                return Ack::Malformed(what);
            }
        };
        let Some(permit) = self.reception.enter() else {
            return Ack::Busy;
        };
        match interaction {
            Interaction::Nothing(what) => {
                debug!(what, "nothing to do for an interaction");
                Ack::Empty
            }
            Interaction::Click(click) => self.accept_click(click, permit),
            Interaction::Submission(submission) => self.accept_submission(submission, permit).await,
        }
    }

    fn accept_click(self: &Arc<Self>, click: Click, permit: OwnedSemaphorePermit) -> Ack {
        if self.reception.known_foreign(&click.origin) {
            return Ack::Foreign;
        }
        let this = Arc::clone(self);
        self.reception.tasks.spawn(async move {
            this.work_click(&click).await;
            drop(permit);
        });
        Ack::Empty
    }

    /// The form shows the answer when it comes in time, else the person gets it in the channel.
    async fn accept_submission(
        self: &Arc<Self>,
        submission: Submission,
        permit: OwnedSemaphorePermit,
    ) -> Ack {
        if self.reception.known_foreign(&submission.origin) {
            return Ack::Foreign;
        }
        let asks = submission.asks;
        let wanted = match Wish::of(&submission) {
            Ok(wanted) => wanted,
            Err(answer) => return Ack::Answer(answer),
        };
        let (this, late) = (Arc::clone(self), submission.clone());
        let mut deciding = self.reception.tasks.spawn(async move {
            let answer = this.submitted(&submission, wanted).await;
            drop(permit);
            answer
        });
        match timeout(limits::SUBMISSION_ANSWER_MAX, &mut deciding).await {
            Ok(Ok(None)) => Ack::Empty,
            Ok(Ok(Some(why))) => Ack::Answer(form::refused(asks, &why)),
            Ok(Err(_)) => Ack::Answer(form::refused(
                asks,
                "Something went wrong here; look at the card before you try again.",
            )),
            Err(_) => {
                let this = Arc::clone(self);
                self.reception.tasks.spawn(async move {
                    if let Ok(Some(why)) = deciding.await {
                        this.reception.tell(&late.user, &late.place, &why).await;
                    }
                });
                Ack::Empty
            }
        }
    }

    async fn work_click(&self, click: &Click) {
        if let Some(why) = self.reception.outsider(&click.origin).await {
            self.reception.tell(&click.user, &click.place, &why).await;
            return;
        }
        let answer = match click.wanted {
            Wanted::Decide(Decision::Approve) => {
                let wish = Wish::plain(Decision::Approve, None);
                let by = By::click(click);
                self.decide(by, &click.hold, wish, &click.place).await
            }
            Wanted::Decide(Decision::Deny) => {
                self.open_form(click, Asks::Deny, form::deny_form).await
            }
            Wanted::Grant => self.open_form(click, Asks::Grant, form::grant_form).await,
            Wanted::BreakGlass => {
                self.open_form(click, Asks::BreakGlass, form::glass_form)
                    .await
            }
            Wanted::Alike => self.open_alike(click).await,
            Wanted::Look => self.look(click).await,
        };
        if let Some(answer) = answer {
            self.reception
                .tell(&click.user, &click.place, &answer)
                .await;
        }
    }

    async fn submitted(&self, submission: &Submission, wish: Wish) -> Option<String> {
        if let Some(why) = self.reception.outsider(&submission.origin).await {
            return Some(why);
        }
        if submission.asks == Asks::Alike {
            return self.decide_alike(submission, wish).await;
        }
        let by = By::submission(submission);
        self.decide(by, &submission.hold, wish, &submission.place)
            .await
    }

    /// Casts the vote. Returns what the person should read; nothing when the card says it all.
    async fn decide(&self, by: By<'_>, hold: &HoldId, wish: Wish, place: &Place) -> Option<String> {
        let decision = wish.decision;
        let request = DecisionRequest {
            hold: hold.clone(),
            claimant: Claimant::Slack {
                user: by.user.to_owned(),
            },
            decision,
            reason: wish.reason,
            surface: Surface::Slack,
            break_glass: wish.break_glass,
            grant: wish.grant,
            key: Some(by.key.to_owned()),
        };
        match timeout(limits::DECIDE_MAX, self.desk.hold_decide(request)).await {
            Ok(Ok(view)) => {
                info!(%hold, ?decision, state = %view.state, "a decision came from Slack");
                (!decided(&view))
                    .then(|| format!("Your vote on {hold} is counted; others are still asked."))
            }
            Ok(Err(error)) => {
                info!(%hold, ?decision, refused = refused_kind(&error), "a click did not count");
                if matches!(error, DecideError::AlreadyResolved { .. }) {
                    self.refresh(hold, place).await;
                }
                Some(words::refusal(hold.as_str(), decision, &error))
            }
            Err(_) => {
                warn!(%hold, ?decision, "the approver did not answer a decision in time");
                Some(format!(
                    "The approver did not answer in time. Look at the card of {hold} before you try again."
                ))
            }
        }
    }

    /// Notes that somebody looks. The card shows it; the person reads what it means.
    async fn look(&self, click: &Click) -> Option<String> {
        let hold = &click.hold;
        let request = LookRequest {
            hold: hold.clone(),
            claimant: Claimant::Slack {
                user: click.user.clone(),
            },
            surface: Surface::Slack,
        };
        match timeout(limits::DECIDE_MAX, self.desk.hold_look(request)).await {
            Ok(Ok(view)) => {
                info!(%hold, "somebody looks, by a click in Slack");
                Some(words::looking(&view))
            }
            Ok(Err(error)) => {
                info!(%hold, refused = refused_kind(&error), "a look did not count");
                if matches!(error, DecideError::AlreadyResolved { .. }) {
                    self.refresh(hold, &click.place).await;
                }
                Some(words::no_look(hold.as_str(), &error))
            }
            Err(_) => Some(format!(
                "The approver did not answer in time. Look at the card of {hold} before you try again."
            )),
        }
    }

    /// Opens the form, or says why not. The trigger lives three seconds: no long look first.
    async fn open_form(
        &self,
        click: &Click,
        asks: Asks,
        form: fn(&HoldId, &Place) -> SlackModalView,
    ) -> Option<String> {
        if let Some(why) = self.vain(click, asks).await {
            return Some(why);
        }
        self.open(click, form(&click.hold, &click.place)).await
    }

    /// Why a form would be filled in for nothing, when that is known.
    async fn vain(&self, click: &Click, asks: Asks) -> Option<String> {
        let hold = &click.hold;
        let decision = if asks == Asks::Deny {
            Decision::Deny
        } else {
            Decision::Approve
        };
        match timeout(limits::FORM_LOOK_MAX, self.desk.hold_view(hold)).await {
            Ok(Ok(view)) => {
                let error = hopeless(&view, &click.user, asks)?;
                if decided(&view) {
                    self.refresh(hold, &click.place).await;
                }
                Some(words::refusal(hold.as_str(), decision, &error))
            }
            Ok(Err(DeskError::NotFound)) => Some(words::refusal(
                hold.as_str(),
                decision,
                &DecideError::NotFound,
            )),
            // The server has the last word on the submission anyway.
            Ok(Err(_)) | Err(_) => None,
        }
    }

    async fn open(&self, click: &Click, form: SlackModalView) -> Option<String> {
        let hold = &click.hold;
        let failed = |why: &str| {
            Some(format!(
                "The form for {hold} could not be opened: {why}. Press the button again, or use the console."
            ))
        };
        let Some(trigger) = &click.trigger else {
            return failed("Slack sent no trigger");
        };
        let port = &self.reception.port;
        let error = port.api.views_open(trigger, form).await.err()?;
        port.complaints.call_failed(&error, None);
        failed(
            error
                .code()
                .map_or("Slack did not answer in time", crate::error::advice),
        )
    }

    /// Mends a card that still has buttons though its hold is over: an old copy, or one that was posted twice.
    async fn refresh(&self, hold: &HoldId, place: &Place) {
        let (Some(channel), Some(message)) = (&place.channel, &place.message) else {
            return;
        };
        let Ok(Ok(view)) = timeout(limits::DECIDE_MAX, self.desk.hold_view(hold)).await else {
            return;
        };
        // While it still moves, the reconciler is at it, and two writers could end in the wrong order.
        if view.state.is_final()
            && let Err(error) = self
                .reception
                .port
                .update(channel, message, &Card::of(&view))
                .await
        {
            debug!(%hold, error = error.text(), "a stale card could not be mended");
        }
    }
}
