//! Answers that may be long: written page by page while they are sent, so that memory does not grow with the collection.

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use http::{Response, StatusCode};

use crate::dav::error::{DavError, XML_TYPE};
use crate::dav::upstream::Body;
use crate::dav::xml::{PROLOG, Writer};

const VARY: HeaderValue = HeaderValue::from_static("Brief,Prefer");
const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");

/// Octets after which a page is as good as full: what is written is kept in memory until the page ends.
pub(super) const FULL: usize = 1 << 20;

/// Whether there is more to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    /// Call again.
    More,
    /// That was the last page.
    Done,
}

/// Something that writes an answer a page at a time.
#[async_trait]
pub(super) trait Pages: Send + 'static {
    /// Appends the next page.
    ///
    /// A failure of the first page becomes an error answer. Later ones break the answer off, for its head is sent: the
    /// client sees an incomplete body, not a complete one that lacks something.
    async fn write_page(&mut self, out: &mut Writer) -> Result<Progress, DavError>;
}

/// A body of that type, written by `pages` between `head` and `tail`. What fits into one page is sent as a whole, with its
/// length.
pub(super) async fn body(
    head: &str,
    mut pages: impl Pages,
    tail: &'static str,
    content_type: HeaderValue,
) -> Result<Response<Body>, DavError> {
    let mut out = Writer::starting(head);
    let progress = pages.write_page(&mut out).await?;
    let body = match progress {
        Progress::Done => {
            out.raw(tail);
            Body::from(out.take())
        }
        Progress::More => {
            let first = stream::iter([Ok(Bytes::from(out.take()))]);
            let rest = stream::try_unfold(Some((pages, out)), move |state| async move {
                let Some((mut pages, mut out)) = state else { return Ok::<_, DavError>(None) };
                let progress = pages.write_page(&mut out).await.inspect_err(|error| {
                    tracing::warn!(%error, "an answer breaks off");
                })?;
                let next = match progress {
                    Progress::More => {
                        let chunk = out.take();
                        return Ok(Some((Bytes::from(chunk), Some((pages, out)))));
                    }
                    Progress::Done => {
                        out.raw(tail);
                        out.take()
                    }
                };
                Ok(Some((Bytes::from(next), None)))
            });
            Body::from_stream(futures_util::StreamExt::chain(first, rest))
        }
    };
    let mut response = Response::new(body);
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    Ok(response)
}

/// A 207 whose responses are written by `pages`.
pub(super) async fn multistatus(pages: impl Pages, minimal: bool) -> Result<Response<Body>, DavError> {
    let mut response = body(PROLOG, pages, "</d:multistatus>", XML_TYPE).await?;
    *response.status_mut() = StatusCode::MULTI_STATUS;
    response.headers_mut().insert(http::header::VARY, VARY);
    if minimal {
        response.headers_mut().insert(PREFERENCE_APPLIED, HeaderValue::from_static("return=minimal"));
    }
    Ok(response)
}

/// Responses that are written already.
pub(super) struct Written(pub(super) String);

#[async_trait]
impl Pages for Written {
    async fn write_page(&mut self, out: &mut Writer) -> Result<Progress, DavError> {
        out.raw(&self.0);
        Ok(Progress::Done)
    }
}
