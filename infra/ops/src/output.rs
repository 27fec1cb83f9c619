//! Standard output and error that may be closed or full.

use std::io::{self, Write as _};

use anyhow::Result;
use tracing::level_filters::LevelFilter;

/// Prints one line.
///
/// # Errors
/// Nobody takes it: see [`is_closed`] for a reader that went away.
pub(crate) fn line(text: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}").and_then(|()| out.flush())?;
    Ok(())
}

/// Text from elsewhere without what a terminal would take for a command.
pub(crate) fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { c.escape_default().to_string() } else { c.to_string() }).collect()
}

/// Prints one JSON document, or the sentence that stands for it.
///
/// # Errors
/// As [`line()`].
pub(crate) fn document_or(json: bool, document: &serde_json::Value, sentence: &str) -> Result<()> {
    if json { line(&document.to_string()) } else { line(sentence) }
}

/// Whether the error is only that the reader went away, as after `| head -1`.
pub(crate) fn is_closed(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// Prints an error with its causes as one sentence.
pub(crate) fn failure(error: &anyhow::Error) {
    let mut sentence = String::new();
    for cause in error.chain() {
        let text = cause.to_string();
        // Some errors repeat what they wrap.
        if !sentence.ends_with(&text) {
            sentence = if sentence.is_empty() { text } else { format!("{sentence}: {text}") };
        }
    }
    // There is nobody left to tell.
    let _ = writeln!(io::stderr(), "error: {sentence}");
}

/// Warnings of the local cloud itself go to standard error.
pub(crate) fn start_logging() {
    let started = tracing_subscriber::fmt()
        .with_max_level(LevelFilter::WARN)
        .with_target(false)
        .with_writer(std::io::stderr)
        .log_internal_errors(false)
        .try_init();
    // Only one that is there already makes this fail.
    drop(started);
}
