//! One request, from its head to the answer.

use std::net::SocketAddr;
use std::time::SystemTime;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderValue, Method, Request};
use hyper::body::Incoming;
use time::OffsetDateTime;

use super::access_log::AccessLog;
use super::authorizer;
use super::beside::Beside;
use super::event::{self, Caller, Origin};
use super::iam::{self, Claim};
use super::limits::{self, BODY_LIMIT_BYTES, BodyError, EVENT_LIMIT_BYTES};
use super::response::{self, HttpResponse, Refusal};
use super::route::Selected;
use super::{Gateway, cors, path};
use crate::invoke::{Invoke, InvokeError, Outcome};
use crate::template::Authorization;

/// A request that its route's authorizer let through.
struct Admitted<'gateway> {
    selected: Selected<'gateway>,
    raw_path: String,
    admission: Admission<'gateway>,
}

/// What the authorizer says of the head.
enum Admission<'gateway> {
    /// Whoever it is.
    Open,
    /// This one.
    Known(Caller),
    /// This one, if the body is the one that was signed.
    Claimed(Claim<'gateway>),
}

impl<I: Invoke> Gateway<I> {
    /// Answers a request of `client` to the gateway that listens on `server`.
    pub(crate) async fn handle(&self, client: SocketAddr, server: SocketAddr, request: Request<Incoming>) -> HttpResponse {
        let (head, mut body) = request.into_parts();
        if let Some(beside) = self.beside(&head) {
            return beside.answer(head, body).await;
        }
        let request_id = new_request_id();
        let mut log = AccessLog::start(&head, &request_id, self.settings.requests.clone());
        let origin = Origin {
            account_id: &self.settings.account_id,
            api_id: &self.settings.api_id,
            request_id: &request_id,
            client: client.ip().to_canonical(),
            server,
            now: OffsetDateTime::now_utc(),
        };
        let answer = self.answer(&head, &mut body, &origin, &mut log).await;
        let mut response = answer.unwrap_or_else(Refusal::into_response);
        limits::discard(&mut body, &head).await;
        if let Ok(value) = HeaderValue::try_from(&request_id) {
            response.headers_mut().insert("apigw-requestid", value);
        }
        log.answered(response.status());
        response
    }

    /// What answers in place of the API: only where no route takes the request, and within the quota for heads.
    fn beside(&self, head: &Parts) -> Option<&Beside> {
        let beside = self.settings.beside.as_ref().filter(|beside| (beside.takes)(head) && limits::head_fits(head))?;
        let raw_path = path::decode(head.uri.path())?;
        self.routes.select(head.method.as_str(), &raw_path).is_none().then_some(beside)
    }

    async fn answer(&self, head: &Parts, body: &mut Incoming, origin: &Origin<'_>, log: &mut AccessLog) -> Result<HttpResponse, Refusal> {
        if !limits::head_fits(head) {
            return Err(Refusal::HeadTooLarge);
        }
        if let Some(answer) = self.settings.cors.as_ref().and_then(|cors| cors::preflight(cors, head)) {
            return Ok(answer);
        }
        let admitted = self.admit(head)?;
        log.routed_to(&admitted.selected.route.function);
        let body = tokio::time::timeout(self.settings.integration_timeout, limits::read(body, BODY_LIMIT_BYTES));
        let body = body.await.unwrap_or(Err(BodyError::Broken)).map_err(|error| match error {
            BodyError::TooLarge => Refusal::TooLarge,
            BodyError::Broken => Refusal::BadRequest,
        })?;
        let caller = match admitted.admission {
            Admission::Open => None,
            Admission::Known(caller) => Some(caller),
            Admission::Claimed(claim) => Some(Caller::Iam(claim.prove(&body).map_err(|reason| unsigned(head, &reason))?)),
        };
        let event =
            event::build(head, &body, &admitted.raw_path, &admitted.selected, caller.as_ref(), origin).map_err(|_| Refusal::InternalServerError)?;
        if event.len() > EVENT_LIMIT_BYTES {
            return Err(Refusal::TooLarge);
        }
        let mut response = self.integrate(&admitted.selected.route.function, event.into()).await?;
        if let Some(cors) = &self.settings.cors {
            cors::apply(cors, head, &mut response);
        }
        Ok(response)
    }

    /// Route and authorizer: whatever else can be told before the body is read.
    fn admit(&self, head: &Parts) -> Result<Admitted<'_>, Refusal> {
        // CONNECT names no path, and a tunnel is nothing that a function could answer.
        if head.method == Method::CONNECT {
            return Err(Refusal::NotFound);
        }
        let raw_path = path::decode(head.uri.path()).ok_or(Refusal::BadRequest)?;
        let selected = self.routes.select(head.method.as_str(), &raw_path).ok_or(Refusal::NotFound)?;
        let admission = match &selected.route.authorization {
            Authorization::Open => Admission::Open,
            Authorization::Iam => {
                let iam = self.settings.iam.as_ref().ok_or(Refusal::InternalServerError)?;
                Admission::Claimed(iam.examine(head, SystemTime::now()).map_err(|reason| unsigned(head, &reason))?)
            }
            Authorization::Jwt(authorizer) => {
                let keys = self.settings.keys.as_deref().ok_or(Refusal::InternalServerError)?;
                Admission::Known(Caller::Jwt(authorizer::verify(authorizer, keys, &head.headers, SystemTime::now())?))
            }
        };
        Ok(Admitted { selected, raw_path, admission })
    }

    /// Runs the function in a task of its own: Lambda finishes an invocation whose caller has gone.
    async fn integrate(&self, function: &str, event: Bytes) -> Result<HttpResponse, Refusal> {
        let invocation = tokio::spawn({
            let (invoke, function) = (self.invoke.clone(), function.to_owned());
            async move { invoke.invoke(&function, event).await }
        });
        let outcome = match tokio::time::timeout(self.settings.integration_timeout, invocation).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(error)) => {
                tracing::error!(function, %error, "the task of an invocation died");
                return Err(Refusal::InternalServerError);
            }
            Err(_) => {
                tracing::warn!(function, "the function did not answer within the integration timeout and runs on");
                return Err(Refusal::ServiceUnavailable);
            }
        };
        match outcome {
            Ok(Outcome { result: Ok(payload), request_id }) => response::from_payload(payload).inspect_err(|_| {
                tracing::error!(function, invocation = request_id, "the function's answer is not a response of payload format 2.0");
            }),
            // The function's own logs tell more than its error would here.
            Ok(Outcome { result: Err(error), request_id }) => {
                tracing::warn!(function, invocation = request_id, kind = ?error.kind, "the function failed");
                Err(Refusal::InternalServerError)
            }
            Err(error) => {
                tracing::warn!(function, %error, "the function was not started");
                Err(match error {
                    InvokeError::TooManyRequests | InvokeError::ShuttingDown => Refusal::ServiceUnavailable,
                    InvokeError::UnknownFunction(_) | InvokeError::InvalidPayload(_) => Refusal::InternalServerError,
                })
            }
        }
    }
}

/// The client is told nothing of the reason, so the log is.
fn unsigned(head: &Parts, reason: &iam::Refusal) -> Refusal {
    tracing::warn!(method = %head.method, path = head.uri.path(), %reason, "a request's signature is not accepted");
    Refusal::Forbidden(None)
}

/// Fifteen characters and an equals sign, as the ids of HTTP APIs look: the base64 of eleven bytes.
fn new_request_id() -> String {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE;
    let mut bytes = [0; 11];
    fastrand::fill(&mut bytes);
    URL_SAFE.encode(bytes)
}
