//! The databases behind the RDS Proxy, as the API of RDS sees them.

use proxy_targets::{Availability, ProxyTargets};
use serde_json::json;
use shared::Db;

use crate::catalog::{Spec, TARGETS};
use crate::report::{Check, Status};

/// Asks; none where no proxy or no endpoint of the API is configured.
pub(crate) async fn check(targets: &ProxyTargets, db: &Db) -> Option<Check> {
    let spec: &Spec = &TARGETS;
    Some(match targets.ask(db.config()).await? {
        Ok(targets) => {
            let status = match Availability::of(&targets) {
                Availability::All => Status::Pass,
                Availability::Some => Status::Warn,
                Availability::None => Status::Fail,
            };
            Check { status, ..Check::found(spec, json!({ "value": targets })) }
        }
        Err(error) => {
            tracing::warn!("{error}");
            Check::unknown(spec, "The API of RDS did not tell the proxy's targets.".to_owned())
        }
    })
}
