use lapin::message::Delivery;

use super::*;
use crate::events::{Message, Topic};

const SOON: Duration = Duration::from_secs(60);

fn incoming(key: &str, identity: &str) -> Incoming {
    Incoming {
        message: Message::new(Topic::EventCreated, key, &identity),
        identity: identity.to_owned(),
        published: DateTime::UNIX_EPOCH,
        attempts: 0,
        error: None,
        due: None,
    }
}

fn acker() -> Acker {
    Delivery::mock(1, "".into(), "".into(), false, Vec::new()).acker
}

fn arrive(line: &mut Line, key: &str, identity: &str, redelivered: bool, now: Instant) -> Arrival {
    line.arrive(incoming(key, identity), acker(), redelivered, None, now)
}

fn take(line: &mut Line, now: Instant) -> Vec<(u64, String, u32)> {
    line.take(10, now, SOON).into_iter().map(|t| (t.id, t.incoming.identity, t.incoming.attempts)).collect()
}

#[test]
fn one_of_a_key_is_under_way_and_a_failure_holds_up_its_key() {
    let (mut line, now) = (Line::default(), Instant::now());
    for (key, identity) in [("a", "1"), ("a", "2"), ("b", "3")] {
        assert!(matches!(arrive(&mut line, key, identity, false, now), Arrival::Queued));
    }
    let taken = take(&mut line, now);
    assert_eq!(taken.iter().map(|t| t.1.as_str()).collect::<Vec<_>>(), ["1", "3"]);
    line.fail(taken[0].0, "x".into(), now + SOON, now);
    assert!(take(&mut line, now).is_empty());
    assert_eq!(line.next(), Some(now + SOON));
    let again = take(&mut line, now + SOON);
    assert_eq!((again[0].1.as_str(), again[0].2), ("1", 1), "and the one under way has expired");
    assert_eq!((again[1].1.as_str(), again[1].2), ("3", 1));
    assert!(line.finish(again[0].0, now).is_some());
    assert_eq!(take(&mut line, now + SOON)[0].1, "2");
}

#[test]
fn what_goes_to_the_retry_queue_comes_back_in_its_old_order() {
    let (mut line, now) = (Line::default(), Instant::now());
    for identity in ["1", "2", "3"] {
        arrive(&mut line, "a", identity, false, now);
    }
    let taken = take(&mut line, now);
    line.fail(taken[0].0, "x".into(), now + SOON, now);
    let leaving = line.excess(0, SOON * 2, 100, now);
    assert_eq!(leaving.iter().map(|e| e.incoming.identity.as_str()).collect::<Vec<_>>(), ["1", "2", "3"]);
    assert_eq!(line.len(), 0);
    assert!(matches!(arrive(&mut line, "a", "4", false, now), Arrival::Follows(_)), "a new one follows them");
    assert!(matches!(arrive(&mut line, "a", "2", false, now), Arrival::Follows(_)), "before the first is back");
    assert!(matches!(arrive(&mut line, "b", "5", false, now), Arrival::Queued));
    assert!(matches!(arrive(&mut line, "a", "1", false, now), Arrival::Queued));
    assert_eq!(take(&mut line, now).iter().map(|t| t.1.as_str()).collect::<Vec<_>>(), ["1", "5"]);
    assert!(matches!(arrive(&mut line, "a", "7", false, now + PARKED), Arrival::Queued), "they went elsewhere");
}

#[test]
fn a_lost_connection_is_survived_by_what_is_known() {
    let (mut line, now) = (Line::default(), Instant::now());
    for identity in ["1", "2", "3", "4"] {
        arrive(&mut line, identity, identity, false, now);
    }
    let taken = line.take(3, now, SOON);
    line.lose(now);
    assert_eq!((line.len(), line.held_from_broker()), (3, 0), "those under way are");
    assert!(line.finish(taken[0].id, now).is_none(), "it cannot be acknowledged any more");
    line.fail(taken[1].id, "x".into(), now + SOON, now);
    assert!(matches!(arrive(&mut line, "1", "1", true, now), Arrival::Settled(_)));
    assert!(matches!(arrive(&mut line, "2", "2", true, now), Arrival::Queued));
    assert!(matches!(arrive(&mut line, "3", "3", true, now), Arrival::Queued));
    assert!(matches!(arrive(&mut line, "4", "4", true, now), Arrival::Queued));
    assert!(matches!(arrive(&mut line, "9", "9", true, now), Arrival::Queued));
    let again: Vec<_> = line.take(10, now, SOON).into_iter().map(|t| (t.incoming.identity, t.suspect)).collect();
    assert_eq!(again, [("4".to_owned(), false), ("9".to_owned(), true)], "what was never here is a suspect");
    assert!(line.finish(taken[2].id, now).is_some(), "the one under way has its acknowledgement again");
    assert_eq!(take(&mut line, now + SOON / 2), []);
}

#[test]
fn an_acknowledgement_that_may_be_lost_is_remembered_for_what_comes_again() {
    let (mut line, now) = (Line::default(), Instant::now());
    for (n, at) in [("1", now), ("2", now + ACK_UNSURE * 2), ("3", now + ACK_UNSURE * 2)] {
        arrive(&mut line, "a", n, false, now);
        let taken = take(&mut line, now).remove(0);
        assert!(line.finish(taken.0, at).is_some());
    }
    line.unacknowledged("3".into(), now);
    line.lose(now + ACK_UNSURE * 2);
    let later = now + ACK_UNSURE * 2;
    assert!(matches!(arrive(&mut line, "a", "1", true, later), Arrival::Queued), "that arrived long ago");
    assert!(matches!(arrive(&mut line, "a", "2", true, later), Arrival::Settled(_)));
    assert!(matches!(arrive(&mut line, "a", "3", false, later), Arrival::Queued), "another one of its content");
}

#[test]
fn a_line_full_of_one_key_makes_room_after_a_while() {
    let (mut line, now) = (Line::default(), Instant::now());
    for n in 0..4 {
        arrive(&mut line, "a", &n.to_string(), false, now);
    }
    take(&mut line, now);
    assert!(line.is_stuck(4));
    assert!(line.excess(2, SOON, 4, now).is_empty());
    assert_eq!(line.excess(2, SOON, 4, now + STUCK).len(), 3);
    assert_eq!(line.len(), 1);
}
