//! `explain` as others call it: names of fields, exit codes, bytes of every kind.

#![allow(clippy::expect_used, reason = "a test stops where it fails")]

use std::{
    io::Write as _,
    process::{Command, Output, Stdio},
};

use serde_json::{Value, json};

const SAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/abeyance.toml");
const CATALOG: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../proxy/sql/tests/clinic_catalog.json"
);

fn explain(args: &[&str], input: &[u8]) -> Output {
    explain_by(SAMPLE, args, input)
}

fn explain_by(config: &str, args: &[&str], input: &[u8]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_abeyance"))
        .args(["explain", "--config", config])
        .args(args)
        .env_remove("CLINIC_PASSWORD")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("abeyance starts");
    let mut stdin = child.stdin.take().expect("stdin");
    // A command line that is refused reads nothing.
    let _ = stdin.write_all(input);
    drop(stdin);
    child.wait_with_output().expect("abeyance ends")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("text")
}

fn lines(input: &[Value]) -> (Option<i32>, Vec<Value>) {
    let input: String = input.iter().map(|line| format!("{line}\n")).collect();
    let args = ["--offline", "--format", "json", "--jsonl", "-"];
    let output = explain(&args, input.as_bytes());
    let lines = text(&output.stdout);
    let lines = lines.lines();
    let read = lines.map(|line| serde_json::from_str(line).expect("JSON"));
    (output.status.code(), read.collect())
}

#[test]
fn a_judgement_has_the_fields_others_read() {
    let sql = "DELETE FROM patients WHERE ssn = '123-45-6789'";
    let output = explain(&["--offline", "--format", "json", "--sql", sql], b"");
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let out = text(&output.stdout);
    assert!(!out.contains("123-45-6789"), "{out}");
    let judgement: Value = serde_json::from_str(&out).expect("JSON");
    let keys: Vec<_> = judgement.as_object().expect("object").keys().collect();
    let fixed = ["id", "verdict", "mask", "rule", "reasons", "facts", "blast"];
    assert_eq!(keys, fixed);
    assert_eq!(judgement["verdict"], "hold");
    assert_eq!(judgement["rule"], "writes-are-asked");
    assert_eq!(judgement["facts"]["kind"], "DELETE");
    assert_eq!(judgement["blast"]["rows"]["source"], "unknown");
    let reasons = judgement["reasons"].to_string();
    assert!(
        reasons.contains("without the target's catalog"),
        "{reasons}"
    );
}

#[test]
fn a_review_at_the_commit_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("abeyance.toml");
    let sample = std::fs::read_to_string(SAMPLE).expect("the sample");
    let writes = "class = [\"write\"]\n";
    assert!(sample.contains(writes));
    let reviewed = sample.replace(writes, &format!("{writes}review = \"commit\"\n"));
    std::fs::write(&file, reviewed).expect("written");
    let config = file.to_str().expect("a path");
    for (sql, review) in [
        ("DELETE FROM patients", json!("commit")),
        ("ALTER TABLE patients ADD COLUMN x int", json!("statement")),
        ("SELECT 1", Value::Null),
    ] {
        let args = ["--offline", "--catalog", CATALOG, "--sql", sql];
        let output = explain_by(config, &[&args[..], &["--format", "json"]].concat(), b"");
        let judgement: Value = serde_json::from_str(&text(&output.stdout)).expect("JSON");
        let told = &judgement["facts"]["verdicts"][0]["review"];
        assert_eq!(*told, review, "{sql}: {judgement}");
        let said = text(&explain_by(config, &args, b"").stdout);
        assert_eq!(
            said.contains("reviewed: at the COMMIT"),
            review == "commit",
            "{said}"
        );
    }
}

#[test]
fn a_target_that_cannot_be_reached_is_said_and_is_no_failure() {
    let output = explain(&["--sql", "SELECT 1"], b"");
    assert_eq!(output.status.code(), Some(0));
    assert!(text(&output.stdout).starts_with("allow (rule reads-pass)"));
    let said = text(&output.stderr);
    assert!(said.contains("CLINIC_PASSWORD"), "{said}");
    let output = explain(&["--sql", "SELECT 1", "--agent", "nobody"], b"");
    assert_eq!(output.status.code(), Some(64));
}

#[test]
fn every_line_gets_a_line() {
    let (code, judged) = lines(&[
        json!({"id": "a", "dialect": "postgresql", "sql": "SELECT 1", "expect": "allow"}),
        json!({"id": 7, "dialect": "mysql", "sql": "SELECT 1"}),
        json!({"id": "nul", "sql_b64": "U0VMRUNUIDEAOyBEUk9QIFRBQkxFIHg="}),
        json!({"id": "latin", "sql_b64": "U0VMRUNUICf/Jw=="}),
        json!({"id": "two", "sql": "SELECT 1; DROP TABLE patients"}),
        json!({"id": "none", "sql": ""}),
    ]);
    assert_eq!(code, Some(0));
    let verdicts: Vec<_> = judged.iter().map(|line| line["verdict"].clone()).collect();
    assert_eq!(verdicts, ["allow", "deny", "deny", "hold", "hold", "allow"]);
    let ids: Vec<_> = judged.iter().map(|line| line["id"].clone()).collect();
    assert_eq!(
        ids,
        [
            json!("a"),
            json!(7),
            json!("nul"),
            json!("latin"),
            json!("two"),
            json!("none")
        ]
    );
    assert!(
        judged[1]["reasons"][0]
            .to_string()
            .contains("MySQL is not carried yet")
    );
    assert_eq!(judged[4]["facts"]["kind"], "DROP TABLE");
    assert_eq!(judged[4]["facts"]["statements"][0]["kind"], "SELECT");
    for line in &judged {
        assert!(
            line["facts"].is_object() && line["blast"].is_object(),
            "{line}"
        );
        assert!(
            line["mask"].is_boolean() && line["reasons"].is_array(),
            "{line}"
        );
    }
}

#[test]
fn a_line_that_is_none_does_not_end_the_others() {
    let input = b"not json\n{\"id\":\"x\"}\n{\"id\":\"y\",\"sql\":\"SELECT 1\"}\n";
    let output = explain(&["--offline", "--format", "json", "--jsonl", "-"], input);
    assert_eq!(output.status.code(), Some(65));
    let out = text(&output.stdout);
    let verdicts: Vec<Value> = out
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("JSON")["verdict"].clone())
        .collect();
    assert_eq!(verdicts, ["deny", "deny", "allow"]);
}

#[test]
fn what_ran_before_is_followed_and_not_run() {
    let (code, judged) = lines(&[
        json!({"id": 1, "sql": "EXECUTE p", "session": ["PREPARE p AS SELECT 1"]}),
        json!({"id": 2, "sql": "EXECUTE p"}),
        json!({"id": 3, "sql": "SELECT '\\''; DELETE FROM rooms --'",
               "session": ["SET standard_conforming_strings = off"]}),
        json!({"id": 4, "sql": "SELECT '\\''; DELETE FROM rooms --'"}),
    ]);
    assert_eq!(code, Some(0));
    let verdicts: Vec<_> = judged.iter().map(|line| line["verdict"].clone()).collect();
    assert_eq!(verdicts[1..], ["hold", "hold", "allow"]);
    assert_eq!(judged[0]["facts"]["kind"], "SELECT");
}

#[test]
fn a_dumped_catalog_is_as_good_as_a_target() {
    let sql = "SELECT count(*) FROM rooms";
    let args = ["--catalog", CATALOG, "--format", "json", "--sql", sql];
    let output = explain(&args, b"");
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let judgement: Value = serde_json::from_str(&text(&output.stdout)).expect("JSON");
    assert!(judgement["facts"]["catalog"].is_object(), "{judgement}");
    assert_eq!(judgement["facts"].get("not_known"), None);
    let output = explain(&["--catalog", SAMPLE, "--sql", "SELECT 1"], b"");
    assert_eq!(output.status.code(), Some(74));
}

#[test]
fn patterns_that_match_nothing_are_warned_of() {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("abeyance.toml");
    let sample = std::fs::read_to_string(SAMPLE).expect("sample");
    let protect = "[[protect]]\nname = \"p\"\ncolumns = [\"patients.snn\"]\n";
    std::fs::write(&path, format!("{sample}\n{protect}")).expect("write");
    let path = path.display().to_string();
    let explain = |format: &str| {
        let args = ["--config", &path, "--catalog", CATALOG, "--sql", "SELECT 1"];
        let output = Command::new(env!("CARGO_BIN_EXE_abeyance"))
            .arg("explain")
            .args(args)
            .args(["--format", format])
            .output();
        let output = output.expect("abeyance ends");
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        text(&output.stdout)
    };
    let said = explain("text");
    assert!(
        said.contains("warning: [[protect]] `p`: the pattern `patients.snn` matches no column")
            && said.contains("did you mean `patients.ssn`?"),
        "{said}"
    );
    let json: Value = serde_json::from_str(&explain("json")).expect("JSON");
    assert_eq!(json["warnings"].as_array().map(Vec::len), Some(1));
    assert_eq!(json["verdict"], "allow");
}

/// Results are not masked yet, so nobody is told that they are.
#[test]
fn people_are_told_that_columns_are_protected() {
    let config = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/clinic.toml");
    let output = Command::new(env!("CARGO_BIN_EXE_abeyance"))
        .args(["explain", "--config", config, "--catalog", CATALOG])
        .args(["--sql", "SELECT ssn FROM patients"])
        .output()
        .expect("abeyance ends");
    let said = text(&output.stdout);
    assert!(said.contains("touches protected columns (rule"), "{said}");
    assert!(
        !said.contains(", masked") && !said.contains("unknown (unknown"),
        "{said}"
    );
}

/// What a rule in shadow mode would do is as uncertain as its facts, and rows that no rule gets are not called known.
#[test]
fn what_could_not_be_known_is_not_told_as_known() {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("abeyance.toml");
    let sample = std::fs::read_to_string(SAMPLE).expect("sample");
    let rules = r#"
[[rule]]
name = "tried"
mode = "shadow"
kind = ["DELETE"]
when = "blast.rows > 10"
verdict = "deny"

[[rule]]
name = "tried-for-sure"
mode = "shadow"
kind = ["DELETE"]
verdict = "deny"
"#;
    std::fs::write(&path, format!("{sample}\n{rules}")).expect("write");
    let config = path.display().to_string();
    let args = ["--catalog", CATALOG, "--sql", "DELETE FROM rooms"];
    let said = text(&explain_by(&config, &args, b"").stdout);
    assert!(
        said.contains("in shadow, may match: tried (deny); could not be known: blast.rows\n"),
        "{said}"
    );
    assert!(
        said.contains("in shadow: tried-for-sure (deny)\n"),
        "{said}"
    );
    assert!(
        said.contains("rows: not known to rules before the proxy counts them; the catalog says "),
        "{said}"
    );
    let json = text(&explain_by(&config, &[&args[..], &["--format", "json"]].concat(), b"").stdout);
    let json: Value = serde_json::from_str(&json).expect("JSON");
    let shadow = &json["facts"]["verdicts"][0]["shadow"];
    assert_eq!(shadow[0]["unknown"], json!(["blast.rows"]), "{shadow}");
    assert_eq!(shadow[1]["doubt"], false, "{shadow}");
    let said = text(&explain(&["--catalog", CATALOG, "--sql", "DELETE FROM rooms"], b"").stdout);
    assert!(!said.contains("rows: not known"), "{said}");
}

#[test]
fn lines_without_an_id_are_headed_by_their_number() {
    let input = b"\n{\"sql\":\"SELECT 1\"}\nnot json\n{\"id\":\"x\",\"sql\":\"SELECT 1\"}\n";
    let said = text(&explain(&["--offline", "--jsonl", "-"], input).stdout);
    let heads: Vec<&str> = said.lines().filter(|line| line.starts_with("==")).collect();
    assert_eq!(heads, ["== line 2", "== line 3", "== x"], "{said}");
}
