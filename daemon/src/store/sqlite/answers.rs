//! What was answered to calls with an `Idempotency-Key`, in SQL.

use bellwether_core::time::{Span, Timestamp};
use rusqlite::{Connection, OptionalExtension as _, params};

use super::{
    super::{Answer, Asking},
    Result,
};

/// For how long an answer is given again.
const KEPT: Span = Span::from_seconds(7 * 86_400);
/// The most answers that are kept for one caller; the oldest go.
const EACH: u32 = 1_000;

/// The answer that was given, where there is one.
pub(in crate::store) fn known(db: &Connection, asking: &Asking) -> Result<Option<Answer>> {
    let sql = "SELECT asked, status, location, body FROM answers WHERE owner = ?1 AND path = ?2 AND key = ?3";
    let read = |row: &rusqlite::Row<'_>| {
        Ok(Answer { asked: row.get(0)?, status: row.get(1)?, location: row.get(2)?, body: row.get(3)? })
    };
    Ok(db.query_row(sql, params![asking.owner, asking.path, asking.key], read).optional()?)
}

/// Keeps one, and forgets those that are too old or too many.
pub(in crate::store) fn keep(db: &Connection, asking: &Asking, answer: &Answer, now: Timestamp) -> Result<()> {
    db.execute("DELETE FROM answers WHERE made < ?1", [now.minus(KEPT).as_micros()])?;
    db.execute(
        "DELETE FROM answers WHERE owner = ?1 AND (path, key) IN \
         (SELECT path, key FROM answers WHERE owner = ?1 ORDER BY made DESC LIMIT -1 OFFSET ?2)",
        params![asking.owner, EACH - 1],
    )?;
    let sql = "INSERT OR REPLACE INTO answers (owner, path, key, asked, status, location, body, made) \
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
    let Answer { asked, status, location, body } = answer;
    let (owner, path, key) = (asking.owner, &asking.path, &asking.key);
    db.execute(sql, params![owner, path, key, asked, status, location, body, now.as_micros()])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Store;

    #[tokio::test]
    async fn answers_are_kept_for_a_week_and_a_thousand_for_each() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let begin = Timestamp::from_seconds(1_795_000_000);
        let asking = |owner: i64, n: u32| Asking { owner, path: "/p".to_owned(), key: n.to_string() };
        let answer = Answer { asked: vec![1], status: 201, location: None, body: b"x".to_vec() };
        for n in 0..EACH + 2 {
            let at = begin.plus(Span::from_seconds(i64::from(n)));
            store.keep_answer(asking(1, n), answer.clone(), at).await.unwrap();
        }
        store.keep_answer(asking(2, 1), answer.clone(), begin).await.unwrap();
        for (owner, n, there) in [(1, 1, false), (1, 2, true), (1, EACH + 1, true), (2, 1, true), (3, 1, false)] {
            let known = store.known_answer(asking(owner, n)).await.unwrap();
            assert_eq!(known, there.then(|| answer.clone()), "{owner} {n}");
        }
        let later = begin.plus(KEPT).plus(Span::from_seconds(i64::from(EACH)));
        store.keep_answer(asking(3, 1), answer.clone(), later).await.unwrap();
        assert_eq!(store.known_answer(asking(2, 1)).await.unwrap(), None, "a week is over");
        assert_eq!(store.known_answer(asking(1, EACH + 1)).await.unwrap(), Some(answer));
    }
}
