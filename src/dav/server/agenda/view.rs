//! The page as its templates see it: every value is text in the reader's language, every place an address.

use chrono::{Datelike as _, NaiveDate, NaiveTime, Weekday};
use fluent_bundle::FluentArgs;
use serde::Serialize;

use super::addresses::Addresses;
use super::details::Details;
use super::gather::Happening;
use super::layout::{self, Bar, Block, bars, blocks};
use super::question::{Question, View, later};
use super::style::Style;
use crate::dav::announce::DEFAULT_NAME;
use crate::store::Collection;
use crate::wording::Locale;
use crate::wording::plain;

/// Events that a day of a month shows; what goes beyond is counted.
const ROWS: usize = 4;
/// Minutes below which a block has room for one line.
const LOW: u32 = 40;
/// Characters of a calendar's name.
const NAME: usize = 100;
/// Parts of the world whose time zones can be chosen.
const AREAS: [&str; 10] =
    ["Africa", "America", "Antarctica", "Arctic", "Asia", "Atlantic", "Australia", "Europe", "Indian", "Pacific"];

/// Where the page is.
pub(super) struct Place<'a> {
    /// Addresses of the home, and of that of the address books.
    pub(super) home: String,
    pub(super) books: String,
    /// The calendars of the home with their addresses.
    pub(super) siblings: Vec<(String, &'a Collection)>,
    /// The one that the page is about, if it is about one.
    pub(super) only: Option<&'a Collection>,
    pub(super) addresses: Option<Addresses>,
}

/// The whole page.
#[derive(Serialize)]
pub(super) struct Page {
    language: &'static str,
    direction: String,
    title: String,
    name: String,
    style: String,
    home: Option<String>,
    books: String,
    calendars: Vec<CalendarLink>,
    views: Vec<Choice>,
    earlier: Option<String>,
    later: Option<String>,
    today: String,
    heading: String,
    view: &'static str,
    date: String,
    zone: &'static str,
    areas: Vec<Area>,
    cut: Option<usize>,
    month: Option<Month>,
    week: Option<Week>,
    list: Option<Vec<ListDay>>,
    addresses: Option<Addresses>,
}

/// The way to a calendar or an address book.
#[derive(Serialize)]
pub(super) struct CalendarLink {
    pub(super) name: String,
    pub(super) link: String,
    pub(super) class: String,
    pub(super) is_current: bool,
}

#[derive(Serialize)]
struct Choice {
    label: String,
    link: String,
    is_current: bool,
}

#[derive(Serialize)]
struct Area {
    name: &'static str,
    zones: Vec<ZoneChoice>,
}

#[derive(Serialize)]
struct ZoneChoice {
    name: &'static str,
    label: String,
    is_current: bool,
}

#[derive(Serialize)]
struct Month {
    weekdays: Vec<Weekdays>,
    weeks: Vec<MonthWeek>,
}

#[derive(Serialize)]
struct Weekdays {
    short: String,
    long: String,
}

#[derive(Serialize)]
struct MonthWeek {
    number: u32,
    link: String,
    days: Vec<Day>,
}

#[derive(Serialize)]
struct Week {
    hours: Vec<String>,
    days: Vec<Day>,
}

/// A day of a month or a week.
#[derive(Serialize)]
struct Day {
    /// `2026-11-21`.
    date: String,
    /// The day of the month.
    number: u32,
    short: String,
    /// The whole date.
    label: String,
    is_today: bool,
    is_outside: bool,
    is_weekend: bool,
    /// The day in the list.
    link: String,
    /// From top to bottom; none where the bar of another day passes.
    slots: Vec<Option<Entry>>,
    timed: Vec<Entry>,
    /// Events that have no room.
    more: usize,
}

/// An event in a month or a week.
#[derive(Serialize)]
struct Entry {
    class: String,
    title: String,
    time: Option<String>,
    location: Option<String>,
    marks: Vec<String>,
    link: String,
    /// Whether it is only the room that a bar of an earlier day takes.
    is_continued: bool,
}

#[derive(Serialize)]
struct ListDay {
    id: String,
    label: String,
    is_today: bool,
    entries: Vec<ListEntry>,
}

#[derive(Serialize)]
struct ListEntry {
    key: String,
    class: String,
    title: String,
    /// Beside the title.
    time: String,
    /// In full.
    when: String,
    location: Option<String>,
    marks: Vec<String>,
    calendar: Option<String>,
    is_open: bool,
    /// Whether an earlier day has the details.
    is_continued: bool,
    details: Option<Details>,
}

impl Page {
    /// The page of these events.
    pub(super) fn of(
        locale: &Locale,
        question: &Question,
        place: Place<'_>,
        events: &[Happening],
        is_cut: bool,
        today: NaiveDate,
        starts: Weekday,
    ) -> Self {
        let mut style = Style::new(question.view);
        let shown: Vec<&Collection> = match place.only {
            Some(only) => vec![only],
            None => place.siblings.iter().map(|(_, c)| *c).collect(),
        };
        // Colours go by the place in the home, so that a calendar has the same on each page.
        let places: Vec<usize> =
            shown.iter().map(|c| place.siblings.iter().position(|(_, s)| s.id == c.id).unwrap_or(0)).collect();
        for (n, (_, calendar)) in place.siblings.iter().enumerate() {
            style.colour(n, calendar.props.color.as_deref());
        }
        let names = shown.iter().map(|c| name_of(c, locale)).collect();
        let mut scribe = Scribe { locale, question, events, today, places, names, style };
        let (first, after) = question.days(starts);
        let (mut month, mut week, mut list) = (None, None, None);
        match question.view {
            View::Month => month = Some(scribe.month(first, after, starts)),
            View::Week => week = Some(scribe.week(first)),
            View::List => list = Some(scribe.list(first, after)),
        }
        let heading = heading(locale, question, first, after);
        let name = place.only.map_or_else(|| locale.word("calendars"), |only| name_of(only, locale));
        let views = View::ALL.into_iter().map(|view| Choice {
            label: locale.word(&format!("view-{}", view.name())),
            link: question.link(view, question.date),
            is_current: view == question.view,
        });
        let tail = question.link(question.view, question.date);
        let calendars = place.siblings.iter().enumerate().map(|(n, (link, calendar))| CalendarLink {
            name: name_of(calendar, locale),
            link: format!("{link}{tail}"),
            class: format!("k{n}"),
            is_current: place.only.is_some_and(|only| only.id == calendar.id),
        });
        let step = |by| question.step(by).map(|date| question.link(question.view, date));
        Self {
            language: locale.language,
            direction: locale.word("direction"),
            title: with(locale, "page-title", &[("heading", &heading), ("name", &name)]),
            name,
            home: place.only.map(|_| format!("{}{tail}", place.home)),
            books: place.books,
            calendars: calendars.collect(),
            views: views.collect(),
            earlier: step(-1),
            later: step(1),
            today: question.link(question.view, today),
            heading,
            view: question.view.name(),
            date: question.date.format("%Y-%m-%d").to_string(),
            zone: question.zone.name(),
            areas: areas(question.zone.name()),
            cut: is_cut.then_some(events.len()),
            month,
            week,
            list,
            addresses: place.addresses,
            style: scribe.style.finish(),
        }
    }

    /// The text of its style sheet.
    pub(super) fn style(&self) -> &str {
        &self.style
    }
}

/// Writes events down.
struct Scribe<'a> {
    locale: &'a Locale,
    question: &'a Question,
    events: &'a [Happening],
    today: NaiveDate,
    /// For each calendar that is shown, which of the home it is.
    places: Vec<usize>,
    names: Vec<String>,
    style: Style,
}

impl Scribe<'_> {
    fn month(&self, first: NaiveDate, after: NaiveDate, starts: Weekday) -> Month {
        let day = |n| later(first, n);
        let weekdays = (0..7).map(|n| Weekdays {
            short: self.locale.dated("weekday-pattern", day(n)),
            long: self.locale.weekday(day(n).weekday()),
        });
        let rows = u64::try_from((after - first).num_days() / 7).unwrap_or(0);
        let weeks = (0..rows).map(|row| {
            let monday = day(row * 7);
            // A week belongs to the year that has its Thursday (ISO 8601).
            let middle = later(monday, (7 + 3 - u64::from(starts.num_days_from_monday())) % 7);
            MonthWeek {
                number: middle.iso_week().week(),
                link: self.question.link(View::Week, monday),
                days: self.month_row(monday),
            }
        });
        Month { weekdays: weekdays.collect(), weeks: weeks.collect() }
    }

    fn month_row(&self, first: NaiveDate) -> Vec<Day> {
        let bars = bars(self.events, first, 7);
        let row = (0..7_usize).map(|column| {
            let date = later(first, column as u64);
            let (slots, hidden) = self.slots(&bars, column, ROWS);
            let blocks = blocks(self.events, date);
            let mut room = ROWS - slots.len();
            // A line that says that there is one more takes as much room as the one.
            if hidden == 0 && blocks.len() == room + 1 {
                room += 1;
            }
            let timed = blocks.iter().take(room).map(|block| self.entry(block.event, date, String::new()));
            let more = hidden + blocks.len().saturating_sub(room);
            Day { slots, timed: timed.collect(), more, ..self.day(date) }
        });
        row.collect()
    }

    fn week(&mut self, first: NaiveDate) -> Week {
        let bars = bars(self.events, first, 7);
        let dates: Vec<NaiveDate> = (0..7).map(|n| later(first, n)).collect();
        let blocks: Vec<Vec<Block>> = dates.iter().map(|date| blocks(self.events, *date)).collect();
        let hours = layout::hours(&blocks);
        self.style.hours(hours);
        let mut days = Vec::new();
        let mut n = 0;
        for (column, (date, blocks)) in dates.into_iter().zip(&blocks).enumerate() {
            let mut timed = Vec::new();
            for block in blocks {
                self.style.block(n, block, hours);
                let is_short = block.until.saturating_sub(block.from) < LOW;
                timed.push(self.entry(block.event, date, format!(" p{n}{}", if is_short { " short" } else { "" })));
                n += 1;
            }
            let (slots, _) = self.slots(&bars, column, usize::MAX);
            days.push(Day { slots, timed, ..self.day(date) });
        }
        let clock = |hour: u32| self.locale.time(NaiveTime::from_hms_opt(hour, 0, 0).unwrap_or_default());
        Week { hours: (hours.0..hours.1).map(clock).collect(), days }
    }

    fn list(&self, first: NaiveDate, after: NaiveDate) -> Vec<ListDay> {
        let mut days = Vec::new();
        let mut date = first;
        while date < after {
            let next = later(date, 1);
            let is_on = |e: &Happening| {
                let (begins, ends) = layout::days_of(e);
                begins <= date && date <= ends
            };
            let mut on_day: Vec<&Happening> = self.events.iter().filter(|e| is_on(e)).collect();
            // Whole days come first, whenever they began.
            on_day.sort_by_key(|e| !layout::is_bar(e));
            let entries: Vec<ListEntry> = on_day.into_iter().map(|e| self.list_entry(e, date, first)).collect();
            if !entries.is_empty() {
                let id = format!("d{}", date.format("%Y-%m-%d"));
                days.push(ListDay { id, label: self.locale.date(date), is_today: date == self.today, entries });
            }
            date = next;
        }
        days
    }

    fn day(&self, date: NaiveDate) -> Day {
        Day {
            date: date.format("%Y-%m-%d").to_string(),
            number: date.day(),
            short: self.locale.dated("weekday-pattern", date),
            label: self.locale.date(date),
            is_today: date == self.today,
            is_outside: self.question.view == View::Month && date.month() != self.question.date.month(),
            is_weekend: matches!(date.weekday(), Weekday::Sat | Weekday::Sun),
            link: format!("{0}#d{1}", self.question.link(View::List, date), date.format("%Y-%m-%d")),
            slots: Vec::new(),
            timed: Vec::new(),
            more: 0,
        }
    }

    /// What the bars of a row leave of a day: its slots from top to bottom, at most so many, and how many bars are not among them.
    fn slots(&self, bars: &[Bar], column: usize, most: usize) -> (Vec<Option<Entry>>, usize) {
        let mut slots: Vec<Option<Entry>> = Vec::new();
        let mut hidden = 0;
        for bar in bars.iter().filter(|bar| bar.first <= column && column <= bar.last) {
            if bar.lane >= most {
                hidden += 1;
                continue;
            }
            let mut class = format!(" n{}", bar.last - column + 1);
            for (is_so, name) in [(bar.from_before, " before"), (bar.goes_on, " after")] {
                class.push_str(if is_so { name } else { "" });
            }
            let event = &self.events[bar.event];
            let entry = self.entry(bar.event, layout::days_of(event).0, class);
            if slots.len() <= bar.lane {
                slots.resize_with(bar.lane + 1, || None);
            }
            slots[bar.lane] = Some(Entry { is_continued: column > bar.first, ..entry });
        }
        (slots, hidden)
    }

    fn entry(&self, index: usize, date: NaiveDate, class: String) -> Entry {
        let event = &self.events[index];
        let begins_here = event.start.date() == date;
        let time = match (event.all_day, begins_here) {
            (true, _) => None,
            (false, true) => Some(self.locale.time(event.start.time())),
            (false, false) => Some(with(self.locale, "until-time", &[("time", &self.locale.time(event.end.time()))])),
        };
        // Where the list of a month does not hold the day on which it begins, the day itself is the place to look.
        let shown = if layout::is_bar(event) { date.max(self.first_in_reach(event)) } else { date };
        Entry {
            class: format!("{}{class}", self.class(event)),
            title: self.title(event),
            time,
            location: event.location.clone(),
            marks: self.marks(event),
            link: format!("{}&open={1}#{1}", self.question.link(View::List, shown), event.key),
            is_continued: false,
        }
    }

    /// The day of an event from which its details can be looked at on the way from this page.
    fn first_in_reach(&self, event: &Happening) -> NaiveDate {
        let (first, last) = layout::days_of(event);
        self.question.date.clamp(first, last)
    }

    fn list_entry(&self, event: &Happening, date: NaiveDate, first_shown: NaiveDate) -> ListEntry {
        let (first, last) = layout::days_of(event);
        let day = |n: NaiveDate| (n - first).num_days() + 1;
        let time = if first == last {
            self.time(event)
        } else if layout::is_bar(event) {
            let mut args = FluentArgs::new();
            args.set("day", day(date));
            args.set("days", day(last));
            self.locale.text("day-of-days", &args)
        } else if date == first {
            self.range(&self.locale.time(event.start.time()), &self.near(event.end.date(), event.end.time()))
        } else {
            with(self.locale, "until-time", &[("time", &self.locale.time(event.end.time()))])
        };
        let is_continued = date > first.max(first_shown);
        ListEntry {
            key: event.key.clone(),
            class: self.class(event),
            title: self.title(event),
            time,
            when: self.when(event),
            location: event.location.clone(),
            marks: self.marks(event),
            calendar: (self.names.len() > 1).then(|| self.names[event.calendar].clone()),
            is_open: !is_continued && self.question.open.as_ref() == Some(&event.key),
            is_continued,
            details: event.details.clone().filter(|_| !is_continued),
        }
    }

    fn class(&self, event: &Happening) -> String {
        let mut class = format!("k{}", self.places[event.calendar]);
        for (is_so, name) in [
            (event.is_task, " task"),
            (event.is_done, " done"),
            (event.is_cancelled, " cancelled"),
            (event.is_tentative, " tentative"),
        ] {
            class.push_str(if is_so { name } else { "" });
        }
        class
    }

    fn title(&self, event: &Happening) -> String {
        match &event.title {
            _ if event.is_veiled => self.locale.word("busy"),
            Some(title) => title.clone(),
            None => self.locale.word("no-title"),
        }
    }

    fn marks(&self, event: &Happening) -> Vec<String> {
        let marks = [
            (event.is_task, "mark-task"),
            (event.is_done, "mark-done"),
            (event.is_cancelled, "mark-cancelled"),
            (event.is_tentative, "mark-tentative"),
            (event.is_private, "mark-private"),
            (event.repeats, "mark-repeats"),
        ];
        marks.into_iter().filter(|(is_so, _)| *is_so).map(|(_, key)| self.locale.word(key)).collect()
    }

    /// From when to when on one day.
    fn time(&self, event: &Happening) -> String {
        if event.all_day {
            return self.locale.word("all-day");
        }
        let (start, end) = (self.locale.time(event.start.time()), self.locale.time(event.end.time()));
        if event.start == event.end { start } else { self.range(&start, &end) }
    }

    /// From when to when, with dates.
    fn when(&self, event: &Happening) -> String {
        let (first, last) = layout::days_of(event);
        let date = |day| self.locale.date(day);
        let at = |date: &str, time: &str| with(self.locale, "date-time", &[("date", date), ("time", time)]);
        match (first == last, event.all_day) {
            (true, _) => at(&date(first), &self.time(event)),
            (false, true) => self.range(&date(first), &date(last)),
            (false, false) => {
                let clock = |time| self.locale.time(time);
                let end = at(&date(event.end.date()), &clock(event.end.time()));
                self.range(&at(&date(first), &clock(event.start.time())), &end)
            }
        }
    }

    fn near(&self, date: NaiveDate, time: NaiveTime) -> String {
        let (date, time) = (self.locale.dated("day-pattern", date), self.locale.time(time));
        with(self.locale, "date-time", &[("date", &date), ("time", &time)])
    }

    fn range(&self, first: &str, last: &str) -> String {
        with(self.locale, "from-to", &[("first", first), ("last", last)])
    }
}

fn name_of(calendar: &Collection, locale: &Locale) -> String {
    let own = calendar.props.displayname.as_deref().filter(|name| *name != DEFAULT_NAME).map(plain::single_line);
    match own.filter(|name| !name.is_empty()) {
        Some(name) => plain::clip(name, NAME),
        None if calendar.is_default() => locale.word("default-calendar"),
        None => plain::clip(plain::single_line(&calendar.uri), NAME),
    }
}

fn heading(locale: &Locale, question: &Question, first: NaiveDate, after: NaiveDate) -> String {
    if question.view != View::Week {
        return locale.dated("month-pattern", question.date);
    }
    let last = after.pred_opt().unwrap_or(first);
    let key = match () {
        () if first.year() != last.year() => "first-day-of-year-pattern",
        () if first.month() != last.month() => "first-day-pattern",
        () => "first-day-of-month-pattern",
    };
    let (first, last) = (locale.dated(key, first), locale.dated("last-day-pattern", last));
    with(locale, "from-to", &[("first", &first), ("last", &last)])
}

/// The zones that can be chosen, by part of the world.
fn areas(current: &'static str) -> Vec<Area> {
    let mut areas = vec![Area { name: "UTC", zones: vec![choice("UTC", "UTC", current)] }];
    areas.extend(AREAS.map(|name| Area { name, zones: Vec::new() }));
    for tz in chrono_tz::TZ_VARIANTS {
        let Some((area, city)) = tz.name().split_once('/') else { continue };
        if let Some(area) = areas.iter_mut().find(|a| a.name == area) {
            area.zones.push(choice(tz.name(), city, current));
        }
    }
    if !areas.iter().flat_map(|a| &a.zones).any(|zone| zone.is_current) {
        areas[0].zones.push(choice(current, current, current));
    }
    areas
}

fn choice(name: &'static str, label: &str, current: &str) -> ZoneChoice {
    ZoneChoice { name, label: label.replace('_', " ").replace('/', " / "), is_current: name == current }
}

/// The text of that key with these variables.
pub(super) fn with(locale: &Locale, key: &str, args: &[(&'static str, &str)]) -> String {
    locale.text(key, &args.iter().map(|(name, value)| (*name, *value)).collect())
}
