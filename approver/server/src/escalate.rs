//! Asks whoever is next: fires the steps of holds that are due, and denies what nobody can be asked about.
//!
//! Looks at stored state and closes the gap, on every approver at once: whoever is faster fires a step, the others
//! find it fired. People of a step are looked up here, at that moment, with the overrides of their
//! schedules. Carries invariant 4 (nobody to ask denies) and invariant 9 (owners are never asked).

use std::time::Duration;

use abeyance_api::{HoldId, HoldRequest, HoldState};
use abeyance_holds::{
    Event, Hold,
    escalation::{Due, Found, Notify, Who, in_words},
};
use chrono::{DateTime, Utc};
use tokio_util::sync::CancellationToken;

use crate::{
    Approver, StoreError, limits,
    overrides::{Exceptions, exceptions},
    reconcile::until,
    roster::Roster,
    store::{Called, HoldRecord, NewRecord, Told},
};

/// After a store that did not answer.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// More events than a hold's steps, fallback and denial can give at one moment.
const ROUNDS_MAX: usize = abeyance_holds::escalation::STEPS_MAX + 3;

pub(crate) async fn run(approver: &Approver, shutdown: CancellationToken) {
    let mut changed = approver.0.signals.holds().subscribe();
    while !shutdown.is_cancelled() {
        changed.mark_unchanged();
        let sleep = match fire_due(approver).await {
            Ok(sleep) => sleep,
            Err(error) => {
                tracing::error!(%error, "nobody can be asked; trying again");
                RETRY_AFTER
            }
        };
        // All arms are cancel-safe.
        tokio::select! {
            () = shutdown.cancelled() => {}
            _ = changed.changed() => {}
            () = tokio::time::sleep(sleep) => {}
        }
    }
}

/// Fires what is due. Returns how long nothing more is.
pub(crate) async fn fire_due(approver: &Approver) -> Result<Duration, StoreError> {
    let store = &approver.0.store;
    loop {
        let now = approver.0.clock.now();
        let due = store.steps_due(now).await?;
        if due.is_empty() {
            let next = store.next_step().await?;
            let sleep = next.map_or(limits::REPAIR_EVERY, |next| until(next - now));
            return Ok(sleep.min(limits::REPAIR_EVERY));
        }
        for id in due {
            escalate(approver, &id).await?;
        }
    }
}

/// Fires whatever of one hold is due now, until nothing is.
pub(crate) async fn escalate(approver: &Approver, id: &HoldId) -> Result<(), StoreError> {
    let store = &approver.0.store;
    for _ in 0..ROUNDS_MAX {
        let now = approver.0.clock.now();
        let Some(record) = store.hold(id).await? else {
            return Ok(());
        };
        if record.hold.state_at(now) != HoldState::Pending {
            // Ends the wait of a hold that is overdue and has a step due, too.
            if record.hold.is_overdue(now) {
                store.hold_step(id, Event::Tick, now).await?;
            }
            return Ok(());
        }
        match record.hold.escalation.due(now) {
            Due::At(_) | Due::Done => return Ok(()),
            Due::Step(step) => fire(approver, &record, step, now).await?,
            Due::Nobody => {
                let why = nobody_because(&record);
                tracing::warn!(hold = %id, why, "denied: nobody can be asked");
                store.hold_step(id, Event::Nobody { why }, now).await?;
            }
        }
    }
    tracing::error!(hold = %id, "the steps of this hold come to no end; it stays until it expires");
    Ok(())
}

async fn fire(
    approver: &Approver,
    record: &HoldRecord,
    step: usize,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let roster = approver.roster();
    let exceptions = exceptions(&approver.0.store, &roster, now).await?;
    let (event, told) = asking(
        &roster,
        &exceptions,
        (&record.hold, &record.request),
        step,
        now,
    );
    tracing::info!(hold = %record.id, step = step + 1, "a step is due");
    approver
        .0
        .store
        .hold_ask(&record.id, event, told, now)
        .await?;
    Ok(())
}

/// The first step of a hold that is about to be made, when it is due at once.
pub(crate) fn first(
    roster: &Roster,
    exceptions: &Exceptions,
    new: &NewRecord,
    now: DateTime<Utc>,
) -> Option<(Event, Told)> {
    let (hold, _) = new.hold(now);
    let Due::Step(step) = hold.escalation.due(now) else {
        return None;
    };
    Some(asking(roster, exceptions, (&hold, &new.request), step, now))
}

/// Whom a step comes to at this moment, those who may decide, each once; and how they are told.
fn asking(
    roster: &Roster,
    exceptions: &Exceptions,
    (hold, request): (&Hold, &HoldRequest),
    step: usize,
    now: DateTime<Utc>,
) -> (Event, Told) {
    let who = hold.escalation.plan().who(step);
    let people = roster.on_step(who, now, |schedule| exceptions.of(schedule));
    let mut found = Found {
        people: roster.eligible_of(&people, &request.agent),
        channels: channels(who),
        enough: false,
    };
    let mut then = hold.clone();
    then.escalation.fired(&found, now);
    found.enough = roster.enough(&then, &request.agent);
    let told = told(roster, hold, step, &found);
    (Event::Ask { step, found }, told)
}

fn channels(who: &[Who]) -> Vec<String> {
    let channels = who.iter().filter_map(|who| match who {
        Who::Channel(id) => Some(id.clone()),
        Who::Person(_) | Who::Group(_) | Who::Schedule(_) => None,
    });
    channels.collect()
}

/// Who gets a card of their own, and what is said under the route's card.
fn told(roster: &Roster, hold: &Hold, step: usize, found: &Found) -> Told {
    let plan = hold.escalation.plan();
    let route = roster.route(&hold.route);
    let channel = route.and_then(|route| route.slack_channel.clone());
    let slack = || {
        found
            .people
            .iter()
            .filter_map(|person| person.slack.clone())
    };
    let mut cards = found.channels.clone();
    let notify = plan.notify(step);
    // Without a channel there is no card to say anything under.
    if notify != Notify::Thread || channel.is_none() {
        cards.extend(slack());
    }
    let called = notify != Notify::Direct && slack().next().is_some();
    let thread = channel.filter(|_| called).map(|channel| {
        let called = Called {
            who: in_words(plan.who(step)),
            people: found.people.clone(),
            expires_at: hold.expires_at,
        };
        (channel, called)
    });
    Told { cards, thread }
}

/// Why a hold can only be denied, for people and for the client.
fn nobody_because(record: &HoldRecord) -> String {
    let escalation = &record.hold.escalation;
    let whoever: Vec<_> = escalation.plan().whoever().cloned().collect();
    let whom = in_words(&whoever);
    if escalation.people().next().is_none() {
        format!("nobody is on call for route {} ({whom})", record.hold.route)
    } else {
        format!(
            "{} have to agree for route {}, and {whom} came to too few",
            record.hold.quorum, record.hold.route
        )
    }
}
