//! One line that is asked for: the filter of the table, the name of a list, a holding, a channel and its secret.

use bellwether_core::{config::dashboard::Holding, instrument::Symbol, price::Price};

use super::{Action, App, Effect, Filter, Line, Overlay, keys, lists, settings, setup, setup::Setup};

/// The most bytes of an answer.
const MOST: usize = 200;

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Asks {
    /// Which rows are to stay; before, this filter was in force.
    Filter(Option<Filter>),
    /// The name of a new list.
    NewList,
    /// How much of an instrument the user holds.
    Holding(Symbol),
    /// Which channel to set up.
    Channel,
    /// The secret of that channel.
    Secret(Box<Setup>),
}

/// The question and what has been answered so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Prompt {
    pub(crate) asks: Asks,
    pub(crate) line: Line,
    /// What is wrong with the answer.
    pub(crate) trouble: Option<String>,
}

impl Prompt {
    /// The word before the answer.
    pub(crate) fn word(&self) -> String {
        match &self.asks {
            Asks::Filter(_) => " filter ▸ ".to_owned(),
            Asks::NewList => " new list ▸ ".to_owned(),
            Asks::Holding(symbol) => format!(" {symbol} held ▸ "),
            Asks::Channel => " new channel ▸ ".to_owned(),
            Asks::Secret(setup) => format!(" {} ▸ ", setup.name),
        }
    }

    /// Whether the answer is typed unseen.
    pub(crate) const fn is_secret(&self) -> bool {
        matches!(self.asks, Asks::Secret(_))
    }

    /// What could stand there.
    pub(crate) const fn example(&self) -> &'static str {
        match self.asks {
            Asks::Filter(_) => "+2% in 24h and crypto",
            Asks::NewList => "tech",
            Asks::Holding(_) => "0.25 at 41200.50",
            Asks::Channel => "ntfy a-topic-that-nobody-guesses",
            Asks::Secret(_) => "",
        }
    }

    /// What it is for, in a sentence.
    pub(crate) fn help(&self) -> &'static str {
        match &self.asks {
            Asks::Filter(_) => {
                "Rows stay that meet it: a condition of the alert language without an instrument, or a word such as crypto, stocks, alerts, held, live, stale; joined with and, or."
            }
            Asks::NewList => "A list of your own begins with the selected instrument. [ and ] go through the lists.",
            Asks::Holding(_) => "How many, then `at` and what one cost in the instrument's currency. 0 means none.",
            Asks::Channel => setup::FORMS,
            Asks::Secret(setup) => setup.wants.map_or("", |(_, words)| words),
        }
    }
}

/// Asks for a filter; the one in force can be changed.
pub(super) fn filter(app: &mut App) {
    let line = Line::new(app.filter.as_ref().map_or("", Filter::text));
    ask(app, Asks::Filter(app.filter.clone()), line);
}

/// Asks for the name of a new list.
pub(super) fn new_list(app: &mut App) {
    ask(app, Asks::NewList, Line::default());
}

/// Asks how much of the selected instrument the user holds.
pub(super) fn holding(app: &mut App) {
    let Some(symbol) = app.subject() else { return };
    let known = app.settings.holdings.get(&symbol).map_or(String::new(), |h| match h.cost {
        Some(cost) => format!("{} at {cost}", h.quantity),
        None => h.quantity.to_string(),
    });
    ask(app, Asks::Holding(symbol), Line::new(known));
}

/// Asks which channel to set up.
pub(super) fn channel(app: &mut App) {
    ask(app, Asks::Channel, Line::default());
}

fn ask(app: &mut App, asks: Asks, line: Line) {
    app.overlay = Some(Overlay::Prompt(Box::new(Prompt { asks, line, trouble: None })));
}

/// Text was typed or pasted.
pub(super) fn write(app: &mut App, mut prompt: Box<Prompt>, text: &str) {
    prompt.line.insert(text, MOST);
    changed(app, &mut prompt);
    app.overlay = Some(Overlay::Prompt(prompt));
}

/// A filter is in force while it is written, as far as it can be understood.
fn changed(app: &mut App, prompt: &mut Prompt) {
    prompt.trouble = None;
    if !matches!(prompt.asks, Asks::Filter(_)) {
        return;
    }
    if prompt.line.text().trim().is_empty() {
        app.filter = None;
    } else {
        match Filter::read(prompt.line.text(), app) {
            Ok(filter) => app.filter = Some(filter),
            Err(sentence) => prompt.trouble = Some(sentence),
        }
    }
    app.refill_rows();
}

/// What a key means in the line.
pub(super) fn on_action(app: &mut App, mut prompt: Box<Prompt>, action: Action) -> Vec<Effect> {
    match action {
        Action::Back => {
            if let Asks::Filter(before) = prompt.asks {
                app.filter = before;
                app.refill_rows();
            }
            return Vec::new();
        }
        Action::Accept => match accept(app, &mut prompt) {
            Ok(effects) => return effects,
            Err(sentence) => prompt.trouble = Some(sentence),
        },
        action => {
            let before = prompt.line.clone();
            keys::edit(&mut prompt.line, action);
            if prompt.line.text() != before.text() {
                changed(app, &mut prompt);
            }
        }
    }
    app.overlay = Some(Overlay::Prompt(prompt));
    Vec::new()
}

fn accept(app: &mut App, prompt: &mut Prompt) -> Result<Vec<Effect>, String> {
    let text = prompt.line.text();
    match &prompt.asks {
        Asks::Filter(_) if text.trim().is_empty() => Ok(Vec::new()),
        Asks::Filter(_) => Filter::read(text, app).map(|_| Vec::new()),
        Asks::NewList => lists::make(app, text),
        Asks::Channel => {
            let setup = Box::new(Setup::read(text)?);
            if setup.wants.is_some() {
                ask(app, Asks::Secret(setup), Line::default());
                return Ok(Vec::new());
            }
            Ok(vec![Effect::SetUpChannel(setup)])
        }
        Asks::Secret(setup) => Ok(vec![Effect::SetUpChannel(Box::new(Setup::clone(setup).with_secret(text)?))]),
        Asks::Holding(symbol) => {
            let (symbol, held) = (*symbol, read_holding(text)?);
            Ok(settings::change(app, |s| match held {
                Some(holding) => drop(s.holdings.insert(symbol, holding)),
                None => drop(s.holdings.remove(&symbol)),
            }))
        }
    }
}

/// Reads `0.25 at 41200.50`; nothing, or 0, is no holding.
fn read_holding(text: &str) -> Result<Option<Holding>, String> {
    let expected = || "expected how many, and what one cost: `0.25 at 41200.50`".to_owned();
    let number = |text: &str| text.trim().replace(',', "").parse::<Price>().map(Price::decimal).map_err(|_| expected());
    if text.trim().is_empty() {
        return Ok(None);
    }
    let (quantity, cost) = match text.split_once("at").or_else(|| text.split_once('@')) {
        Some((quantity, cost)) => (number(quantity)?, Some(number(cost)?)),
        None => (number(text)?, None),
    };
    Ok((!quantity.is_zero()).then_some(Holding { quantity, cost }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_holding_is_read_as_people_write_it() {
        let read = |text: &str| {
            let holding = read_holding(text).expect(text).expect("something");
            (holding.quantity.to_string(), holding.cost.map(|c| c.to_string()))
        };
        assert_eq!(read("0.25 at 41,200.50"), ("0.25".to_owned(), Some("41200.5".to_owned())));
        assert_eq!(read(" -3@7"), ("-3".to_owned(), Some("7".to_owned())));
        assert_eq!(read("12"), ("12".to_owned(), None));
        assert_eq!((read_holding("0"), read_holding(" ")), (Ok(None), Ok(None)));
        assert!(read_holding("many at 5").is_err() && read_holding("5 at").is_err());
    }
}
