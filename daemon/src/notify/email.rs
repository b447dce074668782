//! Mail over SMTP (RFC 5321): STARTTLS, implicit TLS, or none on this machine; AUTH PLAIN and LOGIN.
//!
//! One connection a message, spoken step by step, so that it is known at which step something went wrong: a rejected password
//! stops the channel, a rejected message only itself. Nothing is said to a server without the protection asked for.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
    time::{Duration, UNIX_EPOCH},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bellwether_core::{
    condition::ChannelName,
    config::{Email as Config, MailTls},
    rate::Allowance,
    time::Span,
};
use futures_util::future::BoxFuture;
use lettre::{
    Address, Message,
    message::{
        Mailbox, MultiPart,
        header::{Header, HeaderName, HeaderValue},
    },
    transport::smtp::{
        Error as SmtpError,
        authentication::{Credentials, Mechanism},
        client::{AsyncSmtpConnection, AsyncTokioStream, Certificate, TlsParameters},
        extension::ClientId,
    },
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

use super::{
    channel::{BoxError, Channel, ChannelConfigError, Limits, Outgoing, Receipt, SendError, clean_answer},
    http::is_loopback,
};

/// How long one message may take from connecting to the server's last word.
const DEADLINE: Duration = Duration::from_secs(30);
/// The most bytes a server may say in one connection; the crate reads a line of any length.
const LISTEN: usize = 256 * 1024;

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
    deadline: Duration,
}

impl Email {
    /// The channel as configured; connects nowhere.
    pub(super) fn new(config: &Config) -> Result<Self, ChannelConfigError> {
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
            Some(_) if config.password.is_none() => return Err(wrong("password", "is missing: there is a username")),
            Some(_) if password.is_empty() => return Err(wrong("password", "is empty")),
            Some(user) => Some(Credentials::new(user.clone(), password.clone())),
            None => None,
        };
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
            deadline: DEADLINE,
        })
    }

    fn message(&self, outgoing: &Outgoing) -> Result<Vec<u8>, BoxError> {
        let micros = u64::try_from(outgoing.fired.as_micros()).unwrap_or_default();
        // From the row, not from the attempt: whoever gets it twice can tell. The time keeps the rows of two databases apart.
        let id = format!("<{}.{}@{}.bellwether>", outgoing.key, outgoing.created.as_micros(), self.from.email.domain());
        let mut builder = Message::builder()
            .from(self.from.clone())
            .subject(outgoing.notification.title.clone())
            .date(UNIX_EPOCH + Duration::from_micros(micros))
            .message_id(Some(id))
            .header(AutoSubmitted);
        for to in &self.to {
            builder = builder.to(to.clone());
        }
        let parts =
            MultiPart::alternative_plain_html(outgoing.notification.text.clone(), outgoing.notification.html.clone());
        Ok(builder.multipart(parts)?.formatted())
    }

    async fn connect(&self) -> Result<AsyncSmtpConnection, SendError> {
        let hello = ClientId::default();
        if let Some((MailTls::Implicit, tls)) = &self.tls {
            let server = (self.host.as_str(), self.port);
            let timeout = Some(Duration::from_secs(10));
            return AsyncSmtpConnection::connect_tokio1(server, timeout, &hello, Some(tls.clone()), None)
                .await
                .map_err(|e| self.sorted("connecting", &e));
        }
        let stream = TcpStream::connect((self.host.trim_matches(['[', ']']), self.port))
            .await
            .map_err(|e| SendError::retry(format!("no connection to the mail server ({})", e.kind())))?;
        let mut connection = AsyncSmtpConnection::connect_with_transport(Box::new(Bounded::new(stream)), &hello)
            .await
            .map_err(|e| self.sorted("greeting", &e))?;
        if let Some((_, tls)) = &self.tls {
            if !connection.can_starttls() {
                return Err(SendError::refused("the mail server does not offer STARTTLS: nothing was sent to it"));
            }
            connection.starttls(tls.clone(), &hello).await.map_err(|e| self.sorted("STARTTLS", &e))?;
        }
        Ok(connection)
    }

    async fn deliver(&self, outgoing: &Outgoing) -> Result<Receipt, SendError> {
        let bytes = self.message(outgoing).map_err(SendError::permanent)?;
        let envelope = lettre::address::Envelope::new(
            Some(self.from.email.clone()),
            self.to.iter().map(|to| to.email.clone()).collect::<Vec<Address>>(),
        )
        .map_err(SendError::permanent)?;
        let mut connection = self.connect().await?;
        if let Some(credentials) = &self.credentials {
            connection.auth(&[Mechanism::Plain, Mechanism::Login], credentials).await.map_err(|e| self.login(&e))?;
        }
        let said = connection.send(&envelope, &bytes).await.map_err(|e| self.sorted("sending", &e))?;
        // The message is accepted; a farewell that goes wrong changes nothing.
        let farewell = tokio::time::timeout(Duration::from_secs(1), connection.quit()).await;
        tracing::trace!(ended = farewell.is_ok(), "mail connection closed");
        let code = said.code();
        let words = said.message().collect::<Vec<_>>().join(" ");
        Ok(Receipt { answer: self.clean(&format!("{code} {words}")) })
    }

    fn clean(&self, text: &str) -> String {
        clean_answer(text, &self.secrets.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// 4yz: later. 5yz: never. Everything else (cut, silence, no SMTP, TLS): later (RFC 5321, 4.2.1).
    fn sorted(&self, step: &str, error: &SmtpError) -> SendError {
        let text = self.clean(&format!("{step}: {}", chain(error)));
        if error.is_permanent() || error.is_client() { SendError::permanent(text) } else { SendError::retry(text) }
    }

    /// A rejected login concerns the channel, not the message.
    fn login(&self, error: &SmtpError) -> SendError {
        let text = self.clean(&format!("the mail server refused the login: {}", chain(error)));
        if error.is_permanent() || error.is_client() { SendError::refused(text) } else { SendError::retry(text) }
    }
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

    fn target(&self) -> String {
        let to: Vec<String> = self.to.iter().map(|to| to.email.to_string()).collect();
        format!("{} through {}:{}", to.join(", "), self.host, self.port)
    }

    fn send<'a>(&'a self, message: &'a Outgoing) -> BoxFuture<'a, Result<Receipt, SendError>> {
        Box::pin(async move {
            tokio::time::timeout(self.deadline, self.deliver(message))
                .await
                .unwrap_or_else(|_| Err(SendError::retry("the mail server did not answer in time")))
        })
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

/// `Auto-Submitted: auto-generated` (RFC 3834): no out-of-office reply, please.
#[derive(Clone)]
struct AutoSubmitted;

impl Header for AutoSubmitted {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_: &str) -> Result<Self, BoxError> {
        Ok(Self)
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), "auto-generated".to_owned())
    }
}

/// A connection that ends when the other side has said too much.
#[derive(Debug)]
struct Bounded {
    stream: TcpStream,
    left: usize,
}

impl Bounded {
    fn new(stream: TcpStream) -> Self {
        Self { stream, left: LISTEN }
    }
}

impl AsyncTokioStream for Bounded {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.stream.peer_addr()
    }
}

impl AsyncRead for Bounded {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.left == 0 {
            return Poll::Ready(Err(io::Error::other("the server said too much")));
        }
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        self.left = self.left.saturating_sub(buf.filled().len() - before);
        polled
    }
}

impl AsyncWrite for Bounded {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
#[path = "email_tests.rs"]
mod tests;
