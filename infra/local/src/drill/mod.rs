//! Faults on purpose, against what runs here: each ends by itself, and requests outlive it.
//!
//! A drill begins its fault, sends a request in the midst of it, and ends the fault. It is over once that request is answered, which is the
//! drill's result, and so is every other request that met the fault. One drill runs at a time, because what is promised of each is promised
//! of one: the budget of a request bears no second fault.

mod fault;
mod outcome;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::{Serialize, Serializer};
use tokio::task::JoinSet;

use crate::traffic::Traffic;
pub(crate) use fault::Surroundings;
pub use fault::{Cluster, Database};
pub use outcome::{Outcome, Refusal, Witness};

/// A fault that can be injected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Drill {
    /// The server ends every session of the functions.
    Terminate,
    /// The server restarts.
    Restart,
    /// The server is down for a while.
    Stop,
    /// The network between functions and database loses everything.
    Silence,
    /// Every sandbox is stopped.
    Freeze,
    /// The password of the functions' role changes.
    Rotate,
}

impl Drill {
    /// All of them, in the order in which people are shown them.
    pub const ALL: [Self; 6] = [Self::Terminate, Self::Restart, Self::Stop, Self::Silence, Self::Freeze, Self::Rotate];

    /// Its name on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Terminate => "terminate",
            Self::Restart => "restart",
            Self::Stop => "stop",
            Self::Silence => "silence",
            Self::Freeze => "freeze",
            Self::Rotate => "rotate",
        }
    }

    /// Its name on a button.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Terminate => "Terminate backends",
            Self::Restart => "Restart Postgres",
            Self::Stop => "Stop the database",
            Self::Silence => "Silence the network",
            Self::Freeze => "Freeze all",
            Self::Rotate => "Rotate the password",
        }
    }

    /// What it does, in one sentence.
    #[must_use]
    pub const fn description(self) -> &'static str {
        match self {
            Self::Terminate => "Postgres ends every session of the functions.",
            Self::Restart => "Postgres shuts down and starts again.",
            Self::Stop => "Postgres is down for 5 s.",
            Self::Silence => "No byte passes the proxy for 2.5 s.",
            Self::Freeze => "Every sandbox is stopped for 2 s, busy or not.",
            Self::Rotate => "The role's password changes; old sessions end.",
        }
    }

    /// How long the fault lasts; zero where it is over as soon as it has happened.
    #[must_use]
    pub const fn lasts(self) -> Duration {
        match self {
            Self::Terminate | Self::Restart | Self::Rotate => Duration::ZERO,
            Self::Stop => Duration::from_secs(5),
            // Longer than a ping and a connect may take, shorter than an attempt: connections in use outlive it.
            Self::Silence => Duration::from_millis(2_500),
            Self::Freeze => Duration::from_secs(2),
        }
    }

    /// The drill of a name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|drill| drill.name() == name)
    }
}

impl Serialize for Drill {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// How a drill stands, for people.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Standing {
    pub(crate) name: Drill,
    title: &'static str,
    description: &'static str,
    /// Why it cannot be run here.
    impossible: Option<&'static str>,
    /// For how long it has been running.
    running_ms: Option<u64>,
    /// What came of the last one, or why it failed.
    last: Option<Last>,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "lowercase")]
enum Last {
    Done(Outcome),
    Failed(String),
}

/// The drills of one running stack.
pub(crate) struct Drills {
    surroundings: Arc<Surroundings>,
    traffic: Arc<Traffic>,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    running: Option<(Drill, Instant)>,
    /// The latest that began since somebody asked for it.
    begun: Option<Drill>,
    last: Vec<(Drill, Last)>,
    tasks: JoinSet<()>,
}

impl Drills {
    pub(crate) fn new(surroundings: Surroundings, traffic: Arc<Traffic>) -> Self {
        Self { surroundings: Arc::new(surroundings), traffic, state: Arc::default() }
    }

    /// The one that runs, or has run since this was asked last.
    pub(crate) fn latest(&self) -> Option<Drill> {
        let mut state = lock(&self.state);
        let begun = state.begun.take();
        state.running.map(|(drill, _)| drill).or(begun)
    }

    pub(crate) fn standings(&self) -> Vec<Standing> {
        let state = lock(&self.state);
        let standing = |name: Drill| Standing {
            name,
            title: name.title(),
            description: name.description(),
            impossible: self.surroundings.refusal(name),
            running_ms: state.running.filter(|(drill, _)| *drill == name).map(|(_, since)| milliseconds(since.elapsed())),
            last: state.last.iter().find(|(drill, _)| *drill == name).map(|(_, last)| last.clone()),
        };
        Drill::ALL.map(standing).into()
    }

    /// Runs a drill to its end.
    ///
    /// # Errors
    /// Another one runs, it cannot be run here, or the fault could not be made or ended.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the drill running to its end.
    pub(crate) async fn run(&self, drill: Drill) -> Result<Outcome, Refusal> {
        if let Some(reason) = self.surroundings.refusal(drill) {
            return Err(Refusal::Impossible { drill, reason });
        }
        let (tell, told) = tokio::sync::oneshot::channel();
        {
            let mut state = lock(&self.state);
            if let Some((running, _)) = state.running {
                return Err(Refusal::Busy { running });
            }
            state.running = Some((drill, Instant::now()));
            state.begun = Some(drill);
            let (surroundings, traffic, shared) = (Arc::clone(&self.surroundings), Arc::clone(&self.traffic), Arc::clone(&self.state));
            // A finished task is of no more use.
            while state.tasks.try_join_next().is_some() {}
            state.tasks.spawn(async move {
                let running = Running { drill, state: shared };
                let result = carry_out(drill, &surroundings, &traffic).await.map_err(|error| format!("{error:#}"));
                running.end(match &result {
                    Ok(outcome) => Last::Done(outcome.clone()),
                    Err(error) => Last::Failed(error.clone()),
                });
                // Whoever asked may have gone.
                drop(tell.send(result));
            });
        }
        match told.await {
            Ok(Ok(outcome)) => Ok(outcome),
            Ok(Err(reason)) => Err(Refusal::Failed { drill, reason }),
            Err(_) => Err(Refusal::Failed { drill, reason: "the local cloud is stopping".to_owned() }),
        }
    }

    /// Ends what runs, its fault included.
    pub(crate) async fn stop(&self) {
        let mut tasks = std::mem::take(&mut lock(&self.state).tasks);
        tasks.shutdown().await;
    }
}

/// Nothing runs any more once this is gone, even if the task was ended.
struct Running {
    drill: Drill,
    state: Arc<Mutex<State>>,
}

impl Running {
    fn end(self, last: Last) {
        let mut state = lock(&self.state);
        state.last.retain(|(drill, _)| *drill != self.drill);
        state.last.push((self.drill, last));
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        lock(&self.state).running = None;
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    // Nothing can panic while the lock is held.
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn carry_out(drill: Drill, surroundings: &Surroundings, traffic: &Arc<Traffic>) -> anyhow::Result<Outcome> {
    let began = Instant::now();
    let fault = surroundings.begin(drill).await?;
    let sentence = fault.sentence();
    let witness = Arc::clone(traffic);
    let mut witnesses = JoinSet::new();
    if traffic.is_possible() {
        witnesses.spawn(async move { witness.list(0, 0).await });
    }
    tokio::time::sleep(drill.lasts()).await;
    fault.end().await?;
    let over = Instant::now();
    let met = surroundings.busy().await;
    let witness = match witnesses.join_next().await {
        Some(served) => Some(Witness::from(served??)),
        None => None,
    };
    surroundings.answered(met).await;
    Ok(Outcome { drill, done: sentence, fault_ms: milliseconds(over.duration_since(began)), healed_ms: milliseconds(over.elapsed()), witness })
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
