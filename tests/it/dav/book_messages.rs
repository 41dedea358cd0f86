//! What is published of cards and address books (messaging §1.10, §1.11), as the reference's captured messages have it.

use serde_json::{Value, json};

use super::{ALICE, World, payload, root};

const CARD: &str = "BEGIN:VCARD\r\nVERSION:3.0\r\nUID:c1\r\nFN:Carol\r\nN:Carol;;;;\r\nEND:VCARD\r\n";

fn path(book: &str, name: &str) -> String {
    format!("/addressbooks/{ALICE}/{book}/{name}")
}

fn card(book: &str, name: &str, text: &str) -> Value {
    json!({
        "path": format!("addressbooks/{ALICE}/{book}/{name}"),
        "owner": format!("principals/users/{ALICE}"),
        "carddata": text,
        "connectedUser": format!("principals/users/{ALICE}"),
    })
}

/// Topics and payloads of what was published since the last call.
async fn told(world: &World) -> Vec<(&'static str, Value)> {
    let messages = world.published().await;
    messages.iter().map(|m| (m.topic.name(), payload(m).clone())).collect()
}

#[tokio::test]
async fn the_life_of_a_card_is_told() {
    let world = World::new().await;
    let client = world.alice();
    client.put(&path("contacts", "c1.vcf"), CARD).await.expect(201);
    let messages = world.published().await;
    assert_eq!(messages.len(), 1);
    assert_eq!(messages[0].topic.name(), "sabre:contact:created");
    assert_eq!(messages[0].key, path("contacts", "c1.vcf"), "the same as of messages from a broker");
    assert_eq!(*payload(&messages[0]), card("contacts", "c1.vcf", CARD));
    assert_eq!(messages[0].topic.key_of(payload(&messages[0])), Some(messages[0].key.clone()));
    let better = CARD.replace("FN:Carol", "FN:Carol B");
    client.put(&path("contacts", "c1.vcf"), &better).await.expect(204);
    assert_eq!(told(&world).await, [("sabre:contact:updated", card("contacts", "c1.vcf", &better))]);
    client.delete(&path("contacts", "c1.vcf")).await.expect(204);
    assert_eq!(told(&world).await, [("sabre:contact:deleted", card("contacts", "c1.vcf", &better))]);
}

#[tokio::test]
async fn what_is_stored_is_told_not_what_was_sent() {
    let world = World::new().await;
    let client = world.alice();
    client.put(&path("contacts", "m.vcf"), "BEGIN:VCARD\r\nN:B;Carol;;;\r\nEND:VCARD\r\n").await.expect(201);
    let stored = client.get(&path("contacts", "m.vcf")).await.body;
    assert_eq!(told(&world).await, [("sabre:contact:created", card("contacts", "m.vcf", &stored))]);
}

#[tokio::test]
async fn what_was_refused_is_not_told() {
    let world = World::new().await;
    let client = world.alice();
    client.put(&path("contacts", "c1.vcf"), CARD).await.expect(201);
    told(&world).await;
    let stale = [("if-match", "\"stale\"")];
    client.send("PUT", &path("contacts", "c1.vcf"), &stale, CARD).await.expect(412);
    client.send("DELETE", &path("contacts", "c1.vcf"), &stale, "").await.expect(412);
    let other = CARD.replace("UID:c1", "UID:c2");
    client.put(&path("contacts", "c1.vcf"), &other).await.expect(403);
    client.put(&path("contacts", "c3.vcf"), "garbage").await.expect(415);
    assert_eq!(told(&world).await, []);
}

#[tokio::test]
async fn copies_and_moves_are_told() {
    let world = World::new().await;
    let client = world.alice();
    client.put(&path("contacts", "c1.vcf"), CARD).await.expect(201);
    told(&world).await;
    let to = path("collected", "c 1.vcf").replace(' ', "%20");
    client.send("COPY", &path("contacts", "c1.vcf"), &[("destination", &to)], "").await.expect(201);
    assert_eq!(told(&world).await, [("sabre:contact:created", card("collected", "c 1.vcf", CARD))], "not encoded");
    client.send("MOVE", &path("contacts", "c1.vcf"), &[("destination", &to)], "").await.expect(204);
    assert_eq!(
        told(&world).await,
        [
            ("sabre:contact:deleted", card("collected", "c 1.vcf", CARD)),
            ("sabre:contact:deleted", card("contacts", "c1.vcf", CARD)),
            ("sabre:contact:created", card("collected", "c 1.vcf", CARD)),
        ]
    );
}

#[tokio::test]
async fn the_life_of_a_book_is_told() {
    let world = World::new().await;
    let client = world.alice();
    let set = |name: &str| {
        format!(
            "{}<d:set><d:prop><d:resourcetype><d:collection/><card:addressbook/></d:resourcetype></d:prop></d:set></{name}>",
            root(name)
        )
    };
    client.send("MKCOL", &path("work", ""), &[], &set("d:mkcol")).await.expect(201);
    let (book, me) = (format!("addressbooks/{ALICE}/work"), format!("principals/users/{ALICE}"));
    let whole = json!({ "path": book, "owner": me, "connectedUser": me });
    assert_eq!(told(&world).await, [("sabre:addressbook:created", whole.clone())]);
    let rename = format!(
        "{}<d:set><d:prop><d:displayname>Work</d:displayname></d:prop></d:set></d:propertyupdate>",
        root("d:propertyupdate")
    );
    client.send("PROPPATCH", &path("work", ""), &[], &rename).await.expect(207);
    assert_eq!(
        told(&world).await,
        [("sabre:addressbook:updated", json!({ "path": book, "connectedUser": me }))],
        "whose it is is not said"
    );
    client.put(&path("work", "c1.vcf"), CARD).await.expect(201);
    told(&world).await;
    client.delete(&path("work", "")).await.expect(204);
    assert_eq!(
        told(&world).await,
        [("sabre:contact:deleted", card("work", "c1.vcf", CARD)), ("sabre:addressbook:deleted", whole)],
        "what was in it goes first, so that nobody keeps it"
    );
}
