//! The layer rules of ARCHITECTURE.md, read off the sources: who may name whom.
//!
//! What a missing dependency or a lint keeps already is not repeated here.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use crate::harness::root;

/// A source file: its path from the project's folder, and its code without comments and literals.
struct Source {
    path: String,
    code: String,
}

/// All Rust files below a folder of the project.
fn sources(folder: &str) -> Vec<Source> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(&folder).expect("a folder").map(|entry| entry.expect("an entry").path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let text = fs::read_to_string(&path).expect("a file");
                // Tests may name whatever they need to play the other side.
                let program = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
                if !["tests.rs", "testing.rs", "test_support.rs"].iter().any(|end| path.ends_with(end))
                    && !path.to_string_lossy().ends_with("_tests.rs")
                {
                    found.push(Source { path: from_root(&path), code: code_of(program) });
                }
            }
        }
    }
    assert!(!found.is_empty(), "{folder} holds no code: this rule would keep nothing");
    found
}

fn from_root(path: &Path) -> String {
    let root: PathBuf = root();
    path.strip_prefix(&root).expect("inside the project").to_string_lossy().into_owned()
}

/// The text without comments, strings and characters, so that only names remain.
fn code_of(text: &str) -> String {
    let mut code = String::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let skipped = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if let Some(length) = raw_string(rest) {
            length
        } else if c == '"' {
            quoted(rest)
        } else if c == '\'' {
            character(rest)
        } else {
            0
        };
        let taken = if skipped == 0 { c.len_utf8() } else { skipped };
        code.push_str(if skipped == 0 { &rest[..taken] } else { " " });
        rest = &rest[taken..];
    }
    code
}

/// The length of `r"…"` or `r#"…"#` at the start of the text.
fn raw_string(text: &str) -> Option<usize> {
    let after = text.strip_prefix('r')?;
    let hashes = after.len() - after.trim_start_matches('#').len();
    let body = after[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    Some(1 + hashes + 1 + body.find(&end)? + end.len())
}

fn quoted(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            '"' if !escaped => return at + 1,
            '\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    text.len()
}

/// The length of a character at the start of the text; 0 for a lifetime.
fn character(text: &str) -> usize {
    let mut chars = text.char_indices().skip(1);
    match chars.next() {
        Some((_, '\\')) => text[3..].find('\'').map_or(0, |end| 3 + end + 1),
        Some(_) => chars.next().filter(|(_, c)| *c == '\'').map_or(0, |(at, _)| at + 1),
        None => 0,
    }
}

/// Whether the code names this word as a path's beginning (`word::…`) or imports it.
fn names(code: &str, word: &str) -> bool {
    code.match_indices(word).any(|(at, _)| {
        let before = code[..at].chars().next_back();
        let after = code[at + word.len()..].trim_start();
        let whole = !before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':');
        let imported = code[..at].trim_end().ends_with("use");
        whole && (after.starts_with("::") || imported && after.starts_with([';', ' ']))
    })
}

/// The first names after `crate::` or `super::`, those inside braces too.
fn neighbours(code: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for prefix in ["crate::", "super::"] {
        for (at, _) in code.match_indices(prefix) {
            let rest = &code[at + prefix.len()..];
            match rest.strip_prefix('{') {
                None => found.extend(first_name(rest)),
                Some(group) => found.extend(top_level(group).iter().filter_map(|part| first_name(part))),
            }
        }
    }
    found
}

fn first_name(text: &str) -> Option<String> {
    let name: String = text.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    (!name.is_empty()).then_some(name)
}

/// The parts of a group of imports, up to its closing brace.
fn top_level(group: &str) -> Vec<String> {
    let (mut parts, mut depth) = (vec![String::new()], 0);
    for c in group.chars() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => parts.push(String::new()),
            _ => parts.last_mut().expect("one at least").push(c),
        }
    }
    parts
}

#[test]
fn the_reader_of_sources_sees_names_and_nothing_else() {
    let code = code_of(
        "use crate::{clock::Clock, gateway::{Hub, x}}; // rusqlite::x\nlet a = \"axum::\\\" b\"; let c = '\"'; r#\"lettre::\"#;",
    );
    assert_eq!(neighbours(&code), BTreeSet::from(["clock".to_owned(), "gateway".to_owned()]));
    assert!(!names(&code, "rusqlite") && !names(&code, "axum") && !names(&code, "lettre"), "{code}");
    assert!(names("let x = rusqlite::open();", "rusqlite"));
    assert!(names("use axum;", "axum"));
    assert!(!names("my_axum::x", "axum"));
    assert_eq!(code_of("fn f<'a>(x: &'a str) -> char { '\\n' }").trim(), "fn f<'a>(x: &'a str) -> char {   }");
}

#[test]
fn core_depends_on_nothing_that_acts() {
    let allowed = [
        "jiff",
        "rust_decimal",
        "serde",
        "serde_json",
        "thiserror",
        "toml",
        "unicode-segmentation",
        "unicode-width",
        "utoipa",
    ];
    let text = fs::read_to_string(root().join("core/Cargo.toml")).expect("core/Cargo.toml");
    let manifest: toml::Table = text.parse().expect("TOML");
    let dependencies = manifest["dependencies"].as_table().expect("dependencies");
    for (name, how) in dependencies {
        assert!(
            allowed.contains(&name.as_str()),
            "core depends on `{name}`: core decides and has no I/O; what acts belongs to daemon or tui"
        );
        let optional = how.get("optional").and_then(toml::Value::as_bool).unwrap_or(false);
        assert!(
            name != "utoipa" || optional,
            "core may know utoipa only as an option: the description is the gateway's"
        );
    }
}

#[test]
fn core_asks_neither_time_nor_chance_nor_the_system() {
    for source in sources("core/src") {
        for (word, instead) in [
            ("std::fs", "take the text as an argument"),
            ("std::env", "take the value as an argument"),
            ("std::net", "core has no I/O"),
            ("std::process", "core has no I/O"),
            ("std::thread", "core never waits"),
            ("Instant::now", "take `now` as an argument"),
            ("SystemTime", "take `now` as an argument"),
            ("Timestamp::now", "take `now` as an argument"),
            ("Zoned::now", "take `now` as an argument"),
            ("TimeZone::system", "take the time zone as an argument"),
            (".await", "core is synchronous"),
        ] {
            assert!(!source.code.contains(word), "{} names `{word}`: {instead}", source.path);
        }
    }
}

#[test]
fn only_two_commands_know_the_daemon() {
    for source in sources("tui/src") {
        let may = ["tui/src/commands/daemon.rs", "tui/src/commands/demo.rs"].contains(&source.path.as_str());
        assert!(
            may || !names(&source.code, "bellwether_daemon"),
            "{} names bellwether_daemon: all but commands/daemon.rs and commands/demo.rs speak the protocol",
            source.path
        );
    }
    for source in sources("daemon/src").iter().chain(&sources("core/src")) {
        assert!(!names(&source.code, "bellwether_tui"), "{} names the program it serves", source.path);
    }
}

/// The role whose code a file of the daemon is.
fn role_of(path: &str) -> Option<&'static str> {
    let inside = path.strip_prefix("daemon/src/")?;
    ["ingest", "evaluate", "notify", "gateway"]
        .into_iter()
        .find(|role| inside.starts_with(&format!("{role}/")) || inside == format!("{role}.rs"))
}

#[test]
fn the_roles_do_not_know_each_other() {
    for source in sources("daemon/src") {
        let known = neighbours(&source.code);
        let roles: Vec<&str> =
            ["ingest", "evaluate", "notify", "gateway"].into_iter().filter(|role| known.contains(*role)).collect();
        if let Some(own) = role_of(&source.path) {
            let foreign: Vec<&&str> = roles.iter().filter(|role| **role != own).collect();
            assert!(
                foreign.is_empty(),
                "{} names {foreign:?}: roles share channel ends and core types only; daemon.rs joins them",
                source.path
            );
        } else if source.path != "daemon/src/daemon.rs" {
            assert!(roles.len() <= 1, "{} names {roles:?}: daemon.rs alone joins the roles", source.path);
        }
    }
}

#[test]
fn each_outside_crate_has_one_home() {
    let homes: [(&str, &[&str], &str); 7] = [
        ("rusqlite", &["daemon/src/store/"], "SQL lives in store/"),
        ("axum", &["daemon/src/gateway/"], "HTTP is served in gateway/"),
        ("lettre", &["daemon/src/notify/"], "mail is sent in notify/"),
        ("zbus", &["daemon/src/notify/"], "the desktop is reached from notify/"),
        (
            "tokio_tungstenite",
            &["daemon/src/ingest/", "daemon/src/gateway/", "tui/src/client/"],
            "WebSockets are spoken where the links to the outside are",
        ),
        (
            "ratatui",
            &["tui/src/view/", "tui/src/terminal.rs", "tui/src/runtime.rs", "tui/src/app/"],
            "drawing lives in view/",
        ),
        (
            "crossterm",
            &["tui/src/view/", "tui/src/terminal.rs", "tui/src/runtime.rs", "tui/src/app/"],
            "keys come from runtime.rs",
        ),
    ];
    for source in sources("daemon/src").iter().chain(&sources("tui/src")) {
        for (name, places, why) in &homes {
            let at_home = places.iter().any(|place| source.path.starts_with(place));
            assert!(at_home || !names(&source.code, name), "{} names `{name}`: {why}", source.path);
        }
    }
}

#[test]
fn drawing_changes_nothing_and_updating_waits_for_nothing() {
    for source in sources("tui/src/view") {
        assert!(!source.code.contains("&mut App"), "{} takes `&mut App`: view only reads it", source.path);
        assert!(!source.code.contains("async"), "{} is asynchronous: view only draws", source.path);
    }
    for source in sources("tui/src/app") {
        for word in [".await", "async ", "tokio::", "std::fs", "reqwest"] {
            assert!(
                !source.code.contains(word),
                "{} names `{word}`: update gives Effects, runtime.rs does them",
                source.path
            );
        }
    }
}
