//! The purchases of one buyer.

use serde::Serialize;
use shared::Query;
use shared::page::{PageRequest, Positioned};
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

pub(crate) struct PurchasedModels<'a> {
    pub(crate) page: &'a PageRequest,
}

/// A purchase, with the model as it is now and the price as it was then.
#[derive(Debug, Serialize)]
pub(crate) struct PurchasedModel {
    id: Uuid,
    model_id: Uuid,
    title: String,
    description: String,
    file_bytes: i64,
    price_cents: i64,
    currency: String,
    #[serde(with = "time::serde::rfc3339")]
    purchased_at: OffsetDateTime,
}

impl Positioned for PurchasedModel {
    fn position(&self) -> Uuid {
        self.id
    }
}

impl Query for PurchasedModels<'_> {
    type Output = Vec<PurchasedModel>;

    async fn run(&self, connection: &mut PgConnection) -> Result<Self::Output, sqlx::Error> {
        // The buyer and the limit stand in sub-selects, whose values the planner does not know: so it reads the index in the order of the list,
        // where it would else sort what it takes for the whole list. A withdrawn model stays with
        // its buyers.
        sqlx::query_as!(
            PurchasedModel,
            r#"select p.id, p.model_id, m.title, m.description, m.file_bytes, p.price_cents, p.currency, p.purchased_at
               from purchases p
               join models m on m.id = p.model_id
               where p.buyer_id = (select u.id from users u where u.subject = $1) and p.id < $2
               order by p.id desc
               limit (select $3::bigint)"#,
            self.page.subject(),
            self.page.before(),
            self.page.rows(),
        )
        .fetch_all(connection)
        .await
    }
}
