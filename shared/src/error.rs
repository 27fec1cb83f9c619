//! What a handler can fail with: public words for the client, private detail for the log.

use std::error::Error as StdError;

use http::{Method, StatusCode};

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

    /// 503: the database did not answer inside the budget. Nothing was changed that the client would have to know of.
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

fn allow(methods: &[Method]) -> String {
    methods.iter().map(Method::as_str).collect::<Vec<_>>().join(", ")
}

impl Error {
    /// A 400 that tells the client what was wrong and how to mend it.
    pub fn malformed(detail: impl Into<String>) -> Self {
        Self::Malformed { detail: detail.into() }
    }

    /// The status of the answer.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Malformed { .. } => StatusCode::BAD_REQUEST,
            Self::Unauthenticated => StatusCode::UNAUTHORIZED,
            Self::MethodNotAllowed { .. } => StatusCode::METHOD_NOT_ALLOWED,
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
            Self::Unavailable { .. } => "database-unavailable",
            Self::StatementTimeout(_) => "statement-timeout",
            Self::Internal(_) => "internal",
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
        let mut line = self.to_string();
        let mut cause = self.source();
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

    /// The SQLSTATE at the root, if the server said one.
    #[must_use]
    pub fn sqlstate(&self) -> Option<String> {
        let error = match self {
            Self::Unavailable { source: Some(AttemptError::Connect(error) | AttemptError::Work(error)), .. } | Self::StatementTimeout(error) => error,
            Self::Internal(error) => error.downcast_ref::<sqlx::Error>()?,
            _ => return None,
        };
        error.as_database_error()?.code().map(std::borrow::Cow::into_owned)
    }
}
