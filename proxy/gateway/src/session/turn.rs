//! One turn of a session's two sockets: write what is queued, then read whichever side has something.
//!
//! Both sockets are polled by one task, so neither side can block the other; a side is left
//! alone while what it caused still waits to be written (invariant 10).

use std::{future::poll_fn, task::Poll};

use super::target::TargetSide;
use crate::io::Link;

/// What happened first.
#[derive(Debug)]
pub(crate) enum Turn {
    /// Bytes came from the client.
    Client,
    /// The client's stream ended, or broke.
    ClientGone,
    /// Bytes came from the target.
    Target,
    TargetGone(Option<std::io::Error>),
    /// The target has taken so much that there is room for more.
    Drained,
}

/// Which sides to read now.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wants {
    pub(crate) client: bool,
    /// A side is read only while less than this waits to be written to the other.
    pub(crate) unwritten_max: usize,
}

/// Waits for the next event. Cancel-safe: bytes are read into the links' own buffers.
pub(crate) async fn turn(client: &mut Link, target: &mut TargetSide, wants: Wants) -> Turn {
    let max = wants.unwritten_max;
    let was_full = target.unwritten() >= max;
    poll_fn(|cx| {
        if let Poll::Ready(Err(_)) = client.poll_flush(cx) {
            return Poll::Ready(Turn::ClientGone);
        }
        if let Poll::Ready(Err(error)) = target.poll_flush(cx) {
            return Poll::Ready(Turn::TargetGone(Some(error)));
        }
        // Asked anew at every poll: a flush that goes on is what wakes a side that was left alone.
        if client.outbox.len() < max
            && let Poll::Ready(read) = target.poll_fill(cx)
        {
            return Poll::Ready(match read {
                Ok(0) => Turn::TargetGone(None),
                Ok(_) => Turn::Target,
                Err(error) => Turn::TargetGone(Some(error)),
            });
        }
        if wants.client
            && target.unwritten() < max
            && let Poll::Ready(read) = client.poll_fill(cx)
        {
            return Poll::Ready(match read {
                Ok(0) | Err(_) => Turn::ClientGone,
                Ok(_) => Turn::Client,
            });
        }
        if was_full && target.unwritten() < max {
            return Poll::Ready(Turn::Drained);
        }
        Poll::Pending
    })
    .await
}
