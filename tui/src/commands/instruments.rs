//! `instruments`: the catalogue, what the providers know beyond it, and adding to it.

use std::time::Duration;

use bellwether_core::{
    catalog::Catalog,
    instrument::{Instrument, Symbol},
    protocol::{Listing, NewInstrument, SearchAnswer},
    text::sanitize,
};

use super::prices;
use crate::{
    cli::{Global, InstrumentsArgs},
    client::ApiError,
    error::UserError,
    launch,
    out::{self, Align, Table},
};

/// How long the daemon may take to be there again with a changed catalogue.
const RENEWED: Duration = Duration::from_secs(20);
/// How often is looked.
const LOOK: Duration = Duration::from_millis(100);

/// Lists, searches, adds or removes.
pub(super) async fn run(global: &Global, args: &InstrumentsArgs) -> anyhow::Result<()> {
    if let (Some(symbol), Some((feed, code))) = (&args.add, &args.feed) {
        let wanted = NewInstrument {
            symbol: symbol.clone(),
            feed: *feed,
            code: code.clone(),
            name: args.name.clone(),
            class: None,
            currency: None,
            session: None,
        };
        return add(global, &wanted).await;
    }
    if let Some(symbol) = &args.remove {
        let client = launch::client(global).await?;
        client.remove_instrument(symbol).await.map_err(refused)?;
        out::note(&format!("{} is no longer watched", sanitize(symbol)));
        return Ok(());
    }
    let catalog = prices::catalog(global).await;
    let query = args.query.as_deref().unwrap_or_default().trim();
    let found = catalog.search(query);
    if args.everywhere || found.is_empty() {
        return everywhere(global, &catalog, query).await;
    }
    if global.json { out::json(&found) } else { listed(&found) }
}

/// Prints a part of the catalogue.
fn listed(found: &[&Instrument]) -> anyhow::Result<()> {
    let mut table = Table::new(&[
        ("SYMBOL", Align::Left),
        ("NAME", Align::Left),
        ("CLASS", Align::Left),
        ("IN", Align::Left),
        ("PRICES FROM", Align::Left),
        ("ALSO CALLED", Align::Left),
    ]);
    for i in found {
        let feeds: Vec<&str> = i.providers.iter().map(|p| p.feed.as_str()).collect();
        table.row([
            i.symbol.to_string(),
            i.name.clone(),
            i.class.to_string(),
            i.currency.clone(),
            feeds.join(", "),
            i.aliases.join(", "),
        ]);
    }
    table.print()
}

/// Prints what the providers know; the daemon asks them.
async fn everywhere(global: &Global, catalog: &Catalog, query: &str) -> anyhow::Result<()> {
    let client = launch::client(global).await?;
    let answer = client.search(query).await?;
    if global.json {
        return out::json(&answer);
    }
    let SearchAnswer { items, troubles } = &answer;
    for trouble in troubles {
        out::note(&format!("note: {}", sanitize(trouble)));
    }
    if items.is_empty() {
        out::note("nobody knows anything that is called so; `bellwether instruments` lists the catalogue");
        return Ok(());
    }
    let mut table = Table::new(&[
        ("CALLED", Align::Left),
        ("NAME", Align::Left),
        ("CLASS", Align::Left),
        ("EXCHANGE", Align::Left),
        ("IN", Align::Left),
        ("RANK", Align::Right),
        ("FEED:CODE", Align::Left),
        ("HERE", Align::Left),
    ]);
    for item in items {
        table.row(row(item));
    }
    table.print()?;
    if let Some(new) = items.iter().find(|item| item.known.is_none()) {
        let symbol = suggested(catalog, new);
        let source = quoted(&format!("{}:{}", new.feed, new.code));
        out::note(&format!("add one with: bellwether instruments --add {symbol} --feed {source}"));
    }
    Ok(())
}

fn row(item: &Listing) -> [String; 8] {
    let or_dash = |text: Option<String>| text.map_or_else(|| "—".to_owned(), |text| sanitize(&text));
    [
        sanitize(&item.ticker),
        sanitize(&item.name),
        or_dash(item.class.map(|class| class.to_string())),
        or_dash(item.exchange.clone()),
        or_dash(item.currency.clone()),
        or_dash(item.rank.map(|rank| rank.to_string())),
        sanitize(&format!("{}:{}", item.feed, item.code)),
        item.known.map_or_else(String::new, |symbol| format!("as {symbol}")),
    ]
}

/// A symbol that is free; what people call it, where that is.
fn suggested(catalog: &Catalog, item: &Listing) -> String {
    let plain: String = item.ticker.to_uppercase().chars().filter(char::is_ascii_alphanumeric).collect();
    let free = plain.parse::<Symbol>().is_ok() && catalog.resolve(&plain).is_err();
    if free { plain } else { "SYMBOL".to_owned() }
}

/// As a shell takes it.
fn quoted(text: &str) -> String {
    let plain = text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.:/".contains(c));
    if plain { text.to_owned() } else { format!("'{}'", text.replace('\'', "")) }
}

/// Adds an instrument, and waits until the daemon delivers it.
async fn add(global: &Global, wanted: &NewInstrument) -> anyhow::Result<()> {
    let client = launch::client(global).await?;
    let added = client.add_instrument(wanted).await.map_err(refused)?;
    let Instrument { symbol, name, class, currency, .. } = &added.instrument;
    let there = tokio::time::timeout(RENEWED, renewed(global, *symbol)).await;
    if global.json {
        return out::json(&added);
    }
    let price = added.price.map_or_else(String::new, |p| format!(", now {}", p.grouped(p.natural_places())));
    let hours = &added.instrument.session;
    out::line(&format!("{symbol} is {} ({class}, in {currency}, hours {hours}{price})", sanitize(name)))?;
    if there.is_err() {
        out::note(
            "note: the daemon has it, and takes long to start its feeds anew; `bellwether prices` shows the price once it comes",
        );
    }
    Ok(())
}

/// Waits until the daemon is there with this instrument.
async fn renewed(global: &Global, symbol: Symbol) {
    loop {
        if let Ok(file) = launch::daemon(global).await {
            let client = crate::client::ApiClient::new(&file.address, &file.token);
            if client.instruments().await.is_ok_and(|all| all.iter().any(|i| i.symbol == symbol)) {
                return;
            }
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// A refusal, with what may help.
fn refused(error: ApiError) -> anyhow::Error {
    match error.problem().map(|problem| (problem.status, problem.field.as_deref())) {
        Some((422, Some("code"))) => UserError::with_hint(
            error.to_string(),
            "`bellwether instruments NAME --everywhere` shows the codes there are",
        )
        .into(),
        Some((409, _)) => {
            UserError::with_hint(error.to_string(), "`bellwether instruments` lists what there is").into()
        }
        _ => error.into(),
    }
}

#[cfg(test)]
mod tests {
    use bellwether_core::instrument::FeedId;

    use super::*;

    fn listing(ticker: &str, code: &str) -> Listing {
        Listing {
            ticker: ticker.to_owned(),
            name: "dogwif\u{1b}[31mhat".to_owned(),
            class: None,
            exchange: None,
            currency: None,
            feed: FeedId::Coingecko,
            code: code.to_owned(),
            rank: Some(120),
            known: None,
        }
    }

    #[test]
    fn a_symbol_is_proposed_only_where_it_is_free() {
        let catalog = Catalog::builtin();
        assert_eq!(suggested(&catalog, &listing("wif", "dogwifcoin")), "WIF");
        assert_eq!(suggested(&catalog, &listing("BTC", "bitcoin-2")), "SYMBOL", "never one that is taken");
        assert_eq!(suggested(&catalog, &listing("東京", "tokyo")), "SYMBOL");
    }

    #[test]
    fn what_others_wrote_orders_no_terminal_about() {
        let row = row(&listing("WIF", "dogwifcoin"));
        assert!(!row.iter().any(|cell| cell.contains('\u{1b}')), "{row:?}");
        assert_eq!((row[5].as_str(), row[6].as_str()), ("120", "coingecko:dogwifcoin"));
        assert_eq!((quoted("yahoo:^GSPC").as_str(), quoted("yahoo:TSLA").as_str()), ("'yahoo:^GSPC'", "yahoo:TSLA"));
    }
}
