//! Channels that were set up while the daemon ran, in SQL.

use bellwether_core::{condition::ChannelName, time::Timestamp};
use rusqlite::{Connection, params};
use serde_json::Value;

use super::{super::CHANNELS, Result, StoreError, from_json};

/// All of them, by name.
pub(in crate::store) fn all(db: &Connection) -> Result<Vec<(ChannelName, Value)>> {
    let mut statement = db.prepare("SELECT name, settings FROM channels_set ORDER BY name")?;
    let mut rows = statement.query(())?;
    let mut channels = Vec::new();
    while let Some(row) = rows.next()? {
        let name = ChannelName::new(row.get_ref(0)?.as_str().map_err(rusqlite::Error::from)?);
        let text = row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?;
        channels.push((name, from_json("the settings of a channel", text)?));
    }
    Ok(channels)
}

/// Sets one up, or anew.
pub(in crate::store) fn put(db: &Connection, name: &ChannelName, settings: &Value, now: Timestamp) -> Result<()> {
    let others: u32 =
        db.query_row("SELECT count(*) FROM channels_set WHERE name <> ?1", [name.as_str()], |row| row.get(0))?;
    if others >= CHANNELS {
        return Err(StoreError::Quota { limit: CHANNELS });
    }
    let sql = "INSERT OR REPLACE INTO channels_set (name, settings, changed) VALUES (?1, ?2, ?3)";
    db.execute(sql, params![name.as_str(), settings.to_string(), now.as_micros()])?;
    Ok(())
}

/// Removes one.
pub(in crate::store) fn remove(db: &Connection, name: &ChannelName) -> Result<()> {
    let removed = db.execute("DELETE FROM channels_set WHERE name = ?1", [name.as_str()])?;
    if removed == 0 { Err(StoreError::NotFound) } else { Ok(()) }
}
