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

/// Default books are there from the start and stay (dav §5, §18.20).
#[tokio::test]
async fn everybody_has_two_books_that_cannot_go() {
    let world = World::new().await;
    let client = world.alice();
    let home = format!("/addressbooks/{ALICE}/");
    let answer = client.propfind(&home, "1", "<d:displayname/><d:resourcetype/>").await;
    let body = answer.responses();
    let mut hrefs: Vec<&str> =
        body.split("<d:response><d:href>").skip(1).map(|r| r.split('<').next().unwrap()).collect();
    hrefs.sort_unstable();
    assert_eq!(hrefs, [home.clone(), format!("{home}collected/"), format!("{home}contacts/")]);
    assert_eq!(body.matches("<d:displayname></d:displayname>").count(), 2, "{body}");
    for name in ["contacts", "collected"] {
        client.delete(&format!("{home}{name}/")).await.expect(403);
    }
    // As the client wrote the path, so the answer repeats it.
    let rename = format!(
        "{}<d:set><d:prop><d:displayname>Mine</d:displayname></d:prop></d:set></d:propertyupdate>",
        root("d:propertyupdate")
    );
    let contacts = format!("{home}contacts");
    let answer = client.send("PROPPATCH", &contacts, &[], &rename).await.responses();
    assert!(answer.starts_with(&format!("<d:response><d:href>{contacts}</d:href>")), "{answer}");
    let shown = client.propfind(&contacts, "0", "<d:displayname/>").await.responses();
    assert!(shown.contains("<d:displayname>Mine</d:displayname>"), "{shown}");
    let book = format!(
        "{}<d:set><d:prop><d:resourcetype><d:collection/><card:addressbook/></d:resourcetype></d:prop></d:set></d:mkcol>",
        root("d:mkcol")
    );
    client.send("MKCOL", &home, &[], &book).await.expect(405);
    let nested = client.send("MKCOL", &format!("{contacts}/nested/"), &[], &book).await.expect(403);
    assert!(nested.body.contains("<card:addressbook-collection-location-ok "), "{}", nested.body);
    client.send("MKCOL", &contacts, &[], &book).await.expect(405);
}

#[tokio::test]
async fn a_card_moves_and_is_copied_between_books() {
    let world = World::new().await;
    let client = world.alice();
    client.put(&book("c1.vcf"), CARD).await.expect(201);
    let collected = |name: &str| format!("/addressbooks/{ALICE}/collected/{name}");
    client.send("COPY", &book("c1.vcf"), &[("destination", &collected("c1.vcf"))], "").await.expect(201);
    client.send("MOVE", &book("c1.vcf"), &[("destination", &collected("c1.vcf"))], "").await.expect(204);
    client.get(&book("c1.vcf")).await.expect(404);
    assert_eq!(client.get(&collected("c1.vcf")).await.body, CARD);
    let other = CARD.replace("UID:c1", "UID:c2");
    client.put(&book("c2.vcf"), &other).await.expect(201);
    client.send("COPY", &collected("c1.vcf"), &[("destination", &book("c3.vcf"))], "").await.expect(201);
    client.send("COPY", &book("c3.vcf"), &[("destination", &collected("c9.vcf"))], "").await.expect(201);
}
