//! Two nodes on the same engines work as one, and one of them may die.

use futures_util::StreamExt as _;
use serde_json::Value;
use tokio_tungstenite::tungstenite::Message as Frame;

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_work_as_one() {
    let Some(places) = Places::shared() else { return };
    let installation = Installation::prepare(places).await;
    let (one, two) = (installation.start("one").await, installation.start("two").await);
    assert_eq!(one.health().await.0, "healthy", "{:?}", one.health().await);

    // What is written through one node is read through the other, at once.
    let event = invitation("shared-1", "Ping pong tournament", &[BOB.mail, "guest@elsewhere.example"]);
    assert_eq!(one.put(ALICE, "shared-1.ics", &event).await, 201);
    let there = two.ask(ALICE, "GET", &format!("{}shared-1.ics", ALICE.calendar()), &[], "").await;
    assert_eq!(there.status(), 200);

    // Whoever works at it: the guest in the house has it, both are told once, and it is found through either node.
    eventually("bob's copy", async || two.find(BOB, "shared-1").await).await;
    eventually("two mails", async || (installation.mails().len() == 2).then_some(())).await;
    for node in [&one, &two] {
        eventually("search", async || (node.search(ALICE, "tournament").await == ["shared-1"]).then_some(())).await;
    }
    let mails = installation.mails();
    for guest in [BOB.mail, "guest@elsewhere.example"] {
        assert_eq!(mails[&(guest.to_owned(), "shared-1".to_owned())].len(), 1, "{mails:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_on_one_node_reaches_a_page_on_the_other() {
    let Some(places) = Places::shared() else { return };
    let installation = Installation::prepare(places).await;
    let (one, two) = (installation.start("one").await, installation.start("two").await);

    let ticket = two.ask(ALICE, "POST", "/ws/ticket", &[], "").await;
    assert_eq!(ticket.status(), 200, "{ticket:?}");
    let ticket: Value = serde_json::from_slice(ticket.body()).unwrap();
    // A ticket of one node is good on the other.
    let url = format!("ws://{}/ws?ticket={}", one.public, ticket["value"].as_str().unwrap());
    let (mut socket, _) = tokio_tungstenite::connect_async(url).await.unwrap();
    let path = format!("/calendars/{0}/{0}", ALICE.id);
    futures_util::SinkExt::send(&mut socket, Frame::text(json!({ "register": [path] }).to_string())).await.unwrap();
    next_frame(&mut socket, |frame| frame.get("registered").is_some()).await;

    assert_eq!(two.put(ALICE, "pushed.ics", &invitation("pushed", "Pushed", &[])).await, 201);
    let frame = next_frame(&mut socket, |frame| frame.get(&path).is_some()).await;
    assert!(frame[&path]["syncToken"].as_str().is_some_and(|t| !t.is_empty()), "{frame}");
}

async fn next_frame<S>(socket: &mut S, wanted: impl Fn(&Value) -> bool) -> Value
where
    S: futures_util::Stream<Item = Result<Frame, tokio_tungstenite::tungstenite::Error>> + Unpin,
{
    let found = async {
        while let Some(frame) = socket.next().await {
            let Frame::Text(text) = frame.unwrap() else { continue };
            let value: Value = serde_json::from_str(&text).unwrap();
            if wanted(&value) {
                return value;
            }
        }
        panic!("the socket was closed");
    };
    tokio::time::timeout(LONG, found).await.expect("a frame")
}

/// Half the writes go to a node that is killed while invitations are on their way: all that was acknowledged is told, by whoever
/// is left, and nobody gets a mail twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_dies_is_taken_over() {
    const EVENTS: usize = 40;
    let Some(places) = Places::shared() else { return };
    let installation = Installation::prepare(places).await;
    let (one, two) = (installation.start("one").await, installation.start("two").await);
    let mut acknowledged = Vec::new();
    for n in 0..EVENTS {
        let uid = format!("dies-{n}");
        let node = if n % 2 == 0 { &one } else { &two };
        let event = invitation(&uid, &format!("Round {n}"), &[BOB.mail, "guest@elsewhere.example"]);
        assert_eq!(node.put(ALICE, &format!("{uid}.ics"), &event).await, 201);
        acknowledged.push(uid);
    }
    one.kill();

    for uid in &acknowledged {
        eventually("bob's copy", async || two.find(BOB, uid).await).await;
        eventually("both mails", async || {
            let mails = installation.mails();
            let told = |who: &str| mails.contains_key(&(who.to_owned(), uid.clone()));
            (told(BOB.mail) && told("guest@elsewhere.example")).then_some(())
        })
        .await;
    }
    let mails = installation.mails();
    assert_eq!(mails.len(), 2 * EVENTS);
    // No SMTP client can do better than this: what was under way in the moment of death may have left already. It leaves
    // again as the same mail, with the same Message-ID.
    let again: usize = mails.values().map(|ids| ids.len() - 1).sum();
    assert!(again <= 16, "{again} mails left twice, more than were under way: {mails:?}");
    for (of, ids) in &mails {
        assert!(ids.iter().all(|id| !id.is_empty() && *id == ids[0]), "told in two mails: {of:?} {ids:?}");
    }
    eventually("search", async || (two.search(ALICE, "Round").await.len() >= 30).then_some(())).await;

    // The one that comes back works on.
    let one = installation.start("one").await;
    assert_eq!(one.put(ALICE, "after.ics", &invitation("after", "After", &[BOB.mail])).await, 201);
    eventually("bob's copy", async || two.find(BOB, "after").await).await;
}
