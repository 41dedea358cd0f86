//! How each client finds the calendars of a person who typed in a host name.

use super::{ALICE, PROLOG, World, root};

#[tokio::test]
async fn options_tells_what_the_server_can_do_to_anybody() {
    let world = World::new().await;
    let mut anybody = world.alice();
    anybody.actor = None;
    let answer = anybody.send("OPTIONS", "/calendars/", &[], "").await.expect(200);
    let dav = answer.header("dav").unwrap();
    for feature in ["1", "3", "calendar-access", "addressbook", "extended-mkcol", "access-control"] {
        assert!(dav.split(", ").any(|f| f == feature), "{feature} in {dav}");
    }
    assert!(answer.header("allow").unwrap().contains("REPORT"));
    assert_eq!(answer.body, "");
}

#[tokio::test]
async fn well_known_addresses_lead_to_the_homes() {
    let world = World::new().await;
    let mut anybody = world.alice();
    anybody.actor = None;
    for (path, target) in [
        ("/.well-known/caldav", "/calendars"),
        ("/.well-known/caldav/", "/calendars"),
        ("/.well-known/carddav", "/addressbooks"),
    ] {
        let answer = anybody.send("PROPFIND", path, &[], "").await.expect(301);
        assert_eq!(answer.header("location"), Some(target), "{path}");
    }
}

#[tokio::test]
async fn thunderbird_finds_the_principal_at_the_root_and_the_home_at_the_principal() {
    let world = World::new().await;
    let client = world.alice();
    let props = "<d:resourcetype/><d:owner/><d:displayname/><d:current-user-principal/><d:current-user-privilege-set/>\
                 <a:calendar-color/><cal:calendar-home-set/>";
    let answer = client.propfind("/calendars/", "0", props).await;
    assert_eq!(
        answer.responses(),
        "<d:response><d:href>/calendars/</d:href><d:propstat><d:prop><d:resourcetype><d:collection/></d:resourcetype>\
         <d:current-user-principal><d:href>/principals/users/65aa00000000000000000001/</d:href>\
         </d:current-user-principal><d:current-user-privilege-set><d:privilege><d:read/></d:privilege><d:privilege>\
         <d:read-acl/></d:privilege><d:privilege><d:read-current-user-privilege-set/></d:privilege>\
         </d:current-user-privilege-set></d:prop><d:status>HTTP/1.1 200 OK</d:status></d:propstat><d:propstat><d:prop>\
         <d:owner/><d:displayname/><x1:calendar-color xmlns:x1=\"http://apple.com/ns/ical/\"/>\
         <cal:calendar-home-set/></d:prop><d:status>HTTP/1.1 404 Not Found</d:status></d:propstat></d:response>"
    );
    let principal = format!("/principals/users/{ALICE}/");
    let answer = client.propfind(&principal, "0", "<cal:calendar-home-set/>").await;
    assert_eq!(
        answer.responses(),
        "<d:response><d:href>/principals/users/65aa00000000000000000001/</d:href><d:propstat><d:prop>\
         <cal:calendar-home-set><d:href>/calendars/65aa00000000000000000001/</d:href></cal:calendar-home-set></d:prop>\
         <d:status>HTTP/1.1 200 OK</d:status></d:propstat></d:response>"
    );
}

#[tokio::test]
async fn the_principal_says_all_that_scheduling_clients_ask() {
    let world = World::new().await;
    let props = "<d:displayname/><s:email-address/><card:addressbook-home-set/><cal:schedule-inbox-URL/>\
                 <cal:schedule-outbox-URL/><cal:calendar-user-address-set/><cal:schedule-default-calendar-URL/>\
                 <cal:calendar-user-type/><d:group-member-set/><d:group-membership/><d:resourcetype/><d:principal-URL/>\
                 <d:alternate-URI-set/><d:owner/><d:quota-used-bytes/>";
    let answer = world.alice().propfind(&format!("/principals/users/{ALICE}/"), "0", props).await;
    assert_eq!(
        answer.responses(),
        "<d:response><d:href>/principals/users/65aa00000000000000000001/</d:href><d:propstat><d:prop>\
         <d:displayname>Alice Martin</d:displayname><s:email-address>alice@example.org</s:email-address>\
         <card:addressbook-home-set><d:href>/addressbooks/65aa00000000000000000001/</d:href>\
         <d:href>/addressbooks/65dd00000000000000000001/</d:href></card:addressbook-home-set>\
         <cal:schedule-inbox-URL><d:href>/calendars/65aa00000000000000000001/inbox/</d:href></cal:schedule-inbox-URL>\
         <cal:schedule-outbox-URL><d:href>/calendars/65aa00000000000000000001/outbox/</d:href>\
         </cal:schedule-outbox-URL><cal:calendar-user-address-set><d:href>mailto:alice@example.org</d:href>\
         <d:href>mailto:a.martin@example.org</d:href><d:href>/principals/users/65aa00000000000000000001/</d:href>\
         </cal:calendar-user-address-set><cal:schedule-default-calendar-URL>\
         <d:href>/calendars/65aa00000000000000000001/65aa00000000000000000001/</d:href>\
         </cal:schedule-default-calendar-URL><cal:calendar-user-type>INDIVIDUAL</cal:calendar-user-type>\
         <d:group-member-set/><d:group-membership><d:href>/principals/domains/65dd00000000000000000001/</d:href>\
         </d:group-membership><d:resourcetype><d:collection/><d:principal/></d:resourcetype><d:principal-URL>\
         <d:href>/principals/users/65aa00000000000000000001/</d:href></d:principal-URL><d:alternate-URI-set>\
         <d:href>mailto:alice@example.org</d:href><d:href>mailto:a.martin@example.org</d:href></d:alternate-URI-set>\
         <d:owner><d:href>/principals/users/65aa00000000000000000001/</d:href></d:owner></d:prop>\
         <d:status>HTTP/1.1 200 OK</d:status></d:propstat><d:propstat><d:prop><d:quota-used-bytes/></d:prop>\
         <d:status>HTTP/1.1 404 Not Found</d:status></d:propstat></d:response>"
    );
}

#[tokio::test]
async fn the_home_holds_everything_on_the_first_visit() {
    let world = World::new().await;
    let answer = world.alice().send("PROPFIND", &format!("/calendars/{ALICE}/"), &[], "").await;
    assert_eq!(answer.header("content-type"), Some("application/xml; charset=utf-8"));
    assert_eq!(
        answer.responses(),
        "<d:response><d:href>/calendars/65aa00000000000000000001/</d:href><d:propstat><d:prop><d:resourcetype>\
         <d:collection/></d:resourcetype><d:creationdate>2024-01-19T04:52:16Z</d:creationdate></d:prop><d:status>HTTP/1.1 200 OK</d:status></d:propstat></d:response>\
         <d:response><d:href>/calendars/65aa00000000000000000001/65aa00000000000000000001/</d:href><d:propstat><d:prop>\
         <d:resourcetype><d:collection/><cal:calendar/></d:resourcetype>\
         <cs:getctag>http://sabre.io/ns/sync/1</cs:getctag><s:sync-token>1</s:sync-token>\
         <cal:supported-calendar-component-set><cal:comp name=\"VEVENT\"/><cal:comp name=\"VTODO\"/>\
         </cal:supported-calendar-component-set><cal:schedule-calendar-transp><cal:opaque/>\
         </cal:schedule-calendar-transp><d:displayname>#default</d:displayname><d:creationdate>2026-11-21T06:20:15Z</d:creationdate></d:prop>\
         <d:status>HTTP/1.1 200 OK</d:status></d:propstat></d:response><d:response>\
         <d:href>/calendars/65aa00000000000000000001/inbox/</d:href><d:propstat><d:prop><d:resourcetype><d:collection/>\
         <cal:schedule-inbox/></d:resourcetype><d:creationdate>2026-11-21T06:20:15Z</d:creationdate></d:prop><d:status>HTTP/1.1 200 OK</d:status></d:propstat></d:response>\
         <d:response><d:href>/calendars/65aa00000000000000000001/outbox/</d:href><d:propstat><d:prop><d:resourcetype>\
         <d:collection/><cal:schedule-outbox/></d:resourcetype><d:creationdate>2026-11-21T06:20:15Z</d:creationdate></d:prop><d:status>HTTP/1.1 200 OK</d:status>\
         </d:propstat></d:response>"
    );
}

#[tokio::test]
async fn apple_calendar_reads_reports_privileges_and_colours_of_a_calendar() {
    let world = World::new().await;
    let client = world.alice();
    let props = "<d:supported-report-set/><d:current-user-privilege-set/><d:sync-token/><cal:supported-calendar-data/>\
                 <cal:max-resource-size/><a:calendar-color/><a:calendar-order/>";
    let body = client.propfind(super::CALENDAR, "0", props).await.responses();
    for report in ["cal:calendar-multiget", "cal:calendar-query", "cal:free-busy-query", "d:sync-collection"] {
        assert!(body.contains(&format!("<d:supported-report><d:report><{report}/></d:report></d:supported-report>")));
    }
    for privilege in ["d:read", "d:write", "d:write-content", "d:bind", "d:unbind", "cal:read-free-busy"] {
        assert!(body.contains(&format!("<d:privilege><{privilege}/></d:privilege>")), "{privilege}");
    }
    assert!(body.contains("<d:sync-token>http://sabre.io/ns/sync/1</d:sync-token>"));
    assert!(body.contains("<cal:max-resource-size>10485760</cal:max-resource-size>"));
}

#[tokio::test]
async fn davx5_finds_the_address_books() {
    let world = World::new().await;
    let home = format!("/addressbooks/{ALICE}/");
    let hrefs = world.alice().propfind(&home, "1", "<d:resourcetype/><d:displayname/>").await.hrefs();
    assert_eq!(hrefs, [home.clone(), format!("{home}contacts/"), format!("{home}collected/")]);
}

#[tokio::test]
async fn the_root_leads_everywhere() {
    let world = World::new().await;
    let client = world.alice();
    assert_eq!(
        client.propfind("/", "1", "<d:resourcetype/>").await.hrefs(),
        ["/", "/principals/", "/calendars/", "/addressbooks/"]
    );
    assert_eq!(
        client.propfind("/calendars/", "1", "<d:resourcetype/>").await.hrefs(),
        ["/calendars/".to_owned(), format!("/calendars/{ALICE}/")]
    );
    assert_eq!(
        client.propfind("/principals/users/", "1", "<d:resourcetype/>").await.hrefs(),
        ["/principals/users/".to_owned(), format!("/principals/users/{ALICE}/")]
    );
}

#[tokio::test]
async fn property_names_can_be_asked_without_values() {
    let world = World::new().await;
    let body = format!("{}<d:propname/></d:propfind>", root("d:propfind"));
    let answer = world.alice().send("PROPFIND", super::CALENDAR, &[("depth", "0")], &body).await;
    let responses = answer.responses();
    assert!(responses.contains("<d:displayname/>"), "{responses}");
    assert!(responses.contains("<cal:supported-calendar-component-set/>"), "{responses}");
    assert!(!responses.contains("#default") && !responses.contains("404"), "{responses}");
}

#[tokio::test]
async fn a_client_that_wants_little_gets_little() {
    let world = World::new().await;
    let body = format!("{}<d:prop><d:displayname/><d:nothing/></d:prop></d:propfind>", root("d:propfind"));
    let headers = [("depth", "0"), ("prefer", "return=minimal")];
    let answer = world.alice().send("PROPFIND", super::CALENDAR, &headers, &body).await;
    assert_eq!(answer.header("preference-applied"), Some("return=minimal"));
    assert_eq!(
        answer.body,
        format!(
            "{PROLOG}<d:response><d:href>{}</d:href><d:propstat><d:prop><d:displayname>#default</d:displayname>\
             </d:prop><d:status>HTTP/1.1 200 OK</d:status></d:propstat></d:response></d:multistatus>",
            super::CALENDAR
        )
    );
}

#[tokio::test]
async fn expanded_properties_show_what_is_behind_an_address() {
    let world = World::new().await;
    let property = "<d:property name=\"current-user-principal\"><d:property name=\"displayname\"/>\
                    <d:property name=\"nothing\"/></d:property>";
    let answer = world.alice().report("/calendars/", "d:expand-property", property).await;
    assert_eq!(
        answer.responses(),
        "<d:response><d:href>/calendars/</d:href><d:propstat><d:prop><d:current-user-principal><d:response>\
         <d:href>/principals/users/65aa00000000000000000001/</d:href><d:propstat><d:prop>\
         <d:displayname>Alice Martin</d:displayname></d:prop><d:status>HTTP/1.1 200 OK</d:status></d:propstat>\
         <d:propstat><d:prop><d:nothing/></d:prop><d:status>HTTP/1.1 404 Not Found</d:status></d:propstat>\
         </d:response></d:current-user-principal></d:prop><d:status>HTTP/1.1 200 OK</d:status></d:propstat>\
         </d:response>"
    );
}
