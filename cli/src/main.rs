//! The `abeyance` binary: reads the command line and the configuration and puts the parts together.
//!
//! The only crate that knows all the others. Decides nothing itself: no rule, no hold, no byte of a
//! session passes through here.

mod args;
mod commands;
mod config;
mod exit;
mod files;
mod logging;
mod output;
mod ready;
mod reload;
mod run;
mod wiring;

use std::process::ExitCode;

use abeyance_api::{Clock as _, SystemClock};
use clap::Parser as _;

use args::{
    AgentCommand, CatalogCommand, Cli, Command, GrantCommand, OncallCommand, OverrideCommand,
    PersonCommand, PolicyCommand, StoreCommand,
};
use config::Role;
use exit::Failure;

fn main() -> ExitCode {
    // One crypto provider for the whole process, chosen before anything can ask for one.
    if rustls::crypto::ring::default_provider()
        .install_default()
        .is_err()
    {
        output::problem("another crypto provider was installed first");
        return ExitCode::from(70);
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // `--help` and `--version` come this way too, and are no failure.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 64 } else { 0 });
        }
    };
    match dispatch(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if !matches!(failure, Failure::Shown | Failure::Different) {
                output::problem(&failure.to_string());
            }
            ExitCode::from(&failure)
        }
    }
}

fn dispatch(cli: Cli) -> Result<(), Failure> {
    logging::start(&cli.log)?;
    match cli.command {
        Command::Serve(args) => run::run(&args, Role::Serve),
        Command::Proxy(args) => run::run(&args, Role::Proxy),
        Command::Approver(args) => run::run(&args, Role::Approver),
        Command::CheckConfig(args) => commands::check_config(&args),
        Command::Oncall(command) => oncall(&command),
        Command::Grant(GrantCommand::List(args)) => commands::grant::list(&args),
        Command::Grant(GrantCommand::Revoke(args)) => commands::grant::revoke(&args),
        Command::Agent(AgentCommand::Add(args)) => commands::agent_add(&args),
        Command::Person(PersonCommand::Token { name }) => commands::person_token(&name),
        Command::Explain(args) => commands::explain(&args),
        Command::Policy(PolicyCommand::Test(args)) => commands::policy_test(&args),
        Command::Policy(PolicyCommand::Backtest(args)) => commands::policy_backtest(&args),
        Command::Policy(PolicyCommand::Shadow(args)) => commands::policy_shadow(&args),
        Command::Catalog(CatalogCommand::Dump(args)) => commands::catalog_dump(&args),
        Command::Store(StoreCommand::Copy(args)) => commands::store::copy(&args),
    }
}

fn oncall(command: &OncallCommand) -> Result<(), Failure> {
    let now = SystemClock.now();
    match command {
        OncallCommand::Who(args) => commands::oncall::who(args, now),
        OncallCommand::Preview(args) => commands::oncall::preview(args, now),
        OncallCommand::Lint(args) => commands::oncall::lint(args, now),
        OncallCommand::Override(OverrideCommand::Add(args)) => {
            commands::oncall::overrides::add(args)
        }
        OncallCommand::Override(OverrideCommand::List(args)) => {
            commands::oncall::overrides::list(args, now)
        }
        OncallCommand::Override(OverrideCommand::Remove(args)) => {
            commands::oncall::overrides::remove(args, now)
        }
        OncallCommand::Swap(args) => commands::oncall::overrides::swap(args),
    }
}
