//! `convoke import-config`: one case is one folder below `tests/import/`; its README tells what is in one.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::LazyLock;

use convoke::config::Config;
use convoke::config::import::{Import, ImportError, Options, import};
use rsa::pkcs1::EncodeRsaPrivateKey as _;
use rsa::pkcs8::EncodePublicKey as _;
use rsa::pkcs8::LineEnding;

/// A pair of keys in PEM, made once: none is kept in the repository.
static KEYS: LazyLock<(String, String)> = LazyLock::new(|| {
    let private = rsa::RsaPrivateKey::new(&mut rsa::rand_core::OsRng, 2048).unwrap();
    let public = private.to_public_key().to_public_key_pem(LineEnding::LF).unwrap();
    (private.to_pkcs1_pem(LineEnding::LF).unwrap().to_string(), public)
});

struct Case {
    place: PathBuf,
    folder: tempfile::TempDir,
    options: Options,
}

impl Case {
    fn read(place: &Path) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let text = |name: &str| std::fs::read_to_string(place.join(name)).unwrap_or_default();
        let base = text("base");
        if !base.is_empty() {
            copy(&place.parent().unwrap().join(base.trim()).join("folder"), folder.path());
        }
        if place.join("folder").exists() {
            copy(&place.join("folder"), folder.path());
        }
        if place.join("keys").exists() {
            std::fs::write(folder.path().join("jwt_privatekey"), &KEYS.0).unwrap();
            std::fs::write(folder.path().join("jwt_publickey"), &KEYS.1).unwrap();
        }
        let mut options = Options::default();
        for option in text("options").split_whitespace() {
            match option {
                "--secrets-as-env" => options.secrets_as_env = true,
                "--lenient" => options.lenient = true,
                other => panic!("{}: no option {other}", place.display()),
            }
        }
        Self { place: place.to_owned(), folder, options }
    }

    fn import(&self) -> Import {
        import(self.folder.path(), self.options).unwrap_or_else(|e| panic!("{}: {e}", self.place.display()))
    }
}

fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

fn cases() -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = std::fs::read_dir("tests/import")
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .collect();
    found.sort();
    assert!(found.len() >= 8, "{found:?}");
    found
}

fn case(name: &str) -> Case {
    Case::read(&Path::new("tests/import").join(name))
}

fn remarks_of(import: &Import) -> String {
    import.remarks.iter().map(|remark| format!("{remark}\n")).collect()
}

#[test]
fn every_case_gives_what_is_written_down() {
    let bless = std::env::var("CONVOKE_BLESS").is_ok_and(|b| b == "1");
    for place in cases() {
        let found = Case::read(&place).import();
        for (name, text) in [("expected.toml", found.toml.clone()), ("remarks", Some(remarks_of(&found)))] {
            let file = place.join(name);
            match (&text, bless) {
                (Some(text), true) => std::fs::write(&file, text).unwrap(),
                (None, true) => drop(std::fs::remove_file(&file)),
                (_, false) => {
                    let expected = std::fs::read_to_string(&file).ok();
                    assert_eq!(text, expected, "{}", file.display());
                }
            }
        }
    }
}

#[test]
fn what_is_written_loads_and_says_only_what_differs_from_the_defaults() {
    for place in cases() {
        let case = Case::read(&place);
        let found = case.import();
        let Some(text) = found.toml else { continue };
        let table: toml::Table = text.parse().unwrap();
        let defaults: toml::Table = std::fs::read_to_string("conf/convoke.toml").unwrap().parse().unwrap();
        same("", &table, &defaults, &mut |key| panic!("{}: {key} has its default", place.display()));
        // What waits for the environment is judged when it is there.
        if text.contains("# Set in the environment") || case.options.lenient {
            continue;
        }
        Config::check(&text, "convoke.toml").unwrap_or_else(|e| panic!("{}: {e}", place.display()));
    }
}

fn same(at: &str, table: &toml::Table, defaults: &toml::Table, found: &mut impl FnMut(&str)) {
    for (key, value) in table {
        let at = format!("{at}.{key}");
        match (value, defaults.get(key)) {
            (toml::Value::Table(inner), Some(toml::Value::Table(defaults))) => same(&at, inner, defaults, found),
            (value, Some(default)) if value == default => found(&at),
            _ => {}
        }
    }
}

#[test]
fn every_key_of_the_full_folder_gets_its_remark() {
    let case = case("full");
    let found = case.import();
    let said: BTreeSet<(String, String)> =
        found.remarks.iter().map(|r| (r.file.clone(), r.key.trim_start_matches('@').to_owned())).collect();
    let mut keys = 0;
    for file in std::fs::read_dir(case.folder.path()).unwrap() {
        let name = file.unwrap().file_name().into_string().unwrap();
        let text = std::fs::read_to_string(case.folder.path().join(&name)).unwrap();
        if !name.ends_with(".properties") {
            assert!(said.iter().any(|(file, _)| *file == name), "nothing is said about {name}");
            continue;
        }
        if name == "extensions.properties" {
            continue;
        }
        for line in text.lines().filter(|l| !l.is_empty() && !l.starts_with(['#', ' '])) {
            let key = line.split(['=', ':', ' ']).next().unwrap();
            assert!(said.contains(&(name.clone(), key.to_owned())), "nothing is said about {name}: {key}");
            keys += 1;
        }
    }
    assert!(keys > 150, "only {keys} keys");
    let unknown: Vec<&str> =
        found.remarks.iter().filter(|r| r.text.starts_with("unknown")).map(|r| r.key.as_str()).collect();
    assert_eq!(unknown, ["favourite.colour", "@colour"]);
}

#[test]
fn no_secret_is_in_a_remark_and_none_in_the_file_when_they_are_left_to_the_environment() {
    let full = case("full").import();
    assert!(!remarks_of(&full).contains("s3cret"), "{}", remarks_of(&full));
    let kept = full.toml.unwrap();
    for secret in
        ["s3cret-db", "s3cret-mq", "s3cret-redis", "s3cret-search", "s3cret-smtp", "s3cret-oidc", "s3cret-one"]
    {
        assert!(kept.contains(secret), "{secret} is lost");
    }
    let found = case("secrets-as-env").import();
    for text in [found.toml.clone().unwrap(), remarks_of(&found)] {
        assert!(!text.contains("s3cret"), "{text}");
    }
    let text = found.toml.unwrap();
    for variable in [
        "MONGODB__URL",
        "RABBITMQ__URL",
        "MAIL__SMTP__PASSWORD",
        "UPSTREAM__ADMIN_PASSWORD",
        "WEBADMIN__PASSWORD",
        "AUTH__OIDC",
    ] {
        assert!(text.contains(&format!("#   CONVOKE__{variable}\n")), "{variable} is not named");
    }
}

/// Each refusal of storage §8.10 alone: what is changed in the minimal folder, and what is said.
#[test]
fn each_refusal_names_file_and_key() {
    let c = "configuration.properties";
    let r = "rabbitmq.properties";
    let o = "opensearch.properties";
    let w = "webadmin.properties";
    let u = "usersrepository.xml";
    let ldap = r#"<u ldapHosts="ldap://l" userBase="b" userIdAttribute="mail" userObjectClass="p""#;
    let no_class = ldap.replace(" userObjectClass=\"p\"", "/>");
    let bases = format!("{ldap}><domains><example.org>x</example.org></domains></u>");
    let cases: &[(&str, &str, &str, &str)] = &[
        (c, "mongo.database", "", "mongo.database"),
        (c, "admin.password", "", "admin.password"),
        (c, "spa.calendar.url", "", "spa.calendar.url"),
        (c, "spa.excal.url", "", "spa.excal.url"),
        (c, "", "spa.contacts.url=x", "spa.contacts.url"),
        (c, "", "openpaas.backend.url=http//x", "openpaas.backend.url"),
        (c, "", "oidc.userInfo.url=sso", "oidc.userInfo.url"),
        (c, "dav.url", "", "dav.url"),
        (c, "dav.admin.user", "dav.admin.user=", "dav.admin.user"),
        (c, "dav.admin.password", "", "dav.admin.password"),
        (c, "", "dav.rest.client.response.timeout=0s", "dav.rest.client.response.timeout"),
        (c, "smtp.host", "", "smtp.host"),
        (c, "smtp.port", "", "smtp.port"),
        (c, "smtp.port", "smtp.port=0", "smtp.port"),
        (c, "smtp.helo", "", "smtp.helo"),
        (c, "", "smtp.username=x", "smtp.password"),
        (c, "", "smtp.password=x", "smtp.username"),
        (c, "", "smtp.ssl.enabled=true\nsmtp.starttls.enabled=true", "smtp.starttls.enabled"),
        (c, "mail.template.location", "", "mail.template.location"),
        (c, "mail.sender", "", "mail.sender"),
        (c, "", "mail.imip.recipient.whitelist=bob", "mail.imip.recipient.whitelist"),
        (c, "", "jwt.key.private=file://conf/nothing", "jwt.key.private"),
        (c, "", "jwt.key.private=file://conf/rabbitmq.properties", "jwt.key.private"),
        (c, "", "jwt.key.public=file://conf/nothing", "jwt.key.public"),
        (c, "", "saas.subscription.enabled=true", "saas.subscription.enabled"),
        (c, "", "common.contacts.enabled=true", "common.contacts.enabled"),
        (c, "", "upload.user.total.limit=50Mib", "upload.user.total.limit"),
        (c, "", "oidc.token.cache.maxSize=-1", "oidc.token.cache.maxSize"),
        (c, "", "jwt.technical.token.expiration=0", "jwt.technical.token.expiration"),
        (c, "", "websocket.ping.interval=0s", "websocket.ping.interval"),
        (c, "", "alarm.event.scheduler.mode=both", "alarm.event.scheduler.mode"),
        // What convoke refuses by itself is told of the key that it comes from.
        ("redis.properties", "", "redisURL=redis://a,redis://b", "redisURL"),
        ("healthcheck.properties", "", "healthcheck.period=9999", "healthcheck.period"),
        (o, "", "opensearch.nb.shards=1", "opensearch.hosts"),
        (o, "", "opensearch.hosts=a\nopensearch.masterHost=b\nopensearch.port=1", "opensearch.hosts"),
        (o, "", "opensearch.masterHost=b", "opensearch.port"),
        (o, "", "opensearch.hosts=a\nopensearch.user=x", "opensearch.password"),
        (o, "", "opensearch.hosts=a\nopensearch.nb.shards=0", "opensearch.nb.shards"),
        (o, "", "opensearch.hosts=a\nopensearch.index.contact.min.ngram=0", "opensearch.index.contact.min.ngram"),
        (r, "uri", "", "uri"),
        (r, "management.uri", "", "management.uri"),
        (r, "management.user", "", "management.user"),
        (r, "management.password", "", "management.password"),
        (u, "", &no_class, "@userObjectClass"),
        (u, "", &bases, "domains"),
        (u, "", "<usersrepository", ""),
        (w, "", "enabled=true\nport=x", "port"),
        (w, "", "enabled=true\njwt.enabled=true", "jwt.publickeypem.url"),
    ];
    for (file, without, with, key) in cases {
        let case = case("minimal");
        let place = case.folder.path().join(file);
        let text = std::fs::read_to_string(&place).unwrap_or_default();
        let kept = text.lines().filter(|l| without.is_empty() || !l.starts_with(&format!("{without}=")));
        let changed = format!("{}\n{with}", kept.collect::<Vec<_>>().join("\n"));
        std::fs::write(&place, changed.trim_start()).unwrap();
        let found = case.import();
        let refused: Vec<(&str, &str)> = found.refused().map(|r| (r.file.as_str(), r.key.as_str())).collect();
        assert_eq!(refused, [(*file, *key)], "{file} without {without:?} with {with:?}");
        assert_eq!(found.toml, None);
    }
    for file in [c, r] {
        let case = case("minimal");
        std::fs::remove_file(case.folder.path().join(file)).unwrap();
        let found = case.import();
        assert_eq!(found.refused().map(|r| r.to_string()).collect::<Vec<_>>(), [format!("{file}: refused: missing")]);
    }
}

#[test]
fn queues_stay_what_they_are() {
    // `dav.queues.quorum.bypass` reads inverted (messaging §2.1).
    for (bypass, quorum, old, expected) in [
        (false, false, false, "classic-v2"),
        (false, true, false, "classic-v2"),
        (false, true, true, "classic-v1"),
        (true, true, false, "quorum"),
        (true, false, false, "classic-v1"),
    ] {
        let case = case("minimal");
        append(&case, "configuration.properties", &format!("dav.queues.quorum.bypass={bypass}"));
        append(&case, "rabbitmq.properties", &format!("quorum.queues.enable={quorum}"));
        append(&case, "jvm.properties", &format!("fallback.classic.queues.v1={old}"));
        let config = Config::check(&case.import().toml.unwrap(), "convoke.toml").unwrap();
        let found = toml::Value::try_from(&config).unwrap();
        assert_eq!(found["rabbitmq"]["queue_type"].as_str(), Some(expected), "{bypass} {quorum} {old}");
    }
}

fn append(case: &Case, file: &str, line: &str) {
    let place = case.folder.path().join(file);
    let text = std::fs::read_to_string(&place).unwrap_or_default();
    std::fs::write(place, format!("{text}\n{line}\n")).unwrap();
}

#[test]
fn a_folder_that_is_not_there_is_named() {
    let error = import(Path::new("/nonexistent/conf"), Options::default()).unwrap_err();
    assert!(matches!(error, ImportError::Folder { .. }));
    assert!(error.to_string().starts_with("/nonexistent/conf: "), "{error}");
}

fn convoke(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_convoke")).arg("import-config").args(args).output().unwrap()
}

#[test]
fn the_command_writes_a_file_for_its_owner_and_replaces_none() {
    use std::os::unix::fs::PermissionsExt as _;
    let case = case("minimal");
    let folder = case.folder.path().to_str().unwrap();
    let out = tempfile::tempdir().unwrap();
    let file = out.path().join("convoke.toml");
    let remarks = out.path().join("remarks");
    let args = [folder, "--output", file.to_str().unwrap(), "--remarks", remarks.to_str().unwrap()];
    let first = convoke(&args);
    assert!(first.status.success(), "{}", String::from_utf8_lossy(&first.stderr));
    assert_eq!(first.stdout, b"");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(std::fs::read_to_string(&remarks).unwrap(), remarks_of(&case.import()));
    Config::load(Some(&file)).unwrap();

    let second = convoke(&args);
    assert_eq!(second.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&second.stderr).contains("--force"));
    assert!(convoke(&[&args[..], &["--force"]].concat()).status.success());
}

#[test]
fn the_command_tells_every_refusal_and_writes_nothing_unless_lenient() {
    let case = case("refused");
    let folder = case.folder.path().to_str().unwrap();
    let strict = convoke(&[folder]);
    assert_eq!(strict.status.code(), Some(1));
    assert_eq!(strict.stdout, b"");
    let said = String::from_utf8(strict.stderr).unwrap();
    assert!(said.matches(": refused: ").count() > 40, "{said}");
    let lenient = convoke(&[folder, "--lenient"]);
    assert!(lenient.status.success());
    assert!(String::from_utf8(lenient.stdout).unwrap().contains("mail.example.org") || !lenient.stderr.is_empty());
}

#[test]
fn variables_of_the_environment_complete_what_was_left_to_them() {
    let case = case("secrets-as-env");
    let out = tempfile::tempdir().unwrap();
    let file = out.path().join("convoke.toml");
    std::fs::write(&file, case.import().toml.unwrap()).unwrap();
    let check = |set: bool| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_convoke"));
        command.args(["check-config", "--print", "--config", file.to_str().unwrap()]);
        if set {
            command
                .env("CONVOKE__UPSTREAM__ADMIN_PASSWORD", "4711")
                .env("CONVOKE__MAIL__SMTP__PASSWORD", "true")
                .env("CONVOKE__OPENSEARCH__PASSWORD", "x")
                .env("CONVOKE__WEBADMIN__PASSWORD", "007")
                .env("CONVOKE__AUTH__OIDC", "[{ audience = [\"calendar\"], issuer = \"https://sso.example.org\" }]");
        }
        command.output().unwrap()
    };
    let without = check(false);
    assert_eq!(without.status.code(), Some(2));
    let said = String::from_utf8(without.stderr).unwrap();
    for key in ["upstream.admin_password", "mail.smtp.password", "webadmin.password"] {
        assert!(said.contains(&format!("{key}: required")), "{said}");
    }
    let with = check(true);
    assert!(with.status.success(), "{}", String::from_utf8_lossy(&with.stderr));
    assert!(String::from_utf8(with.stdout).unwrap().contains("issuer = \"https://sso.example.org\""));
}
