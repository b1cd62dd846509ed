//! Logs: one event a line on standard error, as text or JSON. Carries invariant 7 where a
//! library would not: what logs payloads is silenced whatever the filter says.

use std::io::IsTerminal as _;

use tracing::{Level, Metadata};
use tracing_subscriber::{
    EnvFilter, Layer as _, filter::filter_fn, layer::SubscriberExt as _,
    util::SubscriberInitExt as _,
};

use crate::{
    args::{LogArgs, LogFormat},
    exit::Failure,
};

/// Libraries whose detailed events hold payloads, headers or tokens, and the most detailed level
/// that does not; `None` silences them.
const CAPPED: [(&str, Option<Level>); 7] = [
    ("slack_morphism", None),
    ("tungstenite", None),
    ("tokio_tungstenite", None),
    ("h2", None),
    ("hyper", Some(Level::INFO)),
    ("hyper_util", Some(Level::INFO)),
    ("reqwest", Some(Level::INFO)),
];

/// Starts logging for the process.
///
/// # Errors
/// When the filter is not one.
pub fn start(args: &LogArgs) -> Result<(), Failure> {
    let filter = EnvFilter::try_new(&args.log_filter)
        .map_err(|error| Failure::Usage(format!("--log {}: {error}", args.log_filter)))?;
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    let lines = match args.log_format {
        LogFormat::Text => lines.boxed(),
        LogFormat::Json => lines.json().boxed(),
    };
    tracing_subscriber::registry()
        .with(filter)
        .with(filter_fn(may_be_logged))
        .with(lines)
        .try_init()
        .map_err(|error| Failure::Internal(error.to_string()))
}

fn may_be_logged(metadata: &Metadata<'_>) -> bool {
    let library = metadata.target().split("::").next().unwrap_or_default();
    let cap = CAPPED.iter().find(|(name, _)| *name == library);
    cap.is_none_or(|(_, most)| most.is_some_and(|most| *metadata.level() <= most))
}
