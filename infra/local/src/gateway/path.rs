//! The path and the query string as an HTTP API decodes them.
//!
//! API Gateway "decodes URL-encoded request parameters before passing them to your backend integration"
//! (<https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-routes.html>). The page leaves out how. Captures from
//! live HTTP APIs (the `ingress-paths.json` fixture of the public `hotsock/voker` repository) show that the path is decoded **twice**
//! before it is matched and put into `rawPath`, that an encoded question mark cuts it off, and that a broken escape is answered 400. The
//! query string stays as it was sent in `rawQueryString` and is decoded once in `queryStringParameters`.

use std::collections::BTreeMap;

use percent_encoding::percent_decode_str;

/// The decoded path of a request target, or `None` where an escape is broken or the bytes are not UTF-8 (API Gateway: 400).
pub(crate) fn decode(target: &str) -> Option<String> {
    let once = decode_once(target)?;
    let path = once.split('?').next().unwrap_or_default();
    decode_once(path)
}

fn decode_once(text: &str) -> Option<String> {
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        let whole = byte != b'%' || (next_is_hex(&mut bytes) && next_is_hex(&mut bytes));
        if !whole {
            return None;
        }
    }
    Some(percent_decode_str(text).decode_utf8().ok()?.into_owned())
}

fn next_is_hex(bytes: &mut std::str::Bytes<'_>) -> bool {
    bytes.next().is_some_and(|byte| byte.is_ascii_hexdigit())
}

/// The query string's parameters, decoded once; values of one name are joined with commas, as payload format 2.0 does.
pub(crate) fn query_parameters(query: &str) -> BTreeMap<String, String> {
    let mut parameters: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        parameters
            .entry(name.into_owned())
            .and_modify(|values| {
                values.push(',');
                values.push_str(&value);
            })
            .or_insert_with(|| value.into_owned());
    }
    parameters
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_is_decoded_as_live_http_apis_decode_it() {
        let cases = [
            ("/capture/plain", Some("/capture/plain")),
            ("/capture/space%20value", Some("/capture/space value")),
            ("/capture/question%3Fvalue", Some("/capture/question")),
            ("/capture/percent%25done", None),
            ("/capture/hash%23value", Some("/capture/hash#value")),
            ("/capture/slash%2Fvalue", Some("/capture/slash/value")),
            ("/capture/unicode-%CE%BB", Some("/capture/unicode-λ")),
            ("/capture/literal%252Fvalue", Some("/capture/literal/value")),
            ("/capture/literal%253Fvalue", Some("/capture/literal?value")),
            ("/capture/literal%2525value", Some("/capture/literal%value")),
            ("/capture/a+b", Some("/capture/a+b")),
            ("/capture/%", None),
            ("/capture/%4", None),
            ("/capture/%zz", None),
            ("/capture/%FF", None),
        ];
        for (target, expected) in cases {
            assert_eq!(decode(target).as_deref(), expected, "{target}");
        }
    }

    #[test]
    fn query_values_of_one_name_are_joined_with_commas() {
        let cases: [(&str, &[(&str, &str)]); 7] = [
            ("a=1&b=2&a=3", &[("a", "1,3"), ("b", "2")]),
            ("plus=a+b&encoded=a%2Bb", &[("encoded", "a+b"), ("plus", "a b")]),
            ("empty=&bare", &[("bare", ""), ("empty", "")]),
            ("a=1=2", &[("a", "1=2")]),
            ("a%20b=c%2Cd", &[("a b", "c,d")]),
            ("a=%zz&b=%FF", &[("a", "%zz"), ("b", "\u{FFFD}")]),
            ("", &[]),
        ];
        for (query, expected) in cases {
            let parameters = query_parameters(query);
            let found: Vec<_> = parameters.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            assert_eq!(found, expected, "{query}");
        }
    }
}
