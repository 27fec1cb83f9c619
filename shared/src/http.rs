//! A request of API Gateway's HTTP API and the response to it.
//!
//! The event is payload format 2.0: <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html>.
//! It is read here and not by `lambda_http`, because there an event of another shape ends as a runtime error, while callers by
//! `sam local invoke` are owed a 400 that says what is missing.

use std::borrow::Cow;
use std::time::{Instant, SystemTime};

use aws_lambda_events::apigw::{ApiGatewayV2httpRequest, ApiGatewayV2httpResponse};
use aws_lambda_events::encodings::Body;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use garde::Validate;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use crate::config::Config;
use crate::deadline::Deadline;
use crate::error::Error;
use crate::etag::{Tags, text_tag, version_tag};
use crate::identity::{Identity, Operator};
use crate::refusal::{FORBIDDEN, NOT_FOUND, PRECONDITION_REQUIRED};
use crate::{body, compression};

/// One request.
pub struct Request {
    event: ApiGatewayV2httpRequest,
    deadline: Deadline,
    request_id: String,
}

/// Without its headers, which hold the caller's token, and without its claims, query and body.
impl std::fmt::Debug for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (method, path, request_id) = (self.method(), self.path(), &self.request_id);
        f.debug_struct("Request").field("method", method).field("path", &path).field("request_id", request_id).finish_non_exhaustive()
    }
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

    /// A header's value; where several of one name were sent, they come joined by commas.
    ///
    /// # Errors
    /// [`Error::Malformed`] where it is not visible ASCII.
    pub fn header(&self, name: &str) -> Result<Option<&str>, Error> {
        let value = self.event.headers.get(name);
        value.map(|value| value.to_str().map_err(|_| Error::malformed(format!("{name}: must be visible ASCII characters")))).transpose()
    }

    /// A variable of the route's path that is a UUID. One that is none names nothing, as one that is unknown.
    ///
    /// # Errors
    /// [`Error::Refused`] with 404.
    pub fn path_uuid(&self, name: &str) -> Result<Uuid, Error> {
        // Only the one form that the answers have, so that one thing has one path.
        let uuid = self.event.path_parameters.get(name).and_then(|text| body::canonical_uuid(text));
        uuid.ok_or_else(|| NOT_FOUND.because(format!("{name} must be an id as the list gives it.")).into())
    }

    /// Whether the route's path has this variable.
    #[must_use]
    pub fn has_path_variable(&self, name: &str) -> bool {
        self.event.path_parameters.contains_key(name)
    }

    /// The body: JSON of this type, strictly, within [`crate::body::BODY_MAX_BYTES`].
    ///
    /// # Errors
    /// [`Error::Refused`] with 413, 415 or 422, or [`Error::Malformed`]; each names what was wrong.
    pub fn json<T: DeserializeOwned + Validate<Context = ()>>(&self) -> Result<T, Error> {
        body::read(self, &["application/json"])
    }

    /// As [`Request::json`], for the fields of a change (RFC 7396, but that no field can be removed).
    ///
    /// # Errors
    /// As [`Request::json`].
    pub fn json_change<T: DeserializeOwned + Validate<Context = ()>>(&self) -> Result<T, Error> {
        body::read(self, &["application/merge-patch+json", "application/json"])
    }

    /// The body's bytes.
    ///
    /// # Errors
    /// [`Error::Malformed`] where the event says that they are Base64, and they are not.
    pub(crate) fn body(&self) -> Result<Cow<'_, [u8]>, Error> {
        let text = self.event.body.as_deref().unwrap_or_default();
        if !self.event.is_base64_encoded {
            return Ok(text.as_bytes().into());
        }
        STANDARD.decode(text).map(Cow::from).map_err(|_| Error::malformed("body: is not the Base64 that the event says it is"))
    }

    /// The versions that `If-Match` allows; none where any may be.
    ///
    /// # Errors
    /// [`Error::Refused`] with 428 where the header is missing, [`Error::Malformed`] where it is no list of entity tags.
    pub fn required_versions(&self) -> Result<Option<Vec<i64>>, Error> {
        let text = self.header("if-match")?.ok_or_else(|| PRECONDITION_REQUIRED.because("Send If-Match with the ETag of what you read."))?;
        Tags::parse(text).map(|tags| tags.versions()).map_err(|error| Error::malformed(format!("If-Match: {error}")))
    }

    /// Whether the client has what this tag stands for, by `If-None-Match`.
    fn has(&self, tag: &str) -> Result<bool, Error> {
        let Some(text) = self.header("if-none-match")? else { return Ok(false) };
        Tags::parse(text).map(|tags| tags.match_weakly(tag)).map_err(|error| Error::malformed(format!("If-None-Match: {error}")))
    }

    /// A 200 with an item and its tag, or a 304 where the client has it.
    ///
    /// # Errors
    /// [`Error::Malformed`] where `If-None-Match` is no list of entity tags.
    pub fn item(&self, version: i64, body: String) -> Result<Response, Error> {
        let tag = version_tag(version);
        Response::tagged(self.has(&tag)?, &tag, body)
    }

    /// A 200 with a list and its tag, compressed where that pays, or a 304 where the client has it.
    ///
    /// # Errors
    /// [`Error::Malformed`] where `If-None-Match` is no list of entity tags.
    pub fn list(&self, page: &impl Serialize) -> Result<Response, Error> {
        let body = serde_json::to_string(page).map_err(Error::internal)?;
        let tag = text_tag(&body);
        let response = Response::tagged(self.has(&tag)?, &tag, body)?;
        // One that cannot be read asks for nothing.
        let accept_encoding = self.header("accept-encoding").unwrap_or_default();
        Ok(if compression::is_accepted(accept_encoding) { compression::compress(response) } else { response })
    }

    /// Who sends this, from the claims that the API's authorizer verified.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`] where there are none, or where they name no subject.
    pub fn identity(&self) -> Result<Identity, Error> {
        let jwt = self.event.request_context.authorizer.as_ref().and_then(|authorizer| authorizer.jwt.as_ref());
        jwt.and_then(|jwt| Identity::from_claims(&jwt.claims)).ok_or(Error::Unauthenticated)
    }

    /// Which operator sends this, from the signature that the API verified.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`] where nothing was verified, [`Error::Refused`] with 403 where something else was.
    pub fn operator(&self) -> Result<Operator, Error> {
        let Some(authorizer) = &self.event.request_context.authorizer else { return Err(Error::Unauthenticated) };
        let arn = authorizer.iam.as_ref().and_then(|iam| iam.user_arn.as_deref());
        Operator::from_arn(arn).ok_or_else(|| FORBIDDEN.because("Send a request that is signed with AWS credentials (SigV4).").into())
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
    /// What goes out in place of the body.
    compressed: Option<Vec<u8>>,
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
        Self { status, headers, body, compressed: None }
    }

    /// A 200 that belongs to one person: caches keep it for nobody else, and ask before they use it again.
    pub fn personal(body: &impl Serialize) -> Self {
        Self::json(StatusCode::OK, body).made_personal()
    }

    /// As [`Response::personal`], of JSON that is written already; none for an empty text.
    pub(crate) fn personal_text(status: StatusCode, body: String) -> Self {
        let json = (!body.is_empty()).then(|| (header::CONTENT_TYPE, HeaderValue::from_static("application/json")));
        Self { status, headers: json.into_iter().collect(), body, compressed: None }.made_personal()
    }

    fn made_personal(self) -> Self {
        self.with_header(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"))
            .with_header(header::VARY, HeaderValue::from_static("Authorization, Accept-Encoding"))
    }

    fn tagged(client_has_it: bool, tag: &str, body: String) -> Result<Self, Error> {
        let (status, body) = if client_has_it { (StatusCode::NOT_MODIFIED, String::new()) } else { (StatusCode::OK, body) };
        Ok(Self::personal_text(status, body).with_header(header::ETAG, HeaderValue::try_from(tag).map_err(Error::internal)?))
    }

    /// The same response, which goes out as these bytes.
    pub(crate) fn sent_as(mut self, compressed: Vec<u8>) -> Self {
        self.compressed = Some(compressed);
        self
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
        (event.body, event.is_base64_encoded) = match self.compressed {
            Some(bytes) => (Some(Body::Binary(bytes)), true),
            None => (Some(Body::Text(self.body)), false),
        };
        event
    }
}
