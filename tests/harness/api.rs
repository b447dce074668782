//! A client of the daemon's HTTP, and one that writes its bytes by hand.

use reqwest::{Method, header::HeaderMap};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use super::{PATIENCE, eventually};

/// A client without proxy and redirects.
pub(crate) fn client() -> reqwest::Client {
    reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(PATIENCE)
        .build()
        .expect("a client")
}

/// An answer.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    /// Its body, of whatever status.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }

    /// Its body; the status must say that it went well.
    pub(crate) fn done(&self) -> Value {
        assert!((200..300).contains(&self.status), "{self:?}");
        if self.text.is_empty() { Value::Null } else { self.json() }
    }

    /// A header's text.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The body of an error of that status, which must be one of problem+json and hold nothing that a terminal would obey.
    pub(crate) fn problem(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.header("content-type"), "application/problem+json", "{self:?}");
        let problem = self.json();
        assert_eq!(problem["status"], status, "{problem}");
        let detail = problem["detail"].as_str().unwrap_or_default();
        assert!(!detail.is_empty(), "an error without a word: {problem}");
        assert!(!detail.chars().any(char::is_control), "control characters: {problem}");
        problem
    }
}

/// A client of one daemon.
#[derive(Clone, Debug)]
pub(crate) struct Api {
    base: String,
    token: Option<String>,
    http: reqwest::Client,
}

impl Api {
    pub(crate) fn new(base: &str, token: Option<&str>) -> Self {
        Self { base: base.to_owned(), token: token.map(str::to_owned), http: client() }
    }

    /// A call that is not sent yet.
    pub(crate) fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.base));
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    /// Sends it.
    pub(crate) async fn send(&self, request: reqwest::RequestBuilder) -> Answer {
        let answer = request.send().await.expect("the daemon answers");
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        Answer { status, headers, text: answer.text().await.expect("the daemon's answer ends") }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(self.request(Method::GET, path)).await
    }

    /// The status of an answer; nothing while nobody answers.
    pub(crate) async fn try_get(&self, path: &str) -> Option<u16> {
        self.request(Method::GET, path).send().await.ok().map(|answer| answer.status().as_u16())
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(self.request(Method::POST, path).json(body)).await
    }

    pub(crate) async fn patch(&self, path: &str, body: &Value) -> Answer {
        self.send(self.request(Method::PATCH, path).json(body)).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.send(self.request(Method::DELETE, path)).await
    }

    /// Makes an alert from its line; gives its id.
    pub(crate) async fn alert(&self, line: &str) -> String {
        let answer = self.post("/alerts", &serde_json::json!({ "expr": line })).await;
        assert_eq!(answer.status, 201, "{line}: {answer:?}");
        answer.json()["id"].as_str().expect("an id").to_owned()
    }

    /// Registers an account and logs in.
    pub(crate) async fn account(&self, email: &str, password: &str) -> Self {
        let body = serde_json::json!({ "email": email, "password": password });
        self.post("/auth/register", &body).await.done();
        let form = [("username", email), ("password", password)];
        let login = self.send(self.request(Method::POST, "/auth/login").form(&form)).await.done();
        Self::new(&self.base, Some(login["access_token"].as_str().expect("a token")))
    }

    /// Waits until the instrument has this price.
    pub(crate) async fn price(&self, symbol: &str, price: &str) {
        eventually(&format!("{symbol} is at {price}"), async || {
            let answer = self.get(&format!("/prices/{symbol}")).await;
            (answer.status == 200 && answer.json()["price"] == price).then_some(())
        })
        .await;
    }

    /// Waits until the newest events, at least `count` of them, have had all their deliveries settled. Newest first.
    pub(crate) async fn settled(&self, count: usize) -> Vec<Value> {
        eventually(&format!("{count} firings with settled deliveries"), async || {
            let page = self.get("/events?limit=100").await.done();
            let items = page["items"].as_array().expect("items").clone();
            let settled = |event: &Value| {
                let deliveries = event["deliveries"].as_array().expect("deliveries");
                deliveries.iter().all(|d| d["finished"].is_string())
            };
            (items.len() >= count && items.iter().all(settled)).then_some(items)
        })
        .await
    }
}

/// Writes bytes to an address and reads until the other side closes. Nothing where it never does.
pub(crate) async fn raw(authority: &str, request: &[u8]) -> Option<String> {
    let mut socket = TcpStream::connect(authority).await.expect("the daemon listens");
    // An answer may come, and the connection go, before all is written.
    let written = socket.write_all(request).await;
    let mut answer = Vec::new();
    let read = timeout(PATIENCE, socket.read_to_end(&mut answer)).await;
    drop(written);
    read.ok()?.ok();
    Some(String::from_utf8_lossy(&answer).into_owned())
}

/// The status in a raw answer; 0 where there is none.
pub(crate) fn status_of(answer: &str) -> u16 {
    answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0)
}
