//! bellwether's domain: what is traded, what people want to be told, and when exactly that happens.
//!
//! **Core decides, the shell acts.** Facts and `now` go in, decisions come out. Deliberately absent: files, sockets, threads,
//! async, a clock, randomness and the environment. So an evaluator can be replayed on a tape, raced against a slow
//! oracle, and simulated for a year in a second.
//!
//! The vocabulary, one meaning each:
//!
//! | word | is |
//! | --- | --- |
//! | [`Instrument`](instrument::Instrument), [`Symbol`](instrument::Symbol) | what is traded; its name |
//! | [`Tick`](tick::Tick) | one observed price |
//! | [`Rule`](condition::Rule), [`Condition`](condition::Condition) | what an alert says |
//! | [`Indicator`](indicator::Indicator) | what is computed from an instrument's past closes |
//! | [`Alert`](alert::Alert) | the user's standing wish |
//! | [`Firing`](firing::Firing) | it happened |
//! | [`Notification`](notification::Notification) | its words |
//! | [`Delivery`](delivery::Delivery) | one firing on its way to one channel |
//! | [`Backtest`](backtest::Backtest) | alerts shown a history |
//! | [`Board`](board::Board), [`Event`](event::Event) | the picture clients see; one change of it |

pub mod alert;
pub mod backtest;
pub mod board;
pub mod calendar;
pub mod catalog;
pub mod condition;
pub mod config;
pub mod delivery;
pub mod evaluator;
pub mod event;
pub mod explain;
pub mod firing;
pub mod indicator;
pub mod instrument;
pub mod notification;
#[cfg(feature = "openapi")]
mod openapi;
pub mod parse;
pub mod price;
pub mod protocol;
pub mod rate;
pub mod retry;
pub mod suggest;
pub mod text;
pub mod tick;
pub mod time;
pub mod transfer;
