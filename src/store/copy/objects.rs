//! The objects of two collections, side by side, a page at a time.

use std::collections::VecDeque;

use super::{CopyError, End, patiently};
use crate::ids::CollectionId;
use crate::store::{Collection, ObjectMeta, StoreError};

/// Names read at once.
const PAGE: usize = 500;

/// How the objects of a collection compare with those of its copy.
#[derive(Debug, Default)]
pub(super) struct Objects {
    /// Those that the copy lacks.
    pub missing: Vec<ObjectMeta>,
    /// How many are in both, and the same.
    pub same: u64,
    /// How many the source has.
    pub ours: u64,
    /// How many the target has.
    pub theirs: u64,
    /// How many the copy has that the source does not have, or not like that.
    pub differing: u64,
    /// The first of those.
    pub first: Option<String>,
}

/// Compares the names, ETags and sizes of all objects.
pub(super) async fn compare(
    from: &End,
    ours: CollectionId,
    to: &End,
    theirs: CollectionId,
) -> Result<Objects, CopyError> {
    let (mut left, mut right) = (Names::of(from, ours), Names::of(to, theirs));
    let mut found = Objects::default();
    loop {
        let (ours, theirs) =
            (left.front().await.map_err(CopyError::Source)?, right.front().await.map_err(CopyError::Target)?);
        let order = match (&ours, &theirs) {
            (None, None) => return Ok(found),
            (Some(_), None) => std::cmp::Ordering::Less,
            (None, Some(_)) => std::cmp::Ordering::Greater,
            (Some(ours), Some(theirs)) => ours.name.cmp(&theirs.name),
        };
        let (mine, other) =
            (if order.is_le() { left.take() } else { None }, if order.is_ge() { right.take() } else { None });
        found.ours += u64::from(mine.is_some());
        found.theirs += u64::from(other.is_some());
        match (mine, other) {
            (Some(mine), None) => found.missing.push(mine),
            (Some(mine), Some(other)) if mine.etag == other.etag && mine.size == other.size => found.same += 1,
            (_, Some(other)) => {
                found.differing += 1;
                found.first.get_or_insert(other.name);
            }
            (None, None) => return Ok(found),
        }
    }
}

/// The objects of one collection in the order of their names.
pub(super) struct Names<'a> {
    end: &'a End,
    collection: CollectionId,
    page: VecDeque<ObjectMeta>,
    last: Option<String>,
    at_the_end: bool,
}

impl<'a> Names<'a> {
    pub fn of(end: &'a End, collection: CollectionId) -> Self {
        Self { end, collection, page: VecDeque::new(), last: None, at_the_end: false }
    }

    /// The next one, which stays.
    pub async fn front(&mut self) -> Result<Option<&ObjectMeta>, StoreError> {
        if self.page.is_empty() && !self.at_the_end {
            let last = self.last.as_deref();
            let page = patiently(async || self.end.dav.list(self.collection, last, PAGE).await).await?;
            self.at_the_end = page.is_empty();
            self.last = page.last().map(|meta| meta.name.clone()).or(self.last.take());
            self.page = page.into();
        }
        Ok(self.page.front())
    }

    /// The one that was in front.
    pub fn take(&mut self) -> Option<ObjectMeta> {
        self.page.pop_front()
    }
}

/// Whether clients may come to this copy with the token of its source: it is the oldest that the copy takes, or is refused
/// now and for ever. With a token between, which the source gave for another state, a client would miss what happened before.
pub(super) async fn counts_from(to: &End, copy: &Collection, token: u64) -> Result<bool, StoreError> {
    if copy.sync_token < token {
        return Ok(false);
    }
    let changes = async |since| patiently(async || to.dav.changes(copy.id, since, 1).await).await;
    Ok(token <= 1 || changes(token).await?.is_none() || changes(token - 1).await?.is_none())
}
