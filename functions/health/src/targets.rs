//! The databases behind the RDS Proxy, as the API of RDS sees them.

use proxy_targets::{Availability, ProxyTargets};
use serde_json::json;
use shared::Db;

use crate::report::{Check, Status};

/// Asks; none where no proxy or no endpoint of the API is configured.
pub(crate) async fn check(targets: &ProxyTargets, db: &Db) -> Option<Check> {
    Some(match targets.ask(db.config()).await? {
        Ok(targets) => {
            let check = Check::of_database(json!(targets));
            match Availability::of(&targets) {
                Availability::All => check,
                Availability::Some => check.because(Status::Warn, "A target of the proxy is not available."),
                Availability::None => check.because(Status::Fail, "The proxy has no target that is available."),
            }
        }
        Err(error) => {
            tracing::warn!("{error}");
            Check::complaint(Status::Warn, "The API of RDS did not tell the proxy's targets.")
        }
    })
}
