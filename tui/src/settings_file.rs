//! Where the dashboard's settings live: `[dashboard]` of the configuration file, changed in place with every comment kept; and, where
//! that file cannot be written, `dashboard.toml` in the data folder. What stands there is stronger, because it was chosen later and on
//! the screen. That the hints of the first run have been seen always goes there: it is no wish, and makes no file where there is none.

use std::{
    fs,
    io::{self, Write as _},
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    time::Duration,
};

use bellwether_core::config::{Config, Dashboard, dashboard::Holding};
use tokio::sync::mpsc;
use toml_edit::{Array, DocumentMut, InlineTable, Item, Table, TableLike, Value};

use crate::{
    app::rebind::Rebound,
    config_file::{self, HINT},
    error::UserError,
    folders::Folders,
};

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(1);
/// The section.
const SECTION: &str = "dashboard";
/// What is never written into the configuration file.
const OURS: &str = "hints";
/// How the chart was left. It is written into the configuration file only where that names it already: turning a chart is no reason to
/// make a file, or to change one under version control.
const REMEMBERED: [&str; 5] = ["chart_range", "chart_style", "chart_studies", "chart_volume", "chart_compare"];

/// The files that settings are read from and saved to.
#[derive(Clone, Debug)]
pub struct SettingsFile {
    config: PathBuf,
    /// Whether the user named the file, so that it must exist.
    named: bool,
    state: PathBuf,
}

impl SettingsFile {
    /// The files of these folders.
    pub fn of(folders: &Folders, named: bool) -> Self {
        Self { config: folders.config.clone(), named, state: folders.data.join("dashboard.toml") }
    }

    /// Reads both.
    ///
    /// # Errors
    /// When one of them cannot be taken: with its place.
    pub fn read(&self) -> Result<Dashboard, UserError> {
        let config = checked(&self.config, self.named)?;
        let state = checked(&self.state, false)?;
        let mut whole = config.clone();
        if let Some(own) = section(&state) {
            for (key, item) in own.iter() {
                section_mut(&mut whole).insert(key, item.clone());
            }
        }
        let settings = Config::from_toml(&whole.to_string())
            .map_err(|e| UserError::with_hint(format!("{}: {}", self.state.display(), e.message), HINT))?
            .dashboard;
        Rebound::read(&settings.keys)
            .map_err(|e| UserError::with_hint(format!("{}: {e}", self.config.display()), HINT))?;
        Ok(settings)
    }

    /// Saves what differs from what the files say. Gives a sentence where it went elsewhere than into the configuration file.
    pub(crate) fn save(&self, wanted: &Dashboard) -> Result<Option<String>, String> {
        let before = self.read().map_err(|e| format!("the settings were not saved: {e}"))?;
        let mut config = checked(&self.config, self.named).map_err(|e| e.to_string())?;
        let mut state = checked(&self.state, false).map_err(|e| e.to_string())?;
        let changed: Vec<&str> =
            KEYS.into_iter().filter(|key| item(key, wanted).to_string() != item(key, &before).to_string()).collect();
        if changed.is_empty() {
            return Ok(None);
        }
        let (mine, theirs): (Vec<&str>, Vec<&str>) = changed.into_iter().partition(|key| {
            let named = section(&config).is_some_and(|section| section.contains_key(key));
            *key == OURS || REMEMBERED.contains(key) && !named
        });
        let kept = state.to_string();
        let mut elsewhere = None;
        if !theirs.is_empty() {
            for key in &theirs {
                put(&mut config, key, wanted);
            }
            match write(&self.config, &config.to_string()) {
                Ok(()) if section(&state).is_some() => {
                    for key in &theirs {
                        section_mut(&mut state).remove(key);
                    }
                }
                Ok(()) => {}
                Err(error) => {
                    for key in &theirs {
                        put(&mut state, key, wanted);
                    }
                    elsewhere = Some(format!(
                        "{} cannot be written ({error}): saved in {}, which is stronger",
                        self.config.display(),
                        self.state.display()
                    ));
                }
            }
        }
        for key in &mine {
            put(&mut state, key, wanted);
        }
        if state.to_string() != kept {
            write(&self.state, &state.to_string())
                .map_err(|e| format!("the settings were not saved: {}: {e}", self.state.display()))?;
        }
        Ok(elsewhere)
    }

    /// Tells of the settings whenever one of the files has changed.
    pub(crate) async fn watch(self, changed: mpsc::Sender<Result<Dashboard, String>>) {
        let mut seen = self.stamps().await;
        while !changed.is_closed() {
            tokio::time::sleep(LOOK).await;
            let now = self.stamps().await;
            if now == seen {
                continue;
            }
            seen = now;
            let file = self.clone();
            let read = tokio::task::spawn_blocking(move || file.read().map_err(|e| e.to_string())).await;
            let Ok(answer) = read else { return };
            if changed.send(answer).await.is_err() {
                return;
            }
        }
    }

    /// What changes when a file does: which one it is, how long, and when it was written.
    async fn stamps(&self) -> [Option<(u64, u64, i64, i64)>; 2] {
        let stamp = async |path: &Path| {
            let about = tokio::fs::metadata(path).await.ok()?;
            Some((about.ino(), about.len(), about.mtime(), about.mtime_nsec()))
        };
        [stamp(&self.config).await, stamp(&self.state).await]
    }
}

/// A file that can be taken, as a document; an empty one where there is none.
fn checked(path: &Path, named: bool) -> Result<DocumentMut, UserError> {
    let Some(text) = config_file::read(path, named)? else { return Ok(DocumentMut::new()) };
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    Config::from_toml(text).map_err(|e| UserError::with_hint(format!("{}:{e}", path.display()), HINT))?;
    text.parse().map_err(|_| UserError::new(format!("{} is no TOML", path.display())))
}

fn section(document: &DocumentMut) -> Option<&dyn TableLike> {
    document.get(SECTION)?.as_table_like()
}

/// The section, made where there is none.
fn section_mut(document: &mut DocumentMut) -> &mut dyn TableLike {
    let root = document.as_table_mut();
    if root.get(SECTION).is_none_or(|item| !item.is_table_like()) {
        root.insert(SECTION, Item::Table(Table::new()));
    }
    match root.get_mut(SECTION).and_then(Item::as_table_like_mut) {
        Some(section) => section,
        None => unreachable!("the section was just made"),
    }
}

/// Every key of the section.
const KEYS: [&str; 20] = [
    "theme",
    "up_color",
    "ascii",
    "graphs",
    "animations",
    "bell",
    "mouse",
    OURS,
    REMEMBERED[0],
    REMEMBERED[1],
    REMEMBERED[2],
    REMEMBERED[3],
    REMEMBERED[4],
    "columns",
    "watchlist",
    "order",
    "watchlists",
    "currency",
    "holdings",
    "keys",
];

/// What a key is to hold.
fn item(key: &str, settings: &Dashboard) -> Item {
    let list = |words: &mut dyn Iterator<Item = String>| Value::Array(words.collect::<Array>());
    let value = match key {
        "theme" => settings.theme.as_str().into(),
        "up_color" => settings.up_color.as_str().into(),
        "ascii" => settings.ascii.into(),
        "graphs" => settings.graphs.as_str().into(),
        "animations" => settings.animations.into(),
        "bell" => settings.bell.into(),
        "mouse" => settings.mouse.into(),
        "hints" => settings.hints.into(),
        "chart_range" => settings.chart_range.as_str().into(),
        "chart_style" => settings.chart_style.as_str().into(),
        "chart_studies" => settings.chart_studies.as_str().into(),
        "chart_volume" => settings.chart_volume.into(),
        "chart_compare" => settings.chart_compare.as_str().into(),
        "columns" => list(&mut settings.columns.iter().map(|c| c.as_str().to_owned())),
        "watchlist" => settings.watchlist.as_str().into(),
        "order" => list(&mut settings.order.iter().map(ToString::to_string)),
        "currency" => settings.currency.as_str().into(),
        "watchlists" => {
            let lists = settings.watchlists.iter();
            return table(
                lists.map(|(name, symbols)| (name.clone(), list(&mut symbols.iter().map(ToString::to_string)))),
            );
        }
        "holdings" => return table(settings.holdings.iter().map(|(s, h)| (s.to_string(), holding(h)))),
        _ => {
            let keys = settings.keys.iter();
            return table(keys.map(|(action, keys)| (action.clone(), list(&mut keys.all().iter().cloned()))));
        }
    };
    Item::Value(value)
}

fn table(entries: impl Iterator<Item = (String, Value)>) -> Item {
    let mut table = Table::new();
    for (key, value) in entries {
        table.insert(&key, Item::Value(value));
    }
    Item::Table(table)
}

fn holding(holding: &Holding) -> Value {
    let mut table = InlineTable::new();
    table.insert("quantity", holding.quantity.to_string().into());
    if let Some(cost) = holding.cost {
        table.insert("cost", cost.to_string().into());
    }
    Value::InlineTable(table)
}

/// Puts a key's new value in the place of the old one, with the comments that stand there.
fn put(document: &mut DocumentMut, key: &str, wanted: &Dashboard) {
    let section = section_mut(document);
    match (item(key, wanted), section.get_mut(key)) {
        (Item::Table(new), Some(old)) if old.is_table_like() => {
            let Some(old) = old.as_table_like_mut() else { return };
            let gone: Vec<String> =
                old.iter().map(|(name, _)| name.to_owned()).filter(|name| !new.contains_key(name)).collect();
            for name in &gone {
                old.remove(name);
            }
            for (name, value) in new {
                replace(old, &name, value);
            }
        }
        (new, _) => replace(section, key, new),
    }
}

fn replace(table: &mut dyn TableLike, key: &str, mut new: Item) {
    match table.get_mut(key) {
        Some(old) => {
            if old.to_string().trim() == new.to_string().trim() {
                return;
            }
            if let (Some(old), Some(new)) = (old.as_value(), new.as_value_mut()) {
                *new.decor_mut() = old.decor().clone();
            }
            *old = new;
        }
        None => drop(table.insert(key, new)),
    }
}

/// Writes a file whole or not at all, with the permissions that it has; a new one is its owner's alone.
fn write(path: &Path, text: &str) -> io::Result<()> {
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let mode = match fs::metadata(&path) {
        Ok(about) if about.permissions().readonly() => return Err(io::ErrorKind::PermissionDenied.into()),
        Ok(about) => about.permissions().mode() & 0o777,
        Err(_) => 0o600,
    };
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(text.as_bytes())?;
    file.as_file().set_permissions(fs::Permissions::from_mode(mode))?;
    file.as_file().sync_all()?;
    file.persist(&path).map(drop).map_err(|e| e.error)
}

#[cfg(test)]
mod tests {
    use bellwether_core::config::dashboard::{Column, Theme};

    use super::*;

    fn lab(text: Option<&str>) -> (tempfile::TempDir, SettingsFile) {
        let folder = tempfile::tempdir().expect("a folder");
        let config = folder.path().join("config").join("config.toml");
        if let Some(text) = text {
            fs::create_dir_all(config.parent().expect("a folder")).expect("made");
            fs::write(&config, text).expect("written");
        }
        let state = folder.path().join("dashboard.toml");
        (folder, SettingsFile { config, named: false, state })
    }

    const WRITTEN: &str = "# mine\n[user]\ntimezone = \"Europe/Berlin\" # home\n\n[dashboard]\n# as dark as it gets\ntheme = \"dark\" # really\n\n[dashboard.watchlists]\n# work\ntech = [\"AAPL\"] # two\n";

    fn changed(settings: &Dashboard) -> Dashboard {
        let mut settings = settings.clone();
        settings.theme = Theme::Light;
        settings.columns = vec![Column::Price, Column::Age];
        settings.watchlists.insert("coins".to_owned(), vec!["BTC".parse().expect("a symbol")]);
        let holding =
            Holding { quantity: "0.25".parse().expect("a number"), cost: Some("41200.50".parse().expect("one")) };
        settings.holdings.insert("BTC".parse().expect("a symbol"), holding);
        settings
    }

    #[test]
    fn what_is_saved_is_read_again_and_every_comment_stays() {
        let (_folder, file) = lab(Some(WRITTEN));
        let wanted = changed(&file.read().expect("sensible"));
        assert_eq!(file.save(&wanted), Ok(None));
        assert_eq!(file.read().expect("sensible"), wanted);
        let text = fs::read_to_string(&file.config).expect("text");
        for kept in [
            "# mine",
            "timezone = \"Europe/Berlin\" # home",
            "# as dark as it gets",
            "theme = \"light\" # really",
            "# work\ntech = [\"AAPL\"] # two",
        ] {
            assert!(text.contains(kept), "{kept}\n{text}");
        }
        assert!(!text.contains("animations"), "what was not changed is not written: {text}");
        assert!(!file.state.exists());
        let mut less = wanted.clone();
        less.watchlists.remove("tech");
        less.holdings.clear();
        assert_eq!((file.save(&less), file.read().ok()), (Ok(None), Some(less)));
    }

    #[test]
    fn without_a_file_one_is_made_that_is_its_owners_alone() {
        let (_folder, file) = lab(None);
        let wanted = changed(&file.read().expect("defaults"));
        assert_eq!((file.save(&wanted), file.read().ok()), (Ok(None), Some(wanted)));
        assert_eq!(fs::metadata(&file.config).expect("a file").permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_file_that_cannot_be_written_gives_way_to_the_data_folder() {
        let (_folder, file) = lab(Some(WRITTEN));
        fs::set_permissions(&file.config, fs::Permissions::from_mode(0o444)).expect("chmod");
        let wanted = changed(&file.read().expect("sensible"));
        let said = file.save(&wanted).expect("saved").expect("elsewhere");
        assert!(said.contains("dashboard.toml, which is stronger"), "{said}");
        assert_eq!(file.read().ok().as_ref(), Some(&wanted));
        assert_eq!(fs::read_to_string(&file.config).expect("text"), WRITTEN);
        fs::set_permissions(&file.config, fs::Permissions::from_mode(0o644)).expect("chmod");
        let dark = Dashboard { theme: Theme::Dark, ..wanted };
        let dark = Dashboard { theme: Theme::ColorBlind, ..dark };
        assert_eq!((file.save(&dark), file.read().ok().map(|s| s.theme)), (Ok(None), Some(Theme::ColorBlind)));
        assert!(!fs::read_to_string(&file.state).expect("text").contains("theme"), "it holds nothing old");
    }

    #[test]
    fn that_hints_were_seen_is_no_reason_for_a_configuration_file() {
        let (_folder, file) = lab(None);
        let seen = Dashboard { hints: false, ..Dashboard::default() };
        assert_eq!((file.save(&seen), file.read().ok().map(|s| s.hints)), (Ok(None), Some(false)));
        assert!(!file.config.exists());
    }

    #[test]
    fn how_the_chart_was_left_is_remembered_beside_the_file_unless_the_file_names_it() {
        use bellwether_core::config::dashboard::{ChartStyle, Range};
        let (_folder, file) = lab(Some("[dashboard]\nchart_style = \"line\" # calm\n"));
        let mut wanted = file.read().expect("sensible");
        assert_eq!((wanted.chart_style, wanted.chart_range), (ChartStyle::Line, Range::Day));
        (wanted.chart_style, wanted.chart_range, wanted.chart_compare) = (ChartStyle::Area, Range::Year, "ETH".into());
        assert_eq!((file.save(&wanted), file.read().ok().as_ref()), (Ok(None), Some(&wanted)));
        let text = |path: &Path| fs::read_to_string(path).expect("text");
        assert_eq!(text(&file.config), "[dashboard]\nchart_style = \"area\" # calm\n");
        assert!(text(&file.state).contains("chart_range = \"1Y\""), "{}", text(&file.state));
        fs::write(&file.config, "[dashboard]\nchart_compare = \" ETH\"\n").expect("written");
        fs::remove_file(&file.state).expect("gone");
        assert!(file.read().expect_err("no symbol").to_string().contains("chart_compare"));
    }

    #[test]
    fn a_mistake_is_named_with_its_place_and_nothing_is_overwritten() {
        let broken = "[dashboard]\ntheme = 'drak'\n";
        let (_folder, file) = lab(Some(broken));
        let said = file.read().expect_err("a mistake").to_string();
        assert!(said.contains("config.toml:2:9: unknown variant `drak`"), "{said}");
        assert!(file.save(&changed(&Dashboard::default())).is_err());
        assert_eq!(fs::read_to_string(&file.config).expect("text"), broken);
        let (_folder, file) = lab(Some("[dashboard.keys]\nnew_alrt = 'n'\n"));
        assert!(file.read().expect_err("a mistake").to_string().contains("did you mean `new_alert`?"));
    }

    #[tokio::test]
    async fn a_change_is_told_while_the_dashboard_runs() {
        let (_folder, file) = lab(Some(WRITTEN));
        let (out, mut told) = mpsc::channel(1);
        let watching = tokio::spawn(file.clone().watch(out));
        let mut tried = 0;
        // The watch may begin after the first change; then it sees the next one.
        let answer = loop {
            tried += 1;
            fs::write(&file.config, format!("[dashboard]\nascii = true\n{}", "#".repeat(tried))).expect("written");
            match tokio::time::timeout(Duration::from_secs(5), told.recv()).await {
                Ok(answer) => break answer,
                Err(_) => assert!(tried < 20, "never told"),
            }
        };
        assert!(answer.expect("the watch goes on").expect("sensible").ascii);
        watching.abort();
    }
}
