//! Work that one node at a time does, as long as it holds the lease.

use std::any::Any;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::sync::watch;
use tokio::time::Instant;

use super::{NodeId, NodesError, SharedLeases};

/// Of the time to live, the lease takes this many quarters; the others ask once a quarter, so that the two together are no
/// longer than the whole.
const LEASE_QUARTERS: u32 = 3;

/// Tells work that it is to come to an end.
#[derive(Debug, Clone)]
pub struct Stop(watch::Receiver<bool>);

impl Stop {
    /// Ready when the work is to finish what it is at, and return.
    pub fn requested(&self) -> impl Future<Output = ()> + Send + 'static {
        let mut stop = self.0.clone();
        async move {
            // An error means that nobody is there to stop it any more: time to stop, too.
            let _ = stop.wait_for(|stop| *stop).await;
        }
    }
}

/// Runs `work` on one node at a time, until `shutdown` is ready.
///
/// The lease is renewed while the work is under way. When it is lost, or cannot be renewed in time, the work is dropped where
/// it stands, before another node may begin: its effects must be such that they can be repeated. When `shutdown` is ready the
/// work hears of it by [`Stop`] and has `ttl` to return, then it is dropped; the lease is given back, so that another node
/// takes over at once. When a node dies another takes over within `ttl`. Work that ends by itself, or panics, is begun again
/// after a while, here or elsewhere.
///
/// Metric, with the label `lease`: `convoke_lease_held`, 1 on the node that does the work.
pub async fn alone<W, F>(
    leases: SharedLeases,
    name: &'static str,
    node: NodeId,
    ttl: Duration,
    shutdown: impl Future<Output = ()> + Send,
    work: W,
) where
    W: Fn(Stop) -> F + Send + Sync,
    F: Future<Output = ()> + Send,
{
    tokio::pin!(shutdown);
    let mut claim = Claim { leases, name, node, ttl, away: false };
    claim.tell(false);
    loop {
        let held = tokio::select! {
            () = &mut shutdown => return,
            held = claim.win() => held,
        };
        tracing::info!(lease = name, node = %claim.node.0, "this node has the lease");
        claim.tell(true);
        let stopping = claim.while_held(held, &mut shutdown, &work).await;
        claim.tell(false);
        if stopping {
            return;
        }
        tokio::select! {
            () = &mut shutdown => return,
            () = tokio::time::sleep(claim.pause()) => {}
        }
    }
}

/// A node's claim to a lease.
struct Claim {
    leases: SharedLeases,
    name: &'static str,
    node: NodeId,
    ttl: Duration,
    /// The engine did not answer the last time.
    away: bool,
}

/// How it came to an end.
enum End {
    Returned,
    Panicked,
    Lost,
    TooLong,
}

impl Claim {
    fn pause(&self) -> Duration {
        self.ttl / 4
    }

    /// Asks once; until when this node has the lease. The time is that before the question: the engine counts from later.
    async fn ask(&mut self) -> Result<Option<Instant>, NodesError> {
        let lease = self.pause() * LEASE_QUARTERS;
        let asked = Instant::now();
        let answer = self.leases.take(self.name, &self.node, lease).await;
        match &answer {
            Err(error) if !self.away => tracing::warn!(lease = self.name, %error, "nobody can say who has the lease"),
            Ok(_) if self.away => tracing::info!(lease = self.name, "it is known again who has the lease"),
            _ => {}
        }
        self.away = answer.is_err();
        Ok(answer?.then(|| asked + lease))
    }

    /// Waits until this node has the lease.
    async fn win(&mut self) -> Instant {
        loop {
            match self.ask().await {
                Ok(Some(until)) if until > Instant::now() => return until,
                Ok(_) | Err(_) => tokio::time::sleep(self.pause()).await,
            }
        }
    }

    /// Renews the lease again and again; returns when this node does not have it any more.
    async fn keep(&mut self, mut until: Instant) {
        loop {
            tokio::time::sleep_until(until.min(Instant::now() + self.pause())).await;
            match tokio::time::timeout_at(until, self.ask()).await {
                Ok(Ok(Some(renewed))) => until = renewed,
                Ok(Err(_)) if Instant::now() < until => {}
                Ok(Ok(None) | Err(_)) | Err(_) => return,
            }
        }
    }

    /// Works as long as the lease is held; true when the program is to stop.
    async fn while_held<W, F>(&mut self, until: Instant, shutdown: impl Future<Output = ()>, work: &W) -> bool
    where
        W: Fn(Stop) -> F,
        F: Future<Output = ()>,
    {
        let (stop, stopped) = watch::channel(false);
        let (ttl, name) = (self.ttl, self.name);
        let work = AssertUnwindSafe(async { work(Stop(stopped)).await }).catch_unwind();
        let patience = async {
            shutdown.await;
            stop.send_replace(true);
            tokio::time::sleep(ttl).await;
        };
        // Biased: work that returned at the last moment has returned.
        let end = tokio::select! {
            biased;
            outcome = work => outcome.map_or_else(|panic| panicked(name, &*panic), |()| End::Returned),
            () = self.keep(until) => End::Lost,
            () = patience => End::TooLong,
        };
        match end {
            End::Lost => tracing::warn!(lease = name, "the lease was lost; the work was dropped"),
            End::TooLong => tracing::warn!(lease = name, "the work did not end in time and was dropped"),
            End::Returned | End::Panicked => {}
        }
        if let Err(error) = self.leases.give_back(name, &self.node).await {
            tracing::debug!(lease = name, %error, "the lease was not given back and ends by itself");
        }
        *stop.borrow()
    }

    fn tell(&self, held: bool) {
        metrics::gauge!("convoke_lease_held", "lease" => self.name).set(u8::from(held));
    }
}

fn panicked(lease: &str, panic: &(dyn Any + Send)) -> End {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message");
    tracing::error!(lease, panic = text, "the work panicked and begins again");
    End::Panicked
}
