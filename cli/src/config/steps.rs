//! Reads `[[route.step]]` and `fallback`: whom a route asks, one after another, while nobody has decided.

use std::{ops::RangeInclusive, time::Duration};

use abeyance_api::PersonId;
use abeyance_approver::escalation::{Notify, Plan, STEPS_MAX, Step, Who};
use chrono::TimeDelta;

use super::{
    duration,
    group::{GroupEntry, members},
    schedule::ScheduleEntry,
    section::{At, Section},
};

/// How long after the step before it.
const AFTER: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(86_400);
const ASK_EXAMPLE: &str = "[\"schedule:dba\"]";
const ASK_HINT: &str =
    "name people, `group:NAME`, `schedule:NAME` or a Slack channel as `channel:C024BE7LH`";

/// One `[[route.step]]`.
#[derive(Debug)]
pub struct StepEntry {
    pub ask: Vec<At<Who>>,
    pub after: Option<Duration>,
    pub notify: Notify,
}

/// The steps of a route.
#[derive(Debug, Default)]
pub struct StepsEntry {
    pub steps: Vec<StepEntry>,
    pub fallback: Vec<At<Who>>,
    /// A part of it was wrong.
    pub lost: bool,
}

/// Reads the steps of one `[[route]]`.
pub fn steps(section: &Section<'_>, timeout: Option<&At<Duration>>) -> StepsEntry {
    let mut lost = false;
    let mut steps = Vec::new();
    for (index, given) in section.sections("step").into_iter().enumerate() {
        let (entry, whole) = step(given, index);
        lost |= !whole;
        steps.push(entry);
    }
    let texts = section.strings("fallback").unwrap_or_default();
    let fallback: Vec<At<Who>> = texts
        .iter()
        .filter_map(|text| who(section, "fallback", text))
        .collect();
    lost |= fallback.len() < texts.len();
    let entry = StepsEntry {
        steps,
        fallback,
        lost,
    };
    check(section, &entry, timeout);
    entry
}

fn check(section: &Section<'_>, entry: &StepsEntry, timeout: Option<&At<Duration>>) {
    let problems = section.problems;
    if entry.steps.is_empty() {
        if section.has("fallback") && !section.has("step") {
            problems.error(
                &section.key_span("fallback"),
                format!("{} has a `fallback` and no steps", section.name()),
                "it is asked when steps come to nobody: add [[route.step]], or leave it out",
            );
        }
        return;
    }
    if entry.steps.len() > STEPS_MAX {
        problems.error(
            section.span(),
            format!("{} has more than {STEPS_MAX} steps", section.name()),
            "",
        );
    }
    let scheduled = entry
        .asks()
        .any(|who| matches!(who.value, Who::Schedule(_)));
    if scheduled && entry.fallback.is_empty() && !section.has("fallback") {
        section.missing("fallback", "[\"group:leads\"]");
    }
    for who in &entry.fallback {
        if matches!(who.value, Who::Schedule(_)) {
            problems.error(
                &who.span,
                format!("`fallback` in {} asks a schedule", section.name()),
                "it is for when nobody is on call: name people or a group",
            );
        }
    }
    let after: Duration = entry.steps.iter().filter_map(|step| step.after).sum();
    if let Some(timeout) = timeout.filter(|timeout| after >= timeout.value) {
        problems.error(
            &timeout.span,
            format!(
                "the last step of {} comes after {}, when the hold has ended",
                section.name(),
                duration::show(after)
            ),
            "give a longer `timeout`, or shorter `after`",
        );
    }
}

/// A step, and whether everything about it was right: what was, can still be looked up.
fn step(section: Section<'_>, index: usize) -> (StepEntry, bool) {
    let texts = section.strings("ask");
    match &texts {
        None if !section.has("ask") => section.missing("ask", ASK_EXAMPLE),
        Some(texts) if texts.is_empty() => section.problems.error(
            &section.key_span("ask"),
            format!("nobody is asked by step {}", index + 1),
            ASK_HINT,
        ),
        _ => {}
    }
    let texts = texts.unwrap_or_default();
    let ask: Vec<At<Who>> = texts
        .iter()
        .filter_map(|text| who(&section, "ask", text))
        .collect();
    let after = section.duration("after", AFTER);
    if index > 0 && !section.has("after") {
        section.missing("after", "\"5m\"");
    }
    let notify = section.choice(
        "notify",
        &[
            ("thread", Notify::Thread),
            ("direct", Notify::Direct),
            ("both", Notify::Both),
        ],
    );
    let notify_lost = section.has("notify") && notify.is_none();
    let after_lost = section.has("after") && after.is_none();
    section.finish();
    let whole = !ask.is_empty() && ask.len() == texts.len() && !notify_lost && !after_lost;
    let entry = StepEntry {
        ask,
        after: Some(after.map_or(Duration::ZERO, |after| after.value)),
        notify: notify.map_or_else(Notify::default, |notify| notify.value),
    };
    (entry, whole)
}

/// `ann`, `group:leads`, `schedule:dba`, `channel:C024BE7LH`.
fn who(section: &Section<'_>, key: &str, text: &At<String>) -> Option<At<Who>> {
    let mistake = |what: String, hint: &str| {
        let name = section.name();
        let message = format!("`{key}` in {name}: {what}");
        section.problems.error(&text.span, message, hint);
        None
    };
    let who = match text.value.split_once(':') {
        None => match text.value.parse::<PersonId>() {
            Ok(person) => Who::Person(person),
            Err(error) => return mistake(error.to_string(), ASK_HINT),
        },
        Some((_, "")) => return mistake(format!("`{}` names nothing", text.value), ASK_HINT),
        Some(("group", name)) => Who::Group(name.to_owned()),
        Some(("schedule", name)) => Who::Schedule(name.to_owned()),
        Some(("channel", id)) => {
            let good = id.len() >= 3
                && id.starts_with(['C', 'G'])
                && id
                    .bytes()
                    .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit());
            if !good {
                let hint = "it takes a Slack channel id such as \"channel:C024BE7LH\", not a name";
                return mistake(format!("`{id}` is not an id"), hint);
            }
            Who::Channel(id.to_owned())
        }
        Some((kind, _)) => return mistake(format!("unknown kind `{kind}`"), ASK_HINT),
    };
    Some(At {
        span: text.span.clone(),
        value: who,
    })
}

impl StepsEntry {
    /// Everything its steps and its fallback name.
    pub fn asks(&self) -> impl Iterator<Item = &At<Who>> {
        let steps = self.steps.iter().flat_map(|step| &step.ask);
        steps.chain(&self.fallback)
    }

    /// Everybody whom steps and fallback can ever come to.
    pub fn people(&self, groups: &[GroupEntry], schedules: &[ScheduleEntry]) -> Vec<PersonId> {
        self.asks()
            .flat_map(|who| reach(&who.value, groups, schedules))
            .collect()
    }

    /// As the approver follows them; `None` when a part of them was wrong.
    pub fn plan(&self, timeout: Duration) -> Option<Plan> {
        if self.lost {
            return None;
        }
        if self.steps.is_empty() {
            return Some(Plan::default());
        }
        let values = |list: &[At<Who>]| list.iter().map(|who| who.value.clone()).collect();
        let steps = self.steps.iter().map(|step| Step {
            who: values(&step.ask),
            after_seconds: u32::try_from(step.after.unwrap_or_default().as_secs())
                .unwrap_or(u32::MAX),
            notify: step.notify,
        });
        let timeout = TimeDelta::from_std(timeout).ok()?;
        Plan::new(steps.collect(), values(&self.fallback), timeout).ok()
    }
}

/// Everybody a name can ever come to.
pub fn reach(who: &Who, groups: &[GroupEntry], schedules: &[ScheduleEntry]) -> Vec<PersonId> {
    match who {
        Who::Person(person) => vec![person.clone()],
        Who::Group(group) => members(groups, group),
        Who::Schedule(name) => schedules
            .iter()
            .filter(|schedule| schedule.name.value == *name)
            .flat_map(|schedule| schedule.people.iter().chain(&schedule.stand_ins))
            .map(|person| person.value.clone())
            .collect(),
        Who::Channel(_) => Vec::new(),
    }
}
