//! The record of a reset, which stands before its first effect.

use shared::{Key, KeyedWrite};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::order::{Order, Scope};

/// One reset, as it goes on the record.
pub(crate) struct Record<'a> {
    pub(crate) id: Uuid,
    pub(crate) operator_arn: &'a str,
    pub(crate) request_id: &'a str,
    pub(crate) order: &'a Order,
    /// `proxy` or `direct`.
    pub(crate) path: &'static str,
}

impl KeyedWrite for Record<'_> {
    type Output = ();

    /// The id is the key: a second run finds its row. The reset of a single sandbox has no other effect on the database, and is complete.
    async fn run(&self, _: &Key, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        sqlx::query!(
            "insert into resets (
                 id, asked_at, operator_arn, request_id, scope, reason, include_busy, path, terminated_idle, terminated_busy, left_busy, is_complete
             )
             values ($1, now(), $2, $3, $4, $5, $6, $7, 0, 0, 0, $8)
             on conflict (id) do nothing",
            self.id,
            self.operator_arn,
            self.request_id,
            self.order.scope.as_str(),
            self.order.reason,
            self.order.include_busy,
            self.path,
            self.order.scope == Scope::Environment,
        )
        .execute(connection)
        .await
        .map(drop)
    }
}
