//! What a held batch would do besides changing its own rows, as the hold's page lists it.

use abeyance_api::{
    Blast,
    blast::words::{Effect, effects as effects_of},
};
use serde::Serialize;

#[derive(Debug, Serialize)]
pub(super) struct EffectRow {
    text: String,
    /// A line each.
    each: Vec<String>,
}

/// Things of one kind that are listed; the rest are counted.
const LISTED_MAX: usize = 20;

pub(super) fn effects(blast: &Blast) -> Vec<EffectRow> {
    let row = |mut effect: Effect| {
        if let [only] = &effect.each[..] {
            effect = format!("{} {only}", effect.text).into();
        }
        let more = effect.each.len().saturating_sub(LISTED_MAX);
        effect.each.truncate(LISTED_MAX);
        if more > 0 {
            effect.each.push(format!("and {more} more"));
        }
        EffectRow {
            text: effect.text,
            each: effect.each,
        }
    };
    effects_of(blast).into_iter().map(row).collect()
}
