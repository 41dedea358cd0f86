//! Cards in the notation that a client wants, and cards that are refused or mended (RFC 6352 §5.1, §6.3.2.1).

use convoke::dav::server::Settings;
use serde_json::{Value, json};

use super::{ALICE, Answer, Client, World};

const THREE: &str = "BEGIN:VCARD\r\nVERSION:3.0\r\nUID:three\r\nFN:Carol\r\nN:B;Carol;;;\r\nEMAIL;TYPE=work,pref:carol@example.org\r\n\
                     PHOTO;ENCODING=b;TYPE=PNG:iVBORw0K\r\nBDAY:1985-04-12\r\nX-GENDER:F\r\nEND:VCARD\r\n";
const FOUR: &str =
    "BEGIN:VCARD\r\nVERSION:4.0\r\nUID:four\r\nFN:Zoé\r\nBDAY:--0412\r\nGENDER:F\r\nKIND:individual\r\nEND:VCARD\r\n";
const FOUR_AS_THREE: &str = "BEGIN:VCARD\r\nVERSION:3.0\r\nUID:four\r\nFN:Zoé\r\nN:;;;;\r\nBDAY;X-APPLE-OMIT-YEAR=1604:1604-04-12\r\n\
                             X-GENDER:F\r\nX-ADDRESSBOOKSERVER-KIND:individual\r\nEND:VCARD\r\n";
const THREE_AS_FOUR: &str = "BEGIN:VCARD\r\nVERSION:4.0\r\nUID:three\r\nFN:Carol\r\nN:B;Carol;;;\r\nEMAIL;TYPE=work;PREF=1:carol@example.org\r\n\
                             PHOTO:data:image/png;base64,iVBORw0K\r\nBDAY:19850412\r\nGENDER:F\r\nEND:VCARD\r\n";

fn path(name: &str) -> String {
    format!("/addressbooks/{ALICE}/contacts/{name}")
}

async fn put(client: &Client<'_>, name: &str, card: &str) -> Answer {
    client.send("PUT", &path(name), &[("content-type", "text/vcard")], card).await
}

async fn with_both(world: &World) -> Client<'_> {
    let client = world.alice();
    put(&client, "three.vcf", THREE).await.expect(201);
    put(&client, "four.vcf", FOUR).await.expect(201);
    client
}

#[tokio::test]
async fn a_card_is_answered_as_it_was_stored_unless_asked_otherwise() {
    let world = World::new().await;
    let client = with_both(&world).await;
    for accept in [
        "*/*",
        "text/vcard",
        "text/*;q=0.5",
        "text/vcard, application/vcard+json",
        "text/html",
        "application/json, text/plain, */*",
    ] {
        for (name, card) in [("three.vcf", THREE), ("four.vcf", FOUR)] {
            let got = client.send("GET", &path(name), &[("accept", accept)], "").await.expect(200);
            assert_eq!(
                (got.body.as_str(), got.header("content-type")),
                (card, Some("text/vcard; charset=utf-8")),
                "{accept}"
            );
            assert_eq!(got.header("vary"), Some("Accept"));
        }
    }
}

#[tokio::test]
async fn accept_chooses_the_version() {
    let world = World::new().await;
    let client = with_both(&world).await;
    let get = async |name: &str, accept: &str| client.send("GET", &path(name), &[("accept", accept)], "").await;
    let stored = client.get(&path("four.vcf")).await;
    let got = get("four.vcf", "text/vcard; version=3.0").await.expect(200);
    assert_eq!(
        (got.body.as_str(), got.header("content-type")),
        (FOUR_AS_THREE, Some("text/vcard; charset=utf-8; version=3.0"))
    );
    assert_eq!(got.header("etag"), stored.header("etag"), "the state that the next PUT replaces");
    assert_eq!(get("three.vcf", "text/vcard; version=\"4.0\", text/vcard;q=0.5").await.expect(200).body, THREE_AS_FOUR);
    assert_eq!(get("three.vcf", "text/vcard; version=3.0").await.expect(200).body, THREE);
    let head = client.send("HEAD", &path("four.vcf"), &[("accept", "text/vcard; version=3.0")], "").await.expect(200);
    assert_eq!(head.header("content-length"), Some(FOUR_AS_THREE.len().to_string().as_str()));
    let refused = get("three.vcf", "text/vcard; version=2.1").await.expect(406);
    assert!(refused.body.contains("<card:supported-address-data-conversion "), "{}", refused.body);
}

#[tokio::test]
async fn accept_chooses_json() {
    let world = World::new().await;
    let client = with_both(&world).await;
    let got = client.send("GET", &path("three.vcf"), &[("accept", "application/vcard+json")], "").await.expect(200);
    assert_eq!(got.header("content-type"), Some("application/vcard+json; charset=utf-8"));
    let jcard: Value = serde_json::from_str(&got.body).unwrap();
    assert_eq!(
        jcard,
        json!(["vcard", [
            ["version", {}, "text", "4.0"],
            ["prodid", {}, "text", "-//convoke//convoke//EN"],
            ["uid", {}, "text", "three"],
            ["fn", {}, "text", "Carol"],
            ["n", {}, "text", ["B", "Carol", "", "", ""]],
            ["email", {"type": "work", "pref": "1"}, "text", "carol@example.org"],
            ["photo", {}, "uri", "data:image/png;base64,iVBORw0K"],
            ["bday", {}, "date-and-or-time", "1985-04-12"],
            ["gender", {}, "text", "F"]
        ]])
    );
}

#[tokio::test]
async fn reports_answer_in_the_version_asked_for() {
    let world = World::new().await;
    let client = with_both(&world).await;
    let hrefs = format!("<d:href>{}</d:href><d:href>{}</d:href>", path("three.vcf"), path("four.vcf"));
    let multiget = async |attributes: &str| {
        let body = format!("<d:prop><card:address-data {attributes}/></d:prop>{hrefs}");
        client.report(&path(""), "card:addressbook-multiget", &body).await
    };
    let holds = |answer: &str, card: &str| answer.contains(&card.replace('"', "&quot;").replace("\r\n", "&#13;\n"));
    // RFC 6352 §10.4: what is not said is 3.0.
    for attributes in ["", "content-type=\"text/vcard\"", "version=\"3.0\""] {
        let answer = multiget(attributes).await.responses();
        assert!(holds(&answer, THREE) && holds(&answer, FOUR_AS_THREE), "{attributes}: {answer}");
    }
    let answer = multiget("content-type=\"text/vcard\" version=\"4.0\"").await.responses();
    assert!(holds(&answer, THREE_AS_FOUR) && holds(&answer, FOUR), "{answer}");
    let answer = multiget("content-type=\"application/vcard+json\"").await.responses();
    assert!(
        answer.contains("[&quot;vcard&quot;,[[&quot;version&quot;,{},&quot;text&quot;,&quot;4.0&quot;]"),
        "{answer}"
    );
    for attributes in
        ["version=\"2.1\"", "content-type=\"text/html\"", "content-type=\"application/vcard+json\" version=\"3.0\""]
    {
        let refused = multiget(attributes).await.expect(403);
        assert!(refused.body.contains("<card:supported-address-data "), "{attributes}: {}", refused.body);
    }
    let query = "<d:prop><card:address-data version=\"4.0\"><card:prop name=\"GENDER\"/></card:address-data></d:prop>\
                 <card:filter><card:prop-filter name=\"X-GENDER\"/></card:filter>";
    let answer = client.report(&path(""), "card:addressbook-query", query).await.responses();
    assert!(
        holds(&answer, "BEGIN:VCARD\r\nVERSION:4.0\r\nUID:three\r\nFN:Carol\r\nGENDER:F\r\nEND:VCARD\r\n"),
        "{answer}"
    );
    let sync = "<d:sync-token/><d:sync-level>1</d:sync-level><d:prop><card:address-data version=\"4.0\"/></d:prop>";
    let answer = client.report(&path(""), "d:sync-collection", sync).await.responses();
    assert!(holds(&answer, THREE_AS_FOUR) && holds(&answer, FOUR), "{answer}");
}

#[tokio::test]
async fn jcard_becomes_a_card() {
    let world = World::new().await;
    let client = world.alice();
    let sent = json!(["vcard", [
        ["version", {}, "text", "4.0"],
        ["uid", {}, "text", "c2"],
        ["fn", {}, "text", "Zoé"],
        ["n", {}, "text", ["Zoé", "X"]],
        ["email", {"type": "work"}, "text", "zoe@example.org"]
    ], []]);
    // As the reference's web client calls it.
    let created =
        client.send("PUT", &path("c2.vcf"), &[("content-type", "text/plain")], &sent.to_string()).await.expect(201);
    assert_eq!(created.header("etag"), None, "other octets were stored than sent");
    assert_eq!(
        client.get(&path("c2.vcf")).await.body,
        "BEGIN:VCARD\r\nVERSION:4.0\r\nUID:c2\r\nFN:Zoé\r\nN:Zoé;X;;;\r\nEMAIL;TYPE=work:zoe@example.org\r\nEND:VCARD\r\n"
    );
    client.send("PUT", &path("c2.vcf"), &[], &sent.to_string()).await.expect(204);
    for body in ["[", "[1]", "[\"vcard\",[[\"fn\"]]]"] {
        let refused = put(&client, "c3.vcf", body).await.expect(415);
        assert!(refused.body.contains("<card:valid-address-data "), "{}", refused.body);
    }
}

#[tokio::test]
async fn each_precondition_of_a_put_has_its_own_name() {
    let world = World::new().await;
    let client = with_both(&world).await;
    for (card, status, condition) in [
        ("garbage", 415, "valid-address-data"),
        ("BEGIN:VCARD\r\nFN:x\r\n", 415, "valid-address-data"),
        (&format!("{THREE}{FOUR}"), 415, "valid-address-data"),
        ("BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n", 415, "supported-address-data"),
        ("BEGIN:VCARD\r\nVERSION:2.1\r\nUID:1\r\nFN:x\r\nEND:VCARD\r\n", 403, "supported-address-data"),
        ("BEGIN:VCARD\r\nVERSION:3.0\r\nUID:1\r\nUID:2\r\nFN:x\r\nEND:VCARD\r\n", 403, "valid-address-data"),
        ("BEGIN:VCARD\r\nVERSION:3.0\r\nUID:1\r\nNOTE:nobody\r\nEND:VCARD\r\n", 403, "valid-address-data"),
    ] {
        let refused = put(&client, "x.vcf", card).await.expect(status);
        assert!(refused.body.contains(&format!("<card:{condition} ")), "{card}: {}", refused.body);
    }
    client.get(&path("x.vcf")).await.expect(404);
    let conflict = format!(
        "<card:no-uid-conflict xmlns:card=\"urn:ietf:params:xml:ns:carddav\"><d:href>{}</d:href></card:no-uid-conflict>",
        path("three.vcf")
    );
    let other = put(&client, "three.vcf", &THREE.replace("UID:three", "UID:other")).await.expect(403);
    assert!(other.body.contains(&conflict), "{}", other.body);
    let huge = THREE.replace("Carol", &"x".repeat(11 << 20));
    let refused = put(&client, "x.vcf", &huge).await.expect(403);
    assert!(refused.body.contains("<card:max-resource-size "), "{}", refused.body);
    let deep = format!("{}{}", "BEGIN:VCARD\r\n".repeat(100), "END:VCARD\r\n".repeat(100));
    let refused = put(&client, "x.vcf", &deep).await.expect(403);
    assert!(refused.body.contains("<card:max-resource-size "), "{}", refused.body);
}

#[tokio::test]
async fn a_uid_under_another_name_is_taken_or_refused_as_configured() {
    let twice = async |unique_card_uids: bool| {
        let world = World::with(Settings { unique_card_uids, ..Settings::default() }).await;
        let client = with_both(&world).await;
        let put = put(&client, "x.vcf", THREE).await;
        let to = path("y.vcf");
        let copied = client.send("COPY", &path("three.vcf"), &[("destination", &to)], "").await.status;
        let moved = client.send("MOVE", &path("three.vcf"), &[("destination", &path("z.vcf"))], "").await.status;
        client.get(&path("z.vcf")).await.expect(200);
        (put, copied.as_u16(), moved.as_u16())
    };
    // As esn-sabre (dav §18.20).
    let (put, copied, moved) = twice(false).await;
    assert_eq!((put.status.as_u16(), copied, moved), (201, 201, 201));
    // As RFC 6352 §6.3.2.1.
    let (put, copied, moved) = twice(true).await;
    let conflict = format!("<d:href>{}</d:href></card:no-uid-conflict>", path("three.vcf"));
    assert!(put.body.contains(&conflict), "{}", put.body);
    assert_eq!((put.status.as_u16(), copied, moved), (403, 403, 201));
}

#[tokio::test]
async fn what_is_missing_is_mended_and_said() {
    let world = World::new().await;
    let client = world.alice();
    let nameless = "BEGIN:VCARD\r\nN:B;Carol;;;\r\nEND:VCARD\r\n";
    let put_it = async |headers: &[(&str, &str)]| client.send("PUT", &path("m.vcf"), headers, nameless).await;
    let refused = put_it(&[("prefer", "handling=strict")]).await.expect(400);
    assert!(refused.body.contains("Validation error in vCard: The VERSION property"), "{}", refused.body);
    let created = put_it(&[]).await.expect(201);
    assert_eq!(created.header("etag"), None);
    let told = created.header("x-sabre-ew-gross").unwrap();
    assert!(told.starts_with("vCard validation warning: The VERSION property must appear"), "{told}");
    let stored = client.get(&path("m.vcf")).await.body;
    assert!(stored.contains("\r\nVERSION:3.0\r\n") && stored.contains("\r\nFN:Carol B\r\n"), "{stored}");
    put_it(&[]).await.expect(204);
    assert_eq!(client.get(&path("m.vcf")).await.body, stored, "it is the same card, with the same UID");
    // What every reader copes with is kept as it is, octet by octet.
    let short = "BEGIN:VCARD\r\nVERSION:3.0\r\nUID:short\r\nFN:Carol B\r\nN:B;Carol\r\nEND:VCARD\r\n";
    let created = put(&client, "short.vcf", short).await.expect(201);
    assert!(created.header("etag").is_some());
    let told = "vCard validation warning: The N property must have at least 5 values. It only has 2";
    assert_eq!(created.header("x-sabre-ew-gross"), Some(told));
    assert_eq!(client.get(&path("short.vcf")).await.body, short);
}

#[tokio::test]
async fn a_book_tells_what_it_can_do() {
    let world = World::new().await;
    let client = with_both(&world).await;
    let props = "<card:supported-address-data/><card:supported-collation-set/><card:max-resource-size/><d:supported-report-set/>";
    let answer = client.propfind(&path(""), "0", props).await.responses();
    assert!(
        answer.contains(
            "<card:supported-address-data><card:address-data-type content-type=\"text/vcard\" version=\"3.0\"/>\
             <card:address-data-type content-type=\"text/vcard\" version=\"4.0\"/>\
             <card:address-data-type content-type=\"application/vcard+json\" version=\"4.0\"/></card:supported-address-data>\
             <card:supported-collation-set><card:supported-collation>i;ascii-casemap</card:supported-collation>\
             <card:supported-collation>i;octet</card:supported-collation>\
             <card:supported-collation>i;unicode-casemap</card:supported-collation></card:supported-collation-set>\
             <card:max-resource-size>10485760</card:max-resource-size>"
        ),
        "{answer}"
    );
    for place in [path(""), path("three.vcf")] {
        let answer = client.propfind(&place, "0", "<d:supported-report-set/>").await.responses();
        assert!(
            answer.contains("<card:addressbook-multiget/>") && answer.contains("<card:addressbook-query/>"),
            "{answer}"
        );
    }
}
