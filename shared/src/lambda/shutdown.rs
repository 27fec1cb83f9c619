//! The end of a sandbox, as it is announced.

use std::sync::Arc;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::runtime_api::RuntimeApi;

/// Unique among the extensions of a function.
const EXTENSION: &str = "thaw-shutdown";

/// The signals that announce the end.
pub(super) struct Shutdown {
    terminate: Signal,
    interrupt: Signal,
}

impl Shutdown {
    /// Takes the signals over, and sees to it that Lambda sends them: SIGTERM comes only where an extension is registered, which is
    /// possible until the first poll for an invocation. Where that fails the function runs all the same, and its sessions end with its
    /// process.
    ///
    /// # Errors
    /// The system does not take a signal handler.
    ///
    /// # Cancel safety
    /// Dropping the future may leave an extension that never asks for events, so that init does not end.
    pub(super) async fn announced(api: &Arc<RuntimeApi>) -> std::io::Result<Self> {
        let signals = Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? };
        match api.register_extension(EXTENSION).await {
            Ok(extension) => {
                let api = Arc::clone(api);
                // Init ends once each extension has asked for an event. This one is told of none, so the answer is the end of the sandbox.
                tokio::spawn(async move { api.next_extension_event(&extension).await });
            }
            Err(error) => tracing::warn!("no SIGTERM will come before the end: {error}"),
        }
        Ok(signals)
    }

    /// Waits for SIGTERM or SIGINT.
    ///
    /// # Cancel safety
    /// A signal is not lost: the next call returns at once.
    pub(super) async fn signalled(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
