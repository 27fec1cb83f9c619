//! Which database a URL means, for one who only passes bytes on.

use std::fmt;

use anyhow::{Context as _, Result, bail, ensure};
use url::Url;

use crate::address::is_loopback;

/// Host and port of a database. Who signs in there, and how, is the client's own business.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    pub(super) host: String,
    pub(super) port: u16,
}

impl Destination {
    /// Reads host and port of a URL, and forgets the rest.
    ///
    /// # Errors
    /// It is no URL of a Postgres server, or demands TLS, as it does for another machine unless it says otherwise. No error repeats the
    /// URL: it may hold a password.
    pub fn of_url(text: &str) -> Result<Self> {
        let url = Url::parse(text).context("the database URL is not a URL, as in postgres://127.0.0.1:5432/thaw")?;
        ensure!(matches!(url.scheme(), "postgres" | "postgresql"), "the database URL must begin with postgres://");
        let host = url.host_str().filter(|host| !host.is_empty()).context("the database URL names no host, as in postgres://127.0.0.1:5432/thaw")?;
        ensure!(!host.contains('%'), "the database URL names a socket's directory as its host: name the server's address and port");
        let mode = url.query_pairs().filter(|(name, _)| name == "sslmode").last().map(|(_, mode)| mode.into_owned());
        let plain = "connections are forwarded in plain text only, so that their statements can be read";
        match mode.as_deref() {
            Some("disable") => {}
            None | Some("prefer" | "allow") if is_loopback(&url) => {}
            None | Some("prefer" | "allow") => {
                bail!(
                    "the database is on another machine, and {plain}: name one on this machine, or say sslmode=disable if the network between is yours"
                )
            }
            Some(mode @ ("require" | "verify-ca" | "verify-full")) => {
                bail!("the database URL demands TLS (sslmode={mode}), and {plain}: name a database that takes such connections, with sslmode=disable")
            }
            Some(mode) => bail!("the database URL says sslmode={mode}, which is no such mode: say sslmode=disable"),
        }
        Ok(Self { host: host.trim_matches(['[', ']']).to_owned(), port: url.port().unwrap_or(5432) })
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') { write!(f, "[{}]:{}", self.host, self.port) } else { write!(f, "{}:{}", self.host, self.port) }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn host_and_port_are_taken_and_nothing_else() {
        let shown = |url| Destination::of_url(url).unwrap().to_string();
        assert_eq!(shown("postgres://me:hidden@127.0.0.1:6543/x?sslmode=disable&application_name=a"), "127.0.0.1:6543");
        assert_eq!(shown("postgresql://localhost"), "localhost:5432");
        assert_eq!(shown("postgres://[::1]:6543/x?sslmode=prefer"), "[::1]:6543");
        assert_eq!(shown("postgres://me:hidden@db.internal/x?sslmode=disable"), "db.internal:5432");
    }

    #[test]
    fn a_url_that_cannot_be_forwarded_to_is_refused_without_being_repeated() {
        let cases = [
            ("thaw", "is not a URL"),
            ("mysql://a:hidden@h/d", "must begin with postgres://"),
            ("postgres:///d", "names no host"),
            ("postgres://a:hidden@%2Frun%2Fpostgresql/d", "a socket's directory"),
            ("postgres://a:hidden@127.0.0.1/d?sslmode=require", "demands TLS (sslmode=require)"),
            ("postgres://a:hidden@127.0.0.1/d?sslmode=verify-ca", "with sslmode=disable"),
            ("postgres://a:hidden@127.0.0.1/d?sslmode=disable&sslmode=verify-full", "demands TLS (sslmode=verify-full)"),
            ("postgres://a:hidden@127.0.0.1/d?sslmode=no", "no such mode"),
            ("postgres://a:hidden@db.internal/d", "say sslmode=disable"),
            ("postgres://a:hidden@db.internal/d?sslmode=prefer", "on another machine"),
        ];
        for (url, complaint) in cases {
            let error = format!("{:#}", Destination::of_url(url).unwrap_err());
            assert!(error.contains(complaint), "{url}: {error}");
            assert!(!error.contains("hidden"), "{url} shows its password: {error}");
        }
    }
}
