//! Which of an instrument's feeds is in use: pure, one [`Route`] an instrument, one [`Line`] a feed.
//!
//! Away from a feed whose connection is lost, that is silent, whose price is stale, or that does not deliver the instrument,
//! towards the best one that delivers; back once a better one has been good for a minute (docs/alerts.md, B16.6). What may be
//! a candidate at all, the quote currency above all, is decided before: see `candidates` in `ingest/mod.rs`.

use bellwether_core::{
    event::FeedState,
    instrument::FeedId,
    price::Price,
    tick::Tick,
    time::{Span, Timestamp},
};

use super::Now;
use crate::links::Setup;

/// How long a connection may be lost before another feed takes over.
const LOST: Span = Span::from_seconds(2);
/// How long a stream may bring neither a price nor a proof of life.
const SILENT: Span = Span::from_seconds(8);
/// How long a better feed must have been good before it is taken again.
const PROOF: Span = Span::from_seconds(60);

/// A feed that may deliver an instrument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Candidate {
    /// The feed.
    pub(crate) feed: FeedId,
    /// Whether it delivers by itself; otherwise it is asked now and then.
    pub(crate) streams: bool,
    /// What is to hold of the instrument while this feed is in use.
    pub(crate) setup: Setup,
}

/// A feed's connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line {
    live: bool,
    refused: bool,
    /// Since when it is live, or is not.
    since: Timestamp,
}

impl Line {
    pub(super) const fn new(now: Now) -> Self {
        Self { live: false, refused: false, since: now.steady }
    }

    /// Takes a feed's state; true where the connection has just been lost.
    pub(super) fn state(&mut self, state: FeedState, now: Now) -> bool {
        let live = state == FeedState::Live;
        self.refused = !live && !matches!(state, FeedState::Connecting | FeedState::BackingOff);
        if live == self.live {
            return false;
        }
        self.live = live;
        self.since = now.steady;
        !live
    }
}

/// One candidate with what it has done.
#[derive(Clone, Debug)]
struct Leg {
    candidate: Candidate,
    /// When a price or a proof of life last came.
    heard: Option<Timestamp>,
    /// Since when it has been fit to be used without interruption.
    good_since: Option<Timestamp>,
    /// The newest price on this connection.
    latest: Option<Tick>,
    /// It does not deliver this instrument.
    lost: bool,
}

/// Why another feed has taken over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// The feed does not deliver this instrument.
    Refused,
    /// Its connection is lost.
    Lost,
    /// Neither prices nor proofs of life come.
    Silent,
    /// Its price is too old.
    Stale,
    /// A better feed is back.
    Better,
}

impl Why {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Refused => "it does not deliver this instrument",
            Self::Lost => "its connection is lost",
            Self::Silent => "it is silent",
            Self::Stale => "its price is stale",
            Self::Better => "a better feed is back",
        }
    }
}

/// Another feed has taken over.
#[derive(Clone, Debug)]
pub(super) struct Switch {
    pub(super) from: FeedId,
    pub(super) to: FeedId,
    pub(super) why: Why,
    /// The newest price of the one that takes over.
    pub(super) latest: Option<Tick>,
}

impl Leg {
    /// What speaks against using it.
    fn fault(&self, line: &Line, now: Now) -> Option<Why> {
        let streams = self.candidate.streams;
        if self.lost {
            return Some(Why::Refused);
        }
        let down = !line.live && now.steady.since(line.since) >= LOST;
        // A polled price that came before the connection was lost is as good as it ever was.
        if down && (streams || line.refused || self.heard.is_none()) {
            return Some(Why::Lost);
        }
        let limit = if streams { SILENT } else { self.candidate.setup.stale_after.max(SILENT) };
        let since = if line.live { self.heard.max(Some(line.since)) } else { self.heard };
        if now.steady.since(since.unwrap_or(line.since)) >= limit {
            return Some(Why::Silent);
        }
        self.latest.as_ref().is_some_and(|tick| !self.is_fresh(tick, now)).then_some(Why::Stale)
    }

    fn is_fresh(&self, tick: &Tick, now: Now) -> bool {
        now.wall.since(super::time_of(tick)) <= self.candidate.setup.stale_after
    }

    /// Whether it may be used from now on.
    fn fit(&self, line: &Line, now: Now) -> bool {
        line.live && self.latest.is_some() && self.fault(line, now).is_none()
    }
}

/// The candidates of one instrument, best first, and which of them is in use.
#[derive(Clone, Debug)]
pub(super) struct Route {
    legs: Vec<Leg>,
    in_use: usize,
    /// Since when it is not the first one.
    since: Option<(FeedId, Timestamp)>,
}

impl Route {
    /// `None` without a candidate.
    pub(super) fn new(candidates: &[Candidate]) -> Option<Self> {
        let leg = |&candidate| Leg { candidate, heard: None, good_since: None, latest: None, lost: false };
        let legs: Vec<Leg> = candidates.iter().map(leg).collect();
        (!legs.is_empty()).then_some(Self { legs, in_use: 0, since: None })
    }

    fn leg(&mut self, feed: FeedId) -> Option<&mut Leg> {
        self.legs.iter_mut().find(|leg| leg.candidate.feed == feed)
    }

    /// The feed in use.
    pub(super) fn using(&self) -> Candidate {
        self.legs[self.in_use].candidate
    }

    /// The feed that should be in use.
    pub(super) fn first(&self) -> FeedId {
        self.legs[0].candidate.feed
    }

    /// The feed in whose place another one is in use, and since when.
    pub(super) const fn instead(&self) -> Option<(FeedId, Timestamp)> {
        self.since
    }

    /// A price came: whether its feed is the one in use, and whether it is its first on this connection. `None` of a feed that
    /// is no candidate.
    pub(super) fn tick(&mut self, feed: FeedId, tick: &Tick, now: Now) -> Option<(bool, bool)> {
        let in_use = self.using().feed == feed;
        let leg = self.leg(feed)?;
        leg.heard = Some(now.steady);
        leg.lost = false;
        let older = leg.latest.as_ref().is_some_and(|known| super::time_of(tick) < super::time_of(known));
        let first = leg.latest.is_none();
        if !older {
            leg.latest = Some(tick.clone());
        }
        Some((in_use, first))
    }

    pub(super) fn alive(&mut self, feed: FeedId, now: Now) {
        if let Some(leg) = self.leg(feed) {
            leg.heard = Some(now.steady);
        }
    }

    pub(super) fn lost(&mut self, feed: FeedId) {
        if let Some(leg) = self.leg(feed) {
            leg.lost = true;
        }
    }

    /// The feed's connection is lost: what it said is no sign of what it will say.
    pub(super) fn disconnected(&mut self, feed: FeedId) {
        if let Some(leg) = self.leg(feed) {
            leg.good_since = None;
            leg.lost = false;
            if leg.candidate.streams {
                leg.latest = None;
            }
        }
    }

    /// Looks whether another feed has to take over, or can.
    pub(super) fn review(&mut self, line: impl Fn(FeedId) -> Line, now: Now) -> Option<Switch> {
        if self.legs.len() == 1 {
            return None;
        }
        for leg in &mut self.legs {
            let fit = leg.fit(&line(leg.candidate.feed), now);
            leg.good_since = if fit { leg.good_since.or(Some(now.steady)) } else { None };
        }
        let used = &self.legs[self.in_use];
        let (next, why) = if let Some(why) = used.fault(&line(used.candidate.feed), now) {
            let known = |leg: &Leg| line(leg.candidate.feed).live && leg.latest.is_some() && !leg.lost;
            // While its market rests, a feed that brings trades alone has no price at all: an old one of another is better.
            let nothing = !used.candidate.streams && used.latest.is_none();
            let fit = self.legs.iter().position(|leg| leg.good_since.is_some());
            (fit.or_else(|| self.legs.iter().position(known).filter(|_| nothing))?, why)
        } else {
            let proven = |leg: &Leg| leg.good_since.is_some_and(|since| now.steady.since(since) >= PROOF);
            (self.legs[..self.in_use].iter().position(proven)?, Why::Better)
        };
        let from = self.using().feed;
        self.in_use = next;
        let first = self.first();
        self.since = (next > 0).then_some((first, now.wall));
        Some(Switch { from, to: self.using().feed, why, latest: self.legs[next].latest.clone() })
    }

    /// Whether this polled feed is to be asked for the instrument: it is in use or the first, or none before it is well.
    pub(super) fn wants(&self, feed: FeedId, line: impl Fn(FeedId) -> Line, now: Now) -> bool {
        let Some(place) = self.legs.iter().position(|leg| leg.candidate.feed == feed) else { return false };
        let ill = |leg: &Leg| leg.fault(&line(leg.candidate.feed), now).is_some();
        place == 0 || place == self.in_use || self.legs[..place].iter().all(ill)
    }

    /// The polled feeds among the candidates.
    pub(super) fn polled(&self) -> impl Iterator<Item = FeedId> {
        self.legs.iter().map(|leg| leg.candidate).filter(|c| !c.streams).map(|c| c.feed)
    }

    /// The fresh prices of the feeds that are not in use.
    pub(super) fn others(&self, now: Now) -> impl Iterator<Item = Price> {
        let others = self.legs.iter().enumerate().filter(|(place, _)| *place != self.in_use);
        others.filter_map(move |(_, leg)| leg.latest.as_ref().filter(|tick| leg.is_fresh(tick, now)).map(|t| t.price))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use FeedId::{Coinbase, Coingecko, Kraken};

    struct World {
        route: Route,
        lines: BTreeMap<FeedId, Line>,
        seconds: i64,
    }

    impl World {
        fn now(&self) -> Now {
            let at = Timestamp::from_seconds(1_795_300_000).plus(Span::from_seconds(self.seconds));
            Now { wall: at, steady: at }
        }

        fn say(&mut self, feed: FeedId, state: FeedState) {
            let now = self.now();
            let line = self.lines.get_mut(&feed).expect("listed");
            if line.state(state, now) {
                self.route.disconnected(feed);
            }
        }

        fn tick(&mut self, feed: FeedId) {
            let now = self.now();
            let price = "84000".parse().expect("a price");
            let tick = Tick::new("BTC".parse().expect("a symbol"), price, feed, now.wall);
            self.route.tick(feed, &tick, now);
        }

        fn review(&mut self) -> Option<(FeedId, FeedId, Why)> {
            let (lines, now) = (self.lines.clone(), self.now());
            self.route.review(|feed| lines[&feed], now).map(|s| (s.from, s.to, s.why))
        }
    }

    fn world() -> World {
        world_of([(Coinbase, true, 60), (Kraken, true, 60), (Coingecko, false, 300)])
    }

    fn world_of<const N: usize>(candidates: [(FeedId, bool, i64); N]) -> World {
        let setup = |stale| Setup {
            stale_after: Span::from_seconds(stale),
            delay: Span::ZERO,
            outlier_pct: None,
            outlier_window: Span::ZERO,
        };
        let candidates = candidates.map(|(feed, streams, stale)| Candidate { feed, streams, setup: setup(stale) });
        let mut world = World { route: Route::new(&candidates).expect("some"), lines: BTreeMap::new(), seconds: 0 };
        let line = Line::new(world.now());
        world.lines = candidates.iter().map(|c| (c.feed, line)).collect();
        world
    }

    #[test]
    fn every_fault_has_its_patience_and_every_return_its_proof() {
        // `+feed` live, `-feed` lost, `!feed` refused, `.feed` a price, `~feed` alive, `xfeed` not delivered; then what is in use.
        let steps: [(i64, &str, FeedId); 24] = [
            (0, "+coinbase +kraken .coinbase .kraken", Coinbase),
            (5, ".kraken", Coinbase),
            (7, "~coinbase", Coinbase),
            (14, "~coinbase .kraken", Coinbase),
            (20, ".kraken", Coinbase),
            (22, ".kraken", Kraken), // coinbase silent for 8 s
            (30, ".coinbase ~kraken", Kraken),
            (37, "~coinbase ~kraken", Kraken),
            (44, ".coinbase ~kraken", Kraken),
            (51, ".coinbase .kraken", Kraken),
            (58, ".coinbase .kraken", Kraken),
            (65, ".coinbase .kraken", Kraken),
            (72, ".coinbase .kraken", Kraken),
            (79, ".coinbase .kraken", Kraken),
            (86, ".coinbase .kraken", Kraken),
            (90, ".coinbase .kraken", Coinbase), // good for a minute
            (91, "-coinbase .kraken", Coinbase),
            (92, ".kraken", Coinbase),
            (93, ".kraken", Kraken),                          // lost for 2 s
            (94, "xkraken +coingecko .coingecko", Coingecko), // at once
            (380, "", Coingecko),
            (381, ".kraken +kraken", Coingecko),
            (395, ".kraken", Kraken), // coingecko's price is older than 5 min
            (396, "!kraken", Kraken),
        ];
        let mut world = world();
        for (seconds, said, expected) in steps {
            world.seconds = seconds;
            for word in said.split_whitespace() {
                let (what, feed) = word.split_at(1);
                let feed = [Coinbase, Kraken, Coingecko].into_iter().find(|f| f.as_str() == feed).expect(feed);
                let now = world.now();
                match what {
                    "+" => world.say(feed, FeedState::Live),
                    "-" => world.say(feed, FeedState::BackingOff),
                    "!" => world.say(feed, FeedState::Refused),
                    "." => world.tick(feed),
                    "~" => world.route.alive(feed, now),
                    "x" => world.route.lost(feed),
                    other => panic!("{other}"),
                }
            }
            world.review();
            assert_eq!(world.route.using().feed, expected, "at {seconds} s after {said:?}");
        }
    }

    #[test]
    fn a_reserve_without_a_fresh_price_takes_nothing_over() {
        let mut world = world();
        world.say(Coinbase, FeedState::Live);
        world.tick(Coinbase);
        world.say(Kraken, FeedState::Live);
        world.say(Coinbase, FeedState::BackingOff);
        world.seconds = 5;
        assert_eq!(world.review(), None, "kraken has said nothing");
        world.tick(Kraken);
        assert_eq!(world.review(), Some((Coinbase, Kraken, Why::Lost)));
        assert_eq!(world.route.instead().map(|(feed, _)| feed), Some(Coinbase));
    }

    #[test]
    fn while_a_feed_of_trades_has_none_the_last_known_price_of_another_is_taken() {
        use FeedId::{Finnhub, Yahoo};
        let mut world = world_of([(Finnhub, false, 120), (Yahoo, false, 360)]);
        world.say(Finnhub, FeedState::Live);
        world.say(Yahoo, FeedState::Live);
        let friday = Timestamp::from_seconds(1_795_300_000 - 86_400);
        let price = "270".parse().expect("a price");
        let tick = Tick::new("AAPL".parse().expect("a symbol"), price, Yahoo, friday);
        world.route.tick(Yahoo, &tick, world.now());
        world.seconds = 60;
        assert_eq!(world.review(), None, "a trade may come yet");
        world.seconds = 121;
        assert_eq!(world.review(), Some((Finnhub, Yahoo, Why::Silent)));
        world.seconds = 122;
        assert_eq!(world.review(), None);
        world.tick(Finnhub);
        assert_eq!(world.review(), Some((Yahoo, Finnhub, Why::Stale)), "the market is open again");
    }

    #[test]
    fn a_polled_reserve_is_asked_only_when_those_before_it_are_ill() {
        let mut world = world();
        let wants = |world: &World| {
            let (lines, now) = (world.lines.clone(), world.now());
            world.route.wants(Coingecko, |feed| lines[&feed], now)
        };
        world.say(Coinbase, FeedState::Live);
        world.say(Kraken, FeedState::Live);
        world.tick(Coinbase);
        world.tick(Kraken);
        assert!(!wants(&world));
        world.say(Coinbase, FeedState::BackingOff);
        world.seconds = 3;
        assert!(!wants(&world), "kraken is well");
        world.say(Kraken, FeedState::BackingOff);
        world.seconds = 5;
        assert!(wants(&world));
    }
}
