//! Finds a Postgres server on the machine.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};

use super::account::Account;
use super::{Binaries, Version};

/// What must lie in the directory of a server's programs: client packages bring only some of them.
const PROGRAMS: [&str; 3] = ["initdb", "pg_ctl", "postgres"];

/// Where packages put servers beside `PATH`; `*` stands for a version.
const USUAL_PLACES: [&str; 8] = [
    "usr/lib/postgresql/*/bin",                          // Debian, Ubuntu
    "usr/pgsql-*/bin",                                   // Red Hat, from PostgreSQL's own repository
    "usr/libexec/postgresql*",                           // Alpine
    "opt/homebrew/opt/postgresql*/bin",                  // Homebrew, Apple silicon
    "usr/local/opt/postgresql*/bin",                     // Homebrew, Intel
    "home/linuxbrew/.linuxbrew/opt/postgresql*/bin",     // Homebrew, Linux
    "usr/local/pgsql*/bin",                              // built from source
    "Applications/Postgres.app/Contents/Versions/*/bin", // Postgres.app
];

/// Where to look: a parameter, so that the search can be tested.
#[derive(Clone, Debug)]
pub(super) struct Places {
    /// As the environment variable `PATH`.
    pub(super) path: OsString,
    /// What the usual places are relative to: `/`.
    pub(super) root: PathBuf,
}

impl Places {
    pub(super) fn of_this_machine() -> Self {
        Self { path: std::env::var_os("PATH").unwrap_or_default(), root: PathBuf::from("/") }
    }
}

/// No server was found; says which were passed over, and why.
#[derive(Debug)]
pub(super) struct NotFound {
    rejected: Vec<String>,
}

impl fmt::Display for NotFound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("this machine has no usable PostgreSQL server")?;
        if !self.rejected.is_empty() {
            write!(f, " (passed over: {})", self.rejected.join("; "))?;
        }
        Ok(())
    }
}

/// The first usable server of `PATH`, else the newest in the usual places.
pub(super) fn search(places: &Places, account: Option<&Account>) -> Result<Binaries, NotFound> {
    let mut seen: Vec<PathBuf> = Vec::new();
    let mut rejected = Vec::new();
    let mut usable = |directories: Vec<PathBuf>| -> Vec<Binaries> {
        let mut found = Vec::new();
        for directory in directories {
            if seen.contains(&directory) || !PROGRAMS.iter().all(|name| directory.join(name).exists()) {
                continue;
            }
            match inspect(&directory, account) {
                Ok(binaries) => found.push(binaries),
                Err(error) => rejected.push(format!("{error:#}")),
            }
            seen.push(directory);
        }
        found
    };
    if let Some(first) = usable(in_path(&places.path)).into_iter().next() {
        return Ok(first);
    }
    match usable(in_usual_places(&places.root)).into_iter().max_by_key(|binaries| binaries.version) {
        Some(newest) => Ok(newest),
        None => Err(NotFound { rejected }),
    }
}

/// Tries the programs in `directory`, under `account` if there is one: this also finds a directory that the account cannot
/// enter and a missing shared library.
///
/// # Errors
/// A program is missing or does not run, or the version is too old. The message names the directory or the program.
pub(super) fn inspect(directory: &Path, account: Option<&Account>) -> Result<Binaries> {
    let mut version = None;
    for name in PROGRAMS {
        let program = directory.join(name);
        ensure!(program.exists(), "{} has no program {name}", directory.display());
        version = Version::parse(&version_output(&program, account)?);
    }
    let Some(version) = version else { bail!("{} does not say its version", directory.join("postgres").display()) };
    ensure!(version.major >= Version::OLDEST_MAJOR, "{} is PostgreSQL {version}, older than {}", directory.display(), Version::OLDEST_MAJOR);
    Ok(Binaries { directory: directory.to_owned(), version })
}

fn version_output(program: &Path, account: Option<&Account>) -> Result<String> {
    let mut command = Command::new(program);
    // Under another account the present directory may be out of reach, which initdb does not bear.
    command.arg("--version").env("LC_ALL", "C").current_dir("/").stdin(Stdio::null());
    if let Some(account) = account {
        account.apply(&mut command);
    }
    let who = account.map(|account| format!(" as the account {:?}", account.name)).unwrap_or_default();
    let output = command.output().with_context(|| format!("{} cannot be run{who}", program.display()))?;
    if !output.status.success() {
        let complaint = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        bail!("{} cannot be run{who} ({}): {complaint}", program.display(), output.status);
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// For each directory of `PATH`: those to which its links to server programs lead, since a server finds its libraries
/// relative to its real place, and then the directory itself.
fn in_path(path: &OsString) -> Vec<PathBuf> {
    let mut directories = Vec::new();
    for directory in std::env::split_paths(path).filter(|directory| directory.is_absolute()) {
        for name in PROGRAMS {
            if let Ok(program) = directory.join(name).canonicalize() {
                directories.extend(program.parent().map(Path::to_owned));
            }
        }
        directories.push(directory);
    }
    directories
}

fn in_usual_places(root: &Path) -> Vec<PathBuf> {
    let mut directories = Vec::new();
    for place in USUAL_PLACES {
        let Some((before, after)) = place.split_once('*') else { continue };
        let (parent, prefix) = before.rsplit_once('/').unwrap_or(("", before));
        let Ok(entries) = std::fs::read_dir(root.join(parent)) else { continue };
        for entry in entries.flatten() {
            if entry.file_name().to_string_lossy().starts_with(prefix) {
                let directory = entry.path().join(after.trim_start_matches('/'));
                directories.extend(directory.canonicalize());
            }
        }
    }
    directories
}

#[cfg(test)]
#[path = "locate_tests.rs"]
mod tests;
