//! The whole program in process, on free loopback ports, in a folder of its own.

use std::net::SocketAddr;
use std::path::Path;

use convoke::app::demo::{Demo, DemoOptions};
pub use convoke::cli::play::{ALICE, BOB};
use convoke::cli::play::{Person, SignedIn, Surfaces, sign_in};
use convoke::clock::Env;
use convoke::config::Upstream;
use convoke::net::{Client, ClientLimits};

/// A running demo and a client to talk to it.
pub struct World {
    pub demo: Demo,
    pub http: Client,
    pub env: Env,
    pub folder: tempfile::TempDir,
}

impl World {
    /// Everything embedded.
    pub async fn start() -> Self {
        Self::with_upstream(None).await
    }

    /// The demo in front of another DAV server.
    pub async fn with_upstream(upstream: Option<Upstream>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let env = Env::system();
        let demo = Demo::start(options(folder.path(), upstream), env.clone()).await.unwrap();
        let http = Client::new(ClientLimits::default()).unwrap();
        Self { demo, http, env, folder }
    }

    /// Stops the program and starts it again on the same folder.
    pub async fn restart(self) -> Self {
        let Self { demo, http, env, folder } = self;
        demo.stop().await;
        let demo = Demo::start(options(folder.path(), None), env.clone()).await.unwrap();
        Self { demo, http, env, folder }
    }

    pub fn surfaces(&self) -> Surfaces {
        convoke::cli::surfaces(&self.demo)
    }

    pub fn public(&self) -> String {
        self.surfaces().public
    }

    pub fn admin(&self) -> String {
        format!("http://{}", self.demo.admin())
    }

    pub async fn sign_in(&self, who: Person) -> SignedIn {
        sign_in(&self.http, self.demo.issuer(), who, &self.env).await.unwrap()
    }
}

pub fn options(folder: &Path, upstream: Option<Upstream>) -> DemoOptions {
    let any: SocketAddr = ([127, 0, 0, 1], 0).into();
    DemoOptions { data: folder.to_owned(), accounts: None, listen: any, admin_listen: any, demo_listen: any, upstream }
}
