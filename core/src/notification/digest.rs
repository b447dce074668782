//! The words of several firings in one message (`docs/alerts.md`, C7): newest first, at most 20 lines, then a count.

use std::fmt::Write as _;

use serde_json::json;

use super::{Facts, LATE_AFTER, Notification, TITLE, Words, html, plain, sms};
use crate::{
    delivery::{Digest, DigestLine},
    text::{cut, sanitize},
    time::Timestamp,
};

/// The most characters of a line.
const LINE: usize = 160;
/// How many lines a small window shows.
const SHORT: usize = 5;
/// The most characters of a line in JSON: twenty of them stay under the 20 KB of a webhook.
const JSON_LINE: usize = 120;

impl Notification {
    /// The words of several firings of several alerts in one message, marked with the delivery's key.
    ///
    /// `words` tells of the reader; the instruments are called by their symbols.
    pub fn digest(digest: &Digest, delivery_key: &str, words: &Words<'_>) -> Self {
        let lines: Vec<String> = digest.lines.iter().map(|line| one_line(line, words)).collect();
        let simulated = if words.simulated { "SIMULATED: " } else { "" };
        let newest = lines.first().map_or("", |line| line.split(" (").next().unwrap_or(line));
        let title = format!("{simulated}{} alerts fired: {newest}", digest.alerts);
        let title = cut(&title, TITLE).into_owned();
        let more = usize::try_from(digest.alerts).unwrap_or(usize::MAX).saturating_sub(lines.len());
        let more = (more > 0).then(|| format!("and {more} more alerts"));
        let remarks = remarks(digest, words);

        let mut body = lines.iter().take(SHORT).cloned().collect::<Vec<_>>().join("\n");
        let hidden = usize::try_from(digest.alerts).unwrap_or(usize::MAX).saturating_sub(SHORT);
        if hidden > 0 {
            let _ = write!(body, "\nand {hidden} more");
        }
        for remark in &remarks {
            let _ = write!(body, "\n{remark}");
        }
        let intro = format!("{} firings of {} alerts, the newest first.", digest.firings, digest.alerts);
        let mut rows: Vec<(&str, String)> = lines.iter().map(|line| ("Fired", line.clone())).collect();
        rows.extend(more.clone().map(|more| ("More", more)));
        rows.extend(remarks.iter().map(|remark| ("Remark", remark.clone())));
        rows.push(("Delivery", sanitize(delivery_key)));
        let short: Vec<&str> = lines.iter().map(|line| line.split(" (").next().unwrap_or(line)).collect();
        let count = if words.simulated { "SIMULATED: " } else { "" };
        let message = format!("{count}{} alerts fired: {}", digest.alerts, short.join("; "));
        let (sms_core, sms) = sms::fit(&message, delivery_key, late(digest, words, "%m-%d %H:%M", "sent").as_deref());
        let late = late(digest, words, "%Y-%m-%d %H:%M:%S %Z", "delivered").map(|late| format!("{late}."));
        if let Some(late) = &late {
            let _ = write!(body, "\n{late}");
        }
        Self {
            about: None,
            text: plain(&intro, &rows, late.as_deref()),
            html: html(&title, &intro, &rows, late.as_deref()),
            json: in_json(digest, delivery_key, words, &title, &body),
            title,
            body,
            sms,
            sms_core,
        }
    }
}

/// `BTC above 60,000.00: 60,012.50 (a17, 14:03:05)`, with how often where it was more than once.
fn one_line(line: &DigestLine, words: &Words<'_>) -> String {
    let firing = &line.firing;
    let title = Facts::new(firing, words).title(false);
    let time = local(firing.time, words, "%H:%M:%S");
    let often = if line.count > 1 { format!(", {} times", line.count) } else { String::new() };
    let mark = if firing.late { ", late data" } else { "" };
    let note = firing.note().map(|note| format!(" {}", cut(&sanitize(note), 40))).unwrap_or_default();
    cut(&format!("{title} ({}, {time}{often}{mark}){note}", firing.id.alert), LINE).into_owned()
}

/// What a storm is, and whose fault it may be.
fn remarks(digest: &Digest, words: &Words<'_>) -> Vec<String> {
    let mut remarks = Vec::new();
    if digest.storm {
        remarks.push(
            "Storm: more than 30 firings in a minute, so messages come once a minute until it is calm.".to_owned(),
        );
    }
    if !digest.flapping.is_empty() && (digest.storm || digest.flapping.iter().any(|line| line.count >= 5)) {
        let name = |line: &DigestLine| {
            let title = Facts::new(&line.firing, words).operand_and_condition;
            format!("{} {} ({} times)", line.firing.id.alert, cut(&title, 60), line.count)
        };
        let names: Vec<String> = digest.flapping.iter().map(name).collect();
        remarks.push(format!("Flapping: {}. Give them `hysteresis` or `cooldown`.", names.join(", ")));
    }
    remarks
}

fn local(time: Timestamp, words: &Words<'_>, form: &str) -> String {
    let zone = words.timezone.and_then(|name| jiff::tz::TimeZone::get(name).ok()).unwrap_or(jiff::tz::TimeZone::UTC);
    time.to_jiff().to_zoned(zone).strftime(form).to_string()
}

fn late(digest: &Digest, words: &Words<'_>, form: &str, sent: &str) -> Option<String> {
    let late = words.now.since(digest.oldest) > LATE_AFTER;
    late.then(|| {
        format!("Late: first fired {}, {sent} {}", local(digest.oldest, words, form), local(words.now, words, form))
    })
}

/// `{"type":"alert.digest","timestamp":"…","data":{…}}`, in the manner of a single firing's.
fn in_json(digest: &Digest, key: &str, words: &Words<'_>, title: &str, body: &str) -> String {
    let line = |line: &DigestLine| {
        let firing = &line.firing;
        json!({
            "firing": firing.id,
            "alert": firing.id.alert,
            "count": line.count,
            "title": cut(&Facts::new(firing, words).title(false), JSON_LINE),
            "symbol": firing.symbol,
            "price": firing.price,
            "time": firing.time,
            "note": firing.note().map(|note| cut(&sanitize(note), JSON_LINE).into_owned()),
        })
    };
    let data = json!({
        "delivery": key,
        "title": title,
        "text": body,
        "firings": digest.firings,
        "alerts": digest.alerts,
        "storm": digest.storm,
        "lines": digest.lines.iter().map(line).collect::<Vec<_>>(),
        "flapping": digest.flapping.iter().map(|line| line.firing.id.alert).collect::<Vec<_>>(),
        "simulated": words.simulated,
    });
    json!({ "type": "alert.digest", "timestamp": digest.oldest, "data": data }).to_string()
}
