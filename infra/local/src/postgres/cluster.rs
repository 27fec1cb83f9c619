//! A Postgres server of the local cloud's own: its directory, its password, its port.
//!
//! The directory given to [`Cluster::create`] holds `data` (Postgres's own), `password` (the superuser's, readable by the
//! caller alone) and `postgres.log`.

use std::fs::OpenOptions;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

use super::account::{self, Account};
use super::initialize::{self, SUPERUSER};
use super::program::{POLL, last_lines};
use super::server::{Server, Shutdown};
use super::settings::{Durability, Settings};
use super::{Binaries, postmaster_pid};
use crate::guard::Guard;

/// How long a start may take, recovery included, and how long it waits for what is left of the server before.
const START_LIMIT: Duration = Duration::from_secs(30);
const LEFTOVER_LIMIT: Duration = Duration::from_secs(10);

/// Below the ranges from which Linux (32768 up) and macOS (49152 up) take the local ports of outgoing connections: one of
/// those must not occupy the port while the server restarts.
const PORTS: std::ops::Range<u16> = 15_000..32_000;

/// A cluster and, while it runs, its server. Dropping it stops the server, which blocks for some tens of milliseconds.
///
/// Tied to no async runtime: tests with a runtime each may share one.
pub struct Cluster {
    guard: Guard,
    account: Option<Account>,
    postgres: PathBuf,
    directory: PathBuf,
    settings: Settings,
    password: String,
    port: Option<u16>,
    server: Option<Server>,
}

/// Why a started server ended at once.
enum Start {
    Ready,
    PortTaken,
    OldSessions(String),
}

impl Cluster {
    /// Opens the cluster in `directory`, making both where they are missing (`initdb`: encoding UTF-8, locale C, passwords
    /// by SCRAM for every connection, superuser `postgres`). Does not start it.
    ///
    /// Cancel safe: an unfinished `initdb` never counts as a cluster.
    ///
    /// # Errors
    /// The directory cannot be made or is closed to the server's account, `initdb` fails, the password file is gone, or the
    /// data belongs to another major version.
    pub async fn create(guard: &Guard, binaries: &Binaries, directory: &Path, settings: Settings) -> Result<Self> {
        let account = account::server_account()?;
        account::open_directory(directory, account.as_ref())?;
        let directory = directory.canonicalize().with_context(|| format!("cannot find the directory {}", directory.display()))?;
        let password = initialize::initialize(guard, binaries, &directory, account.as_ref(), &settings).await?;
        Ok(Self {
            guard: guard.clone(),
            account,
            postgres: binaries.directory.join("postgres"),
            directory,
            settings,
            password,
            port: None,
            server: None,
        })
    }

    /// Starts the server on 127.0.0.1 and returns when it accepts connections. The port is chosen at the first start and
    /// kept from then on.
    ///
    /// Cancel safe: a server that was being started is ended.
    ///
    /// # Errors
    /// It runs already, another server runs on the directory, the port is taken, or it ends or does not accept within 30 s;
    /// the message then carries the last lines of its log.
    pub async fn start(&mut self) -> Result<()> {
        ensure!(!self.is_running()?, "the PostgreSQL server on {} already runs", self.directory.display());
        postmaster_pid::await_free(&self.data_directory(), LEFTOVER_LIMIT).await?;
        let start = Instant::now();
        loop {
            let port = match self.port {
                Some(port) => port,
                None => free_port()?,
            };
            let late = start.elapsed() > LEFTOVER_LIMIT;
            match self.start_on(port).await? {
                Start::Ready => {
                    self.port = Some(port);
                    return Ok(());
                }
                Start::PortTaken if late => bail!("port {port} of the PostgreSQL server is now taken by another program"),
                Start::OldSessions(log) if late => bail!("sessions of the former PostgreSQL server do not end: {log}"),
                Start::PortTaken | Start::OldSessions(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    }

    async fn start_on(&mut self, port: u16) -> Result<Start> {
        let data = self.data_directory();
        let path = self.log_file();
        let failed = || format!("cannot write {}", path.display());
        let log = OpenOptions::new().create(true).append(true).mode(0o600).open(&path).with_context(failed)?;
        let log_start_bytes = log.metadata().with_context(failed)?.len();
        let mut command = Command::new(&self.postgres);
        command.arg("-D").arg(&data);
        for assignment in self.settings.assignments(port) {
            command.arg("-c").arg(assignment);
        }
        prepare(&mut command, self.account.as_ref());
        command.stdin(Stdio::null()).stdout(log.try_clone().with_context(failed)?).stderr(log).process_group(0);
        let on_drop = match self.settings.durability {
            Durability::Disposable => Shutdown::Immediate,
            Durability::Lasting => Shutdown::Fast,
        };
        let mut server = Server::spawn(&self.guard, &mut command, on_drop)?;
        let start = Instant::now();
        loop {
            if postmaster_pid::is_ready(&data, server.pid()) {
                self.server = Some(server);
                return Ok(Start::Ready);
            }
            if let Some(status) = server.ended()? {
                let log = last_lines(&path, log_start_bytes);
                if log.contains("pre-existing shared memory block") {
                    return Ok(Start::OldSessions(log));
                }
                if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_err() {
                    return Ok(Start::PortTaken);
                }
                bail!("PostgreSQL did not start ({status}): {log}");
            }
            if start.elapsed() > START_LIMIT {
                let log = last_lines(&path, log_start_bytes);
                bail!("PostgreSQL did not accept connections within {} s: {log}", START_LIMIT.as_secs());
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Stops the server, by SIGKILL if it takes over 15 s (8 s for [`Shutdown::Immediate`]). Nothing happens if it does not
    /// run.
    ///
    /// Cancel safe: dropping the cluster or calling again goes on where it was.
    ///
    /// # Errors
    /// It cannot be signalled or waited for.
    pub async fn stop(&mut self, shutdown: Shutdown) -> Result<()> {
        if let Some(server) = self.server.as_mut() {
            server.stop(shutdown).await?;
        }
        self.server = None;
        Ok(())
    }

    /// Stops it and starts it again, on the same port.
    ///
    /// # Errors
    /// As [`stop`](Cluster::stop) and [`start`](Cluster::start).
    pub async fn restart(&mut self, shutdown: Shutdown) -> Result<()> {
        self.stop(shutdown).await?;
        self.start().await
    }

    /// Kills the server's main process with SIGKILL, as the kernel's out-of-memory killer would.
    ///
    /// # Errors
    /// It cannot be signalled or waited for.
    pub async fn kill(&mut self) -> Result<()> {
        if let Some(server) = self.server.as_mut() {
            server.kill().await?;
        }
        self.server = None;
        Ok(())
    }

    /// Whether the server's main process lives.
    ///
    /// # Errors
    /// The process cannot be asked after.
    pub fn is_running(&mut self) -> Result<bool> {
        let Some(server) = self.server.as_mut() else { return Ok(false) };
        Ok(server.ended()?.is_none())
    }

    /// The port on 127.0.0.1, once the server has been started.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// The server's main process, while one is started.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.server.as_ref().map(Server::pid)
    }

    /// The superuser's password. A secret.
    #[must_use]
    pub fn password(&self) -> &str {
        &self.password
    }

    /// Postgres's data directory.
    #[must_use]
    pub fn data_directory(&self) -> PathBuf {
        self.directory.join(initialize::DATA)
    }

    /// Where the server logs, across starts.
    #[must_use]
    pub fn log_file(&self) -> PathBuf {
        self.directory.join("postgres.log")
    }

    /// The URL with which the superuser reaches `database`, password included: a secret.
    ///
    /// # Errors
    /// The server was never started, and so has no port.
    pub fn superuser_url(&self, database: &str) -> Result<String> {
        let port = self.port.context("the PostgreSQL server has no port before its first start")?;
        let database: String = database
            .bytes()
            .map(|byte| match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
                _ => format!("%{byte:02X}"),
            })
            .collect();
        Ok(format!("postgres://{SUPERUSER}:{}@127.0.0.1:{port}/{database}?sslmode=disable", self.password))
    }
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { directory, port, .. } = self;
        f.debug_struct("Cluster").field("directory", directory).field("port", port).finish_non_exhaustive()
    }
}

/// What every program of the server needs: its account, a directory that it can enter, messages in English, and none of the
/// caller's `PG…` variables, which would become defaults of the server.
pub(super) fn prepare(command: &mut Command, account: Option<&Account>) {
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("PG") {
            command.env_remove(name);
        }
    }
    command.env("LC_ALL", "C").env("TZ", "UTC").current_dir("/");
    if let Some(account) = account {
        account.apply(command);
    }
}

fn free_port() -> Result<u16> {
    (0..200)
        .map(|_| fastrand::u16(PORTS))
        .find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok())
        .with_context(|| format!("no free port between {} and {} for PostgreSQL", PORTS.start, PORTS.end))
}
