//! The URL of a database server that a person names, and the URLs that follow from it.

use std::net::SocketAddr;
use std::str::FromStr as _;

use anyhow::{Context as _, Result, bail, ensure};
use sqlx::postgres::PgConnectOptions;
use url::Url;

/// The database that a URL without a name means, and the one that `cargo dev` makes in its own cluster.
pub const DATABASE: &str = "thaw";

/// A database on a server, with the credentials of somebody who may create roles and databases there.
#[derive(Clone)]
pub struct Address {
    url: Url,
    database: String,
}

impl Address {
    /// Reads `postgres://user:password@host:port/database?sslmode=…`.
    ///
    /// # Errors
    /// Says what is wrong, and never repeats the URL: it may hold a password.
    pub fn parse(text: &str) -> Result<Self> {
        let mut url = Url::parse(text).context("the database URL is not a URL, as in postgres://user:password@host:5432/thaw")?;
        ensure!(matches!(url.scheme(), "postgres" | "postgresql"), "the database URL must begin with postgres://");
        ensure!(url.host_str().is_some_and(|host| !host.is_empty()), "the database URL names no host, as in postgres://user:password@host:5432/thaw");
        ensure!(!url.username().is_empty(), "the database URL names no user, as in postgres://user:password@host:5432/thaw");
        for (name, value) in url.query_pairs() {
            match (&*name, &*value) {
                ("sslmode", "disable" | "verify-full") => {}
                ("sslmode", other) => bail!(
                    "the database URL says sslmode={other}, which does not check the server: say verify-full, or disable for a server on this machine"
                ),
                (other, _) => bail!("the database URL has the parameter {other:?}: only sslmode may stand there"),
            }
        }
        let name = url.path().trim_start_matches('/');
        ensure!(!name.contains('/'), "the database URL names a database with a slash in it");
        let database = percent_encoding::percent_decode_str(name).decode_utf8().context("the database's name is not UTF-8")?.into_owned();
        let database = if database.is_empty() { DATABASE.to_owned() } else { database };
        if !url.query_pairs().any(|(name, _)| name == "sslmode") {
            url.set_query(Some(if is_loopback(&url) { "sslmode=disable" } else { "sslmode=verify-full" }));
        }
        Ok(Self { url, database })
    }

    /// The database's name.
    #[must_use]
    pub fn database(&self) -> &str {
        &self.database
    }

    /// The server, for people: host and port.
    #[must_use]
    pub fn server(&self) -> String {
        format!("{}:{}", self.url.host_str().unwrap_or_default(), self.port())
    }

    /// The same server, another database.
    #[must_use]
    pub fn with_database(&self, database: &str) -> Self {
        Self { url: self.url.clone(), database: database.to_owned() }
    }

    /// The same database by way of something that stands before its server.
    #[must_use]
    pub fn by_way_of(&self, address: SocketAddr) -> Self {
        let mut url = self.url.clone();
        // A URL with a host takes any address in its place.
        let _ = url.set_ip_host(address.ip()).and_then(|()| url.set_port(Some(address.port())));
        Self { url, database: self.database.clone() }
    }

    /// Host name or address, IPv6 without brackets, as connected to.
    pub(crate) fn host(&self) -> &str {
        self.url.host_str().unwrap_or_default().trim_matches(['[', ']'])
    }

    /// TCP port.
    pub(crate) fn port(&self) -> u16 {
        self.url.port().unwrap_or(5432)
    }

    /// Whether the server has to prove who it is, over TLS.
    pub(crate) fn is_verified(&self) -> bool {
        self.url.query_pairs().any(|(name, value)| name == "sslmode" && value == "verify-full")
    }

    /// The URL for one role with its password: a secret.
    ///
    /// # Errors
    /// The URL cannot take them, which no parsed one does.
    pub fn url_as(&self, role: &str, password: &str) -> Result<String> {
        let mut url = self.complete();
        let set = url.set_username(role).and_then(|()| url.set_password(Some(password)));
        ensure!(set.is_ok(), "the database URL cannot hold a user");
        Ok(url.into())
    }

    /// How the administrator connects. Host, port, user, database and password all come from the URL, and none from the environment.
    ///
    /// # Errors
    /// The driver cannot use the URL.
    pub fn options(&self) -> Result<PgConnectOptions> {
        for name in ["PGOPTIONS", "PGSSLROOTCERT", "PGSSLCERT", "PGSSLKEY"] {
            ensure!(std::env::var_os(name).is_none_or(|value| value.is_empty()), "{name} is set, and the database driver would use it: unset it");
        }
        let mut url = self.complete();
        if url.port().is_none() {
            ensure!(url.set_port(Some(5432)).is_ok(), "the database URL cannot hold a port");
        }
        // Without a password the driver would take one from the environment or a file.
        if url.password().is_none() {
            ensure!(url.set_password(Some("")).is_ok(), "the database URL cannot hold a password");
        }
        PgConnectOptions::from_str(url.as_str()).context("the database driver cannot use the database URL")
    }

    /// The URL with the credentials that were given: a secret.
    #[must_use]
    pub fn url(&self) -> String {
        self.complete().into()
    }

    /// The URL without a password, for people.
    #[must_use]
    pub fn shown(&self) -> String {
        let mut url = self.complete();
        // A URL that has no password refuses to lose one.
        let _ = url.set_password(None);
        url.into()
    }

    fn complete(&self) -> Url {
        let mut url = self.url.clone();
        url.set_path(&percent_encoding::utf8_percent_encode(&self.database, percent_encoding::NON_ALPHANUMERIC).to_string());
        url
    }
}

/// Whether the host of a URL is this machine.
#[must_use]
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        // The host of a postgres URL stays a name, also where it looks like an address.
        Some(url::Host::Domain(name)) => name == "localhost" || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback()),
        None => false,
    }
}

/// Shows no password.
impl std::fmt::Debug for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Address").field(&self.shown()).finish()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn an_address_gives_urls_for_roles_and_shows_no_password() {
        let address = Address::parse("postgres://me:s%2Fcret@127.0.0.1:6543/my%20db").unwrap();
        assert_eq!((address.database(), address.server().as_str()), ("my db", "127.0.0.1:6543"));
        assert_eq!(address.url_as("thaw_app", "p/w").unwrap(), "postgres://thaw_app:p%2Fw@127.0.0.1:6543/my%20db?sslmode=disable");
        assert_eq!(address.with_database("x").shown(), "postgres://me@127.0.0.1:6543/x?sslmode=disable");
        let options = address.options().unwrap();
        assert_eq!((options.get_host(), options.get_port(), options.get_database()), ("127.0.0.1", 6543, Some("my db")));
        assert!(!format!("{address:?}").contains("cret"), "{address:?}");
    }

    #[test]
    fn a_server_elsewhere_is_verified_unless_said() {
        let shown = |url| Address::parse(url).unwrap().shown();
        assert_eq!(shown("postgres://me@db.internal"), "postgres://me@db.internal/thaw?sslmode=verify-full");
        assert_eq!(shown("postgres://me@db.internal/x?sslmode=disable"), "postgres://me@db.internal/x?sslmode=disable");
        assert_eq!(shown("postgres://me@db.internal/x?"), "postgres://me@db.internal/x?sslmode=verify-full");
        assert_eq!(shown("postgres://me@localhost/"), "postgres://me@localhost/thaw?sslmode=disable");
    }

    #[test]
    fn a_wrong_url_is_refused_without_being_repeated() {
        let cases = [
            ("thaw", "is not a URL"),
            ("mysql://a:hidden@h/d", "must begin with postgres://"),
            ("postgres:///d", "names no host"),
            ("postgres://h/d", "names no user"),
            ("postgres://a:hidden@h/d?sslmode=prefer", "sslmode=prefer"),
            ("postgres://a:hidden@h/d?options=x", "only sslmode"),
            ("postgres://a:hidden@h/d/e", "a slash"),
        ];
        for (url, complaint) in cases {
            let error = format!("{:#}", Address::parse(url).unwrap_err());
            assert!(error.contains(complaint), "{url}: {error}");
            assert!(!error.contains("hidden"), "{url} shows its password: {error}");
        }
    }
}
