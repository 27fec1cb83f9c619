//! The key of a write: who asks, and the name that the client gave to this one wish.
//!
//! A client sends the same key with every repetition of one wish and another one with the next, as the `Idempotency-Key` header of
//! draft-ietf-httpapi-idempotency-key-header asks. Two principals may choose the same text, so only both together are the key.

use uuid::Uuid;

use crate::identity::Identity;

/// The length of a key's text: the column that stores it has the same bound.
const TEXT_MAX_BYTES: usize = 255;

/// Names one write of one principal, for ever.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Key {
    principal: String,
    text: String,
}

/// Why a text is no key. Says what a key is, for the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be 1 to 255 visible ASCII characters without spaces, such as a UUID")]
pub struct InvalidKey;

impl Key {
    /// The key `text` of a verified sender.
    ///
    /// # Errors
    /// The text is empty, longer than 255 bytes, or holds anything but visible ASCII characters.
    pub fn new(identity: &Identity, text: &str) -> Result<Self, InvalidKey> {
        let fits = (1..=TEXT_MAX_BYTES).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
        if !fits {
            return Err(InvalidKey);
        }
        Ok(Self { principal: identity.subject().to_owned(), text: text.to_owned() })
    }

    /// The key of what one invocation does of its own accord, under an id that it has just made: nobody else asks for it again.
    #[must_use]
    pub fn of_invocation(id: Uuid) -> Self {
        Self { principal: String::new(), text: id.to_string() }
    }

    /// Whose key it is: 1 to 255 characters; none for what an invocation does of its own accord.
    #[must_use]
    pub fn principal(&self) -> &str {
        &self.principal
    }

    /// What the client named its wish: 1 to 255 visible ASCII characters.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// Without its parts: one is personal, and who knows both can ask for the answer.
impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Key").finish_non_exhaustive()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn identity(subject: &str) -> Identity {
        Identity::from_claims(&HashMap::from([("sub".to_owned(), subject.to_owned())])).unwrap()
    }

    #[test]
    fn a_key_is_visible_ascii_within_its_length() {
        let longest = "x".repeat(255);
        for text in ["0", "8e03978e-40d5-43e8-bc93-6894a57f9324", "a/b+c=", &longest] {
            assert_eq!(Key::new(&identity("user-1"), text).unwrap().text(), text);
        }
        for text in ["", " ", "a b", "a\n", "ü", "a\0", &"x".repeat(256)] {
            assert_eq!(Key::new(&identity("user-1"), text), Err(InvalidKey), "{text:?}");
        }
    }

    #[test]
    fn the_same_text_of_two_principals_is_two_keys() {
        let key = |subject| Key::new(&identity(subject), "one").unwrap();
        assert_eq!(key("user-1"), key("user-1"));
        assert_ne!(key("user-1"), key("user-2"));
    }

    #[test]
    fn no_debug_output_holds_principal_or_text() {
        assert_eq!(format!("{:?}", Key::new(&identity("somebody"), "something").unwrap()), "Key { .. }");
    }
}
