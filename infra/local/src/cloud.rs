//! All functions of the bundle, each with its sandboxes.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::fleet::{Fleet, NoSandbox};
use crate::guard::Guard;
use crate::invoke::{FunctionError, Invoke, InvokeError, Outcome};
use crate::sandbox::{LogSink, PAYLOAD_LIMIT_BYTES, Program, Sandbox, SandboxReport, error_payload};

/// How often idle sandboxes are looked for.
const IDLE_CHECK: Duration = Duration::from_secs(1);

/// Bounds of the local cloud.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How many sandboxes a function may have where its template reserves no concurrency. An account in AWS begins with 1,000 for all; a
    /// laptop and its database hold fewer.
    pub sandboxes_per_function: usize,
    /// How long a sandbox may be frozen before it is shut down. AWS says nothing exact; minutes are usual.
    pub idle_limit: Duration,
    /// How long a sandbox that has just answered may take to ask for its next event before another one is started beside it.
    pub settle_limit: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self { sandboxes_per_function: 100, idle_limit: Duration::from_secs(600), settle_limit: Duration::from_millis(200) }
    }
}

/// The functions and what runs of them.
pub struct Cloud {
    fleets: BTreeMap<String, Fleet>,
    guard: Guard,
    logs: LogSink,
    closed: AtomicBool,
}

impl Cloud {
    /// A cloud in which nothing runs yet: sandboxes start with the first invocations. `programs` come with the concurrency that the
    /// template reserves for them.
    #[must_use]
    pub fn new(programs: Vec<(Program, Option<u32>)>, settings: &Settings, guard: Guard, logs: LogSink) -> Arc<Self> {
        let fleet = |(program, reserved): (Program, Option<u32>)| {
            let limit = reserved.map_or(settings.sandboxes_per_function, |reserved| reserved as usize);
            (program.function.clone(), Fleet::new(program, limit, settings.settle_limit))
        };
        let fleets = programs.into_iter().map(fleet).collect();
        let cloud = Arc::new(Self { fleets, guard, logs, closed: AtomicBool::new(false) });
        tokio::spawn(end_idle(Arc::downgrade(&cloud), settings.idle_limit));
        cloud
    }

    /// What runs now, by function.
    pub async fn sandboxes(&self) -> Vec<SandboxReport> {
        let mut reports = Vec::new();
        for fleet in self.fleets.values() {
            reports.extend(fleet.reports().await);
        }
        reports
    }

    /// Stops every sandbox that there is now, also amid an invocation, until the value is dropped. One that starts meanwhile runs.
    pub async fn hold(&self) -> Held {
        let mut held = Vec::new();
        for fleet in self.fleets.values() {
            held.extend(fleet.sandboxes().await);
        }
        held.retain(|sandbox| sandbox.hold());
        Held(held)
    }

    /// Ends every sandbox and takes no further invocation.
    pub async fn shut_down(&self) {
        self.closed.store(true, Ordering::SeqCst);
        for fleet in self.fleets.values() {
            fleet.shut_down().await;
        }
    }
}

/// Sandboxes that are stopped until this is dropped.
pub struct Held(Vec<Arc<Sandbox>>);

impl Held {
    /// How many.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.len()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        for sandbox in &self.0 {
            sandbox.release();
        }
    }
}

impl Invoke for Cloud {
    async fn invoke(&self, function: &str, payload: Bytes) -> Result<Outcome, InvokeError> {
        let fleet = self.fleets.get(function).ok_or_else(|| InvokeError::UnknownFunction(function.to_owned()))?;
        if payload.len() > PAYLOAD_LIMIT_BYTES {
            return Err(InvokeError::InvalidPayload(format!("{} bytes are more than the {PAYLOAD_LIMIT_BYTES} of an event", payload.len())));
        }
        if let Err(error) = serde_json::from_slice::<serde::de::IgnoredAny>(&payload) {
            return Err(InvokeError::InvalidPayload(format!("the event is not JSON: {error}")));
        }
        if self.closed.load(Ordering::SeqCst) {
            return Err(InvokeError::ShuttingDown);
        }
        let sandbox = match fleet.reserve(&self.guard, &self.logs).await {
            Ok(sandbox) => sandbox,
            Err(NoSandbox::Refused(error)) => return Err(error),
            Err(NoSandbox::Start(error)) => {
                tracing::error!(function, "{error:#}");
                let payload = error_payload("Runtime.InvalidEntrypoint", &format!("{error:#}"));
                return Ok(Outcome { request_id: uuid::Uuid::new_v4().to_string(), result: Err(FunctionError::unhandled(payload)) });
            }
        };
        if self.closed.load(Ordering::SeqCst) {
            sandbox.kill().await;
            return Err(InvokeError::ShuttingDown);
        }
        Ok(sandbox.invoke(payload).await)
    }
}

async fn end_idle(cloud: Weak<Cloud>, idle_limit: Duration) {
    let mut tick = tokio::time::interval(IDLE_CHECK.min(idle_limit).max(Duration::from_millis(1)));
    loop {
        tick.tick().await;
        let Some(cloud) = cloud.upgrade() else { return };
        let Some(since) = Instant::now().checked_sub(idle_limit) else { continue };
        for fleet in cloud.fleets.values() {
            fleet.shut_down_idle(since).await;
        }
    }
}
