//! Breaks what the plan says, when it says so, and mends it.

use std::time::Duration;

use abeyance_e2e::Abeyance;
use anyhow::Result;
use rustix::process::Signal;
use tokio::sync::Mutex;

use crate::{
    plan::{Break, What},
    relay::{Mood, Relay},
    stack::Stack,
};

/// A slow network's delay of each chunk.
const SLOW: Duration = Duration::from_millis(120);

/// How often a process that ends at its start is started again, and how long after.
const RESTARTS: u32 = 20;
const AGAIN: Duration = Duration::from_millis(250);

/// One fault, from its moment until it is mended.
///
/// # Errors
/// When a part does not come back.
pub async fn play(stack: &Stack, fault: &Break) -> Result<()> {
    tokio::time::sleep(fault.at).await;
    let lasts = fault.lasts;
    let proxy = stack.proxy(fault.which);
    let approver = stack.approver(fault.which);
    let to_target = std::slice::from_ref(&proxy.to_target);
    match fault.what {
        What::KillProxy => kill(&proxy.process, lasts).await,
        What::KillApprover => kill(&approver.process, lasts).await,
        What::KillStore => match &stack.store {
            Some(store) => {
                let store = store.lock().await;
                store.crash()?;
                tokio::time::sleep(lasts).await;
                store.restart().await
            }
            None => Ok(()),
        },
        What::StopProxy => pause(&proxy.process, lasts).await,
        What::StopApprover => pause(&approver.process, lasts).await,
        What::CutApprover => network(&proxy.to_approvers, Mood::Cut, lasts).await,
        What::SilenceApprover => network(&proxy.to_approvers, Mood::Silent, lasts).await,
        What::SlowApprover => network(&proxy.to_approvers, Mood::Slow(SLOW), lasts).await,
        What::CutTarget => network(to_target, Mood::Cut, lasts).await,
        What::SilenceTarget => network(to_target, Mood::Silent, lasts).await,
        What::SlowTarget => network(to_target, Mood::Slow(SLOW), lasts).await,
        What::LoseChat => {
            stack.slack.socket_cut(None);
            stack.slack.refuse_connections(lasts).await;
            Ok(())
        }
    }
}

/// `kill -9`, and after a while the same command again. Two faults of one process take turns.
async fn kill(process: &Mutex<Abeyance>, lasts: Duration) -> Result<()> {
    let mut process = process.lock().await;
    process.kill()?;
    tokio::time::sleep(lasts).await;
    // As a supervisor does: an approver whose store is away says so, ends, and is started again.
    let mut started = process.restart().await;
    for _ in 0..RESTARTS {
        if started.is_ok() {
            break;
        }
        tokio::time::sleep(AGAIN).await;
        started = process.restart().await;
    }
    started
}

async fn pause(process: &Mutex<Abeyance>, lasts: Duration) -> Result<()> {
    let mut process = process.lock().await;
    process.signal(Signal::STOP)?;
    tokio::time::sleep(lasts).await;
    process.signal(Signal::CONT)
}

async fn network(relays: &[Relay], mood: Mood, lasts: Duration) -> Result<()> {
    relays.iter().for_each(|relay| relay.set(mood));
    tokio::time::sleep(lasts).await;
    relays.iter().for_each(|relay| relay.set(Mood::Passing));
    Ok(())
}
