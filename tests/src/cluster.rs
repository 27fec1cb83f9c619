//! A cluster of one test's own.

use std::sync::Arc;

use local::postgres::{self, Shutdown};
use tempfile::TempDir;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::database::Database;
use crate::server::{self, Server, new_cluster};
use crate::template::Template;

/// Each takes memory and time to start.
pub(crate) static PLACES: Semaphore = Semaphore::const_new(6);

/// A place for a cluster that something else starts, such as `cargo dev`: at most six run at once.
pub async fn cluster_place() -> impl Drop {
    PLACES.acquire().await.unwrap()
}

/// A place for a test that sends many requests a second. At most two such tests run at once: more would use up the budgets of each other's
/// requests on a small machine.
pub async fn load_place() -> impl Drop {
    static LOADS: Semaphore = Semaphore::const_new(2);
    LOADS.acquire().await.unwrap()
}

/// A folder for the state of a `cargo dev` of a test's own, in which a seeded database lies already.
pub async fn prepared_state() -> TempDir {
    Template::state().await
}

/// A cluster of one test's own, running.
pub struct Cluster {
    cluster: postgres::Cluster,
    server: Arc<Server>,
    _place: SemaphorePermit<'static>,
}

impl Cluster {
    /// Waits for a place, makes a cluster and starts it.
    pub async fn own() -> Self {
        Self::with(&[]).await
    }

    /// As [`Cluster::own`], with settings as in `postgresql.conf`.
    pub async fn with(settings: &[(&str, &str)]) -> Self {
        let place = PLACES.acquire().await.unwrap();
        let mut cluster = new_cluster(&server::settings().with(settings)).await;
        cluster.start().await.unwrap();
        let server = Arc::new(Server::on_copy(&cluster).await);
        Self { cluster, server, _place: place }
    }

    /// A migrated database on it.
    pub async fn database(&self) -> Database {
        Database::on(Arc::clone(&self.server), false).await
    }

    /// A seeded database on it.
    pub async fn seeded(&self) -> Database {
        Database::on(Arc::clone(&self.server), true).await
    }

    /// Stops the server as `pg_ctl stop -m fast` does.
    pub async fn stop(&mut self) {
        self.stop_how(false).await;
    }

    /// Stops the server as `pg_ctl stop` does, in the mode fast or immediate.
    pub async fn stop_how(&mut self, immediate: bool) {
        self.cluster.stop(if immediate { Shutdown::Immediate } else { Shutdown::Fast }).await.unwrap();
    }

    /// Starts it again, on the same port.
    pub async fn start(&mut self) {
        self.cluster.start().await.unwrap();
    }
}
