//! Clocks, percentiles and memory.

use std::time::Instant;

use crate::{
    others::Engine,
    workload::{Quote, Tally},
};

/// Ticks that are timed together: a clock costs more than a tick.
const BLOCK: usize = 32;

/// What one run of one engine came to; times in nanoseconds a tick.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Report {
    /// All ticks.
    pub(crate) mean: f64,
    /// Ticks at which nothing fired, timed in blocks; not a number where no block was quiet.
    pub(crate) quiet: f64,
    /// Ticks at which nothing fired, timed one by one, the cost of the clock taken off.
    pub(crate) single: f64,
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) p999: f64,
    pub(crate) tally: Tally,
}

/// What reading the clock twice costs.
fn clock() -> f64 {
    let mut costs: Vec<u128> = (0..10_000)
        .map(|_| {
            let start = Instant::now();
            start.elapsed().as_nanos()
        })
        .collect();
    costs.sort_unstable();
    costs[costs.len() / 2] as f64
}

/// Runs an engine over ticks. Every other block is timed as a whole, the ones between tick by tick. Of the quiet blocks the
/// best tenth part of the run counts: the machine may be busy with something else.
pub(crate) fn run(engine: &mut dyn Engine, quotes: &[Quote]) -> Report {
    let clock = clock();
    let mut tally = Tally::default();
    let mut report = Report::default();
    let (mut all, mut blocks) = (0.0, 0.0);
    let mut singles: Vec<f64> = Vec::with_capacity(quotes.len() / 2);
    let (mut quiet, mut quiet_singles): (Vec<Vec<f64>>, Vec<f64>) = (vec![Vec::new(); 10], Vec::new());
    for (number, block) in quotes.chunks(BLOCK).enumerate() {
        engine.prepare(block);
        let first = (number * BLOCK) as u64;
        let before = tally.count;
        if number.is_multiple_of(2) {
            let start = Instant::now();
            for (i, quote) in block.iter().enumerate() {
                engine.tick(i, *quote, first + i as u64, &mut tally);
            }
            let each = (start.elapsed().as_nanos() as f64 - clock).max(0.0) / block.len() as f64;
            engine.settle(first + block.len() as u64 - 1, &mut tally);
            (all, blocks) = (all + each, blocks + 1.0);
            if tally.count == before {
                quiet[number * BLOCK * 10 / quotes.len()].push(each);
            }
        } else {
            for (i, quote) in block.iter().enumerate() {
                let before = tally.count;
                let start = Instant::now();
                engine.tick(i, *quote, first + i as u64, &mut tally);
                let spent = (start.elapsed().as_nanos() as f64 - clock).max(0.0);
                singles.push(spent);
                engine.settle(first + block.len() as u64 - 1, &mut tally);
                if tally.count == before {
                    quiet_singles.push(spent);
                }
            }
        }
    }
    report.tally = tally;
    report.mean = all / blocks;
    report.quiet = quiet.iter().filter(|part| part.len() > 8).map(|part| mean(part)).fold(f64::NAN, f64::min);
    quiet_singles.sort_unstable_by(f64::total_cmp);
    quiet_singles.truncate(quiet_singles.len() * 99 / 100);
    report.single = mean(&quiet_singles);
    singles.sort_unstable_by(f64::total_cmp);
    let at = |part: f64| singles.get((singles.len() as f64 * part) as usize).copied().unwrap_or(f64::NAN);
    (report.p50, report.p99, report.p999) = (at(0.5), at(0.99), at(0.999));
    report
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// How long something long takes, in nanoseconds: the time this thread ran, as Linux tells it, since a busy machine lets it wait;
/// the time on the clock elsewhere.
pub(crate) fn spent(work: impl FnOnce()) -> f64 {
    let ran = || {
        let told = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
        told.split_ascii_whitespace().next().and_then(|w| w.parse::<f64>().ok())
    };
    let (before, start) = (ran(), Instant::now());
    work();
    let elapsed = start.elapsed().as_nanos() as f64;
    // What Linux tells is some milliseconds old.
    ran().zip(before).map(|(after, before)| after - before).filter(|_| elapsed > 5e7).unwrap_or(elapsed)
}

/// The resident memory of this process in bytes, as Linux tells it; zero elsewhere.
pub(crate) fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:"));
    line.and_then(|l| l.split_ascii_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) * 1_024
}
