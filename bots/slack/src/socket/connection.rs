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
use tracing::{debug, warn};

use super::{
    Stream,
    envelope::{self, Message, Seen},
};
use crate::{
    clicks::{Ack, Clicks},
    limits,
};

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
    pub clicks: Arc<Clicks>,
    pub seen: Arc<Seen>,
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
        let ended = self.serve(stream).await;
        self.replace.cancel();
        ended
    }

    async fn serve(&self, stream: Stream) -> Ended {
        let (mut writer, mut reader) = stream.split();
        let (acks, mut to_write) = mpsc::channel::<String>(limits::SOCKET_ACKS_MAX);
        let mut answering = JoinSet::new();
        let mut ping = interval(limits::SOCKET_PING_EVERY);
        ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut life = Life {
            silent_until: Instant::now() + limits::SOCKET_HELLO_MAX,
            ends_at: None,
        };
        loop {
            // Every arm is cancel-safe: what `next` and `recv` have not returned stays where it is.
            let written = tokio::select! {
                biased;
                () = self.shutdown.cancelled() => {
                    let _ = timeout(limits::SOCKET_WRITE_MAX, writer.close()).await;
                    return Ended::Shutdown;
                }
                Some(text) = to_write.recv() => write(&mut writer, Frame::text(text)).await,
                frame = reader.next() => {
                    let taken = self.take(frame, &mut life, &acks, &mut answering);
                    if let Err(ended) = taken {
                        flush(&mut writer, &mut to_write).await;
                        return ended;
                    }
                    Ok(())
                }
                Some(_) = answering.join_next() => Ok(()),
                _ = ping.tick() => write(&mut writer, Frame::Ping(bytes::Bytes::new())).await,
                () = sleep_until(life.silent_until) => return Ended::Broken("no sign of life"),
                () = sleep_until(life.ends_at.unwrap_or(life.silent_until)), if life.ends_at.is_some() => {
                    let _ = timeout(limits::SOCKET_WRITE_MAX, writer.close()).await;
                    return Ended::Asked;
                }
            };
            if let Err(why) = written {
                return self.end(&life, why);
            }
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
            None | Some(Ok(Frame::Close(_))) => return Err(self.end(life, "closed by Slack")),
            Some(Err(tungstenite::Error::Capacity(_))) => {
                return Err(self.end(life, "a message was too long"));
            }
            Some(Err(_)) => return Err(self.end(life, "the connection broke")),
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
            Ok(Message::Envelope {
                id,
                interactive,
                payload,
            }) => {
                answering.spawn(answer(
                    Arc::clone(&self.clicks),
                    Arc::clone(&self.seen),
                    acks.clone(),
                    id,
                    interactive,
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

    fn end(&self, life: &Life, why: &'static str) -> Ended {
        if life.ends_at.is_some() {
            Ended::Asked
        } else {
            Ended::Broken(why)
        }
    }
}

impl Life {
    fn alive(&mut self) {
        self.silent_until = Instant::now() + limits::SOCKET_SILENCE_MAX;
    }
}

/// Works on one envelope and hands its acknowledgement to the writer.
async fn answer(
    clicks: Arc<Clicks>,
    seen: Arc<Seen>,
    acks: mpsc::Sender<String>,
    id: String,
    interactive: bool,
    payload: Value,
) {
    let ack = if interactive && seen.first_time(&id) {
        clicks.accept(&payload).await
    } else {
        // Events and commands this app does not use, and envelopes that were delivered again.
        Ack::Empty
    };
    if let Some(text) = envelope::acknowledgement(&id, ack) {
        // The writer is gone only with its connection; Slack then shows the person that it failed.
        let _ = acks.send(text).await;
    }
}

async fn write(writer: &mut SplitSink<Stream, Frame>, frame: Frame) -> Result<(), &'static str> {
    match timeout(limits::SOCKET_WRITE_MAX, writer.send(frame)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err("the connection broke"),
        Err(_) => Err("a write took too long"),
    }
}

/// Writes the acknowledgements that were ready when the connection ended, as far as it still takes them.
async fn flush(writer: &mut SplitSink<Stream, Frame>, to_write: &mut mpsc::Receiver<String>) {
    while let Ok(text) = to_write.try_recv() {
        if write(writer, Frame::text(text)).await.is_err() {
            return;
        }
    }
}
