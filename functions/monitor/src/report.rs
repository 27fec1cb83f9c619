//! The answer: each check with its value and what to think of it.

use serde::Serialize;
use serde_json::Value;
use time::OffsetDateTime;

use crate::catalog::Spec;
use crate::threshold::Shown;

/// How it is, from good to bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Status {
    /// As it should be, or there is nothing to say of it.
    Pass,
    /// It could not be looked at.
    Unknown,
    /// Somebody should look.
    Warn,
    /// Somebody should look now.
    Fail,
}

impl Status {
    /// Of the whole, what counts: what could not be looked at may be bad.
    fn severity(self) -> u8 {
        match self {
            Self::Pass => 0,
            Self::Unknown | Self::Warn => 1,
            Self::Fail => 2,
        }
    }
}

/// One check.
#[derive(Debug, Serialize)]
pub(crate) struct Check {
    pub(crate) id: &'static str,
    pub(crate) status: Status,
    /// Null where there is none, of which `note` or `error` says why.
    pub(crate) value: Value,
    pub(crate) unit: &'static str,
    pub(crate) threshold: Option<Shown>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) limit: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) detail: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) note: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<String>,
    #[serde(with = "time::serde::rfc3339")]
    pub(crate) time: OffsetDateTime,
}

impl Check {
    /// What the server found: `value`, and perhaps `limit`, `detail` and `note`; or `sqlstate`.
    pub(crate) fn found(spec: &Spec, mut found: Value) -> Self {
        if let Some(sqlstate) = found["sqlstate"].as_str() {
            return Self::unknown(spec, format!("The database could not look: SQLSTATE {sqlstate}."));
        }
        let value = found["value"].take();
        let limit = found["limit"].as_f64();
        let (status, threshold) = spec.threshold.judge(&value, limit);
        let detail = Some(found["detail"].take()).filter(|detail| !detail.is_null());
        let note = found["note"].as_str().map(ToOwned::to_owned);
        Self { id: spec.id, status, value, unit: spec.unit, threshold, limit, detail, note, error: None, time: OffsetDateTime::now_utc() }
    }

    /// A check that could not be made.
    pub(crate) fn unknown(spec: &Spec, error: String) -> Self {
        Self {
            id: spec.id,
            status: Status::Unknown,
            value: Value::Null,
            unit: spec.unit,
            threshold: None,
            limit: None,
            detail: None,
            note: None,
            error: Some(error),
            time: OffsetDateTime::now_utc(),
        }
    }
}

/// All of them.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    status: Status,
    /// The server's; null where it did not say.
    version: Value,
    #[serde(with = "time::serde::rfc3339")]
    time: OffsetDateTime,
    checks: Vec<Check>,
}

impl Report {
    /// What these say together: the worst of them, where one that is unknown is a warning.
    pub(crate) fn of(checks: Vec<Check>) -> Self {
        let worst = checks.iter().map(|check| check.status.severity()).max();
        let status = match worst {
            Some(0) => Status::Pass,
            Some(1) => Status::Warn,
            _ => Status::Fail,
        };
        let version = checks.iter().find(|check| check.id == "server:version").map_or(Value::Null, |check| check.value.clone());
        Self { status, version, time: OffsetDateTime::now_utc(), checks }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::catalog::NOW;

    const TOTAL: &Spec = &NOW[1];

    #[test]
    fn the_whole_is_as_bad_as_its_worst_part_and_unknown_is_a_warning() {
        let found = |value: u32| Check::found(TOTAL, json!({ "value": value, "limit": 100 }));
        let unknown = || Check::unknown(TOTAL, String::new());
        for (checks, status) in [
            (vec![found(1)], Status::Pass),
            (vec![found(1), unknown()], Status::Warn),
            (vec![found(85), found(1)], Status::Warn),
            (vec![unknown(), found(96)], Status::Fail),
        ] {
            assert_eq!(Report::of(checks).status, status);
        }
    }

    #[test]
    fn a_check_that_failed_says_the_sqlstate_and_nothing_else() {
        let check = Check::found(TOTAL, json!({ "sqlstate": "42501" }));
        assert_eq!(
            (check.status, check.error.as_deref(), check.value),
            (Status::Unknown, Some("The database could not look: SQLSTATE 42501."), Value::Null)
        );
    }
}
