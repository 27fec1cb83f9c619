//! `cargo health` and `cargo ops reset` against the bundle itself, from the signature to the database.

use nix::sys::signal::Signal;
use serde_json::Value;
use sqlx::Executor as _;
use tests::{Api, Command, Database, Fault, FaultProxy, Options};

use crate::signed_requests::{nowhere, running};

#[tokio::test]
async fn health_has_an_exit_code_for_each_status_and_a_line_for_each_check() {
    let (state, database) = (tempfile::tempdir().unwrap(), Database::fresh().await);
    let api = Api::over(&database).await;
    let _claim = running(state.path(), &api.url(), api.operator());
    let ended = Command::run(state.path(), &["health"], &nowhere(&[])).await;
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{ended:?}");
    assert!(ended.stdout.starts_with(&format!("pass {}", api.url())), "{}", ended.stdout);
    for check in ["database:roundTripTime", "database:serverVersion", "sandbox:thaws"] {
        let line = format!("pass {check}");
        assert_eq!(ended.stdout.lines().filter(|found| found.starts_with(&line)).count(), 1, "{check}: {}", ended.stdout);
    }
    assert!(!ended.stdout.contains("database:connections") && !ended.stdout.contains('\u{1b}'), "{}", ended.stdout);

    // Without credentials of AWS, by URL alone.
    let ended = Command::run(state.path(), &["health", "--json", "--url", &api.url()], &nowhere(&[])).await;
    let report: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!((ended.code, &report["status"]), (Some(0), &"pass".into()), "{ended:?}");

    let ended = Command::run(state.path(), &["health", "--deep", "--json"], &nowhere(&[])).await;
    let report: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert!(ended.code == Some(0) && report["checks"]["database:connections"][0]["observedValue"].is_number(), "{ended:?}");

    let mut admin = database.connect_admin().await;
    admin.execute("update _sqlx_migrations set success = false where version = 4").await.unwrap();
    api.stop().await;
    // Nobody is there.
    let ended = Command::run(state.path(), &["health"], &nowhere(&[])).await;
    assert_eq!((ended.code, ended.stdout.as_str(), ended.stderr.lines().count()), (Some(2), "", 1), "{ended:?}");
    assert!(ended.stderr.starts_with("error: ") && ended.stderr.contains("does cargo dev still run?"), "{ended:?}");

    let api = Api::over(&database).await;
    let ended = Command::run(state.path(), &["health", "--url", &api.url()], &nowhere(&[])).await;
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.stdout.contains("fail database:migrations") && ended.stdout.contains("run migrate"), "{}", ended.stdout);
    admin.execute("update _sqlx_migrations set success = true").await.unwrap();
    admin.execute(&*format!("alter database {} set default_transaction_read_only = on", database.name())).await.unwrap();
    api.stop().await;

    let api = Api::with(&database, Options::direct()).await;
    let ended = Command::run(state.path(), &["health", "--url", &api.url()], &nowhere(&[])).await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stdout.contains("warn database:readOnly"), "{}", ended.stdout);
    api.stop().await;
}

#[tokio::test]
async fn health_watches_until_it_is_stopped_and_ends_with_what_it_saw_last() {
    let (state, database) = (tempfile::tempdir().unwrap(), Database::fresh().await);
    let proxy = FaultProxy::to(database.address()).await;
    let api = Api::with(&database, Options::default().by_url(&database.app_url_at(proxy.address()))).await;
    let mut watching = Command::start(state.path(), &["health", "--watch", "--interval-s", "1", "--url", &api.url()], &nowhere(&[])).await;
    assert!(watching.line("2").await.contains(" pass  database:roundTripTime: "));
    proxy.begin(Fault::Silence);
    loop {
        if watching.line("2").await.contains(" fail  database:roundTripTime: ") {
            break;
        }
    }
    watching.signal(Signal::SIGINT);
    assert_eq!(watching.end().await.code, Some(2));
    api.stop().await;
}

#[tokio::test]
async fn a_reset_by_the_command_line_is_done_and_recorded_by_the_operators_name() {
    let (state, database) = (tempfile::tempdir().unwrap(), Database::seeded().await);
    let api = Api::over(&database).await;
    let _claim = running(state.path(), &api.url(), api.operator());
    assert_eq!(api.get_as("user-1", "/api/user/purchased-models").await.status, 200);
    let arguments = ["reset", "--scope", "fleet", "--reason", "failover drill"];
    let ended = Command::run(state.path(), &arguments, &nowhere(&[])).await;
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{ended:?}");
    let facts: Vec<_> = ended.stdout.lines().collect();
    assert!(facts.iter().any(|fact| fact.starts_with("sessions terminated idle") && !fact.ends_with(" 0")), "{}", ended.stdout);
    assert!(facts.iter().any(|fact| fact.starts_with("probe status") && fact.ends_with("pass")), "{}", ended.stdout);
    let row: (String, String, bool) =
        sqlx::query_as("select operator_arn, reason, is_complete from resets").fetch_one(&mut database.connect_admin().await).await.unwrap();
    assert_eq!(row, ("arn:aws:sts::000000000000:assumed-role/thaw-local/operator".into(), "failover drill".into(), true));
    let refused = Command::run(state.path(), &["reset", "--scope", "environment", "--reason", "x", "--include-busy"], &nowhere(&[])).await;
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.stderr.contains("include_busy: is only for the scope fleet"), "{}", refused.stderr);
    api.stop().await;
}

#[tokio::test]
async fn what_a_command_did_is_a_json_document_where_that_is_asked_for() {
    let (state, database) = (tempfile::tempdir().unwrap(), Database::fresh().await);
    let url = database.admin_url();
    let document = async |arguments: &[&str]| {
        let ended = Command::run(state.path(), &[arguments, &["--database-url", &url, "--json"]].concat(), &nowhere(&[])).await;
        assert_eq!(ended.code, Some(0), "{ended:?}");
        serde_json::from_str::<Value>(&ended.stdout).unwrap_or_else(|error| panic!("{error}: {ended:?}"))
    };
    let migrated = document(&["migrate"]).await;
    assert!(migrated["applied"] == 0 && migrated["already_there"].as_u64().unwrap() >= 6, "{migrated}");
    let seeded = document(&["seed", "--users", "20", "--models", "100", "--purchases", "400"]).await;
    assert_eq!((&seeded["users"], &seeded["models"], &seeded["purchases"]), (&20.into(), &100.into(), &400.into()), "{seeded}");
    assert!(!migrated.to_string().contains("password") && migrated["database"].as_str().unwrap().starts_with("postgres://"), "{migrated}");
}
