//! The token that stands for a password where `DB_AUTH` is `iam`: a request to `rds-db`, signed with the function's own AWS credentials and
//! sent to nobody but the database. Signing asks nobody either: no round trip, no HTTP client.
//!
//! The caller needs `rds-db:connect` on the proxy's resource and the user; the server checks that, a token is signed without.
//!
//! Source: Amazon RDS User Guide, "IAM database authentication"; AWS Signature Version 4, "query string parameters".

use std::net::Ipv6Addr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SignatureLocation, SigningSettings, sign as sign_request};
use aws_sigv4::sign::v4;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use secrecy::{ExposeSecret, SecretString};
use tracing::Dispatch;

use crate::config::Aws;

/// How long the server accepts a token after it was signed: the longest that RDS grants. An open connection is not closed when it ends.
const LIFETIME: Duration = Duration::from_secs(15 * 60);

/// How long a token is used for new connections. The third of its life that is left over is for clocks that differ and a slow sign-in;
/// signing takes microseconds, so a shorter time would cost next to nothing.
const KEPT_FOR: Duration = Duration::from_secs(10 * 60);

/// What Signature Version 4 leaves as it is; everything else is percent-encoded, byte by byte.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Whose token, and for where.
#[derive(Debug, Clone, Copy)]
pub struct SignIn<'a> {
    /// Host name or address, as connected to.
    pub host: &'a str,
    /// TCP port, as connected to.
    pub port: u16,
    /// The database role.
    pub user: &'a str,
}

/// A token could not be signed: the host is no host name.
#[derive(Debug, thiserror::Error)]
#[error("a token for the database could not be signed")]
pub struct SignError(#[source] Box<dyn std::error::Error + Send + Sync>);

/// Signs a token that is good for 15 minutes from `now` on: `host:port/?Action=connect&DBUser=…&X-Amz-…`, without a scheme.
///
/// # Errors
/// The host cannot stand in a URL.
pub fn sign(sign_in: SignIn<'_>, aws: &Aws, now: SystemTime) -> Result<SecretString, SignError> {
    // The signer logs what it signs at TRACE, with the session token in it.
    tracing::dispatcher::with_default(&Dispatch::none(), || sign_unlogged(sign_in, aws, now)).map_err(SignError)
}

fn sign_unlogged(sign_in: SignIn<'_>, aws: &Aws, now: SystemTime) -> Result<SecretString, Box<dyn std::error::Error + Send + Sync>> {
    let session_token = aws.session_token.as_ref().map(|token| token.expose_secret().to_owned());
    let identity = Credentials::new(&aws.access_key_id, aws.secret_access_key.expose_secret(), session_token, None, "environment").into();
    let mut settings = SigningSettings::default();
    settings.signature_location = SignatureLocation::QueryParams;
    settings.expires_in = Some(LIFETIME);
    let parameters = v4::SigningParams::builder().identity(&identity).region(&aws.region).name("rds-db").time(now).settings(settings).build()?.into();

    let mut token = format!("{}/?Action=connect&DBUser={}", authority(sign_in), encoded(sign_in.user));
    let url = format!("https://{token}");
    let request = SignableRequest::new("GET", &url, std::iter::empty(), SignableBody::empty())?;
    let (instructions, _) = sign_request(request, &parameters)?.into_parts();
    for (name, value) in instructions.params() {
        token.extend(["&", name, "="]);
        token.extend(utf8_percent_encode(value, ENCODED));
    }
    Ok(token.into())
}

/// Host names are the same in any case, and are signed in lower case.
fn authority(sign_in: SignIn<'_>) -> String {
    match sign_in.host.parse::<Ipv6Addr>() {
        Ok(address) => format!("[{address}]:{}", sign_in.port),
        Err(_) => format!("{}:{}", sign_in.host.to_ascii_lowercase(), sign_in.port),
    }
}

fn encoded(text: &str) -> impl std::fmt::Display {
    utf8_percent_encode(text, ENCODED)
}

/// Keeps the last token for the next connection.
///
/// A token dies with the credentials that signed it, and the environment does not tell when that is. So age alone is not trusted: a token
/// that the server refuses is [forgotten](Self::forget), and the next one is signed anew.
#[derive(Debug, Default)]
pub(crate) struct TokenCache {
    kept: Mutex<Option<Kept>>,
}

#[derive(Debug)]
struct Kept {
    token: SecretString,
    signed: SystemTime,
}

impl TokenCache {
    /// The kept token while it is young, else a new one. Age is judged by the wall clock, since the monotonic one may stand still in a
    /// freeze, and the server knows no other; a clock that went back says nothing about the age, so the token counts as old.
    ///
    /// # Errors
    /// Those of `sign`.
    pub(crate) fn current<E>(&self, now: SystemTime, sign: impl FnOnce() -> Result<SecretString, E>) -> Result<SecretString, E> {
        let mut kept = self.lock();
        if let Some(kept) = kept.as_ref().filter(|kept| now.duration_since(kept.signed).is_ok_and(|age| age < KEPT_FOR)) {
            return Ok(kept.token.clone());
        }
        let token = sign()?;
        *kept = Some(Kept { token: token.clone(), signed: now });
        Ok(token)
    }

    /// Throws the kept token away: the server refused it.
    pub(crate) fn forget(&self) {
        *self.lock() = None;
    }

    fn lock(&self) -> MutexGuard<'_, Option<Kept>> {
        // A token is replaced as a whole, so a panic in between leaves the old one.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests;
