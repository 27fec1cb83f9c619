//! Publishing a model.

use shared::{Effect, Kept, Refusal, Submission};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::model::NewModel;

/// One model, once it is published. Its ids are the same in every attempt.
pub(crate) struct Publication<'a> {
    id: Uuid,
    /// For a caller who was not seen before.
    user_id: Uuid,
    model: &'a NewModel,
}

impl<'a> Publication<'a> {
    pub(crate) fn of(model: &'a NewModel) -> Self {
        Self { id: Uuid::now_v7(), user_id: Uuid::now_v7(), model }
    }
}

impl Effect for Publication<'_> {
    async fn apply(&self, submission: &Submission, connection: &mut PgConnection) -> Result<Option<Kept>, sqlx::Error> {
        sqlx::query_as!(
            Kept,
            r#"with response as materialized (
                   select row_to_json(m)::text as body, '/api/models/user-models/' || $3::uuid as location
                   from (
                       select $3::uuid as id, $7::text as title, $8::text as description, $9::bigint as price_cents, $10::text as currency,
                              $11::bigint as file_bytes, 0 as download_count,
                              to_char(now() at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as created_at,
                              to_char(now() at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as updated_at
                   ) m
               ), kept as materialized (
                   select r.* from response r where keep_response($1, $2, $4, $5, 201, '"1"', r.location, r.body)
               ), published as (
                   insert into models
                       (id, owner_id, title, description, price_cents, currency, file_bytes, download_count, created_at, updated_at, version)
                   select $3, user_of($1, $6), $7, $8, $9, $10, $11, 0, now(), now(), 1 from kept
               )
               select 201 as "status!", '"1"' as etag, k.location, k.body as "body!" from kept k"#,
            submission.principal(),
            submission.key(),
            self.id,
            submission.request_hash(),
            submission.lifetime_s(),
            self.user_id,
            self.model.title,
            self.model.description,
            self.model.price_cents,
            self.model.currency,
            self.model.file_bytes,
        )
        .fetch_optional(connection)
        .await
    }

    /// Nothing but its key stands in the way of a publication.
    async fn refusal(&self, _: &Submission, _: &mut PgConnection) -> Result<Option<Refusal>, sqlx::Error> {
        Ok(None)
    }
}
