//! The command line of the real program: exit codes, sentences, JSON, and what it says when something is wrong.

use std::{
    fs,
    net::TcpListener,
    os::unix::{ffi::OsStringExt as _, fs::PermissionsExt as _},
    path::Path,
    process::Command,
};

use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader};

use crate::harness::{
    Daemon, Exchange, Lab, Output, PATIENCE, Receiver, Settings,
    daemon::Starting,
    lab::{PROGRAM, finish},
};

/// A text with everything that must not reach a terminal: escape sequences, C1, BEL, bidirectional and invisible characters.
const EVIL: &str = "a\u{1b}]52;c;ZXZpbA==\u{7}b\u{9b}31mc\u{202e}d\u{200b}e\rf\u{0}g";

fn assert_harmless(what: &str, text: &str) {
    let evil = |c: &char| (c.is_control() && *c != '\n') || ['\u{202e}', '\u{200b}', '\u{9b}'].contains(c);
    let found: Vec<char> = text.chars().filter(evil).collect();
    assert!(found.is_empty(), "{what} shows {found:?}:\n{}", text.escape_debug());
}

/// The words of a command's `Commands:` list.
fn subcommands(help: &str) -> Vec<String> {
    let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| line.starts_with("  "));
    let name = |line: &str| line.strip_prefix("  ")?.split(' ').next().filter(|w| !w.is_empty()).map(str::to_owned);
    listed.filter_map(name).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_command_explains_itself() {
    let lab = Lab::new();
    let mut waiting = vec![Vec::<String>::new()];
    let mut seen = Vec::new();
    while let Some(words) = waiting.pop() {
        let said = finish(lab.bare(words.iter().cloned().chain(["--help".to_owned()]))).await;
        assert!(said.done().contains("Usage: bellwether"), "{words:?}: {said:?}");
        assert_eq!(said.err, "", "{words:?}");
        waiting.extend(subcommands(&said.out).into_iter().map(|word| [words.clone(), vec![word]].concat()));
        seen.push(words.join(" "));
    }
    for promised in [
        "daemon",
        "demo",
        "init",
        "add",
        "list",
        "pause",
        "resume",
        "rm",
        "prices",
        "watch",
        "events",
        "notify test",
        "doctor",
        "service install",
        "service uninstall",
        "service status",
        "completions",
        "man",
    ] {
        assert!(seen.iter().any(|command| command == promised), "{promised} is missing: {seen:?}");
    }
    let version = finish(lab.bare(["--version"])).await;
    assert_eq!(version.done(), format!("bellwether {}\n", env!("CARGO_PKG_VERSION")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_usage_is_2() {
    let lab = Lab::new();
    for words in [&["fly"][..], &["add"], &["rm"], &["list", "--loud"], &["notify"], &["events", "--limit", "0"]] {
        let said = finish(lab.bare(words)).await;
        assert_eq!((said.code, said.out.as_str()), (Some(2), ""), "{words:?}: {said:?}");
        assert!(said.err.contains("--help"), "{words:?}: {said:?}");
    }
    let odd = std::ffi::OsString::from_vec(b"BTC > \xff60k".to_vec());
    let said = finish(lab.bare([std::ffi::OsString::from("add"), odd])).await;
    assert!(matches!(said.code, Some(1 | 2)) && !said.err.contains("panicked"), "{said:?}");
    assert_harmless("the error", &said.err);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_daemon_every_command_says_how_to_start_one() {
    let lab = Lab::new();
    for words in [
        &["list"][..],
        &["add", "BTC > 60k"],
        &["pause", "a1"],
        &["resume", "a1"],
        &["rm", "a1"],
        &["prices"],
        &["watch"],
        &["events"],
        &["notify", "test", "desktop"],
        &["list", "--json"],
    ] {
        let said = lab.run(words).await;
        assert!(said.refused().contains("bellwether daemon"), "{words:?}: {said:?}");
        assert!(said.err.starts_with("error: no daemon is running"), "{words:?}: {said:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stale_daemon_file_is_seen_through() {
    let lab = Lab::with(&Settings::quiet());
    let daemon = lab.daemon().await;
    let file = fs::read_to_string(lab.data().join("daemon.json")).expect("daemon.json");
    daemon.kill().await;
    assert!(lab.data().join("daemon.json").exists(), "a killed daemon cannot clean up");
    let said = lab.run(["list"]).await;
    assert!(said.refused().contains("does not answer") && said.err.contains("bellwether daemon"), "{said:?}");

    // The process number may belong to somebody else by now: to one that lives for ever.
    let mut stale: Value = serde_json::from_str(&file).expect("JSON");
    stale["pid"] = 1.into();
    fs::write(lab.data().join("daemon.json"), stale.to_string()).expect("written");
    let daemon = lab.daemon().await;
    assert_eq!(lab.run(["list", "--json"]).await.code, Some(0));
    daemon.stop().await;

    fs::write(lab.data().join("daemon.json"), "{\"address\":").expect("written");
    assert!(lab.run(["list"]).await.refused().contains("daemon.json"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_there_is_no_terminal_one_sentence_names_what_fits() {
    let lab = Lab::new();
    for words in [&[][..], &["demo"]] {
        let said = lab.run(words).await;
        let text = said.refused();
        assert!(text.contains("`bellwether daemon`") && text.contains("`bellwether watch`"), "{words:?}: {said:?}");
        assert_eq!(text.trim().lines().count(), 1, "one sentence: {said:?}");
    }
    assert!(!lab.data().join("daemon.json").exists(), "nothing was started");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mistake_in_the_configuration_is_named_with_its_place() {
    let lab = Lab::new();
    let place = |at: &str| format!("{}:{at}: ", lab.config().display());
    for (text, at, expected) in [
        ("[server\n", "1:8", ""),
        ("\n[emial]\n", "2:2", "unknown key `emial`"),
        ("[channels.emial]\nhost = 'h'", "1:11", "unknown key `emial`; did you mean `email`?"),
        ("[channels.email]\nhost = 'h'\nport = \"abc\"", "3:8", "an integer from 1 to 65535"),
        ("[channels.email]\nhost = 'h'\nport = 70000", "3:8", "an integer from 1 to 65535"),
        ("[channels.email]\nhost = 'h'\nport = 0", "3:8", "an integer from 1 to 65535"),
        ("[channels.email]\nhost = 'h'\nport = -1", "3:8", "an integer from 1 to 65535"),
        ("[feeds.yahoo]\ninterval = '-5s'", "2:12", "a duration such as \"90s\""),
        ("[feeds.yahoo]\ninterval = '5 mins ago'", "2:12", "a duration such as \"90s\""),
        ("[feeds.coingecko]\ninterval = '0s'", "2:12", "a duration"),
        ("[feeds.coingecko]\ninterval = '1000000000000000000000000000000s'", "2:12", "a duration"),
        ("[server]\nlisten = '0.0.0.0:8000'", "2:10", "allow_remote"),
        ("[feeds.coingecko]\nbase_url = 'file:///etc/passwd'", "2:12", "http"),
        ("[feeds.coingecko]\nbase_url = 'http://user:secret@h/'", "2:12", "no user name or password"),
        ("[feeds.yahoo]\nbase_url = 'http://a b/'", "2:12", "http"),
        ("[server]\nlisten = '127.0.0.1:1'\nlisten = '127.0.0.1:2'", "3:1", "duplicate key"),
    ] {
        lab.configure(text);
        let said = lab.run(["daemon"]).await;
        assert!(said.refused().contains(&place(at)), "{text}: no {at}\n{}", said.err);
        assert!(said.err.contains(expected), "{text}: no `{expected}`\n{}", said.err);
        assert!(!said.err.contains("user:secret"), "{}", said.err);
    }
    assert!(!lab.data().exists(), "a configuration that is refused leaves no trace");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_channel_cannot_use_is_named_by_its_key() {
    let lab = Lab::new();
    let mail = "[channels.email]\nhost = '127.0.0.1'\ntls = 'none'\n";
    for (text, expected) in [
        (format!("{mail}from = \"Bell\\r\\nBcc: x@evil.example <a@b.example>\""), "channels.email.from"),
        (format!("{mail}from = 'me@example.org'\nto = ['no address']"), "channels.email.to"),
        ("[channels.email]\nhost = 'mail.example.org'\ntls = 'none'\nfrom = 'a@b.example'".to_owned(), "channels.email.tls"),
        (
            "[channels.sms]\naccount_sid = 'AC0123456789abcdef0123456789abcdef'\nauth_token = 'x'\nfrom = '0660 123'\nto = ['+14155550123']".to_owned(),
            "+14155550123",
        ),
        ("[channels.webhook.x]\nurl = 'ftp://h/'".to_owned(), "channels.webhook.x.url"),
        ("[channels.webhook.x]\nurl = 'http://h/'\nsecret = 'canary'".to_owned(), "channels.webhook.x.secret"),
        ("[server]\njwt_secret = { env = 'NOT_SET' }".to_owned(), "NOT_SET"),
        ("[server]\njwt_secret = { file = '/nonexistent/key' }".to_owned(), "/nonexistent/key"),
    ] {
        lab.configure(&format!("{text}\n"));
        let said = lab.run(["daemon"]).await;
        assert!(said.refused().contains(expected), "{text}\n{}", said.err);
        assert!(!said.err.contains("canary"), "{}", said.err);
        assert_harmless("the error", &said.err);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_configuration_that_is_no_text_is_named_with_its_reason() {
    let lab = Lab::new();
    fs::write(lab.config(), b"[server]\n# \xff\xfe").expect("written");
    assert!(lab.run(["daemon"]).await.refused().contains("UTF-8"));
    fs::write(lab.config(), vec![b'#'; 50 << 20]).expect("written");
    assert!(lab.run(["daemon"]).await.refused().contains("larger"));
    fs::remove_file(lab.config()).expect("removed");
    fs::create_dir(lab.config()).expect("a folder");
    assert!(lab.run(["daemon"]).await.refused().contains("folder"));
    let said = finish(lab.bare(["daemon", "--config", "/nonexistent.toml"])).await;
    assert!(said.refused().contains("/nonexistent.toml"), "{said:?}");

    // A byte order mark is no mistake; a secret that others can read is one, but not one to stop for.
    fs::remove_dir(lab.config()).expect("removed");
    lab.configure(&format!(
        "\u{feff}{}",
        Settings::quiet().with("server", "jwt_secret = \"canary-canary-canary-canary-canary!\"")
    ));
    fs::set_permissions(lab.config(), fs::Permissions::from_mode(0o644)).expect("chmod");
    let log = lab.daemon().await.stop().await;
    assert!(log.contains("chmod 600") && !log.contains("canary"), "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_example_is_a_configuration() {
    let lab = Lab::new();
    let example = finish(lab.bare(["config", "example"])).await;
    assert_eq!(
        example.done(),
        fs::read_to_string(crate::harness::root().join("config.example.toml")).expect("the example")
    );
    lab.configure(&example.out);
    assert_eq!(lab.run(["config", "check"]).await.code, Some(0));
    lab.configure("[servr]\n");
    assert!(lab.run(["config", "check"]).await.refused().contains(":1:2: unknown key `servr`; did you mean `server`?"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_port_that_is_taken_is_refused_when_it_was_asked_for_and_avoided_when_not() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    let lab = Lab::with(&Settings::quiet().with("server", &format!("listen = \"{address}\"")));
    let said = lab.run(["daemon"]).await;
    assert!(said.refused().contains(&address), "{said:?}");

    // 8000, the port of those who ask for none, is ours or somebody else's: taken in any case.
    let _taken = TcpListener::bind("127.0.0.1:8000");
    let lab = Lab::new();
    let text = Settings::quiet().to_string().replace("listen = \"127.0.0.1:0\"", "");
    lab.configure(&text);
    let daemon = lab.daemon().await;
    assert!(!daemon.address().ends_with(":8000"), "{}", daemon.address());
    assert!(daemon.log().contains("8000"), "it says so: {}", daemon.log());
    assert_eq!(lab.run(["list", "--json"]).await.code, Some(0), "its clients still find it");
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_daemons_on_the_same_data_one_lives() {
    let lab = Lab::with(&Settings::quiet());
    let first = lab.daemon().await;
    first.api().alert("BTC > 60k").await;
    let rivals: Vec<_> = (0..6).map(|_| Starting::spawn(lab.command(["daemon"]), &lab.data())).collect();
    for rival in rivals {
        let (status, said) = rival.ended().await;
        assert_eq!(status.code(), Some(1), "{said}");
        assert!(said.contains(&first.pid().to_string()) || said.contains(first.address()), "it names the one: {said}");
        assert!(!said.contains("panicked"), "{said}");
    }
    assert_eq!(first.api().get("/alerts").await.done()["items"].as_array().map(Vec::len), Some(1));
    let found: Value = lab.run(["list", "--json"]).await.json();
    assert!(!found.is_null(), "daemon.json is still the first one's");
    first.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_data_folder_that_cannot_be_used_is_refused_with_its_reason() {
    let lab = Lab::with(&Settings::quiet());
    let refused = async |folder: &Path| {
        let mut command = lab.bare(["daemon"]);
        command.arg("--config").arg(lab.config()).arg("--data-dir").arg(folder);
        let said = finish(command).await;
        assert!(said.refused().contains(&folder.display().to_string()), "{said:?}");
        said
    };
    fs::write(lab.path("file"), "mine").expect("written");
    refused(&lab.path("file")).await;
    refused(&lab.path("file/below")).await;
    // A folder in which nobody can write, root neither.
    refused(Path::new("/proc/bellwether")).await;
    refused(Path::new("/proc/sys")).await;
    fs::create_dir(lab.path("open")).expect("a folder");
    fs::set_permissions(lab.path("open"), fs::Permissions::from_mode(0o777)).expect("chmod");
    let said = refused(&lab.path("open")).await;
    assert!(said.err.contains("chmod"), "what to type: {said:?}");
    assert_eq!(fs::read_to_string(lab.path("file")).expect("there"), "mine");
    assert_eq!(fs::read_dir(lab.path("open")).expect("a folder").count(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_not_ours_is_refused_and_left_as_it_is() {
    let lab = Lab::with(&Settings::quiet());
    lab.daemon().await.stop().await;
    let path = lab.data().join("bellwether.db");
    let ours = rusqlite::Connection::open(&path).expect("the database");
    ours.pragma_update(None, "user_version", 999).expect("from the future");
    drop(ours);
    for (what, content) in [
        ("a newer version's", fs::read(&path).expect("a file")),
        ("no database at all", b"these are my holiday notes, and rather long ones, too; ".repeat(100)),
        ("cut off", fs::read(&path).expect("a file")[..2_000].to_vec()),
    ] {
        fs::write(&path, &content).expect("written");
        let said = lab.run(["daemon"]).await;
        assert!(said.refused().contains(&path.display().to_string()), "{what}: {said:?}");
        assert_eq!(fs::read(&path).expect("a file"), content, "{what}: the bytes were changed");
    }
}

/// A daemon with prices and an alert that has fired.
async fn furnished() -> (Lab, Daemon, Exchange, Receiver) {
    let (exchange, receiver) = (Exchange::start().await, Receiver::start().await);
    let settings = Settings::quiet().coinbase(&exchange).webhook("default", &receiver).by_default("webhook");
    let lab = Lab::with(&settings);
    let daemon = lab.daemon().await;
    exchange.trade("BTC-USD", "60000.5");
    daemon.api().price("BTC", "60000.5").await;
    let made = lab.run(["add", "BTC > 60k once note \"sell\""]).await;
    assert!(made.done().starts_with("a1 "), "{made:?}");
    daemon.api().settled(1).await;
    (lab, daemon, exchange, receiver)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_that_prints_data_prints_it_as_json_too() {
    let (lab, daemon, exchange, receiver) = furnished().await;
    let made = lab.run(["add", "--json", "ETH crosses 3k each"]).await.json();
    assert_eq!(made["expr"], "ETH crosses 3000 each", "{made}");
    let id = made["id"].as_str().expect("an id").to_owned();
    for words in [
        &["list"][..],
        &["pause", &id],
        &["resume", &id],
        &["prices"],
        &["prices", "BTC"],
        &["events"],
        &["instruments", "bitcoin"],
        &["notify", "test", "webhook"],
        &["notify", "list"],
        &["rm", &id],
    ] {
        let said = lab.run(words.iter().copied().chain(["--json"])).await;
        assert!(!said.json().is_null(), "{words:?}: {said:?}");
        assert_eq!(said.out.matches('\n').count(), 1, "one document: {words:?}: {said:?}");
        assert_eq!(said.err, "", "{words:?}");
    }
    assert_eq!(receiver.count(), 2, "one firing, one test");

    // What streams prints one object a line, until interrupted, and then ends well.
    let mut command = tokio::process::Command::from(lab.command(["watch", "--json", "BTC"]));
    let mut child = command.stdout(std::process::Stdio::piped()).kill_on_drop(true).spawn().expect("started");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let mut next = async || {
        let line =
            tokio::time::timeout(PATIENCE, lines.next_line()).await.expect("in time").expect("read").expect("a line");
        serde_json::from_str::<Value>(&line).unwrap_or_else(|e| panic!("{e}: {line}"))
    };
    while next().await["price"] != "60000.5" {}
    exchange.trade("BTC-USD", "60100");
    while next().await["price"] != "60100" {}
    let pid = child.id().expect("running").to_string();
    Command::new("kill").args(["-INT", &pid]).status().expect("kill(1)");
    let status = tokio::time::timeout(PATIENCE, child.wait()).await.expect("it ends").expect("waited");
    assert_eq!(status.code(), Some(0), "interrupted is done");
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn alerts_are_made_listed_set_aside_and_removed() {
    let (lab, daemon, _exchange, _receiver) = furnished().await;
    assert!(lab.run(["list"]).await.done().contains("BTC > 60000 once"));
    assert!(lab.run(["events"]).await.done().contains("webhook sent"));
    assert!(lab.run(["prices", "btc"]).await.done().contains("60,000.50"));
    let made = lab.run(["add", "eth", "<", "1k", "every", "1h"]).await;
    assert!(made.done().contains("ETH < 1000 every 1h"), "words need no quotes: {made:?}");
    let twice = lab.run(["add", "ETH < 1k every 1h"]).await;
    assert!(twice.done().starts_with("a3 ") && twice.err.contains("a2"), "the same again is told: {twice:?}");
    assert_eq!(lab.run(["rm", "a3"]).await.code, Some(0));
    assert_eq!(lab.run(["pause", "a2"]).await.code, Some(0));
    assert!(lab.run(["list"]).await.done().contains("paused"));
    assert_eq!(lab.run(["resume", "2"]).await.code, Some(0));
    assert_eq!(lab.run(["rm", "a1", "a2"]).await.code, Some(0));
    assert_eq!(lab.run(["list", "--json"]).await.json(), serde_json::json!([]));
    for words in [&["rm", "999999"][..], &["pause", "a999999"], &["edit", "a999999", "BTC > 1"]] {
        assert!(lab.run(words).await.refused().contains("no alert a999999"), "{words:?}");
    }
    for words in [&["rm", "x"][..], &["rm", "99999999999999999999"], &["pause", "-1"], &["pause", EVIL]] {
        let said = if words[1].contains('\0') { lab.run(["pause", "a\u{1b}[31m"]).await } else { lab.run(words).await };
        assert!(matches!(said.code, Some(1 | 2)), "{words:?}: {said:?}");
        assert_harmless("the error", &said.err);
    }
    assert!(lab.run(["notify", "test", "pigeon"]).await.refused().contains("pigeon"));
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_line_that_is_not_understood_is_shown_with_the_place_and_a_suggestion() {
    let lab = Lab::with(&Settings::quiet());
    let daemon = lab.daemon().await;
    for (line, code, caret, hint) in [
        ("BITCON > 60k", "E_SYMBOL", "^^^^^^", "did you mean BTC?"),
        ("BTC accross 60k", "E_SYNTAX", "    ^^^^^^^", "crosses"),
        ("BTC >", "E_SYNTAX", "     ^", ""),
        ("BTC", "E_SYNTAX", "   ^", ""),
        ("BTC => 60k", "E_SYNTAX", "    ^", ">="),
        ("BTC > 60,5", "E_SYNTAX", "      ^", ""),
        ("BTC > NaN", "E_SYNTAX", "      ^", ""),
        ("BTC > 0x10", "E_SYNTAX", "      ^", ""),
        ("BTC > -5", "E_VALUE", "      ^", ""),
        ("BTC > 0", "E_VALUE", "      ^", ""),
        ("BTC in 70k..60k", "E_VALUE", "       ^^^^^^^^", "60000..70000"),
        ("BTC > 60k eur", "E_CURRENCY", "", ""),
        ("BTC > 60k via pigeon", "E_OPTION", "", ""),
        ("BTC > 60k until 2020-01-01", "E_VALUE", "", ""),
        ("BTC > 60k cooldown 99999999999d", "E_", "", ""),
        ("\u{412}TC > 60k", "E_SYMBOL", "", "U+0412"),
        ("BTC \u{202e}> 60k", "E_", "", "U+202E"),
        ("BTC > \u{ff16}0k", "E_", "", "U+FF16"),
        ("", "E_SYNTAX", "", ""),
    ] {
        let said = lab.run(["add", line]).await;
        let text = said.refused();
        assert!(text.contains(code), "{line:?}: no {code}\n{text}");
        assert!(text.lines().any(|l| l.starts_with(&format!("  {caret}"))), "{line:?}: no caret\n{text}");
        assert!(text.contains(hint), "{line:?}: no `{hint}`\n{text}");
        assert_harmless("the error", text);
    }
    // Read only so far, and refused at once.
    for long in ["BTC > 60k and ".repeat(6_000) + "BTC > 60k", "x".repeat(100_000), "\"".repeat(50_000)] {
        assert!(lab.run(["add", &long]).await.refused().len() < 4_000, "an error longer than anybody reads");
    }
    assert_eq!(lab.run(["list", "--json"]).await.json(), serde_json::json!([]), "nothing was made");
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_has_gone_ends_the_program_quietly() {
    let lab = Lab::with(&Settings::quiet());
    let daemon = lab.daemon().await;
    for level in 0..40 {
        daemon.api().alert(&format!("BTC > {} note \"{}\"", 60_000 + level, "n".repeat(450))).await;
    }
    for words in ["list", "list --json", "instruments", "config example"] {
        let script = format!(
            "{{ '{PROGRAM}' {words} --data-dir '{}' --config '{}'; echo \"code $?\" >&2; }} | head -n 1",
            lab.data().display(),
            lab.config().display()
        );
        let said = finish(lab.program(Path::new("/bin/sh"), ["-c", &script])).await;
        assert_eq!(said.err, "code 0\n", "{words}: {said:?}");
        assert!(!said.out.is_empty());
    }
    // Gone before the first byte.
    let script = format!("'{PROGRAM}' list --data-dir '{}' >&-; true", lab.data().display());
    let said: Output = finish(lab.program(Path::new("/bin/sh"), ["-c", &script])).await;
    assert!(!said.err.contains("panicked"), "{said:?}");
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn evil_text_never_reaches_the_terminal() {
    let (lab, daemon, exchange, receiver) = furnished().await;
    let note = serde_json::json!({
        "symbol": "BTC", "condition": "above", "target_price": 61000, "note": EVIL, "channels": ["webhook"],
    });
    let made = daemon.api().post("/alerts", &note).await;
    assert!([201, 422].contains(&made.status), "{made:?}");
    let other = EVIL.replace('\0', "");
    let said = lab.run(["add", &format!("BTC > 62k note \"{other}\"")]).await;
    assert_harmless("add", &said.out);
    assert_harmless("add", &said.err);
    exchange.trade("BTC-USD", "63000");
    daemon.api().price("BTC", "63000").await;
    receiver.wait(1).await;
    let count = daemon.api().get("/alerts").await.done()["items"].as_array().map_or(0, Vec::len);
    daemon.api().settled(count).await;
    for words in [&["list"][..], &["events"], &["list", "--json"], &["events", "--json"]] {
        let said = lab.run(words).await;
        assert_harmless(words[0], said.done());
    }
    for told in receiver.received() {
        assert_harmless("the webhook", &told.text);
        assert!(!told.text.contains("\\u001b") && !told.text.contains("\\u009b"), "{}", told.text);
    }
    let api = daemon.api();
    for path in ["/alerts", "/events", "/deliveries", "/metrics"] {
        let text = api.get(path).await.text;
        assert_harmless(path, &text);
        assert!(!text.contains("\\u001b") && !text.contains("\\u0007"), "{path}: {text}");
    }
    assert_harmless("the log", &daemon.stop().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_environment_does_what_the_options_do() {
    let lab = Lab::with(&Settings::quiet());
    let with = |words: &[&str]| {
        let mut command = lab.bare(words);
        command.env("BELLWETHER_CONFIG", lab.config()).env("BELLWETHER_DATA_DIR", lab.data()).env("NO_COLOR", "1");
        command
    };
    let daemon = Daemon::start(with(&["daemon"]), &lab.data()).await;
    assert_eq!(finish(with(&["list", "--json"])).await.json(), serde_json::json!([]));
    assert!(!lab.path("home/.local/share/bellwether").exists(), "nothing lies in the home folder");
    daemon.stop().await;

    // Without both, the folders of the XDG base directories.
    let mut command = lab.bare(["daemon", "--config"]);
    command.arg(lab.config());
    let daemon = Daemon::start(command, &lab.path("run/bellwether")).await;
    assert!(lab.path("home/.local/share/bellwether/bellwether.db").is_file());
    assert_eq!(finish(lab.bare(["list", "--json"])).await.json(), serde_json::json!([]));
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_date_ends_at_midnight_where_the_user_lives() {
    for (settings, zone) in
        [(Settings::quiet(), "Asia/Kolkata"), (Settings::quiet().with("user", "timezone = \"Asia/Kolkata\""), "UTC")]
    {
        let lab = Lab::with(&settings);
        let mut command = lab.command(["daemon"]);
        command.env("TZ", zone);
        let daemon = Daemon::start(command, &lab.data()).await;
        let made = lab.run(["--json", "add", "BTC > 900k until 2030-12-31"]).await.json();
        assert_eq!(made["rule"]["until"], "2030-12-31T18:30:00.000Z", "{made}");
        daemon.stop().await;
    }
}
