//! What functions write to standard output and error, line by line.

use std::sync::Arc;

use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};

/// One line of one function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// The function that wrote it.
    pub function: String,
    /// The process that wrote it.
    pub pid: i32,
    /// The line without its end.
    pub text: String,
}

impl LogLine {
    /// Whether it is for CloudWatch's metrics and not for people: its embedded metric format begins with what the metrics are.
    #[must_use]
    pub fn is_metrics(&self) -> bool {
        self.text.starts_with(r#"{"_aws":"#)
    }
}

/// Where lines go.
pub type LogSink = Arc<dyn Fn(LogLine) + Send + Sync>;

/// Passes on every line until the stream ends; bytes that are not UTF-8 are replaced.
pub(super) async fn forward(stream: impl AsyncRead + Unpin, function: String, pid: i32, sink: LogSink) {
    let mut reader = BufReader::new(stream);
    let mut line = Vec::new();
    loop {
        line.clear();
        match reader.read_until(b'\n', &mut line).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {
                let text = String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned();
                sink(LogLine { function: function.clone(), pid, text });
            }
        }
    }
}
