//! Opens an administrator's connection, or says in one sentence why it cannot.

use std::io::ErrorKind;
use std::time::Duration;

use anyhow::anyhow;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions, Error};
use tokio::time::timeout;

/// A server that accepts the connection and then says nothing must not hold up a command for ever.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Opens a connection. Statements are not logged on it, because some of them set passwords.
///
/// # Errors
/// When the server cannot be reached within ten seconds or refuses; the message names host, port,
/// database and user, and never the password.
///
/// # Cancel safety
/// Dropping the future closes the socket.
pub async fn connect(options: &PgConnectOptions) -> anyhow::Result<PgConnection> {
    connect_if_exists(options).await?.ok_or_else(|| refusal(options, "there is no such database; create it or correct the name"))
}

/// As [`connect`], but None where the server has no such database.
///
/// # Errors
/// As [`connect`].
///
/// # Cancel safety
/// As [`connect`].
pub async fn connect_if_exists(options: &PgConnectOptions) -> anyhow::Result<Option<PgConnection>> {
    let options = options.clone().disable_statement_logging();
    match timeout(CONNECT_TIMEOUT, options.connect()).await {
        Ok(Ok(connection)) => Ok(Some(connection)),
        Ok(Err(Error::Database(error))) if error.code().as_deref() == Some("3D000") => Ok(None),
        Ok(Err(error)) => Err(refusal(&options, &reason(&error))),
        Err(_) => Err(refusal(&options, "no answer within ten seconds")),
    }
}

fn refusal(options: &PgConnectOptions, reason: &str) -> anyhow::Error {
    anyhow!("cannot connect to {}: {reason}", place(options))
}

/// Where `options` lead, for a message: server, database and user, never the password.
pub(crate) fn place(options: &PgConnectOptions) -> String {
    let server = match options.get_socket() {
        Some(directory) => format!("{}, port {}", directory.display(), options.get_port()),
        None => format!("{}:{}", options.get_host(), options.get_port()),
    };
    let user = options.get_username();
    let database = options.get_database().unwrap_or(user);
    format!("Postgres at {server}, database {database:?}, as {user:?}")
}

fn reason(error: &Error) -> String {
    match error {
        Error::Io(io) if io.kind() == ErrorKind::ConnectionRefused => "nothing listens there; start the server or correct the address".to_owned(),
        Error::Io(io) => io.to_string(),
        Error::Database(database) => match database.code().as_deref() {
            Some("28P01") => "the server rejects the password".to_owned(),
            _ => database.message().to_owned(),
        },
        // A server that asks for a password makes the driver fail here when none was given.
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

    use super::*;

    fn options() -> PgConnectOptions {
        PgConnectOptions::new_without_pgpass().host("127.0.0.1").port(1).username("someone").password("secret-word").database("marketplace")
    }

    #[tokio::test]
    async fn refused_connection_names_the_place_and_hides_the_password() {
        let message = connect(&options()).await.unwrap_err().to_string();
        assert_eq!(
            message,
            "cannot connect to Postgres at 127.0.0.1:1, database \"marketplace\", as \"someone\": \
             nothing listens there; start the server or correct the address"
        );
    }

    #[test]
    fn socket_directory_stands_for_the_host() {
        let options = options().socket("/run/postgresql").port(5433);
        assert_eq!(place(&options), "Postgres at /run/postgresql, port 5433, database \"marketplace\", as \"someone\"");
    }
}
