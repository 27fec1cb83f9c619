//! Passwords change, tokens expire.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use local::proxy::Proxy;
use shared::Db;
use shared::config::{Aws, Credentials, Database as Target, Tls};
use shared::deadline::Deadline;
use tests::{Api, Cluster, Database, Fault, FaultProxy, Options};

use crate::behind_proxy::PATH;
use crate::in_process::{self, Backend};

#[tokio::test]
async fn a_rotated_password_file_is_served_and_a_wrong_password_is_503_without_it_in_the_log() {
    let cluster = Cluster::own().await;
    let database = cluster.seeded().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("password");
    let mut admin = database.connect_admin().await;
    local::database::set_password(&mut admin, "thaw_app", "first-secret").await.unwrap();
    std::fs::write(&file, "first-secret\n").unwrap();
    let api = Api::with(&database, by_parts(&database, database.address(), "DB_PASSWORD_FILE", &file.display().to_string())).await;
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

/// Connects to the database by its parts, with the password that this variable tells.
fn by_parts(database: &Database, address: SocketAddr, variable: &str, value: &str) -> Options {
    let parts = [
        ("DATABASE_URL", String::new()),
        ("DB_HOST", address.ip().to_string()),
        ("DB_PORT", address.port().to_string()),
        ("DB_NAME", database.name().to_owned()),
        ("DB_USER", "thaw_app".to_owned()),
        ("DB_TLS", "disable".to_owned()),
        (variable, value.to_owned()),
    ];
    parts.iter().fold(Options::direct(), |options, (name, value)| options.with_variable(name, value))
}

#[tokio::test]
async fn a_plain_password_that_is_wrong_is_503_without_it_in_the_log() {
    let cluster = Cluster::own().await;
    let database = cluster.seeded().await;
    let proxy = FaultProxy::to(database.address()).await;
    let api = Api::with(&database, by_parts(&database, proxy.address(), "DB_PASSWORD", "wrong-secret")).await;
    let answer = api.get_as("user-1", PATH).await;
    assert_eq!((answer.status, answer.header("retry-after")), (503, "1"), "{answer:?}");
    assert_eq!(proxy.flows(), 2, "one in init, one for the request: nothing else could be tried");
    let logs = api.logs();
    assert!(logs.iter().any(|line| line.text.contains("not served") && line.text.contains(r#""sqlstate":"28P01""#)), "{logs:?}");
    assert!(!logs.iter().any(|line| line.text.contains("-secret")), "{logs:?}");
    api.stop().await;
}

/// 28000 is what a server says of a role that may not sign in.
#[tokio::test]
async fn a_role_that_may_not_sign_in_is_tried_with_fresh_credentials_once() {
    let cluster = Cluster::own().await;
    let database = cluster.seeded().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("password");
    let mut admin = database.connect_admin().await;
    local::database::set_password(&mut admin, "thaw_app", "first-secret").await.unwrap();
    std::fs::write(&file, "first-secret\n").unwrap();
    let proxy = FaultProxy::to(database.address()).await;
    let api = Api::with(&database, by_parts(&database, proxy.address(), "DB_PASSWORD_FILE", &file.display().to_string())).await;
    assert_eq!((api.get_as("user-1", PATH).await.status, proxy.flows()), (200, 1));
    database.terminate_app_sessions().await;
    proxy.begin(Fault::SaysAtNextConnect("28000"));
    assert_eq!((api.get_as("user-1", PATH).await.status, proxy.flows()), (200, 3), "served with credentials that were read again");
    proxy.begin(Fault::None);
    sqlx::raw_sql("alter role thaw_app nologin").execute(&mut admin).await.unwrap();
    database.terminate_app_sessions().await;
    let answer = api.get_as("user-1", PATH).await;
    assert_eq!((answer.status, answer.header("retry-after"), proxy.flows()), (503, "1", 5), "{answer:?}");
    let logs = api.logs();
    assert!(logs.iter().any(|line| line.text.contains("not served") && line.text.contains(r#""sqlstate":"28000""#)), "{logs:?}");
    assert!(!logs.iter().any(|line| line.text.contains("-secret")), "{logs:?}");
    sqlx::raw_sql("alter role thaw_app login").execute(&mut admin).await.unwrap();
    assert_eq!(api.get_as("user-1", PATH).await.status, 200);
    api.stop().await;
}

#[tokio::test]
async fn a_request_amid_a_rotation_of_the_proxys_password_is_served() {
    let cluster = Cluster::own().await;
    let database = cluster.seeded().await;
    let api = Api::over(&database).await;
    assert_eq!(api.get_as("user-1", PATH).await.status, 200);
    let mut admin = database.connect_admin().await;
    let rotation = api.proxy().rotation().await;
    local::database::set_password(&mut admin, "thaw_app", "second-secret").await.unwrap();
    database.terminate_app_sessions().await;
    // Now the database has the new one, and the proxy not yet.
    let finish = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        rotation.finish("thaw_app", "second-secret".into());
    };
    let (answer, ()) = tokio::join!(api.get_as("user-1", PATH), finish);
    assert_eq!(answer.status, 200, "{answer:?}");
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
