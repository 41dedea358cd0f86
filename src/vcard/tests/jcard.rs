use serde_json::{Value, json};

use super::{card, lines};
use crate::vcard::jcard::{from_jcard, to_jcard};

fn written(version: &str, lines: &[&str]) -> Vec<Value> {
    let jcard = to_jcard(&card(version, lines));
    assert_eq!((jcard[0].as_str(), jcard.as_array().unwrap().len()), (Some("vcard"), 2));
    assert_eq!(jcard[1][0], json!(["version", {}, "text", version]));
    jcard[1].as_array().unwrap()[1..].to_vec()
}

/// The example of RFC 7095 appendix B.1.
#[test]
fn the_author_of_rfc_6350_in_jcard() {
    let text = [
        "FN:Simon Perreault",
        "N:Perreault;Simon;;;ing. jr,M.Sc.",
        "BDAY:--0203",
        "ANNIVERSARY:20090808T1430-0500",
        "GENDER:M",
        "LANG;PREF=1:fr",
        "LANG;PREF=2:en",
        "ORG;TYPE=work:Viagenie",
        "ADR;TYPE=work:;Suite D2-630;2875 Laurier;Quebec;QC;G1V 2M2;Canada",
        "TEL;VALUE=uri;TYPE=work,voice;PREF=1:tel:+1-418-656-9254;ext=102",
        "TEL;VALUE=uri;TYPE=work,cell,voice,video,text:tel:+1-418-262-6501",
        "EMAIL;TYPE=work:simon.perreault@viagenie.ca",
        "GEO;TYPE=work:geo:46.772673,-71.282945",
        "KEY;TYPE=work:http://www.viagenie.ca/simon.perreault/simon.asc",
        "TZ;VALUE=utc-offset:-0500",
        "URL;TYPE=home:http://nomis80.org",
    ];
    let jcard = json!(["vcard", [
        ["version", {}, "text", "4.0"],
        ["fn", {}, "text", "Simon Perreault"],
        ["n", {}, "text", ["Perreault", "Simon", "", "", ["ing. jr", "M.Sc."]]],
        ["bday", {}, "date-and-or-time", "--02-03"],
        ["anniversary", {}, "date-and-or-time", "2009-08-08T14:30-05:00"],
        ["gender", {}, "text", "M"],
        ["lang", { "pref": "1" }, "language-tag", "fr"],
        ["lang", { "pref": "2" }, "language-tag", "en"],
        ["org", { "type": "work" }, "text", "Viagenie"],
        ["adr", { "type": "work" }, "text", ["", "Suite D2-630", "2875 Laurier", "Quebec", "QC", "G1V 2M2", "Canada"]],
        ["tel", { "type": ["work", "voice"], "pref": "1" }, "uri", "tel:+1-418-656-9254;ext=102"],
        ["tel", { "type": ["work", "cell", "voice", "video", "text"] }, "uri", "tel:+1-418-262-6501"],
        ["email", { "type": "work" }, "text", "simon.perreault@viagenie.ca"],
        ["geo", { "type": "work" }, "uri", "geo:46.772673,-71.282945"],
        ["key", { "type": "work" }, "uri", "http://www.viagenie.ca/simon.perreault/simon.asc"],
        ["tz", {}, "utc-offset", "-05:00"],
        ["url", { "type": "home" }, "uri", "http://nomis80.org"]
    ]]);
    let card = card("4.0", &text);
    assert_eq!(to_jcard(&card), jcard);
    let back = from_jcard(&jcard).unwrap();
    assert_eq!(to_jcard(&back), jcard);
    let mut sorted = lines(&back);
    // A JSON object has no order, so parameters may come back in another one.
    sorted.iter_mut().for_each(|l| *l = l.replace("PREF=1;TYPE=work,voice", "TYPE=work,voice;PREF=1"));
    assert_eq!(sorted, text);
}

#[test]
fn values_by_type() {
    assert_eq!(
        written(
            "4.0",
            &[
                "UID:c1",
                "UID:urn:uuid:c2",
                "item1.NICKNAME;TYPE=work;type=home:Al,A\\,li",
                "item1.X-ABLabel:_$!<Work>!$_",
                "CATEGORIES:one",
                "ORG:Example\\; Inc.;Research\\, pure",
                "REV:19961022T140000Z",
                "X-FLAG;VALUE=boolean:TRUE",
                "X-COUNT;VALUE=integer:5",
                "X-TIME;VALUE=time:102200",
                "BDAY;VALUE=text:circa 1800\\, they say",
                "N:Carol",
                "NOTE:a\\nb",
                "BDAY:someday",
                "TEL;HOME;VOICE:1",
            ]
        ),
        [
            json!(["uid", {}, "text", "c1"]),
            json!(["uid", {}, "uri", "urn:uuid:c2"]),
            json!(["nickname", {"group": "item1", "type": ["work", "home"]}, "text", "Al", "A,li"]),
            json!(["x-ablabel", {"group": "item1"}, "unknown", "_$!<Work>!$_"]),
            json!(["categories", {}, "text", "one"]),
            json!(["org", {}, "text", ["Example; Inc.", "Research, pure"]]),
            json!(["rev", {}, "timestamp", "1996-10-22T14:00:00Z"]),
            json!(["x-flag", {}, "boolean", true]),
            json!(["x-count", {}, "integer", 5]),
            json!(["x-time", {}, "time", "10:22:00"]),
            json!(["bday", {}, "text", "circa 1800, they say"]),
            json!(["n", {}, "text", ["Carol", "", "", "", ""]]),
            json!(["note", {}, "text", "a\nb"]),
            json!(["bday", {}, "date-and-or-time", "someday"]),
            json!(["tel", {"type": ["HOME", "VOICE"]}, "text", "1"]),
        ]
    );
}

#[test]
fn a_card_of_3_0_keeps_its_types() {
    assert_eq!(
        written(
            "3.0",
            &["PHOTO;ENCODING=b;TYPE=PNG:iVBORw0K", "GEO:48.85;2.35", "TZ:-05:00", "TZ:Paris", "UID:urn:uuid:1"]
        ),
        [
            json!(["photo", {"encoding": "b", "type": "PNG"}, "binary", "iVBORw0K"]),
            json!(["geo", {}, "float", [48.85, 2.35]]),
            json!(["tz", {}, "utc-offset", "-05:00"]),
            json!(["tz", {}, "text", "Paris"]),
            json!(["uid", {}, "text", "urn:uuid:1"]),
        ]
    );
}

/// The request of a capture from esn-sabre's web client, and what was stored.
#[test]
fn what_a_web_client_sends_becomes_a_card() {
    let sent = json!(["vcard", [
        ["version", {}, "text", "4.0"],
        ["uid", [], "text", "c2"],
        ["fn", {}, "text", "Zoé"],
        ["n", {}, "text", ["Zoé", "X"]],
        ["email", {"type": "work"}, "text", "zoe@example.org"],
        ["bday", {}, "date", "1985-04-12"],
        ["tel", {"type": ["home", "cell"], "group": "item1"}, "uri", "tel:+33-1"],
        ["adr", {}, "text", ["", "", ["1 Rue, bis", "3e; étage"], "Paris", "", "", null]],
        ["note", {}, "text", "one\r\nTEL:two"],
        ["x-evil", {}, "unknown", "a\r\nTEL:b"]
    ], []]);
    assert_eq!(
        from_jcard(&sent).unwrap().to_wire(),
        "BEGIN:VCARD\r\nVERSION:4.0\r\nUID:c2\r\nFN:Zoé\r\nN:Zoé;X;;;\r\nEMAIL;TYPE=work:zoe@example.org\r\nBDAY:19850412\r\n\
         item1.TEL;VALUE=uri;TYPE=home,cell:tel:+33-1\r\nADR:;;1 Rue\\, bis,3e\\; étage;Paris;;;\r\nNOTE:one\\nTEL:two\r\n\
         X-EVIL:a\\nTEL:b\r\nEND:VCARD\r\n"
    );
}

#[test]
fn what_is_no_jcard_is_refused_with_the_place() {
    for (value, place) in [
        (json!({}), "jCard"),
        (json!(["vcalendar", []]), "jCard"),
        (json!(["vcard", [], [["vcard", []]]]), "jCard"),
        (json!(["vcard", [["fn"]]]), "jCard"),
        (json!(["vcard", [["fn", {}, "text"]]]), "fn"),
        (json!(["vcard", [["f n", {}, "text", "x"]]]), "f n"),
        (json!(["vcard", [["a.b", {}, "text", "x"]]]), "a.b"),
        (json!(["vcard", [["fn", {}, "te xt", "x"]]]), "fn"),
        (json!(["vcard", [["fn", {"a\r\nb": "c"}, "text", "x"]]]), "fn"),
        (json!(["vcard", [["fn", {"group": "a:b"}, "text", "x"], ["fn", 1, "text", "x"]]]), "fn"),
        (json!(["vcard", [["fn", {}, "text", {"a": 1}]]]), "fn"),
        (json!(["vcard", [["fn", {}, "text", ["a", "b"]]]]), "fn"),
    ] {
        assert_eq!(from_jcard(&value).unwrap_err().at, place, "{value}");
    }
}
