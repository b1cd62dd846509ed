//! Names in conditions that nothing in the file has. A warning: an agent may be gone, and the rule that names it is
//! kept until the next one has its name.

use abeyance_policy::{Entry, Mention, Named};

use super::{check::Parts, problem::Problems, suggest, verdicts};

/// Warns of each name that is not in the file.
pub fn check(mentions: &[Mention], parts: &Parts, problems: &Problems, source: &str) {
    for mention in mentions {
        let (what, known) = known(mention.of, parts);
        // Without any, they are in another file, or were not read.
        if known.is_empty() || known.contains(&mention.name.as_str()) {
            continue;
        }
        let Entry::Rule(index) = mention.entry else {
            continue;
        };
        let Some((rule, when)) = parts
            .rules
            .get(index)
            .and_then(|rule| Some((rule, rule.when.as_ref()?)))
        else {
            continue;
        };
        let place = mention.within.as_ref();
        let place = place.and_then(|part| verdicts::within(when, part, source));
        let (span, column) = place.unwrap_or((when.span.clone(), 1));
        problems.warning(
            &span,
            format!(
                "[[rule]] `{}` at column {column} of `when`: there is no {what} `{}`",
                rule.rule.name, mention.name
            ),
            suggest::hint(&mention.name, known),
        );
    }
}

/// The names there are, none where some of them may have been lost.
fn known(of: Named, parts: &Parts) -> (&'static str, Vec<&str>) {
    let targets = || parts.targets.iter().filter(|_| !parts.targets_lost);
    let (what, mut names): (_, Vec<&str>) = match of {
        Named::Agent => {
            let agents = parts.agents.iter().filter(|_| !parts.agents_lost);
            (
                "[[agent]]",
                agents.map(|entry| &*entry.name.value).collect(),
            )
        }
        Named::Owner => {
            let people = parts.people.iter().filter(|_| !parts.people_lost);
            (
                "[[person]]",
                people.map(|entry| entry.id.value.as_str()).collect(),
            )
        }
        Named::Target => (
            "[[target]]",
            targets().map(|entry| &*entry.name.value).collect(),
        ),
        Named::Environment => {
            let environments = targets().filter_map(|entry| entry.environment.as_deref());
            ("environment", environments.collect())
        }
        Named::Database => {
            let databases = targets().filter_map(|entry| Some(&*entry.target.as_ref()?.database));
            ("database of a [[target]]", databases.collect())
        }
    };
    names.sort_unstable();
    names.dedup();
    (what, names)
}
