//! A cloud with one function alone, invoked without the gateway.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use local::cloud::{Cloud, Settings};
use local::guard::Guard;
use local::invoke::Invoke as _;
use local::sandbox::{Condition, Program, SandboxReport};
use serde_json::Value;

/// A cloud with the scripted function alone.
pub(crate) struct Bench {
    pub(crate) cloud: Arc<Cloud>,
    pub(crate) lines: Arc<Mutex<Vec<String>>>,
    _guard: Guard,
}

/// At most so many sandboxes, on a machine that may be busy.
pub(crate) fn settings(sandboxes: usize) -> Settings {
    Settings { sandboxes_per_function: sandboxes, settle_limit: Duration::from_secs(10), ..Settings::default() }
}

impl Bench {
    /// Over the function that its events tell what to do.
    pub(crate) fn new(timeout: Duration, settings: &Settings, variables: &[(&str, &str)]) -> Self {
        let program = Program {
            function: "scripted".into(),
            executable: tests::scripted().into(),
            memory_mb: 128,
            timeout,
            environment: variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        };
        Self::of(program, settings)
    }

    /// Over another program of that name.
    pub(crate) fn of(program: Program, settings: &Settings) -> Self {
        let (guard, lines) = (Guard::start().unwrap(), Arc::new(Mutex::new(Vec::new())));
        let sink = Arc::clone(&lines);
        let logs = Arc::new(move |line: local::sandbox::LogLine| sink.lock().unwrap().push(line.text));
        Self { cloud: Cloud::new(vec![(program, None)], settings, guard.clone(), logs), lines, _guard: guard }
    }

    /// The answer, or the error type and text.
    pub(crate) async fn invoke(&self, event: Value) -> Result<Value, (String, String)> {
        match self.cloud.invoke("scripted", event.to_string().into()).await.unwrap().result {
            Ok(answer) => Ok(serde_json::from_slice(&answer).unwrap()),
            Err(error) => {
                let document: Value = serde_json::from_slice(&error.payload).unwrap();
                Err((document["errorType"].as_str().unwrap().into(), document["errorMessage"].as_str().unwrap().into()))
            }
        }
    }

    /// The only sandbox.
    pub(crate) async fn only(&self) -> SandboxReport {
        let sandboxes = self.cloud.sandboxes().await;
        assert_eq!(sandboxes.len(), 1, "{sandboxes:?}");
        sandboxes[0].clone()
    }

    /// The one sandbox, once it is frozen.
    pub(crate) async fn frozen(&self) -> SandboxReport {
        for _ in 0..500 {
            let sandbox = self.only().await;
            if sandbox.condition == Condition::Frozen {
                return sandbox;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("it did not freeze: {:?}", self.only().await);
    }
}
