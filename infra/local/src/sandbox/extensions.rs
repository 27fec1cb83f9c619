//! Extensions of a sandbox: <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-extensions-api.html>.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::{Mutex, mpsc};

use super::invocation::Invocation;

/// What an extension may ask to be told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(super) enum Subscription {
    Invoke,
    Shutdown,
}

/// Something an extension is told.
#[derive(Debug, Clone)]
pub(super) struct ExtensionEvent {
    subscription: Subscription,
    pub(super) body: Value,
}

impl ExtensionEvent {
    pub(super) fn invoke(invocation: &Invocation) -> Self {
        let body = json!({
            "eventType": "INVOKE",
            "deadlineMs": invocation.deadline_ms,
            "requestId": invocation.request_id,
            "invokedFunctionArn": invocation.function_arn,
            "tracing": { "type": "X-Amzn-Trace-Id", "value": invocation.trace_id },
        });
        Self { subscription: Subscription::Invoke, body }
    }

    pub(super) fn shutdown(deadline_ms: u128) -> Self {
        let body = json!({ "eventType": "SHUTDOWN", "shutdownReason": "spindown", "deadlineMs": deadline_ms });
        Self { subscription: Subscription::Shutdown, body }
    }
}

/// Where an extension's events come from.
pub(super) type ExtensionQueue = Arc<Mutex<mpsc::UnboundedReceiver<ExtensionEvent>>>;

/// One registered extension.
pub(super) struct Extension {
    subscriptions: Vec<Subscription>,
    sender: mpsc::UnboundedSender<ExtensionEvent>,
    queue: ExtensionQueue,
    undelivered: usize,
    asks: bool,
}

impl Extension {
    pub(super) fn new(subscriptions: Vec<Subscription>) -> Self {
        let (sender, queue) = mpsc::unbounded_channel();
        Self { subscriptions, sender, queue: Arc::new(Mutex::new(queue)), undelivered: 0, asks: false }
    }

    /// Queues an event, if the extension asked for its kind.
    pub(super) fn deliver(&mut self, event: &ExtensionEvent) {
        if self.subscriptions.contains(&event.subscription) && self.sender.send(event.clone()).is_ok() {
            self.undelivered += 1;
        }
    }

    /// It asks for its next event.
    pub(super) fn ask(&mut self) -> ExtensionQueue {
        self.asks = true;
        Arc::clone(&self.queue)
    }

    /// It was given an event.
    pub(super) fn given(&mut self) {
        self.asks = false;
        self.undelivered = self.undelivered.saturating_sub(1);
    }

    /// Whether it has nothing to do.
    pub(super) fn waits(&self) -> bool {
        self.asks && self.undelivered == 0
    }
}
