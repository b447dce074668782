//! How often a provider may be asked, shared by everybody who asks: what must not wait goes before what may.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use bellwether_core::{
    rate::TokenBucket,
    time::{Span, Timestamp},
};
use tokio::time::Instant;

/// Who asks, the most urgent first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Priority {
    /// A price that alerts wait for.
    Live,
    /// What was missed: live ticks are held meanwhile.
    Gap,
    /// Somebody looks at the screen.
    Person,
    /// Nobody waits.
    Background,
}

impl Priority {
    /// How long a turn is waited for; then whoever asks is told that it is busy.
    const fn patience(self) -> Option<Duration> {
        match self {
            Self::Live => None,
            Self::Gap => Some(Duration::from_secs(10)),
            Self::Person => Some(Duration::from_secs(5)),
            Self::Background => Some(Duration::from_mins(2)),
        }
    }

    /// How many requests it leaves for those who are more urgent.
    const fn leaves(self) -> u32 {
        match self {
            Self::Live => 0,
            Self::Gap | Self::Person => 1,
            Self::Background => 2,
        }
    }
}

/// The budget of one provider.
#[derive(Debug)]
pub(super) struct Budget {
    state: Mutex<State>,
    /// The bucket is told the time since then: the wall clock may leap.
    begun: Instant,
    refill: Span,
}

#[derive(Debug)]
struct State {
    bucket: TokenBucket,
    /// How many of each priority wait.
    waiting: [u32; 4],
}

impl Budget {
    /// So many requests at once, and one more every `refill`.
    pub(super) fn new(burst: u32, refill: Span) -> Self {
        let state = State { bucket: TokenBucket::new(burst, refill), waiting: [0; 4] };
        Self { state: Mutex::new(state), begun: Instant::now(), refill }
    }

    /// Waits for a turn. The error is how long it would have taken at least.
    pub(super) async fn turn(&self, priority: Priority) -> Result<(), Span> {
        let deadline = priority.patience().map(|patience| Instant::now() + patience);
        let place = Place::take(self, priority);
        loop {
            let Some(wait) = place.attempt() else { return Ok(()) };
            let wait = wait.max(Span::from_millis(1));
            let wake = Instant::now() + Duration::from(wait);
            if deadline.is_some_and(|deadline| wake > deadline) {
                return Err(wait);
            }
            tokio::time::sleep_until(wake).await;
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        // Nothing panics while it is held, and numbers are whole at any time.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place in the queue, given up when it is dropped.
struct Place<'a> {
    budget: &'a Budget,
    priority: Priority,
}

impl<'a> Place<'a> {
    fn take(budget: &'a Budget, priority: Priority) -> Self {
        budget.state().waiting[priority as usize] += 1;
        Self { budget, priority }
    }

    /// Takes a turn, or says how long to wait.
    fn attempt(&self) -> Option<Span> {
        let now = Timestamp::from_micros(Span::from(self.budget.begun.elapsed()).as_micros());
        let mut state = self.budget.state();
        if state.waiting[..self.priority as usize].iter().any(|waiting| *waiting > 0) {
            return Some(self.budget.refill);
        }
        state.bucket.take_leaving(now, self.priority.leaves()).err().map(|earliest| earliest.since(now))
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.budget.state().waiting[self.priority as usize] -= 1;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn live_prices_go_before_everything_and_background_work_is_told_to_come_later() {
        let budget = Arc::new(Budget::new(3, Span::from_seconds(100)));
        assert_eq!(budget.turn(Priority::Background).await, Ok(()));
        assert!(budget.turn(Priority::Person).await.is_ok());
        let begun = Instant::now();
        assert_eq!(budget.turn(Priority::Person).await, Err(Span::from_seconds(100)), "the last one is not for people");
        assert_eq!(begun.elapsed(), Duration::ZERO, "a wait that is too long is not begun");
        assert!(budget.turn(Priority::Live).await.is_ok());
        let order = Arc::new(Mutex::new(Vec::new()));
        let ask = |priority: Priority| {
            let (budget, order) = (Arc::clone(&budget), Arc::clone(&order));
            tokio::spawn(async move {
                let turn = budget.turn(priority).await;
                order.lock().expect("no panic").push((priority, turn.is_ok()));
            })
        };
        let (late, live, again) = (ask(Priority::Background), ask(Priority::Live), ask(Priority::Live));
        for task in [late, live, again] {
            task.await.expect("no panic");
        }
        let expected = [(Priority::Background, false), (Priority::Live, true), (Priority::Live, true)];
        assert_eq!(*order.lock().expect("no panic"), expected);
        assert!(begun.elapsed() >= Duration::from_secs(200), "{:?}", begun.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn who_gives_up_keeps_nobody_waiting() {
        let budget = Budget::new(1, Span::from_seconds(10));
        assert!(budget.turn(Priority::Live).await.is_ok());
        let gave_up = tokio::time::timeout(Duration::from_secs(1), budget.turn(Priority::Live)).await;
        assert!(gave_up.is_err());
        assert_eq!(budget.turn(Priority::Background).await, Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn an_hour_of_yahoo_holds_no_more_than_three_hundred_calls() {
        let (burst, refill) = super::super::yahoo(&bellwether_core::config::Yahoo::default()).budget;
        let budget = Budget::new(burst, refill);
        let begun = Instant::now();
        let mut calls = 0;
        while begun.elapsed() < Duration::from_hours(1) {
            assert!(budget.turn(Priority::Live).await.is_ok());
            calls += 1;
        }
        assert!((280..=300).contains(&calls), "{calls}");
    }
}
