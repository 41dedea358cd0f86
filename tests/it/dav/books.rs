//! Address books.

use super::{ALICE, World, root};

const CARD: &str = "BEGIN:VCARD\r\nVERSION:3.0\r\nUID:c1\r\nFN:Carol B\r\nN:B;Carol;;;\r\n\
                    item1.EMAIL:carol@example.org\r\nTEL;TYPE=cell:+33 1\r\nEND:VCARD\r\n";

fn book(name: &str) -> String {
    format!("/addressbooks/{ALICE}/contacts/{name}")
}

#[tokio::test]
async fn cards_are_stored_found_and_kept_in_step() {
    let world = World::new().await;
    let client = world.alice();
    let put = client.send("PUT", &book("c1.vcf"), &[("content-type", "text/vcard")], CARD).await.expect(201);
    let got = client.get(&book("c1.vcf")).await.expect(200);
    assert_eq!((got.body.as_str(), got.header("etag")), (CARD, put.header("etag")));
    assert_eq!(got.header("content-type"), Some("text/vcard; charset=utf-8"));
    let etag = put.header("etag").unwrap().trim_matches('"').to_owned();
    let query = |filter: &str| {
        let body = format!("<d:prop><d:getetag/><card:address-data/></d:prop><card:filter>{filter}</card:filter>");
        let client = world.alice();
        async move { client.report(&book(""), "card:addressbook-query", &body).await.responses() }
    };
    let by_name = "<card:prop-filter name=\"FN\"><card:text-match match-type=\"starts-with\">CAROL</card:text-match></card:prop-filter>";
    assert_eq!(
        query(by_name).await,
        format!(
            "<d:response><d:href>{}</d:href><d:propstat><d:prop><d:getetag>&quot;{etag}&quot;</d:getetag>\
             <card:address-data>{}</card:address-data></d:prop><d:status>HTTP/1.1 200 OK</d:status></d:propstat>\
             </d:response>",
            book("c1.vcf"),
            CARD.replace("\r\n", "&#13;\n")
        )
    );
    let by_mail = "<card:prop-filter name=\"EMAIL\"><card:text-match>example.org</card:text-match></card:prop-filter>";
    assert!(query(by_mail).await.contains("c1.vcf"));
    assert_eq!(query("<card:prop-filter name=\"NOTE\"/>").await, "");
    let wanted = "<d:prop><card:address-data><card:prop name=\"EMAIL\"/></card:address-data></d:prop>";
    let multiget = format!("{wanted}<d:href>{}</d:href><d:href>{}</d:href>", book("c1.vcf"), book("none.vcf"));
    let answer = client.report(&book(""), "card:addressbook-multiget", &multiget).await.responses();
    assert!(answer.contains("item1.EMAIL") && answer.contains("FN:") && !answer.contains("TEL"), "{answer}");
    assert!(answer.contains("404 Not Found"), "{answer}");
    let sync = "<d:sync-token>http://sabre.io/ns/sync/1</d:sync-token><d:sync-level>1</d:sync-level><d:prop><d:getetag/></d:prop>";
    client.delete(&book("c1.vcf")).await.expect(204);
    let answer = client.report(&book(""), "d:sync-collection", sync).await.responses();
    assert!(
        answer.contains("404 Not Found</d:status></d:response><d:sync-token>http://sabre.io/ns/sync/3<"),
        "{answer}"
    );
}

#[tokio::test]
async fn a_book_is_made_and_described() {
    let world = World::new().await;
    let client = world.alice();
    let body = format!(
        "{}<d:set><d:prop><d:resourcetype><d:collection/><card:addressbook/></d:resourcetype>\
         <d:displayname>Friends</d:displayname><card:addressbook-description>all of them</card:addressbook-description>\
         </d:prop></d:set></d:mkcol>",
        root("d:mkcol")
    );
    let path = format!("/addressbooks/{ALICE}/friends/");
    client.send("MKCOL", &path, &[], &body).await.expect(201);
    let props =
        "<d:resourcetype/><d:displayname/><card:addressbook-description/><cs:getctag/><cal:calendar-description/>";
    let answer = client.propfind(&path, "0", props).await;
    assert_eq!(
        answer.responses(),
        format!(
            "<d:response><d:href>{path}</d:href><d:propstat><d:prop><d:resourcetype><d:collection/><card:addressbook/>\
             </d:resourcetype><d:displayname>Friends</d:displayname>\
             <card:addressbook-description>all of them</card:addressbook-description><cs:getctag>1</cs:getctag></d:prop>\
             <d:status>HTTP/1.1 200 OK</d:status></d:propstat><d:propstat><d:prop><cal:calendar-description/></d:prop>\
             <d:status>HTTP/1.1 404 Not Found</d:status></d:propstat></d:response>"
        )
    );
    client.delete(&path).await.expect(204);
}

#[tokio::test]
async fn what_is_no_card_is_refused() {
    let world = World::new().await;
    let client = world.alice();
    for text in ["garbage", "BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n", "BEGIN:VCARD\r\nFN:x\r\n"] {
        let refused = client.put(&book("x.vcf"), text).await.expect(415);
        assert!(refused.body.contains("<card:valid-address-data "), "{}", refused.body);
    }
    client.get(&book("x.vcf")).await.expect(404);
    let without_uid = CARD.replace("UID:c1\r\n", "");
    assert_eq!(client.put(&book("x.vcf"), &without_uid).await.expect(201).header("etag"), None);
    assert!(client.get(&book("x.vcf")).await.body.contains("\r\nUID:"));
}
