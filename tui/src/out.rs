//! Standard output: tables for people, JSON for programs. A reader that has gone ends the program quietly.

use std::io::{self, Write as _};

use bellwether_core::text::sanitize;
use serde::Serialize;
use unicode_width::UnicodeWidthStr as _;

/// Writes one document as JSON, followed by a line break.
pub fn json(value: &impl Serialize) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    serde_json::to_writer(&mut out, value).map_err(io::Error::from)?;
    out.write_all(b"\n")?;
    out.flush()?;
    Ok(())
}

/// Writes a line. The text is stripped of control characters first.
pub fn line(text: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{}", sanitize(text))?;
    out.flush()?;
    Ok(())
}

/// Writes text as it is, several lines of our own making.
pub fn raw(text: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()?;
    Ok(())
}

/// Writes a line of words for people to standard error; failing to do so is no failure.
pub fn note(text: &str) {
    let mut err = io::stderr().lock();
    drop(writeln!(err, "{text}"));
}

/// How a column stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

/// A table whose columns are as wide as their widest cell.
#[derive(Debug)]
pub struct Table {
    head: Vec<(&'static str, Align)>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these headings.
    pub fn new(head: &[(&'static str, Align)]) -> Self {
        Self { head: head.to_vec(), rows: Vec::new() }
    }

    /// Adds a row; its cells are stripped of control characters.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().map(|cell| sanitize(&cell)).collect());
    }

    /// Writes it.
    pub fn print(&self) -> anyhow::Result<()> {
        raw(&self.render())
    }

    fn render(&self) -> String {
        let head: Vec<String> = self.head.iter().map(|(name, _)| (*name).to_owned()).collect();
        let mut widths: Vec<usize> = head.iter().map(|cell| cell.width()).collect();
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.width());
            }
        }
        let mut text = String::new();
        for row in std::iter::once(&head).chain(&self.rows) {
            let mut line = String::new();
            for ((cell, width), (_, align)) in row.iter().zip(&widths).zip(&self.head) {
                let pad = " ".repeat(width - cell.width());
                if !line.is_empty() {
                    line.push_str("  ");
                }
                match align {
                    Align::Left => line.extend([cell.as_str(), &pad]),
                    Align::Right => line.extend([&pad, cell.as_str()]),
                }
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stay_straight_also_with_wide_and_evil_names() {
        let mut table = Table::new(&[("SYMBOL", Align::Left), ("PRICE", Align::Right), ("NOTE", Align::Left)]);
        table.row(["BTC".to_owned(), "60,412.50".to_owned(), "金".to_owned()]);
        table.row(["\u{1b}[31mX".to_owned(), "1.00".to_owned(), "x".to_owned()]);
        let text = table.render();
        assert!(!text.contains('\u{1b}'), "{text:?}");
        let columns: Vec<usize> =
            text.lines().skip(1).map(|l| l.find("60,4").or(l.find("1.00")).unwrap_or(0)).collect();
        assert_eq!(text.lines().next(), Some("SYMBOL      PRICE  NOTE"));
        assert_eq!(columns.len(), 2);
    }
}
