//! `conf/convoke.toml` documents every key with its default: it is compared with the types.

use std::path::Path;

use convoke::config::Config;

#[test]
fn the_documented_configuration_is_the_default_one() {
    let documented = Config::load(Some(Path::new("conf/convoke.toml"))).unwrap();
    assert_eq!(documented, Config::default());
}

#[test]
fn every_key_is_documented() {
    let text = std::fs::read_to_string("conf/convoke.toml").unwrap();
    // Optional keys stand there as comments, `# key = …`.
    let documented: Vec<(String, String)> = keys_of(&text);
    let mut missing = Vec::new();
    let defaults = toml::Table::try_from(Config::default()).unwrap();
    collect("", &toml::Value::Table(defaults), &mut |section, key| {
        if !documented.contains(&(section.to_owned(), key.to_owned())) {
            missing.push(format!("[{section}] {key}"));
        }
    });
    for optional in ["password", "ca_file", "username"] {
        if !documented.contains(&("mail.smtp".to_owned(), optional.to_owned())) {
            missing.push(format!("[mail.smtp] {optional}"));
        }
    }
    assert!(missing.is_empty(), "conf/convoke.toml lacks {missing:#?}");
}

fn collect(section: &str, value: &toml::Value, found: &mut impl FnMut(&str, &str)) {
    let Some(table) = value.as_table() else { return };
    for (key, value) in table {
        if value.is_table() {
            let inner = if section.is_empty() { key.clone() } else { format!("{section}.{key}") };
            collect(&inner, value, found);
        } else if !value.as_array().is_some_and(Vec::is_empty) {
            found(section, key);
        }
    }
}

fn keys_of(text: &str) -> Vec<(String, String)> {
    let mut section = String::new();
    let mut keys = Vec::new();
    for line in text.lines().map(|l| l.trim().trim_start_matches('#').trim()) {
        if let Some(name) = line.strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
            section = name.trim_matches(['[', ']']).to_owned();
        } else if let Some((key, _)) = line.split_once('=') {
            let key = key.trim();
            if key.chars().all(|c| c.is_ascii_lowercase() || c == '_') {
                keys.push((section.clone(), key.to_owned()));
            }
        }
    }
    keys
}
