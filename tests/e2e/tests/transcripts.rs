//! The same conversation with the database directly and through the proxy.

use std::path::PathBuf;

use abeyance_e2e::{
    Postgres,
    postgres::User,
    root,
    transcript::{Player, Transcript},
};
use anyhow::{Result, ensure};

fn files(folder: &str) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(root().join("tests/transcripts").join(folder))? {
        let path = entry?.path();
        if path.extension().is_some_and(|ext| ext == "pt") {
            files.push(path);
        }
    }
    files.sort();
    ensure!(!files.is_empty(), "no transcripts in {folder}");
    Ok(files)
}

fn recording() -> bool {
    std::env::var_os("TRANSCRIPTS").is_some_and(|value| value == "record")
}

#[tokio::test]
async fn the_database_says_what_the_transcripts_say() {
    let postgres = Postgres::start().await.unwrap();
    for path in files("both").unwrap() {
        let transcript = Transcript::read(&path).unwrap();
        let database = postgres.database().await.unwrap();
        let player = Player {
            address: format!("127.0.0.1:{}", postgres.port()),
            user: User::Scram.name(),
            database: &database,
            backstage: None,
        };
        let heard = player.play(&transcript).await.unwrap();
        let now = transcript.with_replies(&heard.brief);
        if recording() {
            std::fs::write(&path, now).unwrap();
        } else {
            same(
                &std::fs::read_to_string(&path).unwrap(),
                &now,
                &path.display().to_string(),
            )
            .unwrap();
        }
    }
}

fn same(wanted: &str, got: &str, what: &str) -> Result<()> {
    for (number, (wanted, got)) in wanted.lines().zip(got.lines()).enumerate() {
        ensure!(
            wanted == got,
            "{what}:{}\n wanted: {wanted}\n    got: {got}",
            number + 1
        );
    }
    ensure!(
        wanted == got,
        "{what}: one ends before the other:\n{wanted}\n---\n{got}"
    );
    Ok(())
}
