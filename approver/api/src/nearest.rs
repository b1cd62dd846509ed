//! "Did you mean": the nearest of the words that would have been right.

/// The candidate nearest to `given`, when one is near enough to be a slip of the hand.
#[must_use]
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
    }
}
