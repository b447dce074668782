//! The keys, out of the keymap: the present screen first; typing filters.

use ratatui::{layout::Rect, style::Style};

use super::pen::{Pen, piece, row, width, wrap};
use crate::app::{App, Context, Line, keymap::bindings};

/// Columns between the two columns of the help.
const GAP: u16 = 2;
/// Below so many columns the words get more lines and the keys less room.
const NARROW: u16 = 60;
/// The columns of the keys there.
const KEYS: u16 = 9;

/// A line of the help: a heading, or a key with what it does.
enum Entry {
    Heading(&'static str),
    Key(String, String),
}

fn entries(app: &App, filter: &str) -> Vec<Entry> {
    let here = Context::of_screen(app.screen);
    let mut contexts = vec![here, Context::Everywhere];
    contexts.extend(Context::ALL.into_iter().filter(|c| *c != here && *c != Context::Everywhere));
    let wanted = filter.trim().to_lowercase();
    let mut out = Vec::new();
    for context in contexts {
        let lines: Vec<Entry> = bindings(context, app.readonly)
            .map(|b| (app.keys.label(b), b.help))
            .filter(|(keys, help)| {
                wanted.is_empty()
                    || keys.to_lowercase().contains(&wanted)
                    || help.to_lowercase().contains(&wanted)
                    || context.name().to_lowercase().contains(&wanted)
            })
            .map(|(keys, help)| Entry::Key(keys, help.to_owned()))
            .collect();
        if !lines.is_empty() {
            out.push(Entry::Heading(context.name()));
            out.extend(lines);
        }
    }
    out
}

/// The entries for a window in which most would be cut: as many keys as there is room for, the words in several lines.
fn narrow(entries: Vec<Entry>, columns: u16) -> Vec<Entry> {
    let room = columns.saturating_sub(KEYS + 4);
    let lines = |entry| match entry {
        Entry::Heading(name) => vec![Entry::Heading(name)],
        Entry::Key(keys, help) => {
            let mut shown = String::new();
            for key in keys.split(' ') {
                if shown.is_empty() || width(&shown) + 1 + width(key) <= KEYS {
                    shown = if shown.is_empty() { key.to_owned() } else { format!("{shown} {key}") };
                }
            }
            let first = std::iter::once(shown).chain(std::iter::repeat(String::new()));
            first.zip(wrap(&help, room.max(1))).map(|(keys, help)| Entry::Key(keys, help)).collect()
        }
    };
    entries.into_iter().flat_map(lines).collect()
}

/// How wide a column of entries is: its widest keys, and all of it where nothing is cut.
fn measure(entries: &[Entry]) -> (u16, u16) {
    let (mut keys_wide, mut help_wide, mut heading) = (0, 0, 0);
    for entry in entries {
        match entry {
            Entry::Heading(name) => heading = width(name).max(heading),
            Entry::Key(keys, help) => {
                keys_wide = width(keys).max(keys_wide);
                help_wide = width(help).max(help_wide);
            }
        }
    }
    (keys_wide, (1 + keys_wide + 2 + help_wide).max(1 + heading))
}

/// Draws the help over the screen.
pub(super) fn draw(app: &App, pen: &mut Pen<'_>, screen: Rect, filter: &Line, scroll: usize) {
    let wide = screen.width >= 100;
    let area = super::centered(screen, if wide { 116 } else { 68 }, 40);
    pen.clear(area, Style::new());
    let boxed = area.height >= 4 && area.width >= 20;
    let inner = if boxed {
        let typed = if filter.text().is_empty() {
            piece(" type to filter", pen.theme.dim)
        } else {
            piece(format!(" {}", filter.text()), pen.theme.accent)
        };
        pen.frame(area, &[piece("Keys", pen.theme.strong), typed], "Esc close", true)
    } else {
        area
    };
    let mut entries = entries(app, filter.text());
    if inner.width < NARROW {
        entries = narrow(entries, inner.width);
    }
    if entries.is_empty() {
        pen.put(row(inner, 0), inner.x + 1, "no key does that", pen.theme.dim);
        return;
    }
    let height = usize::from(inner.height).max(1);
    pen.page = height;
    // Two columns where both fit uncut, each as wide as it needs.
    let half = entries.len().div_ceil(2).max(height.min(entries.len()));
    let (left, right) = entries.split_at(half);
    let (first_wide, second_wide) = (measure(left).1 + GAP, measure(right).1 + 1);
    if !right.is_empty() && first_wide + second_wide <= inner.width {
        let at = (inner.width / 2).clamp(first_wide, inner.width - second_wide);
        let first = scroll.min(half.saturating_sub(height));
        column(pen, Rect { width: at, ..inner }, left, first);
        column(pen, Rect { x: inner.x + at, width: inner.width - at, ..inner }, right, first);
    } else {
        column(pen, inner, &entries, scroll.min(entries.len().saturating_sub(height)));
    }
}

/// Draws the entries from `first` on.
fn column(pen: &mut Pen<'_>, area: Rect, entries: &[Entry], first: usize) {
    // In a narrow window the keys may take half of it and no more.
    let room = (1 + measure(entries).0).min(area.width / 2);
    for (entry, y) in entries.iter().skip(first).zip(0..area.height) {
        let line = row(area, y);
        match entry {
            Entry::Heading(name) => {
                pen.put(line, line.x + u16::from(line.width > 8), name, pen.theme.accent);
            }
            Entry::Key(keys, help) => {
                let x = line.x + room.saturating_sub(width(keys));
                pen.put(line, x.max(line.x + 1), keys, pen.theme.key);
                pen.put(line, line.x + room + 2, help, Style::new());
            }
        }
    }
}
