//! What the two ways make of each other: each price once and in order, and a stream that is watched by the poll.

use bellwether_core::tick::{Session, Tick};

use super::{
    book::Book,
    hours::Hours,
    meta::{Close, Found},
    *,
};

const GRACE: Span = Span::from_seconds(20);
/// Friday 20 November 2026, 10:00:30 in New York.
const OPEN: Timestamp = Timestamp::from_seconds(1_795_186_830);

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_seconds(OPEN.as_seconds() + seconds)
}

fn book(symbols: &[&str]) -> Book {
    let mut list = instruments(symbols);
    for instrument in &mut list {
        instrument.stale_after = Span::from_seconds(360);
        instrument.outlier_pct = Some(20.into());
    }
    Book::new(list, GRACE)
}

fn subscribe(book: &mut Book, when: Timestamp) {
    book.subscribed(&(0..book.len()).collect(), Some(when));
}

fn price(text: &str) -> Price {
    text.parse().expect(text)
}

fn found(symbol: &str, text: &str, time: Timestamp, now: Timestamp, closes: &[(i64, &str)]) -> Found {
    let raw = r#"{"pre":{"start":1795165200,"end":1795185000},"regular":{"start":1795185000,"end":1795208400},
        "post":{"start":1795208400,"end":1795222800}}"#;
    let periods = serde_json::value::RawValue::from_string(raw.to_owned()).expect("JSON");
    let symbol = symbol.parse().expect("a symbol");
    let tick = Tick { exchange_time: Some(time), ..Tick::new(symbol, price(text), FeedId::Yahoo, now) };
    let closes = closes.iter().map(|(from, text)| Close { from: *from, price: price(text) }).collect();
    Found { tick, hours: Hours::stated(Some(&periods), None, Some(true), now), closes }
}

/// The poll brings a price of that time; the price where it goes on, else nothing.
fn poll(book: &mut Book, text: &str, time: i64, now: i64) -> String {
    let polled = book.polled(0, found("AAPL", text, at(time), at(now), &[]), at(now));
    show(polled.tick.map(|tick| tick.price))
}

/// The stream brings a price of that time.
fn stream(book: &mut Book, id: &str, value: f32, time: i64, now: i64) -> String {
    let tick = book.streamed(&frame(id, value, at(time)), at(now)).expect("believed");
    show(tick.map(|tick| tick.price))
}

#[test]
fn each_price_goes_on_once_and_in_its_order_whichever_way_it_came() {
    let mut book = book(&["AAPL"]);
    subscribe(&mut book, at(-100));
    assert_eq!(poll(&mut book, "231", -50, 0), "231");
    assert_eq!(stream(&mut book, "AAPL", 231.5, 1, 2), "231.5");
    assert_eq!(poll(&mut book, "231.2", -1, 3), "", "older than what the stream has brought");
    assert_eq!(poll(&mut book, "231.5", 1, 3), "", "the same again");
    assert_eq!(stream(&mut book, "aapl", 231.5, 1, 3), "", "the same again");
    assert_eq!(stream(&mut book, "AAPL", 231.25, 0, 3), "", "older");
    assert_eq!(poll(&mut book, "231.75", 4, 5), "231.75");
    assert_eq!(stream(&mut book, "AAPL", 231.6, 3, 5), "", "the poll was quicker");
    // The poll knows whole seconds only.
    let later = at(7).plus(Span::from_millis(345));
    assert!(book.streamed(&frame("AAPL", 232.0, later), at(8)).expect("believed").is_some());
    assert_eq!(poll(&mut book, "232", 7, 9), "");
    assert_eq!(book.streamed(&frame("MSFT", 1.0, later), at(9)), Err("unknown_symbol"));
}

#[test]
fn what_a_connection_says_first_is_a_last_known_price_and_no_news() {
    let mut book = book(&["AAPL"]);
    subscribe(&mut book, at(0));
    assert_eq!(stream(&mut book, "AAPL", 231.0, -30, 1), "");
    assert_eq!(stream(&mut book, "AAPL", 231.0, -30, 2), "", "said again");
    assert_eq!(book.last_known(at(3)), [], "young enough to be taken for news");
    assert_eq!(stream(&mut book, "AAPL", 231.5, -29, 3), "231.5", "it moves: also where prices are late");
    assert_eq!(stream(&mut book, "AAPL", 231.75, 4, 5), "231.75");
    // A new connection begins again.
    subscribe(&mut book, at(10));
    assert_eq!(stream(&mut book, "AAPL", 233.0, 8, 11), "");
    assert_eq!(stream(&mut book, "AAPL", 233.5, 12, 13), "233.5", "after the subscription: news at once");
}

#[test]
fn a_price_of_days_ago_is_shown_where_there_is_no_other_and_once() {
    let mut book = book(&["AAPL"]);
    subscribe(&mut book, at(0));
    assert_eq!(stream(&mut book, "AAPL", 228.5, -200_000, 1), "");
    let shown = book.last_known(at(2));
    assert_eq!(shown.len(), 1);
    assert_eq!((shown[0].exchange_time, shown[0].received_time), (Some(at(-200_000)), at(2)), "with its own time");
    assert_eq!(book.last_known(at(3)), []);
    assert_eq!(poll(&mut book, "231", -5, 4), "231");
}

#[test]
fn a_time_from_the_future_does_not_bar_what_comes_after_it() {
    let mut book = book(&["AAPL"]);
    subscribe(&mut book, at(-10));
    assert_eq!(stream(&mut book, "AAPL", 231.0, 40_000_000, 1), "231", "the evaluator takes the time of arrival");
    assert_eq!(poll(&mut book, "231.5", 5, 6), "231.5");
}

#[test]
fn a_quiet_share_of_an_open_market_is_never_repeated_as_new() {
    let mut book = book(&["AAPL"]);
    subscribe(&mut book, at(-10));
    assert_eq!(poll(&mut book, "231", -5, 0), "231");
    for now in (90..900).step_by(90) {
        assert_eq!(poll(&mut book, "231", -5, now), "", "its time stands still");
    }
    assert_eq!(poll(&mut book, "231", 905, 910), "231", "the same price at a new time is proof of life");
}

#[test]
fn a_stream_that_does_not_bring_what_the_poll_knows_is_stuck() {
    let mut book = book(&["AAPL", "MSFT"]);
    let all: BTreeSet<usize> = (0..2).collect();
    subscribe(&mut book, at(-100));
    stream(&mut book, "AAPL", 231.0, 0, 1);
    assert_eq!(poll(&mut book, "231.5", 5, 6), "231.5", "prices go on whatever the stream does");
    assert_eq!(book.stuck(&all, at(25)), [], "it may be a little late");
    assert_eq!(book.stuck(&all, at(26)), ["AAPL".parse().expect("a symbol")]);
    assert!(book.trouble(at(26)).contains(&"not streamed: AAPL".to_owned()));
    // The stream catches up.
    subscribe(&mut book, at(30));
    assert_eq!(book.stuck(&all, at(60)), []);
    poll(&mut book, "232", 61, 62);
    stream(&mut book, "AAPL", 232.0, 63, 64);
    assert_eq!(book.stuck(&all, at(200)), []);
    // The same price at a later time may not have been worth a frame.
    poll(&mut book, "232", 205, 206);
    assert_eq!(book.stuck(&all, at(300)), []);
}

#[test]
fn what_the_streamer_does_not_know_is_named_and_does_not_cost_the_others_their_connection() {
    let mut book = book(&["AAPL", "MSFT"]);
    let all: BTreeSet<usize> = (0..2).collect();
    subscribe(&mut book, at(-100));
    stream(&mut book, "MSFT", 441.0, 0, 1);
    poll(&mut book, "231.5", 5, 6);
    assert_eq!(book.stuck(&all, at(100)), []);
    assert_eq!(book.trouble(at(100)), ["not streamed: AAPL"]);
    // But a connection that says nothing at all is dead; yet not for ever worth another attempt.
    for attempt in 0..5 {
        let begun = 1_000 + attempt * 200;
        subscribe(&mut book, at(begun));
        poll(&mut book, &format!("24{attempt}"), begun + 5, begun + 6);
        assert_eq!(book.stuck(&all, at(begun + 30)).len(), usize::from(attempt < 3), "attempt {attempt}");
    }
}

#[test]
fn at_night_a_silent_stream_is_not_stuck() {
    let mut book = book(&["AAPL"]);
    subscribe(&mut book, at(0));
    // Saturday; the price is Friday's.
    let saturday = 86_400;
    poll(&mut book, "231", 40_000, saturday);
    assert_eq!(book.stuck(&BTreeSet::from([0]), at(saturday + 100)), []);
    assert!(!book.wants_minutes(0, at(saturday + 100)));
}

/// The minute of [`OPEN`] plus so many.
fn minute(number: i64) -> i64 {
    OPEN.as_seconds() - 30 + number * 60
}

#[test]
fn where_only_the_poll_works_a_spike_between_two_polls_is_seen() {
    let mut book = book(&["AAPL"]);
    assert!(book.wants_minutes(0, at(0)));
    let first = book.polled(0, found("AAPL", "231", at(0), at(2), &[(minute(-1), "230"), (minute(0), "231")]), at(2));
    assert_eq!(first.candles, [], "nothing is known before the first price");
    let closes = [(minute(-1), "230"), (minute(0), "239.5"), (minute(1), "231.2"), (minute(2), "231.4")];
    let second = book.polled(0, found("AAPL", "231.4", at(95), at(97), &closes), at(97));
    let seen: Vec<_> = second.candles.iter().map(|c| (c.to.as_seconds(), c.close.to_string())).collect();
    assert_eq!(seen, [(minute(1), "239.5".to_owned()), (minute(2), "231.2".to_owned())], "the last one still runs");
    assert!(second.candles.iter().all(|c| c.from < c.to && c.open == c.close && c.high == c.low));
    assert_eq!(second.tick.expect("a price").exchange_time, Some(at(95)));
    let third = book.polled(0, found("AAPL", "231.4", at(95), at(187), &closes), at(187));
    assert_eq!(third, Polled::default(), "nothing twice");
}

#[test]
fn a_close_that_is_far_from_everything_is_not_believed() {
    let mut book = book(&["AAPL"]);
    book.polled(0, found("AAPL", "231", at(0), at(2), &[]), at(2));
    let closes = [(minute(0), "23100"), (minute(1), "231.2"), (minute(2), "231.4")];
    let polled = book.polled(0, found("AAPL", "231.4", at(160), at(162), &closes), at(162));
    assert_eq!((polled.candles.len(), polled.outliers), (2, 1));
}

#[test]
fn a_long_gap_is_left_to_those_who_fetch_it_and_an_opening_is_no_gap() {
    let mut book = book(&["AAPL"]);
    book.polled(0, found("AAPL", "231", at(0), at(2), &[]), at(2));
    let closes: Vec<(i64, &str)> = (0..40).map(|n| (minute(n), "232")).collect();
    let polled = book.polled(0, found("AAPL", "232", at(2_400), at(2_402), &closes), at(2_402));
    assert_eq!(polled.candles, [], "forty minutes are more than a poll can answer for");
    // 09:31:10: the last price is of the evening before.
    let mut book = self::book(&["AAPL"]);
    let opening = 1_795_185_000 - OPEN.as_seconds();
    book.polled(0, found("AAPL", "229", at(opening - 60_000), at(opening - 100), &[]), at(opening - 100));
    let now = opening + 70;
    let first = [(minute(0) - 1_800, "231")];
    let polled = book.polled(0, found("AAPL", "231.5", at(now - 1), at(now), &first), at(now));
    assert_eq!(polled.candles.len(), 1, "the first minute of the day");
}

#[test]
fn with_a_stream_that_moves_the_poll_brings_no_minutes() {
    let mut book = book(&["AAPL"]);
    subscribe(&mut book, at(-10));
    stream(&mut book, "AAPL", 231.0, 0, 1);
    assert!(!book.wants_minutes(0, at(2)));
    let closes = [(minute(0), "239"), (minute(1), "231")];
    let polled = book.polled(0, found("AAPL", "231", at(130), at(131), &closes), at(131));
    assert_eq!(polled.candles, []);
    // It is cut off.
    book.subscribed(&BTreeSet::from([0]), None);
    assert!(book.wants_minutes(0, at(140)));
    assert_eq!(book.streamed(&frame("AAPL", 5.0, at(141)), at(141)), Ok(None), "a late frame of a lost connection");
}

#[test]
fn after_the_closing_the_minutes_are_the_price_and_of_their_own_session() {
    let mut book = book(&["AAPL"]);
    let closing = 1_795_208_400;
    let after = |seconds: i64| Timestamp::from_seconds(closing + seconds);
    let first = book.polled(0, found("AAPL", "231", after(0), after(30), &[]), after(30));
    assert_eq!(first.tick.expect("the close").session, Session::Regular);
    let closes = [(closing, "231.5"), (closing + 60, "240"), (closing + 120, "232")];
    let polled = book.polled(0, found("AAPL", "231", after(0), after(200), &closes), after(200));
    let seen: Vec<_> = polled.candles.iter().map(|c| (c.session, c.close.to_string())).collect();
    assert_eq!(seen, [(Session::Post, "231.5".to_owned()), (Session::Post, "240".to_owned())]);
    let tick = polled.tick.expect("the last minute");
    assert_eq!((tick.session, tick.price, tick.exchange_time), (Session::Post, price("232"), Some(after(180))));
    // And by the stream, whatever its `market_hours` may mean.
    subscribe(&mut book, after(200));
    let tick = book.streamed(&frame("AAPL", 233.0, after(240)), after(241)).expect("believed").expect("news");
    assert_eq!(tick.session, Session::Post);
    let data = PricingData { market_hours: 1, ..frame("AAPL", 231.25, after(241)) };
    let tick = book.streamed(&data, after(242)).expect("believed").expect("news");
    assert_eq!(tick.session, Session::Regular, "a closing price says so itself");
}

#[test]
fn a_known_wrong_currency_silences_the_stream_too() {
    let mut book = book(&["AAPL"]);
    subscribe(&mut book, at(0));
    book.other_currency(0, "USX");
    assert_eq!(book.streamed(&frame("AAPL", 23_100.0, at(1)), at(2)), Err("currency"));
    assert_eq!(book.trouble(at(2)), ["AAPL is quoted in USX, not in USD"]);
    poll(&mut book, "231", 3, 4);
    assert_eq!(stream(&mut book, "AAPL", 231.5, 5, 6), "231.5");
}

#[test]
fn the_days_figures_come_from_whoever_has_them() {
    let mut book = book(&["AAPL"]);
    subscribe(&mut book, at(-10));
    let mut polled = found("AAPL", "231", at(0), at(1), &[]);
    polled.tick.day.high = Some(price("232"));
    polled.tick.day.reference = Some(price("229.6"));
    book.polled(0, polled, at(1));
    let tick = book.streamed(&frame("AAPL", 233.0, at(2)), at(3)).expect("believed").expect("news");
    assert_eq!([tick.day.reference, tick.day.high].map(show), ["229.6", "233"]);
}

#[test]
fn a_step_like_that_of_a_split_is_noted() {
    let mut book = book(&["AAPL", "GOLD"]);
    poll(&mut book, "400", 0, 1);
    poll(&mut book, "401", 2, 3);
    assert!(book.take_suspects().is_empty());
    poll(&mut book, "100.5", 4, 5);
    assert_eq!(book.take_suspects().len(), 1);
    assert!(book.take_suspects().is_empty(), "told once");
    for (text, time) in [("2000", 6), ("1000", 8)] {
        book.polled(1, found("GOLD", text, at(time), at(time), &[]), at(time));
    }
    assert!(book.take_suspects().is_empty(), "gold is not split");
}
