//! Alerts as a table: RFC 4180, with every cell in quotes.
//!
//! A spreadsheet takes a cell that begins with `=`, `+`, `-`, `@`, a tab or a carriage return for a formula, which may run programs. Such a cell
//! gets an apostrophe in front, as OWASP advises ("CSV Injection"), and loses it when it is read here. So does one that has an apostrophe of its own.

use bellwether_core::suggest;

use super::{Entry, Fault, Placement, quoted};

/// The columns that are written; a table to be read may have them in any order, and only `expr` must be there.
const COLUMNS: [&str; 7] = ["id", "expr", "paused", "snoozed_until", "state", "fired", "created"];

/// The table of these alerts.
pub(super) fn write(entries: &[Entry]) -> String {
    let mut text = String::new();
    row(&mut text, &COLUMNS.map(str::to_owned));
    for entry in entries {
        row(
            &mut text,
            &[
                entry.id.clone().unwrap_or_default(),
                entry.expr.clone(),
                entry.paused.to_string(),
                entry.snoozed_until.map(|at| at.to_string()).unwrap_or_default(),
                entry.state.map(|state| state.to_string()).unwrap_or_default(),
                entry.fired.map(|fired| fired.to_string()).unwrap_or_default(),
                entry.created.map(|at| at.to_string()).unwrap_or_default(),
            ],
        );
    }
    text
}

fn row(text: &mut String, cells: &[String; 7]) {
    for (index, cell) in cells.iter().enumerate() {
        text.push_str(if index == 0 { "\"" } else { ",\"" });
        text.push_str(if is_risky(cell) { "'" } else { "" });
        text.push_str(&cell.replace('"', "\"\""));
        text.push('"');
    }
    text.push_str("\r\n");
}

fn is_risky(cell: &str) -> bool {
    cell.starts_with(['=', '+', '-', '@', '\t', '\r', '\''])
}

/// A cell as it was before it was made harmless.
fn restored(cell: &str) -> &str {
    cell.strip_prefix('\'').filter(|rest| is_risky(rest)).unwrap_or(cell)
}

/// The alerts of a table.
pub(super) fn read(text: &str) -> Result<Vec<Placement>, Fault> {
    let mut rows = Rows { rest: text, line: 1 };
    let Some((line, head)) = rows.next_row()? else { return Err(Fault::whole("it is empty")) };
    let mut columns = Vec::new();
    for name in &head {
        let name = name.trim();
        let Some(column) = COLUMNS.iter().find(|known| known.eq_ignore_ascii_case(name)) else {
            let meant = suggest::nearest(name, COLUMNS).map(|n| format!(": did you mean {n}?")).unwrap_or_default();
            let known = COLUMNS.join(", ");
            let what = format!("there is no column {}{meant}; the first line names columns of: {known}", quoted(name));
            return Err(Fault::at(line, what));
        };
        if columns.contains(column) {
            return Err(Fault::at(line, format!("the column `{column}` stands there twice")));
        }
        columns.push(*column);
    }
    if !columns.contains(&"expr") {
        return Err(Fault::at(line, "the column `expr` is missing: the alerts themselves"));
    }
    let mut entries = Vec::new();
    while let Some((line, cells)) = rows.next_row()? {
        if cells == [""] {
            continue;
        }
        if cells.len() != columns.len() {
            let what = format!("there are {} cells, and {} columns", cells.len(), columns.len());
            return Err(Fault::at(line, what));
        }
        let mut entry = Entry::default();
        for (column, cell) in columns.iter().zip(&cells) {
            put(&mut entry, column, restored(cell))
                .map_err(|wanted| Fault::at(line, format!("{column}: {} is not {wanted}", quoted(cell))))?;
        }
        entries.push((line, entry));
    }
    Ok(entries)
}

/// Takes a cell, or says what the column wants instead.
fn put(entry: &mut Entry, column: &str, cell: &str) -> Result<(), &'static str> {
    let time = || cell.parse().map(Some).map_err(|_| "a time such as 2027-01-31T12:00:00Z");
    match column {
        "expr" if cell.trim().is_empty() => return Err("an alert"),
        "expr" => cell.clone_into(&mut entry.expr),
        _ if cell.is_empty() => {}
        "paused" => {
            entry.paused = match cell.to_ascii_lowercase().as_str() {
                "true" | "1" | "yes" => true,
                "false" | "0" | "no" => false,
                _ => return Err("true or false"),
            }
        }
        "snoozed_until" => entry.snoozed_until = time()?,
        "created" => entry.created = time()?,
        "state" => {
            let word = serde_json::Value::from(cell.to_ascii_lowercase());
            entry.state = Some(serde_json::from_value(word).map_err(|_| "a state such as armed or done")?);
        }
        "fired" => entry.fired = Some(cell.parse().map_err(|_| "a number")?),
        _ => entry.id = Some(cell.to_owned()),
    }
    Ok(())
}

/// The rows of a table, one after the other.
struct Rows<'a> {
    rest: &'a str,
    line: usize,
}

impl Rows<'_> {
    /// The next row and the line where it begins.
    fn next_row(&mut self) -> Result<Option<(usize, Vec<String>)>, Fault> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let begins = self.line;
        let mut cells = Vec::new();
        loop {
            cells.push(self.cell()?);
            if let Some(rest) = self.rest.strip_prefix(',') {
                self.rest = rest;
                continue;
            }
            let ended = self.rest.strip_prefix("\r\n").or_else(|| self.rest.strip_prefix('\n'));
            let Some(rest) = ended else {
                let what = "the file breaks off here; where it is whole, put a line break at its end";
                return Err(Fault::at(self.line, what));
            };
            self.rest = rest;
            self.line += 1;
            return Ok(Some((begins, cells)));
        }
    }

    fn cell(&mut self) -> Result<String, Fault> {
        let begins = self.line;
        let Some(mut rest) = self.rest.strip_prefix('"') else {
            let end = self.rest.find([',', '\n']).unwrap_or(self.rest.len());
            let line_break = self.rest[..end].ends_with('\r') && self.rest[end..].starts_with('\n');
            let (cell, rest) = self.rest.split_at(end - usize::from(line_break));
            self.rest = rest;
            return Ok(cell.to_owned());
        };
        let mut cell = String::new();
        loop {
            let Some((inside, behind)) = rest.split_once('"') else {
                return Err(Fault::at(begins, "a quote is opened and never closed: the file broke off"));
            };
            cell.push_str(inside);
            self.line += inside.matches('\n').count();
            let Some(further) = behind.strip_prefix('"') else {
                self.rest = behind;
                break;
            };
            cell.push('"');
            rest = further;
        }
        if self.rest.is_empty() || self.rest.starts_with([',', '\n']) || self.rest.starts_with("\r\n") {
            return Ok(cell);
        }
        Err(Fault::at(self.line, format!("behind the closing quote stands {}", quoted(self.rest))))
    }
}

#[cfg(test)]
mod tests {
    use super::{super::tests::entries, *};

    #[test]
    fn no_cell_is_a_formula() {
        let text = write(&entries());
        let mut rows = Rows { rest: &text, line: 1 };
        let mut seen = 0;
        while let Some((_, cells)) = rows.next_row().expect("a table") {
            for cell in cells {
                assert!(!cell.starts_with(['=', '+', '-', '@', '\t', '\r']), "{cell:?}");
                seen += 1;
            }
        }
        assert_eq!(seen, 7 * 12);
    }
}
