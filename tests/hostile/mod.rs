//! Hostile input through the real daemon: what a page in the browser, a stranger on this machine or a broken client may send
//! (docs/reliability.md, section 3), private files (P25), and secrets that show up nowhere (P26).

mod accounts;
mod limits;
mod pages;
mod private;
mod rest;
mod websocket;

use std::{
    fs,
    path::{Path, PathBuf},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::harness::{Api, Daemon, Lab, Settings};

/// The key that signs logins in these tests.
const KEY: &str = "the key that signs the logins of the tests";

async fn quiet() -> (Lab, Daemon) {
    let lab = Lab::with(&Settings::quiet().with("server", &format!("jwt_secret = \"{KEY}\"")));
    let daemon = lab.daemon().await;
    (lab, daemon)
}

/// How many alerts the owner has.
async fn alerts(api: &Api) -> usize {
    let found = api.get("/alerts").await.done();
    found["items"].as_array().or(found.as_array()).expect("alerts").len()
}

/// A token of these parts, signed with the key.
fn signed(header: &Value, claims: &Value, key: &str) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let text = format!("{}.{}", part(header), part(claims));
    let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).expect("any length");
    mac.update(text.as_bytes());
    format!("{text}.{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
}

/// The claims of a login's token.
fn claims(token: &str) -> Value {
    let middle = token.split('.').nth(1).expect("three parts");
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(middle).expect("base64")).expect("JSON")
}

/// A login's token.
async fn login(api: &Api, email: &str) -> String {
    api.post("/auth/register", &json!({"email": email, "password": "secret123"})).await.done();
    let answer = api.post("/auth/login", &json!({"username": email, "password": "secret123"})).await.done();
    answer["access_token"].as_str().expect("a token").to_owned()
}

/// Every file and folder below one, itself included.
fn everything_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = vec![folder.to_owned()];
    for entry in fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()) {
        if entry.is_dir() {
            found.extend(everything_below(&entry));
        } else {
            found.push(entry);
        }
    }
    found
}
