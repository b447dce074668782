//! All persistence, in domain words: alerts, the evaluator's memory, the outbox, history, prices, accounts.
//!
//! Signatures name no database. There is one, `SQLite`; a second becomes a variant of the private field, and
//! has to tell the same story (`story.rs`). Each table has one writer among the roles, named at its group below.

#[cfg(test)]
mod bare;
mod cursor;
mod error;
mod sqlite;
#[cfg(test)]
mod story;

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

use bellwether_core::{
    alert::{Alert, AlertId, UserId},
    condition::{ChannelName, Rule},
    delivery::{Delivery, DeliveryId, DeliveryState, DueDelivery, Waits, group::Grouping},
    evaluator::{AlertMemory, Cut},
    event::Ticker,
    firing::{Firing, FiringId},
    instrument::{FeedId, Instrument, Symbol},
    price::Price,
    protocol::{EventView, Page},
    tick::Candle,
    time::{Span, Timestamp},
};

#[cfg(test)]
pub(crate) use self::bare::{Bare, rows_on_disk};
pub(crate) use self::error::{OpenError, StoreError};
use self::{
    cursor::{Cursor, Listing},
    sqlite::{
        Durability, Sqlite, alerts, answers, backup, bans, candles, channels, history, instruments, lanes, outbox,
        prices, room, users,
    },
};

/// The name of the database in the data folder.
pub(crate) const DATABASE_FILE: &str = "bellwether.db";
/// The most alerts one account may have; the owner may have any number.
pub(crate) const ALERTS_PER_ACCOUNT: u32 = 1_000;
/// The most accounts.
pub(crate) const ACCOUNTS: u32 = 200;
/// The most instruments that may be added to the built-in ones.
pub(crate) const INSTRUMENTS: u32 = 1_000;
/// A call with an `Idempotency-Key`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Asking {
    /// Whose call it is; 0 for nobody.
    pub(crate) owner: i64,
    /// What it is for.
    pub(crate) path: String,
    /// The key.
    pub(crate) key: String,
}

/// What was answered to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    /// The digest of what was asked.
    pub(crate) asked: Vec<u8>,
    /// The HTTP status.
    pub(crate) status: u16,
    /// The header `Location`.
    pub(crate) location: Option<String>,
    /// The body.
    pub(crate) body: Vec<u8>,
}

/// The most channels that may be set up beside those of the configuration.
pub(crate) const CHANNELS: u32 = 20;
/// The most rows of one page, whatever is asked for.
pub(crate) const PAGE_ROWS: u32 = 1_000;

/// An alert that is to be made as it stood elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NewWish {
    /// What it says.
    pub(crate) rule: Rule,
    /// Whether it is set aside from the beginning.
    pub(crate) paused: bool,
    /// Silent until then.
    pub(crate) snoozed_until: Option<Timestamp>,
}

/// What became of bringing a deleted alert back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Restored {
    /// It stands: nothing was changed.
    Standing(Alert),
    /// It stands again, one version on, with what the evaluator remembered of it.
    Back(Alert, Option<Box<AlertMemory>>),
}

/// A change of one alert's wish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum AlertEdit {
    /// It says this now. A snooze ends where the evaluated part differs (`docs/alerts.md`, B13).
    Rule(Rule),
    /// Set aside.
    Pause,
    /// Taken up again.
    Resume,
    /// Silent until then.
    Snooze(Timestamp),
    /// The running episode's firing was seen: a new version, nothing else.
    Acknowledge,
}

/// How an attempt to send ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The other side accepted it.
    Sent {
        /// What it said.
        answer: String,
    },
    /// Failed for now.
    Retry {
        /// When to try again.
        at: Timestamp,
        /// What went wrong.
        answer: String,
    },
    /// Refused for good, or out of time.
    Dead {
        /// Why.
        answer: String,
    },
    /// Perhaps sent: trying again might double it.
    Unknown {
        /// What is known.
        answer: String,
    },
}

/// In which order deliveries of one channel are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lane {
    /// Passes quiet hours and grouping.
    Urgent,
    /// Has been tried before, or is sent again by hand: goes by itself.
    Again,
    /// Has not been tried: may be collected with others.
    Fresh,
}

impl Lane {
    /// Every lane, in order.
    pub(crate) const ALL: [Self; 3] = [Self::Urgent, Self::Again, Self::Fresh];

    /// Its number in the database.
    pub(crate) const fn number(self) -> i64 {
        match self {
            Self::Urgent => 0,
            Self::Again => 1,
            Self::Fresh => 2,
        }
    }
}

/// Where a firing goes, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Route {
    /// What happened.
    pub(crate) firing: FiringId,
    /// Where it goes.
    pub(crate) channel: ChannelName,
    /// The step of the escalation; 0 goes at once.
    pub(crate) step: u32,
    /// Passes quiet hours and grouping.
    pub(crate) urgent: bool,
    /// Not before then, and why.
    pub(crate) not_before: Option<(Timestamp, Waits)>,
    /// How the channel collects what is not urgent.
    pub(crate) grouping: Grouping,
}

#[cfg(test)]
impl Route {
    /// At once and by itself.
    pub(crate) const fn new(firing: FiringId, channel: ChannelName) -> Self {
        Self { firing, channel, step: 0, urgent: false, not_before: None, grouping: Grouping::OFF }
    }
}

/// What one batch of the evaluator asks to be recorded.
#[derive(Clone, Debug, Default)]
pub(crate) struct Record {
    /// What happened.
    pub(crate) firings: Vec<Firing>,
    /// Where each of them goes.
    pub(crate) routes: Vec<Route>,
    /// Alerts whose episode is over, with the number of its last firing: later steps of these firings are pointless.
    pub(crate) over: Vec<(AlertId, u32)>,
    /// What the evaluator remembers now.
    pub(crate) cut: Cut,
    /// Alerts whose wish a split has changed: their memory is of the new wish, so both are of one moment.
    pub(crate) rewritten: Vec<Alert>,
    /// The time of the record.
    pub(crate) now: Timestamp,
}

/// How a message is to be taken.
#[derive(Clone, Debug)]
pub(crate) struct Take {
    /// From where.
    pub(crate) lane: Lane,
    /// How what is fresh is collected.
    pub(crate) grouping: Grouping,
    /// What must be remembered of the channel once the message was taken.
    pub(crate) memory: Option<String>,
    /// The time.
    pub(crate) now: Timestamp,
}

/// A message taken for sending.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Taken {
    /// The delivery that carries it, now `sending`, and what it says.
    pub(crate) due: DueDelivery,
    /// The newest of those that became part of it just now, as many as a board holds.
    pub(crate) merged: Vec<Delivery>,
    /// Who of those it is for has got it at an earlier attempt, in the channel's own words.
    pub(crate) had_by: Option<String>,
}

/// A part of what waits in a lane, and now says what for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Marked {
    /// Those to which that is news.
    pub(crate) news: Vec<Delivery>,
    /// Whether nothing is left behind this part.
    pub(crate) whole: bool,
    /// Where it ended: when its last delivery was due, and which it is.
    pub(crate) last: Option<(Timestamp, DeliveryId)>,
}

/// Somebody who may log in.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Account {
    /// The account's number.
    pub(crate) id: UserId,
    /// The address as it was given.
    pub(crate) email: String,
    /// The password's hash, in the PHC format.
    pub(crate) password_hash: String,
    /// Tokens of another generation are void.
    pub(crate) generation: i64,
}

/// Without the hash.
impl std::fmt::Debug for Account {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Account").field("id", &self.id).finish_non_exhaustive()
    }
}

/// A stretch of time: from (inclusive), to (exclusive).
pub(crate) type Stretch = (Timestamp, Timestamp);

/// Closed bars as a provider gave them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fetched {
    /// The instrument.
    pub(crate) symbol: Symbol,
    /// The length of a bar.
    pub(crate) length: Span,
    /// Who gave them.
    pub(crate) source: FeedId,
    /// The bars.
    pub(crate) candles: Vec<Candle>,
    /// For which time they are all there are, where that is known.
    pub(crate) asked: Option<Stretch>,
}

/// What became of a portion of the history that was looked through for what is too old.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Portion {
    /// How many firings were removed.
    pub(crate) gone: u64,
    /// Behind which place to go on; `None`: the rest is younger.
    pub(crate) behind: Option<i64>,
}

/// The room that the database takes on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Room {
    /// Its size in bytes.
    pub(crate) bytes: u64,
    /// How many of these hold nothing.
    pub(crate) free: u64,
    /// The size of a page in bytes.
    pub(crate) page: u64,
    /// Whether free pages can be given back while it is in use.
    pub(crate) gives_back: bool,
}

impl Room {
    /// Whether more than `much`, and more than a quarter of it, is free.
    pub(crate) const fn is_mostly_air(&self, much: u64) -> bool {
        self.free > much && self.free > self.bytes / 4
    }
}

/// Until when a provider is to be left alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ban {
    /// Who said no.
    pub(crate) provider: String,
    /// At which host: another address of the same provider is another matter.
    pub(crate) host: String,
    /// No request leaves before.
    pub(crate) until: Timestamp,
    /// The HTTP status that said so: 403, 418, 429, 451 or 503.
    pub(crate) status: u16,
    /// Refusals in a row, this one included.
    pub(crate) failures: u32,
    /// What it said, in words without secrets.
    pub(crate) reason: String,
}

/// The database of one daemon. Cheap to clone; every call is a job for the thread that owns a connection, and what a call
/// has answered is committed.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    database: Sqlite,
}

impl Store {
    /// Opens the database in `folder`, making both where they are missing and bringing an older schema up to date.
    /// Files are private (0600, the folder 0700) under any umask. Blocks while it works.
    pub(crate) fn open(folder: &Path) -> Result<Self, OpenError> {
        Ok(Self { database: Sqlite::open(folder)? })
    }

    /// Copies the database of `folder` to a new file, as it is at one moment, also while it is in use. Blocks while it works.
    pub(crate) fn back_up(folder: &Path, to: &Path) -> Result<(), OpenError> {
        backup::back_up(folder, to)
    }

    /// Reads the whole database of `folder`, changing nothing; `false` where there is none. Blocks while it works.
    pub(crate) fn examine(folder: &Path) -> Result<bool, OpenError> {
        backup::examine(folder)
    }

    /// Makes the backup of this day unless it is there, and keeps the newest `keep` of them. Blocks while it works.
    pub(crate) fn back_up_daily(folder: &Path, keep: u32, now: Timestamp) -> Result<Option<PathBuf>, OpenError> {
        backup::back_up_daily(folder, keep, now)
    }

    /// Puts a backup in the place of the database of `folder`, which nobody may be using. Answers where the old one is now.
    pub(crate) fn restore(folder: &Path, from: &Path, now: Timestamp) -> Result<Option<PathBuf>, OpenError> {
        backup::restore(folder, from, now)
    }

    /// Finishes what was asked before, folds the journal into the database and lets go of the files. Later calls fail.
    pub(crate) async fn close(&self) {
        self.database.close().await;
    }

    /// Waits until its threads answer, whatever can be read or written.
    pub(crate) async fn answers(&self) -> Result<(), StoreError> {
        self.database.answers().await
    }

    /// Whether something can be written at this moment. Also restores the reserve for a full disk, once there is room again.
    pub(crate) async fn writable(&self) -> Result<(), StoreError> {
        self.database.writable().await
    }
}

/// Alerts: written by the gateway alone.
impl Store {
    /// Makes an alert, version 1. A `key` that this owner used for an alert that still stands gives that alert, and `true`.
    pub(crate) async fn insert_alert(
        &self,
        owner: UserId,
        rule: Rule,
        now: Timestamp,
        key: Option<String>,
    ) -> Result<(Alert, bool), StoreError> {
        self.database.write(Durability::Full, move |db| alerts::insert(db, owner, &rule, now, key.as_deref())).await
    }

    /// Makes all of these alerts or none, in one transaction. Where this owner has the same one already, or made it just now, it is that one, and `true`.
    pub(crate) async fn insert_alerts(
        &self,
        owner: UserId,
        wishes: Vec<NewWish>,
        now: Timestamp,
    ) -> Result<Vec<(Alert, bool)>, StoreError> {
        self.database.write(Durability::Full, move |db| alerts::insert_all(db, owner, &wishes, now)).await
    }

    /// Changes an alert as [`Self::edit_alert_together`] does, by one thing alone.
    #[cfg(test)]
    pub(crate) async fn edit_alert(
        &self,
        owner: UserId,
        id: AlertId,
        expected: Option<u32>,
        edit: AlertEdit,
        now: Timestamp,
    ) -> Result<Alert, StoreError> {
        self.edit_alert_together(owner, id, expected, vec![edit], now).await
    }

    /// Changes an alert by all of `edits`, one version on. With `expected`, only that version is changed. What an acknowledgement or a pause
    /// makes pointless in the outbox is cancelled with it.
    pub(crate) async fn edit_alert_together(
        &self,
        owner: UserId,
        id: AlertId,
        expected: Option<u32>,
        edits: Vec<AlertEdit>,
        now: Timestamp,
    ) -> Result<Alert, StoreError> {
        self.database.write(Durability::Full, move |db| alerts::edit(db, owner, id, expected, &edits, now)).await
    }

    /// Deletes an alert, which can be brought back for a day; its firings stay, later steps of its deliveries are cancelled. The answer
    /// is the alert at its end, one version on.
    pub(crate) async fn delete_alert(
        &self,
        owner: UserId,
        id: AlertId,
        expected: Option<u32>,
        now: Timestamp,
    ) -> Result<Alert, StoreError> {
        self.database.write(Durability::Full, move |db| alerts::delete(db, owner, id, expected, now)).await
    }

    /// Brings a deleted alert of this owner back, one version on. What the deletion cancelled stays cancelled.
    pub(crate) async fn restore_alert(
        &self,
        owner: UserId,
        id: AlertId,
        now: Timestamp,
    ) -> Result<Restored, StoreError> {
        self.database.write(Durability::Full, move |db| alerts::restore(db, owner, id, now)).await
    }

    /// One alert of this owner.
    pub(crate) async fn alert(&self, owner: UserId, id: AlertId) -> Result<Alert, StoreError> {
        self.database.read(move |db| alerts::one(db, owner, id)).await
    }

    /// Every alert of everybody, by number.
    pub(crate) async fn alerts(&self) -> Result<Vec<Alert>, StoreError> {
        self.database.read(alerts::all).await
    }
}

/// The evaluator's memory and the outbox: written by notify alone.
impl Store {
    /// All that the evaluator remembered at the last cut.
    pub(crate) async fn memory(&self) -> Result<Cut, StoreError> {
        self.database.read(outbox::memory).await
    }

    /// Records firings, one delivery for each route, the memory that belongs to them, and the alerts whose wish a split has
    /// `rewritten`, in one transaction. With firings or rewritten alerts the commit outlives a power cut. What is recorded
    /// already stays as it is; the answer is the new deliveries, and those that are cancelled because their episode is over.
    pub(crate) async fn record(&self, record: Record) -> Result<Vec<Delivery>, StoreError> {
        self.database.record(record).await
    }

    /// At start: whatever a crash interrupted while sending is due again. Answers how many.
    pub(crate) async fn recover(&self, now: Timestamp) -> Result<u64, StoreError> {
        self.database.write(Durability::Relaxed, move |db| outbox::recover(db, now)).await
    }

    /// Takes one message whose time has come, the longest due first: its delivery is `sending` now, with one attempt more. What is
    /// fresh is collected: the newest delivery carries it, the others are `merged` into that. Order is kept per alert and
    /// channel: while an earlier delivery of the same alert on this channel is under way, later ones are not taken.
    pub(crate) async fn take(&self, channel: ChannelName, take: Take) -> Result<Option<Taken>, StoreError> {
        self.database.write(Durability::Relaxed, move |db| lanes::take(db, &channel, &take)).await
    }

    /// When [`take`](Self::take) will next have something, by lane. Deliveries behind one that is being sent do not count: ask
    /// again when that is finished.
    pub(crate) async fn next_due(&self, channel: ChannelName) -> Result<[Option<Timestamp>; 3], StoreError> {
        self.database.read(move |db| lanes::next_due(db, &channel)).await
    }

    /// Notes what the deliveries of a lane that are due wait for, a part of them at a time: those behind the place where the part
    /// before ended. It is there to be read; it holds nothing.
    pub(crate) async fn mark(
        &self,
        channel: ChannelName,
        lane: Lane,
        waits: Waits,
        now: Timestamp,
        behind: Option<(Timestamp, DeliveryId)>,
    ) -> Result<Marked, StoreError> {
        self.database.write(Durability::Relaxed, move |db| lanes::mark(db, &channel, lane, waits, now, behind)).await
    }

    /// Notes who has got the message of a delivery already, for its next attempt.
    pub(crate) async fn note_taken_by(&self, id: DeliveryId, taken_by: String) -> Result<(), StoreError> {
        self.database.write(Durability::Relaxed, move |db| lanes::note_taken_by(db, id, &taken_by)).await
    }

    /// Holds what is due and not urgent until the end of the quiet hours; its time runs from then on.
    pub(crate) async fn hold(
        &self,
        channel: ChannelName,
        until: Timestamp,
        now: Timestamp,
    ) -> Result<Vec<Delivery>, StoreError> {
        self.database.write(Durability::Relaxed, move |db| lanes::hold(db, &channel, until, now)).await
    }

    /// The newest of the deliveries that are part of this one's digest, as many as a board holds.
    pub(crate) async fn members(&self, id: DeliveryId) -> Result<Vec<Delivery>, StoreError> {
        self.database.read(move |db| lanes::members(db, id)).await
    }

    /// Has a delivery that is dead or unknown sent again, with all that was part of its digest. `Err` of the inner result: it is in
    /// this state, from which there is no way back.
    pub(crate) async fn resend(
        &self,
        owner: UserId,
        id: DeliveryId,
        now: Timestamp,
    ) -> Result<Result<Delivery, DeliveryState>, StoreError> {
        self.database.write(Durability::Full, move |db| lanes::resend(db, owner, id, now)).await
    }

    /// The deliveries of this alert that were cancelled since then.
    pub(crate) async fn cancelled(&self, alert: AlertId, since: Timestamp) -> Result<Vec<Delivery>, StoreError> {
        self.database.read(move |db| lanes::cancelled(db, alert, since)).await
    }

    /// What was to be remembered of a channel.
    pub(crate) async fn channel_memory(&self, channel: ChannelName) -> Result<Option<String>, StoreError> {
        self.database.read(move |db| lanes::channel_memory(db, &channel)).await
    }

    /// Remembers this of a channel.
    pub(crate) async fn remember_channel(&self, channel: ChannelName, memory: String) -> Result<(), StoreError> {
        self.database.write(Durability::Relaxed, move |db| lanes::remember_channel(db, &channel, &memory)).await
    }

    /// Notes how the attempt under way ended.
    pub(crate) async fn finish(
        &self,
        id: DeliveryId,
        outcome: Outcome,
        now: Timestamp,
    ) -> Result<Delivery, StoreError> {
        self.database.write(Durability::Relaxed, move |db| outbox::finish(db, id, outcome, now)).await
    }

    /// The same, and in the same transaction takes the next message: what `choose` wants to take, told when each lane has something
    /// ([`next_due`](Self::next_due)). On an error neither is done.
    pub(crate) async fn finish_and_take(
        &self,
        id: DeliveryId,
        outcome: Outcome,
        now: Timestamp,
        choose: impl FnOnce([Option<Timestamp>; 3]) -> Option<Take> + Send + 'static,
    ) -> Result<(Delivery, Option<Taken>), StoreError> {
        let both = move |db: &_| {
            let delivery = outbox::finish(db, id, outcome, now)?;
            let channel = delivery.channel.clone();
            let next = choose(lanes::next_due(db, &channel)?);
            let taken = next.map_or(Ok(None), |take| lanes::take(db, &channel, &take))?;
            Ok((delivery, taken))
        };
        self.database.write(Durability::Relaxed, both).await
    }

    /// For each channel with unfinished deliveries, how many, and from when on the time of the oldest runs.
    pub(crate) async fn queue(&self) -> Result<Vec<(ChannelName, i64, Timestamp)>, StoreError> {
        self.database.read(outbox::queue).await
    }

    /// The size of the database in bytes, and how many alerts and firings it holds.
    pub(crate) async fn extent(&self) -> Result<(u64, u64, u64), StoreError> {
        self.database.read(outbox::extent).await
    }

    /// How many deliveries of each channel are open or dead, by state.
    pub(crate) async fn census(&self) -> Result<Vec<(ChannelName, DeliveryState, i64)>, StoreError> {
        self.database.read(outbox::census).await
    }

    /// At start: gives up what waits for a channel that is not among the `known` ones. Answers how many.
    pub(crate) async fn unroutable(&self, known: Vec<ChannelName>, now: Timestamp) -> Result<u64, StoreError> {
        self.database.write(Durability::Relaxed, move |db| outbox::unroutable(db, &known, now)).await
    }
}

/// History, for reading.
impl Store {
    /// A page of this owner's firings, perhaps of one alert, the newest first, each with its deliveries.
    pub(crate) async fn firings(
        &self,
        owner: UserId,
        alert: Option<AlertId>,
        cursor: Option<String>,
        limit: u32,
    ) -> Result<Page<EventView>, StoreError> {
        let listing = Listing::Firings { owner, alert };
        let cursor = Cursor::read(listing, cursor.as_deref())?;
        self.database.read(move |db| history::firings(db, listing, owner, alert, cursor, page_rows(limit))).await
    }

    /// A page of this owner's deliveries, perhaps of one state, the newest first.
    pub(crate) async fn deliveries(
        &self,
        owner: UserId,
        state: Option<DeliveryState>,
        cursor: Option<String>,
        limit: u32,
    ) -> Result<Page<Delivery>, StoreError> {
        let listing = Listing::Deliveries { owner, state };
        let cursor = Cursor::read(listing, cursor.as_deref())?;
        self.database.read(move |db| history::deliveries(db, listing, owner, state, cursor, page_rows(limit))).await
    }

    /// Everybody's newest firings, newest first, as many as a board holds, and the deliveries of these.
    pub(crate) async fn recent(&self) -> Result<(Vec<Firing>, Vec<Delivery>), StoreError> {
        self.database.read(history::recent).await
    }
}

fn page_rows(limit: u32) -> u32 {
    limit.clamp(1, PAGE_ROWS)
}

/// Prices: written by record, and thinned out by retention, alone.
impl Store {
    /// Writes one-minute bars and last prices over what was there.
    pub(crate) async fn record_prices(&self, bars: Vec<(Symbol, Candle)>, last: Vec<Ticker>) -> Result<(), StoreError> {
        self.database.write(Durability::Dispensable, move |db| prices::record(db, &bars, &last)).await
    }

    /// The newest known price of every instrument, by symbol.
    pub(crate) async fn last_prices(&self) -> Result<Vec<Ticker>, StoreError> {
        self.database.read(prices::last).await
    }

    /// Bars of `interval` (at least a minute, counted from 1970 in UTC) made of the one-minute bars that start in `from..to`:
    /// the newest `limit` of them, oldest first. Times without a price have no bar.
    pub(crate) async fn candles(
        &self,
        symbol: Symbol,
        interval: Span,
        from: Timestamp,
        to: Timestamp,
        limit: u32,
    ) -> Result<Vec<Candle>, StoreError> {
        self.database.read(move |db| prices::candles(db, symbol, interval, from, to, limit)).await
    }

    /// The one-minute bars of these instruments that start in `from..to`, oldest first.
    pub(crate) async fn bars(
        &self,
        symbols: Vec<Symbol>,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<(Symbol, Candle)>, StoreError> {
        self.database.read(move |db| prices::bars(db, &symbols, from, to)).await
    }

    /// For every instrument, the last close in each of `steps` equal parts of `from..to`, oldest first. Empty parts are left out.
    pub(crate) async fn sparklines(
        &self,
        from: Timestamp,
        to: Timestamp,
        steps: u32,
    ) -> Result<HashMap<Symbol, Vec<Price>>, StoreError> {
        self.database.read(move |db| prices::sparklines(db, from, to, steps)).await
    }

    /// Condenses the one-minute bars that start before then to hours and forgets them. Answers how many.
    pub(crate) async fn prune_bars(&self, before: Timestamp) -> Result<u64, StoreError> {
        let hour = Span::from_seconds(3_600);
        let before = Timestamp::from_micros(before.as_micros().div_euclid(hour.as_micros()) * hour.as_micros());
        let prune = move |db: &_| {
            candles::condense(db, before)?;
            prices::prune(db, before)
        };
        self.database.write(Durability::Dispensable, prune).await
    }
}

/// What is too old, and the room it leaves: retention alone.
impl Store {
    /// When the oldest one-minute bar begins.
    pub(crate) async fn oldest_bar(&self) -> Result<Option<Timestamp>, StoreError> {
        self.database.read(prices::oldest).await
    }

    /// Removes what was recorded before then, with its deliveries, among the next firings behind a place (0: from the first on). What has
    /// something to be sent yet stays, and so does the last firing of an alert that stands.
    pub(crate) async fn prune_firings(&self, before: Timestamp, behind: i64) -> Result<Portion, StoreError> {
        self.database.write(Durability::Dispensable, move |db| room::prune_firings(db, before, behind)).await
    }

    /// How much of the database's file is in use.
    pub(crate) async fn room(&self) -> Result<Room, StoreError> {
        self.database.read(room::room).await
    }

    /// Gives so many free pages back to the disk, the file being cut when the journal is folded in next.
    pub(crate) async fn give_back(&self, pages: u64) -> Result<(), StoreError> {
        self.database.write(Durability::Dispensable, move |db| room::give_back(db, pages)).await
    }
}

/// Fetched bars: written by history alone, but for what retention condenses.
impl Store {
    /// Keeps fetched bars, over what was fetched before.
    pub(crate) async fn put_candles(&self, fetched: Fetched, now: Timestamp) -> Result<(), StoreError> {
        self.database.write(Durability::Dispensable, move |db| candles::put(db, &fetched, now)).await
    }

    /// The kept bars of one length that start in `from..to`, oldest first, each with whom it is from (nobody: recorded here).
    pub(crate) async fn fetched(
        &self,
        symbol: Symbol,
        length: Span,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<(Candle, Option<FeedId>)>, StoreError> {
        self.database.read(move |db| candles::between(db, symbol, length, from, to)).await
    }

    /// For which times that touch `from..to` a provider was asked for bars of this length, oldest first.
    pub(crate) async fn asked(
        &self,
        symbol: Symbol,
        length: Span,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<Stretch>, StoreError> {
        self.database.read(move |db| candles::asked(db, symbol, length, from, to)).await
    }

    /// The times within `from..to` in which one-minute bars were recorded without a pause of more than `pause`; with `volumes` only bars
    /// count that say what was traded.
    pub(crate) async fn recorded_runs(
        &self,
        symbol: Symbol,
        from: Timestamp,
        to: Timestamp,
        pause: Span,
        volumes: bool,
    ) -> Result<Vec<Stretch>, StoreError> {
        self.database.read(move |db| candles::runs(db, symbol, from, to, pause, volumes)).await
    }

    /// Forgets what was fetched of an instrument before a split and not after it. Answers how many bars.
    pub(crate) async fn forget_before(&self, symbol: Symbol, split: Timestamp) -> Result<u64, StoreError> {
        self.database.write(Durability::Relaxed, move |db| candles::forget_before(db, symbol, split)).await
    }

    /// Forgets fetched bars of each length that start before its time. Answers how many.
    pub(crate) async fn prune_candles(&self, keep: Vec<(Span, Timestamp)>) -> Result<u64, StoreError> {
        self.database.write(Durability::Dispensable, move |db| candles::prune(db, &keep)).await
    }
}

/// Providers that said no: written by their clients alone.
impl Store {
    /// Every ban that is known, over or not.
    pub(crate) async fn bans(&self) -> Result<Vec<Ban>, StoreError> {
        self.database.read(bans::all).await
    }

    /// Notes a ban, over the one before of this provider and host.
    pub(crate) async fn put_ban(&self, ban: Ban) -> Result<(), StoreError> {
        self.database.write(Durability::Relaxed, move |db| bans::put(db, &ban)).await
    }

    /// Forgets a ban: the provider answers again.
    pub(crate) async fn lift_ban(&self, provider: String, host: String) -> Result<(), StoreError> {
        self.database.write(Durability::Relaxed, move |db| bans::lift(db, &provider, &host)).await
    }
}

/// What was added to the catalogue: written by the gateway alone.
impl Store {
    /// Every added instrument, in the order in which they were added.
    pub(crate) async fn added_instruments(&self) -> Result<Vec<Instrument>, StoreError> {
        self.database.read(instruments::all).await
    }

    /// Adds an instrument to the catalogue of the next start. At most [`INSTRUMENTS`].
    pub(crate) async fn add_instrument(&self, instrument: Instrument, now: Timestamp) -> Result<(), StoreError> {
        self.database.write(Durability::Full, move |db| instruments::add(db, &instrument, now)).await
    }

    /// Takes an added instrument away again; its bars and firings stay.
    pub(crate) async fn remove_instrument(&self, symbol: Symbol) -> Result<(), StoreError> {
        self.database.write(Durability::Full, move |db| instruments::remove(db, symbol)).await
    }
}

/// Channels that were set up while the daemon ran: written by the gateway alone.
impl Store {
    /// Every one with its settings, secrets included.
    pub(crate) async fn channels_set(&self) -> Result<Vec<(ChannelName, serde_json::Value)>, StoreError> {
        self.database.read(channels::all).await
    }

    /// Sets a channel up, or anew. At most [`CHANNELS`].
    pub(crate) async fn put_channel(
        &self,
        name: ChannelName,
        settings: serde_json::Value,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.database.write(Durability::Full, move |db| channels::put(db, &name, &settings, now)).await
    }

    /// Takes a channel away again.
    pub(crate) async fn remove_channel(&self, name: ChannelName) -> Result<(), StoreError> {
        self.database.write(Durability::Full, move |db| channels::remove(db, &name)).await
    }
}

/// What was answered to calls that may come again: written by the gateway alone.
impl Store {
    /// The answer that this call was given, where it came before.
    pub(crate) async fn known_answer(&self, asking: Asking) -> Result<Option<Answer>, StoreError> {
        self.database.read(move |db| answers::known(db, &asking)).await
    }

    /// Keeps the answer for when the call comes again.
    pub(crate) async fn keep_answer(&self, asking: Asking, answer: Answer, now: Timestamp) -> Result<(), StoreError> {
        self.database.write(Durability::Full, move |db| answers::keep(db, &asking, &answer, now)).await
    }
}

/// Accounts and keys: written by auth alone.
impl Store {
    /// Makes an account. Its number is never the owner's.
    pub(crate) async fn create_user(
        &self,
        email: String,
        password_hash: String,
        now: Timestamp,
    ) -> Result<UserId, StoreError> {
        self.database.write(Durability::Full, move |db| users::create(db, &email, &password_hash, now)).await
    }

    /// The account of this address, in upper or lower case.
    pub(crate) async fn user_by_email(&self, email: String) -> Result<Option<Account>, StoreError> {
        self.database.read(move |db| users::by_email(db, &email)).await
    }

    /// The account of this number.
    pub(crate) async fn user(&self, id: UserId) -> Result<Option<Account>, StoreError> {
        self.database.read(move |db| users::by_id(db, id)).await
    }

    /// Begins a new generation of an account's tokens, with another password or without. Where `generation` is no longer the
    /// current one, somebody else was faster, and there is no such account. The answer is the new one.
    pub(crate) async fn renew_user(
        &self,
        id: UserId,
        generation: i64,
        password_hash: Option<String>,
    ) -> Result<i64, StoreError> {
        let renew = move |db: &_| users::renew(db, id, generation, password_hash.as_deref());
        self.database.write(Durability::Full, renew).await
    }

    /// Deletes an account with its alerts, firings and deliveries, in one. The answer names the alerts that stood, with their
    /// versions at the end. What others' deliveries had in a message with its own goes out by itself.
    pub(crate) async fn delete_user(&self, id: UserId, now: Timestamp) -> Result<Vec<(AlertId, u32)>, StoreError> {
        self.database.write(Durability::Full, move |db| users::delete(db, id, now)).await
    }

    /// The key stored under this name, where there is one.
    pub(crate) async fn known_secret(&self, name: &'static str) -> Result<Option<Vec<u8>>, StoreError> {
        self.database.read(move |db| users::known_secret(db, name)).await
    }

    /// Puts a new key in the place of the one under `name`, which moves to `previous` behind the time of the change (microseconds
    /// since 1970, 8 bytes, big-endian). The answer is what stands there then.
    pub(crate) async fn rotate_secret(
        &self,
        name: &'static str,
        previous: &'static str,
        fresh: Vec<u8>,
        now: Timestamp,
    ) -> Result<Vec<u8>, StoreError> {
        self.database.write(Durability::Full, move |db| users::rotate(db, name, previous, &fresh, now)).await
    }

    /// The key stored under this name; `fresh` is stored where there is none.
    pub(crate) async fn secret(&self, name: &'static str, fresh: Vec<u8>) -> Result<Vec<u8>, StoreError> {
        self.database.write(Durability::Full, move |db| users::secret(db, name, &fresh)).await
    }
}
