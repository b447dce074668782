//! Somebody elsewhere is told that everything works, for as long as it does.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

use crate::harness::{Exchange, Lab, Settings, Task, eventually};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_heartbeat_is_heard_while_a_feed_delivers_and_not_without_one() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let heard = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&heard);
    let _monitor = Task::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut buffer = [0; 1_024];
            let length = stream.read(&mut buffer).await.unwrap_or(0);
            if buffer[..length].starts_with(b"GET /ping/canary HTTP/1.1\r\n") {
                counted.fetch_add(1, Ordering::SeqCst);
            }
            drop(stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").await);
        }
    });
    let exchange = Exchange::start().await;
    exchange.trade("BTC-USD", "59990");
    let settings = Settings::quiet()
        .coinbase(&exchange)
        .with("heartbeat", &format!("url = \"http://{address}/ping/canary\""))
        .with("heartbeat", "every = \"10s\"");
    let lab = Lab::with(&settings);
    let daemon = lab.daemon().await;
    let notes =
        async || daemon.api().get("/health/ready").await.json()["notes"]["heartbeat"].as_str().map(str::to_owned);
    eventually("a heartbeat", async || (heard.load(Ordering::SeqCst) > 0).then_some(())).await;
    exchange.close();
    let said = eventually("that it is silent", async || notes().await).await;
    assert_eq!(said, "no feed delivers");
    let before = heard.load(Ordering::SeqCst);
    exchange.open();
    eventually("another heartbeat", async || (heard.load(Ordering::SeqCst) > before).then_some(())).await;
    assert!(!daemon.stop().await.contains("canary"), "the address is shown nowhere");
}
