//! Whole journeys through the real program: from a price on a socket to a message at somebody else's.

mod added;
mod backed_up;
mod carried;
mod dashboard;
mod delivered;
mod demo;
mod edited;
mod first_alert;
mod heartbeat;
mod lost_feed;
pub(crate) mod recorded;
mod reloaded;
mod remote;
mod restarted;
mod stopped;
mod storm;
mod taped;
