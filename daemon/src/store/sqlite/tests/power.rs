//! Power cuts (docs/reliability.md, P2): the writes and syncs of a real run are recorded with `strace`, and the disk is put together as
//! of each sync: what was not synced is missing, there in parts, or torn within a page.
//!
//! Without `strace` nothing is shown and the test says so; `BELLWETHER_POWER_CUTS` demands it, and has every sync cut instead of some.

use std::{
    collections::BTreeMap,
    io::{BufRead as _, Write as _},
    process::{Command, Stdio},
};

use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

use super::*;

/// Tells the traced run where it is to work.
const RUN: &str = "BELLWETHER_POWER_RUN";
/// The file in which the traced run notes what has been acknowledged.
const MARKS: &str = "marks";
/// What a disk writes as a whole.
const SECTOR: usize = 512;

/// What the store did to the disk, in order.
enum Step {
    Make(String),
    Remove(String),
    Change(String, Change),
    Sync(String),
    SyncFolder,
    /// So many firings have been answered as recorded.
    Acknowledged(u32),
}

/// A change inside of a file.
enum Change {
    Write(usize, Vec<u8>),
    Cut(usize),
}

impl Change {
    /// Makes the change, a write only in the sectors that `keep` lets pass.
    fn make(&self, bytes: &mut Vec<u8>, mut keep: impl FnMut() -> bool) {
        match self {
            Self::Cut(length) => bytes.resize(*length, 0),
            Self::Write(offset, new) => {
                for (number, part) in new.chunks(SECTOR).enumerate() {
                    let from = offset + number * SECTOR;
                    if keep() {
                        bytes.resize(bytes.len().max(from + part.len()), 0);
                        bytes[from..from + part.len()].copy_from_slice(part);
                    }
                }
            }
        }
    }
}

/// A file as it would be found, and what is still on its way to the disk.
#[derive(Default)]
struct File {
    bytes: Vec<u8>,
    pending: Vec<Change>,
    /// Whether its folder knows it for sure, and whether the program does.
    kept: bool,
    there: bool,
}

/// The disk below the store.
#[derive(Default)]
struct Disk {
    files: BTreeMap<String, File>,
}

impl Disk {
    fn step(&mut self, step: Step) {
        match step {
            Step::Make(name) => {
                let file = self.files.entry(name).or_default();
                if !file.there {
                    *file = File { kept: file.kept, there: true, ..File::default() };
                }
            }
            Step::Remove(name) => self.files.entry(name).or_default().there = false,
            Step::Change(name, change) => self.files.entry(name).or_default().pending.push(change),
            Step::Sync(name) => {
                let file = self.files.entry(name).or_default();
                for change in file.pending.drain(..) {
                    change.make(&mut file.bytes, || true);
                }
            }
            Step::SyncFolder => {
                for file in self.files.values_mut() {
                    file.kept = file.there;
                }
            }
            Step::Acknowledged(_) => {}
        }
    }

    /// The files as a cut at this moment leaves them: without what was not synced, or with what `luck` lets through.
    fn after_a_cut(&self, luck: Option<&mut StdRng>) -> BTreeMap<&str, Vec<u8>> {
        let mut found = BTreeMap::new();
        let mut luck = luck;
        for (name, file) in &self.files {
            let known = file.kept != file.there && luck.as_mut().is_some_and(rand::Rng::random);
            if !(if known { file.there } else { file.kept }) {
                continue;
            }
            let mut bytes = file.bytes.clone();
            if let Some(luck) = luck.as_mut() {
                for change in &file.pending {
                    match luck.random_range(0..3) {
                        0 => {}
                        1 => change.make(&mut bytes, || true),
                        _ if matches!(change, Change::Cut(_)) => {}
                        _ => change.make(&mut bytes, || luck.random()),
                    }
                }
            }
            found.insert(name.as_str(), bytes);
        }
        found
    }
}

/// Part of `no_firing_is_lost_to_a_power_cut`, which runs it a second time below `strace`; by itself it does nothing.
#[tokio::test]
async fn the_run_that_is_traced() {
    let Some(folder) = std::env::var_os(RUN).map(PathBuf::from) else { return };
    let rounds = if std::env::var_os("BELLWETHER_POWER_CUTS").is_some() { 300 } else { 60 };
    let mut marks = fs::File::create(folder.join(MARKS)).expect("made");
    let store = Store::open(&folder.join("data")).expect("opens");
    let alert = one_alert(&store).await;
    let mut number = 0;
    for round in 0..rounds {
        let now = at(round + 1);
        // One by itself; now and then several that are committed together.
        let together = if round % 5 == 4 { 6 } else { 1 };
        let records = (1..=together).map(|nth| {
            let fired = firing(&alert, number + nth, now);
            let routes = vec![Route::new(fired.id, email())];
            let cut = cut(&[&alert], &["BTC"]);
            store.record(Record { firings: vec![fired], routes, cut, now, ..Record::default() })
        });
        for recorded in futures_util::future::join_all(records).await {
            assert_eq!(recorded.expect("recorded").len(), 1);
        }
        number += together;
        marks.write_all(format!("{number}\n").as_bytes()).expect("noted");
        // What need not outlive a power cut goes through the same journal.
        let take =
            Take { lane: Lane::Fresh, grouping: bellwether_core::delivery::group::Grouping::OFF, memory: None, now };
        let taken = store.take(email(), take).await.expect("taken").expect("something is due");
        let outcome = Outcome::Sent { answer: "250 OK".to_owned() };
        store.finish(taken.due.delivery.id, outcome, now).await.expect("noted");
        store.record(Record { cut: cut(&[&alert], &["BTC"]), now, ..Record::default() }).await.expect("recorded");
    }
    store.close().await;
}

/// Records what a run writes. `None` where there is no `strace`.
fn traced(folder: &Path) -> Option<Vec<Step>> {
    let trace = folder.join("trace");
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-y", "-xx", "-s", "70000", "-o"]).arg(&trace);
    strace.args(["-e", "trace=openat,write,pwrite64,ftruncate,fsync,fdatasync,unlink,unlinkat"]);
    strace.arg(std::env::current_exe().expect("this test"));
    strace.args(["--exact", "store::sqlite::tests::power::the_run_that_is_traced", "--test-threads=1"]);
    let child = strace.env(RUN, folder).stdout(Stdio::null()).stderr(Stdio::piped()).output();
    let output = match child {
        Ok(output) => output,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return None,
        Err(error) => panic!("strace: {error}"),
    };
    let said = String::from_utf8_lossy(&output.stderr);
    if said.contains("ptrace") {
        return None;
    }
    assert!(output.status.success(), "the traced run: {said}");
    let file = std::io::BufReader::new(fs::File::open(&trace).expect("a trace"));
    Some(file.lines().filter_map(|line| step(&line.expect("text"), folder)).collect())
}

/// `\x2f\x74` as bytes.
fn bytes(hex: &str) -> Vec<u8> {
    let digit = |b: u8| char::from(b).to_digit(16).and_then(|d| u8::try_from(d).ok()).expect("a hexadecimal digit");
    hex.as_bytes().chunks(4).map(|four| digit(four[2]) << 4 | digit(four[3])).collect()
}

/// One line of the trace: `4711 pwrite64(9<\x2f…>, "\x00…", 4096, 0) = 4096`. The arguments stand where the call begins, also where it
/// is `<unfinished ...>`.
fn step(line: &str, folder: &Path) -> Option<Step> {
    let (call, arguments) = line.trim_start_matches(|c: char| c.is_ascii_digit()).trim_start().split_once('(')?;
    let text = arguments.split('"').nth(1).unwrap_or_default();
    let named = ["openat", "unlink", "unlinkat"].contains(&call);
    let path = if named { text } else { arguments.split_once('<')?.1.split_once('>')?.0 };
    let path = PathBuf::from(String::from_utf8(bytes(path)).ok()?);
    let rest = if named || text.is_empty() { arguments } else { arguments.rsplit('"').next()? };
    let number = |nth: usize| -> usize {
        rest.split(')').next().and_then(|r| r.split(", ").nth(nth)).and_then(|n| n.parse().ok()).expect("a number")
    };
    if path == folder.join(MARKS) && call == "write" {
        return Some(Step::Acknowledged(String::from_utf8(bytes(text)).ok()?.trim().parse().expect("a number")));
    }
    let data = folder.join("data");
    if path == data && call.contains("sync") {
        return Some(Step::SyncFolder);
    }
    let name = path.strip_prefix(&data).ok()?.to_str()?.to_owned();
    // The reserve holds nothing, and what threads share of the journal is made anew.
    if !name.starts_with(DATABASE_FILE) || name.ends_with("-shm") {
        return None;
    }
    match call {
        "openat" => arguments.contains("O_CREAT").then_some(Step::Make(name)),
        "unlink" | "unlinkat" => Some(Step::Remove(name)),
        "pwrite64" => Some(Step::Change(name, Change::Write(number(2), bytes(text)))),
        "ftruncate" => Some(Step::Change(name, Change::Cut(number(1)))),
        "fsync" | "fdatasync" => Some(Step::Sync(name)),
        _ => panic!("the store is not known to write so: {}", line.get(..120).unwrap_or(line)),
    }
}

/// Opens what a cut has left, as a start does. What is missing of the first `acknowledged` firings, and of their deliveries.
fn missing(found: &BTreeMap<&str, Vec<u8>>, acknowledged: u32) -> Result<u32, String> {
    let memory = Path::new("/dev/shm");
    let folder = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.expect("a folder");
    for (name, bytes) in found {
        fs::write(folder.path().join(name), bytes).expect("written");
    }
    let file = file::prepare(folder.path()).map_err(|e| e.to_string())?;
    let db = file::open_for_writing(&file).map_err(|e| e.to_string())?;
    let verdict: String = db.query_row("PRAGMA integrity_check", (), |row| row.get(0)).map_err(|e| e.to_string())?;
    if verdict != "ok" {
        return Err(verdict);
    }
    let there = "SELECT count(*) FROM deliveries d JOIN firings f ON f.place = d.firing WHERE f.number <= ?1";
    let there: u32 = db.query_row(there, [acknowledged], |row| row.get(0)).map_err(|e| e.to_string())?;
    Ok(acknowledged.saturating_sub(there))
}

#[test]
fn no_firing_is_lost_to_a_power_cut() {
    let demanded = std::env::var_os("BELLWETHER_POWER_CUTS").is_some();
    let folder = folder();
    let path = folder.path().canonicalize().expect("there");
    let Some(steps) = traced(&path) else {
        assert!(!demanded, "there is no strace, or it may not trace");
        writeln!(std::io::stderr(), "skipped: without strace no power cut can be shown").expect("told");
        return;
    };
    let syncs = steps.iter().filter(|s| matches!(s, Step::Sync(_) | Step::SyncFolder)).count();
    let acknowledged = steps.iter().rev().find_map(|s| if let Step::Acknowledged(n) = s { Some(*n) } else { None });
    let all = acknowledged.expect("something was recorded");
    assert!(syncs > usize::try_from(all).expect("few") / 6, "{syncs} syncs for {all} firings");

    let every = if demanded { 1 } else { syncs.div_ceil(40) };
    let (mut disk, mut lying) = (Disk::default(), Disk::default());
    let (mut so_far, mut nth, mut cuts, mut noticed) = (0, 0, 0, 0);
    for step in steps {
        if matches!(step, Step::Sync(_) | Step::SyncFolder) {
            nth += 1;
            // The first ones make the database: each of them is a case of its own.
            if nth <= 20 || nth % every == 0 {
                for seed in [None, Some(1), Some(2)] {
                    let mut luck = seed.map(|seed| StdRng::seed_from_u64(seed * 1_000_000 + nth as u64));
                    let found = disk.after_a_cut(luck.as_mut());
                    assert_eq!(missing(&found, so_far), Ok(0), "cut at sync {nth}, with luck {seed:?}");
                    cuts += 1;
                }
                // The judge must be able to say no: a disk that takes no journal's sync seriously does lose.
                if cuts % 10 == 0 {
                    noticed += u32::from(missing(&lying.after_a_cut(None), so_far) != Ok(0));
                }
            }
        }
        match &step {
            Step::Acknowledged(number) => so_far = *number,
            Step::Sync(name) if name.ends_with("-wal") => {}
            Step::Sync(name) => lying.step(Step::Sync(name.clone())),
            Step::SyncFolder => lying.step(Step::SyncFolder),
            Step::Make(name) => lying.step(Step::Make(name.clone())),
            Step::Remove(name) => lying.step(Step::Remove(name.clone())),
            Step::Change(name, Change::Cut(length)) => lying.step(Step::Change(name.clone(), Change::Cut(*length))),
            Step::Change(name, Change::Write(offset, bytes)) if !name.ends_with("-wal") => {
                lying.step(Step::Change(name.clone(), Change::Write(*offset, bytes.clone())));
            }
            Step::Change(..) => {}
        }
        disk.step(step);
    }
    assert_eq!(missing(&disk.after_a_cut(None), all), Ok(0), "after the end");
    assert!(noticed > 0, "a disk that loses its journal went unnoticed");
    writeln!(std::io::stderr(), "{cuts} power cuts at {syncs} syncs, {all} firings: none is missing").expect("told");
}
