//! Logs: one JSON object a line on standard output, where Lambda picks them up.
//!
//! Each line within an invocation carries `request_id` in its span. Messages read alone and carry fields; units stand in field names. A
//! failure is logged once, at the boundary ([`crate::lambda`]).

use std::time::Duration;

use tracing::level_filters::LevelFilter;

/// Starts logging at the level of `AWS_LAMBDA_LOG_LEVEL`, or INFO. A second call does nothing. Panics are logged like any failure: one
/// line, under the id of the request.
pub fn init() {
    let level = level(std::env::var("AWS_LAMBDA_LOG_LEVEL").ok().as_deref());
    let started = tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_span_list(false)
        .with_target(false)
        .with_max_level(level)
        .with_writer(std::io::stdout)
        .try_init();
    // Only a subscriber that is there already makes this fail, and then lines are not lost.
    drop(started);
    std::panic::set_hook(Box::new(|panic| {
        let location = panic.location().map(ToString::to_string);
        tracing::error!(location, "panicked: {}", panic.payload_as_str().unwrap_or("without words"));
    }));
}

/// Milliseconds as logs and reports have them, to the microsecond: more digits are noise.
#[must_use]
pub fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

/// Lambda's level names are those of `tracing` in capitals, and FATAL.
fn level(name: Option<&str>) -> LevelFilter {
    match name {
        Some("FATAL") => LevelFilter::ERROR,
        Some(name) => name.parse().unwrap_or(LevelFilter::INFO),
        None => LevelFilter::INFO,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lambdas_level_names_are_understood() {
        let cases = [("TRACE", LevelFilter::TRACE), ("DEBUG", LevelFilter::DEBUG), ("WARN", LevelFilter::WARN), ("FATAL", LevelFilter::ERROR)];
        for (name, expected) in cases {
            assert_eq!(level(Some(name)), expected, "{name}");
        }
        assert_eq!((level(None), level(Some("loud"))), (LevelFilter::INFO, LevelFilter::INFO));
    }
}
