//! Reads `[[group]]`, and how many of which people a route needs.

use std::num::NonZeroU32;

use abeyance_api::PersonId;
use abeyance_approver::quorum::{Part, Quorum, QuorumError, SEATS_MAX};

use super::{
    decision::reviewer_id,
    section::{At, Section},
};

/// People under one name.
#[derive(Debug)]
pub struct GroupEntry {
    pub name: At<String>,
    pub people: Vec<At<PersonId>>,
}

impl GroupEntry {
    pub fn to_group(&self) -> abeyance_approver::Group {
        abeyance_approver::Group {
            name: self.name.value.clone(),
            people: self.people.iter().map(|at| at.value.clone()).collect(),
        }
    }
}

/// Reads one `[[group]]`.
pub fn group(section: Section<'_>) -> Option<GroupEntry> {
    let name = section.require_string("name", "\"privacy\"");
    let people = section.strings("people");
    match &people {
        None if !section.has("people") => section.missing("people", "[\"ann\", \"bob\"]"),
        Some(people) if people.is_empty() => section.problems.error(
            &section.key_span("people"),
            format!("nobody is in {}", section.name()),
            "name at least one [[person]]",
        ),
        _ => {}
    }
    let people = people
        .unwrap_or_default()
        .into_iter()
        .filter_map(|person| reviewer_id(&section, "people", person))
        .collect();
    section.finish();
    Some(GroupEntry {
        name: name?,
        people,
    })
}

/// The people of a group; none when there is no such group.
pub fn members(groups: &[GroupEntry], name: &str) -> Vec<PersonId> {
    let group = groups.iter().find(|group| group.name.value == name);
    let people = group.map(|group| group.people.as_slice());
    let people = people.unwrap_or_default().iter();
    people.map(|person| person.value.clone()).collect()
}

/// What a route says under `quorum`.
#[derive(Debug, Default)]
pub enum Wanted {
    /// One person, since nothing is said.
    #[default]
    One,
    People(NonZeroU32),
    Parts(Vec<(NonZeroU32, At<String>)>),
}

/// Reads `quorum = 2` or `quorum = ["1 of dba", "1 of privacy"]`; `None` when it is neither.
pub fn quorum(section: &Section<'_>) -> Option<Wanted> {
    let Some(value) = section.value("quorum") else {
        return Some(Wanted::One);
    };
    if value.get_ref().as_integer().is_some() {
        let seats = section.integer("quorum", 1..=u64::from(SEATS_MAX))?;
        let seats = u32::try_from(seats).ok().and_then(NonZeroU32::new)?;
        return Some(Wanted::People(seats));
    }
    if value.get_ref().as_array().is_none() {
        let wanted = "a number of people, or a list such as [\"1 of dba\", \"1 of privacy\"]";
        section.wrong_type("quorum", value, wanted);
        return None;
    }
    let texts = section.strings("quorum")?;
    let parts: Vec<_> = texts
        .iter()
        .filter_map(|text| part(section, text))
        .collect();
    (parts.len() == texts.len()).then_some(Wanted::Parts(parts))
}

fn part(section: &Section<'_>, text: &At<String>) -> Option<(NonZeroU32, At<String>)> {
    let read = text.value.split_once(" of ").and_then(|(seats, group)| {
        let seats: u32 = seats.trim().parse().ok()?;
        let seats = NonZeroU32::new(seats).filter(|seats| seats.get() <= SEATS_MAX)?;
        let group = group.trim().to_owned();
        let span = text.span.clone();
        Some((seats, At { span, value: group }))
    });
    if read.is_none() {
        section.problems.error(
            &text.span,
            format!(
                "`quorum` in {}: `{}` is not understood",
                section.name(),
                text.value
            ),
            format!("write so many of a [[group]], such as \"1 of dba\"; at most {SEATS_MAX}"),
        );
    }
    read
}

impl Wanted {
    /// The groups it speaks of.
    pub fn groups(&self) -> impl Iterator<Item = &At<String>> {
        let parts = match self {
            Self::One | Self::People(_) => &[][..],
            Self::Parts(parts) => parts,
        };
        parts.iter().map(|(_, group)| group)
    }

    /// The seats, with the people who may take them.
    ///
    /// # Errors
    /// When there are none, or too many.
    pub fn quorum(
        &self,
        reviewers: &[PersonId],
        groups: &[GroupEntry],
    ) -> Result<Quorum, QuorumError> {
        match self {
            Self::One => Ok(Quorum::of(NonZeroU32::MIN, reviewers.to_vec())),
            Self::People(seats) => Ok(Quorum::of(*seats, reviewers.to_vec())),
            Self::Parts(parts) => Quorum::new(
                parts
                    .iter()
                    .map(|(seats, group)| Part {
                        group: Some(group.value.clone()),
                        seats: *seats,
                        people: members(groups, &group.value),
                    })
                    .collect(),
            ),
        }
    }
}
