//! `policy test`: exit codes and what is shown of a case that differs.

#![allow(clippy::expect_used, reason = "a test stops where it fails")]

use std::process::Command;

const SAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/abeyance.toml");

fn judge(cases: &str) -> (Option<i32>, String) {
    let folder = tempfile::tempdir().expect("folder");
    let file = folder.path().join("cases.toml");
    std::fs::write(&file, cases).expect("write");
    let output = Command::new(env!("CARGO_BIN_EXE_abeyance"))
        .args(["policy", "test", "--config", SAMPLE])
        .arg(&file)
        .output()
        .expect("abeyance starts");
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(said).expect("text"))
}

fn case(rest: &str) -> String {
    format!("[[case]]\nname = \"one\"\nagent = \"billing-bot\"\ntarget = \"clinic\"\n{rest}\n")
}

#[test]
fn cases_that_are_as_expected_pass() {
    let cases = case(
        "sql = \"DELETE FROM patients\"\nexpect = \"hold\"\nrule = \"writes-are-asked\"",
    ) + &case("sql = \"SELECT 1\"\nexpect = [\"allow\", \"hold\"]\nmask = false")
        + &case(
            "session = [\"PREPARE p AS DELETE FROM rooms\"]\nsql = \"EXECUTE p\"\nexpect = \"hold\"",
        );
    let (code, said) = judge(&cases);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("3 cases passed, 0 failed"), "{said}");
}

#[test]
fn a_case_that_differs_is_shown() {
    let (code, said) = judge(&case(
        "sql = \"DELETE FROM patients\"\nexpect = \"allow\"\nrule = \"other\"",
    ));
    assert_eq!(code, Some(1), "{said}");
    for line in [
        "- verdict: allow",
        "+ verdict: hold",
        "- rule: other",
        "+ rule: writes-are-asked",
    ] {
        assert!(said.contains(line), "{line}: {said}");
    }
}

#[test]
fn a_case_that_cannot_be_judged_is_a_mistake() {
    for cases in [
        "",
        &case("sql = \"SELECT 1\"\nexpect = \"perhaps\""),
        &case("sql = \"SELECT 1\"\nexpect = \"allow\"").replace("clinic", "elsewhere"),
    ] {
        assert_eq!(judge(cases).0, Some(64), "{cases}");
    }
}

#[test]
fn the_shipped_cases_pass() {
    let shipped = |name: &str| format!("{}/../deploy/{name}", env!("CARGO_MANIFEST_DIR"));
    let output = Command::new(env!("CARGO_BIN_EXE_abeyance"))
        .args(["policy", "test", "--config", &shipped("clinic.toml")])
        .arg(shipped("clinic-cases.toml"))
        .output()
        .expect("abeyance starts");
    let said = [output.stdout, output.stderr].concat();
    assert_eq!(
        output.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&said)
    );
}

#[test]
fn a_verdict_that_is_none_is_named_with_its_case() {
    for wrong in ["\"alow\"", "[\"hold\", \"alow\"]"] {
        let (code, said) = judge(&case(&format!("sql = \"SELECT 1\"\nexpect = {wrong}")));
        assert_eq!(code, Some(64), "{said}");
        let wanted = "case `one`: expect is allow, hold or deny, not `alow`";
        assert!(said.contains(wanted), "{said}");
    }
}
