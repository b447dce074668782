//! A notification: the words of a firing, in the forms that channels want. Pure: the same firing at the same time gives the same words.
//!
//! Everything that came from outside (a note, a name) is text and stays text: [`sanitize`] takes control, bidirectional
//! and invisible characters out, and each form escapes what its reader would take for markup.

mod digest;
mod sms;

use std::fmt::Write as _;

use jiff::tz::TimeZone;
use serde_json::json;

use crate::{
    alert::{AlertId, UserId},
    condition::{MAX_LINE, MAX_NOTE},
    firing::{Direction, Firing},
    instrument::Symbol,
    price::Price,
    text::{cut, sanitize},
    time::{Span, Timestamp},
};

/// From this delay between firing and delivery on, a message says that it is late, with both times (docs/alerts.md, C5).
pub const LATE_AFTER: Span = Span::from_seconds(120);

/// The most characters of a title.
const TITLE: usize = 120;

/// What the words need to know beside the firing.
#[derive(Clone, Copy, Debug)]
pub struct Words<'a> {
    /// The instrument's name for people.
    pub name: &'a str,
    /// Its quote currency.
    pub currency: &'a str,
    /// The reader's IANA time zone; UTC when absent or unknown.
    pub timezone: Option<&'a str>,
    /// When the message is sent.
    pub now: Timestamp,
    /// Whether the market is simulated.
    pub simulated: bool,
    /// How many firings of its alert this message stands for, itself included.
    pub collected: u32,
}

/// What a notification is about: enough to act on it, or to draw a picture of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct About {
    /// The alert that fired.
    pub alert: AlertId,
    /// Whose it is.
    pub owner: UserId,
    /// The instrument.
    pub symbol: Symbol,
    /// When it fired, on the clock of its source.
    pub time: Timestamp,
    /// The price at which it fired.
    pub price: Option<Price>,
}

/// The words of a firing, or of a message of the program itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notification {
    /// The one firing that it tells; none where it tells several, or something else.
    pub about: Option<About>,
    /// One line: `BTC above 60,000.00: 60,012.50`.
    pub title: String,
    /// A few lines below the title, plain, for a small window or a chat.
    pub body: String,
    /// The whole message as plain text, for mail. Lines end in `\n`.
    pub text: String,
    /// The same as HTML, escaped.
    pub html: String,
    /// One text message of at most three segments.
    pub sms: String,
    /// The part of `sms` that is the same at every attempt, by which an earlier attempt is recognised.
    pub sms_core: String,
    /// The body of a signed webhook (Standard Webhooks 1.0), under 20 KB.
    pub json: String,
}

impl Notification {
    /// The words of `firing`, marked with the delivery's key (`d12`), which stays the same over all attempts.
    pub fn of(firing: &Firing, delivery_key: &str, words: &Words<'_>) -> Self {
        let facts = Facts::new(firing, words);
        let title = facts.title(words.simulated);
        let mut body = facts.reason.clone();
        let _ = write!(body, "\n{} · {}", facts.time, firing.source);
        let mut message = format!("{title}. {}", facts.short_time);
        for extra in facts.note.iter().chain(&facts.remarks) {
            let _ = write!(body, "\n{extra}");
        }
        if let Some(note) = &facts.note {
            let _ = write!(message, ". {note}");
        }
        if let Some(late) = &facts.late {
            let _ = write!(body, "\n{late}");
        }
        let (sms_core, sms) = sms::fit(&message, delivery_key, facts.short_late.as_deref());
        let rows = facts.rows(firing, words, delivery_key);
        let about = About {
            alert: firing.id.alert,
            owner: firing.owner,
            symbol: firing.symbol,
            time: firing.time,
            price: firing.price,
        };
        Self {
            about: Some(about),
            text: plain(&facts.reason, &rows, facts.late.as_deref()),
            html: html(&title, &facts.reason, &rows, facts.late.as_deref()),
            json: facts.json(firing, words, delivery_key, &title),
            title,
            body,
            sms,
            sms_core,
        }
    }

    /// A message of the program itself: a channel's test, or a notice that something is wrong. `kind` is the JSON body's type.
    pub fn message(kind: &str, title: &str, body: &str, key: &str, now: Timestamp) -> Self {
        let title = cut(&sanitize(title), TITLE).into_owned();
        let body = cut(&sanitize(body), MAX_LINE).into_owned();
        let rows = [("Delivery", sanitize(key))];
        let (sms_core, sms) = sms::fit(&format!("{title}. {body}"), key, None);
        let data = json!({ "delivery": key, "title": title, "text": body });
        Self {
            about: None,
            text: plain(&body, &rows, None),
            html: html(&title, &body, &rows, None),
            json: json!({ "type": kind, "timestamp": now, "data": data }).to_string(),
            title,
            body,
            sms,
            sms_core,
        }
    }
}

/// What a firing says, cleaned and put into words once for all forms.
struct Facts {
    operand_and_condition: String,
    price: Option<String>,
    reason: String,
    rule: String,
    note: Option<String>,
    time: String,
    short_time: String,
    /// Delayed prices, a gap that was filled, firings that were left out.
    remarks: Vec<String>,
    late: Option<String>,
    short_late: Option<String>,
}

impl Facts {
    fn new(firing: &Firing, words: &Words<'_>) -> Self {
        let zone = words.timezone.and_then(|name| TimeZone::get(name).ok()).unwrap_or(TimeZone::UTC);
        let at = |time: Timestamp, form: &str| time.to_jiff().to_zoned(zone.clone()).strftime(form).to_string();
        let whole = |time| at(time, "%Y-%m-%d %H:%M:%S %Z");
        let mut remarks = Vec::new();
        if firing.late {
            remarks.push("Found in the data of a gap: it happened at the time given, not just now.".to_owned());
        }
        if firing.delayed {
            remarks.push("The source delivers its prices with a delay.".to_owned());
        }
        if firing.more > 0 {
            remarks.push(format!("The same data would have fired it {} more times.", firing.more));
        }
        if words.collected > 1 {
            remarks.push(format!("It fired {} times; this is the newest.", words.collected));
        }
        let is_late = words.now.since(firing.received) > LATE_AFTER;
        let joined = if firing.condition() == "or" { " or " } else { " and " };
        let values = firing.values();
        let terms: Vec<String> = values.iter().map(|v| term_in_words(&v.term, firing.direction)).collect();
        let operand_and_condition = if terms.is_empty() { firing.symbol.to_string() } else { terms.join(joined) };
        let rule = firing.rule();
        let rule = rule.split(" note \"").next().unwrap_or_default();
        Self {
            operand_and_condition: sanitize(&operand_and_condition),
            price: firing.price.or_else(|| values.first().and_then(|v| v.value)).map(shown),
            reason: cut(&sanitize(&firing.reason()), MAX_LINE).into_owned(),
            rule: cut(&sanitize(rule), MAX_LINE).into_owned(),
            note: firing.note().map(|note| cut(&sanitize(note), MAX_NOTE).into_owned()),
            time: whole(firing.time),
            short_time: at(firing.time, "%m-%d %H:%M:%S %Z"),
            remarks,
            late: is_late.then(|| format!("Late: fired {}, delivered {}.", whole(firing.received), whole(words.now))),
            short_late: is_late.then(|| {
                let short = |time| at(time, "%m-%d %H:%M");
                format!("Late: fired {}, sent {}", short(firing.received), short(words.now))
            }),
        }
    }

    fn title(&self, simulated: bool) -> String {
        let mark = if simulated { "SIMULATED: " } else { "" };
        let price = self.price.as_ref().map(|p| format!(": {p}")).unwrap_or_default();
        let room = TITLE.saturating_sub(mark.len() + price.len());
        format!("{mark}{}{price}", cut(&self.operand_and_condition, room))
    }

    fn rows(&self, firing: &Firing, words: &Words<'_>, key: &str) -> Vec<(&'static str, String)> {
        let currency = sanitize(words.currency);
        let with_currency = |price: Price| format!("{} {currency}", shown(price));
        let mut rows = vec![("Instrument", format!("{} ({})", sanitize(words.name), firing.symbol))];
        if let Some(price) = firing.price {
            rows.push(("Price", with_currency(price)));
        }
        if let Some(previous) = firing.previous {
            rows.push(("Before", with_currency(previous)));
        }
        let values = firing.values();
        if values.len() > 1 || firing.price.is_none() {
            for term in values.iter() {
                let value = term.value.map_or_else(|| "unknown".to_owned(), shown);
                rows.push(("Term", format!("{}: {value}", sanitize(&term.term))));
            }
        }
        rows.push(("Time", self.time.clone()));
        rows.push(("Source", firing.source.to_string()));
        rows.push(("Alert", format!("{}: {}", firing.id.alert, self.rule)));
        if let Some(note) = &self.note {
            rows.push(("Note", note.clone()));
        }
        rows.extend(self.remarks.iter().map(|remark| ("Remark", remark.clone())));
        rows.push(("Delivery", format!("{} of firing {}", sanitize(key), firing.id)));
        rows
    }

    /// `{"type":"alert.fired","timestamp":"…","data":{…}}` as Standard Webhooks 1.0 recommends.
    fn json(&self, firing: &Firing, words: &Words<'_>, key: &str, title: &str) -> String {
        let values: Vec<_> = firing
            .values()
            .iter()
            .take(8)
            .map(|v| json!({ "term": cut(&sanitize(&v.term), 200), "value": v.value }))
            .collect();
        let data = json!({
            "delivery": key,
            "firing": firing.id,
            "alert": firing.id.alert,
            "version": firing.id.version,
            "number": firing.id.number,
            "title": title,
            "symbol": firing.symbol,
            "name": cut(&sanitize(words.name), 200),
            "currency": cut(&sanitize(words.currency), 16),
            "condition": cut(&sanitize(firing.condition()), 64),
            "rule": self.rule,
            "reason": self.reason,
            "price": firing.price,
            "previous": firing.previous,
            "direction": firing.direction,
            "values": values,
            "time": firing.time,
            "received": firing.received,
            "source": firing.source,
            "late": firing.late,
            "delayed": firing.delayed,
            "more": firing.more,
            "collected": words.collected,
            "urgent": firing.urgent,
            "note": self.note,
            "simulated": words.simulated,
        });
        json!({ "type": "alert.fired", "timestamp": firing.received, "data": data }).to_string()
    }
}

/// A price as people read it.
fn shown(price: Price) -> String {
    price.grouped(price.natural_places())
}

/// `BTC > 60000` becomes `BTC above 60,000.00`.
fn term_in_words(term: &str, direction: Option<Direction>) -> String {
    let (operand, condition) = match term.strip_prefix('"').and_then(|rest| rest.split_once("\" ")) {
        Some((operand, condition)) => (operand, condition),
        None => term.split_once(' ').unwrap_or((term, "")),
    };
    let crossed = match direction {
        Some(Direction::Up) => "rose through",
        Some(Direction::Down) => "fell through",
        None => "crossed",
    };
    let (verb, rest) = [
        ("> ", "above"),
        (">= ", "at or above"),
        ("< ", "below"),
        ("<= ", "at or below"),
        ("crosses up ", "rose through"),
        ("crosses down ", "fell through"),
        ("crosses ", crossed),
        ("enters ", "entered"),
        ("exits ", "left"),
    ]
    .into_iter()
    .find_map(|(sign, verb)| condition.strip_prefix(sign).map(|rest| (Some(verb), rest)))
    .unwrap_or((None, condition));
    let numbers = rest.split(' ').map(number_in_words).collect::<Vec<_>>().join(" ");
    match verb {
        Some(verb) => format!("{operand} {verb} {numbers}"),
        None => format!("{operand} {numbers}"),
    }
}

/// `60000` becomes `60,000.00`, `1..2` becomes `1.0000 to 2.0000`; any other word stays.
fn number_in_words(word: &str) -> String {
    let number = |text: &str| text.parse::<Price>().map(shown);
    if let Some((low, high)) = word.split_once("..")
        && let (Ok(low), Ok(high)) = (number(low), number(high))
    {
        return format!("{low} to {high}");
    }
    number(word).unwrap_or_else(|_| word.to_owned())
}

fn plain(reason: &str, rows: &[(&str, String)], late: Option<&str>) -> String {
    let mut text = format!("{reason}\n\n");
    for (label, value) in rows {
        let _ = writeln!(text, "{:<12}{value}", format!("{label}:"));
    }
    if let Some(late) = late {
        let _ = writeln!(text, "\n{late}");
    }
    text
}

fn html(title: &str, reason: &str, rows: &[(&str, String)], late: Option<&str>) -> String {
    let mut html = format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{}</title></head>\n\
         <body style=\"font-family:sans-serif\">\n<p style=\"font-size:large\"><strong>{}</strong></p>\n<table>\n",
        escape(title),
        escape(reason)
    );
    for (label, value) in rows {
        let _ = writeln!(
            html,
            "<tr><td style=\"color:#666;padding-right:1em\">{}</td><td>{}</td></tr>",
            escape(label),
            escape(value)
        );
    }
    html.push_str("</table>\n");
    if let Some(late) = late {
        let _ = writeln!(html, "<p><strong>{}</strong></p>", escape(late));
    }
    html.push_str("</body></html>\n");
    html
}

/// The text with `&`, `<`, `>`, `"` and `'` as entities, for HTML and for the markup of desktop notifications.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests;
