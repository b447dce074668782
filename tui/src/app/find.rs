//! Finding an instrument or an alert by a few of its letters.

use bellwether_core::{alert::AlertId, instrument::Symbol};
use nucleo_matcher::{
    Config, Matcher, Utf32Str,
    pattern::{CaseMatching, Normalization, Pattern},
};

use super::{App, Cursor, Line};

/// How many results are kept.
const MOST: usize = 50;

/// One thing that was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// An instrument.
    Instrument(Symbol),
    /// An alert.
    Alert(AlertId),
}

/// The search and what it has found, best first.
#[derive(Clone, Debug, Default)]
pub(crate) struct Find {
    /// Whether what is found is put beside the instrument in the chart.
    pub(crate) compares: bool,
    pub(crate) line: Line,
    pub(crate) results: Vec<Found>,
    pub(crate) cursor: Cursor<Found>,
}

impl Find {
    /// A search that has just begun: everything is found.
    pub(crate) fn new(app: &App) -> Self {
        let mut find = Self::default();
        find.search(app);
        find
    }

    /// Looks again, after the text has changed.
    pub(crate) fn search(&mut self, app: &App) {
        let instruments = app.rows.iter().map(|&s| {
            let name = app.instrument(s).map_or("", |i| &i.name);
            let aliases = app.instrument(s).map_or(String::new(), |i| i.aliases.join(" "));
            (Found::Instrument(s), format!("{s} {name} {aliases}"))
        });
        let alerts = app.picture().alerts().map(|row| {
            let note = row.alert.rule.note.as_deref().unwrap_or_default();
            (Found::Alert(row.alert.id), format!("{} {} {note}", row.alert.id, row.alert.rule.condition_text()))
        });
        let pattern = Pattern::parse(self.line.text(), CaseMatching::Ignore, Normalization::Smart);
        let mut matcher = Matcher::new(Config::DEFAULT);
        let mut buffer = Vec::new();
        let wanted = self.line.text().trim();
        let mut scored: Vec<(u32, usize, Found)> = instruments
            .chain(alerts)
            .enumerate()
            .filter_map(|(i, (found, text))| {
                let score = pattern.score(Utf32Str::new(&text, &mut buffer), &mut matcher)?;
                // Whoever types a whole symbol means it.
                let exact = matches!(found, Found::Instrument(s) if s.as_str().eq_ignore_ascii_case(wanted));
                Some((if exact { u32::MAX } else { score }, i, found))
            })
            .collect();
        scored.sort_by_key(|&(score, i, _)| (std::cmp::Reverse(score), i));
        self.results = scored.into_iter().take(MOST).map(|(_, _, found)| found).collect();
        self.cursor = Cursor::default();
    }

    pub(crate) fn chosen(&self) -> Option<Found> {
        self.cursor.of(&self.results)
    }
}
