//! The running process as a service manager sees it: ready, stopped, and why it did not start.

#![allow(clippy::expect_used, reason = "a test stops where it fails")]

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

const WITHIN: Duration = Duration::from_secs(120);

/// A configuration in a folder of its own; `change` is applied to its text.
struct Setup {
    folder: tempfile::TempDir,
}

impl Setup {
    fn new(change: impl Fn(String) -> String) -> Self {
        let folder = tempfile::tempdir().expect("folder");
        let agent = Command::new(env!("CARGO_BIN_EXE_abeyance"))
            .args(["agent", "add", "bot", "--owner", "ann", "--target", "db"])
            .output()
            .expect("agent add");
        let agent = String::from_utf8(agent.stdout).expect("text");
        let config = format!(
            r#"
[proxy]
listen = "127.0.0.1:0"

[[target]]
name = "db"
address = "127.0.0.1:9"
database = "db"
user = "app"
tls = "disable"

{agent}
[approver]
listen = "127.0.0.1:0"
store = "abeyance.db"
token = {{ file = "token" }}

[[person]]
name = "ann"
slack = "U0ANN0001"

[[person]]
name = "bob"
slack = "U0BOB0001"

[[route]]
name = "dba"
reviewers = ["ann", "bob"]
timeout = "1m"

[policy]
default = "hold"
route = "dba"
"#
        );
        std::fs::write(folder.path().join("abeyance.toml"), change(config)).expect("write");
        std::fs::write(
            folder.path().join("token"),
            "0123456789abcdef0123456789abcdef",
        )
        .expect("write");
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, role: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_abeyance"));
        command
            .arg(role)
            .arg("--config")
            .arg(self.path("abeyance.toml"))
            .arg("--ready-file")
            .arg(self.path("ready.json"))
            .env_remove("ABEYANCE_LOG")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        command
    }

    /// Runs a process that must not start, to its end.
    fn refused(&self, role: &str) -> (Option<i32>, String) {
        let Output { status, stderr, .. } = self.command(role).output().expect("abeyance starts");
        (status.code(), String::from_utf8(stderr).expect("text"))
    }

    fn start(&self, role: &str) -> Ready {
        let child = self.command(role).spawn().expect("abeyance starts");
        let mut running = Running { child };
        let ready = running.wait_for(&self.path("ready.json"));
        let _ = std::fs::remove_file(self.path("ready.json"));
        running.ready(&ready)
    }
}

struct Running {
    child: Child,
}

impl Running {
    fn wait_for(&mut self, file: &Path) -> serde_json::Value {
        let deadline = Instant::now() + WITHIN;
        loop {
            if let Ok(text) = std::fs::read_to_string(file) {
                return serde_json::from_str(&text).expect("the ready file is whole");
            }
            let ended = self.child.try_wait().expect("look");
            assert!(
                ended.is_none() && Instant::now() < deadline,
                "not ready: {ended:?}"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn ready(self, ready: &serde_json::Value) -> Ready {
        let address = |part: &str| {
            ready[part]
                .as_str()
                .map(|text| text.parse().expect("address"))
        };
        assert_eq!(ready["pid"], self.child.id());
        Ready {
            proxy: address("proxy"),
            approver: address("approver"),
            running: self,
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

struct Ready {
    proxy: Option<SocketAddr>,
    approver: Option<SocketAddr>,
    running: Running,
}

impl Ready {
    /// Asks it to end, and returns how it did.
    fn stop(mut self, signal: &str) -> Option<i32> {
        let pid = self.running.child.id().to_string();
        let sent = Command::new("sh")
            .args(["-c", &format!("kill -{signal} {pid}")])
            .status()
            .expect("sh");
        assert!(sent.success());
        let deadline = Instant::now() + WITHIN;
        loop {
            if let Some(status) = self.running.child.try_wait().expect("look") {
                return status.code();
            }
            assert!(Instant::now() < deadline, "it does not stop");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

fn get(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("connect");
    stream.set_read_timeout(Some(WITHIN)).expect("timeout");
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("write");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("read");
    answer
}

#[test]
fn serve_listens_where_the_ready_file_says_and_stops_when_asked() {
    let setup = Setup::new(|config| config);
    for signal in ["TERM", "INT"] {
        let ready = setup.start("serve");
        assert!(get(ready.approver.expect("approver"), "/readyz").contains("200 OK"));
        // An SSLRequest is answered with one byte: no TLS here.
        let mut client = TcpStream::connect(ready.proxy.expect("proxy")).expect("connect");
        client.set_read_timeout(Some(WITHIN)).expect("timeout");
        client
            .write_all(&[0, 0, 0, 8, 4, 210, 22, 47])
            .expect("write");
        let mut answer = [0];
        client.read_exact(&mut answer).expect("read");
        assert_eq!(&answer, b"N");
        drop(client);
        assert_eq!(ready.stop(signal), Some(0), "{signal}");
    }
}

#[test]
fn proxy_and_approver_run_apart() {
    let setup = Setup::new(|config| config);
    let approver = setup.start("approver");
    assert!(approver.proxy.is_none());
    let url = approver.approver.expect("approver");
    let remote = format!(
        "listen = \"127.0.0.1:0\"\napprover = {{ url = \"http://{url}\", token = {{ file = \"token\" }} }}"
    );
    let proxy_setup = Setup::new(|config| config.replacen("listen = \"127.0.0.1:0\"", &remote, 1));
    let proxy = proxy_setup.start("proxy");
    assert!(proxy.approver.is_none() && proxy.proxy.is_some());
    assert_eq!(proxy.stop("TERM"), Some(0));
    assert_eq!(approver.stop("TERM"), Some(0));
}

#[test]
fn a_port_that_is_taken_ends_with_69_and_names_it() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("bind");
    let address = taken.local_addr().expect("address").to_string();
    let setup = Setup::new(|config| config.replacen("127.0.0.1:0", &address, 1));
    let (code, said) = setup.refused("serve");
    assert_eq!(code, Some(69), "{said}");
    assert!(said.contains(&address), "{said}");
    assert!(!setup.path("ready.json").exists());
}

#[test]
fn a_store_that_is_none_ends_with_74_and_names_it() {
    let setup = Setup::new(|config| config);
    std::fs::write(
        setup.path("abeyance.db"),
        "this is no database, whatever it looks like",
    )
    .expect("write");
    let (code, said) = setup.refused("serve");
    assert_eq!(code, Some(74), "{said}");
    assert!(said.contains("abeyance.db"), "{said}");
}

#[test]
fn a_ready_file_that_cannot_be_written_ends_with_74() {
    let setup = Setup::new(|config| config);
    std::fs::create_dir(setup.path("ready.json")).expect("folder");
    std::fs::write(setup.path("ready.json").join("in-the-way"), "").expect("write");
    let (code, said) = setup.refused("serve");
    assert_eq!(code, Some(74), "{said}");
    assert!(said.contains("ready.json"), "{said}");
}
