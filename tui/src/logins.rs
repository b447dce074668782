//! Logins at daemons on other machines, by their address: `logins.json` in the data folder, for this user alone (mode 0600).
//!
//! A token is exchanged for a newer one when half of its time is over, so that who uses a daemon stays logged in.

use std::{
    collections::BTreeMap,
    fs, io,
    io::Write as _,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    time::Duration,
};

use bellwether_core::time::{Span, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{
    client::{ApiClient, Token},
    error::UserError,
};

/// A token that is used as it is, in place of a login that is kept.
const TOKEN: &str = "BELLWETHER_TOKEN";
/// How often a dashboard looks whether its token is to be renewed.
const LOOK: Duration = Duration::from_mins(1);

/// What is kept of one login.
#[derive(Clone, Serialize, Deserialize)]
struct Login {
    token: String,
    expires: Timestamp,
    /// When it is to be renewed.
    renew: Timestamp,
}

/// The base address that was meant. Only `https`, or this machine: a token must not travel for anybody to read.
pub fn address(url: &str) -> Result<String, UserError> {
    let wrong = |why: &str| {
        UserError::with_hint(
            format!("`{}` is no address of a daemon: {why}", bellwether_core::text::sanitize(url)),
            "it looks like https://alerts.example.org",
        )
    };
    let parsed = reqwest::Url::parse(url).map_err(|_| wrong("it cannot be read"))?;
    let host = parsed.host_str().ok_or_else(|| wrong("it names no host"))?;
    let here =
        host == "localhost" || host.trim_matches(['[', ']']).parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback());
    match parsed.scheme() {
        "https" => {}
        "http" if here => {}
        "http" => return Err(wrong("with http your login could be read on the way")),
        _ => return Err(wrong("it begins with neither https nor http")),
    }
    if !parsed.username().is_empty() || parsed.password().is_some() {
        return Err(wrong("a name and a password do not belong into it"));
    }
    if parsed.query().is_some() || parsed.fragment().is_some() {
        return Err(wrong("it ends behind the path"));
    }
    Ok(parsed.as_str().trim_end_matches('/').to_owned())
}

/// The token for an address, renewed where half of its time is over.
pub async fn token(address: &str) -> Result<String, UserError> {
    if let Some(token) = std::env::var(TOKEN).ok().filter(|token| !token.is_empty()) {
        return Ok(token);
    }
    let file = file()?;
    let again = || format!("bellwether login --url {address} --email YOU");
    let kept = read(&file)?;
    let login = kept
        .get(address)
        .ok_or_else(|| UserError::with_hint(format!("you are not logged in at {address}"), again()))?;
    let now = now();
    if now >= login.expires {
        return Err(UserError::with_hint(format!("your login at {address} has expired"), again()));
    }
    if now < login.renew {
        return Ok(login.token.clone());
    }
    match ApiClient::new(address, &login.token).refresh().await {
        Ok(fresh) => {
            keep_token(address, &fresh)?;
            Ok(fresh.access_token)
        }
        // The one that is there is good for a while; what is wrong will show.
        Err(_) => Ok(login.token.clone()),
    }
}

/// Renews the token for an address when it is time, for as long as this runs.
pub async fn keep(url: String) {
    loop {
        tokio::time::sleep(LOOK).await;
        if let Ok(address) = address(&url)
            && let Err(error) = token(&address).await
        {
            tracing::debug!("{error}");
        }
    }
}

/// Keeps a new token for an address.
pub fn keep_token(address: &str, token: &Token) -> Result<(), UserError> {
    let (file, now, lifetime) = (file()?, now(), token.lifetime());
    let half = Span::from_seconds(token.expires_in / 2);
    let login = Login { token: token.access_token.clone(), expires: now.plus(lifetime), renew: now.plus(half) };
    change(&file, |kept| drop(kept.insert(address.to_owned(), login)))
}

/// Forgets the login at an address.
pub fn forget(address: &str) -> Result<(), UserError> {
    change(&file()?, |kept| drop(kept.remove(address)))
}

fn now() -> Timestamp {
    Timestamp::from(jiff::Timestamp::now())
}

fn file() -> Result<PathBuf, UserError> {
    let base = directories::BaseDirs::new().ok_or_else(|| {
        UserError::with_hint("this user has no home folder to keep a login in", format!("set HOME, or {TOKEN}"))
    })?;
    Ok(base.data_local_dir().join("bellwether").join("logins.json"))
}

fn read(file: &Path) -> Result<BTreeMap<String, Login>, UserError> {
    let failed = |why: String| {
        UserError::with_hint(format!("cannot read {}: {why}", file.display()), "remove it, and log in again")
    };
    match fs::read_to_string(file) {
        Ok(text) => serde_json::from_str(&text).map_err(|_| failed("it is not what bellwether writes".to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(BTreeMap::new()),
        Err(error) => Err(failed(error.to_string())),
    }
}

/// Writes the file anew, whole or not at all.
fn change(file: &Path, edit: impl FnOnce(&mut BTreeMap<String, Login>)) -> Result<(), UserError> {
    let mut kept = read(file)?;
    kept.retain(|_, login| login.expires > now());
    edit(&mut kept);
    let draft = file.with_extension(format!("{}.tmp", std::process::id()));
    let written = (|| {
        if let Some(folder) = file.parent() {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        }
        drop(fs::remove_file(&draft));
        let mut out = fs::OpenOptions::new().create_new(true).write(true).mode(0o600).open(&draft)?;
        out.write_all(&serde_json::to_vec_pretty(&kept)?)?;
        fs::rename(&draft, file)
    })();
    written.map_err(|error| {
        UserError::with_hint(format!("cannot write {}: {error}", file.display()), format!("free it, or use {TOKEN}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt as _;

    #[test]
    fn a_login_travels_by_https_or_stays_on_this_machine() {
        for (url, meant) in [
            ("https://alerts.example.org", "https://alerts.example.org"),
            ("https://alerts.example.org:8443/", "https://alerts.example.org:8443"),
            ("https://example.org/bellwether/", "https://example.org/bellwether"),
            ("http://localhost:8000", "http://localhost:8000"),
            ("http://[::1]:8000/", "http://[::1]:8000"),
        ] {
            assert_eq!(address(url).expect(url), meant);
        }
        for (url, why) in [
            ("http://alerts.example.org", "could be read on the way"),
            ("http://127.0.0.1.evil.example", "could be read on the way"),
            ("alerts.example.org", "cannot be read"),
            ("ftp://alerts.example.org", "neither https nor http"),
            ("https://me:secret@alerts.example.org", "do not belong into it"),
            ("https://alerts.example.org/?x=1", "ends behind the path"),
        ] {
            let said = address(url).expect_err(url).to_string();
            assert!(said.contains(why), "{url}: {said}");
        }
    }

    #[test]
    fn logins_are_kept_for_this_user_alone_and_forgotten_when_they_are_over() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("inside").join("logins.json");
        let login = |hours: i64| {
            let expires = now().plus(Span::from_seconds(hours * 3_600));
            Login { token: format!("t{hours}"), expires, renew: expires }
        };
        change(&file, |kept| drop(kept.insert("https://a".to_owned(), login(-1)))).expect("written");
        change(&file, |kept| drop(kept.insert("https://b".to_owned(), login(1)))).expect("written");
        let kept = read(&file).expect("read");
        assert_eq!(
            kept.iter().map(|(at, l)| (at.as_str(), l.token.as_str())).collect::<Vec<_>>(),
            [("https://b", "t1")]
        );
        assert_eq!(fs::metadata(&file).expect("there").mode() & 0o777, 0o600);
        fs::write(&file, "rubbish").expect("written");
        assert!(read(&file).err().expect("refused").to_string().contains("log in again"));
    }
}
