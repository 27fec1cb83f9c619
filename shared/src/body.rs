//! The body of a request: JSON of one type, strictly.
//!
//! What is not that JSON is malformed (400) and says where; what is, and holds values that are not allowed, is invalid (422) and names each
//! field. No field is ignored, none may stand twice, and no number is rounded.

use std::borrow::Cow;

use garde::Validate;
use http::header;
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize as _, Deserializer};
use uuid::Uuid;

use crate::error::Error;
use crate::http::Request;
use crate::refusal::{CONTENT_TOO_LARGE, FieldError, INVALID, Refusal, UNSUPPORTED_MEDIA_TYPE};

/// More than the longest body of any route takes, each of whose characters may be written as an escape of twelve bytes.
pub const BODY_MAX_BYTES: usize = 64 * 1024;

/// Reads the body of a request whose `Content-Type` is one of these.
///
/// # Errors
/// [`Error::Refused`] with 415 for another type, 413 for a body past [`BODY_MAX_BYTES`] and 422 for values that are not allowed;
/// [`Error::Malformed`] for anything that is not JSON of this type.
pub(crate) fn read<T>(request: &Request, media_types: &[&str]) -> Result<T, Error>
where
    T: DeserializeOwned + Validate<Context = ()>,
{
    let media_type =
        request.header(header::CONTENT_TYPE.as_str())?.map(|value| value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase());
    if !media_type.is_some_and(|media_type| media_types.contains(&&*media_type)) {
        return Err(UNSUPPORTED_MEDIA_TYPE.because(format!("Content-Type must be {}.", media_types.join(" or "))).into());
    }
    let text = text(&request.body()?)?;
    let value: T = parse(&text)?;
    match value.validate() {
        Ok(()) => Ok(value),
        Err(report) => Err(invalid(&report).into()),
    }
}

fn text(bytes: &[u8]) -> Result<String, Error> {
    if bytes.len() > BODY_MAX_BYTES {
        return Err(CONTENT_TOO_LARGE.because(format!("A body has at most {BODY_MAX_BYTES} bytes.")).into());
    }
    String::from_utf8(bytes.to_vec()).map_err(|error| Error::malformed(format!("body: is not UTF-8 at byte {}", error.utf8_error().valid_up_to())))
}

fn parse<T: DeserializeOwned>(text: &str) -> Result<T, Error> {
    // serde would also take the fields' values in an array, without their names.
    if !text.trim_ascii_start().starts_with('{') {
        return Err(Error::malformed("body: must be a JSON object"));
    }
    let mut json = serde_json::Deserializer::from_str(text);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        // Where the path is only the whole, or broke off, the message names the field or the place itself.
        let place = if matches!(&*path, "." | "?") { "body".to_owned() } else { path };
        Error::malformed(format!("{place}: {}", error.into_inner()))
    })?;
    json.end().map_err(|error| Error::malformed(format!("body: {error}")))?;
    Ok(value)
}

/// For `deserialize_with`: an id in the one form that the answers have, so that one wish has one payload.
///
/// # Errors
/// Any other text, and what is no text.
pub fn uuid<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Uuid, D::Error> {
    let text = Cow::<str>::deserialize(deserializer)?;
    canonical_uuid(&text).ok_or_else(|| D::Error::custom("must be an id as the answers give it"))
}

/// The UUID of a text that is written as the answers write it.
pub(crate) fn canonical_uuid(text: &str) -> Option<Uuid> {
    Uuid::try_parse(text).ok().filter(|uuid| uuid.to_string() == text)
}

fn invalid(report: &garde::Report) -> Refusal {
    let fields: Vec<_> = report.iter().map(|(path, error)| FieldError { field: path.to_string(), detail: error.message().to_owned() }).collect();
    let sentences: Vec<_> =
        fields.iter().map(|error| if error.field.is_empty() { error.detail.clone() } else { format!("{}: {}", error.field, error.detail) }).collect();
    Refusal { fields, ..INVALID.because(sentences.join("; ")) }
}
