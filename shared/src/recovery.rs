//! What an error of the database asks for. Pure.
//!
//! Two questions per error: is the connection to blame (drop it), and did the server say that nothing happened (run again)? An operation
//! answers the third, whether it may run twice at all. Errors are told apart by SQLSTATE and by kind, never by their text.

use sqlx::postgres::{PgDatabaseError, PgSeverity};

/// What an error asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recovery {
    /// The connection is to blame: drop it, and run again on a new one.
    Reconnect,
    /// The connection is sound and the transaction was rolled back: run the whole of it again.
    Retry,
    /// Running again would not help.
    Fail,
}

/// SQLSTATEs after which work may run again, with the reason of each. Every other one fails.
///
/// Source of the codes: PostgreSQL documentation, appendix A.
const RECOVERABLE: &[(&str, Recovery, &str)] = &[
    ("40001", Recovery::Retry, "serialization failure: rolled back"),
    ("40P01", Recovery::Retry, "deadlock: rolled back"),
    ("55P03", Recovery::Retry, "lock not available within lock_timeout: rolled back"),
    ("57P01", Recovery::Reconnect, "the backend was terminated"),
    ("57P02", Recovery::Reconnect, "another backend crashed and took this one along"),
    ("57P03", Recovery::Reconnect, "the server is starting up or shutting down"),
    ("57P05", Recovery::Reconnect, "the session was idle for too long"),
    ("25P03", Recovery::Reconnect, "the transaction was idle for too long"),
    ("53300", Recovery::Reconnect, "too many clients: nothing was executed"),
    ("08000", Recovery::Reconnect, "RDS Proxy could not borrow a database connection: nothing was executed"),
    ("08001", Recovery::Reconnect, "no connection came about"),
    ("08003", Recovery::Reconnect, "the connection does not exist"),
    ("08004", Recovery::Reconnect, "the server turned the connection away"),
    ("08006", Recovery::Reconnect, "the connection broke"),
    ("08007", Recovery::Reconnect, "whether the transaction committed is unknown: a write's key tells"),
    ("40003", Recovery::Reconnect, "whether the statement completed is unknown: a write's key tells"),
    ("25006", Recovery::Reconnect, "read-only: the writer was demoted, the name will point to the new one"),
    ("26000", Recovery::Reconnect, "the prepared statement is unknown: this connection's statements are spoilt"),
    ("42P05", Recovery::Reconnect, "the prepared statement exists already: this connection's statements are spoilt"),
    ("0A000", Recovery::Reconnect, "a cached plan no longer fits after a migration: this connection's statements are spoilt"),
];

impl Recovery {
    /// What a SQLSTATE from the server asks for; unknown ones fail.
    #[must_use]
    pub fn of_sqlstate(code: &str) -> Self {
        RECOVERABLE.iter().find(|(known, _, _)| *known == code).map_or(Self::Fail, |(_, recovery, _)| *recovery)
    }

    /// What an error while work was under way asks for.
    #[must_use]
    pub fn of_work(error: &sqlx::Error) -> Self {
        match error {
            _ if is_farewell_of_a_pooler(error) => Self::Reconnect,
            sqlx::Error::Database(database) => database.code().map_or(Self::Fail, |code| Self::of_sqlstate(&code)),
            // The stream of messages is cut or no longer makes sense.
            sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::Protocol(_) | sqlx::Error::WorkerCrashed => Self::Reconnect,
            _ => Self::Fail,
        }
    }

    /// What an error while connecting asks for. Nothing was sent, so all that may pass by itself is worth another try.
    #[must_use]
    pub fn of_connect(error: &sqlx::Error) -> Self {
        match error {
            // At sign-in this is the refusal of a startup parameter, which stays refused.
            sqlx::Error::Database(database) if database.code().as_deref() == Some("0A000") => Self::Fail,
            other => Self::of_work(other),
        }
    }
}

/// PgBouncer ends its client with this SQLSTATE, protocol_violation, whenever it has, finds or keeps no server for it: on the database's
/// restart, or after its `query_wait_timeout`. From the database itself it is not fatal, and says that a message was wrong.
pub(crate) fn is_farewell_of_a_pooler(error: &sqlx::Error) -> bool {
    let error = error.as_database_error().and_then(|error| error.try_downcast_ref::<PgDatabaseError>());
    error.is_some_and(|error| error.code() == "08P01" && error.severity() == PgSeverity::Fatal)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn these_codes_may_run_again_and_no_other() {
        let of = |recovery: Recovery| RECOVERABLE.iter().filter(|(_, asks, _)| *asks == recovery).map(|(code, ..)| *code).collect::<BTreeSet<_>>();
        let rolled_back = ["40001", "40P01", "55P03"];
        let connection_to_blame = [
            "08000", "08001", "08003", "08004", "08006", "08007", "0A000", "25006", "25P03", "26000", "40003", "42P05", "53300", "57P01", "57P02",
            "57P03", "57P05",
        ];
        assert_eq!(of(Recovery::Retry), BTreeSet::from(rolled_back));
        assert_eq!(of(Recovery::Reconnect), BTreeSet::from(connection_to_blame));
        assert!(of(Recovery::Fail).is_empty(), "what is not listed fails");
        for (code, recovery, _) in RECOVERABLE {
            assert_eq!(Recovery::of_sqlstate(code), *recovery, "{code}");
        }
    }

    #[test]
    fn unknown_and_final_codes_fail() {
        for code in ["", "57014", "28P01", "28000", "3D000", "42P01", "23505", "22P02", "XX000", "99999", "4000", "400010"] {
            assert_eq!(Recovery::of_sqlstate(code), Recovery::Fail, "{code}");
        }
    }

    #[test]
    fn no_code_is_listed_twice_and_each_has_its_reason() {
        for (index, (code, _, reason)) in RECOVERABLE.iter().enumerate() {
            assert_eq!(code.len(), 5, "{code}");
            assert!(!reason.is_empty(), "{code}");
            assert!(!RECOVERABLE[..index].iter().any(|(earlier, _, _)| earlier == code), "{code} stands twice");
        }
    }

    #[test]
    fn a_cut_stream_asks_for_a_new_connection_and_a_wrong_query_for_nothing() {
        let cut = sqlx::Error::Io(std::io::ErrorKind::UnexpectedEof.into());
        assert_eq!(Recovery::of_work(&cut), Recovery::Reconnect);
        assert_eq!(Recovery::of_connect(&cut), Recovery::Reconnect);
        assert_eq!(Recovery::of_work(&sqlx::Error::Protocol("garbage".into())), Recovery::Reconnect);
        assert_eq!(Recovery::of_work(&sqlx::Error::RowNotFound), Recovery::Fail);
    }
}
