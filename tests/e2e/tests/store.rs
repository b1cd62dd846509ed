//! The store as a database, read by commands beside the approver.

use abeyance_e2e::{
    Abeyance, Config, Postgres, RawClient,
    abeyance::command,
    config::CAREFUL,
    eventually,
    postgres::{PASSWORD, User},
};
use anyhow::{Result, ensure};

#[tokio::test]
async fn policies_are_tried_out_on_a_database_too() {
    tried_out().await.unwrap();
}

async fn tried_out() -> Result<()> {
    let postgres = Postgres::start().await?;
    let database = postgres.database().await?;
    let mut config = Config::for_database(&database).policy(CAREFUL);
    config.store_in(&postgres).await?;
    let abeyance = Abeyance::serve(&config).await?;
    let proxy = abeyance.proxy()?;
    let user = User::Scram.name();
    let mut client = RawClient::log_in(proxy, user, &database.name, PASSWORD).await?;
    client.query("SELECT count(*) FROM rooms").await?;

    let same = std::fs::read_to_string(abeyance.folder().join("abeyance.toml"))?;
    let stricter =
        format!("{same}\n[[rule]]\nname = \"no-rooms\"\ntable = [\"rooms\"]\nverdict = \"deny\"\n");
    let file = abeyance.folder().join("other.toml");
    std::fs::write(&file, stricter)?;
    let backtest = |store: Option<&str>| {
        let mut command = command()?;
        command.args(["policy", "backtest", "--since", "1h", "--config"]);
        command
            .arg(&file)
            .args(store.map(|store| ["--store", store]).iter().flatten());
        anyhow::Ok(command.output()?)
    };
    // The one of the configuration.
    eventually("the statement to be counted", || {
        let output = backtest(None);
        async move {
            let output = output?;
            ensure!(
                matches!(output.status.code(), Some(0 | 1)),
                "it failed: {output:?}"
            );
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            Ok(said.contains("allow -> deny").then_some(()))
        }
    })
    .await?;
    // One that the command line names, in the configuration's words.
    let given = backtest(Some(&config.store))?;
    ensure!(given.status.code() == Some(1), "{given:?}");
    let mistaken = backtest(Some("{ address = \"127.0.0.1\" }"))?;
    ensure!(mistaken.status.code() == Some(64), "{mistaken:?}");
    let said = String::from_utf8_lossy(&mistaken.stderr);
    ensure!(said.contains("--store: "), "{said}");
    let absent = backtest(Some("nowhere.db"))?;
    ensure!(absent.status.code() == Some(74), "{absent:?}");
    Ok(())
}
