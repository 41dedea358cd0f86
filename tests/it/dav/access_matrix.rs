//! The whole table of `access_matrix.txt`: every role against every kind of request at every form of path. What a role may not
//! do changes nothing and is told to nobody.
//!
//! `CONVOKE_BLESS=1` writes the table anew; read what changed.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use axum::body::Body;
use convoke::auth::{Authenticator, RequireUser, Surface};
use convoke::config::Config;
use convoke::dav::Actor;
use convoke::dav::server::Settings;
use convoke::proxy::{self, Proxy};
use convoke::store::{CollectionKind, PublicRight, Resource, ResourceStore as _, TeamCalendar};
use convoke::store::{DirectoryStore as _, User};
use http::Request;
use serde_json::json;
use tower::ServiceExt as _;

use super::sharing::{give, publish, subscribe};
use super::{ALICE, CALENDAR, Client, DOMAIN, EVE, World, calendar, event, root};

const TABLE: &str = "tests/it/dav/access_matrix.txt";
const OTHER_DOMAIN: &str = "65dd00000000000000000002";
const ROOM: &str = "65ee00000000000000000001";
const TEAM: &str = "65ff00000000000000000001";

/// People of alice's domain who have something of hers, by what they have: id and right.
const DELEGATES: [(&str, &str, &str); 6] = [
    ("admin", "65aa000000000000000000a1", "administration"),
    ("write", "65aa000000000000000000a2", "read-write"),
    ("read", "65aa000000000000000000a3", "read"),
    ("busy", "65aa000000000000000000a4", "freebusy"),
    ("subscriber", "65aa000000000000000000a5", ""),
    ("colleague", "65aa000000000000000000a6", ""),
];

/// Who asks, in the order of the table.
const ROLES: [&str; 12] = [
    "owner",
    "admin",
    "write",
    "read",
    "busy",
    "subscriber",
    "colleague",
    "room",
    "program",
    "foreign",
    "foreign-program",
    "anonymous",
];

/// What is asked, in the order of the table.
const REQUESTS: [&str; 21] = [
    "GET",
    "PROPFIND",
    "REPORT",
    "PROPPATCH",
    "PUT",
    "DELETE",
    "MKCOL",
    "MKCALENDAR",
    "COPY",
    "MOVE",
    "INTO",
    "POST",
    "ACL",
    "ITIP",
    "LOCK",
    "jGET",
    "jREPORT",
    "jPROPPATCH",
    "jPOST",
    "jACL",
    "jDELETE",
];
/// Those of them that change nothing, whatever they are answered: the message of ITIP is about what nobody has.
const READING: [&str; 7] = ["GET", "PROPFIND", "REPORT", "ITIP", "jGET", "jREPORT", "LOCK"];
/// Those that change nothing where nobody is told of it.
const TOLD: [&str; 2] = ["PROPPATCH", "jPROPPATCH"];

/// What is at a path: which body a request there has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Other,
    Calendar,
    Event,
    Book,
    Card,
}

/// A form of path: its name, what is there, and where; `{me}` is the home of who asks, `{item}` what lies there.
const PLACES: [(&str, Kind, &str); 44] = [
    ("root", Kind::Other, "/"),
    ("principals", Kind::Other, "/principals/"),
    ("principals of users", Kind::Other, "/principals/users/"),
    ("principal", Kind::Other, "/principals/users/65aa00000000000000000001/"),
    ("proxies", Kind::Other, "/principals/users/65aa00000000000000000001/calendar-proxy-write/"),
    ("notifications", Kind::Other, "/principals/users/65aa00000000000000000001/notifications/"),
    ("principal of a room", Kind::Other, "/principals/resources/65ee00000000000000000001/"),
    ("principal of a team", Kind::Other, "/principals/team-calendars/65ff00000000000000000001/"),
    ("principal of the domain", Kind::Other, "/principals/domains/65dd00000000000000000001/"),
    ("homes", Kind::Other, "/calendars/"),
    ("home", Kind::Other, "/calendars/65aa00000000000000000001/"),
    ("default calendar", Kind::Calendar, "/calendars/65aa00000000000000000001/65aa00000000000000000001/"),
    ("calendar by its old name", Kind::Calendar, "/calendars/65aa00000000000000000001/events/"),
    ("given calendar", Kind::Calendar, "/calendars/65aa00000000000000000001/work/"),
    ("event", Kind::Event, "/calendars/65aa00000000000000000001/work/a.ics"),
    ("private event", Kind::Event, "/calendars/65aa00000000000000000001/work/p.ics"),
    ("missing event", Kind::Event, "/calendars/65aa00000000000000000001/work/missing.ics"),
    ("instance", Kind::Calendar, "/calendars/{me}/{instance}/"),
    ("event through the instance", Kind::Event, "/calendars/{me}/{instance}/a.ics"),
    ("private event through the instance", Kind::Event, "/calendars/{me}/{instance}/p.ics"),
    ("public calendar", Kind::Calendar, "/calendars/65aa00000000000000000001/public/"),
    ("public event", Kind::Event, "/calendars/65aa00000000000000000001/public/b.ics"),
    ("subscription", Kind::Calendar, "/calendars/{me}/sub/"),
    ("event through the subscription", Kind::Event, "/calendars/{me}/sub/b.ics"),
    ("missing calendar", Kind::Calendar, "/calendars/65aa00000000000000000001/missing/"),
    ("inbox", Kind::Calendar, "/calendars/65aa00000000000000000001/inbox/"),
    ("item of the inbox", Kind::Event, "/calendars/65aa00000000000000000001/inbox/{item}"),
    ("outbox", Kind::Other, "/calendars/65aa00000000000000000001/outbox/"),
    ("calendar of a room", Kind::Calendar, "/calendars/65ee00000000000000000001/65ee00000000000000000001/"),
    ("calendar of a team", Kind::Calendar, "/calendars/65ff00000000000000000001/65ff00000000000000000001/"),
    ("busy times", Kind::Other, "/calendars/freebusy"),
    ("query", Kind::Other, "/query"),
    ("itip", Kind::Other, "/itip"),
    ("homes of books", Kind::Other, "/addressbooks/"),
    ("home of books", Kind::Other, "/addressbooks/65aa00000000000000000001/"),
    ("default book", Kind::Book, "/addressbooks/65aa00000000000000000001/contacts/"),
    ("given book", Kind::Book, "/addressbooks/65aa00000000000000000001/friends/"),
    ("card", Kind::Card, "/addressbooks/65aa00000000000000000001/friends/c.vcf"),
    ("book of the domain", Kind::Book, "/addressbooks/65dd00000000000000000001/domain-members/"),
    ("home of the domain", Kind::Other, "/addressbooks/65dd00000000000000000001/"),
    ("files", Kind::Other, "/files/65aa00000000000000000001/"),
    ("trash", Kind::Other, "/trash/65aa00000000000000000001/"),
    ("home of nobody", Kind::Other, "/calendars/65aa0000000000000000dead/"),
    ("home that is no id", Kind::Other, "/calendars/nobody/"),
];

fn id_of(role: &str) -> &'static str {
    match role {
        "owner" | "program" | "anonymous" => ALICE,
        "room" => ROOM,
        "foreign" | "foreign-program" => EVE,
        _ => DELEGATES.iter().find(|(name, ..)| *name == role).unwrap().1,
    }
}

fn mail_of(role: &str) -> String {
    match role {
        "owner" | "program" | "anonymous" => "alice@example.org".to_owned(),
        "room" => format!("{ROOM}@example.org"),
        "foreign" | "foreign-program" => "eve@other.example".to_owned(),
        role => format!("{role}@example.org"),
    }
}

fn private(uid: &str) -> String {
    let lines = ["DTSTART:20300104T110000Z", "DURATION:PT1H", "SUMMARY:Secret", "CLASS:PRIVATE"];
    calendar("VEVENT", uid, &lines)
}

fn card(uid: &str) -> String {
    format!("BEGIN:VCARD\r\nVERSION:3.0\r\nUID:{uid}\r\nFN:{uid}\r\nN:{uid};;;;\r\nEND:VCARD\r\n")
}

/// Somebody, in a world that nobody changed yet.
struct Scene {
    world: World,
    role: &'static str,
    instance: String,
    /// What lies in the inbox of alice.
    item: String,
    door: Proxy,
}

impl Scene {
    async fn set(role: &'static str) -> Self {
        let world = World::with(Settings { principal_privacy: false, ..Settings::default() }).await;
        furnish(&world).await;
        let shared = world.dav.shared_in(id_of(role).parse().unwrap()).await.unwrap();
        let is_given = |kind| shared.iter().find(|s| s.instance.kind == kind && s.instance.delegation().is_some());
        let instance = is_given(CollectionKind::Calendar).map_or("work", |s| s.instance.uri.as_str()).to_owned();
        let inbox =
            world.dav.collection(ALICE.parse().unwrap(), CollectionKind::Inbox, "inbox").await.unwrap().unwrap();
        let item = world.dav.list(inbox.id, None, 1).await.unwrap().remove(0).name;
        let nobody = RequireUser::new(Authenticator::new(Vec::new()), Surface::Dav);
        let door = proxy::stack(world.upstream.clone(), nobody, &Config::default());
        let scene = Self { world, role, instance, item, door };
        if role != "anonymous" {
            let mine = scene.home_of_mine();
            let own = format!("/calendars/{mine}/{mine}/own.ics");
            scene.client().put(&own, &event("own", "20300103T110000Z")).await.expect(201);
            let own = format!("/addressbooks/{mine}/contacts/own.vcf");
            let headers = [("content-type", "text/vcard")];
            scene.client().send("PUT", &own, &headers, &card("own")).await.expect(201);
        }
        scene.world.published_with_homes().await;
        scene
    }

    fn home_of_mine(&self) -> &'static str {
        id_of(self.role)
    }

    fn client(&self) -> Client<'_> {
        let actor = match self.role {
            "program" => Actor::Technical(DOMAIN.parse().unwrap()),
            "foreign-program" => Actor::Technical(OTHER_DOMAIN.parse().unwrap()),
            role => Actor::User(mail_of(role).parse().unwrap()),
        };
        Client { world: &self.world, actor: Some(actor) }
    }

    /// The status of the answer.
    async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> u16 {
        if self.role != "anonymous" {
            return self.client().send(method, path, headers, body).await.status.as_u16();
        }
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::from(body.to_owned())).unwrap();
        self.door.clone().oneshot(request).await.unwrap().status().as_u16()
    }

    async fn ask(&self, request: &str, kind: Kind, path: &str) -> u16 {
        let mine = self.home_of_mine();
        let path = path.replace("{me}", mine).replace("{instance}", &self.instance).replace("{item}", &self.item);
        let name = path.rsplit('/').next().unwrap().split('.').next().unwrap().to_owned();
        let is_card = matches!(kind, Kind::Book | Kind::Card);
        let aside = match is_card {
            true => format!("/addressbooks/{mine}/contacts/aside.vcf"),
            false => format!("/calendars/{mine}/{mine}/aside.ics"),
        };
        let json = [("accept", "application/json"), ("content-type", "application/json")];
        let suffixed = if path == "/" { "/.json".to_owned() } else { format!("{}.json", path.trim_end_matches('/')) };
        match request {
            "GET" => self.send("GET", &path, &[], "").await,
            "PROPFIND" => {
                let body = format!("{}<d:prop><d:displayname/></d:prop></d:propfind>", root("d:propfind"));
                self.send("PROPFIND", &path, &[("depth", "0")], &body).await
            }
            "REPORT" => self.send("REPORT", &path, &[("depth", "1")], &report(kind)).await,
            "PROPPATCH" => {
                let body = "<d:set><d:prop><d:displayname>Name</d:displayname></d:prop></d:set>";
                let body = format!("{}{body}</d:propertyupdate>", root("d:propertyupdate"));
                self.send("PROPPATCH", &path, &[], &body).await
            }
            "PUT" => {
                let (media_type, body) = match kind {
                    Kind::Card | Kind::Book => ("text/vcard", card(&name)),
                    _ if name == "p" => ("text/calendar", private("p")),
                    _ => ("text/calendar", event(&name, "20300105T110000Z")),
                };
                self.send("PUT", &path, &[("content-type", media_type)], &body).await
            }
            "DELETE" | "MKCOL" | "MKCALENDAR" => self.send(request, &path, &[], "").await,
            "COPY" | "MOVE" => self.send(request, &path, &[("destination", &aside)], "").await,
            "INTO" => {
                let own = aside.replace("aside", "own");
                self.send("COPY", &own, &[("destination", &path)], "").await
            }
            "POST" => self.send("POST", &path, &[], &post(&path, &mail_of(self.role))).await,
            "ACL" => {
                let ace = "<d:ace><d:principal><d:authenticated/></d:principal><d:grant><d:privilege><d:read/>\
                           </d:privilege></d:grant></d:ace>";
                self.send("ACL", &path, &[], &format!("{}{ace}</d:acl>", root("d:acl"))).await
            }
            "ITIP" => self.send("ITIP", &path, &json, &cancel(&mail_of(self.role))).await,
            "LOCK" => self.send("LOCK", &path, &[], "").await,
            "jGET" => self.send("GET", &suffixed, &json, "").await,
            "jREPORT" => {
                let body = json!({"match": {"start": "20300101T000000", "end": "20300201T000000"}});
                self.send("REPORT", &suffixed, &json, &body.to_string()).await
            }
            "jPROPPATCH" => self.send("PROPPATCH", &suffixed, &json, r#"{"dav:name":"Name"}"#).await,
            "jPOST" => {
                let sharee = json!({"dav:href": "mailto:carol@example.org", "dav:read": true, "dav:share-access": 2});
                let body = json!({"id": "made", "share": {"set": [sharee], "remove": []},
                                  "dav:share-resource": {"dav:sharee": [sharee]}});
                self.send("POST", &suffixed, &json, &body.to_string()).await
            }
            "jACL" => self.send("ACL", &suffixed, &json, r#"{"public_right":"{DAV:}read"}"#).await,
            "jDELETE" => self.send("DELETE", &suffixed, &json, "").await,
            other => panic!("{other} is no request"),
        }
    }
}

fn report(kind: Kind) -> String {
    let (name, body) = match kind {
        Kind::Book | Kind::Card => ("card:addressbook-query", "<d:prop><d:getetag/></d:prop><card:filter/>"),
        Kind::Calendar | Kind::Event => (
            "cal:calendar-query",
            "<d:prop><d:getetag/></d:prop><cal:filter><cal:comp-filter name=\"VCALENDAR\"/></cal:filter>",
        ),
        Kind::Other => ("d:principal-match", "<d:self/><d:prop><d:displayname/></d:prop>"),
    };
    format!("{}{body}</{name}>", root(name))
}

/// A cancellation of something that nobody has.
fn cancel(recipient: &str) -> String {
    let ical = calendar("VEVENT", "nothing", &["DTSTART:20300103T110000Z", "ORGANIZER:mailto:x@example.org"]);
    json!({"uid": "nothing", "sender": "x@example.org", "recipient": recipient, "ical": ical, "method": "CANCEL"})
        .to_string()
}

fn post(path: &str, mail: &str) -> String {
    let day = ["DTSTART:20300102T000000Z", "DTEND:20300103T000000Z"];
    match path {
        "/itip" => cancel(mail),
        "/query" => json!({"scope": {"calendars": [format!("{}.json", CALENDAR.trim_end_matches('/'))]},
                           "match": {"start": "20300101T000000", "end": "20300201T000000"}})
        .to_string(),
        "/calendars/freebusy" => {
            json!({"start": "20300102T000000Z", "end": "20300103T000000Z", "users": [ALICE], "uids": []}).to_string()
        }
        path if path.ends_with("/outbox/") => {
            let organizer = format!("ORGANIZER:mailto:{mail}");
            let lines = [day[0], day[1], &organizer, "ATTENDEE:mailto:alice@example.org"];
            calendar("VFREEBUSY", "ask", &lines).replace("BEGIN:VFREEBUSY", "METHOD:REQUEST\r\nBEGIN:VFREEBUSY")
        }
        _ => super::sharing::share(&[("carol@example.org", "read")]),
    }
}

/// What alice has, and who has something of it.
async fn furnish(world: &World) {
    for (name, id, _) in DELEGATES {
        let user = User {
            id: id.parse().unwrap(),
            domain: DOMAIN.parse().unwrap(),
            emails: vec![format!("{name}@example.org").parse().unwrap()],
            firstname: name.to_owned(),
            lastname: String::new(),
        };
        world.sqlite.add_user(&user).await.unwrap();
    }
    let made: chrono::DateTime<chrono::Utc> = "2026-02-01T09:00:00Z".parse().unwrap();
    let room = Resource {
        id: ROOM.parse().unwrap(),
        domain: DOMAIN.parse().unwrap(),
        name: "Blue room".to_owned(),
        description: String::new(),
        icon: String::new(),
        is_room: true,
        creator: None,
        administrators: Vec::new(),
        deleted: false,
        created: made,
        updated: made,
    };
    world.sqlite.add_resource(&room).await.unwrap();
    let team = TeamCalendar {
        id: TEAM.parse().unwrap(),
        domain: DOMAIN.parse().unwrap(),
        name: "support".to_owned(),
        display_name: "Support".to_owned(),
        email: None,
        created: made,
        updated: made,
    };
    world.sqlite.add_team_calendar(&team).await.unwrap();
    let alice = world.alice();
    let home = format!("/calendars/{ALICE}/");
    for name in ["work", "public"] {
        alice.send("MKCALENDAR", &format!("{home}{name}/"), &[], "").await.expect(201);
    }
    alice.put(&format!("{home}work/a.ics"), &event("a", "20300102T110000Z")).await.expect(201);
    alice.put(&format!("{home}work/p.ics"), &private("p")).await.expect(201);
    alice.put(&format!("{home}public/b.ics"), &event("b", "20300102T110000Z")).await.expect(201);
    let people: Vec<(String, &str)> = DELEGATES
        .iter()
        .filter(|(_, _, right)| !right.is_empty())
        .map(|(name, _, right)| (format!("{name}@example.org"), *right))
        .collect();
    let people: Vec<(&str, &str)> = people.iter().map(|(mail, right)| (mail.as_str(), *right)).collect();
    give(&alice, &format!("{home}work/"), &people).await.expect(200);
    publish(world, CollectionKind::Calendar, "public", Some(PublicRight::Read)).await;
    for (name, id, _) in DELEGATES.iter().filter(|(name, ..)| *name == "subscriber") {
        let reader = world.as_user(&format!("{name}@example.org"));
        subscribe(&reader, &format!("/calendars/{id}/sub/"), &format!("{home}public/")).await.expect(201);
    }
    let books = format!("/addressbooks/{ALICE}/");
    let body = format!(
        "{}<d:set><d:prop><d:resourcetype><d:collection/><card:addressbook/></d:resourcetype></d:prop></d:set></d:mkcol>",
        root("d:mkcol")
    );
    alice.send("MKCOL", &format!("{books}friends/"), &[("content-type", "application/xml")], &body).await.expect(201);
    let headers = [("content-type", "text/vcard")];
    alice.send("PUT", &format!("{books}friends/c.vcf"), &headers, &card("c")).await.expect(201);
    let of_books: Vec<(&str, &str)> = people.iter().filter(|(_, right)| *right != "freebusy").copied().collect();
    give(&alice, &format!("{books}friends/"), &of_books).await.expect(200);
    // Made when somebody first looks at it.
    alice.propfind(&format!("/addressbooks/{DOMAIN}/domain-members/"), "0", "").await.expect(207);
    // An invitation lies in the inbox of alice.
    let lines = [
        "DTSTART:20300109T110000Z",
        "DURATION:PT1H",
        "ORGANIZER:mailto:guest@elsewhere.example",
        "ATTENDEE:mailto:alice@example.org",
    ];
    let body = json!({
        "uid": "invited", "sender": "guest@elsewhere.example", "recipient": "alice@example.org", "method": "REQUEST",
        "ical": calendar("VEVENT", "invited", &lines),
    });
    super::scheduling::itip(&alice, &body).await.expect(204);
}

/// The statuses of one role everywhere, by place.
async fn statuses(role: &'static str) -> BTreeMap<&'static str, Vec<u16>> {
    let mut scene = Scene::set(role).await;
    let mut found = BTreeMap::new();
    for (place, kind, path) in PLACES {
        let mut row = Vec::new();
        for request in REQUESTS {
            let status = scene.ask(request, kind, path).await;
            assert!(status < 500 || status == 501, "{role} {request} {place}: {status}");
            let told = scene.world.published_with_homes().await;
            if status >= 400 {
                assert!(
                    told.iter().all(|m| m.payload["connectedUser"].is_null()),
                    "{role} {request} {place}: {told:?}"
                );
            } else if !(READING.contains(&request) || told.is_empty() && TOLD.contains(&request)) {
                scene = Scene::set(role).await;
            }
            row.push(status);
        }
        found.insert(place, row);
    }
    found
}

const HEAD: &str = "# Who gets what answer where (dav \u{a7}3, \u{a7}5, \u{a7}7, \u{a7}9). A block is a form of path, a line some roles with the same answers, a
# column a request. Made and read by access_matrix.rs, which says what each word stands for; j\u{2026} are requests of the JSON API.
#
#   owner       whose everything is                     colleague        somebody else of the domain
#   admin       given administration of calendar, book  room             a resource of the domain, acting itself
#   write       given read-write                        program          a technical token of the domain
#   read        given read                              foreign          somebody of another domain
#   busy        given freebusy, and nothing of books    foreign-program  a technical token of another domain
#   subscriber  of the public calendar                  anonymous        nobody, at the door
";

fn written(all: &BTreeMap<&str, BTreeMap<&'static str, Vec<u16>>>) -> String {
    let mut out = String::from(HEAD);
    for (place, _, path) in PLACES {
        let _ = write!(out, "\n[{place}] {path}\n{:48}", "");
        REQUESTS.iter().for_each(|request| out.push_str(&format!("{:>5} ", &request[..request.len().min(5)])));
        let mut lines: Vec<(Vec<u16>, Vec<&str>)> = Vec::new();
        for role in ROLES {
            let row = &all[role][place];
            match lines.iter_mut().find(|(known, _)| known == row) {
                Some((_, roles)) => roles.push(role),
                None => lines.push((row.clone(), vec![role])),
            }
        }
        for (row, roles) in lines {
            let _ = write!(out, "\n{:48}", roles.join(","));
            row.iter().for_each(|status| out.push_str(&format!("{status:>5} ")));
        }
        out.push('\n');
    }
    out.lines().map(|line| line.trim_end().to_owned() + "\n").collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everybody_gets_everywhere_what_the_table_says() {
    let tasks = ROLES.map(|role| (role, tokio::spawn(statuses(role))));
    let mut all = BTreeMap::new();
    for (role, task) in tasks {
        all.insert(role, task.await.unwrap());
    }
    let told = written(&all);
    if std::env::var_os("CONVOKE_BLESS").is_some() {
        std::fs::write(TABLE, &told).unwrap();
    }
    let expected = std::fs::read_to_string(TABLE).unwrap_or_default();
    let wrong: Vec<_> = expected.lines().zip(told.lines()).filter(|(a, b)| a != b).take(20).collect();
    assert!(expected == told, "expected and found differ: {wrong:#?}");
    for role in ["foreign", "foreign-program", "anonymous"] {
        for (place, row) in &all[role] {
            let is_of_nobody = [
                "root",
                "principals",
                "principals of users",
                "homes",
                "homes of books",
                "itip",
                "instance",
                "subscription",
            ];
            let passed = row.iter().zip(REQUESTS).filter(|(status, _)| **status < 400);
            let passed: Vec<_> = passed.map(|(_, request)| request).collect();
            assert!(is_of_nobody.contains(place) || passed.is_empty(), "{role} {place}: {passed:?}");
        }
    }
}
