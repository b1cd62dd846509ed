//! The same conversation with the database directly and through the proxy: equal, reply for reply.
//!
//! `both/` was recorded from PostgreSQL and holds for the proxy too; `proxy/` is what only the proxy
//! says. `TRANSCRIPTS=record` writes the files anew.

use std::{fs, path::PathBuf};

use abeyance_e2e::{
    Abeyance, Config, Postgres, World,
    postgres::User,
    root,
    transcript::{Player, Recording, Transcript, neutral},
    world::Mode,
};
use anyhow::{Result, ensure};

/// Everything passes: what the server says is compared, not what policy does.
const OPEN: &str = "
[policy]
default = \"hold\"
route = \"dba\"

[[rule]]
name = \"all-passes\"
verdict = \"allow\"
";

/// Reads pass, and so does INSERT; TRUNCATE is denied; all else is held.
const GUARDED: &str = "
[policy]
default = \"hold\"
route = \"dba\"

[[rule]]
name = \"reads-pass\"
class = [\"read\", \"session\", \"transaction\"]
verdict = \"allow\"

[[rule]]
name = \"inserts-pass\"
kind = [\"INSERT\"]
verdict = \"allow\"

[[rule]]
name = \"never-truncate\"
kind = [\"TRUNCATE\"]
verdict = \"deny\"
message = \"empties whole tables\"
";

fn path(folder: &str, name: &str) -> PathBuf {
    root()
        .join("tests/transcripts")
        .join(folder)
        .join(format!("{name}.pt"))
}

fn recording() -> bool {
    std::env::var_os("TRANSCRIPTS").is_some_and(|value| value == "record")
}

async fn with_the_database(transcript: &Transcript) -> Result<Recording> {
    let postgres = Postgres::start().await?;
    let player = Player {
        address: format!("127.0.0.1:{}", postgres.port()),
        user: User::Scram.name(),
        database: &postgres.database().await?,
        backstage: None,
    };
    player.play(transcript).await
}

async fn through_the_proxy(transcript: &Transcript) -> Result<Recording> {
    let postgres = Postgres::start().await?;
    let database = postgres.database().await?;
    let abeyance = Abeyance::serve(&Config::for_database(&database).policy(OPEN)).await?;
    let player = Player {
        address: abeyance.proxy()?.to_owned(),
        user: User::Scram.name(),
        database: &database,
        backstage: None,
    };
    player.play(transcript).await
}

async fn same_on_both_sides(name: &str) -> Result<()> {
    // Kept, so that both sides use one server.
    let _postgres = Postgres::start().await?;
    let path = path("both", name);
    let transcript = Transcript::read(&path)?;
    let direct = with_the_database(&transcript).await?;
    agrees(&path, &transcript, &direct)?;
    let proxied = through_the_proxy(&transcript).await?;
    for (index, block) in transcript.blocks.iter().enumerate() {
        let (direct, proxied) = (&direct.full[index], &proxied.full[index]);
        ensure!(
            direct == proxied,
            "{name}.pt line {}\n direct: {direct:#?}\nproxied: {proxied:#?}",
            block.line
        );
    }
    Ok(())
}

async fn only_the_proxy(name: &str) -> Result<()> {
    let path = path("proxy", name);
    let transcript = Transcript::read(&path)?;
    let world = World::with(Mode::Socket, |config| {
        GUARDED.clone_into(&mut config.policy);
    })
    .await?;
    let player = Player {
        address: world.abeyance.proxy()?.to_owned(),
        user: User::Scram.name(),
        database: &world.database,
        backstage: Some(&world),
    };
    let heard = player.play(&transcript).await?;
    agrees(&path, &transcript, &heard)
}

/// Compares with the file, or writes it anew.
fn agrees(path: &PathBuf, transcript: &Transcript, heard: &Recording) -> Result<()> {
    let replies: Vec<Vec<String>> = heard
        .brief
        .iter()
        .map(|block| block.iter().map(|line| neutral(line)).collect())
        .collect();
    let now = transcript.with_replies(&replies);
    if recording() {
        fs::write(path, now)?;
        return Ok(());
    }
    let wanted = fs::read_to_string(path)?;
    for (number, (wanted, got)) in wanted.lines().zip(now.lines()).enumerate() {
        ensure!(
            wanted == got,
            "{}:{}\nwanted: {wanted}\n   got: {got}",
            path.display(),
            number + 1
        );
    }
    ensure!(
        wanted == now,
        "{}: one ends before the other:\n{wanted}\n---\n{now}",
        path.display()
    );
    Ok(())
}

macro_rules! transcripts {
    ($($folder:ident ($play:path): $($name:ident)*;)*) => {
        $(mod $folder {$(
            #[tokio::test]
            async fn $name() {
                $play(stringify!($name)).await.unwrap();
            }
        )*})*

        /// A file without a test would look as if it were checked.
        #[test]
        fn every_file_is_played() {
            $(
                let played = [$(stringify!($name)),*];
                let folder = root().join("tests/transcripts").join(stringify!($folder));
                for entry in fs::read_dir(folder).unwrap() {
                    let path = entry.unwrap().path();
                    let name = path.file_stem().unwrap().to_str().unwrap();
                    assert!(played.contains(&name), "nothing plays {}", path.display());
                }
            )*
        }
    };
}

transcripts! {
    both (super::same_on_both_sides):
        startup simple extended pipeline transactions copy notices cancel large;
    proxy (super::only_the_proxy):
        denied held_simple held_extended held_transaction function_call protocol_3_2;
}
