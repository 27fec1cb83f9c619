//! What came of a drill.

use serde::{Deserialize, Serialize};

use super::{Drill, milliseconds};
use crate::traffic::Served;

/// A drill that ran to its end.
#[derive(Debug, Clone, Serialize)]
pub struct Outcome {
    /// Which one.
    pub drill: Drill,
    /// What was done, in one sentence.
    pub done: String,
    /// From its begin to the end of the fault.
    pub fault_ms: u64,
    /// From then until every request that met it was answered.
    pub healed_ms: u64,
    /// That request; None where the API has none that could be sent.
    pub witness: Option<Witness>,
}

/// A request that was sent amid the fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Witness {
    /// The status of its answer.
    pub status: u16,
    /// How long it took.
    pub took_ms: u64,
}

impl From<Served> for Witness {
    fn from(served: Served) -> Self {
        Self { status: served.status, took_ms: milliseconds(served.took) }
    }
}

/// Why a drill did not run to its end.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// One at a time.
    #[error("the drill {} is running: wait until it has ended", running.name())]
    Busy {
        /// The one that runs.
        running: Drill,
    },
    /// It takes more than there is here.
    #[error("the drill {} cannot be run here: {reason}", drill.name())]
    Impossible {
        /// The one that was asked for.
        drill: Drill,
        /// What it would take.
        reason: &'static str,
    },
    /// The fault could not be made, or not be ended.
    #[error("the drill {} failed: {reason}", drill.name())]
    Failed {
        /// The one that ran.
        drill: Drill,
        /// What went wrong.
        reason: String,
    },
}
