//! On call across changes of the clocks: no gap, no overlap, each boundary once.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails the test")]

use abeyance_api::PersonId;
use abeyance_holds::oncall::{
    Coverage, DutySource, Exception, Handoff, HandoffError, Layer, NoSwap, Schedule, Zone,
    beginning, shifts, swap,
};
use chrono::{DateTime, NaiveDate, NaiveDateTime, TimeDelta, Utc};
use proptest::prelude::*;

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn wall(text: &str) -> NaiveDateTime {
    text.parse().unwrap()
}

fn people(names: &str) -> Vec<PersonId> {
    names.split('+').map(|name| name.parse().unwrap()).collect()
}

fn layer(cron: &str, zone: &str, anchor: &str, turns: &[&str]) -> Layer {
    Layer {
        name: "primary".to_owned(),
        turns: turns.iter().map(|turn| people(turn)).collect(),
        handoff: Handoff::new(cron, zone.parse().unwrap()).unwrap(),
        anchor: anchor.parse().unwrap(),
        coverage: Vec::new(),
    }
}

fn schedule(layers: Vec<Layer>) -> Schedule {
    Schedule::new("dba", layers).unwrap()
}

fn who(schedule: &Schedule, moment: &str) -> String {
    let duty = schedule.on_duty(at(moment), &[]);
    let names: Vec<&str> = duty.people.iter().map(PersonId::as_str).collect();
    names.join("+")
}

/// Zone, cron, a moment before the change, then the boundaries that follow.
const BOUNDARIES: &[(&str, &str, &str, &[&str])] = &[
    // Clocks go forward at 02:00 local, 01:00 UTC.
    (
        "Europe/Berlin",
        "0 * * * *",
        "2026-03-28T23:30:00Z",
        &[
            "2026-03-29T00:00:00Z",
            "2026-03-29T01:00:00Z",
            "2026-03-29T02:00:00Z",
        ],
    ),
    (
        "Europe/Berlin",
        "30 2 * * *",
        "2026-03-28T12:00:00Z",
        &["2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"],
    ),
    (
        "Europe/Berlin",
        "0 9 * * 1",
        "2026-03-23T12:00:00Z",
        &["2026-03-30T07:00:00Z", "2026-04-06T07:00:00Z"],
    ),
    // Back at 03:00 local, 01:00 UTC: 02:30 comes twice, and counts once, the first time.
    (
        "Europe/Berlin",
        "30 2 * * *",
        "2026-10-24T12:00:00Z",
        &["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"],
    ),
    (
        "Europe/Berlin",
        "0 * * * *",
        "2026-10-24T23:30:00Z",
        &[
            "2026-10-25T00:00:00Z",
            "2026-10-25T02:00:00Z",
            "2026-10-25T03:00:00Z",
        ],
    ),
    (
        "Europe/Berlin",
        "0 9 * * 1",
        "2026-10-20T12:00:00Z",
        &["2026-10-26T08:00:00Z"],
    ),
    // 2026-03-08 at 02:00 EST = 07:00 UTC; 2026-11-01 at 02:00 EDT = 06:00 UTC.
    (
        "America/New_York",
        "0 * * * *",
        "2026-03-08T05:30:00Z",
        &[
            "2026-03-08T06:00:00Z",
            "2026-03-08T07:00:00Z",
            "2026-03-08T08:00:00Z",
        ],
    ),
    (
        "America/New_York",
        "15 2 * * *",
        "2026-03-07T12:00:00Z",
        &["2026-03-08T07:00:00Z", "2026-03-09T06:15:00Z"],
    ),
    (
        "America/New_York",
        "30 1 * * *",
        "2026-10-31T12:00:00Z",
        &["2026-11-01T05:30:00Z", "2026-11-02T06:30:00Z"],
    ),
    (
        "America/New_York",
        "0 9 * * mon",
        "2026-10-26T14:00:00Z",
        &["2026-11-02T14:00:00Z"],
    ),
    // Half an hour: 2026-04-05 02:00 +11 goes back to 01:30 +10:30; 2026-10-04 02:00 +10:30 to 02:30 +11.
    (
        "Australia/Lord_Howe",
        "45 1 * * *",
        "2026-04-04T00:00:00Z",
        &["2026-04-04T14:45:00Z", "2026-04-05T15:15:00Z"],
    ),
    (
        "Australia/Lord_Howe",
        "15 2 * * *",
        "2026-10-03T00:00:00Z",
        &["2026-10-03T15:30:00Z", "2026-10-04T15:15:00Z"],
    ),
    (
        "Australia/Lord_Howe",
        "0 * * * *",
        "2026-10-03T14:45:00Z",
        &["2026-10-03T15:30:00Z", "2026-10-03T16:00:00Z"],
    ),
    // No change of the clocks any more, and never.
    (
        "America/Sao_Paulo",
        "0 0 * * *",
        "2026-10-17T12:00:00Z",
        &["2026-10-18T03:00:00Z", "2026-10-19T03:00:00Z"],
    ),
    (
        "Asia/Kolkata",
        "30 9 * * 1-5",
        "2026-03-27T05:00:00Z",
        &["2026-03-30T04:00:00Z", "2026-03-31T04:00:00Z"],
    ),
];

#[test]
fn boundaries_across_changes_of_the_clocks() {
    for (zone, cron, from, expected) in BOUNDARIES {
        let handoff = Handoff::new(cron, zone.parse().unwrap()).unwrap();
        let found: Vec<String> = handoff
            .boundaries(at(from))
            .take(expected.len())
            .map(|boundary| boundary.to_rfc3339_opts(chrono::SecondsFormat::Secs, true))
            .collect();
        assert_eq!(found, *expected, "{zone} {cron} from {from}");
    }
}

#[test]
fn a_wall_clock_time_is_one_instant() {
    let zone: Zone = "Europe/Berlin".parse().unwrap();
    for (shown, instant) in [
        ("2026-03-29T01:59:59", "2026-03-29T00:59:59Z"),
        ("2026-03-29T02:00:00", "2026-03-29T01:00:00Z"),
        ("2026-03-29T02:59:59", "2026-03-29T01:00:00Z"),
        ("2026-03-29T03:00:00", "2026-03-29T01:00:00Z"),
        ("2026-10-25T02:00:00", "2026-10-25T00:00:00Z"),
        ("2026-10-25T03:00:00", "2026-10-25T02:00:00Z"),
    ] {
        assert_eq!(zone.instant(wall(shown)), at(instant), "{shown}");
    }
    let changes = zone.changes(at("2026-01-01T00:00:00Z"), 2);
    assert_eq!(
        changes,
        [at("2026-03-29T01:00:00Z"), at("2026-10-25T01:00:00Z")]
    );
    let apia: Zone = "Pacific/Apia".parse().unwrap();
    // A day that never was.
    assert_eq!(
        apia.instant(wall("2011-12-30T12:00:00")),
        at("2011-12-30T10:00:00Z")
    );
}

#[test]
fn what_crons_disagree_about_is_refused() {
    let zone: Zone = "UTC".parse().unwrap();
    let error = |text: &str| Handoff::new(text, zone).map(|_| ()).unwrap_err();
    assert_eq!(error("0 0 9 * * 1"), HandoffError::Fields(6));
    assert_eq!(error("0 9 1 * 1"), HandoffError::BothDays);
    assert_eq!(error("*/5 * * * *"), HandoffError::TooOften);
    assert_eq!(error("0 9 31 2 *"), HandoffError::Never);
    for text in ["60 * * * *", "0 24 * * *", "0 9 * * 8", "0 9 0 * *"] {
        assert!(matches!(error(text), HandoffError::Range { .. }), "{text}");
    }
    for text in [
        "0 9 * * L",
        "0 9 ? * 1",
        "0 9 * * 5/2",
        "0 9 * * mon#2",
        "x 9 * * *",
        "0 9 * * 5-1",
        "@daily 1 2 3 4",
        "0 +9 * * *",
    ] {
        assert!(matches!(error(text), HandoffError::Field { .. }), "{text}");
    }
    assert!("Europe/Atlantis".parse::<Zone>().is_err());
}

#[test]
fn weekdays_are_those_of_posix() {
    let zone: Zone = "UTC".parse().unwrap();
    for (text, first) in [
        ("0 9 * * 0", "2026-11-22T09:00:00Z"),
        ("0 9 * * 7", "2026-11-22T09:00:00Z"),
        ("0 9 * * sun", "2026-11-22T09:00:00Z"),
        ("0 9 * * 1", "2026-11-23T09:00:00Z"),
        ("0 9 * * 6", "2026-11-21T09:00:00Z"),
        ("0 9 * * 5-7", "2026-11-21T09:00:00Z"),
        ("0 9 1 dec *", "2026-12-01T09:00:00Z"),
    ] {
        let handoff = Handoff::new(text, zone).unwrap();
        let found = handoff.boundaries(at("2026-11-20T12:00:00Z")).next();
        assert_eq!(found, Some(at(first)), "{text}");
    }
}

#[test]
fn turns_follow_one_another_from_the_anchor() {
    let weekly = schedule(vec![layer(
        "0 9 * * 1",
        "Europe/Berlin",
        "2026-10-05",
        &["ann", "bob+cy", "eve"],
    )]);
    assert_eq!(who(&weekly, "2026-10-05T06:59:59Z"), "");
    assert_eq!(who(&weekly, "2026-10-05T07:00:00Z"), "ann");
    assert_eq!(who(&weekly, "2026-10-12T07:00:00Z"), "bob+cy");
    // Winter time: the boundary stays at nine on the wall.
    assert_eq!(who(&weekly, "2026-10-26T07:59:59Z"), "eve");
    assert_eq!(who(&weekly, "2026-10-26T08:00:00Z"), "ann");
    let duty = weekly.on_duty(at("2026-10-01T00:00:00Z"), &[]);
    assert_eq!(duty.source, DutySource::Nobody);
}

#[test]
fn higher_layers_and_exceptions_come_first() {
    let mut office = layer(
        "0 9 * * 1-5",
        "Europe/Berlin",
        "2026-11-02",
        &["ann", "bob"],
    );
    office.coverage =
        vec![Coverage::new(["mon", "tue", "wed", "thu", "fri"], "09:00", "17:00").unwrap()];
    let mut nights = layer("0 17 * * *", "Europe/Berlin", "2026-11-02", &["cy"]);
    nights.name = "nights".to_owned();
    nights.coverage =
        vec![Coverage::new(["mon", "tue", "wed", "thu", "fri"], "17:00", "09:00").unwrap()];
    let dba = schedule(vec![office, nights]);
    assert_eq!(who(&dba, "2026-11-02T08:00:00Z"), "ann");
    assert_eq!(who(&dba, "2026-11-02T16:00:00Z"), "cy");
    assert_eq!(who(&dba, "2026-11-03T07:59:59Z"), "cy");
    assert_eq!(who(&dba, "2026-11-03T08:00:00Z"), "bob");
    // The night of Friday ends on Saturday morning; then nobody.
    assert_eq!(who(&dba, "2026-11-07T07:59:59Z"), "cy");
    assert_eq!(who(&dba, "2026-11-07T08:00:00Z"), "");
    let exception = |people_in: &str, made: &str| Exception {
        from: at("2026-11-02T10:00:00Z"),
        until: at("2026-11-02T12:00:00Z"),
        people: people(people_in),
        author: "ann".parse().unwrap(),
        reason: "dentist".to_owned(),
        made_at: at(made),
    };
    let exceptions = [
        exception("eve", "2026-11-01T11:00:00Z"),
        exception("bob", "2026-11-01T10:00:00Z"),
    ];
    assert_eq!(
        dba.on_duty(at("2026-11-02T10:00:00Z"), &exceptions).people,
        people("eve")
    );
    assert_eq!(
        dba.on_duty(at("2026-11-02T12:00:00Z"), &exceptions).people,
        people("ann")
    );
}

#[test]
fn a_shift_began_when_it_did_wherever_one_looks_from() {
    let weekly = layer("0 9 * * 1", "Europe/Berlin", "2026-01-05", &["ann", "bob"]);
    let alone = layer("0 * * * *", "Europe/Berlin", "1999-01-04", &["ann"]);
    let dentist = Exception {
        from: at("2026-11-04T08:00:00Z"),
        until: at("2026-11-04T12:00:00Z"),
        people: people("cy"),
        author: "ann".parse().unwrap(),
        reason: "dentist".to_owned(),
        made_at: at("2026-10-01T00:00:00Z"),
    };
    let exceptions = [dentist];
    for (layer, exceptions, moment, began) in [
        (
            &weekly,
            &[][..],
            "2026-11-08T23:00:00Z",
            Some("2026-11-02T08:00:00Z"),
        ),
        (
            &weekly,
            &[][..],
            "2026-11-02T08:00:00Z",
            Some("2026-11-02T08:00:00Z"),
        ),
        (
            &weekly,
            &exceptions[..],
            "2026-11-04T09:00:00Z",
            Some("2026-11-04T08:00:00Z"),
        ),
        (
            &weekly,
            &exceptions[..],
            "2026-11-08T23:00:00Z",
            Some("2026-11-04T12:00:00Z"),
        ),
        // Whoever is alone has one shift since the anchor.
        (
            &alone,
            &[][..],
            "2026-11-08T23:30:00Z",
            Some("1999-01-03T23:00:00Z"),
        ),
        (
            &alone,
            &exceptions[..],
            "2026-11-08T23:30:00Z",
            Some("2026-11-04T12:00:00Z"),
        ),
        // Before the anchor it was never otherwise.
        (&weekly, &[][..], "2026-01-01T00:00:00Z", None),
        (&weekly, &[][..], "1969-01-01T00:00:00Z", None),
    ] {
        let schedule = schedule(vec![layer.clone()]);
        let found = beginning(&schedule, exceptions, at(moment));
        assert_eq!(found, began.map(at), "{moment}");
    }
}

#[test]
fn coverage_keeps_to_the_wall_clock() {
    let mut layer = layer("0 0 * * *", "America/New_York", "2026-01-01", &["ann"]);
    layer.coverage = vec![Coverage::new(["sun"], "01:00", "04:00").unwrap()];
    let dba = schedule(vec![layer]);
    let spans = |from: &str, until: &str| -> Vec<(DateTime<Utc>, DateTime<Utc>)> {
        let shifts = shifts(&dba, &[], at(from), at(until));
        let on = shifts.iter().filter(|shift| !shift.duty.people.is_empty());
        on.map(|shift| (shift.from, shift.until)).collect()
    };
    // Two hours long, then four.
    assert_eq!(
        spans("2026-03-08T00:00:00Z", "2026-03-09T00:00:00Z"),
        [(at("2026-03-08T06:00:00Z"), at("2026-03-08T08:00:00Z"))]
    );
    assert_eq!(
        spans("2026-11-01T00:00:00Z", "2026-11-02T00:00:00Z"),
        [(at("2026-11-01T05:00:00Z"), at("2026-11-01T09:00:00Z"))]
    );
    assert!(Coverage::new(["sonntag"], "01:00", "02:00").is_err());
    assert!(Coverage::new(["sun"], "1 o'clock", "02:00").is_err());
    assert!(Coverage::new([], "01:00", "02:00").is_err());
}

const ZONES: [&str; 5] = [
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "America/Sao_Paulo",
    "Asia/Kolkata",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Laid out, a schedule without coverage hours is never without somebody, and says the same as
    /// when it is asked moment by moment.
    #[test]
    fn shifts_meet_and_agree(
        zone in 0_usize..5,
        cron in prop::sample::select(vec!["0 * * * *", "30 2 * * *", "0 0 * * *", "0 9 * * 1", "45 1 * * 0,3"]),
        day in 0_i64..720,
        probe in 0_i64..(14 * 86_400),
    ) {
        let dba = schedule(vec![layer(cron, ZONES[zone], "2025-12-01", &["ann", "bob", "cy"])]);
        let from = at("2026-01-01T00:00:00Z") + TimeDelta::days(day);
        let until = from + TimeDelta::days(14);
        let shifts = shifts(&dba, &[], from, until);
        prop_assert_eq!(shifts.first().unwrap().from, from);
        prop_assert_eq!(shifts.last().unwrap().until, until);
        for pair in shifts.windows(2) {
            prop_assert_eq!(pair[0].until, pair[1].from);
            prop_assert!(pair[0].duty != pair[1].duty);
            // Turns go round in order, whatever the clocks do.
            let turn = |index: usize| match &pair[index].duty.source {
                DutySource::Layer { turn, .. } => *turn,
                _ => usize::MAX,
            };
            prop_assert_eq!((turn(0) + 1) % 3, turn(1));
        }
        let moment = from + TimeDelta::seconds(probe);
        let shift = shifts.iter().find(|shift| shift.from <= moment && moment < shift.until).unwrap();
        prop_assert_eq!(&dba.on_duty(moment, &[]), &shift.duty);
    }
}

/// How many handoffs there were since the anchor's own, one by one.
fn counted_plainly(handoff: &Handoff, anchor: NaiveDate, at: DateTime<Utc>) -> Option<usize> {
    let boundaries = handoff.boundaries(handoff.first_on(anchor)?);
    let passed = boundaries.take_while(|boundary| *boundary <= at).count();
    passed.checked_sub(1)
}

fn field(low: u32, high: u32) -> impl Strategy<Value = String> {
    let number = low..=high;
    prop_oneof![
        3 => Just("*".to_owned()),
        2 => number.clone().prop_map(|value| value.to_string()),
        1 => (number.clone(), number.clone())
            .prop_map(|(one, other)| format!("{}-{}", one.min(other), one.max(other))),
        1 => prop::collection::vec(number, 1..4).prop_map(|values| {
            let words: Vec<String> = values.iter().map(u32::to_string).collect();
            words.join(",")
        }),
    ]
}

fn cron() -> impl Strategy<Value = String> {
    let days = prop_oneof![
        field(1, 31).prop_map(|day| format!("{day} *")),
        field(0, 7).prop_map(|weekday| format!("* {weekday}")),
    ];
    let minute = prop_oneof![Just(0), 0_u32..60];
    let hours = prop_oneof![Just("*".to_owned()), field(0, 23)];
    (minute, hours, days, field(1, 12)).prop_map(|(minute, hour, days, month)| {
        let (day, weekday) = days.split_once(' ').unwrap();
        format!("{minute} {hour} {day} {month} {weekday}")
    })
}

/// Those of the tests above as often as all others together.
fn zone() -> impl Strategy<Value = String> {
    let peculiar = [
        "Australia/Lord_Howe",
        "America/Sao_Paulo",
        "America/New_York",
        "America/St_Johns",
        "Antarctica/Casey",
        "Africa/Casablanca",
        "Asia/Tehran",
        "Pacific/Apia",
        "Pacific/Kwajalein",
    ];
    let all: Vec<&str> = chrono_tz::TZ_VARIANTS
        .iter()
        .map(|zone| zone.name())
        .collect();
    prop_oneof![
        prop::sample::select(peculiar.to_vec()),
        prop::sample::select(all)
    ]
    .prop_map(str::to_owned)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Counted by the year, handoffs are as many as counted one by one, and so are they laid out.
    #[test]
    fn handoffs_are_counted_as_if_one_by_one(
        cron in cron(),
        zone in zone(),
        year in prop_oneof![3 => 1965_i32..2030, 1 => 2030_i32..2099],
        day in 1_u32..=365,
        after in prop_oneof![-10_i64..600, -10_i64..9],
        second in 0_i64..86_400,
        edge in any::<bool>(),
        millis in prop::sample::select(vec![0_i64, 1, 500, 999]),
    ) {
        let zone: Zone = zone.parse().unwrap();
        let Ok(handoff) = Handoff::new(&cron, zone) else {
            // 30 February.
            return Ok(());
        };
        let anchor = NaiveDate::from_yo_opt(year, day).unwrap();
        let mut moment = zone.instant(anchor.and_time(chrono::NaiveTime::MIN))
            + TimeDelta::days(after)
            + TimeDelta::seconds(second);
        if edge {
            // Around a change of the clocks, where mistakes would be.
            let change = zone.changes(moment, 1).first().copied();
            moment = change.unwrap_or(moment) + TimeDelta::seconds(second / 8 - 5_400);
        }
        moment += TimeDelta::milliseconds(millis);
        let number = counted_plainly(&handoff, anchor, moment);
        let turns: Vec<String> = (0..997).map(|turn| format!("p{turn}")).collect();
        let turns: Vec<&str> = turns.iter().map(String::as_str).collect();
        let mut layer = layer("0 0 * * *", "UTC", "2026-01-01", &turns);
        (layer.handoff, layer.anchor) = (handoff.clone(), anchor);
        let duty = |number: Option<usize>| match number {
            Some(number) => vec![turns[number % turns.len()].to_owned()],
            None => Vec::new(),
        };
        let names = |people: &[PersonId]| -> Vec<String> {
            people.iter().map(|person| person.as_str().to_owned()).collect()
        };
        let dba = schedule(vec![layer]);
        prop_assert_eq!(names(&dba.on_duty(moment, &[]).people), duty(number));
        let laid_out = shifts(&dba, &[], moment, moment + TimeDelta::days(3));
        let mut next = number;
        for (index, shift) in laid_out.iter().enumerate() {
            if index > 0 {
                next = Some(next.map_or(0, |number| number + 1));
            }
            prop_assert_eq!(names(&shift.duty.people), duty(next), "{}", shift.from);
        }
        // The one before may be years ago.
        let latest = handoff.latest(moment);
        let since = latest.map_or(moment - TimeDelta::days(3_000), |latest| latest);
        let plainly = handoff.boundaries(since).take_while(|boundary| *boundary <= moment).last();
        prop_assert_eq!(latest, plainly);
    }
}

/// The plain count looks at a hundred thousand boundaries here.
#[test]
fn an_old_anchor_is_as_good_as_a_new_one() {
    let turns: Vec<String> = (0..997).map(|turn| format!("p{turn}")).collect();
    let turns: Vec<&str> = turns.iter().map(String::as_str).collect();
    let dba = schedule(vec![layer(
        "0 * * * *",
        "Europe/Berlin",
        "2014-03-01",
        &turns,
    )]);
    let layer = &dba.layers()[0];
    let moment = "2026-03-29T01:00:00.5Z";
    let number = counted_plainly(&layer.handoff, layer.anchor, at(moment)).unwrap();
    assert_eq!(who(&dba, moment), turns[number % turns.len()]);
    // Years of the turns that the calendar knows; then the last one stays.
    assert_eq!(
        who(&dba, "2150-01-01T00:00:00Z"),
        who(&dba, "2100-12-31T23:30:00Z")
    );
}

#[test]
fn a_turn_begins_with_its_second_and_not_before() {
    let dba = schedule(vec![layer(
        "0 9 * * *",
        "UTC",
        "2026-11-20",
        &["ann", "bob"],
    )]);
    assert_eq!(who(&dba, "2026-11-20T08:59:59.999Z"), "");
    assert_eq!(who(&dba, "2026-11-21T08:59:59.999Z"), "ann");
    assert_eq!(who(&dba, "2026-11-21T09:00:00Z"), "bob");
}

#[test]
fn an_anchor_is_the_first_boundary_of_its_day() {
    let dba = schedule(vec![layer(
        "0 9 * * *",
        "Europe/Berlin",
        "2026-11-20",
        &["ann", "bob"],
    )]);
    let anchor: NaiveDate = "2026-11-20".parse().unwrap();
    assert_eq!(
        dba.layers()[0].handoff.first_on(anchor),
        Some(at("2026-11-20T08:00:00Z"))
    );
    assert_eq!(who(&dba, "2026-11-20T08:00:00Z"), "ann");
    assert_eq!(who(&dba, "2026-11-21T08:00:00Z"), "bob");
}

#[test]
fn two_shifts_change_people_and_nothing_else_does() {
    let weekly = schedule(vec![layer(
        "0 9 * * 1",
        "Europe/Berlin",
        "2026-01-05",
        &["ann", "bob+cy"],
    )]);
    let now = at("2026-01-06T12:00:00Z");
    let swapped = |one, other| swap(&weekly, &[], (at(one), at(other)), now);
    let spans = swapped("2026-01-07T00:00:00Z", "2026-01-14T00:00:00Z").unwrap();
    let of = |index: usize| (spans[index].from, spans[index].until, &spans[index].people);
    // Of the shift that runs, what is left of it.
    assert_eq!(of(0), (now, at("2026-01-12T08:00:00Z"), &people("bob+cy")));
    assert_eq!(
        of(1),
        (
            at("2026-01-12T08:00:00Z"),
            at("2026-01-19T08:00:00Z"),
            &people("ann")
        )
    );
    let refused = [
        ("2026-01-06T11:59:59Z", "2026-01-14T00:00:00Z", "is over"),
        ("2026-01-07T00:00:00Z", "2026-01-08T00:00:00Z", "same shift"),
        ("2026-01-07T00:00:00Z", "9999-01-14T00:00:00Z", "a year"),
    ];
    for (one, other, why) in refused {
        let error = swapped(one, other).unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
    }
    let gone = schedule(vec![layer(
        "0 9 * * 1",
        "Europe/Berlin",
        "2026-02-02",
        &["ann"],
    )]);
    let moment = at("2026-01-07T00:00:00Z");
    let nobody = swap(&gone, &[], (moment, moment), now);
    assert_eq!(nobody, Err(NoSwap::Nobody(moment)));
}
