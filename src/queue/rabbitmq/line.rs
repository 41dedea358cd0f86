//! The messages of one consumer that this process holds: by key, each key in order, at most one of a key under way.
//!
//! Pure: arrivals, takings and endings go in, decisions come out; whoever calls speaks to the broker. It remembers across a
//! lost connection what it did with a message, since the broker then hands out everything again that was not acknowledged.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use lapin::Acker;

use super::wire::Incoming;

/// An acknowledgement that was sent so shortly before the connection broke may not have arrived.
const ACK_UNSURE: Duration = Duration::from_secs(10);
/// What is remembered of a message, and how long: by then the broker has handed it out again, to us or to another node.
const MEMORY: Duration = Duration::from_secs(600);
/// How long later messages follow an earlier one of their key into the retry queue, when it does not come back to us.
const PARKED: Duration = Duration::from_secs(1_800);
/// A line that is full, and of which nothing can be handed out, makes room after this time.
const STUCK: Duration = Duration::from_secs(2);

type Key = Arc<str>;

/// A message that waits for its turn.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) incoming: Incoming,
    /// Handed out before to somebody who is gone: whether it was attempted is not known.
    pub(super) suspect: bool,
    /// No attempt before.
    pub(super) due: Option<Instant>,
    acker: Acker,
    /// Its place among all that ever came; kept when it waits elsewhere and comes again.
    seq: u64,
}

impl Entry {
    pub(super) fn acker(&self) -> &Acker {
        &self.acker
    }
}

/// What is to be done with a message that came.
#[derive(Debug)]
pub(super) enum Arrival {
    /// Nothing: it stands in line.
    Queued,
    /// It was done with before the connection broke: acknowledge it.
    Settled(Acker),
    /// An earlier one of its key waits in the retry queue: put it there, too.
    Follows(Box<Entry>),
}

/// A message that may be handed out.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Taken {
    pub(super) id: u64,
    pub(super) incoming: Incoming,
    pub(super) suspect: bool,
}

/// What was done with a message whose fate the broker does not know.
#[derive(Debug)]
enum Memory {
    /// It stood in line, after so many attempts.
    Waited { attempts: u32, error: Option<String>, due: Option<Instant>, suspect: bool, seq: u64 },
    /// Its effect is durable, or it is a dead letter.
    Settled,
}

#[derive(Debug)]
struct Claim {
    incoming: Incoming,
    suspect: bool,
    seq: u64,
    /// `None` when the connection broke meanwhile and the broker has not handed it out again.
    acker: Option<Acker>,
    expires: Instant,
    /// Its end is being made durable.
    settling: bool,
}

/// A message that waits in the retry queue.
#[derive(Debug)]
struct Parked {
    identity: String,
    seq: u64,
    until: Instant,
}

impl Parked {
    fn of(entry: &Entry, now: Instant) -> Self {
        Self { identity: entry.incoming.identity.clone(), seq: entry.seq, until: now + PARKED }
    }
}

/// The messages of one key.
#[derive(Debug, Default)]
struct Lane {
    waiting: VecDeque<Entry>,
    under_way: Option<u64>,
    place: Option<Place>,
}

/// Where the head of a lane stands.
#[derive(Debug, Clone, Copy)]
enum Place {
    Ready(u64),
    Held(Instant, u64),
}

/// The messages of one consumer.
#[derive(Debug, Default)]
pub(super) struct Line {
    lanes: HashMap<Key, Lane>,
    ready: BTreeMap<u64, Key>,
    held: BTreeMap<(Instant, u64), Key>,
    claims: HashMap<u64, Claim>,
    /// Messages in the lanes.
    waiting: usize,
    arrived: u64,
    taken: u64,
    /// Copies in the retry queue, by key.
    parked: HashMap<Key, Vec<Parked>>,
    remembered: HashMap<String, (Memory, Instant)>,
    acknowledged: VecDeque<(String, Instant)>,
    stuck_since: Option<Instant>,
}

impl Line {
    /// A message came. `due` is when it may be attempted, where it waited for that elsewhere.
    pub(super) fn arrive(
        &mut self,
        incoming: Incoming,
        acker: Acker,
        redelivered: bool,
        due: Option<Instant>,
        now: Instant,
    ) -> Arrival {
        let seq = self.arrived;
        self.arrived += 1;
        let mut entry = Entry { incoming, suspect: redelivered, due, acker, seq };
        if redelivered {
            let orphan = |c: &&mut Claim| c.acker.is_none() && c.incoming.identity == entry.incoming.identity;
            if let Some(claim) = self.claims.values_mut().find(orphan) {
                claim.acker = Some(entry.acker);
                return Arrival::Queued;
            }
            let known = self.remembered.remove(&entry.incoming.identity);
            match known.filter(|(_, since)| now.duration_since(*since) < MEMORY) {
                Some((Memory::Settled, _)) => return Arrival::Settled(entry.acker),
                Some((Memory::Waited { attempts, error, due, suspect, seq }, _)) => {
                    entry.incoming.attempts = attempts;
                    entry.incoming.error = error;
                    entry.due = due;
                    entry.suspect = suspect;
                    entry.seq = seq;
                }
                None => {}
            }
        } else {
            // Another message with the same content: what is known of the first says nothing about this one.
            self.remembered.remove(&entry.incoming.identity);
            self.acknowledged.retain(|(identity, _)| *identity != entry.incoming.identity);
        }
        let key: Key = entry.incoming.message.key.as_str().into();
        if self.follows(&key, &mut entry, now) {
            return Arrival::Follows(Box::new(entry));
        }
        self.stand(&key, entry);
        Arrival::Queued
    }

    /// Puts a message into its lane, behind those that came before it.
    fn stand(&mut self, key: &Key, entry: Entry) {
        let lane = self.lanes.entry(Arc::clone(key)).or_default();
        let place = lane.waiting.iter().rposition(|e| e.seq < entry.seq).map_or(0, |before| before + 1);
        lane.waiting.insert(place, entry);
        self.waiting += 1;
        self.refresh(key);
    }

    /// Whether an older message of the key waits in the retry queue. One that comes back from there has its old place.
    fn follows(&mut self, key: &Key, entry: &mut Entry, now: Instant) -> bool {
        let Some(copies) = self.parked.get_mut(key) else { return false };
        if let Some(place) = copies.iter().position(|copy| copy.identity == entry.incoming.identity) {
            entry.seq = copies.swap_remove(place).seq;
        }
        copies.retain(|copy| copy.until > now);
        let follows = copies.iter().any(|copy| copy.seq < entry.seq);
        if copies.is_empty() {
            self.parked.remove(key);
        }
        follows
    }

    /// Hands out up to `most`, the oldest first, until `now + visibility`.
    pub(super) fn take(&mut self, most: usize, now: Instant, visibility: Duration) -> Vec<Taken> {
        self.expire(now);
        while let Some(entry) = self.held.first_entry().filter(|e| e.key().0 <= now) {
            let key = entry.remove();
            if let Some(lane) = self.lanes.get_mut(&key) {
                lane.place = None;
                if let Some(head) = lane.waiting.front_mut() {
                    head.due = None;
                }
            }
            self.refresh(&key);
        }
        let mut taken = Vec::new();
        while taken.len() < most {
            let Some((_, key)) = self.ready.pop_first() else { break };
            let Some(lane) = self.lanes.get_mut(&key) else { continue };
            lane.place = None;
            let Some(entry) = lane.waiting.pop_front() else { continue };
            self.waiting -= 1;
            self.taken += 1;
            let id = self.taken;
            lane.under_way = Some(id);
            let Entry { incoming, suspect, acker, seq, .. } = entry;
            taken.push(Taken { id, incoming: incoming.clone(), suspect });
            let expires = now + visibility;
            self.claims.insert(id, Claim { incoming, suspect, seq, acker: Some(acker), expires, settling: false });
        }
        taken
    }

    /// What nobody works at any more goes back, one attempt later.
    fn expire(&mut self, now: Instant) {
        let over = |(id, claim): (&u64, &Claim)| (!claim.settling && claim.expires <= now).then_some(*id);
        let expired: Vec<u64> = self.claims.iter().filter_map(over).collect();
        for id in expired {
            if let Some(claim) = self.claims.get_mut(&id) {
                claim.incoming.attempts += 1;
            }
            self.put_back(id, None, now);
        }
    }

    /// Says that one is still worked at.
    pub(super) fn extend(&mut self, id: u64, expires: Instant) -> Option<&Incoming> {
        let claim = self.claims.get_mut(&id)?;
        claim.expires = expires;
        Some(&claim.incoming)
    }

    /// Corrects how often one was attempted before.
    pub(super) fn attempted(&mut self, id: u64, attempts: u32) {
        if let Some(claim) = self.claims.get_mut(&id) {
            claim.incoming.attempts = attempts;
            claim.suspect = false;
        }
    }

    /// Begins to settle one: until [`Line::finish`], [`Line::put_back`] or [`Line::unsettle`] it does not expire.
    pub(super) fn settle(&mut self, id: u64) -> Option<Incoming> {
        let claim = self.claims.get_mut(&id).filter(|c| !c.settling)?;
        claim.settling = true;
        Some(claim.incoming.clone())
    }

    /// Settling failed; it is under way as before.
    pub(super) fn unsettle(&mut self, id: u64) {
        if let Some(claim) = self.claims.get_mut(&id) {
            claim.settling = false;
        }
    }

    /// It is done with. Gives its identity and what acknowledges it, unless the broker has to hand it out again first.
    pub(super) fn finish(&mut self, id: u64, now: Instant) -> Option<(String, Acker)> {
        let claim = self.release(id)?;
        match claim.acker {
            Some(acker) if acker.usable() => {
                self.acknowledging(claim.incoming.identity.clone(), now);
                Some((claim.incoming.identity, acker))
            }
            _ => {
                self.remember(claim.incoming.identity, Memory::Settled, now);
                None
            }
        }
    }

    /// It is about to be acknowledged. Noted before, since the connection may break at any moment.
    pub(super) fn acknowledging(&mut self, identity: String, now: Instant) {
        while self.acknowledged.front().is_some_and(|(_, at)| now.duration_since(*at) > ACK_UNSURE) {
            self.acknowledged.pop_front();
        }
        self.acknowledged.push_back((identity, now));
    }

    /// It could not be acknowledged: it comes again.
    pub(super) fn unacknowledged(&mut self, identity: String, now: Instant) {
        self.remember(identity, Memory::Settled, now);
    }

    /// It failed: it stands at the head of its key again. Its attempt counts.
    pub(super) fn fail(&mut self, id: u64, error: String, due: Instant, now: Instant) {
        if let Some(claim) = self.claims.get_mut(&id) {
            claim.incoming.attempts += 1;
            claim.incoming.error = Some(error);
            claim.suspect = false;
        }
        self.put_back(id, Some(due), now);
    }

    /// It was not attempted: it stands at the head of its key again.
    pub(super) fn put_back(&mut self, id: u64, due: Option<Instant>, now: Instant) {
        let Some(claim) = self.release(id) else { return };
        let Claim { incoming, suspect, seq, acker, .. } = claim;
        match acker.filter(Acker::usable) {
            Some(acker) => {
                let key: Key = incoming.message.key.as_str().into();
                self.stand(&key, Entry { incoming, suspect, due, acker, seq });
            }
            None => {
                let Incoming { identity, attempts, error, .. } = incoming;
                self.remember(identity, Memory::Waited { attempts, error, due, suspect, seq }, now);
            }
        }
    }

    /// Takes one out of those under way and lets the next of its key forward.
    fn release(&mut self, id: u64) -> Option<Claim> {
        let claim = self.claims.remove(&id)?;
        let key: Key = claim.incoming.message.key.as_str().into();
        if let Some(lane) = self.lanes.get_mut(&key) {
            lane.under_way = None;
        }
        self.refresh(&key);
        self.stuck_since = None;
        Some(claim)
    }

    /// The connection broke: the broker will hand out everything again.
    pub(super) fn lose(&mut self, now: Instant) {
        self.remembered.retain(|_, (_, since)| now.duration_since(*since) < MEMORY);
        let lanes = std::mem::take(&mut self.lanes);
        self.ready.clear();
        self.held.clear();
        self.waiting = 0;
        self.stuck_since = None;
        for (key, lane) in lanes {
            for Entry { incoming, suspect, due, seq, .. } in lane.waiting {
                let Incoming { identity, attempts, error, .. } = incoming;
                self.remember(identity, Memory::Waited { attempts, error, due, suspect, seq }, now);
            }
            if let Some(id) = lane.under_way {
                self.lanes.insert(key, Lane { under_way: Some(id), ..Lane::default() });
            }
        }
        self.claims.values_mut().for_each(|claim| claim.acker = None);
        for (identity, at) in std::mem::take(&mut self.acknowledged) {
            // One with the same content that still waits is another message.
            if now.duration_since(at) <= ACK_UNSURE && !self.remembered.contains_key(&identity) {
                self.remember(identity, Memory::Settled, now);
            }
        }
    }

    fn remember(&mut self, identity: String, memory: Memory, now: Instant) {
        self.remembered.insert(identity, (memory, now));
    }

    /// Messages that must make room, in the order in which they go to the retry queue; later ones of their keys will follow
    /// them. `limit` may wait here for retries that are no further away than `longest`.
    pub(super) fn excess(&mut self, limit: usize, longest: Duration, full: usize, now: Instant) -> Vec<Entry> {
        let mut leaving = Vec::new();
        loop {
            let held: usize = self.held.values().filter_map(|key| self.lanes.get(key)).map(|l| l.waiting.len()).sum();
            let Some(((due, _), key)) = self.held.last_key_value() else { break };
            if held <= limit && due.duration_since(now) <= longest {
                break;
            }
            let key = Arc::clone(key);
            leaving.extend(self.evict(&key, now));
        }
        if !self.is_stuck(full) {
            self.stuck_since = None;
        } else {
            let since = *self.stuck_since.get_or_insert(now);
            let longest = self.lanes.iter().max_by_key(|(_, lane)| lane.waiting.len()).map(|(key, _)| Arc::clone(key));
            if let Some(key) = longest.filter(|_| now.duration_since(since) >= STUCK) {
                leaving.extend(self.evict(&key, now));
                self.stuck_since = None;
            }
        }
        leaving
    }

    /// Whether no room is left, and nothing that is here can be handed out: all wait behind others.
    fn is_stuck(&self, full: usize) -> bool {
        self.waiting > 0 && self.len() >= full && self.ready.is_empty()
    }

    /// Everything that waits of a key.
    fn evict(&mut self, key: &Key, now: Instant) -> VecDeque<Entry> {
        // What came back to another node is no longer waited for.
        self.parked.retain(|_, copies| {
            copies.retain(|copy| copy.until > now);
            !copies.is_empty()
        });
        let leaving = self.lanes.get_mut(key).map(|lane| std::mem::take(&mut lane.waiting)).unwrap_or_default();
        self.waiting -= leaving.len();
        let copies = self.parked.entry(Arc::clone(key)).or_default();
        copies.extend(leaving.iter().map(|e| Parked::of(e, now)));
        self.refresh(key);
        leaving
    }

    /// One that follows others into the retry queue.
    pub(super) fn followed(&mut self, entry: &Entry, now: Instant) {
        let key: Key = entry.incoming.message.key.as_str().into();
        self.parked.entry(key).or_default().push(Parked::of(entry, now));
    }

    /// One that could not be put into the retry queue: it waits here, in its place.
    pub(super) fn stay(&mut self, entry: Entry, now: Instant) {
        let key: Key = entry.incoming.message.key.as_str().into();
        if let Some(copies) = self.parked.get_mut(&key) {
            copies.retain(|copy| copy.identity != entry.incoming.identity);
            if copies.is_empty() {
                self.parked.remove(&key);
            }
        }
        if entry.acker.usable() {
            self.stand(&key, entry);
            return;
        }
        let Entry { incoming, suspect, due, seq, .. } = entry;
        let Incoming { identity, attempts, error, .. } = incoming;
        self.remember(identity, Memory::Waited { attempts, error, due, suspect, seq }, now);
    }

    /// Puts the head of a key where it belongs.
    fn refresh(&mut self, key: &Key) {
        let Some(lane) = self.lanes.get_mut(key) else { return };
        match lane.place.take() {
            Some(Place::Ready(seq)) => drop(self.ready.remove(&seq)),
            Some(Place::Held(due, seq)) => drop(self.held.remove(&(due, seq))),
            None => {}
        }
        if lane.under_way.is_some() {
            return;
        }
        match lane.waiting.front() {
            None => drop(self.lanes.remove(key)),
            Some(Entry { due: Some(due), seq, .. }) => {
                lane.place = Some(Place::Held(*due, *seq));
                self.held.insert((*due, *seq), Arc::clone(key));
            }
            Some(Entry { due: None, seq, .. }) => {
                lane.place = Some(Place::Ready(*seq));
                self.ready.insert(*seq, Arc::clone(key));
            }
        }
    }

    /// When the next wait ends, or the next time for one that is under way.
    pub(super) fn next(&self) -> Option<Instant> {
        let expiry = self.claims.values().filter(|c| !c.settling).map(|c| c.expires).min();
        self.held.first_key_value().map(|((due, _), _)| *due).into_iter().chain(expiry).min()
    }

    /// Messages here: those that wait and those under way.
    pub(super) fn len(&self) -> usize {
        self.waiting + self.claims.len()
    }

    /// Messages here that the broker does not count as waiting either: those under way whose connection is gone are
    /// counted there.
    pub(super) fn held_from_broker(&self) -> usize {
        self.waiting + self.claims.values().filter(|c| c.acker.is_some()).count()
    }

    /// When the oldest that is here was published.
    pub(super) fn oldest(&self) -> Option<DateTime<Utc>> {
        let waiting = self.lanes.values().flat_map(|l| &l.waiting).map(|e| e.incoming.published);
        waiting.chain(self.claims.values().map(|c| c.incoming.published)).min()
    }
}
