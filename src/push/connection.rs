//! One connection, from its first frame to its end (messaging §5.2–§5.5).
//!
//! Four activities share it: reading frames, beginning and ending subscriptions in the order they were asked for, telling
//! news, and writing. All that is said goes through one bounded queue: a client that takes nothing is read from no more and
//! told nothing more, and its changes are remembered, each place once. What cannot be remembered so ends the connection, and
//! the client comes back and registers anew.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, WebSocket};
use bytes::Bytes;
use futures_util::stream::{self, SplitSink, SplitStream};
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep, sleep_until, timeout};

use super::Room;
use super::event::{ListChange, News, booking_links_frame, list_frame, token_frame};
use super::frame::{Frame, Subscribe, Subscribed, display_frame, error_frame};
use super::hub::Membership;
use super::mailbox::{Mail, Mailbox};
use super::pace::Pace;
use super::place::{Key, Place};
use super::token::NoToken;
use crate::ids::Email;

/// Frames about subscriptions that wait while one is carried out.
const WAITING: usize = 8;
/// Places of one frame that are checked at once.
const CHECKS: usize = 8;
/// Places that are looked at for one connection at once.
const LOOKS: usize = 4;
/// Time for the last frames and the client's farewell.
const FAREWELL: Duration = Duration::from_secs(2);
/// Waits between attempts to listen to the user's key.
const AGAIN_FIRST: Duration = Duration::from_secs(1);
const AGAIN_MOST: Duration = Duration::from_secs(60);

/// Why a place is not registered that could be: the connection has as many as it may.
const TOO_MANY: &str = "Too Many Subscriptions";

/// Whose connection it is.
#[derive(Debug, Clone)]
pub(super) struct Who {
    /// Who the DAV server is asked as.
    pub(super) user: Email,
    /// Main address: by this one others tell of them.
    pub(super) main: Email,
}

/// How a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// The client said goodbye.
    Left,
    /// The client is gone without a word, or took nothing for too long.
    Lost,
    /// Nothing came from the client, not even the answer to a ping.
    Silent,
    /// The client is too far behind.
    Slow,
    /// The client sent more than is read.
    TooBig,
    /// The client does not keep to RFC 6455.
    Garbled,
    /// The connection is as old as one gets.
    Aged,
    /// The program ends.
    Shutdown,
    /// Something of ours broke.
    Failed,
}

impl End {
    /// The end that an error of reading means. axum hides the type of the error; its text is that of tungstenite.
    fn of_error(error: &axum::Error) -> Self {
        let text = error.to_string();
        if text.contains("too long") {
            Self::TooBig
        } else if text.contains("protocol") || text.contains("UTF-8") {
            Self::Garbled
        } else {
            Self::Lost
        }
    }

    /// Code and reason of the close frame (RFC 6455 §7.4, and the registry it founded). The web client comes back after
    /// any code but 1000 and 1001, so what it should come back after is none of them (spa-calls §16).
    const fn farewell(self) -> Option<(u16, &'static str)> {
        match self {
            Self::Left | Self::Lost => None,
            Self::Shutdown => Some((1012, "the server is going away")),
            Self::Aged => Some((1012, "come back with a new ticket")),
            Self::Slow => Some((1013, "too far behind")),
            Self::Silent => Some((1013, "no answer to pings")),
            Self::Failed => Some((1011, "internal error")),
            Self::TooBig => Some((1009, "the message is too big")),
            Self::Garbled => Some((1002, "not as RFC 6455 says")),
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Left => "left",
            Self::Lost => "lost",
            Self::Silent => "silent",
            Self::Slow => "slow",
            Self::TooBig => "too-big",
            Self::Garbled => "garbled",
            Self::Aged => "aged",
            Self::Shutdown => "shutdown",
            Self::Failed => "failed",
        }
    }
}

type Reading = SplitStream<WebSocket>;
type Writing = SplitSink<WebSocket, Message>;

/// Sees a connection through.
pub(super) async fn attend(room: Arc<Room>, who: Who, socket: WebSocket) {
    let began = Instant::now();
    let (mut writing, mut reading) = socket.split();
    let (say, mut said) = mpsc::channel(room.config.queue.max(1));
    let connection = Connection::new(room.clone(), who);
    let end = tokio::select! {
        end = connection.talk(&mut reading, Voice(say)) => end,
        end = write(&mut writing, &mut said, Duration::from_secs(room.config.ping_interval_s)) => end,
        () = connection.mailbox.overflowed() => End::Slow,
        () = room.stopping() => End::Shutdown,
        () = sleep(Duration::from_secs(room.config.lifetime_s)) => End::Aged,
    };
    // Nothing is heard for it from here on.
    drop(connection);
    let _ = timeout(FAREWELL, part(end, &mut writing, &mut reading, &mut said)).await;
    metrics::counter!("convoke_push_closed_total", "end" => end.name()).increment(1);
    metrics::histogram!("WebsocketRoute").record(began.elapsed());
    tracing::debug!(end = end.name(), "a live connection ended");
}

/// Writes what is said, and pings.
async fn write(writing: &mut Writing, said: &mut mpsc::Receiver<String>, ping_every: Duration) -> End {
    let mut ping = interval_at(Instant::now() + ping_every, ping_every);
    ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let frames = metrics::counter!("convoke_push_frames_total");
    loop {
        let message = tokio::select! {
            frame = said.recv() => match frame {
                Some(frame) => Message::Text(frame.into()),
                // Nobody speaks any more: whoever stopped says why.
                None => return std::future::pending().await,
            },
            _ = ping.tick() => Message::Ping(Bytes::new()),
        };
        let is_frame = matches!(message, Message::Text(_));
        if writing.send(message).await.is_err() {
            return End::Lost;
        }
        if is_frame {
            frames.increment(1);
        }
    }
}

/// Says goodbye, to a client that did nothing wrong after all that was to be said, and waits for the client to do so, too.
async fn part(
    end: End,
    writing: &mut Writing,
    reading: &mut Reading,
    said: &mut mpsc::Receiver<String>,
) -> Result<(), axum::Error> {
    match end.farewell() {
        None if end == End::Lost => return Ok(()),
        // The answer to the client's farewell is waiting to be sent.
        None => writing.flush().await?,
        Some((code, reason)) => {
            while let Some(frame) = said.try_recv().ok().filter(|_| matches!(end, End::Aged | End::Shutdown)) {
                writing.feed(Message::Text(frame.into())).await?;
            }
            writing.send(Message::Close(Some(CloseFrame { code, reason: reason.into() }))).await?;
        }
    }
    while let Some(Ok(_)) = reading.next().await {}
    Ok(())
}

/// Looks at a place for somebody.
async fn look(room: Arc<Room>, user: Email, place: Place, doubtful: bool) -> (Place, bool, Result<String, NoToken>) {
    let token = room.looks.of(&place, &user).await;
    (place, doubtful, token)
}

/// What is said to the client, in order.
struct Voice(mpsc::Sender<String>);

impl Voice {
    /// Says something, once there is room.
    async fn say(&self, frame: String) {
        // When nobody writes any more, the connection is at its end.
        let _ = self.0.send(frame).await;
    }
}

/// What a connection knows.
struct Connection {
    room: Arc<Room>,
    who: Who,
    mailbox: Arc<Mailbox>,
    places: Mutex<HashMap<Place, Registered>>,
    /// Alarms are wanted.
    alarms: AtomicBool,
}

/// A place that the client is told of.
struct Registered {
    /// The last token that was seen.
    token: String,
    _membership: Membership,
}

impl Drop for Registered {
    fn drop(&mut self) {
        metrics::gauge!("convoke_push_subscriptions").decrement(1.0);
    }
}

impl Connection {
    fn new(room: Arc<Room>, who: Who) -> Self {
        let mailbox = Arc::new(Mailbox::new(room.config.queue));
        Self { room, who, mailbox, places: Mutex::default(), alarms: AtomicBool::new(false) }
    }

    fn places(&self) -> MutexGuard<'_, HashMap<Place, Registered>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Everything between the first frame and the farewell.
    async fn talk(&self, reading: &mut Reading, voice: Voice) -> End {
        let greeted = self.greet(&voice).await;
        let (ask, asked) = mpsc::channel(WAITING);
        tokio::select! {
            end = self.listen(reading, &voice, ask) => end,
            end = self.subscribe(asked, &voice) => end,
            end = self.tell(&voice) => end,
            end = self.keep_list(greeted, &voice) => end,
        }
    }

    /// The first frame: whether the client is told of its list of calendars and its booking links.
    async fn greet(&self, voice: &Voice) -> Option<Membership> {
        let joined = self.room.hub.join(Key::User(self.who.main.clone()), self.mailbox.clone()).await;
        match joined {
            Ok(membership) => {
                voice.say(r#"{"calendarListRegistered":true}"#.to_owned()).await;
                Some(membership)
            }
            Err(error) => {
                tracing::warn!(%error, "a live connection begins without its default subscription");
                voice.say(error_frame("default-subscriptions-failed")).await;
                None
            }
        }
    }

    /// Keeps the subscription to the user's key; makes it where the bus was away at first.
    async fn keep_list(&self, greeted: Option<Membership>, voice: &Voice) -> End {
        let mut wait = AGAIN_FIRST;
        let mut membership = greeted;
        while membership.is_none() {
            sleep(wait).await;
            wait = (wait * 2).min(AGAIN_MOST);
            let key = Key::User(self.who.main.clone());
            if let Ok(joined) = self.room.hub.join(key.clone(), self.mailbox.clone()).await {
                membership = Some(joined);
                voice.say(r#"{"calendarListRegistered":true}"#.to_owned()).await;
                self.mailbox.miss(&key);
            }
        }
        std::future::pending().await
    }

    /// Reads frames. What needs nobody else is answered at once.
    async fn listen(&self, reading: &mut Reading, voice: &Voice, ask: mpsc::Sender<Subscribe>) -> End {
        let silence = Duration::from_secs(self.room.config.silence_s);
        loop {
            let text = match timeout(silence, reading.next()).await {
                Err(_) => return End::Silent,
                Ok(None) => return End::Lost,
                Ok(Some(Err(error))) => return End::of_error(&error),
                Ok(Some(Ok(Message::Close(_)))) => return End::Left,
                Ok(Some(Ok(Message::Text(text)))) => text,
                Ok(Some(Ok(Message::Binary(_) | Message::Ping(_) | Message::Pong(_)))) => continue,
            };
            match Frame::read(&text) {
                Err(bad) => voice.say(error_frame(&bad.to_string())).await,
                Ok(Frame::DisplayAlarms(wanted)) => {
                    self.alarms.store(wanted, Ordering::Relaxed);
                    voice.say(display_frame(wanted)).await;
                }
                Ok(Frame::Subscribe(nothing)) if nothing.is_empty() => voice.say("{}".to_owned()).await,
                Ok(Frame::Subscribe(wanted)) => {
                    // As with the voice: nobody listens at the end only.
                    let _ = ask.send(wanted).await;
                }
            }
        }
    }

    /// Begins and ends subscriptions, frame by frame: what a client asked for last is what holds.
    async fn subscribe(&self, mut asked: mpsc::Receiver<Subscribe>, voice: &Voice) -> End {
        while let Some(Subscribe { register, unregister }) = asked.recv().await {
            let mut answer = Subscribed::default();
            for place in unregister {
                self.places().remove(&place);
                answer.unregistered.push(place.to_string());
            }
            // More than could be registered need not be asked for.
            let (register, beyond) = register.split_at(register.len().min(self.room.config.subscriptions));
            answer.not_registered.extend(beyond.iter().map(|place| (place.to_string(), TOO_MANY)));
            let checks = register.iter().cloned().map(|place| self.register(place));
            let mut checks = stream::iter(checks).buffered(CHECKS);
            while let Some((place, outcome)) = checks.next().await {
                match outcome {
                    Ok(()) => answer.registered.push(place.to_string()),
                    Err(reason) => {
                        answer.not_registered.insert(place.to_string(), reason);
                    }
                }
            }
            voice.say(answer.frame()).await;
        }
        std::future::pending().await
    }

    /// Begins one subscription, where the user may read the place.
    async fn register(&self, place: Place) -> (Place, Result<(), &'static str>) {
        let outcome = self.try_register(&place).await;
        (place, outcome)
    }

    async fn try_register(&self, place: &Place) -> Result<(), &'static str> {
        let most = self.room.config.subscriptions;
        let room = |places: &HashMap<Place, Registered>| places.len() < most;
        {
            let places = self.places();
            if places.contains_key(place) {
                return Ok(());
            }
            if !room(&places) {
                return Err(TOO_MANY);
            }
        }
        let token = self.room.checks.of(place, &self.who.user).await.map_err(|no| {
            if let NoToken::Away(reason) | NoToken::Senseless(reason) = &no {
                tracing::warn!(%place, reason, "cannot tell whether a calendar may be read");
            }
            no.text()
        })?;
        let joined = self.room.hub.join(Key::Place(place.clone()), self.mailbox.clone()).await;
        let membership = joined.map_err(|error| {
            tracing::warn!(%place, %error, "cannot listen to the changes of a calendar");
            "Internal Error"
        })?;
        let mut places = self.places();
        if !room(&places) {
            return Err(TOO_MANY);
        }
        metrics::gauge!("convoke_push_subscriptions").increment(1.0);
        places.insert(place.clone(), Registered { token, _membership: membership });
        Ok(())
    }

    /// Tells what the mailbox brings: frames as they are, changes of places by their tokens.
    async fn tell(&self, voice: &Voice) -> End {
        let mut pace = Pace::new(Duration::from_millis(self.room.config.pause_ms));
        // Tasks of their own: one that is not polled because the client is slow would keep others from looking.
        let mut looks = JoinSet::new();
        loop {
            let next = pace.next().filter(|_| looks.len() < LOOKS);
            let due = async {
                match next {
                    Some(at) => sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                mail = self.mailbox.empty() => self.take_in(mail, &mut pace, voice).await,
                () = due => {
                    for (place, doubtful) in pace.take_due(Instant::now(), LOOKS - looks.len()) {
                        if self.places().contains_key(&place) {
                            looks.spawn(look(self.room.clone(), self.who.user.clone(), place, doubtful));
                        } else {
                            pace.forget(&place);
                        }
                    }
                }
                Some(looked) = looks.join_next() => match looked {
                    Ok((place, doubtful, token)) => self.seen(&place, doubtful, token, &mut pace, voice).await,
                    Err(error) => {
                        tracing::error!(%error, "a sync token could not be looked up");
                        return End::Failed;
                    }
                },
            }
        }
    }

    async fn take_in(&self, mail: Mail, pace: &mut Pace, voice: &Voice) {
        let now = Instant::now();
        for place in &mail.changed {
            pace.mark(place, false, now);
        }
        if mail.missed_changes {
            self.places().keys().for_each(|place| pace.mark(place, true, now));
        }
        for news in mail.news {
            match news {
                News::Frame(frame) => voice.say(frame).await,
                News::Alarm(frame) if self.alarms.load(Ordering::Relaxed) => voice.say(frame).await,
                News::Alarm(_) | News::Changed => {}
            }
        }
        if mail.missed_news {
            // What happened is not known, so the client is made to look at both itself. Which calendar is named makes no
            // difference to it.
            let any = self.places().keys().find(|place| place.is_calendar()).cloned();
            if let Some(calendar) = any {
                voice.say(list_frame(ListChange::Updated, &calendar)).await;
            }
            voice.say(booking_links_frame()).await;
        }
    }

    /// Tells the state of a place, unless it is not the user's to know any more.
    async fn seen(
        &self,
        place: &Place,
        doubtful: bool,
        token: Result<String, NoToken>,
        pace: &mut Pace,
        voice: &Voice,
    ) {
        match token {
            Ok(token) => {
                pace.done(place);
                let is_news = match self.places().get_mut(place) {
                    None => false,
                    Some(registered) => {
                        let differs = registered.token != token;
                        registered.token.clone_from(&token);
                        differs || !doubtful
                    }
                };
                if is_news {
                    voice.say(token_frame(place, &token)).await;
                }
            }
            Err(NoToken::Forbidden | NoToken::NotFound) => pace.done(place),
            Err(NoToken::Senseless(reason)) => {
                pace.done(place);
                tracing::warn!(%place, reason, "a change is not told");
            }
            Err(NoToken::Away(reason)) => {
                if !pace.failed(place, doubtful, Instant::now()) {
                    tracing::warn!(%place, reason, "a change is not told");
                }
            }
        }
    }
}
