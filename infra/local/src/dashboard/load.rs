//! A modest load for whoever wants to watch requests survive: some users, each with a request every second.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use crate::traffic::Traffic;

/// Each waits for its answer before it asks again. So in an outage there wait as many sandboxes as users, which two processors bear: a
/// hundred functions without optimization that all connect anew would not be served in time.
const USERS: u32 = 20;
/// How often each asks.
const EVERY: Duration = Duration::from_secs(1);
/// It ends by itself.
const LASTS: Duration = Duration::from_secs(600);
/// It also ends when no page has asked for so long.
const UNWATCHED: Duration = Duration::from_secs(30);

/// The load switch.
pub(super) struct Load {
    traffic: Arc<Traffic>,
    state: Arc<Mutex<State>>,
}

struct State {
    /// When it was turned on.
    since: Option<Instant>,
    watched: Instant,
    /// How often it was turned on: each has users of its own.
    turns: u64,
    users: JoinSet<()>,
}

/// How the switch stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) struct Standing {
    pub(super) on: bool,
    users: u32,
    ends_in_s: Option<u64>,
}

impl Load {
    pub(super) fn new(traffic: Arc<Traffic>) -> Self {
        Self { traffic, state: Arc::new(Mutex::new(State { since: None, watched: Instant::now(), turns: 0, users: JoinSet::new() })) }
    }

    pub(super) fn is_possible(&self) -> bool {
        self.traffic.is_possible()
    }

    /// Turns it on, for ten minutes from now, or off: then what was asked is answered yet, since to leave would look like clients that gave up.
    pub(super) fn turn(&self, on: bool) {
        let mut state = lock(&self.state);
        let was_on = state.since.is_some();
        state.watched = Instant::now();
        state.since = on.then(Instant::now);
        if on && !was_on {
            state.turns += 1;
            while state.users.try_join_next().is_some() {}
            for user in 0..USERS {
                let (traffic, shared, turn) = (Arc::clone(&self.traffic), Arc::clone(&self.state), state.turns);
                state.users.spawn(use_it(user, traffic, shared, turn));
            }
        }
    }

    /// A page has asked.
    pub(super) fn watched(&self) {
        lock(&self.state).watched = Instant::now();
    }

    pub(super) fn standing(&self) -> Standing {
        let mut state = lock(&self.state);
        let turn = state.turns;
        let on = state.goes_on(turn);
        let ends_in_s = state.since.map(|since| LASTS.saturating_sub(since.elapsed()).as_secs());
        Standing { on, users: USERS, ends_in_s }
    }
}

impl State {
    /// Whether the load of this turn goes on; what is past its time is turned off.
    fn goes_on(&mut self, turn: u64) -> bool {
        self.since = self.since.filter(|since| since.elapsed() < LASTS && self.watched.elapsed() < UNWATCHED);
        self.since.is_some() && turn == self.turns
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    // Nothing can panic while the lock is held.
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One user.
async fn use_it(user: u32, traffic: Arc<Traffic>, state: Arc<Mutex<State>>, turn: u64) {
    // Not all in the same moment.
    tokio::time::sleep(EVERY * user / USERS).await;
    let mut tick = tokio::time::interval(EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
    for number in u64::from(user).. {
        tick.tick().await;
        let goes_on = lock(&state).goes_on(turn);
        if !goes_on {
            return;
        }
        // What came of it, the gateway tells.
        drop(traffic.list(u64::from(user), number).await);
    }
}
