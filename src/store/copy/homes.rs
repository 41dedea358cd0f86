//! Homes with their collections and objects.

use std::collections::BTreeSet;
use std::sync::Mutex;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::objects::{Names, compare, counts_from};
use super::{Copied, CopyError, End, Options, Tally, Watch, patiently, sharing};
use crate::ids::HomeId;
use crate::store::{Batch, Collection, Expect, Object, ObjectMeta, Op, StoreError, WriteError};

/// Ids read at once.
const PAGE: usize = 1_000;
/// Homes under way at once.
const AT_ONCE: usize = 6;
/// Objects written at once.
const BATCH: usize = 64;
/// Octets read and written at once, unless one object alone has more.
const BATCH_BYTES: u64 = 1 << 20;
/// Times that a collection is copied again because the source changed it meanwhile.
const ATTEMPTS: u32 = 3;

pub(super) async fn copy(
    from: &End,
    to: Option<&End>,
    options: Options,
    watch: &dyn Watch,
) -> Result<Copied, CopyError> {
    let ours = all(from).await.map_err(CopyError::Source)?;
    let theirs = match to.filter(|_| options.resume) {
        Some(to) => all(to).await.map_err(CopyError::Target)?,
        None => BTreeSet::new(),
    };
    watch.begin("homes", ours.union(&theirs).count() as u64);
    let copied = Mutex::new(Copied::default());
    stream::iter(ours.union(&theirs).map(|home| async {
        let done = Home { from, to, options, home: *home, copied: Copied::default() }.copy().await?;
        if let Ok(mut copied) = copied.lock() {
            copied.extend(done);
            watch.tell(&copied.written);
        }
        watch.step(1);
        Ok(())
    }))
    .buffer_unordered(AT_ONCE)
    .try_collect::<()>()
    .await?;
    Ok(copied.into_inner().unwrap_or_default())
}

/// The ids of all homes.
pub(super) async fn all(end: &End) -> Result<BTreeSet<HomeId>, StoreError> {
    let (mut all, mut after) = (BTreeSet::new(), None);
    loop {
        let page = patiently(async || end.dav.homes(after, PAGE).await).await?;
        let Some(last) = page.last() else { return Ok(all) };
        after = Some(*last);
        all.extend(page);
    }
}

pub(super) async fn collections(end: &End, home: HomeId) -> Result<Vec<Collection>, StoreError> {
    patiently(async || end.dav.collections(home).await).await
}

/// Whether two collections have one path.
pub(super) fn same_path(one: &Collection, other: &Collection) -> bool {
    one.kind == other.kind && one.uri == other.uri
}

/// Where a collection is, for people.
pub(super) fn place(collection: &Collection) -> String {
    let space = match collection.kind {
        crate::store::CollectionKind::AddressBook => "addressbooks",
        _ => "calendars",
    };
    format!("/{space}/{}/{}", collection.home, collection.uri)
}

/// What is to be done about a collection.
enum Decision {
    /// Nothing.
    Keep(u64),
    /// Write what is missing.
    Fill(Vec<ObjectMeta>, u64),
    /// Make it, in place of the one that is there.
    Remake(Box<Collection>),
    /// Nothing may be done.
    Leave(String),
}

struct Home<'a> {
    from: &'a End,
    to: Option<&'a End>,
    options: Options,
    home: HomeId,
    copied: Copied,
}

impl Home<'_> {
    async fn copy(mut self) -> Result<Copied, CopyError> {
        let ours = collections(self.from, self.home).await.map_err(CopyError::Source)?;
        let theirs = match self.to.filter(|_| self.options.resume) {
            Some(to) => collections(to, self.home).await.map_err(CopyError::Target)?,
            None => Vec::new(),
        };
        for superfluous in theirs.iter().filter(|t| !ours.iter().any(|o| same_path(o, t))) {
            self.superfluous(superfluous).await?;
        }
        for ours in &ours {
            match (self.to, theirs.iter().find(|t| same_path(ours, t))) {
                (Some(to), Some(theirs)) => self.bring_in_step(to, ours, theirs).await?,
                (Some(to), None) if !self.options.dry_run => self.make(to, ours).await?,
                _ => self.would_make(ours).await?,
            }
            if let Some(to) = self.to.filter(|_| !self.options.dry_run) {
                sharing::bring_in_step(self.from, to, ours, &mut self.copied.left).await?;
            }
        }
        Ok(self.copied)
    }

    /// A collection that the source does not have.
    async fn superfluous(&mut self, theirs: &Collection) -> Result<(), CopyError> {
        match self.to {
            Some(to) if self.options.replace => {
                if !self.options.dry_run {
                    remove(to, theirs).await.map_err(CopyError::Target)?;
                }
                self.copied.replaced.collections += 1;
            }
            _ => self.copied.left.add(format!("{}: the source does not have it", place(theirs))),
        }
        Ok(())
    }

    async fn bring_in_step(&mut self, to: &End, ours: &Collection, theirs: &Collection) -> Result<(), CopyError> {
        match self.decide(to, ours, theirs).await? {
            Decision::Keep(objects) => {
                self.copied.present += Tally { collections: 1, objects, ..Tally::default() };
            }
            Decision::Fill(missing, present) => {
                self.copied.present += Tally { collections: 1, objects: present, ..Tally::default() };
                if self.options.dry_run {
                    self.copied.written.objects += missing.len() as u64;
                } else {
                    self.fill(to, ours, &missing).await?;
                }
            }
            Decision::Remake(theirs) => {
                self.copied.replaced.collections += 1;
                if self.options.dry_run {
                    self.would_make(ours).await?;
                } else {
                    remove(to, &theirs).await.map_err(CopyError::Target)?;
                    self.make(to, ours).await?;
                }
            }
            Decision::Leave(why) => self.copied.left.add(format!("{}: {why}", place(ours))),
        }
        Ok(())
    }

    async fn decide(&self, to: &End, ours: &Collection, theirs: &Collection) -> Result<Decision, CopyError> {
        let found = compare(self.from, ours.id, to, theirs.id).await?;
        let difference = if theirs.id != ours.id {
            Some("the target has a collection of its own there".to_owned())
        } else if theirs.props != ours.props {
            Some("the target has other properties".to_owned())
        } else {
            let differing = found.differing;
            found
                .first
                .map(|first| format!("{differing} objects of the target are not those of the source, e.g. {first}"))
        };
        Ok(match difference {
            Some(difference) if !self.options.replace => Decision::Leave(difference),
            Some(_) => Decision::Remake(Box::new(theirs.clone())),
            // Nothing is lost: all that the target has is in the source.
            None if !counts_from(to, theirs, ours.sync_token).await.map_err(CopyError::Target)? => {
                Decision::Remake(Box::new(theirs.clone()))
            }
            None if found.missing.is_empty() => Decision::Keep(found.same),
            None => Decision::Fill(found.missing, found.same),
        })
    }

    async fn would_make(&mut self, ours: &Collection) -> Result<(), CopyError> {
        self.copied.written.collections += 1;
        let mut names = Names::of(self.from, ours.id);
        while names.front().await.map_err(CopyError::Source)?.is_some() {
            names.take();
            self.copied.written.objects += 1;
        }
        Ok(())
    }

    /// Makes a collection with all its objects.
    async fn make(&mut self, to: &End, ours: &Collection) -> Result<(), CopyError> {
        let mut ours = ours.clone();
        for _ in 0..ATTEMPTS {
            create(to, &ours).await?;
            let before = self.copied.written.objects;
            let mut names = Names::of(self.from, ours.id);
            let mut page = Vec::with_capacity(BATCH);
            while names.front().await.map_err(CopyError::Source)?.is_some() {
                page.extend(names.take());
                if page.len() == BATCH {
                    self.fill(to, &ours, &page).await?;
                    page.clear();
                }
            }
            self.fill(to, &ours, &page).await?;

            let now = collections(self.from, self.home).await.map_err(CopyError::Source)?;
            let now = now.into_iter().find(|c| c.id == ours.id);
            if now.as_ref() == Some(&ours) {
                self.copied.written.collections += 1;
                return Ok(());
            }
            // The token that clients have by now is not the one it counts from.
            self.copied.written.objects = before;
            remove(to, &ours).await.map_err(CopyError::Target)?;
            match now {
                Some(now) => ours = now,
                None => return Ok(()),
            }
        }
        self.copied.left.add(format!("{}: the source changes it all the time; stop what writes there", place(&ours)));
        Ok(())
    }

    /// Writes objects that the target does not have.
    async fn fill(&mut self, to: &End, ours: &Collection, missing: &[ObjectMeta]) -> Result<(), CopyError> {
        for batch in batches(missing) {
            let names: Vec<String> = batch.iter().map(|meta| meta.name.clone()).collect();
            let (mut objects, mut left): (Vec<Object>, _) = (Vec::new(), names.as_slice());
            while !left.is_empty() {
                let read = patiently(async || self.from.dav.objects(ours.id, left).await).await;
                let read = read.map_err(CopyError::Source)?;
                left = &left[read.len()..];
                // One that is gone by now shows in the collection's token, or in the comparison.
                objects.extend(read.into_iter().flatten());
            }
            let count = objects.len() as u64;
            match put(to, ours, &objects).await {
                Ok(()) => self.copied.written.objects += count,
                Err(WriteError::Store(error)) => return Err(CopyError::Target(error)),
                Err(_) => self.put_one_by_one(to, ours, &objects).await?,
            }
        }
        Ok(())
    }

    /// The target refuses one of them: all but that one.
    async fn put_one_by_one(&mut self, to: &End, ours: &Collection, objects: &[Object]) -> Result<(), CopyError> {
        for object in objects {
            match put(to, ours, std::slice::from_ref(object)).await {
                Ok(()) => self.copied.written.objects += 1,
                Err(WriteError::Store(error)) => return Err(CopyError::Target(error)),
                Err(refused) => self.copied.left.add(format!("{}/{}: {refused}", place(ours), object.meta.name)),
            }
        }
        Ok(())
    }
}

async fn create(to: &End, collection: &Collection) -> Result<(), CopyError> {
    let ops = vec![Op::CreateCollection(collection.clone())];
    let created = patiently(async || to.dav.write(Batch { ops: ops.clone(), publish: Vec::new() }).await);
    match created.await {
        // An attempt whose answer was lost: that is the only way it can be there, since it was looked for.
        Ok(_) | Err(WriteError::CollectionExists(_)) => Ok(()),
        Err(WriteError::Store(error)) => Err(CopyError::Target(error)),
        Err(error) => Err(CopyError::Target(StoreError::Broken(error.to_string()))),
    }
}

async fn remove(to: &End, collection: &Collection) -> Result<(), StoreError> {
    let ops = vec![Op::DeleteCollection(collection.id)];
    match patiently(async || to.dav.write(Batch { ops: ops.clone(), publish: Vec::new() }).await).await {
        Ok(_) | Err(WriteError::NoCollection(_)) => Ok(()),
        Err(WriteError::Store(error)) => Err(error),
        Err(error) => Err(StoreError::Broken(error.to_string())),
    }
}

/// Writes objects as they are. Again is no harm.
async fn put(to: &End, collection: &Collection, objects: &[Object]) -> Result<(), WriteError> {
    let ops =
        |object: &Object| Op::PutObject { collection: collection.id, object: object.clone(), expect: Expect::Any };
    let write = async || to.dav.write(Batch { ops: objects.iter().map(ops).collect(), publish: Vec::new() }).await;
    if objects.is_empty() { Ok(()) } else { patiently(write).await.map(drop) }
}

/// Cuts a list so that no part has too many objects or octets.
fn batches(all: &[ObjectMeta]) -> Vec<&[ObjectMeta]> {
    let (mut batches, mut from, mut octets) = (Vec::new(), 0, 0);
    for (at, meta) in all.iter().enumerate() {
        if at > from && (at - from == BATCH || octets + meta.size > BATCH_BYTES) {
            batches.push(&all[from..at]);
            (from, octets) = (at, 0);
        }
        octets += meta.size;
    }
    batches.push(&all[from..]);
    batches
}
