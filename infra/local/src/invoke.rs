//! What the gateway asks of the sandboxes: run one invocation.
//!
//! The shape is that of Lambda's Invoke API with `InvocationType: RequestResponse`:
//! <https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html>. The function's own failure is an [`Outcome`]; an [`InvokeError`]
//! means that no code of the function ran.

use std::future::Future;

use bytes::Bytes;

/// Runs functions by name.
pub trait Invoke: Send + Sync + 'static {
    /// Runs one invocation of `function` with `payload`, a JSON text, as its event.
    ///
    /// # Errors
    /// [`InvokeError`] when the function was not started.
    ///
    /// # Cancel safety
    /// Dropping the future may abandon an invocation that is under way. A caller whose own client may leave runs it in a task of its
    /// own, because Lambda finishes what it has begun.
    fn invoke(&self, function: &str, payload: Bytes) -> impl Future<Output = Result<Outcome, InvokeError>> + Send;
}

/// What came of an invocation that ran.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The `Lambda-Runtime-Aws-Request-Id` of the invocation.
    pub request_id: String,
    /// The bytes that the function answered, or how it failed.
    pub result: Result<Bytes, FunctionError>,
}

/// A failure of the function itself: the `X-Amz-Function-Error` of Lambda's Invoke API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionError {
    /// Who noticed the failure.
    pub kind: FunctionErrorKind,
    /// A JSON object with `errorType` and `errorMessage`.
    pub payload: Bytes,
}

impl FunctionError {
    /// The function reported the error itself.
    #[must_use]
    pub fn handled(payload: Bytes) -> Self {
        Self { kind: FunctionErrorKind::Handled, payload }
    }

    /// The function ended, or was ended, without a word.
    #[must_use]
    pub fn unhandled(payload: Bytes) -> Self {
        Self { kind: FunctionErrorKind::Unhandled, payload }
    }
}

/// Who noticed that the function failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FunctionErrorKind {
    /// The function reported the error through the Runtime API.
    Handled,
    /// The process ended, or the function's timeout passed.
    Unhandled,
}

/// Why an invocation did not start.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvokeError {
    /// 404 `ResourceNotFoundException`.
    #[error("there is no function named {0}")]
    UnknownFunction(String),
    /// 429 `TooManyRequestsException`: every sandbox that the function may have is busy.
    #[error("the function has no free sandbox and may not start another")]
    TooManyRequests,
    /// 400 `InvalidRequestContentException`.
    #[error("the payload is not a JSON text: {0}")]
    InvalidPayload(String),
    /// The local cloud is stopping.
    #[error("the local cloud is shutting down")]
    ShuttingDown,
}
