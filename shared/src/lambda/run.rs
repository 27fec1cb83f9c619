//! The run loop: workers that poll for invocations, as many as the sandbox takes at once, and how they end.
//!
//! The loop of `lambda_runtime` publishes the trace id of each invocation as an environment variable, of which the C library frees no old
//! value: 140 bytes an invocation. Its concurrent one does not, but runs only from two invocations at once, and polls a Runtime API that
//! broke off in a busy loop.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tracing::Instrument as _;

use super::runtime_api::{ErrorDocument, Invocation, RuntimeApi, RuntimeApiError};

/// What invocations under way get to end once the loop does: most of the 500 ms between SIGTERM and SIGKILL.
const DRAIN_LIMIT: Duration = Duration::from_millis(300);

/// Why the loop ended by itself.
#[derive(Debug, thiserror::Error)]
pub(super) enum RunError {
    /// No invocation can be had any more.
    #[error("the Runtime API broke off: {0}")]
    RuntimeApi(#[from] RuntimeApiError),
    /// A worker was lost; a handler that panics is not the cause.
    #[error("a worker was lost: {0}")]
    Worker(#[from] JoinError),
}

/// Runs invocations by `concurrency` workers until `shutdown` is ready or the Runtime API breaks off. Either way no worker polls again, and
/// what is under way has a moment to end.
///
/// A handler that panics fails its own invocation, and the sandbox goes on.
///
/// # Errors
/// [`RunError`] where the end was not asked for.
///
/// # Cancel safety
/// Dropping the future drops all invocations that are under way, without an answer.
pub(super) async fn run<H, F>(api: Arc<RuntimeApi>, concurrency: usize, handler: H, shutdown: impl Future<Output = ()>) -> Result<(), RunError>
where
    H: Fn(Invocation) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Result<Vec<u8>, ErrorDocument>> + Send + 'static,
{
    let stop = watch::Sender::new(false);
    let mut workers = JoinSet::new();
    for _ in 0..concurrency {
        workers.spawn(work(Arc::clone(&api), handler.clone(), stop.subscribe()));
    }
    let ended = tokio::select! {
        () = shutdown => Ok(()),
        Some(ended) = workers.join_next() => match ended {
            Ok(ended) => ended.map_err(RunError::from),
            Err(lost) => Err(lost.into()),
        },
    };
    stop.send_replace(true);
    let drained = async { while workers.join_next().await.is_some() {} };
    if tokio::time::timeout(DRAIN_LIMIT, drained).await.is_err() {
        tracing::warn!(invocations = workers.len(), "the sandbox ends with invocations under way");
    }
    ended
}

/// One invocation after the other, until told to stop.
async fn work<H, F>(api: Arc<RuntimeApi>, handler: H, mut stop: watch::Receiver<bool>) -> Result<(), RuntimeApiError>
where
    H: Fn(Invocation) -> F,
    F: Future<Output = Result<Vec<u8>, ErrorDocument>>,
{
    for earlier in 0.. {
        let invocation = tokio::select! {
            biased;
            _ = stop.changed() => return Ok(()),
            invocation = api.next() => invocation?,
        };
        let invocation = Invocation { earlier, ..invocation };
        let span = tracing::info_span!("invocation", request_id = invocation.id.request_id);
        serve(&api, &handler, invocation).instrument(span).await?;
    }
    Ok(())
}

/// One invocation, from its event to its answer. An answer that Lambda does not take is this invocation's loss alone.
async fn serve<H, F>(api: &RuntimeApi, handler: &H, invocation: Invocation) -> Result<(), RuntimeApiError>
where
    H: Fn(Invocation) -> F,
    F: Future<Output = Result<Vec<u8>, ErrorDocument>>,
{
    let id = invocation.id.clone();
    // Nothing that a broken handler held is used again: its connection went with it.
    let handled = AssertUnwindSafe(async { handler(invocation).await }).catch_unwind().await;
    let answered = match handled.unwrap_or_else(|_| Err(panicked())) {
        Ok(response) => api.respond(&id, response).await,
        Err(error) => api.fail(&id, &error).await,
    };
    match answered {
        Err(error) if error.is_fatal() => Err(error),
        // Whether more invocations can be had, the next poll tells.
        Err(error) => {
            tracing::error!("the answer was lost: {error}");
            Ok(())
        }
        Ok(()) => Ok(()),
    }
}

/// What callers learn of a panic; the log has its words.
fn panicked() -> ErrorDocument {
    ErrorDocument::new("Function.Panicked", "the handler panicked; the log says where, under this request id")
}
