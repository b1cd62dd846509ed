//! Reads `[[schedule]]`: who is on call, when turns change, and the hours they cover.

use abeyance_api::PersonId;
use abeyance_approver::{
    OncallSchedule,
    oncall::{Coverage, Handoff, Layer, Schedule, Zone},
};
use chrono::NaiveDate;

use super::{
    decision::{reviewer_id, vendor_id},
    section::{At, Section},
};

/// A schedule with the places its names are written at.
#[derive(Debug)]
pub struct ScheduleEntry {
    pub name: At<String>,
    /// Everybody who has a turn, as often as they are named.
    pub people: Vec<At<PersonId>>,
    /// Who may be put on call besides those.
    pub stand_ins: Vec<At<PersonId>>,
    /// Where hand-overs are announced: a Slack channel.
    pub announce: Option<At<String>>,
    /// The Slack user group that follows whoever is on call.
    pub slack_group: Option<At<String>>,
    /// `None` when a part of it was wrong.
    pub schedule: Option<Schedule>,
}

impl ScheduleEntry {
    /// The schedule, when everything about it was right.
    pub fn into_schedule(self) -> Option<OncallSchedule> {
        Some(OncallSchedule {
            schedule: self.schedule?,
            stand_ins: self.stand_ins.into_iter().map(|at| at.value).collect(),
            announce: self.announce.map(|at| at.value),
            slack_group: self.slack_group.map(|at| at.value),
        })
    }
}

/// Reads one `[[schedule]]`.
pub fn schedule(section: Section<'_>) -> Option<ScheduleEntry> {
    let name = section.require_string("name", "\"dba\"");
    let zone = section.require_string("zone", "\"Europe/Berlin\"");
    let zone = zone.and_then(|zone| told(&section, "zone", &zone, str::parse::<Zone>));
    if !section.has("layer") {
        section.problems.error(
            section.span(),
            format!("{} has no layer", section.name()),
            "add [[schedule.layer]] with `handoff`, `anchor` and `turns`; the first one counts most",
        );
    }
    let given = section.sections("layer");
    let label = section.name().to_owned();
    let count = given.len();
    let mut people = Vec::new();
    let layers: Vec<Layer> = given
        .into_iter()
        .filter_map(|given| layer(given, zone, &label, &mut people))
        .collect();
    let stand_ins: Vec<At<PersonId>> = section
        .strings("stand_ins")
        .unwrap_or_default()
        .into_iter()
        .filter_map(|person| reviewer_id(&section, "stand_ins", person))
        .collect();
    let slack_id = |key, first: &[char], wanted| {
        let id = section.string(key)?;
        vendor_id(&section, key, id, first, wanted)
    };
    let announce = slack_id(
        "announce",
        &['C', 'G'],
        "a Slack channel id such as \"C024BE7LH\"",
    );
    let slack_group = slack_id(
        "slack_group",
        &['S'],
        "the id of a Slack user group such as \"S0614TZR7\"",
    );
    let name = name?;
    let whole = layers.len() == count && count > 0;
    let schedule = whole.then(|| Schedule::new(name.value.clone(), layers));
    let schedule = match schedule {
        Some(Err(error)) => {
            let hint = "name who is on call";
            section.problems.error(&name.span, error.to_string(), hint);
            None
        }
        Some(Ok(schedule)) => Some(schedule),
        None => None,
    };
    section.finish();
    Some(ScheduleEntry {
        name,
        people,
        stand_ins,
        announce,
        slack_group,
        schedule,
    })
}

fn layer(
    section: Section<'_>,
    zone: Option<Zone>,
    schedule: &str,
    people: &mut Vec<At<PersonId>>,
) -> Option<Layer> {
    let name = section.require_string("name", "\"primary\"");
    let handoff = section.require_string("handoff", "\"0 9 * * 1\"");
    let handoff = handoff.and_then(|text| {
        told(&section, "handoff", &text, |text| {
            // Where the zone is wrong, the rest is checked all the same.
            let zone = zone.or_else(|| "UTC".parse().ok());
            zone.map(|zone| Handoff::new(text, zone)).transpose()
        })
    });
    let anchor = section.require_string("anchor", "\"2026-01-05\"");
    let anchor = anchor.and_then(|text| {
        told(&section, "anchor", &text, |text| {
            text.parse::<NaiveDate>()
                .map_err(|_| "it takes the day of the first turn, such as 2026-01-05")
        })
    });
    let turns = section.strings("turns");
    if !section.has("turns") {
        section.missing("turns", "[\"ann\", \"bob, cy\"]");
    }
    let given = turns.unwrap_or_default();
    let turns: Vec<Vec<PersonId>> = given
        .iter()
        .filter_map(|turn| self::turn(&section, turn, people))
        .collect();
    let cover = section.sections("cover");
    let wanted = cover.len();
    let coverage: Vec<Coverage> = cover
        .into_iter()
        .filter_map(|cover| coverage(cover, &format!("{schedule}, {}", section.name())))
        .collect();
    let whole = turns.len() == given.len() && coverage.len() == wanted;
    section.finish();
    zone?;
    Some(Layer {
        name: name?.value,
        turns,
        handoff: handoff??,
        anchor: anchor?,
        coverage,
    })
    .filter(|_| whole)
}

/// `"ann"`, or `"bob, cy"` for two who are on call together.
fn turn(
    section: &Section<'_>,
    turn: &At<String>,
    people: &mut Vec<At<PersonId>>,
) -> Option<Vec<PersonId>> {
    let mut together = Vec::new();
    for name in turn.value.split(',').map(str::trim) {
        let person = told(section, "turns", turn, |_| name.parse::<PersonId>())?;
        people.push(At {
            span: turn.span.clone(),
            value: person.clone(),
        });
        together.push(person);
    }
    Some(together)
}

fn coverage(section: Section<'_>, layer: &str) -> Option<Coverage> {
    let days = section.strings("days");
    let from = section.require_string("from", "\"09:00\"");
    let until = section.require_string("until", "\"17:00\"");
    let every = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
    let days: Vec<&str> = match &days {
        Some(days) => days.iter().map(|day| day.value.as_str()).collect(),
        None => every.to_vec(),
    };
    let (from, until) = (from?, until?);
    let coverage = Coverage::new(days, &from.value, &until.value);
    if let Err(error) = &coverage {
        let hint = "such as { days = [\"mon\", \"tue\"], from = \"09:00\", until = \"17:00\" }";
        section
            .problems
            .error(section.span(), format!("`cover` in {layer}: {error}"), hint);
    }
    section.finish();
    coverage.ok()
}

/// Reads a value, and says what is wrong with it.
fn told<T, E: std::fmt::Display>(
    section: &Section<'_>,
    key: &str,
    text: &At<String>,
    read: impl FnOnce(&str) -> Result<T, E>,
) -> Option<T> {
    match read(&text.value) {
        Ok(value) => Some(value),
        Err(error) => {
            section.problems.error(
                &text.span,
                format!("`{key}` in {}", section.name()),
                error.to_string(),
            );
            None
        }
    }
}
