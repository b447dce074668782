//! Alerts over the stored bars: what they would have done, through the same evaluator as live prices (`docs/backtest.md`).
//!
//! A backtest must never be in the way of what is live: bars are read piece by piece between other readers, judged on threads of
//! their own, two backtests at a time, and given up when they take too long.

use std::{sync::Arc, time::Duration};

use axum::{Json, body::Body, extract::State, http::HeaderMap};
use bellwether_core::{
    backtest::{Backtest, BacktestAnswer, BacktestFiring, NewBacktest, watched},
    condition::Rule,
    instrument::{Symbol, default_stale_after},
    parse::parse,
    protocol::Problem,
    tick::Candle,
    time::{Span, Timestamp},
};
use tokio::sync::Semaphore;

use super::{Gateway, alerts::with_context, auth::Caller, body, error::ApiError};

/// The most alerts of one backtest.
const MOST_ALERTS: usize = 8;
/// How far back, in days: where nothing is said, and at most.
const DAYS: (u32, u32) = (30, 365);
/// How many firings are told; the rest is counted.
const MOST_FIRINGS: usize = 1_000;
/// How many bars are read at once, about.
const PIECE: usize = 20_000;
/// How long one may take, reading and waiting for its turn included.
const PATIENCE: Duration = Duration::from_secs(20);
const MINUTE: Span = Span::from_seconds(60);
const DAY: Span = Span::from_seconds(86_400);

/// How many run at a time.
static TURNS: Semaphore = Semaphore::const_new(2);

/// Run alerts over the stored one-minute bars.
///
/// The alerts are read as `POST /alerts` would read them now, and run as if they had been made at the beginning.
#[utoipa::path(post, path = "/backtest", tag = "history", security(("token" = [])), request_body = NewBacktest,
    responses((status = 200, body = BacktestAnswer), (status = 400, body = Problem), (status = 401, body = Problem),
    (status = 415, body = Problem), (status = 422, body = Problem), (status = 503, body = Problem)))]
pub(crate) async fn run(
    State(gateway): State<Arc<Gateway>>,
    _caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<BacktestAnswer>, ApiError> {
    let new: NewBacktest = body::json(&headers, body).await?;
    let now = gateway.clock.now();
    let rules = understood(&gateway, &new, now)?;
    let days = new.days.unwrap_or(DAYS.0);
    if !(1..=DAYS.1).contains(&days) {
        return Err(ApiError::field("days", format!("`days` is a number from 1 to {}.", DAYS.1)));
    }
    let start = now.minus(DAY.times(i64::from(days)));
    let late = |_| ApiError::Busy {
        detail: "So much history takes too long now: ask for fewer days or fewer alerts.".to_owned(),
        after: 5,
    };
    tokio::time::timeout(PATIENCE, over_bars(&gateway, rules, start, now)).await.map_err(late)?.map(Json)
}

/// The alerts of a request.
fn understood(gateway: &Gateway, new: &NewBacktest, now: Timestamp) -> Result<Vec<Rule>, ApiError> {
    let lines: Vec<(String, &str)> = match (&new.expr, &new.exprs) {
        (Some(line), None) => vec![("expr".to_owned(), line)],
        (None, Some(lines)) if (1..=MOST_ALERTS).contains(&lines.len()) => {
            lines.iter().enumerate().map(|(number, line)| (format!("exprs[{number}]"), line.as_str())).collect()
        }
        (None, Some(_)) => {
            return Err(ApiError::field("exprs", format!("`exprs` holds 1 to {MOST_ALERTS} alert lines.")));
        }
        (Some(_), Some(_)) => return Err(ApiError::field("expr", "Give `expr` or `exprs`, not both.")),
        (None, None) => return Err(ApiError::field("expr", "`expr` is needed: an alert line such as BTC > 60k each.")),
    };
    with_context(gateway, now, |context| {
        lines.iter().map(|(field, line)| parse(line, context).map_err(|e| ApiError::line(field, e))).collect()
    })
}

async fn over_bars(
    gateway: &Gateway,
    rules: Vec<Rule>,
    start: Timestamp,
    now: Timestamp,
) -> Result<BacktestAnswer, ApiError> {
    let _turn = TURNS.acquire().await.map_err(|e| ApiError::Broken(e.to_string()))?;
    let mut instruments = watched(&rules, &gateway.catalog, default_stale_after());
    for instrument in &mut instruments {
        let usual = gateway.catalog.get(instrument.symbol).map_or(Span::ZERO, |known| known.stale_after);
        instrument.stale_after = instrument.stale_after.max(usual);
    }
    let symbols: Vec<Symbol> = instruments.iter().map(|i| i.symbol).collect();
    let piece = MINUTE.times(i64::try_from((PIECE / symbols.len().max(1)).max(60)).unwrap_or(60));
    // Only closed bars: the running one starts in the minute of `now`.
    let end = Timestamp::from_seconds(now.as_seconds() - now.as_seconds().rem_euclid(60));
    let mut work = Work { backtest: Backtest::new(instruments, rules, start), firings: Vec::new(), bars: 0 };
    let mut from = gateway.store.first_bar(symbols.clone(), start).await?.unwrap_or(end);
    while from < end {
        let to = from.plus(piece).min(end);
        let bars = gateway.store.bars(symbols.clone(), from, to).await?;
        let judged = tokio::task::spawn_blocking(move || work.judge(&bars)).await;
        work = judged.map_err(|e| ApiError::Broken(format!("a backtest ended: {e}")))?;
        from = to;
    }
    Ok(work.answer())
}

/// A backtest under way.
struct Work {
    backtest: Backtest,
    firings: Vec<BacktestFiring>,
    bars: u64,
}

impl Work {
    fn judge(mut self, bars: &[(Symbol, Candle)]) -> Self {
        let mut fired = Vec::new();
        for minute in bars.chunk_by(|a, b| a.1.to == b.1.to) {
            self.backtest.feed_bars(minute, &mut fired);
            let room = MOST_FIRINGS - self.firings.len();
            self.firings.extend(fired.drain(..).take(room));
        }
        self.bars = self.bars.saturating_add(u64::try_from(bars.len()).unwrap_or(u64::MAX));
        self
    }

    fn answer(self) -> BacktestAnswer {
        let mut summary = self.backtest.summary();
        summary.bar = Some(MINUTE);
        summary.bars = self.bars;
        let told = u64::try_from(self.firings.len()).unwrap_or(u64::MAX);
        let omitted = summary.count.saturating_sub(told);
        BacktestAnswer { summary, alerts: self.backtest.alerts(), firings: self.firings, omitted }
    }
}

#[cfg(test)]
mod tests {
    use bellwether_core::tick::Session;
    use serde_json::{Value, json};

    use super::super::testing::{NOW, OWNER_TOKEN, Rig};
    use super::*;

    /// A bar that ended so many minutes before the last full one.
    fn bar(minutes_ago: i64, prices: [&str; 4]) -> Candle {
        let end = Timestamp::from_seconds(NOW.as_seconds() - NOW.as_seconds().rem_euclid(60));
        let [open, high, low, close] = prices.map(|p| p.parse().expect("a price"));
        let to = Timestamp::from_seconds(end.as_seconds() - 60 * minutes_ago);
        Candle { from: to.minus(MINUTE), to, open, high, low, close, session: Session::Regular }
    }

    async fn record(rig: &Rig, symbol: &str, bars: impl IntoIterator<Item = Candle>) {
        let symbol: Symbol = symbol.parse().expect("a symbol");
        let bars = bars.into_iter().map(|bar| (symbol, bar)).collect();
        rig.gateway.store.record_prices(bars, Vec::new()).await.expect("written");
    }

    async fn ask(rig: &Rig, body: &Value) -> (u16, Value) {
        rig.call("POST", "/backtest", OWNER_TOKEN, &body.to_string()).await
    }

    #[tokio::test]
    async fn what_an_alert_would_have_done_is_told_from_the_stored_bars() {
        let rig = Rig::new().await;
        let quiet = ["59000", "59500", "58900", "59100"];
        record(&rig, "BTC", [bar(50, quiet), bar(30, ["59100", "60500", "59000", "59200"]), bar(10, quiet)]).await;
        // The running bar has not closed.
        record(&rig, "BTC", [bar(-1, ["59100", "99999", "59100", "99999"])]).await;
        let (status, answer) = ask(&rig, &json!({"expr": "btc > 60k each"})).await;
        assert_eq!(status, 200, "{answer}");
        let spike = bar(30, quiet).from.plus(Span::from_seconds(40)).to_string();
        assert_eq!(answer["firings"].as_array().map(Vec::len), Some(1), "{answer}");
        let firing = &answer["firings"][0];
        assert_eq!(
            (&firing["alert"], &firing["symbol"], &firing["price"]),
            (&json!(0), &json!("BTC"), &json!("60500"))
        );
        assert_eq!(firing["time"], spike);
        let summary = &answer["summary"];
        assert_eq!((&summary["count"], &summary["bars"], &summary["bar"]), (&json!(1), &json!(3), &json!("1m")));
        assert_eq!(summary["from"], bar(50, quiet).from.to_string());
        assert_eq!(summary["to"], bar(10, quiet).to.to_string());
        assert_eq!((&answer["alerts"][0]["expr"], &answer["omitted"]), (&json!("BTC > 60000 each"), &json!(0)));
        let (_, answer) = ask(&rig, &json!({"exprs": ["ETH > 1 each"], "days": 1})).await;
        assert_eq!((&answer["summary"]["count"], &answer["summary"]["from"]), (&json!(0), &Value::Null), "{answer}");
    }

    #[tokio::test]
    async fn a_long_history_is_read_in_pieces_and_its_firings_are_counted_beyond_the_limit() {
        let rig = Rig::new().await;
        // Longer than one piece; every other bar is above, and so is the first of the next piece.
        let count = i64::try_from(PIECE).expect("small") + 401;
        let level = |n: i64| if n % 2 == 0 { ["9"; 4] } else { ["11"; 4] };
        for start in (0..count).step_by(5_000) {
            record(&rig, "BTC", (start..count.min(start + 5_000)).map(|n| bar(n, level(n)))).await;
        }
        let (status, answer) = ask(&rig, &json!({"exprs": ["BTC > 10 each", "BTC > 10 each cooldown 1h"]})).await;
        assert_eq!((status, &answer["summary"]["bars"]), (200, &json!(count)), "{answer}");
        let above = count / 2;
        assert_eq!(answer["alerts"][0]["count"], json!(above));
        let cooled = answer["alerts"][1]["count"].as_i64().expect("a number");
        assert!((above / 31..=above / 29).contains(&cooled), "once an hour: {cooled}");
        assert_eq!(answer["alerts"][1]["suppressed"], json!(above - cooled));
        let told = answer["firings"].as_array().expect("a list").len();
        assert_eq!((told, answer["omitted"].as_i64()), (MOST_FIRINGS, Some(above + cooled - 1_000)));
        let (_, day) = ask(&rig, &json!({"expr": "BTC > 10 each", "days": 1})).await;
        assert_eq!(day["summary"]["bars"], json!(1_439), "the day began within a minute: {}", day["summary"]);
    }

    #[tokio::test]
    async fn what_cannot_be_run_is_refused_with_the_field_at_fault() {
        let rig = Rig::new().await;
        for (body, field) in [
            (json!({}), "expr"),
            (json!({"expr": "BTC > 1", "exprs": ["BTC > 1"]}), "expr"),
            (json!({"expr": "BTC accross 1"}), "expr"),
            (json!({"exprs": ["BTC > 1", "BITCON > 1"]}), "exprs[1]"),
            (json!({"exprs": []}), "exprs"),
            (json!({"exprs": vec!["BTC > 1"; 9]}), "exprs"),
            (json!({"expr": "BTC > 1", "days": 0}), "days"),
            (json!({"expr": "BTC > 1", "days": 366}), "days"),
            (json!({"expr": "BTC > 1", "ticks": "x"}), "ticks"),
        ] {
            let (status, answer) = ask(&rig, &body).await;
            assert_eq!((status, &answer["field"]), (422, &json!(field)), "{body}: {answer}");
        }
        let (status, _) = rig.call("POST", "/backtest", "", r#"{"expr":"BTC > 1"}"#).await;
        assert_eq!(status, 401);
    }
}
