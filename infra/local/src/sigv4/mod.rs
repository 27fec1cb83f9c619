//! Signature Version 4, the service's side: what the local cloud's RDS Proxy and API Gateway have in common in checking a signature.
//!
//! From AWS's description ("AWS Signature Version 4 for API requests" in the IAM User Guide) and not with the library that clients sign with,
//! so that each checks the other. A signature is checked in four steps: canonical request, which differs by service, string to sign, signing
//! key, signature.

mod credentials;
mod encoding;
mod moment;
mod scope;
mod signature;

use std::time::Duration;

pub use credentials::LocalCredentials;
pub(crate) use encoding::{decoded, encoded};
pub(crate) use moment::{moment, number};
pub(crate) use scope::Scope;
pub(crate) use signature::{ALGORITHM, Signed, sha256};

/// The region that the local cloud says it is in.
pub const REGION: &str = "eu-central-1";

/// What AWS's services grant to clocks that differ ("Troubleshoot Signature Version 4").
pub const CLOCK_SKEW: Duration = Duration::from_secs(5 * 60);
