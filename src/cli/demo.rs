//! `convoke demo`.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;

use crate::accounts::{Account, Accounts, Password};
use crate::app::demo::{Demo, DemoOptions};
use crate::clock::Env;
use crate::config::Log;
use crate::net::{Client, ClientLimits};

use super::play::{ALICE, BOB, Narrator, Surfaces, journey};
use super::serve::{runtime, stop_signal};
use super::{DONE, FAILED, logs};

/// Everything embedded in one folder, on loopback: built-in CalDAV server, OpenID provider with demo accounts, proxy, REST,
/// search, administration, and mail to an outbox folder with a page to read it.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Folder that keeps everything; made when missing, kept when there
    #[arg(long, value_name = "DIR", default_value = "convoke-data")]
    data: PathBuf,
    /// Accounts (TOML) instead of alice, bob and carol of example.org
    #[arg(long, value_name = "FILE")]
    accounts: Option<PathBuf>,
    /// Address of the public port (REST, DAV)
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// Address of the administration port
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8000")]
    admin_listen: SocketAddr,
    /// Address of the OpenID provider and the mail page
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8090")]
    demo_listen: SocketAddr,
    /// Play an invitation, an answer, an update and a cancellation through the public surfaces, then stop
    #[arg(long, conflicts_with = "accounts")]
    play: bool,
    /// A tracing filter for the log on standard error
    #[arg(long, value_name = "FILTER", default_value = "warn")]
    log: String,
}

/// Runs the demo until it is told to stop, or plays the journey and stops.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    logs::start(&Log { filter: args.log.clone(), ..Log::default() });
    runtime()?.block_on(async {
        let env = Env::system();
        let options = DemoOptions {
            data: args.data,
            accounts: args.accounts,
            listen: args.listen,
            admin_listen: args.admin_listen,
            demo_listen: args.demo_listen,
            upstream: None,
        };
        let demo = Demo::start(options, env.clone()).await?;
        let code = if args.play {
            play(&demo, &env).await
        } else {
            print!("{}", welcome(&demo));
            std::io::stdout().flush()?;
            stop_signal().await?;
            DONE
        };
        demo.stop().await;
        Ok(ExitCode::from(code))
    })
}

async fn play(demo: &Demo, env: &Env) -> u8 {
    let mut out = std::io::stdout();
    let story = async {
        let http = Client::new(ClientLimits::default()).context("cannot make an HTTP client")?;
        journey(&surfaces(demo), ALICE, BOB, &http, env, &mut Narrator::new(&mut out)).await
    };
    match story.await {
        Ok(()) => {
            println!("\nEvery step went as it should.");
            DONE
        }
        Err(error) => {
            println!("\nThis step failed: {error:#}");
            FAILED
        }
    }
}

/// Where the demo's surfaces are.
pub fn surfaces(demo: &Demo) -> Surfaces {
    Surfaces {
        public: format!("http://{}", demo.public()),
        issuer: demo.issuer().to_owned(),
        mails: format!("http://{}/mails", demo.provider()),
    }
}

fn welcome(demo: &Demo) -> String {
    let (public, admin, provider) = (demo.public(), demo.admin(), demo.provider());
    let mut text = format!(
        "convoke is ready, with everything in {data}\n\n\
         \x20 calendars, REST   http://{public}/   (DAV also below /dav/)\n\
         \x20 OpenID provider   {issuer}\n\
         \x20 mails sent        http://{provider}/mails/\n\
         \x20 administration    http://{admin}/healthcheck  http://{admin}/metrics\n\n\
         Accounts:\n",
        data = demo.data().display(),
        issuer = demo.issuer(),
    );
    for (account, password) in demo.accounts().iter().map(|a| (a, password_of(a))) {
        let language = account.language.as_deref().unwrap_or("-");
        let zone = account.timezone.map_or("-", |z| z.name());
        text.push_str(&format!("  {:<24} password {password:<12} {language:<3} {zone}\n", account.mail.as_str()));
    }
    let Some((mail, password)) = demo.accounts().first().map(|a| (&a.mail, password_of(a))) else { return text };
    text.push_str(&format!(
        "\nTry:\n\
         \x20 curl -u '{mail}:{password}' -X PROPFIND -H 'Depth: 0' http://{public}/\n\
         \x20 curl -u '{mail}:{password}' http://{public}/api/user\n\
         \x20 curl http://{admin}/healthcheck\n\
         \x20 convoke demo --play      an invitation, an answer, an update and a cancellation, step by step\n\n\
         Thunderbird: New Calendar > On the Network > user name {mail}, location http://{public}/\n\n\
         Ctrl-C stops it; the data stays.\n"
    ));
    text
}

/// The password to show: a hash tells none, but those of the embedded people are known.
fn password_of(account: &Account) -> &str {
    match &account.password {
        Password::Plain(password) => password,
        Password::Hashed(_) if Accounts::demo().accounts.contains(account) => account.mail.local_part(),
        Password::Hashed(_) => "(hashed)",
    }
}
