//! `abeyance-slack-double`: the stand-in as a process, for demos and for drivers that are not Rust.

use std::io::Write as _;
use std::path::PathBuf;

use abeyance_slack_double::{DoubleConfig, Interactivity, Rates, SlackDouble};
use anyhow::Context as _;
use clap::{Parser, ValueEnum};
use tokio::io::AsyncReadExt as _;
use tokio::signal::unix::{SignalKind, signal};

#[derive(Debug, Parser)]
#[command(
    about = "A stand-in for Slack: Web API, interactivity, Socket Mode, and a page to look at"
)]
struct Flags {
    /// Port of 127.0.0.1; 0 takes any free one.
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// Post interactions here; without it they go over Socket Mode.
    #[arg(long)]
    interactivity_url: Option<String>,
    /// Post slash commands here; without it they go where interactions go.
    #[arg(long, requires = "interactivity_url")]
    command_url: Option<String>,
    #[arg(long)]
    bot_token: Option<String>,
    #[arg(long)]
    app_token: Option<String>,
    #[arg(long)]
    signing_secret: Option<String>,
    #[arg(long, value_enum, default_value_t = RateFlag::Slack)]
    rates: RateFlag,
    /// Payloads of an organisation-wide install: `team` is null.
    #[arg(long)]
    enterprise_install: bool,
    /// JSON of the workspace: people, channels, groups.
    #[arg(long)]
    workspace: Option<PathBuf>,
    /// Written when listening: the JSON of /_test/info.
    #[arg(long)]
    ready_file: Option<PathBuf>,
    /// End when standard input ends.
    #[arg(long)]
    die_with_parent: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum RateFlag {
    Slack,
    Off,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let flags = Flags::parse();
    let (die_with_parent, ready_file) = (flags.die_with_parent, flags.ready_file.clone());
    let double = SlackDouble::start(config(flags)?).await?;
    let info = double.info().to_string();
    if let Some(path) = &ready_file {
        write_whole(path, &info).with_context(|| format!("cannot write {}", path.display()))?;
    }
    writeln!(std::io::stdout(), "{info}")?;
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
        () = stdin_end(), if die_with_parent => {}
    }
    double.shutdown().await;
    // A blocked read of standard input would keep the runtime from ending.
    std::process::exit(0);
}

fn config(flags: Flags) -> anyhow::Result<DoubleConfig> {
    let mut config = DoubleConfig {
        port: flags.port,
        enterprise_install: flags.enterprise_install,
        rates: match flags.rates {
            RateFlag::Slack => Rates::Slack,
            RateFlag::Off => Rates::Off,
        },
        ..DoubleConfig::default()
    };
    if let Some(request_url) = flags.interactivity_url {
        let command_url = flags.command_url;
        config.interactivity = Interactivity::Http {
            request_url,
            command_url,
        };
    }
    if let Some(token) = flags.bot_token {
        config.bot_token = token;
    }
    if let Some(token) = flags.app_token {
        config.app_token = token;
    }
    if let Some(secret) = flags.signing_secret {
        config.signing_secret = secret;
    }
    if let Some(path) = flags.workspace {
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("cannot read {}", path.display()))?;
        config.workspace = serde_json::from_str(&text)
            .with_context(|| format!("{} is no workspace", path.display()))?;
    }
    Ok(config)
}

/// Whoever waits for the file never sees half of it.
fn write_whole(path: &std::path::Path, text: &str) -> std::io::Result<()> {
    let part = path.with_extension("part");
    std::fs::write(&part, text)?;
    std::fs::rename(part, path)
}

async fn stdin_end() {
    let mut buffer = [0_u8; 64];
    let mut stdin = tokio::io::stdin();
    while stdin.read(&mut buffer).await.is_ok_and(|read| read > 0) {}
}
