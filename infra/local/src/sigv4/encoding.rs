//! Percent-encoding as Signature Version 4 has it: RFC 3986, where a space is `%20` and `+` stands for itself.

use std::fmt::Display;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// `UriEncode`: everything but letters, digits and these.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

pub(crate) fn encoded(text: &str) -> impl Display {
    utf8_percent_encode(text, ENCODED)
}

/// Undoes it; `None` where an escape is broken or the bytes are not UTF-8.
pub(crate) fn decoded(text: &str) -> Option<String> {
    let after_percent = text.split('%').skip(1);
    if !after_percent.into_iter().all(|rest| rest.len() >= 2 && rest.bytes().take(2).all(|byte| byte.is_ascii_hexdigit())) {
        return None;
    }
    percent_decode_str(text).decode_utf8().ok().map(std::borrow::Cow::into_owned)
}
