//! The server behind `cargo dev`: a named one, or a cluster of the checkout's own.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, anyhow};
use local::address::{Address, DATABASE};
use local::drill;
use local::guard::Guard;
use local::postgres::{self, Cluster, Durability, Settings, Shutdown};
use local::workspace::Workspace;
use tokio::sync::Mutex;

use super::screen;

/// How often a cluster of our own is looked after.
const WATCH_INTERVAL: Duration = Duration::from_millis(500);

pub(super) struct Postgres {
    pub(super) address: Address,
    cluster: Option<drill::Cluster>,
    data_directory: Option<PathBuf>,
}

impl Postgres {
    /// The named server, else a cluster in the checkout's state directory, with binaries that are found or fetched.
    pub(super) async fn provide(workspace: &Workspace, named: Option<Address>, guard: &Guard) -> Result<Self> {
        if let Some(address) = named {
            screen::step("postgres", &format!("yours, at {}", address.server()));
            return Ok(Self { address, cluster: None, data_directory: None });
        }
        let binaries = postgres::provide(guard, &workspace.postgres_cache(), |line| screen::step("postgres", line)).await?;
        let directory = workspace.state().join("postgres");
        let mut cluster = Cluster::create(guard, &binaries, &directory, Settings::new(Durability::Lasting)).await?;
        cluster.start().await?;
        let address = Address::parse(&cluster.superuser_url(DATABASE)?)?;
        screen::step("postgres", &format!("{} from {}, at {}", binaries.version, binaries.directory.display(), address.server()));
        let data_directory = Some(cluster.data_directory());
        Ok(Self { address, cluster: Some(Arc::new(Mutex::new(cluster))), data_directory })
    }

    pub(super) fn data_directory(&self) -> Option<PathBuf> {
        self.data_directory.clone()
    }

    /// What drills may strike.
    pub(super) fn database(&self) -> drill::Database {
        drill::Database { address: self.address.clone(), cluster: self.cluster.clone() }
    }

    /// Returns once a cluster of our own has ended by itself; never for a named server, which may come back. A drill that stops the server
    /// holds its lock until it runs again, so that is waited for here.
    pub(super) async fn lost(&self) -> anyhow::Error {
        let Some(cluster) = &self.cluster else { return std::future::pending().await };
        loop {
            tokio::time::sleep(WATCH_INTERVAL).await;
            let mut cluster = cluster.lock().await;
            match cluster.is_running() {
                Ok(true) => {}
                Ok(false) => return anyhow!("the database server ended; its log is {}", cluster.log_file().display()),
                Err(error) => return error,
            }
        }
    }

    pub(super) async fn stop(&self) -> Result<()> {
        match &self.cluster {
            Some(cluster) => cluster.lock().await.stop(Shutdown::Fast).await,
            None => Ok(()),
        }
    }
}
