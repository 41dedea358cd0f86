//! Live updates: a WebSocket that tells pages in browsers what changed (messaging §5).
//!
//! In come the domain events of the queue, which become messages of the bus ([`Push::handle`]), so that each node can tell
//! the clients that are connected to it; and, by `POST /ws/ticket` and `GET /ws`, clients with what they want to hear of.
//! Out go small frames that say *that* something changed, with the sync token of the calendar as the DAV server tells it to
//! that very user at that moment: who lost a right hears nothing more. One subscription on the bus serves all connections of
//! a node that listen to the same key.
//!
//! Nothing here is durable, and nobody is ever sent what is in a calendar. Whatever is lost on the way, a client that comes
//! back and registers anew has lost nothing. What a client, a slow connection or a burst of changes may cost is bounded by
//! `[push]`.
//!
//! Sync tokens and rights are asked for by PROPFIND (`token`), which the built-in server and esn-sabre answer alike.

mod admission;
mod connection;
mod consumers;
mod event;
mod frame;
mod hub;
mod mailbox;
mod open;
mod pace;
mod place;
mod tickets;
mod token;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::{any, delete, get, options, post};
use tokio::sync::watch;

use self::admission::{Issued, Seats};
use self::hub::Hub;
use self::token::Tokens;
use crate::auth::RequireUser;
use crate::cache::SharedBus;
use crate::clock::Env;
use crate::config::{self, Config};
use crate::dav::Upstream;
use crate::net::Cors;
use crate::queue::{ConsumerSpec, Delivery, Failure};
use crate::store::{SharedDirectory, SharedTickets};

/// The ports that live updates stand on.
#[derive(Clone)]
pub struct Ports {
    /// Tickets; the same for all nodes.
    pub tickets: SharedTickets,
    /// Who has which home.
    pub directory: SharedDirectory,
    /// Where sync tokens are asked for.
    pub upstream: Upstream,
    /// The other nodes.
    pub bus: SharedBus,
}

/// Live updates of one node. Cheap to clone; all clones share the connections.
#[derive(Clone)]
pub struct Push(Arc<Room>);

/// What connections, routes and consumers share.
struct Room {
    tickets: SharedTickets,
    directory: SharedDirectory,
    bus: SharedBus,
    hub: Hub,
    /// For what changed.
    looks: Tokens,
    /// For what is to be registered; apart, so that nobody keeps others from their news by registering much.
    checks: Tokens,
    seats: Seats,
    issued: Issued,
    config: config::Push,
    cors: Cors,
    env: Env,
    stop: watch::Sender<bool>,
}

impl Room {
    /// Waits for the end of the program.
    async fn stopping(&self) {
        // The sender is in this very room, so the wait ends by the value only.
        let _ = self.stop.subscribe().wait_for(|stop| *stop).await;
    }
}

impl Push {
    /// Live updates on these ports.
    pub fn new(ports: Ports, config: &Config, env: Env) -> Self {
        let Ports { tickets, directory, upstream, bus } = ports;
        Self(Arc::new(Room {
            tickets,
            directory,
            hub: Hub::new(bus.clone()),
            bus,
            looks: Tokens::new(upstream.clone(), config.push.lookups),
            checks: Tokens::new(upstream, config.push.lookups),
            seats: Seats::new(config.push.connections, config.push.connections_per_user),
            issued: Issued::new(config.push.tickets_per_minute),
            config: config.push.clone(),
            cors: Cors::new(&config.proxy.cors_origins),
            env,
            stop: watch::Sender::new(false),
        }))
    }

    /// `POST /ws/ticket`, `DELETE /ws/ticket/{value}`, `OPTIONS` of both, and `GET /ws`. `require_user` is that of
    /// [`Surface::Tickets`](crate::auth::Surface::Tickets); the WebSocket itself takes a ticket and nothing else.
    pub fn router(&self, require_user: &RequireUser) -> Router {
        // `any` first: a method that is not served is not found (rest-api §1.2).
        Router::new()
            .route(
                "/ws/ticket",
                any(tickets::not_found)
                    .merge(post(tickets::issue).layer(require_user.clone()))
                    .merge(options(tickets::allowed)),
            )
            .route(
                "/ws/ticket/{value}",
                any(tickets::not_found)
                    .merge(delete(tickets::revoke).layer(require_user.clone()))
                    .merge(options(tickets::allowed)),
            )
            .route("/ws", any(tickets::not_found).merge(get(open::open)))
            .layer(self.0.cors.layer())
            .with_state(self.0.clone())
    }

    /// The consumers, by the names that existing installations have (messaging §2.3). [`Push::handle`] serves all.
    pub fn specs(config: &config::Queue) -> Vec<ConsumerSpec> {
        consumers::specs(config)
    }

    /// Tells all nodes of one message of the queue.
    ///
    /// # Errors
    /// [`Failure::Dead`] when the message makes no sense or is of a topic that is not pushed, [`Failure::Retry`] when the
    /// bus or the directory is away.
    pub async fn handle(&self, delivery: Delivery) -> Result<(), Failure> {
        self.0.handle(delivery).await
    }

    /// Lets nobody in any more, says goodbye to all clients, and waits until they are gone, for `grace` at most. Gives the
    /// number of connections that were not.
    pub async fn close(&self, grace: Duration) -> usize {
        self.0.stop.send_replace(true);
        let _ = tokio::time::timeout(grace, self.0.seats.empty()).await;
        self.0.seats.taken()
    }
}
