//! Which addresses a webhook may reach where others than the owner use the daemon (docs/reliability.md, P27).
//!
//! A name is resolved once for each connection; what came of it is judged, and the connection goes to exactly that. So a name that
//! changes its answer between a check and a use gains nothing. The list of what is not public follows the special-purpose
//! registries of the IANA (RFC 6890 and its successors).

use std::{
    error::Error,
    fmt, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
};

use futures_util::future::BoxFuture;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

/// Finds the addresses of a name.
type Lookup = Arc<dyn Fn(String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> + Send + Sync>;

/// Lets connections through to public addresses only.
#[derive(Clone)]
pub(super) struct Guard {
    lookup: Lookup,
    judge: fn(IpAddr) -> Option<&'static str>,
}

/// An address that must not be reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Forbidden {
    host: String,
    address: IpAddr,
    what: &'static str,
}

impl fmt::Display for Forbidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, address, what } = self;
        if *host == address.to_string() {
            write!(f, "{address} is {what}")?;
        } else {
            write!(f, "{host} leads to {address}, {what}")?;
        }
        f.write_str(": where others use this daemon, that needs allow_private = true on the channel")
    }
}

impl Error for Forbidden {}

impl Guard {
    /// One that asks the system's resolver.
    pub(super) fn new() -> Self {
        Self {
            lookup: Arc::new(|host| {
                Box::pin(async move {
                    let found = tokio::net::lookup_host((host, 0)).await?;
                    Ok(found.map(|address| address.ip()).collect())
                })
            }),
            judge: not_public,
        }
    }

    /// (Test only) One that is told the answers, and what is forbidden.
    #[cfg(test)]
    pub(super) fn told(
        lookup: impl Fn(&str) -> Vec<IpAddr> + Send + Sync + 'static,
        judge: fn(IpAddr) -> Option<&'static str>,
    ) -> Self {
        let lookup = move |host: String| -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
            Box::pin(std::future::ready(Ok(lookup(&host))))
        };
        Self { lookup: Arc::new(lookup), judge }
    }

    /// Judges an address as written. A name says nothing yet, but for those that mean this machine by definition (RFC 6761).
    pub(super) fn check(&self, url: &Url) -> Result<(), Forbidden> {
        let address = match url.host() {
            Some(Host::Ipv4(address)) => IpAddr::V4(address),
            Some(Host::Ipv6(address)) => IpAddr::V6(address),
            Some(Host::Domain(name)) => {
                let name = name.trim_end_matches('.').to_ascii_lowercase();
                if name != "localhost" && !name.ends_with(".localhost") {
                    return Ok(());
                }
                IpAddr::V4(Ipv4Addr::LOCALHOST)
            }
            None => return Ok(()),
        };
        self.allow(url.host_str().unwrap_or_default().trim_matches(['[', ']']), address)
    }

    fn allow(&self, host: &str, address: IpAddr) -> Result<(), Forbidden> {
        match (self.judge)(address) {
            Some(what) => Err(Forbidden { host: host.to_owned(), address, what }),
            None => Ok(()),
        }
    }

    /// The addresses of a host, all of which may be reached. One bad one spoils the answer: nobody has both for a good reason.
    pub(super) async fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        let found = match host.parse() {
            Ok(address) => vec![address],
            Err(_) => (self.lookup)(host.to_owned()).await?,
        };
        for address in &found {
            self.allow(host, *address).map_err(io::Error::other)?;
        }
        Ok(found)
    }
}

/// `reqwest` asks for each connection it opens, and connects to what it is told.
impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = self.clone();
        Box::pin(async move {
            let found = guard.resolve(name.as_str()).await?;
            let addresses: Addrs = Box::new(found.into_iter().map(|address| SocketAddr::new(address, 0)));
            Ok(addresses)
        })
    }
}

/// The verdict of a guard somewhere among the causes of an error.
pub(super) fn forbidden<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a Forbidden> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(found) = error.downcast_ref::<Forbidden>() {
            return Some(found);
        }
        // An `io::Error` that was made of another error names that one's cause, not the error itself.
        if let Some(inside) = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref)
            && let Some(found) = inside.downcast_ref::<Forbidden>()
        {
            return Some(found);
        }
        cause = error.source();
    }
    None
}

/// What an address is if it is not a public one.
fn not_public(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(address) => not_public_v4(address),
        IpAddr::V6(address) => not_public_v6(address),
    }
}

fn not_public_v4(address: Ipv4Addr) -> Option<&'static str> {
    let [a, b, c, _] = address.octets();
    match (a, b, c) {
        (127, ..) => Some("this machine"),
        (0, ..) => Some("this network"),
        (10, ..) | (172, 16..=31, _) | (192, 168, _) => Some("a private address"),
        (100, 64..=127, _) => Some("a provider's own address"),
        (169, 254, _) => Some("a link-local address"),
        (192, 0, 0 | 2) | (192, 88, 99) | (198, 18..=19, _) | (198, 51, 100) | (203, 0, 113) | (240.., ..) => {
            Some("a reserved address")
        }
        (224..=239, ..) => Some("a multicast address"),
        _ => None,
    }
}

fn not_public_v6(address: Ipv6Addr) -> Option<&'static str> {
    let part = address.segments();
    let v4 = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        not_public_v4(Ipv4Addr::new(a, b, c, d))
    };
    match part {
        [0, 0, 0, 0, 0, 0, 0, 0] => Some("this network"),
        [0, 0, 0, 0, 0, 0, 0, 1] => Some("this machine"),
        // Mapped, and NAT64: what is meant is the IPv4 address inside.
        // 6to4 holds it further ahead.
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => {
            v4(high, low)
        }
        [0xfc00..=0xfdff | 0xfec0..=0xfeff, ..] => Some("a private address"),
        [0xfe80..=0xfebf, ..] => Some("a link-local address"),
        [0xff00..=0xffff, ..] => Some("a multicast address"),
        // Teredo, benchmarks, ORCHID and other protocols; documentation.
        [0x2001, 0..=0x01ff | 0x0db8, ..] | [0x3fff, 0..=0x0fff, ..] => Some("a reserved address"),
        [0x2000..=0x3fff, ..] => None,
        _ => Some("a reserved address"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_public_is_told_apart() {
        for (text, expected) in [
            ("8.8.8.8", None),
            ("172.15.255.255", None),
            ("172.32.0.1", None),
            ("100.63.0.1", None),
            ("2606:4700::1111", None),
            ("::ffff:8.8.8.8", None),
            ("64:ff9b::8.8.8.8", None),
            ("127.0.0.1", Some("this machine")),
            ("127.255.0.9", Some("this machine")),
            ("::1", Some("this machine")),
            ("::ffff:127.0.0.1", Some("this machine")),
            ("64:ff9b::7f00:1", Some("this machine")),
            ("2002:7f00:1::", Some("this machine")),
            ("0.0.0.0", Some("this network")),
            ("::", Some("this network")),
            ("10.1.2.3", Some("a private address")),
            ("172.16.0.1", Some("a private address")),
            ("192.168.1.1", Some("a private address")),
            ("::ffff:10.0.0.1", Some("a private address")),
            ("fd12::1", Some("a private address")),
            ("fec0::1", Some("a private address")),
            ("100.64.0.1", Some("a provider's own address")),
            ("169.254.169.254", Some("a link-local address")),
            ("::ffff:169.254.169.254", Some("a link-local address")),
            ("fe80::1", Some("a link-local address")),
            ("224.0.0.1", Some("a multicast address")),
            ("ff02::1", Some("a multicast address")),
            ("255.255.255.255", Some("a reserved address")),
            ("198.18.0.1", Some("a reserved address")),
            ("2001:db8::1", Some("a reserved address")),
            ("2001::1", Some("a reserved address")),
            ("::7f00:1", Some("a reserved address")),
            ("100::1", Some("a reserved address")),
        ] {
            assert_eq!(not_public(text.parse().expect(text)), expected, "{text}");
        }
    }

    #[test]
    fn however_this_machine_is_written_it_is_known() {
        for host in [
            "localhost",
            "LOCALHOST.",
            "a.localhost",
            "127.1",
            "2130706433",
            "0x7f.1",
            "0177.0.0.1",
            "0x7f000001",
            "[::1]",
            "[::ffff:127.0.0.1]",
            "[0:0:0:0:0:ffff:7f00:1]",
            "169.254.169.254",
            "0xA9FEA9FE",
            "0",
        ] {
            let url = Url::parse(&format!("http://{host}:8080/hook")).expect(host);
            assert!(Guard::new().check(&url).is_err(), "{host}");
        }
        assert!(Guard::new().check(&Url::parse("https://example.org/").expect("valid")).is_ok());
    }

    #[tokio::test]
    async fn one_bad_address_among_good_ones_spoils_the_answer() {
        let mixed = |_: &str| vec!["8.8.8.8".parse().expect("valid"), "169.254.169.254".parse().expect("valid")];
        let error = Guard::told(mixed, not_public).resolve("hook.example.org").await.expect_err("refused");
        assert_eq!(
            forbidden(&error).expect("the verdict").to_string(),
            "hook.example.org leads to 169.254.169.254, a link-local address: where others use this daemon, that needs \
             allow_private = true on the channel"
        );
    }
}
