//! The answer to CloudFormation, which waits for it at a URL of S3:
//! <https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/crpg-ref-responses.html>.

use std::time::{Duration, Instant};

use http::StatusCode;
use reqwest::Client;
use serde::Serialize;

use crate::event::CustomResource;
use crate::schema::Report;

/// CloudFormation takes no longer answer.
const BODY_LIMIT_BYTES: usize = 4096;
/// Of the reason alone, which leaves room for ids of any length that they have.
const REASON_LIMIT_BYTES: usize = 1024;
/// For one PUT.
const PUT_TIMEOUT: Duration = Duration::from_secs(5);
/// For all of them, where it is not known when Lambda ends the invocation.
const PATIENCE: Duration = Duration::from_secs(60);
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(3);

/// What CloudFormation is told.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Answer<'a> {
    status: Status,
    reason: String,
    physical_resource_id: String,
    stack_id: &'a str,
    request_id: &'a str,
    logical_resource_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a Report>,
}

#[derive(Debug, Clone, Copy, Serialize)]
enum Status {
    #[serde(rename = "SUCCESS")]
    Success,
    #[serde(rename = "FAILED")]
    Failed,
}

impl<'a> Answer<'a> {
    /// It went well. `reason` says how, for whoever reads the stack's events.
    pub(crate) fn success(request: &'a CustomResource, database: &str, reason: &str, data: Option<&'a Report>) -> Self {
        Self::new(request, database, Status::Success, reason, data)
    }

    /// It did not.
    pub(crate) fn failed(request: &'a CustomResource, database: &str, reason: &str) -> Self {
        Self::new(request, database, Status::Failed, reason, None)
    }

    fn new(request: &'a CustomResource, database: &str, status: Status, reason: &str, data: Option<&'a Report>) -> Self {
        // The same as long as the stack lives: another would make CloudFormation delete the one before.
        let physical_resource_id = request.physical_resource_id.clone().unwrap_or_else(|| format!("thaw-schema-{database}"));
        // JSON writes a control character in six bytes.
        let reason = reason[..reason.floor_char_boundary(REASON_LIMIT_BYTES)].replace(char::is_control, " ");
        let (stack_id, request_id, logical_resource_id) = (&*request.stack_id, &*request.request_id, &*request.logical_resource_id);
        Self { status, reason, physical_resource_id, stack_id, request_id, logical_resource_id, data }
    }

    fn body(&self) -> Result<Vec<u8>, String> {
        let body = serde_json::to_vec(self).map_err(|error| error.to_string())?;
        if body.len() > BODY_LIMIT_BYTES {
            return Err(format!("the answer has {} bytes, and CloudFormation takes {BODY_LIMIT_BYTES}", body.len()));
        }
        Ok(body)
    }

    /// Sends it, again and again until `give_up_at` where S3 does not answer or has a fault of its own.
    ///
    /// # Errors
    /// What the last one came to; never the URL, whose query would let others answer.
    pub(crate) async fn send(&self, request: &CustomResource, give_up_at: Option<Instant>) -> Result<(), String> {
        let body = self.body()?;
        // It fails only where the default is set already, which is this one.
        drop(rustls::crypto::ring::default_provider().install_default());
        let client = Client::builder().timeout(PUT_TIMEOUT).build().map_err(|error| error.without_url().to_string())?;
        let give_up_at = give_up_at.unwrap_or_else(|| Instant::now() + PATIENCE);
        let mut pause = FIRST_PAUSE;
        loop {
            // Without a content type, because none was signed.
            let failure = match client.put(request.response_url.clone()).body(body.clone()).send().await {
                Ok(answer) if answer.status().is_success() => return Ok(()),
                Ok(answer) if is_final(answer.status()) => return Err(format!("S3 answered {}", answer.status())),
                Ok(answer) => format!("S3 answered {}", answer.status()),
                Err(error) => format!("S3 did not answer: {}", error.without_url()),
            };
            let wait = pause.mul_f64(fastrand::f64());
            if Instant::now() + wait >= give_up_at {
                return Err(failure);
            }
            tracing::info!("{failure}; sending it again");
            tokio::time::sleep(wait).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}

/// A refusal that does not change by asking again.
fn is_final(status: StatusCode) -> bool {
    status.is_client_error() && status != StatusCode::REQUEST_TIMEOUT && status != StatusCode::TOO_MANY_REQUESTS
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use crate::event::RequestType;

    fn request(physical_resource_id: Option<&str>, id_bytes: usize) -> CustomResource {
        CustomResource {
            request_type: RequestType::Create,
            response_url: "https://bucket.example/x?Signature=secret".parse().unwrap(),
            stack_id: "s".repeat(id_bytes),
            request_id: "r".into(),
            logical_resource_id: "Schema".into(),
            physical_resource_id: physical_resource_id.map(str::to_owned),
        }
    }

    #[test]
    fn an_answer_fits_and_its_resource_keeps_its_id() {
        let request = request(None, 1000);
        assert!(Answer::failed(&request, "thaw", &"\u{1}".repeat(5000)).body().unwrap().len() <= BODY_LIMIT_BYTES);
        let answer = Answer::failed(&request, "thaw", &"ä\"".repeat(2000));
        let body = answer.body().unwrap();
        assert!(body.len() <= BODY_LIMIT_BYTES, "{}", body.len());
        let read: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!((&read["Status"], &read["PhysicalResourceId"]), (&"FAILED".into(), &"thaw-schema-thaw".into()));
        assert!(read["Reason"].as_str().unwrap().len() <= REASON_LIMIT_BYTES);
        assert!(!String::from_utf8(body).unwrap().contains("secret"));
    }

    #[test]
    fn what_was_named_before_keeps_its_name_and_what_is_too_long_is_said() {
        let named = request(Some("older"), 10);
        assert_eq!(Answer::success(&named, "thaw", "", None).physical_resource_id, "older");
        assert!(Answer::success(&request(None, 5000), "thaw", "", None).body().unwrap_err().contains("4096"));
    }

    #[test]
    fn refusals_are_final_and_faults_are_not() {
        let is_final = |code: u16| is_final(StatusCode::from_u16(code).unwrap());
        assert!([400, 403, 404].into_iter().all(is_final));
        assert!(![408, 429, 500, 503].into_iter().any(is_final));
    }
}
