//! Backtests over worked tapes and over real histories. What a history must give is computed here by loops that
//! anybody can check, from the rows alone.

use jiff::tz::TimeZone;
use rust_decimal::Decimal;
use serde_json::Value;

use super::*;
use crate::{catalog::Catalog, instrument::default_stale_after, price::Price, tick::Session};

const CASES: &str = include_str!("../../../tests/data/alert-cases.json");
const BTC_ETH: &str = include_str!("../../../tests/data/replay/btc-eth-20170904.csv");
const IBM: &str = include_str!("../../../tests/data/replay/ibm-20131007.csv");
const BARS: &str = include_str!("../../../tests/data/replay/btc-bars-20161007.csv");
const STALE: Span = Span::from_seconds(120);

/// What a backtest said of a tape.
struct Said {
    firings: Vec<BacktestFiring>,
    alerts: Vec<AlertSummary>,
    summary: BacktestSummary,
    admissions: Vec<Admission>,
}

impl Said {
    fn times(&self, alert: usize) -> Vec<Timestamp> {
        self.firings.iter().filter(|f| f.alert == alert).map(|f| f.time).collect()
    }
}

/// Runs alert lines over a whole file, as `backtest --ticks` does.
fn over(tape: &str, lines: &[&str]) -> Said {
    over_with(tape, lines, Catalog::builtin(), &TimeZone::UTC)
}

fn over_with(tape: &str, lines: &[&str], mut catalog: Catalog, timezone: &TimeZone) -> Said {
    let mut rows = tape.lines();
    tape::check_header(rows.next().unwrap_or_default().as_bytes()).expect("the header");
    let rows: Vec<tape::Row<'_>> =
        rows.filter_map(|line| tape::row(line.as_bytes()).unwrap_or_else(|e| panic!("{line}: {e}"))).collect();
    let start = rows.first().map(|r| r.time).unwrap_or_default();
    let lines: Vec<String> = lines.iter().map(|l| (*l).to_owned()).collect();
    let rules = read_alerts(&lines, &mut catalog, start, timezone).unwrap_or_else(|e| panic!("{lines:?}: {e}"));
    let mut backtest = Backtest::new(watched(&rules, &catalog, STALE), rules, start);
    let mut names = tape::Names::new(&catalog);
    let mut firings = Vec::new();
    let feed = |row| backtest.feed(&names.tick(row).expect("a symbol"), &mut firings);
    let admissions = rows.iter().map(feed).collect();
    Said { firings, alerts: backtest.alerts(), summary: backtest.summary(), admissions }
}

/// The rows of one instrument, by a reader of three lines.
fn column(tape: &str, symbol: &str) -> Vec<(Timestamp, Decimal)> {
    let field = |line: &str, number: usize| line.split(',').nth(number).unwrap().to_owned();
    let time = |text: String| text.parse().map_or_else(|_| text.parse().unwrap(), Timestamp::from_millis);
    let rows = tape.lines().skip(1).filter(|line| field(line, 1) == symbol);
    rows.map(|line| (time(field(line, 0)), field(line, 2).parse().unwrap())).collect()
}

fn number(text: &str) -> Decimal {
    text.parse().expect("a number")
}

#[test]
fn indicators_know_what_was_before_the_history() {
    let at = |minute: i64| Timestamp::from_seconds(1_800_000_000 + 60 * minute);
    let bar = |minute: i64, close: i64| {
        let close = Price::new(close.into());
        let (from, to) = (at(minute), at(minute + 1));
        Candle { from, to, open: close, high: close, low: close, close, session: Session::Regular, volume: None }
    };
    let lines = ["BTC > sma(3, 1m) each", "BTC > sma(3, 1m) and ETH > sma(1, 1m) each"].map(str::to_owned);
    let mut catalog = Catalog::builtin();
    let rules = read_alerts(&lines, &mut catalog, at(0), &jiff::tz::TimeZone::UTC).unwrap();
    let instruments = watched(&rules, &catalog, default_stale_after());
    let (btc, eth): (Symbol, Symbol) = ("BTC".parse().unwrap(), "ETH".parse().unwrap());
    let times = |past: &[Candle]| {
        let mut backtest = Backtest::new(instruments.clone(), rules.clone(), at(0));
        backtest.warm_up(btc, past);
        let mut out = Vec::new();
        for (minute, close) in (0..).zip([100, 90, 95, 99]) {
            backtest.feed_bars(&[(btc, bar(minute, close)), (eth, bar(minute, close))], &mut out);
        }
        out.iter().map(|f| (f.alert, f.time.since(at(0)).as_seconds() / 60)).collect::<Vec<_>>()
    };
    // Without a past the third close is the first to know a mean: 95. The fourth is above it.
    assert_eq!(times(&[]), [(0, 3), (1, 4)]);
    // With one, the first close is: 40. The third, which is also judged together with that of the other, brings the mean to 95.
    assert_eq!(times(&[bar(-2, 10), bar(-1, 10)]), [(0, 1), (1, 3), (0, 3)]);
}

#[test]
fn the_worked_examples_that_are_plain_ticks_fire_as_written() {
    let file: Value = serde_json::from_str(CASES).unwrap();
    let mut ran = 0;
    for case in file["cases"].as_array().unwrap() {
        let events = case["events"].as_array().unwrap();
        let plain =
            |e: &Value| e.as_object().is_some_and(|e| e.keys().all(|k| ["t", "tick", "p"].contains(&k.as_str())));
        let decimal = |p: &Value| p.as_str().map_or_else(|| p.to_string(), str::to_owned);
        let readable = events.iter().all(|e| Price::from_feed(&decimal(&e["p"])).is_ok());
        // What a file cannot hold: commands, batches, candles, source times, prices that are none, settings of instruments.
        if !events.iter().all(plain) || !readable || !case["instruments"].is_null() {
            continue;
        }
        ran += 1;
        let base: Timestamp = case["base"].as_str().unwrap_or("2026-01-01T00:00:00Z").parse().unwrap();
        let timezone = TimeZone::get(case["tz"].as_str().unwrap_or("UTC")).unwrap();
        let at = |e: &Value| {
            let seconds: Decimal = e["t"].to_string().parse().unwrap();
            base.plus(Span::from_millis(i64::try_from((seconds * Decimal::from(1_000)).trunc()).unwrap()))
        };
        let row = |e: &Value| format!("\n{},{},{}", at(e), e["tick"].as_str().unwrap(), decimal(&e["p"]));
        let tape = events.iter().fold(tape::HEADER.to_owned(), |tape, e| tape + &row(e));
        let mut catalog = Catalog::default();
        for (currency, symbols) in file["header"]["registry"].as_object().unwrap() {
            for symbol in symbols.as_array().unwrap() {
                let unlisted = Instrument::unlisted(symbol.as_str().unwrap().parse().unwrap());
                catalog.add(Instrument { currency: currency.clone(), ..unlisted });
            }
        }
        let said = over_with(&tape, &[case["alert"].as_str().unwrap()], catalog, &timezone);
        let expected = case["expect"].as_array().unwrap();
        let times: Vec<Timestamp> =
            expected.iter().map(|e| at(&events[usize::try_from(e["i"].as_u64().unwrap()).unwrap()])).collect();
        assert_eq!(said.times(0), times, "{case}");
        for (firing, expected) in said.firings.iter().zip(expected).filter(|(_, e)| e.get("price").is_some()) {
            assert_eq!(firing.price, expected["price"].as_str().and_then(|p| p.parse().ok()), "{case}");
        }
        assert_eq!(said.alerts[0].count, u64::try_from(times.len()).unwrap(), "{case}");
    }
    assert!(ran >= 28, "only {ran} of the examples are plain ticks");
}

#[test]
fn crossings_of_a_real_morning_are_found_by_a_simple_loop_too() {
    let level = number("4450");
    let (mut below, mut expected) = (false, Vec::new());
    for (time, price) in column(BTC_ETH, "BTC") {
        if below && price >= level {
            expected.push(time);
        }
        below = price < level;
    }
    let said = over(BTC_ETH, &["BTC crosses up 4450 each"]);
    assert!(expected.len() > 1, "the piece of history is worth something");
    assert_eq!(said.times(0), expected);
    assert!(said.firings.iter().all(|f| f.price.is_some_and(|p| p.decimal() >= level) && f.reason.contains("4,450")));
}

/// When a level alert fires: at the first true price of an episode, as soon as the cooldown is over.
fn episodes(rows: &[(Timestamp, Decimal)], holds: impl Fn(Decimal) -> bool, cooldown: Span) -> Vec<Timestamp> {
    let (mut fired_in_episode, mut times) = (false, Vec::<Timestamp>::new());
    for &(time, price) in rows {
        if !holds(price) {
            fired_in_episode = false;
        } else if !fired_in_episode && times.last().is_none_or(|last| time.since(*last) >= cooldown) {
            fired_in_episode = true;
            times.push(time);
        }
    }
    times
}

#[test]
fn what_a_cooldown_suppressed_is_what_it_would_have_fired_without() {
    let rows = column(BTC_ETH, "BTC");
    let below = |price| price < number("4440");
    let cooldown = Span::from_seconds(1_200);
    let (with, without) = (episodes(&rows, below, cooldown), episodes(&rows, below, Span::ZERO));
    let said = over(BTC_ETH, &["BTC < 4440 each cooldown 20m", "BTC < 4440 each"]);
    assert_eq!((said.times(0), said.times(1)), (with.clone(), without.clone()));
    // Unreported: an episode after whose beginning nothing was told before the next one began.
    let end = Timestamp::from_micros(i64::MAX);
    let next = without.iter().skip(1).copied().chain([end]);
    let unreported = without.iter().zip(next).filter(|(start, next)| !with.iter().any(|t| t >= start && t < next));
    let unreported = u64::try_from(unreported.count()).unwrap();
    assert!(unreported > 0, "the piece of history is worth something");
    assert_eq!((said.alerts[0].suppressed, said.alerts[1].suppressed), (unreported, 0));
    assert_eq!(said.summary.suppressed, unreported);
    assert_eq!(said.summary.count, u64::try_from(with.len() + without.len()).unwrap());
}

#[test]
fn the_longest_quiet_time_counts_both_ends() {
    let rows = column(BTC_ETH, "BTC");
    let (from, to) = (rows[0].0, rows[rows.len() - 1].0);
    let said = over(BTC_ETH, &["BTC < 4440 each", "BTC > 1000000"]);
    let mut marks = episodes(&rows, |price| price < number("4440"), Span::ZERO);
    marks.insert(0, from);
    marks.push(to);
    let longest = marks.windows(2).map(|pair| pair[1].since(pair[0])).max().unwrap();
    assert_eq!(said.alerts[0].longest_quiet, longest);
    assert_eq!(said.alerts[1].longest_quiet, to.since(from), "one that never fired was quiet all the time");
    assert_eq!((said.summary.from, said.summary.to), (Some(from), Some(to)));
}

#[test]
fn a_ratio_of_two_real_instruments_is_judged_row_by_row() {
    let level = number("0.0715");
    let (btc, eth) = (column(BTC_ETH, "BTC"), column(BTC_ETH, "ETH"));
    let mut last = [None::<(Timestamp, Decimal)>; 2];
    let (mut fired, mut expected) = (false, Vec::new());
    let mut all: Vec<(Timestamp, usize, Decimal)> = btc.iter().map(|&(t, p)| (t, 0, p)).collect();
    all.extend(eth.iter().map(|&(t, p)| (t, 1, p)));
    all.sort_by_key(|&(time, which, _)| (time, which));
    for (time, which, price) in all {
        last[which] = Some((time, price));
        let [Some((t0, btc)), Some((t1, eth))] = last else { continue };
        if time.since(t0.min(t1)) > STALE {
            continue;
        }
        let holds = eth < level * btc;
        if holds && !fired {
            expected.push(time);
        }
        fired = holds;
    }
    let said = over(BTC_ETH, &["ETH/BTC < 0.0715 each"]);
    assert!(!expected.is_empty(), "the piece of history is worth something");
    assert_eq!(said.times(0), expected);
    assert!(said.firings.iter().all(|f| f.price.is_none() && f.symbol.as_str() == "ETH"));
}

#[test]
fn every_trade_of_a_real_opening_counts() {
    let rows = column(IBM, "IBM");
    let expected = episodes(&rows, |price| price > number("182"), Span::ZERO);
    let said = over(IBM, &["IBM > 182 each", "IBM > 182 for 5s", "aapl > 1 each"]);
    assert!(expected.len() > 1, "the piece of history is worth something");
    assert_eq!(said.times(0), expected);
    assert_eq!(said.times(2), [], "no row of it");
    // Once it has been above for five seconds, as the trades show it.
    let (mut since, mut held) = (None, None);
    for &(time, price) in &rows {
        let start = *since.get_or_insert(time);
        if price <= number("182") {
            since = None;
        } else if held.is_none() && time.since(start) >= Span::from_seconds(5) {
            held = Some(time);
        }
    }
    assert_eq!(said.times(1), held.into_iter().collect::<Vec<_>>());
}

fn bars() -> Vec<Candle> {
    let bar = |line: &str| {
        let mut fields = line.split(',');
        let from = Timestamp::from_millis(fields.next()?.parse().ok()?);
        let mut price = || fields.next()?.parse::<Price>().ok();
        let (open, high, low, close) = (price()?, price()?, price()?, price()?);
        let to = from.plus(Span::from_seconds(60));
        Some(Candle { from, to, open, high, low, close, session: crate::tick::Session::Regular, volume: None })
    };
    BARS.lines().skip(1).map(|line| bar(line).expect("a bar")).collect()
}

#[test]
fn bars_are_judged_by_their_four_prices_and_tell_at_most_once_each() {
    let level: Price = "611.85".parse().unwrap();
    let (mut below, mut expected) = (false, Vec::new());
    for bar in bars() {
        let up = bar.close >= bar.open;
        let inner = if up { [bar.low, bar.high] } else { [bar.high, bar.low] };
        let points = [(0, bar.open), (20, inner[0]), (40, inner[1]), (60, bar.close)];
        let mut told = false;
        for (second, price) in points {
            if below && price >= level && !told {
                told = true;
                expected.push((bar.from.plus(Span::from_seconds(second)), Some(price)));
            }
            below = price < level;
        }
    }
    let mut catalog = Catalog::builtin();
    let lines = ["BTC crosses up 611.85 each".to_owned(), "BTC > 611.85 and ETH > 1 each".to_owned()];
    let start = bars()[0].from;
    let rules = read_alerts(&lines, &mut catalog, start, &TimeZone::UTC).unwrap();
    let mut backtest = Backtest::new(watched(&rules, &catalog, STALE), rules, start);
    let (btc, eth) = ("BTC".parse().unwrap(), "ETH".parse().unwrap());
    let mut firings = Vec::new();
    for bar in bars() {
        // The second instrument stands still.
        let still = Candle { open: level, high: level, low: level, close: level, ..bar };
        backtest.feed_bars(&[(btc, bar), (eth, still)], &mut firings);
    }
    let crossed: Vec<_> = firings.iter().filter(|f| f.alert == 0).map(|f| (f.time, f.price)).collect();
    assert!(expected.len() > 1, "the piece of history is worth something");
    assert_eq!(crossed, expected);
    assert!(firings.is_sorted_by_key(|f| f.time));

    let closes: Vec<(Timestamp, Decimal)> = bars().iter().map(|b| (b.to, b.close.decimal())).collect();
    let both = episodes(&closes, |price| price > level.decimal(), Span::ZERO);
    let joint: Vec<Timestamp> = firings.iter().filter(|f| f.alert == 1).map(|f| f.time).collect();
    assert_eq!(joint, both, "alerts on two instruments are judged by the closes");
}

#[test]
fn rows_out_of_order_are_judged_as_the_evaluator_judges_them() {
    let tape = "time,symbol,price\n1000,BTC,5\n3000,BTC,7\n2000,BTC,9\n3000,BTC,7\n4000,OTHER,1\n5000,BTC,0\n400000,ELSE,1\n6000,BTC,9\n";
    let said = over(tape, &["BTC > 8"]);
    let words: Vec<&str> = said.admissions.iter().map(|a| a.as_str()).collect();
    let unknown = "unknown_instrument";
    assert_eq!(
        words,
        ["accepted", "accepted", "out_of_order", "duplicate", unknown, "not_positive", unknown, "stale"],
        "a row of any instrument moves the receive time"
    );
    assert_eq!(said.firings, []);
}

#[test]
fn unknown_names_are_taken_as_they_come_and_quarantine_is_off() {
    let tape = "time,symbol,price\n0,FUND-7,100\n1000,FUND-7,100000\n2000,M&M,3\n";
    let said = over(tape, &["fund-7 > 99k via webhook:mine,email", "\"M&M\" < 5", "USDT/FUND-7 > 1", "NIFTY > 1 INR"]);
    let told: Vec<_> = said.firings.iter().map(|f| (f.alert, f.symbol.as_str().to_uppercase())).collect();
    assert_eq!(told, [(0, "FUND-7".to_owned()), (1, "M&M".to_owned())]);
    let mut catalog = Catalog::builtin();
    for bad in ["FUND accross 5", "FUND >", "BTC > 5 via pigeon", "FUND > 5 EUR"] {
        let lines = ["FUND > 5".to_owned(), bad.to_owned()];
        let refused = read_alerts(&lines, &mut catalog, Timestamp::default(), &TimeZone::UTC);
        assert_eq!(refused.map_err(|e| e.position), Err(1), "{bad}");
    }
}
