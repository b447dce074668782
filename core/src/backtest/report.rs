//! What a backtest is asked and answers, as `docs/backtest.md` describes it: the body of `POST /backtest`, its answer, and the
//! lines that `bellwether backtest` prints.

use serde::{Deserialize, Serialize};

use crate::{
    instrument::Symbol,
    price::Price,
    time::{Span, Timestamp},
};

/// `POST /backtest`: one alert line or several, and how far back.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NewBacktest {
    /// One line of the alert language.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expr: Option<String>,
    /// Several lines, up to eight, instead of `expr`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exprs: Option<Vec<String>>,
    /// How many days back from now, 1 to 365; 30 where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub days: Option<u32>,
}

/// An alert would have fired.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BacktestFiring {
    /// Which of the alerts, counted from 0.
    pub alert: usize,
    /// The instrument the alert is listed under.
    pub symbol: Symbol,
    /// The time of the observation that did it.
    pub time: Timestamp,
    /// The price; null for an alert on several instruments.
    pub price: Option<Price>,
    /// Why, in one sentence.
    pub reason: String,
}

/// What one alert did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AlertSummary {
    /// Which of the alerts, counted from 0.
    pub alert: usize,
    /// The alert, canonically.
    pub expr: String,
    /// How often it would have fired.
    pub count: u64,
    /// The longest time without a firing, the ends of the history included.
    pub longest_quiet: Span,
    /// How many firings more it would have had without its cooldown: those after which it did not fire itself before the next.
    pub suppressed: u64,
}

/// What all alerts together did, and over what.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BacktestSummary {
    /// How many firings there were.
    pub count: u64,
    /// The longest time in which none of the alerts fired.
    pub longest_quiet: Span,
    /// How many firings cooldowns suppressed.
    pub suppressed: u64,
    /// Where the history begins; absent where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Timestamp>,
    /// Where it ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Timestamp>,
    /// The length of a bar, where bars were judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bar: Option<Span>,
    /// How many bars there are.
    #[serde(default)]
    pub bars: u64,
}

/// The answer to `POST /backtest`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BacktestAnswer {
    /// All alerts together.
    pub summary: BacktestSummary,
    /// Each alert, in the order of the request.
    pub alerts: Vec<AlertSummary>,
    /// The first firings, oldest first.
    pub firings: Vec<BacktestFiring>,
    /// How many later firings were left out of `firings`. They are counted everywhere else.
    pub omitted: u64,
}
