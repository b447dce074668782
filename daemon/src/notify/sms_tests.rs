use std::collections::VecDeque;

use bellwether_core::{
    config::{ChannelLimits, Secret},
    time::Timestamp,
};

use super::{
    super::{
        channel::word,
        fake_http::{FakeHttp, Play, body},
    },
    *,
};

const TOKEN: &str = "canary7a3f";
const CREATED: &str = r#"{"sid":"SM0123456789abcdef0123456789abcdef","status":"queued","num_segments":"1"}"#;

/// A stand-in that plays these parts in order.
async fn twilio(plays: Vec<Play>) -> FakeHttp {
    let mut plays = VecDeque::from(plays);
    FakeHttp::start(move |_| plays.pop_front().expect("a request too many")).await
}

/// The listing with the text of the message posted before.
fn listed(requests: &[String]) -> Play {
    let posted = requests.iter().find_map(|r| field(r, "Body")).expect("a post");
    let listing = serde_json::json!({"messages":[
        {"sid":"SM1","body":"another","status":"sent"},
        {"sid":"SM2","body":format!("Sent from your trial account - {posted}"),"status":"delivered"},
    ]});
    Play::plain(200, &listing.to_string())
}

/// A field of a posted form.
fn field(request: &str, name: &str) -> Option<String> {
    url::form_urlencoded::parse(body(request).as_bytes()).find(|(n, _)| n == name).map(|(_, v)| v.into_owned())
}

fn config(url: &str) -> Config {
    Config {
        account_sid: format!("AC{}", "0".repeat(32)),
        auth_token: Secret::Value(TOKEN.to_owned()),
        from: "+14155550100".to_owned(),
        to: vec!["+14155550123".to_owned()],
        base_url: url.to_owned(),
        limits: ChannelLimits::default(),
    }
}

fn clock() -> Clock {
    Clock::by_hand(Timestamp::from_seconds(1_700_000_000))
}

fn message(attempt: u32) -> Outgoing {
    let message = Outgoing::message("channel.test", "BTC above 60,000", "“sell”\r\nnow", clock().now());
    Outgoing { attempt, ..message }
}

#[tokio::test]
async fn every_answer_of_twilio_means_what_the_table_says() {
    let cases = [
        (201, CREATED, "sent"),
        (400, r#"{"code":21211,"message":"The 'To' number is not valid: canary7a3f","status":400}"#, "permanent"),
        (400, r#"{"code":21610,"message":"unsubscribed","status":400}"#, "permanent"),
        (400, r#"{"code":21614,"message":"not a mobile number","status":400}"#, "permanent"),
        (401, r#"{"code":20003,"message":"Authenticate","status":401}"#, "refused"),
        (403, r#"{"code":20003,"message":"Permission","status":403}"#, "refused"),
        (404, "<?xml version='1.0'?><TwilioResponse/>", "permanent"),
        (429, r#"{"code":20429,"message":"Too Many Requests","status":429}"#, "retry"),
        (500, "", "retry"),
        (503, "<html>busy</html>", "retry"),
        (500, CREATED, "sent"),
        (302, "", "retry"),
        (201, "{}", "doubtful"),
        (200, "<html>portal</html>", "doubtful"),
        (201, "<?xml version='1.0'?><TwilioResponse/>", "doubtful"),
    ];
    for (status, body, expected) in cases {
        let twilio = twilio(vec![Play::plain(status, body)]).await;
        let channel = Sms::new(&config(&twilio.url), clock()).expect("valid");
        let result = channel.send(&message(1)).await;
        assert_eq!(word(&result), expected, "{status} {body}");
        assert_eq!(twilio.requests().len(), 1, "one request an attempt");
        assert!(!format!("{result:?}").contains(TOKEN), "{result:?}");
    }
}

#[tokio::test]
async fn the_request_is_what_twilio_describes() {
    let twilio = twilio(vec![Play::plain(201, CREATED), Play::plain(201, CREATED)]).await;
    let channel = Sms::new(&config(&twilio.url), clock()).expect("valid");
    let receipt = channel.send(&message(1)).await.expect("accepted");
    assert_eq!(receipt.answer, "201 SM0123456789abcdef0123456789abcdef queued");
    let service = Config { from: format!("MG{}", "a".repeat(32)), ..config(&twilio.url) };
    Sms::new(&service, clock()).expect("valid").send(&message(1)).await.expect("accepted");
    let requests = twilio.requests();
    let account = "0".repeat(32);
    assert!(requests[0].starts_with(&format!("POST /2010-04-01/Accounts/AC{account}/Messages.json HTTP/1.1")));
    assert!(requests[0].to_lowercase().contains("authorization: basic "));
    assert_eq!(field(&requests[0], "To").as_deref(), Some("+14155550123"));
    assert_eq!(field(&requests[0], "From").as_deref(), Some("+14155550100"));
    assert_eq!(field(&requests[0], "ValidityPeriod").as_deref(), Some("3600"));
    let body = field(&requests[0], "Body").expect("a body");
    assert_eq!(body, "BTC above 60,000. \"sell\"??now [channel-test-1700000000000]");
    assert_eq!(field(&requests[1], "From"), None);
    assert!(field(&requests[1], "MessagingServiceSid").is_some_and(|s| s.starts_with("MG")));
}

#[tokio::test]
async fn a_lost_answer_is_looked_up_before_anything_is_sent_again() {
    let twilio = FakeHttp::start(|requests| if requests.len() == 1 { Play::Cut } else { listed(requests) }).await;
    let channel = Sms::new(&config(&twilio.url), clock()).expect("valid");
    assert_eq!(word(&channel.send(&message(1)).await), "doubtful");
    let receipt = channel.send(&message(2)).await.expect("found");
    assert_eq!(receipt.answer, "found an earlier attempt: SM2 delivered");
    let requests = twilio.requests();
    assert_eq!(requests.len(), 2, "one message was sent");
    assert!(requests[1].starts_with("GET ") && requests[1].contains("To=%2B14155550123"));
    assert!(requests[1].contains("DateSent=2023-11-14"));
}

#[tokio::test]
async fn what_was_never_accepted_is_sent_again() {
    let twilio = twilio(vec![Play::Cut, Play::plain(200, r#"{"messages":[]}"#), Play::plain(201, CREATED)]).await;
    let channel = Sms::new(&config(&twilio.url), clock()).expect("valid");
    assert_eq!(word(&channel.send(&message(1)).await), "doubtful");
    assert_eq!(word(&channel.send(&message(2)).await), "sent");
    assert_eq!(twilio.requests().len(), 3);
}

#[tokio::test]
async fn after_a_crash_the_first_thing_is_to_look() {
    let twilio = twilio(vec![Play::plain(500, "<html>")]).await;
    // A fresh channel knows nothing of the attempt before.
    let channel = Sms::new(&config(&twilio.url), clock()).expect("valid");
    let result = channel.send(&message(2)).await;
    assert_eq!(word(&result), "ambiguous");
    assert!(twilio.requests()[0].starts_with("GET "), "nothing was sent");
}

#[tokio::test]
async fn a_refusal_that_was_certain_needs_no_look() {
    let twilio =
        twilio(vec![Play::Answer(429, "Retry-After: 7\r\n".to_owned(), "{}".to_owned()), Play::plain(201, CREATED)])
            .await;
    let channel = Sms::new(&config(&twilio.url), clock()).expect("valid");
    let Err(SendError::Retry { after, .. }) = channel.send(&message(1)).await else { panic!("429 is for later") };
    assert_eq!(after, Some(Span::from_seconds(7)));
    assert_eq!(word(&channel.send(&message(2)).await), "sent");
    let posts = twilio.requests().iter().filter(|r| r.starts_with("POST")).count();
    assert_eq!(posts, 2);
}

#[tokio::test]
async fn of_two_recipients_only_the_one_without_it_is_tried_again() {
    let twilio = twilio(vec![Play::plain(201, CREATED), Play::plain(503, ""), Play::plain(201, CREATED)]).await;
    let mut config = config(&twilio.url);
    config.to.push("+14155550124".to_owned());
    let channel = Sms::new(&config, clock()).expect("valid");
    assert_eq!(word(&channel.send(&message(1)).await), "retry");
    assert_eq!(word(&channel.send(&message(2)).await), "sent");
    let requests = twilio.requests();
    let to: Vec<_> = requests.iter().filter_map(|r| field(r, "To")).collect();
    assert_eq!(to, ["+14155550123", "+14155550124", "+14155550124"]);
}

#[test]
fn wrong_settings_are_named_with_their_key() {
    let good = config("https://api.twilio.com");
    for (config, problem) in [
        (Config { account_sid: "x".to_owned(), ..good.clone() }, "account_sid: expected AC"),
        (Config { auth_token: Secret::Value(String::new()), ..good.clone() }, "auth_token: is empty"),
        (Config { from: "0660 123".to_owned(), ..good.clone() }, "from: expected a number in E.164"),
        (Config { to: vec!["+1(555)1234567".to_owned()], ..good.clone() }, "to: expected numbers in E.164"),
        (Config { to: Vec::new(), ..good.clone() }, "to: is empty"),
        (Config { base_url: "http://u:canary7a3f@h".to_owned(), ..good.clone() }, "base_url: no user or password"),
    ] {
        let error = Sms::new(&config, clock()).err().expect("an error").to_string();
        assert!(error.starts_with(&format!("channels.sms.{problem}")), "{error}");
        assert!(!error.contains(TOKEN));
    }
    let channel = Sms::new(&good, clock()).expect("valid");
    assert_eq!(channel.target(), "…0123 through Twilio");
}
