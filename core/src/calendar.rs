//! The usual trading hours of markets, by the names that the catalogue uses.
//!
//! Holidays, half days and special sessions are in no table here: on those days a market counts as open although it is not. A
//! source that states its own hours is to be preferred. So the hours serve display, and tell apart "closed" from "silent";
//! no alert depends on them.

use MarketHours::{Closed, Open, Post, Pre, Unknown};

use jiff::{civil::Date, tz::TimeZone};

use crate::time::{Span, Timestamp};

/// What a market is doing by its usual hours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MarketHours {
    /// Regular trading.
    Open,
    /// Trading, or the collecting of orders, before the opening.
    Pre,
    /// Trading after the closing.
    Post,
    /// No trading.
    Closed,
    /// The hours are not known here.
    Unknown,
}

/// The hours of one kind of market, in minutes of the local day.
struct Week {
    zone: &'static str,
    /// Monday to Friday: from (inclusive), to (exclusive), and what that time is.
    days: &'static [(i16, i16, MarketHours)],
    /// Sunday to Thursday: open from this minute to midnight.
    evening: Option<i16>,
}

const fn at(hour: i16, minute: i16) -> i16 {
    hour * 60 + minute
}

const US_DAY: (i16, i16, MarketHours) = (at(9, 30), at(16, 0), Open);
const US_EVENING: (i16, i16, MarketHours) = (at(16, 0), at(20, 0), Post);

fn week(session: &str) -> Option<Week> {
    let (zone, days, evening): (_, &'static [_], _) = match session {
        "us_equity" => ("America/New_York", const { &[(at(4, 0), at(9, 30), Pre), US_DAY, US_EVENING] }, None),
        "nse" => ("Asia/Kolkata", const { &[(at(9, 0), at(9, 15), Pre), (at(9, 15), at(15, 30), Open)] }, None),
        "cme" => ("America/New_York", const { &[(0, at(17, 0), Open)] }, Some(at(18, 0))),
        "fx" => ("America/New_York", const { &[(0, at(17, 0), Open)] }, Some(at(17, 0))),
        "lse" => ("Europe/London", const { &[(at(8, 0), at(16, 30), Open)] }, None),
        "xetra" => ("Europe/Berlin", const { &[(at(9, 0), at(17, 30), Open)] }, None),
        "tse" => ("Asia/Tokyo", const { &[(at(9, 0), at(11, 30), Open), (at(12, 30), at(15, 30), Open)] }, None),
        "hkex" => ("Asia/Hong_Kong", const { &[(at(9, 30), at(12, 0), Open), (at(13, 0), at(16, 0), Open)] }, None),
        "cbot_grains" => {
            ("America/Chicago", const { &[(0, at(7, 45), Open), (at(8, 30), at(13, 20), Open)] }, Some(at(19, 0)))
        }
        "ice_softs" => ("America/New_York", const { &[(at(4, 15), at(13, 30), Open)] }, None),
        "ice_dx" => ("America/New_York", const { &[(0, at(17, 0), Open)] }, Some(at(20, 0))),
        "cboe_vix" => ("America/Chicago", const { &[(at(2, 15), at(15, 15), Open)] }, None),
        _ => return None,
    };
    Some(Week { zone, days, evening })
}

/// Whether a session is known, or states its hours itself.
pub fn is_session(session: &str) -> bool {
    session == "24x7" || week(session).is_some() || written_hours(session).is_some_and(|(from, to)| from < to)
}

/// What the market of a session is doing at `now`, by its usual hours; holidays are not known.
///
/// A session that the table lacks may state its hours itself: `09:00-17:30`, Monday to Friday in `timezone`. The sessions in
/// the table bring their own time zone, so an instrument quoted in London can follow the hours of New York.
pub fn market_hours(session: &str, timezone: &str, now: Timestamp) -> MarketHours {
    if session == "24x7" {
        return Open;
    }
    let known = week(session);
    let zone = known.as_ref().map_or(timezone, |week| week.zone);
    let Ok(local) = now.to_jiff().in_tz(zone) else { return Unknown };
    let minute = i16::from(local.hour()) * 60 + i16::from(local.minute());
    let day = local.weekday().to_monday_zero_offset();
    let Some(week) = known else {
        return match written_hours(session) {
            Some((from, to)) if day < 5 && (from..to).contains(&minute) => Open,
            Some(_) => Closed,
            None => Unknown,
        };
    };
    if day < 5
        && let Some((_, _, what)) = week.days.iter().find(|(from, to, _)| (*from..*to).contains(&minute))
    {
        return *what;
    }
    let evening = matches!(day, 6 | 0..=3) && week.evening.is_some_and(|from| minute >= from);
    if evening { Open } else { Closed }
}

/// How an instrument's time is cut into trading days (`docs/alerts.md`, B18).
///
/// A market that never closes has the days of UTC. Any other has the calendar days of its own time zone, from midnight to midnight;
/// where trading begins on the evening before (futures, currencies), a day goes from 17:00 to 17:00 and is named for its end, so
/// that an evening belongs to the day that follows it. Clock changes make a day an hour shorter or longer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TradingDays {
    /// None for UTC.
    zone: Option<TimeZone>,
    evening: bool,
}

/// The hour at which the day begins whose trading begins in the evening before.
const EVENING: i8 = 17;

impl TradingDays {
    /// The days of an instrument of this session, in this time zone where the session has none of its own; those of UTC where the
    /// zone is unknown.
    pub fn of(session: &str, timezone: &str) -> Self {
        if session == "24x7" {
            return Self { zone: None, evening: false };
        }
        let known = week(session);
        let zone = TimeZone::get(known.as_ref().map_or(timezone, |week| week.zone)).ok();
        Self { zone, evening: known.is_some_and(|week| week.evening.is_some()) }
    }

    /// The day that `at` belongs to: its first instant, and the first instant after it.
    pub fn around(&self, at: Timestamp) -> (Timestamp, Timestamp) {
        self.local(at).unwrap_or_else(|| {
            let start = Timestamp::from_micros(at.as_micros() - at.as_micros().rem_euclid(DAY.as_micros()));
            (start, start.plus(DAY))
        })
    }

    fn local(&self, at: Timestamp) -> Option<(Timestamp, Timestamp)> {
        let zone = self.zone.as_ref()?;
        let local = zone.to_datetime(at.to_jiff());
        let begins = |date: Date| -> Option<Timestamp> {
            let hour = if self.evening { EVENING } else { 0 };
            // A midnight that a clock change skips or repeats: the first instant of the date.
            Some(zone.to_ambiguous_zoned(date.at(hour, 0, 0, 0)).compatible().ok()?.timestamp().into())
        };
        let before = self.evening && local.hour() < EVENING;
        let date = if before { local.date().yesterday().ok()? } else { local.date() };
        Some((begins(date)?, begins(date.tomorrow().ok()?)?))
    }
}

const DAY: Span = Span::from_seconds(86_400);

/// Reads `09:00-17:30` as minutes of the day.
fn written_hours(session: &str) -> Option<(i16, i16)> {
    let minutes = |text: &str| {
        let (hour, minute) = text.split_once(':')?;
        let (hour, minute) = (hour.parse::<i16>().ok()?, minute.parse::<i16>().ok()?);
        ((0..=24).contains(&hour) && (0..60).contains(&minute)).then(|| at(hour, minute))
    };
    let (from, to) = session.split_once('-')?;
    Some((minutes(from)?, minutes(to)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hours(session: &str, at: &str) -> MarketHours {
        market_hours(session, "Europe/Paris", at.parse().expect(at))
    }

    #[test]
    fn markets_keep_their_own_local_hours_in_summer_and_winter() {
        for (session, time, expected) in [
            ("24x7", "2026-11-22T03:00:00Z", Open),
            // Monday 23 November 2026, New York is five hours behind.
            ("us_equity", "2026-11-23T08:59:59Z", Closed),
            ("us_equity", "2026-11-23T09:00:00Z", Pre),
            ("us_equity", "2026-11-23T14:29:59Z", Pre),
            ("us_equity", "2026-11-23T14:30:00Z", Open),
            ("us_equity", "2026-11-23T20:59:59Z", Open),
            ("us_equity", "2026-11-23T21:00:00Z", Post),
            ("us_equity", "2026-11-24T01:00:00Z", Closed),
            ("us_equity", "2026-11-22T15:00:00Z", Closed),
            // In July it is four hours behind.
            ("us_equity", "2026-07-20T13:30:00Z", Open),
            ("us_equity", "2026-07-20T20:00:00Z", Post),
            ("nse", "2026-11-23T03:30:00Z", Pre),
            ("nse", "2026-11-23T03:45:00Z", Open),
            ("nse", "2026-11-23T10:00:00Z", Closed),
            ("fx", "2026-11-22T21:59:00Z", Closed),
            ("fx", "2026-11-22T22:00:00Z", Open),
            ("fx", "2026-11-25T22:30:00Z", Open),
            ("fx", "2026-11-27T22:00:00Z", Closed),
            ("cme", "2026-11-25T22:30:00Z", Closed),
            ("cme", "2026-11-25T23:00:00Z", Open),
            ("cme", "2026-11-27T23:30:00Z", Closed),
            ("cbot_grains", "2026-11-23T14:00:00Z", Closed),
            ("cbot_grains", "2026-11-23T14:30:00Z", Open),
            ("tse", "2026-11-24T03:00:00Z", Closed),
            ("tse", "2026-11-24T03:30:00Z", Open),
            ("lse", "2026-11-23T16:29:00Z", Open),
            ("xetra", "2026-11-23T16:30:00Z", Closed),
            ("09:00-17:30", "2026-11-23T08:00:00Z", Open),
            ("09:00-17:30", "2026-11-23T07:59:00Z", Closed),
            ("moon", "2026-11-23T08:00:00Z", Unknown),
        ] {
            assert_eq!(hours(session, time), expected, "{session} at {time}");
        }
    }

    #[test]
    fn trading_days_begin_where_the_market_says_also_when_clocks_change() {
        for (session, timezone, time, start, hours) in [
            ("24x7", "America/New_York", "2026-11-22T03:00:00Z", "2026-11-22T00:00:00Z", 24),
            ("us_equity", "UTC", "2026-11-23T04:59:59Z", "2026-11-22T05:00:00Z", 24),
            ("us_equity", "UTC", "2026-11-23T05:00:00Z", "2026-11-23T05:00:00Z", 24),
            // Clocks go back in New York on 1 November 2026, and forward on 14 March 2027.
            ("us_equity", "UTC", "2026-11-01T12:00:00Z", "2026-11-01T04:00:00Z", 25),
            ("us_equity", "UTC", "2027-03-14T12:00:00Z", "2027-03-14T05:00:00Z", 23),
            // Sunday evening belongs to Monday, which lasts until Monday 17:00.
            ("cme", "UTC", "2026-11-22T23:30:00Z", "2026-11-22T22:00:00Z", 24),
            ("fx", "Europe/London", "2026-11-23T21:59:59Z", "2026-11-22T22:00:00Z", 24),
            ("ice_dx", "UTC", "2026-11-23T22:00:00Z", "2026-11-23T22:00:00Z", 24),
            // From Saturday 17:00 in summer time to Sunday 17:00 in winter time.
            ("cme", "UTC", "2026-11-01T12:00:00Z", "2026-10-31T21:00:00Z", 25),
            ("cme", "UTC", "2026-11-01T23:00:00Z", "2026-11-01T22:00:00Z", 24),
            ("09:00-17:30", "Asia/Tokyo", "2026-11-22T15:30:00Z", "2026-11-22T15:00:00Z", 24),
            ("moon", "Nowhere/Else", "2026-11-22T15:30:00Z", "2026-11-22T00:00:00Z", 24),
            // Clocks skip midnight in Beirut on 29 March 2026: that day begins at one o'clock.
            ("moon", "Asia/Beirut", "2026-03-29T12:00:00Z", "2026-03-28T22:00:00Z", 23),
        ] {
            let at = |text: &str| text.parse::<Timestamp>().expect(text);
            let (from, to) = TradingDays::of(session, timezone).around(at(time));
            assert_eq!((from, to.since(from).as_seconds()), (at(start), hours * 3_600), "{session} at {time}");
            assert!(from <= at(time) && at(time) < to, "{session} at {time}");
        }
    }

    #[test]
    fn every_session_of_the_catalogue_is_known() {
        for instrument in crate::catalog::Catalog::builtin().instruments() {
            let hours = market_hours(&instrument.session, &instrument.timezone, Timestamp::from_seconds(1_795_000_000));
            assert_ne!(hours, Unknown, "{}", instrument.symbol);
        }
    }
}
