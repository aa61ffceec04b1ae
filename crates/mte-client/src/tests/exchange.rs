//! Whole exchanges over a socket.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use mte_codec::{EncodeType, KemId};

use super::server::Server;
use crate::{
    Body, EncodeHeaders, Error, Observer, RelayClient, ResponseError,
    observer::{Chunk, Paired, RequestEvent, ResponseEvent},
};

const LIMIT: usize = 64 << 20;

fn saw(response: &http::Response<Body>) -> &str {
    response.headers()["x-saw"].to_str().unwrap()
}

#[tokio::test]
async fn a_request_travels_sealed_and_its_response_opens() {
    let server = Server::start().await;
    for encode_type in [EncodeType::Mke, EncodeType::Mte] {
        for kem in KemId::ALL {
            let client = RelayClient::builder(server.url())
                .encode_type(encode_type)
                .kem(kem)
                .pairs(1)
                .build()
                .unwrap();
            let request = http::Request::put("/orders/17?paid=1")
                .header("content-type", "application/json")
                .header("authorization", "Bearer hush")
                .body("{}".into())
                .unwrap();
            let response = client.send(request).await.unwrap();
            assert_eq!(saw(&response), "PUT /orders/17?paid=1 HTTP/1.1 2");
            assert_eq!(response.headers()["content-type"], "application/json");
            assert_eq!(response.into_body().text(LIMIT).await.unwrap(), "{}");
        }
    }
    let seen = &server.shared.seen;
    assert!(!seen.wire_path.lock().unwrap().contains("orders"));
    let headers = seen.wire_headers.lock().unwrap();
    assert!(!headers.contains_key("authorization"));
    assert_eq!(headers["content-type"], "application/octet-stream");
}

#[tokio::test]
async fn full_urls_paths_and_all_methods_work() {
    let server = Server::start().await;
    let client = RelayClient::builder(server.url()).build().unwrap();
    let url = format!("{}/a?b", server.url());
    assert_eq!(saw(&client.get(&url).await.unwrap()), "GET /a?b HTTP/1.1");
    assert_eq!(saw(&client.post("/", Body::empty()).await.unwrap()), "POST / HTTP/1.1");
    let head = http::Request::head("/a").body(Body::empty()).unwrap();
    let response = client.send(head).await.unwrap();
    assert_eq!(saw(&response), "HEAD /a HTTP/1.1");
    assert_eq!(response.into_body().bytes(0).await.unwrap(), "");
    assert_eq!(client.get("/none").await.unwrap().status(), 204);
    for url in ["http://elsewhere.example/", "https://relay.example/", "relay.example", "*"] {
        assert!(matches!(client.get(url).await, Err(Error::RequestUrl { .. })), "{url}");
    }
}

#[tokio::test]
async fn an_upstreams_404_is_a_response_and_the_relays_is_an_error() {
    let server = Server::start().await;
    let client = RelayClient::builder(server.url()).build().unwrap();
    let response = client.get("/missing").await.unwrap();
    assert_eq!(response.status(), 404);
    assert_eq!(response.into_body().text(LIMIT).await.unwrap(), "no such thing");

    for status in [400, 404, 413, 421, 429, 502, 504, 569] {
        server.fail_with(&[status]);
        match client.get("/missing").await.unwrap_err() {
            Error::Relay { status: got, message, request_id, note } => {
                // Control characters that a terminal would interpret are removed.
                assert_eq!((got, message.as_str()), (status, "refused[1m"));
                assert_eq!((request_id.as_deref(), note), (Some("r-17"), None));
            }
            other => panic!("{other}"),
        }
    }
    server.fail_with(&[200]);
    let error = client.get("/missing").await.unwrap_err();
    assert!(matches!(error, Error::Response(ResponseError::NotSealed(200))), "{error}");
}

#[tokio::test]
async fn concurrent_first_requests_share_one_pairing() {
    let server = Server::start().await;
    let client = RelayClient::builder(server.url()).pairs(3).build().unwrap();
    let tasks: Vec<_> = (0..20)
        .map(|n| {
            let client = client.clone();
            tokio::spawn(async move {
                let response = client.post("/echo", format!("body {n}")).await.unwrap();
                assert_eq!(response.into_body().text(LIMIT).await.unwrap(), format!("body {n}"));
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(server.counts(), (1, 1, 20));
}

#[tokio::test]
async fn concurrent_first_requests_share_a_failed_pairing_and_later_ones_try_again() {
    let server = Server::start().await;
    server.shared.refuse_pairings.store(1, std::sync::atomic::Ordering::SeqCst);
    let client = RelayClient::builder(server.url()).build().unwrap();
    let (a, b, c) = tokio::join!(client.get("/"), client.get("/"), client.get("/"));
    for outcome in [a, b, c] {
        assert_eq!(outcome.unwrap_err().relay_status(), Some(503));
    }
    assert_eq!(server.counts().1, 1);
    server.shared.refuse_pairings.store(0, std::sync::atomic::Ordering::SeqCst);
    client.get("/").await.unwrap();
}

#[tokio::test]
async fn a_slow_response_does_not_fall_out_of_the_window_of_a_busy_pair() {
    let server = Server::start().await;
    let client = RelayClient::builder(server.url()).pairs(1).build().unwrap();
    client.pair().await.unwrap();
    let slow = tokio::spawn({
        let client = client.clone();
        async move { client.post("/slow", "at last").await }
    });
    while server.counts().2 == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    for _ in 0..400 {
        client.get("/").await.unwrap();
    }
    server.shared.go.notify_one();
    let response = slow.await.unwrap().unwrap();
    assert_eq!(response.into_body().text(LIMIT).await.unwrap(), "at last");
    assert_eq!(server.counts().1, 2, "one more pairing");
}

#[tokio::test]
async fn a_client_id_can_be_resumed() {
    let server = Server::start().await;
    let client = RelayClient::builder(server.url()).build().unwrap();
    assert_eq!(client.client_id(), None);
    client.pair().await.unwrap();
    let id = client.client_id().unwrap();

    let again = RelayClient::builder(server.url()).client_id(&id).build().unwrap();
    again.get("/").await.unwrap();
    assert_eq!(again.client_id(), Some(id));
    assert_eq!(server.counts().0, 1, "the second client needs no new id");

    let stranger = RelayClient::builder(server.url()).client_id("of-another-relay").build().unwrap();
    stranger.get("/").await.unwrap();
    assert_ne!(stranger.client_id().as_deref(), Some("of-another-relay"));
}

#[tokio::test]
async fn without_sealed_url_and_headers_the_request_is_still_bound() {
    let server = Server::start().await;
    let client = RelayClient::builder(server.url())
        .encode_url(false)
        .encode_headers(EncodeHeaders::None)
        .build()
        .unwrap();
    let request = http::Request::get("/plain").header("user-agent", "1").body(Body::empty()).unwrap();
    client.send(request).await.unwrap();
    let seen = &server.shared.seen;
    assert_eq!(*seen.wire_path.lock().unwrap(), "/plain");
    let headers = seen.wire_headers.lock().unwrap();
    assert_eq!(headers["user-agent"], "1");
    assert!(headers["x-mte-relay"].to_str().unwrap().ends_with(",1,0,1,0"));
}

#[tokio::test]
async fn impossible_settings_are_refused() {
    let build = |url: &str| RelayClient::builder(url).build();
    for url in
        ["relay.example", "ftp://relay.example", "https://", "https://u:p@relay.example", "https://r/x", ""]
    {
        assert!(matches!(build(url), Err(Error::Setting(_))), "{url}");
    }
    let builder = || RelayClient::builder("https://relay.example");
    assert!(matches!(builder().pairs(0).build(), Err(Error::Setting(_))));
    assert!(matches!(builder().pairs(101).build(), Err(Error::Setting(_))));
    assert!(matches!(builder().client_id("a,b").build(), Err(Error::Setting(_))));
    assert!(matches!(builder().host("a b").build(), Err(Error::Setting(_))));
    let only = EncodeHeaders::Only(vec!["host".parse().unwrap()]);
    assert!(matches!(builder().encode_headers(only).build(), Err(Error::Setting(_))));
}

#[tokio::test]
async fn an_unreachable_relay_is_a_connect_error() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let client = RelayClient::builder(url).build().unwrap();
    let error = client.get("/").await.unwrap_err();
    assert!(error.is_connect(), "{error:?}");
    assert!(error.report().contains("refused"), "{}", error.report());
}

#[tokio::test]
async fn a_relay_that_does_not_answer_is_a_timeout() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let client = RelayClient::builder(url).timeout(Duration::from_millis(50)).build().unwrap();
    assert!(matches!(client.get("/").await, Err(Error::Timeout { .. })));
}

/// Records its events.
#[derive(Default)]
struct EventLog(Mutex<Vec<String>>);

impl EventLog {
    fn note(&self, text: String) {
        self.0.lock().unwrap().push(text);
    }
}

impl Observer for EventLog {
    fn client_id(&self, id: &str) {
        self.note(format!("id {}", id.len()));
    }

    fn paired(&self, event: &Paired<'_>) {
        self.note(format!("paired {} {}", event.pairs, event.kem));
    }

    fn request(&self, event: &RequestEvent<'_>) {
        let parts: Vec<_> = event
            .parts
            .iter()
            .map(|part| format!("{:?} {} {:?}->{:?}", part.kind, part.number, part.plain_len, part.wire_len))
            .collect();
        self.note(format!("> {} {} {}", event.method, event.url, parts.join(", ")));
    }

    fn request_chunk(&self, event: Chunk) {
        self.note(format!("> {}->{} {}", event.plain_len, event.wire_len, event.last));
    }

    fn response(&self, event: &ResponseEvent<'_>) {
        let following = event.opened.as_ref().map(|opened| opened.part.place.following());
        self.note(format!("< {} {following:?}", event.status.as_u16()));
    }

    fn response_chunk(&self, event: Chunk) {
        self.note(format!("< {}->{} {}", event.plain_len, event.wire_len, event.last));
    }
}

#[tokio::test]
async fn an_observer_sees_every_step_and_its_result() {
    let server = Server::start().await;
    let log = Arc::new(EventLog::default());
    let observer: Arc<dyn Observer> = log.clone();
    let client = RelayClient::builder(server.url()).pairs(1).observer(observer).build().unwrap();
    client.post("/echo", "hello").await.unwrap().into_body().bytes(LIMIT).await.unwrap();
    let map = format!(
        r#"{{":method":"POST",":authority":"{}",":response-headers":"*","content-length":"5"}}"#,
        server.address
    );
    let map = map.len();
    assert_eq!(
        *log.0.lock().unwrap(),
        [
            "id 101".to_owned(),
            "paired 1 ml-kem-768".to_owned(),
            format!(
                "> POST /echo Url 0 Some(4)->Some(50), Headers 1 Some({map})->Some({}), Body 2 Some(5)->Some(51)",
                map + 46
            ),
            "> 5->51 true".to_owned(),
            "< 200 Some(1)".to_owned(),
            "< 5->51 false".to_owned(),
            "< 0->20 true".to_owned(),
        ]
    );
}
