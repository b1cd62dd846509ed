//! Joins the verdicts of a batch's statements: one hold asks one route.

use crate::{Decision, Review, Verdict};

/// Who is asked about a batch that no rule denies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// Everything in it is allowed.
    Nobody,
    One(Joint),
    /// Its statements ask different routes, which no hold can; by name, each once.
    Several(Vec<String>),
}

/// What the statements that are held come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Joint {
    /// That of the first of them.
    pub rule: String,
    pub route: String,
    /// Of all of them, each once.
    pub reasons: Vec<String>,
    /// [`Review::Commit`] only when all of them say so.
    pub review: Review,
}

/// Joins the verdicts of statements that are not denied, in their order. Those that are allowed change nothing.
pub fn asked<'a>(verdicts: impl IntoIterator<Item = &'a Verdict>) -> Asked {
    let mut routes: Vec<&str> = Vec::new();
    let mut joint: Option<Joint> = None;
    for verdict in verdicts {
        let Decision::Hold { route } = &verdict.decision else {
            continue;
        };
        routes.push(route);
        let joint = joint.get_or_insert_with(|| Joint {
            rule: verdict.rule.clone(),
            route: route.clone(),
            reasons: Vec::new(),
            review: verdict.review,
        });
        if verdict.review == Review::Statement {
            joint.review = Review::Statement;
        }
        for reason in &verdict.reasons {
            if !joint.reasons.contains(reason) {
                joint.reasons.push(reason.clone());
            }
        }
    }
    routes.sort_unstable();
    routes.dedup();
    match joint {
        None => Asked::Nobody,
        Some(joint) if routes.len() == 1 => Asked::One(joint),
        Some(_) => Asked::Several(routes.into_iter().map(str::to_owned).collect()),
    }
}
