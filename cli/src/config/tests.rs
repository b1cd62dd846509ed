//! Every mistake a configuration can have, as people see it.

use std::{os::unix::fs::PermissionsExt as _, path::Path};

use abeyance_policy::Access;

use super::{Config, Report, Role, Surroundings, read};

/// A configuration without mistakes; each case changes one thing.
const GOOD: &str = r#"[proxy]
listen = "127.0.0.1:6432"

[[target]]
name = "clinic"
address = "127.0.0.1:5432"
database = "clinic"
user = "clinic_app"
password = { env = "CLINIC_PASSWORD" }
tls = "disable"
environment = "production"

[[agent]]
name = "billing-bot"
owner = "ann"
targets = ["clinic"]
verifier = "VERIFIER"

[approver]
listen = "127.0.0.1:8080"
store = "abeyance.db"
console_url = "http://127.0.0.1:8080"

[[person]]
name = "ann"
slack = "U0ANN0001"

[[person]]
name = "bob"
slack = "U0BOB0001"

[[route]]
name = "dba"
reviewers = ["ann", "bob"]
timeout = "5m"
slack_channel = "C0DBA0001"

[slack]
mode = "socket"
bot_token = { env = "SLACK_BOT_TOKEN" }
app_token = { env = "SLACK_APP_TOKEN" }

[policy]
default = "hold"
route = "dba"

[[rule]]
name = "reads-pass"
class = ["read"]
verdict = "allow"

[[rule]]
name = "schema"
class = ["ddl"]
verdict = "hold"
route = "dba"
"#;

/// What each case is about, the text it replaces, and what by.
const CASES: &[(&str, &str, &str)] = &[
    ("not an address", "\"127.0.0.1:6432\"", "\"localhost:6432\""),
    (
        "open to the network",
        "\"127.0.0.1:6432\"",
        "\"0.0.0.0:6432\"",
    ),
    (
        "the approver too",
        "\"127.0.0.1:8080\"\nstore",
        "\"[::]:8080\"\nstore",
    ),
    ("misspelt key", "database =", "databse ="),
    ("misspelt table", "[policy]", "[polcy]"),
    ("one bracket too few", "[[target]]", "[target]"),
    (
        "wrong type",
        "reviewers = [\"ann\", \"bob\"]",
        "reviewers = \"ann\"",
    ),
    ("no port", "\"127.0.0.1:5432\"", "\"db.internal\""),
    ("unknown word", "tls = \"disable\"", "tls = \"prefer\""),
    (
        "ca without verification",
        "tls = \"disable\"",
        "tls = \"require\"\nca = \"ca.pem\"",
    ),
    (
        "ca file missing",
        "tls = \"disable\"",
        "tls = \"verify-full\"\nca = \"no-such.pem\"",
    ),
    (
        "unencrypted to another machine",
        "\"127.0.0.1:5432\"",
        "\"db.internal:5432\"",
    ),
    (
        "secret in the file",
        "{ env = \"CLINIC_PASSWORD\" }",
        "\"hunter2hunter2\"",
    ),
    (
        "variable not set",
        "\"CLINIC_PASSWORD\"",
        "\"NO_SUCH_VARIABLE\"",
    ),
    (
        "secret for a variable",
        "\"CLINIC_PASSWORD\"",
        "\"xoxb-hunter2\"",
    ),
    (
        "secret file missing",
        "{ env = \"CLINIC_PASSWORD\" }",
        "{ file = \"no-such\" }",
    ),
    (
        "secret file empty",
        "{ env = \"CLINIC_PASSWORD\" }",
        "{ file = \"empty\" }",
    ),
    (
        "secret from two places",
        "{ env = \"CLINIC_PASSWORD\" }",
        "{ env = \"A\", file = \"b\" }",
    ),
    (
        "secret from nowhere",
        "{ env = \"CLINIC_PASSWORD\" }",
        "{ vault = \"a\" }",
    ),
    ("unknown owner", "owner = \"ann\"", "owner = \"anna\""),
    (
        "unknown target",
        "targets = [\"clinic\"]",
        "targets = [\"clinc\"]",
    ),
    ("no targets", "targets = [\"clinic\"]", "targets = []"),
    ("bad verifier", "VERIFIER", "SCRAM-SHA-256$4096:AAAA"),
    (
        "key others can read",
        "[[target]]",
        "tls = { cert = \"cert.pem\", key = \"open.key\" }\n[[target]]",
    ),
    (
        "tls half given",
        "[[target]]",
        "tls = { cert = \"cert.pem\" }\n[[target]]",
    ),
    (
        "approver named under serve",
        "[[target]]",
        "approver = { url = \"https://a\", token = { env = \"T\" } }\n[[target]]",
    ),
    (
        "a name of two lines",
        "name = \"clinic\"",
        "name = \"clinic\\nclinic\"",
    ),
    (
        "approver without encryption",
        "[[target]]",
        "approver = { url = \"http://a.internal\", token = { env = \"T\" } }\n[[target]]",
    ),
    (
        "a token to be guessed",
        "store =",
        "token = { env = \"SHORT\" }\nstore =",
    ),
    ("duplicate name", "name = \"bob\"", "name = \"ann\""),
    ("duplicate slack id", "U0BOB0001", "U0ANN0001"),
    ("slack name for an id", "U0BOB0001", "@bob"),
    ("no way to decide", "slack = \"U0BOB0001\"", ""),
    (
        "bad token hash",
        "slack = \"U0BOB0001\"",
        "console_token_hash = \"abp_theTokenItself\"",
    ),
    (
        "unknown reviewer",
        "[\"ann\", \"bob\"]",
        "[\"ann\", \"rob\"]",
    ),
    ("nobody is asked", "[\"ann\", \"bob\"]", "[]"),
    ("only the owner is asked", "[\"ann\", \"bob\"]", "[\"ann\"]"),
    ("not a time span", "\"5m\"", "\"5 minutes\""),
    ("number for a time span", "\"5m\"", "300"),
    ("time span too long", "\"5m\"", "\"30d\""),
    (
        "store without folder",
        "\"abeyance.db\"",
        "\"no-such/abeyance.db\"",
    ),
    (
        "store as a URL",
        "\"abeyance.db\"",
        "\"postgres://abeyance:hunter2@db.internal/abeyance\"",
    ),
    (
        "store with too little",
        "\"abeyance.db\"",
        "{ address = \"db.internal\", password = \"hunter2\", tls = \"require\", connections_max = 1 }",
    ),
    (
        "store without encryption",
        "\"abeyance.db\"",
        "{ address = \"db.internal:5432\", database = \"a\", user = \"a\", tls = \"disable\" }",
    ),
    (
        "a lease too short",
        "store =",
        "proxy_lease = \"10ms\"\nstore =",
    ),
    (
        "console address",
        "\"http://127.0.0.1:8080\"",
        "\"127.0.0.1:8080\"",
    ),
    (
        "secret in an address",
        "\"http://127.0.0.1:8080\"",
        "\"https://me:hunter2@a\"",
    ),
    (
        "channel without slack",
        "[slack]\nmode = \"socket\"\nbot_token = { env = \"SLACK_BOT_TOKEN\" }\napp_token = { env = \"SLACK_APP_TOKEN\" }\n",
        "",
    ),
    (
        "mode without its secret",
        "mode = \"socket\"",
        "mode = \"http\"",
    ),
    ("no default", "default = \"hold\"\n", ""),
    (
        "no policy",
        "[policy]\ndefault = \"hold\"\nroute = \"dba\"\n",
        "",
    ),
    (
        "hold by nobody",
        "default = \"hold\"\nroute = \"dba\"",
        "default = \"hold\"",
    ),
    (
        "route without hold",
        "verdict = \"allow\"",
        "verdict = \"allow\"\nroute = \"dba\"",
    ),
    (
        "unknown route",
        "verdict = \"hold\"\nroute = \"dba\"",
        "verdict = \"hold\"\nroute = \"dbas\"",
    ),
    ("unknown class", "[\"read\"]", "[\"reads\", \"sesion\"]"),
    (
        "unknown agent in a rule",
        "class = [\"ddl\"]",
        "class = [\"ddl\"]\nagent = [\"bot\"]",
    ),
    (
        "unknown environment in a rule",
        "class = [\"ddl\"]",
        "class = [\"ddl\"]\nenvironment = [\"prod\"]",
    ),
    (
        "two rules of one name",
        "name = \"schema\"",
        "name = \"reads-pass\"",
    ),
    ("empty list in a rule", "class = [\"ddl\"]", "class = []"),
    (
        "mistakes in conditions",
        "class = [\"ddl\"]",
        "when = 'statement.kind == \"DROPP TABLE\" && blast.row > \"1\"'",
    ),
    (
        "a mistake in a condition of several lines",
        "class = [\"ddl\"]",
        "when = \"\"\"\nstatement.one_row\n  && tabels.all(t, t.name == 'a')\n\"\"\"",
    ),
    (
        "a mistake in a condition with escapes",
        "class = [\"ddl\"]",
        "when = \"statement.kind == \\\"DROPP TABLE\\\"\"",
    ),
    (
        "a condition that is no text",
        "class = [\"ddl\"]",
        "when = true",
    ),
    (
        "not a column",
        "class = [\"ddl\"]",
        "column = [\"ssn\"]\nmode = \"shade\"\nrows_max = 0",
    ),
    (
        "unknown pack",
        "default = \"hold\"",
        "default = \"hold\"\npacks = [\"guard-write\"]",
    ),
    (
        "a pack that needs a stronger default",
        "default = \"hold\"\nroute = \"dba\"",
        "default = \"allow\"\npacks = [\"guard-writes\"]",
    ),
    (
        "a pack without a route",
        "default = \"hold\"\nroute = \"dba\"",
        "default = \"deny\"\npacks = [\"phi\"]",
    ),
    (
        "a route without use",
        "default = \"hold\"",
        "default = \"deny\"",
    ),
    (
        "a protection with mistakes",
        "[[rule]]\nname = \"schema\"",
        "[[protect]]\nname = \"p\"\ncolumns = [\"ssn\"]\nroute = \"dbas\"\nagent = [\"bot\"]\n\n[[rule]]\nname = \"schema\"",
    ),
    (
        "a protection of nothing",
        "[[rule]]\nname = \"schema\"",
        "[[protect]]\nname = \"p\"\n\n[[rule]]\nname = \"schema\"",
    ),
    (
        "double quotes inside double quotes",
        "class = [\"ddl\"]",
        "when = \"agent.name == \"billing-bot\"\"",
    ),
    (
        "single quotes inside single quotes",
        "class = [\"ddl\"]",
        "when = 'agent.name == 'billing-bot''",
    ),
    (
        "what conditions compare with and never find",
        "class = [\"ddl\"]",
        "when = 'time.hour > 24 || agent.name == \"biling-bot\" || target.environment in [\"production\", \"test\"]'",
    ),
    (
        "two rules that say the same",
        "name = \"schema\"",
        "name = \"more-reads\"\nclass = [\"read\"]\nverdict = \"allow\"\n\n[[rule]]\nname = \"schema\"",
    ),
    (
        "a rule that is always beaten",
        "class = [\"ddl\"]",
        "class = [\"read\", \"ddl\"]",
    ),
    (
        "limit out of range",
        "[[target]]",
        "limits = { connections_max = 0, notice_interval = \"1ms\" }\n[[target]]",
    ),
    ("not TOML", "name = \"clinic\"", "name = clinic"),
    (
        "not TOML, and other mistakes",
        "timeout = \"5m\"",
        "timeout = \"5m\nreviewrs = []",
    ),
    (
        "not TOML on a secret's line",
        "{ env = \"CLINIC_PASSWORD\" }",
        "\"hunter2",
    ),
];

fn verifier() -> String {
    abeyance_wire::postgres::scram::ScramVerifier::from_password(
        "a long password",
        b"0123456789abcdef",
        4096,
    )
    .unwrap()
    .to_string()
}

fn check(source: &str, folder: &Path, role: Role) -> Result<(Config, Report), Report> {
    let env = |name: &str| {
        if name == "SHORT" {
            return Some("hunter2".to_owned());
        }
        let set = ["CLINIC_PASSWORD", "SLACK_BOT_TOKEN", "SLACK_APP_TOKEN", "T"];
        set.contains(&name).then(|| "value-of-a-secret".to_owned())
    };
    let around = Surroundings {
        base: folder,
        env: &env,
        look: role != Role::Judge,
    };
    read(Path::new("abeyance.toml"), source.to_owned(), role, &around)
}

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, mode) in [("empty", 0o600), ("cert.pem", 0o644), ("open.key", 0o644)] {
        let path = folder.path().join(name);
        std::fs::write(&path, "").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    }
    folder
}

/// What people see of a report, without this run's folder.
fn shown(report: &Report, folder: &Path) -> String {
    report
        .render()
        .replace(&folder.display().to_string(), "FOLDER")
}

#[test]
fn a_good_file_gives_a_configuration_for_every_role() {
    let folder = folder();
    let good = GOOD.replace("VERIFIER", &verifier());
    let (config, report) = check(&good, folder.path(), Role::Serve).unwrap();
    assert_eq!(report.render(), "");
    assert_eq!(config.targets[0].host, "127.0.0.1");
    assert_eq!(config.routes[0].timeout.as_secs(), 300);
    assert_eq!(config.rules.rules().len(), 2);
    check(&good, folder.path(), Role::Judge).unwrap();

    let token = good.replace("store =", "token = { env = \"T\" }\nstore =");
    let (config, _) = check(&token, folder.path(), Role::Approver).unwrap();
    assert!(config.proxy.is_none() && config.approver.is_some());

    let remote =
        "approver = { url = \"https://a.internal\", token = { env = \"T\" } }\n\n[[target]]";
    let remote = good.replacen("[[target]]", remote, 1);
    let (config, _) = check(&remote, folder.path(), Role::Proxy).unwrap();
    assert!(config.proxy.is_some() && config.approver.is_none());
}

#[test]
fn access_and_tolerance_reach_the_gateway() {
    let folder = folder();
    let good = GOOD.replace("VERIFIER", &verifier());
    let (plain, _) = check(&good, folder.path(), Role::Serve).unwrap();
    assert_eq!(plain.agents[0].access, Access::ReadWrite);
    let guarded = good
        .replace(
            "owner = \"ann\"\n",
            "owner = \"ann\"\naccess = \"read_only\"\n",
        )
        .replace("[policy]\n", "[policy]\nrows_tolerance = 1.5\n");
    let (config, _) = check(&guarded, folder.path(), Role::Serve).unwrap();
    assert_eq!(config.agents[0].access, Access::ReadOnly);
    let tolerance = config.proxy.unwrap().limits.rows_tolerance;
    assert!((tolerance - 1.5).abs() < f64::EPSILON);
    for (wrong, named) in [
        (guarded.replace("read_only", "readonly"), "access"),
        (guarded.replace("1.5", "0.5"), "rows_tolerance"),
        (guarded.replace("1.5", "\"1.5\""), "rows_tolerance"),
    ] {
        let report = check(&wrong, folder.path(), Role::Serve).unwrap_err();
        assert!(report.render().contains(named));
    }
}

#[test]
fn quorums_by_number_and_by_group() {
    let folder = folder();
    let good = GOOD.replace("VERIFIER", &verifier());
    let with = |route: &str| {
        let groups = "[[person]]\nname = \"cy\"\nslack = \"U0CY00001\"\n\n\
             [[group]]\nname = \"privacy\"\npeople = [\"bob\", \"cy\"]\n\n[[route]]";
        let changed = good.replacen("[[route]]", groups, 1);
        let changed = changed.replace("reviewers = [\"ann\", \"bob\"]", route);
        check(&changed, folder.path(), Role::Serve).map(|(config, _)| config)
    };
    let two = with("reviewers = [\"ann\", \"bob\", \"cy\"]\nquorum = 2").unwrap();
    assert_eq!(two.routes[0].quorum.to_string(), "2 people");
    let grouped = with("groups = [\"privacy\"]").unwrap();
    assert_eq!(grouped.routes[0].reviewers.len(), 2);
    let part = with("reviewers = [\"ann\"]\nquorum = [\"1 of privacy\"]").unwrap();
    assert_eq!(part.routes[0].quorum.to_string(), "1 of privacy");
    assert_eq!(part.routes[0].reviewers.len(), 3);

    let wrong = |route: &str, message: &str| {
        let report = with(route).unwrap_err();
        let shown = shown(&report, folder.path());
        assert!(shown.contains(message), "{route}: {shown}");
    };
    // Ann owns the agent, so only Bob is left.
    wrong(
        "reviewers = [\"ann\", \"bob\"]\nquorum = 2",
        "2 people have to agree, and could not",
    );
    wrong("reviewers = [\"ann\"]\nquorum = 2", "has not so many");
    wrong(
        "reviewers = [\"ann\", \"bob\"]\nquorum = [\"1 of legal\"]",
        "no [[group]] called `legal`",
    );
    wrong(
        "reviewers = [\"ann\", \"bob\"]\nquorum = [\"privacy\"]",
        "is not understood",
    );
    wrong("reviewers = [\"ann\", \"bob\"]\nquorum = 0", "out of range");
    wrong(
        "reviewers = [\"ann\", \"bob\"]\nquorum = \"two\"",
        "a number of people",
    );
}

#[test]
fn steps_ask_who_is_there() {
    let folder = folder();
    let good = GOOD.replace("VERIFIER", &verifier());
    let with = |route: &str| {
        let before = "[[person]]\nname = \"cy\"\nslack = \"U0CY00001\"\n\n\
             [[group]]\nname = \"leads\"\npeople = [\"bob\", \"cy\"]\n\n\
             [[schedule]]\nname = \"days\"\nzone = \"Europe/Berlin\"\nstand_ins = [\"cy\"]\n\
             [[schedule.layer]]\nname = \"all\"\nhandoff = \"0 9 * * 1\"\nanchor = \"2026-01-05\"\n\
             turns = [\"bob\"]\n\n[[route]]";
        let changed = good.replacen("[[route]]", before, 1);
        let changed = changed.replace("reviewers = [\"ann\", \"bob\"]", route);
        check(&changed, folder.path(), Role::Serve).map(|(config, _)| config)
    };
    let steps = |fallback: &str, step: &str| {
        format!("fallback = [{fallback}]\nstep = [{{ ask = [\"schedule:days\"] }}, {step}]")
    };
    let second = "{ ask = [\"cy\", \"channel:C0LEADS01\"], after = \"2m\", notify = \"direct\" }";
    let config = with(&steps("\"group:leads\"", second)).unwrap();
    let plan = &config.routes[0].plan;
    assert!(config.routes[0].reviewers.is_empty());
    assert_eq!(plan.steps().len(), 2);
    assert_eq!(plan.steps()[1].after_seconds, 120);

    let wrong = |route: &str, messages: &[&str]| {
        let report = with(route).unwrap_err();
        let shown = shown(&report, folder.path());
        for message in messages {
            assert!(
                shown.contains(message),
                "{route}: no {message:?} in {shown}"
            );
        }
    };
    let step = |ask: &str, after: &str| {
        let step = format!("{{ ask = [{ask}], after = \"{after}\" }}");
        steps("\"group:leads\"", &step)
    };
    // Several mistakes are shown at once.
    wrong(
        &format!(
            "{}\nquorum = 4",
            step("\"leads\", \"group:lead\", \"team:x\"", "2m")
        ),
        &[
            "did you mean `group:leads`?",
            "did you mean `leads`?",
            "unknown kind `team`",
        ],
    );
    wrong(
        &step("\"cy\"", "5m"),
        &["comes after 5m, when the hold has ended"],
    );
    wrong(
        &steps("\"group:leads\"", "{ ask = [\"cy\"] }"),
        &["has no `after`"],
    );
    wrong(
        "step = [{ ask = [\"schedule:days\"] }]",
        &["has no `fallback`"],
    );
    wrong(
        &steps("\"schedule:days\"", second),
        &["`fallback` in [[route]] `dba` asks a schedule"],
    );
    wrong(
        "reviewers = [\"bob\"]\nfallback = [\"cy\"]",
        &["has a `fallback` and no steps"],
    );
    wrong(
        "step = [{ ask = [\"channel:C0LEADS01\"] }]",
        &["nobody in that channel could decide"],
    );
    wrong("step = [{ ask = [] }]", &["nobody is asked by step 1"]);
    // Ann owns the agent: of those whom the steps can ever come to, two are left.
    wrong(
        &format!("{}\nquorum = 3", step("\"cy\", \"ann\"", "1m")),
        &["could not, to what agent `billing-bot` sends"],
    );
    wrong(
        &format!("{}\nquorum = 4", step("\"cy\", \"ann\"", "1m")),
        &["has not so many"],
    );
    wrong(
        "quorum = [\"1 of leads\"]\nstep = [{ ask = [\"ann\"] }]",
        &["nobody this step asks has a seat"],
    );
}

#[test]
fn every_mistake_is_shown_with_its_line_and_what_to_do() {
    let folder = folder();
    let mut all = String::new();
    for (about, from, to) in CASES {
        assert!(GOOD.contains(from), "{about}: nothing to replace");
        let source = GOOD.replacen(from, to, 1).replace("VERIFIER", &verifier());
        let report = match check(&source, folder.path(), Role::Serve) {
            Ok((_, report)) => {
                assert!(report.warnings() > 0, "{about}: no mistake was found");
                report
            }
            Err(report) => report,
        };
        let text = shown(&report, folder.path());
        for secret in ["hunter2", "theTokenItself", "value-of-a-secret"] {
            assert!(!text.contains(secret), "{about}: shows a secret\n{text}");
        }
        all.push_str(&format!("### {about}\n{text}\n"));
    }
    insta::assert_snapshot!("mistakes", all);
}

#[test]
fn ten_mistakes_are_shown_at_once() {
    let folder = folder();
    let source = include_str!("../../tests/fixtures/ten-mistakes.toml");
    let report = check(source, folder.path(), Role::Serve).unwrap_err();
    assert_eq!(report.errors(), 10);
    insta::assert_snapshot!("ten-mistakes", shown(&report, folder.path()));
}

#[test]
fn an_empty_file_says_what_is_needed() {
    let folder = folder();
    let report = check("", folder.path(), Role::Serve).unwrap_err();
    insta::assert_snapshot!("empty", shown(&report, folder.path()));
}

/// The parser's own positions must never point outside the file or into a character.
#[test]
fn broken_files_never_break_the_report() {
    let folder = folder();
    for end in 0..GOOD.len() {
        let Some(cut) = GOOD.get(..end) else { continue };
        let broken = format!("{cut}\u{fffd}=[\"\u{1f600}");
        let report = check(&broken, folder.path(), Role::Serve).unwrap_err();
        assert!(report.render().contains("abeyance.toml:"));
    }
}

#[test]
fn the_sample_configuration_is_good() {
    let folder = folder();
    for (name, sample) in [
        (
            "abeyance.toml",
            include_str!("../../../deploy/abeyance.toml"),
        ),
        ("clinic.toml", include_str!("../../../deploy/clinic.toml")),
    ] {
        if let Err(report) = check(sample, folder.path(), Role::Judge) {
            panic!("deploy/{name}:\n{}", report.render());
        }
    }
}

#[test]
fn the_documentation_is_good_and_names_every_key() {
    let folder = folder();
    let page = include_str!("../../../docs/configuration.md");
    let readme = include_str!("../../../README.md");
    let policy = include_str!("../../../docs/policy.md");
    let examples = |text: &'static str| text.split("```toml\n").skip(1);
    for example in examples(page).chain(examples(readme)) {
        let example = example.split("```").next().unwrap();
        if let Err(report) = check(example, folder.path(), Role::Judge) {
            panic!("an example in the documentation:\n{}", report.render());
        }
    }
    let good = GOOD.replace("VERIFIER", &verifier());
    check(&good, folder.path(), Role::Serve).unwrap();
    let before_policy = good.split("[policy]").next().unwrap();
    for example in examples(policy) {
        let example = example.split("```").next().unwrap();
        let whole = format!("{before_policy}{example}");
        if let Err(report) = check(&whole, folder.path(), Role::Judge) {
            panic!("an example in docs/policy.md:\n{}", report.render());
        }
    }
    let named = |key: &str| {
        let ways = [format!("`{key}`"), format!("{key} ="), format!("[{key}]")];
        ways.iter().any(|way| page.contains(way))
    };
    let keys = super::section::KEYS.take();
    let missing: Vec<_> = keys.into_iter().filter(|key| !named(key)).collect();
    assert!(
        missing.is_empty(),
        "not in docs/configuration.md: {missing:?}"
    );
}
