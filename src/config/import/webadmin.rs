//! `webadmin.properties` (storage §8.6, webadmin §1.1). Its absence switches the reference's administration port off;
//! convoke's is always there.

use std::net::IpAddr;

use super::draft::Draft;
use super::source::{Given, Source, SystemProperties};

pub const FILE: &str = "webadmin.properties";

const DISMISSED: &[(&str, &str)] = &[
    ("password.readonly", "not built in this version: every password may do everything"),
    ("password.nodelete", "not built in this version: every password may do everything"),
    ("cors.enable", "no equivalent: pages may not call the administration port"),
    ("cors.origin", "no equivalent: pages may not call the administration port"),
    ("maxThreadCount", "not needed: there is no pool of threads"),
    ("minThreadCount", "not needed: there is no pool of threads"),
    ("extensions.routes", "no equivalent: routes of Java classes"),
    ("https.password", "not needed: there is no TLS on this port"),
    ("https.trust.keystore", "not needed: there is no TLS on this port"),
    ("https.trust.password", "not needed: there is no TLS on this port"),
];

/// Reads the file.
pub fn read(text: &str, system: &SystemProperties, draft: &mut Draft) {
    let mut source = Source::new(FILE, text, system, draft);
    let enabled = source.switch("enabled", false);
    let tls = source.switch("https.enabled", false);
    let keystore = source.text("https.keystore");
    if enabled && tls && !keystore.is_there() {
        source.refuse("https.keystore", "missing, and https.enabled is true");
    }
    if tls {
        source.remark("https.enabled", "no equivalent: put the port behind a reverse proxy that does TLS");
    }
    source.remark_if_there("https.keystore", "not needed: there is no TLS on this port");
    jwt(&mut source, enabled);
    let protected = passwords(&mut source);
    let host = source.text("host");
    let port = source.port("port", 0);
    if enabled {
        listen(&mut source, host, port, protected);
    } else {
        source.remark(
            "enabled",
            "no equivalent: the administration port is always on; webadmin.listen is a loopback address by default",
        );
        source.remark_if_there("host", "not carried: enabled is not true");
        source.remark_if_there("port", "not carried: enabled is not true");
    }
    source.dismiss(DISMISSED);
    source.finish();
}

/// Without the file.
pub fn absent(draft: &mut Draft) {
    draft.remark(
        FILE,
        "",
        "not there: the administration port is always on in convoke; webadmin.listen is a loopback address by default",
    );
}

fn jwt(source: &mut Source<'_>, enabled: bool) {
    let jwt = source.switch("jwt.enabled", false);
    let key = source.text("jwt.publickeypem.url");
    if enabled && jwt && !key.is_there() {
        source.refuse("jwt.publickeypem.url", "missing, and jwt.enabled is true");
    }
    if jwt {
        source.remark("jwt.enabled", "not built in this version: the administration port has a password only");
    }
    source.remark_if_there(
        "jwt.publickeypem.url",
        "not built in this version: the administration port has a password only",
    );
}

/// Whether the port will have a password.
fn passwords(source: &mut Source<'_>) -> bool {
    let passwords = source.list("password");
    if source.switch("password.generate", passwords.is_empty()) {
        source.remark(
            "password.generate",
            "no equivalent: set webadmin.password; without it the port serves this machine only",
        );
    }
    let Some(first) = passwords.first() else { return false };
    source.carry("password", "webadmin.password", first.clone());
    if passwords.len() > 1 {
        source.remark("password", "only the first is carried: convoke has one password");
    }
    true
}

fn listen(source: &mut Source<'_>, host: Given<String>, port: Given<u16>, protected: bool) {
    let host = match host {
        Given::Known(host) if host.eq_ignore_ascii_case("localhost") => "127.0.0.1".to_owned(),
        Given::Known(host) | Given::Later(host) => host,
        Given::Absent | Given::Wrong => "127.0.0.1".to_owned(),
    };
    let port = match port {
        Given::Known(port) => port.to_string(),
        Given::Later(text) => text,
        Given::Absent => "8080".to_owned(),
        Given::Wrong => return source.remark_if_there("enabled", "not carried: port is wrong"),
    };
    let later = super::draft::has_placeholder(&host) || super::draft::has_placeholder(&port);
    let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
    let key = if source.has_taken("port") { "port" } else { "host" };
    match address {
        _ if later => source.carry(key, "webadmin.listen", format!("{host}:{port}")),
        Ok(address) if !address.is_loopback() && !protected => {
            source.carry(key, "webadmin.listen", format!("127.0.0.1:{port}"));
            source.remark(
                "host",
                format!(
                    "not carried: without webadmin.password convoke serves this machine only; set both, {host} again"
                ),
            );
        }
        Ok(IpAddr::V6(address)) => source.carry(key, "webadmin.listen", format!("[{address}]:{port}")),
        Ok(address) => source.carry(key, "webadmin.listen", format!("{address}:{port}")),
        Err(_) => {
            source.carry(key, "webadmin.listen", format!("127.0.0.1:{port}"));
            source.remark(
                "host",
                format!("not carried: convoke listens on addresses; set webadmin.listen to that of {host}"),
            );
        }
    }
    source.part_of("host", "webadmin.listen");
    source.part_of("enabled", "webadmin.listen");
}
