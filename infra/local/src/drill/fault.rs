//! How each fault begins and ends.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use sqlx::PgConnection;
use tokio::sync::{Mutex, OwnedMutexGuard};

use super::Drill;
use crate::address::Address;
use crate::cloud::{Cloud, Held};
use crate::postgres::{self, Shutdown};
use crate::proxy::{Proxy, Silence};
use crate::roles::{APP_ROLE, OPS_ROLE};
use crate::sandbox::{Condition, SandboxReport};
use crate::{connect, database, secret};

/// A cluster that whoever runs it shares with the drills. A drill that stops the server holds the lock until it has started it again.
pub type Cluster = Arc<Mutex<postgres::Cluster>>;

/// The database that drills strike.
#[derive(Clone)]
pub struct Database {
    /// How its administrator connects: a secret.
    pub address: Address,
    /// Its server, where that is of `cargo dev`'s own.
    pub cluster: Option<Cluster>,
}

/// What the drills reach.
pub(crate) struct Surroundings {
    pub(crate) cloud: Arc<Cloud>,
    pub(crate) proxy: Option<Arc<Proxy>>,
    pub(crate) database: Database,
}

/// A sandbox and its request, by how many it has taken.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct AtRequest {
    pid: i32,
    invocations: u64,
}

/// A fault that has begun. Dropping it ends it, as far as that takes no waiting.
pub(super) enum Fault {
    /// So many sessions were terminated, which is over already.
    Terminated(i64),
    Stopped(OwnedMutexGuard<postgres::Cluster>),
    Silenced(Silence),
    Frozen(Held),
    /// The password is another one, and so many sessions of the old one were terminated; over already, too.
    Rotated(i64),
}

/// Between two looks at who is still at a request.
const LOOK_PAUSE: Duration = Duration::from_millis(20);
/// As whom the functions of the template sign in.
const FUNCTION_ROLES: [&str; 2] = [APP_ROLE, OPS_ROLE];
const YOUR_SERVER: &str = "the server is your own, and only one that cargo dev started is stopped: start cargo dev without a database URL";
const YOUR_ROLES: &str = "the role's password belongs to the whole of your server, which others may use: start cargo dev without a database URL";
const NO_PROXY: &str = "the functions connect to the database itself, and not through the stand-in for RDS Proxy";

impl Surroundings {
    /// Why a drill cannot be run here.
    pub(super) fn refusal(&self, drill: Drill) -> Option<&'static str> {
        let (is_own, has_proxy) = (self.database.cluster.is_some(), self.proxy.is_some());
        match drill {
            Drill::Terminate | Drill::Freeze => None,
            Drill::Restart | Drill::Stop => (!is_own).then_some(YOUR_SERVER),
            Drill::Silence => (!has_proxy).then_some(NO_PROXY),
            Drill::Rotate if !is_own => Some(YOUR_ROLES),
            Drill::Rotate => (!has_proxy).then_some(NO_PROXY),
        }
    }

    pub(super) async fn begin(&self, drill: Drill) -> Result<Fault> {
        Ok(match drill {
            Drill::Terminate => Fault::Terminated(terminate(&mut self.admin().await?, &FUNCTION_ROLES).await?),
            Drill::Restart | Drill::Stop => {
                let mut cluster = Arc::clone(self.database.cluster.as_ref().context(YOUR_SERVER)?).lock_owned().await;
                cluster.stop(Shutdown::Fast).await?;
                Fault::Stopped(cluster)
            }
            Drill::Silence => Fault::Silenced(self.proxy()?.silence()),
            Drill::Freeze => Fault::Frozen(self.cloud.hold().await),
            Drill::Rotate => Fault::Rotated(self.rotate().await?),
        })
    }

    /// The sandboxes that are at a request now.
    pub(super) async fn busy(&self) -> Vec<AtRequest> {
        let is_busy = |report: &SandboxReport| matches!(report.condition, Condition::Cold | Condition::Warm);
        let mut reports = self.cloud.sandboxes().await;
        reports.retain(is_busy);
        reports.into_iter().map(|report| AtRequest { pid: report.pid, invocations: report.invocations }).collect()
    }

    /// Waits until none of these is at the same request any more. Lambda's timeout bounds how long that takes.
    pub(super) async fn answered(&self, mut requests: Vec<AtRequest>) {
        while !requests.is_empty() {
            tokio::time::sleep(LOOK_PAUSE).await;
            let busy = self.busy().await;
            requests.retain(|request| busy.contains(request));
        }
    }

    async fn admin(&self) -> Result<PgConnection> {
        connect::connect(&self.database.address.options()?).await
    }

    fn proxy(&self) -> Result<&Arc<Proxy>> {
        self.proxy.as_ref().context(NO_PROXY)
    }

    /// The order of a rotation: the database, then the secret that the proxy reads, and then the sessions of the old password go. The next
    /// `cargo dev` gives the role a password of its own, as each does.
    async fn rotate(&self) -> Result<i64> {
        let mut admin = self.admin().await?;
        let password = secret::random_word()?;
        let rotation = self.proxy()?.rotation().await;
        database::set_password(&mut admin, APP_ROLE, &password).await?;
        rotation.finish(APP_ROLE, password.into());
        terminate(&mut admin, &[APP_ROLE]).await
    }
}

/// Ends every session of these roles on this database. Others may use the same server.
async fn terminate(admin: &mut PgConnection, roles: &[&str]) -> Result<i64> {
    sqlx::query_scalar(
        "select count(*) filter (where pg_terminate_backend(pid)) from pg_stat_activity
         where usename = any($1) and datname = current_database() and pid <> pg_backend_pid()",
    )
    .bind(roles)
    .fetch_one(admin)
    .await
    .context("cannot terminate the functions' sessions")
}

impl Fault {
    /// What was done.
    pub(super) fn sentence(&self) -> String {
        match self {
            Self::Terminated(count) => format!("{} terminated", counted(*count, "session", "sessions")),
            Self::Stopped(_) => "server stopped and started".to_owned(),
            Self::Silenced(_) => "network silenced".to_owned(),
            Self::Frozen(held) => format!("{} frozen", counted(i64::try_from(held.count()).unwrap_or(i64::MAX), "sandbox", "sandboxes")),
            Self::Rotated(count) => format!("password changed, {} terminated", counted(*count, "session", "sessions")),
        }
    }

    /// Ends it.
    pub(super) async fn end(self) -> Result<()> {
        match self {
            Self::Stopped(mut cluster) => cluster.start().await?,
            Self::Silenced(silence) => drop(silence),
            Self::Frozen(held) => drop(held),
            Self::Terminated(_) | Self::Rotated(_) => {}
        }
        Ok(())
    }
}

fn counted(count: i64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}
