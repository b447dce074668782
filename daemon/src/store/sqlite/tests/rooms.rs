//! What is removed because it is old, what never is, and the room that comes back.

use bellwether_core::instrument::FeedId;

use super::{
    super::super::{Fetched, Portion},
    *,
};

/// All firings that are left, by number.
async fn left(store: &Store, alert: &Alert) -> Vec<u32> {
    let page = store.firings(alert.owner, Some(alert.id), None, 1_000).await.expect("read");
    let mut numbers: Vec<u32> = page.items.iter().map(|event| event.firing.id.number).collect();
    numbers.sort_unstable();
    numbers
}

/// Sends what is due on the channel for mail, as often as it is said.
async fn send(store: &Store, times: usize, now: Timestamp) {
    for _ in 0..times {
        let take = Take { lane: Lane::Fresh, grouping: Grouping::OFF, memory: None, now };
        let due = store.take(email(), take).await.expect("taken").expect("due").due.delivery;
        store.finish(due.id, Outcome::Sent { answer: "250".to_owned() }, now).await.expect("finished");
    }
}

#[tokio::test]
async fn old_firings_go_but_not_what_waits_and_not_the_last_of_an_alert() {
    let folder = folder();
    let store = open(&folder);
    let (stands, deleted) = (one_alert(&store).await, one_alert(&store).await);
    for number in 1..=4 {
        fire(&store, firing(&stands, number, at(1)), &[email()], at(i64::from(number))).await;
    }
    for number in 1..=2 {
        fire(&store, firing(&deleted, number, at(1)), &[], at(5)).await;
    }
    store.delete_alert(UserId::OWNER, deleted.id, None, at(6)).await.expect("deleted");
    // The first two are sent, the others wait.
    send(&store, 2, at(7)).await;

    assert_eq!(store.prune_firings(at(1), 0).await, Ok(Portion { gone: 0, behind: None }), "nothing is that old");
    assert_eq!(store.prune_firings(at(2), 0).await.map(|p| p.gone), Ok(1), "what is younger stays");
    assert_eq!(left(&store, &stands).await, [2, 3, 4]);
    assert_eq!(store.prune_firings(at(1_000), 0).await.map(|p| p.gone), Ok(3));
    assert_eq!(left(&store, &stands).await, [3, 4], "these are yet to be sent");
    assert!(left(&store, &deleted).await.is_empty(), "nobody counts on from these");
    let deliveries = store.deliveries(UserId::OWNER, None, None, 10).await.expect("read").items;
    assert_eq!(deliveries.len(), 2, "{deliveries:?}");

    send(&store, 2, at(8)).await;
    assert_eq!(store.prune_firings(at(1_000), 0).await.map(|p| p.gone), Ok(1));
    assert_eq!(left(&store, &stands).await, [4], "the last one of an alert that stands");
}

#[tokio::test]
async fn a_long_history_goes_in_portions_and_none_is_forgotten() {
    let folder = folder();
    let store = open(&folder);
    let alert = one_alert(&store).await;
    for number in 1..=450 {
        fire(&store, firing(&alert, number, at(1)), &[], at(i64::from(number))).await;
    }
    let (mut behind, mut portions) = (Some(0), Vec::new());
    while let Some(place) = behind {
        let portion = store.prune_firings(at(430), place).await.expect("pruned");
        portions.push(portion.gone);
        behind = portion.behind;
    }
    assert_eq!(portions, [200, 200, 29]);
    assert_eq!(left(&store, &alert).await.len(), 21);
}

/// Bars that fill some megabytes.
fn many_bars() -> Fetched {
    let candle = |n: i64| Candle {
        from: at(n * 60),
        to: at(n * 60 + 60),
        open: price("60000.12345678"),
        high: price("60001.12345678"),
        low: price("59999.12345678"),
        close: price("60000.12345678"),
        session: Session::Regular,
    };
    let candles = (0..40_000).map(candle).collect();
    Fetched { symbol: symbol("BTC"), length: Span::from_seconds(60), source: FeedId::Kraken, candles, asked: None }
}

async fn fill_and_empty(store: &Store) {
    store.put_candles(many_bars(), at(0)).await.expect("written");
    let gone = store.prune_candles(vec![(Span::from_seconds(60), at(10_000_000))]).await.expect("pruned");
    assert_eq!(gone, 40_000);
}

#[tokio::test]
async fn room_that_became_free_is_given_back_while_the_database_is_in_use() {
    let folder = folder();
    let store = open(&folder);
    let alert = one_alert(&store).await;
    fill_and_empty(&store).await;
    let before = store.room().await.expect("read");
    assert!(before.gives_back && before.free > 2 << 20 && before.is_mostly_air(1 << 20), "{before:?}");
    store.give_back(100).await.expect("given back");
    let after = store.room().await.expect("read");
    // Sometimes one more: the page that said where these were.
    assert!((100..=101).contains(&((before.bytes - after.bytes) / before.page)), "{before:?}, then {after:?}");
    store.give_back(after.free / after.page).await.expect("given back");
    let after = store.room().await.expect("read");
    assert_eq!(after.free, 0);
    assert_eq!(store.alerts().await, Ok(vec![alert]));
    store.close().await;
    assert_eq!(fs::metadata(database(&folder)).expect("a file").len(), after.bytes);
    drop(open(&folder));
}

#[tokio::test]
async fn an_older_database_with_much_free_room_is_made_anew_once_and_loses_nothing() {
    let folder = folder();
    file::prepare(folder.path()).expect("a file");
    let mut old = outside(&folder);
    old.pragma_update(None, "journal_mode", "WAL").expect("set");
    file::migrate(&database(&folder), &mut old, file::MIGRATIONS).expect("made");
    drop(old);
    let store = open(&folder);
    let alert = one_alert(&store).await;
    fire(&store, firing(&alert, 1, at(1)), &[email()], at(1)).await;
    fill_and_empty(&store).await;
    let before = store.room().await.expect("read");
    assert!(!before.gives_back, "{before:?}");
    let recent = store.recent().await;
    store.close().await;

    let connection = outside(&folder);
    assert_eq!(file::make_anew(&database(&folder), &connection, 64 << 20), Ok(false), "for so little nothing is done");
    assert_eq!(file::make_anew(&database(&folder), &connection, 1 << 20), Ok(true));
    assert_eq!(file::make_anew(&database(&folder), &connection, 1 << 20), Ok(false), "once");
    drop(connection);
    let store = open(&folder);
    let after = store.room().await.expect("read");
    assert!(after.gives_back && after.bytes < before.bytes - (2 << 20), "{before:?}, then {after:?}");
    assert_eq!((store.alerts().await, store.recent().await), (Ok(vec![alert]), recent));
    assert_eq!(fs::metadata(database(&folder)).expect("a file").len(), after.bytes, "on the disk too");
}
