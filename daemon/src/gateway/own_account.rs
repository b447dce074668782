//! The caller's own account: what it is, a newer token, another password, an end to all its tokens, an end to itself.
//!
//! A token belongs to a generation of its account. Another password, a logout and a deletion end the generation: tokens of it are
//! void from then on, and the WebSocket sessions that they opened close with 4401.

use std::sync::Arc;

use argon2::{PasswordHasher, PasswordVerifier};
use axum::{
    Json,
    body::Body,
    extract::State,
    http::{HeaderMap, StatusCode},
};
use bellwether_core::{
    alert::{AlertId, UserId},
    protocol::Problem,
};
use futures_util::future::try_join_all;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use super::{
    Gateway,
    accounts::{Token, acceptable_password, unquoted},
    alerts,
    auth::{CALLS, Caller, argon2, bearer},
    body,
    error::ApiError,
    sessions::PER_ACCOUNT,
};
use crate::store::{ALERTS_PER_ACCOUNT, Account, StoreError};

/// How many alerts of an account that ends are deleted at the same time.
const AT_ONCE: usize = 32;

/// `POST /auth/password`.
#[derive(Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct NewPassword {
    /// The password so far.
    #[schema(required, format = "password", example = "secret123")]
    password: Option<String>,
    /// 8 to 1,024 bytes.
    #[schema(required, format = "password", example = "another secret 456")]
    new_password: Option<String>,
}

/// `POST /auth/delete`.
#[derive(Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Farewell {
    /// The account's password.
    #[schema(required, format = "password", example = "secret123")]
    password: Option<String>,
}

/// An account as it sees itself.
#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct AccountView {
    /// Its number.
    id: UserId,
    /// Its name.
    #[schema(example = "user@example.com")]
    email: String,
    /// How many alerts it has.
    #[schema(example = 3)]
    alerts: usize,
    /// What it may have and do.
    limits: Limits,
}

/// What an account may have and do.
#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct Limits {
    /// The most alerts.
    #[schema(example = 1_000)]
    alerts: u32,
    /// The most open WebSocket sessions.
    #[schema(example = 16)]
    websockets: usize,
    /// The most calls in a second.
    #[schema(example = 100)]
    calls_per_second: u32,
}

/// The account of the caller; the local owner has none.
async fn own(gateway: &Gateway, caller: Caller) -> Result<Account, ApiError> {
    if caller.owner {
        return Err(ApiError::Forbidden(
            "The local owner has no account: its token is made anew at each start.".to_owned(),
        ));
    }
    gateway.store.user(caller.user).await?.ok_or(ApiError::Unauthenticated)
}

/// The caller's account.
#[utoipa::path(get, path = "/auth/account", tag = "accounts", security(("token" = [])), responses(
    (status = 200, body = AccountView), (status = 401, body = Problem), (status = 403, body = Problem)))]
pub(crate) async fn read(State(gateway): State<Arc<Gateway>>, caller: Caller) -> Result<Json<AccountView>, ApiError> {
    let account = own(&gateway, caller).await?;
    let alerts = gateway.hub.alerts_of(account.id).await?.len();
    let limits = Limits { alerts: ALERTS_PER_ACCOUNT, websockets: PER_ACCOUNT, calls_per_second: CALLS };
    Ok(Json(AccountView { id: account.id, email: account.email, alerts, limits }))
}

/// Get a newer token for one that is still good, up to 30 days after the login.
#[utoipa::path(post, path = "/auth/refresh", tag = "accounts", security(("token" = [])), responses(
    (status = 200, body = Token), (status = 401, body = Problem), (status = 403, body = Problem)))]
pub(crate) async fn refresh(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller,
    headers: HeaderMap,
) -> Result<Json<Token>, ApiError> {
    own(&gateway, caller).await?;
    let token = bearer(&headers).ok_or(ApiError::Unauthenticated)?;
    let access_token = gateway.auth.renew(token, &gateway.store, gateway.clock.now()).await?;
    Ok(Json(Token { access_token, token_type: "bearer", expires_in: gateway.auth.lifetime.as_seconds() }))
}

/// Change the password. All tokens of the account end; the answer holds a new one.
#[utoipa::path(post, path = "/auth/password", tag = "accounts", security(("token" = [])), request_body = NewPassword,
    responses((status = 200, body = Token), (status = 400, body = Problem), (status = 401, body = Problem),
    (status = 403, body = Problem, description = "The password is wrong, or the caller is the local owner"),
    (status = 415, body = Problem), (status = 422, body = Problem), (status = 429, body = Problem),
    (status = 503, body = Problem)))]
pub(crate) async fn password(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Token>, ApiError> {
    let account = own(&gateway, caller).await?;
    let request: NewPassword = body::json(&headers, body).await.map_err(unquoted)?;
    let known = acceptable_password("password", request.password)?;
    let new = acceptable_password("new_password", request.new_password)?;
    let hash = verified(&gateway, &account, known, Some(new)).await?;
    let now = gateway.clock.now();
    let generation = ended(&gateway, &account, hash).await?;
    let account = Account { generation, ..account };
    let access_token = gateway.auth.issue(&account, now, now)?;
    Ok(Json(Token { access_token, token_type: "bearer", expires_in: gateway.auth.lifetime.as_seconds() }))
}

/// Log out everywhere: all tokens of the account end, and its WebSocket sessions with them.
#[utoipa::path(post, path = "/auth/logout", tag = "accounts", security(("token" = [])), responses(
    (status = 204), (status = 401, body = Problem), (status = 403, body = Problem), (status = 503, body = Problem)))]
pub(crate) async fn logout(State(gateway): State<Arc<Gateway>>, caller: Caller) -> Result<StatusCode, ApiError> {
    let account = own(&gateway, caller).await?;
    ended(&gateway, &account, None).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Delete the account with its alerts, events and deliveries. There is no way back.
#[utoipa::path(post, path = "/auth/delete", tag = "accounts", security(("token" = [])), request_body = Farewell, responses(
    (status = 204), (status = 400, body = Problem), (status = 401, body = Problem),
    (status = 403, body = Problem, description = "The password is wrong, or the caller is the local owner"),
    (status = 415, body = Problem), (status = 422, body = Problem), (status = 429, body = Problem),
    (status = 503, body = Problem)))]
pub(crate) async fn delete(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Result<StatusCode, ApiError> {
    let account = own(&gateway, caller).await?;
    let request: Farewell = body::json(&headers, body).await.map_err(unquoted)?;
    let known = acceptable_password("password", request.password)?;
    verified(&gateway, &account, known, None).await?;
    // No new alerts from here on.
    ended(&gateway, &account, None).await?;
    let gateway = Arc::clone(&gateway);
    alerts::durably(async move {
        let own: Vec<AlertId> = gateway.hub.alerts_of(caller.user).await?.iter().map(|row| row.alert.id).collect();
        for some in own.chunks(AT_ONCE) {
            try_join_all(some.iter().map(|id| gone(&gateway, caller, *id))).await?;
        }
        let left = gateway.store.delete_user(caller.user, gateway.clock.now()).await?;
        for (id, version) in left {
            alerts::tell_deleted(&gateway, id, version).await;
        }
        tracing::info!(user = caller.user.0, "an account was deleted");
        Ok(StatusCode::NO_CONTENT)
    })
    .await
}

/// Deletes an alert that may be gone already.
async fn gone(gateway: &Arc<Gateway>, caller: Caller, id: AlertId) -> Result<(), ApiError> {
    match alerts::delete_alert(gateway, caller, id, None).await {
        Err(ApiError::NotFound(_)) | Ok(()) => Ok(()),
        Err(other) => Err(other),
    }
}

/// Checks the password and hashes the new one, if there is one, in one turn. Wrong ones count as those of a login.
async fn verified(
    gateway: &Gateway,
    account: &Account,
    known: SecretString,
    new: Option<SecretString>,
) -> Result<Option<String>, ApiError> {
    let (auth, names) = (&gateway.auth, [account.email.to_lowercase()]);
    let turn = auth.turn().await?;
    auth.check_failures(&names, gateway.clock.now())?;
    let hash = account.password_hash.clone();
    let work = move || {
        argon2().verify_password(known.expose_secret().as_bytes(), hash.as_str()).ok()?;
        let hashed = new.map(|new| argon2().hash_password(new.expose_secret().as_bytes()).map(|h| h.to_string()));
        Some(hashed.transpose())
    };
    match turn.run(work).await? {
        None => {
            auth.failed(&names, gateway.clock.now());
            Err(ApiError::Forbidden("The password is wrong.".to_owned()))
        }
        Some(Ok(hash)) => {
            auth.succeeded(&names);
            Ok(hash)
        }
        Some(Err(error)) => Err(ApiError::Broken(format!("hash a password: {error}"))),
    }
}

/// Ends all tokens of the account, with another password or without, and the sessions that they opened. Gives the new generation.
async fn ended(gateway: &Gateway, account: &Account, hash: Option<String>) -> Result<i64, ApiError> {
    let renewed = gateway.store.renew_user(account.id, account.generation, hash).await;
    let generation = renewed.map_err(|error| match error {
        // Somebody else was faster: this token has ended.
        StoreError::NotFound => ApiError::Unauthenticated,
        other => other.into(),
    })?;
    gateway.sessions.end(account.id);
    Ok(generation)
}

/// Change the key that signs logins. Tokens that are out stay good until they expire; the owner's alone.
#[utoipa::path(post, path = "/auth/keys/rotate", tag = "accounts", security(("token" = [])), responses(
    (status = 204), (status = 401, body = Problem), (status = 403, body = Problem),
    (status = 409, body = Problem, description = "The key stands in the configuration"), (status = 503, body = Problem)))]
pub(crate) async fn rotate(State(gateway): State<Arc<Gateway>>, caller: Caller) -> Result<StatusCode, ApiError> {
    if !caller.owner {
        return Err(ApiError::Forbidden("Keys belong to the local owner, whose token is in daemon.json.".to_owned()));
    }
    gateway.auth.keys.rotate(&gateway.store, gateway.clock.now()).await?;
    tracing::info!("logins are signed with a new key");
    Ok(StatusCode::NO_CONTENT)
}
