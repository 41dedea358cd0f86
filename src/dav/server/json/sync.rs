//! What changed in a calendar or an address book, by JSON (dav §8.5, §13.2).

use async_trait::async_trait;
use http::{Response, StatusCode};
use serde_json::Value;

use super::body::Object;
use super::list::beginning;
use super::text::{JSON_TYPE, Links, append, to_text};
use crate::dav::announce::SYNC_PREFIX;
use crate::dav::error::DavError;
use crate::dav::path::push_segment;
use crate::dav::server::Server;
use crate::dav::server::access::location_of;
use crate::dav::server::call::Call;
use crate::dav::server::chunked::{self, Pages, Progress};
use crate::dav::upstream::Body;
use crate::dav::xml::Writer;
use crate::ids::CollectionId;
use crate::store::Change;

/// Changes that are read at once.
const PAGE: usize = 500;

/// The number in a token: after the last slash of a text, or a number as it is. `None` stands for the beginning.
fn number(token: &Value) -> Result<Option<u64>, DavError> {
    let not_a_token = || DavError::bad_request("The sync-token must end in a number");
    match token {
        Value::Number(number) => number.as_u64().map(Some).ok_or_else(not_a_token),
        Value::String(text) if text.is_empty() => Ok(None),
        Value::String(text) => text.rsplit('/').next().unwrap_or_default().parse().map(Some).map_err(|_| not_a_token()),
        _ => Err(not_a_token()),
    }
}

impl Call {
    /// Answers with what changed since a token. One that is ahead changes nothing; one of which is no longer known what
    /// came after it is answered with a 410 about the whole, upon which the page loads everything anew.
    pub(super) async fn changes(&self, body: &Object) -> Result<Response<Body>, DavError> {
        let mut collection = self.readable_collection().await?;
        let since = number(body.get("sync-token").unwrap_or(&Value::Null))?;
        if self.settle(&collection).await? {
            collection = self.readable_collection().await?;
        }
        let token = collection.sync_token;
        let position = match since {
            None => Position::All { after: None },
            Some(since) if collection.shared().is_some_and(|shared| !shared.issued(since)) => Position::Unknown,
            Some(since) if since >= token => Position::Nothing,
            Some(since) => Position::Since(since),
        };
        let place = self.told_at(&collection);
        let head = beginning(&self.json_href(place), "dav:item");
        let base = format!("{}{}", self.inner().settings.base, location_of(place).href());
        let pages = Changed {
            server: self.server.clone(),
            collection: collection.id,
            base,
            position,
            token,
            has_written: false,
        };
        let mut response = chunked::body(&head, pages, "", JSON_TYPE).await?;
        *response.status_mut() = StatusCode::MULTI_STATUS;
        Ok(response)
    }
}

/// How far the answer is.
enum Position {
    /// Every object, by name, after one.
    All {
        after: Option<String>,
    },
    /// What changed after a token.
    Since(u64),
    /// The token was told of something else, or of nothing.
    Unknown,
    Nothing,
}

struct Changed {
    server: Server,
    collection: CollectionId,
    base: String,
    position: Position,
    /// The token that the answer ends with.
    token: u64,
    has_written: bool,
}

impl Changed {
    fn write(&mut self, name: Option<&str>, status: u16, out: &mut Writer) {
        if std::mem::replace(&mut self.has_written, true) {
            out.raw(",");
        }
        let mut href = self.base.clone();
        if let Some(name) = name {
            push_segment(&mut href, name);
        }
        out.raw("{\"_links\":");
        append(out, &Links(&href));
        out.raw(",\"status\":");
        out.raw(&status.to_string());
        out.raw("}");
    }

    async fn write_changes(&mut self, since: u64, out: &mut Writer) -> Result<Progress, DavError> {
        let Some(changes) = self.server.0.store.changes(self.collection, since, PAGE).await? else {
            self.write(None, StatusCode::GONE.as_u16(), out);
            return Ok(Progress::Done);
        };
        for change in &changes.changes {
            match change {
                Change::Written(meta) => self.write(Some(&meta.name), 200, out),
                Change::Deleted(name) => self.write(Some(name), 404, out),
            }
        }
        self.token = changes.token;
        self.position = Position::Since(changes.token);
        Ok(if changes.truncated { Progress::More } else { Progress::Done })
    }
}

#[async_trait]
impl Pages for Changed {
    async fn write_page(&mut self, out: &mut Writer) -> Result<Progress, DavError> {
        let progress = match &mut self.position {
            Position::Nothing => Progress::Done,
            Position::Unknown => {
                self.write(None, StatusCode::GONE.as_u16(), out);
                Progress::Done
            }
            Position::Since(since) => {
                let since = *since;
                self.write_changes(since, out).await?
            }
            Position::All { after } => {
                let page = self.server.0.store.list(self.collection, after.as_deref(), PAGE).await?;
                *after = page.last().map(|meta| meta.name.clone());
                for meta in &page {
                    self.write(Some(&meta.name), 200, out);
                }
                if page.len() < PAGE { Progress::Done } else { Progress::More }
            }
        };
        if progress == Progress::Done {
            out.raw("]},\"sync-token\":");
            out.raw(&to_text(&format!("{SYNC_PREFIX}{}", self.token)));
            out.raw("}");
        }
        Ok(progress)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn tokens_come_as_addresses_numbers_and_nothing() {
        for (token, expected) in [
            (json!("http://sabre.io/ns/sync/4"), Ok(Some(4))),
            (json!("4"), Ok(Some(4))),
            (json!(4), Ok(Some(4))),
            (json!(""), Ok(None)),
            (json!("abc"), Err(())),
            (json!("http://sabre.io/ns/sync/"), Err(())),
            (json!(-1), Err(())),
            (json!(1.5), Err(())),
            (json!([]), Err(())),
        ] {
            assert_eq!(number(&token).map_err(|_| ()), expected, "{token}");
        }
    }
}
