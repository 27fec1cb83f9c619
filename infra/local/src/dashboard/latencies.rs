//! The latencies of the second that is going on.

use std::time::Duration;

/// So many are looked at; beyond, each new one takes the place of one chosen at random (reservoir sampling), so memory stays bounded.
const LIMIT: usize = 4_096;

#[derive(Default)]
pub(super) struct Latencies {
    kept_us: Vec<u64>,
    seen: u64,
}

impl Latencies {
    pub(super) fn add(&mut self, took: Duration) {
        let took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.seen += 1;
        if self.kept_us.len() < LIMIT {
            self.kept_us.push(took_us);
            return;
        }
        let place = usize::try_from(fastrand::u64(..self.seen)).unwrap_or(usize::MAX);
        if let Some(kept_us) = self.kept_us.get_mut(place) {
            *kept_us = took_us;
        }
    }

    /// Median and 99th percentile in milliseconds (nearest rank), and begins anew. None without a request.
    pub(super) fn take(&mut self) -> (Option<f64>, Option<f64>) {
        let mut sorted_us = std::mem::take(&mut self.kept_us);
        self.seen = 0;
        sorted_us.sort_unstable();
        let rank = |percent: usize| {
            let place = (sorted_us.len() * percent).div_ceil(100).checked_sub(1)?;
            sorted_us.get(place).map(|us| Duration::from_micros(*us).as_secs_f64() * 1e3)
        };
        (rank(50), rank(99))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_the_nearest_rank_and_each_second_begins_anew() {
        let mut latencies = Latencies::default();
        assert_eq!(latencies.take(), (None, None));
        for ms in (1..=200).rev() {
            latencies.add(Duration::from_millis(ms));
        }
        assert_eq!(latencies.take(), (Some(100.0), Some(198.0)));
        latencies.add(Duration::from_micros(1_500));
        assert_eq!(latencies.take(), (Some(1.5), Some(1.5)));
    }

    #[test]
    fn any_number_of_requests_takes_no_more_memory() {
        let mut latencies = Latencies::default();
        for _ in 0..50 * LIMIT {
            latencies.add(Duration::from_millis(7));
        }
        assert_eq!(latencies.kept_us.len(), LIMIT);
        assert_eq!(latencies.take(), (Some(7.0), Some(7.0)));
    }
}
