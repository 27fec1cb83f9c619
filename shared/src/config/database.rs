//! Where the database is, and how to sign in.

use std::path::PathBuf;

use secrecy::SecretString;
use url::Url;

use super::aws::Aws;
use super::variables::{ConfigError, Variables};

/// Where the database is and how to sign in.
#[derive(Debug, Clone)]
pub struct Database {
    /// Host name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Name of the database.
    pub name: String,
    /// The database role.
    pub user: String,
    /// How the role proves who it is.
    pub credentials: Credentials,
    /// Whether and how the server proves who it is.
    pub tls: Tls,
}

/// How the role proves who it is.
#[derive(Debug, Clone)]
pub enum Credentials {
    /// A password that stands for the life of the sandbox.
    Password(SecretString),
    /// A file that is read at each connect, so that a rotated password is picked up.
    PasswordFile(PathBuf),
    /// A token, signed with these.
    Iam(Aws),
}

/// Whether and how the server proves who it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tls {
    /// The certificate chain and the host name are checked.
    VerifyFull {
        /// PEM certificates to trust beside the public roots.
        ca_file: Option<PathBuf>,
    },
    /// Plain text, said explicitly.
    Disable,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Auth {
    Iam,
    Password,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum TlsMode {
    VerifyFull,
    Disable,
}

const TLS_MODES: &[(&str, TlsMode)] = &[("verify-full", TlsMode::VerifyFull), ("disable", TlsMode::Disable)];

impl Database {
    pub(super) fn read(variables: &Variables<'_>) -> Result<Self, ConfigError> {
        let auth = variables.one_of("DB_AUTH", &[("iam", Auth::Iam), ("password", Auth::Password)])?.unwrap_or(Auth::Password);
        let mode = variables.one_of("DB_TLS", TLS_MODES)?;
        if auth == Auth::Iam {
            return Self::with_iam(mode, variables);
        }
        match variables.text("DATABASE_URL")? {
            Some(url) => Self::from_url(&url, mode, variables),
            None => {
                let missing = || ConfigError::new("DB_PASSWORD", "is missing (or name a file in DB_PASSWORD_FILE)");
                Self::from_parts(|| credentials(variables)?.ok_or_else(missing), mode, variables)
            }
        }
    }

    fn with_iam(mode: Option<TlsMode>, variables: &Variables<'_>) -> Result<Self, ConfigError> {
        // A leftover URL or password must not bypass IAM in AWS, and a token must not travel in plain text.
        for name in ["DATABASE_URL", "DB_PASSWORD", "DB_PASSWORD_FILE"] {
            if variables.text(name)?.is_some() {
                return Err(ConfigError::new(name, "must be unset where DB_AUTH is iam"));
            }
        }
        if mode == Some(TlsMode::Disable) {
            return Err(ConfigError::new("DB_TLS", "must be verify-full where DB_AUTH is iam"));
        }
        let database = Self::from_parts(|| Aws::read(variables).map(Credentials::Iam), mode, variables)?;
        if !is_host(&database.host) {
            return Err(ConfigError::new("DB_HOST", "must be a host name or an address where DB_AUTH is iam: tokens are signed for it"));
        }
        Ok(database)
    }

    fn from_parts(
        credentials: impl FnOnce() -> Result<Credentials, ConfigError>,
        mode: Option<TlsMode>,
        variables: &Variables<'_>,
    ) -> Result<Self, ConfigError> {
        Ok(Self {
            host: variables.required("DB_HOST")?,
            port: variables.number("DB_PORT", 5432, 1..=u16::MAX)?,
            name: variables.required("DB_NAME")?,
            user: variables.required("DB_USER")?,
            credentials: credentials()?,
            tls: tls(mode.unwrap_or(TlsMode::VerifyFull), variables)?,
        })
    }

    fn from_url(text: &str, mode: Option<TlsMode>, variables: &Variables<'_>) -> Result<Self, ConfigError> {
        // The complaint never repeats the URL: it may hold a password.
        let wrong = |complaint: &str| ConfigError::new("DATABASE_URL", complaint);
        let url = Url::parse(text).map_err(|error| wrong(&format!("is not a URL: {error}")))?;
        if !matches!(url.scheme(), "postgres" | "postgresql") {
            return Err(wrong("must begin with postgres:// or postgresql://"));
        }
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or_else(|| wrong("names no host"))?;
        let name = decoded(url.path().trim_start_matches('/')).filter(|name| !name.is_empty()).ok_or_else(|| wrong("names no database"))?;
        let user = decoded(url.username()).filter(|user| !user.is_empty()).ok_or_else(|| wrong("names no user"))?;
        let mut url_mode = None;
        for (key, value) in url.query_pairs() {
            match (&*key, TLS_MODES.iter().find(|(word, _)| *word == value)) {
                ("sslmode", Some((_, found))) => url_mode = Some(*found),
                ("sslmode", None) => return Err(wrong("may say sslmode=verify-full or sslmode=disable: any other does not check the server")),
                _ => return Err(wrong(&format!("has the parameter {key:?}; only sslmode may stand there, RDS Proxy refuses startup options"))),
            }
        }
        if url_mode.is_some() && mode.is_some() && url_mode != mode {
            return Err(ConfigError::new("DB_TLS", "contradicts the sslmode of DATABASE_URL"));
        }
        let password = match url.password() {
            Some(password) => Some(decoded(password).ok_or_else(|| wrong("has a password that is not UTF-8"))?),
            None => None,
        };
        let credentials = match (password, credentials(variables)?) {
            (Some(_), Some(_)) => return Err(wrong("has a password, and so has DB_PASSWORD or DB_PASSWORD_FILE: keep one")),
            (Some(password), None) => Credentials::Password(password.into()),
            (None, Some(credentials)) => credentials,
            (None, None) => Credentials::Password(String::new().into()),
        };
        Ok(Self {
            host: host.trim_matches(['[', ']']).to_owned(),
            port: url.port().unwrap_or(5432),
            name,
            user,
            credentials,
            tls: tls(url_mode.or(mode).unwrap_or(TlsMode::VerifyFull), variables)?,
        })
    }

    /// Whether the host is this machine, as far as its name tells.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        self.host == "localhost" || self.host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
    }
}

/// Whether this is a host name (RFC 1123, and underscores, which container networks allow) or an address.
fn is_host(host: &str) -> bool {
    let is_name = host.len() <= 253 && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'));
    is_name || host.parse::<std::net::Ipv6Addr>().is_ok()
}

fn credentials(variables: &Variables<'_>) -> Result<Option<Credentials>, ConfigError> {
    match (variables.text("DB_PASSWORD")?, variables.text("DB_PASSWORD_FILE")?) {
        (Some(_), Some(_)) => Err(ConfigError::new("DB_PASSWORD", "and DB_PASSWORD_FILE are both set: keep one")),
        (Some(password), None) => Ok(Some(Credentials::Password(password.into()))),
        (None, Some(file)) => Ok(Some(Credentials::PasswordFile(file.into()))),
        (None, None) => Ok(None),
    }
}

fn tls(mode: TlsMode, variables: &Variables<'_>) -> Result<Tls, ConfigError> {
    let ca_file = variables.text("DB_CA_FILE")?.map(PathBuf::from);
    match (mode, ca_file) {
        (TlsMode::Disable, _) => Ok(Tls::Disable),
        (TlsMode::VerifyFull, Some(file)) if !file.is_file() => {
            Err(ConfigError::new("DB_CA_FILE", format!("names {}, which is not a file", file.display())))
        }
        (TlsMode::VerifyFull, ca_file) => Ok(Tls::VerifyFull { ca_file }),
    }
}

/// Undoes the percent-encoding of one part of a URL. `+` stands for itself there.
fn decoded(part: &str) -> Option<String> {
    percent_encoding::percent_decode_str(part).decode_utf8().ok().map(std::borrow::Cow::into_owned)
}
