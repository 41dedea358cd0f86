//! The address book of a domain's people (dav §5, §13.3, §18.23).

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use convoke::clock::{Clock, CountingEntropy, Env, ManualClock};
use convoke::dav::Actor;
use convoke::dav::server::{Server, Settings};
use convoke::store::mongo::MongoDav;
use convoke::store::{DirectoryStore as _, Domain, User};
use mongodb::bson::{Document, doc};
use serde_json::json;

use super::{ALICE, BOB, CAROL, Client, DOMAIN, EVE, OTHER_DOMAIN, World, payload, root};
use crate::mongo_support::{REPLICA_SET, STANDALONE, TestMongo};

/// A clock that a test moves.
#[derive(Clone)]
struct Moved(Arc<ManualClock>);

impl Clock for Moved {
    fn now(&self) -> DateTime<Utc> {
        self.0.now()
    }
}

/// A world whose server looks at a clock of the test's.
async fn world() -> (World, Arc<ManualClock>) {
    let mut world = World::new().await;
    let clock = Arc::new(ManualClock::at("2026-11-21T06:20:15Z".parse().unwrap()));
    let env = Env::new(Moved(clock.clone()), CountingEntropy::default());
    let store = Arc::new(world.sqlite.clone());
    world.upstream = Server::new(store.clone(), store, env, Settings::default()).into_upstream();
    (world, clock)
}

fn home() -> String {
    format!("/addressbooks/{DOMAIN}/")
}

fn book() -> String {
    format!("{}domain-members/", home())
}

fn card(user: &str) -> String {
    format!("{}{user}.vcf", book())
}

fn person(id: &str, email: &str, first: &str, last: &str) -> User {
    User {
        id: id.parse().unwrap(),
        domain: DOMAIN.parse().unwrap(),
        emails: vec![email.parse().unwrap()],
        firstname: first.to_owned(),
        lastname: last.to_owned(),
    }
}

/// What changed since a token, as names and statuses, and the new token.
async fn changes(client: &Client<'_>, token: &str) -> (Vec<String>, String) {
    let body =
        format!("<d:sync-token>{token}</d:sync-token><d:sync-level>1</d:sync-level><d:prop><d:getetag/></d:prop>");
    let answer = client.report(&book(), "d:sync-collection", &body).await.responses();
    let (responses, token) = answer.split_once("<d:sync-token>").unwrap();
    let one = |response: &str| {
        let href = response.split("</d:href>").next().unwrap();
        let sign = if response.contains("404 Not Found") { "-" } else { "+" };
        format!("{sign}{}", href.strip_prefix(&book()).unwrap())
    };
    let changes = responses.split("<d:response><d:href>").skip(1).map(one).collect();
    (changes, token.strip_suffix("</d:sync-token>").unwrap().to_owned())
}

#[tokio::test]
async fn everybody_finds_the_people_of_their_domain_and_nobody_else() {
    let world = World::new().await;
    let alice = world.alice();
    let homes = alice.propfind("/addressbooks/", "1", "<d:resourcetype/>").await.hrefs();
    assert_eq!(homes, ["/addressbooks/".to_owned(), format!("/addressbooks/{ALICE}/"), home()]);
    assert_eq!(alice.propfind(&home(), "1", "<d:resourcetype/>").await.hrefs(), [home(), book()]);
    let people = alice.propfind(&book(), "1", "<d:getetag/>").await.hrefs();
    assert_eq!(people, [book(), card(ALICE), card(BOB), card(CAROL)]);
    assert_eq!(
        world.bob().get(&card(ALICE)).await.expect(200).body,
        format!(
            "BEGIN:VCARD\r\nVERSION:4.0\r\nUID:{ALICE}\r\nFN:Alice Martin\r\nN:Martin;Alice;;;\r\n\
             EMAIL;PREF=1:alice@example.org\r\nEMAIL:a.martin@example.org\r\nEND:VCARD\r\n"
        )
    );
    alice.get(&card(EVE)).await.expect(404);
    // One's own home holds what it always did (dav §18.20).
    let own = alice.propfind(&format!("/addressbooks/{ALICE}/"), "1", "<d:resourcetype/>").await.hrefs();
    assert_eq!(own.len(), 3, "{own:?}");
}

#[tokio::test]
async fn the_book_says_what_it_is_and_that_it_is_read_only() {
    let world = World::new().await;
    let props = "<d:displayname/><d:resourcetype/><d:owner/><d:group/><d:acl/><d:current-user-privilege-set/>";
    let answer = world.alice().propfind(&book(), "0", props).await.responses();
    let domain = format!("<d:href>/principals/domains/{DOMAIN}/</d:href>");
    assert_eq!(
        answer,
        format!(
            "<d:response><d:href>{}</d:href><d:propstat><d:prop><d:displayname>Domain Members</d:displayname>\
             <d:resourcetype><d:collection/><card:addressbook/></d:resourcetype><d:owner>{domain}</d:owner>\
             <d:group>{domain}</d:group><d:acl><d:ace><d:principal>{domain}</d:principal><d:grant><d:privilege>\
             <d:read/></d:privilege></d:grant><d:protected/></d:ace></d:acl><d:current-user-privilege-set>\
             <d:privilege><d:read/></d:privilege><d:privilege><d:read-acl/></d:privilege>\
             <d:privilege><d:read-current-user-privilege-set/></d:privilege></d:current-user-privilege-set></d:prop>\
             <d:status>HTTP/1.1 200 OK</d:status></d:propstat></d:response>",
            book()
        )
    );
    let privileges = "<d:prop><d:current-user-privilege-set/></d:prop><card:filter/>";
    let answer = world.alice().report(&book(), "card:addressbook-query", privileges).await.responses();
    assert!(answer.contains("<d:read/>") && !answer.contains("<d:write"), "{answer}");
}

#[tokio::test]
async fn clients_are_led_to_the_book_and_to_their_own_card() {
    let world = World::new().await;
    let principal = format!("/principals/users/{ALICE}/");
    let props = "<card:addressbook-home-set/><card:principal-address/>";
    let answer = world.alice().propfind(&principal, "0", props).await.responses();
    let homes = format!(
        "<card:addressbook-home-set><d:href>/addressbooks/{ALICE}/</d:href><d:href>{}</d:href></card:addressbook-home-set>",
        home()
    );
    let address = format!("<card:principal-address><d:href>{}</d:href></card:principal-address>", card(ALICE));
    assert!(answer.contains(&homes) && answer.contains(&address), "{answer}");
    world.alice().get(&card(ALICE)).await.expect(200);
}

#[tokio::test]
async fn reports_work_on_it_as_on_any_book() {
    let world = World::new().await;
    let alice = world.alice();
    let by_mail = "<d:prop><d:getetag/></d:prop><card:filter><card:prop-filter name=\"EMAIL\">\
                   <card:text-match match-type=\"starts-with\">BOB@</card:text-match></card:prop-filter></card:filter>";
    assert_eq!(alice.report(&book(), "card:addressbook-query", by_mail).await.hrefs(), [card(BOB)]);
    let wanted =
        format!("<d:prop><card:address-data/></d:prop><d:href>{}</d:href><d:href>{}</d:href>", card(BOB), card(EVE));
    let answer = alice.report(&book(), "card:addressbook-multiget", &wanted).await.responses();
    assert!(answer.contains("VERSION:3.0") && answer.contains("FN:Bob Durand"), "{answer}");
    assert!(answer.contains(&format!("<d:href>{}</d:href><d:status>HTTP/1.1 404 Not Found", card(EVE))), "{answer}");
    let file = alice.send("GET", &format!("{}?export", book()), &[], "").await.expect(200);
    assert_eq!(file.body.matches("BEGIN:VCARD").count(), 3);
    let four = alice.send("GET", &card(BOB), &[("accept", "text/vcard; version=3.0")], "").await.expect(200);
    assert!(four.body.contains("VERSION:3.0"), "{}", four.body);
}

#[tokio::test]
async fn who_comes_changes_and_goes_is_told_to_clients_that_synchronise() {
    let (world, clock) = world().await;
    let alice = world.alice();
    let (all, token) = changes(&alice, "").await;
    assert_eq!(all, [ALICE, BOB, CAROL].map(|id| format!("+{id}.vcf")));
    let dave = "65aa00000000000000000004";
    world.sqlite.add_user(&person(dave, "dave@example.org", "Dave", "")).await.unwrap();
    world.sqlite.remove_user(BOB.parse().unwrap()).await.unwrap();
    world.sqlite.update_user(&person(CAROL, "carol@example.org", "Carol", "Petit")).await.unwrap();
    assert_eq!(changes(&alice, &token).await, (Vec::new(), token.clone()), "it was looked at a moment ago");
    clock.advance(TimeDelta::seconds(10));
    let (mut changed, next) = changes(&alice, &token).await;
    changed.sort();
    assert_eq!(changed, [format!("+{CAROL}.vcf"), format!("+{dave}.vcf"), format!("-{BOB}.vcf")]);
    assert!(alice.get(&card(CAROL)).await.expect(200).body.contains("FN:Carol Petit\r\n"));
    clock.advance(TimeDelta::seconds(10));
    assert_eq!(changes(&alice, &next).await, (Vec::new(), next), "nothing is written that is there already");
}

#[tokio::test]
async fn the_last_person_can_go_and_many_can_come() {
    let (world, clock) = world().await;
    let alice = world.alice();
    for n in 0..450 {
        let user = person(&format!("65ab{n:020x}"), &format!("p{n}@example.org"), "P", &n.to_string());
        world.sqlite.add_user(&user).await.unwrap();
    }
    assert_eq!(alice.propfind(&book(), "1", "<d:getetag/>").await.hrefs().len(), 454);
    for n in 100..450 {
        world.sqlite.remove_user(format!("65ab{n:020x}").parse().unwrap()).await.unwrap();
    }
    clock.advance(TimeDelta::seconds(10));
    assert_eq!(alice.propfind(&book(), "1", "<d:getetag/>").await.hrefs().len(), 104);
}

#[tokio::test]
async fn nobody_writes_to_it() {
    let world = World::new().await;
    let mut program = world.alice();
    program.actor = Some(Actor::Technical(DOMAIN.parse().unwrap()));
    for client in [world.alice(), program] {
        client.get(&card(BOB)).await.expect(200);
        let text = "BEGIN:VCARD\r\nVERSION:4.0\r\nUID:x\r\nFN:X\r\nEND:VCARD\r\n";
        for path in [card(BOB), format!("{}x.vcf", book())] {
            let refused = client.send("PUT", &path, &[], text).await.expect(403);
            assert!(refused.body.contains("<d:need-privileges>"), "{}", refused.body);
        }
        client.delete(&card(BOB)).await.expect(403);
        client.delete(&book()).await.expect(403);
        client.delete(&home()).await.expect(403);
        let own = format!("/addressbooks/{ALICE}/contacts/bob.vcf");
        client.send("MOVE", &card(BOB), &[("destination", &own)], "").await.expect(403);
        let make = format!(
            "{}<d:set><d:prop><d:resourcetype><d:collection/><card:addressbook/></d:resourcetype></d:prop></d:set></d:mkcol>",
            root("d:mkcol")
        );
        client.send("MKCOL", &format!("{}dab/", home()), &[], &make).await.expect(403);
        let rename = format!(
            "{}<d:set><d:prop><d:displayname>Ours</d:displayname></d:prop></d:set></d:propertyupdate>",
            root("d:propertyupdate")
        );
        let answer = client.send("PROPPATCH", &book(), &[], &rename).await.responses();
        assert!(answer.contains("HTTP/1.1 403 Forbidden"), "{answer}");
    }
    // What one may read, one may keep.
    let own = format!("/addressbooks/{ALICE}/contacts/bob.vcf");
    world.alice().send("COPY", &card(BOB), &[("destination", &own)], "").await.expect(201);
    world.alice().send("COPY", &own, &[("destination", &format!("{}new.vcf", book()))], "").await.expect(403);
    assert_eq!(world.alice().propfind(&book(), "1", "<d:getetag/>").await.hrefs().len(), 4);
}

#[tokio::test]
async fn other_domains_and_other_places_have_none() {
    let world = World::new().await;
    let eve = world.as_user("eve@other.example");
    for path in [home(), book(), card(ALICE)] {
        let refused = eve.propfind(&path, "0", "").await;
        assert!(matches!(refused.status.as_u16(), 403 | 404), "{path}: {}", refused.status);
    }
    let theirs = format!("/addressbooks/{OTHER_DOMAIN}/domain-members/");
    assert_eq!(eve.propfind(&theirs, "1", "").await.hrefs(), [theirs.clone(), format!("{theirs}{EVE}.vcf")]);
    let alice = world.alice();
    alice.propfind(&format!("/calendars/{DOMAIN}/"), "0", "").await.expect(404);
    alice.propfind(&format!("{}contacts/", home()), "0", "").await.expect(403);
    alice.propfind(&format!("/addressbooks/{ALICE}/domain-members/"), "0", "").await.expect(404);
    alice.propfind(&format!("/addressbooks/{BOB}/domain-members/"), "0", "").await.expect(404);
}

#[tokio::test]
async fn it_can_be_switched_off() {
    let world = World::with(Settings { members_book: false, ..Settings::default() }).await;
    let alice = world.alice();
    assert_eq!(alice.propfind("/addressbooks/", "1", "<d:resourcetype/>").await.hrefs().len(), 2);
    alice.propfind(&book(), "0", "").await.expect(404);
    let props = "<card:addressbook-home-set/><card:principal-address/>";
    let answer = alice.propfind(&format!("/principals/users/{ALICE}/"), "0", props).await.responses();
    assert!(!answer.contains(DOMAIN) && answer.contains("404 Not Found"), "{answer}");
}

#[tokio::test]
async fn its_changes_are_published_once_in_the_name_of_the_domain() {
    let (world, clock) = world().await;
    let alice = world.alice();
    alice.propfind(&book(), "0", "").await.expect(207);
    alice.propfind(&book(), "0", "").await.expect(207);
    let told = world.published().await;
    let topics: Vec<_> = told.iter().map(|m| m.topic.name()).collect();
    let created = "sabre:contact:created";
    assert_eq!(topics, ["sabre:addressbook:created", created, created, created]);
    let (path, owner) = (format!("addressbooks/{DOMAIN}/domain-members"), format!("principals/domains/{DOMAIN}"));
    let by = "principals/technicalUser";
    assert_eq!(*payload(&told[0]), json!({ "path": path, "owner": owner, "connectedUser": by }));
    let carddata = alice.get(&card(BOB)).await.body;
    let path = format!("{path}/{BOB}.vcf");
    let bob = json!({ "path": path, "owner": owner, "carddata": carddata, "connectedUser": by });
    assert_eq!(*payload(&told[2]), bob);
    assert_eq!(told[2].key, card(BOB));
    world.sqlite.remove_user(BOB.parse().unwrap()).await.unwrap();
    clock.advance(TimeDelta::seconds(10));
    alice.propfind(&book(), "0", "").await.expect(207);
    let told = world.published().await;
    assert_eq!(told.len(), 1);
    assert_eq!((told[0].topic.name(), payload(&told[0])), ("sabre:contact:deleted", &bob));
}

/// The book is in the row where esn-sabre looks for it, which may have put cards of its own there.
#[tokio::test]
async fn on_mongodb_it_is_the_domain_s_and_leaves_the_cards_of_others_alone() {
    for variable in [REPLICA_SET, STANDALONE] {
        let Some(databases) = TestMongo::on(variable) else { return };
        let mongo = databases.connect().await;
        let domain = Domain { id: DOMAIN.parse().unwrap(), name: "example.org".parse().unwrap() };
        mongo.add_domain(&domain).await.unwrap();
        mongo.add_user(&person(ALICE, "alice@example.org", "Alice", "Martin")).await.unwrap();
        let store = Arc::new(MongoDav::open(mongo.clone()).await.unwrap());
        let clock = Arc::new(ManualClock::at("2026-11-21T06:20:15Z".parse().unwrap()));
        let env = Env::new(Moved(clock.clone()), CountingEntropy::default());
        let mut world = World::new().await;
        world.upstream = Server::new(store, Arc::new(mongo.clone()), env, Settings::default()).into_upstream();
        let alice = world.alice();
        assert_eq!(alice.propfind(&book(), "1", "<d:getetag/>").await.hrefs(), [book(), card(ALICE)]);
        let books = mongo.dav().collection::<Document>("addressbooks");
        let row = books.find_one(doc! { "uri": "domain-members" }).await.unwrap().unwrap();
        assert_eq!(row.get_str("principaluri").unwrap(), format!("principals/domains/{DOMAIN}"));
        let text = "BEGIN:VCARD\r\nVERSION:4.0\r\nUID:ldap-7\r\nFN:Grace\r\nEND:VCARD\r\n";
        let theirs = doc! {
            "addressbookid": row.get_object_id("_id").unwrap(), "uri": "ldap-7.vcf", "carddata": text,
            "lastmodified": 1, "size": i32::try_from(text.len()).unwrap(), "etag": "\"0123456789abcdef0123456789abcdef\"",
        };
        mongo.dav().collection::<Document>("cards").insert_one(theirs).await.unwrap();
        mongo.add_user(&person(BOB, "bob@example.org", "Bob", "Durand")).await.unwrap();
        mongo.remove_user(ALICE.parse().unwrap()).await.unwrap();
        clock.advance(TimeDelta::seconds(10));
        let bob = world.bob();
        let listed = bob.propfind(&book(), "1", "<d:getetag/>").await.hrefs();
        assert_eq!(listed, [book(), card(BOB), format!("{}ldap-7.vcf", book())]);
    }
}
