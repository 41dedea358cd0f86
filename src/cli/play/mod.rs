//! `convoke demo --play`: the first whole journey, played through the public surfaces by HTTP, each step with what really
//! came back. The integration tests play it too.

mod browser;
mod calendar;
mod journey;
mod mailbox;

use std::io::Write;

pub use browser::{SignedIn, sign_in};
pub use calendar::Caldav;
pub use journey::journey;
pub use mailbox::{Mail, Mailbox};

/// Where the surfaces of a running program are.
#[derive(Debug, Clone)]
pub struct Surfaces {
    /// The public port, without a trailing `/`: REST, `/dav/**`, and DAV at the root.
    pub public: String,
    /// The OpenID provider's issuer.
    pub issuer: String,
    /// The page with the mails that were sent, without a trailing `/`.
    pub mails: String,
}

/// One of the people who play.
#[derive(Debug, Clone, Copy)]
pub struct Person {
    /// Address, also the user name.
    pub mail: &'static str,
    /// Password at the provider.
    pub password: &'static str,
}

/// The first of the demo's people.
pub const ALICE: Person = Person { mail: "alice@example.org", password: "alice" };
/// The second of the demo's people.
pub const BOB: Person = Person { mail: "bob@example.org", password: "bob" };

/// Says what happens, step by step.
pub struct Narrator<'a> {
    out: &'a mut (dyn Write + Send),
    step: usize,
}

impl<'a> Narrator<'a> {
    /// Tells the story to `out`.
    pub fn new(out: &'a mut (dyn Write + Send)) -> Self {
        Self { out, step: 0 }
    }

    /// A new step begins.
    pub fn step(&mut self, what: &str) -> std::io::Result<()> {
        self.step += 1;
        writeln!(self.out, "\n{:>2}. {what}", self.step)
    }

    /// What came back.
    pub fn saw(&mut self, what: &str) -> std::io::Result<()> {
        for line in what.lines() {
            writeln!(self.out, "      {line}")?;
        }
        self.out.flush()
    }
}
