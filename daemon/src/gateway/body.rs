//! Reading bodies and queries: bounded in size and time, and every fault named with its place or its field.
//!
//! Apart from the resources, because the WebSocket's commands are read by the same functions.

use std::{collections::HashSet, fmt, time::Duration};

use axum::{
    body::{Body, to_bytes},
    http::{HeaderMap, header},
};
use bytes::Bytes;
use serde::{
    Deserialize,
    de::{DeserializeOwned, IgnoredAny, MapAccess, Visitor},
};
use serde_json::value::RawValue;

use super::error::ApiError;

/// The most bytes of a body.
pub(crate) const MAX_BODY: usize = 64 * 1024;
/// How long a body may take to arrive.
const BODY_TIME: Duration = Duration::from_secs(10);
/// The most levels of JSON.
const MAX_DEPTH: usize = 64;
/// The most rows of a page.
pub(crate) const MAX_LIMIT: u32 = 500;
const JSON: &str = "`application/json`";
const JSON_OR_FORM: &str = "`application/x-www-form-urlencoded` or `application/json`";

/// A body of one of the two types that are understood.
#[derive(Debug)]
pub(crate) enum Input {
    /// JSON text.
    Json(Bytes),
    /// Pairs of a form.
    Form(Bytes),
}

/// Reads a JSON body.
pub(crate) async fn json<T: DeserializeOwned>(headers: &HeaderMap, body: Body) -> Result<T, ApiError> {
    if media_type(headers).as_deref() != Some("application/json") {
        return Err(ApiError::MediaType(JSON));
    }
    from_json(&read(headers, body, MAX_BODY).await?)
}

/// Reads a JSON body of at most so many bytes, where that is more than other bodies may have.
pub(crate) async fn json_up_to<T: DeserializeOwned>(
    most: usize,
    headers: &HeaderMap,
    body: Body,
) -> Result<T, ApiError> {
    if media_type(headers).as_deref() != Some("application/json") {
        return Err(ApiError::MediaType(JSON));
    }
    from_json(&read(headers, body, most).await?)
}

/// Reads a body that may be JSON or a form.
pub(crate) async fn json_or_form(headers: &HeaderMap, body: Body) -> Result<Input, ApiError> {
    match media_type(headers).as_deref() {
        Some("application/json") => Ok(Input::Json(read(headers, body, MAX_BODY).await?)),
        Some("application/x-www-form-urlencoded") => Ok(Input::Form(read(headers, body, MAX_BODY).await?)),
        _ => Err(ApiError::MediaType(JSON_OR_FORM)),
    }
}

/// The media type without parameters, in lower case; nothing where it is missing, doubled, compressed or not in UTF-8.
fn media_type(headers: &HeaderMap) -> Option<String> {
    let mut types = headers.get_all(header::CONTENT_TYPE).iter();
    let (Some(only), None) = (types.next(), types.next()) else {
        return None;
    };
    if headers.get_all(header::CONTENT_ENCODING).iter().any(|e| e != "identity") {
        return None;
    }
    let text = only.to_str().ok()?.to_ascii_lowercase();
    let mut parts = text.split(';').map(str::trim);
    let kind = parts.next()?.to_owned();
    let utf8 =
        parts.all(|p| p.strip_prefix("charset=").is_none_or(|c| matches!(c.trim_matches('"'), "utf-8" | "utf8")));
    utf8.then_some(kind)
}

/// All bytes of a body.
pub(super) async fn read(headers: &HeaderMap, body: Body, most: usize) -> Result<Bytes, ApiError> {
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|l| l.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > most as u64) {
        return Err(ApiError::TooLarge { most });
    }
    match tokio::time::timeout(BODY_TIME, to_bytes(body, most)).await {
        Err(_) => Err(ApiError::Slow),
        Ok(Ok(bytes)) => Ok(bytes),
        // The only limit inside is the length's.
        Ok(Err(error)) if error.to_string().contains("length limit") => Err(ApiError::TooLarge { most }),
        Ok(Err(_)) => Err(ApiError::Malformed { detail: "The body broke off.".to_owned(), at: None }),
    }
}

/// Reads JSON text. Malformed text gives the offset, an unknown, doubled or wrong field its name.
pub(crate) fn from_json<T: DeserializeOwned>(text: &[u8]) -> Result<T, ApiError> {
    check_depth(text)?;
    let fields = match serde_json::from_slice::<Fields<'_>>(text) {
        Ok(fields) => fields,
        Err(error) if error.is_data() && serde_json::from_slice::<IgnoredAny>(text).is_ok() => {
            return Err(ApiError::field("", "The body must be one JSON object."));
        }
        Err(error) => return Err(malformed(text, &error)),
    };
    let mut seen = HashSet::new();
    if let Some((name, _)) = fields.0.iter().find(|(name, _)| !seen.insert(name.as_str())) {
        let detail = format!("The field `{}` stands there twice.", shorten(name));
        return Err(ApiError::Malformed { detail, at: None });
    }
    match serde_json::from_slice::<T>(text) {
        Ok(value) => Ok(value),
        Err(error) if !error.is_data() => Err(malformed(text, &error)),
        Err(error) => Err(wrong_field::<T>(&fields, &error)),
    }
}

/// `serde_json` passes over what it does not keep without counting levels, so they are counted here.
fn check_depth(text: &[u8]) -> Result<(), ApiError> {
    let (mut depth, mut quoted, mut escaped) = (0_usize, false, false);
    for (at, byte) in text.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'[' | b'{' if !quoted => depth += 1,
            b']' | b'}' if !quoted => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MAX_DEPTH {
            let detail = format!("The body is nested deeper than {MAX_DEPTH} levels.");
            return Err(ApiError::Malformed { detail, at: Some(at) });
        }
    }
    Ok(())
}

fn malformed(text: &[u8], error: &serde_json::Error) -> ApiError {
    let line_start: usize =
        text.split_inclusive(|b| *b == b'\n').take(error.line().saturating_sub(1)).map(<[u8]>::len).sum();
    let at = (line_start + error.column().saturating_sub(1)).min(text.len());
    let words = error.to_string();
    let what = words.split(" at line ").next().unwrap_or_default();
    ApiError::Malformed { detail: format!("The body is no JSON at byte {at}: {what}."), at: Some(at) }
}

/// Finds the field at fault by trying each one alone: no type that is read here has a field that must be there.
fn wrong_field<T: DeserializeOwned>(fields: &Fields<'_>, error: &serde_json::Error) -> ApiError {
    let culprit = fields.0.iter().find_map(|(name, value)| {
        let key = serde_json::to_string(name).ok()?;
        let error = serde_json::from_str::<T>(&format!("{{{key}:{value}}}")).err()?;
        Some((shorten(name), error.to_string()))
    });
    let (field, words) = culprit.unwrap_or_else(|| (String::new(), error.to_string()));
    let what = words.split(" at line ").next().unwrap_or_default();
    if let Some(rest) = what.strip_prefix("unknown field") {
        let known: Vec<&str> = rest.split('`').skip(3).step_by(2).collect();
        let suggestion = bellwether_core::suggest::nearest(&field, known.iter().copied());
        let mut refused = super::error::FieldError {
            detail: format!("There is no field `{field}`; there are: {}.", known.join(", ")),
            suggestion: suggestion.map(str::to_owned),
            ..super::error::FieldError::default()
        };
        refused.field = field;
        return ApiError::Field(Box::new(refused));
    }
    ApiError::field(&field, format!("`{field}` cannot be taken: {what}."))
}

fn shorten(name: &str) -> String {
    bellwether_core::text::cut(&bellwether_core::text::sanitize(name), 64).into_owned()
}

/// The fields of an object as they stand there, doubled ones too, which `serde_json` alone would silently pass over.
struct Fields<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Fields<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(Object)
    }
}

/// The parameters of a query; each must be known, and stand there once.
#[derive(Debug)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    /// Reads the part behind the `?`. Only `known` parameters are taken.
    pub(crate) fn read(raw: Option<&str>, known: &[&str]) -> Result<Self, ApiError> {
        let pairs: Vec<(String, String)> =
            url::form_urlencoded::parse(raw.unwrap_or_default().as_bytes()).into_owned().collect();
        let mut seen = HashSet::new();
        for (name, _) in &pairs {
            let name = name.as_str();
            if !known.contains(&name) {
                let detail = if known.is_empty() {
                    "There are no parameters here.".to_owned()
                } else {
                    format!("There is no parameter `{}`; there are: {}.", shorten(name), known.join(", "))
                };
                return Err(ApiError::field(&shorten(name), detail));
            }
            if !seen.insert(name) {
                return Err(ApiError::field(name, format!("The parameter `{name}` stands there twice.")));
            }
        }
        Ok(Self(pairs))
    }

    /// A parameter's text.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// A parameter that says yes or no.
    pub(crate) fn flag(&self, name: &str) -> Result<bool, ApiError> {
        match self.get(name) {
            None | Some("false" | "0") => Ok(false),
            Some("true" | "1" | "") => Ok(true),
            Some(_) => Err(ApiError::field(name, format!("`{name}` is true or false."))),
        }
    }

    /// `limit`: how many rows at most.
    pub(crate) fn limit(&self, default: u32) -> Result<u32, ApiError> {
        match self.get("limit").map(str::parse::<u32>) {
            None => Ok(default),
            Some(Ok(limit)) if (1..=MAX_LIMIT).contains(&limit) => Ok(limit),
            Some(_) => Err(ApiError::field("limit", format!("`limit` is a number from 1 to {MAX_LIMIT}."))),
        }
    }
}

#[cfg(test)]
mod tests {
    use bellwether_core::protocol::NewAlert;

    use super::*;

    fn refused(text: &str) -> bellwether_core::protocol::Problem {
        match from_json::<NewAlert>(text.as_bytes()) {
            Ok(taken) => panic!("{text} was taken: {taken:?}"),
            Err(error) => error.problem(),
        }
    }

    #[test]
    fn malformed_json_is_answered_with_its_place() {
        let deep = format!("{{\"expr\":{}{}}}", "[".repeat(10_000), "]".repeat(10_000));
        for text in [
            "",
            "{",
            "{\"expr\":}",
            "{\"expr\":\"BTC > 1\"} x",
            "{\"expr\":\"\\ud800\"}",
            "{\"expr\":\"\u{1}\"}",
            deep.as_str(),
        ] {
            let problem = refused(text);
            assert_eq!(problem.status, 400, "{problem:?}");
            assert!(problem.at.is_some(), "{problem:?}");
        }
        assert_eq!(refused("{\n \"expr\":}").at, Some((10, 10)));
        assert_eq!(from_json::<NewAlert>(b"{\"expr\":\"\xff\"}").map_err(|e| e.problem().status), Err(400));
    }

    #[test]
    fn a_doubled_field_is_refused() {
        let problem = refused(r#"{"symbol":"BTC","symbol":"ETH"}"#);
        assert_eq!(problem.status, 400);
        assert!(problem.detail.contains("`symbol`"), "{}", problem.detail);
    }

    #[test]
    fn the_field_at_fault_is_named() {
        for (text, field) in [
            (r#"{"symbl":"BTC"}"#, Some("symbl")),
            (r#"{"symbol":"BTC","target_price":""}"#, Some("target_price")),
            (r#"{"symbol":"BTC","target_price":true}"#, Some("target_price")),
            (r#"{"symbol":"BTC","target_price":1e400}"#, Some("target_price")),
            (r#"{"target_price":[],"symbol":"BTC"}"#, Some("target_price")),
            (r#"{"symbol":7}"#, Some("symbol")),
            (r#"{"for":{}}"#, Some("for")),
            ("[]", None),
            ("\"BTC\"", None),
            ("null", None),
        ] {
            let problem = refused(text);
            assert_eq!((problem.status, problem.field.as_deref()), (422, field), "{text}: {problem:?}");
        }
        assert_eq!(refused(r#"{"symbl":"BTC"}"#).suggestion.as_deref(), Some("symbol"));
    }

    #[test]
    fn a_query_takes_known_parameters_once() {
        assert_eq!(Query::read(Some("limit=7&cursor=a%20b"), &["limit", "cursor"]).unwrap().limit(50), Ok(7));
        for raw in ["limit=0", "limit=-1", "limit=1000000000", "limit=", "limit=x", "limit=501"] {
            let query = Query::read(Some(raw), &["limit"]).unwrap();
            assert_eq!(query.limit(50).unwrap_err().problem().field.as_deref(), Some("limit"), "{raw}");
        }
        for raw in ["limits=7", "limit=7&limit=7"] {
            assert_eq!(Query::read(Some(raw), &["limit"]).unwrap_err().problem().status, 422, "{raw}");
        }
    }
}
