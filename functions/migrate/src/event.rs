//! What invoked the function, told apart by the event's shape.

use serde::Deserialize;
use serde_json::Value;
use url::Url;

/// Who asks, and for what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Event {
    /// CloudFormation, which waits for an answer elsewhere.
    CustomResource(CustomResource),
    /// Somebody who may invoke the function.
    Direct(Action),
}

/// What is asked for directly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Action {
    /// Bring the schema up.
    Migrate,
    /// Tell what the database has.
    Status,
}

/// A request of CloudFormation:
/// <https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/crpg-ref-requests.html>.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct CustomResource {
    pub(crate) request_type: RequestType,
    /// Where the answer goes; its query is a signature.
    #[serde(rename = "ResponseURL")]
    pub(crate) response_url: Url,
    pub(crate) stack_id: String,
    pub(crate) request_id: String,
    pub(crate) logical_resource_id: String,
    /// What an earlier answer said; none on Create.
    pub(crate) physical_resource_id: Option<String>,
}

/// What becomes of the resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(crate) enum RequestType {
    Create,
    Update,
    Delete,
}

const EXPECTED: &str = "the event is none that migrate knows: send {\"action\": \"migrate\"} or {\"action\": \"status\"}; CloudFormation sends a \
    RequestType of Create, Update or Delete with ResponseURL, StackId, RequestId and LogicalResourceId";

impl Event {
    /// Reads the shape of an event.
    ///
    /// # Errors
    /// What was expected, where it has none of the shapes; and what is wrong with a request of CloudFormation, without any of its values.
    pub(crate) fn of(event: &[u8]) -> Result<Self, String> {
        let Ok(event @ Value::Object(_)) = serde_json::from_slice(event) else { return Err(EXPECTED.to_owned()) };
        if event.get("RequestType").is_none() {
            let only_action = event.as_object().is_some_and(|fields| fields.len() == 1);
            let action = event.get("action").filter(|_| only_action).and_then(|action| Action::deserialize(action).ok());
            return action.map(Self::Direct).ok_or_else(|| EXPECTED.to_owned());
        }
        let url = event.get("ResponseURL").and_then(Value::as_str).map(Url::parse);
        if !matches!(&url, Some(Ok(url)) if is_safe(url)) {
            return Err("ResponseURL must be an https URL (http only to a private IPv4 address or to this machine)".to_owned());
        }
        CustomResource::deserialize(&event).map(Self::CustomResource).map_err(|_| EXPECTED.to_owned())
    }
}

/// The answer says nothing secret, but its URL lets whoever sees it answer: so only over TLS, but for an emulator beside this machine.
fn is_safe(url: &Url) -> bool {
    match url.scheme() {
        "https" => true,
        "http" => match url.host() {
            Some(url::Host::Ipv4(address)) => address.is_loopback() || address.is_private(),
            Some(url::Host::Ipv6(address)) => address.is_loopback(),
            Some(url::Host::Domain(name)) => name == "localhost",
            None => false,
        },
        _ => false,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn request(kind: &str, url: &str) -> String {
        format!(
            r#"{{"RequestType":"{kind}","ResponseURL":"{url}","StackId":"s","RequestId":"r","LogicalResourceId":"Schema","ResourceType":"Custom::ThawSchema","ResourceProperties":{{"ServiceToken":"t"}}}}"#
        )
    }

    #[test]
    fn events_are_told_apart_by_shape() {
        let url = "https://bucket.s3.amazonaws.com/x?Signature=abc";
        for (kind, expected) in [("Create", RequestType::Create), ("Update", RequestType::Update), ("Delete", RequestType::Delete)] {
            let Ok(Event::CustomResource(read)) = Event::of(request(kind, url).as_bytes()) else { panic!("{kind}") };
            assert_eq!((read.request_type, read.response_url.as_str(), read.physical_resource_id), (expected, url, None));
        }
        assert_eq!(Event::of(br#"{"action":"migrate"}"#), Ok(Event::Direct(Action::Migrate)));
        assert_eq!(Event::of(br#"{"action":"status"}"#), Ok(Event::Direct(Action::Status)));
    }

    #[test]
    fn other_events_are_refused_by_a_sentence_without_their_values() {
        let events = ["", "null", "[]", "{}", r#"{"action":"drop"}"#, r#"{"action":"migrate","and":1}"#, r#"{"action":1}"#];
        for event in events
            .map(str::to_owned)
            .into_iter()
            .chain([request("Destroy", "https://a/"), r#"{"RequestType":"Create","ResponseURL":"https://a/"}"#.into()])
        {
            assert_eq!(Event::of(event.as_bytes()), Err(EXPECTED.to_owned()), "{event}");
        }
        for url in ["", "no url", "ftp://a/", "http://bucket.example/?secret", "http://8.8.8.8/"] {
            let refused = Event::of(request("Create", url).as_bytes()).unwrap_err();
            assert!(refused.starts_with("ResponseURL must be") && !refused.contains("secret"), "{url}: {refused}");
        }
        for url in ["http://127.0.0.1:1/x", "http://localhost/x", "http://172.17.0.1:9/x", "http://[::1]:1/"] {
            assert!(Event::of(request("Create", url).as_bytes()).is_ok(), "{url}");
        }
    }
}
