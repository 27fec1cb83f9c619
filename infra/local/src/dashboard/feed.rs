//! What the page asks for once a second.

use serde::Serialize;

use super::Dashboard;
use super::checks;
use super::load;
use super::record::{Line, Second, Totals};
use crate::drill;
use crate::proxy::{Pin, SlowStatement};
use crate::sandbox::SandboxReport;

/// The most sandboxes, pins and statements that one answer lists.
const LISTED: usize = 100;

/// What a page has already.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Cursor {
    second: u64,
    line: u64,
    pub(super) check: u64,
}

impl Cursor {
    /// Reads `second=…&line=…&check=…`, each 0 where it is missing. None for anything that is no number.
    pub(super) fn of_query(query: &str) -> Option<Self> {
        let mut cursor = Self::default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "second" => cursor.second = value.parse().ok()?,
                "line" => cursor.line = value.parse().ok()?,
                "check" => cursor.check = value.parse().ok()?,
                _ => {}
            }
        }
        Some(cursor)
    }
}

/// One answer. What is in a list is bounded; what is older is gone.
#[derive(Serialize)]
pub(super) struct Feed {
    /// Always `stack`.
    source: &'static str,
    /// Differs by start.
    start: u64,
    totals: Totals,
    seconds: Vec<Second>,
    lines: Vec<Line>,
    sandboxes: Vec<SandboxReport>,
    /// The newest last.
    pins: Vec<Pin>,
    /// The newest last.
    statements: Vec<SlowStatement>,
    drills: Vec<drill::Standing>,
    load: load::Standing,
    checks: Option<checks::Feed>,
}

impl Dashboard {
    pub(super) async fn feed(&self, cursor: Cursor) -> Feed {
        self.load.watched();
        let mut sandboxes = self.cloud.sandboxes().await;
        sandboxes.truncate(LISTED);
        let mut pins = self.proxy.as_ref().map(|proxy| proxy.report().pins).unwrap_or_default();
        pins.drain(..pins.len().saturating_sub(LISTED));
        Feed {
            source: "stack",
            start: self.start,
            totals: self.record.totals(),
            seconds: self.record.seconds_after(cursor.second),
            lines: self.record.lines_after(cursor.line),
            sandboxes,
            pins,
            statements: self.proxy.as_ref().map(|proxy| proxy.slow_statements()).unwrap_or_default(),
            drills: self.drills.standings(),
            load: self.load.standing(),
            checks: self.checks.get().map(|checks| checks.feed(cursor.check)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_three_numbers() {
        assert_eq!(Cursor::of_query(""), Some(Cursor::default()));
        assert_eq!(Cursor::of_query("line=7&second=3&x=y&check=2"), Some(Cursor { second: 3, line: 7, check: 2 }));
        for wrong in ["second=-1", "line=a", "second=18446744073709551616", "line="] {
            assert_eq!(Cursor::of_query(wrong), None, "{wrong}");
        }
    }
}
