//! What invoked the function, told apart by the event's shape.

use serde_json::{Map, Value};

/// Who asks, and how much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trigger {
    /// An HTTP API, or what was meant to be one: it gets a response, also where the event is malformed.
    Http,
    /// EventBridge: a rule, or Scheduler.
    Schedule,
    /// Somebody who may invoke the function.
    Direct(Depth),
}

/// How much is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Depth {
    /// Whether a request would be served.
    Basic,
    /// The state of the server, too.
    Deep,
}

/// What every event must be, for whoever sent another.
const EXPECTED: &str = "the event is none that health knows: send an HTTP API request (payload format 2.0), a scheduled event of EventBridge \
    (\"detail-type\": \"Scheduled Event\", or {\"trigger\": \"schedule\"} as input), or {\"check\": \"basic\"} or {\"check\": \"deep\"}";

impl Trigger {
    /// Reads the shape of an event.
    ///
    /// # Errors
    /// What was expected, where it has none of the shapes.
    pub(crate) fn of(event: &[u8]) -> Result<Self, &'static str> {
        let Ok(Value::Object(event)) = serde_json::from_slice(event) else { return Err(EXPECTED) };
        // A request of the older formats has one of these, too, and is told by HTTP that it is of another version.
        if event.contains_key("requestContext") || event.contains_key("rawPath") || event.contains_key("httpMethod") {
            return Ok(Self::Http);
        }
        if is_schedule(&event) {
            return Ok(Self::Schedule);
        }
        match (event.len(), event.get("check").and_then(Value::as_str)) {
            (1, Some("basic")) => Ok(Self::Direct(Depth::Basic)),
            (1, Some("deep")) => Ok(Self::Direct(Depth::Deep)),
            _ => Err(EXPECTED),
        }
    }
}

/// A rule's event, the one that Scheduler sends where its target has no input
/// (<https://docs.aws.amazon.com/scheduler/latest/UserGuide/managing-targets-templated.html>), or the input that our template gives it.
fn is_schedule(event: &Map<String, Value>) -> bool {
    let text = |name: &str| event.get(name).and_then(Value::as_str);
    let by_eventbridge = text("detail-type") == Some("Scheduled Event") && matches!(text("source"), Some("aws.events" | "aws.scheduler"));
    by_eventbridge || text("trigger") == Some("schedule")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_told_apart_by_shape() {
        let cases = [
            (r#"{"version":"2.0","rawPath":"/","requestContext":{}}"#, Some(Trigger::Http)),
            (r#"{"httpMethod":"GET"}"#, Some(Trigger::Http)),
            (r#"{"source":"aws.events","detail-type":"Scheduled Event","detail":{}}"#, Some(Trigger::Schedule)),
            (r#"{"source":"aws.scheduler","detail-type":"Scheduled Event","detail":"{}"}"#, Some(Trigger::Schedule)),
            (r#"{"trigger":"schedule","scheduled_at":"2026-11-23T09:00:00Z"}"#, Some(Trigger::Schedule)),
            (r#"{"check":"basic"}"#, Some(Trigger::Direct(Depth::Basic))),
            (r#"{"check":"deep"}"#, Some(Trigger::Direct(Depth::Deep))),
            (r#"{"source":"aws.ec2","detail-type":"EC2 Instance State-change Notification"}"#, None),
            (r#"{"source":"aws.ec2","detail-type":"Scheduled Event"}"#, None),
            (r#"{"check":"shallow"}"#, None),
            (r#"{"check":"deep","and":"more"}"#, None),
            (r#"{"Records":[]}"#, None),
            ("{}", None),
            ("[]", None),
            ("null", None),
            ("no json", None),
        ];
        for (event, expected) in cases {
            assert_eq!(Trigger::of(event.as_bytes()).ok(), expected, "{event}");
        }
    }
}
