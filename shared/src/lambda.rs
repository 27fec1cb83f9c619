//! The life of a function: init, invocations, shutdown.
//!
//! A sandbox takes one invocation at a time and is frozen in between. On Lambda Managed Instances it takes `AWS_LAMBDA_MAX_CONCURRENCY` at a
//! time, is never frozen, and Lambda does not enforce the function's timeout; the answer leaves by it all the same. The code is one for
//! both: as many workers as there may be invocations at once, over one [`Db`] that keeps as many connections.
//!
//! At its end Lambda sends SIGTERM, because an internal extension is registered: then no worker asks for more, invocations under way have
//! 300 ms to end, and the idle connections are closed politely. Invocations leave nothing behind: resident memory does not grow with their
//! number (`cargo test-soak`), and none of them changes the environment, so the trace id stands only in the Runtime API's header.

mod endpoint;
mod request_metrics;
mod run;
mod runtime_api;
mod shutdown;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use serde::Serialize;
use tokio::runtime::{Builder, Runtime};

use crate::config::Config;
use crate::db::Db;
use crate::error::Error;
use crate::http::{Request, Response};
use crate::telemetry::milliseconds;
use crate::{problem, telemetry};
use runtime_api::RuntimeApi;
pub use runtime_api::{ErrorDocument, Invocation};
use shutdown::Shutdown;

/// Runs a function behind an HTTP API until Lambda ends the sandbox. `handler` is called once per request, on Lambda Managed Instances from several threads;
/// the clones of [`Db`] that it gets share the sandbox's connections. One that panics fails its own request: Lambda's error document goes to
/// the caller, the sandbox goes on, and its connection is replaced.
///
/// It needs nothing but the variables of [`crate::config`] and those that any Runtime API sets. A bad variable, or a Runtime API that
/// breaks off, ends the process with a line that says why.
pub fn serve<H, F>(handler: H) -> ExitCode
where
    H: Fn(Request, Db) -> F + Send + Sync + 'static,
    F: Future<Output = Result<Response, Error>> + Send + 'static,
{
    let handler = Arc::new(handler);
    serve_invocations(move |invocation, db| {
        let handler = Arc::clone(&handler);
        async move { answer_request(invocation, db, &*handler).await }
    })
}

/// Runs a function that is invoked by more than an HTTP API. `handler` tells the invocations apart, and gives those of the API to
/// [`answer_request`]; else it is as [`serve`].
pub fn serve_invocations<H, F>(handler: H) -> ExitCode
where
    H: Fn(Invocation, Db) -> F + Send + Sync + 'static,
    F: Future<Output = Outcome> + Send + 'static,
{
    telemetry::init();
    let config = match Config::from_env() {
        Ok(config) => config,
        Err(error) => {
            tracing::error!(variable = error.variable(), "the environment is wrong: {error}");
            return ExitCode::FAILURE;
        }
    };
    // Beside the workers the extension polls.
    let api = match RuntimeApi::from_env(config.concurrency + 1) {
        Ok(api) => Arc::new(api),
        Err(error) => {
            tracing::error!("the environment is wrong: {error}");
            return ExitCode::FAILURE;
        }
    };
    let runtime = match runtime(config.concurrency) {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "the async runtime did not start");
            return ExitCode::FAILURE;
        }
    };
    let ended = runtime.block_on(run(handler, config, api));
    // What still waits, for the name of a host perhaps, must not hold up the end.
    runtime.shutdown_background();
    ended
}

/// One invocation at a time needs no more than one thread.
fn runtime(concurrency: usize) -> std::io::Result<Runtime> {
    let mut builder = if concurrency > 1 { Builder::new_multi_thread() } else { Builder::new_current_thread() };
    builder.enable_all().build()
}

async fn run<H, F>(handler: H, config: Config, api: Arc<RuntimeApi>) -> ExitCode
where
    H: Fn(Invocation, Db) -> F + Send + Sync + 'static,
    F: Future<Output = Outcome> + Send + 'static,
{
    if config.database.tls == crate::config::Tls::Disable && !config.database.is_loopback() {
        tracing::warn!("DB_TLS is disable and the database is not on this machine: its traffic can be read");
    }
    let mut shutdown = match Shutdown::announced(&api).await {
        Ok(shutdown) => shutdown,
        Err(error) => {
            tracing::error!(%error, "the signals before the end cannot be caught");
            return ExitCode::FAILURE;
        }
    };
    let application = std::env::var("AWS_LAMBDA_FUNCTION_NAME").unwrap_or_else(|_| "thaw".to_owned());
    let concurrency = config.concurrency;
    let db = Db::new(config, application);
    if db.config().warm_in_init {
        db.warm().await;
    }
    let handler = Arc::new(handler);
    let invoke = {
        let db = db.clone();
        move |invocation| handler(invocation, db.for_invocation())
    };
    let ended = run::run(api, concurrency, invoke, shutdown.signalled()).await;
    db.close().await;
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// What Lambda gets for an invocation: JSON, or why there is none.
pub type Outcome = Result<Vec<u8>, ErrorDocument>;

/// An answer to whoever invoked the function.
///
/// # Errors
/// Of a value that cannot be JSON, which none of the bundle's types is.
pub fn answer(value: &impl Serialize) -> Outcome {
    serde_json::to_vec(value)
        .map_err(|error| ErrorDocument::new("Function.ResponseNotJson", format!("the response could not be written as JSON: {error}")))
}

/// One invocation of an HTTP API: request in, response out, one log line. What is no request gets a 400 that says so.
///
/// # Errors
/// As [`answer`]; a failure of the handler is a response.
///
/// # Cancel safety
/// As the handler's.
pub async fn answer_request<H, F>(invocation: Invocation, db: Db, handler: H) -> Outcome
where
    H: Fn(Request, Db) -> F,
    F: Future<Output = Result<Response, Error>>,
{
    let began = Instant::now();
    let request_id = invocation.request_id().to_owned();
    let sandbox = request_metrics::Sandbox::at(&invocation, db.config().concurrency);
    let counted = db.clone();
    let (what, result) = match Request::from_event(&invocation.event, &request_id, invocation.deadline_ms, db.config()) {
        Err(error) => (String::new(), Err(error)),
        Ok(request) => {
            let what = format!("{} {}", request.method(), request.path());
            (what, in_time(request, handler, db).await)
        }
    };
    let duration_ms = milliseconds(began.elapsed());
    let response = match result {
        Ok(response) => {
            let (status, cost) = (response.status().as_u16(), counted.counts());
            // A field that is zero is left out: most lines have none of them.
            let (resends, reconnects) = (more_than_none(cost.resends), more_than_none(cost.reconnects));
            let connects = more_than_none(cost.connects);
            tracing::info!(request = what, status, duration_ms, resends, reconnects, connects, "served");
            response
        }
        Err(error) => {
            report(&error, &what, duration_ms);
            problem::response(&error, &request_id)
        }
    };
    request_metrics::emit(&request_id, sandbox, duration_ms, response.status(), counted.counts());
    answer(&response.into_event())
}

fn more_than_none(count: u32) -> Option<u32> {
    (count > 0).then_some(count)
}

/// The handler, but never past the time by which the answer has to leave.
async fn in_time<H, F>(request: Request, handler: H, db: Db) -> Result<Response, Error>
where
    H: Fn(Request, Db) -> F,
    F: Future<Output = Result<Response, Error>>,
{
    match request.deadline().answer_by() {
        None => handler(request, db).await,
        Some(answer_by) => tokio::time::timeout_at(answer_by.into(), handler(request, db)).await.unwrap_or(Err(Error::Unavailable {
            resends: 0,
            reconnects: 0,
            source: None,
        })),
    }
}

/// Logs a failure, once: here.
fn report(error: &Error, request: &str, duration_ms: f64) {
    let (status, kind, sqlstate, detail) = (error.status().as_u16(), error.kind(), error.sqlstate(), error.chain());
    let (resends, reconnects) = match error {
        Error::Unavailable { resends, reconnects, .. } => (Some(*resends), Some(*reconnects)),
        _ => (None, None),
    };
    if error.status().is_server_error() {
        tracing::error!(request, status, kind, sqlstate, resends, reconnects, duration_ms, "not served: {detail}");
    } else {
        tracing::info!(request, status, kind, duration_ms, "refused: {detail}");
    }
}
