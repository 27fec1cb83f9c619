//! Opening the connection: five round trips with TLS and a plain password, six with SCRAM, and no query of ours after it.
//!
//! Nothing is set on the session: RDS Proxy refuses startup options and pins a session that says SET. Timeouts are settings of the role.

use std::time::SystemTime;

use secrecy::{ExposeSecret, SecretString};
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use sqlx::{ConnectOptions, Connection as _, PgConnection};

use crate::config::{Credentials, Database, Tls};
use crate::engine::Connector;
use crate::error::AttemptError;

/// Connects to one database as one application.
#[derive(Debug)]
pub(crate) struct Postgres {
    pub(crate) database: Database,
    /// What Postgres shows as the session's application name.
    pub(crate) application: String,
    /// The wall clock: the system's, but in tests.
    pub(crate) wall_clock: fn() -> SystemTime,
}

impl Connector for Postgres {
    type Connection = PgConnection;

    async fn connect(&self) -> Result<PgConnection, AttemptError> {
        let password = password(&self.database.credentials).map_err(AttemptError::Credentials)?;
        options(&self.database, &self.application, &password).connect().await.map_err(AttemptError::Connect)
    }

    async fn ping(&self, connection: &mut PgConnection) -> bool {
        connection.ping().await.is_ok()
    }

    /// A file is read at each connect, so it may hold another password by now.
    fn renew_credentials(&self) -> bool {
        matches!(self.database.credentials, Credentials::PasswordFile(_))
    }

    fn wall_clock(&self) -> SystemTime {
        (self.wall_clock)()
    }
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

fn password(credentials: &Credentials) -> std::io::Result<SecretString> {
    match credentials {
        Credentials::Password(password) => Ok(password.clone()),
        // A few bytes of a local file: not worth a thread.
        Credentials::PasswordFile(file) => Ok(std::fs::read_to_string(file)?.trim_end_matches(['\r', '\n']).into()),
    }
}
