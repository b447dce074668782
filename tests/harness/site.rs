//! A web site with one answer for each address: a fake Yahoo, a fake `CoinGecko`.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::Body,
    http::{Request, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use tokio::net::TcpListener;

use super::{Task, lock};

/// The site.
#[derive(Debug)]
pub(crate) struct Site {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
    _server: Task,
}

/// What the site says to one request.
#[derive(Clone, Debug)]
pub(crate) struct Page {
    pub(crate) status: u16,
    pub(crate) kind: &'static str,
    pub(crate) body: String,
}

impl Page {
    /// A body of JSON.
    pub(crate) fn json(body: impl Into<String>) -> Self {
        Self { status: 200, kind: "application/json", body: body.into() }
    }
}

impl IntoResponse for Page {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).expect("a status");
        (status, [(header::CONTENT_TYPE, self.kind)], self.body).into_response()
    }
}

impl Site {
    /// A site that answers with what `page` makes of an address; nothing means 404.
    pub(crate) async fn start(page: impl Fn(&Uri) -> Option<Page> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (kept, page) = (Arc::clone(&asked), Arc::new(page));
        let router = Router::new().fallback(move |request: Request<Body>| {
            let (kept, page) = (Arc::clone(&kept), Arc::clone(&page));
            async move {
                lock(&kept).push(request.uri().to_string());
                page(request.uri()).map_or_else(|| StatusCode::NOT_FOUND.into_response(), Page::into_response)
            }
        });
        let server = Task::spawn(async move {
            axum::serve(listener, router).await.ok();
        });
        Self { address, asked, _server: server }
    }

    /// Its address for the configuration.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The addresses that were asked for.
    pub(crate) fn asked(&self) -> Vec<String> {
        lock(&self.asked).clone()
    }
}
