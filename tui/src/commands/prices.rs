//! `prices`, and what the names of instruments mean.

use bellwether_core::{
    catalog::{Catalog, LookupError},
    instrument::Symbol,
    price::Price,
    protocol::PriceView,
    text::sanitize,
    time::{Span, Timestamp},
};

use crate::{
    cli::Global,
    client::ApiClient,
    error::UserError,
    launch,
    out::{self, Align, Table},
};

/// Prints one table of current prices.
pub(super) async fn run(global: &Global, symbols: &[String]) -> anyhow::Result<()> {
    let symbols = named(global, symbols).await?;
    let client = launch::client(global).await?;
    let prices = client.prices(&symbols, false).await?;
    if global.json {
        return out::json(&prices);
    }
    if prices.is_empty() {
        out::note("no price has come yet; the first ones take a few seconds");
        return Ok(());
    }
    let now = Timestamp::from(jiff::Timestamp::now());
    let mut table = Table::new(&[
        ("SYMBOL", Align::Left),
        ("PRICE", Align::Right),
        ("", Align::Left),
        ("CHANGE", Align::Right),
        ("AGE", Align::Right),
        ("SOURCE", Align::Left),
        ("NAME", Align::Left),
    ]);
    for price in &prices {
        table.row(row(price, now));
    }
    table.print()
}

fn row(price: &PriceView, now: Timestamp) -> [String; 7] {
    let ticker = &price.ticker;
    let age = Span::from_seconds(ticker.age(now).as_seconds());
    [
        ticker.symbol.to_string(),
        ticker.price.grouped(ticker.price.natural_places()),
        price.currency.clone(),
        ticker.change_24h_pct.map_or_else(|| "—".to_owned(), signed_pct),
        if price.stale { format!("STALE {age}") } else { age.to_string() },
        ticker.source.to_string(),
        price.name.clone(),
    ]
}

/// `+1.20 %`
pub(super) fn signed_pct(change: Price) -> String {
    let sign = if change.is_positive() { "+" } else { "" };
    format!("{sign}{} %", change.grouped(2))
}

/// The instruments that the daemon knows; those that are built in while none answers.
pub(super) async fn catalog(global: &Global) -> Catalog {
    match launch::daemon(global).await {
        Ok(file) => match ApiClient::new(&file.address, &file.token).instruments().await {
            Ok(instruments) => Catalog::new(instruments),
            Err(_) => Catalog::builtin(),
        },
        Err(_) => Catalog::builtin(),
    }
}

/// The instruments that somebody named, or which one was probably meant.
pub(super) async fn named(global: &Global, names: &[String]) -> Result<Vec<Symbol>, UserError> {
    if names.is_empty() { Ok(Vec::new()) } else { resolve(&catalog(global).await, names) }
}

fn resolve(catalog: &Catalog, names: &[String]) -> Result<Vec<Symbol>, UserError> {
    let find = |name: &String| match catalog.resolve(name) {
        Ok(instrument) => Ok(instrument.symbol),
        Err(error) => {
            let hint = match error {
                LookupError::Unknown { suggestion: Some(symbol) } => format!("did you mean {symbol}?"),
                LookupError::Unknown { suggestion: None } => "`bellwether instruments` lists all".to_owned(),
                LookupError::Ambiguous { candidates } => {
                    let names: Vec<String> = candidates.iter().map(ToString::to_string).collect();
                    format!("several are called so: {}", names.join(", "))
                }
            };
            Err(UserError::with_hint(format!("no instrument is called `{}`", sanitize(name)), hint))
        }
    };
    names.iter().map(find).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_nobody_has_gets_a_suggestion() {
        let resolve = |names: &[String]| resolve(&Catalog::builtin(), names);
        assert_eq!(resolve(&["xbt".to_owned()]).expect("an alias")[0].as_str(), "BTC");
        let said = resolve(&["BITCON".to_owned()]).expect_err("a slip").to_string();
        assert!(said.contains("did you mean BTC?"), "{said}");
        assert!(!resolve(&["\u{1b}[31m".to_owned()]).expect_err("evil").to_string().contains('\u{1b}'));
    }

    #[test]
    fn changes_carry_their_sign() {
        let show = |text: &str| signed_pct(text.parse().expect(text));
        assert_eq!([show("1.2"), show("-0.42"), show("0")], ["+1.20 %", "-0.42 %", "0.00 %"]);
    }
}
