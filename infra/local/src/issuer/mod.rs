//! The local identity provider: signs tokens that the local gateway's JWT authorizers accept.
//!
//! It stands where Cognito or another provider stands in AWS. Its key is made on the first start and kept, so that tokens outlive a
//! restart. Tokens are RS256, because API Gateway's JWT authorizers take RSA algorithms only.

mod discovery;
mod key;
pub(crate) mod rs256;

use std::fmt;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, ensure};
use jsonwebtoken::jwk::{Jwk, JwkSet};
use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;

use self::key::SigningKey;
use crate::gateway::KeySource;

/// The longest subject. OpenID Connect Core 1.0, section 2, allows no more.
const SUBJECT_LIMIT_CHARS: usize = 255;

/// Signs tokens and publishes the key that verifies them.
pub struct Issuer {
    url: String,
    key: SigningKey,
    keys: JwkSet,
}

impl Issuer {
    /// The issuer whose key lies in `directory`; both are created where they are missing. `issuer_url` becomes the tokens' `iss` and is
    /// where [`Issuer::router`] is to be served, for example `http://127.0.0.1:3001`.
    ///
    /// The key file is made whole or not at all, readable by its owner only. Two processes that start at once end up with one key.
    ///
    /// # Errors
    /// Names the file that cannot be read, written or understood, or says what is wrong with the URL.
    pub fn load_or_create(directory: &Path, issuer_url: String) -> Result<Self> {
        discovery::check_url(&issuer_url)?;
        let key = SigningKey::load_or_create(directory)?;
        let keys = JwkSet { keys: vec![key.public().clone()] };
        Ok(Self { url: issuer_url, key, keys })
    }

    /// The `iss` of the tokens.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A token for `subject`, valid from now for `lifetime`, without scopes.
    ///
    /// # Errors
    /// As [`Issuer::token_with_scope`].
    pub fn token(&self, subject: &str, audience: &str, lifetime: Duration) -> Result<String> {
        self.token_with_scope(subject, audience, lifetime, &[])
    }

    /// A token for `subject` with a `scope` claim of the given scopes, valid from now for `lifetime`, which counts in whole seconds.
    ///
    /// # Errors
    /// A subject that is empty, longer than 255 characters or has control characters; a lifetime under one second, or past the end of
    /// time.
    pub fn token_with_scope(&self, subject: &str, audience: &str, lifetime: Duration, scopes: &[&str]) -> Result<String> {
        check_subject(subject)?;
        ensure!(lifetime.as_secs() > 0, "a token must live for at least one second");
        let issued_s = SystemTime::now().duration_since(UNIX_EPOCH).context("the clock stands before 1970; set it")?.as_secs();
        let expires_s = issued_s.checked_add(lifetime.as_secs()).context("the token's lifetime is too long")?;
        let mut claims = json!({
            "sub": subject,
            "iss": self.url,
            "aud": audience,
            "iat": issued_s,
            "exp": expires_s,
            "jti": Uuid::now_v7().to_string(),
        });
        if !scopes.is_empty() {
            claims["scope"] = Value::from(scopes.join(" "));
        }
        self.sign(&claims)
    }

    /// Signs any claims, wrong ones too. Tests make the tokens with it that an authorizer must refuse; see [`Issuer::token`] for others.
    ///
    /// # Errors
    /// Claims that cannot be written as JSON.
    pub fn sign<C: Serialize>(&self, claims: &C) -> Result<String> {
        self.key.sign(claims)
    }

    /// The public keys as a JWK set (RFC 7517).
    pub fn jwks(&self) -> Value {
        json!(self.keys)
    }

    /// Serves the discovery document and the keys, as an identity provider does. It belongs on a listener of its own, so that the API's
    /// paths are the template's alone.
    pub fn router(&self) -> axum::Router {
        discovery::router(&self.url, &self.jwks())
    }
}

impl KeySource for Issuer {
    fn issuer(&self) -> &str {
        &self.url
    }

    fn key(&self, key_id: &str) -> Option<Jwk> {
        self.keys.find(key_id).cloned()
    }
}

/// Shows the address only: the rest is the key.
impl fmt::Debug for Issuer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Issuer").field("url", &self.url).finish_non_exhaustive()
    }
}

fn check_subject(subject: &str) -> Result<()> {
    ensure!(!subject.is_empty(), "the subject is empty; give one, for example user-1");
    let chars = subject.chars().count();
    ensure!(chars <= SUBJECT_LIMIT_CHARS, "the subject has {chars} characters; at most {SUBJECT_LIMIT_CHARS} are allowed");
    ensure!(!subject.contains(char::is_control), "the subject has a control character, such as a line break; leave it out");
    Ok(())
}

#[cfg(test)]
mod tests;
