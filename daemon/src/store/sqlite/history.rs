//! What happened and what became of it, page by page, in SQL.

use bellwether_core::{
    alert::{AlertId, UserId},
    board::RECENT_FIRINGS,
    delivery::{Delivery, DeliveryState},
    firing::Firing,
    protocol::{EventView, Page},
    time::Timestamp,
};
use rusqlite::{Connection, OptionalExtension as _, Row, params, params_from_iter};

use super::{
    super::cursor::{Cursor, Listing},
    Result, from_json,
    outbox::{self, COLUMNS},
};

/// Firings from the newest: owner, place, limit.
pub(super) fn firings_sql() -> String {
    "SELECT firing, time, received, place FROM firings WHERE owner = ?1 AND place < ?2 ORDER BY place DESC LIMIT ?3"
        .to_owned()
}

/// Firings of one alert from the newest: owner, alert, version, number, limit. They are recorded in the order of versions and numbers.
pub(super) fn firings_of_alert_sql() -> String {
    "SELECT firing, time, received, place FROM firings WHERE owner = ?1 AND alert = ?2 AND (version, number) < (?3, ?4) \
     ORDER BY version DESC, number DESC LIMIT ?5"
        .to_owned()
}

/// Deliveries from the newest: owner, number, limit. What was accepted is most of all there is, and found among all; what is open is
/// found among what is open, however long the past.
pub(super) fn deliveries_sql(state: Option<DeliveryState>) -> String {
    let (index, in_state) = match state {
        None => ("", String::new()),
        Some(state) if state.is_final() => ("", format!("AND d.state = '{state}'")),
        Some(state) => ("INDEXED BY deliveries_open", format!("AND d.finished IS NULL AND d.state = '{state}'")),
    };
    format!(
        "SELECT {COLUMNS} FROM deliveries d {index} JOIN firings f ON f.place = d.firing \
         WHERE d.owner = ?1 AND d.id < ?2 {in_state} ORDER BY d.id DESC LIMIT ?3"
    )
}

/// A page of firings with their deliveries.
pub(in crate::store) fn firings(
    db: &Connection,
    listing: Listing,
    owner: UserId,
    alert: Option<AlertId>,
    before: i64,
    limit: u32,
) -> Result<Page<EventView>> {
    let more = limit + 1;
    let (sql, parameters) = match alert {
        None => (firings_sql(), vec![owner.0, before, more.into()]),
        Some(alert) => {
            let (version, number) = if before == i64::MAX { (i64::MAX, i64::MAX) } else { identity(db, before)? };
            (firings_of_alert_sql(), vec![owner.0, alert.0, version, number, more.into()])
        }
    };
    let mut statement = db.prepare_cached(&sql)?;
    let mut rows = statement.query(params_from_iter(parameters))?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let place: i64 = row.get(3)?;
        found.push((place, EventView { firing: read_firing(row, 0)?, deliveries: deliveries_of(db, place)? }));
    }
    Ok(page(listing, found, limit))
}

/// Version and number of the firing in this place; before all others where it is gone.
fn identity(db: &Connection, place: i64) -> Result<(i64, i64)> {
    let mut statement = db.prepare_cached("SELECT version, number FROM firings WHERE place = ?1")?;
    Ok(statement.query_row([place], |row| Ok((row.get(0)?, row.get(1)?))).optional()?.unwrap_or_default())
}

/// A page of deliveries.
pub(in crate::store) fn deliveries(
    db: &Connection,
    listing: Listing,
    owner: UserId,
    state: Option<DeliveryState>,
    before: i64,
    limit: u32,
) -> Result<Page<Delivery>> {
    let mut statement = db.prepare_cached(&deliveries_sql(state))?;
    let rows = statement.query_map(params![owner.0, before, limit + 1], outbox::read)?;
    let found = rows.map(|delivery| delivery.map(|d| (d.id.0, d))).collect::<rusqlite::Result<Vec<_>>>()?;
    Ok(page(listing, found, limit))
}

/// The first `limit` of the rows found, with a cursor if there are more.
fn page<T>(listing: Listing, mut found: Vec<(i64, T)>, limit: u32) -> Page<T> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = found.len() > limit;
    found.truncate(limit);
    let next = found.last().filter(|_| more).map(|(place, _)| Cursor::write(listing, *place));
    Page { items: found.into_iter().map(|(_, item)| item).collect(), next }
}

/// The newest firings of everybody, and their deliveries, oldest first.
pub(in crate::store) fn recent(db: &Connection) -> Result<(Vec<Firing>, Vec<Delivery>)> {
    let mut statement = db.prepare("SELECT firing, time, received, place FROM firings ORDER BY place DESC LIMIT ?1")?;
    let mut rows = statement.query([i64::try_from(RECENT_FIRINGS).unwrap_or(i64::MAX)])?;
    let (mut firings, mut deliveries) = (Vec::new(), Vec::new());
    while let Some(row) = rows.next()? {
        firings.push(read_firing(row, 0)?);
        deliveries.extend(deliveries_of(db, row.get(3)?)?);
    }
    deliveries.sort_by_key(|delivery| delivery.id);
    Ok((firings, deliveries))
}

/// The deliveries of the firing in this place.
fn deliveries_of(db: &Connection, place: i64) -> Result<Vec<Delivery>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM deliveries d JOIN firings f ON f.place = d.firing WHERE d.firing = ?1 ORDER BY d.id"
    );
    let mut statement = db.prepare_cached(&sql)?;
    let rows = statement.query_map(params![place], outbox::read)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// A firing from the columns `firing, time, received`, of which the first is number `column`. Times in JSON have
/// milliseconds; the columns have them whole.
pub(super) fn read_firing(row: &Row<'_>, column: usize) -> Result<Firing> {
    let text = row.get_ref(column)?.as_str().map_err(rusqlite::Error::from)?;
    let mut firing: Firing = from_json("a firing", text)?;
    firing.time = Timestamp::from_micros(row.get(column + 1)?);
    firing.received = Timestamp::from_micros(row.get(column + 2)?);
    Ok(firing)
}
