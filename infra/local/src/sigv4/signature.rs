//! String to sign, signing key, signature.

use ring::{digest, hmac};
use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq as _;

use super::Scope;

pub(crate) const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// What was signed.
pub(crate) struct Signed<'a> {
    pub(crate) canonical_request: &'a str,
    /// The time, as `X-Amz-Date` has it.
    pub(crate) date: &'a str,
    pub(crate) scope: &'a Scope,
}

impl Signed<'_> {
    /// Whether `signature`, in hexadecimal, was made of this with this secret. Takes as long for a wrong signature as for a right one.
    pub(crate) fn is_by(&self, secret_access_key: &SecretString, signature: &str) -> bool {
        let scope = self.scope.to_string();
        let string_to_sign = format!("{ALGORITHM}\n{}\n{scope}\n{}", self.date, sha256(self.canonical_request.as_bytes()));
        let mut key = format!("AWS4{}", secret_access_key.expose_secret()).into_bytes();
        for part in scope.split('/') {
            key = keyed(&key, part);
        }
        hex(&keyed(&key, &string_to_sign)).as_bytes().ct_eq(signature.as_bytes()).into()
    }
}

/// The digest in hexadecimal.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    hex(digest::digest(&digest::SHA256, bytes).as_ref())
}

fn keyed(key: &[u8], data: &str) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), data.as_bytes()).as_ref().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
