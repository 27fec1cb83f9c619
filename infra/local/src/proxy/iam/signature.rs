//! The signature of a token, from AWS's description: "Create a signed AWS API request" and "Authenticating Requests: Using Query
//! Parameters". Four steps: canonical request, string to sign, signing key, signature.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::{digest, hmac};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::token::{SIGNATURE, Token};

pub(super) const SERVICE: &str = "rds-db";

/// `UriEncode`: everything but letters, digits and these.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Whether the token was signed with this secret and is as it was then. Takes as long for a wrong signature as for a right one.
pub(super) fn is_right(token: &Token, secret_access_key: &str) -> bool {
    let scope = format!("{}/{}/{SERVICE}/aws4_request", token.scope.date, token.scope.region);
    let digest = hex(digest::digest(&digest::SHA256, canonical_request(token).as_bytes()).as_ref());
    let string_to_sign = format!("AWS4-HMAC-SHA256\n{}\n{scope}\n{digest}", token.date);
    let mut key = format!("AWS4{secret_access_key}").into_bytes();
    for part in scope.split('/') {
        key = keyed(&key, part);
    }
    verify_slices_are_equal(hex(&keyed(&key, &string_to_sign)).as_bytes(), token.signature.as_bytes()).is_ok()
}

/// Method, path, query, headers, names of the signed headers, digest of the body, which is empty.
fn canonical_request(token: &Token) -> String {
    // In the order of their names, as the map has them.
    let signed = token.parameters.iter().filter(|(name, _)| **name != SIGNATURE);
    let pairs: Vec<String> = signed.map(|(name, value)| format!("{name}={}", utf8_percent_encode(value, ENCODED))).collect();
    let empty = hex(digest::digest(&digest::SHA256, b"").as_ref());
    format!("GET\n/\n{}\nhost:{}\n\nhost\n{empty}", pairs.join("&"), token.authority)
}

fn keyed(key: &[u8], data: &str) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), data.as_bytes()).as_ref().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
