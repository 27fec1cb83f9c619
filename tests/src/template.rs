//! The cluster that the tests' others are copied from: `initdb`, the migrations and the seed run once in a test process.

use std::path::{Path, PathBuf};
use std::process::Command;

use local::address::{Address, DATABASE};
use local::connect;
use local::postgres::{Shutdown, account};
use local::provision;
use local::roles::Roles;
use tokio::sync::OnceCell;

use crate::server::{Server, new_directory, open_cluster, settings, workspace};

/// A stopped cluster with a seeded database of the name that `cargo dev` uses, and a migrated one without rows.
pub(crate) struct Template {
    directory: PathBuf,
    /// The migrated database.
    pub(crate) migrated: String,
}

impl Template {
    /// The one of this process.
    pub(crate) async fn get() -> &'static Self {
        static TEMPLATE: OnceCell<Template> = OnceCell::const_new();
        TEMPLATE.get_or_init(Self::make).await
    }

    async fn make() -> Self {
        let directory = new_directory();
        let mut cluster = open_cluster(&directory, &settings()).await;
        cluster.start().await.unwrap();
        let address = Address::parse(&cluster.superuser_url(DATABASE).unwrap()).unwrap();
        provision::create(&address, false).await.unwrap();
        provision::provision(&workspace(), &address, &mut |_| {}).await.unwrap();
        let migrated = Server::new(address.with_database("postgres")).migrated_template().await;
        cluster.stop(Shutdown::Fast).await.unwrap();
        Self { directory, migrated }
    }

    /// Copies its files, for a cluster that is to live in `directory`.
    pub(crate) fn copy_to(&self, directory: &Path) {
        let names = ["data", "password"].map(|name| self.directory.join(name));
        // As root the files belong to the server's account, which cp keeps.
        let copied = Command::new("cp").arg("-a").args(names).arg(directory).status().unwrap();
        assert!(copied.success(), "the template cluster was not copied to {}", directory.display());
    }

    /// A folder for the state of one `cargo dev`, with a cluster that has its database: it only starts.
    pub(crate) async fn state() -> tempfile::TempDir {
        let state = account::temporary_directory("thaw-test-dev-").unwrap();
        let postgres = state.path().join(workspace().state().file_name().unwrap()).join("postgres");
        std::fs::create_dir_all(&postgres).unwrap();
        Self::get().await.copy_to(&postgres);
        state
    }

    /// Lets the functions' roles sign in to a copy: their passwords belong to the server's address.
    pub(crate) async fn set_passwords(address: &Address) {
        let mut admin = connect::connect(&address.options().unwrap()).await.unwrap();
        Roles::of(&workspace(), address).unwrap().set_passwords(&mut admin).await.unwrap();
    }
}
