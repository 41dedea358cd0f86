//! `convoke dav import`.

use std::io::{BufRead as _, IsTerminal as _};
use std::process::ExitCode;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context as _, ensure};

use super::progress::Shown;
use crate::app;
use crate::cli::{DONE, FAILED};
use crate::clock::Env;
use crate::config::Config;
use crate::ical::Limits;
use crate::ids::Email;
use crate::net::{Client, ClientLimits};
use crate::transfer::{Account, Counts, Credentials, Folder, Import, Options, sign_in};

/// Time for one answer of a server that has a large calendar to tell.
const PATIENCE: Duration = Duration::from_secs(120);

/// Copies files, folders (one folder a collection, as vdirsyncer has them and `convoke dav export` writes them) or an account of
/// another CalDAV and CardDAV server: Radicale, Nextcloud, SOGo, Baïkal, esn-sabre and others. Nobody is invited or told by
/// mail. What is there already stays, unless --replace is given. Exit status 1 when something could not be copied; running it
/// again does no harm.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A file (.ics, .vcf), a folder, or the URL of a server, account, calendar or address book
    #[arg(required = true, value_name = "FILE|DIR|URL")]
    from: Vec<String>,
    /// Whose calendars and address books to fill
    #[arg(long, value_name = "EMAIL")]
    user: Email,
    /// Put everything into the calendar or address book of this name in the URL; made where there is none
    #[arg(long, value_name = "NAME")]
    into: Option<String>,
    /// Only collections of this name in the URL or folder; may be given several times
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// All but collections of this name; may be given several times
    #[arg(long, value_name = "NAME")]
    except: Vec<String>,
    /// Replace objects that are there already
    #[arg(long)]
    replace: bool,
    /// User name on the other server; the address otherwise. The password is asked for, or read from the first line of standard
    /// input
    #[arg(long, value_name = "NAME")]
    from_user: Option<String>,
    /// Objects that are stored at once
    #[arg(long, value_name = "N", default_value_t = 4)]
    at_once: usize,
}

pub(super) async fn run(args: Args, config: &Config, engines: &app::Engines, env: &Env) -> anyhow::Result<ExitCode> {
    let target = super::account(&args.user, config, engines, env).await?;
    let limits = &config.limits;
    let options = Options {
        into: args.into.clone(),
        only: args.only.clone(),
        except: args.except.clone(),
        replace: args.replace,
        at_once: args.at_once,
        limits: Limits { bytes: limits.object_bytes, depth: limits.object_depth, lines: limits.object_lines },
    };
    let import = Import { target, options };
    let mut password = None;
    let mut sources = Vec::new();
    for from in &args.from {
        sources.push(Source::open(from, &args, &mut password).await.with_context(|| from.clone())?);
    }
    let (counts, shown) = (Counts::default(), Shown::new());
    let copying = async {
        for (source, from) in sources.iter().zip(&args.from) {
            let copied = match source {
                Source::Folder(folder) => import.folder(folder, &counts).await,
                Source::Account(account) => import.account(account, &counts).await,
            };
            copied.with_context(|| from.clone())?;
        }
        anyhow::Ok(())
    };
    let done = tokio::select! {
        done = copying => done,
        () = shown.follow(&counts) => Ok(()),
    };
    counts.failures().iter().for_each(|failure| shown.say(failure));
    shown.end();
    println!("{}", summary(&counts));
    done?;
    Ok(ExitCode::from(if counts.failed.load(Ordering::Relaxed) == 0 { DONE } else { FAILED }))
}

fn summary(counts: &Counts) -> String {
    let [collections, copied, replaced, present, failed] =
        [&counts.collections, &counts.copied, &counts.replaced, &counts.present, &counts.failed]
            .map(|count| count.load(Ordering::Relaxed));
    format!("{collections} collections: {copied} copied, {replaced} replaced, {present} there already, {failed} failed")
}

enum Source {
    Folder(Folder),
    Account(Account),
}

impl Source {
    async fn open(from: &str, args: &Args, password: &mut Option<String>) -> anyhow::Result<Self> {
        if !from.starts_with("http://") && !from.starts_with("https://") {
            ensure!(std::path::Path::new(from).exists(), "there is no such file or folder");
            return Ok(Self::Folder(Folder::new(from)));
        }
        let user = args.from_user.clone().unwrap_or_else(|| args.user.to_string());
        let password = match password {
            Some(password) => password.clone(),
            None => password.insert(ask(&user, from)?).clone(),
        };
        let limits = ClientLimits { answer: PATIENCE, ..ClientLimits::default() };
        let client = Client::new(limits).context("the trust anchors of this system cannot be read")?;
        let (upstream, path) = sign_in(client, from, &Credentials { user, password })?;
        Ok(Self::Account(Account::at(upstream, &path).await?))
    }
}

fn ask(user: &str, at: &str) -> anyhow::Result<String> {
    if std::io::stdin().is_terminal() {
        let question = format!("Password of {user} at {at}: ");
        return rpassword::prompt_password(question).context("cannot ask for a password");
    }
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line).context("cannot read the password from standard input")?;
    Ok(line.trim_end_matches(['\n', '\r']).to_owned())
}
