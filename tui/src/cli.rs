//! The command line, as `docs/api.md` lists it. No command means the dashboard.

use std::{ffi::OsString, path::PathBuf};

use bellwether_core::{config::Speed, instrument::FeedId, time::Span};
use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::ArgValueCompleter;
use jiff::tz::TimeZone;

use crate::completing;

/// Price alerts that never miss.
///
/// Without a command the dashboard opens; it starts the daemon when none answers, and the daemon goes on when the dashboard is closed.
#[derive(Debug, Parser)]
#[command(name = "bellwether", version, max_term_width = 100, disable_help_subcommand = true)]
#[command(after_help = "Exit status: 0 done, 1 refused or failed, 2 wrong usage.")]
#[command(after_long_help = AFTER)]
pub struct Cli {
    /// What holds for every command.
    #[command(flatten)]
    pub global: Global,
    /// Open the dashboard on the chart of this instrument
    #[arg(long, value_name = "SYMBOL", add = ArgValueCompleter::new(completing::symbols))]
    pub chart: Option<String>,
    /// What to do.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What stands at the end of `--help` and of the man page.
const AFTER: &str = "\
Examples:
  bellwether init                                     a first configuration
  bellwether add \"BTC crosses 60k each cooldown 1h\"   an alert
  bellwether watch BTC ETH                            live prices, and what fires
  bellwether events                                   what fired, and what became of it
  bellwether doctor                                   what is wrong, and what to do about it
  bellwether service install                          keep the daemon running

EXIT STATUS:
  0  done, also when the reader of the output has gone
  1  refused or failed: one sentence on standard error, and a hint where there is one
  2  wrong usage

FILES:
  ~/.config/bellwether/config.toml     the configuration; `bellwether config example` prints every setting
  ~/.local/share/bellwether            the database and its backups
  $XDG_RUNTIME_DIR/bellwether          daemon.json: how the daemon is found and entered

Data goes to standard output, words for people to standard error.";

/// Under which heading `--help` has what every command takes.
const EVERYWHERE: &str = "Options of every command";

/// What holds for every command.
#[derive(Clone, Debug, Default, Args)]
pub struct Global {
    /// The configuration file [default: ~/.config/bellwether/config.toml, if it exists]
    #[arg(long, value_name = "FILE", env = "BELLWETHER_CONFIG", global = true, help_heading = EVERYWHERE)]
    pub config: Option<PathBuf>,
    /// The folder of the data, and of daemon.json [default: ~/.local/share/bellwether, and the runtime folder]
    #[arg(long, value_name = "DIR", env = "BELLWETHER_DATA_DIR", global = true, help_heading = EVERYWHERE)]
    pub data_dir: Option<PathBuf>,
    /// Talk to the demo's daemon instead of the real one
    #[arg(long, global = true, help_heading = EVERYWHERE)]
    pub demo: bool,
    /// Talk to the daemon at this address instead; see `bellwether login --help`
    #[arg(long, value_name = "URL", env = "BELLWETHER_URL", global = true, help_heading = EVERYWHERE, conflicts_with = "demo")]
    pub url: Option<String>,
    /// Print data as JSON: one document, or one object a line where it streams
    #[arg(long, global = true, help_heading = EVERYWHERE)]
    pub json: bool,
    /// In the dashboard: nothing can be changed
    #[arg(long, global = true, help_heading = EVERYWHERE, hide = true)]
    pub readonly: bool,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Open the dashboard on a simulated market: temporary data, no network, everything else real
    Demo,
    /// Run the daemon in the foreground (what systemd runs)
    ///
    /// SIGTERM and Ctrl-C finish what is being sent and exit with 0; SIGHUP reads the configuration again.
    #[command(
        after_help = "Examples:\n  bellwether daemon\n  bellwether daemon --record prices.tape\n  bellwether daemon --play prices.tape --speed 60"
    )]
    Daemon(DaemonArgs),
    /// Log in to the daemon at --url; the password is asked for, or read from standard input
    ///
    /// Such as: `bellwether login --url https://alerts.example.org --email me@example.org`. `BELLWETHER_URL` names the address too, and
    /// `BELLWETHER_TOKEN` a token in place of a login.
    #[command(after_help = "Examples:\n  bellwether login --url https://alerts.example.org --email me@example.org")]
    Login {
        /// The account's e-mail
        #[arg(long)]
        email: String,
        /// Make the account first
        #[arg(long)]
        register: bool,
    },
    /// Log out of the daemon at --url, everywhere
    Logout,
    /// Make an alert from one line, such as: bellwether add "BTC > 60k every 1h via email"
    #[command(
        after_help = "Examples:\n  bellwether add \"BTC > 60k\"\n  bellwether add \"BTC crosses 60k each cooldown 1h via email\"\n  bellwether add SOL -5% in 1h each\n  bellwether add \"GOLD outside 2600..2700 every 1h\""
    )]
    Add {
        /// The alert: a condition, then options (once, each, every 1h, cooldown 10m, until 2026-12-31, via email,desktop, note "…")
        #[arg(required = true, num_args = 1.., allow_hyphen_values = true, value_name = "ALERT", add = ArgValueCompleter::new(completing::symbols))]
        line: Vec<String>,
    },
    /// List the alerts
    #[command(after_help = "Examples:\n  bellwether list\n  bellwether list --json")]
    List,
    /// Change an alert: its whole line anew
    #[command(after_help = "Examples:\n  bellwether edit a17 \"BTC > 65k every 1h\"")]
    Edit {
        /// The alert, such as a17
        #[arg(add = ArgValueCompleter::new(completing::alerts))]
        id: String,
        /// The new line
        #[arg(required = true, num_args = 1.., allow_hyphen_values = true, value_name = "ALERT")]
        line: Vec<String>,
    },
    /// Set alerts aside
    #[command(after_help = "Examples:\n  bellwether pause a17 a18")]
    Pause {
        /// The alerts, such as a17
        #[arg(required = true, add = ArgValueCompleter::new(completing::alerts))]
        ids: Vec<String>,
    },
    /// Take alerts up again, or start finished ones afresh
    #[command(after_help = "Examples:\n  bellwether resume a17")]
    Resume {
        /// The alerts, such as a17
        #[arg(required = true, add = ArgValueCompleter::new(completing::alerts))]
        ids: Vec<String>,
    },
    /// Keep an alert silent for a while
    #[command(after_help = "Examples:\n  bellwether snooze a17 2h\n  bellwether snooze a17 1d")]
    Snooze {
        /// The alert, such as a17
        #[arg(add = ArgValueCompleter::new(completing::alerts))]
        id: String,
        /// How long, such as 2h
        duration: String,
    },
    /// Mark an alert's firing as seen: no more repeats while it stays true
    #[command(after_help = "Examples:\n  bellwether ack a17")]
    Ack {
        /// The alerts, such as a17
        #[arg(required = true, add = ArgValueCompleter::new(completing::alerts))]
        ids: Vec<String>,
    },
    /// Delete alerts; for a day `bellwether undelete` brings them back
    #[command(after_help = "Examples:\n  bellwether rm a17 a18")]
    Rm {
        /// The alerts, such as a17
        #[arg(required = true, add = ArgValueCompleter::new(completing::alerts))]
        ids: Vec<String>,
    },
    /// Bring deleted alerts back as they were, within a day
    Undelete {
        /// The alerts, such as a17
        #[arg(required = true)]
        ids: Vec<String>,
    },
    /// Print current prices
    #[command(after_help = "Examples:\n  bellwether prices\n  bellwether prices BTC AAPL --json")]
    Prices {
        /// Only these instruments
        #[arg(add = ArgValueCompleter::new(completing::symbols))]
        symbols: Vec<String>,
    },
    /// Print prices and firings as they come, until interrupted
    #[command(after_help = "Examples:\n  bellwether watch BTC ETH\n  bellwether watch --plain")]
    Watch {
        /// Only these instruments
        #[arg(add = ArgValueCompleter::new(completing::symbols))]
        symbols: Vec<String>,
        /// Whole sentences, firings and changes only: for screen readers and logs
        #[arg(long)]
        plain: bool,
    },
    /// Print what fired, and what became of every delivery
    #[command(
        after_help = "Examples:\n  bellwether events --limit 50\n  bellwether events --follow\n  bellwether events --dead"
    )]
    Events {
        /// How many, newest first
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=500))]
        limit: u32,
        /// Go on with what fires from now on, until interrupted
        #[arg(long)]
        follow: bool,
        /// The deliveries that came to their end without being accepted, and why
        #[arg(long, conflicts_with = "follow")]
        dead: bool,
    },
    /// What is on its way, or did not arrive
    #[command(subcommand)]
    Deliveries(Deliveries),
    /// Run alerts over history, through the same engine as live prices, and print each firing
    ///
    /// Over the bars that the daemon has stored, or over a file of ticks, which needs no daemon: CSV with the header time,symbol,price
    /// (RFC 3339 or Unix milliseconds). A summary goes to standard error. Over a file each firing is a line of JSON.
    #[command(
        after_help = "Examples:\n  bellwether backtest \"BTC crosses 60k each\" --days 90\n  bellwether backtest \"BTC > 60k each\" --ticks ticks.csv.gz"
    )]
    Backtest(BacktestArgs),
    /// List and search the instruments, and add others that a provider knows
    ///
    /// What the catalogue lacks is looked for at the providers, and added by one command:
    /// bellwether instruments --add WIF --feed coingecko:dogwifcoin
    #[command(
        after_help = "Examples:\n  bellwether instruments gold\n  bellwether instruments wif --everywhere\n  bellwether instruments --add WIF --feed coingecko:dogwifcoin\n  bellwether instruments --remove WIF"
    )]
    Instruments(InstrumentsArgs),
    /// The notification channels
    #[command(subcommand)]
    Notify(Notify),
    /// The configuration file
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Write all alerts to standard output, as a file for `import`
    ///
    /// Such as: bellwether export > alerts.json
    #[command(after_help = "Examples:\n  bellwether export\n  bellwether export --format csv")]
    Export {
        /// JSON keeps everything; CSV is for spreadsheets, and can be imported too
        #[arg(long, value_enum, default_value_t = FileFormat::Json)]
        format: FileFormat,
    },
    /// Make the alerts of an exported file: all of them, or none where one cannot be taken
    ///
    /// What stands already, word for word, is not made a second time. Alerts that were done arrive set aside.
    #[command(after_help = "Examples:\n  bellwether import alerts.json\n  bellwether import -")]
    Import {
        /// The file, JSON or CSV; - is standard input
        file: PathBuf,
    },
    /// Write a first configuration
    ///
    /// On a terminal it asks which channels you want (desktop, phone, mail) and sends a test through each; otherwise it asks nothing.
    /// A file that is there is never written over without --force, and then kept beside it.
    #[command(after_help = "Examples:\n  bellwether init")]
    Init {
        /// Begin anew where there is a file
        #[arg(long)]
        force: bool,
    },
    /// Look at everything that can be wrong, and say what to do about it
    ///
    /// Configuration, folders, database, clock, the way to each feed, each channel (connected and logged in to, nothing is sent), the
    /// service, the port, and the daemon that runs. Exit status 1 where something is wrong.
    #[command(
        after_help = "Examples:\n  bellwether doctor\n  bellwether doctor --json\n\nExit status: 0 nothing is wrong, also where there are notes; 1 something is wrong; 2 wrong usage"
    )]
    Doctor,
    /// Run the daemon as a service of this user: systemd, on macOS launchd
    #[command(subcommand)]
    Service(Service),
    /// Print what a shell has to read to complete commands, alerts and instruments
    ///
    /// bash: `bellwether completions bash > ~/.local/share/bash-completion/completions/bellwether`
    /// zsh: `bellwether completions zsh > ~/.zfunc/_bellwether`, with `fpath+=~/.zfunc` before `compinit` in ~/.zshrc
    /// fish: `bellwether completions fish > ~/.config/fish/completions/bellwether.fish`
    #[command(verbatim_doc_comment)]
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Print the man page
    ///
    /// Such as: `bellwether man | man -l -`
    Man {
        /// Write a page for each command into this folder instead
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
    },
    /// Copy the database to a new file, also while the daemon runs
    #[command(after_help = "Examples:\n  bellwether backup /mnt/backup/bellwether.db")]
    Backup {
        /// Where to; must not exist
        file: PathBuf,
    },
    /// Go back to a backup; the daemon must be stopped, and what was there is kept under another name
    #[command(after_help = "Examples:\n  bellwether restore bellwether.db.backup-2026-11-22")]
    Restore {
        /// The backup
        file: PathBuf,
    },
}

/// What a file of alerts looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum FileFormat {
    /// One JSON document, an alert a line
    Json,
    /// RFC 4180, with a header
    Csv,
}

/// `bellwether daemon`
#[derive(Clone, Debug, Default, Args)]
pub struct DaemonArgs {
    /// Write every price that alerts are judged by to this file, for --play and for backtest --ticks
    #[arg(long, value_name = "FILE")]
    pub record: Option<PathBuf>,
    /// Play a recording as if it were live, instead of all feeds, with alerts and prices of its own
    #[arg(long, value_name = "FILE", conflicts_with = "demo")]
    pub play: Option<PathBuf>,
    /// How many times as fast as it was recorded, or max [default: 1]
    #[arg(long, value_name = "N", requires = "play")]
    pub speed: Option<Speed>,
}

/// `bellwether instruments`
#[derive(Clone, Debug, Args)]
pub struct InstrumentsArgs {
    /// Only those whose symbol, name or alias holds this
    pub query: Option<String>,
    /// Ask the providers too, also where the catalogue has it
    #[arg(long, requires = "query")]
    pub everywhere: bool,
    /// Add an instrument under this symbol
    #[arg(long, value_name = "SYMBOL", requires = "feed", conflicts_with_all = ["query", "remove"])]
    pub add: Option<String>,
    /// Who delivers it, and its code there: yahoo:TSLA, coingecko:bitcoin, coinbase:BTC-USD, kraken:BTC/USD or binance:BTCUSDT
    #[arg(long, value_name = "FEED:CODE", requires = "add", value_parser = feed_code)]
    pub feed: Option<(FeedId, String)>,
    /// Its name for people [default: the provider's]
    #[arg(long, value_name = "NAME", requires = "add")]
    pub name: Option<String>,
    /// Remove an instrument that was added
    #[arg(long, value_name = "SYMBOL", conflicts_with = "query")]
    pub remove: Option<String>,
}

fn feed_code(text: &str) -> Result<(FeedId, String), String> {
    let known = [FeedId::Coinbase, FeedId::Kraken, FeedId::Binance, FeedId::Coingecko, FeedId::Yahoo];
    let found = text.split_once(':').and_then(|(feed, code)| {
        let feed = known.into_iter().find(|known| known.as_str().eq_ignore_ascii_case(feed.trim()))?;
        (!code.trim().is_empty()).then(|| (feed, code.trim().to_owned()))
    });
    found.ok_or_else(|| "expected a feed and its code, such as yahoo:TSLA or coingecko:bitcoin".to_owned())
}

/// `bellwether backtest`
#[derive(Clone, Debug, Args)]
pub struct BacktestArgs {
    /// The alerts, each one argument, such as "BTC > 60k each"
    #[arg(required_unless_present = "alerts", value_name = "ALERT")]
    pub exprs: Vec<String>,
    /// How many days back [default: 30]
    #[arg(long, value_name = "N", conflicts_with = "ticks", value_parser = clap::value_parser!(u32).range(1..=365))]
    pub days: Option<u32>,
    /// A file of ticks of any size, also compressed (.gz); - is standard input
    #[arg(long, value_name = "FILE.csv")]
    pub ticks: Option<PathBuf>,
    /// Also the alerts of this file, one a line
    #[arg(long, value_name = "FILE")]
    pub alerts: Option<PathBuf>,
    /// The age from which a price fires nothing [default: 2m]
    #[arg(long, value_name = "DURATION", requires = "ticks")]
    pub stale_after: Option<Span>,
    /// The time zone of dates in the alerts, such as Europe/Berlin [default: UTC]
    #[arg(long, value_name = "ZONE", requires = "ticks", value_parser = zone)]
    pub tz: Option<TimeZone>,
}

fn zone(name: &str) -> Result<TimeZone, String> {
    TimeZone::get(name).map_err(|_| "expected a name of the IANA time zone database, such as Europe/Berlin".to_owned())
}

/// `bellwether deliveries`
#[derive(Debug, Subcommand)]
pub enum Deliveries {
    /// Send again what is dead, under the same key
    #[command(after_help = "Examples:\n  bellwether deliveries retry d12\n  bellwether deliveries retry --all")]
    Retry {
        /// The delivery, such as d12; also one that is unknown
        #[arg(required_unless_present = "all")]
        id: Option<String>,
        /// Everything that is dead
        #[arg(long, conflicts_with = "id")]
        all: bool,
    },
}

/// `bellwether notify`
#[derive(Debug, Subcommand)]
pub enum Notify {
    /// Send one test message and say what the other side answered
    #[command(after_help = "Examples:\n  bellwether notify test email\n  bellwether notify test webhook:phone")]
    Test {
        /// The channel: desktop, email, sms or webhook:NAME
        #[arg(add = ArgValueCompleter::new(completing::channels))]
        channel: String,
    },
    /// List the channels and whether they work
    List,
}

/// The shells that completions are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Shell {
    /// GNU bash.
    Bash,
    /// zsh.
    Zsh,
    /// fish.
    Fish,
}

impl Shell {
    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bash => "bash",
            Self::Zsh => "zsh",
            Self::Fish => "fish",
        }
    }
}

/// `bellwether service`
#[derive(Debug, Subcommand)]
pub enum Service {
    /// Write, enable and start the unit; the daemon then runs whenever you are logged in
    ///
    /// It is restarted when it fails or stands still, and may do little: see `systemd-analyze --user security bellwether`. Variables
    /// with secrets that are set now (`SMTP_PASSWORD`, ...) are handed to it as credentials.
    #[command(after_help = "Examples:\n  bellwether service install\n  bellwether service install --plain")]
    Install(ServiceInstall),
    /// Stop the service and remove the unit; alerts, data and configuration stay
    Uninstall,
    /// Say whether it runs; exit status 1 where it does not
    Status,
}

/// `bellwether service install`
#[derive(Clone, Copy, Debug, Args)]
pub struct ServiceInstall {
    /// Without confinement, for systems that cannot apply it
    #[arg(long)]
    pub plain: bool,
    /// Overwrite a unit that this program has not written
    #[arg(long)]
    pub force: bool,
}

/// `bellwether config`
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Print the example file with every setting and its default
    Example,
    /// Read the configuration and say what is wrong with it
    Check,
    /// Print every action of the dashboard with its keys, as [dashboard.keys] names it
    Keys,
}

/// The arguments with the flags of `add` and `edit` moved before the alert's words.
///
/// Those words may begin with a hyphen themselves (`SOL -5% in 1h`), so once the parser has seen one, it takes everything for
/// words: `add "BTC > 60k" --json` too. Flags begin with two hyphens, words never do; what stands behind a bare `--` stays.
pub fn flags_first(arguments: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut rest = arguments.into_iter();
    let mut before: Vec<OsString> = rest.next().into_iter().collect();
    let is_flag = |argument: &OsString| argument.len() > 2 && argument.as_encoded_bytes().starts_with(b"--");
    let takes_a_value = |argument: &OsString| ["--config", "--data-dir", "--chart"].iter().any(|flag| argument == flag);
    while let Some(argument) = rest.next() {
        let done = !is_flag(&argument);
        let value = takes_a_value(&argument).then(|| rest.next()).flatten();
        let has_words = argument == "add" || argument == "edit";
        before.push(argument);
        before.extend(value);
        if has_words {
            break;
        }
        if done {
            before.extend(rest);
            return before;
        }
    }
    let mut words = Vec::new();
    while let Some(argument) = rest.next() {
        if argument == "--" {
            words.push(argument);
            words.extend(rest);
            break;
        }
        if is_flag(&argument) {
            let value = takes_a_value(&argument).then(|| rest.next()).flatten();
            before.push(argument);
            before.extend(value);
        } else {
            words.push(argument);
        }
    }
    before.extend(words);
    before
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    fn parsed(line: &str) -> Cli {
        Cli::try_parse_from(flags_first(line.split(' ').map(OsString::from))).unwrap_or_else(|e| panic!("{line}: {e}"))
    }

    #[test]
    fn flags_may_stand_behind_the_words_of_an_alert() {
        for line in [
            "bellwether add SOL -5% in 1h --json --data-dir /d",
            "bellwether --json add --data-dir /d SOL -5% in 1h",
            "bellwether --data-dir /d add SOL --json -5% in 1h",
            "bellwether edit --json --data-dir=/d a1 SOL -5% in 1h",
        ] {
            let cli = parsed(line);
            assert!(cli.global.json && cli.global.data_dir == Some("/d".into()), "{line}");
            let Some(Command::Add { line: words } | Command::Edit { line: words, .. }) = cli.command else {
                panic!("{line}")
            };
            assert_eq!(words.join(" "), "SOL -5% in 1h", "{line}");
        }
        let cli = parsed("bellwether add -- SOL --json");
        assert!(!cli.global.json, "behind a bare -- stand words");
        assert!(parsed("bellwether --json prices add").global.json, "an instrument may be called so");
    }

    /// The words of a line as a shell cuts it up: what stands in quotes is one.
    fn words(line: &str) -> Vec<OsString> {
        let parts = line.split('"').enumerate();
        parts
            .flat_map(|(n, part)| if n % 2 == 1 { vec![part] } else { part.split_whitespace().collect() })
            .map(OsString::from)
            .collect()
    }

    fn examples(command: &clap::Command, found: &mut Vec<String>) {
        let text = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        found.extend(text.lines().map(str::trim).filter(|l| l.starts_with("bellwether ")).map(str::to_owned));
        for below in command.get_subcommands() {
            examples(below, found);
        }
    }

    #[test]
    fn every_example_in_help_is_understood() {
        let mut found = Vec::new();
        examples(&Cli::command(), &mut found);
        assert!(found.len() > 40, "{found:?}");
        for line in found {
            Cli::try_parse_from(flags_first(words(&line))).unwrap_or_else(|e| panic!("{line}: {e}"));
        }
    }
}
