//! A mail server that takes everything, without TLS and without login (RFC 5321, as far as one sender needs it).

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
};

use super::{Task, eventually, lock};

/// A mail that was taken.
#[derive(Clone, Debug, Default)]
pub(crate) struct Mail {
    /// The envelope's sender, in its angle brackets.
    pub(crate) from: String,
    /// The envelope's recipients.
    pub(crate) to: Vec<String>,
    /// Headers and body, lines ending in `\n`.
    pub(crate) text: String,
}

impl Mail {
    /// A header's value, unfolded.
    pub(crate) fn header(&self, name: &str) -> String {
        let head = self.text.split("\n\n").next().unwrap_or_default().replace("\n ", " ").replace("\n\t", " ");
        let found = head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ").map(str::to_owned));
        found.unwrap_or_default()
    }
}

/// The server.
#[derive(Debug)]
pub(crate) struct MailServer {
    address: SocketAddr,
    mails: Arc<Mutex<Vec<Mail>>>,
    _server: Task,
}

impl MailServer {
    /// One that takes everything.
    pub(crate) async fn start() -> Self {
        Self::serve(false).await
    }

    /// One that lets nobody log in, and repeats what it was told.
    pub(crate) async fn refusing() -> Self {
        Self::serve(true).await
    }

    async fn serve(refusing: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let mails = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&mails);
        let server = Task::spawn(async move {
            let mut open = Vec::new();
            while let Ok((socket, _)) = listener.accept().await {
                let kept = Arc::clone(&kept);
                open.push(Task::spawn(async move {
                    converse(socket, &kept, refusing).await.ok();
                }));
            }
        });
        Self { address, mails, _server: server }
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    /// Waits until so many mails have been taken.
    pub(crate) async fn wait(&self, count: usize) -> Vec<Mail> {
        eventually(&format!("{count} mails"), async || {
            let mails = lock(&self.mails).clone();
            (mails.len() >= count).then_some(mails)
        })
        .await
    }
}

/// One connection, from the banner to QUIT.
async fn converse(socket: TcpStream, mails: &Mutex<Vec<Mail>>, refusing: bool) -> std::io::Result<()> {
    let mut socket = BufReader::new(socket);
    let mut mail = Mail::default();
    socket.write_all(b"220 mail.example.org ESMTP\r\n").await?;
    loop {
        let Some(line) = read_line(&mut socket).await? else { return Ok(()) };
        let verb = line.get(..4).unwrap_or_default().to_ascii_uppercase();
        let answer: &[u8] = match verb.as_str() {
            "EHLO" if refusing => b"250-mail.example.org\r\n250 AUTH PLAIN LOGIN\r\n",
            "AUTH" => {
                socket.write_all(format!("535 5.7.8 this is wrong: {line}\r\n").as_bytes()).await?;
                continue;
            }
            "EHLO" | "HELO" => b"250-mail.example.org\r\n250-8BITMIME\r\n250 SMTPUTF8\r\n",
            "MAIL" => {
                mail = Mail { from: line["MAIL FROM:".len()..].to_owned(), ..Mail::default() };
                b"250 ok\r\n"
            }
            "RCPT" => {
                mail.to.push(line["RCPT TO:".len()..].to_owned());
                b"250 ok\r\n"
            }
            "DATA" => {
                socket.write_all(b"354 go on\r\n").await?;
                while let Some(line) = read_line(&mut socket).await?.filter(|line| line != ".") {
                    mail.text.push_str(line.strip_prefix('.').unwrap_or(&line));
                    mail.text.push('\n');
                }
                lock(mails).push(std::mem::take(&mut mail));
                b"250 taken\r\n"
            }
            "RSET" | "NOOP" => b"250 ok\r\n",
            "QUIT" => {
                socket.write_all(b"221 bye\r\n").await?;
                return Ok(());
            }
            _ => b"502 what?\r\n",
        };
        socket.write_all(answer).await?;
    }
}

async fn read_line(socket: &mut BufReader<TcpStream>) -> std::io::Result<Option<String>> {
    let mut line = String::new();
    let length = socket.read_line(&mut line).await?;
    Ok((length > 0).then(|| line.trim_end_matches(['\r', '\n']).to_owned()))
}
