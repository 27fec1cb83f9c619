//! One running server process.

use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::program::POLL;
use crate::guard::Guard;

/// How a server ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shutdown {
    /// Sessions are disconnected (57P01), transactions rolled back, and all is written to disk.
    Fast,
    /// Sessions are cut off (57P02) and nothing is written: the next start recovers from the log.
    Immediate,
}

impl Shutdown {
    fn signal(self) -> Signal {
        match self {
            Self::Fast => Signal::SIGINT,
            Self::Immediate => Signal::SIGQUIT,
        }
    }

    /// After this the server is killed.
    fn limit(self) -> Duration {
        match self {
            Self::Fast => Duration::from_secs(15),
            Self::Immediate => Duration::from_secs(8),
        }
    }
}

/// The postmaster, ended when it is dropped and when the owner dies.
#[derive(Debug)]
pub(super) struct Server {
    child: Child,
    guard: Guard,
    on_drop: Shutdown,
}

impl Server {
    /// Starts it. `on_drop` is how it ends if nobody stops it.
    pub(super) fn spawn(guard: &Guard, command: &mut Command, on_drop: Shutdown) -> Result<Self> {
        let child = command.spawn().with_context(|| format!("cannot run {}", command.get_program().to_string_lossy()))?;
        let server = Self { child, guard: guard.clone(), on_drop };
        guard.watch(server.pid(), Signal::SIGINT)?;
        Ok(server)
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it has.
    pub(super) fn ended(&mut self) -> Result<Option<ExitStatus>> {
        let status = self.child.try_wait().context("cannot wait for PostgreSQL")?;
        if status.is_some() {
            self.guard.forget(self.child.id());
        }
        Ok(status)
    }

    /// Ends it, by SIGKILL if it takes too long. Returns once it is gone.
    ///
    /// Cancel safe: it was signalled, and what remains is to wait.
    pub(super) async fn stop(&mut self, shutdown: Shutdown) -> Result<()> {
        self.signal(shutdown.signal())?;
        if !self.await_end(shutdown.limit()).await? {
            tracing::warn!(pid = self.pid(), ?shutdown, "PostgreSQL did not stop in time: killing it");
            self.kill().await?;
        }
        Ok(())
    }

    /// Ends it by SIGKILL. Its sessions notice by themselves, a moment later.
    pub(super) async fn kill(&mut self) -> Result<()> {
        self.signal(Signal::SIGKILL)?;
        if !self.await_end(Duration::from_secs(10)).await? {
            bail!("PostgreSQL (pid {}) does not end by SIGKILL", self.pid());
        }
        Ok(())
    }

    async fn await_end(&mut self, limit: Duration) -> Result<bool> {
        let start = Instant::now();
        while self.ended()?.is_none() {
            if start.elapsed() > limit {
                return Ok(false);
            }
            tokio::time::sleep(POLL).await;
        }
        Ok(true)
    }

    /// Signals the process only while it is not reaped: afterwards the number may be another one's.
    fn signal(&mut self, signal: Signal) -> Result<()> {
        if self.ended()?.is_none() {
            let pid = Pid::from_raw(self.child.id().cast_signed());
            kill(pid, signal).with_context(|| format!("cannot send {signal} to PostgreSQL (pid {pid})"))?;
            // Somebody may have stopped it.
            kill(pid, Signal::SIGCONT).with_context(|| format!("cannot continue PostgreSQL (pid {pid})"))?;
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let start = Instant::now();
        let _ = self.signal(self.on_drop.signal());
        while matches!(self.ended(), Ok(None)) {
            if start.elapsed() > self.on_drop.limit() {
                let _ = self.signal(Signal::SIGKILL);
                let _ = self.child.wait();
            }
            std::thread::sleep(POLL);
        }
    }
}
