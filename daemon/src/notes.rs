//! What is not as it should be and keeps nothing from working: shown by `/health/ready` and by `bellwether doctor`.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

/// The notes, by what they are about. Clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Notes(Arc<Mutex<BTreeMap<String, String>>>);

impl Notes {
    /// Notes this, or that it is over. No secrets: whoever asks from this machine is told.
    pub(crate) fn set(&self, about: &str, said: Option<String>) {
        let mut notes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match said {
            Some(said) => notes.insert(about.to_owned(), said),
            None => notes.remove(about),
        };
    }

    /// All of them.
    pub(crate) fn all(&self) -> BTreeMap<String, String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
