//! Writing objects so that an older state never overwrites a newer one, whoever writes at the same moment and in whatever
//! order (storage §4.5).
//!
//! OpenSearch keeps one document in order by its version; an object is several documents. The rules:
//!
//! - Every write has the object's version as its external version, above all versions that the reference's documents have.
//! - An object's *head* is the document of the event itself: at `single` or at `master`. Every change writes the head at one
//!   of the two and clears the other, so of two changes at once at least one meets the other; the older withdraws.
//! - Where the object was removed, a stone stands at `single`. One with overridden occurrences only has a mark at `master`.
//! - The ledger names the overridden occurrences that may be there. It is written before they are, read after the head was
//!   written, and its writer looks at the head again afterwards: whoever comes second clears what the other left.
//!
//! Every step may be repeated: a change that broke off is brought to its end by the next attempt at it.
//!
//! Documents that the reference wrote have no version of ours. Among them its rule holds: a SEQUENCE that is not higher
//! changes nothing.

use std::collections::{BTreeSet, HashMap};

use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};

use super::OpenSearch;
use super::bulk::{self, Outcome, Write};
use super::client::{Fault, Method, Question};
use super::documents::{self, Part};
use crate::ids::{CalendarPath, Uid};
use crate::search::{EventDocument, IndexedObject, Occurrence};

/// Versions from here on are ours; those that OpenSearch counts itself are below.
const OURS: i64 = 1 << 50;

/// Version of our documents in the index, for a version of the port.
pub(super) fn external(version: i64) -> i64 {
    OURS + version.clamp(0, (1 << 52) - 1)
}

/// What an object is to become: these documents, or none.
#[derive(Debug, Clone, Copy)]
pub(super) struct Change<'a> {
    pub calendar: &'a CalendarPath,
    pub uid: &'a Uid,
    pub version: i64,
    pub documents: &'a [EventDocument],
}

impl<'a> From<&'a IndexedObject> for Change<'a> {
    fn from(object: &'a IndexedObject) -> Self {
        let IndexedObject { calendar, uid, version, documents } = object;
        Self { calendar, uid, version: *version, documents }
    }
}

impl<'a> Change<'a> {
    fn id(&self, part: Part<'_>) -> String {
        documents::id(self.calendar, self.uid, part)
    }

    fn write(&self, id: String, source: Option<Bytes>) -> Write {
        let routing = documents::routing(self.calendar.home);
        Write { id, routing, version: external(self.version), source }
    }

    fn remove(&self, id: &str) -> Write {
        self.write(id.to_owned(), None)
    }

    fn event(&self) -> Option<&'a EventDocument> {
        self.documents.iter().find(|d| !matches!(d.occurrence, Occurrence::Override(_)))
    }

    fn overrides(&self) -> impl Iterator<Item = &'a EventDocument> {
        self.documents.iter().filter(|d| matches!(d.occurrence, Occurrence::Override(_)))
    }

    fn override_ids(&self) -> BTreeSet<String> {
        self.overrides().map(|d| self.id(Part::from(&d.occurrence))).collect()
    }

    /// Where its head stands.
    fn head(&self) -> Part<'static> {
        match self.event().map(|event| &event.occurrence) {
            Some(Occurrence::Master) => Part::Master,
            None if !self.documents.is_empty() => Part::Master,
            _ => Part::Single,
        }
    }

    /// What stands there.
    fn head_source(&self, index: &OpenSearch) -> Result<Bytes, Fault> {
        let home = self.calendar.home;
        match self.event() {
            Some(event) => source(event),
            None if self.documents.is_empty() => Ok(json_bytes(&documents::stone(home, self.uid, index.env.now()))),
            None => Ok(json_bytes(&documents::mark(home, self.uid))),
        }
    }
}

fn source(document: &EventDocument) -> Result<Bytes, Fault> {
    documents::source(document).map(Bytes::from).map_err(|e| Fault::Refused(e.to_string()))
}

fn json_bytes(value: &Value) -> Bytes {
    Bytes::from(value.to_string())
}

/// What the index knows of a document.
#[derive(Debug, Clone, Deserialize)]
struct Known {
    #[serde(rename = "_id")]
    id: String,
    #[serde(default)]
    found: bool,
    #[serde(rename = "_version", default)]
    version: i64,
    #[serde(rename = "_source", default)]
    source: KnownSource,
    error: Option<Value>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct KnownSource {
    sequence: Option<i64>,
    /// Of a ledger, the ids of occurrences.
    recurrence_id: Option<Value>,
}

impl Known {
    fn is_foreign(&self) -> bool {
        self.version < OURS
    }

    fn occurrences(&self) -> Vec<String> {
        self.source.recurrence_id.clone().and_then(|ids| serde_json::from_value(ids).ok()).unwrap_or_default()
    }
}

type KnownById = HashMap<String, Known>;

/// A change on its way.
struct Work<'a> {
    change: Change<'a>,
    head: String,
    other: String,
    overrides: BTreeSet<String>,
    /// Documents of the reference that stand where this object's are.
    foreign: bool,
    /// The other place of the head was taken before.
    other_was_there: bool,
    /// The head's place was taken by a document of ours.
    head_was_ours: bool,
    stage: Stage,
    /// Occurrences that may be there and are not the object's.
    stale: BTreeSet<String>,
    has_ledger: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Stage {
    /// To be written.
    Open,
    /// The head is this change's.
    Applied,
    /// A newer state is there.
    Older,
    /// It failed.
    Failed(Fault),
}

impl Work<'_> {
    fn fail_on<'f>(&mut self, faults: impl IntoIterator<Item = &'f Result<Outcome, Fault>>) {
        if let Some(fault) = faults.into_iter().find_map(|outcome| outcome.as_ref().err()) {
            self.stage = Stage::Failed(fault.clone());
        }
    }

    /// Whether there can be overridden occurrences, of this state or of an earlier one.
    fn may_have_overrides(&self) -> bool {
        let change = &self.change;
        !self.overrides.is_empty()
            || self.other_was_there
            || self.foreign
            || change.documents.is_empty()
            || change.head() == Part::Master
    }
}

impl OpenSearch {
    /// Carries out changes of objects that differ from each other; the outcome of each.
    pub(super) async fn apply(&self, changes: &[Change<'_>]) -> Vec<Result<(), Fault>> {
        let mut works: Vec<Work<'_>> = changes.iter().map(|change| begin(*change)).collect();
        if let Err(fault) = self.apply_all(&mut works).await {
            let unsettled = works.iter_mut().filter(|w| !matches!(w.stage, Stage::Failed(_)));
            unsettled.for_each(|work| work.stage = Stage::Failed(fault.clone()));
        }
        let outcome = |work: Work<'_>| if let Stage::Failed(fault) = work.stage { Err(fault) } else { Ok(()) };
        works.into_iter().map(outcome).collect()
    }

    async fn apply_all(&self, works: &mut [Work<'_>]) -> Result<(), Fault> {
        self.look_at_all(works).await?;
        self.write_heads(works).await;
        self.find_stale(works).await?;
        self.write_overrides(works).await;
        self.finish(works).await
    }

    /// Asks what is there, and leaves out what the SEQUENCE of the reference's documents shows to be late.
    async fn look_at_all(&self, works: &mut [Work<'_>]) -> Result<(), Fault> {
        let ids = works.iter().flat_map(|work| {
            let parts = [&work.head, &work.other].into_iter().chain(&work.overrides);
            parts.map(|id| (id.as_str(), work.change.calendar))
        });
        let known = self.known(ids.collect()).await?;
        for work in works {
            let foreign = |id: &String| known.get(id).filter(|k| k.is_foreign());
            work.other_was_there = known.contains_key(&work.other);
            work.head_was_ours = known.get(&work.head).is_some_and(|head| !head.is_foreign());
            let beside = work
                .change
                .event()
                .map(|event| (foreign(&work.head).or_else(|| foreign(&work.other)), documents::sequence(event)));
            let overrides = work.change.overrides().map(|document| {
                (foreign(&work.change.id(Part::from(&document.occurrence))), documents::sequence(document))
            });
            let met: Vec<(Option<i64>, Option<i64>)> = beside
                .into_iter()
                .chain(overrides)
                .filter_map(|(known, sequence)| Some((known?.source.sequence, sequence.map(i64::from))))
                .collect();
            work.foreign = !met.is_empty() || [&work.head, &work.other].into_iter().any(|id| foreign(id).is_some());
            let is_newer = |(stored, given): &(Option<i64>, Option<i64>)| match (stored, given) {
                (Some(stored), Some(given)) => given > stored,
                _ => true,
            };
            if !met.is_empty() && !met.iter().any(is_newer) {
                work.stage = Stage::Older;
                // Nothing of ours can be there.
                work.overrides.clear();
            }
        }
        Ok(())
    }

    /// Writes the heads and clears the other place of each; what meets a newer state withdraws.
    async fn write_heads(&self, works: &mut [Work<'_>]) {
        let mut writes = Vec::with_capacity(works.len() * 2);
        let mut writers = Vec::with_capacity(works.len());
        for work in works.iter_mut().filter(|w| w.stage == Stage::Open) {
            let change = &work.change;
            match change.head_source(self) {
                Ok(source) => {
                    writes.push(change.write(work.head.clone(), Some(source)));
                    // What stood at the other place is removed last, for it tells that there may be occurrences.
                    let mark = || json_bytes(&documents::mark(change.calendar.home, change.uid));
                    writes.push(change.write(work.other.clone(), work.other_was_there.then(mark)));
                    writers.push(work);
                }
                Err(fault) => work.stage = Stage::Failed(fault),
            }
        }
        let outcomes = self.bulk(&writes).await;
        let mut withdrawn = Vec::new();
        for (work, pair) in writers.into_iter().zip(outcomes.chunks(2)) {
            work.stage = Stage::Applied;
            work.fail_on(pair);
            if matches!(work.stage, Stage::Failed(_)) || !pair.contains(&Ok(Outcome::Older)) {
                // Something was there that we did not see a moment ago.
                work.other_was_there |= pair.get(1) == Some(&Ok(Outcome::Done));
                continue;
            }
            work.stage = Stage::Older;
            if pair.first() != Some(&Ok(Outcome::Older)) {
                withdrawn.push(work);
            }
        }
        let removals: Vec<Write> = withdrawn.iter().map(|work| work.change.remove(&work.head)).collect();
        let outcomes = self.bulk(&removals).await;
        withdrawn.into_iter().zip(outcomes).for_each(|(work, outcome)| work.fail_on([&outcome]));
    }

    /// Finds out which overridden occurrences may be there that are not the object's.
    async fn find_stale(&self, works: &mut [Work<'_>]) -> Result<(), Fault> {
        let concerned = |work: &&mut Work<'_>| match work.stage {
            Stage::Applied => work.may_have_overrides(),
            Stage::Older => !work.overrides.is_empty() || work.change.documents.is_empty(),
            _ => false,
        };
        let mut works: Vec<&mut Work<'_>> = works.iter_mut().filter(concerned).collect();
        if works.is_empty() {
            return Ok(());
        }
        let ids: Vec<String> = works.iter().map(|work| work.change.id(Part::Ledger)).collect();
        let asked = ids.iter().zip(&works).map(|(id, work)| (id.as_str(), work.change.calendar)).collect();
        let ledgers = self.known(asked).await?;
        for (work, id) in works.iter_mut().zip(&ids) {
            let ledger = ledgers.get(id);
            work.has_ledger = ledger.is_some();
            work.stale.extend(ledger.map(Known::occurrences).unwrap_or_default());
            if work.stage == Stage::Older {
                // What an earlier attempt may have left; newer documents keep themselves.
                work.stale.append(&mut work.overrides);
                continue;
            }
            // Of an object that we never saw, occurrences by the reference may be there and nothing else.
            let unseen = ledger.is_none() && !work.other_was_there && !work.head_was_ours;
            if work.foreign || (unseen && work.change.event().is_none()) {
                work.stale.extend(self.ids_of(work.change.calendar, work.change.uid).await?);
                work.stale.remove(&work.head);
            }
            work.stale = work.stale.difference(&work.overrides).cloned().collect();
        }
        Ok(())
    }

    /// Writes the ledgers, then the occurrences, and removes those that are not the object's.
    async fn write_overrides(&self, works: &mut [Work<'_>]) {
        let mut writes = Vec::new();
        let mut writers = Vec::new();
        for work in works.iter_mut().filter(|w| matches!(w.stage, Stage::Applied | Stage::Older)) {
            let change = work.change;
            let before = writes.len();
            if !work.overrides.is_empty() {
                let all: Vec<String> = work.overrides.union(&work.stale).cloned().collect();
                let ledger = documents::ledger(change.calendar.home, change.uid, &all);
                writes.push(change.write(change.id(Part::Ledger), Some(json_bytes(&ledger))));
                for document in change.overrides() {
                    match source(document) {
                        Ok(source) => {
                            writes.push(change.write(change.id(Part::from(&document.occurrence)), Some(source)))
                        }
                        Err(fault) => work.stage = Stage::Failed(fault),
                    }
                }
            }
            writes.extend(work.stale.iter().map(|id| change.remove(id)));
            if writes.len() > before {
                writers.push((work, writes.len() - before));
            }
        }
        let outcomes = self.bulk(&writes).await;
        let mut rest = outcomes.as_slice();
        for (work, count) in writers {
            let (own, after) = rest.split_at(count.min(rest.len()));
            work.fail_on(own);
            rest = after;
        }
    }

    /// Looks whether the heads are still this change's, shortens the ledgers and removes what marks that there is something
    /// to do.
    async fn finish(&self, works: &mut [Work<'_>]) -> Result<(), Fault> {
        let with_overrides = works.iter().filter(|w| w.stage == Stage::Applied && !w.overrides.is_empty());
        let heads = self.known(with_overrides.map(|w| (w.head.as_str(), w.change.calendar)).collect()).await?;
        let mut writes = Vec::new();
        let mut writers = Vec::new();
        for work in works.iter_mut() {
            let change = work.change;
            let before = writes.len();
            let ledger = change.id(Part::Ledger);
            let is_head = || heads.get(&work.head).is_some_and(|head| head.version == external(change.version));
            match work.stage {
                Stage::Applied if !work.overrides.is_empty() && !is_head() => {
                    // Somebody newer came in between and may have missed these.
                    writes.extend(work.overrides.iter().map(|id| change.remove(id)));
                    writes.push(change.remove(&ledger));
                }
                Stage::Applied if !work.overrides.is_empty() => {
                    if !work.stale.is_empty() {
                        let left: Vec<String> = work.overrides.iter().cloned().collect();
                        let ledger_now = documents::ledger(change.calendar.home, change.uid, &left);
                        writes.push(change.write(ledger, Some(json_bytes(&ledger_now))));
                    }
                    if work.other_was_there {
                        writes.push(change.remove(&work.other));
                    }
                }
                Stage::Applied => {
                    if work.has_ledger {
                        writes.push(change.remove(&ledger));
                    }
                    if work.other_was_there {
                        writes.push(change.remove(&work.other));
                    }
                }
                Stage::Older if work.has_ledger => writes.push(change.remove(&ledger)),
                _ => {}
            }
            if writes.len() > before {
                writers.push((work, writes.len() - before));
            }
        }
        let outcomes = self.bulk(&writes).await;
        let mut rest = outcomes.as_slice();
        for (work, count) in writers {
            let (own, after) = rest.split_at(count.min(rest.len()));
            work.fail_on(own);
            rest = after;
        }
        Ok(())
    }

    /// What is known of these documents, each named by its id and its calendar; those that are not there are left out. Sees
    /// what was written a moment ago.
    async fn known(&self, ids: Vec<(&str, &CalendarPath)>) -> Result<KnownById, Fault> {
        let mut known = KnownById::new();
        for chunk in ids.chunks(self.limits().writes.saturating_mul(2)) {
            let docs =
                chunk.iter().map(|(id, calendar)| json!({"_id": id, "routing": documents::routing(calendar.home)}));
            let body = json!({"docs": docs.collect::<Vec<_>>()});
            let question = Question {
                operation: "get",
                method: Method::Post,
                path: format!("/{}/_mget", self.names.write_alias),
                query: &[("_source_includes", "sequence,recurrenceId")],
                body: Some(json_bytes(&body)),
                timeout: self.limits().timeout,
            };
            let mut waits = self.client.waits();
            let documents = loop {
                match self.client.ask::<Docs>(&question).await.and_then(Docs::all) {
                    Err(fault) if fault.is_passing() => match waits.next() {
                        Some(wait) => tokio::time::sleep(wait).await,
                        None => return Err(fault),
                    },
                    documents => break documents?,
                }
            };
            known.extend(documents.into_iter().filter(|d| d.found).map(|d| (d.id.clone(), d)));
        }
        Ok(known)
    }

    async fn bulk(&self, writes: &[Write]) -> Vec<Result<Outcome, Fault>> {
        bulk::write(&self.client, &self.names.write_alias, self.limits(), writes).await
    }
}

#[derive(Deserialize)]
struct Docs {
    docs: Vec<Known>,
}

impl Docs {
    /// All of them, or why one cannot be told: its shard may start only now.
    fn all(self) -> Result<Vec<Known>, Fault> {
        let Some(error) = self.docs.iter().find_map(|document| document.error.as_ref()) else { return Ok(self.docs) };
        let told = |key: &str| error[key].as_str().unwrap_or_default().to_owned();
        Err(match told("type").as_str() {
            "index_not_found_exception" => Fault::NoIndex(told("reason")),
            _ => Fault::Away(told("reason")),
        })
    }
}

fn begin(change: Change<'_>) -> Work<'_> {
    let (head, other) = match change.head() {
        Part::Single => (Part::Single, Part::Master),
        _ => (Part::Master, Part::Single),
    };
    Work {
        change,
        head: change.id(head),
        other: change.id(other),
        overrides: change.override_ids(),
        foreign: false,
        other_was_there: false,
        head_was_ours: false,
        stage: Stage::Open,
        stale: BTreeSet::new(),
        has_ledger: false,
    }
}
