//! Upstreams that fail: the client gets the right status in bounded time, and the operator one line that says why.

use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::StreamExt;
use http_body_util::StreamBody;
use hyper::body::Frame;
use mte_client::BoxError;
use serde_json::Value;

use super::{SECRET, Site};
use crate::harness::{Authority, Process, Reply, Transport, Upstream, Wire, free_port, reply};

const ACCESS: &str = "mte_relay::access";

/// An upstream's behaviour, the response to a request, and the log lines about it.
struct Case {
    host: &'static str,
    upstream: String,
    /// The status; 0: the response is cut off.
    status: u16,
    /// The reason in the access line.
    closed: &'static str,
    /// Text that the line about the failure contains; empty: there is no line.
    line: &'static str,
    _upstream: Option<Upstream>,
}

impl Case {
    fn new(
        (host, upstream): (&'static str, Upstream),
        status: u16,
        closed: &'static str,
        line: &'static str,
    ) -> Self {
        Self { host, upstream: upstream.url(), status, closed, line, _upstream: Some(upstream) }
    }
}

/// An upstream that reads each request and then runs this.
async fn after_request<F, R>(host: &'static str, then: F) -> (&'static str, Upstream)
where
    F: Fn(Wire) -> R + Copy + Send + 'static,
    R: Future<Output = ()> + Send + 'static,
{
    let script = move |mut wire: Wire, _| async move {
        if wire.request().await.is_ok() {
            then(wire).await;
        }
    };
    (host, Upstream::raw(script).await)
}

/// An upstream that answers over HTTP/2 with this.
async fn over_http2<F, R>(host: &'static str, answer: F) -> (&'static str, Upstream)
where
    F: Fn() -> R + Send + Sync + 'static,
    R: Future<Output = Result<Reply, BoxError>> + Send + 'static,
{
    let transport = Transport::Tls(Authority::new().acceptor("localhost", &["h2"]));
    (host, Upstream::serve_over(transport, move |_| answer()).await)
}

async fn cases() -> Vec<Case> {
    let refusing = Case {
        host: "refuses.test",
        upstream: format!("http://127.0.0.1:{}", free_port()),
        status: 502,
        closed: "bad_gateway",
        line: "ConnectRefused",
        _upstream: None,
    };
    let resets = after_request("resets.test", |wire: Wire| async { wire.reset() }).await;
    let closes = after_request("closes.test", |wire: Wire| async { drop(wire) }).await;
    let hangs =
        after_request("hangs.test", |mut wire: Wire| async move { while wire.some().await.is_some() {} })
            .await;
    let half_closes = after_request("half-closes.test", |mut wire: Wire| async move {
        let _ = tokio::io::AsyncWriteExt::shutdown(&mut wire.stream).await;
        while wire.some().await.is_some() {}
    })
    .await;
    let garbage = after_request("garbage.test", |mut wire: Wire| async move {
        wire.send("HTTP/1.1 200 OK\r\nset-cookie: a-secret-of-a-user\r\nno colon\r\n\r\n").await;
        while wire.some().await.is_some() {}
    })
    .await;
    let cuts = after_request("cuts.test", |mut wire: Wire| async move {
        wire.send("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhello").await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    })
    .await;
    let stalls = after_request("stalls.test", |mut wire: Wire| async move {
        wire.send("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhello").await;
        while wire.some().await.is_some() {}
    })
    .await;
    let slow = after_request("slow.test", |mut wire: Wire| async move {
        for byte in b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello" {
            tokio::time::sleep(Duration::from_millis(40)).await;
            wire.send([*byte]).await;
        }
    })
    .await;
    let resets2 = over_http2("resets-h2.test", async || Err("reset".into())).await;
    let hangs2 = over_http2("hangs-h2.test", async || std::future::pending().await).await;
    let (piece, broken) = (|| Ok(Frame::data(Bytes::from("hello"))), || Err(BoxError::from("broken off")));
    let cuts2 = over_http2("cuts-h2.test", move || {
        let end = futures_util::stream::once(async move {
            tokio::time::sleep(Duration::from_millis(100)).await;
            broken()
        });
        let pieces = futures_util::stream::iter([piece()]).chain(end);
        async { Ok(reply(StreamBody::new(pieces))) }
    })
    .await;
    let stalls2 = over_http2("stalls-h2.test", move || {
        let pieces = futures_util::stream::iter([piece()]).chain(futures_util::stream::pending());
        async { Ok(reply(StreamBody::new(pieces))) }
    })
    .await;
    vec![
        refusing,
        Case::new(resets, 502, "bad_gateway", "ReadError"),
        Case::new(closes, 502, "bad_gateway", "ConnectionClosed"),
        Case::new(half_closes, 502, "bad_gateway", "ConnectionClosed"),
        Case::new(garbage, 502, "bad_gateway", "InvalidHTTPHeader"),
        Case::new(hangs, 504, "gateway_timeout", "ReadTimedout"),
        Case::new(cuts, 0, "upstream_closed", "ConnectionClosed"),
        Case::new(stalls, 0, "upstream_timeout", "ReadTimedout"),
        Case::new(slow, 200, "complete", ""),
        Case::new(resets2, 502, "bad_gateway", "H2Error"),
        Case::new(hangs2, 504, "gateway_timeout", "ReadTimedout"),
        Case::new(cuts2, 0, "upstream_closed", "ReadError"),
        Case::new(stalls2, 0, "upstream_timeout", "ReadTimedout"),
    ]
}

#[test]
fn an_upstream_that_fails_gets_the_right_status_in_bounded_time_and_one_line() {
    crate::harness::run(async {
        let mut site = Site::new().await;
        site.top = "timeouts: {connect: 1s, read: 1s}\n".into();
        let cases = cases().await;
        let tenants = cases.iter().map(|Case { host, upstream, .. }| {
            let tls = site.authority.settings(site.folder.path(), host, "");
            format!(
                "  {host}: {{upstream: '{upstream}', client_id_secret: '{SECRET}', {tls}, \
                 upstream_tls: {{verify: false}}}}\n"
            )
        });
        site.write(&tenants.collect::<String>());
        let process = site.start().await;
        for http2 in [false, true] {
            for case in &cases {
                check(&site, case, http2, &process).await;
            }
        }
        assert!(!process.output().contains("a-secret-of-a-user"), "bytes of an upstream are not logged");
    });
}

/// One request over HTTP/1.1 in the clear or over HTTP/2 with TLS.
async fn check(site: &Site, case: &Case, http2: bool, process: &Process) {
    let what = format!("{}, client http2 {http2}", case.host);
    let builder = if http2 { site.tls_builder(case.host).http2(true) } else { site.builder(case.host) };
    let client = builder.timeout(Duration::from_secs(20)).build().unwrap();
    client.pair().await.unwrap();
    let before = process.log().len();
    let began = Instant::now();
    let got = match client.post("/", "a body").await {
        Ok(response) => {
            let status = response.status().as_u16();
            response.into_body().bytes(1_000).await.map_or(0, |_| status)
        }
        Err(error) => error.relay_status().unwrap_or_else(|| panic!("{what}: {}", error.report())),
    };
    assert_eq!(got, case.status, "{what}");
    assert!(began.elapsed() < Duration::from_secs(8), "{what}: {:?}", began.elapsed());

    let lines = || process.log().split_off(before);
    let is_access = |line: &Value| line["target"] == ACCESS && line["route"] == "encrypted";
    site.until("the request's line is written", async || lines().iter().any(is_access)).await;
    let (access, others): (Vec<_>, Vec<_>) =
        lines().into_iter().filter(|line| line["tenant"] == case.host).partition(is_access);
    // Lines of earlier requests may arrive late.
    let others: Vec<_> = others.into_iter().filter(|line| line["target"] != ACCESS).collect();
    let [access] = &access[..] else { panic!("{what}: {access:#?}") };
    assert_eq!(access["closed"], case.closed, "{what}: {access}");
    match (case.line, &others[..]) {
        ("", []) => {}
        (why, [one]) if !why.is_empty() => {
            assert_eq!(one["level"], "warning", "{what}: {one}");
            assert_eq!(one["request_id"], access["request_id"], "{what}");
            assert!(one["message"].as_str().unwrap().contains(why), "{what}: {one}");
        }
        _ => panic!("{what}: {others:#?}"),
    }
}
