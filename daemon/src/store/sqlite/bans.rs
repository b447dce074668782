//! Until when providers are to be left alone, in SQL.

use bellwether_core::time::Timestamp;
use rusqlite::{Connection, params};

use super::{super::Ban, Result};

/// Every ban that is known, over or not.
pub(in crate::store) fn all(db: &Connection) -> Result<Vec<Ban>> {
    let mut statement = db.prepare("SELECT provider, host, until, status, failures, reason FROM provider_bans")?;
    let read = statement.query_map((), |row| {
        Ok(Ban {
            provider: row.get(0)?,
            host: row.get(1)?,
            until: Timestamp::from_micros(row.get(2)?),
            status: row.get(3)?,
            failures: row.get(4)?,
            reason: row.get(5)?,
        })
    })?;
    Ok(read.collect::<rusqlite::Result<_>>()?)
}

/// Writes a ban over the one before.
pub(in crate::store) fn put(db: &Connection, ban: &Ban) -> Result<()> {
    db.execute(
        "INSERT OR REPLACE INTO provider_bans (provider, host, until, status, failures, reason) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        params![ban.provider, ban.host, ban.until.as_micros(), ban.status, ban.failures, ban.reason],
    )?;
    Ok(())
}

/// Forgets a ban.
pub(in crate::store) fn lift(db: &Connection, provider: &str, host: &str) -> Result<()> {
    db.execute("DELETE FROM provider_bans WHERE provider = ?1 AND host = ?2", params![provider, host])?;
    Ok(())
}
