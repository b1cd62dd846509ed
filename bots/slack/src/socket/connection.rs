//! One Socket Mode connection, from hello to its end.

use std::sync::Arc;

use futures::{SinkExt, StreamExt, stream::SplitSink};
use serde_json::Value;
use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval, sleep_until, timeout},
};
use tokio_tungstenite::tungstenite::{self, Message as Frame};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::{
    Stream,
    envelope::{self, Kind, Message, Seen},
};
use crate::{CallError, bot::Inbox, clicks::Ack, complaints::Complaints, limits};

/// How a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// Slack had asked for it, and a successor was asked for in time.
    Asked,
    /// Socket Mode was turned off.
    Disabled,
    Broken(&'static str),
    Shutdown,
}

pub(super) struct Connection {
    pub inbox: Inbox,
    pub seen: Arc<Seen>,
    pub complaints: Arc<Complaints>,
    /// Cancelled when another connection should take over.
    pub replace: CancellationToken,
    pub shutdown: CancellationToken,
}

/// Where a connection stands in time.
struct Life {
    /// The hello, then any sign of life, is due by then.
    silent_until: Instant,
    /// Set once Slack asked us to replace it.
    ends_at: Option<Instant>,
}

impl Connection {
    /// Serves until it ends. Whatever the end is, a successor is asked for by it.
    pub async fn run(self, stream: Stream) -> Ended {
        let (mut writer, mut reader) = stream.split();
        let (acks, mut to_write) = mpsc::channel::<String>(limits::SOCKET_ACKS_MAX);
        let mut answering = JoinSet::new();
        let mut ping = interval(limits::SOCKET_PING_EVERY);
        ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut life = Life {
            silent_until: Instant::now() + limits::SOCKET_HELLO_MAX,
            ends_at: None,
        };
        let ended = loop {
            // Every arm is cancel-safe: what `next` and `recv` have not returned stays where it is.
            let step = tokio::select! {
                biased;
                () = self.shutdown.cancelled() => Err(Ended::Shutdown),
                Some(text) = to_write.recv() => write(&mut writer, Frame::text(text)).await,
                frame = reader.next() => self.take(frame, &mut life, &acks, &mut answering),
                Some(_) = answering.join_next() => Ok(()),
                _ = ping.tick() => write(&mut writer, Frame::Ping(bytes::Bytes::new())).await,
                () = sleep_until(life.silent_until) => Err(Ended::Broken("no sign of life")),
                () = sleep_until(life.ends_at.unwrap_or(life.silent_until)), if life.ends_at.is_some() => Err(Ended::Asked),
            };
            match step {
                Ok(()) => {}
                Err(Ended::Broken(_)) if life.ends_at.is_some() => break Ended::Asked,
                Err(ended) => break ended,
            }
        };
        self.note(ended);
        // The successor need not wait for this one's last words.
        self.replace.cancel();
        drop(acks);
        let last_words = last_words(&mut writer, &mut to_write);
        let _ = timeout(limits::SOCKET_WRITE_MAX, last_words).await;
        drop(answering);
        ended
    }

    fn note(&self, ended: Ended) {
        match ended {
            Ended::Disabled => self.complaints.call_failed(
                &CallError::Refused {
                    method: "socket mode",
                    code: "link_disabled".to_owned(),
                },
                None,
            ),
            Ended::Asked => debug!("a replaced Socket Mode connection has ended"),
            Ended::Broken(why) => info!(why, "a Socket Mode connection ended; opening another"),
            Ended::Shutdown => {}
        }
    }

    /// Takes what came in. An error is the connection's end.
    fn take(
        &self,
        frame: Option<Result<Frame, tungstenite::Error>>,
        life: &mut Life,
        acks: &mpsc::Sender<String>,
        answering: &mut JoinSet<()>,
    ) -> Result<(), Ended> {
        let text = match frame {
            None | Some(Ok(Frame::Close(_))) => return Err(Ended::Broken("closed by Slack")),
            Some(Err(tungstenite::Error::Capacity(_))) => {
                return Err(Ended::Broken("a message was too long"));
            }
            Some(Err(_)) => return Err(Ended::Broken("the connection broke")),
            Some(Ok(Frame::Text(text))) => text,
            // Pongs are written by the library.
            Some(Ok(Frame::Ping(_) | Frame::Pong(_) | Frame::Binary(_) | Frame::Frame(_))) => {
                life.alive();
                return Ok(());
            }
        };
        match envelope::read(&text) {
            Ok(Message::Hello | Message::Other) => {}
            Ok(Message::Disabled) => return Err(Ended::Disabled),
            Ok(Message::Replace) => {
                debug!("Slack asks for a new Socket Mode connection");
                life.ends_at
                    .get_or_insert(Instant::now() + limits::SOCKET_DRAIN_MAX);
                self.replace.cancel();
            }
            Ok(Message::Envelope { id, kind, payload }) => {
                answering.spawn(answer(
                    self.inbox.clone(),
                    Arc::clone(&self.seen),
                    acks.clone(),
                    id,
                    kind,
                    payload,
                ));
            }
            Err(what) => warn!(
                what,
                "a Socket Mode message could not be read and was not acknowledged"
            ),
        }
        life.alive();
        Ok(())
    }
}

impl Life {
    fn alive(&mut self) {
        self.silent_until = Instant::now() + limits::SOCKET_SILENCE_MAX;
    }
}

/// Works on one envelope and hands its acknowledgement to the writer.
async fn answer(
    inbox: Inbox,
    seen: Arc<Seen>,
    acks: mpsc::Sender<String>,
    id: String,
    kind: Kind,
    payload: Value,
) {
    let ack = match kind {
        // Envelopes that were delivered again are only acknowledged again.
        _ if !seen.first_time(&id) => Ack::Empty,
        Kind::Interactive => inbox.clicks.accept(&payload).await,
        Kind::Command => inbox.commands.accept(&payload),
        Kind::Other => Ack::Empty,
    };
    if let Some(text) = envelope::acknowledgement(&id, ack) {
        // The writer is gone only with its connection; Slack then shows the person that it failed.
        let _ = acks.send(text).await;
    }
}

async fn write(writer: &mut SplitSink<Stream, Frame>, frame: Frame) -> Result<(), Ended> {
    match timeout(limits::SOCKET_WRITE_MAX, writer.send(frame)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err(Ended::Broken("the connection broke")),
        Err(_) => Err(Ended::Broken("a write took too long")),
    }
}

/// Acknowledges what was being worked on when the connection ended, as far as it still takes it, and closes.
async fn last_words(writer: &mut SplitSink<Stream, Frame>, to_write: &mut mpsc::Receiver<String>) {
    while let Some(text) = to_write.recv().await {
        if write(writer, Frame::text(text)).await.is_err() {
            return;
        }
    }
    let _ = writer.close().await;
}
