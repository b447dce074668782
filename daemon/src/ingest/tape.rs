//! A recording that is played as if it were live: times are shifted to now, and each price is as old as it was when it was
//! recorded. The file is read as it is played, in bounded memory, whatever it holds.

use std::{
    collections::HashMap,
    convert::Infallible,
    fs::File,
    io::{self, BufRead, BufReader, Read as _},
    path::{Path, PathBuf},
};

use bellwether_core::{
    backtest::tape::{MAX_ROW, Names, RowError, check_header, row},
    catalog::Catalog,
    config::{self, Speed},
    instrument::{Instrument, Symbol},
    tick::Tick,
    time::{Span, Timestamp},
};
use tokio::{sync::mpsc, time::Instant};

use super::supervise::{Link, Trouble};

/// How many rows are read ahead.
const AHEAD: usize = 1_024;
/// The least time between two prices of one instrument, which a fast tape may push together.
const APART: Span = Span::from_micros(1);

/// Says what is wrong with a file that is to be played, before anything starts.
pub(crate) fn check(path: &Path) -> Result<(), String> {
    Rows::open(path).map(drop)
}

/// A recording being played.
pub(super) struct Tape {
    path: PathBuf,
    speed: Speed,
    instruments: Vec<Instrument>,
    rows: Option<mpsc::Receiver<Item>>,
    /// Taken and not played yet.
    next: Option<Played>,
    /// The time of the last price of each instrument.
    last: HashMap<Symbol, Timestamp>,
    prices: u64,
}

/// A row, as it is to be played.
struct Played {
    /// As it was recorded.
    tick: Tick,
    /// When it arrived in its own time.
    arrived: Timestamp,
}

/// What the reader finds.
enum Item {
    Row(Played),
    /// The end, and how many rows were left out: of instruments that are not watched, and such as cannot be read.
    End {
        others: u64,
        unreadable: u64,
        broken: Option<String>,
    },
}

impl Tape {
    pub(super) fn new(config: &config::Tape, instruments: Vec<Instrument>) -> Self {
        let (path, speed) = (config.file.clone(), config.speed);
        Self { path, speed, instruments, rows: None, next: None, last: HashMap::new(), prices: 0 }
    }

    /// Plays to the end, and then stays silent.
    pub(super) async fn run(&mut self, link: &mut Link) -> Result<Infallible, Trouble> {
        if self.rows.is_none() {
            let rows = Rows::open(&self.path).map_err(Trouble::refused)?;
            self.rows = Some(read_ahead(rows, self.instruments.clone()));
        }
        link.live(None).await?;
        // The first row that is played now, and when: after a suspend the tape goes on where it was.
        let mut begun: Option<(Timestamp, Instant)> = None;
        loop {
            if self.next.is_none() {
                let item = match &mut self.rows {
                    Some(rows) => rows.recv().await,
                    None => None,
                };
                match item {
                    Some(Item::Row(played)) => self.next = Some(played),
                    Some(Item::End { others, unreadable, broken }) => {
                        self.ended(others, unreadable, broken.as_deref());
                    }
                    // Over: nothing more is to be expected of this feed.
                    None => {
                        link.idle().await?;
                        return std::future::pending().await;
                    }
                }
            }
            let Some(played) = &self.next else { continue };
            let (first, start) = *begun.get_or_insert((played.arrived, Instant::now()));
            if let Speed::Times(times) = self.speed {
                let passed = played.arrived.since(first).as_micros() / i64::from(times.max(1));
                if let Ok(passed) = u64::try_from(passed) {
                    tokio::time::sleep_until(start + std::time::Duration::from_micros(passed)).await;
                }
            }
            if let Some(played) = self.next.take() {
                let tick = self.shifted(played, link.now());
                self.prices += 1;
                link.tick(tick).await?;
            }
        }
    }

    /// The price as if it came now: as old as it was, but never older than the one before it.
    fn shifted(&mut self, played: Played, now: Timestamp) -> Tick {
        let Played { mut tick, arrived } = played;
        let age = arrived.since(tick.exchange_time.unwrap_or(arrived));
        let time = now.minus(age);
        let last = self.last.entry(tick.symbol).or_insert(time);
        *last = time.max(if *last == time { time } else { last.plus(APART) });
        tick.exchange_time = Some(*last);
        tick.received_time = now;
        tick
    }

    fn ended(&self, others: u64, unreadable: u64, broken: Option<&str>) {
        let (file, prices) = (self.path.display(), self.prices);
        if let Some(error) = broken {
            tracing::error!(%file, prices, error, "the tape broke off");
        } else {
            tracing::info!(%file, prices, others, unreadable, "the tape has ended");
        }
    }
}

/// Reads in a thread of its own, as far ahead as there is room.
fn read_ahead(mut rows: Rows, instruments: Vec<Instrument>) -> mpsc::Receiver<Item> {
    let (sender, receiver) = mpsc::channel(AHEAD);
    tokio::task::spawn_blocking(move || {
        let catalog = Catalog::new(instruments);
        let mut names = Names::new(&catalog);
        let (mut others, mut unreadable) = (0, 0);
        let broken = loop {
            let line = match rows.next() {
                Ok(Some(line)) => line,
                Ok(None) => break None,
                Err(error) => break Some(error.to_string()),
            };
            let read = line.and_then(row).and_then(|row| {
                row.map(|row| names.tick(&row).map(|tick| (row.received.unwrap_or(row.time), tick))).transpose()
            });
            match read {
                Ok(Some((arrived, tick))) if catalog.get(tick.symbol).is_some() => {
                    if sender.blocking_send(Item::Row(Played { tick, arrived })).is_err() {
                        return;
                    }
                }
                Ok(Some(_)) => others += 1,
                Ok(None) => {}
                Err(_) => unreadable += 1,
            }
        };
        drop(sender.blocking_send(Item::End { others, unreadable, broken }));
    });
    receiver
}

/// The lines of a tape, one at a time.
struct Rows {
    input: BufReader<File>,
    line: Vec<u8>,
}

impl Rows {
    fn open(path: &Path) -> Result<Self, String> {
        let named = |error: &dyn std::fmt::Display| format!("cannot play {}: {error}", path.display());
        let file = File::open(path).map_err(|e| named(&e))?;
        let mut rows = Self { input: BufReader::with_capacity(1 << 16, file), line: Vec::new() };
        let header = rows.next().map_err(|e| named(&e))?.unwrap_or(Ok(b""));
        header.map_err(|e| named(&e)).and_then(|header| check_header(header).map_err(|e| named(&e)))?;
        Ok(rows)
    }

    /// The next line; nothing at the end. Of a line that is too long no more than the limit is kept.
    fn next(&mut self) -> io::Result<Option<Result<&[u8], RowError>>> {
        self.line.clear();
        if (&mut self.input).take(MAX_ROW as u64 + 1).read_until(b'\n', &mut self.line)? == 0 {
            return Ok(None);
        }
        if self.line.len() > MAX_ROW && self.line.last() != Some(&b'\n') {
            self.input.skip_until(b'\n')?;
            return Ok(Some(Err(RowError::TooLong)));
        }
        Ok(Some(Ok(&self.line)))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bellwether_core::{event::FeedState, instrument::FeedId, tick::Session};

    use super::*;
    use crate::ingest::{
        supervise::{Feed, jittered},
        test_support::{Desk, instruments},
    };

    const FILE: &str = "time,symbol,price,received,source,session\n\
        2026-11-20T20:59:58.000Z,AAPL,300.25,2026-11-20T21:00:00.000Z,yahoo,regular\n\
        2026-11-20T21:00:10.000Z,BTC,60000,2026-11-20T21:00:10.000Z,coinbase,regular\n\
        this is no row\n\
        2026-11-20T21:00:10.000Z,NOBODY,1,2026-11-20T21:00:10.000Z,coinbase,regular\n\
        2026-11-20T21:00:18.000Z,AAPL,301,2026-11-20T21:00:20.000Z,yahoo,post\n";

    fn tape(file: &str, speed: Speed) -> (tempfile::TempDir, Tape) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("tape.csv");
        std::fs::write(&path, file).expect("written");
        let config = config::Tape { enabled: true, file: path, speed };
        (folder, Tape::new(&config, instruments(&["AAPL", "BTC"])))
    }

    #[tokio::test(start_paused = true)]
    async fn a_recording_is_played_at_its_speed_with_each_price_as_old_as_it_was() {
        let (_folder, tape) = tape(FILE, Speed::Times(10));
        let mut desk = Desk::new();
        let task = desk.run(Feed::Tape(tape), FeedId::Tape, jittered);
        desk.status(FeedState::Live).await;
        let begun = Instant::now();
        let mut played = Vec::new();
        for _ in 0..3 {
            played.append(&mut desk.ticks().await);
        }
        let took = begun.elapsed();
        assert!((Duration::from_millis(1_900)..Duration::from_millis(2_200)).contains(&took), "{took:?}");
        let ages: Vec<i64> =
            played.iter().map(|t| t.received_time.since(t.exchange_time.expect("a time")).as_millis()).collect();
        assert_eq!((ages[0], ages[1]), (2_000, 0));
        assert!(played.iter().all(|t| t.source == FeedId::Tape));
        assert_eq!((played[2].session, played[2].price.to_string()), (Session::Post, "301".to_owned()));
        desk.status(FeedState::Off).await;
        desk.stop();
        task.await.expect("no panic").expect("no error");
    }

    #[tokio::test]
    async fn at_full_speed_the_order_of_each_instrument_is_kept() {
        let rows: Vec<String> =
            (0..500).map(|n| format!("{},BTC,{}\n", 1_795_000_000_000_i64 + n, 60_000 + n)).collect();
        let (_folder, tape) = tape(&format!("time,symbol,price\n{}", rows.concat()), Speed::Max);
        let mut desk = Desk::new();
        desk.run(Feed::Tape(tape), FeedId::Tape, jittered);
        let mut times = Vec::new();
        for n in 0..500 {
            let tick = desk.ticks().await.remove(0);
            assert_eq!(tick.price.to_string(), (60_000 + n).to_string());
            times.push(tick.exchange_time.expect("a time"));
        }
        assert!(times.is_sorted());
        desk.status(FeedState::Off).await;
        desk.stop();
    }

    #[test]
    fn a_file_that_is_no_tape_is_refused_before_anything_starts() {
        let (folder, tape) = tape("symbol;price\n", Speed::Max);
        let error = check(&tape.path).expect_err("no tape");
        assert!(error.contains("does not begin with the header"), "{error}");
        assert!(check(&folder.path().join("none")).expect_err("no file").contains("cannot play"));
    }
}
