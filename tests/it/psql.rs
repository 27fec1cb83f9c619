//! `cargo ops psql`: a person looks at the rows.

use std::os::unix::fs::PermissionsExt as _;

use nix::sys::signal::Signal;
use sqlx::{Connection as _, PgConnection};
use tests::{Command, cluster_place, prepared_state};

/// Prints what it was started with.
const FAKE: &str = "#!/bin/sh\necho \"$@\"\nenv | grep ^PG | sort\n";

#[tokio::test]
async fn each_role_signs_in_directly_and_behind_the_stand_in() {
    let _place = cluster_place().await;
    let state = prepared_state().await;
    let mut dev = Command::start(state.path(), &["dev", "--port", "0"], &[]).await;
    dev.line("ready ").await;
    let cases = [
        (&[][..], "postgres"),
        (&["--role", "admin"], "postgres"),
        (&["--role", "app"], "thaw_app"),
        (&["--role", "ops"], "thaw_ops"),
        (&["--proxy"], "thaw_app"),
        (&["--proxy", "--role", "ops"], "thaw_ops"),
    ];
    for (arguments, role) in cases {
        let ended = Command::run(state.path(), &[&["psql", "--print"], arguments].concat(), &[]).await;
        assert_eq!((ended.code, ended.stdout.lines().count()), (Some(0), 1), "{arguments:?}: {ended:?}");
        assert_eq!(ended.stdout.contains("X-Amz-Signature"), arguments.contains(&"--proxy"), "{arguments:?}");
        let mut connection = PgConnection::connect(&ended.stdout).await.unwrap();
        let who: String = sqlx::query_scalar("select session_user::text").fetch_one(&mut connection).await.unwrap();
        assert_eq!(who, role, "{arguments:?}");
    }

    let programs = tempfile::tempdir().unwrap();
    let fake = programs.path().join("psql");
    std::fs::write(&fake, FAKE).unwrap();
    std::fs::set_permissions(&fake, std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", programs.path().display(), std::env::var("PATH").unwrap());
    let variables = [("PATH", path.as_str()), ("PGSERVICE", "mine")];
    let ended = Command::run(state.path(), &["psql", "--role", "app", "--", "-c", "select 1"], &variables).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let lines: Vec<&str> = ended.stdout.lines().collect();
    assert_eq!(lines[0], "-c select 1", "nothing secret among the arguments");
    let names: Vec<&str> = lines[1..].iter().filter_map(|line| line.split_once('=')).map(|(name, _)| name).collect();
    assert_eq!(names, ["PGDATABASE", "PGHOST", "PGPASSWORD", "PGPORT", "PGSSLMODE", "PGUSER"], "{ended:?}");

    let ended = Command::run(state.path(), &["psql"], &[("PATH", "/nonexistent")]).await;
    assert_eq!((ended.code, ended.stderr.lines().count()), (Some(1), 1), "{ended:?}");
    assert!(ended.stderr.starts_with("error: psql is not in PATH: install it"), "{ended:?}");
    let ended = Command::run(state.path(), &["psql", "--proxy", "--role", "admin"], &[]).await;
    assert!(ended.code == Some(1) && ended.stderr.contains("does not sign in by way of the proxy"), "{ended:?}");

    let rotated = Command::run(state.path(), &["drill", "rotate"], &[]).await;
    assert_eq!(rotated.code, Some(0), "{rotated:?}");
    let ended = Command::run(state.path(), &["psql", "--role", "app"], &[]).await;
    assert!(ended.code == Some(1) && ended.stderr.contains("after the drill rotate say --proxy"), "{ended:?}");

    dev.signal(Signal::SIGTERM);
    assert_eq!(dev.end().await.code, Some(0));
    let ended = Command::run(state.path(), &["psql"], &[]).await;
    assert_eq!(ended.stderr, "error: no local database runs on this checkout: start it with cargo dev");
}
