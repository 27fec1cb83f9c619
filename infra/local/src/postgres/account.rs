//! The account under which the server runs, and the directories it can enter.
//!
//! `initdb` and `postgres` refuse to run as root. Run by root, the local cloud therefore starts them as `postgres`, or as
//! `nobody` where that account does not exist, and keeps their files where that account can reach them: a home such as
//! root's own is usually closed to it.

use std::fs::Permissions;
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};
use nix::unistd::{User, geteuid};
use tempfile::TempDir;

/// `_postgres` is macOS's.
const CANDIDATES: [&str; 3] = ["postgres", "_postgres", "nobody"];

/// An account of the operating system that is not root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// For messages.
    pub name: String,
    uid: u32,
    gid: u32,
}

/// The account to change to for the server's programs: none for an ordinary user, who runs them himself.
///
/// # Errors
/// Root on a machine which has none of the accounts `postgres`, `_postgres` and `nobody`.
pub fn server_account() -> Result<Option<Account>> {
    if !geteuid().is_root() {
        return Ok(None);
    }
    for name in CANDIDATES {
        let user = User::from_name(name).with_context(|| format!("cannot look up the account {name:?}"))?;
        if let Some(user) = user.filter(|user| !user.uid.is_root()) {
            return Ok(Some(Account { name: user.name, uid: user.uid.as_raw(), gid: user.gid.as_raw() }));
        }
    }
    bail!("PostgreSQL refuses to run as root, and this machine has neither an account postgres nor nobody: run as an ordinary user")
}

impl Account {
    /// Has `command` run under this account, without root's supplementary groups (the standard library drops them when
    /// root sets another user and no groups).
    pub fn apply(&self, command: &mut Command) {
        command.uid(self.uid).gid(self.gid);
    }

    /// Makes this account the owner of `path` (a symbolic link is followed).
    ///
    /// # Errors
    /// `path` does not exist, or the caller may not give it away.
    pub fn own(&self, path: &Path) -> Result<()> {
        chown(path, Some(self.uid), Some(self.gid))
            .with_context(|| format!("cannot make the account {:?} the owner of {}", self.name, path.display()))
    }

    /// # Errors
    /// `directory` or one above it does not exist or is closed to this account: the message names which.
    fn check_entry(&self, directory: &Path) -> Result<()> {
        let real = directory.canonicalize().with_context(|| format!("cannot find the directory {}", directory.display()))?;
        for ancestor in real.ancestors() {
            let metadata = ancestor.metadata().with_context(|| format!("cannot examine {}", ancestor.display()))?;
            let mode = metadata.mode();
            let search = if metadata.uid() == self.uid {
                mode & 0o100
            } else if metadata.gid() == self.gid {
                mode & 0o010
            } else {
                mode & 0o001
            };
            ensure!(
                search != 0,
                "the account {:?}, as which root runs PostgreSQL, cannot enter {} because of {} (mode {:04o}): \
                 choose a directory elsewhere, or allow others to enter that one (chmod o+x)",
                self.name,
                directory.display(),
                ancestor.display(),
                mode & 0o7777
            );
        }
        Ok(())
    }
}

/// Makes `directory` where it is missing, and such that the server's account can pass through it, if one is changed to.
/// Existing directories above it are checked, never changed.
///
/// # Errors
/// It cannot be made, or the account cannot come to it.
pub(super) fn open_directory(directory: &Path, account: Option<&Account>) -> Result<()> {
    let failed = || format!("cannot make the directory {}", directory.display());
    std::fs::create_dir_all(directory).with_context(failed)?;
    if let Some(account) = account {
        let mode = directory.metadata().with_context(failed)?.mode() & 0o7777;
        if mode & 0o001 == 0 {
            std::fs::set_permissions(directory, Permissions::from_mode(mode | 0o111)).with_context(failed)?;
        }
        account.check_entry(directory)?;
    }
    Ok(())
}

/// Where what lasts between runs is kept: `/var/lib/thaw` for root, else `$XDG_STATE_HOME/thaw` or `~/.local/state/thaw`
/// (the XDG Base Directory Specification, which ignores a relative path in the variable; on macOS the same). It is made
/// where it is missing.
///
/// # Errors
/// There is no home, it cannot be made, or the server's account cannot enter it.
pub fn state_root() -> Result<PathBuf> {
    let account = server_account()?;
    let root = if account.is_some() {
        PathBuf::from("/var/lib/thaw")
    } else {
        let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        match absolute("XDG_STATE_HOME") {
            Some(state) => state.join("thaw"),
            None => absolute("HOME")
                .context("HOME is not set: set it, or XDG_STATE_HOME, to the directory where thaw may keep its data")?
                .join(".local/state/thaw"),
        }
    };
    open_directory(&root, account.as_ref())?;
    Ok(root)
}

/// Where the servers of tests may have their directories: the system's temporary directory, or, for root, the first of
/// it, `/var/tmp` and `/tmp` that the server's account can enter.
///
/// # Errors
/// It can enter none.
pub fn temporary_root() -> Result<PathBuf> {
    let usual = std::env::temp_dir();
    let Some(account) = server_account()? else { return Ok(usual) };
    let Err(refused) = account.check_entry(&usual) else { return Ok(usual) };
    ["/var/tmp", "/tmp"]
        .into_iter()
        .map(PathBuf::from)
        .find(|directory| account.check_entry(directory).is_ok())
        .ok_or_else(|| refused.context("there is no temporary directory for PostgreSQL"))
}

/// A new directory under [`temporary_root`] that the server's account can pass through; removed on drop.
///
/// # Errors
/// As [`temporary_root`], or the directory cannot be made.
pub fn temporary_directory(prefix: &str) -> Result<TempDir> {
    temporary_directory_in(&temporary_root()?, prefix)
}

/// As [`temporary_directory`], under another directory.
///
/// # Errors
/// The directory cannot be made.
pub fn temporary_directory_in(root: &Path, prefix: &str) -> Result<TempDir> {
    let account = server_account()?;
    let failed = || format!("cannot make a temporary directory in {}", root.display());
    let directory = tempfile::Builder::new().prefix(prefix).tempdir_in(root).with_context(failed)?;
    open_directory(directory.path(), account.as_ref())?;
    Ok(directory)
}

/// Lets everyone read the tree under `path`, and run what its owner can run.
pub(super) fn open_tree(path: &Path) -> io::Result<()> {
    let metadata = path.symlink_metadata()?;
    if metadata.is_symlink() {
        return Ok(());
    }
    let mode = metadata.permissions().mode();
    let execute = if metadata.is_dir() || mode & 0o100 != 0 { 0o111 } else { 0 };
    std::fs::set_permissions(path, Permissions::from_mode(mode | 0o444 | execute))?;
    if metadata.is_dir() {
        for entry in std::fs::read_dir(path)? {
            open_tree(&entry?.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "account_tests.rs"]
mod tests;
