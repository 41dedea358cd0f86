//! Team calendars: principals with homes, events that their members organize, and answers to them.

use convoke::dav::server::Settings;
use convoke::store::{
    Access, Batch, CollectionKind, DavStore as _, Delegation, Instance, InviteStatus, Op, ResourceStore as _,
    TeamCalendar, Tie,
};

use super::scheduling::{BOBS, only_event};
use super::{ALICE, BOB, CALENDAR, CAROL, DOMAIN, World, calendar};

const TEAM: &str = "65ff00000000000000000001";

fn calendar_of_team() -> String {
    format!("/calendars/{TEAM}/{TEAM}/")
}

/// A world with a team: alice may write in its calendar, carol may read it, bob is none of its members.
async fn world() -> World {
    world_with(Settings { principal_privacy: false, organizer_validation: true, ..Settings::default() }).await
}

async fn world_with(settings: Settings) -> World {
    let world = World::with(settings).await;
    let team = TeamCalendar {
        id: TEAM.parse().unwrap(),
        domain: DOMAIN.parse().unwrap(),
        name: "support".to_owned(),
        display_name: "Support team".to_owned(),
        email: None,
        created: "2026-03-01T09:00:00Z".parse().unwrap(),
        updated: "2026-03-01T09:00:00Z".parse().unwrap(),
    };
    world.sqlite.add_team_calendar(&team).await.unwrap();
    world.as_user(&format!("{TEAM}@example.org")).propfind(&calendar_of_team(), "0", "").await.expect(207);
    let home = TEAM.parse().unwrap();
    let source = world.sqlite.collection(home, CollectionKind::Calendar, TEAM).await.unwrap().unwrap();
    let members = [(ALICE, "alice", Access::ReadWrite), (CAROL, "carol", Access::Read)].map(|(id, name, access)| {
        Op::PutInstance(Instance {
            id: format!("{}{}", &TEAM[..20], &id[20..]).parse().unwrap(),
            of: source.id,
            kind: CollectionKind::Calendar,
            home: id.parse().unwrap(),
            uri: "team".to_owned(),
            props: source.props.clone(),
            tie: Tie::Delegation(Delegation {
                access,
                status: InviteStatus::Accepted,
                href: format!("mailto:{name}@example.org"),
                name: None,
                hidden: false,
            }),
        })
    });
    world.sqlite.write(Batch { ops: members.to_vec(), publish: Vec::new() }).await.unwrap();
    world.published().await;
    world
}

fn meeting(organizer: &str, more: &[&str]) -> String {
    let organizer = format!("ORGANIZER:mailto:{organizer}@example.org");
    let mut lines = vec![
        "DTSTART:20300106T090000Z",
        "DURATION:PT1H",
        "SUMMARY:Standup",
        &organizer,
        "ATTENDEE;PARTSTAT=NEEDS-ACTION:mailto:bob@example.org",
    ];
    lines.extend(more);
    calendar("VEVENT", "standup", &lines)
}

#[tokio::test]
async fn a_team_is_a_principal_with_a_home_that_has_its_name() {
    let world = world().await;
    let itself = world.as_user(&format!("{TEAM}@example.org"));
    let path = format!("/principals/team-calendars/{TEAM}/");
    let told = itself.propfind("/", "0", "<d:current-user-principal/>").await.responses();
    assert!(told.contains(&path), "{told}");
    let asked = "<d:displayname/><cal:calendar-home-set/><cal:calendar-user-type/>";
    let told = world.bob().propfind(&path, "0", asked).await.responses();
    for part in ["Support team", &format!("<d:href>/calendars/{TEAM}/</d:href>"), "GROUP"] {
        assert!(told.contains(part), "{part}: {told}");
    }
    let told = itself.propfind(&format!("/calendars/{TEAM}/"), "1", "<d:displayname/>").await.responses();
    assert!(told.contains(&calendar_of_team()) && told.contains("Support team"), "{told}");
    let body = "<d:property-search><d:prop><d:displayname/></d:prop><d:match>support</d:match></d:property-search>";
    let search = async |email: &str| {
        world.as_user(email).report("/principals/team-calendars/", "d:principal-property-search", body).await.hrefs()
    };
    assert_eq!(search("bob@example.org").await, std::slice::from_ref(&path));
    assert_eq!(search("eve@other.example").await, Vec::<String>::new());
    world.as_user("eve@other.example").propfind(&path, "0", "").await.expect(403);
}

#[tokio::test]
async fn members_read_and_write_as_far_as_they_may() {
    let world = world().await;
    let path = format!("{}standup.ics", calendar_of_team());
    let text = meeting("alice", &["CLASS:PRIVATE"]);
    world.bob().put(&path, &text).await.expect(403);
    world.as_user("carol@example.org").put(&path, &text).await.expect(403);
    world.alice().put(&path, &text).await.expect(201);
    world.bob().get(&path).await.expect(403);
    // Members have no secrets from each other.
    for path in [path.clone(), format!("/calendars/{CAROL}/team/standup.ics")] {
        let read = world.as_user("carol@example.org").get(&path).await.expect(200);
        assert!(read.body.contains("SUMMARY:Standup"), "{}", read.body);
    }
    let foreign = meeting("carol", &[]).replace("standup", "other");
    let refused = world.alice().put(&format!("{}other.ics", calendar_of_team()), &foreign).await.expect(403);
    assert!(refused.body.contains("The ORGANIZER must be a write-enabled team calendar member."), "{}", refused.body);
}

#[tokio::test]
async fn an_event_of_a_team_is_scheduled_for_its_organizer_and_answers_find_it() {
    let world = world().await;
    let path = format!("{}standup.ics", calendar_of_team());
    world.alice().put(&path, &meeting("alice", &[])).await.expect(201);
    let stored = world.alice().get(&path).await.expect(200).body;
    assert!(stored.contains(&format!("X-OPENPAAS-TEAM-CALENDAR-ID:{TEAM}")), "{stored}");
    let (bobs, copy) = only_event(&world.bob(), BOBS).await;
    assert!(copy.contains(&format!("X-OPENPAAS-TEAM-CALENDAR-ID:{TEAM}")), "{copy}");
    world.bob().put(&bobs, &copy.replace("PARTSTAT=NEEDS-ACTION", "PARTSTAT=ACCEPTED")).await.expect(204);
    let stored = world.alice().get(&path).await.expect(200).body.replace("\r\n ", "");
    assert!(stored.contains("PARTSTAT=ACCEPTED"), "{stored}");
    assert_eq!(world.alice().contents(CALENDAR).await.len(), 0, "it is the team's and not hers");
    let published = world.published().await;
    let told = published.iter().find(|m| m.topic.name() == "calendar:event:reply").unwrap();
    assert_eq!(told.payload["eventPath"].as_str().unwrap(), path);
    world.alice().delete(&path).await.expect(204);
    let (_, copy) = only_event(&world.bob(), BOBS).await;
    assert!(copy.contains("STATUS:CANCELLED"), "{copy}");
}

#[tokio::test]
async fn an_answer_reaches_only_what_its_recipient_organizes_there() {
    let world = world().await;
    // Bob organizes an event of his own, and names the team without being of it.
    let forged = meeting("bob", &[&format!("X-OPENPAAS-TEAM-CALENDAR-ID:{TEAM}")]);
    let forged = forged.replace(
        "ATTENDEE;PARTSTAT=NEEDS-ACTION:mailto:bob@example.org",
        "ATTENDEE;PARTSTAT=NEEDS-ACTION:mailto:carol@example.org",
    );
    world.alice().put(&format!("{}standup.ics", calendar_of_team()), &meeting("alice", &[])).await.expect(201);
    let reply = forged.replace("BEGIN:VEVENT", "METHOD:REPLY\r\nBEGIN:VEVENT").replace("NEEDS-ACTION", "ACCEPTED");
    let body = serde_json::json!({
        "uid": "standup", "sender": "carol@example.org", "recipient": "bob@example.org", "ical": reply, "method": "REPLY",
    });
    super::scheduling::itip(&world.bob(), &body).await.expect(204);
    let stored = world.alice().get(&format!("{}standup.ics", calendar_of_team())).await.expect(200).body;
    assert!(!stored.contains("ACCEPTED") && !stored.contains("carol"), "{stored}");
}

#[tokio::test]
async fn what_is_moved_to_a_team_is_organized_by_a_member() {
    let world = world().await;
    world.alice().put(&format!("{CALENDAR}mine.ics"), &meeting("alice", &[])).await.expect(201);
    let to = format!("{}mine.ics", calendar_of_team());
    let carol = world.as_user("carol@example.org");
    let own = format!("/calendars/{CAROL}/{CAROL}/own.ics");
    carol.put(&own, &meeting("carol", &[]).replace("standup", "own")).await.expect(201);
    carol.send("MOVE", &own, &[("destination", &to)], "").await.expect(403);
    carol.get(&own).await.expect(200);
    world.alice().send("MOVE", &format!("{CALENDAR}mine.ics"), &[("destination", &to)], "").await.expect(201);
    let moved = world.alice().get(&to).await.expect(200);
    assert!(moved.body.contains(&format!("X-OPENPAAS-TEAM-CALENDAR-ID:{TEAM}")), "{}", moved.body);
    // Bob was invited before, so his copy knows of no team; his answer finds the event all the same.
    let copies = world.bob().contents(BOBS).await;
    let (name, copy) = copies.into_iter().find(|(_, text)| text.contains("UID:standup")).unwrap();
    let accepted = copy.replace("PARTSTAT=NEEDS-ACTION", "PARTSTAT=ACCEPTED");
    world.bob().put(&format!("{BOBS}{name}"), &accepted).await.expect(204);
    let moved = world.alice().get(&to).await.expect(200);
    assert!(moved.body.contains("PARTSTAT=ACCEPTED"), "{}", moved.body);
}

#[tokio::test]
async fn a_file_of_a_team_s_calendar_is_another_for_who_is_no_member_any_more() {
    let world = world().await;
    let path = format!("{}p.ics", calendar_of_team());
    let text =
        calendar("VEVENT", "p", &["DTSTART:20300106T090000Z", "DURATION:PT1H", "SUMMARY:Secret", "CLASS:PRIVATE"]);
    world.as_user(&format!("{TEAM}@example.org")).put(&path, &text).await.expect(201);
    let (carol, file) = (world.as_user("carol@example.org"), format!("/calendars/{CAROL}/team/?export"));
    let seen = carol.get(&file).await.expect(200);
    assert!(seen.body.contains("SUMMARY:Secret"));
    // She was of the team, and follows what everybody may read from now on, at the same address.
    let mut instance = world.sqlite.shared_in(CAROL.parse().unwrap()).await.unwrap().remove(0).instance;
    let gone = Op::RemoveInstance(instance.clone());
    instance.tie = Tie::Subscription { writes: false };
    let public = Op::SetPublicRight { collection: instance.of, right: Some(convoke::store::PublicRight::Read) };
    world.sqlite.write(Batch { ops: vec![gone, public], publish: Vec::new() }).await.unwrap();
    world.sqlite.write(Batch { ops: vec![Op::PutInstance(instance)], publish: Vec::new() }).await.unwrap();
    let etag = seen.header("etag").unwrap();
    let now = carol.send("GET", &file, &[("if-none-match", etag)], "").await.expect(200);
    assert!(!now.body.contains("SUMMARY:Secret"), "{}", now.body);
}

#[tokio::test]
async fn a_team_is_a_group_of_its_members() {
    let world = world().await;
    let path = format!("/principals/team-calendars/{TEAM}/");
    let members = |told: String| [ALICE, BOB, CAROL].map(|id| told.contains(&format!("/principals/users/{id}/")));
    let told = world.bob().propfind(&path, "0", "<d:group-member-set/>").await.responses();
    assert_eq!(members(told), [true, false, true]);
    for (who, id, is_member) in [("alice", ALICE, true), ("carol", CAROL, true), ("bob", BOB, false)] {
        let me = format!("/principals/users/{id}/");
        let client = world.as_user(&format!("{who}@example.org"));
        let told = client.propfind(&me, "0", "<d:group-membership/>").await.responses();
        assert_eq!(told.contains(&path), is_member, "{told}");
    }
}

#[tokio::test]
async fn where_principals_are_private_a_team_is_known_to_its_members() {
    let world = world_with(Settings { organizer_validation: true, ..Settings::default() }).await;
    let path = format!("/principals/team-calendars/{TEAM}/");
    for (who, knows) in [("alice@example.org", true), ("carol@example.org", true), ("bob@example.org", false)] {
        let told = world.as_user(who).propfind(&path, "0", "<d:group-member-set/>").await.responses();
        assert_eq!(told.contains("/principals/users/"), knows, "{who}: {told}");
    }
}
