//! The store as a database: reached through TLS or not at all, and read by commands beside the approver.

use std::{path::Path, process::Command};

use abeyance_e2e::{
    Abeyance, Config, Postgres, RawClient,
    abeyance::command,
    config::CAREFUL,
    eventually,
    postgres::{PASSWORD, User},
    scratch_dir,
};
use anyhow::{Result, ensure};
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};

/// An empty database of a user who has to use TLS.
async fn guarded(postgres: &Postgres) -> Result<String> {
    let name = postgres.empty_database().await?;
    let owner = format!("ALTER DATABASE {name} OWNER TO {}", User::Tls.name());
    psql(postgres, &name, &owner)?;
    Ok(name)
}

/// What psql prints, as the superuser and past everything.
fn psql(postgres: &Postgres, database: &str, sql: &str) -> Result<String> {
    let mut psql = Command::new(postgres.program("psql"));
    psql.args(["-XqAt", "-h", "127.0.0.1", "-U", "postgres", "-d", database]);
    psql.args(["-p", &postgres.port().to_string(), "-c", sql]);
    let output = psql.output()?;
    ensure!(output.status.success(), "{output:?}");
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

fn store(postgres: &Postgres, database: &str, tls: &str) -> String {
    format!(
        "{{ address = \"127.0.0.1:{}\", database = \"{database}\", user = \"{}\", \
         password = {{ env = \"E2E_TARGET_PASSWORD\" }}, {tls} }}",
        postgres.port(),
        User::Tls.name()
    )
}

fn verified(ca: &Path) -> String {
    format!("tls = \"verify-full\", ca = \"{}\"", ca.display())
}

/// How an approver that must not start says so.
async fn refusal(mut config: Config, store: String) -> Result<String> {
    config.store = store;
    match Abeyance::approver_only(&config).await {
        Ok(_) => anyhow::bail!("it started"),
        Err(error) => Ok(format!("{error:#}")),
    }
}

#[tokio::test]
async fn a_store_behind_tls_is_verified() {
    behind_tls().await.unwrap();
}

async fn behind_tls() -> Result<()> {
    let postgres = Postgres::start().await?;
    let database = postgres.database().await?;
    let name = guarded(&postgres).await?;
    let config = Config::for_database(&database).policy(CAREFUL);

    let stranger = scratch_dir()?;
    let other = stranger.path().join("other.pem");
    let mut authority = CertificateParams::new(Vec::new())?;
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    std::fs::write(&other, authority.self_signed(&KeyPair::generate()?)?.pem())?;

    let ca = verified(&postgres.ca());
    for (tls, words) in [
        (verified(&other), "certificate"),
        // The system's authorities do not know it either.
        ("tls = \"verify-full\"".to_owned(), "certificate"),
        // Without TLS the server takes nobody.
        ("tls = \"disable\"".to_owned(), "pg_hba.conf"),
    ] {
        let said = refusal(config.clone(), store(&postgres, &name, &tls)).await?;
        ensure!(said.contains("cannot open the store"), "{said}");
        ensure!(said.contains(words), "{words:?} wanted: {said}");
        ensure!(!said.contains(PASSWORD), "{said}");
    }
    let none = psql(
        &postgres,
        &name,
        "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'",
    )?;
    ensure!(none == "0", "somebody got in: {none}");

    let mut config = config;
    config.store = store(&postgres, &name, &ca);
    let abeyance = Abeyance::approver_only(&config).await?;
    let plain = "SELECT count(*) FILTER (WHERE NOT ssl), count(*) FILTER (WHERE ssl) > 1
        FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE datname = current_database() AND usename = 'app_tls'";
    let counted = psql(&postgres, &name, plain)?;
    ensure!(counted == "0|t", "writer, readers and listener: {counted}");
    drop(abeyance);
    Ok(())
}

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
