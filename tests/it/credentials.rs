//! Passwords change, tokens expire.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use local::proxy::Proxy;
use shared::Db;
use shared::config::{Aws, Credentials, Database as Target, Tls};
use shared::deadline::Deadline;
use tests::{Api, Cluster, Database, Options};

use crate::behind_proxy::PATH;
use crate::in_process::{self, Backend};

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

/// By how many minutes the clock of this test is slow.
static SLOW_MIN: AtomicU64 = AtomicU64::new(0);

fn slow_clock() -> SystemTime {
    SystemTime::now() - Duration::from_secs(60 * SLOW_MIN.load(Ordering::SeqCst))
}

/// Signs in to the stand-in as a function does.
fn target(proxy: &Proxy) -> Target {
    let environment = proxy.environment();
    Target {
        host: environment["DB_HOST"].clone(),
        port: proxy.address().port(),
        name: environment["DB_NAME"].clone(),
        user: "thaw_app".to_owned(),
        credentials: Credentials::Iam(Aws {
            region: environment["AWS_REGION"].clone(),
            access_key_id: environment["AWS_ACCESS_KEY_ID"].clone(),
            secret_access_key: environment["AWS_SECRET_ACCESS_KEY"].clone().into(),
            session_token: Some(environment["AWS_SESSION_TOKEN"].clone().into()),
        }),
        tls: Tls::VerifyFull { ca_file: Some(environment["DB_CA_FILE"].clone().into()) },
    }
}

#[tokio::test]
async fn an_iam_token_that_the_server_refuses_is_signed_anew_once_and_served() {
    let database = Database::fresh().await;
    let api = Api::over(&database).await;
    let refused = || api.proxy().report().refused;
    let db = Db::with_wall_clock(in_process::config(target(api.proxy())), "credentials".to_owned(), slow_clock);
    let read = async || db.read(Deadline::after(Duration::from_secs(9), Instant::now()), &Backend).await;
    // Signed 16 minutes ago by the server's clock: expired.
    SLOW_MIN.store(16, Ordering::SeqCst);
    db.warm().await;
    assert_eq!(refused(), 1);
    // By its own clock the token is nine minutes old and good, so it is sent, and refused; one signed now is not.
    SLOW_MIN.store(7, Ordering::SeqCst);
    read().await.unwrap();
    assert_eq!(refused(), 2);
    db.close().await;
    // A clock that stays wrong: once more and no more.
    SLOW_MIN.store(20, Ordering::SeqCst);
    let error = read().await.unwrap_err();
    assert_eq!((error.status().as_u16(), error.sqlstate().as_deref(), refused()), (503, Some("28P01"), 4));
    api.stop().await;
}

#[tokio::test]
async fn a_function_whose_tokens_are_wrong_for_good_answers_503_without_them_in_the_log() {
    let database = Database::fresh().await;
    let api = Api::with(&database, Options::default().with_variable("AWS_SECRET_ACCESS_KEY", "wrong-secret")).await;
    let answer = api.get_as("user-1", PATH).await;
    assert_eq!((answer.status, answer.header("retry-after")), (503, "1"), "{answer:?}");
    let logs = api.logs();
    assert!(logs.iter().any(|line| line.text.contains(r#""sqlstate":"28P01""#)), "{logs:?}");
    assert!(!logs.iter().any(|line| line.text.contains("wrong-secret") || line.text.contains("X-Amz-")), "{logs:?}");
    api.stop().await;
}
