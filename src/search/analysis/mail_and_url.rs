//! Lucene's tokenizer `uax_url_email`: the words of the standard one, with e-mail addresses and URLs left whole.
//!
//! It knows a host without a scheme, and the host of an address, by its top-level domain. Lucene has the whole list; here
//! every domain of two letters is one, and those that people use most. The rest falls apart as it would in a text, and so
//! does a host that is an IPv6 address.

use super::standard;

/// Top-level domains of more than two letters.
const DOMAINS: [&str; 60] = [
    "academy",
    "agency",
    "app",
    "arpa",
    "art",
    "asia",
    "bank",
    "berlin",
    "biz",
    "blog",
    "business",
    "care",
    "cat",
    "center",
    "city",
    "cloud",
    "club",
    "codes",
    "com",
    "company",
    "consulting",
    "coop",
    "design",
    "dev",
    "digital",
    "edu",
    "email",
    "energy",
    "expert",
    "gov",
    "group",
    "health",
    "info",
    "int",
    "jobs",
    "live",
    "london",
    "love",
    "media",
    "mil",
    "mobi",
    "museum",
    "name",
    "net",
    "network",
    "news",
    "online",
    "org",
    "page",
    "paris",
    "pro",
    "shop",
    "site",
    "space",
    "store",
    "systems",
    "tech",
    "today",
    "world",
    "xyz",
];

/// The words of a text.
pub(super) fn tokens(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        while !rest.is_empty() {
            let whole = url(rest).max(address(rest));
            let (mut segment, is_word) = standard::next(rest);
            if is_mail_link(rest) {
                segment = MAIL_LINK.len() - 1;
            }
            let (length, is_token) = match whole {
                Some(whole) if !is_word || whole >= segment => (whole, true),
                _ if is_word => (segment, true),
                // An address may begin within what is no word.
                _ => (rest.chars().next().map_or(1, char::len_utf8), false),
            };
            let (now, after) = rest.split_at(length);
            rest = after;
            if is_token {
                return Some(now);
            }
        }
        None
    })
}

/// Before an address; a word of its own then.
const MAIL_LINK: &str = "mailto:";

fn is_mail_link(text: &str) -> bool {
    let after = text.get(..MAIL_LINK.len()).filter(|start| start.eq_ignore_ascii_case(MAIL_LINK));
    after.is_some_and(|_| address(&text[MAIL_LINK.len()..]).is_some())
}

/// Length of the URL that a text begins with.
fn url(text: &str) -> Option<usize> {
    let scheme = ["http://", "https://", "ftp://", "file://"]
        .into_iter()
        .find(|scheme| text.get(..scheme.len()).is_some_and(|t| t.eq_ignore_ascii_case(scheme)))
        .map_or(0, str::len);
    let scheme = if scheme == 0 { 0 } else { scheme + login(&text[scheme..]) };
    let host = match scheme {
        0 => known_host(text).or_else(|| number_host(text))?,
        _ => labels(&text[scheme..]).last().map_or(0, |(_, end)| end),
    };
    if scheme > 0 && host == 0 && !text[scheme..].starts_with('/') {
        return None;
    }
    let after_host = &text[scheme + host..];
    let port = after_host.strip_prefix(':').map(|p| p.bytes().take_while(u8::is_ascii_digit).count());
    let port = port.filter(|digits| *digits > 0).map_or(0, |digits| digits + 1);
    let path = path(&after_host[port..]);
    Some(scheme + host + port + path)
}

/// Length of the user name and password, with their `@`, that a text begins with.
fn login(text: &str) -> usize {
    let end = text.bytes().take_while(|b| b.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:%".contains(b)).count();
    if text[end..].starts_with('@') { end + 1 } else { 0 }
}

/// Length of the e-mail address that a text begins with.
fn address(text: &str) -> Option<usize> {
    let local = text.bytes().take_while(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+,-./=?^_`{|}~".contains(b)).count();
    if local == 0 || text.starts_with('.') || text.as_bytes().get(local) != Some(&b'@') {
        return None;
    }
    known_host(&text[local + 1..]).map(|host| local + 1 + host)
}

/// Length of the host name that a text begins with, where its end is a top-level domain.
fn known_host(text: &str) -> Option<usize> {
    let is_known = |label: &str| {
        let label = label.to_ascii_lowercase();
        label.bytes().all(|b| b.is_ascii_lowercase()) && (label.len() == 2 || DOMAINS.contains(&label.as_str()))
    };
    let mut longest = None;
    for (n, (start, end)) in labels(text).enumerate() {
        if n > 0 && is_known(&text[start..end]) {
            longest = Some(end);
        }
    }
    // The root's dot belongs to it.
    longest.map(|end| end + usize::from(text[end..].starts_with('.')))
}

/// Length of the IPv4 address that a text begins with.
fn number_host(text: &str) -> Option<usize> {
    let end = text.bytes().take_while(|b| b.is_ascii_digit() || *b == b'.').count();
    let number = text[..end].trim_end_matches('.');
    number.parse::<std::net::Ipv4Addr>().ok().map(|_| number.len())
}

/// Where the labels of a host name begin and end.
fn labels(text: &str) -> impl Iterator<Item = (usize, usize)> {
    let bytes = text.as_bytes();
    let mut at = Some(0);
    std::iter::from_fn(move || {
        let start = at?;
        let run = bytes[start..].iter().take_while(|b| b.is_ascii_alphanumeric() || **b == b'-').count();
        let label = &text[start..start + run];
        let kept = label.trim_end_matches('-');
        if kept.is_empty() || kept.starts_with('-') {
            at = None;
            return None;
        }
        let end = start + kept.len();
        at = (kept.len() == run && bytes.get(end) == Some(&b'.')).then_some(end + 1);
        Some((start, end))
    })
}

/// Length of the path, query and fragment that a text begins with.
fn path(text: &str) -> usize {
    const PATH: &[u8] = b"-._~:@&=;/";
    const QUERY: &[u8] = b"-._~:@&=;/+$!*'(),?";
    let run = |from: usize, allowed: &[u8]| {
        let mut at = from;
        loop {
            match text.as_bytes()[at..] {
                [b, ..] if b.is_ascii_alphanumeric() || allowed.contains(&b) => at += 1,
                [b'%', one, two, ..] if one.is_ascii_hexdigit() && two.is_ascii_hexdigit() => at += 3,
                _ => return at,
            }
        }
    };
    let mut end = if text.starts_with('/') { run(1, PATH) } else { 0 };
    for mark in ['?', '#'] {
        if text[end..].starts_with(mark) {
            end = run(end + 1, QUERY);
        }
    }
    end
}
