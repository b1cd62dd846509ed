//! A gateway inside the test, before a real PostgreSQL, with a desk the test decides for.

#[allow(
    dead_code,
    clippy::unwrap_used,
    reason = "a test's own desk; the gateway's own tests use the rest of it"
)]
#[path = "../../../../proxy/gateway/tests/support/desk.rs"]
pub mod desk;

use std::{net::SocketAddr, sync::Arc};

use abeyance_api::SystemClock;
use abeyance_e2e::{Database, RawClient, Reply, message, postgres::User};
use abeyance_gateway::{Agent, Gateway, GatewayConfig, Limits, Target, Unjudged, UpstreamTls};
use abeyance_policy::{Access, Decision, Matcher, Rule, RuleSet};
use abeyance_sql::StatementClass;
use abeyance_wire::postgres::scram::ScramVerifier;
use anyhow::{Context, Result, anyhow, ensure};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub use self::desk::Desk;

pub const AGENT: &str = "bot";
pub const TARGET: &str = "clinic";
const PASSWORD: &str = "bot's password";

/// That of every user of the test servers.
fn users_password() -> &'static str {
    abeyance_e2e::postgres::PASSWORD
}

/// A running gateway. Sessions end with it.
pub struct Inside {
    pub address: String,
    pub desk: Arc<Desk>,
    shutdown: CancellationToken,
}

impl Inside {
    /// `unjudged`: statements pass whatever the rules say.
    pub async fn start(
        database: &Database,
        access: Access,
        rules: RuleSet,
        unjudged: Option<Unjudged>,
    ) -> Result<Self> {
        let names = [AGENT, TARGET, PASSWORD];
        Self::named(database, names, User::Trust, access, rules, unjudged).await
    }

    /// Under names that a direct connection would use: nothing but the port changes for the client.
    pub async fn in_place(database: &Database, rules: RuleSet, how: Unjudged) -> Result<Self> {
        let names = [User::Scram.name(), &database.name, users_password()];
        let access = Access::ReadWrite;
        Self::named(database, names, User::Scram, access, rules, Some(how)).await
    }

    async fn named(
        database: &Database,
        [agent, target, password]: [&str; 3],
        user: User,
        access: Access,
        rules: RuleSet,
        unjudged: Option<Unjudged>,
    ) -> Result<Self> {
        let config = GatewayConfig {
            client_tls: None,
            targets: vec![Target {
                name: target.to_owned(),
                host: "127.0.0.1".to_owned(),
                port: database.server().port(),
                database: database.name.clone(),
                user: user.name().to_owned(),
                password: Some(users_password().to_owned().into()),
                tls: UpstreamTls::disable(),
                environment: None,
                vouched_functions: Arc::default(),
                catalog_poll: None,
                sessions_max: None,
            }],
            agents: vec![Agent {
                name: agent.to_owned(),
                owner: None,
                actor: None,
                access,
                targets: vec![target.to_owned()],
                verifier: ScramVerifier::generate(password)?,
                sessions_max: None,
            }],
            rules,
            limits: Limits::default(),
        };
        let desk = Arc::new(Desk::default());
        let clock = Arc::new(SystemClock);
        let gateway = match unjudged {
            Some(how) => Gateway::unjudged(config, desk.clone(), clock, how)?,
            None => Gateway::new(config, desk.clone(), clock)?,
        };
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address: SocketAddr = listener.local_addr()?;
        let shutdown = CancellationToken::new();
        abeyance_e2e::postgres::detach(gateway.serve(listener, shutdown.clone()));
        Ok(Self {
            address: address.to_string(),
            desk,
            shutdown,
        })
    }

    pub fn port(&self) -> Result<u16> {
        let (_, port) = self.address.rsplit_once(':').context("no port")?;
        Ok(port.parse()?)
    }

    pub async fn connect(&self) -> Result<RawClient> {
        RawClient::log_in(&self.address, AGENT, TARGET, PASSWORD).await
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

/// Parse, Bind, Describe and Execute of one text, unnamed.
pub fn extended(sql: &[u8]) -> Vec<u8> {
    let parse = [&b"\0"[..], sql, b"\0\0\0"].concat();
    [
        message(b'P', &parse),
        message(b'B', b"\0\0\0\0\0\0\0\0"),
        message(b'D', b"P\0"),
        message(b'E', b"\0\0\0\0\0"),
    ]
    .concat()
}

/// A Query with any bytes but zero.
pub fn query(sql: &[u8]) -> Vec<u8> {
    message(b'Q', &[sql, b"\0"].concat())
}

/// Sends and reads up to ReadyForQuery. COPY data that is asked for is refused. `None`: the session ended.
pub async fn play(client: &mut RawClient, bytes: &[u8]) -> Result<Option<Vec<Reply>>> {
    if client.send(bytes).await.is_err() {
        return Ok(None);
    }
    let mut replies = Vec::new();
    loop {
        let Some(reply) = client.next().await? else {
            return Ok(None);
        };
        if reply.tag == b'G' {
            let extended = bytes.first() != Some(&b'Q');
            client.send(&message(b'f', b"no\0")).await?;
            if extended {
                client.send(&message(b'S', b"")).await?;
            }
        }
        let done = reply.tag == b'Z';
        let fatal = reply.tag == b'E' && reply.field(b'V').as_deref() == Some("FATAL");
        replies.push(reply);
        if done {
            return Ok(Some(replies));
        }
        if fatal {
            return Ok(None);
        }
    }
}

/// The last ReadyForQuery's word.
pub fn status(replies: &[Reply]) -> char {
    let ready = replies.iter().rev().find(|reply| reply.tag == b'Z');
    ready.map_or('?', |ready| char::from(ready.body[0]))
}

/// Tags of the replies, as one word.
pub fn tags(replies: &[Reply]) -> String {
    replies.iter().map(|reply| char::from(reply.tag)).collect()
}

/// The first error's SQLSTATE.
pub fn sqlstate(replies: &[Reply]) -> Option<String> {
    replies.iter().find_map(Reply::sqlstate)
}

/// A checksum of everything a statement could change in the database.
pub async fn fingerprint(admin: &tokio_postgres::Client) -> Result<Vec<(String, String)>> {
    let mut found = Vec::new();
    let tables = "SELECT c.oid::regclass::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
        WHERE c.relkind IN ('r', 'm') AND n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema' ORDER BY 1";
    for row in admin.query(tables, &[]).await? {
        let table: String = row.get(0);
        let sum = format!("SELECT {SUM} FROM (SELECT t::text FROM ONLY {table} t) x(r)");
        found.push((table, admin.query_one(&sum, &[]).await?.get(0)));
    }
    for (name, rows) in CATALOGS {
        let sum = format!("SELECT {SUM} FROM ({rows}) x(r)");
        found.push(((*name).to_owned(), admin.query_one(&sum, &[]).await?.get(0)));
    }
    ensure!(found.len() > CATALOGS.len(), "no tables");
    Ok(found)
}

/// The same for the same rows in any order.
const SUM: &str = "count(*) || ' ' || coalesce(sum(hashtextextended(r, 0)::numeric), 0)";

/// What is looked at besides rows: without what autovacuum touches.
const CATALOGS: &[(&str, &str)] = &[
    (
        "relations",
        "SELECT concat_ws(' ', oid, relname, relnamespace, relowner, relkind, relfilenode, relpersistence, relacl, reloptions, relchecks, relrowsecurity, relispartition) FROM pg_class WHERE relkind <> 't'",
    ),
    (
        "columns",
        "SELECT concat_ws(' ', attrelid, attname, atttypid, attnotnull, atthasdef, attisdropped, attacl) FROM pg_attribute",
    ),
    (
        "routines",
        "SELECT concat_ws(' ', oid, proname, prosrc, proowner, proacl, proconfig) FROM pg_proc",
    ),
    ("types", "SELECT t::text FROM pg_type t"),
    ("constraints", "SELECT t::text FROM pg_constraint t"),
    ("triggers", "SELECT t::text FROM pg_trigger t"),
    (
        "rules",
        "SELECT concat_ws(' ', oid, rulename, ev_class) FROM pg_rewrite",
    ),
    (
        "policies",
        "SELECT concat_ws(' ', oid, polname) FROM pg_policy",
    ),
    ("schemas", "SELECT t::text FROM pg_namespace t"),
    (
        "roles",
        "SELECT concat_ws(' ', oid, rolname, rolsuper, rolcreaterole, rolcreatedb, rolcanlogin, rolconnlimit) FROM pg_roles",
    ),
    ("memberships", "SELECT t::text FROM pg_auth_members t"),
    ("role settings", "SELECT t::text FROM pg_db_role_setting t"),
    (
        "databases",
        "SELECT concat_ws(' ', oid, datname, datdba, datacl) FROM pg_database",
    ),
    ("default privileges", "SELECT t::text FROM pg_default_acl t"),
    ("comments", "SELECT t::text FROM pg_description t"),
    ("casts", "SELECT t::text FROM pg_cast t"),
    ("operators", "SELECT t::text FROM pg_operator t"),
    ("extensions", "SELECT t::text FROM pg_extension t"),
    ("event triggers", "SELECT t::text FROM pg_event_trigger t"),
    ("publications", "SELECT t::text FROM pg_publication t"),
    ("foreign servers", "SELECT t::text FROM pg_foreign_server t"),
    (
        "extended statistics",
        "SELECT concat_ws(' ', oid, stxname) FROM pg_statistic_ext",
    ),
    ("prepared transactions", "SELECT gid FROM pg_prepared_xacts"),
    (
        "replication slots",
        "SELECT slot_name::text FROM pg_replication_slots",
    ),
    ("sequences", "SELECT s::text FROM pg_sequences s"),
    (
        "large objects",
        "SELECT concat_ws(' ', oid, lomowner, lomacl) FROM pg_largeobject_metadata",
    ),
    (
        "large object data",
        "SELECT concat_ws(' ', loid, pageno, md5(data)) FROM pg_largeobject",
    ),
];

/// Transactions pass, UPDATE passes up to 4 rows, and reads if `reading`; the rest is asked, DELETE for 2 rows at most.
pub fn capped(reading: bool) -> Result<RuleSet> {
    let hold = Decision::Hold {
        route: "dba".to_owned(),
    };
    let mut classes = vec![StatementClass::Session, StatementClass::Transaction];
    classes.extend(reading.then_some(StatementClass::Read));
    let passing = Matcher {
        classes: Some(classes),
        ..Matcher::default()
    };
    let kinds = |kind: &str| Matcher {
        kinds: Some(vec![kind.to_owned()]),
        ..Matcher::default()
    };
    let rules = vec![
        Rule::new("passing", passing, Decision::Allow),
        Rule {
            rows_max: Some(4),
            ..Rule::new("small-updates", kinds("UPDATE"), Decision::Allow)
        },
        Rule {
            rows_max: Some(2),
            ..Rule::new("deletes", kinds("DELETE"), hold.clone())
        },
    ];
    RuleSet::new(rules, hold).map_err(|errors| anyhow!("{errors:?}"))
}
