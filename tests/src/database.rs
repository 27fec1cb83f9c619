//! A database of one test's own.

use std::net::SocketAddr;
use std::sync::Arc;

use local::address::Address;
use local::connect::connect;
use local::roles::{APP_ROLE, OPS_ROLE, Roles};
use sqlx::PgConnection;
use sqlx::postgres::PgConnectOptions;

use crate::pgbouncer::{self, PgBouncer};
use crate::server::Server;

/// A database of one test's own, removed at its end.
pub struct Database {
    name: String,
    server: Home,
    /// What stands before the server, if anything does.
    pooler: Option<SocketAddr>,
}

/// The server of a database.
#[derive(Clone)]
pub(crate) enum Home {
    Shared(&'static Server),
    Own(Arc<Server>),
}

impl Home {
    pub(crate) fn server(&self) -> &Server {
        match self {
            Self::Shared(server) => server,
            Self::Own(server) => server,
        }
    }
}

impl Database {
    /// Migrated, without rows.
    pub async fn fresh() -> Self {
        let server = Server::shared().await;
        Self { name: server.migrated().await, server: Home::Shared(server), pooler: server.pooler().await }
    }

    /// Migrated, with 1,000 users, 10,000 models and 50,000 purchases.
    pub async fn seeded() -> Self {
        let server = Server::shared().await;
        Self { name: server.seeded().await, server: Home::Shared(server), pooler: server.pooler().await }
    }

    pub(crate) async fn on(server: Arc<Server>, seeded: bool) -> Self {
        let name = if seeded { server.seeded().await } else { server.migrated().await };
        let pooler = server.pooler().await;
        Self { name, server: Home::Own(server), pooler }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The database with its administrator's credentials, by no pooler.
    pub(crate) fn administrated(&self) -> Address {
        self.server.server().address(&self.name)
    }

    /// How its administrator connects.
    #[must_use]
    pub fn admin(&self) -> PgConnectOptions {
        self.server.server().admin(&self.name)
    }

    /// How the routes' role connects to the server itself.
    #[must_use]
    pub fn app(&self) -> PgConnectOptions {
        self.as_role(APP_ROLE)
    }

    /// As [`Database::app`], the operators' role.
    #[must_use]
    pub fn ops(&self) -> PgConnectOptions {
        self.as_role(OPS_ROLE)
    }

    fn as_role(&self, role: &str) -> PgConnectOptions {
        let url = self.server.server().roles(&self.name).url(role).unwrap();
        Address::parse(&url).unwrap().options().unwrap()
    }

    /// How functions sign in: to the server, or to the pooler before it.
    #[must_use]
    pub fn roles(&self) -> Roles {
        let roles = self.server.server().roles(&self.name);
        self.pooler.map_or_else(|| roles.clone(), |pooler| roles.by_way_of(pooler))
    }

    /// How a route connects: the value of `DATABASE_URL`.
    #[must_use]
    pub fn app_url(&self) -> String {
        self.roles().url(APP_ROLE).unwrap()
    }

    /// The address that functions connect to: the server's, or that of the pooler before it.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.pooler.unwrap_or_else(|| self.server_address())
    }

    fn server_address(&self) -> SocketAddr {
        let options = self.admin();
        SocketAddr::new(options.get_host().parse().expect("the tests' server has a numeric address"), options.get_port())
    }

    /// The same database by way of a PgBouncer of the test's own.
    pub async fn behind(&self, program: &pgbouncer::Program, settings: pgbouncer::Settings) -> PgBouncer {
        PgBouncer::start(program, self.server_address(), &self.roles(), settings).await
    }

    /// As [`Database::app_url`], by way of a proxy.
    #[must_use]
    pub fn app_url_at(&self, address: SocketAddr) -> String {
        self.roles().by_way_of(address).url(APP_ROLE).unwrap()
    }

    /// How a person names it on the command line.
    #[must_use]
    pub fn admin_url(&self) -> String {
        self.server.server().address(&self.name).url()
    }

    /// Connects as the administrator.
    pub async fn connect_admin(&self) -> PgConnection {
        connect(&self.admin()).await.unwrap()
    }

    /// Connects as the routes' role.
    pub async fn connect_app(&self) -> PgConnection {
        connect(&self.app()).await.unwrap()
    }

    /// Connects as the operators' role.
    pub async fn connect_ops(&self) -> PgConnection {
        connect(&self.ops()).await.unwrap()
    }

    /// The server processes of the functions' sessions on this database, as Postgres sees them.
    pub async fn app_sessions(&self) -> Vec<i32> {
        let mut admin = self.connect_admin().await;
        sqlx::query_scalar("select pid from pg_stat_activity where datname = current_database() and usename = 'thaw_app' order by pid")
            .fetch_all(&mut admin)
            .await
            .unwrap()
    }

    /// Ends every session of the functions' role on this database, and returns once they are gone.
    pub async fn terminate_app_sessions(&self) {
        let mut admin = self.connect_admin().await;
        for session in self.app_sessions().await {
            let ended: bool = sqlx::query_scalar("select pg_terminate_backend($1, 5000)").bind(session).fetch_one(&mut admin).await.unwrap();
            assert!(ended, "session {session} did not end");
        }
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let (name, server) = (self.name.clone(), self.server.clone());
        // The test's runtime is busy being dropped.
        let removal = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(server.server().remove(&name));
        });
        drop(removal.join());
    }
}
