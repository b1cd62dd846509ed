//! `policy shadow`: what rules in shadow mode would have decided of the statements the approver's log has.

use std::{cmp::Reverse, collections::BTreeMap};

use abeyance_api::StatementRecord;
use serde_json::{Value, json};

use super::backtest::{example, logged};
use crate::{
    args::{ExplainFormat, ShadowArgs},
    exit::Failure,
    output,
};

/// Shapes that are shown of a rule, the most frequent ones.
const SHAPES_SHOWN: usize = 5;

/// What a rule would have decided, and what was decided.
type Key = (String, String, String);

/// A shape of statements: agent, target and fingerprint.
type ShapeKey = (String, String, String);

#[derive(Default)]
struct Hits {
    count: u64,
    /// How often each came, with a text of it.
    shapes: BTreeMap<ShapeKey, (u64, String)>,
}

/// Counts what rules in shadow mode would have decided, and of which shapes.
///
/// # Errors
/// When the store cannot be read.
pub fn shadow(args: &ShadowArgs) -> Result<(), Failure> {
    let hits = hits(logged(&args.config.config, &args.log)?);
    if hits.is_empty() {
        output::remark("no rule in shadow mode has matched anything in the log");
    }
    for (key, hits) in &hits {
        match args.format {
            ExplainFormat::Text => text(key, hits).iter().for_each(|line| output::line(line)),
            ExplainFormat::Json => output::line(&json(key, hits).to_string()),
        }
    }
    Ok(())
}

fn hits(records: Vec<StatementRecord>) -> BTreeMap<Key, Hits> {
    let mut hits: BTreeMap<Key, Hits> = BTreeMap::new();
    for record in records {
        let shape = (record.agent, record.target, record.fingerprint);
        for hit in record.shadow {
            let key = (hit.rule, hit.decision, record.decision.clone());
            let of_rule = hits.entry(key).or_default();
            of_rule.count += record.count;
            let of_shape = of_rule.shapes.entry(shape.clone());
            let of_shape = of_shape.or_insert_with(|| (0, record.text.clone()));
            of_shape.0 += record.count;
        }
    }
    hits
}

impl Hits {
    /// The most frequent shapes first.
    fn frequent(&self) -> impl Iterator<Item = (&ShapeKey, u64, &str)> {
        let shapes = self.shapes.iter();
        let mut shapes: Vec<_> = shapes
            .map(|(shape, (count, text))| (shape, *count, text.as_str()))
            .collect();
        shapes.sort_by_key(|(_, count, _)| Reverse(*count));
        shapes.into_iter().take(SHAPES_SHOWN)
    }
}

fn text((rule, decision, enforced): &Key, hits: &Hits) -> Vec<String> {
    let mut lines = vec![format!(
        "{:>8}x {rule} would {decision}; decided: {enforced}",
        hits.count
    )];
    lines.extend(hits.frequent().map(|((agent, target, _), count, text)| {
        format!("    {count:>8}x {agent} at {target}  {}", example(text))
    }));
    match hits.shapes.len().saturating_sub(SHAPES_SHOWN) {
        0 => {}
        1 => lines.push("             and 1 more shape".to_owned()),
        more => lines.push(format!("             and {more} more shapes")),
    }
    lines
}

fn json((rule, decision, enforced): &Key, hits: &Hits) -> Value {
    let shapes = hits
        .frequent()
        .map(|((agent, target, fingerprint), count, text)| {
            json!({ "count": count, "agent": agent, "target": target, "fingerprint": fingerprint, "text": text })
        });
    json!({
        "rule": rule,
        "verdict": decision,
        "decided": enforced,
        "count": hits.count,
        "shapes_count": hits.shapes.len(),
        "shapes": shapes.collect::<Vec<_>>(),
    })
}
