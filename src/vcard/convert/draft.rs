//! A content line while it is being rewritten.

use crate::ical::{Param, Property, escape_text, unescape_text};
use crate::vcard::date::{Format, Moment, Time};
use crate::vcard::line::{Line, is_encoding};
use crate::vcard::media::plain_uri;

/// Properties whose value is an address in either version, by their names in 4.0.
const ADDRESSES: [&str; 8] = ["URL", "SOURCE", "FBURL", "CALURI", "CALADRURI", "IMPP", "RELATED", "MEMBER"];

/// The parts of a content line.
pub(super) struct Draft {
    group: Option<String>,
    /// Name, without group.
    pub(super) name: String,
    pub(super) params: Vec<Param>,
    pub(super) value: String,
}

impl Draft {
    pub(super) fn of(property: &Property) -> Self {
        let line = Line::new(property);
        Self {
            group: line.group().map(str::to_owned),
            name: line.name().to_owned(),
            params: property.params().to_vec(),
            value: property.value().to_owned(),
        }
    }

    /// The line; the one it was made from where nothing changed, so that its folding stays.
    pub(super) fn finish(self, source: &Property) -> Property {
        let name = match &self.group {
            Some(group) => format!("{group}.{}", self.name),
            None => self.name,
        };
        let mut property = Property::new(&name, self.value);
        self.params.into_iter().for_each(|p| property.push_param(p));
        if property == *source { source.clone() } else { property }
    }

    pub(super) fn param(&self, name: &str) -> Option<&str> {
        self.params.iter().find(|p| p.is(name)).map(Param::value)
    }

    pub(super) fn has_value_type(&self, wanted: &str) -> bool {
        self.param("VALUE").is_some_and(|v| v.trim().eq_ignore_ascii_case(wanted))
    }

    pub(super) fn set(&mut self, name: &str, value: &str) {
        match self.params.iter_mut().find(|p| p.is(name)) {
            Some(param) => param.values = vec![value.to_owned()],
            None => self.params.push(Param::new(name, value)),
        }
    }

    /// Takes every parameter of that name away; the first value.
    pub(super) fn take(&mut self, name: &str) -> Option<String> {
        let found = self.param(name).map(str::to_owned);
        self.params.retain(|p| !p.is(name));
        found
    }

    /// Removes the parameter VALUE where it says this.
    pub(super) fn drop_value_type(&mut self, types: &[&str]) {
        if types.iter().any(|t| self.has_value_type(t)) {
            self.take("VALUE");
        }
    }

    /// Gives parameters without a name the one they stand for, and drops what is settled: everything is UTF-8.
    pub(super) fn name_parameters(&mut self) {
        for param in self.params.iter_mut().filter(|p| p.values.is_empty()) {
            let name = if is_encoding(&param.name) { "ENCODING" } else { "TYPE" };
            param.values = vec![std::mem::replace(&mut param.name, name.to_owned())];
        }
        self.take("CHARSET");
    }

    /// Leaves one word on how much the line is preferred, that of 4.0.
    pub(super) fn settle_preference(&mut self) {
        if self.take_type("pref") && self.param("PREF").is_none() {
            self.set("PREF", "1");
        }
    }

    /// Makes the value what it cannot help being.
    pub(super) fn be_text(&mut self) {
        self.set("VALUE", "text");
        self.value = escape_text(&unescape_text(&self.value));
    }

    /// An address is written as such: no escapes, and no word about what it is.
    pub(super) fn plain_address(&mut self) {
        if ADDRESSES.iter().any(|n| self.name.eq_ignore_ascii_case(n)) && !self.has_value_type("text") {
            self.drop_value_type(&["uri", "url"]);
            self.value = plain_uri(&self.value).into_owned();
        }
    }

    /// A telephone number of 3.0 is text, which readers show as it is: one without `tel:` is one to read and to dial.
    pub(super) fn plain_number(&mut self) {
        if let (true, Some(number)) = (self.has_value_type("uri"), plain_uri(&self.value).strip_prefix("tel:")) {
            self.value = escape_text(number);
            self.take("VALUE");
        }
    }

    /// REV is an instant: a date, which 3.0 allows too, stands for its first moment.
    pub(super) fn revision(&mut self, format: Format) {
        let Some(mut moment) = Moment::parse(&self.value).filter(Moment::is_full_date) else { return };
        moment.time = moment.time.or(Some(Time::MIDNIGHT_UTC));
        self.drop_value_type(&["date", "date-time", "timestamp"]);
        self.value = moment.write(format);
    }

    /// Takes a type away; true when it was there.
    pub(super) fn take_type(&mut self, unwanted: &str) -> bool {
        let mut found = false;
        self.params.retain_mut(|param| {
            if !param.is("TYPE") {
                return true;
            }
            let is_it = |value: &str| value.trim().eq_ignore_ascii_case(unwanted);
            if !param.values.iter().any(|v| v.split(',').any(is_it)) {
                return true;
            }
            found = true;
            let left = param.values.iter().flat_map(|v| v.split(',')).filter(|v| !is_it(v));
            param.values = left.map(str::to_owned).collect();
            !param.values.is_empty()
        });
        found
    }

    pub(super) fn add_type(&mut self, wanted: &str) {
        match self.params.iter_mut().find(|p| p.is("TYPE") && !p.values.is_empty()) {
            Some(param) => param.values.push(wanted.to_owned()),
            None => self.params.push(Param::new("TYPE", wanted)),
        }
    }
}
