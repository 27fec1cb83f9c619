//! Entity tags and the conditions on them (RFC 9110, sections 8.8.3, 13.1.1 and 13.1.2). Pure.
//!
//! An item has a strong tag, its version; a list a weak one, made from its text.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

/// So many bytes of the digest tell two texts of one list apart.
const DIGEST_BYTES: usize = 12;

/// What a header that lists tags says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Tags {
    /// `*`: any that there is.
    Any,
    /// These.
    These(Vec<Tag>),
}

/// One tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tag {
    weak: bool,
    opaque: String,
}

/// A header that is no list of tags. Says what one is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be * or entity tags in quotes, such as \"3\", separated by commas")]
pub(crate) struct InvalidTags;

impl Tags {
    /// Reads `If-Match` or `If-None-Match`.
    pub(crate) fn parse(text: &str) -> Result<Self, InvalidTags> {
        if text.trim() == "*" {
            return Ok(Self::Any);
        }
        let (mut rest, mut tags) = (text, Vec::new());
        loop {
            // RFC 9110 section 5.6.1.2: empty elements of a list are ignored.
            rest = rest.trim_start_matches([' ', '\t', ',']);
            if rest.is_empty() {
                break;
            }
            let (weak, quoted) = rest.strip_prefix("W/").map_or((false, rest), |rest| (true, rest));
            let (opaque, after) = quoted.strip_prefix('"').and_then(|rest| rest.split_once('"')).ok_or(InvalidTags)?;
            if !opaque.chars().all(|c| c.is_ascii_graphic() || !c.is_ascii()) || !after.trim_start().starts_with([',']) && !after.trim().is_empty() {
                return Err(InvalidTags);
            }
            tags.push(Tag { weak, opaque: opaque.to_owned() });
            rest = after;
        }
        if tags.is_empty() { Err(InvalidTags) } else { Ok(Self::These(tags)) }
    }

    /// The versions that `If-Match` allows; none where any may be. Only strong tags count there, and only those that are a version of ours
    /// can match.
    pub(crate) fn versions(&self) -> Option<Vec<i64>> {
        match self {
            Self::Any => None,
            Self::These(tags) => {
                let strong = tags.iter().filter(|tag| !tag.weak);
                Some(
                    strong
                        .filter_map(|tag| tag.opaque.parse().ok().filter(|version| version_tag(*version) == format!("\"{}\"", tag.opaque)))
                        .collect(),
                )
            }
        }
    }

    /// Whether one of them is this tag, weak or strong, as `If-None-Match` compares.
    pub(crate) fn match_weakly(&self, tag: &str) -> bool {
        let opaque = tag.strip_prefix("W/").unwrap_or(tag).trim_matches('"');
        match self {
            Self::Any => true,
            Self::These(tags) => tags.iter().any(|tag| tag.opaque == opaque),
        }
    }
}

/// The strong tag of a version.
#[must_use]
pub(crate) fn version_tag(version: i64) -> String {
    format!("\"{version}\"")
}

/// The weak tag of a text.
pub(crate) fn text_tag(text: &str) -> String {
    format!("W/\"{}\"", URL_SAFE_NO_PAD.encode(&Sha256::digest(text.as_bytes())[..DIGEST_BYTES]))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn if_match_allows_the_strong_versions_of_its_list() {
        for (text, expected) in [
            ("\"3\"", Some(vec![3])),
            ("\"3\", \"4\"", Some(vec![3, 4])),
            (" \"3\" ,, \"4\",", Some(vec![3, 4])),
            ("W/\"3\"", Some(vec![])),
            ("W/\"3\",\"5\"", Some(vec![5])),
            ("\"abc\"", Some(vec![])),
            ("\"03\"", Some(vec![])),
            ("\"+3\"", Some(vec![])),
            ("\"99999999999999999999\"", Some(vec![])),
            ("\"\"", Some(vec![])),
            ("*", None),
            (" * ", None),
        ] {
            assert_eq!(Tags::parse(text).unwrap().versions(), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_list_of_tags_is_an_error() {
        for text in ["", " ", ",", "3", "\"3", "3\"", "w/\"3\"", "\"3\" \"4\"", "\"a b\"", "*, \"3\"", "\"3\"x", "W/", "W/3"] {
            assert_eq!(Tags::parse(text), Err(InvalidTags), "{text:?}");
        }
    }

    #[test]
    fn if_none_match_compares_weakly() {
        let tag = text_tag("text");
        assert_ne!(tag, text_tag("other"));
        assert!(Tags::parse(&tag).unwrap().match_weakly(&tag));
        assert!(Tags::parse(&format!("\"x\", {}", tag.trim_start_matches("W/"))).unwrap().match_weakly(&tag));
        assert!(Tags::parse("*").unwrap().match_weakly(&tag));
        assert!(!Tags::parse("\"x\"").unwrap().match_weakly(&tag));
        assert!(Tags::parse("W/\"3\"").unwrap().match_weakly(&version_tag(3)));
    }
}
