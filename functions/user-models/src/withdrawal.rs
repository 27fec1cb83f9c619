//! Withdrawing a model of one's own: it is not sold any more, and stays with those who bought it.

use shared::refusal::{NOT_FOUND, PRECONDITION_FAILED};
use shared::{Effect, Kept, Refusal, Submission};
use sqlx::PgConnection;
use uuid::Uuid;

/// The end of one version.
pub(crate) struct Withdrawal {
    pub(crate) id: Uuid,
    /// Which versions may be withdrawn; none for any.
    pub(crate) versions: Option<Vec<i64>>,
}

impl Effect for Withdrawal {
    async fn apply(&self, submission: &Submission, connection: &mut PgConnection) -> Result<Option<Kept>, sqlx::Error> {
        sqlx::query_as!(
            Kept,
            r#"with target as materialized (
                   select m.id from models m
                   where m.id = $3 and m.owner_id = (select u.id from users u where u.subject = $1) and m.withdrawn_at is null
                     and ($6::bigint[] is null or m.version = any($6))
                   for no key update
               ), kept as materialized (
                   select t.id from target t where keep_response($1, $2, $4, $5, 204, null, null, '')
               ), withdrawn as (
                   update models m set withdrawn_at = now(), updated_at = now(), version = m.version + 1 from kept k where m.id = k.id
               )
               select 204 as "status!", null::text as etag, null::text as location, '' as "body!" from kept"#,
            submission.principal(),
            submission.key(),
            self.id,
            submission.request_hash(),
            submission.lifetime_s(),
            self.versions.as_deref(),
        )
        .fetch_optional(connection)
        .await
    }

    async fn refusal(&self, submission: &Submission, connection: &mut PgConnection) -> Result<Option<Refusal>, sqlx::Error> {
        refusal(self.id, self.versions.as_deref(), submission, connection).await
    }
}

/// Why one of these versions of a model cannot be changed by the caller; none where it can.
pub(crate) async fn refusal(
    id: Uuid,
    versions: Option<&[i64]>,
    submission: &Submission,
    connection: &mut PgConnection,
) -> Result<Option<Refusal>, sqlx::Error> {
    let version = sqlx::query_scalar!(
        "select m.version from models m
         where m.id = $1 and m.owner_id = (select u.id from users u where u.subject = $2) and m.withdrawn_at is null",
        id,
        submission.principal(),
    )
    .fetch_optional(connection)
    .await?;
    Ok(match version {
        None => Some(NOT_FOUND.because("The caller has no model with this id.")),
        Some(version) if versions.is_some_and(|versions| !versions.contains(&version)) => {
            Some(PRECONDITION_FAILED.because("Read the model again, and send its new ETag in If-Match."))
        }
        Some(_) => None,
    })
}
