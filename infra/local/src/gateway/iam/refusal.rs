//! Why a signed request was refused.

use std::time::Duration;

/// For the log: the client is told none of this. Holds no secret and no signature.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    /// A header is missing.
    #[error("it has no {0}")]
    Missing(&'static str),
    /// A header that says one thing stands twice.
    #[error("it has {0} twice")]
    Repeated(&'static str),
    /// It is signed in the query string.
    #[error("it is signed in the query string, which is not verified here: sign the Authorization header")]
    Presigned,
    /// The Authorization header is no signature.
    #[error("its Authorization is not AWS4-HMAC-SHA256 Credential=…, SignedHeaders=…, Signature=…: {0}")]
    Malformed(&'static str),
    /// Something has a value that it cannot have.
    #[error("its {0} is not what it must be")]
    Unacceptable(&'static str),
    /// It is signed for another region.
    #[error("it is signed for the region {0:?}")]
    Region(String),
    /// It is signed for another service.
    #[error("it is signed for the service {0:?}, not for execute-api")]
    Service(String),
    /// Its time is over.
    #[error("it was signed {0:?} ago")]
    Expired(Duration),
    /// Its time has not come.
    #[error("it is dated {0:?} ahead")]
    Future(Duration),
    /// Nobody here has this access key id.
    #[error("its access key id is unknown")]
    AccessKey,
    /// The credentials have a session token, and it has none or another; or the other way round.
    #[error("its session token is missing or another")]
    SessionToken,
    /// A header that has to be signed is not.
    #[error("its header {0} is not signed")]
    Unsigned(String),
    /// A header was signed that did not come along.
    #[error("it has no header {0:?}, which was signed")]
    Absent(String),
    /// A header's value is no text.
    #[error("its header {0} is not UTF-8")]
    NotText(String),
    /// The path is not the same for all signers.
    #[error("its path {0}")]
    Path(&'static str),
    /// The query string is not the same for all signers.
    #[error("its query string {0}")]
    Query(&'static str),
    /// The body is not the one that `x-amz-content-sha256` says.
    #[error("its body is not the one of its x-amz-content-sha256")]
    PayloadHash,
    /// It was signed with another secret, or changed afterwards.
    #[error("its signature is wrong")]
    Signature,
}
