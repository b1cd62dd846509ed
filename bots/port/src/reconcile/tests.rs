//! The reconciler against a desk and a chat that can be told to misbehave. The clock is paused.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use abeyance_api::{CardFailure, CardReceipt, ChatKind, HoldView};
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use tokio::sync::Notify;

use super::*;
use crate::{Card, PortError, card::tests::pending};

/// A card as the desk keeps it.
#[derive(Default, Clone)]
struct Stored {
    message: Option<String>,
    shown: Option<u64>,
    begun: bool,
    in_doubt: bool,
    failures: u32,
    retry_at: Option<Instant>,
    leased_until: Option<Instant>,
    given_up: bool,
}

#[derive(Default)]
struct Desk {
    holds: Mutex<BTreeMap<(String, String), (HoldView, Stored)>>,
    changed: Notify,
    failures: Mutex<Vec<CardFailure>>,
    down: Mutex<bool>,
    forget_receipts: Mutex<u32>,
    /// How long a receipt's answer takes after it was noted.
    receipt_answers_in: Mutex<Duration>,
}

impl Desk {
    fn put(&self, channel: &str, view: HoldView) {
        let key = (channel.to_owned(), view.id.to_string());
        let mut holds = self.holds.lock().unwrap();
        let stored = holds
            .get(&key)
            .map(|(_, stored)| stored.clone())
            .unwrap_or_default();
        holds.insert(key, (view, stored));
        self.changed.notify_one();
    }

    fn stored(&self, channel: &str, hold: &str) -> Stored {
        let key = (channel.to_owned(), hold.to_owned());
        self.holds.lock().unwrap()[&key].1.clone()
    }

    fn with(&self, channel: &str, hold: &HoldId, change: impl FnOnce(&mut Stored)) {
        let key = (channel.to_owned(), hold.to_string());
        change(&mut self.holds.lock().unwrap().get_mut(&key).unwrap().1);
        self.changed.notify_one();
    }

    async fn until(&self, what: &str, done: impl Fn(&Self) -> bool) {
        for _ in 0..10_000 {
            if done(self) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("never happened: {what}");
    }
}

#[async_trait]
impl CardDesk for Desk {
    async fn cards_due(&self, _: ChatKind, limit: u32) -> Result<Vec<CardTask>, DeskError> {
        if *self.down.lock().unwrap() {
            return Err(DeskError::Unavailable {
                detail: "down".to_owned(),
            });
        }
        let now = Instant::now();
        let mut due = Vec::new();
        for ((channel, _), (view, stored)) in self.holds.lock().unwrap().iter_mut() {
            let waits = |at: Option<Instant>| at.is_some_and(|at| at > now);
            let stale = stored.shown.is_none_or(|shown| shown < view.version);
            if due.len() as u32 == limit
                || !stale
                || stored.given_up
                || waits(stored.retry_at)
                || waits(stored.leased_until)
            {
                continue;
            }
            // A lease that ran out after a begun delivery leaves a doubt.
            if stored.begun {
                stored.in_doubt = true;
            }
            stored.leased_until = Some(now + Duration::from_secs(60));
            due.push(CardTask {
                chat: ChatKind::Slack,
                channel: channel.clone(),
                hold: view.clone(),
                message: stored.message.clone(),
                in_doubt: stored.in_doubt,
                failures: stored.failures,
            });
        }
        Ok(due)
    }

    async fn card_begin(&self, task: &CardTask) -> Result<(), DeskError> {
        self.with(&task.channel, &task.hold.id, |stored| stored.begun = true);
        Ok(())
    }

    async fn card_delivered(&self, receipt: CardReceipt) -> Result<(), DeskError> {
        let forgotten = {
            let mut forget = self.forget_receipts.lock().unwrap();
            let forgotten = *forget > 0;
            *forget = forget.saturating_sub(1);
            forgotten
        };
        if forgotten {
            return Err(DeskError::Unavailable {
                detail: "crashed".to_owned(),
            });
        }
        self.with(&receipt.channel, &receipt.hold, |stored| {
            *stored = Stored {
                message: Some(receipt.message),
                shown: Some(receipt.version),
                ..Stored::default()
            };
        });
        let wait = *self.receipt_answers_in.lock().unwrap();
        tokio::time::sleep(wait).await;
        Ok(())
    }

    async fn card_failed(&self, failure: CardFailure) -> Result<(), DeskError> {
        self.with(&failure.channel, &failure.hold, |stored| {
            stored.begun = false;
            stored.in_doubt = failure.in_doubt;
            stored.failures += 1;
            stored.leased_until = None;
            stored.retry_at = failure.retry_in.map(|wait| Instant::now() + wait);
            stored.given_up = failure.retry_in.is_none();
        });
        self.failures.lock().unwrap().push(failure);
        Ok(())
    }

    async fn cards_changed(&self, at_most: Duration) {
        let _ = timeout(at_most, self.changed.notified()).await;
    }
}

/// What the next calls of the chat do.
enum Script {
    Fail(PortError),
    /// The message arrives and the answer is lost.
    LoseAnswer,
    Slow(Duration),
}

#[derive(Default)]
struct Chat {
    script: Mutex<VecDeque<Script>>,
    /// channel -> messages, each the states it went through.
    messages: Mutex<BTreeMap<String, Vec<Vec<HoldState>>>>,
    holds: Mutex<BTreeMap<String, HoldId>>,
    in_flight: Mutex<BTreeMap<String, u32>>,
    most_in_flight: Mutex<u32>,
    posts: Mutex<Vec<(String, Instant)>>,
    blind: Mutex<bool>,
    per_second: AtomicBool,
    last_post: Mutex<BTreeMap<String, Instant>>,
}

impl Chat {
    fn shown(&self, channel: &str) -> Vec<Vec<HoldState>> {
        self.messages
            .lock()
            .unwrap()
            .get(channel)
            .cloned()
            .unwrap_or_default()
    }

    async fn play(&self, channel: &str) -> Result<bool, PortError> {
        {
            let mut in_flight = self.in_flight.lock().unwrap();
            let here = in_flight.entry(channel.to_owned()).or_default();
            *here += 1;
            assert_eq!(*here, 1, "two deliveries at once in {channel}");
            let total = in_flight.values().sum();
            let mut most = self.most_in_flight.lock().unwrap();
            *most = (*most).max(total);
        }
        let step = self.script.lock().unwrap().pop_front();
        let result = match step {
            None => Ok(true),
            Some(Script::Slow(time)) => {
                sleep(time).await;
                Ok(true)
            }
            Some(Script::Fail(error)) => Err(error),
            Some(Script::LoseAnswer) => Ok(false),
        };
        *self.in_flight.lock().unwrap().get_mut(channel).unwrap() -= 1;
        result
    }
}

fn lost() -> PortError {
    PortError::Doubt {
        error: "the connection closed".to_owned(),
    }
}

#[async_trait]
impl ChatPort for Chat {
    fn kind(&self) -> ChatKind {
        ChatKind::Slack
    }

    async fn post(&self, channel: &str, card: &Card) -> Result<String, PortError> {
        if self.per_second.load(Ordering::Relaxed) {
            let mut last = self.last_post.lock().unwrap();
            let now = Instant::now();
            if last
                .get(channel)
                .is_some_and(|at| now - *at < Duration::from_secs(1))
            {
                return Err(PortError::RateLimited {
                    retry_after: Duration::from_secs(1),
                });
            }
            last.insert(channel.to_owned(), now);
        }
        let answer = self.play(channel).await?;
        self.posts
            .lock()
            .unwrap()
            .push((card.hold.to_string(), Instant::now()));
        let mut messages = self.messages.lock().unwrap();
        let here = messages.entry(channel.to_owned()).or_default();
        here.push(vec![card.state]);
        let id = format!("{channel}/{}", here.len() - 1);
        self.holds
            .lock()
            .unwrap()
            .insert(id.clone(), card.hold.clone());
        if answer { Ok(id) } else { Err(lost()) }
    }

    async fn update(&self, channel: &str, message: &str, card: &Card) -> Result<(), PortError> {
        self.play(channel).await?;
        let index: usize = message.rsplit('/').next().unwrap().parse().unwrap();
        self.messages.lock().unwrap().get_mut(channel).unwrap()[index].push(card.state);
        Ok(())
    }

    async fn find(
        &self,
        channel: &str,
        hold: &HoldId,
        _: DateTime<Utc>,
    ) -> Result<Option<String>, PortError> {
        if *self.blind.lock().unwrap() {
            return Err(PortError::Blind {
                error: "missing_scope".to_owned(),
            });
        }
        let holds = self.holds.lock().unwrap();
        Ok(holds
            .iter()
            .find(|(id, of)| id.starts_with(channel) && *of == hold)
            .map(|(id, _)| id.clone()))
    }
}

fn hold(id: &str, version: u64, state: HoldState) -> HoldView {
    HoldView {
        id: id.parse().unwrap(),
        version,
        state,
        ..pending()
    }
}

struct Rig {
    desk: Arc<Desk>,
    chat: Arc<Chat>,
    shutdown: CancellationToken,
    running: JoinSet<()>,
}

impl Rig {
    fn new(script: impl IntoIterator<Item = Script>) -> Self {
        let chat = Chat {
            script: Mutex::new(script.into_iter().collect()),
            ..Chat::default()
        };
        Self {
            desk: Arc::default(),
            chat: Arc::new(chat),
            shutdown: CancellationToken::new(),
            running: JoinSet::new(),
        }
    }

    fn start(&mut self) {
        let reconciler = Reconciler::new(Arc::clone(&self.chat) as _, Arc::clone(&self.desk) as _);
        let shutdown = self.shutdown.clone();
        self.running
            .spawn(async move { reconciler.run(shutdown).await });
    }

    async fn shown(&self, channel: &str, hold: &str, version: u64) {
        self.desk
            .until(&format!("{hold} shown in {channel} at {version}"), |desk| {
                desk.stored(channel, hold).shown == Some(version)
            })
            .await;
    }

    async fn stop(mut self) {
        self.shutdown.cancel();
        self.running.join_next().await.unwrap().unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_card_is_posted_and_follows_its_hold() {
    let mut rig = Rig::new([]);
    rig.start();
    rig.desk.put("C1", hold("HLD-2222", 1, HoldState::Pending));
    rig.shown("C1", "HLD-2222", 1).await;
    rig.desk.put("C1", hold("HLD-2222", 2, HoldState::Approved));
    rig.desk.put("C1", hold("HLD-2222", 4, HoldState::Executed));
    rig.shown("C1", "HLD-2222", 4).await;
    let messages = rig.chat.shown("C1");
    assert_eq!(messages.len(), 1);
    assert_eq!(messages[0].last(), Some(&HoldState::Executed));
    rig.stop().await;
}

/// The desk notes a receipt before its answer is back: what moves on in between must not wait
/// for the lease to end.
#[tokio::test(start_paused = true)]
async fn a_hold_that_moves_while_a_receipt_is_answered_is_shown_at_once() {
    let mut rig = Rig::new([]);
    *rig.desk.receipt_answers_in.lock().unwrap() = Duration::from_millis(500);
    rig.start();
    rig.desk.put("C1", hold("HLD-2222", 1, HoldState::Pending));
    rig.shown("C1", "HLD-2222", 1).await;
    let started = Instant::now();
    rig.desk.put("C1", hold("HLD-2222", 2, HoldState::Approved));
    rig.shown("C1", "HLD-2222", 2).await;
    assert!(started.elapsed() < Duration::from_secs(10));
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_is_looked_up_and_not_posted_twice() {
    let mut rig = Rig::new([Script::LoseAnswer]);
    rig.start();
    rig.desk.put("C1", hold("HLD-2222", 1, HoldState::Pending));
    rig.shown("C1", "HLD-2222", 1).await;
    assert_eq!(rig.chat.shown("C1").len(), 1);
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_crash_between_post_and_record_is_looked_up() {
    let mut rig = Rig::new([]);
    *rig.desk.forget_receipts.lock().unwrap() = 1;
    rig.start();
    rig.desk.put("C1", hold("HLD-2222", 1, HoldState::Pending));
    rig.shown("C1", "HLD-2222", 1).await;
    assert_eq!(rig.chat.shown("C1").len(), 1);
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn without_the_right_to_look_the_card_is_posted_all_the_same() {
    let mut rig = Rig::new([Script::LoseAnswer]);
    *rig.chat.blind.lock().unwrap() = true;
    rig.start();
    rig.desk.put("C1", hold("HLD-2222", 1, HoldState::Pending));
    rig.shown("C1", "HLD-2222", 1).await;
    assert_eq!(rig.chat.shown("C1").len(), 2);
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn retry_after_is_honoured_and_holds_back_only_its_channel() {
    let mut rig = Rig::new([Script::Fail(PortError::RateLimited {
        retry_after: Duration::from_secs(30),
    })]);
    let begun = Instant::now();
    rig.desk.put("C1", hold("HLD-2222", 1, HoldState::Pending));
    rig.start();
    rig.desk
        .until("the refusal", |desk| {
            !desk.failures.lock().unwrap().is_empty()
        })
        .await;
    rig.desk.put("C1", hold("HLD-3333", 1, HoldState::Pending));
    rig.desk.put("C2", hold("HLD-4444", 1, HoldState::Pending));
    rig.shown("C2", "HLD-4444", 1).await;
    assert!(begun.elapsed() < Duration::from_secs(5));
    rig.shown("C1", "HLD-2222", 1).await;
    rig.shown("C1", "HLD-3333", 1).await;
    for (hold, at) in rig.chat.posts.lock().unwrap().iter() {
        let waited = *at - begun;
        assert_eq!(
            hold != "HLD-4444",
            waited >= Duration::from_secs(29),
            "{hold} after {waited:?}"
        );
        assert!(waited < Duration::from_secs(45), "{hold} after {waited:?}");
    }
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn failures_back_off_and_recover() {
    let refused = || {
        Script::Fail(PortError::Refused {
            error: "not_in_channel".to_owned(),
        })
    };
    let mut rig = Rig::new([refused(), refused(), refused()]);
    rig.start();
    rig.desk.put("C1", hold("HLD-2222", 1, HoldState::Pending));
    rig.shown("C1", "HLD-2222", 1).await;
    let failures = rig.desk.failures.lock().unwrap().clone();
    let waits: Vec<Duration> = failures
        .iter()
        .filter_map(|failure| failure.retry_in)
        .collect();
    assert_eq!(waits.len(), 3);
    assert!(
        waits[0] <= Duration::from_secs(1) && waits[2] >= Duration::from_secs(3),
        "{waits:?}"
    );
    assert!(failures.iter().all(|failure| !failure.in_doubt));
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_deleted_card_comes_back_while_somebody_must_decide_and_not_after() {
    let gone = || {
        Script::Fail(PortError::Gone {
            error: "message_not_found".to_owned(),
        })
    };
    let mut rig = Rig::new([]);
    rig.start();
    rig.desk.put("C1", hold("HLD-2222", 1, HoldState::Pending));
    rig.shown("C1", "HLD-2222", 1).await;
    rig.chat.script.lock().unwrap().push_back(gone());
    rig.desk.put("C1", hold("HLD-2222", 2, HoldState::Pending));
    rig.shown("C1", "HLD-2222", 2).await;
    assert_eq!(rig.chat.shown("C1").len(), 2);
    rig.chat.script.lock().unwrap().push_back(gone());
    rig.desk.put("C1", hold("HLD-2222", 3, HoldState::Denied));
    rig.desk
        .until("given up", |desk| desk.stored("C1", "HLD-2222").given_up)
        .await;
    assert_eq!(rig.chat.shown("C1").len(), 2);
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn many_channels_go_side_by_side_within_the_bound_and_one_slow_channel_delays_no_other() {
    let mut rig = Rig::new((0..40).map(|_| Script::Slow(Duration::from_secs(3))));
    for channel in 0..20 {
        for id in ["HLD-2222", "HLD-3333"] {
            rig.desk
                .put(&format!("C{channel:02}"), hold(id, 1, HoldState::Pending));
        }
    }
    let begun = Instant::now();
    rig.start();
    for channel in 0..20 {
        rig.shown(&format!("C{channel:02}"), "HLD-3333", 1).await;
    }
    assert_eq!(
        *rig.chat.most_in_flight.lock().unwrap() as usize,
        limits::LANES_MAX
    );
    assert!(
        begun.elapsed() < Duration::from_secs(40),
        "{:?}",
        begun.elapsed()
    );
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_card_people_wait_for_overtakes_cards_that_are_over() {
    let mut rig = Rig::new([Script::Slow(Duration::from_secs(3))]);
    rig.desk.put("C1", hold("HLD-2222", 1, HoldState::Expired));
    rig.desk.put("C1", hold("HLD-3333", 1, HoldState::Expired));
    rig.desk.put("C1", hold("HLD-9999", 1, HoldState::Pending));
    rig.start();
    for id in ["HLD-2222", "HLD-3333", "HLD-9999"] {
        rig.shown("C1", id, 1).await;
    }
    assert_eq!(rig.chat.posts.lock().unwrap()[0].0, "HLD-9999");
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_call_that_hangs_does_not_take_its_lane_along() {
    let mut rig = Rig::new([Script::Slow(Duration::from_secs(3600))]);
    rig.start();
    rig.desk.put("C1", hold("HLD-2222", 1, HoldState::Pending));
    rig.desk
        .until("the time-out", |desk| {
            !desk.failures.lock().unwrap().is_empty()
        })
        .await;
    assert!(rig.desk.failures.lock().unwrap()[0].in_doubt);
    *rig.chat.in_flight.lock().unwrap().get_mut("C1").unwrap() = 0;
    rig.shown("C1", "HLD-2222", 1).await;
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_desk_that_is_away_is_asked_again_without_spinning() {
    let mut rig = Rig::new([]);
    *rig.desk.down.lock().unwrap() = true;
    rig.start();
    rig.desk.put("C1", hold("HLD-2222", 1, HoldState::Pending));
    sleep(Duration::from_secs(20)).await;
    *rig.desk.down.lock().unwrap() = false;
    rig.shown("C1", "HLD-2222", 1).await;
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_flooded_channel_leaves_room_for_others_and_drains_without_churning() {
    const CARDS: usize = 300;
    let alphabet = b"23456789ABCDEFGHJKMNPQRSTVWXYZ".map(char::from);
    let id = |n: usize| format!("HLD-22{}{}", alphabet[n / 30], alphabet[n % 30]);
    // One card a second, as Slack allows: everything faster is told to wait.
    let mut rig = Rig::new([]);
    rig.chat.per_second.store(true, Ordering::Relaxed);
    for n in 0..CARDS {
        rig.desk.put("C1", hold(&id(n), 1, HoldState::Pending));
    }
    let begun = Instant::now();
    rig.start();
    sleep(Duration::from_secs(5)).await;
    rig.desk.put("C2", hold("HLD-9999", 1, HoldState::Pending));
    rig.shown("C2", "HLD-9999", 1).await;
    assert!(
        begun.elapsed() < Duration::from_secs(15),
        "the other channel waited {:?}",
        begun.elapsed()
    );
    for n in 0..CARDS {
        rig.shown("C1", &id(n), 1).await;
    }
    assert!(
        begun.elapsed() < Duration::from_secs(CARDS as u64 * 3),
        "{:?}",
        begun.elapsed()
    );
    let refused = rig.desk.failures.lock().unwrap().len();
    assert!(refused < CARDS * 5, "{refused} refusals for {CARDS} cards");
    rig.stop().await;
}
