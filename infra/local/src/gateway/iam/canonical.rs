//! The canonical request: "Create a signed AWS API request" in the IAM User Guide.

use std::fmt::Write as _;

use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Uri};

use super::Refusal;
use crate::sigv4::{decoded, encoded};

/// All of it but the digest of the body.
pub(super) struct CanonicalHead(String);

impl CanonicalHead {
    /// Method, path, query, the signed headers, their names.
    pub(super) fn of(head: &Parts, signed_headers: &[HeaderName]) -> Result<Self, Refusal> {
        let names: Vec<&str> = signed_headers.iter().map(HeaderName::as_str).collect();
        let (path, query, headers) = (path(&head.uri)?, query(&head.uri)?, headers(&head.headers, signed_headers)?);
        Ok(Self(format!("{}\n{path}\n{query}\n{headers}\n{}", head.method, names.join(";"))))
    }

    pub(super) fn with_payload(self, hash: &str) -> String {
        format!("{}\n{hash}", self.0)
    }
}

/// Whether the query string has a signature.
pub(super) fn is_presigned(uri: &Uri) -> bool {
    uri.query().is_some_and(|query| query.split('&').any(|pair| pair.starts_with("X-Amz-Signature=")))
}

/// A header's value as it is signed but for spaces in it: the server of the gateway has taken off those around it.
pub(super) fn text(name: &HeaderName, value: &HeaderValue) -> Result<String, Refusal> {
    std::str::from_utf8(value.as_bytes()).map(str::to_owned).map_err(|_| Refusal::NotText(name.to_string()))
}

/// Each segment as it was sent, encoded again. Signers leave out empty and relative segments, which the routes do not.
fn path(uri: &Uri) -> Result<String, Refusal> {
    let path = uri.path();
    let segments: Vec<&str> = path.strip_prefix('/').ok_or(Refusal::Path("does not begin with a slash"))?.split('/').collect();
    let Some((last, others)) = segments.split_last() else { return Err(Refusal::Path("is empty")) };
    if others.contains(&"") {
        return Err(Refusal::Path("has an empty segment"));
    }
    if segments.contains(&".") || segments.contains(&"..") {
        return Err(Refusal::Path("has a relative segment"));
    }
    let mut canonical = String::new();
    for segment in others.iter().chain([last]) {
        // Writing to a text does not fail.
        let _ = write!(canonical, "/{}", encoded(segment));
    }
    Ok(canonical)
}

/// The parameters, decoded and encoded in one way, in order.
fn query(uri: &Uri) -> Result<String, Refusal> {
    let Some(query) = uri.query().filter(|query| !query.is_empty()) else { return Ok(String::new()) };
    if query.contains('+') {
        return Err(Refusal::Query("has a +, which is a space to some signers: write %20 or %2B"));
    }
    let mut pairs = Vec::new();
    for pair in query.split('&') {
        if pair.is_empty() {
            return Err(Refusal::Query("has an empty parameter"));
        }
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (name, value) = decoded(name).zip(decoded(value)).ok_or(Refusal::Query("is not percent-encoded UTF-8"))?;
        pairs.push((encoded(&name).to_string(), encoded(&value).to_string()));
    }
    pairs.sort_unstable();
    Ok(pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&"))
}

/// A line for each, the values of one name joined, and with one space where there are several.
fn headers(headers: &HeaderMap, signed: &[HeaderName]) -> Result<String, Refusal> {
    let mut lines = String::new();
    for name in signed {
        let values = headers.get_all(name).iter().map(|value| text(name, value).map(|text| collapsed(&text)));
        let values = values.collect::<Result<Vec<_>, _>>()?;
        if values.is_empty() {
            return Err(Refusal::Absent(name.to_string()));
        }
        let _ = writeln!(lines, "{name}:{}", values.join(","));
    }
    Ok(lines)
}

fn collapsed(value: &str) -> String {
    value.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}
