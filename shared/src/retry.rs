//! When work is tried again, and after how long. Pure: no clock and no I/O, the random source is passed in.
//!
//! Two counters that must not be mixed: *resends* are work that was sent to the database once more, and the policy bounds them;
//! *reconnects* happened before anything was executed, so they are free and only the budget bounds them.

use std::time::Duration;

use crate::recovery::Recovery;

/// How often and how fast work is tried again.
///
/// With the defaults the waits add up to at most 50 + 100 + 200 = 350 ms for three resends; connecting repeats until the budget ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// How often work may be sent again after the first time.
    pub max_resends: u32,
    /// Upper end of the first wait; it doubles with each further one.
    pub base_delay: Duration,
    /// Upper end of every wait.
    pub max_delay: Duration,
    /// Least wait before connecting again.
    pub reconnect_floor: Duration,
}

impl Policy {
    /// Full jitter: random(0, min(cap, base * 2^n)), as in "Exponential Backoff And Jitter" (AWS Architecture Blog, 2015).
    fn delay(&self, step: u32, random: &mut fastrand::Rng) -> Duration {
        let cap = self.base_delay.saturating_mul(2_u32.saturating_pow(step)).min(self.max_delay);
        cap.mul_f64(random.f64())
    }
}

/// What failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// No connection came about, or none to a server that takes the work; nothing was executed.
    Connect(Recovery),
    /// The work was sent, and may have been executed.
    Work(Recovery),
}

/// What to do after a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Wait this long, then try again.
    Again(Duration),
    /// The failure is the answer.
    GiveUp,
}

/// The state of one operation under a policy.
#[derive(Debug)]
pub struct Retry {
    policy: Policy,
    resends: u32,
    reconnects: u32,
    random: fastrand::Rng,
}

impl Retry {
    /// A fresh operation. `random` decides the jitter, so that a seed repeats a run.
    #[must_use]
    pub fn new(policy: Policy, random: fastrand::Rng) -> Self {
        Self { policy, resends: 0, reconnects: 0, random }
    }

    /// Decides after a failure with `remaining` of the budget left. A wait that would use up all of it is not worth beginning.
    pub fn after(&mut self, failure: Failure, remaining: Duration) -> Decision {
        let (count, delay) = match failure {
            Failure::Connect(Recovery::Fail) | Failure::Work(Recovery::Fail) => return Decision::GiveUp,
            Failure::Connect(_) => {
                let delay = self.policy.delay(self.reconnects, &mut self.random);
                (&mut self.reconnects, delay.max(self.policy.reconnect_floor))
            }
            Failure::Work(_) if self.resends >= self.policy.max_resends => return Decision::GiveUp,
            // Only a second loss in a row says that the server needs time.
            Failure::Work(Recovery::Reconnect) if self.resends == 0 => (&mut self.resends, Duration::ZERO),
            Failure::Work(_) => {
                let delay = self.policy.delay(self.resends, &mut self.random);
                (&mut self.resends, delay)
            }
        };
        if delay >= remaining {
            return Decision::GiveUp;
        }
        *count += 1;
        Decision::Again(delay)
    }

    /// Takes back that work is sent again: something else forbids it.
    pub fn withdraw_resend(&mut self) {
        self.resends = self.resends.saturating_sub(1);
    }

    /// How often work was sent again so far.
    #[must_use]
    pub fn resends(&self) -> u32 {
        self.resends
    }

    /// How often connecting was repeated so far.
    #[must_use]
    pub fn reconnects(&self) -> u32 {
        self.reconnects
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: Policy = Policy {
        max_resends: 3,
        base_delay: Duration::from_millis(50),
        max_delay: Duration::from_millis(1_000),
        reconnect_floor: Duration::from_millis(20),
    };
    const PLENTY: Duration = Duration::from_secs(9);

    fn retry(seed: u64) -> Retry {
        Retry::new(POLICY, fastrand::Rng::with_seed(seed))
    }

    #[test]
    fn work_is_sent_again_three_times_and_no_more() {
        for seed in 0..1_000 {
            let mut retry = retry(seed);
            let granted = (0..10).take_while(|_| retry.after(Failure::Work(Recovery::Retry), PLENTY) != Decision::GiveUp).count();
            assert_eq!(granted, 3, "seed {seed}");
            assert_eq!(retry.resends(), 3, "seed {seed}");
        }
    }

    #[test]
    fn connecting_repeats_without_using_resends_and_never_faster_than_the_floor() {
        for seed in 0..100 {
            let mut retry = retry(seed);
            for repeat in 0..200 {
                let Decision::Again(delay) = retry.after(Failure::Connect(Recovery::Reconnect), PLENTY) else {
                    panic!("seed {seed} gave up at {repeat}")
                };
                assert!(delay >= POLICY.reconnect_floor && delay <= POLICY.max_delay, "seed {seed}, repeat {repeat}: {delay:?}");
            }
            assert_eq!((retry.resends(), retry.reconnects()), (0, 200));
        }
    }

    #[test]
    fn every_wait_stays_under_its_doubling_cap_and_the_jitter_is_full() {
        let (mut low, mut high) = (0, 0);
        for seed in 0..1_000 {
            let mut retry = retry(seed);
            for (step, cap_ms) in [50, 100, 200].into_iter().enumerate() {
                let Decision::Again(delay) = retry.after(Failure::Work(Recovery::Retry), PLENTY) else { panic!("seed {seed}") };
                assert!(delay <= Duration::from_millis(cap_ms), "seed {seed}, step {step}: {delay:?}");
                low += u32::from(delay < Duration::from_millis(cap_ms / 4));
                high += u32::from(delay > Duration::from_millis(cap_ms * 3 / 4));
            }
        }
        assert!(low > 500 && high > 500, "not spread over the whole range: {low} low, {high} high of 3000");
    }

    #[test]
    fn nothing_is_begun_that_the_budget_cannot_hold() {
        for seed in 0..100 {
            assert_eq!(retry(seed).after(Failure::Work(Recovery::Reconnect), Duration::ZERO), Decision::GiveUp, "seed {seed}");
            assert_eq!(retry(seed).after(Failure::Connect(Recovery::Reconnect), Duration::from_millis(20)), Decision::GiveUp, "seed {seed}");
        }
    }

    #[test]
    fn what_cannot_recover_is_never_tried_again() {
        assert_eq!(retry(1).after(Failure::Work(Recovery::Fail), PLENTY), Decision::GiveUp);
        assert_eq!(retry(1).after(Failure::Connect(Recovery::Fail), PLENTY), Decision::GiveUp);
    }

    #[test]
    fn the_first_loss_of_a_connection_costs_no_wait() {
        assert_eq!(retry(1).after(Failure::Work(Recovery::Reconnect), PLENTY), Decision::Again(Duration::ZERO));
    }

    #[test]
    fn the_same_seed_gives_the_same_waits() {
        let waits =
            |seed| (0..3).map(|_| 0).scan(retry(seed), |retry, _| Some(retry.after(Failure::Work(Recovery::Retry), PLENTY))).collect::<Vec<_>>();
        assert_eq!(waits(7), waits(7));
        assert_ne!(waits(7), waits(8));
    }
}
