//! Groups and pictures: kept as they came, converted on request (RFC 6350 §6.1.4, §6.2.4, §6.6.5).

use super::{ALICE, Client, World};

fn path(name: &str) -> String {
    format!("/addressbooks/{ALICE}/contacts/{name}")
}

async fn as_version(client: &Client<'_>, name: &str, version: &str) -> String {
    let accept = format!("text/vcard; version={version}");
    client.send("GET", &path(name), &[("accept", &accept)], "").await.expect(200).body
}

#[tokio::test]
async fn a_group_is_one_in_either_version() {
    let world = World::new().await;
    let client = world.alice();
    let four = "BEGIN:VCARD\r\nVERSION:4.0\r\nUID:g4\r\nFN:Chess\r\nKIND:group\r\n\
                MEMBER:urn:uuid:03a0e51f-d1aa-4385-8a53-e29025acd8af\r\nMEMBER:mailto:bob@example.org\r\nEND:VCARD\r\n";
    let three = "BEGIN:VCARD\r\nVERSION:3.0\r\nUID:g3\r\nFN:Chess\r\nN:Chess;;;;\r\nX-ADDRESSBOOKSERVER-KIND:group\r\n\
                 X-ADDRESSBOOKSERVER-MEMBER:urn:uuid:03a0e51f-d1aa-4385-8a53-e29025acd8af\r\nEND:VCARD\r\n";
    client.put(&path("g4.vcf"), four).await.expect(201);
    client.put(&path("g3.vcf"), three).await.expect(201);
    for (name, stored) in [("g4.vcf", four), ("g3.vcf", three)] {
        assert_eq!(client.get(&path(name)).await.expect(200).body, stored);
    }
    let old = as_version(&client, "g4.vcf", "3.0").await;
    assert!(
        old.contains("\r\nX-ADDRESSBOOKSERVER-KIND:group\r\n")
            && old.contains("\r\nX-ADDRESSBOOKSERVER-MEMBER:urn:uuid:03a0e51f-d1aa-4385-8a53-e29025acd8af\r\n")
            && old.contains("\r\nX-ADDRESSBOOKSERVER-MEMBER:mailto:bob@example.org\r\n"),
        "{old}"
    );
    let new = as_version(&client, "g3.vcf", "4.0").await;
    assert!(
        new.contains("\r\nKIND:group\r\n")
            && new.contains("\r\nMEMBER:urn:uuid:03a0e51f-d1aa-4385-8a53-e29025acd8af\r\n"),
        "{new}"
    );
    // Groups are found by the name that their version has (RFC 6352 §10.5.1).
    for (name, found) in [("KIND", "g4.vcf"), ("X-ADDRESSBOOKSERVER-KIND", "g3.vcf")] {
        let filter = format!(
            "<d:prop><d:getetag/></d:prop><card:filter><card:prop-filter name=\"{name}\">\
             <card:text-match match-type=\"equals\">GROUP</card:text-match></card:prop-filter></card:filter>"
        );
        assert_eq!(client.report(&path(""), "card:addressbook-query", &filter).await.hrefs(), [path(found)]);
    }
}

/// A picture of some megabytes, in lines of 75 octets as clients fold it.
#[tokio::test]
async fn a_large_picture_is_kept_and_converted() {
    let world = World::new().await;
    let client = world.alice();
    let base64 = format!("/9j/{}", "QUJD".repeat(1 << 20));
    let mut lines = String::from("PHOTO;ENCODING=b;TYPE=JPEG:");
    for (n, octet) in base64.chars().enumerate() {
        if n % 74 == 40 {
            lines.push_str("\r\n ");
        }
        lines.push(octet);
    }
    let card = format!("BEGIN:VCARD\r\nVERSION:3.0\r\nUID:p\r\nFN:P\r\nN:P;;;;\r\n{lines}\r\nEND:VCARD\r\n");
    let put = client.put(&path("p.vcf"), &card).await.expect(201);
    assert!(put.header("etag").is_some(), "not an octet was changed");
    assert!(client.get(&path("p.vcf")).await.expect(200).body == card);
    let four = as_version(&client, "p.vcf", "4.0").await;
    let unfolded = four.replace("\r\n ", "");
    assert!(unfolded.contains(&format!("\r\nPHOTO:data:image/jpeg;base64,{base64}\r\n")));
    assert!(four.lines().all(|line| line.len() <= 75));
    let wanted = format!(
        "<d:prop><card:address-data><card:prop name=\"FN\"/></card:address-data></d:prop><d:href>{}</d:href>",
        path("p.vcf")
    );
    let without = client.report(&path(""), "card:addressbook-multiget", &wanted).await.responses();
    assert!(without.len() < 1000 && !without.contains("PHOTO"), "{} octets", without.len());
    let no_value = wanted.replace("name=\"FN\"", "name=\"PHOTO\" novalue=\"yes\"");
    let told = client.report(&path(""), "card:addressbook-multiget", &no_value).await.responses();
    assert!(told.contains("PHOTO;ENCODING=b;TYPE=JPEG:&#13;\n") && told.len() < 1000, "{} octets", told.len());
}

#[tokio::test]
async fn a_picture_elsewhere_stays_there() {
    let world = World::new().await;
    let client = world.alice();
    let three = "BEGIN:VCARD\r\nVERSION:3.0\r\nUID:u3\r\nFN:U\r\nN:U;;;;\r\n\
                 PHOTO;VALUE=uri;TYPE=PNG:https://example.org/a.png\r\nEND:VCARD\r\n";
    let four = "BEGIN:VCARD\r\nVERSION:4.0\r\nUID:u4\r\nFN:U\r\n\
                PHOTO;MEDIATYPE=image/png:https://example.org/a.png\r\nEND:VCARD\r\n";
    client.put(&path("u3.vcf"), three).await.expect(201);
    client.put(&path("u4.vcf"), four).await.expect(201);
    let new = as_version(&client, "u3.vcf", "4.0").await;
    assert!(new.contains("\r\nPHOTO;MEDIATYPE=image/png:https://example.org/a.png\r\n"), "{new}");
    let old = as_version(&client, "u4.vcf", "3.0").await;
    assert!(old.contains("\r\nPHOTO;VALUE=uri;TYPE=PNG:https://example.org/a.png\r\n"), "{old}");
}
