//! `cargo dev`, as a person starts and stops it.

use local::postgres::account;
use nix::sys::signal::Signal;
use serde_json::Value;
use sqlx::{Connection as _, PgConnection};
use tests::{Cluster, Command, Database, cluster_place, eventually, executable, is_alive, prepared_state};

/// A folder for the state of one `cargo dev`, which the database server's account can enter.
fn state() -> tempfile::TempDir {
    account::temporary_directory("thaw-test-dev-").unwrap()
}

async fn status(state: &std::path::Path) -> Value {
    let ended = Command::run(state, &["status", "--json"], &[]).await;
    serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("{error}: {ended:?}"))
}

/// The part of a line after `ready `.
fn url(line: &str) -> String {
    line.strip_prefix("ready ").unwrap().to_owned()
}

/// What the record of the one `cargo dev` in this folder has for the command line alone.
fn operator_secrets(state: &std::path::Path) -> [String; 2] {
    let checkouts = std::fs::read_dir(state).unwrap().map(|entry| entry.unwrap().path().join("running.json"));
    let record = checkouts.into_iter().find(|record| record.is_file()).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&record).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    let record: Value = serde_json::from_slice(&std::fs::read(record).unwrap()).unwrap();
    ["secret_access_key", "session_token"].map(|name| record["operator"][name].as_str().unwrap().to_owned())
}

async fn get(url: &str, token: &str) -> (u16, String) {
    let response = tests::http_client().get(url).bearer_auth(token).send().await.unwrap();
    (response.status().as_u16(), response.text().await.unwrap())
}

#[tokio::test]
async fn it_serves_tells_what_runs_and_leaves_nothing_behind() {
    let _place = cluster_place().await;
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let state = prepared_state().await;
        // With a cluster of its own, whatever DATABASE_URL says to the tests.
        let mut dev = Command::start(state.path(), &["dev", "--port", "0"], &[]).await;
        let curl = dev.line("curl ").await;
        let api = url(&dev.line("ready http://127.0.0.1:").await);
        let ready_made = std::process::Command::new("sh").args(["-c", &curl.replacen("curl", "curl --silent --fail", 1)]).output().unwrap();
        assert!(ready_made.status.success(), "{curl}: {ready_made:?}");
        let page: Value = serde_json::from_slice(&ready_made.stdout).unwrap();
        assert_eq!(page["items"].as_array().unwrap().len(), 3, "{page}");

        let token = Command::run(state.path(), &["token", "user-2"], &[]).await.stdout;
        let (status_code, body) = get(&format!("{api}/api/models/user-models"), &token).await;
        assert_eq!(status_code, 200, "{body}");

        let mut running = Value::Null;
        eventually("both sandboxes are frozen", async || {
            running = status(state.path()).await;
            let sandboxes = running["sandboxes"].as_array().unwrap();
            sandboxes.len() == 2 && sandboxes.iter().all(|sandbox| sandbox["condition"] == "frozen")
        })
        .await;
        assert_eq!(running["api_url"], api.as_str());
        assert!(running["database_url"].as_str().unwrap().starts_with("postgres://postgres@127.0.0.1:"), "{running}");
        let data = std::path::PathBuf::from(running["data_directory"].as_str().unwrap());
        let postmaster: i32 = std::fs::read_to_string(data.join("postmaster.pid")).unwrap().lines().next().unwrap().parse().unwrap();
        let sandboxes = running["sandboxes"].as_array().unwrap();
        let text = Command::run(state.path(), &["status"], &[]).await.stdout;
        assert!(text.contains(&api) && text.contains("purchased-models") && text.contains("frozen"), "{text}");

        let secrets = operator_secrets(state.path());
        assert!(secrets.iter().all(|secret| !running.to_string().contains(secret) && !text.contains(secret)), "status shows a secret");

        let second = Command::run(state.path(), &["dev", "--port", "0"], &[]).await;
        assert_eq!(second.code, Some(1));
        assert!(second.stderr.contains("cargo dev runs here already"), "{second:?}");

        let mut pids: Vec<i32> = sandboxes.iter().map(|sandbox| i32::try_from(sandbox["pid"].as_i64().unwrap()).unwrap()).collect();
        pids.push(postmaster);
        assert!(pids.iter().all(|pid| is_alive(*pid)), "{pids:?}");
        dev.signal(signal);
        let ended = dev.end().await;
        assert_eq!(ended.code, Some(0), "{signal}: {ended:?}");
        let last: Vec<&str> = ended.stdout.lines().rev().take(2).collect();
        assert_eq!(last, [format!("{signal}: stopping"), format!("ready {api}")], "ready is the last line of the start");
        assert!(secrets.iter().all(|secret| !ended.stdout.contains(secret) && !ended.stderr.contains(secret)), "cargo dev shows a secret");
        assert!(pids.iter().all(|pid| !is_alive(*pid)), "{signal} left a process: {pids:?}");
        assert_eq!(status(state.path()).await["sandboxes"], serde_json::json!([]));
    }
}

#[tokio::test]
async fn a_second_start_keeps_the_rows_and_fresh_begins_anew() {
    let _place = cluster_place().await;
    let state = state();
    let mut token = None;
    for (arguments, expected) in [
        (&["dev", "--port", "0"][..], "seeded with 1,000 users"),
        (&["dev", "--port", "0"][..], "keeps its rows"),
        (&["dev", "--port", "0", "--fresh"][..], "seeded with 1,000 users"),
    ] {
        let mut dev = Command::start(state.path(), arguments, &[]).await;
        let line = dev.line("database ").await;
        assert!(line.contains(expected), "{arguments:?}: {line}");
        let api = url(&dev.line("ready ").await);
        let fresh_token = Command::run(state.path(), &["token", "user-1"], &[]).await.stdout;
        let token = token.get_or_insert(fresh_token);
        assert_eq!(get(&format!("{api}/api/user/purchased-models"), token).await.0, 200, "a token outlives a restart");
        dev.signal(Signal::SIGTERM);
        let ended = dev.end().await;
        assert_eq!(ended.code, Some(0));
        assert_eq!(ended.stderr.contains("seeding    50,000 purchases"), expected.starts_with("seeded"), "{ended:?}");
    }
}

#[tokio::test]
async fn a_named_database_is_migrated_and_served_and_outlives_cargo_dev() {
    // It gives the functions' role a password, which belongs to the whole cluster.
    let (state, cluster) = (state(), Cluster::own().await);
    let database = cluster.database().await;
    let mut admin = database.connect_admin().await;
    sqlx::raw_sql("alter role thaw_app password null; alter role thaw_ops password null").execute(&mut admin).await.unwrap();
    let mut dev = Command::start(state.path(), &["dev", "--port", "0"], &[("DATABASE_URL", &database.admin_url())]).await;
    let api = url(&dev.line("ready ").await);
    let passwords = "select count(distinct rolpassword) from pg_authid where rolname in ('thaw_app', 'thaw_ops')";
    let passwords: i64 = sqlx::query_scalar(passwords).fetch_one(&mut admin).await.unwrap();
    assert_eq!(passwords, 2, "both roles of the functions may sign in");
    let token = Command::run(state.path(), &["token", "user-1"], &[]).await.stdout;
    assert_eq!(get(&format!("{api}/api/user/purchased-models"), &token).await.0, 200);
    assert_eq!(status(state.path()).await["data_directory"], Value::Null);
    dev.signal(Signal::SIGTERM);
    assert_eq!(dev.end().await.code, Some(0));
    eventually("no session is left", async || database.app_sessions().await.is_empty()).await;
    let rows: i64 = sqlx::query_scalar("select count(*) from purchases").fetch_one(&mut database.connect_admin().await).await.unwrap();
    assert_eq!(rows, 50_000);
}

#[tokio::test]
async fn fresh_is_refused_for_a_database_that_thaw_did_not_create() {
    let (state, database) = (state(), Database::fresh().await);
    let mut admin = database.connect_admin().await;
    sqlx::raw_sql(&format!("comment on database \"{}\" is null", database.name())).execute(&mut admin).await.unwrap();
    sqlx::raw_sql("create table precious (id int)").execute(&mut admin).await.unwrap();
    admin.close().await.unwrap();
    let ended = Command::run(state.path(), &["dev", "--port", "0", "--fresh", "--database-url", &database.admin_url()], &[]).await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("was not created by thaw"), "{ended:?}");
    let mut admin: PgConnection = database.connect_admin().await;
    sqlx::raw_sql("select from precious").execute(&mut admin).await.expect("nothing was removed");
}

#[tokio::test]
async fn a_database_that_refuses_is_one_sentence() {
    let (state, cluster) = (state(), Cluster::own().await);
    let database = cluster.database().await;
    let mut url = reqwest::Url::parse(&database.admin_url()).unwrap();
    url.set_password(Some("hidden")).unwrap();
    let wrong_password = Command::run(state.path(), &["dev", "--port", "0", "--database-url", url.as_str()], &[]).await;
    let mut admin = database.connect_admin().await;
    sqlx::raw_sql("create role powerless login password 'hidden'").execute(&mut admin).await.unwrap();
    url.set_username("powerless").unwrap();
    url.set_path("/missing");
    let may_not_create = Command::run(state.path(), &["dev", "--port", "0", "--database-url", url.as_str()], &[]).await;
    for (ended, complaint) in [(wrong_password, "the server rejects the password"), (may_not_create, "permission denied to create database")] {
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert!(ended.stderr.starts_with("error: ") && ended.stderr.lines().count() == 1, "{ended:?}");
        assert!(ended.stderr.contains(complaint) && !ended.stderr.contains("hidden"), "{ended:?}");
    }
}

#[tokio::test]
async fn a_taken_port_is_one_sentence_and_nothing_is_left_running() {
    let state = state();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let ended = Command::run(state.path(), &["dev", "--port", &port], &[]).await;
    assert_eq!(ended.code, Some(1));
    assert_eq!(ended.stderr.trim(), format!("error: port {port} is taken: stop the program that listens there, or choose another with --port"));
    assert!(!std::fs::exists(state.path().join("postgres")).unwrap(), "nothing was fetched or started");
}

#[tokio::test]
async fn a_signal_while_it_starts_ends_it_too() {
    let _place = cluster_place().await;
    let state = prepared_state().await;
    // A build that takes its time, in a process that a look at the command lines finds.
    let cargo = state.path().join("cargo");
    std::fs::write(&cargo, "#!/bin/sh\nsleep 600\n").unwrap();
    std::fs::set_permissions(&cargo, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    for beginning in ["postgres ", "database ", "functions "] {
        let mut dev = Command::start(state.path(), &["dev", "--port", "0"], &[("CARGO", cargo.to_str().unwrap())]).await;
        dev.line(beginning).await;
        dev.signal(Signal::SIGTERM);
        let ended = dev.end().await;
        assert_eq!(ended.code, Some(128 + 15), "after {beginning:?}: {ended:?}");
        let processes = std::process::Command::new("ps").args(["-eo", "args"]).output().unwrap();
        let leftover = String::from_utf8_lossy(&processes.stdout).lines().filter(|line| line.contains(state.path().to_str().unwrap())).count();
        assert_eq!(leftover, 0, "after {beginning:?}: {}", String::from_utf8_lossy(&processes.stdout));
    }
}

#[tokio::test]
async fn functions_answer_as_they_are_built_and_ready_comes_last() {
    let _place = cluster_place().await;
    let state = prepared_state().await;
    let message = async |function: &str| {
        let executable = executable(function).await;
        format!("echo '{{\"reason\":\"compiler-artifact\",\"target\":{{\"name\":\"{function}\"}},\"executable\":\"{}\"}}'\n", executable.display())
    };
    // A build that has one function at once, and the others when it is told to go on.
    let (cargo, go_on) = (state.path().join("cargo"), state.path().join("go-on"));
    let mut script = format!("#!/bin/sh\n{}", message("purchased-models").await);
    script += &format!("echo '    Building [=>] 7/9: health' >&2\nwhile ! [ -e '{}' ]; do sleep 0.05; done\n", go_on.display());
    for function in ["user-models", "health", "monitor", "reset", "migrate"] {
        script += &message(function).await;
    }
    std::fs::write(&cargo, script).unwrap();
    std::fs::set_permissions(&cargo, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let mut dev = Command::start(state.path(), &["dev", "--port", "0"], &[("CARGO", cargo.to_str().unwrap())]).await;
    let functions = dev.line("functions ").await;
    assert!(functions.contains("purchased-models can be called; user-models, health, monitor, reset, migrate are being compiled"), "{functions}");
    let api = dev.line("api ").await.split_whitespace().nth(1).unwrap().to_owned();
    let token = Command::run(state.path(), &["token", "user-1"], &[]).await.stdout;
    assert_eq!(get(&format!("{api}/api/user/purchased-models"), &token).await.0, 200);
    let (url, token) = (format!("{api}/api/models/user-models"), token.clone());
    let waiting = tokio::spawn(async move { get(&url, &token).await.0 });
    assert!(status(state.path()).await["sandboxes"].as_array().unwrap().len() == 1, "a report does not wait for a compiler");
    assert!(!waiting.is_finished());
    std::fs::write(&go_on, "").unwrap();
    assert_eq!(waiting.await.unwrap(), 200, "the request waited for its function");
    dev.line("ready ").await;
    dev.signal(Signal::SIGTERM);
    assert_eq!(dev.end().await.code, Some(0));
}

#[tokio::test]
async fn a_missing_tool_is_one_sentence() {
    let (state, cluster) = (state(), Cluster::own().await);
    let database = cluster.database().await;
    let without_npm = [("PATH", "/nonexistent"), ("THAW_POSTGRES", "download"), ("CARGO", env!("CARGO"))];
    let ended = Command::run(state.path(), &["dev", "--port", "0"], &without_npm).await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(
        ended.stderr.starts_with("error: ") && ended.stderr.contains("npm, which could download one, is not in PATH: install PostgreSQL"),
        "{ended:?}"
    );
    let without_cargo = [("CARGO", "/nonexistent/cargo"), ("DATABASE_URL", &database.admin_url())];
    let ended = Command::run(state.path(), &["dev", "--port", "0"], &without_cargo).await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("/nonexistent/cargo did not start; is Rust's cargo installed?"), "{ended:?}");
}

#[tokio::test]
async fn nothing_outlives_a_killed_cargo_dev_and_the_next_one_starts() {
    let _place = cluster_place().await;
    let state = prepared_state().await;
    let mut dev = Command::start(state.path(), &["dev", "--port", "0"], &[]).await;
    let api = url(&dev.line("ready ").await);
    let token = Command::run(state.path(), &["token", "user-1"], &[]).await.stdout;
    assert_eq!(get(&format!("{api}/api/user/purchased-models"), &token).await.0, 200);
    let running = status(state.path()).await;
    let sandbox = i32::try_from(running["sandboxes"][0]["pid"].as_i64().unwrap()).unwrap();
    dev.signal(Signal::SIGKILL);
    assert_eq!(dev.end().await.code, None);
    let mut again = Command::start(state.path(), &["dev", "--port", "0"], &[]).await;
    again.line("ready ").await;
    assert!(!is_alive(sandbox), "a frozen sandbox outlived its owner");
    again.signal(Signal::SIGTERM);
    assert_eq!(again.end().await.code, Some(0));
}
