//! What the shell relies on beside the meaning of alerts: versions, restarts, cuts, and what a firing says.

use super::*;
use crate::{
    alert::{AlertChange, UserId},
    catalog::Catalog,
    condition::{ChannelName, Rule},
    parse::{ParseContext, parse},
    price::Price,
    time::Span,
};

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_seconds(1_800_000_000 + seconds)
}

fn symbol(name: &str) -> Symbol {
    name.parse().unwrap()
}

fn catalog() -> Catalog {
    let delayed = Instrument { delay: Span::from_seconds(60), ..Instrument::unlisted(symbol("LATE")) };
    Catalog::new(["BTC", "ETH"].map(|name| Instrument::unlisted(symbol(name))).into_iter().chain([delayed]))
}

fn rule(text: &str) -> Rule {
    let channels = [ChannelName::new("email")];
    let catalog = catalog();
    let timezone = jiff::tz::TimeZone::UTC;
    parse(text, &ParseContext { catalog: &catalog, now: at(0), timezone: &timezone, channels: &channels }).unwrap()
}

fn alert(id: i64, text: &str) -> Alert {
    Alert {
        id: AlertId(id),
        owner: UserId::OWNER,
        version: 1,
        rule: rule(text),
        paused: false,
        snoozed_until: None,
        created: at(0),
        updated: at(0),
    }
}

fn tick(name: &str, price: &str, seconds: i64) -> Tick {
    Tick::new(symbol(name), price.parse().unwrap(), FeedId::Tape, at(seconds))
}

fn evaluator(texts: &[&str]) -> Evaluator {
    let mut evaluator = Evaluator::new(catalog().instruments().iter().cloned());
    for (text, id) in texts.iter().zip(1..) {
        assert!(evaluator.apply(AlertChange::Put(alert(id, text)), at(0), &mut Vec::new()));
    }
    evaluator
}

/// Plays prices one second apart; gives every firing.
fn play(evaluator: &mut Evaluator, tape: &[(&str, &str)]) -> Vec<Firing> {
    let mut out = Vec::new();
    for ((name, price), seconds) in tape.iter().zip(1..) {
        evaluator.on_tick(&tick(name, price, seconds), &mut out);
    }
    out
}

#[test]
fn a_firing_says_why_in_numbers_for_people() {
    let cases: &[(&str, &[&str], &str)] = &[
        ("BTC > 60k", &["59987.1", "60012.5"], "BTC rose above 60,000.00: 60,012.50 now, 59,987.10 before"),
        ("BTC > 60k", &["60012.5"], "BTC is above 60,000.00: 60,012.50 now"),
        ("BTC <= 60k", &["61000", "60000"], "BTC fell to 60,000.00: 60,000.00 now, 61,000.00 before"),
        ("BTC crosses 60k", &["61000", "59000"], "BTC fell through 60,000.00: 59,000.00 now, 61,000.00 before"),
        ("BTC exits 180..190", &["185", "191"], "BTC left 180.00..190.00: 191.00 now, 185.00 before"),
        ("BTC enters 180..190", &["10", "181"], "BTC entered 180.00..190.00: 181.00 now, 10.00 before"),
        ("BTC in 180..190", &["185"], "BTC is within 180.00..190.00: 185.00 now"),
        ("BTC +10% from 58000", &["63800"], "BTC is 10.0 % above 58,000.00: 63,800.00 now"),
        (
            "BTC -5% from high",
            &["100", "120", "114"],
            "BTC fell 5.0 % from its high of 120.00: 114.00 now, 120.00 before",
        ),
        ("BTC ±3%", &["100", "103.3"], "BTC rose 3.3 % from 100.00: 103.30 now, 100.00 before"),
        ("BTC -5% in 1h", &["100", "94.9"], "BTC fell 5.1 % within 1h, from 100.00: 94.90 now, 100.00 before"),
        ("BTC +5% vs 1s", &["100", "110"], "BTC is 10.0 % above its price 1s ago, 100.00: 110.00 now, 100.00 before"),
        (
            "BTC > 60k for 1s",
            &["61000", "62000"],
            "BTC is above 60,000.00: 62,000.00 now, 61,000.00 before, held for 1s",
        ),
        ("BTC > 1 or BTC > 500", &["5"], "BTC > 1 (5.0000 now)"),
    ];
    for (text, prices, reason) in cases {
        let tape: Vec<(&str, &str)> = prices.iter().map(|p| ("BTC", *p)).collect();
        let firings = play(&mut evaluator(&[text]), &tape);
        assert_eq!(firings.iter().map(Firing::reason).collect::<Vec<_>>(), [*reason], "{text}");
    }
}

#[test]
fn a_firing_carries_what_its_messages_need() {
    let mut evaluator = evaluator(&["LATE > 10 each urgent via email note \"sell\"", "BTC/ETH > 3"]);
    let firings = play(&mut evaluator, &[("LATE", "11"), ("BTC", "10"), ("ETH", "3"), ("LATE", "9"), ("LATE", "12")]);
    let ids: Vec<String> = firings.iter().map(|f| f.id.to_string()).collect();
    assert_eq!(ids, ["a1.1.1", "a2.1.1", "a1.1.2"]);
    let first = &firings[0];
    assert!(first.delayed && first.urgent && !first.late);
    assert_eq!((first.note(), first.via().len(), first.condition()), (Some("sell"), 1, "above"));
    assert_eq!((first.price, first.previous), ("11".parse().ok(), None));
    assert_eq!((firings[1].price, firings[1].delayed), (None, false));
    let ratio = firings[1].values()[0].value.map(|v| v.to_string());
    assert_eq!(ratio.as_deref(), Some("3.333333333333333333"));
    assert_eq!(firings[2].previous, "9".parse().ok());
}

#[test]
fn a_tick_between_the_nearest_thresholds_touches_no_alert() {
    let texts: Vec<String> = (0..200).map(|i| format!("BTC > {} each", 50_000 + 100 * i)).collect();
    let mut evaluator = evaluator(&texts.iter().map(String::as_str).collect::<Vec<_>>());
    let fired = play(&mut evaluator, &[("BTC", "60050")]).len();
    assert_eq!(fired, 101);
    evaluator.take_cut();
    assert!(!evaluator.is_dirty());
    evaluator.on_tick(&tick("BTC", "60051", 2), &mut Vec::new());
    let cut = evaluator.take_cut();
    assert_eq!((cut.alerts.len(), cut.instruments.len()), (0, 1));
    evaluator.on_tick(&tick("BTC", "60120", 3), &mut Vec::new());
    assert_eq!(evaluator.take_cut().alerts.len(), 1);
    let written = |cut: &Cut| serde_json::to_string(cut).unwrap().len();
    assert!(written(&cut) < 800, "{} bytes", written(&cut));
}

/// One candle a minute up to the beginning, flat at these closes.
fn minutes(closes: &[i64]) -> Vec<Candle> {
    let first = -60 * i64::try_from(closes.len()).unwrap();
    let candle = |(place, close): (i64, &i64)| {
        let (from, close) = (at(first + 60 * place), Price::new((*close).into()));
        let to = from.plus(Span::from_seconds(60));
        Candle {
            from,
            to,
            open: close,
            high: close,
            low: close,
            close,
            session: crate::tick::Session::Regular,
            volume: None,
        }
    };
    (0..).zip(closes).map(candle).collect()
}

#[test]
fn a_tick_inside_a_bar_touches_no_alert_on_an_indicator() {
    let of = |i: i64| match i % 5 {
        0 => format!("BTC > sma({}, 1m) each", i + 1),
        1 => format!("BTC rsi({}, 1m) < 30 each", i + 2),
        2 => format!("BTC crosses ema({}, 1m) each hysteresis 1%", i + 1),
        3 => format!("BTC sma({}, 1m) crosses up sma(2, 1m) each", i + 1),
        _ => format!("BTC volume > {} each", 10_000 + i),
    };
    let texts: Vec<String> = (0..100).map(of).collect();
    let mut evaluator = evaluator(&texts.iter().map(String::as_str).collect::<Vec<_>>());
    evaluator.on_history(symbol("BTC"), &minutes(&[100; 1_000]), at(0));
    let mut out = Vec::new();
    let quiet = |price: &str, seconds: i64| {
        let mut tick = tick("BTC", price, seconds);
        tick.day.volume = "500".parse().ok();
        tick
    };
    for seconds in 1..3 {
        evaluator.on_tick(&quiet("90", seconds), &mut out);
    }
    evaluator.take_cut();
    evaluator.on_tick(&quiet("91", 3), &mut out);
    assert_eq!((evaluator.take_cut().alerts.len(), out.len()), (0, 0));
    // The end of the minute brings every mean down, but none below the price; of the changes all that are no zeros are losses.
    evaluator.on_tick(&quiet("90", 61), &mut out);
    assert_eq!((evaluator.take_cut().alerts.len(), out.len()), (80, 20));
    assert!(out.iter().all(|f| f.reason().contains(" is below 30.00: 0.00 now")), "{out:?}");
    out.clear();
    let loud =
        Tick { day: crate::tick::DayStats { volume: "10010".parse().ok(), ..Default::default() }, ..quiet("90", 62) };
    evaluator.on_tick(&loud, &mut out);
    let fired: Vec<String> = out.iter().map(|f| f.reason().into_owned()).collect();
    assert_eq!(fired, ["BTC volume is above 10,004.00: 10,010.00 now", "BTC volume is above 10,009.00: 10,010.00 now"]);
    assert_eq!(evaluator.take_cut().alerts.len(), 2);
}

#[test]
fn a_firing_on_an_indicator_says_what_that_was() {
    for (text, closes, price, reason, values) in [
        (
            "BTC > sma(3, 1m)",
            &[10, 11, 13][..],
            "12",
            "BTC is above its sma(3, 1m) of 11.33: 12.00 now",
            (None, Some("11.3333333333")),
        ),
        (
            "BTC rsi(2, 1m) < 30",
            &[10, 11, 10, 8],
            "9",
            "BTC rsi(2, 1m) is below 30.00: 16.67 now",
            (Some("16.6666666667"), None),
        ),
    ] {
        let mut evaluator = evaluator(&[text]);
        evaluator.on_history(symbol("BTC"), &minutes(closes), at(0));
        let price_of = |text: Option<&str>| text.map(|t| t.parse::<Price>().unwrap());
        let status = evaluator.status(AlertId(1), at(0)).unwrap();
        let known = status.indicators.first().map(|known| (known.value, known.level));
        assert_eq!(known, Some((price_of(values.0), price_of(values.1))), "{text}");
        let firings = play(&mut evaluator, &[("BTC", price)]);
        assert_eq!(firings.iter().map(Firing::reason).collect::<Vec<_>>(), [reason], "{text}");
        assert_eq!(firings[0].values()[0].level, price_of(values.1), "{text}");
    }
    assert!(evaluator(&["BTC > 5"]).status(AlertId(1), at(0)).unwrap().indicators.is_empty());
}

#[test]
fn a_cooldown_that_is_over_stays_over_when_the_past_is_filled_in() {
    let mut evaluator = evaluator(&["BTC sma(2, 1m) > 100 each cooldown 30s"]);
    let known = minutes(&[150, 50, 110]);
    evaluator.on_history(symbol("BTC"), &[known[0].clone(), known[2].clone()], at(0));
    let mut out = Vec::new();
    evaluator.on_tick(&tick("BTC", "110", 1), &mut out);
    evaluator.on_tick(&tick("BTC", "110", 40), &mut out);
    assert_eq!(out.len(), 1);
    assert_eq!(evaluator.state(AlertId(1), at(40)), Some(AlertState::Fired));
    evaluator.on_history(symbol("BTC"), &known[1..2], at(41));
    assert_eq!(evaluator.status(AlertId(1), at(41)).unwrap().indicators[0].value, "80".parse().ok());
    assert_eq!(evaluator.state(AlertId(1), at(41)), Some(AlertState::Fired));
}

#[test]
fn a_cut_from_before_there_were_bars_is_still_read() {
    let old = r#"{"alerts":[],"instruments":[{"symbol":"BTC","regular":{"last":{"ts":1800000000000000,"price":"100",
        "session":"regular","source":"tape","received":1800000000000000},"seq":1,"highs":"","lows":"","past":""}}]}"#;
    let cut: Cut = serde_json::from_str(old).unwrap();
    let alerts = vec![alert(1, "BTC > sma(1, 1m)")];
    let mut evaluator = Evaluator::restore(catalog().instruments().iter().cloned(), alerts, cut);
    let mut out = Vec::new();
    evaluator.on_tick(&tick("BTC", "99", 60), &mut out);
    evaluator.on_tick(&tick("BTC", "101", 61), &mut out);
    assert_eq!(out.iter().map(|f| f.time).collect::<Vec<_>>(), [at(61)]);
}

#[test]
fn bars_are_kept_while_an_alert_asks_and_no_longer() {
    let mut evaluator = evaluator(&["BTC > sma(200, 1m)", "BTC > sma(2, 1m)"]);
    evaluator.on_history(symbol("BTC"), &minutes(&[60_412; 300]), at(0));
    let written = |evaluator: &mut Evaluator| serde_json::to_string(&evaluator.take_cut().instruments).unwrap().len();
    let (all, mut out) = (written(&mut evaluator), Vec::new());
    assert!((1_200..1_500).contains(&all), "{all} bytes for 200 closes");
    evaluator.apply(AlertChange::Delete { id: AlertId(1), version: 2 }, at(1), &mut out);
    let two = written(&mut evaluator);
    assert!(two < 250, "{two} bytes for 2 closes");
    evaluator.apply(AlertChange::Delete { id: AlertId(2), version: 2 }, at(1), &mut out);
    let none = written(&mut evaluator);
    assert!(none < two && none < 150, "{none} bytes without bars");
}

#[test]
fn an_alert_made_just_before_a_crash_is_judged_at_the_next_price() {
    let mut before = evaluator(&[]);
    play(&mut before, &[("BTC", "59000")]);
    let cut = before.take_cut();
    let alerts = vec![alert(1, "BTC crosses up 60k"), alert(2, "BTC > 50k"), alert(3, "BTC +1%")];
    let mut after = Evaluator::restore(catalog().instruments().iter().cloned(), alerts, cut);
    assert_eq!(after.last(symbol("BTC")).map(|o| o.price), "59000".parse().ok());
    let mut out = Vec::new();
    after.on_tick(&tick("BTC", "60100", 2), &mut out);
    assert_eq!(out.iter().map(|f| f.id.alert.0).collect::<Vec<_>>(), [1, 2, 3]);
}

#[test]
fn a_memory_of_another_text_is_not_believed() {
    let mut before = evaluator(&["BTC > 50k"]);
    assert_eq!(play(&mut before, &[("BTC", "59000")]).len(), 1);
    let cut = before.take_cut();
    let instruments = || catalog().instruments().to_vec();
    let same = Evaluator::restore(instruments(), vec![alert(1, "BTC > 50k")], cut.clone());
    assert_eq!(same.state(AlertId(1), at(2)), Some(AlertState::Done));
    let edited = Alert { version: 2, ..alert(1, "BTC > 55k") };
    let other = Evaluator::restore(instruments(), vec![edited], cut);
    assert_eq!(other.state(AlertId(1), at(2)), Some(AlertState::Armed));
}

#[test]
fn a_change_that_is_not_newer_is_ignored() {
    let mut evaluator = evaluator(&["BTC > 60k"]);
    let mut out = Vec::new();
    assert!(!evaluator.apply(AlertChange::Put(alert(1, "BTC > 1")), at(1), &mut out));
    assert!(evaluator.apply(AlertChange::Delete { id: AlertId(1), version: 3 }, at(1), &mut out));
    let overtaken = Alert { version: 2, ..alert(1, "BTC > 1") };
    assert!(!evaluator.apply(AlertChange::Put(overtaken), at(1), &mut out));
    assert_eq!((evaluator.alerts().count(), evaluator.state(AlertId(1), at(1))), (0, None));
    evaluator.on_tick(&tick("BTC", "61000", 2), &mut out);
    assert!(out.is_empty());
}

#[test]
fn a_split_gives_the_alerts_whose_text_changed_their_next_version() {
    let mut evaluator = evaluator(&["BTC < 150 hysteresis 2", "BTC -5%", "ETH > 5", "BTC/ETH > 8"]);
    play(&mut evaluator, &[("BTC", "200")]);
    let changed = evaluator.on_split(symbol("BTC"), 4.into(), at(2));
    let texts: Vec<(i64, u32, String)> = changed.iter().map(|a| (a.id.0, a.version, a.rule.to_string())).collect();
    let expected = [(1, 2, "BTC < 37.5 once hysteresis 0.5".to_owned()), (4, 2, "BTC/ETH > 2 once".to_owned())];
    assert_eq!(texts, expected);
    assert!(evaluator.on_split(symbol("BTC"), 0.into(), at(2)).is_empty());
    assert_eq!(evaluator.last(symbol("BTC")).map(|o| o.price), "50".parse().ok());
}

#[test]
fn the_status_tells_what_the_state_means() {
    let mut evaluator = evaluator(&["BTC > 60k each cooldown 10m", "BTC crosses 60k"]);
    play(&mut evaluator, &[("BTC", "61000")]);
    let status = evaluator.status(AlertId(1), at(2)).unwrap();
    assert_eq!((status.state, status.count, status.satisfied), (AlertState::Cooling, 1, Some(true)));
    assert_eq!((status.last_fired, status.cooling_until), (Some(at(1)), Some(at(601))));
    let status = evaluator.status(AlertId(2), at(2)).unwrap();
    assert_eq!((status.state, status.count, status.satisfied), (AlertState::Armed, 0, None));
    assert_eq!(evaluator.status(AlertId(3), at(2)), None);
}

#[test]
fn what_is_not_believed_says_why() {
    let mut evaluator = evaluator(&[]);
    let mut admit = |tick: Tick| evaluator.on_tick(&tick, &mut Vec::new()).as_str();
    assert_eq!(admit(tick("DOGE", "1", 0)), "unknown_instrument");
    assert_eq!(admit(tick("BTC", "0", 0)), "not_positive");
    assert_eq!(admit(tick("BTC", "5", 10)), "accepted");
    assert_eq!(admit(tick("BTC", "5", 10)), "duplicate");
    assert_eq!(admit(Tick { exchange_time: Some(at(5)), ..tick("BTC", "5", 11) }), "out_of_order");
    assert_eq!(admit(Tick { exchange_time: Some(at(15)), ..tick("BTC", "5", 600) }), "stale");
    let far = Price::new(rust_decimal::Decimal::MAX);
    assert_eq!(admit(Tick { price: far, ..tick("BTC", "5", 601) }), "accepted");
}

#[test]
fn a_deleted_alert_comes_back_as_it_was_and_fires_nothing_twice() {
    let texts = ["BTC > 60 once", "BTC > 60 every 1h", "BTC crosses up 100"];
    for restarted in [false, true] {
        let mut evaluator = evaluator(&texts);
        let fired = play(&mut evaluator, &[("BTC", "61")]);
        assert_eq!(fired.len(), 2);
        let memories = evaluator.take_cut();
        for id in 1..=3 {
            let gone = AlertChange::Delete { id: AlertId(id), version: 2 };
            assert!(evaluator.apply(gone, at(5), &mut Vec::new()));
        }
        if restarted {
            let instruments = memories.instruments.clone();
            let cut = Cut { alerts: Vec::new(), instruments };
            evaluator = Evaluator::restore(catalog().instruments().iter().cloned(), Vec::new(), cut);
        }
        for (id, text) in (1..).zip(texts) {
            let memory = memories.alerts.iter().find(|memory| memory.id == AlertId(id)).cloned();
            let back = |version| Alert { version, ..alert(id, text) };
            if !restarted {
                assert!(!evaluator.bring_back(back(2), memory.clone(), at(6)), "that version is gone");
            }
            assert!(evaluator.bring_back(back(3), memory.filter(|_| restarted), at(6)));
            assert!(!evaluator.apply(AlertChange::Put(back(2)), at(7), &mut Vec::new()), "overtaken");
        }
        let states =
            [1, 2, 3].map(|id| evaluator.status(AlertId(id), at(8)).map(|status| (status.state, status.count)));
        let expected = [(AlertState::Done, 1), (AlertState::Cooling, 1), (AlertState::Armed, 0)];
        assert_eq!(states, expected.map(Some), "restarted: {restarted}");
        let mut out = Vec::new();
        evaluator.on_tick(&tick("BTC", "62", 10), &mut out);
        assert_eq!(out, [], "neither what was told already");
        evaluator.on_tick(&tick("BTC", "101", 11), &mut out);
        assert_eq!(out.len(), 1, "but what is new");
        assert_eq!((out[0].id.alert, out[0].id.version), (AlertId(3), 3));
    }
}
