//! The providers' lists of what was found under a name, read leniently: what is no entry is left out.

use bellwether_core::{
    instrument::{AssetClass, FeedId},
    protocol::Listing,
};
use serde::Deserialize;
use serde_json::Value;

use crate::provider::clean;

/// `{"coins":[{"id":"ethereum","name":"Ethereum","api_symbol":"ethereum","symbol":"ETH","market_cap_rank":2,"thumb":"…",
/// "large":"…"}],"exchanges":[…],"icos":[],"categories":[…],"nfts":[…]}`, by rank; the rank may be null.
pub(super) fn coingecko(body: &str) -> Option<Vec<Listing>> {
    #[derive(Deserialize)]
    struct Body {
        coins: Vec<Value>,
    }
    #[derive(Deserialize)]
    struct Coin {
        id: String,
        name: String,
        symbol: String,
        market_cap_rank: Option<u32>,
    }
    let body: Body = serde_json::from_str(body).ok()?;
    let coins = body.coins.into_iter().filter_map(|coin| serde_json::from_value::<Coin>(coin).ok());
    let listing = |coin: Coin| Listing {
        ticker: clean(&coin.symbol),
        name: clean(&coin.name),
        class: Some(AssetClass::Crypto),
        exchange: None,
        currency: Some("USD".to_owned()),
        feed: FeedId::Coingecko,
        code: coin.id,
        rank: coin.market_cap_rank,
        known: None,
    };
    Some(coins.map(listing).filter(sound).collect())
}

/// `{"explains":[],"count":11,"quotes":[{"exchange":"NMS","shortname":"Apple Inc.","quoteType":"EQUITY","symbol":"AAPL",
/// "index":"quotes","score":3804300,"typeDisp":"Equity","longname":"Apple Inc.","exchDisp":"NASDAQ",…},…],"news":[…],…}`;
/// companies without a symbol stand among them.
pub(super) fn yahoo(body: &str) -> Option<Vec<Listing>> {
    #[derive(Deserialize)]
    struct Body {
        quotes: Vec<Value>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Quote {
        symbol: String,
        #[serde(rename = "quoteType")]
        kind: String,
        #[serde(alias = "shortname")]
        short_name: Option<String>,
        #[serde(alias = "longname")]
        long_name: Option<String>,
        exch_disp: Option<String>,
    }
    let body: Body = serde_json::from_str(body).ok()?;
    let quotes = body.quotes.into_iter().filter_map(|quote| serde_json::from_value::<Quote>(quote).ok());
    let listing = |quote: Quote| {
        let class = class(&quote.kind)?;
        let currency = match class {
            AssetClass::Crypto => quote.symbol.rsplit_once('-').map(|(_, currency)| currency.to_owned()),
            _ => None,
        };
        let name = quote.long_name.or(quote.short_name).unwrap_or_default();
        Some(Listing {
            ticker: clean(&quote.symbol),
            name: clean(&name),
            class: Some(class),
            exchange: quote.exch_disp.map(|exchange| clean(&exchange)),
            currency,
            feed: FeedId::Yahoo,
            code: quote.symbol,
            rank: None,
            known: None,
        })
    };
    Some(quotes.filter_map(listing).filter(sound).collect())
}

/// What Yahoo's `quoteType` or `instrumentType` stands for; options are nothing to watch here.
pub(super) fn class(kind: &str) -> Option<AssetClass> {
    match kind {
        "EQUITY" => Some(AssetClass::Stock),
        "ETF" | "MUTUALFUND" => Some(AssetClass::Etf),
        "INDEX" => Some(AssetClass::Index),
        "FUTURE" | "COMMODITY" => Some(AssetClass::Commodity),
        "CURRENCY" => Some(AssetClass::Fx),
        "CRYPTOCURRENCY" => Some(AssetClass::Crypto),
        _ => None,
    }
}

fn sound(listing: &Listing) -> bool {
    super::probe::is_code(&listing.code) && !listing.ticker.is_empty()
}
