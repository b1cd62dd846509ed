//! Slack's Web API through slack-morphism: the calls we make, each with a time limit and an error
//! that carries no content.
//!
//! Requests use slack-morphism's models. Answers are read into small types of our own, because its models
//! refuse whole answers over fields we never look at, and a card that was posted must not look as if it was not.

use std::{future::Future, sync::Arc, time::Duration};

use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy::connect::HttpConnector;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};
use slack_morphism::prelude::*;
use tokio::time::timeout;
use url::Url;

use crate::{CallError, SlackError, config::Addresses, limits};

type Answer<T> = Result<T, CallError>;

/// A client for one app in one workspace.
pub(crate) struct SlackApi {
    client: SlackHyperClient,
    token: SlackApiToken,
    addresses: Addresses,
}

/// What a message says: blocks, and text for whoever cannot show them.
pub(crate) struct Content {
    pub text: String,
    pub blocks: Vec<SlackBlock>,
    /// `event_type` and one key of the payload.
    pub metadata: Option<SlackMessageMetadata>,
}

impl From<Content> for SlackMessageContent {
    fn from(content: Content) -> Self {
        Self::new()
            .with_text(content.text)
            .with_blocks(content.blocks)
            .opt_metadata(content.metadata)
    }
}

/// Who we are, from `auth.test`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct SlackIdentity {
    pub team_id: String,
    #[serde(default)]
    pub team: Option<String>,
    pub user_id: String,
    #[serde(default)]
    pub bot_id: Option<String>,
    #[serde(default)]
    pub enterprise_id: Option<String>,
}

/// A message of a channel's history, as far as it matters.
#[derive(Debug, Deserialize)]
pub(crate) struct PastMessage {
    pub ts: String,
    #[serde(default)]
    pub user: Option<String>,
    #[serde(default)]
    pub bot_id: Option<String>,
    #[serde(default)]
    pub metadata: Option<Value>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct HistoryPage {
    pub messages: Vec<PastMessage>,
    #[serde(default)]
    response_metadata: Option<Cursor>,
}

#[derive(Debug, Deserialize)]
struct Cursor {
    #[serde(default)]
    next_cursor: Option<String>,
}

impl HistoryPage {
    pub fn next(&self) -> Option<String> {
        let cursor = self.response_metadata.as_ref()?.next_cursor.as_ref()?;
        (!cursor.is_empty()).then(|| cursor.clone())
    }
}

/// Which part of the past to look at.
#[derive(Debug, Clone)]
pub(crate) struct Past {
    pub channel: String,
    /// Under this message only.
    pub thread: Option<String>,
    /// As Slack writes instants.
    pub oldest: String,
    pub cursor: Option<String>,
}

#[derive(Deserialize)]
struct Conversation {
    channel: ConversationId,
}

#[derive(Deserialize)]
struct ConversationId {
    id: String,
}

#[derive(Deserialize)]
struct Posted {
    ts: String,
}

/// An answer nobody looks at.
#[derive(Deserialize)]
struct Fine {}

#[derive(Deserialize)]
struct Opened {
    url: String,
}

impl SlackApi {
    pub fn new(
        token: &SecretString,
        addresses: Addresses,
        tls: &Arc<rustls::ClientConfig>,
    ) -> Self {
        let connector = SlackClientHyperConnector::with_connector(connector(&addresses, tls))
            .with_slack_api_url(&addresses.api);
        Self {
            client: SlackClient::new(connector),
            token: api_token(token),
            addresses,
        }
    }

    pub async fn auth_test(&self) -> Answer<SlackIdentity> {
        let parameters: Vec<(&str, Option<&str>)> = Vec::new();
        let session = self.client.open_session(&self.token);
        let call = session
            .http_session_api
            .http_get("auth.test", &parameters, None);
        bounded("auth.test", limits::CALL_MAX, call).await
    }

    /// Returns the message's `ts`.
    pub async fn post(&self, channel: &str, content: Content) -> Answer<String> {
        self.post_in(channel, None, content).await
    }

    /// The same, under another message when one is given.
    pub async fn post_in(
        &self,
        channel: &str,
        thread: Option<&str>,
        content: Content,
    ) -> Answer<String> {
        let request = SlackApiChatPostMessageRequest::new(channel.into(), content.into())
            .opt_thread_ts(thread.map(Into::into))
            .with_unfurl_links(false)
            .with_unfurl_media(false);
        let posted: Posted = self
            .call("chat.postMessage", &request, limits::CALL_MAX)
            .await?;
        Ok(posted.ts)
    }

    pub async fn update(&self, channel: &str, ts: &str, content: Content) -> Answer<()> {
        let request = SlackApiChatUpdateRequest::new(channel.into(), content.into(), ts.into());
        let Fine {} = self.call("chat.update", &request, limits::CALL_MAX).await?;
        Ok(())
    }

    pub async fn ephemeral(
        &self,
        channel: &str,
        user: &str,
        text: &str,
        blocks: &[SlackBlock],
    ) -> Answer<()> {
        let mut content = SlackMessageContent::new().with_text(text.to_owned());
        if !blocks.is_empty() {
            content = content.with_blocks(blocks.to_vec());
        }
        let request = SlackApiChatPostEphemeralRequest::new(channel.into(), user.into(), content);
        let Fine {} = self
            .call("chat.postEphemeral", &request, limits::CALL_MAX)
            .await?;
        Ok(())
    }

    /// The channel of a person's direct messages.
    pub async fn conversations_open(&self, user: &str) -> Answer<String> {
        let request = json!({ "users": user });
        let answer: Conversation = self
            .call("conversations.open", &request, limits::CALL_MAX)
            .await?;
        Ok(answer.channel.id)
    }

    /// Sets the users of a group; never an empty list, which Slack refuses.
    pub async fn usergroup_update(&self, group: &str, users: &[String]) -> Answer<()> {
        let request = json!({ "usergroup": group, "users": users.join(",") });
        let Fine {} = self
            .call("usergroups.users.update", &request, limits::CALL_MAX)
            .await?;
        Ok(())
    }

    /// A page of what was said in a channel, or under a message of it.
    pub async fn past(&self, past: &Past) -> Answer<HistoryPage> {
        let limit = limits::HISTORY_PAGE.to_string();
        let mut parameters = vec![
            ("channel", Some(past.channel.as_str())),
            ("cursor", past.cursor.as_deref()),
            ("limit", Some(limit.as_str())),
            ("oldest", Some(past.oldest.as_str())),
            ("include_all_metadata", Some("true")),
        ];
        let method = match &past.thread {
            Some(thread) => {
                parameters.push(("ts", Some(thread)));
                "conversations.replies"
            }
            None => "conversations.history",
        };
        let session = self.client.open_session(&self.token);
        let call = session.http_session_api.http_get(method, &parameters, None);
        bounded(method, limits::CALL_MAX, call).await
    }

    /// Opens a form. The trigger lives three seconds, so does this call.
    pub async fn views_open(&self, trigger: &str, view: SlackModalView) -> Answer<()> {
        let request = SlackApiViewsOpenRequest::new(trigger.into(), SlackView::Modal(view));
        let Fine {} = self
            .call("views.open", &request, limits::FORM_OPEN_MAX)
            .await?;
        Ok(())
    }

    /// Asks for a Socket Mode address, with the app-level token.
    pub async fn connections_open(&self, app_token: &SecretString) -> Answer<String> {
        let token = api_token(app_token);
        let session = self.client.open_session(&token);
        let request = SlackApiAppsConnectionOpenRequest::new();
        let call = session
            .http_session_api
            .http_post("apps.connections.open", &request, None);
        let opened: Opened = bounded("apps.connections.open", limits::CALL_MAX, call).await?;
        Ok(opened.url)
    }

    /// Answers a click or a command through the address it came with, to that person only.
    pub async fn respond(&self, url: &Url, text: &str, blocks: &[SlackBlock]) -> Answer<()> {
        const METHOD: &str = "response_url";
        if !self.addresses.trusts_webhook(url) {
            return Err(CallError::Refused {
                method: METHOD,
                code: "untrusted_address".to_owned(),
            });
        }
        let mut body =
            json!({ "response_type": "ephemeral", "replace_original": false, "text": text });
        if !blocks.is_empty() {
            body["blocks"] = json!(blocks);
        }
        let span = tracing::Span::none();
        let context = SlackClientApiCallContext {
            rate_control_params: None,
            token: None,
            tracing_span: &span,
            is_sensitive_url: true,
        };
        let call = self
            .client
            .http_api
            .connector
            .http_post_uri(url.clone(), &body, context);
        let Fine {} = bounded(METHOD, limits::CALL_MAX, call).await?;
        Ok(())
    }

    async fn call<Q, A>(&self, method: &'static str, request: &Q, max: Duration) -> Answer<A>
    where
        Q: serde::Serialize + Send + Sync,
        A: for<'de> Deserialize<'de> + Send,
    {
        let session = self.client.open_session(&self.token);
        bounded(
            method,
            max,
            session.http_session_api.http_post(method, request, None),
        )
        .await
    }
}

/// slack-morphism has no time limits anywhere.
async fn bounded<T>(
    method: &'static str,
    max: Duration,
    call: impl Future<Output = ClientResult<T>>,
) -> Answer<T> {
    match timeout(max, call).await {
        Ok(answer) => answer.map_err(|error| CallError::from_client(method, &error)),
        Err(_) => Err(CallError::Unclear {
            method,
            what: "no answer in time",
        }),
    }
}

fn api_token(token: &SecretString) -> SlackApiToken {
    SlackApiToken::new(token.expose_secret().into())
}

fn connector(addresses: &Addresses, tls: &Arc<rustls::ClientConfig>) -> SlackHyperHttpsConnector {
    let mut http = HttpConnector::new();
    http.enforce_http(false);
    http.set_connect_timeout(Some(limits::CONNECT_MAX));
    http.set_nodelay(true);
    http.set_keepalive(Some(limits::KEEPALIVE));
    let builder = HttpsConnectorBuilder::new().with_tls_config(tls.as_ref().clone());
    let builder = if addresses.plain() {
        builder.https_or_http()
    } else {
        builder.https_only()
    };
    // HTTP/1 only: there a call that timed out takes its connection along. On HTTP/2 the calls that
    // follow would share a connection that a network has silently dropped.
    builder.enable_http1().wrap_connector(http)
}

/// TLS with the machine's roots. The provider is named, so that nothing depends on a process-wide default.
pub(crate) fn tls_config() -> Result<Arc<rustls::ClientConfig>, SlackError> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = rustls::RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| SlackError::Tls(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}
