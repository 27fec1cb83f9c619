//! The JWT authorizer.
//!
//! The steps and claims are those of "Control access to HTTP APIs with JWT authorizers"
//! (<https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-jwt-authorizer.html>): the token from the `Authorization`
//! header, with or without `Bearer`; an RSA algorithm only; the key that `kid` names; `iss`, then `aud` or, in its absence, `client_id`,
//! `exp`, `nbf`, `iat`; and one of the route's scopes. Times have no leeway. A refusal is 401 with the reason in `www-authenticate`
//! (<https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-troubleshooting-jwt.html>), or 403 for a missing scope. The
//! reasons about the audience and the number of segments are AWS's words, the other reasons are ours.
//!
//! API Gateway fetches `{issuer}/.well-known/openid-configuration` and caches the keys for up to two hours. Here the issuer lives in the
//! same process and never changes its key, so there is nothing to fetch and nothing to cache.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use http::{HeaderMap, header};
use jsonwebtoken::jwk::{Jwk, KeyAlgorithm};
use jsonwebtoken::{AlgorithmFamily, DecodingKey, Validation};
use serde::Serialize;
use serde_json::{Map, Value};

use super::claims;
use super::response::Refusal;
use crate::issuer::rs256;
use crate::template::JwtAuthorizer;

/// Where an authorizer finds the public keys of an issuer.
pub trait KeySource: Send + Sync + 'static {
    /// The `iss` of the tokens that these keys verify.
    fn issuer(&self) -> &str;

    /// The public key with this `kid`.
    fn key(&self, key_id: &str) -> Option<Jwk>;
}

/// What a verified token says: `requestContext.authorizer.jwt` of the event.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Verified {
    pub(crate) claims: BTreeMap<String, String>,
    /// Null where the route asks for none.
    pub(crate) scopes: Option<Vec<String>>,
}

/// Verifies the request's token at the time `now`.
///
/// # Errors
/// The refusal that the client gets. It never holds any part of the token.
pub(crate) fn verify(authorizer: &JwtAuthorizer, keys: &dyn KeySource, headers: &HeaderMap, now: SystemTime) -> Result<Verified, Refusal> {
    let token = token(headers).ok_or_else(|| Refusal::Unauthorized("Bearer".into()))?;
    let claims = signed_claims(token, keys)
        .and_then(|claims| check(&claims, authorizer, now).map(|()| claims))
        .map_err(|reason| Refusal::Unauthorized(challenge(authorizer, "invalid_token", reason)))?;
    let scopes = claims::scopes(&claims);
    if !authorizer.scopes.is_empty() && !authorizer.scopes.iter().any(|scope| scopes.contains(scope)) {
        return Err(Refusal::Forbidden(Some(challenge(authorizer, "insufficient_scope", "the token has none of the required scopes"))));
    }
    Ok(Verified { claims: claims::as_text(&claims), scopes: (!authorizer.scopes.is_empty()).then_some(scopes) })
}

/// The token of the one `Authorization` header. `Bearer` is matched without regard to case, as RFC 9110 defines schemes.
fn token(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let value = values.next()?;
    if values.next().is_some() {
        return Some(""); // two tokens: neither is the client's
    }
    let value = value.to_str().unwrap_or_default().trim();
    let token = match value.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token.trim(),
        _ if value.eq_ignore_ascii_case("bearer") => return None,
        _ => value,
    };
    (!value.is_empty()).then_some(token)
}

/// The claims of a token whose signature holds.
fn signed_claims(token: &str, keys: &dyn KeySource) -> Result<Map<String, Value>, &'static str> {
    if token.split('.').count() != 3 {
        return Err("token contains an invalid number of segments");
    }
    // An algorithm that the library does not know, `none` among them, ends here.
    let header = jsonwebtoken::decode_header(token).map_err(|_| "the token's header is malformed or its algorithm is not supported")?;
    if header.alg.family() != AlgorithmFamily::Rsa {
        return Err("the token's algorithm is not RSA based");
    }
    if header.crit.is_some() {
        return Err("the token names critical headers that are not understood"); // RFC 7515, section 4.1.11
    }
    let key_id = header.kid.ok_or("the token names no key")?;
    let key = keys.key(&key_id).ok_or("the token names a key that its issuer does not have")?;
    if key.common.key_algorithm.is_some_and(|algorithm| algorithm != KeyAlgorithm::from(header.alg)) {
        return Err("the token's algorithm is not the one of its key");
    }
    let key = DecodingKey::from_jwk(&key).map_err(|_| "the issuer's key cannot be used")?;
    rs256::install();
    // The library checks the signature alone; the claims are checked below, against the caller's clock.
    let mut signature_only = Validation::new(header.alg);
    signature_only.required_spec_claims.clear();
    signature_only.validate_exp = false;
    signature_only.validate_aud = false;
    let token = jsonwebtoken::decode(token, &key, &signature_only);
    token.map(|token| token.claims).map_err(|_| "the token's signature is not valid")
}

fn check(claims: &Map<String, Value>, authorizer: &JwtAuthorizer, now: SystemTime) -> Result<(), &'static str> {
    if claims.get("iss").and_then(Value::as_str) != Some(&authorizer.issuer) {
        return Err("the token does not have a valid issuer");
    }
    // `client_id` counts only where there is no `aud`.
    let audiences = claims::texts(claims.get("aud").or_else(|| claims.get("client_id")));
    if !authorizer.audience.iter().any(|audience| audiences.contains(audience)) {
        return Err("the token does not have a valid audience");
    }
    // By a clock before 1970 every token has expired.
    let now_s = now.duration_since(UNIX_EPOCH).map_or(f64::INFINITY, |since| since.as_secs_f64());
    match numeric_date(claims, "exp")? {
        Some(expires_s) if expires_s > now_s => {}
        Some(_) => return Err("the token has expired"),
        None => return Err("the token does not expire"),
    }
    if numeric_date(claims, "nbf")?.is_some_and(|not_before_s| not_before_s > now_s) {
        return Err("the token is not valid yet");
    }
    if numeric_date(claims, "iat")?.is_some_and(|issued_s| issued_s > now_s) {
        return Err("the token was issued in the future");
    }
    Ok(())
}

/// Seconds since the epoch, possibly with a fraction (RFC 7519, section 2).
fn numeric_date(claims: &Map<String, Value>, name: &str) -> Result<Option<f64>, &'static str> {
    match claims.get(name) {
        None => Ok(None),
        Some(value) => value.as_f64().map(Some).ok_or("the token has a time that is not a number"),
    }
}

fn challenge(authorizer: &JwtAuthorizer, error: &str, reason: &str) -> String {
    format!(r#"Bearer scope="{}" error="{error}" error_description="{reason}""#, authorizer.scopes.join(" "))
}

#[cfg(test)]
#[path = "authorizer_tests.rs"]
mod tests;
