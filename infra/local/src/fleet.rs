//! The sandboxes of one function: which of them takes an invocation, and when they end.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::anyhow;
use tokio::sync::Mutex;

use crate::guard::Guard;
use crate::invoke::InvokeError;
use crate::sandbox::{LogSink, Program, Sandbox, SandboxReport};

/// How long an invocation waits for its function to be compiled: shorter than API Gateway's 30 s, so that no request takes effect after its
/// client was told that it failed.
const BUILD_PATIENCE: Duration = Duration::from_secs(25);

/// Starts, hands out and ends the sandboxes of one function.
pub(crate) struct Fleet {
    program: Program,
    limit: usize,
    settle_limit: Duration,
    sandboxes: Mutex<Vec<Arc<Sandbox>>>,
}

/// Why no sandbox could be had.
pub(crate) enum NoSandbox {
    /// All are busy and no further one is allowed.
    Refused(InvokeError),
    /// The program did not start.
    Start(anyhow::Error),
}

impl Fleet {
    pub(crate) fn new(program: Program, limit: usize, settle_limit: Duration) -> Self {
        Self { program, limit, settle_limit, sandboxes: Mutex::default() }
    }

    /// A sandbox with a place reserved for one invocation: one that has a free place, else a new one. Between an answer and the next poll lies an instant; a client
    /// that asks again within it does not meet a cold start.
    pub(crate) async fn reserve(&self, guard: &Guard, logs: &LogSink) -> Result<Arc<Sandbox>, NoSandbox> {
        // Before the lock is taken: reports must not wait for a compiler.
        let built = tokio::time::timeout(BUILD_PATIENCE, self.program.executable.path()).await;
        built.unwrap_or_else(|_| Err(anyhow!("the function {} is still being compiled", self.program.function))).map_err(NoSandbox::Start)?;
        let patience_ends = Instant::now() + self.settle_limit;
        loop {
            let settling = {
                let mut sandboxes = self.sandboxes.lock().await;
                sandboxes.retain(|sandbox| !sandbox.is_closed());
                if let Some(free) = sandboxes.iter().find(|sandbox| sandbox.reserve()) {
                    return Ok(Arc::clone(free));
                }
                match sandboxes.iter().find(|sandbox| sandbox.is_settling()) {
                    Some(settling) if Instant::now() < patience_ends => Arc::clone(settling),
                    _ if sandboxes.len() >= self.limit => return Err(NoSandbox::Refused(InvokeError::TooManyRequests)),
                    _ => {
                        let sandbox = Sandbox::start(&self.program, guard, logs).await.map_err(NoSandbox::Start)?;
                        sandboxes.push(Arc::clone(&sandbox));
                        return Ok(sandbox);
                    }
                }
            };
            settling.settled(patience_ends.saturating_duration_since(Instant::now())).await;
        }
    }

    /// Shuts down the sandboxes that nobody used since `since`.
    pub(crate) async fn shut_down_idle(&self, since: Instant) {
        let idle: Vec<_> = self.sandboxes.lock().await.iter().filter(|sandbox| sandbox.close_if_idle(since)).cloned().collect();
        shut_down(&idle).await;
    }

    /// Shuts all down, also busy ones.
    pub(crate) async fn shut_down(&self) {
        let all = std::mem::take(&mut *self.sandboxes.lock().await);
        shut_down(&all).await;
    }

    pub(crate) async fn sandboxes(&self) -> Vec<Arc<Sandbox>> {
        self.sandboxes.lock().await.iter().filter(|sandbox| !sandbox.is_closed()).cloned().collect()
    }

    pub(crate) async fn reports(&self) -> Vec<SandboxReport> {
        self.sandboxes.lock().await.iter().filter(|sandbox| !sandbox.is_closed()).map(|sandbox| sandbox.report()).collect()
    }
}

async fn shut_down(sandboxes: &[Arc<Sandbox>]) {
    let mut ends = tokio::task::JoinSet::new();
    for sandbox in sandboxes {
        let sandbox = Arc::clone(sandbox);
        ends.spawn(async move { sandbox.shut_down().await });
    }
    ends.join_all().await;
}
