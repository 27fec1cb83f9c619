//! `GET /api/debug/db-health`: whether this sandbox reaches the database, by the connection that the routes use.
//!
//! The body is `application/health+json` (draft-inadarei-api-health-check-06). It names no host and no user, and holds no error text.

use std::time::{Duration, Instant};

use http::{HeaderValue, Method, StatusCode, header};
use serde::Serialize;
use shared::{Db, Error, Request, Response};
use time::OffsetDateTime;

use crate::query::{RoundTrip, ServerState};

/// One attempt, no recovery: health tells what is, within a second even when the database is silent.
const PROBE_TIMEOUT: Duration = Duration::from_millis(800);

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum Status {
    Pass,
    Fail,
}

#[derive(Serialize)]
struct Health {
    status: Status,
    checks: Checks,
}

#[derive(Serialize)]
struct Checks {
    #[serde(rename = "database:roundTripTime")]
    round_trip: [RoundTripCheck; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RoundTripCheck {
    component_type: &'static str,
    status: Status,
    /// Connecting, where there was no connection, and the query.
    observed_value: f64,
    observed_unit: &'static str,
    #[serde(with = "time::serde::rfc3339")]
    time: OffsetDateTime,
    #[serde(flatten)]
    server: Option<ServerState>,
}

pub(crate) async fn handle(request: Request, db: Db) -> Result<Response, Error> {
    request.allow(&[Method::GET])?;
    let began = Instant::now();
    let probe = db.probe(PROBE_TIMEOUT, &RoundTrip).await;
    let observed_value = (began.elapsed().as_secs_f64() * 1e6).round() / 1e3;
    let (status, server) = match probe {
        Ok(probed) => (StatusCode::OK, Some(probed.output)),
        Err(error) => {
            tracing::error!(sqlstate = error.sqlstate(), duration_ms = observed_value, "the database did not answer the probe: {}", error.chain());
            (StatusCode::SERVICE_UNAVAILABLE, None)
        }
    };
    let verdict = || if server.is_some() { Status::Pass } else { Status::Fail };
    let (overall, component) = (verdict(), verdict());
    let check = RoundTripCheck {
        component_type: "datastore",
        status: component,
        observed_value,
        observed_unit: "ms",
        time: OffsetDateTime::now_utc(),
        server,
    };
    let health = Health { status: overall, checks: Checks { round_trip: [check] } };
    Ok(Response::json(status, &health)
        .with_header(header::CONTENT_TYPE, HeaderValue::from_static("application/health+json"))
        .with_header(header::CACHE_CONTROL, HeaderValue::from_static("no-store")))
}
