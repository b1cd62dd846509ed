//! Many trials on several installations at once.

use std::{
    collections::HashMap,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use abeyance_e2e::eventually;
use anyhow::{Context as _, Result};
use futures::future::{join_all, try_join_all};
use tokio::{sync::Mutex, time::timeout};

use crate::{
    account::{self, Account, Held, Holds},
    checker, faults,
    people::{self, Votes},
    plan::{Job, Plan},
    stack::{HOLD_TIMEOUT, Size, Stack},
    workload::{self, Ended, Told},
};

/// What a client may wait: the hold's own time, the proxy's grace for an approver that is away, and as long
/// as faults of one trial last at most, twice.
const PATIENCE: Duration = Duration::from_secs(HOLD_TIMEOUT + 25);
/// How long a whole trial may take before it counts as hung.
const TRIAL_MAX: Duration = Duration::from_secs(360);
/// Trials on one installation before it is replaced.
const TRIALS_OF_A_STACK: u64 = 40;

/// What to run.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    pub trials: u64,
    /// The first trial's seed; the next ones count on from it.
    pub seed: u64,
    /// Installations at once.
    pub stacks: usize,
}

/// What came of it.
#[derive(Debug, Clone, Default)]
pub struct Report {
    pub trials: u64,
    pub statements: u64,
    /// Statements by their end.
    pub done: u64,
    pub refused: u64,
    pub in_doubt: u64,
    pub never_asked: u64,
    /// The longest that any client waited for an answer.
    pub longest: Duration,
    /// Broken promises, each with its seed.
    pub violations: Vec<String>,
}

/// Runs the trials.
///
/// # Errors
/// When an installation does not start, or does not come back after a fault.
pub async fn run(settings: Settings) -> Result<Report> {
    let next = AtomicU64::new(0);
    let workers = (0..settings.stacks.max(1)).map(|number| worker(settings, number, &next));
    let mut total = Report::default();
    for report in try_join_all(workers).await? {
        total.add(report);
    }
    Ok(total)
}

async fn worker(settings: Settings, number: usize, next: &AtomicU64) -> Result<Report> {
    let mut report = Report::default();
    let mut sizes = [Size::One, Size::Two].into_iter().cycle().skip(number % 2);
    'stacks: loop {
        let size = sizes.next().unwrap_or(Size::One);
        let mut stack = None;
        for _ in 0..TRIALS_OF_A_STACK {
            let trial_number = next.fetch_add(1, Ordering::Relaxed);
            if trial_number >= settings.trials {
                break 'stacks;
            }
            let stack = match &mut stack {
                Some(stack) => stack,
                none => none.insert(Stack::start(size).await?),
            };
            let plan = Plan::of(settings.seed.wrapping_add(trial_number));
            let one = timeout(TRIAL_MAX, trial(stack, &plan))
                .await
                .map_err(anyhow::Error::from)
                .and_then(|done| done)
                .with_context(|| format!("the trial with seed {} {:?}", plan.seed, plan.breaks))?;
            report.add(one);
        }
    }
    Ok(report)
}

async fn trial(stack: &Stack, plan: &Plan) -> Result<Report> {
    let jobs: HashMap<&str, &Job> = plan.jobs().map(|job| (job.marker.as_str(), job)).collect();
    let votes = Votes::default();
    let logged = stack.database.logged();
    let work = async {
        let clients = plan
            .clients
            .iter()
            .enumerate()
            .map(|(which, jobs)| workload::client(stack, which, jobs, PATIENCE));
        let faults = plan.breaks.iter().map(|fault| faults::play(stack, fault));
        let (ends, mended) = tokio::join!(join_all(clients), try_join_all(faults));
        mended?;
        anyhow::Ok((ends, settled(stack).await?))
    };
    // Reviewers go on until the last hold is over.
    let (ends, holds) = tokio::select! {
        done = work => done?,
        () = people::decide(stack, &jobs, &votes) => anyhow::bail!("the reviewers left"),
    };
    let mut report = Report {
        trials: 1,
        ..Report::default()
    };
    let seed = format!("m{:016x}n", plan.seed);
    let ran = account::executions(&stack.database, &seed, logged).await?;
    let sent = votes.all();
    for Ended {
        marker,
        told,
        waited,
    } in ends.into_iter().flatten()
    {
        let job = jobs
            .get(marker.as_str())
            .context("a statement nobody planned")?;
        report.count(&told, waited);
        let (asked, rows) = ran.get(&marker).copied().unwrap_or_default();
        let holds = holds.get(&marker).cloned().unwrap_or_default();
        let ids: Vec<_> = holds.iter().map(|hold| hold.id.as_str()).collect();
        let account = Account {
            sent: sent
                .iter()
                .filter(|sent| ids.contains(&sent.hold.as_str()))
                .cloned()
                .collect(),
            marker,
            told,
            asked,
            rows,
            holds,
        };
        let broken = checker::violations(job, &account);
        report.violations.extend(
            broken
                .into_iter()
                .map(|what| format!("seed {}: {what} {job:?} {:?}", plan.seed, plan.breaks)),
        );
    }
    Ok(report)
}

/// All holds, once none can change any more. An approval that nobody waits for is taken back long before it lapses.
///
/// A proxy that is still asking the target when its client has left opens its hold later, and takes it back by itself.
/// So what is seen here is what is judged, and holds of earlier trials have to be over as well; the target is asked
/// afterwards what it ran.
async fn settled(stack: &Stack) -> Result<Holds> {
    let open = Mutex::new(String::new());
    eventually("every hold to end", || async {
        // Most looks end at those that wait, of which there are few.
        let seen = match account::waiting(stack).await {
            Ok(waiting) if left(&waiting).is_empty() => account::holds(stack).await,
            some => some,
        };
        let left = seen.as_ref().map(left);
        *open.lock().await = format!("{left:?}");
        let over = left.is_ok_and(|left| left.is_empty());
        Ok(seen.ok().filter(|_| over))
    })
    .await
    .with_context(|| format!("left: {open:?}"))
}

/// Holds that are not over.
fn left(holds: &Holds) -> Vec<&Held> {
    let all = holds.values().flatten();
    all.filter(|hold| !checker::is_over(hold)).collect()
}

impl Report {
    fn add(&mut self, other: Self) {
        self.trials += other.trials;
        self.statements += other.statements;
        self.done += other.done;
        self.refused += other.refused;
        self.in_doubt += other.in_doubt;
        self.never_asked += other.never_asked;
        self.longest = self.longest.max(other.longest);
        self.violations.extend(other.violations);
    }

    fn count(&mut self, told: &Told, waited: Duration) {
        self.longest = self.longest.max(waited);
        self.statements += 1;
        match told {
            Told::Done => self.done += 1,
            Told::Refused { .. } => self.refused += 1,
            Told::InDoubt | Told::Stuck => self.in_doubt += 1,
            Told::NeverAsked => self.never_asked += 1,
        }
    }
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(
            f,
            "{} trials, {} statements: {} ran, {} refused, {} in doubt for their client, {} never asked; longest wait {:.1} s; {} violations",
            self.trials,
            self.statements,
            self.done,
            self.refused,
            self.in_doubt,
            self.never_asked,
            self.longest.as_secs_f64(),
            self.violations.len()
        )?;
        for violation in &self.violations {
            writeln!(f, "{violation}")?;
        }
        Ok(())
    }
}
