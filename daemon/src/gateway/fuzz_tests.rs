//! Everything that a client can send as text: bodies of REST calls, forms, queries, WebSocket messages. What a fuzzer starts from and
//! what it found (`tests/fuzz/message`), and the door for the fuzzer (`.ci/fuzz`).

use std::{fs, path::Path};

use bellwether_core::{
    backtest::NewBacktest,
    protocol::{AlertPatch, NewAlert, NewInstrument, ServerFrame},
    text,
};
use serde::de::DeserializeOwned;

use super::{
    Gateway,
    accounts::{Login, Registration, login_form},
    alerts::with_context,
    body::{Query, from_json},
    channel_settings::{ChannelPatch, NewChannel},
    command,
    error::ApiError,
    own_account::{Farewell, NewPassword},
    structured,
    testing::Rig,
};

/// Every reader takes the bytes or refuses them: without a panic, as a fault of the client's, and with nothing in its words that
/// could order a terminal about.
fn judge(bytes: &[u8], gateway: &Gateway) {
    refusal(body::<Registration>(bytes));
    refusal(body::<Login>(bytes));
    refusal(body::<NewPassword>(bytes));
    refusal(body::<Farewell>(bytes));
    refusal(body::<AlertPatch>(bytes));
    refusal(body::<NewInstrument>(bytes));
    refusal(body::<NewBacktest>(bytes));
    refusal(body::<NewChannel>(bytes));
    refusal(body::<ChannelPatch>(bytes));
    refusal(login_form(bytes).map(drop));
    let now = gateway.clock.now();
    let alert = from_json::<NewAlert>(bytes);
    refusal(alert.and_then(|new| with_context(gateway, now, |context| structured::read(&new, context))).map(drop));
    let query = String::from_utf8_lossy(bytes);
    refusal(Query::read(Some(&query), &["limit", "cursor", "symbol"]).and_then(|q| q.limit(50)).map(drop));
    if let Err(frame) = command::read(bytes, gateway) {
        let text = serde_json::to_string(&frame).expect("a frame can be written");
        assert!(serde_json::from_str::<ServerFrame>(&text).is_ok(), "{text}");
        assert!(matches!(*frame, ServerFrame::Error { .. } | ServerFrame::Reply { ok: false, .. }), "{text}");
    }
}

fn body<T: DeserializeOwned>(bytes: &[u8]) -> Result<(), ApiError> {
    from_json::<T>(bytes).map(drop)
}

fn refusal(outcome: Result<(), ApiError>) {
    if let Err(error) = outcome {
        let problem = error.problem();
        assert!((400..500).contains(&problem.status), "{problem:?}");
        let words = [Some(&problem.detail), problem.field.as_ref(), problem.suggestion.as_ref()];
        assert!(words.into_iter().flatten().flat_map(|word| word.chars()).all(|c| !text::is_hidden(c)), "{problem:?}");
    }
}

#[tokio::test]
async fn messages_that_were_found_once_stay_understood_or_refused() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fuzz/message");
    let messages: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(messages.len() >= 25, "an example of each call is there");
    let rig = Rig::new().await;
    for message in messages {
        judge(&fs::read(&message).unwrap(), &rig.gateway);
    }
}

#[cfg(fuzzing_libfuzzer)]
#[test]
fn fuzz_message() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let rig = runtime.block_on(Rig::new());
    // A panic ends the run; nobody looks at the gateway after it.
    let gateway = std::panic::AssertUnwindSafe(&rig.gateway);
    bolero::check!().for_each(|bytes: &[u8]| judge(bytes, &gateway));
}
