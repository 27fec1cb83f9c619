//! `GET /api/debug/db-health`, the schedule, and whoever may invoke the function: all get the same report.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use http::Method;
use proxy_targets::ProxyTargets;
use shared::lambda::{self, ErrorDocument, Invocation, Outcome};
use shared::refusal::FORBIDDEN;
use shared::{Db, Error, Request, Response};

use crate::basic::{self, Schema};
use crate::recent::Recent;
use crate::report::Report;
use crate::trigger::{Depth, Trigger};
use crate::{deep, metrics};

/// What this sandbox knows already.
#[derive(Debug, Default)]
pub(crate) struct Health {
    schema: Schema,
    recent: Recent<Report>,
    targets: ProxyTargets,
}

impl Health {
    async fn report(&self, depth: Depth, db: &Db, thaws: u64) -> Report {
        let mut checks = basic::check(db, &self.schema, thaws).await;
        if depth == Depth::Deep {
            checks.extend(deep::check(db, &self.targets).await);
        }
        Report::of(checks)
    }

    /// The last report where it is young enough: a crowd of callers must not become one of the database.
    async fn recent_report(&self, db: &Db, thaws: u64) -> Report {
        if let Some(report) = self.recent.get(SystemTime::now(), Instant::now()) {
            return report;
        }
        let report = self.report(Depth::Basic, db, thaws).await;
        self.recent.set(SystemTime::now(), Instant::now(), report.clone());
        report
    }

    async fn respond(&self, request: Request, db: Db, thaws: u64) -> Result<Response, Error> {
        request.allow(&[Method::GET])?;
        Ok(match depth(&request)? {
            Depth::Basic => self.recent_report(&db, thaws).await.response(),
            Depth::Deep => self.report(Depth::Deep, &db, thaws).await.response(),
        })
    }
}

/// The deep check is for operators, on a path of its own, whose requests the API lets in by their signature. The public one refuses it.
fn depth(request: &Request) -> Result<Depth, Error> {
    let by_query = match request.query("deep")?.as_deref() {
        None | Some("false") => false,
        Some("true") => true,
        Some(_) => return Err(Error::malformed("deep: must be true or false")),
    };
    match by_query || request.path().ends_with("/deep") {
        false => Ok(Depth::Basic),
        true if request.operator().is_ok() => Ok(Depth::Deep),
        true => Err(FORBIDDEN.because("The deep check is not public: send a signed request (SigV4) to /api/debug/db-health/deep.").into()),
    }
}

/// Tells the events apart. A database that fails is no failure of the invocation: Lambda would invoke it again, and again.
pub(crate) async fn handle(health: Arc<Health>, invocation: Invocation, db: Db) -> Outcome {
    // Lambda Managed Instances, which take several invocations at once, are never frozen.
    let thaws = if db.config().concurrency == 1 { invocation.earlier() } else { 0 };
    match Trigger::of(invocation.event()) {
        Ok(Trigger::Http) => lambda::answer_request(invocation, db, |request, db| health.respond(request, db, thaws)).await,
        Ok(Trigger::Direct(depth)) => lambda::answer(&health.report(depth, &db, thaws).await),
        Ok(Trigger::Schedule) => {
            let report = health.report(Depth::Deep, &db, thaws).await;
            metrics::emit(&report, invocation.request_id());
            lambda::answer(&report)
        }
        Err(expected) => {
            tracing::error!("{expected}");
            Err(ErrorDocument::new("Health.UnknownEvent", expected))
        }
    }
}
