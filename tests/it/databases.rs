//! Which databases thaw makes, and which it removes.

use local::connect::connect;
use local::database::{clone_from_template, create_marked, drop, exists, is_ours, sessions, set_password};
use sqlx::{Connection, query_scalar, raw_sql};
use tests::{Cluster, Database};

/// A name that needs quoting, and is nobody else's.
fn name(database: &Database, suffix: &str) -> String {
    let options = database.admin();
    format!("{}-{suffix}", options.get_database().unwrap())
}

#[tokio::test]
async fn created_database_is_ours_and_can_be_removed() {
    let database = Database::fresh().await;
    let mut admin = database.connect_admin().await;
    let name = name(&database, "a \"b\"; --");
    assert!(!exists(&mut admin, &name).await.unwrap());
    assert!(!is_ours(&mut admin, &name).await.unwrap());
    create_marked(&mut admin, &name).await.unwrap();
    assert!(exists(&mut admin, &name).await.unwrap());
    assert!(is_ours(&mut admin, &name).await.unwrap());
    drop(&mut admin, &name).await.unwrap();
    assert!(!exists(&mut admin, &name).await.unwrap());
    let again = drop(&mut admin, &name).await.unwrap_err().to_string();
    assert!(again.contains("there is no database"), "{again}");
}

#[tokio::test]
async fn database_of_somebody_else_is_not_removed() {
    let database = Database::fresh().await;
    let mut admin = database.connect_admin().await;
    let name = name(&database, "foreign");
    raw_sql(&format!("create database \"{name}\"")).execute(&mut admin).await.unwrap();
    let message = drop(&mut admin, &name).await.unwrap_err().to_string();
    assert!(message.contains("was not created by thaw"), "{message}");
    assert!(exists(&mut admin, &name).await.unwrap());
    raw_sql(&format!("drop database \"{name}\"")).execute(&mut admin).await.unwrap();
}

#[tokio::test]
async fn database_in_use_is_neither_removed_nor_copied_and_says_who_uses_it() {
    let database = Database::fresh().await;
    let mut admin = database.connect_admin().await;
    let (used, copied) = (name(&database, "used"), name(&database, "copied"));
    create_marked(&mut admin, &used).await.unwrap();
    let options = database.admin().database(&used).application_name("somebody");
    let first = connect(&options).await.unwrap();
    let second = connect(&options).await.unwrap();
    assert_eq!(sessions(&mut admin, &used).await.unwrap(), 2);

    let kept = drop(&mut admin, &used).await.unwrap_err().to_string();
    assert!(kept.contains("in use (2 × somebody)"), "{kept}");
    let refused = clone_from_template(&mut admin, &used, &copied).await.unwrap_err().to_string();
    assert!(refused.contains("in use (2 × somebody)"), "{refused}");
    assert!(!exists(&mut admin, &copied).await.unwrap());

    first.close().await.unwrap();
    second.close().await.unwrap();
    drop(&mut admin, &used).await.unwrap();
}

#[tokio::test]
async fn copy_has_the_rows_and_the_mark_of_a_database_of_ours() {
    let database = Database::fresh().await;
    let mut admin = database.connect_admin().await;
    let (template, copy) = (name(&database, "template"), name(&database, "copy"));
    create_marked(&mut admin, &template).await.unwrap();
    let mut inside = connect(&database.admin().database(&template)).await.unwrap();
    raw_sql("create table kept as select 7 as value").execute(&mut inside).await.unwrap();
    inside.close().await.unwrap();

    clone_from_template(&mut admin, &template, &copy).await.unwrap();
    assert!(is_ours(&mut admin, &copy).await.unwrap());
    let mut inside = connect(&database.admin().database(&copy)).await.unwrap();
    let value: i32 = query_scalar("select value from kept").fetch_one(&mut inside).await.unwrap();
    assert_eq!(value, 7);
    inside.close().await.unwrap();
    for name in [template, copy] {
        drop(&mut admin, &name).await.unwrap();
    }
}

#[tokio::test]
async fn role_signs_in_with_the_password_it_was_given_and_with_no_other() {
    let cluster = Cluster::own().await;
    let database = cluster.database().await;
    let mut admin = database.connect_admin().await;
    raw_sql("create role \"some-body\" login").execute(&mut admin).await.unwrap();
    let password = r#"it's "$$" \ fine %L"#;
    set_password(&mut admin, "some-body", password).await.unwrap();
    let options = database.admin().username("some-body");
    connect(&options.clone().password(password)).await.unwrap();
    assert!(connect(&options.password("another")).await.is_err());
    let missing = set_password(&mut admin, "nobody-here", password).await.unwrap_err();
    assert!(!format!("{missing:#}").contains(password), "{missing:#}");
}
