//! The lossless tree: components hold properties and components in the order they were written.

use super::parse::{self, Limits, ParseError};
use super::write::{self, Form};

/// One parameter of a property, e.g. `PARTSTAT=ACCEPTED` or `MEMBER="mailto:a","mailto:b"` (RFC 5545 §3.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Param {
    /// Name as written; compare with [`Param::is`].
    pub name: String,
    /// Values with quotes removed and RFC 6868 carets decoded. A parameter written without `=` has none.
    pub values: Vec<String>,
}

impl Param {
    /// A parameter with one value.
    pub fn new(name: &str, value: &str) -> Self {
        Self { name: name.to_owned(), values: vec![value.to_owned()] }
    }

    /// Whether the parameter has this name; names are compared without regard to case.
    pub fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }

    /// The first value, or `""`.
    pub fn value(&self) -> &str {
        self.values.first().map_or("", String::as_str)
    }
}

/// One content line (RFC 5545 §3.1).
///
/// The value is kept as written, still escaped; [`Property::text`] decodes it. A property that nobody edited is written
/// back byte for byte, odd folding and quoting included.
#[derive(Debug, Clone)]
pub struct Property {
    name: String,
    params: Vec<Param>,
    value: String,
    /// The physical lines without the last line ending, where they differ from what we would write ourselves.
    raw: Option<Box<str>>,
}

impl PartialEq for Property {
    /// Same name (without regard to case), parameters and value; folding and quoting do not count.
    fn eq(&self, other: &Self) -> bool {
        self.is(&other.name) && self.params == other.params && self.value == other.value
    }
}
impl Eq for Property {}

impl Property {
    /// A property whose value is already in its wire form (dates, addresses, numbers, escaped text).
    pub fn new(name: &str, value: impl Into<String>) -> Self {
        Self { name: name.to_owned(), params: Vec::new(), value: value.into(), raw: None }
    }

    /// A property with a TEXT value, escaped here (RFC 5545 §3.3.11).
    pub fn with_text(name: &str, text: &str) -> Self {
        Self::new(name, write::escape_text(text))
    }

    pub(super) fn set_parsed_params(&mut self, params: Vec<Param>) {
        self.params = params;
    }

    pub(super) fn keep_raw(&mut self, raw: &str) {
        self.raw = Some(raw.into());
    }

    /// The same property with one more parameter.
    #[must_use]
    pub fn param(mut self, name: &str, value: &str) -> Self {
        self.set_param(name, value);
        self
    }

    /// Name as written.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether the property has this name; names are compared without regard to case.
    pub fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }

    /// The value as written, still escaped.
    pub fn value(&self) -> &str {
        &self.value
    }

    /// The value as TEXT, unescaped (RFC 5545 §3.3.11).
    pub fn text(&self) -> String {
        write::unescape_text(&self.value)
    }

    /// All parameters in the order written.
    pub fn params(&self) -> &[Param] {
        &self.params
    }

    /// The first value of the first parameter of that name.
    pub fn get_param(&self, name: &str) -> Option<&str> {
        self.params.iter().find(|p| p.is(name)).map(Param::value)
    }

    /// Replaces the value by one in wire form; does nothing when it is the same already.
    pub fn set_value(&mut self, value: impl Into<String>) {
        let value = value.into();
        if value != self.value {
            self.value = value;
            self.raw = None;
        }
    }

    /// Sets a parameter to one value, in place where it exists, else at the end.
    pub fn set_param(&mut self, name: &str, value: &str) {
        match self.params.iter_mut().find(|p| p.is(name)) {
            Some(p) if p.values.len() == 1 && p.values[0] == value => return,
            Some(p) => p.values = vec![value.to_owned()],
            None => self.params.push(Param::new(name, value)),
        }
        self.raw = None;
    }

    /// Adds a parameter with any number of values.
    pub fn push_param(&mut self, param: Param) {
        self.params.push(param);
        self.raw = None;
    }

    /// Removes every parameter of that name; true when there was one.
    pub fn remove_param(&mut self, name: &str) -> bool {
        let before = self.params.len();
        self.params.retain(|p| !p.is(name));
        let removed = self.params.len() != before;
        if removed {
            self.raw = None;
        }
        removed
    }

    pub(super) fn raw(&self) -> Option<&str> {
        self.raw.as_deref()
    }
}

/// What a component holds, in the order written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// A content line.
    Property(Property),
    /// A nested component.
    Component(Component),
    /// A blank line, kept so that the text comes back unchanged.
    Blank(Box<str>),
}

/// A component: `BEGIN:name … END:name`. The outermost one is normally a VCALENDAR or a VCARD.
#[derive(Debug, Clone, Eq)]
pub struct Component {
    name: String,
    /// Properties and components in the order written.
    pub items: Vec<Item>,
    pub(super) layout: Layout,
}

impl PartialEq for Component {
    /// Same name and items; line endings, folding and blank lines at the edges do not count.
    fn eq(&self, other: &Self) -> bool {
        self.is(&other.name) && self.items == other.items
    }
}

/// How the text around the items looked. Only the outermost component's outer parts are used.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Layout {
    /// `BEGIN:` and `END:` lines where they are not what we would write (`begin:vevent`, trailing blanks).
    pub begin: Option<Box<str>>,
    pub end: Option<Box<str>>,
    /// Byte order mark and blank lines before, blank lines after.
    pub before: Box<str>,
    pub after: Box<str>,
    /// Lines end in LF alone.
    pub lf_only: bool,
    /// The last line has no line ending.
    pub unterminated: bool,
}

impl Component {
    /// An empty component.
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), items: Vec::new(), layout: Layout::default() }
    }

    pub(super) fn parsed(name: String, layout: Layout) -> Self {
        Self { name, items: Vec::new(), layout }
    }

    /// Parses text that holds exactly one outermost component, within the default [`Limits`].
    ///
    /// # Errors
    /// [`ParseError`] with the line where reading stopped.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        parse::parse_one(text, Limits::default())
    }

    /// Parses text within the given limits; see [`Component::parse`].
    ///
    /// # Errors
    /// [`ParseError`] with the line where reading stopped.
    pub fn parse_within(text: &str, limits: Limits) -> Result<Self, ParseError> {
        parse::parse_one(text, limits)
    }

    /// Name as written.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether the component has this name; names are compared without regard to case.
    pub fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }

    /// All properties, in order.
    pub fn properties(&self) -> impl Iterator<Item = &Property> {
        self.items.iter().filter_map(|i| match i {
            Item::Property(p) => Some(p),
            _ => None,
        })
    }

    /// All properties, in order, for editing.
    pub fn properties_mut(&mut self) -> impl Iterator<Item = &mut Property> {
        self.items.iter_mut().filter_map(|i| match i {
            Item::Property(p) => Some(p),
            _ => None,
        })
    }

    /// All nested components, in order.
    pub fn components(&self) -> impl Iterator<Item = &Component> {
        self.items.iter().filter_map(|i| match i {
            Item::Component(c) => Some(c),
            _ => None,
        })
    }

    /// All nested components, in order, for editing.
    pub fn components_mut(&mut self) -> impl Iterator<Item = &mut Component> {
        self.items.iter_mut().filter_map(|i| match i {
            Item::Component(c) => Some(c),
            _ => None,
        })
    }

    /// The properties of one name, in order.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Property> {
        self.properties().filter(move |p| p.is(name))
    }

    /// The properties of one name, in order, for editing.
    pub fn all_mut<'a>(&'a mut self, name: &'a str) -> impl Iterator<Item = &'a mut Property> {
        self.properties_mut().filter(move |p| p.is(name))
    }

    /// The first property of that name.
    pub fn get(&self, name: &str) -> Option<&Property> {
        self.properties().find(|p| p.is(name))
    }

    /// The first property of that name, for editing.
    pub fn get_mut(&mut self, name: &str) -> Option<&mut Property> {
        self.properties_mut().find(|p| p.is(name))
    }

    /// The value of the first property of that name, as written.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.get(name).map(Property::value)
    }

    /// The decoded text of the first property of that name.
    pub fn text(&self, name: &str) -> Option<String> {
        self.get(name).map(Property::text)
    }

    /// Puts a property in the place of the first one of its name and removes the others; appends it before the first
    /// nested component where there is none.
    pub fn set(&mut self, property: Property) {
        let name = property.name().to_owned();
        let mut placed = Some(property);
        self.items.retain_mut(|item| match item {
            Item::Property(p) if p.is(&name) => match placed.take() {
                Some(new) => {
                    if *p != new {
                        *p = new;
                    }
                    true
                }
                None => false,
            },
            _ => true,
        });
        if let Some(new) = placed {
            self.push(new);
        }
    }

    /// Adds a property after the last one (before nested components that follow it).
    pub fn push(&mut self, property: Property) {
        let at = self.items.iter().rposition(|i| matches!(i, Item::Property(_))).map_or(0, |i| i + 1);
        self.items.insert(at, Item::Property(property));
    }

    /// Adds a nested component at the end.
    pub fn push_component(&mut self, component: Component) {
        self.items.push(Item::Component(component));
    }

    /// Removes every property of that name; true when there was one.
    pub fn remove(&mut self, name: &str) -> bool {
        let before = self.items.len();
        self.items.retain(|i| !matches!(i, Item::Property(p) if p.is(name)));
        self.items.len() != before
    }

    /// The text as it came in, with edits; folding, line endings and byte order mark of untouched parts are kept.
    pub fn to_text(&self) -> String {
        write::to_text(self, Form::AsWritten)
    }

    /// The text in canonical form: CRLF, lines folded at 75 octets, no byte order mark. For text that goes to others.
    pub fn to_wire(&self) -> String {
        write::to_text(self, Form::Canonical)
    }
}
