//! Reads what a `[[route]]` says of its holds beside whom it asks.

use std::{num::NonZeroU32, ops::RangeInclusive, time::Duration};

use abeyance_approver::{BreakGlassRule, Grants, RouteTerms};

use super::{
    decision::vendor_id,
    group::{GroupEntry, members},
    section::{At, Section},
};

/// Locks should not be kept longer, and nobody reads a card in less than a second.
const IN_TRANSACTION: RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_secs(3_600);
/// How long an approval may lie about.
const TICKET_LIFE: RangeInclusive<Duration> = Duration::from_secs(10)..=Duration::from_secs(86_400);
const GRANT_MAX: RangeInclusive<Duration> = Duration::from_secs(60)..=Duration::from_secs(3_600);
/// More never deny.
const DENIALS_MAX: u64 = 16;

/// The terms with the places their references are written at.
#[derive(Debug)]
pub struct TermsEntry {
    terms: RouteTerms,
    pub break_glass: Option<At<String>>,
    pub break_glass_channel: Option<At<String>>,
}

/// Reads them.
pub fn terms(section: &Section<'_>) -> TermsEntry {
    let mut terms = RouteTerms::default();
    if let Some(wait) = section.duration("timeout_in_transaction", IN_TRANSACTION) {
        terms.timeout_in_transaction = wait.value;
    }
    let words = [("hold", false), ("refuse", true)];
    if let Some(refuse) = section.choice("in_transaction", &words) {
        terms.refuse_in_transaction = refuse.value;
    }
    let denials = section.integer("deny_quorum", 1..=DENIALS_MAX);
    let denials = denials.and_then(|denials| u32::try_from(denials).ok());
    if let Some(denials) = denials.and_then(NonZeroU32::new) {
        terms.denials = denials;
    }
    if let Some(life) = section.duration("ticket_life", TICKET_LIFE) {
        terms.ticket_life = life.value;
    }
    let words = [
        ("never", Grants::Never),
        ("rows", Grants::Rows),
        ("any", Grants::Any),
    ];
    if let Some(grants) = section.choice("grants", &words) {
        terms.grants = grants.value;
    }
    if let Some(longest) = section.duration("grant_max", GRANT_MAX) {
        let minutes = longest.value.as_secs() / 60;
        terms.grant_minutes_max = u32::try_from(minutes).unwrap_or(1);
    }
    let break_glass = section.string("break_glass");
    let break_glass_channel = section.string("break_glass_channel").and_then(|channel| {
        let wanted = "a Slack channel id such as \"C024BE7LH\"";
        let first = &['C', 'G', 'D'];
        vendor_id(section, "break_glass_channel", channel, first, wanted)
    });
    if let (None, Some(channel)) = (&break_glass, &break_glass_channel) {
        section.problems.error(
            &channel.span,
            format!("`break_glass_channel` in {} has no effect", section.name()),
            "name the [[group]] that may approve alone: break_glass = \"leads\"",
        );
    }
    TermsEntry {
        terms,
        break_glass,
        break_glass_channel,
    }
}

impl TermsEntry {
    /// The terms, with the people of the groups they name.
    pub fn into_terms(self, groups: &[GroupEntry]) -> RouteTerms {
        let channel = self.break_glass_channel.map(|at| at.value);
        RouteTerms {
            break_glass: self.break_glass.map(|group| BreakGlassRule {
                people: members(groups, &group.value),
                group: group.value,
                slack_channel: channel,
            }),
            ..self.terms
        }
    }
}
