//! What a client says of a model, and its limits. The schema checks the same ones (`infra/migrations`), and `infra/openapi.yaml` states them.

use garde::Validate;
use serde::{Deserialize, Deserializer, Serialize};

const TITLE_MAX_CHARS: usize = 200;
const DESCRIPTION_MAX_CHARS: usize = 5_000;
const PRICE_MAX_CENTS: i64 = 100_000_000;
/// 1 TiB.
const FILE_MAX_BYTES: i64 = 1_099_511_627_776;

/// A model to be published.
#[derive(Debug, Serialize, Deserialize, Validate)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewModel {
    #[garde(length(chars, min = 1, max = TITLE_MAX_CHARS), custom(one_line))]
    pub(crate) title: String,
    #[garde(length(chars, max = DESCRIPTION_MAX_CHARS), custom(storable))]
    pub(crate) description: String,
    #[garde(range(min = 0, max = PRICE_MAX_CENTS))]
    pub(crate) price_cents: i64,
    #[garde(custom(currency_code))]
    pub(crate) currency: String,
    #[garde(range(min = 1, max = FILE_MAX_BYTES))]
    pub(crate) file_bytes: i64,
}

/// What is to be different; what is absent stays.
#[derive(Debug, Serialize, Deserialize, Validate)]
#[serde(deny_unknown_fields)]
#[garde(custom(some))]
pub(crate) struct ModelChange {
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[garde(length(chars, min = 1, max = TITLE_MAX_CHARS), inner(custom(one_line)))]
    pub(crate) title: Option<String>,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[garde(length(chars, max = DESCRIPTION_MAX_CHARS), inner(custom(storable)))]
    pub(crate) description: Option<String>,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[garde(range(min = 0, max = PRICE_MAX_CENTS))]
    pub(crate) price_cents: Option<i64>,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[garde(inner(custom(currency_code)))]
    pub(crate) currency: Option<String>,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[garde(range(min = 1, max = FILE_MAX_BYTES))]
    pub(crate) file_bytes: Option<i64>,
}

/// A field that is there has a value: `null` is none.
fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

type Checked = Result<(), garde::Error>;

fn one_line(text: &str, _: &()) -> Checked {
    if text.chars().any(char::is_control) { Err(garde::Error::new("must hold no control characters")) } else { Ok(()) }
}

/// Postgres stores every character but this one.
fn storable(text: &str, _: &()) -> Checked {
    if text.contains('\0') { Err(garde::Error::new("must not hold the character U+0000")) } else { Ok(()) }
}

fn currency_code(text: &str, _: &()) -> Checked {
    let is_code = text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_uppercase());
    if is_code { Ok(()) } else { Err(garde::Error::new("must be an ISO 4217 code: three capital letters, such as EUR")) }
}

fn some(change: &ModelChange, _: &()) -> Checked {
    let ModelChange { title, description, price_cents, currency, file_bytes } = change;
    let is_empty = title.is_none() && description.is_none() && price_cents.is_none() && currency.is_none() && file_bytes.is_none();
    if is_empty { Err(garde::Error::new("must name at least one field to change")) } else { Ok(()) }
}
