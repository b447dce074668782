//! Alerts over a file of ticks, in memory that does not grow with the file.

use std::{
    collections::{BTreeMap, HashSet},
    fs::File,
    io::{self, BufRead, BufReader, Write},
    path::Path,
};

use anyhow::Context as _;
use bellwether_core::{
    backtest::{
        Backtest, BacktestFiring, read_alerts,
        tape::{self, Names, RowError},
        watched,
    },
    catalog::{Catalog, LookupError},
    evaluator::{Admission, Rejection},
    instrument::{Symbol, default_stale_after},
    text::sanitize,
    tick::Tick,
    time::{Span, Timestamp},
};
use flate2::bufread::MultiGzDecoder;
use jiff::tz::TimeZone;

use super::{Wanted, counted, lines::Lines, misunderstood, tell};
use crate::{cli::BacktestArgs, error::UserError, out};

/// How much of the file is read at once.
const BUFFER: usize = 1 << 16;

/// Runs the alerts over the file; `-` is standard input.
pub(super) fn run(args: &BacktestArgs, file: &Path, wanted: &[Wanted]) -> anyhow::Result<()> {
    let how = How {
        stale_after: args.stale_after.unwrap_or_else(default_stale_after),
        timezone: args.tz.clone().unwrap_or(TimeZone::UTC),
        at_once: file == Path::new("-"),
    };
    // As of 1970, so that a date is never in the past: a mistake is told before the first row is waited for.
    understood(wanted, &mut Catalog::builtin(), Timestamp::default(), &how.timezone)?;
    let (input, name) = open(file)?;
    let mut out = io::BufWriter::new(io::stdout().lock());
    let mut complain = |number: u64, error: &RowError| out::note(&format!("line {number}: {error}"));
    let tally = over(input, &how, wanted, &mut out, &mut complain).with_context(|| name.clone())?;
    tally.tell();
    if tally.bad > 0 {
        let rows = counted(tally.bad, "row");
        return Err(UserError::new(format!("{name}: {rows} could not be read, and nothing was judged there")).into());
    }
    Ok(())
}

/// How the file is to be judged.
#[derive(Debug)]
struct How {
    stale_after: Span,
    timezone: TimeZone,
    /// Whether each firing is written at once: whoever writes the rows may wait for it.
    at_once: bool,
}

fn open(file: &Path) -> Result<(Box<dyn BufRead>, String), UserError> {
    if file == Path::new("-") {
        return Ok((Box::new(BufReader::with_capacity(BUFFER, io::stdin())), "standard input".to_owned()));
    }
    let name = sanitize(&file.display().to_string());
    let opened = File::open(file).map_err(|e| UserError::with_hint(format!("cannot read {name}: {e}"), "--ticks takes a CSV file with the header time,symbol,price, or what `bellwether daemon --record FILE` has written"))?;
    let input = BufReader::with_capacity(BUFFER, opened);
    if file.extension().is_some_and(|e| e.eq_ignore_ascii_case("gz")) {
        return Ok((Box::new(BufReader::with_capacity(BUFFER, MultiGzDecoder::new(input))), name));
    }
    Ok((Box::new(input), name))
}

/// What became of the rows and the alerts.
#[derive(Debug)]
struct Tally {
    bad: u64,
    accepted: u64,
    /// Rows of instruments that no alert looks at.
    others: u64,
    rejected: BTreeMap<&'static str, u64>,
    /// Instruments of the alerts that the file never names.
    unseen: HashSet<Symbol>,
    backtest: Backtest,
}

impl Tally {
    fn count(&mut self, symbol: Symbol, admission: Admission) {
        match admission {
            Admission::Accepted => self.accepted += 1,
            Admission::Rejected(Rejection::UnknownInstrument) => self.others += 1,
            other => *self.rejected.entry(other.as_str()).or_default() += 1,
        }
        if !self.unseen.is_empty() {
            self.unseen.remove(&symbol);
        }
    }

    /// Says on standard error what became of everything.
    fn tell(&self) {
        let summary = self.backtest.summary();
        tell(&self.backtest.alerts(), &summary);
        let mut rows = format!("{} judged", counted(self.accepted, "row"));
        for (why, count) in &self.rejected {
            rows = format!("{rows}, {count} rejected as {}", why.replace('_', " "));
        }
        if self.others > 0 {
            rows = format!("{rows}, {} of other instruments", self.others);
        }
        if self.bad > 0 {
            rows = format!("{rows}, {} unreadable", self.bad);
        }
        if let (Some(from), Some(to)) = (summary.from, summary.to) {
            rows = format!("{rows}; from {from} to {to}");
        }
        out::note(&rows);
        let mut unseen: Vec<&Symbol> = self.unseen.iter().collect();
        unseen.sort();
        for symbol in unseen {
            let meant = match Catalog::builtin().resolve(symbol.as_str()) {
                Err(LookupError::Unknown { suggestion: Some(near) }) => format!("; did you mean {near}?"),
                _ => String::new(),
            };
            out::note(&format!("note: there is no row of {symbol}{meant}"));
        }
    }
}

/// Judges a whole input: writes a line of JSON for each firing, and hands each row that cannot be read to `complain`.
fn over(
    input: impl BufRead,
    how: &How,
    wanted: &[Wanted],
    out: &mut impl Write,
    complain: &mut impl FnMut(u64, &RowError),
) -> anyhow::Result<Tally> {
    let mut lines = Lines::new(input);
    match lines.next()? {
        None => return Err(UserError::new(format!("the file is empty: it begins with `{}`", tape::HEADER)).into()),
        Some(header) => {
            let header = header.map_err(|_| UserError::new(format!("the header is not `{}`", tape::HEADER)))?;
            tape::check_header(header).map_err(|error| UserError::new(error.to_string()))?;
        }
    }
    let mut catalog = Catalog::builtin();
    // Only for the names that the alerts bring; the rules are read again once the time is known.
    understood(wanted, &mut catalog, Timestamp::default(), &how.timezone)?;
    let mut names = Names::new(&catalog);
    let mut bad = 0;
    let mut next = |lines: &mut Lines<_>| loop {
        let Some(line) = lines.next()? else { return Ok::<Option<Tick>, io::Error>(None) };
        let tick = line.and_then(tape::row).and_then(|row| row.map(|row| names.tick(&row)).transpose());
        match tick {
            Ok(Some(tick)) => return Ok(Some(tick)),
            Ok(None) => {}
            Err(error) => {
                bad += 1;
                complain(lines.number(), &error);
            }
        }
    };
    // The alerts are as old as the first row.
    let first = next(&mut lines)?;
    let start = first.as_ref().map(|tick| tick.received_time).unwrap_or_default();
    let rules = understood(wanted, &mut catalog.clone(), start, &how.timezone)?;
    let instruments = watched(&rules, &catalog, how.stale_after);
    let mut tally = Tally {
        bad: 0,
        accepted: 0,
        others: 0,
        rejected: BTreeMap::new(),
        unseen: instruments.iter().map(|i| i.symbol).collect(),
        backtest: Backtest::new(instruments, rules, start),
    };
    let mut fired: Vec<BacktestFiring> = Vec::new();
    let mut tick = first;
    while let Some(seen) = tick {
        let admission = tally.backtest.feed(&seen, &mut fired);
        tally.count(seen.symbol, admission);
        for firing in &fired {
            serde_json::to_writer(&mut *out, firing).map_err(io::Error::from)?;
            out.write_all(b"\n")?;
        }
        if how.at_once && !fired.is_empty() {
            out.flush()?;
        }
        fired.clear();
        match next(&mut lines) {
            Ok(following) => tick = following,
            Err(error) => {
                // What was found before the file broke stands.
                out.flush()?;
                let line = lines.number() + 1;
                return Err(UserError::new(format!("line {line}: cannot be read: {error}")).into());
            }
        }
    }
    out.flush()?;
    tally.bad = bad;
    Ok(tally)
}

fn understood(
    wanted: &[Wanted],
    catalog: &mut Catalog,
    now: Timestamp,
    timezone: &TimeZone,
) -> Result<Vec<bellwether_core::condition::Rule>, UserError> {
    let lines: Vec<String> = wanted.iter().map(|w| w.line.clone()).collect();
    read_alerts(&lines, catalog, now, timezone).map_err(|bad| misunderstood(&wanted[bad.position], &bad.error))
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    /// Rows made as they are read, so that the file is nowhere as a whole.
    struct Endless {
        rows: u64,
        next: u64,
        rest: Vec<u8>,
    }

    impl Endless {
        fn rows(rows: u64) -> Self {
            Self { rows, next: 0, rest: b"time,symbol,price\n".to_vec() }
        }
    }

    impl Read for Endless {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            if self.rest.is_empty() && self.next < self.rows {
                // A saw: above 100 in the second half of every thousand rows; each row has a name of its own beside it.
                let (time, price) = (self.next * 1_000, self.next % 1_000);
                let price = if price < 500 { 90 } else { 110 };
                self.rest = format!("{time},BTC,{price}\n{time},N{},1\n", self.next).into_bytes();
                self.next += 1;
            }
            let taken = self.rest.len().min(buffer.len());
            buffer[..taken].copy_from_slice(&self.rest[..taken]);
            self.rest.drain(..taken);
            Ok(taken)
        }
    }

    fn how() -> How {
        How { stale_after: default_stale_after(), timezone: TimeZone::UTC, at_once: false }
    }

    fn wanted(lines: &[&str]) -> Vec<Wanted> {
        lines.iter().map(|line| Wanted { line: (*line).to_owned(), place: String::new() }).collect()
    }

    type Complaints = Vec<(u64, RowError)>;

    fn run_over(input: impl BufRead, lines: &[&str]) -> anyhow::Result<(Tally, String, Complaints)> {
        let (mut out, mut bad) = (Vec::new(), Vec::new());
        let mut complain = |number: u64, error: &RowError| bad.push((number, error.clone()));
        let tally = over(input, &how(), &wanted(lines), &mut out, &mut complain)?;
        Ok((tally, String::from_utf8(out)?, bad))
    }

    #[test]
    fn a_long_file_goes_through_a_small_buffer() {
        let input = BufReader::with_capacity(128, Endless::rows(100_000));
        let (tally, out, bad) = run_over(input, &["BTC > 100 each", "BTC > 100 each cooldown 1h"]).expect("read");
        assert_eq!((out.lines().filter(|l| l.starts_with(r#"{"alert":0"#)).count(), bad), (100, Vec::new()));
        assert_eq!((tally.accepted, tally.others), (100_000, 100_000));
        let alerts = tally.backtest.alerts();
        assert_eq!(alerts[0].count, alerts[1].count + alerts[1].suppressed);
    }

    #[test]
    fn a_firing_is_the_line_that_was_promised() {
        let tape = "time,symbol,price\n2026-01-01T00:00:00Z,BTC,59990\n2026-01-01T00:00:01Z,BTC,60001.50\n";
        let (_, out, _) = run_over(tape.as_bytes(), &["BTC > 60k"]).expect("read");
        let expected = r#"{"alert":0,"symbol":"BTC","time":"2026-01-01T00:00:01.000Z","price":"60001.5","reason":""#;
        assert!(out.starts_with(expected) && out.ends_with("\"}\n"), "{out}");
    }

    #[test]
    fn rows_that_cannot_be_read_are_told_with_their_number_and_skipped() {
        let tape = "time,symbol,price\n\nx,BTC,1\n1000,BTC,1\n2000,BTC,nan\n3000,BTC,9\n";
        let (tally, out, bad) = run_over(tape.as_bytes(), &["BTC > 5", "FUND-1 > 5"]).expect("read");
        assert_eq!(bad.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [3, 5]);
        assert_eq!((tally.bad, tally.accepted, out.lines().count()), (2, 2, 1));
        assert_eq!(tally.unseen.iter().map(Symbol::as_str).collect::<Vec<_>>(), ["FUND-1"]);
    }

    #[test]
    fn dates_count_from_the_first_row() {
        let tape = "time,symbol,price\n2015-03-01T12:00:00Z,BTC,1\n2015-03-03T12:00:00Z,BTC,9\n";
        let (_, out, _) = run_over(tape.as_bytes(), &["BTC > 5 until +1d", "BTC > 5 until 2015-03-04"]).expect("read");
        assert!(out.starts_with(r#"{"alert":1"#) && out.lines().count() == 1, "{out}");
        let late = run_over(tape.as_bytes(), &["BTC > 5 until 2014-01-01"]).expect_err("over before it began");
        assert!(late.to_string().contains("E_VALUE"), "{late}");
    }

    #[test]
    fn a_file_that_breaks_off_says_where_and_keeps_what_was_found() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("the disk is gone"))
            }
        }
        let input = BufReader::new(b"time,symbol,price\n1000,BTC,9\n".chain(Broken));
        let (mut out, mut complain) = (Vec::new(), |_: u64, _: &RowError| {});
        let error = over(input, &how(), &wanted(&["BTC > 5"]), &mut out, &mut complain).expect_err("broken");
        assert_eq!(error.to_string(), "line 3: cannot be read: the disk is gone");
        assert_eq!(String::from_utf8(out).expect("text").lines().count(), 1);
        for (text, said) in [("", "is empty"), ("time,price\n", "time,symbol,price")] {
            let error = run_over(text.as_bytes(), &["BTC > 5"]).expect_err("no tape");
            assert!(error.to_string().contains(said), "{error}");
        }
    }
}
