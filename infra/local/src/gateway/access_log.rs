//! One log line per request, also for a client that left. It never holds the query string or a header: either may carry a secret.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::StatusCode;
use http::request::Parts;

/// Hears of every request to the API: its path, its status or None for a client that left, and how long it took at the gateway.
pub type RequestSink = Arc<dyn Fn(&str, Option<StatusCode>, Duration) + Send + Sync>;

/// The line of one request, written when this is dropped.
pub(crate) struct AccessLog {
    method: String,
    path: String,
    request_id: String,
    function: Option<String>,
    status: Option<StatusCode>,
    started: Instant,
    sink: Option<RequestSink>,
}

impl AccessLog {
    pub(crate) fn start(head: &Parts, request_id: &str, sink: Option<RequestSink>) -> Self {
        Self {
            method: head.method.to_string(),
            path: head.uri.path().to_owned(),
            request_id: request_id.to_owned(),
            function: None,
            status: None,
            started: Instant::now(),
            sink,
        }
    }

    pub(crate) fn routed_to(&mut self, function: &str) {
        self.function = Some(function.to_owned());
    }

    pub(crate) fn answered(&mut self, status: StatusCode) {
        self.status = Some(status);
    }
}

impl Drop for AccessLog {
    fn drop(&mut self) {
        let Self { method, path, request_id, function, status, started, sink } = self;
        let function = function.as_deref().unwrap_or("-");
        // The latency of the gateway; the function may have run on.
        let latency = started.elapsed();
        if let Some(sink) = sink {
            sink(path, *status, latency);
        }
        let latency_ms = u64::try_from(latency.as_millis()).unwrap_or(u64::MAX);
        match status {
            Some(status) => {
                let status = status.as_u16();
                tracing::info!(%method, %path, status, latency_ms, function, %request_id, "request answered");
            }
            None => tracing::info!(%method, %path, latency_ms, function, %request_id, "client left before the answer"),
        }
    }
}
