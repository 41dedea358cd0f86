//! Rooms, equipment and team calendars, the deleted ones among them.

use std::collections::BTreeSet;

use super::{Compared, Copied, CopyError, End, Options, Watch, patiently};
use crate::ids::{HomeId, ResourceId, TeamCalendarId};
use crate::store::{Resource, StoreError, TeamCalendar};

/// Rows read at once.
const PAGE: usize = 200;

pub(super) async fn copy(
    from: &End,
    to: Option<&End>,
    options: Options,
    watch: &dyn Watch,
) -> Result<Copied, CopyError> {
    let mut copied = Copied::default();
    let (resources, teams) = (all_resources(from).await, all_teams(from).await);
    let (resources, teams) = (resources.map_err(CopyError::Source)?, teams.map_err(CopyError::Source)?);
    watch.begin("resources and team calendars", (resources.len() + teams.len()) as u64);
    for resource in &resources {
        let fate = copy_resource(resource, to, options, &mut copied).await?;
        copied.written.resources += u64::from(fate != Fate::Left && fate != Fate::Present);
        copied.replaced.resources += u64::from(fate == Fate::Replaced);
        copied.present.resources += u64::from(fate == Fate::Present);
        watch.step(1);
    }
    for team in &teams {
        let fate = copy_team(team, to, options, &mut copied).await?;
        copied.written.teams += u64::from(fate != Fate::Left && fate != Fate::Present);
        copied.replaced.teams += u64::from(fate == Fate::Replaced);
        copied.present.teams += u64::from(fate == Fate::Present);
        watch.step(1);
    }
    if let Some(to) = to.filter(|_| options.resume) {
        let ours = resources.iter().map(|r| r.id.into()).chain(teams.iter().map(|t| t.id.into())).collect();
        superfluous(to, &ours, options, &mut copied).await?;
    }
    Ok(copied)
}

/// What became of one row.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Added,
    Replaced,
    Present,
    Left,
}

async fn copy_resource(
    ours: &Resource,
    to: Option<&End>,
    options: Options,
    copied: &mut Copied,
) -> Result<Fate, CopyError> {
    let Some(to) = to else { return Ok(Fate::Added) };
    let theirs = patiently(async || to.directory.resource(ours.id).await).await.map_err(CopyError::Target)?;
    let Some(theirs) = theirs else {
        let add = async || to.directory.add_resource(ours).await;
        return added(options.dry_run, patiently(add), || format!("resource {}", ours.name), copied).await;
    };
    if theirs == *ours {
        return Ok(Fate::Present);
    }
    if !options.replace || theirs.deleted {
        copied.left.add(format!("resource {}: it is another one in the target", ours.name));
        return Ok(Fate::Left);
    }
    if !options.dry_run {
        patiently(async || to.directory.update_resource(ours).await).await.map_err(CopyError::Target)?;
        if ours.deleted {
            patiently(async || to.directory.delete_resource(ours.id).await).await.map_err(CopyError::Target)?;
        }
    }
    Ok(Fate::Replaced)
}

async fn copy_team(
    ours: &TeamCalendar,
    to: Option<&End>,
    options: Options,
    copied: &mut Copied,
) -> Result<Fate, CopyError> {
    let Some(to) = to else { return Ok(Fate::Added) };
    let theirs = patiently(async || to.directory.team_calendar(ours.id).await).await.map_err(CopyError::Target)?;
    let Some(theirs) = theirs else {
        let add = async || to.directory.add_team_calendar(ours).await;
        return added(options.dry_run, patiently(add), || format!("team calendar {}", ours.name), copied).await;
    };
    if theirs == *ours {
        return Ok(Fate::Present);
    }
    if !options.replace {
        copied.left.add(format!("team calendar {}: it is another one in the target", ours.name));
        return Ok(Fate::Left);
    }
    if !options.dry_run {
        patiently(async || to.directory.update_team_calendar(ours).await).await.map_err(CopyError::Target)?;
    }
    Ok(Fate::Replaced)
}

async fn added(
    dry_run: bool,
    add: impl Future<Output = Result<(), StoreError>>,
    what: impl Fn() -> String,
    copied: &mut Copied,
) -> Result<Fate, CopyError> {
    if dry_run {
        return Ok(Fate::Added);
    }
    match add.await {
        // It was looked for before: what is there now came from an attempt whose answer was lost.
        Ok(()) | Err(StoreError::Exists(_)) => Ok(Fate::Added),
        Err(StoreError::Missing(missing)) => {
            copied.left.add(format!("{}: {missing} is not in the target", what()));
            Ok(Fate::Left)
        }
        Err(error) => Err(CopyError::Target(error)),
    }
}

/// What the source does not have. Resources are never removed, but marked as deleted.
async fn superfluous(
    to: &End,
    ours: &BTreeSet<HomeId>,
    options: Options,
    copied: &mut Copied,
) -> Result<(), CopyError> {
    let unknown = |home: HomeId| !ours.contains(&home);
    for resource in all_resources(to).await.map_err(CopyError::Target)? {
        if !unknown(resource.id.into()) || resource.deleted {
            continue;
        }
        if !options.replace {
            copied.left.add(format!("resource {}: the source does not have it", resource.name));
            continue;
        }
        if !options.dry_run {
            patiently(async || to.directory.delete_resource(resource.id).await).await.map_err(CopyError::Target)?;
        }
        copied.replaced.resources += 1;
    }
    for team in all_teams(to).await.map_err(CopyError::Target)? {
        if !unknown(team.id.into()) {
            continue;
        }
        if !options.replace {
            copied.left.add(format!("team calendar {}: the source does not have it", team.name));
            continue;
        }
        if !options.dry_run {
            patiently(async || to.directory.remove_team_calendar(team.id).await).await.map_err(CopyError::Target)?;
        }
        copied.replaced.teams += 1;
    }
    Ok(())
}

pub(super) async fn compare(from: &End, to: &End, compared: &mut Compared) -> Result<(), CopyError> {
    let ours = all_resources(from).await.map_err(CopyError::Source)?;
    let theirs = all_resources(to).await.map_err(CopyError::Target)?;
    compared.source.resources = ours.len() as u64;
    compared.target.resources = theirs.len() as u64;
    for resource in ours.iter().filter(|r| !theirs.contains(r)) {
        compared.differences.add(format!("resource {} is not like that in the target", resource.name));
    }
    for resource in theirs.iter().filter(|t| !ours.iter().any(|o| o.id == t.id) && !t.deleted) {
        compared.differences.add(format!("resource {} is not in the source", resource.name));
    }
    let ours = all_teams(from).await.map_err(CopyError::Source)?;
    let theirs = all_teams(to).await.map_err(CopyError::Target)?;
    compared.source.teams = ours.len() as u64;
    compared.target.teams = theirs.len() as u64;
    for team in ours.iter().filter(|t| !theirs.contains(t)) {
        compared.differences.add(format!("team calendar {} is not like that in the target", team.name));
    }
    for team in theirs.iter().filter(|t| !ours.iter().any(|o| o.id == t.id)) {
        compared.differences.add(format!("team calendar {} is not in the source", team.name));
    }
    Ok(())
}

async fn all_resources(end: &End) -> Result<Vec<Resource>, StoreError> {
    let mut all: Vec<Resource> = Vec::new();
    loop {
        let after: Option<ResourceId> = all.last().map(|resource| resource.id);
        let page = patiently(async || end.directory.resources(None, after, PAGE).await).await?;
        let is_last = page.len() < PAGE;
        all.extend(page);
        if is_last {
            return Ok(all);
        }
    }
}

async fn all_teams(end: &End) -> Result<Vec<TeamCalendar>, StoreError> {
    let mut all: Vec<TeamCalendar> = Vec::new();
    loop {
        let after: Option<TeamCalendarId> = all.last().map(|team| team.id);
        let page = patiently(async || end.directory.team_calendars(None, after, PAGE).await).await?;
        let is_last = page.len() < PAGE;
        all.extend(page);
        if is_last {
            return Ok(all);
        }
    }
}
