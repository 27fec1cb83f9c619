//! Who may ask: programs of this machine, and the page itself.
//!
//! A page of another site can have a browser send requests here, and by a name of its own that leads to this address even read the answers.
//! Such a request carries that name in `Host`, or its site in `Origin`. What changes something also needs the token of this start, which
//! only a reader of the page or of the running record knows.

use http::request::Parts;
use http::{HeaderMap, HeaderName, Method, header};
use subtle::ConstantTimeEq as _;

use super::TOKEN_HEADER;

/// What a request has to carry.
pub(super) struct Admission {
    hosts: [String; 2],
    token: String,
}

/// Why a request is turned away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stranger {
    Host,
    Origin,
    Token,
}

impl Stranger {
    pub(super) fn sentence(self) -> &'static str {
        match self {
            Self::Host => "this is served by the names 127.0.0.1 and localhost alone",
            Self::Origin => "pages of other origins are not served",
            Self::Token => "the header x-thaw-token lacks this start's token: reload the page",
        }
    }
}

impl Admission {
    pub(super) fn new(port: u16, token: String) -> Self {
        Self { hosts: ["127.0.0.1", "localhost"].map(|name| format!("{name}:{port}")), token }
    }

    pub(super) fn check(&self, head: &Parts) -> Result<(), Stranger> {
        let one = |name: HeaderName| only(&head.headers, &name);
        let is_own = |host: &str| self.hosts.iter().any(|own| own.eq_ignore_ascii_case(host));
        if !one(header::HOST).is_ok_and(|host| host.is_some_and(is_own)) {
            return Err(Stranger::Host);
        }
        if !one(header::ORIGIN).is_ok_and(|origin| origin.is_none_or(|origin| origin.strip_prefix("http://").is_some_and(is_own))) {
            return Err(Stranger::Origin);
        }
        let token = one(HeaderName::from_static(TOKEN_HEADER)).ok().flatten().unwrap_or_default();
        let changes = !matches!(head.method, Method::GET | Method::HEAD);
        if changes && !bool::from(token.as_bytes().ct_eq(self.token.as_bytes())) {
            return Err(Stranger::Token);
        }
        Ok(())
    }
}

/// The one value of a header; an error where it stands there twice or is no text.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, ()> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => value.to_str().map(Some).map_err(|_| ()),
        (Some(_), Some(_)) => Err(()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use http::Request;

    use super::*;

    fn check(method: &str, headers: &[(&str, &str)]) -> Result<(), Stranger> {
        let mut request = Request::builder().method(method).uri("/");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Admission::new(3000, "secret".to_owned()).check(&request.body(()).unwrap().into_parts().0)
    }

    #[test]
    fn only_the_own_names_and_origins_are_served() {
        let (host, origin) = (Stranger::Host, Stranger::Origin);
        for (headers, expected) in [
            (&[("host", "127.0.0.1:3000")][..], Ok(())),
            (&[("host", "LocalHost:3000")], Ok(())),
            (&[("host", "localhost:3000"), ("origin", "http://localhost:3000")], Ok(())),
            (&[("host", "localhost:3000"), ("origin", "http://127.0.0.1:3000")], Ok(())),
            (&[], Err(host)),
            (&[("host", "127.0.0.1")], Err(host)),
            (&[("host", "127.0.0.1:3001")], Err(host)),
            (&[("host", "evil.example:3000")], Err(host)),
            (&[("host", "localhost:3000.evil.example")], Err(host)),
            (&[("host", "localhost:3000"), ("host", "evil.example")], Err(host)),
            (&[("host", "localhost:3000"), ("origin", "http://localhost:3001")], Err(origin)),
            (&[("host", "localhost:3000"), ("origin", "https://localhost:3000")], Err(origin)),
            (&[("host", "localhost:3000"), ("origin", "http://evil.example")], Err(origin)),
            (&[("host", "localhost:3000"), ("origin", "null")], Err(origin)),
            (&[("host", "localhost:3000"), ("origin", "http://localhost:3000"), ("origin", "http://evil.example")], Err(origin)),
        ] {
            assert_eq!(check("GET", headers), expected, "{headers:?}");
            let with_token = [headers, &[("x-thaw-token", "secret")]].concat();
            assert_eq!(check("POST", &with_token), expected, "{headers:?}");
        }
    }

    #[test]
    fn what_changes_something_needs_the_token() {
        let host = ("host", "localhost:3000");
        for (headers, expected) in [
            (&[host][..], Err(Stranger::Token)),
            (&[host, ("x-thaw-token", "")], Err(Stranger::Token)),
            (&[host, ("x-thaw-token", "secre")], Err(Stranger::Token)),
            (&[host, ("x-thaw-token", "secret"), ("x-thaw-token", "secret")], Err(Stranger::Token)),
            (&[host, ("x-thaw-token", "secret")], Ok(())),
        ] {
            for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
                assert_eq!(check(method, headers), expected, "{method} {headers:?}");
            }
            assert_eq!(check("GET", headers), Ok(()), "{headers:?}");
        }
    }
}
