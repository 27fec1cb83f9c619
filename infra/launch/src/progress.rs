//! Cargo's bar and its lines about waiting, read back.

use std::time::Duration;

/// How far a build is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// It compiles.
    Compiling {
        /// Crates, build scripts and programs that are done.
        done: usize,
        /// Of how many.
        total: usize,
        /// What is being compiled now.
        now: String,
    },
    /// It downloads, or waits for another cargo, in cargo's words.
    Waiting(String),
}

/// How cargo begins the lines that say why it does not compile yet.
const WAITING: [&str; 5] = ["Blocking ", "Downloaded ", "Downloading ", "Locking ", "Updating "];

impl Progress {
    /// Reads a line such as `Building [===>   ] 123/416: ring, sqlx-core` or `Blocking waiting for file lock on build directory`; None for
    /// any other.
    #[must_use]
    pub fn parse(line: &str) -> Option<Self> {
        // The bar is drawn over what stood there, which ends by an escape sequence.
        let line = line.split('\x1b').next().unwrap_or_default().trim();
        if WAITING.iter().any(|beginning| line.starts_with(beginning)) {
            return Some(Self::Waiting(line.to_owned()));
        }
        let (_, rest) = line.strip_prefix("Building [")?.split_once("] ")?;
        let (count, now) = rest.split_once(": ").unwrap_or((rest, ""));
        let (done, total) = count.trim_end_matches(':').split_once('/')?;
        Some(Self::Compiling { done: done.parse().ok()?, total: total.parse().ok()?, now: now.to_owned() })
    }

    /// As a person reads it, for example `123 of 416 crates, 1 min 12 s: ring, sqlx-core`.
    #[must_use]
    pub fn describe(&self, elapsed: Duration) -> String {
        let (minutes, seconds) = (elapsed.as_secs() / 60, elapsed.as_secs() % 60);
        let time = if minutes > 0 { format!("{minutes} min {seconds} s") } else { format!("{seconds} s") };
        match self {
            Self::Compiling { done, total, now } if now.is_empty() => format!("{done} of {total} crates, {time}"),
            Self::Compiling { done, total, now } => format!("{done} of {total} crates, {time}: {now}"),
            Self::Waiting(words) => format!("{words}, {time}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn described(line: &str) -> Option<String> {
        Some(Progress::parse(line)?.describe(Duration::from_secs(72)))
    }

    #[test]
    fn the_bar_is_read_back() {
        let bar = "    Building [=======>      ] 123/416: ring, sqlx-core(build)\x1b[K";
        assert_eq!(described(bar).as_deref(), Some("123 of 416 crates, 1 min 12 s: ring, sqlx-core(build)"));
        assert_eq!(described("    Building [==>] 5/416: \x1b[K").as_deref(), Some("5 of 416 crates, 1 min 12 s"));
        let blocking = described("    Blocking waiting for file lock on build directory");
        assert_eq!(blocking.as_deref(), Some("Blocking waiting for file lock on build directory, 1 min 12 s"));
        assert_eq!(described("  Downloaded serde v1.0.229").as_deref(), Some("Downloaded serde v1.0.229, 1 min 12 s"));
    }

    #[test]
    fn other_lines_are_no_progress() {
        for line in ["   Compiling ring v0.17.14", "", "error[E0308]: [x] y", "   Building [==>] soon", "note: [a] 1/x: y"] {
            assert_eq!(Progress::parse(line), None, "{line}");
        }
    }
}
