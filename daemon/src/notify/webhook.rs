//! Webhooks: a signed POST after Standard Webhooks 1.0 (standardwebhooks.com), or the body that a messenger wants.
//!
//! The address may hold a token, so it is a secret: no error, log line or answer shows it. Redirects are not followed.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bellwether_core::{
    condition::ChannelName,
    config::{Webhook as Config, WebhookMethod, WebhookPreset},
    rate::Allowance,
    text::cut,
    time::Span,
};
use futures_util::future::BoxFuture;
use hmac::{Hmac, KeyInit as _, Mac as _};
use reqwest::{
    Client, Method, StatusCode,
    header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue},
};
use serde_json::{Value, json};
use sha2::Sha256;
use url::Url;

use super::{
    address::Guard,
    channel::{Channel, ChannelConfigError, Limits, Outgoing, Receipt, SendError, clean_answer},
    http::{self, Answer},
    trace::Trace,
    webhook_template::Template,
};
use crate::clock::Clock;

/// How long one request may take.
const DEADLINE: Span = Span::from_seconds(10);

/// A channel `webhook` or `webhook:NAME`.
pub(super) struct Webhook {
    name: ChannelName,
    client: Client,
    /// What it must pass where others than the owner use this daemon.
    guard: Option<Guard>,
    url: Url,
    preset: WebhookPreset,
    /// The key of the signature, decoded.
    key: Option<Vec<u8>>,
    token: Option<String>,
    target: Option<String>,
    template: Option<Template>,
    content_type: HeaderValue,
    method: Method,
    headers: HeaderMap,
    /// What must not be shown, also where a server echoes it.
    secrets: Vec<String>,
    clock: Clock,
}

impl Webhook {
    /// The channel `[channels.webhook.<name>]` as configured; connects nowhere. With a guard it reaches only what that lets it.
    pub(super) fn new(
        name: &str,
        config: &Config,
        guard: Option<Guard>,
        clock: Clock,
    ) -> Result<Self, ChannelConfigError> {
        let key_of = |key: &str| format!("channels.webhook.{name}.{key}");
        let wrong = |key: &str, problem: &str| ChannelConfigError::new(key_of(key), problem);
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b)) {
            return Err(ChannelConfigError::new("channels.webhook", "a name has letters, digits, - and _ only"));
        }
        let mut url = http::target_url(&key_of("url"), config.url.expose())?;
        let mut target = config.target.clone();
        let token = config.token.as_ref().map(|t| t.expose().to_owned());
        if token.as_deref().is_some_and(|t| t.is_empty() || t.chars().any(char::is_control)) {
            return Err(wrong("token", "is empty or contains a control character"));
        }
        place(config.preset, &mut url, &mut target, token.as_deref()).map_err(|(key, problem)| wrong(key, problem))?;
        let key = match &config.secret {
            Some(_) if config.preset != WebhookPreset::Standard => {
                return Err(wrong("secret", "only the preset \"standard\" is signed"));
            }
            Some(secret) => Some(signing_key(secret.expose()).ok_or_else(|| {
                wrong("secret", "expected whsec_ and 24 to 64 bytes in base64; `openssl rand -base64 32` makes some")
            })?),
            None => None,
        };
        let own = config.template.is_some() || config.content_type.is_some() || !config.headers.is_empty();
        if config.preset != WebhookPreset::Standard && (own || config.method != WebhookMethod::Post) {
            return Err(wrong("preset", "only \"standard\" takes template, content_type, method and headers"));
        }
        let kind = config.content_type.as_deref().unwrap_or("application/json");
        let content_type = HeaderValue::from_str(kind)
            .ok()
            .filter(|_| kind.contains('/'))
            .ok_or_else(|| wrong("content_type", "expected a type such as text/plain; charset=utf-8"))?;
        let template = match &config.template {
            Some(source) => Some(Template::new(source, kind).map_err(|e| wrong("template", &e))?),
            None => None,
        };
        let headers = headers(config).map_err(|(name, problem)| wrong(&format!("headers.{name}"), problem))?;
        if let Some(guard) = &guard {
            guard.check(&url).map_err(|e| wrong("url", &e.to_string()))?;
        }
        let client = http::client(&url, DEADLINE, guard.as_ref()).map_err(|e| wrong("url", &e.to_string()))?;
        let secret = config.secret.as_ref().map(|s| s.expose().to_owned());
        let secrets = [Some(config.url.expose().to_owned()), Some(url.to_string()), Some(url.path().to_owned())]
            .into_iter()
            .chain([secret, token.clone()])
            .flatten()
            .chain(config.headers.values().map(|value| value.expose().to_owned()))
            .chain(url.query().map(str::to_owned))
            .filter(|s| s.len() > 3)
            .chain(parts_that_may_be_tokens(&url))
            .collect();
        let channel = if name == "default" { "webhook".to_owned() } else { format!("webhook:{name}") };
        Ok(Self {
            name: ChannelName::new(&channel),
            client,
            guard,
            url,
            preset: config.preset,
            key,
            token,
            target,
            template,
            content_type,
            method: match config.method {
                WebhookMethod::Post => Method::POST,
                WebhookMethod::Put => Method::PUT,
                WebhookMethod::Patch => Method::PATCH,
            },
            headers,
            secrets,
            clock,
        })
    }

    fn clean(&self, text: &str) -> String {
        let secrets: Vec<&str> = self.secrets.iter().map(String::as_str).collect();
        clean_answer(text, &secrets)
    }

    /// The body as the receiver wants it.
    fn body(&self, message: &Outgoing) -> String {
        let told = &message.notification;
        let chat = format!("{}\n{}\n[{}]", told.title, told.body, message.key);
        let target = self.target.as_deref().unwrap_or_default();
        let value = match self.preset {
            WebhookPreset::Standard => return told.json.clone(),
            WebhookPreset::Ntfy => json!({
                "topic": target,
                "title": told.title,
                "message": format!("{}\n[{}]", told.body, message.key),
                "tags": ["bell"],
                "priority": if message.urgent { 5 } else { 4 },
            }),
            // Without `parse_mode` the text is text.
            WebhookPreset::Telegram => json!({ "chat_id": target, "text": chat }),
            WebhookPreset::Discord => json!({
                "content": cut(&discord_text(&chat), 2_000),
                "allowed_mentions": { "parse": [] },
            }),
            WebhookPreset::Slack => json!({ "text": slack_text(&chat) }),
            WebhookPreset::Pushover => json!({
                "token": self.token,
                "user": target,
                "title": told.title,
                "message": cut(&format!("{}\n[{}]", told.body, message.key), 1_000),
                "priority": i32::from(message.urgent),
                "timestamp": message.fired.as_seconds(),
            }),
            WebhookPreset::Gotify => json!({
                "title": told.title,
                "message": format!("{}\n[{}]", told.body, message.key),
                "priority": if message.urgent { 10 } else { 5 },
            }),
        };
        value.to_string()
    }

    async fn post(&self, message: &Outgoing, trace: &Trace) -> Result<Receipt, SendError> {
        http::look_ahead(&self.url, self.guard.as_ref(), trace).await;
        let body = match &self.template {
            Some(template) => {
                template.render(message).map_err(|e| SendError::permanent(format!("the template {e}")))?
            }
            None => self.body(message),
        };
        let mut request = self.client.request(self.method.clone(), self.url.clone()).headers(self.headers.clone());
        request = request.header(CONTENT_TYPE, self.content_type.clone());
        match (self.preset, &self.token) {
            (WebhookPreset::Standard, token) => {
                let seconds = self.clock.now().as_seconds();
                request = request.header("webhook-id", &message.key).header("webhook-timestamp", seconds);
                if let Some(key) = &self.key {
                    request = request.header("webhook-signature", signature(key, &message.key, seconds, &body));
                }
                if let Some(token) = token {
                    request = request.bearer_auth(token);
                }
            }
            (WebhookPreset::Ntfy, Some(token)) => request = request.bearer_auth(token),
            (WebhookPreset::Gotify, Some(token)) => request = request.header("X-Gotify-Key", token),
            _ => {}
        }
        let asked = request.body(body).send().await;
        http::looked_at(&self.url, &asked, trace);
        let response = asked.map_err(|e| SendError::retry(http::plain(&e)))?;
        self.judge(&http::answer(response, self.clock.now()).await)
    }

    /// 2xx: accepted. 408, 425, 429, 5xx: later. 410: gone. Anything else, redirects included: never.
    fn judge(&self, answer: &Answer) -> Result<Receipt, SendError> {
        let status = answer.status;
        let looks_like_text = !answer.body.trim_start().starts_with('<');
        let words = if looks_like_text { self.clean(&answer.body) } else { "(a page of HTML or XML)".to_owned() };
        let text = format!("{status} {words}").trim_end().to_owned();
        if status.is_success() {
            // Telegram and Pushover could say no inside a 200; they do not, but a proxy might.
            let said_no = self.preset == WebhookPreset::Telegram && answer.body.contains("\"ok\":false");
            return if said_no { Err(SendError::permanent(text)) } else { Ok(Receipt { answer: text }) };
        }
        if status == StatusCode::GONE {
            return Err(SendError::Gone { source: text.into() });
        }
        let later = [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_EARLY, StatusCode::TOO_MANY_REQUESTS];
        if later.contains(&status) || status.is_server_error() {
            let after = answer.retry_after.or_else(|| retry_after_in(&answer.body));
            return Err(SendError::Retry { after, source: text.into() });
        }
        Err(SendError::permanent(text))
    }
}

impl Channel for Webhook {
    fn name(&self) -> &ChannelName {
        &self.name
    }

    fn limits(&self) -> Limits {
        Limits {
            allowance: Allowance { burst: 20, refill: Span::from_millis(500), daily: None },
            deadline: Span::from_seconds(12),
            give_up: Span::from_seconds(24 * 3600),
            repeatable: true,
        }
    }

    fn examine(&self) -> BoxFuture<'_, Option<Result<String, String>>> {
        Box::pin(http::knock(&self.url, self.guard.as_ref()))
    }

    fn target(&self) -> String {
        let kind = match self.preset {
            WebhookPreset::Standard if self.key.is_none() => "unsigned webhook",
            WebhookPreset::Standard => "signed webhook",
            WebhookPreset::Ntfy => "ntfy",
            WebhookPreset::Telegram => "Telegram",
            WebhookPreset::Discord => "Discord",
            WebhookPreset::Slack => "Slack",
            WebhookPreset::Pushover => "Pushover",
            WebhookPreset::Gotify => "Gotify",
        };
        format!("{kind} at {}", self.url.host_str().unwrap_or_default())
    }

    fn send<'a>(&'a self, message: &'a Outgoing) -> BoxFuture<'a, Result<Receipt, SendError>> {
        Box::pin(async move { self.post(message, &Trace::off()).await })
    }

    fn send_traced<'a>(&'a self, message: &'a Outgoing, trace: &'a Trace) -> BoxFuture<'a, Result<Receipt, SendError>> {
        Box::pin(self.post(message, trace))
    }
}

/// Where a preset puts its target and key: into the address, for some. Otherwise the key that is missing, and what it is.
fn place(
    preset: WebhookPreset,
    url: &mut Url,
    target: &mut Option<String>,
    token: Option<&str>,
) -> Result<(), (&'static str, &'static str)> {
    match preset {
        WebhookPreset::Standard | WebhookPreset::Discord | WebhookPreset::Slack => {}
        WebhookPreset::Ntfy => {
            if target.is_none() {
                *target = pop_segment(url);
            }
            if target.is_none() {
                return Err(("target", "is missing: the topic"));
            }
        }
        WebhookPreset::Telegram => {
            if target.is_none() {
                return Err(("target", "is missing: the chat id"));
            }
            if let Some(token) = token {
                url.set_path(&format!("{}/bot{token}/sendMessage", url.path().trim_end_matches('/')));
            }
        }
        WebhookPreset::Pushover => {
            if token.is_none() {
                return Err(("token", "is missing: the application token"));
            }
            if target.is_none() {
                return Err(("target", "is missing: the user key"));
            }
        }
        WebhookPreset::Gotify => {
            if token.is_none() {
                return Err(("token", "is missing: the application key"));
            }
            if !url.path().ends_with("/message") {
                url.set_path(&format!("{}/message", url.path().trim_end_matches('/')));
            }
        }
    }
    Ok(())
}

/// The user's own headers. Those that the request itself is made of are refused.
fn headers(config: &Config) -> Result<HeaderMap, (String, &'static str)> {
    let mut headers = HeaderMap::new();
    for (name, value) in &config.headers {
        let wrong = |problem| (clean_answer(name, &[]), problem);
        let key = HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong("is no name of a header"))?;
        let reserved = ["host", "content-length", "content-type", "transfer-encoding", "connection", "te", "upgrade"];
        if reserved.contains(&key.as_str()) || key.as_str().starts_with("webhook-") {
            return Err(wrong("is set by bellwether itself"));
        }
        let mut value = HeaderValue::from_str(value.expose()).map_err(|_| wrong("contains a control character"))?;
        value.set_sensitive(true);
        headers.insert(key, value);
    }
    Ok(headers)
}

/// The parts of an address that a server may repeat alone, and that are long enough to be keys rather than words.
fn parts_that_may_be_tokens(url: &Url) -> Vec<String> {
    let segments = url.path_segments().into_iter().flatten().map(str::to_owned);
    let values = url.query_pairs().map(|(_, value)| value.into_owned());
    segments.chain(values).filter(|part| part.len() >= 16).collect()
}

/// `whsec_` and base64 of 24 to 64 bytes.
fn signing_key(secret: &str) -> Option<Vec<u8>> {
    let key = STANDARD.decode(secret.strip_prefix("whsec_")?).ok()?;
    (24..=64).contains(&key.len()).then_some(key)
}

/// `v1,` and base64 of HMAC-SHA256 over `id.timestamp.body`.
fn signature(key: &[u8], id: &str, seconds: i64, body: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(format!("{id}.{seconds}.{body}").as_bytes());
    format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
}

/// `https://ntfy.sh/topic` is the server `https://ntfy.sh/` and the topic.
fn pop_segment(url: &mut Url) -> Option<String> {
    let (parent, last) = url.path().rsplit_once('/').map(|(parent, last)| (parent.to_owned(), last.to_owned()))?;
    if last.is_empty() {
        return None;
    }
    url.set_path(&format!("{parent}/"));
    Some(last)
}

/// Discord's and Telegram's wait, in seconds inside the body: `{"retry_after":64.57}`, `{"parameters":{"retry_after":5}}`.
fn retry_after_in(body: &str) -> Option<Span> {
    let value: Value = serde_json::from_str(body).ok()?;
    let seconds = value.get("retry_after").or_else(|| value.get("parameters")?.get("retry_after"))?.as_f64()?;
    let seconds = std::time::Duration::try_from_secs_f64(seconds.ceil()).ok()?;
    Some(bellwether_core::retry::clamp_retry_after(seconds.into()))
}

/// Slack takes three characters for markup.
fn slack_text(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Discord takes Markdown; a backslash before each sign of it makes it text.
fn discord_text(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if "\\*_~`|>#<[]".contains(c) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
#[path = "webhook_tests.rs"]
mod tests;
