//! The IAM authorizer: requests that are signed with Signature Version 4 in the `Authorization` header, for the service `execute-api`.
//!
//! Refused is what the credentials, the time or the signature speak against, always with 403 and `{"message":"Forbidden"}`; the reason stands
//! in the local cloud's log alone. What the head tells is checked before the body is read.
//!
//! Not established for API Gateway, and strict here: a date other than `x-amz-date`, signatures in the query string, a `+` in the query string
//! or an empty or relative segment of the path (signers do not agree on either), and headers that are not UTF-8. Policies are not known here:
//! whoever has the credentials may `execute-api:Invoke` every route that asks for a signature.

mod authorization;
mod canonical;
mod refusal;
#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
pub(super) mod signer;
#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
mod tests;

use std::collections::BTreeMap;
use std::time::SystemTime;

use http::header::AUTHORIZATION;
use http::request::Parts;
use http::{HeaderMap, HeaderName};
use serde::Serialize;

use self::authorization::Authorization;
use self::canonical::CanonicalHead;
pub(crate) use self::refusal::Refusal;
use crate::sigv4::{CLOCK_SKEW, LocalCredentials, Scope, Signed, moment, sha256};

/// What requests to an API are signed for.
const SERVICE: &str = "execute-api";

const DATE: &str = "x-amz-date";
const SESSION_TOKEN: &str = "x-amz-security-token";
const PAYLOAD_HASH: &str = "x-amz-content-sha256";

/// The unique id of every local role, in the form of AWS's.
const ROLE_ID: &str = "AROATHAWLOCALOPERATOR";

/// Who may sign requests to the API.
#[derive(Debug, Clone)]
pub struct IamAuthorizer {
    region: String,
    account_id: String,
    callers: BTreeMap<String, Caller>,
}

#[derive(Debug, Clone)]
struct Caller {
    credentials: LocalCredentials,
    principal: Principal,
}

/// Who signed a request: `requestContext.authorizer.iam` of the event, as "Create AWS Lambda proxy integrations for HTTP APIs" has it. What
/// does not apply is null there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Principal {
    access_key: String,
    account_id: String,
    caller_id: String,
    cognito_identity: Option<()>,
    principal_org_id: Option<()>,
    user_arn: String,
    user_id: String,
}

/// A request whose head says nothing against it. Whether the signature is right depends on the body too.
pub(crate) struct Claim<'a> {
    caller: &'a Caller,
    scope: Scope,
    date: String,
    head: CanonicalHead,
    /// In hexadecimal.
    signature: String,
    /// What the head says of the body.
    payload_hash: Option<String>,
}

impl IamAuthorizer {
    /// For an API of this account and region, which nobody may call yet.
    #[must_use]
    pub fn new(account_id: impl Into<String>, region: impl Into<String>) -> Self {
        Self { region: region.into(), account_id: account_id.into(), callers: BTreeMap::new() }
    }

    /// Lets in whoever signs with these credentials, as this session of an assumed role.
    #[must_use]
    pub fn with(mut self, credentials: &LocalCredentials, role: &str, session: &str) -> Self {
        let id = format!("{ROLE_ID}:{session}");
        let principal = Principal {
            access_key: credentials.access_key_id.clone(),
            account_id: self.account_id.clone(),
            caller_id: id.clone(),
            cognito_identity: None,
            principal_org_id: None,
            user_arn: format!("arn:aws:sts::{}:assumed-role/{role}/{session}", self.account_id),
            user_id: id,
        };
        self.callers.insert(credentials.access_key_id.clone(), Caller { credentials: credentials.clone(), principal });
        self
    }

    /// What can be told at the time `now` before the body is read.
    ///
    /// # Errors
    /// What is wrong with the request, for the log.
    pub(crate) fn examine(&self, head: &Parts, now: SystemTime) -> Result<Claim<'_>, Refusal> {
        let authorization = match one(&head.headers, AUTHORIZATION.as_str())? {
            Some(value) => Authorization::parse(&value)?,
            None if canonical::is_presigned(&head.uri) => return Err(Refusal::Presigned),
            None => return Err(Refusal::Missing(AUTHORIZATION.as_str())),
        };
        let date = one(&head.headers, DATE)?.ok_or(Refusal::Missing(DATE))?;
        let signed_at = moment(&date).ok_or(Refusal::Unacceptable(DATE))?;
        let scope = authorization.scope(&date)?;
        if scope.service != SERVICE {
            return Err(Refusal::Service(scope.service));
        }
        if scope.region != self.region {
            return Err(Refusal::Region(scope.region));
        }
        in_time(signed_at, now)?;
        let caller = self.callers.get(&scope.access_key_id).ok_or(Refusal::AccessKey)?;
        if !caller.credentials.have_session_token(one(&head.headers, SESSION_TOKEN)?.as_deref()) {
            return Err(Refusal::SessionToken);
        }
        authorization.sign_what_matters(&head.headers)?;
        let payload_hash = one(&head.headers, PAYLOAD_HASH)?;
        let head = CanonicalHead::of(head, &authorization.signed_headers)?;
        Ok(Claim { caller, scope, date, head, signature: authorization.signature, payload_hash })
    }
}

impl Claim<'_> {
    /// Whether the signature is that of the head with this body.
    ///
    /// # Errors
    /// As [`IamAuthorizer::examine`].
    pub(crate) fn prove(self, body: &[u8]) -> Result<Principal, Refusal> {
        let hash = sha256(body);
        if self.payload_hash.is_some_and(|said| said != hash) {
            return Err(Refusal::PayloadHash);
        }
        let signed = Signed { canonical_request: &self.head.with_payload(&hash), date: &self.date, scope: &self.scope };
        let Caller { credentials, principal } = self.caller;
        if signed.is_by(&credentials.secret_access_key, &self.signature) { Ok(principal.clone()) } else { Err(Refusal::Signature) }
    }
}

fn in_time(signed_at: SystemTime, now: SystemTime) -> Result<(), Refusal> {
    match now.duration_since(signed_at) {
        Ok(age) if age > CLOCK_SKEW => Err(Refusal::Expired(age)),
        Err(ahead) if ahead.duration() > CLOCK_SKEW => Err(Refusal::Future(ahead.duration())),
        _ => Ok(()),
    }
}

/// The one value of a header, as text.
fn one(headers: &HeaderMap, name: &'static str) -> Result<Option<String>, Refusal> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => canonical::text(&HeaderName::from_static(name), value).map(Some),
        (Some(_), Some(_)) => Err(Refusal::Repeated(name)),
    }
}
