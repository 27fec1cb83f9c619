//! The life of a function: init, invocations, shutdown.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use aws_lambda_events::apigw::ApiGatewayV2httpResponse;
use lambda_runtime::{Diagnostic, LambdaEvent, service_fn, spawn_graceful_shutdown_handler};
use serde_json::value::RawValue;
use tracing::Instrument;

use crate::config::Config;
use crate::db::Db;
use crate::error::Error;
use crate::http::{Request, Response};
use crate::{problem, telemetry};

/// Runs a function until Lambda ends the sandbox. `handler` is called once per request; the clones of [`Db`] that it gets share one
/// connection.
///
/// It needs nothing but the variables of [`crate::config`] and those that any Runtime API sets. A bad variable, or a Runtime API that
/// breaks off, ends the process with a line that says why.
pub fn serve<H, F>(handler: H) -> ExitCode
where
    H: Fn(Request, Db) -> F + 'static,
    F: Future<Output = Result<Response, Error>> + 'static,
{
    telemetry::init();
    let config = match Config::from_env() {
        Ok(config) => config,
        Err(error) => {
            tracing::error!(variable = error.variable(), "the environment is wrong: {error}");
            return ExitCode::FAILURE;
        }
    };
    // One invocation at a time, so one thread.
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "the async runtime did not start");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(run(handler, config)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "the Runtime API broke off");
            ExitCode::FAILURE
        }
    }
}

async fn run<H, F>(handler: H, config: Config) -> Result<(), lambda_runtime::Error>
where
    H: Fn(Request, Db) -> F,
    F: Future<Output = Result<Response, Error>>,
{
    if config.database.tls == crate::config::Tls::Disable && !config.database.is_loopback() {
        tracing::warn!("DB_TLS is disable and the database is not on this machine: its traffic can be read");
    }
    let application = std::env::var("AWS_LAMBDA_FUNCTION_NAME").unwrap_or_else(|_| "thaw".to_owned());
    let db = Db::new(config, application);
    let closing = db.clone();
    // Registers an internal extension: without one Lambda sends no SIGTERM, and the session would stay on the server.
    spawn_graceful_shutdown_handler(move || async move { closing.close().await }).await;
    if db.config().warm_in_init {
        db.warm().await;
    }
    let invoke = |event: LambdaEvent<Box<RawValue>>| {
        let span = tracing::info_span!("invocation", request_id = %event.context.request_id);
        let (handler, db) = (&handler, db.clone());
        async move { Ok::<_, Diagnostic>(answer(event, handler, db).await) }.instrument(span)
    };
    // The runtime without its TracingLayer, which would open a second span with the same id.
    lambda_runtime::Runtime::new(service_fn(invoke)).run().await
}

/// One invocation: request in, response out, one log line.
async fn answer<H, F>(event: LambdaEvent<Box<RawValue>>, handler: H, db: Db) -> ApiGatewayV2httpResponse
where
    H: Fn(Request, Db) -> F,
    F: Future<Output = Result<Response, Error>>,
{
    let began = Instant::now();
    let request_id = event.context.request_id.clone();
    let (what, result) = match Request::from_event(&event.payload, &event.context, db.config()) {
        Err(error) => (String::new(), Err(error)),
        Ok(request) => {
            let what = format!("{} {}", request.method(), request.path());
            (what, in_time(request, handler, db).await)
        }
    };
    let duration_ms = milliseconds(began.elapsed());
    let response = match result {
        Ok(response) => {
            tracing::info!(request = what, status = response.status().as_u16(), duration_ms, "served");
            response
        }
        Err(error) => {
            report(&error, &what, duration_ms);
            problem::response(&error, &request_id)
        }
    };
    response.into_event()
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

/// To the microsecond: more digits are noise.
fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
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
