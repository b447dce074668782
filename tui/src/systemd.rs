//! What a service manager is told about the daemon (`sd_notify(3)`): that it is ready, what it does, that it lives. Where nobody
//! listens (`NOTIFY_SOCKET` is not set) nothing is told. And the credentials that systemd hands to a service.

use std::{env, fs, net::TcpListener, path::PathBuf, time::Duration};

use bellwether_core::text::sanitize;
use sd_notify::NotifyState;

use crate::error::UserError;

/// The longest time between two looks at whether all parts turn.
const LONGEST_LOOK: Duration = Duration::from_secs(5);

/// It answers, and what it says of itself.
pub fn ready(status: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(&line(status))]);
}

/// It reads its configuration again; [`ready`] says when it has.
pub fn reloading() {
    let mut states = vec![NotifyState::Reloading, NotifyState::Status("reads its configuration again")];
    states.extend(NotifyState::monotonic_usec_now().ok());
    tell(&states);
}

/// It ends because it was told to.
pub fn stopping() {
    tell(&[NotifyState::Stopping, NotifyState::Status("finishes what is being sent")]);
}

/// What it says of itself.
pub fn status(status: &str) {
    tell(&[NotifyState::Status(&line(status))]);
}

/// All its parts have made progress since this was last said.
pub fn alive() {
    tell(&[NotifyState::Watchdog]);
}

/// How often to look whether all parts turn; nothing where no watchdog wants to know.
pub fn watchdog() -> Option<Duration> {
    sd_notify::watchdog_enabled().filter(|period| !period.is_zero()).map(look)
}

fn look(period: Duration) -> Duration {
    (period / 4).clamp(Duration::from_millis(1), LONGEST_LOOK)
}

/// The socket that the service manager has opened for this process (`sd_listen_fds(3)`); nothing where it has opened none. It is taken once:
/// programs that this one starts are not told of it.
pub fn socket() -> Result<Option<TcpListener>, UserError> {
    let mut handed = listenfd::ListenFd::from_env();
    let wrong = |what: &str| {
        UserError::with_hint(
            format!("the service manager handed over {what}"),
            "the daemon takes one TCP socket: a single `ListenStream=127.0.0.1:8000` in bellwether.socket",
        )
    };
    match handed.len() {
        0 => Ok(None),
        1 => handed.take_tcp_listener(0).map_err(|_| wrong("a socket that is none of TCP")),
        more => Err(wrong(&format!("{more} sockets"))),
    }
}

/// A credential of this service (`LoadCredential=`), by its name. It is not more than its first line.
pub fn credential(name: &str) -> Option<String> {
    let folder = PathBuf::from(env::var_os("CREDENTIALS_DIRECTORY")?);
    credential_in(&folder, name)
}

fn credential_in(folder: &std::path::Path, name: &str) -> Option<String> {
    let plain = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    let text = fs::read_to_string(folder.join(name)).ok().filter(|_| plain)?;
    text.lines().next().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned)
}

/// A line break would begin another message.
fn line(text: &str) -> String {
    sanitize(&text.lines().collect::<Vec<_>>().join(" "))
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!("the service manager cannot be told: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watchdog_is_fed_well_within_its_period() {
        assert_eq!(look(Duration::from_mins(1)), Duration::from_secs(5));
        assert_eq!(look(Duration::from_secs(4)), Duration::from_secs(1));
        assert!(!look(Duration::from_nanos(1)).is_zero(), "an interval of nothing would be a fault");
    }

    #[test]
    fn a_status_is_one_line() {
        assert_eq!(line("stays as it was: a\n\nhint: b\u{1b}"), "stays as it was: a  hint: b\u{fffd}");
    }

    #[test]
    fn a_credential_is_the_first_line_of_a_file_of_that_name_and_of_no_other() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("SMTP_PASSWORD"), "secret\nmore\n").expect("written");
        fs::write(folder.path().join("EMPTY"), "\n").expect("written");
        assert_eq!(credential_in(folder.path(), "SMTP_PASSWORD").as_deref(), Some("secret"));
        for name in ["EMPTY", "MISSING", "", "../x", "a/b"] {
            assert_eq!(credential_in(folder.path(), name), None, "{name}");
        }
    }
}
