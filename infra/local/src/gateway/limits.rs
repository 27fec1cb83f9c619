//! The sizes that API Gateway and Lambda refuse.
//!
//! HTTP API quotas: <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-quotas.html>. Lambda quotas:
//! <https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::request::Parts;
use http_body_util::BodyExt as _;
use hyper::body::Body;

/// "Total combined size of request line and header values".
const HEAD_LIMIT_BYTES: usize = 10_240;

/// "Payload size": 10 MB.
pub(crate) const BODY_LIMIT_BYTES: usize = 10 * 1024 * 1024;

/// The largest event that Lambda's Invoke API takes, as its error message states it.
pub(crate) const EVENT_LIMIT_BYTES: usize = 6_291_556;

/// How much of a refused body is read and thrown away. The connection can then go on, and a client that writes all of its body before it
/// reads sees the answer, which some systems lose when a connection is closed on unread data. More than this is cut off.
const DISCARD_LIMIT_BYTES: usize = 2 * BODY_LIMIT_BYTES;

/// How long a refused body may take.
const DISCARD_TIMEOUT: Duration = Duration::from_secs(10);

/// Why there is no body.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum BodyError {
    /// Larger than the limit. Nothing beyond the limit was kept.
    TooLarge,
    /// The client went away or broke the framing.
    Broken,
}

/// Whether request line and header values are within the quota.
pub(crate) fn head_fits(head: &Parts) -> bool {
    let request_line_bytes = format!("{} {} {:?}", head.method, head.uri, head.version).len();
    let value_bytes: usize = head.headers.values().map(|value| value.len()).sum();
    request_line_bytes + value_bytes <= HEAD_LIMIT_BYTES
}

/// Reads the body, as far as it is not larger than `limit_bytes`. An announced length above it is refused before the first byte.
pub(crate) async fn read<B>(body: &mut B, limit_bytes: usize) -> Result<Bytes, BodyError>
where
    B: Body<Data = Bytes> + Unpin,
{
    if body.size_hint().lower() > limit_bytes as u64 {
        return Err(BodyError::TooLarge);
    }
    let mut collected = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| BodyError::Broken)?.into_data() else {
            continue; // trailers
        };
        if collected.len() + data.len() > limit_bytes {
            return Err(BodyError::TooLarge);
        }
        collected.extend_from_slice(&data);
    }
    Ok(collected.freeze())
}

/// Throws away what a refused client is still sending, within bounds. One that waits for `100 Continue` is not asked to send.
pub(crate) async fn discard<B>(body: &mut B, head: &Parts)
where
    B: Body<Data = Bytes> + Unpin,
{
    if body.is_end_stream() || head.headers.contains_key(http::header::EXPECT) {
        return;
    }
    let thrown_away = async {
        let mut seen_bytes = 0;
        while let Some(Ok(frame)) = body.frame().await {
            seen_bytes += frame.data_ref().map_or(0, Bytes::len);
            if seen_bytes > DISCARD_LIMIT_BYTES {
                return;
            }
        }
    };
    // Past the time it is the client's loss: the connection is closed under it.
    let _ = tokio::time::timeout(DISCARD_TIMEOUT, thrown_away).await;
}
