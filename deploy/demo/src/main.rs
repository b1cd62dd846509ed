//! The demo: a scratch PostgreSQL with a made-up clinic, Abeyance in front of it, and a stand-in for
//! Slack, from nothing to a held statement in one command.
//!
//! Starts the product as its users do, as a process with a configuration file; nothing of the product
//! is linked here. Everything lives in one temporary folder and ends with this process.

mod chat;
mod postgres;
mod process;
mod product;
mod psql;
mod say;
mod story;
mod tour;

use std::{os::unix::fs::PermissionsExt as _, path::PathBuf, process::ExitCode};

use anyhow::Context as _;
use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};

use chat::Chat;
use postgres::Postgres;
use product::Abeyance;

/// A clinic's database behind Abeyance, with a stand-in for Slack.
#[derive(Debug, Parser)]
#[command(name = "abeyance-demo")]
struct Args {
    /// Play the whole story unattended; fails unless every statement ends as it must
    #[arg(long)]
    scripted: bool,
    /// The `abeyance` binary (default: the one beside this program)
    #[arg(long, env = "ABEYANCE_BIN")]
    abeyance: Option<PathBuf>,
    /// Where agents connect; 0 takes any free port
    #[arg(long, default_value_t = 6432)]
    port: u16,
    /// Where the console is; 0 takes any free port
    #[arg(long, default_value_t = 8080)]
    console_port: u16,
}

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    let scripted = args.scripted;
    let ended = tokio::select! {
        ended = demo(args) => ended,
        // Dropping the demo stops what it started, in order.
        asked = asked_to_end() => asked.and_then(|()| {
            anyhow::ensure!(!scripted, "interrupted before the story ended");
            Ok(())
        }),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say::problem(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// Waits for Ctrl-C or SIGTERM.
async fn asked_to_end() -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("SIGTERM")?;
    tokio::select! {
        // Both are cancel-safe, and the other is not needed any more.
        interrupted = tokio::signal::ctrl_c() => interrupted.context("SIGINT")?,
        _ = terminate.recv() => {}
    }
    say::line("\nstopping");
    Ok(())
}

async fn demo(args: Args) -> anyhow::Result<()> {
    let folder = tempfile::Builder::new()
        .prefix("abeyance-demo-")
        .tempdir()
        .context("a temporary folder")?;
    // The database runs as another account and has to reach its own folder below this one.
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o711))?;

    let database = Postgres::start(folder.path()).await?;
    let chat = if args.scripted {
        Chat::double().await?
    } else {
        Chat::from_environment().await?
    };
    let mut product = Abeyance::start(folder.path(), &args, &database, &chat).await?;
    if !args.scripted {
        tour::show(&database, &product, &chat);
        // Until somebody ends the demo from outside, if all goes well.
        product.ended().await?;
        anyhow::bail!("abeyance ended by itself; its log:\n{}", product.log_tail());
    }
    let told = story::play(&database, &product, &chat).await;
    if told.is_err() {
        let log = product.log_tail();
        say::problem(&format!("the last lines of Abeyance's log:\n{log}"));
    }
    // In this order each still finds what it needs to stop cleanly.
    let stopped = product.stop().await;
    chat.stop().await;
    database.stop().await?;
    told.and(stopped)
}
