//! Cursors of pages: opaque to clients, and worth nothing outside the listing and the account they were given to.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bellwether_core::{
    alert::{AlertId, UserId},
    delivery::DeliveryState,
};
use sha2::{Digest as _, Sha256};

use super::StoreError;

/// A listing that is read page by page.
#[derive(Clone, Copy, Debug)]
pub(super) enum Listing {
    /// Firings.
    Firings {
        /// Whose.
        owner: UserId,
        /// Of which alert.
        alert: Option<AlertId>,
    },
    /// Deliveries.
    Deliveries {
        /// Whose.
        owner: UserId,
        /// In which state.
        state: Option<DeliveryState>,
    },
}

/// The place after which a page begins: the row number that the page before ended with.
pub(super) struct Cursor;

impl Cursor {
    /// The text of the cursor behind the row `place`.
    pub(super) fn write(listing: Listing, place: i64) -> String {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&place.to_be_bytes());
        bytes[8..].copy_from_slice(&Self::tag(listing, place));
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// The place a cursor stands for; without one, the place before the newest row.
    pub(super) fn read(listing: Listing, cursor: Option<&str>) -> Result<i64, StoreError> {
        let Some(text) = cursor else { return Ok(i64::MAX) };
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| StoreError::BadCursor)?;
        let (place, tag) = bytes.split_first_chunk::<8>().ok_or(StoreError::BadCursor)?;
        let place = i64::from_be_bytes(*place);
        if tag == Self::tag(listing, place) { Ok(place) } else { Err(StoreError::BadCursor) }
    }

    /// Tells an altered cursor and another listing's. No secret: every query is bound to its owner all the same.
    fn tag(listing: Listing, place: i64) -> [u8; 8] {
        let name = match listing {
            Listing::Firings { owner, alert } => format!("firings {} {}", owner.0, alert.map_or(0, |a| a.0)),
            Listing::Deliveries { owner, state } => {
                format!("deliveries {} {}", owner.0, state.map_or("", DeliveryState::as_str))
            }
        };
        let digest = Sha256::digest(format!("bellwether cursor {name} {place}"));
        let mut tag = [0; 8];
        tag.copy_from_slice(&digest[..8]);
        tag
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_good_for_its_own_listing_only() {
        let mine = Listing::Firings { owner: UserId(2), alert: None };
        let text = Cursor::write(mine, 77);
        assert_eq!(Cursor::read(mine, Some(&text)), Ok(77));
        assert_eq!(Cursor::read(mine, None), Ok(i64::MAX));
        let others = [
            Listing::Firings { owner: UserId(3), alert: None },
            Listing::Firings { owner: UserId(2), alert: Some(AlertId(1)) },
            Listing::Deliveries { owner: UserId(2), state: None },
        ];
        for other in others {
            assert_eq!(Cursor::read(other, Some(&text)), Err(StoreError::BadCursor), "{other:?}");
        }
        for bad in ["", "x", "77", "AAAAAAAAAE0", &format!("{text}A"), &text.to_lowercase(), "\u{1b}[2J"] {
            assert_eq!(Cursor::read(mine, Some(bad)), Err(StoreError::BadCursor), "{bad:?}");
        }
    }
}
