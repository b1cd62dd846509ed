//! Configuration files for the binary under test, put together from what a test cares about.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    path::{Path, PathBuf},
};

use crate::{
    Database, Postgres,
    postgres::{PASSWORD, User},
    scram,
};

/// People of every test's roster, with their Slack user ids. Ann owns the agent.
pub const PEOPLE: [(&str, &str); 4] = [
    ("ann", "U0ANN0001"),
    ("bob", "U0BOB0001"),
    ("cy", "U0CY00001"),
    ("eve", "U0EVE0001"),
];

/// Reads and bounded work pass, DELETE on `rooms` is held, TRUNCATE is denied. Everything else
/// passes too, understood or not: these tests compare with the server.
pub const PASSING: &str = r#"
[policy]
default = "hold"
route = "dba"
plain_tables = ["*"]

[[rule]]
name = "all-passes"
verdict = "allow"

[[rule]]
name = "no-empty-wards"
kind = ["DELETE"]
table = ["rooms"]
verdict = "hold"
route = "dba"
message = "takes rooms out of use"

[[rule]]
name = "never-truncate"
kind = ["TRUNCATE"]
verdict = "deny"
message = "empties whole tables"
"#;

/// What changes rows is asked about; definitions pass, and a client may tell its session whatever it likes.
pub const WRITES_WAIT: &str = r#"
[policy]
default = "hold"
route = "dba"

[[rule]]
name = "work"
class = ["read", "ddl", "session", "session_risk", "transaction"]
verdict = "allow"
"#;

/// INSERT runs, and is reviewed at its COMMIT.
pub const INSERTS_AT_COMMIT: &str = r#"
[[rule]]
name = "at-commit"
kind = ["INSERT"]
verdict = "hold"
review = "commit"
route = "dba"
"#;

/// As a careful operator would have it: reads pass, all else is asked.
pub const CAREFUL: &str = r#"
[policy]
default = "hold"
route = "dba"

[[rule]]
name = "reads-pass"
class = ["read", "session", "transaction"]
verdict = "allow"
"#;

/// Where Slack is, for the binary.
#[derive(Debug, Clone)]
pub enum Slack {
    /// Web API address, app token.
    Socket { api_url: String, app_token: String },
    /// Web API address, signing secret.
    Http {
        api_url: String,
        signing_secret: String,
    },
}

/// What `abeyance` is started with.
#[derive(Debug, Clone)]
pub struct Config {
    /// Target name, address, database, user and TLS lines.
    targets: Vec<String>,
    agents: Vec<String>,
    /// `[policy]` and `[[rule]]`.
    pub policy: String,
    /// How long a hold waits.
    pub timeout: String,
    /// Who decides.
    pub reviewers: Vec<&'static str>,
    pub slack: Option<Slack>,
    /// The bot's token.
    pub bot_token: String,
    /// The SQLite file, a relative path starts in the folder of the process; or the table of a database.
    pub store: String,
    /// People of the roster who are left out.
    pub strangers: Vec<&'static str>,
    /// More lines for `[approver]`.
    pub approver_lines: String,
    /// More lines for the route `dba`.
    pub route_lines: String,
    /// What is logged, as `--log` takes it.
    pub log: String,
    /// More lines for `[proxy]`.
    pub proxy_lines: String,
    /// Bounds of the data path. A busy machine is no reason to know less of a statement than a test expects.
    pub limits: BTreeMap<&'static str, String>,
    /// The approver's address; port 0 takes a free one.
    pub approver_listen: String,
    pub proxy_listen: String,
}

impl Config {
    /// An agent and a target with the names, password and rights of a direct connection, so that
    /// nothing but the address changes for the client.
    #[must_use]
    pub fn for_database(database: &Database) -> Self {
        Self::for_user(database, User::Scram)
    }

    /// As [`Config::for_database`], with another way to log in to the target.
    #[must_use]
    pub fn for_user(database: &Database, user: User) -> Self {
        let mut config = Self {
            targets: Vec::new(),
            agents: Vec::new(),
            policy: PASSING.to_owned(),
            timeout: "2m".to_owned(),
            reviewers: vec!["ann", "bob", "cy"],
            slack: None,
            bot_token: "xoxb-double-bot".to_owned(),
            log: "debug".to_owned(),
            store: "abeyance.db".to_owned(),
            strangers: Vec::new(),
            approver_lines: String::new(),
            route_lines: String::new(),
            proxy_lines: String::new(),
            limits: [
                ("probe_timeout", "20s"),
                ("probe_budget", "40s"),
                ("catalog_wait", "60s"),
            ]
            .map(|(limit, most)| (limit, format!("\"{most}\"")))
            .into(),
            approver_listen: "127.0.0.1:0".to_owned(),
            proxy_listen: "127.0.0.1:0".to_owned(),
        };
        config.target(database, user, "disable");
        config
    }

    /// Adds a target that is the database, and an agent with the user's name that may use it.
    pub fn target(&mut self, database: &Database, user: User, tls: &str) -> &mut Self {
        let name = user.name();
        let mut target = format!(
            "[[target]]\nname = \"{}\"\naddress = \"127.0.0.1:{}\"\ndatabase = \"{}\"\nuser = \"{name}\"\n\
             tls = \"{tls}\"\nenvironment = \"test\"\n",
            database.name,
            database.server().port(),
            database.name
        );
        if tls == "verify-full" {
            let _ = writeln!(target, "ca = \"{}\"", database.server().ca().display());
        }
        if user != User::Trust {
            target.push_str("password = { env = \"E2E_TARGET_PASSWORD\" }\n");
        }
        self.targets = vec![target];
        self.agents = vec![format!(
            "[[agent]]\nname = \"{name}\"\nowner = \"ann\"\ntargets = [\"{}\"]\nverifier = \"{}\"\n",
            database.name,
            scram::verifier(PASSWORD)
        )];
        self
    }

    /// Changes text of the targets, for what a test wants wrong.
    pub fn replace_in_targets(&mut self, from: &str, to: &str) {
        for target in &mut self.targets {
            *target = target.replace(from, to);
        }
    }

    /// Adds an `[[agent]]` as it stands.
    pub fn agent(&mut self, lines: &str) {
        self.agents.push(lines.to_owned());
    }

    /// Keeps the approver's store in a fresh database of a server.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn store_in(&mut self, server: &Postgres) -> anyhow::Result<()> {
        let name = server.empty_database().await?;
        self.store = format!(
            "{{ address = \"127.0.0.1:{}\", database = \"{name}\", user = \"postgres\", tls = \"disable\" }}",
            server.port()
        );
        Ok(())
    }

    /// With other rules.
    #[must_use]
    pub fn policy(mut self, policy: &str) -> Self {
        policy.clone_into(&mut self.policy);
        self
    }

    /// With another patience for decisions.
    #[must_use]
    pub fn timeout(mut self, timeout: &str) -> Self {
        timeout.clone_into(&mut self.timeout);
        self
    }

    /// The file's text. `approver_url` is where `abeyance proxy` finds its approver.
    pub(crate) fn to_toml(&self, approver_url: Option<&str>) -> String {
        let limits: Vec<_> = self
            .limits
            .iter()
            .map(|(limit, most)| format!("{limit} = {most}"))
            .collect();
        let mut text = format!(
            "[proxy]\nlisten = \"{}\"\nlimits = {{ {} }}\n{}",
            self.proxy_listen,
            limits.join(", "),
            self.proxy_lines
        );
        if let Some(url) = approver_url {
            // One address, or a list as it stands.
            let url = match url.strip_prefix('[') {
                Some(_) => url.to_owned(),
                None => format!("\"{url}\""),
            };
            let _ = writeln!(
                text,
                "approver = {{ url = {url}, token = {{ env = \"E2E_TOKEN\" }} }}"
            );
        }
        for part in self.targets.iter().chain(&self.agents) {
            let _ = write!(text, "\n{part}");
        }
        let store = match self.store.strip_prefix('{') {
            Some(_) => self.store.clone(),
            None => format!("\"{}\"", self.store),
        };
        let _ = write!(
            text,
            "\n[approver]\nlisten = \"{}\"\nstore = {}\n{}console_url = \"http://console.example\"\n\
             token = {{ env = \"E2E_TOKEN\" }}\n",
            self.approver_listen, store, self.approver_lines
        );
        let known = PEOPLE
            .iter()
            .filter(|(name, _)| !self.strangers.contains(name));
        for (name, slack) in known {
            let hash = hex::encode(<sha2::Sha256 as sha2::Digest>::digest(console_token(name)));
            let _ = write!(
                text,
                "\n[[person]]\nname = \"{name}\"\nslack = \"{slack}\"\nconsole_token_hash = \"sha256:{hash}\"\n"
            );
        }
        let _ = write!(
            text,
            "\n[[route]]\nname = \"dba\"\nreviewers = {:?}\ntimeout = \"{}\"\n{}",
            self.reviewers, self.timeout, self.route_lines
        );
        if let Some(slack) = &self.slack {
            let _ = write!(
                text,
                "slack_channel = \"C0DBA0001\"\n\n[slack]\n{}",
                slack.lines()
            );
        }
        text + &self.policy
    }

    /// Writes the file for `abeyance serve` into a folder.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn write_to(&self, folder: &Path) -> std::io::Result<PathBuf> {
        let file = folder.join("abeyance.toml");
        std::fs::write(&file, self.to_toml(None))?;
        Ok(file)
    }

    /// What the file's references to the environment name.
    #[must_use]
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        let mut variables = vec![
            ("ABEYANCE_LOG", self.log.clone()),
            ("E2E_TARGET_PASSWORD", PASSWORD.to_owned()),
            (
                "E2E_TOKEN",
                "a token between processes of thirty-two bytes".to_owned(),
            ),
            ("E2E_BOT_TOKEN", self.bot_token.clone()),
        ];
        match &self.slack {
            Some(Slack::Socket { app_token, .. }) => {
                variables.push(("E2E_SLACK", app_token.clone()));
            }
            Some(Slack::Http { signing_secret, .. }) => {
                variables.push(("E2E_SLACK", signing_secret.clone()));
            }
            None => {}
        }
        variables
    }
}

impl Slack {
    fn lines(&self) -> String {
        let (mode, api_url, secret) = match self {
            Self::Socket { api_url, .. } => ("socket", api_url, "app_token"),
            Self::Http { api_url, .. } => ("http", api_url, "signing_secret"),
        };
        format!(
            "mode = \"{mode}\"\napi_url = \"{api_url}\"\nbot_token = {{ env = \"E2E_BOT_TOKEN\" }}\n\
             {secret} = {{ env = \"E2E_SLACK\" }}\n"
        )
    }
}

/// The token a person logs in to the console with.
#[must_use]
pub fn console_token(person: &str) -> String {
    format!("abp_{person}-0123456789abcdef0123456789abcdef")
}
