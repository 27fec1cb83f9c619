//! What the schema holds, and what it does without.

use sqlx::postgres::PgConnection;
use sqlx::query_scalar;
use tests::Database;

async fn strings(connection: &mut PgConnection, sql: &str) -> Vec<String> {
    query_scalar(sql).fetch_all(connection).await.unwrap()
}

#[tokio::test]
async fn only_a_withdrawal_and_what_a_response_may_lack_may_be_null() {
    let database = Database::fresh().await;
    let mut connection = database.connect_admin().await;
    let nullable = strings(
        &mut connection,
        "select table_name || '.' || column_name from information_schema.columns
         where table_schema = 'public' and is_nullable = 'YES' order by 1",
    )
    .await;
    assert_eq!(nullable, ["idempotency_keys.etag", "idempotency_keys.location", "models.withdrawn_at"]);
}

#[tokio::test]
async fn every_table_belongs_to_thaw_migrate() {
    let database = Database::fresh().await;
    let mut connection = database.connect_admin().await;
    let owned = strings(&mut connection, "select tablename || ' ' || tableowner from pg_tables where schemaname = 'public' order by 1").await;
    let tables = ["_sqlx_migrations", "idempotency_keys", "models", "purchases", "resets", "users"];
    assert_eq!(owned, tables.map(|table| format!("{table} thaw_migrate")));
}

#[tokio::test]
async fn schema_has_no_sequence_and_no_type_that_costs_a_catalog_query() {
    let database = Database::fresh().await;
    let mut connection = database.connect_admin().await;
    let found = strings(
        &mut connection,
        "select 'sequence ' || relname from pg_class
         where relkind = 'S' and relnamespace = 'public'::regnamespace
         union all
         select 'type ' || typname from pg_type
         where typtype in ('e', 'd', 'r', 'm') and typnamespace = 'public'::regnamespace
         union all
         -- A constant calls nothing.
         select 'default ' || adrelid::regclass || '.' || adnum from pg_attrdef
         where pg_get_expr(adbin, adrelid) !~ '^[0-9]+$' and adrelid in (
             select oid from pg_class where relnamespace = 'public'::regnamespace
             and relname <> '_sqlx_migrations'
         )",
    )
    .await;
    assert!(found.is_empty(), "{found:?}");
}

#[tokio::test]
async fn every_foreign_key_has_an_index() {
    let database = Database::fresh().await;
    let mut connection = database.connect_admin().await;
    let keys = strings(&mut connection, "select conname::text from pg_constraint where contype = 'f'");
    assert!(!keys.await.is_empty());
    let without = strings(
        &mut connection,
        // A partial index does not serve: the check looks for every row.
        "select conname::text from pg_constraint c
         where contype = 'f' and not exists (
             select from pg_index i where i.indrelid = c.conrelid and i.indpred is null
             and (i.indkey::int2[])[0 : cardinality(c.conkey) - 1] @> c.conkey
         )",
    )
    .await;
    assert!(without.is_empty(), "foreign keys without an index: {without:?}");
}
