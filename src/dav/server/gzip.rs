//! Bodies packed with gzip (RFC 9110 §8.4.1.3): answers for clients that take them, and requests that come so.
//!
//! Answers are packed as they are written, page by page, so that memory stays flat. What comes in is unpacked only up to
//! the limit of what it is: a small body that unpacks to gigabytes costs no more than any other that is too large.

use std::io::{Read as _, Write as _};

use axum::body::BodyDataStream;
use bytes::Bytes;
use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use futures_util::{StreamExt as _, stream};
use http::header::{
    ACCEPT_ENCODING, ACCEPT_RANGES, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderValue, VARY,
};
use http::{Response, StatusCode};
use http_body::Body as _;

use crate::dav::upstream::Body;

/// Octets below which packing saves nothing that anybody would notice.
const WORTH_PACKING: u64 = 1024;
/// Octets that are packed in one go, before others get their turn.
const PIECE: usize = 64 << 10;

/// Why a body cannot be unpacked.
#[derive(Debug, thiserror::Error)]
pub(super) enum UnpackError {
    /// More octets than allowed.
    #[error("the body unpacks to more than {0} octets")]
    TooLarge(usize),
    /// Not what its header says.
    #[error("the body is not gzip: {0}")]
    Broken(std::io::Error),
    /// Packed in another way.
    #[error("bodies are taken as they are or with gzip")]
    Unknown,
}

/// Whether `Accept-Encoding` takes gzip.
pub(super) fn is_accepted(headers: &HeaderMap) -> bool {
    let values = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|v| v.to_str().ok());
    values.flat_map(|v| v.split(',')).any(|coding| {
        let mut parts = coding.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default();
        let refused = parts.any(|p| p.strip_prefix("q=").and_then(|q| q.trim().parse::<f32>().ok()) == Some(0.0));
        ["gzip", "x-gzip"].iter().any(|n| n.eq_ignore_ascii_case(name)) && !refused
    })
}

/// The answer, packed where it is a text that is long enough.
pub(super) fn pack(response: Response<Body>) -> Response<Body> {
    // Of what comes in parts, the parts would not fit together.
    let is_whole = response.status() != StatusCode::PARTIAL_CONTENT
        && ![CONTENT_ENCODING, ACCEPT_RANGES].iter().any(|name| response.headers().contains_key(name));
    let is_long = response.body().size_hint().exact().is_none_or(|length| length >= WORTH_PACKING);
    if !is_whole || !is_long || !is_text(response.headers()) {
        return response;
    }
    let (mut head, body) = response.into_parts();
    head.headers.remove(CONTENT_LENGTH);
    head.headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    head.headers.append(VARY, HeaderValue::from_static("Accept-Encoding"));
    Response::from_parts(head, packed(body.into_data_stream()))
}

fn is_text(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim_end();
    kind.starts_with("text/") || ["/xml", "+xml", "/json", "+json"].iter().any(|ending| kind.ends_with(ending))
}

struct Packer {
    body: BodyDataStream,
    /// What was read and is not yet packed.
    pending: Bytes,
    encoder: GzEncoder<Vec<u8>>,
}

fn packed(body: BodyDataStream) -> Body {
    let encoder = GzEncoder::new(Vec::new(), Compression::fast());
    let packer = Packer { body, pending: Bytes::new(), encoder };
    Body::from_stream(stream::try_unfold(Some(packer), |packer| async move {
        let Some(mut packer) = packer else { return Ok::<_, axum::Error>(None) };
        loop {
            if packer.pending.is_empty() {
                match packer.body.next().await {
                    Some(chunk) => packer.pending = chunk?,
                    None => {
                        let rest = packer.encoder.finish().map_err(axum::Error::new)?;
                        return Ok(Some((Bytes::from(rest), None)));
                    }
                }
            }
            let piece = packer.pending.split_to(packer.pending.len().min(PIECE));
            packer.encoder.write_all(&piece).map_err(axum::Error::new)?;
            if packer.pending.is_empty() {
                // The end of a page: what there is goes out.
                packer.encoder.flush().map_err(axum::Error::new)?;
            } else {
                tokio::task::yield_now().await;
            }
            let out = std::mem::take(packer.encoder.get_mut());
            if !out.is_empty() {
                return Ok(Some((Bytes::from(out), Some(packer))));
            }
        }
    }))
}

/// The body as it was before it was packed, of at most `limit` octets.
pub(super) fn unpack(headers: &HeaderMap, body: Bytes, limit: usize) -> Result<Bytes, UnpackError> {
    let Some(coding) = headers.get(CONTENT_ENCODING) else { return Ok(body) };
    match coding.as_bytes().trim_ascii().to_ascii_lowercase().as_slice() {
        b"" | b"identity" => Ok(body),
        b"gzip" | b"x-gzip" => {
            let mut out = Vec::new();
            let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
            MultiGzDecoder::new(body.as_ref()).take(most).read_to_end(&mut out).map_err(UnpackError::Broken)?;
            if out.len() > limit { Err(UnpackError::TooLarge(limit)) } else { Ok(Bytes::from(out)) }
        }
        _ => Err(UnpackError::Unknown),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bomb_is_put_out() {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        for _ in 0..64 {
            encoder.write_all(&[0; 1 << 16]).unwrap();
        }
        let bomb = Bytes::from(encoder.finish().unwrap());
        assert!(bomb.len() < 10_000);
        let headers = HeaderMap::from_iter([(CONTENT_ENCODING, HeaderValue::from_static("gzip"))]);
        assert!(matches!(unpack(&headers, bomb.clone(), 100_000), Err(UnpackError::TooLarge(100_000))));
        assert_eq!(unpack(&headers, bomb.clone(), 4 << 20).unwrap().len(), 4 << 20);
        assert!(matches!(
            unpack(&headers, bomb.slice(..20), 100),
            Err(UnpackError::Broken(_) | UnpackError::TooLarge(_))
        ));
    }

    #[test]
    fn only_those_who_take_gzip_get_it() {
        for (value, expected) in [
            ("gzip", true),
            ("deflate, gzip;q=0.5", true),
            ("gzip;q=0", false),
            ("gzip; q=0.0, br", false),
            ("br, deflate", false),
            ("", false),
        ] {
            let headers = HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static(value))]);
            assert_eq!(is_accepted(&headers), expected, "{value}");
        }
    }
}
