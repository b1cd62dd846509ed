//! Every driver at its normal work: nothing changes but the address.

use abeyance_e2e::{
    Driver, Postgres,
    driver::Printed,
    postgres::User,
    world::{Always, World},
};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

/// A direct run on a fresh database.
async fn direct(driver: Driver, mode: &str) -> Result<Printed> {
    let postgres = Postgres::start().await?;
    let database = postgres.database().await?;
    driver
        .run(mode, postgres.port(), &database, User::Scram)
        .await
}

/// The same through the proxy, on another.
async fn proxied(driver: Driver, mode: &str, world: &World) -> Result<Printed> {
    driver
        .run(
            mode,
            world.abeyance.proxy_port()?,
            &world.database,
            User::Scram,
        )
        .await
}

async fn works_unchanged(driver: Driver) -> Result<()> {
    // Kept, so that both runs use one server.
    let _postgres = Postgres::start().await?;
    let direct = direct(driver, "work").await?;
    let world = World::start().await?;
    let proxied = proxied(driver, "work", &world).await?;
    equal(&direct.stdout, &proxied.stdout)?;
    equal(&direct.stderr, &proxied.stderr)
}

fn equal(direct: &[String], proxied: &[String]) -> Result<()> {
    for (direct, proxied) in direct.iter().zip(proxied) {
        ensure!(direct == proxied, "\n direct: {direct}\nproxied: {proxied}");
    }
    ensure!(direct.len() == proxied.len(), "{direct:#?}\n{proxied:#?}");
    Ok(())
}

/// What policy holds gives, once approved, what it gives without a policy.
async fn resumes_when_approved(driver: Driver) -> Result<()> {
    // Kept, so that both runs use one server.
    let _postgres = Postgres::start().await?;
    let direct = direct(driver, "held").await?;
    let world = World::start().await?;
    let _bob = world.decide_all(Always::Approve);
    let proxied = proxied(driver, "held", &world).await?;
    let results = |printed: &Printed| -> Vec<String> {
        printed
            .stdout
            .iter()
            .filter(|line| !line.contains("\"noticed\""))
            .cloned()
            .collect()
    };
    equal(&results(&direct), &results(&proxied))?;
    if driver == Driver::Psql {
        ensure!(
            proxied.stderr.iter().any(|line| line.contains("HLD-")),
            "no notice: {:#?}",
            proxied.stderr
        );
    } else {
        ensure!(
            proxied.step("noticed")? == true,
            "the client was not told that it waits"
        );
    }
    Ok(())
}

/// A denial is an SQL error with the right code, and the connection stays good.
async fn goes_on_when_denied(driver: Driver) -> Result<()> {
    let world = World::start().await?;
    let _bob = world.decide_all(Always::Deny("not on a Friday"));
    let printed = proxied(driver, "denied", &world).await?;
    let person = printed.step("person")?.to_string();
    for part in [
        "42501",
        "ERROR",
        "not on a Friday",
        "HLD-",
        "no-empty-wards",
    ] {
        ensure!(person.contains(part), "{part:?} is missing in {person}");
    }
    let rule = printed.step("rule")?.to_string();
    for part in ["42501", "never-truncate", "empties whole tables"] {
        ensure!(rule.contains(part), "{part:?} is missing in {rule}");
    }
    ensure!(first(&printed.step("person usable")?) == &json!(12));
    ensure!(first(&printed.step("rule usable")?) == &json!(12));
    ensure!(first(&printed.step("inside")?) == &json!("42501"));
    ensure!(first(&printed.step("aborted")?) == &json!("25P02"));
    ensure!(first(&printed.step("undone")?) == &json!(0));
    world.database.never_saw("DELETE").await?;
    world.database.never_saw("TRUNCATE").await
}

/// Some drivers print a row, some a value.
fn first(value: &Value) -> &Value {
    value
        .as_array()
        .and_then(|row| row.first())
        .unwrap_or(value)
}

macro_rules! drivers {
    ($($name:ident: $driver:expr;)*) => {$(
        mod $name {
            use super::*;

            #[tokio::test]
            async fn works_unchanged() {
                super::works_unchanged($driver).await.unwrap();
            }

            #[tokio::test]
            async fn resumes_when_approved() {
                super::resumes_when_approved($driver).await.unwrap();
            }
        }
    )*};
}

drivers! {
    psql: Driver::Psql;
    psycopg: Driver::Psycopg;
    asyncpg: Driver::Asyncpg;
    node_postgres: Driver::Node;
    pgjdbc: Driver::Jdbc;
}

#[tokio::test]
async fn psycopg_goes_on_when_denied() {
    goes_on_when_denied(Driver::Psycopg).await.unwrap();
}

#[tokio::test]
async fn asyncpg_goes_on_when_denied() {
    goes_on_when_denied(Driver::Asyncpg).await.unwrap();
}

#[tokio::test]
async fn node_postgres_goes_on_when_denied() {
    goes_on_when_denied(Driver::Node).await.unwrap();
}

#[tokio::test]
async fn pgjdbc_goes_on_when_denied() {
    goes_on_when_denied(Driver::Jdbc).await.unwrap();
}

#[tokio::test]
async fn psql_goes_on_when_denied() {
    let world = World::start().await.unwrap();
    let _bob = world.decide_all(Always::Deny("not on a Friday"));
    let printed = proxied(Driver::Psql, "denied", &world).await.unwrap();
    let said = printed.stderr.join("\n");
    for part in [
        "ERROR:  42501",
        "not on a Friday",
        "HLD-",
        "DETAIL:",
        "HINT:",
        "never-truncate",
        "25P02",
    ] {
        assert!(said.contains(part), "{part:?} is missing in {said}");
    }
    let counts: Vec<&str> = printed
        .stdout
        .iter()
        .map(|line| line.trim())
        .filter(|line| line.parse::<u32>().is_ok())
        .collect();
    assert_eq!(counts, ["12", "12", "0"], "{said}");
    world
        .database
        .never_saw("DELETE")
        .await
        .context("a denied statement ran")
        .unwrap();
}
