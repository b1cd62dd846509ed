//! From the checked configuration to what each part is built from. Plain renaming: nothing is decided here.

use std::sync::Arc;

use abeyance_api::{Clock, client::HttpDeskConfig};
use abeyance_approver::{ApiToken, Approver, ApproverConfig, TokenScope};
use abeyance_chat::command::CommandDesks;
use abeyance_gateway::GatewayConfig;
use abeyance_policy::RuleSet;
use abeyance_slack::{SlackBot, SlackConfig, SlackError, SlackMode};
use secrecy::ExposeSecret as _;

use crate::config;

/// What the gateway is built from.
pub fn gateway(
    proxy: config::Proxy,
    targets: Vec<config::Target>,
    agents: Vec<config::Agent>,
    rules: RuleSet,
) -> GatewayConfig {
    GatewayConfig {
        client_tls: proxy.tls,
        targets: targets.into_iter().map(target).collect(),
        agents: agents.into_iter().map(agent).collect(),
        rules,
        limits: proxy.limits,
    }
}

/// A target as the gateway knows it.
pub fn target(target: config::Target) -> abeyance_gateway::Target {
    abeyance_gateway::Target {
        name: target.name,
        host: target.host,
        port: target.port,
        database: target.database,
        user: target.user,
        password: target.password,
        tls: target.tls,
        environment: target.environment,
        vouched_functions: Arc::new(target.vouched_functions),
        catalog_poll: Some(target.catalog_poll),
        sessions_max: target.sessions_max,
    }
}

/// An agent as the gateway knows it.
pub fn agent(agent: config::Agent) -> abeyance_gateway::Agent {
    abeyance_gateway::Agent {
        name: agent.name,
        owner: agent.owner,
        actor: agent.actor,
        access: agent.access,
        targets: agent.targets,
        verifier: agent.verifier,
        sessions_max: agent.sessions_max,
    }
}

/// Who is asked, and by which names.
pub struct Asked {
    pub groups: Vec<abeyance_approver::Group>,
    pub schedules: Vec<abeyance_approver::OncallSchedule>,
    pub routes: Vec<config::Route>,
}

/// What the approver is built from.
pub fn approver(
    approver: &config::Approver,
    people: Vec<config::Person>,
    asked: Asked,
    single_process: bool,
) -> ApproverConfig {
    let token = approver.token.clone().map(|secret| ApiToken {
        name: "proxy".to_owned(),
        secret,
        scope: TokenScope::Proxy,
    });
    ApproverConfig {
        store: approver.store.clone(),
        proxy_lease: approver.proxy_lease,
        console_url: approver.console_url.clone(),
        tokens: token.into_iter().collect(),
        people: people.into_iter().map(person).collect(),
        groups: asked.groups,
        schedules: asked.schedules,
        routes: asked.routes.into_iter().map(route).collect(),
        single_process,
    }
}

/// A person as the approver knows them.
pub fn person(person: config::Person) -> abeyance_approver::Person {
    abeyance_approver::Person {
        id: person.id,
        display_name: person.display_name,
        slack: person.slack,
        console_token_hash: person.console_token_hash,
    }
}

/// A route as the approver knows it.
pub fn route(route: config::Route) -> abeyance_approver::Route {
    abeyance_approver::Route {
        name: route.name,
        reviewers: route.reviewers,
        quorum: route.quorum,
        plan: route.plan,
        timeout: route.timeout,
        slack_channel: route.slack_channel,
        terms: route.terms,
    }
}

/// Where a proxy on its own finds its approver.
pub fn remote(remote: config::RemoteApprover) -> HttpDeskConfig {
    HttpDeskConfig {
        urls: remote.urls,
        token: remote.token,
        ca_pem: remote.ca_pem,
        client_identity_pem: remote.identity_pem.map(|pem| pem.expose_secret().to_vec()),
    }
}

/// The bot that keeps cards true and brings clicks back.
pub fn slack(
    slack: config::Slack,
    approver: &Approver,
    clock: Arc<dyn Clock>,
    console_url: Option<String>,
) -> Result<SlackBot, SlackError> {
    let config = SlackConfig {
        bot_token: slack.bot_token,
        mode: match slack.mode {
            config::SlackMode::Socket { app_token } => SlackMode::Socket { app_token },
            config::SlackMode::Http { signing_secret } => SlackMode::Http { signing_secret },
        },
        api_url: slack.api_url,
    };
    let commands = CommandDesks {
        records: approver.record_desk(),
        oncall: approver.oncall_desk(),
        grants: approver.grant_desk(),
    };
    let (decisions, cards) = (approver.decision_desk(), approver.card_desk());
    SlackBot::new(config, decisions, cards, commands, clock, console_url)
}
