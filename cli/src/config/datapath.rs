//! Reads `[proxy]`, `[[target]]` and `[[agent]]`.

use std::{collections::BTreeSet, net::SocketAddr, ops::RangeInclusive, time::Duration};

use abeyance_api::PersonId;
use abeyance_gateway::{ClientTls, Limits, UpstreamTls};
use abeyance_policy::Access;
use abeyance_sql::FunctionName;
use secrecy::{SecretSlice, SecretString};

use super::{
    files::Surroundings,
    model::{Agent, Proxy, RemoteApprover, Role, Target},
    problem::{Problems, Span},
    section::{At, Section},
};

/// Time spans in `[proxy.limits]`.
const WAITS: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(3600);
/// How often a target's catalog is looked at for changes; more often would be a load, more seldom a risk.
const CATALOG_POLLS: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(600);
const CATALOG_POLL: Duration = Duration::from_secs(10);
/// Sizes in `[proxy.limits]`, in bytes.
const SIZES: RangeInclusive<u64> = 1024..=1024 * 1024 * 1024;

/// An agent with the places its cross-references are written at.
#[derive(Debug)]
pub struct AgentEntry {
    pub name: At<String>,
    pub owner: Option<At<PersonId>>,
    pub actor: Option<String>,
    pub access: Access,
    pub targets: Vec<At<String>>,
    pub verifier: Option<abeyance_wire::postgres::scram::ScramVerifier>,
    pub sessions_max: Option<usize>,
}

impl AgentEntry {
    /// The agent, when everything about it was right.
    pub fn into_agent(self) -> Option<Agent> {
        Some(Agent {
            name: self.name.value,
            owner: self.owner.map(|owner| owner.value),
            actor: self.actor,
            access: self.access,
            targets: self.targets.into_iter().map(|at| at.value).collect(),
            verifier: self.verifier?,
            sessions_max: self.sessions_max,
        })
    }
}

/// Reads `[proxy]`.
pub fn proxy(section: Section<'_>, around: &Surroundings<'_>, role: Role) -> Option<Proxy> {
    let listen = listen(&section, "127.0.0.1:6432");
    let tls = section
        .section("tls", "[proxy] tls")
        .and_then(|tls| client_tls(tls, around));
    guard_plaintext(&section, listen.as_ref(), "database connections");
    let approver = section
        .section("approver", "[proxy] approver")
        .and_then(|remote| remote_approver(remote, around, role));
    match role {
        Role::Proxy if !section.has("approver") => section.missing(
            "approver",
            "{ url = \"https://approver.internal:8443\", token = { env = \"ABEYANCE_TOKEN\" } }",
        ),
        Role::Serve if section.has("approver") => section.problems.error(
            &section.key_span("approver"),
            "`abeyance serve` runs the approver itself, and [proxy] names another one",
            "remove `approver`, or start `abeyance proxy` instead",
        ),
        _ => {}
    }
    let limits = section
        .section("limits", "[proxy.limits]")
        .map_or_else(Limits::default, limits);
    section.finish();
    Some(Proxy {
        listen: listen?.value,
        tls,
        approver,
        limits,
    })
}

/// The address a part listens at.
pub fn listen(section: &Section<'_>, example: &str) -> Option<At<SocketAddr>> {
    let hint = format!("give an IP address and a port, such as \"{example}\" or \"0.0.0.0:6432\"");
    let found = section.parsed::<SocketAddr>("listen", &hint);
    if !section.has("listen") {
        section.missing("listen", &format!("\"{example}\""));
    }
    found
}

/// Anything but this machine needs TLS, or the operator's word that something in front has it.
pub fn guard_plaintext(section: &Section<'_>, listen: Option<&At<SocketAddr>>, what: &str) {
    let accepted = section.boolean("allow_plaintext").unwrap_or(false);
    let Some(listen) = listen else { return };
    if accepted || section.has("tls") || listen.value.ip().is_loopback() {
        return;
    }
    section.problems.error(
        &listen.span,
        format!(
            "{} would take {what} from other machines without encryption",
            section.name()
        ),
        "add `tls = { cert = \"...\", key = \"...\" }`, listen on 127.0.0.1, or set \
         `allow_plaintext = true` when something in front of it encrypts",
    );
}

fn client_tls(section: Section<'_>, around: &Surroundings<'_>) -> Option<ClientTls> {
    for key in ["cert", "key"] {
        if !section.has(key) {
            section.missing(key, &format!("\"/etc/abeyance/proxy.{key}\""));
        }
    }
    let cert = around.certificate(&section, "cert");
    let key = around.private_key(&section, "key");
    let required = section.boolean("required").unwrap_or(true);
    let span = section.span().clone();
    let problems = section.problems;
    section.finish();
    match ClientTls::from_pem(&cert?.value, &key?.value, required) {
        Ok(tls) => Some(tls),
        Err(error) => {
            problems.error(&span, format!("[proxy] tls: {error}"), "");
            None
        }
    }
}

fn remote_approver(
    section: Section<'_>,
    around: &Surroundings<'_>,
    role: Role,
) -> Option<RemoteApprover> {
    let urls = approver_urls(&section);
    if !section.has("token") {
        section.missing("token", "{ env = \"ABEYANCE_TOKEN\" }");
    }
    let token = around.secret(&section, "token", role == Role::Proxy);
    let ca = around.certificate(&section, "ca");
    let identity = around.private_key(&section, "identity");
    section.finish();
    Some(RemoteApprover {
        urls: urls?,
        token: token?.value,
        ca_pem: ca.map(|ca| ca.value),
        identity_pem: identity.map(|identity| SecretSlice::from(identity.value)),
    })
}

/// One address, or those of several approvers that share a store.
fn approver_urls(section: &Section<'_>) -> Option<Vec<String>> {
    let listed = section
        .value("url")
        .is_some_and(|value| value.get_ref().as_array().is_some());
    let given = if listed {
        section.strings("url")?
    } else {
        vec![section.require_string("url", "\"https://approver.internal:8443\"")?]
    };
    if given.is_empty() {
        section.problems.error(
            &section.key_span("url"),
            format!("`url` in {} names no approver", section.name()),
            "name at least one: \"https://approver.internal:8443\"",
        );
        return None;
    }
    let checked = given.into_iter().map(|url| {
        super::decision::http_url(section, "url", url)
            .and_then(|url| encrypted(section, url))
            .map(|url| url.value)
    });
    // All of them, so that every mistake is shown.
    let checked: Vec<Option<String>> = checked.collect();
    checked.into_iter().collect()
}

/// The approver's answers let statements run: they come encrypted, or from this machine.
fn encrypted(section: &Section<'_>, url: At<String>) -> Option<At<String>> {
    let plain = url.value.strip_prefix("http://");
    let host = plain.map(|rest| rest.split(['/', ':']).next().unwrap_or_default());
    let bracketed = plain.is_some_and(|rest| rest.starts_with("[::1]"));
    if host.is_none_or(is_this_machine) || bracketed {
        return Some(url);
    }
    section.problems.error(
        &url.span,
        format!("`url` in {} is not encrypted", section.name()),
        "use https://; plain http is for an approver on this machine",
    );
    None
}

fn limits(section: Section<'_>) -> Limits {
    let mut limits = Limits::default();
    let size = |key| {
        section
            .integer(key, SIZES)
            .and_then(|bytes| usize::try_from(bytes).ok())
    };
    let wait = |key| section.duration(key, WAITS).map(|at| at.value);
    set(&mut limits.batch_bytes_max, size("batch_bytes_max"));
    set(&mut limits.message_bytes_max, size("message_bytes_max"));
    set(&mut limits.statement_bytes_max, size("statement_bytes_max"));
    set(
        &mut limits.buffered_while_held_bytes_max,
        size("buffered_while_held_bytes_max"),
    );
    set(
        &mut limits.connections_max,
        section
            .integer("connections_max", 1..=1_000_000)
            .and_then(|count| usize::try_from(count).ok()),
    );
    set(&mut limits.startup_timeout, wait("startup_timeout"));
    set(&mut limits.connect_timeout, wait("connect_timeout"));
    set(&mut limits.notice_interval, wait("notice_interval"));
    set(&mut limits.catalog_wait, wait("catalog_wait"));
    set(&mut limits.probe_timeout, wait("probe_timeout"));
    set(&mut limits.probe_budget, wait("probe_budget"));
    set(&mut limits.shutdown_grace, wait("shutdown_grace"));
    section.finish();
    limits
}

fn set<T>(slot: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *slot = value;
    }
}

/// A target with the place its name is written at.
#[derive(Debug)]
pub struct TargetEntry {
    pub name: At<String>,
    pub environment: Option<String>,
    pub target: Option<Target>,
}

/// Reads one `[[target]]`.
pub fn target(section: Section<'_>, around: &Surroundings<'_>, role: Role) -> Option<TargetEntry> {
    let name = section.require_string("name", "\"clinic\"");
    let address = section
        .require_string("address", "\"127.0.0.1:5432\"")
        .and_then(|text| host_and_port(text, section.problems));
    let database = section.require_string("database", "\"clinic\"");
    let user = section.require_string("user", "\"clinic_app\"");
    let password = around.secret(&section, "password", role.proxies());
    let tls = upstream_tls(&section, around);
    if let (Some(address), Some(span)) = (&address, unencrypted(&section)) {
        warn_unencrypted(&address.value.0, &span, section.problems);
    }
    let environment = section.string("environment").map(|at| at.value);
    let sessions_max = sessions_max(&section);
    let vouched_functions = vouched_functions(&section);
    let catalog_poll = section.duration("catalog_poll", CATALOG_POLLS);
    let catalog_poll = catalog_poll.map_or(CATALOG_POLL, |at| at.value);
    section.finish();
    let build = || {
        let (host, port) = address?.value;
        Some(Target {
            name: name.clone()?.value,
            host,
            port,
            database: database?.value,
            user: user?.value,
            password: password.map(|at| -> SecretString { at.value }),
            tls: tls?,
            environment: environment.clone(),
            vouched_functions,
            catalog_poll,
            sessions_max,
        })
    };
    let target = build();
    Some(TargetEntry {
        name: name?,
        environment,
        target,
    })
}

/// How many sessions at once an agent or a target may have.
fn sessions_max(section: &Section<'_>) -> Option<usize> {
    let max = section.integer("sessions_max", 1..=1_000_000)?;
    usize::try_from(max).ok()
}

/// Routines somebody answers for: `schema.name`, all that go by the name.
fn vouched_functions(section: &Section<'_>) -> BTreeSet<FunctionName> {
    let mut vouched = BTreeSet::new();
    for text in section.strings("vouched_functions").unwrap_or_default() {
        match text.value.split_once('.') {
            Some((schema, name)) if is_identifier(schema) && is_identifier(name) => {
                vouched.insert(FunctionName {
                    schema: Some(schema.to_owned()),
                    name: name.to_owned(),
                });
            }
            _ => section.problems.error(
                &text.span,
                format!("`{}` in `vouched_functions` does not name one function", text.value),
                "give schema and name as the target's catalog has them, without arguments or quotes: \"public.age_in_years\"",
            ),
        }
    }
    vouched
}

/// A name as a catalog has it: no quotes, no signs that would make it a call or a pattern.
fn is_identifier(name: &str) -> bool {
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '$');
    !name.is_empty() && name.len() <= 63 && name.chars().all(plain)
}

/// Splits `host:port`, with IPv6 in brackets.
/// A host and a port, the host without brackets.
pub fn host_and_port(text: At<String>, problems: &Problems) -> Option<At<(String, u16)>> {
    let split = text.value.rsplit_once(':').and_then(|(host, port)| {
        let bracketed = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
        let host = bracketed.unwrap_or(host);
        let plain = bracketed.is_some() || !host.contains(':');
        let good = plain && !host.is_empty() && !host.contains(['/', ' ', '@']);
        good.then_some((host.to_owned(), port.parse().ok()?))
    });
    if split.is_none() {
        problems.error(
            &text.span,
            format!("`{}` is not an address", text.value),
            "give a host and a port: \"db.internal:5432\", \"127.0.0.1:5432\" or \"[::1]:5432\"",
        );
    }
    split.map(|value| At {
        span: text.span,
        value,
    })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TlsMode {
    Disable,
    Require,
    VerifyFull,
}

const TLS_MODES: [(&str, TlsMode); 3] = [
    ("disable", TlsMode::Disable),
    ("require", TlsMode::Require),
    ("verify-full", TlsMode::VerifyFull),
];

fn upstream_tls(section: &Section<'_>, around: &Surroundings<'_>) -> Option<UpstreamTls> {
    let mode = section.choice("tls", &TLS_MODES);
    if !section.has("tls") {
        section.missing("tls", "\"verify-full\"");
    }
    let ca = around.certificate(section, "ca");
    let mode = mode?;
    if section.has("ca") && mode.value != TlsMode::VerifyFull {
        section.problems.error(
            &section.key_span("ca"),
            format!("`ca` in {} has no effect with this `tls`", section.name()),
            "set `tls = \"verify-full\"`",
        );
    }
    if !around.look || (section.has("ca") && ca.is_none()) {
        return (!around.look).then(UpstreamTls::disable);
    }
    let pem = ca.as_ref().map(|ca| ca.value.as_slice());
    let made = match mode.value {
        TlsMode::Disable => Ok(UpstreamTls::disable()),
        TlsMode::Require => UpstreamTls::require(),
        TlsMode::VerifyFull => UpstreamTls::verify_full(pem),
    };
    made.map_err(|error| {
        let span = ca.as_ref().map_or(&mode.span, |ca| &ca.span);
        section
            .problems
            .error(span, format!("{}: {error}", section.name()), "");
    })
    .ok()
}

fn unencrypted(section: &Section<'_>) -> Option<Span> {
    let value = section.value("tls")?;
    (value.get_ref().as_str() == Some("disable")).then(|| value.span())
}

fn warn_unencrypted(host: &str, span: &Span, problems: &Problems) {
    if !is_this_machine(host) {
        problems.warning(
            span,
            format!("the connection to {host} is not encrypted"),
            "`tls = \"verify-full\"` encrypts it and checks who answers",
        );
    }
}

/// Whether a host is this one by its name or address.
pub fn is_this_machine(host: &str) -> bool {
    let address = host.parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

const ACCESS: [(&str, Access); 2] = [
    ("read_write", Access::ReadWrite),
    ("read_only", Access::ReadOnly),
];

/// Reads one `[[agent]]`.
pub fn agent(section: Section<'_>) -> Option<AgentEntry> {
    let name = section.require_string("name", "\"billing-bot\"");
    let owner = section.parsed::<PersonId>("owner", "name a [[person]]");
    let actor = section.string("actor").map(|at| at.value);
    let access = section.choice("access", &ACCESS);
    let targets = section.strings("targets");
    match &targets {
        None if !section.has("targets") => section.missing("targets", "[\"clinic\"]"),
        Some(targets) if targets.is_empty() => section.problems.error(
            &section.key_span("targets"),
            format!("{} may connect to nothing", section.name()),
            "name at least one [[target]]",
        ),
        _ => {}
    }
    let verifier = verifier(&section, name.as_ref());
    let sessions_max = sessions_max(&section);
    section.finish();
    Some(AgentEntry {
        name: name?,
        owner,
        actor,
        access: access.map_or(Access::ReadWrite, |at| at.value),
        targets: targets.unwrap_or_default(),
        verifier,
        sessions_max,
    })
}

fn verifier(
    section: &Section<'_>,
    name: Option<&At<String>>,
) -> Option<abeyance_wire::postgres::scram::ScramVerifier> {
    let how = format!(
        "`abeyance agent add {}` prints one",
        name.map_or("NAME", |name| name.value.as_str())
    );
    if !section.has("verifier") {
        section.problems.absent(
            section.span(),
            format!("{} has no `verifier`", section.name()),
            how.clone(),
        );
    }
    let text = section.string("verifier")?;
    // A password pasted here by mistake must not end up in a terminal's history.
    section.problems.conceal(&text.span);
    match text.value.parse() {
        Ok(verifier) => Some(verifier),
        Err(error) => {
            section.problems.error(
                &text.span,
                format!("`verifier` in {}: {error}", section.name()),
                how,
            );
            None
        }
    }
}
