//! Writes down every price that is handed to the evaluator, as a file that `backtest --ticks` judges and the tape feed plays.
//!
//! A watcher: it delays nobody. Where the disk is full it ends with one error, and the daemon goes on without it.

use std::{
    fs::{File, OpenOptions},
    io::{Read as _, Seek as _, SeekFrom, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::Context as _;
use bellwether_core::{
    backtest::tape::{MAX_ROW, RECORDED_HEADER, recorded},
    tick::Tick,
};
use tokio::{io::AsyncWriteExt as _, sync::mpsc};

/// Evaluate to the recording. Full: the price is left out of it, and counted.
const TICKS: usize = 65_536;
/// How often is written.
const FLUSH: Duration = Duration::from_secs(1);
/// From so many bytes on it is written at once.
const MANY: usize = 1 << 20;

/// Where the evaluator puts what it is given. Clones share everything.
#[derive(Clone, Debug)]
pub(crate) struct Recorder {
    ticks: mpsc::Sender<Tick>,
    left_out: Arc<AtomicU64>,
}

impl Recorder {
    /// Notes a price, and waits for nothing.
    pub(crate) fn put(&self, tick: &Tick) {
        if let Err(mpsc::error::TrySendError::Full(_)) = self.ticks.try_send(tick.clone()) {
            self.left_out.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// A file that is recorded into.
#[derive(Debug)]
pub(crate) struct Recording {
    path: PathBuf,
    file: File,
    /// How long the file is, as far as it is whole.
    whole: u64,
    ticks: mpsc::Receiver<Tick>,
    left_out: Arc<AtomicU64>,
}

impl Recording {
    /// Opens the file to go on with it, or makes it, for its owner alone.
    pub(crate) fn open(path: &Path) -> anyhow::Result<(Recorder, Self)> {
        let name = path.display();
        let mut file = OpenOptions::new()
            .create(true)
            .read(true)
            .append(true)
            .mode(0o600)
            .open(path)
            .with_context(|| format!("cannot record into {name}"))?;
        begin(&mut file).with_context(|| format!("cannot record into {name}"))?;
        let whole = file.metadata().with_context(|| format!("cannot record into {name}"))?.len();
        let (sender, ticks) = mpsc::channel(TICKS);
        let left_out = Arc::new(AtomicU64::new(0));
        let recorder = Recorder { ticks: sender, left_out: Arc::clone(&left_out) };
        Ok((recorder, Self { path: path.to_owned(), file, whole, ticks, left_out }))
    }

    /// Records until the evaluator has let go of its end.
    pub(crate) async fn run(self) {
        let Self { path, file, mut whole, mut ticks, left_out } = self;
        let mut file = tokio::fs::File::from_std(file);
        let mut flush = tokio::time::interval(FLUSH);
        flush.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut rows = String::new();
        loop {
            let more = tokio::select! {
                tick = ticks.recv() => match tick {
                    Some(tick) => {
                        rows.push_str(&recorded(&tick));
                        if rows.len() < MANY {
                            continue;
                        }
                        true
                    }
                    None => false,
                },
                _ = flush.tick() => true,
            };
            let missed = left_out.swap(0, Ordering::Relaxed);
            if missed > 0 {
                tracing::warn!(missed, file = %path.display(), "the disk is slow: prices are missing in the recording");
            }
            if !rows.is_empty() {
                if let Err(error) = write(&mut file, rows.as_bytes()).await {
                    tracing::error!(%error, file = %path.display(), "recording has stopped; the daemon goes on");
                    // No half row at the end.
                    drop(file.set_len(whole).await);
                    break;
                }
                whole += rows.len() as u64;
                rows.clear();
            }
            if !more {
                return;
            }
        }
        // Whoever hands over prices is not to hear of it.
        while ticks.recv().await.is_some() {}
    }
}

async fn write(file: &mut tokio::fs::File, rows: &[u8]) -> std::io::Result<()> {
    file.write_all(rows).await?;
    file.flush().await
}

/// Writes the header of a new file; refuses one that is no recording, and ends a row that broke off.
fn begin(file: &mut File) -> anyhow::Result<()> {
    let meta = file.metadata()?;
    anyhow::ensure!(meta.is_file(), "it is no file");
    if meta.len() == 0 {
        return Ok(writeln!(file, "{RECORDED_HEADER}")?);
    }
    let mut first = Vec::new();
    std::io::Read::take(&*file, MAX_ROW as u64).read_to_end(&mut first)?;
    let first = first.split(|b| *b == b'\n').next().unwrap_or_default();
    anyhow::ensure!(
        first.trim_ascii_end() == RECORDED_HEADER.as_bytes(),
        "it holds something else\n\nhint: name a file that is not there yet; a recording begins with `{RECORDED_HEADER}`"
    );
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    if last != *b"\n" {
        writeln!(file)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use bellwether_core::{instrument::FeedId, time::Timestamp};

    use super::*;

    fn tick(seconds: i64, price: &str) -> Tick {
        let at = Timestamp::from_seconds(1_795_000_000 + seconds);
        Tick {
            exchange_time: Some(at.minus(bellwether_core::time::Span::from_seconds(2))),
            ..Tick::new("BTC".parse().expect("a symbol"), price.parse().expect("a price"), FeedId::Coinbase, at)
        }
    }

    #[tokio::test]
    async fn a_recording_goes_on_where_it_was_and_belongs_to_its_owner_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("tape.csv");
        for (second, price) in [(0, "60000.5"), (60, "60001")] {
            let (recorder, recording) = Recording::open(&path).expect("opened");
            recorder.put(&tick(second, price));
            drop(recorder);
            recording.run().await;
        }
        let text = fs::read_to_string(&path).expect("recorded");
        let rows: Vec<&str> = text.lines().collect();
        assert_eq!(rows.len(), 3, "{text}");
        assert_eq!(rows[0], RECORDED_HEADER);
        assert!(rows[1].contains(",BTC,60000.5,") && rows[1].ends_with(",coinbase,regular"), "{text}");
        assert_eq!(fs::metadata(&path).expect("a file").permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_file_that_is_no_recording_is_left_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("letter.txt");
        fs::write(&path, "Dear Sir\n").expect("written");
        let error = format!("{:#}", Recording::open(&path).expect_err("refused"));
        assert!(error.contains("holds something else") && error.contains("hint: "), "{error}");
        assert_eq!(fs::read_to_string(&path).expect("there"), "Dear Sir\n");
    }

    #[test]
    fn a_row_that_broke_off_spoils_no_other() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("tape.csv");
        fs::write(&path, format!("{RECORDED_HEADER}\n2026-11-20T21:")).expect("written");
        drop(Recording::open(&path).expect("opened"));
        assert!(fs::read_to_string(&path).expect("there").ends_with("2026-11-20T21:\n"));
    }

    #[tokio::test]
    async fn a_full_disk_ends_the_recording_and_nothing_else() {
        let (recorder, mut recording) = {
            let folder = tempfile::tempdir().expect("a folder");
            Recording::open(&folder.path().join("tape.csv")).expect("opened")
        };
        // Every write fails with "no space left on device".
        recording.file = OpenOptions::new().write(true).open("/dev/full").expect("Linux has one");
        let task = tokio::spawn(recording.run());
        for second in 0..10 {
            recorder.put(&tick(second, "60000"));
        }
        drop(recorder);
        task.await.expect("no panic");
    }
}
