//! Bad requests of every kind: each is refused with a 4xx that says what was wrong, and leaves nothing behind.

mod cases;

pub(crate) const MODELS: &str = "/api/models/user-models";
pub(crate) const PURCHASES: &str = "/api/user/purchased-models";

/// A body that is published, field by field, as JSON.
pub(crate) const FOX: [(&str, &str); 5] =
    [("title", r#""Fox""#), ("description", r#""A fox.""#), ("price_cents", "499"), ("currency", r#""EUR""#), ("file_bytes", "1024")];
