//! Logging in to a daemon with an account, which is how one on another machine is entered (`docs/api.md`).

use bellwether_core::time::Span;
use reqwest::Method;
use serde::Deserialize;
use serde_json::json;

use super::{ApiClient, ApiError};

/// A login.
#[derive(Clone, PartialEq, Eq, Deserialize)]
pub struct Token {
    /// The bearer token.
    pub access_token: String,
    /// For how many seconds it is good.
    pub expires_in: i64,
}

/// Without the token.
impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Token").field("expires_in", &self.expires_in).finish_non_exhaustive()
    }
}

impl Token {
    /// For how long it is good.
    pub const fn lifetime(&self) -> Span {
        Span::from_seconds(self.expires_in)
    }
}

impl ApiClient {
    /// Makes an account (`POST /auth/register`).
    pub async fn register(&self, email: &str, password: &str) -> Result<(), ApiError> {
        let request = self.request(Method::POST, &["auth", "register"], &[])?;
        self.send(request.json(&json!({ "email": email, "password": password }))).await.map(drop)
    }

    /// Logs in (`POST /auth/login`).
    pub async fn login(&self, email: &str, password: &str) -> Result<Token, ApiError> {
        let request = self.request(Method::POST, &["auth", "login"], &[])?;
        let request = request.json(&json!({ "username": email, "password": password }));
        self.read(self.send(request).await?).await
    }

    /// A newer token for the one that this client enters with (`POST /auth/refresh`).
    pub async fn refresh(&self) -> Result<Token, ApiError> {
        let request = self.request(Method::POST, &["auth", "refresh"], &[])?;
        self.read(self.send(request).await?).await
    }

    /// Ends all tokens of the account (`POST /auth/logout`).
    pub async fn logout(&self) -> Result<(), ApiError> {
        let request = self.request(Method::POST, &["auth", "logout"], &[])?;
        self.send(request).await.map(drop)
    }
}
