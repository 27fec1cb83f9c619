//! The function that brings the schema up: what it does to a real database, and what CloudFormation is told, by a PUT to a server in the place
//! of S3.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::put;
use local::connect::connect;
use serde_json::{Value, json};
use sqlx::migrate::Migrate as _;
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection as _, query_scalar, raw_sql};
use tests::{Api, Cluster, Database, FaultProxy, Options, http_event};
use tokio::net::TcpListener;

use crate::bench::settings;

/// The bucket's place: keeps the answers, after it refused as many as it was told to.
#[derive(Clone, Default)]
struct Bucket {
    answers: Arc<Mutex<Vec<Value>>>,
    refusals: Arc<Mutex<Vec<StatusCode>>>,
}

impl Bucket {
    /// Serves at an address of this machine; the URL is one that CloudFormation would hand out.
    async fn open(&self) -> String {
        async fn answer(State(bucket): State<Bucket>, headers: HeaderMap, body: String) -> StatusCode {
            if let Some(refusal) = bucket.refusals.lock().unwrap().pop() {
                return refusal;
            }
            assert!(body.len() <= 4096 && !headers.contains_key("content-type"), "{headers:?}");
            bucket.answers.lock().unwrap().push(serde_json::from_str(&body).unwrap());
            StatusCode::OK
        }
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/answer?X-Amz-Signature=not-for-the-log", listener.local_addr().unwrap());
        let router = Router::new().route("/answer", put(answer)).with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        url
    }

    fn refuse(&self, refusals: &[StatusCode]) {
        self.refusals.lock().unwrap().extend(refusals);
    }

    fn only(&self) -> Value {
        let answers = std::mem::take(&mut *self.answers.lock().unwrap());
        assert_eq!(answers.len(), 1, "{answers:?}");
        answers[0].clone()
    }
}

/// A sample event whose answer goes to the bucket.
fn event(file: &str, url: &str) -> Value {
    let mut event = http_event(file);
    event["ResponseURL"] = url.into();
    event
}

/// Invokes the function; an answer of its own, or the document of its failure.
async fn invoke(api: &Api, event: &Value) -> Result<Value, Value> {
    let read = |payload: &[u8]| serde_json::from_slice(payload).unwrap();
    match api.invoke("migrate", event).await.unwrap().result {
        Ok(payload) => Ok(read(&payload)),
        Err(error) => Err(read(&error.payload)),
    }
}

async fn run(options: &PgConnectOptions, sql: &str) {
    let mut connection = connect(options).await.unwrap();
    raw_sql(sql).execute(&mut connection).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
}

async fn number(options: &PgConnectOptions, sql: &str) -> i64 {
    query_scalar(sql).fetch_one(&mut connect(options).await.unwrap()).await.unwrap()
}

const MIGRATIONS: &str = "select count(*) from _sqlx_migrations";

/// The master user of RDS, which creates roles and is no superuser, with a database of its own that is still empty.
async fn mastered(database: &Database) -> (PgConnectOptions, String) {
    let admin = database.admin();
    run(
        &admin,
        "create role master login createrole createdb password 'master-password';
         grant pg_monitor, pg_signal_backend to master with admin option;
         create role rds_iam;
         grant rds_iam to master with admin option",
    )
    .await;
    // Roles are the cluster's, and stand from its first database: whoever made them would own them, which here is the master.
    run(&admin, "grant thaw_migrate, thaw_app, thaw_ops to master with admin option").await;
    run(&admin, "create database mastered owner master template template0").await;
    let url = format!("postgres://master:master-password@{}/mastered?sslmode=disable", database.address());
    (admin.username("master").password("master-password").database("mastered"), url)
}

#[tokio::test]
async fn a_stack_is_created_updated_and_deleted_and_its_data_stays() {
    let cluster = Cluster::own().await;
    let database = cluster.database().await;
    let all = number(&database.admin(), MIGRATIONS).await;
    let (master, url) = mastered(&database).await;
    let api = Api::with(&database, Options::default().by_url(&url)).await;
    let bucket = Bucket::default();
    let response_url = bucket.open().await;

    let status = invoke(&api, &http_event("migrate-direct.json")).await.unwrap();
    assert_eq!(status, json!({ "present": 0, "known": all, "applied": 0 }));

    invoke(&api, &event("migrate-create.json", &response_url)).await.unwrap();
    let created = bucket.only();
    assert_eq!((&created["Status"], &created["PhysicalResourceId"]), (&json!("SUCCESS"), &json!("thaw-schema-mastered")), "{created}");
    assert_eq!(created["Data"], json!({ "present": all, "known": all, "applied": all }), "{created}");
    let sent = http_event("migrate-create.json");
    for name in ["StackId", "RequestId", "LogicalResourceId"] {
        assert_eq!(created[name], sent[name], "{name}");
    }
    assert_eq!(number(&master, MIGRATIONS).await, all);
    let members = "select count(*) from pg_auth_members where roleid = 'rds_iam'::regrole and member::regrole::text like 'thaw\\_%'";
    assert_eq!(number(&master, members).await, 3, "the roles sign in by IAM");

    // As CloudFormation repeats what it is not sure of.
    for _ in 0..2 {
        invoke(&api, &event("migrate-update.json", &response_url)).await.unwrap();
        let updated = bucket.only();
        assert_eq!((&updated["Status"], &updated["Data"]["applied"]), (&json!("SUCCESS"), &json!(0)), "{updated}");
        assert_eq!(updated["PhysicalResourceId"], "thaw-schema-thaw", "as it was named before");
    }

    invoke(&api, &event("migrate-delete.json", &response_url)).await.unwrap();
    assert_eq!(bucket.only()["Status"], "SUCCESS");
    assert_eq!(number(&master, MIGRATIONS).await, all, "nothing is deleted");

    let text: String = api.logs().iter().map(|line| line.text.clone()).collect();
    assert!(!text.contains("not-for-the-log") && !text.contains("master-password"), "{text}");
    assert_eq!(
        number(&master, "select count(*) from pg_stat_activity where usename = 'master' and pid <> pg_backend_pid()").await,
        0,
        "no session stays"
    );
    api.stop().await;
}

#[tokio::test]
async fn two_at_once_wait_for_one_another() {
    let cluster = Cluster::own().await;
    let database = cluster.database().await;
    let (master, url) = mastered(&database).await;
    let api = Api::with(&database, Options::default().by_url(&url)).await;
    let migrate = json!({ "action": "migrate" });
    let (left, right) = tokio::join!(invoke(&api, &migrate), invoke(&api, &migrate));
    let (left, right) = (left.unwrap(), right.unwrap());
    let all = number(&master, MIGRATIONS).await;
    for report in [&left, &right] {
        assert_eq!((report["present"].as_i64(), report["known"].as_i64()), (Some(all), Some(all)), "{report}");
    }
    api.stop().await;
}

#[tokio::test]
async fn older_code_beside_a_newer_schema_is_a_success_that_says_so() {
    let database = Database::fresh().await;
    let api = Api::with(&database, Options::direct()).await;
    let newer = "insert into _sqlx_migrations (version, description, success, checksum, execution_time) values (9999, 'later', true, '\\x00', 1)";
    run(&database.admin(), newer).await;
    let bucket = Bucket::default();
    invoke(&api, &event("migrate-update.json", &bucket.open().await)).await.unwrap();
    let answer = bucket.only();
    assert_eq!(answer["Status"], "SUCCESS", "{answer}");
    assert!(answer["Reason"].as_str().unwrap().contains("forward only"), "{answer}");
    // One that lacks what this code needs is no newer one.
    run(&database.admin(), "delete from _sqlx_migrations where version = 6").await;
    invoke(&api, &event("migrate-update.json", &bucket.open().await)).await.unwrap();
    let answer = bucket.only();
    let reason = answer["Reason"].as_str().unwrap();
    assert!(answer["Status"] == "FAILED" && reason.contains("lacks migration 0006_resets") && reason.contains("9999"), "{answer}");
    api.stop().await;
}

#[tokio::test]
async fn a_migration_that_cannot_be_is_a_failure_that_names_it() {
    let database = Database::fresh().await;
    let api = Api::with(&database, Options::direct()).await;
    let bucket = Bucket::default();
    let url = bucket.open().await;
    run(&database.admin(), "update _sqlx_migrations set checksum = '\\x00' where version = 2").await;
    invoke(&api, &event("migrate-update.json", &url)).await.unwrap();
    let changed = bucket.only();
    assert_eq!(changed["Status"], "FAILED", "{changed}");
    assert!(changed["Reason"].as_str().unwrap().starts_with("migration 0002_marketplace was changed"), "{changed}");

    // Something of the same name is in the way of the first table.
    run(&database.admin(), "delete from _sqlx_migrations where version >= 2").await;
    invoke(&api, &event("migrate-create.json", &url)).await.unwrap();
    let refused = bucket.only();
    assert_eq!(refused["Status"], "FAILED", "{refused}");
    let reason = refused["Reason"].as_str().unwrap();
    assert!(reason.starts_with("migration 0002_marketplace failed: ") && reason.contains("already exists"), "{reason}");
    let direct = invoke(&api, &json!({ "action": "migrate" })).await.unwrap_err();
    assert_eq!((&direct["errorType"], &direct["errorMessage"]), (&json!("Migrate.Failed"), &json!(reason)));

    // A message that repeats a value.
    run(
        &database.admin(),
        "create function refuse() returns event_trigger language plpgsql as $$
         begin
             if current_query() like '%create table users%' then
                 raise exception 'invalid input syntax for type uuid: \"secret-word\"' using errcode = '22P02';
             end if;
         end $$;
         create event trigger refuse on ddl_command_start execute function refuse()",
    )
    .await;
    invoke(&api, &event("migrate-create.json", &url)).await.unwrap();
    let refused = bucket.only();
    assert!(refused["Reason"].as_str().unwrap().starts_with("migration 0002_marketplace failed: SQLSTATE 22P02"), "{refused}");
    let text: String = api.logs().iter().map(|line| line.text.clone()).collect();
    assert!(!text.contains("secret-word") && !refused.to_string().contains("secret-word"), "{text}");
    api.stop().await;
}

#[tokio::test]
async fn a_silent_database_is_a_failure_before_the_deadline_and_no_obstacle_to_a_delete() {
    let database = Database::fresh().await;
    let proxy = FaultProxy::to(database.address()).await;
    let variables = [("RETRY_BUDGET_MS", "1500"), ("DB_ATTEMPT_TIMEOUT_MS", "1200"), ("DB_CONNECT_TIMEOUT_MS", "1000")];
    let url = database.app_url_at(proxy.address());
    let options = variables.iter().fold(Options::default().by_url(&url), |options, (name, value)| options.with_variable(name, value));
    let api = Api::with(&database, Options { settings: settings(1), ..options }).await;
    proxy.begin(tests::Fault::Silence);
    let bucket = Bucket::default();
    let response_url = bucket.open().await;
    invoke(&api, &event("migrate-create.json", &response_url)).await.unwrap();
    let answer = bucket.only();
    assert_eq!(answer["Status"], "FAILED", "{answer}");
    assert!(!answer["Reason"].as_str().unwrap().is_empty(), "{answer}");
    let delete = event("migrate-delete.json", &response_url);
    let delete = tokio::time::timeout(Duration::from_secs(10), invoke(&api, &delete));
    delete.await.expect("it asks no database").unwrap();
    assert_eq!(bucket.only()["Status"], "SUCCESS");
    api.stop().await;
}

/// A policy that a deployment has just attached takes seconds to be known everywhere.
#[tokio::test]
async fn a_sign_in_by_iam_that_is_refused_is_tried_again() {
    let database = Database::fresh().await;
    let variables = [("DB_USER", "thaw_ops"), ("AWS_SECRET_ACCESS_KEY", "another"), ("RETRY_BUDGET_MS", "6000")];
    let options = variables.iter().fold(Options::default(), |options, (name, value)| options.with_variable(name, value));
    let api = Api::with(&database, options).await;
    let bucket = Bucket::default();
    invoke(&api, &event("migrate-create.json", &bucket.open().await)).await.unwrap();
    assert_eq!(bucket.only()["Status"], "FAILED");
    // One try is two by itself: with a new token.
    assert!(api.proxy().report().refused >= 4, "{:?}", api.proxy().report());
    api.stop().await;
}

#[tokio::test]
async fn a_wait_for_another_run_ends_with_the_run_and_holds_up_no_later_one() {
    let database = Database::fresh().await;
    let api = Api::with(&database, Options::direct().with_variable("RETRY_BUDGET_MS", "4000")).await;
    let bucket = Bucket::default();
    let url = bucket.open().await;
    let mut other = database.connect_admin().await;
    other.lock().await.unwrap();
    invoke(&api, &event("migrate-update.json", &url)).await.unwrap();
    assert_eq!(bucket.only()["Status"], "FAILED");
    // The server's own wait has ended, too, a moment later: nobody is before the next run.
    let waiting = "select count(*) from pg_locks l join pg_database d on d.oid = l.database
                   where datname = current_database() and locktype = 'advisory' and not granted";
    let admin = database.admin();
    tests::eventually("nobody waits", async || number(&admin, waiting).await == 0).await;
    other.close().await.unwrap();
    invoke(&api, &event("migrate-update.json", &url)).await.unwrap();
    assert_eq!(bucket.only()["Status"], "SUCCESS");
    api.stop().await;
}

#[tokio::test]
async fn an_answer_that_s3_does_not_take_is_sent_again_and_a_refused_one_is_an_error() {
    let database = Database::fresh().await;
    let api = Api::with(&database, Options::direct()).await;
    let bucket = Bucket::default();
    let url = bucket.open().await;
    bucket.refuse(&[StatusCode::SERVICE_UNAVAILABLE, StatusCode::INTERNAL_SERVER_ERROR]);
    invoke(&api, &event("migrate-update.json", &url)).await.unwrap();
    assert_eq!(bucket.only()["Status"], "SUCCESS");
    // Lambda then invokes again, and CloudFormation may be answered yet.
    bucket.refuse(&[StatusCode::FORBIDDEN]);
    let error = invoke(&api, &event("migrate-update.json", &url)).await.unwrap_err();
    assert_eq!(error["errorType"], "Migrate.NotAnswered", "{error}");
    assert!(error["errorMessage"].as_str().unwrap().contains("403") && !error.to_string().contains("Signature"), "{error}");
    api.stop().await;
}

#[tokio::test]
async fn an_event_of_no_known_shape_says_which_there_are() {
    let database = Database::fresh().await;
    let api = Api::with(&database, Options::direct()).await;
    for event in [json!({}), json!({ "action": "drop" }), event("migrate-create.json", "http://example.com/")] {
        let error = invoke(&api, &event).await.unwrap_err();
        assert_eq!(error["errorType"], "Migrate.UnknownEvent", "{event}: {error}");
    }
    api.stop().await;
}
