//! Seeding a database.

use local::seed::{Progress, SeedReport, Size, Table, seed};
use sqlx::postgres::PgConnection;
use sqlx::{query_as, query_scalar};
use tests::Database;

const SMALL: Size = Size { users: 12, models: 100, purchases: 1_000 };

/// Every row of the three tables, as one digest.
async fn digest(connection: &mut PgConnection) -> String {
    query_scalar(
        "select md5(
             (select string_agg(u::text, ';' order by id) from users u)
             || (select string_agg(m::text, ';' order by id) from models m)
             || (select string_agg(p::text, ';' order by id) from purchases p)
         )",
    )
    .fetch_one(connection)
    .await
    .unwrap()
}

async fn rows(connection: &mut PgConnection) -> (i64, i64, i64) {
    query_as(
        "select (select count(*) from users), (select count(*) from models),
         (select count(*) from purchases)",
    )
    .fetch_one(connection)
    .await
    .unwrap()
}

#[tokio::test]
async fn two_databases_get_the_same_rows() {
    let (left, right) = (Database::fresh().await, Database::fresh().await);
    let mut left = left.connect_admin().await;
    let mut right = right.connect_admin().await;
    for connection in [&mut left, &mut right] {
        seed(connection, SMALL, &mut |_| {}).await.unwrap();
    }
    assert_eq!(digest(&mut left).await, digest(&mut right).await);
}

#[tokio::test]
async fn seed_reports_what_the_tables_then_hold() {
    let database = Database::fresh().await;
    let mut connection = database.connect_admin().await;
    let mut seen: Vec<Progress> = Vec::new();
    let report = seed(&mut connection, SMALL, &mut |step| seen.push(step)).await.unwrap();
    assert_eq!(report, SeedReport { users: 12, models: 100, purchases: 1_000 });
    assert_eq!(rows(&mut connection).await, (12, 100, 1_000));
    for (table, total) in [(Table::Users, 12), (Table::Models, 100), (Table::Purchases, 1_000)] {
        let done = Progress { table, rows: total, total };
        assert!(seen.contains(&done), "{table:?}: {seen:?}");
    }
}

#[tokio::test]
async fn tables_with_rows_are_not_seeded_again() {
    let database = Database::fresh().await;
    let mut connection = database.connect_admin().await;
    seed(&mut connection, SMALL, &mut |_| {}).await.unwrap();
    let error = seed(&mut connection, SMALL, &mut |_| {}).await.unwrap_err().to_string();
    assert!(error.contains("users holds rows already"), "{error}");
    assert_eq!(rows(&mut connection).await, (12, 100, 1_000));
}

#[tokio::test]
async fn impossible_size_leaves_the_database_empty() {
    let database = Database::fresh().await;
    let mut connection = database.connect_admin().await;
    let size = Size { purchases: 199, ..SMALL };
    let error = seed(&mut connection, size, &mut |_| {}).await.unwrap_err().to_string();
    assert!(error.contains("ask for at least 200"), "{error}");
    assert_eq!(rows(&mut connection).await, (0, 0, 0));
}

#[tokio::test]
async fn routes_role_may_seed_because_it_may_insert() {
    let database = Database::fresh().await;
    let mut connection = database.connect_app().await;
    seed(&mut connection, SMALL, &mut |_| {}).await.unwrap();
    assert_eq!(rows(&mut connection).await, (12, 100, 1_000));
}

#[tokio::test]
async fn demo_seed_keeps_the_rules_of_the_marketplace() {
    let database = Database::seeded().await;
    let mut connection = database.connect_admin().await;
    assert_eq!(rows(&mut connection).await, (1_000, 10_000, 50_000));
    for (rule, broken_by) in [
        (
            "subjects are user-1 to user-1000",
            "select from generate_series(1, 1000) n
          where not exists (select from users where subject = 'user-' || n)",
        ),
        (
            "everybody has twenty purchases",
            "select from users u
          where (select count(*) from purchases p where p.buyer_id = u.id) < 20",
        ),
        (
            "everybody has a model on sale",
            "select from users u where not exists
          (select from models m where m.owner_id = u.id and m.withdrawn_at is null)",
        ),
        (
            "nobody buys an own model",
            "select from purchases p
          join models m on m.id = p.model_id where m.owner_id = p.buyer_id",
        ),
        (
            "a model is bought while it is on sale",
            "select from purchases p
          join models m on m.id = p.model_id
          where p.purchased_at <= m.created_at or p.purchased_at >= m.withdrawn_at",
        ),
        (
            "downloads are counted",
            "select from models m where m.download_count <>
          (select count(*) from purchases p where p.model_id = m.id)",
        ),
        (
            "a key carries its row's time",
            "select from (
             select id, created_at as at from users union all
             select id, created_at from models union all
             select id, purchased_at from purchases) r
          where ('x' || lpad(left(replace(id::text, '-', ''), 12), 16, '0'))::bit(64)::bigint
             <> round(extract(epoch from at) * 1000)",
        ),
        ("no time lies ahead", "select from models where updated_at > '2026-01-01T00:00:00Z'"),
    ] {
        let broken: i64 = query_scalar(&format!("select count(*) from ({broken_by}) broken")).fetch_one(&mut connection).await.unwrap();
        assert_eq!(broken, 0, "{rule}");
    }
    let withdrawn: i64 = query_scalar("select count(*) from models where withdrawn_at is not null").fetch_one(&mut connection).await.unwrap();
    assert!((100..1_000).contains(&withdrawn), "{withdrawn} of 10000 models are withdrawn");
}
