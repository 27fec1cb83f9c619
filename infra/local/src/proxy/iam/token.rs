//! The parts of a token, taken apart strictly: what cannot be understood in one way only is refused.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use secrecy::SecretString;
use time::{Date, Month, PrimitiveDateTime, Time};

use super::{MAX_LIFETIME, Refusal};

/// The longest token that is read. Most of a token is the session token, of one or two thousand characters today.
pub const MAX_TOKEN_BYTES: usize = 16 * 1024;

pub(super) const SIGNATURE: &str = "X-Amz-Signature";

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
    ("X-Amz-Security-Token", true),
];

/// A token that is one by its form.
pub(super) struct Token {
    /// In lower case, IPv6 without brackets.
    pub(super) host: String,
    pub(super) port: String,
    pub(super) user: String,
    pub(super) scope: Scope,
    pub(super) signed_at: SystemTime,
    /// As it was written: `20261123T085745Z`.
    pub(super) date: String,
    pub(super) lifetime: Duration,
    pub(super) session_token: Option<SecretString>,
    /// In hexadecimal.
    pub(super) signature: String,
    /// Host and port as they were signed.
    pub(super) authority: String,
    /// All parameters, decoded.
    pub(super) parameters: BTreeMap<&'static str, String>,
}

/// The credential's scope.
pub(super) struct Scope {
    pub(super) access_key_id: String,
    pub(super) date: String,
    pub(super) region: String,
    pub(super) service: String,
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
        for (name, expected) in [("Action", "connect"), ("X-Amz-Algorithm", "AWS4-HMAC-SHA256"), ("X-Amz-SignedHeaders", "host")] {
            if parameters[name] != expected {
                return Err(Refusal::Unacceptable(name));
            }
        }
        let date = parameters["X-Amz-Date"].clone();
        let signed_at = moment(&date).ok_or(Refusal::Unacceptable("X-Amz-Date"))?;
        let scope = Scope::parse(&parameters["X-Amz-Credential"]).filter(|scope| date.starts_with(&scope.date));
        Ok(Self {
            host,
            port,
            user: parameters["DBUser"].clone(),
            scope: scope.ok_or(Refusal::Unacceptable("X-Amz-Credential"))?,
            signed_at,
            date,
            lifetime: lifetime(&parameters["X-Amz-Expires"]).ok_or(Refusal::Unacceptable("X-Amz-Expires"))?,
            session_token: parameters.get("X-Amz-Security-Token").map(|token| token.as_str().into()),
            signature: parameters[SIGNATURE].clone(),
            authority,
            parameters,
        })
    }
}

impl Scope {
    /// `<access key id>/<date>/<region>/<service>/aws4_request`.
    fn parse(credential: &str) -> Option<Self> {
        let parts: Vec<&str> = credential.split('/').collect();
        let [access_key_id, date, region, service, "aws4_request"] = parts[..] else { return None };
        let [access_key_id, date, region, service] = [access_key_id, date, region, service].map(str::to_owned);
        (date.len() == 8).then_some(Self { access_key_id, date, region, service })
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

/// Undoes percent-encoding (RFC 3986). `+` stands for itself: AWS writes a space as `%20`.
fn decoded(text: &str) -> Option<String> {
    let after_percent = text.split('%').skip(1);
    if !after_percent.into_iter().all(|rest| rest.len() >= 2 && rest.bytes().take(2).all(|byte| byte.is_ascii_hexdigit())) {
        return None;
    }
    percent_encoding::percent_decode_str(text).decode_utf8().ok().map(std::borrow::Cow::into_owned)
}

/// `20261123T085745Z`.
fn moment(text: &str) -> Option<SystemTime> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    // ASCII, so that every index is one of a character.
    if !text.is_ascii() || date.len() != 8 || time.len() != 6 {
        return None;
    }
    let month = Month::try_from(number::<u8>(&date[4..6])?).ok()?;
    let date = Date::from_calendar_date(number(&date[..4])?, month, number(&date[6..])?).ok()?;
    let time = Time::from_hms(number(&time[..2])?, number(&time[2..4])?, number(&time[4..])?).ok()?;
    Some(PrimitiveDateTime::new(date, time).assume_utc().into())
}

fn lifetime(text: &str) -> Option<Duration> {
    let lifetime = Duration::from_secs(number(text)?);
    (Duration::from_secs(1)..=MAX_LIFETIME).contains(&lifetime).then_some(lifetime)
}

/// Digits alone, without a sign.
fn number<N: std::str::FromStr>(text: &str) -> Option<N> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then_some(text)?.parse().ok()
}
