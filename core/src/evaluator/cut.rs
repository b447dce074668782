//! What the evaluator must remember across a restart, in a form that can be written down.
//!
//! A cut is consistent: it holds everything that changed since the one before, alerts and instruments together. Applying all
//! cuts in order, each record replacing the older one of its alert or instrument, gives the evaluator back.

use serde::{Deserialize, Serialize};

use super::{bars::BarMemory, state::Memory, window::Track};
use crate::{alert::AlertId, instrument::Symbol, time::Timestamp};

/// Everything that changed since the last cut.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cut {
    /// The alerts' memories.
    #[serde(default)]
    pub alerts: Vec<AlertMemory>,
    /// The instruments' observations.
    #[serde(default)]
    pub instruments: Vec<InstrumentMemory>,
}

/// What the evaluator remembers of one alert.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlertMemory {
    /// The alert.
    pub id: AlertId,
    /// The version of the alert that this belongs to.
    pub version: u32,
    /// The evaluated part of its rule: a memory of another text is worthless.
    pub(super) text: String,
    /// Whether it was paused.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) paused: bool,
    pub(super) memory: Memory,
}

/// What the evaluator remembers of one instrument.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstrumentMemory {
    /// The instrument.
    pub symbol: Symbol,
    /// The observations of the regular session.
    pub(super) regular: Track,
    /// Those of all sessions, where they differ.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) extended: Option<Track>,
    /// The tick in quarantine: its time in microseconds, and its price.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) held: Option<(i64, rust_decimal::Decimal)>,
    /// The closed bars that alerts' indicators need.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) bars: Option<BarMemory>,
}

impl Cut {
    /// Takes in a later cut.
    pub fn merge(&mut self, later: Self) {
        self.alerts.retain(|a| later.alerts.iter().all(|l| l.id != a.id));
        self.instruments.retain(|i| later.instruments.iter().all(|l| l.symbol != i.symbol));
        self.alerts.extend(later.alerts);
        self.instruments.extend(later.instruments);
    }

    /// As it is remembered where the clock shows `now`: what was received later, by a clock that was ahead then, was received now. Otherwise
    /// every price would count as old until that time has come.
    #[must_use]
    pub fn received_by(mut self, now: Timestamp) -> Self {
        for instrument in &mut self.instruments {
            let tracks = std::iter::once(&mut instrument.regular).chain(&mut instrument.extended);
            for last in tracks.filter_map(|track| track.last.as_mut()) {
                last.received = last.received.min(now);
            }
        }
        self
    }

    /// Whether nothing changed.
    pub fn is_empty(&self) -> bool {
        self.alerts.is_empty() && self.instruments.is_empty()
    }
}

/// Instants as whole microseconds: the text form of a [`crate::time::Timestamp`] ends at the millisecond.
pub(super) mod micros {
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::time::Timestamp;

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
    pub(in super::super) fn serialize<S: Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_i64(at.as_micros())
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
        i64::deserialize(deserializer).map(Timestamp::from_micros)
    }
}

/// The same for what may be missing.
pub(super) mod micros_option {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::time::Timestamp;

    #[expect(clippy::ref_option, reason = "serde's signature")]
    pub(in super::super) fn serialize<S: Serializer>(at: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
        at.map(Timestamp::as_micros).serialize(serializer)
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Timestamp>, D::Error> {
        Ok(Option::<i64>::deserialize(deserializer)?.map(Timestamp::from_micros))
    }
}

/// A window as one text, `time number price` three by three, times and numbers as differences: a third of the bytes of JSON objects.
pub(super) mod marks {
    use std::{collections::VecDeque, fmt::Write};

    use serde::{Deserialize, Deserializer, Serializer, de::Error as _};

    use super::super::window::Mark;
    use crate::time::Timestamp;

    pub(in super::super) fn serialize<S: Serializer>(list: &VecDeque<Mark>, serializer: S) -> Result<S::Ok, S::Error> {
        let mut text = String::with_capacity(list.len() * 24);
        let (mut ts, mut seq) = (0_i64, 0_u64);
        for mark in list {
            let (at, number) = (mark.ts.as_micros(), mark.seq);
            let gap = if text.is_empty() { "" } else { " " };
            let written = write!(text, "{gap}{} {} {}", at.wrapping_sub(ts), number.wrapping_sub(seq), mark.price);
            written.map_err(serde::ser::Error::custom)?;
            (ts, seq) = (at, number);
        }
        serializer.serialize_str(&text)
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<VecDeque<Mark>, D::Error> {
        let text = String::deserialize(deserializer)?;
        let mut words = text.split_ascii_whitespace();
        let mut list = VecDeque::new();
        let (mut ts, mut seq) = (0_i64, 0_u64);
        while let Some(gap) = words.next() {
            let (Some(number), Some(price)) = (words.next(), words.next()) else {
                return Err(D::Error::custom("a window ends within an observation"));
            };
            ts = ts.wrapping_add(gap.parse::<i64>().map_err(D::Error::custom)?);
            seq = seq.wrapping_add(number.parse::<u64>().map_err(D::Error::custom)?);
            let price = price.parse().map_err(D::Error::custom)?;
            list.push_back(Mark::new(Timestamp::from_micros(ts), seq, price));
        }
        Ok(list)
    }
}

#[cfg(test)]
mod tests {
    use crate::{
        alert::{Alert, AlertChange, AlertId, UserId},
        catalog::Catalog,
        evaluator::Evaluator,
        instrument::FeedId,
        parse::{ParseContext, parse},
        tick::Tick,
        time::{Span, Timestamp},
    };

    #[test]
    fn what_a_clock_that_was_ahead_has_recorded_makes_no_later_price_old() {
        let (catalog, now) = (Catalog::builtin(), Timestamp::from_seconds(1_795_300_000));
        let context = ParseContext { catalog: &catalog, now, timezone: &jiff::tz::TimeZone::UTC, channels: &[] };
        let alert = Alert {
            id: AlertId(1),
            owner: UserId::OWNER,
            version: 1,
            rule: parse("BTC > 60k each", &context).expect("an alert"),
            paused: false,
            snoozed_until: None,
            created: now,
            updated: now,
        };
        let tick = |price: &str, at: i64, ahead: i64| {
            let at = now.plus(Span::from_seconds(at));
            let symbol = "BTC".parse().expect("a symbol");
            let price = price.parse().expect("a price");
            let mut tick = Tick::new(symbol, price, FeedId::Coinbase, at.plus(Span::from_seconds(ahead)));
            tick.exchange_time = Some(at);
            tick
        };
        let mut evaluator = Evaluator::new(catalog.instruments().iter().cloned());
        assert!(evaluator.apply(AlertChange::Put(alert.clone()), now, &mut Vec::new()));
        let mut fired = Vec::new();
        // By a clock that is a day ahead the first price is a day old: it is known, and fires nothing.
        evaluator.on_tick(&tick("59990", 1, 86_400), &mut fired);
        let cut = evaluator.take_cut();
        for (right, firings) in [(false, 0), (true, 1)] {
            let memory = if right { cut.clone().received_by(now) } else { cut.clone() };
            let mut restored = Evaluator::restore(catalog.instruments().iter().cloned(), vec![alert.clone()], memory);
            restored.on_tick(&tick("60010", 2, 0), &mut fired);
            assert_eq!(fired.len(), firings, "with the clock right: {right}");
        }
    }
}
