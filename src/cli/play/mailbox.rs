//! What the people in the story find in their mailboxes.

use std::collections::HashSet;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use bytes::Bytes;
use http::{Request, StatusCode};
use mail_parser::{MessageParser, MimeHeaders as _, PartType};
use serde::Deserialize;

use crate::net::Client;

/// How long a mail may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// A mail as a mail client reads it.
#[derive(Debug, Clone)]
pub struct Mail {
    /// Address of the sender.
    pub from: String,
    /// Address of the recipient.
    pub to: String,
    /// Decoded subject.
    pub subject: String,
    /// Types of all parts in order, with the `method` of calendar parts.
    pub parts: Vec<String>,
    /// `Content-Language` of the HTML part.
    pub language: Option<String>,
    /// Decoded plain text part.
    pub text: String,
    /// Decoded calendar part that mail clients offer to accept.
    pub calendar: String,
    /// Its `method` parameter.
    pub method: String,
}

impl Mail {
    /// Reads a message.
    ///
    /// # Errors
    /// When it is no mail with text, HTML and calendar parts.
    pub fn read(eml: &[u8]) -> anyhow::Result<Self> {
        let message = MessageParser::default().parse(eml).context("not a mail")?;
        let address = |a: Option<&mail_parser::Address<'_>>| {
            a.and_then(|a| a.first()).and_then(|a| a.address()).map(str::to_owned)
        };
        let mut mail = Self {
            from: address(message.from()).context("no From")?,
            to: address(message.to()).context("no To")?,
            subject: message.subject().context("no Subject")?.to_owned(),
            parts: Vec::new(),
            language: None,
            text: message.body_text(0).context("no text part")?.into_owned(),
            calendar: String::new(),
            method: String::new(),
        };
        ensure!(message.html_body_count() > 0, "no HTML part");
        for part in &message.parts {
            let Some(kind) = part.content_type() else { continue };
            let name = format!("{}/{}", kind.ctype(), kind.subtype().unwrap_or_default());
            let method = kind.attribute("method").unwrap_or_default().to_owned();
            if matches!(part.body, PartType::Html(_)) {
                mail.language = part.content_language().as_text().map(str::to_owned);
            }
            if name == "text/calendar" {
                mail.calendar = part.text_contents().context("an unreadable calendar part")?.to_owned();
                mail.method.clone_from(&method);
            }
            mail.parts.push(if method.is_empty() { name } else { format!("{name}; method={method}") });
        }
        ensure!(!mail.calendar.is_empty(), "no text/calendar part, only {:?}", mail.parts);
        Ok(mail)
    }
}

/// All mailboxes of the story: the outbox, read mail by mail as new ones arrive.
#[derive(Debug)]
pub struct Mailbox<'a> {
    http: &'a Client,
    base: String,
    seen: HashSet<String>,
}

#[derive(Debug, Deserialize)]
struct Listed {
    name: String,
    to: String,
}

#[derive(Debug, Deserialize)]
struct Listing {
    mails: Vec<Listed>,
}

impl<'a> Mailbox<'a> {
    /// The mails behind the outbox page at `base`; what is there already counts as read.
    ///
    /// # Errors
    /// When the page does not answer.
    pub async fn open(http: &'a Client, base: &str) -> anyhow::Result<Self> {
        let mut mailbox = Self { http, base: base.to_owned(), seen: HashSet::new() };
        let old = mailbox.list().await?;
        mailbox.seen.extend(old.into_iter().map(|m| m.name));
        Ok(mailbox)
    }

    /// The next unread mail to that address that carries an iTIP message of that method.
    ///
    /// # Errors
    /// When none comes.
    pub async fn next(&mut self, to: &str, method: &str) -> anyhow::Result<Mail> {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            for listed in self.list().await? {
                if self.seen.contains(&listed.name) || !listed.to.to_lowercase().contains(&to.to_lowercase()) {
                    continue;
                }
                let mail = Mail::read(&self.get(&format!("/{}/raw", listed.name)).await?)?;
                if mail.method == method {
                    self.seen.insert(listed.name);
                    return Ok(mail);
                }
            }
            if tokio::time::Instant::now() > deadline {
                bail!("no {method} mail to {to} within {PATIENCE:?}");
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// How many mails nobody has read yet.
    ///
    /// # Errors
    /// When the page does not answer.
    pub async fn unread(&self) -> anyhow::Result<usize> {
        Ok(self.list().await?.iter().filter(|m| !self.seen.contains(&m.name)).count())
    }

    async fn list(&self) -> anyhow::Result<Vec<Listed>> {
        Ok(serde_json::from_slice::<Listing>(&self.get(".json").await?)?.mails)
    }

    async fn get(&self, path: &str) -> anyhow::Result<Bytes> {
        let url = format!("{}{path}", self.base);
        let response = self.http.fetch(Request::get(&url).body(Bytes::new())?).await?;
        ensure!(response.status() == StatusCode::OK, "{url} answered {}", response.status());
        Ok(response.into_body())
    }
}
