//! "Did you mean": the nearest of the words that would have been right.

/// The candidate nearest to `given`, when one is near enough to be a slip of the hand.
pub(crate) fn nearest<'a>(
    given: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let wanted = given.trim().to_lowercase();
    let (distance, near) = candidates
        .into_iter()
        .map(|known| (distance(&wanted, &known.to_lowercase()), known))
        .min()?;
    (distance <= 1 + wanted.len() / 4).then_some(near)
}

/// `a, b and c`, each in backticks.
pub(crate) fn listed<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    let words: Vec<String> = words.into_iter().map(|word| format!("`{word}`")).collect();
    match words.split_last() {
        None => String::new(),
        Some((only, [])) => only.clone(),
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
    }
}

/// Edits between two words (Levenshtein).
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (line, letter) in one.chars().enumerate() {
        let mut diagonal = line;
        let mut left = line + 1;
        for (column, across) in other.iter().enumerate() {
            let above = row.get(column + 1).copied().unwrap_or(usize::MAX - 1);
            let change = diagonal + usize::from(letter != *across);
            if let Some(cell) = row.get_mut(column) {
                *cell = left;
            }
            left = change.min(above + 1).min(left + 1);
            diagonal = above;
        }
        if let Some(cell) = row.last_mut() {
            *cell = left;
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_recognised_and_other_words_are_not() {
        let known = ["DELETE", "ALTER TABLE", "SELECT"];
        assert_eq!(nearest("delet", known), Some("DELETE"));
        assert_eq!(nearest("alter tabel", known), Some("ALTER TABLE"));
        assert_eq!(nearest("frobnicate", known), None);
        assert_eq!(listed(["a", "b", "c"]), "`a`, `b` and `c`");
    }
}
