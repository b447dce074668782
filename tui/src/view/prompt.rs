//! A line that is asked for at the bottom of the screen, and the choice of the order of rows.

use ratatui::{layout::Rect, style::Style};

use super::{
    form::input,
    pen::{Pen, piece, row, width, wrap},
    status,
};
use crate::app::{Action, App, Context, Line, Target, keymap::bindings, prompt::Prompt};

/// Draws the question over the bottom of the screen, so that the rows it is about stay in sight.
pub(super) fn draw(app: &App, pen: &mut Pen<'_>, screen: Rect, prompt: &Prompt) {
    let words = prompt.trouble.as_deref().unwrap_or_else(|| prompt.help());
    let lines = u16::try_from(wrap(words, screen.width.saturating_sub(4)).len()).unwrap_or(1).clamp(1, 4);
    let tall = (lines + 4).min(screen.height);
    let area = Rect { y: screen.bottom() - tall, height: tall, ..screen };
    pen.clear(area, Style::new());
    let inner = if tall >= 5 && area.width >= 20 { pen.frame(area, &[], "", true) } else { area };
    if prompt.is_secret() {
        let unseen = Line::new("*".repeat(prompt.line.text().chars().count()));
        input(pen, row(inner, 0), &prompt.word(), &unseen, prompt.example());
    } else {
        input(pen, row(inner, 0), &prompt.word(), &prompt.line, prompt.example());
    }
    if inner.height < 2 {
        return;
    }
    let below = u16::from(inner.height > 2);
    let body =
        Rect { x: inner.x + 1, y: inner.y + 1, width: inner.width.saturating_sub(2), height: inner.height - 1 - below };
    let style = if prompt.trouble.is_some() { pen.theme.warn } else { pen.theme.dim };
    pen.paragraph(body, words, style);
    if below == 1 {
        status::hints_of(app, pen, row(inner, inner.height - 1), &[Context::Prompt]);
    }
}

/// Draws the letters that order the rows, over the last lines of the screen.
pub(super) fn order(app: &App, pen: &mut Pen<'_>, screen: Rect) {
    let choices: Vec<(String, &str, Action)> = bindings(Context::Order, app.readonly)
        .filter_map(|b| Some((app.keys.chords(b).first()?.label(), b.hint?, b.action)))
        .collect();
    // As many lines as the choices take, one behind the other.
    let room = screen.width.saturating_sub(4).max(1);
    let (mut x, mut y, mut places) = (0, 0, Vec::new());
    for (key, word, action) in &choices {
        let wide = width(key) + 1 + width(word);
        if x > 0 && x + wide > room {
            (x, y) = (0, y + 1);
        }
        places.push((x, y, wide, key, *word, *action));
        x += wide + 2;
    }
    let tall = (y + 3).min(screen.height);
    let area = Rect { y: screen.bottom() - tall, height: tall, ..screen };
    pen.clear(area, Style::new());
    let now = format!("now: {}{}", app.sort.name(), if app.reversed { " reversed" } else { "" });
    let title = [piece("Order of rows", pen.theme.strong)];
    let boxed = tall >= 3 && area.width >= 20;
    let inner = if boxed { pen.frame(area, &title, &now, true) } else { area };
    for (x, y, wide, key, word, action) in places {
        let line = row(inner, y);
        let at = inner.x + u16::from(boxed) + x;
        let end = pen.put(line, at, key, pen.theme.key);
        pen.put(line, end + 1, word, pen.theme.dim);
        pen.hit(Rect { x: at, width: wide, ..line }.intersection(line), Target::Hint(action));
    }
}
