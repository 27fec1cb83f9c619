//! What the API answered.

use anyhow::{Result, anyhow};
use bytes::Bytes;
use reqwest::StatusCode;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::output;

/// A whole answer, of any status.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    /// At most 8 MB.
    pub(crate) body: Bytes,
    pub(super) is_local: bool,
    pub(super) region: String,
}

/// RFC 9457, and API Gateway's own `{"message": …}`.
#[derive(Deserialize)]
struct Problem {
    title: Option<String>,
    detail: Option<String>,
    message: Option<String>,
}

impl Answer {
    /// The JSON of a 200.
    ///
    /// # Errors
    /// What went wrong by the answer's own words, or an answer that is no JSON.
    pub(crate) fn json(&self) -> Result<serde_json::Value> {
        if self.status != StatusCode::OK {
            return Err(self.problem());
        }
        serde_json::from_slice(&self.body).map_err(|error| anyhow!(error).context("the API answers 200 with what is no JSON: is it the right one?"))
    }

    /// Whether the body is JSON.
    pub(crate) fn is_json(&self) -> bool {
        serde_json::from_slice::<IgnoredAny>(&self.body).is_ok()
    }

    /// The body as it came.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// What went wrong: title and detail of a problem, or what the gateway says, and what to do about that.
    pub(crate) fn problem(&self) -> anyhow::Error {
        let status = self.status;
        let Ok(problem) = serde_json::from_slice::<Problem>(&self.body) else { return anyhow!("the API answers {status}") };
        let later = self.later();
        match problem {
            Problem { title: Some(title), detail: Some(detail), .. } => anyhow!("{}: {}{later}", output::plain(&title), output::plain(&detail)),
            Problem { title: Some(text), .. } | Problem { detail: Some(text), .. } => anyhow!("{}{later}", output::plain(&text)),
            Problem { message: Some(message), .. } => anyhow!("the API answers {status} ({}){}", output::plain(&message), self.advice()),
            _ => anyhow!("the API answers {status}"),
        }
    }

    /// When to ask again, where the answer says so.
    fn later(&self) -> String {
        let seconds = self.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse::<u32>().ok());
        seconds.map(|seconds| format!("; ask again in {seconds} s")).unwrap_or_default()
    }

    /// The gateway says little.
    fn advice(&self) -> String {
        match self.status {
            StatusCode::FORBIDDEN if self.is_local => ": the terminal of cargo dev says what was wrong with the signature".to_owned(),
            StatusCode::FORBIDDEN => format!(
                ": the credentials need execute-api:Invoke on this route, the clock must be right, and the request was signed for the region {}",
                self.region
            ),
            StatusCode::NOT_FOUND => ": this API has no such route; is it the right one, and of this version?".to_owned(),
            _ => String::new(),
        }
    }
}
