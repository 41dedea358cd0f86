//! Accounts in a real store: from a file, by command, and the homes they come with.

use chrono_tz::Tz;
use convoke::accounts::{Account, Accounts, AccountsError, AccountsFile, Applied, Password, Preferences};
use convoke::auth::PasswordVerifier as _;
use convoke::ids::{Email, HomeId, UserId};
use convoke::store::{CollectionKind, DavStore, DirectoryStore, Settings};
use serde_json::json;

use super::auth_support::Home;

fn mail(text: &str) -> Email {
    text.parse().unwrap()
}

async fn lets_in(home: &Home, user: &str, password: &str) -> bool {
    home.accounts.verify(&mail(user), password).await.unwrap().is_some()
}

fn file(text: &str) -> AccountsFile {
    AccountsFile::parse(text, "accounts.toml").unwrap()
}

fn dora() -> Account {
    Account {
        mail: mail("dora@sub.example.org"),
        name: "Dora Lange".to_owned(),
        password: Password::Plain("geheim".to_owned()),
        language: None,
        timezone: None,
        id: None,
    }
}

#[tokio::test]
async fn the_demo_people_are_made_once_with_homes_and_preferences() {
    let home = Home::empty();
    let applied = home.accounts.apply(&Accounts::demo()).await.unwrap();
    assert_eq!(applied, Applied { added: 3, updated: 0, unchanged: 0 });
    let again = home.accounts.apply(&Accounts::demo()).await.unwrap();
    assert_eq!(again, Applied { added: 0, updated: 0, unchanged: 3 });

    for (who, language, zone) in
        [("alice", "en", Tz::Europe__London), ("bob", "fr", Tz::Europe__Paris), ("carol", "en", Tz::America__New_York)]
    {
        let address = format!("{who}@example.org");
        assert!(lets_in(&home, &address, who).await);
        let found = home.accounts.find(&mail(&address)).await.unwrap().unwrap();
        assert_eq!((found.language.as_str(), found.timezone), (language, zone));
        let collections = home.store.collections(HomeId::from(found.id)).await.unwrap();
        let kinds: Vec<_> = collections.iter().map(|c| c.kind).collect();
        for (kind, count) in [
            (CollectionKind::Calendar, 1),
            (CollectionKind::Inbox, 1),
            (CollectionKind::Outbox, 1),
            (CollectionKind::AddressBook, 2),
        ] {
            assert_eq!(kinds.iter().filter(|k| **k == kind).count(), count, "{who}: {kind:?}");
        }
        assert!(collections[0].is_default());
    }
    assert_eq!(home.store.domains().await.unwrap().len(), 1);
}

#[tokio::test]
async fn the_file_changes_names_and_passwords_and_keeps_what_people_chose() {
    let home = Home::empty();
    let text = |name: &str, password: &str, language: &str| {
        file(&format!(
            "[[account]]\nmail = \"dora@example.org\"\nname = \"{name}\"\npassword = \"{password}\"\nlanguage = \"{language}\"\n"
        ))
    };
    home.accounts.apply(&text("Dora Lange", "one", "fr")).await.unwrap();
    let before = home.accounts.find(&mail("dora@example.org")).await.unwrap().unwrap();
    let mut settings = home.store.settings(before.id).await.unwrap();
    settings.set("core", "datetime", json!({"timeZone": "Asia/Tokyo"}));
    home.store.put_settings(before.id, &settings).await.unwrap();

    let applied = home.accounts.apply(&text("Dora Kurz", "two", "en")).await.unwrap();
    assert_eq!(applied.updated, 1);
    let after = home.accounts.find(&mail("dora@example.org")).await.unwrap().unwrap();
    assert_eq!((after.id, after.name.as_str()), (before.id, "Dora Kurz"));
    assert_eq!((after.language.as_str(), after.timezone), ("fr", Tz::Asia__Tokyo));
    assert!(lets_in(&home, "dora@example.org", "two").await);
    assert!(!lets_in(&home, "dora@example.org", "one").await);
    assert_eq!(home.accounts.apply(&text("Dora Kurz", "two", "en")).await.unwrap().unchanged, 1);
}

#[tokio::test]
async fn an_id_is_kept_and_belongs_to_one_account() {
    let home = Home::new().await;
    let alice: UserId = "6650c0ffee0123456789a11c".parse().unwrap();
    assert_eq!(home.accounts.find(&mail("alice@example.org")).await.unwrap().unwrap().id, alice);
    let taken = home.accounts.add(&Account { id: Some(alice), ..dora() }).await.unwrap_err();
    assert_eq!(
        taken.to_string(),
        "dora@sub.example.org cannot have the id 6650c0ffee0123456789a11c: it is the id of alice@example.org"
    );
    let mut people = Accounts::demo();
    people.accounts[0].id = Some("6650c0ffee0123456789ffff".parse().unwrap());
    let moved = home.accounts.apply(&people).await.unwrap_err();
    assert!(matches!(moved, AccountsError::Id { .. }), "{moved}");
}

#[tokio::test]
async fn accounts_are_added_listed_relocked_and_removed_one_by_one() {
    let home = Home::new().await;
    let id = home.accounts.add(&dora()).await.unwrap();
    assert!(matches!(home.accounts.add(&dora()).await, Err(AccountsError::Exists(_))));
    let listed = home.accounts.list().await.unwrap();
    assert_eq!(listed.len(), 4);
    assert!(listed.iter().any(|a| a.id == id && a.name == "Dora Lange" && a.has_password));
    assert_eq!(home.store.domains().await.unwrap().len(), 2, "the domain came with the account");

    home.accounts.set_password(&dora().mail, &Password::Plain("neu".to_owned())).await.unwrap();
    assert!(lets_in(&home, "dora@sub.example.org", "neu").await);
    assert!(!lets_in(&home, "dora@sub.example.org", "geheim").await);

    home.accounts.remove(&dora().mail, false).await.unwrap();
    assert!(!lets_in(&home, "dora@sub.example.org", "neu").await);
    assert_eq!(home.store.collections(HomeId::from(id)).await.unwrap().len(), 5, "the calendars stay");
    assert!(matches!(home.accounts.remove(&dora().mail, true).await, Err(AccountsError::Unknown(_))));

    let alice = home.accounts.find(&mail("alice@example.org")).await.unwrap().unwrap().id;
    home.accounts.remove(&mail("alice@example.org"), true).await.unwrap();
    assert!(home.store.collections(HomeId::from(alice)).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_home_is_completed_but_a_default_calendar_that_was_removed_stays_away() {
    let home = Home::empty();
    let id = HomeId::from(home.accounts.add(&dora()).await.unwrap());
    let collections = home.store.collections(id).await.unwrap();
    let of = |kind| collections.iter().find(|c| c.kind == kind).unwrap().clone();
    let (calendar, inbox) = (of(CollectionKind::Calendar), of(CollectionKind::Inbox));
    let mut work = convoke::store::home::new_collection(id, CollectionKind::Calendar, "work", &home.env);
    work.props.displayname = Some("Work".to_owned());
    let ops = vec![
        convoke::store::Op::CreateCollection(work),
        convoke::store::Op::DeleteCollection(calendar.id),
        convoke::store::Op::DeleteCollection(inbox.id),
    ];
    home.store.write(convoke::store::Batch { ops, publish: Vec::new() }).await.unwrap();

    home.accounts.provision_home(id).await.unwrap();
    let uris: Vec<_> = home.store.collections(id).await.unwrap().into_iter().map(|c| c.uri).collect();
    assert!(uris.contains(&"inbox".to_owned()) && uris.contains(&"work".to_owned()), "{uris:?}");
    assert!(!uris.contains(&id.to_string()), "{uris:?}");
}

#[tokio::test]
async fn people_are_written_to_as_they_chose_strangers_as_their_sender_and_others_as_configured() {
    let home = Home::new().await;
    let (bob, guest, other) = (mail("bob@example.org"), mail("guest@elsewhere.example"), mail("x@elsewhere.example"));
    let french =
        Preferences { language: "fr".to_owned(), zone: Tz::Europe__Paris, display_name: Some("Bob Durand".to_owned()) };
    assert_eq!(home.accounts.preferences(&bob, None).await.unwrap(), french);
    let like_bob = Preferences { display_name: None, ..french };
    assert_eq!(home.accounts.preferences(&guest, Some(&bob)).await.unwrap(), like_bob);
    let configured = Preferences { language: "en".to_owned(), zone: Tz::Europe__Paris, display_name: None };
    assert_eq!(home.accounts.preferences(&guest, Some(&other)).await.unwrap(), configured);

    let id = home.accounts.find(&bob).await.unwrap().unwrap().id;
    let mut odd = Settings::default();
    odd.set("core", "language", json!(7));
    odd.set("core", "datetime", json!({"timeZone": "Nowhere/At_All"}));
    home.store.put_settings(id, &odd).await.unwrap();
    let unusable = home.accounts.preferences(&bob, None).await.unwrap();
    assert_eq!((unusable.language.as_str(), unusable.zone), ("en", Tz::Europe__Paris));
}
