//! The sandboxes of one function: which of them takes an invocation, and when they end.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Mutex;

use crate::guard::Guard;
use crate::invoke::InvokeError;
use crate::sandbox::{LogSink, Program, Sandbox, SandboxReport};

/// How long a sandbox that has just answered may take to ask for its next event before another one is started beside it.
const SETTLE_LIMIT: Duration = Duration::from_millis(200);

/// Starts, hands out and ends the sandboxes of one function.
pub(crate) struct Fleet {
    program: Program,
    limit: usize,
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
    pub(crate) fn new(program: Program, limit: usize) -> Self {
        Self { program, limit, sandboxes: Mutex::default() }
    }

    /// A sandbox for one invocation, reserved: a free one, else a new one.
    pub(crate) async fn reserve(&self, guard: &Guard, logs: &LogSink) -> Result<Arc<Sandbox>, NoSandbox> {
        let mut sandboxes = self.sandboxes.lock().await;
        sandboxes.retain(|sandbox| !sandbox.is_closed());
        if let Some(free) = sandboxes.iter().find(|sandbox| sandbox.reserve()) {
            return Ok(Arc::clone(free));
        }
        // Between an answer and the next poll lies an instant; a client that asks again within it must not meet a cold start.
        for sandbox in sandboxes.iter().filter(|sandbox| sandbox.is_settling()) {
            if sandbox.settled(SETTLE_LIMIT).await && sandbox.reserve() {
                return Ok(Arc::clone(sandbox));
            }
        }
        if sandboxes.len() >= self.limit {
            return Err(NoSandbox::Refused(InvokeError::TooManyRequests));
        }
        let sandbox = Sandbox::start(&self.program, guard, logs).await.map_err(NoSandbox::Start)?;
        sandboxes.push(Arc::clone(&sandbox));
        Ok(sandbox)
    }

    /// Shuts down the sandboxes that nobody used since `since`.
    pub(crate) async fn shut_down_idle(&self, since: Instant) {
        let idle: Vec<_> = self.sandboxes.lock().await.iter().filter(|sandbox| sandbox.is_idle_since(since)).cloned().collect();
        shut_down(&idle).await;
    }

    /// Shuts all down, also busy ones.
    pub(crate) async fn shut_down(&self) {
        let all = std::mem::take(&mut *self.sandboxes.lock().await);
        shut_down(&all).await;
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
