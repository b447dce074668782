//! What the chart shows: how much of the past, drawn how, with what beside it, and where the crosshair is.
//!
//! Bars are asked for in the lengths that the daemon keeps; what does not fit the window is put together here, so that a range
//! shows its whole time at every size.

use bellwether_core::{
    config::dashboard::{ChartStyle, Dashboard, Range as Chosen, Studies},
    indicator::Indicator,
    instrument::Symbol,
    price::Price,
    tick::Candle,
    time::{Span, Timestamp},
};
use rust_decimal::Decimal;

use super::{Action, App, Bars, Effect, Find, Overlay, Screen, Tone, draft, settings, studies, studies::Values};

const MINUTE: Span = Span::from_seconds(60);
const HOUR: Span = Span::from_seconds(3_600);
const DAY: Span = Span::from_seconds(86_400);

/// A stretch of time that `t` steps through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) name: &'static str,
    /// How much time it shows.
    pub(crate) span: Span,
    /// The length of the bars that are fetched for it: one of [`super::INTERVALS`].
    pub(crate) bar: Span,
}

const fn range(name: &'static str, span: Span, bar: Span) -> Range {
    Range { name, span, bar }
}

/// The ranges, the shortest first.
pub(crate) const RANGES: [Range; 8] = [
    range("1H", HOUR, MINUTE),
    range("4H", HOUR.times(4), MINUTE),
    range("1D", DAY, MINUTE.times(5)),
    range("1W", DAY.times(7), HOUR),
    range("1M", DAY.times(30), HOUR.times(4)),
    range("3M", DAY.times(91), DAY),
    range("1Y", DAY.times(365), DAY),
    range("5Y", DAY.times(1_826), DAY),
];
/// The range a chart begins with.
const FIRST_RANGE: usize = 2;
/// How far `=` and `_` go: each step halves or doubles the time that is shown.
const ZOOM: std::ops::RangeInclusive<i8> = -4..=5;
/// The fewest bars that zooming in leaves.
const LEAST_SHOWN: usize = 8;
/// The widest step from bar to bar, in columns.
const WIDEST: usize = 4;
/// From so many columns on there is a gap between candles.
const ROOMY: u16 = 30;
/// How long a bar may be that is put together, in minutes: what people expect on an axis.
const LENGTHS: [i64; 23] =
    [1, 2, 3, 5, 10, 15, 20, 30, 45, 60, 90, 120, 180, 240, 360, 480, 720, 1_440, 2_880, 4_320, 10_080, 20_160, 40_320];
/// How many bars ahead of the left edge older ones are asked for.
const AHEAD: usize = 60;

/// Where the crosshair is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cross {
    /// The start of its bar.
    pub(crate) at: Timestamp,
    /// Its price; the close of the bar where it was not moved.
    pub(crate) price: Option<Price>,
}

/// What the last frame showed of the chart: what keys and the mouse are measured by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Plot {
    /// The columns for bars.
    pub(crate) room: u16,
    /// The lines for prices.
    pub(crate) rows: u16,
    /// The lowest and the highest price.
    pub(crate) ends: Option<(Price, Price)>,
    /// The starts of the bars, with their columns.
    pub(crate) bars: Vec<(Timestamp, u16)>,
    /// The first line.
    pub(crate) top: u16,
}

impl Plot {
    /// The price in the middle of a line of the screen.
    pub(crate) fn price_at(&self, line: u16) -> Option<Price> {
        let (low, high) = self.ends?;
        let from_top = Decimal::from(line.checked_sub(self.top)?.min(self.rows.saturating_sub(1)));
        let whole = high.decimal().checked_sub(low.decimal())?;
        let share = (from_top + Decimal::new(5, 1)).checked_div(Decimal::from(self.rows.max(1)))?;
        high.decimal().checked_sub(whole.checked_mul(share)?).map(Price::new)
    }
}

/// The chart's own state.
#[derive(Clone, Debug)]
pub(crate) struct ChartView {
    pub(crate) range: usize,
    pub(crate) style: ChartStyle,
    pub(crate) studies: Studies,
    /// Whether what was traded is shown under the prices.
    pub(crate) volume: bool,
    /// Halvings of the time shown; below 0, doublings.
    pub(crate) zoom: i8,
    /// How many of the newest bars are hidden at the right.
    pub(crate) back: usize,
    pub(crate) cross: Option<Cross>,
    /// The instrument beside the first, both indexed.
    pub(crate) compare: Option<Symbol>,
    pub(crate) plot: Plot,
    pub(super) values: Values,
    /// What the state above is about: another instrument begins anew.
    about: Option<Symbol>,
    /// The newest bar when that was last looked at: a picture of the past stands still while new ones come.
    newest: Option<Timestamp>,
}

impl Default for ChartView {
    fn default() -> Self {
        Self {
            range: FIRST_RANGE,
            style: ChartStyle::Candles,
            studies: Studies::None,
            volume: true,
            zoom: 0,
            back: 0,
            cross: None,
            compare: None,
            plot: Plot::default(),
            values: Values::default(),
            about: None,
            newest: None,
        }
    }
}

/// The part of the bars that is shown, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Window {
    /// The bars, oldest first, put together from several where that was needed.
    pub(crate) bars: Vec<Candle>,
    /// Columns from one bar to the next.
    pub(crate) stride: u16,
    /// The length of a bar.
    pub(crate) length: Span,
}

/// At least so many bars in one, so that it has a common length.
fn common(bar: Span, merge: usize) -> usize {
    let minutes = bar.as_seconds() / 60;
    let whole = |length: &i64| usize::try_from(length / minutes.max(1)).ok().filter(|_| length % minutes.max(1) == 0);
    LENGTHS.iter().filter_map(whole).find(|n| *n >= merge).unwrap_or(merge)
}

/// How many fetched bars make one that is shown, how many are shown, and how wide each is.
pub(super) fn measure(view: &ChartView, items: &[Candle], room: u16) -> Option<(usize, usize, usize)> {
    let range = RANGES[view.range];
    let last = items.last()?;
    let from = last.to.minus(range.span);
    let whole = (items.len() - items.partition_point(|bar| bar.from < from)).max(2);
    let wanted = if view.zoom >= 0 {
        (whole >> view.zoom.unsigned_abs()).max(LEAST_SHOWN.min(whole))
    } else {
        whole << view.zoom.unsigned_abs()
    };
    let room = usize::from(room.max(1));
    let gap = if view.style == ChartStyle::Candles && room >= usize::from(ROOMY) { 2 } else { 1 };
    // A fifth of the range may be missing where bars of the next common length would be much coarser.
    let enough = wanted.saturating_mul(4) / 5;
    let merge = common(range.bar, enough.saturating_mul(gap).div_ceil(room).max(1));
    let shown = wanted.div_ceil(merge).max(1);
    let stride = (room / shown).clamp(if merge > 1 { gap } else { 1 }, WIDEST);
    let fits = room / stride.max(1);
    // What is left of the window shows the time before the range: a third of it would be empty. Whoever zooms in wants less.
    let shown = if view.zoom > 0 && stride == WIDEST { shown.min(fits) } else { fits };
    Some((merge, shown.max(1), stride))
}

/// Bars put together in stretches of `length`, each ending where its last one does.
pub(super) fn merged(bars: &[Candle], length: Span) -> Vec<Candle> {
    let place = |bar: &Candle| bar.from.as_micros().div_euclid(length.as_micros().max(1));
    let mut out: Vec<Candle> = Vec::new();
    for bar in bars {
        match out.last_mut() {
            Some(last) if place(last) == place(bar) => {
                last.to = bar.to;
                last.volume = last.volume_with(bar);
                last.high = last.high.max(bar.high);
                last.low = last.low.min(bar.low);
                last.close = bar.close;
            }
            _ => out.push(bar.clone()),
        }
    }
    out
}

impl ChartView {
    pub(crate) const fn range(&self) -> Range {
        RANGES[self.range]
    }

    /// What of these bars goes into so many columns.
    pub(crate) fn window(&self, items: &[Candle], room: u16) -> Window {
        let Some((merge, shown, stride)) = measure(self, items, room) else { return Window::default() };
        let length = self.range().bar.times(i64::try_from(merge).unwrap_or(1));
        let end = items.len() - self.back.min(items.len() - 1);
        // One more than is shown: the first stretch may be cut.
        let first = end.saturating_sub((shown + 1).saturating_mul(merge));
        let mut bars = if merge > 1 { merged(&items[first..end], length) } else { items[first..end].to_vec() };
        bars.drain(..bars.len().saturating_sub(shown));
        Window { bars, stride: u16::try_from(stride).unwrap_or(1), length }
    }

    /// The value of each indicator at the bar that starts there.
    pub(crate) fn values_at(&self, bar: Timestamp) -> &[Option<Price>] {
        self.values.by_bar.get(&bar).map_or(&[], |(_, values)| values.as_slice())
    }

    /// The indicators that are drawn, in the order of their values.
    pub(crate) fn indicators(&self) -> &[Indicator] {
        &self.values.indicators
    }

    /// Goes to another range; the picture begins at its newest bar.
    pub(crate) fn set_range(&mut self, range: usize) {
        self.range = range.min(RANGES.len() - 1);
        self.reset();
    }

    /// Shows what the settings say, as far as they changed.
    pub(super) fn follow(&mut self, before: &Dashboard, settings: &Dashboard) {
        if before.chart_range != settings.chart_range || RANGES[self.range].name != settings.chart_range.as_str() {
            self.set_range(settings.chart_range as usize);
        }
        self.style = settings.chart_style;
        self.studies = settings.chart_studies;
        self.volume = settings.chart_volume;
        self.compare = settings.chart_compare.parse().ok();
    }

    /// Shows the newest bars of the whole range again.
    pub(crate) fn reset(&mut self) {
        (self.zoom, self.back, self.cross) = (0, 0, None);
    }

    pub(crate) fn zoom_by(&mut self, by: i8) {
        self.zoom = self.zoom.saturating_add(by).clamp(*ZOOM.start(), *ZOOM.end());
    }

    /// The crosshair's place among the bars of the last frame.
    fn cross_index(&self) -> Option<usize> {
        let at = self.cross?.at;
        let bars = &self.plot.bars;
        // A bar that was put together anew may start earlier.
        Some(bars.partition_point(|(from, _)| *from <= at).saturating_sub(1)).filter(|i| *i < bars.len())
    }
}

/// What comes after this of a few things that a key goes through.
fn after<T: Copy + PartialEq>(all: &[T], now: T, forward: bool) -> T {
    let by = if forward { 1 } else { all.len() - 1 };
    let at = all.iter().position(|one| *one == now).unwrap_or(0);
    all[(at + by) % all.len()]
}

/// Does what an action means for the chart, if it means anything. What the user chose is remembered.
pub(super) fn act(app: &mut App, action: Action) -> Option<Vec<Effect>> {
    let on_chart = app.screen == Screen::Chart;
    match action {
        Action::NextPane | Action::PreviousPane if on_chart => draft::pick(app, action == Action::NextPane),
        Action::Up if on_chart && app.chart.cross.is_some() => app.lift_cross(1),
        Action::Down if on_chart && app.chart.cross.is_some() => app.lift_cross(-1),
        Action::Left => app.move_cross(-1),
        Action::Right => app.move_cross(1),
        Action::NewLevel => draft::open_new(app),
        Action::PanBack => app.pan(-app.pan_step()),
        Action::PanOn => app.pan(app.pan_step()),
        Action::ZoomIn => app.chart.zoom_by(1),
        Action::ZoomOut => app.chart.zoom_by(-1),
        Action::ZoomReset => app.chart.reset(),
        Action::ChartStyle => {
            let style = after(ChartStyle::ALL, app.chart.style, true);
            return Some(settings::change(app, |settings| settings.chart_style = style));
        }
        Action::Studies => {
            let chosen = after(Studies::ALL, app.chart.studies, true);
            app.toasts.push(Tone::Info, format!("indicators: {}", studies::name(chosen)), app.now);
            return Some(settings::change(app, |settings| settings.chart_studies = chosen));
        }
        Action::Volume => {
            let shown = !app.chart.volume;
            return Some(settings::change(app, |settings| settings.chart_volume = shown));
        }
        Action::Compare if app.chart.compare.is_some() => return Some(compare(app, None)),
        Action::Compare => app.overlay = Some(Overlay::Find(Box::new(Find { compares: true, ..Find::new(app) }))),
        Action::NextRange | Action::PreviousRange => {
            let now = Chosen::ALL[app.chart.range];
            let next = after(Chosen::ALL, now, action == Action::NextRange);
            return Some(choose_range(app, next as usize));
        }
        _ => return None,
    }
    Some(Vec::new())
}

/// Goes to another range.
pub(super) fn choose_range(app: &mut App, range: usize) -> Vec<Effect> {
    let Some(chosen) = Chosen::ALL.get(range) else { return Vec::new() };
    settings::change(app, |settings| settings.chart_range = *chosen)
}

/// Compares with another instrument, or with none.
pub(super) fn compare(app: &mut App, other: Option<Symbol>) -> Vec<Effect> {
    let name = other.map_or_else(String::new, |symbol| symbol.to_string());
    settings::change(app, |settings| settings.chart_compare = name)
}

impl App {
    /// The bars of the instrument in the chart at the selected range.
    pub(crate) fn bars(&self) -> Option<&Bars> {
        self.market.bars(self.subject()?, self.bar_span())
    }

    /// The length of the bars that are fetched for the chart.
    pub(crate) fn bar_span(&self) -> Span {
        self.chart.range().bar
    }

    /// Moves the crosshair by so many bars; at an edge the picture moves.
    pub(super) fn move_cross(&mut self, by: isize) {
        let count = self.chart.plot.bars.len();
        let Some(last) = count.checked_sub(1) else { return };
        let to = match self.chart.cross_index() {
            None => last,
            Some(index) => {
                let to = index.saturating_add_signed(by);
                if to > last || (by < 0 && index == 0) {
                    self.pan(by.signum());
                }
                to.min(last)
            }
        };
        let price = self.chart.cross.and_then(|cross| cross.price);
        self.chart.cross = Some(Cross { at: self.chart.plot.bars[to].0, price });
    }

    /// Moves the crosshair up by so many lines.
    pub(super) fn lift_cross(&mut self, lines: isize) {
        let (Some(cross), Some((low, high))) = (self.chart.cross, self.chart.plot.ends) else { return };
        let (low, high) = (low.decimal(), high.decimal());
        let Some(from) = cross.price.or_else(|| self.cross_bar().map(|bar| bar.close)) else { return };
        let step = high.checked_sub(low).and_then(|all| all.checked_div(Decimal::from(self.chart.plot.rows.max(1))));
        let way = step.and_then(|step| step.checked_mul(Decimal::from(lines)));
        if let Some(to) = way.and_then(|way| from.decimal().checked_add(way)) {
            let to = draft::snapped(to.clamp(low, high), draft::tick_size(from));
            self.chart.cross = Some(Cross { price: Some(Price::new(to)), ..cross });
        }
    }

    /// The bar under the crosshair, as it is shown.
    pub(crate) fn cross_bar(&self) -> Option<Candle> {
        let at = self.chart.cross?.at;
        let bars = self.chart.window(&self.bars()?.items, self.chart.plot.room).bars;
        let place = bars.partition_point(|bar| bar.from <= at).checked_sub(1)?;
        bars.get(place).cloned()
    }

    /// The price at the line that the mouse points at.
    pub(super) fn pointed_price(&self) -> Option<Price> {
        self.chart.plot.price_at(self.pointed?.1)
    }

    /// Moves the picture by so many shown bars, back in time where negative.
    pub(super) fn pan(&mut self, by: isize) {
        let Some(bars) = self.bars() else { return };
        let Some((merge, shown, _)) = measure(&self.chart, &bars.items, self.chart.plot.room) else { return };
        // A part of the picture stays filled; older bars come into the rest of it.
        let most = bars.items.len().saturating_sub(merge.saturating_mul((shown / 4).max(1)));
        let step = by.unsigned_abs().saturating_mul(merge);
        let back = self.chart.back.min(most);
        self.chart.back = if by < 0 { back.saturating_add(step).min(most) } else { back.saturating_sub(step) };
    }

    /// Zooms so that the bar under the mouse stays there, as far as there are bars.
    pub(super) fn zoom_around_pointer(&mut self, by: i8) {
        let under = self.pointed.and_then(|(column, _)| {
            let bars = &self.chart.plot.bars;
            let place = bars.partition_point(|(_, x)| *x <= column).checked_sub(1)?;
            let right = bars.last()?.1;
            Some((bars.get(place)?.0, usize::from(right.saturating_sub(column))))
        });
        self.chart.zoom_by(by);
        let (Some((at, columns)), Some(bars)) = (under, self.bars()) else { return };
        let Some((merge, _, stride)) = measure(&self.chart, &bars.items, self.chart.plot.room) else { return };
        let place = bars.items.partition_point(|bar| bar.from <= at);
        let end = place.saturating_add(columns.div_ceil(stride.max(1)).saturating_mul(merge));
        self.chart.back = bars.items.len().saturating_sub(end);
        // Not beyond what there is.
        self.pan(0);
    }

    /// Moves the picture with the pointer, from one column of the screen to another: the bar under it stays under it.
    pub(super) fn pull(&mut self, from: u16, to: u16) {
        let under = |column: u16| {
            let bars = &self.chart.plot.bars;
            bars.iter().rposition(|(_, at)| *at <= column).and_then(|place| isize::try_from(place).ok())
        };
        if let Some((from, to)) = under(from).zip(under(to)) {
            self.pan(from - to);
        }
    }

    /// How many bars `<` and `>` move the picture by.
    pub(super) fn pan_step(&self) -> isize {
        isize::try_from(self.chart.plot.bars.len() / 4).unwrap_or(1).max(1)
    }

    /// Whether bars older than those that are here are needed, and before when.
    pub(super) fn older_bars_wanted(&self) -> Option<(Symbol, Span, Timestamp)> {
        let symbol = self.subject()?;
        let bars = self.bars()?;
        let (merge, shown, _) = measure(&self.chart, &bars.items, self.chart.plot.room)?;
        // What the range, drawn whole, would need although it is not here yet.
        let range = self.chart.range();
        let first = bars.items.first()?.from;
        let whole = self.chart.zoom <= 0 && bars.items.last()?.to.minus(range.span) < first;
        let needed = self.chart.back.saturating_add(merge.saturating_mul(shown)).saturating_add(AHEAD);
        let moved = self.chart.back > 0 || self.chart.zoom < 0 || range.span.as_micros() / range.bar.as_micros() > 490;
        (moved && (whole || needed > bars.items.len())).then_some((symbol, range.bar, first))
    }

    /// Keeps what follows from the state in step with it: called after each message.
    pub(super) fn settle_chart(&mut self) {
        let subject = self.subject();
        if self.chart.about != subject {
            self.chart.about = subject;
            (self.chart.back, self.chart.cross) = (0, None);
            if self.chart.compare == subject {
                self.chart.compare = None;
            }
        }
        let newest = self.bars().and_then(|bars| bars.items.last()).map(|bar| bar.from);
        if self.chart.back > 0
            && let (Some(before), Some(bars)) = (self.chart.newest, self.bars())
        {
            let new = bars.items.len() - bars.items.partition_point(|bar| bar.from <= before);
            self.chart.back = self.chart.back.saturating_add(new);
        }
        self.chart.newest = newest;
        self.compute_studies();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::{
        INTERVALS,
        fixture::{price, walk},
    };

    #[test]
    fn a_range_shows_its_time_and_fills_every_width() {
        let items = walk(price("60412.5"), 500, MINUTE.times(5));
        let view = ChartView::default();
        for room in 20..300 {
            let window = view.window(&items, room);
            let shown = window.bars.last().expect("bars").to.since(window.bars[0].from);
            let (least, most) = (DAY.as_seconds() * 3 / 4, DAY.as_seconds() * 2);
            assert!((least..=most).contains(&shown.as_seconds()), "{room}: {shown:?}");
            let (used, stride) = (window.bars.len() * usize::from(window.stride), usize::from(window.stride));
            let all = items[0].from >= window.bars[0].from;
            assert!(used <= usize::from(room) && (all || used + stride > usize::from(room)), "{room}: {used}");
        }
    }

    #[test]
    fn bars_put_together_keep_their_extremes() {
        let items = walk(price("100"), 40, MINUTE);
        let put = merged(&items, MINUTE.times(4));
        assert!((10..=11).contains(&put.len()));
        let high = |bars: &[Candle]| bars.iter().map(|b| b.high).max();
        assert_eq!(high(&put), high(&items));
        assert_eq!(put.last().map(|b| b.close), items.last().map(|b| b.close));
        assert!(put.windows(2).all(|pair| pair[0].to <= pair[1].from));
    }

    #[test]
    fn zooming_and_panning_stay_within_the_bars() {
        let items = walk(price("100"), 288, MINUTE.times(5));
        let mut view = ChartView::default();
        for zoom in -9..9 {
            view.zoom = 0;
            for _ in 0_i8..zoom {
                view.zoom_by(1);
            }
            for _ in zoom..0 {
                view.zoom_by(-1);
            }
            for back in [0, 1, 200, 287, 288, 9_999] {
                view.back = back;
                for room in [1, 2, 7, 40, 74, 200] {
                    let window = view.window(&items, room);
                    assert!(!window.bars.is_empty() && window.stride >= 1);
                }
            }
        }
        assert!(ChartView::default().window(&[], 40).bars.is_empty());
    }

    #[test]
    fn every_range_fetches_bars_that_the_daemon_keeps() {
        for range in RANGES {
            assert!(INTERVALS.contains(&range.bar), "{}", range.name);
        }
        assert!(RANGES.windows(2).all(|pair| pair[0].span < pair[1].span));
    }
}
