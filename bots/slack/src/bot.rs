//! The bot as the rest of the program sees it.

use std::{fmt, sync::Arc};

use abeyance_api::{CardDesk, Clock, DecisionDesk};
use abeyance_chat::{
    Notifier, Reconciler, backoff,
    command::{CommandDesks, Commands as Chat},
};
use axum::Router;
use secrecy::SecretString;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use url::Url;

use crate::{
    SlackConfig, SlackError, SlackIdentity, SlackMode,
    api::{SlackApi, tls_config},
    clicks::Clicks,
    commands::Commands,
    complaints::Complaints,
    config::Addresses,
    identity::Identity,
    limits,
    port::SlackPort,
    reception::Reception,
    signature::Verifier,
    socket::Socket,
    webhook::Webhook,
};

/// Cards, clicks and commands in one Slack workspace. Clones share everything.
#[derive(Clone)]
pub struct SlackBot {
    parts: Arc<Parts>,
}

struct Parts {
    port: SlackPort,
    reception: Arc<Reception>,
    inbox: Inbox,
    cards: Arc<dyn CardDesk>,
    transport: Transport,
    tls: Arc<rustls::ClientConfig>,
    addresses: Addresses,
}

/// Who takes what comes from Slack, over either transport.
#[derive(Clone)]
pub(crate) struct Inbox {
    pub clicks: Arc<Clicks>,
    pub commands: Arc<Commands>,
}

enum Transport {
    Http(Arc<Webhook>),
    Socket(SecretString),
}

impl fmt::Debug for SlackBot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mode = match self.parts.transport {
            Transport::Http(_) => "http",
            Transport::Socket(_) => "socket",
        };
        f.debug_struct("SlackBot")
            .field("mode", &mode)
            .finish_non_exhaustive()
    }
}

impl SlackBot {
    /// Checks what can be checked without asking Slack.
    ///
    /// # Errors
    /// When a token has the wrong form, an address is not one, or TLS has no certificates to trust.
    pub fn new(
        config: SlackConfig,
        decisions: Arc<dyn DecisionDesk>,
        cards: Arc<dyn CardDesk>,
        commands: CommandDesks,
        clock: Arc<dyn Clock>,
        console_url: Option<String>,
    ) -> Result<Self, SlackError> {
        let addresses = config.check()?;
        let console = console_url.map(|text| console(&text)).transpose()?;
        let tls = tls_config()?;
        let api = Arc::new(SlackApi::new(&config.bot_token, addresses.clone(), &tls));
        let port = SlackPort {
            identity: Arc::new(Identity::new(Arc::clone(&api))),
            api,
            complaints: Arc::new(Complaints::default()),
            places: Arc::default(),
            console,
        };
        let reception = Arc::new(Reception::new(port.clone()));
        let chat = Chat::new(commands, Arc::clone(&clock));
        let inbox = Inbox {
            clicks: Arc::new(Clicks::new(
                Arc::clone(&reception),
                decisions,
                Arc::clone(&clock),
            )),
            commands: Arc::new(Commands::new(Arc::clone(&reception), chat)),
        };
        let transport = match config.mode {
            SlackMode::Http { signing_secret } => Transport::Http(Arc::new(Webhook::new(
                inbox.clone(),
                Verifier::new(signing_secret),
                clock,
            ))),
            SlackMode::Socket { app_token } => Transport::Socket(app_token),
        };
        let parts = Parts {
            port,
            reception,
            inbox,
            cards,
            transport,
            tls,
            addresses,
        };
        Ok(Self {
            parts: Arc::new(parts),
        })
    }

    /// `POST /slack/interactions` and `POST /slack/commands`, when they arrive over HTTP. It guards itself: merge it outside of
    /// anything that reads bodies or asks for credentials.
    #[must_use]
    pub fn router(&self) -> Option<Router> {
        match &self.parts.transport {
            Transport::Http(webhook) => Some(Arc::clone(webhook).router()),
            Transport::Socket(_) => None,
        }
    }

    /// Asks Slack who we are: finds a wrong token before the first hold does.
    ///
    /// # Errors
    /// What Slack answered, with what to do about it.
    pub async fn check(&self) -> Result<SlackIdentity, SlackError> {
        Ok(self.parts.port.identity.known().await?.clone())
    }

    /// Keeps cards true, and takes clicks and commands in Socket Mode, until `shutdown`; then lets what
    /// has begun end.
    pub async fn run(&self, shutdown: CancellationToken) {
        let parts = &self.parts;
        let reconciler = Reconciler::new(Arc::new(parts.port.clone()), Arc::clone(&parts.cards));
        let notifier = Notifier::new(Arc::new(parts.port.clone()), Arc::clone(&parts.cards));
        let socket = async {
            if let Transport::Socket(app_token) = &parts.transport {
                let socket = Socket {
                    api: Arc::clone(&parts.port.api),
                    app_token: app_token.clone(),
                    inbox: parts.inbox.clone(),
                    complaints: Arc::clone(&parts.port.complaints),
                    addresses: parts.addresses.clone(),
                    tls: Arc::clone(&parts.tls),
                };
                socket.run(shutdown.clone()).await;
            }
        };
        tokio::join!(
            Box::pin(reconciler.run(shutdown.clone())),
            Box::pin(socket),
            notifier.run(shutdown.clone()),
            Box::pin(self.greet(&shutdown)),
        );
        if timeout(limits::SHUTDOWN_MAX, parts.reception.finish())
            .await
            .is_err()
        {
            warn!("some clicks or commands were still worked on at shutdown");
        }
    }

    /// Says once who we are, or keeps saying what is wrong.
    async fn greet(&self, shutdown: &CancellationToken) {
        let mut failures = 0;
        loop {
            let known = tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                known = self.parts.port.identity.known() => known,
            };
            match known {
                Ok(us) => {
                    let team = us.team.as_deref().unwrap_or("-");
                    info!(
                        team,
                        team_id = us.team_id,
                        bot = us.user_id,
                        "connected to Slack"
                    );
                    return;
                }
                Err(error) => self.parts.port.complaints.call_failed(&error, None),
            }
            let wait = backoff(
                failures,
                limits::SOCKET_BACKOFF_FIRST,
                limits::COMPLAIN_EVERY,
            );
            failures += 1;
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = sleep(wait) => {}
            }
        }
    }
}

fn console(text: &str) -> Result<Url, SlackError> {
    let wrong =
        || SlackError::ConsoleUrl("expected something like https://abeyance.example".to_owned());
    let url = Url::parse(text).map_err(|_| wrong())?;
    if matches!(url.scheme(), "http" | "https") && url.host_str().is_some() {
        Ok(url)
    } else {
        Err(wrong())
    }
}
