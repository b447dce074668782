//! What the dashboard remembers from one time to the next: the last prices, so that the first frame has rows before the daemon speaks.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
};

use bellwether_core::event::Ticker;

use crate::app::App;

/// The file in the data folder.
const NAME: &str = "dashboard-prices.json";
/// The largest one that is read, in bytes.
const LARGEST: u64 = 4 << 20;

/// The file of the last prices. It is a help, never needed: what cannot be read or written is passed over.
#[derive(Clone, Debug)]
pub(crate) struct Memory(PathBuf);

impl Memory {
    /// The memory in this folder.
    pub(crate) fn of(data: &Path) -> Self {
        Self(data.join(NAME))
    }

    /// The prices that were kept, none where that fails.
    pub(crate) fn prices(&self) -> Vec<Ticker> {
        let small = fs::metadata(&self.0).is_ok_and(|about| about.is_file() && about.len() <= LARGEST);
        let text = if small { fs::read(&self.0).unwrap_or_default() } else { Vec::new() };
        serde_json::from_slice(&text).unwrap_or_default()
    }

    /// Keeps the prices that the dashboard knows. The file changes whole or not at all.
    pub(crate) fn keep(&self, app: &App) {
        let prices: Vec<&Ticker> = app.board.tickers().collect();
        let Some(folder) = self.0.parent().filter(|_| !prices.is_empty()) else { return };
        let written = serde_json::to_vec(&prices).map_err(std::io::Error::from).and_then(|text| {
            let mut file = tempfile::NamedTempFile::new_in(folder)?;
            file.write_all(&text)?;
            file.persist(&self.0).map_err(|e| e.error)
        });
        // Without it the next start waits a moment for its first rows.
        drop(written);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::fixture;

    #[test]
    fn the_first_frame_has_the_rows_of_the_last_time() {
        let folder = tempfile::tempdir().expect("a folder");
        let memory = Memory::of(folder.path());
        assert!(memory.prices().is_empty());
        let before = fixture::app();
        memory.keep(&before);
        let mut app = fixture::empty();
        app.remember(memory.prices());
        assert_eq!(app.rows, before.rows);
        assert_eq!(app.price(fixture::symbol("BTC")), Some(fixture::price("60412.5")));
        assert_eq!(app.counts().0, 0, "none of them is called live");
        fs::write(folder.path().join(NAME), "{]").expect("written");
        assert!(memory.prices().is_empty(), "what is damaged is passed over");
    }
}
