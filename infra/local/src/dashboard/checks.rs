//! What the bundle's monitor says of the database, asked for while somebody watches.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::clock::now_ms;

/// How often the monitor is asked: each time costs an invocation and some statements.
const EVERY: Duration = Duration::from_secs(5);
/// How many answers are remembered for the charts: half an hour.
const KEPT: usize = 360;
/// The most checks of which numbers are remembered.
const CHECKS: usize = 200;

/// Asks the monitor once: the document that it answers with.
pub type Fetch = Arc<dyn Fn() -> BoxFuture<'static, Result<Bytes>> + Send + Sync>;

/// The checks of one database.
pub struct Checks {
    fetch: Fetch,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// When the latest question was asked.
    asked: Option<Instant>,
    waiting: bool,
    seen: u64,
    latest: Option<Latest>,
    history: VecDeque<Observation>,
}

/// The monitor's answer. What else it says is left out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Report {
    status: String,
    time: String,
    checks: Vec<Check>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Check {
    /// `group:name`.
    id: String,
    status: String,
    /// A number, a text (a number beyond 2⁵³ is one), or a list.
    #[serde(default)]
    value: Value,
    #[serde(default)]
    unit: Option<String>,
    /// Where it begins to `warn` and to `fail`.
    #[serde(default)]
    threshold: Value,
    /// The most that the value can be.
    #[serde(default)]
    limit: Option<f64>,
    /// What more there is to know, perhaps a list.
    #[serde(default)]
    detail: Value,
    /// Why there is no value, where that is no fault.
    #[serde(default)]
    note: Option<String>,
    #[serde(default)]
    error: Option<String>,
}

impl Check {
    /// Its value, where that is a number.
    fn number(&self) -> Option<f64> {
        match &self.value {
            Value::Number(number) => number.as_f64(),
            Value::String(text) => text.parse().ok().filter(|number: &f64| number.is_finite()),
            _ => None,
        }
    }
}

/// What is known now.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Latest {
    at_ms: u64,
    report: Option<Report>,
    /// Why there is no report.
    error: Option<String>,
}

/// One answer, as the charts need it.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Observation {
    /// Counts from 1.
    number: u64,
    at_ms: u64,
    took_ms: u64,
    failed: bool,
    numbers: BTreeMap<String, f64>,
}

/// What the page is told.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Feed {
    /// None before the first answer.
    latest: Option<Latest>,
    history: Vec<Observation>,
}

impl Checks {
    /// Asks by `fetch`.
    #[must_use]
    pub fn new(fetch: Fetch) -> Self {
        Self { fetch, state: Arc::default() }
    }

    /// What is known, with the answers after this one. Asks the monitor anew where the latest question is old; that answer comes with a later
    /// call.
    pub(super) fn feed(&self, after: u64) -> Feed {
        let mut state = lock(&self.state);
        if !state.waiting && state.asked.is_none_or(|asked| asked.elapsed() >= EVERY) {
            (state.waiting, state.asked) = (true, Some(Instant::now()));
            tokio::spawn(ask((self.fetch)(), Arc::clone(&self.state)));
        }
        let history = state.history.iter().filter(|observation| observation.number > after).cloned().collect();
        Feed { latest: state.latest.clone(), history }
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    // Nothing can panic while the lock is held.
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn ask(fetch: BoxFuture<'static, Result<Bytes>>, state: Arc<Mutex<State>>) {
    let began = Instant::now();
    let result = fetch.await.and_then(|document| read(&document));
    lock(&state).note(result, began.elapsed());
}

fn read(document: &[u8]) -> Result<Report> {
    serde_json::from_slice(document).context("the monitor answers what is no report")
}

impl State {
    fn note(&mut self, result: Result<Report>, took: Duration) {
        self.waiting = false;
        self.seen += 1;
        let (report, error) = match result {
            Ok(report) => (Some(report), None),
            Err(error) => (None, Some(format!("{error:#}"))),
        };
        let checks = report.iter().flat_map(|report| &report.checks).take(CHECKS);
        let observation = Observation {
            number: self.seen,
            at_ms: now_ms(),
            took_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            failed: report.is_none(),
            numbers: checks.filter_map(|check| Some((check.id.clone(), check.number()?))).collect(),
        };
        if self.history.len() == KEPT {
            self.history.pop_front();
        }
        self.history.push_back(observation);
        self.latest = Some(Latest { at_ms: now_ms(), report, error });
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    const REPORT: &str = r#"{"status":"warn","version":"1","time":"2026-01-01T00:00:00Z","checks":[
        {"id":"connections:used","status":"pass","value":12,"unit":"1","threshold":180,"time":"x"},
        {"id":"statistics:commits","status":"pass","value":"9007199254740993","time":"x"},
        {"id":"tables:size","status":"warn","value":[{"table":"<b>models</b>","bytes":"4096"}],"time":"x"},
        {"id":"proxy:targets","status":"fail","value":null,"error":"not configured","time":"x"}]}"#;

    #[test]
    fn a_report_is_read_with_its_numbers_and_what_is_none_is_an_error() {
        let mut state = State::default();
        state.note(read(REPORT.as_bytes()), Duration::from_millis(31));
        let numbers = &state.history[0].numbers;
        assert_eq!(numbers.keys().map(String::as_str).collect::<Vec<_>>(), ["connections:used", "statistics:commits"]);
        assert!((numbers["connections:used"] - 12.0).abs() < 1e-9);
        assert_eq!((state.history[0].took_ms, state.history[0].failed), (31, false));
        let report = state.latest.clone().unwrap().report.unwrap();
        assert_eq!((report.checks[2].value[0]["table"].as_str(), report.checks[3].error.as_deref()), (Some("<b>models</b>"), Some("not configured")));

        state.note(read(b"{}"), Duration::ZERO);
        let latest = state.latest.clone().unwrap();
        let error = latest.error.unwrap();
        assert!(latest.report.is_none() && error.starts_with("the monitor answers what is no report: missing field `status`"), "{error}");
        state.note(Err(anyhow::anyhow!("cause").context("nobody answers")), Duration::ZERO);
        assert_eq!(state.latest.clone().unwrap().error.unwrap(), "nobody answers: cause");
        assert!(state.history[2].failed);
    }

    #[test]
    fn answers_are_kept_up_to_their_number() {
        let mut state = State::default();
        for _ in 0..3 * KEPT {
            state.note(read(REPORT.as_bytes()), Duration::ZERO);
        }
        assert_eq!((state.history.len(), state.history[0].number), (KEPT, 2 * KEPT as u64 + 1));
    }

    #[tokio::test]
    async fn many_who_watch_are_one_question() {
        let asked = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&asked);
        let checks = Checks::new(Arc::new(move || {
            counter.fetch_add(1, Ordering::SeqCst);
            Box::pin(async { Ok(Bytes::from_static(REPORT.as_bytes())) })
        }));
        assert!(checks.feed(0).latest.is_none());
        while checks.feed(0).latest.is_none() {
            tokio::task::yield_now().await;
        }
        for _ in 0..100 {
            checks.feed(0);
        }
        assert_eq!((asked.load(Ordering::SeqCst), checks.feed(0).history.len(), checks.feed(1).history.len()), (1, 1, 0));
    }
}
