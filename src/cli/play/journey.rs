//! The story: alice invites bob and a guest, bob accepts, alice moves the meeting, alice calls it off.

use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use bytes::Bytes;
use chrono::{NaiveTime, TimeZone as _, Utc};
use http::{Request, StatusCode, header};
use icalendar::{Calendar, Component as _, EventLike as _, Property};
use serde_json::{Value, json};

use crate::clock::Env;
use crate::ical::Component;
use crate::net::Client;

use super::calendar::Stored;
use super::{Caldav, Mail, Mailbox, Narrator, Person, Surfaces, sign_in};

/// How long a calendar may take to hear of a change.
const PATIENCE: Duration = Duration::from_secs(10);

const GUEST: &str = "guest@elsewhere.example";

/// Plays the whole story.
///
/// # Errors
/// At the first step that ends otherwise than it should.
pub async fn journey(
    at: &Surfaces,
    alice: Person,
    bob: Person,
    http: &Client,
    env: &Env,
    tell: &mut Narrator<'_>,
) -> anyhow::Result<()> {
    let mut mails = Mailbox::open(http, &at.mails).await?;
    let uid = env.uuid().to_string();
    // A word that no other event has.
    let word = format!("Retrospective{}", &uid[..6]);

    tell.step("alice signs in at the OpenID provider (authorization code + PKCE)")?;
    let session = sign_in(http, &at.issuer, alice, env).await.context("alice signs in")?;
    tell.saw(&format!("an access token, good for {} s", session.expires_in))?;
    let hers = Caldav::new(http, &at.public, &session.access_token);

    tell.step("her client finds her calendar through the proxy")?;
    let trail = hers.discover_home().await.context("discovery")?;
    let home = trail.last().context("an empty trail")?;
    let calendar = default_calendar(&hers.calendars(home).await?)?;
    tell.saw(&format!("{} -> {calendar}", trail.join(" -> ")))?;

    tell.step("she invites bob (example.org) and a guest from elsewhere")?;
    let path = format!("{calendar}{uid}.ics");
    let status = hers.put(&path, &invitation(&uid, &word, alice, bob, env)?, ("If-None-Match", "*")).await?;
    tell.saw(&format!("PUT {path}: {status}"))?;

    tell.step("bob's calendar holds it, and both got an invitation")?;
    let session = sign_in(http, &at.issuer, bob, env).await.context("bob signs in")?;
    let his = Caldav::new(http, &at.public, &session.access_token);
    let his_home = his.discover_home().await?;
    let his_calendar = default_calendar(&his.calendars(his_home.last().context("an empty trail")?).await?)?;
    let copy = until(&his, &his_calendar, &uid, |e| partstat(e, bob.mail) == "NEEDS-ACTION").await?;
    tell.saw(&format!("{}: bob is {}", copy.href, partstat(&event(&copy.data)?, bob.mail)))?;
    let (to_bob, to_guest) = (mails.next(bob.mail, "REQUEST").await?, mails.next(GUEST, "REQUEST").await?);
    ensure!(to_bob.language.as_deref() == Some("fr"), "bob's mail is in {:?}", to_bob.language);
    ensure!(to_guest.language.as_deref() == Some("en"), "the guest's mail is in {:?}", to_guest.language);
    show(tell, &to_bob)?;
    show(tell, &to_guest)?;

    tell.step("bob accepts in his calendar; alice sees it and gets his reply")?;
    let accepted = with_answer(&copy.data, bob.mail, "ACCEPTED")?;
    let status = his.put(&copy.href, &accepted, ("If-Match", &copy.etag)).await?;
    tell.saw(&format!("PUT {}: {status}", copy.href))?;
    let organized = until(&hers, &calendar, &uid, |e| partstat(e, bob.mail) == "ACCEPTED").await?;
    tell.saw(&format!("{}: bob is ACCEPTED", organized.href))?;
    show(tell, &mails.next(alice.mail, "REPLY").await?)?;

    tell.step("search finds the event by a word of its title")?;
    let hits = found(http, at, hers.token(), &calendar, &word, 1).await?;
    tell.saw(&hits)?;

    tell.step("alice moves it by an hour; both hear of it")?;
    let organized = hers.get(&path).await?;
    let before = sequence(&event(&organized.data)?);
    let moved = an_hour_later(&organized.data)?;
    let status = hers.put(&path, &moved, ("If-Match", &organized.etag)).await?;
    tell.saw(&format!("PUT {path}: {status}"))?;
    let start = event(&moved)?.value("DTSTART").unwrap_or_default().to_owned();
    until(&his, &his_calendar, &uid, |e| e.value("DTSTART") == Some(&start)).await?;
    for to in [bob.mail, GUEST] {
        let mail = mails.next(to, "REQUEST").await?;
        let after = sequence(&event(&mail.calendar)?);
        ensure!(after > before, "the update to {to} has SEQUENCE {after}, the invitation had {before}");
        show(tell, &mail)?;
        tell.saw(&format!("SEQUENCE {before} -> {after}"))?;
    }

    tell.step("alice calls it off; both hear of it")?;
    let status = hers.delete(&path).await?;
    tell.saw(&format!("DELETE {path}: {status}"))?;
    let left = until(&his, &his_calendar, &uid, |e| e.value("STATUS") == Some("CANCELLED")).await?;
    tell.saw(&format!("{}: CANCELLED", left.href))?;
    for to in [bob.mail, GUEST] {
        show(tell, &mails.next(to, "CANCEL").await?)?;
    }

    tell.step("search finds it no longer")?;
    tell.saw(&found(http, at, hers.token(), &calendar, &word, 0).await?)?;
    let stray = mails.unread().await?;
    ensure!(stray == 0, "{stray} more mails were sent than the story has");
    Ok(())
}

fn default_calendar(calendars: &[String]) -> anyhow::Result<String> {
    // The default calendar is named after its home (dav §5).
    let own_name = |path: &str| {
        let mut segments = path.trim_end_matches('/').rsplit('/');
        segments.next().is_some_and(|last| Some(last) == segments.next())
    };
    let chosen = calendars.iter().find(|c| own_name(c)).or_else(|| calendars.first());
    chosen.cloned().context("the home has no calendar")
}

/// A meeting in a week, written by the `icalendar` crate as any program would.
fn invitation(uid: &str, word: &str, alice: Person, bob: Person, env: &Env) -> anyhow::Result<String> {
    let day = env.now().date_naive() + chrono::Duration::days(7);
    let at = |hour| {
        let time = NaiveTime::from_hms_opt(hour, 30, 0).context("a time of day")?;
        Ok::<_, anyhow::Error>(Utc.from_utc_datetime(&day.and_time(time)))
    };
    let attendee = |mail: &str| {
        Property::new("ATTENDEE", format!("mailto:{mail}"))
            .add_parameter("PARTSTAT", "NEEDS-ACTION")
            .add_parameter("RSVP", "TRUE")
            .done()
    };
    let organizer = Property::new("ORGANIZER", format!("mailto:{}", alice.mail)).add_parameter("CN", "Alice").done();
    let event = icalendar::Event::new()
        .uid(uid)
        .summary(&format!("{word} of the quarter"))
        .location("Room 12")
        .description("Bring one thing that went well,\nand one that did not.")
        .timestamp(env.now())
        .starts(at(9)?)
        .ends(at(10)?)
        .append_property(organizer)
        .append_multi_property(attendee(bob.mail))
        .append_multi_property(attendee(GUEST))
        .done();
    Ok(Calendar::new().push(event).done().to_string())
}

fn event(data: &str) -> anyhow::Result<Component> {
    let calendar = Component::parse(data)?;
    calendar.components().find(|c| c.is("VEVENT")).cloned().context("no VEVENT")
}

fn edit(data: &str, change: impl FnOnce(&mut Component)) -> anyhow::Result<String> {
    let mut calendar = Component::parse(data)?;
    change(calendar.components_mut().find(|c| c.is("VEVENT")).context("no VEVENT")?);
    Ok(calendar.to_text())
}

fn partstat(event: &Component, mail: &str) -> String {
    let line = event.all("ATTENDEE").find(|a| a.value().to_lowercase().ends_with(mail));
    line.and_then(|a| a.get_param("PARTSTAT")).unwrap_or("none").to_owned()
}

fn sequence(event: &Component) -> i64 {
    event.value("SEQUENCE").and_then(|s| s.parse().ok()).unwrap_or(0)
}

fn with_answer(data: &str, mail: &str, answer: &str) -> anyhow::Result<String> {
    edit(data, |event| {
        for line in event.all_mut("ATTENDEE").filter(|a| a.value().to_lowercase().ends_with(mail)) {
            line.set_param("PARTSTAT", answer);
        }
    })
}

/// What a calendar client does when an event is dragged: new times, SEQUENCE one higher.
fn an_hour_later(data: &str) -> anyhow::Result<String> {
    let later = |value: &str| {
        let (time, utc) = (value.trim_end_matches('Z'), value.ends_with('Z'));
        let time = chrono::NaiveDateTime::parse_from_str(time, "%Y%m%dT%H%M%S").ok()? + chrono::Duration::hours(1);
        Some(format!("{}{}", time.format("%Y%m%dT%H%M%S"), if utc { "Z" } else { "" }))
    };
    edit(data, |event| {
        for name in ["DTSTART", "DTEND"] {
            if let Some(p) = event.get_mut(name) {
                let value = later(p.value());
                p.set_value(value.unwrap_or_default());
            }
        }
        let next = sequence(event) + 1;
        event.set(crate::ical::Property::new("SEQUENCE", next.to_string()));
    })
}

/// Waits until the calendar holds the object as wanted.
async fn until(
    client: &Caldav<'_>,
    calendar: &str,
    uid: &str,
    wanted: impl Fn(&Component) -> bool,
) -> anyhow::Result<Stored> {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        let last = client.find(calendar, uid).await?;
        if let Some(object) = last.as_ref().filter(|o| event(&o.data).is_ok_and(|e| wanted(&e))) {
            return Ok(object.clone());
        }
        if tokio::time::Instant::now() > deadline {
            bail!("{calendar} did not hear of it within {PATIENCE:?}; it holds {last:?}");
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Searches until there are as many hits as expected; the hits in words.
async fn found(
    http: &Client,
    at: &Surfaces,
    token: &str,
    calendar: &str,
    word: &str,
    expected: usize,
) -> anyhow::Result<String> {
    let mut segments = calendar.trim_matches('/').split('/').skip(1);
    let (home, name) = (segments.next().unwrap_or_default(), segments.next().unwrap_or_default());
    let body = json!({"calendars": [{"userId": home, "calendarId": name}], "query": word.to_lowercase()}).to_string();
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        let request = Request::post(format!("{}/calendar/api/events/search", at.public))
            .header(header::AUTHORIZATION, format!("Bearer {token}"))
            .header(header::CONTENT_TYPE, "application/json")
            .body(Bytes::from(body.clone()))?;
        let response = http.fetch(request).await?;
        let status = response.status();
        ensure!(status == StatusCode::OK, "search answered {status} {}", String::from_utf8_lossy(response.body()));
        let answer: Value = serde_json::from_slice(response.body())?;
        let events = answer["_embedded"]["events"].as_array().cloned().unwrap_or_default();
        if events.len() == expected {
            let titles: Vec<&str> = events.iter().filter_map(|e| e["data"]["summary"].as_str()).collect();
            return Ok(format!("{word:?}: {expected} hits {}", titles.join(", ")));
        }
        if tokio::time::Instant::now() > deadline {
            bail!("search for {word:?} gave {} hits, not {expected}", events.len());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn show(tell: &mut Narrator<'_>, mail: &Mail) -> std::io::Result<()> {
    tell.saw(&format!(
        "mail to {} [{}] {:?} ({})",
        mail.to,
        mail.language.as_deref().unwrap_or("?"),
        mail.subject,
        mail.parts.join(", ")
    ))
}
