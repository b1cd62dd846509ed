//! A socket with its two buffers.
//!
//! Knows bytes and readiness; no messages. One task owns a [`Link`] and polls reading and writing
//! together, so no lock, no split and no second task is needed. Both buffers are bounded by
//! their users (invariant 10) and can be given back while a session waits.

use std::{
    collections::VecDeque,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Buf, Bytes, BytesMut};
use socket2::{SockRef, TcpKeepalive};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::{client, server};
use tokio_util::io::poll_read_buf;

use crate::limits::{COPY_THRESHOLD_BYTES, READ_BYTES_MAX, READ_BYTES_MIN};

/// When an idle connection is checked for life.
const KEEPALIVE: Duration = Duration::from_secs(60);

/// Small messages go out at once, and a peer that vanished without a word is noticed.
pub(crate) fn tune(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    SockRef::from(stream).set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE))
}

/// What a link runs over.
#[derive(Debug)]
pub(crate) enum Stream {
    Plain(TcpStream),
    /// We are the TLS server.
    ClientTls(Box<server::TlsStream<TcpStream>>),
    /// We are the TLS client.
    UpstreamTls(Box<client::TlsStream<TcpStream>>),
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::ClientTls(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::UpstreamTls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::ClientTls(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::UpstreamTls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::ClientTls(stream) => Pin::new(stream).poll_flush(cx),
            Self::UpstreamTls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::ClientTls(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::UpstreamTls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

/// Bytes that wait to be written. Small pieces are joined, large ones kept as they are.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    whole: VecDeque<Bytes>,
    tail: BytesMut,
    len: usize,
}

impl Outbox {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Queues bytes that came from elsewhere.
    pub(crate) fn push(&mut self, bytes: Bytes) {
        self.len += bytes.len();
        if bytes.len() < COPY_THRESHOLD_BYTES {
            self.tail.extend_from_slice(&bytes);
        } else {
            self.seal();
            self.whole.push_back(bytes);
        }
    }

    /// Lets `encode` append to the queue.
    pub(crate) fn encode<T>(&mut self, encode: impl FnOnce(&mut BytesMut) -> T) -> T {
        let before = self.tail.len();
        let result = encode(&mut self.tail);
        self.len += self.tail.len().saturating_sub(before);
        result
    }

    fn seal(&mut self) {
        if !self.tail.is_empty() {
            let tail = self.tail.split().freeze();
            self.whole.push_back(tail);
        }
    }

    fn front(&self) -> &[u8] {
        self.whole.front().map_or(&self.tail, |bytes| bytes)
    }

    fn advance(&mut self, written: usize) {
        self.len = self.len.saturating_sub(written);
        if let Some(front) = self.whole.front_mut() {
            front.advance(written.min(front.len()));
            if front.is_empty() {
                self.whole.pop_front();
            }
        } else {
            self.tail.advance(written.min(self.tail.len()));
        }
    }
}

/// One socket, what was read from it and what is to be written to it.
#[derive(Debug)]
pub(crate) struct Link {
    stream: Stream,
    pub(crate) input: BytesMut,
    pub(crate) outbox: Outbox,
    read_size: usize,
    unflushed: bool,
    eof: bool,
}

impl Link {
    pub(crate) fn new(stream: Stream) -> Self {
        Self {
            stream,
            input: BytesMut::new(),
            outbox: Outbox::default(),
            read_size: READ_BYTES_MIN,
            unflushed: false,
            eof: false,
        }
    }

    /// The other side has closed its half.
    pub(crate) fn at_eof(&self) -> bool {
        self.eof
    }

    pub(crate) fn stream(&self) -> &Stream {
        &self.stream
    }

    /// Gives up the stream, for a change to TLS. Buffers must be empty.
    pub(crate) fn into_stream(self) -> Stream {
        self.stream
    }

    /// Reads once into `input`; 0 is the end of the stream. Cancel-safe.
    pub(crate) fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.eof {
            return Poll::Ready(Ok(0));
        }
        if self.input.capacity() - self.input.len() < self.read_size / 2 {
            // A session that waits for long needs no buffer to wait with.
            if let Stream::Plain(stream) = &self.stream {
                ready!(stream.poll_read_ready(cx))?;
            }
            self.input.reserve(self.read_size);
        }
        let room = self.input.capacity() - self.input.len();
        let read = ready!(poll_read_buf(
            Pin::new(&mut self.stream),
            cx,
            &mut self.input
        ))?;
        if read == 0 {
            self.eof = true;
        } else if read >= room {
            self.read_size = (self.read_size * 2).min(READ_BYTES_MAX);
        }
        Poll::Ready(Ok(read))
    }

    /// Writes what is queued; ready when nothing is left. Cancel-safe.
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.outbox.is_empty() {
            let written = ready!(Pin::new(&mut self.stream).poll_write(cx, self.outbox.front()))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.outbox.advance(written);
            self.unflushed = true;
        }
        if self.unflushed {
            ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    /// Reads once. Cancel-safe.
    pub(crate) async fn fill(&mut self) -> io::Result<usize> {
        std::future::poll_fn(|cx| self.poll_fill(cx)).await
    }

    /// Writes everything that is queued. Cancel-safe.
    pub(crate) async fn flush(&mut self) -> io::Result<()> {
        std::future::poll_fn(|cx| self.poll_flush(cx)).await
    }

    /// Ends our half of the stream.
    pub(crate) async fn close(&mut self) {
        let shutdown = std::future::poll_fn(|cx| Pin::new(&mut self.stream).poll_shutdown(cx));
        // The peer may be gone already: there is nothing left to tell it.
        let _ = shutdown.await;
    }

    /// Drops what is queued and reads no more: nobody is there.
    pub(crate) fn abandon(&mut self) {
        self.eof = true;
        self.outbox = Outbox::default();
        self.input = BytesMut::new();
    }

    /// Gives buffer memory back while nothing is expected for long.
    pub(crate) fn release(&mut self) {
        self.read_size = READ_BYTES_MIN;
        self.input = if self.input.is_empty() {
            BytesMut::new()
        } else {
            BytesMut::from(&self.input[..])
        };
        if self.outbox.is_empty() {
            self.outbox = Outbox::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_outbox_keeps_order_and_count() {
        let mut outbox = Outbox::default();
        let large = Bytes::from(vec![b'x'; COPY_THRESHOLD_BYTES]);
        outbox.push(Bytes::from_static(b"ab"));
        outbox.push(large.clone());
        outbox.encode(|out| out.extend_from_slice(b"cd"));
        let mut seen = Vec::new();
        while !outbox.is_empty() {
            let step = outbox.front().len().min(7);
            seen.extend_from_slice(&outbox.front()[..step]);
            outbox.advance(step);
        }
        let expected = [b"ab".as_slice(), &large, b"cd"].concat();
        assert_eq!(seen, expected);
    }
}
