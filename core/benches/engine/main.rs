//! The alert engine beside other ways to do its work, on one deterministic workload (`docs/performance.md`).
//!
//! `cargo bench -p bellwether-core --bench engine` runs everything; with `-- --quick` a subset of about a minute. Every case
//! runs in a process of its own, so that the memory of one does not colour the next. All engines must fire the same alerts at
//! the same ticks, or the run fails.
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "the numbers of a benchmark are small, and its times are no exact values"
)]
#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock, and what the system says of its memory")]

mod measure;
mod others;
mod ours;
mod workload;

use std::{
    io::Write,
    process::{Command, ExitCode},
};

use bellwether_core::{
    alert::{Alert, AlertChange},
    condition::Repeat,
    time::{Span, Timestamp},
};

use self::{
    measure::{Report, resident, run, spent},
    others::{Engine, Limit, Matching, Scan, Scanning, Sqlite, Trees},
    ours::Ours,
    workload::{Kind, Quote, Standing, Tally, Wish, World},
};

/// How far from the start price the nearest alerts stand: three times as far as the walk usually goes.
const GAP: f64 = 0.015;

fn say(line: &str) {
    writeln!(std::io::stdout(), "{line}").expect("somebody reads the results");
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if let Some(place) = words.iter().position(|w| w == "--case") {
        let number = |i: usize| words.get(place + 2 + i).and_then(|w| w.parse::<usize>().ok()).unwrap_or(0);
        case(&words[place + 1], number(0), number(1), number(2));
        return ExitCode::SUCCESS;
    }
    let only = words.iter().position(|w| w == "--only").and_then(|at| words.get(at + 1)).cloned();
    all(words.iter().any(|w| w == "--quick"), &only.unwrap_or_default())
}

/// Runs every case, each in a process of its own.
fn all(quick: bool, only: &str) -> ExitCode {
    let counts: &[usize] = if quick { &[10_000, 1_000_000] } else { &[10_000, 100_000, 1_000_000, 10_000_000] };
    let mut cases: Vec<(&str, usize, usize, usize)> = vec![("agree", 10_000, 60, 20_000)];
    for &count in counts {
        for symbols in [60, 5_000] {
            cases.push(("walk", count, symbols, if quick { 200_000 } else { 2_000_000 }));
        }
    }
    let million = if quick { 200_000 } else { 1_000_000 };
    cases.extend([
        ("crash", million, 1, 20),
        ("change", million, 60, 100_000),
        ("windows", 12, 60, if quick { 200_000 } else { 1_000_000 }),
        ("memory", million, 60, 0),
        ("scale", if quick { 2_000_000 } else { 10_000_000 }, 0, 500_000),
    ]);
    let Ok(program) = std::env::current_exe() else { return ExitCode::FAILURE };
    for (name, alerts, symbols, ticks) in cases.into_iter().filter(|c| c.0.contains(only)) {
        let numbers = [alerts, symbols, ticks].map(|n| n.to_string());
        match Command::new(&program).arg("--case").arg(name).args(numbers).status() {
            Ok(status) if status.success() => {}
            _ => {
                say(&format!("{name}, {alerts} alerts: FAILED"));
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}

fn case(name: &str, alerts: usize, symbols: usize, ticks: usize) {
    match name {
        "agree" => agree(alerts, symbols, ticks),
        "walk" => walk(alerts, symbols, ticks),
        "crash" => crash(alerts, ticks),
        "change" => change(alerts, symbols, ticks),
        "windows" => windows(symbols, ticks),
        "scale" => scale(alerts, ticks),
        "memory" => memory(alerts, symbols),
        other => say(&format!("no case is called {other}")),
    }
}

fn standing(world: &World, alerts: usize, gap: f64) -> Vec<Standing> {
    world.wishes(alerts, gap).map(|wish| Standing::new(wish, world.start[wish.symbol as usize])).collect()
}

fn header(title: &str) {
    say(&format!("\n{title}"));
    say("engine          ns/tick     quiet   one by one       p50       p99     p99.9    ticks/s  x limit  fired");
}

fn row(name: &str, report: &Report, limit: f64) {
    say(&format!(
        "{name:<12} {:>10.1} {:>9.1} {:>12.1} {:>9.0} {:>9.0} {:>9.0} {:>10.0} {:>8.1}  {} ({:016x})",
        report.mean,
        report.quiet,
        report.single,
        report.p50,
        report.p99,
        report.p999,
        1e9 / report.mean,
        if report.quiet.is_nan() { report.single } else { report.quiet } / limit,
        report.tally.count,
        report.tally.sum,
    ));
}

/// All engines on a workload in which much fires.
fn agree(alerts: usize, symbols: usize, ticks: usize) {
    let mut world = World::new(symbols);
    let all = standing(&world, alerts, 0.0);
    let mut ours = Ours::new(&world.start);
    ours.stand(world.wishes(alerts, 0.0));
    let start = world.start.clone();
    let quotes = world.ticks(ticks);
    header(&format!(
        "{alerts} alerts without a gap on {symbols} instruments, {ticks} ticks: all engines fire the same"
    ));
    let mut engines: Vec<Box<dyn Engine>> = vec![
        Box::new(Limit(start.clone())),
        Box::new(ours),
        Box::new(Trees::new(all.clone(), &start)),
        Box::new(Sqlite::new(all.clone(), &start)),
        Box::new(Scan(all.clone())),
        Box::new(Matching::new(all, &start)),
    ];
    compare(&mut engines, &vec![quotes; 6]);
}

/// Runs the engines, each over its ticks; the first is the limit, the second is ours.
fn compare(engines: &mut [Box<dyn Engine>], quotes: &[Vec<Quote>]) {
    let mut limit = f64::NAN;
    let mut told: Vec<(usize, Tally)> = Vec::new();
    for (i, (engine, quotes)) in engines.iter_mut().zip(quotes).enumerate() {
        let report = run(&mut **engine, quotes);
        if i == 0 {
            limit = report.quiet;
        } else {
            told.push((quotes.len(), report.tally));
        }
        row(engine.name(), &report, limit);
    }
    for (length, tally) in &told {
        let same = told.iter().all(|(other, tally_of_other)| other != length || tally == tally_of_other);
        assert!(same, "the engines disagree over {length} ticks");
    }
}

/// An ordinary walk. The slow engines see fewer ticks; then ours is run over as many, to compare what fired.
fn walk(alerts: usize, symbols: usize, ticks: usize) {
    let mut world = World::new(symbols);
    let start = world.start.clone();
    let all = standing(&world, alerts, GAP);
    let mut ours = Ours::new(&start);
    ours.stand(world.wishes(alerts, GAP));
    let quotes = world.ticks(ticks);
    header(&format!("{alerts} alerts on {symbols} instruments, {ticks} ticks of an ordinary walk"));
    let few = |n: usize| quotes[..n.min(quotes.len())].to_vec();
    let mut engines: Vec<Box<dyn Engine>> = vec![Box::new(Limit(start.clone())), Box::new(ours)];
    let mut seen = vec![quotes.clone(), quotes.clone()];
    engines.push(Box::new(Trees::new(all.clone(), &start)));
    seen.push(quotes.clone());
    if alerts <= 1_000_000 {
        engines.push(Box::new(Sqlite::new(all.clone(), &start)));
        seen.push(quotes.clone());
    }
    if alerts <= 1_000_000 || symbols == 60 {
        engines.push(Box::new(Scan(all.clone())));
        seen.push(few((500_000_000 / alerts).max(64)));
    }
    if alerts <= 10_000 {
        engines.push(Box::new(Matching::new(all, &start)));
        seen.push(few(20_000));
    }
    compare(&mut engines, &seen);
}

/// One instrument falls by 2.3 per cent in one tick; and then swings back and forth.
fn crash(alerts: usize, swings: usize) {
    let world = World::new(1);
    let start = world.start[0];
    let quote = Quote { symbol: 0, price: (start as f64 * 0.977).round() as i64 };
    // Without a gap: about as many levels as one in eight of all alerts are passed.
    let all = standing(&world, alerts, 0.0);
    say(&format!("\n{alerts} alerts on one instrument, which falls by 2.3 % in one tick"));
    let mut best = f64::MAX;
    let mut ours_tally = Tally::default();
    for round in 0..3 {
        let mut ours = Ours::new(&world.start);
        ours.stand(world.wishes(alerts, 0.0));
        ours.prepare(&[quote]);
        // The allocator puts off what making the alerts has left to tidy up until the next large request: not ours to pay.
        drop(std::hint::black_box(vec![0_u8; 1 << 16]));
        let mut tally = Tally::default();
        let time = spent(|| ours.tick(0, quote, 0, &mut tally));
        ours.settle(0, &mut tally);
        best = best.min(time / tally.count as f64);
        ours_tally = tally;
        if round == 2 {
            let (mut time, mut count) = (0.0, 0);
            for swing in 0..swings {
                let quote = if swing.is_multiple_of(2) { Quote { price: start, ..quote } } else { quote };
                ours.prepare(&[quote]);
                time += spent(|| ours.tick(0, quote, 0, &mut Tally::default()));
                count += ours.out.len();
                ours.out.clear();
            }
            say(&format!("bellwether   {:>8.0} ns a firing, over {swings} swings", time / count as f64));
        }
    }
    say(&format!("bellwether   {best:>8.0} ns a firing, {} firings", ours_tally.count));
    let others: Vec<Box<dyn Engine>> =
        vec![Box::new(Trees::new(all.clone(), &world.start)), Box::new(Scan(all.clone()))];
    for mut engine in others {
        let mut tally = Tally::default();
        let each = spent(|| engine.tick(0, quote, 0, &mut tally)) / tally.count as f64;
        say(&format!("{:<12} {each:>8.0} ns a firing, without a record of it", engine.name()));
        assert_eq!(tally, ours_tally, "the engines disagree in a crash");
    }
}

/// Makes, changes and removes alerts beside a standing crowd.
fn change(alerts: usize, symbols: usize, changes: usize) {
    let world = World::new(symbols);
    let mut ours = Ours::new(&world.start);
    ours.stand(world.wishes(alerts, GAP));
    let mut trees = Trees::new(standing(&world, alerts, GAP), &world.start);
    let wishes: Vec<Wish> = world.wishes(alerts + changes, GAP).skip(alerts).collect();
    let each = Repeat::Each { cooldown: Span::ZERO };
    let made: Vec<Alert> = (alerts..).zip(&wishes).map(|(number, wish)| ours.alert(number, wish, each)).collect();
    let edited: Vec<Alert> = made.iter().map(|alert| Alert { version: 2, ..alert.clone() }).collect();
    let edited: Vec<Alert> = edited
        .into_iter()
        .zip(wishes.iter().cycle().skip(1))
        .enumerate()
        .map(|(i, (alert, wish))| Alert { version: 2, id: alert.id, ..ours.alert(alerts + i, wish, each) })
        .collect();
    let removed: Vec<AlertChange> = made.iter().map(|a| AlertChange::Delete { id: a.id, version: 3 }).collect();
    let now = Timestamp::from_millis(ours.now);
    let mut play = |what: &str, list: Vec<AlertChange>| {
        let (mut out, mut best) = (Vec::new(), f64::MAX);
        let part = (list.len() / 5).max(1);
        let mut list = list.into_iter();
        for _ in 0..5 {
            let some: Vec<AlertChange> = list.by_ref().take(part).collect();
            let time = spent(|| {
                for change in some {
                    ours.evaluator.apply(change, now, &mut out);
                }
            });
            best = best.min(time / part as f64);
        }
        say(&format!("bellwether   {best:>8.0} ns to {what} an alert"));
    };
    say(&format!("\n{alerts} alerts on {symbols} instruments: {changes} are added, edited, removed"));
    play("add", made.into_iter().map(AlertChange::Put).collect());
    play("edit", edited.into_iter().map(AlertChange::Put).collect());
    play("remove", removed);
    let insert = spent(|| (alerts as u32..).zip(&wishes).for_each(|(alert, wish)| trees.insert(wish, alert)));
    let remove = spent(|| (alerts as u32..).zip(&wishes).for_each(|(alert, wish)| trees.remove(wish, alert)));
    let (insert, remove) = (insert / changes as f64, remove / changes as f64);
    say(&format!("BTreeSet     {insert:>8.0} ns to insert a level, {remove:.0} to remove one"));
}

/// Twelve windows on every instrument, beside looking at everything inside each window.
fn windows(symbols: usize, ticks: usize) {
    let mut world = World::new(symbols);
    let mut without = Ours::new(&world.start);
    let mut with = Ours::new(&world.start);
    with.windows(symbols);
    let quotes = world.ticks(ticks);
    header(&format!("12 windows of 10s to 1d on each of {symbols} instruments, {ticks} ticks 1 ms apart"));
    let limit = run(&mut Limit(world.start.clone()), &quotes);
    row("limit", &limit, limit.quiet);
    row("no windows", &run(&mut without, &quotes), limit.quiet);
    row("12 windows", &run(&mut with, &quotes), limit.quiet);
    // Scanning grows with what was seen: it is shown the first ticks only, and ours is shown them once more, to compare what fired.
    // Every 500th price lies 3 % off, so that something fires.
    let jumps = |(number, quote): (usize, &Quote)| {
        let percent = [103, 97, 100][if number.is_multiple_of(500) { number / 500 % 2 } else { 2 }];
        Quote { price: quote.price * percent / 100, ..*quote }
    };
    let few: Vec<Quote> = quotes.iter().take(20_000).enumerate().map(jumps).collect();
    let mut again = Ours::new(&world.start);
    again.windows(symbols);
    let again = run(&mut again, &few);
    let scanning = run(&mut Scanning::new(&world.start), &few);
    row("the first", &again, limit.quiet);
    row("scanning", &scanning, limit.quiet);
    assert_eq!(again.tally, scanning.tally, "the engines disagree about windows");
}

/// How much a quiet tick costs more with more alerts, and with more instruments: all side by side in one process, in turns.
fn scale(alerts: usize, ticks: usize) {
    let sizes = [(10_000, 60), (1_000_000, 60), (alerts, 60), (10_000, 5_000), (1_000_000, 5_000), (alerts, 5_000)];
    say(&format!("\nquiet ticks of an ordinary walk, {ticks} a turn, the best of three turns"));
    let mut engines = Vec::new();
    for (alerts, symbols) in sizes {
        let mut world = World::new(symbols);
        let mut ours = Ours::new(&world.start);
        ours.stand(world.wishes(alerts, GAP));
        let quotes = world.ticks(ticks);
        engines.push((ours, Limit(world.start.clone()), quotes, f64::MAX, f64::MAX));
    }
    for _ in 0..3 {
        for (ours, limit, quotes, best, least) in &mut engines {
            *best = run(ours, quotes).quiet.min(*best);
            *least = run(limit, quotes).quiet.min(*least);
        }
    }
    let first = engines[0].3;
    for ((alerts, symbols), (_, _, _, best, least)) in sizes.into_iter().zip(&engines) {
        say(&format!(
            "{alerts:>9} alerts, {symbols:>5} instruments: {best:>6.1} ns, {:>5.1} x limit, {:.2} x the first",
            best / least,
            best / first
        ));
    }
}

/// What an alert adds to the resident memory of the process.
fn memory(alerts: usize, symbols: usize) {
    let world = World::new(symbols);
    let mut ours = Ours::new(&world.start);
    let before = resident();
    for (number, wish) in world.wishes(alerts, GAP).enumerate() {
        let alert = ours.alert(number, &wish, Repeat::Each { cooldown: Span::ZERO });
        ours.put(alert);
        if number.is_multiple_of(100) {
            // The shell takes a cut after every change.
            drop(ours.evaluator.take_cut());
        }
    }
    drop(ours.evaluator.take_cut());
    let each = resident().saturating_sub(before) as f64 / alerts as f64;
    let ranges = world.wishes(alerts, GAP).filter(|w| matches!(w.kind, Kind::Enters | Kind::Exits)).count();
    say(&format!(
        "\n{alerts} alerts on {symbols} instruments ({ranges} ranges): {each:.0} bytes of resident memory each"
    ));
}
