//! A data folder that was set up once and is copied for every server: `initdb`, the users, the clinic.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

use super::{TEMPLATE_DATABASE, install::Install, run, users};
use crate::{build_dir, root, scratch_dir, workspace::locked};

/// Small WAL segments: each server starts with a copy of them.
const INITDB: [&str; 6] = [
    "--username=postgres",
    "--auth=trust",
    "--encoding=UTF8",
    "--locale=C.UTF-8",
    "--wal-segsize=1",
    "--no-sync",
];

/// Copies the template to `to`, making it first when it is not there or not of this version.
pub(super) fn copy(install: &Install, to: &Path) -> Result<()> {
    let ready = locked("postgres-template", || ensure(install))?;
    run(Command::new("cp")
        .args(["-a", "--reflink=auto"])
        .arg(&ready)
        .arg(to))
}

fn ensure(install: &Install) -> Result<PathBuf> {
    let clinic = fs::read_to_string(root().join("tests/corpus/clinic.sql"))?;
    let setup = users::setup();
    let mut hash = Sha256::new();
    let parts = [
        clinic.as_str(),
        setup.as_str(),
        users::HBA,
        &install.version()?,
    ];
    for part in parts.into_iter().chain(INITDB) {
        hash.update(part);
        hash.update([0]);
    }
    let key = hex::encode(&hash.finalize()[..8]);
    let caches = build_dir("e2e")?;
    let ready = caches.join(format!("postgres-{}-{key}", install.version()?));
    if ready.is_dir() {
        return Ok(ready);
    }
    let scratch = scratch_dir()?;
    install.own(scratch.path())?;
    let data = scratch.path().join("data");
    run(install.command("initdb").args(INITDB).arg("-D").arg(&data))?;
    // One backend without a server reads the schema: no port, no socket, nothing to stop.
    feed(install, &data, "postgres", &setup)?;
    feed(install, &data, TEMPLATE_DATABASE, &clinic)?;
    feed(install, &data, TEMPLATE_DATABASE, users::GRANTS)?;
    fs::write(data.join("pg_hba.conf"), users::HBA)?;
    let partial = caches.join(format!("partial-{}", std::process::id()));
    run(Command::new("cp").arg("-a").arg(&data).arg(&partial))?;
    fs::rename(&partial, &ready).context("cannot keep the template")?;
    Ok(ready)
}

/// Runs statements in a single-user backend. They end with a semicolon and an empty line (`-j`).
fn feed(install: &Install, data: &Path, database: &str, statements: &str) -> Result<()> {
    let script = tempfile::NamedTempFile::new()?;
    fs::write(script.path(), format!("{}\n\n", statements.trim_end()))?;
    let mut command = install.command("postgres");
    command.args([
        "--single",
        "-j",
        "-c",
        "exit_on_error=on",
        "-c",
        "log_min_messages=error",
        "-c",
        "min_wal_size=2MB",
        "-D",
    ]);
    command
        .arg(data)
        .arg(database)
        .stdin(fs::File::open(script.path())?);
    run(&mut command)
}
