//! Accounts and keys, in SQL.

use bellwether_core::{alert::UserId, time::Timestamp};
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
