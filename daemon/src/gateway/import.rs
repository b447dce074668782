//! Many alerts at once, from an export: all of them or none.

use std::sync::Arc;

use axum::{Json, body::Body, extract::State, http::HeaderMap};
use bellwether_core::{
    alert::AlertChange,
    condition::Rule,
    parse::{ParseContext, ParseError, parse},
    protocol::Problem,
    time::Timestamp,
    transfer::{CarriedAlerts, ImportAnswer, MAX_IMPORT_ALERTS, MAX_IMPORT_BYTES, Placed},
};

use super::{Gateway, alerts, auth::Caller, body, error::ApiError};
use crate::store::NewWish;

/// Make many alerts: all of them, or none where one of them cannot be taken. What stands already, word for word, is not made again.
#[utoipa::path(post, path = "/alerts/import", tag = "alerts", security(("token" = [])), request_body = CarriedAlerts,
    responses((status = 200, body = ImportAnswer), (status = 400, body = Problem), (status = 401, body = Problem),
    (status = 413, body = Problem), (status = 415, body = Problem), (status = 422, body = Problem), (status = 503, body = Problem)))]
pub(crate) async fn import(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<ImportAnswer>, ApiError> {
    let carried: CarriedAlerts = body::json_up_to(MAX_IMPORT_BYTES, &headers, body).await?;
    let now = gateway.clock.now();
    let wishes = alerts::with_context(&gateway, now, |context| wishes(carried, context))?;
    alerts::durably(async move {
        let placed = gateway.store.insert_alerts(caller.user, wishes, now).await?;
        let mut answer = ImportAnswer::default();
        let mut fresh = Vec::new();
        for (index, (alert, existed)) in placed.into_iter().enumerate() {
            let place = Placed { index, id: alert.id };
            if existed {
                answer.existing.push(place);
            } else {
                answer.made.push(place);
                fresh.push(AlertChange::Put(alert));
            }
        }
        if !alerts::tell_all(&gateway, fresh).await {
            answer.warnings.push("They are saved, but not all judged yet: the evaluator does not answer.".to_owned());
        }
        Ok(Json(answer))
    })
    .await
}

/// All alerts understood, or the first that is not, by its place.
fn wishes(carried: CarriedAlerts, context: &ParseContext<'_>) -> Result<Vec<NewWish>, ApiError> {
    let count = carried.alerts.len();
    if count > MAX_IMPORT_ALERTS {
        let detail = format!("{count} alerts are too many at once: at most {MAX_IMPORT_ALERTS}.");
        return Err(ApiError::field("alerts", detail));
    }
    let read = carried.alerts.into_iter().enumerate().map(|(index, alert)| {
        let rule = lasting(&alert.expr, context).map_err(|e| ApiError::line(&format!("alerts.{index}.expr"), e))?;
        let snoozed_until = alert.snoozed_until.filter(|until| *until > context.now);
        Ok(NewWish { rule, paused: alert.paused, snoozed_until })
    });
    read.collect()
}

/// Reads an alert also where its `until` has passed: it stood there, and so it stands here, expired.
fn lasting(expr: &str, context: &ParseContext<'_>) -> Result<Rule, ParseError> {
    parse(expr, context).or_else(|error| {
        let long_ago = ParseContext { now: Timestamp::from_seconds(0), ..*context };
        let over = |rule: &Rule| rule.until.is_some_and(|until| until <= context.now);
        parse(expr, &long_ago).ok().filter(over).ok_or(error)
    })
}

#[cfg(test)]
mod tests {
    use bellwether_core::{config::Config, time::Span};
    use serde_json::{Value, json};

    use super::super::testing::{NOW, OWNER_TOKEN, Rig};
    use super::*;
    use crate::clock::Clock;

    async fn import(rig: &Rig, token: &str, alerts: &Value) -> (u16, Value) {
        rig.call("POST", "/alerts/import", token, &json!({ "alerts": alerts }).to_string()).await
    }

    #[tokio::test]
    async fn alerts_arrive_as_they_left_and_a_second_time_nothing_is_made() {
        let rig = Rig::new().await;
        let later = NOW.plus(Span::from_seconds(3_600));
        let carried = json!([
            {"expr": "BTC > 60000 each note \"buy, or \\\"not\\\"\"", "paused": true},
            {"expr": "ETH > 5000 each", "snoozed_until": later},
            {"expr": "SOL < 100 once until 2001-02-03"},
            {"expr": "eth > 5k each"},
        ]);
        let (status, answer) = import(&rig, OWNER_TOKEN, &carried).await;
        assert_eq!(status, 200, "{answer}");
        assert_eq!(answer["made"], json!([{"index":0,"id":"a1"},{"index":1,"id":"a2"},{"index":2,"id":"a3"}]));
        assert_eq!(answer["existing"], json!([{"index":3,"id":"a2"}]), "the same alert in other words");
        let (_, first) = rig.call("GET", "/alerts/a1", OWNER_TOKEN, "").await;
        assert_eq!(
            (&first["paused"], &first["note"], &first["version"]),
            (&json!(true), &json!("buy, or \"not\""), &json!(1))
        );
        let (_, second) = rig.call("GET", "/alerts/a2", OWNER_TOKEN, "").await;
        assert_eq!(second["snoozed_until"], json!(later));
        let (status, again) = import(&rig, OWNER_TOKEN, &carried).await;
        assert_eq!((status, again["made"].as_array().map(Vec::len)), (200, Some(0)), "{again}");
        assert_eq!(rig.told.lock().expect("lock").len(), 3, "the evaluator hears of each once");
        let stranger = rig.account("other@example.org").await;
        let (_, theirs) = import(&rig, &stranger, &carried).await;
        assert_eq!(theirs["made"].as_array().map(Vec::len), Some(3), "what others have is not mine: {theirs}");
    }

    #[tokio::test]
    async fn one_alert_that_cannot_be_taken_is_named_and_none_is_made() {
        let rig = Rig::with(Config::default(), Clock::by_hand(NOW)).await;
        for (alerts, field) in [
            (json!([{"expr": "BTC > 1"}, {"expr": "BTC accross 2"}]), "alerts.1.expr"),
            (json!([{"expr": "BTC > 1"}, {"expr": "NOSUCHTHING > 2"}]), "alerts.1.expr"),
            (json!([{"expr": "BTC > 1"}, {"expr": "BTC > 2 via email"}]), "alerts.1.expr"),
            (json!([{"expr": "BTC > 1"}, {"expr": 7}]), "alerts"),
            (json!([{"expr": "BTC > 1"}, {"paused": true}]), "alerts"),
            (json!([{"expr": "BTC > 1", "id": "a1"}]), "alerts"),
            (json!(vec![json!({"expr": "BTC > 1"}); MAX_IMPORT_ALERTS + 1]), "alerts"),
        ] {
            let (status, problem) = import(&rig, OWNER_TOKEN, &alerts).await;
            assert_eq!((status, problem["field"].as_str()), (422, Some(field)), "{problem}");
        }
        let huge = "x".repeat(MAX_IMPORT_BYTES);
        assert_eq!(import(&rig, OWNER_TOKEN, &json!([{ "expr": huge }])).await.0, 413);
        assert_eq!(import(&rig, "", &json!([])).await.0, 401);
        assert_eq!(rig.call("GET", "/alerts", OWNER_TOKEN, "").await.1["items"], json!([]));
        assert!(rig.told.lock().expect("lock").is_empty());
    }

    #[tokio::test]
    async fn an_account_takes_no_more_than_it_may_have_and_then_none() {
        let rig = Rig::new().await;
        let stranger = rig.account("full@example.org").await;
        let many: Vec<Value> =
            (0..=crate::store::ALERTS_PER_ACCOUNT).map(|n| json!({"expr": format!("BTC > {}", n + 1)})).collect();
        let (status, problem) = import(&rig, &stranger, &json!(many)).await;
        assert!((400..500).contains(&status), "{problem}");
        assert_eq!(rig.call("GET", "/alerts", &stranger, "").await.1["items"], json!([]));
    }
}
