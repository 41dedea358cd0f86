//! The same front in front of a real Radicale: what a plain CalDAV server can do.

use convoke::cli::play::Caldav;
use convoke::config::{Impersonation, Upstream};
use http::StatusCode;

use crate::journey::event;
use crate::services;
use crate::world::{ALICE, BOB, World};

#[tokio::test(flavor = "multi_thread")]
async fn a_plain_caldav_server_works_behind_the_proxy() {
    let Some(url) = services::need("CONVOKE_TEST_RADICALE_PROXIED_URL") else { return };
    let upstream = Upstream {
        url,
        impersonation: Impersonation::Header,
        script_name: Some("/dav".to_owned()),
        ..Upstream::default()
    };
    let world = World::with_upstream(Some(upstream)).await;
    let public = world.public();
    let alice = Caldav::new(&world.http, &public, &world.sign_in(ALICE).await.access_token);

    let home = alice.discover_home().await.unwrap().pop().unwrap();
    assert!(home.starts_with("/dav/"), "hrefs lead back through the proxy: {home}");
    // Radicale keeps its data between runs of this test: a calendar of our own.
    let calendar = format!("{home}{}/", world.env.uuid());
    let made = alice.request("MKCALENDAR", &calendar, &[], "").await.unwrap();
    assert_eq!(made.status(), StatusCode::CREATED);
    assert!(alice.calendars(&home).await.unwrap().contains(&calendar));

    let uid = world.env.uuid().to_string();
    let path = format!("{calendar}{uid}.ics");
    assert_eq!(alice.put(&path, &event(&uid), ("If-None-Match", "*")).await.unwrap(), StatusCode::CREATED);
    let again = alice.request("PUT", &path, &[("If-None-Match", "*")], &event(&uid)).await.unwrap();
    assert_eq!(again.status(), StatusCode::PRECONDITION_FAILED, "the condition reaches the server");
    let found = alice.find(&calendar, &uid).await.unwrap().expect("the query finds it");
    assert_eq!(found.href, path);

    let renamed = format!("{calendar}renamed.ics");
    let moved = alice.request("MOVE", &path, &[("Destination", &format!("{public}{renamed}"))], "").await.unwrap();
    assert!(moved.status().is_success(), "MOVE answered {}", moved.status());
    alice.get(&renamed).await.unwrap();

    // Nobody else gets in, and nobody can say he is alice.
    let bob = Caldav::new(&world.http, &public, &world.sign_in(BOB).await.access_token);
    for header in ["X-Remote-User", "X-Forwarded-User", "x-remote-user"] {
        let refused = bob.request("GET", &renamed, &[(header, ALICE.mail)], "").await.unwrap();
        assert!(refused.status().is_client_error(), "{header}: {}", refused.status());
    }

    assert!(alice.delete(&renamed).await.unwrap().is_success());
    assert_eq!(alice.find(&calendar, &uid).await.unwrap(), None);
    assert!(alice.delete(&calendar).await.unwrap().is_success());
    world.demo.stop().await;
}
