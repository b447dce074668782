//! What the dashboard knows and is doing: one [`App`], changed only by `update`, read by the view.
//!
//! Nothing here reads a clock, a file or a socket: messages come in, effects go out, `now` is a field that the runtime sets.

mod chart;
mod copy;
mod cursor;
mod draft;
#[cfg(test)]
mod draft_tests;
mod entry;
mod filter;
mod find;
pub(crate) mod first;
#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
mod frame_tests;
mod fuzzy;
mod hits;
mod holdings;
mod hours;
mod inside;
pub(crate) mod keymap;
mod keys;
mod levels;
mod line;
mod lists;
mod look;
mod market;
mod message;
mod motion;
pub(crate) mod palette;
mod past;
pub(crate) mod prompt;
mod quiet;
pub(crate) mod rebind;
pub(crate) mod settings;
pub(crate) mod setup;
mod sheet;
mod studies;
mod study;
#[cfg(test)]
mod tests;
mod toast;
mod update;

use std::collections::BTreeMap;

use bellwether_core::{
    alert::AlertId,
    board::Board,
    catalog::Catalog,
    condition::{ChannelName, Rule},
    config::{Dashboard, dashboard::ALL},
    delivery::{Delivery, DeliveryId, DeliveryState},
    event::{AlertRow, Ticker},
    firing::{Firing, FiringId},
    instrument::{FeedId, Instrument, Symbol},
    parse::ParseContext,
    price::Price,
    protocol::ChannelView,
    time::{Span, Timestamp},
};
use jiff::tz::TimeZone;

pub(crate) use bellwether_core::config::dashboard::ChartStyle;
pub(crate) use chart::{Plot, RANGES, Window};
pub(crate) use cursor::Cursor;
pub(crate) use draft::Draft;
pub(crate) use entry::{Entry, Purpose, Understanding, next_time};
pub(crate) use filter::Filter;
pub(crate) use find::{Find, Found};
pub(crate) use hits::Hits;
pub(crate) use holdings::{Total, Worth};
pub(crate) use inside::Inside;
pub(crate) use keymap::{Action, Context};
pub(crate) use levels::{Levels, Near, percent_between};
pub(crate) use line::Line;
pub use look::{Graphs, Look, ThemeName, Variables};
#[cfg(test)]
pub(crate) use market::INTERVALS;
pub(crate) use market::{Bars, Market};
pub(crate) use message::{Effect, Hit, Message, Reply, Target};
pub(crate) use motion::{Flash, Motions};
pub(crate) use quiet::choices as snooze_choices;
pub(crate) use sheet::{Field, Sheet};
pub(crate) use studies::strength;
pub(crate) use toast::{Toasts, Tone};
pub(crate) use update::update;

/// The screens, by their number keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Screen {
    /// Table, chart and alerts of the selected instrument.
    #[default]
    Watch,
    /// The chart alone.
    Chart,
    /// Every alert.
    Alerts,
    /// Firings and deliveries.
    History,
    /// Feeds, channels, the daemon.
    Health,
}

impl Screen {
    pub(crate) const ALL: [Self; 5] = [Self::Watch, Self::Chart, Self::Alerts, Self::History, Self::Health];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Watch => "Watch",
            Self::Chart => "Chart",
            Self::Alerts => "Alerts",
            Self::History => "History",
            Self::Health => "Health",
        }
    }
}

/// Where keys go on the Watch screen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Pane {
    /// The table.
    #[default]
    Table,
    /// The alerts of the selected instrument.
    Alerts,
}

/// How the daemon is connected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Link {
    /// The first attempt is under way.
    Connecting,
    /// Frames come in.
    Live {
        /// The daemon's version.
        version: String,
    },
    /// There is no daemon.
    Lost {
        /// Since when.
        since: Timestamp,
        /// Why, in words.
        reason: String,
        /// When it is tried again.
        retry_at: Timestamp,
    },
}

/// What lies over the screen and takes the keys.
#[derive(Clone, Debug)]
pub(crate) enum Overlay {
    /// Writing an alert.
    Entry(Box<Entry>),
    /// Looking for an instrument or an alert.
    Find(Box<Find>),
    /// The keys; typing filters.
    Help {
        /// What was typed.
        filter: Line,
        /// The first line shown.
        scroll: usize,
    },
    /// Why this alert has not fired.
    Explain(AlertId),
    /// For how long this alert is to be silent.
    Snooze(AlertId),
    /// A line on the chart in the user's hand.
    Level(Box<Draft>),
    /// All that can be done.
    Palette(Box<palette::Palette>),
    /// A line that is asked for.
    Prompt(Box<prompt::Prompt>),
    /// The order of rows is being chosen.
    Order,
    /// The settings.
    Settings(Box<settings::Changing>),
}

impl Overlay {
    /// Which keys apply in it.
    pub(crate) const fn context(&self) -> Context {
        match self {
            Self::Entry(entry) if entry.sheet.is_some() => Context::Form,
            Self::Entry(_) => Context::Entry,
            Self::Find(_) => Context::Find,
            Self::Help { .. } => Context::Help,
            Self::Explain(_) => Context::Explain,
            Self::Snooze(_) => Context::Snooze,
            Self::Level(_) => Context::Level,
            Self::Palette(_) => Context::Palette,
            Self::Prompt(_) => Context::Prompt,
            Self::Order => Context::Order,
            Self::Settings(_) => Context::Settings,
        }
    }
}

/// How the table is sorted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Sort {
    /// As the catalogue has it.
    #[default]
    Mine,
    /// By name.
    Symbol,
    /// By price, the highest first.
    Price,
    /// By change, the largest first.
    Change,
    /// By distance to the nearest alert, the nearest first.
    Alert,
    /// By age, the newest first.
    Age,
    /// By what the user's holding is worth, the most first.
    Value,
}

impl Sort {
    pub(crate) const fn next(self) -> Self {
        match self {
            Self::Mine => Self::Symbol,
            Self::Symbol => Self::Price,
            Self::Price => Self::Change,
            Self::Change => Self::Alert,
            Self::Alert => Self::Age,
            Self::Age => Self::Value,
            Self::Value => Self::Mine,
        }
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Mine => "mine",
            Self::Symbol => "symbol",
            Self::Price => "price",
            Self::Change => "change",
            Self::Alert => "alert",
            Self::Age => "age",
            Self::Value => "value",
        }
    }
}

/// How much a price is worth as news.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Freshness {
    /// As new as its feed makes them.
    Live,
    /// Older than usual, or nobody is connected to bring a newer one.
    Ageing,
    /// Too old to be judged.
    Stale,
    /// Too old to be judged, because its market is closed.
    Closed,
}

/// What was done to an alert that can still be taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Done {
    /// It was deleted.
    Deleted,
    /// It was changed.
    Edited {
        /// The version that the change made.
        version: u32,
    },
}

/// A change of an alert that can still be taken back.
#[derive(Clone, Debug)]
pub(crate) struct Undo {
    pub(crate) id: AlertId,
    /// What it said before.
    pub(crate) expr: String,
    pub(crate) done: Done,
    pub(crate) until: Timestamp,
}

/// The picture held by `p`.
#[derive(Clone, Debug)]
pub(crate) struct Frozen {
    pub(crate) board: Board,
    pub(crate) since: Timestamp,
}

/// All of the dashboard's state.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "independent switches, not the states of one machine")]
pub struct App {
    pub(crate) board: Board,
    /// Whether the board is a whole picture: not before the first snapshot, nor while events are missing.
    synced: bool,
    pub(crate) frozen: Option<Frozen>,
    pub(crate) catalog: Catalog,
    pub(crate) channels: Vec<ChannelView>,
    channel_names: Vec<ChannelName>,
    pub(crate) now: Timestamp,
    pub(crate) zone: TimeZone,
    pub(crate) link: Link,
    /// What the log says of a daemon that died so often that it is not started again.
    pub(crate) fallen: Option<String>,
    pub(crate) simulated: bool,
    pub(crate) readonly: bool,
    pub(crate) look: Look,
    /// What the user has chosen, as the configuration says it.
    pub(crate) settings: Dashboard,
    /// How many times settings are being written: what is read meanwhile is old.
    saving: u32,
    variables: Variables,
    pub(crate) keys: rebind::Rebound,
    /// The list that is shown: `all`, or one of the user's own.
    pub(crate) list: String,
    pub(crate) filter: Option<Filter>,
    /// Which of the first run's hints have been followed.
    tried: [bool; first::HINTS.len()],
    pub(crate) screen: Screen,
    pub(crate) pane: Pane,
    pub(crate) expanded: bool,
    pub(crate) overlay: Option<Overlay>,
    pub(crate) rows: Vec<Symbol>,
    pub(crate) sort: Sort,
    pub(crate) reversed: bool,
    sorted_at: Timestamp,
    moved_at: Timestamp,
    pub(crate) watch: Cursor<Symbol>,
    pub(crate) pane_alert: Cursor<AlertId>,
    pub(crate) alert: Cursor<AlertId>,
    pub(crate) event: Cursor<FiringId>,
    pub(crate) channel: Cursor<ChannelName>,
    /// The feed that Health was opened for.
    pub(crate) feed: Option<FeedId>,
    pub(crate) levels: Levels,
    pub(crate) market: Market,
    pub(crate) motions: Motions,
    pub(crate) toasts: Toasts,
    pub(crate) unseen: u32,
    pub(crate) undo: Option<Undo>,
    /// What the alert said that is being changed.
    edited: Option<(AlertId, String)>,
    pub(crate) chart: chart::ChartView,
    pub(crate) hits_of_alerts: Hits,
    pub(crate) inside: Inside,
    pub(crate) mouse: bool,
    /// When everything was last asked for anew by hand.
    refreshed: Option<Timestamp>,
    /// Where the mouse was last: column and line.
    pointed: Option<(u16, u16)>,
    /// What can be clicked, as of the last frame.
    pub(crate) hits: Vec<Hit>,
    /// Rows that the main list had in the last frame.
    pub(crate) page: usize,
}

impl App {
    /// How many bars a chart asks for.
    pub(crate) const MOST_BARS: usize = market::MOST_BARS;
    /// How far back the alert being written is tried, in days.
    pub(crate) const PAST_DAYS: u32 = past::DAYS;

    /// A dashboard that has just been opened and knows nothing yet.
    pub fn new(now: Timestamp, zone: TimeZone, look: Look, simulated: bool, readonly: bool) -> Self {
        let mut app = Self {
            board: Board::default(),
            synced: false,
            frozen: None,
            catalog: Catalog::builtin(),
            channels: Vec::new(),
            channel_names: Vec::new(),
            now,
            zone,
            link: Link::Connecting,
            fallen: None,
            simulated,
            readonly,
            mouse: true,
            look,
            settings: Dashboard::default(),
            saving: 0,
            variables: Variables::default(),
            keys: rebind::Rebound::default(),
            list: ALL.to_owned(),
            filter: None,
            tried: [false; first::HINTS.len()],
            screen: Screen::Watch,
            pane: Pane::Table,
            expanded: false,
            overlay: None,
            rows: Vec::new(),
            sort: Sort::Mine,
            reversed: false,
            sorted_at: now,
            moved_at: Timestamp::default(),
            watch: Cursor::default(),
            pane_alert: Cursor::default(),
            alert: Cursor::default(),
            event: Cursor::default(),
            channel: Cursor::default(),
            feed: None,
            levels: Levels::default(),
            market: Market::default(),
            motions: Motions::default(),
            toasts: Toasts::default(),
            unseen: 0,
            undo: None,
            edited: None,
            chart: chart::ChartView::default(),
            hits_of_alerts: Hits::default(),
            inside: Inside::default(),
            refreshed: None,
            pointed: None,
            hits: Vec::new(),
            page: 10,
        };
        app.refill_rows();
        app
    }

    /// Whether what is shown is a recording that is played.
    pub(crate) fn plays_a_tape(&self) -> bool {
        self.board.feeds().any(|feed| feed.feed == FeedId::Tape)
    }

    /// The board to be drawn: the live one, or the one held by `p`.
    pub(crate) fn picture(&self) -> &Board {
        self.frozen.as_ref().map_or(&self.board, |f| &f.board)
    }

    /// Whether frames come in.
    pub(crate) const fn is_live(&self) -> bool {
        matches!(self.link, Link::Live { .. })
    }

    /// Takes note of what the last frame showed.
    pub(crate) fn seen(&mut self, hits: Vec<Hit>, page: usize, plot: Option<Plot>) {
        self.hits = hits;
        self.page = page;
        if let Some(plot) = plot {
            // Another room shows other bars: what is computed of them is computed now, for the next frame.
            let changed = self.chart.plot.room != plot.room;
            self.chart.plot = plot;
            if changed {
                self.settle_chart();
            }
        }
    }

    /// When something on the screen changes by itself, before the clock does.
    pub(crate) fn next_change(&self, now: Timestamp) -> Option<Timestamp> {
        let flash = if self.look.animations { self.motions.next_change(now) } else { None };
        let past = match &self.overlay {
            Some(Overlay::Entry(entry)) if self.is_live() && self.synced && !entry.saving => {
                entry.alert().and_then(|line| entry.past.due(line))
            }
            Some(Overlay::Level(draft)) if self.is_live() && self.synced && !draft.saving => {
                draft.past.due(&draft.line())
            }
            _ => None,
        };
        [flash, self.toasts.next_change(), past].into_iter().flatten().min()
    }

    /// Shows the chart of this instrument, also before its first price.
    pub(crate) fn open_chart(&mut self, symbol: Symbol) {
        self.watch.put(symbol);
        self.screen = Screen::Chart;
    }

    /// The alert that is being made silent.
    #[cfg(test)]
    fn overlay_snoozes(&self) -> Option<AlertId> {
        match self.overlay {
            Some(Overlay::Snooze(id)) => Some(id),
            _ => None,
        }
    }

    /// The instrument under the cursor.
    pub(crate) fn selected(&self) -> Option<Symbol> {
        self.watch.of(&self.rows)
    }

    /// The instrument that chart and rail are about: the one under the cursor, on the Alerts screen that of the alert.
    pub(crate) fn subject(&self) -> Option<Symbol> {
        let alert = if self.screen == Screen::Alerts { self.target_alert() } else { None };
        alert.and_then(|id| self.picture().alert(id)).map(|row| row.alert.rule.symbol()).or_else(|| self.selected())
    }

    pub(crate) fn ticker(&self, symbol: Symbol) -> Option<&Ticker> {
        self.picture().ticker(symbol)
    }

    pub(crate) fn instrument(&self, symbol: Symbol) -> Option<&Instrument> {
        self.catalog.get(symbol)
    }

    /// The last price, however old.
    pub(crate) fn price(&self, symbol: Symbol) -> Option<Price> {
        self.ticker(symbol).map(|t| t.price)
    }

    /// How much a price is worth as news, now.
    pub(crate) fn freshness(&self, ticker: &Ticker) -> Freshness {
        if ticker.is_stale(self.now) {
            let closed = self.instrument(ticker.symbol).and_then(|i| hours::is_open(i, self.now)) == Some(false);
            return if closed { Freshness::Closed } else { Freshness::Stale };
        }
        // A price is stale at ten normal intervals and looks tired from three on.
        let tired = Span::from_micros(ticker.stale_after.as_micros() / 10 * 3);
        if !self.is_live() || self.now.since(ticker.as_of.plus(ticker.delay)) > tired {
            Freshness::Ageing
        } else {
            Freshness::Live
        }
    }

    /// How many prices are live, and how many are stale while their market is open.
    pub(crate) fn counts(&self) -> (usize, usize) {
        self.picture().tickers().fold((0, 0), |(live, stale), ticker| match self.freshness(ticker) {
            Freshness::Live | Freshness::Ageing if self.is_live() => (live + 1, stale),
            Freshness::Live | Freshness::Ageing | Freshness::Stale => (live, stale + 1),
            Freshness::Closed => (live, stale),
        })
    }

    /// The alerts listed under an instrument, oldest first.
    pub(crate) fn alerts_of(&self, symbol: Symbol) -> Vec<&AlertRow> {
        let ids = self.levels.alerts_of(symbol);
        ids.filter_map(|id| self.picture().alert(id)).collect()
    }

    /// The numbers of the alerts in the pane beside the chart.
    pub(crate) fn pane_ids(&self) -> Vec<AlertId> {
        self.selected().map(|s| self.levels.alerts_of(s).collect()).unwrap_or_default()
    }

    /// The numbers of all alerts, as the Alerts screen lists them.
    pub(crate) fn alert_ids(&self) -> Vec<AlertId> {
        self.picture().alerts().map(|row| row.alert.id).collect()
    }

    /// The firings that History lists, newest first.
    pub(crate) fn firings(&self) -> Vec<&Firing> {
        self.picture().firings().collect()
    }

    /// The deliveries of each firing, in the order they were made.
    pub(crate) fn deliveries(&self) -> BTreeMap<FiringId, Vec<&Delivery>> {
        let mut map: BTreeMap<FiringId, Vec<&Delivery>> = BTreeMap::new();
        for delivery in self.picture().deliveries() {
            map.entry(delivery.firing).or_default().push(delivery);
        }
        map
    }

    /// The alert that keys such as `e`, `d` and Space mean now.
    pub(crate) fn target_alert(&self) -> Option<AlertId> {
        match self.screen {
            Screen::Watch | Screen::Chart => self.pane_alert.of(&self.pane_ids()),
            Screen::Alerts => self.alert.of(&self.alert_ids()),
            Screen::History => self.event_id().map(|f| f.alert),
            Screen::Health => None,
        }
    }

    /// The firing under the cursor of History.
    pub(crate) fn event_id(&self) -> Option<FiringId> {
        let ids: Vec<FiringId> = self.picture().firings().map(|f| f.id).collect();
        self.event.of(&ids)
    }

    /// The deliveries of a firing that can be sent again.
    pub(crate) fn dead_deliveries(&self, firing: FiringId) -> Vec<DeliveryId> {
        let ended = |d: &&Delivery| matches!(d.state, DeliveryState::Dead | DeliveryState::Unknown);
        self.picture().deliveries().filter(|d| d.firing == firing).filter(ended).map(|d| d.id).collect()
    }

    /// The nearest level that would fire, seen from the last price.
    pub(crate) fn nearest(&self, symbol: Symbol) -> Option<Near> {
        self.levels.nearest(symbol, self.price(symbol)?, self.picture())
    }

    /// What alert lines are read against.
    pub(crate) fn parse_context(&self) -> ParseContext<'_> {
        ParseContext { catalog: &self.catalog, now: self.now, timezone: &self.zone, channels: &self.channel_names }
    }

    /// A rule put beside the last prices, and what its indicators are worth as far as that is known.
    pub(crate) fn preview(&self, rule: &Rule) -> bellwether_core::explain::Preview {
        let last = |symbol| self.board.ticker(symbol).map(|t| t.price);
        bellwether_core::explain::preview_at(rule, &self.catalog, &last, &self.indicators_now(rule))
    }

    /// An alert put beside the last prices and what its indicators are worth.
    pub(crate) fn preview_of(&self, row: &AlertRow) -> bellwether_core::explain::Preview {
        let last = |symbol| self.board.ticker(symbol).map(|t| t.price);
        bellwether_core::explain::preview_at(&row.alert.rule, &self.catalog, &last, &row.indicators)
    }

    fn set_channels(&mut self, channels: Vec<ChannelView>) {
        self.channel_names = channels.iter().map(|c| c.name.clone()).collect();
        self.channels = channels;
    }

    /// The contexts whose keys apply now, the first one first.
    pub(crate) fn contexts(&self) -> Vec<Context> {
        match &self.overlay {
            Some(overlay) => vec![overlay.context()],
            None => vec![Context::of_screen(self.screen), Context::Everywhere],
        }
    }

    /// Every instrument with a price or an alert, in the order of the catalogue. Before the first snapshot the catalogue stands in, so
    /// that the first frame is no empty box.
    fn every_row(&self) -> Vec<Symbol> {
        let board = &self.board;
        let known = |s: Symbol| board.ticker(s).is_some() || self.levels.alerts_of(s).next().is_some();
        let waiting = !self.synced && board.tickers().next().is_none();
        let listed = self.catalog.instruments().iter().map(|i| i.symbol).filter(|&s| waiting || known(s));
        let mut rows: Vec<Symbol> = listed.collect();
        let strangers = board.tickers().map(|t| t.symbol).chain(self.levels.symbols());
        for symbol in strangers.filter(|&s| self.catalog.get(s).is_none()).collect::<Vec<_>>() {
            if !rows.contains(&symbol) {
                rows.push(symbol);
            }
        }
        rows
    }

    /// The rows of the table: those of the list, in the order asked for, as far as the filter keeps them.
    fn refill_rows(&mut self) {
        self.watch.settle(&self.rows);
        let mut rows = if let Some(listed) = self.listed() {
            listed.to_vec()
        } else {
            let mut rows = self.every_row();
            let order = &self.settings.order;
            if !order.is_empty() {
                let place = |s: &Symbol| order.iter().position(|o| o == s).unwrap_or(order.len());
                rows.sort_by_cached_key(place);
            }
            rows
        };
        let board = &self.board;
        match self.sort {
            Sort::Mine => {}
            Sort::Symbol => rows.sort(),
            Sort::Price => rows.sort_by_cached_key(|&s| std::cmp::Reverse(board.ticker(s).map(|t| t.price))),
            Sort::Change => rows.sort_by_cached_key(|&s| {
                let change = board.ticker(s).and_then(|t| t.change_24h_pct);
                (change.is_none(), std::cmp::Reverse(change))
            }),
            Sort::Alert => rows.sort_by_cached_key(|&s| {
                let near = self.nearest(s).map(|n| n.percent.abs());
                (near.is_none(), near)
            }),
            Sort::Age => rows.sort_by_cached_key(|&s| std::cmp::Reverse(board.ticker(s).map(|t| t.as_of))),
            Sort::Value => rows.sort_by_cached_key(|&s| std::cmp::Reverse(self.worth(s).map(|w| w.value))),
        }
        if self.reversed {
            rows.reverse();
        }
        if let Some(filter) = &self.filter {
            rows.retain(|&s| filter.keeps(self, s));
        }
        self.rows = rows;
        self.watch.settle(&self.rows);
    }
}
