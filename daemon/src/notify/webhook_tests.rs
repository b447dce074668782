use bellwether_core::{
    config::{ChannelLimits, Secret},
    time::Timestamp,
};
use sha2::Digest as _;
use tokio::net::TcpListener;

use super::{
    super::{
        channel::word,
        fake_http::{FakeHttp, Play, body, header},
    },
    *,
};

const CANARY: &str = "canary7a3f";
const SECRET: &str = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=";

/// A receiver that always answers the same.
async fn receiver(status: u16, headers: &str, body: &str) -> FakeHttp {
    let (headers, body) = (headers.to_owned(), body.to_owned());
    FakeHttp::start(move |_| Play::Answer(status, headers.clone(), body.clone())).await
}

fn config(url: String, preset: WebhookPreset) -> Config {
    Config {
        url: Secret::Value(url),
        preset,
        secret: None,
        token: None,
        target: None,
        template: None,
        content_type: None,
        method: WebhookMethod::Post,
        headers: std::collections::BTreeMap::new(),
        allow_private: None,
        limits: ChannelLimits::default(),
    }
}

fn clock() -> Clock {
    Clock::by_hand(Timestamp::from_seconds(1_700_000_000))
}

fn message(body: &str) -> Outgoing {
    let mut message = Outgoing::message("channel.test", "a title", body, clock().now());
    message.key = "d12".to_owned();
    message
}

async fn outcome(receiver: &FakeHttp) -> Result<Receipt, SendError> {
    let config = config(format!("{}/hook/{CANARY}?token={CANARY}", receiver.url), WebhookPreset::Standard);
    Webhook::new("x", &config, None, clock()).expect("valid").send(&message("hello")).await
}

/// What an answer means, in one word.
#[tokio::test]
async fn every_status_means_what_the_table_says_and_is_asked_once() {
    for (status, expected) in [
        (200, "sent"),
        (204, "sent"),
        (301, "permanent"),
        (307, "permanent"),
        (400, "permanent"),
        (401, "permanent"),
        (404, "permanent"),
        (408, "retry"),
        (410, "gone"),
        (422, "permanent"),
        (425, "retry"),
        (429, "retry"),
        (500, "retry"),
        (502, "retry"),
        (503, "retry"),
        (511, "retry"),
    ] {
        let receiver = receiver(status, "Location: http://127.0.0.1:1/elsewhere\r\n", "").await;
        let result = outcome(&receiver).await;
        assert_eq!((word(&result), receiver.requests().len()), (expected, 1), "{status}");
    }
}

#[tokio::test]
async fn waits_that_are_asked_for_are_understood_in_all_forms() {
    for (status, headers, body, seconds) in [
        (429, "Retry-After: 119\r\n", "", 119),
        (503, "Retry-After: Tue, 14 Nov 2023 22:15:20 GMT\r\n", "", 120),
        (429, "", "{\"message\":\"slow\",\"retry_after\":64.57,\"global\":false}", 65),
        (429, "", "{\"ok\":false,\"error_code\":429,\"parameters\":{\"retry_after\":5}}", 5),
    ] {
        let result = outcome(&receiver(status, headers, body).await).await;
        let Err(SendError::Retry { after, .. }) = result else { panic!("{result:?}") };
        assert_eq!(after, Some(Span::from_seconds(seconds)));
    }
}

#[tokio::test]
async fn a_body_without_end_is_cut_and_html_is_not_shown() {
    let endless = FakeHttp::start(|_| Play::Endless).await;
    let answer = outcome(&endless).await.expect("accepted").answer;
    assert!(answer.chars().count() < 400);
    let result = outcome(&receiver(404, "", "<html><script>alert(1)</script>").await).await;
    assert_eq!(result.expect_err("refused").to_string(), "404 Not Found (a page of HTML or XML)");
}

#[tokio::test]
async fn an_unreachable_receiver_is_tried_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let url = format!("http://{}/{CANARY}", listener.local_addr().expect("address"));
    drop(listener);
    let channel = Webhook::new("x", &config(url, WebhookPreset::Standard), None, clock()).expect("valid");
    let result = channel.send(&message("x")).await;
    assert_eq!(word(&result), "retry");
    let text = format!("{result:?} {}", result.as_ref().expect_err("unreachable"));
    assert!(!text.contains(CANARY) && !text.contains("127.0.0.1"), "{text}");
}

#[tokio::test]
async fn the_signature_is_hmac_sha256_of_id_time_and_body() {
    let receiver = receiver(204, "", "").await;
    let mut config = config(receiver.url.clone(), WebhookPreset::Standard);
    config.secret = Some(Secret::Value(SECRET.to_owned()));
    let channel = Webhook::new("default", &config, None, clock()).expect("valid");
    assert_eq!(channel.name().as_str(), "webhook");
    channel.send(&message("evil \u{1b}[31m \u{202e} \r\n.\r\n")).await.expect("accepted");
    let request = receiver.requests().remove(0);
    let header = |name: &str| header(&request, name).expect(name);
    assert_eq!(header("webhook-id"), "d12");
    assert_eq!(header("webhook-timestamp"), "1700000000");
    assert_eq!(header("content-type"), "application/json");
    // Computed another way than the sender does: RFC 2104 from the bare hash.
    let key = b"01234567890123456789012345678901";
    let pad = |with: u8| -> Vec<u8> { (0..64).map(|i| key.get(i).copied().unwrap_or(0) ^ with).collect() };
    let signed = [b"d12.1700000000.".as_slice(), body(&request).as_bytes()].concat();
    let inner = Sha256::digest([pad(0x36), signed].concat());
    let outer = Sha256::digest([pad(0x5c), inner.to_vec()].concat());
    assert_eq!(header("webhook-signature"), format!("v1,{}", STANDARD.encode(outer)));
    let body: Value = serde_json::from_str(body(&request)).expect("JSON");
    assert_eq!(body["type"], "channel.test");
    assert_eq!(body["data"]["text"], "evil \u{fffd}[31m \u{fffd} \u{fffd}\u{fffd}.\u{fffd}\u{fffd}");
}

#[tokio::test]
async fn messengers_get_the_body_and_the_address_they_want() {
    let receiver = receiver(200, "", "{\"ok\":true}").await;
    let url = receiver.url.clone();
    let some = |text: &str| Some(Secret::Value(text.to_owned()));
    let target = |text: &str| Some(text.to_owned());
    let cases = [
        (
            Config { token: some("tk_1"), ..config(format!("{url}/prices"), WebhookPreset::Ntfy) },
            "/",
            "topic",
            "prices",
        ),
        (
            Config { token: some("1:AB"), target: target("42"), ..config(url.clone(), WebhookPreset::Telegram) },
            "/bot1:AB/sendMessage",
            "chat_id",
            "42",
        ),
        (
            config(format!("{url}/api/1/x"), WebhookPreset::Discord),
            "/api/1/x",
            "content",
            "a title\n\\<b\\> @everyone\n\\[d12\\]",
        ),
        (config(format!("{url}/s/x"), WebhookPreset::Slack), "/s/x", "text", "a title\n&lt;b&gt; @everyone\n[d12]"),
        (
            Config {
                token: some("app"),
                target: target("usr"),
                ..config(format!("{url}/1/m.json"), WebhookPreset::Pushover)
            },
            "/1/m.json",
            "user",
            "usr",
        ),
        (Config { token: some("key"), ..config(url.clone(), WebhookPreset::Gotify) }, "/message", "title", "a title"),
    ];
    for (config, path, field, value) in &cases {
        let channel = Webhook::new("x", config, None, clock()).expect("valid");
        channel.send(&message("<b> @everyone")).await.expect("accepted");
        let request = receiver.requests().pop().expect("a request");
        let body: Value = serde_json::from_str(body(&request)).expect("JSON");
        assert!(request.starts_with(&format!("POST {path} ")), "{request}");
        assert_eq!(body[field], *value, "{:?}", config.preset);
        assert!(body.to_string().contains("d12"), "the key is in every message");
        match config.preset {
            WebhookPreset::Ntfy => assert_eq!(header(&request, "authorization").as_deref(), Some("Bearer tk_1")),
            WebhookPreset::Gotify => assert_eq!(header(&request, "x-gotify-key").as_deref(), Some("key")),
            WebhookPreset::Discord => assert_eq!(body["allowed_mentions"]["parse"], json!([])),
            WebhookPreset::Telegram => assert!(body.get("parse_mode").is_none()),
            _ => {}
        }
    }
}

#[tokio::test]
async fn secrets_are_in_no_answer_also_when_the_receiver_echoes_them() {
    let receiver = receiver(400, "", "bad token canary7a3f at /hook/canary7a3f and whsec_x").await;
    let mut config = config(format!("{}/hook/{CANARY}", receiver.url), WebhookPreset::Standard);
    config.token = Some(Secret::Value(CANARY.to_owned()));
    let channel = Webhook::new("x", &config, None, clock()).expect("valid");
    let error = channel.send(&message("x")).await.expect_err("refused");
    for text in [error.to_string(), format!("{error:?}"), channel.target(), format!("{config:?}")] {
        assert!(!text.contains(CANARY), "{text}");
    }
    assert!(channel.target().starts_with("unsigned webhook at 127.0.0.1"));
}

#[test]
fn wrong_settings_are_named_with_their_key() {
    let url = || "https://example.org/h".to_owned();
    let some = |text: &str| Some(Secret::Value(text.to_owned()));
    for (config, problem) in [
        (config("http://user:canary7a3f@h/".to_owned(), WebhookPreset::Standard), "url: no user or password"),
        (config(String::new(), WebhookPreset::Standard), "url: is empty"),
        (Config { secret: some("canary7a3f"), ..config(url(), WebhookPreset::Standard) }, "secret: expected whsec_"),
        (Config { secret: some("whsec_AAAA"), ..config(url(), WebhookPreset::Standard) }, "secret: expected whsec_"),
        (Config { secret: some(SECRET), ..config(url(), WebhookPreset::Slack) }, "secret: only the preset"),
        (config("https://ntfy.sh".to_owned(), WebhookPreset::Ntfy), "target: is missing: the topic"),
        (config(url(), WebhookPreset::Telegram), "target: is missing: the chat id"),
        (config(url(), WebhookPreset::Pushover), "token: is missing"),
        (config(url(), WebhookPreset::Gotify), "token: is missing"),
    ] {
        let error = Webhook::new("phone", &config, None, clock()).err().expect("an error").to_string();
        assert!(error.starts_with(&format!("channels.webhook.phone.{problem}")), "{error}");
        assert!(!error.contains(CANARY));
    }
    assert!(Webhook::new("a\r\nb", &config(url(), WebhookPreset::Standard), None, clock()).is_err());
}

#[test]
fn a_status_that_http_does_not_know_is_refused() {
    let channel = Webhook::new("x", &config("http://127.0.0.1/".to_owned(), WebhookPreset::Standard), None, clock())
        .expect("valid");
    let answer =
        Answer { status: StatusCode::from_u16(799).expect("a status"), retry_after: None, body: String::new() };
    assert_eq!(word(&channel.judge(&answer)), "permanent");
}

#[tokio::test]
async fn a_test_tells_each_step_and_where_it_ended() {
    let receiver = FakeHttp::start(|_| Play::plain(403, "not you")).await;
    let webhook =
        |url: &str| Webhook::new("x", &config(url.to_owned(), WebhookPreset::Standard), None, clock()).expect("valid");
    let channel = webhook(&receiver.url);
    let trace = Trace::on();
    let error = channel.send_traced(&message("x"), &trace).await.expect_err("403");
    let steps = trace.ended(false, &error.to_string());
    let told: Vec<_> = steps.iter().map(|s| (s.step.as_str(), s.ok)).collect();
    assert_eq!(told, [("resolved", true), ("connected", true), ("asked", true), ("accepted", false)]);
    assert_eq!(steps[0].said, "127.0.0.1 is 127.0.0.1");
    assert_eq!(steps[3].said, "403 Forbidden not you");

    let channel = webhook("https://nowhere.invalid/secret-path");
    let trace = Trace::on();
    let error = channel.send_traced(&message("x"), &trace).await.expect_err("no such host");
    let steps = trace.ended(false, &error.to_string());
    assert!(steps[0].step == "resolved" && !steps[0].ok, "{steps:?}");
    assert!(!format!("{steps:?}").contains("secret-path"), "{steps:?}");
}

#[tokio::test]
async fn a_body_of_ones_own_with_ones_own_headers() {
    let receiver = receiver(200, "", "").await;
    let mut config = config(receiver.url.clone(), WebhookPreset::Standard);
    config.template = Some("{\"say\": {{ title }}, \"text\": {{ data.text }}}".to_owned());
    config.method = WebhookMethod::Put;
    config.headers.insert("X-Api-Key".to_owned(), Secret::Value(CANARY.to_owned()));
    let webhook = |config: &Config| Webhook::new("x", config, None, clock());
    let evil = "a \"quote\" </script>";
    webhook(&config).expect("valid").send(&message(evil)).await.expect("accepted");
    let request = receiver.requests().remove(0);
    assert!(request.starts_with("PUT "), "{request}");
    assert_eq!(header(&request, "x-api-key").as_deref(), Some(CANARY));
    let value: Value = serde_json::from_str(body(&request)).expect("JSON whatever the note holds");
    assert_eq!((&value["say"], &value["text"]), (&json!("a title"), &json!(evil)));

    let refused = |change: &dyn Fn(&mut Config)| {
        let mut config = config.clone();
        change(&mut config);
        webhook(&config).err().expect("refused").to_string()
    };
    let problem = refused(&|c| c.template = Some("{{ x".to_owned()));
    assert!(problem.starts_with("channels.webhook.x.template: syntax error"), "{problem}");
    let problem = refused(&|c| c.content_type = Some("text".to_owned()));
    assert_eq!(problem, "channels.webhook.x.content_type: expected a type such as text/plain; charset=utf-8");
    let problem = refused(&|c| drop(c.headers.insert("Host".to_owned(), Secret::Value("x".to_owned()))));
    assert_eq!(problem, "channels.webhook.x.headers.Host: is set by bellwether itself");
    let problem = refused(&|c| c.preset = WebhookPreset::Slack);
    assert_eq!(
        problem,
        "channels.webhook.x.preset: only \"standard\" takes template, content_type, method and headers"
    );
}

/// Only in a test: 127.0.0.1 counts as a good address, 127.0.0.2 as a bad one.
fn bad_is_two(address: std::net::IpAddr) -> Option<&'static str> {
    (address == std::net::IpAddr::from([127, 0, 0, 2])).then_some("a private address")
}

/// The receiver listens on both addresses; the second answer of the name server must not lead to it.
#[tokio::test]
async fn a_name_that_changes_its_answer_reaches_nothing_private() {
    let good = receiver(200, "", "").await;
    let bad = TcpListener::bind(("127.0.0.2", 0)).await.expect("bind");
    let lookups = std::sync::Arc::new(std::sync::atomic::AtomicU8::new(0));
    let asked = std::sync::Arc::clone(&lookups);
    let answers = move |host: &str| {
        assert_eq!(host, "hook.example.org");
        let nth = asked.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        vec![std::net::IpAddr::from([127, 0, 0, if nth == 0 { 1 } else { 2 }])]
    };
    let guard = Guard::told(answers, bad_is_two);
    let port_of = |url: &str| Url::parse(url).expect("valid").port().expect("a port");
    let at = |port| config(format!("http://hook.example.org:{port}/hook"), WebhookPreset::Standard);
    let channel = |port| Webhook::new("x", &at(port), Some(guard.clone()), clock()).expect("a name says nothing yet");

    channel(port_of(&good.url)).send(&message("hello")).await.expect("accepted");
    assert_eq!((good.requests().len(), lookups.load(std::sync::atomic::Ordering::SeqCst)), (1, 1), "resolved once");
    let port = bad.local_addr().expect("address").port();
    let result = channel(port).send(&message("hello")).await;
    assert_eq!(word(&result), "retry");
    assert_eq!(
        result.expect_err("blocked").to_string(),
        "hook.example.org leads to 127.0.0.2, a private address: where others use this daemon, that needs \
         allow_private = true on the channel"
    );
    let trace = Trace::on();
    assert!(channel(port).send_traced(&message("hello"), &trace).await.is_err(), "a test by hand is no way round");
    let mut visited = std::pin::pin!(bad.accept());
    let nobody =
        std::future::poll_fn(|context| std::task::Poll::Ready(visited.as_mut().poll(context).is_pending())).await;
    assert!(nobody, "somebody has connected");
}

#[test]
fn where_others_use_the_daemon_only_public_addresses_are_taken() {
    use super::super::{channel::channels, hands::Hands};
    let problem = |server: &str, own: &str, url: &str| {
        let text = format!("[server]\n{server}\n[channels.webhook.x]\nurl = '{url}'\n{own}");
        let config = bellwether_core::config::Config::from_toml(&text).expect("valid");
        channels(&config, &clock(), &Hands::default()).err().map(|e| e.to_string())
    };
    let (shared, proxied) = ("allow_remote = true", "allowed_hosts = ['alerts.example.org']");
    let refused = Some(
        "channels.webhook.x.url: 127.0.0.1 is this machine: where others use this daemon, that needs allow_private = \
         true on the channel"
            .to_owned(),
    );
    assert_eq!(problem(shared, "", "http://2130706433:9/hook"), refused);
    assert_eq!(problem(proxied, "", "http://127.0.0.1:9/hook"), refused);
    assert_eq!(problem("", "allow_private = false", "http://127.0.0.1:9/hook"), refused);
    assert_eq!(problem(shared, "allow_private = true", "http://127.0.0.1:9/hook"), None);
    assert_eq!(problem(shared, "", "https://example.org/hook"), None);
    assert_eq!(problem("", "", "http://127.0.0.1:9/hook"), None, "the owner's own daemon posts where the owner says");
}
