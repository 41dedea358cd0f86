//! `convoke user`: the accounts that convoke itself keeps.

use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, bail, ensure};
use chrono_tz::Tz;

use crate::accounts::{Account, Accounts, Password, PasswordDigest};
use crate::app;
use crate::clock::Env;
use crate::config::Config;
use crate::ids::{Email, UserId};

use super::DONE;

/// Manage the accounts that convoke itself keeps, in the data folder that the configuration names. Passwords are asked for
/// on the terminal, or read from standard input; never given on the command line, where others could see them.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Make an account, with its domain, calendar and address books
    Add(Add),
    /// List the accounts
    List {
        /// As JSON, one account a line
        #[arg(long)]
        json: bool,
    },
    /// Change the password of an account
    Password {
        /// Address of the account
        mail: Email,
        #[command(flatten)]
        source: PasswordSource,
    },
    /// Remove an account
    Remove {
        /// Address of the account
        mail: Email,
        /// Remove the calendars and address books too; they stay otherwise
        #[arg(long)]
        with_calendars: bool,
    },
    /// Make and update the accounts of an accounts file
    Apply {
        /// The file (TOML)
        file: PathBuf,
    },
}

#[derive(Debug, clap::Args)]
struct Add {
    /// Address, also the user name
    mail: Email,
    /// Name as others see it
    #[arg(long, default_value = "")]
    name: String,
    /// Language, e.g. fr
    #[arg(long, value_parser = language)]
    language: Option<String>,
    /// Time zone, e.g. Europe/Paris
    #[arg(long, value_parser = timezone)]
    timezone: Option<Tz>,
    /// Id of 24 hex digits, where paths must be the same as elsewhere
    #[arg(long)]
    id: Option<UserId>,
    #[command(flatten)]
    source: PasswordSource,
}

#[derive(Debug, clap::Args)]
struct PasswordSource {
    /// Read the password from the first line of standard input, without asking
    #[arg(long, conflicts_with = "password_hash")]
    password_stdin: bool,
    /// Take this argon2id hash (PHC string) instead of a password
    #[arg(long, value_name = "HASH")]
    password_hash: Option<String>,
}

/// Runs one of the commands.
pub fn run(args: Args, config: Config) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let env = Env::system();
        let engines = app::Engines::open(&config, &env).await?;
        let accounts = app::Identity::new(&engines, &config, &env).accounts;
        let done = execute(args.command, &accounts).await;
        engines.close().await;
        done.map(|()| ExitCode::from(DONE))
    })
}

async fn execute(command: Command, accounts: &Accounts) -> anyhow::Result<()> {
    match command {
        Command::Add(add) => {
            let password = add.source.read(&add.mail)?;
            let Add { mail, name, language, timezone, id, .. } = add;
            let account = Account { mail, name, password, language, timezone, id };
            let id = accounts.add(&account).await?;
            println!("{} has the id {id}", account.mail);
        }
        Command::List { json } => list(accounts, json).await?,
        Command::Password { mail, source } => {
            // Before asking for one.
            ensure!(accounts.find(&mail).await?.is_some(), "{mail} has no account");
            accounts.set_password(&mail, &source.read(&mail)?).await?;
            println!("{mail} has a new password");
        }
        Command::Remove { mail, with_calendars } => {
            accounts.remove(&mail, with_calendars).await?;
            println!("{mail} has no account any more");
        }
        Command::Apply { file } => {
            let file = crate::accounts::AccountsFile::read(&file)?;
            let applied = accounts.apply(&file).await?;
            println!("{} added, {} updated, {} unchanged", applied.added, applied.updated, applied.unchanged);
        }
    }
    Ok(())
}

async fn list(accounts: &Accounts, json: bool) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    for account in accounts.list().await? {
        let (zone, password) = (account.timezone.name(), account.has_password);
        if json {
            let line = serde_json::json!({
                "id": account.id, "mail": account.mail, "name": account.name, "language": account.language,
                "timezone": zone, "password": password,
            });
            writeln!(out, "{line}")?;
        } else {
            let lock = if password { "" } else { "  (no password here)" };
            writeln!(out, "{}  {}  {}  {}  {zone}{lock}", account.id, account.mail, account.name, account.language)?;
        }
    }
    Ok(())
}

impl PasswordSource {
    /// The hash given; else the first line of standard input where asked to or where there is no terminal; else what is
    /// typed twice, unseen.
    fn read(&self, mail: &Email) -> anyhow::Result<Password> {
        if let Some(hash) = &self.password_hash {
            return Ok(Password::Hashed(PasswordDigest::parse(hash)?));
        }
        let password = match self.password_stdin || !std::io::stdin().is_terminal() {
            true => first_line()?,
            false => ask_twice(mail)?,
        };
        ensure!(!password.is_empty(), "the password is empty");
        Ok(Password::Plain(password))
    }
}

fn first_line() -> anyhow::Result<String> {
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line).context("cannot read the password from standard input")?;
    Ok(line.trim_end_matches(['\n', '\r']).to_owned())
}

fn ask_twice(mail: &Email) -> anyhow::Result<String> {
    let password = rpassword::prompt_password(format!("Password of {mail}: ")).context("cannot ask for a password")?;
    if rpassword::prompt_password("Once more: ").context("cannot ask for a password")? != password {
        bail!("the two passwords differ");
    }
    Ok(password)
}

fn language(text: &str) -> Result<String, String> {
    let tag = text.parse::<unic_langid::LanguageIdentifier>();
    tag.map(|_| text.to_owned()).map_err(|_| "expected a language such as fr".to_owned())
}

fn timezone(text: &str) -> Result<Tz, String> {
    text.parse().map_err(|_| "expected a zone such as Europe/Paris".to_owned())
}
