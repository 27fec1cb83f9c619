//! What a handler can fail with: public words for the client, private detail for the log.

use std::error::Error as StdError;

use http::{Method, StatusCode};

use crate::recovery::{Recovery, is_farewell_of_a_pooler};
use crate::refusal::Refusal;
use crate::retry::Failure;

/// Why a request was not served. Each variant's first line begins with its status.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// 400: the request is malformed. The detail goes to the client: it names what was wrong and how to mend it.
    #[error("malformed request: {detail}")]
    Malformed {
        /// What was wrong and how to mend it; never holds text from the database.
        detail: String,
    },

    /// 401: no verified claims came with the request.
    #[error("no verified identity")]
    Unauthenticated,

    /// 405: the path is right, the method is not.
    #[error("method not allowed, only {}", allow(.allowed))]
    MethodNotAllowed {
        /// The methods that are.
        allowed: &'static [Method],
    },

    /// 4xx: the request was understood and is not done. All of it goes to the client.
    #[error("refused, {}: {}", .0.kind.name, .0.detail)]
    Refused(Box<Refusal>),

    /// 503: the database did not answer inside the budget. A keyed write may be in or not: the same key gives its answer later.
    #[error("the database did not answer inside the budget")]
    Unavailable {
        /// How often work was sent again before giving up.
        resends: u32,
        /// How often connecting was repeated before giving up.
        reconnects: u32,
        /// The last failure, for the log. None where there was no time for even one attempt.
        #[source]
        source: Option<AttemptError>,
    },

    /// 504: the statement ran into the database's statement_timeout.
    #[error("the statement timed out")]
    StatementTimeout(#[source] sqlx::Error),

    /// 500: a fault of ours.
    #[error("internal error")]
    Internal(#[source] Box<dyn StdError + Send + Sync>),
}

/// Why one attempt did not succeed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AttemptError {
    /// No connection inside the connect timeout.
    #[error("connecting took longer than {timeout_ms} ms")]
    ConnectTimeout {
        /// The bound that was passed.
        timeout_ms: u128,
    },
    /// No connection.
    #[error("connecting failed")]
    Connect(#[source] sqlx::Error),
    /// What to connect with could not be read.
    #[error("the credentials could not be read")]
    Credentials(#[source] std::io::Error),
    /// No answer to the work inside the attempt timeout.
    #[error("the database was silent for {timeout_ms} ms")]
    WorkTimeout {
        /// The bound that was passed.
        timeout_ms: u128,
    },
    /// The work failed.
    #[error("the work failed")]
    Work(#[source] sqlx::Error),
}

/// The server refused who we say we are: invalid_password, invalid_authorization_specification.
const REFUSED_SIGN_IN: [&str; 2] = ["28P01", "28000"];

/// read_only_sql_transaction: a standby, or a writer that was demoted.
const READ_ONLY: &str = "25006";

/// RDS Proxy's borrow timeout, too_many_connections, cannot_connect_now. Through a proxy they come as the answer to a statement.
pub(crate) const NO_DATABASE: [&str; 3] = ["08000", "53300", "57P03"];

impl AttemptError {
    /// What this failure asks for, and whether work may have been executed.
    #[must_use]
    pub fn failure(&self) -> Failure {
        match self {
            Self::ConnectTimeout { .. } | Self::Credentials(_) => Failure::Connect(Recovery::Reconnect),
            Self::Connect(error) => Failure::Connect(Recovery::of_connect(error)),
            Self::WorkTimeout { .. } => Failure::Work(Recovery::Reconnect),
            // The name led to a server that is no writer, or not yet: nothing was executed, as if none had been reached.
            Self::Work(error) if sqlstate(error).as_deref() == Some(READ_ONLY) => Failure::Connect(Recovery::Reconnect),
            // A proxy was reached, and no database behind it.
            Self::Work(_) if self.is_without_database() => Failure::Connect(Recovery::Reconnect),
            Self::Work(error) => Failure::Work(Recovery::of_work(error)),
        }
    }

    /// Whether the server refused the credentials.
    #[must_use]
    pub fn is_refused_sign_in(&self) -> bool {
        matches!(self, Self::Connect(_)) && self.sqlstate().is_some_and(|code| REFUSED_SIGN_IN.contains(&&*code))
    }

    /// Whether a proxy took the work and had no database to run it on. Nothing was executed, but that PgBouncer says the same of a server
    /// that it lost meanwhile: work that may not run twice has a key.
    #[must_use]
    pub fn is_without_database(&self) -> bool {
        let Self::Work(error) = self else { return false };
        is_farewell_of_a_pooler(error) || sqlstate(error).is_some_and(|code| NO_DATABASE.contains(&&*code))
    }

    /// This failure and its causes in one line, for the log only: it may hold text from the database.
    #[must_use]
    pub fn chain(&self) -> String {
        chain(self)
    }

    /// The SQLSTATE, if the server said one.
    #[must_use]
    pub fn sqlstate(&self) -> Option<String> {
        match self {
            Self::Connect(error) | Self::Work(error) => sqlstate(error),
            _ => None,
        }
    }
}

fn allow(methods: &[Method]) -> String {
    methods.iter().map(Method::as_str).collect::<Vec<_>>().join(", ")
}

impl Error {
    /// A 400 that tells the client what was wrong and how to mend it.
    pub fn malformed(detail: impl Into<String>) -> Self {
        Self::Malformed { detail: detail.into() }
    }

    /// A 500, with what the log says of it.
    pub fn internal(cause: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::Internal(cause.into())
    }

    /// The status of the answer.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Malformed { .. } => StatusCode::BAD_REQUEST,
            Self::Unauthenticated => StatusCode::UNAUTHORIZED,
            Self::MethodNotAllowed { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Self::Refused(refusal) => refusal.kind.status,
            Self::Unavailable { .. } => StatusCode::SERVICE_UNAVAILABLE,
            Self::StatementTimeout(_) => StatusCode::GATEWAY_TIMEOUT,
            Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// A stable name, for `type` in the body and for counting in logs.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Malformed { .. } => "malformed",
            Self::Unauthenticated => "unauthenticated",
            Self::MethodNotAllowed { .. } => "method-not-allowed",
            Self::Refused(refusal) => refusal.kind.name,
            Self::Unavailable { .. } => "database-unavailable",
            Self::StatementTimeout(_) => "statement-timeout",
            Self::Internal(_) => "internal",
        }
    }

    /// What the request was refused for.
    pub(crate) fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Refused(refusal) => Some(refusal),
            _ => None,
        }
    }

    /// The value of an `Allow` header, where the status asks for one.
    pub(crate) fn allow_header(&self) -> Option<String> {
        match self {
            Self::MethodNotAllowed { allowed } => Some(allow(allowed)),
            _ => None,
        }
    }

    /// This error and its causes in one line, for the log only: it may hold text from the database.
    #[must_use]
    pub fn chain(&self) -> String {
        chain(self)
    }

    /// The SQLSTATE at the root, if the server said one.
    #[must_use]
    pub fn sqlstate(&self) -> Option<String> {
        match self {
            Self::Unavailable { source: Some(error), .. } => error.sqlstate(),
            Self::StatementTimeout(error) => sqlstate(error),
            Self::Internal(error) => sqlstate(error.downcast_ref::<sqlx::Error>()?),
            _ => None,
        }
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(Box::new(refusal))
    }
}

pub(crate) fn sqlstate(error: &sqlx::Error) -> Option<String> {
    error.as_database_error()?.code().map(std::borrow::Cow::into_owned)
}

/// An error and its causes in one line.
pub fn chain(error: &(dyn StdError + 'static)) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        // Some wrappers repeat the text of what they wrap.
        if !line.ends_with(&text) {
            line.push_str(": ");
            line.push_str(&text);
        }
        cause = error.source();
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::said::says;

    #[test]
    fn a_server_that_is_no_writer_counts_as_none_that_was_reached() {
        assert_eq!(AttemptError::Work(says("25006")).failure(), Failure::Connect(Recovery::Reconnect));
        assert_eq!(AttemptError::Work(says("57P01")).failure(), Failure::Work(Recovery::Reconnect));
        assert_eq!(AttemptError::Work(says("40001")).failure(), Failure::Work(Recovery::Retry));
    }
}
