//! What people read: results on standard output, problems on standard error.

use std::io::Write as _;

/// A line of a result. A reader that went away is no failure of ours.
pub fn line(text: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}

/// A remark beside the result, where a pipe does not swallow it.
pub fn remark(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// Why the program ends.
pub fn problem(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "abeyance: {text}");
}
