//! MongoDB as the store of calendars: rows shared with esn-sabre, and what happens when servers and processes die.

mod connection;
mod faults;
mod kill;
mod outgoing;
mod rows;
mod server;
mod side_by_side;
mod upkeep;
