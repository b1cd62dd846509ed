//! The scripted demo is a promise of the front page, so it is played with every test run.

use std::{
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
};

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

/// What the demo prints to go on with works as it is printed, as long as the demo runs.
#[test]
fn what_is_printed_can_be_used() {
    let mut demo = Command::new(env!("CARGO_BIN_EXE_abeyance-demo"))
        .args(["--port", "0", "--console-port", "0"])
        .env_remove("SLACK_BOT_TOKEN")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(demo.stdout.take().unwrap()).lines();
    let mut printed = Vec::new();
    for line in lines {
        let line = line.unwrap();
        let last = line.contains("Ctrl-C here ends everything");
        printed.push(line.trim().to_owned());
        if last {
            break;
        }
    }
    let shell = |line: Option<&String>, more: &str| {
        // The demo is ended before anything is said about it.
        let line = line.map_or_else(|| "false".to_owned(), |line| format!("{line} {more}"));
        let output = Command::new("sh").args(["-c", &line]).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let psql = |user: &str| {
        let mut lines = printed.iter();
        let wanted = format!("-U {user} clinic");
        lines.find(|line| line.starts_with("PGPASSWORD=") && line.ends_with(&wanted))
    };
    let count = "-XAtc 'SELECT count(*) FROM patients'";
    let (through, past) = (psql("billing-bot"), psql("clinic_app"));
    let (through, past) = (shell(through, count), shell(past, count));
    let explain = printed
        .iter()
        .find(|line| line.contains(" explain --config "));
    let explained = shell(explain, "");
    let id = i32::try_from(demo.id()).unwrap();
    let id = rustix::process::Pid::from_raw(id).unwrap();
    rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
    let ended = demo.wait().unwrap();
    assert_eq!(
        (through.trim(), past.trim()),
        ("200", "200"),
        "{printed:#?}"
    );
    assert!(explained.starts_with("hold by route dba"), "{explained}");
    assert!(ended.success(), "{ended:?}");
}
