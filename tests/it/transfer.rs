//! Calendars and address books carried between folders and accounts, and objects looked over.

mod servers;

use std::path::Path;
use std::process::Command;
use std::sync::atomic::Ordering;
use std::time::Duration;

use convoke::clock::Env;
use convoke::dav::server::check::Check;
use convoke::ical::Limits;
use convoke::net::{Client, ClientLimits};
use convoke::store::{Batch, CollectionKind, DavStore as _, Expect, Op};
use convoke::transfer::{Account, Counts, Credentials, Export, Folder, Import, Options, TransferError, sign_in};
use http::{Request, StatusCode};

use crate::dav::{ALICE, CALENDAR, World, calendar, event};
use crate::services;

const BOOK: &str = "/addressbooks/65aa00000000000000000001/contacts/";

fn options() -> Options {
    Options { into: None, only: Vec::new(), except: Vec::new(), replace: false, at_once: 4, limits: Limits::default() }
}

async fn account(world: &World, email: &str) -> Account {
    Account::of(world.upstream.clone(), &email.parse().unwrap()).await.unwrap()
}

async fn import(world: &World, email: &str, options: Options) -> Import {
    Import { target: account(world, email).await, options }
}

/// Copied, replaced, there already, failed.
fn said(counts: &Counts) -> [u64; 4] {
    [&counts.copied, &counts.replaced, &counts.present, &counts.failed].map(|n| n.load(Ordering::Relaxed))
}

fn card(uid: &str) -> String {
    format!("BEGIN:VCARD\r\nVERSION:3.0\r\nUID:{uid}\r\nFN:Carol\r\nN:;Carol;;;\r\nEND:VCARD\r\n")
}

fn write(folder: &Path, name: &str, text: &str) {
    std::fs::create_dir_all(folder).unwrap();
    std::fs::write(folder.join(name), text).unwrap();
}

#[tokio::test]
async fn what_is_exported_comes_back_as_it_was() {
    let world = World::new().await;
    let alice = world.alice();
    let work = "/calendars/65aa00000000000000000001/at%20work%20%26%20play/";
    let made = r#"<c:mkcalendar xmlns:d="DAV:" xmlns:c="urn:ietf:params:xml:ns:caldav" xmlns:a="http://apple.com/ns/ical/"><d:set><d:prop><d:displayname>Work &amp; play</d:displayname><a:calendar-color>#123456FF</a:calendar-color><c:supported-calendar-component-set><c:comp name="VEVENT"/></c:supported-calendar-component-set></d:prop></d:set></c:mkcalendar>"#;
    alice.send("MKCALENDAR", work, &[], made).await.expect(201);
    let odd = event("odd", "20300601T090000Z").replace("SUMMARY:Lunch", "SUMMARY:é\r\n  folded\r\nX-ODD;A=\"b:c\":d");
    alice.put(&format!("{work}a%2Bb%20%25c.ics"), &odd).await.expect(201);
    alice.put(&format!("{CALENDAR}one.ics"), &event("one", "20300601T090000Z")).await.expect(201);
    alice.send("PUT", &format!("{BOOK}carol.vcf"), &[("content-type", "text/vcard")], &card("carol")).await.expect(201);

    let dir = tempfile::tempdir().unwrap();
    let counts = Counts::default();
    let export = Export { source: account(&world, "alice@example.org").await, only: Vec::new() };
    export.folder(&Folder::new(dir.path()), &counts).await.unwrap();
    assert_eq!(said(&counts), [3, 0, 0, 0]);
    let folder = dir.path().join("calendars/at work %26 play");
    assert_eq!(std::fs::read_to_string(folder.join("displayname")).unwrap(), "Work & play");
    assert_eq!(std::fs::read_to_string(folder.join("a+b %25c.ics")).unwrap(), odd);
    assert!(dir.path().join("addressbooks/contacts/carol.vcf").exists());

    let counts = Counts::default();
    let bob = import(&world, "bob@example.org", options()).await;
    bob.folder(&Folder::new(dir.path()), &counts).await.unwrap();
    assert_eq!(said(&counts), [3, 0, 0, 0], "{:?}", counts.failures());
    let his = work.replace(ALICE, crate::dav::BOB);
    assert_eq!(world.bob().get(&format!("{his}a%2Bb%20%25c.ics")).await.expect(200).body, odd);
    let looks = world.bob().propfind(&his, "0", "<d:displayname/><a:calendar-color/>").await.responses();
    assert!(looks.contains("Work &amp; play") && looks.contains("#123456FF"), "{looks}");
    let again = Counts::default();
    bob.folder(&Folder::new(dir.path()), &again).await.unwrap();
    assert_eq!(said(&again), [0, 0, 3, 0]);
}

#[tokio::test]
async fn a_file_of_a_whole_calendar_becomes_objects_and_nobody_is_invited() {
    let world = World::new().await;
    let dir = tempfile::tempdir().unwrap();
    let meeting = calendar(
        "VEVENT",
        "meeting",
        &["DTSTART:20300601T090000Z", "ORGANIZER:mailto:alice@example.org", "ATTENDEE:mailto:bob@example.org"],
    );
    let inner = meeting.split_once("BEGIN:VEVENT").unwrap().1;
    let all = event("lunch", "20300601T120000Z")
        .replace("BEGIN:VEVENT", "METHOD:PUBLISH\r\nBEGIN:VEVENT")
        .replace("END:VCALENDAR\r\n", &format!("BEGIN:VEVENT{inner}"));
    write(dir.path(), "all.ics", &all);
    write(dir.path(), "broken.ics", "BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\n");
    write(dir.path(), "letter.ics", "Dear Alice,");
    let counts = Counts::default();
    let alice = import(&world, "alice@example.org", Options { into: Some("old".to_owned()), ..options() }).await;
    for file in ["all.ics", "broken.ics", "letter.ics"] {
        alice.folder(&Folder::new(dir.path().join(file)), &counts).await.unwrap();
    }
    assert_eq!(said(&counts), [2, 0, 0, 2]);
    let failures = counts.failures();
    assert!(failures.iter().all(|f| f.contains("broken.ics") || f.contains("letter.ics")), "{failures:?}");
    let old = format!("/calendars/{ALICE}/old/");
    let mut names: Vec<String> = world.alice().contents(&old).await.into_iter().map(|(name, _)| name).collect();
    names.sort();
    assert_eq!(names, ["lunch.ics", "meeting.ics"]);
    assert_eq!(world.bob().contents(&CALENDAR.replace(ALICE, crate::dav::BOB)).await, []);
    let topics = world.topics().await;
    assert!(topics.iter().all(|topic| !topic.contains("iTip") && !topic.contains("mail")), "{topics:?}");

    // The same again stays; told to, it replaces, also where it has another name.
    let other = event("lunch", "20310601T120000Z");
    write(dir.path(), "renamed.ics", &other);
    let one = Folder::new(dir.path().join("renamed.ics"));
    let counts = Counts::default();
    alice.folder(&one, &counts).await.unwrap();
    assert_eq!(said(&counts), [0, 0, 1, 0]);
    let replacing = Options { into: Some("old".to_owned()), replace: true, ..options() };
    let counts = Counts::default();
    import(&world, "alice@example.org", replacing).await.folder(&one, &counts).await.unwrap();
    assert_eq!(said(&counts), [0, 1, 0, 0], "{:?}", counts.failures());
    assert_eq!(world.alice().get(&format!("{old}lunch.ics")).await.expect(200).body, other);
}

#[tokio::test]
async fn a_single_file_goes_to_the_main_collection_of_its_kind() {
    let world = World::new().await;
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "x.ics", &event("x", "20300601T120000Z"));
    write(dir.path(), "people.vcf", &format!("{}{}", card("carol"), card("dave")));
    let counts = Counts::default();
    let alice = import(&world, "alice@example.org", options()).await;
    alice.folder(&Folder::new(dir.path().join("x.ics")), &counts).await.unwrap();
    alice.folder(&Folder::new(dir.path().join("people.vcf")), &counts).await.unwrap();
    assert_eq!(said(&counts), [3, 0, 0, 0], "{:?}", counts.failures());
    world.alice().get(&format!("{CALENDAR}x.ics")).await.expect(200);
    world.alice().get(&format!("{BOOK}dave.vcf")).await.expect(200);
}

#[tokio::test]
async fn somebody_elses_default_calendar_becomes_the_default_one() {
    let world = World::new().await;
    world.alice().put(&format!("{CALENDAR}one.ics"), &event("one", "20300601T090000Z")).await.expect(201);
    let dir = tempfile::tempdir().unwrap();
    let export = Export { source: account(&world, "alice@example.org").await, only: Vec::new() };
    export.folder(&Folder::new(dir.path()), &Counts::default()).await.unwrap();
    let bobs = CALENDAR.replace(ALICE, crate::dav::BOB);
    let carols = CALENDAR.replace(ALICE, crate::dav::CAROL);
    let counts = Counts::default();
    let bob = import(&world, "bob@example.org", options()).await;
    bob.folder(&Folder::new(dir.path()), &counts).await.unwrap();
    let carol = import(&world, "carol@example.org", options()).await;
    carol.account(&account(&world, "alice@example.org").await, &counts).await.unwrap();
    assert_eq!(said(&counts), [2, 0, 0, 0], "{:?}", counts.failures());
    world.bob().get(&format!("{bobs}one.ics")).await.expect(200);
    world.as_user("carol@example.org").get(&format!("{carols}one.ics")).await.expect(200);
    world.bob().get(&format!("/calendars/{}/{ALICE}/", crate::dav::BOB)).await.expect(404);
}

#[tokio::test]
async fn what_is_carried_in_is_published_as_an_import() {
    let world = World::new().await;
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "x.ics", &event("x", "20300601T120000Z"));
    world.published().await;
    let alice = import(&world, "alice@example.org", options()).await;
    alice.folder(&Folder::new(dir.path().join("x.ics")), &Counts::default()).await.unwrap();
    let imports = async || -> Vec<_> {
        let told = world.published().await;
        told.iter().filter(|m| m.payload.get("eventPath").is_some()).map(|m| m.payload["import"] == true).collect()
    };
    assert_eq!(imports().await, [true, true]);
    // What a client puts is none.
    world.alice().put(&format!("{CALENDAR}y.ics"), &event("y", "20300601T120000Z")).await.expect(201);
    assert_eq!(imports().await, [false, false]);
}

/// A real server with one account.
struct Real {
    url: String,
    credentials: Credentials,
    /// Where its calendars and its address books are, below the URL.
    homes: [String; 2],
    /// It asks for the password.
    is_closed: bool,
    /// It keeps objects as they are put.
    keeps_octets: bool,
}

impl Real {
    fn credentials(user: &str, password: &str) -> Credentials {
        Credentials { user: user.to_owned(), password: password.to_owned() }
    }

    fn account(variables: &str) -> Credentials {
        let [user, password] = ["USER", "PASSWORD"].map(|n| std::env::var(format!("{variables}_{n}")).unwrap());
        Self::credentials(&user, &password)
    }

    async fn ask(&self, client: &Client, url: &str, method: &str, body: &str) -> StatusCode {
        use base64::Engine as _;
        let Credentials { user, password } = &self.credentials;
        let basic = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
        let content_type = match body {
            body if body.contains("VCARD") => "text/vcard",
            body if body.contains("VCALENDAR") => "text/calendar",
            _ => "application/xml",
        };
        let request = Request::builder()
            .method(method)
            .uri(url)
            .header("authorization", format!("Basic {basic}"))
            .header("content-type", content_type)
            .body(bytes::Bytes::from(body.to_owned()))
            .unwrap();
        client.fetch(request).await.unwrap().status()
    }

    /// A calendar of 120 events and a task, and an address book with a photo and a group; then all of it in convoke.
    async fn moves_in(&self) {
        convoke::net::use_ring();
        let limits = ClientLimits { answer: Duration::from_secs(20), ..ClientLimits::default() };
        let client = Client::new(limits).unwrap();
        let uri = format!("moving-{}", Env::system().uuid());
        let [calendars, books] = &self.homes;
        let (calendar, book) = (format!("{}{calendars}{uri}/", self.url), format!("{}{books}{uri}-people/", self.url));
        let look = r#"<d:mkcol xmlns:d="DAV:" xmlns:c="urn:ietf:params:xml:ns:carddav"><d:set><d:prop><d:resourcetype><d:collection/><c:addressbook/></d:resourcetype><d:displayname>People</d:displayname></d:prop></d:set></d:mkcol>"#;
        let make = r##"<c:mkcalendar xmlns:d="DAV:" xmlns:c="urn:ietf:params:xml:ns:caldav" xmlns:a="http://apple.com/ns/ical/"><d:set><d:prop><d:displayname>Moving</d:displayname><a:calendar-color>#00ff00ff</a:calendar-color></d:prop></d:set></c:mkcalendar>"##;
        assert_eq!(self.ask(&client, &calendar, "MKCALENDAR", make).await, StatusCode::CREATED);
        assert_eq!(self.ask(&client, &book, "MKCOL", look).await, StatusCode::CREATED);
        let mut put = Vec::new();
        for n in 0..120 {
            put.push((format!("{calendar}{n}.ics"), event(&format!("{uri}-{n}"), "20300601T120000Z")));
        }
        let task = crate::dav::calendar("VTODO", &format!("{uri}-task"), &["SUMMARY:Déménager", "STATUS:NEEDS-ACTION"]);
        put.push((format!("{calendar}task.ics"), task.clone()));
        let photo = card("carol")
            .replace("END:VCARD", "PHOTO;ENCODING=b;TYPE=JPEG:/9j/4AAQ\r\nX-KEPT;X-P=\"a:b\":as it is\r\nEND:VCARD");
        let group = card("team").replace(
            "END:VCARD",
            "X-ADDRESSBOOKSERVER-KIND:group\r\nX-ADDRESSBOOKSERVER-MEMBER:urn:uuid:carol\r\nEND:VCARD",
        );
        put.extend([(format!("{book}carol.vcf"), photo.clone()), (format!("{book}team.vcf"), group.clone())]);
        for (url, text) in &put {
            assert_eq!(self.ask(&client, url, "PUT", text).await, StatusCode::CREATED, "{url}");
        }

        // From the server, where the account finds itself; and from one calendar.
        let world = World::new().await;
        let only = vec![uri.clone(), format!("{uri}-people")];
        let (upstream, path) = sign_in(client.clone(), &self.url, &self.credentials).unwrap();
        let there = Account::at(upstream, &path).await.unwrap();
        let counts = Counts::default();
        import(&world, "alice@example.org", Options { only, ..options() })
            .await
            .account(&there, &counts)
            .await
            .unwrap();
        assert_eq!(said(&counts), [123, 0, 0, 0], "{:?}", counts.failures());
        let mine = format!("/calendars/{ALICE}/{uri}/");
        let alice = world.alice();
        assert_eq!(alice.contents(&mine).await.len(), 121);
        let looks = alice.propfind(&mine, "0", "<d:displayname/><a:calendar-color/>").await.responses();
        assert!(looks.contains(">Moving<") && looks.to_lowercase().contains("#00ff00"), "{looks}");
        let people = format!("/addressbooks/{ALICE}/{uri}-people/");
        for (path, text) in [
            (format!("{mine}task.ics"), &task),
            (format!("{people}carol.vcf"), &photo),
            (format!("{people}team.vcf"), &group),
        ] {
            let body = alice.get(&path).await.expect(200).body;
            match self.keeps_octets {
                true => assert_eq!(&body, text, "{path}"),
                false => {
                    assert!(body.contains("Déménager") || body.contains("4AAQ") || body.contains(":group"), "{body}")
                }
            }
        }
        let (upstream, path) = sign_in(client.clone(), &calendar, &self.credentials).unwrap();
        let one = Account::at(upstream, &path).await.unwrap();
        let counts = Counts::default();
        import(&world, "bob@example.org", options()).await.account(&one, &counts).await.unwrap();
        assert_eq!(said(&counts), [121, 0, 0, 0], "{:?}", counts.failures());

        if self.is_closed {
            let wrong = Self::credentials(&self.credentials.user, "wrong");
            let (upstream, path) = sign_in(client.clone(), &self.url, &wrong).unwrap();
            let refused = Account::at(upstream, &path).await.unwrap_err();
            assert!(matches!(refused, TransferError::Status { status: StatusCode::UNAUTHORIZED, .. }), "{refused}");
        }
        for collection in [&calendar, &book] {
            assert!(self.ask(&client, collection, "DELETE", "").await.is_success());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_moves_in_from_radicale() {
    let Some(url) = services::need("CONVOKE_TEST_RADICALE_URL") else { return };
    let credentials = Real::account("CONVOKE_TEST_RADICALE");
    let home = format!("{}/", credentials.user);
    let radicale = Real { url, credentials, homes: [home.clone(), home], is_closed: true, keeps_octets: false };
    radicale.moves_in().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_moves_in_from_xandikos() {
    let Some(url) = services::need("CONVOKE_TEST_XANDIKOS_URL") else { return };
    let homes = ["alice/calendars/", "alice/contacts/"].map(str::to_owned);
    let credentials = Real::credentials("alice", "none");
    Real { url, credentials, homes, is_closed: false, keeps_octets: false }.moves_in().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_moves_in_from_sabre() {
    let Some(url) = services::need("CONVOKE_TEST_SABRE_URL") else { return };
    let credentials = Real::account("CONVOKE_TEST_SABRE");
    let homes = ["calendars", "addressbooks"].map(|space| format!("{space}/{}/", credentials.user));
    Real { url, credentials, homes, is_closed: true, keeps_octets: true }.moves_in().await;
}

#[test]
fn a_url_with_a_password_or_without_a_host_is_refused() {
    convoke::net::use_ring();
    let client = Client::new(ClientLimits::default()).unwrap();
    let credentials = Credentials { user: "alice".to_owned(), password: "secret".to_owned() };
    for url in ["https://alice:secret@dav.example.org/", "ftp://dav.example.org/", "dav.example.org", "https://"] {
        let refused = sign_in(client.clone(), url, &credentials).unwrap_err();
        assert!(matches!(refused, TransferError::Url(_)), "{url}");
    }
}

#[tokio::test]
async fn an_index_that_is_wrong_is_found_and_repaired() {
    let world = World::new().await;
    let daily = calendar("VEVENT", "daily", &["DTSTART:20300601T090000Z", "DURATION:PT1H", "RRULE:FREQ=DAILY"]);
    for (name, text) in [("daily", &daily), ("one", &event("one", "20300601T090000Z"))] {
        world.alice().put(&format!("{CALENDAR}{name}.ics"), text).await.expect(201);
    }
    let home = ALICE.parse().unwrap();
    let store = &world.sqlite;
    let found = store.collection(home, CollectionKind::Calendar, ALICE).await.unwrap().unwrap();
    let mut object = store.object(found.id, "daily.ics").await.unwrap().unwrap();
    let etag = object.meta.etag.clone();
    object.meta.last_occurrence = object.meta.first_occurrence;
    object.meta.etag = "0".repeat(32);
    let spoil = Op::PutObject { collection: found.id, object, expect: Expect::Any };
    store.write(Batch { ops: vec![spoil], publish: Vec::new() }).await.unwrap();

    let look = async |repair| {
        let shared = std::sync::Arc::new(world.sqlite.clone());
        let mut check = Check::new(shared, Env::system(), Limits::default(), None);
        let (mut objects, mut faults) = (0, Vec::new());
        while let Some(page) = check.next(repair).await.unwrap() {
            objects += page.objects;
            faults.extend(page.faults);
        }
        (objects, faults)
    };
    for repair in [false, true] {
        let (objects, faults) = look(repair).await;
        assert_eq!((objects, faults.len()), (2, 1));
        assert_eq!(faults[0].path, format!("{CALENDAR}daily.ics"));
        assert_eq!(faults[0].what, "the index is wrong about the ETag, when it ends");
        assert_eq!(faults[0].is_repaired, repair);
    }
    assert_eq!(look(false).await, (2, Vec::new()));
    let object = store.object(found.id, "daily.ics").await.unwrap().unwrap();
    assert_eq!((object.meta.etag, object.meta.last_occurrence, object.data), (etag, None, daily));
}

#[tokio::test]
async fn what_the_quota_goes_by_is_found_wrong_and_repaired() {
    let world = World::new().await;
    let text = event("one", "20300601T090000Z");
    world.alice().put(&format!("{CALENDAR}one.ics"), &text).await.expect(201);
    world
        .sqlite
        .db()
        .write(|tx| Ok::<_, convoke::sqlite::DbError>(tx.execute("UPDATE sync_states SET octets = octets + 5", [])?))
        .await
        .unwrap();
    let look = async |repair| {
        let shared = std::sync::Arc::new(world.sqlite.clone());
        let mut check = Check::new(shared, Env::system(), Limits::default(), Some(ALICE.parse().unwrap()));
        let mut faults = Vec::new();
        while let Some(page) = check.next(repair).await.unwrap() {
            faults.extend(page.faults.into_iter().filter(|fault| fault.path == CALENDAR));
        }
        faults
    };
    for repair in [false, true] {
        let faults = look(repair).await;
        let (more, size) = (text.len() + 5, text.len());
        let what = format!("it is counted as {more} octets in 1 objects, and there are {size} in 1");
        assert_eq!(faults.iter().map(|f| (f.what.clone(), f.is_repaired)).collect::<Vec<_>>(), [(what, repair)]);
    }
    assert_eq!(look(false).await, []);
}

#[test]
fn the_commands_carry_a_calendar_out_and_in() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("convoke.toml");
    std::fs::write(&config, format!("[data]\ndir = {:?}\n[log]\nfilter = \"warn\"\n", dir.path().join("data")))
        .unwrap();
    let convoke = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_convoke"));
        command.arg("--config").arg(&config).args(arguments).stdin(std::process::Stdio::null());
        let output = command.output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    let hash = "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$J4moa2MM0/6uf3HbY2Tf5Fux8JIBTwIhmhxGRbsY14c";
    let (code, _, error) = convoke(&["user", "add", "alice@example.org", "--password-hash", hash]);
    assert_eq!(code, Some(0), "{error}");
    write(dir.path(), "in.ics", &event("lunch", "20300601T120000Z"));
    let (file, out) = (dir.path().join("in.ics"), dir.path().join("out"));
    let (file, out) = (file.to_str().unwrap(), out.to_str().unwrap());
    let (code, told, error) = convoke(&["dav", "import", "--user", "alice@example.org", file]);
    assert_eq!(
        (code, told.as_str()),
        (Some(0), "1 collections: 1 copied, 0 replaced, 0 there already, 0 failed\n"),
        "{error}"
    );
    let trash = |rest: &[&str]| convoke(&[&["dav", "trash"], rest, &["--user", "alice@example.org"]].concat());
    let (code, told, error) = trash(&["list"]);
    assert_eq!((code, told.as_str()), (Some(0), ""));
    assert!(error.contains("nothing is in the trash of alice@example.org"), "{error}");
    let (code, _, error) = trash(&["restore", "--all", "65aa00000000000000000001"]);
    assert_eq!(code, Some(2), "one or the other: {error}");
    let (code, _, error) = trash(&["restore", "65aa00000000000000000001"]);
    assert_eq!(code, Some(1));
    assert!(error.contains("is not in the trash of alice@example.org"), "{error}");
    assert_eq!(trash(&["purge", "--all"]).1, "0 forgotten, 0 not\n");
    let (code, told, error) = convoke(&["dav", "check", "--user", "alice@example.org"]);
    assert_eq!((code, told.as_str()), (Some(0), "1 objects: 0 repaired, 0 wrong\n"), "{error}");
    let (code, _, error) = convoke(&["dav", "export", "--user", "alice@example.org", out]);
    assert_eq!(code, Some(0), "{error}");
    let (code, _, error) = convoke(&["dav", "export", "--user", "alice@example.org", out]);
    assert_eq!(code, Some(1));
    assert!(error.contains("--force"), "{error}");
    let (code, _, error) = convoke(&["dav", "import", "--user", "mallory@example.org", file]);
    assert_eq!(code, Some(1));
    assert!(error.contains("has no account"), "{error}");
}
