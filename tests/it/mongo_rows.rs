//! People on MongoDB beside the other programs that write the same rows: OpenPaaS, esn-sabre and the side service.

use convoke::clock::Env;
use convoke::ids::{DomainId, Email, UserId};
use convoke::mongo::{Mongo, id, oid};
use convoke::store::mongo::bootstrap::bootstrap;
use convoke::store::{DirectoryStore as _, Domain, Settings, StoreError, User};
use mongodb::Collection;
use mongodb::bson::{Bson, Document, doc};
use serde_json::json;

use super::mongo_support::{REPLICA_SET, TestMongo};

async fn opened(test: &TestMongo) -> (Mongo, Domain) {
    let mongo = test.connect().await;
    bootstrap(&mongo).await.unwrap();
    let domain = Domain { id: DomainId(Env::system().object_id()), name: "example.org".parse().unwrap() };
    mongo.add_domain(&domain).await.unwrap();
    (mongo, domain)
}

fn rows(mongo: &Mongo, name: &str) -> Collection<Document> {
    mongo.platform().collection(name)
}

fn email(text: &str) -> Email {
    text.parse().unwrap()
}

/// As esn-sabre writes it when somebody of the directory signs in for the first time.
fn esn_sabre(domain: &Domain, address: &str) -> Document {
    doc! {
        "firstname": "Alice", "lastname": "Martin", "firstnames": [], "password": "secret", "email": address,
        "domains": [{ "domain_id": oid(domain.id.0) }],
        "accounts": [{ "type": "email", "emails": [address] }],
    }
}

/// As OpenPaaS wrote them for years: without the later fields, with many others.
fn openpaas(domain: &Domain, address: &str) -> Document {
    doc! {
        "schemaVersion": 2, "__v": 3, "lastname": "Martin", "password": "$2a$05$…",
        "timestamps": { "creation": mongodb::bson::DateTime::from_millis(1_500_000_000_000) },
        "login": { "success": mongodb::bson::DateTime::from_millis(1_600_000_000_000), "failures": [] },
        "avatars": [], "preferredEmail": address,
        "domains": [{ "domain_id": oid(domain.id.0), "joined_at": mongodb::bson::DateTime::from_millis(0), "status": "ok" }],
        "accounts": [
            { "_id": mongodb::bson::oid::ObjectId::from_bytes([7; 12]), "type": "email", "hosted": true,
              "preferredEmailIndex": 0, "emails": [address], "timestamps": { "creation": Bson::Null } },
        ],
    }
}

async fn insert(mongo: &Mongo, row: Document) -> UserId {
    let inserted = rows(mongo, "users").insert_one(row).await.unwrap();
    UserId(id(inserted.inserted_id.as_object_id().unwrap()))
}

#[tokio::test]
async fn rows_of_other_programs_are_people() {
    let Some(test) = TestMongo::on(REPLICA_SET) else { return };
    let (mongo, domain) = opened(&test).await;
    let alice = insert(&mongo, esn_sabre(&domain, "alice@example.org")).await;
    let bob = insert(&mongo, openpaas(&domain, "bob@example.org")).await;
    let legacy = doc! { "preferredEmail": "carol@example.org", "emails": ["c@example.org"], "domains": [] };
    let carol = insert(&mongo, legacy).await;
    insert(&mongo, doc! { "firstname": "nobody" }).await;
    insert(&mongo, doc! { "firstname": "stranger", "preferredEmail": "dan@unknown.example" }).await;

    let found = mongo.user_by_email(&email("alice@example.org")).await.unwrap().unwrap();
    assert_eq!((found.id, found.domain, found.firstname.as_str()), (alice, domain.id, "Alice"));
    let found = mongo.user_by_email(&email("Bob@Example.org")).await.unwrap().unwrap();
    assert_eq!((found.id, found.display_name().as_str()), (bob, "Martin"));
    for address in ["carol@example.org", "c@example.org"] {
        let found = mongo.user_by_email(&email(address)).await.unwrap().unwrap();
        assert_eq!((found.id, found.domain), (carol, domain.id), "the domain is that of the address");
        assert_eq!(found.email(), &email("carol@example.org"));
    }
    assert_eq!(mongo.user_by_email(&email("dan@unknown.example")).await.unwrap(), None, "of no domain here");
    let mut all = Vec::new();
    while let Some(user) = mongo.users(None, all.last().copied(), 1).await.unwrap().pop() {
        all.push(user.id);
    }
    assert_eq!(all, [alice, bob, carol], "rows that are nobody do not end the list");
}

#[tokio::test]
async fn an_account_wins_over_older_fields_of_somebody_else() {
    let Some(test) = TestMongo::on(REPLICA_SET) else { return };
    let (mongo, domain) = opened(&test).await;
    insert(&mongo, doc! { "emails": ["boss@example.org"], "domains": [{ "domain_id": oid(domain.id.0) }] }).await;
    let second = doc! { "preferredEmail": "boss@example.org", "domains": [{ "domain_id": oid(domain.id.0) }] };
    let second = insert(&mongo, second).await;
    assert_eq!(mongo.user_by_email(&email("boss@example.org")).await.unwrap().unwrap().id, second);
    let third = insert(&mongo, esn_sabre(&domain, "boss@example.org")).await;
    assert_eq!(mongo.user_by_email(&email("boss@example.org")).await.unwrap().unwrap().id, third);
}

#[tokio::test]
async fn an_update_keeps_every_field_it_is_not_about() {
    let Some(test) = TestMongo::on(REPLICA_SET) else { return };
    let (mongo, domain) = opened(&test).await;
    let bob = insert(&mongo, openpaas(&domain, "bob@example.org")).await;
    let before = rows(&mongo, "users").find_one(doc! { "_id": oid(bob.0) }).await.unwrap().unwrap();
    let mut user = mongo.user(bob).await.unwrap().unwrap();
    user.firstname = "Bob Ann".to_owned();
    user.emails.push(email("robert@example.org"));
    mongo.update_user(&user).await.unwrap();
    let after = rows(&mongo, "users").find_one(doc! { "_id": oid(bob.0) }).await.unwrap().unwrap();

    let mut expected = before;
    expected.insert("firstname", "Bob Ann");
    expected.insert("firstnames", vec!["Bob", "Ann"]);
    expected.insert("email", "bob@example.org");
    let account = expected.get_array_mut("accounts").unwrap()[0].as_document_mut().unwrap();
    account.insert("emails", vec!["bob@example.org", "robert@example.org"]);
    // In whatever order.
    let sorted =
        |row: &Document| row.iter().map(|(k, v)| (k.clone(), v.clone())).collect::<std::collections::BTreeMap<_, _>>();
    assert_eq!(sorted(&after), sorted(&expected));
    assert_eq!(mongo.user(bob).await.unwrap(), Some(user));
}

#[tokio::test]
async fn esn_sabre_finds_whom_we_add() {
    let Some(test) = TestMongo::on(REPLICA_SET) else { return };
    let (mongo, domain) = opened(&test).await;
    let alice = User {
        id: UserId(Env::system().object_id()),
        domain: domain.id,
        emails: vec![email("alice@example.org")],
        firstname: "Alice".to_owned(),
        lastname: "Martin".to_owned(),
    };
    mongo.add_user(&alice).await.unwrap();
    // Its lookup: by account, then the first domain, whose name must be that of the address.
    let row = rows(&mongo, "users").find_one(doc! { "accounts.emails": "alice@example.org" }).await.unwrap().unwrap();
    let first = row.get_array("domains").unwrap()[0].as_document().unwrap().get_object_id("domain_id").unwrap();
    let named = rows(&mongo, "domains").find_one(doc! { "_id": first }).await.unwrap().unwrap();
    assert_eq!(named.get_str("name").unwrap(), "example.org");
    assert!(named.get_document("timestamp").unwrap().get_datetime("creation").is_ok(), "in the singular");
    let password: uuid::Uuid = row.get_str("password").unwrap().parse().unwrap();
    assert!(!password.is_nil());
    // And it cannot provision the same person a second time.
    let error = rows(&mongo, "users").insert_one(esn_sabre(&domain, "alice@example.org")).await.unwrap_err();
    assert!(error.to_string().contains("E11000"), "{error}");
}

#[tokio::test]
async fn somebody_whom_esn_sabre_provisions_meanwhile_is_not_added_twice() {
    let Some(test) = TestMongo::on(REPLICA_SET) else { return };
    let (mongo, domain) = opened(&test).await;
    let alice = User {
        id: UserId(Env::system().object_id()),
        domain: domain.id,
        emails: vec![email("alice@example.org")],
        firstname: String::new(),
        lastname: String::new(),
    };
    let sabre = tokio::spawn({
        let (users, row) = (rows(&mongo, "users"), esn_sabre(&domain, "alice@example.org"));
        async move { users.insert_one(row).await.is_ok() }
    });
    let ours = mongo.add_user(&alice).await;
    let theirs = sabre.await.unwrap();
    assert_ne!(ours.is_ok(), theirs, "one of the two");
    if let Err(error) = ours {
        assert!(matches!(error, StoreError::Exists(_)), "{error}");
    }
    assert_eq!(rows(&mongo, "users").count_documents(doc! {}).await.unwrap(), 1);
    let found = mongo.user_by_email(&email("alice@example.org")).await.unwrap().unwrap();
    assert_eq!(found.id == alice.id, !theirs);
}

#[tokio::test]
async fn settings_of_openpaas_stay_where_nobody_changed_them() {
    let Some(test) = TestMongo::on(REPLICA_SET) else { return };
    let (mongo, domain) = opened(&test).await;
    let alice = insert(&mongo, esn_sabre(&domain, "alice@example.org")).await;
    let configurations = rows(&mongo, "configurations");
    let since = mongodb::bson::DateTime::from_millis(1_780_304_400_000);
    let modules = doc! { "domain_id": oid(domain.id.0), "user_id": oid(alice.0), "__v": 2, "modules": [
        { "_id": 5, "name": "core", "configurations": [
            { "name": "language", "value": "en" },
            { "name": "since", "value": since },
            { "name": "count", "value": 5_i64, "note": "theirs" },
        ] },
        { "name": "esn.module", "configurations": [{ "name": "odd" }], "more": true },
    ] };
    configurations.insert_one(modules).await.unwrap();
    let mut settings = mongo.settings(alice).await.unwrap();
    assert_eq!(settings.get("core", "language"), Some(&json!("en")));
    assert_eq!(settings.get("core", "count"), Some(&json!(5)));

    settings.set("core", "language", json!("fr"));
    mongo.put_settings(alice, &settings).await.unwrap();
    let mut more = Settings::default();
    more.set("calendar", "alarmEmails", json!(false));
    mongo.merge_settings(alice, &more).await.unwrap();
    let own = doc! { "domain_id": oid(domain.id.0), "user_id": oid(alice.0) };
    let stored = configurations.find_one(own).await.unwrap().unwrap();
    assert_eq!(stored.get_i32("__v").unwrap(), 2);
    assert_eq!(
        stored.get_array("modules").unwrap(),
        &[
            doc! { "_id": 5, "name": "core", "configurations": [
                { "name": "language", "value": "fr" },
                { "name": "since", "value": since },
                { "name": "count", "value": 5_i64, "note": "theirs" },
            ] }
            .into(),
            doc! { "name": "esn.module", "configurations": [{ "name": "odd" }], "more": true }.into(),
            doc! { "name": "calendar", "configurations": [{ "name": "alarmEmails", "value": false }] }.into(),
        ]
    );
}
