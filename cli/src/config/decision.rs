//! Reads `[approver]`, `[[person]]`, `[[route]]` and `[slack]`.

use std::{ops::RangeInclusive, sync::Arc, time::Duration};

use abeyance_api::PersonId;
use abeyance_approver::{TokenHash, quorum::Quorum};
use secrecy::ExposeSecret as _;

use super::{
    datapath::{guard_plaintext, listen},
    files::Surroundings,
    group::{self, GroupEntry, Wanted, members},
    model::{Approver, Person, Role, Route, Slack, SlackMode},
    schedule::ScheduleEntry,
    section::{At, Section},
    steps::{self, StepsEntry},
    store::store,
    terms::{self, TermsEntry},
};

/// Shorter than a person can read a card, or longer than a connection should be kept.
const ROUTE_TIMEOUT: RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_secs(86_400);

/// Shorter would end holds of proxies that are only slow, longer would leave cards that nobody waits for.
const PROXY_LEASE: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(600);
const PROXY_LEASE_DEFAULT: Duration = Duration::from_secs(30);

/// Shorter tokens can be guessed.
const TOKEN_BYTES_MIN: usize = 16;

/// Reads `[approver]`.
pub fn approver(section: Section<'_>, around: &Surroundings<'_>, role: Role) -> Option<Approver> {
    let listen = listen(&section, "127.0.0.1:8080");
    guard_plaintext(&section, listen.as_ref(), "decisions");
    let store = store(&section, around, role);
    let proxy_lease = section.duration("proxy_lease", PROXY_LEASE);
    let console_url = section
        .string("console_url")
        .and_then(|url| http_url(&section, "console_url", url));
    let token = around.secret(&section, "token", role.approves());
    if let Some(token) = &token
        && token.value.expose_secret().len() < TOKEN_BYTES_MIN
    {
        section.problems.warning(
            &token.span,
            "the token that proxies present is short enough to be guessed",
            "make one with `openssl rand -hex 32`, or any 32 random characters",
        );
    }
    if role == Role::Approver && !section.has("token") {
        section.missing("token", "{ env = \"ABEYANCE_TOKEN\" }");
    }
    let tls = section
        .section("tls", "[approver] tls")
        .and_then(|tls| server_tls(tls, around));
    section.finish();
    Some(Approver {
        listen: listen?.value,
        store: store?,
        proxy_lease: proxy_lease.map_or(PROXY_LEASE_DEFAULT, |lease| lease.value),
        console_url: console_url.map(|url| url.value.trim_end_matches('/').to_owned()),
        token: token.map(|token| token.value),
        tls,
    })
}

fn server_tls(
    section: Section<'_>,
    around: &Surroundings<'_>,
) -> Option<Arc<rustls::ServerConfig>> {
    for key in ["cert", "key"] {
        if !section.has(key) {
            section.missing(key, &format!("\"/etc/abeyance/approver.{key}\""));
        }
    }
    let cert = around.certificate(&section, "cert");
    let key = around.private_key(&section, "key");
    let client_ca = around.certificate(&section, "client_ca");
    let client_ca_lost = section.has("client_ca") && client_ca.is_none();
    let span = section.span().clone();
    let problems = section.problems;
    section.finish();
    let (cert, key) = (cert?.value, key?.value);
    if client_ca_lost {
        return None;
    }
    let client_ca = client_ca.as_ref().map(|ca| ca.value.as_slice());
    match abeyance_approver::tls_server_config(&cert, &key, client_ca) {
        Ok(tls) => Some(tls),
        Err(error) => {
            problems.error(&span, format!("[approver] tls: {error}"), "");
            None
        }
    }
}

/// An `http://` or `https://` address without user, password, query or fragment.
pub fn http_url(section: &Section<'_>, key: &str, url: At<String>) -> Option<At<String>> {
    let rest = url
        .value
        .strip_prefix("https://")
        .or_else(|| url.value.strip_prefix("http://"));
    let rest = rest.filter(|rest| !rest.is_empty());
    match rest {
        Some(rest) if rest.contains('@') => {
            section.problems.conceal(&url.span);
            section.problems.error(
                &url.span,
                format!("`{key}` in {} holds a user or password", section.name()),
                "give the address alone",
            );
            None
        }
        Some(rest) if !rest.contains(['?', '#', ' ']) => Some(url),
        _ => {
            section.problems.error(
                &url.span,
                format!(
                    "`{key}` in {}: `{}` is not an address",
                    section.name(),
                    url.value
                ),
                "it begins with https:// or http:// and has no query",
            );
            None
        }
    }
}

/// A person with the place the name is written at.
#[derive(Debug)]
pub struct PersonEntry {
    pub id: At<PersonId>,
    pub slack: Option<At<String>>,
    /// Whether the file gives them a way to decide at all.
    pub can_decide: bool,
    pub person: Option<Person>,
}

/// Reads one `[[person]]`.
pub fn person(section: Section<'_>) -> Option<PersonEntry> {
    let id = section.parsed::<PersonId>("name", "letters, digits or any of ._-@+");
    if !section.has("name") {
        section.missing("name", "\"ann\"");
    }
    let display_name = section.string("display_name").map(|at| at.value);
    let slack = section.string("slack").and_then(|user| {
        vendor_id(
            &section,
            "slack",
            user,
            &['U', 'W'],
            "a Slack user id such as \"U024BE7LH\"",
        )
    });
    let hash = console_token_hash(&section, id.as_ref());
    let hash_given = section.has("console_token_hash");
    let can_decide = section.has("slack") || hash_given;
    section.finish();
    let id = id?;
    let hash_lost = hash_given && hash.is_none();
    let person = (!hash_lost).then(|| Person {
        id: id.value.clone(),
        display_name: display_name.unwrap_or_else(|| id.value.as_str().to_owned()),
        slack: slack.as_ref().map(|at| at.value.clone()),
        console_token_hash: hash,
    });
    Some(PersonEntry {
        can_decide,
        id,
        slack,
        person,
    })
}

fn console_token_hash(section: &Section<'_>, id: Option<&At<PersonId>>) -> Option<TokenHash> {
    let text = section.string("console_token_hash")?;
    // The token itself may have been pasted here by mistake.
    section.problems.conceal(&text.span);
    match text.value.parse() {
        Ok(hash) => Some(hash),
        Err(error) => {
            let name = id.map_or("NAME", |id| id.value.as_str());
            section.problems.error(
                &text.span,
                format!("`console_token_hash` in {}: {error}", section.name()),
                format!("`abeyance person token {name}` prints one"),
            );
            None
        }
    }
}

/// Slack ids are capitals and digits after a letter that says what they name.
pub fn vendor_id(
    section: &Section<'_>,
    key: &str,
    id: At<String>,
    first: &[char],
    wanted: &str,
) -> Option<At<String>> {
    let good = id.value.len() >= 3
        && id.value.starts_with(first)
        && id
            .value
            .bytes()
            .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
    if good {
        return Some(id);
    }
    section.problems.error(
        &id.span,
        format!("`{key}` in {}: `{}` is not an id", section.name(), id.value),
        format!("it takes {wanted}, not a name"),
    );
    None
}

/// A route with the places its cross-references are written at.
#[derive(Debug)]
pub struct RouteEntry {
    pub name: At<String>,
    pub reviewers: Vec<At<PersonId>>,
    pub groups: Vec<At<String>>,
    /// `None` when it was wrong.
    pub wanted: Option<Wanted>,
    pub steps: StepsEntry,
    pub slack_channel: Option<At<String>>,
    pub timeout: Option<Duration>,
    pub terms: TermsEntry,
}

impl RouteEntry {
    /// Everybody who may always decide, each once.
    pub fn asks(&self, groups: &[GroupEntry]) -> Vec<PersonId> {
        let named = self.reviewers.iter().map(|at| at.value.clone());
        let parts = self.wanted.iter().flat_map(Wanted::groups);
        let grouped = self.groups.iter().chain(parts);
        let mut asked = Vec::new();
        for person in named.chain(grouped.flat_map(|group| members(groups, &group.value))) {
            if !asked.contains(&person) {
                asked.push(person);
            }
        }
        asked
    }

    /// Everybody who could ever decide: those, and whomever steps and fallback may come to.
    pub fn everybody(&self, groups: &[GroupEntry], schedules: &[ScheduleEntry]) -> Vec<PersonId> {
        let mut everybody = self.asks(groups);
        for person in self.steps.people(groups, schedules) {
            if !everybody.contains(&person) {
                everybody.push(person);
            }
        }
        everybody
    }

    /// Its seats with these people; `None` when they were wrong.
    pub fn quorum(&self, people: &[PersonId], groups: &[GroupEntry]) -> Option<Quorum> {
        self.wanted.as_ref()?.quorum(people, groups).ok()
    }

    /// The route, when everything about it was right.
    pub fn into_route(self, groups: &[GroupEntry]) -> Option<Route> {
        let reviewers = self.asks(groups);
        let timeout = self.timeout?;
        Some(Route {
            quorum: self.quorum(&reviewers, groups)?,
            reviewers,
            plan: self.steps.plan(timeout)?,
            name: self.name.value,
            timeout,
            slack_channel: self.slack_channel.map(|at| at.value),
            terms: self.terms.into_terms(groups),
        })
    }
}

/// Reads one `[[route]]`.
pub fn route(section: Section<'_>) -> Option<RouteEntry> {
    let name = section.require_string("name", "\"dba\"");
    let reviewers = section.strings("reviewers");
    let groups = section.strings("groups").unwrap_or_default();
    let wanted = group::quorum(&section);
    let grouped =
        !groups.is_empty() || matches!(wanted, Some(Wanted::Parts(_))) || section.has("step");
    match &reviewers {
        None if !section.has("reviewers") && !grouped => {
            section.missing("reviewers", "[\"ann\", \"bob\"]");
        }
        Some(reviewers) if reviewers.is_empty() && !grouped => section.problems.error(
            &section.key_span("reviewers"),
            format!("nobody is asked by {}", section.name()),
            "name at least one [[person]], or [[route.step]]",
        ),
        _ => {}
    }
    let timeout = section.duration("timeout", ROUTE_TIMEOUT);
    let steps = steps::steps(&section, timeout.as_ref());
    let terms = terms::terms(&section);
    if !section.has("timeout") {
        section.missing("timeout", "\"5m\"");
    }
    let slack_channel = section.string("slack_channel").and_then(|channel| {
        vendor_id(
            &section,
            "slack_channel",
            channel,
            &['C', 'G', 'D'],
            "a Slack channel id such as \"C024BE7LH\"",
        )
    });
    let reviewers = reviewers
        .unwrap_or_default()
        .into_iter()
        .filter_map(|reviewer| reviewer_id(&section, "reviewers", reviewer))
        .collect();
    section.finish();
    Some(RouteEntry {
        name: name?,
        reviewers,
        groups,
        wanted,
        steps,
        slack_channel,
        timeout: timeout.map(|at| at.value),
        terms,
    })
}

/// The id of a person in a list.
pub fn reviewer_id(section: &Section<'_>, key: &str, reviewer: At<String>) -> Option<At<PersonId>> {
    match reviewer.value.parse() {
        Ok(value) => Some(At {
            span: reviewer.span,
            value,
        }),
        Err(error) => {
            section.problems.error(
                &reviewer.span,
                format!("`{key}` in {}: {error}", section.name()),
                "name a [[person]]",
            );
            None
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum Mode {
    Socket,
    Http,
}

/// Reads `[slack]`.
pub fn slack(section: Section<'_>, around: &Surroundings<'_>, role: Role) -> Option<Slack> {
    let needed = role.approves();
    let mode = section.choice("mode", &[("socket", Mode::Socket), ("http", Mode::Http)]);
    if !section.has("mode") {
        section.missing("mode", "\"socket\"");
    }
    if !section.has("bot_token") {
        section.missing("bot_token", "{ env = \"SLACK_BOT_TOKEN\" }");
    }
    let bot_token = around.secret(&section, "bot_token", needed);
    // Only the secret of the chosen mode has to be there.
    let mode = mode.map(|at| at.value);
    let socket = matches!(mode, Some(Mode::Socket));
    let http = matches!(mode, Some(Mode::Http));
    if socket && !section.has("app_token") {
        section.missing("app_token", "{ env = \"SLACK_APP_TOKEN\" }");
    }
    if http && !section.has("signing_secret") {
        section.missing("signing_secret", "{ env = \"SLACK_SIGNING_SECRET\" }");
    }
    let app_token = around.secret(&section, "app_token", needed && socket);
    let signing_secret = around.secret(&section, "signing_secret", needed && http);
    let api_url = section
        .string("api_url")
        .and_then(|url| http_url(&section, "api_url", url));
    section.finish();
    let mode = match mode? {
        Mode::Socket => SlackMode::Socket {
            app_token: app_token?.value,
        },
        Mode::Http => SlackMode::Http {
            signing_secret: signing_secret?.value,
        },
    };
    Some(Slack {
        mode,
        bot_token: bot_token?.value,
        api_url: api_url.map(|url| url.value),
    })
}
