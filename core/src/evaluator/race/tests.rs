//! Random tapes by the hundred thousand, hostile ones, those that a fuzzer found, and the door for a fuzzer.

use std::{
    hash::{BuildHasher as _, RandomState},
    io::Write as _,
    path::PathBuf,
    sync::atomic::{AtomicU32, Ordering},
};

use proptest::{
    prelude::*,
    test_runner::{RngSeed, TestError, TestRunner},
};

use super::{
    run,
    tapes::{Input, after, input, rule},
    text::play,
};

/// How many random tapes are run when nobody asks for more.
const TAPES: u32 = 400;
/// They are run in this many parts, each with a seed of its own, so that a seed means the same tapes on any number of processors.
const PARTS: u32 = 16;

#[expect(clippy::disallowed_methods, reason = "a test binary may be told by its environment how long to try")]
fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|e| panic!("{name}={text}: {e}")))
}

/// Runs as many random cases as `BELLWETHER_TAPES` says on all processors, and says how many these were. `BELLWETHER_SEED` repeats a run.
fn race<S: Strategy>(what: &str, strategy: impl Fn() -> S + Sync, judge: impl Fn(S::Value) + Sync)
where
    S::Value: std::fmt::Debug,
{
    let tapes = setting("BELLWETHER_TAPES").map_or(TAPES, |n| u32::try_from(n).unwrap());
    let seed = setting("BELLWETHER_SEED").unwrap_or_else(|| RandomState::new().hash_one(0));
    let run_part = |part: u32| {
        let mut runner = TestRunner::new(ProptestConfig {
            cases: tapes / PARTS + u32::from(part < tapes % PARTS),
            rng_seed: RngSeed::Fixed(seed.wrapping_add(u64::from(part))),
            failure_persistence: None,
            // Those of all tapes together count.
            max_local_rejects: u32::MAX,
            ..ProptestConfig::default()
        });
        match runner.run(&strategy(), |tape| {
            judge(tape);
            Ok(())
        }) {
            Ok(()) => {}
            Err(TestError::Fail(why, tape)) => {
                panic!("BELLWETHER_SEED={seed} BELLWETHER_TAPES={tapes}: {why}\n{tape:?}")
            }
            Err(TestError::Abort(why)) => panic!("{why}"),
        }
    };
    let next = AtomicU32::new(0);
    let work = || {
        while let part @ 0..PARTS = next.fetch_add(1, Ordering::Relaxed) {
            run_part(part);
        }
    };
    std::thread::scope(|scope| {
        let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let running: Vec<_> = (0..processors).map(|_| scope.spawn(work)).collect();
        for one in running {
            if let Err(why) = one.join() {
                std::panic::resume_unwind(why);
            }
        }
    });
    writeln!(std::io::stderr(), "{tapes} {what}, BELLWETHER_SEED={seed}: no difference").unwrap();
}

#[test]
fn the_fast_evaluator_equals_the_slow_obvious_one() {
    let strategy = || (prop::collection::vec(rule(), 3), prop::collection::vec((after(), input()), 1..70));
    race("random tapes", strategy, |(first, inputs)| {
        let puts = first.into_iter().zip(1..).map(|(rule, id)| (0, Input::Put { id, rule }));
        run(&puts.chain(inputs).collect::<Vec<_>>());
    });
}

fn any_of(list: &'static [&'static str]) -> impl Strategy<Value = String> {
    prop::sample::select(list).prop_map(str::to_owned)
}

/// Numbers that a broken or malicious source may write.
fn hostile_number() -> impl Strategy<Value = String> {
    let ends = any_of(&[
        "0",
        "-0",
        "-1",
        "NaN",
        "inf",
        "-inf",
        "1e400",
        "1e-400",
        "1e28",
        "7.9e28",
        "1e-18",
        "79228162514264337593543950335",
        "-79228162514264337593543950335",
        "0.000000000000000001",
        "9999999999.999999999999999999",
        "100.000000000000000001",
        "99.999999999999999999",
        "",
        "1,000",
        "0x10",
        "1_0",
    ]);
    prop_oneof![
        5 => (9_000_i64..11_000).prop_map(|n| format!("{}.{:02}", n / 100, n % 100)),
        2 => ends,
        1 => "[1-9][0-9]{20,28}",
        1 => "[0-9]{1,9}\\.[0-9]{15,18}",
    ]
}

/// Seconds, from a microsecond to the end of the calendar, back and forth.
fn hostile_seconds() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => (0_u32..90).prop_map(|s| format!("+{s}")),
        2 => (1_u32..400).prop_map(|s| format!("-{s}")),
        2 => any_of(&["+0.000001", "-0.000001", "+31536000", "-31536000", "+315360000", "-999999999999", "+999999999999"]),
    ]
}

fn hostile_alert() -> impl Strategy<Value = String> {
    let operand = any_of(&["BTC", "BTC", "ETH", "DOGE", "SOL", "WTI", "ETH/BTC", "WTI/BTC"]);
    let n = hostile_number;
    let percent = || any_of(&["5%", "0.5%", "0.000000000000000001%", "99.999999999999999999%", "1000000%"]);
    let condition = prop_oneof![
        (any_of(&[">", ">=", "<", "<=", "crosses", "crosses up", "crosses down"]), n())
            .prop_map(|(w, n)| format!("{w} {n}")),
        (any_of(&["in", "outside", "enters", "exits"]), n(), n()).prop_map(|(w, a, b)| format!("{w} {a}..{b}")),
        (
            any_of(&["+", "-", "±"]),
            percent(),
            any_of(&["", "from high", "from low", "in 1m", "in 30d", "vs 10s", "vs 52w"])
        )
            .prop_map(|(sign, percent, rest)| format!("{sign}{percent} {rest}")),
        (any_of(&["+", "-"]), percent(), n()).prop_map(|(sign, percent, n)| format!("{sign}{percent} from {n}")),
    ];
    let options =
        any_of(&["", "once", "each", "each cooldown 10s", "every 5s", "every 52w", "each for 5s", "extended"]);
    let hysteresis = prop_oneof![3 => Just(String::new()), 1 => percent().prop_map(|p| format!(" hysteresis {p}")),
        1 => n().prop_map(|n| format!(" hysteresis {n}"))];
    (1..4, operand, condition, options, hysteresis).prop_map(|(id, o, c, opts, h)| format!("a{id} {o} {c} {opts}{h}"))
}

fn hostile_line() -> impl Strategy<Value = String> {
    let symbol = || any_of(&["BTC", "BTC", "ETH", "DOGE", "SOL", "WTI", "NOPE"]);
    let n = hostile_number;
    let tick = (symbol(), n(), prop::option::weighted(0.4, hostile_seconds()), any_of(&["", "", "", " pre", " post"]))
        .prop_map(|(symbol, price, at, session)| format!("{symbol} {price} {}{session}", at.unwrap_or_default()))
        .boxed();
    let candle = (any_of(&["candle", "backfill"]), symbol(), hostile_seconds(), hostile_seconds(), n(), n(), n(), n())
        .prop_map(|(what, symbol, from, to, o, h, l, c)| format!("{what} {symbol} {from} {to} {o} {h} {l} {c}"));
    let straight = (symbol(), 1..90, n()).prop_map(|(symbol, s, p)| format!("candle {symbol} -{s} 0 {p} {p} {p} {p}"));
    let command = (1..4, any_of(&["pause", "resume", "resume", "ack", "delete", "snooze 10", "snooze -5"]))
        .prop_map(|(id, what)| format!("a{id} {what}"));
    prop_oneof![
        14 => tick.clone(),
        2 => (tick.clone(), tick).prop_map(|(a, b)| format!("{a}, {b}")),
        6 => hostile_seconds(),
        4 => hostile_alert(),
        1 => candle,
        1 => straight,
        2 => command,
        2 => any_of(&["cut", "restart", "crash"]),
    ]
}

#[test]
fn hostile_tapes_fire_what_the_slow_evaluator_says_and_nothing_panics() {
    let strategy = || {
        let alerts = prop::collection::vec(hostile_alert(), 1..4);
        (alerts, prop::collection::vec(hostile_line(), 1..60))
            .prop_map(|(alerts, lines)| [alerts, lines].concat().join("\n"))
    };
    race("hostile tapes", strategy, |tape| play(&tape));
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the tapes lie in a folder that the fuzzer reads too")]
fn tapes_that_were_found_once_stay_without_a_difference() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/fuzz/tape");
    let mut tapes: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    tapes.sort();
    assert!(tapes.len() >= 40, "the tapes of the worked examples are there");
    for tape in tapes {
        let text = std::fs::read_to_string(&tape).unwrap();
        let played = std::panic::catch_unwind(|| play(&text));
        assert!(played.is_ok(), "{}", tape.display());
    }
}

#[cfg(fuzzing_libfuzzer)]
#[test]
fn fuzz_tape() {
    bolero::check!().for_each(|bytes: &[u8]| play(&String::from_utf8_lossy(bytes)));
}
