//! Who is asking: the tokens that a login gives, the local owner's token, and what slows down those who guess.
//!
//! Passwords are hashed with Argon2id off the async threads, two at once and a bounded number waiting, so that guessing is slow
//! for the guesser only.

use std::{
    collections::{HashMap, VecDeque},
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use argon2::{Algorithm, Argon2, Params, Version};
use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, header, request::Parts},
};
use bellwether_core::{
    alert::UserId,
    config,
    rate::TokenBucket,
    time::{Span, Timestamp},
};
use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::{
    Gateway,
    door::Visitor,
    error::ApiError,
    keys::{Claims, Keys},
};
use crate::store::{Account, Store, StoreError};

/// Hashes at once.
const HASHING: usize = 2;
/// Hashes waiting for their turn. More are refused with 503.
const WAITING: usize = 32;
/// Wrong passwords in [`FAILURE_WINDOW`], per account and per address, before more are refused.
const FAILURES: usize = 10;
const FAILURE_WINDOW: Span = Span::from_seconds(15 * 60);
/// How far the clock of whoever signed a token may be off.
const LEEWAY: Span = Span::from_seconds(5);
/// For how long after a login its token can be exchanged for a newer one.
const STAY: Span = Span::from_seconds(30 * 86_400);
/// Calls an account may make at once; then one every hundredth of a second.
pub(crate) const CALLS: u32 = 100;
/// The most bytes of a token; ours have about 200.
const MAX_TOKEN: usize = 4_096;
/// A hash that no password has, so that an unknown account costs the same time.
pub(crate) const NOBODY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$YmVsbHdldGhlci1ub2JvZHk$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// Where a request came from, set by the listener.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(pub(crate) SocketAddr);

/// Who is asking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Caller {
    /// Whose things they may see.
    pub(crate) user: UserId,
    /// Whether it is the local owner, who alone may touch channels.
    pub(crate) owner: bool,
    /// When their token ends.
    pub(crate) expires: Option<Timestamp>,
}

/// Checks passwords and tokens.
pub(crate) struct Auth {
    owner_token: SecretString,
    /// What signs logins.
    pub(crate) keys: Keys,
    /// How long a login lasts.
    pub(crate) lifetime: Span,
    /// Whether new accounts may be made.
    pub(crate) registration: bool,
    /// How many new accounts may be made now.
    pub(crate) registrations: Mutex<TokenBucket>,
    failures: Mutex<HashMap<String, VecDeque<Timestamp>>>,
    /// Calls of each account; there are few accounts.
    calls: Mutex<HashMap<UserId, TokenBucket>>,
    /// One permit for each hash that runs or waits.
    queue: Arc<Semaphore>,
    /// One permit for each hash that runs.
    hashing: Arc<Semaphore>,
}

impl Auth {
    /// With the configured signing key, or the one in the store, which is made there at the first start.
    pub(crate) async fn open(store: &Store, server: &config::Server, owner_token: String) -> Result<Self, StoreError> {
        Ok(Self {
            owner_token: owner_token.into(),
            keys: Keys::open(store, server).await?,
            lifetime: server.token_lifetime,
            registration: server.registration,
            registrations: Mutex::new(TokenBucket::new(30, Span::from_seconds(120))),
            failures: Mutex::default(),
            calls: Mutex::default(),
            queue: Arc::new(Semaphore::new(HASHING + WAITING)),
            hashing: Arc::new(Semaphore::new(HASHING)),
        })
    }

    /// A token for this account, whose owner gave the password at `login`.
    pub(crate) fn issue(&self, account: &Account, login: Timestamp, now: Timestamp) -> Result<String, ApiError> {
        self.keys.sign(&Claims {
            sub: account.id.0.to_string(),
            iat: now.as_seconds(),
            exp: now.plus(self.lifetime).as_seconds(),
            auth_time: Some(login.as_seconds()),
            generation: account.generation,
        })
    }

    /// Whose token this is. Every fault gives the same answer.
    pub(crate) async fn caller(&self, token: &str, store: &Store, now: Timestamp) -> Result<Caller, ApiError> {
        if bool::from(token.as_bytes().ct_eq(self.owner_token.expose_secret().as_bytes())) {
            return Ok(Caller { user: UserId::OWNER, owner: true, expires: None });
        }
        let (account, claims) = self.account(token, store, now).await?;
        Ok(Caller { user: account.id, owner: false, expires: Some(Timestamp::from_seconds(claims.exp)) })
    }

    /// The account of a token that is good now, and what the token says.
    async fn account(&self, token: &str, store: &Store, now: Timestamp) -> Result<(Account, Claims), ApiError> {
        if token.len() > MAX_TOKEN {
            return Err(ApiError::Unauthenticated);
        }
        let claims = self.keys.read(token).ok_or(ApiError::Unauthenticated)?;
        // Judged here, against the daemon's clock.
        let too_late = now >= Timestamp::from_seconds(claims.exp).plus(LEEWAY);
        let too_early = Timestamp::from_seconds(claims.iat) > now.plus(LEEWAY);
        let user = claims.sub.parse().map(UserId).map_err(|_| ApiError::Unauthenticated)?;
        if too_late || too_early || user == UserId::OWNER {
            return Err(ApiError::Unauthenticated);
        }
        match store.user(user).await? {
            Some(account) if account.generation == claims.generation => Ok((account, claims)),
            _ => Err(ApiError::Unauthenticated),
        }
    }

    /// A new token for one that is good, as long as the password was given within [`STAY`].
    pub(crate) async fn renew(&self, token: &str, store: &Store, now: Timestamp) -> Result<String, ApiError> {
        let (account, claims) = self.account(token, store, now).await?;
        let login = Timestamp::from_seconds(claims.auth_time.unwrap_or(claims.iat));
        if now.since(login) >= STAY {
            return Err(ApiError::Unauthenticated);
        }
        self.issue(&account, login, now)
    }

    /// Counts a call of an account; the owner's are not counted.
    fn count(&self, caller: Caller, now: Timestamp) -> Result<(), ApiError> {
        if caller.owner {
            return Ok(());
        }
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        let bucket = calls.entry(caller.user).or_insert_with(|| TokenBucket::new(CALLS, Span::from_millis(10)));
        bucket.take(now).map_err(|_| ApiError::TooMany { detail: "At most 100 calls a second.".to_owned(), after: 1 })
    }

    /// Waits for a turn to hash, or refuses when too many wait already.
    pub(crate) async fn turn(&self) -> Result<Turn, ApiError> {
        let busy = || ApiError::Busy { detail: "Too many logins at once: try again in a moment.".to_owned(), after: 2 };
        let place = Arc::clone(&self.queue).try_acquire_owned().map_err(|_| busy())?;
        let turn = Arc::clone(&self.hashing).acquire_owned().await.map_err(|_| busy())?;
        Ok(Turn { _place: place, _turn: turn })
    }

    /// Refuses when one of the names has failed too often lately.
    pub(crate) fn check_failures(&self, names: &[String], now: Timestamp) -> Result<(), ApiError> {
        let failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        for times in names.iter().filter_map(|name| failures.get(name)) {
            let recent: Vec<_> = times.iter().filter(|t| now.since(**t) < FAILURE_WINDOW).collect();
            if recent.len() >= FAILURES {
                let until = recent[recent.len() - FAILURES].plus(FAILURE_WINDOW);
                let after = u64::try_from(until.since(now).as_seconds()).unwrap_or(0) + 1;
                let detail = format!("Too many wrong logins: try again in {after} seconds.");
                return Err(ApiError::TooMany { detail, after });
            }
        }
        Ok(())
    }

    /// Notes a wrong password.
    pub(crate) fn failed(&self, names: &[String], now: Timestamp) {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        // Bounded by what can be hashed in the time.
        failures.retain(|_, times| times.back().is_some_and(|last| now.since(*last) < FAILURE_WINDOW));
        for name in names {
            let times = failures.entry(name.clone()).or_default();
            times.push_back(now);
            while times.len() > FAILURES {
                times.pop_front();
            }
        }
    }

    /// Forgets the wrong passwords before the right one.
    pub(crate) fn succeeded(&self, names: &[String]) {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        for name in names {
            failures.remove(name);
        }
    }
}

/// The right to hash once. The work holds it, so that a request that is given up does not let another one in beside it.
pub(crate) struct Turn {
    _place: OwnedSemaphorePermit,
    _turn: OwnedSemaphorePermit,
}

impl Turn {
    /// Hashes, off the async threads, on a thread of its own.
    ///
    /// Not on tokio's pool: each of its threads would keep the 19 MiB of its last hash for ever. The memory of a thread that
    /// has ended serves the next one, so no more is kept than was used at once.
    pub(crate) async fn run<T: Send + 'static>(self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, ApiError> {
        let broken = |why: &dyn std::fmt::Display| ApiError::Broken(format!("hash a password: {why}"));
        let (tell, told) = oneshot::channel();
        let job = move || {
            // Nobody waits where the caller has hung up.
            drop(tell.send(work()));
            drop(self);
        };
        std::thread::Builder::new().name("password".to_owned()).spawn(job).map_err(|e| broken(&e))?;
        told.await.map_err(|e| broken(&e))
    }
}

/// The one way in which passwords are hashed here.
pub(crate) fn argon2() -> Argon2<'static> {
    let params = Params::new(19_456, 2, 1, None).expect("the parameters are within Argon2's limits");
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

/// The token of an `Authorization: Bearer` header, where there is exactly one.
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(only), None) = (values.next(), values.next()) else {
        return None;
    };
    let (scheme, token) = only.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

impl FromRequestParts<Arc<Gateway>> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, gateway: &Arc<Gateway>) -> Result<Self, ApiError> {
        let token = bearer(&parts.headers).ok_or(ApiError::Unauthenticated)?;
        let now = gateway.clock.now();
        let caller = gateway.auth.caller(token, &gateway.store, now).await?;
        if let Some(visitor) = parts.extensions.get::<Visitor>() {
            visitor.known();
        }
        gateway.auth.count(caller, now)?;
        Ok(caller)
    }
}

#[cfg(test)]
mod tests {
    use argon2::PasswordHasher;

    use super::*;

    #[test]
    fn an_unknown_account_costs_a_whole_hash() {
        let parsed = argon2::password_hash::phc::PasswordHash::new(NOBODY).expect("a hash in PHC form");
        let real = argon2().hash_password(b"whatever8").expect("hashes");
        assert_eq!((parsed.algorithm, parsed.version, &parsed.params), (real.algorithm, real.version, &real.params));
        assert_eq!(parsed.hash.map(|h| h.len()), real.hash.map(|h| h.len()));
    }
}
