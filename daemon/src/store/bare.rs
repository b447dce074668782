//! (Test only) The least that keeps a text through a power cut: what the store's figures are held against.

use std::path::Path;

use rusqlite::Connection;

/// A database of one table, synced at each commit.
pub(crate) struct Bare(Connection);

impl Bare {
    /// A new one.
    pub(crate) fn new(file: &Path) -> Self {
        let db = Connection::open(file).expect("opens");
        db.pragma_update(None, "journal_mode", "WAL").expect("set");
        db.pragma_update(None, "synchronous", "FULL").expect("set");
        db.execute_batch("CREATE TABLE rows (place INTEGER PRIMARY KEY, row TEXT)").expect("made");
        Self(db)
    }

    /// Commits one row.
    pub(crate) fn commit(&self, row: &str) {
        self.0.prepare_cached("INSERT INTO rows (row) VALUES (?1)").expect("SQL").execute([row]).expect("written");
    }
}

/// How many minutes, hours and firings lie in the database of this folder.
pub(crate) fn rows_on_disk(folder: &Path) -> [usize; 3] {
    let db = Connection::open(folder.join(super::DATABASE_FILE)).expect("opens");
    ["bars", "candles WHERE length = 3600", "firings"].map(|what| {
        let rows = db.query_row(&format!("SELECT count(*) FROM {what}"), (), |row| row.get::<_, u32>(0));
        rows.expect("counted") as usize
    })
}
