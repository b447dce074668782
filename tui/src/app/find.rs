//! Finding an instrument or an alert by a few of its letters; and, where nobody here is called so, asking the providers and adding
//! what they know.

use bellwether_core::{
    alert::AlertId,
    instrument::Symbol,
    protocol::{AddedInstrument, Listing, NewInstrument, SearchAnswer},
    text,
};

use super::{App, Cursor, Effect, Line, Overlay, Tone, chart, fuzzy, keys, lists};
use crate::client::ApiError;

/// How many results are kept.
const MOST: usize = 50;

/// One thing that was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// An instrument.
    Instrument(Symbol),
    /// An alert.
    Alert(AlertId),
    /// Asking the providers for it.
    Everywhere,
    /// What a provider knows, by its place among all that.
    Listing(usize),
}

/// The search and what it has found, best first.
#[derive(Clone, Debug, Default)]
pub(crate) struct Find {
    /// Whether what is found is put beside the instrument in the chart.
    pub(crate) compares: bool,
    pub(crate) line: Line,
    pub(crate) results: Vec<Found>,
    pub(crate) cursor: Cursor<Found>,
    /// Whether what is chosen goes onto the user's list, and only instruments are looked for.
    pub(crate) adds: bool,
    /// Whether the providers are being asked, or are about to add something.
    pub(crate) waits: bool,
    /// What the providers know under this name.
    pub(crate) listings: Vec<Listing>,
    /// Who did not answer, or why nothing was added.
    pub(crate) trouble: Option<String>,
}

impl Find {
    /// A search that has just begun: everything is found.
    pub(crate) fn new(app: &App) -> Self {
        let mut find = Self::default();
        find.search(app);
        find
    }

    /// A search for what is to go onto the user's list.
    pub(crate) fn to_add(app: &App) -> Self {
        let mut find = Self { adds: true, ..Self::default() };
        find.search(app);
        find
    }

    /// Looks again, after the text has changed.
    pub(crate) fn search(&mut self, app: &App) {
        (self.listings, self.trouble, self.waits) = (Vec::new(), None, false);
        let known = app.every_row();
        // What stands on the list already cannot be added to it.
        let here = |s: &Symbol| self.adds && app.listed().is_some_and(|listed| listed.contains(s));
        let instruments = known.into_iter().filter(|s| !here(s)).map(|s| {
            let name = app.instrument(s).map_or("", |i| &i.name);
            let aliases = app.instrument(s).map_or(String::new(), |i| i.aliases.join(" "));
            (Found::Instrument(s), format!("{s} {name} {aliases}"))
        });
        let alerts = app.picture().alerts().filter(|_| !self.adds).map(|row| {
            let note = row.alert.rule.note.as_deref().unwrap_or_default();
            (Found::Alert(row.alert.id), format!("{} {} {note}", row.alert.id, row.alert.rule.condition_text()))
        });
        let wanted = self.line.text().trim();
        // Whoever types a whole symbol means it.
        let exact = |found: &Found| matches!(found, Found::Instrument(s) if s.as_str().eq_ignore_ascii_case(wanted));
        self.results = fuzzy::rank(instruments.chain(alerts), self.line.text(), exact, MOST);
        if !wanted.is_empty() && !app.readonly {
            self.results.push(Found::Everywhere);
        }
        self.cursor = Cursor::default();
    }

    pub(crate) fn chosen(&self) -> Option<Found> {
        self.cursor.of(&self.results)
    }
}

/// Goes to what was chosen, or asks for it.
pub(super) fn accept(app: &mut App, mut find: Box<Find>) -> Vec<Effect> {
    app.moved_at = app.now;
    match find.chosen() {
        Some(Found::Instrument(symbol)) if find.compares => {
            let other = (app.subject() != Some(symbol)).then_some(symbol);
            chart::compare(app, other)
        }
        Some(Found::Instrument(symbol)) => {
            let effects = if find.adds { lists::put(app, symbol) } else { Vec::new() };
            keys::to_instrument(app, symbol);
            effects
        }
        Some(Found::Alert(id)) => {
            if app.screen == super::Screen::Alerts {
                app.alert.put(id);
            } else {
                keys::to_alert(app, id);
            }
            Vec::new()
        }
        Some(Found::Everywhere) if !find.waits => {
            let name = find.line.text().trim().to_owned();
            let live = app.is_live();
            (find.waits, find.trouble) = (live, (!live).then(|| "the daemon is not there to ask them".to_owned()));
            app.overlay = Some(Overlay::Find(find));
            if live { vec![Effect::Search(name)] } else { Vec::new() }
        }
        Some(Found::Listing(place)) if !find.waits => {
            let Some(listing) = find.listings.get(place) else { return Vec::new() };
            if let Some(symbol) = listing.known {
                let effects = if find.adds { lists::put(app, symbol) } else { Vec::new() };
                keys::to_instrument(app, symbol);
                return effects;
            }
            let wanted = NewInstrument {
                symbol: symbol_for(app, listing),
                feed: listing.feed,
                code: listing.code.clone(),
                name: None,
                class: listing.class,
                currency: None,
                session: None,
            };
            find.waits = true;
            app.overlay = Some(Overlay::Find(find));
            vec![Effect::AddInstrument(Box::new(wanted))]
        }
        Some(Found::Everywhere | Found::Listing(_)) => {
            app.overlay = Some(Overlay::Find(find));
            Vec::new()
        }
        None => Vec::new(),
    }
}

/// What a listing is to be called here: as the provider calls it, with the provider's name where that is taken.
fn symbol_for(app: &App, listing: &Listing) -> String {
    let ticker = listing.ticker.to_uppercase();
    if app.catalog.resolve(&ticker).is_ok() { format!("{ticker}.{}", listing.feed) } else { ticker }
}

/// What the providers know.
pub(super) fn on_searched(app: &mut App, name: &str, answer: Result<SearchAnswer, ApiError>) {
    let Some(Overlay::Find(find)) = &mut app.overlay else { return };
    if find.line.text().trim() != name {
        return;
    }
    find.waits = false;
    match answer {
        Ok(answer) => {
            find.trouble = match (answer.items.is_empty(), answer.troubles.is_empty()) {
                (true, true) => Some("no provider knows anything of that name".to_owned()),
                (_, false) => Some(text::sanitize(&answer.troubles.join("; "))),
                (false, true) => None,
            };
            find.results = (0..answer.items.len().min(MOST)).map(Found::Listing).collect();
            find.listings = answer.items;
            find.cursor = Cursor::default();
        }
        Err(error) => find.trouble = Some(text::sanitize(&error.to_string())),
    }
}

/// An instrument was added, or it was refused.
pub(super) fn on_added(app: &mut App, answer: Result<AddedInstrument, ApiError>) -> Vec<Effect> {
    let adds = match &mut app.overlay {
        Some(Overlay::Find(find)) if find.waits => {
            find.waits = false;
            Some(find.adds)
        }
        _ => None,
    };
    match answer {
        Ok(added) => {
            let symbol = added.instrument.symbol;
            let mut effects = vec![Effect::FetchInstruments];
            app.toasts.push(Tone::Info, text::sanitize(&format!("{symbol} is watched from now on")), app.now);
            app.catalog.add(added.instrument);
            if let Some(adds) = adds {
                app.overlay = None;
                if adds {
                    effects.append(&mut lists::put(app, symbol));
                }
                app.refill_rows();
                keys::to_instrument(app, symbol);
            }
            effects
        }
        Err(error) => {
            let sentence = text::sanitize(&error.to_string());
            match &mut app.overlay {
                Some(Overlay::Find(find)) if adds.is_some() => find.trouble = Some(sentence),
                _ => app.toasts.push(Tone::Trouble, sentence, app.now),
            }
            Vec::new()
        }
    }
}
