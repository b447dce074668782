//! What is known of each instrument, and which prices of the two ways go on: one feed, so each price once, and in its order.
//!
//! The stream is quick and says nothing of itself; the poll is slow and supervises it. Everything here is told the time.

use std::collections::{BTreeSet, HashMap};

use bellwether_core::{
    instrument::{AssetClass, FeedId, Instrument, Symbol},
    price::Price,
    tick::{Candle, DayStats, Session, Tick},
    time::{Span, Timestamp},
};
use rust_decimal::Decimal;

use super::{
    hours::{Hours, Part},
    meta::{Close, Found},
    pricing::{self, PricingData},
    splits,
};

/// A source time further ahead of ours than this is a wrong clock (docs/alerts.md, B3.2).
const AHEAD: Span = Span::from_seconds(60);
/// A minute's last price outside the regular hours counts as final this long after the minute.
const SETTLED: Span = Span::from_seconds(15);
/// How often one instrument may be the reason for a new connection, within [`FORGIVEN`].
const STRIKES: u32 = 3;
const FORGIVEN: Span = Span::from_seconds(3_600);

/// What a connection has said of an instrument so far.
#[derive(Debug)]
enum Stream {
    Nothing,
    /// What it said first: the last known price, perhaps days old, and no news.
    LastKnown(Box<Tick>, Timestamp),
    /// It moves; the latest time and price.
    Moving(Timestamp, Price),
}

#[derive(Debug)]
struct Row {
    instrument: Instrument,
    hours: Hours,
    day: DayStats,
    /// What was handed over last.
    last: Option<(Timestamp, Price)>,
    /// Whether it had no price when it was last asked for.
    silent: bool,
    /// The currency of its prices, where that is not the instrument's.
    currency: Option<String>,
    stream: Stream,
    /// When the present connection subscribed to it.
    subscribed: Option<Timestamp>,
    /// The time of a price that the poll brought and the stream has not, and since when that is known.
    behind: Option<(Timestamp, Timestamp)>,
    strikes: (u32, Timestamp),
}

/// What goes on of an answer of the poll.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Polled {
    /// The ends of the minutes since the last price, oldest first; before the price.
    pub(super) candles: Vec<Candle>,
    pub(super) tick: Option<Tick>,
    /// Closes that were too far from everything else to be believed.
    pub(super) outliers: usize,
}

/// All instruments of the feed.
#[derive(Debug)]
pub(super) struct Book {
    rows: Vec<Row>,
    by_code: HashMap<String, usize>,
    /// For how long the stream may lag behind the poll.
    grace: Span,
    /// What has just made a step like that of a split.
    suspects: BTreeSet<Symbol>,
}

impl Book {
    pub(super) fn new(instruments: Vec<Instrument>, grace: Span) -> Self {
        let mut by_code = HashMap::new();
        for (place, instrument) in instruments.iter().enumerate() {
            let Some(code) = instrument.code_at(FeedId::Yahoo) else { continue };
            let code = code.to_ascii_uppercase();
            // Dollar pairs may come under their short name: `INR=X` for `USDINR=X`. A full name goes before a short one.
            if let Some(short) = code.strip_prefix("USD").filter(|short| short.ends_with("=X")) {
                by_code.entry(short.to_owned()).or_insert(place);
            }
            by_code.insert(code, place);
        }
        let row = |instrument| Row {
            instrument,
            hours: Hours::default(),
            day: DayStats::default(),
            last: None,
            silent: false,
            currency: None,
            stream: Stream::Nothing,
            subscribed: None,
            behind: None,
            strikes: (0, Timestamp::from_micros(i64::MIN)),
        };
        Self { rows: instruments.into_iter().map(row).collect(), by_code, grace, suspects: BTreeSet::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(super) fn instrument(&self, place: usize) -> &Instrument {
        &self.rows[place].instrument
    }

    /// The place of an instrument by the code that Yahoo has for it.
    pub(super) fn find(&self, code: &str) -> Option<usize> {
        self.by_code.get(&code.to_ascii_uppercase()).copied()
    }

    /// Those that are split now and then.
    pub(super) fn stocks(&self) -> impl Iterator<Item = usize> {
        let splits = |row: &Row| matches!(row.instrument.class, AssetClass::Stock | AssetClass::Etf);
        self.rows.iter().enumerate().filter(move |(_, row)| splits(row)).map(|(place, _)| place)
    }

    /// What has made a step like that of a split since this was last asked.
    pub(super) fn take_suspects(&mut self) -> BTreeSet<Symbol> {
        std::mem::take(&mut self.suspects)
    }

    /// The poll has brought a price.
    pub(super) fn polled(&mut self, place: usize, found: Found, now: Timestamp) -> Polled {
        let grace = self.grace;
        let row = &mut self.rows[place];
        let Found { mut tick, hours, closes } = found;
        row.hours.learn(hours);
        row.day = tick.day;
        row.silent = false;
        row.currency = None;
        let ts = tick.exchange_time.unwrap_or(now);
        tick.session = row.hours.session(&row.instrument, ts.as_seconds(), true);
        row.supervise(ts, tick.price, now);
        let (mut candles, outliers) =
            if row.covered(grace, now) { (Vec::new(), 0) } else { row.minutes(&closes, &tick, now) };
        // Outside the regular hours the answer's own price stands still: the last minute's is the price.
        if let Some(latest) = candles.pop_if(|latest| latest.to > ts) {
            (tick.price, tick.exchange_time, tick.session) = (latest.close, Some(latest.to), latest.session);
        }
        if let Some(last) = candles.last() {
            row.last = Some((last.to, last.close));
        }
        self.check_step(place, tick.price);
        let news = self.rows[place].admit(tick.exchange_time.unwrap_or(now), tick.price, now);
        Polled { candles, tick: news.then_some(tick), outliers }
    }

    /// The poll has brought no price of it.
    pub(super) fn unanswered(&mut self, place: usize) {
        self.rows[place].silent = true;
    }

    /// Its prices are in another currency than the instrument's.
    pub(super) fn other_currency(&mut self, place: usize, currency: &str) {
        self.rows[place].currency = Some(currency.to_owned());
    }

    /// A frame of the stream; a price where it is news.
    pub(super) fn streamed(&mut self, data: &PricingData, now: Timestamp) -> Result<Option<Tick>, &'static str> {
        let place = self.find(&data.id).ok_or("unknown_symbol")?;
        let row = &mut self.rows[place];
        // A late frame of what was unsubscribed.
        let Some(subscribed) = row.subscribed else { return Ok(None) };
        if row.currency.is_some() {
            return Err("currency");
        }
        let quote = pricing::read(data, &row.instrument)?;
        let (ts, price) = (quote.time, quote.price);
        let day = DayStats {
            reference: quote.day.reference.or(row.day.reference),
            high: quote.day.high.or(row.day.high).map(|high| high.max(price)),
            low: quote.day.low.or(row.day.low).map(|low| low.min(price)),
            volume: quote.day.volume.or(row.day.volume),
        };
        let tick = Tick {
            exchange_time: Some(ts),
            session: row.hours.session(&row.instrument, ts.as_seconds(), quote.regular),
            day,
            ..Tick::new(row.instrument.symbol, price, FeedId::Yahoo, now)
        };
        if row.behind.is_some_and(|(polled, _)| ts >= polled) {
            row.behind = None;
        }
        match &row.stream {
            Stream::Nothing if ts < subscribed => {
                row.stream = Stream::LastKnown(Box::new(tick), ts);
                return Ok(None);
            }
            Stream::LastKnown(_, known) if ts <= *known => return Ok(None),
            Stream::Moving(latest, _) if ts < *latest => return Ok(None),
            _ => {}
        }
        row.stream = Stream::Moving(ts, price);
        row.strikes.0 = 0;
        self.check_step(place, price);
        Ok(self.rows[place].admit(ts, price, now).then_some(tick))
    }

    /// Last known prices of what has had no price at all, once they are too old to be taken for news.
    pub(super) fn last_known(&mut self, now: Timestamp) -> Vec<Tick> {
        let mut ticks = Vec::new();
        for row in self.rows.iter_mut().filter(|row| row.last.is_none()) {
            let Stream::LastKnown(tick, ts) = &row.stream else { continue };
            let (tick, ts) = (Tick { received_time: now, ..(**tick).clone() }, *ts);
            if now.since(ts) > row.instrument.stale_after && row.admit(ts, tick.price, now) {
                ticks.push(tick);
            }
        }
        ticks
    }

    /// A connection has subscribed to these.
    pub(super) fn subscribed(&mut self, places: &BTreeSet<usize>, at: Option<Timestamp>) {
        for &place in places {
            let row = &mut self.rows[place];
            row.subscribed = at;
            row.stream = Stream::Nothing;
            row.behind = None;
        }
    }

    /// What of these the stream has not brought although the poll has, so long ago that their connection has to be taken for dead.
    /// Instruments of which it never said a word beside others that it serves are not among them: it does not know them.
    pub(super) fn stuck(&mut self, places: &BTreeSet<usize>, now: Timestamp) -> Vec<Symbol> {
        let grace = self.grace;
        let mute = places.iter().all(|&place| matches!(self.rows[place].stream, Stream::Nothing));
        let mut stuck = Vec::new();
        for &place in places {
            let row = &mut self.rows[place];
            if now.since(row.strikes.1) > FORGIVEN {
                row.strikes.0 = 0;
            }
            let served = mute || !matches!(row.stream, Stream::Nothing);
            if row.lags(grace, now) && served && row.strikes.0 < STRIKES {
                row.strikes = (row.strikes.0 + 1, now);
                stuck.push(row.instrument.symbol);
            }
        }
        stuck
    }

    /// Whether a poll should bring the ends of minutes: the market is open, and no stream shows what happens between two polls.
    pub(super) fn wants_minutes(&self, place: usize, now: Timestamp) -> bool {
        let row = &self.rows[place];
        !row.covered(self.grace, now) && row.part(now) != Part::Closed
    }

    /// Whether any of these trades now.
    pub(super) fn any_open(&self, places: impl IntoIterator<Item = usize>, now: Timestamp) -> bool {
        places.into_iter().any(|place| self.rows[place].part(now) == Part::Regular)
    }

    /// What is not delivered, or not as it should be.
    pub(super) fn trouble(&self, now: Timestamp) -> Vec<String> {
        let names = |what: &str, pick: &dyn Fn(&Row) -> bool| {
            let names: Vec<&str> =
                self.rows.iter().filter(|row| pick(row)).map(|row| row.instrument.symbol.as_str()).collect();
            (!names.is_empty()).then(|| format!("{what} {}", names.join(", ")))
        };
        let currencies = self.rows.iter().filter_map(|row| {
            let (symbol, expected) = (row.instrument.symbol, &row.instrument.currency);
            row.currency.as_ref().map(|found| format!("{symbol} is quoted in {found}, not in {expected}"))
        });
        let silent = names("no price of", &|row| row.silent && row.currency.is_none());
        let unserved = names("not streamed:", &|row| row.lags(self.grace, now));
        silent.into_iter().chain(unserved).chain(currencies).collect()
    }

    /// Notes a step like that of a split: from the last price, before this one is taken for the last.
    fn check_step(&mut self, place: usize, price: Price) {
        let row = &self.rows[place];
        let stock = matches!(row.instrument.class, AssetClass::Stock | AssetClass::Etf);
        if let Some((_, last)) = row.last
            && stock
            && splits::suspicious(last, price)
        {
            self.suspects.insert(row.instrument.symbol);
        }
    }
}

impl Row {
    fn part(&self, now: Timestamp) -> Part {
        if self.instrument.session == "24x7" { Part::Regular } else { self.hours.now(&self.instrument, now) }
    }

    /// Whether a price goes on: later than the last one that did, and not the same again. The poll knows whole seconds only.
    fn admit(&mut self, ts: Timestamp, price: Price, now: Timestamp) -> bool {
        let ts = if ts > now.plus(AHEAD) { now } else { ts };
        let news =
            self.last.is_none_or(|(at, last)| ts >= at && !(price == last && ts.as_seconds() == at.as_seconds()));
        if news {
            self.last = Some((ts, price));
        }
        news
    }

    /// Compares the stream with what the poll says. Only a changed price counts: a time alone may not be worth a frame.
    fn supervise(&mut self, ts: Timestamp, price: Price, now: Timestamp) {
        let Some(subscribed) = self.subscribed else { return };
        let (at, streamed) = match &self.stream {
            Stream::Nothing => (subscribed, None),
            Stream::LastKnown(tick, at) => (subscribed.max(*at), Some(tick.price)),
            Stream::Moving(at, price) => (*at, Some(*price)),
        };
        if ts <= at || streamed == Some(price) {
            self.behind = None;
        } else if self.part(now) == Part::Regular && self.behind.is_none() {
            self.behind = Some((ts, now));
        }
    }

    fn lags(&self, grace: Span, now: Timestamp) -> bool {
        self.behind.is_some_and(|(_, since)| now.since(since) >= grace)
    }

    /// Whether the stream shows what happens between two polls.
    fn covered(&self, grace: Span, now: Timestamp) -> bool {
        self.subscribed.is_some() && matches!(self.stream, Stream::Moving(..)) && !self.lags(grace, now)
    }

    /// The ends of the minutes between the last price and this one; and how many were not believed. Of a minute no more is known
    /// than the price at its end: the candle is its last moment (docs/alerts.md, B4), so that an alert made after it does not see it.
    fn minutes(&self, closes: &[Close], tick: &Tick, now: Timestamp) -> (Vec<Candle>, usize) {
        let (mut candles, mut outliers) = (Vec::new(), 0);
        let Some((last, before)) = self.last else { return (candles, outliers) };
        // Over a long gap within trading hours the gap's own candles are fetched, and told as late.
        let since = self.hours.began(now).map_or(last, |began| began.max(last));
        if now.since(since) > self.instrument.stale_after {
            return (candles, outliers);
        }
        let traded = tick.exchange_time.unwrap_or(now);
        for close in closes.iter().filter(|close| close.from.rem_euclid(60) == 0) {
            let to = Timestamp::from_seconds(close.from.saturating_add(60));
            let session = self.hours.session(&self.instrument, close.from, false);
            let over = if session == Session::Regular {
                to <= traded
            } else {
                now >= to.plus(self.instrument.delay).plus(SETTLED)
            };
            if !over || to <= last {
                continue;
            }
            if self.outlier(close.price, before) && self.outlier(close.price, tick.price) {
                outliers += 1;
                continue;
            }
            let Close { price, .. } = *close;
            let from = to.minus(Span::from_millis(3));
            let volume = None;
            candles.push(Candle { from, to, open: price, high: price, low: price, close: price, session, volume });
        }
        (candles, outliers)
    }

    fn outlier(&self, price: Price, other: Price) -> bool {
        let Some(percent) = self.instrument.outlier_pct else { return false };
        let step = (price.decimal() - other.decimal()).abs();
        let bound = other.decimal().abs().checked_mul(percent).map(|bound| bound / Decimal::ONE_HUNDRED);
        bound.is_some_and(|bound| step > bound)
    }
}
