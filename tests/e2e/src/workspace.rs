//! Where things are: the checkout, the build folder, the binary under test.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};

/// The top of the checkout.
#[must_use]
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_path_buf()
}

/// `build/<name>` in the checkout: caches and screenshots, never committed.
///
/// # Errors
/// When the folder cannot be made.
pub fn build_dir(name: &str) -> Result<PathBuf> {
    let dir = root().join("build").join(name);
    fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
    Ok(dir)
}

/// Runs `work` while no other process that names the same lock does.
pub(crate) fn locked<T>(name: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let path = build_dir("e2e")?.join(format!("{name}.lock"));
    let file = File::create(&path).with_context(|| format!("cannot open {}", path.display()))?;
    file.lock()?;
    let result = work();
    file.unlock()?;
    result
}

/// The `abeyance` binary under test: `ABEYANCE_BIN`, or the one of this build, brought up to date
/// once for each test run.
///
/// # Errors
/// When it cannot be built.
pub fn abeyance_binary() -> Result<PathBuf> {
    if let Some(named) = std::env::var_os("ABEYANCE_BIN") {
        return Ok(PathBuf::from(named));
    }
    let test = std::env::current_exe()?;
    let folder = test.parent().context("a program lives in a folder")?;
    // Tests live in target/<profile>/deps, programs beside it.
    let profile = match folder.parent() {
        Some(profile) if folder.ends_with("deps") => profile,
        _ => folder,
    };
    let binary = profile.join("abeyance");
    locked("build", || {
        let stamp = build_dir("e2e")?.join("built-for");
        let runner = format!(
            "{} {}",
            std::os::unix::process::parent_id(),
            binary.display()
        );
        if fs::read_to_string(&stamp).is_ok_and(|text| text == runner) && binary.exists() {
            return Ok(());
        }
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.args([
            "build",
            "--quiet",
            "--package",
            "abeyance",
            "--bin",
            "abeyance",
            "--target-dir",
        ]);
        cargo
            .arg(profile.parent().context("target/<profile>")?)
            .current_dir(root());
        if profile.ends_with("release") {
            cargo.arg("--release");
        }
        ensure!(cargo.status()?.success(), "cargo build -p abeyance failed");
        fs::write(&stamp, runner)?;
        Ok(())
    })?;
    Ok(binary)
}
