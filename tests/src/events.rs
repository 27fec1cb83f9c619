//! Events for functions that are invoked without the gateway before them.

use std::path::Path;

use serde_json::{Value, json};

/// The sample event of a function, as API Gateway sends it.
#[must_use]
pub fn http_event(name: &str) -> Value {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../infra/events").join(name);
    serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap()
}

/// The event with other claims; none where they are null.
#[must_use]
pub fn with_claims(mut event: Value, claims: Value) -> Value {
    let context = event["requestContext"].as_object_mut().unwrap();
    match claims {
        Value::Null => drop(context.remove("authorizer")),
        claims => drop(context.insert("authorizer".into(), json!({ "jwt": { "claims": claims, "scopes": null } }))),
    }
    event
}
