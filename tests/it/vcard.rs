//! Cards from one version to the other, one folder per case under `tests/vcard/`. Each has a README line that says what it
//! shows, and the card in one version, `3.vcf` or `4.vcf`; `expected/` holds it in the other version, as jCard, and as it
//! comes back.
//!
//! `CONVOKE_BLESS=1 cargo test --test it vcard` writes down what comes out; read the difference before committing it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use convoke::vcard::jcard::{from_jcard, to_jcard};
use convoke::vcard::{Card, Version};

/// File name and content of what a case produced.
type Produced = BTreeMap<String, String>;

fn read(path: &Path) -> Option<Card> {
    let text = fs::read_to_string(path).ok()?;
    Some(Card::parse(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display())))
}

/// The card as a file: lines end as they do in the repository.
fn readable(card: &Card) -> String {
    card.to_wire().replace("\r\n", "\n")
}

fn run(folder: &Path) -> Produced {
    let (card, other) = match (read(&folder.join("3.vcf")), read(&folder.join("4.vcf"))) {
        (Some(card), None) => (card, Version::V4),
        (None, Some(card)) => (card, Version::V3),
        _ => panic!("{}: a case is either 3.vcf or 4.vcf", folder.display()),
    };
    let own = card.version().unwrap();
    let converted = card.to_version(other);
    let back = converted.to_version(own);
    let json = to_jcard(&if own == Version::V4 { card } else { converted.clone() });
    let again = to_jcard(&from_jcard(&json).unwrap());
    assert_eq!(again, json, "{}: jCard does not come back", folder.display());
    let file = |version: Version| format!("expected/{}.vcf", &version.as_str()[..1]);
    Produced::from([
        (file(other), readable(&converted)),
        (file(own), readable(&back)),
        ("expected/4.json".to_owned(), format!("{}\n", serde_json::to_string_pretty(&json).unwrap())),
    ])
}

fn folders() -> Vec<PathBuf> {
    let mut folders: Vec<_> = fs::read_dir("tests/vcard").unwrap().map(|e| e.unwrap().path()).collect();
    folders.sort();
    assert!(folders.len() > 10);
    folders
}

#[test]
fn every_card_is_in_the_other_version_what_its_folder_says() {
    let bless = std::env::var_os("CONVOKE_BLESS").is_some();
    let mut wrong = Vec::new();
    for folder in folders() {
        assert!(folder.join("README").exists(), "{} does not say what it shows", folder.display());
        for (name, text) in run(&folder) {
            let path = folder.join(&name);
            if bless {
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(&path, &text).unwrap();
            } else if fs::read_to_string(&path).unwrap_or_default() != text {
                wrong.push(format!("--- {}\n{text}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn a_converted_card_is_whole() {
    for folder in folders() {
        for (name, text) in run(&folder).into_iter().filter(|(name, _)| name.ends_with(".vcf")) {
            let card = Card::parse(&text).unwrap();
            let faults: Vec<_> = card.faults().iter().map(ToString::to_string).collect();
            let expected = |f: &&String| !f.contains("UID") && !f.contains("base64");
            assert_eq!(faults.iter().filter(expected).count(), 0, "{}/{name}: {faults:?}", folder.display());
        }
    }
}
