//! Logs: one event a line on standard error, as text or JSON. Carries invariant 7 where a
//! library would not: what logs payloads is silenced whatever the filter says.

use std::io::IsTerminal as _;

use tracing_subscriber::{EnvFilter, filter::Directive};

use crate::{
    args::{LogArgs, LogFormat},
    exit::Failure,
};

/// Libraries whose events hold payloads.
const SILENCED: [&str; 1] = ["slack_morphism=off"];

/// Starts logging for the process.
///
/// # Errors
/// When the filter is not one.
pub fn start(args: &LogArgs) -> Result<(), Failure> {
    let mut filter = EnvFilter::try_new(&args.log_filter)
        .map_err(|error| Failure::Usage(format!("--log {}: {error}", args.log_filter)))?;
    for directive in SILENCED {
        let directive: Directive = directive
            .parse()
            .map_err(|error| Failure::Internal(format!("{directive}: {error}")))?;
        filter = filter.add_directive(directive);
    }
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    let started = match args.log_format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
    started.map_err(|error| Failure::Internal(error.to_string()))
}
