//! `POST /api/debug/reset-db`: for operators alone, and on the record.

use std::time::{Duration, Instant};

use http::{HeaderValue, Method, StatusCode, header};
use serde::Serialize;
use shared::telemetry::milliseconds;
use shared::{Db, Error, Key, Request, Response};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::audit::Record;
use crate::fleet::{StillEnding, Terminated, Termination};
use crate::order::{Order, Scope};
use crate::probe::{Probe, probe};

/// How long sessions are waited for that were told to end.
const END_LIMIT: Duration = Duration::from_secs(1);
/// Between two looks.
const LOOK_PAUSE: Duration = Duration::from_millis(50);

/// The answer.
#[derive(Serialize)]
struct Reset {
    reset_id: Uuid,
    scope: Scope,
    path: &'static str,
    /// None for the reset of one sandbox.
    sessions: Option<Sessions>,
    probe: Probe,
    duration_ms: f64,
    #[serde(with = "time::serde::rfc3339")]
    time: OffsetDateTime,
    /// What becomes of the sandboxes.
    note: &'static str,
}

/// What became of the application's sessions.
#[derive(Serialize)]
struct Sessions {
    terminated_idle: i32,
    terminated_busy: i32,
    left_busy: i32,
    /// Told to end, and there after a second.
    still_ending: Option<i64>,
}

pub(crate) async fn handle(request: Request, db: Db) -> Result<Response, Error> {
    request.allow(&[Method::POST])?;
    // Before anything of the request is looked at.
    let operator = request.operator()?;
    let order: Order = request.json()?;
    let began = Instant::now();
    let path = if db.config().proxy_name.is_some() { "proxy" } else { "direct" };
    let id = Uuid::now_v7();
    let record = Record { id, operator_arn: operator.arn(), request_id: request.request_id(), order: &order, path };
    let key = Key::of_invocation(id);
    db.write(request.deadline(), &key, &record).await?;
    let sessions = match order.scope {
        Scope::Environment => {
            db.close().await;
            None
        }
        Scope::Fleet => {
            let terminated = db.write(request.deadline(), &key, &Termination { id, include_busy: order.include_busy }).await?;
            Some(ended(&request, &db, terminated).await)
        }
    };
    let probe = probe(&db).await;
    let reset = Reset {
        reset_id: id,
        scope: order.scope,
        path,
        note: note(order.scope, path),
        sessions,
        probe,
        duration_ms: milliseconds(began.elapsed()),
        time: OffsetDateTime::now_utc(),
    };
    tracing::info!(
        reset_id = %id,
        operator_arn = operator.arn(),
        scope = order.scope.as_str(),
        reason = order.reason,
        include_busy = order.include_busy,
        path,
        terminated_idle = reset.sessions.as_ref().map(|sessions| sessions.terminated_idle),
        terminated_busy = reset.sessions.as_ref().map(|sessions| sessions.terminated_busy),
        left_busy = reset.sessions.as_ref().map(|sessions| sessions.left_busy),
        probe = reset.probe.status,
        duration_ms = reset.duration_ms,
        "reset"
    );
    Ok(Response::json(StatusCode::OK, &reset).with_header(header::CACHE_CONTROL, HeaderValue::from_static("no-store")))
}

/// Waits a moment for sessions that were told to end.
async fn ended(request: &Request, db: &Db, terminated: Terminated) -> Sessions {
    let until = Instant::now() + END_LIMIT;
    let still_ending = loop {
        match db.read(request.deadline(), &StillEnding(&terminated.pids)).await {
            Ok(0) => break Some(0),
            Ok(_) if Instant::now() < until => tokio::time::sleep(LOOK_PAUSE).await,
            Ok(some) => break Some(some),
            // They were told; only how it ended is not known.
            Err(error) => {
                tracing::warn!("whether the sessions have ended could not be asked: {}", error.chain());
                break None;
            }
        }
    };
    Sessions { terminated_idle: terminated.idle, terminated_busy: terminated.busy, left_busy: terminated.left_busy, still_ending }
}

fn note(scope: Scope, path: &str) -> &'static str {
    match (scope, path) {
        (Scope::Environment, _) => "The connection of this function's sandbox was closed and opened anew; others keep theirs.",
        (Scope::Fleet, "proxy") => "The proxy replaces its database connections; the sandboxes stay connected to it.",
        (Scope::Fleet, _) => "Each sandbox connects again with its next request.",
    }
}
