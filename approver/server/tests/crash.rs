//! `kill -9` at any moment: whatever was answered is there afterwards, nothing is there by halves,
//! and no approval is good for a second permit.
//!
//! The test starts itself as the victim, which writes each answer to its standard output.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};

use crate::support::{approve, binding, config, config_on, open, store_in};
use abeyance_api::{DecisionDesk as _, HoldDesk as _, HoldId, HoldState, SystemClock};
use abeyance_approver::Approver;
use tempfile::TempDir;

const FOLDER: &str = "ABEYANCE_TEST_CRASH_FOLDER";
/// The name of the test that is the victim, wherever this file is taken in.
const VICTIM: &str = if module_path!().len() == "crash".len() {
    "victim"
} else {
    "crash::victim"
};
const TRIALS: usize = 12;

/// Not a test of its own: the life of the victim, until it is killed.
#[tokio::test]
async fn victim() {
    let Ok(folder) = std::env::var(FOLDER) else {
        return;
    };
    let mut config = config_on(store_in(std::path::Path::new(&folder)));
    config.single_process = false;
    let approver = Approver::open(config, Arc::new(SystemClock)).await.unwrap();
    let say = |what: &str, id: &HoldId| {
        let mut out = std::io::stdout().lock();
        writeln!(out, "@{what} {id}").unwrap();
        out.flush().unwrap();
    };
    loop {
        let id = open(&approver).await;
        say("opened", &id);
        approve(&approver, &id).await;
        say("approved", &id);
        approver.hold_claim(&id, binding("batch")).await.unwrap();
        say("claimed", &id);
    }
}

/// Runs the victim and kills it once it has given `answers` answers.
fn run_and_kill(folder: &TempDir, answers: usize) -> Vec<(String, HoldId)> {
    let mut victim = Command::new(std::env::current_exe().unwrap())
        .args([VICTIM, "--exact", "--nocapture", "--test-threads=1"])
        .env(FOLDER, folder.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lines = BufReader::new(victim.stdout.take().unwrap()).lines();
    let mut given = Vec::new();
    let mut killed = false;
    for line in lines.map_while(Result::ok) {
        let Some((what, id)) = line
            .split_once('@')
            .and_then(|(_, rest)| rest.split_once(' '))
        else {
            continue;
        };
        given.push((what.to_owned(), id.parse().unwrap()));
        if !killed && given.len() >= answers {
            victim.kill().unwrap();
            // What it had said before is still in the pipe, and was answered too.
            killed = true;
        }
    }
    victim.wait().unwrap();
    given
}

fn at_least(what: &str) -> &'static [HoldState] {
    match what {
        "opened" => &[HoldState::Pending, HoldState::Approved, HoldState::Claimed],
        "approved" => &[HoldState::Approved, HoldState::Claimed],
        _ => &[HoldState::Claimed],
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_answered_survives_kill_9() {
    if std::env::var(FOLDER).is_ok() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    // Before the first victim makes it in a server of its own.
    let _store = store_in(folder.path());
    for trial in 0..TRIALS {
        let given = run_and_kill(&folder, 1 + trial * 7);
        assert!(!given.is_empty());
        let mut config = config(&folder);
        config.single_process = false;
        config.routes[0].timeout = Duration::from_secs(300);
        let approver = Approver::open(config, Arc::new(SystemClock)).await.unwrap();
        for (what, id) in &given {
            let state = approver.hold_view(id).await.unwrap().state;
            assert!(at_least(what).contains(&state), "{what} {id}, now {state}");
            if what == "claimed" {
                let again = approver.hold_claim(id, binding("batch")).await;
                assert!(again.is_err(), "{id} gave a second permit");
            }
        }
        let audit = approver.audit_verify().await.unwrap();
        assert_eq!(audit.broken_at, None);
        assert!(audit.intact >= given.len() as u64);
        approver.close().await;
    }
}
