//! What the tests of authentication share: accounts in a fresh store, a clock to move, and a way to ask who a request is of.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use chrono::{DateTime, Utc};
use convoke::accounts::Accounts;
use convoke::auth::{AuthError, Authenticator, Identity, PasswordGate};
use convoke::cache::memory::MemoryTokenCache;
use convoke::clock::{Clock, Env, ManualClock, System};
use convoke::config::{self, Durability, I18n};
use convoke::demo::provider::{Provider, Settings};
use convoke::net::{Client, ClientLimits};
use convoke::sqlite::Sqlite;
use convoke::store::DirectoryStore;
use http::Request;
use http::header::AUTHORIZATION;
use tempfile::TempDir;
use tokio::net::TcpListener;

/// An installation with the people of the demo.
pub struct Home {
    pub dir: TempDir,
    pub store: Sqlite,
    pub accounts: Accounts,
    pub gate: Arc<PasswordGate>,
    pub clock: Arc<ManualClock>,
    pub env: Env,
    pub http: Client,
}

/// A clock that the test and the program share.
struct SharedClock(Arc<ManualClock>);

impl Clock for SharedClock {
    fn now(&self) -> DateTime<Utc> {
        self.0.now()
    }
}

impl Home {
    /// Alice, bob and carol live here; the clock stands at the present.
    pub async fn new() -> Self {
        let home = Self::empty();
        home.accounts.apply(&Accounts::demo()).await.unwrap();
        home
    }

    /// Nobody lives here.
    pub fn empty() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::at(System.now()));
        let env = Env::new(SharedClock(clock.clone()), System);
        let store = Sqlite::open(&dir.path().join("convoke.db"), Durability::Normal, env.clone()).unwrap();
        let accounts =
            Accounts::new(Arc::new(store.clone()), Some(Arc::new(store.clone())), I18n::default(), env.clone());
        let gate = Arc::new(PasswordGate::new(&config::Auth::default(), Arc::new(accounts.clone()), env.clone()));
        Self { dir, store, accounts, gate, clock, env, http: client() }
    }

    /// Recognises people by their accounts and by tokens of these providers.
    pub fn authenticator(&self, providers: Vec<config::Oidc>) -> Authenticator {
        let config = config::Auth { oidc: providers, ..config::Auth::default() };
        let cache =
            MemoryTokenCache::new(Duration::from_secs(config.token_cache_s), config.token_cache_size, self.env.clone());
        let admission = Arc::new(self.accounts.clone());
        Authenticator::from_config(
            &config,
            self.gate.clone(),
            admission,
            Arc::new(cache),
            self.http.clone(),
            self.env.clone(),
        )
    }

    /// The demo's provider for these accounts.
    pub async fn provider(&self, settings: Settings) -> (Provider, Listening) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let issuer = format!("http://{address}");
        let provider = Provider::open_with(
            self.dir.path(),
            &issuer,
            address,
            self.gate.clone(),
            self.accounts.clone(),
            self.env.clone(),
            settings,
        );
        let provider = provider.unwrap();
        let listening = Listening::on(listener, provider.router());
        (provider, listening)
    }

    /// Whether somebody has an account.
    pub async fn has_account(&self, mail: &str) -> bool {
        self.store.user_by_email(&mail.parse().unwrap()).await.unwrap().is_some()
    }
}

/// A client for loopback.
pub fn client() -> Client {
    let answer = Duration::from_secs(20);
    Client::new(ClientLimits { answer, ..ClientLimits::default() }).unwrap()
}

/// Routes that are served until this is dropped.
pub struct Listening {
    pub address: SocketAddr,
    task: tokio::task::JoinHandle<()>,
}

impl Listening {
    pub fn on(listener: TcpListener, router: Router) -> Self {
        let address = listener.local_addr().unwrap();
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, task }
    }

    pub async fn anywhere(router: Router) -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").await.unwrap(), router)
    }

    /// Stops listening, and waits until nobody listens.
    pub async fn stop(mut self) {
        self.task.abort();
        let _ = (&mut self.task).await;
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Who a request with this `Authorization` is of.
pub async fn who(authenticator: &Authenticator, authorization: &str) -> Result<Identity, AuthError> {
    let request = Request::get("/").header(AUTHORIZATION, authorization).body(()).unwrap();
    authenticator.authenticate(&request.into_parts().0).await
}

/// Whose token it is.
pub async fn bearer(authenticator: &Authenticator, token: &str) -> Result<String, AuthError> {
    who(authenticator, &format!("Bearer {token}")).await.map(|identity| identity.email.to_string())
}
