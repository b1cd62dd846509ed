//! What no trial may show.

use crate::{
    account::{Account, Held},
    plan::Job,
    workload::Told,
};

/// The states in which nothing more can happen.
const FINAL: [&str; 7] = [
    "denied",
    "expired",
    "withdrawn",
    "lapsed",
    "executed",
    "failed",
    "rolled_back",
];

/// Whether a hold is over.
#[must_use]
pub fn is_over(hold: &Held) -> bool {
    FINAL.contains(&hold.state.as_str())
}

/// Each promise that one statement's account breaks, in words.
#[must_use]
pub fn violations(job: &Job, account: &Account) -> Vec<String> {
    let mut broken = Vec::new();
    let mut must = |kept: bool, what: &str| {
        if !kept {
            broken.push(format!("{what}: {account:?}"));
        }
    };
    let seats = if job.two_seats { 2 } else { 1 };
    let ran = account.asked > 0 || account.rows > 0;
    must(account.asked <= 1 && account.rows <= 1, "ran twice");
    must(account.rows <= account.asked, "rows without a statement");
    if ran {
        must(
            account.holds.iter().any(|hold| approved(hold, seats)),
            "ran without enough approvals on record",
        );
        must(
            people_who_approved(account) >= seats,
            "ran although not enough people ever sent an approval",
        );
    }
    match &account.told {
        Told::Done => must(
            account.rows == 1,
            "the client was told of a row that is not there",
        ),
        Told::Refused { .. } => must(account.rows == 0, "refused, and the row is there"),
        Told::NeverAsked => must(!ran, "never asked, and it ran"),
        Told::InDoubt => {}
        Told::Stuck => must(false, "a client was left waiting"),
    }
    for hold in &account.holds {
        must(is_over(hold), "a hold never ended");
        must(
            hold.state != "executed" || account.asked == 1,
            "on record as executed, and the target never saw it",
        );
        must(
            hold.denied_by.is_empty() || !ran || account.holds.len() > 1,
            "denied, and it ran",
        );
    }
    for sent in account.sent.iter().filter(|sent| sent.confirmed) {
        let kept = account.holds.iter().any(|hold| {
            let votes = if sent.approve {
                &hold.approved_by
            } else {
                &hold.denied_by
            };
            hold.id == sent.hold && votes.iter().any(|person| person == sent.person)
        });
        must(kept, "a confirmed decision was lost");
    }
    broken
}

fn approved(hold: &Held, seats: usize) -> bool {
    let route = if seats == 2 { "pair" } else { "dba" };
    hold.route == route && hold.approved_by.len() >= seats && hold.denied_by.is_empty()
}

fn people_who_approved(account: &Account) -> usize {
    let mut people: Vec<_> = account
        .sent
        .iter()
        .filter(|sent| sent.approve)
        .map(|sent| sent.person)
        .collect();
    people.sort_unstable();
    people.dedup();
    people.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{people::Sent, plan::Shape};

    fn job() -> Job {
        Job {
            marker: "m1n1".to_owned(),
            shape: Shape::Simple,
            two_seats: false,
            leaves_after: None,
            acts: Vec::new(),
        }
    }

    fn good() -> Account {
        Account {
            marker: "m1n1".to_owned(),
            told: Told::Done,
            asked: 1,
            rows: 1,
            holds: vec![Held {
                id: "HLD-7K3Q".to_owned(),
                state: "executed".to_owned(),
                route: "dba".to_owned(),
                approved_by: vec!["bob".to_owned()],
                denied_by: Vec::new(),
            }],
            sent: vec![Sent {
                hold: "HLD-7K3Q".to_owned(),
                person: "bob",
                approve: true,
                confirmed: true,
            }],
        }
    }

    #[test]
    fn every_promise_can_be_broken() {
        assert_eq!(violations(&job(), &good()), Vec::<String>::new());
        type Spoil = fn(&mut Account);
        let breaks: [(&str, Spoil); 8] = [
            ("ran twice", |account| account.asked = 2),
            ("ran without", |account| account.holds.clear()),
            ("ever sent", |account| account.sent.clear()),
            ("that is not there", |account| account.rows = 0),
            ("refused, and", |account| {
                account.told = Told::Refused {
                    sqlstate: "42501".to_owned(),
                    text: String::new(),
                };
            }),
            ("left waiting", |account| account.told = Told::Stuck),
            ("never ended", |account| {
                account.holds[0].state = "pending".to_owned();
            }),
            ("was lost", |account| {
                account.sent.push(Sent {
                    hold: "HLD-7K3Q".to_owned(),
                    person: "cy",
                    approve: true,
                    confirmed: true,
                });
            }),
        ];
        for (what, spoil) in breaks {
            let mut account = good();
            spoil(&mut account);
            let broken = violations(&job(), &account);
            assert!(
                broken.iter().any(|said| said.contains(what)),
                "{what}: {broken:?}"
            );
        }
    }
}
