//! `cargo ops pins`.

use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result};
use clap::Args;
use local::forward::{Destination, Forwarder, Totals};
use local::pins::{Finding, Verdict};
use tokio::signal::unix::{SignalKind, signal};

use crate::output;

const AFTER_HELP: &str = "\
Start it, let your application connect to the address that it listens on, with the same user, password and database, and let it do what it
does. Each statement that would pin is told as often as it is sent, and Ctrl-C tells how many sessions signed in and how many statements
came. Connections are plain text: an application that demands TLS needs sslmode=disable, or prefer, for this.

With --json each finding is one line with the keys verdict (\"pins\" or \"may pin\"), reason and statement, and the last line has the keys
sessions and statements.

Examples:
  cargo ops pins --database-url postgres://127.0.0.1:5432 --listen 127.0.0.1:6543
  cargo ops pins --database-url postgres://127.0.0.1:5432 --listen 127.0.0.1:0 --json > pins.jsonl";

#[derive(Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Arguments {
    /// The database to forward to: of postgres://user:password@host:port/name only host and port are used
    #[arg(long, value_name = "URL", env = "DATABASE_URL", hide_env_values = true)]
    database_url: String,
    /// The loopback address to listen on; port 0 for any that is free
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: SocketAddr,
    /// As lines of JSON
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(arguments: &Arguments) -> Result<()> {
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    output::start_logging();
    let destination = Destination::of_url(&arguments.database_url)?;
    let forwarder = Forwarder::listen(arguments.listen).await?;
    // Standard output is for findings. Nobody has to read this.
    let _ = writeln!(std::io::stderr(), "listening on {}, for the database at {destination}", forwarder.address());
    let counts = Arc::new(Mutex::new(Counts::default()));
    let (counting, json) = (Arc::clone(&counts), arguments.json);
    let mut forwarding = forwarder.forward(destination, move |finding| {
        counting.lock().unwrap_or_else(PoisonError::into_inner).add(finding);
        output::line(&if json { serde_json::to_string(finding)? } else { finding.to_string() })
    });
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        error = forwarding.failed() => return Err(error),
    }
    let totals = forwarding.stop().await?;
    let text = if json { serde_json::to_string(&totals)? } else { counts.lock().unwrap_or_else(PoisonError::into_inner).describe(totals) };
    output::line(&text)
}

/// How many findings there were of each kind.
#[derive(Default)]
struct Counts {
    pins: u64,
    may_pin: u64,
}

impl Counts {
    fn add(&mut self, finding: &Finding) {
        match finding.verdict() {
            Verdict::Pins => self.pins += 1,
            Verdict::MayPin => self.may_pin += 1,
        }
    }

    fn describe(&self, totals: Totals) -> String {
        format!("seen: {} sessions, {} statements; pins: {}, may pin: {}", totals.sessions, totals.statements, self.pins, self.may_pin)
    }
}
