//! Sign-in by IAM token, the server's side: what RDS and RDS Proxy ask of a token, checked without a network.
//!
//! A token is a presigned request, `host:port/?Action=connect&DBUser=…&X-Amz-…`, that is never sent. The service recomputes its signature
//! from the secret that belongs to the access key id; so does this module, by way of [`sigv4`](crate::sigv4).
//!
//! Not established for the real service, and strict here: unknown parameters, parameters given twice, tokens dated ahead of the server's
//! clock by more than [`CLOCK_SKEW`], and host names in capitals under a signature for the same in lower case (accepted). Nor does a
//! stand-in know policies: whether the role may `rds-db:connect` as this user is AWS's to say.

mod token;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};

pub use token::MAX_TOKEN_BYTES;
use token::Token;

use crate::sigv4::{CLOCK_SKEW, LocalCredentials};

const SERVICE: &str = "rds-db";

/// The longest life that a token may ask for. Amazon RDS User Guide: "Each token has a lifetime of 15 minutes."
pub const MAX_LIFETIME: Duration = Duration::from_secs(15 * 60);

/// The SQLSTATE of every refusal, invalid_password. AWS documents only the message; this code stands beside it in a published log of a
/// function that met RDS Proxy with an expired token. A database without a proxy says 28000.
pub const SQLSTATE: &str = "28P01";

/// What the client is told of every refusal. RDS Proxy User Guide, "Troubleshooting", errors for PostgreSQL.
#[must_use]
pub fn message(user: &str) -> String {
    format!("The IAM authentication failed for the role {user}. Check the IAM token for this role and try again.")
}

/// Why a token was refused, for the log. The client is told none of this. Holds no secret and no signature.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// Not a token at all: perhaps a password.
    #[error("it is no token: {0}")]
    Malformed(&'static str),
    /// A parameter is missing.
    #[error("it has no {0}")]
    Missing(&'static str),
    /// A parameter stands twice.
    #[error("it has {0} twice")]
    Duplicate(&'static str),
    /// A parameter that no token has.
    #[error("it has a parameter that no token has")]
    Unknown,
    /// A parameter has a value that it cannot have.
    #[error("its {0} is not what it must be")]
    Unacceptable(&'static str),
    /// It is for another host.
    #[error("it is for the host {0:?}")]
    Host(String),
    /// It is for another port.
    #[error("it is for port {0:?}")]
    Port(String),
    /// It is for another user.
    #[error("it is for the user {0:?}")]
    User(String),
    /// It is for another region.
    #[error("it is for the region {0:?}")]
    Region(String),
    /// It is for another service.
    #[error("it is for the service {0:?}")]
    Service(String),
    /// Its time is over.
    #[error("it expired {0:?} ago")]
    Expired(Duration),
    /// Its time has not come.
    #[error("it is dated {0:?} ahead")]
    Future(Duration),
    /// Nobody here has this access key id.
    #[error("its access key id is unknown")]
    AccessKey,
    /// The credentials have a session token, and it has none or another; or the other way round.
    #[error("its session token is missing or another")]
    SessionToken,
    /// It was signed with another secret, or changed afterwards.
    #[error("its signature is wrong")]
    Signature,
}

/// Checks the tokens of one proxy.
#[derive(Debug, Clone)]
pub struct Verifier {
    hosts: BTreeSet<String>,
    port: u16,
    region: String,
    credentials: BTreeMap<String, LocalCredentials>,
}

impl Verifier {
    /// For a proxy that clients reach under any of these host names and addresses (IPv6 without brackets), at one port, in one region.
    #[must_use]
    pub fn new<'a>(hosts: impl IntoIterator<Item = &'a str>, port: u16, region: impl Into<String>) -> Self {
        let hosts = hosts.into_iter().map(str::to_ascii_lowercase).collect();
        Self { hosts, port, region: region.into(), credentials: BTreeMap::new() }
    }

    /// Accepts tokens that are signed with these credentials, too.
    #[must_use]
    pub fn with(mut self, credentials: &LocalCredentials) -> Self {
        self.credentials.insert(credentials.access_key_id.clone(), credentials.clone());
        self
    }

    /// Whether `token` lets `user`, the one of the startup message, in at `now`.
    ///
    /// # Errors
    /// What is wrong with it, for the log.
    pub fn verify(&self, token: &str, user: &str, now: SystemTime) -> Result<(), Refusal> {
        let token = Token::parse(token)?;
        if !self.hosts.contains(&token.host) {
            return Err(Refusal::Host(token.host));
        }
        if token.port != self.port.to_string() {
            return Err(Refusal::Port(token.port));
        }
        if token.user != user {
            return Err(Refusal::User(token.user));
        }
        if token.scope.service != SERVICE {
            return Err(Refusal::Service(token.scope.service));
        }
        if token.scope.region != self.region {
            return Err(Refusal::Region(token.scope.region));
        }
        in_time(&token, now)?;
        let known = self.credentials.get(&token.scope.access_key_id).ok_or(Refusal::AccessKey)?;
        if !known.have_session_token(token.session_token()) {
            return Err(Refusal::SessionToken);
        }
        if token.is_signed_by(&known.secret_access_key) { Ok(()) } else { Err(Refusal::Signature) }
    }
}

fn in_time(token: &Token, now: SystemTime) -> Result<(), Refusal> {
    match now.duration_since(token.signed_at) {
        Ok(age) if age >= token.lifetime => Err(Refusal::Expired(age - token.lifetime)),
        Err(ahead) if ahead.duration() > CLOCK_SKEW => Err(Refusal::Future(ahead.duration())),
        _ => Ok(()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests;
