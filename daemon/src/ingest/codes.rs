//! What one connection of a stream knows of the instruments it subscribed to, by the provider's codes: which are acknowledged,
//! which deliver, which are quiet, which are stuck, and which the provider does not want to deliver.

use std::{collections::BTreeMap, time::Duration};

use bellwether_core::{
    instrument::{FeedId, Instrument, Symbol},
    price::Price,
    tick::{DayStats, Tick},
    time::{Span, Timestamp},
};

use super::supervise::{Trouble, believable, clean};

/// How far behind the present a repeated price lies, so that it does not overtake a trade under way.
pub(super) const BEHIND: Span = Span::from_seconds(5);
/// From which difference the provider's clock is not taken for the present, and a time ahead is no time (docs/alerts.md, B3).
const CLOCK_DIFFERENCE: Span = Span::from_seconds(60);

/// What a frame says of one instrument.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Quote {
    /// The price; nothing where the frame has no number there.
    pub(super) price: Option<Price>,
    /// The provider's own time of it.
    pub(super) time: Option<Timestamp>,
    pub(super) day: DayStats,
}

/// What one connection knows of its instruments.
pub(super) struct Codes {
    feed: FeedId,
    by_code: BTreeMap<String, Code>,
    /// What is not delivered, and why.
    dropped: BTreeMap<String, String>,
    /// Those of them that nobody has been told of, and why.
    lost: Vec<(Symbol, String)>,
    /// When both clocks were last seen together: ours and the provider's.
    clocks: Option<(Timestamp, Timestamp)>,
    /// The last proof that the connection as a whole is live.
    live: Option<Proof>,
}

struct Code {
    instrument: Instrument,
    acknowledged: bool,
    /// The last price that came on this connection, and its time as the evaluator takes it.
    last: Option<(Tick, Timestamp)>,
    /// When a price was last handed over, repeated ones included.
    delivered: Timestamp,
    /// The last proof that this instrument's price is live.
    live: Option<Proof>,
    /// The number of the last trade by the first proof after the last price.
    trade: Option<u64>,
    /// Since when there have been trades that no price told of.
    frozen_since: Option<Timestamp>,
}

/// A heartbeat: when it came, and the provider's own time of it, where it is known.
#[derive(Clone, Copy)]
struct Proof {
    came: Timestamp,
    time: Option<Timestamp>,
}

impl Codes {
    /// The instruments that have a code there.
    pub(super) fn new(feed: FeedId, instruments: &[Instrument]) -> Self {
        let by_code = instruments.iter().filter_map(|instrument| {
            let code = Code {
                instrument: instrument.clone(),
                acknowledged: false,
                last: None,
                delivered: Timestamp::default(),
                live: None,
                trade: None,
                frozen_since: None,
            };
            Some((instrument.code_at(feed)?.to_owned(), code))
        });
        Self { feed, by_code: by_code.collect(), dropped: BTreeMap::new(), lost: Vec::new(), clocks: None, live: None }
    }

    /// All codes that were not refused.
    pub(super) fn all(&self) -> Vec<String> {
        self.by_code.keys().cloned().collect()
    }

    /// How often quiet instruments are looked for: often enough that none turns stale.
    pub(super) fn pulse(&self) -> Duration {
        let shortest = self.by_code.values().map(|c| c.instrument.stale_after).min().unwrap_or(Span::from_seconds(60));
        (Duration::from(shortest) / 8).clamp(Duration::from_millis(10), Duration::from_secs(5))
    }

    /// Whether any price has come.
    pub(super) fn delivering(&self) -> bool {
        self.by_code.values().any(|c| c.last.is_some())
    }

    /// The codes of which no price has come.
    pub(super) fn without_price(&self) -> Vec<String> {
        self.by_code.iter().filter(|(_, c)| c.last.is_none()).map(|(code, _)| code.clone()).collect()
    }

    /// What is not delivered, in words.
    pub(super) fn trouble(&self) -> Option<String> {
        if self.dropped.is_empty() {
            return None;
        }
        let said: Vec<String> = self.dropped.iter().map(|(code, why)| format!("{code}: {why}")).collect();
        Some(clean(&said.join("; ")))
    }

    /// A price came: what it is worth to the evaluator, or why it is not believed.
    ///
    /// Frames of one connection, and of two that overlap, may repeat one another: an older time, or the same with the same
    /// price, is no news.
    pub(super) fn price(&mut self, code: &str, quote: Quote, now: Timestamp) -> Result<Tick, &'static str> {
        let known = self.by_code.get_mut(code).ok_or("unknown_symbol")?;
        let price = quote.price.filter(|&p| believable(&known.instrument, p)).ok_or("price")?;
        let time = quote.time.filter(|time| time.since(now) <= CLOCK_DIFFERENCE).unwrap_or(now);
        match &known.last {
            Some((_, before)) if time < *before => return Err("out_of_order"),
            Some((last, before)) if time == *before && last.price == price => return Err("duplicate"),
            _ => {}
        }
        let tick = Tick {
            exchange_time: quote.time,
            day: quote.day,
            ..Tick::new(known.instrument.symbol, price, self.feed, now)
        };
        known.last = Some((tick.clone(), time));
        known.delivered = now;
        known.trade = None;
        known.frozen_since = None;
        if !self.dropped.is_empty() {
            self.dropped.remove(code);
        }
        Ok(tick)
    }

    /// The provider took the subscription.
    pub(super) fn acknowledge(&mut self, code: &str) {
        if let Some(known) = self.by_code.get_mut(code) {
            known.acknowledged = true;
        }
    }

    /// The provider will not deliver it: it is forgotten but for the reason. Whether it was known.
    pub(super) fn refuse(&mut self, code: &str, why: &str) -> bool {
        let Some(known) = self.by_code.remove(code) else { return false };
        tracing::warn!(feed = %self.feed, code, why, "an instrument was refused");
        self.lost.push((known.instrument.symbol, clean(why)));
        self.dropped.insert(code.to_owned(), clean(why));
        true
    }

    /// The code that is one of the words of a refusal: still known, or refused before.
    pub(super) fn named_in<'a>(&'a self, words: &'a [&str]) -> impl Iterator<Item = &'a String> {
        self.by_code.keys().chain(self.dropped.keys()).filter(|code| words.contains(&code.as_str()))
    }

    /// Whether nothing is left.
    pub(super) fn is_empty(&self) -> bool {
        self.by_code.is_empty()
    }

    /// Whether it is known why it does not deliver.
    pub(super) fn is_named(&self, code: &str) -> bool {
        self.dropped.contains_key(code)
    }

    /// It does not deliver, for that reason, until it does.
    pub(super) fn name_silent(&mut self, code: &str, why: &str) {
        if let Some(known) = self.by_code.get(code).filter(|c| c.last.is_none()) {
            self.lost.push((known.instrument.symbol, clean(why)));
            self.dropped.insert(code.to_owned(), clean(why));
        }
    }

    /// Codes that were neither acknowledged nor delivered are named; where that is all of them, the connection is useless.
    pub(super) fn check_acknowledged(&mut self) -> Result<(), Trouble> {
        let silent: Vec<String> = self
            .by_code
            .iter()
            .filter(|(_, c)| !c.acknowledged && c.last.is_none() && c.live.is_none())
            .map(|(code, _)| code.clone())
            .collect();
        if silent.len() == self.by_code.len() {
            return Err(Trouble::failed("the subscription was never acknowledged"));
        }
        for code in silent {
            self.name_silent(&code, "never acknowledged");
        }
        Ok(())
    }

    /// What turned out not to be delivered since this was last asked, and why.
    pub(super) fn lost(&mut self) -> Vec<(Symbol, String)> {
        std::mem::take(&mut self.lost)
    }

    /// Those whose last price holds still, if the connection is live: they have delivered, and not traded since.
    pub(super) fn standing(&self) -> Vec<Symbol> {
        let stands = |c: &&Code| c.last.is_some() && c.frozen_since.is_none();
        self.by_code.values().filter(stands).map(|c| c.instrument.symbol).collect()
    }

    /// The instrument of this code, if its last price stands.
    pub(super) fn stands(&self, code: &str) -> Option<Symbol> {
        let known = self.by_code.get(code).filter(|c| c.last.is_some() && c.frozen_since.is_none());
        known.map(|c| c.instrument.symbol)
    }

    /// The provider's clock said `time`.
    pub(super) fn clock(&mut self, time: Timestamp, now: Timestamp) {
        self.clocks = Some((now, time));
    }

    /// A heartbeat proved the whole connection live.
    pub(super) fn beat(&mut self, now: Timestamp) {
        let time = self.clocks.map(|(ours, theirs)| theirs.plus(now.since(ours)));
        self.live = Some(Proof { came: now, time });
    }

    /// A heartbeat proved one instrument live; `last_trade` is the number of its last trade, where it says so.
    pub(super) fn beat_of(
        &mut self,
        code: &str,
        time: Option<Timestamp>,
        last_trade: Option<u64>,
        now: Timestamp,
    ) -> Result<(), &'static str> {
        let known = self.by_code.get_mut(code).ok_or("unknown_symbol")?;
        known.live = Some(Proof { came: now, time });
        match (known.trade, last_trade) {
            (None, Some(trade)) => known.trade = Some(trade),
            (Some(seen), Some(trade)) if trade > seen => {
                known.frozen_since.get_or_insert(now);
            }
            _ => {}
        }
        if let Some(time) = time {
            self.clock(time, now);
        }
        Ok(())
    }

    /// One that trades while its price stands still for as long as a price may age makes the connection useless.
    pub(super) fn check_frozen(&self, now: Timestamp) -> Result<(), Trouble> {
        let frozen = |c: &Code| {
            c.last.is_some() && c.frozen_since.is_some_and(|since| now.since(since) > c.instrument.stale_after)
        };
        match self.by_code.iter().find(|(_, code)| frozen(code)) {
            Some((code, _)) => Err(Trouble::failed(format!("{code} trades, but its price stands still"))),
            None => Ok(()),
        }
    }

    /// The last prices of quiet instruments as prices of now (docs/alerts.md, B16.2): of those only that came on this connection,
    /// whose heartbeat goes on, and that have not traded since.
    pub(super) fn repeat_quiet(&mut self, now: Timestamp, silence: Span) -> Vec<Tick> {
        let mut ticks = Vec::new();
        for code in self.by_code.values_mut() {
            let (Some((last, time)), Some(proof)) = (&code.last, latest(code.live, self.live)) else { continue };
            let half = Span::from_micros(code.instrument.stale_after.as_micros() / 2);
            if now.since(code.delivered) < half || now.since(proof.came) > silence || code.frozen_since.is_some() {
                continue;
            }
            // By the provider's own clock, where it goes about right: ours may differ, and must not overtake its trades.
            let right = |t: &Timestamp| t.since(now).max(now.since(*t)) <= CLOCK_DIFFERENCE;
            let present = proof.time.filter(right).unwrap_or(now);
            let exchange_time = Some(present.minus(BEHIND).max(*time));
            ticks.push(Tick { exchange_time, received_time: now, ..last.clone() });
            code.delivered = now;
        }
        ticks
    }
}

/// The later of two proofs.
fn latest(a: Option<Proof>, b: Option<Proof>) -> Option<Proof> {
    match (a, b) {
        (Some(a), Some(b)) => Some(if b.came > a.came { b } else { a }),
        (a, b) => a.or(b),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ingest::test_support::instruments;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_seconds(1_795_300_000 + seconds)
    }

    fn codes(symbols: &[&str]) -> Codes {
        let mut instruments = instruments(symbols);
        for instrument in &mut instruments {
            instrument.stale_after = Span::from_seconds(60);
        }
        Codes::new(FeedId::Kraken, &instruments)
    }

    fn take(codes: &mut Codes, price: &str, time: Option<Timestamp>, now: Timestamp) -> Result<String, &'static str> {
        let quote = Quote { price: price.parse().ok(), time, day: DayStats::default() };
        codes.price("BTC/USD", quote, now).map(|tick| tick.price.to_string())
    }

    #[test]
    fn what_came_before_is_no_news() {
        let mut codes = codes(&["BTC"]);
        assert_eq!(take(&mut codes, "5", Some(at(0)), at(1)).as_deref(), Ok("5"));
        assert_eq!(take(&mut codes, "5", Some(at(0)), at(2)), Err("duplicate"));
        assert_eq!(take(&mut codes, "6", Some(at(0)), at(2)).as_deref(), Ok("6"), "two trades in one moment");
        assert_eq!(take(&mut codes, "5", Some(at(-1)), at(2)), Err("out_of_order"));
        assert_eq!(take(&mut codes, "5", Some(at(3)), at(3)).as_deref(), Ok("5"));
        // A year ahead is taken for the arrival, or nothing after it would count.
        assert_eq!(take(&mut codes, "7", Some(at(31_536_000)), at(4)).as_deref(), Ok("7"));
        assert_eq!(take(&mut codes, "8", Some(at(5)), at(5)).as_deref(), Ok("8"));
    }

    #[test]
    fn one_heartbeat_for_all_repeats_the_quiet_ones_by_the_providers_clock() {
        let mut codes = codes(&["BTC", "ETH"]);
        let silence = Span::from_seconds(10);
        take(&mut codes, "5", Some(at(0)), at(0)).expect("believed");
        assert_eq!(codes.repeat_quiet(at(40), silence), [], "nothing proves it live");
        // The provider's clock is 20 s behind ours.
        codes.clock(at(-20), at(0));
        codes.beat(at(40));
        let again = codes.repeat_quiet(at(41), silence);
        assert_eq!(again.len(), 1, "ETH has not delivered on this connection");
        assert_eq!(again[0].exchange_time, Some(at(20).minus(BEHIND)), "or the next trade would count as out of order");
        assert_eq!(codes.repeat_quiet(at(42), silence), [], "once is enough for half a minute");
        assert_eq!(codes.repeat_quiet(at(90), silence), [], "the heartbeat has stopped");
        assert_eq!(codes.trouble(), None);
    }

    #[test]
    fn what_does_not_deliver_is_named_until_it_does() {
        let mut codes = codes(&["BTC", "ETH"]);
        assert!(codes.check_acknowledged().is_err(), "useless");
        codes.acknowledge("ETH/USD");
        codes.check_acknowledged().expect("one of them is");
        assert_eq!(codes.trouble().as_deref(), Some("BTC/USD: never acknowledged"));
        take(&mut codes, "5", None, at(0)).expect("believed");
        assert_eq!(codes.trouble(), None, "data is as good as an acknowledgement");
        assert_eq!(codes.without_price(), ["ETH/USD"]);
        codes.name_silent("ETH/USD", "no price has come");
        codes.name_silent("BTC/USD", "no price has come");
        assert_eq!(codes.trouble().as_deref(), Some("ETH/USD: no price has come"));
        assert!(codes.refuse("BTC/USD", "delisted") && !codes.refuse("BTC/USD", "delisted"));
        assert_eq!((codes.all(), codes.is_empty()), (vec!["ETH/USD".to_owned()], false));
        assert_eq!(take(&mut codes, "5", None, at(0)), Err("unknown_symbol"));
    }
}
