//! Alerts over recorded and fetched bars: what they would have done, through the same evaluator as live prices (`docs/backtest.md`).
//!
//! A backtest must never be in the way of what is live: bars are read piece by piece between other readers, judged on threads of
//! their own, two backtests at a time, and given up when they take too long.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use axum::{Json, body::Body, extract::State, http::HeaderMap};
use bellwether_core::{
    backtest::{Backtest, BacktestAnswer, BacktestFiring, Coverage, CoverageSource, NewBacktest, watched},
    condition::{HistoryNeed, Rule},
    instrument::{FeedId, Symbol, default_stale_after},
    parse::parse,
    protocol::Problem,
    tick::Candle,
    time::{Span, Timestamp},
};
use futures_util::future::join_all;
use tokio::sync::Semaphore;

use super::{Gateway, alerts::with_context, auth::Caller, body, error::ApiError};
use crate::{
    history::{DAY, FIVE, HOUR, MINUTE, floor},
    provider::Priority,
};

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
/// How much of that missing bars may take; what comes later is there for the next one.
const FETCHING: Duration = Duration::from_secs(10);
/// How long the bars are that fill what was not recorded, by the days asked for; beyond these, an hour.
const FILLED: [(i64, Span); 2] = [(7, MINUTE), (60, FIVE)];

/// How many run at a time.
static TURNS: Semaphore = Semaphore::const_new(2);

/// Run alerts over recorded one-minute bars, and where these are missing over fetched ones.
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
    // Only closed bars: the running one starts in the minute of `now`.
    let end = floor(now, MINUTE);
    let length =
        FILLED.iter().find(|(days, _)| now.since(start) <= DAY.times(*days)).map_or(HOUR, |(_, length)| *length);
    let fetching =
        symbols.iter().map(|symbol| gateway.history.fetch(*symbol, length, start, end, Priority::Person, FETCHING));
    let troubles = join_all(fetching).await;
    let piece = HOUR.times(i64::try_from((PIECE / 60 / symbols.len().max(1)).max(1)).unwrap_or(1));
    let needs: Vec<HistoryNeed> = rules.iter().flat_map(Rule::history_needed).collect();
    let mut work =
        Work { backtest: Backtest::new(instruments, rules, start), firings: Vec::new(), seen: BTreeMap::new() };
    for need in needs {
        let past = gateway.history.warm_up(need, start, Priority::Person).await?;
        work.backtest.warm_up(need.symbol, &past);
    }
    let mut from = start;
    while from < end {
        // Whole hours, so that no fetched bar reaches over the end of a piece.
        let to = floor(from.plus(piece), HOUR).min(end);
        let mut bars = Vec::new();
        for symbol in &symbols {
            let known = gateway.history.finest(*symbol, length, from, to).await?;
            bars.extend(known.into_iter().map(|(bar, source)| (*symbol, bar, source)));
        }
        bars.sort_by_key(|(_, bar, _)| bar.to);
        let judged = tokio::task::spawn_blocking(move || work.judge(&bars)).await;
        work = judged.map_err(|e| ApiError::Broken(format!("a backtest ended: {e}")))?;
        from = to;
    }
    let mut coverage = Vec::with_capacity(symbols.len());
    for (symbol, missing) in symbols.into_iter().zip(troubles) {
        let percent = gateway.history.covered(symbol, length, start, end).await?;
        let sources = work.sources(symbol);
        coverage.push(Coverage { symbol, percent, sources, missing: missing.filter(|_| percent < 100) });
    }
    Ok(work.answer(coverage))
}

/// How many bars, where the first begins, where the last ends.
type Tally = (u64, Timestamp, Timestamp);

/// A backtest under way.
struct Work {
    backtest: Backtest,
    firings: Vec<BacktestFiring>,
    /// How many bars of which length each source gave, and from when to when.
    seen: BTreeMap<(Symbol, Option<FeedId>, Span), Tally>,
}

impl Work {
    fn judge(mut self, bars: &[(Symbol, Candle, Option<FeedId>)]) -> Self {
        let mut fired = Vec::new();
        for together in bars.chunk_by(|a, b| a.1.to == b.1.to) {
            let plain: Vec<(Symbol, Candle)> = together.iter().map(|(symbol, bar, _)| (*symbol, bar.clone())).collect();
            self.backtest.feed_bars(&plain, &mut fired);
            let room = MOST_FIRINGS - self.firings.len();
            self.firings.extend(fired.drain(..).take(room));
        }
        for (symbol, bar, source) in bars {
            let key = (*symbol, *source, bar.to.since(bar.from));
            let (count, _, to) = self.seen.entry(key).or_insert((0, bar.from, bar.to));
            *count += 1;
            *to = bar.to.max(*to);
        }
        self
    }

    fn sources(&self, symbol: Symbol) -> Vec<CoverageSource> {
        let mut sources = Vec::new();
        for ((_, source, bar), (bars, from, to)) in self.seen.iter().filter(|((of, ..), _)| *of == symbol) {
            let source = source.map_or("recorded", FeedId::as_str).to_owned();
            sources.push(CoverageSource { source, bar: *bar, bars: *bars, from: *from, to: *to });
        }
        sources.sort_by_key(|source| source.from);
        sources
    }

    fn answer(self, coverage: Vec<Coverage>) -> BacktestAnswer {
        let mut summary = self.backtest.summary();
        // Where nothing is known, what would be recorded.
        summary.bar = Some(self.seen.keys().map(|(_, _, bar)| *bar).max().unwrap_or(MINUTE));
        summary.bars = self.seen.values().map(|(bars, ..)| bars).sum();
        summary.coverage = coverage;
        let told = u64::try_from(self.firings.len()).unwrap_or(u64::MAX);
        let omitted = summary.count.saturating_sub(told);
        BacktestAnswer { summary, alerts: self.backtest.alerts(), firings: self.firings, omitted }
    }
}

#[cfg(test)]
mod tests {
    use bellwether_core::{config::Config, tick::Session};
    use serde_json::{Value, json};

    use super::super::testing::{NOW, OWNER_TOKEN, Rig};
    use super::*;
    use crate::{
        clock::Clock,
        provider::{
            Providers, jittered,
            stand_in::{StandIn, json_answer},
        },
    };

    /// A bar that ended so many minutes before the last full one.
    fn bar(minutes_ago: i64, prices: [&str; 4]) -> Candle {
        let end = Timestamp::from_seconds(NOW.as_seconds() - NOW.as_seconds().rem_euclid(60));
        let [open, high, low, close] = prices.map(|p| p.parse().expect("a price"));
        let to = Timestamp::from_seconds(end.as_seconds() - 60 * minutes_ago);
        Candle { from: to.minus(MINUTE), to, open, high, low, close, session: Session::Regular, volume: None }
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
    async fn indicators_begin_with_what_was_stored_before() {
        let rig = Rig::new().await;
        let flat = |price| [price; 4];
        let day = 24 * 60;
        record(&rig, "BTC", [bar(day + 40, flat("90")), bar(day + 20, flat("100")), bar(10, flat("96"))]).await;
        let (status, answer) = ask(&rig, &json!({"expr": "BTC > sma(2, 1m)", "days": 1})).await;
        assert_eq!((status, &answer["summary"]["count"]), (200, &json!(1)), "{answer}");
        let (_, answer) = ask(&rig, &json!({"expr": "BTC > sma(3, 1m)", "days": 1})).await;
        // Only the bar's own end brings the third close, and the mean to 95.33.
        assert_eq!(answer["firings"][0]["time"], json!(bar(10, flat("1")).to), "{answer}");
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
    async fn what_was_not_recorded_is_fetched_and_the_answer_says_how_much_is_known_and_by_whom() {
        // A Coinbase with one bar of five minutes above 60,000, an hour before the recorded ones.
        let spike = floor(NOW, HOUR).minus(HOUR.times(30));
        let rows = format!("[[{},59000,60500,59000,59000,1]]", spike.as_seconds());
        let stand_in = StandIn::serving(vec![json_answer(&rows)]).await;
        let mut config = Config::default();
        config.feeds.coinbase.base_url = stand_in.base.clone();
        (config.feeds.coingecko.enabled, config.feeds.yahoo.enabled) = (false, false);
        let clock = Clock::by_hand(NOW);
        let providers = Providers::new(&config, &[], None, &clock, jittered);
        let rig = Rig::asking(config, clock, Some(providers)).await;
        record(&rig, "BTC", (0..60).map(|n| bar(n, ["59000"; 4]))).await;
        for _ in 0..2 {
            let (status, answer) = ask(&rig, &json!({"expr": "BTC > 60k each", "days": 10})).await;
            assert_eq!((status, &answer["summary"]["count"]), (200, &json!(1)), "{answer}");
            let summary = &answer["summary"];
            assert_eq!((&summary["bar"], &summary["bars"]), (&json!("5m"), &json!(61)));
            let known = &summary["coverage"][0];
            assert!(known["percent"].as_u64().is_some_and(|percent| percent >= 99), "{known}");
            let source = |place: usize| (&known["sources"][place]["source"], &known["sources"][place]["bars"]);
            assert_eq!((source(0), source(1)), ((&json!("coinbase"), &json!(1)), (&json!("recorded"), &json!(60))));
        }
        let asked = stand_in.requests().len();
        assert!((9..=10).contains(&asked), "ten days of five minutes, 300 a page, once: {asked}");
        // A page of bars before a time.
        let path = format!("/prices/BTC/candles?interval=5m&limit=3&before={}", spike.plus(FIVE));
        let (status, page) = rig.call("GET", &path, OWNER_TOKEN, "").await;
        assert_eq!((status, &page["items"][0]["high"]), (200, &json!("60500")), "{page}");
        let (status, _) = rig.call("GET", "/prices/BTC/candles?before=yesterday", OWNER_TOKEN, "").await;
        assert_eq!(status, 422);
    }

    #[tokio::test]
    async fn without_a_network_the_answer_is_over_what_is_stored() {
        let config = Config::default();
        let mut closed = config.clone();
        closed.feeds.coinbase.base_url = "http://127.0.0.1:9".to_owned();
        (closed.feeds.coingecko.enabled, closed.feeds.yahoo.enabled) = (false, false);
        let clock = Clock::by_hand(NOW);
        let providers = Providers::new(&closed, &[], None, &clock, jittered);
        let rig = Rig::asking(closed, clock, Some(providers)).await;
        record(&rig, "BTC", [bar(50, ["59000"; 4]), bar(30, ["60500"; 4])]).await;
        let (status, answer) = ask(&rig, &json!({"expr": "BTC > 60k each", "days": 2})).await;
        assert_eq!((status, &answer["summary"]["count"]), (200, &json!(1)), "{answer}");
        let known = &answer["summary"]["coverage"][0];
        assert_eq!(known["percent"], json!(0), "{known}");
        assert!(known["missing"].as_str().is_some_and(|why| why.starts_with("coinbase: ")), "{known}");
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
