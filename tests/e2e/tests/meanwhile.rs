//! Definitions that are not committed when a statement is judged: nobody sees them, their locks shut the statement out, and it
//! goes on with them once they are. Real PostgreSQL, real proxy, real approver.

use abeyance_e2e::{
    Approver, RawClient, Reply, World,
    config::{INSERTS_AT_COMMIT, WRITES_WAIT},
    eventually,
    world::Mode,
};
use anyhow::{Context as _, Result};
use tokio_postgres::Client;

const SCRATCH_PASSES: &str = r#"
[[rule]]
name = "scratch"
kind = ["DELETE"]
table = ["east.scratch", "east.heap"]
verdict = "allow"
"#;

const TABLES: &str = "
CREATE SCHEMA east; CREATE SCHEMA west;
CREATE TABLE east.stock (id int PRIMARY KEY, n int NOT NULL);
CREATE TABLE west.stock (LIKE east.stock INCLUDING ALL);
CREATE TABLE east.elsewhere (id int);
CREATE TABLE east.heap (id int);
INSERT INTO east.stock SELECT i, i FROM generate_series(1, 20) i;
INSERT INTO west.stock SELECT i, i FROM generate_series(1, 20) i;
CREATE VIEW east.low AS SELECT id, n FROM east.stock WHERE n < 500;
CREATE VIEW east.other AS SELECT id FROM east.elsewhere;
CREATE FUNCTION east.fired() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.n := 1000; RETURN NEW; END';
GRANT ALL ON SCHEMA east, west TO PUBLIC;
GRANT ALL ON ALL TABLES IN SCHEMA east, west TO PUBLIC;
ANALYZE east.stock; ANALYZE west.stock;
";

const ANOTHER_VIEW: &str =
    "CREATE OR REPLACE VIEW east.low AS SELECT id, n FROM west.stock WHERE n < 500";
const SUM: &str = "SELECT sum(n)::bigint FROM (TABLE east.stock UNION ALL TABLE west.stock) s";

struct Bench {
    world: World,
    admin: Client,
    bob: Approver,
    client: RawClient,
}

impl Bench {
    async fn new() -> Result<Self> {
        let world = World::with(Mode::Socket, |config| {
            config.policy = format!("{WRITES_WAIT}{SCRATCH_PASSES}{INSERTS_AT_COMMIT}");
            // Nobody looks by himself: what is noticed was asked for.
            config.replace_in_targets("environment", "catalog_poll = \"10m\"\nenvironment");
        })
        .await?;
        let admin = world.database.admin().await?;
        admin.batch_execute(TABLES).await?;
        Ok(Self {
            admin,
            bob: world.approver("bob")?,
            client: world.client().await?,
            world,
        })
    }

    async fn waits_for_people(&self) -> Result<String> {
        eventually("a hold that waits", || async {
            Ok(self.bob.in_state("pending").await?.pop())
        })
        .await
    }

    /// The statement waits for a lock of ours; then what we defined is committed.
    async fn goes_on_with_it(&self) -> Result<()> {
        let waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted";
        eventually("the statement to wait for a lock", || async {
            Ok((self.world.database.number(waiting).await? > 0).then_some(()))
        })
        .await?;
        Ok(self.admin.batch_execute("COMMIT").await?)
    }

    /// Has it approved while `change` is not committed; gives the error it ends with.
    async fn approved_during(&mut self, sql: &str, change: &str) -> Result<Option<String>> {
        self.client.start_query(sql).await?;
        let hold = self.waits_for_people().await?;
        self.admin
            .batch_execute(&format!("BEGIN; {change}"))
            .await?;
        self.bob.decide(&hold, "approve", None).await?;
        self.goes_on_with_it()
            .await
            .with_context(|| change.to_owned())?;
        let replies = self.client.until(b'Z').await?;
        Ok(replies.iter().find_map(Reply::sqlstate))
    }

    async fn sum(&self) -> Result<i64> {
        self.world.database.number(SUM).await
    }
}

#[tokio::test]
async fn an_approval_is_not_for_what_is_defined_while_its_statement_waits_for_a_lock() {
    let mut bench = Bench::new().await.unwrap();
    let before = bench.sum().await.unwrap();
    for inside in [false, true] {
        for (sql, change) in [
            ("UPDATE east.low SET n = n + 1 WHERE id = 1", ANOTHER_VIEW),
            (
                "UPDATE east.stock SET n = n WHERE id = 1",
                "CREATE OR REPLACE TRIGGER late BEFORE UPDATE ON east.stock \
                 FOR EACH ROW EXECUTE FUNCTION east.fired()",
            ),
        ] {
            if inside {
                bench.client.query("BEGIN").await.unwrap();
            }
            let error = bench.approved_during(sql, change).await.unwrap();
            assert_eq!(error.as_deref(), Some("42501"), "{sql}");
            if inside {
                bench.client.query("COMMIT").await.unwrap();
            }
            assert_eq!(bench.sum().await.unwrap(), before, "{sql}");
        }
        let back = "CREATE OR REPLACE VIEW east.low AS SELECT id, n FROM east.stock WHERE n < 500; \
                    DROP TRIGGER late ON east.stock";
        bench.admin.batch_execute(back).await.unwrap();
    }
    // What is defined elsewhere meanwhile takes nothing back.
    let elsewhere = "ALTER TABLE east.elsewhere ADD COLUMN late int; LOCK TABLE east.stock";
    let sql = "UPDATE east.stock SET n = n + 1 WHERE id = 1";
    let error = bench.approved_during(sql, elsewhere).await.unwrap();
    assert_eq!(error, None);
    assert_eq!(bench.sum().await.unwrap(), before + 1);
}

/// A definition that is not committed can keep the proxy from reading one that is.
#[tokio::test]
async fn an_approval_lapses_when_nobody_can_say_what_it_means_now() {
    let mut bench = Bench::new().await.unwrap();
    let sql = "UPDATE east.low SET n = n + 1 WHERE id = 1";
    bench.client.start_query(sql).await.unwrap();
    let hold = bench.waits_for_people().await.unwrap();
    let other = bench.world.database.admin().await.unwrap();
    let locked =
        "BEGIN; CREATE OR REPLACE VIEW east.other AS SELECT id + 1 - 1 AS id FROM east.elsewhere";
    other.batch_execute(locked).await.unwrap();
    bench.admin.batch_execute(ANOTHER_VIEW).await.unwrap();
    bench.bob.decide(&hold, "approve", None).await.unwrap();
    let replies = bench.client.until(b'Z').await.unwrap();
    let error = replies.iter().find(|reply| reply.tag == b'E').unwrap();
    assert_eq!(error.sqlstate().as_deref(), Some("42501"));
    let words = error.field(b'M').unwrap_or_default();
    assert!(words.contains("has changed meanwhile"), "{words}");
    bench.world.database.never_saw("UPDATE").await.unwrap();
}

/// What the target was asked about a statement before says nothing while somebody else has definitions that are not
/// committed.
#[tokio::test]
async fn what_passed_before_is_asked_about_again_while_others_define() {
    let mut bench = Bench::new().await.unwrap();
    let sql = "DELETE FROM east.scratch WHERE id = 1";
    let scratch = "CREATE VIEW east.scratch AS SELECT id FROM east.heap";
    let replies = bench.client.query(scratch).await.unwrap();
    let error = replies.iter().find(|reply| reply.tag == b'E');
    assert!(error.is_none(), "{error:?}");
    for _ in 0..2 {
        let replies = bench.client.query(sql).await.unwrap();
        let error = replies.iter().find_map(Reply::sqlstate);
        assert_eq!(error, None, "it passes");
    }
    let mut other = bench.world.client().await.unwrap();
    for sql in [
        "BEGIN",
        "CREATE OR REPLACE VIEW east.scratch AS SELECT id FROM east.stock",
    ] {
        let replies = other.query(sql).await.unwrap();
        let error = replies.iter().find(|reply| reply.tag == b'E');
        assert!(error.is_none(), "{sql} {error:?}");
    }
    bench.client.start_query(sql).await.unwrap();
    let waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted";
    eventually("the statement to wait for a lock", || async {
        Ok((bench.world.database.number(waiting).await? > 0).then_some(()))
    })
    .await
    .unwrap();
    other.query("COMMIT").await.unwrap();
    let hold = bench.waits_for_people().await.unwrap();
    bench
        .bob
        .decide(&hold, "deny", Some("not that"))
        .await
        .unwrap();
    let replies = bench.client.until(b'Z').await.unwrap();
    let error = replies.iter().find_map(Reply::sqlstate);
    assert_eq!(error.as_deref(), Some("42501"));
    let rows = "SELECT count(*) FROM east.stock";
    assert_eq!(bench.world.database.number(rows).await.unwrap(), 20);
}

/// It ran before anybody was asked: the COMMIT would show what was read, not what was done.
#[tokio::test]
async fn what_is_reviewed_at_its_commit_did_what_it_shows() {
    let mut bench = Bench::new().await.unwrap();
    bench.client.query("BEGIN").await.unwrap();
    let begin = format!("BEGIN; {ANOTHER_VIEW}");
    bench.admin.batch_execute(&begin).await.unwrap();
    let insert = "INSERT INTO east.low VALUES (100, 100)";
    bench.client.start_query(insert).await.unwrap();
    bench.goes_on_with_it().await.unwrap();
    bench.client.until(b'Z').await.unwrap();
    let replies = bench.client.query("COMMIT").await.unwrap();
    let error = replies.iter().find_map(Reply::sqlstate);
    assert_eq!(error.as_deref(), Some("42501"), "{replies:?}");
    let rows = "SELECT count(*) FROM west.stock";
    assert_eq!(bench.world.database.number(rows).await.unwrap(), 20);
}
