//! GET and HEAD: a file, or the part of it that is asked for, piece by piece.

use bytes::Bytes;
use futures_util::stream;
use http::header::{
    ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderName, HeaderValue,
    IF_RANGE, LAST_MODIFIED, RANGE, X_CONTENT_TYPE_OPTIONS,
};
use http::{Response, StatusCode};

use super::{FileRequest, conditions, done, not_allowed};
use crate::dav::error::DavError;
use crate::dav::precondition::quoted;
use crate::dav::server::properties::http_date;
use crate::dav::upstream::Body;
use crate::store::StoreError;
use crate::store::files::{FileContent, FileNode, PIECE, SharedFileStore};

/// Which octets of a file are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// All.
    Whole,
    /// From the first to the last, both included.
    Range(u64, u64),
    /// None that there are.
    Unsatisfiable,
}

impl FileRequest {
    /// Answers with the content of a file.
    pub(super) async fn content(self) -> Result<Response<Body>, DavError> {
        let sight = self.look(&[]).await?;
        let node = self.existing(&sight)?;
        let Some(content) = &node.content else {
            return Ok(not_allowed("A folder has no content; PROPFIND lists what is in it"));
        };
        if self.is_known_already(&sight)? {
            return Ok(with_validators(done(StatusCode::NOT_MODIFIED), node, content));
        }
        let (status, first, octets) = match self.part(node, content) {
            Part::Whole => (StatusCode::OK, 0, content.size),
            Part::Range(first, last) => (StatusCode::PARTIAL_CONTENT, first, last - first + 1),
            Part::Unsatisfiable => {
                let mut response = with_validators(done(StatusCode::RANGE_NOT_SATISFIABLE), node, content);
                insert(&mut response, CONTENT_RANGE, &format!("bytes */{}", content.size));
                return Ok(response);
            }
        };
        let mut response = with_validators(Response::new(body(&self.store, content, first, octets)), node, content);
        *response.status_mut() = status;
        insert(&mut response, CONTENT_LENGTH, &octets.to_string());
        insert(&mut response, CONTENT_TYPE, &content.media_type);
        if status == StatusCode::PARTIAL_CONTENT {
            let last = first + octets - 1;
            insert(&mut response, CONTENT_RANGE, &format!("bytes {first}-{last}/{}", content.size));
        }
        Ok(response)
    }

    fn part(&self, node: &FileNode, content: &FileContent) -> Part {
        let headers = &self.call.headers;
        let Some(range) = headers.get(RANGE).and_then(|v| v.to_str().ok()) else { return Part::Whole };
        // RFC 9110 §13.1.5: what was begun is only gone on with when it is still the same.
        if let Some(validator) = headers.get(IF_RANGE).and_then(|v| v.to_str().ok()) {
            let is_same = validator.trim() == quoted(&content.etag)
                || conditions::date(headers, &IF_RANGE) == Some(node.modified.timestamp());
            if !is_same {
                return Part::Whole;
            }
        }
        part_of(range, content.size)
    }
}

/// Reads `Range` (RFC 9110 §14.2). Several ranges at once, and what is no range, are answered with the whole.
fn part_of(range: &str, size: u64) -> Part {
    let Some((first, last)) = range.trim().strip_prefix("bytes=").and_then(|r| r.trim().split_once('-')) else {
        return Part::Whole;
    };
    let number = |text: &str| text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse::<u64>().unwrap_or(u64::MAX));
    match (first.trim(), last.trim()) {
        ("", "") => Part::Whole,
        // The last so many octets.
        ("", count) => match number(count) {
            None => Part::Whole,
            Some(0) => Part::Unsatisfiable,
            Some(_) if size == 0 => Part::Unsatisfiable,
            Some(count) => Part::Range(size.saturating_sub(count), size - 1),
        },
        (first, last) => {
            let last = if last.is_empty() { Some(u64::MAX) } else { number(last) };
            match (number(first), last) {
                (Some(first), Some(last)) if first > last => Part::Whole,
                (Some(first), Some(_)) if first >= size => Part::Unsatisfiable,
                (Some(first), Some(last)) => Part::Range(first, last.min(size - 1)),
                _ => Part::Whole,
            }
        }
    }
}

/// So many octets of a content from there on, read while they are sent.
fn body(store: &SharedFileStore, content: &FileContent, first: u64, octets: u64) -> Body {
    let (store, content) = (store.clone(), content.id);
    Body::from_stream(stream::try_unfold((first, octets), move |(from, left)| {
        let store = store.clone();
        async move {
            if left == 0 {
                return Ok::<_, StoreError>(None);
            }
            let piece = store.piece(content, from / PIECE as u64).await?;
            let from_here = usize::try_from(from % PIECE as u64).unwrap_or(PIECE);
            let part = piece.map_or_else(Bytes::new, |p| p.slice(from_here.min(p.len())..));
            let part = part.slice(..part.len().min(usize::try_from(left).unwrap_or(usize::MAX)));
            if part.is_empty() {
                // Somebody replaced the file, and this client is too slow for what was in it.
                tracing::warn!("a file breaks off while it is sent");
                return Err(StoreError::Missing("the rest of the file".to_owned()));
            }
            let sent = part.len() as u64;
            Ok(Some((part, (from + sent, left - sent))))
        }
    }))
}

/// Adds what a client compares later, and what keeps a browser from running what somebody uploaded.
fn with_validators(mut response: Response<Body>, node: &FileNode, content: &FileContent) -> Response<Body> {
    insert(&mut response, ETAG, &quoted(&content.etag));
    insert(&mut response, LAST_MODIFIED, &http_date(node.modified));
    insert(&mut response, ACCEPT_RANGES, "bytes");
    insert(&mut response, X_CONTENT_TYPE_OPTIONS, "nosniff");
    insert(&mut response, CONTENT_SECURITY_POLICY, "default-src 'none'; sandbox");
    response
}

fn insert(response: &mut Response<Body>, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_the_table_says() {
        use Part::{Range, Unsatisfiable, Whole};
        for (range, size, expected) in [
            ("bytes=0-4", 10, Range(0, 4)),
            ("bytes=5-", 10, Range(5, 9)),
            ("bytes=5-99", 10, Range(5, 9)),
            ("bytes=-3", 10, Range(7, 9)),
            ("bytes=-99", 10, Range(0, 9)),
            ("bytes=9-9", 10, Range(9, 9)),
            ("bytes=10-", 10, Unsatisfiable),
            ("bytes=-0", 10, Unsatisfiable),
            ("bytes=0-", 0, Unsatisfiable),
            ("bytes=-1", 0, Unsatisfiable),
            ("bytes=0-99999999999999999999999", 10, Range(0, 9)),
            ("bytes=4-2", 10, Whole),
            ("bytes=0-1,4-5", 10, Whole),
            ("bytes=-", 10, Whole),
            ("bytes=a-b", 10, Whole),
            ("lines=1-2", 10, Whole),
        ] {
            assert_eq!(part_of(range, size), expected, "{range} of {size}");
        }
    }
}
