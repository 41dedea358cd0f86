//! What a MongoDB database needs before it is used, and bringing an existing one forward.

use std::collections::BTreeSet;
use std::time::Duration;

use convoke::mongo::schema::{self, Lack, Place};
use convoke::mongo::{Failure, Mongo};
use convoke::nodes::{Ledger as _, NodeId};
use convoke::store::mongo::bootstrap::{BootstrapError, bootstrap};
use convoke::store::mongo::migrate::{Filled, fill_users, mend, plan};
use mongodb::bson::{Document, doc};
use mongodb::options::IndexOptions;
use mongodb::{Collection, IndexModel};

use super::mongo_support::{REPLICA_SET, STANDALONE, TestMongo};

fn rows(mongo: &Mongo, name: &str) -> Collection<Document> {
    mongo.platform().collection(name)
}

async fn index(mongo: &Mongo, collection: &str, keys: Document, options: IndexOptions) {
    let model = IndexModel::builder().keys(keys).options(options).build();
    rows(mongo, collection).create_index(model).await.unwrap();
}

fn named(name: &str) -> IndexOptions {
    IndexOptions::builder().name(name.to_owned()).build()
}

#[tokio::test]
async fn an_empty_database_gets_everything_and_once() {
    for variable in [REPLICA_SET, STANDALONE] {
        let Some(test) = TestMongo::on(variable) else { return };
        let (one, two) = (test.connect().await, test.connect().await);
        let (first, second) = tokio::join!(bootstrap(&one), bootstrap(&two));
        first.unwrap();
        second.unwrap();
        assert!(schema::missing_indexes(&one).await.unwrap().is_empty());
        bootstrap(&one).await.unwrap();
        let present: BTreeSet<String> = one.platform().list_collection_names().await.unwrap().into_iter().collect();
        for name in ["users", "domains", "secretlinks", "twake_calendar_alarm_events_ledge", "auth_tickets"] {
            assert!(present.contains(name), "{name}");
        }
        // The names that the reference looks for.
        let names = rows(&one, "auth_tickets").list_index_names().await.unwrap();
        assert_eq!(names, ["_id_", "auth_tickets_ttl_validUntil"]);
        let names = rows(&one, "twake_calendar_alarm_events_ledge").list_index_names().await.unwrap();
        assert_eq!(names, ["_id_", "uniq_event_alarm_recipient", "ttl_expiresAt"]);
        assert!(!present.contains("twake_calendar_uploaded_files"), "how long it keeps files is not ours to say");
    }
}

#[tokio::test]
async fn only_the_index_that_openpaas_declares_too_may_differ() {
    let Some(test) = TestMongo::on(REPLICA_SET) else { return };
    let mongo = test.connect().await;
    let unique = IndexOptions::builder().unique(true).sparse(true).build();
    index(&mongo, "users", doc! { "accounts.emails": 1 }, unique).await;
    bootstrap(&mongo).await.unwrap();

    rows(&mongo, "users").drop_index("email_1").await.unwrap();
    index(&mongo, "users", doc! { "email": 1 }, named("email_1")).await;
    let error = bootstrap(&mongo).await.unwrap_err();
    assert!(matches!(error, BootstrapError::Different { .. }) && !error.is_passing());
    assert_eq!(
        error.to_string(),
        "index email_1 of users is there, but it is not unique, it covers other documents. Without the right one two users \
         may get one address: drop it, then start again or run `convoke migrate mongodb`"
    );
}

#[tokio::test]
async fn the_time_after_which_documents_vanish_is_corrected() {
    let Some(test) = TestMongo::on(REPLICA_SET) else { return };
    let mongo = test.connect().await;
    let mut options = named("auth_tickets_ttl_validUntil");
    options.expire_after = Some(Duration::from_secs(3600));
    index(&mongo, "auth_tickets", doc! { "validUntil": 1 }, options).await;
    let missing = schema::missing_indexes(&mongo).await.unwrap();
    let lack = &missing.iter().find(|m| m.index.collection == "auth_tickets").unwrap().lack;
    assert_eq!(*lack, Lack::Expiry { name: "auth_tickets_ttl_validUntil".to_owned(), found_s: 3600 });
    bootstrap(&mongo).await.unwrap();
    assert!(schema::missing_indexes(&mongo).await.unwrap().is_empty());
}

#[tokio::test]
async fn keys_that_stand_in_the_way_of_an_index_are_named() {
    let Some(test) = TestMongo::on(REPLICA_SET) else { return };
    let mongo = test.connect().await;
    let twins = [doc! { "name": "example.org" }, doc! { "name": "example.org" }, doc! { "name": "other.example" }];
    rows(&mongo, "domains").insert_many(twins).await.unwrap();
    let error = bootstrap(&mongo).await.unwrap_err();
    let duplicate = matches!(&error, BootstrapError::Index { source: Failure::Duplicate { .. }, .. });
    assert!(duplicate && error.to_string().contains("--dry-run"), "{error}");
    let plan = plan(&mongo).await.unwrap();
    let (index, keys) = plan.duplicates.first().unwrap();
    assert_eq!(index.to_string(), "index name_1 of domains");
    assert_eq!(keys, &["name \"example.org\" (2 documents)"]);
}

#[tokio::test]
async fn an_old_database_is_brought_forward() {
    let Some(test) = TestMongo::on(REPLICA_SET) else { return };
    let mongo = test.connect().await;
    let account = |address: &str| doc! { "type": "email", "emails": [address] };
    let people = [
        doc! { "firstname": "Alice Zoë", "accounts": [account("alice@example.org")], "kept": 1 },
        doc! { "accounts": [account("bob@example.org")], "email": "bob@example.org" },
        // A second row with an address that is taken.
        doc! { "firstname": "Twin", "accounts": [account("bob@example.org")] },
        doc! { "firstname": "Whole", "email": "w@example.org", "firstnames": ["Whole"] },
        doc! { "firstname": "No address", "firstnames": [] },
    ];
    rows(&mongo, "users").insert_many(people).await.unwrap();

    let before = plan(&mongo).await.unwrap();
    assert_eq!(before.incomplete_users, 4);
    assert_eq!(before.collections.len(), 7, "{:?}", before.collections);
    assert!(before.indexes.iter().any(|m| m.index.place == Place::Dav), "both databases");
    assert_eq!(mongo.platform().list_collection_names().await.unwrap(), ["users"], "nothing was changed");

    for missing in &before.indexes {
        mend(&mongo, missing).await.unwrap();
    }
    let filled = fill_users(&mongo, || {}).await.unwrap();
    assert_eq!(filled, Filled { processed: 4, upgraded: 2, errors: 1 });
    let alice = rows(&mongo, "users").find_one(doc! { "email": "alice@example.org" }).await.unwrap().unwrap();
    assert_eq!(alice.get_array("firstnames").unwrap(), &["Alice".into(), "Zoë".into()]);
    assert_eq!(alice.get_i32("kept").unwrap(), 1);
    bootstrap(&mongo).await.unwrap();
    let after = plan(&mongo).await.unwrap();
    assert!(after.indexes.is_empty() && after.collections.is_empty());
    assert_eq!(after.incomplete_users, 2, "the twin, and who has no address");
}

#[tokio::test]
async fn what_nodes_agreed_upon_is_cleared_away_by_the_server() {
    let Some(test) = TestMongo::on(REPLICA_SET) else { return };
    let mongo = test.connect().await;
    bootstrap(&mongo).await.unwrap();
    mongo.finish("mail", Duration::from_millis(1)).await.unwrap();
    mongo.begin("other", &NodeId("a".to_owned()), Duration::from_secs(600)).await.unwrap();
    let ledger = rows(&mongo, "convoke_ledger");
    while ledger.count_documents(doc! {}).await.unwrap() > 1 {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(ledger.find_one(doc! {}).await.unwrap().unwrap().get_str("_id").unwrap(), "other");
}
