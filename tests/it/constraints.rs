//! Each constraint of the schema against rows at the edge of its domain.

use sqlx::postgres::PgConnection;
use sqlx::{query_scalar, raw_sql};
use tests::Database;

/// A column and the SQL expression that stands in its place.
type Change = (&'static str, &'static str);

const USER: [Change; 3] = [("id", "'01900000-0000-7000-8000-0000000000aa'"), ("subject", "'somebody'"), ("created_at", "'2026-01-01T00:00:00Z'")];

const KEY: [Change; 7] = [
    ("principal", "'somebody'"),
    ("key", "'k1'"),
    ("request_hash", "sha256('x')"),
    ("status", "201"),
    ("body", "'{}'"),
    ("created_at", "'2026-01-01T00:00:00Z'"),
    ("expires_at", "'2026-01-02T00:00:00Z'"),
];

const MODEL: [Change; 12] = [
    ("id", "'01900000-0000-7000-8000-0000000000bb'"),
    ("owner_id", "'01900000-0000-7000-8000-000000000001'"),
    ("title", "'Fox'"),
    ("description", "''"),
    ("price_cents", "499"),
    ("currency", "'EUR'"),
    ("file_bytes", "1024"),
    ("download_count", "0"),
    ("created_at", "'2026-01-01T00:00:00Z'"),
    ("updated_at", "'2026-01-01T00:00:00Z'"),
    ("withdrawn_at", "null"),
    ("version", "1"),
];

const RESET: [Change; 12] = [
    ("id", "'01900000-0000-7000-8000-0000000000dd'"),
    ("asked_at", "'2026-01-01T00:00:00Z'"),
    ("operator_arn", "'arn:aws:iam::123456789012:user/operator'"),
    ("request_id", "'8e03978e-40d5-43e8-bc93-6894a57f9324'"),
    ("scope", "'fleet'"),
    ("reason", "'why'"),
    ("include_busy", "false"),
    ("path", "'direct'"),
    ("terminated_idle", "0"),
    ("terminated_busy", "0"),
    ("left_busy", "0"),
    ("is_complete", "false"),
];

const PURCHASE: [Change; 6] = [
    ("id", "'01900000-0000-7000-8000-0000000000cc'"),
    ("buyer_id", "'01900000-0000-7000-8000-000000000001'"),
    ("model_id", "'01900000-0000-7000-8000-000000000002'"),
    ("price_cents", "499"),
    ("currency", "'EUR'"),
    ("purchased_at", "'2026-01-01T00:00:00Z'"),
];

/// Rows that lie at the edge of the domain: inside, and with the constraint's name outside.
const CASES: [(&str, Change, Option<&str>); 79] = [
    ("users", ("subject", "'x'"), None),
    ("users", ("subject", "repeat('ü', 255)"), None),
    ("users", ("subject", "''"), Some("users_subject_length")),
    ("users", ("subject", "repeat('x', 256)"), Some("users_subject_length")),
    ("users", ("subject", "'taken'"), Some("users_subject_unique")),
    ("users", ("id", "gen_random_uuid()"), Some("users_id_version")),
    ("users", ("id", "'01900000-0000-7000-8000-000000000001'"), Some("users_pkey")),
    ("models", ("title", "'x'"), None),
    ("models", ("title", "repeat('ü', 200)"), None),
    ("models", ("title", "''"), Some("models_title_length")),
    ("models", ("title", "repeat('x', 201)"), Some("models_title_length")),
    ("models", ("description", "repeat('ü', 5000)"), None),
    ("models", ("description", "repeat('x', 5001)"), Some("models_description_length")),
    ("models", ("price_cents", "0"), None),
    ("models", ("price_cents", "100000000"), None),
    ("models", ("price_cents", "-1"), Some("models_price_cents_range")),
    ("models", ("price_cents", "100000001"), Some("models_price_cents_range")),
    ("models", ("currency", "'eur'"), Some("models_currency_form")),
    ("models", ("currency", "'EU'"), Some("models_currency_form")),
    ("models", ("currency", "'EURO'"), Some("models_currency_form")),
    ("models", ("currency", "E'EUR\\n'"), Some("models_currency_form")),
    ("models", ("currency", "'ÄÖÜ'"), Some("models_currency_form")),
    ("models", ("file_bytes", "1"), None),
    ("models", ("file_bytes", "1099511627776"), None),
    ("models", ("file_bytes", "0"), Some("models_file_bytes_range")),
    ("models", ("file_bytes", "1099511627777"), Some("models_file_bytes_range")),
    ("models", ("download_count", "9007199254740991"), None),
    ("models", ("download_count", "-1"), Some("models_download_count_range")),
    ("models", ("download_count", "9007199254740992"), Some("models_download_count_range")),
    ("models", ("updated_at", "'2025-12-31T23:59:59.999Z'"), Some("models_updated_at_order")),
    ("models", ("withdrawn_at", "'2026-01-01T00:00:00Z'"), None),
    ("models", ("withdrawn_at", "'2025-12-31T23:59:59.999Z'"), Some("models_withdrawn_at_order")),
    ("models", ("id", "gen_random_uuid()"), Some("models_id_version")),
    ("models", ("id", "'01900000-0000-7000-8000-000000000002'"), Some("models_pkey")),
    ("models", ("owner_id", "gen_random_uuid()"), Some("models_owner_id_fkey")),
    ("models", ("version", "9007199254740991"), None),
    ("models", ("version", "0"), Some("models_version_range")),
    ("models", ("version", "9007199254740992"), Some("models_version_range")),
    ("idempotency_keys", ("principal", "repeat('ü', 255)"), None),
    ("idempotency_keys", ("principal", "''"), Some("idempotency_keys_principal_length")),
    ("idempotency_keys", ("principal", "repeat('x', 256)"), Some("idempotency_keys_principal_length")),
    ("idempotency_keys", ("key", "repeat('~', 255)"), None),
    ("idempotency_keys", ("key", "''"), Some("idempotency_keys_key_form")),
    ("idempotency_keys", ("key", "'a b'"), Some("idempotency_keys_key_form")),
    ("idempotency_keys", ("key", "repeat('x', 256)"), Some("idempotency_keys_key_form")),
    ("idempotency_keys", ("key", "'taken'"), Some("idempotency_keys_pkey")),
    ("idempotency_keys", ("request_hash", "'x'"), Some("idempotency_keys_request_hash_length")),
    ("idempotency_keys", ("status", "299"), None),
    ("idempotency_keys", ("status", "199"), Some("idempotency_keys_status_range")),
    ("idempotency_keys", ("status", "409"), Some("idempotency_keys_status_range")),
    ("idempotency_keys", ("expires_at", "'2026-01-01T00:00:00Z'"), Some("idempotency_keys_expires_at_order")),
    ("purchases", ("price_cents", "0"), None),
    ("purchases", ("price_cents", "100000000"), None),
    ("purchases", ("price_cents", "-1"), Some("purchases_price_cents_range")),
    ("purchases", ("price_cents", "100000001"), Some("purchases_price_cents_range")),
    ("purchases", ("currency", "'USD'"), None),
    ("purchases", ("currency", "'usd'"), Some("purchases_currency_form")),
    ("purchases", ("currency", "''"), Some("purchases_currency_form")),
    ("purchases", ("id", "gen_random_uuid()"), Some("purchases_id_version")),
    ("purchases", ("id", "'01900000-0000-7000-8000-000000000003'"), Some("purchases_pkey")),
    ("purchases", ("buyer_id", "gen_random_uuid()"), Some("purchases_buyer_id_fkey")),
    ("purchases", ("model_id", "gen_random_uuid()"), Some("purchases_model_id_fkey")),
    ("purchases", ("model_id", "'01900000-0000-7000-8000-000000000004'"), Some("purchases_buyer_id_model_id_unique")),
    ("resets", ("operator_arn", "repeat('ü', 2048)"), None),
    ("resets", ("operator_arn", "''"), Some("resets_operator_arn_length")),
    ("resets", ("operator_arn", "repeat('x', 2049)"), Some("resets_operator_arn_length")),
    ("resets", ("request_id", "''"), Some("resets_request_id_length")),
    ("resets", ("request_id", "repeat('x', 256)"), Some("resets_request_id_length")),
    ("resets", ("scope", "'environment'"), None),
    ("resets", ("scope", "'all'"), Some("resets_scope_known")),
    ("resets", ("reason", "repeat('ü', 500)"), None),
    ("resets", ("reason", "''"), Some("resets_reason_length")),
    ("resets", ("path", "'proxy'"), None),
    ("resets", ("path", "'pooler'"), Some("resets_path_known")),
    ("resets", ("terminated_idle", "-1"), Some("resets_terminated_idle_range")),
    ("resets", ("terminated_busy", "-1"), Some("resets_terminated_busy_range")),
    ("resets", ("left_busy", "-1"), Some("resets_left_busy_range")),
    ("resets", ("id", "gen_random_uuid()"), Some("resets_id_version")),
    ("resets", ("id", "'01900000-0000-7000-8000-000000000005'"), Some("resets_pkey")),
];

fn insert(table: &str, change: Change) -> String {
    let columns: &[Change] = match table {
        "users" => &USER,
        "models" => &MODEL,
        "purchases" => &PURCHASE,
        "idempotency_keys" => &KEY,
        "resets" => &RESET,
        other => panic!("no row is known for table {other}"),
    };
    let names: Vec<&str> = columns.iter().map(|(name, _)| *name).collect();
    let values: Vec<&str> = columns.iter().map(|(name, value)| if *name == change.0 { change.1 } else { *value }).collect();
    format!("insert into {table} ({}) values ({})", names.join(", "), values.join(", "))
}

/// One user with two models, one of them bought: what the cases refer to or collide with.
async fn insert_neighbours(connection: &mut PgConnection) {
    let user = insert("users", ("subject", "'taken'")).replace("00aa", "0001");
    let model = insert("models", ("title", "'Owl'")).replace("00bb", "0002");
    let bought = insert("models", ("title", "'Whale'")).replace("00bb", "0004");
    let purchase = insert("purchases", ("model_id", "'01900000-0000-7000-8000-000000000004'")).replace("00cc", "0003");
    let key = insert("idempotency_keys", ("key", "'taken'"));
    let reset = insert("resets", ("path", "'proxy'")).replace("00dd", "0005");
    for statement in [user, model, bought, purchase, key, reset] {
        raw_sql(&statement).execute(&mut *connection).await.unwrap();
    }
}

#[tokio::test]
async fn each_constraint_rejects_a_bad_row_and_accepts_its_bounds() {
    let database = Database::fresh().await;
    let mut connection = database.connect_admin().await;
    insert_neighbours(&mut connection).await;
    for (table, change, expected) in CASES {
        raw_sql("begin").execute(&mut connection).await.unwrap();
        let inserted = raw_sql(&insert(table, change)).execute(&mut connection).await;
        raw_sql("rollback").execute(&mut connection).await.unwrap();
        let violated = inserted.as_ref().err().map(|error| {
            let database = error.as_database_error();
            database.and_then(|database| database.constraint()).unwrap_or("no constraint")
        });
        assert_eq!(violated, expected, "{table}: {change:?}: {:?}", inserted.as_ref().err());
    }
}

#[tokio::test]
async fn no_constraint_is_without_a_case() {
    let database = Database::fresh().await;
    let mut connection = database.connect_admin().await;
    let constraints: Vec<String> = query_scalar(
        // Not-null constraints are listed from PostgreSQL 18 on.
        "select conname::text from pg_constraint
         where connamespace = 'public'::regnamespace and contype <> 'n'
         and conrelid <> '_sqlx_migrations'::regclass order by 1",
    )
    .fetch_all(&mut connection)
    .await
    .unwrap();
    assert!(!constraints.is_empty());
    for constraint in constraints {
        let tested = CASES.iter().any(|(_, _, expected)| *expected == Some(&*constraint));
        assert!(tested, "{constraint} has no case above");
    }
}
