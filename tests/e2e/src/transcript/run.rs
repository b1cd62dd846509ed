//! Playing a transcript against a server.

use std::collections::HashMap;

use anyhow::{Context, Result, bail, ensure};
use async_trait::async_trait;

use super::{
    Detail, Transcript, render,
    render::name,
    script::{Act, Block, Send},
};
use crate::{Database, RawClient, eventually, postgres::PASSWORD, raw::PROTOCOL_3_0};

/// Decides holds for a transcript that has any.
#[async_trait]
pub trait Backstage: std::fmt::Debug + std::marker::Send + Sync {
    /// Approves a hold.
    async fn approve(&self, hold: &str) -> Result<()>;
    /// Denies it.
    async fn deny(&self, hold: &str, reason: &str) -> Result<()>;
}

/// Who talks to whom.
#[derive(Debug)]
pub struct Player<'a> {
    /// Where to connect: the server or the proxy.
    pub address: String,
    pub user: &'a str,
    /// The database, and the target's name.
    pub database: &'a Database,
    pub backstage: Option<&'a dyn Backstage>,
}

/// What came, block by block.
#[derive(Debug, Default)]
pub struct Recording {
    pub brief: Vec<Vec<String>>,
    pub full: Vec<Vec<String>>,
}

impl Player<'_> {
    /// Plays the whole transcript. Does not compare.
    ///
    /// # Errors
    /// Naming the block in which the connection broke or nothing came.
    pub async fn play(&self, transcript: &Transcript) -> Result<Recording> {
        let mut connections: HashMap<String, RawClient> = HashMap::new();
        let mut current = String::from("main");
        let mut last = String::new();
        let mut recording = Recording::default();
        for block in &transcript.blocks {
            if let Some(name) = &block.connection {
                current.clone_from(name);
            }
            let at = || {
                format!(
                    "{}.pt line {} against {}",
                    transcript.name, block.line, self.address
                )
            };
            let playing = self.block(block, &current, &mut connections, &last);
            let lines = playing.await.with_context(at)?;
            let (brief, full): (Vec<_>, Vec<_>) = lines.into_iter().unzip();
            last.clone_from(&full.last().cloned().unwrap_or_default());
            recording.brief.push(brief);
            recording.full.push(full);
        }
        Ok(recording)
    }

    async fn block(
        &self,
        block: &Block,
        current: &str,
        connections: &mut HashMap<String, RawClient>,
        last: &str,
    ) -> Result<Vec<(String, String)>> {
        for act in &block.acts {
            self.act(act, connections.get(current), last).await?;
        }
        let mut lines = Vec::new();
        let mut last = block.last_reply();
        for send in &block.sends {
            match send {
                Send::Startup(version, parameters) => {
                    let mut client = RawClient::connect(&self.address).await?;
                    let mut all = vec![
                        ("user", self.user),
                        ("database", self.database.name.as_str()),
                    ];
                    all.extend(
                        parameters
                            .iter()
                            .map(|(name, value)| (name.as_str(), value.as_str())),
                    );
                    let replies = client.startup(*version, &all, PASSWORD).await?;
                    connections.insert(current.to_owned(), client);
                    for reply in &replies {
                        lines.push((render(reply, Detail::Brief)?, render(reply, Detail::Full)?));
                    }
                    sort_parameters(&mut lines);
                    last = None;
                }
                Send::Bytes(bytes, _) => {
                    let client = self.connection(current, connections).await?;
                    client.send(bytes).await?;
                }
            }
        }
        if let Some((last, times)) = last {
            let client = self.connection(current, connections).await?;
            read_until(client, &last, times, &mut lines).await?;
        }
        Ok(lines)
    }

    /// Connections that the transcript does not start itself are logged in quietly.
    async fn connection<'c>(
        &self,
        name: &str,
        connections: &'c mut HashMap<String, RawClient>,
    ) -> Result<&'c mut RawClient> {
        if !connections.contains_key(name) {
            let mut client = RawClient::connect(&self.address).await?;
            let parameters = [
                ("user", self.user),
                ("database", self.database.name.as_str()),
            ];
            let replies = client.startup(PROTOCOL_3_0, &parameters, PASSWORD).await?;
            ensure!(
                replies.last().is_some_and(|reply| reply.tag == b'Z'),
                "log-in: {replies:?}"
            );
            connections.insert(name.to_owned(), client);
        }
        connections.get_mut(name).context("just inserted")
    }

    async fn act(&self, act: &Act, client: Option<&RawClient>, last: &str) -> Result<()> {
        let hold = || hold_in(last).context("no notice named a hold");
        let backstage = || self.backstage.context("nobody decides holds here");
        match act {
            Act::Running(text) => {
                let admin = self.database.admin().await?;
                let sql = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND state = 'active' \
                           AND pid <> pg_backend_pid() AND strpos(query, $1) > 0";
                eventually(&format!("{text:?} to run"), || async {
                    Ok(admin.query_opt(sql, &[text]).await?.map(|_| ()))
                })
                .await
            }
            Act::Cancel => client.context("nothing to cancel")?.cancel().await,
            Act::Approve => backstage()?.approve(hold()?).await,
            Act::Deny(reason) => backstage()?.deny(hold()?, reason).await,
            Act::NeverRan(text) => self.database.never_saw(text).await,
            Act::Ran(text) => {
                let statements = self.database.statements().await?;
                ensure!(
                    statements.iter().any(|line| line.contains(text)),
                    "the target never saw {text:?}: {statements:#?}"
                );
                Ok(())
            }
            Act::Admin(sql) => Ok(self.database.admin().await?.batch_execute(sql).await?),
        }
    }
}

/// The first hold id in a line.
#[must_use]
pub fn hold_in(line: &str) -> Option<&str> {
    let from = line.get(line.find("HLD-")?..)?;
    let end = from.find(|c: char| c != '-' && !c.is_ascii_alphanumeric());
    from.get(..end.unwrap_or(from.len()))
}

async fn read_until(
    client: &mut RawClient,
    last: &str,
    times: usize,
    lines: &mut Vec<(String, String)>,
) -> Result<()> {
    let mut seen = 0;
    while seen < times {
        let so_far = |lines: &[(String, String)]| {
            lines
                .iter()
                .map(|(brief, _)| brief.clone())
                .collect::<Vec<_>>()
        };
        let Some(reply) = client
            .next()
            .await
            .with_context(|| format!("after {:#?}", so_far(lines)))?
        else {
            lines.push(("Closed".into(), "Closed".into()));
            if last == "Closed" {
                return Ok(());
            }
            bail!("closed after {:#?}", so_far(lines));
        };
        lines.push((
            render(&reply, Detail::Brief)?,
            render(&reply, Detail::Full)?,
        ));
        seen += usize::from(name(&reply) == last);
    }
    Ok(())
}

/// The order of ParameterStatus messages at start-up says nothing.
fn sort_parameters(lines: &mut [(String, String)]) {
    for run in lines.chunk_by_mut(|left, right| {
        left.0.starts_with("ParameterStatus") == right.0.starts_with("ParameterStatus")
    }) {
        if run
            .first()
            .is_some_and(|line| line.0.starts_with("ParameterStatus"))
        {
            run.sort();
        }
    }
}
