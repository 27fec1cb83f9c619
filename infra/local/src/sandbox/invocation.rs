//! One invocation on its way through a sandbox, and the errors that Lambda itself puts in a function's mouth.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use serde_json::json;
use tokio::sync::oneshot;

use crate::invoke::FunctionError;

/// `errorType` of a process that ended without an answer.
pub const FUNCTION_ERROR_EXIT: &str = "Runtime.ExitError";
/// `errorType` of an invocation that passed the function's timeout.
pub const FUNCTION_ERROR_TIMEOUT: &str = "Sandbox.Timedout";
/// The greatest event and the greatest response of a synchronous invocation.
/// <https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html> says 6 MB; the service counts 6,291,556 bytes.
pub const PAYLOAD_LIMIT_BYTES: usize = 6_291_556;

/// What a runtime is handed.
pub(super) struct Invocation {
    pub(super) request_id: String,
    pub(super) function_arn: String,
    pub(super) trace_id: String,
    pub(super) payload: Bytes,
    /// Milliseconds since the Unix epoch, as the header `Lambda-Runtime-Deadline-Ms` says it.
    pub(super) deadline_ms: u128,
}

/// Where its answer goes.
pub(super) type Reply = oneshot::Sender<Result<Bytes, FunctionError>>;

impl Invocation {
    /// An invocation that begins now.
    pub(super) fn new(function: &str, request_id: &str, payload: Bytes, timeout: Duration) -> Self {
        let now_ms = epoch_ms();
        let (trace, parent) = (uuid::Uuid::new_v4().simple().to_string(), uuid::Uuid::new_v4().simple().to_string());
        Self {
            request_id: request_id.to_owned(),
            function_arn: format!("arn:aws:lambda:us-east-1:123456789012:function:{function}"),
            trace_id: format!("Root=1-{:08x}-{};Parent={};Sampled=0", now_ms / 1_000, &trace[..24], &parent[..16]),
            payload,
            deadline_ms: now_ms + timeout.as_millis(),
        }
    }
}

/// The error document that callers of a failed function get.
pub(crate) fn error_payload(kind: &str, message: &str) -> Bytes {
    json!({ "errorType": kind, "errorMessage": message }).to_string().into()
}

/// A request id in the form of Lambda's.
pub(super) fn new_request_id() -> String {
    uuid::Uuid::new_v4().to_string()
}

/// Milliseconds since the Unix epoch; a clock before it counts as the epoch.
pub(super) fn epoch_ms() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis()
}
