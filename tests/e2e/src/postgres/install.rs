//! The PostgreSQL of this machine, and the account it may run under.

use std::{
    fs,
    os::unix::fs::chown,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};

/// Accounts to run the server under when the tests run as root, which PostgreSQL refuses.
const ACCOUNTS: [&str; 2] = ["postgres", "nobody"];

/// Programs and account.
#[derive(Debug)]
pub(super) struct Install {
    pub bin: PathBuf,
    /// User and group id, when the tests run as root.
    account: Option<(u32, u32)>,
}

impl Install {
    /// Looks in `PATH` and in Debian's folders, newest version first.
    pub fn find() -> Result<Self> {
        let mut folders: Vec<PathBuf> =
            std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).collect();
        let mut versions: Vec<(u32, PathBuf)> = fs::read_dir("/usr/lib/postgresql")
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| {
                Some((
                    entry.file_name().to_str()?.parse().ok()?,
                    entry.path().join("bin"),
                ))
            })
            .collect();
        versions.sort_by_key(|(version, _)| std::cmp::Reverse(*version));
        folders.extend(versions.into_iter().map(|(_, bin)| bin));
        // A link in PATH says where its program lives, and the others are beside it.
        let bin = folders.into_iter().find_map(|folder| {
            let server = fs::canonicalize(folder.join("postgres")).ok()?;
            let bin = server.parent()?;
            let all = ["initdb", "psql"]
                .iter()
                .all(|name| bin.join(name).is_file());
            all.then(|| bin.to_path_buf())
        });
        let bin = bin.context("PostgreSQL is not installed: run scripts/setup")?;
        Ok(Self {
            bin,
            account: account()?,
        })
    }

    /// `15.18`, as the programs give it.
    pub fn version(&self) -> Result<String> {
        let output = Command::new(self.bin.join("postgres"))
            .arg("--version")
            .output()?;
        let text = String::from_utf8(output.stdout)?;
        Ok(text
            .split_whitespace()
            .nth(2)
            .context("postgres --version said nothing")?
            .to_owned())
    }

    /// A server program, to be run under the account PostgreSQL accepts.
    pub fn command(&self, program: &str) -> Command {
        let program = self.bin.join(program);
        let mut command = match self.account {
            None => Command::new(program),
            Some((user, group)) => {
                let mut setpriv = Command::new("setpriv");
                setpriv
                    .arg(format!("--reuid={user}"))
                    .arg(format!("--regid={group}"))
                    .args(["--clear-groups", "--"])
                    .arg(program);
                setpriv
            }
        };
        // Neither the caller's locale nor its libpq settings may change what the server says.
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("LC_ALL", "C.UTF-8").current_dir("/");
        command
    }

    /// Gives a folder and all in it to the account.
    pub fn own(&self, path: &Path) -> Result<()> {
        let Some((user, group)) = self.account else {
            return Ok(());
        };
        chown(path, Some(user), Some(group))?;
        if path.is_dir() && !path.is_symlink() {
            for entry in fs::read_dir(path)? {
                self.own(&entry?.path())?;
            }
        }
        Ok(())
    }
}

fn account() -> Result<Option<(u32, u32)>> {
    if !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    let passwd = fs::read_to_string("/etc/passwd")?;
    for name in ACCOUNTS {
        let found = passwd
            .lines()
            .map(|line| line.split(':').collect::<Vec<_>>())
            .find(|fields| fields.first() == Some(&name));
        if let Some([_, _, user, group, ..]) = found.as_deref() {
            return Ok(Some((user.parse()?, group.parse()?)));
        }
    }
    bail!("the tests run as root and there is no account of {ACCOUNTS:?} to run PostgreSQL under");
}
