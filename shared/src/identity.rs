//! Who sends a request: always from claims that the API's authorizer verified, never from anything else in the request.

use std::collections::HashMap;

/// A subject's length has the same bound in `users.subject`.
const SUBJECT_MAX_CHARS: usize = 255;

/// A verified sender.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    subject: String,
}

impl Identity {
    /// The identity in the claims of a JWT authorizer: `sub`. None where it is missing, empty, longer than 255 characters or holds a
    /// control character, which Postgres could not store or nobody could read.
    pub(crate) fn from_claims(claims: &HashMap<String, String>) -> Option<Self> {
        let subject = claims.get("sub")?;
        let fits = !subject.is_empty() && subject.chars().count() <= SUBJECT_MAX_CHARS && !subject.chars().any(char::is_control);
        fits.then(|| Self { subject: subject.clone() })
    }

    /// The `sub` claim: 1 to 255 characters.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.subject
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_usable_sub_claim_is_an_identity() {
        let identity = |name: &str, value: &str| Identity::from_claims(&HashMap::from([(name.to_owned(), value.to_owned())]));
        assert_eq!(identity("sub", "user-1").map(|identity| identity.subject), Some("user-1".to_owned()));
        assert!(identity("sub", &"ü".repeat(255)).is_some());
        for (name, value) in [("sub", ""), ("sub", "a\0b"), ("sub", "a\nb"), ("sub", &"x".repeat(256)), ("email", "user-1")] {
            assert_eq!(identity(name, value), None, "{name}={value:?}");
        }
    }
}
