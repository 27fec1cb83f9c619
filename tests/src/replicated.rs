//! A cluster and a standby that follows it.
//!
//! The standby begins as a copy of the cluster's files while its server is down, which needs no program beyond the server's own.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use local::connect::connect;
use local::postgres::account::{Account, server_account};
use local::postgres::{self, Shutdown};
use sqlx::PgConnection;
use tokio::sync::SemaphorePermit;

use crate::cluster::PLACES;
use crate::database::Database;
use crate::process::eventually;
use crate::server::{Server, new_cluster, new_directory, open_cluster, settings};

/// A cluster of one test's own with a standby, both running.
pub struct Replicated {
    primary: postgres::Cluster,
    standby: postgres::Cluster,
    server: Arc<Server>,
    _places: SemaphorePermit<'static>,
}

impl Replicated {
    /// Waits for two places, makes a cluster and its standby and starts both.
    pub async fn own() -> Self {
        let places = PLACES.acquire_many(2).await.unwrap();
        let settings = settings();
        let mut primary = new_cluster(&settings).await;
        // The first start chooses the port.
        primary.start().await.unwrap();
        primary.stop(Shutdown::Fast).await.unwrap();
        let directory = new_directory();
        copy_as_standby(&primary, &directory);
        primary.start().await.unwrap();
        let mut standby = open_cluster(&directory, &settings).await;
        standby.start().await.unwrap();
        let server = Arc::new(Server::on_copy(&primary).await);
        Self { primary, standby, server, _places: places }
    }

    /// A migrated database on the primary.
    pub async fn database(&self) -> Database {
        Database::on(Arc::clone(&self.server), false).await
    }

    /// The standby's address.
    #[must_use]
    pub fn standby_address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.standby.port().expect("it was started")).into()
    }

    /// Connects to a database on the standby as its administrator.
    pub async fn connect_standby(&self, database: &Database) -> PgConnection {
        connect(&database.admin().port(self.standby_address().port())).await.unwrap()
    }

    /// Waits until the standby has all that the primary has by now.
    pub async fn catch_up(&self, database: &Database) {
        let mut primary = database.connect_admin().await;
        let position: String = sqlx::query_scalar("select pg_current_wal_insert_lsn()::text").fetch_one(&mut primary).await.unwrap();
        // A database that was made a moment ago may not be there yet, but the one that every server has is.
        let mut standby = connect(&database.admin().database("postgres").port(self.standby_address().port())).await.unwrap();
        let has = "select coalesce(pg_last_wal_replay_lsn() >= $1::pg_lsn, false)";
        eventually("the standby has caught up", async || sqlx::query_scalar::<_, bool>(has).bind(&position).fetch_one(&mut standby).await.unwrap())
            .await;
    }

    /// Makes the standby a writer, and returns once it is one.
    pub async fn promote(&self, database: &Database) {
        let promoted: bool = sqlx::query_scalar("select pg_promote()").fetch_one(&mut self.connect_standby(database).await).await.unwrap();
        assert!(promoted);
    }

    /// Stops the primary for good.
    pub async fn stop_primary(&mut self) {
        self.primary.stop(Shutdown::Fast).await.unwrap();
    }
}

/// Copies a stopped cluster into `directory`, as one that follows it.
fn copy_as_standby(primary: &postgres::Cluster, directory: &Path) {
    let account = server_account().unwrap();
    let data = directory.join("data");
    copy_tree(&primary.data_directory(), &data, account.as_ref());
    std::fs::write(directory.join("password"), primary.password()).unwrap();
    let connection = format!("host=127.0.0.1 port={} user=postgres password={}", primary.port().unwrap(), primary.password());
    for (name, text) in [("standby.signal", ""), ("postgresql.auto.conf", &format!("primary_conninfo = '{connection}'\n"))] {
        let file = data.join(name);
        std::fs::write(&file, text).unwrap();
        give(&file, account.as_ref());
    }
}

/// With the permissions of the originals, which Postgres insists on.
fn copy_tree(from: &Path, to: &Path, account: Option<&Account>) {
    std::fs::create_dir(to).unwrap();
    std::fs::set_permissions(to, from.metadata().unwrap().permissions()).unwrap();
    give(to, account);
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type().unwrap().is_dir() {
            copy_tree(&source, &target, account);
        } else {
            std::fs::copy(&source, &target).unwrap();
            give(&target, account);
        }
    }
}

fn give(path: &Path, account: Option<&Account>) {
    if let Some(account) = account {
        account.own(path).unwrap();
    }
}
