use crate::vcard::date::{Format, Moment, Offset};

/// Examples of RFC 6350 §4.3 and RFC 7095 §3.5.3–§3.5.6.
#[test]
fn what_is_partly_known_is_read_and_written_in_both_formats() {
    for (basic, extended) in [
        ("19850412", "1985-04-12"),
        ("1985-04", "1985-04"),
        ("1985", "1985"),
        ("--0412", "--04-12"),
        ("--04", "--04"),
        ("---12", "---12"),
        ("T102200", "T10:22:00"),
        ("T1022", "T10:22"),
        ("T10", "T10"),
        ("T-2200", "T-22:00"),
        ("T-22", "T-22"),
        ("T--00", "T--00"),
        ("T102200Z", "T10:22:00Z"),
        ("T102200-0800", "T10:22:00-08:00"),
        ("T-2200-0800", "T-22:00-08:00"),
        ("19961022T140000", "1996-10-22T14:00:00"),
        ("--1022T1400", "--10-22T14:00"),
        ("---22T14", "---22T14"),
        ("19961022T140000Z", "1996-10-22T14:00:00Z"),
        ("19961022T140000+0530", "1996-10-22T14:00:00+05:30"),
    ] {
        for text in [basic, extended] {
            let moment = Moment::parse(text).unwrap_or_else(|| panic!("{text}"));
            assert_eq!(moment.write(Format::Basic), basic, "{text}");
            assert_eq!(moment.write(Format::Extended), extended, "{text}");
        }
    }
}

#[test]
fn what_is_no_date_is_none() {
    for text in [
        "",
        "T",
        "-",
        "--",
        "---",
        "1985-13-01",
        "1985-04-32",
        "198504",
        "19850412T",
        "T25",
        "T1260",
        "circa 1800",
        "1985-04-12-01",
        "éé",
        "T日本",
        "--é12",
        "1985é12",
        "T10+",
        "T10é",
        "20200101T10:00:00:00",
        "+1985",
    ] {
        assert_eq!(Moment::parse(text), None, "{text:?}");
    }
    assert_eq!(Offset::parse("+é1"), None);
}

#[test]
fn an_instant_needs_a_whole_date() {
    let instant = |text: &str| Moment::parse(text).and_then(|m| m.instant()).map(|t| t.to_rfc3339());
    assert_eq!(instant("1995-10-31T22:27:10.123Z").as_deref(), Some("1995-10-31T22:27:10+00:00"));
    assert_eq!(instant("19951031T222710-0800").as_deref(), Some("1995-11-01T06:27:10+00:00"));
    assert_eq!(instant("19951031").as_deref(), Some("1995-10-31T00:00:00+00:00"));
    assert_eq!(instant("20161231T235960Z").as_deref(), Some("2016-12-31T23:59:59+00:00"));
    assert_eq!(instant("1995"), None);
    assert_eq!(instant("20230229"), None);
}
