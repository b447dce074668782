//! Gets the past that indicators need: an alert on `sma(200, 1d)` is not to wait two hundred days for its first value.
//!
//! Beside the way of a price: the evaluator says what a new alert needs and goes on; the bars come when they come, as one more
//! observation. Where providers do not answer, they are asked again, and until then the indicator is unknown (docs/alerts.md, B18).

use std::{collections::BTreeMap, future::Future};

use bellwether_core::{
    condition::HistoryNeed,
    instrument::Symbol,
    tick::Candle,
    time::{Span, Timestamp},
};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::{
    clock::Clock,
    links::{Observation, Observations},
};

/// Evaluate to here. Full: an indicator begins without its past.
pub(crate) const NEEDS: usize = 1_024;
/// How long to wait after each answer that was too short. After the last one, what there is has to do.
const AGAIN: [Span; 3] = [Span::from_seconds(60), Span::from_seconds(600), Span::from_seconds(3_600)];

/// What is still to be had.
#[derive(Clone, Copy, Debug)]
struct Open {
    bars: usize,
    due: Timestamp,
    attempt: usize,
}

/// Answers needs until told to stop. `ask` gives closed bars from before now, oldest first, or why there are none.
pub(crate) async fn run<F, A>(
    mut needs: mpsc::Receiver<HistoryNeed>,
    ask: F,
    observations: Observations,
    clock: Clock,
    stop: CancellationToken,
) where
    F: Fn(HistoryNeed, Timestamp) -> A,
    A: Future<Output = Result<Vec<Candle>, String>>,
{
    let mut open: BTreeMap<(Symbol, Span), Open> = BTreeMap::new();
    // The longest past that each kind of bar was given.
    let mut given: BTreeMap<(Symbol, Span), usize> = BTreeMap::new();
    loop {
        let now = clock.now();
        let next = open.iter().min_by_key(|(_, open)| open.due).map(|(key, open)| (*key, *open));
        let wait = next.map_or(AGAIN[2], |(_, open)| open.due.since(now));
        tokio::select! {
            () = stop.cancelled() => return,
            need = needs.recv() => {
                let Some(HistoryNeed { symbol, bar, bars }) = need else { return };
                let key = (symbol, bar);
                if given.get(&key).is_none_or(|known| *known < bars) {
                    let entry = open.entry(key).or_insert(Open { bars, due: now, attempt: 0 });
                    entry.bars = entry.bars.max(bars);
                }
            }
            () = tokio::time::sleep(wait.into()), if next.is_some() => {
                let Some(((symbol, bar), Open { bars, attempt, .. })) = next else { continue };
                let need = HistoryNeed { symbol, bar, bars };
                let now = clock.now();
                let answer = tokio::select! {
                    () = stop.cancelled() => return,
                    answer = ask(need, now) => answer,
                };
                let candles = answer.unwrap_or_else(|trouble| {
                    tracing::warn!(%symbol, %bar, "the past of an indicator cannot be had: {trouble}");
                    Vec::new()
                });
                let reaches = candles.first().map_or(Span::ZERO, |first| now.since(first.from));
                let whole = reaches >= bar.times(i64::try_from(bars).unwrap_or(i64::MAX));
                if !whole && let Some(wait) = AGAIN.get(attempt) {
                    open.insert((symbol, bar), Open { bars, due: now.plus(*wait), attempt: attempt + 1 });
                    continue;
                }
                open.remove(&(symbol, bar));
                given.insert((symbol, bar), bars);
                let history = Observation::History { symbol, candles, received: clock.now() };
                if observations.send(history).await.is_err() {
                    return;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use bellwether_core::{price::Price, tick::Session};

    use super::*;

    const HOUR: Span = Span::from_seconds(3_600);

    fn bars(count: i64, end: Timestamp) -> Vec<Candle> {
        let price: Price = "7".parse().expect("a price");
        let bar = |back: i64| Candle {
            from: end.minus(HOUR.times(back)),
            to: end.minus(HOUR.times(back - 1)),
            open: price,
            high: price,
            low: price,
            close: price,
            session: Session::Regular,
            volume: None,
        };
        (1..=count).rev().map(bar).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_past_that_is_too_short_is_asked_for_again_and_a_known_one_is_not() {
        let (needs_tx, needs) = mpsc::channel(NEEDS);
        let (observations, mut seen) = mpsc::channel(8);
        let stop = CancellationToken::new();
        let asked: Arc<Mutex<Vec<usize>>> = Arc::default();
        let counted = Arc::clone(&asked);
        let ask = move |need: HistoryNeed, now| {
            let mut asked = counted.lock().expect("not poisoned");
            asked.push(need.bars);
            let answer = match asked.len() {
                1 => Err("nobody answers".to_owned()),
                2 => Ok(bars(3, now)),
                _ => Ok(bars(60, now)),
            };
            std::future::ready(answer)
        };
        let clock = Clock::by_hand("2026-11-22T12:00:00Z".parse().expect("a time"));
        let moving = clock.clone();
        let running = tokio::spawn(run(needs, ask, observations, clock, stop.clone()));
        let need = |bars| HistoryNeed { symbol: "BTC".parse().expect("a symbol"), bar: HOUR, bars };
        needs_tx.send(need(14)).await.expect("running");
        needs_tx.send(need(50)).await.expect("running");
        let came = loop {
            tokio::select! {
                came = seen.recv() => break came.expect("running"),
                () = tokio::time::sleep(std::time::Duration::from_secs(10)) => moving.advance(Span::from_seconds(10)),
            }
        };
        assert!(matches!(came, Observation::History { candles, .. } if candles.len() == 60));
        assert_eq!(asked.lock().expect("not poisoned").last(), Some(&50), "the longest of what is needed");
        let before = asked.lock().expect("not poisoned").len();
        needs_tx.send(need(20)).await.expect("running");
        tokio::time::sleep(std::time::Duration::from_mins(1)).await;
        assert_eq!(asked.lock().expect("not poisoned").len(), before, "what was given is known");
        stop.cancel();
        running.await.expect("no panic");
    }
}
