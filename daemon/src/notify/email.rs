//! Mail over SMTP (RFC 5321): STARTTLS, implicit TLS, or none on this machine; AUTH PLAIN, LOGIN and XOAUTH2.
//!
//! Spoken step by step, so that it is known at which step something went wrong: a rejected password
//! stops the channel, a rejected message only itself. Nothing is said to a server without the protection asked for.

use std::{path::Path, sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bellwether_core::{
    condition::ChannelName,
    config::{Email as Config, MailAuth, MailTls},
    rate::Allowance,
    time::Span,
};
use futures_util::future::BoxFuture;
use lettre::{
    message::Mailbox,
    transport::smtp::{
        Error as SmtpError,
        authentication::{Credentials, Mechanism},
        client::{AsyncSmtpConnection, Certificate, TlsParameters},
        extension::ClientId,
        response::Response,
    },
};
use tokio::net::TcpStream;

use super::{
    channel::{Channel, ChannelConfigError, Limits, Outgoing, Receipt, SendError, clean_answer},
    chart,
    command::{Program, Trouble},
    hands::{Bars, Hands},
    http::{self, is_loopback},
    mail_message,
    mail_session::{self, Bounded, Idle, Progress},
    trace::Trace,
};

/// How long one message may take from connecting to the server's last word.
const DEADLINE: Duration = Duration::from_secs(30);
/// How long the past may take to be looked up; a mail without a picture is better than none.
const PICTURE: Duration = Duration::from_secs(2);
/// How long the program that makes access tokens may run.
const TOKEN: Duration = Duration::from_secs(15);

/// The channel `email`.
pub(super) struct Email {
    name: ChannelName,
    host: String,
    port: u16,
    tls: Option<(MailTls, TlsParameters)>,
    credentials: Option<Credentials>,
    /// The password, also as it is said to the server: to be taken out of answers.
    secrets: Vec<String>,
    from: Mailbox,
    to: Vec<Mailbox>,
    auth: MailAuth,
    user: String,
    password: String,
    /// Makes access tokens.
    token_program: Option<Program>,
    /// Whether mails have a picture, the past that it shows, and the time zone of its clock.
    chart: bool,
    bars: Bars,
    timezone: Option<String>,
    /// A connection that waits for the next message.
    idle: Idle,
    /// Who has got which message already.
    progress: Progress,
    deadline: Duration,
}

impl Email {
    /// The channel as configured; connects nowhere.
    pub(super) fn new(config: &Config, timezone: Option<&str>, hands: &Hands) -> Result<Self, ChannelConfigError> {
        let wrong = |key: &str, problem: &str| ChannelConfigError::new(format!("channels.email.{key}"), problem);
        let host = url::Host::parse(&config.host)
            .map_err(|_| wrong("host", "expected the name of a mail server such as smtp.example.org"))?;
        if config.port == Some(0) {
            return Err(wrong("port", "expected a number from 1 to 65535"));
        }
        let on_loopback = is_loopback(Some(&match &host {
            url::Host::Domain(name) => url::Host::Domain(name.as_str()),
            url::Host::Ipv4(address) => url::Host::Ipv4(*address),
            url::Host::Ipv6(address) => url::Host::Ipv6(*address),
        }));
        if config.tls == MailTls::None && !on_loopback {
            return Err(wrong(
                "tls",
                "\"none\" is only for a mail server on this machine: use \"starttls\" or \"implicit\"",
            ));
        }
        let password = config.password.as_ref().map(|p| p.expose().to_owned()).unwrap_or_default();
        let credentials = match &config.username {
            Some(user) if user.chars().any(char::is_control) => {
                return Err(wrong("username", "contains a control character"));
            }
            Some(user) if config.auth == MailAuth::Xoauth2 && config.token_command.is_some() => {
                Some(Credentials::new(user.clone(), String::new()))
            }
            Some(_) if config.password.is_none() => return Err(wrong("password", "is missing: there is a username")),
            Some(_) if password.is_empty() => return Err(wrong("password", "is empty")),
            Some(user) => Some(Credentials::new(user.clone(), password.clone())),
            None if config.auth == MailAuth::Xoauth2 => {
                return Err(wrong("username", "is missing: whose token is it?"));
            }
            None => None,
        };
        let token_program = token_program(config)?;
        let from = match config.from.as_ref().or(config.username.as_ref()) {
            Some(text) => mailbox("channels.email.from", text)?,
            None => return Err(wrong("from", "is missing: who sends the mail?")),
        };
        let mut to = Vec::new();
        for text in &config.to {
            to.push(mailbox("channels.email.to", text)?);
        }
        if to.is_empty() {
            to.push(from.clone());
        }
        let tls = match config.tls {
            MailTls::None => None,
            kind => Some((kind, tls_parameters(config)?)),
        };
        let usual = match config.tls {
            MailTls::Starttls => 587,
            MailTls::Implicit => 465,
            MailTls::None => 25,
        };
        // As AUTH PLAIN and AUTH LOGIN say it: a server may repeat the line that it did not like.
        let plain = config.username.as_ref().map(|user| STANDARD.encode(format!("\0{user}\0{password}")));
        let secrets = plain.into_iter().chain([STANDARD.encode(&password), password]).collect();
        Ok(Self {
            name: ChannelName::new("email"),
            host: config.host.clone(),
            port: config.port.unwrap_or(usual),
            tls,
            credentials,
            secrets,
            from,
            to,
            auth: config.auth,
            user: config.username.clone().unwrap_or_default(),
            password: config.password.as_ref().map(|p| p.expose().to_owned()).unwrap_or_default(),
            token_program,
            chart: config.chart,
            bars: Arc::clone(&hands.bars),
            timezone: timezone.map(str::to_owned),
            idle: Idle::default(),
            progress: Progress::default(),
            deadline: DEADLINE,
        })
    }

    /// The picture for this message, where it is about one firing and enough is known.
    async fn picture(&self, outgoing: &Outgoing) -> Option<Vec<u8>> {
        let about = outgoing.notification.about.filter(|_| self.chart)?;
        let (from, to) = (about.time.minus(chart::AROUND.0), about.time.plus(chart::AROUND.1));
        let bars = tokio::time::timeout(PICTURE, (self.bars)(about.symbol, from, to)).await.ok()?;
        chart::png(&bars, &about, self.timezone.as_deref())
    }

    async fn connect(&self, trace: &Trace) -> Result<AsyncSmtpConnection, SendError> {
        let hello = ClientId::default();
        let host = self.host.trim_matches(['[', ']']);
        let seen = if trace.wanted() { http::reach(host, self.port, None, trace).await } else { None };
        if let Some((MailTls::Implicit, tls)) = &self.tls {
            let server = (self.host.as_str(), self.port);
            let timeout = Some(Duration::from_secs(10));
            let connection = AsyncSmtpConnection::connect_tokio1(server, timeout, &hello, Some(tls.clone()), None)
                .await
                .map_err(|e| self.sorted(if e.is_tls() { "TLS" } else { "connecting" }, &e, trace))?;
            trace.done("TLS", "the certificate is good");
            trace.done("greeted", connection.server_info().name());
            return Ok(connection);
        }
        let stream = match seen {
            Some(stream) => stream,
            None => TcpStream::connect((host, self.port))
                .await
                .map_err(|e| SendError::retry(format!("no connection to the mail server ({})", e.kind())))?,
        };
        // The end of a message is a write of its own: without this it waits for the other side's delayed acknowledgement, 40 ms a message.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "mail goes out with the system's delay");
        }
        let mut connection = AsyncSmtpConnection::connect_with_transport(Box::new(Bounded::new(stream)), &hello)
            .await
            .map_err(|e| self.sorted("greeting", &e, trace))?;
        trace.done("greeted", connection.server_info().name());
        if let Some((_, tls)) = &self.tls {
            if !connection.can_starttls() {
                let text = "the mail server does not offer STARTTLS: nothing was sent to it";
                trace.failed("TLS", text);
                return Err(SendError::refused(text));
            }
            connection.starttls(tls.clone(), &hello).await.map_err(|e| self.sorted("TLS", &e, trace))?;
            trace.done("TLS", "the certificate is good");
        }
        Ok(connection)
    }

    async fn log_in(&self, connection: &mut AsyncSmtpConnection, trace: &Trace) -> Result<(), SendError> {
        let Some(credentials) = &self.credentials else { return Ok(()) };
        let mechanisms: &[Mechanism] = match self.auth {
            MailAuth::Password => &[Mechanism::Plain, Mechanism::Login],
            MailAuth::Plain => &[Mechanism::Plain],
            MailAuth::Login => &[Mechanism::Login],
            MailAuth::Xoauth2 => return self.log_in_with_token(connection, trace).await,
        };
        let said = connection.auth(mechanisms, credentials).await.map_err(|e| {
            let text = self.clean(&format!("the mail server refused the login: {}", chain(&e)));
            refused_login(&e, text, trace)
        })?;
        trace.done("authenticated", &self.clean(&in_words(&said)));
        Ok(())
    }

    /// AUTH XOAUTH2 (Google's and Microsoft's; the first message of RFC 7628's predecessor): a refusal is a challenge in base64,
    /// to be answered by an empty line before the server says no.
    async fn log_in_with_token(&self, connection: &mut AsyncSmtpConnection, trace: &Trace) -> Result<(), SendError> {
        if !connection.server_info().supports_auth_mechanism(Mechanism::Xoauth2) {
            let text = "the mail server does not offer AUTH XOAUTH2: no token was sent to it";
            trace.failed("authenticated", text);
            return Err(SendError::refused(text));
        }
        let token = self.token(trace).await?;
        let first = STANDARD.encode(format!("user={}\u{1}auth=Bearer {token}\u{1}\u{1}", self.user));
        let clean = |text: &str| clean_answer(text, &[&token, &first]);
        let mut why = String::new();
        let mut said = connection.command(format!("AUTH XOAUTH2 {first}\r\n")).await;
        if let Ok(challenge) = &said
            && challenge.has_code(334)
        {
            let reason = STANDARD.decode(challenge.first_line().unwrap_or_default()).unwrap_or_default();
            why = format!(" {}", String::from_utf8_lossy(&reason));
            said = connection.command("\r\n").await;
        }
        match said {
            Ok(said) if said.has_code(235) => {
                trace.done("authenticated", &clean(&in_words(&said)));
                Ok(())
            }
            Ok(said) => {
                let text = clean(&format!("the mail server refused the token: {}{why}", in_words(&said)));
                trace.failed("authenticated", &text);
                Err(SendError::refused(text))
            }
            Err(e) => {
                let text = clean(&format!("the mail server refused the token: {}{why}", chain(&e)));
                Err(refused_login(&e, text, trace))
            }
        }
    }

    /// The access token: from the program that makes one, or the configured one.
    async fn token(&self, trace: &Trace) -> Result<String, SendError> {
        let Some(program) = &self.token_program else { return Ok(self.password.clone()) };
        let failed = |text: String| {
            trace.failed("token", &text);
            Err(SendError::retry(text))
        };
        match program.run(&[], Vec::new(), &Trace::off()).await {
            Ok(ended) if ended.status.success() => {
                let token = ended.output.lines().next().unwrap_or_default().trim().to_owned();
                if token.is_empty() || token.chars().any(|c| c.is_control() || c.is_whitespace()) {
                    return failed(format!("{} printed no token", program.shown()));
                }
                trace.done("token", &format!("from {}", program.shown()));
                Ok(token)
            }
            Ok(ended) => {
                // Its output may be half a token.
                failed(format!("{} ended with {}: {}", program.shown(), ended.status, clean_answer(&ended.errors, &[])))
            }
            Err(Trouble::NotStarted(error)) => failed(format!("{} cannot be run: {}", program.shown(), error.kind())),
            Err(Trouble::TimeOver(_)) => failed(format!("{} printed no token in time", program.shown())),
        }
    }

    async fn deliver(&self, outgoing: &Outgoing, trace: &Trace) -> Result<Receipt, SendError> {
        let to = self.progress.missing(&outgoing.key, &self.to);
        let picture = self.picture(outgoing).await;
        let bytes = mail_message::format(outgoing, &self.from, &self.to, picture).map_err(SendError::permanent)?;
        let kept = if trace.wanted() { None } else { self.idle.take() };
        let (mut connection, used) = if let Some(kept) = kept {
            kept
        } else {
            let mut connection = self.connect(trace).await?;
            self.log_in(&mut connection, trace).await?;
            (connection, 0)
        };
        let said = mail_session::send(&mut connection, &self.from.email, &to, &bytes).await;
        let said = said.map_err(|e| self.sorted("sending", &e, trace))?;
        let mut troubles = Vec::new();
        for (address, error) in said.later.iter().chain(&said.refused) {
            let text = self.clean(&format!("{address}: {}", chain(error)));
            trace.failed("recipient", &text);
            troubles.push(text);
        }
        let troubles = troubles.join("; ");
        let Some(answer) = said.answer else {
            self.idle.keep(connection, used);
            return Err(if said.later.is_empty() {
                SendError::permanent(troubles)
            } else {
                SendError::retry(troubles)
            });
        };
        trace.done("recipients", &said.taken.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "));
        self.idle.keep(connection, used + 1);
        let answer = self.clean(&in_words(&answer));
        if said.later.is_empty() {
            self.progress.forget(&outgoing.key);
            let answer = if troubles.is_empty() { answer } else { format!("{answer}; refused: {troubles}") };
            return Ok(Receipt { answer });
        }
        self.progress.remember(&outgoing.key, said.taken);
        Err(SendError::retry(format!("{answer}; not yet: {troubles}")))
    }

    async fn within_time(&self, message: &Outgoing, trace: &Trace) -> Result<Receipt, SendError> {
        tokio::time::timeout(self.deadline, self.deliver(message, trace))
            .await
            .unwrap_or_else(|_| Err(SendError::retry("the mail server did not answer in time")))
    }

    fn clean(&self, text: &str) -> String {
        clean_answer(text, &self.secrets.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// 4yz: later. 5yz: never. Everything else (cut, silence, no SMTP, TLS): later (RFC 5321, 4.2.1).
    fn sorted(&self, step: &str, error: &SmtpError, trace: &Trace) -> SendError {
        let text = self.clean(&format!("{step}: {}", chain(error)));
        trace.failed(step, &self.clean(&chain(error)));
        if error.is_permanent() || error.is_client() { SendError::permanent(text) } else { SendError::retry(text) }
    }
}

/// A rejected login concerns the channel, not the message.
fn refused_login(error: &SmtpError, text: String, trace: &Trace) -> SendError {
    trace.failed("authenticated", &text);
    if error.is_permanent() || error.is_client() { SendError::refused(text) } else { SendError::retry(text) }
}

impl Channel for Email {
    fn name(&self) -> &ChannelName {
        &self.name
    }

    fn limits(&self) -> Limits {
        Limits {
            allowance: Allowance { burst: 5, refill: Span::from_seconds(180), daily: None },
            deadline: Span::from_seconds(32),
            give_up: Span::from_seconds(24 * 3600),
            repeatable: true,
        }
    }

    fn examine(&self) -> BoxFuture<'_, Option<Result<String, String>>> {
        Box::pin(async move {
            let trace = Trace::on();
            let looked = async {
                let mut connection = self.connect(&trace).await?;
                self.log_in(&mut connection, &trace).await?;
                mail_session::farewell(&mut connection).await;
                Ok::<_, SendError>(())
            };
            Some(match looked.await {
                Ok(()) => {
                    let steps = trace.ended(true, "");
                    let reached = steps.iter().rev().nth(1).map(|step| format!("{}: {}", step.step, step.said));
                    Ok(reached.unwrap_or_else(|| "connected".to_owned()))
                }
                Err(error) => Err(error.to_string()),
            })
        })
    }

    fn target(&self) -> String {
        let to: Vec<String> = self.to.iter().map(|to| to.email.to_string()).collect();
        format!("{} through {}:{}", to.join(", "), self.host, self.port)
    }

    fn send<'a>(&'a self, message: &'a Outgoing) -> BoxFuture<'a, Result<Receipt, SendError>> {
        Box::pin(async move { self.within_time(message, &Trace::off()).await })
    }

    fn send_traced<'a>(&'a self, message: &'a Outgoing, trace: &'a Trace) -> BoxFuture<'a, Result<Receipt, SendError>> {
        Box::pin(self.within_time(message, trace))
    }
}

/// An address with or without a name. Control characters are refused here: the mail crate panics on a line break in a name.
fn mailbox(key: &str, text: &str) -> Result<Mailbox, ChannelConfigError> {
    if text.chars().any(char::is_control) {
        return Err(ChannelConfigError::new(key, "contains a control character"));
    }
    text.trim()
        .parse()
        .map_err(|_| ChannelConfigError::new(key, "expected an address such as me@example.org or Me <me@example.org>"))
}

fn tls_parameters(config: &Config) -> Result<TlsParameters, ChannelConfigError> {
    let mut builder = TlsParameters::builder(config.host.trim_matches(['[', ']']).to_owned());
    if let Some(file) = &config.ca_file {
        let wrong = |problem: String| ChannelConfigError::new("channels.email.ca_file", problem);
        let pem = std::fs::read(file).map_err(|e| wrong(format!("{}: {}", file.display(), e.kind())))?;
        let root = Certificate::from_pem(&pem)
            .map_err(|_| wrong(format!("{}: expected certificates in PEM", file.display())))?;
        builder = builder.add_root_certificate(root);
    }
    builder.build().map_err(|e| {
        let key = if config.ca_file.is_some() { "channels.email.ca_file" } else { "channels.email.tls" };
        ChannelConfigError::new(key, format!("TLS cannot be set up: {}", chain(&e)))
    })
}

/// The program that makes access tokens.
fn token_program(config: &Config) -> Result<Option<Program>, ChannelConfigError> {
    let Some(words) = &config.token_command else { return Ok(None) };
    let wrong = |problem: &str| Err(ChannelConfigError::new("channels.email.token_command", problem));
    if config.auth != MailAuth::Xoauth2 {
        return wrong("is only for auth = \"xoauth2\"");
    }
    match words.split_first() {
        Some((path, args)) if Path::new(path).is_absolute() && words.iter().all(|word| !word.contains('\0')) => {
            Ok(Some(Program { path: path.into(), args: args.to_vec(), timeout: TOKEN }))
        }
        _ => wrong("expected the whole path of a program and its arguments, such as [\"/usr/local/bin/oauth2-token\"]"),
    }
}

/// What the server said: its code and its words.
fn in_words(said: &Response) -> String {
    format!("{} {}", said.code(), said.message().collect::<Vec<_>>().join(" "))
}

/// An error with its causes, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
#[path = "email_tests.rs"]
pub(super) mod tests;
