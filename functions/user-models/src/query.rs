//! The models of one owner.

use serde::Serialize;
use shared::Query;
use shared::page::{PageRequest, Positioned};
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

pub(crate) struct UserModels<'a> {
    pub(crate) page: &'a PageRequest,
}

/// A model as its owner sees it.
#[derive(Debug, Serialize)]
pub(crate) struct UserModel {
    id: Uuid,
    title: String,
    description: String,
    price_cents: i64,
    currency: String,
    file_bytes: i64,
    download_count: i64,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    updated_at: OffsetDateTime,
}

impl Positioned for UserModel {
    fn position(&self) -> Uuid {
        self.id
    }
}

impl Query for UserModels<'_> {
    type Output = Vec<UserModel>;

    async fn run(&self, connection: &mut PgConnection) -> Result<Self::Output, sqlx::Error> {
        // The owner and the limit stand in sub-selects, whose values the planner does not know: so it reads the index in the order of the list,
        // where it would else sort what it takes for the whole list.
        sqlx::query_as!(
            UserModel,
            r#"select m.id, m.title, m.description, m.price_cents, m.currency, m.file_bytes, m.download_count, m.created_at, m.updated_at
               from models m
               where m.owner_id = (select u.id from users u where u.subject = $1) and m.withdrawn_at is null and m.id < $2
               order by m.id desc
               limit (select $3::bigint)"#,
            self.page.subject(),
            self.page.before(),
            self.page.rows(),
        )
        .fetch_all(connection)
        .await
    }
}
