//! Health: the daemon, its feeds, its channels.

use bellwether_core::{
    event::{FeedState, FeedStatus},
    time::Span,
};
use ratatui::{layout::Rect, style::Style};

use super::{
    Theme, format,
    pen::{Pen, piece, row},
};
use crate::app::{App, Link, Target};

/// Draws the screen.
pub(super) fn draw(app: &App, pen: &mut Pen<'_>, area: Rect) {
    let feeds: Vec<&FeedStatus> = app.picture().feeds().collect();
    let boxed = area.height >= 12 && area.width >= 40;
    if !boxed {
        let lines = daemon(app, pen, area);
        let rest = Rect { y: area.y + lines, height: area.height - lines, ..area };
        let lines = list_feeds(app, pen, rest, &feeds);
        let rest = Rect { y: rest.y + lines, height: rest.height - lines, ..rest };
        list_channels(app, pen, rest);
        return;
    }
    let top = Rect { height: 5, ..area };
    let inner = pen.frame(top, &[piece("Daemon", pen.theme.strong)], "", false);
    daemon(app, pen, inner);
    let wanted = u16::try_from(feeds.len().max(1)).unwrap_or(u16::MAX).saturating_add(3);
    let height = wanted.min(area.height.saturating_sub(5) / 2);
    let middle = Rect { y: top.bottom(), height, ..area };
    let inner = pen.frame(middle, &[piece("Feeds", pen.theme.strong)], "", false);
    list_feeds(app, pen, inner, &feeds);
    let bottom = Rect { y: middle.bottom(), height: area.bottom().saturating_sub(middle.bottom()), ..area };
    let inner = pen.frame(bottom, &[piece("Channels", pen.theme.strong)], "s sends a test", true);
    list_channels(app, pen, inner);
}

fn daemon(app: &App, pen: &mut Pen<'_>, area: Rect) -> u16 {
    let theme = pen.theme;
    let (words, style) = match &app.link {
        Link::Live { version } => (format!("● connected, version {version}"), theme.up),
        Link::Connecting => ("◐ connecting".to_owned(), theme.warn),
        Link::Lost { since, reason, .. } => {
            (format!("○ lost {} ago: {reason}", format::age(app.now.since(*since))), theme.trouble)
        }
    };
    pen.put(row(area, 0), area.x + 1, &words, style);
    let (current, old) = app.counts();
    let words = format!(
        "{current} prices live, {old} stale, {} alerts, market {}",
        app.picture().alerts().count(),
        if app.simulated { "simulated" } else { "real" }
    );
    pen.put(row(area, 1), area.x + 1, &words, theme.dim);
    let (words, style) = inside(app, &theme);
    pen.put(row(area, 2), area.x + 1, &words, style);
    3.min(area.height)
}

/// What the daemon says of itself.
fn inside(app: &App, theme: &Theme) -> (String, Style) {
    let Some(status) = &app.inside.status else {
        let words = app.inside.trouble.as_ref().map(|trouble| format!("it does not say how it is: {trouble}"));
        return (words.unwrap_or_default(), theme.warn);
    };
    if let Some(trouble) = status.database.trouble.as_ref().filter(|_| !status.database.writable) {
        return (format!("the database takes nothing: {trouble}"), theme.trouble);
    }
    let waiting: i64 = status.queue.iter().map(|queue| queue.waiting).sum();
    let oldest = status.queue.iter().map(|queue| queue.oldest_seconds).max().unwrap_or_default();
    let queue = match waiting {
        0 => "nothing waits to be sent".to_owned(),
        1 => format!("1 message waits, for {}", format::age(Span::from_seconds(oldest))),
        n => format!("{n} messages wait, the oldest for {}", format::age(Span::from_seconds(oldest))),
    };
    let memory = status.resident_bytes.map(|bytes| format!(", {} in memory", megabytes(bytes))).unwrap_or_default();
    let clients = if status.sessions == 1 { "1 client".to_owned() } else { format!("{} clients", status.sessions) };
    let words = format!(
        "up {}, {queue}, {clients}, {} firings in {}{memory}",
        format::age(app.now.since(status.started)),
        status.database.firings,
        megabytes(status.database.size_bytes),
    );
    (words, if waiting > 0 { theme.warn } else { theme.dim })
}

fn megabytes(bytes: u64) -> String {
    format!("{}.{} MB", bytes / 1_000_000, bytes % 1_000_000 / 100_000)
}

fn list_feeds(app: &App, pen: &mut Pen<'_>, area: Rect, feeds: &[&FeedStatus]) -> u16 {
    if feeds.is_empty() {
        pen.put(row(area, 0), area.x + 1, "no feed has reported yet", pen.theme.dim);
        return 1.min(area.height);
    }
    for (i, feed) in feeds.iter().enumerate() {
        let line = row(area, u16::try_from(i).unwrap_or(u16::MAX));
        let (sign, style) = match feed.state {
            FeedState::Live => ("●", pen.theme.up),
            FeedState::Connecting => ("◐", pen.theme.dim),
            FeedState::BackingOff | FeedState::Paused => ("◐", pen.theme.warn),
            FeedState::Refused | FeedState::Banned | FeedState::Blocked => ("✗", pen.theme.trouble),
            FeedState::Off => ("○", pen.theme.dim),
        };
        if app.feed == Some(feed.feed) {
            pen.tint(line, pen.theme.selected);
            pen.put(line, line.x, "▶", pen.theme.accent);
        }
        let x = pen.put(line, line.x + 1, &format!("{sign} {:<11}", feed.feed), style);
        let since = format::age(app.now.since(feed.since));
        let x = pen.put(line, x + 1, &format!("{:<12} {since:>4}", feed.state.as_str()), style);
        let of_feed = app.picture().tickers().filter(|t| t.source == feed.feed);
        let newest = of_feed.map(|t| t.received).max();
        let last = newest.map_or(format::MISSING.to_owned(), |at| format!("last {}", format::age(app.now.since(at))));
        let x = pen.put(line, x + 2, &format!("{:>3} instruments  {last:<9}", feed.instruments), pen.theme.dim);
        let x = match feed.next_attempt.filter(|at| *at > app.now) {
            Some(at) => pen.put(line, x + 1, &format!("again in {}", format::age(at.since(app.now))), pen.theme.warn),
            None => x,
        };
        if let Some(trouble) = &feed.trouble {
            pen.put(line, x + 2, trouble, if feed.state == FeedState::Live { pen.theme.dim } else { pen.theme.warn });
        }
    }
    u16::try_from(feeds.len()).unwrap_or(u16::MAX).min(area.height)
}

fn list_channels(app: &App, pen: &mut Pen<'_>, area: Rect) {
    let names: Vec<_> = app.channels.iter().map(|c| c.name.clone()).collect();
    let Some(selected) = app.channel.index(&names) else {
        pen.put(row(area, 0), area.x + 1, "the channels are not known yet", pen.theme.dim);
        return;
    };
    let height = usize::from(area.height);
    let first = super::pen::first_row(selected, height, names.len());
    for (i, channel) in app.channels.iter().enumerate().skip(first).take(height) {
        let line = row(area, u16::try_from(i - first).unwrap_or(u16::MAX));
        pen.hit(line, Target::Channel(channel.name.clone()));
        if i == selected {
            pen.tint(line, pen.theme.selected);
            pen.put(line, line.x, "▶", pen.theme.accent);
        }
        let (sign, style) = if channel.ready { ("✓", pen.theme.up) } else { ("○", pen.theme.warn) };
        let x = pen.put(line, line.x + 2, &format!("{sign} {:<16}", channel.name), style);
        let x = if channel.default { pen.put(line, x + 1, "default  ", pen.theme.dim) } else { x + 10 };
        let queue =
            app.inside.status.iter().flat_map(|status| &status.queue).find(|queue| queue.channel == channel.name);
        let x = match queue {
            Some(queue) => {
                let age = format::age(Span::from_seconds(queue.oldest_seconds));
                pen.put(line, x, &format!("{} wait, {age}  ", queue.waiting), pen.theme.warn)
            }
            None => x,
        };
        pen.put(line, x, &channel.status, Style::new());
    }
}
