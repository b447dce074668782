//! What the pipeline makes of a mail server that is away for an hour, and of clocks that are set (docs/reliability.md, P6, P12 and P13).

use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use bellwether_core::{
    alert::UserId,
    condition::ChannelName,
    delivery::{Delivery, DeliveryState},
    rate::Allowance,
    time::Span,
};

use super::{
    Policy,
    channel::Channel,
    email::{
        Email,
        tests::{KIND, Lines, changing_server, config},
    },
    hands::Hands,
    tests::{Fake, House, START, firing, folder, open, retry, settle},
};
use crate::clock::Clock;

const WINDOW: Span = Span::from_seconds(30);

async fn rows(house: &House) -> Vec<Delivery> {
    let page = house.store.deliveries(UserId::OWNER, None, None, 1_000).await.expect("read");
    page.items
}

/// Lets simulated time pass in steps, and each time has the channel look, until `done`. Real time only passes meanwhile.
async fn pass(house: &House, step: Span, done: impl AsyncFn() -> bool) {
    let started = Instant::now();
    while !done().await {
        assert!(started.elapsed() < Duration::from_mins(1), "it never came to that");
        house.clock.advance(step);
        house.set.nudge(&ChannelName::new("email"));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn said(lines: &Lines, word: &str) -> Vec<String> {
    lines.lock().expect("lock").iter().filter(|line| line.starts_with(word)).cloned().collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mail_server_that_is_away_for_an_hour_costs_nothing_but_time() {
    let script = Arc::new(Mutex::new(KIND));
    script.lock().expect("lock").greeting = "close";
    let (port, lines) = changing_server(Arc::clone(&script)).await;
    let mail: Arc<dyn Channel> = Arc::new(Email::new(&config(port), None, &Hands::default()).expect("valid"));
    let phone = Fake::new("phone", vec![]);
    let folder = folder();
    let store = open(&folder.path().join("data"));
    let clock = Clock::by_hand(START);
    let channels = vec![mail, Arc::clone(&phone) as Arc<dyn Channel>];
    let house = House::of(channels, folder, store, WINDOW, Policy::default(), clock.clone());

    // Three at once, then one every five minutes, for an hour in which every connection is closed in our face.
    house.fire((1..=3).map(|alert| firing(alert, 1, &[])).collect()).await;
    for five in 0..12 {
        let until = START.plus(Span::from_seconds(300 * (five + 1)));
        pass(&house, Span::from_seconds(10), async || clock.now() >= until).await;
        house.fire(vec![firing(4 + five, 1, &[])]).await;
    }
    pass(&house, Span::ZERO, async || rows(&house).await.len() == 15).await;
    pass(&house, Span::from_seconds(10), async || phone.seen().len() == 1).await;
    let open: Vec<Delivery> = rows(&house).await.into_iter().filter(|row| row.finished.is_none()).collect();
    assert_eq!(open.len(), 15, "nothing is given up within the hour");
    let attempts: u32 = open.iter().map(|row| row.attempts).sum();
    assert!((5..=25).contains(&attempts), "one probe at a time, further and further apart: {attempts} attempts");
    let told = phone.seen();
    assert_eq!(told.len(), 1, "told once: {told:?}");
    assert_eq!(told[0].notification.title, "bellwether: channel email is down");
    let email = house.set.views().into_iter().find(|view| view.name.as_str() == "email").expect("listed");
    assert!(!email.ready, "{email:?}");
    let figures = house.metrics.render();
    assert!(figures.contains(&format!("{{channel=\"email\",status=\"retry\"}} {attempts}")), "{figures}");

    // It is back, and knows nobody: for a while it says 451 to every recipient, as greylisting does.
    script.lock().expect("lock").greeting = KIND.greeting;
    script.lock().expect("lock").rcpt = "451 4.7.1 greylisted, come back later";
    pass(&house, Span::from_seconds(10), async || said(&lines, "RCPT").len() >= 2).await;
    assert_eq!(said(&lines, "Message-ID").len(), 0);
    *script.lock().expect("lock") = KIND;
    pass(&house, Span::from_seconds(10), async || rows(&house).await.iter().all(|row| row.finished.is_some())).await;

    let rows = rows(&house).await;
    let sent: HashSet<_> = rows.iter().filter(|row| row.state == DeliveryState::Sent).map(|row| row.id).collect();
    for row in &rows {
        let carried = row.state == DeliveryState::Merged && row.merged_into.is_some_and(|into| sent.contains(&into));
        assert!(carried || row.state == DeliveryState::Sent, "{row:?}");
    }
    let mails = said(&lines, "Message-ID");
    assert_eq!(mails.len(), sent.len(), "each message once");
    assert_eq!(mails.iter().collect::<HashSet<_>>().len(), mails.len(), "under a key of its own");
    assert!(mails.len() <= 5, "what waited is collected: {} mails for 15 firings", mails.len());
    let (about, dead) = (sent.len(), rows.iter().filter(|row| row.state == DeliveryState::Dead).count());
    let figures = house.metrics.render();
    assert!(figures.contains(&format!("{{channel=\"email\",status=\"sent\"}} {about}")) && dead == 0, "{figures}");
    house.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_clock_set_forward_gives_up_nothing_and_sends_what_waits() {
    let phone = Fake::new("phone", vec![retry(), retry()]);
    let mut house = House::start(vec![Arc::clone(&phone)]);
    house.fire(vec![firing(1, 1, &[])]).await;
    house.delivery(DeliveryState::Retry).await;
    // A day and two hours: longer than any message may be on its way.
    house.clock.advance(Span::from_seconds(26 * 3_600));
    house.fire(vec![firing(2, 1, &[])]).await;
    assert_eq!(house.delivery(DeliveryState::Sent).await.firing.to_string(), "a2.1.1");
    assert_eq!(phone.keys()[..2], ["d1", "d1"], "it was tried once more before anything is given up");
    let rows = rows(&house).await;
    assert!(rows.iter().all(|row| row.finished.is_some()), "and nothing hangs: {rows:?}");
    house.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_was_a_day_ahead_holds_nothing_up_after_the_restart() {
    let day = Span::from_seconds(86_400);
    let narrow = |plays| {
        Fake::limited("phone", plays, |limits| {
            limits.allowance = Allowance { burst: 2, refill: Span::from_seconds(60), daily: Some(6) };
        })
    };
    let phone = narrow(vec![retry(), retry(), retry()]);
    let folder = folder();
    let store = open(&folder.path().join("data"));
    let ahead = Clock::by_hand(START.plus(day));
    let mut house = House::governed(vec![phone], folder, store, Span::ZERO, Policy::default(), ahead);
    house.fire(vec![firing(1, 1, &[]), firing(2, 1, &[]), firing(3, 1, &[])]).await;
    house.delivery(DeliveryState::Retry).await;
    house.delivery(DeliveryState::Retry).await;
    let folder = house.stop().await;

    let phone = narrow(vec![]);
    let store = open(&folder.path().join("data"));
    let right = Clock::by_hand(START);
    let channels = vec![Arc::clone(&phone)];
    let house = House::governed(channels, folder, store, Span::ZERO, Policy::default(), right.clone());
    while phone.seen().len() < 3 {
        right.advance(Span::from_seconds(60));
        settle().await;
        assert!(right.now() < START.plus(Span::from_seconds(2 * 3_600)), "still {} of 3", phone.seen().len());
    }
    let mut keys = phone.keys();
    keys.sort();
    assert_eq!(keys, ["d1", "d2", "d3"]);
    house.stop().await;
}
