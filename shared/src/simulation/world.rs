//! What surrounds the engine in a script: the phases of a server and its network, the wall clock, and the connections.

use std::sync::Mutex;

use super::ledger::Ledger;
use super::*;
use crate::error::NO_DATABASE;
use crate::said::says;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    None,
    /// New connections are refused and old ones are cut.
    Down,
    /// Nothing answers, old or new; what is sent may still arrive.
    Silent,
    /// Old flows are silent, new ones work.
    OldSilent,
    /// Work is refused with this SQLSTATE, and nothing is executed.
    Says(&'static str),
    /// Work is executed, and the answer is this SQLSTATE.
    SaysAfter(&'static str),
    /// The connection is cut before the work arrives.
    CutBefore,
    /// The connection is cut while the work waits for a lock; the server goes on, and commits when it has the lock.
    CutWithin,
    /// The connection is cut after the commit.
    CutAfter,
    /// Work waits for a lock, at times for longer than lock_timeout.
    Locked,
    /// New connections are refused until the credentials were renewed since it began; old ones stay.
    Rotated,
    /// New connections are refused with any credentials; old ones stay.
    Forbidden,
}

const FAULTS: [Fault; 26] = [
    Fault::None,
    Fault::Down,
    Fault::Down,
    Fault::Silent,
    Fault::Silent,
    Fault::OldSilent,
    Fault::CutBefore,
    Fault::CutWithin,
    Fault::CutWithin,
    Fault::CutAfter,
    Fault::Locked,
    Fault::Rotated,
    Fault::Rotated,
    Fault::Forbidden,
    Fault::Says("40001"),
    Fault::Says("55P03"),
    Fault::Says("57P01"),
    Fault::Says("57P03"),
    Fault::Says("08000"),
    Fault::Says("26000"),
    Fault::Says("57014"),
    Fault::Says("42P01"),
    Fault::Says(READ_ONLY),
    Fault::SaysAfter("57P01"),
    Fault::SaysAfter("40003"),
    Fault::SaysAfter("08007"),
];

/// A standby: it takes connections and refuses writes.
pub(super) const READ_ONLY: &str = "25006";

pub(super) struct World {
    /// When each fault begins, in order; the last one is none.
    phases: Vec<(Instant, Fault)>,
    /// When the wall clock is set, in order, and by how many seconds it then differs from the beginning's.
    clock: Vec<(Instant, i64)>,
    pub(super) ledger: Ledger,
    random: Mutex<fastrand::Rng>,
}

impl World {
    pub(super) fn new(random: &mut fastrand::Rng) -> Arc<Self> {
        let mut begins = now();
        let (mut phases, mut clock) = (vec![(begins, Fault::None)], vec![(begins, 0)]);
        for _ in 0..random.usize(0..6) {
            begins += Duration::from_millis(random.u64(1..8_000));
            phases.push((begins, *random.choice(&FAULTS).unwrap()));
            // Some last for longer than a budget.
            begins += Duration::from_millis(if random.u8(0..6) == 0 { random.u64(0..30_000) } else { 0 });
            if random.u8(0..3) == 0 {
                clock.push((begins + Duration::from_millis(random.u64(0..1_000)), random.i64(-100_000..100_000)));
            }
        }
        phases.push((begins + Duration::from_millis(random.u64(1_000..8_000)), Fault::None));
        Arc::new(Self { phases, clock, ledger: Ledger::default(), random: Mutex::new(random.fork()) })
    }

    /// When the last fault is over.
    pub(super) fn over(&self) -> Instant {
        self.phases.last().unwrap().0
    }

    /// What meets a connection that was opened then.
    fn fault(&self, opened: Instant) -> Fault {
        match current(&self.phases) {
            (begins, Fault::OldSilent) if opened < begins => Fault::Silent,
            (_, Fault::OldSilent) => Fault::None,
            (_, fault) => fault,
        }
    }

    /// Whether credentials that were renewed then, if at all, are good now.
    fn accepts(&self, renewed: Option<Instant>) -> bool {
        match current(&self.phases) {
            (begins, Fault::Rotated) => renewed.is_some_and(|renewed| renewed >= begins),
            (_, fault) => fault != Fault::Forbidden,
        }
    }

    /// When the present phase ends, if it is one in which only the credentials changed.
    pub(super) fn rotated_until(&self) -> Option<Instant> {
        let next = self.phases.iter().find(|(begins, _)| *begins > now());
        next.map(|(begins, _)| *begins).filter(|_| current(&self.phases).1 == Fault::Rotated)
    }

    fn wall_clock(&self) -> SystemTime {
        let set_s = current(&self.clock).1;
        let seconds = Duration::from_secs(1_800_000_000_u64.checked_add_signed(set_s).unwrap());
        SystemTime::UNIX_EPOCH + seconds + (now() - self.phases[0].0)
    }

    fn coin(&self) -> bool {
        self.random.lock().unwrap().bool()
    }

    fn wait(&self) -> Duration {
        Duration::from_millis(self.random.lock().unwrap().u64(0..1_500))
    }
}

fn current<T: Copy>(schedule: &[(Instant, T)]) -> (Instant, T) {
    *schedule.iter().rev().find(|(begins, _)| *begins <= now()).unwrap()
}

pub(super) struct SimulatedConnection {
    opened: Instant,
    /// Something went wrong on it, after which it must not be used again.
    spoilt: bool,
    /// By wall clock, the end of its last use, or its beginning.
    used: SystemTime,
    /// It was pinged since.
    pinged: bool,
}

pub(super) struct SimulatedConnector {
    pub(super) world: Arc<World>,
    /// How often a connection came about.
    pub(super) connected: AtomicU32,
    /// How often the credentials were renewed.
    pub(super) renewals: AtomicU32,
    renewed: Mutex<Option<Instant>>,
}

impl SimulatedConnector {
    pub(super) fn new(world: &Arc<World>) -> Self {
        Self { world: Arc::clone(world), connected: AtomicU32::new(0), renewals: AtomicU32::new(0), renewed: Mutex::new(None) }
    }
}

impl Connector for SimulatedConnector {
    type Connection = SimulatedConnection;

    async fn connect(&self) -> Result<SimulatedConnection, AttemptError> {
        tokio::time::sleep(Duration::from_millis(5)).await;
        match self.world.fault(now()) {
            Fault::Down => Err(AttemptError::Connect(sqlx::Error::Io(std::io::ErrorKind::ConnectionRefused.into()))),
            Fault::Silent => std::future::pending().await,
            Fault::Says("57P03") => Err(AttemptError::Connect(says("57P03"))),
            _ if !self.world.accepts(*self.renewed.lock().unwrap()) => Err(AttemptError::Connect(says("28P01"))),
            _ => {
                self.connected.fetch_add(1, Ordering::SeqCst);
                Ok(SimulatedConnection { opened: now(), spoilt: false, used: self.wall_clock(), pinged: false })
            }
        }
    }

    async fn ping(&self, connection: &mut SimulatedConnection) -> bool {
        assert!(!connection.spoilt, "a spoilt connection was pinged");
        connection.pinged = true;
        match self.world.fault(connection.opened) {
            Fault::Silent => std::future::pending().await,
            fault => fault != Fault::Down,
        }
    }

    fn renew_credentials(&self) -> bool {
        self.renewals.fetch_add(1, Ordering::SeqCst);
        *self.renewed.lock().unwrap() = Some(now());
        true
    }

    fn wall_clock(&self) -> SystemTime {
        self.world.wall_clock()
    }
}

/// Work that reads where it has no key, and else writes.
pub(super) struct SimulatedWork {
    pub(super) world: Arc<World>,
    pub(super) key: Option<u64>,
    /// Whether a write asks for its key, as it must.
    pub(super) asks: bool,
    /// How often it was sent.
    pub(super) sent: AtomicU32,
    /// How often of these a server refused it for being no writer.
    pub(super) refused: AtomicU32,
    /// How often of these a proxy had no database for it.
    pub(super) without_database: AtomicU32,
    /// The server said that running it again would not help.
    pub(super) hopeless: AtomicBool,
}

/// SQLSTATEs of work that fails each time: it was too slow, or is wrong.
const HOPELESS: [&str; 2] = ["57014", "42P01"];

impl Work<SimulatedConnection> for SimulatedWork {
    /// The receipt of the write; none of a read.
    type Output = Option<u64>;

    async fn run(&self, connection: &mut SimulatedConnection) -> Result<Option<u64>, sqlx::Error> {
        assert!(!connection.spoilt, "a spoilt connection was used again");
        assert!(!self.hopeless.load(Ordering::SeqCst), "hopeless work was sent again");
        let idle = self.world.wall_clock().duration_since(connection.used);
        assert!(connection.pinged || idle.is_ok_and(|idle| idle < LIMITS.max_idle), "an old connection was used without a ping");
        self.sent.fetch_add(1, Ordering::SeqCst);
        // Until its end is known to be clean.
        connection.spoilt = true;
        tokio::time::sleep(Duration::from_millis(2)).await;
        let cut = || sqlx::Error::Io(std::io::ErrorKind::UnexpectedEof.into());
        let fault = self.world.fault(connection.opened);
        let result = match fault {
            Fault::Down | Fault::CutBefore => return Err(cut()),
            Fault::Silent => {
                if self.world.coin() {
                    drop(self.begin(Duration::ZERO));
                }
                std::future::pending().await
            }
            Fault::CutWithin => {
                drop(self.begin(self.world.wait()));
                return Err(cut());
            }
            Fault::Says(READ_ONLY) if self.key.is_some() => {
                self.refused.fetch_add(1, Ordering::SeqCst);
                Err(READ_ONLY)
            }
            Fault::Says(code) if code != READ_ONLY => {
                if NO_DATABASE.contains(&code) {
                    self.without_database.fetch_add(1, Ordering::SeqCst);
                }
                self.hopeless.store(HOPELESS.contains(&code), Ordering::SeqCst);
                Err(code)
            }
            Fault::Locked => self.begin(self.world.wait()).await.unwrap(),
            _ => self.begin(Duration::ZERO).await.unwrap(),
        };
        match fault {
            Fault::CutAfter => return Err(cut()),
            Fault::SaysAfter(code) => return Err(says(code)),
            _ => {}
        }
        // The server tells of a rollback on a connection that stays sound.
        connection.spoilt = result.is_err_and(|code| Recovery::of_sqlstate(code) != Recovery::Retry);
        (connection.used, connection.pinged) = (self.world.wall_clock(), false);
        result.map_err(says)
    }
}

impl SimulatedWork {
    pub(super) fn new(world: &Arc<World>, key: Option<u64>, asks: bool) -> Self {
        let (sent, refused, without_database) = (AtomicU32::new(0), AtomicU32::new(0), AtomicU32::new(0));
        Self { world: Arc::clone(world), key, asks, sent, refused, without_database, hopeless: AtomicBool::new(false) }
    }

    /// What the server does, whatever becomes of the connection.
    fn begin(&self, lock_wait: Duration) -> tokio::task::JoinHandle<Result<Option<u64>, &'static str>> {
        let (world, key, asks) = (Arc::clone(&self.world), self.key, self.asks);
        tokio::spawn(async move {
            match key {
                None if lock_wait > ledger::LOCK_TIMEOUT => {
                    tokio::time::sleep(ledger::LOCK_TIMEOUT).await;
                    Err(ledger::LOCK_NOT_AVAILABLE)
                }
                None => {
                    tokio::time::sleep(lock_wait).await;
                    Ok(None)
                }
                Some(key) => world.ledger.keyed(key, asks, lock_wait, world.coin()).await.map(Some),
            }
        })
    }
}
