//! What is removed because it is old, a portion at a time, and the room on the disk that becomes free by that, in SQL.

use bellwether_core::time::Timestamp;
use rusqlite::{Connection, params};

use super::{
    super::{Portion, Room},
    Result, count,
};

/// How many firings are looked at in one go: a few milliseconds of the thread that writes.
const PORTION: u32 = 200;
/// `PRAGMA auto_vacuum` of a database that gives free pages back when it is told to.
const INCREMENTAL: i64 = 2;

/// Deletes what was recorded before then, of the next firings behind a place: with their deliveries, but never one that has
/// something to be sent yet, and never the last of an alert that stands.
pub(in crate::store) fn prune_firings(db: &Connection, before: Timestamp, behind: i64) -> Result<Portion> {
    let sql = "SELECT count(*), ifnull(sum(recorded < ?2), 0), max(place) \
         FROM (SELECT place, recorded FROM firings WHERE place > ?1 ORDER BY place LIMIT ?3)";
    let of = params![behind, before.as_micros(), PORTION];
    let (seen, old, last): (u32, u32, Option<i64>) =
        db.prepare_cached(sql)?.query_row(of, |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    let Some(last) = last.filter(|_| old > 0) else { return Ok(Portion { gone: 0, behind: None }) };
    let sql = "DELETE FROM firings AS f WHERE f.place > ?1 AND f.place <= ?2 AND f.recorded < ?3 \
         AND NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.firing = f.place AND d.finished IS NULL) \
         AND (NOT EXISTS (SELECT 1 FROM alerts a WHERE a.id = f.alert) OR EXISTS \
          (SELECT 1 FROM firings n WHERE n.alert = f.alert AND (n.version, n.number) > (f.version, f.number)))";
    let gone = db.prepare_cached(sql)?.execute(params![behind, last, before.as_micros()])?;
    Ok(Portion { gone: count(gone), behind: (seen == PORTION).then_some(last) })
}

/// How much of the file is in use.
pub(in crate::store) fn room(db: &Connection) -> Result<Room> {
    let number = |name: &str| db.pragma_query_value(None, name, |row| row.get::<_, i64>(0)).map(i64::unsigned_abs);
    let page = number("page_size")?;
    Ok(Room {
        bytes: number("page_count")? * page,
        free: number("freelist_count")? * page,
        page,
        gives_back: is_incremental(db)?,
    })
}

/// Whether single free pages can be given back. A database that was made before this was thought of cannot, until it is made anew.
pub(super) fn is_incremental(db: &Connection) -> rusqlite::Result<bool> {
    db.pragma_query_value(None, "auto_vacuum", |row| row.get::<_, i64>(0)).map(|kind| kind == INCREMENTAL)
}

/// Gives so many free pages back to the disk, as far as there are so many.
pub(in crate::store) fn give_back(db: &Connection, pages: u64) -> Result<()> {
    let mut statement = db.prepare(&format!("PRAGMA incremental_vacuum({pages})"))?;
    // A page is given back at each step.
    let mut rows = statement.query(())?;
    while rows.next()?.is_some() {}
    Ok(())
}
