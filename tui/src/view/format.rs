//! Numbers and times as people read them. What is missing is `—`, never 0.

use bellwether_core::{
    event::Ticker,
    explain::{Distance, LevelKind},
    instrument::Symbol,
    price::Price,
    time::{Span, Timestamp},
};
use rust_decimal::Decimal;

use crate::app::{App, Freshness, Near};

/// What stands for what is not known.
pub(super) const MISSING: &str = "—";

/// A price with thousands separators and the places that fit its size.
pub(super) fn price(price: Price) -> String {
    price.grouped(price.natural_places())
}

/// A price that may be unknown.
pub(super) fn price_or_missing(value: Option<Price>) -> String {
    value.map_or_else(|| MISSING.to_owned(), price)
}

/// A level as short as it can be said: without a fraction of zeros.
pub(super) fn level(value: Price) -> String {
    let text = price(value);
    match text.strip_suffix(".00") {
        Some(whole) => whole.to_owned(),
        None => text,
    }
}

/// A percentage with its sign and two places: `+1.36`.
pub(super) fn signed(value: Decimal) -> String {
    let value = value.round_dp(2);
    if value.is_zero() {
        return "0.00".to_owned();
    }
    if value.is_sign_negative() { format!("{value:.2}") } else { format!("+{:.2}", value.abs()) }
}

/// A distance between prices with its sign, and with as many places as a price of the size of `beside` has.
pub(super) fn signed_price(value: Price, beside: Price) -> String {
    let text = value.grouped(beside.natural_places());
    if text.starts_with('-') { text } else { format!("+{text}") }
}

/// A sum of money, with two places.
pub(super) fn money(value: Decimal) -> String {
    Price::new(value.round_dp(2)).grouped(2)
}

/// A gain or a loss, with its sign.
pub(super) fn signed_money(value: Decimal) -> String {
    let text = money(value);
    if text.starts_with('-') { text } else { format!("+{text}") }
}

/// How much of something, in four digits at most: `0.0412`, `12.4`, `8,121`, `41.2k`, `3.1M`.
pub(super) fn amount(amount: Price) -> String {
    const UNITS: [(i64, i64, &str); 4] = [
        (1_000_000_000_000, 1_000_000_000_000, "T"),
        (1_000_000_000, 1_000_000_000, "B"),
        (1_000_000, 1_000_000, "M"),
        (10_000, 1_000, "k"),
    ];
    let value = amount.decimal();
    let unit = UNITS.iter().find(|(least, ..)| value >= Decimal::from(*least));
    let (value, unit) = unit.map_or((value, ""), |(_, size, unit)| (value / Decimal::from(*size), *unit));
    let places = match value {
        _ if value >= Decimal::from(100) => 0,
        _ if value >= Decimal::TEN => 1,
        _ if value >= Decimal::ONE => 2,
        _ => 4,
    };
    let text = value.round_dp(places).normalize().to_string();
    match text.split_once('.') {
        None if text.len() == 4 => format!("{},{}{unit}", &text[..1], &text[1..]),
        _ => format!("{text}{unit}"),
    }
}

/// The way from the last price to a level, with as many places as that price is shown with.
pub(super) fn distance(distance: &Distance) -> String {
    let price = distance.level.decimal().checked_sub(distance.absolute.decimal());
    signed_price(distance.absolute, price.map_or(distance.level, Price::new))
}

/// The arrow of a change, and whether it is a rise.
pub(super) fn arrow(change: Option<Price>) -> (&'static str, Option<bool>) {
    match change.map(Price::decimal) {
        Some(d) if d.is_zero() => (" ", None),
        Some(d) if d.is_sign_positive() => ("▲", Some(true)),
        Some(_) => ("▼", Some(false)),
        None => (" ", None),
    }
}

/// The absolute change since the reference price.
pub(super) fn absolute_change(ticker: &Ticker) -> Option<Price> {
    let reference = ticker.reference?;
    ticker.price.decimal().checked_sub(reference.decimal()).map(Price::new)
}

/// An age in its largest unit: `now`, `7s`, `14m`, `3h`, `5d`.
pub(super) fn age(span: Span) -> String {
    match span.as_seconds() {
        0 => "now".to_owned(),
        s @ 1..60 => format!("{s}s"),
        s @ 60..3_600 => format!("{}m", s / 60),
        s @ 3_600..86_400 => format!("{}h", s / 3_600),
        s => format!("{}d", s / 86_400),
    }
}

/// A time of the day in the user's zone: `14:02:11`.
pub(super) fn clock(app: &App, at: Timestamp) -> String {
    let local = at.to_jiff().to_zoned(app.zone.clone());
    format!("{:02}:{:02}:{:02}", local.hour(), local.minute(), local.second())
}

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// A day in the user's zone: `Nov 22`.
pub(super) fn day(app: &App, at: Timestamp) -> String {
    let local = at.to_jiff().to_zoned(app.zone.clone());
    let month = usize::try_from(local.month()).unwrap_or(1).clamp(1, 12);
    format!("{} {}", MONTHS[month - 1], local.day())
}

/// A month in the user's zone: `Nov 2026`.
pub(super) fn month(app: &App, at: Timestamp) -> String {
    let local = at.to_jiff().to_zoned(app.zone.clone());
    let month = usize::try_from(local.month()).unwrap_or(1).clamp(1, 12);
    format!("{} {}", MONTHS[month - 1], local.year())
}

/// A moment: the time if it is today, with the day if it is not.
pub(super) fn moment(app: &App, at: Timestamp) -> String {
    let today = day(app, app.now);
    let that = day(app, at);
    let time = clock(app, at);
    if today == that { time } else { format!("{that} {}", &time[..5]) }
}

/// The age of a price with what must be said beside it: `7s`, `STALE 14m`, `CLOSED 2d`, `DELAYED 15m`. `short` leaves the words out.
pub(super) fn age_words(app: &App, ticker: &Ticker, short: bool) -> String {
    let old = age(ticker.age(app.now));
    match app.freshness(ticker) {
        Freshness::Stale if short => format!("!{old}"),
        Freshness::Stale => format!("STALE {old}"),
        Freshness::Closed if !short => format!("CLOSED {old}"),
        Freshness::Live | Freshness::Ageing if !ticker.delay.is_zero() && !short => {
            format!("DELAYED {}", age(ticker.delay))
        }
        _ => old,
    }
}

/// The distance to a level with the way it lies: `+0.97%↑`.
pub(super) fn near(near: &Near) -> String {
    let arrow = if near.percent.is_sign_negative() { "↓" } else { "↑" };
    format!("{}%{arrow}", signed(near.percent))
}

/// The sign of what happens at a level.
pub(super) const fn level_sign(kind: LevelKind) -> &'static str {
    match kind {
        LevelKind::Up => ">",
        LevelKind::Down => "<",
        LevelKind::Either => "±",
        LevelKind::Lower => "├",
        LevelKind::Upper => "┤",
    }
}

/// The name of an instrument, or its symbol where it has none.
pub(super) fn name(app: &App, symbol: Symbol) -> String {
    app.instrument(symbol).map_or_else(|| symbol.to_string(), |i| i.name.clone())
}

/// Where `value` lies between `low` and `high`, as one of `steps` steps from 0. Outside values go to the ends.
pub(super) fn step(value: Price, low: Price, high: Price, steps: u16) -> u16 {
    let last = steps.saturating_sub(1);
    if value <= low || high <= low {
        return 0;
    }
    if value >= high {
        return last;
    }
    // Giants that do not fit 28 digits multiplied are measured more coarsely first.
    let part = value.decimal().checked_sub(low.decimal());
    let whole = high.decimal().checked_sub(low.decimal());
    let share = part.zip(whole).and_then(|(part, whole)| part.checked_div(whole));
    let place = share.and_then(|s| s.checked_mul(Decimal::from(last))).map(|p| p.round());
    place.and_then(|p| u16::try_from(p).ok()).unwrap_or(0).min(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn p(text: &str) -> Price {
        text.parse().expect(text)
    }

    #[test]
    fn numbers_and_ages_read_well() {
        assert_eq!(price(p("60412.5")), "60,412.50");
        let amounts = [
            ("0", "0"),
            ("0.041239", "0.0412"),
            ("12.4231", "12.4"),
            ("8120.7", "8,121"),
            ("41234", "41.2k"),
            ("412345", "412k"),
            ("3100000", "3.1M"),
            ("2500000000000", "2.5T"),
        ];
        for (exact, shown) in amounts {
            assert_eq!(amount(p(exact)), shown);
        }
        assert_eq!(level(p("61000")), "61,000");
        assert_eq!(price_or_missing(None), "—");
        assert_eq!(signed_price(p("0.71"), p("142.9")), "+0.71");
        assert_eq!(signed_price(p("-0.00042"), p("0.27")), "-0.00042");
        for (absolute, level, text) in
            [("-3.29", "9.21", "-3.29"), ("3.29", "10.5", "+3.2900"), ("3.29", "234.49", "+3.29")]
        {
            let way = Distance { absolute: p(absolute), percent: Decimal::ONE, level: p(level) };
            assert_eq!(distance(&way), text, "from {level} less {absolute}");
        }
        assert_eq!(signed(p("1.357").decimal()), "+1.36");
        assert_eq!(signed(p("-0.001").decimal()), "0.00");
        assert_eq!(signed(p("-0.42").decimal()), "-0.42");
        for (seconds, text) in [(0, "now"), (7, "7s"), (840, "14m"), (10_800, "3h"), (432_000, "5d")] {
            assert_eq!(age(Span::from_seconds(seconds)), text);
        }
    }

    #[test]
    fn places_on_a_scale_stay_on_it() {
        assert_eq!(step(p("5"), p("0"), p("10"), 11), 5);
        assert_eq!(step(p("-5"), p("0"), p("10"), 11), 0);
        assert_eq!(step(p("50"), p("0"), p("10"), 11), 10);
        assert_eq!(step(p("5"), p("5"), p("5"), 11), 0);
        assert_eq!(step(p("5"), p("0"), p("10"), 0), 0);
        let giant = p("9999999999999999999999999999");
        assert!(step(p("1"), p("-9999999999999999999999999999"), giant, 10) < 10, "too wide to measure well");
    }
}
