//! Moving in from servers as they are: what each of them answers is kept in `tests/data/servers/*.http` and played over HTTP.
//!
//! ```text
//! > METHOD path [DEPTH or ACCEPT]    a request
//! < STATUS                           its answer
//! <: NAME: VALUE                     a header of the answer
//! …                                  the body, up to the next request
//! ```
//!
//! The same request several times gets its answers in order, and the last one from then on.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use convoke::net::{Client, ClientLimits};
use convoke::transfer::{Account, Counts, Credentials, Options, TransferError, sign_in};
use http::StatusCode;
use http::header::{ACCEPT, AUTHORIZATION};

use super::{import, options, said};
use crate::dav::{ALICE, BOB, CALENDAR, World, event};

#[derive(Debug, Clone, Default)]
struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: String,
    /// The connection ends in the middle of the body.
    is_cut: bool,
}

/// A server that knows what to say.
struct Played {
    url: String,
    asked: Arc<Mutex<Vec<String>>>,
}

type Answers = HashMap<String, Vec<Answer>>;

fn read(text: &str) -> Answers {
    let mut answers = Answers::new();
    let mut key = String::new();
    for line in text.lines() {
        if let Some(request) = line.strip_prefix("> ") {
            key = request.to_owned();
            answers.entry(key.clone()).or_default().push(Answer::default());
            continue;
        }
        let Some(answer) = answers.get_mut(&key).and_then(|all| all.last_mut()) else { continue };
        if let Some(header) = line.strip_prefix("<: ") {
            let (name, value) = header.split_once(": ").unwrap();
            answer.headers.push((name.to_owned(), value.to_owned()));
        } else if let Some(status) = line.strip_prefix("< ").filter(|_| answer.status == 0) {
            answer.status = status.parse().unwrap();
        } else {
            answer.body.push_str(line);
            answer.body.push('\n');
        }
    }
    for (key, answer) in answers.iter_mut().flat_map(|(key, all)| all.iter_mut().map(move |answer| (key, answer))) {
        let body = answer.body.trim_end();
        // Objects have the line ends of their kind.
        answer.body =
            if key.starts_with("GET ") { format!("{}\r\n", body.replace('\n', "\r\n")) } else { body.to_owned() };
    }
    answers
}

async fn play(answers: Answers) -> Played {
    convoke::net::use_ring();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let state = (Arc::new(Mutex::new(answers)), asked.clone());
    let app = axum::Router::new().fallback(answer).with_state(state);
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    Played { url, asked }
}

type Known = (Arc<Mutex<Answers>>, Arc<Mutex<Vec<String>>>);

async fn answer(State((answers, asked)): State<Known>, request: Request) -> Response {
    let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let detail = match request.method().as_str() {
        "PROPFIND" => header("depth"),
        "GET" => header(ACCEPT.as_str()),
        _ => None,
    };
    let mut key = format!("{} {}", request.method(), request.uri().path());
    key.extend(detail.map(|detail| format!(" {detail}")));
    asked.lock().unwrap().push(key.clone());
    let mut response = Response::new(Body::empty());
    if header(AUTHORIZATION.as_str()).as_deref() != Some("Basic YWxpY2U6c2VjcmV0") {
        *response.status_mut() = StatusCode::UNAUTHORIZED;
        return response;
    }
    let mut answers = answers.lock().unwrap();
    let answer = match answers.get_mut(&key) {
        Some(all) if all.len() > 1 => all.remove(0),
        Some(all) => all[0].clone(),
        None => Answer { status: 404, ..Answer::default() },
    };
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap();
    for (name, value) in &answer.headers {
        let name = http::HeaderName::from_bytes(name.to_ascii_lowercase().as_bytes()).unwrap();
        response.headers_mut().insert(name, value.parse().unwrap());
    }
    *response.body_mut() = match answer.is_cut {
        false => Body::from(answer.body),
        true => {
            let half = answer.body[..answer.body.len() / 2].to_owned();
            let broken = Err(std::io::Error::other("cut"));
            Body::from_stream(futures_util::stream::iter([Ok(half), broken]))
        }
    };
    response
}

async fn recorded(server: &str) -> Played {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/data/servers/{server}.http"));
    play(read(&std::fs::read_to_string(path).unwrap())).await
}

async fn at(url: &str, password: &str) -> Result<Account, TransferError> {
    let client = Client::new(ClientLimits { answer: Duration::from_secs(20), ..ClientLimits::default() }).unwrap();
    let credentials = Credentials { user: "alice".to_owned(), password: password.to_owned() };
    let (upstream, path) = sign_in(client, url, &credentials)?;
    Account::at(upstream, &path).await
}

/// Everything of an account into Bob's.
async fn moves_in(world: &World, from: &Account, options: Options) -> Counts {
    let counts = Counts::default();
    import(world, "bob@example.org", options).await.account(from, &counts).await.unwrap();
    counts
}

async fn names(world: &World, home: &str) -> Vec<String> {
    let found = world.bob().propfind(home, "1", "<d:displayname/>").await.hrefs();
    found.iter().filter_map(|href| href.strip_prefix(home)).map(|name| name.trim_end_matches('/').to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn from_nextcloud_comes_what_is_ones_own() {
    let there = recorded("nextcloud").await;
    let world = World::new().await;
    let account = at(&there.url, "secret").await.unwrap();
    let except = vec!["contact_birthdays".to_owned()];
    let counts = moves_in(&world, &account, Options { except: except.clone(), ..options() }).await;
    let failures = counts.failures();
    assert_eq!(said(&counts), [5, 0, 0, 0], "{failures:?}");

    let home = format!("/calendars/{BOB}/");
    let calendars = names(&world, &home).await;
    for uri in ["personal", "chores"] {
        assert!(calendars.iter().any(|name| name == uri), "{calendars:?}");
    }
    for uri in ["team_shared_by_bob", "holidays", "old", "trashbin", "contact_birthdays"] {
        assert!(calendars.iter().all(|name| name != uri), "{calendars:?}");
    }
    let props = "<d:displayname/><a:calendar-color/><a:calendar-order/><cal:calendar-timezone/><cal:supported-calendar-component-set/>";
    let personal = world.bob().propfind(&format!("{home}personal/"), "0", props).await.responses();
    for part in [">Personal<", "#0082c9", "TZID:Europe/Paris", r#"<cal:comp name="VTODO"/>"#] {
        assert!(personal.contains(part), "{personal}");
    }
    let chores = world.bob().propfind(&format!("{home}chores/"), "0", props).await.responses();
    assert!(chores.contains("Chores &amp; more") && !chores.contains("VEVENT"), "{chores}");
    // The report failed for one of the two; both are here.
    let event = world.bob().get(&format!("{home}personal/nc-1.ics")).await.expect(200).body;
    assert!(event.contains("SUMMARY:Café\r\n"), "{event}");
    // What no server should have taken comes without what makes it wrong.
    let odd = world.bob().get(&format!("{home}personal/nc-2.ics")).await.expect(200).body;
    assert!(odd.contains("SUMMARY:Odd  bell\r\n"), "{odd}");

    let books = format!("/addressbooks/{BOB}/");
    assert!(names(&world, &books).await.iter().all(|name| name != "z-server-generated--system"));
    let props = "<d:displayname/><card:addressbook-description/>";
    let friends = world.bob().propfind(&format!("{books}friends/"), "0", props).await.responses();
    assert!(friends.contains("Friends") && friends.contains("Old &amp; new"), "{friends}");
    let photo = world.bob().get(&format!("{books}friends/n1.vcf")).await.expect(200).body;
    assert!(photo.contains("PHOTO;ENCODING=b;TYPE=JPEG:/9j/4AAQ\r\n"), "{photo}");
    let accept = [("accept", "text/vcard; version=4.0")];
    let group = world.bob().send("GET", &format!("{books}friends/g1.vcf"), &accept, "").await.expect(200).body;
    assert!(group.contains("VERSION:4.0\r\n") && !group.contains("Sabre VObject"), "not as it was: {group}");

    // Once more, and nothing happens.
    let again = moves_in(&world, &account, Options { except, ..options() }).await;
    assert_eq!(said(&again), [0, 0, 5, 0], "{:?}", again.failures());
    // What the server lists and does not let in is named, and all else comes.
    let all = moves_in(&world, &account, options()).await;
    assert_eq!((said(&all), all.failures().len()), ([0, 0, 5, 1], 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn from_esn_sabre_the_main_calendar_goes_to_the_main_calendar() {
    let there = recorded("esn-sabre").await;
    let world = World::new().await;
    let counts = moves_in(&world, &at(&there.url, "secret").await.unwrap(), options()).await;
    assert_eq!(said(&counts), [4, 0, 0, 0], "{:?}", counts.failures());
    let main = CALENDAR.replace(ALICE, BOB);
    world.bob().get(&format!("{main}lunch.ics")).await.expect(200);
    let calendars = names(&world, &format!("/calendars/{BOB}/")).await;
    assert!(calendars.iter().all(|name| name != ALICE && name != "sub1"), "{calendars:?}");
    let day = world.bob().get(&format!("/calendars/{BOB}/rep/d1.ics")).await.expect(200).body;
    assert!(day.contains("UID:d1\r\n") && !day.contains("\r\r"), "rewritten: {day}");
    let accept = [("accept", "text/vcard; version=4.0")];
    let card =
        world.bob().send("GET", &format!("/addressbooks/{BOB}/contacts/c2.vcf"), &accept, "").await.expect(200).body;
    assert!(card.contains("VERSION:4.0") && !card.contains("PRODID"), "{card}");
}

#[tokio::test(flavor = "multi_thread")]
async fn from_sogo_a_message_becomes_an_event() {
    let there = recorded("sogo").await;
    let world = World::new().await;
    let counts = moves_in(&world, &at(&there.url, "secret").await.unwrap(), options()).await;
    assert_eq!(said(&counts), [6, 0, 0, 0], "{:?}", counts.failures());
    let home = format!("/calendars/{BOB}/");
    let work =
        world.bob().propfind(&format!("{home}work/"), "0", "<d:displayname/><a:calendar-color/>").await.responses();
    assert!(work.contains("Work &amp; play") && work.to_lowercase().contains("#ff8800"), "{work}");
    let message = world.bob().get(&format!("{home}personal/two.ics")).await.expect(200).body;
    assert!(message.contains("SUMMARY:Café two\r\n") && !message.contains("METHOD"), "{message}");
    let event = world.bob().get(&format!("{home}personal/one.ics")).await.expect(200).body;
    assert!(event.contains("X-KEPT:yes\r\n") && event.ends_with("END:VCALENDAR\r\n"), "{event}");
    let card = world.bob().get(&format!("/addressbooks/{BOB}/personal/bobcard.vcf")).await.expect(200).body;
    assert!(card.contains("PHOTO;TYPE=JPEG;ENCODING=b:/9j/4AAQ\r\n"), "{card}");
}

#[tokio::test(flavor = "multi_thread")]
async fn from_davical_comes_what_one_home_holds() {
    let there = recorded("davical").await;
    let world = World::new().await;
    let account = at(&format!("{}/caldav.php/", there.url), "secret").await.unwrap();
    let counts = moves_in(&world, &account, options()).await;
    assert_eq!(said(&counts), [4, 0, 0, 0], "{:?}", counts.failures());
    let props = "<a:calendar-color/><a:calendar-order/><cal:calendar-description/>";
    let work = world.bob().propfind(&format!("/calendars/{BOB}/work/"), "0", props).await.responses();
    assert!(work.contains("#ff8800FF") && work.contains(">3<") && work.contains(">Old<"), "{work}");
    let book = format!("/addressbooks/{BOB}/friends/");
    let accept = [("accept", "text/vcard; version=4.0")];
    let group = world.bob().send("GET", &format!("{book}grp.vcf"), &accept, "").await.expect(200).body;
    assert!(group.contains("VERSION:4.0\r\n") && group.contains("MEMBER:urn:uuid:bobcard\r\n"), "{group}");
}

/// A server of one calendar with three events.
fn three() -> Answers {
    let response = |href: &str, props: &str| {
        format!(
            "<d:response><d:href>{href}</d:href><d:propstat><d:prop>{props}</d:prop><d:status>HTTP/1.1 200 OK</d:status></d:propstat></d:response>"
        )
    };
    let multistatus = |responses: &str| Answer {
        status: 207,
        body: format!(
            r#"<d:multistatus xmlns:d="DAV:" xmlns:cal="urn:ietf:params:xml:ns:caldav">{responses}</d:multistatus>"#
        ),
        ..Answer::default()
    };
    let calendar = response("/dav/work/", "<d:resourcetype><d:collection/><cal:calendar/></d:resourcetype>");
    let hrefs = ["a", "b", "c"].map(|name| format!("/dav/work/{name}.ics"));
    let members: String = hrefs.iter().map(|href| response(href, "<d:resourcetype/>")).collect();
    let objects: String = ["a", "b", "c"]
        .iter()
        .map(|name| {
            let data = event(name, "20300601T090000Z");
            response(&format!("/dav/work/{name}.ics"), &format!("<cal:calendar-data>{data}</cal:calendar-data>"))
        })
        .collect();
    [
        ("PROPFIND /dav/work/ 0", multistatus(&calendar)),
        ("PROPFIND /dav/work/ 1", multistatus(&format!("{calendar}{members}"))),
        ("REPORT /dav/work/", multistatus(&objects)),
    ]
    .map(|(key, answer)| (key.to_owned(), vec![answer]))
    .into()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_server_and_a_cut_connection_are_waited_for() {
    let mut answers = three();
    let busy = Answer { status: 429, headers: vec![("retry-after".to_owned(), "1".to_owned())], ..Answer::default() };
    let cut = Answer { is_cut: true, ..answers["PROPFIND /dav/work/ 1"][0].clone() };
    answers.get_mut("PROPFIND /dav/work/ 1").unwrap().insert(0, cut);
    answers.get_mut("REPORT /dav/work/").unwrap().splice(0..0, [busy, Answer { status: 502, ..Answer::default() }]);
    let there = play(answers).await;
    let world = World::new().await;
    let begun = std::time::Instant::now();
    let counts = moves_in(&world, &at(&format!("{}/dav/work/", there.url), "secret").await.unwrap(), options()).await;
    assert_eq!(said(&counts), [3, 0, 0, 0], "{:?}", counts.failures());
    assert!(begun.elapsed() >= Duration::from_secs(1), "it came back before it was asked to");
    let asked = there.asked.lock().unwrap();
    assert_eq!(asked.iter().filter(|key| *key == "REPORT /dav/work/").count(), 3, "{asked:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_a_server_cannot_hand_out_keeps_no_other_back() {
    let mut answers = three();
    answers.insert("REPORT /dav/work/".to_owned(), vec![Answer { status: 501, ..Answer::default() }]);
    for name in ["a", "c"] {
        let body = event(name, "20300601T090000Z");
        answers.insert(format!("GET /dav/work/{name}.ics"), vec![Answer { status: 200, body, ..Answer::default() }]);
    }
    let body = "<d:error xmlns:d=\"DAV:\"><d:message>No</d:message></d:error>".to_owned();
    answers.insert("GET /dav/work/b.ics".to_owned(), vec![Answer { status: 403, body, ..Answer::default() }]);
    let there = play(answers).await;
    let world = World::new().await;
    let counts = moves_in(&world, &at(&format!("{}/dav/work/", there.url), "secret").await.unwrap(), options()).await;
    assert_eq!(said(&counts), [2, 0, 0, 1]);
    let failures = counts.failures();
    assert!(failures[0].contains("GET /dav/work/b.ics") && failures[0].contains("403"), "{failures:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_said_in_words() {
    let there = play(three()).await;
    let told = async |url: &str, password: &str| at(url, password).await.unwrap_err().to_string();
    let wrong = told(&there.url, "wrong").await;
    assert!(wrong.contains("401") && wrong.contains("app password"), "{wrong}");
    // One try: whoever tries again and again is shut out.
    assert_eq!(there.asked.lock().unwrap().len(), 1);
    let none = told(&there.url, "secret").await;
    assert!(none.contains("PROPFIND /") && none.contains("404"), "{none}");

    let elsewhere = Answer {
        status: 302,
        headers: vec![("location".to_owned(), "https://dav.example.com/dav/".to_owned())],
        ..Answer::default()
    };
    let moved = play([("PROPFIND / 0".to_owned(), vec![elsewhere])].into()).await;
    let led = told(&moved.url, "secret").await;
    assert!(led.contains("https://dav.example.com/dav/") && led.contains("give its URL"), "{led}");

    let begun = std::time::Instant::now();
    let nobody = told("http://127.0.0.1:1/", "secret").await;
    assert!(nobody.contains("cannot be reached") && begun.elapsed() < Duration::from_secs(5), "{nobody}");
    let name = vec!["werk".to_owned()];
    let world = World::new().await;
    let account = at(&format!("{}/dav/work/", there.url), "secret").await.unwrap();
    let counts = moves_in(&world, &account, Options { only: name, ..options() }).await;
    assert_eq!(counts.failures(), ["there is no werk, but work"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_is_found_where_servers_customarily_have_it() {
    let principal = |at: &str| Answer {
        status: 207,
        body: format!(
            r#"<d:multistatus xmlns:d="DAV:" xmlns:cal="urn:ietf:params:xml:ns:caldav" xmlns:card="urn:ietf:params:xml:ns:carddav"><d:response><d:href>{at}</d:href><d:propstat><d:prop><cal:calendar-home-set><d:href>{at}c/</d:href></cal:calendar-home-set><card:addressbook-home-set><d:href>{at}b/</d:href></card:addressbook-home-set></d:prop><d:status>HTTP/1.1 200 OK</d:status></d:propstat></d:response></d:multistatus>"#
        ),
        ..Answer::default()
    };
    for (from, place) in [
        ("/", "/dav.php/"),
        ("/", "/SOGo/dav/"),
        ("/cloud", "/cloud/remote.php/dav/"),
        ("/cloud/", "/remote.php/dav/"),
        ("/", "/caldav.php/"),
        ("/", "/dav/"),
    ] {
        let there = play([(format!("PROPFIND {place} 0"), vec![principal(place)])].into()).await;
        let found = at(&format!("{}{from}", there.url), "secret").await;
        assert!(found.is_ok(), "{place} from {from}: {found:?}");
    }
}
