//! A batch as the proxy judges it: refused when any of its statements is, or when they ask different routes.

use abeyance_policy::{Asked, Context, Decision, RuleSet, Verdict, asked, evaluate};
use abeyance_sql::StatementFacts;

/// The verdict of the statement that decides for the batch, with the reasons and the mask of all.
pub fn judged(rules: &RuleSet, batch: &[StatementFacts], context: Context<'_>) -> Verdict {
    let each = batch.iter().map(|facts| evaluate(rules, facts, context));
    let verdicts: Vec<Verdict> = each.collect();
    let guarded = verdicts.iter().rev();
    let guarded = guarded.max_by_key(|verdict| verdict.decision.guard());
    let Some(mut whole) = guarded.cloned() else {
        return Verdict::allowed("default");
    };
    whole.mask = verdicts.iter().any(|verdict| verdict.mask);
    if whole.decision == Decision::Deny {
        return whole;
    }
    match asked(&verdicts) {
        Asked::Nobody => {}
        Asked::One(joint) => {
            whole.decision = Decision::Hold { route: joint.route };
            whole.rule = joint.rule;
            whole.reasons = joint.reasons;
            whole.review = joint.review;
        }
        Asked::Several(routes) => {
            whole.decision = Decision::Deny;
            whole.reasons = routes;
        }
    }
    whole
}
