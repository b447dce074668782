//! The record of firings with the evaluator's memory, and the deliveries on their way, in SQL.

use bellwether_core::{
    alert::{Alert, AlertId, UserId},
    condition::ChannelName,
    delivery::{Delivery, DeliveryId, DeliveryState, DueDelivery},
    evaluator::Cut,
    firing::{Firing, FiringId},
    time::Timestamp,
};
use rusqlite::{Connection, OptionalExtension as _, Row, params, types::Type};
use serde::de::DeserializeOwned;

use super::{super::Outcome, Durability, Result, StoreError, alerts, count, from_json, history, to_json};

/// The columns of a delivery `d` of the firing `f`, for [`read`].
pub(super) const COLUMNS: &str = "d.id, f.alert, f.version, f.number, d.owner, d.channel, d.state, d.attempts, \
                                  d.created, d.next_attempt, d.finished, d.answer";

/// That a delivery `d` waits, and no earlier one of its alert on its channel is open.
const WAITS_IN_FRONT: &str = "d.state IN ('queued', 'retry') AND NOT EXISTS \
    (SELECT 1 FROM deliveries e WHERE e.channel = d.channel AND e.alert = d.alert AND e.id < d.id \
     AND e.state IN ('queued', 'retry', 'sending'))";

/// What one batch of the evaluator asks to be recorded.
#[derive(Clone, Debug)]
pub(in crate::store) struct Record {
    /// What happened.
    pub(in crate::store) firings: Vec<Firing>,
    /// Where each of them goes.
    pub(in crate::store) routes: Vec<(FiringId, ChannelName)>,
    /// What the evaluator remembers now.
    pub(in crate::store) cut: Cut,
    /// Alerts whose wish a split has changed: their memory is of the new wish, so both are of one moment.
    pub(in crate::store) rewritten: Vec<Alert>,
    /// The time of the record.
    pub(in crate::store) now: Timestamp,
}

impl Record {
    /// With firings it must outlive a power cut, as something is sent on the strength of it. A cut alone comes again.
    pub(super) fn durability(&self) -> Durability {
        let news = !self.firings.is_empty() || !self.routes.is_empty() || !self.rewritten.is_empty();
        if news { Durability::Full } else { Durability::Dispensable }
    }
}

/// Writes firings, deliveries and memory; what stands already stays. Gives the new deliveries.
pub(super) fn record(db: &Connection, record: &Record) -> Result<Vec<Delivery>> {
    let now = record.now.as_micros();
    let mut insert = db.prepare_cached(
        "INSERT INTO firings (alert, version, number, owner, time, received, recorded, firing) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT (alert, version, number) DO NOTHING",
    )?;
    for firing in &record.firings {
        let FiringId { alert, version, number } = firing.id;
        let (time, received) = (firing.time.as_micros(), firing.received.as_micros());
        insert.execute(params![alert.0, version, number, firing.owner.0, time, received, now, to_json(firing)?])?;
    }
    let mut find =
        db.prepare_cached("SELECT place, owner FROM firings WHERE alert = ?1 AND version = ?2 AND number = ?3")?;
    let mut queue = db.prepare_cached(
        "INSERT INTO deliveries (firing, alert, owner, channel, state, created, next_attempt) \
         VALUES (?1, ?2, ?3, ?4, 'queued', ?5, ?5) ON CONFLICT (firing, channel) DO NOTHING RETURNING id",
    )?;
    let mut deliveries = Vec::new();
    for (firing, channel) in &record.routes {
        let FiringId { alert, version, number } = *firing;
        let found =
            find.query_row(params![alert.0, version, number], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
        let (place, owner): (i64, i64) =
            found.ok_or_else(|| StoreError::Broken(format!("a route of firing {firing}, which is not recorded")))?;
        let new =
            queue.query_row(params![place, alert.0, owner, channel.as_str(), now], |row| row.get(0)).optional()?;
        deliveries.extend(new.map(|id| Delivery {
            id: DeliveryId(id),
            firing: *firing,
            owner: UserId(owner),
            channel: channel.clone(),
            state: DeliveryState::Queued,
            attempts: 0,
            created: record.now,
            next_attempt: Some(record.now),
            finished: None,
            answer: None,
        }));
    }
    for alert in &record.rewritten {
        alerts::rewrite(db, alert)?;
    }
    remember(db, &record.cut)?;
    Ok(deliveries)
}

/// Writes what changed in the evaluator's memory.
fn remember(db: &Connection, cut: &Cut) -> Result<()> {
    let mut put = db.prepare_cached(
        "INSERT INTO alert_memories (alert, memory) VALUES (?1, ?2) \
         ON CONFLICT (alert) DO UPDATE SET memory = excluded.memory",
    )?;
    for memory in &cut.alerts {
        // Deleted while the cut was on its way.
        if alerts::exists(db, memory.id)? {
            put.execute(params![memory.id.0, to_json(memory)?])?;
        }
    }
    let mut put = db.prepare_cached(
        "INSERT INTO instrument_memories (symbol, memory) VALUES (?1, ?2) \
         ON CONFLICT (symbol) DO UPDATE SET memory = excluded.memory",
    )?;
    for memory in &cut.instruments {
        put.execute(params![memory.symbol.as_str(), to_json(memory)?])?;
    }
    Ok(())
}

/// All that the evaluator remembered.
pub(in crate::store) fn memory(db: &Connection) -> Result<Cut> {
    fn all<T: DeserializeOwned>(db: &Connection, what: &str, sql: &str) -> Result<Vec<T>> {
        let mut statement = db.prepare(sql)?;
        let mut rows = statement.query(())?;
        let mut memories = Vec::new();
        while let Some(row) = rows.next()? {
            memories.push(from_json(what, row.get_ref(0)?.as_str().map_err(rusqlite::Error::from)?)?);
        }
        Ok(memories)
    }
    Ok(Cut {
        alerts: all(db, "the memory of an alert", "SELECT memory FROM alert_memories ORDER BY alert")?,
        instruments: all(db, "the memory of an instrument", "SELECT memory FROM instrument_memories ORDER BY symbol")?,
    })
}

/// Makes due again what was being sent.
pub(in crate::store) fn recover(db: &Connection, now: Timestamp) -> Result<u64> {
    let sql = "UPDATE deliveries SET state = 'retry', next_attempt = ?1 WHERE state = 'sending'";
    Ok(count(db.execute(sql, [now.as_micros()])?))
}

/// Due deliveries with their firings: channel, now, limit.
pub(super) fn due_sql() -> String {
    format!(
        "SELECT {COLUMNS}, f.firing, f.time, f.received FROM deliveries d JOIN firings f ON f.place = d.firing \
         WHERE d.channel = ?1 AND {WAITS_IN_FRONT} AND d.next_attempt <= ?2 \
         ORDER BY d.next_attempt, d.id LIMIT ?3"
    )
}

/// Marks due deliveries as `sending` and gives them with their firings. Nothing overtakes an earlier open one of its alert.
pub(in crate::store) fn take_due(
    db: &Connection,
    channel: &ChannelName,
    now: Timestamp,
    limit: u32,
) -> Result<Vec<DueDelivery>> {
    let mut taken = Vec::new();
    {
        let mut statement = db.prepare_cached(&due_sql())?;
        let mut rows = statement.query(params![channel.as_str(), now.as_micros(), limit])?;
        while let Some(row) = rows.next()? {
            taken.push(DueDelivery { delivery: read(row)?, firing: history::read_firing(row, 12)? });
        }
    }
    let mut mark =
        db.prepare_cached("UPDATE deliveries SET state = 'sending', attempts = ?2, next_attempt = NULL WHERE id = ?1")?;
    for DueDelivery { delivery, .. } in &mut taken {
        delivery.state = DeliveryState::Sending;
        delivery.attempts += 1;
        delivery.next_attempt = None;
        mark.execute(params![delivery.id.0, delivery.attempts])?;
    }
    Ok(taken)
}

/// Notes the end of an attempt.
pub(in crate::store) fn finish(db: &Connection, id: DeliveryId, outcome: Outcome, now: Timestamp) -> Result<Delivery> {
    let delivery = sending(db, id)?;
    let (state, answer, next_attempt) = match outcome {
        Outcome::Sent { answer } => (DeliveryState::Sent, answer, None),
        Outcome::Retry { at, answer } => (DeliveryState::Retry, answer, Some(at)),
        Outcome::Dead { answer } => (DeliveryState::Dead, answer, None),
        Outcome::Unknown { answer } => (DeliveryState::Unknown, answer, None),
    };
    let finished = state.is_final().then_some(now);
    save(db, Delivery { state, answer: Some(answer), next_attempt, finished, ..delivery })
}

/// A delivery that has been taken and not been given back.
fn sending(db: &Connection, id: DeliveryId) -> Result<Delivery> {
    let sql = format!("SELECT {COLUMNS} FROM deliveries d JOIN firings f ON f.place = d.firing WHERE d.id = ?1");
    let found = db.prepare_cached(&sql)?.query_row([id.0], read).optional()?;
    let delivery = found.ok_or(StoreError::NotFound)?;
    if delivery.state == DeliveryState::Sending {
        Ok(delivery)
    } else {
        Err(StoreError::Broken(format!("delivery {id} is not being sent: it is {}", delivery.state)))
    }
}

fn save(db: &Connection, delivery: Delivery) -> Result<Delivery> {
    let sql =
        "UPDATE deliveries SET state = ?2, attempts = ?3, next_attempt = ?4, finished = ?5, answer = ?6 WHERE id = ?1";
    db.prepare_cached(sql)?.execute(params![
        delivery.id.0,
        delivery.state.as_str(),
        delivery.attempts,
        delivery.next_attempt.map(Timestamp::as_micros),
        delivery.finished.map(Timestamp::as_micros),
        delivery.answer,
    ])?;
    Ok(delivery)
}

/// When the first of the waiting ones is due: channel.
pub(super) fn next_due_sql() -> String {
    format!(
        "SELECT d.next_attempt FROM deliveries d WHERE d.channel = ?1 AND {WAITS_IN_FRONT} \
         ORDER BY d.next_attempt LIMIT 1"
    )
}

/// When something can next be taken.
pub(in crate::store) fn next_due(db: &Connection, channel: &ChannelName) -> Result<Option<Timestamp>> {
    let due = db.prepare_cached(&next_due_sql())?.query_row([channel.as_str()], |row| row.get(0)).optional()?;
    Ok(due.map(Timestamp::from_micros))
}

/// Unfinished deliveries by channel.
pub(in crate::store) fn queue(db: &Connection) -> Result<Vec<(ChannelName, i64, Timestamp)>> {
    let sql = "SELECT channel, count(*), min(created) FROM deliveries \
         WHERE state IN ('queued', 'retry', 'sending') GROUP BY channel ORDER BY channel";
    let mut statement = db.prepare_cached(sql)?;
    let rows = statement.query_map((), |row| {
        Ok((ChannelName::new(&row.get::<_, String>(0)?), row.get(1)?, Timestamp::from_micros(row.get(2)?)))
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Gives up what waits for channels that are gone.
pub(in crate::store) fn unroutable(db: &Connection, known: &[ChannelName], now: Timestamp) -> Result<u64> {
    let mut given_up = 0;
    for (channel, _, _) in queue(db)? {
        if !known.contains(&channel) {
            let sql = "UPDATE deliveries SET state = 'dead', next_attempt = NULL, finished = ?2, answer = ?3 \
                 WHERE channel = ?1 AND state IN ('queued', 'retry')";
            let answer = format!("no channel {channel} is configured");
            given_up += db.execute(sql, params![channel.as_str(), now.as_micros(), answer])?;
        }
    }
    Ok(count(given_up))
}

/// A row that begins with [`COLUMNS`].
pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<Delivery> {
    let time = |column: usize| Ok::<_, rusqlite::Error>(row.get::<_, Option<i64>>(column)?.map(Timestamp::from_micros));
    Ok(Delivery {
        id: DeliveryId(row.get(0)?),
        firing: FiringId { alert: AlertId(row.get(1)?), version: row.get(2)?, number: row.get(3)? },
        owner: UserId(row.get(4)?),
        channel: ChannelName::new(row.get_ref(5)?.as_str()?),
        state: state(row.get_ref(6)?.as_str()?)
            .ok_or_else(|| rusqlite::Error::InvalidColumnType(6, "state".to_owned(), Type::Text))?,
        attempts: row.get(7)?,
        created: Timestamp::from_micros(row.get(8)?),
        next_attempt: time(9)?,
        finished: time(10)?,
        answer: row.get(11)?,
    })
}

/// The state of this word.
fn state(word: &str) -> Option<DeliveryState> {
    use DeliveryState::{Dead, Merged, Queued, Retry, Sending, Sent, Unknown};
    [Queued, Sending, Sent, Retry, Dead, Unknown, Merged].into_iter().find(|state| state.as_str() == word)
}
