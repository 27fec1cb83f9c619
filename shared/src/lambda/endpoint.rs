//! Where a sandbox's Runtime API is.

use std::borrow::Cow;

use http::Uri;
use http::uri::{Authority, PathAndQuery, Scheme};

/// Lambda says `host:port`. An emulator that serves many functions from one port says `http://host:port/path`, as `cargo lambda watch` does
/// and AWS's own run loop takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Endpoint {
    authority: Authority,
    /// Before each call's own path: empty, or with a slash at its start and none at its end.
    prefix: String,
}

impl Endpoint {
    /// None where the text is neither.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (authority, prefix) = match text.strip_prefix("http://") {
            Some(rest) => rest.split_at(rest.find('/').unwrap_or(rest.len())),
            None => (text, ""),
        };
        let authority: Authority = authority.parse().ok()?;
        let prefix = prefix.trim_end_matches('/');
        let is_path = prefix.is_empty() || prefix.parse::<PathAndQuery>().is_ok_and(|path| path.as_str() == path.path());
        let is_usable = authority.port_u16().is_some() && !authority.as_str().contains('@') && is_path;
        is_usable.then(|| Self { authority, prefix: prefix.to_owned() })
    }

    /// A call's URI.
    ///
    /// # Errors
    /// The path is none.
    pub(super) fn uri(&self, path: &str) -> Result<Uri, http::Error> {
        let path = if self.prefix.is_empty() { Cow::Borrowed(path) } else { Cow::Owned(format!("{}{path}", self.prefix)) };
        Uri::builder().scheme(Scheme::HTTP).authority(self.authority.clone()).path_and_query(path.as_ref()).build()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn calls_go_where_lambda_and_its_emulators_say() {
        for (text, expected) in [
            ("127.0.0.1:9001", "http://127.0.0.1:9001/next"),
            ("[::1]:9001", "http://[::1]:9001/next"),
            ("localhost:9001", "http://localhost:9001/next"),
            ("http://127.0.0.1:9001", "http://127.0.0.1:9001/next"),
            ("http://127.0.0.1:9001/", "http://127.0.0.1:9001/next"),
            ("http://127.0.0.1:9000/.rt/purchased-models", "http://127.0.0.1:9000/.rt/purchased-models/next"),
            ("http://[::1]:9000/.rt/health/", "http://[::1]:9000/.rt/health/next"),
        ] {
            assert_eq!(Endpoint::parse(text).unwrap().uri("/next").unwrap().to_string(), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_place_is_none() {
        let no_places = [
            "",
            "127.0.0.1",
            "127.0.0.1:",
            "127.0.0.1:99999",
            "127.0.0.1:9001/path",
            "me@127.0.0.1:9001",
            "http://",
            "http://127.0.0.1/path",
            "http://me@127.0.0.1:9001/path",
            "http://127.0.0.1:9001/path?query",
            "http://127.0.0.1:9001?query",
            "http://127.0.0.1:9001/a path",
            "https://127.0.0.1:9001",
        ];
        for text in no_places {
            assert_eq!(Endpoint::parse(text), None, "{text}");
        }
    }
}
