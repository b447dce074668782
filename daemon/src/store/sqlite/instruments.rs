//! Instruments that a user has added, in SQL.

use bellwether_core::{
    instrument::{Instrument, Symbol},
    time::Timestamp,
};
use rusqlite::{Connection, params};

use super::{super::INSTRUMENTS, Result, StoreError};

/// All of them, in the order in which they were added. One that a later version wrote and this one cannot read is left out.
pub(in crate::store) fn all(db: &Connection) -> Result<Vec<Instrument>> {
    let mut statement = db.prepare("SELECT symbol, instrument FROM instruments_added ORDER BY added, symbol")?;
    let rows = statement.query_map((), |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))?;
    let mut instruments = Vec::new();
    for row in rows {
        let (symbol, text) = row?;
        match serde_json::from_str(&text) {
            Ok(instrument) => instruments.push(instrument),
            Err(error) => tracing::warn!(symbol, %error, "an added instrument cannot be read and is left out"),
        }
    }
    Ok(instruments)
}

/// Adds one.
pub(in crate::store) fn add(db: &Connection, instrument: &Instrument, now: Timestamp) -> Result<()> {
    let have: u32 = db.query_row("SELECT count(*) FROM instruments_added", (), |row| row.get(0))?;
    if have >= INSTRUMENTS {
        return Err(StoreError::Quota { limit: INSTRUMENTS });
    }
    let text = serde_json::to_string(instrument).map_err(|e| StoreError::Broken(e.to_string()))?;
    let sql = "INSERT INTO instruments_added (symbol, instrument, added) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING";
    let added = db.execute(sql, params![instrument.symbol.as_str(), text, now.as_micros()])?;
    if added == 0 { Err(StoreError::Exists) } else { Ok(()) }
}

/// Removes one.
pub(in crate::store) fn remove(db: &Connection, symbol: Symbol) -> Result<()> {
    let removed = db.execute("DELETE FROM instruments_added WHERE symbol = ?1", [symbol.as_str()])?;
    if removed == 0 { Err(StoreError::NotFound) } else { Ok(()) }
}
