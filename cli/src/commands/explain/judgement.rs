//! A judgement as `--format json` prints it. The names of its fields are fixed: others read them.

use abeyance_gateway::{PROXY, Rehearsed};
use abeyance_policy::{Decision, Match, Review, Verdict};
use abeyance_sql::StatementFacts;
use serde_json::{Map, Value, json};

use super::blast;
use crate::commands::catalog::Sighted;

/// What judging one line came to.
#[derive(Debug)]
pub struct Judgement {
    pub id: Value,
    pub decision: Decision,
    pub mask: bool,
    pub rule: String,
    pub reasons: Vec<String>,
    pub statements: Vec<Judged>,
    /// What could not be known, if anything.
    pub unknown: Option<String>,
    pub blast: Value,
}

/// One statement of it.
#[derive(Debug)]
pub struct Judged {
    pub facts: StatementFacts,
    /// `None` where the server refuses the statement whatever it is.
    pub verdict: Option<Verdict>,
    /// Every rule and protection that counts, in the order of the file.
    pub matching: Vec<Matched>,
}

/// A rule or a protection that counts for a statement.
#[derive(Debug)]
pub struct Matched {
    pub rule: String,
    pub decision: Decision,
    /// Not all of its conditions are known to hold: it counts because it may.
    pub doubt: bool,
    /// What would have had to be known.
    pub unknown: Vec<&'static str>,
    /// It decides nothing.
    pub shadow: bool,
    pub protection: bool,
}

impl Matched {
    fn json(&self) -> Value {
        json!({
            "rule": self.rule,
            "verdict": word(&self.decision),
            "doubt": self.doubt,
            "unknown": self.unknown,
            "protection": self.protection,
        })
    }
}

impl From<Match<'_>> for Matched {
    fn from(matched: Match<'_>) -> Self {
        Self {
            rule: matched.name.to_owned(),
            decision: matched.decision.clone(),
            doubt: matched.doubt,
            unknown: matched.unknown,
            shadow: matched.shadow,
            protection: matched.protection,
        }
    }
}

impl Judgement {
    pub fn new(
        id: Value,
        judged: Rehearsed,
        matching: Vec<Vec<Matched>>,
        sighted: &Sighted,
    ) -> Self {
        let statements = judged.statements.into_iter().zip(matching);
        let statements: Vec<Judged> = statements
            .map(|((facts, verdict), matching)| Judged {
                facts,
                verdict,
                matching,
            })
            .collect();
        let catalog = sighted.sight.as_ref().map(|sight| &*sight.catalog);
        let facts: Vec<&StatementFacts> = statements.iter().map(|judged| &judged.facts).collect();
        let blast = blast::of(&facts, catalog);
        let mut reasons = judged.reasons;
        reasons.extend(sighted.note.clone());
        Self {
            id,
            decision: judged.decision,
            mask: judged.mask,
            rule: judged.rule,
            reasons,
            unknown: sighted.note.clone(),
            blast: serde_json::to_value(&blast).unwrap_or_else(|_| json!({})),
            statements,
        }
    }

    /// Nothing of it could be judged, so nothing of it may run.
    pub fn not_judged(id: Value, reason: String) -> Self {
        Self {
            id,
            decision: Decision::Deny,
            mask: false,
            rule: PROXY.to_owned(),
            blast: blast::unknown(&reason),
            unknown: Some(reason.clone()),
            reasons: vec![reason],
            statements: Vec::new(),
        }
    }

    pub fn json(&self) -> Value {
        json!({
            "id": self.id,
            "verdict": word(&self.decision),
            "mask": self.mask,
            "rule": self.rule,
            "reasons": self.reasons,
            "facts": self.facts(),
            "blast": self.blast,
        })
    }

    /// Those of the most guarded statement; of several, all are in `statements`.
    fn facts(&self) -> Value {
        let guard = |judged: &&Judged| judged.verdict.as_ref().map(|v| v.decision.guard());
        let mut facts = self
            .statements
            .iter()
            .rev()
            .max_by_key(guard)
            .map_or_else(Map::new, |judged| object(&judged.facts));
        if self.statements.len() != 1 {
            let all = self.statements.iter().map(|judged| object(&judged.facts));
            facts.insert("statements".to_owned(), all.map(Value::Object).collect());
        }
        let verdicts: Vec<Value> = self.statements.iter().map(Judged::verdict).collect();
        facts.insert("verdicts".to_owned(), Value::Array(verdicts));
        if let Some(unknown) = &self.unknown {
            facts.insert("not_known".to_owned(), json!([unknown]));
        }
        Value::Object(facts)
    }
}

impl Judged {
    /// What the rules make of this statement alone.
    fn verdict(&self) -> Value {
        let told = |shadow: bool| -> Value {
            let rules = self.matching.iter().filter(|rule| rule.shadow == shadow);
            rules.map(Matched::json).collect()
        };
        let Some(verdict) = &self.verdict else {
            return Value::Null;
        };
        json!({
            "verdict": word(&verdict.decision),
            "route": match &verdict.decision {
                Decision::Hold { route } => Some(route),
                Decision::Allow | Decision::Deny => None,
            },
            "mask": verdict.mask,
            "rule": verdict.rule,
            "review": review(verdict),
            "rows_max": verdict.rows_max,
            "matches": told(false),
            "shadow": told(true),
        })
    }
}

/// What a hold of it is about: itself, or the COMMIT of the transaction it ran in.
fn review(verdict: &Verdict) -> Option<&'static str> {
    matches!(verdict.decision, Decision::Hold { .. }).then_some(match verdict.review {
        Review::Statement => "statement",
        Review::Commit => "commit",
    })
}

fn object(facts: &StatementFacts) -> Map<String, Value> {
    match serde_json::to_value(facts) {
        Ok(Value::Object(object)) => object,
        _ => Map::new(),
    }
}

/// A decision as the configuration writes it.
pub fn word(decision: &Decision) -> &'static str {
    match decision {
        Decision::Allow => "allow",
        Decision::Hold { .. } => "hold",
        Decision::Deny => "deny",
    }
}
