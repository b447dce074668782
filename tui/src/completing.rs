//! What the shell offers at TAB beyond the words of the command line: alerts, instruments and channels, as the daemon knows them.
//!
//! The shell runs this program at each TAB, so everything here is quick and quiet: a daemon that does not answer at once is as good
//! as none, and then only what is built in is offered.

use std::{env, ffi::OsStr, future::Future, time::Duration};

use bellwether_core::catalog::Catalog;
use clap_complete::CompletionCandidate;

use crate::{cli::Global, client::ApiClient, launch};

/// How long a TAB may take.
const PATIENCE: Duration = Duration::from_millis(700);

/// The alerts, with their lines.
pub(crate) fn alerts(current: &OsStr) -> Vec<CompletionCandidate> {
    let alerts = asked(async |client| client.alerts().await.ok()).unwrap_or_default();
    let offered = alerts.into_iter().map(|alert| (alert.id.to_string(), alert.expr));
    matching(current, offered)
}

/// The instruments, with their names.
pub(crate) fn symbols(current: &OsStr) -> Vec<CompletionCandidate> {
    let instruments = asked(async |client| client.instruments().await.ok())
        .unwrap_or_else(|| Catalog::builtin().instruments().to_vec());
    let current = current.to_string_lossy().to_ascii_uppercase();
    matching(OsStr::new(&current), instruments.into_iter().map(|i| (i.symbol.to_string(), i.name)))
}

/// The channels, with where they lead.
pub(crate) fn channels(current: &OsStr) -> Vec<CompletionCandidate> {
    let channels = asked(async |client| client.channels().await.ok()).unwrap_or_default();
    matching(current, channels.into_iter().map(|channel| (channel.name.to_string(), channel.status)))
}

fn matching(current: &OsStr, offered: impl Iterator<Item = (String, String)>) -> Vec<CompletionCandidate> {
    let current = current.to_string_lossy();
    offered
        .filter(|(value, _)| value.starts_with(current.as_ref()))
        .map(|(value, help)| {
            let help = bellwether_core::text::sanitize(&help);
            CompletionCandidate::new(value).help((!help.is_empty()).then(|| help.into()))
        })
        .collect()
}

/// Asks the daemon that the line being written speaks of.
fn asked<T, F: Future<Output = Option<T>>>(question: impl FnOnce(ApiClient) -> F) -> Option<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
    runtime.block_on(async {
        let asking = async {
            let file =
                launch::daemon(&global(env::args_os().map(|word| word.to_string_lossy().into_owned()))).await.ok()?;
            question(ApiClient::new(&file.address, &file.token)).await
        };
        tokio::time::timeout(PATIENCE, asking).await.ok().flatten()
    })
}

/// What the line, which may be half written, and the environment say of where the daemon is.
fn global(words: impl Iterator<Item = String>) -> Global {
    let variable = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
    let mut global = Global {
        config: None,
        data_dir: variable("BELLWETHER_DATA_DIR").map(Into::into),
        demo: false,
        url: variable("BELLWETHER_URL"),
        json: false,
        readonly: false,
    };
    let mut words = words.peekable();
    while let Some(word) = words.next() {
        let (flag, value) =
            word.split_once('=').map_or((word.as_str(), None), |(flag, value)| (flag, Some(value.to_owned())));
        match flag {
            "--demo" => global.demo = true,
            "--data-dir" => global.data_dir = value.or_else(|| words.next()).map(Into::into),
            "--url" => global.url = value.or_else(|| words.next()),
            _ => {}
        }
    }
    global
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_daemon_is_the_one_that_the_line_speaks_of() {
        let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>().into_iter();
        assert_eq!(global(words("bellwether rm --data-dir /d a")).data_dir, Some("/d".into()));
        assert_eq!(global(words("bellwether rm --data-dir=/d a")).data_dir, Some("/d".into()));
        assert!(global(words("bellwether --demo rm ")).demo);
        assert_eq!(global(words("bellwether rm --data-dir")).data_dir, None, "half written");
    }

    #[test]
    fn what_begins_as_typed_is_offered_with_its_meaning() {
        let offered = [("BTC".to_owned(), "Bit\u{1b}coin".to_owned()), ("ETH".to_owned(), String::new())];
        let found = matching(OsStr::new("B"), offered.into_iter());
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].get_value(), "BTC");
        assert_eq!(found[0].get_help().map(ToString::to_string).as_deref(), Some("Bit\u{fffd}coin"));
    }
}
