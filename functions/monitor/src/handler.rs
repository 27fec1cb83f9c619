//! `GET /api/debug/monitor`: for operators alone.

use std::sync::Arc;

use http::{HeaderValue, Method, StatusCode, header};
use proxy_targets::ProxyTargets;
use shared::{Db, Error, Request, Response};

use crate::catalog::{NOW, SIZES, STATEMENTS, Spec};
use crate::query::Checks;
use crate::report::{Check, Report};
use crate::targets;

pub(crate) async fn handle(proxy_targets: Arc<ProxyTargets>, request: Request, db: Db) -> Result<Response, Error> {
    request.allow(&[Method::GET])?;
    request.operator()?;
    let (checks, targets) = tokio::join!(of_server(&request, &db), targets::check(&proxy_targets, &db));
    let mut checks = checks?;
    checks.extend(targets);
    Ok(Response::json(StatusCode::OK, &Report::of(checks)).with_header(header::CACHE_CONTROL, HeaderValue::from_static("no-store")))
}

/// Three statements, so that one that takes too long leaves the checks of the others. A database that cannot be reached fails the request:
/// then nothing is known.
async fn of_server(request: &Request, db: &Db) -> Result<Vec<Check>, Error> {
    let mut checks = Vec::new();
    for group in [NOW, SIZES, STATEMENTS] {
        match db.read(request.deadline(), &Checks(group)).await {
            Ok(found) => checks.extend(group.iter().zip(found).map(|(spec, found)| Check::found(spec, found))),
            Err(unreachable @ Error::Unavailable { .. }) => return Err(unreachable),
            Err(error) => checks.extend(unknown(group, &error)),
        }
    }
    Ok(checks)
}

fn unknown(group: &'static [Spec], error: &Error) -> impl Iterator<Item = Check> {
    tracing::warn!(sqlstate = error.sqlstate(), "checks could not be made: {}", error.chain());
    let why = match error {
        Error::StatementTimeout(_) => "The database took longer than statement_timeout.".to_owned(),
        error => format!("The database could not look: SQLSTATE {}.", error.sqlstate().as_deref().unwrap_or("unknown")),
    };
    group.iter().map(move |spec| Check::unknown(spec, why.clone()))
}
