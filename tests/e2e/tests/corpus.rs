//! The labelled corpus, every PostgreSQL row of it, through the real proxy against a real server under
//! the policy of `deploy/clinic.toml`: each verdict is one of those the row accepts, no ordinary
//! statement waits, what was not allowed never reached the server, and the data is as it was.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use abeyance_e2e::{
    Abeyance, Config, Database, Postgres, RawClient, Reply, message,
    postgres::{PASSWORD, User},
    root,
};
use anyhow::{Context, Result, bail, ensure};
use base64::Engine as _;
use futures::{StreamExt, TryStreamExt, stream};
use serde::Deserialize;

/// Rows played at once.
const AT_ONCE: usize = 8;

#[derive(Debug, Deserialize)]
struct Row {
    id: String,
    dialect: String,
    sql: String,
    sql_b64: Option<String>,
    accept: Vec<String>,
    #[serde(default)]
    session: Vec<String>,
}

impl Row {
    fn bytes(&self) -> Result<Vec<u8>> {
        Ok(match &self.sql_b64 {
            Some(encoded) => base64::engine::general_purpose::STANDARD.decode(encoded)?,
            None => self.sql.clone().into_bytes(),
        })
    }

    /// Ordinary work: it must not wait for anybody.
    fn is_benign(&self) -> bool {
        self.accept == ["allow"]
    }

    fn accepts(&self, verdict: Verdict) -> bool {
        let named = |word: &str| self.accept.iter().any(|accepted| accepted == word);
        match verdict {
            Verdict::Allow => named("allow"),
            // What would be masked is held as long as results are not masked.
            Verdict::Hold => named("hold") || named("mask"),
            Verdict::Deny => named("deny"),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Allow,
    Hold,
    Deny,
}

#[derive(Debug, Clone, Copy)]
enum Protocol {
    Simple,
    Extended,
}

fn rows() -> Result<Vec<Row>> {
    let corpus = std::fs::read_to_string(root().join("tests/corpus/open.jsonl"))?;
    let rows = corpus.lines().map(serde_json::from_str);
    let rows: Vec<Row> = rows.collect::<Result<_, _>>()?;
    Ok(rows
        .into_iter()
        .filter(|row| row.dialect == "postgresql")
        .collect())
}

/// `[policy]`, `[[rule]]` and `[[protect]]` of the clinic's configuration.
fn clinic_policy() -> Result<String> {
    let text = std::fs::read_to_string(root().join("deploy/clinic.toml"))?;
    let mut policy = String::new();
    let mut ours = false;
    for line in text.lines() {
        if line.starts_with('[') {
            ours = ["[policy", "[[rule", "[[protect"]
                .iter()
                .any(|section| line.starts_with(section));
        }
        if ours {
            policy.push_str(line);
            policy.push('\n');
        }
    }
    Ok(policy)
}

struct Gate {
    abeyance: Abeyance,
    database: Database,
}

impl Gate {
    /// A proxy in front of a clinic whose new sessions begin with `settings`.
    async fn open(server: &Arc<Postgres>, settings: &[String]) -> Result<Self> {
        let database = server.database().await?;
        for setting in settings {
            let statement = format!("ALTER DATABASE {} {setting}", database.name);
            database.admin().await?.batch_execute(&statement).await?;
        }
        let config = Config::for_database(&database).policy(&clinic_policy()?);
        let abeyance = Abeyance::serve(&config).await?;
        Ok(Self { abeyance, database })
    }

    async fn client(&self) -> Result<RawClient> {
        let user = User::Scram.name();
        RawClient::log_in(self.abeyance.proxy()?, user, &self.database.name, PASSWORD).await
    }

    /// Sends the row as an agent would, and goes away when it is held.
    async fn play(&self, row: &Row, protocol: Protocol) -> Result<Verdict> {
        let mut client = self.client().await?;
        let text = [&row.bytes()?[..], b"\0"].concat();
        match protocol {
            Protocol::Simple => client.send(&message(b'Q', &text)).await?,
            Protocol::Extended => {
                let parse = [b"\0", &text[..], &[0, 0]].concat();
                let group = [
                    message(b'P', &parse),
                    message(b'B', &[0, 0, 0, 0, 0, 0, 0, 0]),
                    message(b'E', &[0, 0, 0, 0, 0]),
                    message(b'S', b""),
                ];
                client.send(&group.concat()).await?;
            }
        }
        verdict(&mut client).await
    }
}

/// What the replies tell of the proxy's judgement.
async fn verdict(client: &mut RawClient) -> Result<Verdict> {
    let mut verdict = Verdict::Allow;
    loop {
        let reply = client.next_within(Duration::from_secs(30)).await?;
        let Some(reply) = reply else {
            ensure!(verdict == Verdict::Deny, "the connection closed");
            return Ok(verdict);
        };
        match reply.tag {
            b'N' if is_about_a_hold(&reply) => return Ok(Verdict::Hold),
            b'E' if is_ours(&reply) => verdict = Verdict::Deny,
            // COPY FROM STDIN was let through.
            b'G' => return Ok(Verdict::Allow),
            b'Z' => return Ok(verdict),
            _ => {}
        }
    }
}

fn is_about_a_hold(reply: &Reply) -> bool {
    reply.fields().iter().any(|(_, text)| text.contains("HLD-"))
}

/// An error of the proxy's: the server's name a place in its source.
fn is_ours(reply: &Reply) -> bool {
    reply.field(b'F').is_none()
}

/// Rows and contents of every table, what is defined, and where the sequences stand.
async fn state(database: &Database) -> Result<BTreeMap<String, String>> {
    let admin = database.admin().await?;
    let tables = "SELECT format('%I.%I', nspname, relname) FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace \
         WHERE relkind IN ('r', 'm') AND nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast') \
           AND relpersistence <> 't' ORDER BY 1";
    let mut state = BTreeMap::new();
    for table in admin.query(tables, &[]).await? {
        let table: String = table.try_get(0)?;
        let digest = format!(
            "SELECT count(*) || ' ' || coalesce(md5(string_agg(t::text, '|' ORDER BY t::text)), '') FROM ONLY {table} t"
        );
        let digest: String = admin.query_one(&digest, &[]).await?.try_get(0)?;
        state.insert(table, digest);
    }
    for (name, query) in [
        ("routines", "SELECT count(*)::text FROM pg_proc"),
        ("rules", "SELECT count(*)::text FROM pg_rewrite"),
        ("triggers", "SELECT count(*)::text FROM pg_trigger"),
        ("policies", "SELECT count(*)::text FROM pg_policy"),
        (
            "large objects",
            "SELECT count(*)::text FROM pg_largeobject_metadata",
        ),
        (
            "settings",
            "SELECT coalesce(string_agg(setdatabase || ' ' || setrole, ','), '') FROM pg_db_role_setting
             WHERE setdatabase = 0 OR setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database())",
        ),
    ] {
        let value: String = admin.query_one(query, &[]).await?.try_get(0)?;
        state.insert(name.to_owned(), value);
    }
    Ok(state)
}

async fn play_all(protocol: Protocol) -> Result<()> {
    let server = Postgres::start().await?;
    let rows = rows()?;
    let settings: BTreeSet<&Vec<String>> = rows.iter().map(|row| &row.session).collect();
    let mut wrong = Vec::new();
    let (mut benign, mut benign_held) = (0, 0);
    for settings in settings {
        let gate = Gate::open(&server, settings).await?;
        let before = state(&gate.database).await?;
        let ours = rows.iter().filter(|row| row.session == **settings);
        let verdicts: Vec<(&Row, Verdict)> = stream::iter(ours)
            .map(|row| {
                let gate = &gate;
                async move {
                    let verdict = gate.play(row, protocol).await;
                    let verdict = verdict.with_context(|| row.id.clone())?;
                    anyhow::Ok((row, verdict))
                }
            })
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await?;
        let statements = gate.database.statements().await?;
        for (row, verdict) in verdicts {
            if !row.accepts(verdict) {
                wrong.push(format!("{} {verdict:?}: {}", row.id, row.sql));
            }
            benign += usize::from(row.is_benign());
            benign_held += usize::from(row.is_benign() && verdict != Verdict::Allow);
            if verdict != Verdict::Allow && statements.contains(&row.sql) {
                wrong.push(format!("{} ran: {}", row.id, row.sql));
            }
        }
        let mut after = state(&gate.database).await?;
        // The appointment book is what ordinary rows write to.
        for (name, value) in before {
            let now = after.remove(&name).unwrap_or_default();
            if now != value && name != "public.appointments" {
                wrong.push(format!("{name} changed from {value} to {now}"));
            }
        }
        wrong.extend(after.into_keys().map(|name| format!("{name} is new")));
    }
    ensure!(wrong.is_empty(), "{protocol:?}: {wrong:#?}");
    if benign_held * 50 > benign {
        bail!("{benign_held} of {benign} ordinary statements had to wait");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_corpus_by_simple_queries() {
    play_all(Protocol::Simple).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_corpus_by_the_extended_protocol() {
    play_all(Protocol::Extended).await.unwrap();
}
