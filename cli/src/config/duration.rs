//! Time spans as people write them: `500ms`, `30s`, `5m`, `1h30m`, `1d`.

use std::time::Duration;

/// Units, longest first, in milliseconds. Their order is the order they must be written in.
const UNITS: [(&str, u64); 5] = [
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

/// Reads a time span. No unit, no meaning: a bare number is refused.
pub fn parse(text: &str) -> Option<Duration> {
    let mut rest = text.trim();
    let mut total: u64 = 0;
    let mut next_unit = 0;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|char: char| !char.is_ascii_digit())?;
        let number: u64 = rest.get(..digits)?.parse().ok()?;
        rest = rest.get(digits..)?;
        let letters = rest
            .find(|char: char| !char.is_ascii_alphabetic())
            .unwrap_or(rest.len());
        let unit = rest.get(..letters)?;
        rest = rest.get(letters..)?;
        let position = UNITS.iter().position(|(name, _)| *name == unit)?;
        if position < next_unit {
            return None;
        }
        next_unit = position + 1;
        let (_, millis) = UNITS.get(position)?;
        total = total.checked_add(number.checked_mul(*millis)?)?;
    }
    Some(Duration::from_millis(total))
}

/// The shortest way to write a time span that [`parse`] reads back.
pub fn show(duration: Duration) -> String {
    let mut millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let mut text = String::new();
    for (name, size) in UNITS {
        let count = millis / size;
        millis %= size;
        if count > 0 {
            text.push_str(&format!("{count}{name}"));
        }
    }
    if text.is_empty() {
        "0s".to_owned()
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_people_write_and_refuses_the_rest() {
        for (text, millis) in [
            ("5m", 300_000),
            ("90s", 90_000),
            ("1h30m", 5_400_000),
            ("500ms", 500),
            ("1d", 86_400_000),
            ("1m500ms", 60_500),
        ] {
            assert_eq!(parse(text), Some(Duration::from_millis(millis)), "{text}");
        }
        for text in [
            "",
            "5",
            "m",
            "5 minutes",
            "5min",
            "-5m",
            "1.5h",
            "30m1h",
            "5m5m",
            "99999999999999999d",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
        for text in ["5m", "1h30m", "500ms", "1d2h"] {
            assert_eq!(show(parse(text).unwrap()), text);
        }
    }
}
