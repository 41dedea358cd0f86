//! The one place where passwords are checked: remembers those that were right for a short while, and slows down those who
//! guess.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use futures_util::FutureExt as _;
use hmac::{Hmac, Mac as _};
use moka::sync::Cache;
use sha2::Sha256;
use subtle::ConstantTimeEq as _;
use tokio::sync::Semaphore;

use super::AuthError;
use super::single_flight::SingleFlight;
use crate::clock::Env;
use crate::config;
use crate::ids::Email;

/// Octets of a password that are looked at; longer ones are wrong.
const MAX_PASSWORD_BYTES: usize = 1024;
/// Accounts of which recent successes and failures are remembered.
const ACCOUNTS: u64 = 10_000;
/// Attempts that wait for their turn at an account where somebody guesses; more are told to come back.
const WAITING: usize = 4;
/// Attempts at all accounts that wait for a check; more are told to come back, so that guessing at many accounts at once
/// cannot make honest people wait for longer than they are patient. With two checks of 20 ms at once the last one waits for
/// 0.64 s.
const WAITING_CHECKS: usize = 64;
/// Failures count for this long after the first of them.
const WINDOW: Duration = Duration::from_secs(60);
/// Delay of the first attempt that is too many; doubled for each one after.
const FIRST_DELAY: Duration = Duration::from_millis(250);
/// Longest delay.
const LONGEST_DELAY: Duration = Duration::from_secs(8);

/// Nobody could say whether a password is right. Worth a retry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("passwords cannot be checked: {0}")]
pub struct VerifierError(pub String);

/// Knows passwords: the accounts of this installation, or an LDAP directory.
#[async_trait]
pub trait PasswordVerifier: Send + Sync + 'static {
    /// The user name that these are the credentials of; `None` when they are wrong. Takes as long for users that do not
    /// exist as for those that do.
    ///
    /// # Errors
    /// [`VerifierError`] when it cannot be told.
    async fn verify(&self, user: &Email, password: &str) -> Result<Option<Email>, VerifierError>;
}

/// Checks passwords for every surface that asks for one.
///
/// A password that was right is remembered for `auth.basic_cache_s` as a keyed hash, so that calendar programs, which send
/// it with each request, do not pay for the slow one each time. Guessing is slowed down per account, never locked out: a
/// remembered password passes at once, so that strangers cannot keep the owner out.
pub struct PasswordGate {
    inner: Arc<Inner>,
    flights: SingleFlight<Mac, Result<Email, AuthError>>,
}

type Mac = [u8; 32];

struct Inner {
    verifier: Arc<dyn PasswordVerifier>,
    env: Env,
    key: [u8; 32],
    recent: Cache<Email, Recent>,
    remember: chrono::Duration,
    suspects: Cache<Email, Arc<Suspect>>,
    failures_allowed: u32,
    checks: Semaphore,
    /// Attempts that wait for one of `checks`.
    waiting: AtomicUsize,
}

/// A password that was right.
#[derive(Clone)]
struct Recent {
    mac: Mac,
    user: Email,
    since: DateTime<Utc>,
}

/// An account that somebody tries to log in to.
struct Suspect {
    record: Mutex<Record>,
    waiting: AtomicUsize,
    turn: Semaphore,
}

/// The attempts at one account.
struct Record {
    failures: u32,
    /// Checked now. They count like failures until it is known that they are none, so that guesses sent at once are no
    /// quicker than guesses sent one after the other.
    under_way: u32,
    /// Moment of the first failure; of the last one where there were too many.
    since: DateTime<Utc>,
}

/// An attempt under way; undecided when it is dropped.
struct Attempt<'a>(&'a Suspect);

impl PasswordGate {
    /// A gate before this verifier.
    pub fn new(config: &config::Auth, verifier: Arc<dyn PasswordVerifier>, env: Env) -> Self {
        let mut key = [0; 32];
        env.fill(&mut key);
        let remember = i64::try_from(config.basic_cache_s).unwrap_or(i64::MAX).min(86_400);
        let inner = Inner {
            verifier,
            env,
            key,
            recent: Cache::new(ACCOUNTS),
            remember: chrono::Duration::seconds(remember),
            suspects: Cache::new(ACCOUNTS),
            // Somebody who never failed does not wait.
            failures_allowed: config.basic_failures_per_minute.max(1),
            checks: Semaphore::new(config.password_checks.clamp(1, 1024)),
            waiting: AtomicUsize::new(0),
        };
        Self { inner: Arc::new(inner), flights: SingleFlight::new() }
    }

    /// The user name that these are the credentials of.
    ///
    /// # Errors
    /// [`AuthError::WrongPassword`]; [`AuthError::Unavailable`] when it cannot be told, or when too many attempts wait
    /// already, at this account or at all of them.
    pub async fn check(&self, user: &Email, password: &str) -> Result<Email, AuthError> {
        // An LDAP server takes an empty password for an anonymous login (auth §14.13).
        if password.is_empty() || password.len() > MAX_PASSWORD_BYTES {
            return Err(AuthError::WrongPassword);
        }
        let mac = self.inner.mac(user, password);
        if let Some(name) = self.inner.remembered(user, &mac) {
            return Ok(name);
        }
        // A client that opens six connections at once is checked once.
        let (inner, user, password) = (self.inner.clone(), user.clone(), password.to_owned());
        self.flights.run(mac, || async move { inner.check_slowly(&user, &password, mac).await }.boxed()).await
    }

    /// Forgets what was right for this account: its password was changed, or it was removed.
    pub fn forget(&self, user: &Email) {
        self.inner.recent.invalidate(user);
    }
}

impl Inner {
    fn mac(&self, user: &Email, password: &str) -> Mac {
        #[expect(clippy::expect_used, reason = "HMAC takes keys of every length")]
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key).expect("a key of any length");
        mac.update(user.as_str().as_bytes());
        mac.update(&[0]);
        mac.update(password.as_bytes());
        mac.finalize().into_bytes().into()
    }

    fn remembered(&self, user: &Email, mac: &Mac) -> Option<Email> {
        let recent = self.recent.get(user)?;
        let right = bool::from(recent.mac.ct_eq(mac));
        (right && self.env.now() - recent.since < self.remember).then_some(recent.user)
    }

    /// Lets an attempt through: at once while there were few failures, then one after the other, each later than the one
    /// before. The delay comes before the check, so that its length tells nothing.
    async fn check_slowly(&self, user: &Email, password: &str, mac: Mac) -> Result<Email, AuthError> {
        let allowed = self.failures_allowed;
        let suspect = self.suspects.get_with_by_ref(user, || Arc::new(Suspect::new(self.env.now())));
        if let Some(attempt) = suspect.begin_at_once(allowed, self.env.now()) {
            return self.verify(user, password, mac, attempt).await;
        }
        let _queued = Queued::join(&suspect.waiting, WAITING)
            .ok_or_else(|| AuthError::unavailable("too many attempts at one account at once"))?;
        let _turn = suspect.turn.acquire().await.map_err(AuthError::unavailable)?;
        tokio::time::sleep(suspect.delay(allowed, self.env.now())).await;
        self.verify(user, password, mac, suspect.begin()).await
    }

    async fn verify(&self, user: &Email, password: &str, mac: Mac, attempt: Attempt<'_>) -> Result<Email, AuthError> {
        let queued = Queued::join(&self.waiting, WAITING_CHECKS)
            .ok_or_else(|| AuthError::unavailable("too many passwords wait to be checked"))?;
        let _permit = self.checks.acquire().await.map_err(AuthError::unavailable)?;
        drop(queued);
        let started = Instant::now();
        let verdict = self.verifier.verify(user, password).await;
        metrics::histogram!("basic_auth").record(started.elapsed());
        match verdict.map_err(AuthError::unavailable)? {
            Some(name) => {
                self.recent.insert(user.clone(), Recent { mac, user: name.clone(), since: self.env.now() });
                attempt.was_right();
                self.suspects.invalidate(user);
                Ok(name)
            }
            None => {
                let failures = attempt.was_wrong(self.failures_allowed, self.env.now());
                if failures == self.failures_allowed {
                    tracing::warn!(user = %user, failures, "many wrong passwords for one account: answers are delayed");
                }
                Err(AuthError::WrongPassword)
            }
        }
    }
}

impl Suspect {
    fn new(since: DateTime<Utc>) -> Self {
        Self {
            record: Mutex::new(Record { failures: 0, under_way: 0, since }),
            waiting: AtomicUsize::new(0),
            turn: Semaphore::new(1),
        }
    }

    /// Begins an attempt that need not wait; `None` when it must.
    fn begin_at_once(&self, allowed: u32, now: DateTime<Utc>) -> Option<Attempt<'_>> {
        let mut record = self.lock();
        let free = record.count(now) < allowed;
        free.then(|| {
            record.under_way += 1;
            Attempt(self)
        })
    }

    /// Begins an attempt that has waited.
    fn begin(&self) -> Attempt<'_> {
        self.lock().under_way += 1;
        Attempt(self)
    }

    fn delay(&self, allowed: u32, now: DateTime<Utc>) -> Duration {
        delay_after(self.lock().count(now), allowed)
    }

    fn lock(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Record {
    /// Recent failures and what may become one.
    fn count(&mut self, now: DateTime<Utc>) -> u32 {
        let recent = (now - self.since).to_std().is_ok_and(|age| age < WINDOW);
        if !recent {
            self.failures = 0;
        }
        self.failures.saturating_add(self.under_way)
    }
}

impl Attempt<'_> {
    fn was_right(self) {
        self.0.lock().failures = 0;
    }

    /// Notes a failure and says how many there were.
    fn was_wrong(self, allowed: u32, now: DateTime<Utc>) -> u32 {
        let mut record = self.0.lock();
        record.failures = record.failures.saturating_add(1);
        // Whoever goes on guessing stays slow.
        if record.failures == 1 || record.failures >= allowed {
            record.since = now;
        }
        record.failures
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        self.0.lock().under_way -= 1;
    }
}

/// How long an attempt waits after this many failures.
fn delay_after(failures: u32, allowed: u32) -> Duration {
    match failures.checked_sub(allowed) {
        None => Duration::ZERO,
        Some(too_many) => FIRST_DELAY.saturating_mul(1 << too_many.min(16)).min(LONGEST_DELAY),
    }
}

/// A place in the queue, given back when dropped.
struct Queued<'a>(&'a AtomicUsize);

impl<'a> Queued<'a> {
    fn join(waiting: &'a AtomicUsize, most: usize) -> Option<Self> {
        let place = Self(waiting);
        // Dropping `place` gives it back when the queue was full.
        (waiting.fetch_add(1, Ordering::Relaxed) < most).then_some(place)
    }
}

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Clock, CountingEntropy, ManualClock};

    /// Knows alice's password and counts how often it was asked.
    #[derive(Default)]
    struct OneAccount {
        asked: AtomicUsize,
        away: std::sync::atomic::AtomicBool,
    }

    #[async_trait]
    impl PasswordVerifier for OneAccount {
        async fn verify(&self, user: &Email, password: &str) -> Result<Option<Email>, VerifierError> {
            self.asked.fetch_add(1, Ordering::SeqCst);
            tokio::task::yield_now().await;
            if self.away.load(Ordering::SeqCst) {
                return Err(VerifierError("away".to_owned()));
            }
            Ok((user.as_str() == "alice@example.org" && password == "right").then(|| user.clone()))
        }
    }

    struct SharedClock(Arc<ManualClock>);

    impl Clock for SharedClock {
        fn now(&self) -> DateTime<Utc> {
            self.0.now()
        }
    }

    fn gate(config: &config::Auth) -> (PasswordGate, Arc<OneAccount>, Arc<ManualClock>) {
        let clock = Arc::new(ManualClock::at(DateTime::from_timestamp(1_790_000_000, 0).unwrap()));
        let env = Env::new(SharedClock(clock.clone()), CountingEntropy::default());
        let accounts = Arc::new(OneAccount::default());
        (PasswordGate::new(config, accounts.clone(), env), accounts, clock)
    }

    fn alice() -> Email {
        "alice@example.org".parse().unwrap()
    }

    #[tokio::test]
    async fn a_password_that_was_right_is_not_checked_again_for_a_while() {
        let (gate, accounts, clock) = gate(&config::Auth { basic_cache_s: 60, ..config::Auth::default() });
        for _ in 0..3 {
            assert_eq!(gate.check(&alice(), "right").await, Ok(alice()));
        }
        assert_eq!(accounts.asked.load(Ordering::SeqCst), 1);
        assert_eq!(gate.check(&alice(), "wrong").await, Err(AuthError::WrongPassword));
        clock.advance(chrono::Duration::seconds(61));
        assert_eq!(gate.check(&alice(), "right").await, Ok(alice()));
        assert_eq!(accounts.asked.load(Ordering::SeqCst), 3);
        gate.forget(&alice());
        assert_eq!(gate.check(&alice(), "right").await, Ok(alice()));
        assert_eq!(accounts.asked.load(Ordering::SeqCst), 4);
    }

    #[tokio::test]
    async fn nothing_is_remembered_where_the_configuration_says_so() {
        let (gate, accounts, _) = gate(&config::Auth { basic_cache_s: 0, ..config::Auth::default() });
        for _ in 0..2 {
            gate.check(&alice(), "right").await.unwrap();
        }
        assert_eq!(accounts.asked.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn requests_at_the_same_time_are_checked_once() {
        let (gate, accounts, _) = gate(&config::Auth::default());
        let alice = alice();
        let six = futures_util::future::join_all((0..6).map(|_| gate.check(&alice, "right"))).await;
        assert!(six.iter().all(Result::is_ok));
        assert_eq!(accounts.asked.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn an_empty_or_endless_password_never_reaches_the_verifier() {
        let (gate, accounts, _) = gate(&config::Auth::default());
        for password in [String::new(), "x".repeat(MAX_PASSWORD_BYTES + 1)] {
            assert_eq!(gate.check(&alice(), &password).await, Err(AuthError::WrongPassword));
        }
        assert_eq!(accounts.asked.load(Ordering::SeqCst), 0);
    }

    #[tokio::test]
    async fn a_verifier_that_is_away_is_no_wrong_password() {
        let (gate, accounts, _) = gate(&config::Auth::default());
        accounts.away.store(true, Ordering::SeqCst);
        assert!(matches!(gate.check(&alice(), "right").await, Err(AuthError::Unavailable { .. })));
        accounts.away.store(false, Ordering::SeqCst);
        assert_eq!(gate.check(&alice(), "right").await, Ok(alice()));
    }

    #[test]
    fn each_failure_beyond_the_allowed_ones_doubles_the_delay() {
        let delays = [0, 9, 10, 11, 12, 15, 16, 99].map(|failures| delay_after(failures, 10).as_millis());
        assert_eq!(delays, [0, 0, 250, 500, 1_000, 8_000, 8_000, 8_000]);
        assert_eq!(delay_after(u32::MAX, 0), LONGEST_DELAY);
    }

    #[tokio::test]
    async fn somebody_who_guesses_waits_in_a_short_queue_and_does_not_keep_the_owner_out() {
        let (gate, accounts, clock) = gate(&config::Auth { basic_failures_per_minute: 3, ..config::Auth::default() });
        gate.check(&alice(), "right").await.unwrap();
        for guess in ["1", "2", "3"] {
            assert_eq!(gate.check(&alice(), guess).await, Err(AuthError::WrongPassword));
        }
        let guesses: Vec<String> = (0..WAITING + 3).map(|n| format!("guess {n}")).collect();
        let alice = alice();
        let mut attempts: Vec<_> = guesses.iter().map(|guess| Box::pin(gate.check(&alice, guess))).collect();
        let turned_away = attempts.iter_mut().filter_map(|attempt| attempt.now_or_never()).collect::<Vec<_>>();
        assert_eq!(turned_away.len(), 3);
        assert!(turned_away.iter().all(|answer| matches!(answer, Err(AuthError::Unavailable { .. }))));
        assert_eq!(accounts.asked.load(Ordering::SeqCst), 4, "those who wait were not checked");
        assert_eq!(gate.check(&alice, "right").await, Ok(alice.clone()), "the owner's password is remembered");
        drop(attempts);
        clock.advance(chrono::Duration::from_std(WINDOW).unwrap());
        assert_eq!(gate.check(&alice, "4").await, Err(AuthError::WrongPassword));
    }

    #[tokio::test]
    async fn guesses_sent_at_once_are_no_quicker_than_guesses_one_by_one() {
        let (gate, _, _) = gate(&config::Auth { basic_failures_per_minute: 3, ..config::Auth::default() });
        let (alice, guesses): (_, Vec<String>) = (alice(), (0..60).map(|n| format!("guess {n}")).collect());
        let mut attempts: Vec<_> = guesses.iter().map(|guess| Box::pin(gate.check(&alice, guess))).collect();
        let turned_away: Vec<_> = attempts.iter_mut().filter_map(|attempt| attempt.now_or_never()).collect();
        assert!(turned_away.iter().all(|answer| matches!(answer, Err(AuthError::Unavailable { .. }))));
        assert_eq!(60 - turned_away.len(), 3 + WAITING, "three are checked at once, a few wait");
    }

    #[tokio::test]
    async fn attempts_that_nobody_decided_are_no_failures() {
        let (gate, accounts, _) = gate(&config::Auth { basic_failures_per_minute: 3, ..config::Auth::default() });
        let alice = alice();
        accounts.away.store(true, Ordering::SeqCst);
        for guess in ["1", "2", "3"] {
            assert!(matches!(gate.check(&alice, guess).await, Err(AuthError::Unavailable { .. })));
        }
        accounts.away.store(false, Ordering::SeqCst);
        for guess in ["4", "5", "6"] {
            assert_eq!(Box::pin(gate.check(&alice, guess)).now_or_never(), None, "given up while it is checked");
        }
        for guess in ["7", "8", "9"] {
            // A delayed attempt is not checked in as many turns as this.
            let mut attempt = Box::pin(gate.check(&alice, guess));
            assert_eq!(attempt.as_mut().now_or_never(), None);
            tokio::task::yield_now().await;
            assert_eq!(attempt.now_or_never(), Some(Err(AuthError::WrongPassword)));
        }
    }

    #[tokio::test]
    async fn a_short_queue_waits_for_a_check_whatever_the_account() {
        let (gate, _, _) = gate(&config::Auth { password_checks: 2, ..config::Auth::default() });
        let people: Vec<Email> = (0..200).map(|n| format!("user{n}@example.org").parse().unwrap()).collect();
        let mut attempts: Vec<_> = people.iter().map(|person| Box::pin(gate.check(person, "guess"))).collect();
        let turned_away: Vec<_> = attempts.iter_mut().filter_map(|attempt| attempt.now_or_never()).collect();
        assert!(turned_away.iter().all(|answer| matches!(answer, Err(AuthError::Unavailable { .. }))));
        assert_eq!(200 - turned_away.len(), 2 + WAITING_CHECKS);
    }
}
