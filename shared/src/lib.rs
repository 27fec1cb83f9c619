//! What every function of the bundle stands on: one Postgres connection per sandbox, kept across freezes, and the request around it.
//!
//! # Words
//! - **sandbox**: one execution environment of Lambda. It is *cold* until its first invocation, *warm* afterwards, *frozen* in between.
//! - **connection**: the one that the sandbox keeps. The cache lets it be *checked out*, *given back* or *invalidated*.
//! - **key**: names one write of one principal, so that running it again finds the first time.
//! - **attempt**: one sending of the work to the database. A *policy* says how often work may be sent again, a *budget* for how long,
//!   the *deadline* is when Lambda kills the invocation.
//! - **recovery**: what an error asks for: *Reconnect*, *Retry* or *Fail*.
//! - **probe**: one attempt without recovery, for health.
//!
//! # Layers, arrows downwards only
//! ```text
//! lambda (serve)   http   identity   key   idempotency   page   refusal   metrics   what a function touches
//! db -> engine -> cache, connect -> token, pooler       the connection
//! retry  recovery  breaker  allowance  tally  deadline  config  error   pure: no I/O, clock and random source are passed in (config reads the environment, once)
//! ```

pub mod body;
pub mod http;
pub mod idempotency;
pub mod identity;
pub mod key;
pub mod lambda;
pub mod metrics;
pub mod page;
pub mod refusal;

mod cache;
mod connect;
pub mod db;
mod engine;
#[cfg(feature = "migrations")]
pub mod migrations;
mod pooler;
pub mod probe;
pub mod token;

mod allowance;
mod breaker;
pub mod config;
pub mod deadline;
pub mod error;
pub mod recovery;
pub mod retry;
mod tally;
pub mod telemetry;

mod compression;
mod cursor;
mod etag;
mod problem;
#[cfg(test)]
mod said;

pub use db::{Db, KeyedWrite, Query};
pub use error::Error;
pub use http::{Request, Response};
pub use idempotency::{Effect, Kept, Submission};
pub use key::Key;
pub use refusal::Refusal;
