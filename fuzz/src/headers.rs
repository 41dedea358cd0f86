//! Headers and addresses: `If` and its like, paths and hrefs. The first line is a path, the others are headers.

use convoke::dav::path::{Location, MOUNT};
use convoke::dav::precondition::{Preconditions, ResourceState};
use http::{HeaderMap, HeaderName, HeaderValue};

pub fn check(data: &[u8]) {
    let mut lines = data.split(|b| *b == b'\n');
    let path = lines.next().and_then(|line| std::str::from_utf8(line).ok()).unwrap_or_default();
    address(path);
    let mut headers = HeaderMap::new();
    for line in lines.take(64) {
        let Some(at) = line.iter().position(|b| *b == b':') else { continue };
        let (name, value) = (HeaderName::from_bytes(&line[..at]), HeaderValue::from_bytes(line[at + 1..].trim_ascii()));
        if let (Ok(name), Ok(value)) = (name, value) {
            headers.append(name, value);
        }
    }
    conditions(path, &headers);
}

/// A place that is written down is the same place.
fn address(path: &str) {
    if let Some(location) = Location::parse(path) {
        let href = location.href();
        assert_eq!(Location::parse(&href).as_ref(), Some(&location), "{path:?} is written as {href:?}");
        let seen = format!("{MOUNT}{href}");
        assert_eq!(Location::parse_href(&seen, MOUNT).as_ref(), Some(&location), "{seen:?}");
        assert_eq!(Location::parse_href(&format!("https://h{seen}?x#y"), MOUNT), Some(location), "{seen:?}");
    }
    let _ = Location::parse_href(path, MOUNT);
}

fn conditions(path: &str, headers: &HeaderMap) {
    let Ok(conditions) = Preconditions::read(headers) else { return };
    let here = Location::parse(path).unwrap_or(Location::Root);
    let check = |etag| conditions.check(&[ResourceState { location: &here, etag, token: None }], MOUNT);
    let (there, gone) = (check(Some("a")), check(None));
    if conditions.is_empty() {
        assert!(there.is_ok() && gone.is_ok(), "nothing is asked, and something does not hold");
    }
    let octets: usize = headers.values().map(HeaderValue::len).sum();
    assert!(conditions.tokens().count() + conditions.tagged(MOUNT).count() <= octets);
}
