//! The built-in instruments, and how a name that somebody typed finds one.

use std::collections::HashMap;

use crate::instrument::{Instrument, Symbol};

/// All instruments the program knows, with look-up by any of their names.
#[derive(Clone, Debug, Default)]
pub struct Catalog {
    instruments: Vec<Instrument>,
    /// Upper-case symbol or alias to positions in `instruments`. Symbols stand first.
    names: HashMap<String, Vec<usize>>,
}

/// Why a name found no instrument.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LookupError {
    /// Nothing is called so; perhaps this was meant.
    #[error("no instrument is called that")]
    Unknown {
        /// The nearest known name, where one is near enough.
        suggestion: Option<Symbol>,
    },
    /// Several instruments are called so.
    #[error("several instruments are called that")]
    Ambiguous {
        /// All of them.
        candidates: Vec<Symbol>,
    },
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    instrument: Vec<Instrument>,
}

impl Catalog {
    /// The 102 instruments that every installation has.
    ///
    /// # Panics
    /// Never: the table is part of the program, and a test reads it.
    pub fn builtin() -> Self {
        let file: File =
            toml::from_str(include_str!("catalog.toml")).expect("the embedded catalogue is valid: a test reads it");
        Self::new(file.instrument)
    }

    /// A catalogue of just these.
    pub fn new(instruments: impl IntoIterator<Item = Instrument>) -> Self {
        let mut catalog = Self::default();
        for instrument in instruments {
            catalog.add(instrument);
        }
        catalog
    }

    /// Adds an instrument, or replaces the one with the same symbol.
    pub fn add(&mut self, instrument: Instrument) {
        if let Some(known) = self.instruments.iter_mut().find(|i| i.symbol == instrument.symbol) {
            *known = instrument;
            self.names.clear();
            for position in 0..self.instruments.len() {
                self.index(position);
            }
        } else {
            self.instruments.push(instrument);
            self.index(self.instruments.len() - 1);
        }
    }

    fn index(&mut self, position: usize) {
        let instrument = &self.instruments[position];
        let names = std::iter::once(instrument.symbol.to_string()).chain(instrument.aliases.iter().cloned());
        for name in names {
            let places = self.names.entry(name.to_uppercase()).or_default();
            if !places.contains(&position) {
                places.push(position);
            }
        }
    }

    /// All instruments, in the catalogue's order.
    pub fn instruments(&self) -> &[Instrument] {
        &self.instruments
    }

    /// The instrument with exactly this symbol.
    pub fn get(&self, symbol: Symbol) -> Option<&Instrument> {
        let places = self.names.get(&symbol.as_str().to_uppercase())?;
        places.iter().map(|&p| &self.instruments[p]).find(|i| i.symbol == symbol)
    }

    /// The instrument that is called so, by symbol or alias, in either case of letters.
    ///
    /// A symbol wins over another instrument's alias; several of one rank are an error that lists them.
    pub fn resolve(&self, name: &str) -> Result<&Instrument, LookupError> {
        let wanted = name.to_uppercase();
        let places = self.names.get(&wanted).map_or(&[][..], Vec::as_slice);
        let by_symbol: Vec<usize> = places
            .iter()
            .copied()
            .filter(|&p| self.instruments[p].symbol.as_str().eq_ignore_ascii_case(&wanted))
            .collect();
        let found = if by_symbol.is_empty() { places } else { &by_symbol };
        match found {
            [one] => Ok(&self.instruments[*one]),
            [] => Err(LookupError::Unknown { suggestion: self.nearest(&wanted) }),
            several => Err(LookupError::Ambiguous {
                candidates: several.iter().map(|&p| self.instruments[p].symbol).collect(),
            }),
        }
    }

    /// The instruments whose symbol, alias or name holds this, those that are called exactly so first, then those that begin so;
    /// where none does, those of whom it may be a slip of the finger. All of them where nothing is asked for.
    pub fn search(&self, query: &str) -> Vec<&Instrument> {
        let wanted = query.trim().to_uppercase();
        let rank = |instrument: &Instrument| {
            let names =
                || std::iter::once(instrument.symbol.as_str()).chain(instrument.aliases.iter().map(String::as_str));
            let name = instrument.name.to_uppercase();
            let begins = |word: &str| word.starts_with(&wanted);
            if names().any(|n| n.eq_ignore_ascii_case(&wanted)) {
                Some(0)
            } else if names().any(|n| begins(&n.to_uppercase())) || name.split_whitespace().any(begins) {
                Some(1)
            } else if names().any(|n| n.to_uppercase().contains(&wanted)) || name.contains(&wanted) {
                Some(2)
            } else {
                None
            }
        };
        let mut found: Vec<_> = self.instruments.iter().filter_map(|i| Some((rank(i)?, i))).collect();
        // The catalogue's order within a rank.
        found.sort_by_key(|(rank, _)| if wanted.is_empty() { 0 } else { *rank });
        if found.is_empty() {
            found.extend(self.nearest(&wanted).and_then(|symbol| self.get(symbol)).map(|i| (3, i)));
        }
        found.into_iter().map(|(_, i)| i).collect()
    }

    /// The symbol whose own name or alias is nearest to `wanted`, at most a third of its letters away.
    fn nearest(&self, wanted: &str) -> Option<Symbol> {
        self.names
            .iter()
            .filter_map(|(name, places)| {
                let distance = crate::suggest::distance(wanted, name);
                crate::suggest::is_near(distance, wanted, name).then_some((distance, name, places))
            })
            .min()
            .and_then(|(_, _, places)| places.first().map(|&p| self.instruments[p].symbol))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::instrument::FeedId;

    #[test]
    fn the_built_in_catalogue_is_whole() {
        let catalog = Catalog::builtin();
        assert_eq!(catalog.instruments().len(), 102);
        for instrument in catalog.instruments() {
            assert!(!instrument.providers.is_empty(), "{}", instrument.symbol);
            assert!(catalog.resolve(instrument.symbol.as_str()).is_ok_and(|i| i == instrument));
            for alias in &instrument.aliases {
                assert!(catalog.resolve(&alias.to_lowercase()).is_ok_and(|i| i == instrument), "{alias}");
            }
            assert!(jiff::tz::TimeZone::get(&instrument.timezone).is_ok(), "{}", instrument.timezone);
        }
        let gold = catalog.resolve("xauusd").expect("an alias of GOLD");
        assert_eq!((gold.symbol.as_str(), gold.code_at(FeedId::Yahoo)), ("GOLD", Some("GC=F")));
    }

    #[test]
    fn a_slip_of_the_finger_gets_a_suggestion() {
        let catalog = Catalog::builtin();
        let suggestion = |name: &str| match catalog.resolve(name) {
            Err(LookupError::Unknown { suggestion }) => suggestion.map(|s| s.to_string()),
            other => panic!("{name}: {other:?}"),
        };
        assert_eq!(suggestion("BITCON"), Some("BTC".to_owned()));
        assert_eq!(suggestion("QWXZZQ"), None);
    }

    #[test]
    fn a_search_finds_what_is_called_so_before_what_only_holds_it() {
        let catalog = Catalog::builtin();
        let found = |query: &str| catalog.search(query).into_iter().map(|i| i.symbol.to_string()).collect::<Vec<_>>();
        assert_eq!(found("btc")[0], "BTC");
        assert_eq!(found("gold")[0], "GOLD");
        assert!(found("bitcoin").contains(&"BTC".to_owned()) && found("coin").contains(&"BTC".to_owned()));
        assert_eq!(found("BITCON"), ["BTC"], "a slip");
        assert_eq!(found("QWXZZQ"), [""; 0]);
        assert_eq!(found("").len(), 102);
        assert_eq!(found("")[0], catalog.instruments()[0].symbol.as_str());
    }

    #[test]
    fn a_shared_alias_is_never_picked_silently() {
        let mut catalog = Catalog::builtin();
        let mut other = Instrument::unlisted("BTCX".parse().expect("a symbol"));
        other.aliases.push("XBT".to_owned());
        catalog.add(other);
        assert!(matches!(catalog.resolve("xbt"), Err(LookupError::Ambiguous { candidates }) if candidates.len() == 2));
    }
}
