//! Building the functions, with the profiles and features that `cargo dev`, the tests and the benchmarks share.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, bail};
use nix::sys::signal::Signal;
use serde::Deserialize;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

use crate::group::Group;
use crate::guard::Guard;

/// How cargo compiles them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// Quickly.
    Dev,
    /// As they are deployed.
    Release,
}

#[derive(Deserialize)]
struct Message {
    reason: String,
    target: Option<Target>,
    executable: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
}

/// What cargo tells the program that it runs about that program's own package would look like changes to build scripts: for commands that
/// start cargo themselves.
pub fn hide_own_package(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")) {
            command.env_remove(name);
        }
    }
}

/// Builds the named functions and tells where their executables are. Cargo's progress goes to standard error.
///
/// # Errors
/// Where cargo is not there, does not compile them, or names no executable for one.
///
/// # Cancel safety
/// Dropping the future kills cargo and the compilers that it started.
pub async fn build(workspace: &Path, functions: &[&str], profile: Profile, guard: &Guard) -> anyhow::Result<BTreeMap<String, PathBuf>> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let mut command = Command::new(&cargo);
    command.current_dir(workspace).args(["build", "--message-format=json-render-diagnostics"]);
    if profile == Profile::Release {
        command.arg("--release");
    }
    command.args(functions.iter().flat_map(|function| ["--package", function]));
    hide_own_package(&mut command);
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("{} did not start; is Rust's cargo installed?", cargo.display()))?;
    // Compilers outlive a killed cargo.
    let group = Group::of(&child, Signal::SIGTERM, guard)?;
    let stdout = child.stdout.take().context("cargo has no output")?;
    let mut lines = BufReader::new(stdout).lines();
    let mut executables = BTreeMap::new();
    while let Some(line) = lines.next_line().await.context("cargo's output broke off")? {
        let Ok(message) = serde_json::from_str::<Message>(&line) else { continue };
        if let ("compiler-artifact", Some(target), Some(executable)) = (message.reason.as_str(), message.target, message.executable) {
            executables.insert(target.name, executable);
        }
    }
    let status = child.wait().await.context("cargo was lost")?;
    drop(group);
    if !status.success() {
        bail!("the functions do not compile (cargo says why above)");
    }
    for function in functions {
        if !executables.contains_key(*function) {
            bail!("cargo built no executable named {function}: does functions/{function} have a main.rs?");
        }
    }
    Ok(executables)
}
