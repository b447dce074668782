//! The usual trading hours of markets, by the names that the catalogue uses.
//!
//! Holidays, half days and special sessions are in no table here: on those days a market counts as open although it is not. A
//! source that states its own hours is to be preferred. So the hours serve display, and tell apart "closed" from "silent";
//! no alert depends on them.

use MarketHours::{Closed, Open, Post, Pre, Unknown};

use crate::time::Timestamp;

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
    fn every_session_of_the_catalogue_is_known() {
        for instrument in crate::catalog::Catalog::builtin().instruments() {
            let hours = market_hours(&instrument.session, &instrument.timezone, Timestamp::from_seconds(1_795_000_000));
            assert_ne!(hours, Unknown, "{}", instrument.symbol);
        }
    }
}
