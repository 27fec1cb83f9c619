//! A plain forwarder to a database that looks at the statements which pass: what would pin in RDS Proxy, of a program of one's own.
//!
//! It changes nothing, multiplexes nothing and signs nobody in: client and database speak with each other, in plain text so that they can
//! be listened to. Whoever reaches it reaches the database, so it listens on a loopback address only.

mod destination;
mod session;
mod sign_in;
mod tap;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context as _, Result, ensure};
use serde::Serialize;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};

pub use destination::Destination;
pub use tap::Tap;

use crate::accept::accept;
use crate::pins::{Finding, Reader};

/// So many texts may wait to be read, each of little more than 16 KB; then their clients wait.
const WAITING_LIMIT: usize = 256;

/// What passed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// Sessions that signed in.
    pub sessions: u64,
    /// Statements in the texts of Query and Parse messages. To execute a prepared one again sends no text.
    pub statements: u64,
}

/// A forwarder that listens.
#[derive(Debug)]
pub struct Forwarder {
    listener: TcpListener,
    address: SocketAddr,
}

/// A forwarder that forwards, until it is stopped or dropped.
#[derive(Debug)]
pub struct Forwarding {
    accepting: JoinSet<()>,
    reading: JoinHandle<Result<u64>>,
    sessions: Arc<AtomicU64>,
}

impl Forwarder {
    /// Listens; on port 0 the system chooses one.
    ///
    /// # Errors
    /// The address is no loopback address, or cannot be had.
    pub async fn listen(address: SocketAddr) -> Result<Self> {
        ensure!(
            address.ip().is_loopback(),
            "{address} can be reached from other machines, and whoever reaches it reaches the database in plain text: listen on a loopback address, as in 127.0.0.1:{}",
            address.port()
        );
        let listener = TcpListener::bind(address).await.map_err(|error| match error.kind() {
            std::io::ErrorKind::AddrInUse => {
                anyhow::anyhow!("{address} is taken: stop the program that listens there, or choose another port (0 for any that is free)")
            }
            _ => anyhow::Error::new(error).context(format!("cannot listen on {address}")),
        })?;
        let address = listener.local_addr().with_context(|| format!("cannot listen on {address}"))?;
        Ok(Self { listener, address })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Forwards clients to `destination`, and tells `report` of each finding as often as it occurs, in the order of a session. `report` may
    /// block; where it fails, nothing is forwarded any more.
    #[must_use]
    pub fn forward(self, destination: Destination, mut report: impl FnMut(&Finding) -> Result<()> + Send + 'static) -> Forwarding {
        let (texts, mut waiting) = mpsc::channel::<Vec<u8>>(WAITING_LIMIT);
        let sessions = Arc::new(AtomicU64::new(0));
        let (counter, destination) = (Arc::clone(&sessions), Arc::new(destination));
        let mut accepting = JoinSet::new();
        accepting.spawn(accept(self.listener, move |stream| session::serve(stream, Arc::clone(&destination), texts.clone(), Arc::clone(&counter))));
        // To read a text may take long, and to write a line too.
        let reading = tokio::task::spawn_blocking(move || {
            let (reader, mut statements) = (Reader::default(), 0);
            while let Some(sql) = waiting.blocking_recv() {
                let text = reader.read(&sql);
                statements += u64::try_from(text.statements).unwrap_or_default();
                for finding in &text.findings {
                    report(finding)?;
                }
            }
            Ok(statements)
        });
        Forwarding { accepting, reading, sessions }
    }
}

impl Forwarding {
    /// Returns once a report failed. Dropping the future changes nothing.
    pub async fn failed(&mut self) -> anyhow::Error {
        match (&mut self.reading).await {
            Ok(Err(error)) => error,
            // It ends otherwise only with the forwarder.
            Ok(Ok(_)) | Err(_) => anyhow::anyhow!("the statements are not read any more"),
        }
    }

    /// Cuts every session, and reports what came until then.
    ///
    /// # Errors
    /// A report failed.
    pub async fn stop(self) -> Result<Totals> {
        drop(self.accepting);
        let statements = self.reading.await.context("the statements are not read any more")??;
        Ok(Totals { sessions: self.sessions.load(Ordering::SeqCst), statements })
    }
}
