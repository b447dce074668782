//! The daemon's REST interface for the command line and the dashboard: one method a call, typed by
//! [`bellwether_core::protocol`] (`docs/api.md`). Every failure is an [`ApiError`] that reads as one clear sentence.

mod account;
pub mod stream;

pub use account::Token;

use std::time::Duration;

use bellwether_core::{
    alert::AlertId,
    backtest::{BacktestAnswer, NewBacktest},
    condition::ChannelName,
    delivery::{Delivery, DeliveryId, DeliveryState},
    instrument::{Instrument, Symbol},
    protocol::{
        AddedInstrument, AlertAnswer, AlertPatch, AlertView, Candles, ChannelTest, ChannelView, EventView, Health,
        NewInstrument, Page, PriceView, Problem, SearchAnswer, Status,
    },
    time::{Span, Timestamp},
    transfer::{CarriedAlerts, ImportAnswer},
};
use reqwest::{Method, RequestBuilder, Response, StatusCode, Url, header};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

/// How long any call may take, except a channel's test.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often, and how many times, the daemon is asked whether it uses a channel that was set up.
const CHANNEL_LOOK: Duration = Duration::from_millis(100);
const CHANNEL_LOOKS: u32 = 100;
/// How long a channel's test may take: it waits for the mail server or the phone company.
const TEST_PATIENCE: Duration = Duration::from_secs(45);
/// How long a question to a provider may take.
const PROVIDER_PATIENCE: Duration = Duration::from_secs(35);
/// How long a backtest may take: a little longer than the daemon allows itself.
const BACKTEST_PATIENCE: Duration = Duration::from_secs(35);
/// How long an import may take: a little longer than the daemon allows itself.
const IMPORT_PATIENCE: Duration = Duration::from_secs(35);
/// The most bytes an answer may have; more is no answer of a bellwether.
const LARGEST_ANSWER: usize = 16 << 20;
/// The most pages followed for one listing.
const MOST_PAGES: usize = 200;

/// Why a call did not do what it should.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// The daemon understood the call and refused it.
    #[error("{}", problem_sentence(.0))]
    Problem(Box<Problem>),
    /// Nobody answers, or not in time.
    #[error("the daemon at {address} does not answer: {reason}")]
    Unreachable {
        /// Where it was looked for.
        address: String,
        /// What happened instead, without address or token.
        reason: String,
    },
    /// Something answers, but not as a bellwether daemon does.
    #[error("what answers at {address} does not speak as this bellwether does: {reason}")]
    Garbled {
        /// Where it answers.
        address: String,
        /// What was wrong with the answer.
        reason: String,
    },
}

impl ApiError {
    /// The problem as the daemon put it, where it was the daemon that refused.
    pub fn problem(&self) -> Option<&Problem> {
        match self {
            Self::Problem(problem) => Some(problem),
            Self::Unreachable { .. } | Self::Garbled { .. } => None,
        }
    }
}

fn problem_sentence(problem: &Problem) -> String {
    let said = if problem.detail.is_empty() { &problem.title } else { &problem.detail };
    if said.is_empty() { format!("refused with status {}", problem.status) } else { said.clone() }
}

/// A client of one daemon. Cheap to clone; clones share their connections.
#[derive(Clone)]
pub struct ApiClient {
    http: reqwest::Client,
    address: String,
    token: String,
}

/// Without the token.
impl std::fmt::Debug for ApiClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ApiClient").field("address", &self.address).finish_non_exhaustive()
    }
}

impl ApiClient {
    /// A client of the daemon at `address` (such as `http://127.0.0.1:8000`), entering with the bearer `token`.
    ///
    /// Redirects are not followed and no proxy is asked: the token goes to this address and nowhere else.
    pub fn new(address: &str, token: &str) -> Self {
        let builder = || {
            reqwest::Client::builder()
                .no_proxy()
                .redirect(reqwest::redirect::Policy::none())
                .connect_timeout(Duration::from_secs(3))
                .timeout(PATIENCE)
        };
        // The certificates of the system are read for TLS alone; where there are none, no server is believed.
        let system = address.starts_with("https:").then(|| builder().build().ok()).flatten();
        let http = system.unwrap_or_else(|| builder().tls_certs_only([]).build().unwrap_or_default());
        Self { http, address: address.trim_end_matches('/').to_owned(), token: token.to_owned() }
    }

    /// Where the daemon is looked for.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// All alerts of the caller (`GET /alerts`).
    pub async fn alerts(&self) -> Result<Vec<AlertView>, ApiError> {
        // In pages: of many thousands one answer would be larger than is believed.
        self.listing(&["alerts"], &[("limit", "500".to_owned())]).await
    }

    /// One alert (`GET /alerts/{id}`).
    pub async fn alert(&self, id: AlertId) -> Result<AlertView, ApiError> {
        self.get(&["alerts", &id.to_string()], &[]).await
    }

    /// Makes an alert from one line of the alert language (`POST /alerts`).
    pub async fn create_alert(&self, expr: &str) -> Result<AlertAnswer, ApiError> {
        // Where the answer is lost on the way, the same key asks for it again without making another alert.
        let key = format!("{:032x}", rand::random::<u128>());
        let make = async || {
            let request = self.request(Method::POST, &["alerts"], &[])?.header("Idempotency-Key", &key);
            self.read(self.send(request.json(&json!({ "expr": expr }))).await?).await
        };
        match make().await {
            Err(ApiError::Unreachable { .. }) => make().await,
            done => done,
        }
    }

    /// Makes all of these alerts or none (`POST /alerts/import`); what stands already is not made again.
    pub async fn import_alerts(&self, alerts: &CarriedAlerts) -> Result<ImportAnswer, ApiError> {
        let request = self.request(Method::POST, &["alerts", "import"], &[])?.json(alerts).timeout(IMPORT_PATIENCE);
        self.read(self.send(request).await?).await
    }

    /// Changes what `patch` names (`PATCH /alerts/{id}`).
    pub async fn patch_alert(&self, id: AlertId, patch: &AlertPatch) -> Result<AlertAnswer, ApiError> {
        let request = self.request(Method::PATCH, &["alerts", &id.to_string()], &[])?.json(&patch_body(patch));
        self.read(self.send(request).await?).await
    }

    /// The same, but only if the alert still stands at `version`: what somebody else changed meanwhile is not overwritten.
    pub async fn patch_alert_at(&self, id: AlertId, version: u32, patch: &AlertPatch) -> Result<AlertAnswer, ApiError> {
        let request = self
            .request(Method::PATCH, &["alerts", &id.to_string()], &[])?
            .header(header::IF_MATCH, format!("\"{version}\""))
            .json(&patch_body(patch));
        self.read(self.send(request).await?).await
    }

    /// Deletes an alert (`DELETE /alerts/{id}`).
    pub async fn delete_alert(&self, id: AlertId) -> Result<(), ApiError> {
        let request = self.request(Method::DELETE, &["alerts", &id.to_string()], &[])?;
        self.send(request).await.map(drop)
    }

    /// Brings a deleted alert back as it was (`POST /alerts/{id}/restore`).
    pub async fn restore_alert(&self, id: AlertId) -> Result<AlertAnswer, ApiError> {
        let request = self.request(Method::POST, &["alerts", &id.to_string(), "restore"], &[])?;
        self.read(self.send(request).await?).await
    }

    /// Current prices (`GET /prices`): of `symbols`, or of all where none is named; with the closes of 24 hours if `sparkline`.
    pub async fn prices(&self, symbols: &[Symbol], sparkline: bool) -> Result<Vec<PriceView>, ApiError> {
        let mut query = Vec::new();
        if !symbols.is_empty() {
            let names: Vec<&str> = symbols.iter().map(Symbol::as_str).collect();
            query.push(("symbols", names.join(",")));
        }
        if sparkline {
            query.push(("sparkline", "true".to_owned()));
        }
        self.listing(&["prices"], &query).await
    }

    /// The last `limit` bars of an instrument, before a time where one is given (`GET /prices/{symbol}/candles`), oldest first.
    pub async fn candles(
        &self,
        symbol: Symbol,
        interval: Span,
        limit: usize,
        before: Option<Timestamp>,
    ) -> Result<Candles, ApiError> {
        let mut query = vec![("interval", interval.to_string()), ("limit", limit.to_string())];
        query.extend(before.map(|at| ("before", at.to_string())));
        self.get(&["prices", symbol.as_str(), "candles"], &query).await
    }

    /// One page of firings with the fate of their deliveries (`GET /events`), newest first.
    pub async fn events(&self, limit: usize, cursor: Option<&str>) -> Result<Page<EventView>, ApiError> {
        let mut query = vec![("limit", limit.to_string())];
        query.extend(cursor.map(|c| ("cursor", c.to_owned())));
        self.get(&["events"], &query).await
    }

    /// The instruments that can be watched (`GET /instruments`), those that were added too.
    pub async fn instruments(&self) -> Result<Vec<Instrument>, ApiError> {
        self.listing(&["instruments"], &[]).await
    }

    /// What the providers know under a name (`GET /instruments/search`).
    pub async fn search(&self, name: &str) -> Result<SearchAnswer, ApiError> {
        let request = self.request(Method::GET, &["instruments", "search"], &[("q", name.to_owned())])?;
        self.read(self.send(request.timeout(PROVIDER_PATIENCE)).await?).await
    }

    /// Adds an instrument (`POST /instruments`); the daemon starts its parts anew for it.
    pub async fn add_instrument(&self, wanted: &NewInstrument) -> Result<AddedInstrument, ApiError> {
        let request = self.request(Method::POST, &["instruments"], &[])?.json(wanted).timeout(PROVIDER_PATIENCE);
        self.read(self.send(request).await?).await
    }

    /// Removes an instrument that was added (`DELETE /instruments/{symbol}`).
    pub async fn remove_instrument(&self, symbol: &str) -> Result<(), ApiError> {
        let request = self.request(Method::DELETE, &["instruments", symbol], &[])?;
        self.send(request).await.map(drop)
    }

    /// One page of the deliveries in a state (`GET /deliveries`), newest first.
    pub async fn deliveries(
        &self,
        state: DeliveryState,
        limit: usize,
        cursor: Option<&str>,
    ) -> Result<Page<Delivery>, ApiError> {
        let mut query = vec![("state", state.to_string()), ("limit", limit.to_string())];
        query.extend(cursor.map(|c| ("cursor", c.to_owned())));
        self.get(&["deliveries"], &query).await
    }

    /// Has a delivery that is dead or unknown sent again (`POST /deliveries/{id}/retry`).
    pub async fn resend(&self, id: DeliveryId) -> Result<Delivery, ApiError> {
        let request = self.request(Method::POST, &["deliveries", &id.to_string(), "retry"], &[])?;
        self.read(self.send(request).await?).await
    }

    /// The channels and whether they work (`GET /channels`).
    pub async fn channels(&self) -> Result<Vec<ChannelView>, ApiError> {
        self.listing(&["channels"], &[]).await
    }

    /// Sets up a channel (`POST /channels`), and waits until the daemon uses it: its parts are started anew for that.
    pub async fn set_up_channel(&self, name: &ChannelName, settings: &Map<String, Value>) -> Result<(), ApiError> {
        let key = format!("{:032x}", rand::random::<u128>());
        let wanted = json!({ "name": name, "settings": settings });
        let request = self.request(Method::POST, &["channels"], &[])?.header("Idempotency-Key", &key);
        self.send(request.json(&wanted)).await?;
        for _ in 0..CHANNEL_LOOKS {
            if self.channels().await.is_ok_and(|all| all.iter().any(|channel| channel.name == *name)) {
                break;
            }
            tokio::time::sleep(CHANNEL_LOOK).await;
        }
        Ok(())
    }

    /// Sends one test message and says what the other side answered (`POST /channels/{name}/test`).
    pub async fn test_channel(&self, name: &ChannelName) -> Result<ChannelTest, ApiError> {
        let request = self.request(Method::POST, &["channels", name.as_str(), "test"], &[])?.timeout(TEST_PATIENCE);
        self.read(self.send(request).await?).await
    }

    /// Runs alerts over the daemon's stored bars (`POST /backtest`).
    pub async fn backtest(&self, wanted: &NewBacktest) -> Result<BacktestAnswer, ApiError> {
        let request = self.request(Method::POST, &["backtest"], &[])?.json(wanted).timeout(BACKTEST_PATIENCE);
        self.read(self.send(request).await?).await
    }

    /// How the daemon is doing (`GET /health/ready`), also when it says that it is not ready.
    pub async fn health(&self) -> Result<Health, ApiError> {
        let request = self.request(Method::GET, &["health", "ready"], &[])?;
        let response = request.send().await.map_err(|e| self.unreachable(e))?;
        if response.status() == StatusCode::SERVICE_UNAVAILABLE || response.status().is_success() {
            self.read(response).await
        } else {
            Err(self.refusal(response).await)
        }
    }

    /// Everything about the daemon (`GET /health/status`).
    pub async fn status(&self) -> Result<Status, ApiError> {
        self.get(&["health", "status"], &[]).await
    }

    async fn get<T: DeserializeOwned>(&self, path: &[&str], query: &[(&str, String)]) -> Result<T, ApiError> {
        let request = self.request(Method::GET, path, query)?;
        self.read(self.send(request).await?).await
    }

    /// A whole listing, page after page.
    async fn listing<T: DeserializeOwned>(&self, path: &[&str], query: &[(&str, String)]) -> Result<Vec<T>, ApiError> {
        let mut items = Vec::new();
        let mut query = query.to_vec();
        for _ in 0..MOST_PAGES {
            let request = self.request(Method::GET, path, &query)?;
            let bytes = self.bytes(self.send(request).await?).await?;
            // A plain array is a listing that has only one page.
            if bytes.iter().find(|b| !b.is_ascii_whitespace()) == Some(&b'[') {
                items.append(&mut self.parse::<Vec<T>>(&bytes)?);
                return Ok(items);
            }
            let mut page: Page<T> = self.parse(&bytes)?;
            items.append(&mut page.items);
            let Some(next) = page.next else { return Ok(items) };
            query.retain(|(name, _)| *name != "cursor");
            query.push(("cursor", next));
        }
        // Not a part of them as if that were all: an export would lose the rest.
        let reason = format!("its list does not end after {MOST_PAGES} pages");
        Err(ApiError::Garbled { address: self.address.clone(), reason })
    }

    fn request(&self, method: Method, path: &[&str], query: &[(&str, String)]) -> Result<RequestBuilder, ApiError> {
        let no_address = || ApiError::Unreachable {
            address: self.address.clone(),
            reason: "that is no address such as http://127.0.0.1:8000".to_owned(),
        };
        let mut url = Url::parse(&self.address).map_err(|_| no_address())?;
        url.path_segments_mut().map_err(|()| no_address())?.pop_if_empty().extend(path);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        Ok(self.http.request(method, url).bearer_auth(&self.token))
    }

    async fn send(&self, request: RequestBuilder) -> Result<Response, ApiError> {
        let response = request.send().await.map_err(|e| self.unreachable(e))?;
        if response.status().is_success() { Ok(response) } else { Err(self.refusal(response).await) }
    }

    async fn refusal(&self, response: Response) -> ApiError {
        let status = response.status();
        match self.bytes(response).await {
            Ok(body) => match serde_json::from_slice::<Problem>(&body) {
                Ok(problem) => ApiError::Problem(Box::new(problem)),
                Err(_) => self.garbled(format!("status {} without an explanation", status.as_u16())),
            },
            Err(error) => error,
        }
    }

    async fn read<T: DeserializeOwned>(&self, response: Response) -> Result<T, ApiError> {
        let bytes = self.bytes(response).await?;
        self.parse(&bytes)
    }

    fn parse<T: DeserializeOwned>(&self, bytes: &[u8]) -> Result<T, ApiError> {
        serde_json::from_slice(bytes).map_err(|e| self.garbled(e.to_string()))
    }

    /// The body, unpacked, as long as it stays within [`LARGEST_ANSWER`].
    async fn bytes(&self, mut response: Response) -> Result<Vec<u8>, ApiError> {
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|e| self.unreachable(e))? {
            if body.len() + chunk.len() > LARGEST_ANSWER {
                return Err(self.garbled("the answer does not end".to_owned()));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    fn unreachable(&self, error: reqwest::Error) -> ApiError {
        let reason = if error.is_timeout() {
            "it took too long".to_owned()
        } else if let Some(refused) = certificate(&error) {
            refused
        } else if error.is_connect() {
            "nobody listens there".to_owned()
        } else {
            error.without_url().to_string()
        };
        ApiError::Unreachable { address: self.address.clone(), reason }
    }

    fn garbled(&self, reason: String) -> ApiError {
        ApiError::Garbled { address: self.address.clone(), reason }
    }
}

/// What is wrong with the other side's certificate, if that is what is wrong. The causes are of private types, so their words tell.
fn certificate(error: &reqwest::Error) -> Option<String> {
    let mut causes = std::iter::successors(std::error::Error::source(error), |cause| cause.source());
    let tls = causes.find(|cause| cause.to_string().contains("certificate"))?;
    Some(format!("its certificate is not accepted: {tls}"))
}

/// The parts of a patch that say something.
fn patch_body(patch: &AlertPatch) -> Value {
    let mut body = serde_json::Map::new();
    if let Some(expr) = &patch.expr {
        body.insert("expr".to_owned(), json!(expr));
    }
    if let Some(paused) = patch.paused {
        body.insert("paused".to_owned(), json!(paused));
    }
    if let Some(until) = patch.snoozed_until {
        body.insert("snoozed_until".to_owned(), json!(until));
    }
    if let Some(seen) = patch.acknowledged {
        body.insert("acknowledged".to_owned(), json!(seen));
    }
    Value::Object(body)
}

#[cfg(test)]
mod tests {
    use axum::{Json, Router, extract::Path, http::HeaderMap, response::IntoResponse, routing};

    use super::*;

    async fn serve(router: Router) -> ApiClient {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = format!("http://{}", listener.local_addr().expect("an address"));
        tokio::spawn(async move { axum::serve(listener, router).await });
        ApiClient::new(&address, "sesame")
    }

    #[tokio::test]
    async fn a_refusal_is_the_daemons_own_sentence() {
        let refuse = || async {
            let problem = json!({"type":"about:blank","title":"Bad Request","status":400,
                "detail":"`accross` is no condition","at":[4,11],"suggestion":"crosses"});
            (axum::http::StatusCode::BAD_REQUEST, Json(problem))
        };
        let client = serve(Router::new().route("/alerts", routing::post(refuse))).await;
        let error = client.create_alert("BTC accross 5").await.expect_err("refused");
        assert_eq!(error.to_string(), "`accross` is no condition");
        assert_eq!(error.problem().and_then(|p| p.at), Some((4, 11)));
    }

    #[tokio::test]
    async fn symbols_are_encoded_and_the_token_is_shown() {
        let candles = |Path(symbol): Path<String>, headers: HeaderMap| async move {
            assert_eq!(headers["authorization"], "Bearer sesame");
            Json(json!({"symbol": symbol, "interval": "5m", "items": []})).into_response()
        };
        let client = serve(Router::new().route("/prices/{symbol}/candles", routing::get(candles))).await;
        let symbol: Symbol = "S&P 500/X".parse().expect("a symbol");
        let answer = client.candles(symbol, Span::from_seconds(300), 5, None).await.expect("candles");
        assert_eq!(answer.symbol, symbol);
    }

    #[tokio::test]
    async fn listings_are_followed_to_their_last_page_and_arrays_are_taken() {
        let page = |uri: axum::http::Uri| async move {
            let channel = json!({"name":"email","ready":true,"status":"ok","default":true});
            let next = (!uri.query().unwrap_or("").contains("cursor=two")).then_some("two");
            Json(json!({"items":[channel], "next": next}))
        };
        let client = serve(
            Router::new()
                .route("/channels", routing::get(page))
                .route("/alerts", routing::get(|| async { Json(json!([])) })),
        )
        .await;
        assert_eq!(client.channels().await.expect("channels").len(), 2);
        assert_eq!(client.alerts().await.expect("alerts"), vec![]);
    }

    #[tokio::test]
    async fn an_alert_whose_answer_is_lost_is_asked_for_again_by_the_same_key() {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let client = ApiClient::new(&format!("http://{}", listener.local_addr().expect("an address")), "t");
        let server = tokio::spawn(async move {
            let mut keys = Vec::new();
            for answer in ["", "HTTP/1.1 409 Conflict\r\nContent-Length: 2\r\n\r\n{}"] {
                let (mut stream, _) = listener.accept().await.expect("a connection");
                let mut head = Vec::new();
                while !head.ends_with(b"\"BTC > 1\"}") {
                    head.push(stream.read_u8().await.expect("a request"));
                }
                let head = String::from_utf8(head).expect("text").to_lowercase();
                let key = head.lines().find_map(|line| line.strip_prefix("idempotency-key: ")).expect("a key");
                keys.push(key.to_owned());
                stream.write_all(answer.as_bytes()).await.expect("written");
            }
            keys
        });
        client.create_alert("BTC > 1").await.expect_err("refused the second time");
        let keys = server.await.expect("served");
        assert_eq!(keys[0], keys[1]);
        assert_eq!(keys[0].len(), 32);
    }

    #[tokio::test]
    async fn nobody_there_and_somebody_else_are_told_apart() {
        let nobody = ApiClient::new("http://127.0.0.1:1", "secret-token").alerts().await.expect_err("nobody");
        assert_eq!(nobody.to_string(), "the daemon at http://127.0.0.1:1 does not answer: nobody listens there");
        let client = serve(Router::new().route("/alerts", routing::get(|| async { "<html>" }))).await;
        let other = client.alerts().await.expect_err("somebody else");
        assert!(matches!(other, ApiError::Garbled { .. }), "{other}");
        assert!(!format!("{nobody:?} {client:?}").contains("secret-token"));
        let nonsense = ApiClient::new("not an address", "t").health().await.expect_err("nonsense");
        assert!(nonsense.to_string().contains("no address"), "{nonsense}");
    }

    #[test]
    fn a_patch_says_only_what_it_changes() {
        let patch = AlertPatch { paused: Some(true), ..AlertPatch::default() };
        assert_eq!(patch_body(&patch), json!({"paused": true}));
    }
}
