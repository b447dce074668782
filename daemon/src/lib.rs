//! The daemon as a library: everything that touches the world.
//!
//! ```text
//!  exchanges ──ingest──ticks──▶ evaluate ──firings──▶ notify ──▶ store (outbox) ──▶ workers ──▶ desktop, mail, SMS, webhook
//!                                ▲      └──────events──────┐ │ events
//!  clients ◀──HTTP, WebSocket── gateway ◀── hub (board) ◀──┴─┘
//!                                └──changes (durable first)──▶ store
//! ```
//!
//! Four roles, joined in `daemon.rs` alone: they share channel ends and core types, and never call each other. Deliberately absent:
//! reading the configuration file, the environment or signals (that is the binary's), and anything that decides when an alert
//! fires (that is core's).

mod backup;
mod clock;
mod daemon;
#[cfg(test)]
mod delivery_figures_tests;
mod evaluate;
mod examine;
mod gateway;
mod heartbeat;
mod history;
mod ingest;
mod links;
mod metrics;
mod notes;
mod notify;
mod past;
mod presence;
mod provider;
mod pulse;
mod record;
mod recording;
#[cfg(test)]
mod restart_tests;
mod retention;
mod search;
mod store;

pub use backup::{back_up, restore};
pub use daemon::{Daemon, Options, Running, check};
pub use examine::{budgets, channels as examine_channels, database as examine_database, test_channel};
pub use presence::PresenceError;
pub use pulse::{Pulse, PulseWatch};

/// The streams' parsers, for this crate's benchmark and nothing else.
#[doc(hidden)]
pub mod bench {
    pub use crate::ingest::bench::Reader;
}
