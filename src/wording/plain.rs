//! Texts that strangers wrote, made fit to be shown. Escaping is the business of templates.

/// The text on one line, without characters that steer (line breaks, controls, marks that turn the writing direction):
/// fit for a header.
pub fn single_line(text: &str) -> String {
    let words = text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
    let mut line = words.collect::<Vec<_>>().join(" ");
    line.retain(|c| !turns_direction(c));
    line
}

/// A text of several lines as it is shown, at most so many characters of it; `None` when it is blank.
pub fn shown(text: &str, most: usize) -> Option<String> {
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let text: String = text.chars().filter(|c| *c == '\n' || !(c.is_control() || turns_direction(*c))).collect();
    let text = text.trim();
    (!text.is_empty()).then(|| clip(text.to_owned(), most))
}

/// Marks that make text read in another order than it is written (UAX #9), used to disguise addresses and links.
fn turns_direction(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// At most so many characters of the text.
pub fn clip(mut text: String, most: usize) -> String {
    if let Some((at, _)) = text.char_indices().nth(most) {
        text.truncate(at);
        text.push('…');
    }
    text
}

/// The text as a link, if it is an address of the web and nothing else.
pub fn web_link(text: &str) -> Option<String> {
    let odd = |c: char| !c.is_ascii_graphic() || matches!(c, '"' | '<' | '>' | '\\' | '^' | '`' | '{' | '|' | '}');
    let text = text.trim();
    let uri: http::Uri = text.parse().ok().filter(|_| !text.contains(odd))?;
    let web = matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some_and(|host| !host.is_empty());
    web.then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_of_the_web_become_links() {
        for good in ["https://meet.example.org/a-b", "http://example.org", "HTTPS://EXAMPLE.ORG/x?y=1"] {
            assert!(web_link(good).is_some(), "{good}");
        }
        for bad in [
            "javascript:alert(1)",
            "data:text/html,x",
            "//example.org/x",
            "example.org",
            "https://",
            "https://example.org/a b",
            "mailto:bob@example.org",
            "https://example.org/\"onclick=x",
            "Room 1",
        ] {
            assert_eq!(web_link(bad), None, "{bad}");
        }
    }

    #[test]
    fn one_line_holds_nothing_that_steers() {
        assert_eq!(single_line(" Lunch\r\nBcc: all@example.org\t\u{202e}x\u{0}y "), "Lunch Bcc: all@example.org x y");
    }
}
