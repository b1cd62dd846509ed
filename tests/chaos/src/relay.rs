//! A TCP relay that can be slow, silent or gone: the network between two parts.

use std::{net::SocketAddr, time::Duration};

use anyhow::Result;
use futures::future::join;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::JoinSet,
};
use tokio_util::sync::{CancellationToken, DropGuard};

/// How the network is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    Passing,
    /// Every chunk takes this long.
    Slow(Duration),
    /// Nothing gets through, and nobody is told.
    Silent,
    /// Connections are reset, new ones too.
    Cut,
}

/// A relay on a loopback port. Ends when dropped.
#[derive(Debug)]
pub struct Relay {
    address: SocketAddr,
    mood: watch::Sender<Mood>,
    _end: DropGuard,
}

impl Relay {
    /// Listens, and passes everything on to `host:port`.
    ///
    /// # Errors
    /// When the machine has no free port.
    pub async fn to(upstream: String) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let (mood, moods) = watch::channel(Mood::Passing);
        let end = CancellationToken::new();
        let ended = end.clone();
        abeyance_e2e::postgres::detach(async move {
            ended
                .run_until_cancelled(accept(listener, upstream, moods))
                .await;
        });
        Ok(Self {
            address,
            mood,
            _end: end.drop_guard(),
        })
    }

    /// `host:port` to connect to.
    #[must_use]
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// From now on the network is like this.
    pub fn set(&self, mood: Mood) {
        self.mood.send_replace(mood);
    }
}

async fn accept(listener: TcpListener, upstream: String, moods: watch::Receiver<Mood>) {
    let mut connections = JoinSet::new();
    loop {
        // Both arms are cancel-safe.
        tokio::select! {
            Ok((client, _)) = listener.accept() => {
                connections.spawn(carry(client, upstream.clone(), moods.clone()));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn carry(client: TcpStream, upstream: String, mut moods: watch::Receiver<Mood>) {
    if until_passing(&mut moods).await {
        reset(&client);
        return;
    }
    let Ok(server) = TcpStream::connect(upstream).await else {
        return reset(&client);
    };
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    join(
        pump(from_client, to_server, moods.clone()),
        pump(from_server, to_client, moods),
    )
    .await;
}

/// Waits while the network is silent. `true`: it is cut.
async fn until_passing(moods: &mut watch::Receiver<Mood>) -> bool {
    loop {
        match *moods.borrow_and_update() {
            Mood::Passing | Mood::Slow(_) => return false,
            Mood::Cut => return true,
            Mood::Silent => {}
        }
        if moods.changed().await.is_err() {
            return true;
        }
    }
}

async fn pump(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut moods: watch::Receiver<Mood>) {
    let mut chunk = vec![0; 16 * 1024];
    let mut cut = moods.clone();
    loop {
        // Both arms are cancel-safe: a read that was not finished took nothing.
        let read = tokio::select! {
            read = from.read(&mut chunk) => read,
            _ = cut.wait_for(|mood| *mood == Mood::Cut) => break,
        };
        let Ok(read @ 1..) = read else {
            // The other direction may still have something to say.
            let _gone = to.shutdown().await;
            return;
        };
        let slow = match *moods.borrow() {
            Mood::Slow(by) => by,
            _ => Duration::ZERO,
        };
        tokio::time::sleep(slow).await;
        if until_passing(&mut moods).await || to.write_all(&chunk[..read]).await.is_err() {
            break;
        }
    }
    let _zero_linger = to.as_ref().set_zero_linger();
}

fn reset(stream: &TcpStream) {
    let _gone = stream.set_zero_linger();
}
