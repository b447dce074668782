//! The settings: what the configuration says, changed on the screen with everything in sight, and saved where it came from.

use bellwether_core::{
    board::{Board, Snapshot},
    config::{
        Dashboard,
        dashboard::{ALL, Column, Graphs, Theme, UpColor},
    },
    event::Ticker,
};

use super::{Action, App, Cursor, Effect, Overlay, Tone, look::Variables, rebind::Rebound};

/// The currencies that are offered; the configuration takes any.
const CURRENCIES: [&str; 9] = ["USD", "EUR", "GBP", "JPY", "CHF", "INR", "CAD", "AUD", "CNY"];

/// One line of the settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Row {
    Theme,
    UpColor,
    Ascii,
    Graphs,
    Animations,
    Bell,
    Mouse,
    Watchlist,
    Currency,
    Hints,
    /// Whether a column is shown, and where.
    Column(Column),
}

impl Row {
    /// What it is about.
    pub(crate) fn label(self) -> String {
        match self {
            Self::Theme => "Colours".to_owned(),
            Self::UpColor => "Colour of a rise".to_owned(),
            Self::Ascii => "Plain characters only".to_owned(),
            Self::Graphs => "Small pictures".to_owned(),
            Self::Animations => "Changed digits flash".to_owned(),
            Self::Bell => "Bell when an alert fires".to_owned(),
            Self::Mouse => "Mouse".to_owned(),
            Self::Watchlist => "First watchlist".to_owned(),
            Self::Currency => "Currency of holdings".to_owned(),
            Self::Hints => "Hints of the first run".to_owned(),
            Self::Column(column) => format!("Column {}", column.as_str()),
        }
    }

    /// Its key in the configuration file.
    pub(crate) const fn key(self) -> &'static str {
        match self {
            Self::Theme => "dashboard.theme",
            Self::UpColor => "dashboard.up_color",
            Self::Ascii => "dashboard.ascii",
            Self::Graphs => "dashboard.graphs",
            Self::Animations => "dashboard.animations",
            Self::Bell => "dashboard.bell",
            Self::Mouse => "dashboard.mouse",
            Self::Watchlist => "dashboard.watchlist",
            Self::Currency => "dashboard.currency",
            Self::Hints => "dashboard.hints",
            Self::Column(_) => "dashboard.columns",
        }
    }

    /// What it is now.
    pub(crate) fn value(self, settings: &Dashboard) -> String {
        let on = |on: bool| if on { "on" } else { "off" }.to_owned();
        match self {
            Self::Theme => settings.theme.as_str().to_owned(),
            Self::UpColor => settings.up_color.as_str().to_owned(),
            Self::Ascii => on(settings.ascii),
            Self::Graphs => settings.graphs.as_str().to_owned(),
            Self::Animations => on(settings.animations),
            Self::Bell => on(settings.bell),
            Self::Mouse => on(settings.mouse),
            Self::Watchlist => settings.watchlist.clone(),
            Self::Currency => settings.currency.clone(),
            Self::Hints => on(settings.hints),
            Self::Column(column) => match settings.columns.iter().position(|c| *c == column) {
                Some(place) => format!("{}.", place + 1),
                None => "off".to_owned(),
            },
        }
    }

    /// Goes on to its next value, or back to the one before.
    fn step(self, settings: &mut Dashboard, forward: bool) {
        fn turn<T: Clone + PartialEq>(value: &mut T, all: &[T], forward: bool) {
            let by = if forward { 1 } else { all.len().saturating_sub(1) };
            let at = all.iter().position(|v| v == value);
            let next = at.map_or(0, |at| (at + by) % all.len().max(1));
            if let Some(next) = all.get(next) {
                *value = next.clone();
            }
        }
        match self {
            Self::Theme => turn(&mut settings.theme, Theme::ALL, forward),
            Self::UpColor => turn(&mut settings.up_color, UpColor::ALL, forward),
            Self::Ascii => settings.ascii = !settings.ascii,
            Self::Graphs => turn(&mut settings.graphs, Graphs::ALL, forward),
            Self::Animations => settings.animations = !settings.animations,
            Self::Bell => settings.bell = !settings.bell,
            Self::Mouse => settings.mouse = !settings.mouse,
            Self::Watchlist => {
                let names: Vec<String> =
                    std::iter::once(ALL.to_owned()).chain(settings.watchlists.keys().cloned()).collect();
                turn(&mut settings.watchlist, &names, forward);
            }
            Self::Currency => turn(&mut settings.currency, &CURRENCIES.map(str::to_owned), forward),
            Self::Hints => settings.hints = !settings.hints,
            Self::Column(column) => {
                if settings.columns.contains(&column) {
                    settings.columns.retain(|c| *c != column);
                } else {
                    settings.columns.push(column);
                }
            }
        }
    }
}

/// All lines, the columns in their order.
pub(crate) fn rows(app: &App) -> Vec<Row> {
    let mut rows = vec![
        Row::Theme,
        Row::UpColor,
        Row::Ascii,
        Row::Graphs,
        Row::Animations,
        Row::Bell,
        Row::Mouse,
        Row::Watchlist,
        Row::Currency,
        Row::Hints,
    ];
    let hidden = Column::ALL.iter().filter(|c| !app.settings.columns.contains(c));
    rows.extend(app.settings.columns.iter().chain(hidden).map(|c| Row::Column(*c)));
    rows
}

/// The settings being changed.
#[derive(Clone, Debug)]
pub(crate) struct Changing {
    /// How everything was.
    before: Dashboard,
    pub(crate) cursor: Cursor<Row>,
}

/// Opens the settings, at this line.
pub(super) fn open(app: &mut App, row: Option<Row>) {
    let mut cursor = Cursor::default();
    if let Some(row) = row {
        cursor.put(row);
    }
    app.overlay = Some(Overlay::Settings(Box::new(Changing { before: app.settings.clone(), cursor })));
}

/// What a key means in the settings. Each change is seen at once; Esc takes all of them back.
pub(super) fn on_action(app: &mut App, mut changing: Box<Changing>, action: Action) -> Vec<Effect> {
    let rows = rows(app);
    let row = changing.cursor.of(&rows);
    match action {
        Action::Back => {
            let before = changing.before;
            adopt(app, before);
            return Vec::new();
        }
        Action::Accept => {
            if app.settings == changing.before {
                return Vec::new();
            }
            let mouse = app.settings.mouse;
            let mut effects = save(app);
            if mouse != app.mouse {
                app.mouse = mouse;
                effects.push(Effect::Mouse(mouse));
            }
            return effects;
        }
        Action::Up => drop(changing.cursor.step(&rows, -1)),
        Action::Down => drop(changing.cursor.step(&rows, 1)),
        Action::PageUp => drop(changing.cursor.step(&rows, -8)),
        Action::PageDown => drop(changing.cursor.step(&rows, 8)),
        Action::Left | Action::Right => {
            if let Some(row) = row {
                let mut settings = app.settings.clone();
                row.step(&mut settings, action == Action::Right);
                adopt(app, settings);
                changing.cursor.put(row);
            }
        }
        Action::RowUp | Action::RowDown => {
            if let Some(row @ Row::Column(column)) = row {
                let mut settings = app.settings.clone();
                swap(&mut settings.columns, &column, action == Action::RowDown);
                adopt(app, settings);
                changing.cursor.put(row);
            }
        }
        _ => {}
    }
    app.overlay = Some(Overlay::Settings(changing));
    Vec::new()
}

/// Puts a thing in the place of its neighbour. Says whether there was one.
pub(super) fn swap<T: PartialEq>(list: &mut [T], thing: &T, down: bool) -> bool {
    let Some(at) = list.iter().position(|t| t == thing) else { return false };
    let to = if down { at + 1 } else { at.wrapping_sub(1) };
    let possible = to < list.len();
    if possible {
        list.swap(at, to);
    }
    possible
}

/// Takes settings over: look, keys, rows. Keys that cannot be meant leave the keys as they are.
pub(super) fn adopt(app: &mut App, settings: Dashboard) {
    match Rebound::read(&settings.keys) {
        Ok(keys) => app.keys = keys,
        Err(wrong) => app.toasts.push(Tone::Trouble, wrong.to_string(), app.now),
    }
    app.chart.follow(&app.settings, &settings);
    app.look = super::Look::new(&settings, &app.variables);
    if !settings.watchlists.contains_key(&app.list) {
        ALL.clone_into(&mut app.list);
    }
    app.settings = settings;
    app.refill_rows();
}

/// Has the present settings saved.
pub(super) fn save(app: &mut App) -> Vec<Effect> {
    if app.readonly {
        return Vec::new();
    }
    app.saving += 1;
    vec![Effect::SaveSettings(Box::new(app.settings.clone()))]
}

/// Changes the settings and has them saved.
pub(super) fn change(app: &mut App, change: impl FnOnce(&mut Dashboard)) -> Vec<Effect> {
    let mut settings = app.settings.clone();
    change(&mut settings);
    if settings == app.settings {
        return Vec::new();
    }
    adopt(app, settings);
    save(app)
}

/// What was read from the file: at the start, or because it has changed meanwhile. While the settings are open, they are what counts.
pub(super) fn on_read(app: &mut App, answer: Result<Dashboard, String>) -> Vec<Effect> {
    match answer {
        // It is on its way to what the screen shows; should somebody else have changed it too, the next look tells.
        Ok(settings) if settings == app.settings || app.saving > 0 => {}
        Ok(settings) => {
            if let Some(Overlay::Settings(changing)) = &mut app.overlay {
                changing.before = settings;
            } else {
                adopt(app, settings);
                app.toasts.push(Tone::Info, "the configuration has changed: the dashboard follows it", app.now);
            }
        }
        Err(sentence) => {
            let sentence = bellwether_core::text::sanitize(&sentence);
            app.toasts.push(Tone::Trouble, format!("{sentence}; the settings stay as they were"), app.now);
        }
    }
    Vec::new()
}

impl App {
    /// Takes the user's settings and the variables over, before the first frame.
    pub(crate) fn configure(&mut self, settings: Dashboard, variables: Variables) {
        self.variables = variables;
        self.list.clone_from(&settings.watchlist);
        self.mouse = settings.mouse;
        adopt(self, settings);
    }

    /// Shows prices of an earlier time until newer ones come.
    pub(crate) fn remember(&mut self, prices: Vec<Ticker>) {
        if !self.synced && !prices.is_empty() {
            self.board = Board::from_snapshot(Snapshot { prices, ..Snapshot::default() });
            self.refill_rows();
        }
    }
}
