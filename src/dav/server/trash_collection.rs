//! A calendar or an address book comes back out of the trash with its properties, part by part, the newest first.
//!
//! It may be there already, where a deletion or a restoring broke off, and clients may have written to it since; the trash may
//! hold a name or a UID of it twice. So each part is looked at by itself: one that is there as it was leaves the trash, one
//! whose name is taken gets a name like it, and one whose UID is taken, in the collection or (a meeting) in the home, stays
//! where it is and is told of. Once the collection itself is no longer in the trash, what stayed is listed there like what
//! was deleted alone.

use std::collections::HashSet;

use http::StatusCode;
use serde_json::Value;

use super::access::write_failed;
use super::audience::Audience;
use super::call::Call;
use super::copy_move::Told;
use super::put::ATTEMPTS;
use super::trash_restore::NAMES;
use crate::dav::announce::calendar_created;
use crate::dav::error::DavError;
use crate::ids::TrashId;
use crate::store::{
    Batch, Collection, CollectionKind, CollectionProps, Expect, Object, ObjectFilter, Op, TrashView, Trashed,
    TrashedThing, WriteError,
};

/// Parts that come back in one write, …
const PAGE: usize = 100;
/// … unless they have more octets than this.
const PAGE_BYTES: u64 = 4 << 20;
/// Parts that stayed in the trash of which the answer tells one by one.
const TOLD: usize = 100;

const KEEPS_CHANGING: &str = "The collection keeps being changed by somebody else; what is left is still in the trash";

/// What could not come back with its collection.
#[derive(Debug, Default)]
pub(super) struct Stayed {
    /// How many parts it is.
    pub(super) count: u64,
    /// The first of them, as the trash lists them, each with its `reason`.
    pub(super) listed: Vec<Value>,
}

impl Stayed {
    fn add(&mut self, call: &Call, entry: &Trashed, reason: &str) {
        self.count += 1;
        if self.listed.len() < TOLD {
            let mut item = call.item(entry);
            item["reason"] = reason.into();
            self.listed.push(item);
        }
    }
}

/// A part of a collection on its way out of the trash.
struct Part {
    entry: Trashed,
    object: Object,
    fate: Fate,
}

impl Part {
    /// Whether this is what an object is: as it was deleted, or as it comes back.
    fn is(&self, object: &Object) -> bool {
        let was = match &self.entry.what {
            TrashedThing::Object { meta, .. } => meta.etag == object.meta.etag,
            TrashedThing::Collection { .. } => false,
        };
        (was || self.object.meta.etag == object.meta.etag) && self.object.meta.uid == object.meta.uid
    }
}

enum Fate {
    /// It comes back, under the name that its object has.
    Returns,
    /// It is there as it was.
    IsThere,
    /// It stays in the trash, for this reason.
    Stays(String),
    /// Somebody else took it out of the trash.
    Gone,
}

impl Call {
    /// The collection comes back under its own id, or takes up what is missing.
    ///
    /// # Errors
    /// 409 when others keep changing it, 507 when there is no room for the rest: it goes on when it is asked for again.
    pub(super) async fn restore_collection(
        &self,
        entry: &Trashed,
        props: &CollectionProps,
        token: u64,
    ) -> Result<(Collection, Stayed), DavError> {
        for _ in 0..ATTEMPTS {
            let (collection, is_new) = match self.collection_of(entry).await? {
                Some(found) => (found, false),
                None => (self.remake(entry, props, token).await?, true),
            };
            if let Some(stayed) = self.put_parts_back(entry, &collection, is_new).await? {
                return Ok((collection, stayed));
            }
        }
        Err(DavError::conflict(KEEPS_CHANGING))
    }

    async fn collection_of(&self, entry: &Trashed) -> Result<Option<Collection>, DavError> {
        let all = self.inner().store.collections(entry.home).await?;
        Ok(all.into_iter().find(|c| c.id == entry.collection))
    }

    async fn remake(&self, entry: &Trashed, props: &CollectionProps, token: u64) -> Result<Collection, DavError> {
        let mut made = Collection {
            id: entry.collection,
            home: entry.home,
            kind: entry.kind,
            uri: entry.uri.clone(),
            props: props.clone(),
            // Of one id no token is issued twice.
            sync_token: token + 1,
            // Nobody is let in who was not let in again.
            public_right: None,
        };
        for n in 2..NAMES {
            let publish = vec![match made.kind {
                CollectionKind::AddressBook => self.book_of(&made).created(),
                _ => calendar_created(&made, Some(&self.who.principal())),
            }];
            let ops = vec![Op::CreateCollection(made.clone())];
            match self.server.write(Batch { ops, publish }, None).await {
                Ok(_) => return Ok(made),
                Err(WriteError::CollectionExists(_)) => made.uri = format!("{}-{n}", entry.uri),
                Err(error) => return Err(write_failed(error)),
            }
        }
        Err(DavError::conflict("There is no name left for it"))
    }

    /// All the parts, then the entry of the collection leaves the trash. `None` where the collection was deleted, or parts of
    /// it were, while this went on: it has to be done again.
    async fn put_parts_back(
        &self,
        entry: &Trashed,
        collection: &Collection,
        is_new: bool,
    ) -> Result<Option<Stayed>, DavError> {
        let audience = self.server.audience_at_home(collection).await?;
        let mut stayed = Stayed::default();
        let (mut newest, mut after) = (None, None);
        loop {
            let mut page = self.next_parts(entry, collection, after).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.entry.id);
            newest = newest.or(page.first().map(|part| part.entry.id));
            self.look_around(collection, &mut page, is_new).await?;
            if !self.write_parts(collection, &audience, &mut page).await? {
                return Ok(None);
            }
            for part in &page {
                if let Fate::Stays(reason) = &part.fate {
                    stayed.add(self, &part.entry, reason);
                }
            }
        }
        Ok(self.leave_trash(entry, newest).await?.then_some(stayed))
    }

    /// Some of the parts.
    async fn next_parts(
        &self,
        entry: &Trashed,
        collection: &Collection,
        after: Option<TrashId>,
    ) -> Result<Vec<Part>, DavError> {
        let store = &self.inner().store;
        let page = store.trash(entry.home, TrashView::Of(entry.collection), after, PAGE).await?;
        let (mut ids, mut octets) = (Vec::new(), 0);
        for part in &page {
            if let TrashedThing::Object { meta, .. } = &part.what {
                octets += meta.size;
            }
            if ids.is_empty() || octets <= PAGE_BYTES {
                ids.push(part.id);
            }
        }
        let mut parts = Vec::new();
        for (entry, data) in store.trashed(entry.home, &ids).await? {
            let TrashedThing::Object { meta, .. } = &entry.what else { continue };
            let mut object = self.called_again(collection, Object { meta: meta.clone(), data }).await?;
            object.meta.modified = self.inner().env.now();
            parts.push(Part { entry, object, fate: Fate::Returns });
        }
        Ok(parts)
    }

    /// What becomes of the parts of a page, as far as it can be known before they are written.
    async fn look_around(&self, collection: &Collection, page: &mut [Part], is_new: bool) -> Result<(), DavError> {
        let has_unique_uids = collection.kind == CollectionKind::Calendar || self.inner().settings.unique_card_uids;
        for n in 0..page.len() {
            let names = names_of(page);
            let (before, rest) = page.split_at_mut(n);
            let Some(part) = rest.first_mut() else { break };
            let before = before.iter().filter(|other| matches!(other.fate, Fate::Returns)).map(|other| &other.object);
            let meets = |other: &&Object| {
                other.meta.name == part.object.meta.name || (has_unique_uids && other.meta.uid == part.object.meta.uid)
            };
            let mut taken = before.into_iter().find(meets).cloned();
            if taken.is_none() && !is_new {
                taken = self.inner().store.object(collection.id, &part.object.meta.name).await?;
            }
            match taken {
                Some(taken) => self.give_way(collection, part, &taken, &names).await?,
                None => self.look_for_second(collection, part).await?,
            }
        }
        Ok(())
    }

    /// A part whose name or UID an object has that is there, or comes back itself.
    async fn give_way(
        &self,
        collection: &Collection,
        part: &mut Part,
        taken: &Object,
        names: &HashSet<String>,
    ) -> Result<(), DavError> {
        if part.is(taken) {
            part.fate = Fate::IsThere;
        } else if taken.meta.uid == part.object.meta.uid {
            part.fate = Fate::Stays(format!("Another state of it is there: {}", taken.meta.name));
        } else {
            part.object.meta.name = self.free_name(collection, &part.object.meta, names).await?;
        }
        Ok(())
    }

    /// A part whose UID something has by now that it must not share it with.
    async fn look_for_second(&self, collection: &Collection, part: &mut Part) -> Result<(), DavError> {
        let refusal = match self.refuse_second(collection, &part.object).await {
            Err(error) if error.status == StatusCode::FORBIDDEN => error,
            other => return other,
        };
        let filter = ObjectFilter { uid: Some(part.object.meta.uid.clone()), ..ObjectFilter::default() };
        let found = self.inner().store.query(collection.id, &filter, None, 1).await?;
        let is_there = found.objects.iter().any(|object| part.is(object));
        part.fate = if is_there { Fate::IsThere } else { Fate::Stays(refusal.message) };
        Ok(())
    }

    /// Writes a page of parts as far as they come back, looking again at each that meets something; false when the collection
    /// is gone.
    async fn write_parts(
        &self,
        collection: &Collection,
        audience: &Audience,
        page: &mut [Part],
    ) -> Result<bool, DavError> {
        // Each may meet something under its name, and then by its UID.
        for _ in 0..2 * page.len() + ATTEMPTS {
            let (batch, part_of) = self.return_of(collection, audience, page);
            if batch.ops.is_empty() {
                return Ok(true);
            }
            let (op, named) = match self.server.write(batch, Some(collection.id)).await {
                Ok(_) => return Ok(true),
                Err(WriteError::NoCollection(_)) => return Ok(false),
                Err(WriteError::Precondition(op)) => (op, None),
                Err(WriteError::UidConflict { op, name }) => (op, Some(name)),
                Err(error) => return Err(write_failed(error)),
            };
            let names = names_of(page);
            let Some((part, is_put)) = part_of.get(op).and_then(|(n, is_put)| Some((page.get_mut(*n)?, *is_put)))
            else {
                break;
            };
            if !is_put {
                part.fate = Fate::Gone;
                continue;
            }
            let name = named.as_deref().unwrap_or(&part.object.meta.name);
            // Whatever it was may be gone again.
            if let Some(taken) = self.inner().store.object(collection.id, name).await? {
                self.give_way(collection, part, &taken, &names).await?;
            }
        }
        Err(DavError::conflict(KEEPS_CHANGING))
    }

    /// The operations and messages for the parts that come back or are there; for each operation, the part it is of, and
    /// whether it puts it.
    fn return_of(&self, collection: &Collection, audience: &Audience, page: &[Part]) -> (Batch, Vec<(usize, bool)>) {
        let (mut batch, mut part_of) = (Batch::default(), Vec::new());
        for (n, part) in page.iter().enumerate() {
            match &part.fate {
                Fate::Returns => {
                    batch.publish.extend(self.told_of(collection, audience, &part.object, Told::Created));
                    let (object, expect) = (part.object.clone(), Expect::Absent);
                    batch.ops.push(Op::PutObject { collection: collection.id, object, expect });
                    part_of.push((n, true));
                }
                Fate::IsThere => {}
                Fate::Stays(_) | Fate::Gone => continue,
            }
            batch.ops.push(Op::Untrash { home: part.entry.home, id: part.entry.id });
            part_of.push((n, false));
        }
        (batch, part_of)
    }

    /// Takes the entry of a collection out of the trash that has all its parts back; false where more was deleted meanwhile.
    async fn leave_trash(&self, entry: &Trashed, newest: Option<TrashId>) -> Result<bool, DavError> {
        // The token first: what is deleted after it moves it.
        let Some(collection) = self.collection_of(entry).await? else { return Ok(false) };
        let store = &self.inner().store;
        let parts = store.trash(entry.home, TrashView::Of(entry.collection), None, 1).await?;
        if parts.first().is_some_and(|part| newest.is_none_or(|newest| part.id > newest)) {
            return Ok(false);
        }
        let ops = vec![
            Op::ExpectToken { collection: collection.id, token: collection.sync_token },
            Op::Untrash { home: entry.home, id: entry.id },
        ];
        match store.write(Batch { ops, publish: Vec::new() }).await {
            // Somebody else did the same.
            Ok(_) | Err(WriteError::Precondition(1)) => Ok(true),
            Err(WriteError::Precondition(_) | WriteError::NoCollection(_)) => Ok(false),
            Err(error) => Err(write_failed(error)),
        }
    }
}

/// The names that the parts of a page have.
fn names_of(page: &[Part]) -> HashSet<String> {
    page.iter().map(|part| part.object.meta.name.clone()).collect()
}
