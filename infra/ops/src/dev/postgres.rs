//! The server behind `cargo dev`: a named one, or a cluster of the checkout's own.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, anyhow};
use local::address::{Address, DATABASE};
use local::guard::Guard;
use local::postgres::{self, Cluster, Durability, Settings, Shutdown};
use local::workspace::Workspace;

use super::screen;

/// How often a cluster of our own is looked after.
const WATCH_INTERVAL: Duration = Duration::from_millis(500);

pub(super) struct Postgres {
    pub(super) address: Address,
    cluster: Option<Cluster>,
}

impl Postgres {
    /// The named server, else a cluster in the checkout's state directory, with binaries that are found or fetched.
    pub(super) async fn provide(workspace: &Workspace, named: Option<Address>, guard: &Guard) -> Result<Self> {
        if let Some(address) = named {
            screen::step("postgres", &format!("yours, at {}", address.server()));
            return Ok(Self { address, cluster: None });
        }
        let binaries = postgres::provide(guard, &workspace.postgres_cache(), |line| screen::step("postgres", line)).await?;
        let directory = workspace.state().join("postgres");
        let mut cluster = Cluster::create(guard, &binaries, &directory, Settings::new(Durability::Lasting)).await?;
        cluster.start().await?;
        let address = Address::parse(&cluster.superuser_url(DATABASE)?)?;
        screen::step("postgres", &format!("{} from {}, at {}", binaries.version, binaries.directory.display(), address.server()));
        Ok(Self { address, cluster: Some(cluster) })
    }

    pub(super) fn data_directory(&self) -> Option<PathBuf> {
        self.cluster.as_ref().map(Cluster::data_directory)
    }

    /// Returns once a cluster of our own has ended by itself; never for a named server, which may come back.
    pub(super) async fn lost(&mut self) -> anyhow::Error {
        let Some(cluster) = &mut self.cluster else { return std::future::pending().await };
        loop {
            tokio::time::sleep(WATCH_INTERVAL).await;
            match cluster.is_running() {
                Ok(true) => {}
                Ok(false) => return anyhow!("the database server ended; its log is {}", cluster.log_file().display()),
                Err(error) => return error,
            }
        }
    }

    pub(super) async fn stop(&mut self) -> Result<()> {
        match &mut self.cluster {
            Some(cluster) => cluster.stop(Shutdown::Fast).await,
            None => Ok(()),
        }
    }
}
