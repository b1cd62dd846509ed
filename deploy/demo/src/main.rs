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
    match demo(Args::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say::problem(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
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
    let product = Abeyance::start(folder.path(), &args, &database, &chat).await?;

    let told = if args.scripted {
        story::play(&database, &product, &chat).await
    } else {
        tour::show(&database, &product, &chat).await
    };
    let log = told.is_err().then(|| product.log_tail());
    // In this order each still finds what it needs to stop cleanly.
    let stopped = product.stop().await;
    chat.stop().await;
    database.stop().await?;
    if let Some(log) = log {
        say::problem(&format!("the last lines of Abeyance's log:\n{log}"));
    }
    told.and(stopped)
}
