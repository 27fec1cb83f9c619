//! The database connections that all clients share: at most so many, each with one client for the time of a transaction.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::greetings::{Greeting, Greetings};
use super::link::Link;
use super::statements::{Statement, StatementName};
use super::upstream::{Key, OpenError, Session, Upstream};

/// Waits between two tries to reach a database that is down.
const REOPEN_PAUSE: Duration = Duration::from_millis(50);

/// A database connection.
pub(super) struct DatabaseConnection {
    pub(super) link: Link,
    pub(super) key: Arc<Key>,
    /// The statements that it knows, each with the time of its last use.
    pub(super) prepared: HashMap<StatementName, u64>,
    /// The unnamed statement that it holds.
    pub(super) unnamed: Option<Arc<Statement>>,
    /// Counts uses.
    pub(super) uses: u64,
    /// What the server announced as the session began.
    greeting: Greeting,
    generation: u64,
}

/// A database connection that a client has for itself until it is given back or dropped, which closes it.
pub(super) struct Borrowed {
    pub(super) connection: DatabaseConnection,
    place: Place,
}

/// A place among the connections that are lent out.
struct Place {
    pool: Arc<Pool>,
    returned: Option<DatabaseConnection>,
    _permit: OwnedSemaphorePermit,
}

/// Why none could be borrowed.
#[derive(Debug)]
pub(super) enum BorrowError {
    /// None was free, or the database not there, for the whole borrow timeout.
    TimedOut,
    /// The database refuses this session, and will go on to.
    Refused(OpenError),
}

pub(super) struct Pool {
    upstream: Upstream,
    capacity: usize,
    borrow_timeout: Duration,
    permits: Arc<Semaphore>,
    shelf: Mutex<Shelf>,
    greetings: Mutex<Greetings>,
    /// Connections of an earlier one hold plans that no longer fit.
    generation: AtomicU64,
}

#[derive(Default)]
struct Shelf {
    idle: Vec<DatabaseConnection>,
    borrowed: usize,
}

impl Pool {
    pub(super) fn new(upstream: Upstream, capacity: usize, borrow_timeout: Duration) -> Arc<Self> {
        Arc::new(Self {
            upstream,
            capacity,
            borrow_timeout,
            permits: Arc::new(Semaphore::new(capacity)),
            shelf: Mutex::default(),
            greetings: Mutex::default(),
            generation: AtomicU64::new(0),
        })
    }

    /// A connection for one transaction of a session of this kind, within the borrow timeout.
    ///
    /// While the database is down this waits for it, as RDS Proxy queues requests during a failover.
    pub(super) async fn borrow(self: &Arc<Self>, key: &Arc<Key>) -> Result<Borrowed, BorrowError> {
        tokio::time::timeout(self.borrow_timeout, self.borrow_or_wait(key)).await.unwrap_or(Err(BorrowError::TimedOut))
    }

    async fn borrow_or_wait(self: &Arc<Self>, key: &Arc<Key>) -> Result<Borrowed, BorrowError> {
        // The semaphore is never closed, and if it were, nothing could be borrowed.
        let permit = Arc::clone(&self.permits).acquire_owned().await.map_err(|_| BorrowError::TimedOut)?;
        lock(&self.shelf).borrowed += 1;
        let place = Place { pool: Arc::clone(self), returned: None, _permit: permit };
        loop {
            match self.take_idle(key) {
                Some(mut connection) => {
                    if connection.is_alive() {
                        return Ok(Borrowed { connection, place });
                    }
                }
                None => match self.open(key).await {
                    Ok(connection) => return Ok(Borrowed { connection, place }),
                    Err(error) if error.may_pass() => tokio::time::sleep(REOPEN_PAUSE).await,
                    Err(error) => return Err(BorrowError::Refused(error)),
                },
            }
        }
    }

    /// The parameters that a server of this kind of session announces. Asked of the database once; afterwards a client can begin a session
    /// while the database is down.
    pub(super) async fn greeting(self: &Arc<Self>, key: &Arc<Key>) -> Result<Greeting, BorrowError> {
        let known = lock(&self.greetings).get(key);
        if let Some(greeting) = known {
            return Ok(greeting);
        }
        let borrowed = self.borrow(key).await?;
        let greeting = Arc::clone(&borrowed.connection.greeting);
        borrowed.give_back();
        lock(&self.greetings).remember(key, &greeting);
        Ok(greeting)
    }

    async fn open(&self, key: &Arc<Key>) -> Result<DatabaseConnection, OpenError> {
        let generation = self.generation.load(Ordering::SeqCst);
        let Session { link, greeting } = self.upstream.open(key).await?;
        lock(&self.greetings).remember(key, &greeting);
        Ok(DatabaseConnection { link, key: Arc::clone(key), prepared: HashMap::new(), unnamed: None, uses: 0, greeting, generation })
    }

    /// The connection of this kind that was used last. Where there is none, room is made for a new one.
    fn take_idle(&self, key: &Key) -> Option<DatabaseConnection> {
        let mut shelf = lock(&self.shelf);
        let generation = self.generation.load(Ordering::SeqCst);
        shelf.idle.retain(|connection| connection.generation == generation);
        if let Some(position) = shelf.idle.iter().rposition(|connection| *connection.key == *key) {
            return Some(shelf.idle.remove(position));
        }
        if shelf.idle.len() + shelf.borrowed > self.capacity && !shelf.idle.is_empty() {
            drop(shelf.idle.remove(0));
        }
        None
    }

    pub(super) fn upstream(&self) -> &Upstream {
        &self.upstream
    }

    /// Plans no longer fit: no connection of now is lent out again.
    pub(super) fn retire_all(&self) {
        self.generation.fetch_add(1, Ordering::SeqCst);
    }

    /// How many connections are with a client, and how many are not.
    pub(super) fn counts(&self) -> (usize, usize) {
        let shelf = lock(&self.shelf);
        (shelf.borrowed, shelf.idle.len())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing can panic while one of these locks is held.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl DatabaseConnection {
    /// Whether the server has neither closed it nor said anything while nobody asked.
    fn is_alive(&mut self) -> bool {
        loop {
            match self.link.inbox.next().now_or_never() {
                None => return true,
                // Settings may be reloaded at any time.
                Some(Ok(Some(frame))) if matches!(frame.kind(), b'S' | b'N') => {}
                Some(_) => return false,
            }
        }
    }
}

impl Borrowed {
    /// Makes the connection available to others. It has to be idle and in no transaction.
    pub(super) fn give_back(self) {
        let Self { connection, mut place } = self;
        place.returned = Some(connection);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut shelf = lock(&self.pool.shelf);
        shelf.borrowed -= 1;
        shelf.idle.extend(self.returned.take());
    }
}
