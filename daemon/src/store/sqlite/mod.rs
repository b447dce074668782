//! The threads that own the connections: one writes, one reads. Everybody else sends them jobs.
//!
//! Writing is one transaction a job, begun `IMMEDIATE`, so that another program's lock is waited for (5 s) instead of failing
//! half-way. Records that wait in a row are committed together: a durable commit costs milliseconds however much it holds.
//! Reading has a connection of its own (WAL), so a long listing never delays the record of a firing.

pub(super) mod alerts;
pub(super) mod answers;
pub(super) mod backup;
pub(super) mod bans;
pub(super) mod candles;
pub(super) mod channels;
mod file;
pub(super) mod history;
pub(super) mod instruments;
pub(super) mod lanes;
pub(super) mod outbox;
pub(super) mod prices;
mod reserve;
pub(super) mod room;
pub(super) mod users;

use std::{path::Path, thread, time::Duration};

use bellwether_core::delivery::Delivery;
use rusqlite::{Connection, ErrorCode, TransactionBehavior};
use serde::de::DeserializeOwned;
use tokio::sync::{mpsc, oneshot};

use self::reserve::Reserve;
use super::{OpenError, Record, StoreError};

type Result<T, E = StoreError> = std::result::Result<T, E>;

/// How many jobs may wait for a thread. Full: the caller waits.
const JOBS: usize = 256;
/// How many records are committed together at most.
const GROUP: usize = 64;
/// How long another program's lock is waited for.
const BUSY: Duration = Duration::from_secs(5);

/// What a commit survives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Durability {
    /// A power cut: the journal is synced before the answer.
    Full,
    /// The death of the process. A power cut may undo the last commits, in order, never a part of one.
    Relaxed,
    /// As much, and on a full disk it rather fails than use up the reserve.
    Dispensable,
}

/// The two threads, by their job queues.
#[derive(Clone, Debug)]
pub(super) struct Sqlite {
    writer: mpsc::Sender<Job>,
    reader: mpsc::Sender<Job>,
}

/// Something for a thread to do. The answer goes out by a oneshot; that nobody waits for it any more changes nothing.
enum Job {
    Run(Box<dyn FnOnce(&mut Database) + Send>),
    Record(Record, oneshot::Sender<Result<Vec<Delivery>>>),
    Close(oneshot::Sender<()>),
}

impl Sqlite {
    /// Opens the database in `folder` and starts the threads. They end with [`close`](Self::close) or the last clone.
    pub(super) fn open(folder: &Path) -> Result<Self, OpenError> {
        let file = file::prepare(folder)?;
        let why = |error: rusqlite::Error| file::open_error(&file, &error);
        let writer = file::open_for_writing(&file)?;
        let reader = file::open_for_reading(&file).map_err(why)?;
        let start = |name: &str, database: Database| {
            let (jobs, queue) = mpsc::channel(JOBS);
            thread::Builder::new()
                .name(name.to_owned())
                .spawn(move || serve(database, queue))
                .map(|_| jobs)
                .map_err(|e| OpenError::Other { file: file.clone(), why: format!("no thread for it: {e}") })
        };
        let reserve = Reserve::beside(&file);
        Ok(Self {
            writer: start("store", Database::new(writer, Some(reserve)))?,
            reader: start("store-read", Database::new(reader, None))?,
        })
    }

    /// Has the writing thread do `work` in one transaction. On an error nothing of it stays.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        durability: Durability,
        work: impl FnOnce(&Connection) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        ask(&self.writer, move |database| database.transaction(durability, work)).await
    }

    /// Whether something can be written at this moment.
    pub(super) async fn writable(&self) -> Result<()> {
        ask(&self.writer, Database::writable).await
    }

    /// Both threads take jobs and answer.
    pub(super) async fn answers(&self) -> Result<()> {
        ask(&self.writer, |_| Ok(())).await?;
        ask(&self.reader, |_| Ok(())).await
    }

    /// Has the reading thread do `work`, on the state of one moment.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        ask(&self.reader, move |database| database.snapshot(work)).await
    }

    /// Records, together with the records that wait beside it.
    pub(super) async fn record(&self, record: Record) -> Result<Vec<Delivery>> {
        let (answer, got) = oneshot::channel();
        self.writer.send(Job::Record(record, answer)).await.map_err(|_| closed())?;
        got.await.map_err(|_| closed())?
    }

    /// Ends both threads after the jobs they have; the writing one last, so that its checkpoint finds no reader.
    pub(super) async fn close(&self) {
        for thread in [&self.reader, &self.writer] {
            let (answer, got) = oneshot::channel();
            if thread.send(Job::Close(answer)).await.is_ok() {
                // An error means that the thread is gone, which is what is wanted.
                drop(got.await);
            }
        }
    }
}

/// Gives a thread something to do and waits for the answer.
async fn ask<T: Send + 'static>(
    thread: &mpsc::Sender<Job>,
    work: impl FnOnce(&mut Database) -> Result<T> + Send + 'static,
) -> Result<T> {
    let (answer, got) = oneshot::channel();
    let job = Job::Run(Box::new(move |database| drop(answer.send(work(database)))));
    thread.send(job).await.map_err(|_| closed())?;
    got.await.map_err(|_| closed())?
}

/// A thread's life.
fn serve(mut database: Database, mut jobs: mpsc::Receiver<Job>) {
    let mut next = None;
    while let Some(job) = next.take().or_else(|| jobs.blocking_recv()) {
        match job {
            Job::Run(work) => work(&mut database),
            Job::Record(record, answer) => {
                let mut group = vec![(record, answer)];
                // Only what stands in a row: a job in between may have to see the one and not the other.
                while group.len() < GROUP && next.is_none() {
                    match jobs.try_recv() {
                        Ok(Job::Record(record, answer)) => group.push((record, answer)),
                        Ok(other) => next = Some(other),
                        Err(_) => break,
                    }
                }
                record_together(&mut database, group);
            }
            Job::Close(answer) => {
                database.close();
                let _ = answer.send(());
                return;
            }
        }
    }
    database.close();
}

/// One record and whom to tell.
type Waiting = (Record, oneshot::Sender<Result<Vec<Delivery>>>);

/// Commits a group in one transaction; if that fails, each alone, so that a bad one harms no other.
fn record_together(database: &mut Database, group: Vec<Waiting>) {
    if group.len() > 1 {
        let durable = group.iter().any(|(record, _)| record.durability() == Durability::Full);
        let durability = if durable { Durability::Full } else { Durability::Dispensable };
        let together = database.transaction(durability, |db| {
            group.iter().map(|(record, _)| outbox::record(db, record)).collect::<Result<Vec<_>>>()
        });
        if let Ok(outcomes) = together {
            for ((_, answer), deliveries) in group.into_iter().zip(outcomes) {
                drop(answer.send(Ok(deliveries)));
            }
            return;
        }
    }
    for (record, answer) in group {
        let mut attempt = || database.transaction(record.durability(), |db| outbox::record(db, &record));
        let outcome = match attempt() {
            // Now the reserve is free, if there was one.
            Err(error) if error == StoreError::disk_full() && record.durability() == Durability::Full => attempt(),
            outcome => outcome,
        };
        drop(answer.send(outcome));
    }
}

/// A connection, and what its commits survive at the moment.
struct Database {
    connection: Connection,
    synchronous: Option<&'static str>,
    reserve: Option<Reserve>,
}

impl Database {
    fn new(connection: Connection, reserve: Option<Reserve>) -> Self {
        Self { connection, synchronous: None, reserve }
    }

    /// One transaction. On an error nothing of it stays; on a full disk the reserve is given up, so that the next one fits.
    fn transaction<T>(&mut self, durability: Durability, work: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        let outcome = self.attempt(durability, work);
        let full = outcome.as_ref().is_err_and(|error| *error == StoreError::disk_full());
        if full && durability != Durability::Dispensable && self.reserve.as_ref().is_some_and(Reserve::give_up) {
            tracing::error!(
                "the disk of the data folder is full: the reserve is given up, there is room for some firings"
            );
        }
        outcome
    }

    fn attempt<T>(&mut self, durability: Durability, work: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        let level = if durability == Durability::Full { "FULL" } else { "NORMAL" };
        if self.synchronous != Some(level) {
            self.synchronous = None;
            self.connection.pragma_update(None, "synchronous", level)?;
            self.synchronous = Some(level);
        }
        // Dropped without a commit, it is rolled back.
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let value = work(&transaction)?;
        transaction.commit()?;
        Ok(value)
    }

    /// Whether something can be written, and the reserve stands again: while it does not, the disk is as good as full.
    fn writable(&mut self) -> Result<()> {
        self.transaction(Durability::Dispensable, |db| {
            db.execute("UPDATE pulse SET beats = beats + 1", ())?;
            Ok(())
        })?;
        self.reserve.as_ref().map_or(Ok(()), Reserve::fill)
    }

    /// Several queries on one state.
    fn snapshot<T>(&mut self, work: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Deferred)?;
        let value = work(&transaction)?;
        transaction.commit()?;
        Ok(value)
    }

    /// `SQLite` folds the journal into the database when the last connection closes. Where that fails (a full disk), the journal
    /// stays and the next start reads it: nothing is lost.
    fn close(self) {
        if let Err((_, error)) = self.connection.close() {
            tracing::warn!(%error, "the database was not closed in order");
        }
    }
}

fn closed() -> StoreError {
    StoreError::Broken("the database is closed".to_owned())
}

impl StoreError {
    fn disk_full() -> Self {
        Self::Unwritable("the disk of the data folder is full".to_owned())
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        let unwritable = |words: &str| Self::Unwritable(words.to_owned());
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::disk_full(),
            Some(ErrorCode::ReadOnly) => unwritable("the database, its folder or its disk is read-only"),
            Some(ErrorCode::PermissionDenied | ErrorCode::CannotOpen) => {
                unwritable("the database's files cannot be opened any more")
            }
            Some(ErrorCode::SystemIoFailure) => Self::Unwritable(format!("the disk of the data folder fails: {error}")),
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::FileLockingProtocolFailed) => {
                unwritable("another program holds the database locked")
            }
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                Self::Broken(format!("the database is damaged: {error}"))
            }
            _ => Self::Broken(format!("the database refuses: {error}")),
        }
    }
}

/// Reads a column of JSON.
fn from_json<T: DeserializeOwned>(what: &str, text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|e| StoreError::Broken(format!("{what} in the database cannot be read: {e}")))
}

/// Writes a column of JSON.
fn to_json<T: serde::Serialize>(value: &T) -> Result<String> {
    serde_json::to_string(value).map_err(|e| StoreError::Broken(format!("cannot be written as JSON: {e}")))
}

/// A count as the API gives it.
fn count(rows: usize) -> u64 {
    u64::try_from(rows).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
