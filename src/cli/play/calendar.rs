//! What a CalDAV client does: discover, write, look up, delete (RFC 4791, RFC 6764).

use anyhow::{Context as _, bail, ensure};
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use quick_xml::NsReader;
use quick_xml::events::Event;

use crate::net::Client;

/// A CalDAV client of one person.
#[derive(Debug, Clone)]
pub struct Caldav<'a> {
    http: &'a Client,
    base: String,
    token: String,
}

/// A calendar object as the server gave it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Path on the server.
    pub href: String,
    /// Quoted ETag.
    pub etag: String,
    /// iCalendar text.
    pub data: String,
}

impl<'a> Caldav<'a> {
    /// A client with a bearer token; `base` is the server without a trailing `/`.
    pub fn new(http: &'a Client, base: &str, token: &str) -> Self {
        Self { http, base: base.to_owned(), token: token.to_owned() }
    }

    /// The bearer token it sends.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// One request; the answer whatever its status.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn request(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> anyhow::Result<Response<Bytes>> {
        let url = if path.starts_with("http") { path.to_owned() } else { format!("{}{path}", self.base) };
        let mut request = Request::builder()
            .method(Method::from_bytes(method.as_bytes())?)
            .uri(url)
            .header(header::AUTHORIZATION, format!("Bearer {}", self.token));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Ok(self.http.fetch(request.body(Bytes::from(body.to_owned()))?).await?)
    }

    /// Follows RFC 6764 from the host name to the calendar home; gives each path on the way.
    ///
    /// # Errors
    /// When a step leads nowhere.
    pub async fn discover_home(&self) -> anyhow::Result<Vec<String>> {
        let mut trail = vec!["/.well-known/caldav".to_owned()];
        let principal = r#"<d:propfind xmlns:d="DAV:"><d:prop><d:current-user-principal/></d:prop></d:propfind>"#;
        let response = self.request("PROPFIND", &trail[0], &[("Depth", "0")], principal).await?;
        ensure!(response.status().is_redirection(), "/.well-known/caldav answered {}", response.status());
        let location = response.headers().get(header::LOCATION).context("a redirect without Location")?.to_str()?;
        trail.push(path_of(location));
        let principal = self.property(&trail[1], principal, "current-user-principal").await?;
        trail.push(principal);
        let home = r#"<d:propfind xmlns:d="DAV:" xmlns:c="urn:ietf:params:xml:ns:caldav"><d:prop><c:calendar-home-set/></d:prop></d:propfind>"#;
        let home = self.property(&trail[2], home, "calendar-home-set").await?;
        trail.push(home);
        Ok(trail)
    }

    /// The calendars of a home that take events, by path.
    ///
    /// # Errors
    /// When the answer is no multistatus.
    pub async fn calendars(&self, home: &str) -> anyhow::Result<Vec<String>> {
        let body = r#"<d:propfind xmlns:d="DAV:"><d:prop><d:resourcetype/></d:prop></d:propfind>"#;
        let response = self.request("PROPFIND", home, &[("Depth", "1")], body).await?;
        let responses = multistatus(&response)?;
        let calendars = responses.into_iter().filter(|r| r.elements.iter().any(|e| e == "calendar"));
        Ok(calendars.map(|r| r.href).collect())
    }

    async fn property(&self, path: &str, body: &str, name: &str) -> anyhow::Result<String> {
        let response = self.request("PROPFIND", path, &[("Depth", "0")], body).await?;
        let responses = multistatus(&response).with_context(|| format!("PROPFIND {path}"))?;
        let found = responses.into_iter().find_map(|r| r.hrefs_in(name));
        found.with_context(|| format!("{path} has no {name}"))
    }

    /// Writes an object; gives the status.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn put(&self, path: &str, data: &str, condition: (&str, &str)) -> anyhow::Result<StatusCode> {
        let headers = [("Content-Type", "text/calendar; charset=utf-8"), condition];
        let response = self.request("PUT", path, &headers, data).await?;
        let status = response.status();
        ensure!(status.is_success(), "PUT {path} answered {status}: {}", String::from_utf8_lossy(response.body()));
        Ok(status)
    }

    /// Reads an object.
    ///
    /// # Errors
    /// When it is not there.
    pub async fn get(&self, path: &str) -> anyhow::Result<Stored> {
        let response = self.request("GET", path, &[], "").await?;
        ensure!(response.status() == StatusCode::OK, "GET {path} answered {}", response.status());
        let etag = response.headers().get(header::ETAG).context("no ETag")?.to_str()?.to_owned();
        Ok(Stored { href: path.to_owned(), etag, data: String::from_utf8(response.body().to_vec())? })
    }

    /// Deletes an object.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn delete(&self, path: &str) -> anyhow::Result<StatusCode> {
        let response = self.request("DELETE", path, &[], "").await?;
        ensure!(response.status().is_success(), "DELETE {path} answered {}", response.status());
        Ok(response.status())
    }

    /// Looks an object up by UID; attendees' copies have names of the server's choosing.
    ///
    /// # Errors
    /// When the answer is no multistatus.
    pub async fn find(&self, calendar: &str, uid: &str) -> anyhow::Result<Option<Stored>> {
        let body = format!(
            r#"<c:calendar-query xmlns:d="DAV:" xmlns:c="urn:ietf:params:xml:ns:caldav"><d:prop><d:getetag/><c:calendar-data/></d:prop><c:filter><c:comp-filter name="VCALENDAR"><c:comp-filter name="VEVENT"><c:prop-filter name="UID"><c:text-match collation="i;octet">{uid}</c:text-match></c:prop-filter></c:comp-filter></c:comp-filter></c:filter></c:calendar-query>"#
        );
        let response = self.request("REPORT", calendar, &[("Depth", "1")], &body).await?;
        let found = multistatus(&response)?.into_iter().next();
        Ok(found.map(|r| Stored {
            etag: r.text_of("getetag").unwrap_or_default(),
            data: r.text_of("calendar-data").unwrap_or_default(),
            href: r.href,
        }))
    }
}

/// One `response` of a multistatus: its href, and all elements and texts below its properties.
#[derive(Debug, Default)]
struct Answer {
    href: String,
    elements: Vec<String>,
    texts: Vec<(Vec<String>, String)>,
}

impl Answer {
    fn text_of(&self, property: &str) -> Option<String> {
        let text: String = self
            .texts
            .iter()
            .filter(|(path, _)| path.last().is_some_and(|l| l == property))
            .map(|(_, t)| t.as_str())
            .collect();
        (!text.is_empty()).then_some(text)
    }

    fn hrefs_in(&self, property: &str) -> Option<String> {
        let within = |path: &[String]| path.ends_with(&[property.to_owned(), "href".to_owned()]);
        self.texts.iter().find(|(path, _)| within(path)).map(|(_, text)| text.trim().to_owned())
    }
}

fn multistatus(response: &Response<Bytes>) -> anyhow::Result<Vec<Answer>> {
    let text = std::str::from_utf8(response.body())?;
    if response.status() != StatusCode::MULTI_STATUS {
        bail!("answered {} {text}", response.status());
    }
    let mut reader = NsReader::from_str(text);
    let mut path: Vec<String> = Vec::new();
    let mut answers: Vec<Answer> = Vec::new();
    loop {
        match reader.read_event()? {
            Event::Start(e) => {
                let name = e.local_name().as_ref().to_owned();
                if name == "response" && path.len() == 1 {
                    answers.push(Answer::default());
                }
                if let Some(answer) = answers.last_mut() {
                    answer.elements.push(name.clone());
                }
                path.push(name);
            }
            Event::Empty(e) => {
                if let Some(answer) = answers.last_mut() {
                    answer.elements.push(e.local_name().as_ref().to_owned());
                }
            }
            Event::End(_) => {
                path.pop();
            }
            Event::Text(t) => keep(&mut answers, &path, &t.xml10_content()),
            Event::CData(t) => keep(&mut answers, &path, &t),
            Event::GeneralRef(r) => {
                let text = match r.resolve_char_ref()? {
                    Some(c) => c.to_string(),
                    None => quick_xml::escape::resolve_predefined_entity(&r).unwrap_or_default().to_owned(),
                };
                keep(&mut answers, &path, &text);
            }
            Event::Eof => return Ok(answers),
            _ => {}
        }
    }
}

fn keep(answers: &mut [Answer], path: &[String], text: &str) {
    let Some(answer) = answers.last_mut() else { return };
    if path.len() == 3 && path[2] == "href" {
        answer.href.push_str(text.trim());
    } else if path.len() > 3 {
        answer.texts.push((path.to_vec(), text.to_owned()));
    }
}

fn path_of(location: &str) -> String {
    location.parse::<http::Uri>().map_or_else(|_| location.to_owned(), |u| u.path().to_owned())
}
