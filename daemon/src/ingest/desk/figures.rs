//! How long it takes from a killed or silent exchange to the first fresh price of its reserve: whole feeds over sockets of this
//! machine, in real time. Measured, not asserted:
//!
//! ```text
//! BELLWETHER_MEASURE=1 cargo test -p bellwether-daemon --lib figures -- --nocapture
//! ```

use std::{collections::BTreeSet, time::Duration};

use bellwether_core::{catalog::Catalog, config, instrument::FeedId};
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::json;
use tokio::{
    net::TcpListener,
    sync::{mpsc, watch},
    task::JoinSet,
    time::Instant,
};
use tokio_tungstenite::tungstenite::Message;

use super::*;
use crate::{
    ingest::{
        Context, assign,
        coinbase::Coinbase,
        coingecko::Coingecko,
        supervise::{Feed, Link, jittered, supervise},
        test_support::{StandIn, instruments, json_answer},
    },
    links::Observation,
    provider::Providers,
};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Up,
    /// Every connection is cut, and so is every new one.
    Killed,
    /// Nothing more is said, and nothing is closed.
    Frozen,
}

/// An exchange that trades ten times a second until told otherwise.
async fn exchange() -> (String, watch::Sender<Mode>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("ws://{}", listener.local_addr().expect("an address"));
    let (mode, modes) = watch::channel(Mode::Up);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let mut modes = modes.clone();
            if *modes.borrow() == Mode::Killed {
                continue;
            }
            tokio::spawn(async move {
                let Ok(mut socket) = tokio_tungstenite::accept_async(stream).await else { return };
                let mut trades = tokio::time::interval(Duration::from_millis(100));
                let mut number = 0_u32;
                loop {
                    let mode = *modes.borrow_and_update();
                    tokio::select! {
                        changed = modes.changed() => if changed.is_err() { return },
                        message = socket.next() => if message.is_none() { return },
                        _ = trades.tick(), if mode == Mode::Up => {
                            number += 1;
                            let (price, time) = (format!("84000.{number:05}"), Clock::system().now().to_string());
                            let text = json!({ "type": "ticker", "product_id": "BTC-USD", "price": price, "time": time });
                            if socket.send(Message::text(text.to_string())).await.is_err() {
                                return;
                            }
                        }
                    }
                    if *modes.borrow() == Mode::Killed {
                        return;
                    }
                }
            });
        }
    });
    (url, mode)
}

/// One run: the exchange gets into trouble, and the answer is how long it took until another feed's price was there.
async fn run_once(trouble: Mode, hot: bool) -> Duration {
    let (first, mode) = exchange().await;
    let (second, _mode) = exchange().await;
    let (news_tx, news) = mpsc::channel(NEWS);
    let (observations_tx, mut observations) = mpsc::channel(4_096);
    let (events_tx, mut events) = mpsc::channel(4_096);
    let (wanted_tx, wanted) = watch::channel(Wanted(Arc::new([(FeedId::Coingecko, BTreeSet::new())].into())));
    let (_jumps, jumps) = watch::channel(0);
    let (clock, metrics, stop) = (Clock::system(), Metrics::new(), CancellationToken::new());
    tokio::spawn(async move { while events.recv().await.is_some() {} });
    // Without a time of its own: the real one is up to a minute old, and until it is newer than the last price it is no news.
    let markets = json!([{ "id": "bitcoin", "current_price": 84_000.5 }]).to_string();
    let polled = StandIn::serving(vec![json_answer(&markets)]).await;
    let mut settings = config::Config::default();
    settings.feeds.coingecko.base_url.clone_from(&polled.base);
    let context = Context {
        news: news_tx,
        wanted,
        jumps,
        providers: Providers::new(&settings, &[], None, &clock, |backoff, failures| backoff.delay(failures, 0.5)),
        clock: clock.clone(),
        metrics: metrics.clone(),
        stop: stop.clone(),
    };
    let catalog = Catalog::builtin();
    let mut routes = assign(&settings, &catalog).routes();
    routes.retain(|(instrument, _)| instrument.symbol.as_str() == "BTC");
    let reserve = if hot { FeedId::Kraken } else { FeedId::Coingecko };
    // Another exchange of the same kind plays the stream in reserve.
    let candidate = Candidate { feed: FeedId::Kraken, ..routes[0].1[0] };
    routes[0].1.insert(1, candidate);
    routes[0].1.retain(|c| c.feed == FeedId::Coinbase || c.feed == reserve);
    let deps = Deps {
        observations: observations_tx,
        events: events_tx,
        wanted: wanted_tx,
        watched: watch::channel(Arc::new(BTreeSet::new())).1,
        notices: Arc::new(|_| {}),
        fetch_gap: Arc::new(|_, _, _| Box::pin(async { Ok(Vec::new()) })),
        clock,
        behind: Arc::default(),
        metrics,
        stop: stop.clone(),
        beat: Beat::default(),
    };
    let mut tasks = JoinSet::new();
    tasks.spawn(async {
        drop(super::run(routes, Vec::new(), Left { news, said: Vec::new() }, deps).await);
        Ok(())
    });
    let streams: &[(FeedId, &String)] = &[(FeedId::Coinbase, &first), (FeedId::Kraken, &second)];
    for (id, url) in streams.iter().take(if hot { 2 } else { 1 }) {
        let config = config::Coinbase { ws_url: (*url).clone(), ..config::Coinbase::default() };
        let feed = Feed::Coinbase(Coinbase::new(&config, instruments(&["BTC"])));
        tasks.spawn(supervise(feed, Link::new(*id, 1, context.clone()), jittered));
    }
    let coins = Feed::Coingecko(Coingecko::new(
        &settings.feeds.coingecko,
        instruments(&["BTC"]),
        context.providers.coingecko.clone(),
    ));
    tasks.spawn(supervise(coins, Link::new(FeedId::Coingecko, 1, context), jittered));
    // Until all is as on any day.
    let settled = Instant::now() + Duration::from_secs(2);
    while Instant::now() < settled {
        observations.recv().await.expect("prices");
    }
    mode.send_replace(trouble);
    let begun = Instant::now();
    let mut taken_over = false;
    loop {
        match observations.recv().await.expect("the desk works") {
            Observation::Feed(using) => taken_over = using.source == reserve,
            Observation::Tick(_) | Observation::Batch(_) if taken_over => break,
            _ => {}
        }
    }
    stop.cancel();
    begun.elapsed()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::print_stdout, reason = "figures for people")]
async fn the_time_to_the_first_price_of_a_reserve() {
    if std::env::var_os("BELLWETHER_MEASURE").is_none() {
        return;
    }
    for (name, trouble, hot) in [
        ("killed, a stream in reserve", Mode::Killed, true),
        ("silent, a stream in reserve", Mode::Frozen, true),
        ("killed, a polled feed in reserve", Mode::Killed, false),
        ("silent, a polled feed in reserve", Mode::Frozen, false),
    ] {
        let mut runs = JoinSet::new();
        for _ in 0..20 {
            runs.spawn(run_once(trouble, hot));
        }
        let mut times = runs.join_all().await;
        times.sort();
        println!("{name}: {:.2?} in the middle, {:.2?} at most, of {}", times[10], times[19], times.len());
    }
}
