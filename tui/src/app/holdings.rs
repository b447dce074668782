//! What holdings are worth: in their own currency, and summed up in the one that the user reads, by the rates of the catalogue's
//! currency pairs. Exact decimals; what cannot be told is missing, not 0.

use bellwether_core::{config::dashboard::Holding, instrument::Symbol, price::Price};
use rust_decimal::Decimal;

use super::App;

/// Currencies over which a rate is found where no pair names both.
const BRIDGES: [&str; 2] = ["USD", "EUR"];

/// A holding at the last price, in the display currency.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Worth {
    /// Quantity times price.
    pub(crate) value: Decimal,
    /// That less what it cost, at the same rate.
    pub(crate) profit: Option<Decimal>,
}

/// Everything the user holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Total {
    pub(crate) value: Decimal,
    /// Nothing where no holding has a cost.
    pub(crate) profit: Option<Decimal>,
    /// How many could not be counted: no price, or no rate.
    pub(crate) unknown: usize,
}

impl App {
    /// What the user's holding of an instrument is worth, where he has one and it can be told.
    pub(crate) fn worth(&self, symbol: Symbol) -> Option<Worth> {
        let holding = self.settings.holdings.get(&symbol)?;
        self.worth_of(symbol, holding)
    }

    fn worth_of(&self, symbol: Symbol, holding: &Holding) -> Option<Worth> {
        let price = self.price(symbol)?.decimal();
        let from = self.instrument(symbol)?.currency.as_str();
        let rate = self.rate(from, &self.settings.currency)?;
        let units = holding.quantity.checked_mul(rate)?;
        let value = units.checked_mul(price)?;
        let profit = holding.cost.and_then(|cost| price.checked_sub(cost)).and_then(|gain| gain.checked_mul(units));
        Some(Worth { value, profit })
    }

    /// The sum; nothing where the user holds nothing.
    pub(crate) fn total(&self) -> Option<Total> {
        if self.settings.holdings.is_empty() {
            return None;
        }
        let mut total = Total::default();
        for (symbol, holding) in &self.settings.holdings {
            let sum = self.worth_of(*symbol, holding).and_then(|worth| {
                let value = total.value.checked_add(worth.value)?;
                let profit = match (total.profit, worth.profit) {
                    (Some(one), Some(other)) => Some(one.checked_add(other)?),
                    (one, other) => one.or(other),
                };
                Some((value, profit))
            });
            match sum {
                Some((value, profit)) => (total.value, total.profit) = (value, profit),
                None => total.unknown += 1,
            }
        }
        Some(total)
    }

    /// What one unit of a currency is worth in another.
    pub(crate) fn rate(&self, from: &str, to: &str) -> Option<Decimal> {
        // Pence and cents are hundredths of what prices are summed up in.
        let (from, part) = match from {
            "GBp" | "GBX" => ("GBP", Decimal::ONE_HUNDRED),
            "USX" => ("USD", Decimal::ONE_HUNDRED),
            "ZAc" => ("ZAR", Decimal::ONE_HUNDRED),
            whole => (whole, Decimal::ONE),
        };
        let straight = |from: &str, to: &str| -> Option<Decimal> {
            if from == to {
                return Some(Decimal::ONE);
            }
            let pair = |over: &str, under: &str| {
                let symbol = format!("{over}{under}").parse().ok()?;
                self.price(symbol).map(Price::decimal).filter(|rate| rate.is_sign_positive() && !rate.is_zero())
            };
            pair(from, to).or_else(|| Decimal::ONE.checked_div(pair(to, from)?))
        };
        let over = |bridge: &&str| straight(from, bridge)?.checked_mul(straight(bridge, to)?);
        let rate = straight(from, to).or_else(|| BRIDGES.iter().find_map(over))?;
        rate.checked_div(part)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::fixture::{self, symbol};

    fn holding(quantity: &str, cost: Option<&str>) -> Holding {
        let number = |text: &str| text.parse().expect(text);
        Holding { quantity: number(quantity), cost: cost.map(number) }
    }

    #[test]
    fn holdings_are_summed_up_in_the_users_currency() {
        let mut app = fixture::app();
        app.settings.holdings.insert(symbol("BTC"), holding("0.5", Some("60000")));
        app.settings.holdings.insert(symbol("SOL"), holding("10", None));
        let worth = app.worth(symbol("BTC")).expect("a price");
        assert_eq!(
            (worth.value.to_string(), worth.profit.map(|p| p.normalize().to_string())),
            ("30206.25".to_owned(), Some("206.25".to_owned()))
        );
        let total = app.total().expect("holdings");
        assert_eq!(total.value.normalize().to_string(), "31634.95");
        app.settings.currency = "EUR".to_owned();
        let euros = app.total().expect("holdings");
        assert_eq!(euros.value.round_dp(2).to_string(), "30310.39", "at 1.0437 dollars");
        assert_eq!(euros.unknown, 0);
    }

    #[test]
    fn what_has_no_price_or_no_rate_is_counted_as_unknown() {
        let mut app = fixture::app();
        assert_eq!(app.total(), None);
        app.settings.holdings.insert(symbol("BTC"), holding("1", None));
        app.settings.holdings.insert(symbol("TSLA"), holding("1", None));
        assert_eq!(app.total().map(|t| t.unknown), Some(1));
        app.settings.currency = "XYZ".to_owned();
        assert_eq!(app.total().map(|t| (t.unknown, t.value)), Some((2, Decimal::ZERO)));
        app.settings.holdings.insert(symbol("ETH"), holding("79228162514264337593543950335", Some("0")));
        app.settings.currency = "USD".to_owned();
        assert_eq!(app.total().map(|t| t.unknown), Some(2), "too large to be told, and no panic");
    }
}
