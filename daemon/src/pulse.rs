//! Whether the parts that must never stand still turn: the evaluator, the store, the recorder of firings and each channel's worker.
//!
//! Each counts its own turns; whoever feeds a watchdog compares the counts. No part is asked, and no timer of its own speaks for
//! it, so that one that hangs is seen (docs/reliability.md, P18).

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

/// How often a part that has nothing to do turns all the same.
pub(crate) const TURN: Duration = Duration::from_secs(1);

/// The count of one part. When it is dropped, nobody waits for its turns any more.
#[derive(Clone, Debug, Default)]
pub(crate) struct Beat(Arc<Count>);

#[derive(Debug, Default)]
struct Count {
    turns: AtomicU64,
    /// Until then it is busy with something that has a deadline of its own.
    busy: Mutex<Option<Instant>>,
}

impl Beat {
    /// It has turned.
    pub(crate) fn turn(&self) {
        self.0.turns.fetch_add(1, Ordering::Relaxed);
    }

    /// It is busy for at most so long, and does not turn meanwhile.
    pub(crate) fn busy(&self, longest: Duration) {
        *locked(&self.0.busy) = Some(Instant::now() + longest);
    }
}

/// Says of a part that stands still whether that is known, told, and no reason to start everything anew.
type Excused = dyn Fn(&str) -> bool + Send + Sync;

/// What a part is called, and its count.
type Part = (String, Weak<Count>);

/// The counts of all parts of a running daemon.
#[derive(Clone, Default)]
pub struct Pulse {
    parts: Arc<Mutex<Vec<Part>>>,
    excused: Arc<Mutex<Option<Arc<Excused>>>>,
}

impl fmt::Debug for Pulse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pulse").finish_non_exhaustive()
    }
}

impl Pulse {
    /// A part that has to turn from now on.
    pub(crate) fn part(&self, name: &str) -> Beat {
        let beat = Beat::default();
        let mut parts = locked(&self.parts);
        parts.retain(|(_, count)| count.strong_count() > 0);
        parts.push((name.to_owned(), Arc::downgrade(&beat.0)));
        beat
    }

    /// Asks this of parts that stand still.
    pub(crate) fn excuse(&self, excused: impl Fn(&str) -> bool + Send + Sync + 'static) {
        *locked(&self.excused) = Some(Arc::new(excused));
    }

    /// Begins to watch.
    pub fn watch(&self) -> PulseWatch {
        PulseWatch { pulse: self.clone(), seen: HashMap::new() }
    }
}

/// Compares the counts with those of the time before.
#[derive(Debug)]
pub struct PulseWatch {
    pulse: Pulse,
    seen: HashMap<usize, u64>,
}

impl PulseWatch {
    /// The parts that have not turned since this last gave none; none: all have, and from here on each has to turn again.
    pub fn still(&mut self) -> Vec<String> {
        let now = Instant::now();
        let excused = locked(&self.pulse.excused).clone();
        let mut still = Vec::new();
        let mut turns = HashMap::new();
        for (name, count) in locked(&self.pulse.parts).iter() {
            let Some(count) = count.upgrade() else { continue };
            let key = Arc::as_ptr(&count).addr();
            let turned = count.turns.load(Ordering::Relaxed);
            turns.insert(key, turned);
            let busy = locked(&count.busy).is_some_and(|until| now < until);
            let stands = self.seen.get(&key) == Some(&turned) && !busy;
            if stands && !excused.as_ref().is_some_and(|excused| excused(name)) {
                still.push(name.clone());
            }
        }
        if still.is_empty() {
            self.seen = turns;
        }
        still
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_part_that_does_not_turn_is_named_until_it_does() {
        let pulse = Pulse::default();
        let (evaluate, store) = (pulse.part("evaluate"), pulse.part("store"));
        let mut watch = pulse.watch();
        assert!(watch.still().is_empty(), "it has just begun");
        evaluate.turn();
        assert_eq!(watch.still(), ["store"]);
        evaluate.turn();
        assert_eq!(watch.still(), ["store"], "what others do is no excuse");
        store.turn();
        assert!(watch.still().is_empty());
        assert_eq!(watch.still(), ["evaluate", "store"], "each has to turn again");
        drop(store);
        assert_eq!(watch.still(), ["evaluate"], "what has ended is not waited for");
    }

    #[tokio::test(start_paused = true)]
    async fn a_send_with_a_deadline_is_waited_for_and_no_longer() {
        let pulse = Pulse::default();
        let worker = pulse.part("worker of email");
        let mut watch = pulse.watch();
        assert!(watch.still().is_empty());
        worker.busy(Duration::from_secs(30));
        tokio::time::advance(Duration::from_secs(29)).await;
        assert!(watch.still().is_empty());
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(watch.still(), ["worker of email"]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_known_to_wait_for_a_disk_is_excused() {
        let pulse = Pulse::default();
        let _evaluate = pulse.part("evaluate");
        pulse.excuse(|part| part == "evaluate");
        let mut watch = pulse.watch();
        assert!(watch.still().is_empty() && watch.still().is_empty());
    }
}
