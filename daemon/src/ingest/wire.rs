//! Pieces of JSON as the streams' frames hold them: borrowed from the frame, read digit by digit.

use std::{borrow::Cow, fmt};

use bellwether_core::{price::Price, time::Timestamp};
use serde::{Deserialize, Deserializer, de::Visitor};
use serde_json::value::RawValue;

/// A frame that is none of the provider's.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// A string, copied only where it holds escapes. (Inside an `Option`, a plain `Cow` is always copied.)
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Text<'a>(pub(super) Cow<'a, str>);

impl Text<'_> {
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reading;
        impl<'de> Visitor<'de> for Reading {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(Reading)
    }
}

/// The string in a value; nothing where it is another kind of value.
pub(super) fn text<'a>(raw: Option<&'a RawValue>) -> Option<Cow<'a, str>> {
    let raw = raw?.get();
    let inner = raw.strip_prefix('"')?.strip_suffix('"')?;
    if inner.contains('\\') {
        return serde_json::from_str::<Text<'a>>(raw).ok().map(|text| text.0);
    }
    Some(Cow::Borrowed(inner))
}

/// The number in a value, written as a number or as a string.
pub(super) fn price(raw: Option<&RawValue>) -> Option<Price> {
    Price::from_json(raw?.get()).ok()
}

/// The number in a scalar of a frame that is read the quick way.
pub(super) fn ordinary(text: &str) -> Option<Price> {
    text.parse().ok()
}

/// The same, where it is above zero.
pub(super) fn positive(raw: Option<&RawValue>) -> Option<Price> {
    price(raw).filter(|p| p.is_positive())
}

/// The time in a value, written as RFC 3339.
pub(super) fn rfc3339(raw: Option<&RawValue>) -> Option<Timestamp> {
    text(raw)?.parse().ok()
}

/// The time in a value, in milliseconds since 1970, as a number or as a string.
pub(super) fn millis(raw: Option<&RawValue>) -> Option<Timestamp> {
    text(raw).map_or_else(|| raw?.get().parse().ok(), |t| t.parse().ok()).map(Timestamp::from_millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_whatever_way_they_are_written() {
        let raw = |text: &'static str| serde_json::from_str::<&RawValue>(text).expect(text);
        assert_eq!(text(Some(raw(r#""BTC\/USD""#))).as_deref(), Some("BTC/USD"));
        assert_eq!(text(Some(raw(r#""BTC-USD""#))).as_deref(), Some("BTC-USD"));
        assert_eq!([text(Some(raw("5"))), text(Some(raw("null"))), text(None)], [None, None, None]);
        let at = Some(Timestamp::from_millis(1_749_183_266_025));
        assert_eq!([millis(Some(raw("1749183266025"))), millis(Some(raw(r#""1749183266025""#)))], [at, at]);
        for wrong in ["1.5", "null", "[]", "\"\"", "99999999999999999999999"] {
            assert_eq!(millis(Some(raw(wrong))), None, "{wrong}");
        }
        assert_eq!(price(Some(raw("83744.20"))), "83744.2".parse().ok());
        assert_eq!(positive(Some(raw("-5"))), None);
    }
}
