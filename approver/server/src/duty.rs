//! Notices when a shift changes hands: tells the channel of the schedule, and makes a chat's group follow.
//!
//! Compares who is on call with who was when it was last looked, which is in the store: a restart tells
//! nothing twice, and of several approvers one tells it.

use std::time::Duration;

use abeyance_api::{NoticeBody, PersonRef};
use abeyance_holds::oncall::{Duty, DutySource, shifts};
use chrono::{DateTime, TimeDelta, Utc};
use tokio_util::sync::CancellationToken;

use crate::{
    Approver, OncallSchedule, StoreError, limits,
    overrides::{Exceptions, exceptions},
    roster::Roster,
    store::{DutyNow, DutyThen},
};

/// How far ahead the end of a shift is looked for.
const AHEAD: TimeDelta = TimeDelta::days(14);

pub(crate) async fn run(approver: &Approver, shutdown: CancellationToken) {
    let mut changed = approver.0.signals.cards().subscribe();
    while !shutdown.is_cancelled() {
        changed.mark_unchanged();
        if let Err(error) = look(approver).await {
            tracing::error!(%error, "hand-overs cannot be told; trying again");
        }
        // All arms are cancel-safe. Overrides wake; shifts end by the clock.
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = tokio::time::sleep(limits::DUTY_EVERY) => {}
            () = settled(&mut changed) => {}
        }
    }
}

/// A change, and a moment after it: whoever looks at every card's every change looks too often.
async fn settled(changed: &mut tokio::sync::watch::Receiver<u64>) {
    let _closed = changed.changed().await;
    tokio::time::sleep(Duration::from_secs(1)).await;
}

pub(crate) async fn look(approver: &Approver) -> Result<(), StoreError> {
    let roster = approver.roster();
    let told =
        |schedule: &&OncallSchedule| schedule.announce.is_some() || schedule.slack_group.is_some();
    let schedules: Vec<&OncallSchedule> = roster.schedules().iter().filter(told).collect();
    if schedules.is_empty() {
        return Ok(());
    }
    let now = approver.0.clock.now();
    let exceptions = exceptions(&approver.0.store, &roster, now).await?;
    for schedule in schedules {
        let name = schedule.schedule.name();
        let duty = schedule.schedule.on_duty(now, exceptions.of(name));
        let then = approver.0.store.duty_then(name).await?;
        let same = then
            .as_ref()
            .is_some_and(|then| then.people == duty.people && then.group == schedule.slack_group);
        if !same {
            let new = told_of(&roster, schedule, &duty, then.as_ref(), &exceptions, now);
            approver.0.store.duty_note(new, then, now).await?;
        }
    }
    Ok(())
}

fn told_of(
    roster: &Roster,
    schedule: &OncallSchedule,
    duty: &Duty,
    then: Option<&DutyThen>,
    exceptions: &Exceptions,
    now: DateTime<Utc>,
) -> DutyNow {
    let name = schedule.schedule.name();
    let refs = |ids: &[abeyance_api::PersonId]| -> Vec<PersonRef> {
        ids.iter()
            .filter_map(|id| Some(roster.person(id)?.to_ref()))
            .collect()
    };
    let people = refs(&duty.people);
    let users: Vec<String> = people
        .iter()
        .filter_map(|person| person.slack.clone())
        .collect();
    let ahead = shifts(&schedule.schedule, exceptions.of(name), now, now + AHEAD);
    let until = ahead
        .first()
        .map(|shift| shift.until)
        .filter(|until| *until < now + AHEAD);
    let because = because(duty);
    // The first look is no hand-over: nobody had it before.
    let announced = schedule.announce.as_ref().filter(|_| then.is_some());
    let announce = announced.map(|channel| {
        let body = NoticeBody::HandedOver {
            schedule: name.to_owned(),
            before: then.map(|then| refs(&then.people)).unwrap_or_default(),
            people: people.clone(),
            because: because.clone(),
            until,
        };
        (channel.clone(), body)
    });
    if users.is_empty() && schedule.slack_group.is_some() {
        tracing::warn!(
            schedule = name,
            "nobody is on call, and Slack keeps no empty group: it stays as it was"
        );
    }
    let group = schedule.slack_group.as_ref().filter(|_| !users.is_empty());
    DutyNow {
        schedule: name.to_owned(),
        people: duty.people.clone(),
        because,
        announce,
        follows: schedule.slack_group.clone(),
        group: group.map(|group| (group.clone(), NoticeBody::Members { users })),
    }
}

pub(crate) fn because(duty: &Duty) -> String {
    match &duty.source {
        DutySource::Exception { author, reason } => format!("set by {author}: {reason}"),
        DutySource::Layer { name, turn } => format!("layer {name}, turn {}", turn + 1),
        DutySource::Nobody => "no layer covers it".to_owned(),
    }
}
