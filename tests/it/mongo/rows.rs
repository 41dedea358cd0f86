//! Rows as esn-sabre writes them (dav §14), read by us; rows as we write them, looked at as they are.

use convoke::ids::{CollectionId, HomeId, Uid};
use convoke::mongo::{id, oid};
use convoke::store::mongo::MongoDav;
use convoke::store::{Change, Collection, CollectionKind, DavStore, Expect, ObjectFilter, Op};
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Bson, DateTime, Document, doc};

use crate::contracts::samples::{calendar, collection, delete, home, put, spanning, with_data, write};
use crate::mongo_support::{REPLICA_SET, STANDALONE, TestMongo};

/// 2026-06-01T00:00:00Z.
const MONDAY: i64 = 1_780_272_000;
/// 2038-01-01T00:00:00Z.
const FAR: i32 = 2_145_916_800;

pub(super) struct Shared {
    pub(super) store: MongoDav,
    pub(super) home: HomeId,
    // Last: its databases go when everything else is gone.
    _databases: TestMongo,
}

impl Shared {
    async fn on(variable: &str) -> Option<Self> {
        let databases = TestMongo::on(variable)?;
        let store = MongoDav::open(databases.connect().await).await.unwrap();
        Some(Self { store, home: home(), _databases: databases })
    }

    fn rows(&self, collection: &str) -> mongodb::Collection<Document> {
        self.store.mongo().dav().collection(collection)
    }

    async fn insert(&self, collection: &str, row: Document) -> ObjectId {
        let inserted = self.rows(collection).insert_one(row).await.unwrap();
        inserted.inserted_id.as_object_id().unwrap()
    }

    async fn the(&self, collection: &str, filter: Document) -> Document {
        self.rows(collection).find_one(filter).await.unwrap().unwrap()
    }

    fn user(&self) -> String {
        format!("principals/users/{}", self.home)
    }

    /// A calendar as esn-sabre makes it, with two more instances: of a delegate, and of one who declined.
    async fn esn_calendar(&self, uri: &str) -> CollectionId {
        let calendar = self.insert("calendars", doc! { "synctoken": 1, "components": ["VEVENT", "VTODO"] }).await;
        let instance = |principal: String, uri: &str, access: i32| {
            doc! {
                "principaluri": principal, "uri": uri, "transparent": 0, "access": access, "share_invitestatus": 2,
                "calendarid": calendar, "displayname": Bson::Null, "description": Bson::Null, "timezone": Bson::Null,
                "calendarorder": Bson::Null, "calendarcolor": Bson::Null,
            }
        };
        let mut delegated = instance(format!("principals/users/{}", home()), "0c8e7b52-5a55-4a0f-9d3e-6e1e4f1c2b3a", 3);
        delegated.extend(doc! { "share_href": "mailto:bob@example.org", "displayname": "Of Alice" });
        self.insert("calendarinstances", delegated).await;
        self.insert("calendarinstances", instance(self.user(), uri, 1)).await;
        CollectionId(id(calendar))
    }

    /// An object as esn-sabre writes it, its change included.
    async fn esn_put(&self, calendar: CollectionId, name: &str, first: Option<i64>, last: Option<i64>) {
        let object = with_data(name, &ics(name), first, last);
        let int = |n: Option<i64>| n.map_or(Bson::Null, |n| i32::try_from(n).map_or(Bson::Int64(n), Bson::Int32));
        self.insert(
            "calendarobjects",
            doc! {
                "calendarid": calendar.to_string(), "uri": name, "calendardata": &object.data,
                "lastmodified": 1_780_000_000, "etag": &object.meta.etag, "size": object.data.len() as i32,
                "componenttype": "VEVENT", "firstoccurence": int(first), "lastoccurence": int(last),
                "uid": name.trim_end_matches(".ics"), "classification": Bson::Null,
            },
        )
        .await;
        self.esn_change(calendar, name, 1).await;
    }

    async fn esn_change(&self, calendar: CollectionId, name: &str, operation: i32) {
        let calendar = oid(calendar.0);
        let token = self.the("calendars", doc! { "_id": calendar }).await.get("synctoken").cloned();
        self.insert(
            "calendarchanges",
            doc! { "uri": name, "synctoken": token, "calendarid": calendar, "operation": operation },
        )
        .await;
        let up = doc! { "$inc": { "synctoken": 1 } };
        self.rows("calendars").update_one(doc! { "_id": calendar }, up).await.unwrap();
    }

    async fn calendar(&self, uri: &str) -> Collection {
        self.store.collection(self.home, CollectionKind::Calendar, uri).await.unwrap().unwrap()
    }

    async fn told(&self, calendar: CollectionId, since: u64) -> (Vec<String>, u64) {
        let changes = self.store.changes(calendar, since, 100).await.unwrap().unwrap();
        let told = changes.changes.iter().map(|change| match change {
            Change::Written(meta) => format!("+{}", meta.name),
            Change::Deleted(name) => format!("-{name}"),
        });
        (told.collect(), changes.token)
    }
}

fn ics(name: &str) -> String {
    let uid = name.trim_end_matches(".ics");
    format!(
        "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nBEGIN:VEVENT\r\nUID:{uid}\r\nDTSTART:20260601T100000Z\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
    )
}

#[tokio::test]
async fn a_row_that_appears_behind_a_token_is_told_however_late_it_is_asked_for() {
    let Some(db) = Shared::on(REPLICA_SET).await else { return };
    let calendar = db.esn_calendar("work").await;
    let row = async |name: &str, before: i32, seconds_ago: u32| {
        let made = u32::try_from(DateTime::now().timestamp_millis() / 1000).unwrap() - seconds_ago;
        let mut id = ObjectId::new().bytes();
        id[..4].copy_from_slice(&made.to_be_bytes());
        let id = ObjectId::from_bytes(id);
        let row = doc! {
            "_id": id, "uri": name, "synctoken": before, "calendarid": oid(calendar.0), "operation": 1,
        };
        db.insert("calendarchanges", row).await;
    };
    let count = async |token: i32| {
        let to = doc! { "$set": { "synctoken": token } };
        db.rows("calendars").update_one(doc! { "_id": oid(calendar.0) }, to).await.unwrap();
    };
    row("one.ics", 1, 600).await;
    row("two.ics", 2, 500).await;
    count(3).await;
    assert_eq!(db.told(calendar, 3).await, (vec![], 3));
    // Its writer read the token before somebody moved it, and wrote the row after a client had asked.
    row("late.ics", 1, 400).await;
    let (told, token) = db.told(calendar, 3).await;
    assert_eq!((told, token), (vec!["-late.ics".to_owned()], 3));
    // Also where the page is full of newer ones.
    for n in 0..5 {
        row(&format!("new-{n}.ics"), 3 + n, 60).await;
    }
    count(8).await;
    let page = db.store.changes(calendar, 3, 4).await.unwrap().unwrap();
    assert!(page.truncated);
    assert!(page.changes.contains(&Change::Deleted("late.ics".to_owned())), "{page:?}");
    assert_eq!((page.changes.len(), page.token), (4, 6), "with three that are new");
}

#[tokio::test]
async fn what_esn_sabre_wrote_is_read() {
    let Some(db) = Shared::on(REPLICA_SET).await else { return };
    let uri = db.home.to_string();
    let id = db.esn_calendar(&uri).await;
    db.esn_put(id, "one.ics", Some(MONDAY), Some(MONDAY + 3600)).await;
    db.esn_put(id, "endless.ics", Some(MONDAY), Some(FAR.into())).await;

    let found = db.calendar(&uri).await;
    assert_eq!((found.id, found.sync_token, found.is_default()), (id, 3, true));
    assert_eq!(found.props.components, ["VEVENT", "VTODO"]);
    assert_eq!((found.props.displayname, found.props.order), (None, None));
    assert_eq!(db.store.homes(None, 10).await.unwrap().len(), 2, "the delegate's home is one, too");

    let one = db.store.object(id, "one.ics").await.unwrap().unwrap();
    assert_eq!(one.data, ics("one.ics"));
    assert_eq!((one.meta.first_occurrence, one.meta.last_occurrence), (Some(MONDAY), Some(MONDAY + 3600)));
    let endless = &db.store.list(id, None, 9).await.unwrap()[0];
    assert_eq!((endless.name.as_str(), endless.last_occurrence), ("endless.ics", None));
    let far = ObjectFilter {
        start: Some(i64::from(FAR) + 100_000),
        end: Some(i64::from(FAR) + 200_000),
        ..Default::default()
    };
    assert_eq!(db.store.query(id, &far, None, 9).await.unwrap().objects.len(), 1);
    assert_eq!(db.told(id, 1).await, (vec!["+one.ics".to_owned(), "+endless.ics".to_owned()], 3));
    assert_eq!(db.told(id, 0).await.1, 3);
    assert_eq!(db.store.find_uid(db.home, &Uid("one".to_owned())).await.unwrap()[0].0.id, id);
}

#[tokio::test]
async fn odd_rows_are_read_as_far_as_they_go() {
    let Some(db) = Shared::on(REPLICA_SET).await else { return };
    // Numbers of other kinds, fields that are missing, null or more than we know.
    let calendar = db.insert("calendars", doc! { "synctoken": 7.0, "components": "VEVENT,VTODO", "x": 1 }).await;
    let instance = doc! {
        "principaluri": db.user(), "uri": "odd", "calendarid": calendar, "displayname": "", "transparent": true,
        "calendarorder": 3_i64, "public_right": "{DAV:}read", "surprise": { "a": [1] },
    };
    db.insert("calendarinstances", instance).await;
    let id = CollectionId(id(calendar));
    let found = db.calendar("odd").await;
    assert_eq!((found.sync_token, found.props.order, found.props.transparent), (7, Some(3), true));
    assert_eq!((&found.props.displayname, found.props.components.len()), (&None, 2));

    let hex = id.to_string();
    for row in [
        doc! { "calendarid": &hex, "uri": "bare.ics", "calendardata": ics("bare.ics") },
        doc! { "calendarid": &hex, "uri": "nulls.ics", "calendardata": ics("nulls.ics"), "etag": Bson::Null, "uid": Bson::Null, "size": Bson::Null, "lastmodified": Bson::Null },
        doc! { "calendarid": &hex, "uri": "doubles.ics", "calendardata": ics("doubles.ics"), "firstoccurence": MONDAY as f64, "lastoccurence": (MONDAY + 60) as f64, "size": 3.0, "lastmodified": DateTime::from_millis(1_780_000_000_000) },
        doc! { "calendarid": &hex, "uri": "quoted.ics", "calendardata": ics("quoted.ics"), "etag": "\"abc\"" },
        doc! { "calendarid": &hex, "calendardata": "no name" },
        doc! { "calendarid": &hex, "uri": "no-data.ics" },
    ] {
        db.insert("calendarobjects", row).await;
    }
    let listed = db.store.list(id, None, 99).await.unwrap();
    let names: Vec<&str> = listed.iter().map(|m| m.name.as_str()).collect();
    assert_eq!(names, ["bare.ics", "doubles.ics", "nulls.ics", "quoted.ics"]);
    let bare = db.store.object(id, "bare.ics").await.unwrap().unwrap();
    let expected = with_data("bare.ics", &ics("bare.ics"), None, None).meta;
    assert_eq!((&bare.meta.etag, bare.meta.size, &bare.meta.uid), (&expected.etag, expected.size, &expected.uid));
    assert_eq!((listed[1].first_occurrence, listed[1].last_occurrence), (Some(MONDAY), Some(MONDAY + 60)));
    assert_eq!(listed[3].etag, "abc");
    // Every one of them can be overwritten by its ETag.
    for meta in listed {
        let new = with_data(&meta.name, &ics(&meta.name).repeat(2), None, None);
        write(&db.store, vec![put(&found, new, Expect::Etag(meta.etag))]).await.unwrap();
    }
    assert_eq!(db.calendar("odd").await.sync_token, 11);
    // None of the six was ever logged; whoever begins is told of those that are objects.
    let everything = db.store.changes(id, 0, 99).await.unwrap().unwrap();
    assert_eq!((everything.changes.len(), everything.truncated), (4, false));
}

#[tokio::test]
async fn objects_that_nobody_logged_are_told_page_by_page() {
    let Some(db) = Shared::on(REPLICA_SET).await else { return };
    let id = db.esn_calendar("cleared").await;
    for n in 0..9 {
        db.esn_put(id, &format!("{n}.ics"), Some(MONDAY), Some(MONDAY)).await;
    }
    db.rows("calendarchanges").delete_many(doc! { "synctoken": { "$lt": 8 } }).await.unwrap();
    assert!(db.store.changes(id, 3, 9).await.unwrap().is_none(), "what led from there is cleared away");
    assert!(db.store.changes(id, 9, 9).await.unwrap().is_some());
    let (mut seen, mut since) = (Vec::new(), 0);
    loop {
        let page = db.store.changes(id, since, 2).await.unwrap().unwrap();
        seen.extend(page.changes);
        since = page.token;
        if !page.truncated {
            break;
        }
        assert!(seen.len() < 50, "it ends");
    }
    let mut names: Vec<_> = seen
        .iter()
        .map(|c| match c {
            Change::Written(meta) => meta.name.clone(),
            Change::Deleted(name) => panic!("{name} is there"),
        })
        .collect();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), 9);
}

#[tokio::test]
async fn what_we_write_are_the_rows_that_esn_sabre_expects() {
    for variable in [REPLICA_SET, STANDALONE] {
        let Some(db) = Shared::on(variable).await else { return };
        let mut work = calendar(db.home, "work");
        work.props.displayname = Some("Work".to_owned());
        work.props.components = vec!["VEVENT".to_owned()];
        let endless = spanning("a.ics", Some(MONDAY), None);
        let secret = with_data(
            "p.ics",
            &ics("p.ics").replace("DTSTART", "CLASS:private\r\nDTSTART"),
            Some(3_000_000_000),
            Some(3_000_003_600),
        );
        write(&db.store, vec![Op::CreateCollection(work.clone()), put(&work, endless.clone(), Expect::Absent)])
            .await
            .unwrap();
        write(&db.store, vec![put(&work, secret, Expect::Absent)]).await.unwrap();
        write(&db.store, vec![delete(&work, "p.ics", Expect::Present)]).await.unwrap();
        write(&db.store, vec![put(&work, endless.clone(), Expect::Present)]).await.unwrap();

        let calendar_id = oid(work.id.0);
        let head = db.the("calendars", doc! { "_id": calendar_id }).await;
        assert_eq!(head.get("synctoken"), Some(&Bson::Int32(5)), "{variable}");
        assert_eq!(head.get_array("components").unwrap(), &[Bson::String("VEVENT".to_owned())]);
        let instance = db.the("calendarinstances", doc! { "calendarid": calendar_id }).await;
        let expected = doc! {
            "principaluri": db.user(), "uri": "work", "access": 1, "share_invitestatus": 2, "transparent": 0,
            "displayname": "Work", "description": Bson::Null, "timezone": Bson::Null, "calendarorder": Bson::Null,
            "calendarcolor": Bson::Null,
        };
        for (field, value) in expected {
            assert_eq!(instance.get(&field), Some(&value), "{field}");
        }
        let row = db.the("calendarobjects", doc! { "calendarid": work.id.to_string(), "uri": "a.ics" }).await;
        let expected = doc! {
            "etag": &endless.meta.etag, "size": endless.data.len() as i32, "componenttype": "VEVENT",
            "firstoccurence": MONDAY as i32, "lastoccurence": FAR, "uid": "a", "calendardata": &endless.data,
            "classification": Bson::Null, "lastmodified": endless.meta.modified.timestamp() as i32,
        };
        for (field, value) in expected {
            assert_eq!(row.get(&field), Some(&value), "{field}");
        }
        assert!(!row.get_document("convoke").unwrap().contains_key("pending"));
        let changes = db.rows("calendarchanges");
        let find = changes.find(doc! { "calendarid": calendar_id }).sort(doc! { "synctoken": 1 });
        let changes: Vec<Document> = futures_util::TryStreamExt::try_collect(find.await.unwrap()).await.unwrap();
        let changes: Vec<_> = changes
            .iter()
            .map(|c| (c.get_str("uri").unwrap(), c.get_i32("synctoken").unwrap(), c.get_i32("operation").unwrap()))
            .collect();
        assert_eq!(changes, [("a.ics", 1, 1), ("p.ics", 2, 1), ("p.ics", 3, 3), ("a.ics", 4, 2)], "{variable}");
    }
}

#[tokio::test]
async fn a_private_event_says_so_and_a_late_one_needs_a_long_number() {
    let Some(db) = Shared::on(REPLICA_SET).await else { return };
    let id = db.esn_calendar("work").await;
    let work = db.calendar("work").await;
    let text = ics("p.ics").replace("DTSTART", "CLASS:private\r\nDTSTART");
    write(&db.store, vec![put(&work, with_data("p.ics", &text, Some(MONDAY), Some(3_000_000_000)), Expect::Absent)])
        .await
        .unwrap();
    let row = db.the("calendarobjects", doc! { "calendarid": id.to_string() }).await;
    assert_eq!(row.get_str("classification").unwrap(), "PRIVATE");
    assert_eq!(row.get("lastoccurence"), Some(&Bson::Int64(3_000_000_000)));
    let meta = db.store.list(id, None, 1).await.unwrap().remove(0);
    assert_eq!(meta.last_occurrence, Some(3_000_000_000), "it ends, though late");
}

#[tokio::test]
async fn cards_have_quoted_etags_and_the_letter_they_are_sorted_by() {
    for variable in [REPLICA_SET, STANDALONE] {
        let Some(db) = Shared::on(variable).await else { return };
        let card = |name: &str, fn_: &str| {
            let uid = name.trim_end_matches(".vcf");
            let text = format!("BEGIN:VCARD\r\nVERSION:3.0\r\nUID:{uid}\r\nFN:{fn_}\r\nEND:VCARD\r\n");
            let mut object = with_data(name, &text, None, None);
            object.meta.component = "VCARD".to_owned();
            object.meta.uid = Uid(uid.to_owned());
            object
        };
        let book = collection(db.home, CollectionKind::AddressBook, "contacts");
        write(&db.store, vec![Op::CreateCollection(book.clone())]).await.unwrap();
        let row = db.the("addressbooks", doc! { "_id": oid(book.id.0) }).await;
        let expected = doc! {
            "principaluri": db.user(), "uri": "contacts", "displayname": "", "description": "",
            "privilege": ["dav:read", "dav:write"], "type": "", "synctoken": 1,
        };
        for (field, value) in expected {
            assert_eq!(row.get(&field), Some(&value), "{field}");
        }
        let cards = [card("bob.vcf", "Bob"), card("zoe.vcf", "Émile"), card("9.vcf", "9 to 5")];
        write(&db.store, cards.iter().map(|c| put(&book, c.clone(), Expect::Absent)).collect()).await.unwrap();
        for (name, letter) in [("bob.vcf", "b"), ("zoe.vcf", "#"), ("9.vcf", "#")] {
            let row = db.the("cards", doc! { "addressbookid": oid(book.id.0), "uri": name }).await;
            assert_eq!(row.get_str("fn").unwrap(), letter, "{name}");
            let object = cards.iter().find(|c| c.meta.name == name).unwrap();
            assert_eq!(row.get_str("etag").unwrap(), format!("\"{}\"", object.meta.etag));
            assert_eq!(db.store.object(book.id, name).await.unwrap().as_ref(), Some(object));
        }
        assert_eq!(db.the("addressbookchanges", doc! { "uri": "zoe.vcf" }).await.get_i32("synctoken").unwrap(), 2);

        // A card of esn-sabre, whose UID is in the text only.
        let theirs = card("theirs.vcf", "Carol");
        db.insert("cards", doc! {
            "addressbookid": oid(book.id.0), "uri": "theirs.vcf", "carddata": &theirs.data, "lastmodified": 1_780_000_000,
            "size": theirs.data.len() as i32, "etag": format!("\"{}\"", theirs.meta.etag), "fn": "c",
        }).await;
        let read = db.store.object(book.id, "theirs.vcf").await.unwrap().unwrap();
        assert_eq!(
            (read.meta.uid, read.meta.etag, read.meta.component.as_str()),
            (theirs.meta.uid.clone(), theirs.meta.etag.clone(), "VCARD")
        );
        let mut twin = card("twin.vcf", "Twin");
        twin.meta.uid = theirs.meta.uid.clone();
        write(&db.store, vec![put(&book, twin, Expect::Absent)]).await.unwrap();
        let filter = ObjectFilter { uid: Some(theirs.meta.uid.clone()), ..Default::default() };
        assert_eq!(db.store.query(book.id, &filter, None, 9).await.unwrap().objects.len(), 2);
    }
}

#[tokio::test]
async fn fields_that_we_do_not_know_stay() {
    for variable in [REPLICA_SET, STANDALONE] {
        let Some(db) = Shared::on(variable).await else { return };
        let id = db.esn_calendar("work").await;
        db.esn_put(id, "a.ics", Some(MONDAY), Some(MONDAY + 60)).await;
        let note = doc! { "$set": { "metadata": { "schedulingRecipientPrincipalUri": "principals/users/x" } } };
        for (collection, filter) in [
            ("calendars", doc! { "_id": oid(id.0) }),
            ("calendarinstances", doc! { "principaluri": db.user() }),
            ("calendarobjects", doc! { "calendarid": id.to_string() }),
        ] {
            db.rows(collection).update_one(filter, note.clone()).await.unwrap();
        }
        let mut work = db.calendar("work").await;
        work.props.color = Some("#00ff00".to_owned());
        work.props.components = vec!["VEVENT".to_owned()];
        work.props.dead.insert("{urn:x}y.z".to_owned(), "<y.z xmlns='urn:x'/>".to_owned());
        let new = with_data("a.ics", &ics("a.ics").repeat(2), Some(MONDAY), None);
        let ops =
            vec![Op::SetProps { collection: id, props: work.props.clone() }, put(&work, new.clone(), Expect::Present)];
        write(&db.store, ops).await.unwrap();
        for (collection, filter) in [
            ("calendars", doc! { "_id": oid(id.0) }),
            ("calendarinstances", doc! { "principaluri": db.user() }),
            ("calendarobjects", doc! { "calendarid": id.to_string() }),
        ] {
            let row = db.the(collection, filter).await;
            assert!(row.get_document("metadata").is_ok(), "{collection}");
        }
        let instance = db.the("calendarinstances", doc! { "principaluri": db.user() }).await;
        assert_eq!(instance.get_str("calendarcolor").unwrap(), "#00ff00");
        assert_eq!(instance.get_i32("access").unwrap(), 1);
        assert_eq!(db.calendar("work").await.props, work.props);
        assert_eq!(db.store.object(id, "a.ics").await.unwrap(), Some(new));

        // esn-sabre writes over our row: what we noted beside it is about another text now.
        let theirs = doc! { "$set": { "calendardata": ics("a.ics"), "etag": "theirs", "lastoccurence": MONDAY + 60 } };
        db.rows("calendarobjects").update_one(doc! { "uri": "a.ics" }, theirs).await.unwrap();
        let meta = db.store.list(id, None, 9).await.unwrap().remove(0);
        assert_eq!((meta.etag.as_str(), meta.last_occurrence), ("theirs", Some(MONDAY + 60)));
    }
}

#[tokio::test]
async fn a_home_that_esn_sabre_made_has_an_inbox_without_a_row() {
    for variable in [REPLICA_SET, STANDALONE] {
        let Some(db) = Shared::on(variable).await else { return };
        let calendar_id = db.esn_calendar(&db.home.to_string()).await;
        let uris = async |db: &Shared| -> Vec<String> {
            db.store.collections(db.home).await.unwrap().into_iter().map(|c| c.uri).collect()
        };
        assert_eq!(uris(&db).await, [&db.home.to_string(), "inbox", "outbox"]);
        let inbox = db.store.collection(db.home, CollectionKind::Inbox, "inbox").await.unwrap().unwrap();
        let text = ics("theirs.ics");
        db.insert(
            "schedulingobjects",
            doc! {
                "principaluri": db.user(), "calendardata": &text, "uri": "theirs.ics", "lastmodified": 1_780_000_000,
                "etag": "abc", "size": text.len() as i32, "dateCreated": DateTime::now(),
            },
        )
        .await;
        let listed = db.store.list(inbox.id, None, 9).await.unwrap();
        assert_eq!((listed.len(), listed[0].uid.0.as_str(), listed[0].etag.as_str()), (1, "theirs", "abc"));

        let taken = Op::CreateCollection(collection(db.home, CollectionKind::Inbox, "inbox"));
        assert!(write(&db.store, vec![taken]).await.is_err(), "it is there");
        let ours = spanning("ours.ics", Some(MONDAY), Some(MONDAY));
        let written = write(&db.store, vec![put(&inbox, ours.clone(), Expect::Absent)]).await.unwrap();
        assert_eq!(written.sync_tokens, [2]);
        assert_eq!(db.store.object(inbox.id, "ours.ics").await.unwrap(), Some(ours));
        let row = db.the("schedulingobjects", doc! { "uri": "ours.ics" }).await;
        assert_eq!(row.get_str("principaluri").unwrap(), db.user());
        assert!(row.get_datetime("dateCreated").is_ok());
        assert_eq!(uris(&db).await, [&db.home.to_string(), "inbox", "outbox"], "each once, with and without a row");
        assert_eq!(db.told(inbox.id, 1).await.0, ["+ours.ics"]);
        // Setting a property of the calendar does not make it one of ours.
        let props = convoke::store::CollectionProps { color: Some("#fff".to_owned()), ..Default::default() };
        write(&db.store, vec![Op::SetProps { collection: calendar_id, props }]).await.unwrap();
        assert_eq!(uris(&db).await.len(), 3);
    }
}

#[tokio::test]
async fn a_home_belongs_to_the_kind_of_principal_that_the_platform_knows() {
    let Some(db) = Shared::on(REPLICA_SET).await else { return };
    let platform = db.store.mongo().platform().clone();
    for (collection, kind) in [("resources", "resources"), ("team_calendars", "team-calendars"), ("domains", "domains")]
    {
        let home = home();
        platform.collection::<Document>(collection).insert_one(doc! { "_id": oid(home.0), "name": "x" }).await.unwrap();
        let first = calendar(home, &home.to_string());
        write(&db.store, vec![Op::CreateCollection(first.clone())]).await.unwrap();
        let instance = db.the("calendarinstances", doc! { "calendarid": oid(first.id.0) }).await;
        assert_eq!(instance.get_str("principaluri").unwrap(), format!("principals/{kind}/{home}"));
        assert_eq!(instance.get_str("public_right").is_ok(), kind == "resources");
        assert!(db.store.collection(home, CollectionKind::Calendar, &home.to_string()).await.unwrap().is_some());
        assert!(db.store.homes(None, 99).await.unwrap().contains(&home));
    }
}

#[tokio::test]
async fn a_deleted_calendar_takes_delegations_and_subscriptions_along() {
    for variable in [REPLICA_SET, STANDALONE] {
        let Some(db) = Shared::on(variable).await else { return };
        let id = db.esn_calendar("work").await;
        db.esn_put(id, "a.ics", Some(MONDAY), None).await;
        let subscribed = |source: String| doc! { "principaluri": "principals/users/x", "uri": "s", "source": source };
        db.insert("calendarsubscriptions", subscribed(format!("calendars/{}/work", db.home))).await;
        db.insert("calendarsubscriptions", subscribed(format!("calendars/{}/other", db.home))).await;
        write(&db.store, vec![Op::DeleteCollection(id)]).await.unwrap();
        for (collection, left) in [
            ("calendars", 0),
            ("calendarinstances", 0),
            ("calendarobjects", 0),
            ("calendarchanges", 0),
            ("calendarsubscriptions", 1),
        ] {
            assert_eq!(db.rows(collection).count_documents(doc! {}).await.unwrap(), left, "{collection}");
        }
        // In one batch, and at the same path: nothing of the old one is left, and its tokens mean nothing.
        let first = calendar(db.home, "work");
        let second = calendar(db.home, "work");
        let created = write(&db.store, vec![Op::CreateCollection(first.clone())]).await.unwrap();
        let swap = vec![
            Op::DeleteCollection(first.id),
            Op::CreateCollection(second.clone()),
            put(&second, spanning("b.ics", None, None), Expect::Absent),
        ];
        let written = write(&db.store, swap).await.unwrap();
        assert!(written.sync_tokens[1] > created.sync_tokens[0]);
        assert_eq!(db.calendar("work").await.id, second.id);
        assert_eq!(db.store.list(second.id, None, 9).await.unwrap().len(), 1);
    }
}

#[tokio::test]
async fn a_name_that_two_programs_made_at_once_is_one_object() {
    let Some(db) = Shared::on(REPLICA_SET).await else { return };
    let id = db.esn_calendar("work").await;
    db.esn_put(id, "twice.ics", Some(MONDAY), None).await;
    db.esn_put(id, "twice.ics", Some(MONDAY), None).await;
    let newest = doc! { "$set": { "etag": "newest", "lastmodified": 1_790_000_000 } };
    db.rows("calendarobjects").update_one(doc! {}, newest).await.unwrap();
    let work = db.calendar("work").await;
    assert_eq!(db.store.list(id, None, 9).await.unwrap().len(), 1);
    assert_eq!(db.store.object(id, "twice.ics").await.unwrap().unwrap().meta.etag, "newest");
    let new = spanning("twice.ics", Some(MONDAY), None);
    write(&db.store, vec![put(&work, new.clone(), Expect::Etag("newest".to_owned()))]).await.unwrap();
    assert_eq!(db.rows("calendarobjects").count_documents(doc! {}).await.unwrap(), 1);
    write(&db.store, vec![delete(&work, "twice.ics", Expect::Etag(new.meta.etag))]).await.unwrap();
    assert_eq!(db.store.object(id, "twice.ics").await.unwrap(), None);
}

/// Every way to ask goes by an index that has the collection in it: what is stored elsewhere costs nothing.
#[tokio::test]
async fn queries_and_changes_go_by_an_index() {
    let Some(db) = Shared::on(REPLICA_SET).await else { return };
    let work = calendar(db.home, "work");
    write(&db.store, vec![Op::CreateCollection(work.clone())]).await.unwrap();
    let ops = (0..300).map(|n| {
        put(&work, spanning(&format!("{n}.ics"), Some(MONDAY + n * 86_400), Some(MONDAY + n * 86_400)), Expect::Absent)
    });
    write(&db.store, ops.collect()).await.unwrap();
    db.store.mongo().dav().run_command(doc! { "profile": 2 }).await.unwrap();
    let week = ObjectFilter { start: Some(MONDAY), end: Some(MONDAY + 7 * 86_400), ..Default::default() };
    let events = ObjectFilter { component: Some("VEVENT".to_owned()), ..week.clone() };
    assert_eq!(db.store.query(work.id, &week, None, 100).await.unwrap().objects.len(), 8);
    assert_eq!(db.store.query(work.id, &events, None, 100).await.unwrap().objects.len(), 8);
    db.store.query(work.id, &ObjectFilter { start: Some(MONDAY), ..Default::default() }, None, 10).await.unwrap();
    db.store
        .query(work.id, &ObjectFilter { uid: Some(Uid("7".to_owned())), ..Default::default() }, None, 10)
        .await
        .unwrap();
    db.store.list(work.id, Some("2"), 10).await.unwrap();
    db.store.object(work.id, "7.ics").await.unwrap();
    db.store.changes(work.id, 290, 100).await.unwrap();
    db.store.find_uid(db.home, &Uid("7".to_owned())).await.unwrap();
    write(&db.store, vec![put(&work, spanning("7.ics", Some(MONDAY), None), Expect::Present)]).await.unwrap();
    db.store.mongo().dav().run_command(doc! { "profile": 0 }).await.unwrap();

    let profile = db.rows("system.profile");
    let done = profile.find(doc! { "ns": { "$regex": "calendar" }, "planSummary": { "$exists": true } });
    let done: Vec<Document> = futures_util::TryStreamExt::try_collect(done.await.unwrap()).await.unwrap();
    assert!(done.len() >= 10, "{}", done.len());
    let mut weeks = 0;
    for op in done {
        let plan = op.get_str("planSummary").unwrap();
        assert!(!plan.contains("COLLSCAN"), "{op}");
        let filter = op.get_document("command").and_then(|command| command.get_document("filter"));
        if filter.is_ok_and(|filter| filter.len() == 1 && filter.contains_key("$or")) {
            weeks += 1;
            assert!(plan.contains("firstoccurence"), "a query by time goes by time: {plan}");
            let examined = number(&op, "docsExamined");
            assert!(examined < 30, "a week reads a week: {examined} of 300");
        }
    }
    assert_eq!(weeks, 2);
}

fn number(op: &Document, field: &str) -> i64 {
    op.get_i32(field).map(i64::from).or_else(|_| op.get_i64(field)).unwrap()
}
