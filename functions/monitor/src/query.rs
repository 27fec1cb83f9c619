//! The one statement: several checks in one round trip, of which each may fail alone.

use serde_json::Value;
use shared::Query;
use sqlx::PgConnection;

use crate::catalog::Spec;

/// Makes these checks.
pub(crate) struct Checks(pub(crate) &'static [Spec]);

impl Query for Checks {
    /// In the same order: `value`, and perhaps `limit`, `detail` and `note`; or `sqlstate`.
    type Output = Vec<Value>;

    async fn run(&self, connection: &mut PgConnection) -> Result<Self::Output, sqlx::Error> {
        let ids: Vec<String> = self.0.iter().map(|spec| spec.id.to_owned()).collect();
        sqlx::query_scalar!(
            r#"select monitor_check(which) as "found!" from unnest($1::text[]) with ordinality as asked (which, place) order by place"#,
            &ids,
        )
        .fetch_all(connection)
        .await
    }
}
