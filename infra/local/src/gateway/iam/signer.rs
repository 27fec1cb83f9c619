//! Signs requests with the library that clients sign with.

use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{PayloadChecksumKind, SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4::SigningParams;
use http::Request;
use http::request::Parts;
use secrecy::ExposeSecret as _;

use crate::sigv4::LocalCredentials;

/// Whose signature, for what, and when.
#[derive(Clone)]
pub(crate) struct Signer {
    pub(crate) credentials: LocalCredentials,
    pub(crate) region: &'static str,
    pub(crate) service: &'static str,
    pub(crate) at: SystemTime,
    /// With `x-amz-content-sha256`.
    pub(crate) with_digest: bool,
}

impl Signer {
    /// The headers that a signature adds to a request of these headers.
    pub(crate) fn sign(&self, method: &str, url: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<(String, String)> {
        let session_token = self.credentials.session_token.as_ref().map(|token| token.expose_secret().to_owned());
        let secret = self.credentials.secret_access_key.expose_secret();
        let identity = Credentials::new(&self.credentials.access_key_id, secret, session_token, None, "test").into();
        let mut settings = SigningSettings::default();
        if self.with_digest {
            settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        }
        let parameters = SigningParams::builder().identity(&identity).region(self.region).name(self.service).time(self.at).settings(settings);
        let request = SignableRequest::new(method, url, headers.iter().copied(), SignableBody::Bytes(body)).unwrap();
        let (instructions, _) = sign(request, &parameters.build().unwrap().into()).unwrap().into_parts();
        instructions.headers().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    /// The head of such a request, signed.
    pub(crate) fn head(&self, method: &str, url: &str, headers: &[(&str, &str)], body: &[u8]) -> Parts {
        let mut head = Request::builder().method(method).uri(url).body(()).unwrap().into_parts().0;
        let host = head.uri.authority().unwrap().to_string();
        let signature = self.sign(method, url, headers, body);
        let signature = signature.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        for (name, value) in [("host", host.as_str())].into_iter().chain(headers.iter().copied()).chain(signature) {
            head.headers.append(name.parse::<http::HeaderName>().unwrap(), value.parse().unwrap());
        }
        head
    }
}
