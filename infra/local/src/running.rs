//! What a running `cargo dev` tells other commands of the same checkout.

use std::collections::BTreeMap;
use std::fs::{File, TryLockError};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};

use crate::sigv4::LocalCredentials;

const LOOKS: u32 = 10;
const LOOK_PAUSE: Duration = Duration::from_millis(20);

/// Where things run. Holds no secret: it is printed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Running {
    /// The process of `cargo dev`.
    pub pid: u32,
    /// The API.
    pub api_url: String,
    /// The port beside it.
    pub control_url: String,
    /// The database, without a password.
    pub database_url: String,
    /// The data directory of a cluster that `cargo dev` runs itself.
    pub data_directory: Option<PathBuf>,
}

/// What is written down.
#[derive(Serialize, Deserialize)]
struct Record {
    #[serde(flatten)]
    running: Running,
    /// A `cargo dev` from before there were any tells of none.
    operator: Option<Operator>,
    /// The token of the dashboard's commands.
    dashboard_token: Option<String>,
    /// How to sign in to the database.
    database: Option<DatabaseAccess>,
}

/// How a person signs in to the database of a running `cargo dev`. Secrets.
#[derive(Clone, Serialize, Deserialize)]
pub struct DatabaseAccess {
    /// Its administrator's URL.
    pub admin_url: String,
    /// What the stand-in for RDS Proxy gives to functions, where there is one: see [`Proxy::environment`](crate::proxy::Proxy::environment).
    pub proxy: Option<BTreeMap<String, String>>,
}

/// What other commands of the same user may do there. Secrets.
pub struct Access<'a> {
    /// What requests to the API are signed with.
    pub operator: &'a LocalCredentials,
    /// The token of the dashboard's commands.
    pub dashboard_token: Option<&'a str>,
    /// How to sign in to the database.
    pub database: DatabaseAccess,
}

/// The operator's credentials in the record.
#[derive(Serialize, Deserialize)]
struct Operator {
    access_key_id: String,
    secret_access_key: String,
    session_token: Option<String>,
}

/// The right to run `cargo dev` on a checkout: only one at a time, because it owns the cluster there. The system takes it back when the
/// process ends, however it ends.
#[derive(Debug)]
pub struct Claim {
    _lock: File,
    record: PathBuf,
}

impl Claim {
    /// Takes the right.
    ///
    /// # Errors
    /// Another `cargo dev` has it, or the state directory is not usable.
    pub fn take(state: &Path) -> Result<Self> {
        std::fs::create_dir_all(state).with_context(|| format!("cannot make the state directory {}", state.display()))?;
        let path = state.join("dev.lock");
        let failed = || format!("cannot lock {}", path.display());
        let lock = File::options().create(true).append(true).open(&path).with_context(failed)?;
        let mut taken = lock.try_lock();
        // Whoever only looks holds the lock for an instant.
        for _ in 0..LOOKS {
            if !matches!(taken, Err(TryLockError::WouldBlock)) {
                break;
            }
            std::thread::sleep(LOOK_PAUSE);
            taken = lock.try_lock();
        }
        match taken {
            Ok(()) => {
                let record = record(state);
                // A killed one may have left its own.
                let _ = std::fs::remove_file(&record);
                Ok(Self { _lock: lock, record })
            }
            Err(TryLockError::WouldBlock) => match read(state)? {
                Some(Record { running, .. }) => {
                    bail!("cargo dev runs here already, at {} (pid {}): stop that one first", running.api_url, running.pid)
                }
                None => bail!("cargo dev is starting or stopping here already: wait a moment"),
            },
            Err(TryLockError::Error(error)) => Err(error).with_context(failed),
        }
    }

    /// Publishes where things run, and what other commands may do there, readable by this user only. It is withdrawn when the claim is dropped.
    ///
    /// # Errors
    /// The record cannot be written.
    pub fn publish(&self, running: &Running, access: Access<'_>) -> Result<()> {
        let failed = || format!("cannot write {}", self.record.display());
        let folder = self.record.parent().with_context(failed)?;
        let only_this_user = std::fs::Permissions::from_mode(0o600);
        let mut file = tempfile::Builder::new().permissions(only_this_user).tempfile_in(folder).with_context(failed)?;
        let record = Record {
            running: running.clone(),
            operator: Some(access.operator.into()),
            dashboard_token: access.dashboard_token.map(str::to_owned),
            database: Some(access.database),
        };
        file.write_all(&serde_json::to_vec_pretty(&record)?).with_context(failed)?;
        file.persist(&self.record).with_context(failed)?;
        Ok(())
    }
}

impl Claim {
    /// Says that nothing runs any more, while the claim is still held.
    pub fn withdraw(&self) {
        // It may never have been published.
        let _ = std::fs::remove_file(&self.record);
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.withdraw();
    }
}

fn record(state: &Path) -> PathBuf {
    state.join("running.json")
}

impl From<&LocalCredentials> for Operator {
    fn from(credentials: &LocalCredentials) -> Self {
        Self {
            access_key_id: credentials.access_key_id.clone(),
            secret_access_key: credentials.secret_access_key.expose_secret().to_owned(),
            session_token: credentials.session_token.as_ref().map(|token| token.expose_secret().to_owned()),
        }
    }
}

impl From<Operator> for LocalCredentials {
    fn from(operator: Operator) -> Self {
        Self {
            access_key_id: operator.access_key_id,
            secret_access_key: operator.secret_access_key.into(),
            session_token: operator.session_token.map(Into::into),
        }
    }
}

fn read(state: &Path) -> Result<Option<Record>> {
    let path = record(state);
    match std::fs::read(&path) {
        Ok(text) => Ok(Some(serde_json::from_slice(&text).with_context(|| format!("{} is damaged: remove it", path.display()))?)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

/// What runs on a checkout; None where nothing does. A record that a killed `cargo dev` left behind counts as nothing.
///
/// # Errors
/// The state directory cannot be read, or `cargo dev` is just starting or stopping.
pub fn find(state: &Path) -> Result<Option<Running>> {
    Ok(find_record(state)?.map(|record| record.running))
}

/// As [`find`], with the credentials that its API knows the operator by.
///
/// # Errors
/// As [`find`]; what runs is older than these credentials.
pub fn find_with_operator(state: &Path) -> Result<Option<(Running, LocalCredentials)>> {
    let Some(Record { running, operator, .. }) = find_record(state)? else { return Ok(None) };
    let operator = operator.context("the cargo dev that runs here is an older one, which takes no signed requests: start it anew")?;
    Ok(Some((running, operator.into())))
}

/// As [`find`], with the token of the dashboard's commands.
///
/// # Errors
/// As [`find`]; what runs is older than the dashboard.
pub fn find_with_dashboard_token(state: &Path) -> Result<Option<(Running, String)>> {
    let Some(Record { running, dashboard_token, .. }) = find_record(state)? else { return Ok(None) };
    let token = dashboard_token.context("the cargo dev that runs here is an older one, which has no dashboard: start it anew")?;
    Ok(Some((running, token)))
}

/// As [`find`], with how to sign in to its database.
///
/// # Errors
/// As [`find`]; what runs is older than this.
pub fn find_with_database(state: &Path) -> Result<Option<DatabaseAccess>> {
    let Some(Record { database, .. }) = find_record(state)? else { return Ok(None) };
    Ok(Some(database.context("the cargo dev that runs here is an older one, which does not say how to sign in to its database: start it anew")?))
}

fn find_record(state: &Path) -> Result<Option<Record>> {
    let Ok(lock) = File::open(state.join("dev.lock")) else { return Ok(None) };
    match lock.try_lock_shared() {
        Ok(()) => Ok(None),
        Err(TryLockError::WouldBlock) => match read(state)? {
            Some(record) => Ok(Some(record)),
            None => bail!("cargo dev is starting or stopping here: wait a moment"),
        },
        Err(TryLockError::Error(error)) => Err(error).context("cannot look whether cargo dev runs"),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn running() -> Running {
        Running { pid: 7, api_url: "http://a".into(), control_url: "http://b".into(), database_url: "c".into(), data_directory: None }
    }

    fn access(operator: &LocalCredentials) -> Access<'_> {
        Access { operator, dashboard_token: None, database: DatabaseAccess { admin_url: "postgres://a:b@c/d".into(), proxy: None } }
    }

    #[test]
    fn only_one_has_the_claim_and_it_is_found_while_it_lives() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(find(folder.path()).unwrap(), None);
        let claim = Claim::take(folder.path()).unwrap();
        assert!(Claim::take(folder.path()).unwrap_err().to_string().contains("starting"));
        claim.publish(&running(), access(&LocalCredentials::generate().unwrap())).unwrap();
        assert_eq!(find(folder.path()).unwrap(), Some(running()));
        assert!(Claim::take(folder.path()).unwrap_err().to_string().contains("http://a (pid 7)"));
        drop(claim);
        assert_eq!(find(folder.path()).unwrap(), None);
        Claim::take(folder.path()).unwrap();
    }

    #[test]
    fn what_a_killed_one_left_behind_counts_as_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let claim = Claim::take(folder.path()).unwrap();
        claim.publish(&running(), access(&LocalCredentials::generate().unwrap())).unwrap();
        let record = std::fs::read(folder.path().join("running.json")).unwrap();
        drop(claim);
        std::fs::write(folder.path().join("running.json"), record).unwrap();
        assert_eq!(find(folder.path()).unwrap(), None);
        let starting = Claim::take(folder.path()).unwrap();
        assert!(find(folder.path()).unwrap_err().to_string().contains("starting"), "the next one is not up yet");
        drop(starting);
    }

    #[test]
    fn the_operators_credentials_are_for_this_user_and_are_not_shown() {
        let folder = tempfile::tempdir().unwrap();
        let claim = Claim::take(folder.path()).unwrap();
        let operator = LocalCredentials::generate().unwrap();
        // What another one left there for all to read is not written into.
        let record = folder.path().join("running.json");
        std::fs::write(&record, "{}").unwrap();
        std::fs::set_permissions(&record, std::fs::Permissions::from_mode(0o644)).unwrap();
        claim.publish(&running(), Access { dashboard_token: Some("token-word"), ..access(&operator) }).unwrap();
        assert_eq!(std::fs::metadata(&record).unwrap().permissions().mode() & 0o777, 0o600);
        let (found, credentials) = find_with_operator(folder.path()).unwrap().unwrap();
        assert_eq!((&found, credentials.environment()), (&running(), operator.environment()));
        let shown = format!("{found:?} {credentials:?} {}", serde_json::to_string(&found).unwrap());
        assert_eq!(find_with_dashboard_token(folder.path()).unwrap().unwrap().1, "token-word");
        let [key, session] = ["AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"].map(|name| operator.environment()[name].clone());
        let secrets = [key, session, "token-word".to_owned()];
        assert!(secrets.iter().all(|secret| !shown.contains(secret.as_str())), "{shown}");
    }

    #[test]
    fn a_record_without_credentials_is_of_an_older_one() {
        let folder = tempfile::tempdir().unwrap();
        let _claim = Claim::take(folder.path()).unwrap();
        std::fs::write(folder.path().join("running.json"), serde_json::to_vec(&running()).unwrap()).unwrap();
        assert_eq!(find(folder.path()).unwrap(), Some(running()));
        assert!(find_with_operator(folder.path()).unwrap_err().to_string().contains("start it anew"));
        assert!(find_with_dashboard_token(folder.path()).unwrap_err().to_string().contains("start it anew"));
    }
}
