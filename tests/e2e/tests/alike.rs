//! Several holds decided by one look: what somebody who saw one of them was not told of is decided by itself. Real
//! PostgreSQL, real proxy, real approver.

use abeyance_e2e::{Approver, RawClient, World, config::INSERTS_AT_COMMIT, message, world::Mode};
use anyhow::{Context as _, Result, ensure};

/// Everything is asked about but what only tells the session something.
const RULES: &str = r#"
[policy]
default = "hold"
route = "dba"

[[rule]]
name = "own"
class = ["session", "session_risk", "transaction"]
verdict = "allow"
"#;

const TABLES: &str = "
CREATE SCHEMA east; CREATE SCHEMA west;
CREATE TABLE east.stock (id int); CREATE TABLE west.stock (id int);
CREATE FUNCTION purge(n int) RETURNS int LANGUAGE plpgsql AS 'BEGIN DELETE FROM rooms WHERE floor > n; RETURN 1; END';
DO $$ BEGIN CREATE ROLE ward ROLE PUBLIC_USER; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$;
GRANT USAGE ON SCHEMA east, west TO PUBLIC;
GRANT ALL ON ALL TABLES IN SCHEMA public, east, west TO PUBLIC;
ANALYZE;
";

/// What a session says before the statement that waits.
#[derive(Debug, Clone, Copy)]
enum Say {
    Query(&'static str),
    /// Parse and Sync.
    Prepare(&'static str, &'static str),
}

use Say::{Prepare, Query};

impl Say {
    fn bytes(self) -> Vec<u8> {
        match self {
            Query(sql) => message(b'Q', format!("{sql}\0").as_bytes()),
            Prepare(name, sql) => [
                message(b'P', format!("{name}\0{sql}\0\0\0").as_bytes()),
                message(b'S', b""),
            ]
            .concat(),
        }
    }
}

/// A session up to the statement that waits.
type Side = (&'static [Say], &'static str);

struct Bench {
    world: World,
    bob: Approver,
}

impl Bench {
    async fn new() -> Result<Self> {
        let world = World::with(Mode::Socket, |config| {
            config.policy = format!("{RULES}{INSERTS_AT_COMMIT}");
        })
        .await?;
        let user = abeyance_e2e::postgres::User::Scram.name();
        let tables = TABLES.replace("PUBLIC_USER", user);
        world.database.admin().await?.batch_execute(&tables).await?;
        Ok(Self {
            bob: world.approver("bob")?,
            world,
        })
    }

    /// The statement waits: its client, and its hold.
    async fn held(&self, (told, sql): Side) -> Result<(RawClient, String)> {
        let mut client = self.world.client().await?;
        for say in told {
            client.send(&say.bytes()).await?;
            let replies = client.until(b'Z').await?;
            let error = replies.iter().find(|reply| reply.tag == b'E');
            ensure!(error.is_none(), "{say:?} {error:?}");
        }
        client.start_query(sql).await?;
        loop {
            let reply = client.next().await?.context("the session ended")?;
            ensure!(reply.tag != b'E' && reply.tag != b'Z', "{sql} {reply:?}");
            let words = reply.field(b'M').unwrap_or_default();
            if reply.tag == b'N' && words.contains(" is held") {
                let hold = words.split(' ').next().unwrap_or_default().to_owned();
                return Ok((client, hold));
            }
        }
    }

    /// Whether somebody who saw the first may decide the second with it.
    async fn joins(&self, first: Side, second: Side) -> Result<bool> {
        let (_one, seen) = self.held(first).await?;
        let (_other, other) = self.held(second).await?;
        let listed = self.bob.alike(&seen).await?.contains(&other);
        let together = self.bob.approve_together(&[&seen, &other]).await?;
        ensure!(listed == together, "{first:?} {second:?}");
        if !together {
            for hold in [seen, other] {
                self.bob.decide(&hold, "deny", Some("not that")).await?;
            }
        }
        Ok(together)
    }
}

async fn each(pairs: &[(Side, Side)], joined: bool) -> Result<()> {
    let bench = Bench::new().await?;
    let mut otherwise = Vec::new();
    for (first, second) in pairs {
        if bench.joins(*first, *second).await? != joined {
            otherwise.push(second.1);
        }
    }
    ensure!(otherwise.is_empty(), "{otherwise:#?}");
    Ok(())
}

/// An attack that is not listed says something only when its like would be.
#[tokio::test]
async fn what_is_no_other_thing_is_decided_together() {
    const AT_COMMIT: Side = (
        &[
            Query("SET search_path = east"),
            Query("BEGIN"),
            Query("INSERT INTO stock VALUES (1)"),
        ],
        "COMMIT",
    );
    const CODE: Side = (
        &[],
        "DO $$ BEGIN DELETE FROM rooms WHERE floor > 90; END $$",
    );
    const GATHERED: Side = (&[], "SELECT json_agg(r) FROM rooms r WHERE floor = 2");
    each(
        &[
            (
                (&[], "DELETE FROM rooms WHERE floor = 80"),
                (&[], "DELETE FROM rooms WHERE floor = 90"),
            ),
            (
                (
                    &[],
                    "SET abeyance.reason = 'a'; DELETE FROM rooms WHERE floor = 80",
                ),
                (
                    &[],
                    "SET abeyance.reason = 'b'; DELETE FROM rooms WHERE floor = 90",
                ),
            ),
            (AT_COMMIT, AT_COMMIT),
            (CODE, CODE),
            (GATHERED, GATHERED),
        ],
        true,
    )
    .await
    .unwrap();
}

/// The card leaves literals out. Where they are the work itself, one says nothing of another.
#[tokio::test]
async fn what_its_literals_do_is_decided_by_itself() {
    each(
        &[
            (
                (&[], "DO $$ BEGIN PERFORM 1; END $$"),
                (&[], "DO $$ BEGIN DELETE FROM rooms; END $$"),
            ),
            (
                (
                    &[],
                    "CREATE FUNCTION f() RETURNS void LANGUAGE sql AS 'SELECT'",
                ),
                (
                    &[],
                    "CREATE FUNCTION f() RETURNS void LANGUAGE sql AS 'DELETE FROM rooms'",
                ),
            ),
            (
                (&[], "COPY rooms TO PROGRAM 'true'"),
                (&[], "COPY rooms TO PROGRAM 'cat > /dev/null'"),
            ),
            ((&[], "SELECT purge(90)"), (&[], "SELECT purge(0)")),
            (
                (&[], "ALTER TABLE rooms ALTER beds SET DEFAULT 1"),
                (&[], "ALTER TABLE rooms ALTER beds SET DEFAULT 1000"),
            ),
        ],
        false,
    )
    .await
    .unwrap();
}

/// Many rows in one value: the number of rows that come back says nothing of what was read.
#[tokio::test]
async fn what_gathers_rows_into_a_value_is_decided_by_itself() {
    each(
        &[
            (
                (&[], "SELECT string_agg(name, ',') FROM patients WHERE id < 2"),
                (&[], "SELECT string_agg(name, ',') FROM patients WHERE id < 1000000"),
            ),
            (
                (&[], "SELECT ARRAY(SELECT name FROM patients WHERE id < 2)"),
                (&[], "SELECT ARRAY(SELECT name FROM patients WHERE id < 1000000)"),
            ),
            (
                (
                    &[],
                    "WITH RECURSIVE r AS (SELECT 1 AS n, '' AS told UNION ALL \
                     SELECT n + 1, told || (SELECT name FROM patients WHERE id = n) FROM r WHERE n < 2) \
                     SELECT told FROM r ORDER BY n DESC LIMIT 1",
                ),
                (
                    &[],
                    "WITH RECURSIVE r AS (SELECT 1 AS n, '' AS told UNION ALL \
                     SELECT n + 1, told || (SELECT name FROM patients WHERE id = n) FROM r WHERE n < 1000000) \
                     SELECT told FROM r ORDER BY n DESC LIMIT 1",
                ),
            ),
        ],
        false,
    )
    .await
    .unwrap();
}

/// The same words, in sessions where they mean another thing.
#[tokio::test]
async fn what_means_another_thing_is_decided_by_itself() {
    each(
        &[
            (
                (
                    &[Prepare(
                        "p",
                        "UPDATE rooms SET beds = floor WHERE room = 'R1'",
                    )],
                    "EXECUTE p",
                ),
                (
                    &[Prepare(
                        "p",
                        "UPDATE rooms SET floor = beds WHERE room = 'R1'",
                    )],
                    "EXECUTE p",
                ),
            ),
            (
                (&[], "DELETE FROM rooms WHERE floor = 90"),
                (
                    &[Query("SET ROLE ward")],
                    "DELETE FROM rooms WHERE floor = 90",
                ),
            ),
            (
                (
                    &[
                        Query("SET search_path = east"),
                        Query("BEGIN"),
                        Query("INSERT INTO stock VALUES (1)"),
                    ],
                    "COMMIT",
                ),
                (
                    &[
                        Query("SET search_path = west"),
                        Query("BEGIN"),
                        Query("INSERT INTO stock VALUES (1)"),
                    ],
                    "COMMIT",
                ),
            ),
        ],
        false,
    )
    .await
    .unwrap();
}

/// A name alone shows nobody what would run.
#[tokio::test]
async fn what_a_name_stands_for_is_shown() {
    let bench = Bench::new().await.unwrap();
    let prepared = &[Prepare("p", "DELETE FROM rooms WHERE floor = 90")];
    let (_client, hold) = bench.held((prepared, "EXECUTE p")).await.unwrap();
    let holds = bench.bob.holds().await.unwrap();
    let held = holds.iter().find(|one| one["id"] == hold.as_str()).unwrap();
    let text = held["request"]["statements"][0]["text"].as_str().unwrap();
    assert!(
        text.contains("EXECUTE p") && text.contains("DELETE FROM rooms"),
        "{text}"
    );
}
