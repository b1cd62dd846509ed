//! What the Slack bot is told: tokens, how clicks arrive, and which addresses it trusts.

use secrecy::{ExposeSecret, SecretString};
use url::{Host, Url};

use crate::SlackError;

const API_URL: &str = "https://slack.com/api";
/// Where Slack itself lives; its webhooks and sockets are on subdomains.
const SLACK_DOMAINS: [&str; 2] = ["slack.com", "slack-gov.com"];

/// Raw configuration, checked by [`crate::SlackBot::new`].
#[derive(Debug, Clone)]
pub struct SlackConfig {
    /// The app's bot token, `xoxb-…`.
    pub bot_token: SecretString,
    /// How clicks arrive.
    pub mode: SlackMode,
    /// Another address of the Web API, for GovSlack, a gateway or a test; `None` is Slack.
    pub api_url: Option<String>,
}

/// How clicks arrive.
#[derive(Debug, Clone)]
pub enum SlackMode {
    /// Slack calls us: `POST /slack/interactions`, signed with this secret.
    Http { signing_secret: SecretString },
    /// We call Slack and keep a websocket open, with an app-level token, `xapp-…`.
    Socket { app_token: SecretString },
}

impl SlackConfig {
    /// Checks the forms of things; no I/O.
    pub(crate) fn check(&self) -> Result<Addresses, SlackError> {
        form(
            &self.bot_token,
            "slack.bot_token",
            "xoxb-",
            "the Bot User OAuth Token of the app's \"OAuth & Permissions\" page",
        )?;
        match &self.mode {
            SlackMode::Http { signing_secret }
                if signing_secret.expose_secret().trim().is_empty() =>
            {
                Err(SlackError::Config {
                    key: "slack.signing_secret",
                    problem: "is empty".to_owned(),
                    hint: "copy the Signing Secret of the app's \"Basic Information\" page",
                })
            }
            SlackMode::Http { .. } => Ok(()),
            SlackMode::Socket { app_token } => form(
                app_token,
                "slack.app_token",
                "xapp-",
                "an App-Level Token with connections:write of the app's \"Basic Information\" page",
            ),
        }?;
        Addresses::parse(self.api_url.as_deref().unwrap_or(API_URL))
    }
}

fn form(
    token: &SecretString,
    key: &'static str,
    prefix: &str,
    hint: &'static str,
) -> Result<(), SlackError> {
    let text = token.expose_secret();
    let problem = if text.is_empty() {
        "is empty".to_owned()
    } else if text
        .chars()
        .any(|c| c.is_whitespace() || !c.is_ascii_graphic())
    {
        "has spaces, line ends or other characters that no token has".to_owned()
    } else if !text.starts_with(prefix) {
        format!("does not start with {prefix}")
    } else {
        return Ok(());
    };
    Err(SlackError::Config { key, problem, hint })
}

/// Which addresses we talk to. Payloads carry addresses, and following any of them
/// would let whoever forges a payload make us call into our own network.
#[derive(Debug, Clone)]
pub(crate) struct Addresses {
    /// Without a trailing slash.
    pub api: String,
    url: Url,
}

impl Addresses {
    fn parse(text: &str) -> Result<Self, SlackError> {
        let wrong = |problem: String| SlackError::Config {
            key: "slack.api_url",
            problem,
            hint: "leave it out, or give the address of the Web API, such as https://slack.com/api",
        };
        let url = Url::parse(text.trim_end_matches('/'))
            .map_err(|error| wrong(format!("is not an address: {error}")))?;
        if url.host_str().is_none()
            || !url.username().is_empty()
            || url.password().is_some()
            || url.query().is_some()
        {
            return Err(wrong("must have a host, and no user or query".to_owned()));
        }
        let plain_and_far = url.scheme() == "http" && !is_loopback(&url);
        if !matches!(url.scheme(), "https" | "http") || plain_and_far {
            return Err(wrong(
                "must be https, or http on this machine: it carries the token".to_owned(),
            ));
        }
        Ok(Self {
            api: url.as_str().trim_end_matches('/').to_owned(),
            url,
        })
    }

    /// Whether plain text is allowed: only to a test on this machine.
    pub fn plain(&self) -> bool {
        self.url.scheme() == "http"
    }

    /// Whether a `response_url` from a payload may be called.
    pub fn trusts_webhook(&self, url: &Url) -> bool {
        let same_origin = url.origin() == self.url.origin();
        clean(url)
            && (same_origin || (url.scheme() == "https" && default_port(url) && is_slack(url)))
    }

    /// Whether a websocket address that the API gave us may be opened.
    pub fn trusts_socket(&self, url: &Url) -> bool {
        let same_host = url.host() == self.url.host();
        let scheme = if self.plain() {
            matches!(url.scheme(), "ws" | "wss")
        } else {
            url.scheme() == "wss"
        };
        clean(url) && scheme && (same_host || (url.scheme() == "wss" && is_slack(url)))
    }
}

fn clean(url: &Url) -> bool {
    url.username().is_empty() && url.password().is_none()
}

fn default_port(url: &Url) -> bool {
    url.port().is_none()
}

fn is_slack(url: &Url) -> bool {
    let Some(Host::Domain(host)) = url.host() else {
        return false;
    };
    SLACK_DOMAINS.iter().any(|domain| {
        host == *domain
            || host
                .strip_suffix(domain)
                .is_some_and(|rest| rest.ends_with('.'))
    })
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(bot: &str, mode: SlackMode, api_url: Option<&str>) -> SlackConfig {
        SlackConfig {
            bot_token: bot.into(),
            mode,
            api_url: api_url.map(ToOwned::to_owned),
        }
    }

    fn socket(token: &str) -> SlackMode {
        SlackMode::Socket {
            app_token: token.into(),
        }
    }

    #[test]
    fn mistakes_are_named_without_showing_secrets() {
        let http = |secret: &str| SlackMode::Http {
            signing_secret: secret.into(),
        };
        let cases = [
            (
                config("", socket("xapp-1"), None),
                "slack.bot_token is empty",
            ),
            (
                config("xapp-1", socket("xapp-1"), None),
                "slack.bot_token does not start with xoxb-",
            ),
            (
                config("xoxb-1\n", socket("xapp-1"), None),
                "slack.bot_token has spaces",
            ),
            (
                config("xoxb-1", socket("xoxb-secret"), None),
                "slack.app_token does not start with xapp-",
            ),
            (
                config("xoxb-1", http(" "), None),
                "slack.signing_secret is empty",
            ),
            (
                config("xoxb-1", http("s"), Some("slack")),
                "slack.api_url is not an address",
            ),
            (
                config("xoxb-1", http("s"), Some("http://slack.example/api")),
                "slack.api_url must be https",
            ),
            (
                config("xoxb-1", http("s"), Some("https://u:p@slack.com/api")),
                "slack.api_url must have a host",
            ),
        ];
        for (config, want) in cases {
            let error = config.check().unwrap_err().to_string();
            assert!(error.starts_with(want), "{error}");
            assert!(
                !error.contains("xoxb-secret") && !error.contains("xoxb-1"),
                "{error}"
            );
        }
        assert!(config("xoxb-1", socket("xapp-1"), None).check().is_ok());
        assert!(
            config("xoxb-1", socket("xapp-1"), Some("http://127.0.0.1:9/api/"))
                .check()
                .is_ok()
        );
    }

    #[test]
    fn only_slack_and_the_configured_api_are_called() {
        let slack = Addresses::parse(API_URL).unwrap();
        let double = Addresses::parse("http://127.0.0.1:8123/api/").unwrap();
        let url = |text: &str| Url::parse(text).unwrap();
        for good in [
            "https://hooks.slack.com/actions/T1/2/3",
            "https://hooks.slack-gov.com/actions/x",
        ] {
            assert!(slack.trusts_webhook(&url(good)), "{good}");
        }
        for bad in [
            "http://hooks.slack.com/actions",
            "https://hooks.slack.com.evil.example/",
            "https://evilslack.com/",
            "https://hooks.slack.com:8443/",
            "https://u@hooks.slack.com/",
            "https://169.254.169.254/latest",
            "http://127.0.0.1:8123/response",
            "file:///etc/passwd",
        ] {
            assert!(!slack.trusts_webhook(&url(bad)), "{bad}");
        }
        assert!(double.trusts_webhook(&url("http://127.0.0.1:8123/response/1")));
        assert!(!double.trusts_webhook(&url("http://127.0.0.1:9999/response/1")));
        assert!(slack.trusts_socket(&url("wss://wss-primary.slack.com/link/?ticket=1")));
        assert!(!slack.trusts_socket(&url("ws://wss-primary.slack.com/link/")));
        assert!(!slack.trusts_socket(&url("wss://evil.example/link/")));
        assert!(double.trusts_socket(&url("ws://127.0.0.1:9000/link")));
        assert!(!double.trusts_socket(&url("ws://10.0.0.1:9000/link")));
    }
}
