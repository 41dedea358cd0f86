//! `convoke doctor`: what no engine owns, against real servers and against broken ones.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::header::DATE;
use axum::response::IntoResponse as _;
use axum::routing::any;
use chrono::{DateTime, Datelike as _, TimeDelta, Utc};
use convoke::auth::oidc::OidcProvider;
use convoke::clock::Env;
use convoke::config::{self, Impersonation, SmtpSecurity};
use convoke::dav::{self, DavUpstream};
use convoke::doctor::{ListeningPort, PublicUrl};
use convoke::health::{Examine, Finding, Verdict};
use convoke::mail::smtp::MailServer;
use convoke::net::{Client, ClientLimits, Opening, examine_certificate, shown_certificate};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::{Value, json};

use crate::services::need;
use crate::world::World;

const LOOK: Duration = Duration::from_secs(5);

fn word(finding: &Finding) -> (&'static str, &str) {
    match &finding.verdict {
        Verdict::Good(found) => ("ok", found),
        Verdict::Doubtful { found, .. } => ("warning", found),
        Verdict::Bad { found, .. } => ("error", found),
    }
}

/// `subject: verdict`, in the order of the report.
fn outline(findings: &[Finding]) -> Vec<String> {
    findings.iter().map(|f| format!("{}: {}", f.subject, word(f).0)).collect()
}

fn the<'f>(findings: &'f [Finding], subject: &str) -> (&'static str, &'f str) {
    word(findings.iter().find(|f| f.subject == subject).unwrap_or_else(|| panic!("no {subject} in {findings:?}")))
}

fn advice(findings: &[Finding], subject: &str) -> String {
    match &findings.iter().find(|f| f.subject == subject).unwrap().verdict {
        Verdict::Good(_) => String::new(),
        Verdict::Doubtful { advice, .. } | Verdict::Bad { advice, .. } => advice.clone(),
    }
}

fn client() -> Client {
    let limits = ClientLimits { connect: LOOK, answer: LOOK, ..ClientLimits::default() };
    Client::new(limits).unwrap()
}

fn now() -> DateTime<Utc> {
    Env::system().now()
}

/// An address that nobody listens on.
fn closed() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

// --- certificates ---------------------------------------------------------------------------------------------------

/// A server with a certificate that ends so many days from now, and the authority that signed it.
struct TlsServer {
    port: u16,
    authority: String,
}

impl TlsServer {
    fn start(days: i64, name: &str, opening: Opening) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let end = now() + TimeDelta::days(days) + TimeDelta::hours(1);
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(end.year(), end.month() as u8, end.day() as u8);
        let certificate = params.signed_by(&key, &authority).unwrap();

        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        let config = Arc::new(config);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                if opening == Opening::SmtpStartTls {
                    greet(&mut stream);
                }
                let mut connection = rustls::ServerConnection::new(config.clone()).unwrap();
                while connection.is_handshaking() && connection.complete_io(&mut stream).is_ok() {}
            }
        });
        Self { port, authority: pem("CERTIFICATE", authority.der()) }
    }

    async fn look(&self, opening: Opening) -> Finding {
        let authority = Some(self.authority.as_bytes());
        examine_certificate("127.0.0.1", self.port, opening, authority, now(), LOOK).await
    }
}

/// An SMTP server up to STARTTLS, with answers of several lines.
fn greet(stream: &mut std::net::TcpStream) {
    let mut line = [0; 512];
    stream.write_all(b"220-mail.example.org\r\n220 ready\r\n").unwrap();
    let _ = stream.read(&mut line);
    stream.write_all(b"250-mail.example.org\r\n250-SIZE 1000\r\n250 STARTTLS\r\n").unwrap();
    let _ = stream.read(&mut line);
    stream.write_all(b"220 go\r\n").unwrap();
}

fn pem(label: &str, der: &[u8]) -> String {
    use base64::Engine as _;
    let text = base64::prelude::BASE64_STANDARD.encode(der);
    let lines: Vec<&str> = text.as_bytes().chunks(64).map(|c| std::str::from_utf8(c).unwrap()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_are_good_soon_to_end_or_ended() {
    for (days, verdict, found) in [(200, "ok", "trusted, ends "), (10, "warning", "ends "), (-3, "error", "ended ")] {
        for opening in [Opening::Tls, Opening::SmtpStartTls] {
            let finding = TlsServer::start(days, "127.0.0.1", opening).look(opening).await;
            let (is, says) = word(&finding);
            assert!(is == verdict && says.starts_with(found), "{days} days, {opening:?}: {finding:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_of_others_and_of_unknown_authorities_are_told_with_their_end() {
    let other = TlsServer::start(200, "elsewhere.example", Opening::Tls);
    let finding = other.look(Opening::Tls).await;
    assert!(
        matches!(word(&finding), ("error", found) if found.contains("is not trusted") && found.contains("ends 20"))
    );

    let good = TlsServer::start(200, "127.0.0.1", Opening::Tls);
    let shown = shown_certificate("127.0.0.1", good.port, Opening::Tls, None, LOOK).await.unwrap();
    assert!(shown.problem.is_some_and(|p| p.contains("UnknownIssuer")), "the system trusts a test's authority");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_without_tls_is_told() {
    let plain = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = plain.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in plain.incoming() {
            let _ = stream.unwrap().write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        }
    });
    let finding = examine_certificate("127.0.0.1", port, Opening::Tls, None, now(), LOOK).await;
    assert!(matches!(word(&finding), ("error", found) if found.starts_with("cannot be looked at")), "{finding:?}");
}

// --- mail -----------------------------------------------------------------------------------------------------------

fn smtp(address: &str, security: SmtpSecurity) -> config::Smtp {
    let (host, port) = address.rsplit_once(':').unwrap();
    config::Smtp {
        host: host.to_owned(),
        port: port.parse().unwrap(),
        security,
        timeout_s: 5,
        ..config::Smtp::default()
    }
}

async fn examined(config: config::Smtp) -> Vec<Finding> {
    MailServer::new(config, Env::system()).examine().await
}

/// A server of exim with the account that it knows.
fn exim(variable: &str, security: SmtpSecurity) -> Option<config::Smtp> {
    Some(config::Smtp {
        ca_file: Some(need("CONVOKE_TEST_SMTP_EXIM_CA")?.into()),
        username: need("CONVOKE_TEST_SMTP_EXIM_USER"),
        password: need("CONVOKE_TEST_SMTP_EXIM_PASSWORD"),
        ..smtp(&need(variable)?, security)
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_server_is_logged_in_to_and_sent_nothing() {
    let Some(maildir) = need("CONVOKE_TEST_SMTP_EXIM_MAILDIR") else { return };
    let Some(starttls) = exim("CONVOKE_TEST_SMTP_EXIM_SUBMISSION", SmtpSecurity::Starttls) else { return };
    let Some(tls) = exim("CONVOKE_TEST_SMTP_EXIM_TLS", SmtpSecurity::Tls) else { return };
    for config in [starttls, tls] {
        let found = examined(config.clone()).await;
        assert_eq!(the(&found, "connection"), ("ok", "encrypted"), "{found:?}");
        assert_eq!(the(&found, "login"), ("ok", "accepted"));
        assert!(!the(&found, "certificate").0.contains("error"), "{found:?}");
    }
    let mails = std::fs::read_dir(std::path::Path::new(&maildir).join("new")).unwrap();
    let ours = mails.filter_map(|m| std::fs::read_to_string(m.unwrap().path()).ok()).any(|m| m.contains("doctor"));
    assert!(!ours, "the doctor sent a mail");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_mail_server_is_told_with_what_to_do() {
    let nobody = examined(smtp(&closed().to_string(), SmtpSecurity::None)).await;
    assert_eq!(outline(&nobody), ["connection: error"]);
    assert!(advice(&nobody, "connection").contains("firewall"));

    let Some(right) = exim("CONVOKE_TEST_SMTP_EXIM_SUBMISSION", SmtpSecurity::Starttls) else { return };
    let wrong = examined(config::Smtp { password: Some("wrong".to_owned()), ..right.clone() }).await;
    assert_eq!(the(&wrong, "connection").0, "error");
    assert!(advice(&wrong, "connection").contains("mail.smtp.password"), "{wrong:?}");

    let untrusted = examined(config::Smtp { ca_file: None, ..right.clone() }).await;
    assert_eq!(the(&untrusted, "connection").0, "error");
    assert!(the(&untrusted, "certificate").1.contains("is not trusted"), "{untrusted:?}");

    let not_tls = examined(config::Smtp { security: SmtpSecurity::Tls, ..right }).await;
    assert_eq!(the(&not_tls, "connection").0, "error");
    assert!(advice(&not_tls, "connection").contains("first byte"), "{not_tls:?}");
}

// --- OpenID providers -----------------------------------------------------------------------------------------------

fn provider(prefix: &str) -> Option<config::Oidc> {
    let value = |name: &str| need(&format!("CONVOKE_TEST_OIDC_{prefix}_{name}"));
    let audience = vec![value("AUDIENCE")?];
    Some(config::Oidc {
        client_id: value("CLIENT_ID"),
        client_secret: value("CLIENT_SECRET"),
        ..config::Oidc::new(value("ISSUER")?, audience)
    })
}

async fn examined_provider(config: config::Oidc) -> Vec<Finding> {
    OidcProvider::new(config, client(), Env::system(), LOOK).examine().await
}

async fn a_real_provider(prefix: &str) {
    let Some(right) = provider(prefix) else { return };
    let found = examined_provider(right.clone()).await;
    assert!(found.iter().all(|f| word(f).0 == "ok"), "{found:?}");
    assert_eq!(the(&found, "discovery").1, "names this issuer");
    assert_eq!(the(&found, "introspection").1, "knows our client");

    let issuer = format!("{}/", right.issuer.trim_end_matches('/'));
    let other = if issuer == right.issuer { issuer.trim_end_matches('/').to_owned() } else { issuer };
    let found = examined_provider(config::Oidc { issuer: other, ..right.clone() }).await;
    assert_eq!(the(&found, "discovery").0, "error");
    assert!(advice(&found, "discovery").contains(&format!("{:?}", right.issuer)), "{found:?}");

    let found = examined_provider(config::Oidc { client_secret: Some("wrong".to_owned()), ..right }).await;
    assert_eq!(the(&found, "introspection").0, "error", "{found:?}");
    assert!(advice(&found, "introspection").contains("client_secret"));
}

#[tokio::test(flavor = "multi_thread")]
async fn lemonldap_is_examined() {
    a_real_provider("LEMONLDAP").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn node_oidc_provider_is_examined() {
    a_real_provider("NODE").await;
}

/// Serves on loopback until the test ends.
async fn serve(app: Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    format!("http://{address}")
}

fn date(skew_s: i64) -> String {
    (now() + TimeDelta::seconds(skew_s)).format("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_whose_clock_is_wrong_is_told() {
    for (skew, verdict) in [(0, "ok"), (-15, "warning"), (3_600, "error")] {
        let app = Router::new().fallback(any(move || async move { ([(DATE, date(skew))], "{}").into_response() }));
        let issuer = serve(app).await;
        let found = examined_provider(config::Oidc::new(issuer, vec!["calendar".to_owned()])).await;
        assert_eq!(the(&found, "clock").0, verdict, "{skew} s: {found:?}");
        assert_eq!(the(&found, "discovery").0, "error", "a document without an issuer");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_without_keys_and_one_that_believes_everything_are_told() {
    let base = Arc::new(std::sync::OnceLock::<String>::new());
    let seen = base.clone();
    let app = Router::new().fallback(any(move |uri: axum::http::Uri| {
        let base = seen.get().cloned().unwrap_or_default();
        async move {
            let body: Value = match uri.path() {
                "/.well-known/openid-configuration" => json!({
                    "issuer": base, "authorization_endpoint": format!("{base}/authorize"), "jwks_uri": format!("{base}/keys"),
                    "introspection_endpoint": format!("{base}/introspect"), "response_types_supported": ["code"],
                    "subject_types_supported": ["public"], "id_token_signing_alg_values_supported": ["RS256"],
                }),
                "/keys" => json!({ "keys": [] }),
                _ => json!({ "active": true }),
            };
            axum::Json(body)
        }
    }));
    let issuer = serve(app).await;
    base.set(issuer.clone()).unwrap();
    let found = examined_provider(config::Oidc::new(issuer, vec!["calendar".to_owned()])).await;
    assert_eq!(
        outline(&found),
        ["clock: ok", "discovery: ok", "keys: warning", "introspection: error", "user information: warning"],
        "{found:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_is_away_is_told() {
    let found = examined_provider(config::Oidc::new(format!("http://{}", closed()), vec!["calendar".to_owned()])).await;
    assert_eq!(outline(&found), ["discovery: error"]);
}

// --- the DAV server -------------------------------------------------------------------------------------------------

async fn examined_dav(config: config::Upstream, somebody: Option<&str>) -> Vec<Finding> {
    let upstream = dav::client::remote(&config, LOOK, None).unwrap();
    let has_account = somebody.is_some();
    let somebody = somebody.unwrap_or("no-reply@example.org").parse().unwrap();
    DavUpstream { config, upstream, somebody, has_account, env: Env::system(), time: LOOK }.examine().await
}

#[tokio::test(flavor = "multi_thread")]
async fn radicale_is_examined() {
    let Some(url) = need("CONVOKE_TEST_RADICALE_PROXIED_URL") else { return };
    let trusted = config::Upstream {
        url: url.clone(),
        impersonation: Impersonation::Header,
        script_name: Some("/dav".to_owned()),
        ..config::Upstream::default()
    };
    let found = examined_dav(trusted, Some("alice@example.org")).await;
    assert_eq!(the(&found, "answers"), ("ok", "CalDAV and CardDAV"), "{found:?}");
    assert_eq!(the(&found, "acts for others"), ("ok", "as alice@example.org"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_does_not_let_us_act_for_others_is_told() {
    let Some(url) = need("CONVOKE_TEST_RADICALE_URL") else { return };
    // Radicale knows nobody called `admin&alice@example.org`.
    let admin = config::Upstream { url, admin_password: "wrong".to_owned(), ..config::Upstream::default() };
    let found = examined_dav(admin.clone(), Some("alice@example.org")).await;
    assert_eq!(the(&found, "acts for others").0, "error", "{found:?}");
    assert!(advice(&found, "acts for others").contains("SABRE_IMPERSONATION_ENABLED"));
    // Of somebody who may have no account there, that is no proof.
    let found = examined_dav(admin, None).await;
    assert_eq!(the(&found, "acts for others").0, "warning");
    assert!(advice(&found, "acts for others").contains("--as"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dav_server_that_is_none_or_away_or_late_is_told() {
    let config = |url: String| config::Upstream { url, admin_password: "x".to_owned(), ..config::Upstream::default() };
    let away = examined_dav(config(format!("http://{}", closed())), None).await;
    assert_eq!(outline(&away), ["answers: error"]);

    let page = serve(Router::new().fallback(any(|| async { "a page" }))).await;
    let found = examined_dav(config(page), None).await;
    assert_eq!(outline(&found), ["clock: ok", "answers: warning", "acts for others: warning"], "{found:?}");

    let app =
        Router::new().fallback(any(|| async { ([(DATE, date(-120)), ("DAV".parse().unwrap(), "1".to_owned())], "") }));
    let found = examined_dav(config(serve(app).await), None).await;
    // `Date` has whole seconds.
    assert!(matches!(the(&found, "clock"), ("error", "119 s behind ours" | "120 s behind ours")), "{found:?}");
}

// --- addresses ------------------------------------------------------------------------------------------------------

#[tokio::test(flavor = "multi_thread")]
async fn a_port_is_free_or_ours_or_anothers() {
    let look =
        async |address: SocketAddr| ListeningPort { key: "server.listen", address, client: client() }.examine().await;
    assert_eq!(the(&look(closed()).await, "listening"), ("ok", "free"));

    let world = World::start().await;
    let admin = world.admin().trim_start_matches("http://").parse().unwrap();
    assert_eq!(the(&look(admin).await, "listening"), ("ok", "convoke is there already"));
    let public = world.public().trim_start_matches("http://").parse().unwrap();
    assert_eq!(the(&look(public).await, "listening"), ("ok", "convoke is there already"));
    world.demo.stop().await;

    let other = serve(Router::new()).await.trim_start_matches("http://").parse().unwrap();
    let found = look(other).await;
    assert_eq!(the(&found, "listening"), ("error", "another program is there"));
    assert!(advice(&found, "listening").contains("server.listen"));
    // TEST-NET-1 (RFC 5737): no machine has it.
    let elsewhere = look("192.0.2.1:8080".parse().unwrap()).await;
    assert_eq!(the(&elsewhere, "listening"), ("error", "this machine has no such address"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_public_address_is_plausible_or_not() {
    let look = async |url: &str, listens_publicly: bool| {
        let key = "server.public_url";
        PublicUrl { key, url: url.to_owned(), listens_publicly, env: Env::system(), time: LOOK }.examine().await
    };
    assert_eq!(outline(&look("http://127.0.0.1:8080", false).await), ["name: ok"]);
    assert_eq!(outline(&look("http://localhost:8080", true).await), ["address: warning", "name: ok"]);
    // A top-level domain that nobody can have (RFC 6761 §6.4).
    assert_eq!(outline(&look("http://calendar.invalid", true).await), ["scheme: warning", "name: error"]);
    let server = TlsServer::start(200, "127.0.0.1", Opening::Tls);
    let found = look(&format!("https://127.0.0.1:{}", server.port), false).await;
    assert_eq!(outline(&found), ["name: ok", "certificate: error"], "of an authority that this system does not know");
}

// --- the command ----------------------------------------------------------------------------------------------------

/// Runs it on a configuration, in a folder of its own.
fn doctor(configuration: &str, args: &[&str]) -> (Option<i32>, String) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("convoke.toml");
    std::fs::write(&file, configuration).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_convoke"))
        .current_dir(dir.path())
        .args(["doctor", "--config", "convoke.toml"])
        .args(args)
        .output()
        .unwrap();
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    (output.status.code(), String::from_utf8(output.stdout).unwrap())
}

const ANY_PORT: &str = "[server]\nlisten = \"127.0.0.1:0\"\n[webadmin]\nlisten = \"127.0.0.1:0\"\n";

#[test]
fn a_fresh_installation_has_no_errors() {
    let (status, text) = doctor(ANY_PORT, &[]);
    assert_eq!(status, Some(0), "{text}");
    for line in ["Configuration convoke.toml\n", "  ok       keys: valid\n", "Data folder convoke-data\n", "0 errors, "]
    {
        assert!(text.contains(line), "{line:?} is missing in\n{text}");
    }
}

#[test]
fn everything_that_is_wrong_is_in_one_report_for_machines_too() {
    let address = closed();
    let wrong = format!(
        "{ANY_PORT}[mail]\ntransport = \"smtp\"\nsender = \"calendar@example.org\"\n[mail.smtp]\nhost = \"127.0.0.1\"\n\
         port = {}\nsecurity = \"none\"\n[upstream]\nurl = \"http://{address}\"\nadmin_password = \"s3cret\"\n\
         [[auth.oidc]]\nissuer = \"http://{address}\"\naudience = [\"calendar\"]\n",
        address.port()
    );
    let (status, text) = doctor(&wrong, &["--json", "--each-s", "20"]);
    assert_eq!(status, Some(1), "{text}");
    assert!(!text.contains("s3cret"), "{text}");
    let report: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(report["errors"], 3, "{text}");
    let errors: Vec<&str> = report["engines"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|e| {
            e["findings"].as_array().unwrap().iter().any(|f| f["verdict"] == "error" && f["advice"].is_string())
        })
        .map(|e| e["engine"].as_str().unwrap())
        .collect();
    assert_eq!(
        errors,
        [
            format!("DAV server http://{address}"),
            format!("OpenID provider http://{address}"),
            format!("SMTP {address}"),
        ]
    );
}

#[test]
fn a_configuration_that_does_not_load_is_told_key_by_key() {
    let (status, text) = doctor("[server]\nlisten = 1\n[mail]\nsender = \"nobody\"\n", &[]);
    assert_eq!(status, Some(1));
    for key in ["convoke.toml: server.listen", "convoke.toml: mail.sender"] {
        assert!(text.contains(&format!("  error    {key}: ")), "{text}");
    }
    assert!(text.ends_with("2 errors, 0 warnings\n"), "{text}");
}
