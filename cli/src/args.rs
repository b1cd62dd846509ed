//! The command line.

use std::path::PathBuf;

use abeyance_api::Moment;
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::config::Role;

/// A gateway that holds risky SQL statements on the open connection until somebody decides.
///
/// Exit codes: 0 done, 1 a case or a verdict differs, 64 wrong command line or configuration, 65 some lines of an input are not what they should be,
/// 69 a port is taken or a service does not answer, 70 a part failed, 74 a file or the store cannot be read or written.
#[derive(Debug, Parser)]
#[command(name = "abeyance", version, propagate_version = true)]
pub struct Cli {
    #[command(flatten)]
    pub log: LogArgs,
    #[command(subcommand)]
    pub command: Command,
}

/// What goes to standard error.
#[derive(Debug, Args)]
pub struct LogArgs {
    /// What to log: a level, or `target=level` pairs
    #[arg(
        long = "log",
        env = "ABEYANCE_LOG",
        default_value = "info",
        global = true
    )]
    pub log_filter: String,
    /// How to write it
    #[arg(
        long = "log-format",
        env = "ABEYANCE_LOG_FORMAT",
        default_value = "text",
        global = true
    )]
    pub log_format: LogFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    Text,
    Json,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run proxy, approver and bots in one process
    Serve(RunArgs),
    /// Run the proxy; the approver is another process
    Proxy(RunArgs),
    /// Run the approver and the bots
    Approver(RunArgs),
    /// Say everything that is wrong with a configuration
    CheckConfig(CheckArgs),
    /// Agents: who may connect
    #[command(subcommand)]
    Agent(AgentCommand),
    /// People: who decides
    #[command(subcommand)]
    Person(PersonCommand),
    /// Schedules: who is on call
    #[command(subcommand)]
    Oncall(OncallCommand),
    /// Grants: approvals that hold for a while
    #[command(subcommand)]
    Grant(GrantCommand),
    /// Judge statements as the proxy would, without running anything
    Explain(ExplainArgs),
    /// Policies: whether they do what they are meant to
    #[command(subcommand)]
    Policy(PolicyCommand),
    /// Catalogs: what a target's names stand for
    #[command(subcommand)]
    Catalog(CatalogCommand),
    /// The store: what the approver remembers
    #[command(subcommand)]
    Store(StoreCommand),
}

#[derive(Debug, Subcommand)]
pub enum StoreCommand {
    /// Copy a SQLite store into the empty database that the configuration names, all of it or nothing
    Copy(StoreCopyArgs),
}

#[derive(Debug, Args)]
pub struct StoreCopyArgs {
    #[command(flatten)]
    pub config: ConfigArg,
    /// The file of a stopped approver
    #[arg(long, value_name = "FILE")]
    pub from: PathBuf,
}

#[derive(Debug, Args)]
pub struct ConfigArg {
    /// The configuration file
    #[arg(short, long, env = "ABEYANCE_CONFIG", default_value = "abeyance.toml")]
    pub config: PathBuf,
}

#[derive(Debug, Args)]
pub struct RunArgs {
    #[command(flatten)]
    pub config: ConfigArg,
    /// Write the addresses that were bound to this file, as JSON, once everything listens
    #[arg(long, value_name = "FILE")]
    pub ready_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct CheckArgs {
    #[command(flatten)]
    pub config: ConfigArg,
    /// Which command the file is for; `none` does not look at the environment or at other files
    #[arg(long, value_name = "COMMAND", default_value = "serve")]
    pub role: Role,
    /// Look for the tables and columns that rules and protections name in this catalog, as `abeyance catalog dump`
    /// wrote it; with several targets `TARGET=FILE`, as often as needed
    #[arg(long, value_name = "[TARGET=]FILE")]
    pub catalog: Vec<String>,
    /// Look for them in the targets themselves
    #[arg(long, conflicts_with = "catalog")]
    pub live: bool,
}

#[derive(Debug, Subcommand)]
pub enum OncallCommand {
    /// Say who is on call
    Who(OncallWhoArgs),
    /// Lay schedules out in time
    Preview(OncallPreviewArgs),
    /// Find spans nobody has; exit code 64 when there are any
    Lint(OncallLintArgs),
    /// Put somebody on call for a while; kept by the approver
    #[command(subcommand)]
    Override(OverrideCommand),
    /// Let two shifts change people
    Swap(SwapArgs),
}

#[derive(Debug, Subcommand)]
pub enum GrantCommand {
    /// Show which grants are active
    List(GrantListArgs),
    /// End a grant: the next statement of its shape is held again
    Revoke(GrantRevokeArgs),
}

#[derive(Debug, Args)]
pub struct GrantListArgs {
    #[command(flatten)]
    pub approver: ApproverArgs,
    /// Those that are over too
    #[arg(long)]
    pub all: bool,
    #[arg(long, default_value = "table")]
    pub format: ListFormat,
}

#[derive(Debug, Args)]
pub struct GrantRevokeArgs {
    #[command(flatten)]
    pub approver: ApproverArgs,
    /// Such as GRT-7K3Q
    pub id: String,
    /// Why; it is kept in the record
    #[arg(long)]
    pub reason: String,
}

/// How to get at a running approver.
#[derive(Debug, Args)]
pub struct ApproverArgs {
    /// Where the approver is: the address of its console
    #[arg(long, value_name = "URL", env = "ABEYANCE_APPROVER")]
    pub approver: Option<String>,
    /// A file with your console token (default: the variable ABEYANCE_PERSON_TOKEN)
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// Trust certificates of this CA, a PEM file
    #[arg(long, value_name = "FILE")]
    pub ca: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub enum OverrideCommand {
    /// Put somebody on call from one moment until another; of two overrides the one made last counts
    Add(OverrideAddArgs),
    /// Show those that are not over
    List(OverrideListArgs),
    /// Take one back
    Remove(OverrideRemoveArgs),
}

#[derive(Debug, Args)]
pub struct OverrideAddArgs {
    #[command(flatten)]
    pub approver: ApproverArgs,
    #[arg(long, value_name = "NAME")]
    pub schedule: String,
    /// When it begins: 2026-12-24 18:00 on the schedule's clock, or 2026-12-24T18:00:00Z
    #[arg(long, value_name = "TIME")]
    pub from: Moment,
    /// When it ends; that moment is not in it
    #[arg(long, value_name = "TIME")]
    pub until: Moment,
    /// Who stands in; several with commas
    #[arg(long, value_name = "NAMES", value_delimiter = ',', required = true)]
    pub people: Vec<String>,
    /// Why; it is kept in the record
    #[arg(long)]
    pub reason: String,
    #[arg(long, default_value = "table")]
    pub format: ListFormat,
}

#[derive(Debug, Args)]
pub struct OverrideListArgs {
    #[command(flatten)]
    pub approver: ApproverArgs,
    /// One schedule; all when left out
    #[arg(long, value_name = "NAME")]
    pub schedule: Option<String>,
    #[arg(long, default_value = "table")]
    pub format: ListFormat,
}

#[derive(Debug, Args)]
pub struct OverrideRemoveArgs {
    #[command(flatten)]
    pub approver: ApproverArgs,
    /// Its id, or the beginning of it
    pub id: String,
    /// Why; it is kept in the record
    #[arg(long)]
    pub reason: String,
}

#[derive(Debug, Args)]
pub struct SwapArgs {
    #[command(flatten)]
    pub approver: ApproverArgs,
    #[arg(long, value_name = "NAME")]
    pub schedule: String,
    /// A moment in the one shift: 2026-12-24 18:00 on the schedule's clock, or 2026-12-24T18:00:00Z
    #[arg(long, value_name = "TIME")]
    pub shift: Moment,
    /// A moment in the other
    #[arg(long, value_name = "TIME")]
    pub with: Moment,
    /// Why; it is kept in the record
    #[arg(long)]
    pub reason: String,
    #[arg(long, default_value = "table")]
    pub format: ListFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum ListFormat {
    /// For people
    Table,
    /// One object a line
    Json,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum OncallFormat {
    /// For people
    Table,
    /// One object a line
    Json,
    /// A calendar, RFC 5545
    Ical,
}

#[derive(Debug, Args)]
pub struct OncallWhoArgs {
    #[command(flatten)]
    pub config: ConfigArg,
    #[command(flatten)]
    pub approver: ApproverArgs,
    /// One schedule; all when left out
    #[arg(long, value_name = "NAME")]
    pub schedule: Option<String>,
    /// Another moment: 2026-12-24 18:00 on the schedule's clock, or 2026-12-24T18:00:00Z
    #[arg(long, value_name = "TIME")]
    pub at: Option<Moment>,
    #[arg(long, default_value = "table")]
    pub format: ListFormat,
}

#[derive(Debug, Args)]
pub struct OncallPreviewArgs {
    #[command(flatten)]
    pub config: ConfigArg,
    #[command(flatten)]
    pub approver: ApproverArgs,
    /// One schedule; all when left out
    #[arg(long, value_name = "NAME")]
    pub schedule: Option<String>,
    /// Where to begin: 2026-12-24 18:00 on the schedule's clock, or 2026-12-24T18:00:00Z; now when left out
    #[arg(long, value_name = "TIME")]
    pub from: Option<Moment>,
    /// How far, 1 to 366
    #[arg(long, default_value_t = 30)]
    pub days: u16,
    #[arg(long, default_value = "table")]
    pub format: OncallFormat,
}

#[derive(Debug, Args)]
pub struct OncallLintArgs {
    #[command(flatten)]
    pub config: ConfigArg,
    #[command(flatten)]
    pub approver: ApproverArgs,
    #[arg(long, default_value = "table")]
    pub format: ListFormat,
}

#[derive(Debug, Subcommand)]
pub enum AgentCommand {
    /// Make a password and print the [[agent]] that knows it; the password is shown once
    Add(AgentAddArgs),
}

#[derive(Debug, Args)]
pub struct AgentAddArgs {
    /// What the agent gives as its user name
    pub name: String,
    /// Who answers for it: the name of a [[person]]
    #[arg(long)]
    pub owner: Option<String>,
    /// A [[target]] it may connect to; give it as often as needed
    #[arg(long = "target", value_name = "NAME")]
    pub targets: Vec<String>,
    /// Read the password from standard input instead of making one
    #[arg(long)]
    pub password_stdin: bool,
}

#[derive(Debug, Subcommand)]
pub enum PersonCommand {
    /// Make a token for the console and print its hash; the token is shown once
    Token {
        /// The name of the [[person]]
        name: String,
    },
}

#[derive(Debug, Args)]
pub struct ExplainArgs {
    #[command(flatten)]
    pub config: ConfigArg,
    /// The statement, or several as a client would send them at once
    #[arg(long, required_unless_present = "jsonl", conflicts_with = "jsonl")]
    pub sql: Option<String>,
    /// Judge every line of a file, `-` for standard input: JSON objects with `sql` or `sql_b64`, and
    /// `id`, `dialect` and `session` where wanted
    #[arg(long, value_name = "FILE")]
    pub jsonl: Option<PathBuf>,
    /// A statement that ran on the connection before; give it as often as needed, in order
    #[arg(long, value_name = "SQL", conflicts_with = "jsonl")]
    pub session: Vec<String>,
    /// Judge for this agent (default: the first)
    #[arg(long)]
    pub agent: Option<String>,
    /// Judge for this target (default: the agent's first)
    #[arg(long)]
    pub target: Option<String>,
    /// How to print the judgement
    #[arg(long, default_value = "text")]
    pub format: ExplainFormat,
    #[command(flatten)]
    pub sight: SightArgs,
}

/// What statements are judged with beside their text.
#[derive(Debug, Args)]
pub struct SightArgs {
    /// Do not connect to the target: judge by the text alone, or with `--catalog`
    #[arg(long)]
    pub offline: bool,
    /// The target's catalog, as `abeyance catalog dump` wrote it
    #[arg(long, value_name = "FILE")]
    pub catalog: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ExplainFormat {
    Text,
    Json,
}

#[derive(Debug, Subcommand)]
pub enum PolicyCommand {
    /// Judge cases and compare with what they expect; exit code 1 when one differs
    Test(PolicyTestArgs),
    /// Judge recorded statements by this configuration; exit code 1 when something would be decided otherwise
    Backtest(BacktestArgs),
    /// Count what rules in shadow mode would have decided
    Shadow(ShadowArgs),
}

#[derive(Debug, Args)]
pub struct BacktestArgs {
    #[command(flatten)]
    pub config: ConfigArg,
    #[command(flatten)]
    pub log: LogSince,
    /// How to print what would change
    #[arg(long, default_value = "text")]
    pub format: ExplainFormat,
}

#[derive(Debug, Args)]
pub struct ShadowArgs {
    #[command(flatten)]
    pub config: ConfigArg,
    #[command(flatten)]
    pub log: LogSince,
    /// How to print it
    #[arg(long, default_value = "text")]
    pub format: ExplainFormat,
}

/// Which recorded statements.
#[derive(Debug, Args)]
pub struct LogSince {
    /// How far to look back: 1w, 7d, 12h
    #[arg(long, default_value = "7d", value_parser = crate::commands::span)]
    pub since: std::time::Duration,
    /// The approver's store: a file, or a database as `[approver] store` has it, { address = ... }
    /// (default: the one the configuration names)
    #[arg(long, value_name = "STORE")]
    pub store: Option<String>,
}

#[derive(Debug, Args)]
pub struct PolicyTestArgs {
    #[command(flatten)]
    pub config: ConfigArg,
    /// Files with [[case]] entries
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// A dumped catalog for cases that name none
    #[arg(long, value_name = "FILE")]
    pub catalog: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub enum CatalogCommand {
    /// Write a target's catalog to a file, to judge statements with where the target cannot be reached
    Dump(CatalogDumpArgs),
}

#[derive(Debug, Args)]
pub struct CatalogDumpArgs {
    #[command(flatten)]
    pub config: ConfigArg,
    /// The target (default: the first)
    #[arg(long)]
    pub target: Option<String>,
    /// Where to write it (default: standard output)
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}
