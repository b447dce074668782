use super::*;
use crate::{
    alert::{AlertId, UserId},
    firing::{FiringId, TermValue, Told},
    instrument::FeedId,
};

fn firing() -> Firing {
    let price = |text: &str| text.parse::<Price>().expect(text);
    Firing {
        id: FiringId { alert: AlertId(17), version: 2, number: 5 },
        owner: UserId::OWNER,
        symbol: "BTC".parse().expect("a symbol"),
        time: "2026-11-22T13:03:05Z".parse().expect("a time"),
        received: "2026-11-22T13:03:06Z".parse().expect("a time"),
        price: Some(price("60012.5")),
        previous: Some(price("59987.1")),
        direction: None,
        source: FeedId::Coinbase,
        late: false,
        more: 0,
        delayed: false,
        urgent: false,
        story: Told {
            rule: "BTC > 60000 every 1h via email note \"sell half\"".to_owned(),
            condition: "above".into(),
            values: vec![TermValue { term: "BTC > 60000".to_owned(), value: Some(price("60012.5")), level: None }],
            reason: "BTC rose above 60,000: now 60,012.50 (before: 59,987.10)".to_owned(),
            note: Some("sell half".to_owned()),
            via: Vec::new(),
        }
        .into(),
    }
}

fn words(seconds_later: i64) -> Words<'static> {
    Words {
        name: "Bitcoin",
        currency: "USD",
        timezone: Some("Europe/Vienna"),
        now: firing().received.plus(Span::from_seconds(seconds_later)),
        simulated: false,
        collected: 1,
    }
}

#[test]
fn a_firing_reads_as_a_person_would_say_it() {
    let told = Notification::of(&firing(), "d12", &words(1));
    assert_eq!(told.title, "BTC above 60,000.00: 60,012.50");
    assert_eq!(
        told.body,
        "BTC rose above 60,000: now 60,012.50 (before: 59,987.10)\n2026-11-22 14:03:05 CET · coinbase\nsell half"
    );
    assert_eq!(told.sms, "BTC above 60,000.00: 60,012.50. 11-22 14:03:05 CET. sell half [d12]");
    for line in [
        "Instrument: Bitcoin (BTC)",
        "Price:      60,012.50 USD",
        "Before:     59,987.10 USD",
        "Source:     coinbase",
        "Alert:      a17: BTC > 60000 every 1h via email",
        "Note:       sell half",
        "Delivery:   d12 of firing a17.2.5",
    ] {
        assert!(told.text.lines().any(|l| l == line), "{line} is missing in:\n{}", told.text);
    }
    assert!(told.html.contains("<td>60,012.50 USD</td>"));
    let json: serde_json::Value = serde_json::from_str(&told.json).expect("JSON");
    assert_eq!(json["type"], "alert.fired");
    assert_eq!(json["timestamp"], "2026-11-22T13:03:06.000Z");
    assert_eq!(json["data"]["price"], "60012.5");
    assert_eq!(json["data"]["firing"], "a17.2.5");
    assert_eq!(json["data"]["alert"], "a17");
}

#[test]
fn every_condition_has_its_words() {
    for (term, direction, expected) in [
        ("BTC >= 60000", None, "BTC at or above 60,000.00"),
        ("EURUSD < 1.05", None, "EURUSD below 1.0500"),
        ("BTC crosses 60000", Some(Direction::Down), "BTC fell through 60,000.00"),
        ("BTC crosses up 60000", Some(Direction::Up), "BTC rose through 60,000.00"),
        ("BTC in 60000..70000", None, "BTC in 60,000.00 to 70,000.00"),
        ("\"S&P 500\" exits 10..20", None, "S&P 500 left 10.00 to 20.00"),
        ("ETH/BTC +5% from now", None, "ETH/BTC +5% from now"),
        ("nonsense", None, "nonsense "),
    ] {
        assert_eq!(term_in_words(term, direction), expected);
    }
}

#[test]
fn a_late_message_says_so_with_both_times() {
    let on_time = Notification::of(&firing(), "d1", &words(120));
    assert!(!on_time.text.contains("Late"));
    let late = Notification::of(&firing(), "d1", &words(121));
    let mark = "Late: fired 2026-11-22 14:03:06 CET, delivered 2026-11-22 14:05:07 CET.";
    for form in [&late.text, &late.body, &late.html] {
        assert!(form.contains(mark), "{form}");
    }
    assert!(late.sms.ends_with("[d1] Late: fired 11-22 14:03, sent 11-22 14:05"), "{}", late.sms);
    assert_eq!(late.sms_core, on_time.sms_core);
}

#[test]
fn a_simulated_market_is_never_taken_for_a_real_one() {
    let told = Notification::of(&firing(), "d1", &Words { simulated: true, ..words(0) });
    assert!(told.title.starts_with("SIMULATED: ") && told.sms.starts_with("SIMULATED: "));
    assert!(told.html.contains("<title>SIMULATED: "));
    assert!(told.json.contains("\"simulated\":true"));
}

#[test]
fn an_evil_note_stays_text_in_every_form() {
    let evil = "a\r\nBcc: x@y\u{1b}]52;c;QQ\u{7}\u{9b}31m\u{202e}\0<img src=x onerror=1>\r\n.\r\n\"'&{{price}}";
    let mut firing = firing();
    let mut said = (*firing.told()).clone();
    said.note = Some(evil.repeat(40));
    said.reason = evil.to_owned();
    said.rule = format!("BTC > 1 note \"{evil}\"");
    said.values[0].term = format!("BTC > 1 {evil}");
    firing.story = said.into();
    let told =
        Notification::of(&firing, "d1", &Words { name: evil, currency: evil, timezone: Some(evil), ..words(999) });
    for form in [&told.title, &told.body, &told.text, &told.html, &told.sms, &told.json] {
        let hidden = form.chars().find(|c| *c != '\n' && crate::text::is_hidden(*c));
        assert_eq!(hidden, None, "{form}");
    }
    assert!(!told.title.contains('\n') && !told.sms.contains('\n') && !told.json.contains('\n'));
    assert!(!told.html.contains("<img"));
    assert!(told.text.lines().all(|line| !line.starts_with("Bcc") && line != "."));
    assert!(told.json.len() < 20_000);
    assert!(told.title.chars().count() <= TITLE);
}

#[test]
fn messages_of_the_program_have_all_forms_too() {
    let told = Notification::message("channel.test", "A test", "It <works>", "test", firing().time);
    assert!(told.html.contains("It &lt;works&gt;"));
    assert_eq!(told.sms, "A test. It <works> [test]");
    assert!(told.json.starts_with("{\"data\":{") && told.json.contains("\"type\":\"channel.test\""));
}

fn digest(alerts: u32, count: u32) -> crate::delivery::Digest {
    let line = |alert: u32| {
        let mut firing = firing();
        firing.id.alert = AlertId(i64::from(alert));
        crate::delivery::DigestLine { firing, count: if alert == 1 { count } else { 1 } }
    };
    let lines: Vec<_> = (1..=alerts.min(20)).map(line).collect();
    crate::delivery::Digest {
        firings: alerts + count - 1,
        alerts,
        oldest: firing().received,
        storm: count > 1,
        flapping: lines.iter().filter(|line| line.count > 2).cloned().collect(),
        lines,
    }
}

#[test]
fn a_digest_has_a_line_for_each_alert_then_a_count_and_names_what_flaps() {
    let told = Notification::digest(&digest(3, 7), "d12", &words(1));
    assert_eq!(told.title, "3 alerts fired: BTC above 60,000.00: 60,012.50");
    let line = "BTC above 60,000.00: 60,012.50 (a1, 14:03:05, 7 times) sell half";
    assert!(told.body.starts_with(line), "{}", told.body);
    assert!(told.body.contains("Storm: more than 30 firings in a minute"), "{}", told.body);
    let flapping = "Flapping: a1 BTC above 60,000.00 (7 times). Give them `hysteresis` or `cooldown`.";
    assert!(told.body.contains(flapping) && told.text.contains(flapping), "{}", told.body);
    assert!(told.text.starts_with("9 firings of 3 alerts, the newest first."), "{}", told.text);
    assert_eq!(told.text.matches("Fired:").count(), 3);
    assert!(!told.body.contains("Late"));

    let json: serde_json::Value = serde_json::from_str(&told.json).expect("JSON");
    assert_eq!((&json["type"], &json["data"]["firings"]), (&"alert.digest".into(), &9.into()));
    assert_eq!(json["data"]["lines"][0]["count"], 7);
    assert_eq!(json["data"]["flapping"], serde_json::json!(["a1"]));
}

#[test]
fn ten_thousand_alerts_are_twenty_lines_and_a_count_in_every_form() {
    let mut many = digest(10_000, 1);
    for line in &mut many.lines {
        let note = Some("<b>\u{1b}[31m".to_owned() + &"long ".repeat(95));
        line.firing.story = Told { note, ..(*line.firing.told()).clone() }.into();
    }
    let told = Notification::digest(&many, "d9", &words(300));
    assert!(told.title.starts_with("10000 alerts fired: "));
    assert_eq!(told.text.matches("Fired:").count(), 20);
    assert!(told.text.contains("and 9980 more alerts"), "{}", told.text);
    assert!(told.body.contains("and 9995 more") && told.body.lines().count() <= 8, "{}", told.body);
    assert!(told.body.contains("Late: first fired 2026-11-22 14:03:06 CET, delivered 2026-11-22 14:08:06 CET."));
    assert!(told.json.len() < 20_000, "{}", told.json.len());
    assert!(told.sms.chars().count() <= 3 * 153 && told.sms.contains("[d9]"), "{}", told.sms);
    assert!(!told.html.contains("<b>") && !told.text.contains('\u{1b}'));
}

#[test]
fn several_firings_of_one_alert_are_the_newest_with_a_count() {
    let told = Notification::of(&firing(), "d12", &Words { collected: 4, ..words(1) });
    assert!(told.body.ends_with("It fired 4 times; this is the newest."), "{}", told.body);
    assert!(told.json.contains("\"collected\":4"));
}
