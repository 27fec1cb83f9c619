//! The engine under random scripts of faults, with a paused clock: deterministic, so that a seed repeats a run.
//!
//! The server of the simulation goes through phases, each with one fault. Some work reads, some writes by a key that is recorded with its
//! effect, so that running it again finds the first one. A cut after the commit loses only the answer.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use super::*;

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

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    /// New connections are refused and old ones are cut.
    Down,
    /// Nothing answers, old or new.
    Silent,
    /// Old flows are silent, new ones work.
    OldSilent,
    /// Work is answered with this SQLSTATE.
    Says(&'static str),
    /// The connection is cut before the work takes effect.
    CutBefore,
    /// The connection is cut after the work took effect.
    CutAfter,
}

const FAULTS: [Fault; 13] = [
    Fault::None,
    Fault::Down,
    Fault::Silent,
    Fault::OldSilent,
    Fault::CutBefore,
    Fault::CutAfter,
    Fault::Says("40001"),
    Fault::Says("55P03"),
    Fault::Says("57P01"),
    Fault::Says("57P03"),
    Fault::Says("26000"),
    Fault::Says("57014"),
    Fault::Says("42P01"),
];

/// What the server knows.
struct World {
    /// When each fault begins, in order; the last one is none.
    phases: Vec<(Instant, Fault)>,
    /// Effects by key.
    effects: Mutex<HashMap<u64, u32>>,
    /// How often work was sent in the current operation.
    sent: Mutex<u32>,
    wall_offset: Mutex<Duration>,
    /// How often a connection came about in the current operation.
    connected: Mutex<u32>,
}

impl World {
    fn fault(&self) -> Fault {
        self.phases.iter().rev().find(|(begins, _)| *begins <= now()).map_or(Fault::None, |(_, fault)| *fault)
    }

    fn phase_begin(&self) -> Option<Instant> {
        self.phases.iter().rev().find(|(begins, _)| *begins <= now()).map(|(begins, _)| *begins)
    }
}

struct SimulatedConnection {
    opened: Instant,
    /// Something went wrong on it, after which it must not be used again.
    spoilt: Arc<AtomicBool>,
}

struct SimulatedConnector(Arc<World>);

impl Connector for SimulatedConnector {
    type Connection = SimulatedConnection;

    async fn connect(&self) -> Result<SimulatedConnection, AttemptError> {
        tokio::time::sleep(Duration::from_millis(5)).await;
        match self.0.fault() {
            Fault::Down => Err(AttemptError::Connect(sqlx::Error::Io(std::io::ErrorKind::ConnectionRefused.into()))),
            Fault::Silent => std::future::pending().await,
            Fault::Says("57P03") => Err(AttemptError::Connect(says("57P03"))),
            _ => {
                *self.0.connected.lock().unwrap() += 1;
                Ok(SimulatedConnection { opened: now(), spoilt: Arc::default() })
            }
        }
    }

    async fn ping(&self, connection: &mut SimulatedConnection) -> bool {
        assert!(!connection.spoilt.load(Ordering::SeqCst), "a spoilt connection was pinged");
        match self.0.fault() {
            Fault::Silent => std::future::pending().await,
            Fault::OldSilent if self.0.phase_begin().is_some_and(|begin| connection.opened < begin) => std::future::pending().await,
            fault => fault != Fault::Down,
        }
    }

    fn renew_credentials(&self) -> bool {
        false
    }

    fn wall_clock(&self) -> SystemTime {
        let wall_offset = *self.0.wall_offset.lock().unwrap();
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000) + wall_offset + (now() - self.0.phases[0].0)
    }
}

/// Work that reads where it has no key, and else writes.
struct SimulatedWork {
    world: Arc<World>,
    key: Option<u64>,
}

impl Work<SimulatedConnection> for SimulatedWork {
    type Output = ();

    async fn run(&self, connection: &mut SimulatedConnection) -> Result<(), sqlx::Error> {
        assert!(!connection.spoilt.load(Ordering::SeqCst), "a spoilt connection was used again");
        *self.world.sent.lock().unwrap() += 1;
        // Until its end is known to be clean.
        connection.spoilt.store(true, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(2)).await;
        let fault = self.world.fault();
        let cut = || sqlx::Error::Io(std::io::ErrorKind::UnexpectedEof.into());
        match fault {
            Fault::Silent => std::future::pending().await,
            Fault::OldSilent if self.world.phase_begin().is_some_and(|begin| connection.opened < begin) => std::future::pending().await,
            Fault::Down | Fault::CutBefore => return Err(cut()),
            Fault::Says(code) => {
                // The server tells of a rollback on a connection that stays sound.
                let sound = Recovery::of_sqlstate(code) == Recovery::Retry;
                connection.spoilt.store(!sound, Ordering::SeqCst);
                return Err(says(code));
            }
            Fault::None | Fault::OldSilent | Fault::CutAfter => {}
        }
        if let Some(key) = self.key {
            // The effect and its key are one transaction: where the key is known, there is nothing left to do.
            let mut effects = self.world.effects.lock().unwrap();
            effects.entry(key).or_insert(1);
        }
        if fault == Fault::CutAfter {
            return Err(cut());
        }
        connection.spoilt.store(false, Ordering::SeqCst);
        Ok(())
    }
}

#[derive(Debug)]
struct Said(&'static str);

impl std::fmt::Display for Said {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Said {}

impl sqlx::error::DatabaseError for Said {
    fn message(&self) -> &str {
        self.0
    }
    fn code(&self) -> Option<std::borrow::Cow<'_, str>> {
        Some(self.0.into())
    }
    fn as_error(&self) -> &(dyn std::error::Error + Send + Sync + 'static) {
        self
    }
    fn as_error_mut(&mut self) -> &mut (dyn std::error::Error + Send + Sync + 'static) {
        self
    }
    fn into_error(self: Box<Self>) -> Box<dyn std::error::Error + Send + Sync + 'static> {
        self
    }
    fn kind(&self) -> sqlx::error::ErrorKind {
        sqlx::error::ErrorKind::Other
    }
}

fn says(code: &'static str) -> sqlx::Error {
    sqlx::Error::Database(Box::new(Said(code)))
}

fn world(random: &mut fastrand::Rng) -> Arc<World> {
    let mut begins = now();
    let mut phases = vec![(begins, Fault::None)];
    for _ in 0..random.usize(0..6) {
        begins += Duration::from_millis(random.u64(1..8_000));
        phases.push((begins, *random.choice(&FAULTS).unwrap()));
    }
    phases.push((begins + Duration::from_millis(random.u64(1..8_000)), Fault::None));
    Arc::new(World { phases, effects: Mutex::default(), sent: Mutex::default(), wall_offset: Mutex::default(), connected: Mutex::default() })
}

/// One script: operations one after the other, with freezes and clock jumps between, until all faults are over and a second more.
async fn play(random: &mut fastrand::Rng) -> Counts {
    let world = world(random);
    let engine = Engine::new(SimulatedConnector(Arc::clone(&world)), LIMITS, 1);
    let over = world.phases.last().unwrap().0;
    let (mut counts, mut key) = (Counts::default(), 0);
    while now() < over {
        key += 1;
        let work = SimulatedWork { world: Arc::clone(&world), key: random.bool().then_some(key) };
        let budget = if random.u8(0..5) == 0 { Duration::from_millis(random.u64(0..9_000)) } else { LIMITS.budget };
        let (began, deadline) = (now(), Deadline::after(budget, now()));
        *world.sent.lock().unwrap() = 0;
        *world.connected.lock().unwrap() = 0;
        let was_open = engine.protection().breaker.is_open();
        let refused = engine.protection().breaker.clone().admit(engine.connector.wall_clock()) == Admission::Refused;
        let result = engine.run(deadline, &work, random.fork()).await;
        let (took, sent) = (now() - began, *world.sent.lock().unwrap());
        assert!(took <= budget + Duration::from_millis(1), "past the deadline: {took:?} of {budget:?}");
        assert!(sent <= 1 + POLICY.max_resends, "sent {sent} times");
        if refused {
            assert!(result.is_err() && sent == 0 && took < Duration::from_millis(50), "an open breaker refuses at once");
            counts.refused += 1;
        }
        if let Some(key) = work.key {
            let effects = world.effects.lock().unwrap().get(&key).copied().unwrap_or_default();
            assert!(effects <= 1, "a write took effect {effects} times");
            assert!(result.is_err() || effects == 1, "an acknowledged write is lost");
        }
        match result {
            Ok(()) => counts.served += 1,
            Err(error) => {
                counts.failed += 1;
                assert!(error.status().is_server_error(), "{error:?}");
            }
        }
        if engine.protection().breaker.is_open() {
            assert!(was_open || *world.connected.lock().unwrap() == 0, "opened although there was a connection");
            assert!(was_open || budget + POLICY.max_delay >= LIMITS.budget, "opened by a deadline that was near");
            counts.opened += 1;
        }
        // Sometimes a freeze, sometimes a wall clock that is set.
        tokio::time::sleep(Duration::from_millis(random.u64(0..3_000))).await;
        match random.u8(0..10) {
            0 => *world.wall_offset.lock().unwrap() += Duration::from_secs(random.u64(1..100_000)),
            1 => *world.wall_offset.lock().unwrap() = Duration::ZERO,
            _ => {}
        }
    }
    // Recovered: used within a second.
    tokio::time::sleep(crate::breaker::COOL_OFF).await;
    let work = SimulatedWork { world: Arc::clone(&world), key: None };
    let deadline = Deadline::after(LIMITS.budget, now());
    assert!(engine.run(deadline, &work, random.fork()).await.is_ok(), "not used a second after its recovery");
    assert!(!engine.protection().breaker.is_open(), "the breaker is still open");
    counts
}

#[derive(Debug, Default)]
struct Counts {
    served: u64,
    failed: u64,
    refused: u64,
    opened: u64,
}

#[test]
fn no_script_of_faults_breaks_the_rules() {
    let first_seed: u64 = std::env::var("THAW_SIMULATION_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(0);
    let mut total = Counts::default();
    for seed in first_seed..first_seed + SCRIPTS {
        let played = std::panic::catch_unwind(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
            runtime.block_on(play(&mut fastrand::Rng::with_seed(seed)))
        });
        let Ok(counts) = played else { panic!("THAW_SIMULATION_SEED={seed} repeats this") };
        total.served += counts.served;
        total.failed += counts.failed;
        total.refused += counts.refused;
        total.opened += counts.opened;
    }
    println!("{total:?}");
    assert!(total.served > SCRIPTS && total.failed > SCRIPTS / 10, "the scripts are too kind or too harsh: {total:?}");
    assert!(total.refused > SCRIPTS / 100 && total.opened > SCRIPTS / 100, "the breaker never came into play: {total:?}");
}
