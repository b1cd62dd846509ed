//! What can be typed, what is refused and how, and what is shown of a hold.

use abeyance_api::{HoldHistory, HoldsFound, Moment, Named, RecordLine};
use chrono::TimeDelta;

use super::{
    answer::Part,
    grammar::{Command, Filter},
    show,
    words::{help, misspelt},
    *,
};
use crate::{Piece, card::tests::pending};

fn typed(text: &str) -> Vec<Run> {
    vec![Run::Text(text.to_owned())]
}

fn name(name: &str) -> Named {
    Named::Name {
        name: name.to_owned(),
    }
}

fn wall(text: &str) -> Moment {
    Moment::Wall {
        wall: text.parse().unwrap(),
    }
}

fn filter(agent: &str, target: &str) -> Filter {
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    Filter {
        agent: some(agent),
        target: some(target),
    }
}

#[test]
fn what_is_written_well_is_understood() {
    let audit = |filter, person, hours| Command::Audit {
        filter,
        person,
        hours,
    };
    let cases = [
        ("", Command::Help),
        ("  HELP ", Command::Help),
        ("holds", Command::Holds(Filter::default())),
        (
            "Holds target clinic AGENT x-1",
            Command::Holds(filter("x-1", "clinic")),
        ),
        ("show 7k3q", Command::Show("HLD-7K3Q".parse().unwrap())),
        ("audit", audit(Filter::default(), None, 24)),
        (
            "audit since 2d person @bob agent a",
            audit(filter("a", ""), Some(name("bob")), 48),
        ),
        ("audit since 90m", audit(Filter::default(), None, 2)),
        ("oncall", Command::Oncall { schedule: None }),
        ("override list", Command::Overrides { schedule: None }),
        (
            "override remove 0191 because back, because well",
            Command::OverrideRemove {
                id: "0191".to_owned(),
                reason: "back, because well".to_owned(),
            },
        ),
        (
            "override dba ann , bob from 2026-12-24 18:00 until 2026-12-25T06:00 BECAUSE x",
            Command::Override {
                schedule: "dba".to_owned(),
                people: vec![name("ann"), name("bob")],
                from: wall("2026-12-24T18:00:00"),
                until: wall("2026-12-25T06:00:00"),
                reason: "x".to_owned(),
            },
        ),
        (
            "swap dba 2026-12-24T18:00:00+01:00 with 2026-12-25 18:00 because dentist",
            Command::Swap {
                schedule: "dba".to_owned(),
                shift: Moment::At {
                    at: "2026-12-24T17:00:00Z".parse().unwrap(),
                },
                with: wall("2026-12-25T18:00:00"),
                reason: "dentist".to_owned(),
            },
        ),
        ("grants", Command::Grants),
        (
            "revoke grt-7k3q because over",
            Command::Revoke {
                grant: "GRT-7K3Q".parse().unwrap(),
                reason: "over".to_owned(),
            },
        ),
    ];
    for (text, want) in cases {
        assert_eq!(parse(&typed(text)), Ok(want), "{text}");
    }
}

#[test]
fn what_is_not_says_how_it_is_written() {
    let cases = [
        ("hodls", "there is no command “hodls”", "holds"),
        ("dance", "there is no command “dance”", ""),
        ("holds agnet x", "“agnet” is not expected here", "agent"),
        ("holds agent", "a name is missing", ""),
        ("holds agent a agent b", "agent is given twice", ""),
        ("holds because", "no reason is needed", ""),
        ("grants now", "“now” is not expected here", ""),
        ("show", "a hold's id is missing", ""),
        ("show 7K3Q;DROP", "is no hold's id", ""),
        ("audit since yesterday", "says not how long ago", ""),
        ("audit since 93d", "since looks back", ""),
        ("audit since 0h", "since looks back", ""),
        (
            "override dba bob form 2026-12-24 18:00",
            "“from” is missing",
            "from",
        ),
        (
            "override dba bob, from 2026-12-24 18:00",
            "“from” is missing",
            "",
        ),
        (
            "override dba bob from tomorrow",
            "“tomorrow” is no time",
            "",
        ),
        (
            "override dba bob from 2026-12-24 18:00 until 2026-12-24 20:00",
            "say why",
            "",
        ),
        (
            "swap dba 2026-12-24 18:00 2026-12-25 18:00 because x",
            "“with” is missing",
            "",
        ),
        ("revoke GRT-7K3Q", "say why", ""),
        ("revoke GRT-7K3Q becuase over", "“because” is missing", ""),
        ("revoke GRT-7K3Q because  ", "say why", ""),
    ];
    for (text, want, near) in cases {
        let wrong = parse(&typed(text)).unwrap_err();
        assert!(wrong.problem.contains(want), "{text}: {wrong:?}");
        assert_eq!(wrong.near.unwrap_or_default(), near, "{text}");
    }
    let wrong = parse(&typed("show")).unwrap_err();
    let said = plain(&misspelt(&wrong, "/abeyance"));
    assert!(said.contains("/abeyance show HLD-7K3Q"), "{said}");
}

#[test]
fn everything_typed_is_bounded() {
    let long = |text: &str, count| text.repeat(count);
    let cases = [
        long("x", limits::COMMAND_CHARS_MAX + 1),
        format!("holds agent {}", long("x", 129)),
        format!("revoke GRT-7K3Q because {}", long("x", 501)),
        format!("override dba {}z from", long("a,", 16)),
    ];
    for text in cases {
        let problem = parse(&typed(&text)).unwrap_err().problem;
        assert!(problem.contains("at most"), "{problem}");
        assert!(problem.chars().count() < 200, "{problem}");
    }
}

/// An answer as words.
fn plain(answer: &Answer) -> String {
    let said = |line: &crate::Line| -> String {
        let pieces = line.iter().map(|piece| match piece {
            Piece::Text(text) | Piece::Code(text) => text.clone(),
            Piece::Time(at) => at.format("%m-%d %H:%M").to_string(),
            Piece::Person(person) => person.display_name.clone(),
        });
        pieces.collect()
    };
    let parts = answer.parts.iter().map(|part| match part {
        Part::Title(title) => format!("# {title}"),
        Part::Line(line) => said(line),
        Part::Item(line) => format!("- {}", said(line)),
        Part::Sql(sql) => format!("    {sql}"),
        Part::Note(line) => format!("({})", said(line)),
    });
    parts.collect::<Vec<_>>().join("\n")
}

#[test]
fn help_names_every_command() {
    let me = pending().reviewers.remove(1);
    let said = plain(&help(&me, "/abeyance"));
    for word in [
        "help", "holds", "show", "audit", "oncall", "override", "swap", "grants", "revoke",
    ] {
        assert!(said.contains(&format!("/abeyance {word}")), "{said}");
    }
    assert!(said.contains("You are Bob here"), "{said}");
}

#[test]
fn holds_are_listed_and_the_rest_is_counted() {
    let view = pending();
    let now = view.expires_at - TimeDelta::seconds(252);
    let found = HoldsFound {
        holds: vec![view],
        total: 3,
    };
    let said = plain(&show::waiting(&found, &Filter::default(), now));
    assert_eq!(
        said,
        "# 3 holds waiting\n\
         - HLD-7K3Q · DELETE by billing-bot on clinic · rule writes-are-asked · 4 min 12 s left\n\
         (and 2 more; name an agent or a target to see fewer)"
    );
}

#[test]
fn one_hold_is_shown_with_its_record() {
    let hold = pending();
    let line = RecordLine {
        at: hold.created_at,
        text: "Bob approved in Slack".to_owned(),
        quote: Some("looked at it".to_owned()),
    };
    let lines = vec![line; limits::RECORD_LINES_SHOWN + 2];
    let said = plain(&show::history(&HoldHistory { hold, lines }));
    for part in [
        "# HLD-7K3Q · DELETE on clinic (production)",
        "Agent: billing-bot",
        "    DELETE FROM visits WHERE patient_id = $1",
        "Bob approved in Slack: “looked at it”",
        "and 2 more; the console shows them all",
    ] {
        assert!(said.contains(part), "{part:?} is missing in {said}");
    }
}
