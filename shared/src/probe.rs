//! What health learns from one attempt beside its answer.

use std::time::Duration;

/// The answer of a probe, and how it came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Probed<T> {
    /// What the work gave.
    pub output: T,
    /// Whether the connection was there already.
    pub reused: bool,
    /// Until there was a connection that answers: a ping, or connecting.
    pub connect: Duration,
    /// The work alone: one round trip on a session that knows its statement, two on a new one.
    pub work: Duration,
    /// How long ago the connection was opened, by the wall clock; zero where that went back.
    pub age: Duration,
}
