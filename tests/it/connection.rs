//! The failure table of the README: each failure of the connection has an outcome, and each outcome its test here or beside.

use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sqlx::Connection as _;
use tests::{Answer, Api, Cluster, Database, Fault, FaultProxy, Options, eventually};

const PATH: &str = "/api/user/purchased-models";
const FUNCTION: &str = "purchased-models";
/// `DB_ATTEMPT_TIMEOUT_MS` of the template.
const ATTEMPT_TIMEOUT: Duration = Duration::from_millis(4_500);
/// Far more than a warm request takes, also on a busy machine, and far less than any of the timeouts.
const NORMAL: Duration = Duration::from_millis(1_000);

/// The bundle behind a proxy, warm, with the answer that it has to go on giving.
struct Bench {
    api: Api,
    proxy: FaultProxy,
    right: String,
    _database: Database,
}

impl Bench {
    async fn warm() -> Self {
        Self::with(Database::seeded().await, Options::default()).await
    }

    async fn with(database: Database, options: Options) -> Self {
        let proxy = FaultProxy::to(database.address()).await;
        let url = database.app_url_at(proxy.address());
        let api = Api::with(&database, options.with_variable("DATABASE_URL", &url)).await;
        let answer = api.get_as("user-1", PATH).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        api.frozen(FUNCTION).await;
        Self { api, proxy, right: answer.body, _database: database }
    }

    async fn get(&self) -> (Answer, Duration) {
        let began = Instant::now();
        (self.api.get_as("user-1", PATH).await, began.elapsed())
    }

    /// 200 with the right data; tells how long it took.
    async fn served(&self) -> Duration {
        let (answer, took) = self.get().await;
        assert_eq!((answer.status, &answer.body), (200, &self.right));
        took
    }
}

#[tokio::test]
async fn a_backend_terminated_in_the_middle_of_a_query_is_served() {
    let database = Database::seeded().await;
    let api = Api::over(&database).await;
    let before = api.get_as("user-1", PATH).await;
    let (mut locker, mut admin) = (database.connect_admin().await, database.connect_admin().await);
    let mut lock = locker.begin().await.unwrap();
    sqlx::raw_sql("lock table purchases in access exclusive mode").execute(&mut *lock).await.unwrap();
    let terminate = async {
        let waiting = "select pid from pg_stat_activity where datname = current_database() and usename = 'thaw_app' and wait_event_type = 'Lock'";
        let mut pid = None;
        eventually("the query waits", async || {
            pid = sqlx::query_scalar::<_, i32>(waiting).fetch_optional(&mut admin).await.unwrap();
            pid.is_some()
        })
        .await;
        sqlx::query("select pg_terminate_backend($1, 5000)").bind(pid).execute(&mut admin).await.unwrap();
        lock.rollback().await.unwrap();
    };
    let (answer, ()) = tokio::join!(api.get_as("user-1", PATH), terminate);
    assert_eq!((answer.status, answer.body), (200, before.body));
    api.stop().await;
}

#[tokio::test]
async fn a_socket_closed_by_the_server_during_the_freeze_is_served() {
    let bench = Bench::warm().await;
    bench.proxy.begin(Fault::Reset);
    tokio::time::sleep(Duration::from_millis(100)).await;
    bench.proxy.begin(Fault::None);
    bench.served().await;
    assert_eq!(bench.proxy.flows(), 2);
    bench.api.stop().await;
}

#[tokio::test]
async fn a_stale_flow_after_long_idleness_is_served_after_one_ping_timeout() {
    let bench = Bench::with(Database::seeded().await, Options::default().with_variable("DB_MAX_IDLE_MS", "500")).await;
    tokio::time::sleep(Duration::from_millis(700)).await;
    bench.proxy.begin(Fault::OldSilence);
    let took = bench.served().await;
    assert!(took <= Duration::from_millis(1_500), "{took:?}");
    let next = bench.served().await;
    assert!(next < NORMAL, "{next:?}");
    bench.api.stop().await;
}

#[tokio::test]
async fn a_stale_flow_on_a_connection_in_use_is_served_after_one_attempt_timeout() {
    let bench = Bench::warm().await;
    bench.proxy.begin(Fault::OldSilence);
    let took = bench.served().await;
    assert!(took >= ATTEMPT_TIMEOUT && took < ATTEMPT_TIMEOUT + NORMAL * 2, "{took:?}");
    let next = bench.served().await;
    assert!(next < NORMAL, "{next:?}");
    bench.api.stop().await;
}

#[tokio::test]
async fn five_seconds_of_total_silence_are_outlived() {
    let bench = Bench::warm().await;
    bench.proxy.begin(Fault::Silence);
    let back = async {
        tokio::time::sleep(Duration::from_secs(5)).await;
        bench.proxy.begin(Fault::None);
    };
    let ((answer, _), ()) = tokio::join!(bench.get(), back);
    assert_eq!((answer.status, &answer.body), (200, &bench.right));
    let next = bench.served().await;
    assert!(next < NORMAL, "{next:?}");
    bench.api.stop().await;
}

#[tokio::test]
async fn total_silence_for_ever_is_503_before_the_deadline_and_then_at_once() {
    let bench = Bench::warm().await;
    bench.proxy.begin(Fault::Silence);
    let (answer, took) = bench.get().await;
    assert_eq!((answer.status, answer.header("retry-after")), (503, "1"), "{answer:?}");
    assert!(took < Duration::from_secs(10), "the template's timeout: {took:?}");
    // The first budget went partly to the connection that was there. After a whole one without any, the breaker refuses.
    bench.get().await;
    let (answer, took) = bench.get().await;
    assert_eq!((answer.status, answer.header("retry-after")), (503, "1"), "{answer:?}");
    assert!(took < NORMAL, "an open breaker answers at once: {took:?}");
    bench.proxy.begin(Fault::None);
    eventually("it is used again", async || bench.get().await.0.status == 200).await;
    bench.api.stop().await;
}

#[tokio::test]
async fn a_result_that_is_cut_in_the_middle_is_never_partial() {
    let bench = Bench::warm().await;
    for bytes in [1, 5, 100, 1_000, 5_000] {
        bench.proxy.begin(Fault::CutAfter(bytes));
        let mend = async {
            tokio::time::sleep(Duration::from_millis(30)).await;
            bench.proxy.begin(Fault::None);
        };
        let ((answer, _), ()) = tokio::join!(bench.get(), mend);
        assert_eq!((answer.status, &answer.body), (200, &bench.right), "cut after {bytes} bytes");
    }
    bench.api.stop().await;
}

#[tokio::test]
async fn garbage_and_oversized_messages_are_served_by_another_connection() {
    let bench = Bench::warm().await;
    let pid = bench.api.frozen(FUNCTION).await.pid;
    for fault in [Fault::Garbage, Fault::Oversized] {
        bench.proxy.begin(fault);
        let mend = async {
            tokio::time::sleep(Duration::from_millis(30)).await;
            bench.proxy.begin(Fault::None);
        };
        let ((answer, _), ()) = tokio::join!(bench.get(), mend);
        assert_eq!((answer.status, &answer.body), (200, &bench.right), "{fault:?}");
    }
    assert_eq!(bench.api.frozen(FUNCTION).await.pid, pid, "the process lives");
    bench.api.stop().await;
}

#[tokio::test]
async fn what_the_server_says_decides_whether_the_connection_is_kept() {
    let bench = Bench::warm().await;
    let cases = [
        ("40001", true),
        ("40P01", true),
        ("55P03", true),
        ("26000", false),
        ("42P05", false),
        ("0A000", false),
        ("25006", false),
        ("57P01", false),
        ("08000", false),
        ("53300", false),
    ];
    for (code, kept) in cases {
        let flows = bench.proxy.flows();
        bench.proxy.begin(Fault::Says(code));
        bench.served().await;
        bench.proxy.begin(Fault::None);
        assert_eq!(bench.proxy.flows(), flows + u64::from(!kept), "{code}");
        // The small budget of repetitions fills again with successes.
        for _ in 0..2 {
            bench.served().await;
        }
    }
    bench.api.stop().await;
}

#[tokio::test]
async fn a_server_that_turns_connections_away_is_waited_for_and_503_in_the_end() {
    for code in ["57P03", "53300", "08000"] {
        let bench = Bench::with(Database::seeded().await, Options::default().with_variable("RETRY_BUDGET_MS", "4000")).await;
        bench.proxy.begin(Fault::Reset);
        tokio::time::sleep(Duration::from_millis(50)).await;
        bench.proxy.begin(Fault::SaysAtConnect(code));
        let mend = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            bench.proxy.begin(Fault::None);
        };
        let ((answer, _), ()) = tokio::join!(bench.get(), mend);
        assert_eq!((answer.status, &answer.body), (200, &bench.right), "{code}");
        bench.proxy.begin(Fault::Reset);
        tokio::time::sleep(Duration::from_millis(50)).await;
        bench.proxy.begin(Fault::SaysAtConnect(code));
        let (answer, _) = bench.get().await;
        assert_eq!((answer.status, answer.header("retry-after")), (503, "1"), "{code}: {answer:?}");
        let logs = bench.api.logs();
        assert!(logs.iter().any(|line| line.text.contains(&format!(r#""sqlstate":"{code}""#))), "{logs:?}");
        bench.api.stop().await;
    }
}

#[tokio::test]
async fn no_request_fails_through_a_restart_at_twenty_a_second() {
    for immediate in [false, true] {
        let mut cluster = Cluster::own().await;
        let database = cluster.seeded().await;
        let api = Api::over(&database).await;
        let right = api.get_as("user-1", PATH).await;
        assert_eq!(right.status, 200);
        let restart = async {
            tokio::time::sleep(Duration::from_secs(3)).await;
            cluster.stop_how(immediate).await;
            tokio::time::sleep(Duration::from_millis(1_800)).await;
            cluster.start().await;
        };
        let load = async {
            let mut requests = Vec::new();
            for number in 0..240_u32 {
                let api = &api;
                requests.push(async move {
                    tokio::time::sleep(Duration::from_millis(50) * number).await;
                    api.get_as("user-1", PATH).await
                });
            }
            join_all(requests).await
        };
        let (answers, ()) = tokio::join!(load, restart);
        let failed: Vec<_> = answers.iter().filter(|answer| answer.status != 200 || answer.body != right.body).collect();
        assert!(failed.is_empty(), "immediate {immediate}: {} of 240 failed, the first: {:?}", failed.len(), failed[0]);
        api.stop().await;
    }
}

/// Runs all at once, in one task.
async fn join_all<F: Future>(futures: Vec<F>) -> Vec<F::Output> {
    let mut pending: Vec<_> = futures.into_iter().map(|future| (Box::pin(future), None)).collect();
    std::future::poll_fn(|context| {
        let mut ready = true;
        for (future, output) in &mut pending {
            if output.is_none() {
                match future.as_mut().poll(context) {
                    std::task::Poll::Ready(value) => *output = Some(value),
                    std::task::Poll::Pending => ready = false,
                }
            }
        }
        if ready { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    pending.into_iter().map(|(_, output)| output.unwrap()).collect()
}

#[tokio::test]
async fn too_many_clients_are_waited_for() {
    let cluster = Cluster::with(&[("max_connections", "6"), ("superuser_reserved_connections", "2")]).await;
    let database = cluster.seeded().await;
    let api = Api::over(&database).await;
    let mut others = Vec::new();
    eventually("no connection is left for the routes", async || match <sqlx::PgConnection>::connect_with(&database.app()).await {
        Ok(other) => {
            others.push(other);
            false
        }
        Err(_) => true,
    })
    .await;
    let leave = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        others.clear();
    };
    let (answer, ()) = tokio::join!(api.get_as("user-1", PATH), leave);
    assert_eq!(answer.status, 200, "{answer:?}");
    api.stop().await;
}

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
    let options = parts.iter().fold(Options::default(), |options, (name, value)| options.with_variable(name, value));
    let api = Api::with(&database, options).await;
    assert_eq!(api.get_as("user-1", PATH).await.status, 200);
    local::database::set_password(&mut admin, "thaw_app", "second-secret").await.unwrap();
    std::fs::write(&file, "second-secret\n").unwrap();
    for session in database.app_sessions().await {
        sqlx::query("select pg_terminate_backend($1, 5000)").bind(session).execute(&mut admin).await.unwrap();
    }
    assert_eq!(api.get_as("user-1", PATH).await.status, 200, "the file is read at each connect");
    std::fs::write(&file, "wrong-secret\n").unwrap();
    for session in database.app_sessions().await {
        sqlx::query("select pg_terminate_backend($1, 5000)").bind(session).execute(&mut admin).await.unwrap();
    }
    let answer = api.get_as("user-1", PATH).await;
    assert_eq!((answer.status, answer.header("retry-after")), (503, "1"), "{answer:?}");
    let logs = api.logs();
    assert!(logs.iter().any(|line| line.text.contains(r#""sqlstate":"28P01""#)), "{logs:?}");
    assert!(!logs.iter().any(|line| line.text.contains("-secret")), "{logs:?}");
    api.stop().await;
}

#[tokio::test]
async fn a_slow_statement_of_a_killed_caller_is_gone_by_statement_timeout() {
    let database = Database::seeded().await;
    let api = Api::over(&database).await;
    assert_eq!(api.get_as("user-1", PATH).await.status, 200);
    let pid = api.frozen(FUNCTION).await.pid;
    let (mut locker, mut admin) = (database.connect_admin().await, database.connect_admin().await);
    let mut lock = locker.begin().await.unwrap();
    sqlx::raw_sql("lock table purchases in access exclusive mode").execute(&mut *lock).await.unwrap();
    let running = "select exists (select from pg_stat_activity where datname = current_database() and usename = 'thaw_app' and state = 'active')";
    let murder = async {
        let mut is_running = async || sqlx::query_scalar::<_, bool>(running).fetch_one(&mut admin).await.unwrap();
        eventually("the statement runs", &mut is_running).await;
        kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
        eventually("the statement is gone", async || !is_running().await).await;
    };
    let (answer, ()) = tokio::join!(api.get_as("user-1", PATH), murder);
    assert_eq!(answer.status, 500, "Lambda's answer for a lost process: {answer:?}");
    lock.rollback().await.unwrap();
    assert_eq!(api.get_as("user-1", PATH).await.status, 200);
    api.stop().await;
}

#[tokio::test]
async fn a_deadline_that_is_near_fails_fast_without_an_attempt() {
    let database = Database::seeded().await;
    let folder = tempfile::tempdir().unwrap();
    let template = folder.path().join("template.yaml");
    let committed = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../template.yaml");
    // A timeout of which the reserve leaves nothing.
    let changed = std::fs::read_to_string(committed).unwrap().replace("    Timeout: 10\n", "    Timeout: 1\n");
    std::fs::write(&template, changed).unwrap();
    let options = Options { template: Some(template), ..Options::default() }.with_variable("DEADLINE_RESERVE_MS", "1000");
    let api = Api::with(&database, options).await;
    let answer = api.get_as("user-1", PATH).await;
    assert_eq!((answer.status, answer.header("retry-after")), (503, "1"), "{answer:?}");
    assert!(database.app_sessions().await.is_empty(), "nothing was begun");
    api.stop().await;
}
