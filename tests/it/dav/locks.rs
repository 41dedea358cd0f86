//! Write locks on plain files (RFC 4918 §6, §7, §9.10, §10.4).

use std::sync::Arc;

use chrono::TimeDelta;
use convoke::clock::{Clock, CountingEntropy, Env, ManualClock};
use convoke::config::Files;
use convoke::dav::server::{Server, Settings};

use super::files::{at, write};
use super::{ALICE, Answer, Client, World, root};

/// What is said to get a lock.
fn lockinfo(scope: &str) -> String {
    format!(
        "{}<d:lockscope><d:{scope}/></d:lockscope><d:locktype><d:write/></d:locktype>\
         <d:owner><d:href>mailto:alice@example.org</d:href></d:owner></d:lockinfo>",
        root("d:lockinfo")
    )
}

async fn try_lock(client: &Client<'_>, path: &str, depth: &str, scope: &str) -> Answer {
    client.send("LOCK", &at(path), &[("depth", depth), ("timeout", "Second-100")], &lockinfo(scope)).await
}

/// Takes a lock; its token.
async fn lock(client: &Client<'_>, path: &str, depth: &str, scope: &str) -> String {
    let answer = try_lock(client, path, depth, scope).await;
    assert!(answer.status.is_success(), "{} {}", answer.status, answer.body);
    answer.header("lock-token").unwrap().trim_matches(['<', '>']).to_owned()
}

/// The status of a request that names these tokens.
async fn with(client: &Client<'_>, tokens: &[&str], method: &str, path: &str, to: &str) -> u16 {
    // Whatever is locked or not: a list that holds, and the tokens beside it.
    let lists: String = tokens.iter().map(|token| format!("(<{token}>) (Not <DAV:no-lock>) ")).collect();
    let to = at(to);
    let mut headers = vec![("destination", to.as_str())];
    if !tokens.is_empty() {
        headers.push(("if", lists.trim()));
    }
    let body = match method {
        "PROPPATCH" => format!("{}<d:set><d:prop><a/></d:prop></d:set></d:propertyupdate>", root("d:propertyupdate")),
        "PUT" => "new".to_owned(),
        _ => String::new(),
    };
    client.send(method, &at(path), &headers, &body).await.status.as_u16()
}

#[tokio::test]
async fn a_lock_is_told_with_everything_about_it() {
    let world = World::new().await;
    let client = world.alice();
    write(&client, "f", "text").await.expect(201);
    let answer = try_lock(&client, "f", "0", "exclusive").await.expect(200);
    let token = answer.header("lock-token").unwrap().trim_matches(['<', '>']).to_owned();
    assert!(token.starts_with("urn:uuid:"), "{token}");
    let active = format!(
        "<d:lockdiscovery><d:activelock><d:lockscope><d:exclusive/></d:lockscope><d:locktype><d:write/></d:locktype>\
         <d:depth>0</d:depth><d:owner><d:href>mailto:alice@example.org</d:href></d:owner>\
         <d:timeout>Second-100</d:timeout><d:locktoken><d:href>{token}</d:href></d:locktoken>\
         <d:lockroot><d:href>/files/{ALICE}/f</d:href></d:lockroot></d:activelock></d:lockdiscovery>"
    );
    assert!(answer.body.contains(&active), "{}", answer.body);
    assert!(answer.body.ends_with("</d:prop>"), "{}", answer.body);
    let told = client.propfind(&at("f"), "0", "<d:lockdiscovery/><d:supportedlock/>").await.responses();
    assert!(told.contains(&active), "{told}");
    assert!(told.contains("<d:lockscope><d:shared/></d:lockscope>"), "{told}");
    assert!(told.contains("<d:lockentry><d:lockscope><d:exclusive/></d:lockscope>"), "{told}");
}

#[tokio::test]
async fn what_is_locked_needs_its_token() {
    let world = World::new().await;
    let client = world.alice();
    client.send("MKCOL", &at("folder"), &[], "").await.expect(201);
    write(&client, "f", "text").await.expect(201);
    write(&client, "g", "text").await.expect(201);
    let token = lock(&client, "f", "0", "exclusive").await;
    let refused = write(&client, "f", "new").await.expect(423);
    let submitted = format!("<d:lock-token-submitted><d:href>/files/{ALICE}/f</d:href></d:lock-token-submitted>");
    assert!(refused.body.contains(&submitted), "{}", refused.body);
    for (method, path, to) in
        [("PROPPATCH", "f", ""), ("DELETE", "f", ""), ("MOVE", "f", "h"), ("COPY", "g", "f"), ("MOVE", "g", "f")]
    {
        assert_eq!(with(&client, &[], method, path, to).await, 423, "{method} {path}");
        assert_eq!(with(&client, &["urn:uuid:none"], method, path, to).await, 423, "{method} {path}");
    }
    // Reading and copying from it are nobody's harm.
    client.get(&at("f")).await.expect(200);
    assert_eq!(with(&client, &[], "COPY", "f", "copy").await, 201);
    let told = client.propfind(&at("copy"), "0", "<d:lockdiscovery/>").await.responses();
    assert!(told.contains("<d:lockdiscovery/>"), "a copy is not locked: {told}");
    assert_eq!(with(&client, &[&token], "PUT", "f", "").await, 204);
    assert_eq!(with(&client, &[&token], "PROPPATCH", "f", "").await, 207);
    // The lock on what is copied over stays, that on what is moved ends.
    assert_eq!(with(&client, &[&token], "COPY", "g", "f").await, 204);
    assert_eq!(with(&client, &[], "PUT", "f", "").await, 423);
    assert_eq!(with(&client, &[&token], "MOVE", "f", "moved").await, 201);
    assert_eq!(with(&client, &[], "PUT", "moved", "").await, 204);
    assert_eq!(with(&client, &[], "PUT", "f", "").await, 201);
}

#[tokio::test]
async fn a_token_is_checked_against_the_resource_that_it_is_about() {
    let world = World::new().await;
    let client = world.alice();
    write(&client, "f", "text").await.expect(201);
    let etag = write(&client, "g", "text").await.expect(201).header("etag").unwrap().to_owned();
    let token = lock(&client, "f", "0", "exclusive").await;
    let put = async |path: &str, condition: String| {
        client.send("PUT", &at(path), &[("if", &condition)], "text").await.status.as_u16()
    };
    assert_eq!(put("f", format!("(<{token}> [{etag}])")).await, 204);
    assert_eq!(put("f", format!("(<{token}> [\"other\"])")).await, 412);
    assert_eq!(put("f", format!("(<{token}>) ([\"other\"])")).await, 204);
    assert_eq!(put("f", format!("(Not <{token}>)")).await, 412);
    assert_eq!(put("f", "(Not <urn:uuid:none>)".to_owned()).await, 423);
    assert_eq!(put("g", format!("(<{token}>)")).await, 412);
    assert_eq!(put("g", format!("<{}> (<{token}>)", at("f"))).await, 204);
    assert_eq!(put("f", format!("<http://h/dav{}> (<{token}> [{etag}])", at("f"))).await, 204);
    assert_eq!(put("f", "(<urn:uuid:none".to_owned()).await, 400);
}

#[tokio::test]
async fn a_folder_may_be_locked_with_or_without_what_is_in_it() {
    let world = World::new().await;
    let client = world.alice();
    for folder in ["deep", "deep/in", "flat", "flat/in"] {
        client.send("MKCOL", &at(folder), &[], "").await.expect(201);
        write(&client, &format!("{folder}/f"), "text").await.expect(201);
    }
    let deep = lock(&client, "deep", "infinity", "exclusive").await;
    for (method, path) in [("PUT", "deep/in/f"), ("PUT", "deep/in/new"), ("MKCOL", "deep/new"), ("DELETE", "deep/in")] {
        assert_eq!(with(&client, &[], method, path, "").await, 423, "{method} {path}");
    }
    assert_eq!(with(&client, &[&deep], "PUT", "deep/in/new", "").await, 201);
    // What comes in is under the lock from then on.
    assert_eq!(with(&client, &[&deep], "COPY", "flat/f", "deep/came").await, 201);
    assert_eq!(with(&client, &[], "PUT", "deep/came", "").await, 423);
    let told = client.propfind(&at("deep/in/f"), "0", "<d:lockdiscovery/>").await.responses();
    assert!(
        told.contains(&deep) && told.contains(&format!("<d:lockroot><d:href>/files/{ALICE}/deep/</d:href>")),
        "{told}"
    );

    let flat = lock(&client, "flat", "0", "exclusive").await;
    assert_eq!(with(&client, &[], "PUT", "flat/f", "").await, 204, "its members are free");
    assert_eq!(with(&client, &[], "PUT", "flat/in/new", "").await, 201);
    for (method, path, to) in
        [("PUT", "flat/new", ""), ("DELETE", "flat/f", ""), ("MOVE", "flat/f", "x"), ("COPY", "flat/f", "flat/g")]
    {
        assert_eq!(with(&client, &[], method, path, to).await, 423, "{method} {path}: membership is locked");
    }
    assert_eq!(with(&client, &[&flat], "PUT", "flat/new", "").await, 201);
    assert_eq!(with(&client, &[], "PROPPATCH", "flat", "").await, 423);
}

#[tokio::test]
async fn what_is_locked_within_is_named() {
    let world = World::new().await;
    let client = world.alice();
    client.send("MKCOL", &at("a"), &[], "").await.expect(201);
    write(&client, "a/f", "text").await.expect(201);
    write(&client, "b", "text").await.expect(201);
    let token = lock(&client, "a/f", "0", "exclusive").await;
    for (method, path, to) in [("DELETE", "a", ""), ("MOVE", "a", "c"), ("COPY", "b", "a"), ("MOVE", "b", "a")] {
        let answer = client.send(method, &at(path), &[("destination", &at(to))], "").await.responses();
        assert_eq!(
            answer,
            format!(
                "<d:response><d:href>/files/{ALICE}/a/f</d:href><d:status>HTTP/1.1 423 Locked</d:status><d:error>\
                 <d:lock-token-submitted><d:href>/files/{ALICE}/a/f</d:href></d:lock-token-submitted></d:error>\
                 </d:response>"
            ),
            "{method}"
        );
        client.get(&at("a/f")).await.expect(200);
    }
    assert_eq!(with(&client, &[&token], "DELETE", "a", "").await, 204);
    // With it the lock is gone.
    client.send("MKCOL", &at("a"), &[], "").await.expect(201);
    write(&client, "a/f", "text").await.expect(201);
}

#[tokio::test]
async fn locks_that_exclude_each_other_are_not_given() {
    let world = World::new().await;
    let client = world.alice();
    client.send("MKCOL", &at("a"), &[], "").await.expect(201);
    write(&client, "a/f", "text").await.expect(201);
    let exclusive = lock(&client, "a/f", "0", "exclusive").await;
    for scope in ["exclusive", "shared"] {
        let refused = try_lock(&client, "a/f", "0", scope).await.expect(423);
        assert!(refused.body.contains("<d:no-conflicting-lock><d:href>"), "{}", refused.body);
        let refused = try_lock(&client, "a", "infinity", scope).await.responses();
        assert!(refused.contains("423 Locked") && refused.contains("424 Failed Dependency"), "{refused}");
    }
    let unlock = async |token: &str| {
        client.send("UNLOCK", &at("a/f"), &[("lock-token", &format!("<{token}>"))], "").await.status.as_u16()
    };
    assert_eq!(unlock(&exclusive).await, 204);
    assert_eq!(unlock(&exclusive).await, 409);
    client.send("UNLOCK", &at("a/f"), &[], "").await.expect(400);
    let one = lock(&client, "a/f", "0", "shared").await;
    let other = lock(&client, "a", "infinity", "shared").await;
    assert_eq!(with(&client, &[], "PUT", "a/f", "").await, 423);
    for token in [&one, &other] {
        assert_eq!(with(&client, &[token], "PUT", "a/f", "").await, 204, "one of them is enough");
    }
    try_lock(&client, "a/f", "0", "exclusive").await.expect(423);
    assert_eq!(unlock(&one).await, 204);
    assert_eq!(unlock(&other).await, 204, "from a member, too");
    write(&client, "a/f", "free").await.expect(204);
}

#[tokio::test]
async fn a_place_where_nothing_is_becomes_an_empty_file() {
    let world = World::new().await;
    let client = world.alice();
    let answer = try_lock(&client, "new", "0", "exclusive").await.expect(201);
    let token = answer.header("lock-token").unwrap().trim_matches(['<', '>']).to_owned();
    assert_eq!(client.get(&at("new")).await.expect(200).body, "");
    assert_eq!(with(&client, &[], "PUT", "new", "").await, 423);
    assert_eq!(with(&client, &[&token], "PUT", "new", "").await, 204);
    try_lock(&client, "nowhere/new", "0", "exclusive").await.expect(409);
}

#[tokio::test]
async fn bad_lock_requests_are_refused() {
    let world = World::new().await;
    let client = world.alice();
    write(&client, "f", "text").await.expect(201);
    try_lock(&client, "f", "1", "exclusive").await.expect(400);
    client.send("LOCK", &at("f"), &[], "").await.expect(400);
    client.send("LOCK", &at("f"), &[], "<lockinfo xmlns='DAV:'/>").await.expect(400);
    client.send("LOCK", &at("f"), &[("if", "(<urn:uuid:none>)")], "").await.expect(412);
    let owner = format!("<d:owner>{}</d:owner></d:lockinfo>", "x".repeat(5000));
    let long = lockinfo("exclusive").replace("</d:lockinfo>", &owner).replacen(
        "<d:owner><d:href>mailto:alice@example.org</d:href></d:owner>",
        "",
        1,
    );
    client.send("LOCK", &at("f"), &[], &long).await.expect(413);
    client.send("LOCK", &format!("/calendars/{ALICE}/{ALICE}/"), &[], &lockinfo("exclusive")).await.expect(501);
}

#[tokio::test]
async fn locks_end_in_time_unless_they_are_refreshed() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::at("2026-11-21T06:20:15Z".parse().unwrap()));
    struct Shared(Arc<ManualClock>);
    impl Clock for Shared {
        fn now(&self) -> chrono::DateTime<chrono::Utc> {
            self.0.now()
        }
    }
    let mut world = World::new().await;
    let env = Env::new(Shared(clock.clone()), CountingEntropy::default());
    let files =
        convoke::sqlite::Sqlite::open(&dir.path().join("convoke.db"), convoke::config::Durability::Normal, env.clone())
            .unwrap();
    let limits = Files { lock_s: 50, lock_most_s: 200, locks: 2, ..Files::default() };
    let settings = Settings { files: limits, ..Settings::default() };
    let store = Arc::new(world.sqlite.clone());
    world.upstream = Server::new(store.clone(), store, env, settings).with_files(Arc::new(files)).into_upstream();
    let client = world.alice();
    let timeout = async |path: &str, asked: &str| {
        let headers = [("depth", "0"), ("timeout", asked)];
        let answer = client.send("LOCK", &at(path), &headers, &lockinfo("shared")).await;
        let seconds = answer.body.split("<d:timeout>Second-").last().unwrap().split('<').next().unwrap().to_owned();
        (seconds, answer.header("lock-token").map(str::to_owned))
    };
    write(&client, "f", "text").await.expect(201);
    let (seconds, token) = timeout("f", "Infinite, Second-4100000000").await;
    assert_eq!(seconds, "200", "no longer than configured");
    let token = token.unwrap();
    assert_eq!(timeout("f", "Extend, Second-30").await.0, "30");
    let full = client.send("LOCK", &at("f"), &[("depth", "0")], &lockinfo("shared")).await.expect(507);
    assert!(full.body.contains("as many locks"), "{}", full.body);
    clock.advance(TimeDelta::seconds(31));
    assert_eq!(timeout("f", "nonsense").await.0, "50", "one that ended makes room");
    clock.advance(TimeDelta::seconds(100));
    let condition = format!("({token})");
    let refreshed =
        client.send("LOCK", &at("f"), &[("if", &condition), ("timeout", "Second-150")], "").await.expect(200);
    assert!(refreshed.body.contains("<d:timeout>Second-150</d:timeout>"), "{}", refreshed.body);
    clock.advance(TimeDelta::seconds(149));
    write(&client, "f", "still locked").await.expect(423);
    clock.advance(TimeDelta::seconds(1));
    write(&client, "f", "free").await.expect(204);
    client.send("LOCK", &at("f"), &[("if", &condition)], "").await.expect(412);
}

#[tokio::test]
async fn a_lock_holds_on_every_node() {
    let world = World::new().await;
    let client = world.alice();
    write(&client, "f", "text").await.expect(201);
    let token = lock(&client, "f", "0", "exclusive").await;
    let mut other = World::new().await;
    let store = Arc::new(world.sqlite.clone());
    let env = Env::new(ManualClock::at("2026-11-21T06:20:20Z".parse().unwrap()), CountingEntropy::default());
    let server = Server::new(store.clone(), store.clone(), env, Settings::default());
    other.upstream = server.with_files(store).into_upstream();
    assert_eq!(with(&other.alice(), &[], "PUT", "f", "").await, 423);
    assert_eq!(with(&other.alice(), &[&token], "PUT", "f", "").await, 204);
}
