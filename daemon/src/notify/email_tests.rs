use std::sync::{Arc, Mutex};

use bellwether_core::{
    config::{ChannelLimits, Secret},
    time::Timestamp,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader},
    net::TcpListener,
    time::Instant,
};

use super::{super::channel::word, *};

fn email(config: &Config) -> Result<Email, ChannelConfigError> {
    Email::new(config, None, &Hands::default())
}

const PASSWORD: &str = "canary7a3f";

/// What the fake server says at each step; an empty text means: close the connection; `silence`: say nothing for ever.
#[derive(Clone)]
pub(in crate::notify) struct Script {
    pub(in crate::notify) greeting: &'static str,
    extensions: &'static [&'static str],
    auth: &'static str,
    mail: &'static str,
    pub(in crate::notify) rcpt: &'static str,
    data: &'static str,
    accepted: &'static str,
}

pub(in crate::notify) const KIND: Script = Script {
    greeting: "220 fake ESMTP",
    extensions: &["8BITMIME", "AUTH PLAIN LOGIN"],
    auth: "235 2.7.0 welcome",
    mail: "250 ok",
    rcpt: "250 ok",
    data: "354 go on",
    accepted: "250 2.0.0 queued as 4711",
};

pub(in crate::notify) type Lines = Arc<Mutex<Vec<String>>>;

/// A mail server on loopback that follows a script and remembers every line it was told.
async fn server(script: Script) -> (u16, Lines) {
    changing_server(Arc::new(Mutex::new(script))).await
}

/// One that plays what the script says at that moment.
pub(in crate::notify) async fn changing_server(script: Arc<Mutex<Script>>) -> (u16, Lines) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let port = listener.local_addr().expect("address").port();
    let lines = Lines::default();
    let log = Arc::clone(&lines);
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let (script, log) = (Arc::clone(&script), Arc::clone(&log));
            tokio::spawn(async move { serve(socket, &script, &log).await });
        }
    });
    (port, lines)
}

/// The same behind TLS: from the first byte, or after `STARTTLS`.
async fn tls_server(from_the_first_byte: bool) -> (u16, Lines) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let port = listener.local_addr().expect("address").port();
    let lines = Lines::default();
    let log = Arc::clone(&lines);
    let chain =
        CertificateDer::pem_slice_iter(include_bytes!("testdata/server.pem")).map(|c| c.expect("PEM")).collect();
    let key = PrivateKeyDer::from_pem_slice(include_bytes!("testdata/server.key")).expect("PEM");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .expect("a certificate");
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let mut script = KIND;
            if !from_the_first_byte {
                let mut plain = BufReader::new(&mut socket);
                let mut line = String::new();
                for reply in ["220 fake", "250-fake\r\n250 STARTTLS", "220 go on"] {
                    plain.get_mut().write_all(format!("{reply}\r\n").as_bytes()).await.expect("write");
                    if reply != "220 go on" {
                        plain.read_line(&mut line).await.expect("read");
                    }
                }
                log.lock().expect("lock").push(line);
                // After STARTTLS the client speaks first.
                script.greeting = "";
            }
            if let Ok(socket) = acceptor.accept(socket).await {
                serve(socket, &Mutex::new(script), &log).await;
            }
        }
    });
    (port, lines)
}

async fn serve(socket: impl AsyncRead + AsyncWrite + Unpin, script: &Mutex<Script>, log: &Lines) {
    let mut socket = BufReader::new(socket);
    let mut in_data = false;
    let mut reply = script.lock().expect("lock").greeting.to_owned();
    loop {
        match reply.as_str() {
            "close" => return,
            "silence" => std::future::pending::<()>().await,
            "" => {}
            text => {
                if socket.write_all(format!("{text}\r\n").as_bytes()).await.is_err() {
                    return;
                }
            }
        }
        let mut line = String::new();
        if socket.read_line(&mut line).await.unwrap_or(0) == 0 {
            return;
        }
        log.lock().expect("lock").push(line.clone());
        let script = script.lock().expect("lock").clone();
        reply = if in_data {
            if line == ".\r\n" {
                in_data = false;
                script.accepted.to_owned()
            } else {
                String::new()
            }
        } else {
            match line.split([' ', ':', '\r']).next().unwrap_or_default() {
                "EHLO" => {
                    let mut words = vec!["fake"];
                    words.extend(script.extensions);
                    let last = words.len() - 1;
                    let lines =
                        words.iter().enumerate().map(|(i, w)| format!("250{}{w}", if i == last { ' ' } else { '-' }));
                    lines.collect::<Vec<_>>().join("\r\n")
                }
                "AUTH" => script.auth.to_owned(),
                "MAIL" => script.mail.to_owned(),
                // Of several recipients this one has his own fate.
                "RCPT" if line.contains("<full@") => "450 4.2.2 mailbox full".to_owned(),
                "RCPT" if line.contains("<gone@") => "550 5.1.1 no such user".to_owned(),
                "RCPT" => script.rcpt.to_owned(),
                "" => "535 5.7.8 token expired".to_owned(),
                "DATA" => {
                    in_data = script.data.starts_with("354");
                    script.data.to_owned()
                }
                _ => "221 bye".to_owned(),
            }
        };
    }
}

pub(in crate::notify) fn config(port: u16) -> Config {
    Config {
        host: "127.0.0.1".to_owned(),
        port: Some(port),
        tls: MailTls::None,
        username: Some("me".to_owned()),
        password: Some(Secret::Value(PASSWORD.to_owned())),
        from: Some("Bellwether Ä <me@example.org>".to_owned()),
        to: vec!["you@example.org".to_owned()],
        ca_file: None,
        auth: MailAuth::Password,
        token_command: None,
        chart: true,
        limits: ChannelLimits::default(),
    }
}

fn message(title: &str, body: &str) -> Outgoing {
    let mut message = Outgoing::message("channel.test", title, body, Timestamp::from_seconds(1_700_000_000));
    message.key = "d12".to_owned();
    message
}

#[tokio::test]
async fn every_answer_of_a_mail_server_means_what_the_table_says() {
    let cases = [
        ("accepted", KIND, "sent"),
        ("421 at the greeting", Script { greeting: "421 restarting", ..KIND }, "retry"),
        ("no SMTP at all", Script { greeting: "SSH-2.0-OpenSSH_9.9", ..KIND }, "retry"),
        ("closed at once", Script { greeting: "close", ..KIND }, "retry"),
        ("421 for MAIL", Script { mail: "421 busy", ..KIND }, "retry"),
        ("450 for the recipient", Script { rcpt: "450 mailbox busy", ..KIND }, "retry"),
        ("451 for DATA", Script { data: "451 local error", ..KIND }, "retry"),
        ("452 after DATA", Script { accepted: "452 no room", ..KIND }, "retry"),
        ("454 for the login", Script { auth: "454 temporary", ..KIND }, "retry"),
        ("cut after DATA", Script { accepted: "close", ..KIND }, "retry"),
        ("550 for the recipient", Script { rcpt: "550 no such user canary7a3f", ..KIND }, "permanent"),
        ("552 after DATA", Script { accepted: "552 too big", ..KIND }, "permanent"),
        ("554 after DATA", Script { accepted: "554 5.7.1 spam", ..KIND }, "permanent"),
        ("535 for the login", Script { auth: "535 5.7.8 not accepted canary7a3f", ..KIND }, "refused"),
        ("no login offered", Script { extensions: &["8BITMIME"], ..KIND }, "refused"),
    ];
    for (what, script, expected) in cases {
        let (port, lines) = server(script).await;
        let channel = email(&config(port)).expect("valid");
        let result = channel.send(&message("a title", "a body")).await;
        assert_eq!(word(&result), expected, "{what}: {result:?}");
        assert!(!format!("{result:?}").contains(PASSWORD), "{what}: {result:?}");
        let attempts = lines.lock().expect("lock").iter().filter(|l| l.starts_with("EHLO")).count();
        assert!(attempts <= 1, "{what}: one connection an attempt");
    }
}

#[tokio::test]
async fn silence_after_the_message_is_given_up_and_tried_again() {
    let (port, _) = server(Script { accepted: "silence", ..KIND }).await;
    let mut channel = email(&config(port)).expect("valid");
    channel.deadline = Duration::from_millis(300);
    let started = Instant::now();
    let result = channel.send(&message("x", "y")).await;
    assert_eq!(word(&result), "retry");
    assert_eq!(result.expect_err("silence").to_string(), "the mail server did not answer in time");
    assert!(started.elapsed() >= Duration::from_millis(300));
}

#[tokio::test]
async fn a_server_that_never_stops_talking_is_cut() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let port = listener.local_addr().expect("address").port();
    tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.expect("accept");
        while socket.write_all(&[b'2'; 16_384]).await.is_ok() {}
    });
    assert_eq!(word(&email(&config(port)).expect("valid").send(&message("x", "y")).await), "retry");
}

#[tokio::test]
async fn nothing_is_said_to_a_server_without_the_protection_asked_for() {
    let (port, lines) = server(KIND).await;
    let channel = email(&Config { tls: MailTls::Starttls, ..config(port) }).expect("valid");
    let result = channel.send(&message("x", "y")).await;
    assert_eq!(word(&result), "refused");
    let said = lines.lock().expect("lock").concat();
    assert!(!said.contains("AUTH") && !said.contains("MAIL"), "{said}");
}

#[tokio::test]
async fn tls_is_spoken_as_asked_and_only_with_a_certificate_that_is_trusted() {
    for (kind, from_the_first_byte) in [(MailTls::Starttls, false), (MailTls::Implicit, true)] {
        let (port, lines) = tls_server(from_the_first_byte).await;
        let ca_file = Some(concat!(env!("CARGO_MANIFEST_DIR"), "/src/notify/testdata/ca.pem").into());
        let mut config = Config { tls: kind, ca_file, ..config(port) };
        let receipt = email(&config).expect("valid").send(&message("x", "y")).await;
        assert_eq!(word(&receipt), "sent", "{kind:?}: {receipt:?}");
        let before = lines.lock().expect("lock").len();
        config.ca_file = None;
        let result = email(&config).expect("valid").send(&message("x", "y")).await;
        assert_eq!(word(&result), "retry", "{kind:?}: {result:?}");
        let said = lines.lock().expect("lock")[before..].concat();
        assert!(!said.contains("AUTH") && !said.contains("MAIL"), "{kind:?}: {said}");
    }
}

#[tokio::test]
async fn an_evil_message_is_one_mail_with_its_headers_whole() {
    let (port, lines) = server(KIND).await;
    let channel = email(&config(port)).expect("valid");
    let evil = "hi\r\nBcc: thief@example.org\r\n\r\n.\r\nMAIL FROM:<x@y> \u{1b}[31m \u{202e} 🚀 <img src=x>";
    let long = format!("{evil} {}", "x".repeat(900));
    let mut message = message(evil, &long);
    // Even a line of a single dot inside the text must not end the mail.
    message.notification.text.push_str("\n.\nQUIT\n");
    for _ in 0..2 {
        let receipt = channel.send(&message).await.expect("accepted");
        assert_eq!(receipt.answer, "250 2.0.0 queued as 4711");
    }
    let lines = lines.lock().expect("lock").clone();
    assert_eq!(lines.iter().filter(|l| l.starts_with("MAIL FROM")).count(), 2);
    assert_eq!(lines.iter().filter(|l| l.starts_with("RCPT TO:<you@example.org>")).count(), 2);
    let headers: Vec<&String> = lines.iter().skip_while(|l| *l != "DATA\r\n").take_while(|l| *l != "\r\n").collect();
    let has = |start: &str| headers.iter().filter(|l| l.starts_with(start)).count();
    for (header, count) in [
        ("Subject: =?utf-8?", 1),
        ("Message-ID: <d12.1700000000000000@example.org.bellwether>", 1),
        ("Date: Tue, 14 Nov 2023 22:13:20", 1),
        ("Auto-Submitted: auto-generated", 1),
        ("List-Id: <alerts.bellwether.example.org>", 1),
        ("From: =?utf-8?", 1),
        ("Bcc", 0),
    ] {
        assert_eq!(has(header), count, "{header}: {headers:#?}");
    }
    let ids: Vec<_> = lines.iter().filter(|l| l.starts_with("Message-ID")).collect();
    assert!(ids.len() == 2 && ids[0] == ids[1], "every attempt has the same Message-ID");
    let all = lines.concat();
    assert!(all.contains("Content-Type: text/plain") && all.contains("Content-Type: text/html"));
    assert!(!all.contains('\u{1b}') && !all.contains('\u{202e}'));
    let html = all.split_once("Content-Type: text/html").expect("an HTML part").1;
    assert!(!html.split("</html>").next().unwrap_or_default().contains("<img"), "markup is text");
    assert!(lines.iter().all(|l| l.len() <= 1_000), "a line of mail has at most 998 characters");
}

#[test]
fn wrong_settings_are_named_with_their_key_and_never_panic() {
    let good = config(25);
    let text = |text: &str| Some(text.to_owned());
    for (config, problem) in [
        (
            Config { from: text("Evil\r\nBcc: x <me@example.org>"), ..good.clone() },
            "from: contains a control character",
        ),
        (Config { from: text("\"a\nb\" <me@example.org>"), ..good.clone() }, "from: contains a control character"),
        (Config { from: text("not an address"), ..good.clone() }, "from: expected an address"),
        (Config { from: None, username: None, ..good.clone() }, "from: is missing"),
        (Config { from: None, ..good.clone() }, "from: expected an address"),
        (Config { to: vec!["a@b\0".to_owned()], ..good.clone() }, "to: contains a control character"),
        (Config { to: vec![String::new()], ..good.clone() }, "to: expected an address"),
        (Config { host: "a b".to_owned(), ..good.clone() }, "host: expected the name"),
        (Config { host: "mail.example.org".to_owned(), ..good.clone() }, "tls: \"none\" is only for"),
        (Config { port: Some(0), ..good.clone() }, "port: expected a number"),
        (Config { password: None, ..good.clone() }, "password: is missing"),
        (Config { password: Some(Secret::Env("X".to_owned())), ..good.clone() }, "password: is empty"),
        (
            Config { tls: MailTls::Implicit, ca_file: Some("/nonexistent/ca.pem".into()), ..good.clone() },
            "ca_file: /nonexistent/ca.pem: entity not found",
        ),
    ] {
        let error = email(&config).err().expect("an error").to_string();
        assert!(error.starts_with(&format!("channels.email.{problem}")), "{error}");
        assert!(!error.contains(PASSWORD));
    }
    let sender = email(&Config { to: Vec::new(), ..good.clone() }).expect("valid");
    assert_eq!(sender.target(), "me@example.org through 127.0.0.1:25");
    let implicit = email(&Config { port: None, tls: MailTls::Implicit, ..good }).expect("valid");
    assert_eq!(implicit.port, 465);
}

#[tokio::test]
async fn each_recipient_has_a_fate_of_his_own() {
    let (port, lines) = server(KIND).await;
    let to = |names: &[&str]| names.iter().map(|n| format!("{n}@example.org")).collect();
    let channel = email(&Config { to: to(&["you", "full", "gone"]), ..config(port) }).expect("valid");
    let error = channel.send(&message("x", "y")).await.expect_err("one is missing");
    assert!(matches!(&error, SendError::Partly { taken_by, .. } if taken_by == "you@example.org"), "{error:?}");
    let text = error.to_string();
    assert!(text.starts_with("250 2.0.0 queued as 4711; not yet: full@example.org: "), "{text}");
    assert!(text.contains("450") && text.contains("550"), "{text}");
    assert_eq!(word(&channel.send(&message("x", "y")).await), "retry");
    let told = |name: &str| lines.lock().expect("lock").iter().filter(|l| l.contains(&format!("TO:<{name}@"))).count();
    assert_eq!((told("you"), told("full")), (1, 2), "who has it does not get it again");
    let restarted = email(&Config { to: to(&["you", "also", "full"]), ..config(port) }).expect("valid");
    let noted = Outgoing { taken_by: Some("you@example.org".to_owned()), ..message("x", "y") };
    let error = restarted.send(&noted).await.expect_err("one is missing");
    let all = "also@example.org\nyou@example.org";
    assert!(matches!(&error, SendError::Partly { taken_by, .. } if taken_by == all), "{error:?}");
    assert_eq!((told("you"), told("also")), (1, 1), "nor after a restart");

    let (port, _) = server(KIND).await;
    let channel = email(&Config { to: to(&["you", "gone"]), ..config(port) }).expect("valid");
    let receipt = channel.send(&message("x", "y")).await.expect("taken for one");
    assert!(receipt.answer.starts_with("250 2.0.0 queued as 4711; refused: gone@example.org: "), "{receipt:?}");
    let channel = email(&Config { to: to(&["gone"]), ..config(port) }).expect("valid");
    assert_eq!(word(&channel.send(&message("x", "y")).await), "permanent");
}

#[tokio::test]
async fn messages_one_after_the_other_share_a_connection() {
    let (port, lines) = server(KIND).await;
    let channel = email(&config(port)).expect("valid");
    for _ in 0..3 {
        assert_eq!(word(&channel.send(&message("x", "y")).await), "sent");
    }
    let lines = lines.lock().expect("lock").clone();
    let count = |start: &str| lines.iter().filter(|l| l.starts_with(start)).count();
    assert_eq!((count("EHLO"), count("AUTH"), count("DATA")), (1, 1, 3));
}

const OAUTH: Script = Script { extensions: &["8BITMIME", "AUTH XOAUTH2"], ..KIND };

#[tokio::test]
async fn a_token_logs_in_and_a_refused_one_stops_the_channel_with_the_servers_reason() {
    let oauth = |port| Config { auth: MailAuth::Xoauth2, ..config(port) };
    let (port, lines) = server(OAUTH).await;
    assert_eq!(word(&email(&oauth(port)).expect("valid").send(&message("x", "y")).await), "sent");
    let first = STANDARD.encode(format!("user=me\u{1}auth=Bearer {PASSWORD}\u{1}\u{1}"));
    assert!(lines.lock().expect("lock").contains(&format!("AUTH XOAUTH2 {first}\r\n")));

    // {"status":"400"} in base64, as Google answers.
    let (port, lines) = server(Script { auth: "334 eyJzdGF0dXMiOiI0MDAifQ==", ..OAUTH }).await;
    let error = email(&oauth(port)).expect("valid").send(&message("x", "y")).await.expect_err("refused");
    assert!(matches!(error, SendError::Refused { .. }), "{error:?}");
    assert!(
        error.to_string().contains("token expired") && error.to_string().contains("{\"status\":\"400\"}"),
        "{error}"
    );
    assert!(!lines.lock().expect("lock").concat().contains("MAIL"));

    let (port, lines) = server(KIND).await;
    assert_eq!(word(&email(&oauth(port)).expect("valid").send(&message("x", "y")).await), "refused");
    assert!(
        !lines.lock().expect("lock").concat().contains("AUTH "),
        "a token is shown to no server that asks for none"
    );
}

#[tokio::test]
async fn a_program_makes_the_token() {
    let (port, lines) = server(OAUTH).await;
    let config = |command: &[&str]| Config {
        auth: MailAuth::Xoauth2,
        password: None,
        token_command: Some(command.iter().map(|w| (*w).to_owned()).collect()),
        ..config(port)
    };
    let channel = email(&config(&["/bin/echo", "fresh-token"])).expect("valid");
    assert_eq!(word(&channel.send(&message("x", "y")).await), "sent");
    let first = STANDARD.encode("user=me\u{1}auth=Bearer fresh-token\u{1}\u{1}");
    assert!(lines.lock().expect("lock").contains(&format!("AUTH XOAUTH2 {first}\r\n")));
    let channel = email(&config(&["/bin/false"])).expect("valid");
    assert_eq!(word(&channel.send(&message("x", "y")).await), "retry");
    let error = email(&config(&["echo"])).err().expect("refused").to_string();
    assert!(error.starts_with("channels.email.token_command: expected the whole path"), "{error}");
}

#[tokio::test]
async fn a_firing_comes_with_a_picture_of_the_price() {
    let (port, lines) = server(KIND).await;
    let bars: Bars = Arc::new(|_, from, to| {
        let price = |text: &str| text.parse().expect("a price");
        let bar = |from, close: &str| bellwether_core::tick::Candle {
            from,
            to,
            open: price(close),
            high: price(close),
            low: price(close),
            close: price(close),
            session: bellwether_core::tick::Session::default(),
            volume: None,
        };
        Box::pin(std::future::ready(vec![bar(from, "59990"), bar(from.plus(Span::from_seconds(60)), "60010")]))
    });
    let channel = Email::new(&config(port), None, &Hands { bars, ..Hands::default() }).expect("valid");
    let mut message = message("x", "y");
    message.notification.about = Some(bellwether_core::notification::About {
        alert: bellwether_core::alert::AlertId(1),
        owner: bellwether_core::alert::UserId(1),
        symbol: "BTC".parse().expect("a symbol"),
        time: message.fired,
        price: Some("60010".parse().expect("a price")),
    });
    assert_eq!(word(&channel.send(&message).await), "sent");
    let all = lines.lock().expect("lock").concat();
    for part in
        ["multipart/alternative", "multipart/related", "Content-Type: image/png", "Content-ID: <chart>", "iVBORw0KGgo"]
    {
        assert!(all.contains(part), "no {part}: {all}");
    }
}

#[tokio::test]
async fn a_test_tells_how_far_it_came() {
    let (port, _) = server(Script { auth: "535 5.7.8 wrong password", ..KIND }).await;
    let trace = Trace::on();
    let error =
        email(&config(port)).expect("valid").send_traced(&message("x", "y"), &trace).await.expect_err("refused");
    let steps = trace.ended(false, &error.to_string());
    let told: Vec<_> = steps.iter().map(|s| (s.step.as_str(), s.ok)).collect();
    assert_eq!(told, [("resolved", true), ("connected", true), ("greeted", true), ("authenticated", false)]);
    assert!(steps[3].said.contains("5.7.8 wrong password"), "{steps:?}");
}
