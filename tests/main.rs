//! bellwether's end-to-end tests: whole journeys through the real program, scenarios as data, and the rules of the house.
//!
//! The program runs as a process of its own, in a folder of its own; the world around it is played by `harness`. What a
//! condition means is tested beside the code in core; here the wiring is proven.

mod backtest;
mod cli;
mod concurrent;
mod counterparts;
mod crash;
mod docs;
mod doctor;
mod harness;
mod hostile;
mod journeys;
mod layers;
mod scenarios;
mod service;
mod shell;
mod supply;
mod upgrade;

use std::{collections::BTreeSet, fs, path::Path};

/// A file that no module names is never compiled, and its tests pass for ever.
#[test]
fn no_file_is_forgotten() {
    let mut forgotten = BTreeSet::new();
    look(&harness::root().join("tests"), "main.rs", &mut forgotten);
    assert!(forgotten.is_empty(), "these files belong to no module: {forgotten:?}");
}

/// Every file beside `parent`, and every folder with a `mod.rs`, must be a module of it.
fn look(folder: &Path, parent: &str, forgotten: &mut BTreeSet<String>) {
    let declared = fs::read_to_string(folder.join(parent)).expect("the module that lists the others");
    for entry in fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()) {
        let name = entry.file_stem().expect("a name").to_string_lossy().into_owned();
        let is_code = entry.extension().is_some_and(|e| e == "rs");
        let is_module = entry.join("mod.rs").is_file();
        if !(is_code || is_module) || is_code && entry.file_name().is_some_and(|n| n == parent) {
            continue;
        }
        if !declared.lines().any(|line| line.trim_start_matches("pub(crate) ") == format!("mod {name};")) {
            forgotten.insert(entry.display().to_string());
        }
        if is_module {
            look(&entry, "mod.rs", forgotten);
        }
    }
}
