use super::card;
use crate::vcard::date::Date;
use crate::vcard::{Card, Kind, Media, Reach, Version, names};

#[test]
fn a_person_is_read_as_apple_writes_them() {
    let card = card(
        "3.0",
        &[
            "PRODID:-//Apple Inc.//iOS 17.0//EN",
            "N:Martin;Alice;Jo,Ann;Dr.;Jr.,M.A.",
            "FN:Dr. Alice Martin",
            "NICKNAME:Al,Ali",
            "ORG:Example\\, Inc.;Research;",
            "item1.EMAIL;type=INTERNET;type=pref:alice@example.org",
            "item1.X-ABLabel:_$!<Work>!$_",
            "EMAIL;HOME:alice@home.example",
            "TEL;type=CELL;type=VOICE:+33 1 23",
            "item2.ADR;type=HOME:;;1 Rue de la Paix\\n3e étage;Paris;;75002;France",
            "BDAY;X-APPLE-OMIT-YEAR=1604:1604-04-12",
            "item3.X-ABDATE;type=pref:2010-06-05",
            "item3.X-ABLabel:_$!<Anniversary>!$_",
            "PHOTO;ENCODING=b;TYPE=PNG:iVBORw0K",
            "REV:2026-11-21T06:20:15Z",
            "CATEGORIES:friends,work\\, old",
            "NOTE:one\\ntwo\\, three",
            "UID: c1 ",
        ],
    );
    assert_eq!(card.version(), Some(Version::V3));
    assert_eq!(card.uid().as_deref(), Some("c1"));
    assert_eq!(card.formatted_name().as_deref(), Some("Dr. Alice Martin"));
    let name = card.name().unwrap();
    assert_eq!(
        (name.family, name.given, name.additional),
        (vec!["Martin".into()], vec!["Alice".into()], vec!["Jo".into(), "Ann".into()])
    );
    assert_eq!((name.prefixes, name.suffixes), (vec!["Dr.".into()], vec!["Jr.".into(), "M.A.".into()]));
    assert_eq!(card.nicknames(), ["Al", "Ali"]);
    assert_eq!(card.organization(), ["Example, Inc.", "Research"]);
    let emails = card.emails();
    assert_eq!(
        emails[0],
        Reach {
            value: "alice@example.org".into(),
            types: vec!["internet".into()],
            preference: Some(1),
            label: Some("Work".into())
        }
    );
    assert_eq!((emails[1].types.as_slice(), emails[1].preference), (&["home".to_owned()][..], None));
    assert_eq!(card.phones()[0].types, ["cell", "voice"]);
    let address = &card.addresses()[0];
    assert_eq!(
        (address.street.join("|"), address.locality.join("|")),
        ("1 Rue de la Paix\n3e étage".into(), "Paris".into())
    );
    assert_eq!(
        (address.code.join("|"), address.country.join("|"), address.region.len()),
        ("75002".into(), "France".into(), 0)
    );
    assert_eq!(card.birthday().unwrap().date, Some(Date::MonthDay(4, 12)));
    assert_eq!(card.anniversary().unwrap().date, Some(Date::Full(2010, 6, 5)));
    let Some(Media::Inline { media_type, octets }) = card.photo() else { panic!("no picture") };
    assert_eq!((media_type.as_deref(), octets.as_slice()), (Some("image/png"), &b"\x89PNG\r\n"[..]));
    assert_eq!(card.revised().unwrap().to_rfc3339(), "2026-11-21T06:20:15+00:00");
    assert_eq!(card.categories(), ["friends", "work, old"]);
    assert_eq!(card.note().as_deref(), Some("one\ntwo, three"));
    assert_eq!((card.kind(), card.members().len()), (Kind::Individual, 0));
}

#[test]
fn a_person_is_read_from_4_0() {
    let card = card(
        "4.0",
        &[
            "FN;PREF=2:Bob",
            "FN;PREF=1:Robert",
            "TEL;VALUE=uri;PREF=1;TYPE=\"voice,home\":tel:+33-1;ext=2",
            "TEL;PREF=0:12",
            "PHOTO:data:image/jpeg\\;base64\\,/9j/4AA=",
            "LOGO:https\\://example.org/logo.png",
            "BDAY;VALUE=text:circa 1800",
            "ANNIVERSARY:2010",
            "URL:https://example.org/",
            "IMPP;PREF=1:xmpp:bob@example.org",
        ],
    );
    assert_eq!(card.formatted_name().as_deref(), Some("Robert"));
    let phones = card.phones();
    assert_eq!(
        (phones[0].value.as_str(), phones[0].types.as_slice()),
        ("+33-1;ext=2", &["voice".to_owned(), "home".to_owned()][..])
    );
    assert_eq!(phones[1].preference, None, "a preference is at least 1");
    assert!(matches!(card.photo(), Some(Media::Inline { media_type: Some(t), .. }) if t == "image/jpeg"));
    let logo = card.preferred("LOGO").and_then(Media::read);
    assert_eq!(logo, Some(Media::Uri("https://example.org/logo.png".into())));
    assert_eq!((card.birthday(), card.anniversary().unwrap().date), (None, Some(Date::Year(2010))));
    assert_eq!(
        (card.urls()[0].value.as_str(), card.messengers()[0].value.as_str()),
        ("https://example.org/", "xmpp:bob@example.org")
    );
}

#[test]
fn groups_are_known_in_both_versions() {
    let apple = card("3.0", &["X-ADDRESSBOOKSERVER-KIND:group", "X-ADDRESSBOOKSERVER-MEMBER:urn:uuid:c1"]);
    let standard = card("4.0", &["KIND:GROUP", "MEMBER:urn:uuid:c1", "MEMBER:mailto:bob@example.org"]);
    assert_eq!((apple.kind(), apple.members()), (Kind::Group, vec!["urn:uuid:c1".to_owned()]));
    assert_eq!((standard.kind(), standard.members().len()), (Kind::Group, 2));
    let kind = |word: &str| card("4.0", &[&format!("KIND:{word}")]).kind();
    assert_eq!(kind("org"), Kind::Organization);
    assert_eq!(kind("location"), Kind::Location);
    assert_eq!(kind("x-robot"), Kind::Other("x-robot".into()));
}

/// RFC 6352 §10.4.2.
#[test]
fn a_name_without_a_group_means_all_groups() {
    let card = card("3.0", &["TEL:1", "X-ABC.TEL:2", "X-ABC-1.tel:3", "X-TEL:4"]);
    let found =
        |wanted: &str| card.root().properties().filter(|p| names(wanted, p)).map(|p| p.value()).collect::<String>();
    assert_eq!((found("TEL"), found("x-abc.tel"), found("X-TEL")), ("123".into(), "2".into(), "4".into()));
}

#[test]
fn what_is_no_card_is_refused() {
    for text in [
        "garbage",
        "BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n",
        "BEGIN:VCARD\r\nFN:x\r\n",
        "BEGIN:VCARD\nEND:VCARD\nBEGIN:VCARD\nEND:VCARD\n",
    ] {
        Card::parse(text).unwrap_err();
    }
}
