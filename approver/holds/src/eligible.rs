//! Who may decide a hold. Asked again at every click (invariant 9).

use abeyance_api::{PersonId, PersonRef};

use crate::quorum::Quorum;

/// What the configuration says of a route at this moment.
#[derive(Debug, Clone, Copy)]
pub struct Roster<'a> {
    pub reviewers: &'a [PersonId],
}

/// Why somebody may not decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ineligible {
    NotAReviewer,
    /// They own the agent, or it acts for them.
    OwnAgent,
}

/// Whether `person` may decide for an agent of `owner` that acts for `actor`.
///
/// # Errors
/// Says why not. Owning the agent is said first: it is true whatever the roster says.
pub fn eligible(
    person: &PersonRef,
    roster: Roster<'_>,
    owner: Option<&PersonId>,
    actor: Option<&str>,
) -> Result<(), Ineligible> {
    if owner.is_some_and(|owner| same_id(owner.as_str(), person.id.as_str()))
        || actor.is_some_and(|actor| is_actor(person, actor))
    {
        return Err(Ineligible::OwnAgent);
    }
    if !roster.reviewers.contains(&person.id) {
        return Err(Ineligible::NotAReviewer);
    }
    Ok(())
}

/// Whether a quorum could be met for an agent of `owner` that acts for `actor`. When not, a hold
/// could only be refused.
#[must_use]
pub fn quorum_possible(
    people: &[PersonRef],
    quorum: &Quorum,
    owner: Option<&PersonId>,
    actor: Option<&str>,
) -> bool {
    let reviewers = quorum.people();
    let roster = Roster {
        reviewers: &reviewers,
    };
    let may = |person: &&PersonRef| eligible(person, roster, owner, actor).is_ok();
    quorum.is_met_by(people.iter().filter(may).map(|person| &person.id))
}

/// An actor comes from an identity provider and may be any name a person has.
fn is_actor(person: &PersonRef, actor: &str) -> bool {
    let actor = actor.trim();
    same_id(actor, person.id.as_str())
        || person
            .slack
            .as_deref()
            .is_some_and(|slack| same_id(actor, slack))
}

/// Case never tells two people apart here: doubt denies.
fn same_id(one: &str, other: &str) -> bool {
    one.eq_ignore_ascii_case(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn person(id: &str) -> PersonRef {
        PersonRef {
            id: id.parse().unwrap(),
            display_name: id.to_owned(),
            slack: Some(format!("U{}", id.to_uppercase())),
        }
    }

    #[test]
    fn owner_and_actor_never_decide() {
        let reviewers = ["ann", "bob"].map(|id| id.parse::<PersonId>().unwrap());
        let roster = Roster {
            reviewers: &reviewers,
        };
        let owner: PersonId = "ann".parse().unwrap();
        let cases = [
            ("bob", Some(&owner), None, Ok(())),
            ("ann", Some(&owner), None, Err(Ineligible::OwnAgent)),
            (
                "bob",
                Some(&owner),
                Some(" BOB "),
                Err(Ineligible::OwnAgent),
            ),
            ("bob", None, Some("ubob"), Err(Ineligible::OwnAgent)),
            ("cho", None, None, Err(Ineligible::NotAReviewer)),
        ];
        for (who, owner, actor, expected) in cases {
            assert_eq!(eligible(&person(who), roster, owner, actor), expected);
        }
    }

    #[test]
    fn nobody_is_counted_twice() {
        let reviewers = ["ann", "bob", "bob"].map(|id| id.parse::<PersonId>().unwrap());
        let people = [person("ann"), person("bob"), person("bob"), person("cho")];
        let owner: PersonId = "ann".parse().unwrap();
        let possible = |seats: u32, owner| {
            let quorum = Quorum::of(seats.try_into().unwrap(), reviewers.to_vec());
            quorum_possible(&people, &quorum, owner, None)
        };
        assert!(possible(1, Some(&owner)));
        assert!(!possible(2, Some(&owner)));
        assert!(possible(2, None));
        assert!(!possible(3, None));
    }
}
