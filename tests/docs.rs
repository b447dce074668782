//! The documents are true as far as a machine can tell: every page is in the book, every link leads somewhere, every configuration is taken, every
//! command line and every alert is understood, every message that is quoted is said, and the first pages lead to an alert.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};

use axum::Router;
use bellwether_core::{
    catalog::Catalog,
    condition::ChannelName,
    config::Config,
    parse::{ParseContext, parse},
    time::Timestamp,
};
use bellwether_tui::cli::{Cli, Command, flags_first};
use clap::Parser as _;
use tokio::net::TcpListener;

use crate::harness::{Exchange, Lab, Settings, eventually, root};

/// All pages that people read: those of `docs/`, and beside the sources.
fn pages() -> BTreeMap<PathBuf, String> {
    let mut pages = BTreeMap::new();
    for folder in ["", "docs", "deploy", "tests/counterparts", "tests/data"] {
        for entry in fs::read_dir(root().join(folder)).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.extension().is_some_and(|e| e == "md") {
                pages.insert(path.clone(), fs::read_to_string(&path).expect("text"));
            }
        }
    }
    assert!(pages.len() > 15, "{:?}", pages.keys());
    pages
}

fn name(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}

/// A fenced block: its words behind the fence, the line where it begins, and its lines.
struct Block {
    place: String,
    kind: String,
    lines: Vec<String>,
}

fn blocks() -> Vec<Block> {
    let mut blocks = Vec::new();
    for (path, text) in pages() {
        let mut open: Option<Block> = None;
        for (number, line) in (1..).zip(text.lines()) {
            match (&mut open, line.trim().strip_prefix("```")) {
                (Some(_), Some("")) => blocks.extend(open.take()),
                (Some(block), _) => block.lines.push(line.to_owned()),
                (None, Some(kind)) => {
                    let place = format!("{}:{number}", name(&path));
                    open = Some(Block { place, kind: kind.to_owned(), lines: Vec::new() });
                }
                (None, None) => {}
            }
        }
        assert!(open.is_none(), "{}: a block is not closed", name(&path));
    }
    blocks
}

/// A page without its blocks and without code between backquotes.
fn prose(text: &str) -> String {
    let mut inside = false;
    let mut prose = String::new();
    for line in text.lines() {
        if line.trim().starts_with("```") {
            inside = !inside;
        } else if !inside {
            let pieces = line.split('`').step_by(2);
            prose.extend(pieces.chain(["\n"]));
        }
    }
    prose
}

/// What a heading is called in a link, as GitHub and mdBook make it.
fn anchors(text: &str) -> BTreeSet<String> {
    let mut anchors = BTreeSet::new();
    let mut inside = false;
    for line in text.lines() {
        inside ^= line.trim().starts_with("```");
        let Some(heading) = line.strip_prefix('#').filter(|_| !inside) else { continue };
        let words = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = words.chars().filter(|c| c.is_alphanumeric() || [' ', '-', '_'].contains(c));
        anchors.insert(kept.map(|c| if c == ' ' { '-' } else { c }).collect());
    }
    anchors
}

/// Where the links of a page lead that lead to files.
fn links(text: &str) -> Vec<String> {
    let prose = prose(text);
    let targets = prose.match_indices("](").filter_map(|(at, _)| prose[at + 2..].split_once(')'));
    let targets = targets.map(|(target, _)| target.split(' ').next().unwrap_or_default().to_owned());
    targets.filter(|t| !t.contains("://") && !t.starts_with("mailto:")).collect()
}

#[test]
fn every_link_leads_to_a_file_and_a_heading_that_are_there() {
    let mut dead = BTreeSet::new();
    let mut looked = 0;
    for (path, text) in pages() {
        for link in links(&text) {
            looked += 1;
            let (file, anchor) = link.split_once('#').map_or((link.as_str(), None), |(f, a)| (f, Some(a)));
            let target = if file.is_empty() { path.clone() } else { path.parent().expect("a folder").join(file) };
            let there = match (fs::metadata(&target), anchor) {
                (Err(_), _) => false,
                (Ok(_), None) => true,
                (Ok(_), Some(anchor)) => fs::read_to_string(&target).is_ok_and(|text| anchors(&text).contains(anchor)),
            };
            if !there {
                dead.insert(format!("{}: {link}", name(&path)));
            }
        }
    }
    assert!(looked > 60, "{looked} links were found");
    assert!(dead.is_empty(), "{dead:#?}");
}

#[test]
fn every_page_is_in_the_book_once() {
    let summary = fs::read_to_string(root().join("docs/SUMMARY.md")).expect("docs/SUMMARY.md");
    let listed = links(&summary);
    let once: BTreeSet<String> = listed.iter().cloned().collect();
    assert_eq!(once.len(), listed.len(), "{listed:?}");
    let there = pages()
        .into_keys()
        .filter_map(|path| path.strip_prefix(root().join("docs")).ok().map(|page| page.display().to_string()));
    let there: BTreeSet<String> = there.filter(|page| page != "SUMMARY.md").collect();
    assert_eq!(once, there);
    fs::read_to_string(root().join("docs/book.toml")).expect("text").parse::<toml::Table>().expect("TOML");
}

#[test]
fn every_configuration_is_taken() {
    let mut looked = 0;
    let mut wrong = Vec::new();
    for block in blocks().iter().filter(|block| block.kind == "toml") {
        looked += 1;
        match Config::from_toml(&block.lines.join("\n")) {
            Ok(config) => wrong.extend(config.senseless().iter().map(|error| format!("{}: {error}", block.place))),
            Err(error) => wrong.push(format!("{}: {error}", block.place)),
        }
    }
    assert!(looked > 15, "{looked} were found");
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// The words of the commands of one line of a shell, each from the program on, as the shell would cut them.
fn commands(line: &str) -> Vec<Vec<String>> {
    let mut commands = vec![Vec::new()];
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut letters = line.chars().peekable();
    while let Some(letter) = letters.next() {
        match (quote, letter) {
            (Some(q), _) if letter == q => quote = None,
            (Some('"') | None, '\\') => word.get_or_insert_default().extend(letters.next()),
            (None, '"' | '\'') => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            (None, '#') if word.is_none() => break,
            (None, ' ' | '|' | '&' | ';' | '>' | '<') => {
                commands.last_mut().expect("one").extend(word.take());
                if letter != ' ' {
                    commands.push(Vec::new());
                }
            }
            _ => word.get_or_insert_default().push(letter),
        }
    }
    assert!(quote.is_none(), "a quote is not closed: {line}");
    commands.last_mut().expect("one").extend(word);
    commands.iter().filter_map(|words| own(words)).collect()
}

/// The command from our program on, if it is one of ours: behind variables, `sudo` or `docker exec` too.
fn own(words: &[String]) -> Option<Vec<String>> {
    let is_variable = |word: &String| {
        word.split_once('=').is_some_and(|(name, _)| name.bytes().all(|b| b.is_ascii_uppercase() || b == b'_'))
    };
    let mut start = words.iter().take_while(|word| is_variable(word) || *word == "sudo").count();
    if words.get(start..start + 2).is_some_and(|two| two == ["docker", "exec"]) {
        start += 3;
    }
    let program = words.get(start)?;
    (program == "bellwether" || program == "/usr/bin/bellwether").then(|| words[start..].to_vec())
}

#[test]
fn a_line_of_a_shell_is_cut_into_its_commands() {
    let cut = |line: &str| commands(line).iter().map(|words| words.join("_")).collect::<Vec<_>>();
    assert_eq!(
        cut(r#"bellwether add "BTC > 60k" --json | jq '.[0] | .id'  # bellwether no"#),
        ["bellwether_add_BTC > 60k_--json"]
    );
    assert_eq!(cut("bellwether export > alerts.json; bellwether list &"), ["bellwether_export", "bellwether_list"]);
    assert_eq!(cut("docker exec bellwether /usr/bin/bellwether list"), ["/usr/bin/bellwether_list"]);
    assert_eq!(cut("systemctl restart bellwether"), Vec::<String>::new());
    assert_eq!(cut("docker build -t bellwether ."), Vec::<String>::new());
    assert_eq!(cut("docker run bellwether list"), Vec::<String>::new());
    assert_eq!(cut("NO_COLOR=1 bellwether list"), ["bellwether_list"]);
}

/// Whether an alert line is understood, and otherwise why not. It may name any channel.
fn understood(line: &str) -> Result<(), String> {
    let catalog = Catalog::builtin();
    let channels =
        ["desktop", "email", "sms", "webhook:phone", "webhook:default", "command:light"].map(ChannelName::new);
    let zone = jiff::tz::TimeZone::UTC;
    let now = Timestamp::from_seconds(1_790_000_000);
    let context = ParseContext { catalog: &catalog, now, timezone: &zone, channels: &channels };
    parse(line, &context).map(drop).map_err(|error| error.message)
}

#[test]
fn every_command_line_is_understood() {
    let mut looked = 0;
    for block in blocks().iter().filter(|block| ["sh", "console", "text"].contains(&block.kind.as_str())) {
        let shown = block.kind != "sh";
        for (number, line) in block.lines.iter().enumerate() {
            let Some(line) = (if shown { line.strip_prefix("$ ") } else { Some(line.as_str()) }) else { continue };
            if !line.contains("bellwether") || line.trim_start().starts_with('#') {
                continue;
            }
            let is_refused = shown && block.lines.get(number + 1).is_some_and(|next| next.starts_with("error: "));
            for words in commands(line.trim_end_matches('\\')) {
                looked += 1;
                let arguments = flags_first(words.iter().map(OsString::from));
                let cli = match Cli::try_parse_from(arguments) {
                    Ok(cli) => cli,
                    // The version and the help are no mistake.
                    Err(error) if !error.use_stderr() => continue,
                    Err(error) => panic!("{}: {line}\n{error}", block.place),
                };
                let alerts = match cli.command {
                    Some(Command::Add { line } | Command::Edit { line, .. }) => vec![line.join(" ")],
                    Some(Command::Backtest(args)) => args.exprs,
                    _ => Vec::new(),
                };
                for alert in alerts {
                    let verdict = understood(&alert);
                    assert_eq!(verdict.is_err(), is_refused, "{}: {alert}: {verdict:?}", block.place);
                }
            }
        }
    }
    assert!(looked > 25, "{looked} were found");
}

#[test]
fn every_alert_that_is_shown_is_understood() {
    let catalog = Catalog::builtin();
    let is_symbol = |word: &str| {
        let known = |name: &str| catalog.instruments().iter().any(|i| i.symbol.as_str() == name);
        word.split('/').all(known)
    };
    let mut looked = 0;
    for block in blocks().iter().filter(|block| block.kind == "text") {
        for line in block.lines.iter().filter(|line| !line.starts_with(' ')) {
            let cell = line.split("  ").next().unwrap_or_default().trim();
            if !cell.split_once(' ').is_some_and(|(word, _)| is_symbol(word)) {
                continue;
            }
            looked += 1;
            let verdict = understood(cell);
            assert_eq!(verdict, Ok(()), "{}: {cell}", block.place);
        }
    }
    assert!(looked > 20, "{looked} were found");
}

/// Everything the program can say: its sources as one line of words, with what it fills in as `…`.
fn says() -> String {
    let mut text = String::new();
    let mut folders = ["core/src", "daemon/src", "tui/src"].map(|folder| root().join(folder)).to_vec();
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(&folder).expect("a folder").map(|entry| entry.expect("an entry").path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                text.push_str(&fs::read_to_string(&path).expect("text"));
            }
        }
    }
    // A long sentence goes on in the next line.
    let lines = text.split("\\\n").map(str::trim_start).collect::<String>();
    let mut said = String::with_capacity(lines.len());
    let mut rest = lines.replace("\\\"", "\"");
    while let Some((before, after)) = rest.split_once('{') {
        said.push_str(before);
        // A block of code is no placeholder.
        let end = after.find('}').filter(|end| *end < 60 && !after[..*end].contains(['\n', ';']));
        said.push_str(if end.is_some() { "…" } else { "{" });
        rest = end.map_or(after, |end| &after[end + 1..]).to_owned();
    }
    said + &rest
}

/// What stays of a message when that is left out which differs each time.
fn fixed_parts(message: &str) -> Vec<String> {
    let words = message.split(' ').map(|word| {
        let name = word.trim_matches([':', ',', '.', ';', '(', ')', '?']);
        let differs = [
            "X",
            "Y",
            "x",
            "PID",
            "a3",
            "AAPL",
            "10s",
            "8000",
            "BTC-USD",
            "SMTP_PORT",
            "226",
            "/daemon.json",
            "GBp",
            "GBP",
        ]
        .contains(&name)
            || name.contains(".x.")
            || name.starts_with("feeds.")
            || name.starts_with("channels.");
        if differs { word.replace(name, "…") } else { word.to_owned() }
    });
    let message = words.collect::<Vec<_>>().join(" ");
    let parts =
        message.split('…').map(|part| part.trim_matches([' ', ':', ';', ',', '.', '(', ')', '"', '\'']).to_owned());
    parts.filter(|part| part.len() > 3 && !part.starts_with('/')).collect()
}

/// What others say, which we pass on.
const OTHERS: [&str; 7] =
    ["Connection refused", "timed out", "dns error", "closed", "404 Not Found", "410 Gone", "400 216"];

#[test]
fn what_the_troubleshooting_page_quotes_is_said_by_the_program() {
    let page = fs::read_to_string(root().join("docs/troubleshooting.md")).expect("text");
    let said = says();
    let (mut looked, mut wrong) = (0, Vec::new());
    for row in page.lines().filter(|line| line.starts_with("| ")) {
        let cell = row.trim_matches(['|', ' ']).split(" | ").next().unwrap_or_default();
        for quote in cell.split('`').skip(1).step_by(2) {
            // The state and the channel before a delivery's answer.
            let states = [" retry: ", " dead: ", " unknown: "];
            let answer =
                states.into_iter().find_map(|state| quote.split_once(state)).map_or(quote, |(_, answer)| answer);
            for part in fixed_parts(answer.strip_prefix("dead: ").unwrap_or(answer)) {
                looked += 1;
                // One sentence may be put together from several.
                let pieces = || part.split(": ").flat_map(|piece| piece.split(", "));
                let is_said = said.contains(&part) || pieces().all(|piece| said.contains(piece));
                if !is_said && !OTHERS.iter().any(|others| part.contains(others)) {
                    wrong.push(format!("{quote}: {part:?}"));
                }
            }
        }
    }
    assert!(looked > 90, "{looked} were found");
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// The blocks of this kind on a page.
fn on_page(page: &str, kind: &str) -> Vec<Block> {
    let found = blocks().into_iter().filter(|block| block.kind == kind && block.place.starts_with(page));
    found.collect()
}

/// A server that takes what the ntfy app would show, and its address.
async fn phone(messages: Arc<AtomicUsize>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let take = async move |message: String| {
        assert!(message.contains("a-topic-that-nobody-guesses"), "{message}");
        messages.fetch_add(1, SeqCst);
        "{}"
    };
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(take)).await });
    format!("http://{address}")
}

/// The pages that a newcomer follows word by word are followed here, with an exchange and a phone of our own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_follows_the_first_pages_word_by_word_gets_to_an_alert() {
    for page in ["README.md", "docs/first-alert.md"] {
        let exchange = Exchange::start().await;
        let messages = Arc::new(AtomicUsize::new(0));
        let phone = phone(Arc::clone(&messages)).await;
        let settings = on_page(page, "toml");
        let settings = settings.first().expect("the phone's settings").lines.join("\n");
        let settings = settings.replace("https://ntfy.sh", &phone).replace("\"desktop\", ", "");
        let lab = Lab::new();
        lab.configure(&format!("{settings}\n{}", Settings::quiet().coinbase(&exchange)));
        let daemon = lab.daemon().await;
        let mut ran = Vec::new();
        for block in on_page(page, "sh") {
            for words in block.lines.iter().flat_map(|line| commands(line)) {
                let verb = words.get(1).map_or("", String::as_str);
                // These want a terminal or systemd, and have journeys of their own; the daemon runs already.
                if ["", "demo", "daemon", "init", "service", "doctor"].contains(&verb) {
                    continue;
                }
                let said = lab.run(&words[1..]).await;
                assert_eq!(said.code, Some(0), "{}: {words:?}: {said:#?}", block.place);
                ran.push(verb.to_owned());
            }
        }
        for verb in ["add", "config", "notify"] {
            assert!(ran.iter().any(|ran| ran == verb), "{page} does not show `bellwether {verb}`: {ran:?}");
        }
        eventually("the test message on the phone", async || (messages.load(SeqCst) > 0).then_some(())).await;
        let alerts = daemon.api().get("/alerts").await.done()["items"].clone();
        assert!(alerts.as_array().is_some_and(|alerts| !alerts.is_empty()), "{page}: {alerts}");
        daemon.stop().await;
    }
}
