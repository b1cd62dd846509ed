//! "Did you mean": the nearest of the words that would have been right.

/// The candidate nearest to `given`, when one is near enough to be a slip of the hand.
pub fn nearest<'a>(given: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let given = given.to_lowercase();
    candidates
        .into_iter()
        .map(|candidate| {
            (
                strsim::jaro_winkler(&given, &candidate.to_lowercase()),
                candidate,
            )
        })
        .filter(|(likeness, _)| *likeness >= 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

/// A hint for a word that is not among `candidates`: the nearest one, else all of them.
pub fn hint<'a>(given: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    let candidates: Vec<&str> = candidates.into_iter().collect();
    match nearest(given, candidates.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None if candidates.is_empty() => String::new(),
        None => format!("expected {}", one_of(&candidates)),
    }
}

/// `a, b or c`, each in backticks.
pub fn one_of(candidates: &[&str]) -> String {
    let quoted: Vec<String> = candidates.iter().map(|word| format!("`{word}`")).collect();
    match quoted.split_last() {
        None => String::new(),
        Some((only, [])) => only.clone(),
        Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_recognised_and_other_words_are_not() {
        let keys = ["listen", "address", "database", "user", "password"];
        for (given, wanted) in [
            ("adress", Some("address")),
            ("Listen", Some("listen")),
            ("pasword", Some("password")),
            ("colour", None),
        ] {
            assert_eq!(nearest(given, keys), wanted, "{given}");
        }
        assert_eq!(one_of(&["a", "b", "c"]), "`a`, `b` or `c`");
    }
}
