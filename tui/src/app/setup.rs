//! A channel set up from the dashboard: one line that says which, one more for its secret, then a test through it. What `bellwether
//! init` asks for on a command line.

use std::fmt;

use bellwether_core::condition::ChannelName;
use serde_json::{Map, Value, json};

/// What the line can say.
pub(crate) const FORMS: &str = "ntfy TOPIC, mail ADDRESS [SERVER], telegram CHAT, discord URL, slack URL, gotify URL, pushover USER, \
     sms TO FROM ACCOUNT, or the address of a webhook";

/// A channel to set up: the body of `POST /channels`.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Setup {
    /// Its name in `via`.
    pub(crate) name: ChannelName,
    /// The settings of its section in the configuration file.
    pub(crate) settings: Map<String, Value>,
    /// The secret that it still wants: its key, and what people call it.
    pub(crate) wants: Option<(&'static str, &'static str)>,
}

/// Without the settings, which hold a secret.
impl fmt::Debug for Setup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Setup").field("name", &self.name).field("wants", &self.wants).finish_non_exhaustive()
    }
}

impl Setup {
    /// Understands a line such as `ntfy my-topic`; the daemon judges the values.
    pub(crate) fn read(line: &str) -> Result<Self, String> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (kind, rest) = words.split_first().ok_or_else(|| format!("one of: {FORMS}"))?;
        let kind = kind.to_ascii_lowercase();
        let is_address = |text: &str| text.starts_with("https://") || text.starts_with("http://");
        let setup = |name: &str, settings: Value, wants| {
            let Value::Object(settings) = settings else { unreachable!("the settings below are objects") };
            Self { name: ChannelName::new(name), settings, wants }
        };
        let wrong = |form: &str| format!("write `{form}`");
        Ok(match (kind.as_str(), rest) {
            ("ntfy" | "phone", [topic]) if is_address(topic) => {
                setup("webhook:phone", json!({ "preset": "ntfy", "url": topic }), None)
            }
            ("ntfy" | "phone", [topic]) => {
                setup("webhook:phone", json!({ "preset": "ntfy", "url": "https://ntfy.sh", "target": topic }), None)
            }
            ("ntfy" | "phone", _) => return Err(wrong("ntfy TOPIC, a topic that nobody guesses")),
            ("mail" | "email", [address, server @ ..]) if address.contains('@') && server.len() < 2 => {
                let usual = format!("smtp.{}", address.rsplit('@').next().unwrap_or_default());
                let host = server.first().map_or(usual, |host| (*host).to_owned());
                let settings = json!({ "host": host, "username": address, "to": [address] });
                setup("email", settings, Some(("password", "its password (with Gmail: an app password)")))
            }
            ("mail" | "email", _) => return Err(wrong("mail ADDRESS, or mail ADDRESS SERVER")),
            ("telegram", [chat]) => {
                let settings = json!({ "preset": "telegram", "url": "https://api.telegram.org", "target": chat });
                setup("webhook:telegram", settings, Some(("token", "the bot's token")))
            }
            ("telegram", _) => {
                return Err(wrong("telegram CHAT; talk to your bot first, its getUpdates shows the number"));
            }
            (preset @ ("discord" | "slack"), [url]) if is_address(url) => {
                setup(&format!("webhook:{preset}"), json!({ "preset": preset, "url": url }), None)
            }
            ("discord" | "slack", _) => return Err(wrong(&format!("{kind} URL, the address of its webhook"))),
            ("gotify", [url]) if is_address(url) => {
                let settings = json!({ "preset": "gotify", "url": url });
                setup("webhook:gotify", settings, Some(("token", "the application's key")))
            }
            ("gotify", _) => return Err(wrong("gotify URL, the address of your server")),
            ("pushover", [user]) => {
                let url = "https://api.pushover.net/1/messages.json";
                let settings = json!({ "preset": "pushover", "url": url, "target": user });
                setup("webhook:pushover", settings, Some(("token", "the application's token")))
            }
            ("pushover", _) => return Err(wrong("pushover USER, your user key")),
            ("sms", [to, from, account]) => {
                let settings = json!({ "account_sid": account, "from": from, "to": [to] });
                setup("sms", settings, Some(("auth_token", "the account's token")))
            }
            ("sms", _) => {
                return Err(wrong("sms TO FROM ACCOUNT: two numbers such as +14155550123, and Twilio's account"));
            }
            (_, []) if is_address(words[0]) => setup("webhook:hook", json!({ "url": words[0] }), None),
            _ => return Err(format!("one of: {FORMS}")),
        })
    }

    /// With the secret that it wanted.
    pub(crate) fn with_secret(mut self, secret: &str) -> Result<Self, String> {
        if let Some((key, words)) = self.wants {
            if secret.trim().is_empty() {
                return Err(format!("{} needs {words}", self.name));
            }
            self.settings.insert(key.to_owned(), secret.trim().into());
            self.wants = None;
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use bellwether_core::config::Config;
    use crossterm::event::KeyCode;

    use super::*;
    use crate::app::{
        App, Effect, Message, Overlay, Reply,
        fixture::{self, feed, press, types},
    };

    #[test]
    fn every_form_becomes_settings_that_the_configuration_knows() {
        for (line, name, wants) in [
            ("ntfy bellwether-1a2b3c", "webhook:phone", None),
            ("phone https://ntfy.example.org/my-topic", "webhook:phone", None),
            ("Mail me@example.org", "email", Some("password")),
            ("mail me@example.org mx.example.org", "email", Some("password")),
            ("telegram 123456789", "webhook:telegram", Some("token")),
            ("discord https://discord.com/api/webhooks/1/x", "webhook:discord", None),
            ("slack https://hooks.slack.com/services/x", "webhook:slack", None),
            ("gotify https://push.example.org", "webhook:gotify", Some("token")),
            ("pushover uQiRzpo4DXghDmr9QzzfQu27cmVRsG", "webhook:pushover", Some("token")),
            ("sms +14155550123 +14155550100 AC0123456789abcdef0123456789abcdef", "sms", Some("auth_token")),
            ("https://home.example.org/alarm", "webhook:hook", None),
        ] {
            let setup = Setup::read(line).expect(line);
            assert_eq!((setup.name.as_str(), setup.wants.map(|(key, _)| key)), (name, wants), "{line}");
            let setup = setup.with_secret("canary").expect(line);
            assert!(setup.wants.is_none() && !format!("{setup:?}").contains("canary"));
            let mut config = Config::default();
            config.set_channel(&setup.name, &Value::Object(setup.settings)).expect(line);
            assert_eq!(config.senseless().iter().map(ToString::to_string).collect::<Vec<_>>(), [""; 0], "{line}");
        }
        for line in ["", "carrier pigeon", "ntfy", "mail nobody", "discord 1", "sms +1", "https://a b"] {
            let sentence = Setup::read(line).expect_err(line);
            assert!(sentence.starts_with("one of: ntfy") || sentence.starts_with("write `"), "{line}: {sentence}");
        }
    }

    fn asked(app: &App) -> &crate::app::prompt::Prompt {
        let Some(Overlay::Prompt(prompt)) = &app.overlay else { panic!("nothing is asked: {:?}", app.overlay) };
        prompt
    }

    #[test]
    fn a_channel_is_set_up_and_tested_and_its_secret_is_typed_unseen() {
        let mut app = fixture::app();
        types(&mut app, "5nmail nobody");
        assert!(press(&mut app, KeyCode::Enter).is_empty());
        assert!(asked(&app).trouble.as_ref().is_some_and(|said| said.contains("mail ADDRESS")));
        press(&mut app, KeyCode::Esc);
        types(&mut app, "nmail me@example.org");
        assert!(press(&mut app, KeyCode::Enter).is_empty());
        assert!(asked(&app).is_secret());
        assert!(press(&mut app, KeyCode::Enter).is_empty() && asked(&app).trouble.is_some(), "it needs one");
        types(&mut app, "canary");
        let effects = press(&mut app, KeyCode::Enter);
        let [Effect::SetUpChannel(setup)] = &effects[..] else { panic!("{effects:?}") };
        assert_eq!(setup.settings["password"], "canary");
        assert!(app.overlay.is_none() && !format!("{effects:?}").contains("canary"));
        let name = setup.name.clone();
        let effects = feed(&mut app, [Message::Reply(Box::new(Reply::ChannelSetUp(name.clone(), Ok(()))))]);
        assert_eq!(effects, [Effect::FetchChannels, Effect::TestChannel(name)]);
    }

    #[test]
    fn who_may_change_nothing_sets_up_no_channel() {
        let mut app = fixture::app();
        app.readonly = true;
        types(&mut app, "5n");
        assert!(app.overlay.is_none());
    }
}
