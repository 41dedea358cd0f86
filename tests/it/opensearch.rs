//! The engine on a real OpenSearch: what it writes, what it makes of what others wrote, and how it says how things are.

use std::sync::Arc;

use convoke::clock::{CountingEntropy, Env, ManualClock};
use convoke::health::{Examine, Health, HealthCheck, Verdict};
use convoke::ids::{CalendarPath, Email, HomeId, Uid};
use convoke::search::opensearch::OpenSearch;
use convoke::search::{
    ContactIndex, EventDocument, EventIndex, EventQuery, IndexedObject, Occurrence, SearchError, SharedEventIndex,
};
use serde_json::{Value, json};

use crate::contracts::search::{document, found, object, query, work};
use crate::opensearch_support::{OpenSearchHarness, Refreshing};

fn moved(calendar: &CalendarPath, uid: &str, at: &str, summary: &str) -> EventDocument {
    EventDocument { occurrence: Occurrence::Override(at.to_owned()), ..document(calendar, uid, summary) }
}

fn master(calendar: &CalendarPath, uid: &str, summary: &str) -> EventDocument {
    EventDocument { occurrence: Occurrence::Master, ..document(calendar, uid, summary) }
}

fn searching(harness: &OpenSearchHarness) -> SharedEventIndex {
    Arc::new(Refreshing(harness.engine()))
}

/// Last parts of the ids of all documents.
async fn parts(harness: &OpenSearchHarness) -> Vec<String> {
    let id = |hit: Value| {
        let id = hit["_id"].as_str().unwrap().to_owned();
        id.splitn(4, ':').nth(3).unwrap().to_owned()
    };
    harness.documents().await.into_iter().map(id).collect()
}

/// Writes a document as the reference does: with a version that the cluster counts.
async fn reference_writes(harness: &OpenSearchHarness, calendar: &CalendarPath, id: &str, source: Value) {
    let path = format!("/{}/_doc/{id}?routing={}", harness.name("events-write"), calendar.home);
    let (status, answer) = harness.ask("PUT", &path, &source).await;
    assert!(status.is_success(), "{answer}");
    harness.ask("POST", &format!("/{}/_refresh", harness.name("events")), &Value::Null).await;
}

fn reference_document(
    calendar: &CalendarPath,
    uid: &str,
    sequence: Option<i64>,
    master: Value,
    summary: &str,
) -> Value {
    json!({
        "baseCalendarId": calendar.home, "eventUid": uid, "summary": summary, "start": "2026-06-01T09:00:00Z",
        "calendarURL": format!("{}/{}", calendar.home, calendar.calendar), "isRecurrentMaster": master, "sequence": sequence,
        "resourceName": format!("{uid}.ics"), "allDay": false, "collapseRank": 0,
    })
}

#[tokio::test]
async fn indices_are_made_as_the_reference_has_them_and_never_altered() {
    let Some(harness) = OpenSearchHarness::new().await else { return };
    let (_, made) = harness.ask("GET", &format!("/{}", harness.name("events-read")), &Value::Null).await;
    let made = &made[harness.name("events")];
    let settings = &made["settings"]["index"];
    assert_eq!((&settings["number_of_shards"], &settings["max_ngram_diff"]), (&json!("1"), &json!("4")));
    assert_eq!(settings["analysis"]["filter"]["edge_ngram_filter"]["max_gram"], "7");
    assert_eq!(made["mappings"]["properties"]["sequence"], json!({"type": "integer"}));
    assert_eq!(made["mappings"]["properties"]["dtstamp"], json!({"type": "date", "index": false}));
    for alias in ["events-read", "events-write"] {
        assert!(made["aliases"].get(harness.name(alias)).is_some(), "{alias}");
    }
    for alias in ["users-read", "users-write", "domains-read", "domains-write"] {
        let (status, _) = harness.ask("GET", &format!("/_alias/{}", harness.name(alias)), &Value::Null).await;
        assert_eq!(status, 200, "{alias}");
    }
    // Again, by several at once and with other settings: what is there stays.
    let other = convoke::config::OpenSearch {
        events: convoke::config::EventsIndex { max_ngram_diff: 9, ..harness.config().events },
        ..harness.config()
    };
    let engine = OpenSearch::new(&other, Env::system()).unwrap();
    let (one, two) = (engine.clone(), harness.engine());
    let (one, two) = tokio::join!(one.ensure_indices(), two.ensure_indices());
    assert_eq!((one, two), (Ok(()), Ok(())));
    let (_, after) = harness.ask("GET", &format!("/{}/_settings", harness.name("events")), &Value::Null).await;
    assert_eq!(after[harness.name("events")]["settings"]["index"]["max_ngram_diff"], "4");
}

#[tokio::test]
async fn a_document_is_written_where_and_as_the_reference_writes_it() {
    let Some(harness) = OpenSearchHarness::new().await else { return };
    let (engine, work) = (harness.engine(), work());
    let event = master(&work, "a1b2c3", "Weekly sync");
    engine.put(&object(7, &[event, moved(&work, "a1b2c3", "20260608T090000Z", "Moved")])).await.unwrap();
    let documents = harness.documents().await;
    let ids: Vec<&str> = documents.iter().map(|hit| hit["_id"].as_str().unwrap()).collect();
    let base = format!("{}:work:a1b2c3", work.home);
    assert_eq!(
        ids,
        [format!("{base}:ledger"), format!("{base}:master"), format!("{base}:recurrence:20260608T090000Z")]
    );
    assert!(documents.iter().all(|hit| hit["_routing"] == json!(work.home)));
    let source = &documents[1]["_source"];
    assert_eq!(source["calendarURL"], format!("{}/work", work.home));
    assert_eq!(
        (&source["isRecurrentMaster"], &source["collapseRank"], &source["location"]),
        (&json!(true), &json!(0), &Value::Null)
    );
    assert_eq!(source.as_object().unwrap().len(), 21, "no field that the reference does not know: {source}");
    let source = &documents[2]["_source"];
    assert_eq!((&source["isRecurrentMaster"], &source["collapseRank"]), (&json!(false), &json!(1)));
    assert_eq!(source["recurrenceId"], "20260608T090000Z");
    assert!(documents[0]["_source"].get("calendarURL").is_none(), "the ledger is in no calendar");
    let (_, mapping) = harness.ask("GET", &format!("/{}/_mapping", harness.name("events")), &Value::Null).await;
    let fields = mapping[harness.name("events")]["mappings"]["properties"].as_object().unwrap().len();
    assert_eq!(fields, 22, "writing adds no field to the mapping");
}

#[tokio::test]
async fn occurrences_that_are_gone_are_removed_in_every_direction() {
    let Some(harness) = OpenSearchHarness::new().await else { return };
    let (engine, work) = (harness.engine(), work());
    let states: [(&[EventDocument], &[&str]); 7] = [
        (
            &[master(&work, "u", "m"), moved(&work, "u", "r1", "1"), moved(&work, "u", "r2", "2")],
            &["ledger", "master", "recurrence:r1", "recurrence:r2"],
        ),
        (&[master(&work, "u", "m"), moved(&work, "u", "r2", "2")], &["ledger", "master", "recurrence:r2"]),
        (&[document(&work, "u", "plain")], &["single"]),
        (&[moved(&work, "u", "r3", "3")], &["ledger", "master", "recurrence:r3"]),
        (&[master(&work, "u", "m")], &["master"]),
        (
            &[moved(&work, "u", "r4", "4"), moved(&work, "u", "r5", "5")],
            &["ledger", "master", "recurrence:r4", "recurrence:r5"],
        ),
        (&[], &["single"]),
    ];
    for (version, (documents, left)) in states.into_iter().enumerate() {
        let version = i64::try_from(version).unwrap() + 1;
        let uid = Uid("u".to_owned());
        let object = IndexedObject { calendar: work.clone(), uid, version, documents: documents.to_vec() };
        engine.put(&object).await.unwrap();
        assert_eq!(parts(&harness).await, left, "{documents:?}");
    }
}

#[tokio::test]
async fn what_the_reference_wrote_yields_to_a_higher_sequence_only() {
    let Some(harness) = OpenSearchHarness::new().await else { return };
    let (index, work) = (searching(&harness), work());
    let base = format!("{}:work:u", work.home);
    let single = |sequence| reference_document(&work, "u", sequence, Value::Null, "theirs");
    let ours = |sequence: Option<i64>, title: &str| EventDocument { sequence, ..document(&work, "u", title) };
    reference_writes(&harness, &work, &format!("{base}:single"), single(Some(2))).await;
    assert_eq!(found(&index, &query(&work, "theirs")).await, ["u"], "it is read");
    for (sequence, title) in [(Some(1), "older"), (Some(2), "equal")] {
        index.put(&object(1_000, &[ours(sequence, title)])).await.unwrap();
        assert_eq!(found(&index, &query(&work, "theirs")).await, ["u"], "{title}");
    }
    index.put(&object(1_001, &[ours(Some(3), "newer")])).await.unwrap();
    assert_eq!(found(&index, &query(&work, "newer")).await, ["u"]);
    // From then on versions count.
    index.put(&object(1_002, &[ours(Some(3), "changed")])).await.unwrap();
    assert_eq!(found(&index, &query(&work, "changed")).await, ["u"]);
    index.put(&object(1_001, &[ours(Some(9), "late")])).await.unwrap();
    assert_eq!(found(&index, &query(&work, "changed")).await, ["u"]);
    // Without a SEQUENCE nothing can be told, and what comes is taken.
    reference_writes(
        &harness,
        &work,
        &format!("{base}2:single"),
        reference_document(&work, "u2", None, Value::Null, "theirs"),
    )
    .await;
    index.put(&object(5, &[EventDocument { sequence: Some(0), ..document(&work, "u2", "taken") }])).await.unwrap();
    assert_eq!(found(&index, &query(&work, "taken")).await, ["u2"]);
}

#[tokio::test]
async fn occurrences_that_the_reference_wrote_are_removed_with_their_series() {
    let Some(harness) = OpenSearchHarness::new().await else { return };
    let (index, work) = (searching(&harness), work());
    for uid in ["changed", "deleted", "invited"] {
        let base = format!("{}:work:{uid}", work.home);
        if uid != "invited" {
            let theirs = reference_document(&work, uid, Some(1), json!(true), "series");
            reference_writes(&harness, &work, &format!("{base}:master"), theirs).await;
        }
        let theirs = reference_document(&work, uid, Some(1), json!(false), "theirs");
        reference_writes(&harness, &work, &format!("{base}:recurrence:r1"), theirs).await;
    }
    index.put(&object(5, &[EventDocument { sequence: Some(2), ..document(&work, "changed", "plain") }])).await.unwrap();
    index.delete(&work, &Uid("deleted".to_owned()), 5).await.unwrap();
    index.put(&object(5, &[moved(&work, "invited", "r2", "another")])).await.unwrap();
    assert!(found(&index, &query(&work, "theirs")).await.is_empty());
    assert_eq!(found(&index, &query(&work, "")).await, ["changed", "invited"]);
}

#[tokio::test]
async fn documents_of_unknown_age_are_pruned_first_and_last() {
    let Some(harness) = OpenSearchHarness::new().await else { return };
    let (index, work) = (searching(&harness), work());
    let theirs = reference_document(&work, "theirs", Some(4), Value::Null, "theirs");
    reference_writes(&harness, &work, &format!("{}:work:theirs:single", work.home), theirs).await;
    index.put(&object(10, &[document(&work, "ours", "ours")])).await.unwrap();
    assert_eq!(index.prune(work.home, i64::MIN).await.unwrap(), 1);
    assert_eq!(found(&index, &query(&work, "")).await, ["ours"]);
    let late = EventDocument { sequence: Some(4), ..document(&work, "theirs", "again") };
    index.put(&object(3, &[late])).await.unwrap();
    assert_eq!(found(&index, &query(&work, "again")).await, ["theirs"]);
}

#[tokio::test]
async fn what_was_deleted_is_remembered_for_a_month() {
    let Some(harness) = OpenSearchHarness::new().await else { return };
    let clock = Arc::new(ManualClock::at("2026-06-01T00:00:00Z".parse().unwrap()));
    struct Shared(Arc<ManualClock>);
    impl convoke::clock::Clock for Shared {
        fn now(&self) -> chrono::DateTime<chrono::Utc> {
            self.0.now()
        }
    }
    let env = Env::new(Shared(clock.clone()), CountingEntropy::default());
    let engine = OpenSearch::new(&harness.config(), env).unwrap();
    let work = work();
    engine.delete(&work, &Uid("first".to_owned()), 5).await.unwrap();
    clock.advance(chrono::TimeDelta::days(29));
    engine.refresh().await.unwrap();
    engine.delete(&work, &Uid("second".to_owned()), 5).await.unwrap();
    assert_eq!(harness.documents().await.len(), 2);
    clock.advance(chrono::TimeDelta::days(2));
    engine.refresh().await.unwrap();
    engine.delete(&work, &Uid("second".to_owned()), 6).await.unwrap();
    let left = harness.documents().await;
    assert_eq!(left.len(), 1, "{left:?}");
    assert_eq!(left[0]["_source"]["eventUid"], "second");
}

#[tokio::test]
async fn what_the_index_refuses_is_told_for_each_object_and_harms_no_other() {
    let Some(harness) = OpenSearchHarness::new().await else { return };
    // An index of somebody's own, where a place is a number.
    let index = harness.name("events");
    harness.ask("DELETE", &format!("/{index}"), &Value::Null).await;
    let body = json!({
        "settings": {"number_of_shards": 1, "number_of_replicas": 0},
        "mappings": {"properties": {"location": {"type": "long"}, "eventUid": {"type": "keyword"}}},
        "aliases": {harness.name("events-read"): {}, harness.name("events-write"): {}},
    });
    assert_eq!(harness.ask("PUT", &format!("/{index}"), &body).await.0, 200);
    let work = work();
    let placed = |uid: &str, place: &str| {
        object(1, &[EventDocument { location: Some(place.to_owned()), ..document(&work, uid, uid) }])
    };
    let objects = [placed("good", "12"), placed("bad", "secret room"), placed("better", "13")];
    let outcomes = harness.engine().put_many(&objects).await;
    assert_eq!((&outcomes[0], &outcomes[2]), (&Ok(()), &Ok(())));
    let Err(SearchError::Refused(reason)) = &outcomes[1] else { panic!("{outcomes:?}") };
    assert!(reason.contains("location") && !reason.contains("secret"), "{reason}");
    assert_eq!(parts(&harness).await, ["single", "single"]);
}

#[tokio::test]
async fn an_index_without_the_word_of_the_class_keeps_back_what_it_cannot_tell() {
    let Some(harness) = OpenSearchHarness::new().await else { return };
    // An index of the reference, or of an older release.
    let name = harness.name("events");
    let (_, made) = harness.ask("GET", &format!("/{name}"), &Value::Null).await;
    let mut mappings = made[&name]["mappings"].clone();
    assert_eq!(mappings["properties"]["clazz"]["fields"]["raw"]["normalizer"], "case_insensitive");
    mappings["properties"]["clazz"].as_object_mut().unwrap().remove("fields");
    harness.ask("DELETE", &format!("/{name}"), &Value::Null).await;
    let settings = json!({"number_of_shards": 1, "number_of_replicas": 0,
        "analysis": made[&name]["settings"]["index"]["analysis"], "index": {"max_ngram_diff": 4}});
    let aliases = json!({harness.name("events-read"): {}, harness.name("events-write"): {}});
    let older = json!({"settings": settings, "mappings": mappings, "aliases": aliases});
    let (status, answer) = harness.ask("PUT", &format!("/{name}"), &older).await;
    assert_eq!(status, 200, "{answer}");

    let (index, mine, theirs) = (searching(&harness), work(), work());
    index.put(&object(1, &[document(&mine, "own", "sync")])).await.unwrap();
    for (uid, class) in [("none", None), ("public", Some("Public")), ("private", Some("PRIVATE"))] {
        let class = class.map(str::to_owned);
        index.put(&object(1, &[EventDocument { class, ..document(&theirs, uid, "sync") }])).await.unwrap();
    }
    let both = EventQuery { of_others: vec![theirs.clone()], ..query(&mine, "sync") };
    assert_eq!(found(&index, &both).await, ["none", "own"]);
    // What docs/search.md says: the mapping is put, and the calendars are indexed again.
    let raw = json!({"raw": {"type": "keyword", "normalizer": "case_insensitive"}});
    let mapping = json!({"properties": {"clazz": {"type": "keyword", "index": false, "fields": raw}}});
    let (status, answer) = harness.ask("PUT", &format!("/{name}/_mapping"), &mapping).await;
    assert_eq!(status, 200, "{answer}");
    let public = EventDocument { class: Some("Public".to_owned()), ..document(&theirs, "public", "sync") };
    index.put(&object(2, &[public])).await.unwrap();
    assert_eq!(found(&index, &both).await, ["none", "own", "public"]);
}

#[tokio::test]
async fn an_index_that_is_deleted_is_made_again_by_whoever_needs_it() {
    let Some(harness) = OpenSearchHarness::new().await else { return };
    let (index, work) = (searching(&harness), work());
    index.put(&object(1, &[document(&work, "u", "sync")])).await.unwrap();
    for round in 0..2 {
        assert_eq!(harness.ask("DELETE", &format!("/{}", harness.name("events")), &Value::Null).await.0, 200);
        if round == 0 {
            index.put(&object(2, &[document(&work, "u", "sync")])).await.unwrap();
            assert_eq!(found(&index, &query(&work, "sync")).await, ["u"]);
        } else {
            let searched = harness.engine().search(&query(&work, "sync")).await;
            assert_eq!(searched, Ok(Vec::new()));
        }
        let (_, mapping) =
            harness.ask("GET", &format!("/{}/_mapping", harness.name("events-write")), &Value::Null).await;
        let summary = &mapping[harness.name("events")]["mappings"]["properties"]["summary"];
        assert_eq!(summary["analyzer"], "calendar_event_keep_mail_and_url_analyzer", "with our mapping: {mapping}");
    }
}

#[tokio::test]
async fn odd_objects_are_indexed_as_far_as_they_can_be() {
    let Some(harness) = OpenSearchHarness::new().await else { return };
    let (index, work) = (searching(&harness), work());
    let long = "é".repeat(40_000);
    let odd = EventDocument {
        sequence: Some(i64::MAX),
        start: "+12000-01-01T00:00:00Z".parse().ok(),
        end: "-0044-03-15T00:00:00Z".parse().ok(),
        class: Some(long.clone()),
        booking_link: Some(long.clone()),
        location: Some(long.clone()),
        ..document(&work, &long, "odd")
    };
    index.put(&object(1, &[odd, moved(&work, &long, &long, "moved")])).await.unwrap();
    let hits = index.search(&query(&work, "odd")).await.unwrap();
    assert_eq!(hits.len(), 1);
    assert_eq!(hits[0].sequence, Some(i64::from(i32::MAX)));
    index.delete(&work, &Uid(long), 2).await.unwrap();
    assert!(found(&index, &query(&work, "")).await.is_empty());
}

/// A contact as Twake Mail writes it.
async fn contact(harness: &OpenSearchHarness, index: &str, owner: (&str, &str), mail: &str, first: &str, last: &str) {
    let id = format!("{}:{mail}:{first}", owner.1);
    let path = format!("/{}/_doc/{id}?routing={mail}&refresh=true", harness.name(&format!("{index}-write")));
    let source = json!({
        owner.0: owner.1, "contactId": format!("id-of-{mail}"), "email": mail, "firstname": first, "surname": last,
    });
    let (status, answer) = harness.ask("PUT", &path, &source).await;
    assert!(status.is_success(), "{answer}");
}

#[tokio::test]
async fn contacts_of_the_account_and_of_its_domain_are_completed() {
    let Some(harness) = OpenSearchHarness::new().await else { return };
    let alice = ("accountId", "alice@example.org");
    contact(&harness, "users", alice, "Bob.Dubois@partner.example.org", "Bob", "Dubois").await;
    contact(&harness, "users", alice, "eloise@partner.example.org", "Éloïse", "Martin").await;
    contact(&harness, "users", ("accountId", "carol@example.org"), "bob.other@partner.example.org", "Bob", "Other")
        .await;
    contact(&harness, "domains", ("domain", "example.org"), "bob@example.org", "Bob", "Leroy").await;
    contact(&harness, "domains", ("domain", "example.net"), "bob@example.net", "Bob", "Stranger").await;
    // The same person in an address book, and under another name.
    contact(&harness, "users", alice, "bob@example.org", "bob", "leroy").await;
    contact(&harness, "users", alice, "bob@example.org", "Bobby", "").await;
    let engine = harness.engine();
    let alice: Email = "alice@example.org".parse().unwrap();
    let complete = async |text: &str| {
        let found = engine.complete(&alice, text, 20).await.unwrap();
        let mut mails: Vec<String> =
            found.iter().map(|c| format!("{} {} {}", c.email, c.firstname, c.surname)).collect();
        mails.sort_by_key(|mail| mail.to_lowercase());
        mails
    };
    let names = |found: Vec<String>| found.iter().map(|mail| mail.to_lowercase()).collect::<Vec<_>>();
    assert_eq!(
        names(complete("bob").await),
        ["bob.dubois@partner.example.org bob dubois", "bob@example.org bob leroy", "bob@example.org bobby "]
    );
    assert_eq!(complete("dub").await, ["bob.dubois@partner.example.org Bob Dubois"], "an address is in lower case");
    assert_eq!(complete("mar").await, ["eloise@partner.example.org Éloïse Martin"]);
    assert_eq!(complete("elo").await, ["eloise@partner.example.org Éloïse Martin"], "names are found without accents");
    assert_eq!(complete("partner.ex").await.len(), 2);
    assert_eq!(complete("eloise@part").await, ["eloise@partner.example.org Éloïse Martin"]);
    assert_eq!(complete("@partner").await.len(), 2);
    for text in ["stranger", "other@", "nobody", "", "  ", "\" OR *", "*"] {
        assert_eq!(complete(text).await, [] as [String; 0], "{text}");
    }
    assert_eq!(engine.complete(&alice, "bob", 1).await.unwrap().len(), 1);
    assert_eq!(engine.complete(&alice, "bob", 0).await.unwrap(), []);
    let found = engine.complete(&alice, "eloise", 1).await.unwrap();
    assert_eq!(found[0].id, "id-of-eloise@partner.example.org");
}

#[tokio::test]
async fn the_cluster_says_how_it_is() {
    let Some(harness) = OpenSearchHarness::new().await else { return };
    let engine = harness.engine();
    assert_eq!(engine.component(), "OpenSearch Backend");
    let findings = engine.examine().await;
    let subjects: Vec<&str> = findings.iter().map(|finding| finding.subject.as_str()).collect();
    for subject in ["connection", "cluster", "disks"] {
        assert!(subjects.contains(&subject), "{subjects:?}");
    }
    let ours = |finding: &&convoke::health::Finding| finding.subject.contains(&harness.name(""));
    assert_eq!(findings.iter().filter(ours).count(), 9, "three indices with two aliases each: {subjects:?}");
    for finding in findings.iter().filter(ours) {
        assert!(matches!(finding.verdict, Verdict::Good(_)), "{finding:?}");
    }
    // Something is wrong with each.
    let index = harness.name("events");
    let (status, _) =
        harness.ask("PUT", &format!("/{index}/_settings"), &json!({"index.blocks.read_only_allow_delete": true})).await;
    assert_eq!(status, 200);
    harness
        .ask("DELETE", &format!("/{}/_alias/{}", harness.name("users"), harness.name("users-read")), &Value::Null)
        .await;
    let findings = engine.examine().await;
    let bad =
        |what: &str| findings.iter().any(|f| matches!(&f.verdict, Verdict::Bad { found, .. } if found.contains(what)));
    assert!(bad("read_only_allow_delete"), "{findings:?}");
    let missing = findings.iter().find(|f| f.subject == format!("alias {}", harness.name("users-read"))).unwrap();
    assert!(matches!(missing.verdict, Verdict::Doubtful { .. }), "{missing:?}");
    // A write waits for the block to go.
    let write = engine.put(&object(1, &[document(&work(), "u", "sync")])).await;
    assert!(matches!(write, Err(SearchError::Unavailable(_))), "{write:?}");
}

#[tokio::test]
async fn nothing_is_healthy_where_nothing_is() {
    let away = OpenSearchHarness::at("http://127.0.0.1:9");
    let engine = away.engine();
    assert!(matches!(engine.check().await, Health::Unhealthy(_)));
    let findings = engine.examine().await;
    assert!(matches!(&findings[..], [one] if matches!(one.verdict, Verdict::Bad { .. })), "{findings:?}");
    assert!(matches!(engine.search(&query(&work(), "x")).await, Err(SearchError::Unavailable(_))));
    let home = HomeId(Env::system().object_id());
    assert!(matches!(engine.delete_home(home).await, Err(SearchError::Unavailable(_))));
}
