//! The target's side of a session: the only place that writes to it after start-up.
//!
//! The socket is private. A batch goes out only as [`Cleared`], by value (invariant 2); besides it only COPY
//! data of a batch that runs, a Sync that ends a group, Terminate, and statements of the gateway's own making.

use std::{
    io,
    task::{Context, Poll},
};

use abeyance_wire::postgres::{
    BackendMessage, BackendScanner, CancelKey, EncodeError, Frame, FrontendMessage,
    frontend::{encode_sync, encode_terminate, tag},
    limits::BACKEND_CONTROL_BYTES_MAX,
    scan::Walk,
};
use bytes::Bytes;

use super::{bracket::Piece, cleared::Cleared, judge::Step, veil::veil};
use crate::{error::TargetError, exchange::target_message, io::Link};

/// A session's connection to its target.
#[derive(Debug)]
pub(crate) struct TargetSide {
    link: Link,
    scanner: BackendScanner,
    /// With which a running statement is cancelled.
    pub(crate) cancel: Option<(u32, CancelKey)>,
    /// Errors that show rows do not.
    veils: bool,
}

impl TargetSide {
    pub(crate) fn new(link: Link, cancel: Option<(u32, CancelKey)>, veils: bool) -> Self {
        Self {
            link,
            scanner: BackendScanner::new(),
            cancel,
            veils,
        }
    }

    /// Whether errors that show rows are to show none: some columns are protected.
    pub(crate) fn set_veils(&mut self, veils: bool) {
        self.veils = veils;
    }

    pub(super) fn veils(&self) -> bool {
        self.veils
    }

    /// Queues a batch. The one function that lets a client's statements reach the target.
    pub(crate) fn write_batch(&mut self, cleared: Cleared) -> Vec<Step> {
        let (frames, steps) = cleared.into_parts();
        for frame in frames {
            self.link.outbox.push(frame.into_raw());
        }
        steps
    }

    /// Queues a piece of a batch: made from a [`Cleared`] alone, or of our own text.
    pub(super) fn write_piece(&mut self, piece: Piece) {
        for message in piece.into_messages() {
            self.link.outbox.push(message);
        }
    }

    /// Queues a client's COPY message for the batch that runs; anything else is not written.
    pub(crate) fn write_copy(&mut self, frame: Frame) {
        if matches!(
            frame.tag(),
            tag::COPY_DATA | tag::COPY_DONE | tag::COPY_FAIL
        ) {
            self.link.outbox.push(frame.into_raw());
        }
    }

    /// Queues a message of the gateway's own making; its text holds nothing a client sent, except for
    /// what a probe explains.
    pub(super) fn write_own(&mut self, message: &FrontendMessage) -> Result<(), EncodeError> {
        self.link.outbox.encode(|out| message.encode(out))
    }

    /// Queues a Flush.
    pub(crate) fn write_flush(&mut self) {
        // A Flush has no fields that could fail to be encoded.
        let _ = self.write_own(&FrontendMessage::Flush);
    }

    /// Queues a Sync.
    pub(crate) fn write_sync(&mut self) {
        self.link.outbox.encode(encode_sync);
    }

    /// Reads a message outside of a batch. Cancel-safe.
    pub(super) async fn own_reply(&mut self) -> Result<BackendMessage, TargetError> {
        self.own_reply_within(BACKEND_CONTROL_BYTES_MAX).await
    }

    /// The same with another bound on its length. Cancel-safe.
    pub(super) async fn own_reply_within(
        &mut self,
        bytes_max: usize,
    ) -> Result<BackendMessage, TargetError> {
        target_message(&mut self.link, bytes_max).await
    }

    /// Writes everything that is queued. Cancel-safe.
    pub(super) async fn flush(&mut self) -> Result<(), TargetError> {
        self.link.flush().await.map_err(TargetError::Io)
    }

    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.link.poll_flush(cx)
    }

    pub(crate) fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.link.poll_fill(cx)
    }

    /// How much is queued and not written.
    pub(crate) fn unwritten(&self) -> usize {
        self.link.outbox.len()
    }

    /// Something was read that [`Self::walk`] has not seen.
    pub(crate) fn has_input(&self) -> bool {
        !self.link.input.is_empty()
    }

    /// Looks at what was read.
    pub(crate) fn walk(&mut self) -> Walk<'_> {
        self.scanner.walk(&self.link.input)
    }

    /// Takes what a walk has passed, for the client to see.
    pub(crate) fn take(&mut self, bytes: usize) -> Bytes {
        let mut taken = self.link.input.split_to(bytes);
        if self.veils {
            for error in self.scanner.errors() {
                if let Some(frame) = taken.get_mut(error.clone()) {
                    veil(frame);
                }
            }
        }
        taken.freeze()
    }

    /// Nothing may be put into the client's stream now: it is in the middle of a row.
    pub(crate) fn in_bulk(&self) -> bool {
        self.scanner.in_bulk()
    }

    pub(crate) fn release(&mut self) {
        self.link.release();
    }

    /// Ends the connection in good form.
    pub(crate) async fn terminate(&mut self) {
        self.link.outbox.encode(encode_terminate);
        // A target that is gone needs no farewell.
        let _ = self.link.flush().await;
        self.link.close().await;
    }
}
