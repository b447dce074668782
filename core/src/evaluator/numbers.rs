//! Which place an alert has: a table of places only, since the alert's number stands there already.

use super::quick::Quick;
use crate::alert::AlertId;

/// No place.
const EMPTY: u32 = u32::MAX;

/// Open addressing with linear probing; four bytes an entry.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    /// A power of two of them, at most seven eighths in use.
    places: Vec<u32>,
    used: usize,
}

impl Numbers {
    /// The place of an alert. `id_at` says whose a place is.
    pub(super) fn find(&self, id: AlertId, id_at: impl Fn(u32) -> Option<AlertId>) -> Option<u32> {
        let (_, place) = self.probe(id, id_at)?;
        Some(place)
    }

    /// Where in the table, and the place there.
    fn probe(&self, id: AlertId, id_at: impl Fn(u32) -> Option<AlertId>) -> Option<(usize, u32)> {
        let mask = self.places.len().checked_sub(1)?;
        let mut at = home(id, mask);
        loop {
            match self.places[at] {
                EMPTY => return None,
                place if id_at(place) == Some(id) => return Some((at, place)),
                _ => at = (at + 1) & mask,
            }
        }
    }

    /// Notes the place of an alert that has none yet.
    pub(super) fn insert(&mut self, id: AlertId, place: u32, id_at: impl Fn(u32) -> Option<AlertId>) {
        if (self.used + 1) * 8 > self.places.len() * 7 {
            let larger = vec![EMPTY; (self.places.len() * 2).max(8)];
            let old = std::mem::replace(&mut self.places, larger);
            for place in old.into_iter().filter(|place| *place != EMPTY) {
                if let Some(id) = id_at(place) {
                    self.put(id, place);
                }
            }
        }
        self.used += 1;
        self.put(id, place);
    }

    fn put(&mut self, id: AlertId, place: u32) {
        let mask = self.places.len() - 1;
        let mut at = home(id, mask);
        while self.places[at] != EMPTY {
            at = (at + 1) & mask;
        }
        self.places[at] = place;
    }

    /// Forgets an alert, while `id_at` still knows it; gives the place it had.
    pub(super) fn remove(&mut self, id: AlertId, id_at: impl Fn(u32) -> Option<AlertId>) -> Option<u32> {
        let (mut hole, found) = self.probe(id, &id_at)?;
        let mask = self.places.len() - 1;
        self.used -= 1;
        let mut at = hole;
        loop {
            at = (at + 1) & mask;
            let place = self.places[at];
            if place == EMPTY {
                break;
            }
            // Whoever would be found from the hole on moves into it.
            let from = id_at(place).map_or(at, |id| home(id, mask));
            if (at.wrapping_sub(from) & mask) >= (at.wrapping_sub(hole) & mask) {
                self.places[hole] = place;
                hole = at;
            }
        }
        self.places[hole] = EMPTY;
        Some(found)
    }
}

/// Where the search for an alert begins.
fn home(id: AlertId, mask: usize) -> usize {
    usize::try_from(Quick::of(id.0.cast_unsigned()) >> 16).unwrap_or(0) & mask
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn places_are_found_as_in_a_map(steps in prop::collection::vec((any::<bool>(), 1_i64..60), 1..400)) {
            let (mut numbers, mut map) = (Numbers::default(), HashMap::new());
            let mut ids: Vec<Option<AlertId>> = Vec::new();
            for (add, id) in steps {
                let id = AlertId(id * 1_000_003);
                let id_at = |place: u32| ids[place as usize];
                if add && !map.contains_key(&id) {
                    let place = u32::try_from(ids.len()).unwrap();
                    numbers.insert(id, place, |p| if p == place { Some(id) } else { id_at(p) });
                    map.insert(id, place);
                    ids.push(Some(id));
                } else if !add {
                    prop_assert_eq!(numbers.remove(id, id_at), map.remove(&id));
                }
                for id in (1..60).map(|id| AlertId(id * 1_000_003)) {
                    prop_assert_eq!(numbers.find(id, |p| ids[p as usize]), map.get(&id).copied());
                }
            }
        }
    }
}
