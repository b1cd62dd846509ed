//! What the person at the terminal reads.

use std::io::Write as _;

/// A line of the story or the instructions.
pub fn line(text: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}

/// Every line of `text` behind a margin.
pub fn quoted(margin: &str, text: &str) {
    for each in text.lines() {
        line(format!("{margin}{each}").trim_end());
    }
}

/// Why the demo ended.
pub fn problem(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "demo: {text}");
}
