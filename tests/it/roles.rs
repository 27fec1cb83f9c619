//! What each role of the design may do, and for how long.

use sqlx::postgres::PgConnection;
use sqlx::{query_scalar, raw_sql};
use tests::Database;

async fn sqlstate(connection: &mut PgConnection, sql: &str) -> Option<String> {
    let error = raw_sql(sql).execute(connection).await.err()?;
    Some(error.as_database_error().unwrap().code().unwrap().into_owned())
}

#[tokio::test]
async fn routes_and_operators_have_the_time_limits_of_the_ladder() {
    let database = Database::fresh().await;
    let mut connection = database.connect_admin().await;
    for role in ["thaw_app", "thaw_ops"] {
        let mut settings: Vec<String> = query_scalar(
            "select unnest(setconfig) from pg_db_role_setting
             where setrole = to_regrole($1) and setdatabase = 0",
        )
        .bind(role)
        .fetch_all(&mut connection)
        .await
        .unwrap();
        settings.sort();
        let expected = [
            "client_connection_check_interval=1s",
            "idle_in_transaction_session_timeout=3000ms",
            "lock_timeout=1000ms",
            "statement_timeout=2000ms",
            "tcp_keepalives_count=4",
            "tcp_keepalives_idle=120",
            "tcp_keepalives_interval=15",
            "tcp_user_timeout=180s",
        ];
        assert_eq!(settings, expected, "{role}");
    }
}

#[tokio::test]
async fn sessions_of_routes_and_operators_start_with_their_time_limits() {
    let database = Database::fresh().await;
    for (role, mut connection) in [("thaw_app", database.connect_app().await), ("thaw_ops", database.connect_ops().await)] {
        let limits = [("lock_timeout", "1s"), ("statement_timeout", "2s"), ("idle_in_transaction_session_timeout", "3s")];
        for (setting, value) in limits.into_iter().chain([("session_authorization", role)]) {
            let shown: String = query_scalar(&format!("show {setting}")).fetch_one(&mut connection).await.unwrap();
            assert_eq!(shown, value, "{role} {setting}");
        }
    }
}

#[tokio::test]
async fn routes_may_do_nothing_beyond_their_rows() {
    let database = Database::fresh().await;
    let mut connection = database.connect_app().await;
    for statement in [
        "create table extra (id uuid)",
        "create index extra on models (title)",
        "alter table models add column extra text",
        "alter table models disable trigger all",
        "drop table purchases",
        "truncate purchases",
        "delete from users",
        "delete from models",
        "delete from purchases",
        "update users set subject = 'other'",
        "update purchases set price_cents = 0",
        "delete from idempotency_keys",
        "update idempotency_keys set expires_at = now()",
        "insert into _sqlx_migrations (version) values (99)",
        "create role extra",
        "select * from resets",
        "delete from resets",
        "set role thaw_migrate",
        "set role thaw_ops",
        "create schema extra",
    ] {
        let refused = sqlstate(&mut connection, statement).await;
        assert_eq!(refused.as_deref(), Some("42501"), "{statement}");
    }
}

#[tokio::test]
async fn routes_may_read_and_write_their_rows() {
    let database = Database::fresh().await;
    let mut connection = database.connect_app().await;
    let (user, model) = ("'01900000-0000-7000-8000-000000000001'", "'01900000-0000-7000-8000-000000000002'");
    for statement in [
        format!("insert into users values ({user}, 'user-1', now())"),
        format!("insert into models values ({model}, {user}, 'Fox', '', 499, 'EUR', 1, 0, now(), now())"),
        format!("update models set withdrawn_at = updated_at where id = {model}"),
        format!(
            "insert into purchases values
             ('01900000-0000-7000-8000-000000000003', {user}, {model}, 499, 'EUR', now())"
        ),
        "select * from users, models, purchases".to_owned(),
        "select max(version) from _sqlx_migrations".to_owned(),
    ] {
        assert_eq!(sqlstate(&mut connection, &statement).await, None, "{statement}");
    }
}

#[tokio::test]
async fn operators_watch_and_signal_but_read_no_rows() {
    let database = Database::fresh().await;
    let mut connection = database.connect_admin().await;
    for (question, answer) in [
        ("pg_has_role('thaw_ops', 'pg_monitor', 'USAGE')", true),
        ("pg_has_role('thaw_ops', 'pg_signal_backend', 'USAGE')", true),
        ("has_table_privilege('thaw_ops', '_sqlx_migrations', 'SELECT')", true),
        ("has_table_privilege('thaw_ops', 'users', 'SELECT')", false),
        ("has_table_privilege('thaw_ops', 'purchases', 'SELECT')", false),
        ("has_table_privilege('thaw_ops', '_sqlx_migrations', 'DELETE')", false),
        ("has_function_privilege('thaw_ops', 'monitor_check(text)', 'EXECUTE')", true),
        ("has_function_privilege('thaw_app', 'monitor_check(text)', 'EXECUTE')", false),
        ("has_column_privilege('thaw_ops', 'idempotency_keys', 'expires_at', 'SELECT')", true),
        ("has_column_privilege('thaw_ops', 'idempotency_keys', 'principal', 'SELECT')", false),
        ("has_table_privilege('thaw_ops', 'resets', 'INSERT')", true),
        ("has_table_privilege('thaw_ops', 'resets', 'DELETE')", false),
        ("has_table_privilege('thaw_app', 'resets', 'INSERT')", false),
        ("pg_has_role('thaw_app', 'pg_monitor', 'MEMBER')", false),
        (
            "(select bool_or(rolsuper or rolcreaterole or rolcreatedb or rolbypassrls)
           from pg_roles where rolname like 'thaw\\_%')",
            false,
        ),
    ] {
        let held: bool = query_scalar(&format!("select {question}")).fetch_one(&mut connection).await.unwrap();
        assert_eq!(held, answer, "{question}");
    }
}
