//! `[dashboard]`: how the terminal dashboard looks, what it lists, and what the user holds. The daemon reads none of it.

use std::collections::BTreeMap;

use rust_decimal::Decimal;
use serde::{Deserialize, Deserializer};

use super::Senseless;
use crate::{instrument::Symbol, price::Price};

/// The list that holds every instrument with a price or an alert.
pub const ALL: &str = "all";
/// The most characters the name of a list may have.
const MOST_NAME: usize = 24;

/// `[dashboard]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "independent switches of the user")]
pub struct Dashboard {
    /// The colours.
    pub theme: Theme,
    /// Which colour a rising price has.
    pub up_color: UpColor,
    /// Nothing but ASCII characters.
    pub ascii: bool,
    /// What small pictures are made of.
    pub graphs: Graphs,
    /// Whether changed digits flash.
    pub animations: bool,
    /// Whether the terminal's bell rings when an alert fires.
    pub bell: bool,
    /// A program and its arguments that is run when an alert fires, to play a sound. Absent: none.
    pub sound: Option<Vec<String>>,
    /// Whether the mouse is the dashboard's at the start.
    pub mouse: bool,
    /// Whether the three hints of the first run are still shown.
    pub hints: bool,
    /// How much time a chart shows at first: the range that was chosen last.
    pub chart_range: Range,
    /// How prices are drawn.
    pub chart_style: ChartStyle,
    /// The indicators in the chart.
    pub chart_studies: Studies,
    /// Whether what was traded stands under the prices.
    pub chart_volume: bool,
    /// The instrument that others are compared with; empty: none.
    pub chart_compare: String,
    /// The columns of the table after the symbol, in their order; those that do not fit are left out.
    pub columns: Vec<Column>,
    /// The list shown first: a name out of `watchlists`, or `all`.
    pub watchlist: String,
    /// The instruments that stand first in `all`, in the user's own order.
    pub order: Vec<Symbol>,
    /// The user's own lists by name.
    pub watchlists: BTreeMap<String, Vec<Symbol>>,
    /// The currency in which holdings are summed up.
    pub currency: String,
    /// What the user holds.
    pub holdings: BTreeMap<Symbol, Holding>,
    /// Keys other than the usual ones: the name of an action, and its keys.
    pub keys: BTreeMap<String, Keys>,
}

impl Default for Dashboard {
    fn default() -> Self {
        Self {
            theme: Theme::Terminal,
            up_color: UpColor::Green,
            ascii: false,
            graphs: Graphs::Blocks,
            animations: true,
            bell: false,
            sound: None,
            mouse: true,
            hints: true,
            chart_range: Range::Day,
            chart_style: ChartStyle::Candles,
            chart_studies: Studies::None,
            chart_volume: true,
            chart_compare: String::new(),
            columns: Column::usual(),
            watchlist: ALL.to_owned(),
            order: Vec::new(),
            watchlists: BTreeMap::new(),
            currency: "USD".to_owned(),
            holdings: BTreeMap::new(),
            keys: BTreeMap::new(),
        }
    }
}

/// Gives a setting of few values its names, in the file and for people.
macro_rules! words {
    ($(#[$about:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
        pub enum $name {
            $($(#[$doc])* #[serde(rename = $word)] $variant,)+
        }

        impl $name {
            /// All of them, in the order in which they are offered.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// How the configuration writes it.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }
        }
    };
}

words! {
    /// The colour schemes.
    Theme {
        /// The terminal's own sixteen colours.
        Terminal = "terminal",
        /// For a dark background.
        Dark = "dark",
        /// For a light background.
        Light = "light",
        /// Blue and orange instead of green and red, on a dark background.
        ColorBlind = "colorblind",
        /// Blue and orange on a light background.
        ColorBlindLight = "colorblind-light",
    }
}

words! {
    /// Which of its two colours a theme gives to a rise: green (blue), or red (orange) as in East Asia.
    UpColor {
        /// Rises are green, falls red.
        Green = "green",
        /// Rises are red, falls green.
        Red = "red",
    }
}

words! {
    /// What small pictures are made of.
    Graphs {
        /// Blocks of eighths.
        Blocks = "blocks",
        /// Braille dots, two points a column.
        Braille = "braille",
    }
}

words! {
    /// How much time a chart shows.
    Range {
        /// An hour.
        Hour = "1H",
        /// Four hours.
        FourHours = "4H",
        /// A day.
        Day = "1D",
        /// A week.
        Week = "1W",
        /// A month.
        Month = "1M",
        /// Three months.
        Quarter = "3M",
        /// A year.
        Year = "1Y",
        /// Five years.
        FiveYears = "5Y",
    }
}

words! {
    /// How prices are drawn.
    ChartStyle {
        /// Open, high, low and close of each bar.
        Candles = "candles",
        /// The closes.
        Line = "line",
        /// The closes, filled below.
        Area = "area",
    }
}

words! {
    /// The indicators in the chart.
    Studies {
        /// None.
        None = "none",
        /// A simple moving average of 20 bars.
        Sma = "sma",
        /// An exponential moving average of 50 bars.
        Ema = "ema",
        /// Bollinger bands of 20 bars and twice the deviation.
        Bollinger = "bollinger",
        /// The relative strength index of 14 bars, in a panel of its own.
        Rsi = "rsi",
        /// All of them.
        All = "all",
    }
}

words! {
    /// A column of the table.
    Column {
        /// The last price.
        Price = "price",
        /// The change in per cent.
        Percent = "percent",
        /// The change.
        Change = "change",
        /// The last 24 hours as a small picture.
        Picture = "24h",
        /// The distance to the nearest alert.
        Alert = "alert",
        /// The age of the price.
        Age = "age",
        /// What the user's holding is worth.
        Value = "value",
        /// What it has gained or lost.
        Profit = "profit",
    }
}

impl Column {
    /// The columns shown unless the user chooses others; those about holdings only where there are any.
    pub fn usual() -> Vec<Self> {
        Self::ALL.to_vec()
    }
}

/// `[dashboard.holdings]`: how much of an instrument the user has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Holding {
    /// How many units; below zero for what is owed.
    #[serde(deserialize_with = "exact")]
    pub quantity: Decimal,
    /// What one unit cost, in the instrument's own currency. Absent: no profit is shown.
    #[serde(default, deserialize_with = "some_exact")]
    pub cost: Option<Decimal>,
}

/// A number that is not rounded on its way: a text, or a whole number.
fn exact<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Decimal, D::Error> {
    Price::deserialize(deserializer).map(Price::decimal)
}

fn some_exact<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Decimal>, D::Error> {
    exact(deserializer).map(Some)
}

/// One key, or several with the same meaning.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged, expecting = "expected a key such as \"n\" or \"Ctrl-N\", or a list of keys")]
pub enum Keys {
    /// One.
    One(String),
    /// Several; none switches the action's keys off.
    Many(Vec<String>),
}

impl Keys {
    /// All of them.
    pub fn all(&self) -> &[String] {
        match self {
            Self::One(key) => std::slice::from_ref(key),
            Self::Many(keys) => keys,
        }
    }
}

/// Whether a list of the user's own may be called so.
pub fn is_list_name(name: &str) -> bool {
    let length = name.chars().count();
    name != ALL && (1..=MOST_NAME).contains(&length) && name.trim() == name && !name.chars().any(char::is_control)
}

impl Dashboard {
    /// Settings whose values cannot be meant. What the keys mean is known to the dashboard alone.
    pub(super) fn senseless(&self) -> Vec<Senseless> {
        let mut found = Vec::new();
        let mut wrong = |key: &str, message: String| {
            found.push(Senseless { key: format!("dashboard.{key}"), message });
        };
        if self.watchlist != ALL && !self.watchlists.contains_key(&self.watchlist) {
            wrong("watchlist", "expected \"all\" or the name of a list in [dashboard.watchlists]".to_owned());
        }
        for name in self.watchlists.keys().filter(|name| !is_list_name(name)) {
            let message = format!("`{}` cannot name a list: 1 to {MOST_NAME} characters, and not `{ALL}`", name.trim());
            wrong("watchlists", message);
        }
        for (i, column) in self.columns.iter().enumerate() {
            if self.columns[..i].contains(column) {
                wrong("columns", format!("`{}` stands there twice", column.as_str()));
            }
        }
        if !self.chart_compare.is_empty() && self.chart_compare.parse::<Symbol>().is_err() {
            wrong("chart_compare", "expected the symbol of an instrument, such as \"ETH\", or \"\"".to_owned());
        }
        let code = &self.currency;
        if !(2..=5).contains(&code.len()) || !code.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit()) {
            wrong("currency", "expected the code of a currency, such as \"EUR\"".to_owned());
        }
        found
    }
}
