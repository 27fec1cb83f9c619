//! Whether a pooler stands before the database that hands out one client's prepared statements to another.
//!
//! A statement is prepared under a name, and run by that name in a later message. A pooler by transaction may run it on another database
//! connection than it was prepared on, where the name is missing, or is another client's statement: then that one's rows come back, and
//! nothing tells. RDS Proxy and PgBouncer from 1.21 on (`max_prepared_statements` above 0) keep track; PgBouncer before that does not.
//!
//! So a new connection is looked at once, where such a pooler can be: RDS Proxy and the database itself sign in by IAM or have a name of
//! AWS's own, and cost nothing here. Elsewhere one round trip asks where a setting comes from that the driver sends in its start-up message
//! and PgBouncer, of every version, has to be told to drop: a session that was opened for this client has it from the client. Only where it
//! comes from elsewhere a second question follows, in a transaction, so that both of its halves meet
//! one database connection: by which name the server knows the statement that asks. It is the driver's own where nobody keeps track.
//!
//! Why no answer to these questions, and none after them, is another client's: the first goes by the simple protocol, which has no names.
//! The second's statement is prepared and run inside one transaction, so what it runs is what it prepared; where its name is taken there the
//! server says so. No other statement is sent by a connection that failed here, so no client of this crate puts one where another would
//! meet it.
//!
//! A pooler by session is safe, cannot be told from one that keeps no track, and is refused with it.

use sqlx::{Connection as _, Executor as _, PgConnection, Row as _};

use crate::config::{Credentials, Database};
use crate::error::sqlstate;

/// By the simple protocol: where the setting comes from (pg_settings.source).
const SOURCE: &str = "select source from pg_settings where name = 'extra_float_digits'";
/// From the start-up message of the client itself.
const CLIENT: &str = "client";
/// The name of the first statement that the driver prepares on a connection.
const FIRST_STATEMENT: &str = "sqlx_s_1";

/// duplicate_prepared_statement.
const DUPLICATE_STATEMENT: &str = "42P05";

/// Poolers know no IAM, and nobody else has these names.
const AWS: [&str; 2] = [".rds.amazonaws.com", ".rds.amazonaws.com.cn"];

/// Nobody keeps track of prepared statements.
#[derive(Debug, thiserror::Error)]
#[error(
    "the pooler between this function and the database does not keep track of prepared statements, so one client's rows could reach another: \
     use PgBouncer 1.21 or later with max_prepared_statements above 0, or RDS Proxy, or connect to the database itself"
)]
struct Untracked;

/// Whether a pooler of somebody's own may stand before this database.
pub(crate) fn is_possible(database: &Database) -> bool {
    let host = database.host.to_ascii_lowercase();
    !matches!(database.credentials, Credentials::Iam(_)) && !AWS.iter().any(|suffix| host.ends_with(suffix))
}

/// Looks at a connection on which nothing was prepared yet.
///
/// # Errors
/// A configuration error that says what to do, where prepared statements would meet those of others; else the error of the question.
///
/// # Cancel safety
/// The connection must be dropped.
pub(crate) async fn check(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    let setting = (&mut *connection).fetch_one(SOURCE).await?;
    if setting.try_get::<&str, _>(0)? == CLIENT {
        return Ok(());
    }
    let mut transaction = connection.begin().await?;
    let own_name = sqlx::query_scalar::<_, bool>("select exists (select from pg_prepared_statements where name = $1)")
        .bind(FIRST_STATEMENT)
        .fetch_one(&mut *transaction)
        .await;
    let is_tracked = match own_name {
        Ok(is_own) => {
            if is_own {
                // Nobody else shall meet it.
                (&mut *transaction).execute("deallocate sqlx_s_1").await?;
            }
            !is_own
        }
        // Somebody else's has the name.
        Err(error) if sqlstate(&error).as_deref() == Some(DUPLICATE_STATEMENT) => false,
        Err(error) => return Err(error),
    };
    // A pooler closes the database connection of a client that leaves a transaction open.
    transaction.rollback().await?;
    if is_tracked { Ok(()) } else { Err(sqlx::Error::Configuration(Box::new(Untracked))) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Tls;

    #[test]
    fn aws_names_and_iam_are_no_poolers_of_somebodys_own() {
        let possible = |host: &str| {
            let credentials = Credentials::Password("secret".into());
            let (host, name, user) = (host.to_owned(), "thaw".to_owned(), "app".to_owned());
            is_possible(&Database { host, port: 5432, name, user, credentials, tls: Tls::Disable })
        };
        assert!(possible("127.0.0.1") && possible("db.internal") && possible("rds.amazonaws.com.example.org"));
        assert!(!possible("thaw.proxy-abc.eu-central-1.rds.amazonaws.com") && !possible("THAW.cluster-x.cn-north-1.RDS.amazonaws.com.cn"));
    }
}
