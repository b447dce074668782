//! Where things lie: configuration, data, and `daemon.json`. Defaults follow the XDG base directories.

use std::path::PathBuf;

use crate::{cli::Global, error::UserError};

/// The folders of one daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folders {
    /// The database, the lock, the log of a daemon started in the background.
    pub data: PathBuf,
    /// `daemon.json`.
    pub runtime: PathBuf,
    /// The configuration file, whether it exists or not.
    pub config: PathBuf,
}

impl Folders {
    /// The folders that the command line, the environment and the XDG base directories say.
    ///
    /// A data folder that is named holds `daemon.json` too, so that daemons with different data never meet.
    pub fn find(global: &Global) -> Result<Self, UserError> {
        let base = directories::BaseDirs::new().ok_or_else(|| {
            UserError::with_hint(
                "this user has no home folder, so there is no place for the configuration and the data",
                "set HOME, or name both with --config and --data-dir",
            )
        });
        let config = match (&global.config, &base) {
            (Some(file), _) => file.clone(),
            (None, Ok(base)) => base.config_dir().join("bellwether").join("config.toml"),
            (None, Err(_)) => PathBuf::new(),
        };
        if let Some(data) = &global.data_dir {
            return Ok(Self { data: data.clone(), runtime: data.clone(), config });
        }
        let base = base?;
        let name = if global.demo { "bellwether-demo" } else { "bellwether" };
        let data = base.data_local_dir().join(name);
        let runtime = base.runtime_dir().filter(|dir| dir.is_dir()).map_or_else(|| data.clone(), |dir| dir.join(name));
        Ok(Self { data, runtime, config })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_named_data_folder_holds_everything() {
        let global = Global {
            config: Some("/c/x.toml".into()),
            data_dir: Some("/d".into()),
            demo: false,
            url: None,
            json: false,
            readonly: false,
        };
        let folders = Folders::find(&global).expect("named");
        let expected = Folders { data: "/d".into(), runtime: "/d".into(), config: "/c/x.toml".into() };
        assert_eq!(folders, expected);
    }
}
