//! Requests to the API that are signed with AWS credentials, as its routes with `AWS_IAM` ask for: Signature Version 4 for `execute-api`.
//!
//! To the running `cargo dev` of this checkout with the credentials of its record, and to a deployed API with those that the AWS command line
//! would take. The caller needs `execute-api:Invoke` on the route there.

mod answer;
mod credentials;
mod target;
#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
mod tests;

use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result, anyhow, bail};
use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4::SigningParams;
use bytes::{Bytes, BytesMut};
use local::address::is_loopback;
use local::sigv4::LocalCredentials;
use local::workspace::Workspace;
use reqwest::{Client, Method, Response, Url, header, redirect};

use crate::http_client;
pub(crate) use answer::Answer;
use target::Target;
pub(crate) use target::{Access, TargetArguments};

/// What requests to an API are signed for.
const SERVICE: &str = "execute-api";

/// How long a request may take, from the first packet to the last byte of the answer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The longest answer that is read. Lambda's own limit is 6 MB.
const ANSWER_LIMIT_BYTES: usize = 8 * 1024 * 1024;

/// An API that takes signed requests.
pub(crate) struct Api {
    base: Url,
    region: String,
    /// None where the route is public.
    credentials: Option<Credentials>,
    client: Client,
    timeout: Duration,
    /// The running `cargo dev` of this checkout.
    is_local: bool,
}

impl Api {
    /// The API that the arguments name, or the running `cargo dev` of this checkout.
    ///
    /// # Errors
    /// Nothing runs here, the URL is not usable, or region or credentials are not to be found. No message holds a secret.
    pub(crate) async fn open(workspace: &Workspace, arguments: &TargetArguments, access: Access) -> Result<Self> {
        Self::new(target::find(workspace, arguments, access).await?, TIMEOUT)
    }

    /// The API of a `cargo dev` that is starting, with the credentials that it has made.
    ///
    /// # Errors
    /// The URL is none.
    pub(crate) fn of_stack(api_url: &str, operator: &LocalCredentials) -> Result<Self> {
        Self::new(target::local(api_url, operator)?, TIMEOUT)
    }

    fn new(target: Target, timeout: Duration) -> Result<Self> {
        let Target { base, region, credentials, is_local } = target;
        // A signature is good for one URL alone.
        let client = http_client::builder().timeout(timeout).redirect(redirect::Policy::none());
        // A proxy would look for this machine on its own.
        let client = if is_loopback(&base) { client.no_proxy() } else { client };
        let client = client.build().context("HTTPS cannot be spoken from here")?;
        Ok(Self { base, region, credentials, client, timeout, is_local })
    }

    /// Sends one request to a path (with a query string or without), with a JSON document or without a body. It is not repeated.
    ///
    /// # Errors
    /// Nobody answers within 10 s, or with more than 8 MB. Any whole answer is one, whatever its status.
    ///
    /// # Cancel safety
    /// Dropping the future closes the connection; the API may have done what it was asked for.
    pub(crate) async fn send(&self, method: Method, path: &str, body: Option<&serde_json::Value>) -> Result<Answer> {
        let url = Url::parse(&format!("{}{path}", self.shown())).with_context(|| format!("{path} is no path of {}", self.shown()))?;
        let body = body.map(serde_json::to_vec).transpose().context("the request cannot be written as JSON")?;
        let content_type = body.is_some().then_some((header::CONTENT_TYPE.as_str(), "application/json"));
        let body = body.unwrap_or_default();
        let mut request = self.client.request(method.clone(), url.clone());
        for (name, value) in self.sign(&method, &url, content_type, &body, SystemTime::now())? {
            request = request.header(name, value);
        }
        if let Some((name, value)) = content_type {
            request = request.header(name, value);
        }
        let response = request.body(body).send().await.map_err(|error| self.unanswered(error))?;
        let (status, headers) = (response.status(), response.headers().clone());
        let body = self.read(response).await?;
        Ok(Answer { status, headers, body, is_local: self.is_local, region: self.region.clone() })
    }

    /// The headers that the signature adds.
    fn sign(
        &self,
        method: &Method,
        url: &Url,
        header: Option<(&'static str, &'static str)>,
        body: &[u8],
        now: SystemTime,
    ) -> Result<Vec<(String, String)>> {
        let Some(credentials) = &self.credentials else { return Ok(Vec::new()) };
        let identity = credentials.clone().into();
        let parameters = SigningParams::builder().identity(&identity).region(&self.region).name(SERVICE).time(now);
        let parameters = parameters.settings(SigningSettings::default()).build().context("the request cannot be signed")?.into();
        let request = SignableRequest::new(method.as_str(), url.as_str(), header.into_iter(), SignableBody::Bytes(body));
        let (instructions, _) =
            sign(request.context("the request cannot be signed")?, &parameters).context("the request cannot be signed")?.into_parts();
        Ok(instructions.headers().map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }

    async fn read(&self, mut response: Response) -> Result<Bytes> {
        let mut body = BytesMut::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.unanswered(error))? {
            if body.len() + chunk.len() > ANSWER_LIMIT_BYTES {
                bail!("{} answers with more than {ANSWER_LIMIT_BYTES} bytes, which no function can: is it the API?", self.shown());
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body.freeze())
    }

    /// Its URL, without a slash at its end.
    pub(crate) fn shown(&self) -> &str {
        self.base.as_str().trim_end_matches('/')
    }

    fn unanswered(&self, error: reqwest::Error) -> anyhow::Error {
        let base = self.shown();
        // The URL stands in the sentence already.
        match error.without_url() {
            error if error.is_timeout() => anyhow!("{base} did not answer within {} s", self.timeout.as_secs_f32()),
            error if error.is_connect() && self.is_local => anyhow!(error).context(format!("{base} cannot be reached: does cargo dev still run?")),
            error if error.is_connect() => anyhow!(error).context(format!("{base} cannot be reached")),
            error => anyhow!(error).context(format!("{base} broke off")),
        }
    }
}

/// Shows no secret.
impl std::fmt::Debug for Api {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Api").field("base", &self.base.as_str()).field("region", &self.region).finish_non_exhaustive()
    }
}
