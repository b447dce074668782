//! The lines that a fuzzer starts from and those that it found, and the door for the fuzzer (`.ci/fuzz`).

use std::{fs, path::Path};

use super::{properties::judge, tests::World};

#[test]
fn lines_that_were_found_once_stay_understood_or_refused() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fuzz/line");
    let lines: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(lines.len() >= 70, "the lines of the worked examples are there");
    let world = World::with_odd_names();
    for line in lines {
        judge(&String::from_utf8_lossy(&fs::read(&line).unwrap()), &world);
    }
}

#[cfg(fuzzing_libfuzzer)]
#[test]
fn fuzz_line() {
    let world = World::with_odd_names();
    bolero::check!().for_each(|bytes: &[u8]| judge(&String::from_utf8_lossy(bytes), &world));
}

/// Shows that the fuzzer sees what its inputs reach: blind, it would find this word once in 2⁶⁴ tries.
#[cfg(fuzzing_libfuzzer)]
#[test]
fn fuzz_probe() {
    bolero::check!().for_each(|bytes: &[u8]| {
        assert!(!matches!(bytes, [b'g', b'u', b'i', b'd', b'a', b'n', b'c', b'e', ..]), "found by its coverage");
    });
}
