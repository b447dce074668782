//! What the program is made of (docs/reliability.md, P31), held against `deny.toml` without the network: licences, sources, banned crates. What
//! is known of holes after the build is `cargo deny check advisories`, which wants the network.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    process::{Command, Stdio},
};

use serde_json::Value;

use crate::harness::root;

/// What `cargo` says, without the network and with the lock file as it is.
fn cargo(arguments: &[&str]) -> String {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(arguments).args(["--locked", "--offline"]).current_dir(root()).stdin(Stdio::null());
    let output = command.output().expect("cargo runs");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

/// The platform of this machine, as Rust calls it.
fn host() -> String {
    let output = Command::new("rustc").arg("-vV").current_dir(root()).output().expect("rustc runs");
    let text = String::from_utf8(output.stdout).expect("text");
    text.lines().find_map(|line| line.strip_prefix("host: ")).expect("a host").to_owned()
}

/// All packages that are compiled on this machine, tests included.
fn packages() -> Vec<Value> {
    let text = cargo(&["metadata", "--format-version", "1", "--filter-platform", &host()]);
    let metadata: Value = serde_json::from_str(&text).expect("JSON");
    metadata["packages"].as_array().expect("packages").clone()
}

fn deny() -> toml::Table {
    fs::read_to_string(root().join("deny.toml")).expect("deny.toml").parse().expect("TOML")
}

fn texts(value: &toml::Value) -> BTreeSet<String> {
    value.as_array().expect("a list").iter().map(|v| v.as_str().expect("a text").to_owned()).collect()
}

/// Whether an SPDX expression can be fulfilled with these licences alone: of `OR` one, of `AND` both. An old `/` means `OR`.
fn is_allowed(expression: &str, allowed: &BTreeSet<String>) -> bool {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut place = 0;
    either(&words, &mut place, allowed) && place == words.len()
}

fn either(words: &[&str], place: &mut usize, allowed: &BTreeSet<String>) -> bool {
    let mut so = both(words, place, allowed);
    while words.get(*place) == Some(&"OR") {
        *place += 1;
        so |= both(words, place, allowed);
    }
    so
}

fn both(words: &[&str], place: &mut usize, allowed: &BTreeSet<String>) -> bool {
    let mut so = one(words, place, allowed);
    while words.get(*place) == Some(&"AND") {
        *place += 1;
        so &= one(words, place, allowed);
    }
    so
}

fn one(words: &[&str], place: &mut usize, allowed: &BTreeSet<String>) -> bool {
    let Some(word) = words.get(*place) else { return false };
    *place += 1;
    if *word == "(" {
        let inside = either(words, place, allowed);
        let closed = words.get(*place) == Some(&")");
        *place += 1;
        return inside && closed;
    }
    if words.get(*place) == Some(&"WITH") {
        let with = format!("{word} WITH {}", words.get(*place + 1).unwrap_or(&""));
        *place += 2;
        return allowed.contains(&with);
    }
    allowed.contains(*word)
}

#[test]
fn licence_expressions_are_read_as_spdx_means_them() {
    let allowed = ["MIT", "Apache-2.0", "Apache-2.0 WITH LLVM-exception"].map(str::to_owned).into();
    for yes in
        ["MIT", "GPL-3.0 OR MIT", "MIT/Apache-2.0", "(GPL-2.0 OR MIT) AND Apache-2.0", "Apache-2.0 WITH LLVM-exception"]
    {
        assert!(is_allowed(yes, &allowed), "{yes}");
    }
    for no in [
        "",
        "GPL-3.0",
        "MIT AND GPL-3.0",
        "(MIT OR GPL-3.0",
        "MIT WITH x",
        "MIT Apache-2.0",
        "GPL-2.0 AND MIT OR GPL-3.0",
    ] {
        assert!(!is_allowed(no, &allowed), "{no}");
    }
}

#[test]
fn every_crate_has_a_licence_that_is_allowed_and_comes_from_the_one_registry() {
    let deny = deny();
    let allowed = texts(&deny["licenses"]["allow"]);
    let registries = texts(&deny["sources"]["allow-registry"]);
    let home = root().canonicalize().expect("a folder");
    let mut wrong = BTreeSet::new();
    let packages = packages();
    assert!(packages.len() > 100, "the list is whole");
    for package in &packages {
        let name = format!("{} {}", package["name"], package["version"]);
        let Some(source) = package["source"].as_str() else {
            let manifest = package["manifest_path"].as_str().expect("a path");
            assert!(Path::new(manifest).starts_with(&home), "{name} is compiled from {manifest}");
            continue;
        };
        if !source.strip_prefix("registry+").is_some_and(|registry| registries.contains(registry)) {
            wrong.insert(format!("{name} comes from {source}"));
        }
        let licence = package["license"].as_str().unwrap_or_default();
        if !is_allowed(licence, &allowed) {
            wrong.insert(format!("{name} is under {licence:?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn no_banned_crate_is_compiled_and_no_dependency_takes_any_version() {
    // Not from `cargo metadata`, which also lists what nobody's features switch on.
    let tree = cargo(&["tree", "--workspace", "--prefix", "none", "--format", "{p}", "--edges", "normal,build,dev"]);
    let compiled: BTreeSet<&str> = tree.lines().filter_map(|line| line.split(' ').next()).collect();
    assert!(compiled.contains("rustls"), "{compiled:?}");
    for ban in deny()["bans"]["deny"].as_array().expect("a list") {
        let name = ban["name"].as_str().expect("a name");
        assert!(!compiled.contains(name), "{name} is banned: `cargo tree -i {name}` says who wants it");
    }
    for package in packages().iter().filter(|package| package["source"].is_null()) {
        for dependency in package["dependencies"].as_array().expect("a list") {
            let open = dependency["req"] == "*" && dependency["path"].is_null();
            assert!(!open, "{} takes any version of {}", package["name"], dependency["name"]);
        }
    }
}

#[test]
fn versions_with_known_holes_are_not_compiled() {
    let versions: BTreeMap<String, Vec<u32>> = packages()
        .iter()
        .map(|package| {
            let version = package["version"].as_str().expect("a version");
            let numbers = version.split(['.', '-', '+']).take(3).filter_map(|n| n.parse().ok()).collect();
            (package["name"].as_str().expect("a name").to_owned(), numbers)
        })
        .collect();
    for (name, least) in [("rustls-webpki", [0, 103, 13]), ("jsonwebtoken", [10, 3, 0])] {
        let found = versions.get(name).unwrap_or_else(|| panic!("{name} is no longer used: take it out of this list"));
        assert!(found[..] >= least[..], "{name} {found:?}: at least {least:?}");
    }
    // SQLite before 3.51.3 can lose a checkpoint when the journal is reset.
    let sqlite = rusqlite::version_number();
    assert!(sqlite >= 3_051_003, "SQLite {sqlite} is compiled in");
}

/// Without Python 3.11 nothing is shown.
#[test]
fn the_bill_of_materials_names_everything_that_is_shipped_and_is_the_same_each_time() {
    let run =
        || Command::new("python3").arg("deploy/sbom").env("CARGO_NET_OFFLINE", "true").current_dir(root()).output();
    let new = Command::new("python3").args(["-c", "import tomllib"]).output();
    if !new.is_ok_and(|output| output.status.success()) {
        return;
    }
    let first = run().expect("it runs");
    assert!(first.status.success(), "{}", String::from_utf8_lossy(&first.stderr));
    assert!(first.stdout == run().expect("it runs").stdout, "the same again");
    let bill: Value = serde_json::from_slice(&first.stdout).expect("JSON");
    assert_eq!((&bill["bomFormat"], &bill["specVersion"]), (&"CycloneDX".into(), &"1.6".into()));
    let components = bill["components"].as_array().expect("components");
    let references: BTreeSet<&str> = components.iter().filter_map(|c| c["bom-ref"].as_str()).collect();
    assert_eq!(references.len(), components.len(), "each once");
    let names: BTreeSet<&str> = components.iter().filter_map(|c| c["name"].as_str()).collect();
    assert!(
        ["bellwether-core", "bellwether-daemon", "tokio", "rusqlite", "libsqlite3-sys"]
            .iter()
            .all(|n| names.contains(n))
    );
    for absent in ["insta", "proptest", "bellwether"] {
        assert!(!names.contains(absent), "{absent} is not shipped as a part");
    }
    for part in components.iter().filter(|c| !c["name"].as_str().is_some_and(|n| n.starts_with("bellwether"))) {
        assert_eq!(part["hashes"][0]["content"].as_str().map(str::len), Some(64), "{part}");
        assert!(part["licenses"][0]["expression"].is_string(), "{part}");
    }
    let own = bill["metadata"]["component"]["bom-ref"].as_str().expect("the program");
    for entry in bill["dependencies"].as_array().expect("dependencies") {
        let needs = entry["dependsOn"].as_array().expect("a list").iter().filter_map(Value::as_str);
        for need in needs.chain(entry["ref"].as_str()) {
            assert!(need == own || references.contains(need), "{need} is named and not described");
        }
    }
}
