//! What the approver and the bots say reaches people in chat and in the console, where a backtick is no markup of ours:
//! in Slack nothing that a message repeats may format, so backticks come as they are. Messages name things plainly.

#![allow(clippy::expect_used, reason = "a test stops where it fails")]

use std::path::{Path, PathBuf};

/// Where such messages are made.
const SPEAK: [&str; 4] = [
    "approver/api/src",
    "approver/holds/src",
    "approver/server/src",
    "bots/port/src",
];

/// Speak of the configuration to whoever checks it on the command line, or only read backticks.
const SPARED: [&str; 3] = [
    "approver/holds/src/oncall/handoff.rs",
    "approver/server/src/config.rs",
    "approver/server/src/http/misfit.rs",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder of sources") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|end| end == "rs") && !path.ends_with("tests.rs") {
            found.push(path);
        }
    }
}

/// Lines of code with a backtick, without tests and comments.
fn quoting(source: &str) -> Vec<&str> {
    let code = source.split("#[cfg(test)]").next().unwrap_or_default();
    let lines = code.lines().map(str::trim);
    lines
        .filter(|line| !line.starts_with("//"))
        .filter(|line| line.split(" // ").next().unwrap_or_default().contains('`'))
        .collect()
}

#[test]
fn messages_to_people_have_no_backticks() {
    let root = root();
    let mut files = Vec::new();
    for folder in SPEAK {
        sources(&root.join(folder), &mut files);
    }
    assert!(files.len() > 80, "{} files of sources", files.len());
    for file in files {
        let name = file.strip_prefix(&root).expect("below the root");
        let source = std::fs::read_to_string(&file).expect("a source");
        let quoting = quoting(&source);
        let spared = SPARED.iter().any(|spared| name == Path::new(spared));
        assert_eq!(
            spared,
            !quoting.is_empty(),
            "{}: {quoting:#?}",
            name.display()
        );
    }
}

#[test]
fn comments_and_tests_quote_as_they_like() {
    assert_eq!(quoting("//! `a`\nlet b; // `c`\n    /// `d`\n"), [""; 0]);
    assert_eq!(
        quoting("say(\"`a`\");\n#[cfg(test)]\nsay(\"`b`\");\n"),
        ["say(\"`a`\");"]
    );
}
