//! The answer: `application/health+json` (draft-inadarei-api-health-check-06). Of the public one no check names a host or a user, or holds
//! text from the database.

use std::collections::BTreeMap;
use std::time::Duration;

use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use serde_json::Value;
use shared::Response;
use time::OffsetDateTime;

/// How it is, from good to bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Status {
    /// As it should be.
    Pass,
    /// Requests are served, and somebody should look.
    Warn,
    /// Requests are not served.
    Fail,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Check {
    component_type: &'static str,
    pub(crate) status: Status,
    #[serde(skip_serializing_if = "Option::is_none")]
    observed_value: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    observed_unit: Option<&'static str>,
    /// What is not as it should be, in our own words.
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<String>,
    #[serde(with = "time::serde::rfc3339")]
    time: OffsetDateTime,
}

impl Check {
    /// Something about the database that is as it should be.
    pub(crate) fn of_database(value: impl Into<Value>) -> Self {
        Self::new("datastore", Status::Pass, Some(value.into()))
    }

    /// Something about the sandbox that is as it should be.
    pub(crate) fn of_sandbox(value: impl Into<Value>) -> Self {
        Self::new("system", Status::Pass, Some(value.into()))
    }

    /// Something about the database that could not be had, or is not as it should be.
    pub(crate) fn complaint(status: Status, output: impl Into<String>) -> Self {
        Self::new("datastore", status, None).because(status, output)
    }

    fn new(component_type: &'static str, status: Status, observed_value: Option<Value>) -> Self {
        Self { component_type, status, observed_value, observed_unit: None, output: None, time: OffsetDateTime::now_utc() }
    }

    /// The same, in a unit.
    pub(crate) fn in_unit(self, unit: &'static str) -> Self {
        Self { observed_unit: Some(unit), ..self }
    }

    /// The same, not as it should be.
    pub(crate) fn because(self, status: Status, output: impl Into<String>) -> Self {
        Self { status, output: Some(output.into()), ..self }
    }

    /// The same, not as it should be where `holds`.
    pub(crate) fn because_if(self, holds: bool, status: Status, output: &str) -> Self {
        if holds { self.because(status, output) } else { self }
    }
}

/// The whole answer.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Report {
    pub(crate) status: Status,
    /// Of this format: the API's public version.
    version: &'static str,
    #[serde(with = "time::serde::rfc3339")]
    time: OffsetDateTime,
    /// Each in a list of one, as the draft has it.
    pub(crate) checks: BTreeMap<&'static str, [Check; 1]>,
}

impl Report {
    /// What these checks say together: the worst of them.
    pub(crate) fn of(checks: Vec<(&'static str, Check)>) -> Self {
        let checks: BTreeMap<_, _> = checks.into_iter().map(|(name, check)| (name, [check])).collect();
        let status = checks.values().map(|[check]| check.status).max().unwrap_or(Status::Fail);
        Self { status, version: "1", time: OffsetDateTime::now_utc(), checks }
    }

    /// The number that a check observed.
    pub(crate) fn number(&self, check: &str) -> Option<f64> {
        let [check] = self.checks.get(check)?;
        check.observed_value.as_ref()?.as_f64()
    }

    /// The response to an HTTP request: 503 where requests are not served.
    pub(crate) fn response(&self) -> Response {
        let status = if self.status == Status::Fail { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
        Response::json(status, self)
            .with_header(header::CONTENT_TYPE, HeaderValue::from_static("application/health+json"))
            .with_header(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))
    }
}

/// Seconds, to the millisecond.
pub(crate) fn seconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e3).round() / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_check_decides_and_no_check_is_no_health() {
        let report = |statuses: &[Status]| {
            let names = ["a", "b", "c"];
            Report::of(names.into_iter().zip(statuses).map(|(name, status)| (name, Check::of_database(1).because(*status, ""))).collect())
        };
        for (statuses, status, code) in [
            (&[Status::Pass, Status::Pass][..], Status::Pass, 200),
            (&[Status::Pass, Status::Warn], Status::Warn, 200),
            (&[Status::Warn, Status::Fail, Status::Pass], Status::Fail, 503),
            (&[], Status::Fail, 503),
        ] {
            let report = report(statuses);
            assert_eq!((report.status, report.response().status().as_u16()), (status, code));
        }
    }
}
