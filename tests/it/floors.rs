//! The architecture as a test: a room uses only rooms on floors below its own, and no engine is named above its port.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Floor of each room. Within floor 2 the ports do not know each other, except that `auth` remembers tokens in `cache`,
/// and `mail` and `store` are plain; so they get half floors where one stands on another.
const FLOORS: &[(&str, u32)] = &[
    ("ids", 0),
    ("ical", 1),
    ("vcard", 2),
    ("clock", 1),
    ("events", 1),
    ("health", 1),
    ("config", 1),
    ("wording", 1),
    ("itip", 10),
    ("net", 10),
    ("sqlite", 10),
    ("mongo", 10),
    ("nodes", 11),
    ("cache", 20),
    ("mail", 20),
    ("search", 20),
    ("queue", 20),
    ("store", 21),
    ("dav", 22),
    ("auth", 22),
    ("accounts", 30),
    ("doctor", 30),
    ("indexing", 31),
    ("notify", 31),
    ("transfer", 31),
    ("dav::server", 41),
    ("api", 41),
    ("demo", 41),
    ("proxy", 41),
    ("push", 41),
    ("webadmin", 41),
    ("app", 50),
    ("cli", 51),
    ("main", 52),
];

/// Engines and the only rooms, besides themselves, that may name them.
const ENGINES: &[&str] = &[
    "sqlite",
    "mongo",
    "store::sqlite",
    "store::mongo",
    "nodes::sqlite",
    "nodes::mongo",
    "queue::sqlite",
    "queue::mongo",
    "queue::rabbitmq",
    "search::fts",
    "search::opensearch",
    "cache::memory",
    "cache::redis",
    "mail::folder",
    "mail::smtp",
    "dav::client",
    "dav::server",
];

struct Use {
    file: PathBuf,
    line: usize,
    module: String,
    room: String,
    target: String,
}

#[test]
fn rooms_use_only_rooms_on_lower_floors() {
    let mut wrong = Vec::new();
    for u in uses() {
        let target = room_of_path(&u.target);
        if target == u.room {
            continue;
        }
        let (Some(from), Some(to)) = (floor(&u.room), floor(&target)) else {
            wrong.push(format!("{}:{}: {} or {target} stands on no floor", u.file.display(), u.line, u.room));
            continue;
        };
        if to >= from {
            wrong.push(format!("{}:{}: {} uses {target}, which is not below it", u.file.display(), u.line, u.room));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn no_engine_is_named_above_its_port() {
    let within = |path: &str, engine: &str| path == engine || path.starts_with(&format!("{engine}::"));
    let first = |path: &str| path.split("::").next().unwrap_or_default().to_owned();
    let mut wrong = Vec::new();
    for u in uses() {
        let Some(engine) = ENGINES.iter().find(|e| within(&u.target, e)) else { continue };
        // Within its port's room; in the composition root; in another engine on the same database.
        let allowed = first(&u.module) == first(engine)
            || ["app", "cli", "main"].contains(&first(&u.module).as_str())
            || ENGINES.iter().any(|e| within(&u.module, e));
        if !allowed {
            wrong.push(format!("{}:{}: {} names the engine {}", u.file.display(), u.line, u.room, u.target));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn every_room_stands_on_a_floor() {
    let lib = std::fs::read_to_string("src/lib.rs").unwrap();
    let declared: BTreeSet<&str> = lib
        .lines()
        .filter_map(|l| l.trim().strip_prefix("pub mod ").or_else(|| l.trim().strip_prefix("mod ")))
        .filter_map(|l| l.strip_suffix(';'))
        .collect();
    let missing: Vec<_> = declared.into_iter().filter(|m| floor(m).is_none()).collect();
    assert!(missing.is_empty(), "no floor for {missing:?}");
}

fn floor(room: &str) -> Option<u32> {
    FLOORS.iter().find(|(name, _)| *name == room).map(|(_, floor)| *floor)
}

/// The room that a path such as `dav::server::Server` leads into.
fn room_of_path(path: &str) -> String {
    if path == "dav::server" || path.starts_with("dav::server::") {
        return "dav::server".to_owned();
    }
    path.split("::").next().unwrap_or_default().to_owned()
}

/// Every `crate::…` (or `convoke::…` in the binary) outside comments and test modules.
fn uses() -> Vec<Use> {
    let mut found = Vec::new();
    for file in rust_files(Path::new("src")) {
        let module = module_of_file(&file);
        let room = room_of_path(&module);
        if room == "lib" {
            continue;
        }
        let text = std::fs::read_to_string(&file).unwrap();
        let body = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
        let code: Vec<(usize, &str)> =
            body.lines().enumerate().map(|(i, l)| (i + 1, l.split("//").next().unwrap_or_default())).collect();
        for (line, text) in &code {
            for prefix in ["crate::", "convoke::"] {
                for (at, _) in text.match_indices(prefix) {
                    if text[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':') {
                        continue;
                    }
                    for target in expand(&text[at + prefix.len()..]) {
                        found.push(Use {
                            file: file.clone(),
                            line: *line,
                            module: module.clone(),
                            room: room.clone(),
                            target,
                        });
                    }
                }
            }
        }
    }
    assert!(found.len() > 20, "the search for uses finds nothing");
    found
}

/// `a::{b, c::d}` on one line stands for `a::b` and `a::c::d`; a list over several lines for `a`.
fn expand(path: &str) -> Vec<String> {
    let end = path.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':')).unwrap_or(path.len());
    let head = path[..end].trim_end_matches(':').to_owned();
    let Some(list) = path[end..].strip_prefix('{') else { return vec![head] };
    let list = list.split('}').next().unwrap_or_default();
    let mut all: Vec<String> = list
        .split(',')
        .map(str::trim)
        .filter(|item| !item.is_empty() && *item != "self")
        .map(|item| if head.is_empty() { item.to_owned() } else { format!("{head}::{item}") })
        .collect();
    if all.is_empty() {
        all.push(head);
    }
    all
}

/// `store::sqlite::dav` for `src/store/sqlite/dav.rs`.
fn module_of_file(file: &Path) -> String {
    let inside = file.strip_prefix("src").unwrap().with_extension("").to_string_lossy().replace('/', "::");
    inside.strip_suffix("::mod").unwrap_or(&inside).to_owned()
}

fn rust_files(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|e| e == "rs") {
            files.push(path);
        }
    }
    files
}
