//! An alert's level being set or moved on the chart: nothing is changed before Enter, and Esc leaves everything as it was.

use bellwether_core::{
    alert::AlertId,
    condition::{Condition, Level, MAX_LINE, Operand, Rule},
    event::AlertRow,
    instrument::Symbol,
    parse,
    price::Price,
    time::Timestamp,
};
use rust_decimal::{Decimal, RoundingStrategy};

use super::{Action, App, Effect, Entry, Line, Overlay, Purpose, Tone, past::Past, update};

/// The most characters of a price that is typed.
const MOST_DIGITS: usize = 40;
/// What a new line without a crosshair is away from the price, in per cent.
const AWAY: i64 = 1;
/// Ten ticks at once with Shift.
const BIG_STEP: i64 = 10;

/// Which price of a condition it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The only one.
    Only,
    /// The lower end of a range.
    Lower,
    /// The upper end.
    Upper,
}

/// A price in an alert that can be moved: which term, and which end of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) term: usize,
    pub(crate) end: End,
}

/// An alert with one of its levels in the user's hand.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    pub(crate) purpose: Purpose,
    pub(crate) symbol: Symbol,
    /// The alert as it would be saved.
    pub(crate) rule: Rule,
    before: Rule,
    pub(crate) place: Place,
    pub(crate) level: Price,
    /// What is typed instead of moved.
    pub(crate) typed: Option<Line>,
    /// What the alert would have done.
    pub(crate) past: Past,
    pub(crate) saving: bool,
    /// Why it was not saved, or cannot be as it is.
    pub(crate) refusal: Option<String>,
}

/// The smallest step of a level near this price. No feed tells its tick size, so it is the power of ten at or below a basis point
/// of the price, and no finer than prices of this size are shown.
pub(crate) fn tick_size(price: Price) -> Decimal {
    let shown = Decimal::new(1, price.natural_places());
    let basis_point = price.decimal().abs() / Decimal::from(10_000);
    let mut tick = shown;
    while let Some(next) = tick.checked_mul(Decimal::TEN).filter(|next| *next <= basis_point) {
        tick = next;
    }
    tick
}

/// The nearest whole number of ticks.
pub(crate) fn snapped(value: Decimal, tick: Decimal) -> Decimal {
    let ticks = value.checked_div(tick).map(|n| n.round_dp_with_strategy(0, RoundingStrategy::MidpointAwayFromZero));
    ticks.and_then(|n| n.checked_mul(tick)).unwrap_or(value).normalize()
}

/// The price at a place of a rule, where one stands there.
fn level_at(rule: &Rule, place: Place) -> Option<Price> {
    match (&rule.terms.get(place.term)?.condition, place.end) {
        (Condition::Compare { level, .. } | Condition::Crosses { level, .. }, End::Only) => level.price(),
        (Condition::In(r) | Condition::Outside(r) | Condition::Enters(r) | Condition::Exits(r), End::Lower) => {
            Some(r.lower)
        }
        (Condition::In(r) | Condition::Outside(r) | Condition::Enters(r) | Condition::Exits(r), End::Upper) => {
            Some(r.upper)
        }
        _ => None,
    }
}

/// The places of an alert at which a fixed price of this instrument stands.
fn places(rule: &Rule, symbol: Symbol) -> impl Iterator<Item = (Place, Price)> {
    let terms = rule.terms.iter().enumerate().filter(move |(_, term)| term.operand == Operand::Price(symbol));
    let all = terms.flat_map(|(term, _)| [End::Upper, End::Only, End::Lower].map(|end| Place { term, end }));
    all.filter_map(|place| Some((place, level_at(rule, place)?)))
}

impl Draft {
    /// Takes a level of an alert that stands into the hand.
    fn of(row: &AlertRow, symbol: Symbol, place: Place, now: Timestamp) -> Option<Self> {
        let rule = row.alert.rule.clone();
        Some(Self::new(
            Purpose::Edit(row.alert.id, row.alert.version),
            symbol,
            place,
            level_at(&rule, place)?,
            rule,
            now,
        ))
    }

    fn new(purpose: Purpose, symbol: Symbol, place: Place, level: Price, rule: Rule, now: Timestamp) -> Self {
        let mut past = Past::default();
        past.changed(now);
        let before = rule.clone();
        Self { purpose, symbol, rule, before, place, level, typed: None, past, saving: false, refusal: None }
    }

    /// The alert that is moved; none for a new one.
    pub(crate) const fn alert(&self) -> Option<AlertId> {
        match self.purpose {
            Purpose::Edit(id, _) => Some(id),
            Purpose::Create => None,
        }
    }

    /// The alert as one line.
    pub(crate) fn line(&self) -> String {
        self.rule.to_string()
    }

    /// Whether Enter would change anything.
    pub(crate) fn is_changed(&self) -> bool {
        self.purpose == Purpose::Create || self.rule != self.before
    }

    /// Moves the level by so many ticks; from between two ticks first onto one.
    fn step(&mut self, ticks: i64, now: Timestamp, app: &App) {
        let tick = tick_size(self.level);
        let whole = snapped(self.level.decimal(), tick);
        let to = Decimal::from(ticks).checked_mul(tick).and_then(|way| whole.checked_add(way));
        self.put(to, now, app);
    }

    /// Moves the level by so many per cent, onto a tick.
    fn percent(&mut self, percent: i64, now: Timestamp, app: &App) {
        let factor = Decimal::ONE + Decimal::new(percent, 2);
        let to = self.level.decimal().checked_mul(factor).map(|to| snapped(to, tick_size(self.level)));
        self.put(to, now, app);
    }

    /// Puts the level there. A range keeps its ends apart; a new alert fires on the way from where the price is.
    pub(super) fn put(&mut self, to: Option<Decimal>, now: Timestamp, app: &App) {
        self.typed = None;
        match to {
            Some(to) => self.set(Price::new(to), now, app),
            None => self.refusal = Some("no price goes that far".to_owned()),
        }
    }

    fn set(&mut self, to: Price, now: Timestamp, app: &App) {
        self.refusal = None;
        let nonpositive = app.instrument(self.symbol).is_some_and(|i| i.allow_nonpositive);
        if !to.is_positive() && !nonpositive {
            self.refusal = Some("a price is above 0".to_owned());
            return;
        }
        let Some(term) = self.rule.terms.get_mut(self.place.term) else { return };
        match (&mut term.condition, self.place.end) {
            (Condition::Compare { level, .. } | Condition::Crosses { level, .. }, End::Only) => {
                *level = Level::Price(to);
            }
            (Condition::In(r) | Condition::Outside(r) | Condition::Enters(r) | Condition::Exits(r), end) => {
                let apart = if end == End::Lower { to < r.upper } else { to > r.lower };
                if !apart {
                    self.refusal = Some("the ends of a range stay apart".to_owned());
                    return;
                }
                *(if end == End::Lower { &mut r.lower } else { &mut r.upper }) = to;
            }
            _ => return,
        }
        self.level = to;
        if self.purpose == Purpose::Create
            && let Some(rule) = crossing(app, self.symbol, to)
        {
            self.rule = rule;
        }
        self.past.changed(now);
    }

    /// Reads what was typed, by the rules of the alert language.
    fn read_typed(&mut self, now: Timestamp, app: &App) {
        let Some(typed) = self.typed.clone() else { return };
        let line = format!("{} > {}", Operand::Price(self.symbol), typed.text());
        let read = parse::parse(&line, &app.parse_context());
        match read.as_ref().map(|rule| level_at(rule, Place { term: 0, end: End::Only })) {
            Ok(Some(price)) => self.set(price, now, app),
            Ok(None) => self.refusal = Some("not a price yet".to_owned()),
            Err(_) if typed.text().is_empty() => self.refusal = None,
            Err(error) => self.refusal = Some(error.message.clone()),
        }
    }
}

/// A new alert at a price: from below through what lies above the last price, from above through what lies below.
fn crossing(app: &App, symbol: Symbol, level: Price) -> Option<Rule> {
    let way = if app.price(symbol).is_some_and(|last| level < last) { "down" } else { "up" };
    parse::parse(&format!("{} crosses {way} {level}", Operand::Price(symbol)), &app.parse_context()).ok()
}

/// Opens a new line at the crosshair; without one, a little above the price.
pub(super) fn open_new(app: &mut App) {
    let Some(symbol) = app.subject() else { return };
    (app.chart.compare, app.settings.chart_compare) = (None, String::new());
    let at_cross = app.chart.cross.and_then(|cross| cross.price.or_else(|| app.cross_bar().map(|bar| bar.close)));
    let Some(price) = at_cross.or_else(|| {
        let last = app.price(symbol)?.decimal();
        last.checked_add(last.abs().checked_mul(Decimal::new(AWAY, 2))?).map(Price::new)
    }) else {
        app.toasts.push(Tone::Info, format!("no price of {symbol} is known yet: a line has no place"), app.now);
        return;
    };
    let level = Price::new(snapped(price.decimal(), tick_size(price)));
    match crossing(app, symbol, level) {
        Some(rule) => {
            let place = Place { term: 0, end: End::Only };
            let draft = Draft::new(Purpose::Create, symbol, place, level, rule, app.now);
            app.overlay = Some(Overlay::Level(Box::new(draft)));
        }
        None => app.toasts.push(Tone::Info, format!("no alert can stand at {level}"), app.now),
    }
}

/// The levels on the chart that can be moved, the highest first.
fn movable(app: &App, symbol: Symbol) -> Vec<(AlertId, Place, Price)> {
    let mut all: Vec<_> = app
        .alerts_of(symbol)
        .into_iter()
        .flat_map(|row| places(&row.alert.rule, symbol).map(move |(place, price)| (row.alert.id, place, price)))
        .collect();
    all.sort_by_key(|(id, _, price)| (std::cmp::Reverse(*price), *id));
    all
}

/// Takes the next line into the hand, the first time the one nearest to the price.
pub(super) fn pick(app: &mut App, forward: bool) {
    let Some(symbol) = app.subject() else { return };
    if app.readonly {
        app.toasts.push(Tone::Info, "opened with --readonly: no line can be moved from here", app.now);
        return;
    }
    (app.chart.compare, app.settings.chart_compare) = (None, String::new());
    let all = movable(app, symbol);
    let held = match &app.overlay {
        Some(Overlay::Level(draft)) => draft.alert().map(|id| (id, draft.place)),
        _ => None,
    };
    let at = held.and_then(|(id, place)| all.iter().position(|(i, p, _)| (*i, *p) == (id, place)));
    let next = match (at, all.len()) {
        (_, 0) => {
            app.toasts.push(Tone::Info, format!("no alert on {symbol} has a line; A makes one"), app.now);
            return;
        }
        (Some(at), count) if forward => (at + 1) % count,
        (Some(at), count) => (at + count - 1) % count,
        (None, _) => {
            let last = app.price(symbol).unwrap_or_default().decimal();
            let far = |(_, (_, _, price)): &(usize, &(AlertId, Place, Price))| {
                price.decimal().checked_sub(last).map_or(Decimal::MAX, |way| way.abs())
            };
            all.iter().enumerate().min_by_key(far).map_or(0, |(index, _)| index)
        }
    };
    let (id, place, _) = all[next];
    hold(app, id, symbol, place);
}

/// Takes this level of this alert into the hand.
fn hold(app: &mut App, id: AlertId, symbol: Symbol, place: Place) {
    if let Some(draft) = app.board.alert(id).and_then(|row| Draft::of(row, symbol, place, app.now)) {
        app.pane_alert.put(id);
        app.overlay = Some(Overlay::Level(Box::new(draft)));
    }
}

/// Takes the level of this alert that is nearest to a price into the hand, as the mouse does with a tag.
pub(crate) fn take(app: &mut App, id: AlertId, price: Price) -> bool {
    let Some(symbol) = app.subject().filter(|_| !app.readonly) else { return false };
    let near = movable(app, symbol)
        .into_iter()
        .filter(|(i, _, _)| *i == id)
        .min_by_key(|(_, _, level)| level.decimal().checked_sub(price.decimal()).map_or(Decimal::MAX, |way| way.abs()));
    near.is_some_and(|(id, place, _)| {
        hold(app, id, symbol, place);
        true
    })
}

/// Moves the level in the hand to a price, onto a tick.
pub(crate) fn drag(app: &mut App, to: Price) {
    with_draft(app, |draft, app| draft.put(Some(snapped(to.decimal(), tick_size(to))), app.now, app));
}

/// Lends the level in the hand out together with the rest of the dashboard.
fn with_draft(app: &mut App, change: impl FnOnce(&mut Draft, &App)) {
    match app.overlay.take() {
        Some(Overlay::Level(mut draft)) => {
            if !draft.saving {
                change(&mut draft, app);
            }
            app.overlay = Some(Overlay::Level(draft));
        }
        other => app.overlay = other,
    }
}

/// Digits type the exact price.
pub(super) fn write(app: &mut App, text: &str) {
    with_draft(app, |draft, app| {
        let digits: String = text.chars().filter(|c| c.is_ascii_digit() || ".,_kKmMbB-".contains(*c)).collect();
        if !digits.is_empty() {
            draft.typed.get_or_insert_with(Line::default).insert(&digits, MOST_DIGITS.min(MAX_LINE));
            draft.read_typed(app.now, app);
        }
    });
}

/// What keys do while a level is in the hand.
pub(super) fn act(app: &mut App, action: Action) -> Vec<Effect> {
    match action {
        Action::Back => {
            app.overlay = None;
            return Vec::new();
        }
        Action::Accept => return save(app),
        Action::NextLevel | Action::PreviousLevel => {
            let changed = matches!(&app.overlay, Some(Overlay::Level(draft)) if draft.is_changed());
            if changed {
                with_draft(app, |draft, _| {
                    draft.refusal = Some("Enter saves this line first, Esc lets it go".to_owned());
                });
            } else {
                pick(app, action == Action::NextLevel);
            }
        }
        Action::EditAlert => as_line(app),
        Action::DeleteAlert => {
            let id = match &app.overlay {
                Some(Overlay::Level(draft)) => draft.alert(),
                _ => None,
            };
            app.overlay = None;
            return id.map_or_else(Vec::new, |id| update::delete(app, id));
        }
        _ => with_draft(app, |draft, app| {
            let now = app.now;
            match action {
                Action::Up => draft.step(1, now, app),
                Action::Down => draft.step(-1, now, app),
                Action::FarUp => draft.step(BIG_STEP, now, app),
                Action::FarDown => draft.step(-BIG_STEP, now, app),
                Action::PageUp => draft.percent(1, now, app),
                Action::PageDown => draft.percent(-1, now, app),
                Action::Backspace => {
                    if let Some(line) = &mut draft.typed {
                        line.backspace();
                    }
                    draft.read_typed(now, app);
                }
                _ => {}
            }
        }),
    }
    Vec::new()
}

/// Goes on in the alert line with what the level has become.
fn as_line(app: &mut App) {
    if let Some(Overlay::Level(draft)) = app.overlay.take() {
        app.overlay = Some(Overlay::Entry(Box::new(Entry::new(draft.purpose, draft.line(), &app.parse_context()))));
    }
}

fn save(app: &mut App) -> Vec<Effect> {
    let is_live = app.is_live();
    let Some(Overlay::Level(draft)) = &mut app.overlay else { return Vec::new() };
    if draft.saving || draft.refusal.as_deref().is_some_and(|_| draft.typed.is_some()) {
        return Vec::new();
    }
    if !draft.is_changed() {
        app.overlay = None;
        return Vec::new();
    }
    if !is_live {
        draft.refusal = Some("the daemon is not there: the line stays, Enter tries again".to_owned());
        return Vec::new();
    }
    (draft.saving, draft.refusal) = (true, None);
    let (line, before) = (draft.line(), draft.before.to_string());
    match draft.purpose {
        Purpose::Create => vec![Effect::Create(line)],
        Purpose::Edit(id, version) => {
            update::remember_edit(app, id, before);
            vec![Effect::Edit(id, version, line)]
        }
    }
}
