//! The connection breaks in the middle of something: what was read is whole, or read again.

use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sqlx::Connection as _;
use tests::{Api, Database, Fault, Options, eventually};

use crate::behind_proxy::{BehindProxy, FUNCTION, PATH, before_the_stand_in};

#[tokio::test]
async fn a_backend_terminated_in_the_middle_of_a_query_is_served() {
    for options in [Options::direct(), Options::default()] {
        terminated_in_the_middle(options).await;
    }
}

async fn terminated_in_the_middle(options: Options) {
    let database = Database::seeded().await;
    let api = Api::with(&database, options).await;
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
    let bench = BehindProxy::warm().await;
    bench.proxy.begin(Fault::Reset);
    tokio::time::sleep(Duration::from_millis(100)).await;
    bench.proxy.begin(Fault::None);
    bench.served().await;
    assert_eq!(bench.proxy.flows(), 2);
    bench.api.stop().await;
}

#[tokio::test]
async fn a_result_that_is_cut_in_the_middle_is_never_partial() {
    let bench = BehindProxy::warm().await;
    for bytes in [1, 5, 100, 1_000, 5_000] {
        bench.proxy.begin(Fault::CutAfter(bytes));
        let flows = bench.proxy.flows();
        let mend = async {
            eventually("the fault is met", async || bench.proxy.flows() > flows).await;
            bench.proxy.begin(Fault::None);
        };
        let ((answer, _), ()) = tokio::join!(bench.get(), mend);
        assert_eq!((answer.status, &answer.body), (200, &bench.right), "cut after {bytes} bytes");
    }
    bench.api.stop().await;
}

#[tokio::test]
async fn garbage_and_oversized_messages_are_served_by_another_connection() {
    let bench = BehindProxy::warm().await;
    let pid = bench.api.frozen(FUNCTION).await.pid;
    for fault in [Fault::Garbage, Fault::Oversized, Fault::Undersized] {
        bench.proxy.begin(fault);
        let flows = bench.proxy.flows();
        let mend = async {
            eventually("the fault is met", async || bench.proxy.flows() > flows).await;
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
    let bench = BehindProxy::warm().await;
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
async fn a_slow_statement_of_a_killed_caller_is_gone_by_statement_timeout() {
    for mut options in [Options::direct(), Options::default()] {
        let database = Database::fresh().await;
        let (mut admin, mut observer) = (database.connect_admin().await, database.connect_admin().await);
        // So that nothing but statement_timeout can end it: by the role's own settings the server also looks every second for its client.
        let blind = format!("alter role thaw_app in database \"{}\" set client_connection_check_interval = 0", database.name());
        sqlx::raw_sql(&blind).execute(&mut admin).await.unwrap();
        options.executables.insert(FUNCTION.to_owned(), tests::scripted_route());
        let api = Api::with(&database, options).await;
        let mut event = tests::http_event("purchased-models-get.json");
        event["rawQueryString"] = "do=pg_sleep&s=60".into();
        let running = "select extract(epoch from clock_timestamp() - query_start)::float8, coalesce(wait_event = 'PgSleep', false) \
                       from pg_stat_activity \
                       where datname = current_database() and usename = 'thaw_app' and state = 'active' and query like '%pg_sleep%'";
        let mut look = async || sqlx::query_as::<_, (f64, bool)>(running).fetch_optional(&mut observer).await.unwrap();
        let murder = async {
            // A statement is active while it is parsed, too, before it was told to run.
            eventually("the statement runs", async || look().await.is_some_and(|(_, sleeps)| sleeps)).await;
            let pid = api.sandboxes(FUNCTION).await[0].pid;
            kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
            let mut last_s = 0.0;
            eventually("the statement is gone", async || match look().await {
                Some((age_s, _)) => {
                    last_s = age_s;
                    false
                }
                None => true,
            })
            .await;
            last_s
        };
        let (outcome, last_s) = tokio::join!(api.invoke(FUNCTION, &event), murder);
        assert!(outcome.unwrap().result.is_err(), "the process is lost");
        // Two seconds, and what a busy machine adds.
        assert!(last_s > 1.0 && last_s < 20.0, "it was last seen after {last_s} s");
        api.stop().await;
    }
}

#[tokio::test]
async fn a_statement_that_the_server_does_not_support_is_500() {
    let database = Database::fresh().await;
    let mut options = Options::default();
    options.executables.insert(FUNCTION.to_owned(), tests::scripted_route());
    let api = Api::with(&database, options).await;
    let mut event = tests::http_event("purchased-models-get.json");
    event["rawQueryString"] = "do=unsupported".into();
    let answer = api.respond(FUNCTION, &event).await;
    assert_eq!(answer["statusCode"], 500, "{answer}");
    assert!(answer["body"].as_str().unwrap().contains("/problems/internal"), "{answer}");
    assert!(api.logs().iter().any(|line| line.text.contains(r#""sqlstate":"0A000""#)), "{:?}", api.logs());
    api.stop().await;
}

#[tokio::test]
async fn tls_that_is_cut_in_the_middle_of_anything_is_served() {
    let database = Database::seeded().await;
    let (api, fault_proxy) = before_the_stand_in(&database).await;
    let right = api.get_as("user-1", PATH).await;
    assert_eq!((right.status, fault_proxy.flows()), (200, 1), "{right:?}");
    // So few that the sandbox's allowance for sending again lasts.
    for bytes in [1, 50, 800, 1_500, 3_000, 6_000] {
        let flows = fault_proxy.flows();
        fault_proxy.begin(Fault::CutAfter(bytes));
        // The connection that was there is cut in the result; those that follow, in handshake, sign-in or result, while the fault lasts.
        let mend = async {
            // A handshake and a sign-in take 2,000 bytes: where fewer pass, the second flow has met the fault before there is a third.
            let met = flows + if bytes < 2_000 { 2 } else { 1 };
            eventually("the fault is met", async || fault_proxy.flows() >= met).await;
            fault_proxy.begin(Fault::None);
        };
        let (answer, ()) = tokio::join!(api.get_as("user-1", PATH), mend);
        assert_eq!((answer.status, &answer.body), (200, &right.body), "cut after {bytes} bytes");
    }
    api.stop().await;
}
