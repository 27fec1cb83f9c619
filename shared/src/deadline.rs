//! One deadline for an invocation, many attempts under it. Pure: the clocks are passed in.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// When the work of one invocation has to be done.
///
/// Lambda says the deadline as a wall-clock time, once, when the invocation begins; from there on only the monotonic clock counts: inside an
/// invocation nothing freezes it, and a wall clock that jumps must not change what is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadline {
    work_ends: Instant,
    answer_by: Option<Instant>,
}

impl Deadline {
    /// The deadline of an invocation that Lambda will kill at `killed_at_ms` (milliseconds since the Unix epoch).
    ///
    /// Work may take `budget`, or until `reserve` before the kill if that is sooner. A kill time that has passed is taken for unknown: some
    /// emulators send a constant that reads as 1970, and Lambda itself never starts an invocation after its deadline. Nothing is kept of a
    /// kill time in the far future but the budget.
    #[must_use]
    pub fn of_invocation(killed_at_ms: u64, budget: Duration, reserve: Duration, wall: SystemTime, now: Instant) -> Self {
        let left = UNIX_EPOCH
            .checked_add(Duration::from_millis(killed_at_ms))
            .and_then(|killed_at| killed_at.duration_since(wall).ok())
            .filter(|left| !left.is_zero())
            // Past this the instant could overflow, and it bounds nothing.
            .filter(|left| *left < Duration::from_secs(86_400));
        match left {
            None => Self { work_ends: now + budget, answer_by: None },
            Some(left) => Self { work_ends: now + budget.min(left.saturating_sub(reserve)), answer_by: Some(now + left.saturating_sub(reserve / 2)) },
        }
    }

    /// A deadline without an invocation: `budget` from now on.
    #[must_use]
    pub fn after(budget: Duration, now: Instant) -> Self {
        Self { work_ends: now + budget, answer_by: None }
    }

    /// What is left for work; zero when nothing is.
    #[must_use]
    pub fn remaining(&self, now: Instant) -> Duration {
        self.work_ends.saturating_duration_since(now)
    }

    /// When the answer has to leave, whatever the handler is doing: half the reserve before the kill. None where the kill time is unknown.
    #[must_use]
    pub fn answer_by(&self) -> Option<Instant> {
        self.answer_by
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUDGET: Duration = Duration::from_secs(9);
    const RESERVE: Duration = Duration::from_millis(500);

    fn left(killed_in_ms: i64) -> Duration {
        let (wall, now) = (UNIX_EPOCH + Duration::from_secs(1_800_000_000), Instant::now());
        let killed_at_ms = 1_800_000_000_000_i64 + killed_in_ms;
        Deadline::of_invocation(killed_at_ms.unsigned_abs(), BUDGET, RESERVE, wall, now).remaining(now)
    }

    #[test]
    fn the_reserve_is_kept_free_and_the_budget_is_never_passed() {
        assert_eq!(left(10_000), BUDGET, "the budget ends first");
        assert_eq!(left(3_000), Duration::from_millis(2_500), "the deadline ends first");
        assert_eq!(left(300), Duration::ZERO, "nothing is left to work with");
    }

    #[test]
    fn a_deadline_in_the_past_or_absurdly_far_is_unknown() {
        assert_eq!(left(-1), BUDGET);
        assert_eq!(left(0), BUDGET);
        let now = Instant::now();
        for absurd_ms in [600_000, u64::MAX, 1_800_000_000_000_000_000] {
            let deadline = Deadline::of_invocation(absurd_ms, BUDGET, RESERVE, SystemTime::now(), now);
            assert_eq!((deadline.remaining(now), deadline.answer_by()), (BUDGET, None), "{absurd_ms}");
        }
    }

    #[test]
    fn remaining_ends_at_zero() {
        let now = Instant::now();
        let deadline = Deadline::after(BUDGET, now);
        assert_eq!(deadline.remaining(now + BUDGET * 2), Duration::ZERO);
    }
}
