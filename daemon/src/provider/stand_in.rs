//! Stand-ins for providers: web servers on loopback that say what a test wants and count how often they were asked.

use std::{
    io::Write,
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

/// A web server that gives the listed answers, one a connection, the last one again and again.
pub(crate) struct StandIn {
    pub(crate) base: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl StandIn {
    pub(crate) async fn serving(answers: Vec<Vec<u8>>) -> Self {
        Self::answering(move |number, _| answers[number.min(answers.len() - 1)].clone()).await
    }

    /// A server that gives what it is told to, by the number of the request and its head.
    pub(crate) async fn answering(answer: impl Fn(usize, &str) -> Vec<u8> + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let base = format!("http://{}/api", listener.local_addr().expect("an address"));
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        tokio::spawn(async move {
            for number in 0.. {
                let Ok((mut stream, _)) = listener.accept().await else { return };
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    match stream.read_u8().await {
                        Ok(byte) => head.push(byte),
                        Err(_) => break,
                    }
                }
                let head = String::from_utf8_lossy(&head).into_owned();
                let told = answer(number, &head);
                seen.lock().expect("no panic").push(head);
                // A client that has seen enough may be gone already.
                stream.write_all(&told).await.ok();
                stream.shutdown().await.ok();
            }
        });
        Self { base, requests }
    }

    /// The heads of all requests so far.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().expect("no panic").clone()
    }
}

/// An HTTP answer; `headers` end with a line break each.
pub(crate) fn http_answer(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let mut answer =
        format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\nConnection: close\r\n\r\n", body.len())
            .into_bytes();
    answer.extend_from_slice(body);
    answer
}

/// A good answer in JSON.
pub(crate) fn json_answer(body: &str) -> Vec<u8> {
    http_answer("200 OK", "Content-Type: application/json\r\n", body.as_bytes())
}

/// So many zero bytes, packed.
pub(crate) fn gzip_of_zeros(bytes: usize) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(&vec![0; bytes]).expect("memory");
    encoder.finish().expect("memory")
}

/// The text with one byte replaced, for every place and several bytes that mean something in JSON.
pub(crate) fn damaged(text: &str) -> impl Iterator<Item = String> {
    let places = (0..text.len()).flat_map(|place| b"\"09{[,-e".iter().map(move |&byte| (place, byte)));
    places.filter_map(|(place, byte)| {
        let mut bytes = text.as_bytes().to_vec();
        bytes[place] = byte;
        String::from_utf8(bytes).ok()
    })
}
