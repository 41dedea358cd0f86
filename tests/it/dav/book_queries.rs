//! Finding cards: addressbook-query (RFC 6352 §8.6).

use super::{ALICE, Client, World, root};

/// Three people in the default book.
async fn people(world: &World) -> Client<'_> {
    let client = world.alice();
    for (name, lines) in [
        (
            "jose",
            "FN:José Álvarez\r\nN:Álvarez;José;;;\r\nitem1.EMAIL;TYPE=work:jose@example.org\r\nitem1.X-ABLabel:Office\r\n\
             TEL;TYPE=cell:+33 1\r\nCATEGORIES:friends,chess\r\nNOTE:plays chess\r\n",
        ),
        (
            "straub",
            "FN:Anna Strauß\r\nN:Strauß;Anna;;;\r\nEMAIL;HOME;INTERNET:anna@home.example\r\nEMAIL;TYPE=work:anna@example.org\r\n\
             TEL;TYPE=work,fax:+49 2\r\nNICKNAME:Ann\r\n",
        ),
        ("carol", "FN:Carol B\r\nN:B;Carol;;;\r\nTEL;TYPE=home:+1 3\r\nNOTE:Café au lait\r\n"),
    ] {
        let card = format!("BEGIN:VCARD\r\nVERSION:3.0\r\nUID:{name}\r\n{lines}END:VCARD\r\n");
        client.send("PUT", &card_path(name), &[], &card).await.expect(201);
    }
    client
}

fn book() -> String {
    format!("/addressbooks/{ALICE}/contacts/")
}

fn card_path(name: &str) -> String {
    format!("{}{name}.vcf", book())
}

async fn found(client: &Client<'_>, filter: &str) -> String {
    let body = format!("<d:prop><d:getetag/></d:prop>{filter}");
    let hrefs = client.report(&book(), "card:addressbook-query", &body).await.hrefs();
    let names = hrefs.iter().map(|h| h.strip_prefix(&book()).unwrap().trim_end_matches(".vcf").to_owned());
    names.collect::<Vec<_>>().join(" ")
}

fn prop(name: &str, inside: &str) -> String {
    format!("<card:prop-filter name=\"{name}\">{inside}</card:prop-filter>")
}

fn text(attributes: &str, text: &str) -> String {
    format!("<card:text-match {attributes}>{text}</card:text-match>")
}

fn filter(inside: &str) -> String {
    format!("<card:filter>{inside}</card:filter>")
}

#[tokio::test]
async fn letters_match_without_case_and_however_they_are_written() {
    let world = World::new().await;
    let client = people(&world).await;
    let by_name =
        async |attributes: &str, wanted: &str| found(&client, &filter(&prop("FN", &text(attributes, wanted)))).await;
    // i;unicode-casemap is what a client gets that asks for nothing else.
    assert_eq!(by_name("", "JOSÉ").await, "jose");
    assert_eq!(by_name("", "jose\u{301}").await, "jose");
    assert_eq!(by_name("collation=\"i;unicode-casemap\"", "STRAUSS").await, "straub");
    assert_eq!(by_name("collation=\"default\"", "álvarez").await, "jose");
    assert_eq!(by_name("collation=\"i;ascii-casemap\"", "josé").await, "jose");
    assert_eq!(by_name("collation=\"i;ascii-casemap\"", "JOSÉ").await, "");
    assert_eq!(by_name("collation=\"i;octet\"", "José").await, "jose");
    assert_eq!(by_name("collation=\"i;octet\"", "josé").await, "");
    let refused = filter(&prop("FN", &text("collation=\"i;klingon\"", "x")));
    let refused = client.report(&book(), "card:addressbook-query", &refused).await.expect(403);
    assert!(refused.body.contains("<card:supported-collation "), "{}", refused.body);
}

#[tokio::test]
async fn a_text_is_looked_for_where_the_client_says() {
    let world = World::new().await;
    let client = people(&world).await;
    let by = async |kind: &str, wanted: &str| {
        found(&client, &filter(&prop("FN", &text(&format!("match-type=\"{kind}\""), wanted)))).await
    };
    assert_eq!(by("equals", "carol b").await, "carol");
    assert_eq!(by("equals", "carol").await, "");
    assert_eq!(by("starts-with", "anna").await, "straub");
    assert_eq!(by("ends-with", "álvarez").await, "jose");
    assert_eq!(by("contains", "o").await, "carol jose");
    let negated = text("negate-condition=\"yes\" match-type=\"contains\"", "o");
    assert_eq!(found(&client, &filter(&prop("FN", &negated))).await, "straub");
    client
        .report(&book(), "card:addressbook-query", &filter(&prop("FN", &text("match-type=\"like\"", "x"))))
        .await
        .expect(400);
}

#[tokio::test]
async fn tests_are_joined_as_the_client_says_on_both_levels() {
    let world = World::new().await;
    let client = people(&world).await;
    let two = prop("FN", &text("", "anna")) + &prop("NOTE", &text("", "chess"));
    assert_eq!(found(&client, &filter(&two)).await, "jose straub", "any is the default");
    assert_eq!(found(&client, &format!("<card:filter test=\"anyof\">{two}</card:filter>")).await, "jose straub");
    assert_eq!(found(&client, &format!("<card:filter test=\"allof\">{two}</card:filter>")).await, "");
    let texts = text("", "anna") + &text("", "example.org");
    assert_eq!(found(&client, &filter(&prop("EMAIL", &texts))).await, "jose straub");
    let both = format!("<card:prop-filter name=\"EMAIL\" test=\"allof\">{texts}</card:prop-filter>");
    assert_eq!(found(&client, &filter(&both)).await, "straub", "one and the same address passes both");
    assert_eq!(found(&client, &filter("")).await, "carol jose straub", "without a test, every card passes");
    client.report(&book(), "card:addressbook-query", "<card:filter test=\"most\"/>").await.expect(400);
}

#[tokio::test]
async fn what_is_there_and_what_is_not_can_be_asked_for() {
    let world = World::new().await;
    let client = people(&world).await;
    assert_eq!(found(&client, &filter(&prop("NOTE", ""))).await, "carol jose");
    assert_eq!(found(&client, &filter(&prop("NOTE", "<card:is-not-defined/>"))).await, "straub");
    // A name without a group is that in any group; one with a group only that (§10.5.1).
    assert_eq!(found(&client, &filter(&prop("email", ""))).await, "jose straub");
    assert_eq!(found(&client, &filter(&prop("item1.EMAIL", ""))).await, "jose");
    assert_eq!(found(&client, &filter(&prop("item2.EMAIL", ""))).await, "");
    assert_eq!(found(&client, &filter(&prop("X-ABLabel", &text("", "office")))).await, "jose");
}

#[tokio::test]
async fn parameters_can_be_asked_for() {
    let world = World::new().await;
    let client = people(&world).await;
    let param = |inside: &str| format!("<card:param-filter name=\"TYPE\">{inside}</card:param-filter>");
    let tel = async |inside: String| found(&client, &filter(&prop("TEL", &inside))).await;
    assert_eq!(tel(param(&text("match-type=\"equals\"", "HOME"))).await, "carol");
    assert_eq!(tel(param(&text("match-type=\"equals\"", "fax"))).await, "straub", "one of several types");
    assert_eq!(tel(param("")).await, "carol jose straub");
    assert_eq!(tel(param("<card:is-not-defined/>")).await, "");
    let email = async |inside: String| found(&client, &filter(&prop("EMAIL", &inside))).await;
    assert_eq!(email(param(&text("match-type=\"equals\"", "home"))).await, "straub", "as version 2.1 wrote types");
    let work = format!(
        "<card:prop-filter name=\"EMAIL\" test=\"allof\">{}{}</card:prop-filter>",
        text("", "anna"),
        param(&text("", "work"))
    );
    assert_eq!(found(&client, &filter(&work)).await, "straub");
    assert_eq!(found(&client, &filter(&work.replace("anna", "home.example"))).await, "", "not of this address");
}

/// RFC 6352 §8.6.1 and §8.6.2.
#[tokio::test]
async fn a_client_that_wants_few_is_told_that_there_are_more() {
    let world = World::new().await;
    let client = people(&world).await;
    let limited = async |n: &str| {
        let limit = format!("<card:limit><card:nresults>{n}</card:nresults></card:limit>");
        let body = format!("<d:prop><d:getetag/></d:prop>{}{limit}", filter(""));
        client.report(&book(), "card:addressbook-query", &body).await
    };
    let answer = limited("2").await.responses();
    assert_eq!(answer.matches("<d:getetag>").count(), 2);
    let told = format!(
        "<d:response><d:href>{}</d:href><d:status>HTTP/1.1 507 Insufficient Storage</d:status>\
         <d:error><d:number-of-matches-within-limits/></d:error></d:response>",
        book()
    );
    assert!(answer.ends_with(&told), "{answer}");
    assert!(!limited("3").await.responses().contains("507"), "three are all there are");
    assert_eq!(limited("0").await.responses(), told);
    limited("few").await.expect(400);
}

/// RFC 6352 §10.4.
#[tokio::test]
async fn a_client_gets_the_properties_it_asks_for() {
    let world = World::new().await;
    let client = people(&world).await;
    let data = async |inside: &str| {
        let body = format!(
            "<d:prop><card:address-data>{inside}</card:address-data></d:prop><d:href>{}</d:href>",
            card_path("jose")
        );
        let answer = client.report(&book(), "card:addressbook-multiget", &body).await.responses();
        let data = answer.split("<card:address-data>").nth(1).unwrap().split("</card:address-data>").next().unwrap();
        data.replace("&#13;", "").trim_end().to_owned()
    };
    let around = |lines: &str| format!("BEGIN:VCARD\nVERSION:3.0\nUID:jose\nFN:José Álvarez\n{lines}END:VCARD");
    let prop = "<card:prop name=\"EMAIL\"/>";
    assert_eq!(data(prop).await, around("item1.EMAIL;TYPE=work:jose@example.org\n"));
    assert_eq!(data("<card:prop name=\"item2.EMAIL\"/>").await, around(""));
    assert_eq!(
        data("<card:prop name=\"email\" novalue=\"yes\"/><card:prop name=\"X-ABLABEL\" novalue=\"no\"/>").await,
        around("item1.EMAIL;TYPE=work:\nitem1.X-ABLabel:Office\n")
    );
    assert!(data("<card:allprop/>").await.contains("NOTE:plays chess"));
    let not_a_book = format!("/calendars/{ALICE}/{ALICE}/");
    let body = format!("{}{}</card:addressbook-query>", root("card:addressbook-query"), filter(""));
    let refused = client.send("REPORT", &not_a_book, &[("depth", "1")], &body).await.expect(403);
    assert!(refused.body.contains("<d:supported-report/>"), "{}", refused.body);
}
