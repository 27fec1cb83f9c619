//! Reading single variables, so that every error names the one that is wrong.

use std::fmt::{self, Display};
use std::ops::RangeInclusive;
use std::time::Duration;

/// A variable of the environment that is missing, malformed, out of range or in conflict with another.
///
/// Its text names the variable and says how to mend it, and never holds a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct ConfigError {
    variable: &'static str,
    complaint: String,
}

impl ConfigError {
    pub(super) fn new(variable: &'static str, complaint: impl Into<String>) -> Self {
        Self { variable, complaint: complaint.into() }
    }

    /// The name of the variable that is wrong.
    #[must_use]
    pub fn variable(&self) -> &'static str {
        self.variable
    }
}

impl Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.variable, self.complaint)
    }
}

type Lookup<'a> = &'a dyn Fn(&'static str) -> Result<Option<String>, ConfigError>;

pub(super) struct Variables<'a> {
    lookup: Lookup<'a>,
}

impl<'a> Variables<'a> {
    pub(super) fn new(lookup: Lookup<'a>) -> Self {
        Self { lookup }
    }

    /// The text of a variable; an empty one counts as unset.
    pub(super) fn text(&self, name: &'static str) -> Result<Option<String>, ConfigError> {
        Ok((self.lookup)(name)?.filter(|value| !value.is_empty()))
    }

    pub(super) fn required(&self, name: &'static str) -> Result<String, ConfigError> {
        self.text(name)?.ok_or_else(|| ConfigError::new(name, "is missing (and DATABASE_URL is unset)"))
    }

    pub(super) fn number<N>(&self, name: &'static str, default: N, range: RangeInclusive<N>) -> Result<N, ConfigError>
    where
        N: std::str::FromStr + PartialOrd + Display + Copy,
    {
        let Some(text) = self.text(name)? else { return Ok(default) };
        match text.parse::<N>() {
            Ok(number) if range.contains(&number) => Ok(number),
            _ => Err(ConfigError::new(name, format!("must be a whole number from {} to {}, not {text:?}", range.start(), range.end()))),
        }
    }

    pub(super) fn milliseconds(&self, name: &'static str, default: u64, range: RangeInclusive<u64>) -> Result<Duration, ConfigError> {
        self.number(name, default, range).map(Duration::from_millis)
    }

    pub(super) fn one_of<T: Copy>(&self, name: &'static str, choices: &[(&str, T)]) -> Result<Option<T>, ConfigError> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        match choices.iter().find(|(word, _)| *word == text) {
            Some((_, choice)) => Ok(Some(*choice)),
            None => {
                let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
                Err(ConfigError::new(name, format!("must be {}, not {text:?}", words.join(" or "))))
            }
        }
    }
}
