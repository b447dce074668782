use bellwether_core::{
    alert::{AlertId, UserId},
    time::Timestamp,
};

use super::*;

fn message(body: &str) -> Outgoing {
    Outgoing::message("channel.test", "a <title>", body, Timestamp::from_seconds(100))
}

/// A message about a firing of a17.
fn firing(urgent: bool) -> Outgoing {
    let mut message = message("x");
    message.notification.about = Some(About {
        alert: AlertId(17),
        owner: UserId(1),
        symbol: "BTC".parse().expect("a symbol"),
        time: Timestamp::from_seconds(100),
        price: None,
    });
    message.urgent = urgent;
    message
}

type Shown = Arc<Mutex<Vec<Card>>>;

/// A desktop that shows everything as notification 7 and can do `can`.
fn desktop(can: &[&str], act: Act) -> (Desktop, Shown) {
    let shower = Shower { name: "fake 1".to_owned(), can: can.iter().map(|c| (*c).to_owned()).collect() };
    let shown: Shown = Arc::default();
    let sink = Arc::clone(&shown);
    let bus = Bus {
        find: Box::new(move || Box::pin(std::future::ready(Ok(shower.clone())))),
        show: Box::new(move |card| {
            sink.lock().expect("lock").push(card);
            Box::pin(std::future::ready(Ok(7)))
        }),
        forget: Box::new(|| ()),
    };
    let hands = Hands { act, ..Hands::default() };
    let config =
        Config { expire: Some(Span::from_seconds(60)), open_chart: Some(vec!["true".to_owned()]), ..Config::default() };
    let desktop = Desktop { bus: Arc::new(bus), ..Desktop::new(&config, false, &hands).expect("valid") };
    (desktop, shown)
}

fn failing(find: impl Fn() -> Call<Shower> + Send + Sync + 'static) -> Desktop {
    let (desktop, _) = desktop(&[], Hands::default().act);
    let show = Box::new(|_| -> Call<u32> { Box::pin(std::future::ready(Ok(7))) });
    Desktop { bus: Arc::new(Bus { find: Box::new(find), show, forget: Box::new(|| ()) }), ..desktop }
}

#[tokio::test(start_paused = true)]
async fn a_bus_that_hangs_is_given_up_after_two_seconds() {
    let channel = failing(|| Box::pin(std::future::pending()));
    let started = tokio::time::Instant::now();
    let error = channel.send(&message("x")).await.expect_err("no answer");
    assert!(matches!(error, SendError::Retry { after: None, .. }));
    assert_eq!(error.to_string(), "the desktop did not answer in time");
    assert_eq!(started.elapsed().as_secs(), 2);
}

#[tokio::test]
async fn no_bus_is_a_reason_to_try_again_and_says_so() {
    let channel = failing(|| Box::pin(std::future::ready(Err("address\u{1b} not set".to_owned()))));
    let error = channel.send(&message("x")).await.expect_err("no bus");
    assert!(matches!(error, SendError::Retry { .. }));
    assert_eq!(error.to_string(), "no notification service: address\u{fffd} not set");
}

#[tokio::test]
async fn a_panic_underneath_is_an_error_and_no_more() {
    let channel = failing(|| Box::pin(async { panic!("a bug below") }));
    assert!(matches!(channel.send(&message("x")).await, Err(SendError::Retry { .. })));
}

#[tokio::test]
async fn markup_is_shown_as_text_and_a_repeat_replaces() {
    let evil = message("<img src=x> <a href=y>\u{1b}]0;z\u{7}");
    let (channel, shown) = desktop(&["body-markup"], Hands::default().act);
    for _ in 0..2 {
        let receipt = channel.send(&evil).await.expect("shown");
        assert_eq!(receipt.answer, "shown as notification 7 by fake 1");
    }
    let shown = shown.lock().expect("lock").clone();
    assert_eq!(shown[0].body, "&lt;img src=x&gt; &lt;a href=y&gt;\u{fffd}]0;z\u{fffd}");
    assert_eq!(shown[0].summary, "a <title>");
    assert_eq!(shown[0], shown[1]);
    assert_eq!(shown[0].tag, "bellwether-channel-test-100000");
    assert_eq!(shown[0].replaces, TAGS | (100_000 % 0x1_0000));

    let (channel, shown) = desktop(&[], Hands::default().act);
    channel.send(&evil).await.expect("shown");
    assert_eq!(
        shown.lock().expect("lock")[0].body,
        "\u{2039}img src=x\u{203a} \u{2039}a href=y\u{203a}\u{fffd}]0;z\u{fffd}",
        "harmless whether it is read as markup or not"
    );
}

#[tokio::test]
async fn buttons_are_offered_where_they_work_and_only_for_a_firing() {
    let labels = async |can: &[&str], message: Outgoing| {
        let (channel, shown) = desktop(can, Hands::default().act);
        channel.send(&message).await.expect("shown");
        let labels: Vec<_> = shown.lock().expect("lock")[0].actions.iter().map(|(_, label)| *label).collect();
        labels
    };
    assert_eq!(labels(&["actions"], firing(false)).await, ["Snooze 1h", "Acknowledge", "Open chart"]);
    assert!(labels(&["body"], firing(false)).await.is_empty());
    assert!(labels(&["actions"], message("x")).await.is_empty());
}

#[tokio::test]
async fn urgent_stays_and_the_rest_goes_away_when_configured() {
    let (channel, shown) = desktop(&[], Hands::default().act);
    channel.send(&firing(false)).await.expect("shown");
    channel.send(&firing(true)).await.expect("shown");
    let shown = shown.lock().expect("lock");
    assert_eq!((shown[0].expire, shown[0].critical), (60_000, false));
    assert_eq!((shown[1].expire, shown[1].critical), (0, true));
}

#[tokio::test]
async fn a_button_acts_on_its_alert_and_nobody_elses_button_does() {
    let done: Arc<Mutex<Vec<String>>> = Arc::default();
    let log = Arc::clone(&done);
    let act: Act = Arc::new(move |about, action| {
        log.lock().expect("lock").push(format!("{} {} {action:?}", about.alert, about.owner.0));
        let outcome = if action == Action::Snooze { Ok(()) } else { Err("gone <b>".to_owned()) };
        Box::pin(std::future::ready(outcome))
    });
    let (channel, _) = desktop(&["actions"], act);
    assert_eq!(channel.buttons.pressed(7, "snooze").await, None, "nothing of ours is on the screen");
    channel.send(&firing(false)).await.expect("shown");
    assert_eq!(channel.buttons.pressed(8, "snooze").await, None);
    assert_eq!(channel.buttons.pressed(7, "default").await, None);
    assert!(done.lock().expect("lock").is_empty());

    let answer = channel.buttons.pressed(7, "snooze").await.expect("an answer");
    assert_eq!((answer.summary.as_str(), answer.transient), ("a17 is silent for an hour", true));
    let answer = channel.buttons.pressed(7, "acknowledge").await.expect("an answer");
    assert_eq!((answer.summary.as_str(), answer.body.as_str()), ("a17: that did not work", "gone &lt;b&gt;"));
    assert_eq!(*done.lock().expect("lock"), ["a17 1 Snooze", "a17 1 Acknowledge"]);
    assert_eq!(channel.buttons.pressed(7, "chart").await, None, "the chart itself is the answer");
}

#[tokio::test]
async fn a_button_from_before_a_restart_acts_as_if_there_had_been_none() {
    let done: Arc<Mutex<Vec<String>>> = Arc::default();
    let log = Arc::clone(&done);
    let act: Act = Arc::new(move |about, action| {
        log.lock().expect("lock").push(format!("{} {} {} {action:?}", about.alert, about.owner.0, about.symbol));
        Box::pin(std::future::ready(Ok(())))
    });
    let (before, shown) = desktop(&["actions"], Arc::clone(&act));
    before.send(&firing(false)).await.expect("shown");
    drop(before);
    let keys: Vec<String> = shown.lock().expect("lock")[0].actions.iter().map(|(key, _)| key.clone()).collect();
    let (after, _) = desktop(&["actions"], act);
    assert!(after.buttons.pressed(7, &keys[0]).await.is_some_and(|card| card.summary == "a17 is silent for an hour"));
    assert!(after.buttons.pressed(7, &keys[1]).await.is_some());
    assert_eq!(after.buttons.pressed(7, &keys[2]).await, None, "the chart is opened");
    assert_eq!(*done.lock().expect("lock"), ["a17 1 BTC Snooze", "a17 1 BTC Acknowledge"]);
    for odd in
        ["snooze", "bellwether:", "bellwether:snooze:x:1:BTC", "bellwether:snooze:17:1:", "bellwether:burn:17:1:BTC"]
    {
        assert_eq!(after.buttons.pressed(7, odd).await, None, "{odd}");
    }
}

#[test]
fn an_expiry_that_cannot_be_meant_is_named() {
    let config = Config { expire: Some(Span::from_millis(10)), ..Config::default() };
    let error = Desktop::new(&config, false, &Hands::default()).err().expect("refused").to_string();
    assert_eq!(error, "channels.desktop.expire: expected a duration from 1s to 1d");
}
