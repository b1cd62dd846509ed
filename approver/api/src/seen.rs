//! What of a text can be seen: a reason that shows nothing is none.

/// Zero-width, direction-changing and tag characters show nothing, or let text look like something else.
#[must_use]
pub fn is_hidden(c: char) -> bool {
    matches!(
        c,
        '\u{00ad}'
            | '\u{061c}'
            | '\u{115f}'
            | '\u{1160}'
            | '\u{180e}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{3164}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}'
    )
}

/// Whether there is anything to be seen.
#[must_use]
pub fn says_something(text: &str) -> bool {
    text.chars()
        .any(|c| !(c.is_whitespace() || c.is_control() || is_hidden(c) || c == '\u{fffd}'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_shows_nothing_says_nothing() {
        for said in ["no", "…", "👍", "\u{200b}ü"] {
            assert!(says_something(said), "{said:?}");
        }
        for nothing in [
            "",
            " \n\t",
            "\u{200b}\u{2060}",
            "\u{202e} \u{ad}",
            "\0",
            "\u{e0041}\u{3164}",
        ] {
            assert!(!says_something(nothing), "{nothing:?}");
        }
    }
}
