//! The one table of keys. Dispatch, the hints in the last line and the help screen all read it.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::{Screen, Sort};

/// Where a key means something. On a screen its own keys and those of [`Context::Everywhere`] apply; an overlay has only its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Context {
    /// On every screen.
    Everywhere,
    /// On the Watch screen.
    Watch,
    /// On the Chart screen.
    Chart,
    /// On the Alerts screen.
    Alerts,
    /// On the History screen.
    History,
    /// On the Health screen.
    Health,
    /// In the alert line.
    Entry,
    /// In the alert line as a form.
    Form,
    /// In the search.
    Find,
    /// In the help.
    Help,
    /// In the explanation of an alert.
    Explain,
    /// Choosing for how long an alert is silent.
    Snooze,
    /// With a line of the chart in the hand.
    Level,
    /// In the command palette.
    Palette,
    /// In a line that is asked for: a filter, a name, a holding.
    Prompt,
    /// In the choice of the order of rows.
    Order,
    /// In the settings.
    Settings,
}

impl Context {
    pub(crate) const ALL: [Self; 17] = [
        Self::Everywhere,
        Self::Watch,
        Self::Chart,
        Self::Alerts,
        Self::History,
        Self::Health,
        Self::Entry,
        Self::Form,
        Self::Find,
        Self::Help,
        Self::Explain,
        Self::Snooze,
        Self::Level,
        Self::Palette,
        Self::Prompt,
        Self::Order,
        Self::Settings,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Everywhere => "Everywhere",
            Self::Watch => "Watch",
            Self::Chart => "Chart",
            Self::Alerts => "Alerts",
            Self::History => "History",
            Self::Health => "Health",
            Self::Entry => "Writing an alert",
            Self::Form => "Alert as a form",
            Self::Find => "Finding",
            Self::Help => "Help",
            Self::Explain => "Why not fired",
            Self::Snooze => "Snoozing",
            Self::Level => "Moving a line",
            Self::Palette => "Commands",
            Self::Prompt => "Filter, name, holding",
            Self::Order => "Order of rows",
            Self::Settings => "Settings",
        }
    }

    /// Whether its keys are those of a screen, and so the user's to change.
    pub(crate) const fn is_screen(self) -> bool {
        matches!(self, Self::Everywhere | Self::Watch | Self::Chart | Self::Alerts | Self::History | Self::Health)
    }

    pub(crate) const fn of_screen(screen: Screen) -> Self {
        match screen {
            Screen::Watch => Self::Watch,
            Screen::Chart => Self::Chart,
            Screen::Alerts => Self::Alerts,
            Screen::History => Self::History,
            Screen::Health => Self::Health,
        }
    }
}

/// What a key does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Screen(Screen),
    NextPane,
    PreviousPane,
    Up,
    Down,
    Top,
    Bottom,
    PageUp,
    PageDown,
    Open,
    Back,
    Find,
    NewAlert,
    EditAlert,
    DeleteAlert,
    Undo,
    PauseAlert,
    Sort,
    ReverseSort,
    /// Sorts by this.
    SortBy(Sort),
    Filter,
    ClearFilter,
    RowUp,
    RowDown,
    NextList,
    PreviousList,
    NewList,
    AddRow,
    RemoveRow,
    Holding,
    Palette,
    Settings,
    StartDaemon,
    NextRange,
    PreviousRange,
    Expand,
    Explain,
    Snooze,
    Snooze15m,
    Snooze1h,
    SnoozeOpen,
    SnoozeTomorrow,
    SnoozeEnd,
    Acknowledge,
    AcknowledgeAll,
    Copy,
    NewLevel,
    NextLevel,
    PreviousLevel,
    FarUp,
    FarDown,
    PanBack,
    PanOn,
    ZoomIn,
    ZoomOut,
    ZoomReset,
    ChartStyle,
    Studies,
    Volume,
    Compare,
    Freeze,
    TestChannel,
    SetUpChannel,
    Resend,
    Retry,
    Mouse,
    Help,
    Redraw,
    Quit,
    Accept,
    Complete,
    CompleteBack,
    Left,
    Right,
    Home,
    End,
    Backspace,
    Delete,
    DeleteWord,
    DeleteToStart,
    SaveAndTest,
    AsForm,
    WaitForNext,
}

/// A key with the modifier that matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Chord {
    pub(super) code: KeyCode,
    pub(super) control: bool,
    /// Only of keys that have no character: in a character it is already.
    pub(super) shift: bool,
}

impl Chord {
    /// The chord of a key press. Shift is in the character already; Alt and the rest are nobody's.
    pub(crate) fn of(key: KeyEvent) -> Self {
        let code = match key.code {
            KeyCode::Tab if key.modifiers.contains(KeyModifiers::SHIFT) => KeyCode::BackTab,
            code => code,
        };
        let shift = matches!(code, KeyCode::Up | KeyCode::Down) && key.modifiers.contains(KeyModifiers::SHIFT);
        Self { code, control: key.modifiers.contains(KeyModifiers::CONTROL), shift }
    }

    /// How people write it.
    pub(crate) fn label(self) -> String {
        let name = match self.code {
            KeyCode::Char(' ') => "Space".to_owned(),
            KeyCode::Char(c) if self.control => c.to_ascii_uppercase().to_string(),
            KeyCode::Char(c) => c.to_string(),
            KeyCode::Up => "↑".to_owned(),
            KeyCode::Down => "↓".to_owned(),
            KeyCode::Left => "←".to_owned(),
            KeyCode::Right => "→".to_owned(),
            KeyCode::PageUp => "PgUp".to_owned(),
            KeyCode::PageDown => "PgDn".to_owned(),
            KeyCode::Delete => "Del".to_owned(),
            KeyCode::BackTab => "Shift-Tab".to_owned(),
            KeyCode::F(n) => format!("F{n}"),
            code => format!("{code:?}"),
        };
        match (self.control, self.shift) {
            (true, _) => format!("Ctrl-{name}"),
            (false, true) => format!("Shift-{name}"),
            (false, false) => name,
        }
    }
}

/// One line of the table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Binding {
    pub(crate) context: Context,
    pub(crate) chords: &'static [Chord],
    pub(crate) action: Action,
    /// What it does, for the help.
    pub(crate) help: &'static str,
    /// The word in the last line; none where it is not shown there.
    pub(crate) hint: Option<&'static str>,
    /// Whether it changes something, so that `--readonly` hides it.
    pub(crate) writes: bool,
}

const fn c(c: char) -> Chord {
    Chord { code: KeyCode::Char(c), control: false, shift: false }
}

const fn ctrl(c: char) -> Chord {
    Chord { code: KeyCode::Char(c), control: true, shift: false }
}

const fn k(code: KeyCode) -> Chord {
    Chord { code, control: false, shift: false }
}

const fn shift(code: KeyCode) -> Chord {
    Chord { code, control: false, shift: true }
}

const fn bind(
    context: Context,
    chords: &'static [Chord],
    action: Action,
    help: &'static str,
    hint: Option<&'static str>,
) -> Binding {
    let writes = matches!(
        action,
        Action::NewAlert
            | Action::NewLevel
            | Action::Snooze
            | Action::Acknowledge
            | Action::AcknowledgeAll
            | Action::EditAlert
            | Action::DeleteAlert
            | Action::Undo
            | Action::PauseAlert
            | Action::TestChannel
            | Action::SetUpChannel
            | Action::Resend
            | Action::RowUp
            | Action::RowDown
            | Action::NewList
            | Action::AddRow
            | Action::RemoveRow
            | Action::Holding
            | Action::StartDaemon
    );
    Binding { context, chords, action, help, hint, writes }
}

const UP: &[Chord] = &[k(KeyCode::Up), c('k')];
const DOWN: &[Chord] = &[k(KeyCode::Down), c('j')];
const ESC: &[Chord] = &[k(KeyCode::Esc)];
const ENTER: &[Chord] = &[k(KeyCode::Enter)];
const DELETE: &[Chord] = &[c('d'), k(KeyCode::Delete)];

/// Every key.
pub(crate) const KEYMAP: &[Binding] = &{
    use Action as A;
    use Context as C;
    [
        // Watch
        bind(C::Watch, ENTER, A::Open, "open the chart of the instrument", Some("chart")),
        bind(C::Watch, &[c('a')], A::NewAlert, "new alert for the instrument", Some("alert")),
        bind(C::Watch, &[c('e')], A::EditAlert, "edit the alert", None),
        bind(C::Watch, DELETE, A::DeleteAlert, "delete the alert", None),
        bind(C::Watch, &[c(' ')], A::PauseAlert, "pause or resume the alert", None),
        bind(C::Watch, &[c('w')], A::Explain, "why the alert has not fired", Some("why")),
        bind(C::Watch, &[c('f')], A::Filter, "filter the rows: > 100, +2% in 24h, crypto", Some("filter")),
        bind(C::Watch, &[c('F')], A::ClearFilter, "show all rows again", None),
        bind(C::Watch, &[c('o')], A::Sort, "order of rows: o and a letter", Some("sort")),
        bind(C::Watch, &[c('O')], A::ReverseSort, "reverse the order", None),
        bind(C::Watch, &[c('K'), shift(KeyCode::Up)], A::RowUp, "move the row up", None),
        bind(C::Watch, &[c('J'), shift(KeyCode::Down)], A::RowDown, "move the row down", None),
        bind(C::Watch, &[c(']')], A::NextList, "next watchlist", None),
        bind(C::Watch, &[c('[')], A::PreviousList, "previous watchlist", None),
        bind(C::Watch, &[c('W')], A::NewList, "new watchlist", None),
        bind(C::Watch, &[c('+')], A::AddRow, "add an instrument", None),
        bind(C::Watch, &[c('-')], A::RemoveRow, "take the row off the watchlist", None),
        bind(C::Watch, &[c('H')], A::Holding, "how much of it you hold", None),
        bind(C::Watch, &[c('t')], A::NextRange, "longer range in the chart", Some("range")),
        bind(C::Watch, &[c('T')], A::PreviousRange, "shorter range in the chart", None),
        bind(C::Watch, &[c('E')], A::Expand, "the pane alone, and back", None),
        bind(C::Watch, &[c('z')], A::Snooze, "silence the alert for a while", None),
        bind(C::Watch, &[c('x')], A::Acknowledge, "acknowledge what the alert told", None),
        // Chart
        bind(C::Chart, &[c('a')], A::NewAlert, "new alert for the instrument", Some("alert")),
        bind(C::Chart, &[c('A')], A::NewLevel, "new alert line at the crosshair; Tab takes one", Some("line")),
        bind(C::Chart, &[k(KeyCode::Left)], A::Left, "crosshair left; ↑ ↓ its price, Esc away", None),
        bind(C::Chart, &[k(KeyCode::Right)], A::Right, "crosshair right", None),
        bind(C::Chart, &[c('t')], A::NextRange, "longer range", Some("range")),
        bind(C::Chart, &[c('T')], A::PreviousRange, "shorter range", None),
        bind(C::Chart, &[c('<')], A::PanBack, "back in time", None),
        bind(C::Chart, &[c('>')], A::PanOn, "on in time", None),
        bind(C::Chart, &[c('='), c('+')], A::ZoomIn, "zoom in", None),
        bind(C::Chart, &[c('_'), c('-')], A::ZoomOut, "zoom out", None),
        bind(C::Chart, &[c('0')], A::ZoomReset, "the whole range up to now", None),
        bind(C::Chart, &[c('c')], A::ChartStyle, "candles, line or area", Some("style")),
        bind(C::Chart, &[c('i')], A::Studies, "SMA, EMA, Bollinger bands, RSI", Some("indicators")),
        bind(C::Chart, &[c('v')], A::Volume, "what was traded, and not", Some("volume")),
        bind(C::Chart, &[c('C')], A::Compare, "compare with another instrument, and not", Some("compare")),
        bind(C::Chart, &[c('e')], A::EditAlert, "edit the alert", None),
        bind(C::Chart, DELETE, A::DeleteAlert, "delete the alert", None),
        bind(C::Chart, &[c(' ')], A::PauseAlert, "pause or resume the alert", None),
        bind(C::Chart, &[c('w')], A::Explain, "why the alert has not fired", Some("why")),
        // Alerts
        bind(C::Alerts, ENTER, A::Open, "go to its instrument", Some("go to")),
        bind(C::Alerts, &[c('a')], A::NewAlert, "new alert", Some("alert")),
        bind(C::Alerts, &[c('e')], A::EditAlert, "edit", Some("edit")),
        bind(C::Alerts, DELETE, A::DeleteAlert, "delete", Some("delete")),
        bind(C::Alerts, &[c(' ')], A::PauseAlert, "pause or resume", Some("pause")),
        bind(C::Alerts, &[c('w')], A::Explain, "why it has not fired", Some("why")),
        bind(C::Alerts, &[c('E')], A::Expand, "the list alone, and back", None),
        bind(C::Alerts, &[c('z')], A::Snooze, "silence it for a while", Some("snooze")),
        bind(C::Alerts, &[c('x')], A::Acknowledge, "acknowledge what it told", Some("seen")),
        bind(C::Alerts, &[c('X')], A::AcknowledgeAll, "acknowledge everything", None),
        // History
        bind(C::History, ENTER, A::Open, "go to its alert", Some("go to")),
        bind(C::History, &[c('w')], A::Explain, "explain its alert", Some("why")),
        bind(C::History, &[c('s')], A::Resend, "send its dead deliveries again", Some("send again")),
        bind(C::History, &[c('E')], A::Expand, "the list alone, and back", None),
        bind(C::History, &[c('x')], A::Acknowledge, "acknowledge the firing", Some("seen")),
        bind(C::History, &[c('X')], A::AcknowledgeAll, "acknowledge everything", None),
        // Health
        bind(C::Health, &[c('s')], A::TestChannel, "send a test over the channel", Some("send a test")),
        bind(C::Health, &[c('n')], A::SetUpChannel, "set up a channel: phone, mail, messenger", Some("new channel")),
        // Everywhere
        bind(C::Everywhere, &[c('1')], A::Screen(Screen::Watch), "Watch: prices, chart, alerts", None),
        bind(C::Everywhere, &[c('2')], A::Screen(Screen::Chart), "Chart: the instrument alone", None),
        bind(C::Everywhere, &[c('3')], A::Screen(Screen::Alerts), "Alerts: every alert", None),
        bind(C::Everywhere, &[c('4')], A::Screen(Screen::History), "History: firings and deliveries", None),
        bind(C::Everywhere, &[c('5')], A::Screen(Screen::Health), "Health: feeds and channels", None),
        bind(C::Everywhere, &[k(KeyCode::Tab)], A::NextPane, "next pane", None),
        bind(C::Everywhere, &[k(KeyCode::BackTab)], A::PreviousPane, "previous pane", None),
        bind(C::Everywhere, UP, A::Up, "up", None),
        bind(C::Everywhere, DOWN, A::Down, "down", None),
        bind(C::Everywhere, &[c('g'), k(KeyCode::Home)], A::Top, "to the first row", None),
        bind(C::Everywhere, &[c('G'), k(KeyCode::End)], A::Bottom, "to the last row", None),
        bind(C::Everywhere, &[k(KeyCode::PageUp), ctrl('u')], A::PageUp, "a page up", None),
        bind(C::Everywhere, &[k(KeyCode::PageDown), ctrl('d')], A::PageDown, "a page down", None),
        bind(C::Everywhere, &[c('/')], A::Find, "find an instrument or an alert", Some("find")),
        bind(C::Everywhere, &[c(':')], A::Palette, "commands: all that can be done", Some("commands")),
        bind(C::Everywhere, &[c(',')], A::Settings, "settings", None),
        bind(C::Everywhere, &[c('u')], A::Undo, "take back: a deleted or changed alert (10 s)", None),
        bind(C::Everywhere, &[c('y')], A::Copy, "copy what is under the cursor", None),
        bind(C::Everywhere, &[c('p')], A::Freeze, "hold the picture, and let it go", None),
        bind(C::Everywhere, &[c('r')], A::Retry, "refresh: connect, or fetch anew", None),
        bind(C::Everywhere, &[c('S')], A::StartDaemon, "start the daemon when it is gone", None),
        bind(C::Everywhere, ESC, A::Back, "back (never quits)", None),
        bind(C::Everywhere, &[c('M')], A::Mouse, "mouse for bellwether or for the terminal", None),
        bind(C::Everywhere, &[ctrl('l')], A::Redraw, "draw everything anew", None),
        bind(C::Everywhere, &[c('?'), k(KeyCode::F(1))], A::Help, "these keys", Some("help")),
        bind(C::Everywhere, &[c('q'), ctrl('c')], A::Quit, "quit", Some("quit")),
        // Overlays
        bind(C::Entry, ENTER, A::Accept, "save", Some("save")),
        bind(C::Entry, ESC, A::Back, "cancel", Some("cancel")),
        bind(C::Entry, &[ctrl('s')], A::SaveAndTest, "save and send a test", Some("save and test")),
        bind(C::Entry, &[k(KeyCode::F(2))], A::AsForm, "as a form, and back", Some("form")),
        bind(C::Entry, &[ctrl('n')], A::WaitForNext, "if it is true already: wait for the next time", None),
        bind(C::Entry, &[k(KeyCode::Tab)], A::Complete, "complete the word, next proposal", Some("complete")),
        bind(C::Entry, &[k(KeyCode::BackTab)], A::CompleteBack, "previous proposal", None),
        bind(C::Entry, &[k(KeyCode::Left), ctrl('b')], A::Left, "left", None),
        bind(C::Entry, &[k(KeyCode::Right), ctrl('f')], A::Right, "right", None),
        bind(C::Entry, &[k(KeyCode::Home), ctrl('a')], A::Home, "to the start", None),
        bind(C::Entry, &[k(KeyCode::End), ctrl('e')], A::End, "to the end", None),
        bind(C::Entry, &[k(KeyCode::Backspace), ctrl('h')], A::Backspace, "delete to the left", None),
        bind(C::Entry, &[k(KeyCode::Delete)], A::Delete, "delete to the right", None),
        bind(C::Entry, &[ctrl('w')], A::DeleteWord, "delete the word", None),
        bind(C::Entry, &[ctrl('u')], A::DeleteToStart, "delete to the start", None),
        bind(C::Entry, &[ctrl('c')], A::Quit, "quit", None),
        bind(C::Form, ENTER, A::Accept, "save", Some("save")),
        bind(C::Form, ESC, A::Back, "cancel", Some("cancel")),
        bind(C::Form, &[k(KeyCode::Up), k(KeyCode::BackTab)], A::Up, "field above", None),
        bind(C::Form, &[k(KeyCode::Down), k(KeyCode::Tab)], A::Down, "field below", Some("next field")),
        bind(C::Form, &[k(KeyCode::Left)], A::Left, "choose, or go left", Some("choose")),
        bind(C::Form, &[k(KeyCode::Right)], A::Right, "choose, or go right", None),
        bind(C::Form, &[k(KeyCode::Home)], A::Home, "to the start", None),
        bind(C::Form, &[k(KeyCode::End)], A::End, "to the end", None),
        bind(C::Form, &[k(KeyCode::Backspace), ctrl('h')], A::Backspace, "delete to the left", None),
        bind(C::Form, &[k(KeyCode::Delete)], A::Delete, "delete to the right", None),
        bind(C::Form, &[ctrl('w')], A::DeleteWord, "delete the word", None),
        bind(C::Form, &[ctrl('u')], A::DeleteToStart, "empty the field", None),
        bind(C::Form, &[ctrl('s')], A::SaveAndTest, "save and send a test", Some("save and test")),
        bind(C::Form, &[k(KeyCode::F(2))], A::AsForm, "back to the line", Some("line")),
        bind(C::Form, &[ctrl('c')], A::Quit, "quit", None),
        bind(C::Find, ENTER, A::Accept, "go there", Some("go there")),
        bind(C::Find, ESC, A::Back, "cancel", Some("cancel")),
        bind(C::Find, &[k(KeyCode::Up), ctrl('p')], A::Up, "up", None),
        bind(C::Find, &[k(KeyCode::Down), ctrl('n'), k(KeyCode::Tab)], A::Down, "down", None),
        bind(C::Find, &[k(KeyCode::Left)], A::Left, "left", None),
        bind(C::Find, &[k(KeyCode::Right)], A::Right, "right", None),
        bind(C::Find, &[k(KeyCode::Backspace), ctrl('h')], A::Backspace, "delete to the left", None),
        bind(C::Find, &[ctrl('w')], A::DeleteWord, "delete the word", None),
        bind(C::Find, &[ctrl('u')], A::DeleteToStart, "delete all", None),
        bind(C::Find, &[ctrl('c')], A::Quit, "quit", None),
        bind(C::Help, ESC, A::Back, "close", Some("close")),
        bind(C::Help, ENTER, A::Accept, "close", None),
        bind(C::Help, &[k(KeyCode::Up)], A::Up, "up", None),
        bind(C::Help, &[k(KeyCode::Down)], A::Down, "down", None),
        bind(C::Help, &[k(KeyCode::PageUp)], A::PageUp, "a page up", None),
        bind(C::Help, &[k(KeyCode::PageDown)], A::PageDown, "a page down", None),
        bind(C::Help, &[k(KeyCode::Backspace), ctrl('h')], A::Backspace, "widen the filter", None),
        bind(C::Help, &[ctrl('u')], A::DeleteToStart, "show all", None),
        bind(C::Help, &[ctrl('c')], A::Quit, "quit", None),
        bind(C::Explain, ESC, A::Back, "close", Some("close")),
        bind(C::Explain, &[k(KeyCode::Enter), c('w'), c('q')], A::Accept, "close", None),
        bind(C::Explain, &[c('e')], A::EditAlert, "edit it", Some("edit")),
        bind(C::Explain, &[c(' ')], A::PauseAlert, "pause or resume it", Some("pause")),
        bind(C::Explain, &[c('z')], A::Snooze, "silence it for a while", Some("snooze")),
        bind(C::Explain, &[c('y')], A::Copy, "copy its line", None),
        bind(C::Explain, &[c('x')], A::Acknowledge, "acknowledge what it told", None),
        bind(C::Explain, &[ctrl('c')], A::Quit, "quit", None),
        bind(C::Snooze, &[c('1')], A::Snooze15m, "for 15 minutes", Some("15m")),
        bind(C::Snooze, &[c('2')], A::Snooze1h, "for an hour", Some("1h")),
        bind(C::Snooze, &[c('3')], A::SnoozeOpen, "until its market opens", Some("until open")),
        bind(C::Snooze, &[c('4')], A::SnoozeTomorrow, "until tomorrow at 8", Some("until tomorrow")),
        bind(C::Snooze, &[c('0')], A::SnoozeEnd, "no longer", None),
        bind(C::Snooze, ESC, A::Back, "leave it as it is", Some("leave")),
        bind(C::Snooze, &[ctrl('c')], A::Quit, "quit", None),
        bind(C::Level, ENTER, A::Accept, "save the line where it is", Some("save")),
        bind(C::Level, ESC, A::Back, "leave everything as it was", Some("leave")),
        bind(C::Level, &[k(KeyCode::Up)], A::Up, "a tick up; digits type the exact price", Some("tick up")),
        bind(C::Level, &[k(KeyCode::Down)], A::Down, "a tick down", Some("down")),
        bind(C::Level, &[shift(KeyCode::Up)], A::FarUp, "ten ticks up", None),
        bind(C::Level, &[shift(KeyCode::Down)], A::FarDown, "ten ticks down", None),
        bind(C::Level, &[k(KeyCode::PageUp)], A::PageUp, "1 % up", Some("+1 %")),
        bind(C::Level, &[k(KeyCode::PageDown)], A::PageDown, "1 % down", Some("-1 %")),
        bind(C::Level, &[k(KeyCode::Tab)], A::NextLevel, "next line", Some("next line")),
        bind(C::Level, &[k(KeyCode::BackTab)], A::PreviousLevel, "previous line", None),
        bind(C::Level, &[k(KeyCode::Backspace), ctrl('h')], A::Backspace, "delete a digit", None),
        bind(C::Level, &[c('e')], A::EditAlert, "go on in the alert line", Some("as a line")),
        bind(C::Level, DELETE, A::DeleteAlert, "delete the alert", None),
        bind(C::Level, &[ctrl('c')], A::Quit, "quit", None),
        bind(C::Palette, ENTER, A::Accept, "do it", Some("do it")),
        bind(C::Palette, ESC, A::Back, "cancel", Some("cancel")),
        bind(C::Palette, &[k(KeyCode::Up), ctrl('p')], A::Up, "up", None),
        bind(C::Palette, &[k(KeyCode::Down), ctrl('n'), k(KeyCode::Tab)], A::Down, "down", None),
        bind(C::Palette, &[k(KeyCode::PageUp)], A::PageUp, "a page up", None),
        bind(C::Palette, &[k(KeyCode::PageDown)], A::PageDown, "a page down", None),
        bind(C::Palette, &[k(KeyCode::Left), ctrl('b')], A::Left, "left", None),
        bind(C::Palette, &[k(KeyCode::Right), ctrl('f')], A::Right, "right", None),
        bind(C::Palette, &[k(KeyCode::Home), ctrl('a')], A::Home, "to the start", None),
        bind(C::Palette, &[k(KeyCode::End), ctrl('e')], A::End, "to the end", None),
        bind(C::Palette, &[k(KeyCode::Backspace), ctrl('h')], A::Backspace, "delete to the left", None),
        bind(C::Palette, &[k(KeyCode::Delete)], A::Delete, "delete to the right", None),
        bind(C::Palette, &[ctrl('w')], A::DeleteWord, "delete the word", None),
        bind(C::Palette, &[ctrl('u')], A::DeleteToStart, "delete to the start", None),
        bind(C::Palette, &[ctrl('c')], A::Quit, "quit", None),
        bind(C::Prompt, ENTER, A::Accept, "take it", Some("take it")),
        bind(C::Prompt, ESC, A::Back, "cancel", Some("cancel")),
        bind(C::Prompt, &[k(KeyCode::Left), ctrl('b')], A::Left, "left", None),
        bind(C::Prompt, &[k(KeyCode::Right), ctrl('f')], A::Right, "right", None),
        bind(C::Prompt, &[k(KeyCode::Home), ctrl('a')], A::Home, "to the start", None),
        bind(C::Prompt, &[k(KeyCode::End), ctrl('e')], A::End, "to the end", None),
        bind(C::Prompt, &[k(KeyCode::Backspace), ctrl('h')], A::Backspace, "delete to the left", None),
        bind(C::Prompt, &[k(KeyCode::Delete)], A::Delete, "delete to the right", None),
        bind(C::Prompt, &[ctrl('w')], A::DeleteWord, "delete the word", None),
        bind(C::Prompt, &[ctrl('u')], A::DeleteToStart, "delete to the start", None),
        bind(C::Prompt, &[ctrl('c')], A::Quit, "quit", None),
        bind(C::Order, &[c('m')], A::SortBy(Sort::Mine), "your own order", Some("mine")),
        bind(C::Order, &[c('s')], A::SortBy(Sort::Symbol), "by symbol", Some("symbol")),
        bind(C::Order, &[c('p')], A::SortBy(Sort::Price), "by price", Some("price")),
        bind(C::Order, &[c('c')], A::SortBy(Sort::Change), "by change", Some("change")),
        bind(C::Order, &[c('a')], A::SortBy(Sort::Alert), "by distance to the nearest alert", Some("alert")),
        bind(C::Order, &[c('g')], A::SortBy(Sort::Age), "by age", Some("age")),
        bind(C::Order, &[c('v')], A::SortBy(Sort::Value), "by what the holding is worth", Some("value")),
        bind(C::Order, &[c('o')], A::Sort, "the next of these", Some("next")),
        bind(C::Order, &[c('r'), c('O')], A::ReverseSort, "reverse the order", Some("reverse")),
        bind(C::Order, ESC, A::Back, "leave it", Some("leave it")),
        bind(C::Order, &[ctrl('c')], A::Quit, "quit", None),
        bind(C::Settings, UP, A::Up, "up", None),
        bind(C::Settings, DOWN, A::Down, "down", None),
        bind(C::Settings, &[k(KeyCode::PageUp)], A::PageUp, "a page up", None),
        bind(C::Settings, &[k(KeyCode::PageDown)], A::PageDown, "a page down", None),
        bind(C::Settings, &[k(KeyCode::Right), c(' '), c('l')], A::Right, "next value", Some("change")),
        bind(C::Settings, &[k(KeyCode::Left), c('h')], A::Left, "previous value", None),
        bind(C::Settings, &[c('K')], A::RowUp, "move the column left", None),
        bind(C::Settings, &[c('J')], A::RowDown, "move the column right", None),
        bind(C::Settings, ENTER, A::Accept, "save", Some("save")),
        bind(C::Settings, ESC, A::Back, "leave everything as it was", Some("cancel")),
        bind(C::Settings, &[ctrl('c')], A::Quit, "quit", None),
    ]
};

/// What a chord of the table does in these contexts, the first one first.
#[cfg(test)]
pub(crate) fn action(contexts: &[Context], chord: Chord) -> Option<&'static Binding> {
    let bound = |context: &Context| KEYMAP.iter().find(|b| b.context == *context && b.chords.contains(&chord));
    contexts.iter().find_map(bound)
}

/// The bindings of a context, in the order of the table.
pub(crate) fn bindings(context: Context, readonly: bool) -> impl Iterator<Item = &'static Binding> {
    KEYMAP.iter().filter(move |b| b.context == context && !(readonly && b.writes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_chord_means_two_things_in_one_place() {
        let screens = [Context::Watch, Context::Chart, Context::Alerts, Context::History, Context::Health];
        for (i, one) in KEYMAP.iter().enumerate() {
            for other in &KEYMAP[i + 1..] {
                let together = one.context == other.context
                    || (one.context == Context::Everywhere && screens.contains(&other.context))
                    || (other.context == Context::Everywhere && screens.contains(&one.context));
                let shared = one.chords.iter().find(|c| together && other.chords.contains(c));
                assert_eq!(shared, None, "bound twice: {:?} and {:?}", one.action, other.action);
            }
        }
    }

    #[test]
    fn every_context_can_be_left_and_quit() {
        for context in Context::ALL {
            let contexts = match context {
                context if !context.is_screen() => vec![context],
                context => vec![context, Context::Everywhere],
            };
            assert_eq!(action(&contexts, ctrl('c')).map(|b| b.action), Some(Action::Quit), "{context:?}");
            assert_eq!(action(&contexts, k(KeyCode::Esc)).map(|b| b.action), Some(Action::Back), "{context:?}");
        }
    }

    #[test]
    fn chords_read_as_people_write_them() {
        let labels: Vec<String> = [c(' '), ctrl('u'), c('G'), k(KeyCode::BackTab), k(KeyCode::F(1)), k(KeyCode::Up)]
            .into_iter()
            .map(Chord::label)
            .collect();
        assert_eq!(labels, ["Space", "Ctrl-U", "G", "Shift-Tab", "F1", "↑"]);
        let shifted = KeyEvent::new(KeyCode::Char('G'), KeyModifiers::SHIFT);
        assert_eq!(Chord::of(shifted), c('G'));
    }
}
