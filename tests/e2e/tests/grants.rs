//! Grants, tickets and approvals notice what a name has come to mean: on a real PostgreSQL, changed past the proxy.

use abeyance_e2e::{
    Approver, RawClient, Reply, World, config::WRITES_WAIT, eventually, postgres::User, world::Mode,
};
use anyhow::{Context as _, Result, ensure};
use tokio_postgres::Client;

/// Tables of the same name in two schemas, a view, a trigger whose function calls another, a policy, a default, a domain.
const STOCK: &str = "
CREATE SCHEMA east; CREATE SCHEMA west;
CREATE FUNCTION east.note_down(n int) RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN n; END';
CREATE FUNCTION east.fired() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.n := east.note_down(NEW.n); RETURN NEW; END';
CREATE FUNCTION east.positive(n int) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN n >= 0; END';
CREATE DOMAIN east.amount AS int CHECK (east.positive(VALUE));
CREATE TABLE east.stock (id int PRIMARY KEY, n int NOT NULL, kept int DEFAULT 1, left_over east.amount DEFAULT 2);
CREATE TABLE west.stock (LIKE east.stock INCLUDING ALL);
INSERT INTO east.stock SELECT i, i FROM generate_series(1, 20) i;
INSERT INTO west.stock SELECT i, i FROM generate_series(1, 20) i;
CREATE VIEW east.low AS SELECT id, n FROM east.stock WHERE n < 5;
CREATE TABLE east.ward (id int PRIMARY KEY, n int NOT NULL);
INSERT INTO east.ward SELECT i, i FROM generate_series(1, 20) i;
ALTER TABLE east.ward ENABLE ROW LEVEL SECURITY;
CREATE POLICY seen ON east.ward USING (n < 1000);
CREATE TABLE east.fires (id int PRIMARY KEY, n int NOT NULL);
INSERT INTO east.fires SELECT i, i FROM generate_series(1, 20) i;
CREATE TRIGGER fires BEFORE UPDATE ON east.fires FOR EACH ROW EXECUTE FUNCTION east.fired();
CREATE TABLE east.elsewhere (id int);
CREATE TABLE east.shelf (id int PRIMARY KEY);
CREATE TABLE east.box (shelf int REFERENCES east.shelf ON DELETE CASCADE);
INSERT INTO east.shelf SELECT generate_series(1, 20); INSERT INTO east.box SELECT 7 FROM generate_series(1, 1000);
CREATE TABLE east.heap (told text);
DO $$ BEGIN CREATE ROLE keeper ROLE PROXY_USER; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$;
GRANT USAGE ON SCHEMA east, west TO PUBLIC;
GRANT ALL ON ALL TABLES IN SCHEMA east, west TO PUBLIC;
ANALYZE east.stock; ANALYZE west.stock; ANALYZE east.ward; ANALYZE east.fires; ANALYZE east.shelf; ANALYZE east.box;
";

struct Bench {
    world: World,
    admin: Client,
    bob: Approver,
    client: RawClient,
}

impl Bench {
    async fn new() -> Result<Self> {
        let world = World::with(Mode::Socket, |config| {
            WRITES_WAIT.clone_into(&mut config.policy);
            // Nobody looks by himself: what is noticed was asked for.
            config.replace_in_targets("environment", "catalog_poll = \"10m\"\nenvironment");
        })
        .await?;
        let admin = world.database.admin().await?;
        let stock = STOCK.replace("PROXY_USER", User::Scram.name());
        admin.batch_execute(&stock).await?;
        Ok(Self {
            admin,
            bob: world.approver("bob")?,
            client: world.client().await?,
            world,
        })
    }

    /// Sends a statement. Gives its hold when it waits for people, and nothing when it ran.
    async fn send(&mut self, sql: &str) -> Result<Option<String>> {
        self.client.start_query(sql).await?;
        loop {
            let reply = self.client.next().await?.context("the session ended")?;
            match reply.tag {
                b'N' => return self.waiting().await.map(Some),
                b'E' => anyhow::bail!("{sql}: {reply:?}"),
                b'Z' => return Ok(None),
                _ => {}
            }
        }
    }

    async fn waiting(&self) -> Result<String> {
        eventually("a hold that waits", || async {
            Ok(self.bob.in_state("pending").await?.pop())
        })
        .await
    }

    async fn answered(&mut self) -> Result<Option<String>> {
        let replies = self.client.until(b'Z').await?;
        Ok(replies.iter().find_map(Reply::sqlstate))
    }

    /// Has it approved for a while.
    async fn granted(&mut self, sql: &str) -> Result<()> {
        let hold = self.send(sql).await?.context("it was not held")?;
        self.bob.grant(&hold, 20).await?;
        ensure!(self.answered().await?.is_none(), "{sql} did not run");
        Ok(())
    }

    /// Whether the grant still covers it; when not, it is denied.
    async fn stands(&mut self, sql: &str) -> Result<bool> {
        let Some(hold) = self.send(sql).await? else {
            return Ok(true);
        };
        self.bob.decide(&hold, "deny", Some("not that")).await?;
        ensure!(self.answered().await?.as_deref() == Some("42501"));
        Ok(false)
    }

    /// A grant for `sql` outlives what has nothing to do with it, and not `change`, made over another connection.
    async fn ends_by(&mut self, sql: &str, change: &str) -> Result<()> {
        self.granted(sql).await?;
        ensure!(self.stands(sql).await?, "{sql} has no grant");
        for unrelated in [
            "ALTER TABLE east.elsewhere ADD COLUMN more int DEFAULT 3",
            "ALTER TABLE east.elsewhere DROP COLUMN more",
            "CREATE OR REPLACE FUNCTION east.unrelated() RETURNS int LANGUAGE sql AS 'SELECT 1'",
            "ANALYZE",
        ] {
            self.admin.batch_execute(unrelated).await?;
            ensure!(self.stands(sql).await?, "{unrelated} ended {sql}");
        }
        self.admin.batch_execute(change).await?;
        ensure!(
            !self.stands(sql).await?,
            "{change} was not noticed by {sql}"
        );
        Ok(())
    }
}

/// One change after the other, each by its own grant.
async fn each(changes: &[(&str, &str)]) -> Result<()> {
    let mut bench = Bench::new().await?;
    for (sql, change) in changes {
        let ended = bench.ends_by(sql, change).await;
        ended.with_context(|| format!("{sql} / {change}"))?;
    }
    Ok(())
}

const OF_VIEW: &str = "UPDATE east.low SET n = n WHERE id = 1";
const OF_TABLE: &str = "UPDATE east.stock SET n = n WHERE id = 1";
const NEW_ROW: &str = "INSERT INTO east.stock (id, n) VALUES (100, 1) ON CONFLICT (id) DO NOTHING";
const OF_WARD: &str = "UPDATE east.ward SET n = n WHERE id = 1";
const FIRING: &str = "UPDATE east.fires SET n = n WHERE id = 1";

#[tokio::test]
async fn a_grant_ends_when_a_view_is_redefined_over_the_same_tables() {
    each(&[(
        OF_VIEW,
        "CREATE OR REPLACE VIEW east.low AS SELECT id, n FROM east.stock WHERE n < 50",
    )])
    .await
    .unwrap();
}

#[tokio::test]
async fn a_grant_ends_when_what_triggers_run_is_replaced() {
    each(&[
        (
            FIRING,
            "CREATE OR REPLACE FUNCTION east.fired() RETURNS trigger LANGUAGE plpgsql
             AS 'BEGIN NEW.n := east.note_down(NEW.n) + 1; RETURN NEW; END'",
        ),
        (
            FIRING,
            "CREATE OR REPLACE FUNCTION east.note_down(n int) RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN n + 1; END'",
        ),
        (
            FIRING,
            "CREATE TRIGGER again BEFORE UPDATE ON east.fires FOR EACH ROW EXECUTE FUNCTION east.fired()",
        ),
        (FIRING, "ALTER TABLE east.fires DISABLE TRIGGER again"),
        (
            OF_TABLE,
            "CREATE TRIGGER first BEFORE UPDATE ON east.stock FOR EACH ROW EXECUTE FUNCTION east.fired()",
        ),
    ])
    .await
    .unwrap();
}

#[tokio::test]
async fn a_grant_ends_when_a_default_a_check_or_a_policy_changes() {
    each(&[
        // The same two expressions, each for the other column.
        (
            NEW_ROW,
            "ALTER TABLE east.stock ALTER kept SET DEFAULT 2; ALTER TABLE east.stock ALTER left_over SET DEFAULT 1",
        ),
        (
            NEW_ROW,
            "CREATE OR REPLACE FUNCTION east.positive(n int) RETURNS boolean LANGUAGE plpgsql IMMUTABLE
             AS 'BEGIN RETURN true; END'",
        ),
        (
            NEW_ROW,
            "ALTER DOMAIN east.amount ADD CONSTRAINT small CHECK (VALUE < 1000)",
        ),
        (OF_WARD, "ALTER POLICY seen ON east.ward USING (n < 500)"),
        (
            OF_WARD,
            "CREATE POLICY narrower ON east.ward AS RESTRICTIVE USING (n < 900)",
        ),
    ])
    .await
    .unwrap();
}

#[tokio::test]
async fn a_grant_is_for_what_names_stood_for() {
    let mut bench = Bench::new().await.unwrap();
    let sql = "UPDATE stock SET n = n WHERE id = 1";
    let told = async |bench: &mut Bench, sql: &str| {
        assert_eq!(bench.send(sql).await.unwrap(), None, "{sql}");
    };
    told(&mut bench, "SET search_path = east").await;
    bench.granted(sql).await.unwrap();
    assert!(bench.stands(sql).await.unwrap());
    told(&mut bench, "SET search_path = west").await;
    assert!(!bench.stands(sql).await.unwrap(), "another table");
    told(&mut bench, "SET search_path = east").await;
    assert!(bench.stands(sql).await.unwrap());
    told(&mut bench, "CREATE TEMP TABLE stock (id int, n int)").await;
    assert!(!bench.stands(sql).await.unwrap(), "a temporary one");
    told(&mut bench, "DROP TABLE pg_temp.stock").await;
    assert!(bench.stands(sql).await.unwrap());
    bench.client = bench.world.client().await.unwrap();
    told(&mut bench, "SET search_path = east").await;
    assert!(bench.stands(sql).await.unwrap(), "another session");
}

/// A row without others that hang on it says nothing of one with a thousand.
#[tokio::test]
async fn a_grant_takes_no_more_along_than_was_shown() {
    let mut bench = Bench::new().await.unwrap();
    let delete = |id: i32| format!("DELETE FROM east.shelf WHERE id = {id}");
    bench.granted(&delete(1)).await.unwrap();
    assert!(bench.stands(&delete(2)).await.unwrap());
    assert!(!bench.stands(&delete(7)).await.unwrap(), "a thousand boxes");
    assert!(bench.stands(&delete(3)).await.unwrap());
}

/// One row is written, whatever is read for it.
#[tokio::test]
async fn a_grant_for_what_gathers_rows_is_for_its_own_values() {
    let mut bench = Bench::new().await.unwrap();
    let gather = |most: i32| {
        format!(
            "INSERT INTO east.heap SELECT string_agg(n::text, ',') FROM east.stock WHERE id < {most}"
        )
    };
    bench.granted(&gather(2)).await.unwrap();
    assert!(bench.stands(&gather(2)).await.unwrap());
    assert!(!bench.stands(&gather(1000)).await.unwrap());
}

#[tokio::test]
async fn a_grant_is_for_the_role_it_was_given_to() {
    let mut bench = Bench::new().await.unwrap();
    let told = async |bench: &mut Bench, sql: &str| {
        assert_eq!(bench.send(sql).await.unwrap(), None, "{sql}");
    };
    bench.granted(OF_WARD).await.unwrap();
    told(&mut bench, "SET ROLE keeper").await;
    assert!(!bench.stands(OF_WARD).await.unwrap(), "another role");
    told(&mut bench, "RESET ROLE").await;
    assert!(bench.stands(OF_WARD).await.unwrap());
    told(&mut bench, "BEGIN").await;
    told(&mut bench, "SET LOCAL ROLE keeper").await;
    assert!(!bench.stands(OF_WARD).await.unwrap(), "in a transaction");
    told(&mut bench, "ROLLBACK").await;
    assert!(bench.stands(OF_WARD).await.unwrap());
}

/// What its approval showed is not what would run: the ticket is not found, and people are asked anew.
#[tokio::test]
async fn a_ticket_is_for_what_was_shown() {
    let mut bench = Bench::new().await.unwrap();
    assert_eq!(
        bench.send("SET abeyance.on_hold = 'ticket'").await.unwrap(),
        None
    );
    let first = bench.client.query(OF_VIEW).await.unwrap();
    assert!(first.iter().any(|reply| reply.sqlstate().is_some()));
    let hold = bench.waiting().await.unwrap();
    bench.bob.decide(&hold, "approve", None).await.unwrap();
    let change = "CREATE OR REPLACE VIEW east.low AS SELECT id, n FROM east.stock WHERE n < 50";
    bench.admin.batch_execute(change).await.unwrap();
    let again = bench.client.query(OF_VIEW).await.unwrap();
    let again = again.iter().find_map(Reply::sqlstate);
    assert_eq!(again.as_deref(), Some("55000"), "asked about anew");
    assert_ne!(bench.waiting().await.unwrap(), hold);
}

#[tokio::test]
async fn an_approval_lapses_when_what_it_showed_has_changed() {
    let mut bench = Bench::new().await.unwrap();
    let hold = bench.send(OF_VIEW).await.unwrap().unwrap();
    let change = "CREATE OR REPLACE VIEW east.low AS SELECT id, n FROM east.stock WHERE n < 50";
    bench.admin.batch_execute(change).await.unwrap();
    bench.bob.decide(&hold, "approve", None).await.unwrap();
    let replies = bench.client.until(b'Z').await.unwrap();
    let error = replies.iter().find(|reply| reply.tag == b'E').unwrap();
    assert_eq!(error.sqlstate().as_deref(), Some("42501"));
    let words = error.field(b'M').unwrap();
    assert!(words.contains("has changed meanwhile"), "{words}");
    eventually("the approval to lapse", || async {
        let lapsed = bench.bob.in_state("lapsed").await?;
        Ok(lapsed.contains(&hold).then_some(()))
    })
    .await
    .unwrap();
    bench.world.database.never_saw("UPDATE").await.unwrap();
    // One that changed elsewhere does not.
    let hold = bench.send(OF_VIEW).await.unwrap().unwrap();
    let elsewhere = "ALTER TABLE east.elsewhere ADD COLUMN more int";
    bench.admin.batch_execute(elsewhere).await.unwrap();
    bench.bob.decide(&hold, "approve", None).await.unwrap();
    assert_eq!(bench.answered().await.unwrap(), None);
}
