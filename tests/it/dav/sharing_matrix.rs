//! The whole table of `sharing_matrix.txt`: every role at every address against every kind of request, on every store.

use std::sync::Arc;

use convoke::dav::Actor;
use convoke::dav::server::Settings;
use convoke::store::mongo::MongoDav;
use convoke::store::{CollectionKind, PublicRight};

use super::sharing::{give, publish, share, subscribe};
use super::{ALICE, Answer, BOB, CAROL, Client, EVE, World, calendar, event, root};
use crate::mongo_support::{REPLICA_SET, STANDALONE, TestMongo};

const TABLE: &str = include_str!("sharing_matrix.txt");

/// Somebody at some address, with a calendar of alice's that nobody else uses.
struct Role<'w> {
    client: Client<'w>,
    /// Where they come from: a home of their own, or one they act for.
    home: &'static str,
    /// Where they are.
    place: String,
    /// Keeps UIDs apart.
    name: String,
}

fn private(uid: &str) -> String {
    let lines = ["DTSTART:20300104T110000Z", "DURATION:PT1H", "SUMMARY:Secret", "CLASS:PRIVATE"];
    calendar("VEVENT", uid, &lines)
}

impl<'w> Role<'w> {
    async fn prepare(world: &'w World, name: &str) -> Self {
        let uri = format!("of-{}", name.replace('@', "-at"));
        let own = format!("/calendars/{ALICE}/{uri}/");
        let alice = world.alice();
        alice.send("MKCALENDAR", &own, &[], "").await.expect(201);
        for object in ["a", "old", "gone", "moved"] {
            let text = event(&format!("{object}-{uri}"), "20300102T110000Z");
            alice.put(&format!("{own}{object}.ics"), &text).await.expect(201);
        }
        for object in ["secret", "own"] {
            alice.put(&format!("{own}{object}.ics"), &private(&format!("{object}-{uri}"))).await.expect(201);
        }
        let right = match name {
            "admin" | "admin@" => Some("administration"),
            "write" | "third" => Some("read-write"),
            "read" => Some("read"),
            "busy" => Some("freebusy"),
            _ => None,
        };
        if let Some(right) = right {
            give(&alice, &own, &[("bob@example.org", right)]).await.expect(200);
        }
        let public = match name {
            "pubwrite" | "subwrite" => Some(PublicRight::Write),
            "pubread" | "subread" => Some(PublicRight::Read),
            _ => None,
        };
        publish(world, CollectionKind::Calendar, &uri, public).await;
        let subscription = format!("/calendars/{BOB}/sub-{uri}/");
        if name.starts_with("sub") {
            subscribe(&world.bob(), &subscription, &own).await.expect(201);
        }
        let given = world.dav.shared_in(BOB.parse().unwrap()).await.unwrap();
        let instance = given.into_iter().find(|s| s.source.uri == uri && s.instance.delegation().is_some());
        let instance = instance.map(|s| format!("/calendars/{BOB}/{}/", s.instance.uri));
        let (client, home) = match name {
            "own" => (alice, ALICE),
            "third" => (world.as_user("carol@example.org"), CAROL),
            "foreign" => (world.as_user("eve@other.example"), EVE),
            "program" => (program(world, "65dd00000000000000000001"), ALICE),
            "program2" => (program(world, "65dd00000000000000000002"), EVE),
            _ => (world.bob(), BOB),
        };
        let place = match name {
            "admin" | "write" | "read" | "busy" | "third" => instance.unwrap(),
            "subwrite" | "subread" => subscription,
            _ => own,
        };
        Self { client, home, place, name: uri }
    }

    /// What is answered to a request of this name.
    async fn ask(&self, request: &str) -> String {
        let (client, place) = (&self.client, self.place.as_str());
        let at = |name: &str| format!("{place}{name}.ics");
        let uid = |name: &str| format!("{name}-{}", self.name);
        let default = format!("/calendars/{0}/{0}/", self.home);
        let events = "<d:prop><d:getetag/></d:prop><cal:filter><cal:comp-filter name=\"VCALENDAR\"/></cal:filter>";
        let answer = match request {
            "propfind" => client.propfind(place, "0", "<d:displayname/>").await,
            "get" => client.get(&at("a")).await,
            "head" => client.send("HEAD", &at("a"), &[], "").await,
            "missing" => client.get(&at("missing")).await,
            "sees" => {
                let body = client.get(&at("secret")).await;
                return match body.status.as_u16() {
                    200 if body.body.contains("Secret") => "whole".to_owned(),
                    200 if body.body.contains("Busy") => "busy".to_owned(),
                    _ => "-".to_owned(),
                };
            }
            "query" => client.report(place, "cal:calendar-query", events).await,
            "multiget" => {
                let hrefs = format!("<d:prop><d:getetag/></d:prop><d:href>{}</d:href>", at("a"));
                client.report(place, "cal:calendar-multiget", &hrefs).await
            }
            "sync" => {
                let body = "<d:sync-token/><d:sync-level>1</d:sync-level><d:prop><d:getetag/></d:prop>";
                client.report(place, "d:sync-collection", body).await
            }
            "export" => client.get(&format!("{place}?export")).await,
            "freebusy" => {
                let week = "<cal:time-range start=\"20300101T000000Z\" end=\"20300108T000000Z\"/>";
                client.report(place, "cal:free-busy-query", week).await
            }
            "put-new" => client.put(&at("new"), &event(&uid("new"), "20300103T110000Z")).await,
            "put-old" => client.put(&at("old"), &event(&uid("old"), "20300103T110000Z")).await,
            "put-private" => client.put(&at("secret"), &private(&uid("secret")).replace("PT1H", "PT2H")).await,
            "copy-out" => self.send_to("COPY", &at("a"), &format!("{default}out-{}.ics", self.name)).await,
            "copy-in" => {
                let mine = format!("{default}mine-{}.ics", self.name);
                client.put(&mine, &event(&uid("mine"), "20300103T110000Z")).await.expect(201);
                self.send_to("COPY", &mine, &at("in")).await
            }
            "move-out" => self.send_to("MOVE", &at("moved"), &format!("{default}moved-{}.ics", self.name)).await,
            "delete" => client.delete(&at("gone")).await,
            "delete-private" => client.delete(&at("own")).await,
            "proppatch" => {
                let body = "<d:set><d:prop><d:displayname>Name</d:displayname></d:prop></d:set>";
                let body = format!("{}{body}</d:propertyupdate>", root("d:propertyupdate"));
                let answer = client.send("PROPPATCH", place, &[], &body).await;
                return match answer.status.as_u16() {
                    207 if answer.body.contains("200 OK") => "yes".to_owned(),
                    207 => "no".to_owned(),
                    status => status.to_string(),
                };
            }
            "mkcalendar" => client.send("MKCALENDAR", place, &[], "").await,
            "acl" => client.send("ACL", place, &[], "<d:acl xmlns:d=\"DAV:\"/>").await,
            "share" => client.send("POST", place, &[], &share(&[("carol@example.org", "read")])).await,
            "itip" => {
                let who = if self.home == BOB { "bob" } else { "alice" };
                let ical =
                    calendar("VEVENT", "nothing", &["DTSTART:20300103T110000Z", "ORGANIZER:mailto:x@example.org"]);
                let body = serde_json::json!({
                    "uid": "nothing", "sender": "x@example.org", "recipient": format!("{who}@example.org"),
                    "ical": ical, "method": "CANCEL",
                });
                client.send("ITIP", &at("a"), &[], &body.to_string()).await
            }
            "delete-all" => client.delete(place).await,
            other => panic!("{other} is no request"),
        };
        answer.status.as_u16().to_string()
    }

    async fn send_to(&self, method: &str, from: &str, to: &str) -> Answer {
        self.client.send(method, from, &[("destination", to)], "").await
    }
}

fn program<'w>(world: &'w World, domain: &str) -> Client<'w> {
    Client { actor: Some(Actor::Technical(domain.parse().unwrap())), ..world.alice() }
}

/// Asks everything, and compares the whole table.
async fn check(world: &World) {
    let mut lines = TABLE.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty());
    let names: Vec<&str> = lines.next().unwrap().split_whitespace().collect();
    let rows: Vec<Vec<&str>> = lines.map(|line| line.split_whitespace().collect()).collect();
    let mut wrong = Vec::new();
    for (column, name) in names.iter().enumerate() {
        let role = Role::prepare(world, name).await;
        for row in &rows {
            assert_eq!(row.len(), names.len() + 1, "{row:?}");
            let (request, expected) = (row[0], row[column + 1]);
            let found = role.ask(request).await;
            if found != expected {
                wrong.push(format!("{name} {request}: {found}, not {expected}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn the_table_holds_on_sqlite() {
    check(&World::new().await).await;
}

async fn on_mongodb(variable: &str) {
    let Some(databases) = TestMongo::on(variable) else { return };
    let store = MongoDav::open(databases.connect().await).await.unwrap();
    check(&World::over(Settings::default(), Some(Arc::new(store))).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_table_holds_on_mongodb() {
    on_mongodb(REPLICA_SET).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_table_holds_on_mongodb_without_transactions() {
    on_mongodb(STANDALONE).await;
}
