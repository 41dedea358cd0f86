//! What lies in the trash, and the last tokens of paths.

use std::collections::BTreeSet;

use super::homes::all;
use super::{Compared, Copied, CopyError, End, Options, Tally, Watch, patiently};
use crate::ids::{HomeId, TrashId};
use crate::store::{Batch, Op, Purge, StoreError, TrashView, TrashedThing, WriteError};

/// Things listed at once.
const PAGE: usize = 200;
/// Things read and written at once: their texts may be long.
const BATCH: usize = 16;
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
            None => BTreeSet::new(),
        };
        let missing: Vec<TrashId> = ours.difference(&theirs).copied().collect();
        copied.present.trash += ours.intersection(&theirs).count() as u64;
        copied.written.trash += missing.len() as u64;
        let superfluous: Vec<TrashId> = theirs.difference(&ours).copied().collect();
        if options.replace {
            copied.replaced.trash += superfluous.len() as u64;
        }
        if let Some(to) = to.filter(|_| !options.dry_run) {
            bring(from, to, home, &missing).await?;
            if options.replace && !superfluous.is_empty() {
                let purge = Purge::These(home, superfluous);
                patiently(async || to.dav.purge(&purge, usize::MAX).await).await.map_err(CopyError::Target)?;
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

async fn bring(from: &End, to: &End, home: HomeId, missing: &[TrashId]) -> Result<(), CopyError> {
    for some in missing.chunks(BATCH) {
        let things = patiently(async || from.dav.trashed(home, some).await).await.map_err(CopyError::Source)?;
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

/// Everything in the trash of a home.
async fn ids(end: &End, home: HomeId) -> Result<BTreeSet<TrashId>, StoreError> {
    let mut found = BTreeSet::new();
    let mut views = vec![TrashView::Deleted];
    while let Some(view) = views.pop() {
        let mut after = None;
        loop {
            let page = patiently(async || end.dav.trash(home, view, after, PAGE).await).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.id);
            for entry in &page {
                found.insert(entry.id);
                if matches!(entry.what, TrashedThing::Collection { .. }) {
                    views.push(TrashView::Of(entry.collection));
                }
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
        let missing = ours.difference(&theirs).count();
        if missing > 0 {
            compared.differences.add(format!("the trash of {home} lacks {missing} things in the target"));
        }
        let superfluous = theirs.difference(&ours).count();
        if superfluous > 0 {
            compared.differences.add(format!("the trash of {home} has {superfluous} more things in the target"));
        }
    }
    Ok(())
}
