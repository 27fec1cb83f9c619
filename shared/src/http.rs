//! A request of API Gateway's HTTP API and the response to it.
//!
//! The event is payload format 2.0: <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html>.
//! It is read here and not by `lambda_http`, because there an event of another shape ends as a runtime error, while callers by
//! `sam local invoke` are owed a 400 that says what is missing.

use std::time::{Instant, SystemTime};

use aws_lambda_events::apigw::{ApiGatewayV2httpRequest, ApiGatewayV2httpResponse};
use aws_lambda_events::encodings::Body;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use serde::Serialize;

use crate::config::Config;
use crate::deadline::Deadline;
use crate::error::Error;
use crate::identity::Identity;

/// One request.
#[derive(Debug)]
pub struct Request {
    event: ApiGatewayV2httpRequest,
    deadline: Deadline,
    request_id: String,
}

impl Request {
    /// Reads the event of an invocation that Lambda will kill at `killed_at_ms` (milliseconds since the Unix epoch).
    ///
    /// # Errors
    /// [`Error::Malformed`] where the event is not an HTTP API request in payload format 2.0.
    pub(crate) fn from_event(event: &[u8], request_id: &str, killed_at_ms: u64, config: &Config) -> Result<Self, Error> {
        let event: ApiGatewayV2httpRequest = serde_json::from_slice(event)
            .map_err(|error| Error::malformed(format!("the event is not an HTTP API request in payload format 2.0: {error}")))?;
        if event.version.as_deref() != Some("2.0") {
            return Err(Error::malformed("the event is not an HTTP API request in payload format 2.0: its version is not \"2.0\""));
        }
        let deadline = Deadline::of_invocation(killed_at_ms, config.budget, config.reserve, SystemTime::now(), Instant::now());
        Ok(Self { event, deadline, request_id: request_id.to_owned() })
    }

    /// The method.
    #[must_use]
    pub fn method(&self) -> &Method {
        &self.event.request_context.http.method
    }

    /// The path as the client sent it.
    #[must_use]
    pub fn path(&self) -> &str {
        self.event.raw_path.as_deref().unwrap_or("/")
    }

    /// When the work for this request has to be done.
    #[must_use]
    pub fn deadline(&self) -> Deadline {
        self.deadline
    }

    /// Lambda's id of this invocation.
    #[must_use]
    pub fn request_id(&self) -> &str {
        &self.request_id
    }

    /// A query parameter, percent-decoded.
    ///
    /// # Errors
    /// [`Error::Malformed`] where it stands more than once.
    pub fn query(&self, name: &str) -> Result<Option<String>, Error> {
        // Only rawQueryString is unambiguous: queryStringParameters joins repeated values by commas.
        let query = self.event.raw_query_string.as_deref().unwrap_or_default();
        let mut values = url::form_urlencoded::parse(query.as_bytes()).filter(|(key, _)| key == name).map(|(_, value)| value.into_owned());
        match (values.next(), values.next()) {
            (value, None) => Ok(value),
            (_, Some(_)) => Err(Error::malformed(format!("{name}: stands more than once in the query; send it once"))),
        }
    }

    /// Who sends this, from the claims that the API's authorizer verified.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`] where there are none, or where they name no subject.
    pub fn identity(&self) -> Result<Identity, Error> {
        let jwt = self.event.request_context.authorizer.as_ref().and_then(|authorizer| authorizer.jwt.as_ref());
        jwt.and_then(|jwt| Identity::from_claims(&jwt.claims)).ok_or(Error::Unauthenticated)
    }

    /// Passes where the method is one of these.
    ///
    /// # Errors
    /// [`Error::MethodNotAllowed`] otherwise.
    pub fn allow(&self, methods: &'static [Method]) -> Result<(), Error> {
        if methods.contains(self.method()) { Ok(()) } else { Err(Error::MethodNotAllowed { allowed: methods }) }
    }
}

/// One response, with a text body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    status: StatusCode,
    headers: HeaderMap,
    body: String,
}

impl Response {
    /// A JSON body. A value that cannot be JSON, which none of the bundle's types is, gives 500.
    pub fn json(status: StatusCode, body: &impl Serialize) -> Self {
        let (status, body) = match serde_json::to_string(body) {
            Ok(text) => (status, text),
            Err(error) => {
                tracing::error!(%error, "a response could not be written as JSON");
                (StatusCode::INTERNAL_SERVER_ERROR, "{}".to_owned())
            }
        };
        let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
        Self { status, headers, body }
    }

    /// A 200 that belongs to one person: caches keep it for nobody else, and ask before they use it again.
    pub fn personal(body: &impl Serialize) -> Self {
        Self::json(StatusCode::OK, body)
            .with_header(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"))
            .with_header(header::VARY, HeaderValue::from_static("Authorization, Accept-Encoding"))
    }

    /// The same response with a header set, in place of an earlier value.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// The status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The body.
    #[must_use]
    pub fn body(&self) -> &str {
        &self.body
    }

    /// A header's value, where it is text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    pub(crate) fn into_event(self) -> ApiGatewayV2httpResponse {
        let mut event = ApiGatewayV2httpResponse::default();
        event.status_code = self.status.as_u16().into();
        event.headers = self.headers;
        event.body = Some(Body::Text(self.body));
        event
    }
}
