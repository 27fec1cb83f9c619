//! Who sends a request: always from what the API's authorizer verified, claims or a signature, never from anything else in the request.

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

/// The longest that an ARN can be in IAM's own fields.
const ARN_MAX_CHARS: usize = 2048;

/// Somebody who runs the bundle: an IAM user or role whose signature the API verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operator {
    arn: String,
}

impl Operator {
    /// The one whom an IAM authorizer names. None where the ARN is missing, or is none.
    pub(crate) fn from_arn(arn: Option<&str>) -> Option<Self> {
        let arn = arn?;
        let fits = arn.starts_with("arn:") && arn.chars().count() <= ARN_MAX_CHARS && !arn.chars().any(char::is_control);
        fits.then(|| Self { arn: arn.to_owned() })
    }

    /// The ARN of the user or of the assumed role: at most 2,048 characters.
    #[must_use]
    pub fn arn(&self) -> &str {
        &self.arn
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_usable_arn_is_an_operator() {
        let arn = "arn:aws:sts::123456789012:assumed-role/Admin/me";
        assert_eq!(Operator::from_arn(Some(arn)).map(|operator| operator.arn), Some(arn.to_owned()));
        for wrong in ["", "user-1", "arn:\n", &format!("arn:{}", "x".repeat(2_045))] {
            assert_eq!(Operator::from_arn(Some(wrong)), None, "{wrong:?}");
        }
        assert_eq!(Operator::from_arn(None), None);
    }

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
