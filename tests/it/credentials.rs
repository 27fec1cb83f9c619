//! Passwords change.

use tests::{Api, Cluster, Options};

use crate::behind_proxy::PATH;

#[tokio::test]
async fn a_rotated_password_file_is_served_and_a_wrong_password_is_503_without_it_in_the_log() {
    let cluster = Cluster::own().await;
    let database = cluster.seeded().await;
    let address = database.address();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("password");
    let mut admin = database.connect_admin().await;
    local::database::set_password(&mut admin, "thaw_app", "first-secret").await.unwrap();
    std::fs::write(&file, "first-secret\n").unwrap();
    let parts = [
        ("DATABASE_URL", String::new()),
        ("DB_HOST", address.ip().to_string()),
        ("DB_PORT", address.port().to_string()),
        ("DB_NAME", database.name().to_owned()),
        ("DB_USER", "thaw_app".to_owned()),
        ("DB_TLS", "disable".to_owned()),
        ("DB_PASSWORD_FILE", file.display().to_string()),
    ];
    let options = parts.iter().fold(Options::direct(), |options, (name, value)| options.with_variable(name, value));
    let api = Api::with(&database, options).await;
    assert_eq!(api.get_as("user-1", PATH).await.status, 200);
    local::database::set_password(&mut admin, "thaw_app", "second-secret").await.unwrap();
    std::fs::write(&file, "second-secret\n").unwrap();
    database.terminate_app_sessions().await;
    assert_eq!(api.get_as("user-1", PATH).await.status, 200, "the file is read at each connect");
    std::fs::write(&file, "wrong-secret\n").unwrap();
    database.terminate_app_sessions().await;
    let answer = api.get_as("user-1", PATH).await;
    assert_eq!((answer.status, answer.header("retry-after")), (503, "1"), "{answer:?}");
    let logs = api.logs();
    assert!(logs.iter().any(|line| line.text.contains(r#""sqlstate":"28P01""#)), "{logs:?}");
    assert!(!logs.iter().any(|line| line.text.contains("-secret")), "{logs:?}");
    api.stop().await;
}
