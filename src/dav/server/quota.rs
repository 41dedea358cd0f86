//! What a home may hold in its calendars and address books: watched over when something is written (507, RFC 4331 §6), and told
//! in `quota-used-bytes` and `quota-available-bytes` of homes and collections (RFC 4331 §3, §4).
//!
//! What arrives for people obeys it, too, as far as it is new: an invitation that does not fit is not stored, and whoever
//! delivers it hears so (507) and sees to it that the mail tells the person. What is there already is always kept in step, for an
//! answer or a cancellation must not be lost for a few octets. Inboxes do not count; what is in them goes by itself.

use std::collections::HashMap;

use super::Server;
use super::plan::Plan;
use super::properties::Resource;
use crate::dav::error::{Condition, DavError};
use crate::dav::xml::{DAV, Name, Writer};
use crate::ids::{CollectionId, HomeId};
use crate::store::{Batch, Expect, HomeRoom, Op, Usage, WriteError, Written};

const USED: Name = Name::new(DAV, "quota-used-bytes");
const AVAILABLE: Name = Name::new(DAV, "quota-available-bytes");

/// 507: the home, or the collection, is full (RFC 4331 §6).
pub(super) fn no_room() -> DavError {
    DavError::insufficient_storage("There is not enough room left for this in the calendars and address books")
        .because(Condition::Empty("d:quota-not-exceeded"))
}

impl Server {
    /// Writes a batch of somebody who may fill homes no further than they may be. `own` is the collection in which also what
    /// is there already must not outgrow it: the one that the request is about.
    ///
    /// # Errors
    /// [`WriteError::NoRoom`] with the first operation that puts something into the home that is full.
    pub(super) async fn write(&self, mut batch: Batch, own: Option<CollectionId>) -> Result<Written, WriteError> {
        self.note_attachments(&batch).await?;
        let asked = batch.ops.len();
        let places = bound(&mut batch, self.0.settings.room, own);
        match self.0.store.write(batch).await {
            Ok(mut written) => {
                written.sync_tokens.truncate(asked);
                written.existed.truncate(asked);
                Ok(written)
            }
            Err(WriteError::NoRoom(op)) => {
                let place = op.checked_sub(asked).and_then(|n| places.get(n)).copied();
                Err(WriteError::NoRoom(place.unwrap_or(op)))
            }
            Err(error) => Err(error),
        }
    }
}

/// Adds what is expected of the homes that a batch fills; for each expectation, the operation that it is about.
fn bound(batch: &mut Batch, room: HomeRoom, own: Option<CollectionId>) -> Vec<usize> {
    let mut filled: Vec<(CollectionId, usize)> = Vec::new();
    if room == HomeRoom::default() {
        return Vec::new();
    }
    for (index, op) in batch.ops.iter().enumerate() {
        let collection = match op {
            Op::PutObject { collection, expect, .. }
                if own == Some(*collection) || !matches!(expect, Expect::Etag(_)) =>
            {
                *collection
            }
            Op::CreateCollection(made) => made.id,
            _ => continue,
        };
        if filled.iter().all(|(known, _)| *known != collection) {
            filled.push((collection, index));
        }
    }
    let expectations = filled.iter().map(|(collection, _)| Op::ExpectRoom { collection: *collection, room });
    batch.ops.extend(expectations);
    filled.into_iter().map(|(_, index)| index).collect()
}

/// What is in homes, for the properties of one answer.
#[derive(Default)]
pub(super) struct HomesInUse {
    homes: HashMap<HomeId, HashMap<CollectionId, Usage>>,
    octets: Option<u64>,
}

impl HomesInUse {
    /// Writes one of the two properties of a home or of a collection in it; false for everything else.
    pub(super) fn write(&self, name: &Name, resource: &Resource<'_>, w: &mut Writer) -> bool {
        if *name != USED && *name != AVAILABLE {
            return false;
        }
        let (home, collection) = match resource {
            Resource::Home(_, home) => (*home, None),
            Resource::Collection(collection) => (collection.home, Some(collection.id)),
            _ => return false,
        };
        let Some(home) = self.homes.get(&home) else { return false };
        let all: u64 = home.values().map(|usage| usage.octets).sum();
        let number = if *name == USED {
            match collection {
                None => Some(all),
                Some(id) => home.get(&id).map(|usage| usage.octets),
            }
        } else {
            self.octets.map(|most| most.saturating_sub(all))
        };
        let Some(number) = number else { return false };
        w.open_name(name);
        w.raw(&number.to_string());
        w.close_name(name);
        true
    }
}

impl Plan {
    /// Reads what is in a home where the answer tells of it.
    pub(super) async fn learn_usage(&mut self, server: &Server, home: HomeId) -> Result<(), DavError> {
        if !(self.asks_for(&USED) || self.asks_for(&AVAILABLE)) || self.usage.homes.contains_key(&home) {
            return Ok(());
        }
        let usage = server.0.store.usage(home).await?;
        // An answer is about one home, or a few: nothing is kept that is not needed.
        self.usage.homes.clear();
        self.usage.homes.insert(home, usage.into_iter().collect());
        self.usage.octets = server.0.settings.room.octets;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Env;
    use crate::store::Object;

    fn put(collection: CollectionId, expect: Expect) -> Op {
        let object = Object {
            meta: crate::store::ObjectMeta {
                name: "a.ics".to_owned(),
                etag: String::new(),
                size: 1,
                modified: Env::system().now(),
                component: "VEVENT".to_owned(),
                uid: crate::ids::Uid("a".to_owned()),
                first_occurrence: None,
                last_occurrence: None,
                schedule_tag: None,
            },
            data: String::new(),
        };
        Op::PutObject { collection, object, expect }
    }

    #[test]
    fn what_is_there_in_the_calendars_of_others_may_always_be_kept_in_step() {
        let env = Env::system();
        let (own, new, old) =
            (CollectionId(env.object_id()), CollectionId(env.object_id()), CollectionId(env.object_id()));
        let etag = || Expect::Etag("e".to_owned());
        let ops = vec![put(own, etag()), put(old, etag()), put(new, Expect::Absent), put(new, Expect::Absent)];
        let mut batch = Batch { ops, publish: Vec::new() };
        let room = HomeRoom { octets: Some(1), ..HomeRoom::default() };
        assert_eq!(bound(&mut batch, room, Some(own)), [0, 2]);
        let expected: Vec<_> = batch.ops[4..].to_vec();
        assert_eq!(expected, [own, new].map(|collection| Op::ExpectRoom { collection, room }));
    }

    #[test]
    fn without_a_limit_nothing_is_expected() {
        let own = CollectionId(Env::system().object_id());
        let mut batch = Batch { ops: vec![put(own, Expect::Any)], publish: Vec::new() };
        assert!(bound(&mut batch, HomeRoom::default(), Some(own)).is_empty());
        assert_eq!(batch.ops.len(), 1);
    }
}
