//! Which statements would pin a session in RDS Proxy: read from their text by [`classify()`].
//!
//! A pinned session keeps its database connection until it ends, so nothing is multiplexed any more. AWS documents the rules ([`Reason`])
//! and logs each pin; here they are known before anything is deployed. No stand-in can prove what RDS Proxy does, so what is documented and
//! what is not are told apart by [`Verdict`].
//!
//! The parser is squawk-syntax, a parser of PostgreSQL's SQL and PL/pgSQL in Rust. Weighed against it on 139 valid statements of all kinds:
//! sqlparser did not know 30 of them, squawk-syntax 2 (and recovers on both). pg_query is the server's own parser, but does not build
//! without libclang, which one who has Rust and a C compiler does not have.

mod classify;
mod finding;
mod reader;
mod reason;
mod rules;
#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests;

pub use classify::{STATEMENT_LIMIT_BYTES, Text, classify, read};
pub use finding::Finding;
pub(crate) use finding::shorten;
pub use reader::Reader;
pub use reason::{Reason, Verdict};
