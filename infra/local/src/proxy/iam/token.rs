//! The parts of a token, taken apart strictly: what cannot be understood in one way only is refused.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use secrecy::SecretString;

use super::{MAX_LIFETIME, Refusal};
use crate::sigv4::{ALGORITHM, Scope, Signed, decoded, encoded, moment, number, sha256};

/// The longest token that is read. Most of a token is the session token, of one or two thousand characters today.
pub const MAX_TOKEN_BYTES: usize = 16 * 1024;

const SIGNATURE: &str = "X-Amz-Signature";
const SESSION_TOKEN: &str = "X-Amz-Security-Token";

/// Every parameter that a token may have, and whether it may be absent.
const PARAMETERS: [(&str, bool); 9] = [
    ("Action", false),
    ("DBUser", false),
    ("X-Amz-Algorithm", false),
    ("X-Amz-Credential", false),
    ("X-Amz-Date", false),
    ("X-Amz-Expires", false),
    ("X-Amz-SignedHeaders", false),
    (SIGNATURE, false),
    (SESSION_TOKEN, true),
];

/// A token that is one by its form.
pub(super) struct Token {
    /// In lower case, IPv6 without brackets.
    pub(super) host: String,
    pub(super) port: String,
    pub(super) user: String,
    pub(super) scope: Scope,
    pub(super) signed_at: SystemTime,
    pub(super) lifetime: Duration,
    /// Host and port as they were signed.
    authority: String,
    /// All parameters, decoded.
    parameters: BTreeMap<&'static str, String>,
}

impl Token {
    pub(super) fn parse(text: &str) -> Result<Self, Refusal> {
        if text.is_empty() {
            return Err(Refusal::Malformed("it is empty"));
        }
        if text.len() > MAX_TOKEN_BYTES {
            return Err(Refusal::Malformed("it is too long"));
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Refusal::Malformed("it has white space, control or non-ASCII characters"));
        }
        let (authority, query) = text.split_once("/?").ok_or(Refusal::Malformed("it is not host:port/?parameters"))?;
        let authority = authority.to_ascii_lowercase();
        let (host, port) = authority.rsplit_once(':').ok_or(Refusal::Malformed("it names no port"))?;
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let (host, port) = (host.to_owned(), port.to_owned());
        let parameters = parameters(query)?;
        for (name, expected) in [("Action", "connect"), ("X-Amz-Algorithm", ALGORITHM), ("X-Amz-SignedHeaders", "host")] {
            if parameters[name] != expected {
                return Err(Refusal::Unacceptable(name));
            }
        }
        let date = &parameters["X-Amz-Date"];
        let signed_at = moment(date).ok_or(Refusal::Unacceptable("X-Amz-Date"))?;
        let scope = Scope::parse(&parameters["X-Amz-Credential"], date);
        Ok(Self {
            host,
            port,
            user: parameters["DBUser"].clone(),
            scope: scope.ok_or(Refusal::Unacceptable("X-Amz-Credential"))?,
            signed_at,
            lifetime: lifetime(&parameters["X-Amz-Expires"]).ok_or(Refusal::Unacceptable("X-Amz-Expires"))?,
            authority,
            parameters,
        })
    }

    pub(super) fn session_token(&self) -> Option<&str> {
        self.parameters.get(SESSION_TOKEN).map(String::as_str)
    }

    /// Whether it was signed with this secret and is as it was then.
    pub(super) fn is_signed_by(&self, secret_access_key: &SecretString) -> bool {
        let signed = Signed { canonical_request: &self.canonical_request(), date: &self.parameters["X-Amz-Date"], scope: &self.scope };
        signed.is_by(secret_access_key, &self.parameters[SIGNATURE])
    }

    /// Method, path, query, headers, names of the signed headers, digest of the body, which is empty.
    fn canonical_request(&self) -> String {
        // In the order of their names, as the map has them.
        let signed = self.parameters.iter().filter(|(name, _)| **name != SIGNATURE);
        let pairs: Vec<String> = signed.map(|(name, value)| format!("{name}={}", encoded(value))).collect();
        format!("GET\n/\n{}\nhost:{}\n\nhost\n{}", pairs.join("&"), self.authority, sha256(b""))
    }
}

/// Every parameter, once, decoded.
fn parameters(query: &str) -> Result<BTreeMap<&'static str, String>, Refusal> {
    let mut found = BTreeMap::new();
    for pair in query.split('&') {
        let (name, value) = pair.split_once('=').ok_or(Refusal::Malformed("it has a parameter without a value"))?;
        let (name, value) = decoded(name).zip(decoded(value)).ok_or(Refusal::Malformed("it is not percent-encoded UTF-8"))?;
        let (known, _) = PARAMETERS.into_iter().find(|(known, _)| *known == name).ok_or(Refusal::Unknown)?;
        if found.insert(known, value).is_some() {
            return Err(Refusal::Duplicate(known));
        }
    }
    match PARAMETERS.into_iter().find(|(name, optional)| !optional && !found.contains_key(name)) {
        Some((name, _)) => Err(Refusal::Missing(name)),
        None => Ok(found),
    }
}

fn lifetime(text: &str) -> Option<Duration> {
    let lifetime = Duration::from_secs(number(text)?);
    (Duration::from_secs(1)..=MAX_LIFETIME).contains(&lifetime).then_some(lifetime)
}
