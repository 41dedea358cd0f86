//! Names of iCalendar as names of XML elements, and back. Nearly all are both; what XML does not take is written as
//! `_x2F_`, by the number of the character.

/// The element name of a component, property, parameter or type in lower case.
pub(super) fn to_xml(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for (index, c) in name.chars().enumerate() {
        let is_fine = c.is_ascii_alphabetic() || (index > 0 && (c.is_ascii_digit() || matches!(c, '-' | '.')));
        if is_fine { out.push(c) } else { out.push_str(&format!("_x{:X}_", u32::from(c))) }
    }
    out
}

/// The name that an element name stands for.
pub(super) fn from_xml(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    let mut rest = name;
    while let Some(at) = rest.find("_x") {
        out.push_str(&rest[..at]);
        let code = rest[at + 2..].split_once('_');
        let decoded =
            code.and_then(|(hex, after)| Some((u32::from_str_radix(hex, 16).ok().and_then(char::from_u32)?, after)));
        match decoded {
            Some((c, after)) => {
                out.push(c);
                rest = after;
            }
            None => {
                out.push_str("_x");
                rest = &rest[at + 2..];
            }
        }
    }
    out.push_str(rest);
    out
}
