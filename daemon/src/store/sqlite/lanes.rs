//! What is taken from the outbox when, and with what: lanes, digests, what waits and why, what became pointless, in SQL.
//!
//! Every channel has three lanes ([`Lane`]). What is urgent or was tried before goes by itself; what is fresh is collected when
//! its window is over: the newest row carries the message and points to itself, the others point to it and share its fate.

use bellwether_core::{
    alert::{AlertId, UserId},
    board::RECENT_DELIVERIES,
    condition::ChannelName,
    delivery::{
        Delivery, DeliveryId, DeliveryState, Digest, DigestLine, DueDelivery, Waits,
        group::{DIGEST_LINES, FLAPPING, FLAPS, Flow},
    },
    firing::Firing,
    time::Timestamp,
};
use rusqlite::{Connection, OptionalExtension as _, Params, params};

use super::{
    super::{Lane, Marked, Take, Taken},
    Result, StoreError, from_json,
    history::read_firing,
    outbox::{COLUMN_COUNT, COLUMNS, read},
    to_json,
};

/// How many waiting rows are told at once why they wait.
const MARKED: usize = 200;

/// That nothing earlier of its alert is under way on the channel of a delivery `d`. Later steps of an escalation hold up nothing,
/// and neither does what `d` itself carries: it goes with it.
const IN_FRONT: &str = "NOT EXISTS (SELECT 1 FROM deliveries e WHERE e.channel = d.channel AND e.alert = d.alert AND e.id < d.id \
     AND e.finished IS NULL AND NOT (e.state = 'queued' AND e.step > 0) AND e.merged_into IS NOT d.id)";

/// The same for one that is collected together with whatever is fresh. The words are those of the index `deliveries_ahead`.
/// The newest that is due takes all older ones along, due or not (a window may have been longer for them): of one alert nothing is ever
/// in an earlier message than what fired before it, so no two messages can wait for each other.
const COLLECTABLE: &str = "d.state IN ('queued', 'retry') AND d.state = 'queued' AND d.lane = 2 \
     AND d.id <= (SELECT max(n.id) FROM deliveries n WHERE n.channel = ?1 AND n.lane = 2 AND n.state IN ('queued', 'retry') \
      AND n.state = 'queued' AND n.next_attempt <= ?2) AND NOT EXISTS \
     (SELECT 1 FROM deliveries e WHERE e.channel = d.channel AND e.alert = d.alert AND e.id < d.id \
      AND e.finished IS NULL AND NOT (e.state = 'queued' AND (e.step > 0 OR e.lane = 2)))";

/// The first due delivery of a lane: channel, now, lane.
pub(super) fn first_sql() -> String {
    format!(
        "SELECT d.id FROM deliveries d WHERE d.channel = ?1 AND d.lane = ?3 AND d.state IN ('queued', 'retry') \
         AND d.next_attempt <= ?2 AND {IN_FRONT} ORDER BY d.next_attempt, d.id LIMIT 1"
    )
}

/// When the first of a lane is due: channel, lane.
pub(super) fn next_due_sql() -> String {
    format!(
        "SELECT d.next_attempt FROM deliveries d WHERE d.channel = ?1 AND d.lane = ?2 \
         AND d.state IN ('queued', 'retry') AND {IN_FRONT} ORDER BY d.next_attempt LIMIT 1"
    )
}

/// How many are collected, and the newest of them: channel, now.
pub(super) fn collected_sql() -> String {
    format!("SELECT count(*), max(d.id) FROM deliveries d WHERE d.channel = ?1 AND {COLLECTABLE}")
}

/// Takes one message.
pub(in crate::store) fn take(db: &Connection, channel: &ChannelName, take: &Take) -> Result<Option<Taken>> {
    let now = take.now.as_micros();
    let collects = take.lane == Lane::Fresh && !take.grouping.is_off();
    let mut storm = false;
    let (count, carrier): (u32, Option<i64>) = if collects {
        db.prepare_cached(&collected_sql())?
            .query_row(params![channel.as_str(), now], |row| Ok((row.get(0)?, row.get(1)?)))?
    } else {
        let first = db
            .prepare_cached(&first_sql())?
            .query_row(params![channel.as_str(), now, take.lane.number()], |row| row.get(0))
            .optional()?;
        (1, first)
    };
    let Some(carrier) = carrier else { return Ok(None) };
    if collects {
        let mut flow = flow(db, channel)?;
        storm = flow.is_storm(take.now);
        flow.sent(take.now, take.grouping);
        put_flow(db, channel, &flow)?;
    }
    if count > 1 {
        let merge = format!(
            "UPDATE deliveries SET state = 'merged', merged_into = ?3, next_attempt = NULL, waits = NULL WHERE id IN \
             (SELECT d.id FROM deliveries d WHERE d.channel = ?1 AND {COLLECTABLE}) AND id <> ?3"
        );
        let merged = db.prepare_cached(&merge)?.execute(params![channel.as_str(), now, carrier])?;
        let carry = "UPDATE deliveries SET merged_into = id, merged = ?2, storm = ?3 WHERE id = ?1";
        db.prepare_cached(carry)?.execute(params![carrier, limit(merged), storm])?;
    }
    db.prepare_cached(
        "UPDATE deliveries SET state = 'sending', attempts = attempts + 1, next_attempt = NULL, waits = NULL WHERE id = ?1",
    )?
    .execute([carrier])?;
    if let Some(memory) = &take.memory {
        remember_channel(db, channel, memory)?;
    }
    let merged = if count > 1 { members(db, DeliveryId(carrier))? } else { Vec::new() };
    let had_by =
        db.prepare_cached("SELECT taken_by FROM deliveries WHERE id = ?1")?.query_row([carrier], |row| row.get(0))?;
    Ok(Some(Taken { due: due(db, carrier)?, merged, had_by }))
}

/// A delivery with what it says.
fn due(db: &Connection, id: i64) -> Result<DueDelivery> {
    let sql = format!(
        "SELECT {COLUMNS}, f.firing, f.time, f.received FROM deliveries d JOIN firings f ON f.place = d.firing WHERE d.id = ?1"
    );
    let mut statement = db.prepare_cached(&sql)?;
    let mut rows = statement.query([id])?;
    let row = rows.next()?.ok_or(StoreError::NotFound)?;
    let (delivery, firing) = (read(row)?, read_firing(row, COLUMN_COUNT)?);
    let digest = if delivery.merged > 0 { Some(digest(db, id)?) } else { None };
    Ok(DueDelivery { delivery, firing, digest })
}

/// What a delivery and those merged into it say together. Only the lines that are shown are read.
fn digest(db: &Connection, carrier: i64) -> Result<Digest> {
    let totals = "SELECT count(*), count(DISTINCT alert), min(id), (SELECT storm FROM deliveries WHERE id = ?1) \
         FROM deliveries WHERE merged_into = ?1";
    let (firings, alerts, oldest, storm): (u32, u32, i64, bool) = db
        .prepare_cached(totals)?
        .query_row([carrier], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?;
    let newest =
        "SELECT max(id), count(*) FROM deliveries WHERE merged_into = ?1 GROUP BY alert ORDER BY max(id) DESC LIMIT ?2";
    let busiest = "SELECT max(id), count(*) FROM deliveries WHERE merged_into = ?1 GROUP BY alert HAVING count(*) >= ?3 \
         ORDER BY count(*) DESC, alert LIMIT ?2";
    Ok(Digest {
        firings,
        alerts,
        oldest: firing_of(db, oldest)?.received,
        storm,
        lines: lines(db, newest, params![carrier, limit(DIGEST_LINES)])?,
        flapping: lines(db, busiest, params![carrier, limit(FLAPPING), FLAPS])?,
    })
}

fn lines(db: &Connection, sql: &str, parameters: impl Params) -> Result<Vec<DigestLine>> {
    let mut statement = db.prepare_cached(sql)?;
    let rows = statement.query_map(parameters, |row| Ok((row.get(0)?, row.get(1)?)))?;
    let rows = rows.collect::<rusqlite::Result<Vec<(i64, u32)>>>()?;
    rows.into_iter().map(|(id, count)| Ok(DigestLine { firing: firing_of(db, id)?, count })).collect()
}

/// The firing of a delivery.
fn firing_of(db: &Connection, delivery: i64) -> Result<Firing> {
    let sql =
        "SELECT f.firing, f.time, f.received FROM deliveries d JOIN firings f ON f.place = d.firing WHERE d.id = ?1";
    let mut statement = db.prepare_cached(sql)?;
    let mut rows = statement.query([delivery])?;
    read_firing(rows.next()?.ok_or(StoreError::NotFound)?, 0)
}

fn limit(rows: usize) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}

/// When something can next be taken, by lane.
pub(in crate::store) fn next_due(db: &Connection, channel: &ChannelName) -> Result<[Option<Timestamp>; 3]> {
    let mut statement = db.prepare_cached(&next_due_sql())?;
    let mut due = [None; 3];
    for (lane, due) in Lane::ALL.into_iter().zip(&mut due) {
        let at = statement.query_row(params![channel.as_str(), lane.number()], |row| row.get(0)).optional()?;
        *due = at.map(Timestamp::from_micros);
    }
    Ok(due)
}

/// The deliveries that this condition finds, at most as many as a board holds.
fn find(db: &Connection, condition: &str, parameters: impl Params) -> Result<Vec<Delivery>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM deliveries d JOIN firings f ON f.place = d.firing WHERE {condition} \
         ORDER BY d.id DESC LIMIT {RECENT_DELIVERIES}"
    );
    let mut statement = db.prepare_cached(&sql)?;
    let rows = statement.query_map(parameters, read)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// The deliveries in another one's digest.
pub(in crate::store) fn members(db: &Connection, carrier: DeliveryId) -> Result<Vec<Delivery>> {
    find(db, "d.merged_into = ?1 AND d.id <> ?1", [carrier.0])
}

/// Those in a digest end as it ended; what went out stays `merged`.
pub(super) fn share_fate(
    db: &Connection,
    carrier: DeliveryId,
    state: DeliveryState,
    answer: &str,
    now: Timestamp,
) -> Result<()> {
    let state = if state == DeliveryState::Sent { DeliveryState::Merged } else { state };
    let sql = "UPDATE deliveries SET state = ?2, finished = ?3, answer = ?4 WHERE merged_into = ?1 AND id <> ?1 AND finished IS NULL";
    let answer = format!("in the message of {carrier}: {answer}");
    db.prepare_cached(sql)?.execute(params![carrier.0, state.as_str(), now.as_micros(), answer])?;
    Ok(())
}

/// Notes why the next due rows of a lane wait, behind the place where the part before ended.
pub(in crate::store) fn mark(
    db: &Connection,
    channel: &ChannelName,
    lane: Lane,
    waits: Waits,
    now: Timestamp,
    behind: Option<(Timestamp, DeliveryId)>,
) -> Result<Marked> {
    let (at, id) = behind.map_or((i64::MIN, i64::MIN), |(at, id)| (at.as_micros(), id.0));
    let sql = "SELECT next_attempt, id FROM deliveries WHERE channel = ?1 AND lane = ?2 AND state IN ('queued', 'retry') \
         AND next_attempt <= ?3 AND (next_attempt, id) > (?4, ?5) ORDER BY next_attempt, id LIMIT ?6";
    let mut statement = db.prepare_cached(sql)?;
    let parameters = params![channel.as_str(), lane.number(), now.as_micros(), at, id, limit(MARKED)];
    let rows =
        statement.query_map(parameters, |row| Ok((Timestamp::from_micros(row.get(0)?), DeliveryId(row.get(1)?))))?;
    let rows = rows.collect::<rusqlite::Result<Vec<_>>>()?;
    let mut update = db.prepare_cached("UPDATE deliveries SET waits = ?2 WHERE id = ?1 AND waits IS NOT ?2")?;
    let mut news = Vec::new();
    for (_, id) in &rows {
        if update.execute(params![id.0, waits.as_str()])? > 0 {
            news.extend(find(db, "d.id = ?1", [id.0])?);
        }
    }
    Ok(Marked { news, whole: rows.len() < MARKED, last: rows.last().copied().or(behind) })
}

/// Holds what is due and not urgent. Gives the newest of what is held now.
pub(in crate::store) fn hold(
    db: &Connection,
    channel: &ChannelName,
    until: Timestamp,
    now: Timestamp,
) -> Result<Vec<Delivery>> {
    let sql = "UPDATE deliveries SET waits = 'quiet_hours', next_attempt = ?3, offered = max(offered, ?3) \
         WHERE channel = ?1 AND lane IN (1, 2) AND state IN ('queued', 'retry') AND next_attempt <= ?2";
    let held = db.prepare_cached(sql)?.execute(params![channel.as_str(), now.as_micros(), until.as_micros()])?;
    if held == 0 {
        return Ok(Vec::new());
    }
    find(
        db,
        "d.channel = ?1 AND d.lane IN (1, 2) AND d.state IN ('queued', 'retry') AND d.next_attempt = ?2",
        params![channel.as_str(), until.as_micros()],
    )
}

/// Has a delivery that came to its end without being accepted sent again, by itself, or with its digest.
pub(in crate::store) fn resend(
    db: &Connection,
    owner: UserId,
    id: DeliveryId,
    now: Timestamp,
) -> Result<Result<Delivery, DeliveryState>> {
    let one = |db| find(db, "d.id = ?1 AND d.owner = ?2", [id.0, owner.0]);
    let found = one(db)?.pop().ok_or(StoreError::NotFound)?;
    if !matches!(found.state, DeliveryState::Dead | DeliveryState::Unknown) {
        return Ok(Err(found.state));
    }
    let sql = "UPDATE deliveries SET state = 'queued', lane = min(lane, 1), next_attempt = ?2, offered = ?2, finished = NULL, \
         resent = resent + 1, merged_into = CASE WHEN merged > 0 THEN id END WHERE id = ?1";
    db.prepare_cached(sql)?.execute([id.0, now.as_micros()])?;
    let sql = "UPDATE deliveries SET state = 'merged', finished = NULL, resent = resent + 1 \
         WHERE merged_into = ?1 AND id <> ?1 AND state IN ('dead', 'unknown')";
    let members = db.prepare_cached(sql)?.execute([id.0])?;
    // Some may have been sent by themselves meanwhile.
    db.prepare_cached("UPDATE deliveries SET merged = ?2 WHERE id = ?1")?.execute(params![id.0, limit(members)])?;
    one(db)?.pop().ok_or(StoreError::NotFound).map(Ok)
}

/// Cancels open rows of an alert that are not being sent and meet a condition. Parameters: alert, now, reason, a number.
fn cancel(
    db: &Connection,
    alert: AlertId,
    why: &str,
    condition: &str,
    number: u32,
    now: Timestamp,
) -> Result<Vec<Delivery>> {
    let sql = format!(
        "UPDATE deliveries AS d SET state = 'cancelled', finished = ?2, answer = ?3, next_attempt = NULL, waits = NULL \
         WHERE d.alert = ?1 AND d.finished IS NULL AND d.state IN ('queued', 'retry') AND ?4 >= 0 AND {condition}"
    );
    let done = db.prepare_cached(&sql)?.execute(params![alert.0, now.as_micros(), why, number])?;
    if done == 0 { Ok(Vec::new()) } else { cancelled(db, alert, now) }
}

/// The deliveries of this alert that were cancelled since then.
pub(in crate::store) fn cancelled(db: &Connection, alert: AlertId, since: Timestamp) -> Result<Vec<Delivery>> {
    find(db, "f.alert = ?1 AND d.state = 'cancelled' AND d.finished >= ?2", [alert.0, since.as_micros()])
}

/// The episode of an alert is over: later steps of the firings up to this one are pointless.
pub(super) fn end_of_episode(db: &Connection, alert: AlertId, number: u32, now: Timestamp) -> Result<Vec<Delivery>> {
    let condition = "d.step > 0 AND (SELECT f.number FROM firings f WHERE f.place = d.firing) <= ?4";
    cancel(db, alert, "it was over before this step", condition, number, now)
}

/// An alert was paused or removed: its later steps are pointless.
pub(super) fn later_steps(db: &Connection, alert: AlertId, why: &str, now: Timestamp) -> Result<()> {
    cancel(db, alert, why, "d.step > 0", 0, now).map(drop)
}

/// An alert was acknowledged: whoever has seen it need not be told more urgently, nor in the morning.
pub(super) fn acknowledged(db: &Connection, alert: AlertId, now: Timestamp) -> Result<()> {
    cancel(db, alert, "the alert was acknowledged", "(d.lane = 0 OR d.waits = 'quiet_hours')", 0, now).map(drop)
}

/// What is known of the firings for a channel in the last minutes.
pub(super) fn flow(db: &Connection, channel: &ChannelName) -> Result<Flow> {
    let sql = "SELECT flow FROM channel_states WHERE channel = ?1";
    let text: Option<Option<String>> =
        db.prepare_cached(sql)?.query_row([channel.as_str()], |row| row.get(0)).optional()?;
    text.flatten().map_or_else(|| Ok(Flow::default()), |text| from_json("the flow of a channel", &text))
}

/// Writes that down.
pub(super) fn put_flow(db: &Connection, channel: &ChannelName, flow: &Flow) -> Result<()> {
    let sql = "INSERT INTO channel_states (channel, flow) VALUES (?1, ?2) ON CONFLICT (channel) DO UPDATE SET flow = excluded.flow";
    db.prepare_cached(sql)?.execute(params![channel.as_str(), to_json(flow)?])?;
    Ok(())
}

/// Notes who has got the message of a delivery already.
pub(in crate::store) fn note_taken_by(db: &Connection, id: DeliveryId, taken_by: &str) -> Result<()> {
    db.prepare_cached("UPDATE deliveries SET taken_by = ?2 WHERE id = ?1")?.execute(params![id.0, taken_by])?;
    Ok(())
}

/// What was to be remembered of a channel.
pub(in crate::store) fn channel_memory(db: &Connection, channel: &ChannelName) -> Result<Option<String>> {
    let sql = "SELECT memory FROM channel_states WHERE channel = ?1";
    let text: Option<Option<String>> =
        db.prepare_cached(sql)?.query_row([channel.as_str()], |row| row.get(0)).optional()?;
    Ok(text.flatten())
}

/// Remembers this of a channel.
pub(in crate::store) fn remember_channel(db: &Connection, channel: &ChannelName, memory: &str) -> Result<()> {
    let sql = "INSERT INTO channel_states (channel, memory) VALUES (?1, ?2) ON CONFLICT (channel) DO UPDATE SET memory = excluded.memory";
    db.prepare_cached(sql)?.execute(params![channel.as_str(), memory])?;
    Ok(())
}
