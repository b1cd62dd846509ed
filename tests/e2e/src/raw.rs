//! A protocol client that sends any bytes and shows every reply: nothing is hidden, repaired or guessed.

use std::{fmt, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use bytes::{Buf, Bytes, BytesMut};
use postgres_protocol::authentication::{md5_hash, sasl};
use postgres_protocol::message::frontend;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::PATIENCE;

/// Protocol 3.0, as the startup packet carries it.
pub const PROTOCOL_3_0: i32 = 3 << 16;

/// One message from the server: its tag and its body.
#[derive(Clone, PartialEq, Eq)]
pub struct Reply {
    pub tag: u8,
    pub body: Bytes,
}

impl Reply {
    /// A field of an ErrorResponse or NoticeResponse, by its letter.
    #[must_use]
    pub fn field(&self, letter: u8) -> Option<String> {
        self.fields()
            .into_iter()
            .find(|(name, _)| *name == letter)
            .map(|(_, value)| value)
    }

    /// The fields of an ErrorResponse or NoticeResponse, in order.
    #[must_use]
    pub fn fields(&self) -> Vec<(u8, String)> {
        self.body
            .split(|byte| *byte == 0)
            .filter_map(|field| {
                let (name, value) = field.split_first()?;
                Some((*name, String::from_utf8_lossy(value).into_owned()))
            })
            .collect()
    }

    /// SQLSTATE of an ErrorResponse.
    #[must_use]
    pub fn sqlstate(&self) -> Option<String> {
        (self.tag == b'E').then(|| self.field(b'C'))?
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {:?}",
            char::from(self.tag),
            String::from_utf8_lossy(&self.body)
        )
    }
}

/// A connection of which every byte is ours.
#[derive(Debug)]
pub struct RawClient {
    stream: TcpStream,
    unread: BytesMut,
    address: String,
    /// Process id and secret of BackendKeyData, as they came.
    key: Bytes,
}

impl RawClient {
    /// Connects, and says nothing yet.
    ///
    /// # Errors
    /// When nobody listens.
    pub async fn connect(address: &str) -> Result<Self> {
        let stream = TcpStream::connect(address)
            .await
            .with_context(|| format!("connecting to {address}"))?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            unread: BytesMut::new(),
            address: address.to_owned(),
            key: Bytes::new(),
        })
    }

    /// Connects and logs in.
    ///
    /// # Errors
    /// With the server's message when it refuses.
    pub async fn log_in(address: &str, user: &str, database: &str, password: &str) -> Result<Self> {
        let mut client = Self::connect(address).await?;
        let replies = client
            .startup(
                PROTOCOL_3_0,
                &[("user", user), ("database", database)],
                password,
            )
            .await?;
        match replies.last() {
            Some(last) if last.tag == b'Z' => Ok(client),
            last => bail!("log-in refused: {last:?}"),
        }
    }

    /// Sends a startup packet, answers what is asked, and returns every reply up to ReadyForQuery,
    /// an error, or the end of the connection.
    ///
    /// # Errors
    /// When the server's proof is wrong or the connection breaks.
    pub async fn startup(
        &mut self,
        version: i32,
        parameters: &[(&str, &str)],
        password: &str,
    ) -> Result<Vec<Reply>> {
        let mut packet = BytesMut::new();
        frontend::startup_message(parameters.iter().copied(), &mut packet)?;
        packet[4..8].copy_from_slice(&version.to_be_bytes());
        self.send(&packet).await?;
        let user = parameters
            .iter()
            .find(|(name, _)| *name == "user")
            .map_or("", |(_, user)| user);
        let mut scram = None;
        let mut replies = Vec::new();
        while let Some(reply) = self.next().await? {
            if reply.tag == b'R' {
                self.authenticate(&reply.body, user, password, &mut scram)
                    .await?;
            }
            if reply.tag == b'K' {
                self.key = reply.body.clone();
            }
            let last = matches!(reply.tag, b'Z' | b'E');
            replies.push(reply);
            if last {
                break;
            }
        }
        Ok(replies)
    }

    /// Sends a good startup packet, reads the first reply, and leaves it unanswered.
    ///
    /// # Errors
    /// When the connection breaks.
    pub async fn startup_only(&mut self, user: &str, database: &str) -> Result<()> {
        let mut packet = BytesMut::new();
        frontend::startup_message([("user", user), ("database", database)], &mut packet)?;
        self.send(&packet).await?;
        self.next().await?;
        Ok(())
    }

    async fn authenticate(
        &mut self,
        body: &[u8],
        user: &str,
        password: &str,
        scram: &mut Option<sasl::ScramSha256>,
    ) -> Result<()> {
        let mut rest = body;
        ensure!(rest.len() >= 4, "a short authentication message");
        let mut answer = BytesMut::new();
        match rest.get_i32() {
            0 => return Ok(()),
            3 => frontend::password_message(password.as_bytes(), &mut answer)?,
            5 => {
                let salt = rest.get(..4).context("md5 without salt")?.try_into()?;
                let hash = md5_hash(user.as_bytes(), password.as_bytes(), salt);
                frontend::password_message(hash.as_bytes(), &mut answer)?;
            }
            10 => {
                let client = sasl::ScramSha256::new(
                    password.as_bytes(),
                    sasl::ChannelBinding::unsupported(),
                );
                frontend::sasl_initial_response("SCRAM-SHA-256", client.message(), &mut answer)?;
                *scram = Some(client);
            }
            11 => {
                let client = scram.as_mut().context("SASLContinue without SASL")?;
                client.update(rest)?;
                frontend::sasl_response(client.message(), &mut answer)?;
            }
            12 => {
                scram
                    .as_mut()
                    .context("SASLFinal without SASL")?
                    .finish(rest)?;
                return Ok(());
            }
            other => bail!("authentication method {other} is not known here"),
        }
        self.send(&answer).await
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    /// When the connection is gone.
    pub async fn send(&mut self, bytes: &[u8]) -> Result<()> {
        tokio::time::timeout(PATIENCE, self.stream.write_all(bytes))
            .await
            .context("the server does not read")??;
        Ok(())
    }

    /// The next message; `None` when the server closed the connection.
    ///
    /// # Errors
    /// When nothing comes for long, or half a message does.
    pub async fn next(&mut self) -> Result<Option<Reply>> {
        self.next_within(PATIENCE).await
    }

    /// As [`RawClient::next`], with a patience of one's own.
    ///
    /// # Errors
    /// As [`RawClient::next`].
    pub async fn next_within(&mut self, patience: Duration) -> Result<Option<Reply>> {
        tokio::time::timeout(patience, self.read())
            .await
            .context("no reply")?
    }

    async fn read(&mut self) -> Result<Option<Reply>> {
        loop {
            if let Some(header) = self.unread.get(..5) {
                let length = i32::from_be_bytes(header[1..5].try_into()?);
                let total = usize::try_from(length)?.checked_add(1).context("length")?;
                ensure!(total >= 5, "a reply of length {length}");
                if self.unread.len() >= total {
                    let mut message = self.unread.split_to(total).freeze();
                    let tag = message.get_u8();
                    message.advance(4);
                    return Ok(Some(Reply { tag, body: message }));
                }
            }
            match self.stream.read_buf(&mut self.unread).await {
                Ok(0) if self.unread.is_empty() => return Ok(None),
                Ok(0) => bail!("the connection closed inside a message: {:?}", self.unread),
                Ok(_) => {}
                // A server that closes with our bytes unread resets: the end all the same.
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => {
                    return Ok(None);
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// One byte, as the answer to SSLRequest is; `None` when the connection closed.
    ///
    /// # Errors
    /// When nothing comes for long.
    pub async fn byte(&mut self) -> Result<Option<u8>> {
        let mut byte = [0];
        let read = tokio::time::timeout(PATIENCE, self.stream.read(&mut byte))
            .await
            .context("no reply")??;
        Ok((read == 1).then_some(byte[0]))
    }

    /// Replies up to and with the one `last` names.
    ///
    /// # Errors
    /// When the connection ends before.
    pub async fn until(&mut self, last: u8) -> Result<Vec<Reply>> {
        let mut replies = Vec::new();
        loop {
            let reply = self
                .next()
                .await?
                .with_context(|| format!("closed after {replies:?}"))?;
            let done = reply.tag == last;
            replies.push(reply);
            if done {
                return Ok(replies);
            }
        }
    }

    /// A simple query and all its replies.
    ///
    /// # Errors
    /// When the connection ends before ReadyForQuery.
    pub async fn query(&mut self, text: &str) -> Result<Vec<Reply>> {
        self.start_query(text).await?;
        self.until(b'Z').await
    }

    /// A simple query; its replies are not read.
    ///
    /// # Errors
    /// When the connection is gone.
    pub async fn start_query(&mut self, text: &str) -> Result<()> {
        let mut message = BytesMut::new();
        frontend::query(text, &mut message)?;
        self.send(&message).await
    }

    /// Sends CancelRequest for this session on a connection of its own, as clients do.
    ///
    /// # Errors
    /// When nobody listens.
    pub async fn cancel(&self) -> Result<()> {
        let mut stream = TcpStream::connect(&self.address).await?;
        let length = i32::try_from(8 + self.key.len())?;
        let code = (1234 << 16) | 5678_i32;
        let packet = [
            &length.to_be_bytes(),
            &code.to_be_bytes(),
            self.key.as_ref(),
        ]
        .concat();
        stream.write_all(&packet).await?;
        // The server answers by closing.
        let _ = tokio::time::timeout(PATIENCE, stream.read_u8())
            .await
            .context("the cancel connection stays open")?;
        Ok(())
    }

    /// Closes with a reset, as a killed client's kernel may.
    pub fn reset(self) {
        let _ = self.stream.set_zero_linger();
    }

    /// No more bytes from us; replies can still be read.
    ///
    /// # Errors
    /// When the connection is gone.
    pub async fn finish(&mut self) -> Result<()> {
        Ok(self.stream.shutdown().await?)
    }
}

/// A frontend message: tag, length, body.
#[must_use]
pub fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).unwrap_or(u32::MAX);
    [&[tag], length.to_be_bytes().as_slice(), body].concat()
}
