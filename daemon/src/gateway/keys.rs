//! The keys that sign logins: one signs, and while they are changed the one before still verifies (`docs/reliability.md`, P22).
//!
//! A key of the configuration is changed there; the one in the store is changed here, at the owner's word. What the old one may
//! still verify was signed before the change, so that somebody who has got hold of it can make no new tokens.

use std::sync::{PoisonError, RwLock};

use bellwether_core::{config, time::Timestamp};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use rand::RngCore;
use serde::{Deserialize, Serialize};

use super::error::ApiError;
use crate::store::{Store, StoreError};

/// Under which names the keys stand in the store.
const NAME: &str = "jwt";
const PREVIOUS: &str = "jwt_previous";

/// What a token says. The names are those of RFC 7519 and of `OpenID` Connect.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Claims {
    /// The account's number.
    pub(crate) sub: String,
    /// When it was signed, in seconds since 1970.
    pub(crate) iat: i64,
    /// When it ends.
    pub(crate) exp: i64,
    /// When its owner last gave the password; absent in tokens of older versions.
    #[serde(default)]
    pub(crate) auth_time: Option<i64>,
    /// The generation of the account's tokens that it belongs to.
    #[serde(rename = "gen")]
    pub(crate) generation: i64,
}

/// Signs and verifies.
pub(crate) struct Keys {
    ring: RwLock<Ring>,
    /// Whether they stand in the configuration, where they are changed then.
    configured: bool,
}

struct Ring {
    encoding: EncodingKey,
    decoding: DecodingKey,
    previous: Option<Previous>,
}

struct Previous {
    decoding: DecodingKey,
    /// What was signed later is not believed. Nothing for a key of the configuration, which tells no time.
    until: Option<Timestamp>,
}

impl Ring {
    fn of(key: &[u8], previous: Option<Previous>) -> Self {
        Self { encoding: EncodingKey::from_secret(key), decoding: DecodingKey::from_secret(key), previous }
    }
}

impl Keys {
    /// The configured keys, or those in the store; a first one is made there at the first start.
    pub(crate) async fn open(store: &Store, server: &config::Server) -> Result<Self, StoreError> {
        let configured = |secret: &Option<config::Secret>| {
            secret.as_ref().map(|s| s.expose().as_bytes().to_vec()).filter(|s| !s.is_empty())
        };
        let (ring, configured) = if let Some(key) = configured(&server.jwt_secret) {
            let previous = configured(&server.jwt_secret_previous)
                .map(|key| Previous { decoding: DecodingKey::from_secret(&key), until: None });
            (Ring::of(&key, previous), true)
        } else {
            let key = store.secret(NAME, fresh()).await?;
            (Ring::of(&key, store.known_secret(PREVIOUS).await?.as_deref().and_then(previous)), false)
        };
        Ok(Self { ring: RwLock::new(ring), configured })
    }

    /// Makes a new key. What the one before has signed until `now` is good until it expires.
    pub(crate) async fn rotate(&self, store: &Store, now: Timestamp) -> Result<(), ApiError> {
        if self.configured {
            return Err(ApiError::Conflict(
                "The key stands in the configuration: write a new one as `server.jwt_secret`, the one before as \
                 `server.jwt_secret_previous`, and reload."
                    .to_owned(),
            ));
        }
        let key = fresh();
        let before = store.rotate_secret(NAME, PREVIOUS, key.clone(), now).await?;
        *self.ring.write().unwrap_or_else(PoisonError::into_inner) = Ring::of(&key, previous(&before));
        Ok(())
    }

    /// A token that says this.
    pub(crate) fn sign(&self, claims: &Claims) -> Result<String, ApiError> {
        let ring = self.ring.read().unwrap_or_else(PoisonError::into_inner);
        encode(&Header::default(), claims, &ring.encoding).map_err(|e| ApiError::Broken(format!("sign a token: {e}")))
    }

    /// What a token says, where one of the keys has signed it. Its times are for the caller to judge.
    pub(crate) fn read(&self, token: &str) -> Option<Claims> {
        let mut validation = Validation::new(Algorithm::HS256);
        validation.validate_exp = false;
        let read = |key: &DecodingKey| decode::<Claims>(token, key, &validation).ok().map(|token| token.claims);
        let ring = self.ring.read().unwrap_or_else(PoisonError::into_inner);
        read(&ring.decoding).or_else(|| {
            let previous = ring.previous.as_ref()?;
            let until = previous.until.map_or(i64::MAX, Timestamp::as_seconds);
            read(&previous.decoding).filter(|claims| claims.iat <= until)
        })
    }
}

/// 256 random bits.
fn fresh() -> Vec<u8> {
    let mut key = vec![0; 32];
    rand::rng().fill_bytes(&mut key);
    key
}

/// A former key as the store keeps it: when it was changed, in microseconds since 1970 (8 bytes, big-endian), and the key.
fn previous(stored: &[u8]) -> Option<Previous> {
    let (time, key) = stored.split_first_chunk::<8>()?;
    let until = Timestamp::from_micros(i64::from_be_bytes(*time));
    Some(Previous { decoding: DecodingKey::from_secret(key), until: Some(until) })
}
