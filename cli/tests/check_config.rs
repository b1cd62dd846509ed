//! The command line as scripts and service managers see it: exit codes, and what goes where.

#![allow(clippy::expect_used, reason = "a test stops where it fails")]

use std::{
    io::Write as _,
    process::{Command, Output, Stdio},
};

const TEN_MISTAKES: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/fixtures/ten-mistakes.toml"
);
const SAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/abeyance.toml");

fn abeyance(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_abeyance"))
        .args(args)
        .stdin(Stdio::null())
        .output()
        .expect("abeyance starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("text")
}

#[test]
fn mistakes_end_with_64_before_anything_is_started() {
    for command in ["check-config", "serve", "proxy", "approver"] {
        let output = abeyance(&[command, "--config", TEN_MISTAKES]);
        assert_eq!(output.status.code(), Some(64), "{command}");
        assert_eq!(text(&output.stdout), "", "{command}");
        assert!(
            text(&output.stderr).contains("nothing was started"),
            "{command}"
        );
    }
    let output = abeyance(&["check-config", "--config", TEN_MISTAKES]);
    assert_eq!(text(&output.stderr).matches("error: ").count(), 10);
}

#[test]
fn a_good_file_ends_with_0_and_one_line() {
    let output = abeyance(&["check-config", "--role", "none", "--config", SAMPLE]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert_eq!(text(&output.stdout).lines().count(), 1);
}

/// A bare name has no folder in it, and the paths in the file still have one to start at.
#[test]
fn a_file_in_the_working_folder_is_found_by_its_name() {
    let folder = tempfile::tempdir().expect("folder");
    std::fs::copy(SAMPLE, folder.path().join("abeyance.toml")).expect("copy");
    let output = Command::new(env!("CARGO_BIN_EXE_abeyance"))
        .args(["check-config", "--role", "none"])
        .current_dir(folder.path())
        .env_remove("ABEYANCE_CONFIG")
        .output()
        .expect("abeyance starts");
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
}

#[test]
fn a_file_that_is_not_there_ends_with_74() {
    let output = abeyance(&["check-config", "--config", "/no/such/abeyance.toml"]);
    assert_eq!(output.status.code(), Some(74));
    assert!(text(&output.stderr).contains("/no/such/abeyance.toml"));
    assert!(text(&output.stderr).contains("--config"));
}

#[test]
fn a_wrong_command_line_ends_with_64_and_help_with_0() {
    assert_eq!(abeyance(&["serv"]).status.code(), Some(64));
    assert_eq!(abeyance(&["explain"]).status.code(), Some(64));
    assert_eq!(abeyance(&["--help"]).status.code(), Some(0));
    assert_eq!(abeyance(&["--version"]).status.code(), Some(0));
}

#[test]
fn an_agent_made_here_is_accepted_by_the_configuration() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_abeyance"))
        .args([
            "agent",
            "add",
            "report-bot",
            "--owner",
            "ann",
            "--target",
            "clinic",
        ])
        .arg("--password-stdin")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("abeyance starts");
    let mut stdin = child.stdin.take().expect("stdin");
    stdin.write_all(b"a password of mine\n").expect("write");
    drop(stdin);
    let snippet = text(&child.wait_with_output().expect("output").stdout);
    assert!(!snippet.contains("a password of mine"));

    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("abeyance.toml");
    let sample = std::fs::read_to_string(SAMPLE).expect("sample");
    std::fs::write(&path, format!("{sample}\n{snippet}\n")).expect("write");
    let path = path.display().to_string();
    let output = abeyance(&["check-config", "--role", "none", "--config", &path]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("2 agents"));
}

#[test]
fn what_is_made_is_shown_once_and_apart() {
    let output = abeyance(&["agent", "add", "report-bot"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(text(&output.stdout).starts_with("[[agent]]"));
    assert!(text(&output.stderr).contains("shown this once"));

    let output = abeyance(&["person", "token", "ann"]);
    assert_eq!(output.status.code(), Some(0));
    let hash = text(&output.stdout);
    assert!(hash.starts_with("console_token_hash = \"sha256:"), "{hash}");
    assert!(!hash.contains("abp_"));
    assert!(text(&output.stderr).contains("abp_"));

    assert_eq!(
        abeyance(&["person", "token", "a b"]).status.code(),
        Some(64)
    );
    assert_eq!(abeyance(&["agent", "add", ""]).status.code(), Some(64));
}

const CATALOG: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../proxy/sql/tests/clinic_catalog.json"
);

/// `check-config` on the sample with this in it.
fn check(more: &str, args: &[&str]) -> (Option<i32>, String) {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("abeyance.toml");
    let sample = std::fs::read_to_string(SAMPLE).expect("sample");
    std::fs::write(&path, format!("{sample}\n{more}\n")).expect("write");
    let path = path.display().to_string();
    let mut all = vec!["check-config", "--role", "none", "--config", &path];
    all.extend(args);
    let output = abeyance(&all);
    let said = text(&output.stdout) + &text(&output.stderr);
    (output.status.code(), said)
}

const MISSPELT: &str = "[[protect]]\nname = \"p\"\ncolumns = [\"*.email\", \"patients.snn\"]";

#[test]
fn a_misspelt_protection_is_a_mistake_where_the_catalog_is_known() {
    assert_eq!(check(MISSPELT, &[]).0, Some(0));
    let (code, said) = check(MISSPELT, &["--catalog", CATALOG]);
    assert_eq!(code, Some(64), "{said}");
    assert_eq!(said.matches("error: ").count(), 1, "{said}");
    let marked = format!(
        "| {}^^^^^^^^^^^^^^",
        " ".repeat("columns = [\"*.email\", ".len())
    );
    assert!(
        said.contains(&marked) && said.contains("did you mean `patients.ssn`?"),
        "{said}"
    );
    let right = MISSPELT.replace("snn", "ssn");
    let named = format!("clinic={CATALOG}");
    for catalog in [CATALOG, &named] {
        let (code, said) = check(&right, &["--catalog", catalog]);
        assert_eq!(code, Some(0), "{said}");
    }
}

#[test]
fn a_target_that_cannot_be_looked_at_is_no_good_news() {
    let (code, said) = check(MISSPELT, &["--live"]);
    assert_eq!(code, Some(69), "{said}");
    assert!(said.contains("target clinic: "), "{said}");
}

#[test]
fn capitals_in_a_pattern_are_hinted_at() {
    let (code, said) = check(&MISSPELT.replace("patients.snn", "Patients.SSN"), &[]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("did you mean `patients.ssn`?"), "{said}");
}

#[test]
fn the_version_follows_whatever_verdicts_rest_on() {
    let sample = std::fs::read_to_string(SAMPLE).expect("sample");
    let folder = tempfile::tempdir().expect("folder");
    let version = |text: &str| {
        let path = folder.path().join("abeyance.toml");
        std::fs::write(&path, text).expect("write");
        let path = path.display().to_string();
        let output = abeyance(&["check-config", "--role", "none", "--config", &path]);
        let said = self::text(&output.stdout);
        assert_eq!(
            output.status.code(),
            Some(0),
            "{}",
            self::text(&output.stderr)
        );
        said.rsplit(' ').next().expect("version").to_owned()
    };
    let before = version(&sample);
    let agent = "targets = [\"clinic\"]";
    let label = "environment = \"production\"";
    for (from, to) in [
        (agent, "targets = [\"clinic\"]\naccess = \"read_only\""),
        (agent, "targets = [\"clinic\"]\nactor = \"ann\""),
        (label, "environment = \"staging\""),
        (label, "vouched_functions = [\"public.f\"]"),
        ("database = \"clinic\"", "database = \"clinics\""),
        (
            "default = \"hold\"",
            "default = \"hold\"\nrows_tolerance = 2.0",
        ),
    ] {
        assert!(sample.contains(from), "{from}");
        assert_ne!(version(&sample.replace(from, to)), before, "{to}");
    }
    let display = sample.replace("display_name = \"Bob\"", "display_name = \"Robert\"");
    assert_eq!(version(&display), before);
}

#[test]
fn one_mistake_hides_no_other() {
    let more = "
[[rule]]
name = \"a\"
verdict = \"allow\"
route = \"dba\"
when = \"blast.row > 100\"
[[rule]]
name = \"b\"
verdict = \"alow\"
when = \"statment.one_row\"
[[group]]
name = \"route dba\"
people = [\"ann\"]
[[schedule]]
name = \"week\"
zone = \"Europe/Berlim\"
[[schedule.layer]]
name = \"primary\"
handoff = \"0 9 * * blue\"
anchor = \"2026-01-05\"
turns = [\"ann\"]
cover = [{ days = [\"montag\"], from = \"09:00\", until = \"17:00\" }]
";
    let (code, said) = check(more, &[]);
    assert_eq!(code, Some(64), "{said}");
    for wanted in [
        "`route` in [[rule]] `a` has no effect",
        "`blast` has no field `row`",
        "`verdict` in [[rule]] `b`",
        "there is no variable `statment`",
        "a group's name does not begin with `route `",
        "`zone` in [[schedule]] `week`",
        "`handoff` in [[layer]] `primary`",
        "`cover` in [[schedule]] `week`, [[layer]] `primary`",
    ] {
        assert!(said.contains(wanted), "{wanted}: {said}");
    }
}
