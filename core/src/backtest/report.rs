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
    /// Of how much of the time that was asked for the prices are known, and from whom, for each instrument.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub coverage: Vec<Coverage>,
}

/// What is known of one instrument in the time of a backtest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Coverage {
    /// The instrument.
    pub symbol: Symbol,
    /// How much of its trading hours, in per cent, rounded down. Hours in which nobody traded count as known.
    pub percent: u32,
    /// Who the bars are from, oldest first.
    pub sources: Vec<CoverageSource>,
    /// Why the rest is missing, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing: Option<String>,
}

/// Bars of one length from one source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CoverageSource {
    /// `recorded` by this daemon, or the provider they were fetched from.
    pub source: String,
    /// The length of a bar.
    pub bar: Span,
    /// How many.
    pub bars: u64,
    /// Where the first one begins.
    pub from: Timestamp,
    /// Where the last one ends.
    pub to: Timestamp,
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
