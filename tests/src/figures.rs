//! Figures of a benchmark: many measurements, a few numbers.

use std::time::Duration;

/// Measurements of one thing, in milliseconds.
#[derive(Debug, Clone, Default)]
pub struct Figures {
    measured_ms: Vec<f64>,
}

impl Figures {
    /// One more.
    pub fn add(&mut self, measured: Duration) {
        self.measured_ms.push(measured.as_secs_f64() * 1e3);
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.measured_ms.len()
    }

    /// The smallest measurement that at least `percent` of all do not exceed (nearest rank), in milliseconds; NaN where there is none.
    #[must_use]
    pub fn percentile_ms(&self, percent: f64) -> f64 {
        let mut sorted = self.measured_ms.clone();
        sorted.sort_by(f64::total_cmp);
        #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rank is small and positive")]
        let rank = (percent / 100.0 * sorted.len() as f64).ceil().max(1.0) as usize;
        sorted.get(rank - 1).copied().unwrap_or(f64::NAN)
    }
}

impl FromIterator<Duration> for Figures {
    fn from_iter<I: IntoIterator<Item = Duration>>(measured: I) -> Self {
        let mut figures = Self::default();
        measured.into_iter().for_each(|measured| figures.add(measured));
        figures
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_one_of_the_measurements() {
        let figures: Figures = [4, 1, 3, 2].map(Duration::from_millis).into_iter().collect();
        let percentiles = [0.0, 25.0, 50.0, 51.0, 90.0, 100.0].map(|percent| figures.percentile_ms(percent));
        assert_eq!(percentiles, [1.0, 1.0, 2.0, 3.0, 4.0, 4.0]);
        assert!(Figures::default().percentile_ms(50.0).is_nan());
    }
}
