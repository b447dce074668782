//! *Open chart*: the dashboard on one instrument, in a terminal of the user's.

use std::{env, ffi::OsStr, path::PathBuf, process::Stdio};

use bellwether_core::{config::Desktop as Config, instrument::Symbol};

use super::channel::ChannelConfigError;

/// Terminals with what stands between them and the command to run. The first is the way that the desktops agreed on.
const TERMINALS: [(&str, &[&str]); 10] = [
    ("xdg-terminal-exec", &[]),
    ("x-terminal-emulator", &["-e"]),
    ("gnome-terminal", &["--"]),
    ("ptyxis", &["--"]),
    ("konsole", &["-e"]),
    ("kitty", &[]),
    ("foot", &[]),
    ("alacritty", &["-e"]),
    ("wezterm", &["start", "--"]),
    ("xterm", &["-e"]),
];
/// Where the configuration wants the instrument.
const PLACE: &str = "{symbol}";
/// Variables of the daemon that are nobody else's business.
const SECRET: [&str; 3] = ["JWT_SECRET", "SMTP_PASSWORD", "TWILIO_AUTH_TOKEN"];

/// The command that opens a chart: a program and its arguments, with `{symbol}` in them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Opener(Vec<String>);

impl Opener {
    /// The configured command, or else a terminal that is found. None where there is no terminal, and in the simulated market, whose
    /// dashboard is open already.
    pub(super) fn find(config: &Config, simulated: bool) -> Result<Option<Self>, ChannelConfigError> {
        if let Some(command) = &config.open_chart {
            let given = command.first().is_some_and(|program| !program.is_empty());
            if !given || command.iter().any(|part| part.contains('\0')) {
                let problem = "expected a program and its arguments, such as [\"kitty\", \"bellwether\", \"--chart\", \"{symbol}\"]";
                return Err(ChannelConfigError::new("channels.desktop.open_chart", problem));
            }
            return Ok(Some(Self(command.clone())));
        }
        let path = env::var_os("PATH").unwrap_or_default();
        let own = env::current_exe().ok().and_then(|own| own.to_str().map(str::to_owned));
        let terminal = env::var("TERMINAL").ok().filter(|name| !name.is_empty());
        Ok(own.filter(|_| !simulated).and_then(|own| Self::in_a_terminal(terminal.as_deref(), &path, &own)))
    }

    fn in_a_terminal(wanted: Option<&str>, path: &OsStr, own: &str) -> Option<Self> {
        let there = |name: &str| env::split_paths(path).any(|folder: PathBuf| folder.join(name).is_file());
        let known = |name: &str| TERMINALS.iter().find(|(known, _)| *known == name).map(|(_, between)| *between);
        let (terminal, between) = match wanted {
            Some(name) if there(name) => (name, known(name).unwrap_or(&["-e"])),
            _ => TERMINALS.into_iter().find(|(name, _)| there(name))?,
        };
        let words = [terminal].into_iter().chain(between.iter().copied()).chain([own, "--chart", PLACE]);
        Some(Self(words.map(str::to_owned).collect()))
    }

    fn words(&self, symbol: Symbol) -> Vec<String> {
        self.0.iter().map(|word| word.replace(PLACE, symbol.as_str())).collect()
    }

    /// Starts it and leaves it alone.
    pub(super) fn open(&self, symbol: Symbol) -> Result<(), String> {
        let mut words = self.words(symbol);
        if env::var_os("INVOCATION_ID").is_some() && env::var_os("NOTIFY_SOCKET").is_some() {
            // In a service: what is confined there is the daemon, not the user's terminal.
            words.splice(0..0, ["systemd-run", "--user", "--quiet", "--collect", "--"].map(str::to_owned));
        }
        let [program, arguments @ ..] = words.as_slice() else { return Err("no program is configured".to_owned()) };
        let mut command = tokio::process::Command::new(program);
        command.args(arguments).process_group(0);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        for name in SECRET {
            command.env_remove(name);
        }
        let mut child = command.spawn().map_err(|error| format!("{program} cannot be run: {}", error.kind()))?;
        tokio::spawn(async move {
            let ended = child.wait().await;
            tracing::debug!(?ended, "a chart was closed");
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn btc() -> Symbol {
        "BTC".parse().expect("a symbol")
    }

    #[test]
    fn the_users_own_terminal_comes_first_then_the_first_that_is_there() {
        let folder = tempfile::tempdir().expect("a folder");
        for name in ["kitty", "xterm", "mine"] {
            std::fs::write(folder.path().join(name), "").expect("written");
        }
        let found = |wanted| {
            let opener = Opener::in_a_terminal(wanted, folder.path().as_os_str(), "/bin/bellwether").expect("one");
            opener.words(btc()).join(" ")
        };
        assert_eq!(found(None), "kitty /bin/bellwether --chart BTC");
        assert_eq!(found(Some("xterm")), "xterm -e /bin/bellwether --chart BTC");
        assert_eq!(found(Some("mine")), "mine -e /bin/bellwether --chart BTC");
        assert_eq!(found(Some("absent")), "kitty /bin/bellwether --chart BTC");
        assert_eq!(Opener::in_a_terminal(None, OsStr::new("/nonexistent"), "/bin/bellwether"), None);
    }

    #[test]
    fn a_configured_command_is_taken_as_it_is_and_an_empty_one_is_named() {
        let config = |words: &[&str]| Config {
            open_chart: Some(words.iter().map(|w| (*w).to_owned()).collect()),
            ..Config::default()
        };
        let opener = Opener::find(&config(&["firefox", "https://example.org/?s={symbol}"]), true);
        assert_eq!(opener.expect("valid").expect("one").words(btc()), ["firefox", "https://example.org/?s=BTC"]);
        let error = Opener::find(&config(&[]), false).expect_err("empty").to_string();
        assert!(error.starts_with("channels.desktop.open_chart: expected a program and its arguments"), "{error}");
    }

    #[tokio::test]
    async fn a_program_that_is_not_there_says_so() {
        let opener = Opener(vec!["/nonexistent/terminal".to_owned()]);
        assert_eq!(opener.open(btc()), Err("/nonexistent/terminal cannot be run: entity not found".to_owned()));
    }
}
