//! What holds for every card, however oddly it is written.

use proptest::prelude::*;

use super::card;
use crate::ical::Param;
use crate::vcard::jcard::{from_jcard, to_jcard};
use crate::vcard::{Card, Line, Severity, Version};

/// Lines of 3.0 whose content survives 4.0 as it is, but for the order and case of types.
const THREE: [&str; 50] = [
    "N:Martin;Alice;Jo,Ann;Dr.;Jr.",
    "FN:Alice Martin",
    "NICKNAME:Al,A\\,li",
    "ORG:Example\\, Inc.;Research",
    "EMAIL;TYPE=work,pref:alice@example.org",
    "item1.EMAIL;TYPE=home:a@example.org",
    "item1.X-ABLabel:_$!<Work>!$_",
    "TEL;TYPE=cell;TYPE=voice,PREF:+33 1",
    "TEL;PREF=3:12",
    "ADR;TYPE=home:;;1 Rue\\, bis;Paris;;75002;France",
    "ADR;TYPE=work,pref:;;2 Rue;Paris;;75002;France",
    "LABEL;TYPE=home:1 Rue\\nParis \"là\"",
    "LABEL;TYPE=work,pref:2 Rue",
    "LABEL;TYPE=parcel:nowhere",
    "BDAY:1985-04-12",
    "BDAY;VALUE=date-time:1985-04-12T10:22:00Z",
    "BDAY;X-APPLE-OMIT-YEAR=1604:1604-04-12",
    "BDAY;VALUE=text:circa 1800\\, they say",
    "REV:2026-11-21T06:20:15Z",
    "GEO:48.85;2.35",
    "TZ:-05:00",
    "TZ;VALUE=text:Europe/Paris",
    "PHOTO;ENCODING=b;TYPE=JPEG:/9j/4AA=",
    "LOGO;ENCODING=b;TYPE=PNG;X-ABCROP-RECTANGLE=ABClip_1&0&0:iVBORw0K",
    "PHOTO;VALUE=uri;TYPE=GIF:https://example.org/a.gif",
    "SOUND;ENCODING=b;TYPE=BASIC:AAEC",
    "KEY;ENCODING=b;TYPE=PGP:AAEC",
    "KEY:my key\\, in words",
    "X-ADDRESSBOOKSERVER-KIND:group",
    "X-ADDRESSBOOKSERVER-MEMBER:urn:uuid:c1",
    "X-GENDER:F;grrl",
    "X-ANNIVERSARY:2010-06-05",
    "item3.X-ABDATE;TYPE=pref:2010-06-05",
    "item3.X-ABLabel:_$!<Anniversary>!$_",
    "item4.X-ABRELATEDNAMES:Bob",
    "item4.X-ABLabel:_$!<Spouse>!$_",
    "item5.X-ABRELATEDNAMES;TYPE=pref:Carol",
    "item5.X-ABLabel:boss",
    "AGENT;VALUE=uri:urn:uuid:c3",
    "AGENT:BEGIN:VCARD\\nFN:Joe\\nEND:VCARD",
    "X-LANG;PREF=2:fr",
    "SORT-STRING:Martin\\, Alice",
    "CLASS:PRIVATE",
    "MAILER:mutt",
    "X-ABUID:5AD380FD\\:ABPerson",
    "X-SOCIALPROFILE;TYPE=twitter:https://example.org/alice",
    "IMPP;X-SERVICE-TYPE=Jabber;TYPE=home:xmpp:alice@example.org",
    "URL;TYPE=home:https://example.org/",
    "CATEGORIES:a,b\\,c",
    "NOTE;LANGUAGE=fr:un\\ndeux\\; trois",
];

/// Lines of 4.0 whose content survives 3.0 as it is.
const FOUR: [&str; 38] = [
    "FN;PREF=1:Alice",
    "FN;ALTID=1;LANGUAGE=fr:Alice",
    "N;SORT-AS=\"Martin,Alice\":Martin;Alice;;;",
    "ORG;SORT-AS=Ex:Example",
    "GENDER:O;it's complicated",
    "LANG;PREF=1:fr",
    "LANG;PREF=2;TYPE=work:en",
    "RELATED;TYPE=friend:urn:uuid:c1",
    "RELATED;TYPE=agent:urn:uuid:c2",
    "RELATED;VALUE=text;TYPE=co-worker:Bob\\, of course",
    "item1.RELATED;VALUE=text;TYPE=spouse:Bob",
    "item1.X-ABLabel:_$!<Spouse>!$_",
    "KIND:group",
    "MEMBER;PREF=1:mailto:bob@example.org",
    "BDAY:--0412",
    "BDAY:1985",
    "BDAY:1985-04",
    "BDAY:---12",
    "BDAY:T1022",
    "BDAY:19850412T102200-0800",
    "BDAY;VALUE=text:circa 1800",
    "BDAY;CALSCALE=gregorian:19850412",
    "ANNIVERSARY:20100605",
    "DEATHDATE:2020",
    "BIRTHPLACE:Paris\\, France",
    "PHOTO;PREF=1:data:image/jpeg;base64,/9j/4AA=",
    "PHOTO;MEDIATYPE=image/svg+xml:https://example.org/a.svg",
    "LOGO:data:application/x-odd.thing;base64,AAEC",
    "SOUND:data:text/plain;charset=utf-8,la%20la",
    "KEY;VALUE=text:my key\\, in words",
    "GEO:geo:48.85,2.35",
    "GEO:geo:48.85,2.35;u=35",
    "TZ:Europe/Paris",
    "TZ;VALUE=utc-offset:-0500",
    "ADR;TYPE=home;LABEL=\"1 Rue^nParis, ^'là^'\":;;1 Rue;Paris;;;",
    "CLIENTPIDMAP:1;urn:uuid:d89c9c7a",
    "REV:20261121T062015Z",
    "XML:<a xmlns=\"urn:x\"/>",
];

/// Lines as programs write them that have read no RFC.
const WILD: [&str; 38] = [
    "TEL;HOME;VOICE:1",
    "tel;type=\"home,Voice\",pref:2",
    "EMAIL;INTERNET;PREF:x@example.org",
    "TEL;VALUE=uri:tel:+1-418-656-9254;ext=102",
    "TZ;VALUE=text:-05:00",
    "NOTE;8BIT;CHARSET=UTF-8:x",
    "LABEL;PREF=7:before its address",
    "FN;CHARSET=UTF-8:Zoé",
    "N:;;;;",
    "N:",
    "N;LANGUAGE=fr:;;;;",
    "SORT-STRING:b",
    "PHOTO;BASE64;JPEG:/9j/ 4AA=",
    "PHOTO;TYPE=home;ENCODING=BASE64:R0lGODlh",
    "PHOTO;ENCODING=b:!!!",
    "PHOTO:",
    "PHOTO;VALUE=URL:https\\://example.org/a.png",
    "LOGO;VALUE=uri:data:image/png\\;base64\\,iVBORw0K",
    "PHOTO;ENCODING=b;MEDIATYPE=image/heic:AAEC",
    "KEY;TYPE=x/y;VALUE=uri:http://example.org/key",
    "BDAY:19850412",
    "BDAY:someday\\, maybe",
    "BDAY;VALUE=text:1985",
    "BDAY;X-APPLE-OMIT-YEAR=1604:1985-04-12",
    "BDAY:",
    "ANNIVERSARY:2010-06-05",
    "X-ANNIVERSARY:20100605",
    "REV;VALUE=date:2026-11-21",
    "REV:yesterday",
    "GEO:48.85\\,2.35",
    "GEO:here",
    "TZ:",
    "TZ;VALUE=utc-offset:nowhere",
    "X-GENDER:Female",
    "X-GENDER:robot; mostly",
    "KIND:individual",
    "a.b.TEL:1",
    "ADR;PREF=7:;",
];

/// Leaves of the lines that a card has once only the first, under whatever name: which of two is it is a matter of their
/// order.
fn without_rivals(lines: &mut Vec<String>) {
    let mut seen = std::collections::HashSet::new();
    lines.retain(|line| {
        let name = line.split([':', ';']).next().unwrap_or_default().rsplit('.').next().unwrap_or_default();
        match name {
            "KIND" | "X-ADDRESSBOOKSERVER-KIND" => seen.insert("KIND"),
            "GENDER" | "X-GENDER" => seen.insert("GENDER"),
            "ANNIVERSARY" | "X-ANNIVERSARY" | "X-ABDATE" => seen.insert("ANNIVERSARY"),
            "N" => seen.insert("N"),
            "SORT-STRING" => seen.insert("SORT-STRING"),
            _ => true,
        }
    });
}

fn some_of(pool: &[&'static str], version: &'static str) -> impl Strategy<Value = Card> + use<> {
    let lines = prop::collection::vec(prop::sample::select(pool.to_vec()), 0..20);
    lines.prop_map(move |lines| {
        let mut lines: Vec<String> = lines.into_iter().map(str::to_owned).collect();
        without_rivals(&mut lines);
        card(version, &lines)
    })
}

/// Anything at all: known names with any parameters and values.
fn anything(version: &'static str) -> impl Strategy<Value = Card> {
    // What stands in 3.0 for a property of 4.0 does not occur beside it.
    let pools = if version == "3.0" { [&THREE[..], &WILD].concat() } else { FOUR.to_vec() };
    let names = pools.iter().map(|l| l.split([':', ';']).next().unwrap().to_owned());
    // The TYPE of these is a format, which has no order among others.
    let names: Vec<String> = names.filter(|n| !crate::vcard::media::PROPERTIES.contains(&n.as_str())).collect();
    let params: Vec<String> = [&THREE[..], &FOUR, &WILD]
        .concat()
        .iter()
        .filter_map(|l| l.split_once(';').filter(|(name, _)| !name.contains(':')))
        .filter_map(|(_, rest)| rest.split([':', ';']).next())
        .filter(|p| p.matches('"').count() % 2 == 0)
        // What a value is cannot be drawn by lot; whole lines say it. Parameters without a name are a habit of 2.1.
        .filter(|p| !p.starts_with("ENCODING") && !p.starts_with("VALUE") && *p != "BASE64")
        .filter(|p| version == "3.0" || p.contains('='))
        .map(|p| format!(";{p}"))
        .collect();
    let values: Vec<String> =
        [&THREE[..], &FOUR, &WILD].concat().iter().map(|l| l.split_once(':').unwrap().1.to_owned()).collect();
    let value = prop_oneof![prop::sample::select(values), "([ -~]|é|日|\\\\n){0,40}"];
    let params = prop::collection::vec(prop::sample::select(params), 0..4);
    let line = (prop::sample::select(names), params, value).prop_map(|(name, mut params, value)| {
        let mut seen = std::collections::HashSet::new();
        params.retain(|p| seen.insert(p.split('=').next().map(str::to_ascii_uppercase)));
        format!("{name}{}:{value}", params.concat())
    });
    let whole = prop::sample::select(pools).prop_map(str::to_owned);
    prop::collection::vec(prop_oneof![line, whole], 0..12).prop_map(move |mut lines| {
        without_rivals(&mut lines);
        card(version, &lines)
    })
}

/// A card as a set of lines whose spelling does not count: order of lines and parameters, order and case of types.
fn essence(card: &Card) -> Vec<String> {
    let essence = |line: Line<'_>| {
        let mut params: Vec<String> = line.types().map(|t| format!("TYPE={}", t.to_ascii_lowercase())).collect();
        let is_type = |p: &Param| p.is("TYPE") || (p.values.is_empty() && line.has_type(&p.name));
        params.extend(line.property().params().iter().filter(|p| !is_type(p)).map(|p| format!("{p:?}")));
        params.sort();
        params.dedup();
        format!("{:?}.{} {params:?} {}", line.group(), line.name().to_ascii_uppercase(), line.property().value())
    };
    let mut lines: Vec<String> = card.lines().map(essence).collect();
    lines.sort();
    lines
}

fn there_and_back(card: &Card, by: Version) -> Card {
    card.to_version(by).to_version(card.version().unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn a_card_of_3_0_comes_back_from_4_0(card in some_of(&THREE, "3.0")) {
        let back = there_and_back(&card, Version::V4);
        let added = |l: &String| !(l.starts_with("None.N []") && l.ends_with(" ;;;;") && card.all("N").next().is_none());
        let back: Vec<_> = essence(&back).into_iter().filter(added).collect();
        prop_assert_eq!(back, essence(&card), "{}", card.to_version(Version::V4).to_text());
    }

    #[test]
    fn a_card_of_4_0_comes_back_from_3_0(card in some_of(&FOUR, "4.0")) {
        let back = there_and_back(&card, Version::V3);
        prop_assert_eq!(essence(&back), essence(&card), "{}", card.to_version(Version::V3).to_text());
    }

    /// What a conversion could not carry is lost at once, not a little more each time.
    #[test]
    fn a_card_that_was_converted_comes_back_the_same_for_ever(
        three in anything("3.0"), four in anything("4.0"), wild in some_of(&WILD, "3.0"),
    ) {
        for card in [three, wild] {
            let up = card.to_version(Version::V4);
            prop_assert_eq!(essence(&there_and_back(&up, Version::V3)), essence(&up), "{}", up.to_version(Version::V3).to_text());
        }
        let down = four.to_version(Version::V3);
        prop_assert_eq!(essence(&there_and_back(&down, Version::V4)), essence(&down), "{}", down.to_version(Version::V4).to_text());
    }

    #[test]
    fn what_is_written_is_read_again_and_no_worse(card in anything("3.0"), version in prop::sample::select(&[Version::V3, Version::V4][..])) {
        let converted = card.to_version(version);
        let again = Card::parse(&converted.to_wire()).unwrap();
        prop_assert_eq!(essence(&again), essence(&converted));
        prop_assert_eq!(converted.version(), Some(version));
        let refused = |card: &Card| card.faults().into_iter().filter(|f| f.severity() == Severity::Refused).count();
        prop_assert!(refused(&converted) <= refused(&card));
    }

    #[test]
    fn nothing_is_rewritten_that_need_not_be(card in some_of(&THREE, "3.0")) {
        prop_assert_eq!(card.to_version(Version::V3).to_text(), card.to_text());
        let kept = ["CLASS:", "MAILER:", "X-ABUID:", "NICKNAME:", "CATEGORIES:", "X-SOCIALPROFILE"];
        let up = card.to_version(Version::V4).to_text();
        for line in card.to_text().lines().filter(|l| kept.iter().any(|k| l.starts_with(k))) {
            prop_assert!(up.contains(line));
        }
    }

    #[test]
    fn jcard_says_the_same_after_a_round(three in anything("3.0"), four in anything("4.0")) {
        for card in [three.to_version(Version::V4), four, three] {
            let once = to_jcard(&card);
            let back = from_jcard(&once).unwrap();
            prop_assert_eq!(to_jcard(&back), once);
            Card::parse(&back.to_wire()).unwrap();
        }
    }

    #[test]
    fn every_byte_comes_back(card in anything("4.0"), newline in prop::sample::select(&["\n", "\r\n"][..])) {
        let text = card.to_text().replace("\r\n", newline);
        prop_assert_eq!(Card::parse(&text).unwrap().to_text(), text);
    }
}
