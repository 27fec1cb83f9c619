//! Each function signs in as the role that the template names for it.

use std::collections::BTreeMap;
use std::sync::Arc;

use local::roles::{APP_ROLE, OPS_ROLE};
use local::stack::{self, Plan, Stack};
use serde_json::Value;
use tests::{Api, Database, Options, guard, http_event, scripted_route};
use tokio::net::TcpListener;

/// Signs in as the operators' role in the template below.
const WATCHER: &str = "user-models";
/// Says nothing of its own.
const ROUTE: &str = "purchased-models";

/// The committed template with another role for one function.
fn template(folder: &std::path::Path, role: &str) -> std::path::PathBuf {
    let committed = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../template.yaml");
    let text = std::fs::read_to_string(committed).unwrap();
    let (function, own) = ("        LogGroup: !Ref UserModelsLogGroup\n", format!("      Environment: {{Variables: {{DB_USER: {role}}}}}\n"));
    assert_eq!(text.matches(function).count(), 1);
    let template = folder.join("template.yaml");
    std::fs::write(&template, text.replace(function, &format!("{function}{own}"))).unwrap();
    template
}

/// Two functions that tell who they are.
fn options(folder: &std::path::Path, options: Options) -> Options {
    let executables = BTreeMap::from([WATCHER, ROUTE].map(|function| (function.to_owned(), scripted_route())));
    Options { template: Some(template(folder, OPS_ROLE)), executables, ..options }
}

async fn ask(api: &Api, function: &str, query: &str) -> Value {
    let mut event = http_event("purchased-models-get.json");
    event["rawQueryString"] = query.into();
    let response = api.respond(function, &event).await;
    assert_eq!(response["statusCode"], 200, "{function} {query}: {response}");
    serde_json::from_str(response["body"].as_str().unwrap()).unwrap()
}

async fn user(api: &Api, function: &str) -> String {
    ask(api, function, "do=user").await["user"].as_str().unwrap().to_owned()
}

/// By way of the stand-in for RDS Proxy, or of the pooler by which all tests go.
#[tokio::test]
async fn functions_of_two_roles_sign_in_side_by_side_each_as_its_own() {
    let (folder, database) = (tempfile::tempdir().unwrap(), Database::fresh().await);
    let api = Api::with(&database, options(folder.path(), Options::default())).await;
    // By turns, so that what one leaves behind would meet the other.
    for _ in 0..3 {
        assert_eq!((user(&api, WATCHER).await, user(&api, ROUTE).await), (OPS_ROLE.to_owned(), APP_ROLE.to_owned()));
    }
    api.stop().await;
}

#[tokio::test]
async fn a_function_behind_the_stand_in_has_its_name_and_no_password() {
    let (folder, database) = (tempfile::tempdir().unwrap(), Database::fresh().await);
    let options = Options { proxy: Some(local::proxy::Settings::default()), ..options(folder.path(), Options::default()) };
    let api = Api::with(&database, options).await;
    for (function, role) in [(WATCHER, OPS_ROLE), (ROUTE, APP_ROLE)] {
        for (name, value) in [("DB_PROXY_NAME", "thaw-local"), ("DB_USER", role), ("DATABASE_URL", ""), ("DB_PASSWORD", "")] {
            assert_eq!(ask(&api, function, &format!("do=variable&name={name}")).await["value"], value, "{function} {name}");
        }
        assert_eq!(user(&api, function).await, role);
    }
    api.stop().await;
}

#[tokio::test]
async fn without_a_stand_in_each_function_has_the_url_of_its_role() {
    let (folder, database) = (tempfile::tempdir().unwrap(), Database::fresh().await);
    let api = Api::with(&database, options(folder.path(), Options::direct())).await;
    for (function, role) in [(WATCHER, OPS_ROLE), (ROUTE, APP_ROLE)] {
        assert_eq!(user(&api, function).await, role);
        let url = ask(&api, function, "do=variable&name=DATABASE_URL").await["value"].as_str().unwrap().to_owned();
        assert_eq!(url, database.roles().url(role).unwrap());
    }
    api.stop().await;
}

#[tokio::test]
async fn a_variable_of_the_test_goes_before_the_templates() {
    let (folder, database) = (tempfile::tempdir().unwrap(), Database::fresh().await);
    let for_all = options(folder.path(), Options::direct().with_variable("DB_USER", OPS_ROLE));
    let api = Api::with(&database, for_all).await;
    assert_eq!((user(&api, WATCHER).await, user(&api, ROUTE).await), (OPS_ROLE.to_owned(), OPS_ROLE.to_owned()));
    api.stop().await;
    let by_url = options(folder.path(), Options::default().by_url(&database.app_url()));
    let api = Api::with(&database, by_url).await;
    assert_eq!((user(&api, WATCHER).await, user(&api, ROUTE).await), (APP_ROLE.to_owned(), APP_ROLE.to_owned()));
    api.stop().await;
}

#[tokio::test]
async fn a_role_that_has_no_password_here_is_an_error_that_names_function_and_role() {
    let (folder, database) = (tempfile::tempdir().unwrap(), Database::fresh().await);
    let template = template(folder.path(), "thaw_migrate");
    let executables = stack::functions(&template).unwrap().into_iter().map(|function| (function, scripted_route().into())).collect();
    let plan = Plan {
        template: &template,
        executables: &executables,
        roles: &database.roles(),
        proxy: None,
        cors_allowed_origins: "",
        environment: BTreeMap::new(),
        issuer_directory: folder.path(),
        settings: local::cloud::Settings::default(),
        logs: Arc::new(drop),
        pins: Arc::new(|_| {}),
        dashboard: None,
    };
    let started = Stack::start(plan, TcpListener::bind("127.0.0.1:0").await.unwrap(), &guard()).await;
    let error = format!("{:#}", started.err().unwrap());
    assert!(error.contains(WATCHER) && error.contains(r#"the role "thaw_migrate" has no password here: it must be thaw_app or thaw_ops"#), "{error}");
}
