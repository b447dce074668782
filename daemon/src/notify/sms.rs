//! Text messages through Twilio's Messages resource (api.twilio.com, version 2010-04-01).
//!
//! Twilio has no idempotency key, and a message costs money. So an attempt whose answer was lost is not repeated before the
//! message has been looked up by recipient, day and text; where that is impossible it ends as *unknown* (docs/alerts.md, C5).

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use bellwether_core::{condition::ChannelName, config::Sms as Config, rate::Allowance, time::Span};
use futures_util::future::BoxFuture;
use reqwest::{Client, RequestBuilder, StatusCode};
use serde::Deserialize;
use url::Url;

use super::{
    channel::{Channel, ChannelConfigError, Limits, Outgoing, Receipt, SendError, clean_answer},
    http::{self, Answer},
    trace::Trace,
};
use crate::clock::Clock;

/// How long one request may take.
const DEADLINE: Span = Span::from_seconds(15);
/// The most deliveries whose progress is remembered.
const REMEMBERED: usize = 1_000;

/// The channel `sms`.
pub(super) struct Sms {
    name: ChannelName,
    client: Client,
    messages: Url,
    account: String,
    token: String,
    from: From,
    to: Vec<String>,
    clock: Clock,
    /// What is certain about each (delivery, recipient) of this run. What is not in here is in doubt after the first attempt.
    certain: Mutex<HashMap<(String, String), Certain>>,
}

/// What is known about a message to one recipient.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Certain {
    /// Every attempt so far was surely not taken.
    NotTaken,
    /// It was taken.
    Taken,
}

enum From {
    Number(String),
    Service(String),
}

/// Twilio's answer to a message: `{"sid":"SM…","status":"queued",…}`.
#[derive(Deserialize)]
struct Created {
    sid: Option<String>,
    status: Option<String>,
}

/// Twilio's error: `{"code":21211,"message":"…","more_info":"…","status":400}`.
#[derive(Default, Deserialize)]
struct Fault {
    code: Option<u32>,
    message: Option<String>,
}

/// `GET Messages.json`: `{"messages":[{"sid":"SM…","body":"…","status":"…",…}],…}`.
#[derive(Deserialize)]
struct Listing {
    messages: Vec<Listed>,
}

#[derive(Deserialize)]
struct Listed {
    sid: String,
    body: Option<String>,
    status: Option<String>,
}

impl Sms {
    /// The channel as configured; connects nowhere.
    pub(super) fn new(config: &Config, clock: Clock) -> Result<Self, ChannelConfigError> {
        let wrong = |key: &str, problem: &str| ChannelConfigError::new(format!("channels.sms.{key}"), problem);
        if !is_sid(&config.account_sid, "AC") {
            return Err(wrong("account_sid", "expected AC and 32 hexadecimal digits"));
        }
        if config.auth_token.expose().is_empty() {
            return Err(wrong("auth_token", "is empty"));
        }
        let from = if is_sid(&config.from, "MG") {
            From::Service(config.from.clone())
        } else if is_e164(&config.from) {
            From::Number(config.from.clone())
        } else {
            return Err(wrong(
                "from",
                "expected a number in E.164 form such as +14155550123, or a messaging service (MG…)",
            ));
        };
        if config.to.is_empty() {
            return Err(wrong("to", "is empty: expected a list of numbers such as [\"+14155550123\"]"));
        }
        if !config.to.iter().all(|to| is_e164(to)) {
            return Err(wrong("to", "expected numbers in E.164 form such as +14155550123: + and at most 15 digits"));
        }
        let base = http::target_url("channels.sms.base_url", &config.base_url)?;
        let mut messages = base.clone();
        let path =
            format!("{}/2010-04-01/Accounts/{}/Messages.json", base.path().trim_end_matches('/'), config.account_sid);
        messages.set_path(&path);
        let client = http::client(&base, DEADLINE, None).map_err(|e| wrong("base_url", &e.to_string()))?;
        Ok(Self {
            name: ChannelName::new("sms"),
            client,
            messages,
            account: config.account_sid.clone(),
            token: config.auth_token.expose().to_owned(),
            from,
            to: config.to.clone(),
            clock,
            certain: Mutex::default(),
        })
    }

    async fn ask(&self, request: RequestBuilder) -> Result<Answer, reqwest::Error> {
        let response = request.basic_auth(&self.account, Some(&self.token)).send().await?;
        Ok(http::answer(response, self.clock.now()).await)
    }

    fn clean(&self, text: &str) -> String {
        clean_answer(text, &[&self.token])
    }

    fn remembered(&self, message: &Outgoing, to: &str) -> Option<Certain> {
        let certain = self.certain.lock().unwrap_or_else(PoisonError::into_inner);
        certain.get(&(message.key.clone(), to.to_owned())).copied()
    }

    fn remember(&self, message: &Outgoing, to: &str, what: Option<Certain>) {
        let mut certain = self.certain.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (message.key.clone(), to.to_owned());
        match what {
            Some(what) => {
                if certain.len() >= REMEMBERED {
                    // Forgetting is safe: what is forgotten is looked up.
                    certain.clear();
                }
                certain.insert(key, what);
            }
            None => {
                certain.remove(&key);
            }
        }
    }

    /// To one recipient, unless it is known, or found out, that it has got the message already.
    async fn to_one(&self, message: &Outgoing, to: &str) -> Result<String, SendError> {
        match self.remembered(message, to) {
            Some(Certain::Taken) => return Ok("accepted before".to_owned()),
            None if message.attempt > 1 => {
                if let Some(found) = self.find(message, to).await? {
                    self.remember(message, to, Some(Certain::Taken));
                    return Ok(found);
                }
            }
            Some(Certain::NotTaken) | None => {}
        }
        let result = self.post(message, to).await;
        self.remember(
            message,
            to,
            match &result {
                Ok(_) => Some(Certain::Taken),
                Err(SendError::Doubtful { .. }) => None,
                Err(_) => Some(Certain::NotTaken),
            },
        );
        result
    }

    async fn post(&self, message: &Outgoing, to: &str) -> Result<String, SendError> {
        let (sender_key, sender) = match &self.from {
            From::Number(number) => ("From", number),
            From::Service(service) => ("MessagingServiceSid", service),
        };
        let form = [
            ("To", to),
            (sender_key, sender.as_str()),
            ("Body", message.notification.sms.as_str()),
            // An alert that could not be delivered for an hour is of no use any more.
            ("ValidityPeriod", "3600"),
        ];
        match self.ask(self.client.post(self.messages.clone()).form(&form)).await {
            Ok(answer) => self.judge(&answer),
            Err(error) if error.is_connect() || error.is_builder() => Err(SendError::retry(http::plain(&error))),
            Err(error) => Err(SendError::doubtful(format!("{}, after the request was sent", http::plain(&error)))),
        }
    }

    fn judge(&self, answer: &Answer) -> Result<String, SendError> {
        let status = answer.status;
        let created: Option<Created> = serde_json::from_str(&answer.body).ok();
        if let Some(Created { sid: Some(sid), status: said }) = &created
            && (sid.starts_with("SM") || sid.starts_with("MM"))
            && (status.is_success() || status.is_server_error())
        {
            return Ok(self.clean(&format!("{} {sid} {}", status.as_u16(), said.as_deref().unwrap_or_default())));
        }
        let fault: Fault = serde_json::from_str(&answer.body).unwrap_or_default();
        let text = match (&fault.code, &fault.message) {
            (Some(code), Some(message)) => self.clean(&format!("{} {code} {message}", status.as_u16())),
            _ => format!("{status}, not an answer of Twilio's"),
        };
        if status.is_success() {
            return Err(SendError::doubtful(format!("{} without a message id", status.as_u16())));
        }
        if status == StatusCode::UNAUTHORIZED || fault.code == Some(20003) {
            return Err(SendError::refused(format!("Twilio refused the account: {text}")));
        }
        if status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error() || status.is_redirection() {
            return Err(SendError::Retry { after: answer.retry_after, source: text.into() });
        }
        Err(SendError::permanent(text))
    }

    /// Looks among the recipient's messages for one with our text and key.
    async fn find(&self, message: &Outgoing, to: &str) -> Result<Option<String>, SendError> {
        let day = |at: bellwether_core::time::Timestamp| at.to_string()[..10].to_owned();
        let mut days = vec![day(message.created), day(message.now)];
        days.dedup();
        for day in days {
            let query = [("To", to), ("DateSent", day.as_str()), ("PageSize", "20")];
            let answer = self.ask(self.client.get(self.messages.clone()).query(&query)).await.map_err(|e| {
                SendError::doubtful(format!("an earlier attempt cannot be looked up: {}", http::plain(&e)))
            })?;
            if answer.status == StatusCode::TOO_MANY_REQUESTS {
                return Err(SendError::doubtful("an earlier attempt cannot be looked up yet: 429"));
            }
            let listing: Option<Listing> =
                if answer.status.is_success() { serde_json::from_str(&answer.body).ok() } else { None };
            let Some(listing) = listing else {
                let source = format!("nobody can tell whether an earlier attempt was accepted: {}", answer.status);
                return Err(SendError::Ambiguous { source: source.into() });
            };
            let core = message.notification.sms_core.as_str();
            // `contains`: a trial account puts a sentence in front.
            if let Some(found) = listing.messages.iter().find(|m| m.body.as_deref().is_some_and(|b| b.contains(core))) {
                let status = found.status.as_deref().unwrap_or_default();
                return Ok(Some(self.clean(&format!("found an earlier attempt: {} {status}", found.sid))));
            }
        }
        Ok(None)
    }
}

impl Channel for Sms {
    fn name(&self) -> &ChannelName {
        &self.name
    }

    fn limits(&self) -> Limits {
        let per_recipient = DEADLINE.times(3);
        Limits {
            allowance: Allowance { burst: 3, refill: Span::from_seconds(360), daily: Some(30) },
            deadline: per_recipient.times(i64::try_from(self.to.len()).unwrap_or(1)),
            give_up: Span::from_seconds(3600),
            repeatable: false,
        }
    }

    /// `GET /2010-04-01/Accounts/AC….json`: `{"sid":"AC…","status":"active",…}`; reading it costs nothing.
    fn examine(&self) -> BoxFuture<'_, Option<Result<String, String>>> {
        Box::pin(async move {
            let mut account = self.messages.clone();
            account.set_path(&self.messages.path().replace("/Messages.json", ".json"));
            let answer = match self.ask(self.client.get(account)).await {
                Ok(answer) => answer,
                Err(error) => return Some(Err(http::plain(&error))),
            };
            let said: Created = serde_json::from_str(&answer.body).unwrap_or(Created { sid: None, status: None });
            Some(match (said.sid, said.status.as_deref()) {
                (Some(named), Some("active")) if answer.status.is_success() && named == self.account => {
                    Ok("the account is active".to_owned())
                }
                (Some(_), Some(status)) if answer.status.is_success() => {
                    Err(self.clean(&format!("the account is {status}")))
                }
                _ if answer.status.is_success() => Err("what answers is not Twilio".to_owned()),
                _ => Err(self.judge(&answer).unwrap_or_else(|error| error.to_string())),
            })
        })
    }

    fn target(&self) -> String {
        let to: Vec<String> = self.to.iter().map(|to| format!("…{}", &to[to.len().saturating_sub(4)..])).collect();
        format!("{} through Twilio", to.join(", "))
    }

    fn send_traced<'a>(&'a self, message: &'a Outgoing, trace: &'a Trace) -> BoxFuture<'a, Result<Receipt, SendError>> {
        Box::pin(async move {
            http::look_ahead(&self.messages, None, trace).await;
            self.send(message).await
        })
    }

    fn send<'a>(&'a self, message: &'a Outgoing) -> BoxFuture<'a, Result<Receipt, SendError>> {
        Box::pin(async move {
            let mut answers = Vec::new();
            let mut worst: Option<SendError> = None;
            for to in &self.to {
                match tokio::time::timeout(Duration::from(DEADLINE.times(3)), self.to_one(message, to)).await {
                    Ok(Ok(answer)) => answers.push(answer),
                    Ok(Err(error)) => worst = Some(worse(worst, error)),
                    Err(_) => worst = Some(worse(worst, SendError::doubtful("no answer in time"))),
                }
            }
            match worst {
                None => Ok(Receipt { answer: answers.join("; ") }),
                Some(error) => Err(error),
            }
        })
    }
}

/// Of two failures the one that keeps the message alive; the recipients who have it are not sent it again.
fn worse(one: Option<SendError>, other: SendError) -> SendError {
    let rank = |error: &SendError| match error {
        SendError::Doubtful { .. } => 0,
        SendError::Retry { .. } => 1,
        SendError::Refused { .. } => 2,
        SendError::Ambiguous { .. } => 3,
        SendError::Gone { .. } | SendError::Permanent { .. } => 4,
    };
    match one {
        Some(one) if rank(&one) <= rank(&other) => one,
        _ => other,
    }
}

/// `+` and 7 to 15 digits, the first not 0 (E.164).
fn is_e164(number: &str) -> bool {
    number.strip_prefix('+').is_some_and(|digits| {
        (7..=15).contains(&digits.len()) && !digits.starts_with('0') && digits.bytes().all(|b| b.is_ascii_digit())
    })
}

fn is_sid(text: &str, prefix: &str) -> bool {
    text.strip_prefix(prefix).is_some_and(|rest| rest.len() == 32 && rest.bytes().all(|b| b.is_ascii_hexdigit()))
}

#[cfg(test)]
#[path = "sms_tests.rs"]
mod tests;
