//! Cargo's bar, read back.

use std::time::Duration;

/// How far a build is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// Crates, build scripts and programs that are done.
    pub done: usize,
    /// Of how many.
    pub total: usize,
    /// What is being compiled now.
    pub now: String,
}

impl Progress {
    /// Reads a line such as `Building [===>   ] 123/416: ring, sqlx-core`; None for any other.
    #[must_use]
    pub fn parse(line: &str) -> Option<Self> {
        let (_, rest) = line.split_once("] ")?;
        let (count, now) = rest.split_once(": ").unwrap_or((rest, ""));
        let (done, total) = count.trim().split_once('/')?;
        // The bar is drawn over what stood there, which ends by an escape sequence.
        let now = now.split('\x1b').next().unwrap_or_default().trim();
        Some(Self { done: done.parse().ok()?, total: total.trim_end_matches('\x1b').parse().ok()?, now: now.to_owned() })
    }

    /// As a person reads it, for example `123 of 416 crates, 1 min 12 s: ring, sqlx-core`.
    #[must_use]
    pub fn describe(&self, elapsed: Duration) -> String {
        let Self { done, total, now } = self;
        let (minutes, seconds) = (elapsed.as_secs() / 60, elapsed.as_secs() % 60);
        let time = if minutes > 0 { format!("{minutes} min {seconds} s") } else { format!("{seconds} s") };
        let colon = if now.is_empty() { "" } else { ": " };
        format!("{done} of {total} crates, {time}{colon}{now}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_is_read_back() {
        let read = Progress::parse("    Building [=======>      ] 123/416: ring, sqlx-core(build)\x1b[K");
        assert_eq!(read, Some(Progress { done: 123, total: 416, now: "ring, sqlx-core(build)".into() }));
        let read = read.map(|progress| progress.describe(Duration::from_secs(72)));
        assert_eq!(read.as_deref(), Some("123 of 416 crates, 1 min 12 s: ring, sqlx-core(build)"));
    }

    #[test]
    fn other_lines_are_no_bar() {
        for line in ["   Compiling ring v0.17.14", "", "error[E0308]: [x] y", "   Building [==>] soon", "note: [a] 1/x: y"] {
            assert_eq!(Progress::parse(line), None, "{line}");
        }
    }
}
