//! A sandbox, as people and tests see it.

use serde::{Deserialize, Serialize};

/// How a sandbox stands, in the words of its users.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Condition {
    /// It starts, or runs its first invocation.
    Cold,
    /// It runs an invocation and has served before.
    Warm,
    /// It waits for the next invocation, stopped.
    Frozen,
    /// It waits for invocations and runs on, since it takes several at once.
    Idle,
    /// Its process is gone.
    Ended,
}

/// One sandbox at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SandboxReport {
    /// The function.
    pub function: String,
    /// Its process.
    pub pid: i32,
    /// Cold, warm, frozen, idle or ended.
    pub condition: Condition,
    /// How many invocations it took, those under way included.
    pub invocations: u64,
    /// How often it was thawed.
    pub thaws: u64,
}
