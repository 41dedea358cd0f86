//! `convoke dav trash`.

use std::process::ExitCode;

use anyhow::{Context as _, bail, ensure};
use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use serde::Deserialize;
use tower::ServiceExt as _;

use super::progress::Shown;
use crate::app;
use crate::cli::{DONE, FAILED};
use crate::clock::Env;
use crate::config::Config;
use crate::dav::xml::{self, SABRE, XmlLimits};
use crate::dav::{Actor, Body, Upstream};
use crate::ids::{Email, HomeId};

/// Octets of an answer that are read at most.
const ANSWER: usize = 16 << 20;

/// Look at what somebody deleted, bring it back or forget it. Calendars, address books, events, tasks and cards are kept for
/// dav.trash_days after they were deleted.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// List what was deleted, oldest first
    List(List),
    /// Bring things back: objects into their collection, collections with all that was in them. Nobody is invited. Exit status 1
    /// when something could not come back
    Restore(Choice),
    /// Forget things before their time
    Purge(Choice),
}

#[derive(Debug, clap::Args)]
struct List {
    #[command(flatten)]
    whose: Whose,
    /// As JSON, one thing a line
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
struct Whose {
    /// Whose trash
    #[arg(long, value_name = "EMAIL")]
    user: Email,
    /// Only what was, or was in, the calendar or address book of this name in the URL
    #[arg(long, visible_alias = "addressbook", value_name = "NAME")]
    calendar: Option<String>,
}

#[derive(Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("which").required(true).multiple(false).args(["ids", "all"])))]
struct Choice {
    #[command(flatten)]
    whose: Whose,
    /// Ids as `convoke dav trash list` tells them
    #[arg(value_name = "ID")]
    ids: Vec<String>,
    /// Everything that `list` shows with the same --user and --calendar
    #[arg(long)]
    all: bool,
}

/// A thing as the server lists it.
#[derive(Debug, Deserialize)]
struct Item {
    id: String,
    calendar: String,
    collection: String,
    #[serde(default)]
    name: String,
    #[serde(rename = "type")]
    kind: String,
    summary: String,
    deleted: chrono::DateTime<chrono::Utc>,
    until: chrono::DateTime<chrono::Utc>,
    #[serde(skip)]
    whole: serde_json::Value,
}

impl Item {
    /// What it is called where something is said of it.
    fn name(&self) -> String {
        format!("{} {:?}", self.id, shown(&self.summary))
    }

    /// Where it was.
    fn place(&self) -> String {
        format!("{}{}", self.collection, self.name)
    }
}

pub(super) async fn run(args: Args, config: &Config, engines: &app::Engines, env: &Env) -> anyhow::Result<ExitCode> {
    ensure!(config.upstream.url == "builtin", "only the built-in DAV server keeps what is deleted");
    let whose = match &args.command {
        Command::List(list) => &list.whose,
        Command::Restore(choice) | Command::Purge(choice) => &choice.whose,
    };
    let user = engines.directory.user_by_email(&whose.user).await?;
    let home = HomeId::from(user.with_context(|| format!("{} has no account", whose.user))?.id);
    let trash = Trash { upstream: app::upstream(engines, config, env)?, user: whose.user.clone(), home };
    match args.command {
        Command::List(list) => trash.list(&list).await,
        Command::Restore(choice) => trash.each(&choice, Method::POST, "restored").await,
        Command::Purge(choice) => trash.each(&choice, Method::DELETE, "forgotten").await,
    }
}

/// Somebody's trash on the built-in server.
struct Trash {
    upstream: Upstream,
    user: Email,
    home: HomeId,
}

impl Trash {
    async fn list(&self, list: &List) -> anyhow::Result<ExitCode> {
        let items = self.items(list.whose.calendar.as_deref()).await?;
        if items.is_empty() && !list.json {
            eprintln!("{}", self.nothing(list.whose.calendar.as_deref()));
        }
        for item in items {
            if list.json {
                println!("{}", item.whole);
                continue;
            }
            let Item { id, calendar, kind, summary, deleted, until, .. } = item;
            let (deleted, until) = (deleted.format("%F %H:%M UTC"), until.format("%F"));
            let default = if calendar == self.home.to_string() { " (default)" } else { "" };
            println!("{id}  {deleted}  kept until {until}  {kind:<11}  {calendar}{default}  {}", shown(&summary));
        }
        Ok(ExitCode::from(DONE))
    }

    /// Does something with each of the things chosen.
    async fn each(&self, choice: &Choice, method: Method, done: &str) -> anyhow::Result<ExitCode> {
        let items = self.items(choice.whose.calendar.as_deref()).await?;
        if items.is_empty() && choice.all {
            eprintln!("{}", self.nothing(choice.whose.calendar.as_deref()));
        }
        let mut ids: Vec<&Item> = Vec::new();
        // Collections first: what was deleted from them before they went finds them there again.
        let is_whole = |item: &&Item| ["calendar", "addressbook"].contains(&item.kind.as_str());
        let in_order = items.iter().filter(is_whole).chain(items.iter().filter(|item| !is_whole(item)));
        for item in in_order.filter(|item| choice.all || choice.ids.contains(&item.id)) {
            ids.push(item);
        }
        for id in &choice.ids {
            let is_there = ids.iter().any(|item| item.id == *id);
            let of = choice.whose.calendar.as_ref().map(|name| format!(", or not of {name}")).unwrap_or_default();
            ensure!(is_there, "{id} is not in the trash of {}{of}", self.user);
        }
        let shown = Shown::new();
        let (mut count, mut failed) = (0_u64, 0_u64);
        let mut told = tokio::time::Instant::now();
        for (n, item) in (0_u64..).zip(&ids) {
            match self.ask(method.clone(), &item.id).await {
                Ok(answer) => {
                    count += 1;
                    failed += tell(&shown, item, &answer);
                }
                Err(error) => {
                    shown.say(&format!("{}: {error}", item.name()));
                    failed += 1;
                }
            }
            if told.elapsed() >= shown.pause() {
                shown.show(n + 1, ids.len() as u64, "things");
                told = tokio::time::Instant::now();
            }
        }
        shown.end();
        println!("{count} {done}, {failed} not");
        Ok(ExitCode::from(if failed == 0 { DONE } else { FAILED }))
    }

    fn nothing(&self, calendar: Option<&str>) -> String {
        match calendar {
            None => format!("nothing is in the trash of {}", self.user),
            Some(name) => format!("nothing that was {name}, or was in it, is in the trash of {}", self.user),
        }
    }

    /// What is in the trash, of one collection where given.
    async fn items(&self, calendar: Option<&str>) -> anyhow::Result<Vec<Item>> {
        let (mut all, mut after) = (Vec::new(), String::new());
        loop {
            let page: serde_json::Value = serde_json::from_slice(&self.ask(Method::GET, &after).await?)?;
            for whole in page["items"].as_array().into_iter().flatten() {
                let item: Item = Deserialize::deserialize(whole)?;
                if calendar.is_none_or(|wanted| wanted == item.calendar) {
                    all.push(Item { whole: whole.clone(), ..item });
                }
            }
            match page["next"].as_str() {
                Some(next) => after = format!("?after={next}"),
                None => break,
            }
        }
        all.sort_by_key(|item| item.deleted);
        Ok(all)
    }

    async fn ask(&self, method: Method, below: &str) -> anyhow::Result<Bytes> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("/trash/{}/{below}", self.home))
            .body(Body::empty())
            .context("the id is none")?;
        request.extensions_mut().insert(Actor::User(self.user.clone()));
        let response = self.upstream.clone().oneshot(request).await?;
        let status = response.status();
        let body = http_body_util::Limited::new(response.into_body(), ANSWER).collect().await;
        let body = body.map_err(|error| anyhow::anyhow!("the answer broke off: {error}"))?.to_bytes();
        if status.is_success() {
            return Ok(body);
        }
        bail!("{}", reason(status, &body))
    }
}

/// What the server says of a thing that came back; nothing of one that was forgotten.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Restored {
    href: String,
    stayed: Vec<Stayed>,
    stayed_count: u64,
}

#[derive(Debug, Deserialize)]
struct Stayed {
    id: String,
    name: String,
    reason: String,
}

/// Tells where a thing is now, where that is not where it was, and what of it is still in the trash; how much that is.
fn tell(shown: &Shown, item: &Item, answer: &[u8]) -> u64 {
    let restored: Restored = serde_json::from_slice(answer).unwrap_or_default();
    if !restored.href.is_empty() && restored.href != item.place() {
        shown.say(&format!("{}: is at {} now", item.name(), restored.href));
    }
    for Stayed { id, name, reason } in &restored.stayed {
        shown.say(&format!("{id}  {name}: stays in the trash. {reason}"));
    }
    if restored.stayed_count > restored.stayed.len() as u64 {
        shown.say(&format!("{}: {} things of it in all stay in the trash", item.name(), restored.stayed_count));
    }
    restored.stayed_count
}

/// What the server says about a refusal.
fn reason(status: StatusCode, body: &[u8]) -> String {
    let error = xml::parse(body, XmlLimits { bytes: ANSWER, depth: 16 }).ok().flatten();
    let message = error.and_then(|error| Some(error.child(SABRE, "message")?.text()));
    message.map_or_else(|| status.to_string(), |message| format!("{status}: {message}"))
}

/// A text that the terminal shows as it is.
fn shown(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
