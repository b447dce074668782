use super::*;

fn error(text: &str) -> String {
    Config::from_toml(text).expect_err(text).to_string()
}

#[test]
fn nothing_at_all_is_a_configuration() {
    assert_eq!(Config::from_toml(""), Ok(Config::default()));
    assert_eq!(Config::from_toml("\u{feff}"), Ok(Config::default()));
}

#[test]
fn mistakes_are_named_with_their_place_and_what_was_meant() {
    for (text, expected) in [
        ("\n[channels.emial]\nhost = 'x'", "2:11: unknown key `emial`; did you mean `email`?"),
        ("[server\n", "1:8: "),
        ("[channels.email]\nhost = 'h'\nport = \"abc\"", "expected an integer from 1 to 65535"),
        (
            "[channels.email]\nhost = 'h'\nport = 70000",
            "3:8: invalid value: integer `70000`, expected an integer from 1 to 65535",
        ),
        ("[channels.email]\nhost = 'h'\nport = 0", "expected an integer from 1 to 65535"),
        ("[feeds.yahoo]\ninterval = 90", "2:12: invalid type: integer `90`, expected a duration such as \"90s\""),
        ("[emial]\nhost = 'x'", "1:2: unknown key `emial`; did you mean `channels.email`?"),
        ("[feeds.yahoo]\ninterval = '5 mins ago'", "2:12: expected a duration such as \"90s\""),
        ("[feeds.yahoo]\ninterval = '1s'", "2:12: `feeds.yahoo.interval`: expected a duration from 30s upward"),
        ("[server]\nlisten = '0.0.0.0:8000'", "2:10: `server.listen`: anybody on the network could reach it"),
        (
            "[server]\nallow_remote = true\nlisten = '0.0.0.0:8000'",
            "3:10: `server.listen`: passwords and tokens would travel for anybody to read",
        ),
        ("[server]\ntls = { cert = 'c' }", "missing field `key`"),
        ("[server]\njwt_secret_previous = 'x'", "`server.jwt_secret_previous`: expected the key that signs now too"),
        ("[server]\nlisten = 'here'", "expected an address and a port"),
        ("[feeds.coinbase]\nws_url = 'file:///etc'", "expected an address such as \"wss://host\""),
        ("[feeds.yahoo]\nbase_url = 'http://u:p@h/'", "no user name or password"),
        ("[user]\ntimezone = 'Mars/Olympus'", "expected an IANA time zone"),
        ("[user.quiet_hours]\nfrom = '22'\nto = '07:00'", "2:8: `user.quiet_hours.from`: expected a time of day"),
        ("[user.quiet_hours]\nfrom = '22:00'\nto = '24:00'", "`user.quiet_hours.to`: expected a time of day"),
        ("[user.quiet_hours]\nfrom = '22:00'\nto = '07:00'\ndays = ['funday']", "expected days out of mon, tue"),
        ("[user.quiet_hours]\nfrom = '22:00'\nto = '07:00'\ntimezone = 'X/Y'", "expected an IANA time zone"),
        ("[user]\nescalation = [{ after = '2', channels = ['sms'] }]", "expected a duration such as"),
        ("[channels.desktop.limits]\nburst = 0", "2:9: `channels.desktop.limits.burst`: expected an integer from 1"),
        ("[channels.desktop.limits]\ngroup = '2h'", "expected a duration of at most 1h"),
        ("[user]\ndefault_channels = ['pigeon']", "the channel `pigeon` is not set up"),
        ("[dashboard]\ntheme = 'drak'", "2:9: unknown variant `drak`, expected one of `terminal`, `dark`"),
        ("[dashboard]\ncolumns = ['age', 'age']", "2:11: `dashboard.columns`: `age` stands there twice"),
        ("[dashboard]\nwatchlist = 'tech'", "2:13: `dashboard.watchlist`: expected \"all\" or the name of a list"),
        ("[dashboard]\ncurrency = 'euro'", "2:12: `dashboard.currency`: expected the code of a currency"),
        ("[dashboard.watchlists]\nall = ['BTC']", "`dashboard.watchlists`: `all` cannot name a list"),
        ("[dashboard.holdings]\nBTC = { quantity = 0.5 }", "expected a decimal number in a string"),
        ("[dashboard.keys]\nquit = 5", "expected a key such as \"n\" or \"Ctrl-N\""),
        ("[server]\nlisten = '127.0.0.1:1'\nlisten = '127.0.0.1:2'", "duplicate key"),
        (
            "[channels.email]\nhost = 'h'\npassword = { enve = 'X' }",
            "expected { env = \"VARIABLE\" } or { file = \"PATH\" }",
        ),
    ] {
        let said = error(text);
        assert!(said.contains(expected), "{text}\n  said:     {said}\n  expected: {expected}");
    }
}

#[test]
fn another_address_is_allowed_with_tls_or_behind_a_proxy() {
    for how in ["tls = { cert = 'c.pem', key = 'k.pem' }", "behind_proxy = true"] {
        let text = format!("[server]\nlisten = '0.0.0.0:8443'\nallow_remote = true\n{how}");
        assert!(Config::from_toml(&text).is_ok(), "{how}");
    }
}

const EXAMPLE: &str = include_str!("../../../config.example.toml");

#[test]
fn the_example_says_what_the_defaults_are() {
    assert_eq!(Config::from_toml(EXAMPLE), Ok(Config::default()));
}

#[test]
fn the_example_names_every_key_and_its_optional_lines_are_valid() {
    let uncommented = |line: &'static str| {
        let bare = line.strip_prefix("# ").unwrap_or(line);
        let key = bare.split(" = ").next().unwrap_or_default();
        let setting = bare.contains(" = ") && key.chars().all(|c| c.is_ascii_lowercase() || c == '_');
        if setting || bare.starts_with('[') { bare } else { line }
    };
    let whole = EXAMPLE.lines().map(uncommented).collect::<Vec<_>>().join("\n");
    let config = Config::from_toml(&whole).unwrap_or_else(|e| panic!("{e}\n{whole}"));
    assert!(config.channels.email.is_some() && config.channels.sms.is_some() && config.channels.webhook.len() == 2);
    for section in [
        "server",
        "user",
        "user.quiet_hours",
        "feeds",
        "feeds.coinbase",
        "feeds.kraken",
        "feeds.binance",
        "feeds.coingecko",
        "feeds.yahoo",
        "feeds.finnhub",
        "feeds.twelvedata",
        "feeds.simulated",
        "feeds.tape",
        "channels",
        "channels.desktop",
        "channels.desktop.limits",
        "channels.email",
        "channels.sms",
        "channels.webhook.x",
        "channels.command.x",
        "data",
        "log",
        "dashboard",
    ] {
        let said = error(&format!("[{section}]\nqqqqqqqqqqqqqqqqqqqqqqqqq = 1"));
        let known = said.split_once("known here: ").unwrap_or_else(|| panic!("{said}")).1;
        for key in known.split(", ") {
            // The limits are the same everywhere, and shown once.
            let named = key == "limits"
                || whole.contains(&format!("\n{key} = "))
                || whole.contains(&format!("[{section}.{key}"));
            assert!(named, "[{section}] {key} is not in config.example.toml");
        }
    }
}

#[test]
fn a_recording_is_played_at_a_number_of_times_or_as_fast_as_it_goes() {
    let tape = |text: &str| Config::from_toml(&format!("[feeds.tape]\n{text}")).map(|c| c.feeds.tape.speed);
    assert_eq!(tape("speed = 10"), Ok(super::Speed::Times(10)));
    assert_eq!(tape("speed = 'max'"), Ok(super::Speed::Max));
    assert!(error("[feeds.tape]\nspeed = 0").contains("expected a whole number from 1 to 100000, or max"));
    assert!(error("[feeds.tape]\nenabled = true").contains("feeds.tape.file"));
    let played = Config::from_toml("[feeds.tape]\nenabled = true\nfile = 'x.csv'").expect("valid");
    assert_eq!(played.enabled_feeds(), [FeedId::Tape]);
    assert!(played.is_simulated());
}

#[test]
fn a_secret_never_prints() {
    let config = Config::from_toml("[server]\njwt_secret = 'canary-canary-canary-canary-canary'").expect("valid");
    assert!(!format!("{config:?}").contains("canary"));
}
