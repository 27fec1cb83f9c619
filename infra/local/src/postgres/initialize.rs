//! Makes a new cluster's data directory and password.

use std::fs::File;
use std::io::{ErrorKind, Read as _, Write as _};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tempfile::NamedTempFile;

use super::account::Account;
use super::cluster::prepare;
use super::settings::{Durability, Settings};
use super::{Binaries, program};
use crate::guard::Guard;

pub(super) const SUPERUSER: &str = "postgres";
pub(super) const DATA: &str = "data";
const PASSWORD: &str = "password";
const LIMIT: Duration = Duration::from_secs(120);

/// Makes what is missing in `directory` and returns the superuser's password.
pub(super) async fn initialize(
    guard: &Guard,
    binaries: &Binaries,
    directory: &Path,
    account: Option<&Account>,
    settings: &Settings,
) -> Result<String> {
    let data = directory.join(DATA);
    let is_new = !data.exists();
    if !is_new {
        check_version(&data, binaries)?;
    }
    let password = password(directory, is_new)?;
    if is_new {
        run_initdb(guard, binaries, directory, account, settings, &password).await?;
    }
    Ok(password)
}

/// Into a directory beside, and then renamed: a data directory is there whole or not at all.
async fn run_initdb(
    guard: &Guard,
    binaries: &Binaries,
    directory: &Path,
    account: Option<&Account>,
    settings: &Settings,
    password: &str,
) -> Result<()> {
    let failed = || format!("cannot write in {}", directory.display());
    let work = tempfile::Builder::new().prefix(".initdb-").tempdir_in(directory).with_context(failed)?;
    guard.remove_directory_at_end(work.path(), directory)?;
    // Removed with the directory; a temporary file is readable by its owner alone.
    let mut password_file = NamedTempFile::new_in(work.path()).with_context(failed)?;
    writeln!(password_file, "{password}").with_context(failed)?;
    if let Some(account) = account {
        account.own(password_file.path())?;
        account.own(work.path())?;
    }
    let unfinished = work.path().join(DATA);
    let mut command = Command::new(binaries.directory.join("initdb"));
    command
        .args(["--encoding=UTF8", "--locale=C", "--auth=scram-sha-256", "--no-instructions"])
        .arg(format!("--username={SUPERUSER}"))
        .arg("--pwfile")
        .arg(password_file.path())
        .arg("-D")
        .arg(&unfinished);
    if settings.durability == Durability::Disposable {
        command.arg("--no-sync");
    }
    prepare(&mut command, account);
    program::run(guard, &mut command, &directory.join("initdb.log"), LIMIT).await?;
    let data = directory.join(DATA);
    match std::fs::rename(&unfinished, &data) {
        // Another process was faster: it read the same password.
        Err(_) if data.join("PG_VERSION").exists() => Ok(()),
        result => result.with_context(|| format!("cannot move the new cluster to {}", data.display())),
    }
}

fn check_version(data: &Path, binaries: &Binaries) -> Result<()> {
    let file = data.join("PG_VERSION");
    let text = std::fs::read_to_string(&file)
        .with_context(|| format!("{} is no PostgreSQL cluster: remove it (cannot read {})", data.display(), file.display()))?;
    let (has, given) = (text.trim(), binaries.version);
    ensure!(
        has == given.major.to_string(),
        "{} belongs to PostgreSQL {has}, and the server found in {} is {given}: remove {}, or use PostgreSQL {has}",
        data.display(),
        binaries.directory.display(),
        data.display()
    );
    Ok(())
}

/// Reads the password of the cluster, or chooses the one of a new cluster. It appears whole or not at all, and only once.
fn password(directory: &Path, is_new: bool) -> Result<String> {
    let file = directory.join(PASSWORD);
    loop {
        match std::fs::read_to_string(&file) {
            Ok(text) if !text.trim().is_empty() => return Ok(text.trim().to_owned()),
            Ok(_) => anyhow::bail!("{} is empty: remove {}", file.display(), directory.display()),
            Err(error) if error.kind() == ErrorKind::NotFound && is_new => {}
            Err(error) => {
                return Err(error)
                    .with_context(|| format!("cannot read the cluster's password: remove {} (cannot read {})", directory.display(), file.display()));
            }
        }
        let failed = || format!("cannot write {}", file.display());
        let mut new = NamedTempFile::new_in(directory).with_context(failed)?;
        new.write_all(random_password()?.as_bytes()).with_context(failed)?;
        match new.persist_noclobber(&file) {
            Err(error) if error.error.kind() != ErrorKind::AlreadyExists => return Err(error.error).with_context(failed),
            _ => {} // read what is there now, be it another process's
        }
    }
}

fn random_password() -> Result<String> {
    let mut bytes = [0u8; 24];
    File::open("/dev/urandom").and_then(|mut source| source.read_exact(&mut bytes)).context("cannot read /dev/urandom")?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
