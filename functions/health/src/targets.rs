//! The databases behind the RDS Proxy, as the API of RDS sees them.

use std::sync::OnceLock;

use serde_json::json;
use shared::Db;
use shared::proxy_targets::{ProxyTarget, ProxyTargets};

use crate::report::{Check, Status};

/// A client of the API, made when it is first needed.
#[derive(Debug, Default)]
pub(crate) struct Targets {
    client: OnceLock<Option<ProxyTargets>>,
}

impl Targets {
    /// Asks; none where no proxy or no endpoint of the API is configured.
    pub(crate) async fn check(&self, db: &Db) -> Option<Check> {
        let client = self.client.get_or_init(|| db.config().proxy_api.as_ref().map(ProxyTargets::new)).as_ref()?;
        Some(match client.ask().await {
            Ok(targets) => of_targets(&targets),
            Err(error) => {
                tracing::warn!("{error}");
                Check::complaint(Status::Warn, "The API of RDS did not tell the proxy's targets.")
            }
        })
    }
}

fn of_targets(targets: &[ProxyTarget]) -> Check {
    let available = targets.iter().filter(|target| target.state == "AVAILABLE").count();
    let list = targets.iter().map(|target| json!({ "target": target.id, "role": target.role, "state": target.state, "reason": target.reason }));
    let check = Check::of_database(list.collect::<Vec<_>>());
    match available {
        0 => check.because(Status::Fail, "The proxy has no target that is available."),
        some if some < targets.len() => check.because(Status::Warn, "A target of the proxy is not available."),
        _ => check,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(states: &[&str]) -> Status {
        let target = |state: &&str| ProxyTarget { id: "db-1".into(), role: "READ_WRITE".into(), state: (*state).to_owned(), reason: None };
        of_targets(&states.iter().map(target).collect::<Vec<_>>()).status
    }

    #[test]
    fn one_target_that_is_gone_is_a_warning_and_all_are_a_failure() {
        assert_eq!(status(&["AVAILABLE", "AVAILABLE"]), Status::Pass);
        assert_eq!(status(&["AVAILABLE", "UNAVAILABLE"]), Status::Warn);
        assert_eq!(status(&["REGISTERING", "AVAILABLE"]), Status::Warn);
        assert_eq!(status(&["UNAVAILABLE"]), Status::Fail);
        assert_eq!(status(&[]), Status::Fail);
    }
}
