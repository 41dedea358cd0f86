//! Which paths go to the DAV server, and what they are called there. Pure.

use std::borrow::Cow;

use http::Uri;

pub use crate::dav::path::MOUNT;

/// A path or `Destination` that is not sent on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// `.` or `..` as a segment, written in whatever way.
    #[error("the path has a dot segment")]
    DotSegment,
    /// `/` or `\` that hides behind percent-encoding, or a bare `\`.
    #[error("the path has an encoded slash or a backslash")]
    HiddenSlash,
    /// NUL or another control character.
    #[error("the path has a control character")]
    Control,
    /// `%` without two hex digits.
    #[error("the path is not properly percent-encoded")]
    BadEncoding,
    /// `Destination` is neither a path nor an http URL.
    #[error("Destination is neither a path nor a URL")]
    NoDestination,
    /// `Destination` is on another server (RFC 4918 §9.9.4).
    #[error("Destination is on another server")]
    ForeignDestination,
}

/// The DAV server's path for one of ours: without the mount, repeated slashes joined.
///
/// # Errors
/// For paths that two servers could read in two ways: nothing is repaired that could change which resource is meant.
pub fn dav_path(path: &str) -> Result<Cow<'_, str>, PathError> {
    let inside = match path.strip_prefix(MOUNT) {
        Some("") => "/",
        Some(rest) if rest.starts_with('/') => rest,
        _ => path,
    };
    refuse_ambiguity(inside)?;
    Ok(if inside.contains("//") { Cow::Owned(join_slashes(inside)) } else { Cow::Borrowed(inside) })
}

fn refuse_ambiguity(path: &str) -> Result<(), PathError> {
    let bytes = path.as_bytes();
    let mut dots_only = true;
    let mut dots = 0;
    let mut at = 0;
    while at < bytes.len() {
        let encoded = bytes[at] == b'%';
        let byte = if encoded { percent_decoded(bytes, at).ok_or(PathError::BadEncoding)? } else { bytes[at] };
        match byte {
            b'/' if !encoded => {
                if dots_only && (dots == 1 || dots == 2) {
                    return Err(PathError::DotSegment);
                }
                (dots_only, dots) = (true, 0);
            }
            b'/' | b'\\' => return Err(PathError::HiddenSlash),
            b'.' => dots += 1,
            _ if byte.is_ascii_control() => return Err(PathError::Control),
            _ => dots_only = false,
        }
        at += if encoded { 3 } else { 1 };
    }
    if dots_only && (dots == 1 || dots == 2) { Err(PathError::DotSegment) } else { Ok(()) }
}

fn percent_decoded(bytes: &[u8], at: usize) -> Option<u8> {
    let digit = |i: usize| char::from(*bytes.get(i)?).to_digit(16);
    u8::try_from(digit(at + 1)? * 16 + digit(at + 2)?).ok()
}

fn join_slashes(path: &str) -> String {
    let mut joined = String::with_capacity(path.len());
    for c in path.chars() {
        if !(c == '/' && joined.ends_with('/')) {
            joined.push(c);
        }
    }
    joined
}

/// The address people reach us by: decides which `Destination` is ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicAddress {
    authority: String,
    /// Path of the address without a trailing `/`; usually empty.
    prefix: String,
}

impl PublicAddress {
    /// The address of `[server] public_url`; one that cannot be read matches no `Destination`.
    pub fn new(public_url: &str) -> Self {
        let uri = public_url.parse::<Uri>().unwrap_or_default();
        let authority = uri.authority().map_or_else(String::new, |a| a.as_str().to_owned());
        Self { authority, prefix: uri.path().trim_end_matches('/').to_owned() }
    }

    /// The DAV server's path for a `Destination` (RFC 4918 §10.3): a URL of ours or a bare path, with or without the
    /// mount. `host` is what the client called us in this request.
    ///
    /// # Errors
    /// [`PathError::ForeignDestination`], [`PathError::NoDestination`], and those of [`dav_path`].
    pub fn destination(&self, destination: &str, host: Option<&str>) -> Result<String, PathError> {
        if destination.starts_with('/') && !destination.starts_with("//") {
            let path = destination.split(['?', '#']).next().unwrap_or_default();
            return dav_path(path).map(Cow::into_owned);
        }
        let uri = destination.parse::<Uri>().map_err(|_| PathError::NoDestination)?;
        let (Some("http" | "https"), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err(PathError::NoDestination);
        };
        let authority = authority.as_str();
        if !is_same_server(authority, &self.authority) && !host.is_some_and(|host| is_same_server(authority, host)) {
            return Err(PathError::ForeignDestination);
        }
        let path = uri.path();
        let path = match path.strip_prefix(self.prefix.as_str()) {
            Some(inside) if inside.starts_with('/') => inside,
            _ => path,
        };
        dav_path(path).map(Cow::into_owned)
    }
}

/// Default ports are left out by some clients and written by others; which of the two schemes it is decides a front
/// server, not us.
fn is_same_server(one: &str, other: &str) -> bool {
    let bare = |authority: &str| {
        let bare = authority.strip_suffix(":80").or_else(|| authority.strip_suffix(":443")).unwrap_or(authority);
        bare.to_ascii_lowercase()
    };
    !one.is_empty() && bare(one) == bare(other)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_mount_is_taken_off() {
        for (ours, theirs) in [
            ("/dav", "/"),
            ("/dav/", "/"),
            ("/dav/calendars/a/b.ics", "/calendars/a/b.ics"),
            ("/calendars/a", "/calendars/a"),
            ("/davos/a", "/davos/a"),
            ("/dav//calendars///a/", "/calendars/a/"),
            ("/dav//evil.example/x", "/evil.example/x"),
            ("/dav/calendars/a/b%20c%C3%A9.ics", "/calendars/a/b%20c%C3%A9.ics"),
            ("/dav/calendars/a/...", "/calendars/a/..."),
            ("/dav/calendars/a/.hidden", "/calendars/a/.hidden"),
            ("/dav/dav/x", "/dav/x"),
        ] {
            assert_eq!(dav_path(ours).unwrap(), theirs, "{ours}");
        }
    }

    #[test]
    fn paths_with_two_readings_are_refused() {
        for (path, why) in [
            ("/dav/../admin", PathError::DotSegment),
            ("/dav/..", PathError::DotSegment),
            ("/dav/./x", PathError::DotSegment),
            ("/dav/a/%2e%2E/x", PathError::DotSegment),
            ("/dav/a/.%2e", PathError::DotSegment),
            ("/dav/a%2fb", PathError::HiddenSlash),
            ("/dav/a%2Fb", PathError::HiddenSlash),
            ("/dav/a%5cb", PathError::HiddenSlash),
            ("/dav/a\\b", PathError::HiddenSlash),
            ("/dav/a%00b", PathError::Control),
            ("/dav/a%0d%0ab", PathError::Control),
            ("/dav/a%7f", PathError::Control),
            ("/dav/a%", PathError::BadEncoding),
            ("/dav/a%4", PathError::BadEncoding),
            ("/dav/a%zz", PathError::BadEncoding),
        ] {
            assert_eq!(dav_path(path), Err(why), "{path}");
        }
    }

    #[test]
    fn destinations_are_ours_or_refused() {
        let us = PublicAddress::new("https://calendar.example.org/side");
        let host = Some("127.0.0.1:8080");
        for ours in [
            "https://calendar.example.org/side/dav/calendars/a/b.ics",
            "https://Calendar.Example.org:443/side/calendars/a/b.ics",
            "http://calendar.example.org/dav/calendars/a/b.ics",
            "http://127.0.0.1:8080/dav/calendars/a/b.ics",
            "/dav/calendars/a/b.ics",
            "/calendars/a/b.ics",
            "/calendars//a/b.ics?x=y",
        ] {
            assert_eq!(us.destination(ours, host).as_deref(), Ok("/calendars/a/b.ics"), "{ours}");
        }
        for (foreign, why) in [
            ("https://elsewhere.example/dav/calendars/a/b.ics", PathError::ForeignDestination),
            ("https://calendar.example.org:8443/dav/x", PathError::ForeignDestination),
            ("https://calendar.example.org@elsewhere.example/x", PathError::ForeignDestination),
            ("https://calendar.example.org.elsewhere.example/x", PathError::ForeignDestination),
            ("//elsewhere.example/x", PathError::NoDestination),
            ("ftp://calendar.example.org/x", PathError::NoDestination),
            ("calendars/a", PathError::NoDestination),
            ("", PathError::NoDestination),
            ("https://calendar.example.org/dav/../x", PathError::DotSegment),
            ("/dav/a/%2e%2e/x", PathError::DotSegment),
        ] {
            assert_eq!(us.destination(foreign, host), Err(why), "{foreign}");
        }
        assert!(PublicAddress::new("not a url").destination("http:///x", None).is_err());
    }

    proptest! {
        #[test]
        fn what_is_sent_on_has_one_reading(path in "/dav(/(a|\\.|%2e|%2f|//|%00|%41|é|b\\.ics|%)*){0,4}") {
            if let Ok(sent) = dav_path(&path) {
                prop_assert!(sent.starts_with('/') && !sent.contains("//"));
                let decoded = percent_encoding::percent_decode_str(&sent).decode_utf8_lossy().into_owned();
                prop_assert_eq!(decoded.matches('/').count(), sent.matches('/').count());
                prop_assert!(decoded.split('/').all(|s| s != "." && s != ".."));
                prop_assert!(!decoded.contains('\0'));
            }
        }
    }
}
