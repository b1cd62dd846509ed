//! Clicks and commands that Slack never sent, or sent once: nothing happens, and the answer says nothing.

use std::sync::Arc;

use crate::rig::{APPROVE, HOLD, Rig, bot, http_mode};
use crate::support::{BOB, CHANNEL, Desk, EVE, pending};
use abeyance_api::SystemClock;
use abeyance_slack_double::{
    Answer, Delivery, DoubleConfig, Forgery, Interactivity, Message, SlackDouble, Target,
};
use axum::Router;
use tokio::{net::TcpListener, task::JoinSet};

const OVERRIDE: &str =
    "override dba @ann from 2026-12-24 18:00 until 2026-12-25 06:00 because the dentist";
const REVOKE: &str = "revoke GRT-7K3Q because the dentist";

fn click_on(card: &Message) -> Target {
    Target::Click {
        user: BOB.to_owned(),
        channel: CHANNEL.to_owned(),
        ts: card.ts.clone(),
        action_id: APPROVE.to_owned(),
    }
}

fn command(text: &str) -> Target {
    Target::Command {
        user: BOB.to_owned(),
        channel: CHANNEL.to_owned(),
        command: "/abeyance".to_owned(),
        text: text.to_owned(),
    }
}

fn garbage(body: &str) -> Forgery {
    Forgery::SignedGarbage {
        body: body.to_owned(),
    }
}

fn at_commands(forgery: Forgery) -> Forgery {
    let forgery = Box::new(forgery);
    Forgery::AtCommands { forgery }
}

fn at_clicks(forgery: Forgery) -> Forgery {
    let forgery = Box::new(forgery);
    Forgery::AtClicks { forgery }
}

/// Whatever is wrong with the signature of something that would be a right request.
fn unsigned(target: &Target) -> Vec<Forgery> {
    let old = |age_secs| Forgery::OldTimestamp {
        target: target.clone(),
        age_secs,
    };
    vec![
        Forgery::BadSignature(target.clone()),
        Forgery::NoSignature(target.clone()),
        Forgery::NoTimestamp(target.clone()),
        Forgery::WrongSecret(target.clone()),
        Forgery::TamperedBody(target.clone()),
        old(301),
        old(-310),
    ]
}

/// One line that names a remedy, and nothing of what was sent or is held.
fn says_nothing(answer: &Answer, forgery: &Forgery) {
    let said = answer.body.trim_end();
    assert!(
        !said.is_empty() && !said.contains('\n'),
        "{forgery:?}: {answer:?}"
    );
    for secret in [
        HOLD,
        "7K3Q",
        "billing",
        "dentist",
        "ann",
        "abeyance_",
        "U0BOB",
    ] {
        assert!(!said.contains(secret), "{forgery:?}: {answer:?}");
    }
}

async fn refused(rig: &Rig, forgery: Forgery, status: u16) {
    let answer = rig.forge(forgery.clone()).await;
    assert_eq!(answer.status, status, "{forgery:?}: {answer:?}");
    says_nothing(&answer, &forgery);
}

async fn too_large(rig: &Rig, forgery: Forgery) {
    let answer = rig.forge(forgery).await;
    // The answer may overtake a body that nobody reads.
    assert!(answer.status == 413 || answer.error.is_some(), "{answer:?}");
}

/// The desk was asked nothing, and nobody was told anything.
fn nothing_happened(rig: &Rig) {
    assert_eq!(rig.desk.decisions(), 0);
    assert_eq!(*rig.desk.lookups.lock().unwrap(), 0);
    assert!(rig.desk.stand_ins.lock().unwrap().is_empty());
    assert!(rig.desk.revocations.lock().unwrap().is_empty());
    assert!(rig.double.ephemerals(CHANNEL, BOB).is_empty());
}

#[tokio::test]
async fn forged_clicks_do_nothing() {
    let rig = Rig::http().await;
    let card = rig.card(HOLD).await;
    for forgery in unsigned(&click_on(&card)) {
        refused(&rig, forgery, 401).await;
    }
    for body in [
        "payload=%7B",
        "payload=%7B%7D",
        "nothing",
        "payload=1&payload=2",
    ] {
        refused(&rig, garbage(body), 400).await;
    }
    let bytes = 20 * 1024 * 1024;
    too_large(&rig, Forgery::Oversized { bytes }).await;
    rig.bot.check().await.unwrap();
    refused(&rig, Forgery::OtherTeam(click_on(&card)), 403).await;
    nothing_happened(&rig);

    let first = rig.click(EVE, &card, APPROVE).await;
    rig.told(EVE, "roster").await;
    refused(&rig, Forgery::Replay { delivery: first.id }, 409).await;
    assert_eq!(rig.desk.decisions(), 1);
    rig.stop().await;
}

#[tokio::test]
async fn forged_commands_do_nothing() {
    let rig = Rig::http().await;
    rig.desk.put(pending(HOLD));
    for text in [OVERRIDE, REVOKE, "show HLD-7K3Q"] {
        for forgery in unsigned(&command(text)) {
            refused(&rig, forgery, 401).await;
        }
    }
    for body in [
        "",
        "payload=%7B%7D",
        "command=%2Fabeyance&text=holds",
        "user_id=U0BOB0001&text=holds",
        "user_id=U0BOB0001&command=abeyance&text=holds",
        "user_id=U0BOB0001&command=%2Fabeyance&text=holds&text=revoke",
        "user_id=U0EVE0001&user_id=U0BOB0001&command=%2Fabeyance",
        "user_id=%3C%21channel%3E&command=%2Fabeyance&text=holds",
    ] {
        refused(&rig, at_commands(garbage(body)), 400).await;
    }
    let fields: String = (0..100).map(|n| format!("f{n}=1&")).collect();
    refused(&rig, at_commands(garbage(&fields)), 400).await;
    let bytes = 20 * 1024 * 1024;
    too_large(&rig, at_commands(Forgery::Oversized { bytes })).await;
    rig.bot.check().await.unwrap();
    refused(&rig, Forgery::OtherTeam(command(OVERRIDE)), 403).await;
    nothing_happened(&rig);
    rig.stop().await;
}

/// Before the bot knows its own workspace, what comes from another is acknowledged, and then refused.
#[tokio::test]
async fn another_workspaces_command_is_refused_from_the_first_on() {
    let rig = Rig::http().await;
    let answer = rig.forge(Forgery::OtherTeam(command(OVERRIDE))).await;
    assert!(matches!(answer.status, 200 | 403), "{answer:?}");
    if answer.status == 200 {
        rig.told(BOB, "belongs to another workspace").await;
    }
    assert_eq!(*rig.desk.lookups.lock().unwrap(), 0);
    assert!(rig.desk.stand_ins.lock().unwrap().is_empty());
    rig.stop().await;
}

/// A recorded request, sent again byte for byte inside the window, at either address.
#[tokio::test]
async fn replayed_commands_do_nothing_twice() {
    let rig = Rig::http().await;
    let typed = async |text: &str, answer: &str| {
        let sent = rig.double.slash_command(BOB, CHANNEL, "/abeyance", text);
        let sent = sent.await.unwrap();
        assert!(sent.acked(), "{sent:?}");
        rig.told(BOB, answer).await;
        sent.id
    };
    let overridden = typed(OVERRIDE, "There are no overrides").await;
    let revoked = typed(REVOKE, "There is no grant").await;
    let said = rig.double.ephemerals(CHANNEL, BOB).len();
    for delivery in [overridden, revoked] {
        for forgery in [
            Forgery::Replay { delivery },
            at_clicks(Forgery::Replay { delivery }),
        ] {
            refused(&rig, forgery, 409).await;
        }
    }
    assert_eq!(*rig.desk.lookups.lock().unwrap(), 2);
    assert_eq!(rig.desk.stand_ins.lock().unwrap().len(), 1);
    assert_eq!(rig.desk.revocations.lock().unwrap().len(), 1);
    assert_eq!(rig.double.ephemerals(CHANNEL, BOB).len(), said);
    rig.stop().await;
}

/// Another approver has not seen the request. It asks the desk under the same key, and the desk refuses that one.
#[tokio::test]
async fn a_command_replayed_at_another_approver_has_the_key_of_the_first() {
    let rig = Rig::http().await;
    let sent = rig
        .double
        .slash_command(BOB, CHANNEL, "/abeyance", OVERRIDE);
    let sent = sent.await.unwrap();
    rig.told(BOB, "There are no overrides").await;
    let _other = replayed_elsewhere(&rig, sent, "/slack/commands").await;
    let twice = |desk: &Desk| desk.stand_ins.lock().unwrap().len() == 2;
    rig.desk.when(twice).await;
    let asked = rig.desk.stand_ins.lock().unwrap().clone();
    assert!(asked[0].key.is_some(), "{asked:?}");
    assert_eq!(asked[0].key, asked[1].key);
    rig.stop().await;
}

/// The same of clicks: votes can be changed, and a recorded click must not change one back.
#[tokio::test]
async fn a_click_replayed_at_another_approver_has_the_key_of_the_first() {
    let rig = Rig::http().await;
    let card = rig.card(HOLD).await;
    let first = rig.click(EVE, &card, APPROVE).await;
    rig.told(EVE, "roster").await;
    rig.click(EVE, &card, APPROVE).await;
    rig.desk.when(|desk| desk.decisions() == 2).await;
    let _other = replayed_elsewhere(&rig, first, "/slack/interactions").await;
    rig.desk.when(|desk| desk.decisions() == 3).await;
    let asked = rig.desk.asked.lock().unwrap().clone();
    assert!(asked[0].key.is_some(), "{asked:?}");
    assert_eq!(asked[0].key, asked[2].key, "the same click");
    assert_ne!(asked[0].key, asked[1].key, "another one");
    rig.stop().await;
}

/// Sends what was recorded to another bot, which takes it for new.
async fn replayed_elsewhere(rig: &Rig, sent: Delivery, path: &str) -> JoinSet<()> {
    let config = DoubleConfig::default();
    let clock = Arc::new(SystemClock);
    let other = bot(&rig.double, &rig.desk, http_mode(&config), clock);
    let serving = serve(other.router().unwrap(), &rig.double, path).await;
    let recorded = sent.recorded.unwrap();
    let (headers, body) = (recorded.headers, recorded.body);
    let answer = rig.forge(Forgery::Raw { headers, body }).await;
    assert_eq!((answer.status, answer.body.as_str()), (200, ""));
    serving
}

/// Another bot, where Slack sends everything from now on.
async fn serve(router: Router, double: &SlackDouble, path: &str) -> JoinSet<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    double.set_interactivity(Interactivity::Http {
        request_url: format!("http://{address}{path}"),
        command_url: None,
    });
    let mut serving = JoinSet::new();
    serving.spawn(async move { axum::serve(listener, router).await.unwrap() });
    serving
}

/// What was signed for one address is worth nothing at the other, and is spent there.
#[tokio::test]
async fn a_command_taken_to_the_clicks_and_a_click_to_the_commands_do_nothing() {
    let rig = Rig::http().await;
    let card = rig.card(HOLD).await;
    // Rightly signed and fresh: as old as nothing at all.
    let fresh = |target| Forgery::OldTimestamp {
        target,
        age_secs: 0,
    };
    refused(&rig, at_clicks(fresh(command(OVERRIDE))), 400).await;
    refused(&rig, at_commands(fresh(click_on(&card))), 400).await;
    nothing_happened(&rig);
    rig.stop().await;
}
