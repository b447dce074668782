//! What keys, mouse and pasted text do: the keymap says which action, here stands what that means now.

use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers, MouseButton, MouseEvent, MouseEventKind};

use super::{
    Action, App, Effect, Find, Line, Overlay, Pane, Purpose, Screen, Target, Tone, Understanding, chart, copy, draft,
    find, first,
    keymap::{self, Chord},
    lists,
    palette::{self, Palette},
    prompt, quiet, settings, update,
};

/// The most bytes of a search.
const MOST_SEARCH: usize = 100;
/// How many rows the wheel moves.
const WHEEL: isize = 3;

/// A key was pressed: the keymap first, then text where text is being written.
pub(super) fn on_key(app: &mut App, key: KeyEvent) -> Vec<Effect> {
    if key.kind == KeyEventKind::Release {
        return Vec::new();
    }
    let bound = app.keys.action(&app.contexts(), Chord::of(key));
    // Whoever goes on has read them. Not while an overlay takes the keys: it may hide them. Esc does nothing else then.
    if app.overlay.is_none() && bound.is_none_or(|binding| binding.action != Action::Back) {
        app.toasts.clear();
    }
    if let Some(binding) = bound {
        if binding.writes && app.readonly {
            app.toasts.push(Tone::Info, "opened with --readonly: nothing is changed from here", app.now);
            return Vec::new();
        }
        let mut effects = first::used(app, binding.action);
        effects.append(&mut act(app, binding.action));
        return effects;
    }
    if let KeyCode::Char(c) = key.code
        && !key.modifiers.intersects(KeyModifiers::CONTROL | KeyModifiers::ALT)
    {
        write(app, c.encode_utf8(&mut [0; 4]));
    }
    Vec::new()
}

/// Text was pasted: it goes where text is being written, and nowhere else.
pub(super) fn on_paste(app: &mut App, text: &str) -> Vec<Effect> {
    write(app, text);
    Vec::new()
}

/// Puts text into the line being written.
fn write(app: &mut App, text: &str) {
    draft::write(app, text);
    match app.overlay.take() {
        Some(Overlay::Entry(mut entry)) => {
            if !entry.saving {
                entry.insert(text, &app.parse_context());
            }
            app.overlay = Some(Overlay::Entry(entry));
        }
        Some(Overlay::Find(mut find)) => {
            find.line.insert(text, MOST_SEARCH);
            find.search(app);
            app.overlay = Some(Overlay::Find(find));
        }
        Some(Overlay::Palette(mut palette)) => {
            palette.line.insert(text, MOST_SEARCH);
            palette.search(app);
            app.overlay = Some(Overlay::Palette(palette));
        }
        Some(Overlay::Prompt(prompt)) => prompt::write(app, prompt, text),
        Some(Overlay::Help { mut filter, .. }) => {
            filter.insert(text, MOST_SEARCH);
            app.overlay = Some(Overlay::Help { filter, scroll: 0 });
        }
        other => app.overlay = other,
    }
}

/// Does what an action means on the present screen or overlay.
pub(super) fn act(app: &mut App, action: Action) -> Vec<Effect> {
    match action {
        Action::Quit => return vec![Effect::Quit],
        Action::Redraw => return vec![Effect::Redraw],
        _ => {}
    }
    match app.overlay {
        Some(Overlay::Entry(_)) => in_entry(app, action),
        Some(Overlay::Find(_)) => in_find(app, action),
        Some(Overlay::Help { .. }) => in_help(app, action),
        Some(Overlay::Palette(_) | Overlay::Prompt(_) | Overlay::Order | Overlay::Settings(_)) => in_frame(app, action),
        Some(Overlay::Explain(id)) => match action {
            Action::EditAlert => {
                update::open_edit(app, id);
                Vec::new()
            }
            Action::PauseAlert => update::pause(app, id),
            Action::Snooze => {
                quiet::ask(app, id);
                Vec::new()
            }
            Action::Acknowledge => quiet::acknowledge(app, id),
            Action::Copy => copy::copy(app),
            _ => {
                app.overlay = None;
                Vec::new()
            }
        },
        Some(Overlay::Snooze(id)) => quiet::act(app, id, action),
        Some(Overlay::Level(_)) => draft::act(app, action),
        None => on_screen(app, action),
    }
}

fn on_screen(app: &mut App, action: Action) -> Vec<Effect> {
    if let Some(effects) = chart::act(app, action) {
        return effects;
    }
    let page = isize::try_from(app.page.max(2) - 1).unwrap_or(1);
    match action {
        Action::Screen(screen) => return update::go(app, screen),
        Action::NextPane | Action::PreviousPane if app.screen == Screen::Watch => {
            app.pane = if app.pane == Pane::Table { Pane::Alerts } else { Pane::Table };
        }
        Action::Up => step(app, -1),
        Action::Down => step(app, 1),
        Action::PageUp => step(app, -page),
        Action::PageDown => step(app, page),
        Action::Top => step(app, isize::MIN),
        Action::Bottom => step(app, isize::MAX),
        Action::Open => open(app),
        Action::Back => back(app),
        Action::Find => app.overlay = Some(Overlay::Find(Box::new(Find::new(app)))),
        Action::Help => app.overlay = Some(Overlay::Help { filter: Line::default(), scroll: 0 }),
        Action::NewAlert => update::open_new(app),
        Action::EditAlert => match app.target_alert() {
            Some(id) => update::open_edit(app, id),
            None => no_alert(app),
        },
        Action::DeleteAlert => match app.target_alert() {
            Some(id) => return update::delete(app, id),
            None => no_alert(app),
        },
        Action::PauseAlert => match app.target_alert() {
            Some(id) => return update::pause(app, id),
            None => no_alert(app),
        },
        Action::Snooze => match app.target_alert() {
            Some(id) => quiet::ask(app, id),
            None => no_alert(app),
        },
        Action::Acknowledge => match app.target_alert() {
            Some(id) => return quiet::acknowledge(app, id),
            None => no_alert(app),
        },
        Action::Copy => return copy::copy(app),
        Action::AcknowledgeAll => return quiet::acknowledge_all(app),
        Action::Explain => match app.target_alert() {
            Some(id) => app.overlay = Some(Overlay::Explain(id)),
            None => no_alert(app),
        },
        Action::Undo => return update::undo(app),
        Action::Sort => app.overlay = Some(Overlay::Order),
        Action::ReverseSort => {
            app.reversed = !app.reversed;
            app.refill_rows();
        }
        Action::Palette => app.overlay = Some(Overlay::Palette(Box::new(Palette::new(app)))),
        Action::Settings => settings::open(app, None),
        Action::Filter => prompt::filter(app),
        Action::ClearFilter => {
            app.filter = None;
            app.refill_rows();
        }
        Action::Holding => prompt::holding(app),
        Action::NewList => prompt::new_list(app),
        Action::NextList | Action::PreviousList => return lists::turn(app, action == Action::NextList),
        Action::RowUp | Action::RowDown => return lists::move_row(app, action == Action::RowDown),
        Action::AddRow => lists::add(app),
        Action::RemoveRow => return lists::remove(app),
        Action::StartDaemon => {
            if app.is_live() {
                app.toasts.push(Tone::Info, "the daemon is running", app.now);
            } else {
                app.toasts.push(Tone::Info, "starting the daemon …", app.now);
                return vec![Effect::StartDaemon];
            }
        }
        Action::Expand => app.expanded = !app.expanded,
        Action::Freeze => update::freeze(app),
        Action::TestChannel => {
            let names: Vec<_> = app.channels.iter().map(|c| c.name.clone()).collect();
            if let Some(name) = app.channel.of(&names) {
                app.toasts.push(Tone::Info, format!("sending a test over {name} …"), app.now);
                return vec![Effect::TestChannel(name)];
            }
        }
        Action::SetUpChannel => prompt::channel(app),
        Action::Resend => {
            let dead = app.event_id().map(|id| app.dead_deliveries(id)).unwrap_or_default();
            if dead.is_empty() {
                app.toasts.push(Tone::Info, "no delivery of this firing is dead", app.now);
            }
            return dead.into_iter().map(Effect::Resend).collect();
        }
        Action::Retry => return update::refresh(app),
        Action::Mouse => {
            app.mouse = !app.mouse;
            let whose = if app.mouse { "the mouse is bellwether's" } else { "the mouse is the terminal's" };
            app.toasts.push(Tone::Info, whose, app.now);
            return vec![Effect::Mouse(app.mouse)];
        }
        _ => {}
    }
    Vec::new()
}

fn no_alert(app: &mut App) {
    app.toasts.push(Tone::Info, "there is no alert here; a makes one", app.now);
}

/// Moves the cursor of whatever has the keys.
fn step(app: &mut App, by: isize) {
    app.moved_at = app.now;
    match (app.screen, app.pane) {
        (Screen::Watch, Pane::Alerts) => {
            let ids = app.pane_ids();
            app.pane_alert.step(&ids, by);
        }
        (Screen::Watch | Screen::Chart, _) => {
            app.watch.step(&app.rows, by);
        }
        (Screen::Alerts, _) => {
            let ids = app.alert_ids();
            app.alert.step(&ids, by);
        }
        (Screen::History, _) => {
            let ids: Vec<_> = app.picture().firings().map(|f| f.id).collect();
            app.event.step(&ids, by);
        }
        (Screen::Health, _) => {
            let names: Vec<_> = app.channels.iter().map(|c| c.name.clone()).collect();
            app.channel.step(&names, by);
        }
    }
}

fn open(app: &mut App) {
    match (app.screen, app.pane) {
        (Screen::Watch, Pane::Alerts) => app.overlay = app.target_alert().map(Overlay::Explain),
        (Screen::Watch, Pane::Table) => app.screen = Screen::Chart,
        (Screen::Alerts, _) => {
            if let Some(id) = app.target_alert() {
                to_alert(app, id);
            }
        }
        (Screen::History, _) => {
            if let Some(id) = app.event_id().map(|f| f.alert).filter(|id| app.board.alert(*id).is_some()) {
                app.alert.put(id);
                app.screen = Screen::Alerts;
            }
        }
        (Screen::Chart | Screen::Health, _) => {}
    }
}

/// Puts the cursor on an instrument; the Chart screen shows its chart, every other gives way to the table.
pub(super) fn to_instrument(app: &mut App, symbol: bellwether_core::instrument::Symbol) {
    if !app.rows.contains(&symbol) {
        // Whoever goes there wants to see it: neither filter nor list may hide it.
        app.filter = None;
        app.refill_rows();
        if !app.rows.contains(&symbol) {
            bellwether_core::config::dashboard::ALL.clone_into(&mut app.list);
            app.refill_rows();
        }
    }
    app.watch.put(symbol);
    app.pane = Pane::Table;
    if app.screen != Screen::Chart {
        app.screen = Screen::Watch;
    }
}

/// The overlays of the frame around the screens.
fn in_frame(app: &mut App, action: Action) -> Vec<Effect> {
    match app.overlay.take() {
        Some(Overlay::Palette(palette)) => palette::on_action(app, palette, action),
        Some(Overlay::Prompt(prompt)) => prompt::on_action(app, prompt, action),
        Some(Overlay::Settings(changing)) => settings::on_action(app, changing, action),
        Some(Overlay::Order) => {
            match action {
                Action::SortBy(sort) => app.sort = sort,
                Action::Sort => {
                    app.sort = app.sort.next();
                    app.overlay = Some(Overlay::Order);
                }
                Action::ReverseSort => app.reversed = !app.reversed,
                _ => return Vec::new(),
            }
            app.sorted_at = app.now;
            app.refill_rows();
            Vec::new()
        }
        other => {
            app.overlay = other;
            Vec::new()
        }
    }
}

/// Shows an alert beside its instrument.
pub(super) fn to_alert(app: &mut App, id: bellwether_core::alert::AlertId) {
    if let Some(symbol) = app.picture().alert(id).map(|row| row.alert.rule.symbol()) {
        to_instrument(app, symbol);
        app.pane_alert.put(id);
        app.screen = Screen::Watch;
        app.pane = Pane::Alerts;
    }
}

fn back(app: &mut App) {
    if !app.toasts.is_empty() {
        app.toasts.clear();
    } else if app.screen == Screen::Chart && app.chart.cross.is_some() {
        app.chart.cross = None;
    } else if app.expanded {
        app.expanded = false;
    } else if app.pane == Pane::Alerts {
        app.pane = Pane::Table;
    } else {
        app.screen = Screen::Watch;
    }
}

fn in_entry(app: &mut App, action: Action) -> Vec<Effect> {
    if action == Action::Back {
        app.overlay = None;
        return Vec::new();
    }
    let mut effects = Vec::new();
    let mut edited = None;
    update::with_entry(app, |entry, app| {
        if entry.saving {
            return;
        }
        let context = app.parse_context();
        let before = entry.line.clone();
        match action {
            Action::Accept | Action::SaveAndTest => {
                if let Understanding::Rule(_) = entry.meaning {
                    if app.is_live() {
                        let text = entry.line.text().trim().to_owned();
                        entry.saving = true;
                        entry.tests = action == Action::SaveAndTest;
                        entry.refusal = None;
                        if let Purpose::Edit(id, _) = entry.purpose {
                            edited = app.board.alert(id).map(|row| (id, row.alert.rule.to_string()));
                        }
                        effects.push(match entry.purpose {
                            Purpose::Create => Effect::Create(text),
                            Purpose::Edit(id, version) => Effect::Edit(id, version, text),
                        });
                    } else {
                        entry.refusal = Some("the daemon is not there: the line stays, Enter tries again".to_owned());
                    }
                }
                return;
            }
            Action::AsForm => return entry.as_form(&context),
            Action::WaitForNext => return entry.wait_for_next(&context),
            action if entry.sheet.is_some() => return entry.in_form(action, &context),
            Action::Complete => return entry.complete(true, &context),
            Action::CompleteBack => return entry.complete(false, &context),
            action => edit(&mut entry.line, action),
        }
        if entry.line != before {
            entry.edited();
            entry.understand(&context);
        }
    });
    if let Some((id, before)) = edited {
        update::remember_edit(app, id, before);
    }
    effects
}

/// The keys that write and move in a line.
pub(super) fn edit(line: &mut Line, action: Action) {
    match action {
        Action::Left => line.left(),
        Action::Right => line.right(),
        Action::Home => line.home(),
        Action::End => line.end(),
        Action::Backspace => line.backspace(),
        Action::Delete => line.delete(),
        Action::DeleteWord => line.delete_word(),
        Action::DeleteToStart => line.delete_to_start(),
        _ => {}
    }
}

fn in_find(app: &mut App, action: Action) -> Vec<Effect> {
    let Some(Overlay::Find(mut find)) = app.overlay.take() else { return Vec::new() };
    match action {
        Action::Back => return Vec::new(),
        Action::Accept => return find::accept(app, find),
        Action::Up => {
            find.cursor.step(&find.results, -1);
        }
        Action::Down => {
            find.cursor.step(&find.results, 1);
        }
        action => {
            let before = find.line.text().to_owned();
            edit(&mut find.line, action);
            if find.line.text() != before {
                find.search(app);
            }
        }
    }
    app.overlay = Some(Overlay::Find(find));
    Vec::new()
}

fn in_help(app: &mut App, action: Action) -> Vec<Effect> {
    let page = app.page.max(2) - 1;
    let Some(Overlay::Help { filter, scroll }) = &mut app.overlay else { return Vec::new() };
    match action {
        Action::Up => *scroll = scroll.saturating_sub(1),
        Action::Down => *scroll = scroll.saturating_add(1).min(keymap::KEYMAP.len() * 2),
        Action::PageUp => *scroll = scroll.saturating_sub(page),
        Action::PageDown => *scroll = scroll.saturating_add(page).min(keymap::KEYMAP.len() * 2),
        Action::Back if !filter.text().is_empty() => *filter = Line::default(),
        Action::Back | Action::Accept => app.overlay = None,
        action => {
            edit(filter, action);
            *scroll = 0;
        }
    }
    Vec::new()
}

/// The mouse: the wheel moves what is under it, a click selects, a second click on the same row opens; a level is moved, and the chart
/// pulled along, with the button held.
pub(super) fn on_mouse(app: &mut App, mouse: MouseEvent) -> Vec<Effect> {
    let under = |hit: &&super::Hit| hit.columns.contains(&mouse.column) && hit.rows.contains(&mouse.row);
    let target = app.hits.iter().rfind(under).map(|hit| hit.target.clone());
    let before = app.pointed.replace((mouse.column, mouse.row));
    match mouse.kind {
        MouseEventKind::Drag(MouseButton::Left) if app.overlay.is_none() && target == Some(Target::Chart) => {
            if let Some((from, _)) = before {
                app.pull(from, mouse.column);
            }
        }
        MouseEventKind::Drag(MouseButton::Left) if matches!(app.overlay, Some(Overlay::Level(_))) => {
            if let Some(price) = app.pointed_price() {
                draft::drag(app, price);
            }
        }
        MouseEventKind::ScrollUp => wheel(app, target.as_ref(), -WHEEL),
        MouseEventKind::ScrollDown => wheel(app, target.as_ref(), WHEEL),
        MouseEventKind::Down(MouseButton::Left) => return target.map_or(Vec::new(), |t| click(app, &t)),
        MouseEventKind::Down(MouseButton::Right) => {
            if app.overlay.is_none() {
                select(app, target.as_ref());
                let menu = Palette::menu(app, (mouse.column, mouse.row));
                app.overlay = Some(Overlay::Palette(Box::new(menu)));
            } else {
                return act(app, Action::Back);
            }
        }
        _ => {}
    }
    Vec::new()
}

fn wheel(app: &mut App, target: Option<&Target>, by: isize) {
    match &mut app.overlay {
        Some(Overlay::Help { scroll, .. }) => {
            *scroll = scroll.saturating_add_signed(by).min(keymap::KEYMAP.len() * 2);
            return;
        }
        Some(Overlay::Find(find)) => {
            find.cursor.step(&find.results, by);
            return;
        }
        Some(Overlay::Palette(palette)) => {
            palette.cursor.step(&palette.results, by);
            return;
        }
        Some(Overlay::Settings(_)) => {
            let action = if by < 0 { Action::Up } else { Action::Down };
            drop(in_frame(app, action));
            return;
        }
        Some(_) => return,
        None => {}
    }
    match target {
        Some(Target::PaneAlert(_) | Target::Pane(Pane::Alerts)) => {
            let ids = app.pane_ids();
            app.pane_alert.step(&ids, by);
        }
        Some(Target::Chart) => {
            app.zoom_around_pointer(if by < 0 { 1 } else { -1 });
        }
        Some(Target::Pane(Pane::Table) | Target::Row(_)) => {
            app.moved_at = app.now;
            app.watch.step(&app.rows, by);
        }
        _ => step(app, by),
    }
}

/// Puts the cursor on what is there, and opens nothing.
fn select(app: &mut App, target: Option<&Target>) {
    match target {
        Some(Target::Row(symbol)) => {
            app.pane = Pane::Table;
            app.watch.put(*symbol);
        }
        Some(Target::PaneAlert(id)) => {
            app.pane = Pane::Alerts;
            app.pane_alert.put(*id);
        }
        Some(Target::Alert(id)) => app.alert.put(*id),
        Some(Target::Firing(id)) => app.event.put(*id),
        Some(Target::Channel(name)) => app.channel.put(name.clone()),
        _ => {}
    }
    app.moved_at = app.now;
}

fn click(app: &mut App, target: &Target) -> Vec<Effect> {
    let rows = settings::rows(app);
    if let Some(overlay) = &mut app.overlay {
        match (target, overlay) {
            (Target::Hint(action), _) => return act(app, *action),
            (Target::Command(command), Overlay::Palette(palette)) => palette.cursor.put(*command),
            (Target::Found(found), Overlay::Find(find)) => find.cursor.put(*found),
            (Target::Setting(row), Overlay::Settings(changing)) => {
                let again = changing.cursor.of(&rows) == Some(*row);
                changing.cursor.put(*row);
                return if again { act(app, Action::Right) } else { Vec::new() };
            }
            _ => return Vec::new(),
        }
        return act(app, Action::Accept);
    }
    app.moved_at = app.now;
    match *target {
        Target::Screen(screen) => return update::go(app, screen),
        Target::Pane(pane) => app.pane = pane,
        Target::Chart => app.screen = if app.screen == Screen::Watch { Screen::Chart } else { app.screen },
        Target::Range(range) => return chart::choose_range(app, range),
        Target::Tag(id) => {
            app.pane_alert.put(id);
            if let Some(price) = app.board.alert(id).and_then(|_| app.pointed_price()) {
                draft::take(app, id, price);
            }
        }
        Target::Row(symbol) => {
            let again = app.pane == Pane::Table && app.selected() == Some(symbol);
            app.pane = Pane::Table;
            app.watch.put(symbol);
            if again {
                open(app);
            }
        }
        Target::PaneAlert(id) => {
            let again = app.pane == Pane::Alerts && app.target_alert() == Some(id);
            app.pane = Pane::Alerts;
            app.pane_alert.put(id);
            if again {
                open(app);
            }
        }
        Target::Alert(id) => {
            let again = app.target_alert() == Some(id);
            app.alert.put(id);
            if again {
                app.overlay = Some(Overlay::Explain(id));
            }
        }
        Target::Firing(id) => app.event.put(id),
        Target::Channel(ref name) => app.channel.put(name.clone()),
        Target::Hint(action) => return act(app, action),
        Target::Feed(feed) => {
            let effects = update::go(app, Screen::Health);
            app.feed = Some(feed);
            return effects;
        }
        Target::Command(_) | Target::Found(_) | Target::Setting(_) => {}
        Target::Sort(sort) => {
            app.reversed = app.sort == sort && !app.reversed;
            app.sort = sort;
            app.refill_rows();
        }
    }
    Vec::new()
}
