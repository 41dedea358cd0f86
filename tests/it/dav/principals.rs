//! Who is there, who may do what, and how clients ask (RFC 3744, dav §4, §18.1–18.3).

use convoke::dav::server::Settings;

use super::{ALICE, BOB, CALENDAR, CAROL, EVE, World, event, root};

const DOMAIN: &str = "/principals/domains/65dd00000000000000000001/";

fn principal(id: &str) -> String {
    format!("/principals/users/{id}/")
}

async fn open() -> World {
    World::with(Settings { principal_privacy: false, ..Settings::default() }).await
}

fn search(text: &str, prop: &str, attributes: &str) -> String {
    format!(
        "<d:property-search><d:prop>{prop}</d:prop><d:match{attributes}>{text}</d:match></d:property-search>\
         <d:prop><d:displayname/></d:prop>"
    )
}

#[tokio::test]
async fn the_domain_is_the_group_of_its_people() {
    let props = "<d:displayname/><d:group-member-set/><d:group-membership/><d:resourcetype/><cal:calendar-home-set/>";
    let expected = |members: &[&str]| {
        let members: String = members.iter().map(|id| format!("<d:href>{}</d:href>", principal(id))).collect();
        let members = format!("<d:group-member-set>{members}</d:group-member-set>");
        format!(
            "<d:response><d:href>{DOMAIN}</d:href><d:propstat><d:prop><d:displayname>example.org</d:displayname>\
             {members}<d:group-membership/><d:resourcetype><d:collection/><d:principal/></d:resourcetype></d:prop>\
             <d:status>HTTP/1.1 200 OK</d:status></d:propstat><d:propstat><d:prop><cal:calendar-home-set/></d:prop>\
             <d:status>HTTP/1.1 404 Not Found</d:status></d:propstat></d:response>"
        )
    };
    let world = open().await;
    assert_eq!(world.alice().propfind(DOMAIN, "0", props).await.responses(), expected(&[ALICE, BOB, CAROL]));
    let hrefs = world.alice().propfind("/principals/domains/", "1", props).await.hrefs();
    assert_eq!(hrefs, ["/principals/domains/", DOMAIN]);
    let private = World::new().await;
    assert_eq!(private.alice().propfind(DOMAIN, "0", props).await.responses(), expected(&[ALICE]));
    private.alice().propfind("/principals/domains/65dd00000000000000000002/", "0", "").await.expect(403);
    private.alice().propfind("/principals/domains/65dd0000000000000000000a/", "0", "").await.expect(404);
}

#[tokio::test]
async fn a_person_is_described_for_clients_of_apple_too() {
    let world = World::new().await;
    let props = "<cs:email-address-set/><cs:first-name/><cs:last-name/><cs:calendar-proxy-read-for/>\
                 <cs:calendar-proxy-write-for/><cs:notification-URL/><d:resource-id/><d:creationdate/>\
                 <cs:push-transports/>";
    let answer = world.alice().propfind(&principal(ALICE), "0", props).await.responses();
    for expected in [
        "<cs:email-address-set><cs:email-address>alice@example.org</cs:email-address>\
         <cs:email-address>a.martin@example.org</cs:email-address></cs:email-address-set>",
        "<cs:first-name>Alice</cs:first-name><cs:last-name>Martin</cs:last-name>",
        "<cs:calendar-proxy-read-for/><cs:calendar-proxy-write-for/>",
        "<cs:notification-URL><d:href>/principals/users/65aa00000000000000000001/notifications/</d:href>",
        "<d:resource-id><d:href>urn:uuid:",
        // The second in which the id was made.
        "<d:creationdate>2024-01-19T04:52:16Z</d:creationdate>",
        "<d:propstat><d:prop><cs:push-transports/></d:prop><d:status>HTTP/1.1 404 Not Found</d:status></d:propstat>",
    ] {
        assert!(answer.contains(expected), "{expected}\nin {answer}");
    }
}

#[tokio::test]
async fn a_person_has_two_groups_of_proxies_and_notifications_of_their_own() {
    let world = open().await;
    let own = principal(ALICE);
    let children = ["calendar-proxy-read/", "calendar-proxy-write/", "notifications/"];
    let hrefs = world.alice().propfind(&own, "1", "<d:resourcetype/>").await.hrefs();
    assert_eq!(hrefs[0], own);
    assert_eq!(hrefs[1..], children.map(|child| format!("{own}{child}")));
    let props = "<d:resourcetype/><d:group-member-set/><d:group-membership/><d:principal-URL/>";
    let group = format!("{own}calendar-proxy-write/");
    assert_eq!(
        world.alice().propfind(&group, "0", props).await.responses(),
        format!(
            "<d:response><d:href>{group}</d:href><d:propstat><d:prop><d:resourcetype><d:collection/><d:principal/>\
             <cs:calendar-proxy-write/></d:resourcetype><d:group-member-set/><d:group-membership/><d:principal-URL>\
             <d:href>{group}</d:href></d:principal-URL></d:prop><d:status>HTTP/1.1 200 OK</d:status></d:propstat>\
             </d:response>"
        )
    );
    let notifications = format!("{own}notifications/");
    let answer = world.alice().propfind(&notifications, "1", "<d:resourcetype/>").await;
    assert!(answer.body.contains("<d:collection/><cs:notification/>"), "{}", answer.body);
    assert_eq!(answer.hrefs(), [format!("{own}notifications/")]);
    // A colleague sees the groups, as every principal, but not what alice is notified of.
    let hrefs = world.bob().propfind(&own, "1", "<d:resourcetype/>").await.hrefs();
    assert_eq!(hrefs[1..], children[..2].iter().map(|child| format!("{own}{child}")).collect::<Vec<_>>());
    world.bob().propfind(&notifications, "0", "").await.expect(403);
    world.bob().propfind(&format!("{}notifications/", principal(EVE)), "0", "").await.expect(403);
}

#[tokio::test]
async fn people_are_found_by_each_of_their_properties() {
    let world = open().await;
    let client = world.alice();
    let found = |body: String| {
        let client = client.clone();
        async move { client.report("/principals/users/", "d:principal-property-search", &body).await.hrefs() }
    };
    assert_eq!(found(search("MARTIN", "<d:displayname/>", "")).await, [principal(ALICE)]);
    assert_eq!(found(search("", "<d:displayname/>", "")).await, [ALICE, BOB, CAROL].map(principal));
    assert_eq!(found(search("a.martin", "<cal:calendar-user-address-set/>", "")).await, [principal(ALICE)]);
    assert_eq!(found(search("mailto:bob@example.org", "<cal:calendar-user-address-set/>", "")).await, [principal(BOB)]);
    // An address is found by who knows it.
    assert_eq!(found(search("BOB@example.org", "<s:email-address/>", "")).await, [principal(BOB)]);
    assert_eq!(found(search("bob", "<s:email-address/>", "")).await, Vec::<String>::new());
    assert_eq!(found(search("bo", "<cs:email-address-set/>", " match-type=\"starts-with\"")).await, [principal(BOB)]);
    assert_eq!(found(search("example.org", "<cs:email-address-set/>", " match-type=\"equals\"")).await.len(), 0);
    assert_eq!(found(search("durand", "<cs:last-name/>", "")).await, [principal(BOB)]);
    assert_eq!(found(search(&format!("/calendars/{BOB}/"), "<cal:calendar-home-set/>", "")).await, [principal(BOB)]);
    // All conditions must hold, and a property nobody has never does.
    assert_eq!(found(search("alice", "<d:displayname/><cs:last-name/>", "")).await.len(), 0);
    assert_eq!(found(search("alice", "<d:displayname/><d:shoe-size/>", "")).await.len(), 0);
    // Nobody of another domain, by whatever.
    for prop in ["<d:displayname/>", "<s:email-address/>", "<cal:calendar-user-address-set/>"] {
        assert_eq!(found(search("eve@other.example", prop, "")).await.len(), 0, "{prop}");
    }
}

#[tokio::test]
async fn a_search_may_ask_for_any_of_its_conditions_and_from_anywhere() {
    let world = open().await;
    let body = |attribute: &str, more: &str| {
        format!(
            "{} {attribute}>{}{}{more}</d:principal-property-search>",
            root("d:principal-property-search").trim_end_matches('>'),
            search("durand", "<d:displayname/>", ""),
            "<d:property-search><d:prop><cs:first-name/></d:prop><d:match>carol</d:match></d:property-search>",
        )
    };
    let ask = |path: &'static str, body: String| {
        let client = world.alice();
        async move { client.send("REPORT", path, &[("depth", "0")], &body).await }
    };
    let both = [principal(BOB), principal(CAROL)];
    assert_eq!(ask("/principals/users/", body("test=\"anyof\"", "")).await.hrefs(), both);
    assert_eq!(ask("/principals/users/", body("test=\"allof\"", "")).await.hrefs(), Vec::<String>::new());
    assert_eq!(ask("/", body("test=\"anyof\"", "")).await.hrefs(), both);
    ask("/", body("test=\"perhaps\"", "")).await.expect(400);
    // A calendar holds no principals; whoever means the collection of principals says so.
    assert_eq!(ask(CALENDAR, body("test=\"anyof\"", "")).await.hrefs(), Vec::<String>::new());
    let everywhere = "<d:apply-to-principal-collection-set/>";
    assert_eq!(ask(CALENDAR, body("test=\"anyof\"", everywhere)).await.hrefs(), both);
    // The Python caldav library puts what it wants to know beside where it belongs.
    let misplaced = format!(
        "{}<d:prop/><cal:calendar-home-set/><d:displayname/></d:principal-property-search>",
        root("d:principal-property-search")
    );
    let answer = ask("/", misplaced).await.responses();
    assert!(answer.contains(&format!("/calendars/{BOB}/")) && answer.contains("Bob Durand"), "{answer}");
    // No condition at all: everybody, as far as there is room.
    let all = |limit: &str| {
        let name = "d:principal-property-search";
        format!("{}<d:prop><d:displayname/></d:prop>{limit}</{name}>", root(name))
    };
    assert_eq!(ask("/principals/users/", all("")).await.hrefs().len(), 3);
    let cut = ask("/principals/users/", all("<d:limit><d:nresults>2</d:nresults></d:limit>")).await.responses();
    assert_eq!(cut.matches("<d:response>").count(), 3, "{cut}");
    assert!(
        cut.ends_with(
            "<d:response><d:href>/principals/users/</d:href>\
             <d:status>HTTP/1.1 507 Insufficient Storage</d:status>\
             <d:error><d:number-of-matches-within-limits/></d:error></d:response>"
        ),
        "{cut}"
    );
}

#[tokio::test]
async fn where_principals_are_private_nobody_sees_anybody_else() {
    let world = World::new().await;
    let client = world.alice();
    let me = [principal(ALICE)];
    let all = search("", "<d:displayname/>", "");
    assert_eq!(client.report("/principals/users/", "d:principal-property-search", &all).await.hrefs(), me);
    let by_words = "<cs:search-token>b</cs:search-token><d:prop><d:displayname/></d:prop>";
    let name = "cs:calendarserver-principal-search";
    assert_eq!(client.report("/principals/users/", name, by_words).await.hrefs(), Vec::<String>::new());
    let expand = "<d:property name=\"group-member-set\"><d:property name=\"displayname\"/></d:property>";
    let answer = client.report(DOMAIN, "d:expand-property", expand).await.responses();
    assert!(answer.contains("Alice Martin") && !answer.contains(BOB), "{answer}");
    for path in ["/principals/users/", "/addressbooks/", "/calendars/", "/principals/resources/", "/principals/", "/"] {
        for depth in ["0", "1"] {
            let answer = client.propfind(path, depth, "").await.responses();
            assert!(!answer.contains(BOB) && !answer.contains("Durand"), "{path}: {answer}");
        }
        let page = client.get(path).await.expect(200);
        assert!(!page.body.contains(BOB) && !page.body.contains("Durand"), "{path}: {}", page.body);
    }
    // Whoever knows the address of a colleague may ask for it (dav §4).
    let answer = client.propfind(&principal(BOB), "0", "<d:displayname/>").await.responses();
    assert!(answer.contains("Bob Durand"), "{answer}");
    client.propfind(&principal(EVE), "0", "<cal:calendar-home-set/><card:addressbook-home-set/>").await.expect(403);
}

#[tokio::test]
async fn apple_s_clients_find_people_by_the_first_letters_of_words() {
    let world = open().await;
    let ask = |words: &str, attribute: &str| {
        let tokens: String =
            words.split(' ').map(|word| format!("<cs:search-token>{word}</cs:search-token>")).collect();
        let name = "cs:calendarserver-principal-search";
        let start = root(name).trim_end_matches('>').to_owned();
        let body = format!("{start} {attribute}>{tokens}<d:prop><d:displayname/></d:prop></{name}>");
        let client = world.alice();
        async move { client.send("REPORT", "/principals/users/", &[("depth", "0")], &body).await }
    };
    assert_eq!(ask("mar", "").await.hrefs(), [principal(ALICE)]);
    assert_eq!(ask("MAR al", "context=\"attendee\"").await.hrefs(), [principal(ALICE)]);
    assert_eq!(ask("mar bo", "context=\"user\"").await.hrefs(), Vec::<String>::new());
    assert_eq!(ask("artin", "").await.hrefs(), Vec::<String>::new());
    assert_eq!(ask("bob@", "").await.hrefs(), [principal(BOB)]);
    assert_eq!(ask("bob", "context=\"location\"").await.hrefs(), Vec::<String>::new());
    ask("", "").await.expect(400);
}

#[tokio::test]
async fn the_actor_is_found_among_principals() {
    let world = World::new().await;
    let itself = "<d:self/><d:prop><d:displayname/></d:prop>";
    let found = |path: &'static str, body: &'static str| {
        let client = world.alice();
        async move { client.report(path, "d:principal-match", body).await.hrefs() }
    };
    assert_eq!(found("/principals/users/", itself).await, [principal(ALICE)]);
    assert_eq!(found("/principals/", itself).await, [principal(ALICE), DOMAIN.to_owned()]);
    assert_eq!(found("/principals/domains/", itself).await, [DOMAIN]);
    assert_eq!(found("/principals/resources/", itself).await, Vec::<String>::new());
    assert_eq!(found("/calendars/", itself).await, Vec::<String>::new());
    // What belongs to the actor.
    let owner = "<d:principal-property><d:owner/></d:principal-property><d:prop><d:getetag/></d:prop>";
    world.alice().put(&format!("{CALENDAR}a.ics"), &event("a", "20300102T110000Z")).await.expect(201);
    let home = format!("/calendars/{ALICE}/");
    let mut expected = vec![home.clone(), CALENDAR.to_owned(), format!("{CALENDAR}a.ics")];
    expected.extend(["inbox/", "outbox/"].map(|name| format!("{home}{name}")));
    assert_eq!(found("/calendars/", owner).await, expected);
    let other = "<d:principal-property><d:displayname/></d:principal-property><d:prop/>";
    assert_eq!(found("/calendars/", other).await, Vec::<String>::new());
    world.alice().report("/principals/", "d:principal-match", "<d:prop/>").await.expect(400);
}

#[tokio::test]
async fn expanded_properties_nest() {
    let world = open().await;
    let property = "<d:property name=\"current-user-principal\"><d:property name=\"group-membership\">\
                    <d:property name=\"group-member-set\"><d:property name=\"email-address\" \
                    namespace=\"http://sabredav.org/ns\"/></d:property></d:property></d:property>";
    let answer = world.alice().report("/", "d:expand-property", property).await.responses();
    for mail in ["alice@example.org", "bob@example.org", "carol@example.org"] {
        assert!(answer.contains(&format!("<s:email-address>{mail}</s:email-address>")), "{answer}");
    }
    assert_eq!(answer.matches("<d:response>").count(), 6, "the root, alice, her domain and its people: {answer}");
}

#[tokio::test]
async fn searchable_properties_are_told() {
    let world = World::new().await;
    let body = "<d:principal-search-property-set xmlns:d=\"DAV:\"/>";
    let answer = world.alice().send("REPORT", "/principals/users/", &[("depth", "0")], body).await.expect(200);
    for prop in ["<d:displayname/>", "<s:email-address/>", "<cal:calendar-user-address-set/>", "<cs:last-name/>"] {
        assert!(answer.body.contains(&format!("<d:principal-search-property><d:prop>{prop}</d:prop>")), "{prop}");
    }
}

#[tokio::test]
async fn rights_are_read_in_every_form_of_rfc_3744() {
    let world = World::new().await;
    let props = "<d:owner/><d:group/><d:acl/><d:acl-restrictions/><d:inherited-acl-set/>";
    let me = principal(ALICE);
    assert_eq!(
        world.alice().propfind(CALENDAR, "0", props).await.responses(),
        format!(
            "<d:response><d:href>{CALENDAR}</d:href><d:propstat><d:prop><d:owner><d:href>{me}</d:href></d:owner>\
             <d:group/><d:acl><d:ace><d:principal><d:href>{me}</d:href></d:principal><d:grant><d:privilege><d:all/>\
             </d:privilege></d:grant><d:protected/></d:ace><d:ace><d:principal><d:authenticated/></d:principal>\
             <d:grant><d:privilege><cal:read-free-busy/></d:privilege></d:grant><d:protected/></d:ace></d:acl>\
             <d:acl-restrictions><d:grant-only/><d:no-invert/></d:acl-restrictions><d:inherited-acl-set/></d:prop>\
             <d:status>HTTP/1.1 200 OK</d:status></d:propstat></d:response>"
        )
    );
    let body = "<d:prop><d:displayname/></d:prop>";
    let answer = world.alice().report(CALENDAR, "d:acl-principal-prop-set", body).await;
    assert!(answer.body.contains("<d:displayname>Alice Martin</d:displayname>"), "{}", answer.body);
    assert_eq!(answer.hrefs(), [me]);
    // Each privilege that the actor has is one that the resource says it knows.
    for path in [CALENDAR.to_owned(), format!("/calendars/{ALICE}/inbox/"), format!("/calendars/{ALICE}/outbox/")] {
        let props = "<d:current-user-privilege-set/>";
        let own = world.alice().propfind(&path, "0", props).await.responses();
        let supported = world.alice().propfind(&path, "0", "<d:supported-privilege-set/>").await.responses();
        let privileges: Vec<_> = own.split("<d:privilege>").skip(1).map(|p| p.split('>').next().unwrap()).collect();
        assert!(privileges.len() > 5, "{own}");
        for privilege in privileges {
            assert!(supported.contains(&format!("<d:privilege>{privilege}></d:privilege>")), "{path}: {privilege}");
        }
    }
}

#[tokio::test]
async fn rights_that_cannot_be_given_are_refused_by_name() {
    let world = World::new().await;
    let ace = |principal: &str, rule: &str| {
        format!("{}<d:ace><d:principal>{principal}</d:principal>{rule}</d:ace></d:acl>", root("d:acl"))
    };
    let grant = |privilege: &str| format!("<d:grant><d:privilege>{privilege}</d:privilege></d:grant>");
    let set = |path: String, body: String| {
        let client = world.alice();
        async move { client.send("ACL", &path, &[], &body).await }
    };
    let (me, bob) = (format!("<d:href>{}</d:href>", principal(ALICE)), format!("<d:href>{}</d:href>", principal(BOB)));
    let calendar = CALENDAR.to_owned();
    for (body, condition) in [
        (ace(&bob, &grant("<d:read/>")), "<d:allowed-principal/>"),
        (ace("<d:authenticated/>", &grant("<d:all/>")), "<d:allowed-principal/>"),
        (ace(&bob, &grant("<d:fly/>")), "<d:not-supported-privilege/>"),
        (ace("<d:href>/elsewhere/</d:href>", &grant("<d:read/>")), "<d:recognized-principal/>"),
        (ace(&bob, "<d:deny><d:privilege><d:read/></d:privilege></d:deny>"), "<d:grant-only/>"),
        (
            format!("{}<d:ace><d:invert><d:principal>{bob}</d:principal></d:invert></d:ace></d:acl>", root("d:acl")),
            "<d:no-invert/>",
        ),
    ] {
        let refused = set(calendar.clone(), body).await.expect(403);
        assert!(refused.body.contains(condition), "{condition}: {}", refused.body);
    }
    // What holds anyway may be said again, and nothing at all changes nothing.
    set(calendar.clone(), ace(&me, &grant("<d:all/>"))).await.expect(200);
    set(calendar.clone(), ace("<d:property><d:owner/></d:property>", &grant("<d:write/>"))).await.expect(200);
    set(calendar.clone(), ace("<d:authenticated/>", &grant("<cal:read-free-busy/>"))).await.expect(200);
    set(calendar.clone(), format!("{}</d:acl>", root("d:acl"))).await.expect(200);
    assert!(world.topics().await.is_empty());
    // Everybody of the domain may read it, and then no longer.
    set(calendar.clone(), ace("<d:authenticated/>", &grant("<d:read/>"))).await.expect(200);
    world.bob().get(&calendar).await.expect(200);
    world.bob().delete(&calendar).await.expect(403);
    set(calendar.clone(), format!("{}</d:acl>", root("d:acl"))).await.expect(200);
    world.bob().get(&calendar).await.expect(403);
    assert_eq!(world.topics().await, ["calendar:calendar:updated"; 2]);
    set(calendar.clone(), "<d:acl xmlns:d=\"DAV:\"><d:ace/></d:acl>".to_owned()).await.expect(400);
    set(calendar, "<d:prop xmlns:d=\"DAV:\"/>".to_owned()).await.expect(400);
    let refused = set(format!("/calendars/{BOB}/{BOB}/"), format!("{}</d:acl>", root("d:acl"))).await.expect(403);
    assert!(refused.body.contains("need-privileges"), "{}", refused.body);
}
