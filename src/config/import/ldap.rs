//! `usersrepository.xml` (storage §7, webadmin §7): the directory of users. convoke asks no LDAP server yet, so that every
//! attribute gets a word; what the reference refuses is refused.

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use super::draft::Draft;

pub const FILE: &str = "usersrepository.xml";

const LDAP: &str =
    "not built in this version: people sign in with an OpenID provider, or with accounts of `convoke user`";

const ATTRIBUTES: &[&str] = &[
    "ldapHosts",
    "ldapHost",
    "principal",
    "credentials",
    "userBase",
    "userListBase",
    "userIdAttribute",
    "usernameAttribute",
    "resolveLocalPartAttribute",
    "userObjectClass",
    "filter",
    "connectionTimeout",
    "readTimeout",
    "poolSize",
    "maxWaitTime",
    "trustAllCerts",
    "administratorId",
];
const NUMBERS: &[&str] = &["connectionTimeout", "readTimeout", "poolSize", "maxWaitTime"];
const MANDATORY: &[&str] = &["userBase", "userIdAttribute", "userObjectClass"];
const ELEMENTS: &[&str] = &[
    "supportsVirtualHosting",
    "enableVirtualHosting",
    "restriction",
    "domains",
    "verifyFailureDelay",
    "administratorId",
    "administratorIds",
];

/// What the file says, as far as its checks need it.
#[derive(Debug, Default)]
struct Users {
    attributes: Vec<(String, String)>,
    /// Elements below the root, each once, with its text.
    elements: Vec<(String, String)>,
    /// Domains with a base of their own.
    domains: Vec<String>,
}

/// Reads the file.
pub fn read(text: &str, draft: &mut Draft) {
    if text.trim().is_empty() {
        draft.remark(FILE, "", "empty, as if it were not there");
        return;
    }
    let users = match parse(text) {
        Ok(users) => users,
        Err(problem) => return draft.refuse(FILE, "", format!("is no XML: {problem}")),
    };
    let value = |name: &str| users.attributes.iter().find(|(key, _)| key == name).map(|(_, value)| value.trim());
    let missing = |name: &str| value(name).is_none_or(str::is_empty);
    if missing("ldapHosts") && missing("ldapHost") {
        draft.refuse(FILE, "@ldapHosts", "missing");
    }
    for name in MANDATORY.iter().filter(|name| missing(name)) {
        draft.refuse(FILE, &format!("@{name}"), "missing");
    }
    for (name, value) in &users.attributes {
        let key = format!("@{name}");
        match name.as_str() {
            "ldapHosts" | "ldapHost" if !is_host_list(value) => {
                draft.refuse(FILE, &key, "expected ldap:// or ldaps:// URLs, separated by commas");
            }
            name if NUMBERS.contains(&name) && value.trim().parse::<u32>().is_err() => {
                draft.refuse(FILE, &key, format!("found {value:?}, expected an integer"));
            }
            name if MANDATORY.contains(&name) && value.trim().is_empty() => {}
            name if ATTRIBUTES.contains(&name) => draft.remark(FILE, &key, LDAP),
            "name" | "class" => draft.remark(FILE, &key, "not needed: it names a Java class or its instance"),
            _ => draft.remark(FILE, &key, "unknown: neither Twake Calendar nor convoke has such an attribute"),
        }
    }
    let hosting = ["supportsVirtualHosting", "enableVirtualHosting"]
        .iter()
        .find_map(|name| users.elements.iter().find(|(element, _)| element == name))
        .is_some_and(|(_, text)| text.trim().eq_ignore_ascii_case("true"));
    for (name, _) in &users.elements {
        match name.as_str() {
            "domains" if !hosting => {
                let domains = users.domains.join(", ");
                draft.refuse(FILE, "domains", format!("{domains}: bases of domains need enableVirtualHosting"));
            }
            "algorithm" => draft.remark(FILE, name, "not needed: it has no effect with LDAP"),
            name if ELEMENTS.contains(&name) => draft.remark(FILE, name, LDAP),
            _ => draft.remark(FILE, name, "unknown: neither Twake Calendar nor convoke has such an element"),
        }
    }
}

fn is_host_list(text: &str) -> bool {
    text.split(',')
        .all(|host| url::Url::parse(host.trim()).is_ok_and(|u| matches!(u.scheme(), "ldap" | "ldaps") && u.has_host()))
}

fn parse(text: &str) -> Result<Users, String> {
    let mut reader = Reader::from_str(text);
    reader.config_mut().check_end_names = true;
    let mut users = Users::default();
    let mut depth = 0usize;
    loop {
        match reader.read_event().map_err(|e| e.to_string())? {
            Event::Start(start) => {
                users.open(&start, depth)?;
                depth += 1;
            }
            Event::Empty(start) => users.open(&start, depth)?,
            Event::End(_) => depth = depth.saturating_sub(1),
            Event::Text(text) if depth == 2 => {
                if let Some((_, value)) = users.elements.last_mut() {
                    value.push_str(&text);
                }
            }
            Event::Eof if depth > 0 => return Err("it ends within an element".to_owned()),
            Event::Eof if users.attributes.is_empty() && users.elements.is_empty() => {
                return Err("no element with attributes".to_owned());
            }
            Event::Eof => return Ok(users),
            _ => {}
        }
    }
}

impl Users {
    fn open(&mut self, start: &BytesStart<'_>, depth: usize) -> Result<(), String> {
        let name = start.local_name().as_ref().to_owned();
        match depth {
            0 => {
                for attribute in start.attributes() {
                    let attribute = attribute.map_err(|e| e.to_string())?;
                    let key = attribute.key.as_ref().to_owned();
                    let value = attribute.value.into_owned();
                    self.attributes.push((key, value));
                }
            }
            1 if !self.elements.iter().any(|(element, _)| *element == name) => {
                self.elements.push((name, String::new()));
            }
            2 if self.elements.last().is_some_and(|(element, _)| element == "domains") => self.domains.push(name),
            _ => {}
        }
        Ok(())
    }
}
