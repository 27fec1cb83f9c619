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

/// One model of its owner.
pub(crate) struct Item<'a> {
    pub(crate) id: Uuid,
    pub(crate) subject: &'a str,
}

impl Query for Item<'_> {
    /// Its version, and the text of which that is the strong tag: the one that publishing and changing it gave too.
    type Output = Option<(i64, String)>;

    async fn run(&self, connection: &mut PgConnection) -> Result<Self::Output, sqlx::Error> {
        let item = sqlx::query!(
            r#"select m.version, row_to_json(i)::text as "body!"
               from models m
               cross join lateral (
                   select m.id, m.title, m.description, m.price_cents, m.currency, m.file_bytes, m.download_count,
                          to_char(m.created_at at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as created_at,
                          to_char(m.updated_at at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as updated_at
               ) i
               where m.id = $1 and m.owner_id = (select u.id from users u where u.subject = $2) and m.withdrawn_at is null"#,
            self.id,
            self.subject,
        )
        .fetch_optional(connection)
        .await?;
        Ok(item.map(|item| (item.version, item.body)))
    }
}
