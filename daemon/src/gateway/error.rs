//! What can go wrong with a request, and the one place that picks status codes for it: RFC 9457 problem details.

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use bellwether_core::{parse::ParseError, protocol::Problem, text};

use crate::store::StoreError;

/// The media type of every error.
pub(crate) const PROBLEM_JSON: &str = "application/problem+json";

/// Why a request is refused. The variants are what the client will do differently.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ApiError {
    /// The request is malformed; where in its body, if that can be told.
    Malformed { detail: String, at: Option<usize> },
    /// No token, or not a good one. One answer for all of them.
    Unauthenticated,
    /// E-mail or password is wrong; which one is not told.
    WrongLogin,
    /// Not for this caller or from this page.
    Forbidden(String),
    /// Nothing is there, or it is somebody else's.
    NotFound(String),
    /// It was there, and is not any more.
    Gone(String),
    /// The path exists, the method does not.
    MethodNotAllowed,
    /// It contradicts what is there.
    Conflict(String),
    /// `If-Match` names another version.
    Stale { current: Option<u32> },
    /// The body is larger than bodies may be here, in bytes.
    TooLarge { most: usize },
    /// The body is not of a type that is understood here.
    MediaType(&'static str),
    /// The request asks for this server under a name that is not its own.
    Misdirected(String),
    /// A field's value cannot be taken.
    Field(Box<FieldError>),
    /// Too often; worth another try after so many seconds.
    TooMany { detail: String, after: u64 },
    /// The body did not arrive in time.
    Slow,
    /// Too much to do; worth another try after so many seconds.
    Busy { detail: String, after: u64 },
    /// A part that is needed does not work.
    Unavailable(String),
    /// This path speaks WebSocket only.
    Upgrade,
    /// A bug. Its text goes to the log, not to the client.
    Broken(String),
}

/// What is wrong with a field.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct FieldError {
    /// Its name; empty means the whole body.
    pub(crate) field: String,
    /// What is wrong and what to write instead.
    pub(crate) detail: String,
    /// The code of an alert that was not understood.
    pub(crate) code: Option<&'static str>,
    /// Where in the field's text.
    pub(crate) at: Option<(usize, usize)>,
    /// What was probably meant.
    pub(crate) suggestion: Option<String>,
}

impl ApiError {
    /// `field` cannot be taken because of `detail`.
    pub(crate) fn field(field: &str, detail: impl Into<String>) -> Self {
        Self::Field(Box::new(FieldError { field: field.to_owned(), detail: detail.into(), ..FieldError::default() }))
    }

    /// An alert line in `field` was not understood; `offset` is where the line begins in it.
    pub(crate) fn line(field: &str, error: ParseError) -> Self {
        Self::Field(Box::new(FieldError {
            field: field.to_owned(),
            code: Some(error.code.as_str()),
            at: Some((error.span.start, error.span.end)),
            detail: error.message,
            suggestion: error.suggestion,
        }))
    }

    /// Whatever was looked for is not there.
    pub(crate) fn nothing() -> Self {
        Self::NotFound("There is nothing here.".to_owned())
    }

    /// The problem as the client reads it.
    pub(crate) fn problem(&self) -> Problem {
        let status = self.status();
        let mut problem = Problem {
            kind: "about:blank".to_owned(),
            title: status.canonical_reason().unwrap_or("Error").to_owned(),
            status: status.as_u16(),
            ..Problem::default()
        };
        problem.detail = match self {
            Self::Malformed { detail, at } => {
                problem.at = at.map(|at| (at, at));
                detail.clone()
            }
            Self::Unauthenticated => {
                "A valid token is needed: `Authorization: Bearer TOKEN`, from POST /auth/login.".to_owned()
            }
            Self::WrongLogin => "E-mail or password is wrong.".to_owned(),
            Self::MethodNotAllowed => "This path does not take that method; see `Allow`.".to_owned(),
            Self::Stale { current: Some(current) } => {
                format!("It has been changed meanwhile: its version is {current}. Read it again.")
            }
            Self::Stale { current: None } => "`If-Match` names no version of it. Read it again.".to_owned(),
            Self::TooLarge { most } => format!("The body is too large: at most {} KiB.", most / 1_024),
            Self::MediaType(expected) => format!("The body must be {expected}, in UTF-8 and not compressed."),
            Self::Field(error) => {
                problem.code = error.code.map(str::to_owned);
                problem.field = (!error.field.is_empty()).then(|| error.field.clone());
                problem.at = error.at;
                problem.suggestion.clone_from(&error.suggestion);
                error.detail.clone()
            }
            Self::Slow => "The request did not arrive in time.".to_owned(),
            Self::Upgrade => "This path speaks WebSocket: GET with an upgrade, version 13.".to_owned(),
            Self::Broken(_) => "Something is broken here; the daemon's log says more.".to_owned(),
            Self::Forbidden(detail)
            | Self::NotFound(detail)
            | Self::Gone(detail)
            | Self::Conflict(detail)
            | Self::Misdirected(detail)
            | Self::Unavailable(detail)
            | Self::TooMany { detail, .. }
            | Self::Busy { detail, .. } => detail.clone(),
        };
        // Parts of a request may be quoted, and the answer may end on a terminal.
        problem.detail = text::sanitize(&problem.detail);
        problem
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::Malformed { .. } => StatusCode::BAD_REQUEST,
            Self::Unauthenticated | Self::WrongLogin => StatusCode::UNAUTHORIZED,
            Self::Forbidden(_) => StatusCode::FORBIDDEN,
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::Gone(_) => StatusCode::GONE,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::Conflict(_) => StatusCode::CONFLICT,
            Self::Stale { .. } => StatusCode::PRECONDITION_FAILED,
            Self::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::MediaType(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Misdirected(_) => StatusCode::MISDIRECTED_REQUEST,
            Self::Field(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::TooMany { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::Slow => StatusCode::REQUEST_TIMEOUT,
            Self::Busy { .. } | Self::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Upgrade => StatusCode::UPGRADE_REQUIRED,
            Self::Broken(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NotFound => Self::nothing(),
            StoreError::Gone => Self::Gone("It is gone for good.".to_owned()),
            StoreError::Conflict { current } => Self::Stale { current: Some(current) },
            StoreError::Exists => Self::Conflict("It exists already.".to_owned()),
            StoreError::Quota { limit } => {
                Self::Conflict(format!("There are {limit} already, the most there may be. Delete one first."))
            }
            StoreError::BadCursor => Self::Malformed {
                detail: "The cursor does not belong to this listing: start again without one.".to_owned(),
                at: None,
            },
            StoreError::Unwritable(why) => Self::Unavailable(format!("Nothing can be saved now: {why}.")),
            StoreError::Broken(why) => Self::Broken(why),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        if let Self::Broken(why) = &self {
            tracing::error!(why, "a request met a bug");
        }
        let mut response = (self.status(), Json(self.problem())).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        match self {
            Self::Unauthenticated | Self::WrongLogin => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            Self::TooMany { after, .. } | Self::Busy { after, .. } => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from(after));
            }
            Self::Upgrade => {
                headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
            }
            // The rest of the body is not read, so nothing more can come over this connection: the caller has to know.
            Self::TooLarge { .. } | Self::Slow => {
                headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            _ => {}
        }
        response
    }
}

/// Turns an error of the libraries below, whose body is plain text or empty, into a problem.
pub(crate) fn as_problem(response: Response) -> Response {
    let status = response.status();
    if !(status.is_client_error() || status.is_server_error())
        || response.headers().get(header::CONTENT_TYPE).is_some_and(|t| t == PROBLEM_JSON || t == "application/json")
    {
        return response;
    }
    let error = match status {
        StatusCode::METHOD_NOT_ALLOWED => ApiError::MethodNotAllowed,
        StatusCode::PAYLOAD_TOO_LARGE => ApiError::TooLarge { most: super::body::MAX_BODY },
        StatusCode::UPGRADE_REQUIRED => ApiError::Upgrade,
        StatusCode::NOT_FOUND => ApiError::nothing(),
        status if status.is_client_error() => {
            ApiError::Malformed { detail: "The request is malformed.".to_owned(), at: None }
        }
        status => ApiError::Broken(format!("an answer {status} without a reason")),
    };
    let mut problem = error.into_response();
    for (name, value) in response.headers() {
        if name == header::ALLOW {
            problem.headers_mut().insert(name, value.clone());
        }
    }
    problem
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_sends_too_much_is_told_that_the_connection_ends() {
        for error in [ApiError::TooLarge { most: 1_024 }, ApiError::Slow] {
            assert_eq!(error.into_response().headers()[header::CONNECTION], "close");
        }
        assert!(!ApiError::nothing().into_response().headers().contains_key(header::CONNECTION));
    }

    #[test]
    fn nothing_that_orders_a_terminal_about_leaves_in_an_error() {
        let problem = ApiError::NotFound("no alert \u{1b}]52;c;AAAA\u{7}\u{202E}".to_owned()).problem();
        assert!(!problem.detail.contains(['\u{1b}', '\u{7}', '\u{202E}']), "{:?}", problem.detail);
    }

    #[test]
    fn a_bug_keeps_its_reason_for_the_log() {
        let problem = ApiError::Broken("no such table: canary".to_owned()).problem();
        assert_eq!(problem.status, 500);
        assert!(!problem.detail.contains("canary"));
    }
}
