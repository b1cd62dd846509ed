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
}

/// Which sides to read now.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wants {
    pub(crate) client: bool,
    pub(crate) target: bool,
}

/// Waits for the next event. Cancel-safe: bytes are read into the links' own buffers.
pub(crate) async fn turn(client: &mut Link, target: &mut TargetSide, wants: Wants) -> Turn {
    poll_fn(|cx| {
        if let Poll::Ready(Err(_)) = client.poll_flush(cx) {
            return Poll::Ready(Turn::ClientGone);
        }
        if let Poll::Ready(Err(error)) = target.poll_flush(cx) {
            return Poll::Ready(Turn::TargetGone(Some(error)));
        }
        if wants.target
            && let Poll::Ready(read) = target.poll_fill(cx)
        {
            return Poll::Ready(match read {
                Ok(0) => Turn::TargetGone(None),
                Ok(_) => Turn::Target,
                Err(error) => Turn::TargetGone(Some(error)),
            });
        }
        if wants.client
            && let Poll::Ready(read) = client.poll_fill(cx)
        {
            return Poll::Ready(match read {
                Ok(0) | Err(_) => Turn::ClientGone,
                Ok(_) => Turn::Client,
            });
        }
        Poll::Pending
    })
    .await
}
