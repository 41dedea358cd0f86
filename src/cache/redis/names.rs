//! What things are called in Redis (storage §6): the same as in the reference, so that both may share a server. Keys of
//! our own beside them begin with `convoke_` or with the name of a channel.

use uuid::Uuid;

use crate::cache::TokenKey;

/// Parts of a message between nodes.
const SEPARATOR: &str = "|||";

/// What a node listens to beside its own channel is below this.
const TO_ALL: &str = "convoke";

/// The names of one node of one installation.
#[derive(Debug, Clone)]
pub(super) struct Names {
    prefix: String,
    bus: String,
    /// This node, for as long as its process lives.
    pub node: String,
}

impl Names {
    pub fn new(prefix: &str, bus: &str, node: Uuid) -> Self {
        Self { prefix: prefix.to_owned(), bus: bus.to_owned(), node: node.to_string() }
    }

    /// Hash with what is known of a token.
    pub fn token(&self, key: &TokenKey) -> String {
        format!("{}{}", self.tokens(), hex::encode(key.0))
    }

    /// What the keys of all tokens begin with.
    pub fn tokens(&self) -> String {
        format!("{}tcal_oidc_hash_", self.prefix)
    }

    /// List of the keys of a session's tokens.
    pub fn session(&self, sid: &str) -> String {
        format!("{}tcal_oidc_sid_{sid}", self.prefix)
    }

    /// Set of the channels of the nodes that have a listener to a topic (storage §6.2). Topics that the reference does not
    /// know have a class of their own.
    pub fn registrations(&self, topic: &str) -> String {
        let class = match topic.split_once(':') {
            Some(("calendar", _)) => "CalendarURLRegistrationKey",
            Some(("addressbook", _)) => "AddressBookURLRegistrationKey",
            Some(("username", _)) => "UsernameRegistrationKey",
            _ => "TopicRegistrationKey",
        };
        format!("{}{class}:{topic}", self.prefix)
    }

    /// The topic behind a registration key.
    pub fn topic<'k>(&self, registrations: &'k str) -> Option<&'k str> {
        registrations.strip_prefix(self.prefix.as_str())?.split_once(':').map(|(_, topic)| topic)
    }

    /// What the channels of all nodes begin with.
    pub fn channels(&self) -> String {
        format!("{}-eventbus-", self.bus)
    }

    /// The channel of this node.
    pub fn own_channel(&self) -> String {
        format!("{}{}", self.channels(), self.node)
    }

    /// The channel that every node of convoke listens to; other programs do not.
    pub fn common_channel(&self) -> String {
        format!("{}-{TO_ALL}", self.bus)
    }

    /// Set of the channels of all nodes of convoke, so that what dead ones leave behind is found.
    pub fn nodes(&self) -> String {
        format!("{}{}-{TO_ALL}-nodes", self.prefix, self.bus)
    }

    /// Set of the registration keys that hold a channel.
    pub fn registered_by(&self, channel: &str) -> String {
        format!("{}{channel}-keys", self.prefix)
    }

    /// Key that is written and read to see whether that works.
    pub fn probe(&self) -> String {
        format!("{}convoke_probe_{}", self.prefix, self.node)
    }

    /// What a user of Redis needs: which keys, which channels, which commands (`ACL SETUSER`).
    pub fn access_rules(&self) -> String {
        let Self { prefix, bus, .. } = self;
        let keys = ["tcal_oidc_*", "*RegistrationKey:*", "convoke_probe_*", &format!("{bus}-*")]
            .map(|pattern| format!("~{prefix}{pattern}"));
        format!(
            "{} &{bus}-* +hset +hgetall +rpush +lrange +pexpire +del +sadd +srem +smembers +set +get +multi +exec +publish \
             +subscribe +pubsub|numsub +ping +role +info +time +select +cluster|slots +cluster|info",
            keys.join(" ")
        )
    }

    /// A message from this node.
    pub fn message(&self, about: &str, body: &[u8]) -> Vec<u8> {
        let mut message = format!("{}{SEPARATOR}{about}{SEPARATOR}", self.node).into_bytes();
        message.extend_from_slice(body);
        message
    }
}

/// A message taken apart: the node that it is from, what it is about, and its body.
pub(super) fn parts(message: &[u8]) -> Option<(&str, &str, &[u8])> {
    let (from, rest) = split(message)?;
    let (about, body) = split(rest)?;
    Some((std::str::from_utf8(from).ok()?, std::str::from_utf8(about).ok()?, body))
}

fn split(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = text.windows(SEPARATOR.len()).position(|w| w == SEPARATOR.as_bytes())?;
    Some((&text[..at], &text[at + SEPARATOR.len()..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODE: Uuid = Uuid::from_u128(0x0f5d_0b3e_1111_4c7c_9d51_3f3a_2b1c_0d0e);

    #[test]
    fn names_are_those_of_the_reference() {
        let names = Names::new("", "tcalendarEvents", NODE);
        assert_eq!(names.own_channel(), "tcalendarEvents-eventbus-0f5d0b3e-1111-4c7c-9d51-3f3a2b1c0d0e");
        assert_eq!(names.session("S-77"), "tcal_oidc_sid_S-77");
        assert_eq!(names.token(&TokenKey([0xab; 64])), format!("tcal_oidc_hash_{}", "ab".repeat(64)));
        let cases = [
            ("calendar:64a1:64a1", "CalendarURLRegistrationKey:calendar:64a1:64a1"),
            ("addressbook:64a1:contacts", "AddressBookURLRegistrationKey:addressbook:64a1:contacts"),
            ("username:alice@example.org", "UsernameRegistrationKey:username:alice@example.org"),
            ("t", "TopicRegistrationKey:t"),
        ];
        for (topic, key) in cases {
            assert_eq!(names.registrations(topic), key);
            assert_eq!(names.topic(key), Some(topic));
        }
    }

    #[test]
    fn a_prefix_is_before_every_key() {
        let names = Names::new("house:", "bus", NODE);
        let (topic, channel) = ("username:alice@example.org", names.own_channel());
        let keys = [
            names.token(&TokenKey([1; 64])),
            names.session("s"),
            names.registrations(topic),
            names.nodes(),
            names.registered_by(&channel),
            names.probe(),
        ];
        assert!(keys.iter().all(|key| key.starts_with("house:")), "{keys:?}");
        assert_eq!(names.topic(&names.registrations(topic)), Some(topic));
    }

    #[test]
    fn a_message_is_taken_apart_as_it_was_put_together() {
        let names = Names::new("", "bus", NODE);
        let node = NODE.to_string();
        for body in [&b"{\"a\":\"|||\"}"[..], b"", b"\0\xff"] {
            let message = names.message("UsernameRegistrationKey:username:bob@example.org", body);
            let expected = (node.as_str(), "UsernameRegistrationKey:username:bob@example.org", body);
            assert_eq!(parts(&message), Some(expected));
        }
        for nonsense in [&b""[..], b"a|||b", b"\xff|||b|||c"] {
            assert_eq!(parts(nonsense), None);
        }
    }
}
