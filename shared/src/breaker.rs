//! Stops asking a database that is gone, so that a dead one does not cost every request its whole budget. Pure: the clock is passed in.
//!
//! It opens only after a whole budget was spent without a connection: slow statements, locks and refused requests say nothing about the
//! server being there. While it is open requests are refused at once. After the cool-off one request probes, with a single connect; that
//! one's outcome closes the breaker or opens it again.

use std::time::{Duration, SystemTime};

/// How long an open breaker refuses. By wall clock, since the monotonic one may stand still in a freeze; at most a second, so that a
/// database that is back is used within one.
pub(crate) const COOL_OFF: Duration = Duration::from_secs(1);

/// What a request may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Admission {
    /// Everything that policy and budget allow.
    Normal,
    /// One connect: this request finds out for the others.
    Probe,
    /// Nothing: it is answered at once.
    Refused,
}

/// The breaker of one sandbox.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Breaker {
    state: State,
}

#[derive(Debug, Default, Clone, PartialEq, Eq)]
enum State {
    #[default]
    Closed,
    Open {
        since: SystemTime,
    },
    Probing {
        since: SystemTime,
    },
}

impl Breaker {
    /// Asks to begin a request. A probe that never said how it ended (it was cancelled) is forgotten after a cool-off.
    pub(crate) fn admit(&mut self, now: SystemTime) -> Admission {
        match self.state {
            State::Closed => Admission::Normal,
            State::Open { since } | State::Probing { since } if !cooled_off(since, now) => Admission::Refused,
            State::Open { .. } | State::Probing { .. } => {
                self.state = State::Probing { since: now };
                Admission::Probe
            }
        }
    }

    /// A connection came about.
    pub(crate) fn connected(&mut self) {
        self.state = State::Closed;
    }

    /// A whole budget, or a probe, ended without a connection.
    pub(crate) fn not_connected(&mut self, now: SystemTime) {
        self.state = State::Open { since: now };
    }

    /// Whether requests may be refused.
    #[cfg(test)]
    pub(crate) fn is_open(&self) -> bool {
        self.state != State::Closed
    }
}

/// A clock that went back says nothing about the time since, so it ends the cool-off.
fn cooled_off(since: SystemTime, now: SystemTime) -> bool {
    now.duration_since(since).map_or(true, |age| age >= COOL_OFF)
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    fn at(ms: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_800_000_000) + Duration::from_millis(ms)
    }

    fn open_at(ms: u64) -> Breaker {
        let mut breaker = Breaker::default();
        breaker.not_connected(at(ms));
        breaker
    }

    #[test]
    fn a_closed_breaker_lets_everything_pass() {
        assert_eq!(Breaker::default().admit(at(0)), Admission::Normal);
    }

    #[test]
    fn an_open_one_refuses_for_its_cool_off_and_then_lets_one_probe() {
        let mut breaker = open_at(0);
        assert_eq!(breaker.admit(at(0)), Admission::Refused);
        assert_eq!(breaker.admit(at(999)), Admission::Refused);
        assert_eq!(breaker.admit(at(1_000)), Admission::Probe);
        assert_eq!(breaker.admit(at(1_001)), Admission::Refused, "only one probes");
    }

    #[test]
    fn a_probe_closes_it_or_opens_it_again() {
        let mut breaker = open_at(0);
        breaker.admit(at(1_000));
        breaker.not_connected(at(1_500));
        assert_eq!(breaker.admit(at(2_400)), Admission::Refused);
        assert_eq!(breaker.admit(at(2_500)), Admission::Probe);
        breaker.connected();
        assert_eq!(breaker.admit(at(2_501)), Admission::Normal);
    }

    #[test]
    fn a_probe_that_was_cancelled_does_not_keep_it_open() {
        let mut breaker = open_at(0);
        assert_eq!(breaker.admit(at(1_000)), Admission::Probe);
        assert_eq!(breaker.admit(at(2_000)), Admission::Probe);
    }

    #[test]
    fn a_clock_that_went_back_ends_the_cool_off() {
        assert_eq!(open_at(5_000).admit(at(4_000)), Admission::Probe);
    }
}
