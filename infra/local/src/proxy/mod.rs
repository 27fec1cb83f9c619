//! The stand-in for RDS Proxy: TLS, IAM tokens, database connections shared by transaction, and what would pin.
//!
//! It behaves as AWS documents RDS Proxy for PostgreSQL ("Using Amazon RDS Proxy" in the Amazon RDS User Guide), so that development has
//! production's shape. What AWS does not document it proves nothing about: how an unnamed statement fares whose Parse and Bind a Sync
//! separates (here it follows its client), whether SET LOCAL or a default that calls nextval pins (here it is reported as "may pin"), whether
//! a ping takes a database connection (here it does), TLS without asking first (refused here), the SQLSTATEs of a refused token, and what
//! becomes of a session that is opened amid a rotation of the password (here it waits for the end of it).

mod certificate;
mod exchange;
mod greetings;
pub mod iam;
mod link;
mod opening;
mod pool;
mod session;
mod sign_in;
mod silence;
mod slow;
mod statements;
mod upstream;
mod watch;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde::Serialize;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use certificate::Identity;
use iam::Verifier;
use pool::Pool;
pub use sign_in::sign_in_url;
pub use silence::Silence;
use silence::Silences;
pub use slow::SlowStatement;
use slow::SlowStatements;
pub use upstream::{Rotation, Upstream};
use watch::Watch;
pub use watch::{Pin, PinSink};

use crate::accept::accept;
use crate::sigv4::{LocalCredentials, REGION};

/// The name of the stand-in, as one of RDS Proxy's.
const NAME: &str = "thaw-local";

/// Bounds of the stand-in.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// The most database connections (RDS Proxy: a part of the server's max_connections).
    pub connections: usize,
    /// How long a transaction waits for one (ConnectionBorrowTimeout; the time ladder in the template).
    pub borrow_timeout: Duration,
    /// How long a client may say nothing (IdleClientTimeout).
    pub idle_client_timeout: Duration,
    /// The port by which clients reach it, and sign their tokens for, where something stands before it.
    pub public_port: Option<u16>,
    /// Who its clients are.
    pub clients: Clients,
}

/// Who connects to the stand-in, by which it knows where to listen and whose credentials to expect.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Clients {
    /// Programs of this machine, with credentials that are made for them.
    #[default]
    Programs,
    /// Containers of `sam local`, which reach this machine by this address and sign with what SAM CLI gives to all: so whoever reaches the
    /// address can sign in.
    Containers(IpAddr),
}

impl Clients {
    fn address(self) -> IpAddr {
        match self {
            Self::Programs => Ipv4Addr::LOCALHOST.into(),
            Self::Containers(address) => address,
        }
    }

    fn credentials(self) -> Result<LocalCredentials> {
        match self {
            Self::Programs => LocalCredentials::generate(),
            Self::Containers(_) => Ok(LocalCredentials::of_sam_local()),
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            connections: 20,
            borrow_timeout: Duration::from_secs(2),
            idle_client_timeout: Duration::from_secs(1_800),
            public_port: None,
            clients: Clients::Programs,
        }
    }
}

/// The stand-in, running until it is dropped.
pub struct Proxy {
    address: SocketAddr,
    /// The certificate that clients have to trust; the file goes with this value.
    authority: PathBuf,
    credentials: LocalCredentials,
    database: String,
    shared: Arc<Shared>,
    _serving: JoinSet<()>,
}

/// What is going on at the stand-in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ProxyReport {
    /// Connections of clients, those that sign in included.
    pub clients: usize,
    /// Database connections that a client has for a transaction, or because it is pinned.
    pub borrowed: usize,
    /// Database connections that nobody has.
    pub idle: usize,
    /// How many tokens were refused so far.
    pub refused: usize,
    /// What pinned or may pin so far, each once.
    pub pins: Vec<Pin>,
}

struct Shared {
    tls: TlsAcceptor,
    verifier: Verifier,
    pool: Arc<Pool>,
    settings: Settings,
    watch: Arc<Watch>,
    slow: SlowStatements,
    silences: Arc<Silences>,
    clients: AtomicUsize,
    refused: AtomicUsize,
}

impl Proxy {
    /// Listens on a port of [`Settings::clients`]' address and lets clients with its own [`credentials`](Self::environment) through to `upstream`. The certificate
    /// that they have to trust is written into `directory`.
    ///
    /// # Errors
    /// No port or no random numbers are to be had, or the certificate cannot be written.
    pub async fn start(upstream: Upstream, settings: Settings, pins: PinSink, directory: &Path) -> Result<Self> {
        let listener = TcpListener::bind((settings.clients.address(), 0)).await.context("no port for the database proxy")?;
        let address = listener.local_addr().context("no port for the database proxy")?;
        let names = certificate::names(address.ip());
        let identity = Identity::generate(&names)?;
        let credentials = settings.clients.credentials()?;
        let database = upstream.database().to_owned();
        // Several may run from one directory; none listens on another's port.
        let authority = directory.join(format!("database-authority-{}.pem", address.port()));
        std::fs::create_dir_all(directory)
            .and_then(|()| std::fs::write(&authority, &identity.authority_pem))
            .with_context(|| format!("cannot write {}", authority.display()))?;
        let shared = Arc::new(Shared {
            tls: TlsAcceptor::from(identity.tls),
            verifier: Verifier::new(names.iter().map(String::as_str), settings.public_port.unwrap_or(address.port()), REGION).with(&credentials),
            pool: Pool::new(upstream, settings.connections, settings.borrow_timeout),
            settings,
            watch: Arc::new(Watch::new(pins)),
            slow: SlowStatements::default(),
            silences: Arc::default(),
            clients: AtomicUsize::new(0),
            refused: AtomicUsize::new(0),
        });
        let mut serving = JoinSet::new();
        let clients = Arc::clone(&shared);
        serving.spawn(accept(listener, move |stream| {
            let client = Counted::new(&clients);
            async move { session::serve(stream, &client.0).await }
        }));
        Ok(Self { address, authority, credentials, database, shared, _serving: serving })
    }

    /// Where functions connect.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What functions need to sign in. Secrets are among it.
    #[must_use]
    pub fn environment(&self) -> BTreeMap<String, String> {
        let mut environment = self.credentials.environment();
        let own = [
            ("AWS_REGION", REGION.to_owned()),
            ("DB_HOST", self.address.ip().to_string()),
            ("DB_PORT", self.shared.settings.public_port.unwrap_or(self.address.port()).to_string()),
            ("DB_NAME", self.database.clone()),
            ("DB_PROXY_NAME", NAME.to_owned()),
            ("DB_AUTH", "iam".to_owned()),
            ("DB_TLS", "verify-full".to_owned()),
            ("DB_CA_FILE", self.authority.display().to_string()),
        ];
        environment.extend(own.map(|(name, value)| (name.to_owned(), value)));
        environment
    }

    /// The statements that took long of late, the oldest first.
    #[must_use]
    pub fn slow_statements(&self) -> Vec<SlowStatement> {
        self.shared.slow.list()
    }

    /// Silences the network between this and its clients until the value is dropped.
    #[must_use]
    pub fn silence(&self) -> Silence {
        Silence::begin(&self.shared.silences)
    }

    /// Begins to rotate a password. Sessions of the database that are opened meanwhile wait for the end of it.
    pub async fn rotation(&self) -> Rotation<'_> {
        self.shared.pool.upstream().rotation().await
    }

    /// What is going on.
    #[must_use]
    pub fn report(&self) -> ProxyReport {
        let (borrowed, idle) = self.shared.pool.counts();
        let count = |counter: &AtomicUsize| counter.load(Ordering::SeqCst);
        ProxyReport { clients: count(&self.shared.clients), borrowed, idle, refused: count(&self.shared.refused), pins: self.shared.watch.pins() }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // One that stays behind is a certificate whose key nobody has.
        let _ = std::fs::remove_file(&self.authority);
    }
}

/// One of the clients.
struct Counted(Arc<Shared>);

impl Counted {
    fn new(shared: &Arc<Shared>) -> Self {
        shared.clients.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(shared))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.clients.fetch_sub(1, Ordering::SeqCst);
    }
}
