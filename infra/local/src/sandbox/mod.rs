//! One sandbox: a function's process behind its own Runtime API, frozen between invocations. One that takes several invocations at once, as
//! of Lambda Managed Instances ([`Program::concurrency`]), is never frozen, and its function's timeout is not enforced.
//!
//! What Lambda documents is followed: <https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html>. The sandbox is frozen
//! (SIGSTOP to the whole process group) once the runtime and every registered extension ask for the next event, and thawed (SIGCONT) before
//! the next one is handed out. What a stop by signal does not show: a frozen micro-VM also stops the kernel's TCP timers and, it is said,
//! the monotonic clock; here both run on.

mod activity;
mod api;
mod extensions;
mod invocation;
mod log_entry;
mod logs;
mod process;
mod report;
mod state;

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use bytes::Bytes;
use nix::sys::signal::Signal;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::guard::Guard;
use crate::invoke::{FunctionError, FunctionErrorKind, Outcome};
use activity::{Phase, Standing};
pub(crate) use invocation::error_payload;
pub use invocation::{FUNCTION_ERROR_EXIT, FUNCTION_ERROR_TIMEOUT, PAYLOAD_LIMIT_BYTES};
use invocation::{Invocation, new_request_id};
pub use log_entry::LogEntry;
pub use logs::{LogLine, LogSink};
use process::Process;
pub use process::{MAX_CONCURRENCY, Program};
pub use report::{Condition, SandboxReport};
use state::State;

/// How long init may take before the sandbox is given up.
/// <https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html#runtimes-lifecycle-ib>
const INIT_LIMIT: Duration = Duration::from_secs(10);
/// What a process with an internal extension gets between SIGTERM and SIGKILL.
const SHUTDOWN_WINDOW: Duration = Duration::from_millis(500);
/// How long a killed process may take to disappear.
const REAP_LIMIT: Duration = Duration::from_secs(5);

/// One execution environment of one function.
pub struct Sandbox {
    function: String,
    timeout: Duration,
    concurrency: usize,
    process: Process,
    state: Arc<State>,
}

impl Sandbox {
    /// Starts the process, once its executable is built. It returns before init is over; the first invocation waits for that.
    ///
    /// # Errors
    /// Where no port can be had or the program does not start.
    pub async fn start(program: &Program, guard: &Guard, logs: &LogSink) -> anyhow::Result<Arc<Self>> {
        let executable = program.executable.path().await?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("no port for a sandbox's Runtime API")?;
        let runtime_api = listener.local_addr().context("no port for a sandbox's Runtime API")?;
        let concurrency = program.concurrency();
        let state = Arc::new(State::new(concurrency));
        let process = Process::spawn(program, &executable, runtime_api, guard, logs, Arc::clone(&state))?;
        state.attach(process.pid());
        tokio::spawn(api::serve(listener, Arc::clone(&state), program.function.clone()));
        Ok(Arc::new(Self { function: program.function.clone(), timeout: program.timeout, concurrency, process, state }))
    }

    /// Waits until init is over; false where it failed, or took longer than Lambda allows.
    pub async fn initialised(&self) -> bool {
        self.state.initialised(INIT_LIMIT).await.is_ok()
    }

    /// Takes a place of the sandbox for one invocation, if one is free.
    #[must_use]
    pub fn reserve(&self) -> bool {
        self.state.reserve()
    }

    /// Runs one invocation on a sandbox that was [`reserve`](Self::reserve)d. The process is killed where it, or an extension after the
    /// answer, passes the function's timeout, if it takes one invocation at a time.
    ///
    /// # Cancel safety
    /// Dropping the future abandons the invocation: nobody enforces its timeout then. Run it in a task of its own.
    pub async fn invoke(self: &Arc<Self>, payload: Bytes) -> Outcome {
        let request_id = new_request_id();
        let result = match self.state.initialised(INIT_LIMIT).await {
            Err(error) => Err(error.named(&request_id)),
            Ok(()) => self.deliver(&request_id, payload).await,
        };
        if result.as_ref().is_err_and(|error| error.kind == FunctionErrorKind::Unhandled) {
            self.kill().await;
        }
        Outcome { request_id, result }
    }

    async fn deliver(self: &Arc<Self>, request_id: &str, payload: Bytes) -> Result<Bytes, FunctionError> {
        let (reply, answer) = oneshot::channel();
        let ends = tokio::time::Instant::now() + self.timeout;
        let number = self.state.begin(Invocation::new(&self.function, request_id, payload, self.timeout), reply);
        // The sender is gone where the process ended with the invocation in its hands.
        let answered = async { answer.await.unwrap_or_else(|_| Err(self.state.exit_error(request_id))) };
        if self.concurrency > 1 {
            return answered.await;
        }
        let Ok(result) = tokio::time::timeout_at(ends, answered).await else {
            let text = format!("RequestId: {request_id} Error: Task timed out after {:.2} seconds", self.timeout.as_secs_f64());
            return Err(FunctionError::unhandled(error_payload(FUNCTION_ERROR_TIMEOUT, &text)));
        };
        tokio::spawn(Arc::clone(self).end_unsettled(number, ends));
        result
    }

    /// The timeout also bounds what goes on after the answer, until everything waits for the next event.
    async fn end_unsettled(self: Arc<Self>, number: u64, ends: tokio::time::Instant) {
        let settled = |standing: Standing| matches!(standing.phase, Phase::Idle | Phase::Ended) || standing.invocations > number;
        if !self.state.reached(ends.saturating_duration_since(tokio::time::Instant::now()), settled).await {
            self.kill().await;
        }
    }

    /// Stops the process as it is, also amid an invocation, until [`release`](Self::release). Invocations that it gets meanwhile wait, and
    /// their time runs. False where the process is gone, or held already.
    pub fn hold(&self) -> bool {
        self.state.hold()
    }

    /// Ends [`hold`](Self::hold).
    pub fn release(&self) {
        self.state.release();
    }

    /// Closes the sandbox if it has been idle since before `since`; then nobody can reserve it any more.
    #[must_use]
    pub fn close_if_idle(&self, since: Instant) -> bool {
        self.state.close_if_idle(since)
    }

    /// Ends the sandbox as Lambda does after a time of no use: SIGTERM and a window where an extension is registered, else SIGKILL at once.
    pub async fn shut_down(&self) {
        self.state.close();
        // Signals wait until a stopped process runs again.
        self.state.release();
        self.state.thaw();
        if self.state.tell_extensions_shutdown(SHUTDOWN_WINDOW) {
            self.process.signal(Signal::SIGTERM);
            if self.state.ended(SHUTDOWN_WINDOW).await {
                return;
            }
        }
        self.kill().await;
    }

    /// Ends the process with SIGKILL and waits until it is gone.
    pub async fn kill(&self) {
        self.state.close();
        self.end_now();
        if !self.state.ended(REAP_LIMIT).await {
            tracing::error!(function = self.function, pid = self.process.pid(), "a killed process did not disappear");
        }
    }

    /// SIGKILL, unless the process is gone: its number may be another's by now.
    fn end_now(&self) {
        if !self.state.has_ended() {
            self.process.signal(Signal::SIGKILL);
        }
    }

    /// Whether the process is gone, or going and not to be used.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.state.is_closed()
    }

    /// Whether a place is about to be free: an invocation was answered, and its worker does not wait for the next event yet.
    #[must_use]
    pub fn is_settling(&self) -> bool {
        self.state.is_settling()
    }

    /// Waits until it is known whether a place is free; false where that takes longer than `limit`.
    pub async fn settled(&self, limit: Duration) -> bool {
        self.state.reached(limit, |standing| !standing.settling).await
    }

    /// What it is doing now.
    #[must_use]
    pub fn report(&self) -> SandboxReport {
        self.state.report(&self.function)
    }
}

/// A sandbox that nobody shut down takes its process along.
impl Drop for Sandbox {
    fn drop(&mut self) {
        self.end_now();
    }
}
