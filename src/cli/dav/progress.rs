//! How far a long command is: a bar where there is a terminal, plain lines otherwise.

use std::io::IsTerminal as _;
use std::sync::atomic::Ordering;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::transfer::Counts;

const REDRAWN: Duration = Duration::from_millis(200);
const TOLD: Duration = Duration::from_secs(10);

/// A display on standard error.
pub(super) struct Shown(Option<ProgressBar>);

impl Shown {
    pub(super) fn new() -> Self {
        Self(std::io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template("{bar:30} {pos} of {len} {msg}  {elapsed}");
            ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        }))
    }

    /// Says a line without disturbing the bar.
    pub(super) fn say(&self, line: &str) {
        match &self.0 {
            Some(bar) => bar.suspend(|| eprintln!("{line}")),
            None => eprintln!("{line}"),
        }
    }

    /// Shows these counts; never ends.
    pub(super) async fn follow(&self, counts: &Counts) {
        loop {
            tokio::time::sleep(self.pause()).await;
            counts.failures().iter().for_each(|failure| self.say(failure));
            self.show(counts.done(), counts.found.load(Ordering::Relaxed), "objects");
        }
    }

    pub(super) fn show(&self, done: u64, of: u64, what: &str) {
        match &self.0 {
            Some(bar) => {
                bar.set_length(of);
                bar.set_position(done);
                bar.set_message(what.to_owned());
            }
            None => eprintln!("{done} of {of} {what}"),
        }
    }

    pub(super) fn pause(&self) -> Duration {
        if self.0.is_some() { REDRAWN } else { TOLD }
    }

    pub(super) fn end(&self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}
