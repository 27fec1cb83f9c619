//! The engine under random scripts of faults, with a paused clock: deterministic, so that a seed repeats a run.
//!
//! The server of the simulation goes through phases, each with one fault, and the wall clock is set at times. Some work reads, some writes by
//! a key that is recorded with its effect. What a server has begun it brings to its end, whatever becomes of the connection: so a first
//! sending may commit after the second has begun. Some writes are repeated after a failure. Two requests come at once at times, to two
//! sandboxes or, as under Managed Instances, to one.

mod ledger;
mod world;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use super::*;
use world::{SimulatedConnector, SimulatedWork, World};

/// How many scripts each run of the tests goes through.
const SCRIPTS: u64 = 10_000;

const POLICY: Policy = Policy {
    max_resends: 3,
    base_delay: Duration::from_millis(50),
    max_delay: Duration::from_millis(1_000),
    reconnect_floor: Duration::from_millis(20),
};
const LIMITS: Limits = Limits {
    connect: Duration::from_millis(1_000),
    ping: Duration::from_millis(300),
    attempt: Duration::from_millis(4_500),
    max_idle: Duration::from_millis(10_000),
    budget: Duration::from_millis(9_000),
    policy: POLICY,
};

/// One sandbox.
type Sandbox = Engine<SimulatedConnector>;

fn sandbox(world: &Arc<World>, concurrency: usize) -> Sandbox {
    Engine::new(SimulatedConnector::new(world), LIMITS, concurrency)
}

#[derive(Debug, Default)]
struct Counts {
    served: u64,
    failed: u64,
    refused: u64,
    opened: u64,
    resent: u64,
    met_pending: u64,
    doubles: u64,
    renewed: u64,
    together: u64,
}

/// One operation of one sandbox, and what has to hold of it. `alone` says that the sandbox has no other at the same time.
async fn operate(
    sandbox: &Sandbox,
    alone: bool,
    work: &SimulatedWork,
    budget: Duration,
    random: fastrand::Rng,
    counts: &mut Counts,
) -> Result<Option<u64>, Error> {
    let connected = || sandbox.connector.connected.load(Ordering::SeqCst);
    let renewals = || sandbox.connector.renewals.load(Ordering::SeqCst);
    let (began, connected_before, renewals_before) = (now(), connected(), renewals());
    let (was_open, rotated_until) = (sandbox.protection().breaker.is_open(), work.world.rotated_until());
    let refused = sandbox.protection().breaker.clone().admit(sandbox.connector.wall_clock()) == Admission::Refused;
    let result = sandbox.run(Deadline::after(budget, began), work, random, &Tally::default()).await;
    let (took, sent) = (now() - began, work.sent.load(Ordering::SeqCst));
    let without_database = work.without_database.load(Ordering::SeqCst);
    let executed = sent - work.refused.load(Ordering::SeqCst) - without_database;
    assert!(took <= budget + Duration::from_millis(1), "past the deadline: {took:?} of {budget:?}");
    assert!(executed <= 1 + POLICY.max_resends, "sent {sent} times, of which {executed} may have been executed");
    if refused {
        assert!(result.is_err() && sent == 0 && took < Duration::from_millis(50), "an open breaker refuses at once");
    }
    if let Err(error) = &result {
        assert!(error.status().is_server_error(), "{error:?}");
    }
    let renewed = renewals() - renewals_before;
    assert!(renewed <= if alone { 1 } else { 2 }, "credentials were renewed {renewed} times");
    if rotated_until.is_some_and(|end| now() < end) && !refused && budget > Duration::from_secs(1) && work.key.is_none() {
        assert!(result.is_ok(), "not served with other credentials: {result:?}");
    }
    let opened = sandbox.protection().breaker.is_open();
    if opened && alone {
        assert!(was_open || connected() == connected_before || without_database > 0, "opened although there was a database");
        assert!(was_open || budget + POLICY.max_delay >= LIMITS.budget, "opened by a deadline that was near");
    }
    counts.served += u64::from(result.is_ok());
    counts.failed += u64::from(result.is_err());
    counts.refused += u64::from(refused);
    counts.opened += u64::from(opened);
    counts.resent += u64::from(sent > 1);
    counts.renewed += u64::from(renewed);
    counts.together += u64::from(!alone);
    result
}

/// One script: operations one after the other, with pauses between, until all faults are over and a second more.
async fn play(random: &mut fastrand::Rng, asks: bool) -> Counts {
    let world = World::new(random);
    let concurrency = random.usize(1..=2);
    let (first, second) = (sandbox(&world, concurrency), sandbox(&world, 1));
    let (mut counts, mut next_key, mut failed_key) = (Counts::default(), 0, None);
    let mut acknowledged = Vec::new();
    while now() < world.over() {
        let key = random.bool().then(|| {
            next_key += 1;
            // A client that got no answer may send its wish again.
            failed_key.take().filter(|_| random.bool()).unwrap_or(next_key)
        });
        let budget = if random.u8(0..5) == 0 { Duration::from_millis(random.u64(0..9_000)) } else { LIMITS.budget };
        let (once, twice) = (SimulatedWork::new(&world, key, asks), SimulatedWork::new(&world, key, asks));
        let (one, other) = (random.fork(), random.fork());
        let mut results = Vec::new();
        if random.u8(0..4) == 0 {
            // Two at once: in two sandboxes, or in one that takes two.
            let alone = concurrency == 1 || random.bool();
            let (other_sandbox, mut of_other) = (if alone { &second } else { &first }, Counts::default());
            let one = operate(&first, alone, &once, budget, one, &mut counts);
            let other = operate(other_sandbox, alone, &twice, budget, other, &mut of_other);
            results.extend(<[_; 2]>::from(tokio::join!(one, other)));
        } else {
            results.push(operate(&first, true, &once, budget, one, &mut counts).await);
        }
        for result in results {
            match (key, result) {
                (Some(key), Ok(receipt)) => acknowledged.push((key, receipt.unwrap())),
                (Some(key), Err(_)) => failed_key = Some(key),
                (None, _) => {}
            }
        }
        if asks {
            for (key, receipt) in &acknowledged {
                assert_eq!(world.ledger.effects(*key), [*receipt], "key {key} was acknowledged with receipt {receipt}");
            }
        }
        // Sometimes a freeze.
        let pause_ms = if random.u8(0..10) == 0 { 20_000 } else { 3_000 };
        tokio::time::sleep(Duration::from_millis(random.u64(0..pause_ms))).await;
    }
    // Recovered: used within a second.
    tokio::time::sleep(crate::breaker::COOL_OFF).await;
    let result = operate(&first, true, &SimulatedWork::new(&world, None, true), LIMITS.budget, random.fork(), &mut counts).await;
    assert!(result.is_ok(), "not used a second after its recovery: {result:?}");
    assert!(!first.protection().breaker.is_open(), "the breaker is still open");
    // What the server had begun has ended by now.
    tokio::time::sleep(ledger::LOCK_TIMEOUT * 3).await;
    counts.met_pending += world.ledger.met_pending();
    counts.doubles += world.ledger.doubles() as u64;
    counts
}

fn play_all(seeds: std::ops::Range<u64>, asks: bool) -> Counts {
    let mut total = Counts::default();
    for seed in seeds {
        let played = std::panic::catch_unwind(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
            runtime.block_on(play(&mut fastrand::Rng::with_seed(seed), asks))
        });
        let Ok(counts) = played else { panic!("THAW_SIMULATION_SEED={seed} repeats this") };
        total.served += counts.served;
        total.failed += counts.failed;
        total.refused += counts.refused;
        total.opened += counts.opened;
        total.resent += counts.resent;
        total.met_pending += counts.met_pending;
        total.doubles += counts.doubles;
        total.renewed += counts.renewed;
        total.together += counts.together;
    }
    println!("{total:?}");
    total
}

#[test]
fn no_script_of_faults_breaks_the_rules() {
    let first_seed: u64 = std::env::var("THAW_SIMULATION_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(0);
    let total = play_all(first_seed..first_seed + SCRIPTS, true);
    assert_eq!(total.doubles, 0, "each key takes effect once");
    assert!(total.served > SCRIPTS && total.failed > SCRIPTS / 10, "the scripts are too kind or too harsh: {total:?}");
    assert!(total.refused > SCRIPTS / 100 && total.opened > SCRIPTS / 100, "the breaker never came into play: {total:?}");
    assert!(total.resent > SCRIPTS / 10, "hardly any work was sent again: {total:?}");
    assert!(total.renewed > SCRIPTS / 100 && total.together > SCRIPTS / 10, "hardly any credentials renewed, or requests at once: {total:?}");
    assert!(total.met_pending > SCRIPTS / 10, "hardly any write met one that was still under way: {total:?}");
}

#[test]
fn a_write_that_did_not_ask_for_its_key_would_be_doubled() {
    let total = play_all(0..SCRIPTS / 10, false);
    assert!(total.doubles > SCRIPTS / 100, "the scripts do not tempt: {total:?}");
}
