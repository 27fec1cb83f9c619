//! Long runs, behind `cargo test-soak`.

use tests::{Api, Database, http_event, resident_kib};

/// What a long-lived sandbox goes through, unless `THAW_INVOCATIONS` in the environment says how many, more than [`SETTLED`].
const INVOCATIONS: usize = 200_000;
/// After these the allocator has seen everything.
const SETTLED: usize = 5_000;
/// How far resident memory may grow afterwards.
const GROWTH_LIMIT_KIB: u64 = 1_024;
/// Every so many invocations the answer is a long one; all others are short, which halves the time.
const LONG_EVERY: usize = 10;

fn open_files(pid: i32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count()
}

#[tokio::test]
#[ignore = "takes six minutes"]
async fn many_invocations_leave_memory_files_and_sessions_as_they_were() {
    const FUNCTION: &str = "purchased-models";
    let invocations = tests::number_from_environment("THAW_INVOCATIONS", INVOCATIONS);
    let database = Database::seeded().await;
    let api = Api::over(&database).await;
    let event = |limit: u32| {
        let mut event = http_event("purchased-models-get.json");
        event["rawQueryString"] = format!("limit={limit}").into();
        event
    };
    let (short, long) = (event(1), event(20));
    let mut settled = None;
    for number in 1..=invocations {
        let event = if number.is_multiple_of(LONG_EVERY) { &long } else { &short };
        let response = api.respond(FUNCTION, event).await;
        assert_eq!(response["statusCode"], 200, "invocation {number}");
        if number == SETTLED {
            let sandbox = api.frozen(FUNCTION).await;
            settled = Some((sandbox.pid, resident_kib(sandbox.pid), open_files(sandbox.pid), database.app_sessions().await));
        }
    }
    let (pid, resident_before_kib, files, sessions) = settled.unwrap();
    let sandbox = api.frozen(FUNCTION).await;
    assert_eq!((sandbox.pid, sandbox.invocations), (pid, invocations as u64));
    assert_eq!(sessions.len(), 1);
    assert_eq!((open_files(pid), database.app_sessions().await), (files, sessions));
    let resident_after_kib = resident_kib(pid);
    println!("resident: {resident_before_kib} KiB after {SETTLED} invocations, {resident_after_kib} KiB after {invocations}");
    assert!(resident_after_kib <= resident_before_kib + GROWTH_LIMIT_KIB, "{resident_before_kib} KiB grew to {resident_after_kib} KiB");
    api.stop().await;
}
