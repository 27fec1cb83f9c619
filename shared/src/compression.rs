//! Compressed lists, where that pays. Items are never compressed: their strong tag stands for their bytes.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use http::{HeaderValue, header};

use crate::http::Response;

/// Shorter ones fit into one packet as they are.
const PAYS_FROM_BYTES: usize = 1_400;

/// Whether `Accept-Encoding` takes gzip (RFC 9110, section 12.5.3).
pub(crate) fn is_accepted(accept_encoding: Option<&str>) -> bool {
    let weight = |coding: &str| {
        let mut parts = coding.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default().to_ascii_lowercase();
        let weight = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q="))).map_or(Some(1.0), |q| q.parse::<f32>().ok());
        (name, weight.unwrap_or(0.0))
    };
    let codings: Vec<_> = accept_encoding.unwrap_or_default().split(',').map(weight).collect();
    let of = |wanted: &[&str]| codings.iter().find(|(name, _)| wanted.contains(&&**name)).map(|(_, weight)| *weight > 0.0);
    of(&["gzip", "x-gzip"]).or_else(|| of(&["*"])).unwrap_or(false)
}

/// The same response, compressed if it is long enough.
pub(crate) fn compress(response: Response) -> Response {
    if response.body().len() < PAYS_FROM_BYTES {
        return response;
    }
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    match gzip.write_all(response.body().as_bytes()).and_then(|()| gzip.finish()) {
        Ok(bytes) => response.with_header(header::CONTENT_ENCODING, HeaderValue::from_static("gzip")).sent_as(bytes),
        // Memory does not fail to be written to.
        Err(_) => response,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_is_taken_by_who_says_so() {
        for (header, expected) in [
            (Some("gzip"), true),
            (Some("br, GZIP;q=0.5"), true),
            (Some("deflate, *"), true),
            (Some("*;q=0"), false),
            (Some("gzip;q=0, *"), false),
            (Some("gzip; q=0.0"), false),
            (Some("gzip;q=x"), false),
            (Some("identity"), false),
            (Some(""), false),
            (None, false),
        ] {
            assert_eq!(is_accepted(header), expected, "{header:?}");
        }
    }
}
