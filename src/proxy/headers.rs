//! Which headers pass. What a client sends is let through by name, so that nothing it invents can speak for us; what the
//! server sends passes unless it belongs to the connection, to a login or to another surface. Pure.

use http::header::{
    ALT_SVC, CONNECTION, CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue, LOCATION, PROXY_AUTHENTICATE, SET_COOKIE,
    TE, TRAILER, TRANSFER_ENCODING, UPGRADE, WWW_AUTHENTICATE,
};

use super::path::MOUNT;

/// Whether a client's header goes on to the DAV server (rest-api §16.1 and the conditional ones it lacks).
///
/// Not among them: credentials, cookies, `Forwarded` and its kin, `Host`, `Origin`, `Expect` (answered by ourselves when
/// the body is wanted), and every header that names a user.
fn passes(name: &HeaderName) -> bool {
    let name = name.as_str();
    matches!(
        name,
        "accept"
            | "brief"
            | "caldav-timezones"
            | "dav"
            | "depth"
            | "destination"
            | "if"
            | "if-match"
            | "if-modified-since"
            | "if-none-match"
            | "if-range"
            | "if-schedule-tag-match"
            | "if-unmodified-since"
            | "lock-token"
            | "overwrite"
            | "prefer"
            | "range"
            | "schedule-reply"
            | "slug"
            | "timeout"
            | "user-agent"
            | "x-http-method-override"
    ) || name.starts_with("accept-")
        || name.starts_with("content-")
}

/// The headers of a request that go on.
pub(super) fn for_upstream(mut headers: HeaderMap) -> HeaderMap {
    drop_named_by_connection(&mut headers);
    let mut kept = HeaderMap::with_capacity(16);
    let mut passing: Option<HeaderName> = None;
    // A name comes with the first of its values only.
    for (name, value) in headers {
        if let Some(name) = name {
            passing = passes(&name).then_some(name);
        }
        if let Some(name) = &passing {
            kept.append(name.clone(), value);
        }
    }
    kept
}

/// Makes the headers of the server's answer ours. `mount` says that paths in `Location` of a redirect lack our mount.
pub(super) fn for_client(headers: &mut HeaderMap, is_redirect: bool, mount: bool) {
    drop_named_by_connection(headers);
    if headers.contains_key(TRANSFER_ENCODING) {
        // The body was read by its chunks; a length beside them is a lie (RFC 9112 §6.3).
        headers.remove(CONTENT_LENGTH);
    }
    for name in [
        CONNECTION,
        HeaderName::from_static("keep-alive"),
        HeaderName::from_static("proxy-connection"),
        PROXY_AUTHENTICATE,
        TE,
        TRAILER,
        TRANSFER_ENCODING,
        UPGRADE,
        // The server's login is between it and us, its cookies too.
        SET_COOKIE,
        WWW_AUTHENTICATE,
        HeaderName::from_static("authentication-info"),
        // Other ways to the server are not for our clients.
        ALT_SVC,
    ] {
        headers.remove(name);
    }
    if mount && is_redirect {
        mount_location(headers);
    }
}

fn mount_location(headers: &mut HeaderMap) {
    let Some(path) = headers.get(LOCATION).and_then(|l| l.to_str().ok()) else { return };
    if !path.starts_with('/') || path.starts_with("//") {
        return;
    }
    if let Ok(mounted) = HeaderValue::from_str(&format!("{MOUNT}{path}")) {
        headers.insert(LOCATION, mounted);
    }
}

/// Headers that `Connection` names are between two neighbours (RFC 9110 §7.6.1).
fn drop_named_by_connection(headers: &mut HeaderMap) {
    if !headers.contains_key(CONNECTION) {
        return;
    }
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        // Framing is the connection's own business and is never taken away by name.
        .filter(|name: &HeaderName| !matches!(name.as_str(), "close" | "keep-alive" | "content-length"))
        .collect();
    for name in named {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    fn names(headers: &HeaderMap) -> Vec<&str> {
        let mut names: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn identity_and_connection_headers_end_here() {
        let sent = headers(&[
            ("authorization", "Bearer t"),
            ("proxy-authorization", "Basic x"),
            ("cookie", "a=b"),
            ("twakecalendartoken", "t"),
            ("x-remote-user", "mallory@example.org"),
            ("x-forwarded-user", "mallory@example.org"),
            ("x-forwarded-for", "10.0.0.1"),
            ("forwarded", "for=10.0.0.1"),
            ("x-script-name", "/evil"),
            ("x-original-url", "/admin"),
            ("host", "evil.example"),
            ("origin", "https://calendar.example.org"),
            ("expect", "100-continue"),
            ("te", "trailers"),
            ("trailer", "X"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            ("http2-settings", "AAMAAABkAAQAAP__"),
            ("keep-alive", "timeout=5"),
            ("connection", "keep-alive"),
        ]);
        assert_eq!(names(&for_upstream(sent)), Vec::<&str>::new());
    }

    #[test]
    fn conditions_and_content_pass_with_all_their_values() {
        let sent = headers(&[
            ("if-match", "\"1\""),
            ("if-none-match", "*"),
            ("if", "(<urn:x>)"),
            ("overwrite", "F"),
            ("depth", "1"),
            ("prefer", "return=minimal"),
            ("prefer", "handling=strict"),
            ("content-type", "text/calendar"),
            ("content-length", "12"),
            ("accept-language", "fr"),
            ("schedule-reply", "F"),
            ("if-schedule-tag-match", "\"s\""),
        ]);
        let kept = for_upstream(sent.clone());
        assert_eq!(kept, sent);
    }

    #[test]
    fn what_connection_names_does_not_pass() {
        let sent = headers(&[
            ("connection", "close, If-Match"),
            ("connection", "x-odd , Content-Length"),
            ("if-match", "\"1\""),
            ("content-length", "3"),
            ("depth", "0"),
        ]);
        assert_eq!(names(&for_upstream(sent)), ["content-length", "depth"]);
        let mut answered = headers(&[("connection", "X-Internal"), ("x-internal", "1"), ("etag", "\"2\"")]);
        for_client(&mut answered, false, false);
        assert_eq!(names(&answered), ["etag"]);
    }

    #[test]
    fn the_servers_login_is_not_ours() {
        let mut answered = headers(&[
            ("www-authenticate", "Basic realm=\"sabre\""),
            ("set-cookie", "sid=1"),
            ("transfer-encoding", "chunked"),
            ("keep-alive", "timeout=5"),
            ("dav", "1, 3"),
            ("schedule-tag", "\"s\""),
            ("location", "/calendars/a/"),
        ]);
        for_client(&mut answered, true, true);
        assert_eq!(names(&answered), ["dav", "location", "schedule-tag"]);
        assert_eq!(answered["location"], "/dav/calendars/a/");
    }
}
