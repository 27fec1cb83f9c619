//! What happens to a sandbox: from init over idle and busy to its end.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::{mpsc, watch};

use super::activity::{Activity, Phase, Standing};
use super::extensions::{Extension, ExtensionEvent, ExtensionQueue};
use super::invocation::{FUNCTION_ERROR_EXIT, FUNCTION_ERROR_TIMEOUT, Invocation, Reply, epoch_ms, error_payload};
use super::report::{Condition, SandboxReport};
use crate::invoke::FunctionError;

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
    inner: Mutex<Activity>,
    standing: watch::Sender<Standing>,
    events: mpsc::UnboundedSender<Invocation>,
    /// Where the runtime's `next` takes its event from.
    pub(super) queue: tokio::sync::Mutex<mpsc::UnboundedReceiver<Invocation>>,
}

/// The runtime waits for its next event until this is dropped.
pub(super) struct Poll<'a>(&'a State);

impl Drop for Poll<'_> {
    fn drop(&mut self) {
        self.0.change(|inner| inner.polls -= 1);
    }
}

impl State {
    /// A sandbox in init that takes `places` invocations at once.
    pub(super) fn new(places: usize) -> Self {
        let (events, queue) = mpsc::unbounded_channel();
        // A sandbox is started because of an invocation, which has it from the first moment.
        let inner = Activity { places, reserved: 1, ..Activity::default() };
        let standing = watch::Sender::new(inner.standing());
        Self { inner: Mutex::new(inner), standing, events, queue: tokio::sync::Mutex::new(queue) }
    }

    fn lock(&self) -> MutexGuard<'_, Activity> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes something, and tells those who wait for it.
    fn change<T>(&self, change: impl FnOnce(&mut Activity) -> T) -> T {
        let mut inner = self.lock();
        let result = change(&mut inner);
        let now = inner.standing();
        self.standing.send_if_modified(|standing| std::mem::replace(standing, now) != now);
        result
    }

    pub(super) fn attach(&self, pid: i32) {
        self.lock().pid = Some(pid);
    }

    pub(super) fn reserve(&self) -> bool {
        self.change(|inner| {
            let free = inner.free() > 0;
            inner.reserved += usize::from(free);
            free
        })
    }

    /// Hands an invocation to the runtime, and its event to every extension that wants it. Where the process is gone the reply is dropped.
    /// Tells how many invocations there were with this one.
    pub(super) fn begin(&self, invocation: Invocation, reply: Reply) -> u64 {
        self.change(|inner| {
            if inner.phase == Phase::Ended {
                return inner.invocations;
            }
            inner.thaw();
            inner.phase = Phase::Busy;
            inner.invocations += 1;
            inner.idle_since = None;
            inner.reserved -= 1;
            inner.queued += 1;
            inner.running.insert(invocation.request_id.clone(), reply);
            let event = ExtensionEvent::invoke(&invocation);
            for extension in inner.extensions.values_mut() {
                extension.deliver(&event);
            }
            // The receiver lives as long as this state.
            drop(self.events.send(invocation));
            inner.invocations
        })
    }

    /// The runtime asks for its next event.
    pub(super) fn runtime_waits(&self) -> Poll<'_> {
        self.change(|inner| {
            inner.polls += 1;
            inner.settle();
        });
        Poll(self)
    }

    /// The runtime was given its event.
    pub(super) fn runtime_works(&self, poll: Poll<'_>) {
        // Both at once: in between a place would seem free.
        std::mem::forget(poll);
        self.change(|inner| {
            inner.polls -= 1;
            inner.queued -= 1;
        });
    }

    /// The runtime answers. False where it has no invocation of that id.
    pub(super) fn answer(&self, request_id: &str, result: Result<Bytes, FunctionError>) -> bool {
        let Some(reply) = self.change(|inner| inner.running.remove(request_id)) else { return false };
        // The caller may have given up at the timeout.
        drop(reply.send(result));
        true
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
        let open = inner.phase == Phase::Init && inner.polls == 0;
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
        self.change(|inner| {
            let queue = inner.extensions.get_mut(id)?.ask();
            inner.settle();
            Some(queue)
        })
    }

    /// An extension was given its event.
    pub(super) fn extension_works(&self, id: &str) {
        if let Some(extension) = self.lock().extensions.get_mut(id) {
            extension.given();
        }
    }

    pub(super) fn thaw(&self) {
        self.lock().thaw();
    }

    pub(super) fn hold(&self) -> bool {
        self.lock().hold()
    }

    pub(super) fn release(&self) {
        self.lock().release();
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
        self.change(|inner| inner.closed = true);
    }

    pub(super) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    pub(super) fn is_settling(&self) -> bool {
        self.standing.borrow().settling
    }

    pub(super) fn close_if_idle(&self, since: Instant) -> bool {
        self.change(|inner| {
            let idle = inner.reserved == 0 && !inner.closed && inner.idle_since.is_some_and(|idle| idle <= since);
            inner.closed |= idle;
            idle
        })
    }

    /// The process is gone. Whoever waits for its answer learns it by the dropped sender.
    pub(super) fn end(&self, how: &str) {
        self.change(|inner| {
            inner.phase = Phase::Ended;
            inner.closed = true;
            inner.frozen = false;
            inner.exit = Some(how.to_owned());
            inner.running.clear();
        });
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
        if !self.reached(limit, |standing| standing.phase != Phase::Init).await {
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
        drop(self.standing.subscribe().wait_for(|standing| standing.phase == Phase::Ended).await);
    }

    /// Waits until the process is gone; false where it is not within `limit`.
    pub(super) async fn ended(&self, limit: Duration) -> bool {
        self.reached(limit, |standing| standing.phase == Phase::Ended).await
    }

    /// Waits until something holds; false where it does not within `limit`.
    pub(super) async fn reached(&self, limit: Duration, condition: impl Fn(Standing) -> bool) -> bool {
        let mut standing = self.standing.subscribe();
        matches!(tokio::time::timeout(limit, standing.wait_for(|standing| condition(*standing))).await, Ok(Ok(_)))
    }

    pub(super) fn report(&self, function: &str) -> SandboxReport {
        let inner = self.lock();
        let condition = match inner.phase {
            Phase::Ended => Condition::Ended,
            _ if inner.frozen || inner.held => Condition::Frozen,
            Phase::Idle if inner.reserved == 0 => Condition::Idle,
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
