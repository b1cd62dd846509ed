//! `oncall`, as people run it.

#![allow(clippy::unwrap_used, reason = "a helper that fails stops its test")]

use std::process::{Command, Output};

const CONFIG: &str = include_str!("../../docs/on-call.md");
const REST: &str = r#"
[[target]]
name = "clinic"
address = "127.0.0.1:5432"
database = "clinic"
user = "clinic_app"
tls = "disable"

[[agent]]
name = "billing-bot"
targets = ["clinic"]
verifier = "SCRAM-SHA-256$4096:r4258TzhP6OW2K2u68FPEQ==$AvPoGriO9OKg72nLFh6gWDBp7pPVidjDkP1YIFpEyBc=:Ae4C770Eu4g5mSxxqf2uD/tLE9mGQL/z90tKalBvnUg="

[[person]]
name = "ann"
display_name = "Ann"
slack = "U0ANN0001"
[[person]]
name = "bob"
display_name = "Bob"
slack = "U0BOB0001"
[[person]]
name = "cy"
display_name = "Cy"
console_token_hash = "sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae"

[policy]
default = "deny"
"#;

/// The schedule of the documentation, after `change`.
fn oncall(change: impl Fn(String) -> String, args: &[&str]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("abeyance.toml");
    let schedule = CONFIG.split("```toml").nth(1).unwrap();
    let schedule = schedule.split("```").next().unwrap().to_owned();
    std::fs::write(&file, format!("{}{REST}", change(schedule))).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_abeyance"));
    command.arg("oncall").args(args).arg("--config").arg(&file);
    command.output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn who_is_on_call() {
    let who = |at: &str| said(&oncall(|s| s, &["who", "--at", at]));
    assert_eq!(
        who("2026-01-12T10:00:00Z"),
        "dba: Bob and Cy until Mon 2026-01-12 17:00 (layer office, turn 2)\n"
    );
    assert_eq!(
        who("2026-01-05T20:00:00Z"),
        "dba: Cy until Tue 2026-01-06 09:00 (layer nights, turn 1)\n"
    );
    // As in chat: without a zone it is the schedule's clock, here an hour ahead.
    assert_eq!(who("2026-01-05 21:00"), who("2026-01-05T20:00:00Z"));
    assert_eq!(
        who("2026-01-12 08:59"),
        "dba: Cy until Mon 2026-01-12 09:00 (layer nights, turn 1)\n"
    );
    let date = oncall(|s| s, &["who", "--at", "2026-01-12"]);
    assert_eq!(date.status.code(), Some(64));
    assert!(
        String::from_utf8_lossy(&date.stderr)
            .contains("write 2026-12-24 18:00 on the schedule's clock"),
        "{date:?}"
    );
    let json = oncall(
        |s| s,
        &["who", "--at", "2026-01-05T20:00:00Z", "--format", "json"],
    );
    assert_eq!(
        said(&json),
        "{\"schedule\":\"dba\",\"from\":\"2026-01-05T20:00:00Z\",\"until\":\"2026-01-06T08:00:00Z\",\"people\":[\"cy\"],\
         \"because\":\"layer nights, turn 1\",\"overrides_counted\":false}\n"
    );
    let lost = oncall(|s| s, &["who", "--schedule", "dbas"]);
    assert_eq!(lost.status.code(), Some(64));
}

#[test]
fn a_month_laid_out() {
    let args = ["preview", "--from", "2026-03-27T12:00:00Z", "--days", "4"];
    let table = said(&oncall(|s| s, &args));
    let wall = ["preview", "--from", "2026-03-27 13:00", "--days", "4"];
    assert_eq!(said(&oncall(|s| s, &wall)), table);
    // Clocks go forward on the 29th: the shift is there once, and ends at nine on the wall.
    assert!(
        table.contains("dba  Sun 2026-03-29 17:00  Mon 2026-03-30 09:00  "),
        "{table}"
    );
    let calendar = said(&oncall(|s| s, &[&args[..], &["--format", "ical"]].concat()));
    let lines: Vec<&str> = calendar.split("\r\n").collect();
    assert_eq!(lines.first(), Some(&"BEGIN:VCALENDAR"));
    assert_eq!(
        lines.last().map(|last| last.trim_end()),
        Some("END:VCALENDAR")
    );
    assert!(lines.contains(&"DTEND:20260330T070000Z"), "{calendar}");
}

/// Whenever it is exported, an event is the same one, and begins when its shift does.
#[test]
fn a_shift_is_the_same_event_in_every_calendar() {
    let events = |from: &str| {
        let args = ["preview", "--from", from, "--days", "2", "--format", "ical"];
        let calendar = said(&oncall(|s| s, &args));
        let of = |key: &'static str| {
            let lines = calendar.split("\r\n").map(str::to_owned);
            lines.filter_map(move |line| line.strip_prefix(key).map(str::to_owned))
        };
        of("UID:")
            .zip(of("DTSTART:").collect::<Vec<_>>())
            .collect::<Vec<_>>()
    };
    let running = (
        "dba-office-20260112T080000Z@abeyance".to_owned(),
        "20260112T080000Z".to_owned(),
    );
    let next = (
        "dba-nights-20260112T160000Z@abeyance".to_owned(),
        "20260112T160000Z".to_owned(),
    );
    for from in [
        "2026-01-12T08:00:00Z",
        "2026-01-12T10:00:00Z",
        "2026-01-12T15:59:59Z",
    ] {
        let events = events(from);
        assert_eq!(events[..2], [running.clone(), next.clone()], "{from}");
    }
    // A turn that has been going on since long ago, and one that nobody has yet.
    let alone = |s: String| s.replace("turns = [\"cy\", \"ann\"]", "turns = [\"cy\"]");
    let args = [
        "preview",
        "--from",
        "2026-01-17 12:00",
        "--days",
        "1",
        "--format",
        "ical",
    ];
    let calendar = said(&oncall(alone, &args));
    assert!(
        calendar.contains("UID:dba-nights-20260116T160000Z@abeyance\r\n"),
        "{calendar}"
    );
    let args = [
        "preview",
        "--from",
        "2025-12-01 12:00",
        "--days",
        "1",
        "--format",
        "ical",
    ];
    let calendar = said(&oncall(|s| s, &args));
    assert!(
        calendar.contains("UID:dba-nobody-19700101T000000Z@abeyance\r\n"),
        "{calendar}"
    );
    assert!(
        calendar.contains("DTSTART:20251201T110000Z\r\n"),
        "{calendar}"
    );
}

/// Cy has a console token and no Slack id: nothing is missing.
#[test]
fn lint_passes_where_everybody_can_decide() {
    let whole = oncall(|s| s, &["lint"]);
    let remarks = String::from_utf8_lossy(&whole.stderr).into_owned();
    assert_eq!(said(&whole), "");
    assert_eq!(whole.status.code(), Some(0), "{remarks}");
    assert!(
        remarks.contains("dba: cy decides in the console and is not called in Slack"),
        "{remarks}"
    );
    assert!(
        remarks.contains("Europe/Berlin: clocks change at "),
        "{remarks}"
    );
}

#[test]
fn lint_tells_gaps_that_recur_once() {
    let days = |s: String| {
        s.split("[[schedule.layer]]\nname = \"nights\"")
            .next()
            .unwrap()
            .to_owned()
    };
    let output = oncall(days, &["lint"]);
    assert_eq!(output.status.code(), Some(64));
    let gaps = said(&output);
    let told: Vec<&str> = gaps
        .lines()
        .filter(|line| line.contains("nobody is on call"))
        .collect();
    // Nights, weekends, and what the looked-at span cuts off at its beginning and end.
    assert!((2..=4).contains(&told.len()), "{gaps}");
    assert!(
        told.iter()
            .any(|line| line.contains(" such gaps in the next 92 days")),
        "{gaps}"
    );
    let json = said(&oncall(days, &["lint", "--format", "json"]));
    let times =
        |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap()["times"].as_u64();
    let all: u64 = json.lines().filter_map(times).sum();
    assert!((60..=70).contains(&all), "{json}");
}

#[test]
fn wrong_schedules_are_refused_with_what_to_do() {
    for (from, to, told) in [
        ("0 9 * * 1", "0 9 1 * 1", "leave one of them `*`"),
        ("Europe/Berlin", "Berlin", "Europe/Berlin"),
        ("\"ann\", ", "\"zoe\", ", "no [[person]] called `zoe`"),
        ("2026-01-05", "5.1.2026", "such as 2026-01-05"),
        ("09:00", "9am", "write 09:00"),
    ] {
        let output = oncall(|schedule| schedule.replacen(from, to, 1), &["who"]);
        let shown = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(64), "{shown}");
        assert!(shown.contains(told), "{from} -> {to}: {shown}");
    }
}

#[test]
fn what_was_mistyped_is_told() {
    let told = |args: &[&str]| {
        let output = oncall(|s| s, args);
        assert_eq!(output.status.code(), Some(64), "{output:?}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let schedule = told(&["who", "--schedule", "dbb"]);
    assert!(schedule.contains("did you mean `dba`?"), "{schedule}");
    // Only a preview is a calendar.
    let calendar = told(&["who", "--format", "ical"]);
    assert!(
        calendar.contains("possible values: table, json"),
        "{calendar}"
    );
}
