//! Child processes that cannot be forgotten: output kept line by line, ended by pid on drop.

use std::{
    fmt,
    io::{BufRead, BufReader, Read},
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, PoisonError},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::eventually;

/// The name every temporary folder of the harness starts with; the pid of its owner follows.
const SCRATCH_PREFIX: &str = "abeyance-e2e-";

/// How long a process may take to obey a polite signal when it is dropped.
const STOP_PATIENCE: Duration = Duration::from_secs(5);

/// A temporary folder. Also removes those whose owner was killed before it could.
///
/// # Errors
/// When the folder cannot be made.
pub fn scratch_dir() -> Result<TempDir> {
    sweep();
    tempfile::Builder::new()
        .prefix(&format!("{SCRATCH_PREFIX}{}-", std::process::id()))
        .tempdir()
        .context("cannot make a temporary folder")
}

fn sweep() {
    let Ok(entries) = std::fs::read_dir(std::env::temp_dir()) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let owner = name.to_str().and_then(|name| {
            let (pid, _) = name.strip_prefix(SCRATCH_PREFIX)?.split_once('-')?;
            pid.parse::<u32>().ok()
        });
        if let Some(pid) = owner
            && !PathBuf::from(format!("/proc/{pid}")).exists()
        {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

/// The lines a process has written so far.
#[derive(Debug, Clone, Default)]
pub struct Lines {
    lines: Arc<Mutex<Vec<String>>>,
    reader: Arc<Mutex<Option<JoinHandle<()>>>>,
}

impl Lines {
    /// All lines so far.
    #[must_use]
    pub fn all(&self) -> Vec<String> {
        self.lines
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The lines after the first `count`.
    #[must_use]
    pub fn after(&self, count: usize) -> Vec<String> {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.get(count..).unwrap_or_default().to_vec()
    }

    /// How many lines there are so far.
    #[must_use]
    pub fn count(&self) -> usize {
        self.lines
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .len()
    }

    /// All lines there will ever be. Only for a process that has ended.
    #[must_use]
    pub fn finished(&self) -> Vec<String> {
        let reader = self
            .reader
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(reader) = reader {
            let _ = reader.join();
        }
        self.all()
    }

    fn follow(&self, stream: impl Read + Send + 'static) -> Result<()> {
        let lines = Arc::clone(&self.lines);
        let reader = std::thread::Builder::new()
            .name("lines".into())
            .spawn(move || {
                let mut reader = BufReader::new(stream);
                let mut line = Vec::new();
                while matches!(reader.read_until(b'\n', &mut line), Ok(read) if read > 0) {
                    let text = String::from_utf8_lossy(&line).trim_end().to_owned();
                    lines
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .push(text);
                    line.clear();
                }
            })?;
        *self.reader.lock().unwrap_or_else(PoisonError::into_inner) = Some(reader);
        Ok(())
    }
}

/// A running child process.
pub struct Process {
    name: String,
    child: Child,
    /// Sent first when the process is dropped; some servers want another than SIGTERM.
    polite: Signal,
    stdout: Lines,
    stderr: Lines,
}

impl Process {
    /// Starts `command` with nothing on its standard input.
    ///
    /// # Errors
    /// When the program cannot be started.
    pub fn start(name: &str, command: &mut Command) -> Result<Self> {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {name}: {command:?}"))?;
        let (stdout, stderr) = (Lines::default(), Lines::default());
        stdout.follow(child.stdout.take().context("stdout is piped")?)?;
        stderr.follow(child.stderr.take().context("stderr is piped")?)?;
        Ok(Self {
            name: name.to_owned(),
            child,
            polite: Signal::TERM,
            stdout,
            stderr,
        })
    }

    /// Uses `signal` to ask the process to stop when it is dropped.
    #[must_use]
    pub fn stopped_by(mut self, signal: Signal) -> Self {
        self.polite = signal;
        self
    }

    /// The process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Lines written to standard output.
    #[must_use]
    pub fn stdout(&self) -> &Lines {
        &self.stdout
    }

    /// Lines written to standard error.
    #[must_use]
    pub fn stderr(&self) -> &Lines {
        &self.stderr
    }

    /// The exit status when the process has ended.
    ///
    /// # Errors
    /// When the status cannot be read.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// Waits for the end of the process.
    ///
    /// # Errors
    /// When it does not end in time.
    pub async fn wait(&mut self) -> Result<ExitStatus> {
        let name = self.name.clone();
        eventually(&format!("the end of {name}"), || {
            let ended = self.ended();
            async move { ended }
        })
        .await
    }

    /// Sends a signal to this process, by its id.
    ///
    /// # Errors
    /// When it has ended already.
    pub fn signal(&mut self, signal: Signal) -> Result<()> {
        if self.ended()?.is_some() {
            return Err(anyhow!("{} has ended already", self.name));
        }
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        kill_process(pid.context("a pid is positive")?, signal)?;
        Ok(())
    }

    /// `kill -9`, and waits until it is gone.
    ///
    /// # Errors
    /// When it cannot be killed.
    pub fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let polite = self.polite;
        if self.signal(polite).is_ok() {
            let deadline = Instant::now() + STOP_PATIENCE;
            while Instant::now() < deadline && matches!(self.child.try_wait(), Ok(None)) {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            self.show();
        }
    }
}

impl Process {
    /// A failing test shows what its servers said.
    #[expect(clippy::print_stderr, reason = "test output")]
    fn show(&self) {
        for line in self.stderr.all().iter().rev().take(200).rev() {
            eprintln!("[{}] {line}", self.name);
        }
    }
}

impl fmt::Debug for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Process({} {})", self.name, self.child.id())
    }
}
