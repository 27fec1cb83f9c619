//! `cargo ops …`: what it prints, and how it fails.

use tests::{Command, Database};

#[tokio::test]
async fn every_command_explains_itself_with_examples() {
    let state = tempfile::tempdir().unwrap();
    for command in ["dev", "token", "status", "reset", "drill", "monitor", "migrate", "seed", "pins", "prepare", "sam-test", "completion"] {
        let ended = Command::run(state.path(), &[command, "--help"], &[]).await;
        assert_eq!(ended.code, Some(0), "{command}: {ended:?}");
        assert!(
            ended.stdout.contains("Usage: cargo ops") && ended.stdout.contains(&format!("cargo {}", if command == "dev" { "dev" } else { "ops" })),
            "{command}: {}",
            ended.stdout
        );
        assert!(ended.stdout.contains("Examples:"), "{command}: {}", ended.stdout);
    }
    let ended = Command::run(state.path(), &["--help"], &[]).await;
    assert!(ended.stdout.contains("Examples:"), "{}", ended.stdout);
}

#[tokio::test]
async fn migrate_and_seed_work_on_a_named_database() {
    let state = tempfile::tempdir().unwrap();
    let database = Database::fresh().await;
    let url = database.admin_url();
    let ended = Command::run(state.path(), &["migrate", "--database-url", &url], &[]).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let migrations = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../infra/migrations")).unwrap().count();
    assert!(ended.stdout.contains(&format!("up to date at {migrations} migrations")), "{ended:?}");
    let sizes = ["--users", "30", "--models", "300", "--purchases", "900"];
    let ended = Command::run(state.path(), &[&["seed"], &sizes[..]].concat(), &[("DATABASE_URL", &url)]).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stdout.contains("30 users, 300 models, 900 purchases in "), "{ended:?}");
    let least: i64 = sqlx::query_scalar(
        "select min(bought) from (select count(p.id) as bought from users u left join purchases p on p.buyer_id = u.id group by u.id) b",
    )
    .fetch_one(&mut database.connect_admin().await)
    .await
    .unwrap();
    assert!(least >= 20, "every user has at least 20 purchases, not {least}");
    let again = Command::run(state.path(), &[&["seed", "--database-url", &url], &sizes[..]].concat(), &[]).await;
    assert_eq!(again.code, Some(1));
    assert!(again.stderr.contains("table users holds rows already; seed an empty database"), "{again:?}");
}

#[tokio::test]
async fn sam_test_names_all_that_is_missing_for_it() {
    let state = tempfile::tempdir().unwrap();
    let nothing = state.path().display().to_string();
    let ended = Command::run(state.path(), &["sam-test"], &[("PATH", &nothing)]).await;
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), ""), "{ended:?}");
    for needed in ["error: not on the PATH:", "pip install aws-sam-cli", "pip install cargo-lambda", "Docker (docker)"] {
        assert!(ended.stderr.contains(needed), "{ended:?}");
    }
}

#[tokio::test]
async fn a_failure_is_one_sentence_and_a_non_zero_exit() {
    let state = tempfile::tempdir().unwrap();
    let cases: [(&[&str], i32, &str); 27] = [
        (&["token", "user-1"], 1, "no local API runs on this checkout: start it with cargo dev"),
        (&["migrate", "--database-url", "postgres://me:hidden@127.0.0.1:1/thaw"], 1, "nothing listens there"),
        (&["migrate", "--database-url", "thaw"], 1, "is not a URL"),
        (&["migrate"], 2, "--database-url"),
        (&["seed", "--database-url", "postgres://me:hidden@127.0.0.1:1/thaw", "--users", "0"], 1, "nothing listens there"),
        (&["seed", "--database-url", "postgres://me:hidden@127.0.0.1:1/thaw", "--users", "many"], 2, "--users"),
        (&["dev", "--port", "70000"], 2, "--port"),
        (&["dev", "--database-url", "postgres://me:hidden@127.0.0.1:1/thaw", "--port", "0"], 1, "nothing listens there"),
        (&["pins", "--database-url", "postgres://me:hidden@127.0.0.1:1/thaw"], 2, "--listen"),
        (&["pins", "--database-url", "postgres://me:hidden@127.0.0.1:1/thaw", "--listen", "6543"], 2, "--listen"),
        (&["pins", "--database-url", "postgres://me:hidden@127.0.0.1:1/thaw", "--listen", "0.0.0.0:0"], 1, "listen on a loopback address"),
        (&["pins", "--database-url", "postgres://me:hidden@127.0.0.1/thaw?sslmode=verify-full", "--listen", "127.0.0.1:0"], 1, "demands TLS"),
        (&["pins", "--database-url", "postgres://me:hidden@db.internal/thaw", "--listen", "127.0.0.1:0"], 1, "say sslmode=disable"),
        (&["reset", "--reason", "x"], 2, "--scope"),
        (&["reset", "--scope", "all", "--reason", "x"], 2, "environment, fleet"),
        (&["reset", "--scope", "fleet"], 2, "--reason"),
        (&["reset", "--scope", "fleet", "--reason", ""], 2, "--reason"),
        (&["reset", "--scope", "fleet", "--reason", "x", "--region", "eu-central-1"], 2, "--url"),
        (&["reset", "--scope", "fleet", "--reason", "x", "--url", "http://api.example.com"], 1, "api.example.com is not this machine: say https"),
        (&["reset", "--scope", "fleet", "--reason", "x", "--url", "https://me:hidden@api.example.com"], 1, "has a user in it"),
        (&["completion", "tcsh"], 2, "bash"),
        (&["drill", "stop"], 1, "no local API runs on this checkout: start it with cargo dev"),
        (&["drill"], 2, "<FAULT>"),
        (&["drill", "burn"], 2, "possible values: terminate, restart, stop, silence, freeze, rotate"),
        (&["monitor"], 1, "start it with cargo dev, or name a deployed one with --url"),
        (&["monitor", "--url", "https://me:hidden@api.example.com"], 1, "has a user in it"),
        (&["unknown"], 2, "unrecognized subcommand"),
    ];
    for (arguments, code, complaint) in cases {
        let ended = Command::run(state.path(), arguments, &[]).await;
        assert_eq!(ended.code, Some(code), "{arguments:?}: {ended:?}");
        assert!(ended.stderr.contains(complaint), "{arguments:?}: {}", ended.stderr);
        assert!(!ended.stderr.contains("hidden") && !ended.stderr.contains("panicked"), "{arguments:?}: {}", ended.stderr);
        if code == 1 {
            assert_eq!(ended.stderr.lines().filter(|line| line.starts_with("error: ")).count(), 1, "{arguments:?}: {}", ended.stderr);
        }
    }
}

#[tokio::test]
async fn a_closed_output_is_no_failure_and_a_full_one_is_one_sentence() {
    let state = tempfile::tempdir().unwrap();
    let ops = Command::executable().await;
    let shell = |script: &str| {
        let script = format!("'{}' {script}", ops.display());
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        std::process::Command::new("bash").args(["-o", "pipefail", "-c", &script]).current_dir(root).env("THAW_STATE", state.path()).output().unwrap()
    };
    let closed = shell("status | true");
    assert!(closed.status.success() && closed.stderr.is_empty(), "{closed:?}");
    if std::path::Path::new("/dev/full").exists() {
        let full = shell("status > /dev/full");
        let stderr = String::from_utf8(full.stderr).unwrap();
        assert_eq!((full.status.code(), stderr.lines().count()), (Some(1), 1), "{stderr}");
        assert!(stderr.starts_with("error: No space left on device"), "{stderr}");
    }
}

#[tokio::test]
async fn an_impossible_size_is_refused_before_anything_is_written() {
    let state = tempfile::tempdir().unwrap();
    let database = Database::fresh().await;
    let url = database.admin_url();
    for (option, value) in [("--users", "0"), ("--models", "1"), ("--purchases", "5"), ("--users", "99999999")] {
        let ended = Command::run(state.path(), &["seed", "--database-url", &url, option, value], &[]).await;
        assert_eq!(ended.code, Some(1), "{option} {value}: {ended:?}");
    }
    let rows: i64 = sqlx::query_scalar("select count(*) from users").fetch_one(&mut database.connect_admin().await).await.unwrap();
    assert_eq!(rows, 0);
}

#[tokio::test]
async fn status_says_that_nothing_runs() {
    let state = tempfile::tempdir().unwrap();
    let ended = Command::run(state.path(), &["status"], &[]).await;
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(0), "nothing runs on this checkout: start it with cargo dev"));
    let ended = Command::run(state.path(), &["status", "--json"], &[]).await;
    let status: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(status, serde_json::json!({"sandboxes": []}));
}
