//! Why a well-understood request is not done: a kind that clients can tell apart, and what was wrong with this one. Pure.

use http::StatusCode;
use serde::Serialize;

/// One way of being refused. Its name is the last part of the problem's `type`, and part of the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind {
    /// The status of the answer: 4xx.
    pub status: StatusCode,
    /// The stable name.
    pub name: &'static str,
    /// The same for every occurrence.
    pub title: &'static str,
}

/// There is no such thing, or it is not the caller's: the two look the same from outside.
pub const NOT_FOUND: Kind = Kind { status: StatusCode::NOT_FOUND, name: "not-found", title: "There is nothing here for the caller" };
/// The caller is known, and may not do this.
pub const FORBIDDEN: Kind = Kind { status: StatusCode::FORBIDDEN, name: "forbidden", title: "The caller may not do this" };
/// Another request with this key, or one that changes the same thing, is under way.
pub const KEY_IN_FLIGHT: Kind = Kind { status: StatusCode::CONFLICT, name: "key-in-flight", title: "The same is under way already" };
/// The version that the client knows is not the present one.
pub const PRECONDITION_FAILED: Kind =
    Kind { status: StatusCode::PRECONDITION_FAILED, name: "precondition-failed", title: "It was changed in the meantime" };
/// The body is too long.
pub const CONTENT_TOO_LARGE: Kind = Kind { status: StatusCode::PAYLOAD_TOO_LARGE, name: "content-too-large", title: "The body is too long" };
/// The body is of a type that is not understood here.
pub const UNSUPPORTED_MEDIA_TYPE: Kind =
    Kind { status: StatusCode::UNSUPPORTED_MEDIA_TYPE, name: "unsupported-media-type", title: "The body's type is not understood here" };
/// The body is well-formed, and its values are not allowed.
pub const INVALID: Kind = Kind { status: StatusCode::UNPROCESSABLE_ENTITY, name: "invalid", title: "Some values are not allowed" };
/// The key was used for another request.
pub const KEY_REUSED: Kind = Kind { status: StatusCode::UNPROCESSABLE_ENTITY, name: "key-reused", title: "The key was used for another request" };
/// A change must say which version it changes.
pub const PRECONDITION_REQUIRED: Kind =
    Kind { status: StatusCode::PRECONDITION_REQUIRED, name: "precondition-required", title: "A change must say which version it changes" };

/// One refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What kind it is.
    pub kind: Kind,
    /// What was wrong and how to mend it; never holds text from the database.
    pub detail: String,
    /// What was wrong with single fields of the body.
    pub fields: Vec<FieldError>,
    /// Seconds after which the same request may succeed.
    pub retry_after_s: Option<u32>,
}

/// What is wrong with one field of the body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FieldError {
    /// The field's name.
    pub field: String,
    /// What is wrong with it.
    pub detail: String,
}

impl Kind {
    /// A refusal of this kind.
    #[must_use]
    pub fn because(self, detail: impl Into<String>) -> Refusal {
        Refusal { kind: self, detail: detail.into(), fields: Vec::new(), retry_after_s: None }
    }
}
