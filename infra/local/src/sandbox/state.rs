//! What a sandbox is doing: from init over idle and busy to its end, and when it is frozen.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use nix::sys::signal::Signal;
use tokio::sync::{mpsc, watch};

use super::extensions::{Extension, ExtensionEvent, ExtensionQueue};
use super::invocation::{FUNCTION_ERROR_EXIT, FUNCTION_ERROR_TIMEOUT, Invocation, Reply, epoch_ms, error_payload};
use super::process::signal_group;
use super::report::{Condition, SandboxReport};
use crate::invoke::FunctionError;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Phase {
    /// The process runs; the runtime has not asked for an event yet.
    #[default]
    Init,
    /// Everything waits for the next event: frozen.
    Idle,
    /// An invocation is under way, or an extension still works after it.
    Busy,
    /// The process is gone.
    Ended,
}

/// Why init did not end well; it still lacks the request id that the caller's error names.
pub(super) struct InitError {
    kind: &'static str,
    message: String,
    payload: Option<Bytes>,
}

impl InitError {
    pub(super) fn named(self, request_id: &str) -> FunctionError {
        let text = format!("RequestId: {request_id} Error: {}", self.message);
        FunctionError::unhandled(self.payload.unwrap_or_else(|| error_payload(self.kind, &text)))
    }
}

pub(super) struct State {
    inner: Mutex<Inner>,
    phase: watch::Sender<Phase>,
    events: mpsc::UnboundedSender<Invocation>,
    /// Where the runtime's `next` takes its event from.
    pub(super) queue: tokio::sync::Mutex<mpsc::UnboundedReceiver<Invocation>>,
}

#[derive(Default)]
struct Inner {
    pid: Option<i32>,
    phase: Phase,
    reserved: bool,
    closed: bool,
    frozen: bool,
    runtime_waits: bool,
    current: Option<(String, Reply)>,
    extensions: HashMap<String, Extension>,
    init_error: Option<Bytes>,
    exit: Option<String>,
    idle_since: Option<Instant>,
    invocations: u64,
    thaws: u64,
}

impl Inner {
    fn thaw(&mut self) {
        if let (true, Some(pid)) = (self.frozen, self.pid) {
            signal_group(pid, Signal::SIGCONT);
            self.frozen = false;
            self.thaws += 1;
        }
    }
}

impl State {
    pub(super) fn new() -> Self {
        let (events, queue) = mpsc::unbounded_channel();
        // A sandbox is started because of an invocation, which has it from the first moment.
        let inner = Inner { reserved: true, ..Inner::default() };
        Self { inner: Mutex::new(inner), phase: watch::Sender::new(Phase::Init), events, queue: tokio::sync::Mutex::new(queue) }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(&self, inner: &mut Inner, phase: Phase) {
        if inner.phase != Phase::Ended {
            inner.phase = phase;
            self.phase.send_replace(phase);
        }
    }

    pub(super) fn attach(&self, pid: i32) {
        self.lock().pid = Some(pid);
    }

    pub(super) fn reserve(&self) -> bool {
        let mut inner = self.lock();
        let free = !inner.reserved && !inner.closed && inner.phase == Phase::Idle;
        inner.reserved |= free;
        free
    }

    /// Hands an invocation to the runtime, and its event to every extension that wants it. Where the process is gone the reply is dropped.
    pub(super) fn begin(&self, invocation: Invocation, reply: Reply) {
        let mut inner = self.lock();
        if inner.phase == Phase::Ended {
            return;
        }
        inner.thaw();
        inner.invocations += 1;
        inner.idle_since = None;
        inner.runtime_waits = false;
        inner.current = Some((invocation.request_id.clone(), reply));
        let event = ExtensionEvent::invoke(&invocation);
        for extension in inner.extensions.values_mut() {
            extension.deliver(&event);
        }
        self.enter(&mut inner, Phase::Busy);
        // The receiver lives as long as this state.
        drop(self.events.send(invocation));
    }

    /// The runtime asks for its next event.
    pub(super) fn runtime_waits(&self) {
        let mut inner = self.lock();
        inner.runtime_waits = true;
        self.settle(&mut inner);
    }

    /// The runtime was given its event.
    pub(super) fn runtime_works(&self) {
        self.lock().runtime_waits = false;
    }

    /// The runtime answers. False where it has no invocation of that id.
    pub(super) fn answer(&self, request_id: &str, result: Result<Bytes, FunctionError>) -> bool {
        let mut inner = self.lock();
        match inner.current.take() {
            Some((current, reply)) if current == request_id => {
                // The caller may have given up at the timeout.
                drop(reply.send(result));
                true
            }
            other => {
                inner.current = other;
                false
            }
        }
    }

    /// An error document of init; afterwards an invocation's own answer counts.
    pub(super) fn init_failed(&self, payload: Bytes) {
        let mut inner = self.lock();
        if inner.phase == Phase::Init {
            inner.init_error = Some(payload);
        }
    }

    /// Registers an extension; false once init is over, as Lambda refuses it then.
    pub(super) fn register(&self, id: &str, extension: Extension) -> bool {
        let mut inner = self.lock();
        let open = inner.phase == Phase::Init && !inner.runtime_waits;
        if open {
            inner.extensions.insert(id.to_owned(), extension);
        }
        open
    }

    pub(super) fn has_extension(&self, id: &str) -> bool {
        self.lock().extensions.contains_key(id)
    }

    /// An extension asks for its next event: where that comes from, or None for one that is not registered.
    pub(super) fn extension_waits(&self, id: &str) -> Option<ExtensionQueue> {
        let mut inner = self.lock();
        let queue = inner.extensions.get_mut(id)?.ask();
        self.settle(&mut inner);
        Some(queue)
    }

    /// An extension was given its event.
    pub(super) fn extension_works(&self, id: &str) {
        if let Some(extension) = self.lock().extensions.get_mut(id) {
            extension.given();
        }
    }

    /// Freezes, once the runtime and all extensions wait and no invocation is under way.
    fn settle(&self, inner: &mut Inner) {
        let working = inner.phase == Phase::Idle || inner.phase == Phase::Ended || inner.current.is_some();
        if working || inner.closed || !inner.runtime_waits || !inner.extensions.values().all(Extension::waits) {
            return;
        }
        // After init the sandbox belongs to the invocation for which it was started, and goes on to it at once.
        if let (Phase::Busy, Some(pid)) = (inner.phase, inner.pid) {
            signal_group(pid, Signal::SIGSTOP);
            inner.frozen = true;
            inner.reserved = false;
        }
        inner.idle_since = Some(Instant::now());
        self.enter(inner, Phase::Idle);
    }

    pub(super) fn thaw(&self) {
        self.lock().thaw();
    }

    /// Tells every extension that wants to know that the end is near. False where none is registered.
    pub(super) fn tell_extensions_shutdown(&self, window: Duration) -> bool {
        let mut inner = self.lock();
        for extension in inner.extensions.values_mut() {
            extension.deliver(&ExtensionEvent::shutdown(epoch_ms() + window.as_millis()));
        }
        !inner.extensions.is_empty()
    }

    pub(super) fn close(&self) {
        self.lock().closed = true;
    }

    pub(super) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    pub(super) fn is_settling(&self) -> bool {
        let inner = self.lock();
        inner.phase == Phase::Busy && inner.current.is_none() && !inner.closed
    }

    pub(super) fn close_if_idle(&self, since: Instant) -> bool {
        let mut inner = self.lock();
        let idle = !inner.reserved && !inner.closed && inner.idle_since.is_some_and(|idle| idle <= since);
        inner.closed |= idle;
        idle
    }

    /// The process is gone. Whoever waits for its answer learns it by the dropped sender.
    pub(super) fn end(&self, how: &str) {
        let mut inner = self.lock();
        inner.closed = true;
        inner.frozen = false;
        inner.exit = Some(how.to_owned());
        inner.current = None;
        self.enter(&mut inner, Phase::Ended);
    }

    pub(super) fn exit_error(&self, request_id: &str) -> FunctionError {
        self.init_error().named(request_id)
    }

    fn init_error(&self) -> InitError {
        let inner = self.lock();
        let how = inner.exit.as_deref().unwrap_or("unknown").to_owned();
        InitError { kind: FUNCTION_ERROR_EXIT, message: format!("Runtime exited with error: {how}"), payload: inner.init_error.clone() }
    }

    /// Waits until init is over.
    pub(super) async fn initialised(&self, limit: Duration) -> Result<(), InitError> {
        if !self.reached(limit, |phase| phase != Phase::Init).await {
            let message = format!("Init timed out after {:.2} seconds", limit.as_secs_f64());
            return Err(InitError { kind: FUNCTION_ERROR_TIMEOUT, message, payload: None });
        }
        if self.has_ended() { Err(self.init_error()) } else { Ok(()) }
    }

    pub(super) fn has_ended(&self) -> bool {
        self.lock().phase == Phase::Ended
    }

    /// Waits until the process is gone, however long that takes.
    pub(super) async fn gone(&self) {
        // The sender lives as long as this state, so the wait cannot fail.
        drop(self.phase.subscribe().wait_for(|phase| *phase == Phase::Ended).await);
    }

    /// Waits until the process is gone; false where it is not within `limit`.
    pub(super) async fn ended(&self, limit: Duration) -> bool {
        self.reached(limit, |phase| phase == Phase::Ended).await
    }

    pub(super) async fn reached(&self, limit: Duration, condition: impl Fn(Phase) -> bool) -> bool {
        let mut phase = self.phase.subscribe();
        matches!(tokio::time::timeout(limit, phase.wait_for(|phase| condition(*phase))).await, Ok(Ok(_)))
    }

    pub(super) fn report(&self, function: &str) -> SandboxReport {
        let inner = self.lock();
        let condition = match inner.phase {
            Phase::Ended => Condition::Ended,
            _ if inner.frozen => Condition::Frozen,
            _ if inner.invocations > 1 => Condition::Warm,
            _ => Condition::Cold,
        };
        SandboxReport {
            function: function.to_owned(),
            pid: inner.pid.unwrap_or_default(),
            condition,
            invocations: inner.invocations,
            thaws: inner.thaws,
        }
    }
}
