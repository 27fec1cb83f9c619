//! A Postgres server for the local cloud: found on the machine, or else downloaded, and run from a directory of its own.
//!
//! [`provide`] gives the server's programs, [`Cluster`] a running server. `DATABASE_URL` stands before both and is the
//! caller's affair.
//!
//! The environment variable `THAW_POSTGRES` overrides the search: `download` takes the downloaded server although the
//! machine has one, and a directory (`/usr/lib/postgresql/17/bin`) takes the server in it.

pub mod account;
mod cluster;
mod download;
mod initialize;
mod locate;
mod postmaster_pid;
mod program;
mod server;
mod settings;
mod version;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

pub use cluster::Cluster;
pub use server::Shutdown;
pub use settings::{Durability, Settings};
pub use version::Version;

use crate::guard::Guard;

const VARIABLE: &str = "THAW_POSTGRES";

/// The programs of a Postgres server, tried under the account that will run them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binaries {
    /// Where `initdb`, `pg_ctl` and `postgres` are.
    pub directory: PathBuf,
    /// What `postgres --version` says.
    pub version: Version,
}

/// Finds a server of version 14 or newer on the machine (`PATH`, then where Debian, Red Hat, Homebrew and Postgres.app
/// keep theirs), or else downloads one into `cache_directory`, once. `progress` hears what takes long.
///
/// Cancel safe: a download that is dropped is stopped, removed, and never counts as present.
///
/// # Errors
/// `THAW_POSTGRES` names no usable server, or there is none on the machine and none can be downloaded.
pub async fn provide(guard: &Guard, cache_directory: &Path, progress: impl Fn(&str)) -> Result<Binaries> {
    let choice = Choice::parse(std::env::var_os(VARIABLE))?;
    provide_from(&choice, &locate::Places::of_this_machine(), guard, cache_directory, progress).await
}

async fn provide_from(choice: &Choice, places: &locate::Places, guard: &Guard, cache_directory: &Path, progress: impl Fn(&str)) -> Result<Binaries> {
    let account = account::server_account()?;
    let reason = match choice {
        Choice::Directory(directory) => {
            return locate::inspect(directory, account.as_ref())
                .with_context(|| format!("{VARIABLE} names {}, which is no usable server", directory.display()));
        }
        Choice::Download => format!("{VARIABLE} asks for a download"),
        Choice::Machine => match locate::search(places, account.as_ref()) {
            Ok(binaries) => return Ok(binaries),
            Err(none) => none.to_string(),
        },
    };
    download::provide(guard, &places.path, cache_directory, account.as_ref(), progress).await.with_context(|| reason)
}

#[derive(Debug, PartialEq, Eq)]
enum Choice {
    Machine,
    Download,
    Directory(PathBuf),
}

impl Choice {
    fn parse(value: Option<OsString>) -> Result<Self> {
        let Some(value) = value.filter(|value| !value.is_empty()) else { return Ok(Self::Machine) };
        if value == "download" {
            return Ok(Self::Download);
        }
        let directory = PathBuf::from(value);
        if !directory.is_absolute() {
            bail!("{VARIABLE} is {directory:?}: it must be `download`, or the absolute path of a directory with initdb and postgres");
        }
        Ok(Self::Directory(directory))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

    use super::Choice;

    #[test]
    fn the_variable_chooses_between_machine_download_and_directory() {
        let cases = [
            (None, Some(Choice::Machine)),
            (Some(""), Some(Choice::Machine)),
            (Some("download"), Some(Choice::Download)),
            (Some("/opt/pg/bin"), Some(Choice::Directory("/opt/pg/bin".into()))),
            (Some("Download"), None),
            (Some("pg/bin"), None),
        ];
        for (value, expected) in cases {
            assert_eq!(Choice::parse(value.map(Into::into)).ok(), expected, "{value:?}");
        }
    }
}

#[cfg(test)]
mod cluster_tests;
