//! The regular weekly hours of the markets in the catalogue, for one purpose: to say `CLOSED` instead of `STALE` of a price
//! that is old because nobody trades. Holidays are not known here; on those a price reads `STALE`, which errs on the safe side.

use bellwether_core::{
    calendar::{MarketHours, market_hours},
    instrument::Instrument,
    time::{Span, Timestamp},
};
use jiff::{civil::Weekday, tz::TimeZone};

/// The steps in which an opening is looked for, and how many: a week and a day.
const STEP: Span = Span::from_seconds(300);
const STEPS: i64 = 8 * 24 * 12;

/// When a market trades, in minutes of its local day.
enum Hours {
    /// Always.
    Always,
    /// Monday to Friday from the first to the second minute.
    Days(i32, i32),
    /// From a minute on Sunday to a minute on Friday, day and night.
    Week(i32, i32),
}

const fn at(hour: i32, minute: i32) -> i32 {
    hour * 60 + minute
}

fn hours(session: &str) -> Option<Hours> {
    Some(match session {
        "24x7" => Hours::Always,
        "us_equity" | "hkex" => Hours::Days(at(9, 30), at(16, 0)),
        "nse" => Hours::Days(at(9, 15), at(15, 30)),
        "lse" => Hours::Days(at(8, 0), at(16, 30)),
        "xetra" => Hours::Days(at(9, 0), at(17, 30)),
        "tse" => Hours::Days(at(9, 0), at(15, 30)),
        "cboe_vix" => Hours::Days(at(2, 15), at(15, 15)),
        "ice_softs" => Hours::Days(at(3, 30), at(14, 0)),
        "cme" | "ice_dx" => Hours::Week(at(18, 0), at(17, 0)),
        "fx" => Hours::Week(at(22, 0), at(22, 0)),
        "cbot_grains" => Hours::Week(at(20, 0), at(14, 20)),
        _ => return None,
    })
}

/// Whether the instrument's market is in its regular hours; nothing where those are not known.
pub(crate) fn is_open(instrument: &Instrument, now: Timestamp) -> Option<bool> {
    let hours = hours(&instrument.session)?;
    if matches!(hours, Hours::Always) {
        return Some(true);
    }
    let zone = TimeZone::get(&instrument.timezone).ok()?;
    let local = now.to_jiff().to_zoned(zone);
    let minute = at(i32::from(local.hour()), i32::from(local.minute()));
    let day = local.weekday();
    Some(match hours {
        Hours::Always => true,
        Hours::Days(from, to) => !matches!(day, Weekday::Saturday | Weekday::Sunday) && (from..to).contains(&minute),
        Hours::Week(from, to) => match day {
            Weekday::Saturday => false,
            Weekday::Sunday => minute >= from,
            Weekday::Friday => minute < to,
            _ => true,
        },
    })
}

/// The next opening of the instrument's market after `now`, by its usual hours; none where it never closes or its hours are not
/// known.
pub(crate) fn next_open(instrument: &Instrument, now: Timestamp) -> Option<Timestamp> {
    let hours = |at| market_hours(&instrument.session, &instrument.timezone, at);
    if instrument.session == "24x7" || hours(now) == MarketHours::Unknown {
        return None;
    }
    // All markets open at a multiple of five minutes.
    let first = Timestamp::from_seconds(now.as_seconds() - now.as_seconds().rem_euclid(STEP.as_seconds()));
    let mut closed = hours(now) != MarketHours::Open;
    for step in 1..=STEPS {
        let at = first.plus(STEP.times(step));
        let open = hours(at) == MarketHours::Open;
        if closed && open {
            return Some(at);
        }
        closed = !open;
    }
    None
}

#[cfg(test)]
mod tests {
    use bellwether_core::catalog::Catalog;

    use super::*;

    #[test]
    fn every_session_of_the_catalogue_is_known_and_weekends_are_closed() {
        let catalog = Catalog::builtin();
        let saturday: Timestamp = "2026-11-21T15:00:00Z".parse().expect("a time");
        let tuesday: Timestamp = "2026-11-24T15:00:00Z".parse().expect("a time");
        for instrument in catalog.instruments() {
            let open = is_open(instrument, saturday);
            assert_eq!(open, Some(instrument.session == "24x7"), "{}", instrument.symbol);
        }
        let open = |name: &str| is_open(catalog.resolve(name).expect(name), tuesday);
        assert_eq!((open("AAPL"), open("BTC"), open("EURUSD")), (Some(true), Some(true), Some(true)));
        let night: Timestamp = "2026-11-24T03:00:00Z".parse().expect("a time");
        assert_eq!(is_open(catalog.resolve("AAPL").expect("AAPL"), night), Some(false));
    }
}
