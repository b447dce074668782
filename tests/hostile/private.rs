//! What nobody else may see, and what must not leave as anything but text: files, secrets, notes in mails (P25, P26 and P28).

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::json;

use super::everything_below;
use crate::harness::{
    Daemon, Exchange, Lab, MailServer, Settings, Site,
    lab::{PROGRAM, finish},
    site::Page,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_note_makes_no_mail_header_and_ends_no_mail() {
    let (exchange, mail) = (Exchange::start().await, MailServer::start().await);
    exchange.trade("BTC-USD", "60001");
    let lab = Lab::with(&Settings::quiet().coinbase(&exchange).mail(&mail).by_default("email"));
    let daemon = lab.daemon().await;
    let api = daemon.api();
    api.price("BTC", "60001").await;
    let note =
        "one\r\nBcc: evil@example.org\r\n\r\n.\r\nMAIL FROM:<evil@example.org>\r\n<img src=x> \u{1b}[31m 金 مرحبا";
    let body = json!({"symbol": "BTC", "condition": "above", "target_price": "60000", "note": note});
    let made = api.post("/alerts", &body).await;
    assert_eq!(made.status, 201, "{made:?}");
    let letters = mail.wait(1).await;
    let letter = &letters[0];
    let (head, body) = letter.text.split_once("\n\n").expect("a head and a body");
    assert_eq!(letter.to, ["<me@example.org>"]);
    for name in ["subject:", "from:", "to:", "date:", "message-id:"] {
        assert_eq!(head.lines().filter(|l| l.to_ascii_lowercase().starts_with(name)).count(), 1, "{name}: {head}");
    }
    assert!(!head.to_ascii_lowercase().lines().any(|l| l.starts_with("bcc:")), "{head}");
    let (_, html) = body.split_once("text/html").expect("a part of HTML");
    assert!(!body.contains('\u{1b}') && !html.contains("<img") && html.contains("&lt;img"), "{body}");
    assert_eq!(api.settled(1).await[0]["deliveries"][0]["state"], "sent");
    assert_eq!(letters.len(), 1);
    daemon.stop().await;
}

fn assert_private(folder: &Path) -> usize {
    let all = everything_below(folder);
    for path in &all {
        let Ok(about) = fs::symlink_metadata(path) else { continue };
        let (mode, expected) = (about.permissions().mode() & 0o777, if about.is_dir() { 0o700 } else { 0o600 });
        assert_eq!(mode & !expected, 0, "{} has mode {mode:o}: others could look into it", path.display());
    }
    all.len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_files_are_private_under_any_umask() {
    let exchange = Exchange::start().await;
    exchange.trade("BTC-USD", "60000");
    let lab = Lab::with(&Settings::quiet().coinbase(&exchange));
    let open = |words: &[&str]| {
        let script = ["-c", "umask 000; exec \"$0\" \"$@\"", PROGRAM].iter().chain(words).copied().collect::<Vec<_>>();
        let mut command = lab.program(Path::new("/bin/sh"), script);
        command.arg("--config").arg(lab.config());
        command
    };
    for (folders, words) in [
        (vec![lab.data()], vec!["--data-dir".to_owned(), lab.data().display().to_string()]),
        (vec![lab.path("home/.local/share/bellwether"), lab.path("run/bellwether")], vec![]),
    ] {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let with = |more: &[&str]| open(&[more, &words].concat());
        let runtime = folders.last().expect("one at least");
        let daemon = Daemon::start(with(&["daemon"]), runtime).await;
        daemon.api().price("BTC", "60000").await;
        assert_eq!(finish(with(&["add", "BTC > 1"])).await.code, Some(0));
        daemon.api().settled(1).await;
        let files: usize = folders.iter().map(|folder| assert_private(folder)).sum();
        assert!(files >= 5, "database, its log, daemon.json: {files}");
        daemon.stop().await;
        for folder in &folders {
            assert!(assert_private(folder) > 0);
        }
    }
}

/// Something secret, in each of its forms.
struct Canary(&'static str);

impl Canary {
    /// As it is, and as base64 shows it, wherever in a longer text it stands.
    fn forms(&self) -> Vec<Vec<u8>> {
        let mut forms = vec![self.0.as_bytes().to_vec()];
        for lead in ["", "x", "xx"] {
            let coded = STANDARD.encode(format!("{lead}{}", self.0));
            forms.push(coded.as_bytes()[4..coded.len() - 4].to_vec());
        }
        forms
    }

    fn is_in(&self, text: &[u8]) -> bool {
        self.forms().iter().any(|form| text.windows(form.len()).any(|window| window == form))
    }
}

const JWT: Canary = Canary("canary-jwt-0123456789-0123456789-0123456789");

const MAIL: Canary = Canary("canary-mail-password");

const SMS: Canary = Canary("canary-sms-token");

const HOOK: Canary = Canary("canary-hook-path");

const QUERY: Canary = Canary("canary-hook-query");

const DEAD: Canary = Canary("canary-dead-hook");

const GECKO: Canary = Canary("canary-gecko-key");

const SIGNING: Canary = Canary("canary-signing-key-of-32-bytes!!");

const PASSWORD: Canary = Canary("canary-user-password");

fn assert_no_canary(place: &str, text: &[u8]) {
    for canary in [JWT, MAIL, SMS, HOOK, QUERY, DEAD, GECKO, SIGNING, PASSWORD] {
        assert!(!canary.is_in(text), "{place} shows {}:\n{}", canary.0, String::from_utf8_lossy(text));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn secrets_show_up_nowhere() {
    // Providers that refuse, and repeat what they were told.
    let echo = |status: u16, key: &'static str| {
        move |uri: &axum::http::Uri| Some(Page { status, kind: "text/plain", body: format!("not {uri} with {key}") })
    };
    let (exchange, mail) = (Exchange::start().await, MailServer::refusing().await);
    let (hook, gecko, twilio) = (
        Site::start(echo(404, QUERY.0)).await,
        Site::start(echo(401, GECKO.0)).await,
        Site::start(echo(401, SMS.0)).await,
    );
    let closed = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
    let lab = Lab::new();
    fs::write(lab.path("gecko.key"), GECKO.0).expect("written");
    let settings = Settings::quiet()
        .coinbase(&exchange)
        .coingecko(&gecko)
        .with("feeds.coingecko", &format!("api_key = {{ file = \"{}\" }}", lab.path("gecko.key").display()))
        .with("feeds.coingecko", "plan = \"demo\"")
        .mail(&mail)
        .with("channels.email", "username = \"me@example.org\"")
        .with("channels.sms", "account_sid = \"AC0123456789abcdef0123456789abcdef\"")
        .with("channels.sms", "auth_token = { env = \"SMS_TOKEN\" }")
        .with("channels.sms", "from = \"+14155550100\"")
        .with("channels.sms", "to = [\"+14155550123\"]")
        .with("channels.sms", &format!("base_url = \"{}\"", twilio.url()))
        .with("channels.webhook.refused", &format!("url = \"{}/{}/x?token={}\"", hook.url(), HOOK.0, QUERY.0))
        .with("channels.webhook.refused", &format!("secret = \"whsec_{}\"", STANDARD.encode(SIGNING.0)))
        .with("channels.webhook.dead", &format!("url = \"http://{closed}/{}\"", DEAD.0))
        .with("log", "level = \"trace\"")
        .with("log", "format = \"json\"");
    lab.configure(&settings.to_string());
    let with = |words: &[&str]| {
        let mut command = lab.command(words);
        command.env("JWT_SECRET", JWT.0).env("SMTP_PASSWORD", MAIL.0).env("SMS_TOKEN", SMS.0);
        command
    };
    let daemon = Daemon::start(with(&["daemon"]), &lab.data()).await;
    let api = daemon.api();
    let user = daemon.stranger().account("user@example.com", PASSWORD.0).await;
    let login = json!({"username": "user@example.com", "password": format!("{}x", PASSWORD.0)});
    assert_no_canary("a wrong login", daemon.stranger().post("/auth/login", &login).await.text.as_bytes());

    let channels = ["email", "sms", "webhook:refused", "webhook:dead"];
    exchange.trade("BTC-USD", "60001");
    api.price("BTC", "60001").await;
    api.alert(&format!("BTC > 60k once via {}", channels.join(","))).await;
    crate::harness::eventually("every channel has been tried", async || {
        let page = api.get("/deliveries").await.done();
        let rows = page["items"].as_array()?.clone();
        (rows.len() == 4 && rows.iter().all(|row| row["answer"].is_string())).then_some(())
    })
    .await;
    for channel in channels {
        let said = finish(with(&["notify", "test", channel])).await;
        assert_eq!(said.code, Some(1), "{said:?}");
        assert_no_canary(channel, format!("{said:?}").as_bytes());
    }
    for words in [&["notify", "list", "--json"][..], &["events", "--json"], &["list", "--json"], &["config", "check"]] {
        assert_no_canary(words[0], format!("{:?}", finish(with(words)).await).as_bytes());
    }
    for path in [
        "/channels",
        "/alerts",
        "/events",
        "/deliveries",
        "/metrics",
        "/health/ready",
        "/prices",
        "/openapi.json",
        "/instruments",
    ] {
        assert_no_canary(path, api.get(path).await.text.as_bytes());
        assert_no_canary(path, user.get(path).await.text.as_bytes());
    }
    let session = daemon.stream().await;
    assert_no_canary("the snapshot", session.snapshot.to_string().as_bytes());
    let arguments = fs::read(format!("/proc/{}/cmdline", daemon.pid())).expect("its arguments");
    assert_no_canary("the process list", &arguments);
    let trouble = api.get("/health/ready").await.text;
    assert!(trouble.contains("coingecko"), "the refusal is told: {trouble}");

    let (token, kept) = (daemon.token().to_owned(), lab.data().join("daemon.json"));
    let files: Vec<PathBuf> = everything_below(&lab.data()).into_iter().filter(|path| path.is_file()).collect();
    for path in &files {
        let content = fs::read(path).unwrap_or_default();
        assert_no_canary(&path.display().to_string(), &content);
        let has_token = content.windows(token.len()).any(|window| window == token.as_bytes());
        assert!(!has_token || *path == kept, "{} holds the owner's token", path.display());
    }
    let log = daemon.stop().await;
    assert!(log.contains("TRACE") || log.contains("DEBUG"), "the log says all it can: {log}");
    assert_no_canary("the log", log.as_bytes());
    assert!(!log.contains(&token), "the log shows the owner's token");
    for path in everything_below(&lab.data()).into_iter().filter(|path| path.is_file()) {
        assert_no_canary(&path.display().to_string(), &fs::read(&path).unwrap_or_default());
    }
}

/// The soft and the hard limit of core dumps of a daemon that is started with no limit, in words of the kernel.
async fn limits(wanted: Option<&str>) -> String {
    let lab = Lab::with(&Settings::quiet());
    let command = lab.command(["daemon"]);
    let words: Vec<String> = std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| format!("'{}'", word.display()))
        .collect();
    let line = format!("ulimit -S -c $(ulimit -H -c) && exec {}", words.join(" "));
    let mut shell = lab.program(Path::new("/bin/sh"), ["-c", &line]);
    if let Some(wanted) = wanted {
        shell.env("BELLWETHER_CORE_DUMPS", wanted);
    }
    let daemon = Daemon::start(shell, &lab.data()).await;
    let limits = fs::read_to_string(format!("/proc/{}/limits", daemon.pid())).expect("the kernel's word");
    daemon.stop().await;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max core file size")).expect("a limit");
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_writes_no_memory_to_the_disk_unless_that_is_asked_for() {
    assert_eq!(limits(None).await, "0 0 bytes");
    // Whoever asks for it has what the system allows; a machine that allows none is no fault of ours.
    let asked = limits(Some("1")).await;
    let allowed = std::process::Command::new("/bin/sh").args(["-c", "ulimit -H -c"]).output().expect("a shell");
    assert_eq!(asked.starts_with("0 "), allowed.stdout.starts_with(b"0"), "{asked}");
}
