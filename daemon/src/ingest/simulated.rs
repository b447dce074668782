//! A market without a network: the same seed gives the same market, tick by tick.
//!
//! Each price swings about its start: steps that grow with the root of the time between them, and a pull back home of a few
//! hours, so that it looks alive for seconds and stays plausible for days. All in whole numbers: parts in a billion of the
//! starting price, by a small generator of pseudo-random numbers. Markets are never closed here.

use std::{collections::BTreeMap, convert::Infallible, sync::LazyLock, time::Duration};

use bellwether_core::{
    config,
    instrument::{AssetClass, FeedId, Instrument},
    price::Price,
    tick::{Candle, DayStats, Session, Tick},
    time::{Span, Timestamp},
};
use rust_decimal::Decimal;
use tokio::time::{Instant, MissedTickBehavior};

use super::supervise::{Link, Trouble};

/// Parts in a billion: the unit in which a price differs from its start.
const BILLION: i64 = 1_000_000_000;
/// After how many milliseconds half to two thirds of a deviation are gone: six hours.
const PULL_MS: i64 = 6 * 3_600 * 1_000;
/// The farthest a price goes from its start: a third.
const FARTHEST: i64 = BILLION / 3;
/// Every fourth tick goes round all instruments, so that none is forgotten; the others prefer the first ones.
const ROUND: u64 = 4;
/// The most ticks a second.
const FASTEST: u32 = 100_000;
/// The steps of which a minute of history consists.
const STEPS: i64 = 6;
/// The minutes that the figures of the day are taken from.
const DAY: u32 = 1_440;

/// `SplitMix64`, by Sebastiano Vigna (public domain).
#[derive(Clone, Debug)]
struct Dice(u64);

impl Dice {
    /// Dice of their own for each name.
    fn new(seed: u64, name: &str) -> Self {
        // FNV-1a.
        let hash =
            name.bytes().fold(0xcbf2_9ce4_8422_2325, |h: u64, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ hash)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Uniform in `0..limit`.
    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit.max(1)
    }

    /// About a bell curve with mean 0 and standard deviation 1,000: the sum of four uniform numbers.
    fn bell(&mut self) -> i64 {
        let bits = self.next();
        let sum: u64 = (0..4).map(|place| (((bits >> (16 * place)) & 0xffff) * 1_732) >> 16).sum();
        i64::try_from(sum).unwrap_or_default() - 3_462
    }
}

/// One instrument's price.
#[derive(Clone, Debug)]
struct Walk {
    start: Decimal,
    /// How far from the start, in parts of a billion.
    away: i64,
    /// The standard deviation after a second, in parts of a billion.
    restless: i64,
    dice: Dice,
}

impl Walk {
    fn new(seed: u64, instrument: &Instrument, purpose: &str) -> Self {
        let start = starting_price(instrument);
        let restless = match (instrument.class, instrument.symbol.as_str()) {
            (_, "USDT" | "USDC") => 6_000,
            (_, "VIX") => 260_000,
            (AssetClass::Crypto, _) => 150_000,
            (AssetClass::Stock, _) => 110_000,
            (AssetClass::Etf | AssetClass::Commodity, _) => 80_000,
            (AssetClass::Index, _) => 60_000,
            (AssetClass::Fx, _) => 25_000,
        };
        Self { start, away: 0, restless, dice: Dice::new(seed, &format!("{purpose} {}", instrument.symbol)) }
    }

    /// Lets so much time pass.
    fn step(&mut self, millis: i64) {
        let millis = millis.clamp(1, 3_600_000);
        // The root of the time in seconds, times 1,000: the root of milliseconds, times the root of 1,000.
        let root = (millis * 1_000).isqrt();
        let shock = self.restless * root / 1_000 * self.dice.bell() / 1_000;
        let pull = self.away / 1_000 * millis / (PULL_MS / 1_000);
        self.away = (self.away - pull + shock).clamp(-FARTHEST, FARTHEST);
    }

    /// The price so far from the start: the start times e to the deviation, by the first terms of the series.
    fn price_at(&self, away: i64) -> Price {
        let x = Decimal::new(away, 9);
        let factor = Decimal::ONE + x + x * x / Decimal::TWO;
        Price::new((self.start * factor).round_dp(self.start.scale()))
    }
}

/// Where each instrument begins, with as many places as are traded: lines of symbol and price, `#` before a remark.
static STARTS: LazyLock<BTreeMap<&'static str, Decimal>> = LazyLock::new(|| {
    include_str!("simulated.txt")
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once(' '))
        .filter_map(|(symbol, price)| Some((symbol, price.parse().ok()?)))
        .collect()
});

/// 100.00 for an instrument that the table lacks.
fn starting_price(instrument: &Instrument) -> Decimal {
    STARTS.get(instrument.symbol.as_str()).copied().unwrap_or_else(|| Decimal::new(10_000, 2))
}

/// How much of an instrument is traded in a minute on average: the day's volume over its minutes. None of a currency pair.
fn minutely(seed: u64, instrument: &Instrument) -> Option<Decimal> {
    let mut dice = Dice::new(seed, &format!("volume {}", instrument.symbol));
    let day = 1_000_000 + dice.below(9_000_000);
    (instrument.class != AssetClass::Fx).then(|| Decimal::from(day) / Decimal::from(DAY))
}

/// How busy the trade in an instrument is at a time, in per cent: each half hour is another.
fn busy(seed: u64, at: Timestamp) -> Decimal {
    let half_hour = u64::try_from(at.as_seconds().div_euclid(1_800)).unwrap_or_default();
    let per_cent = 25 + Dice(seed ^ half_hour.wrapping_mul(0xff51_afd7_ed55_8ccd)).below(150);
    Decimal::new(i64::try_from(per_cent).unwrap_or(100), 2)
}

/// What was traded in a minute: twice the average at most, and more where the price moved far.
fn traded(average: Decimal, minute: &Minute, restless: i64, dice: &mut Dice) -> Price {
    let usual = Decimal::new(i64::try_from(20 + dice.below(60)).unwrap_or(100), 2);
    let moved = Decimal::from(minute.high - minute.low) / Decimal::from(restless.max(1) * 24);
    Price::new((average * (usual + moved)).round())
}

/// A minute, in deviations from the start.
struct Minute {
    open: i64,
    high: i64,
    low: i64,
    close: i64,
}

/// The minutes before the start, newest first: the walk is the same in both directions of time.
fn backwards(walk: &mut Walk, minutes: u32) -> impl Iterator<Item = Minute> {
    (0..minutes).map(|_| {
        let close = walk.away;
        let (mut high, mut low) = (close, close);
        for _ in 0..STEPS {
            walk.step(60_000 / STEPS);
            high = high.max(walk.away);
            low = low.min(walk.away);
        }
        Minute { open: walk.away, high, low, close }
    })
}

/// The one-minute bars before `now`, oldest first. The last one closes at the price with which the market begins.
pub(crate) fn history(seed: u64, instrument: &Instrument, minutes: u32, now: Timestamp) -> Vec<Candle> {
    const MINUTE: Span = Span::from_seconds(60);
    let mut walk = Walk::new(seed, instrument, "before");
    let prices = walk.clone();
    let average = minutely(seed, instrument);
    let rhythm = Dice::new(seed, &format!("busy {}", instrument.symbol)).0;
    let mut dice = Dice::new(seed, &format!("volumes {}", instrument.symbol));
    let mut to = Timestamp::from_seconds(now.as_seconds().div_euclid(60) * 60);
    let mut candles: Vec<Candle> = backwards(&mut walk, minutes)
        .map(|minute| {
            let candle = Candle {
                from: to.minus(MINUTE),
                to,
                open: prices.price_at(minute.open),
                high: prices.price_at(minute.high),
                low: prices.price_at(minute.low),
                close: prices.price_at(minute.close),
                session: Session::Regular,
                volume: average.map(|average| traded(average * busy(rhythm, to), &minute, prices.restless, &mut dice)),
            };
            to = candle.from;
            candle
        })
        .collect();
    candles.reverse();
    candles
}

/// From which age a simulated price is stale: three times what it may take until its turn comes.
pub(super) fn stale_after(rate: u32, instruments: usize) -> Span {
    let ticks = u64::try_from(instruments).unwrap_or(u64::MAX).saturating_mul(ROUND * 3);
    let seconds = ticks / u64::from(rate.clamp(1, FASTEST)) + 1;
    Span::from_seconds(i64::try_from(seconds).unwrap_or(i64::MAX)).max(Span::from_seconds(30))
}

/// The feed.
#[derive(Debug)]
pub(super) struct Simulated {
    rate: u32,
    /// The liveliest first.
    stalls: Vec<Stall>,
    /// The sum of the weights up to each of them.
    weights: Vec<u64>,
    dice: Dice,
    /// The number of the next tick.
    number: u64,
}

/// One instrument of the market.
#[derive(Debug)]
struct Stall {
    instrument: Instrument,
    walk: Walk,
    day: DayStats,
    /// What is traded of it in a minute on average.
    average: Decimal,
    /// By what its busy times are chosen.
    rhythm: u64,
    /// The number of its last tick.
    last: u64,
}

impl Simulated {
    pub(super) fn new(config: &config::Simulated, instruments: Vec<Instrument>) -> Self {
        // The first of each class, then the second of each: what people know best moves most.
        let mut seen: BTreeMap<AssetClass, usize> = BTreeMap::new();
        let mut ranked: Vec<(usize, Instrument)> = instruments
            .into_iter()
            .map(|instrument| {
                let place = seen.entry(instrument.class).or_default();
                *place += 1;
                (*place, instrument)
            })
            .collect();
        ranked.sort_by_key(|(place, _)| *place);
        let stalls: Vec<Stall> =
            ranked.into_iter().map(|(_, instrument)| Stall::new(config.seed, instrument)).collect();
        let mut sum = 0;
        let weights = (0..stalls.len() as u64).map(|rank| {
            sum += 1_000_000 / (rank + 5);
            sum
        });
        Self {
            rate: config.rate.clamp(1, FASTEST),
            weights: weights.collect(),
            stalls,
            dice: Dice::new(config.seed, "who is next"),
            number: 0,
        }
    }

    /// Delivers for ever.
    pub(super) async fn run(&mut self, link: &mut Link) -> Result<Infallible, Trouble> {
        link.live(None).await?;
        let pace = Duration::from_secs(1) / self.rate;
        let mut pulse = tokio::time::interval(pace.max(Duration::from_millis(10)));
        pulse.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut begun, mut sent) = (Instant::now(), 0);
        loop {
            pulse.tick().await;
            let due = begun.elapsed().as_micros() * u128::from(self.rate) / 1_000_000;
            let due = u64::try_from(due).unwrap_or(u64::MAX).saturating_sub(sent);
            if due > u64::from(self.rate) {
                // The machine slept, or nobody kept up: what was missed is not made up for.
                (begun, sent) = (Instant::now(), 0);
                continue;
            }
            for _ in 0..due {
                if let Some(tick) = self.next(link.now()) {
                    link.tick(tick).await?;
                }
                sent += 1;
            }
        }
    }

    /// The next tick of the market.
    fn next(&mut self, now: Timestamp) -> Option<Tick> {
        let count = self.stalls.len() as u64;
        let place = if self.number.is_multiple_of(ROUND) {
            usize::try_from((self.number / ROUND).checked_rem(count)?).ok()?
        } else {
            let thrown = self.dice.below(*self.weights.last()?);
            self.weights.partition_point(|&sum| sum <= thrown)
        };
        let number = self.number;
        self.number += 1;
        let passed = number.saturating_sub(self.stalls.get(place)?.last) * 1_000 / u64::from(self.rate);
        Some(self.stalls.get_mut(place)?.trade(number, i64::try_from(passed).unwrap_or(i64::MAX), now))
    }
}

impl Stall {
    fn new(seed: u64, instrument: Instrument) -> Self {
        let mut before = Walk::new(seed, &instrument, "before");
        let (mut open, mut high, mut low) = (0, 0, 0);
        for minute in backwards(&mut before, DAY) {
            (open, high, low) = (minute.open, high.max(minute.high), low.min(minute.low));
        }
        let walk = Walk::new(seed, &instrument, "after");
        let price = |away| Some(walk.price_at(away));
        let mut day = DayStats { reference: price(open), high: price(high), low: price(low), volume: None };
        let average = minutely(seed, &instrument);
        let rhythm = Dice::new(seed, &format!("busy {}", instrument.symbol)).0;
        day.volume = average.map(|average| Price::new((average * Decimal::from(DAY)).round()));
        Self { instrument, walk, day, average: average.unwrap_or_default(), rhythm, last: 0 }
    }

    fn trade(&mut self, number: u64, passed_ms: i64, now: Timestamp) -> Tick {
        self.walk.step(passed_ms);
        self.last = number;
        let price = self.walk.price_at(self.walk.away);
        self.day.high = self.day.high.max(Some(price));
        self.day.low = self.day.low.map(|low| low.min(price));
        // As much as is traded on average in the time since the last price, by chance half of it or half as much again.
        let share = Decimal::new(i64::try_from(250 + self.walk.dice.below(500)).unwrap_or(500), 3) * Decimal::TWO;
        let share = share * busy(self.rhythm, now);
        let size = (self.average * Decimal::from(passed_ms) / Decimal::from(60_000) * share).round_dp(2);
        self.day.volume = self.day.volume.map(|volume| Price::new(volume.decimal() + size));
        Tick {
            exchange_time: Some(now),
            day: self.day,
            ..Tick::new(self.instrument.symbol, price, FeedId::Simulated, now)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use bellwether_core::{catalog::Catalog, event::FeedState};

    use super::*;
    use crate::ingest::{
        supervise::{Feed, jittered},
        test_support::Desk,
    };

    const NOW: Timestamp = Timestamp::from_seconds(1_795_300_000);

    fn market(seed: u64) -> Simulated {
        let config = config::Simulated { enabled: true, seed, rate: 50 };
        Simulated::new(&config, Catalog::builtin().instruments().to_vec())
    }

    fn tape(seed: u64, ticks: usize) -> Vec<(String, Price)> {
        let mut market = market(seed);
        (0..ticks).filter_map(|_| market.next(NOW)).map(|t| (t.symbol.to_string(), t.price)).collect()
    }

    #[test]
    fn the_same_seed_gives_the_same_market() {
        assert_eq!(tape(7, 2_000), tape(7, 2_000));
        assert_ne!(tape(7, 100), tape(8, 100));
    }

    #[test]
    fn every_instrument_has_a_starting_price_of_its_own() {
        for instrument in Catalog::builtin().instruments() {
            assert!(STARTS.contains_key(instrument.symbol.as_str()), "{}", instrument.symbol);
            let longest = starting_price(instrument);
            assert!(longest > Decimal::ZERO);
        }
        assert_eq!(STARTS.len(), 102);
    }

    #[test]
    fn most_of_the_market_moves_within_ten_seconds() {
        let mut prices: BTreeMap<String, BTreeSet<Price>> = BTreeMap::new();
        for (symbol, price) in tape(1, 500) {
            let start = Price::new(STARTS[symbol.as_str()]);
            prices.entry(symbol).or_insert_with(|| BTreeSet::from([start])).insert(price);
        }
        let moved = prices.values().filter(|seen| seen.len() > 1).count();
        assert!(moved >= 90, "only {moved} of 102 moved");
        assert!(prices["BTC"].len() > 10, "what leads the market moves every second");
    }

    #[test]
    fn prices_stay_plausible_for_days_and_on_their_tick() {
        let catalog = Catalog::builtin();
        for name in ["BTC", "EURUSD", "SHIB", "VIX"] {
            let instrument = catalog.resolve(name).expect("in the catalogue");
            let start = starting_price(instrument);
            let mut stall = Stall::new(3, instrument.clone());
            let (mut highest, mut lowest) = (start, start);
            for number in 0..100_000 {
                let price = stall.trade(number, 5_000, NOW).price.decimal();
                highest = highest.max(price);
                lowest = lowest.min(price);
                assert!(price.scale() <= start.scale(), "{name} trades in places of {start}, not {price}");
            }
            assert!(highest < start * Decimal::new(125, 2), "{name} rose to {highest}");
            assert!(lowest > start * Decimal::new(80, 2), "{name} fell to {lowest}");
            assert!(highest > lowest * Decimal::new(1_002, 3), "{name} hardly moved");
        }
    }

    #[test]
    fn the_history_leads_to_the_price_with_which_the_market_begins() {
        let catalog = Catalog::builtin();
        let btc = catalog.resolve("BTC").expect("in the catalogue");
        let candles = history(1, btc, 300, NOW);
        assert_eq!(candles.len(), 300);
        assert_eq!(candles[299].close, Price::new(starting_price(btc)));
        assert!(candles[299].to <= NOW && NOW.since(candles[299].to) < Span::from_seconds(60));
        for pair in candles.windows(2) {
            assert_eq!((pair[0].to, pair[0].close), (pair[1].from, pair[1].open), "no gap");
        }
        for c in &candles {
            assert!(c.low <= c.open.min(c.close) && c.high >= c.open.max(c.close));
        }
        assert_eq!(history(1, btc, 10, NOW), candles[290..], "a shorter history is the end of the longer one");
        let day = Stall::new(1, btc.clone()).day;
        assert_eq!(day.reference, Some(history(1, btc, DAY, NOW)[0].open));
    }

    #[test]
    fn no_instrument_turns_stale_while_it_waits_for_its_turn() {
        for rate in [1, 50, 100_000] {
            let round = Span::from_millis(102 * 4 * 1_000 / i64::from(rate));
            assert!(stale_after(rate, 102) > round.times(2), "at {rate} a second");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn it_delivers_at_the_rate_that_was_asked_for() {
        let mut desk = Desk::new();
        let task = desk.run(Feed::Simulated(Box::new(market(1))), FeedId::Simulated, jittered);
        desk.status(FeedState::Live).await;
        let begun = Instant::now();
        for _ in 0..100 {
            let ticks = desk.ticks().await;
            assert_eq!(ticks[0].source, FeedId::Simulated);
            assert!(ticks[0].day.reference.is_some());
        }
        let took = begun.elapsed();
        assert!((Duration::from_millis(1_900)..Duration::from_millis(2_100)).contains(&took), "{took:?}");
        desk.stop();
        task.await.expect("no panic").expect("no error");
        desk.status(FeedState::Off).await;
    }
}
