//! Metrics for CloudWatch, in its embedded metric format: one JSON line on standard output, which CloudWatch Logs turns into metrics.
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>
//!
//! The namespace is `thaw`, the one dimension `function`: each further one multiplies what they cost.

use std::io::Write as _;
use std::sync::{Mutex, OnceLock, PoisonError};

pub use ::metrics::Unit;
use metrics_cloudwatch_embedded::{Builder, Collector};

const NAMESPACE: &str = "thaw";

/// One value of one metric.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    name: &'static str,
    unit: Unit,
    value: f64,
}

impl Point {
    /// `name` in CloudWatch's manner, such as `DatabaseConnections`.
    #[must_use]
    pub fn new(name: &'static str, unit: Unit, value: f64) -> Self {
        Self { name, unit, value }
    }
}

/// Writes these values as one line, with the id of the invocation as a property. A standard output that is gone takes nothing along: the
/// metrics are lost, as the logs are.
pub fn emit(request_id: &str, points: &[Point]) {
    // One line at a time: what is recorded belongs to the next line, whoever writes it.
    static WRITING: Mutex<()> = Mutex::new(());
    let Some(collector) = collector() else { return };
    let _writing = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
    for point in points {
        // Of a histogram only what came since the last line is written, of a gauge always its last value, also where nothing was measured.
        ::metrics::describe_histogram!(point.name, point.unit, "");
        ::metrics::histogram!(point.name).record(point.value);
    }
    let mut line = Vec::new();
    let written = collector.set_property("request_id", request_id.to_owned()).flush(&mut line).and_then(|()| {
        // At once, so that no other line of this process comes between.
        std::io::stdout().lock().write_all(&line)
    });
    if let Err(error) = written {
        tracing::debug!(%error, "metrics were not written");
    }
}

/// One for the process, from its first metric on.
fn collector() -> Option<&'static Collector> {
    static COLLECTOR: OnceLock<Option<&'static Collector>> = OnceLock::new();
    *COLLECTOR.get_or_init(|| {
        let function = std::env::var("AWS_LAMBDA_FUNCTION_NAME").unwrap_or_else(|_| NAMESPACE.to_owned());
        match Builder::new().cloudwatch_namespace(NAMESPACE).with_dimension("function", function).init() {
            Ok(collector) => Some(collector),
            Err(error) => {
                tracing::error!(%error, "there will be no metrics");
                None
            }
        }
    })
}
