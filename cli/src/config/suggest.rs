//! "Did you mean": the nearest of the words that would have been right.

pub use abeyance_api::nearest;

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
    fn what_was_meant_is_said_or_all_there_is() {
        let keys = ["listen", "address", "database"];
        assert_eq!(hint("adress", keys), "did you mean `address`?");
        assert_eq!(
            hint("colour", keys),
            "expected `listen`, `address` or `database`"
        );
        assert_eq!(one_of(&["a", "b", "c"]), "`a`, `b` or `c`");
    }
}
