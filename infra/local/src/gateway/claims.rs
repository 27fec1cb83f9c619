//! A verified token's claims as the function sees them: a map of texts.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// Every claim as text. The form is Go's, as measured on live HTTP APIs (floci-io/floci, pull request 2011): an array is
/// `[admin editor]`, an object is JSON, and a claim that is null is left out.
pub(crate) fn as_text(claims: &Map<String, Value>) -> BTreeMap<String, String> {
    claims.iter().filter_map(|(name, value)| Some((name.clone(), text(value)?))).collect()
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        Value::Array(items) => Some(format!("[{}]", items.iter().filter_map(text).collect::<Vec<_>>().join(" "))),
        Value::Bool(_) | Value::Number(_) | Value::Object(_) => Some(value.to_string()),
    }
}

/// The scopes of `scope`, else of `scp`: words of a text, or an array of texts.
pub(crate) fn scopes(claims: &Map<String, Value>) -> Vec<String> {
    let claim = claims.get("scope").or_else(|| claims.get("scp"));
    texts(claim).iter().flat_map(|text| text.split_whitespace()).map(str::to_owned).collect()
}

/// A claim that is a text or an array of texts, as `aud` is (RFC 7519, section 4.1.3).
pub(crate) fn texts(claim: Option<&Value>) -> Vec<String> {
    match claim {
        Some(Value::String(text)) => vec![text.clone()],
        Some(Value::Array(items)) => items.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn claims_of_every_type_become_texts() {
        let claims = serde_json::json!({
            "sub": "user-1", "exp": 1_787_996_002, "admin": true, "groups": ["a", "b c", 3], "address": {"city": "Ulm"}, "none": null
        });
        let texts: Vec<_> = as_text(claims.as_object().unwrap()).into_iter().collect();
        let expected = [("address", r#"{"city":"Ulm"}"#), ("admin", "true"), ("exp", "1787996002"), ("groups", "[a b c 3]"), ("sub", "user-1")];
        assert_eq!(texts, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }

    #[test]
    fn scopes_are_read_from_scope_or_scp() {
        let cases = [
            (r#"{"scope": "read  write"}"#, "read,write"),
            (r#"{"scp": ["read", "write", 1]}"#, "read,write"),
            (r#"{"scope": "read", "scp": "write"}"#, "read"),
            (r#"{"scope": 1}"#, ""),
            (r#"{}"#, ""),
        ];
        for (json, expected) in cases {
            let claims: Map<String, Value> = serde_json::from_str(json).unwrap();
            assert_eq!(scopes(&claims).join(","), expected, "{json}");
        }
    }
}
