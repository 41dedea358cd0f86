//! The style sheet of a page: what is the same for all, and the colours and places of this one. Nothing in it was written by
//! people: a colour is one only if it is one.

use std::fmt::Write as _;

use super::layout::{Block, DAY};
use super::question::View;

const SHEET: &str = include_str!("templates/agenda.css");
/// Colours of calendars that have none of their own.
const PALETTE: [&str; 8] = ["#2f6fde", "#0f8a5f", "#c2410c", "#9333ea", "#b4236a", "#0e7490", "#a16207", "#4d7c0f"];

/// A style sheet that is being written.
pub(super) struct Style(String);

impl Style {
    /// The sheet of a page with an agenda.
    pub(super) fn new(view: View) -> Self {
        let mut style = Self::plain();
        if view != View::List {
            style.0.push_str("@page{size:landscape}\n");
        }
        style
    }

    /// The sheet of a page without an agenda.
    pub(super) fn plain() -> Self {
        Self(SHEET.replace("\r\n", "\n"))
    }

    /// Gives the n-th calendar its colour.
    pub(super) fn colour(&mut self, n: usize, own: Option<&str>) {
        let colour = own.and_then(read_colour).unwrap_or_else(|| PALETTE[n % PALETTE.len()].to_owned());
        // Writing to a String cannot fail.
        let _ = writeln!(self.0, ".k{n}{{--own:{colour}}}");
    }

    /// Says how many hours a grid has.
    pub(super) fn hours(&mut self, (first, last): (u32, u32)) {
        let _ = writeln!(self.0, ".week{{--hours:{}}}", last - first);
    }

    /// Gives the n-th block of a grid of hours its place.
    pub(super) fn block(&mut self, n: usize, block: &Block, (first, last): (u32, u32)) {
        let span = f64::from((last - first).max(1) * 60);
        let from = block.from.saturating_sub(first * 60);
        let length = block.until.min(DAY).saturating_sub(block.from);
        let columns = block.columns.max(1);
        let percent = |part: f64| part * 100.0;
        let _ = writeln!(
            self.0,
            ".p{n}{{--t:{:.3}%;--h:{:.3}%;--l:{:.3}%;--w:{:.3}%}}",
            percent(f64::from(from) / span),
            percent(f64::from(length) / span),
            percent(block.column as f64 / columns as f64),
            percent(block.span as f64 / columns as f64),
        );
    }

    pub(super) fn finish(self) -> String {
        self.0
    }
}

/// `#RGB`, `#RRGGBB`, or `#RRGGBBAA` as Apple's programs write it, as `#rrggbb`.
fn read_colour(text: &str) -> Option<String> {
    let digits = text.trim().strip_prefix('#')?;
    if !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    let digits: String = match digits.len() {
        3 => digits.chars().flat_map(|c| [c, c]).collect(),
        6 | 8 => digits.chars().take(6).collect(),
        _ => return None,
    };
    Some(format!("#{}", digits.to_ascii_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_colour_is_one_only_if_it_is_one() {
        for (text, colour) in [
            ("#0AF", Some("#00aaff")),
            (" #FF2968FF ", Some("#ff2968")),
            ("#c0ffee", Some("#c0ffee")),
            ("red", None),
            ("#12345", None),
            ("#fff}body{display:none", None),
            ("#ééé", None),
            ("", None),
        ] {
            assert_eq!(read_colour(text).as_deref(), colour, "{text}");
        }
    }

    #[test]
    fn the_sheet_cannot_end_its_element() {
        assert!(!SHEET.contains('<'));
    }
}
