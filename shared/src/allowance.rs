//! How much work one sandbox may send again: a token bucket. Pure.
//!
//! A database in trouble answers slowly or with errors, and every repetition adds to its load. So repetitions spend tokens, and only
//! success earns them back. The bucket is small, because a sandbox has one request in flight: the hundreds of tokens of the AWS SDKs
//! would never run dry here. Connecting again costs nothing: nothing was sent.

/// Tokens of a full bucket.
const CAPACITY: u32 = 10;
/// Successes that earn one token back.
const SUCCESSES_PER_TOKEN: u32 = 2;

/// The tokens of one sandbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Allowance {
    /// In parts of a token, of which a success earns one.
    parts: u32,
}

impl Default for Allowance {
    fn default() -> Self {
        Self { parts: CAPACITY * SUCCESSES_PER_TOKEN }
    }
}

impl Allowance {
    /// Takes a token for one repetition; false where none is left.
    pub(crate) fn spend(&mut self) -> bool {
        let left = self.parts.checked_sub(SUCCESSES_PER_TOKEN);
        self.parts = left.unwrap_or(self.parts);
        left.is_some()
    }

    /// Work succeeded without a repetition.
    pub(crate) fn earn(&mut self) {
        self.parts = (self.parts + 1).min(CAPACITY * SUCCESSES_PER_TOKEN);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_bucket_allows_ten_repetitions_and_no_eleventh() {
        let mut allowance = Allowance::default();
        assert_eq!((0..20).filter(|_| allowance.spend()).count(), 10);
    }

    #[test]
    fn two_successes_earn_one_repetition() {
        let mut allowance = Allowance::default();
        while allowance.spend() {}
        allowance.earn();
        assert!(!allowance.spend());
        allowance.earn();
        assert!(allowance.spend());
        assert!(!allowance.spend());
    }

    #[test]
    fn success_never_fills_it_past_the_brim() {
        let mut allowance = Allowance::default();
        for _ in 0..1_000 {
            allowance.earn();
        }
        assert_eq!(allowance, Allowance::default());
    }
}
