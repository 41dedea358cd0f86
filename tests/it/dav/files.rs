//! Plain files: what RFC 4918 and RFC 4331 say of them.

use convoke::config::Files;
use convoke::dav::server::Settings;
use convoke::dav::{Actor, Body};
use http::Request;
use http_body_util::BodyExt as _;
use tower::ServiceExt as _;

use super::{ALICE, Answer, Client, World, root};

/// A place in the files of alice.
pub fn at(path: &str) -> String {
    format!("/files/{ALICE}/{path}")
}

/// A server on which files may cost little.
async fn small_world(change: impl FnOnce(&mut Files)) -> World {
    let mut settings = Settings::default();
    change(&mut settings.files);
    World::with(settings).await
}

pub async fn write(client: &Client<'_>, path: &str, body: &str) -> Answer {
    client.send("PUT", &at(path), &[("content-type", "text/plain")], body).await
}

/// What is in a folder, by name.
async fn names(client: &Client<'_>, folder: &str) -> Vec<String> {
    let hrefs = client.propfind(&at(folder), "1", "<d:resourcetype/>").await.hrefs();
    hrefs.iter().skip(1).map(|href| href.strip_prefix(&at(folder)).unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_file_is_put_read_replaced_and_deleted() {
    let world = World::new().await;
    let client = world.alice();
    client.get(&at("note.txt")).await.expect(404);
    let made = write(&client, "note.txt", "hello").await.expect(201);
    let etag = made.header("etag").unwrap().to_owned();
    let read = client.get(&at("note.txt")).await.expect(200);
    assert_eq!(read.body, "hello");
    for (name, value) in [
        ("content-type", "text/plain"),
        ("content-length", "5"),
        ("etag", etag.as_str()),
        ("last-modified", "Sat, 21 Nov 2026 06:20:15 GMT"),
        ("accept-ranges", "bytes"),
        ("x-content-type-options", "nosniff"),
    ] {
        assert_eq!(read.header(name), Some(value), "{name}");
    }
    let head = client.send("HEAD", &at("note.txt"), &[], "").await.expect(200);
    assert_eq!((head.body.as_str(), head.header("content-length")), ("", Some("5")));
    let replaced = write(&client, "note.txt", "other").await.expect(204);
    assert_ne!(replaced.header("etag"), Some(etag.as_str()));
    client.delete(&at("note.txt")).await.expect(204);
    client.delete(&at("note.txt")).await.expect(404);
    write(&client, "empty", "").await.expect(201);
    assert_eq!(client.get(&at("empty")).await.expect(200).body, "");
}

#[tokio::test]
async fn folders_hold_folders_and_files() {
    let world = World::new().await;
    let client = world.alice();
    client.send("MKCOL", &at("a/"), &[], "").await.expect(201);
    client.send("MKCOL", &at("a"), &[], "").await.expect(405);
    client.send("MKCOL", &at("x/y"), &[], "").await.expect(409);
    write(&client, "x/y.txt", "no parent").await.expect(409);
    write(&client, "a/b%20c.txt", "spaces").await.expect(201);
    write(&client, "a", "a folder").await.expect(405);
    client.send("MKCOL", &at("a/b%20c.txt"), &[], "").await.expect(405);
    write(&client, "a/b%20c.txt/inner", "a file is no folder").await.expect(409);
    client.send("MKCOL", &at("a/%C3%A9@x"), &[], "").await.expect(201);
    assert_eq!(names(&client, "a/").await, ["b%20c.txt", "%C3%A9%40x/"]);
    client.propfind(&at("a/%c3%a9%40x/"), "0", "").await.expect(207);
    client.get(&at("a/")).await.expect(405);
    client.delete(&at("")).await.expect(403);
    client.delete(&at("a/")).await.expect(204);
    assert_eq!(names(&client, "").await, [""; 0]);
}

#[tokio::test]
async fn a_folder_made_with_a_body_needs_one_that_is_known() {
    let world = World::new().await;
    let client = world.alice();
    let mkcol = async |name: &str, content_type: &str, body: &str| {
        client.send("MKCOL", &at(name), &[("content-type", content_type)], body).await
    };
    mkcol("a", "xyz-foo/bar-512", "afafafaf").await.expect(415);
    mkcol("a", "text/xml", "<a/>").await.expect(415);
    mkcol("a", "text/xml", "<a").await.expect(400);
    let of_type = |types: &str| {
        let props =
            format!("<d:resourcetype><d:collection/>{types}</d:resourcetype><d:displayname>A &amp; B</d:displayname>");
        format!("{}<d:set><d:prop>{props}</d:prop></d:set></d:mkcol>", root("d:mkcol"))
    };
    let refused = mkcol("a", "application/xml", &of_type("<cal:calendar/>")).await.expect(403);
    assert!(refused.body.contains("<d:valid-resourcetype/>"), "{}", refused.body);
    mkcol("a", "application/xml", &of_type("")).await.expect(201);
    let named = client.propfind(&at("a/"), "0", "<d:displayname/>").await.responses();
    assert!(named.contains("<d:displayname>A &amp; B</d:displayname>"), "{named}");
}

#[tokio::test]
async fn a_part_of_a_file_is_sent_where_one_is_asked_for() {
    let world = World::new().await;
    let client = world.alice();
    let etag = write(&client, "f", "0123456789").await.expect(201).header("etag").unwrap().to_owned();
    let part = async |headers: &[(&str, &str)]| client.send("GET", &at("f"), headers, "").await;
    let answer = part(&[("range", "bytes=2-4")]).await.expect(206);
    assert_eq!((answer.body.as_str(), answer.header("content-range")), ("234", Some("bytes 2-4/10")));
    assert_eq!(answer.header("content-length"), Some("3"));
    assert_eq!(part(&[("range", "bytes=-3")]).await.expect(206).body, "789");
    assert_eq!(part(&[("range", "bytes=20-")]).await.expect(416).header("content-range"), Some("bytes */10"));
    assert_eq!(part(&[("range", "bytes=0-1"), ("if-range", &etag)]).await.expect(206).body, "01");
    assert_eq!(part(&[("range", "bytes=0-1"), ("if-range", "\"old\"")]).await.expect(200).body, "0123456789");
    let head = client.send("HEAD", &at("f"), &[("range", "bytes=0-1")], "").await.expect(206);
    assert_eq!(head.body, "");
    // A part that is put would be taken for the whole.
    client.send("PUT", &at("f"), &[("content-range", "bytes 0-1/10")], "xx").await.expect(400);
}

#[tokio::test]
async fn a_large_file_streams_in_and_out_and_any_part_of_it_is_right() {
    const SIZE: usize = 3 * (256 << 10) + 12_345;
    let world = World::new().await;
    let whole: Vec<u8> = (0..SIZE).map(|n| (n % 253) as u8).collect();
    let frames: Vec<Result<Vec<u8>, std::io::Error>> = whole.chunks(10_007).map(|c| Ok(c.to_vec())).collect();
    let body = Body::from_stream(futures_util::stream::iter(frames));
    let mut request = Request::put(at("large")).body(body).unwrap();
    request.extensions_mut().insert(Actor::User("alice@example.org".parse().unwrap()));
    assert_eq!(world.upstream.clone().oneshot(request).await.unwrap().status(), 201);
    for (range, from, to) in [(None, 0, SIZE), (Some("bytes=262140-524300"), 262_140, 524_301)] {
        let mut request = Request::get(at("large"));
        if let Some(range) = range {
            request = request.header("range", range);
        }
        let mut request = request.body(Body::empty()).unwrap();
        request.extensions_mut().insert(Actor::User("alice@example.org".parse().unwrap()));
        let mut body = world.upstream.clone().oneshot(request).await.unwrap().into_body();
        let (mut read, mut largest) = (Vec::new(), 0);
        while let Some(frame) = body.frame().await {
            let data = frame.unwrap().into_data().unwrap();
            largest = largest.max(data.len());
            read.extend_from_slice(&data);
        }
        assert!(read == whole[from..to], "{range:?}");
        assert!(largest <= 256 << 10, "{largest} octets at once");
    }
}

#[tokio::test]
async fn an_upload_that_breaks_off_leaves_what_was_there() {
    let world = World::new().await;
    write(&world.alice(), "f", "before").await.expect(201);
    let frames = [Ok(vec![b'x'; 300_000]), Err(std::io::Error::other("gone"))];
    let mut request = Request::put(at("f")).body(Body::from_stream(futures_util::stream::iter(frames))).unwrap();
    request.extensions_mut().insert(Actor::User("alice@example.org".parse().unwrap()));
    assert_eq!(world.upstream.clone().oneshot(request).await.unwrap().status(), 400);
    assert_eq!(world.alice().get(&at("f")).await.expect(200).body, "before");
}

#[tokio::test]
async fn conditions_decide_whether_a_request_is_done() {
    let world = World::new().await;
    let client = world.alice();
    let etag = write(&client, "f", "one").await.expect(201).header("etag").unwrap().to_owned();
    let (then, later) = ("Sat, 21 Nov 2026 06:20:15 GMT", "Sat, 21 Nov 2026 06:20:14 GMT");
    for (method, name, value, status) in [
        ("GET", "if-none-match", etag.as_str(), 304),
        ("GET", "if-modified-since", then, 304),
        ("GET", "if-modified-since", later, 200),
        ("GET", "if-unmodified-since", later, 412),
        ("GET", "if-match", "\"x\"", 412),
        ("PUT", "if-none-match", "*", 412),
        ("PUT", "if-match", "\"x\"", 412),
        ("PUT", "if-unmodified-since", later, 412),
        ("PUT", "if-unmodified-since", then, 204),
        ("PUT", "if-match", "*", 204),
        ("PUT", "if", "([\"x\"])", 412),
        ("PUT", "if", "(Not [\"x\"])", 204),
        ("PUT", "if", "nonsense", 400),
        ("DELETE", "if-match", "\"x\"", 412),
        ("PROPPATCH", "if-match", "\"x\"", 412),
        ("MKCOL", "if-none-match", "*", 405),
    ] {
        let body = if method == "PROPPATCH" {
            format!("{}<d:set><d:prop><a/></d:prop></d:set></d:propertyupdate>", root("d:propertyupdate"))
        } else if method == "PUT" {
            "one".to_owned()
        } else {
            String::new()
        };
        let answer = client.send(method, &at("f"), &[(name, value)], &body).await;
        assert_eq!(answer.status.as_u16(), status, "{method} {name}: {value}: {}", answer.body);
    }
    let elsewhere = format!("<{}> ([{etag}])", at("f"));
    client.send("PUT", &at("g"), &[("if", &elsewhere)], "g").await.expect(201);
    let proxied = format!("<http://calendar.example.org/dav{}> (Not [{etag}])", at("f"));
    client.send("PUT", &at("g"), &[("if", &proxied)], "g").await.expect(412);
    // A folder has no ETag, but it is there.
    client.send("MKCOL", &at("folder"), &[], "").await.expect(201);
    client.send("PROPFIND", &at("folder"), &[("depth", "0"), ("if-match", "*")], "").await.expect(207);
}

#[tokio::test]
async fn files_and_folders_are_copied_and_moved() {
    let world = World::new().await;
    let client = world.alice();
    let relocate = async |method: &str, from: &str, to: &str, more: &[(&str, &str)]| {
        let to = at(to);
        let headers: Vec<_> = [("destination", to.as_str())].into_iter().chain(more.iter().copied()).collect();
        client.send(method, &at(from), &headers, "").await.status.as_u16()
    };
    client.send("MKCOL", &at("a/"), &[], "").await.expect(201);
    client.send("MKCOL", &at("a/b/"), &[], "").await.expect(201);
    write(&client, "a/b/f", "text").await.expect(201);
    assert_eq!(relocate("COPY", "a/", "c/", &[]).await, 201);
    assert_eq!(client.get(&at("c/b/f")).await.expect(200).body, "text");
    assert_eq!(relocate("COPY", "a/", "c/", &[("overwrite", "F")]).await, 412);
    write(&client, "c/only", "in c").await.expect(201);
    assert_eq!(relocate("COPY", "a/", "c/", &[("overwrite", "T")]).await, 204);
    client.get(&at("c/only")).await.expect(404);
    assert_eq!(relocate("COPY", "a/", "shallow", &[("depth", "0")]).await, 201);
    assert_eq!(names(&client, "shallow/").await, [""; 0]);
    assert_eq!(relocate("COPY", "a/", "x", &[("depth", "1")]).await, 400);
    assert_eq!(relocate("COPY", "a/b/f", "nowhere/f", &[]).await, 409);
    assert_eq!(relocate("COPY", "a/b/f", "a/b/f", &[]).await, 403);
    assert_eq!(relocate("COPY", "a/", "a/b/", &[]).await, 403);
    assert_eq!(relocate("MOVE", "a/b/", "a", &[]).await, 403);
    assert_eq!(relocate("MOVE", "a/", "a/b/c", &[]).await, 403);
    assert_eq!(relocate("MOVE", "", "a", &[]).await, 403);
    assert_eq!(relocate("MOVE", "nothing", "x", &[]).await, 404);
    assert_eq!(relocate("MOVE", "a/", "x", &[("depth", "0")]).await, 400);
    assert_eq!(relocate("MOVE", "a/b/f", "a/g", &[]).await, 201);
    assert_eq!(relocate("MOVE", "a/g", "c/b/f", &[("overwrite", "F")]).await, 412);
    assert_eq!(relocate("MOVE", "a/", "c/", &[]).await, 204);
    assert_eq!(names(&client, "").await, ["c/", "shallow/"]);
    assert_eq!(names(&client, "c/").await, ["b/", "g"]);
    client.send("COPY", &at("c/g"), &[], "").await.expect(400);
    let calendar = format!("/calendars/{ALICE}/{ALICE}/g.ics");
    client.send("COPY", &at("c/g"), &[("destination", &calendar)], "").await.expect(403);
    let with_host = format!("https://calendar.example.org{}", at("h"));
    client.send("MOVE", &at("c/g"), &[("destination", &with_host)], "").await.expect(201);
}

fn update(changes: &str) -> String {
    format!("{}{changes}</d:propertyupdate>", root("d:propertyupdate"))
}

fn set(prop: &str) -> String {
    format!("<d:set><d:prop>{prop}</d:prop></d:set>")
}

#[tokio::test]
async fn dead_properties_are_kept_moved_and_copied() {
    let world = World::new().await;
    let client = world.alice();
    write(&client, "f", "text").await.expect(201);
    let changes = update(&format!(
        "{}{}{}",
        set("<x:a xmlns:x=\"urn:x\" y=\"1\">t<x:b/></x:a>"),
        set("<bare>no namespace</bare>"),
        "<d:set xml:lang=\"fr\"><d:prop><d:displayname>Fichier</d:displayname></d:prop></d:set>"
    ));
    let answer = client.send("PROPPATCH", &at("f"), &[], &changes).await.responses();
    assert_eq!(answer.matches("HTTP/1.1 200 OK").count(), 1, "{answer}");
    for (method, to) in [("COPY", "g"), ("MOVE", "h")] {
        client.send(method, &at("f"), &[("destination", &at(to))], "").await.expect(201);
        let read = client.propfind(&at(to), "0", "<x:a xmlns:x=\"urn:x\"/><bare/><d:displayname/>").await.responses();
        for kept in [
            "<x1:a xmlns:x1=\"urn:x\" y=\"1\">t<x1:b xmlns:x1=\"urn:x\"/></x1:a>",
            "<bare>no namespace</bare>",
            "<d:displayname xml:lang=\"fr\">Fichier</d:displayname>",
        ] {
            assert!(read.contains(kept), "{method}: {read}");
        }
        let propname = format!("{}<d:propname/></d:propfind>", root("d:propfind"));
        let names = client.send("PROPFIND", &at(to), &[("depth", "0")], &propname).await.responses();
        assert!(names.contains("<bare/>") && names.contains("<x1:a xmlns:x1=\"urn:x\"/>"), "{names}");
        let all = client.propfind(&at(to), "0", "").await.responses();
        assert_eq!(all.matches("<d:displayname").count(), 1, "{all}");
    }
    let removed = update("<d:remove><d:prop><bare/></d:prop></d:remove>");
    client.send("PROPPATCH", &at("h"), &[], &removed).await.expect(207);
    let read = client.propfind(&at("h"), "0", "<bare/>").await.responses();
    assert!(read.contains("404 Not Found"), "{read}");
}

#[tokio::test]
async fn properties_change_all_or_none() {
    let world = small_world(|files| files.property_bytes = 200).await;
    let client = world.alice();
    write(&client, "f", "text").await.expect(201);
    let both = update(&format!("{}{}", set("<a>1</a>"), set("<d:getetag>mine</d:getetag>")));
    let answer = client.send("PROPPATCH", &at("f"), &[], &both).await.responses();
    assert!(answer.contains("403 Forbidden") && answer.contains("424 Failed Dependency"), "{answer}");
    assert!(answer.contains("<d:cannot-modify-protected-property/>"), "{answer}");
    assert!(client.propfind(&at("f"), "0", "<a/>").await.responses().contains("404 Not Found"));
    let large = update(&set(&format!("<a>{}</a>", "x".repeat(300))));
    let answer = client.send("PROPPATCH", &at("f"), &[], &large).await.responses();
    assert!(answer.contains("507 Insufficient Storage"), "{answer}");
    let order = update(&format!("{}<d:remove><d:prop><b/></d:prop></d:remove>", set("<b>1</b>")));
    client.send("PROPPATCH", &at("f"), &[], &order).await.expect(207);
    assert!(client.propfind(&at("f"), "0", "<b/>").await.responses().contains("404 Not Found"));
    client.send("PROPPATCH", &at("nothing"), &[], &order).await.expect(404);
    client.send("PROPPATCH", &at("f"), &[], "<broken").await.expect(400);
}

#[tokio::test]
async fn what_there_is_is_told() {
    let world = small_world(|files| files.quota_bytes = 1000).await;
    let client = world.alice();
    write(&client, "f", "12345").await.expect(201);
    let props = "<d:resourcetype/><d:getcontentlength/><d:creationdate/><d:quota-used-bytes/>\
                 <d:quota-available-bytes/><d:current-user-principal/>";
    let answer = client.propfind(&at(""), "1", props).await;
    assert_eq!(
        answer.responses(),
        format!(
            "<d:response><d:href>/files/{ALICE}/</d:href><d:propstat><d:prop><d:resourcetype><d:collection/>\
             </d:resourcetype><d:creationdate>2024-01-19T04:52:16Z</d:creationdate>\
             <d:quota-used-bytes>5</d:quota-used-bytes><d:quota-available-bytes>995</d:quota-available-bytes>\
             <d:current-user-principal><d:href>/principals/users/{ALICE}/</d:href></d:current-user-principal></d:prop>\
             <d:status>HTTP/1.1 200 OK</d:status></d:propstat><d:propstat><d:prop><d:getcontentlength/></d:prop>\
             <d:status>HTTP/1.1 404 Not Found</d:status></d:propstat></d:response>\
             <d:response><d:href>/files/{ALICE}/f</d:href><d:propstat><d:prop><d:resourcetype/>\
             <d:getcontentlength>5</d:getcontentlength><d:creationdate>2026-11-21T06:20:15Z</d:creationdate>\
             <d:current-user-principal><d:href>/principals/users/{ALICE}/</d:href></d:current-user-principal></d:prop>\
             <d:status>HTTP/1.1 200 OK</d:status></d:propstat><d:propstat><d:prop><d:quota-used-bytes/>\
             <d:quota-available-bytes/></d:prop><d:status>HTTP/1.1 404 Not Found</d:status></d:propstat></d:response>"
        )
    );
    for depth in ["infinity", "Infinity"] {
        let refused = client.propfind(&at(""), depth, "").await.expect(403);
        assert!(refused.body.contains("<d:propfind-finite-depth/>"), "{}", refused.body);
    }
    client.send("PROPFIND", &at(""), &[], "").await.expect(403);
    client.propfind(&at(""), "2", "").await.expect(400);
    client.propfind(&at("nothing"), "0", "").await.expect(404);
    client
        .send(
            "PROPFIND",
            &at(""),
            &[("depth", "0")],
            "<d:propfind xmlns:d='DAV:'><d:prop><b:x xmlns:b=''/></d:prop></d:propfind>",
        )
        .await
        .expect(400);
    client.send("PROPFIND", &at(""), &[("depth", "0")], "<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>").await.expect(400);
    assert_eq!(
        client.propfind("/files/", "1", "<d:resourcetype/>").await.hrefs(),
        ["/files/".to_owned(), format!("/files/{ALICE}/")]
    );
    client.send("POST", &at("f"), &[], "").await.expect(405);
    client.send("MKCALENDAR", &at("c"), &[], "").await.expect(405);
}

#[tokio::test]
async fn every_folder_is_listed_whole_however_many_are_in_it() {
    let world = World::new().await;
    let client = world.alice();
    for n in 0..1001 {
        client.send("MKCOL", &at(&format!("d{n:04}")), &[], "").await.expect(201);
    }
    let listed = names(&client, "").await;
    assert_eq!((listed.len(), listed[0].as_str(), listed[1000].as_str()), (1001, "d0000/", "d1000/"));
}

#[tokio::test]
async fn limits_are_kept() {
    let world = small_world(|files| {
        files.file_bytes = 10;
        files.quota_bytes = 15;
        files.depth = 2;
        files.entries = 3;
    })
    .await;
    let client = world.alice();
    write(&client, "f", "12345678901").await.expect(413);
    write(&client, "f", "1234567890").await.expect(201);
    let full = write(&client, "g", "123456").await.expect(507);
    assert!(full.body.contains("<d:quota-not-exceeded/>"), "{}", full.body);
    client.send("COPY", &at("f"), &[("destination", &at("g"))], "").await.expect(507);
    client.get(&at("g")).await.expect(404);
    write(&client, "f", "12345678").await.expect(204);
    write(&client, "g", "1234567").await.expect(201);
    client.send("MKCOL", &at("a"), &[], "").await.expect(201);
    client.send("MKCOL", &at("b"), &[], "").await.expect(507);
    client.delete(&at("g")).await.expect(204);
    client.send("MKCOL", &at("a/b"), &[], "").await.expect(201);
    client.send("MKCOL", &at("a/b/c"), &[], "").await.expect(403);
    // What is too large is noticed, too, where nobody said how large it would be.
    let frames = (0..4).map(|_| Ok::<_, std::io::Error>(vec![b'x'; 4]));
    let mut request = Request::put(at("f")).body(Body::from_stream(futures_util::stream::iter(frames))).unwrap();
    request.extensions_mut().insert(Actor::User("alice@example.org".parse().unwrap()));
    assert_eq!(world.upstream.clone().oneshot(request).await.unwrap().status(), 413);
    assert_eq!(client.get(&at("f")).await.expect(200).body, "12345678");
}

#[tokio::test]
async fn nobody_sees_the_files_of_others() {
    let world = World::new().await;
    write(&world.alice(), "f", "private").await.expect(201);
    for (method, path) in
        [("GET", at("f")), ("PUT", at("g")), ("PROPFIND", at("")), ("DELETE", at("f")), ("LOCK", at("f"))]
    {
        world.bob().send(method, &path, &[("depth", "0")], "").await.expect(403);
        world.as_user("eve@other.example").send(method, &path, &[("depth", "0")], "").await.expect(403);
    }
    world.bob().get("/files/65aa0000000000000000ffff/f").await.expect(404);
    let to = at("stolen");
    let own = "/files/65aa00000000000000000002/mine";
    world.bob().send("PUT", own, &[], "mine").await.expect(201);
    world.bob().send("COPY", own, &[("destination", &to)], "").await.expect(403);
    assert_eq!(world.bob().propfind("/files/", "1", "").await.hrefs().len(), 2);
    assert_eq!(names(&world.alice(), "").await, ["f"]);
}

#[tokio::test]
async fn locks_are_announced_where_they_hold() {
    let world = World::new().await;
    let client = world.alice();
    let options = client.send("OPTIONS", &at("f"), &[], "").await.expect(200);
    assert!(options.header("dav").unwrap().starts_with("1, 2, 3"), "{options:?}");
    assert!(options.header("allow").unwrap().contains("LOCK"));
    let options = client.send("OPTIONS", &format!("/calendars/{ALICE}/"), &[], "").await.expect(200);
    assert!(options.header("dav").unwrap().starts_with("1, 3"), "{options:?}");
    assert!(!options.header("allow").unwrap().contains("LOCK"));
    let listed = client.propfind(&at(""), "0", "").await.expect(207);
    assert!(listed.header("dav").unwrap().starts_with("1, 2, 3"));
}
