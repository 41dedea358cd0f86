//! The laws of `fuzz/src`, over the saved corpus and over random changes of it: what `scripts/fuzz` does for an hour, in a
//! moment and without tools. `CONVOKE_FUZZ_SECONDS` says how long in all (4; a minute in CI), `CONVOKE_FUZZ_SEED` which
//! changes (0).
//!
//! An input that breaks a law is written to `target/fuzz-failures`; mend what it shows, and put it into `fuzz/corpus`.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use self::laws::{TARGETS, Target};

#[path = "../../fuzz/src/lib.rs"]
mod laws;

/// Octets of an input at most.
const MOST: usize = 16 << 10;
/// An input that takes longer is one that work is not bounded for, also on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(60);

macro_rules! targets {
    ($($name:ident),*) => {
        $(#[test] fn $name() { run(stringify!($name)); })*

        #[test]
        fn every_target_is_run() {
            assert_eq!(TARGETS.map(|target| target.name).to_vec(), [$(stringify!($name)),*]);
        }
    };
}

targets!(calendars, cards, filters, headers, notations, requests, scheduling, xml);

#[test]
fn the_corpus_is_small_and_belongs_to_the_targets() {
    let folders = names(&root().join("corpus"));
    assert_eq!(folders, TARGETS.iter().map(|target| target.name.to_owned()).collect());
    let octets: usize = TARGETS.iter().flat_map(corpus).map(|(_, data)| data.len()).sum();
    assert!(octets < 1_000_000, "{octets} octets");
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz")
}

fn names(folder: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

fn corpus(target: &Target) -> Vec<(String, Vec<u8>)> {
    let folder = root().join("corpus").join(target.name);
    names(&folder).into_iter().map(|name| (name.clone(), std::fs::read(folder.join(name)).unwrap())).collect()
}

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().unwrap_or_else(|_| panic!("{name} is no number")))
}

fn run(name: &str) {
    let target = TARGETS.iter().find(|target| target.name == name).unwrap();
    let seeds = corpus(target);
    assert!(!seeds.is_empty(), "{name} has no corpus");
    for (file, data) in &seeds {
        check(target, data, file);
    }
    let time = Duration::from_secs(setting("CONVOKE_FUZZ_SECONDS").unwrap_or(4)) / TARGETS.len() as u32;
    let mut change = Change {
        random: Random(setting("CONVOKE_FUZZ_SEED").unwrap_or(0)),
        words: words(target),
        seeds: seeds.into_iter().map(|(_, data)| data).collect(),
    };
    let begun = Instant::now();
    let mut tried = 0_u64;
    while begun.elapsed() < time {
        let data = change.next();
        check(target, &data, "a changed input");
        tried += 1;
    }
    println!("{name}: {tried} changed inputs");
}

fn check(target: &Target, data: &[u8], what: &str) {
    let begun = Instant::now();
    let held = catch_unwind(AssertUnwindSafe(|| (target.check)(data))).is_ok();
    let took = begun.elapsed();
    if held && took < PATIENCE {
        return;
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/fuzz-failures");
    std::fs::create_dir_all(&folder).unwrap();
    let digest = data.iter().fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(*b)).wrapping_mul(0x0100_0000_01b3));
    let file = folder.join(format!("{}-{digest:016x}", target.name));
    std::fs::write(&file, data).unwrap();
    panic!("{}: {what} breaks a law, or takes too long ({took:?}); it is in {}", target.name, file.display());
}

/// The words of a dictionary of libFuzzer.
fn words(target: &Target) -> Vec<Vec<u8>> {
    let file = root().join("dictionaries").join(target.dictionary);
    let text = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    text.lines().filter_map(|line| Some(word(line.strip_prefix('"')?.strip_suffix('"')?.as_bytes()))).collect()
}

fn word(mut escaped: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    while let [first, rest @ ..] = escaped {
        escaped = match (first, rest) {
            (b'\\', [b'x', high, low, rest @ ..]) => {
                let hex = std::str::from_utf8(&[*high, *low]).unwrap().to_owned();
                out.push(u8::from_str_radix(&hex, 16).unwrap());
                rest
            }
            (b'\\', [other, rest @ ..]) => {
                out.push(*other);
                rest
            }
            (other, rest) => {
                out.push(*other);
                rest
            }
        };
    }
    out
}

/// SplitMix64: the same seed gives the same inputs everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `n`; 0 where there is none.
    fn below(&mut self, n: usize) -> usize {
        if n == 0 { 0 } else { (self.next() % n as u64) as usize }
    }
}

struct Change {
    random: Random,
    words: Vec<Vec<u8>>,
    seeds: Vec<Vec<u8>>,
}

impl Change {
    fn next(&mut self) -> Vec<u8> {
        let from = self.random.below(self.seeds.len());
        let mut data = self.seeds[from].clone();
        for _ in 0..=self.random.below(6) {
            self.once(&mut data);
        }
        data.truncate(MOST);
        data
    }

    fn once(&mut self, data: &mut Vec<u8>) {
        const ODD: [&[u8]; 10] = [
            b"0",
            b"-1",
            b"9999999999",
            b"\0",
            b"\r\n",
            b"\x7f",
            b"\xc3\xa9",
            b"\xef\xbf\xbf",
            b"\xf0\x9f\x91\xa9",
            b"\xff",
        ];
        let at = self.random.below(data.len() + 1);
        let part = self.part(data.len());
        match self.random.below(9) {
            0 if !data.is_empty() => {
                let at = at.min(data.len() - 1);
                data[at] ^= 1 << self.random.below(8);
            }
            1 => drop(data.drain(part)),
            2 => {
                let copy = data[part].repeat(1 + self.random.below(3));
                data.splice(at..at, copy);
            }
            3 | 4 if !self.words.is_empty() => {
                let word = self.words[self.random.below(self.words.len())].clone();
                let until = (at + if self.random.below(2) == 0 { 0 } else { word.len() }).min(data.len());
                data.splice(at..until, word);
            }
            5 => {
                let other = self.seeds[self.random.below(self.seeds.len())].clone();
                let piece = self.part(other.len());
                data.splice(part, other[piece].iter().copied());
            }
            6 => self.change_line(data),
            7 => {
                let odd = ODD[self.random.below(ODD.len())];
                data.splice(at..at, odd.iter().copied());
            }
            _ => self.change_number(data),
        }
        data.truncate(MOST);
    }

    /// Some part of so many octets, mostly a short one.
    fn part(&mut self, octets: usize) -> std::ops::Range<usize> {
        let from = self.random.below(octets + 1);
        let most = if self.random.below(4) == 0 { octets - from } else { (octets - from).min(24) };
        from..from + self.random.below(most + 1)
    }

    /// A line goes, comes twice, or changes places.
    fn change_line(&mut self, data: &mut Vec<u8>) {
        let mut lines: Vec<Vec<u8>> = data.split_inclusive(|b| *b == b'\n').map(<[u8]>::to_vec).collect();
        if lines.is_empty() {
            return;
        }
        let (one, other) = (self.random.below(lines.len()), self.random.below(lines.len()));
        match self.random.below(4) {
            0 => drop(lines.remove(one)),
            1 => lines.swap(one, other),
            2 => lines.insert(other, lines[one].clone()),
            _ => {
                let many = 1 << self.random.below(7);
                let line = lines[one].clone();
                lines.splice(other..other, std::iter::repeat_n(line, many));
            }
        }
        *data = lines.concat();
    }

    /// A run of digits becomes another one.
    fn change_number(&mut self, data: &mut Vec<u8>) {
        let digits: Vec<usize> = (0..data.len()).filter(|at| data[*at].is_ascii_digit()).collect();
        if digits.is_empty() {
            return;
        }
        let from = digits[self.random.below(digits.len())];
        let until = (from..data.len()).find(|at| !data[*at].is_ascii_digit()).unwrap_or(data.len());
        let new = match self.random.below(4) {
            0 => self.random.below(100).to_string(),
            1 => u64::MAX.to_string(),
            2 => "0".repeat(until - from),
            _ => (0..until - from).map(|_| char::from(b'0' + self.random.below(10) as u8)).collect(),
        };
        data.splice(from..until, new.into_bytes());
    }
}
