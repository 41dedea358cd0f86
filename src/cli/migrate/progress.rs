//! Progress for people: a bar on a terminal, a line now and then elsewhere.

use std::io::IsTerminal as _;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::store::copy::{Tally, Watch};

/// Time between two lines where there is no terminal.
const QUIET: Duration = Duration::from_secs(10);

/// Shows how far the work is, on standard error.
pub(super) struct Progress {
    /// `None` where there is no terminal.
    bar: Option<ProgressBar>,
    state: Mutex<State>,
}

struct State {
    part: &'static str,
    done: u64,
    steps: u64,
    told: Instant,
}

impl Progress {
    pub fn new() -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new(0);
            let style = ProgressStyle::with_template("{prefix:>20} {wide_bar} {pos}/{len} {elapsed} {msg}");
            // The default style is as good.
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar
        });
        Self { bar, state: Mutex::new(State { part: "", done: 0, steps: 0, told: Instant::now() }) }
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        match &self.bar {
            Some(bar) => bar.finish_and_clear(),
            None => self.end_part(),
        }
    }

    fn end_part(&self) {
        if let Ok(state) = self.state.lock()
            && !state.part.is_empty()
        {
            eprintln!("{}: {} of {}", state.part, state.done, state.steps);
        }
    }
}

impl Watch for Progress {
    fn begin(&self, part: &'static str, steps: u64) {
        match &self.bar {
            Some(bar) => {
                bar.reset();
                bar.set_prefix(part);
                bar.set_length(steps);
            }
            None => self.end_part(),
        }
        if let Ok(mut state) = self.state.lock() {
            *state = State { part, done: 0, steps, told: Instant::now() };
        }
    }

    fn step(&self, steps: u64) {
        if let Some(bar) = &self.bar {
            return bar.inc(steps);
        }
        if let Ok(mut state) = self.state.lock() {
            state.done += steps;
            if state.told.elapsed() >= QUIET {
                state.told = Instant::now();
                eprintln!("{}: {} of {}", state.part, state.done, state.steps);
            }
        }
    }

    fn tell(&self, tally: &Tally) {
        if let Some(bar) = &self.bar {
            bar.set_message(format!("{} users, {} objects", tally.users, tally.objects));
        }
    }
}
