//! The state behind one lock, and the signal that it changed.
//!
//! Nothing in here waits or talks. Everything that grows is bounded by [`REMEMBERED_MAX`]; the oldest goes first.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

use serde_json::Value;

use crate::clock;
use crate::config::{DoubleConfig, Interactivity, Rates, Token, Workspace};
use crate::limits::Limiter;
use crate::model::{ApiRequest, Delivery, Ephemeral, Fault, FaultKind, Message, View};

/// Messages of a channel, requests, deliveries, ids that can still be used.
pub(crate) const REMEMBERED_MAX: usize = 10_000;
/// How long a `trigger_id` opens a modal.
pub(crate) const TRIGGER_LIFE: Duration = Duration::from_secs(3);
/// How long a `response_url` works, and how often.
pub(crate) const RESPONSE_URL_LIFE: Duration = Duration::from_secs(30 * 60);
pub(crate) const RESPONSE_URL_USES: u32 = 5;
/// How long the address from `apps.connections.open` works.
pub(crate) const TICKET_LIFE: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub(crate) struct World {
    pub(crate) workspace: Workspace,
    pub(crate) tokens: Vec<Token>,
    pub(crate) interactivity: Interactivity,
    pub(crate) enterprise_install: bool,
    pub(crate) messages: BTreeMap<String, Vec<Message>>,
    pub(crate) ephemerals: VecDeque<Ephemeral>,
    pub(crate) views: Vec<View>,
    pub(crate) triggers: HashMap<String, Trigger>,
    pub(crate) response_urls: HashMap<String, ResponseUrl>,
    pub(crate) tickets: HashMap<String, Duration>,
    pub(crate) requests: VecDeque<ApiRequest>,
    pub(crate) deliveries: VecDeque<Delivery>,
    pub(crate) faults: Vec<Fault>,
    /// Calls that are held up, and whose callers wait still; nothing ends but with them.
    pub(crate) stalled: Vec<u64>,
    /// Grows when faults are cleared.
    pub(crate) cleared: u64,
    pub(crate) limiter: Limiter,
    pub(crate) rates: Rates,
    /// How much older triggers, response urls and tickets look than they are.
    pub(crate) aged: Duration,
    last_ts_micros: u64,
    last_id: u64,
}

#[derive(Debug, Clone)]
pub(crate) struct Trigger {
    pub(crate) user: String,
    pub(crate) made: Duration,
    pub(crate) used: bool,
}

#[derive(Debug, Clone)]
pub(crate) struct ResponseUrl {
    pub(crate) made: Duration,
    pub(crate) uses: u32,
    pub(crate) user: String,
    pub(crate) channel: String,
    /// The message that was clicked; none for slash commands.
    pub(crate) message: Option<String>,
}

impl World {
    pub(crate) fn new(config: &DoubleConfig) -> Self {
        let mut tokens = config.tokens.clone();
        tokens.push(Token {
            value: config.bot_token.clone(),
            scopes: config.bot_scopes.clone(),
        });
        tokens.push(Token {
            value: config.app_token.clone(),
            scopes: vec!["connections:write".to_owned()],
        });
        Self {
            workspace: config.workspace.clone(),
            tokens,
            interactivity: config.interactivity.clone(),
            enterprise_install: config.enterprise_install,
            messages: BTreeMap::new(),
            ephemerals: VecDeque::new(),
            views: Vec::new(),
            triggers: HashMap::new(),
            response_urls: HashMap::new(),
            tickets: HashMap::new(),
            requests: VecDeque::new(),
            deliveries: VecDeque::new(),
            faults: Vec::new(),
            stalled: Vec::new(),
            cleared: 0,
            limiter: Limiter::default(),
            rates: config.rates,
            aged: Duration::ZERO,
            last_ts_micros: 0,
            last_id: 0,
        }
    }

    /// Forgets what happened; keeps people, tokens and settings.
    pub(crate) fn reset(&mut self) {
        self.messages.clear();
        self.ephemerals.clear();
        self.views.clear();
        self.triggers.clear();
        self.response_urls.clear();
        self.requests.clear();
        self.deliveries.clear();
        self.clear_faults();
        self.limiter = Limiter::default();
        self.aged = Duration::ZERO;
    }

    pub(crate) fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    /// A message timestamp, unique and growing.
    pub(crate) fn next_ts(&mut self) -> String {
        let now = u64::try_from(clock::since_epoch().as_micros()).unwrap_or(u64::MAX);
        self.last_ts_micros = now.max(self.last_ts_micros + 1);
        clock::slack_ts(self.last_ts_micros)
    }

    /// The time by which ids expire.
    pub(crate) fn expiry_now(&self) -> Duration {
        clock::since_epoch() + self.aged
    }

    pub(crate) fn message(&self, channel: &str, ts: &str) -> Option<&Message> {
        self.messages
            .get(channel)?
            .iter()
            .find(|message| message.ts == ts)
    }

    pub(crate) fn message_mut(&mut self, channel: &str, ts: &str) -> Option<&mut Message> {
        self.messages
            .get_mut(channel)?
            .iter_mut()
            .find(|message| message.ts == ts)
    }

    pub(crate) fn ephemeral_mut(
        &mut self,
        channel: &str,
        user: &str,
        ts: &str,
    ) -> Option<&mut Ephemeral> {
        self.ephemerals
            .iter_mut()
            .find(|message| message.channel == channel && message.user == user && message.ts == ts)
    }

    pub(crate) fn post(&mut self, message: Message) {
        let messages = self.messages.entry(message.channel.clone()).or_default();
        if messages.len() >= REMEMBERED_MAX {
            messages.remove(0);
        }
        messages.push(message);
    }

    pub(crate) fn whisper(&mut self, ephemeral: Ephemeral) {
        remember(&mut self.ephemerals, ephemeral);
    }

    /// Slack's own notice to one user.
    pub(crate) fn slackbot_whisper(&mut self, channel: &str, user: &str, text: &str) {
        let ts = self.next_ts();
        self.whisper(Ephemeral {
            ts,
            channel: channel.to_owned(),
            user: user.to_owned(),
            from: "USLACKBOT".to_owned(),
            text: text.to_owned(),
            blocks: Vec::new(),
            triangles: Vec::new(),
        });
    }

    pub(crate) fn new_trigger(&mut self, user: &str) -> String {
        let id = format!(
            "{}.{}.{}",
            clock::random_of(b"123456789", 13),
            clock::random_of(b"123456789", 12),
            clock::random_hex(32)
        );
        let made = self.expiry_now();
        make_room(&mut self.triggers, |trigger| trigger.made);
        self.triggers.insert(
            id.clone(),
            Trigger {
                user: user.to_owned(),
                made,
                used: false,
            },
        );
        id
    }

    /// The key of a new response url.
    pub(crate) fn new_response_url(
        &mut self,
        kind: &str,
        user: &str,
        channel: &str,
        message: Option<&str>,
    ) -> String {
        let key = format!(
            "{kind}/{}/{}/{}",
            self.workspace.team_id,
            clock::random_of(b"123456789", 13),
            clock::random_id(24)
        );
        let made = self.expiry_now();
        make_room(&mut self.response_urls, |url| url.made);
        self.response_urls.insert(
            key.clone(),
            ResponseUrl {
                made,
                uses: 0,
                user: user.to_owned(),
                channel: channel.to_owned(),
                message: message.map(str::to_owned),
            },
        );
        key
    }

    /// The ticket of a new Socket Mode address.
    pub(crate) fn new_ticket(&mut self) -> String {
        let ticket = clock::random_hex(32);
        let made = self.expiry_now();
        make_room(&mut self.tickets, |made| *made);
        self.tickets.insert(ticket.clone(), made);
        ticket
    }

    /// Lets go what is held up, too.
    pub(crate) fn clear_faults(&mut self) {
        self.faults.clear();
        self.cleared += 1;
    }

    /// The fault that applies to this call, if one is left.
    pub(crate) fn take_fault(&mut self, method: &str) -> Option<FaultKind> {
        let at = self
            .faults
            .iter()
            .position(|fault| fault.times > 0 && (fault.method == "*" || fault.method == method))?;
        let kind = self.faults[at].kind.clone();
        self.faults[at].times -= 1;
        if self.faults[at].times == 0 {
            self.faults.remove(at);
        }
        Some(kind)
    }

    pub(crate) fn record_request(&mut self, request: ApiRequest) {
        remember(&mut self.requests, request);
    }

    pub(crate) fn record_delivery(&mut self, delivery: Delivery) {
        remember(&mut self.deliveries, delivery);
    }

    /// The parts every payload has about the team; `team` is null on an organisation-wide install.
    pub(crate) fn team_parts(&self, payload: &mut Value) {
        let workspace = &self.workspace;
        payload["api_app_id"] = Value::from(workspace.app_id.as_str());
        payload["is_enterprise_install"] = Value::from(self.enterprise_install);
        if self.enterprise_install {
            payload["team"] = Value::Null;
            payload["enterprise"] =
                serde_json::json!({"id": "E0CLINIC01", "name": workspace.team_name});
        } else {
            payload["team"] =
                serde_json::json!({"id": workspace.team_id, "domain": workspace.team_domain});
            payload["enterprise"] = Value::Null;
        }
    }
}

/// Forgets the older half when the map is full.
fn make_room<T>(map: &mut HashMap<String, T>, made: impl Fn(&T) -> Duration) {
    if map.len() < REMEMBERED_MAX {
        return;
    }
    let mut ages: Vec<Duration> = map.values().map(&made).collect();
    ages.sort_unstable();
    let middle = ages[ages.len() / 2];
    map.retain(|_, value| made(value) > middle);
}

fn remember<T>(list: &mut VecDeque<T>, item: T) {
    if list.len() >= REMEMBERED_MAX {
        list.pop_front();
    }
    list.push_back(item);
}
