//! Hears what other nodes say: the messages for topics that somebody here listens to, and on the common channel that a
//! session ended or that something was missed.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use redis::Msg;

use super::Shared;
use super::bus::MISSED;
use super::link::jittered;
use super::names::parts;
use super::place::{Why, Wire};
use super::tokens::LOGOUT;
use crate::cache::{Heard, TokenCache as _};

/// Between two messages to oneself, which show that messages arrive.
const BEAT_EVERY: Duration = Duration::from_secs(5);
/// Between two looks for what dead nodes left behind, in beats.
const BEATS_PER_SWEEP: u32 = 12;
/// Wait before listening again.
const WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// What a message to oneself is about.
const BEAT: &str = "beat";

/// Messages to oneself.
#[derive(Debug, Default)]
struct Beats {
    sent: AtomicU64,
    heard: AtomicU64,
}

impl Shared {
    /// Listens for as long as there is a link, and again when there is another one, for ever.
    pub(super) async fn listen(&self) {
        let mut wait = WAIT;
        let mut said = false;
        loop {
            self.link.until_up().await;
            let why = self.listen_once().await;
            if self.hears.send_replace(false) {
                wait = WAIT;
                said = false;
            }
            // Where the link broke, too, that was said.
            if self.link.number().is_some() && !said {
                tracing::warn!(why, "other nodes are not heard; trying again");
                said = true;
            }
            tokio::time::sleep(jittered(wait, &self.env)).await;
            wait = (wait * 2).min(LONGEST_WAIT);
        }
    }

    /// Listens until that fails; why it did.
    async fn listen_once(&self) -> Why {
        let Some(number) = self.link.number() else { return "no link".to_owned() };
        let mut connection = match self.place.listen().await {
            Ok(connection) => connection,
            Err(why) => return why,
        };
        let channels = [self.names.own_channel(), self.names.common_channel()];
        match tokio::time::timeout(self.place.response(), connection.subscribe(&channels)).await {
            Ok(Ok(())) => {}
            Ok(Err(e)) => return e.to_string(),
            Err(_) => return "no answer in time".to_owned(),
        }
        let beats = Beats::default();
        let mut messages = connection.into_on_message();
        let hearing = async {
            // Never waits for anything but messages, so that none pile up.
            while let Some(message) = messages.next().await {
                self.hear(&message, &beats).await;
            }
            "the connection was closed".to_owned()
        };
        tokio::select! {
            why = hearing => why,
            why = self.attend(&beats) => why,
            () = self.link.until_another(number) => "the link broke".to_owned(),
        }
    }

    /// What a node does while it listens.
    async fn attend(&self, beats: &Beats) -> Why {
        self.arrive().await;
        self.hears.send_replace(true);
        let mut beat = 0_u32;
        loop {
            tokio::time::sleep(BEAT_EVERY).await;
            beat = beat.wrapping_add(1);
            if beats.heard.load(Ordering::Relaxed) < beats.sent.load(Ordering::Relaxed) {
                return "messages do not arrive".to_owned();
            }
            self.send_beat(beats).await;
            self.tell_of_logouts().await;
            self.tell_what_was_missed().await;
            if self.registrar.is_behind() && self.register_all().await {
                self.local.tell_all_missed();
            }
            if beat.is_multiple_of(BEATS_PER_SWEEP) {
                self.sweep().await;
            }
        }
    }

    /// After an interruption: others may have said anything meanwhile. Whatever is said from here on is heard.
    async fn arrive(&self) {
        self.fallback.clear();
        self.register_all().await;
        self.local.tell_all_missed();
        self.tell_what_was_missed().await;
    }

    async fn send_beat(&self, beats: &Beats) {
        let message = self.names.message(BEAT, b"");
        let channel = self.names.own_channel();
        let question =
            async |mut wire: Wire| redis::cmd("PUBLISH").arg(channel).arg(message).exec_async(&mut wire).await;
        if self.link.ask("bus_beat", question).await.is_ok() {
            beats.sent.fetch_add(1, Ordering::Relaxed);
        }
    }

    async fn hear(&self, message: &Msg, beats: &Beats) {
        let Some((from, about, body)) = parts(message.get_payload_bytes()) else {
            return tracing::debug!(channel = message.get_channel_name(), "a message that is none");
        };
        let own = from == self.names.node;
        if message.get_channel_name() == self.names.common_channel() {
            match (about, std::str::from_utf8(body)) {
                _ if own => {}
                (LOGOUT, Ok(sid)) => {
                    self.logouts.hear(sid);
                    self.fallback.forget_session(sid).await;
                }
                (MISSED, Ok("")) => self.local.tell_all_missed(),
                (MISSED, Ok(topic)) => self.local.tell(topic, Heard::Missed),
                _ => tracing::debug!(about, "a message of a kind that is not known"),
            }
        } else if own && about == BEAT {
            beats.heard.fetch_add(1, Ordering::Relaxed);
        } else if !own && let Some(topic) = self.names.topic(about) {
            self.local.tell(topic, Heard::Message(Bytes::copy_from_slice(body)));
        }
    }
}
