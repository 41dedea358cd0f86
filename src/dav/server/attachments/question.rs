//! What a request about attachments asks for (RFC 8607 §3.3), and what a file is called in headers (RFC 6266). Pure.

use http::header::{CONTENT_DISPOSITION, HeaderMap};
use percent_encoding::{NON_ALPHANUMERIC, percent_decode, percent_decode_str, utf8_percent_encode};

use super::edit::{Instance, Instances};
use super::not_valid;
use crate::dav::error::DavError;
use crate::ical::{When, Zones};

/// Name of what came without one.
const UNNAMED: &str = "attachment";
/// Octets of a name that are kept.
const MOST_OF_A_NAME: usize = 200;

/// What is to be done.
#[derive(Debug, PartialEq)]
pub(super) enum Action {
    Add { instances: Instances },
    Update { id: String },
    Remove { id: String, instances: Instances },
}

impl Action {
    /// Reads it from a query string; `most` says how many instances it may name.
    ///
    /// # Errors
    /// 403 with `valid-action`, `valid-rid` or `valid-managed-id`.
    pub(super) fn read(query: &str, most: usize) -> Result<Self, DavError> {
        let action = the_one(query, "action", "cal:valid-action")?;
        let id = the_one(query, "managed-id", "cal:valid-managed-id")?;
        let rid = the_one(query, "rid", "cal:valid-rid")?;
        let required = |id: Option<String>| {
            id.ok_or_else(|| not_valid("cal:valid-managed-id", "managed-id must say which attachment"))
        };
        match action.as_deref() {
            Some("attachment-add") if id.is_some() => {
                Err(not_valid("cal:valid-managed-id", "What is added gets its id from the server"))
            }
            Some("attachment-add") => Ok(Self::Add { instances: instances(rid.as_deref(), most)? }),
            Some("attachment-update") if rid.is_some() => {
                Err(not_valid("cal:valid-rid", "An attachment is replaced in all instances that have it"))
            }
            Some("attachment-update") => Ok(Self::Update { id: required(id)? }),
            Some("attachment-remove") => {
                Ok(Self::Remove { id: required(id)?, instances: instances(rid.as_deref(), most)? })
            }
            _ => Err(not_valid("cal:valid-action", "action is attachment-add, attachment-update or attachment-remove")),
        }
    }
}

/// The value of a parameter that may be there once.
fn the_one(query: &str, name: &str, condition: &'static str) -> Result<Option<String>, DavError> {
    let mut values = query.split('&').filter_map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (key == name).then_some(value)
    });
    let value = values.next();
    if values.next().is_some() {
        return Err(not_valid(condition, format!("{name} is there more than once")));
    }
    let decoded = |value: &str| percent_decode_str(value).decode_utf8().map(|text| text.trim().to_owned());
    value.map(decoded).transpose().map_err(|_| not_valid(condition, format!("{name} is no text")))
}

fn instances(rid: Option<&str>, most: usize) -> Result<Instances, DavError> {
    let Some(rid) = rid else { return Ok(Instances::All) };
    if rid.split(',').nth(most).is_some() {
        return Err(not_valid("cal:valid-rid", format!("rid names more than {most} instances")));
    }
    let instance = |value: &str| match value.trim() {
        "M" => Ok(Instance::Master),
        value => When::parse(value, None, &Zones::default())
            .map(Instance::At)
            .map_err(|error| not_valid("cal:valid-rid", format!("{value:?} is no RECURRENCE-ID: {error}"))),
    };
    rid.split(',').map(instance).collect::<Result<_, _>>().map(Instances::These)
}

/// The name of a file as `Content-Disposition` says, without folders (RFC 6266 §4.3).
pub(super) fn file_name(headers: &HeaderMap) -> String {
    let header = headers.get(CONTENT_DISPOSITION).map(|v| v.as_bytes()).unwrap_or_default();
    let params = parameters(header);
    let find = |name: &str| params.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value);
    // RFC 8187: charset'language'percent-encoded.
    let extended = find("filename*").and_then(|value| {
        let mut parts = value.splitn(3, |b| *b == b'\'');
        let charset = parts.next()?.to_ascii_lowercase();
        let text: Vec<u8> = percent_decode(parts.nth(1)?).collect();
        match charset.as_slice() {
            b"utf-8" => String::from_utf8(text).ok(),
            b"iso-8859-1" => Some(text.into_iter().map(char::from).collect()),
            _ => None,
        }
    });
    // Apple's programs write UTF-8 as it is.
    let name = extended.or_else(|| find("filename").map(|value| String::from_utf8_lossy(value).into_owned()));
    cleaned(&name.unwrap_or_default())
}

/// The parameters of a header value, quotes and escapes taken off.
fn parameters(header: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    let mut pieces: Vec<Vec<u8>> = vec![Vec::new()];
    let (mut quoted, mut escaped) = (false, false);
    for &byte in header {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => {
                escaped = true;
                continue;
            }
            b'"' => {
                quoted = !quoted;
                continue;
            }
            b';' if !quoted => {
                pieces.push(Vec::new());
                continue;
            }
            _ => {}
        }
        if let Some(piece) = pieces.last_mut() {
            piece.push(byte);
        }
    }
    for piece in pieces.iter().skip(1) {
        if let Some(at) = piece.iter().position(|b| *b == b'=') {
            let (name, value) = (&piece[..at], &piece[at + 1..]);
            found.push((String::from_utf8_lossy(name).trim().to_owned(), value.trim_ascii().to_vec()));
        }
    }
    found
}

/// A name that is one segment of a path, and one line.
fn cleaned(name: &str) -> String {
    let name = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let name: String = name.chars().filter(|c| !c.is_control()).collect();
    let mut name = name.trim();
    while name.len() > MOST_OF_A_NAME {
        let last = name.char_indices().next_back().map_or(0, |(at, _)| at);
        name = &name[..last];
    }
    if matches!(name, "" | "." | "..") { UNNAMED.to_owned() } else { name.to_owned() }
}

/// `Content-Disposition` of a file that is to be kept and not shown.
pub(super) fn disposition(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_graphic() && !matches!(c, '"' | '\\' | '%') || c == ' ' { c } else { '_' };
    let ascii: String = name.chars().map(plain).collect();
    let exact = utf8_percent_encode(name, NON_ALPHANUMERIC);
    format!("attachment; filename=\"{ascii}\"; filename*=UTF-8''{exact}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dav::error::Condition;
    use http::header::HeaderValue;

    fn refusal(query: &str) -> &'static str {
        match Action::read(query, 2).unwrap_err().condition {
            Some(Condition::Empty(tag)) => tag,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn actions_are_read_as_the_rfc_writes_them() {
        assert_eq!(Action::read("action=attachment-add", 2).unwrap(), Action::Add { instances: Instances::All });
        let update = Action::read("managed-id=97S&action=attachment-update", 2).unwrap();
        assert_eq!(update, Action::Update { id: "97S".to_owned() });
        let rid = When::parse("20300102T090000Z", None, &Zones::default()).unwrap();
        let instances = Instances::These(vec![Instance::Master, Instance::At(rid)]);
        let remove = Action::read("action=attachment-remove&managed-id=a%2Db&rid=M%2C20300102T090000Z", 2).unwrap();
        assert_eq!(remove, Action::Remove { id: "a-b".to_owned(), instances });
    }

    #[test]
    fn each_parameter_has_a_condition_of_its_own() {
        for (query, tag) in [
            ("action=", "cal:valid-action"),
            ("action=attachment-keep", "cal:valid-action"),
            ("action=attachment-add&action=attachment-add", "cal:valid-action"),
            ("action=attachment-add&managed-id=1", "cal:valid-managed-id"),
            ("action=attachment-update", "cal:valid-managed-id"),
            ("action=attachment-remove&managed-id=1&managed-id=2", "cal:valid-managed-id"),
            ("action=attachment-update&managed-id=1&rid=M", "cal:valid-rid"),
            ("action=attachment-add&rid=tomorrow", "cal:valid-rid"),
            ("action=attachment-add&rid=", "cal:valid-rid"),
            ("action=attachment-add&rid=M&rid=M", "cal:valid-rid"),
            ("action=attachment-add&rid=M,M,M", "cal:valid-rid"),
        ] {
            assert_eq!(refusal(query), tag, "{query}");
        }
    }

    #[test]
    fn names_are_read_and_cleaned() {
        for (header, name) in [
            ("attachment;filename=agenda.html", "agenda.html"),
            ("attachment; filename=\"a; b\\\"c.txt\"", "a; b\"c.txt"),
            ("attachment; filename=x.txt; filename*=UTF-8''%e2%82%ac%20rates.txt", "€ rates.txt"),
            ("attachment; filename*=iso-8859-1'en'%A3.txt", "£.txt"),
            ("attachment; filename=\"Übersicht.pdf\"", "Übersicht.pdf"),
            ("attachment; filename=\"../../etc/passwd\"", "passwd"),
            ("attachment; filename=\"C:\\\\x\\\\y.doc\"", "y.doc"),
            ("attachment; filename=\"..\"", UNNAMED),
            ("attachment", UNNAMED),
            ("attachment; filename=", UNNAMED),
        ] {
            let value = HeaderValue::from_bytes(header.as_bytes()).unwrap();
            assert_eq!(file_name(&HeaderMap::from_iter([(CONTENT_DISPOSITION, value)])), name, "{header}");
        }
        assert_eq!(file_name(&HeaderMap::new()), UNNAMED);
        assert!(cleaned(&"é".repeat(500)).len() <= MOST_OF_A_NAME);
    }

    #[test]
    fn a_name_cannot_break_out_of_its_header() {
        assert_eq!(
            disposition("a\"b é.txt"),
            "attachment; filename=\"a_b _.txt\"; filename*=UTF-8''a%22b%20%C3%A9%2Etxt"
        );
    }
}
