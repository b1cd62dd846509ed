//! What the bot logs while cards, clicks, forms and trouble pass through it: never what was said (invariant 7).

use std::{
    io::{self, Write},
    sync::{Arc, Mutex},
};

use crate::rig::{APPROVE, DENY, HOLD, SOON, bot, socket_mode};
use crate::support::{BOB, CHANNEL, Desk, EVE, pending};
use abeyance_api::SystemClock;
use abeyance_slack_double::{DoubleConfig, Fault, FaultKind, SlackDouble};
use serde_json::json;
use tokio_util::sync::CancellationToken;
use tracing_subscriber::{EnvFilter, fmt::MakeWriter};

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[tokio::test]
async fn nothing_that_was_said_and_no_secret_is_logged() {
    let log = Log::default();
    let filter = EnvFilter::new("abeyance_slack=trace,abeyance_chat=trace");
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(log.clone())
        .with_ansi(false)
        .init();

    let config = DoubleConfig::socket();
    let secrets = [
        config.bot_token.clone(),
        config.app_token.clone(),
        config.signing_secret.clone(),
    ];
    let mode = socket_mode(&config);
    let double = SlackDouble::start(config).await.unwrap();
    let desk = Arc::new(Desk::default());
    let bot = bot(&double, &desk, mode, Arc::new(SystemClock));
    assert!(
        !secrets
            .iter()
            .any(|secret| format!("{bot:?}").contains(secret))
    );
    let shutdown = CancellationToken::new();
    let story = async {
        double.wait_for_socket(1, SOON).await.unwrap();
        for kind in [
            FaultKind::InvalidJson,
            FaultKind::Error {
                code: "invalid_blocks".to_owned(),
            },
            FaultKind::Status { status: 500 },
        ] {
            double.fault(Fault {
                method: "chat.postMessage".to_owned(),
                kind,
                times: 1,
            });
        }
        desk.put(pending(HOLD));
        let card = double
            .wait_for_message(CHANNEL, SOON, |message| !message.action_ids().is_empty())
            .await
            .unwrap();
        double.click(EVE, CHANNEL, &card.ts, APPROVE).await.unwrap();
        double
            .wait_for_ephemeral(CHANNEL, EVE, SOON, |_| true)
            .await
            .unwrap();
        double.fault(Fault {
            method: "views.open".to_owned(),
            kind: FaultKind::Error {
                code: "expired_trigger_id".to_owned(),
            },
            times: 1,
        });
        double.click(BOB, CHANNEL, &card.ts, DENY).await.unwrap();
        double
            .wait_for_ephemeral(CHANNEL, BOB, SOON, |_| true)
            .await
            .unwrap();
        double.click(BOB, CHANNEL, &card.ts, DENY).await.unwrap();
        let view = double.wait_for_view(BOB, SOON).await.unwrap();
        let reason = json!({"reason": {"reason": "open sesame"}});
        double.submit_view(BOB, &view.id, reason).await.unwrap();
        double
            .wait_for_message(CHANNEL, SOON, |message| {
                message.all_text().contains("Denied by Bob")
            })
            .await
            .unwrap();
        shutdown.cancel();
    };
    tokio::join!(story, bot.run(shutdown.clone()));

    let logged = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    for expected in [
        "connected to Slack",
        HOLD,
        "a decision came from Slack",
        "expired_trigger_id",
    ] {
        assert!(
            logged.contains(expected),
            "{expected} is missing in {logged}"
        );
    }
    let view = pending(HOLD);
    let said = [
        "open sesame",
        "patient_id",
        "DELETE FROM",
        "clearing duplicates",
        "ticket=",
        "response_url=",
        "/link",
    ];
    for secret in secrets.iter().map(String::as_str).chain(said).chain([view
        .request
        .session
        .client_addr
        .as_str()])
    {
        assert!(!logged.contains(secret), "{secret} is in {logged}");
    }
}
