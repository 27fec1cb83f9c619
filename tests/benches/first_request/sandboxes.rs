//! One sandbox from its start over init and two requests to its end, with the time of each.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use local::proxy::Proxy;
use local::sandbox::{LogSink, Program, Sandbox};
use tests::{Database, eventually, guard, http_event};

use crate::cgroup::{Cgroup, Quota};

const FUNCTION: &str = "purchased-models";
/// Far more than a sandbox needs to be frozen.
const FREEZE_LIMIT: Duration = Duration::from_secs(10);

/// Where it shows whether a sandbox is connected.
#[derive(Clone, Copy)]
pub(crate) enum Sessions<'a> {
    /// At the database, which it connects to itself.
    Database(&'a Database),
    /// At the stand-in for RDS Proxy.
    StandIn(&'a Proxy),
}

impl Sessions<'_> {
    async fn count(self) -> usize {
        match self {
            Self::Database(database) => database.app_sessions().await.len(),
            Self::StandIn(proxy) => proxy.report().clients,
        }
    }
}

/// What a sandbox finds.
#[derive(Clone, Copy)]
pub(crate) struct Situation<'a> {
    pub(crate) sessions: Sessions<'a>,
    pub(crate) environment: &'a BTreeMap<String, String>,
    /// `DB_WARM_IN_INIT`.
    pub(crate) warm: bool,
    /// The processor share after init; None is the whole machine.
    pub(crate) quota: Option<Quota>,
}

/// A wall time, and the processor time that the function used within it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Took {
    pub(crate) wall: Duration,
    pub(crate) processor: Duration,
}

/// How one sandbox did.
pub(crate) struct Run {
    pub(crate) init: Took,
    pub(crate) first: Took,
    pub(crate) second: Took,
}

impl Run {
    /// What the caller waits for whose request the sandbox was started for.
    pub(crate) fn cold(&self) -> Took {
        Took { wall: self.init.wall + self.first.wall, processor: self.init.processor + self.first.processor }
    }
}

/// Starts sandboxes, one at a time.
pub(crate) struct Sandboxes {
    executable: PathBuf,
    event: Bytes,
    cgroup: Cgroup,
}

impl Sandboxes {
    pub(crate) async fn new() -> Result<Self> {
        // First, because it fails where the benchmark cannot run at all.
        let cgroup = Cgroup::create()?;
        let event = http_event("purchased-models-get.json").to_string().into();
        Ok(Self { executable: tests::release_executable(FUNCTION).await, event, cgroup })
    }

    /// Runs one. `after_init` is called between init and the first request.
    ///
    /// # Errors
    /// Init fails, a request is not served, or the sandbox is not connected when it should be.
    pub(crate) async fn run(&self, situation: Situation<'_>, sessions_after_init: usize, after_init: impl FnOnce()) -> Result<Run> {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&lines);
        let logs: LogSink = Arc::new(move |line| sink.lock().unwrap().push(line.text));
        let result = self.observed(situation, sessions_after_init, after_init, &logs).await;
        result.with_context(|| format!("the function said:\n{}", lines.lock().unwrap().join("\n")))
    }

    async fn observed(&self, situation: Situation<'_>, sessions_after_init: usize, after_init: impl FnOnce(), logs: &LogSink) -> Result<Run> {
        eventually("the sandbox before has left the server", async || situation.sessions.count().await == 0).await;
        let program = self.program(situation);
        let began = Instant::now();
        let sandbox = Sandbox::start(&program, &guard(), logs).await?;
        let pid = sandbox.report().pid;
        ensure!(sandbox.initialised().await, "init failed, or passed Lambda's limit");
        let init_wall = began.elapsed();
        let init = Took { wall: init_wall, processor: processor_time(pid)? };
        // From here on Lambda gives no more than the function's share. Only now: being moved can hold a process up for 15 ms.
        self.cgroup.limit(situation.quota)?;
        self.cgroup.add(pid)?;
        let sessions = situation.sessions.count().await;
        ensure!(sessions == sessions_after_init, "{sessions} sessions after init instead of {sessions_after_init}");
        after_init();
        let first = self.request(&sandbox).await?;
        ensure!(sandbox.settled(FREEZE_LIMIT).await && sandbox.reserve(), "the sandbox did not freeze after its first request");
        let second = self.request(&sandbox).await?;
        sandbox.settled(FREEZE_LIMIT).await;
        // Its end is not measured, and would take long with a small share.
        self.cgroup.limit(None)?;
        sandbox.shut_down().await;
        Ok(Run { init, first, second })
    }

    async fn request(&self, sandbox: &Arc<Sandbox>) -> Result<Took> {
        let pid = sandbox.report().pid;
        let used = processor_time(pid)?;
        let began = Instant::now();
        let outcome = sandbox.invoke(self.event.clone()).await;
        let wall = began.elapsed();
        let answer = outcome.result.ok().context("the function failed")?;
        let status = serde_json::from_slice::<serde_json::Value>(&answer)?["statusCode"].clone();
        ensure!(status == 200, "a request was answered with {status}");
        Ok(Took { wall, processor: processor_time(pid)?.saturating_sub(used) })
    }

    fn program(&self, situation: Situation<'_>) -> Program {
        let mut environment = situation.environment.clone();
        environment.insert("DB_WARM_IN_INIT".to_owned(), situation.warm.to_string());
        Program {
            function: FUNCTION.to_owned(),
            executable: self.executable.clone().into(),
            memory_mb: 128,
            timeout: Duration::from_secs(10),
            environment,
        }
    }
}

/// What all threads of a process used so far: <https://docs.kernel.org/scheduler/sched-stats.html>, `/proc/<pid>/schedstat`.
fn processor_time(pid: i32) -> Result<Duration> {
    let tasks = format!("/proc/{pid}/task");
    let failed = || format!("cannot read the processor time of the threads in {tasks}");
    let mut used = Duration::ZERO;
    for task in Path::new(&tasks).read_dir().with_context(failed)? {
        let text = std::fs::read_to_string(task.with_context(failed)?.path().join("schedstat")).with_context(failed)?;
        let nanoseconds = text.split_whitespace().next().and_then(|field| field.parse().ok()).with_context(failed)?;
        used += Duration::from_nanos(nanoseconds);
    }
    Ok(used)
}
