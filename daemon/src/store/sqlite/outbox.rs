//! The record of firings with the evaluator's memory and their deliveries, and how attempts ended, in SQL.
//! What is taken when, and with what, is in `lanes.rs`.

use std::collections::{HashMap, HashSet, hash_map::Entry};

use bellwether_core::{
    alert::{AlertId, UserId},
    condition::ChannelName,
    delivery::{Delivery, DeliveryId, DeliveryState, Waits, group::Flow},
    evaluator::Cut,
    firing::FiringId,
    time::{Span, Timestamp},
};
use rusqlite::{Connection, OptionalExtension as _, Row, params, types::Type};
use serde::de::DeserializeOwned;

use super::{
    super::{Lane, Outcome, Record},
    Durability, Result, StoreError, alerts, count, from_json, lanes, to_json, users,
};

/// The columns of a delivery `d` of the firing `f`, for [`read`].
pub(super) const COLUMNS: &str = "d.id, f.alert, f.version, f.number, d.owner, d.channel, d.state, d.attempts, \
                                  d.created, d.next_attempt, d.finished, d.answer, d.step, d.lane, d.waits, \
                                  d.merged_into, d.merged, d.resent, d.offered";
/// No attempt is put off for longer than the longest `Retry-After` that is obeyed (docs/alerts.md, C4).
const LONGEST_WAIT: Span = Span::from_seconds(3600);
/// How many these are.
pub(super) const COLUMN_COUNT: usize = 19;

impl Record {
    /// With firings it must outlive a power cut, as something is sent on the strength of it. A cut alone comes again.
    pub(super) fn durability(&self) -> Durability {
        let news = !self.firings.is_empty() || !self.routes.is_empty() || !self.rewritten.is_empty();
        if news { Durability::Full } else { Durability::Dispensable }
    }
}

/// Writes firings, deliveries and memory; what stands already stays. Gives the new deliveries, and those that became pointless.
pub(super) fn record(db: &Connection, record: &Record) -> Result<Vec<Delivery>> {
    let now = record.now.as_micros();
    let mut insert = db.prepare_cached(
        "INSERT INTO firings (alert, version, number, owner, time, received, recorded, firing) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT (alert, version, number) DO NOTHING",
    )?;
    let mut orphans = HashSet::new();
    for firing in &record.firings {
        if !users::exists(db, firing.owner)? {
            // The account was deleted while this was on its way.
            orphans.insert(firing.id);
            continue;
        }
        let FiringId { alert, version, number } = firing.id;
        let (time, received) = (firing.time.as_micros(), firing.received.as_micros());
        insert.execute(params![alert.0, version, number, firing.owner.0, time, received, now, to_json(firing)?])?;
    }
    let mut deliveries = queue_up(db, record, &orphans)?;
    for (alert, number) in &record.over {
        deliveries.extend(lanes::end_of_episode(db, *alert, *number, record.now)?);
    }
    for alert in &record.rewritten {
        alerts::rewrite(db, alert)?;
    }
    remember(db, &record.cut)?;
    Ok(deliveries)
}

/// Writes one row for each route, due when its time has come and the window of its channel is over.
fn queue_up(db: &Connection, record: &Record, orphans: &HashSet<FiringId>) -> Result<Vec<Delivery>> {
    let mut find =
        db.prepare_cached("SELECT place, owner FROM firings WHERE alert = ?1 AND version = ?2 AND number = ?3")?;
    let mut queue = db.prepare_cached(
        "INSERT INTO deliveries (firing, alert, owner, channel, step, state, lane, created, offered, next_attempt, waits) \
         VALUES (?1, ?2, ?3, ?4, ?5, 'queued', ?6, ?7, ?8, ?9, ?10) \
         ON CONFLICT (firing, channel, step) DO NOTHING RETURNING id",
    )?;
    let mut flows: HashMap<&ChannelName, Flow> = HashMap::new();
    let mut deliveries = Vec::with_capacity(record.routes.len());
    for route in record.routes.iter().filter(|route| !orphans.contains(&route.firing)) {
        let FiringId { alert, version, number } = route.firing;
        let found =
            find.query_row(params![alert.0, version, number], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
        let (place, owner): (i64, i64) = found
            .ok_or_else(|| StoreError::Broken(format!("a route of firing {}, which is not recorded", route.firing)))?;
        let (mut due, mut waits, mut offered) = (record.now, None, record.now);
        if !route.urgent && !route.grouping.is_off() {
            let flow = match flows.entry(&route.channel) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(new) => new.insert(lanes::flow(db, &route.channel)?),
            };
            due = flow.arrive(record.now, route.grouping);
            waits = (due > record.now).then_some(Waits::Digest);
        }
        if let Some((at, why)) = route.not_before.filter(|(at, _)| *at > due) {
            (due, waits, offered) = (at, Some(why), at);
        }
        let lane = if route.urgent { Lane::Urgent } else { Lane::Fresh };
        let new = queue
            .query_row(
                params![
                    place,
                    alert.0,
                    owner,
                    route.channel.as_str(),
                    route.step,
                    lane.number(),
                    record.now.as_micros(),
                    offered.as_micros(),
                    due.as_micros(),
                    waits.map(Waits::as_str),
                ],
                |row| row.get(0),
            )
            .optional()?;
        deliveries.extend(new.map(|id| Delivery {
            next_attempt: Some(due),
            step: route.step,
            urgent: route.urgent,
            waits,
            offered,
            ..Delivery::new(DeliveryId(id), route.firing, UserId(owner), route.channel.clone(), record.now)
        }));
    }
    for (channel, flow) in flows {
        lanes::put_flow(db, channel, &flow)?;
    }
    Ok(deliveries)
}

/// Writes what changed in the evaluator's memory.
fn remember(db: &Connection, cut: &Cut) -> Result<()> {
    let mut put = db.prepare_cached(
        "INSERT INTO alert_memories (alert, memory) VALUES (?1, ?2) \
         ON CONFLICT (alert) DO UPDATE SET memory = excluded.memory",
    )?;
    let mut part = db.prepare_cached("UPDATE alerts_deleted SET memory = ?2 WHERE id = ?1")?;
    for memory in &cut.alerts {
        // Deleted while the cut was on its way: should it be brought back, it knows this.
        if alerts::exists(db, memory.id)? {
            put.execute(params![memory.id.0, to_json(memory)?])?;
        } else {
            part.execute(params![memory.id.0, to_json(memory)?])?;
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

/// Makes due again what was being sent, and what was held for quiet hours, which may be others now. What a clock that was ahead has
/// dated into the future is brought back, with its own distances: nothing waits longer because a clock was set back.
pub(in crate::store) fn recover(db: &Connection, now: Timestamp) -> Result<u64> {
    db.execute(
        "UPDATE deliveries SET next_attempt = ?1, waits = NULL \
         WHERE finished IS NULL AND waits = 'quiet_hours' AND state IN ('queued', 'retry')",
        [now.as_micros()],
    )?;
    db.execute(
        "UPDATE deliveries SET next_attempt = next_attempt - (created - ?1), offered = offered - (created - ?1), created = ?1 \
         WHERE finished IS NULL AND created > ?1",
        [now.as_micros()],
    )?;
    db.execute(
        "UPDATE deliveries SET next_attempt = ?1 WHERE finished IS NULL AND state = 'retry' AND next_attempt > ?2",
        [now.as_micros(), now.plus(LONGEST_WAIT).as_micros()],
    )?;
    let sql = "UPDATE deliveries SET state = 'retry', lane = min(lane, 1), next_attempt = ?1 WHERE state = 'sending' AND finished IS NULL";
    Ok(count(db.execute(sql, [now.as_micros()])?))
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
    if finished.is_some() && delivery.merged > 0 {
        lanes::share_fate(db, id, state, &answer, now)?;
    }
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
    let sql = "UPDATE deliveries SET state = ?2, attempts = ?3, next_attempt = ?4, finished = ?5, answer = ?6, waits = NULL, \
         lane = min(lane, 1) WHERE id = ?1";
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

/// Unfinished deliveries by channel, without those in a digest; and from when on the time of the oldest runs.
pub(in crate::store) fn queue(db: &Connection) -> Result<Vec<(ChannelName, i64, Timestamp)>> {
    let sql = "SELECT channel, count(*), min(offered) FROM deliveries \
         WHERE finished IS NULL AND state <> 'merged' GROUP BY channel ORDER BY channel";
    let mut statement = db.prepare_cached(sql)?;
    let rows = statement.query_map((), |row| {
        Ok((ChannelName::new(&row.get::<_, String>(0)?), row.get(1)?, Timestamp::from_micros(row.get(2)?)))
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// The size of the database in bytes; how many alerts and firings there are.
pub(in crate::store) fn extent(db: &Connection) -> Result<(u64, u64, u64)> {
    let number = |sql: &str| db.query_row(sql, (), |row| row.get::<_, i64>(0)).map(i64::unsigned_abs);
    let size = number("SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()")?;
    Ok((size, number("SELECT count(*) FROM alerts")?, number("SELECT count(*) FROM firings")?))
}

/// How many deliveries of each channel stand where, of those that may still be sent.
pub(in crate::store) fn census(db: &Connection) -> Result<Vec<(ChannelName, DeliveryState, i64)>> {
    let sql = "SELECT channel, state, count(*) FROM deliveries WHERE finished IS NULL GROUP BY channel, state \
         UNION ALL SELECT channel, 'dead', count(*) FROM deliveries WHERE state = 'dead' GROUP BY channel";
    let mut statement = db.prepare_cached(sql)?;
    let mut rows = statement.query(())?;
    let mut census = Vec::new();
    while let Some(row) = rows.next()? {
        census.push((
            ChannelName::new(row.get_ref(0)?.as_str().map_err(rusqlite::Error::from)?),
            read_state(row, 1)?,
            row.get(2)?,
        ));
    }
    Ok(census)
}

/// Gives up what waits for channels that are gone.
pub(in crate::store) fn unroutable(db: &Connection, known: &[ChannelName], now: Timestamp) -> Result<u64> {
    let mut given_up = 0;
    for (channel, _, _) in queue(db)? {
        if !known.contains(&channel) {
            let sql = "UPDATE deliveries SET state = 'dead', next_attempt = NULL, waits = NULL, finished = ?2, answer = ?3 \
                 WHERE channel = ?1 AND finished IS NULL AND state <> 'sending'";
            let answer = format!("no channel {channel} is configured");
            given_up += db.execute(sql, params![channel.as_str(), now.as_micros(), answer])?;
        }
    }
    Ok(count(given_up))
}

/// A row that begins with [`COLUMNS`].
pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<Delivery> {
    let time = |column: usize| Ok::<_, rusqlite::Error>(row.get::<_, Option<i64>>(column)?.map(Timestamp::from_micros));
    let id: i64 = row.get(0)?;
    // The row that carries a digest points to itself.
    let merged_into = row.get::<_, Option<i64>>(15)?.filter(|carrier| *carrier != id).map(DeliveryId);
    let waits = row.get_ref(14)?.as_str_or_null()?.and_then(|word| Waits::ALL.into_iter().find(|w| w.as_str() == word));
    Ok(Delivery {
        id: DeliveryId(id),
        firing: FiringId { alert: AlertId(row.get(1)?), version: row.get(2)?, number: row.get(3)? },
        owner: UserId(row.get(4)?),
        channel: ChannelName::new(row.get_ref(5)?.as_str()?),
        state: read_state(row, 6)?,
        attempts: row.get(7)?,
        created: Timestamp::from_micros(row.get(8)?),
        next_attempt: time(9)?,
        finished: time(10)?,
        answer: row.get(11)?,
        step: row.get(12)?,
        urgent: row.get::<_, i64>(13)? == Lane::Urgent.number(),
        waits,
        merged_into,
        merged: row.get(16)?,
        resent: row.get(17)?,
        offered: Timestamp::from_micros(row.get(18)?),
    })
}

/// The state whose word stands in this column.
fn read_state(row: &Row<'_>, column: usize) -> rusqlite::Result<DeliveryState> {
    let word = row.get_ref(column)?.as_str()?;
    let state = DeliveryState::ALL.into_iter().find(|state| state.as_str() == word);
    state.ok_or_else(|| rusqlite::Error::InvalidColumnType(column, "state".to_owned(), Type::Text))
}
