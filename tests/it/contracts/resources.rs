//! The contract of `ResourceStore`: resources and team calendars.

use convoke::clock::Env;
use convoke::ids::{DomainId, ResourceId, TeamCalendarId, UserId};
use convoke::store::{Domain, Resource, SharedDirectory, StoreError, TeamCalendar};

use super::directory::Harness;
use super::engines::SqliteHarness;
use super::samples::{resource, team};
use super::{optional_suite, suite};
use crate::mongo_support::{REPLICA_SET, STANDALONE, TestMongo};

async fn domain(directory: &SharedDirectory, name: &str) -> DomainId {
    let domain = Domain { id: DomainId(Env::system().object_id()), name: name.parse().unwrap() };
    directory.add_domain(&domain).await.unwrap();
    domain.id
}

async fn a_resource_is_kept_as_it_is(engine: &dyn Harness) {
    let directory = engine.open().await;
    let domain = domain(&directory, "example.org").await;
    let mut room = resource(domain, "Blue room");
    room.administrators = vec![UserId(Env::system().object_id()), UserId(Env::system().object_id())];
    room.creator = Some(room.administrators[0]);
    directory.add_resource(&room).await.unwrap();
    assert_eq!(directory.resource(room.id).await.unwrap(), Some(room.clone()));
    assert_eq!(directory.resource(ResourceId(Env::system().object_id())).await.unwrap(), None);
    assert!(matches!(directory.add_resource(&room).await, Err(StoreError::Exists(_))));
    let nowhere = resource(DomainId(Env::system().object_id()), "Lost room");
    assert!(matches!(directory.add_resource(&nowhere).await, Err(StoreError::Missing(_))));

    room.name = "Green room".to_owned();
    room.is_room = false;
    room.administrators.pop();
    room.creator = None;
    room.updated = "2026-04-01T10:00:00Z".parse().unwrap();
    directory.update_resource(&room).await.unwrap();
    assert_eq!(directory.resource(room.id).await.unwrap(), Some(room.clone()));
    assert!(matches!(directory.update_resource(&nowhere).await, Err(StoreError::Missing(_))));
}

async fn a_deleted_resource_stays_and_does_not_change(engine: &dyn Harness) {
    let directory = engine.open().await;
    let domain = domain(&directory, "example.org").await;
    let room = resource(domain, "Blue room");
    directory.add_resource(&room).await.unwrap();
    assert!(directory.delete_resource(room.id).await.unwrap());
    assert!(!directory.delete_resource(room.id).await.unwrap());
    assert!(!directory.delete_resource(ResourceId(Env::system().object_id())).await.unwrap());
    let gone = Resource { deleted: true, ..room.clone() };
    assert_eq!(directory.resource(room.id).await.unwrap(), Some(gone.clone()));
    assert_eq!(directory.resources(Some(domain), None, 10).await.unwrap(), [gone]);
    assert!(matches!(directory.update_resource(&room).await, Err(StoreError::Missing(_))));
}

async fn a_team_calendar_is_added_renamed_and_removed(engine: &dyn Harness) {
    let directory = engine.open().await;
    let domain = domain(&directory, "example.org").await;
    let mut support = team(domain, "support");
    directory.add_team_calendar(&support).await.unwrap();
    assert_eq!(directory.team_calendar(support.id).await.unwrap(), Some(support.clone()));
    assert!(matches!(directory.add_team_calendar(&support).await, Err(StoreError::Exists(_))));
    directory.add_team_calendar(&team(domain, "support")).await.unwrap();
    let nowhere = team(DomainId(Env::system().object_id()), "lost");
    assert!(matches!(directory.add_team_calendar(&nowhere).await, Err(StoreError::Missing(_))));

    for email in [Some("support@example.org".parse().unwrap()), None] {
        support.display_name = "Help".to_owned();
        support.email = email;
        directory.update_team_calendar(&support).await.unwrap();
        assert_eq!(directory.team_calendar(support.id).await.unwrap(), Some(support.clone()));
    }
    assert!(directory.remove_team_calendar(support.id).await.unwrap());
    assert!(!directory.remove_team_calendar(support.id).await.unwrap());
    assert_eq!(directory.team_calendar(support.id).await.unwrap(), None);
    assert!(matches!(directory.update_team_calendar(&support).await, Err(StoreError::Missing(_))));
}

async fn both_are_paged_by_id_and_by_domain(engine: &dyn Harness) {
    let directory = engine.open().await;
    let (one, two) = (domain(&directory, "one.example").await, domain(&directory, "two.example").await);
    let (mut rooms, mut teams) = (Vec::new(), Vec::new());
    for n in 0..13 {
        let domain = if n % 4 == 0 { two } else { one };
        rooms.push(resource(domain, &format!("room {n}")));
        teams.push(team(domain, &format!("team {n}")));
        directory.add_resource(&rooms[n]).await.unwrap();
        directory.add_team_calendar(&teams[n]).await.unwrap();
    }
    rooms.sort_by_key(|room| room.id);
    teams.sort_by_key(|team| team.id);
    for domain in [None, Some(one), Some(two)] {
        let (mut seen, mut after): (Vec<Resource>, Option<ResourceId>) = (Vec::new(), None);
        loop {
            let page = directory.resources(domain, after, 3).await.unwrap();
            let Some(last) = page.last() else { break };
            assert!(page.len() <= 3);
            after = Some(last.id);
            seen.extend(page);
        }
        let expected: Vec<_> = rooms.iter().filter(|r| domain.is_none_or(|d| d == r.domain)).cloned().collect();
        assert_eq!(seen, expected);
        let (mut seen, mut after): (Vec<TeamCalendar>, Option<TeamCalendarId>) = (Vec::new(), None);
        loop {
            let page = directory.team_calendars(domain, after, 3).await.unwrap();
            let Some(last) = page.last() else { break };
            assert!(page.len() <= 3);
            after = Some(last.id);
            seen.extend(page);
        }
        let expected: Vec<_> = teams.iter().filter(|t| domain.is_none_or(|d| d == t.domain)).cloned().collect();
        assert_eq!(seen, expected);
    }
}

suite!(
    sqlite,
    super::SqliteHarness::new(),
    [
        a_resource_is_kept_as_it_is,
        a_deleted_resource_stays_and_does_not_change,
        a_team_calendar_is_added_renamed_and_removed,
        both_are_paged_by_id_and_by_domain,
    ]
);

optional_suite!(
    mongodb,
    super::TestMongo::on(super::REPLICA_SET),
    [
        a_resource_is_kept_as_it_is,
        a_deleted_resource_stays_and_does_not_change,
        a_team_calendar_is_added_renamed_and_removed,
        both_are_paged_by_id_and_by_domain,
    ]
);

optional_suite!(
    mongodb_without_transactions,
    super::TestMongo::on(super::STANDALONE),
    [
        a_resource_is_kept_as_it_is,
        a_deleted_resource_stays_and_does_not_change,
        a_team_calendar_is_added_renamed_and_removed,
        both_are_paged_by_id_and_by_domain,
    ]
);
