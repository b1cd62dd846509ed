//! A scratch PostgreSQL for one test process, with a fresh database for each store.
//!
//! A shell watches over the server: it stops it, and removes its data, when the test process ends in whatever
//! way. Shared by the tests inside the crate and those beside it, so it uses neither.

#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a helper that fails stops its test"
)]
#![allow(
    clippy::zombie_processes,
    reason = "the shell ends with the test process"
)]

use std::{
    fs,
    net::TcpListener,
    os::unix::{fs::chown, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    sync::OnceLock,
    time::{Duration, Instant},
};

/// The server of this process.
pub struct Server {
    pub port: u16,
    bin: PathBuf,
    folder: PathBuf,
    /// The watching shell reads from it, to its end.
    _leash: ChildStdin,
    _shell: Child,
}

/// Whom the server runs as when we are root: it refuses to run as root.
#[derive(Clone, Copy)]
struct Account {
    user: u32,
    group: u32,
}

const START_WITHIN: Duration = Duration::from_secs(120);
const WATCH: &str = r#""$0" "$@" & server=$!
read -r _ || true
kill -QUIT $server
wait $server
rm -rf "$FOLDER""#;

/// Started when it is first asked for.
pub fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(Server::start)
}

impl Server {
    fn start() -> Self {
        let bin = find_binaries();
        let account = account();
        let mut said = String::new();
        for _ in 0..5 {
            // Another one for each try: the shell of a server that did not start removes its own.
            let folder = tempfile::Builder::new()
                .prefix("abeyance-store-")
                .tempdir()
                .unwrap()
                .keep();
            give(&folder, account);
            copy_template(&bin, account, &folder.join("data"));
            match launch(&bin, account, &folder) {
                Ok((port, shell, leash)) => {
                    return Self {
                        port,
                        bin,
                        folder,
                        _leash: leash,
                        _shell: shell,
                    };
                }
                Err(why) => said = why,
            }
        }
        panic!("PostgreSQL did not start: {said}");
    }

    /// Makes a database of its own and returns its name.
    pub fn database(&self) -> String {
        let name = format!("store_{}", uuid::Uuid::new_v4().simple());
        self.psql("postgres", &format!("CREATE DATABASE {name}"));
        name
    }

    /// What psql prints of `sql`, run by the superuser.
    pub fn psql(&self, database: &str, sql: &str) -> String {
        let output = Command::new(self.bin.join("psql"))
            .args(["-XqAt", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1"])
            .args(["-U", "postgres", "-d", database, "-c", sql])
            .args(["-p", &self.port.to_string()])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{sql}: {said}");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// A program of the installation, to be run against this server.
    pub fn program(&self, name: &str) -> Command {
        let mut command = Command::new(self.bin.join(name));
        command.env("PGHOST", "127.0.0.1").env("PGUSER", "postgres");
        command.env("PGPORT", self.port.to_string());
        command
    }

    pub fn log(&self) -> String {
        log(&self.folder)
    }
}

/// Its port, the shell that watches over it and what keeps that shell waiting; or what the server said.
fn launch(
    bin: &Path,
    account: Option<Account>,
    folder: &Path,
) -> Result<(u16, Child, ChildStdin), String> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let mut shell = command("/bin/sh", account);
    shell
        .args(["-c", WATCH])
        .arg(bin.join("postgres"))
        .arg("-D")
        .arg(folder.join("data"))
        .args(["-c", &format!("port={port}")])
        .args(["-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"])
        .args(["-c", "unix_socket_directories="])
        .args(["-c", "full_page_writes=off", "-c", "wal_level=minimal"])
        .args(["-c", "max_wal_senders=0", "-c", "jit=off"])
        .args(["-c", "shared_buffers=16MB", "-c", "max_connections=200"])
        .env("FOLDER", folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(fs::File::create(folder.join("log")).unwrap())
        // Ctrl-C is for the test; the server follows it.
        .process_group(0);
    let mut shell = shell.spawn().unwrap();
    let leash = shell.stdin.take().unwrap();
    let deadline = Instant::now() + START_WITHIN;
    while Instant::now() < deadline {
        let said = log(folder);
        if said.contains("ready to accept connections") {
            return Ok((port, shell, leash));
        }
        if said.contains("could not") || said.contains("FATAL") {
            return Err(said);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Err(log(folder))
}

fn log(folder: &Path) -> String {
    fs::read_to_string(folder.join("log")).unwrap_or_default()
}

fn command(program: impl AsRef<std::ffi::OsStr>, account: Option<Account>) -> Command {
    let mut command = Command::new(program);
    // The caller's folder may be closed to the other account.
    command.current_dir("/");
    if let Some(Account { user, group }) = account {
        command.uid(user).gid(group);
    }
    command
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
}

/// `initdb` takes a second; a copy of what it made does not.
fn copy_template(bin: &Path, account: Option<Account>, to: &Path) {
    let build = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../build/approver");
    fs::create_dir_all(&build).unwrap();
    let version = fs::canonicalize(bin).unwrap();
    let version = version.parent().and_then(Path::file_name).unwrap();
    let template = build.join(format!("postgres-{}-small-wal", version.to_string_lossy()));
    let lock = fs::File::create(build.join("lock")).unwrap();
    lock.lock().unwrap();
    if !template.is_dir() {
        let scratch = tempfile::tempdir().unwrap();
        give(scratch.path(), account);
        let data = scratch.path().join("data");
        run(command(bin.join("initdb"), account)
            .args(["--username=postgres", "--auth=trust", "--encoding=UTF8"])
            .args(["--locale=C.UTF-8", "--wal-segsize=1", "--no-sync", "-D"])
            .arg(&data));
        run(Command::new("cp").arg("-a").arg(&data).arg(&template));
    }
    lock.unlock().unwrap();
    let mut copy = Command::new("cp");
    run(copy.args(["-a", "--reflink=auto"]).arg(&template).arg(to));
}

fn give(folder: &Path, account: Option<Account>) {
    if let Some(Account { user, group }) = account {
        chown(folder, Some(user), Some(group)).unwrap();
    }
}

fn account() -> Option<Account> {
    let own = fs::metadata("/proc/self").unwrap();
    if std::os::unix::fs::MetadataExt::uid(&own) != 0 {
        return None;
    }
    let accounts = fs::read_to_string("/etc/passwd").unwrap();
    let find = |name: &str| {
        accounts.lines().find_map(|line| {
            let mut fields = line.split(':');
            let found = fields.next()? == name;
            let user = fields.nth(1)?.parse().ok()?;
            let group = fields.next()?.parse().ok()?;
            found.then_some(Account { user, group })
        })
    };
    Some(find("postgres").or_else(|| find("nobody")).unwrap())
}

/// In PATH, else where Debian puts them, newest first.
fn find_binaries() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let mut versions: Vec<PathBuf> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path().join("bin")))
        .collect();
    versions.sort();
    folders.extend(versions.into_iter().rev());
    folders
        .into_iter()
        .find(|folder| {
            let has = |program| folder.join(program).is_file();
            has("initdb") && has("postgres") && has("psql")
        })
        .expect("no PostgreSQL server is installed; run scripts/setup")
}
