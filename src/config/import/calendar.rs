//! `configuration.properties` (storage §8.2): addresses, sign-in, the DAV server, mail.

use super::Folder;
use super::oidc;
use super::source::{Given, Source, SystemProperties};
use super::values::{self, Location, Unit};
use crate::config::import::draft::Draft;
use crate::ids::{DomainName, Email};

pub const FILE: &str = "configuration.properties";

/// What other files need to know.
#[derive(Debug, Clone, Copy, Default)]
pub struct Facts {
    /// `dav.queues.quorum.bypass`, which reads inverted: queues are what `rabbitmq.properties` says only when it is true
    /// (messaging §2.1).
    pub quorum_bypass: bool,
}

/// Keys of what convoke does not do, or not yet, and keys that nobody reads.
const DISMISSED: &[(&str, &str)] = &[
    ("admin.username", "not built in this version: no account sees every domain; see admin.password"),
    ("calendar.sharing.enabled", "not built in this version: what clients are told of sharing is fixed"),
    ("contacts.sharing.enabled", "not built in this version: what clients are told of sharing is fixed"),
    ("domain.contacts.enabled", "not built in this version: there is no address book of a domain's members"),
    ("default.use.24h.format", "not built in this version: the default is 24 hours; people's own setting is kept"),
    ("default.business.hours.start", "not built in this version: the default is 8:00; people's own setting is kept"),
    ("default.business.hours.end", "not built in this version: the default is 19:00; people's own setting is kept"),
    (
        "default.business.hours.daysOfWeek",
        "not built in this version: the default is Monday to Friday; people's own setting is kept",
    ),
    ("user.search.disabled.domains", "not built in this version: there is no search for people yet"),
    ("user.search.limited.domains", "not built in this version: there is no search for people yet"),
    ("resource.search.enabled", "not built in this version: there are no settings of domains yet"),
    ("default.calendar.public.visibility", "not built in this version: new calendars are private"),
    ("calendar.public.visibility.setting.enabled", "not built in this version: there are no settings of domains yet"),
    ("oidc.introspection.claim", "not needed: Twake Calendar never reads it"),
    ("oidc.fallback.lemon.cookie.resolution.domain", "no equivalent: sign-in by cookie is not offered; send a token"),
    ("openpaas.backend.trust.all.certificates", "no equivalent: unknown paths answer 404"),
];

/// Reads the file.
pub fn read(folder: &Folder, text: &str, system: &SystemProperties, draft: &mut Draft) -> Facts {
    let mut source = Source::new(FILE, text, system, draft);
    store(&mut source);
    addresses(&mut source);
    people(&mut source);
    keys(folder, &mut source);
    oidc::read(&mut source);
    let facts = dav(&mut source);
    mail(&mut source);
    alarms_and_uploads(&mut source);
    features(&mut source);
    source.dismiss(DISMISSED);
    source.finish();
    facts
}

fn store(source: &mut Source<'_>) {
    let url = source.text("mongo.url");
    let database = source.text("mongo.database");
    match (url.is_there(), database.is_there()) {
        (true, false) => source.refuse("mongo.database", "missing, and mongo.url is there"),
        (false, true) => source.remark("mongo.database", "not needed: without mongo.url it has no meaning"),
        (false, false) => source.remark(
            "mongo.url",
            "not there: Twake Calendar forgets everything at a restart, convoke keeps it in engine.store = \"sqlite\"",
        ),
        (true, true) => {}
    }
    if !url.is_there() {
        return;
    }
    source.draft.imply("configuration.properties: mongo.url", "engine.store", "mongodb");
    if let Given::Known(text) = &url
        && !text.starts_with("mongodb://")
        && !text.starts_with("mongodb+srv://")
    {
        source.refuse("mongo.url", "expected mongodb://… or mongodb+srv://…");
        return;
    }
    source.carry_given("mongo.url", "mongodb.url", url);
    source.carry_given("mongo.database", "mongodb.database", database);
    source.remark(
        "mongo.url",
        "esn-sabre has a database of its own: set mongodb.dav_database to its SABRE_MONGO database unless that is \"sabre\"",
    );
}

fn addresses(source: &mut Source<'_>) {
    match source.port("rest.api.port", 0) {
        Given::Known(port) => source.carry("rest.api.port", "server.listen", format!("0.0.0.0:{port}")),
        Given::Later(text) => source.carry("rest.api.port", "server.listen", format!("0.0.0.0:{text}")),
        Given::Absent => {
            source.draft.imply("configuration.properties without rest.api.port", "server.listen", "0.0.0.0:80");
            source.remark(
                "rest.api.port",
                "not there: Twake Calendar takes a port by chance; server.listen is 0.0.0.0:80, as its documentation says",
            );
        }
        Given::Wrong => {}
    }
    match source.url("self.url") {
        Given::Absent => source.remark(
            "self.url",
            "not there, and Twake Calendar's default is its vendor's: set server.public_url to how people reach convoke",
        ),
        given => carry_url(source, "self.url", "server.public_url", given),
    }
    match source.url("spa.calendar.url") {
        Given::Absent => source.refuse("spa.calendar.url", "missing"),
        given => carry_url(source, "spa.calendar.url", "spa.calendar_url", given),
    }
    match source.url("spa.excal.url") {
        Given::Absent => source.refuse("spa.excal.url", "missing"),
        Given::Wrong => {}
        _ => source.remark("spa.excal.url", "not built in this version: there are no public pages for guests yet"),
    }
    for (key, text) in [
        ("spa.contacts.url", "not needed: only old clients ask for it"),
        ("visio.url", "not built in this version: convoke makes no addresses of video conferences"),
        ("openpaas.backend.url", "no equivalent: unknown paths answer 404"),
        ("oidc.fallback.lemon.cookie.resolution.url", "no equivalent: sign-in by cookie is not offered; send a token"),
    ] {
        if !matches!(source.url(key), Given::Absent | Given::Wrong) {
            source.remark(key, text);
        }
    }
    let ping = source.duration("websocket.ping.interval", Unit::S, false);
    source.carry_duration("websocket.ping.interval", "push.ping_interval_s", ping);
}

fn carry_url(source: &mut Source<'_>, key: &str, target: &str, given: Given<String>) {
    let trimmed = match given {
        Given::Known(url) => Given::Known(url.trim_end_matches('/').to_owned()),
        other => other,
    };
    source.carry_given(key, target, trimmed);
}

fn people(source: &mut Source<'_>) {
    let domains = source.list("domains");
    if domains.is_empty() {
        source.remark("domains", "not there: Twake Calendar adds its vendor's domain, convoke adds none");
    } else {
        let wrong: Vec<&String> = domains.iter().filter(|d| d.parse::<DomainName>().is_err()).collect();
        let text = match wrong.as_slice() {
            [] => format!(
                "no equivalent: domains are data; with MongoDB they are there, otherwise PUT /domains/{{domain}} on the \
                 administration port for each of {}",
                domains.join(", ")
            ),
            wrong => format!("found {wrong:?}, expected names of domains"),
        };
        source.remark("domains", text);
    }
    match source.text("admin.password") {
        Given::Absent => source.refuse("admin.password", "missing"),
        _ => source.remark(
            "admin.password",
            "not built in this version: no account sees every domain; give whoever used it an account of its own (`convoke \
             user add`), or a token of an OpenID provider",
        ),
    }
    match source.boolean("basic.auth.enabled") {
        Given::Absent => {
            source.draft.imply("configuration.properties without basic.auth.enabled", "auth.basic", false);
            source.remark("basic.auth.enabled", "not there, so false: carried to auth.basic");
        }
        given => {
            let on = given == Given::Known(true);
            source.carry_given("basic.auth.enabled", "auth.basic", given);
            if on {
                source.remark(
                    "basic.auth.enabled",
                    "passwords are checked against accounts that convoke keeps (`convoke user`), not against LDAP",
                );
            }
        }
    }
    match source.text("default.language") {
        Given::Known(tag) if tag.parse::<unic_langid::LanguageIdentifier>().is_err() => {
            source.remark(
                "default.language",
                format!("not carried: found {tag:?}, expected a language tag, e.g. \"en\""),
            );
        }
        given => source.carry_given("default.language", "i18n.default_language", given),
    }
    match source.text("default.timezone") {
        Given::Known(zone) if zone.parse::<chrono_tz::Tz>().is_err() => {
            source.remark("default.timezone", format!("not carried: found {zone:?}, expected an IANA time zone"));
        }
        given => source.carry_given("default.timezone", "i18n.default_timezone", given),
    }
    match source.integer("itip.event.messages.prefetch.count", 1) {
        Given::Absent | Given::Wrong => {}
        _ => source.remark(
            "itip.event.messages.prefetch.count",
            "no equivalent: queue.concurrency is for every consumer alike",
        ),
    }
}

/// The keys that sign tokens of the reference. Checked, because it would not start without them.
fn keys(folder: &Folder, source: &mut Source<'_>) {
    const TOKENS: &str = "not built in this version: convoke signs no tokens of its own";
    let private = source.text("jwt.key.private");
    let given = private.is_there();
    let private = private.known().unwrap_or_else(|| "classpath://jwt_privatekey".to_owned());
    key_file(folder, source, "jwt.key.private", &private, given, is_private_key);
    let public = source.list("jwt.key.public");
    let given = !public.is_empty();
    for place in if given { public } else { vec!["classpath://jwt_publickey".to_owned()] } {
        key_file(folder, source, "jwt.key.public", &place, given, is_public_key);
    }
    match source.text("jwt.key.validity") {
        Given::Known(text) if values::iso_duration(&text).is_none() && values::duration(&text, Unit::S).is_none() => {
            source.refuse("jwt.key.validity", format!("found {text:?}, expected a duration, e.g. \"PT12H\""));
        }
        Given::Absent | Given::Wrong => {}
        _ => source.remark("jwt.key.validity", TOKENS),
    }
    if source.text("jwt.technical.token.secret").is_there() {
        source.remark("jwt.technical.token.secret", TOKENS);
    }
    if !matches!(source.integer("jwt.technical.token.expiration", 1), Given::Absent | Given::Wrong) {
        source.remark("jwt.technical.token.expiration", TOKENS);
    }
}

fn key_file(folder: &Folder, source: &mut Source<'_>, key: &str, place: &str, given: bool, good: fn(&str) -> bool) {
    let text = match values::location(place) {
        Location::Folder(name) => match folder.text(&name) {
            Some(pem) if good(&pem) => "not built in this version: convoke signs no tokens of its own".to_owned(),
            Some(_) => return source.refuse(key, format!("{name} is no RSA key in PEM")),
            None => return source.refuse(key, format!("{name} is not in the folder, or cannot be read")),
        },
        Location::Program(name) => match folder.text(&name) {
            Some(pem) if !good(&pem) => return source.refuse(key, format!("{name} is no RSA key in PEM")),
            _ => "not built in this version: convoke signs no tokens of its own".to_owned(),
        },
        Location::Elsewhere(path) => {
            format!("not built in this version: convoke signs no tokens of its own; {path} was not looked at")
        }
        Location::Unknown(_) if super::draft::has_placeholder(place) => {
            "not built in this version: convoke signs no tokens of its own".to_owned()
        }
        Location::Unknown(place) => {
            return source.refuse(key, format!("found {place:?}, expected file://… or classpath:…"));
        }
    };
    if given {
        source.remark(key, text);
    }
}

fn is_private_key(pem: &str) -> bool {
    use rsa::pkcs1::DecodeRsaPrivateKey as _;
    use rsa::pkcs8::DecodePrivateKey as _;
    let pem = pem.trim();
    rsa::RsaPrivateKey::from_pkcs8_pem(pem).is_ok() || rsa::RsaPrivateKey::from_pkcs1_pem(pem).is_ok()
}

fn is_public_key(pem: &str) -> bool {
    use rsa::pkcs8::DecodePublicKey as _;
    rsa::RsaPublicKey::from_public_key_pem(pem.trim()).is_ok()
}

fn dav(source: &mut Source<'_>) -> Facts {
    match source.url("dav.url") {
        Given::Absent => source.refuse("dav.url", "missing"),
        given => carry_url(source, "dav.url", "upstream.url", given),
    }
    for (key, target) in [("dav.admin.user", "upstream.admin_user"), ("dav.admin.password", "upstream.admin_password")]
    {
        match source.text(key) {
            Given::Absent => source.refuse(key, "missing"),
            Given::Known(name) if key == "dav.admin.user" && name.contains([':', '&']) => {
                source.refuse(key, format!("found {name:?}, expected a name without \":\" and \"&\""));
            }
            given => source.carry_given(key, target, given),
        }
    }
    if source.switch("dav.rest.client.trust.all.ssl.certs", false) {
        source.remark(
            "dav.rest.client.trust.all.ssl.certs",
            "no equivalent: certificates are always checked; add the server's authority to those of the system",
        );
    }
    let answer = source.duration("dav.rest.client.response.timeout", Unit::Ms, false);
    source.carry_duration("dav.rest.client.response.timeout", "upstream.timeout_ms", answer);
    let callback = source.duration("dav.rest.client.imip.callback.response.timeout", Unit::Ms, false);
    if !matches!(callback, Given::Absent | Given::Wrong) {
        let text = "not needed: Twake Calendar reads it and never uses it";
        source.remark("dav.rest.client.imip.callback.response.timeout", text);
    }
    let quorum_bypass = source.switch("dav.queues.quorum.bypass", false);
    source.remark_if_there(
        "dav.queues.quorum.bypass",
        if quorum_bypass {
            "true: carried to rabbitmq.queue_type as rabbitmq.properties says (the key means the opposite of its name)"
        } else {
            "false: carried to rabbitmq.queue_type as classic queues (the key means the opposite of its name)"
        },
    );
    Facts { quorum_bypass }
}

fn mail(source: &mut Source<'_>) {
    source.draft.imply("configuration.properties", "mail.transport", "smtp");
    match source.text("smtp.host") {
        Given::Absent => source.refuse("smtp.host", "missing"),
        given => source.carry_given("smtp.host", "mail.smtp.host", given),
    }
    match source.port("smtp.port", 1) {
        Given::Absent => source.refuse("smtp.port", "missing"),
        Given::Known(port) => source.carry("smtp.port", "mail.smtp.port", i64::from(port)),
        given => source.carry_given("smtp.port", "mail.smtp.port", text_of(given)),
    }
    match source.text("smtp.helo") {
        Given::Absent => source.refuse("smtp.helo", "missing"),
        given => source.carry_given("smtp.helo", "mail.smtp.helo", given),
    }
    smtp_login(source);
    smtp_security(source);
    match source.text("mail.template.location") {
        Given::Absent => source.refuse("mail.template.location", "missing"),
        _ => source.remark("mail.template.location", "no equivalent: the templates are part of convoke"),
    }
    match source.text("mail.sender") {
        Given::Absent => source.refuse("mail.sender", "missing"),
        Given::Known(text) if text.parse::<Email>().is_err() => {
            source.refuse("mail.sender", format!("found {text:?}, expected an e-mail address"));
        }
        given => source.carry_given("mail.sender", "mail.sender", given),
    }
    let whitelist = source.list("mail.imip.recipient.whitelist");
    let wrong: Vec<&String> =
        whitelist.iter().filter(|a| !super::draft::has_placeholder(a) && a.parse::<Email>().is_err()).collect();
    if !wrong.is_empty() {
        source.refuse("mail.imip.recipient.whitelist", format!("found {wrong:?}, expected e-mail addresses"));
    } else if !whitelist.is_empty() {
        source.carry("mail.imip.recipient.whitelist", "mail.recipients", whitelist);
    }
}

fn smtp_login(source: &mut Source<'_>) {
    let (user, password) = (source.text("smtp.username"), source.text("smtp.password"));
    match (user.is_there(), password.is_there()) {
        (true, false) => source.refuse_without("smtp.password", "smtp.username"),
        (false, true) => source.refuse_without("smtp.username", "smtp.password"),
        _ => {
            source.carry_given("smtp.username", "mail.smtp.username", user);
            source.carry_given("smtp.password", "mail.smtp.password", password);
        }
    }
}

fn smtp_security(source: &mut Source<'_>) {
    const TARGET: &str = "mail.smtp.security";
    const TLS: &str = "smtp.ssl.enabled";
    const STARTTLS: &str = "smtp.starttls.enabled";
    let given = [(TLS, source.boolean(TLS)), (STARTTLS, source.boolean(STARTTLS))];
    let on = given.each_ref().map(|(_, given)| *given == Given::Known(true));
    let mut later = false;
    for (key, given) in &given {
        if let Given::Later(text) = given {
            let variable = super::draft::variable(TARGET);
            let text =
                format!("comes from the environment, {text}: set {variable} to \"tls\", \"starttls\" or \"none\"");
            source.remark(key, text);
            later = true;
        }
    }
    match on {
        [true, true] => {
            source.refuse(STARTTLS, "true, and smtp.ssl.enabled is true: they exclude each other");
            source.remark(TLS, "not carried: smtp.starttls.enabled is true, too");
        }
        _ if later => source.draft.leave_to_environment(TARGET),
        [true, false] => source.carry(TLS, TARGET, "tls"),
        [false, true] => source.carry(STARTTLS, TARGET, "starttls"),
        [false, false] => {
            source.draft.imply(
                "configuration.properties without smtp.ssl.enabled and smtp.starttls.enabled",
                TARGET,
                "none",
            );
            source.remark(STARTTLS, "mails go in plain text: mail.smtp.security is \"none\"");
        }
    }
    if source.switch("smtp.ssl.trustAllCerts", false) {
        source.remark(
            "smtp.ssl.trustAllCerts",
            "no equivalent: certificates are always checked; name the server's authority in mail.smtp.ca_file",
        );
    }
}

fn alarms_and_uploads(source: &mut Source<'_>) {
    const ALARMS: &str = "not built in this version: convoke sends no alarms yet";
    const UPLOADS: &str = "not built in this version: there are no uploads yet";
    match source.text("alarm.event.scheduler.mode") {
        Given::Known(mode)
            if !["single", "cluster", "distributed", "multi", "disabled"]
                .contains(&mode.to_ascii_lowercase().as_str()) =>
        {
            let expected = "single, cluster, distributed, multi or disabled";
            source.refuse("alarm.event.scheduler.mode", format!("found {mode:?}, expected {expected}"));
        }
        Given::Known(mode) if mode.eq_ignore_ascii_case("disabled") => {
            source.remark("alarm.event.scheduler.mode", "disabled, as in convoke");
        }
        Given::Absent | Given::Wrong => {}
        _ => source.remark("alarm.event.scheduler.mode", ALARMS),
    }
    for key in ["alarm.event.scheduler.poll.interval", "alarm.event.scheduler.initial.jitter.max"] {
        if !matches!(source.duration(key, Unit::S, false), Given::Absent | Given::Wrong) {
            source.remark(key, ALARMS);
        }
    }
    if !matches!(source.integer("alarm.event.scheduler.batch.size", 1), Given::Absent | Given::Wrong) {
        source.remark("alarm.event.scheduler.batch.size", ALARMS);
    }
    if !matches!(source.duration("upload.expiration", Unit::Ms, true), Given::Absent | Given::Wrong) {
        source.remark("upload.expiration", UPLOADS);
    }
    if !matches!(source.size("upload.user.total.limit"), Given::Absent | Given::Wrong) {
        source.remark("upload.user.total.limit", UPLOADS);
    }
}

fn features(source: &mut Source<'_>) {
    let settings = source.switch("twp.settings.enabled", false);
    for key in ["common.contacts.enabled", "saas.subscription.enabled"] {
        match source.switch(key, false) {
            true if !settings => source.refuse(key, "true, and twp.settings.enabled is not"),
            true => source.remark(key, "not built in this version: convoke does not speak to Twake Workplace yet"),
            false => {}
        }
    }
    if settings {
        let text =
            "not built in this version: convoke does not speak to Twake Workplace yet; people choose their language";
        source.remark("twp.settings.enabled", text);
    }
}

fn text_of<T>(given: Given<T>) -> Given<String> {
    match given {
        Given::Later(text) => Given::Later(text),
        Given::Known(_) | Given::Wrong => Given::Wrong,
        Given::Absent => Given::Absent,
    }
}
