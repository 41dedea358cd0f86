//! Address books by JSON (dav §13).

use serde_json::{Value, json};

use super::json_calendars::{ask, told};
use super::{ALICE, BOB, World};

fn home() -> String {
    format!("/addressbooks/{ALICE}.json")
}

fn book() -> String {
    format!("/addressbooks/{ALICE}/contacts.json")
}

async fn with_cards(world: &World, names: &[&str]) {
    for (n, name) in names.iter().enumerate() {
        let card = format!("BEGIN:VCARD\r\nVERSION:3.0\r\nUID:c{n}\r\nFN:{name}\r\nN:{name};;;;\r\nEND:VCARD\r\n");
        world.alice().put(&format!("/addressbooks/{ALICE}/contacts/c{n}.vcf"), &card).await.expect(201);
    }
}

fn names(answer: &Value) -> Vec<String> {
    let items = answer["_embedded"]["dav:item"].as_array().unwrap();
    let name = |item: &Value| {
        let properties = item["data"][1].as_array().unwrap();
        properties.iter().find(|p| p[0] == "fn").unwrap()[3].as_str().unwrap().to_owned()
    };
    items.iter().map(name).collect()
}

#[tokio::test]
async fn cards_come_in_pages_in_order_and_by_word() {
    let world = World::new().await;
    let alice = world.alice();
    let empty = told(&alice, "GET", &book(), Value::Null, 200).await;
    assert_eq!((&empty["dav:syncToken"], &empty["_embedded"]["dav:item"]), (&json!(1), &json!([])));
    with_cards(&world, &["bob", "Zoé", "alice", "42", "Carol"]).await;
    let sorted = ["42", "alice", "bob", "Carol", "Zoé"];
    let all = told(&alice, "GET", &format!("{}?sort=fn", book()), Value::Null, 200).await;
    assert_eq!(names(&all), sorted);
    assert_eq!((&all["dav:syncToken"], all["_links"].get("next")), (&json!(6), None));
    let mut path = format!("{}?limit=2&offset=0&sort=fn", book());
    let mut seen = Vec::new();
    loop {
        let page = told(&alice, "GET", &path, Value::Null, 200).await;
        seen.push(names(&page).len());
        let Some(next) = page["_links"].get("next") else { break };
        path = next["href"].as_str().unwrap().to_owned();
    }
    assert_eq!(
        (seen.as_slice(), path.as_str()),
        ([2, 2, 1].as_slice(), &*format!("{}?limit=2&offset=4&sort=fn", book()))
    );
    for (search, found) in [("CAROL", vec!["Carol"]), ("vcard", vec![]), ("zo%C3%A9", vec!["Zoé"]), ("nobody", vec![])]
    {
        let answer =
            told(&alice, "GET", &format!("/addressbooks/{ALICE}.json/contacts?search={search}"), Value::Null, 200)
                .await;
        assert_eq!(names(&answer), found, "{search}");
    }
    for (before, count) in [("1", 0), ("4000000000", 5)] {
        let answer = told(&alice, "GET", &format!("{}?modifiedBefore={before}", book()), Value::Null, 200).await;
        assert_eq!(names(&answer).len(), count);
    }
    assert_eq!(names(&told(&alice, "GET", &format!("{}?offset=9", book()), Value::Null, 200).await).len(), 0);
    ask(&alice, "GET", &format!("{}?limit=many", book()), "").await.expect(400);
    ask(&world.bob(), "GET", &book(), "").await.expect(403);
}

#[tokio::test]
async fn a_book_is_made_shared_published_and_subscribed_to() {
    let world = World::new().await;
    let (alice, bob) = (world.alice(), world.bob());
    let body = json!({"id": "work", "dav:name": "Work", "carddav:description": "d", "dav:acl": ["dav:read", "dav:write"], "type": "user"});
    ask(&alice, "POST", &home(), &body.to_string()).await.expect(201);
    ask(&alice, "POST", &home(), &body.to_string()).await.expect(405);
    let work = format!("/addressbooks/{ALICE}/work.json");
    assert_eq!(told(&alice, "GET", &home(), Value::Null, 200).await["_embedded"]["dav:addressbook"], json!([]));
    let list = told(&alice, "GET", &format!("{}?personal=true&contactsCount=true", home()), Value::Null, 200).await;
    let books = list["_embedded"]["dav:addressbook"].as_array().unwrap();
    assert_eq!(books.len(), 3);
    let made = books.iter().find(|book| book["dav:name"] == "Work").unwrap();
    let owner = format!("principals/users/{ALICE}");
    let expected = json!({"_links": {"self": {"href": work}}, "dav:name": "Work", "carddav:description": "d",
        "dav:acl": ["dav:read", "dav:write"], "dav:share-access": 1, "openpaas:subscription-type": null, "type": "user",
        "state": "", "numberOfContacts": 0, "acl": [{"privilege": "{DAV:}all", "principal": owner, "protected": true}],
        "dav:group": null});
    assert_eq!(made, &expected);
    let share = |access: u8| {
        json!({"dav:share-resource": {"dav:sharee": [{"dav:href": "mailto:bob@example.org", "dav:share-access": access}]}}).to_string()
    };
    ask(&bob, "POST", &work, &share(3)).await.expect(403);
    ask(&alice, "POST", &work, &share(3)).await.expect(204);
    let bobs = format!("/addressbooks/{BOB}.json");
    let list =
        told(&bob, "GET", &format!("{bobs}?shared=true&inviteStatus=2&shareOwner={ALICE}"), Value::Null, 200).await;
    let given = &list["_embedded"]["dav:addressbook"][0];
    assert_eq!((&given["dav:share-access"], &given["openpaas:subscription-type"]), (&json!(3), &json!("delegation")));
    assert_eq!((&given["openpaas:source"], &given["type"]), (&json!(work), &json!("user")));
    let none = told(&bob, "GET", &format!("{bobs}?shared=true&inviteStatus=1"), Value::Null, 200).await;
    assert_eq!(none["_embedded"]["dav:addressbook"], json!([]));
    ask(&alice, "POST", &work, &share(4)).await.expect(204);
    let subscription =
        json!({"id": "sub", "dav:name": "Hers", "openpaas:source": {"_links": {"self": {"href": work}}}}).to_string();
    ask(&bob, "POST", &bobs, &subscription).await.expect(403);
    ask(&alice, "POST", &work, "{\"dav:publish-addressbook\":{\"privilege\":\"{DAV:}all\"}}").await.expect(400);
    ask(&bob, "POST", &work, "{\"dav:publish-addressbook\":{\"privilege\":\"{DAV:}read\"}}").await.expect(403);
    ask(&alice, "POST", &work, "{\"dav:publish-addressbook\":{\"privilege\":\"{DAV:}read\"}}").await.expect(204);
    ask(&bob, "POST", &bobs, &subscription).await.expect(201);
    let list = told(&bob, "GET", &format!("{bobs}?subscribed=true"), Value::Null, 200).await;
    let subscribed = &list["_embedded"]["dav:addressbook"][0];
    assert_eq!(
        (&subscribed["dav:acl"], &subscribed["type"], &subscribed["dav:share-access"]),
        (&json!(["dav:read"]), &json!(null), &json!(null))
    );
    ask(&alice, "POST", &work, "{\"dav:unpublish-addressbook\":true}").await.expect(204);
    let list = told(&bob, "GET", &format!("{bobs}?subscribed=true"), Value::Null, 200).await;
    assert_eq!(list["_embedded"]["dav:addressbook"], json!([]));
}

#[tokio::test]
async fn the_two_books_of_everybody_stay_as_they_are() {
    let world = World::new().await;
    let alice = world.alice();
    let answer = ask(&alice, "PROPPATCH", &book(), "{\"dav:name\":\"X\"}").await.expect(403);
    assert_eq!(answer.body, r#"{"status":403,"message":"Forbidden: You can not update contacts address book"}"#);
    ask(&alice, "DELETE", &book(), "").await.expect(403);
    let asked = json!({"properties": ["{DAV:}displayname", "acl", "{DAV:}share-access", "uri", "{DAV:}acl", "{DAV:}group", "nonsense"]});
    let told = told(&alice, "PROPFIND", &book(), asked, 200).await;
    let me = format!("principals/users/{ALICE}");
    assert_eq!(
        told,
        json!({"{DAV:}displayname": "", "uri": "contacts", "{DAV:}acl": ["dav:read", "dav:write"],
        "{DAV:}share-access": 1, "acl": [{"privilege": "{DAV:}all", "principal": me, "protected": true}]})
    );
}

#[tokio::test]
async fn changes_of_a_book_are_told_by_token() {
    let world = World::new().await;
    with_cards(&world, &["bob"]).await;
    let report = told(&world.alice(), "REPORT", &book(), json!({"sync-token": "1"}), 207).await;
    assert_eq!(report["sync-token"], json!("http://sabre.io/ns/sync/2"));
    assert_eq!(report["_embedded"]["dav:item"][0]["status"], json!(200));
    world.alice().delete(&format!("/addressbooks/{ALICE}/contacts/c0.vcf")).await.expect(204);
    let report = told(&world.alice(), "REPORT", &book(), json!({"sync-token": "http://sabre.io/ns/sync/2"}), 207).await;
    assert_eq!(report["_embedded"]["dav:item"][0]["status"], json!(404));
}

#[tokio::test]
async fn the_people_of_a_domain_are_a_book_of_their_domain() {
    let world = World::new().await;
    let domain = "65dd00000000000000000001";
    let path = format!("/addressbooks/{domain}.json?personal=true&contactsCount=true");
    let list = told(&world.bob(), "GET", &path, Value::Null, 200).await;
    let members = &list["_embedded"]["dav:addressbook"][0];
    assert_eq!((&members["type"], &members["dav:acl"]), (&json!("group"), &json!(["{DAV:}read"])));
    assert_eq!(
        (&members["numberOfContacts"], &members["dav:group"]),
        (&json!(3), &json!(format!("principals/domains/{domain}")))
    );
    let share = json!({"dav:publish-addressbook": {"privilege": "{DAV:}read"}}).to_string();
    ask(&world.bob(), "POST", &format!("/addressbooks/{domain}/domain-members.json"), &share).await.expect(405);
    ask(&world.as_user("eve@other.example"), "GET", &path, "").await.expect(404);
}
