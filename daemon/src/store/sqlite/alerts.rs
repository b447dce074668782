//! The standing wishes, in SQL.

use std::collections::HashMap;

use bellwether_core::{
    alert::{Alert, AlertId, UserId},
    condition::Rule,
    time::{Span, Timestamp},
};
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::{
    super::{ALERTS_PER_ACCOUNT, AlertEdit, NewWish, Restored},
    Result, StoreError, from_json, lanes, to_json, users,
};

/// For how long a deleted alert can be brought back: a day.
const RESTORABLE: Span = Span::from_seconds(86_400);
/// For how long it is known that it was deleted.
const REMEMBERED: Span = RESTORABLE.times(30);

const COLUMNS: &str = "id, owner, version, rule, paused, snoozed_until, created, updated";

/// Makes an alert, or finds the one made under the same key.
pub(in crate::store) fn insert(
    db: &Connection,
    owner: UserId,
    rule: &Rule,
    now: Timestamp,
    key: Option<&str>,
) -> Result<(Alert, bool)> {
    if let Some(key) = key {
        let sql = format!("SELECT {COLUMNS} FROM alerts WHERE owner = ?1 AND idempotency_key = ?2");
        let mut statement = db.prepare_cached(&sql)?;
        if let Some(row) = statement.query(params![owner.0, key])?.next()? {
            return Ok((read(row)?, true));
        }
    }
    if !users::exists(db, owner)? {
        // The account was deleted while this was on its way.
        return Err(StoreError::NotFound);
    }
    room(db, owner)?;
    let sql = "INSERT INTO alerts (owner, version, rule, created, updated, idempotency_key) \
               VALUES (?1, 1, ?2, ?3, ?3, ?4)";
    db.prepare_cached(sql)?.execute(params![owner.0, to_json(rule)?, now.as_micros(), key])?;
    Ok((one(db, owner, AlertId(db.last_insert_rowid()))?, false))
}

/// Makes these alerts, but for those that stand already.
pub(in crate::store) fn insert_all(
    db: &Connection,
    owner: UserId,
    wishes: &[NewWish],
    now: Timestamp,
) -> Result<Vec<(Alert, bool)>> {
    let mut standing = HashMap::new();
    {
        let mut statement = db.prepare_cached(&format!("SELECT {COLUMNS} FROM alerts WHERE owner = ?1 ORDER BY id"))?;
        let mut rows = statement.query([owner.0])?;
        while let Some(row) = rows.next()? {
            let alert = read(row)?;
            standing.entry(to_json(&alert.rule)?).or_insert(alert);
        }
    }
    let mut placed = Vec::with_capacity(wishes.len());
    for wish in wishes {
        let key = to_json(&wish.rule)?;
        if let Some(alert) = standing.get(&key) {
            placed.push((alert.clone(), true));
            continue;
        }
        let (mut alert, _) = insert(db, owner, &wish.rule, now, None)?;
        if wish.paused || wish.snoozed_until.is_some() {
            let until = wish.snoozed_until.map(Timestamp::as_micros);
            let sql = "UPDATE alerts SET paused = ?2, snoozed_until = ?3 WHERE id = ?1";
            db.prepare_cached(sql)?.execute(params![alert.id.0, wish.paused, until])?;
            (alert.paused, alert.snoozed_until) = (wish.paused, wish.snoozed_until);
        }
        standing.insert(key, alert.clone());
        placed.push((alert, false));
    }
    Ok(placed)
}

/// Changes an alert by all of this, one version on.
pub(in crate::store) fn edit(
    db: &Connection,
    owner: UserId,
    id: AlertId,
    expected: Option<u32>,
    edits: &[AlertEdit],
    now: Timestamp,
) -> Result<Alert> {
    let mut alert = expect(one(db, owner, id)?, expected)?;
    for edit in edits {
        match edit {
            AlertEdit::Rule(rule) => {
                if !rule.evaluates_like(&alert.rule) {
                    alert.snoozed_until = None;
                }
                alert.rule = rule.clone();
            }
            AlertEdit::Pause => {
                alert.paused = true;
                lanes::later_steps(db, id, "the alert was paused", now)?;
            }
            AlertEdit::Resume => alert.paused = false,
            AlertEdit::Snooze(until) => alert.snoozed_until = Some(*until),
            AlertEdit::Acknowledge => lanes::acknowledged(db, id, now)?,
        }
    }
    alert.version += 1;
    alert.updated = now;
    let sql = "UPDATE alerts SET version = ?2, rule = ?3, paused = ?4, snoozed_until = ?5, updated = ?6 WHERE id = ?1";
    db.prepare_cached(sql)?.execute(params![
        id.0,
        alert.version,
        to_json(&alert.rule)?,
        alert.paused,
        alert.snoozed_until.map(Timestamp::as_micros),
        now.as_micros(),
    ])?;
    Ok(alert)
}

/// Puts down what a split made of an alert. A newer version, or a deletion, stays.
pub(super) fn rewrite(db: &Connection, alert: &Alert) -> Result<()> {
    let sql = "UPDATE alerts SET version = ?2, rule = ?3, updated = ?4 WHERE id = ?1 AND version < ?2";
    let (rule, updated) = (to_json(&alert.rule)?, alert.updated.as_micros());
    db.prepare_cached(sql)?.execute(params![alert.id.0, alert.version, rule, updated])?;
    Ok(())
}

/// Deletes an alert. For a while it can be brought back, with its memory.
pub(in crate::store) fn delete(
    db: &Connection,
    owner: UserId,
    id: AlertId,
    expected: Option<u32>,
    now: Timestamp,
) -> Result<Alert> {
    let mut alert = expect(one(db, owner, id)?, expected)?;
    db.prepare_cached("DELETE FROM alerts_deleted WHERE deleted < ?1")?.execute([now.minus(REMEMBERED).as_micros()])?;
    db.prepare_cached(
        "INSERT INTO alerts_deleted (id, owner, version, rule, paused, snoozed_until, created, updated, memory, deleted) \
         SELECT id, owner, version + 1, rule, paused, snoozed_until, created, updated, \
         (SELECT memory FROM alert_memories WHERE alert = id), ?2 FROM alerts WHERE id = ?1",
    )?
    .execute(params![id.0, now.as_micros()])?;
    db.prepare_cached("DELETE FROM alerts WHERE id = ?1")?.execute([id.0])?;
    lanes::later_steps(db, id, "the alert was removed", now)?;
    alert.version += 1;
    Ok(alert)
}

/// Brings a deleted alert back under its number, one version on, with its memory. Its deliveries stay as the deletion left them.
pub(in crate::store) fn restore(db: &Connection, owner: UserId, id: AlertId, now: Timestamp) -> Result<Restored> {
    match one(db, owner, id) {
        Ok(alert) => return Ok(Restored::Standing(alert)),
        Err(StoreError::NotFound) => {}
        Err(error) => return Err(error),
    }
    let sql = format!("SELECT {COLUMNS}, memory, deleted FROM alerts_deleted WHERE id = ?1 AND owner = ?2");
    let mut statement = db.prepare_cached(&sql)?;
    let mut rows = statement.query(params![id.0, owner.0])?;
    let row = rows.next()?.ok_or(StoreError::NotFound)?;
    let (mut alert, deleted) = (read(row)?, Timestamp::from_micros(row.get(9)?));
    let memory: Option<String> = row.get(8)?;
    if now.since(deleted) > RESTORABLE {
        return Err(StoreError::Gone);
    }
    room(db, owner)?;
    alert.version += 1;
    alert.updated = now;
    let sql = "INSERT INTO alerts (id, owner, version, rule, paused, snoozed_until, created, updated) \
               SELECT id, owner, ?2, rule, paused, snoozed_until, created, ?3 FROM alerts_deleted WHERE id = ?1";
    db.prepare_cached(sql)?.execute(params![id.0, alert.version, now.as_micros()])?;
    if let Some(memory) = &memory {
        let sql = "INSERT INTO alert_memories (alert, memory) VALUES (?1, ?2)";
        db.prepare_cached(sql)?.execute(params![id.0, memory])?;
    }
    db.prepare_cached("DELETE FROM alerts_deleted WHERE id = ?1")?.execute([id.0])?;
    let memory = memory.map(|text| from_json("the memory of an alert", &text)).transpose()?;
    Ok(Restored::Back(alert, memory.map(Box::new)))
}

/// Whether the account may have one more alert.
fn room(db: &Connection, owner: UserId) -> Result<()> {
    if owner != UserId::OWNER {
        let have: u32 = db
            .prepare_cached("SELECT count(*) FROM alerts WHERE owner = ?1")?
            .query_row([owner.0], |row| row.get(0))?;
        if have >= ALERTS_PER_ACCOUNT {
            return Err(StoreError::Quota { limit: ALERTS_PER_ACCOUNT });
        }
    }
    Ok(())
}

fn expect(alert: Alert, expected: Option<u32>) -> Result<Alert> {
    match expected {
        Some(version) if version != alert.version => Err(StoreError::Conflict { current: alert.version }),
        _ => Ok(alert),
    }
}

/// One alert of its owner.
pub(in crate::store) fn one(db: &Connection, owner: UserId, id: AlertId) -> Result<Alert> {
    let sql = format!("SELECT {COLUMNS} FROM alerts WHERE id = ?1 AND owner = ?2");
    let mut statement = db.prepare_cached(&sql)?;
    let mut rows = statement.query(params![id.0, owner.0])?;
    read(rows.next()?.ok_or(StoreError::NotFound)?)
}

/// Every alert.
pub(in crate::store) fn all(db: &Connection) -> Result<Vec<Alert>> {
    let mut statement = db.prepare(&format!("SELECT {COLUMNS} FROM alerts ORDER BY id"))?;
    let mut rows = statement.query(())?;
    let mut alerts = Vec::new();
    while let Some(row) = rows.next()? {
        alerts.push(read(row)?);
    }
    Ok(alerts)
}

/// Whether an alert stands.
pub(super) fn exists(db: &Connection, id: AlertId) -> Result<bool> {
    let mut statement = db.prepare_cached("SELECT 1 FROM alerts WHERE id = ?1")?;
    Ok(statement.query_row([id.0], |_| Ok(())).optional()?.is_some())
}

/// A row of [`COLUMNS`].
fn read(row: &Row<'_>) -> Result<Alert> {
    let id = AlertId(row.get(0)?);
    Ok(Alert {
        id,
        owner: UserId(row.get(1)?),
        version: row.get(2)?,
        rule: from_json(&format!("alert {id}"), row.get_ref(3)?.as_str().map_err(rusqlite::Error::from)?)?,
        paused: row.get(4)?,
        snoozed_until: row.get::<_, Option<i64>>(5)?.map(Timestamp::from_micros),
        created: Timestamp::from_micros(row.get(6)?),
        updated: Timestamp::from_micros(row.get(7)?),
    })
}
