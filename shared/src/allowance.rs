//! How much work one sandbox may send again: a token bucket. Pure.
//!
//! A database in trouble answers slowly or with errors, and every repetition adds to its load. So repetitions spend tokens, and only
//! success earns them back. The bucket is small, because a sandbox has few requests in flight: the hundreds of tokens of the AWS SDKs
//! would never run dry here. It grows with how many those may be, since all of them fail together when the database restarts. Connecting again costs nothing: nothing was sent.

/// Tokens of a full bucket for each request that may be in flight.
const CAPACITY: u32 = 10;
/// Successes that earn one token back.
const SUCCESSES_PER_TOKEN: u32 = 2;

/// The tokens of one sandbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Allowance {
    /// In parts of a token, of which a success earns one.
    parts: u32,
    full: u32,
}

impl Allowance {
    /// A full bucket for so many requests at once.
    pub(crate) fn new(concurrency: usize) -> Self {
        let full = u32::try_from(concurrency).unwrap_or(u32::MAX).saturating_mul(CAPACITY * SUCCESSES_PER_TOKEN);
        Self { parts: full, full }
    }

    /// Takes a token for one repetition; false where none is left.
    pub(crate) fn spend(&mut self) -> bool {
        let left = self.parts.checked_sub(SUCCESSES_PER_TOKEN);
        self.parts = left.unwrap_or(self.parts);
        left.is_some()
    }

    /// Work succeeded without a repetition.
    pub(crate) fn earn(&mut self) {
        self.parts = self.parts.saturating_add(1).min(self.full);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_bucket_allows_ten_repetitions_and_no_eleventh() {
        let mut allowance = Allowance::new(1);
        assert_eq!((0..20).filter(|_| allowance.spend()).count(), 10);
    }

    #[test]
    fn the_bucket_grows_with_the_requests_that_may_be_in_flight() {
        let mut allowance = Allowance::new(4);
        assert_eq!((0..80).filter(|_| allowance.spend()).count(), 40);
    }

    #[test]
    fn two_successes_earn_one_repetition() {
        let mut allowance = Allowance::new(1);
        while allowance.spend() {}
        allowance.earn();
        assert!(!allowance.spend());
        allowance.earn();
        assert!(allowance.spend());
        assert!(!allowance.spend());
    }

    #[test]
    fn success_never_fills_it_past_the_brim() {
        let mut allowance = Allowance::new(1);
        for _ in 0..1_000 {
            allowance.earn();
        }
        assert_eq!(allowance, Allowance::new(1));
    }
}
