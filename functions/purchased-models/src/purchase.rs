//! Buying a model at the price that it has now.

use garde::Validate;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use shared::refusal::{Kind, NOT_FOUND};
use shared::{Effect, Kept, Refusal, Submission};
use sqlx::PgConnection;
use uuid::Uuid;

const ALREADY_OWNED: Kind = Kind { status: StatusCode::CONFLICT, name: "already-owned", title: "The model is the caller's already" };
const OWN_MODEL: Kind = Kind { status: StatusCode::UNPROCESSABLE_ENTITY, name: "own-model", title: "Nobody buys a model of their own" };
const WITHDRAWN_MODEL: Kind = Kind { status: StatusCode::UNPROCESSABLE_ENTITY, name: "withdrawn-model", title: "The model is not sold any more" };

/// What a client asks for.
#[derive(Debug, Serialize, Deserialize, Validate)]
#[serde(deny_unknown_fields)]
pub(crate) struct Order {
    #[serde(deserialize_with = "shared::body::uuid")]
    #[garde(skip)]
    model_id: Uuid,
}

/// One purchase, if it comes about. Its ids are the same in every attempt.
pub(crate) struct Purchase {
    id: Uuid,
    model_id: Uuid,
    /// For a caller who was not seen before.
    user_id: Uuid,
}

impl Purchase {
    pub(crate) fn of(order: &Order) -> Self {
        Self { id: Uuid::now_v7(), model_id: order.model_id, user_id: Uuid::now_v7() }
    }
}

impl Effect for Purchase {
    async fn apply(&self, submission: &Submission, connection: &mut PgConnection) -> Result<Option<Kept>, sqlx::Error> {
        sqlx::query_as!(
            Kept,
            r#"with response as materialized (
                   select p.id, m.price_cents, m.currency, row_to_json(p)::text as body
                   from models m
                   cross join lateral (
                       select $3::uuid as id, m.id as model_id, m.title, m.description, m.file_bytes, m.price_cents, m.currency,
                              to_char(now() at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as purchased_at
                   ) p
                   where m.id = $4 and m.withdrawn_at is null
                     and not exists (select from users u where u.id = m.owner_id and u.subject = $1)
                     and not exists (
                         select from purchases o where o.model_id = m.id and o.buyer_id = (select u.id from users u where u.subject = $1)
                     )
               ), kept as materialized (
                   select r.* from response r where keep_response($1, $2, $5, $6, 201, null, null, r.body)
               ), purchase as (
                   insert into purchases (id, buyer_id, model_id, price_cents, currency, purchased_at)
                   select k.id, user_of($1, $7), $4, k.price_cents, k.currency, now() from kept k
               )
               select 201 as "status!", null::text as etag, null::text as location, k.body as "body!" from kept k"#,
            submission.principal(),
            submission.key(),
            self.id,
            self.model_id,
            submission.request_hash(),
            submission.lifetime_s(),
            self.user_id,
        )
        .fetch_optional(connection)
        .await
    }

    async fn refusal(&self, submission: &Submission, connection: &mut PgConnection) -> Result<Option<Refusal>, sqlx::Error> {
        let model = sqlx::query!(
            r#"select m.withdrawn_at is not null as "is_withdrawn!",
                      exists (select from users u where u.id = m.owner_id and u.subject = $1) as "is_own!",
                      exists (
                          select from purchases o where o.model_id = m.id and o.buyer_id = (select u.id from users u where u.subject = $1)
                      ) as "is_bought!"
               from models m where m.id = $2"#,
            submission.principal(),
            self.model_id,
        )
        .fetch_optional(connection)
        .await?;
        Ok(match model {
            None => Some(NOT_FOUND.because("There is no model with this model_id.")),
            Some(model) if model.is_own => Some(OWN_MODEL.because("The caller published this model.")),
            Some(model) if model.is_bought => Some(ALREADY_OWNED.because("The caller bought this model before, by another request.")),
            Some(model) if model.is_withdrawn => Some(WITHDRAWN_MODEL.because("Its owner has withdrawn this model.")),
            Some(_) => None,
        })
    }
}
