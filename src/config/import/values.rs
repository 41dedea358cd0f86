//! Values of the reference's files: durations, sizes, booleans, places of files (storage §8.1).

use std::time::Duration;

/// Units of durations, in milliseconds. Months and years are the average ones of the Gregorian calendar.
const UNITS: &[(&[&str], u64)] = &[
    (&["ms", "msec", "msecs"], 1),
    (&["s", "sec", "secs", "second", "seconds"], 1_000),
    (&["m", "min", "mins", "minute", "minutes"], 60_000),
    (&["h", "hour", "hours"], 3_600_000),
    (&["d", "day", "days"], 86_400_000),
    (&["w", "week", "weeks"], 7 * 86_400_000),
    (&["month", "months"], 2_629_746_000),
    (&["y", "year", "years"], 31_556_952_000),
];

/// What a number without unit means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Milliseconds.
    Ms,
    /// Seconds.
    S,
}

/// A duration: an integer and a unit (`D`).
pub fn duration(text: &str, bare: Unit) -> Option<Duration> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = (text[..digits].parse::<u64>().ok()?, text[digits..].trim().to_ascii_lowercase());
    let ms = match (unit.as_str(), bare) {
        ("", Unit::Ms) => 1,
        ("", Unit::S) => 1_000,
        (unit, _) => UNITS.iter().find(|(names, _)| names.contains(&unit))?.1,
    };
    number.checked_mul(ms).map(Duration::from_millis)
}

/// An ISO 8601 duration of days and smaller units, e.g. `PT12H`.
pub fn iso_duration(text: &str) -> Option<Duration> {
    let text = text.trim().to_ascii_uppercase();
    let (days, time) = match text.strip_prefix('P')?.split_once('T') {
        Some((days, time)) if !time.is_empty() => (days, time),
        Some(_) => return None,
        None => (text.strip_prefix('P')?, ""),
    };
    if days.is_empty() && time.is_empty() {
        return None;
    }
    let mut seconds = 0u64;
    let mut rest = time;
    if !days.is_empty() {
        seconds = days.strip_suffix('D')?.parse::<u64>().ok()?.checked_mul(86_400)?;
    }
    for (unit, length) in [('H', 3_600), ('M', 60), ('S', 1)] {
        if let Some((number, after)) = rest.split_once(unit) {
            seconds = seconds.checked_add(number.parse::<u64>().ok()?.checked_mul(length)?)?;
            rest = after;
        }
    }
    rest.is_empty().then(|| Duration::from_secs(seconds))
}

/// A size in octets: an integer of 32 bits and a binary unit (`S`).
pub fn size(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number = u64::from(text[..digits].parse::<u32>().ok().filter(|n| i32::try_from(*n).is_ok())?);
    let unit = match text[digits..].trim() {
        "" | "bytes" => 0,
        "KiB" => 10,
        "MiB" => 20,
        "GiB" => 30,
        "TiB" => 40,
        _ => return None,
    };
    Some(number << unit)
}

/// A boolean as the reference reads it.
pub fn boolean(text: &str) -> Option<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "y" | "t" => Some(true),
        "false" | "no" | "off" | "n" | "f" => Some(false),
        _ => None,
    }
}

/// Where a file is that a key points to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// In the configuration folder, below it.
    Folder(String),
    /// In the reference's own program, or a file in the configuration folder of that name.
    Program(String),
    /// Somewhere else.
    Elsewhere(String),
    /// In a form that the reference does not understand.
    Unknown(String),
}

/// Reads a location.
pub fn location(text: &str) -> Location {
    let text = text.trim();
    if let Some(path) = text.strip_prefix("classpath:") {
        return Location::Program(path.trim_start_matches('/').to_owned());
    }
    match text.strip_prefix("file://") {
        Some(path) if path.starts_with('/') => Location::Elsewhere(path.to_owned()),
        Some(path) => match path.strip_prefix("conf/") {
            Some(inside) if !inside.split('/').any(|part| part == "..") => Location::Folder(inside.to_owned()),
            _ => Location::Elsewhere(path.to_owned()),
        },
        None => Location::Unknown(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations_have_units_of_any_case_and_a_default_that_depends_on_the_key() {
        let ms = |text, bare| duration(text, bare).map(|d| d.as_millis());
        for (text, expected) in [
            ("15", Some(15_000)),
            ("15ms", Some(15)),
            ("2 MSECS", Some(2)),
            ("3 Seconds", Some(3_000)),
            ("2m", Some(120_000)),
            ("1h", Some(3_600_000)),
            ("1 day", Some(86_400_000)),
            ("1w", Some(604_800_000)),
            ("1 month", Some(2_629_746_000)),
            ("1y", Some(31_556_952_000)),
            ("-1s", None),
            ("1 fortnight", None),
            ("s", None),
            ("", None),
            ("1.5s", None),
            ("18446744073709551615y", None),
        ] {
            assert_eq!(ms(text, Unit::S), expected, "{text:?}");
        }
        assert_eq!(ms("15", Unit::Ms), Some(15));
    }

    #[test]
    fn iso_durations_are_read() {
        let s = |text| iso_duration(text).map(|d| d.as_secs());
        assert_eq!(s("PT12H"), Some(43_200));
        assert_eq!(s("P1DT2H3M4S"), Some(93_784));
        assert_eq!(s("P1D"), Some(86_400));
        for bad in ["12h", "1d", "P", "PT", "PT5X", "P1W"] {
            assert_eq!(s(bad), None, "{bad}");
        }
    }

    #[test]
    fn sizes_are_binary_and_case_sensitive() {
        for (text, expected) in [
            ("50MiB", Some(50 << 20)),
            ("50 MiB", Some(50 << 20)),
            ("10", Some(10)),
            ("10bytes", Some(10)),
            ("1TiB", Some(1 << 40)),
            ("50MB", None),
            ("50Mib", None),
            ("3000000000", None),
            ("-1", None),
            ("MiB", None),
        ] {
            assert_eq!(size(text), expected, "{text:?}");
        }
    }

    #[test]
    fn locations_never_leave_the_folder() {
        assert_eq!(location("file://conf/jwt_privatekey"), Location::Folder("jwt_privatekey".to_owned()));
        assert_eq!(location("classpath:jwt_privatekey"), Location::Program("jwt_privatekey".to_owned()));
        assert_eq!(location("classpath://jwt_privatekey"), Location::Program("jwt_privatekey".to_owned()));
        assert_eq!(location("file:///etc/key"), Location::Elsewhere("/etc/key".to_owned()));
        assert_eq!(location("file://conf/../key"), Location::Elsewhere("conf/../key".to_owned()));
        assert_eq!(location("conf://key"), Location::Unknown("conf://key".to_owned()));
    }

    proptest! {
        #[test]
        fn no_text_makes_them_fail(text in any::<String>()) {
            duration(&text, Unit::S);
            iso_duration(&text);
            size(&text);
            boolean(&text);
            location(&text);
        }
    }
}
