//! The last report, for the requests of the next second: whoever asks often asks this sandbox and not the database.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

/// How long a report serves.
const LIFETIME: Duration = Duration::from_secs(1);

/// The last of something, for a second by either clock: in a freeze the monotonic one may stand still, and the other one may be set.
#[derive(Debug)]
pub(crate) struct Recent<T> {
    last: Mutex<Option<(SystemTime, Instant, T)>>,
}

impl<T> Default for Recent<T> {
    fn default() -> Self {
        Self { last: Mutex::new(None) }
    }
}

impl<T: Clone> Recent<T> {
    /// The last one, if it is younger than a second.
    pub(crate) fn get(&self, wall: SystemTime, monotonic: Instant) -> Option<T> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let (kept_wall, kept_monotonic, value) = last.as_ref()?;
        let is_young = wall.duration_since(*kept_wall).is_ok_and(|age| age < LIFETIME) && monotonic.duration_since(*kept_monotonic) < LIFETIME;
        is_young.then(|| value.clone())
    }

    /// Keeps one.
    pub(crate) fn set(&self, wall: SystemTime, monotonic: Instant, value: T) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some((wall, monotonic, value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_serves_for_a_second_by_either_clock() {
        let (wall, monotonic) = (SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000), Instant::now());
        let ms = Duration::from_millis;
        let recent = Recent::default();
        assert_eq!(recent.get(wall, monotonic), None);
        recent.set(wall, monotonic, 7);
        assert_eq!(recent.get(wall + ms(999), monotonic + ms(999)), Some(7));
        assert_eq!(recent.get(wall + ms(1_000), monotonic), None, "thawed");
        assert_eq!(recent.get(wall, monotonic + ms(1_000)), None, "the wall clock was set back by as much");
        assert_eq!(recent.get(wall - ms(1), monotonic), None, "the wall clock went back");
    }
}
