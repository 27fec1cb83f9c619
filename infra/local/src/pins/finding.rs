//! One statement that pins, or may.

use std::fmt;

use serde::ser::{Serialize, SerializeStruct as _, Serializer};

use super::{Reason, Verdict};

/// The most characters of a statement that are shown.
const SHOWN_CHARS: usize = 200;

/// A statement and the rule that it meets.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Finding {
    /// The rule.
    pub reason: Reason,
    /// The statement on one line, shortened.
    pub statement: String,
}

impl Finding {
    pub(super) fn new(reason: Reason, statement: &str) -> Self {
        Self { reason, statement: shorten(statement) }
    }

    /// What becomes of the session.
    #[must_use]
    pub const fn verdict(&self) -> Verdict {
        self.reason.verdict()
    }
}

/// The keys `verdict`, `reason` (the sentence) and `statement`.
impl Serialize for Finding {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("Finding", 3)?;
        fields.serialize_field("verdict", &self.verdict())?;
        fields.serialize_field("reason", self.reason.sentence())?;
        fields.serialize_field("statement", &self.statement)?;
        fields.end()
    }
}

/// One line for people.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.verdict().name(), self.reason.sentence(), self.statement)
    }
}

/// Runs of white space become one space, other control characters (a terminal might obey them) the replacement character.
pub(crate) fn shorten(statement: &str) -> String {
    let mut shown = String::new();
    let mut chars = 0;
    for word in statement.split_whitespace() {
        let space = (!shown.is_empty()).then_some(' ');
        for char in space.into_iter().chain(word.chars()) {
            if chars == SHOWN_CHARS {
                shown.push('…');
                return shown;
            }
            shown.push(if char.is_control() { char::REPLACEMENT_CHARACTER } else { char });
            chars += 1;
        }
    }
    shown.trim_end_matches([' ', ';']).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_is_shown_on_one_line_without_what_a_terminal_obeys_and_shortened() {
        assert_eq!(shorten("\n  set\tx\n = '\u{1b}[2J' ; "), "set x = '\u{fffd}[2J'");
        let long = shorten(&"é ".repeat(1_000));
        assert_eq!((long.chars().count(), long.ends_with('…')), (SHOWN_CHARS + 1, true));
        assert_eq!(shorten(&"x".repeat(SHOWN_CHARS)).chars().count(), SHOWN_CHARS);
    }
}
