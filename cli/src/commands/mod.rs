//! The commands that answer and end.

mod agent;
mod explain;
mod person;

use std::path::Path;

use crate::{
    args::CheckArgs,
    config::{self, Config, LoadError, Role, plural},
    exit::Failure,
    output,
};

pub use agent::agent_add;
pub use explain::explain;
pub use person::person_token;

/// Reads a configuration, and shows what is wrong with it.
///
/// # Errors
/// When it cannot be read or has a mistake.
pub fn load(path: &Path, role: Role) -> Result<Config, Failure> {
    match config::load(path, role) {
        Ok((config, report)) => {
            if report.warnings() > 0 {
                output::remark(report.render().trim_end());
            }
            Ok(config)
        }
        Err(LoadError::Wrong(report)) => {
            output::remark(report.render().trim_end());
            Err(Failure::Shown)
        }
        Err(error @ LoadError::Unreadable { .. }) => Err(Failure::Io(error.to_string())),
    }
}

/// `check-config`: says what is wrong, or that nothing is.
///
/// # Errors
/// When there is a mistake.
pub fn check_config(args: &CheckArgs) -> Result<(), Failure> {
    let path = &args.config.config;
    let config = load(path, args.role)?;
    output::line(&format!(
        "{}: good; {}, {}, {}, {} people, {}",
        path.display(),
        plural(config.targets.len(), "target"),
        plural(config.agents.len(), "agent"),
        plural(config.routes.len(), "route"),
        config.people.len(),
        plural(config.rules.rules().len(), "rule"),
    ));
    Ok(())
}
