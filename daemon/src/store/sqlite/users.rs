//! Accounts and keys, in SQL.

use bellwether_core::{
    alert::{AlertId, UserId},
    time::Timestamp,
};
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::{
    super::{ACCOUNTS, Account},
    Result, StoreError,
};

const COLUMNS: &str = "id, email, password_hash, generation";

/// Makes an account.
pub(in crate::store) fn create(db: &Connection, email: &str, password_hash: &str, now: Timestamp) -> Result<UserId> {
    if by_email(db, email)?.is_some() {
        return Err(StoreError::Exists);
    }
    let have: u32 = db.query_row("SELECT count(*) FROM users", (), |row| row.get(0))?;
    if have >= ACCOUNTS {
        return Err(StoreError::Quota { limit: ACCOUNTS });
    }
    let sql = "INSERT INTO users (email, email_key, password_hash, created) VALUES (?1, ?2, ?3, ?4)";
    db.execute(sql, params![email, key(email), password_hash, now.as_micros()])?;
    Ok(UserId(db.last_insert_rowid()))
}

/// The account of this address.
pub(in crate::store) fn by_email(db: &Connection, email: &str) -> Result<Option<Account>> {
    let mut statement = db.prepare_cached(&format!("SELECT {COLUMNS} FROM users WHERE email_key = ?1"))?;
    Ok(statement.query_row([key(email)], read).optional()?)
}

/// The account of this number.
pub(in crate::store) fn by_id(db: &Connection, id: UserId) -> Result<Option<Account>> {
    let mut statement = db.prepare_cached(&format!("SELECT {COLUMNS} FROM users WHERE id = ?1"))?;
    Ok(statement.query_row([id.0], read).optional()?)
}

/// Whether there is such an account; the owner is always there.
pub(super) fn exists(db: &Connection, id: UserId) -> Result<bool> {
    if id == UserId::OWNER {
        return Ok(true);
    }
    let mut statement = db.prepare_cached("SELECT 1 FROM users WHERE id = ?1")?;
    Ok(statement.query_row([id.0], |_| Ok(())).optional()?.is_some())
}

/// Begins a new generation of tokens.
pub(in crate::store) fn renew(
    db: &Connection,
    id: UserId,
    generation: i64,
    password_hash: Option<&str>,
) -> Result<i64> {
    let sql = "UPDATE users SET generation = generation + 1, password_hash = ifnull(?3, password_hash) \
               WHERE id = ?1 AND generation = ?2 RETURNING generation";
    let renewed = db.query_row(sql, params![id.0, generation, password_hash], |row| row.get(0)).optional()?;
    renewed.ok_or(StoreError::NotFound)
}

/// Deletes an account with all that is its own.
pub(in crate::store) fn delete(db: &Connection, id: UserId, now: Timestamp) -> Result<Vec<(AlertId, u32)>> {
    if id == UserId::OWNER || db.execute("DELETE FROM users WHERE id = ?1", [id.0])? == 0 {
        return Err(StoreError::NotFound);
    }
    let sql = "DELETE FROM alerts WHERE owner = ?1 RETURNING id, version + 1";
    let mut statement = db.prepare(sql)?;
    let gone = statement.query_map([id.0], |row| Ok((AlertId(row.get(0)?), row.get(1)?)))?;
    let gone = gone.collect::<rusqlite::Result<_>>()?;
    db.execute("DELETE FROM alerts_deleted WHERE owner = ?1", [id.0])?;
    // Messages are for the owner's channels, so one may carry what others' alerts fired: that must not go with it.
    db.execute(
        "UPDATE deliveries SET state = 'retry', merged_into = NULL, next_attempt = ?2, lane = min(lane, 1) \
         WHERE owner <> ?1 AND finished IS NULL AND state = 'merged' \
         AND merged_into IN (SELECT id FROM deliveries WHERE owner = ?1)",
        params![id.0, now.as_micros()],
    )?;
    // Their deliveries go with the firings.
    db.execute("DELETE FROM firings WHERE owner = ?1", [id.0])?;
    db.execute("DELETE FROM answers WHERE owner = ?1", [id.0])?;
    Ok(gone)
}

/// The stored key.
pub(in crate::store) fn known_secret(db: &Connection, name: &str) -> Result<Option<Vec<u8>>> {
    Ok(db.query_row("SELECT value FROM secrets WHERE name = ?1", [name], |row| row.get(0)).optional()?)
}

/// Changes a key; the one before stays under another name, behind the time of the change.
pub(in crate::store) fn rotate(
    db: &Connection,
    name: &str,
    previous: &str,
    fresh: &[u8],
    now: Timestamp,
) -> Result<Vec<u8>> {
    let key = secret(db, name, fresh)?;
    let before = [&now.as_micros().to_be_bytes()[..], &key].concat();
    for (name, value) in [(name, fresh), (previous, &before)] {
        db.execute("INSERT OR REPLACE INTO secrets (name, value) VALUES (?1, ?2)", params![name, value])?;
    }
    Ok(before)
}

/// The stored key, or this one, stored now.
pub(in crate::store) fn secret(db: &Connection, name: &str, fresh: &[u8]) -> Result<Vec<u8>> {
    db.execute(
        "INSERT INTO secrets (name, value) VALUES (?1, ?2) ON CONFLICT (name) DO NOTHING",
        params![name, fresh],
    )?;
    Ok(db.query_row("SELECT value FROM secrets WHERE name = ?1", [name], |row| row.get(0))?)
}

/// What makes two addresses one.
fn key(email: &str) -> String {
    email.trim().to_lowercase()
}

/// A row of [`COLUMNS`].
fn read(row: &Row<'_>) -> rusqlite::Result<Account> {
    Ok(Account { id: UserId(row.get(0)?), email: row.get(1)?, password_hash: row.get(2)?, generation: row.get(3)? })
}
