//! Both sides, compared after a copy.

use std::collections::BTreeSet;
use std::sync::Mutex;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::homes::{all, collections, place, same_path};
use super::objects::{compare as compare_objects, counts_from};
use super::{Compared, CopyError, End, Tally, Watch, files, patiently, people, resources, sharing, trash};
use crate::ids::{HomeId, UserId};
use crate::store::Collection;

/// People read at once.
const PAGE: usize = 200;
/// Homes under way at once.
const AT_ONCE: usize = 6;

pub(super) async fn compare(from: &End, to: &End, watch: &dyn Watch) -> Result<Compared, CopyError> {
    let mut compared = Compared::default();
    domains(from, to, &mut compared).await?;
    users(from, to, watch, &mut compared).await?;
    resources::compare(from, to, &mut compared).await?;
    homes(from, to, watch, &mut compared).await?;
    files::compare(from, to, &mut compared).await?;
    trash::compare(from, to, &mut compared).await?;
    Ok(compared)
}

async fn domains(from: &End, to: &End, compared: &mut Compared) -> Result<(), CopyError> {
    let ours = patiently(async || from.directory.domains().await).await.map_err(CopyError::Source)?;
    let theirs = patiently(async || to.directory.domains().await).await.map_err(CopyError::Target)?;
    compared.source.domains = ours.len() as u64;
    compared.target.domains = theirs.len() as u64;
    for domain in ours.iter().filter(|d| !theirs.contains(d)) {
        compared.differences.add(format!("domain {} is not in the target", domain.name));
    }
    for domain in theirs.iter().filter(|d| !ours.contains(d)) {
        compared.differences.add(format!("domain {} is not in the source", domain.name));
    }
    Ok(())
}

async fn users(from: &End, to: &End, watch: &dyn Watch, compared: &mut Compared) -> Result<(), CopyError> {
    let mut seen: BTreeSet<UserId> = BTreeSet::new();
    watch.begin("people compared", compared.source.users);
    let mut after = None;
    loop {
        let page = patiently(async || from.directory.users(None, after, PAGE).await).await;
        let page = page.map_err(CopyError::Source)?;
        let Some(last) = page.last() else { break };
        after = Some(last.id);
        for ours in &page {
            seen.insert(ours.id);
            let (settings, password, tally) = people::tally(from, ours).await.map_err(CopyError::Source)?;
            compared.source += tally;
            let theirs = patiently(async || to.directory.user(ours.id).await).await.map_err(CopyError::Target)?;
            let Some(theirs) = theirs else {
                compared.differences.add(format!("user {} is not in the target", ours.email()));
                continue;
            };
            let (their_settings, their_password, tally) =
                people::tally(to, &theirs).await.map_err(CopyError::Target)?;
            compared.target += tally;
            for (same, what) in [
                (*ours == theirs, "names or addresses"),
                (settings == their_settings, "settings"),
                (password == their_password, "a password"),
            ] {
                if !same {
                    compared.differences.add(format!("user {} has other {what} in the target", ours.email()));
                }
            }
        }
        watch.step(page.len() as u64);
    }
    superfluous(to, &seen, compared).await
}

async fn superfluous(to: &End, seen: &BTreeSet<UserId>, compared: &mut Compared) -> Result<(), CopyError> {
    let mut after = None;
    loop {
        let page = patiently(async || to.directory.users(None, after, PAGE).await).await;
        let page = page.map_err(CopyError::Target)?;
        let Some(last) = page.last() else { return Ok(()) };
        after = Some(last.id);
        for theirs in page.iter().filter(|theirs| !seen.contains(&theirs.id)) {
            compared.target.users += 1;
            compared.differences.add(format!("user {} is not in the source", theirs.email()));
        }
    }
}

async fn homes(from: &End, to: &End, watch: &dyn Watch, compared: &mut Compared) -> Result<(), CopyError> {
    let ours = all(from).await.map_err(CopyError::Source)?;
    let theirs = all(to).await.map_err(CopyError::Target)?;
    watch.begin("homes compared", ours.union(&theirs).count() as u64);
    let found = Mutex::new(std::mem::take(compared));
    stream::iter(ours.union(&theirs).map(|id| async {
        let one = home(from, to, *id).await?;
        if let Ok(mut found) = found.lock() {
            found.source += one.source;
            found.target += one.target;
            found.differences.extend(one.differences);
        }
        watch.step(1);
        Ok(())
    }))
    .buffer_unordered(AT_ONCE)
    .try_collect::<()>()
    .await?;
    *compared = found.into_inner().unwrap_or_default();
    Ok(())
}

async fn home(from: &End, to: &End, home: HomeId) -> Result<Compared, CopyError> {
    let ours = collections(from, home).await.map_err(CopyError::Source)?;
    let theirs = collections(to, home).await.map_err(CopyError::Target)?;
    let mut compared = Compared::default();
    for theirs in theirs.iter().filter(|t| !ours.iter().any(|o| same_path(o, t))) {
        compared.target.collections += 1;
        compared.differences.add(format!("{} is not in the source", place(theirs)));
    }
    for ours in &ours {
        compared.source.collections += 1;
        match theirs.iter().find(|t| same_path(ours, t)) {
            Some(theirs) => collection(from, to, ours, theirs, &mut compared).await?,
            None => compared.differences.add(format!("{} is not in the target", place(ours))),
        }
    }
    Ok(compared)
}

async fn collection(
    from: &End,
    to: &End,
    ours: &Collection,
    theirs: &Collection,
    compared: &mut Compared,
) -> Result<(), CopyError> {
    let found = compare_objects(from, ours.id, to, theirs.id).await?;
    compared.source.objects += found.ours;
    compared.target += Tally { collections: 1, objects: found.theirs, ..Tally::default() };
    let missing = found.missing.len();
    let first_missing = found.missing.first().map_or("", |meta| meta.name.as_str());
    let first = found.first.as_deref().unwrap_or_default();
    let counts = counts_from(to, theirs, ours.sync_token).await.map_err(CopyError::Target)?;
    let sharing = sharing::compare(from, to, ours, theirs).await?;
    for (wrong, what) in [
        (ours.id != theirs.id, "is another collection".to_owned()),
        (ours.props != theirs.props, "has other properties".to_owned()),
        (missing > 0, format!("lacks {missing} objects, e.g. {first_missing}")),
        (
            found.differing > 0,
            format!("has {} objects that the source does not have like that, e.g. {first}", found.differing),
        ),
        (!counts, "counts changes from a state before that of the source".to_owned()),
        (sharing.is_some(), sharing.unwrap_or_default().to_owned()),
    ] {
        if wrong {
            compared.differences.add(format!("{} in the target {what}", place(ours)));
        }
    }
    Ok(())
}
