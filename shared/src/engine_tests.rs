//! Single rules of the engine, on a connector that always connects. What holds under faults of every kind is the simulation's subject.

use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU32, Ordering};

use futures_util::FutureExt as _;

use super::*;
use crate::said::says;

const LIMITS: Limits = Limits {
    connect: Duration::from_millis(1_000),
    ping: Duration::from_millis(300),
    attempt: Duration::from_millis(4_500),
    max_idle: Duration::from_millis(10_000),
    budget: Duration::from_millis(9_000),
    policy: Policy {
        max_resends: 3,
        base_delay: Duration::from_millis(50),
        max_delay: Duration::from_millis(1_000),
        reconnect_floor: Duration::from_millis(20),
    },
};

/// Gives numbers for connections.
#[derive(Default)]
struct Numbers(AtomicU32);

impl Connector for Numbers {
    type Connection = u32;

    async fn connect(&self) -> Result<u32, AttemptError> {
        Ok(self.0.fetch_add(1, Ordering::SeqCst) + 1)
    }
    async fn ping(&self, _: &mut u32) -> bool {
        true
    }
    fn renew_credentials(&self) -> bool {
        false
    }
    fn wall_clock(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000)
    }
}

/// In place of a SQLSTATE: the work panics.
const PANICS: &str = "panics";

/// Takes 50 ms, and is answered with this SQLSTATE on every connection up to the one that is named.
struct SaysUntil {
    code: &'static str,
    connection: u32,
    sent: AtomicU32,
}

impl SaysUntil {
    fn new(code: &'static str, connection: u32) -> Self {
        Self { code, connection, sent: AtomicU32::new(0) }
    }
}

impl Work<u32> for SaysUntil {
    type Output = u32;

    async fn run(&self, connection: &mut u32) -> Result<u32, sqlx::Error> {
        self.sent.fetch_add(1, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(self.code != PANICS || *connection > self.connection, "as told");
        if *connection <= self.connection { Err(says(self.code)) } else { Ok(*connection) }
    }
}

async fn run(engine: &Engine<Numbers>, work: &SaysUntil) -> Result<u32, Error> {
    engine.run(Deadline::after(LIMITS.budget, now()), work, fastrand::Rng::with_seed(1), &Tally::default()).await
}

#[tokio::test(start_paused = true)]
async fn a_spoilt_plan_is_left_and_a_statement_that_no_new_connection_takes_is_a_fault_of_ours() {
    let engine = Engine::new(Numbers::default(), LIMITS, 1);
    engine.warm().await.unwrap();
    assert_eq!(run(&engine, &SaysUntil::new("0A000", 1)).await.unwrap(), 2, "on a new connection");
    let wrong = SaysUntil::new("0A000", u32::MAX);
    let error = run(&engine, &wrong).await.unwrap_err();
    assert!(matches!(error, Error::Internal(_)), "{error:?}");
    assert_eq!((error.sqlstate().as_deref(), wrong.sent.load(Ordering::SeqCst)), (Some("0A000"), 1 + LIMITS.policy.max_resends));
}

#[tokio::test(start_paused = true)]
async fn other_work_that_fails_past_the_policy_is_unavailable() {
    let engine = Engine::new(Numbers::default(), LIMITS, 1);
    for code in ["40001", "57P01", "26000"] {
        let error = run(&engine, &SaysUntil::new(code, u32::MAX)).await.unwrap_err();
        assert!(matches!(error, Error::Unavailable { resends: 3, .. }), "{code}: {error:?}");
        // The allowance is for one hard time only.
        engine.protection().allowance = Allowance::new(1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_success_on_a_connection_that_was_there_closes_a_breaker_that_others_opened() {
    let engine = Engine::new(Numbers::default(), LIMITS, 2);
    engine.warm().await.unwrap();
    let open = async {
        tokio::time::sleep(Duration::from_millis(10)).await;
        engine.protection().breaker.not_connected(engine.connector.wall_clock());
        let refused = SaysUntil::new("", 0);
        assert!(matches!(run(&engine, &refused).await, Err(Error::Unavailable { source: None, .. })));
        assert_eq!(refused.sent.load(Ordering::SeqCst), 0);
    };
    let work = SaysUntil::new("", 0);
    let (result, ()) = tokio::join!(run(&engine, &work), open);
    assert_eq!(result.unwrap(), 1, "on the connection that was there");
    assert!(!engine.protection().breaker.is_open());
    assert_eq!(run(&engine, &work).await.unwrap(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_proxy_that_signs_in_whoever_asks_does_not_close_a_breaker() {
    let engine = Engine::new(Numbers::default(), LIMITS, 2);
    let without_database = SaysUntil::new("08000", u32::MAX);
    let open = async {
        tokio::time::sleep(Duration::from_millis(60)).await;
        engine.protection().breaker.not_connected(engine.connector.wall_clock());
        tokio::time::sleep(Duration::from_millis(3_000)).await;
        assert!(without_database.sent.load(Ordering::SeqCst) > 3, "the other one goes on");
        assert!(engine.protection().breaker.is_open(), "its sign-ins say nothing of a database");
    };
    let (result, ()) = tokio::join!(run(&engine, &without_database), open);
    assert!(matches!(result, Err(Error::Unavailable { .. })));
    assert!(engine.protection().breaker.is_open());
}

#[tokio::test(start_paused = true)]
async fn a_request_without_time_is_no_probe() {
    let engine = Engine::new(Numbers::default(), LIMITS, 1);
    engine.protection().breaker.not_connected(engine.connector.wall_clock() - crate::breaker::COOL_OFF);
    let work = SaysUntil::new("", 0);
    let result = engine.run(Deadline::after(Duration::from_millis(10), now()), &work, fastrand::Rng::with_seed(1), &Tally::default()).await;
    assert!(matches!(result, Err(Error::Unavailable { source: None, .. })));
    assert_eq!(run(&engine, &work).await.unwrap(), 1, "the next one with time finds out at once");
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_the_driver_costs_a_connection_and_a_second_one_is_the_works_own() {
    let engine = Engine::new(Numbers::default(), LIMITS, 1);
    assert_eq!(run(&engine, &SaysUntil::new(PANICS, 1)).await.unwrap(), 2, "on a new connection");
    let own_fault = SaysUntil::new(PANICS, u32::MAX);
    assert!(AssertUnwindSafe(run(&engine, &own_fault)).catch_unwind().await.is_err());
    assert_eq!(own_fault.sent.load(Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn what_an_operation_cost_is_counted_and_work_that_was_not_sent_again_is_not() {
    let engine = Engine::new(Numbers::default(), LIMITS, 1);
    let tally = Tally::default();
    let work = SaysUntil::new("57P01", 2);
    let deadline = || Deadline::after(LIMITS.budget, now());
    engine.run(deadline(), &work, fastrand::Rng::with_seed(1), &tally).await.unwrap();
    assert_eq!(tally.counts(), Counts { resends: 2, reconnects: 0, connects: 3, refused: 0 });
    engine.run(deadline(), &work, fastrand::Rng::with_seed(1), &tally).await.unwrap();
    assert_eq!(tally.counts(), Counts { resends: 2, reconnects: 0, connects: 3, refused: 0 }, "a warm one costs nothing");
    while engine.protection().allowance.spend() {}
    let error = run(&engine, &SaysUntil::new("57P01", u32::MAX)).await.unwrap_err();
    assert!(matches!(error, Error::Unavailable { resends: 0, .. }), "the allowance was empty: {error:?}");
}

#[tokio::test(start_paused = true)]
async fn a_probe_tells_how_it_came_by_its_connection() {
    let engine = Engine::new(Numbers::default(), LIMITS, 1);
    let work = SaysUntil::new("", 0);
    let probe = || engine.probe(Duration::from_millis(800), &work);
    let (first, second) = (probe().await.unwrap(), probe().await.unwrap());
    assert_eq!((first.output, first.reused, second.output, second.reused), (1, false, 1, true));
    assert_eq!((first.work, first.age), (Duration::from_millis(50), Duration::ZERO));
}

/// Takes almost all the time there is to connect.
struct Slow;

impl Connector for Slow {
    type Connection = u32;

    async fn connect(&self) -> Result<u32, AttemptError> {
        tokio::time::sleep(Duration::from_millis(95)).await;
        Ok(1)
    }
    async fn ping(&self, _: &mut u32) -> bool {
        true
    }
    fn renew_credentials(&self) -> bool {
        false
    }
    fn wall_clock(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH
    }
}

#[tokio::test(start_paused = true)]
async fn work_that_cannot_end_any_more_is_not_begun_and_the_next_has_its_connection() {
    let engine = Engine::new(Slow, LIMITS, 1);
    let work = SaysUntil::new("", 0);
    let result = engine.run(Deadline::after(Duration::from_millis(100), now()), &work, fastrand::Rng::with_seed(1), &Tally::default()).await;
    assert!(matches!(result, Err(Error::Unavailable { resends: 0, .. })), "{result:?}");
    assert_eq!(work.sent.load(Ordering::SeqCst), 0);
    assert!(engine.probe(Duration::from_millis(800), &work).await.unwrap().reused);
}
