//! Conditions on every method that writes, as a table.

use super::{CALENDAR, World, event};

#[tokio::test]
async fn writes_happen_only_where_their_conditions_hold() {
    for (method, header, holds_where_there, holds_where_absent) in [
        ("PUT", ("if-match", "ETAG"), true, false),
        ("PUT", ("if-match", "\"other\""), false, false),
        ("PUT", ("if-match", "*"), true, false),
        ("PUT", ("if-none-match", "*"), false, true),
        ("PUT", ("if-none-match", "ETAG"), false, true),
        ("PUT", ("if", "([ETAG])"), true, false),
        ("PUT", ("if", "(Not [ETAG])"), false, true),
        ("DELETE", ("if-match", "ETAG"), true, false),
        ("DELETE", ("if-match", "\"other\""), false, false),
        ("DELETE", ("if-none-match", "*"), false, true),
        ("MOVE", ("if-match", "\"other\""), false, true),
        ("MOVE", ("if-match", "ETAG"), true, true),
    ] {
        for there in [true, false] {
            let world = World::new().await;
            let client = world.alice();
            let path = format!("{CALENDAR}a.ics");
            let before = event("a", "20300102T110000Z");
            let mut etag = "\"none\"".to_owned();
            if there {
                etag = client.put(&path, &before).await.header("etag").unwrap().to_owned();
            }
            let holds = if there { holds_where_there } else { holds_where_absent };
            let destination = format!("{CALENDAR}b.ics");
            let mut headers = vec![(header.0, header.1.replace("ETAG", &etag)), ("destination", destination)];
            headers.retain(|(name, _)| *name != "destination" || method == "MOVE");
            let headers: Vec<_> = headers.iter().map(|(n, v)| (*n, v.as_str())).collect();
            let body = if method == "PUT" { event("a", "20300102T120000Z") } else { String::new() };
            let answer = client.send(method, &path, &headers, &body).await;
            let case = format!("{method} {header:?} there={there}: {}", answer.body);
            let expected = match (method, there, holds) {
                // Without the object there is nothing to delete or move, whatever its condition.
                (_, false, true) if method != "PUT" => 404,
                ("MOVE", false, false) => 404,
                (_, _, false) => 412,
                ("PUT", false, true) | ("MOVE", true, true) => 201,
                _ => 204,
            };
            assert_eq!(answer.status, expected, "{case}");
            if expected == 412 {
                assert!(answer.body.contains("Sabre\\DAV\\Exception\\PreconditionFailed"), "{case}");
                let now = client.get(&path).await;
                assert_eq!(now.status == 200, there, "{case}");
                assert!(!there || now.body == before, "{case}");
            }
        }
    }
}

#[tokio::test]
async fn a_condition_that_cannot_be_read_is_a_bad_request() {
    let world = World::new().await;
    let client = world.alice();
    let path = format!("{CALENDAR}a.ics");
    client.send("PUT", &path, &[("if", "nonsense")], &event("a", "20300102T110000Z")).await.expect(400);
    client.get(&path).await.expect(404);
}

#[tokio::test]
async fn of_two_writers_with_one_etag_one_wins() {
    let world = World::new().await;
    let client = world.alice();
    let path = format!("{CALENDAR}a.ics");
    let etag = client.put(&path, &event("a", "20300102T110000Z")).await.header("etag").unwrap().to_owned();
    let writers = (0..8).map(|n| {
        let (client, path, etag) = (client.clone(), path.clone(), etag.clone());
        async move {
            let text = event("a", &format!("203001{:02}T110000Z", n + 10));
            client.send("PUT", &path, &[("if-match", &etag)], &text).await.status.as_u16()
        }
    });
    let mut statuses = futures_util::future::join_all(writers).await;
    statuses.sort_unstable();
    assert_eq!(statuses, [204, 412, 412, 412, 412, 412, 412, 412]);
}
