//! What a scheduled check leaves for alarms.

use shared::metrics;

use crate::report::{Report, Status};

/// The checks that are metrics, and their units there.
const MEASURED: [(&str, &str, metrics::Unit); 5] = [
    ("database:connectTime", "DatabaseConnectTime", metrics::Unit::Milliseconds),
    ("database:roundTripTime", "DatabaseRoundTripTime", metrics::Unit::Milliseconds),
    ("database:connectionAge", "DatabaseConnectionAge", metrics::Unit::Seconds),
    ("database:connections", "DatabaseConnections", metrics::Unit::Count),
    ("database:longestTransaction", "DatabaseLongestTransaction", metrics::Unit::Seconds),
];

/// Emits one data point of each: whether the check passed, warned or failed, and what it measured.
pub(crate) fn emit(report: &Report, request_id: &str) {
    let mut points = vec![
        metrics::Point::new("HealthFailing", metrics::Unit::Count, f64::from(u8::from(report.status == Status::Fail))),
        metrics::Point::new("HealthWarning", metrics::Unit::Count, f64::from(u8::from(report.status == Status::Warn))),
    ];
    points.extend(MEASURED.into_iter().filter_map(|(check, name, unit)| Some(metrics::Point::new(name, unit, report.number(check)?))));
    metrics::emit(request_id, &points);
}
