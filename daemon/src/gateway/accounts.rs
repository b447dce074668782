//! Making an account and logging in to it. What a password may be is checked before anything is hashed, and no answer tells
//! whether an account exists.

use std::sync::{Arc, PoisonError};

use argon2::{PasswordHasher, PasswordVerifier};
use axum::{
    Json,
    body::Body,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::IntoResponse,
};
use bellwether_core::{alert::UserId, protocol::Problem, text};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use super::{
    Gateway,
    auth::{NOBODY, Peer, argon2},
    body::{self, Input},
    error::ApiError,
};
use crate::store::StoreError;

/// `POST /auth/register`.
#[derive(Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Registration {
    /// The account's name.
    #[schema(required, example = "user@example.com")]
    email: Option<String>,
    /// 8 to 1,024 bytes.
    #[schema(required, format = "password")]
    password: Option<String>,
}

/// `POST /auth/login`: the password flow of `OAuth2`.
#[derive(Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Login {
    /// The account's e-mail.
    #[schema(example = "user@example.com")]
    username: Option<String>,
    /// The same, as `/auth/register` calls it.
    email: Option<String>,
    /// The password.
    #[schema(required, format = "password")]
    password: Option<String>,
    /// `password`, if given.
    grant_type: Option<String>,
    /// Not used.
    scope: Option<String>,
    /// Not used.
    client_id: Option<String>,
    /// Not used.
    client_secret: Option<String>,
}

/// The answer to a registration.
#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct Registered {
    /// The account's number.
    id: UserId,
    /// Its name.
    email: String,
}

/// The answer to a login.
#[expect(clippy::struct_field_names, reason = "RFC 6749 names the fields, 5.1")]
#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct Token {
    /// The token, for `Authorization: Bearer`.
    #[schema(example = "eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9.…")]
    pub(super) access_token: String,
    /// `bearer`.
    #[schema(example = "bearer")]
    pub(super) token_type: &'static str,
    /// For how many seconds it is good.
    #[schema(example = 43_200)]
    pub(super) expires_in: i64,
}

/// Make an account.
#[utoipa::path(post, path = "/auth/register", tag = "accounts", request_body = Registration, responses(
    (status = 201, body = Registered), (status = 403, body = Problem), (status = 409, body = Problem),
    (status = 422, body = Problem), (status = 429, body = Problem), (status = 503, body = Problem)))]
pub(crate) async fn register(
    State(gateway): State<Arc<Gateway>>,
    headers: HeaderMap,
    body: Body,
) -> Result<impl IntoResponse, ApiError> {
    let auth = &gateway.auth;
    if !auth.registration {
        return Err(ApiError::Forbidden(
            "New accounts cannot be made here (`server.registration = false`).".to_owned(),
        ));
    }
    let request: Registration = body::json(&headers, body).await.map_err(unquoted)?;
    let email = plausible_email("email", request.email)?;
    let password = acceptable_password("password", request.password)?;
    let now = gateway.clock.now();
    auth.registrations.lock().unwrap_or_else(PoisonError::into_inner).take(now).map_err(|at| ApiError::TooMany {
        detail: "Too many new accounts: try again later.".to_owned(),
        after: u64::try_from(at.since(now).as_seconds()).unwrap_or(0) + 1,
    })?;
    let hash = auth
        .turn()
        .await?
        .run(move || argon2().hash_password(password.expose_secret().as_bytes()).map(|h| h.to_string()))
        .await?
        .map_err(|e| ApiError::Broken(format!("hash a password: {e}")))?;
    let id = gateway.store.create_user(email.clone(), hash, now).await.map_err(|error| match error {
        StoreError::Exists => ApiError::Conflict("An account with this e-mail exists already: log in.".to_owned()),
        StoreError::Quota { limit } => ApiError::TooMany {
            detail: format!("There are {limit} accounts already, the most there may be."),
            after: 3_600,
        },
        other => other.into(),
    })?;
    tracing::info!(user = id.0, "a new account");
    Ok((StatusCode::CREATED, Json(Registered { id, email })))
}

/// Log in: a token for e-mail and password.
#[utoipa::path(post, path = "/auth/login", tag = "accounts",
    request_body(content((Login = "application/x-www-form-urlencoded"), (Login = "application/json"))),
    responses((status = 200, body = Token), (status = 401, body = Problem), (status = 422, body = Problem),
    (status = 429, body = Problem), (status = 503, body = Problem)))]
pub(crate) async fn login(
    State(gateway): State<Arc<Gateway>>,
    peer: Option<axum::Extension<Peer>>,
    headers: HeaderMap,
    body: Body,
) -> Result<impl IntoResponse, ApiError> {
    let request = match body::json_or_form(&headers, body).await? {
        Input::Json(text) => body::from_json::<Login>(&text).map_err(unquoted)?,
        Input::Form(pairs) => login_form(&pairs)?,
    };
    if request.grant_type.as_deref().is_some_and(|g| g != "password") {
        return Err(ApiError::field("grant_type", "`grant_type` is `password`."));
    }
    let email = plausible_email("username", request.username.or(request.email))?;
    let password = acceptable_password("password", request.password)?;
    let (auth, account) = (&gateway.auth, email.to_lowercase());
    let mut names = vec![account.clone()];
    // This machine's own address is everybody's here.
    names.extend(peer.filter(|p| !p.0.0.ip().is_loopback()).map(|p| format!("address {}", p.0.0.ip())));
    auth.check_failures(&names, gateway.clock.now())?;
    let turn = auth.turn().await?;
    // Again: while this one waited, others may have failed.
    auth.check_failures(&names, gateway.clock.now())?;
    let known = gateway.store.user_by_email(email).await?;
    let hash = known.as_ref().map_or_else(|| NOBODY.to_owned(), |a| a.password_hash.clone());
    let right =
        turn.run(move || argon2().verify_password(password.expose_secret().as_bytes(), hash.as_str()).is_ok()).await?;
    let now = gateway.clock.now();
    let Some(account) = known.filter(|_| right) else {
        auth.failed(&names, now);
        return Err(ApiError::WrongLogin);
    };
    auth.succeeded(&names);
    let token = Token {
        access_token: auth.issue(&account, now, now)?,
        token_type: "bearer",
        expires_in: auth.lifetime.as_seconds(),
    };
    Ok(Json(token))
}

/// What `OAuth2` does not know is passed over (RFC 6749, 3.2); what stands there twice is refused.
pub(super) fn login_form(pairs: &[u8]) -> Result<Login, ApiError> {
    let mut login = Login::default();
    for (name, value) in url::form_urlencoded::parse(pairs) {
        let field = match name.as_ref() {
            "username" => &mut login.username,
            "email" => &mut login.email,
            "password" => &mut login.password,
            "grant_type" => &mut login.grant_type,
            _ => continue,
        };
        if field.replace(value.into_owned()).is_some() {
            return Err(ApiError::field(&name, format!("The field `{name}` stands there twice.")));
        }
    }
    Ok(login)
}

/// A fault in a secret field is told without quoting it.
pub(super) fn unquoted(error: ApiError) -> ApiError {
    match error {
        ApiError::Field(fault) if fault.field.ends_with("password") => ApiError::field(&fault.field, PASSWORD),
        other => other,
    }
}

const PASSWORD: &str = "The password is a text of 8 to 1,024 bytes.";

pub(super) fn acceptable_password(field: &str, password: Option<String>) -> Result<SecretString, ApiError> {
    let password: SecretString = password.unwrap_or_default().into();
    let bytes = password.expose_secret().as_bytes();
    if (8..=1_024).contains(&bytes.len()) && !bytes.contains(&0) {
        Ok(password)
    } else {
        Err(ApiError::field(field, PASSWORD))
    }
}

fn plausible_email(field: &str, email: Option<String>) -> Result<String, ApiError> {
    let email = email.unwrap_or_default();
    let plausible = email.len() <= 254
        && email.chars().all(|c| !c.is_whitespace() && !text::is_hidden(c) && c != text::REPLACEMENT)
        && email.split_once('@').is_some_and(|(name, domain)| {
            (1..=64).contains(&name.len())
                && !domain.is_empty()
                && !domain.contains('@')
                && domain.split('.').all(|label| !label.is_empty())
        });
    if plausible { Ok(email) } else { Err(ApiError::field(field, "An e-mail address looks like user@example.com.")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_addresses_and_passwords_are_refused_before_any_hashing() {
        let long = format!("{}@example.com", "x".repeat(1_000));
        let ats = "@".repeat(200);
        for email in [
            "",
            "user",
            "@example.com",
            "user@",
            "a@b@c",
            "a b@c.d",
            "a@b\r\nBcc: x@y.z",
            "a@.b",
            "a\u{202E}@b.c",
            &long,
            &ats,
        ] {
            assert!(plausible_email("email", Some(email.to_owned())).is_err(), "{email:?}");
        }
        for email in ["user@example.com", "user@localhost", "o'neil+x@exämple.org"] {
            assert!(plausible_email("email", Some(email.to_owned())).is_ok(), "{email}");
        }
        for password in ["", "1234567", "1234567\0", &"x".repeat(1_025), &"x".repeat(100_000)] {
            assert!(acceptable_password("password", Some(password.to_owned())).is_err(), "{} bytes", password.len());
        }
        assert!(acceptable_password("password", Some("secret12".to_owned())).is_ok());
    }
}
