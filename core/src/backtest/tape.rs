//! A tape as a file: CSV with the columns `time,symbol,price`, one tick a row (`docs/backtest.md`). What a daemon records has the
//! columns `received,source,session` behind them; whoever reads it takes the session from there and leaves out the source.
//!
//! Times are RFC 3339 with any offset, or Unix milliseconds; prices are plain decimals with a point. A field may stand in double
//! quotes, with `""` for a quote inside (RFC 4180).

use std::{borrow::Cow, collections::HashMap};

use crate::{
    catalog::Catalog,
    instrument::{FeedId, Symbol, SymbolError},
    price::{Price, PriceError},
    text,
    tick::{Session, Tick},
    time::Timestamp,
};

/// The header of a tape.
pub const HEADER: &str = "time,symbol,price";
/// The header of a tape that a daemon has recorded.
pub const RECORDED_HEADER: &str = "time,symbol,price,received,source,session";
/// The most bytes of a row.
pub const MAX_ROW: usize = 1_024;
/// How many names are remembered; the look-up of others is slower, not wrong.
const MAX_NAMES: usize = 4_096;
/// The last millisecond of the year 9999.
const LAST_MILLI: i64 = 253_402_300_799_999;

/// Why a row cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RowError {
    /// Longer than [`MAX_ROW`].
    #[error("the row has more than {MAX_ROW} bytes")]
    TooLong,
    /// Not text.
    #[error("the row is not in UTF-8")]
    NotText,
    /// A quote that is not closed, or text behind a closed one.
    #[error("a quoted field does not end where it should")]
    Quotes,
    /// Neither three columns nor the six of a recording.
    #[error("the row has {found} columns instead of 3 ({HEADER})")]
    Columns {
        /// How many it has.
        found: usize,
    },
    /// The first column is no time.
    #[error("`{0}` is no time: write RFC 3339 or Unix milliseconds")]
    Time(String),
    /// The second column is no name.
    #[error("`{0}` is no symbol: {1}")]
    Symbol(String, SymbolError),
    /// The third column is no number.
    #[error("`{0}` is no price: {1}")]
    Price(String, PriceError),
    /// The sixth column of a recording is no session.
    #[error("`{0}` is no session: write pre, regular or post")]
    Session(String),
}

/// The file does not begin with the header.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the file does not begin with the header `{HEADER}` but with `{found}`")]
pub struct HeaderError {
    /// What it begins with.
    pub found: String,
}

/// What a row says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row<'a> {
    /// When.
    pub time: Timestamp,
    /// What, as the file calls it.
    pub name: Cow<'a, str>,
    /// At what price; it may be at or below zero, which the evaluator judges.
    pub price: Price,
    /// When it had arrived, in a recording.
    pub received: Option<Timestamp>,
    /// In which part of the trading day; regular where the row does not say.
    pub session: Session,
}

/// Checks a file's first line.
///
/// # Errors
/// When it is another than [`HEADER`] and [`RECORDED_HEADER`], in either case of letters and with spaces around the names.
pub fn check_header(line: &[u8]) -> Result<(), HeaderError> {
    let text = String::from_utf8_lossy(line);
    let plain = text.trim_start_matches('\u{feff}').trim();
    let names = fields(plain).unwrap_or_default();
    let is = |header: &str| names.iter().map(|n| n.to_lowercase()).eq(header.split(',').map(str::to_owned));
    if is(HEADER) || is(RECORDED_HEADER) {
        return Ok(());
    }
    Err(HeaderError { found: shown(plain) })
}

/// Reads one line of the file, its line break cut off or not; nothing where it is blank.
///
/// # Errors
/// What is wrong with it, in one sentence that repeats no control character.
pub fn row(line: &[u8]) -> Result<Option<Row<'_>>, RowError> {
    let text = std::str::from_utf8(line).map_err(|_| RowError::NotText)?.trim();
    if text.is_empty() {
        return Ok(None);
    }
    let fields = fields(text)?;
    let found = fields.len();
    let mut fields = fields.into_iter();
    let (Some(time), Some(name), Some(price), 3 | 6) = (fields.next(), fields.next(), fields.next(), found) else {
        return Err(RowError::Columns { found });
    };
    let moment = |text: &str| self::time(text).ok_or_else(|| RowError::Time(shown(text)));
    let time = moment(&time)?;
    let price = Price::from_feed(&price).map_err(|error| RowError::Price(shown(&price), error))?;
    let (mut received, mut session) = (None, Session::Regular);
    if let (Some(arrived), Some(part)) = (fields.next(), fields.nth(1)) {
        received = Some(moment(&arrived)?);
        session = self::session(&part).ok_or_else(|| RowError::Session(shown(&part)))?;
    }
    Ok(Some(Row { time, name, price, received, session }))
}

/// A tick as a row of a recording, with its line break.
pub fn recorded(tick: &Tick) -> String {
    let (received, source) = (tick.received_time, tick.source);
    let time = tick.exchange_time.unwrap_or(received);
    let name = tick.symbol.as_str();
    // A symbol holds no quotes.
    let quote = if name.contains(',') { "\"" } else { "" };
    let session = match tick.session {
        Session::Pre => "pre",
        Session::Regular => "regular",
        Session::Post => "post",
    };
    format!("{time},{quote}{name}{quote},{},{received},{source},{session}\n", tick.price)
}

fn session(text: &str) -> Option<Session> {
    match text {
        "pre" => Some(Session::Pre),
        "regular" => Some(Session::Regular),
        "post" => Some(Session::Post),
        _ => None,
    }
}

/// A line's fields, without the spaces around them.
fn fields(line: &str) -> Result<Vec<Cow<'_, str>>, RowError> {
    let mut fields = Vec::with_capacity(3);
    let mut rest = line;
    loop {
        let (field, tail) = if let Some(quoted) = rest.trim_start().strip_prefix('"') {
            let end = closing_quote(quoted).ok_or(RowError::Quotes)?;
            let field = quoted[..end].replace("\"\"", "\"").trim().to_owned();
            (Cow::Owned(field), quoted[end + 1..].trim_start())
        } else {
            let end = rest.find(',').unwrap_or(rest.len());
            (Cow::Borrowed(rest[..end].trim()), &rest[end..])
        };
        fields.push(field);
        match tail.strip_prefix(',') {
            Some(next) => rest = next,
            None if tail.is_empty() => return Ok(fields),
            None => return Err(RowError::Quotes),
        }
    }
}

/// Where the quote stands that ends a quoted field.
fn closing_quote(quoted: &str) -> Option<usize> {
    let mut from = 0;
    loop {
        let at = from + quoted.get(from..)?.find('"')?;
        if !quoted[at + 1..].starts_with('"') {
            return Some(at);
        }
        from = at + 2;
    }
}

fn time(text: &str) -> Option<Timestamp> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return text.parse().ok();
    }
    let millis = text.parse::<i64>().ok()?;
    (-LAST_MILLI..=LAST_MILLI).contains(&millis).then(|| Timestamp::from_millis(millis))
}

/// A piece of the file as an error may repeat it.
fn shown(piece: &str) -> String {
    text::cut(&text::sanitize(piece), 60).into_owned()
}

/// What the names of a file mean: the instrument that the catalogue calls so, otherwise one of that very name.
#[derive(Debug)]
pub struct Names {
    /// The catalogue's names and aliases in upper case; nothing where several instruments share one.
    listed: HashMap<String, Option<Symbol>>,
    known: HashMap<String, Symbol>,
}

impl Names {
    /// The names of this catalogue.
    pub fn new(catalog: &Catalog) -> Self {
        let mut listed = HashMap::new();
        for instrument in catalog.instruments() {
            for alias in &instrument.aliases {
                let symbol = Some(instrument.symbol);
                let meant = listed.entry(alias.to_uppercase()).or_insert(symbol);
                *meant = meant.filter(|known| Some(*known) == symbol);
            }
        }
        // A symbol wins over another instrument's alias.
        listed.extend(catalog.instruments().iter().map(|i| (i.symbol.as_str().to_uppercase(), Some(i.symbol))));
        Self { listed, known: HashMap::new() }
    }

    /// The instrument that is called so.
    ///
    /// # Errors
    /// When it is no name at all.
    pub fn symbol(&mut self, name: &str) -> Result<Symbol, RowError> {
        if let Some(symbol) = self.known.get(name) {
            return Ok(*symbol);
        }
        let symbol = match self.listed.get(&name.to_uppercase()) {
            Some(Some(symbol)) => *symbol,
            Some(None) | None => name.parse().map_err(|error| RowError::Symbol(shown(name), error))?,
        };
        if self.known.len() < MAX_NAMES {
            self.known.insert(name.to_owned(), symbol);
        }
        Ok(symbol)
    }

    /// The tick that a row stands for: source time and receive time are both its time.
    ///
    /// # Errors
    /// When its name is none.
    pub fn tick(&mut self, row: &Row<'_>) -> Result<Tick, RowError> {
        let symbol = self.symbol(&row.name)?;
        let Row { time, price, session, .. } = *row;
        Ok(Tick { exchange_time: Some(time), session, ..Tick::new(symbol, price, FeedId::Tape, time) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Option<(String, String, String)>, RowError> {
        row(line.as_bytes()).map(|r| r.map(|r| (r.time.to_string(), r.name.into_owned(), r.price.to_string())))
    }

    #[test]
    fn times_are_rfc_3339_or_unix_milliseconds() {
        let expected = Ok(Some(("2022-01-01T00:00:00.500Z".to_owned(), "BTC".to_owned(), "46319.5".to_owned())));
        for line in [
            "2022-01-01T00:00:00.5Z,BTC,46319.50",
            "1640995200500,BTC,46319.5\r\n",
            " 2022-01-01T05:30:00.500+05:30 , \"BTC\" , 46319.500 ",
            "2022-01-01T00:00:00.500Z,BTC,\"46319.5\"\n",
        ] {
            assert_eq!(read(line), expected, "{line}");
        }
        assert_eq!(
            read("0,\"S&P 500, \"\"big\"\"\",-37.63").map(|r| r.map(|r| r.1)),
            Ok(Some("S&P 500, \"big\"".into()))
        );
        assert_eq!((read(""), read("  \r\n")), (Ok(None), Ok(None)));
    }

    #[test]
    fn what_is_recorded_is_read_again() {
        let at = |text: &str| text.parse::<Timestamp>().expect(text);
        let mut tick = Tick {
            exchange_time: Some(at("2026-11-20T21:00:00.120Z")),
            session: Session::Post,
            ..Tick::new(
                "S,P 500".parse().expect("a symbol"),
                "6700.25".parse().expect("a price"),
                FeedId::Yahoo,
                at("2026-11-20T21:00:02.500Z"),
            )
        };
        let line = recorded(&tick);
        assert_eq!(line, "2026-11-20T21:00:00.120Z,\"S,P 500\",6700.25,2026-11-20T21:00:02.500Z,yahoo,post\n");
        let read = row(line.as_bytes()).expect("a row").expect("not blank");
        assert_eq!((read.time, read.received), (tick.exchange_time.expect("set"), Some(tick.received_time)));
        let played = Names::new(&Catalog::default()).tick(&read).expect("a tick");
        tick = Tick { source: FeedId::Tape, received_time: read.time, ..tick };
        assert_eq!(played, tick);
        assert_eq!(check_header(RECORDED_HEADER.as_bytes()), Ok(()));
        assert_eq!(
            row(b"1,BTC,5,6,yahoo,noon").unwrap_err().to_string(),
            "`noon` is no session: write pre, regular or post"
        );
        assert!(matches!(row(b"1,BTC,5,soon,yahoo,pre"), Err(RowError::Time(_))));
    }

    #[test]
    fn a_row_that_is_none_says_why() {
        for (line, why) in [
            ("1,BTC", "the row has 2 columns instead of 3 (time,symbol,price)"),
            ("1,BTC,5,6", "the row has 4 columns instead of 3 (time,symbol,price)"),
            ("soon,BTC,5", "`soon` is no time: write RFC 3339 or Unix milliseconds"),
            ("1.5,BTC,5", "`1.5` is no time: write RFC 3339 or Unix milliseconds"),
            ("9223372036854775807,BTC,5", "`9223372036854775807` is no time: write RFC 3339 or Unix milliseconds"),
            (",BTC,5", "`` is no time: write RFC 3339 or Unix milliseconds"),
            ("1,\"BTC,5", "a quoted field does not end where it should"),
            ("1,\"BTC\"x,5", "a quoted field does not end where it should"),
        ] {
            assert_eq!(row(line.as_bytes()).map_err(|e| e.to_string()), Err(why.to_owned()), "{line}");
        }
        for line in ["1,BTC,", "1,BTC,NaN", "1,BTC,inf", "1,BTC,1.2.3", "1,BTC,0x10", "1,BTC,60k", "1,BTC,\u{661}"] {
            assert!(matches!(row(line.as_bytes()), Err(RowError::Price(..))), "{line}");
        }
        assert_eq!(row(b"1,\xff,5"), Err(RowError::NotText));
        let evil = row("1\u{1b}[31m,BTC,5".as_bytes()).unwrap_err().to_string();
        assert!(!evil.contains('\u{1b}'), "{evil:?}");
    }

    #[test]
    fn another_header_is_refused() {
        for header in ["time,symbol,price", "\u{feff}Time, Symbol ,PRICE\r\n", "\"time\",\"symbol\",\"price\"\n"] {
            assert_eq!(check_header(header.as_bytes()), Ok(()), "{header:?}");
        }
        for header in ["", "time,price,symbol", "ts_ms,price,size", "time,symbol,price,volume", "1,BTC,5", "\"time"] {
            assert!(check_header(header.as_bytes()).is_err_and(|e| e.to_string().contains(HEADER)), "{header:?}");
        }
        assert!(check_header(&[0xff; 5_000]).is_err_and(|e| e.to_string().len() < 400));
    }

    #[test]
    fn names_are_the_catalogues_and_otherwise_taken_as_they_come() {
        let catalog = Catalog::builtin();
        let mut names = Names::new(&catalog);
        for (name, symbol) in [("BTC", "BTC"), ("btc", "BTC"), ("XAUUSD", "GOLD"), ("MY FUND", "MY FUND")] {
            assert_eq!(names.symbol(name).map(|s| s.to_string()), Ok(symbol.to_owned()));
        }
        assert!(matches!(names.symbol(""), Err(RowError::Symbol(..))));
        for number in 0..2 * MAX_NAMES {
            let name = format!("S{number}");
            assert_eq!(names.symbol(&name).map(|s| s.to_string()), Ok(name));
        }
        assert_eq!(names.known.len(), MAX_NAMES, "endless names do not fill the memory");
    }
}
