//! Logging in: to the proxy, and by the proxy to the target, in every way they may ask.

use std::process::Command;

use abeyance_e2e::{
    Abeyance, Config, Database, PROTOCOL_3_0, Postgres, Process, RawClient,
    abeyance::command,
    driver::libpq,
    postgres::{PASSWORD, User},
};
use anyhow::{Result, ensure};

async fn answers(abeyance: &Abeyance, database: &Database, user: User) -> Result<()> {
    let mut client =
        RawClient::log_in(abeyance.proxy()?, user.name(), &database.name, PASSWORD).await?;
    let replies = client.query("SELECT current_user").await?;
    ensure!(
        replies
            .iter()
            .any(|reply| reply.body.ends_with(user.name().as_bytes())),
        "{replies:?}"
    );
    Ok(())
}

#[tokio::test]
async fn targets_may_ask_in_every_way() {
    let postgres = Postgres::start().await.unwrap();
    for (user, tls) in [
        (User::Trust, "disable"),
        (User::Scram, "disable"),
        (User::Md5, "disable"),
        (User::Scram, "require"),
        (User::Md5, "require"),
        (User::Tls, "require"),
        (User::TlsCleartext, "require"),
        (User::Tls, "verify-full"),
        (User::TlsCleartext, "verify-full"),
    ] {
        let database = postgres.database().await.unwrap();
        let mut config = Config::for_user(&database, user);
        config.target(&database, user, tls);
        let abeyance = Abeyance::serve(&config).await.unwrap();
        if let Err(error) = answers(&abeyance, &database, user).await {
            panic!(
                "{user:?} with tls = {tls}: {error:#}\n{}",
                abeyance.log().join("\n")
            );
        }
        if tls != "disable" {
            let sql = "SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE ssl AND usename LIKE 'app%'";
            let _open = RawClient::log_in(
                abeyance.proxy().unwrap(),
                user.name(),
                &database.name,
                PASSWORD,
            )
            .await
            .unwrap();
            assert!(
                database.number(sql).await.unwrap() > 0,
                "{user:?}: the target was not reached through TLS"
            );
        }
    }
}

/// The proxy's credential never travels where others can read it.
#[tokio::test]
async fn a_password_is_not_sent_in_clear() {
    let postgres = Postgres::start().await.unwrap();
    let database = postgres.database().await.unwrap();
    let abeyance = Abeyance::serve(&Config::for_user(&database, User::Cleartext))
        .await
        .unwrap();
    let refused = answers(&abeyance, &database, User::Cleartext)
        .await
        .unwrap_err()
        .to_string();
    assert!(
        refused.contains("28000") && !refused.contains(PASSWORD),
        "{refused}"
    );
    assert!(!abeyance.log().iter().any(|line| line.contains(PASSWORD)));
}

/// A certificate from another authority, and a target that has none to show.
#[tokio::test]
async fn a_target_that_is_not_who_it_should_be_is_refused() {
    let postgres = Postgres::start().await.unwrap();
    let other = std::sync::Arc::new(Postgres::launch().await.unwrap());
    let database = postgres.database().await.unwrap();
    let mut config = Config::for_user(&database, User::Tls);
    config.target(&database, User::Tls, "verify-full");
    config.replace_in_targets(
        &database.server().ca().display().to_string(),
        &other.ca().display().to_string(),
    );
    let abeyance = Abeyance::serve(&config).await.unwrap();
    let refused = answers(&abeyance, &database, User::Tls)
        .await
        .unwrap_err()
        .to_string();
    assert!(
        refused.contains("08001") || refused.contains("08006"),
        "{refused}"
    );
}

#[tokio::test]
async fn strangers_learn_nothing() {
    let postgres = Postgres::start().await.unwrap();
    let database = postgres.database().await.unwrap();
    let abeyance = Abeyance::serve(&Config::for_database(&database))
        .await
        .unwrap();
    let address = abeyance.proxy().unwrap();
    let user = User::Scram.name();
    let mut said = Vec::new();
    for (user, password) in [(user, "wrong"), ("nobody_at_all", "wrong")] {
        let mut client = RawClient::connect(address).await.unwrap();
        let parameters = [("user", user), ("database", database.name.as_str())];
        let replies = client
            .startup(PROTOCOL_3_0, &parameters, password)
            .await
            .unwrap();
        let shape: Vec<u8> = replies.iter().map(|reply| reply.tag).collect();
        let error = replies.last().unwrap();
        assert_eq!(error.sqlstate().as_deref(), Some("28P01"), "{replies:?}");
        said.push((shape, error.field(b'M').unwrap().replace(user, "USER")));
    }
    assert_eq!(
        said[0], said[1],
        "an unknown agent looks like a wrong password"
    );

    let refused = RawClient::log_in(address, user, "no_such_target", PASSWORD)
        .await
        .unwrap_err()
        .to_string();
    assert!(refused.contains("3D000"), "{refused}");
    let statements = database.statements().await.unwrap();
    assert!(statements.is_empty(), "{statements:?}");
}

/// The commands that make credentials make good ones.
#[tokio::test]
async fn an_agent_made_by_the_command_line_can_log_in() {
    let postgres = Postgres::start().await.unwrap();
    let database = postgres.database().await.unwrap();
    let mut command = command().unwrap();
    command.args([
        "agent",
        "add",
        "fresh-bot",
        "--owner",
        "ann",
        "--target",
        &database.name,
    ]);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let snippet = String::from_utf8(output.stdout).unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    let mut config = Config::for_database(&database);
    config.agent(&snippet);
    let abeyance = Abeyance::serve(&config).await.unwrap();
    let mut logged_in = false;
    for password in told
        .split_whitespace()
        .map(|word| word.trim_matches(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '-'))
    {
        if password.len() >= 12
            && RawClient::log_in(
                abeyance.proxy().unwrap(),
                "fresh-bot",
                &database.name,
                password,
            )
            .await
            .is_ok()
        {
            logged_in = true;
        }
    }
    assert!(logged_in, "{snippet}\n{told}");
    assert!(!snippet.contains("password"), "{snippet}");
}

/// libpq, with everything it can demand of TLS.
async fn psql_over_tls(
    abeyance: &Abeyance,
    database: &Database,
    settings: &[(&str, &str)],
) -> Result<String> {
    let mut psql = Command::new(database.server().program("psql"));
    psql.args(["-X", "-At", "-c", "SELECT 'through'"]);
    libpq(&mut psql, abeyance.proxy_port()?, database, User::Scram);
    for (name, value) in settings {
        psql.env(name, value);
    }
    let mut psql = Process::start("psql", &mut psql)?;
    psql.wait().await?;
    Ok([psql.stdout().finished(), psql.stderr().finished()]
        .concat()
        .join("\n"))
}

#[tokio::test]
async fn clients_may_demand_tls_and_be_required_to() {
    let postgres = Postgres::start().await.unwrap();
    let database = postgres.database().await.unwrap();
    let folder = postgres.ca();
    let folder = folder.parent().unwrap();
    let mut config = Config::for_database(&database);
    let (cert, key) = (folder.join("server.pem"), folder.join("server.key"));
    config.proxy_lines = format!(
        "tls = {{ cert = \"{}\", key = \"{}\", required = true }}\n",
        cert.display(),
        key.display()
    );
    let abeyance = Abeyance::serve(&config).await.unwrap();
    let ca = postgres.ca();
    let ca = ca.to_str().unwrap();
    for settings in [
        &[("PGSSLMODE", "require")][..],
        &[("PGSSLMODE", "verify-full"), ("PGSSLROOTCERT", ca)],
        &[("PGSSLMODE", "require"), ("PGCHANNELBINDING", "require")],
    ] {
        let said = psql_over_tls(&abeyance, &database, settings).await.unwrap();
        assert_eq!(said, "through", "{settings:?}");
    }
    let said = psql_over_tls(&abeyance, &database, &[("PGSSLMODE", "disable")])
        .await
        .unwrap();
    assert!(said.contains("TLS") && !said.contains("through"), "{said}");
}

/// Bytes sent before TLS began are not part of the encrypted session (CVE-2021-23214).
#[tokio::test]
async fn nothing_is_carried_into_tls() {
    let postgres = Postgres::start().await.unwrap();
    let database = postgres.database().await.unwrap();
    let folder = postgres.ca();
    let folder = folder.parent().unwrap();
    let mut config = Config::for_database(&database);
    let (cert, key) = (folder.join("server.pem"), folder.join("server.key"));
    config.proxy_lines = format!(
        "tls = {{ cert = \"{}\", key = \"{}\", required = true }}\n",
        cert.display(),
        key.display()
    );
    let abeyance = Abeyance::serve(&config).await.unwrap();
    let mut client = RawClient::connect(abeyance.proxy().unwrap()).await.unwrap();
    let ssl_request = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];
    let smuggled = b"\0\0\0\x10\0\x03\0\0user\0x\0\0";
    client
        .send(&[&ssl_request[..], smuggled].concat())
        .await
        .unwrap();
    // Either nothing more is said, or the farewell of a refusal: never an invitation to go on in clear.
    let first = client.byte().await.unwrap();
    if first == Some(b'S') {
        assert_eq!(
            client.byte().await.unwrap_or(None),
            None,
            "the connection must end"
        );
    } else {
        assert!(matches!(first, Some(b'E') | None), "{first:?}");
    }
}
