//! Channels that are set up while the daemon runs: the same settings as in the file, as JSON, laid over it.

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{Config, Secret};
use crate::condition::ChannelName;

/// Which settings of a channel are secrets: they are taken, and never shown.
const SECRETS: [&str; 5] = ["url", "secret", "token", "password", "auth_token"];

impl Config {
    /// Puts a channel in: `webhook`, `webhook:NAME`, `email` or `sms`, with the settings of its section in the file. Otherwise what
    /// is wrong with them.
    ///
    /// Programs (`command:NAME`) and the desktop are set up in the file alone: what is run here must not be decided from afar.
    pub fn set_channel(&mut self, name: &ChannelName, settings: &Value) -> Result<(), String> {
        fn read<T: DeserializeOwned>(settings: &Value) -> Result<T, String> {
            serde_json::from_value(settings.clone()).map_err(|error| error.to_string())
        }
        let own = name.as_str().split_once(':').map(|(_, own)| own);
        match (name.kind(), own) {
            ("webhook", own) => {
                drop(self.channels.webhook.insert(own.unwrap_or("default").to_owned(), read(settings)?));
            }
            ("email", None) => self.channels.email = Some(read(settings)?),
            ("sms", None) => self.channels.sms = Some(read(settings)?),
            ("command" | "desktop", _) => return Err("it is set up in the configuration file alone".to_owned()),
            _ => return Err("expected webhook, webhook:NAME, email or sms".to_owned()),
        }
        let elsewhere = self.secrets_mut().into_iter().find(|(_, secret)| !matches!(secret, Secret::Value(_)));
        match elsewhere {
            Some((key, _)) => Err(format!("{key}: write the secret itself; references to it belong in the file")),
            None => Ok(()),
        }
    }
}

/// The settings as they may be shown: secrets as `***`.
pub fn masked(settings: &Value) -> Value {
    let mut shown = settings.clone();
    if let Some(fields) = shown.as_object_mut() {
        for (name, value) in fields.iter_mut() {
            match value {
                Value::Object(headers) if name == "headers" => {
                    headers.values_mut().for_each(|value| *value = Value::from("***"));
                }
                value if SECRETS.contains(&name.as_str()) => *value = Value::from("***"),
                _ => {}
            }
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_channel_is_set_up_as_in_the_file() {
        let mut config = Config::default();
        let phone = ChannelName::new("webhook:phone");
        config.set_channel(&phone, &json!({"url": "https://ntfy.sh", "preset": "ntfy", "target": "x"})).expect("fine");
        config.set_channel(&ChannelName::new("email"), &json!({"host": "h", "to": ["a@b"]})).expect("fine");
        assert!(config.channel_names().contains(&phone) && config.channels.email.is_some());
        for (name, settings, why) in [
            ("webhook:x", json!({}), "missing field `url`"),
            ("webhook:x", json!({"url": "https://a", "colour": 1}), "unknown field `colour`"),
            ("webhook:x", json!({"url": {"file": "/etc/shadow"}}), "write the secret itself"),
            ("command:x", json!({"program": "/bin/sh"}), "configuration file alone"),
            ("desktop", json!({}), "configuration file alone"),
            ("pigeon", json!({}), "expected webhook"),
        ] {
            let said = config.clone().set_channel(&ChannelName::new(name), &settings).expect_err(name);
            assert!(said.contains(why), "{name}: {said}");
        }
    }

    #[test]
    fn what_is_secret_is_not_shown() {
        let settings = json!({"url": "https://canary", "target": "x", "headers": {"Authorization": "canary"},
            "password": "canary", "auth_token": "canary", "token": "canary", "secret": "canary"});
        let shown = masked(&settings);
        assert!(!shown.to_string().contains("canary"), "{shown}");
        assert_eq!((&shown["target"], &shown["headers"]["Authorization"]), (&json!("x"), &json!("***")));
    }
}
