//! Changing a model of one's own.

use shared::{Effect, Kept, Refusal, Submission};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::model::ModelChange;
use crate::withdrawal;

/// One change of one version.
pub(crate) struct Change<'a> {
    pub(crate) id: Uuid,
    /// Which versions may be changed; none for any.
    pub(crate) versions: Option<Vec<i64>>,
    pub(crate) change: &'a ModelChange,
}

impl Effect for Change<'_> {
    async fn apply(&self, submission: &Submission, connection: &mut PgConnection) -> Result<Option<Kept>, sqlx::Error> {
        // The row is locked before it is read, so the response is made from what is changed.
        sqlx::query_as!(
            Kept,
            r#"with target as (
                   select m.* from models m
                   where m.id = $3 and m.owner_id = (select u.id from users u where u.subject = $1) and m.withdrawn_at is null
                     and ($6::bigint[] is null or m.version = any($6))
                   for no key update
               ), response as materialized (
                   select c.*, t.version + 1 as version, row_to_json(c)::text as body
                   from target t
                   cross join lateral (
                       select t.id, coalesce($7, t.title) as title, coalesce($8, t.description) as description,
                              coalesce($9, t.price_cents) as price_cents, coalesce($10, t.currency) as currency,
                              coalesce($11, t.file_bytes) as file_bytes, t.download_count,
                              to_char(t.created_at at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as created_at,
                              to_char(now() at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as updated_at
                   ) c
               ), kept as materialized (
                   select r.*, format('"%s"', r.version) as etag from response r
                   where keep_response($1, $2, $4, $5, 200, format('"%s"', r.version), null, r.body)
               ), changed as (
                   update models m
                   set title = k.title, description = k.description, price_cents = k.price_cents, currency = k.currency, file_bytes = k.file_bytes,
                       updated_at = now(), version = k.version
                   from kept k where m.id = k.id
               )
               select 200 as "status!", k.etag, null::text as location, k.body as "body!" from kept k"#,
            submission.principal(),
            submission.key(),
            self.id,
            submission.request_hash(),
            submission.lifetime_s(),
            self.versions.as_deref(),
            self.change.title,
            self.change.description,
            self.change.price_cents,
            self.change.currency,
            self.change.file_bytes,
        )
        .fetch_optional(connection)
        .await
    }

    async fn refusal(&self, submission: &Submission, connection: &mut PgConnection) -> Result<Option<Refusal>, sqlx::Error> {
        withdrawal::refusal(self.id, self.versions.as_deref(), submission, connection).await
    }
}
