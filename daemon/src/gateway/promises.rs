//! What the document says of all calls alike: which refusals come before a handler is asked, and of what type they are.
//!
//! The handlers' annotations say what is theirs. Requests and answers as they are stand in `examples.json`. What the layers around them add ([`super::router`], `docs/api.md`, Errors) is
//! written into the document here, so that no handler can forget it.

use axum::http::StatusCode;
use serde_json::{Map, Value, json};

use super::once;

/// The media type of every refusal (RFC 9457).
const PROBLEM: &str = "application/problem+json";
/// Where the document keeps the shape of a refusal.
const SHAPE: &str = "#/components/schemas/Problem";
/// What an `If-Match` looks like that any client needs: an `ETag` of ours, or any version.
const TAGS: &str = r#"^("[0-9]+"|\*)$"#;
/// A status, and when it comes.
type Refusal = (&'static str, &'static str);
/// Of any request, because of its head or because the daemon is busy.
const ALWAYS: [Refusal; 4] = [
    ("400", "Something in the request is malformed"),
    ("403", "A foreign page, or not for this caller"),
    ("421", "`Host` is not a name of this server"),
    ("503", "Busy, or nothing can be saved now"),
];
/// Of a request that has a body.
const WITH_BODY: [Refusal; 3] = [
    ("413", "The body is larger than 64 KiB"),
    ("415", "The body is of another type"),
    ("422", "A value that cannot be taken"),
];
/// Of a call that wants a token.
const WITH_TOKEN: [Refusal; 2] =
    [("401", "No token, or not a good one"), ("429", "Too often; `Retry-After` says when to come again")];
/// Statuses whose annotation may be without words.
const WORDS: [Refusal; 12] = [
    ("101", "The WebSocket is open"),
    ("200", "Done"),
    ("201", "Made"),
    ("204", "Done; there is nothing to say"),
    ("401", "No token, or not a good one"),
    ("404", "Not there, or another's"),
    ("409", "It contradicts what is there"),
    ("410", "It was deleted too long ago"),
    ("412", "`If-Match` names another version"),
    ("422", "A value that cannot be taken"),
    ("426", "No WebSocket was asked for"),
    ("429", "Too often; `Retry-After` says when to come again"),
];

/// A call, its status, a place in its answer, and the calls that take what stands there under this name.
type Link =
    (&'static str, &'static str, &'static str, &'static str, &'static str, &'static [(&'static str, &'static str)]);
/// Where answers lead.
const LINKS: [Link; 4] = [
    (
        "post",
        "/alerts",
        "201",
        "$response.body#/id",
        "id",
        &[
            ("get", "/alerts/{id}"),
            ("patch", "/alerts/{id}"),
            ("delete", "/alerts/{id}"),
            ("get", "/alerts/{id}/events"),
            ("post", "/alerts/{id}/restore"),
        ],
    ),
    ("get", "/deliveries", "200", "$response.body#/items/0/id", "id", &[("post", "/deliveries/{id}/retry")]),
    (
        "get",
        "/prices",
        "200",
        "$response.body#/items/0/symbol",
        "symbol",
        &[("get", "/prices/{symbol}"), ("get", "/prices/{symbol}/candles")],
    ),
    ("get", "/events", "200", "$response.body#/next", "query.cursor", &[("get", "/events")]),
];

/// By the call: what is asked with, and what is answered.
const EXAMPLES: &str = include_str!("examples.json");

/// Completes the document.
pub(super) fn complete(document: &mut Value) {
    let examples: Value = serde_json::from_str(EXAMPLES).expect("the file is JSON, as a test shows");
    // It can be asked at every address at which it is read.
    document["servers"] = json!([{ "url": "/", "description": "This daemon" }]);
    if let Some(components) = document.get_mut("components") {
        tuples(components);
    }
    for (path, calls) in document.get_mut("paths").and_then(Value::as_object_mut).into_iter().flatten() {
        for (method, call) in calls.as_object_mut().into_iter().flatten() {
            if ["get", "post", "patch", "delete"].contains(&method.as_str()) {
                call["operationId"] = json!(name(method, path));
                refusals(call);
                if method == "post" && once::CALLS.contains(&path.as_str()) {
                    keyed(call);
                }
                parameters(call);
                exemplify(call, &examples[format!("{method} {path}")]);
                // Said of those, too, that everybody may call.
                if call.get("security").is_none() {
                    call["security"] = json!([]);
                }
            }
        }
    }
    for (method, path, status, value, parameter, leads_to) in LINKS {
        let links: Map<String, Value> = leads_to
            .iter()
            .map(|(method, path)| {
                let to = name(method, path);
                (to.clone(), json!({ "operationId": to, "parameters": { *parameter: value } }))
            })
            .collect();
        document["paths"][path][method]["responses"][status]["links"] = Value::Object(links);
    }
    // The rows of a page are written into the page, and listed beside it once more.
    let text = document.to_string();
    if let Some(schemas) = document.pointer_mut("/components/schemas").and_then(Value::as_object_mut) {
        schemas.retain(|name, _| text.contains(&format!("#/components/schemas/{name}\"")));
    }
}

/// An operation's name, which no other one may have: the handlers' own, such as `list`, are taken several times.
fn name(method: &str, path: &str) -> String {
    let words = path.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    std::iter::once(method).chain(words).collect::<Vec<_>>().join("_")
}

fn refusals(call: &mut Value) {
    let more = [("requestBody", &WITH_BODY[..]), ("security", &WITH_TOKEN[..])];
    let more = more.into_iter().filter(|(member, _)| call.get(member).is_some()).flat_map(|(_, refusals)| refusals);
    let all: Vec<Refusal> = ALWAYS.iter().chain(more).copied().collect();
    let Some(answers) = call.get_mut("responses").and_then(Value::as_object_mut) else { return };
    for (status, words) in &all {
        let refusal = || json!({ "description": words, "content": { PROBLEM: { "schema": { "$ref": SHAPE } } } });
        answers.entry(*status).or_insert_with(refusal);
    }
    for (status, answer) in answers {
        let words = all.iter().chain(&WORDS).find(|(known, _)| known == status).map(|(_, words)| *words);
        if let Some(words) = words
            && answer["description"].as_str().is_none_or(str::is_empty)
        {
            answer["description"] = json!(words);
        }
        if let Some(content) = answer.get_mut("content").and_then(Value::as_object_mut)
            && content.get("application/json").is_some_and(|body| body["schema"]["$ref"] == SHAPE)
            && let Some(body) = content.remove("application/json")
        {
            content.insert(PROBLEM.to_owned(), body);
        }
    }
}

/// May come with an `Idempotency-Key`.
fn keyed(call: &mut Value) {
    let key = json!({
        "name": "Idempotency-Key", "in": "header", "required": false, "schema": { "type": "string" },
        "description": "The same call under the same key does nothing a second time and gets the answer of the first, for a week",
    });
    if let Some(call) = call.as_object_mut() {
        call.entry("parameters")
            .or_insert_with(|| json!([]))
            .as_array_mut()
            .into_iter()
            .for_each(|all| all.push(key.clone()));
    }
    let refusal =
        |words: &str| json!({ "description": words, "content": { PROBLEM: { "schema": { "$ref": SHAPE } } } });
    if let Some(answers) = call.get_mut("responses").and_then(Value::as_object_mut) {
        answers.entry("409").or_insert_with(|| refusal("The key came with another request"));
        answers.entry("422").or_insert_with(|| refusal("The key cannot be one"));
    }
}

/// Shows what is asked with, what is answered, and what each refusal looks like.
fn exemplify(call: &mut Value, example: &Value) {
    if let (Some(request), Some(kinds)) = (example.get("request"), call.pointer_mut("/requestBody/content")) {
        for body in kinds.as_object_mut().into_iter().flat_map(Map::values_mut) {
            body["example"] = request.clone();
        }
    }
    for (status, answer) in call.get_mut("responses").and_then(Value::as_object_mut).into_iter().flatten() {
        let words = answer["description"].clone();
        for (media, body) in answer.get_mut("content").and_then(Value::as_object_mut).into_iter().flatten() {
            if media == PROBLEM {
                let code = status.parse().ok().and_then(|code| StatusCode::from_u16(code).ok());
                let (title, code) = code.map_or(("", 0), |code| (code.canonical_reason().unwrap_or(""), code.as_u16()));
                body["example"] = json!({ "type": "about:blank", "title": title, "status": code, "detail": words });
            } else if example["status"] == *status {
                body["example"] = example["answer"].clone();
            }
        }
    }
}

/// A list of so many of one kind says the same as `prefixItems`, which not every reader of `OpenAPI` 3.1 knows.
fn tuples(schema: &mut Value) {
    if let Some(places) = schema.get("prefixItems").and_then(Value::as_array).cloned()
        && let Some(first) = places.first().filter(|first| places.iter().all(|place| place == *first))
        && let Some(schema) = schema.as_object_mut()
    {
        schema.remove("prefixItems");
        schema.insert("items".to_owned(), first.clone());
        schema.insert("minItems".to_owned(), json!(places.len()));
        schema.insert("maxItems".to_owned(), json!(places.len()));
    }
    match schema {
        Value::Object(members) => members.values_mut().for_each(tuples),
        Value::Array(members) => members.iter_mut().for_each(tuples),
        _ => {}
    }
}

/// What may be left out of a query or a head still cannot be `null` there, as it can in JSON.
fn parameters(call: &mut Value) {
    for parameter in call.get_mut("parameters").and_then(Value::as_array_mut).into_iter().flatten() {
        let (tags, cursor) = (parameter["name"] == "If-Match", parameter["name"] == "cursor");
        if tags {
            parameter["example"] = json!("\"1\"");
        }
        let (key, flag) = (parameter["name"] == "Idempotency-Key", parameter["name"] == "sparkline");
        let Some(schema) = parameter.get_mut("schema") else { continue };
        let null = json!("null");
        if let Some(types) = schema.get_mut("type").and_then(Value::as_array_mut) {
            types.retain(|one| *one != null);
            if let [only] = &types[..] {
                schema["type"] = only.clone();
            }
        }
        if let Some(variants) = schema.get_mut("oneOf").and_then(Value::as_array_mut) {
            variants.retain(|one| one["type"] != null);
            if let [only] = &variants[..] {
                *schema = only.clone();
            }
        }
        if tags {
            schema["pattern"] = json!(TAGS);
        }
        if key {
            schema["pattern"] = json!("^[!-~]{1,255}$");
        }
        if flag {
            *schema = json!({ "enum": [true, false, "1", "0", ""], "default": false });
        }
        if tags || cursor {
            schema["minLength"] = json!(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document() -> Value {
        let (_, document) = super::super::openapi::described();
        let mut document = serde_json::to_value(document).unwrap();
        complete(&mut document);
        document
    }

    #[test]
    fn every_call_says_what_the_layers_around_it_refuse() {
        let document = document();
        let delete = &document["paths"]["/alerts/{id}"]["delete"]["responses"];
        for status in ["204", "400", "401", "403", "404", "412", "421", "429", "503"] {
            assert!(
                delete[status]["description"].as_str().is_some_and(|words| !words.is_empty()),
                "{status}: {delete}"
            );
        }
        assert!(delete["413"].is_null(), "it has no body");
        assert!(document["paths"]["/alerts"]["post"]["responses"]["413"].is_object());
        assert!(document["paths"]["/health/live"]["get"]["responses"]["421"].is_object());
    }

    #[test]
    fn a_refusal_is_documented_as_a_problem_and_nothing_else() {
        let document = document();
        let mut problems = 0;
        for (path, calls) in document["paths"].as_object().unwrap() {
            for (name, call) in calls.as_object().unwrap() {
                for (status, answer) in call["responses"].as_object().into_iter().flatten() {
                    for (media, body) in answer["content"].as_object().into_iter().flatten() {
                        let problem = body["schema"]["$ref"] == SHAPE;
                        assert_eq!(problem, media == PROBLEM, "{name} {path} {status}");
                        problems += usize::from(problem);
                    }
                }
            }
        }
        assert!(problems > 100, "{problems}");
    }

    #[test]
    fn no_two_operations_have_one_name_and_every_link_leads_to_one() {
        let document = document();
        let calls =
            || document["paths"].as_object().unwrap().values().flat_map(|calls| calls.as_object().unwrap().values());
        let names: Vec<&str> = calls().filter_map(|call| call["operationId"].as_str()).collect();
        let unique: std::collections::HashSet<&str> = names.iter().copied().collect();
        assert_eq!((names.len(), names.len()), (unique.len(), calls().count()), "{names:?}");
        let answers = calls().flat_map(|call| call["responses"].as_object().into_iter().flat_map(|r| r.values()));
        let links: Vec<&Value> =
            answers.filter_map(|r| r["links"].as_object()).flat_map(|links| links.values()).collect();
        assert_eq!(links.len(), 9);
        for link in links {
            assert!(link["operationId"].as_str().is_some_and(|name| unique.contains(name)), "{link}");
        }
    }

    #[test]
    fn every_call_shows_what_is_asked_with_and_what_is_answered() {
        let document = document();
        for (path, calls) in document["paths"].as_object().unwrap() {
            for (method, call) in calls.as_object().unwrap() {
                let name = format!("{method} {path}");
                assert!(call["security"].is_array(), "{name}");
                for (media, body) in call["requestBody"]["content"].as_object().into_iter().flatten() {
                    assert!(body.get("example").is_some(), "{name}: {media}");
                }
                for (status, answer) in call["responses"].as_object().unwrap() {
                    assert!(answer["description"].as_str().is_some_and(|d| !d.is_empty()), "{name} {status}");
                    let content = answer["content"].as_object().into_iter().flatten();
                    for (media, body) in content.filter(|_| name != "get /health/ready" || status != "503") {
                        assert!(body.get("example").is_some(), "{name} {status}: {media}");
                    }
                }
            }
        }
        let examples: Value = serde_json::from_str(EXAMPLES).unwrap();
        for name in examples.as_object().unwrap().keys() {
            let (method, path) = name.split_once(' ').unwrap();
            assert!(document["paths"][path][method].is_object(), "an example of nothing: {name}");
        }
    }

    #[test]
    fn the_place_of_a_mistake_is_a_list_of_two_numbers() {
        let document = document();
        let place = &document["components"]["schemas"]["Problem"]["properties"]["at"];
        assert_eq!(
            (&place["minItems"], &place["maxItems"], &place["items"]["minimum"]),
            (&json!(2), &json!(2), &json!(0))
        );
    }

    #[test]
    fn a_parameter_that_may_be_left_out_is_not_null() {
        let document = document();
        let text = |path: &str, call: &str| document["paths"][path][call]["parameters"].to_string();
        for (path, call) in [("/events", "get"), ("/alerts", "get"), ("/prices", "get"), ("/alerts/{id}", "patch")] {
            assert!(text(path, call).contains("schema") && !text(path, call).contains("null"), "{call} {path}");
        }
        assert!(text("/alerts/{id}", "delete").contains("pattern"));
    }
}
