//! What is collected, held, escalated, limited and sent again, through the whole role (docs/alerts.md, C6 to C9).

use std::{sync::Arc, time::Instant};

use bellwether_core::{
    condition::{ChannelName, Comparison, Condition, Join, Level, Operand, Repeat, Rule, SessionScope, Term},
    delivery::{Delivery, DeliveryState, Waits, escalate::Step, quiet::QuietHours},
    firing::Firing,
    rate::Allowance,
    time::{Span, Timestamp},
};
use jiff::{civil::Weekday, tz::TimeZone};

use super::{
    Batch, Policy,
    channel::SendError,
    tests::{Fake, House, Play, START, firing, folder, open, retry, settle},
};
use crate::{clock::Clock, store::AlertEdit};

const WINDOW: Span = Span::from_seconds(30);

fn collecting(channels: Vec<Arc<Fake>>, policy: Policy) -> House {
    let folder = folder();
    let store = open(&folder.path().join("data"));
    House::governed(channels, folder, store, WINDOW, policy, Clock::by_hand(START))
}

fn urgent(alert: i64, number: u32, via: &[&str]) -> Firing {
    Firing { urgent: true, ..firing(alert, number, via) }
}

/// An alert of the owner, so that something can be done to it; the first is a1.
async fn an_alert(house: &House) {
    let level = Level::Price("60000".parse().expect("a price"));
    let condition = Condition::Compare { cmp: Comparison::Above, level };
    let rule = Rule {
        terms: vec![Term { operand: Operand::Price("BTC".parse().expect("a symbol")), condition }],
        join: Join::And,
        repeat: Repeat::Each { cooldown: Span::ZERO },
        hold: None,
        hysteresis: None,
        session: SessionScope::Regular,
        until: None,
        via: Vec::new(),
        urgent: true,
        note: None,
    };
    house.store.insert_alert(bellwether_core::alert::UserId::OWNER, rule, START, None).await.expect("made");
}

async fn rows(house: &House) -> Vec<Delivery> {
    let mut rows =
        house.store.deliveries(bellwether_core::alert::UserId::OWNER, None, None, 1_000).await.expect("read").items;
    rows.reverse();
    rows
}

/// Waits for so many messages over a channel. Paused time goes in small steps, because the store's thread lives in real time.
async fn arrived(channel: &Fake, count: usize) {
    let started = Instant::now();
    while channel.seen().len() < count {
        assert!(started.elapsed() < std::time::Duration::from_secs(30), "{count} messages never came");
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}

/// Waits until so many rows wait for this.
async fn waiting(house: &House, waits: Waits, count: usize) -> Vec<Delivery> {
    let started = Instant::now();
    loop {
        let found: Vec<Delivery> = rows(house).await.into_iter().filter(|row| row.waits == Some(waits)).collect();
        if found.len() == count {
            return found;
        }
        assert!(started.elapsed() < std::time::Duration::from_secs(30), "{waits:?}: {found:?}");
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}

fn night(zone: TimeZone) -> QuietHours {
    use Weekday::{Friday, Monday, Saturday, Sunday, Thursday, Tuesday, Wednesday};
    let time = |text: &str| text.parse().expect("a time");
    let days = vec![Monday, Tuesday, Wednesday, Thursday, Friday, Saturday, Sunday];
    QuietHours::new(time("22:00"), time("07:00"), days, zone, vec![ChannelName::new("phone")])
}

#[tokio::test(start_paused = true)]
async fn the_first_comes_at_once_and_what_follows_in_thirty_seconds_is_one_message() {
    let phone = Fake::new("phone", vec![]);
    let mut house = collecting(vec![Arc::clone(&phone)], Policy::default());
    house.fire(vec![firing(1, 1, &[])]).await;
    assert_eq!(house.delivery(DeliveryState::Sent).await.firing.to_string(), "a1.1.1");
    house.clock.advance(Span::from_seconds(10));
    house.fire(vec![firing(2, 1, &[]), firing(3, 1, &[]), firing(2, 2, &[])]).await;
    let collected = waiting(&house, Waits::Digest, 3).await;
    assert!(collected.iter().all(|row| row.next_attempt == Some(START.plus(WINDOW))), "{collected:?}");
    settle().await;
    assert_eq!(phone.seen().len(), 1, "collected until the window is over");
    house.clock.advance(Span::from_seconds(20));
    let carrier = house.delivery(DeliveryState::Sent).await;
    assert_eq!((carrier.id.to_string(), carrier.merged), ("d4".to_owned(), 2), "the newest carries the others");
    let digest = &phone.seen()[1];
    assert_eq!(digest.key, "d4");
    assert!(digest.notification.title.starts_with("2 alerts fired: "), "{}", digest.notification.title);
    assert!(digest.notification.body.contains("(a2, ") && digest.notification.body.contains(", 2 times)"));
    for row in &rows(&house).await[1..3] {
        assert_eq!(
            (row.state, row.merged_into, row.finished.is_some()),
            (DeliveryState::Merged, Some(carrier.id), true)
        );
    }
    // One alone is sent as itself, at the end of the window that the digest opened.
    house.clock.advance(Span::from_seconds(1));
    house.fire(vec![firing(5, 1, &[])]).await;
    waiting(&house, Waits::Digest, 1).await;
    house.clock.advance(WINDOW);
    assert_eq!(house.delivery(DeliveryState::Sent).await.merged, 0);
    assert_eq!(phone.seen()[2].notification.title, "BTC above 60,000.00: 60,012.50");
    // Several of one alert are its newest, with a count.
    house.clock.advance(Span::from_seconds(3));
    house.fire((2..=5).map(|number| firing(5, number, &[])).collect()).await;
    waiting(&house, Waits::Digest, 4).await;
    house.clock.advance(WINDOW);
    assert_eq!(house.delivery(DeliveryState::Sent).await.merged, 3);
    let newest = &phone.seen()[3].notification;
    assert!(newest.title.starts_with("BTC above") && newest.body.contains("It fired 4 times"), "{newest:?}");
    let text = house.metrics.render();
    assert!(text.contains("{channel=\"phone\",status=\"merged\"} 5"), "{text}");
    house.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_digest_is_tried_again_as_it_was_and_those_in_it_share_its_fate() {
    let plays = vec![Play::Accept, retry(), Play::Fail(SendError::permanent("550 no"))];
    let phone = Fake::new("phone", plays);
    let mut house = collecting(vec![Arc::clone(&phone)], Policy::default());
    house.fire((1..=4).map(|alert| firing(alert, 1, &[])).collect()).await;
    house.delivery(DeliveryState::Sent).await;
    waiting(&house, Waits::Digest, 3).await;
    house.clock.advance(WINDOW);
    let carrier = house.delivery(DeliveryState::Retry).await;
    assert_eq!((carrier.id.to_string(), carrier.merged), ("d4".to_owned(), 2));
    // What fires meanwhile is another message; an alert in the digest does not overtake it.
    house.fire(vec![firing(2, 2, &[]), firing(9, 1, &[])]).await;
    waiting(&house, Waits::Digest, 2).await;
    house.clock.advance(Span::from_seconds(2));
    assert_eq!(house.delivery(DeliveryState::Dead).await.id, carrier.id);
    let keys = phone.keys();
    assert_eq!(keys, ["d1", "d4", "d4"], "the same digest under the same key");
    assert_eq!(phone.seen()[1].notification.title, phone.seen()[2].notification.title);
    for row in &rows(&house).await[1..4] {
        let answer = row.answer.as_deref().unwrap_or_default();
        assert!(row.state == DeliveryState::Dead && answer.ends_with("550 no"), "{row:?}");
    }
    house.clock.advance(WINDOW);
    assert_eq!(house.delivery(DeliveryState::Sent).await.merged, 1);
    // By hand it goes again, with all that was in it.
    let again = house.by_hand().resend(carrier.owner, carrier.id).await.expect("the store").expect("dead");
    assert_eq!((again.state, again.resent, again.merged), (DeliveryState::Queued, 1, 2));
    assert_eq!(house.delivery(DeliveryState::Sent).await.id, carrier.id);
    assert_eq!(phone.keys().last().map(String::as_str), Some("d4"));
    assert!(phone.seen().last().is_some_and(|m| m.notification.title.starts_with("3 alerts fired")));
    assert!(rows(&house).await.iter().all(|row| row.finished.is_some() && row.state != DeliveryState::Dead));
    let twice = house.by_hand().resend(carrier.owner, carrier.id).await.expect("the store");
    assert_eq!(twice, Err("Delivery d4 is sent: only what is dead or unknown can be sent again.".to_owned()));
    house.fire(vec![firing(7, 1, &["pager"])]).await;
    let lost = house.delivery(DeliveryState::Dead).await;
    let hand = house.by_hand().resend(lost.owner, lost.id).await.expect("the store");
    assert!(hand.is_err(), "{hand:?}");
    let row = rows(&house).await.into_iter().find(|row| row.id == lost.id).expect("its row");
    assert_eq!(row.state, DeliveryState::Dead, "without a channel there is no way");
    house.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_digest_does_not_wait_for_itself() {
    let plays = vec![Play::Accept, retry(), Play::Fail(SendError::permanent("550 no"))];
    let phone = Fake::new("phone", plays);
    let mut house = collecting(vec![Arc::clone(&phone)], Policy::default());
    house.fire(vec![firing(1, 1, &[])]).await;
    house.delivery(DeliveryState::Sent).await;
    // Three firings of one alert, of which the newest carries the others: they are in front of it, and in it.
    house.fire(vec![firing(2, 1, &[]), firing(3, 1, &[]), firing(2, 2, &[]), firing(2, 3, &[])]).await;
    waiting(&house, Waits::Digest, 4).await;
    house.clock.advance(WINDOW);
    let carrier = house.delivery(DeliveryState::Retry).await;
    assert_eq!((carrier.id.to_string(), carrier.merged), ("d5".to_owned(), 3));
    house.clock.advance(Span::from_seconds(2));
    assert_eq!(house.delivery(DeliveryState::Dead).await.id, carrier.id, "tried again");
    house.by_hand().resend(carrier.owner, carrier.id).await.expect("the store").expect("dead");
    assert_eq!(house.delivery(DeliveryState::Sent).await.id, carrier.id, "and again by hand");
    assert_eq!(phone.keys(), ["d1", "d5", "d5", "d5"]);
    assert!(rows(&house).await.iter().all(|row| row.finished.is_some()), "nothing is left behind");
    house.stop().await;
}

#[tokio::test(start_paused = true)]
async fn the_night_is_quiet_but_for_what_is_urgent_and_the_morning_has_one_message() {
    // START is 08:26:40 in UTC; where it is ten hours earlier, it is 22:26:40.
    let zone = TimeZone::get("Pacific/Honolulu").expect("a zone");
    let policy = Policy { quiet: Some(night(zone)), steps: Step::defaults() };
    let (phone, mail) = (Fake::new("phone", vec![]), Fake::new("mail", vec![]));
    let mut house = collecting(vec![Arc::clone(&phone), Arc::clone(&mail)], policy);
    an_alert(&house).await;
    let both = ["phone", "mail"];
    house.fire(vec![firing(1, 1, &both), firing(2, 1, &both), urgent(3, 1, &both), firing(4, 1, &both)]).await;
    arrived(&phone, 1).await;
    arrived(&mail, 2).await;
    settle().await;
    let keys = phone.keys();
    assert_eq!(keys.len(), 1, "the urgent one alone: {keys:?}");
    assert!(phone.seen()[0].urgent && mail.seen().len() == 2, "mail makes no noise: the first, and the urgent one");
    let morning: Timestamp = "2025-11-22T07:00:00-10:00".parse().expect("a time");
    let held = waiting(&house, Waits::QuietHours, 3).await;
    assert!(held.iter().all(|row| row.next_attempt == Some(morning) && row.offered == morning), "{held:?}");
    // Who has seen a1 is not told of it in the morning.
    let owner = held[0].owner;
    let id = held[0].firing.alert;
    house.store.edit_alert(owner, id, None, AlertEdit::Acknowledge, house.clock.now()).await.expect("acknowledged");
    house.by_hand().withdrawn(id, house.clock.now()).await;
    assert_eq!(house.delivery(DeliveryState::Cancelled).await.answer.as_deref(), Some("the alert was acknowledged"));
    house.clock.advance(morning.since(house.clock.now()));
    arrived(&phone, 2).await;
    settle().await;
    let told = phone.seen();
    assert_eq!(told.len(), 2, "one message in the morning");
    let body = &told[1].notification.body;
    assert!(body.contains("(a4, ") && body.contains("(a2, ") && !body.contains("(a1, "), "{body}");
    assert!(body.contains("Late: first fired"), "{body}");
    house.stop().await;
}

fn steps() -> Policy {
    let step =
        |after, channel: &str| Step { after: Span::from_seconds(after), channels: vec![ChannelName::new(channel)] };
    Policy { quiet: None, steps: vec![step(0, "phone"), step(120, "mail"), step(300, "sms"), step(900, "sms")] }
}

#[tokio::test(start_paused = true)]
async fn what_is_urgent_climbs_until_it_is_seen_paused_removed_or_over() {
    for (case, ended) in ["nobody", "ack", "pause", "remove", "over"].into_iter().enumerate() {
        let channels = [Fake::new("phone", vec![]), Fake::new("mail", vec![]), Fake::new("sms", vec![])];
        let mut house = collecting(channels.to_vec(), steps());
        an_alert(&house).await;
        house.fire(vec![urgent(1, 1, &[])]).await;
        house.delivery(DeliveryState::Sent).await;
        let planned: Vec<_> =
            rows(&house).await.iter().map(|r| (r.step, r.offered.since(START).as_seconds())).collect();
        assert_eq!(planned, [(0, 0), (1, 120), (2, 300), (3, 900)]);
        assert!(rows(&house).await[1..].iter().all(|row| row.waits == Some(Waits::Escalation)));
        house.clock.advance(Span::from_seconds(120));
        assert_eq!(house.delivery(DeliveryState::Sent).await.channel.as_str(), "mail");
        // A second firing has steps of its own; the later ones of the first do not hold them up.
        house.fire(vec![urgent(1, 2, &[])]).await;
        assert_eq!(house.delivery(DeliveryState::Sent).await.firing.number, 2);
        let (owner, id, now) = (firing(1, 1, &[]).owner, firing(1, 1, &[]).id.alert, house.clock.now());
        match ended {
            "ack" => drop(house.store.edit_alert(owner, id, None, AlertEdit::Acknowledge, now).await.expect("seen")),
            "pause" => drop(house.store.edit_alert(owner, id, None, AlertEdit::Pause, now).await.expect("paused")),
            "remove" => drop(house.store.delete_alert(owner, id, None, now).await.expect("removed")),
            "over" => {
                // What was over before the second firing ends the first's steps alone.
                house.batch(Batch { over: vec![(id, 1)], ..Batch::default() }).await;
                house.delivery(DeliveryState::Cancelled).await;
                let left = rows(&house).await.iter().filter(|r| r.finished.is_none()).count();
                assert_eq!(left, 3, "the second firing goes on climbing");
                house.batch(Batch { over: vec![(id, 2)], ..Batch::default() }).await;
                waiting(&house, Waits::Escalation, 0).await;
            }
            _ => {}
        }
        house.by_hand().withdrawn(id, now).await;
        house.clock.advance(Span::from_seconds(3_600));
        if case == 0 {
            arrived(&channels[1], 2).await;
            arrived(&channels[2], 4).await;
            while rows(&house).await.iter().any(|row| row.finished.is_none()) {
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
        }
        settle().await;
        let sent: Vec<usize> = channels.iter().map(|c| c.seen().len()).collect();
        let rows = rows(&house).await;
        let cancelled = rows.iter().filter(|r| r.state == DeliveryState::Cancelled).count();
        if case == 0 {
            assert_eq!((sent, cancelled), (vec![2, 2, 4], 0));
        } else {
            assert_eq!((sent, cancelled), (vec![2, 1, 0], 5), "{ended}");
        }
        assert!(rows.iter().all(|row| row.finished.is_some()), "{ended}: {rows:?}");
        house.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn urgent_is_never_collected_and_has_three_messages_more() {
    let phone = Fake::limited("phone", vec![], |limits| {
        limits.allowance = Allowance { burst: 1, refill: Span::from_seconds(3_600), daily: None };
    });
    let mut house = collecting(vec![Arc::clone(&phone)], Policy { steps: Vec::new(), quiet: None });
    house.fire((1..=6).map(|alert| urgent(alert, 1, &[])).collect()).await;
    for _ in 0..4 {
        assert_eq!(house.delivery(DeliveryState::Sent).await.merged, 0);
    }
    // The others say what they wait for.
    waiting(&house, Waits::Limit, 2).await;
    assert_eq!(phone.seen().len(), 4);
    house.clock.advance(Span::from_seconds(1_200));
    house.delivery(DeliveryState::Sent).await;
    house.stop().await;
}

#[tokio::test(start_paused = true)]
async fn however_many_wait_each_says_what_for() {
    let phone = Fake::limited("phone", vec![], |limits| {
        limits.allowance = Allowance { burst: 1, refill: Span::from_seconds(3_600), daily: None };
    });
    let mut house = House::start(vec![Arc::clone(&phone)]);
    house.fire((1..=501).map(|alert| firing(alert, 1, &[])).collect()).await;
    house.delivery(DeliveryState::Sent).await;
    waiting(&house, Waits::Limit, 500).await;
    house.stop().await;
}

#[tokio::test(start_paused = true)]
async fn who_has_got_a_message_is_known_after_a_restart() {
    let some = SendError::Partly { taken_by: "anne".to_owned(), source: "450 for bert".into() };
    let mut house = House::start(vec![Fake::new("phone", vec![Play::Fail(some)])]);
    house.fire(vec![firing(1, 1, &[]), firing(2, 1, &[])]).await;
    house.delivery(DeliveryState::Retry).await;
    house.delivery(DeliveryState::Sent).await;
    let clock = house.clock.clone();
    let folder = house.stop().await;
    let store = open(&folder.path().join("data"));
    let phone = Fake::new("phone", vec![]);
    let mut house = House::governed(vec![Arc::clone(&phone)], folder, store, Span::ZERO, Policy::default(), clock);
    house.clock.advance(Span::from_seconds(5));
    assert_eq!(house.delivery(DeliveryState::Sent).await.attempts, 2);
    assert_eq!(phone.seen()[0].taken_by.as_deref(), Some("anne"));
    house.fire(vec![firing(1, 2, &[])]).await;
    house.delivery(DeliveryState::Sent).await;
    assert_eq!(phone.seen()[1].taken_by, None, "of another message nothing is known");
    house.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_restart_refills_no_limit_and_forgets_no_rest() {
    let narrow = |plays| {
        Fake::limited("phone", plays, |limits| {
            limits.allowance = Allowance { burst: 2, refill: Span::from_seconds(600), daily: Some(3) };
        })
    };
    let spare = Fake::new("spare", vec![]);
    let phone = narrow(vec![]);
    let mut house = House::start(vec![phone, Arc::clone(&spare)]);
    house.fire((1..=5).map(|alert| firing(alert, 1, &[])).collect()).await;
    house.delivery(DeliveryState::Sent).await;
    house.delivery(DeliveryState::Sent).await;
    let clock = house.clock.clone();
    let folder = house.stop().await;

    let busy = Play::Fail(SendError::Retry { after: Some(Span::from_seconds(1_800)), source: "429".into() });
    let phone = narrow(vec![busy]);
    let store = open(&folder.path().join("data"));
    let house = House::governed(
        vec![Arc::clone(&phone), Arc::clone(&spare)],
        folder,
        store,
        Span::ZERO,
        Policy::default(),
        clock.clone(),
    );
    settle().await;
    assert_eq!(phone.seen().len(), 0, "the two of before count");
    clock.advance(Span::from_seconds(600));
    arrived(&phone, 1).await;
    settle().await;
    assert_eq!(phone.seen().len(), 1, "the third of the day, and it is told to wait");
    let folder = house.stop().await;

    let phone = narrow(vec![]);
    let store = open(&folder.path().join("data"));
    let channels = vec![Arc::clone(&phone), Arc::clone(&spare)];
    let house = House::governed(channels, folder, store, Span::ZERO, Policy::default(), clock.clone());
    clock.advance(Span::from_seconds(1_799));
    settle().await;
    assert_eq!(phone.seen().len(), 0, "half an hour is half an hour, over a restart too");
    waiting(&house, Waits::TargetDown, 2).await;
    clock.advance(Span::from_seconds(10));
    arrived(&spare, 1).await;
    settle().await;
    assert_eq!((phone.seen().len(), spare.seen().len()), (0, 1), "three a day");
    let told = &spare.seen()[0].notification;
    assert_eq!(told.title, "bellwether: channel phone has reached its daily limit");
    assert!(told.body.contains("3 more than the 3 of 24 hours"), "{}", told.body);
    clock.advance(Span::from_seconds(7 * 3_600));
    settle().await;
    assert_eq!(spare.seen().len(), 1, "once a day");
    clock.advance(Span::from_seconds(24 * 3_600));
    // And the next day it goes on.
    arrived(&phone, 1).await;
    house.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_storm_is_told_as_one_and_names_who_flaps() {
    let phone = Fake::new("phone", vec![]);
    let mut house = collecting(vec![Arc::clone(&phone)], Policy::default());
    let mut all = vec![firing(1, 1, &[]), firing(2, 1, &[])];
    all.extend((1..=40).map(|number| firing(3, number, &[])));
    house.fire(all).await;
    house.delivery(DeliveryState::Sent).await;
    waiting(&house, Waits::Digest, 41).await;
    house.clock.advance(WINDOW);
    house.delivery(DeliveryState::Sent).await;
    let digest = &phone.seen()[1].notification;
    assert!(digest.body.contains("Storm: ") && digest.body.contains("Flapping: a3 "), "{}", digest.body);
    assert!(digest.body.contains("`hysteresis` or `cooldown`"), "{}", digest.body);
    // The next window is twice as long.
    house.fire(vec![firing(4, 1, &[])]).await;
    let next = waiting(&house, Waits::Digest, 1).await.remove(0);
    assert_eq!(next.next_attempt, Some(house.clock.now().plus(WINDOW.times(2))));
    house.stop().await;
}

/// Resident memory of this process, in KiB.
fn resident() -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with("VmRSS:")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).unwrap_or_default()
}

/// In real time, so that its figures mean something; they are printed, not judged.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_alerts_on_one_tick_are_one_message_at_once_and_one_digest() {
    const ALERTS: i64 = 10_000;
    let phone = Fake::new("phone", vec![]);
    let mut house = collecting(vec![Arc::clone(&phone)], Policy::default());
    let before = resident();
    let firings: Vec<Firing> = (1..=ALERTS).map(|alert| firing(alert, 1, &[])).collect();
    let started = Instant::now();
    house.fire(firings).await;
    // Whoever watches takes the news in: all of them, so that the role is free again.
    let mut queued = 0;
    while queued < ALERTS - 1 {
        if house.delivery(DeliveryState::Queued).await.waits.is_some() {
            queued += 1;
        }
    }
    let told = started.elapsed();
    let first = phone.times()[0].duration_since(started);
    assert_eq!(phone.seen().len(), 1);
    let started = Instant::now();
    house.clock.advance(WINDOW);
    let carrier = loop {
        let sent = house.delivery(DeliveryState::Sent).await;
        if sent.merged > 0 {
            break sent;
        }
    };
    let second = phone.times()[1].duration_since(started);
    assert_eq!(i64::from(carrier.merged), ALERTS - 2);
    let digest = &phone.seen()[1].notification;
    assert!(digest.title.starts_with("9999 alerts fired: "), "{}", digest.title);
    assert_eq!(digest.text.matches("Fired:").count(), 20);
    assert!(digest.text.contains("and 9979 more alerts") && digest.text.len() < 8_000, "{}", digest.text);
    let grown = resident().saturating_sub(before);
    assert!(grown < 160 * 1_024, "{grown} KiB");
    let state = DeliveryState::Merged;
    let merged = house.store.deliveries(carrier.owner, Some(state), None, 1_000).await.expect("read").items;
    assert!(
        merged.len() == 1_000 && merged.iter().all(|row| row.merged_into == Some(carrier.id) && row.finished.is_some())
    );
    drop(std::io::Write::write_all(
        &mut std::io::stderr(),
        format!("10,000 firings: first message after {first:?}, all told after {told:?}, digest in {second:?}, {grown} KiB more\n").as_bytes(),
    ));
    house.stop().await;
}
