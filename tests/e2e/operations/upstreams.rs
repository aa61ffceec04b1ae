//! Upstreams that fail: the client gets the right status in bounded time, and the operator one line that says why.

use std::time::{Duration, Instant};

use http::Request;
use mte_client::{Body, RelayClient};

use super::Site;
use crate::harness::{Upstream, Wire, free_port};

/// What an upstream does, what a request gets, and what the log says of it.
struct Case {
    host: &'static str,
    upstream: String,
    /// The status; 0: the response is cut.
    status: u16,
    /// What the access line gives as the reason.
    closed: &'static str,
    /// What the line about the failure contains; empty: there is none.
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

/// An upstream that reads each request and then does this.
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
        wire.send("\x15\x03\x01 this is no HTTP\r\n\r\n").await;
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
    ]
}

#[test]
fn an_upstream_that_fails_gets_the_right_status_in_bounded_time_and_one_line() {
    crate::harness::run(async {
        let mut site = Site::new().await;
        site.top = "timeouts: {connect: 1s, read: 1s}\n".into();
        let cases = cases().await;
        let tenants = cases.iter().map(|case| {
            format!(
                "  {}:\n    upstream: '{}'\n    client_id_secret: {}\n",
                case.host,
                case.upstream,
                super::SECRET
            )
        });
        site.write(&tenants.collect::<String>());
        let process = site.start().await;
        for case in &cases {
            let client = RelayClient::builder(format!("http://127.0.0.1:{}", site.port))
                .host(case.host)
                .pairs(1)
                .timeout(Duration::from_secs(20))
                .build()
                .unwrap();
            client.pair().await.unwrap();
            let id = format!("request-{}", case.host);
            let request = Request::post("/").header("x-request-id", &id).body(Body::from("a body")).unwrap();
            let began = Instant::now();
            let got = match client.send(request).await {
                Ok(response) => {
                    let status = response.status().as_u16();
                    response.into_body().bytes(1_000).await.map_or(0, |_| status)
                }
                Err(error) => {
                    error.relay_status().unwrap_or_else(|| panic!("{}: {}", case.host, error.report()))
                }
            };
            assert_eq!(got, case.status, "{}", case.host);
            assert!(began.elapsed() < Duration::from_secs(8), "{}: {:?}", case.host, began.elapsed());
        }
        let access = |case: &Case| {
            let of_case = process.log().into_iter();
            let mut lines =
                of_case.filter(|line| line["tenant"] == case.host && line["route"] == "encrypted");
            (lines.next(), lines.next())
        };
        site.until("every request has its line", async || cases.iter().all(|case| access(case).0.is_some()))
            .await;
        for case in &cases {
            let (Some(line), None) = access(case) else { panic!("{}: not one access line", case.host) };
            assert_eq!(line["closed"], case.closed, "{line}");
            let id = line["request_id"].as_str().unwrap();
            let all = process.log();
            let others: Vec<_> =
                all.iter().filter(|other| other["request_id"] == id && **other != line).collect();
            match (case.line, &others[..]) {
                ("", []) => {}
                (why, [one]) if !why.is_empty() => {
                    assert_eq!(one["level"], "warning", "{one}");
                    assert!(one["message"].as_str().unwrap().contains(why), "{}: {one}", case.host);
                }
                _ => panic!("{}: {others:#?}", case.host),
            }
        }
    });
}
