//! The Postgres servers of a test process: the shared one, and those of single tests.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use local::address::{Address, DATABASE};
use local::guard::Guard;
use local::postgres::{self, Durability, Settings, account};
use local::roles::Roles;
use local::seed::{Size, seed};
use local::workspace::Workspace;
use local::{connect, database, migrate};
use nix::sys::statvfs::statvfs;
use sqlx::PgConnection;
use sqlx::postgres::PgConnectOptions;
use tokio::sync::OnceCell;

use crate::pgbouncer::{self, PgBouncer};
use crate::template::Template;

/// Begins the name of every database of the tests, so that leftovers of a killed run are found.
const PREFIX: &str = "thaw_test_";

/// The checkout under test.
pub(crate) fn workspace() -> Workspace {
    Workspace::find(Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap()
}

/// One guard for the whole process: it ends what the tests started once the process ends.
#[must_use]
pub fn guard() -> Guard {
    static GUARD: std::sync::OnceLock<Guard> = std::sync::OnceLock::new();
    GUARD.get_or_init(|| Guard::start().unwrap()).clone()
}

/// A server, and the templates on it.
pub(crate) struct Server {
    address: Address,
    roles: Roles,
    migrated: OnceCell<String>,
    seeded: OnceCell<String>,
    pooler: OnceCell<PgBouncer>,
}

impl Server {
    pub(crate) fn new(address: Address) -> Self {
        let roles = Roles::of(&workspace(), &address).unwrap();
        Self { address, roles, migrated: OnceCell::new(), seeded: OnceCell::new(), pooler: OnceCell::new() }
    }

    /// A server on a copy of the template cluster, which has its databases.
    pub(crate) async fn on_copy(cluster: &postgres::Cluster) -> Self {
        let address = Address::parse(&cluster.superuser_url("postgres").unwrap()).unwrap();
        Template::set_passwords(&address).await;
        let mut server = Self::new(address);
        (server.migrated, server.seeded) = (OnceCell::from(Template::get().await.migrated.clone()), OnceCell::from(DATABASE.to_owned()));
        server
    }

    /// The server of all tests that need none of their own: `DATABASE_URL`, else a cluster that lives as long as the test process.
    pub(crate) async fn shared() -> &'static Self {
        static SHARED: OnceCell<Server> = OnceCell::const_new();
        SHARED
            .get_or_init(|| async {
                let named = std::env::var("DATABASE_URL").ok().filter(|url| !url.is_empty());
                let server = match named {
                    Some(url) => Self::new(Address::parse(&url).unwrap()),
                    None => return Self::on_copy(lasting_cluster().await).await,
                };
                server.sweep().await;
                server
            })
            .await
    }

    pub(crate) fn admin(&self, database: &str) -> PgConnectOptions {
        self.address.with_database(database).options().unwrap()
    }

    /// How the functions' roles sign in.
    pub(crate) fn roles(&self, database: &str) -> Roles {
        self.roles.with_database(database)
    }

    /// The pooler by which all tests go, if they do.
    pub(crate) async fn pooler(&self) -> Option<SocketAddr> {
        if !pgbouncer::is_wanted() {
            return None;
        }
        let start = async || {
            let program = pgbouncer::programs().into_iter().find(|program| program.can_track);
            let program = program.expect("no PgBouncer from 1.21 on: .ci/pgbouncer fetches one");
            let admin = self.admin("postgres");
            let upstream = SocketAddr::new(admin.get_host().parse().expect("a numeric address"), admin.get_port());
            PgBouncer::start(&program, upstream, &self.roles, pgbouncer::Settings::default()).await
        };
        Some(self.pooler.get_or_init(start).await.address())
    }

    pub(crate) fn address(&self, database: &str) -> Address {
        self.address.with_database(database)
    }

    /// Connects to the database that every server has.
    pub(crate) async fn maintenance(&self) -> PgConnection {
        connect::connect(&self.admin("postgres")).await.unwrap()
    }

    /// A new database, copied from the migrated template.
    pub(crate) async fn migrated(&self) -> String {
        let template = self.migrated.get_or_init(|| self.migrated_template()).await;
        self.copy(template).await
    }

    /// A new database, copied from the seeded template.
    pub(crate) async fn seeded(&self) -> String {
        let template = self
            .seeded
            .get_or_init(|| async {
                let name = self.migrated().await;
                let mut admin = connect::connect(&self.admin(&name)).await.unwrap();
                seed(&mut admin, Size::default(), &mut |_| {}).await.unwrap();
                sqlx::Connection::close(admin).await.unwrap();
                name
            })
            .await;
        self.copy(template).await
    }

    /// A migrated database to copy others from.
    pub(crate) async fn migrated_template(&self) -> String {
        let name = fresh_name();
        let mut admin = self.maintenance().await;
        database::create_marked(&mut admin, &name).await.unwrap();
        migrate::migrate(&self.admin(&name)).await.unwrap();
        self.roles.set_passwords(&mut admin).await.unwrap();
        name
    }

    async fn copy(&self, template: &str) -> String {
        let name = fresh_name();
        database::clone_from_template(&mut self.maintenance().await, template, &name).await.unwrap();
        name
    }

    /// Removes a database of the tests together with whoever is still connected.
    pub(crate) async fn remove(&self, name: &str) {
        assert!(name.starts_with(PREFIX));
        let Ok(mut admin) = connect::connect(&self.admin("postgres")).await else { return };
        // A server that the test has stopped takes its databases along.
        drop(sqlx::raw_sql(&format!("drop database if exists \"{name}\" with (force)")).execute(&mut admin).await);
    }

    /// Removes what killed runs have left on a server that outlives them.
    async fn sweep(&self) {
        let mut admin = self.maintenance().await;
        let names: Vec<String> = sqlx::query_scalar("select datname::text from pg_database where starts_with(datname, $1)")
            .bind(PREFIX)
            .fetch_all(&mut admin)
            .await
            .unwrap();
        for name in names {
            let owner = name.trim_start_matches(PREFIX).split('_').next().and_then(|pid| pid.parse().ok());
            if !owner.is_some_and(crate::process::is_alive) {
                self.remove(&name).await;
            }
        }
    }
}

fn fresh_name() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("{PREFIX}{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// A cluster that nobody stops but the guard.
async fn lasting_cluster() -> &'static postgres::Cluster {
    let mut cluster = new_cluster(&settings()).await;
    cluster.start().await.unwrap();
    Box::leak(Box::new(cluster))
}

/// Settings of a disposable cluster.
pub(crate) fn settings() -> Settings {
    // `drop database` waits for every session, also for one that is signing in (in PostgreSQL 15 it does not answer a barrier there). Some
    // tests go silent during the sign-in. The default limit is a minute.
    Settings::new(Durability::Disposable).with(&[("authentication_timeout", "5s")])
}

/// A copy of the template cluster in a temporary directory that the guard removes.
pub(crate) async fn new_cluster(settings: &Settings) -> postgres::Cluster {
    let directory = new_directory();
    Template::get().await.copy_to(&directory);
    open_cluster(&directory, settings).await
}

/// The cluster in this directory, or a new one.
pub(crate) async fn open_cluster(directory: &Path, settings: &Settings) -> postgres::Cluster {
    let guard = guard();
    let binaries = postgres::provide(&guard, &workspace().postgres_cache(), |line| eprintln!("{line}")).await.unwrap();
    postgres::Cluster::create(&guard, &binaries, directory, settings.clone()).await.unwrap()
}

/// A temporary directory for a cluster, that the guard removes: in memory where there is room, because a test's database is some hundreds of
/// files, which are made and removed again.
pub(crate) fn new_directory() -> PathBuf {
    let root = if has_room(Path::new(MEMORY)) { PathBuf::from(MEMORY) } else { account::temporary_root().unwrap() };
    let directory = account::temporary_directory_in(&root, "thaw-test-").unwrap().keep();
    guard().remove_directory_at_end(&directory, &root).unwrap();
    directory
}

/// A file system in memory, on Linux.
const MEMORY: &str = "/dev/shm";
/// What all clusters of a test process take at once, with a reserve. A container often has 64 MB there.
const ROOM_BYTES: u64 = 4 << 30;

#[allow(clippy::useless_conversion, reason = "on macOS the numbers are narrower")]
fn has_room(directory: &Path) -> bool {
    statvfs(directory).is_ok_and(|system| u64::from(system.blocks_available()) * u64::from(system.fragment_size()) >= ROOM_BYTES)
}
