//! The configuration that `bellwether init` writes: what was asked for, with comments, and nothing that is the default anyway.

use std::{fmt::Write as _, io, path::Path};

use toml_edit::Value;

/// What the questions were answered with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wishes {
    /// Notifications on the desktop.
    pub desktop: bool,
    /// A topic of ntfy, for the phone.
    pub phone: Option<String>,
    /// Mail.
    pub mail: Option<Mail>,
}

/// What is asked about mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mail {
    /// The server.
    pub host: String,
    /// The account, and the sender.
    pub username: String,
    /// Its password; kept in a file of its own.
    pub password: String,
    /// Who gets it.
    pub to: String,
}

/// Asks one question: the words, and whether the answer is to be typed unseen.
pub type Ask<'a> = dyn FnMut(&str, bool) -> io::Result<String> + 'a;

/// Asks for the channels that one wants. `topic` is a proposal that nobody guesses.
pub fn ask(topic: &str, ask: &mut Ask<'_>) -> io::Result<Wishes> {
    let desktop = yes(&mut *ask, "Notifications on this desktop? [Y/n] ", true)?;
    let mut phone = None;
    if yes(&mut *ask, "On your phone, with the free app ntfy? [y/N] ", false)? {
        let answer = ask(&format!("  Subscribe in the app to a topic that nobody guesses [{topic}]: "), false)?;
        phone = Some(if answer.trim().is_empty() { topic.to_owned() } else { answer.trim().to_owned() });
    }
    let mut mail = None;
    if yes(&mut *ask, "By mail? [y/N] ", false)? {
        let username = needed(&mut *ask, "  Your mail account, such as me@example.org: ", false)?;
        let usual = format!("smtp.{}", username.rsplit('@').next().unwrap_or("example.org"));
        let host = ask(&format!("  Its mail server [{usual}]: "), false)?;
        let host = if host.trim().is_empty() { usual } else { host.trim().to_owned() };
        let password = needed(&mut *ask, "  Its password (with Gmail: an app password): ", true)?;
        let to = ask(&format!("  Who gets the mails [{username}]: "), false)?;
        let to = if to.trim().is_empty() { username.clone() } else { to.trim().to_owned() };
        mail = Some(Mail { host, username, password, to });
    }
    Ok(Wishes { desktop, phone, mail })
}

fn yes(ask: &mut Ask<'_>, question: &str, usual: bool) -> io::Result<bool> {
    loop {
        match ask(question, false)?.trim().to_ascii_lowercase().as_str() {
            "" => return Ok(usual),
            "y" | "yes" => return Ok(true),
            "n" | "no" => return Ok(false),
            _ => {}
        }
    }
}

fn needed(ask: &mut Ask<'_>, question: &str, secret: bool) -> io::Result<String> {
    loop {
        let answer = ask(question, secret)?;
        if !answer.trim().is_empty() {
            return Ok(answer.trim().to_owned());
        }
    }
}

/// The file's text. The mail password stands in `password_file`.
pub fn text(wishes: &Wishes, password_file: &Path) -> String {
    let mut defaults = Vec::new();
    let mut sections = String::new();
    if wishes.desktop {
        defaults.push("desktop");
    } else {
        sections.push_str("\n[channels.desktop]\nenabled = false\n");
    }
    if let Some(topic) = &wishes.phone {
        defaults.push("webhook:phone");
        let _ = write!(
            sections,
            "\n# The phone, by ntfy: whoever knows the topic can read along.\n[channels.webhook.phone]\npreset = \"ntfy\"\n\
             url = \"https://ntfy.sh\"\ntarget = {}\n",
            quoted(topic)
        );
    }
    if let Some(mail) = &wishes.mail {
        defaults.push("email");
        let _ = write!(
            sections,
            "\n# Mail, by STARTTLS on port 587; tls = \"implicit\" is port 465.\n[channels.email]\nhost = {}\nusername = {}\n\
             password = {{ file = {} }}\nto = [{}]\n",
            quoted(&mail.host),
            quoted(&mail.username),
            quoted(&password_file.to_string_lossy()),
            quoted(&mail.to)
        );
    }
    let names: Vec<String> = defaults.iter().map(|name| quoted(name)).collect();
    format!(
        "# bellwether. Nothing here is needed, and what is not here has its default: `bellwether config example` prints every\n\
         # setting, `bellwether config check` says what is wrong with this file, and the daemon takes changes up by itself.\n\
         \n\
         [user]\n\
         # Where alerts go that say no \"via\".\n\
         default_channels = [{}]\n\
         # The time zone of dates in alerts and of times in messages. Without it: the system's.\n\
         # timezone = \"Europe/Berlin\"\n\
         \n\
         # Quiet hours: what fires meanwhile comes as one message at their end. Urgent alerts pass.\n\
         # [user.quiet_hours]\n\
         # from = \"22:00\"\n\
         # to = \"07:00\"\n\
         \n\
         # Yahoo is unofficial, and its terms forbid automated use. Without it stocks, indices, commodities and currencies have no price.\n\
         # [feeds.yahoo]\n\
         # enabled = false\n\
         {sections}",
        names.join(", ")
    )
}

fn quoted(text: &str) -> String {
    Value::from(text).to_string().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use bellwether_core::config::{Config, Secret};

    fn answered(answers: &[&str]) -> (Wishes, Vec<bool>) {
        let mut answers = answers.iter();
        let mut unseen = Vec::new();
        let wishes = ask("bellwether-1234", &mut |_, secret| {
            unseen.push(secret);
            Ok((*answers.next().expect("no more questions")).to_owned())
        });
        (wishes.expect("answered"), unseen)
    }

    #[test]
    fn enter_alone_gives_desktop_notifications_and_nothing_else() {
        let (wishes, _) = answered(&["", "", ""]);
        assert_eq!(wishes, Wishes { desktop: true, ..Wishes::default() });
        let config = Config::from_toml(&text(&wishes, Path::new("/p"))).expect("it is understood");
        assert_eq!(config, Config::default());
    }

    #[test]
    fn what_was_asked_for_is_set_up_and_only_the_password_is_typed_unseen() {
        let (wishes, unseen) = answered(&[
            "what?",
            "n",
            "y",
            "",
            "yes",
            "",
            "me@example.org",
            "",
            "it's \"secret\"",
            "\"evil\"\n[server]@example.org",
        ]);
        assert_eq!(unseen.iter().filter(|secret| **secret).count(), 1);
        let text = text(&wishes, Path::new("/home/me/mail-password"));
        assert!(!text.contains("secret\""), "the password is in the file: {text}");
        let config = Config::from_toml(&text).expect("it is understood");
        assert!(!config.channels.desktop.enabled);
        assert_eq!(config.channels.webhook["phone"].target.as_deref(), Some("bellwether-1234"));
        let email = config.channels.email.expect("mail");
        assert_eq!(email.host, "smtp.example.org");
        assert_eq!(email.password, Some(Secret::File("/home/me/mail-password".into())));
        assert_eq!(email.to, ["\"evil\"\n[server]@example.org"], "what is typed stays text");
        let defaults: Vec<&str> =
            config.user.default_channels.iter().map(bellwether_core::condition::ChannelName::as_str).collect();
        assert_eq!(defaults, ["webhook:phone", "email"]);
    }
}
