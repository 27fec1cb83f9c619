//! One line on standard error that is written over again and again.

use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

/// How often the text is printed if standard error is no terminal.
const INTERVAL: Duration = Duration::from_secs(15);

/// A line that shows the progress.
pub struct Line {
    is_terminal: bool,
    shown: String,
    told: Instant,
}

impl Line {
    /// Nothing is shown yet.
    #[must_use]
    pub fn new() -> Self {
        Self { is_terminal: std::io::stderr().is_terminal(), shown: String::new(), told: Instant::now() }
    }

    /// Whether it can be written over.
    #[must_use]
    pub fn is_terminal(&self) -> bool {
        self.is_terminal
    }

    /// Replaces the shown text by `text`. If standard error is no terminal, it prints a new line instead, at most four a minute.
    pub fn show(&mut self, text: &str) {
        if self.shown == text || (!self.is_terminal && self.told.elapsed() < INTERVAL) {
            return;
        }
        self.shown = text.to_owned();
        self.told = Instant::now();
        // A terminal that is narrower must not break the line: it could not be written over.
        self.write(&if self.is_terminal { format!("\r\x1b[2K\x1b[?7l{text}\x1b[?7h") } else { format!("{text}\n") });
    }

    /// Removes it, so that something else can be printed.
    pub fn clear(&mut self) {
        if self.is_terminal && !self.shown.is_empty() {
            self.shown.clear();
            self.write("\r\x1b[2K");
        }
    }

    fn write(&self, text: &str) {
        let mut out = std::io::stderr().lock();
        // A closed standard error must not end the build.
        let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    }
}

impl Default for Line {
    fn default() -> Self {
        Self::new()
    }
}
