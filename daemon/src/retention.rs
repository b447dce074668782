//! Removes what is older than it is to be kept, and gives the room back to the disk (docs/operating.md, *Room*).
//!
//! Everything goes in portions of a few milliseconds: between two of them the store does what others ask of it, so no firing waits for
//! it. Where the disk refuses, it is tried again an hour later; the reserve for a full disk is not touched.

use std::time::Duration;

use bellwether_core::time::{Span, Timestamp};
use tokio_util::sync::CancellationToken;

use crate::{
    clock::Clock,
    history,
    metrics::{Metrics, Removed},
    store::{Room, Store, StoreError},
};

/// When it is first looked: a start has better things to do.
const FIRST: Duration = Duration::from_mins(1);
/// How often after that.
const EVERY: Duration = Duration::from_hours(1);
/// How much later than the newest price it may be.
const A_DAY: Span = Span::from_seconds(86_400);
/// How much time of one-minute bars is condensed in one go.
const AT_ONCE: Span = Span::from_seconds(6 * 3_600);
/// Room is given back where more than this is free, and more than a quarter of the file: less is soon used again.
const MUCH: u64 = 64 << 20;
/// What stays free even then.
const SPARE: u64 = 16 << 20;
/// How much room is given back in one go.
const BACK_AT_ONCE: u64 = 1 << 20;

/// How long things are kept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Keep {
    /// One-minute bars, which then become hours.
    pub(crate) bars: Span,
    /// Firings and their deliveries.
    pub(crate) history: Span,
}

/// Removes each hour what is too old, until it is told to stop.
pub(crate) async fn run(store: Store, keep: Keep, clock: Clock, metrics: Metrics, stop: CancellationToken) {
    let mut wait = FIRST;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(wait) => wait = EVERY,
        }
        let pruning = async {
            let Some(now) = believable(&store, clock.now()).await? else { return Ok(()) };
            prune(&store, now, keep, &metrics).await
        };
        let pruned: Result<(), StoreError> = tokio::select! {
            // A portion is whole or was not begun; the next start goes on.
            () = stop.cancelled() => return,
            pruned = pruning => pruned,
        };
        if let Err(error) = pruned {
            tracing::warn!(%error, "what is too old could not be removed; trying again in an hour");
        }
    }
}

/// The time, but no later than a day after the newest price by its source: a clock that is years ahead must not cost years of history.
async fn believable(store: &Store, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
    let newest = store.last_prices().await?.iter().map(|ticker| ticker.as_of).max();
    Ok(newest.map(|newest| now.min(newest.plus(A_DAY))))
}

/// Removes what is too old at this moment, and gives room back where much is free.
pub(crate) async fn prune(store: &Store, now: Timestamp, keep: Keep, metrics: &Metrics) -> Result<(), StoreError> {
    minutes(store, now.minus(keep.bars), metrics).await?;
    let ages = history::KEPT.iter().map(|(length, kept)| (*length, now.minus(*kept)));
    metrics.removed(Removed::Bars, store.prune_candles(ages.collect()).await?);
    firings(store, now.minus(keep.history), metrics).await?;
    shrink(store, metrics).await
}

/// Recorded minutes become hours, some hours at a time.
async fn minutes(store: &Store, before: Timestamp, metrics: &Metrics) -> Result<(), StoreError> {
    while let Some(oldest) = store.oldest_bar().await?.filter(|oldest| *oldest < before) {
        let part = oldest.plus(AT_ONCE).min(before);
        let gone = store.prune_bars(part).await?;
        metrics.removed(Removed::Minutes, gone);
        // What is left is of the hour that is not over.
        if gone == 0 && part == before {
            break;
        }
    }
    Ok(())
}

/// Firings with their deliveries, some hundred at a time.
async fn firings(store: &Store, before: Timestamp, metrics: &Metrics) -> Result<(), StoreError> {
    let (mut behind, mut all) = (Some(0), 0);
    while let Some(place) = behind {
        let portion = store.prune_firings(before, place).await?;
        all += portion.gone;
        metrics.removed(Removed::Firings, portion.gone);
        behind = portion.behind;
    }
    if all > 0 {
        tracing::info!(firings = all, %before, "what fired before `data.keep_history` is removed from the history");
    }
    Ok(())
}

/// Gives room back to the disk where there is much of it.
async fn shrink(store: &Store, metrics: &Metrics) -> Result<(), StoreError> {
    let mut room = store.room().await?;
    let mut rest = surplus(&room);
    let all = rest;
    while rest > 0 {
        let part = rest.min(BACK_AT_ONCE);
        store.give_back(part / room.page).await?;
        rest -= part;
    }
    if all > 0 {
        room = store.room().await?;
        tracing::info!(
            bytes = all,
            left = room.bytes,
            "room that became free in the database is given back to the disk"
        );
    }
    metrics.database(room.bytes, room.free);
    Ok(())
}

/// How many bytes are given back of a file with so much free room.
fn surplus(room: &Room) -> u64 {
    if room.gives_back && room.is_mostly_air(MUCH) { room.free - SPARE } else { 0 }
}

#[cfg(test)]
mod tests {
    use bellwether_core::{
        event::Ticker,
        tick::{Candle, Session},
    };

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_seconds(1_790_000_000 + second)
    }

    /// A minute's bar, and the price it ended with.
    fn minute(second: i64) -> (Candle, Ticker) {
        let price = "60000".parse().expect("a price");
        let from = at(second);
        let to = from.plus(Span::from_seconds(60));
        let bar = Candle {
            from,
            to,
            open: price,
            high: price,
            low: price,
            close: price,
            volume: None,
            session: Session::Regular,
        };
        let symbol = "BTC".parse().expect("a symbol");
        let ticker = Ticker {
            symbol,
            price,
            change_24h_pct: None,
            reference: None,
            high: None,
            low: None,
            volume: None,
            as_of: from,
            received: from,
            source: bellwether_core::instrument::FeedId::Kraken,
            session: Session::Regular,
            stale_after: Span::from_seconds(60),
            delay: Span::ZERO,
        };
        (bar, ticker)
    }

    #[tokio::test]
    async fn a_clock_that_is_years_ahead_costs_no_history() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(folder.path()).expect("a store");
        assert_eq!(believable(&store, at(0)).await, Ok(None), "without a price nobody knows the time");
        let (_, ticker) = minute(0);
        store.record_prices(Vec::new(), vec![ticker]).await.expect("written");
        assert_eq!(believable(&store, at(3_600)).await, Ok(Some(at(3_600))));
        assert_eq!(believable(&store, at(10 * 365 * 86_400)).await, Ok(Some(at(86_400))));
    }

    #[tokio::test]
    async fn minutes_of_a_long_absence_become_hours_part_by_part() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(folder.path()).expect("a store");
        let symbol = "BTC".parse().expect("a symbol");
        // Two days with a bar each ten minutes, and a pause of a week between them.
        let starts = (0..144).map(|n| n * 600).chain((0..144).map(|n| 9 * 86_400 + n * 600));
        let bars = starts.map(|second| (symbol, minute(second).0)).collect();
        store.record_prices(bars, Vec::new()).await.expect("written");
        let keep = Keep { bars: Span::from_seconds(86_400), history: Span::from_seconds(31 * 86_400) };
        let metrics = Metrics::new();
        prune(&store, at(10 * 86_400 + 43_200), keep, &metrics).await.expect("pruned");
        let oldest = store.oldest_bar().await.expect("read").expect("half a day is left");
        assert!(at(9 * 86_400 + 43_200 - 3_600) < oldest && oldest <= at(9 * 86_400 + 43_200), "{oldest}");
        let hours = store.fetched(symbol, Span::from_seconds(3_600), at(-3_600), at(20 * 86_400)).await.expect("read");
        // Neither day begins with an hour.
        assert!((36..=38).contains(&hours.len()), "{}", hours.len());
        let text = metrics.render();
        assert!(text.contains("recorder_removed_total{what=\"minutes\"} 2"), "{text}");
        assert!(text.contains("recorder_database_bytes "), "{text}");
    }

    #[test]
    fn room_is_given_back_only_where_much_of_a_large_file_is_free() {
        let room = |bytes: u64, free: u64| Room { bytes: bytes << 20, free: free << 20, page: 4_096, gives_back: true };
        for (bytes, free, back) in [(300, 0, 0), (300, 64, 0), (400, 90, 0), (300, 100, 84), (66, 65, 49)] {
            assert_eq!(surplus(&room(bytes, free)), back << 20, "{free} of {bytes} MiB free");
        }
        assert_eq!(
            surplus(&Room { gives_back: false, ..room(300, 100) }),
            0,
            "an older database gives nothing back in parts"
        );
    }
}
