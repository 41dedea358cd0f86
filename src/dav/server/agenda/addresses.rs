//! The addresses to paste into programs, as text and as codes for the camera of a phone.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use qrcode::{Color, EcLevel, QrCode};
use serde::Serialize;

/// Modules of white around a code (ISO/IEC 18004 §5.3.8).
const QUIET: usize = 4;
/// Escaped in the user of an address: all but RFC 3986's unreserved characters.
const USER: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// What programs are to be told.
#[derive(Debug, Serialize)]
pub(super) struct Addresses {
    user: String,
    /// From which everything is found.
    server: String,
    /// The same without scheme and path, for programs that ask for no more.
    host: String,
    /// Of the calendar, where the page is about one.
    calendar: Option<String>,
    /// The calendar as a file.
    file: Option<String>,
    /// Opens DAVx⁵ with server and user filled in.
    davx5: Option<Code>,
    /// Opens the page itself.
    page: Option<Code>,
}

impl Addresses {
    /// For a user of the server that people reach at `public_url`; `path` is that of the page there, `is_calendar` says whether
    /// it is that of one calendar.
    pub(super) fn of(public_url: &str, user: &str, path: &str, is_calendar: bool) -> Self {
        let root = public_url.trim_end_matches('/');
        let page = format!("{root}{path}");
        let (scheme, rest) = root.split_once("://").unwrap_or(("https", root));
        // DAVx⁵ makes https of its own scheme and of caldavs, http of caldav.
        let scheme = if scheme == "http" { "caldav" } else { "davx5" };
        let davx5 = format!("{scheme}://{}@{rest}/", utf8_percent_encode(user, USER));
        Self {
            user: user.to_owned(),
            server: format!("{root}/"),
            host: rest.split('/').next().unwrap_or(rest).to_owned(),
            calendar: is_calendar.then(|| page.clone()),
            file: is_calendar.then(|| format!("{page}?export")),
            davx5: Code::of(&davx5),
            page: Code::of(&page),
        }
    }
}

/// A QR code, as the data of an SVG path in a square of so many units.
#[derive(Debug, Serialize)]
struct Code {
    size: usize,
    path: String,
    /// What it says.
    link: String,
}

impl Code {
    /// `None` where the text is too long for a code.
    fn of(text: &str) -> Option<Self> {
        let code = QrCode::with_error_correction_level(text, EcLevel::M).ok()?;
        let width = code.width();
        let mut path = String::new();
        for (y, row) in code.to_colors().chunks(width).enumerate() {
            let mut x = 0;
            for run in row.chunk_by(|a, b| a == b) {
                if run[0] == Color::Dark {
                    path.push_str(&format!("M{} {}h{}v1h-{}z", x + QUIET, y + QUIET, run.len(), run.len()));
                }
                x += run.len();
            }
        }
        Some(Self { size: width + 2 * QUIET, path, link: text.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_program_gets_what_it_asks_for() {
        let addresses =
            Addresses::of("https://calendar.example.org:8443/", "al.ice+x@example.org", "/dav/calendars/1/2/", true);
        assert_eq!(addresses.server, "https://calendar.example.org:8443/");
        assert_eq!(addresses.host, "calendar.example.org:8443");
        assert_eq!(addresses.calendar.as_deref(), Some("https://calendar.example.org:8443/dav/calendars/1/2/"));
        assert_eq!(addresses.file.as_deref(), Some("https://calendar.example.org:8443/dav/calendars/1/2/?export"));
        let davx5 = addresses.davx5.unwrap();
        assert_eq!(davx5.link, "davx5://al.ice%2Bx%40example.org@calendar.example.org:8443/");
        let home = Addresses::of("http://127.0.0.1:8080", "bob@example.org", "/", false);
        assert_eq!((home.calendar, home.file), (None, None));
        assert_eq!(home.davx5.unwrap().link, "caldav://bob%40example.org@127.0.0.1:8080/");
    }

    /// The dark modules of a path, read back.
    fn modules(code: &Code) -> Vec<Vec<bool>> {
        let mut modules = vec![vec![false; code.size]; code.size];
        for run in code.path.split('z').filter(|run| !run.is_empty()) {
            let (place, length) = run[1..].split_once('h').unwrap();
            let (x, y) = place.split_once(' ').unwrap();
            let (x, y): (usize, usize) = (x.parse().unwrap(), y.parse().unwrap());
            let length: usize = length.split('v').next().unwrap().parse().unwrap();
            modules[y][x..x + length].fill(true);
        }
        modules
    }

    #[test]
    fn a_code_has_its_three_eyes_and_white_around_it() {
        let code = Code::of("davx5://alice%40example.org@calendar.example.org/").unwrap();
        let modules = modules(&code);
        let last = code.size - 1;
        let is_in_code = |n: usize| (QUIET..=last - QUIET).contains(&n);
        for (y, row) in modules.iter().enumerate() {
            assert!(row.iter().enumerate().all(|(x, dark)| !dark || (is_in_code(x) && is_in_code(y))));
        }
        for (x, y) in [(QUIET, QUIET), (last - QUIET - 6, QUIET), (QUIET, last - QUIET - 6)] {
            assert!(
                (0..7)
                    .all(|n| modules[y][x + n] && modules[y + n][x] && modules[y + 6][x + n] && modules[y + n][x + 6])
            );
            assert!((1..6).all(|n| !modules[y + 1][x + n] && !modules[y + n][x + 1]));
            assert!(modules[y + 3][x + 3]);
        }
    }
}
