use super::{card, lines};
use crate::vcard::{Card, Fault, Severity};

fn faults(version: &str, lines: &[&str]) -> Vec<Fault> {
    card(version, lines).faults()
}

#[test]
fn a_whole_card_has_no_faults() {
    assert_eq!(faults("3.0", &["UID:1", "FN:Alice", "N:;Alice;;;"]), []);
    assert_eq!(faults("4.0", &["UID:1", "FN:Alice"]), []);
}

#[test]
fn what_is_missing_is_mended() {
    let mut card = Card::parse("BEGIN:VCARD\r\nN:Martin;Alice;;Dr.;\r\nEND:VCARD\r\n").unwrap();
    assert_eq!(card.faults(), [Fault::NoVersion, Fault::NoUid, Fault::NoFormattedName { mendable: true }]);
    card.repair("u1");
    assert_eq!(card.faults(), []);
    assert_eq!(
        card.to_text(),
        "BEGIN:VCARD\r\nVERSION:3.0\r\nN:Martin;Alice;;Dr.;\r\nUID:u1\r\nFN:Dr. Alice Martin\r\nEND:VCARD\r\n"
    );
}

#[test]
fn a_card_without_fn_is_named_by_what_else_it_says() {
    for (line, name) in [
        ("ORG:Example\\, Inc.;Research", "FN:Example\\, Inc.\\, Research"),
        ("NICKNAME:Al,Ali", "FN:Al"),
        ("EMAIL;PREF=1:alice@example.org", "FN:alice@example.org"),
        ("TEL:+33 1", "FN:+33 1"),
    ] {
        let mut card = card("4.0", &["UID:1", line]);
        card.repair("unused");
        assert_eq!(lines(&card), ["UID:1", line, name]);
    }
}

#[test]
fn what_cannot_be_mended_is_refused() {
    let refused = |version, lines: &[&str]| -> Vec<String> {
        let faults = faults(version, lines).into_iter().filter(|f| f.severity() == Severity::Refused);
        faults.map(|f| f.to_string()).collect()
    };
    assert_eq!(refused("3.0", &["UID:1", "NOTE:nobody"]), ["The FN property must appear in a VCARD"]);
    assert_eq!(refused("4.0", &["UID:1", "UID:2", "FN:x"]), ["The UID property must appear in a VCARD exactly once"]);
    assert_eq!(
        refused("2.1", &["UID:1", "FN:x"]),
        ["Only vCard 3.0 (RFC 2426) and 4.0 (RFC 6350) are supported, found \"2.1\""]
    );
}

#[test]
fn what_every_reader_copes_with_is_tolerated() {
    let found = faults("3.0", &["UID:1", "FN:", "N:Carol;B", "PHOTO;ENCODING=b:!!!"]);
    assert_eq!(found, [Fault::ShortName(2), Fault::Base64("PHOTO".into())]);
    assert!(found.iter().all(|f| f.severity() == Severity::Tolerated));
    assert_eq!(found[0].to_string(), "The N property must have at least 5 values. It only has 2");
    assert_eq!(faults("3.0", &["UID:1", "FN:x"]), [Fault::NoName]);
}
