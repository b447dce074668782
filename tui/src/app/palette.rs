//! The command palette: everything that can be done or gone to, found by a few letters. With nothing typed it is the menu of what
//! can be done here, which is also what the right mouse button opens.

use bellwether_core::{alert::AlertId, instrument::Symbol};

use super::{
    Action, App, Context, Cursor, Effect, Line, Screen, fuzzy,
    keymap::{self, Binding},
    keys, settings, update,
};

/// How many entries are kept.
const MOST: usize = 60;

/// One entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// Something to do, on the screen where it means something.
    Do(Context, Action),
    /// An instrument to go to.
    Instrument(Symbol),
    /// An alert to go to.
    Alert(AlertId),
    /// A setting to change.
    Setting(settings::Row),
}

/// What is typed and what it stands for, best first.
#[derive(Clone, Debug)]
pub(crate) struct Palette {
    pub(crate) line: Line,
    pub(crate) results: Vec<Command>,
    pub(crate) cursor: Cursor<Command>,
    /// Whether only what can be done here is offered.
    pub(crate) menu: bool,
    /// The cell where a menu was asked for: column and row.
    pub(crate) at: Option<(u16, u16)>,
}

impl Palette {
    /// The palette, with nothing typed yet.
    pub(crate) fn new(app: &App) -> Self {
        let mut palette =
            Self { line: Line::default(), results: Vec::new(), cursor: Cursor::default(), menu: false, at: None };
        palette.search(app);
        palette
    }

    /// What can be done here, for the right mouse button in this cell.
    pub(crate) fn menu(app: &App, at: (u16, u16)) -> Self {
        let mut palette = Self { menu: true, at: Some(at), ..Self::new(app) };
        palette.search(app);
        palette
    }

    /// Looks again, after the text has changed.
    pub(crate) fn search(&mut self, app: &App) {
        let here = Context::of_screen(app.screen);
        let mut commands: Vec<(Command, String)> =
            actions(app, here).map(|b| (Command::Do(b.context, b.action), title(b, here))).collect();
        if self.menu {
            commands.retain(|(command, _)| matches!(command, Command::Do(context, _) if *context == here));
        } else {
            commands.extend(
                settings::rows(app)
                    .into_iter()
                    .map(|row| (Command::Setting(row), format!("setting {} {}", row.label(), row.key()))),
            );
            if !self.line.text().is_empty() {
                commands.extend(app.rows.iter().map(|&s| {
                    let name = app.instrument(s).map_or("", |i| &i.name);
                    (Command::Instrument(s), format!("{s} {name}"))
                }));
                commands.extend(app.picture().alerts().map(|row| {
                    let note = row.alert.rule.note.as_deref().unwrap_or_default();
                    let words = format!("{} {} {note}", row.alert.id, row.alert.rule.condition_text());
                    (Command::Alert(row.alert.id), words)
                }));
            }
        }
        let wanted = self.line.text().trim();
        let exact = |c: &Command| matches!(c, Command::Instrument(s) if s.as_str().eq_ignore_ascii_case(wanted));
        self.results = fuzzy::rank(commands, wanted, exact, MOST);
        self.cursor = Cursor::default();
    }
}

/// What can be done, the present screen first. Moving about is left out: whoever reads the list is doing it.
fn actions(app: &App, here: Context) -> impl Iterator<Item = &'static Binding> {
    let mut contexts = vec![here, Context::Everywhere];
    contexts.extend(Screen::ALL.map(Context::of_screen).into_iter().filter(|c| *c != here));
    let mut seen: Vec<(Action, &str)> = Vec::new();
    let readonly = app.readonly;
    contexts.into_iter().flat_map(move |c| keymap::bindings(c, readonly)).filter(move |b| {
        let moves = matches!(
            b.action,
            Action::Up
                | Action::Down
                | Action::Top
                | Action::Bottom
                | Action::PageUp
                | Action::PageDown
                | Action::Back
                | Action::Palette
        );
        let new = !seen.contains(&(b.action, b.help));
        seen.push((b.action, b.help));
        !moves && new
    })
}

/// The words of an action: what it does, and on which screen where that is another one.
pub(crate) fn title(binding: &Binding, here: Context) -> String {
    let elsewhere = binding.context != here && binding.context != Context::Everywhere;
    if elsewhere { format!("{}: {}", binding.context.name(), binding.help) } else { binding.help.to_owned() }
}

/// Does what was chosen.
pub(super) fn run(app: &mut App, command: Command) -> Vec<Effect> {
    match command {
        Command::Do(context, action) => {
            let mut effects = Vec::new();
            if let Some(screen) = Screen::ALL.into_iter().find(|s| Context::of_screen(*s) == context)
                && screen != app.screen
            {
                effects.append(&mut update::go(app, screen));
            }
            effects.append(&mut keys::act(app, action));
            return effects;
        }
        Command::Instrument(symbol) => keys::to_instrument(app, symbol),
        Command::Alert(id) => keys::to_alert(app, id),
        Command::Setting(row) => settings::open(app, Some(row)),
    }
    app.moved_at = app.now;
    Vec::new()
}

/// What a key means in the palette.
pub(super) fn on_action(app: &mut App, mut palette: Box<Palette>, action: Action) -> Vec<Effect> {
    match action {
        Action::Back => return Vec::new(),
        Action::Accept => return palette.cursor.of(&palette.results).map_or(Vec::new(), |command| run(app, command)),
        Action::Up => drop(palette.cursor.step(&palette.results, -1)),
        Action::Down => drop(palette.cursor.step(&palette.results, 1)),
        Action::PageUp => drop(palette.cursor.step(&palette.results, -8)),
        Action::PageDown => drop(palette.cursor.step(&palette.results, 8)),
        action => {
            let before = palette.line.clone();
            keys::edit(&mut palette.line, action);
            if palette.line != before {
                palette.search(app);
            }
        }
    }
    app.overlay = Some(super::Overlay::Palette(palette));
    Vec::new()
}
