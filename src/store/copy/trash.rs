//! What lies in the trash, and the last tokens of paths.

use std::collections::BTreeMap;

use super::homes::all;
use super::{Compared, Copied, CopyError, End, Options, Tally, Watch, patiently};
use crate::ids::{HomeId, TrashId};
use crate::store::{Batch, Op, Purge, StoreError, TrashView, TrashedThing, WriteError};

/// Things listed at once.
const PAGE: usize = 200;
/// Things read and written at once, …
const BATCH: usize = 64;
/// … unless they have more octets than this: each is held several times meanwhile.
const BATCH_BYTES: u64 = 1 << 20;
/// Tokens read and written at once.
const TOKENS: usize = 200;

pub(super) async fn copy(
    from: &End,
    to: Option<&End>,
    options: Options,
    watch: &dyn Watch,
) -> Result<Copied, CopyError> {
    let homes = all(from).await.map_err(CopyError::Source)?;
    watch.begin("trash", homes.len() as u64);
    let mut copied = Copied::default();
    for home in homes {
        let ours = ids(from, home).await.map_err(CopyError::Source)?;
        let theirs = match to.filter(|_| options.resume) {
            Some(to) => ids(to, home).await.map_err(CopyError::Target)?,
            None => Sizes::new(),
        };
        let missing = lacking(&ours, &theirs);
        copied.present.trash += (ours.len() - missing.len()) as u64;
        copied.written.trash += missing.len() as u64;
        let superfluous: Vec<TrashId> = lacking(&theirs, &ours).into_iter().map(|(id, _)| id).collect();
        if options.replace {
            copied.replaced.trash += superfluous.len() as u64;
        }
        if let Some(to) = to.filter(|_| !options.dry_run) {
            bring(from, to, home, &missing).await?;
            if options.replace && !superfluous.is_empty() {
                for some in superfluous.chunks(PAGE) {
                    let purge = Purge::These(home, some.to_vec());
                    let forget = async || to.dav.purge(&purge, PAGE).await;
                    while patiently(forget).await.map_err(CopyError::Target)? > 0 {}
                }
            }
        }
        watch.tell(&copied.written);
        watch.step(1);
    }
    if let Some(to) = to.filter(|_| !options.dry_run) {
        tokens(from, to).await?;
    }
    Ok(copied)
}

async fn bring(from: &End, to: &End, home: HomeId, missing: &[(TrashId, u64)]) -> Result<(), CopyError> {
    for some in batches(missing) {
        let things = patiently(async || from.dav.trashed(home, &some).await).await.map_err(CopyError::Source)?;
        let keep = |(entry, data)| Op::Trash { entry: Box::new(entry), data };
        let ops: Vec<Op> = things.into_iter().map(keep).collect();
        let written = patiently(async || to.dav.write(Batch { ops: ops.clone(), publish: Vec::new() }).await).await;
        match written {
            Ok(_) => {}
            Err(WriteError::Store(error)) => return Err(CopyError::Target(error)),
            Err(error) => return Err(CopyError::Target(StoreError::Broken(error.to_string()))),
        }
    }
    Ok(())
}

/// Cuts a list so that no part has too many things or octets.
fn batches(all: &[(TrashId, u64)]) -> Vec<Vec<TrashId>> {
    let (mut batches, mut octets): (Vec<Vec<TrashId>>, u64) = (Vec::new(), 0);
    for (id, size) in all {
        octets += size;
        match batches.last_mut().filter(|last| last.len() < BATCH && octets <= BATCH_BYTES) {
            Some(last) => last.push(*id),
            None => {
                batches.push(vec![*id]);
                octets = *size;
            }
        }
    }
    batches
}

/// Things in a trash, with the octets of their texts.
type Sizes = BTreeMap<TrashId, u64>;

/// What is in the first and not in the second.
fn lacking(first: &Sizes, second: &Sizes) -> Vec<(TrashId, u64)> {
    first.iter().filter(|(id, _)| !second.contains_key(id)).map(|(id, size)| (*id, *size)).collect()
}

/// Everything in the trash of a home.
async fn ids(end: &End, home: HomeId) -> Result<Sizes, StoreError> {
    let mut found = Sizes::new();
    let mut views = vec![TrashView::Deleted];
    while let Some(view) = views.pop() {
        let mut after = None;
        loop {
            let page = patiently(async || end.dav.trash(home, view, after, PAGE).await).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.id);
            for entry in &page {
                let size = match &entry.what {
                    TrashedThing::Object { meta, .. } => meta.size,
                    TrashedThing::Collection { .. } => {
                        views.push(TrashView::Of(entry.collection));
                        0
                    }
                };
                found.insert(entry.id, size);
            }
        }
    }
    Ok(found)
}

/// The last tokens of paths at which there is nothing: what comes there later counts on from them.
async fn tokens(from: &End, to: &End) -> Result<(), CopyError> {
    let mut after = None;
    loop {
        let page = patiently(async || from.dav.retired_tokens(after.as_ref(), TOKENS).await).await;
        let page = page.map_err(CopyError::Source)?;
        let Some(last) = page.last() else { return Ok(()) };
        patiently(async || to.dav.retire_tokens(&page).await).await.map_err(CopyError::Target)?;
        after = Some(last.clone());
    }
}

pub(super) async fn compare(from: &End, to: &End, compared: &mut Compared) -> Result<(), CopyError> {
    for home in all(from).await.map_err(CopyError::Source)? {
        let ours = ids(from, home).await.map_err(CopyError::Source)?;
        let theirs = ids(to, home).await.map_err(CopyError::Target)?;
        compared.source += Tally { trash: ours.len() as u64, ..Tally::default() };
        compared.target += Tally { trash: theirs.len() as u64, ..Tally::default() };
        let missing = lacking(&ours, &theirs).len();
        if missing > 0 {
            compared.differences.add(format!("the trash of {home} lacks {missing} things in the target"));
        }
        let superfluous = lacking(&theirs, &ours).len();
        if superfluous > 0 {
            compared.differences.add(format!("the trash of {home} has {superfluous} more things in the target"));
        }
    }
    Ok(())
}
