//! Who is let in: the address that is listened on, whether TLS or a proxy stands before it, and how many connections there may be.
//!
//! A connection is unknown until a request on it has shown a good token. Unknown ones are few for each address, so that a stranger
//! cannot take the places of those who belong here.

use std::{
    collections::HashMap,
    io,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

use axum::http::HeaderMap;
use bellwether_core::config;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

/// The most connections from one address on which nobody has shown a token.
const UNKNOWN: usize = 64;

/// How an address is listened on.
pub(crate) struct Door {
    /// The socket.
    pub(crate) listener: TcpListener,
    /// Speaks TLS, where it is configured.
    pub(crate) tls: Option<TlsAcceptor>,
    /// Whether a trusted proxy stands before it, which says who asks.
    pub(crate) behind_proxy: bool,
}

impl Door {
    /// For programs on this machine: no TLS and no proxy.
    pub(crate) fn plain(listener: TcpListener) -> Self {
        Self { listener, tls: None, behind_proxy: false }
    }
}

/// By which names a page of this server itself may be known in `Origin`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Schemes {
    /// `http://` alone.
    Http,
    /// `https://` alone.
    Https,
    /// Either: a proxy may speak TLS.
    Both,
}

impl Schemes {
    /// Of this door.
    pub(crate) fn of(door: &Door) -> Self {
        match (&door.tls, door.behind_proxy) {
            (_, true) => Self::Both,
            (Some(_), false) => Self::Https,
            (None, false) => Self::Http,
        }
    }

    /// Whether a page of this server may call itself so.
    pub(crate) fn own(self, origin: &str, host: &str) -> bool {
        let is = |scheme: &str| origin.strip_prefix(scheme) == Some(host);
        (self != Self::Https && is("http://")) || (self != Self::Http && is("https://"))
    }
}

/// Who asks: the other side of the connection, or the one that the proxy names last in `X-Forwarded-For`, which is the one that it
/// saw itself. A proxy that names nobody leaves it open who asks: then it is nobody of this machine.
pub(crate) fn asker(peer: SocketAddr, behind_proxy: bool, headers: &HeaderMap) -> SocketAddr {
    let mut named = headers.get_all("x-forwarded-for").iter();
    let Some(last) = named.next_back().filter(|_| behind_proxy) else { return peer };
    let last = last.to_str().ok().and_then(|list| list.rsplit(',').next()).unwrap_or_default().trim();
    let ip = last.parse().or_else(|_| last.parse::<SocketAddr>().map(|address| address.ip()));
    SocketAddr::new(ip.unwrap_or(IpAddr::from([0, 0, 0, 0])), 0)
}

/// The places for connections, of all doors together.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    all: Arc<Semaphore>,
    unknown: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

impl Places {
    /// At most so many.
    pub(crate) fn new(all: u32) -> Self {
        let all = usize::try_from(all).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS);
        Self { all: Arc::new(Semaphore::new(all)), unknown: Arc::default() }
    }

    /// A place for a connection from there, or nothing where none is free. A proxy has no address of its own that would count.
    pub(crate) fn take(&self, from: IpAddr, behind_proxy: bool) -> Option<(OwnedSemaphorePermit, Visitor)> {
        let place = Arc::clone(&self.all).try_acquire_owned().ok()?;
        if behind_proxy {
            return Some((place, Visitor(Arc::default())));
        }
        let mut unknown = self.unknown.lock().unwrap_or_else(PoisonError::into_inner);
        let here = unknown.entry(from).or_default();
        if *here >= UNKNOWN {
            return None;
        }
        *here += 1;
        drop(unknown);
        let stranger = Stranger { unknown: Arc::clone(&self.unknown), from };
        Some((place, Visitor(Arc::new(Mutex::new(Some(stranger))))))
    }
}

/// Whoever is at the other end of a connection, unknown or not.
#[derive(Clone, Debug)]
pub(crate) struct Visitor(Arc<Mutex<Option<Stranger>>>);

impl Visitor {
    /// It has shown a good token.
    pub(crate) fn known(&self) {
        drop(self.0.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}

/// Counts as unknown as long as it lives.
#[derive(Debug)]
struct Stranger {
    unknown: Arc<Mutex<HashMap<IpAddr, usize>>>,
    from: IpAddr,
}

impl Drop for Stranger {
    fn drop(&mut self) {
        let mut unknown = self.unknown.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(here) = unknown.get_mut(&self.from) {
            *here -= 1;
            if *here == 0 {
                unknown.remove(&self.from);
            }
        }
    }
}

/// Why a certificate cannot be used: the setting, and what is wrong with it.
pub(crate) type BadTls = (&'static str, String);

/// What speaks TLS with this certificate. 1.2 and 1.3, HTTP/1.1.
pub(crate) fn acceptor(tls: &config::Tls) -> Result<TlsAcceptor, BadTls> {
    let (cert, key) = ("server.tls.cert", "server.tls.key");
    let unreadable = |path: &Path, what: &str, error: &dyn std::fmt::Display| {
        format!("{} holds no {what} in PEM form that can be read: {error}", path.display())
    };
    let chain: Vec<_> = CertificateDer::pem_file_iter(&tls.cert)
        .and_then(Iterator::collect)
        .map_err(|e| (cert, unreadable(&tls.cert, "certificate", &e)))?;
    if chain.is_empty() {
        return Err((cert, format!("{} holds no certificate", tls.cert.display())));
    }
    let secret = PrivateKeyDer::from_pem_file(&tls.key).map_err(|e| (key, unreadable(&tls.key, "private key", &e)))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| (cert, e.to_string()))?
        .with_no_client_auth()
        .with_single_cert(chain, secret)
        .map_err(|e| (key, format!("{} does not belong to the certificate: {e}", tls.key.display())))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// The private key, where others than its user can read it.
pub(crate) fn open_key(tls: &config::Tls) -> Option<PathBuf> {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata(&tls.key).is_ok_and(|about| about.mode() & 0o007 != 0).then(|| tls.key.clone())
}

/// A connection, with TLS or without.
#[derive(Debug)]
pub(crate) enum Stream {
    /// Without.
    Plain(TcpStream),
    /// With.
    Tls(Box<TlsStream<TcpStream>>),
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(context),
            Self::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(context, pieces),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(context, pieces),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append("x-forwarded-for", value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn only_a_configured_proxy_says_who_asks() {
        let peer: SocketAddr = "127.0.0.1:5000".parse().unwrap();
        let asker = |behind, values: &[&str]| asker(peer, behind, &headers(values)).ip().to_string();
        assert_eq!(asker(false, &["203.0.113.7"]), "127.0.0.1", "anybody could write that");
        assert_eq!(asker(true, &["203.0.113.7"]), "203.0.113.7");
        assert_eq!(asker(true, &["127.0.0.1, 203.0.113.7"]), "203.0.113.7", "what the client wrote is no proof");
        assert_eq!(asker(true, &["127.0.0.1", "2001:db8::1"]), "2001:db8::1");
        assert_eq!(asker(true, &["[2001:db8::1]:443"]), "2001:db8::1");
        for odd in ["unknown", "", "127.0.0.1,"] {
            assert_eq!(asker(true, &[odd]), "0.0.0.0", "{odd:?} is nobody of this machine");
        }
        assert_eq!(asker(true, &[]), "127.0.0.1", "a program of this machine that does not go through the proxy");
    }

    #[test]
    fn strangers_do_not_take_the_places_of_those_who_are_known() {
        let places = Places::new(256);
        let here: IpAddr = [203, 0, 113, 7].into();
        let mut inside: Vec<_> = (0..UNKNOWN).map(|_| places.take(here, false).expect("free")).collect();
        assert!(places.take(here, false).is_none());
        assert!(places.take([203, 0, 113, 8].into(), false).is_some(), "another address has places of its own");
        inside[0].1.known();
        inside[0].1.known();
        inside.push(places.take(here, false).expect("the first one is no stranger any more"));
        assert!(places.take(here, false).is_none());
        for (_, visitor) in &inside {
            visitor.known();
        }
        while inside.len() < 256 {
            let (place, visitor) = places.take(here, false).expect("free");
            visitor.known();
            inside.push((place, visitor));
        }
        assert!(places.take(here, false).is_none(), "there is an end to it");
        assert!(places.take(here, true).is_none());
        drop(inside);
        assert!(places.unknown.lock().unwrap().is_empty());
        assert!(places.take(here, false).is_some());
    }

    #[test]
    fn pages_of_this_server_are_known_by_its_schemes() {
        let host = "alerts.example.org:8443";
        for (schemes, http, https) in
            [(Schemes::Http, true, false), (Schemes::Https, false, true), (Schemes::Both, true, true)]
        {
            assert_eq!(schemes.own("http://alerts.example.org:8443", host), http);
            assert_eq!(schemes.own("https://alerts.example.org:8443", host), https);
            assert!(!schemes.own("https://alerts.example.org:8443.evil", host) && !schemes.own("null", host));
        }
    }

    #[test]
    fn a_certificate_that_cannot_be_used_is_named() {
        let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/notify/testdata");
        let with = |cert: &str, key: &str| acceptor(&config::Tls { cert: data.join(cert), key: data.join(key) });
        assert!(with("server.pem", "server.key").is_ok());
        for (cert, key, setting, words) in [
            ("nothing.pem", "server.key", "server.tls.cert", "nothing.pem"),
            ("server.key", "server.key", "server.tls.cert", "holds no certificate"),
            ("server.pem", "ca.pem", "server.tls.key", "no private key"),
            ("ca.pem", "server.key", "server.tls.key", "does not belong"),
        ] {
            let (at, said) = with(cert, key).err().expect("refused");
            assert_eq!(at, setting, "{said}");
            assert!(said.contains(words), "{said}");
        }
    }
}
