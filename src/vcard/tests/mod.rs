//! Tests of the room as a whole. Conversions of whole cards are files in `tests/vcard`.

mod cards;
mod checks;
mod dates;
mod jcard;
mod laws;

use super::Card;

/// A card of these lines.
fn card(version: &str, lines: &[impl AsRef<str>]) -> Card {
    let lines: String = lines.iter().map(|l| format!("{}\r\n", l.as_ref())).collect();
    Card::parse(&format!("BEGIN:VCARD\r\nVERSION:{version}\r\n{lines}END:VCARD\r\n")).unwrap()
}

/// The lines of a card between VERSION and END, unfolded.
fn lines(card: &Card) -> Vec<String> {
    let text = card.to_wire().replace("\r\n ", "");
    let lines = text.lines().map(str::to_owned).filter(|l| !l.starts_with("VERSION:"));
    lines.filter(|l| !l.starts_with("BEGIN:") && !l.starts_with("END:")).collect()
}
