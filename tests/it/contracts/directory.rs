//! The contract of `DirectoryStore`: people, domains, settings, passwords.

use convoke::clock::Env;
use convoke::ids::{DomainId, Email, UserId};
use convoke::store::{Domain, Settings, StoreError, User};
use serde_json::json;

use std::sync::Arc;

use async_trait::async_trait;
use convoke::store::SharedDirectory;
use futures_util::future::join_all;

use super::engines::SqliteHarness;
use super::{optional_suite, suite};
use crate::mongo_support::{REPLICA_SET, STANDALONE, TestMongo};

/// Opens the directory on its data, which is fresh the first time and kept until the harness is dropped.
#[async_trait]
pub(super) trait Harness: Send + Sync {
    async fn open(&self) -> SharedDirectory;
    /// Stops what was opened last; whether it can be stopped.
    async fn close(&self) -> bool;
}

#[async_trait]
impl Harness for SqliteHarness {
    async fn open(&self) -> SharedDirectory {
        super::engines::Harness::open(self).await.directory
    }

    async fn close(&self) -> bool {
        super::engines::Harness::close(self).await;
        true
    }
}

#[async_trait]
impl Harness for TestMongo {
    async fn open(&self) -> SharedDirectory {
        let mongo = self.connect().await;
        convoke::store::mongo::bootstrap::bootstrap(&mongo).await.unwrap();
        Arc::new(mongo)
    }

    async fn close(&self) -> bool {
        false
    }
}

fn domain(name: &str) -> Domain {
    Domain { id: DomainId(Env::system().object_id()), name: name.parse().unwrap() }
}

fn user(domain: &Domain, emails: &[&str]) -> User {
    User {
        id: UserId(Env::system().object_id()),
        domain: domain.id,
        emails: emails.iter().map(|e| e.parse().unwrap()).collect(),
        firstname: "Zoë".to_owned(),
        lastname: String::new(),
    }
}

fn email(text: &str) -> Email {
    text.parse().unwrap()
}

async fn a_user_is_found_by_id_and_by_every_address(engine: &dyn Harness) {
    let directory = engine.open().await;
    let domain = domain("example.org");
    directory.add_domain(&domain).await.unwrap();
    let alice = user(&domain, &["alice@example.org", "a.martin@example.org", "alice@elsewhere.example"]);
    directory.add_user(&alice).await.unwrap();
    assert_eq!(directory.user(alice.id).await.unwrap(), Some(alice.clone()));
    for address in &alice.emails {
        assert_eq!(directory.user_by_email(address).await.unwrap(), Some(alice.clone()), "{address}");
    }
    assert_eq!(directory.user_by_email(&email("ALICE@Example.org")).await.unwrap(), Some(alice.clone()));
    assert_eq!(directory.user_by_email(&email("bob@example.org")).await.unwrap(), None);
    assert_eq!(directory.user(UserId(Env::system().object_id())).await.unwrap(), None);
}

async fn an_address_belongs_to_one_user(engine: &dyn Harness) {
    let directory = engine.open().await;
    let domain = domain("example.org");
    directory.add_domain(&domain).await.unwrap();
    let alice = user(&domain, &["alice@example.org", "boss@example.org"]);
    directory.add_user(&alice).await.unwrap();
    let exists = |e: StoreError| assert!(matches!(e, StoreError::Exists(_)), "{e}");
    exists(directory.add_user(&user(&domain, &["alice@example.org"])).await.unwrap_err());
    exists(directory.add_user(&user(&domain, &["bob@example.org", "boss@example.org"])).await.unwrap_err());
    let mut same_id = user(&domain, &["carol@example.org"]);
    same_id.id = alice.id;
    exists(directory.add_user(&same_id).await.unwrap_err());
    assert_eq!(directory.user_by_email(&email("bob@example.org")).await.unwrap(), None, "nothing of it was kept");
    let nowhere = Domain { id: DomainId(Env::system().object_id()), name: "nowhere.example".parse().unwrap() };
    let error = directory.add_user(&user(&nowhere, &["dan@nowhere.example"])).await.unwrap_err();
    assert!(matches!(error, StoreError::Missing(_)), "{error}");

    let mut bob = user(&domain, &["bob@example.org"]);
    directory.add_user(&bob).await.unwrap();
    bob.emails.push(email("boss@example.org"));
    exists(directory.update_user(&bob).await.unwrap_err());
    assert_eq!(directory.user(bob.id).await.unwrap().unwrap().emails.len(), 1);
}

async fn a_user_is_updated_and_removed_with_everything(engine: &dyn Harness) {
    let directory = engine.open().await;
    let domain = domain("example.org");
    directory.add_domain(&domain).await.unwrap();
    let mut alice = user(&domain, &["alice@example.org", "old@example.org"]);
    assert!(matches!(directory.update_user(&alice).await, Err(StoreError::Missing(_))));
    directory.add_user(&alice).await.unwrap();
    directory.set_password_hash(alice.id, Some("$argon2id$…")).await.unwrap();
    let mut settings = Settings::default();
    settings.set("core", "language", json!("fr"));
    directory.put_settings(alice.id, &settings).await.unwrap();

    alice.firstname = "Alice".to_owned();
    alice.emails = vec![email("alice.martin@example.org"), email("alice@example.org")];
    directory.update_user(&alice).await.unwrap();
    assert_eq!(directory.user(alice.id).await.unwrap(), Some(alice.clone()));
    assert_eq!(directory.user_by_email(&email("old@example.org")).await.unwrap(), None);
    assert_eq!(directory.password_hash(alice.id).await.unwrap().as_deref(), Some("$argon2id$…"), "kept");
    assert_eq!(directory.settings(alice.id).await.unwrap(), settings, "kept");

    assert!(directory.remove_user(alice.id).await.unwrap());
    assert!(!directory.remove_user(alice.id).await.unwrap());
    assert_eq!(directory.user_by_email(&email("alice@example.org")).await.unwrap(), None);
    assert_eq!(directory.settings(alice.id).await.unwrap(), Settings::default());
    directory.add_user(&alice).await.unwrap();
    assert_eq!(directory.password_hash(alice.id).await.unwrap(), None, "a new account has no old password");
}

async fn users_are_paged_by_id_and_by_domain(engine: &dyn Harness) {
    let directory = engine.open().await;
    let (one, two) = (domain("one.example"), domain("two.example"));
    directory.add_domain(&one).await.unwrap();
    directory.add_domain(&two).await.unwrap();
    let mut all = Vec::new();
    for n in 0..25 {
        let domain = if n % 5 == 0 { &two } else { &one };
        let user = user(domain, &[&format!("user{n}@example.org")]);
        directory.add_user(&user).await.unwrap();
        all.push(user);
    }
    all.sort_by_key(|u| u.id);
    for domain in [None, Some(one.id), Some(two.id)] {
        let mut seen: Vec<User> = Vec::new();
        loop {
            let page = directory.users(domain, seen.last().map(|u| u.id), 4).await.unwrap();
            if page.is_empty() {
                break;
            }
            assert!(page.len() <= 4);
            seen.extend(page);
        }
        let expected: Vec<User> = all.iter().filter(|u| domain.is_none_or(|d| d == u.domain)).cloned().collect();
        assert_eq!(seen, expected);
    }
}

async fn domains_have_unique_names(engine: &dyn Harness) {
    let directory = engine.open().await;
    let (beta, alpha) = (domain("beta.example"), domain("alpha.example"));
    directory.add_domain(&beta).await.unwrap();
    directory.add_domain(&alpha).await.unwrap();
    assert_eq!(directory.domains().await.unwrap(), [alpha.clone(), beta.clone()]);
    assert_eq!(directory.domain(beta.id).await.unwrap(), Some(beta.clone()));
    assert_eq!(directory.domain_by_name(&alpha.name).await.unwrap(), Some(alpha));
    assert_eq!(directory.domain_by_name(&"gamma.example".parse().unwrap()).await.unwrap(), None);
    let same_id = Domain { id: beta.id, name: "gamma.example".parse().unwrap() };
    for twin in [domain("beta.example"), same_id] {
        assert!(matches!(directory.add_domain(&twin).await, Err(StoreError::Exists(_))));
    }
}

async fn settings_hold_any_json_and_are_replaced_as_a_whole(engine: &dyn Harness) {
    let directory = engine.open().await;
    let domain = domain("example.org");
    directory.add_domain(&domain).await.unwrap();
    let alice = user(&domain, &["alice@example.org"]);
    directory.add_user(&alice).await.unwrap();
    assert_eq!(directory.settings(alice.id).await.unwrap(), Settings::default());
    let mut settings = Settings::default();
    settings.set("core", "datetime", json!({"timeZone": "Europe/Paris", "use24hourFormat": true}));
    settings.set("core", "nothing", json!(null));
    settings.set("calendar", "numbers", json!([1, 2.5, -9007199254740993_i64, "ü"]));
    directory.put_settings(alice.id, &settings).await.unwrap();
    assert_eq!(directory.settings(alice.id).await.unwrap(), settings);
    let mut less = Settings::default();
    less.set("core", "language", json!("de"));
    directory.put_settings(alice.id, &less).await.unwrap();
    assert_eq!(directory.settings(alice.id).await.unwrap(), less);
    let nobody = UserId(Env::system().object_id());
    assert!(matches!(directory.put_settings(nobody, &less).await, Err(StoreError::Missing(_))));
    assert!(matches!(directory.set_password_hash(nobody, Some("x")).await, Err(StoreError::Missing(_))));
}

async fn a_password_hash_is_set_and_removed(engine: &dyn Harness) {
    let directory = engine.open().await;
    let domain = domain("example.org");
    directory.add_domain(&domain).await.unwrap();
    let alice = user(&domain, &["alice@example.org"]);
    directory.add_user(&alice).await.unwrap();
    assert_eq!(directory.password_hash(alice.id).await.unwrap(), None);
    directory.set_password_hash(alice.id, Some("one")).await.unwrap();
    directory.set_password_hash(alice.id, Some("two")).await.unwrap();
    assert_eq!(directory.password_hash(alice.id).await.unwrap().as_deref(), Some("two"));
    directory.set_password_hash(alice.id, None).await.unwrap();
    assert_eq!(directory.password_hash(alice.id).await.unwrap(), None);
}

async fn people_are_there_after_reopening(engine: &dyn Harness) {
    let directory = engine.open().await;
    let domain = domain("example.org");
    let alice = user(&domain, &["alice@example.org"]);
    directory.add_domain(&domain).await.unwrap();
    directory.add_user(&alice).await.unwrap();
    if engine.close().await {
        assert!(matches!(directory.user(alice.id).await, Err(StoreError::Unavailable(_))));
    }
    drop(directory);
    assert_eq!(engine.open().await.user(alice.id).await.unwrap(), Some(alice));
}

async fn a_merge_of_settings_leaves_the_others_alone(engine: &dyn Harness) {
    let directory = engine.open().await;
    let domain = domain("example.org");
    directory.add_domain(&domain).await.unwrap();
    let alice = user(&domain, &["alice@example.org"]);
    directory.add_user(&alice).await.unwrap();
    let settings = |value| serde_json::from_value::<Settings>(value).unwrap();
    directory.merge_settings(alice.id, &settings(json!({"core": {"language": "fr", "homePage": null}}))).await.unwrap();
    let later = json!({"core": {"language": "en"}, "calendar": {"alarmEmails": false}});
    directory.merge_settings(alice.id, &settings(later)).await.unwrap();
    let merged = json!({"core": {"language": "en", "homePage": null}, "calendar": {"alarmEmails": false}});
    assert_eq!(directory.settings(alice.id).await.unwrap(), settings(merged));
    let nobody = UserId(Env::system().object_id());
    let error = directory.merge_settings(nobody, &Settings::default()).await.unwrap_err();
    assert!(matches!(error, StoreError::Missing(_)), "{error}");
}

async fn settings_that_many_merge_at_once_are_all_there(engine: &dyn Harness) {
    let directory = engine.open().await;
    let domain = domain("example.org");
    directory.add_domain(&domain).await.unwrap();
    let alice = user(&domain, &["alice@example.org"]);
    directory.add_user(&alice).await.unwrap();
    let merges = (0..10).map(|n| {
        let directory = Arc::clone(&directory);
        tokio::spawn(async move {
            let mut change = Settings::default();
            change.set(&format!("module {}", n % 3), &format!("key {n}"), json!(n));
            directory.merge_settings(alice.id, &change).await.unwrap();
        })
    });
    join_all(merges).await.into_iter().for_each(Result::unwrap);
    let settings = directory.settings(alice.id).await.unwrap();
    for n in 0..10 {
        assert_eq!(settings.get(&format!("module {}", n % 3), &format!("key {n}")), Some(&json!(n)));
    }
}

async fn of_many_who_add_one_address_one_succeeds(engine: &dyn Harness) {
    let directory = engine.open().await;
    let domain = domain("example.org");
    directory.add_domain(&domain).await.unwrap();
    let newcomers: Vec<User> = (0..20).map(|_| user(&domain, &["alice@example.org"])).collect();
    let added = newcomers.iter().map(|newcomer| {
        let (directory, newcomer) = (Arc::clone(&directory), newcomer.clone());
        tokio::spawn(async move { directory.add_user(&newcomer).await })
    });
    let added: Vec<_> = join_all(added).await.into_iter().map(Result::unwrap).collect();
    let winner = added.iter().position(Result::is_ok).unwrap();
    assert_eq!(added.iter().filter(|a| a.is_ok()).count(), 1);
    assert!(added.iter().flat_map(|a| a.as_ref().err()).all(|e| matches!(e, StoreError::Exists(_))), "{added:?}");
    let found = directory.user_by_email(&email("alice@example.org")).await.unwrap();
    assert_eq!(found.as_ref(), Some(&newcomers[winner]));
    assert_eq!(directory.users(None, None, 100).await.unwrap().len(), 1);
}

async fn of_many_who_are_given_one_alias_at_most_one_has_it(engine: &dyn Harness) {
    let directory = engine.open().await;
    let domain = domain("example.org");
    directory.add_domain(&domain).await.unwrap();
    let mut all = Vec::new();
    for n in 0..10 {
        let mut user = user(&domain, &[&format!("user{n}@example.org")]);
        directory.add_user(&user).await.unwrap();
        user.emails.push(email("boss@example.org"));
        all.push(user);
    }
    let given = all.iter().map(|user| {
        let (directory, user) = (Arc::clone(&directory), user.clone());
        tokio::spawn(async move { directory.update_user(&user).await })
    });
    let given: Vec<_> = join_all(given).await.into_iter().map(Result::unwrap).collect();
    let mut bosses = 0;
    for (user, given) in all.iter().zip(&given) {
        let stored = directory.user(user.id).await.unwrap().unwrap();
        assert_eq!(stored.emails.len(), if given.is_ok() { 2 } else { 1 }, "{given:?}");
        bosses += usize::from(given.is_ok());
    }
    assert!(bosses <= 1, "{given:?}");
    assert_eq!(directory.user_by_email(&email("boss@example.org")).await.unwrap().is_some(), bosses == 1);
}

async fn settings_stay_when_a_user_changes_the_domain(engine: &dyn Harness) {
    let directory = engine.open().await;
    let (one, two) = (domain("one.example"), domain("two.example"));
    directory.add_domain(&one).await.unwrap();
    directory.add_domain(&two).await.unwrap();
    let mut alice = user(&one, &["alice@one.example"]);
    directory.add_user(&alice).await.unwrap();
    let mut settings = Settings::default();
    settings.set("core", "language", json!("fr"));
    directory.put_settings(alice.id, &settings).await.unwrap();
    alice.domain = two.id;
    directory.update_user(&alice).await.unwrap();
    assert_eq!(directory.user(alice.id).await.unwrap(), Some(alice.clone()));
    assert_eq!(directory.settings(alice.id).await.unwrap(), settings);
    assert_eq!(directory.users(Some(one.id), None, 10).await.unwrap(), []);
}

suite!(
    sqlite,
    super::SqliteHarness::new(),
    [
        a_user_is_found_by_id_and_by_every_address,
        an_address_belongs_to_one_user,
        a_user_is_updated_and_removed_with_everything,
        users_are_paged_by_id_and_by_domain,
        domains_have_unique_names,
        settings_hold_any_json_and_are_replaced_as_a_whole,
        a_password_hash_is_set_and_removed,
        people_are_there_after_reopening,
        a_merge_of_settings_leaves_the_others_alone,
        settings_that_many_merge_at_once_are_all_there,
        of_many_who_add_one_address_one_succeeds,
        of_many_who_are_given_one_alias_at_most_one_has_it,
        settings_stay_when_a_user_changes_the_domain,
    ]
);

optional_suite!(
    mongodb,
    super::TestMongo::on(super::REPLICA_SET),
    [
        a_user_is_found_by_id_and_by_every_address,
        an_address_belongs_to_one_user,
        a_user_is_updated_and_removed_with_everything,
        users_are_paged_by_id_and_by_domain,
        domains_have_unique_names,
        settings_hold_any_json_and_are_replaced_as_a_whole,
        a_password_hash_is_set_and_removed,
        people_are_there_after_reopening,
        a_merge_of_settings_leaves_the_others_alone,
        settings_that_many_merge_at_once_are_all_there,
        of_many_who_add_one_address_one_succeeds,
        of_many_who_are_given_one_alias_at_most_one_has_it,
        settings_stay_when_a_user_changes_the_domain,
    ]
);

optional_suite!(
    mongodb_without_transactions,
    super::TestMongo::on(super::STANDALONE),
    [
        a_user_is_found_by_id_and_by_every_address,
        an_address_belongs_to_one_user,
        a_user_is_updated_and_removed_with_everything,
        users_are_paged_by_id_and_by_domain,
        domains_have_unique_names,
        settings_hold_any_json_and_are_replaced_as_a_whole,
        a_password_hash_is_set_and_removed,
        people_are_there_after_reopening,
        a_merge_of_settings_leaves_the_others_alone,
        settings_that_many_merge_at_once_are_all_there,
        of_many_who_add_one_address_one_succeeds,
        of_many_who_are_given_one_alias_at_most_one_has_it,
        settings_stay_when_a_user_changes_the_domain,
    ]
);
