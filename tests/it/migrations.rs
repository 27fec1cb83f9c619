//! Migrating: again, at once, by whom, and what is said when it cannot be.

use local::connect::connect;
use local::database::{create_marked, set_password};
use local::migrate::{MigrationReport, migrate};
use sqlx::postgres::PgConnectOptions;
use sqlx::{query_scalar, raw_sql};
use tests::{Cluster, Database};

/// How many migrations this checkout has.
async fn migrations(database: &Database) -> u64 {
    let mut connection = database.connect_admin().await;
    let count: i64 = query_scalar("select count(*) from _sqlx_migrations").fetch_one(&mut connection).await.unwrap();
    count.unsigned_abs()
}

async fn run(options: &PgConnectOptions, sql: &str) {
    let mut connection = connect(options).await.unwrap();
    raw_sql(sql).execute(&mut connection).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
}

/// Takes the roles from the cluster, as if thaw had never been there.
async fn remove_roles(admin: &PgConnectOptions) {
    let mut connection = connect(admin).await.unwrap();
    let databases: Vec<String> = query_scalar("select datname::text from pg_database where datallowconn").fetch_all(&mut connection).await.unwrap();
    let roles = "thaw_app, thaw_ops, thaw_migrate";
    let statement = format!("reassign owned by {roles} to current_user; drop owned by {roles}");
    for database in databases {
        run(&admin.clone().database(&database), &statement).await;
    }
    run(admin, &format!("drop role {roles}")).await;
}

#[tokio::test]
async fn migrating_again_changes_nothing() {
    let database = Database::fresh().await;
    let already_there = migrations(&database).await;
    assert!(already_there > 0);
    let report = migrate(&database.admin()).await.unwrap();
    assert_eq!(report, MigrationReport { applied: 0, already_there });
}

#[tokio::test]
async fn two_databases_of_one_cluster_migrate_at_once() {
    let cluster = Cluster::own().await;
    let first = cluster.database().await;
    let (admin, applied) = (first.admin(), migrations(&first).await);
    // Each round begins without the roles, so that both runs want to create them.
    for round in 0..5 {
        remove_roles(&admin).await;
        let names = ["left", "right"].map(|side| format!("{side}-{round}"));
        let mut connection = connect(&admin).await.unwrap();
        for name in &names {
            create_marked(&mut connection, name).await.unwrap();
        }
        let [left, right] = names.map(|name| admin.clone().database(&name));
        let reports = tokio::join!(migrate(&left), migrate(&right));
        let expected = MigrationReport { applied, already_there: 0 };
        assert_eq!(reports.0.unwrap(), expected, "round {round}");
        assert_eq!(reports.1.unwrap(), expected, "round {round}");
    }
}

#[tokio::test]
async fn two_runs_on_one_database_wait_for_one_another() {
    let database = Database::fresh().await;
    let all = migrations(&database).await;
    let admin = database.admin();
    run(&admin, "drop owned by thaw_migrate; grant create on schema public to thaw_migrate").await;
    let (left, right) = tokio::join!(migrate(&admin), migrate(&admin));
    left.unwrap();
    right.unwrap();
    assert_eq!(migrations(&database).await, all);
}

#[tokio::test]
async fn roles_that_lost_a_setting_get_it_back() {
    let cluster = Cluster::own().await;
    let database = cluster.database().await;
    let admin = database.admin();
    run(&admin, "alter role thaw_app set statement_timeout = '1h'").await;
    run(&admin, "drop owned by thaw_migrate").await;
    migrate(&admin).await.unwrap();
    let mut connection = connect(&admin).await.unwrap();
    let restored: bool = query_scalar(
        "select setconfig @> '{statement_timeout=2000ms}' from pg_db_role_setting
         where setrole = 'thaw_app'::regrole and setdatabase = 0",
    )
    .fetch_one(&mut connection)
    .await
    .unwrap();
    assert!(restored);
}

/// The master user of RDS: it creates roles and databases, and is no superuser.
#[tokio::test]
async fn master_user_that_is_no_superuser_migrates() {
    let cluster = Cluster::own().await;
    let first = cluster.database().await;
    let (admin, all) = (first.admin(), migrations(&first).await);
    remove_roles(&admin).await;
    run(
        &admin,
        "create role master login createrole createdb password 'master-password';
         grant pg_monitor, pg_signal_backend to master with admin option",
    )
    .await;
    run(&admin, "create database mastered owner master template template0").await;
    let master = admin.clone().username("master").password("master-password").database("mastered");

    let report = migrate(&master).await.unwrap();
    assert_eq!(report, MigrationReport { applied: all, already_there: 0 });
    let again = migrate(&master).await.unwrap();
    assert_eq!(again, MigrationReport { applied: 0, already_there: all });

    // The owner takes over: in this database, and in a new one where the roles stand already.
    let mut connection = connect(&admin).await.unwrap();
    set_password(&mut connection, "thaw_migrate", "owner-password").await.unwrap();
    let owner = master.username("thaw_migrate").password("owner-password");
    let later = migrate(&owner).await.unwrap();
    assert_eq!(later, MigrationReport { applied: 0, already_there: all });
    run(&admin, "create database owned owner thaw_migrate template template0").await;
    let other = migrate(&owner.database("owned")).await.unwrap();
    assert_eq!(other, MigrationReport { applied: all, already_there: 0 });
}

#[tokio::test]
async fn role_without_the_right_to_create_roles_is_told_so() {
    let cluster = Cluster::own().await;
    let database = cluster.database().await;
    let admin = database.admin();
    remove_roles(&admin).await;
    run(&admin, "create role plain login password 'plain-password'").await;
    run(&admin, "create database plainly owner plain template template0").await;
    let plain = admin.username("plain").password("plain-password").database("plainly");
    let message = format!("{:#}", migrate(&plain).await.unwrap_err());
    assert!(message.contains("migration 0001_roles needs a right that role \"plain\" lacks"), "{message}");
    assert!(message.contains("CREATEROLE"), "{message}");
    assert!(!message.contains("plain-password"), "{message}");
}

#[tokio::test]
async fn migration_changed_after_it_was_applied_is_named() {
    let database = Database::fresh().await;
    run(&database.admin(), "update _sqlx_migrations set checksum = '\\x00' where version = 2").await;
    let message = format!("{:#}", migrate(&database.admin()).await.unwrap_err());
    assert!(message.contains("migration 0002_marketplace was changed after"), "{message}");
}

#[tokio::test]
async fn database_newer_than_the_checkout_is_said_to_be_so() {
    let database = Database::fresh().await;
    let later = "insert into _sqlx_migrations values (9999, 'later', now(), true, '\\x00', 0)";
    run(&database.admin(), later).await;
    let message = format!("{:#}", migrate(&database.admin()).await.unwrap_err());
    assert!(message.contains("migration 9999, which this checkout does not know"), "{message}");
}

#[tokio::test]
async fn database_that_refuses_is_named_with_its_reason_and_without_the_password() {
    let database = Database::fresh().await;
    for (options, reason) in [
        (database.admin().password("wrong-secret"), "the server rejects the password"),
        (database.admin().database("no-such-database"), "there is no such database"),
    ] {
        let message = format!("{:#}", migrate(&options).await.unwrap_err());
        let place = format!("{:?}", options.get_database().unwrap());
        assert!(message.contains(reason) && message.contains(&place), "{message}");
        assert!(!message.contains("wrong-secret"), "{message}");
    }
}
