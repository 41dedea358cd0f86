//! The page that shows the mails that were sent as a reader would see them: the text, the HTML in a cage, the calendar part
//! in plain words, the raw message.
//!
//! Whoever can reach the page can read every mail: it must only be served on a loopback address, which whoever mounts it
//! sees to. Mails hold what strangers wrote; the HTML is shown by a frame that can run nothing and load nothing.

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use http::{HeaderName, HeaderValue, StatusCode, header};
use mail_parser::{Message, MessageParser, MimeHeaders, PartType};
use minijinja::value::{Serde, Value};
use minijinja::{Environment, UndefinedBehavior};
use serde::{Deserialize, Serialize};

use crate::ical::{Component, Event, Zones};
use crate::mail::{MailName, SharedArchive};

/// Mails on one page.
const PER_PAGE: usize = 50;

/// For our own pages: nothing but their own styles and a frame of our own.
const PAGE_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; frame-src 'self'; base-uri 'none'; \
     form-action 'none'; frame-ancestors 'none'";
/// For the HTML of a mail: no scripts, no forms, no requests; it may only be framed by us.
const MAIL_POLICY: &str = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; \
     form-action 'none'; frame-ancestors 'self'";

/// Where the pages are.
pub const PATH: &str = "/mails/";

/// The pages, at [`PATH`]. Links between them are relative.
pub fn router(archive: SharedArchive) -> Router {
    Router::new()
        .route("/mails", get(|| async { Redirect::permanent(PATH) }))
        .route("/mails/", get(list))
        .route("/mails/{name}/", get(show))
        .route("/mails/{name}/html", get(html))
        .route("/mails.json", get(list_json))
        .route("/mails/{name}/raw", get(raw))
        .with_state(Outbox { archive })
}

#[derive(Clone)]
struct Outbox {
    archive: SharedArchive,
}

/// Why a page cannot be shown.
#[derive(Debug, thiserror::Error)]
enum PageError {
    #[error("There is no such mail.")]
    NotFound,
    #[error("The mails cannot be read: {0}")]
    Archive(#[from] std::io::Error),
    #[error("The page cannot be made: {0}")]
    Template(#[from] minijinja::Error),
}

impl IntoResponse for PageError {
    fn into_response(self) -> Response {
        let status = match self {
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Archive(_) | Self::Template(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        (status, headers("text/plain; charset=utf-8", PAGE_POLICY), self.to_string()).into_response()
    }
}

#[derive(Deserialize)]
struct Paging {
    #[serde(default)]
    page: usize,
}

#[derive(Serialize)]
struct ListView {
    mails: Vec<Listed>,
    total: usize,
    newer: Option<usize>,
    older: Option<usize>,
}

#[derive(Serialize)]
struct Listed {
    name: String,
    from: String,
    to: String,
    subject: String,
    date: String,
}

#[derive(Serialize)]
struct MailView {
    listed: Listed,
    text: Option<String>,
    has_html: bool,
    calendar: Option<CalendarView>,
    attachments: Vec<String>,
}

#[derive(Serialize)]
struct CalendarView {
    method: String,
    rows: Vec<(String, String)>,
    source: String,
}

async fn list(State(outbox): State<Outbox>, Query(paging): Query<Paging>) -> Result<Response, PageError> {
    render("outbox.html", Value::from(Serde(&outbox.page(paging).await?)))
}

/// The same list for programs.
async fn list_json(State(outbox): State<Outbox>, Query(paging): Query<Paging>) -> Result<Response, PageError> {
    Ok(axum::Json(outbox.page(paging).await?).into_response())
}

async fn show(State(outbox): State<Outbox>, Path(name): Path<String>) -> Result<Response, PageError> {
    let (name, raw) = outbox.mail(&name).await?;
    let message = MessageParser::default().parse(&raw);
    let view = MailView {
        listed: listed(&name, message.as_ref()),
        text: message.as_ref().and_then(|m| part(m, "text", "plain")),
        has_html: message.as_ref().is_some_and(|m| part(m, "text", "html").is_some()),
        calendar: message.as_ref().and_then(|m| part(m, "text", "calendar")).map(|text| calendar(&text)),
        attachments: message.iter().flat_map(|m| m.attachments()).filter_map(attachment).collect(),
    };
    render("mail.html", Value::from(Serde(&view)))
}

async fn html(State(outbox): State<Outbox>, Path(name): Path<String>) -> Result<Response, PageError> {
    let (_, raw) = outbox.mail(&name).await?;
    let message = MessageParser::default().parse(&raw);
    let html = message.as_ref().and_then(|m| part(m, "text", "html")).ok_or(PageError::NotFound)?;
    Ok((headers("text/html; charset=utf-8", MAIL_POLICY), html).into_response())
}

async fn raw(State(outbox): State<Outbox>, Path(name): Path<String>) -> Result<Response, PageError> {
    let (name, raw) = outbox.mail(&name).await?;
    let mut response = (headers("message/rfc822", MAIL_POLICY), raw).into_response();
    // A name holds digits, letters, a dash and a dot only.
    if let Ok(disposition) = HeaderValue::from_str(&format!("attachment; filename=\"{name}\"")) {
        response.headers_mut().insert(header::CONTENT_DISPOSITION, disposition);
    }
    Ok(response)
}

impl Outbox {
    async fn page(&self, paging: Paging) -> Result<ListView, PageError> {
        let offset = paging.page.saturating_mul(PER_PAGE);
        let page = self.archive.list(offset, PER_PAGE).await?;
        let mut mails = Vec::with_capacity(page.names.len());
        for name in &page.names {
            // A mail that was deleted a moment ago is left out.
            if let Some(raw) = self.archive.read(name).await? {
                mails.push(listed(name, MessageParser::default().parse(&raw).as_ref()));
            }
        }
        Ok(ListView {
            mails,
            total: page.total,
            newer: paging.page.checked_sub(1),
            older: (offset.saturating_add(PER_PAGE) < page.total).then_some(paging.page + 1),
        })
    }

    async fn mail(&self, name: &str) -> Result<(MailName, Vec<u8>), PageError> {
        let name: MailName = name.parse().map_err(|_| PageError::NotFound)?;
        let raw = self.archive.read(&name).await?.ok_or(PageError::NotFound)?;
        Ok((name, raw))
    }
}

fn listed(name: &MailName, message: Option<&Message<'_>>) -> Listed {
    let people = |address: Option<&mail_parser::Address<'_>>| {
        let one = |a: &mail_parser::Addr<'_>| match (a.name(), a.address()) {
            (Some(name), Some(address)) => format!("{name} <{address}>"),
            (name, address) => address.or(name).unwrap_or_default().to_owned(),
        };
        address.map(|all| all.iter().map(one).collect::<Vec<_>>().join(", ")).unwrap_or_default()
    };
    Listed {
        name: name.to_string(),
        from: people(message.and_then(|m| m.from())),
        to: people(message.and_then(|m| m.to())),
        subject: message.and_then(|m| m.subject()).unwrap_or("(no subject)").to_owned(),
        date: message.and_then(|m| m.date()).map(|date| date.to_rfc3339()).unwrap_or_default(),
    }
}

/// The first part of that type, as text.
fn part(message: &Message<'_>, kind: &str, subtype: &str) -> Option<String> {
    let part = message.parts.iter().find(|part| part.is_content_type(kind, subtype))?;
    match &part.body {
        PartType::Text(text) | PartType::Html(text) => Some(text.to_string()),
        PartType::Binary(bytes) | PartType::InlineBinary(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
        PartType::Message(_) | PartType::Multipart(_) => None,
    }
}

fn attachment(part: &mail_parser::MessagePart<'_>) -> Option<String> {
    let kind = part.content_type()?;
    let name = part.attachment_name()?;
    Some(format!("{name} ({}/{})", kind.ctype(), kind.subtype().unwrap_or("*")))
}

/// What a mail client makes of the calendar part.
fn calendar(text: &str) -> CalendarView {
    let mut view = CalendarView { method: String::new(), rows: Vec::new(), source: text.to_owned() };
    let Ok(root) = Component::parse(text) else { return view };
    view.method = root.value("METHOD").unwrap_or_default().to_owned();
    let zones = Zones::of(&root);
    for component in root.components().filter(|c| c.is("VEVENT")) {
        let event = Event::new(component, &zones);
        let mut row = |label: &str, value: Option<String>| {
            view.rows.extend(value.filter(|v| !v.is_empty()).map(|value| (label.to_owned(), value)));
        };
        row("What", event.summary());
        row("From", event.start().map(|when| when.to_string()));
        row("To", event.end().map(|when| when.to_string()));
        row("Repeats", event.rrule().map(str::to_owned));
        row("Occurrence", event.recurrence_id().map(|when| when.to_string()));
        row("Where", event.location());
        row("Organizer", event.organizer().map(|o| o.address().to_owned()));
        for attendee in event.attendees() {
            row("Attendee", Some(format!("{} {}", attendee.address(), attendee.partstat())));
        }
        row("Version", Some(format!("SEQUENCE {}", event.sequence())));
    }
    view
}

fn render(template: &str, values: Value) -> Result<Response, PageError> {
    let mut pages = Environment::new();
    pages.set_undefined_behavior(UndefinedBehavior::Strict);
    pages.add_template("outbox.html", include_str!("outbox.html"))?;
    pages.add_template("mail.html", include_str!("mail.html"))?;
    let page = pages.get_template(template)?.render(values)?;
    Ok((headers("text/html; charset=utf-8", PAGE_POLICY), page).into_response())
}

fn headers(content_type: &'static str, policy: &'static str) -> [(HeaderName, HeaderValue); 5] {
    [
        (header::CONTENT_TYPE, HeaderValue::from_static(content_type)),
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy)),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ]
}
