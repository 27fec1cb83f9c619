//! What a function's line says, where it is one of `shared::telemetry`.

use serde::Deserialize;

use super::LogLine;

/// The fields of a line that people read first; each line is one JSON object.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct LogEntry {
    /// `INFO`, `WARN`, `ERROR`.
    pub level: String,
    /// The sentence.
    pub message: String,
    /// Method and path, of the line that ends a request; else empty.
    #[serde(default)]
    pub request: String,
    /// The status that the function answered with.
    pub status: Option<u16>,
    /// How long the function took.
    pub duration_ms: Option<f64>,
    /// How often the statement was sent again.
    #[serde(default)]
    pub resends: Option<u32>,
    /// How often a connection was made anew.
    #[serde(default)]
    pub reconnects: Option<u32>,
}

impl LogEntry {
    /// None for a line that is not of this form, such as that of a program of one's own.
    #[must_use]
    pub fn of(line: &LogLine) -> Option<Self> {
        serde_json::from_str(&line.text).ok()
    }
}

/// All but the level, in one line.
impl std::fmt::Display for LogEntry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)?;
        if !self.request.is_empty() {
            write!(f, ": {}", self.request)?;
        }
        if let Some(status) = self.status {
            write!(f, ", {status}")?;
        }
        if let Some(duration_ms) = self.duration_ms {
            write!(f, ", {duration_ms:.1} ms")?;
        }
        for (count, what) in [(self.resends, "resends"), (self.reconnects, "reconnects")] {
            if let Some(count) = count.filter(|count| *count > 0) {
                write!(f, ", {count} {what}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_with_what_it_has_and_any_other_is_none() {
        let line = |text: &str| LogLine { function: "f".into(), pid: 1, text: text.into() };
        let entry = LogEntry::of(&line(
            r#"{"timestamp":"x","level":"INFO","request":"GET /a","status":200,"duration_ms":1.5,"reconnects":2,"message":"served","request_id":"y"}"#,
        ));
        let entry = entry.unwrap();
        assert_eq!((entry.level.as_str(), entry.message.as_str(), entry.request.as_str()), ("INFO", "served", "GET /a"));
        assert_eq!((entry.status, entry.duration_ms, entry.resends, entry.reconnects), (Some(200), Some(1.5), None, Some(2)));
        assert!(LogEntry::of(&line(r#"{"level":"WARN","message":"x"}"#)).unwrap().request.is_empty());
        for text in ["plain", "{}", "[1]", r#"{"level":"INFO"}"#] {
            assert_eq!(LogEntry::of(&line(text)), None, "{text}");
        }
    }
}
