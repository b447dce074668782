//! The property that everything here is for, over any schedule of faults; and the rules that need several parts.

use std::collections::HashMap;

use bellwether_core::{catalog::Catalog, event::FeedState, price::Price, tick::Session, time::Span};
use proptest::prelude::*;

use super::*;
use crate::links::Setup;

const FEEDS: [FeedId; 4] = [FeedId::Coinbase, FeedId::Kraken, FeedId::Coingecko, FeedId::Binance];
const SYMBOLS: [&str; 2] = ["BTC", "ETH"];

fn start() -> Timestamp {
    Timestamp::from_seconds(1_795_300_000)
}

fn setup(stale: i64) -> Setup {
    Setup { stale_after: Span::from_seconds(stale), delay: Span::ZERO, outlier_pct: None, outlier_window: Span::ZERO }
}

/// Coinbase, Kraken and `CoinGecko` may deliver; Binance quotes in another currency, and is no candidate.
fn book(known: Option<i64>) -> Book {
    let catalog = Catalog::builtin();
    let candidates: Vec<Candidate> = [(FEEDS[0], true, 60), (FEEDS[1], true, 60), (FEEDS[2], false, 300)]
        .into_iter()
        .map(|(feed, streams, stale)| Candidate { feed, streams, setup: setup(stale) })
        .collect();
    let instruments = SYMBOLS.map(|s| (catalog.resolve(s).expect(s).clone(), candidates.clone()));
    let known = known.map(|seconds| {
        let ts = start().minus(Span::from_seconds(seconds));
        (symbol(0), Last { ts, price: price(1_000), session: Session::Regular })
    });
    let mut book = Book::new(instruments, known, Now { wall: start(), steady: start() });
    book.watch(Arc::new(BTreeSet::from([symbol(0)])));
    book
}

fn symbol(place: usize) -> Symbol {
    SYMBOLS[place].parse().expect("a symbol")
}

fn price(number: i64) -> Price {
    Price::new(rust_decimal::Decimal::from(number))
}

/// One thing that happens.
#[derive(Clone, Debug)]
enum Step {
    Pass {
        millis: i64,
    },
    /// The machine sleeps: only wall time passes.
    Sleep {
        seconds: i64,
    },
    /// `age` in milliseconds before now; negative lies ahead.
    Tick {
        feed: usize,
        symbol: usize,
        age: i64,
        price: i64,
        timed: bool,
    },
    Batch {
        feed: usize,
        ticks: Vec<(usize, i64, i64)>,
    },
    /// The last tick of the feed comes once more.
    Again {
        feed: usize,
    },
    Alive {
        feed: usize,
    },
    Lost {
        feed: usize,
        symbol: usize,
    },
    State {
        feed: usize,
        state: FeedState,
    },
    Candles {
        feed: usize,
        symbol: usize,
        age: i64,
        count: i64,
        price: i64,
    },
    Split {
        symbol: usize,
        age: i64,
        ratio: i64,
    },
    Fetched {
        symbol: usize,
        good: bool,
        ages: Vec<i64>,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let feed = || 0..FEEDS.len();
    let symbol = || 0..SYMBOLS.len();
    // Mostly a walk; sometimes a hundredfold, sometimes a half.
    let price = || prop_oneof![8 => 990_i64..1_010, 1 => Just(100_000), 1 => Just(500), 1 => Just(10)];
    let age = || prop_oneof![8 => 0_i64..3_000, 2 => 0_i64..120_000, 1 => -120_000_i64..0];
    let state = prop_oneof![
        4 => Just(FeedState::Live), 2 => Just(FeedState::BackingOff), 1 => Just(FeedState::Connecting), 1 => Just(FeedState::Refused)
    ];
    let step = prop_oneof![
        8 => (0_i64..4_000).prop_map(|millis| Step::Pass { millis }),
        1 => (4_000_i64..100_000).prop_map(|millis| Step::Pass { millis }),
        1 => (0_i64..40_000).prop_map(|seconds| Step::Sleep { seconds }),
        16 => (feed(), symbol(), age(), price(), prop::bool::weighted(0.9))
            .prop_map(|(feed, symbol, age, price, timed)| Step::Tick { feed, symbol, age, price, timed }),
        3 => (feed(), prop::collection::vec((symbol(), age(), price()), 1..5))
            .prop_map(|(feed, ticks)| Step::Batch { feed, ticks }),
        3 => feed().prop_map(|feed| Step::Again { feed }),
        4 => feed().prop_map(|feed| Step::Alive { feed }),
        1 => (feed(), symbol()).prop_map(|(feed, symbol)| Step::Lost { feed, symbol }),
        4 => (feed(), state).prop_map(|(feed, state)| Step::State { feed, state }),
        1 => (feed(), symbol(), age(), 1_i64..5, price())
            .prop_map(|(feed, symbol, age, count, price)| Step::Candles { feed, symbol, age, count, price }),
        1 => (symbol(), -90_000_i64..90_000, 2_i64..4).prop_map(|(symbol, age, ratio)| Step::Split { symbol, age, ratio }),
        2 => (symbol(), any::<bool>(), prop::collection::vec(0_i64..200, 0..6))
            .prop_map(|(symbol, good, ages)| Step::Fetched { symbol, good, ages }),
    ];
    prop::collection::vec(step, 1..120)
}

/// What has left so far.
#[derive(Default)]
struct Left {
    /// The newest time of each instrument, with its prices.
    newest: HashMap<Symbol, (Timestamp, Vec<Price>)>,
    used: HashMap<Symbol, FeedId>,
    waiting: BTreeSet<Symbol>,
}

impl Left {
    fn point(&mut self, symbol: Symbol, ts: Timestamp, price: Price, source: FeedId) {
        assert_ne!(source, FeedId::Binance, "a price in another currency left");
        let used = *self.used.entry(symbol).or_insert(FeedId::Coinbase);
        assert_eq!(used, source, "a feed that is not in use was heard");
        let newest = self.newest.entry(symbol).or_insert((ts, Vec::new()));
        assert!(ts >= newest.0, "{symbol}: {ts} after {}", newest.0);
        if ts > newest.0 {
            *newest = (ts, Vec::new());
        }
        // Within one instant a price may come back after another one, but never twice in a row.
        assert_ne!(newest.1.last(), Some(&price), "{symbol}: {price} at {ts} left twice");
        newest.1.push(price);
    }

    fn candles(&mut self, symbol: Symbol, candles: &[Candle], received: Timestamp) {
        for candle in candles {
            assert!(candle.to <= received, "a candle that is not closed");
            let newest = self.newest.entry(symbol).or_insert((candle.to, Vec::new()));
            assert!(candle.to >= newest.0, "{symbol}: a candle to {} after {}", candle.to, newest.0);
            *newest = (candle.to, Vec::new());
        }
    }

    fn take(&mut self, outs: Vec<Out>) {
        for out in outs {
            match out {
                Out::Observe(Observation::Tick(tick)) => {
                    self.point(tick.symbol, time_of(&tick), tick.price, tick.source);
                }
                Out::Observe(Observation::Batch(ticks)) => {
                    for tick in ticks {
                        self.point(tick.symbol, time_of(&tick), tick.price, tick.source);
                    }
                }
                Out::Observe(Observation::Feed(using)) => {
                    self.used.insert(using.symbol, using.source);
                }
                Out::Observe(Observation::Backfill { symbol, candles, received, .. }) => {
                    assert!(self.waiting.contains(&symbol), "nobody asked");
                    self.candles(symbol, &candles, received);
                }
                Out::Observe(Observation::Candles { symbol, candles, source }) => {
                    assert_ne!(source, FeedId::Binance);
                    self.candles(symbol, &candles, Timestamp::from_micros(i64::MAX));
                }
                Out::Fetch { symbol, from, to } => {
                    assert!(from < to && symbol == SYMBOLS[0].parse().expect("a symbol"), "only what alerts stand on");
                    self.waiting.insert(symbol);
                }
                _ => {}
            }
        }
    }
}

struct World {
    book: Book,
    now: Now,
    last: HashMap<usize, What>,
}

impl World {
    fn news(&mut self, feed: usize, what: What) -> Vec<Out> {
        let mut out = Vec::new();
        self.book.news(News { feed: FEEDS[feed], what }, self.now, &mut out);
        out
    }

    fn tick(&self, feed: usize, place: usize, age: i64, number: i64, timed: bool) -> Tick {
        let mut tick = Tick::new(symbol(place), price(number), FEEDS[feed], self.now.wall);
        tick.exchange_time = timed.then(|| self.now.wall.minus(Span::from_millis(age)));
        tick
    }

    fn candle(&self, age: i64, number: i64) -> Candle {
        let to = self.now.wall.minus(Span::from_seconds(age * 60));
        let price = price(number);
        let from = to.minus(Span::from_seconds(60));
        Candle { from, to, open: price, high: price, low: price, close: price, session: Session::Regular, volume: None }
    }

    fn step(&mut self, step: Step) -> Vec<Out> {
        match step {
            Step::Pass { millis } => {
                let span = Span::from_millis(millis);
                self.now = Now { wall: self.now.wall.plus(span), steady: self.now.steady.plus(span) };
                let mut out = Vec::new();
                self.book.beat(self.now, &mut out);
                self.book.mourn(self.now, &mut out);
                out
            }
            Step::Sleep { seconds } => {
                self.now.wall = self.now.wall.plus(Span::from_seconds(seconds));
                Vec::new()
            }
            Step::Tick { feed, symbol, age, price, timed } => {
                let what = What::Tick(self.tick(feed, symbol, age, price, timed));
                self.last.insert(feed, what.clone());
                self.news(feed, what)
            }
            Step::Batch { feed, ticks } => {
                let tick = |&(symbol, age, price): &(usize, i64, i64)| self.tick(feed, symbol, age, price, true);
                let what = What::Batch(ticks.iter().map(tick).collect());
                self.last.insert(feed, what.clone());
                self.news(feed, what)
            }
            Step::Again { feed } => match self.last.get(&feed).cloned() {
                Some(what) => self.news(feed, what),
                None => Vec::new(),
            },
            Step::Alive { feed } => self.news(feed, What::Alive(Whom::These(vec![symbol(0), symbol(1)]))),
            Step::Lost { feed, symbol: place } => self.news(feed, What::Lost(symbol(place), "refused".to_owned())),
            Step::State { feed, state } => {
                let status = FeedStatus {
                    feed: FEEDS[feed],
                    state,
                    instruments: 2,
                    since: self.now.wall,
                    next_attempt: None,
                    trouble: None,
                };
                self.news(feed, What::Status(status))
            }
            Step::Candles { feed, symbol: place, age, count, price } => {
                let candles = (0..count).map(|n| self.candle(age / 60_000 + count - n, price + n)).collect();
                self.news(feed, What::Candles(symbol(place), candles))
            }
            Step::Split { symbol: place, age, ratio } => {
                let at = self.now.wall.minus(Span::from_seconds(age));
                self.news(0, What::Split(Split { symbol: symbol(place), ratio: ratio.into(), at }))
            }
            Step::Fetched { symbol: place, good, ages } => {
                let candles = ages.iter().map(|&age| self.candle(age, 1_000)).collect();
                let answer = if good { Ok(candles) } else { Err("no".to_owned()) };
                let mut out = Vec::new();
                self.book.fetched(symbol(place), answer, self.now, &mut out);
                out
            }
        }
    }
}

fn world(known: Option<i64>) -> World {
    World { book: book(known), now: Now { wall: start(), steady: start() }, last: HashMap::new() }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn whatever_fails_prices_leave_in_order_once_and_of_one_feed_in_the_right_currency(
        known in prop::option::of(0_i64..2_000_000),
        steps in steps(),
    ) {
        let mut world = world(known);
        let mut left = Left::default();
        for step in steps {
            let outs = world.step(step);
            left.take(outs);
        }
        let mut outs = Vec::new();
        world.book.close(&mut outs);
        left.take(outs);
    }
}

/// How the prices among what came out read.
fn prices(outs: &[Out]) -> Vec<String> {
    let price = |out: &Out| match out {
        Out::Observe(Observation::Tick(tick)) => Some(tick.price.to_string()),
        Out::Observe(Observation::Split { ratio, .. }) => Some(format!("split {ratio}")),
        Out::Observe(Observation::Backfill { candles, .. }) => Some(format!("{} candles", candles.len())),
        Out::Fetch { .. } => Some("fetch".to_owned()),
        _ => None,
    };
    outs.iter().filter_map(price).collect()
}

#[test]
fn a_price_in_pence_is_held_shown_and_let_go_when_another_feed_agrees() {
    let mut world = world(None);
    for feed in [0, 1] {
        world.step(Step::State { feed, state: FeedState::Live });
    }
    let tick = |feed, price| Step::Tick { feed, symbol: 0, age: 0, price, timed: true };
    let pass = Step::Pass { millis: 10 };
    assert_eq!(prices(&world.step(tick(0, 1_000))), ["1000"]);
    world.step(pass.clone());
    world.step(tick(1, 1_001));
    assert!(prices(&world.step(tick(0, 100_000))).is_empty());
    let shown = world.step(pass.clone()).into_iter().find_map(|out| match out {
        Out::Status(FeedStatus { feed: FeedId::Coinbase, trouble, .. }) => trouble,
        _ => None,
    });
    assert_eq!(shown.as_deref(), Some("BTC: 100000 after 1000 is held until something explains it"));
    world.step(pass);
    assert_eq!(prices(&world.step(tick(1, 100_100))), ["100000"], "the other feed says so too");
}

#[test]
fn prices_wait_for_what_was_missed_but_not_for_ever() {
    let tick = |price| Step::Tick { feed: 0, symbol: 0, age: 0, price, timed: true };
    let mut world = world(Some(600));
    world.step(Step::State { feed: 0, state: FeedState::Live });
    assert_eq!(prices(&world.step(tick(1_001))), ["fetch"]);
    world.step(Step::Pass { millis: 100 });
    assert!(prices(&world.step(tick(1_002))).is_empty());
    let fetched = world.step(Step::Fetched { symbol: 0, good: true, ages: vec![1, 3, 50] });
    assert_eq!(prices(&fetched), ["2 candles", "1001", "1002"]);

    let mut world = self::world(Some(600));
    world.step(Step::State { feed: 0, state: FeedState::Live });
    assert_eq!(prices(&world.step(tick(1_001))), ["fetch"]);
    let outs = world.step(Step::Pass { millis: 10_000 });
    assert_eq!(prices(&outs), ["1001"]);
    assert!(outs.iter().any(|out| matches!(out, Out::Note(text) if text.contains("is not known"))), "it is said");
    let late = world.step(Step::Fetched { symbol: 0, good: true, ages: vec![1] });
    assert!(prices(&late).is_empty(), "too late: live prices are ahead of it");
    world.step(Step::Pass { millis: 70_000 });
    assert_eq!(prices(&world.step(tick(1_003))), ["fetch"]);
    for number in 0..510 {
        world.step(Step::Pass { millis: 1 });
        assert!(prices(&world.step(tick(1_004 + number % 2))).is_empty());
    }
    world.step(Step::Pass { millis: 1 });
    assert_eq!(prices(&world.step(tick(1_004))).len(), 512, "no more than so many wait");
}

#[test]
fn a_dead_feed_is_a_notice_and_a_clock_that_is_wrong_a_word() {
    let mut world = world(None);
    world.step(Step::State { feed: 0, state: FeedState::Live });
    let mut said = None;
    for _ in 0..20 {
        // The source's time is 40 s behind ours.
        world.step(Step::Tick { feed: 0, symbol: 0, age: 40_000, price: 1_000, timed: true });
        for out in world.step(Step::Pass { millis: 1_000 }) {
            if let Out::Status(status) = out {
                said = status.trouble;
            }
        }
    }
    assert_eq!(said.as_deref(), Some("this machine's clock is 40s ahead of the source's; set it right"));
    let notices: Vec<Notice> = (0..40)
        .flat_map(|_| world.step(Step::Pass { millis: 60_000 }))
        .filter_map(|out| if let Out::Notice(notice) = out { Some(notice) } else { None })
        .collect();
    assert_eq!(notices.len(), 1);
    assert_eq!(notices[0].title, "bellwether: no fresh prices from coinbase");
    let tick = Step::Tick { feed: 0, symbol: 0, age: 0, price: 1_000, timed: true };
    world.step(tick);
    // What was missed is fetched before the price; then it is fresh.
    let outs = world.step(Step::Pass { millis: 100 });
    assert!(outs.iter().any(|out| matches!(out, Out::Notice(n) if n.title == "bellwether: coinbase delivers again")));
}
