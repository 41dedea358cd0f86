//! What a question finds (storage §4.6): one corpus and one table, the same on every engine. The reference on OpenSearch is
//! what people know, oddities included: several words are any of them, a word finds longer ones by its first three to seven
//! letters and in titles and names only, and accents matter beyond those.
//!
//! Two things FTS5 does not do: `word~` forgives no typing errors, and within a phrase a stop word stands for a stop word and
//! not for any word. They are not in the table.

use chrono::TimeDelta;
use convoke::ids::CalendarPath;
use convoke::search::{EventDocument, EventQuery, IndexedPerson, Occurrence, SharedEventIndex};

use super::samples::instant;
use super::search::{FtsHarness, Harness, document, found, object, ordered, person, query, work};
use super::{optional_suite, suite};
use crate::opensearch_support::OpenSearchHarness;

/// UID, title, place, description.
const EVENTS: &[(&str, &str, &str, &str)] = &[
    ("planning", "Quarterly planning", "Blue room, 2nd floor", "Bring the budget and the roadmap"),
    ("reunion", "Réunion d'équipe", "Salle Éléphant", "Préparer la rentrée"),
    ("street", "Grüße aus der Straße", "Łódź", "Øresund, İstanbul"),
    ("kaigi", "来週の企画会議(東京)", "会議室", "カタカナ テスト"),
    ("keiri", "会計の議論", "", ""),
    ("thai", "ประชุมทีมขาย", "", ""),
    ("hangul", "회의를 준비", "", ""),
    ("mailed", "Ask bob@example.org", "", "or carol@example.net, see https://visio.example.org/abc?x=1 for it"),
    ("linked", "Call on https://visio.example.org/room-7", "www.example.com/map", ""),
    ("fruit", "red apple", "", ""),
    ("pear", "red pear", "", "green leaves"),
    ("other", "apple red", "", ""),
    ("plum", "blue plum", "", "E-mail the news"),
    ("review", "Review of the plan", "", ""),
    ("stopped", "What is to be", "", ""),
    ("numbers", "Release 3.14 for 1,000 users", "Room B-12", "node.js"),
    ("emoji", "👍 Party at O'Neil's", "", "50% off & more"),
    ("long", "Internationalization", "", "Internationalization"),
];

fn events(calendar: &CalendarPath) -> Vec<EventDocument> {
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let mut events: Vec<EventDocument> = EVENTS
        .iter()
        .map(|(uid, title, place, description)| EventDocument {
            location: some(place),
            description: some(description),
            ..document(calendar, uid, title)
        })
        .collect();
    let mut peopled = document(calendar, "people", "Without a word");
    peopled.organizer = Some(person("Éloïse Martin-Dupont", "eloise.martin@partner.example"));
    peopled.attendees = vec![person("Bob van Dijk", "bob@corp.example"), person("", "carol+x@sub.corp.example")];
    peopled.resources = vec![person("Projector", "beamer@rooms.example")];
    events.push(peopled);
    events
}

/// A question, and the UIDs that it finds.
const TABLE: &[(&str, &str)] = &[
    // Words, in any case and anywhere.
    ("planning", "planning"),
    ("PLANNING", "planning"),
    ("  quarterly  ", "planning"),
    ("blue", "planning plum"),
    ("budget", "planning"),
    ("nothing", ""),
    ("2nd", "planning"),
    // Several words are any of them.
    ("quarterly leaves", "pear planning"),
    ("red green", "fruit other pear"),
    ("nothing planning", "planning"),
    // Beginnings: of titles, of three to seven letters, and of the whole question.
    ("pla", "planning review"),
    ("plan", "planning review"),
    ("pl", ""),
    ("quarter", "planning"),
    ("quarterl", ""),
    ("quarterly", "planning"),
    ("plan qua", "review"),
    ("interna", "long"),
    ("internat", ""),
    ("internationalization", "long"),
    ("anning", ""),
    ("budg", ""),
    ("roa", ""),
    ("eleph", ""),
    // Accents: either way where a word begins, and as written otherwise.
    ("reunion", "reunion"),
    ("réunion", "reunion"),
    ("RÉUNION", "reunion"),
    ("reu", "reunion"),
    ("réu", "reunion"),
    ("équipe", ""),
    ("d'équipe", "reunion"),
    ("d'equip", "reunion"),
    ("éléphant", "reunion"),
    ("elephant", ""),
    ("rentrée", "reunion"),
    ("rentree", ""),
    ("grusse", "street"),
    ("gruß", "street"),
    ("grusz", ""),
    ("strasse", "street"),
    ("straße", "street"),
    ("lodz", ""),
    ("łódź", "street"),
    ("øresund", "street"),
    ("istanbul", "street"),
    // Scripts without spaces: every character is a word, or a whole run is.
    ("会議", "kaigi keiri"),
    ("企画", "kaigi"),
    ("東", "kaigi"),
    ("会", "kaigi keiri"),
    ("カタカナ", "kaigi"),
    ("カタ", ""),
    ("ประชุมทีมขาย", "thai"),
    ("ประชุม", "thai"),
    ("ทีม", ""),
    ("회의를", "hangul"),
    ("회의", ""),
    // Addresses: whole in titles; their words elsewhere.
    ("bob@example.org", "mailed people"),
    ("bob@", "people"),
    ("example.org", ""),
    ("carol@example.net", "mailed people"),
    ("carol", "mailed people"),
    ("example.net", "mailed"),
    ("https://visio.example.org/room-7", "linked mailed numbers planning"),
    ("visio.example.org", "mailed"),
    ("www.example.com", "linked"),
    ("map", "linked"),
    ("visio", "linked"),
    ("room-7", "numbers planning"),
    // People: words of addresses, beginnings of names without accents; no resources.
    ("eloise.martin@partner.example", "people"),
    ("eloise.martin", "people"),
    ("partner.example", "people"),
    ("partner", ""),
    ("martin", "people"),
    ("eloise", "people"),
    ("éloïse", "people"),
    ("elo", "people"),
    ("dupo", "people"),
    ("dijk", "people"),
    ("van", "people"),
    ("alice@corp.example", "people"),
    ("sub.corp.example", "people"),
    ("carol x", "mailed people"),
    ("projector", ""),
    ("beamer", ""),
    // Stop words count everywhere but in titles.
    ("the", "planning plum review"),
    ("what", "stopped"),
    ("to be", ""),
    ("is to", ""),
    ("and", "planning"),
    // Signs within words and between them.
    ("3.14", "numbers"),
    ("1,000", "numbers"),
    ("b-12", "numbers"),
    ("node.js", "numbers"),
    ("o'neil's", "emoji"),
    ("oneil", ""),
    ("👍", "emoji"),
    ("50%", "emoji"),
    ("(planning)", "planning"),
    ("planning!", "planning"),
    ("?planning", "planning"),
    ("e-mail", "plum"),
    // Operators: all must be there.
    ("\"red apple\"", "fruit"),
    ("\"apple red\"", "other"),
    ("\"red app\"", ""),
    ("\"red\" apple", "fruit other"),
    ("\"red\" nothing", ""),
    ("red app*", "fruit other"),
    ("red ap* -\"apple red\"", "fruit"),
    ("pear -red", ""),
    ("plum -red", "plum"),
    ("apple | plum", "fruit other plum"),
    ("blue plum | pear", "pear plum"),
    ("pear | blue plum", "plum"),
    ("pear | (blue plum)", "pear plum"),
    ("\"red apple", "fruit other"),
    ("red + pear | \"\"", "pear"),
    ("green -leaves", ""),
    ("\"green leaves\"", "pear"),
    ("\"leaves red\"", ""),
    ("\"budget roadmap\"", ""),
    ("\"budget roadmap\"~2", "planning"),
    ("\"budget and the roadmap\"", "planning"),
    ("\"review of the plan\"", "review"),
    ("\"review of\"", "review"),
    ("\"会議\"", "kaigi"),
    ("\"企画会議\"", "kaigi"),
    ("inter*", "long"),
    ("internationaliz*", "long"),
    ("budg*", "planning"),
    ("réu* | plum", "plum reunion"),
    ("e-mail | nothing", "plum"),
    ("mail e | nothing", "plum"),
    ("pla* -review", "planning"),
    ("\"ask bob@example.org\"", "mailed people"),
    ("eloise*", "people"),
    ("-red eloise", "people"),
    ("plum~0", "plum"),
    ("\\\"red\\\" | plum", "fruit other pear plum"),
    // No words, or only operators.
    ("!!!", ""),
    ("\"\"", ""),
    ("-", ""),
    ("--", ""),
    ("|", ""),
    ("~", ""),
    ("((((((", ""),
    ("\\", ""),
    ("\"\\\"", ""),
];

async fn filled(index: &SharedEventIndex, calendar: &CalendarPath) {
    let objects: Vec<_> = events(calendar).into_iter().map(|event| object(1, &[event])).collect();
    for outcome in index.put_many(&objects).await {
        outcome.unwrap();
    }
}

async fn a_question_finds_what_it_should(engine: &dyn Harness) {
    let index = engine.open().await;
    let calendar = work();
    filled(&index, &calendar).await;
    let mut differing = Vec::new();
    for (question, expected) in TABLE {
        let hits = found(&index, &query(&calendar, question)).await.join(" ");
        if hits != *expected {
            differing.push(format!("{question:?} finds [{hits}], expected [{expected}]"));
        }
    }
    assert!(differing.is_empty(), "{} differ\n{}", differing.len(), differing.join("\n"));
    // Everything there is, but one.
    let without = found(&index, &query(&calendar, "-plum")).await;
    assert_eq!(without.len(), EVENTS.len(), "{without:?}");
    assert!(!without.contains(&"plum".to_owned()));
    assert_eq!(found(&index, &query(&calendar, "*")).await.len(), EVENTS.len() + 1);
    // Read from left to right, what is not red is in whatever stands before.
    let neither = found(&index, &query(&calendar, "red | -pear -red")).await;
    assert!(!neither.iter().any(|uid| ["fruit", "pear", "other"].contains(&uid.as_str())), "{neither:?}");
    assert_eq!(neither.len(), EVENTS.len() - 2);
}

async fn filters_fold_case_and_accents(engine: &dyn Harness) {
    let index = engine.open().await;
    let calendar = work();
    filled(&index, &calendar).await;
    let by = |organizer: &str| EventQuery { organizers: vec![organizer.parse().unwrap()], ..query(&calendar, "") };
    assert_eq!(found(&index, &by("Eloise.Martin@PARTNER.example")).await, ["people"]);
    assert!(found(&index, &by("eloise@partner.example")).await.is_empty());
}

async fn pages_do_not_overlap_where_events_are_equal(engine: &dyn Harness) {
    let index = engine.open().await;
    let (mine, shared) = (work(), work());
    let start = instant("2026-06-01T09:00:00Z");
    let mut objects = Vec::new();
    for n in 0..60_i32 {
        // Three starts, so that twenty are equal each time; and every other one in both calendars.
        let at = Some(start + TimeDelta::days((n % 3).into()));
        let event = EventDocument { start: at, ..document(&mine, &format!("u{n:02}"), "sync") };
        if n % 2 == 0 {
            objects.push(object(1, &[EventDocument { calendar: shared.clone(), ..event.clone() }]));
        }
        objects.push(object(1, &[event]));
    }
    // Two occurrences at one time, of which one is shown.
    let moved = |at: &str| EventDocument {
        occurrence: Occurrence::Override(at.to_owned()),
        start: Some(start),
        ..document(&mine, "moved", at)
    };
    objects.push(object(1, &[moved("b"), moved("a")]));
    for outcome in index.put_many(&objects).await {
        outcome.unwrap();
    }
    let all = EventQuery { calendars: vec![mine.clone(), shared.clone()], ..query(&mine, "") };
    let mut expected: Vec<(i32, String)> = (0..60).map(|n| (-(n % 3), format!("u{n:02}"))).collect();
    expected.sort();
    let mut expected: Vec<String> = expected.into_iter().map(|(_, uid)| uid).collect();
    expected.push("moved".to_owned());
    assert_eq!(ordered(&index, &EventQuery { limit: 256, ..all.clone() }).await, expected);
    let mut paged = Vec::new();
    for offset in (0..70).step_by(7) {
        paged.extend(ordered(&index, &EventQuery { offset, limit: 7, ..all.clone() }).await);
    }
    assert_eq!(paged, expected);
    // Which of several equal ones is shown does not change either.
    let hits = index.search(&EventQuery { limit: 256, ..all.clone() }).await.unwrap();
    assert_eq!(hits.last().unwrap().summary.as_deref(), Some("a"));
    let first = std::cmp::min(mine.to_string(), shared.to_string());
    let twice = hits.iter().filter(|hit| hit.uid.0[1..].parse::<u32>().is_ok_and(|n| n % 2 == 0));
    assert!(twice.into_iter().all(|hit| hit.calendar.to_string() == first));
    assert!(ordered(&index, &EventQuery { offset: 100_000, limit: 10, ..all }).await.is_empty());
}

async fn a_person_matches_only_by_what_is_searched(engine: &dyn Harness) {
    let index = engine.open().await;
    let calendar = work();
    let mut event = document(&calendar, "e", "Sync");
    event.attendees = (0..300)
        .map(|n| IndexedPerson { cn: format!("Person{n:03} Family"), email: format!("person{n:03}@example.org") })
        .collect();
    index.put(&object(1, &[event])).await.unwrap();
    for (question, is_found) in
        [("person299", true), ("person299@nowhere.example", true), ("person3", false), ("fam", true)]
    {
        assert_eq!(!found(&index, &query(&calendar, question)).await.is_empty(), is_found, "{question}");
    }
}

suite!(
    fts,
    super::FtsHarness::new(),
    [
        a_question_finds_what_it_should,
        filters_fold_case_and_accents,
        pages_do_not_overlap_where_events_are_equal,
        a_person_matches_only_by_what_is_searched,
    ]
);
optional_suite!(
    opensearch,
    super::OpenSearchHarness::new().await,
    [
        a_question_finds_what_it_should,
        filters_fold_case_and_accents,
        pages_do_not_overlap_where_events_are_equal,
        a_person_matches_only_by_what_is_searched,
    ]
);
