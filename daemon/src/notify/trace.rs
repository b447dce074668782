//! The steps of one attempt, for `notify test`: how far it came, and what the other side said on the way.

use std::sync::{Arc, Mutex, PoisonError};

use bellwether_core::protocol::TestStep;

use super::channel::clean_answer;

/// Where an attempt notes its steps. It outlives the attempt: also what was cut off at its deadline has come somewhere.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trace(Option<Arc<Mutex<Vec<TestStep>>>>);

impl Trace {
    /// Notes nothing: for everything that is not a test.
    pub(crate) const fn off() -> Self {
        Self(None)
    }

    /// Notes all steps.
    pub(crate) fn on() -> Self {
        Self(Some(Arc::default()))
    }

    /// Whether somebody wants to know.
    pub(super) const fn wanted(&self) -> bool {
        self.0.is_some()
    }

    /// A step that worked. `said` is free of secrets.
    pub(super) fn done(&self, step: &str, said: &str) {
        self.note(step, true, said);
    }

    /// A step that went wrong. `said` is free of secrets.
    pub(super) fn failed(&self, step: &str, said: &str) {
        self.note(step, false, said);
    }

    fn note(&self, step: &str, ok: bool, said: &str) {
        if let Some(steps) = &self.0 {
            let step = TestStep { step: step.to_owned(), ok, said: clean_answer(said, &[]) };
            steps.lock().unwrap_or_else(PoisonError::into_inner).push(step);
        }
    }

    /// All steps, with the outcome as the last one unless it was a step before that went wrong.
    pub(super) fn ended(&self, accepted: bool, answer: &str) -> Vec<TestStep> {
        let failed = |steps: &[TestStep]| steps.last().is_some_and(|last| !last.ok);
        let steps = || {
            let steps = self.0.as_ref().map(|steps| steps.lock().unwrap_or_else(PoisonError::into_inner).clone());
            steps.unwrap_or_default()
        };
        if accepted || !failed(&steps()) {
            self.note("accepted", accepted, answer);
        }
        steps()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(steps: &[TestStep]) -> Vec<String> {
        steps.iter().map(|s| format!("{} {}: {}", if s.ok { "ok" } else { "failed" }, s.step, s.said)).collect()
    }

    #[test]
    fn the_outcome_is_the_last_step_and_a_failure_stands_where_it_happened() {
        let trace = Trace::on();
        trace.done("connected", "1.2.3.4\u{1b}");
        assert_eq!(shown(&trace.ended(true, "250 OK")), ["ok connected: 1.2.3.4\u{fffd}", "ok accepted: 250 OK"]);

        let trace = Trace::on();
        trace.done("connected", "1.2.3.4");
        trace.failed("TLS", "unknown issuer");
        assert_eq!(shown(&trace.ended(false, "x")), ["ok connected: 1.2.3.4", "failed TLS: unknown issuer"]);

        let trace = Trace::on();
        assert_eq!(shown(&trace.ended(false, "503")), ["failed accepted: 503"]);
        assert!(Trace::off().ended(false, "503").is_empty());
    }
}
