//! The `Authorization` header of a signed request, taken apart strictly.

use http::header::HOST;
use http::{HeaderMap, HeaderName};

use super::{DATE, Refusal};
use crate::sigv4::{ALGORITHM, Scope};

/// The longest header that is read: AWS's are of some 300 bytes.
pub(super) const MAX_AUTHORIZATION_BYTES: usize = 4 * 1024;

/// What every signer adds begins so, and has to be signed.
const AWS_PREFIX: &str = "x-amz-";

/// `AWS4-HMAC-SHA256 Credential=…, SignedHeaders=…, Signature=…`.
#[derive(Debug)]
pub(super) struct Authorization {
    credential: String,
    /// In order, each once.
    pub(super) signed_headers: Vec<HeaderName>,
    /// In hexadecimal.
    pub(super) signature: String,
}

impl Authorization {
    pub(super) fn parse(text: &str) -> Result<Self, Refusal> {
        if text.len() > MAX_AUTHORIZATION_BYTES {
            return Err(Refusal::Malformed("it is too long"));
        }
        let parameters = text.strip_prefix(ALGORITHM).and_then(|rest| rest.strip_prefix(' ')).ok_or(Refusal::Malformed("another algorithm"))?;
        let (mut credential, mut signed_headers, mut signature) = (None, None, None);
        for parameter in parameters.split(',') {
            let (name, value) = parameter.trim_matches(' ').split_once('=').ok_or(Refusal::Malformed("a parameter without a value"))?;
            let slot = match name {
                "Credential" => &mut credential,
                "SignedHeaders" => &mut signed_headers,
                "Signature" => &mut signature,
                _ => return Err(Refusal::Malformed("another parameter")),
            };
            if slot.replace(value).is_some() {
                return Err(Refusal::Malformed("a parameter twice"));
            }
        }
        let missing = Refusal::Malformed("a parameter is missing");
        let (Some(credential), Some(signed_headers), Some(signature)) = (credential, signed_headers, signature) else { return Err(missing) };
        Ok(Self { credential: credential.to_owned(), signed_headers: names(signed_headers)?, signature: signature.to_owned() })
    }

    /// For a request of this date.
    pub(super) fn scope(&self, date: &str) -> Result<Scope, Refusal> {
        Scope::parse(&self.credential, date).ok_or(Refusal::Unacceptable("Credential"))
    }

    /// Whether nothing that belongs to the signature could be changed under it: the host, the date, the session token, and whatever else is
    /// AWS's own.
    pub(super) fn sign_what_matters(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let aws = headers.keys().filter(|name| name.as_str().starts_with(AWS_PREFIX));
        for name in [&HOST, &HeaderName::from_static(DATE)].into_iter().chain(aws) {
            if !self.signed_headers.contains(name) {
                return Err(Refusal::Unsigned(name.to_string()));
            }
        }
        Ok(())
    }
}

/// `host;x-amz-date`: in lower case and in order.
fn names(text: &str) -> Result<Vec<HeaderName>, Refusal> {
    let wrong = || Refusal::Unacceptable("SignedHeaders");
    if text.bytes().any(|byte| byte.is_ascii_uppercase()) || !text.split(';').is_sorted_by(|one, next| one < next) {
        return Err(wrong());
    }
    text.split(';').map(|name| name.parse().map_err(|_| wrong())).collect()
}
