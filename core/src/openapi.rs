//! Schemas of the types that travel as one string. What derives its schema from its fields does so where it is declared.
//!
//! Apart and behind the feature `openapi`, because only the daemon describes its API.

use std::borrow::Cow;

use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        OneOf, RefOr, Schema,
        schema::{AnyOf, ArrayBuilder, ObjectBuilder, Type},
    },
};

use crate::{
    alert::AlertId,
    condition::{Level, Operand},
    delivery::DeliveryId,
    firing::FiringId,
    indicator::Indicator,
    instrument::Symbol,
    price::{Price, WirePrice},
    time::{Span, Timestamp},
};

fn text(description: &str, pattern: Option<&str>, example: &str) -> RefOr<Schema> {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .description(Some(description))
        .pattern(pattern)
        .examples([example])
        .build()
        .into()
}

impl PartialSchema for Price {
    fn schema() -> RefOr<Schema> {
        text("An exact decimal number.", Some(r"^-?\d+(\.\d+)?$"), "60000.5")
    }
}

impl ToSchema for Price {
    fn name() -> Cow<'static, str> {
        "Price".into()
    }
}

impl PartialSchema for WirePrice {
    fn schema() -> RefOr<Schema> {
        let number = ObjectBuilder::new().schema_type(Type::Number).examples([60_000]).build();
        RefOr::T(Schema::OneOf(OneOf::builder().item(Price::schema()).item(number).build()))
    }
}

impl ToSchema for WirePrice {
    fn name() -> Cow<'static, str> {
        "PriceInput".into()
    }
}

impl PartialSchema for Timestamp {
    fn schema() -> RefOr<Schema> {
        text("A time: RFC 3339, in answers UTC with milliseconds.", None, "2026-11-22T12:00:00.000Z")
    }
}

impl ToSchema for Timestamp {
    fn name() -> Cow<'static, str> {
        "Timestamp".into()
    }
}

impl PartialSchema for Span {
    fn schema() -> RefOr<Schema> {
        text("A length of time.", None, "1h30m")
    }
}

impl ToSchema for Span {
    fn name() -> Cow<'static, str> {
        "Duration".into()
    }
}

impl PartialSchema for Symbol {
    fn schema() -> RefOr<Schema> {
        text("The name of an instrument.", None, "BTC")
    }
}

impl ToSchema for Symbol {
    fn name() -> Cow<'static, str> {
        "Symbol".into()
    }
}

impl PartialSchema for AlertId {
    fn schema() -> RefOr<Schema> {
        text("The number of an alert.", Some(r"^a[1-9]\d*$"), "a17")
    }
}

impl ToSchema for AlertId {
    fn name() -> Cow<'static, str> {
        "AlertId".into()
    }
}

impl PartialSchema for FiringId {
    fn schema() -> RefOr<Schema> {
        text("Alert, version and number of a firing.", None, "a17.2.5")
    }
}

impl ToSchema for FiringId {
    fn name() -> Cow<'static, str> {
        "FiringId".into()
    }
}

impl PartialSchema for DeliveryId {
    fn schema() -> RefOr<Schema> {
        text("The number of a delivery.", None, "d3")
    }
}

impl ToSchema for DeliveryId {
    fn name() -> Cow<'static, str> {
        "DeliveryId".into()
    }
}

impl PartialSchema for Indicator {
    fn schema() -> RefOr<Schema> {
        text("A number computed from closed bars, or the day's volume.", None, "sma(200, 1d)")
    }
}

impl ToSchema for Indicator {
    fn name() -> Cow<'static, str> {
        "Indicator".into()
    }
}

impl PartialSchema for Level {
    fn schema() -> RefOr<Schema> {
        // Not one of: a schema cannot tell that no number is an indicator.
        RefOr::T(Schema::AnyOf(AnyOf::builder().item(Price::schema()).item(Indicator::schema()).build()))
    }
}

impl ToSchema for Level {
    fn name() -> Cow<'static, str> {
        "Level".into()
    }
}

/// `{"price":"BTC"}`, `{"ratio":["ETH","BTC"]}` or `{"indicator":["BTC","rsi(14, 1h)"]}`.
impl PartialSchema for Operand {
    fn schema() -> RefOr<Schema> {
        let pair = ArrayBuilder::new().items(Symbol::schema()).min_items(Some(2)).max_items(Some(2)).build();
        let one = ObjectBuilder::new().property("price", Symbol::schema()).required("price").build();
        let two = ObjectBuilder::new().property("ratio", pair).required("ratio").build();
        let symbol_or_indicator = AnyOf::builder().item(Symbol::schema()).item(Indicator::schema()).build();
        let items: RefOr<Schema> = RefOr::T(Schema::AnyOf(symbol_or_indicator));
        let named = ArrayBuilder::new().items(items).min_items(Some(2)).max_items(Some(2)).build();
        let computed = ObjectBuilder::new().property("indicator", named).required("indicator").build();
        RefOr::T(Schema::OneOf(OneOf::builder().item(one).item(two).item(computed).build()))
    }
}

impl ToSchema for Operand {
    fn name() -> Cow<'static, str> {
        "Operand".into()
    }
}
