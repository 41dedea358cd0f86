use super::*;

fn config(url: &str) -> config::Upstream {
    config::Upstream { url: url.to_owned(), admin_password: "s3cret".to_owned(), ..config::Upstream::default() }
}

fn remote_of(config: &config::Upstream) -> Remote {
    Remote {
        root: Root::parse(&config.url).unwrap(),
        credentials: Credentials::new(config, None).unwrap(),
        script_name: script_name(config).unwrap(),
    }
}

fn request(path: &str, actor: Option<Actor>) -> Request<Body> {
    let mut request = Request::builder().uri(path).body(Body::empty()).unwrap();
    if let Some(actor) = actor {
        request.extensions_mut().insert(actor);
    }
    request
}

fn alice() -> Actor {
    Actor::User("alice@example.org".parse().unwrap())
}

#[test]
fn the_administrator_acts_as_the_user() {
    let mut request = request("/calendars/x?a=b", Some(alice()));
    remote_of(&config("http://sabre.example.org:8001")).address(&mut request).unwrap();
    assert_eq!(request.uri(), "http://sabre.example.org:8001/calendars/x?a=b");
    assert_eq!(request.headers()[HOST], "sabre.example.org:8001");
    let expected = format!("Basic {}", BASE64.encode("admin&alice@example.org:s3cret"));
    assert_eq!(request.headers()[AUTHORIZATION], expected.as_str());
}

#[test]
fn a_header_names_the_user_and_only_ours() {
    let config = config::Upstream {
        impersonation: Impersonation::Header,
        script_name: Some("/dav/".to_owned()),
        ..config("https://radicale.example.org/base/")
    };
    let mut request = request("/alice/work/", Some(alice()));
    for (name, value) in [
        ("x-remote-user", "mallory@example.org"),
        ("x-remote-user", "trudy@example.org"),
        ("x-script-name", "/evil"),
        ("authorization", "Basic bWFsbG9yeTpw"),
        ("cookie", "session=1"),
        ("twakecalendartoken", "t"),
        ("destination", "/alice/home/1.ics"),
    ] {
        request.headers_mut().append(name, HeaderValue::from_static(value));
    }
    remote_of(&config).address(&mut request).unwrap();
    assert_eq!(request.uri(), "https://radicale.example.org/base/alice/work/");
    let mut sent: Vec<_> = request.headers().iter().map(|(n, v)| format!("{n}: {}", v.to_str().unwrap())).collect();
    sent.sort();
    assert_eq!(
        sent,
        [
            "destination: https://radicale.example.org/dav/alice/home/1.ics",
            "host: radicale.example.org",
            "x-remote-user: alice@example.org",
            "x-script-name: /dav",
        ]
    );
}

#[test]
fn nobody_is_nobody() {
    let remote = remote_of(&config("http://sabre.example.org"));
    assert!(matches!(remote.address(&mut request("/", None)), Err(UpstreamError::NoActor)));
    let technical = Actor::Technical("6650c0ffee0123456789aaaa".parse().unwrap());
    assert!(matches!(remote.address(&mut request("/", Some(technical))), Err(UpstreamError::CannotActAs { .. })));
    let odd = Actor::User("a:b@example.org".parse().unwrap());
    assert!(matches!(remote.address(&mut request("/", Some(odd))), Err(UpstreamError::CannotActAs { .. })));
}

#[test]
fn a_location_of_the_server_becomes_a_path() {
    let remote = remote_of(&config("http://sabre.example.org/base"));
    for (sent, seen) in [
        ("http://sabre.example.org/base/calendars/x", "/calendars/x"),
        ("/base/calendars/x?y", "/calendars/x?y"),
        ("/calendars/x", "/calendars/x"),
        ("/basement/x", "/basement/x"),
        ("https://elsewhere.example/base/x", "https://elsewhere.example/base/x"),
        ("//elsewhere.example/base/x", "//elsewhere.example/base/x"),
    ] {
        let mut headers = HeaderMap::from_iter([(LOCATION, HeaderValue::from_static(sent))]);
        remote.localise(&mut headers);
        assert_eq!(headers[LOCATION], seen);
    }
}

#[test]
fn wrong_configurations_are_explained() {
    let explain = |config: config::Upstream| match remote(&config, Duration::from_secs(1), None) {
        Ok(_) => panic!("{config:?} is accepted"),
        Err(error) => error.to_string(),
    };
    for url in ["sabre.example.org", "ftp://sabre.example.org", "http://h/?q", "", "/dav"] {
        assert!(explain(config(url)).contains("[upstream] url"), "{url}");
    }
    let text = explain(config("http://admin:s3cret@sabre.example.org"));
    assert!(text.contains("without user name and password") && !text.contains("s3cret"), "{text}");
    let empty = config::Upstream { admin_password: String::new(), ..config("http://h") };
    assert!(explain(empty).contains("admin_password"));
    let odd = config::Upstream { admin_user: "a&b".to_owned(), ..config("http://h") };
    assert!(explain(odd).contains("admin_user"));
}
