//! Who is of a team: those to whom its calendar is shared. Asked and changed as any program does, in the team's domain.

use anyhow::{Context as _, bail, ensure};
use http::Request;
use http_body_util::BodyExt as _;
use serde::Deserialize;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::dav::{Actor, Body, Upstream};
use crate::ids::Email;
use crate::store::{Access, SharedDirectory, TeamCalendar};

/// What a member may do with the calendar of the team.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Right {
    /// Read every event
    Read,
    /// Write and organize events, too
    Write,
    /// Say who is of the team, too
    Administrate,
}

impl Right {
    const fn access(self) -> Access {
        match self {
            Self::Read => Access::Read,
            Self::Write => Access::ReadWrite,
            Self::Administrate => Access::Administration,
        }
    }
}

/// A member, as the calendar tells it.
#[derive(Debug, Deserialize)]
pub(super) struct Member {
    /// `mailto:` and the address.
    href: String,
    access: i64,
}

impl Member {
    pub(super) fn mail(&self) -> &str {
        self.href.trim_start_matches("mailto:")
    }

    /// The word of what they may do.
    pub(super) fn right(&self) -> &'static str {
        match Access::of_number(self.access) {
            Some(Access::Read) => "read",
            Some(Access::ReadWrite) => "write",
            Some(Access::Administration) => "administrate",
            Some(Access::FreeBusy) | None => "nothing but busy times",
        }
    }
}

/// The members of a team.
pub(super) struct Members {
    pub(super) team: TeamCalendar,
    pub(super) directory: SharedDirectory,
    pub(super) upstream: Upstream,
}

impl Members {
    /// Everybody who is of the team.
    pub(super) async fn list(&self) -> anyhow::Result<Vec<Member>> {
        #[derive(Deserialize)]
        struct Calendar {
            invite: Vec<Member>,
        }
        let told = self.ask("GET", "?withRights=true", &Value::Null).await?;
        let calendar: Calendar =
            serde_json::from_str(&told).context("the DAV server does not tell who is of the team")?;
        // The first one is the team itself.
        Ok(calendar.invite.into_iter().skip(1).collect())
    }

    /// Makes somebody a member, or gives a member another right.
    pub(super) async fn set(&self, mail: &Email, right: Right) -> anyhow::Result<()> {
        let user = self.directory.user_by_email(mail).await?.filter(|user| user.domain == self.team.domain);
        ensure!(user.is_some(), "{mail} has no account in the domain of the team");
        let mut entry = json!({ "dav:href": mail.to_calendar_address() });
        entry[format!("dav:{}", right.access().word())] = json!(true);
        self.ask("POST", "", &json!({ "share": { "set": [entry], "remove": [] } })).await.map(drop)
    }

    /// Makes somebody no member any more.
    pub(super) async fn remove(&self, mail: &Email) -> anyhow::Result<()> {
        let is_member = self.list().await?.iter().any(|member| member.mail().eq_ignore_ascii_case(mail.as_str()));
        ensure!(is_member, "{mail} is no member of the team");
        let entry = json!({ "dav:href": mail.to_calendar_address() });
        self.ask("POST", "", &json!({ "share": { "set": [], "remove": [entry] } })).await.map(drop)
    }

    async fn ask(&self, method: &str, query: &str, body: &Value) -> anyhow::Result<String> {
        let id = self.team.id;
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let request = Request::builder()
            .method(method)
            .uri(format!("/calendars/{id}/{id}.json{query}"))
            .header("accept", "application/json")
            .extension(Actor::Technical(self.team.domain))
            .body(Body::from(body))?;
        let (head, body) = self.upstream.clone().oneshot(request).await?.into_parts();
        let text = String::from_utf8_lossy(&body.collect().await?.to_bytes()).into_owned();
        if !head.status.is_success() {
            bail!("the DAV server answers {}", head.status);
        }
        Ok(text)
    }
}
