//! Tickets against a client that wants them to run what nobody was shown: the same bytes, where they mean another
//! thing. Real PostgreSQL, real proxy, real approver.

use std::sync::Arc;

use abeyance_e2e::{
    Approver, PROTOCOL_3_0, Postgres, RawClient, World,
    config::WRITES_WAIT,
    eventually, message,
    postgres::{PASSWORD, User},
    world::Mode,
};
use anyhow::{Context as _, Result, bail, ensure};
use tokio_postgres::Client;

const GOODS: &str = "
CREATE TABLE goods (id bigint PRIMARY KEY, n bigint NOT NULL, day date NOT NULL DEFAULT '2020-02-01');
INSERT INTO goods SELECT i, i FROM generate_series(1, 40) i;
CREATE SEQUENCE counter;
CREATE SCHEMA east; CREATE SCHEMA west;
CREATE TABLE east.stock (id bigint PRIMARY KEY); CREATE TABLE west.stock (id bigint PRIMARY KEY);
INSERT INTO east.stock SELECT generate_series(1, 40); INSERT INTO west.stock SELECT generate_series(1, 40);
CREATE FUNCTION purge_last() RETURNS void LANGUAGE plpgsql AS 'BEGIN DELETE FROM goods WHERE id = lastval(); END';
CREATE VIEW last_one AS SELECT lastval() AS id;
CREATE TABLE own (id bigint);
ALTER TABLE own ENABLE ROW LEVEL SECURITY; CREATE POLICY own ON own USING (id = pg_backend_pid());
GRANT ALL ON ALL TABLES IN SCHEMA public, east, west TO PUBLIC; GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO PUBLIC;
GRANT ALL ON SCHEMA public, east, west TO PUBLIC;
ANALYZE;
";

/// What is said to the proxy.
#[derive(Debug, Clone, Copy)]
enum Say {
    Query(&'static str),
    /// Parse, Bind, Execute and Sync, without names.
    Extended(&'static str),
    /// Parse and Sync.
    Prepare(&'static str, &'static str),
    /// Bind, Execute and Sync.
    Run(&'static str),
    /// Bind and Sync: it is not executed.
    Bind(&'static str),
    /// As `Extended`, with Flush in the place of Sync.
    Flushed(&'static str),
    /// Close and Sync.
    Close(&'static str),
}

use Say::{Bind, Close, Extended, Flushed, Prepare, Query, Run};

impl Say {
    fn bytes(self) -> Vec<u8> {
        let group = |messages: &[Vec<u8>]| [messages.concat(), message(b'S', b"")].concat();
        let parse =
            |name: &str, sql: &str| message(b'P', format!("{name}\0{sql}\0\0\0").as_bytes());
        let bind = |name: &str| message(b'B', format!("\0{name}\0\0\0\0\0\0\0").as_bytes());
        let execute = || message(b'E', b"\0\0\0\0\0");
        match self {
            Query(sql) => message(b'Q', format!("{sql}\0").as_bytes()),
            Extended(sql) => group(&[parse("", sql), bind(""), execute()]),
            Flushed(sql) => [parse("", sql), bind(""), execute(), message(b'H', b"")].concat(),
            Prepare(name, sql) => group(&[parse(name, sql)]),
            Run(name) => group(&[bind(name), execute()]),
            Bind(name) => group(&[bind(name)]),
            Close(name) => group(&[message(b'C', format!("S{name}\0").as_bytes())]),
        }
    }
}

/// A session, from its start-up settings up to the statement.
#[derive(Debug, Clone, Copy, Default)]
struct Side {
    settings: &'static [(&'static str, &'static str)],
    told: &'static [Say],
}

/// What became of a statement.
#[derive(Debug, PartialEq, Eq)]
enum Came {
    Ran,
    /// A ticket.
    Ticket,
    /// The client waits on its connection.
    Waits,
    Failed(String),
}

struct Bench {
    world: World,
    admin: Client,
    bob: Approver,
    /// Statements are told apart by it, so that no ticket of another attack is found.
    attacks: usize,
}

impl Bench {
    async fn new() -> Result<Self> {
        Self::with("").await
    }

    /// `route`: more lines for the route.
    async fn with(route: &str) -> Result<Self> {
        Self::at(Postgres::start().await?, route).await
    }

    /// On a server where roles may be changed.
    async fn alone() -> Result<Self> {
        Self::at(Arc::new(Postgres::launch().await?), "").await
    }

    async fn at(server: Arc<Postgres>, route: &str) -> Result<Self> {
        let world = World::at(server, Mode::Socket, |config| {
            WRITES_WAIT.clone_into(&mut config.policy);
            route.clone_into(&mut config.route_lines);
            // Nobody looks by himself: what is noticed was asked for.
            config.replace_in_targets("environment", "catalog_poll = \"10m\"\nenvironment");
        })
        .await?;
        let admin = world.database.admin().await?;
        admin.batch_execute(GOODS).await?;
        Ok(Self {
            admin,
            bob: world.approver("bob")?,
            world,
            attacks: 0,
        })
    }

    async fn connect(&self, settings: &[(&str, &str)]) -> Result<RawClient> {
        let user = User::Scram.name();
        let mut client = RawClient::connect(self.world.abeyance.proxy()?).await?;
        let who = [
            ("user", user),
            ("database", self.world.database.name.as_str()),
            ("abeyance.on_hold", "ticket"),
        ];
        let all = [who.as_slice(), settings].concat();
        let replies = client.startup(PROTOCOL_3_0, &all, PASSWORD).await?;
        let ready = replies.last().is_some_and(|last| last.tag == b'Z');
        ensure!(ready, "log-in refused: {replies:?}");
        Ok(client)
    }

    async fn say(&self, client: &mut RawClient, say: Say) -> Result<Came> {
        client.send(&say.bytes()).await?;
        let mut error = None;
        loop {
            let reply = client.next().await?.context("the session ended")?;
            match reply.tag {
                b'N' if reply
                    .field(b'M')
                    .is_some_and(|words| words.contains("HLD-")) =>
                {
                    return Ok(Came::Waits);
                }
                b'C' if matches!(say, Flushed(_)) => return Ok(Came::Ran),
                b'E' => error = reply.sqlstate(),
                b'Z' => {
                    return Ok(match error {
                        None => Came::Ran,
                        Some(state) if state == "55000" => Came::Ticket,
                        Some(state) => Came::Failed(state),
                    });
                }
                _ => {}
            }
        }
    }

    async fn told(&self, client: &mut RawClient, told: &[Say]) -> Result<()> {
        for say in told {
            let came = self.say(client, *say).await?;
            ensure!(came == Came::Ran, "{say:?} {came:?}");
        }
        Ok(())
    }

    async fn begin(&self, side: Side) -> Result<RawClient> {
        let mut client = self.connect(side.settings).await?;
        self.told(&mut client, side.told).await?;
        Ok(client)
    }

    async fn approve(&self) -> Result<String> {
        let hold = eventually("a hold that waits", || async {
            Ok(self.bob.in_state("pending").await?.pop())
        })
        .await?;
        self.bob.decide(&hold, "approve", None).await?;
        Ok(hold)
    }

    /// All rows of the tables that are attacked.
    async fn rows(&self) -> Result<i64> {
        let rows = "SELECT (SELECT count(*) FROM goods) + (SELECT count(*) FROM east.stock) + (SELECT count(*) FROM west.stock)";
        self.world.database.number(rows).await
    }

    /// Forgets what still waits.
    async fn deny_all(&self) -> Result<()> {
        for hold in self.bob.in_state("pending").await? {
            self.bob.decide(&hold, "deny", Some("not that")).await?;
        }
        Ok(())
    }

    /// The statement as no attack before had it.
    fn fresh(&mut self, statement: Say) -> Say {
        self.attacks += 1;
        let tagged = |sql: &str| -> &'static str {
            Box::leak(format!("{sql} /* {} */", self.attacks).into_boxed_str())
        };
        match statement {
            Query(sql) => Query(tagged(sql)),
            Extended(sql) => Extended(tagged(sql)),
            other => other,
        }
    }

    /// Has a statement approved; false when it gets no ticket.
    async fn approved(&self, client: &mut RawClient, statement: Say) -> Result<bool> {
        match self.say(client, statement).await? {
            Came::Ticket => {
                self.approve().await?;
                Ok(true)
            }
            Came::Waits => {
                self.deny_all().await?;
                client.until(b'Z').await?;
                Ok(false)
            }
            other => bail!("{statement:?}: {other:?}"),
        }
    }

    /// What comes of it when it is sent again. Only what ran changes anything.
    async fn sent_again(&self, client: &mut RawClient, statement: Say) -> Result<Came> {
        let before = self.rows().await?;
        let came = self.say(client, statement).await?;
        if came == Came::Ran {
            self.say(client, Query("COMMIT")).await?;
        }
        let gone = before - self.rows().await?;
        ensure!(
            (came == Came::Ran) == (gone > 0),
            "{statement:?} {came:?}, {gone} rows gone"
        );
        self.deny_all().await?;
        Ok(came)
    }

    /// Over another connection.
    async fn over(&mut self, first: Side, statement: Say, second: Side) -> Result<Option<Came>> {
        let mut client = self.begin(first).await?;
        let statement = self.fresh(statement);
        if !self.approved(&mut client, statement).await? {
            return Ok(None);
        }
        let mut other = self.begin(second).await?;
        self.sent_again(&mut other, statement).await.map(Some)
    }

    /// Over the same connection, after `between`.
    async fn again(
        &mut self,
        first: &[Say],
        statement: Say,
        between: &[Say],
    ) -> Result<Option<Came>> {
        let mut client = self.connect(&[]).await?;
        self.told(&mut client, first).await?;
        let statement = self.fresh(statement);
        if !self.approved(&mut client, statement).await? {
            return Ok(None);
        }
        self.told(&mut client, between).await?;
        self.sent_again(&mut client, statement).await.map(Some)
    }
}

/// It got no ticket, or was asked about anew.
fn kept(came: Result<Option<Came>>, what: impl std::fmt::Debug) -> Result<()> {
    match came.with_context(|| format!("{what:?}"))? {
        None | Some(Came::Ticket | Came::Waits) => Ok(()),
        Some(other) => bail!("{what:?}: {other:?}"),
    }
}

const BY_NAME: &str = "DELETE FROM goods WHERE id = current_setting('application_name')::bigint";
const BY_REASON: &str = "DELETE FROM goods WHERE id = current_setting('abeyance.reason')::bigint";
const BY_OWN: &str = "DELETE FROM goods WHERE id = current_setting('my.id')::bigint";

fn named(name: &'static [(&'static str, &'static str)]) -> Side {
    Side {
        settings: name,
        told: &[],
    }
}

fn told(told: &'static [Say]) -> Side {
    Side {
        settings: &[],
        told,
    }
}

/// The same in the same way is found, whichever protocol: an attack that fails says something.
#[tokio::test]
async fn what_means_the_same_runs_over_another_connection() {
    let mut bench = Bench::new().await.unwrap();
    let name = &[("application_name", "11")];
    let mut ran = async |first: Side, statement: Say, second: Side| {
        let came = bench.over(first, statement, second).await.unwrap();
        assert_eq!(came, Some(Came::Ran), "{first:?} {statement:?}");
    };
    ran(named(name), Query(BY_NAME), named(name)).await;
    let set = told(&[Query("SET application_name = '12'")]);
    ran(set, Extended(BY_NAME), set).await;
    let prepared = told(&[
        Prepare("s", "SET application_name = '13'"),
        Run("s"),
        Prepare(
            "d",
            "DELETE FROM goods WHERE id = current_setting('application_name')::bigint",
        ),
    ]);
    ran(prepared, Run("d"), prepared).await;
    let inside = told(&[Query("BEGIN"), Query("SAVEPOINT a")]);
    ran(inside, Query("DELETE FROM goods WHERE id = 14"), inside).await;
}

#[tokio::test]
async fn a_ticket_is_for_what_the_session_was_told() {
    let mut bench = Bench::new().await.unwrap();
    const ELEVEN: &[(&str, &str)] = &[("application_name", "11")];
    const TWELVE: &[(&str, &str)] = &[("application_name", "12")];
    for statement in [Query(BY_NAME), Extended(BY_NAME)] {
        for second in [
            named(TWELVE),
            told(&[Query("SET application_name = '12'")]),
            told(&[Query("BEGIN"), Query("SET LOCAL application_name = '12'")]),
            told(&[Query("SELECT set_config('application_name', '12', false)")]),
            Side {
                settings: ELEVEN,
                told: &[Query("SET application_name = '12'")],
            },
            Side {
                settings: ELEVEN,
                told: &[Extended("SET application_name = '12'")],
            },
        ] {
            let came = bench.over(named(ELEVEN), statement, second).await;
            kept(came, (statement, second)).unwrap();
        }
    }
    for (first, statement, second) in [
        (
            told(&[Query("SET abeyance.reason = '11'")]),
            BY_REASON,
            told(&[Query("SET abeyance.reason = '12'")]),
        ),
        (
            named(&[("abeyance.reason", "11")]),
            BY_REASON,
            named(&[("abeyance.reason", "12")]),
        ),
        (
            told(&[Query("SET my.id = '11'")]),
            BY_OWN,
            told(&[Query("SET my.id = '12'")]),
        ),
        (
            told(&[Query("SET DateStyle = 'ISO, MDY'")]),
            "DELETE FROM goods WHERE id = 15 AND day = '01/02/2020'",
            told(&[Query("SET DateStyle = 'ISO, DMY'")]),
        ),
        (
            told(&[Query("SET TimeZone = 'UTC'")]),
            "DELETE FROM goods WHERE id = 11 + (current_setting('TimeZone') = 'UTC')::int",
            told(&[Query("SET TimeZone = 'Asia/Tokyo'")]),
        ),
        (
            told(&[Query("SET default_transaction_isolation = 'serializable'")]),
            "DELETE FROM goods WHERE id = 11 + (current_setting('transaction_isolation') = 'serializable')::int",
            told(&[]),
        ),
        (
            told(&[Query("SET search_path = east")]),
            "DELETE FROM stock WHERE id = 11",
            told(&[Query("SET search_path = west")]),
        ),
        (
            told(&[Query("SET row_security = on")]),
            "DELETE FROM goods WHERE id = 16",
            told(&[Query("SET row_security = off")]),
        ),
    ] {
        let came = bench.over(first, Query(statement), second).await;
        kept(came, (first, statement, second)).unwrap();
    }
}

/// The bytes that tell are the same: what they run was prepared before.
#[tokio::test]
async fn a_ticket_is_for_what_was_told_by_a_prepared_statement() {
    let mut bench = Bench::new().await.unwrap();
    let first = told(&[Prepare("s", "SET application_name = '11'"), Run("s")]);
    for second in [
        told(&[Prepare("s", "SET application_name = '12'"), Run("s")]),
        // Bound and never executed.
        told(&[Prepare("s", "SET application_name = '11'"), Bind("s")]),
    ] {
        let came = bench.over(first, Query(BY_NAME), second).await;
        kept(came, second).unwrap();
    }
}

/// What a transaction was told ends with it, or with a part of it.
#[tokio::test]
async fn what_is_undone_is_not_told_any_more() {
    let mut bench = Bench::new().await.unwrap();
    const LOCALLY: &[Say] = &[
        Query("SET application_name = '12'"),
        Query("BEGIN"),
        Query("SAVEPOINT a"),
        Query("SET LOCAL application_name = '11'"),
    ];
    const WHOLLY: &[Say] = &[
        Query("SET application_name = '12'"),
        Query("BEGIN"),
        Query("SAVEPOINT a"),
        Query("SET application_name = '11'"),
    ];
    for first in [LOCALLY, WHOLLY] {
        for between in [
            &[Query("ROLLBACK"), Query("BEGIN")] as &[Say],
            &[Query("ROLLBACK TO SAVEPOINT a")],
            &[Query("ROLLBACK AND CHAIN")],
        ] {
            for statement in [Query(BY_NAME), Extended(BY_NAME)] {
                let came = bench.again(first, statement, between).await;
                kept(came, (first, between)).unwrap();
            }
        }
    }
    // Refused before its Sync, the group is undone.
    const FLUSHED: &[Say] = &[
        Query("SET application_name = '12'"),
        Flushed("SET application_name = '11'"),
    ];
    kept(bench.again(FLUSHED, Query(BY_NAME), &[]).await, FLUSHED).unwrap();
}

#[tokio::test]
async fn a_ticket_is_for_the_transaction_as_it_was_begun() {
    let mut bench = Bench::new().await.unwrap();
    let level = "DELETE FROM goods WHERE id = 11 + (current_setting('transaction_isolation') = 'serializable')::int";
    for (begun, otherwise) in [
        (
            told(&[Query("BEGIN ISOLATION LEVEL SERIALIZABLE")]),
            told(&[Query("BEGIN")]),
        ),
        (
            told(&[
                Query("BEGIN"),
                Query("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE"),
            ]),
            told(&[Query("BEGIN")]),
        ),
        (
            told(&[Prepare("b", "BEGIN ISOLATION LEVEL SERIALIZABLE"), Run("b")]),
            told(&[Prepare("b", "BEGIN"), Run("b")]),
        ),
        (
            told(&[
                Query("BEGIN ISOLATION LEVEL SERIALIZABLE"),
                Query("COMMIT AND CHAIN"),
            ]),
            told(&[Query("BEGIN"), Query("COMMIT AND CHAIN")]),
        ),
        (told(&[Query("BEGIN")]), told(&[])),
    ] {
        kept(bench.over(begun, Query(level), otherwise).await, begun).unwrap();
    }
}

/// Literals are read when a statement is prepared, by what the session was told then.
#[tokio::test]
async fn a_ticket_is_for_when_its_statement_was_prepared() {
    let mut bench = Bench::new().await.unwrap();
    const BY_DAY: &str = "DELETE FROM goods WHERE id = 11 AND day = '01/02/2020'";
    let came = bench
        .over(
            told(&[
                Query("SET DateStyle = 'ISO, MDY'"),
                Prepare("d", BY_DAY),
                Query("SET DateStyle = 'ISO, DMY'"),
            ]),
            Run("d"),
            told(&[
                Query("SET DateStyle = 'ISO, MDY'"),
                Query("SET DateStyle = 'ISO, DMY'"),
                Prepare("d", BY_DAY),
            ]),
        )
        .await;
    kept(came, "another session").unwrap();
    let came = bench
        .again(
            &[
                Query("BEGIN"),
                Query("SET LOCAL DateStyle = 'ISO, MDY'"),
                Prepare("e", BY_DAY),
                Query("COMMIT"),
                Query("SET DateStyle = 'ISO, DMY'"),
            ],
            Run("e"),
            &[Close("e"), Prepare("e", BY_DAY)],
        )
        .await;
    kept(came, "prepared again").unwrap();
    // By SQL.
    let came = bench
        .over(
            told(&[
                Query("SET DateStyle = 'ISO, MDY'"),
                Prepare("f", BY_DAY),
                Query("SET DateStyle = 'ISO, DMY'"),
            ]),
            Query("EXECUTE f"),
            told(&[
                Query("SET DateStyle = 'ISO, MDY'"),
                Query("SET DateStyle = 'ISO, DMY'"),
                Prepare("f", BY_DAY),
            ]),
        )
        .await;
    kept(came, "by SQL").unwrap();
}

#[tokio::test]
async fn a_ticket_is_for_the_text_of_its_statement() {
    let mut bench = Bench::new().await.unwrap();
    for (first, statement, second) in [
        (
            told(&[Prepare("a", "DELETE FROM goods WHERE id = 11")]),
            Run("a"),
            told(&[Prepare("a", "DELETE FROM goods WHERE id = 12")]),
        ),
        (
            told(&[Prepare("c", "DELETE FROM goods WHERE id = 11")]),
            Query("EXECUTE c"),
            told(&[Prepare("c", "DELETE FROM goods WHERE id = 12")]),
        ),
    ] {
        kept(bench.over(first, statement, second).await, second).unwrap();
    }
}

/// Cursors, sequences, temporary tables, the backend itself: what only this session has.
#[tokio::test]
async fn what_only_the_session_has_gets_no_ticket() {
    let bench = Bench::new().await.unwrap();
    const TEMP: &[Say] = &[Query("CREATE TEMP TABLE pick (id bigint)")];
    for (told, statement) in [
        (
            &[
                Query("BEGIN"),
                Query("DECLARE c CURSOR FOR SELECT * FROM goods"),
                Query("FETCH 3 FROM c"),
            ] as &[Say],
            "DELETE FROM goods WHERE CURRENT OF c",
        ),
        (&[], "DELETE FROM goods WHERE id = lastval()"),
        (&[], "DELETE FROM goods WHERE id = currval('counter')"),
        (
            &[],
            "DELETE FROM goods WHERE id = 11 + pg_backend_pid() % 2",
        ),
        (
            &[],
            "DELETE FROM goods WHERE id = 11 + inet_client_port() % 2",
        ),
        (&[], "DELETE FROM goods WHERE id = 11 + (random() * 2)::int"),
        (
            &[],
            "DELETE FROM goods WHERE id = 11 + (txid_current() % 2)",
        ),
        (
            &[],
            "DELETE FROM goods WHERE id = 11 + pg_my_temp_schema()::int % 2",
        ),
        (
            &[],
            "DELETE FROM goods WHERE id = 11 + cardinality(current_schemas(true))",
        ),
        (
            &[Query("LISTEN a")],
            "DELETE FROM goods WHERE id = 11 + (SELECT count(*) FROM pg_listening_channels())",
        ),
        (
            &[],
            "DELETE FROM goods WHERE id = 11 + (SELECT count(*) FROM pg_prepared_statements)",
        ),
        (
            &[],
            "DELETE FROM goods WHERE id = 11 + (SELECT count(*) FROM pg_cursors)",
        ),
        (
            &[],
            "DELETE FROM goods WHERE id IN (SELECT id FROM last_one)",
        ),
        (&[], "DELETE FROM goods WHERE id IN (SELECT id FROM own)"),
        (TEMP, "DELETE FROM goods WHERE id IN (SELECT id FROM pick)"),
        (
            TEMP,
            "DELETE FROM goods WHERE id IN (SELECT id FROM pg_temp.pick)",
        ),
        (&[], "CALL nothing()"),
        (&[], "DELETE FROM goods WHERE purge_last() IS NULL"),
    ] {
        let mut client = bench
            .begin(Side {
                settings: &[],
                told,
            })
            .await
            .unwrap();
        let came = bench.say(&mut client, Query(statement)).await.unwrap();
        assert_eq!(came, Came::Waits, "{statement}");
        bench.deny_all().await.unwrap();
    }
}

/// What names stand for, though no name of the statement does.
#[tokio::test]
async fn a_ticket_notices_what_the_session_made_for_itself() {
    let mut bench = Bench::new().await.unwrap();
    let flagged = Query("DELETE FROM goods WHERE id = 11 + (to_regclass('flag') IS NULL)::int");
    const MAKE: &[Say] = &[Query("CREATE TEMP TABLE flag (id int)")];
    kept(bench.again(&[], flagged, MAKE).await, "made").unwrap();
    kept(
        bench.over(told(&[]), flagged, told(MAKE)).await,
        "made elsewhere",
    )
    .unwrap();
    kept(bench.over(told(MAKE), flagged, told(&[])).await, "not made").unwrap();
    // The same name, in the way of the real table and out of it again.
    let delete = Query("DELETE FROM goods WHERE id = 13");
    const SHADOW: &[Say] = &[Query("CREATE TEMP TABLE goods AS SELECT 13::bigint AS id")];
    const DROP: &[Say] = &[Query("DROP TABLE pg_temp.goods")];
    kept(bench.again(SHADOW, delete, DROP).await, "shadow").unwrap();
    kept(
        bench.over(told(SHADOW), delete, told(&[])).await,
        "shadow elsewhere",
    )
    .unwrap();
}

/// What the server gives a session without being told.
#[tokio::test]
async fn a_ticket_is_for_the_defaults_its_session_began_with() {
    let mut bench = Bench::alone().await.unwrap();
    let role = User::Scram.name();
    let database = bench.world.database.name.clone();
    for (setting, statement) in [
        ("my.id", BY_OWN),
        (
            "my.id",
            "DELETE FROM goods WHERE id = current_setting('my.id', true)::bigint",
        ),
        ("application_name", BY_NAME),
        (
            "work_mem",
            "DELETE FROM goods WHERE id = 11 + (current_setting('work_mem') <> '12MB')::int",
        ),
        (
            "statement_timeout",
            "DELETE FROM goods WHERE id = 11 + (current_setting('statement_timeout') <> '22s')::int",
        ),
    ] {
        for of in [format!("ROLE {role}"), format!("DATABASE \"{database}\"")] {
            let alter = |value: &str| format!("ALTER {of} SET {setting} = '{value}'");
            let values = match setting {
                "work_mem" => ["11MB", "12MB"],
                "statement_timeout" => ["21s", "22s"],
                _ => ["21", "22"],
            };
            bench.admin.batch_execute(&alter(values[0])).await.unwrap();
            let mut client = bench.connect(&[]).await.unwrap();
            let statement = bench.fresh(Query(statement));
            assert!(bench.approved(&mut client, statement).await.unwrap());
            bench.admin.batch_execute(&alter(values[1])).await.unwrap();
            let mut other = bench.connect(&[]).await.unwrap();
            let came = bench.sent_again(&mut other, statement).await;
            kept(came.map(Some), (&of, setting)).unwrap();
            let reset = format!("ALTER {of} RESET {setting}");
            bench.admin.batch_execute(&reset).await.unwrap();
        }
    }
}

/// A login may begin as another role.
#[tokio::test]
async fn a_ticket_is_for_the_role_its_session_began_as() {
    let mut bench = Bench::alone().await.unwrap();
    let role = User::Scram.name();
    let roles = format!(
        "CREATE ROLE ticket_one; CREATE ROLE ticket_two; GRANT ticket_one, ticket_two TO {role};
         ALTER ROLE {role} SET role = 'ticket_one'"
    );
    bench.admin.batch_execute(&roles).await.unwrap();
    let mut client = bench.connect(&[]).await.unwrap();
    let statement = "DELETE FROM goods WHERE id = 11 + (current_user = 'ticket_two')::int";
    let statement = bench.fresh(Query(statement));
    assert!(bench.approved(&mut client, statement).await.unwrap());
    let alter = format!("ALTER ROLE {role} SET role = 'ticket_two'");
    bench.admin.batch_execute(&alter).await.unwrap();
    let mut other = bench.connect(&[]).await.unwrap();
    let came = bench.sent_again(&mut other, statement).await;
    let reset = format!("ALTER ROLE {role} RESET role");
    bench.admin.batch_execute(&reset).await.unwrap();
    kept(came.map(Some), "another role").unwrap();
}

#[tokio::test]
async fn two_that_come_with_the_same_ticket_run_it_once() {
    let bench = Bench::new().await.unwrap();
    let add = "UPDATE goods SET n = n + 1000 WHERE id = 1";
    let mut first = bench.connect(&[]).await.unwrap();
    assert_eq!(
        bench.say(&mut first, Query(add)).await.unwrap(),
        Came::Ticket
    );
    bench.approve().await.unwrap();
    let mut clients = Vec::new();
    for _ in 0..6 {
        clients.push(bench.connect(&[]).await.unwrap());
    }
    for client in &mut clients {
        client.start_query(add).await.unwrap();
    }
    let mut ran = 0;
    for client in &mut clients {
        let replies = client.until(b'Z').await.unwrap();
        ran += usize::from(replies.iter().any(|reply| reply.tag == b'C'));
    }
    assert_eq!(ran, 1);
    let n = "SELECT n FROM goods WHERE id = 1";
    assert_eq!(bench.world.database.number(n).await.unwrap(), 1001);
    bench.deny_all().await.unwrap();
}

#[tokio::test]
async fn a_ticket_that_comes_too_late_is_asked_about_anew() {
    let bench = Bench::with("ticket_life = \"10s\"\n").await.unwrap();
    let mut client = bench.connect(&[]).await.unwrap();
    let delete = Query("DELETE FROM goods WHERE id = 11");
    assert!(bench.approved(&mut client, delete).await.unwrap());
    eventually("the approval to lapse", || async {
        Ok((!bench.bob.in_state("lapsed").await?.is_empty()).then_some(()))
    })
    .await
    .unwrap();
    let came = bench.sent_again(&mut client, delete).await.unwrap();
    assert_eq!(came, Came::Ticket);
}
