//! `convoke migrate`, the program as people run it.

use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;

use convoke::clock::Env;
use convoke::config::Durability;
use convoke::events::Topic;
use convoke::queue::{ConsumerSpec, Queue as _};
use convoke::sqlite::Sqlite;
use convoke::store::DirectoryStore as _;
use convoke::store::copy::End;
use mongodb::bson::{Document, doc};

use super::contracts::samples::message;
use super::copy::furnish;
use super::mongo_support::{REPLICA_SET, TestMongo};

/// Runs `convoke migrate …` with a data folder and databases of its own.
fn migrate(data: &Path, test: &TestMongo, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_convoke"))
        .arg("migrate")
        .args(args)
        .env("CONVOKE__DATA__DIR", data)
        .env("CONVOKE__MONGODB__URL", &test.config.url)
        .env("CONVOKE__MONGODB__DATABASE", &test.config.database)
        .env("CONVOKE__MONGODB__DAV_DATABASE", &test.config.dav_database)
        .output()
        .unwrap()
}

/// The exit status and what was said, on both channels.
fn told(output: &Output) -> (i32, String) {
    let text = [&output.stdout[..], &output.stderr[..]].concat();
    (output.status.code().unwrap(), String::from_utf8(text).unwrap())
}

fn open(data: &Path) -> Sqlite {
    Sqlite::open(&data.join("convoke.db"), Durability::Normal, Env::system()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_house_moves_to_mongodb_and_back() {
    let Some(test) = TestMongo::on(REPLICA_SET) else { return };
    let (here, back) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let db = open(here.path());
    let house =
        furnish(&End { dav: Arc::new(db.clone()), files: Arc::new(db.clone()), directory: Arc::new(db.clone()) }).await;
    let spec =
        ConsumerSpec { name: "test", topics: vec![Topic::EventCreated], concurrency: 1, retry: Default::default() };
    db.bind(&spec).await.unwrap();
    db.publish(&[message(Topic::EventCreated, "k", 1)]).await.unwrap();
    db.close().await;

    let there = ["copy", "--from", "sqlite", "--to", "mongodb"];
    let with = |more: &[&'static str]| [&there[..], more].concat();
    let all = "1 domains, 2 users (1 with settings, 1 with a password), 2 resources, 1 team calendars, 11 collections, 153 objects, 4 files";
    let (status, said) = told(&migrate(here.path(), &test, &with(&["--dry-run"])));
    assert_eq!(status, 0, "{said}");
    assert!(said.contains(&format!("would copy {all}")), "{said}");
    let mongo = test.connect().await;
    assert_eq!(mongo.platform().list_collection_names().await.unwrap(), Vec::<String>::new());
    assert_eq!(mongo.dav().list_collection_names().await.unwrap(), Vec::<String>::new());

    let (status, said) = told(&migrate(here.path(), &test, &there));
    assert!(status == 1 && said.contains("1 messages wait in the queue of the source"), "{status}: {said}");
    let (status, said) = told(&migrate(here.path(), &test, &with(&["--leave-messages"])));
    assert_eq!(status, 0, "{said}");
    for part in [
        format!("copied {all}"),
        format!("source: {all}"),
        format!("target: {all}"),
        "the two are the same".to_owned(),
        "people: 2 of 2".to_owned(),
    ] {
        assert!(said.contains(&part), "{part}: {said}");
    }
    assert_eq!(mongo.outgoing().count_documents(doc! {}).await.unwrap(), 0, "nobody is told of a copy");
    let (status, said) = told(&migrate(here.path(), &test, &with(&["--leave-messages"])));
    assert!(status == 1 && said.contains("the target is not empty: it holds domains; give --resume"), "{said}");
    let (status, said) = told(&migrate(here.path(), &test, &with(&["--leave-messages", "--resume"])));
    assert!(status == 0 && said.contains(&format!("there already: {all}")), "{said}");

    // What OpenPaaS adds in the meantime has no place in SQLite.
    mongo.platform().collection::<Document>("booking_links").insert_one(doc! { "name": "An hour" }).await.unwrap();
    let (status, said) = told(&migrate(back.path(), &test, &["copy", "--from", "mongodb", "--to", "sqlite"]));
    assert_eq!(status, 0, "{said}");
    assert!(
        said.contains("not copied, since convoke does not keep such things itself: 1 booking links")
            && said.contains("the two are the same"),
        "{said}"
    );
    let db = open(back.path());
    assert_eq!(db.user(house.alice.id).await.unwrap(), Some(house.alice));

    // Somebody uses it, and the copy is started once more.
    let mut bob = house.bob.clone();
    bob.firstname = "Robert".to_owned();
    db.update_user(&bob).await.unwrap();
    db.close().await;
    let again = ["copy", "--from", "mongodb", "--to", "sqlite", "--resume"];
    let (status, said) = told(&migrate(back.path(), &test, &again));
    assert!(status == 1 && said.contains("user bob@example.org has other names or addresses in the target"), "{said}");
    assert_eq!(open(back.path()).user(bob.id).await.unwrap(), Some(bob), "kept");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_that_makes_no_sense_is_refused() {
    let Some(test) = TestMongo::on(REPLICA_SET) else { return };
    let folder = tempfile::tempdir().unwrap();
    let same = ["copy", "--from", "sqlite", "--to", "sqlite"];
    assert_eq!(told(&migrate(folder.path(), &test, &same)).0, 1);
    let absent = ["copy", "--from", "sqlite", "--to", "mongodb"];
    let (status, said) = told(&migrate(folder.path(), &test, &absent));
    assert!(status == 1 && said.contains("there is no ") && said.contains("convoke.db"), "{said}");
    assert!(!folder.path().join("convoke.db").exists());
    let replace = ["copy", "--from", "sqlite", "--to", "mongodb", "--replace"];
    assert_eq!(told(&migrate(folder.path(), &test, &replace)).0, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_is_brought_forward_after_it_was_said_how() {
    let Some(test) = TestMongo::on(REPLICA_SET) else { return };
    let folder = tempfile::tempdir().unwrap();
    let mongo = test.connect().await;
    let users = mongo.platform().collection::<Document>("users");
    let account = doc! { "type": "email", "emails": ["alice@example.org"] };
    users.insert_one(doc! { "firstname": "Alice", "accounts": [account] }).await.unwrap();

    let (status, said) = told(&migrate(folder.path(), &test, &["mongodb", "--dry-run"]));
    assert_eq!(status, 0, "{said}");
    for part in [
        "would make the collection auth_tickets",
        "would make the index email_1 of users; without it two users may get one address",
        "would make the index calendarid_1_uri_1 of calendarobjects; without it",
        "would complete 1 users that lack email or firstnames",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert_eq!(mongo.platform().list_collection_names().await.unwrap(), ["users"]);

    let (status, said) = told(&migrate(folder.path(), &test, &["mongodb"]));
    assert_eq!(status, 0, "{said}");
    assert!(said.contains("made the index email_1 of users"), "{said}");
    assert!(said.contains("users: 1 processed, 1 upgraded, 0 errors"), "{said}");
    let (status, said) = told(&migrate(folder.path(), &test, &["mongodb"]));
    assert_eq!((status, said.trim()), (0, "there is nothing to do"));
}
