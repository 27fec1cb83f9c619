//! What an operator asks for.

use garde::Validate;
use serde::{Deserialize, Serialize};

/// Whose sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Scope {
    /// The connection of the sandbox that answers.
    Environment,
    /// Those of the application, on this database.
    Fleet,
}

impl Scope {
    /// As the database has it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Environment => "environment",
            Self::Fleet => "fleet",
        }
    }
}

/// The body.
#[derive(Debug, Deserialize, Validate)]
#[serde(deny_unknown_fields)]
pub(crate) struct Order {
    #[garde(skip)]
    pub(crate) scope: Scope,
    /// Why; it stays on the record.
    #[garde(length(chars, min = 1, max = 500), custom(readable))]
    pub(crate) reason: String,
    /// Sessions that are at a statement or in a transaction, too.
    #[serde(default)]
    #[garde(custom(only_with_fleet(&self.scope)))]
    pub(crate) include_busy: bool,
}

/// The database takes no NUL, and a log no other control characters.
#[allow(clippy::trivially_copy_pass_by_ref, reason = "as garde calls it")]
fn readable(text: &str, _: &()) -> garde::Result {
    if text.chars().any(char::is_control) { Err(garde::Error::new("must not hold control characters")) } else { Ok(()) }
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "as garde calls it")]
fn only_with_fleet(scope: &Scope) -> impl FnOnce(&bool, &()) -> garde::Result {
    let scope = *scope;
    move |include_busy, ()| {
        if *include_busy && scope == Scope::Environment { Err(garde::Error::new("is only for the scope fleet")) } else { Ok(()) }
    }
}
