//! What a provider says of one thing: that it is there, its name, its currency, its hours.

use bellwether_core::{
    instrument::{AssetClass, FeedId},
    price::Price,
    time::Span,
};
use reqwest::header::HeaderMap;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::listing::class;
use crate::provider::{Answer, Priority, Provider, Trouble, clean, undisguised};

/// The most characters of a provider's code.
const LONGEST_CODE: usize = 60;

/// Whether a text can be a provider's code: what goes into addresses and subscriptions.
pub(crate) fn is_code(text: &str) -> bool {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"-_.=^/@&".contains(&b);
    !text.is_empty() && text.len() <= LONGEST_CODE && !text.contains("..") && text.bytes().all(fits)
}

/// What a provider says of something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// Its code, as the provider writes it.
    pub(crate) code: String,
    /// Its name for people, where the provider has one.
    pub(crate) name: Option<String>,
    /// What kind of thing it is.
    pub(crate) class: AssetClass,
    /// What it is quoted in.
    pub(crate) currency: String,
    /// IANA time zone of its market.
    pub(crate) timezone: String,
    /// Its trading hours.
    pub(crate) session: String,
    /// How late its prices probably are.
    pub(crate) delay: Span,
    /// Its price, where the answer holds one.
    pub(crate) price: Option<Price>,
}

impl Found {
    fn coin(code: &str, currency: &str) -> Self {
        Self {
            code: code.to_owned(),
            name: None,
            class: AssetClass::Crypto,
            currency: currency.to_owned(),
            timezone: "UTC".to_owned(),
            session: "24x7".to_owned(),
            delay: Span::ZERO,
            price: None,
        }
    }
}

/// Asks the provider once.
pub(super) async fn probe(provider: &Provider, code: &str) -> Result<Found, Trouble> {
    let coded: String = url::form_urlencoded::byte_serialize(code.as_bytes()).collect();
    let get = async |path: &str, query: &[(&str, &str)]| -> Result<Answer, Trouble> {
        provider.get(path, query, HeaderMap::new(), Priority::Person).await
    };
    match provider.feed() {
        FeedId::Coinbase => read(&get(&format!("products/{coded}"), &[]).await?, |body| coinbase(body, code)),
        FeedId::Kraken => read(&get("AssetPairs", &[("pair", code)]).await?, |body| kraken(body, code)),
        FeedId::Binance => read(&get("exchangeInfo", &[("symbol", code)]).await?, |body| binance(body, code)),
        FeedId::Coingecko => {
            let query = [("vs_currency", "usd"), ("ids", code), ("precision", "full")];
            read(&get("coins/markets", &query).await?, |body| coingecko(body, code))
        }
        FeedId::Yahoo => {
            let query = [("range", "1d"), ("interval", "1d")];
            read(&get(&format!("v8/finance/chart/{coded}"), &query).await?, |body| yahoo(body, code))
        }
        FeedId::Finnhub | FeedId::Twelvedata => {
            Err(Trouble::refused("it only goes with Yahoo: add the instrument with `yahoo:CODE`", None))
        }
        FeedId::Simulated | FeedId::Tape => Err(Trouble::refused("it lists nothing", None)),
    }
}

/// A parser's answer: nothing where the text is not what was expected, an error where it says that there is no such thing.
type Read = Option<Result<Found, String>>;

fn read(answer: &Answer, parse: impl FnOnce(&str) -> Read) -> Result<Found, Trouble> {
    parse(&answer.body).ok_or_else(|| answer.not_understood())?.map_err(|why| Trouble::refused(why, Some(200)))
}

fn nothing(code: &str) -> String {
    format!("it knows nothing that is called {code}")
}

/// `{"id":"BTC-EUR","base_currency":"BTC","quote_currency":"EUR",…,"trading_disabled":false,"status":"online",…}`
fn coinbase(body: &str, code: &str) -> Read {
    #[derive(Deserialize)]
    struct Product {
        id: String,
        quote_currency: String,
        status: Option<String>,
    }
    let product: Product = serde_json::from_str(body).ok()?;
    Some(match product.status.as_deref() {
        Some("online") | None if product.id.eq_ignore_ascii_case(code) => {
            Ok(Found::coin(&product.id, &product.quote_currency))
        }
        Some(status) if status != "online" => Err(format!("{code} is there, but {}", clean(status))),
        _ => Err(nothing(code)),
    })
}

/// `{"error":[],"result":{"XXBTZUSD":{"altname":"XBTUSD","wsname":"XBT/USD",…,"status":"online",…}}}`. The streams call Bitcoin `BTC`
/// and Dogecoin `DOGE`, so what was asked for is kept.
fn kraken(body: &str, code: &str) -> Read {
    #[derive(Deserialize)]
    struct Pair {
        wsname: Option<String>,
        status: Option<String>,
    }
    #[derive(Deserialize)]
    struct Body {
        result: std::collections::BTreeMap<String, Pair>,
    }
    let body: Body = serde_json::from_str(body).ok()?;
    let Some(pair) = body.result.into_values().next() else { return Some(Err(nothing(code))) };
    let wsname = pair.wsname.unwrap_or_default();
    let Some((_, currency)) = code.split_once('/') else {
        return Some(Err(format!("write both sides of the pair, such as {}", clean(&wsname))));
    };
    if !wsname.rsplit('/').next().is_some_and(|quote| quote.eq_ignore_ascii_case(currency)) {
        return Some(Err(nothing(code)));
    }
    Some(match pair.status.as_deref() {
        Some("online") | None => Ok(Found::coin(&code.to_uppercase(), &currency.to_uppercase())),
        Some(status) => Err(format!("{code} is there, but {}", clean(status))),
    })
}

/// `{…,"symbols":[{"symbol":"ETHBTC","status":"TRADING","baseAsset":"ETH","quoteAsset":"BTC",…}]}`
fn binance(body: &str, code: &str) -> Read {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Symbol {
        #[serde(rename = "symbol")]
        code: String,
        status: String,
        quote_asset: String,
    }
    #[derive(Deserialize)]
    struct Body {
        symbols: Vec<Symbol>,
    }
    let body: Body = serde_json::from_str(body).ok()?;
    Some(match body.symbols.into_iter().find(|s| s.code.eq_ignore_ascii_case(code)) {
        Some(symbol) if symbol.status == "TRADING" => Ok(Found::coin(&symbol.code, &symbol.quote_asset)),
        Some(symbol) => Err(format!("{code} is there, but its status is {}", clean(&symbol.status))),
        None => Err(nothing(code)),
    })
}

/// `[{"id":"bitcoin","symbol":"btc","name":"Bitcoin",…,"current_price":77671,…}]`; unknown coins are left out.
fn coingecko(body: &str, code: &str) -> Read {
    #[derive(Deserialize)]
    struct Coin<'a> {
        id: String,
        name: Option<String>,
        #[serde(borrow)]
        current_price: Option<&'a RawValue>,
    }
    let coins: Vec<Coin<'_>> = serde_json::from_str(body).ok()?;
    let Some(coin) = coins.into_iter().find(|coin| coin.id == code) else { return Some(Err(nothing(code))) };
    let price = coin.current_price.and_then(|raw| Price::from_feed(raw.get()).ok()).filter(|p| p.is_positive());
    Some(match price {
        Some(price) => {
            Ok(Found { name: coin.name.as_deref().map(clean), price: Some(price), ..Found::coin(code, "USD") })
        }
        None => Err(format!("{code} is there, but has no price")),
    })
}

/// `{"chart":{"result":[{"meta":{"currency":"USD","symbol":"AAPL","exchangeName":"NMS","fullExchangeName":"NasdaqGS",
/// "instrumentType":"EQUITY",…,"exchangeTimezoneName":"America/New_York","regularMarketPrice":220.003,…,"longName":"Apple Inc.",
/// "shortName":"Apple Inc.","priceHint":2,"currentTradingPeriod":{"pre":{…},"regular":{"timezone":"EDT","start":1742823000,
/// "end":1742846400,"gmtoffset":-14400},"post":{…}},…}}],"error":null}}`
fn yahoo(body: &str, code: &str) -> Read {
    #[derive(Deserialize)]
    struct Body<'a> {
        #[serde(borrow)]
        chart: Chart<'a>,
    }
    #[derive(Deserialize)]
    struct Chart<'a> {
        #[serde(borrow)]
        result: Vec<Entry<'a>>,
    }
    #[derive(Deserialize)]
    struct Entry<'a> {
        #[serde(borrow)]
        meta: Meta<'a>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Meta<'a> {
        currency: Option<String>,
        instrument_type: Option<String>,
        exchange_timezone_name: Option<String>,
        #[serde(borrow)]
        regular_market_price: Option<&'a RawValue>,
        long_name: Option<String>,
        short_name: Option<String>,
        price_hint: Option<u32>,
        current_trading_period: Option<Periods>,
    }
    let body: Body<'_> = serde_json::from_str(body).ok()?;
    let Some(Entry { meta }) = body.chart.result.into_iter().next() else { return Some(Err(nothing(code))) };
    let kind = meta.instrument_type.unwrap_or_default();
    let Some(class) = class(&kind) else {
        return Some(Err(format!("{code} is there, but as {}, which cannot be watched", clean(&kind))));
    };
    let Some(currency) = meta.currency.filter(|c| is_code(c)) else {
        return Some(Err(format!("{code} is there, but nothing says what it is quoted in")));
    };
    let price = meta.regular_market_price.and_then(|raw| undisguised(raw.get(), meta.price_hint));
    let known = |zone: &String| jiff::tz::TimeZone::get(zone).is_ok();
    let timezone = meta.exchange_timezone_name.filter(known).unwrap_or_else(|| "UTC".to_owned());
    let session = session(class, &timezone, meta.current_trading_period.map(|p| p.regular));
    let delay = delay(class, &timezone);
    let name = meta.long_name.or(meta.short_name).as_deref().map(clean);
    Some(Ok(Found { code: code.to_uppercase(), name, class, currency, timezone, session, delay, price }))
}

#[derive(Deserialize)]
struct Periods {
    regular: Period,
}

/// In seconds.
#[derive(Clone, Copy, Deserialize)]
struct Period {
    start: i64,
    end: i64,
    gmtoffset: i64,
}

/// The trading hours: those that have a name here, otherwise the hours of this day, written out.
fn session(class: AssetClass, timezone: &str, regular: Option<Period>) -> String {
    let named = match (class, timezone) {
        (AssetClass::Crypto, _) => "24x7",
        (AssetClass::Fx, _) => "fx",
        (AssetClass::Commodity, _) => "cme",
        (_, "America/New_York") => "us_equity",
        (_, "Asia/Kolkata") => "nse",
        (_, "Europe/London") => "lse",
        (_, "Europe/Berlin") => "xetra",
        (_, "Asia/Tokyo") => "tse",
        (_, "Asia/Hong_Kong") => "hkex",
        _ => "",
    };
    if !named.is_empty() {
        return named.to_owned();
    }
    let Some(Period { start, end, gmtoffset }) = regular else { return "24x7".to_owned() };
    let clock = |seconds: i64| {
        let minutes = seconds.saturating_add(gmtoffset).div_euclid(60).rem_euclid(24 * 60);
        format!("{:02}:{:02}", minutes / 60, minutes % 60)
    };
    if start < end { format!("{}-{}", clock(start), clock(end)) } else { "24x7".to_owned() }
}

/// How late Yahoo's prices are, by what has been seen: futures 10 minutes, most exchanges outside the United States and India up
/// to 20. Too much only makes them stale later.
fn delay(class: AssetClass, timezone: &str) -> Span {
    match (class, timezone) {
        (AssetClass::Commodity, _) => Span::from_seconds(600),
        (AssetClass::Index, "America/New_York") => Span::from_seconds(900),
        (AssetClass::Crypto | AssetClass::Fx, _) | (_, "America/New_York" | "Asia/Kolkata") => Span::ZERO,
        _ => Span::from_seconds(1_200),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn capture(path: &str) -> String {
        let path = format!("{}/../tests/data/captures/{path}", env!("CARGO_MANIFEST_DIR"));
        std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"))
    }

    #[test]
    fn yahoo_says_name_currency_hours_and_kind() {
        let found = yahoo(&capture("yahoo/AAPL.json"), "AAPL").expect("read").expect("there");
        assert_eq!(
            (found.name.as_deref(), found.class, found.currency.as_str()),
            (Some("Apple Inc."), AssetClass::Stock, "USD")
        );
        assert_eq!((found.session.as_str(), found.timezone.as_str()), ("us_equity", "America/New_York"));
        assert!(found.price.is_some() && found.delay.is_zero());
        let future = yahoo(&capture("yahoo/GC=F-2020-01-01-to-2020-01-03.json"), "GC=F").expect("read").expect("there");
        assert_eq!((future.class, future.session.as_str()), (AssetClass::Commodity, "cme"));
        assert_eq!(future.delay, Span::from_seconds(600));
        let pence =
            yahoo(&capture("yahoo/OCDO.L-2020-01-01-to-2020-01-03.json"), "OCDO.L").expect("read").expect("there");
        assert_eq!((pence.currency.as_str(), pence.session.as_str()), ("GBp", "lse"));
        assert_eq!(yahoo(r#"{"chart":{"result":[],"error":null}}"#, "X"), Some(Err(nothing("X"))));
        assert_eq!(yahoo("<html>", "X"), None);
    }

    #[test]
    fn hours_that_have_no_name_are_written_out() {
        let oslo = Period { start: 1_742_803_200, end: 1_742_829_600, gmtoffset: 3_600 };
        assert_eq!(session(AssetClass::Stock, "Europe/Oslo", Some(oslo)), "09:00-16:20");
        assert_eq!(session(AssetClass::Stock, "Europe/Oslo", None), "24x7");
    }

    #[test]
    fn coins_and_pairs_say_what_they_are_quoted_in() {
        let coin = coingecko(&capture("coingecko/coins_markets.json"), "bitcoin").expect("read").expect("there");
        assert_eq!((coin.name.as_deref(), coin.currency.as_str()), (Some("Bitcoin"), "USD"));
        assert_eq!(coingecko("[]", "nocoin"), Some(Err(nothing("nocoin"))));
        let product = r#"{"id":"BTC-EUR","base_currency":"BTC","quote_currency":"EUR","trading_disabled":false,"status":"online"}"#;
        assert_eq!(coinbase(product, "btc-eur").expect("read").expect("there"), Found::coin("BTC-EUR", "EUR"));
        let delisted = product.replace("online", "delisted");
        assert_eq!(coinbase(&delisted, "BTC-EUR"), Some(Err("BTC-EUR is there, but delisted".to_owned())));
        let pair = r#"{"error":[],"result":{"XXBTZUSD":{"altname":"XBTUSD","wsname":"XBT/USD","status":"online"}}}"#;
        assert_eq!(kraken(pair, "BTC/USD").expect("read").expect("there").currency, "USD");
        assert!(kraken(pair, "BTC/EUR").expect("read").is_err() && kraken(pair, "XBTUSD").expect("read").is_err());
        let symbol = r#"{"symbols":[{"symbol":"ETHBTC","status":"TRADING","baseAsset":"ETH","quoteAsset":"BTC"}]}"#;
        assert_eq!(binance(symbol, "ETHBTC").expect("read").expect("there"), Found::coin("ETHBTC", "BTC"));
        assert!(binance(&symbol.replace("TRADING", "BREAK"), "ETHBTC").expect("read").is_err());
    }

    #[test]
    fn a_code_holds_nothing_that_leads_elsewhere() {
        for good in ["BTC-USD", "^GSPC", "EURUSD=X", "BRK-B", "OCDO.L", "XBT/USD", "usd-coin", "M&M.NS"] {
            assert!(is_code(good), "{good}");
        }
        for bad in ["", "a b", "../x", "x?y=1", "x#y", "\u{1b}[31m", "x%2f", "x\ny", &"x".repeat(61)] {
            assert!(!is_code(bad), "{bad:?}");
        }
    }
}
