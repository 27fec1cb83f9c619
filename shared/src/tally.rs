//! What the operations of one invocation cost beyond the first try, for its log line and metrics. Pure.

use std::sync::atomic::{AtomicU32, Ordering};

/// Counts of one invocation, over all its operations.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    resends: AtomicU32,
    reconnects: AtomicU32,
    connects: AtomicU32,
    refused: AtomicU32,
}

/// The counts at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// How often work was sent again.
    pub(crate) resends: u32,
    /// How often connecting was repeated.
    pub(crate) reconnects: u32,
    /// How often a connection came about.
    pub(crate) connects: u32,
    /// How often the breaker turned an operation away.
    pub(crate) refused: u32,
}

impl Tally {
    /// Adds what one operation cost.
    pub(crate) fn add(&self, counts: Counts) {
        self.resends.fetch_add(counts.resends, Ordering::Relaxed);
        self.reconnects.fetch_add(counts.reconnects, Ordering::Relaxed);
        self.connects.fetch_add(counts.connects, Ordering::Relaxed);
        self.refused.fetch_add(counts.refused, Ordering::Relaxed);
    }

    /// The sums so far.
    pub(crate) fn counts(&self) -> Counts {
        let read = |count: &AtomicU32| count.load(Ordering::Relaxed);
        Counts { resends: read(&self.resends), reconnects: read(&self.reconnects), connects: read(&self.connects), refused: read(&self.refused) }
    }
}
