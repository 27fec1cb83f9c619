//! What each request leaves for dashboard and alarms: one line in CloudWatch's embedded metric format.
//!
//! Only the latency stands in every line. What is zero is left out, since a sum is the same without it, and logs are paid for by their bytes.
//! That RDS Proxy pinned a session is nothing that a function could see; `DatabaseConnectionsCurrentlySessionPinned` of the proxy tells it.

use std::sync::atomic::{AtomicBool, Ordering};

use http::StatusCode;

use super::Invocation;
use crate::metrics::{Point, Unit, emit as write};
use crate::tally::Counts;

/// How a request met its sandbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sandbox {
    /// It was started for it, or ahead of it.
    Cold,
    /// It was thawed for it.
    Thawed,
    /// It runs without a pause, as on Lambda Managed Instances.
    Running,
}

impl Sandbox {
    /// Of this process, which is one sandbox.
    pub(super) fn at(invocation: &Invocation, concurrency: usize) -> Self {
        static SERVED: AtomicBool = AtomicBool::new(false);
        Self::of(SERVED.swap(true, Ordering::Relaxed) || invocation.earlier > 0, concurrency)
    }

    fn of(has_served: bool, concurrency: usize) -> Self {
        match (has_served, concurrency) {
            (false, _) => Self::Cold,
            // Between two invocations a sandbox that takes one at a time is frozen.
            (true, 1) => Self::Thawed,
            (true, _) => Self::Running,
        }
    }
}

/// Writes the line of one request.
pub(super) fn emit(request_id: &str, sandbox: Sandbox, latency_ms: f64, status: StatusCode, cost: Counts) {
    write(request_id, &points(sandbox, latency_ms, status, cost));
}

fn points(sandbox: Sandbox, latency_ms: f64, status: StatusCode, cost: Counts) -> Vec<Point> {
    let counted = [
        ("Resends", cost.resends),
        ("Reconnects", cost.reconnects),
        ("Connects", cost.connects),
        ("BreakerOpen", u32::from(cost.refused > 0)),
        ("ColdStart", u32::from(sandbox == Sandbox::Cold)),
        ("Thaws", u32::from(sandbox == Sandbox::Thawed)),
        ("ServerErrors", u32::from(status.is_server_error())),
    ];
    let counted = counted.into_iter().filter(|(_, count)| *count > 0).map(|(name, count)| Point::new(name, Unit::Count, f64::from(count)));
    std::iter::once(Point::new("Latency", Unit::Milliseconds, latency_ms)).chain(counted).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sandbox_is_cold_once_and_then_thawed_unless_it_takes_several_at_once() {
        assert_eq!([Sandbox::of(false, 1), Sandbox::of(true, 1)], [Sandbox::Cold, Sandbox::Thawed]);
        assert_eq!([Sandbox::of(false, 4), Sandbox::of(true, 4)], [Sandbox::Cold, Sandbox::Running]);
    }

    #[test]
    fn what_is_zero_is_left_out() {
        let quiet = points(Sandbox::Running, 1.5, StatusCode::OK, Counts::default());
        assert_eq!(quiet, [Point::new("Latency", Unit::Milliseconds, 1.5)]);
        let cost = Counts { resends: 1, reconnects: 2, connects: 3, refused: 2 };
        let count = |name, value| Point::new(name, Unit::Count, value);
        let expected = [
            Point::new("Latency", Unit::Milliseconds, 9.0),
            count("Resends", 1.0),
            count("Reconnects", 2.0),
            count("Connects", 3.0),
            count("BreakerOpen", 1.0),
            count("Thaws", 1.0),
            count("ServerErrors", 1.0),
        ];
        assert_eq!(points(Sandbox::Thawed, 9.0, StatusCode::SERVICE_UNAVAILABLE, cost), expected);
    }
}
