//! The user's own lists and his own order of rows.

use bellwether_core::{
    config::dashboard::{ALL, is_list_name},
    instrument::Symbol,
    text,
};

use super::{App, Effect, Find, Overlay, Sort, Tone, settings};

impl App {
    /// The instruments of a list of the user's own; nothing for `all`.
    pub(crate) fn listed(&self) -> Option<&[Symbol]> {
        self.settings.watchlists.get(&self.list).map(Vec::as_slice)
    }

    /// The names of the lists, `all` first.
    pub(crate) fn lists(&self) -> Vec<&str> {
        std::iter::once(ALL).chain(self.settings.watchlists.keys().map(String::as_str)).collect()
    }
}

/// Goes to the next list, or to the one before.
pub(super) fn turn(app: &mut App, forward: bool) -> Vec<Effect> {
    let lists = app.lists();
    if lists.len() == 1 {
        app.toasts.push(Tone::Info, "there is no list beside `all`; W makes one", app.now);
        return Vec::new();
    }
    let at = lists.iter().position(|name| *name == app.list).unwrap_or(0);
    let next = if forward { at + 1 } else { at + lists.len() - 1 } % lists.len();
    app.list = lists[next].to_owned();
    app.refill_rows();
    Vec::new()
}

/// Makes a list, with the selected instrument in it, and goes there.
pub(super) fn make(app: &mut App, name: &str) -> Result<Vec<Effect>, String> {
    let name = name.trim();
    if !is_list_name(name) {
        return Err("a list has a name of 1 to 24 characters, and `all` is taken".to_owned());
    }
    if app.settings.watchlists.contains_key(name) {
        name.clone_into(&mut app.list);
        app.refill_rows();
        return Ok(Vec::new());
    }
    let first: Vec<Symbol> = app.selected().into_iter().collect();
    name.clone_into(&mut app.list);
    let effects = settings::change(app, |s| drop(s.watchlists.insert(name.to_owned(), first)));
    app.toasts.push(Tone::Info, format!("list `{}`: + adds to it, - takes away", text::sanitize(name)), app.now);
    Ok(effects)
}

/// Moves the selected row in the user's own order.
pub(super) fn move_row(app: &mut App, down: bool) -> Vec<Effect> {
    let Some(symbol) = app.selected() else { return Vec::new() };
    if app.sort != Sort::Mine || app.reversed || app.filter.is_some() {
        app.toasts.push(Tone::Info, "rows move in your own order: o m shows it, F all rows", app.now);
        return Vec::new();
    }
    app.moved_at = app.now;
    let (list, rows) = (app.list.clone(), app.rows.clone());
    settings::change(app, |s| {
        if let Some(symbols) = s.watchlists.get_mut(&list) {
            settings::swap(symbols, &symbol, down);
        } else {
            let mut order = rows;
            if settings::swap(&mut order, &symbol, down) {
                // What was never moved stays in the order of the catalogue.
                let moved = order.iter().rposition(|o| *o == symbol || s.order.contains(o)).unwrap_or(0);
                order.truncate(moved + 1);
                s.order = order;
            }
        }
    })
}

/// Looks for an instrument to add to the list.
pub(super) fn add(app: &mut App) {
    app.overlay = Some(Overlay::Find(Box::new(Find::to_add(app))));
}

/// Puts an instrument on the user's list, where one is shown.
pub(super) fn put(app: &mut App, symbol: Symbol) -> Vec<Effect> {
    let list = app.list.clone();
    let effects = settings::change(app, |s| {
        if let Some(symbols) = s.watchlists.get_mut(&list).filter(|symbols| !symbols.contains(&symbol)) {
            symbols.push(symbol);
        }
    });
    app.watch.put(symbol);
    effects
}

/// Takes the selected row off the list.
pub(super) fn remove(app: &mut App) -> Vec<Effect> {
    let Some(symbol) = app.selected() else { return Vec::new() };
    if app.listed().is_none() {
        let words =
            "`all` holds every instrument; W makes a list of your own, `bellwether instruments --remove` removes one";
        app.toasts.push(Tone::Info, words, app.now);
        return Vec::new();
    }
    let list = app.list.clone();
    let words = format!("{symbol} is off the list `{}`; + puts it back", text::sanitize(&list));
    app.toasts.push(Tone::Info, words, app.now);
    settings::change(app, |s| {
        if let Some(symbols) = s.watchlists.get_mut(&list) {
            symbols.retain(|known| *known != symbol);
        }
    })
}
