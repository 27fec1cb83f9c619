//! Opening the connection: with TCP's own handshake five round trips over TLS with an IAM token, and no query of ours after it. With a SCRAM
//! password six, and a seventh where a pooler may stand before the database, which it looks for.
//!
//! Nothing is set on the session: RDS Proxy refuses startup options and pins a session that says SET. Timeouts are settings of the role.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::time::SystemTime;

use secrecy::{ExposeSecret, SecretString};
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use sqlx::{ConnectOptions, Connection as _, PgConnection};

use crate::config::{Credentials, Database, Tls};
use crate::engine::Connector;
use crate::error::AttemptError;
use crate::pooler;
use crate::token::{self, SignIn, TokenCache};

/// Postgres refuses a password message of more (PG_MAX_AUTH_TOKEN_LENGTH).
const PASSWORD_FILE_LIMIT_BYTES: u64 = 65_535;

/// Connects to one database as one application.
#[derive(Debug)]
pub(crate) struct Postgres {
    database: Database,
    application: String,
    tokens: TokenCache,
    /// The wall clock: the system's, but in tests.
    wall_clock: fn() -> SystemTime,
}

impl Postgres {
    /// `application` is what Postgres shows as the session's application name.
    pub(crate) fn new(database: Database, application: String, wall_clock: fn() -> SystemTime) -> Self {
        Self { database, application, tokens: TokenCache::default(), wall_clock }
    }

    /// What the role signs in with now.
    fn password(&self, now: SystemTime) -> std::io::Result<SecretString> {
        match &self.database.credentials {
            Credentials::Password(password) => Ok(password.clone()),
            Credentials::PasswordFile(file) => read_password(file),
            Credentials::Iam(aws) => {
                let sign_in = SignIn { host: &self.database.host, port: self.database.port, user: &self.database.user };
                self.tokens.current(now, || token::sign(sign_in, aws, now)).map_err(std::io::Error::other)
            }
        }
    }
}

impl Connector for Postgres {
    type Connection = PgConnection;

    async fn connect(&self) -> Result<PgConnection, AttemptError> {
        let password = self.password(self.wall_clock()).map_err(AttemptError::Credentials)?;
        let mut connection = options(&self.database, &self.application, &password).connect().await.map_err(AttemptError::Connect)?;
        if pooler::is_possible(&self.database) {
            pooler::check(&mut connection).await.map_err(AttemptError::Connect)?;
        }
        Ok(connection)
    }

    async fn ping(&self, connection: &mut PgConnection) -> bool {
        connection.ping().await.is_ok()
    }

    /// A file is read at each connect, so it may hold another password by now. A token may have been signed by a clock that was wrong, or
    /// have come too late; the next one is new.
    fn renew_credentials(&self) -> bool {
        self.tokens.forget();
        matches!(self.database.credentials, Credentials::PasswordFile(_) | Credentials::Iam(_))
    }

    fn wall_clock(&self) -> SystemTime {
        (self.wall_clock)()
    }
}

/// The file's text without the end of its last line. A few bytes of a local file: not worth a thread, and never more than Postgres takes.
fn read_password(file: &Path) -> std::io::Result<SecretString> {
    let mut text = String::new();
    let read = File::open(file)?.take(PASSWORD_FILE_LIMIT_BYTES + 1).read_to_string(&mut text)?;
    if read as u64 > PASSWORD_FILE_LIMIT_BYTES {
        return Err(std::io::Error::other(format!("a password file of more than {PASSWORD_FILE_LIMIT_BYTES} bytes")));
    }
    Ok(text.trim_end_matches(['\r', '\n']).into())
}

fn options(database: &Database, application: &str, password: &SecretString) -> PgConnectOptions {
    let options = PgConnectOptions::new_without_pgpass()
        .host(&database.host)
        .port(database.port)
        .database(&database.name)
        .username(&database.user)
        .password(password.expose_secret())
        .application_name(application)
        // Its log would hold the statements of every slow request; duration and SQLSTATE are logged at the boundary.
        .disable_statement_logging();
    match &database.tls {
        Tls::Disable => options.ssl_mode(PgSslMode::Disable),
        Tls::VerifyFull { ca_file: None } => options.ssl_mode(PgSslMode::VerifyFull),
        Tls::VerifyFull { ca_file: Some(file) } => options.ssl_mode(PgSslMode::VerifyFull).ssl_root_cert(file),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::Aws;

    fn postgres(credentials: Credentials) -> Postgres {
        let tls = Tls::VerifyFull { ca_file: None };
        let database = Database { host: "db.internal".to_owned(), port: 5432, name: "thaw".to_owned(), user: "app".to_owned(), credentials, tls };
        Postgres::new(database, "test".to_owned(), SystemTime::now)
    }

    #[test]
    fn a_token_serves_many_connects_until_the_server_refuses_it() {
        let secret = || SecretString::from("secret");
        let aws = Aws { region: "eu-central-1".into(), access_key_id: "ASIA".into(), secret_access_key: secret(), session_token: Some(secret()) };
        let postgres = postgres(Credentials::Iam(aws));
        let after = |s: u64| postgres.password(SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000 + s)).unwrap().expose_secret().to_owned();
        let first = after(0);
        assert!(first.starts_with("db.internal:5432/?Action=connect&DBUser=app&X-Amz-"), "{first}");
        assert_eq!(after(5), first);
        assert!(postgres.renew_credentials());
        assert!(after(5).contains("X-Amz-Date=20270115T080005Z"), "signed anew");
    }

    #[test]
    fn a_password_that_was_refused_stays_refused() {
        assert!(!postgres(Credentials::Password("wrong".into())).renew_credentials());
    }
}
