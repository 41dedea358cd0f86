//! The sync-collection report (RFC 6578 §3.2).

use async_trait::async_trait;
use http::{Response, StatusCode};

use super::access::{location_of, write_failed};
use super::call::{Call, Depth};
use super::chunked::{self, Pages, Progress};
use super::held;
use super::plan::{Plan, write_status, write_truncated};
use super::properties::Resource;
use super::propfind::Target;
use super::report::{Members, unsupported};
use super::rights::Sight;
use crate::dav::announce::SYNC_PREFIX;
use crate::dav::error::{Condition, DavError};
use crate::dav::path::push_segment;
use crate::dav::upstream::Body;
use crate::dav::xml::{DAV, Element, PropRequest, Writer, read_limit};
use crate::store::{Batch, Change, Changes, CollectionKind, ObjectMeta, WriteError};

/// Changes that are read at once.
const PAGE: usize = 500;
/// Objects that are read at once when their data is wanted.
const DATA_PAGE: usize = 64;

impl Call {
    /// Answers with what changed since the client's token.
    pub(super) async fn sync_collection(self, root: &Element) -> Result<Response<Body>, DavError> {
        let mut request = PropRequest::read_report(root)?;
        self.complete(&mut request.data)?;
        let token = root.child(DAV, "sync-token").map(Element::text).unwrap_or_default();
        let limit = read_limit(root)?;
        // RFC 6578 §3.3: members of members are never looked at, for calendars have none.
        let level = root.child(DAV, "sync-level").map(Element::text);
        let is_infinite = level.as_deref().map(str::trim) == Some("infinite");
        if is_infinite || self.depth() == Some(Depth::Infinity) {
            return Err(DavError::forbidden("Only sync-level 1 is supported")
                .because(Condition::Empty("d:sync-traversal-supported")));
        }
        let (target, _) = self.target().await?;
        let Target::Collection(mut collection) = target else { return Err(unsupported("{DAV:}sync-collection")) };
        if matches!(collection.kind, CollectionKind::Inbox | CollectionKind::Outbox) {
            return Err(unsupported("{DAV:}sync-collection"));
        }
        let minimal = self.prefers("return=minimal");
        let plan = Plan::for_request(&request, minimal);
        let since = match token.trim() {
            "" => None,
            token => Some(token.strip_prefix(SYNC_PREFIX).and_then(|n| n.parse().ok()).ok_or_else(invalid_token)?),
        };
        if self.settle(&collection).await?
            && let (Target::Collection(settled), _) = self.target().await?
        {
            collection = settled;
        }
        if since.is_some_and(|token| collection.shared().is_some_and(|shared| !shared.issued(token))) {
            return Err(invalid_token());
        }
        let store = &self.inner().store;
        let position = match (since, limit) {
            // Without a limit the order does not matter, and reading by name leaves no gap.
            (None, None) => Position::All { after: None, token: collection.sync_token },
            (None, Some(limit)) => Position::Since { token: 0, left: Some(limit), first: None },
            (Some(token), limit) => {
                // A token that was never issued must be found out before anything is sent.
                let size = if plan.needs_data() { DATA_PAGE } else { PAGE };
                let page = limit.unwrap_or(size).min(size);
                let first = store.changes(collection.id, token, page).await?.ok_or_else(invalid_token)?;
                Position::Since { token, left: limit, first: Some(first) }
            }
        };
        let members = Members::new(self.server, self.who, plan, request.data)?;
        chunked::multistatus(Sync { members, collection, position }, minimal).await
    }
}

impl Call {
    /// Has it written down from which token on somebody else's collection stands where it is; true where it was not. Then
    /// all tokens that were told there before are older, and refused: nobody knows what they were of.
    pub(super) async fn settle(&self, sight: &Sight) -> Result<bool, DavError> {
        let Some(shared) = sight.shared().filter(|shared| !shared.is_settled()) else { return Ok(false) };
        let ops = held::changed(&shared.instance, |_| {}).into();
        match self.inner().store.write(Batch { ops, publish: Vec::new() }).await {
            // Who changed it meanwhile settled it, too, or took it back.
            Ok(_) | Err(WriteError::Precondition(_)) => Ok(true),
            Err(error) => Err(write_failed(error)),
        }
    }
}

fn invalid_token() -> DavError {
    let exception = "Sabre\\DAV\\Exception\\InvalidSyncToken";
    DavError::new(StatusCode::FORBIDDEN, exception, "Invalid or unknown sync token")
        .because(Condition::Empty("d:valid-sync-token"))
}

/// How far the answer is.
enum Position {
    /// Every object, by name; the token is the one from before the first was read, so that what changes meanwhile is told
    /// next time.
    All { after: Option<String>, token: u64 },
    /// What changed after a token.
    Since {
        token: u64,
        /// Changes that may still be written.
        left: Option<usize>,
        /// Changes that were read already.
        first: Option<Changes>,
    },
}

struct Sync {
    members: Members,
    collection: Sight,
    position: Position,
}

#[async_trait]
impl Pages for Sync {
    async fn write_page(&mut self, out: &mut Writer) -> Result<Progress, DavError> {
        let size = if self.members.plan.needs_data() { DATA_PAGE } else { PAGE };
        let base = location_of(&self.collection).href();
        let store = self.members.server.0.store.clone();
        let token = match &mut self.position {
            Position::All { after, token } => {
                let token = *token;
                let mut metas = store.list(self.collection.id, after.as_deref(), size).await?;
                let written = self.write_written(&metas.iter().collect::<Vec<_>>(), &base, out).await?;
                let is_last = metas.len() < size && written == metas.len();
                metas.truncate(written);
                self.position = Position::All { after: metas.pop().map(|meta| meta.name), token };
                is_last.then_some(token)
            }
            Position::Since { token, left, first } => {
                let most = left.unwrap_or(size).min(size);
                let (before, left) = (*token, *left);
                let page = match first.take() {
                    Some(page) => page,
                    // The collection went away while the answer was being sent.
                    None => store.changes(self.collection.id, before, most).await?.ok_or_else(invalid_token)?,
                };
                let Changes { changes, token, truncated } = page;
                let count = changes.len();
                let rest = self.write_changes(changes, &base, out).await?;
                let left = left.map(|left| left.saturating_sub(count - rest.len()));
                if !rest.is_empty() {
                    let first = Some(Changes { changes: rest, token, truncated });
                    self.position = Position::Since { token: before, left, first };
                    return Ok(Progress::More);
                }
                self.position = Position::Since { token, left, first: None };
                let is_cut_short = truncated && left == Some(0);
                if is_cut_short {
                    let href = format!("{}{base}", self.members.server.0.settings.base);
                    write_truncated(&href, out);
                }
                (!truncated || is_cut_short).then_some(token)
            }
        };
        let Some(token) = token else { return Ok(Progress::More) };
        out.element("d:sync-token", &format!("{SYNC_PREFIX}{token}"));
        Ok(Progress::Done)
    }
}

impl Sync {
    /// Writes changes, as many as make a page, and gives back the rest.
    async fn write_changes(
        &self,
        mut changes: Vec<Change>,
        base: &str,
        out: &mut Writer,
    ) -> Result<Vec<Change>, DavError> {
        let metas: Vec<&ObjectMeta> = changes
            .iter()
            .filter_map(|change| match change {
                Change::Written(meta) => Some(meta),
                Change::Deleted(_) => None,
            })
            .collect();
        let count = self.write_written(&metas, base, out).await?;
        if count < metas.len() {
            let mut done = 0;
            changes.retain(|change| {
                done += usize::from(matches!(change, Change::Written(_)));
                matches!(change, Change::Deleted(_)) || done > count
            });
            return Ok(changes);
        }
        for change in &changes {
            if let Change::Deleted(name) = change {
                let mut href = format!("{}{base}", self.members.server.0.settings.base);
                push_segment(&mut href, name);
                write_status(&href, StatusCode::NOT_FOUND, out);
            }
        }
        Ok(Vec::new())
    }

    /// Writes the first of these objects; how many it was. Without their data that is all of them.
    async fn write_written(&self, metas: &[&ObjectMeta], base: &str, out: &mut Writer) -> Result<usize, DavError> {
        let (mut count, mut objects) = (metas.len(), Vec::new());
        if self.members.plan.needs_data() {
            let names: Vec<String> = metas.iter().map(|m| m.name.clone()).collect();
            objects = self.members.server.0.objects_in(&self.collection, &names).await?;
            count = objects.len();
        }
        for (index, meta) in metas[..count].iter().enumerate() {
            let object = objects.get(index).and_then(Option::as_ref);
            // Data and ETag must be of one state: what was written since is answered as it is now.
            let meta = object.map_or(*meta, |o| &o.meta);
            let resource = Resource::Object(&self.collection, meta, object.map(|o| o.data.as_str()));
            self.members.write(base, &resource, &meta.name, out);
        }
        Ok(count)
    }
}
