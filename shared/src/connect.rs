//! Opening the connection: five round trips with TLS and a plain password, six with SCRAM, and no query of ours after it.
//!
//! Nothing is set on the session: RDS Proxy refuses startup options and pins a session that says SET. Timeouts are settings of the role.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use sqlx::{ConnectOptions, PgConnection};

use crate::config::{Credentials, Database, Tls};
use crate::error::AttemptError;

/// Opens a connection within `timeout`.
///
/// # Errors
/// [`AttemptError::Credentials`], [`AttemptError::Connect`] or [`AttemptError::ConnectTimeout`]; in each nothing was sent but the sign-in.
///
/// # Cancel safety
/// Dropping the future closes the socket.
pub(crate) async fn connect(database: &Database, application: &str, timeout: Duration) -> Result<PgConnection, AttemptError> {
    let password = password(&database.credentials).map_err(AttemptError::Credentials)?;
    let options = options(database, application, &password);
    match tokio::time::timeout(timeout, options.connect()).await {
        Ok(connected) => connected.map_err(AttemptError::Connect),
        Err(_) => Err(AttemptError::ConnectTimeout { timeout_ms: timeout.as_millis() }),
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
