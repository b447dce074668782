//! Finds and reads the configuration file, lays the environment over it, and resolves secrets.

use std::{
    env, fs, io,
    os::unix::fs::{FileTypeExt as _, MetadataExt as _},
    path::{Path, PathBuf},
};

use bellwether_core::config::{ChannelLimits, Config, ConfigError, Email, MailAuth, MailTls, Secret, Senseless, Sms};

use crate::{error::UserError, systemd};

/// The example file, printed by `bellwether config example`.
pub const EXAMPLE: &str = include_str!("../../config.example.toml");

/// The largest configuration that is read, in bytes.
const LARGEST: u64 = 1 << 20;

/// A configuration, and what to know about it.
#[derive(Debug)]
pub struct Loaded {
    /// All settings, secrets resolved.
    pub config: Config,
    /// Whether there was a file.
    pub file: Option<PathBuf>,
    /// What it says.
    text: Option<String>,
    /// Such as: the file holds a secret and others can read it.
    pub warnings: Vec<String>,
}

impl Loaded {
    /// A setting that cannot be used, with its place in the file where that names it.
    pub fn placed(&self, wrong: &Senseless) -> UserError {
        let what = match (&self.file, &self.text) {
            (Some(file), Some(text)) => format!("{}:{}", file.display(), ConfigError::of(text, wrong)),
            _ => wrong.to_string(),
        };
        UserError::with_hint(what, HINT)
    }
}

/// Where all settings stand.
pub(crate) const HINT: &str = "`bellwether config example` prints every setting with its default";

/// Reads the configuration: the file `path` (which must exist when it was `named` by the user), then the environment.
pub fn load(path: &Path, named: bool) -> Result<Loaded, UserError> {
    let text = read(path, named)?;
    let mut warnings = Vec::new();
    let mut config = match &text {
        Some(text) => {
            Config::from_toml(text).map_err(|e| UserError::with_hint(format!("{}:{e}", path.display()), HINT))?
        }
        None => Config::default(),
    };
    let inline = config.secrets_mut().iter().any(|(_, secret)| matches!(secret, Secret::Value(_)));
    if inline && fs::metadata(path).is_ok_and(|about| about.mode() & 0o077 != 0) {
        warnings.push(format!(
            "{} holds a secret and other users can read it: chmod 600 {}",
            path.display(),
            path.display()
        ));
    }
    environment(&mut config, variable)?;
    for (key, secret) in config.secrets_mut() {
        resolve(&key, secret)?;
    }
    if let Some(secret) = &config.server.jwt_secret
        && secret.expose().len() < 32
    {
        let what = "the key that signs logins (JWT_SECRET, server.jwt_secret) has fewer than 32 bytes";
        if config.server.allow_remote {
            return Err(UserError::with_hint(what, "make one with: openssl rand -base64 48"));
        }
        warnings.push(format!("{what}: make one with: openssl rand -base64 48"));
    }
    Ok(Loaded { config, file: text.as_ref().map(|_| path.to_owned()), text, warnings })
}

/// The variables that work without any file.
const VARIABLES: [&str; 9] = [
    "JWT_SECRET",
    "SMTP_HOST",
    "SMTP_PORT",
    "SMTP_USER",
    "SMTP_PASSWORD",
    "TWILIO_ACCOUNT_SID",
    "TWILIO_AUTH_TOKEN",
    "TWILIO_PHONE_NUMBER",
    "BELLWETHER_SMS_TO",
];

/// A variable of the environment, or in its place a credential of that name from systemd.
fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty()).or_else(|| systemd::credential(name))
}

/// The names of all variables that the daemon would look at: those that work without any file, and those that the file names.
pub fn variables(path: &Path, named: bool) -> Result<Vec<String>, UserError> {
    let mut all: Vec<String> = VARIABLES.iter().map(|name| (*name).to_owned()).collect();
    if let Some(text) = read(path, named)?
        && let Ok(mut config) = Config::from_toml(&text)
    {
        for (_, secret) in config.secrets_mut() {
            if let Secret::Env(name) = secret
                && !all.contains(name)
            {
                all.push(name.clone());
            }
        }
    }
    Ok(all)
}

/// The file's text, or nothing where there is none and none was asked for.
pub(crate) fn read(path: &Path, named: bool) -> Result<Option<String>, UserError> {
    let failed = |why: &str| {
        UserError::with_hint(
            format!("cannot read the configuration {}: {why}", path.display()),
            "name another with --config, or move it away to use the defaults",
        )
    };
    let about = match fs::metadata(path) {
        Ok(about) => about,
        Err(e) if e.kind() == io::ErrorKind::NotFound && !named => return Ok(None),
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Err(failed("there is no such file")),
        Err(e) if e.kind() == io::ErrorKind::PermissionDenied => return Err(failed("permission denied")),
        Err(e) => return Err(failed(&e.to_string())),
    };
    if about.is_dir() {
        return Err(failed("it is a folder"));
    }
    if about.file_type().is_fifo() || about.file_type().is_socket() {
        return Err(failed("it is no plain file"));
    }
    if about.len() > LARGEST {
        return Err(failed("it is larger than 1 MiB"));
    }
    let bytes = fs::read(path).map_err(|e| match e.kind() {
        io::ErrorKind::PermissionDenied => failed("permission denied"),
        _ => failed(&e.to_string()),
    })?;
    String::from_utf8(bytes).map(Some).map_err(|_| failed("it is not UTF-8 text"))
}

/// Lays the variables that work without any file over the configuration.
fn environment(config: &mut Config, variable: impl Fn(&str) -> Option<String>) -> Result<(), UserError> {
    let wrong = |name: &str, expected: &str| {
        UserError::with_hint(format!("the variable {name} cannot be used"), format!("expected {expected}"))
    };
    if let Some(secret) = variable("JWT_SECRET") {
        config.server.jwt_secret = Some(Secret::Value(secret));
    }
    if let Some(host) = variable("SMTP_HOST") {
        let email = config.channels.email.get_or_insert_with(|| Email {
            host: String::new(),
            port: None,
            tls: MailTls::Starttls,
            username: None,
            password: None,
            from: None,
            to: Vec::new(),
            ca_file: None,
            auth: MailAuth::Password,
            token_command: None,
            chart: true,
            limits: ChannelLimits::default(),
        });
        email.host = host;
    }
    if let Some(email) = &mut config.channels.email {
        if let Some(port) = variable("SMTP_PORT") {
            let port: u16 =
                port.parse().ok().filter(|p| *p > 0).ok_or_else(|| wrong("SMTP_PORT", "an integer from 1 to 65535"))?;
            email.port = Some(port);
            if port == 465 {
                email.tls = MailTls::Implicit;
            }
        }
        if let Some(user) = variable("SMTP_USER") {
            email.username = Some(user);
        }
        if let Some(password) = variable("SMTP_PASSWORD") {
            email.password = Some(Secret::Value(password));
        }
    }
    if let (Some(account_sid), Some(token), Some(from)) =
        (variable("TWILIO_ACCOUNT_SID"), variable("TWILIO_AUTH_TOKEN"), variable("TWILIO_PHONE_NUMBER"))
    {
        let known = config.channels.sms.take();
        let (to, base_url) =
            known.map_or_else(|| (Vec::new(), "https://api.twilio.com".to_owned()), |sms| (sms.to, sms.base_url));
        config.channels.sms = Some(Sms {
            account_sid,
            auth_token: Secret::Value(token),
            from,
            to,
            base_url,
            limits: ChannelLimits::default(),
        });
    }
    if let (Some(to), Some(sms)) = (variable("BELLWETHER_SMS_TO"), &mut config.channels.sms) {
        sms.to = to.split(',').map(|number| number.trim().to_owned()).collect();
    }
    Ok(())
}

/// Puts the value in the place of a reference to it. The error names the key and the source, never the value.
fn resolve(key: &str, secret: &mut Secret) -> Result<(), UserError> {
    let value = match secret {
        Secret::Value(_) => return Ok(()),
        Secret::Env(name) => variable(name).ok_or_else(|| {
            UserError::with_hint(
                format!("`{key}` is to be found in the variable {name}, which is not set"),
                format!("set {name}, or write the secret another way"),
            )
        })?,
        Secret::File(path) => {
            let failed = |why: String| {
                UserError::with_hint(
                    format!("`{key}` is to be found in the file {}, {why}", path.display()),
                    "put the secret there, alone, on the first line",
                )
            };
            let text = fs::read_to_string(&*path).map_err(|e| failed(format!("which cannot be read ({e})")))?;
            let first = text.lines().next().unwrap_or_default().trim().to_owned();
            if first.is_empty() {
                return Err(failed("which is empty".to_owned()));
            }
            first
        }
    };
    *secret = Secret::Value(value);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    fn written(text: &[u8], mode: u32) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("config.toml");
        fs::write(&path, text).expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("chmod");
        (folder, path)
    }

    #[test]
    fn no_file_means_defaults_unless_one_was_named() {
        let nowhere = Path::new("/nonexistent/config.toml");
        assert!(load(nowhere, false).is_ok_and(|loaded| loaded.file.is_none()));
        assert!(load(nowhere, true).expect_err("named").to_string().contains("there is no such file"));
        assert!(load(Path::new("/"), true).expect_err("a folder").to_string().contains("it is a folder"));
    }

    #[test]
    fn a_mistake_names_file_line_and_column() {
        let (_folder, path) = written(b"\n[channels.emial]\n", 0o600);
        let said = load(&path, true).expect_err("a mistake").to_string();
        assert!(said.contains("config.toml:2:11: unknown key `emial`; did you mean `email`?"), "{said}");
        let (_folder, path) = written(b"\xff\xfe", 0o600);
        assert!(load(&path, true).expect_err("not text").to_string().contains("not UTF-8"));
    }

    #[test]
    fn an_open_file_with_a_secret_is_a_warning_with_the_command_to_type() {
        let text = b"[server]\njwt_secret = 'canary-canary-canary-canary-canary'\n";
        let (_folder, path) = written(text, 0o644);
        let loaded = load(&path, true).expect("valid");
        assert!(loaded.warnings[0].contains("chmod 600"), "{:?}", loaded.warnings);
        let (_folder, path) = written(text, 0o600);
        assert!(load(&path, true).expect("valid").warnings.is_empty());
    }

    #[test]
    fn a_secret_that_is_not_there_is_named_by_key_and_place() {
        let (_folder, path) = written(b"[server]\njwt_secret = { env = 'BELLWETHER_TEST_UNSET' }\n", 0o600);
        let said = load(&path, true).expect_err("unset").to_string();
        assert!(said.contains("`server.jwt_secret`") && said.contains("BELLWETHER_TEST_UNSET"), "{said}");
        let (_folder, path) = written(b"[server]\njwt_secret = { file = '/nonexistent' }\n", 0o600);
        let said = load(&path, true).expect_err("missing").to_string();
        assert!(said.contains("/nonexistent"), "{said}");
    }

    #[test]
    fn the_variables_make_channels_without_any_file() {
        let variable = |name: &str| {
            [
                ("SMTP_HOST", "mail.example.org"),
                ("SMTP_PORT", "465"),
                ("SMTP_USER", "me@example.org"),
                ("SMTP_PASSWORD", "p"),
                ("TWILIO_ACCOUNT_SID", "AC0"),
                ("TWILIO_AUTH_TOKEN", "t"),
                ("TWILIO_PHONE_NUMBER", "+1"),
                ("BELLWETHER_SMS_TO", "+2, +3"),
            ]
            .into_iter()
            .find(|(known, _)| *known == name)
            .map(|(_, value)| value.to_owned())
        };
        let mut config = Config::default();
        environment(&mut config, variable).expect("sensible");
        let email = config.channels.email.expect("a mail channel");
        assert_eq!((email.host.as_str(), email.port, email.tls), ("mail.example.org", Some(465), MailTls::Implicit));
        let sms = config.channels.sms.expect("a text channel");
        assert_eq!((sms.from.as_str(), sms.to.len()), ("+1", 2));
        let mut config = Config::default();
        let bad = |name: &str| (name == "SMTP_HOST" || name == "SMTP_PORT").then(|| "abc".to_owned());
        assert!(environment(&mut config, bad).expect_err("bad").to_string().contains("SMTP_PORT"));
    }
}
