//! Which notation a client would rather have: the Accept header (RFC 9110 §12.5.1).

use http::HeaderMap;
use http::header::ACCEPT;

/// One range of an Accept header.
struct Range {
    kind: String,
    subtype: String,
    version: Option<String>,
    /// Thousandths.
    quality: u16,
}

/// An Accept header, read. Without one, everything is welcome.
pub(super) struct Accept(Option<Vec<Range>>);

impl Accept {
    pub(super) fn read(headers: &HeaderMap) -> Self {
        let mut values = headers.get_all(ACCEPT).iter().filter_map(|v| v.to_str().ok()).peekable();
        let is_there = values.peek().is_some();
        let ranges = values.flat_map(|v| v.split(',')).filter_map(Range::read).collect();
        Self(is_there.then_some(ranges))
    }

    /// How welcome a media type is, from 0 to 1000: what its most exact range says.
    pub(super) fn quality(&self, media_type: &str, version: Option<&str>) -> u16 {
        let Some(ranges) = &self.0 else { return 1000 };
        let (kind, subtype) = media_type.split_once('/').unwrap_or((media_type, ""));
        let exactness = |range: &Range| {
            let of_kind = range.kind.eq_ignore_ascii_case(kind);
            match (&range.version, range.kind.as_str(), range.subtype.as_str()) {
                (Some(wanted), _, sub) if of_kind && sub.eq_ignore_ascii_case(subtype) => {
                    (Some(wanted.as_str()) == version).then_some(3)
                }
                (None, _, sub) if of_kind && sub.eq_ignore_ascii_case(subtype) => Some(2),
                (None, _, "*") if of_kind => Some(1),
                (None, "*", "*") => Some(0),
                _ => None,
            }
        };
        let best = ranges.iter().filter_map(|range| Some((exactness(range)?, range.quality))).max();
        best.map_or(0, |(_, quality)| quality)
    }

    /// Whether some range names this media type, and it is welcome.
    pub(super) fn prefers(&self, media_type: &str) -> bool {
        self.names(media_type) && self.quality(media_type, None) > 0
    }

    /// Whether some range names this media type, welcome or not.
    pub(super) fn names(&self, media_type: &str) -> bool {
        let is_it = |r: &Range| format!("{}/{}", r.kind, r.subtype).eq_ignore_ascii_case(media_type);
        self.0.iter().flatten().any(is_it)
    }
}

impl Range {
    fn read(text: &str) -> Option<Self> {
        let mut parts = text.split(';').map(str::trim);
        let (kind, subtype) = parts.next()?.split_once('/')?;
        let mut range = Self { kind: kind.to_owned(), subtype: subtype.to_owned(), version: None, quality: 1000 };
        for (name, value) in parts.filter_map(|p| p.split_once('=')) {
            let (name, value) = (name.trim(), value.trim().trim_matches('"'));
            if name.eq_ignore_ascii_case("q") {
                range.quality = quality(value)?;
            } else if name.eq_ignore_ascii_case("version") {
                range.version = Some(value.to_owned());
            }
        }
        Some(range)
    }
}

/// `0.5` as 500.
fn quality(text: &str) -> Option<u16> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let fraction: u16 = if fraction.is_empty() { 0 } else { format!("{fraction:0<3}").get(..3)?.parse().ok()? };
    match whole {
        "0" => Some(fraction),
        "1" => Some(1000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accept(value: &str) -> Accept {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, value.parse().unwrap());
        Accept::read(&headers)
    }

    #[test]
    fn without_a_header_everything_is_welcome() {
        assert_eq!(Accept::read(&HeaderMap::new()).quality("text/vcard", Some("3.0")), 1000);
    }

    #[test]
    fn the_most_exact_range_decides() {
        let accept = accept("text/*;q=0.3, text/vcard;q=0.7, text/vcard; version=\"4.0\", */*;q=0.05, text/plain;q=0");
        let quality = |media_type, version| accept.quality(media_type, version);
        assert_eq!(quality("text/vcard", Some("4.0")), 1000);
        assert_eq!(quality("text/vcard", Some("3.0")), 700);
        assert_eq!(quality("text/html", None), 300);
        assert_eq!(quality("text/plain", None), 0);
        assert_eq!(quality("application/vcard+json", Some("4.0")), 50);
        assert!(accept.names("TEXT/VCARD") && !accept.names("application/json"));
        assert!(accept.prefers("text/vcard") && !accept.prefers("text/plain") && !accept.prefers("text/html"));
    }

    #[test]
    fn what_is_not_named_is_not_welcome() {
        assert_eq!(accept("text/vcard;version=2.1").quality("text/vcard", Some("3.0")), 0);
        assert_eq!(accept("nonsense, ;, text").quality("text/vcard", None), 0);
        assert_eq!(accept("text/vcard;q=2").quality("text/vcard", None), 0);
    }
}
