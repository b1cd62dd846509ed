//! Spans of time as people write them: conditions count in seconds.

/// What to write instead of `5m`; nothing for what is no span of time.
pub(super) fn hint(word: &str) -> Option<String> {
    let seconds = seconds(word)?;
    Some(format!(
        "time is counted in seconds: write {seconds} for {word}"
    ))
}

fn seconds(word: &str) -> Option<u64> {
    let (number, unit) = word.split_at(word.find(|c: char| !c.is_ascii_digit())?);
    let unit = match unit {
        "s" | "sec" => 1,
        "m" | "min" => 60,
        "h" => 60 * 60,
        "d" => 24 * 60 * 60,
        "w" => 7 * 24 * 60 * 60,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_of_time_are_told_from_other_words() {
        for (word, wanted) in [
            ("5m", Some(300)),
            ("90s", Some(90)),
            ("2h", Some(7200)),
            ("1w", Some(604_800)),
            ("m", None),
            ("5u", None),
            ("5", None),
            ("9223372036854775807w", None),
        ] {
            assert_eq!(seconds(word), wanted, "{word}");
        }
    }
}
