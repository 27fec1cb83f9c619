//! The place where a sandbox keeps its connections between invocations: one, or under Lambda Managed Instances as many as there are
//! invocations at once.
//!
//! Check-out moves a connection out; only [`Cache::give_back`] brings it back. So whatever cancels or fails an invocation drops the
//! connection with it, and no half-read answer can meet the next request. There is no pool, and nothing runs in the background: a task
//! would be frozen in the middle of what it does.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

/// Keeps idle connections, at most as many as it was made for.
#[derive(Debug)]
pub(crate) struct Cache<T> {
    idle: Mutex<Vec<Idle<T>>>,
    capacity: usize,
}

#[derive(Debug)]
struct Idle<T> {
    connection: T,
    since: Moment,
    trusted: bool,
}

/// One moment by both clocks. In a freeze the monotonic one may stand still; the other one may be set.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    pub(crate) wall: SystemTime,
    pub(crate) monotonic: Instant,
}

impl Moment {
    /// Whether at least `age` has passed since then by either clock. A wall clock that went back tells nothing, so it counts as old.
    fn is_older(self, now: Moment, age: Duration) -> bool {
        now.wall.duration_since(self.wall).map_or(true, |passed| passed >= age) || now.monotonic.saturating_duration_since(self.monotonic) >= age
    }
}

/// A connection that was checked out.
#[derive(Debug)]
pub(crate) struct CheckedOut<T> {
    /// The connection, now the caller's alone.
    pub(crate) connection: T,
    /// Whether it has to be pinged before use: it was idle for long, or another one broke since.
    pub(crate) stale: bool,
}

impl<T> Cache<T> {
    /// An empty cache for at most `capacity` idle connections.
    #[must_use]
    pub(crate) fn new(capacity: usize) -> Self {
        Self { idle: Mutex::new(Vec::new()), capacity }
    }

    /// Takes out the connection that was used last, if there is one. It is stale where it was idle for `max_idle` by either clock.
    pub(crate) fn check_out(&self, now: Moment, max_idle: Duration) -> Option<CheckedOut<T>> {
        let idle = self.lock().pop()?;
        let stale = !idle.trusted || idle.since.is_older(now, max_idle);
        Some(CheckedOut { connection: idle.connection, stale })
    }

    /// Keeps a connection whose last use ended cleanly. One too many is dropped.
    pub(crate) fn give_back(&self, connection: T, now: Moment) {
        let mut idle = self.lock();
        if idle.len() < self.capacity {
            idle.push(Idle { connection, since: now, trusted: true });
        }
    }

    /// Has every idle connection pinged before its next use: what broke one of them may have broken them all.
    pub(crate) fn distrust(&self) {
        for idle in self.lock().iter_mut() {
            idle.trusted = false;
        }
    }

    /// Takes out all.
    pub(crate) fn invalidate(&self) -> Vec<T> {
        std::mem::take(&mut *self.lock()).into_iter().map(|idle| idle.connection).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Idle<T>>> {
        // Nothing can panic while the lock is held, and a moved connection is never half there.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::OnceLock;
    use std::time::UNIX_EPOCH;

    use super::*;

    const MAX_IDLE: Duration = Duration::from_secs(10);

    /// The wall clock at `s`, while the monotonic one stands still.
    fn at(s: u64) -> Moment {
        static BEGAN: OnceLock<Instant> = OnceLock::new();
        Moment { wall: UNIX_EPOCH + Duration::from_secs(1_800_000_000 + s), monotonic: *BEGAN.get_or_init(Instant::now) }
    }

    fn stale_after(given: Moment, taken: Moment) -> Option<bool> {
        let cache = Cache::new(1);
        cache.give_back((), given);
        cache.check_out(taken, MAX_IDLE).map(|checked_out| checked_out.stale)
    }

    #[test]
    fn age_is_judged_by_either_clock_and_a_wall_clock_that_went_back_means_old() {
        assert_eq!(stale_after(at(0), at(9)), Some(false));
        assert_eq!(stale_after(at(0), at(10)), Some(true));
        assert_eq!(stale_after(at(0), at(86_400 * 365)), Some(true), "thawed after a year");
        assert_eq!(stale_after(at(5), at(4)), Some(true), "the clock went back");
        let set_back = Moment { monotonic: at(0).monotonic + MAX_IDLE, ..at(1) };
        assert_eq!(stale_after(at(0), set_back), Some(true), "the clock was set back by less than what had passed");
    }

    #[test]
    fn a_connection_is_with_one_at_a_time_and_only_what_is_given_back_returns() {
        let cache = Cache::new(1);
        cache.give_back(1, at(0));
        assert_eq!(cache.check_out(at(1), MAX_IDLE).map(|out| out.connection), Some(1));
        assert!(cache.check_out(at(1), MAX_IDLE).is_none());
    }

    #[test]
    fn once_one_broke_the_idle_ones_are_pinged_until_they_were_used() {
        let cache = Cache::new(1);
        cache.give_back((), at(0));
        cache.distrust();
        assert_eq!(cache.check_out(at(0), MAX_IDLE).map(|out| out.stale), Some(true));
        cache.give_back((), at(0));
        assert_eq!(cache.check_out(at(0), MAX_IDLE).map(|out| out.stale), Some(false));
    }

    #[test]
    fn no_more_are_kept_than_there_is_room_for_and_the_last_used_goes_first() {
        let cache = Cache::new(2);
        for connection in 1..=3 {
            cache.give_back(connection, at(0));
        }
        assert_eq!(cache.check_out(at(1), MAX_IDLE).map(|out| out.connection), Some(2));
        assert_eq!(cache.invalidate(), vec![1]);
    }
}
