//! One story that every database must pass. It knows the store's words only; a database gives it a way to open one
//! and the same data again after a close.

use bellwether_core::{
    alert::{Alert, AlertId, UserId},
    condition::{ChannelName, Comparison, Condition, Join, Operand, Repeat, Rule, SessionScope, Term},
    delivery::{Delivery, DeliveryId, DeliveryState, DueDelivery, group::Grouping},
    evaluator::Cut,
    event::Ticker,
    firing::{Direction, Firing, FiringId, TermValue, Told},
    instrument::{FeedId, Instrument, Symbol},
    price::Price,
    tick::{Candle, Session},
    time::{Span, Timestamp},
};

use serde_json::json;

use super::{AlertEdit, Fetched, Lane, Outcome, Record, Route, Store, StoreError, Take};

const ANNE: UserId = UserId(2);
const BERT: UserId = UserId(3);

/// A second of the story, with microseconds that a JSON text would lose.
pub(super) fn at(second: i64) -> Timestamp {
    Timestamp::from_micros(1_790_000_000_000_123 + second * 1_000_000)
}

pub(super) fn symbol(text: &str) -> Symbol {
    text.parse().expect("a symbol")
}

pub(super) fn price(text: &str) -> Price {
    text.parse().expect("a price")
}

pub(super) fn rule(level: &str) -> Rule {
    Rule {
        terms: vec![Term {
            operand: Operand::Price(symbol("BTC")),
            condition: Condition::Compare { cmp: Comparison::Above, level: price(level).into() },
        }],
        join: Join::And,
        repeat: Repeat::Every(Span::from_seconds(60)),
        hold: None,
        hysteresis: None,
        session: SessionScope::Regular,
        until: None,
        via: vec![ChannelName::new("email")],
        urgent: false,
        note: Some("mind the \"gap\"".to_owned()),
    }
}

pub(super) fn firing(alert: &Alert, number: u32, when: Timestamp) -> Firing {
    Firing {
        id: FiringId { alert: alert.id, version: alert.version, number },
        owner: alert.owner,
        symbol: symbol("BTC"),
        time: when,
        received: when.plus(Span::from_micros(7)),
        price: Some(price("60000.000000000000000001")),
        previous: None,
        direction: Some(Direction::Up),
        source: FeedId::Kraken,
        late: false,
        more: 2,
        delayed: false,
        urgent: false,
        story: Told {
            rule: alert.rule.to_string(),
            condition: "above".into(),
            values: vec![TermValue { term: "BTC > 60000".to_owned(), value: Some(price("60000.1")), level: None }],
            reason: "BTC rose above 60,000".to_owned(),
            note: None,
            via: Vec::new(),
        }
        .into(),
    }
}

/// A cut that remembers these alerts and instruments, in the JSON of the evaluator.
pub(super) fn cut(alerts: &[&Alert], instruments: &[&str]) -> Cut {
    let memory = |alert: &&Alert| {
        let memory = json!({ "activated": 1, "terms": [], "count": 3 });
        json!({ "id": alert.id, "version": alert.version, "text": "BTC > 60000", "memory": memory })
    };
    let track = json!({ "last": null, "seq": 0, "highs": "", "lows": "", "past": "" });
    let instrument = |symbol: &&str| json!({ "symbol": symbol, "regular": track });
    let alerts: Vec<_> = alerts.iter().map(memory).collect();
    let instruments: Vec<_> = instruments.iter().map(instrument).collect();
    serde_json::from_value(json!({ "alerts": alerts, "instruments": instruments })).expect("a cut")
}

pub(super) fn email() -> ChannelName {
    ChannelName::new("email")
}

/// Records one firing that goes to these channels.
pub(super) async fn fire(store: &Store, firing: Firing, channels: &[ChannelName], now: Timestamp) -> Vec<Delivery> {
    let routes = channels.iter().map(|channel| Route::new(firing.id, channel.clone())).collect();
    store.record(Record { firings: vec![firing], routes, now, ..Record::default() }).await.expect("recorded")
}

/// Takes up to `limit` deliveries by mail, each by itself.
async fn take(store: &Store, now: Timestamp, limit: usize) -> Result<Vec<DueDelivery>, StoreError> {
    let mut taken = Vec::new();
    for lane in Lane::ALL {
        while taken.len() < limit {
            let take = Take { lane, grouping: Grouping::OFF, memory: None, now };
            let Some(one) = store.take(email(), take).await? else { break };
            taken.push(one.due);
        }
    }
    Ok(taken)
}

/// When something can next be taken, from any lane.
async fn next_due(store: &Store, channel: ChannelName) -> Result<Option<Timestamp>, StoreError> {
    Ok(store.next_due(channel).await?.into_iter().flatten().min())
}

fn bar(second: i64, prices: [&str; 4]) -> Candle {
    let [open, high, low, close] = prices.map(price);
    let from = Timestamp::from_seconds(second);
    Candle {
        from,
        to: from.plus(Span::from_seconds(60)),
        open,
        high,
        low,
        close,
        session: Session::Regular,
        volume: None,
    }
}

/// The whole story. `open` opens the one database of the story, again and again.
pub(super) async fn tell(open: impl Fn() -> Store) {
    let store = open();
    accounts(&store).await;
    let (annes, berts) = wishes(&store).await;
    records(&store, &annes, &berts).await;
    sending(&store).await;
    pages(&store).await;
    charts(&store).await;
    keys(&store).await;
    let annes = split(&store, annes).await;

    let seen = everything(&store).await;
    store.close().await;
    assert!(matches!(store.alerts().await, Err(StoreError::Broken(_))), "a closed store answers");
    let again = open();
    assert_eq!(everything(&again).await, seen, "after a restart all is as before");
    end(&again, annes).await;
    again.close().await;
}

async fn accounts(store: &Store) {
    let anne = store.create_user("Anne@Example.org".to_owned(), "$argon2id$a".to_owned(), at(0)).await;
    assert_eq!(anne, Ok(ANNE), "the owner's number is never given out");
    assert_eq!(store.create_user("b@example.org".to_owned(), "$argon2id$b".to_owned(), at(0)).await, Ok(BERT));
    let twice = store.create_user("anne@example.ORG".to_owned(), String::new(), at(1)).await;
    assert_eq!(twice, Err(StoreError::Exists));
    let anne = store.user_by_email("ANNE@example.org".to_owned()).await.expect("read").expect("known");
    assert_eq!((anne.id, &*anne.email, &*anne.password_hash), (ANNE, "Anne@Example.org", "$argon2id$a"));
    assert!(!format!("{anne:?}").contains("argon2"), "the hash is never printed");
    assert_eq!(store.user(ANNE).await, Ok(Some(anne)));
    assert_eq!(store.user(UserId::OWNER).await, Ok(None));
    assert_eq!(store.user_by_email("nobody@example.org".to_owned()).await, Ok(None));
}

async fn wishes(store: &Store) -> (Alert, Alert) {
    let key = || Some("key-1".to_owned());
    let (annes, existed) = store.insert_alert(ANNE, rule("60000"), at(1), key()).await.expect("made");
    assert!(!existed);
    assert_eq!((annes.version, annes.paused, annes.created, annes.updated), (1, false, at(1), at(1)));
    let again = store.insert_alert(ANNE, rule("60000"), at(2), key()).await;
    assert_eq!(again, Ok((annes.clone(), true)), "the same key is the same alert");
    let (berts, existed) = store.insert_alert(BERT, rule("1"), at(2), key()).await.expect("made");
    assert!(!existed, "keys of one account mean nothing to another");

    // Accounts do not see each other, not even the owner them.
    for stranger in [BERT, UserId::OWNER] {
        assert_eq!(store.alert(stranger, annes.id).await, Err(StoreError::NotFound));
        let edited = store.edit_alert(stranger, annes.id, None, AlertEdit::Pause, at(3)).await;
        assert_eq!(edited, Err(StoreError::NotFound));
        assert_eq!(store.delete_alert(stranger, annes.id, None, at(3)).await, Err(StoreError::NotFound));
    }
    assert_eq!(store.alert(ANNE, AlertId(i64::MAX)).await, Err(StoreError::NotFound));

    // Every change is a version on; an old expectation changes nothing.
    let edit = |expected, edit| store.edit_alert(ANNE, annes.id, expected, edit, at(4));
    let snoozed = edit(Some(1), AlertEdit::Snooze(at(99))).await.expect("changed");
    assert_eq!((snoozed.version, snoozed.snoozed_until, snoozed.updated), (2, Some(at(99)), at(4)));
    assert_eq!(edit(Some(1), AlertEdit::Pause).await, Err(StoreError::Conflict { current: 2 }));
    assert!(edit(None, AlertEdit::Pause).await.expect("changed").paused);
    assert!(!edit(Some(3), AlertEdit::Resume).await.expect("changed").paused);
    let mut text = rule("60000");
    text.note = None;
    let noted = edit(Some(4), AlertEdit::Rule(text)).await.expect("changed");
    assert_eq!((noted.rule.note.as_deref(), noted.snoozed_until), (None, Some(at(99))), "a note ends no snooze");
    let other = edit(Some(5), AlertEdit::Rule(rule("61000"))).await.expect("changed");
    assert_eq!((other.version, other.snoozed_until), (6, None), "another condition starts afresh");
    let seen = edit(Some(6), AlertEdit::Acknowledge).await.expect("changed");
    assert_eq!(seen, Alert { version: 7, ..other });
    assert_eq!(store.alert(ANNE, annes.id).await, Ok(seen.clone()));
    let after_use = store.insert_alert(ANNE, rule("5"), at(5), key()).await;
    assert_eq!(after_use, Ok((seen.clone(), true)), "the key finds the alert as it is now");
    assert_eq!(store.alerts().await, Ok(vec![seen.clone(), berts.clone()]));
    (seen, berts)
}

async fn records(store: &Store, annes: &Alert, berts: &Alert) {
    let first = firing(annes, 1, at(10));
    let routes = vec![Route::new(first.id, email()), Route::new(first.id, ChannelName::new("webhook:ops"))];
    let record = |firing: &Firing, routes: &[Route], cut, now| {
        let firings = vec![firing.clone()];
        store.record(Record { firings, routes: routes.to_vec(), cut, now, ..Record::default() })
    };
    let gone = Alert { id: AlertId(9_999), ..annes.clone() };
    let memory = cut(&[annes, &gone], &["BTC"]);
    let new = record(&first, &routes, memory, at(11)).await.expect("recorded");
    let shape: Vec<_> = new.iter().map(|d| (d.firing, d.owner, d.channel.as_str(), d.state, d.attempts)).collect();
    let queued = DeliveryState::Queued;
    assert_eq!(shape, [(first.id, ANNE, "email", queued, 0), (first.id, ANNE, "webhook:ops", queued, 0)]);
    assert_eq!((new[0].created, new[0].next_attempt, new[0].finished), (at(11), Some(at(11)), None));
    assert_eq!(store.memory().await, Ok(cut(&[annes], &["BTC"])), "no memory of an alert that is gone");

    // The same again is the same record.
    let again = record(&first, &routes, cut(&[annes], &["BTC", "ETH"]), at(12)).await;
    assert_eq!(again, Ok(Vec::new()));
    assert_eq!(store.memory().await, Ok(cut(&[annes], &["BTC", "ETH"])));

    // All or nothing: the route to a firing that is not there undoes the firing beside it and the memory.
    let second = firing(annes, 2, at(13));
    let stray = [Route::new(second.id, email()), Route::new(firing(annes, 77, at(13)).id, email())];
    let refused = record(&second, &stray, cut(&[berts], &["SOL"]), at(13)).await;
    assert!(matches!(refused, Err(StoreError::Broken(_))), "{refused:?}");
    assert_eq!(store.memory().await, Ok(cut(&[annes], &["BTC", "ETH"])));
    let (firings, deliveries) = store.recent().await.expect("read");
    assert_eq!(firings, [first], "every microsecond and digit comes back");
    assert_eq!(deliveries, new);
}

/// What a split made of an alert is recorded with its memory; what is newer stays.
async fn split(store: &Store, annes: Alert) -> Alert {
    let [_, berts] = <[Alert; 2]>::try_from(store.alerts().await.expect("read")).expect("two");
    let half = |alert: &Alert, version: u32| Alert { version, rule: rule("30000"), updated: at(20), ..alert.clone() };
    let (changed, old) = (half(&annes, annes.version + 1), half(&berts, berts.version));
    let gone = Alert { id: AlertId(9_999), ..changed.clone() };
    let rewritten = vec![changed.clone(), old, gone];
    let new = store.record(Record { rewritten, now: at(20), ..Record::default() }).await;
    assert_eq!(new, Ok(Vec::new()));
    assert_eq!(store.alerts().await, Ok(vec![changed.clone(), berts]));
    changed
}

async fn sending(store: &Store) {
    let [annes, berts] = <[Alert; 2]>::try_from(store.alerts().await.expect("read")).expect("two");
    for (alert, number, second) in [(&annes, 2, 20), (&berts, 1, 21)] {
        fire(store, firing(alert, number, at(second)), &[email()], at(second)).await;
    }
    assert_eq!(next_due(store, email()).await, Ok(Some(at(11))));
    assert_eq!(next_due(store, ChannelName::new("sms")).await, Ok(None));
    assert_eq!(take(store, at(10), 10).await, Ok(Vec::new()), "nothing is due before its time");

    // The oldest first; the second firing of an alert does not overtake the first.
    let due = take(store, at(30), 10).await.expect("taken");
    let taken: Vec<_> = due.iter().map(|d| (d.firing.id.alert, d.firing.id.number, d.delivery.attempts)).collect();
    assert_eq!(taken, [(annes.id, 1, 1), (berts.id, 1, 1)]);
    assert!(due.iter().all(|d| d.delivery.state == DeliveryState::Sending && d.delivery.firing == d.firing.id));
    assert_eq!(take(store, at(30), 10).await, Ok(Vec::new()), "taken is taken");
    assert_eq!(next_due(store, email()).await, Ok(None), "the rest waits for what is being sent");
    let (anne, bert) = (due[0].delivery.id, due[1].delivery.id);

    // Failed for now; interrupted by a crash; given up.
    let busy = Outcome::Retry { at: at(40), answer: "450 later".to_owned() };
    let waiting = store.finish(anne, busy, at(30)).await.expect("finished");
    assert_eq!((waiting.state, waiting.attempts, waiting.next_attempt), (DeliveryState::Retry, 1, Some(at(40))));
    let retry = Outcome::Retry { at: at(50), answer: "421 busy".to_owned() };
    let retried = store.finish(bert, retry, at(31)).await.expect("finished");
    assert_eq!((retried.state, retried.attempts, retried.next_attempt), (DeliveryState::Retry, 1, Some(at(50))));
    assert_eq!((retried.finished, retried.answer.as_deref()), (None, Some("421 busy")));
    assert_eq!(next_due(store, email()).await, Ok(Some(at(40))));
    assert_eq!(take(store, at(60), 1).await.expect("taken").len(), 1, "no more than asked for");
    let rest = take(store, at(60), 9).await.expect("taken");
    assert_eq!((rest[0].delivery.id, rest[0].delivery.attempts), (bert, 2));
    assert_eq!(store.recover(at(61)).await, Ok(2));
    assert_eq!(next_due(store, email()).await, Ok(Some(at(61))));
    assert_eq!(take(store, at(61), 9).await.expect("taken").len(), 2);

    let sent = store.finish(anne, Outcome::Sent { answer: "250 ok".to_owned() }, at(63)).await.expect("finished");
    assert_eq!((sent.state, sent.next_attempt, sent.finished), (DeliveryState::Sent, None, Some(at(63))));
    let dead = store.finish(bert, Outcome::Dead { answer: "550 no".to_owned() }, at(64)).await.expect("finished");
    assert_eq!((dead.state, dead.finished), (DeliveryState::Dead, Some(at(64))));
    let twice = store.finish(bert, Outcome::Sent { answer: String::new() }, at(65)).await;
    assert!(matches!(twice, Err(StoreError::Broken(_))), "what is finished stays finished: {twice:?}");
    let nobody = Outcome::Sent { answer: String::new() };
    assert_eq!(store.finish(DeliveryId(9_999), nobody, at(1)).await, Err(StoreError::NotFound));

    // Now the second firing's turn has come.
    let second = take(store, at(66), 9).await.expect("taken");
    assert_eq!(second.iter().map(|d| d.firing.id.number).collect::<Vec<_>>(), [2]);
    let unknown = Outcome::Unknown { answer: "no answer".to_owned() };
    let unknown = store.finish(second[0].delivery.id, unknown, at(67)).await.expect("finished");
    assert_eq!(unknown.state, DeliveryState::Unknown);

    let ops = ChannelName::new("webhook:ops");
    assert_eq!(store.queue().await, Ok(vec![(ops.clone(), 1, at(11))]));
    assert_eq!(store.unroutable(vec![ops, email()], at(70)).await, Ok(0));
    assert_eq!(store.unroutable(vec![email()], at(70)).await, Ok(1));
    assert_eq!(store.queue().await, Ok(Vec::new()));
    let given_up = store.deliveries(ANNE, Some(DeliveryState::Dead), None, 9).await.expect("read");
    let answers: Vec<_> = given_up.items.iter().map(|d| d.answer.as_deref()).collect();
    assert_eq!(answers, [Some("no channel webhook:ops is configured")]);
}

async fn pages(store: &Store) {
    let annes = store.alerts().await.expect("read").remove(0);
    for number in 3..=7 {
        fire(store, firing(&annes, number, at(100)), &[email()], at(100)).await;
    }
    let (mut numbers, mut cursor, mut pages) = (Vec::new(), None, 0);
    loop {
        let page = store.firings(ANNE, Some(annes.id), cursor, 3).await.expect("a page");
        assert!(page.items.len() <= 3 && page.items.iter().all(|e| !e.deliveries.is_empty()));
        numbers.extend(page.items.iter().map(|e| e.firing.id.number));
        pages += 1;
        if page.next.is_none() {
            break;
        }
        cursor = page.next;
        // What is recorded meanwhile neither shifts nor doubles a row.
        fire(store, firing(&annes, 100 + pages, at(101)), &[], at(101)).await;
    }
    assert_eq!((numbers, pages), (vec![7, 6, 5, 4, 3, 2, 1], 3));

    let bert = store.firings(BERT, None, None, 9).await.expect("a page");
    assert_eq!(bert.items.len(), 1, "only what is his");
    assert!(bert.items.iter().all(|e| e.firing.owner == BERT && e.deliveries.iter().all(|d| d.owner == BERT)));
    let strangers = store.firings(BERT, Some(annes.id), None, 9).await.expect("a page");
    assert!(strangers.items.is_empty());
    let page = store.deliveries(ANNE, None, None, 2).await.expect("a page");
    let next = page.next.clone().expect("there is more");
    let rest = store.deliveries(ANNE, None, Some(next.clone()), 100).await.expect("a page");
    let ids: Vec<_> = page.items.iter().chain(&rest.items).map(|d| d.id).collect();
    assert!(ids.len() == 8 && ids.is_sorted_by(|a, b| a > b), "newest first, each once: {ids:?}");
    assert_eq!(rest.next, None);
    for (owner, state) in [(BERT, None), (ANNE, Some(DeliveryState::Sent))] {
        let foreign = store.deliveries(owner, state, Some(next.clone()), 9).await;
        assert_eq!(foreign, Err(StoreError::BadCursor), "a cursor is good where it was given");
    }
    assert_eq!(store.firings(ANNE, None, Some("7".to_owned()), 9).await, Err(StoreError::BadCursor));
    assert_eq!(store.firings(ANNE, None, None, 0).await.expect("a page").items.len(), 1);
}

async fn charts(store: &Store) {
    let btc = symbol("BTC");
    let bars = vec![
        (btc, bar(0, ["10", "12", "9", "11"])),
        (btc, bar(60, ["11", "100", "11", "9.5"])),
        (btc, bar(240, ["9.5", "9.6", "8.75", "9.25"])),
        (btc, bar(300, ["9.25", "9.25", "9.25", "9.25"])),
        (symbol("ETH"), bar(60, ["3", "3", "3", "3"])),
    ];
    store.record_prices(bars, vec![ticker("1")]).await.expect("written");
    let seconds = Timestamp::from_seconds;
    let candles =
        |interval, from, to, limit| store.candles(btc, Span::from_seconds(interval), seconds(from), seconds(to), limit);
    let minutes = candles(60, 0, 600, 10).await.expect("read");
    assert_eq!(minutes.iter().map(|c| c.from.as_seconds()).collect::<Vec<_>>(), [0, 60, 240, 300]);
    assert_eq!(minutes[0], bar(0, ["10", "12", "9", "11"]));
    let fives = candles(300, 0, 600, 10).await.expect("read");
    // As numbers, 100 is above 12; as texts it would not be.
    let first = Candle { to: seconds(300), ..bar(0, ["10", "100", "8.75", "9.25"]) };
    assert_eq!(fives, [first, Candle { to: seconds(600), ..bar(300, ["9.25", "9.25", "9.25", "9.25"]) }]);
    let newest = candles(60, 0, 600, 2).await.expect("read");
    assert_eq!(newest, minutes[2..], "the newest ones, oldest first");
    assert_eq!(candles(60, 60, 300, 10).await.expect("read"), minutes[1..3], "the end is not in it");
    assert_eq!(candles(60, 0, 600, 0).await, Ok(Vec::new()));
    let unknown = store.candles(symbol("NONE"), Span::from_seconds(60), seconds(0), seconds(60), 9).await;
    assert_eq!(unknown, Ok(Vec::new()));

    // A running bar is written over.
    store.record_prices(vec![(btc, bar(300, ["9.25", "11", "9.25", "11"]))], vec![ticker("2")]).await.expect("written");
    assert_eq!(candles(60, 300, 360, 9).await, Ok(vec![bar(300, ["9.25", "11", "9.25", "11"])]));
    assert_eq!(store.last_prices().await, Ok(vec![ticker("2")]));

    let both = vec![symbol("ETH"), btc, symbol("NONE")];
    let read = store.bars(both, seconds(60), seconds(300)).await.expect("read");
    let starts: Vec<_> = read.iter().map(|(s, bar)| (s.as_str(), bar.from.as_seconds())).collect();
    assert_eq!(starts, [("ETH", 60), ("BTC", 60), ("BTC", 240)], "by time");
    assert_eq!(read[2], (btc, bar(240, ["9.5", "9.6", "8.75", "9.25"])));

    let lines = store.sparklines(seconds(0), seconds(480), 4).await.expect("read");
    assert_eq!(lines[&btc], ["9.5", "11"].map(price), "an empty part is left out");
    assert_eq!(lines[&symbol("ETH")], ["3"].map(price));
    assert_eq!(store.prune_bars(seconds(3_599)).await, Ok(0), "only whole hours go");
    store.record_prices(vec![(btc, bar(3_600, ["9", "9", "9", "9"]))], Vec::new()).await.expect("written");
    assert_eq!(store.prune_bars(seconds(3_700)).await, Ok(5));
    assert_eq!(candles(60, 0, 7_200, 10).await.expect("read").len(), 1);
    let hour = Span::from_seconds(3_600);
    let kept = store.fetched(btc, hour, seconds(0), seconds(7_200)).await.expect("read");
    let whole = Candle { to: seconds(3_600), ..bar(0, ["10", "100", "8.75", "11"]) };
    assert_eq!(kept, [(whole.clone(), None)], "minutes that go become hours");

    // What was fetched is kept over what was recorded, for which time it was asked is put together, and all of it goes by its age.
    let fetch = |from: i64, to: i64, candles: Vec<Candle>| Fetched {
        symbol: btc,
        length: hour,
        source: FeedId::Coinbase,
        candles,
        asked: Some((seconds(from), seconds(to))),
    };
    let better = Candle { high: price("101"), ..whole };
    store.put_candles(fetch(0, 3_600, vec![better.clone()]), at(1)).await.expect("written");
    store.put_candles(fetch(7_200, 10_800, Vec::new()), at(2)).await.expect("written");
    let asked = || store.asked(btc, hour, seconds(0), seconds(90_000));
    assert_eq!(asked().await, Ok(vec![(seconds(0), seconds(3_600)), (seconds(7_200), seconds(10_800))]));
    store.put_candles(fetch(3_600, 7_200, Vec::new()), at(3)).await.expect("written");
    assert_eq!(asked().await, Ok(vec![(seconds(0), seconds(10_800))]));
    let kept = store.fetched(btc, hour, seconds(0), seconds(7_200)).await;
    assert_eq!(kept, Ok(vec![(better, Some(FeedId::Coinbase))]));
    assert_eq!(
        store.recorded_runs(btc, seconds(0), seconds(9_000), hour, false).await,
        Ok(vec![(seconds(3_600), seconds(3_660))])
    );
    assert_eq!(store.prune_candles(vec![(hour, seconds(5_000))]).await, Ok(2), "of both instruments");
    assert_eq!(asked().await, Ok(vec![(seconds(5_000), seconds(10_800))]));
}

fn ticker(text: &str) -> Ticker {
    Ticker {
        symbol: symbol("BTC"),
        price: price(text),
        change_24h_pct: None,
        reference: Some(price("0.1")),
        high: None,
        low: None,
        volume: None,
        as_of: at(1),
        received: at(2),
        source: FeedId::Coinbase,
        session: Session::Post,
        stale_after: Span::from_seconds(60),
        delay: Span::ZERO,
    }
}

async fn keys(store: &Store) {
    let wif = Instrument::unlisted(symbol("WIF"));
    assert_eq!(store.add_instrument(wif.clone(), at(1)).await, Ok(()));
    assert_eq!(store.add_instrument(wif.clone(), at(2)).await, Err(StoreError::Exists));
    let pepe = Instrument::unlisted(symbol("APE"));
    assert_eq!(store.add_instrument(pepe.clone(), at(3)).await, Ok(()));
    assert_eq!(store.added_instruments().await, Ok(vec![wif, pepe.clone()]), "in the order in which they were added");
    assert_eq!(store.remove_instrument(symbol("WIF")).await, Ok(()));
    assert_eq!(store.remove_instrument(symbol("WIF")).await, Err(StoreError::NotFound));
    assert_eq!(store.added_instruments().await, Ok(vec![pepe]));
    assert_eq!(store.secret("jwt", vec![1, 2, 3]).await, Ok(vec![1, 2, 3]));
    assert_eq!(store.secret("jwt", vec![9]).await, Ok(vec![1, 2, 3]), "a key stays what it was");
    assert_eq!(store.secret("other", vec![9]).await, Ok(vec![9]));
    assert_eq!(store.writable().await, Ok(()));
}

/// All that can be read.
async fn everything(store: &Store) -> String {
    format!(
        "{:?}\n{:?}\n{:?}\n{:?}\n{:?}\n{:?}\n{:?}\n{:?}",
        store.alerts().await,
        store.memory().await,
        store.recent().await,
        store.deliveries(ANNE, None, None, 99).await,
        store.queue().await,
        store.last_prices().await,
        store.candles(symbol("BTC"), Span::from_seconds(60), Timestamp::from_seconds(0), at(0), 99).await,
        store.user_by_email("anne@example.org".to_owned()).await,
    )
}

async fn end(store: &Store, annes: Alert) {
    let conflict = store.delete_alert(ANNE, annes.id, Some(1), at(899)).await;
    assert_eq!(conflict, Err(StoreError::Conflict { current: annes.version }));
    let history = store.firings(ANNE, Some(annes.id), None, 99).await;
    let gone = store.delete_alert(ANNE, annes.id, Some(annes.version), at(899)).await.expect("deleted");
    assert_eq!(gone, Alert { version: annes.version + 1, ..annes.clone() });
    assert_eq!(store.alert(ANNE, annes.id).await, Err(StoreError::NotFound));
    assert_eq!(store.firings(ANNE, Some(annes.id), None, 99).await, history, "what happened stays");
    let memory = store.memory().await.expect("read").alerts;
    assert!(memory.is_empty(), "its memory goes with it");
    assert_eq!(store.restore_alert(BERT, annes.id, at(899)).await, Err(StoreError::NotFound));
    let back = Alert { version: annes.version + 2, updated: at(899), ..annes.clone() };
    let restored = store.restore_alert(ANNE, annes.id, at(899)).await.expect("back");
    let super::Restored::Back(alert, remembered) = restored else { panic!("{restored:?}") };
    assert_eq!((&alert, remembered.map(|memory| memory.id)), (&back, Some(annes.id)));
    assert_eq!(store.memory().await.expect("read").alerts.len(), 1, "and comes back with it");
    assert_eq!(store.restore_alert(ANNE, annes.id, at(899)).await, Ok(super::Restored::Standing(back.clone())));
    store.delete_alert(ANNE, annes.id, None, at(899)).await.expect("deleted");
    assert_eq!(store.restore_alert(ANNE, annes.id, at(899 + 86_401)).await, Err(StoreError::Gone));
    assert_eq!(store.firings(ANNE, Some(annes.id), None, 99).await, history);
    let (next, _) = store.insert_alert(ANNE, rule("5"), at(900), None).await.expect("made");
    assert!(next.id > annes.id, "numbers are never given twice");
    farewell(store, next).await;
}

/// Anne leaves, and all that is hers goes; Bert's stays.
async fn farewell(store: &Store, annes: Alert) {
    let of = |owner| (store.firings(owner, None, None, 99), store.deliveries(owner, None, None, 99));
    let berts = (of(BERT).0.await, of(BERT).1.await);
    assert_eq!(store.renew_user(ANNE, 1, Some("$argon2id$new".to_owned())).await, Ok(2));
    assert_eq!(store.renew_user(ANNE, 1, None).await, Err(StoreError::NotFound), "somebody else was faster");
    let anne = store.user(ANNE).await.expect("read").expect("known");
    assert_eq!((anne.generation, &*anne.password_hash), (2, "$argon2id$new"));
    assert_eq!(store.delete_user(UserId::OWNER, at(901)).await, Err(StoreError::NotFound));
    assert_eq!(store.delete_user(ANNE, at(901)).await, Ok(vec![(annes.id, annes.version + 1)]));
    assert_eq!(store.delete_user(ANNE, at(902)).await, Err(StoreError::NotFound));
    assert_eq!(store.user(ANNE).await, Ok(None));
    let late = fire(store, firing(&annes, 77, at(903)), &[email()], at(903)).await;
    assert_eq!(late, vec![], "what was on its way has nobody to go to");
    assert_eq!(store.insert_alert(ANNE, rule("5"), at(903), None).await, Err(StoreError::NotFound));
    assert!(of(ANNE).0.await.expect("read").items.is_empty() && of(ANNE).1.await.expect("read").items.is_empty());
    assert_eq!((of(BERT).0.await, of(BERT).1.await), berts);
    assert_eq!(store.known_secret("jwt_previous").await, Ok(None));
    let before = store.rotate_secret("jwt", "jwt_previous", vec![7], at(904)).await.expect("changed");
    assert_eq!(before, [&at(904).as_micros().to_be_bytes()[..], &[1, 2, 3]].concat());
    assert_eq!(store.secret("jwt", vec![9]).await, Ok(vec![7]));
    assert_eq!(store.known_secret("jwt_previous").await, Ok(Some(before)));
}
