//! No statement of any function pins its session, as RDS Proxy's documented rules and the stand-in have it.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;
use tests::{Api, Database, http_event};

/// A sample event under another key, or none; and the status that it gets then, zero for what is no request.
type Step = (&'static str, &'static str, Option<&'static str>, u64);

/// Every sample event, and every statement of every function: reads, effects, replays, and the questions why there was no effect.
const STEPS: [Step; 21] = [
    ("health", "health-get.json", None, 200),
    ("health", "health-deep-get.json", None, 200),
    ("health", "health-direct.json", None, 0),
    ("health", "health-schedule.json", None, 0),
    ("health", "health-scheduler.json", None, 0),
    ("purchased-models", "purchased-models-get.json", None, 200),
    ("purchased-models", "purchased-models-post.json", None, 201),
    ("purchased-models", "purchased-models-post.json", None, 201),
    ("purchased-models", "purchased-models-post.json", Some("another"), 409),
    ("monitor", "monitor-get.json", None, 200),
    ("reset", "reset-post.json", None, 200),
    ("user-models", "user-models-get.json", None, 200),
    ("user-models", "user-models-post.json", None, 201),
    ("user-models", "user-models-post.json", None, 201),
    ("user-models", "user-model-get.json", None, 200),
    ("user-models", "user-model-patch.json", Some("changed"), 200),
    ("user-models", "user-model-patch.json", Some("changed"), 200),
    ("user-models", "user-model-patch.json", Some("stale"), 412),
    ("user-models", "user-model-delete.json", Some("withdrawn"), 204),
    ("user-models", "user-model-delete.json", Some("withdrawn"), 204),
    ("user-models", "user-model-delete.json", Some("gone"), 404),
];

/// It connects to the database itself, because a migration pins; tests/it/migrate_function.rs sends its events.
const PAST_THE_PROXY: &str = "migrate";

async fn respond(api: &Api, (function, event, key, _): Step) -> Value {
    let mut event = http_event(event);
    if let Some(key) = key {
        event["headers"]["idempotency-key"] = key.into();
    }
    api.respond(function, &event).await
}

#[tokio::test]
async fn no_statement_of_any_function_pins_or_may_pin() {
    let database = Database::seeded().await;
    let api = Api::over(&database).await;
    let mut seen = BTreeSet::new();
    for step in STEPS {
        let response = respond(&api, step).await;
        assert_eq!(response["statusCode"].as_u64().unwrap_or_default(), step.3, "{step:?}: {response}");
        let replayed = response["headers"].get("idempotency-replayed").is_some();
        // A step that stands twice is replayed the second time.
        assert_eq!(replayed, !seen.insert(step), "{step:?}: {response}");
    }
    assert_eq!(api.pins(), [], "{:?}", api.pins());
    let functions: BTreeSet<_> = STEPS.iter().map(|(function, ..)| (*function).to_owned()).collect();
    let report = api.proxy().report();
    assert_eq!((report.clients, report.borrowed), (functions.len(), 0), "{report:?}");
    // The same functions are the template's: a new one has to be asked here, too.
    let template = local::stack::functions(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../template.yaml")).unwrap();
    assert_eq!(template.into_iter().filter(|function| function != PAST_THE_PROXY).collect::<BTreeSet<_>>(), functions);
    api.stop().await;
}

#[test]
fn every_sample_event_is_sent_and_every_route_has_one() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../infra/events");
    let files: BTreeSet<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    let by_the_proxy: BTreeSet<_> = files.iter().filter(|file| !file.starts_with(PAST_THE_PROXY)).cloned().collect();
    assert_eq!(by_the_proxy, STEPS.iter().map(|(_, event, ..)| (*event).to_owned()).collect());
    let document = crate::openapi::Document::read();
    let routes: BTreeSet<_> = document.operations().iter().map(|operation| format!("{} {}", operation.method, operation.path)).collect();
    let requests: Vec<_> = files.iter().map(|file| (file, http_event(file))).filter(|(_, event)| event.get("routeKey").is_some()).collect();
    let in_events: BTreeSet<_> = requests.iter().map(|(_, event)| event["routeKey"].as_str().unwrap().to_owned()).collect();
    assert_eq!(in_events, routes);
    for (file, event) in requests {
        let http = &event["requestContext"]["http"];
        assert_eq!(event["requestContext"]["routeKey"], event["routeKey"], "{file}");
        assert!(event["routeKey"].as_str().unwrap().starts_with(http["method"].as_str().unwrap()), "{file}");
        assert_eq!(event["rawPath"], http["path"], "{file}");
    }
}
