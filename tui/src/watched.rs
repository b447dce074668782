//! Notices that the configuration was changed: the file itself, and the files of its secrets and certificates. Looked at every two seconds, which costs
//! nothing and works on every file system.

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use bellwether_core::config::{Config, Secret};
use tokio::time::{Interval, MissedTickBehavior};

/// How often is looked.
const LOOK: Duration = Duration::from_secs(2);

/// How a file looks from outside: another one in its place has another number, a changed one another time or size.
type Looks = Option<(u64, u64, i64, i64)>;

fn looks(path: &Path) -> Looks {
    fs::metadata(path).ok().map(|about| (about.ino(), about.size(), about.mtime(), about.mtime_nsec()))
}

/// The files that settings come from.
#[derive(Debug)]
pub struct Watched {
    config: PathBuf,
    files: Vec<(PathBuf, Looks)>,
    /// A change that was seen and may still go on.
    changing: bool,
    look: Interval,
}

impl Watched {
    /// As they are now. Wants a runtime.
    pub fn new(config: &Path) -> Self {
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut watched = Self { config: config.to_owned(), files: Vec::new(), changing: false, look };
        watched.taken();
        watched
    }

    /// What is there now has been read.
    pub fn taken(&mut self) {
        let mut files = vec![self.config.clone()];
        if let Ok(text) = fs::read_to_string(&self.config)
            && let Ok(mut config) = Config::from_toml(&text)
        {
            files.extend(config.server.tls.iter().flat_map(|tls| [tls.cert.clone(), tls.key.clone()]));
            files.extend(config.secrets_mut().into_iter().filter_map(|(_, secret)| match secret {
                Secret::File(path) => Some(path.clone()),
                Secret::Value(_) | Secret::Env(_) => None,
            }));
        }
        self.files = files.into_iter().map(|path| (path.clone(), looks(&path))).collect();
        self.changing = false;
    }

    /// Waits until they have changed, and stand still again: what is half written is nobody's wish.
    pub async fn changed(&mut self) {
        loop {
            self.look.tick().await;
            if self.is_news() {
                return;
            }
        }
    }

    fn is_news(&mut self) -> bool {
        let mut moved = false;
        for (path, before) in &mut self.files {
            let now = looks(path);
            moved |= now != *before;
            *before = now;
        }
        let settled = self.changing && !moved;
        self.changing = moved;
        settled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_change_counts_once_it_is_over_also_one_of_a_secrets_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let (config, secret) = (folder.path().join("config.toml"), folder.path().join("secret"));
        fs::write(&secret, "one").expect("written");
        let text = format!("[server]\njwt_secret = {{ file = \"{}\" }}\n", secret.display());
        fs::write(&config, &text).expect("written");
        let mut watched = Watched::new(&config);
        assert!(!watched.is_news() && !watched.is_news());
        for (path, text) in [(&config, format!("{text}#\n")), (&secret, "another".to_owned())] {
            fs::write(path, &text[..1]).expect("written");
            assert!(!watched.is_news(), "half written");
            fs::write(path, &text).expect("written");
            assert!(!watched.is_news(), "it has just changed");
            assert!(watched.is_news(), "{}", path.display());
            watched.taken();
            assert!(!watched.is_news());
        }
        fs::remove_file(&config).expect("removed");
        assert!(!watched.is_news());
        assert!(watched.is_news(), "a file that is gone is a change too");
    }
}
