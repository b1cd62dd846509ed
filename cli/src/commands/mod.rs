//! The commands that answer and end.

mod agent;
mod catalog;
mod explain;
pub mod grant;
pub mod oncall;
mod patterns;
mod person;
mod policy;
mod stage;
pub mod store;

use std::path::Path;

use crate::{
    args::CheckArgs,
    config::{self, Config, LoadError, Report, Role, plural},
    exit::Failure,
    output,
};

pub use agent::agent_add;
pub use catalog::dump as catalog_dump;
pub use explain::explain;
pub use person::person_token;
pub use policy::{backtest as policy_backtest, shadow as policy_shadow, span, test as policy_test};

/// Reads a configuration, and shows what is wrong with it.
///
/// # Errors
/// When it cannot be read or has a mistake.
pub fn load(path: &Path, role: Role) -> Result<Config, Failure> {
    loaded(config::load(path, role))
}

/// As [`load`], and the text it was read from.
///
/// # Errors
/// When it cannot be read or has a mistake.
pub fn load_with_source(path: &Path, role: Role) -> Result<(Config, String), Failure> {
    let source = match config::source(path) {
        Ok(source) => source,
        Err(error) => return Err(Failure::Io(error.to_string())),
    };
    let config = loaded(config::load_text(path, source.clone(), role))?;
    Ok((config, source))
}

fn loaded(loaded: Result<(Config, Report), LoadError>) -> Result<Config, Failure> {
    match loaded {
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
    let (config, source) = load_with_source(path, args.role)?;
    patterns::check(args, &config, source)?;
    output::line(&format!(
        "{}: good; {}, {}, {}, {} people, {}, policy {}",
        path.display(),
        plural(config.targets.len(), "target"),
        plural(config.agents.len(), "agent"),
        plural(config.routes.len(), "route"),
        config.people.len(),
        plural(config.rules.rules().len(), "rule"),
        config.rules.version(),
    ));
    Ok(())
}
