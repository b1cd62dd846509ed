//! The scripted demo is a promise of the front page, so it is played with every test run.

use std::process::{Command, Stdio};

#[test]
fn every_statement_of_the_story_ends_as_it_must() {
    let output = Command::new(env!("CARGO_BIN_EXE_abeyance-demo"))
        .arg("--scripted")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{complained}");
    assert_eq!(said.matches("\n== ").count(), 6, "{said}");
}
