//! What people call time zones, and the IANA zone each name stands for.

use chrono::{FixedOffset, NaiveDate, Offset, TimeZone};
use chrono_tz::{TZ_VARIANTS, Tz};

use super::definition::parse_offset;

/// Octets of a name worth looking up.
const MAX_NAME: usize = 200;
/// Path segments or cities of a name worth looking up.
const MAX_PARTS: usize = 10;

/// The IANA zone a TZID stands for: an IANA id in any case, one behind a registry prefix
/// (`/mozilla.org/20050126_1/Europe/Paris`), a Windows name, or a display name such as
/// `(UTC+01:00) Amsterdam, Berlin, Bern, Rome`.
pub(super) fn iana(tzid: &str) -> Option<Tz> {
    let name = tzid.trim().trim_matches('"');
    if name.len() > MAX_NAME {
        return None;
    }
    if let Ok(tz) = name.parse() {
        return Some(tz);
    }
    by_id(name)
        .or_else(|| name.match_indices('/').take(MAX_PARTS).find_map(|(i, _)| by_id(&name[i + 1..])))
        .or_else(|| windows(name))
        .or_else(|| display_name(name))
        .or_else(|| {
            // Outlook numbers zones that it saw with several definitions: "W. Europe Standard Time 1".
            let (base, number) = name.rsplit_once(' ')?;
            (!number.is_empty() && number.bytes().all(|b| b.is_ascii_digit())).then(|| iana(base))?
        })
}

/// `UTC+02:00`, `GMT-3`, `+0530`, or the offset at the head of a display name that nothing else explains.
pub(super) fn fixed_offset(tzid: &str) -> Option<FixedOffset> {
    let name = tzid.trim();
    if let Some((offset, _)) = offset_prefix(name) {
        return Some(offset);
    }
    offset(name)
}

fn offset(text: &str) -> Option<FixedOffset> {
    let sign = text.find(['+', '-'])?;
    if !matches!(text[..sign].to_ascii_uppercase().as_str(), "" | "UTC" | "GMT") {
        return None;
    }
    let digits: String = text[sign + 1..].chars().filter(|c| !matches!(c, ':' | '.')).collect();
    let digits = match digits.len() {
        1 => format!("0{digits}00"),
        2 => format!("{digits}00"),
        3 => format!("0{digits}"),
        _ => digits,
    };
    parse_offset(&format!("{}{digits}", &text[sign..=sign]))
}

/// Splits `(UTC+01:00) Amsterdam, Berlin` into offset and rest.
fn offset_prefix(name: &str) -> Option<(FixedOffset, &str)> {
    let (head, rest) = name.strip_prefix('(')?.split_once(')')?;
    let offset = match head.to_ascii_uppercase().as_str() {
        "UTC" | "GMT" => FixedOffset::east_opt(0)?,
        _ => offset(head)?,
    };
    Some((offset, rest.trim()))
}

fn by_id(name: &str) -> Option<Tz> {
    name.parse().ok().or_else(|| TZ_VARIANTS.iter().find(|tz| tz.name().eq_ignore_ascii_case(name)).copied())
}

fn windows(name: &str) -> Option<Tz> {
    WINDOWS.iter().find(|(windows, _)| windows.eq_ignore_ascii_case(name)).map(|(_, tz)| *tz)
}

fn display_name(name: &str) -> Option<Tz> {
    let (offset, rest) = match offset_prefix(name) {
        Some((offset, rest)) => (Some(offset), rest),
        None => (None, name),
    };
    if let Some((_, tz)) = DISPLAY.iter().find(|(display, _)| display.eq_ignore_ascii_case(rest)) {
        return Some(*tz);
    }
    // A city alone is too little to go by: without the offset it is just a word.
    let offset = offset?;
    windows(rest).or_else(|| rest.split(',').take(MAX_PARTS).find_map(|city| city_zone(city.trim(), offset)))
}

/// The zone named after a city, if its offset is or was the one given.
fn city_zone(city: &str, offset: FixedOffset) -> Option<Tz> {
    let city = city.replace(' ', "_");
    let times = [(2020, 1), (2020, 7), (2010, 1), (2010, 7)];
    let has_offset = |tz: &Tz| {
        times.iter().any(|(year, month)| {
            let noon = NaiveDate::from_ymd_opt(*year, *month, 15).and_then(|d| d.and_hms_opt(12, 0, 0));
            noon.is_some_and(|t| tz.offset_from_utc_datetime(&t).fix() == offset)
        })
    };
    let named = |tz: &&Tz| tz.name().rsplit('/').next().is_some_and(|last| last.eq_ignore_ascii_case(&city));
    TZ_VARIANTS.iter().filter(named).find(|tz| has_offset(tz)).copied()
}

/// Display names without a city.
const DISPLAY: &[(&str, Tz)] = &[
    ("Alaska", Tz::America__Anchorage),
    ("Arizona", Tz::America__Phoenix),
    ("Atlantic Time (Canada)", Tz::America__Halifax),
    ("Baja California", Tz::America__Tijuana),
    ("Central America", Tz::America__Guatemala),
    ("Central Time (US & Canada)", Tz::America__Chicago),
    ("Coordinated Universal Time", Tz::UTC),
    ("Eastern Time (US & Canada)", Tz::America__New_York),
    ("Greenwich Mean Time", Tz::Europe__London),
    ("Hawaii", Tz::Pacific__Honolulu),
    ("Indiana (East)", Tz::America__Indiana__Indianapolis),
    ("Mountain Time (US & Canada)", Tz::America__Denver),
    ("Newfoundland", Tz::America__St_Johns),
    ("Pacific Time (US & Canada)", Tz::America__Los_Angeles),
    ("Saskatchewan", Tz::America__Regina),
];

/// Windows zone names and the zone of the world region ("001") of each, from CLDR's `windowsZones.xml`.
#[rustfmt::skip]
const WINDOWS: &[(&str, Tz)] = &[
    ("AUS Central Standard Time", Tz::Australia__Darwin),
    ("AUS Eastern Standard Time", Tz::Australia__Sydney),
    ("Afghanistan Standard Time", Tz::Asia__Kabul),
    ("Alaskan Standard Time", Tz::America__Anchorage),
    ("Aleutian Standard Time", Tz::America__Adak),
    ("Altai Standard Time", Tz::Asia__Barnaul),
    ("Arab Standard Time", Tz::Asia__Riyadh),
    ("Arabian Standard Time", Tz::Asia__Dubai),
    ("Arabic Standard Time", Tz::Asia__Baghdad),
    ("Argentina Standard Time", Tz::America__Argentina__Buenos_Aires),
    ("Astrakhan Standard Time", Tz::Europe__Astrakhan),
    ("Atlantic Standard Time", Tz::America__Halifax),
    ("Aus Central W. Standard Time", Tz::Australia__Eucla),
    ("Azerbaijan Standard Time", Tz::Asia__Baku),
    ("Azores Standard Time", Tz::Atlantic__Azores),
    ("Bahia Standard Time", Tz::America__Bahia),
    ("Bangladesh Standard Time", Tz::Asia__Dhaka),
    ("Belarus Standard Time", Tz::Europe__Minsk),
    ("Bougainville Standard Time", Tz::Pacific__Bougainville),
    ("Canada Central Standard Time", Tz::America__Regina),
    ("Cape Verde Standard Time", Tz::Atlantic__Cape_Verde),
    ("Caucasus Standard Time", Tz::Asia__Yerevan),
    ("Cen. Australia Standard Time", Tz::Australia__Adelaide),
    ("Central America Standard Time", Tz::America__Guatemala),
    ("Central Asia Standard Time", Tz::Asia__Bishkek),
    ("Central Brazilian Standard Time", Tz::America__Cuiaba),
    ("Central Europe Standard Time", Tz::Europe__Budapest),
    ("Central European Standard Time", Tz::Europe__Warsaw),
    ("Central Pacific Standard Time", Tz::Pacific__Guadalcanal),
    ("Central Standard Time", Tz::America__Chicago),
    ("Central Standard Time (Mexico)", Tz::America__Mexico_City),
    ("Chatham Islands Standard Time", Tz::Pacific__Chatham),
    ("China Standard Time", Tz::Asia__Shanghai),
    ("Cuba Standard Time", Tz::America__Havana),
    ("Dateline Standard Time", Tz::Etc__GMTPlus12),
    ("E. Africa Standard Time", Tz::Africa__Nairobi),
    ("E. Australia Standard Time", Tz::Australia__Brisbane),
    ("E. Europe Standard Time", Tz::Europe__Chisinau),
    ("E. South America Standard Time", Tz::America__Sao_Paulo),
    ("Easter Island Standard Time", Tz::Pacific__Easter),
    ("Eastern Standard Time", Tz::America__New_York),
    ("Eastern Standard Time (Mexico)", Tz::America__Cancun),
    ("Egypt Standard Time", Tz::Africa__Cairo),
    ("Ekaterinburg Standard Time", Tz::Asia__Yekaterinburg),
    ("FLE Standard Time", Tz::Europe__Kyiv),
    ("Fiji Standard Time", Tz::Pacific__Fiji),
    ("GMT Standard Time", Tz::Europe__London),
    ("GTB Standard Time", Tz::Europe__Bucharest),
    ("Georgian Standard Time", Tz::Asia__Tbilisi),
    ("Greenland Standard Time", Tz::America__Nuuk),
    ("Greenwich Standard Time", Tz::Atlantic__Reykjavik),
    ("Haiti Standard Time", Tz::America__PortauPrince),
    ("Hawaiian Standard Time", Tz::Pacific__Honolulu),
    ("India Standard Time", Tz::Asia__Kolkata),
    ("Iran Standard Time", Tz::Asia__Tehran),
    ("Israel Standard Time", Tz::Asia__Jerusalem),
    ("Jordan Standard Time", Tz::Asia__Amman),
    ("Kaliningrad Standard Time", Tz::Europe__Kaliningrad),
    ("Kamchatka Standard Time", Tz::Asia__Kamchatka),
    ("Korea Standard Time", Tz::Asia__Seoul),
    ("Libya Standard Time", Tz::Africa__Tripoli),
    ("Line Islands Standard Time", Tz::Pacific__Kiritimati),
    ("Lord Howe Standard Time", Tz::Australia__Lord_Howe),
    ("Magadan Standard Time", Tz::Asia__Magadan),
    ("Magallanes Standard Time", Tz::America__Punta_Arenas),
    ("Marquesas Standard Time", Tz::Pacific__Marquesas),
    ("Mauritius Standard Time", Tz::Indian__Mauritius),
    ("Mid-Atlantic Standard Time", Tz::Etc__GMTPlus2),
    ("Middle East Standard Time", Tz::Asia__Beirut),
    ("Montevideo Standard Time", Tz::America__Montevideo),
    ("Morocco Standard Time", Tz::Africa__Casablanca),
    ("Mountain Standard Time", Tz::America__Denver),
    ("Mountain Standard Time (Mexico)", Tz::America__Mazatlan),
    ("Myanmar Standard Time", Tz::Asia__Yangon),
    ("N. Central Asia Standard Time", Tz::Asia__Novosibirsk),
    ("Namibia Standard Time", Tz::Africa__Windhoek),
    ("Nepal Standard Time", Tz::Asia__Kathmandu),
    ("New Zealand Standard Time", Tz::Pacific__Auckland),
    ("Newfoundland Standard Time", Tz::America__St_Johns),
    ("Norfolk Standard Time", Tz::Pacific__Norfolk),
    ("North Asia East Standard Time", Tz::Asia__Irkutsk),
    ("North Asia Standard Time", Tz::Asia__Krasnoyarsk),
    ("North Korea Standard Time", Tz::Asia__Pyongyang),
    ("Omsk Standard Time", Tz::Asia__Omsk),
    ("Pacific SA Standard Time", Tz::America__Santiago),
    ("Pacific Standard Time", Tz::America__Los_Angeles),
    ("Pacific Standard Time (Mexico)", Tz::America__Tijuana),
    ("Pakistan Standard Time", Tz::Asia__Karachi),
    ("Paraguay Standard Time", Tz::America__Asuncion),
    ("Qyzylorda Standard Time", Tz::Asia__Qyzylorda),
    ("Romance Standard Time", Tz::Europe__Paris),
    ("Russia Time Zone 10", Tz::Asia__Srednekolymsk),
    ("Russia Time Zone 11", Tz::Asia__Kamchatka),
    ("Russia Time Zone 3", Tz::Europe__Samara),
    ("Russian Standard Time", Tz::Europe__Moscow),
    ("SA Eastern Standard Time", Tz::America__Cayenne),
    ("SA Pacific Standard Time", Tz::America__Bogota),
    ("SA Western Standard Time", Tz::America__La_Paz),
    ("SE Asia Standard Time", Tz::Asia__Bangkok),
    ("Saint Pierre Standard Time", Tz::America__Miquelon),
    ("Sakhalin Standard Time", Tz::Asia__Sakhalin),
    ("Samoa Standard Time", Tz::Pacific__Apia),
    ("Sao Tome Standard Time", Tz::Africa__Sao_Tome),
    ("Saratov Standard Time", Tz::Europe__Saratov),
    ("Singapore Standard Time", Tz::Asia__Singapore),
    ("South Africa Standard Time", Tz::Africa__Johannesburg),
    ("South Sudan Standard Time", Tz::Africa__Juba),
    ("Sri Lanka Standard Time", Tz::Asia__Colombo),
    ("Sudan Standard Time", Tz::Africa__Khartoum),
    ("Syria Standard Time", Tz::Asia__Damascus),
    ("Taipei Standard Time", Tz::Asia__Taipei),
    ("Tasmania Standard Time", Tz::Australia__Hobart),
    ("Tocantins Standard Time", Tz::America__Araguaina),
    ("Tokyo Standard Time", Tz::Asia__Tokyo),
    ("Tomsk Standard Time", Tz::Asia__Tomsk),
    ("Tonga Standard Time", Tz::Pacific__Tongatapu),
    ("Transbaikal Standard Time", Tz::Asia__Chita),
    ("Turkey Standard Time", Tz::Europe__Istanbul),
    ("Turks And Caicos Standard Time", Tz::America__Grand_Turk),
    ("US Eastern Standard Time", Tz::America__Indiana__Indianapolis),
    ("US Mountain Standard Time", Tz::America__Phoenix),
    ("UTC", Tz::UTC),
    ("UTC+12", Tz::Etc__GMTMinus12),
    ("UTC+13", Tz::Etc__GMTMinus13),
    ("UTC-02", Tz::Etc__GMTPlus2),
    ("UTC-08", Tz::Etc__GMTPlus8),
    ("UTC-09", Tz::Etc__GMTPlus9),
    ("UTC-11", Tz::Etc__GMTPlus11),
    ("Ulaanbaatar Standard Time", Tz::Asia__Ulaanbaatar),
    ("Venezuela Standard Time", Tz::America__Caracas),
    ("Vladivostok Standard Time", Tz::Asia__Vladivostok),
    ("Volgograd Standard Time", Tz::Europe__Volgograd),
    ("W. Australia Standard Time", Tz::Australia__Perth),
    ("W. Central Africa Standard Time", Tz::Africa__Lagos),
    ("W. Europe Standard Time", Tz::Europe__Berlin),
    ("W. Mongolia Standard Time", Tz::Asia__Hovd),
    ("West Asia Standard Time", Tz::Asia__Tashkent),
    ("West Bank Standard Time", Tz::Asia__Hebron),
    ("West Pacific Standard Time", Tz::Pacific__Port_Moresby),
    ("Yakutsk Standard Time", Tz::Asia__Yakutsk),
    ("Yukon Standard Time", Tz::America__Whitehorse),
];
