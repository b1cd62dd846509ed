//! Other people's words in Slack's markup.
//!
//! Escaping comes before cutting, and cutting never splits a character or an entity. Lengths are UTF-16 code
//! units, which is never less than what Slack counts. Nothing that came from an agent can notify
//! anybody, make a link, or pass for a part of the card's own layout (invariant 7's neighbour:
//! a card that can be forged from inside is worth nothing).

use abeyance_api::is_hidden;
use abeyance_chat::words::grouped;

/// What replaces characters that would hide or reorder others.
const REPLACEMENT: char = '\u{fffd}';
/// Looks like a backtick and ends no code span.
const NOT_A_BACKTICK: char = '\u{02cb}';
const ZERO_WIDTH_SPACE: char = '\u{200b}';
const ELLIPSIS: char = '…';

/// Length as it counts against Slack's limits.
pub(crate) fn length(text: &str) -> usize {
    text.encode_utf16().count()
}

/// One line for a `mrkdwn` object: escaped, and without formatting, mentions, links or emoji.
pub(crate) fn prose(text: &str, max: usize) -> String {
    let line = one_line(text);
    let mut previous = ' ';
    cut(&line, max, |c, out| {
        let first = out.is_empty();
        match c {
            '*' | '_' | '~' | '`' => out.extend([ZERO_WIDTH_SPACE, c, ZERO_WIDTH_SPACE]),
            // `:name:` is an emoji; `12:30` and `rows: 5` are not worth changing.
            c if previous == ':' && (c.is_alphabetic() || c == '+' || c == '-') => {
                out.push(ZERO_WIDTH_SPACE);
                out.push(c);
            }
            '>' if first => {
                out.push(ZERO_WIDTH_SPACE);
                out.push_str("&gt;");
            }
            c => escape(c, out),
        }
        previous = c;
    })
}

/// One line for a `plain_text` object. Slack formats nothing there; it is escaped all the same.
pub(crate) fn plain(text: &str, max: usize) -> String {
    cut(&one_line(text), max, escape)
}

/// A name in a code span, where Slack formats nothing.
pub(crate) fn code(text: &str, max: usize) -> String {
    let line = one_line(text);
    let shown = if line.is_empty() { "(empty)" } else { &line };
    format!("`{}`", cut(shown, max.saturating_sub(2), escape_code))
}

/// Lines in a code block, followed by how much is missing.
pub(crate) fn code_block(text: &str, max: usize) -> String {
    const FENCES: usize = "```\n\n```".len();
    const NOTE_MAX: usize = 80;
    let lines: String = text.chars().map(visible_line).collect();
    let whole = cut_at(&lines, max.saturating_sub(FENCES), escape_code);
    if whole.rest == 0 {
        return format!("```\n{}\n```", whole.text);
    }
    let part = cut_at(&lines, max.saturating_sub(FENCES + NOTE_MAX), escape_code);
    let rest = grouped(part.rest as u64);
    format!(
        "```\n{}\n```\n{ELLIPSIS} {rest} more characters, full in the console",
        part.text
    )
}

/// Whether this is a Slack user id, which alone may become a mention.
pub(crate) fn is_user_id(text: &str) -> bool {
    matches!(text.as_bytes(), [b'U' | b'W', rest @ ..]
        if (2..=30).contains(&rest.len()) && rest.iter().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit()))
}

fn escape(c: char, out: &mut String) {
    match c {
        '&' => out.push_str("&amp;"),
        '<' => out.push_str("&lt;"),
        '>' => out.push_str("&gt;"),
        c => out.push(c),
    }
}

fn escape_code(c: char, out: &mut String) {
    match c {
        '`' => out.push(NOT_A_BACKTICK),
        c => escape(c, out),
    }
}

/// White space runs become one space, invisible characters become visible.
fn one_line(text: &str) -> String {
    let words: Vec<String> = text
        .split(|c: char| c.is_whitespace() || c.is_control())
        .filter(|word| !word.is_empty())
        .map(|word| word.chars().map(visible).collect())
        .collect();
    words.join(" ")
}

fn visible_line(c: char) -> char {
    match c {
        '\n' | '\t' => c,
        c if c.is_control() => REPLACEMENT,
        c => visible(c),
    }
}

/// Zero-width, direction-changing and tag characters let text look like something else.
fn visible(c: char) -> char {
    if is_hidden(c) { REPLACEMENT } else { c }
}

fn cut(text: &str, max: usize, escape: impl FnMut(char, &mut String)) -> String {
    let mut cut = cut_at(text, max, escape);
    if cut.rest > 0 {
        while length(&cut.text) + 1 > max && cut.text.pop().is_some() {}
        // Popping may have opened an entity: take its stump away, too.
        if let Some(stump) = cut
            .text
            .rfind('&')
            .filter(|at| !cut.text[*at..].contains(';'))
        {
            cut.text.truncate(stump);
        }
        cut.text.push(ELLIPSIS);
    }
    cut.text
}

struct Cut {
    text: String,
    /// Characters of the original that are missing.
    rest: usize,
}

/// Escapes character by character until the next would not fit.
fn cut_at(text: &str, max: usize, mut escape: impl FnMut(char, &mut String)) -> Cut {
    let mut out = String::new();
    let mut used = 0;
    let mut taken = 0;
    for c in text.chars() {
        let before = out.len();
        escape(c, &mut out);
        let added = length(&out[before..]);
        if used + added > max {
            out.truncate(before);
            break;
        }
        used += added;
        taken += 1;
    }
    Cut {
        text: out,
        rest: text.chars().count() - taken,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_prose_can_notify_link_or_format() {
        let cases = [
            (
                "<!channel> <@U0BOB0001> <#C1|x> <https://evil.example|ok>",
                "&lt;!channel&gt; &lt;@U0BOB0001&gt; &lt;#C1|x&gt; &lt;https:/",
            ),
            (
                "*bold* _it_ ~no~ `code`",
                "\u{200b}*\u{200b}bold\u{200b}*\u{200b} ",
            ),
            ("> quoted", "\u{200b}&gt; quoted"),
            (":tada:", ":\u{200b}tada:"),
            ("rows: 5 at 12:30", "rows: 5 at 12:30"),
            (
                "a\n*Approved by Bob*\r\n\u{0}b",
                "a \u{200b}*\u{200b}Approved by Bob\u{200b}*\u{200b} b",
            ),
            ("safe\u{202e}txet", "safe\u{fffd}txet"),
        ];
        for (text, want) in cases {
            assert!(prose(text, 500).starts_with(want), "{:?}", prose(text, 500));
        }
    }

    #[test]
    fn code_spans_cannot_be_closed_from_inside() {
        assert_eq!(code("a`b``` <!here>", 100), "`aˋbˋˋˋ &lt;!here&gt;`");
        assert_eq!(code(" \n ", 100), "`(empty)`");
        let block = code_block("SELECT '```' -- \u{202e}\n\tFROM \"a<b\" & c\u{1}", 200);
        assert_eq!(
            block,
            "```\nSELECT 'ˋˋˋ' -- \u{fffd}\n\tFROM \"a&lt;b\" &amp; c\u{fffd}\n```"
        );
    }

    #[test]
    fn cutting_splits_neither_characters_nor_entities() {
        for text in [
            "<<<<<<<<<<<<",
            "a😀😀😀😀😀😀😀😀",
            "&&&a&&&b&&&c",
            "日本語日本語日本語",
            "`*_~`*_~`*_~",
        ] {
            for max in 8..40 {
                for made in [prose(text, max), plain(text, max), code(text, max)] {
                    assert!(length(&made) <= max, "{made:?} is longer than {max}");
                    for at in made.match_indices('&').map(|(at, _)| at) {
                        let rest = &made[at..];
                        assert!(
                            ["&amp;", "&lt;", "&gt;"]
                                .iter()
                                .any(|e| rest.starts_with(e)),
                            "{made:?}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn a_long_statement_says_how_much_is_missing() {
        let sql = "<".repeat(5000);
        let block = code_block(&sql, 3000);
        assert!(length(&block) <= 3000);
        let shown = block.matches("&lt;").count();
        let missing = grouped((5000 - shown) as u64);
        assert!(
            block.ends_with(&format!(
                "\n```\n… {missing} more characters, full in the console"
            )),
            "{block}"
        );
    }

    #[test]
    fn only_slack_ids_become_mentions() {
        assert!(is_user_id("U0BOB0001") && is_user_id("W012A3CDE"));
        for text in [
            "",
            "U",
            "u0bob",
            "U0BOB>",
            "!channel",
            "C0DBA0001",
            "U0BOB0001|x",
        ] {
            assert!(!is_user_id(text), "{text}");
        }
    }

    proptest::proptest! {
        /// Whatever is said, it fits, and none of Slack's own signs survive in it.
        #[test]
        fn nothing_said_breaks_out(said in "[<>&`*_~:|@!#a-z\u{200b}\u{202e}😀\n ]{0,120}", max in 8_usize..200) {
            let shown = code(&said, max);
            let inside = &shown[1..shown.len() - 1];
            proptest::prop_assert!(!inside.contains('`'));
            for made in [prose(&said, max), plain(&said, max), shown] {
                proptest::prop_assert!(length(&made) <= max);
                let forbidden = ['<', '>', '\n', '\u{202e}'];
                proptest::prop_assert!(!made.contains(forbidden));
                let bare = made.replace("&amp;", "").replace("&lt;", "").replace("&gt;", "");
                proptest::prop_assert!(!bare.contains('&'));
            }
            let block = code_block(&said, max + 100);
            proptest::prop_assert!(length(&block) <= max + 100);
            proptest::prop_assert_eq!(block.matches("```").count(), 2);
        }
    }
}
