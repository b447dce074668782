//! What channels may do besides sending: act for the reader of a message, and look at prices to draw them. Filled in by the daemon,
//! because roles do not import each other.

use std::sync::Arc;

use bellwether_core::{instrument::Symbol, notification::About, tick::Candle, time::Timestamp};
use futures_util::future::BoxFuture;

/// What a reader may want to do about a firing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Silence its alert for an hour.
    Snooze,
    /// Mark it as seen.
    Acknowledge,
}

/// Does something about a firing, or says why not.
pub(crate) type Act = Arc<dyn Fn(About, Action) -> BoxFuture<'static, Result<(), String>> + Send + Sync>;
/// The one-minute bars of an instrument that start in a stretch of time, oldest first.
pub(crate) type Bars = Arc<dyn Fn(Symbol, Timestamp, Timestamp) -> BoxFuture<'static, Vec<Candle>> + Send + Sync>;

/// The hands of the channels. The default ones can do nothing.
#[derive(Clone)]
pub(crate) struct Hands {
    /// Acts as the reader would with a command.
    pub(crate) act: Act,
    /// Looks at the past.
    pub(crate) bars: Bars,
}

impl Default for Hands {
    fn default() -> Self {
        Self {
            act: Arc::new(|_, _| Box::pin(std::future::ready(Err("not possible here".to_owned())))),
            bars: Arc::new(|_, _, _| Box::pin(std::future::ready(Vec::new()))),
        }
    }
}
