//! Tapes as text, one input a line: what a fuzzer damages, what is made hostile, and what a person can read.
//!
//! ```text
//! a1 BTC > 60k every 5m      the alert a1 (to a3), made or edited, in the alert language
//! a1 pause                   also resume, ack, delete, snooze 600 (seconds from now)
//! BTC 60010                  a tick; `-2` behind it: its source time, in seconds from now; `pre`, `post`: the session
//! BTC 60010, ETH 4000 -1     several in one response
//! candle BTC -60 0 1 3 1 2   from, to, open, high, low, close; a further `,` and the same: fetched after a gap
//! backfill BTC -60 0 1 3 1 2
//! split BTC 4
//! cut, restart, crash        what changed is written down; a clean restart; one that forgets what came since the last cut
//! +1.5                       the clock goes on, or back
//! ```
//! A line that says nothing else is no input.

use std::sync::LazyLock;

use jiff::tz::TimeZone;
use rust_decimal::Decimal;

use super::Race;
use crate::{
    alert::{Alert, AlertChange, AlertId},
    catalog::Catalog,
    condition::{ChannelName, Rule},
    firing::Firing,
    instrument::{FeedId, Instrument, Symbol},
    parse::{ParseContext, parse},
    price::Price,
    tick::{Candle, Session, Tick},
    time::{Span, Timestamp},
};

/// 2026-01-01T00:00:00Z, as in the worked examples.
const START: i64 = 1_767_225_600;
/// The years from -5953 to 9892, in seconds from 1970: what calendars can show.
const ENDS: i64 = 250_000_000_000;
/// The most lines that are played: the slow evaluator remembers everything.
const LINES: usize = 200;
/// The most splits in a tape: each makes the numbers longer.
const SPLITS: u8 = 4;

static CATALOG: LazyLock<Catalog> = LazyLock::new(|| {
    let plain = |name: &str| Instrument::unlisted(name.parse().unwrap());
    let mut catalog = Catalog::default();
    for name in ["BTC", "ETH", "AAPL", "GOLD"] {
        catalog.add(plain(name));
    }
    catalog.add(Instrument { stale_after: Span::from_seconds(10), ..plain("DOGE") });
    catalog.add(Instrument { outlier_pct: Some(Decimal::from(20)), ..plain("SOL") });
    catalog.add(Instrument { allow_nonpositive: true, ..plain("WTI") });
    catalog
});

/// A tape that is being played.
struct Player {
    race: Race,
    /// Prices and levels are short, so that what splits make of them can be written without rounding.
    tame: bool,
    splits: u8,
}

/// Plays a tape on both evaluators.
///
/// # Panics
/// When they differ.
pub(super) fn play(text: &str) {
    let tame = text.lines().any(|line| line.starts_with("split"));
    let race = Race::new(CATALOG.instruments().to_vec(), START);
    let mut player = Player { race, tame, splits: 0 };
    for (i, line) in text.lines().take(LINES).enumerate() {
        let mut out = Vec::new();
        if player.line(line.trim(), &mut out).is_some() {
            player.race.compare(&out, || text.lines().take(i + 1).collect::<Vec<_>>().join("\n"));
        }
    }
}

impl Player {
    /// Plays one line; nothing where it is no input.
    fn line(&mut self, line: &str, out: &mut Vec<Firing>) -> Option<()> {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        match word {
            "cut" => self.race.cut(),
            "restart" => self.race.restart(),
            "crash" => self.race.crash(),
            "candle" | "backfill" => {
                let (name, rest) = rest.split_once(' ')?;
                let candles = rest.split(',').map(|words| self.candle(words)).collect::<Option<Vec<_>>>()?;
                let backfill = word == "backfill";
                if !backfill && candles.len() != 1 {
                    return None;
                }
                self.race.candles(symbol(name)?, &candles, backfill, out);
            }
            "split" => {
                let (name, ratio) = rest.split_once(' ')?;
                let exact = ["2", "4", "5", "10", "0.5", "0.25", "0.2", "0.1"].contains(&ratio);
                if !exact || self.splits == SPLITS {
                    return None;
                }
                self.splits += 1;
                self.race.split(symbol(name)?, ratio.parse().ok()?);
            }
            "a1" | "a2" | "a3" => {
                let change = self.change(word[1..].parse().ok()?, rest)?;
                self.race.change(Some(change), out);
            }
            _ if word.starts_with(['+', '-']) => {
                let now = self.time(word)?;
                self.race.set_clock(now);
            }
            _ => {
                let ticks = line.split(',').map(|words| self.tick(words)).collect::<Option<Vec<_>>>()?;
                let mut symbols: Vec<Symbol> = ticks.iter().map(|tick| tick.symbol).collect();
                symbols.sort();
                symbols.dedup();
                // A response has one price of each instrument.
                if symbols.len() != ticks.len() {
                    return None;
                }
                self.race.ticks(&ticks, out);
            }
        }
        Some(())
    }

    fn change(&mut self, id: i64, words: &str) -> Option<AlertChange> {
        let now = self.race.now;
        let (word, rest) = words.split_once(' ').unwrap_or((words, ""));
        let change = match word {
            "pause" => AlertChange::Pause(Alert { paused: true, ..self.race.next(id)? }),
            "resume" => AlertChange::Resume(Alert { paused: false, ..self.race.next(id)? }),
            "ack" => AlertChange::Acknowledge(self.race.next(id)?),
            "snooze" => {
                let until = self.time(rest)?;
                AlertChange::Snooze(Alert { snoozed_until: Some(until), ..self.race.next(id)? })
            }
            "delete" => {
                let version = self.race.next(id)?.version;
                AlertChange::Delete { id: AlertId(id), version }
            }
            _ => {
                let rule = rule(words, now).filter(|rule| !self.tame || is_tame(rule))?;
                self.race.put(id, rule)
            }
        };
        Some(change)
    }

    fn tick(&self, words: &str) -> Option<Tick> {
        let mut words = words.split_ascii_whitespace();
        let (symbol, price) = (symbol(words.next()?)?, self.price(words.next()?)?);
        let mut tick = Tick::new(symbol, price, FeedId::Tape, self.race.now);
        for word in words {
            match session(word) {
                Some(session) => tick.session = session,
                None => tick.exchange_time = Some(self.time(word)?),
            }
        }
        Some(tick)
    }

    fn candle(&self, words: &str) -> Option<Candle> {
        let words: Vec<&str> = words.split_ascii_whitespace().collect();
        let [from, to, open, high, low, close, rest @ ..] = &words[..] else { return None };
        Some(Candle {
            from: self.time(from)?,
            to: self.time(to)?,
            open: self.price(open)?,
            high: self.price(high)?,
            low: self.price(low)?,
            close: self.price(close)?,
            session: rest.first().map_or(Some(Session::Regular), |word| session(word))?,
            volume: None,
        })
    }

    /// A price as a feed reads it.
    fn price(&self, word: &str) -> Option<Price> {
        let price = Price::from_feed(word).ok()?;
        let short = price.decimal().scale() <= 6 && price.decimal().abs() < Decimal::from(1_000_000_000);
        (short || !self.tame).then_some(price)
    }

    /// So many seconds from now.
    fn time(&self, seconds: &str) -> Option<Timestamp> {
        let seconds: Decimal = seconds.parse().ok()?;
        let micros = seconds.clamp(Decimal::from(-ENDS), Decimal::from(ENDS)) * Decimal::from(1_000_000);
        let moved = self.race.now.as_micros().saturating_add(i64::try_from(micros.trunc()).ok()?);
        Some(Timestamp::from_micros(moved.clamp(-ENDS * 1_000_000, ENDS * 1_000_000)))
    }
}

fn symbol(name: &str) -> Option<Symbol> {
    name.parse().ok().filter(|symbol| CATALOG.get(*symbol).is_some())
}

fn session(word: &str) -> Option<Session> {
    match word {
        "pre" => Some(Session::Pre),
        "post" => Some(Session::Post),
        _ => None,
    }
}

fn rule(line: &str, now: Timestamp) -> Option<Rule> {
    let channels = ["desktop", "email"].map(ChannelName::new);
    parse(line, &ParseContext { catalog: &CATALOG, now, timezone: &TimeZone::UTC, channels: &channels }).ok()
}

/// Whether its numbers are short.
fn is_tame(rule: &Rule) -> bool {
    rule.to_string().split(|c: char| !c.is_ascii_digit() && c != '.').all(|number| number.len() <= 9)
}
