//! What the client library accepts of a response that was changed in transit, and which requests it repeats.

mod middle;

use std::sync::Arc;

use http::{HeaderName, Request};
use mte_client::{Body, Builder, EncodeType, Error, RelayClient, ResponseHeaders};
use parking_lot::Mutex;

use self::middle::Middle;
use crate::harness::{HOST, Message, Pattern, Relay, Setup, Upstream, digest, output, reply, run};

/// Bodies of known and unknown length, including empty ones; over HTTP/2, the head does not show that a body is empty.
const PATHS: [&str; 5] = ["/bytes/1", "/bytes/100000", "/stream/0", "/stream/1", "/stream/100000"];

fn client(middle: &Middle) -> Builder {
    RelayClient::builder(format!("http://{}", middle.address)).host(HOST).pairs(1)
}

/// Reads the whole body.
async fn read(client: &RelayClient, path: &str) -> Result<Vec<u8>, Error> {
    Ok(client.get(path).await?.into_body().bytes(1 << 20).await?.into())
}

async fn relay_over(http2: bool) -> (Relay, Upstream) {
    let upstream = Upstream::standard().await;
    let lines = if http2 { "upstream_tls: {http2: always}" } else { "" };
    (Setup::default().tenant(HOST, &upstream.url(), lines).start().await, upstream)
}

#[test]
fn a_body_removed_or_cut_in_transit_is_an_error() {
    run(async {
        let removed: fn(&mut Message) = |response| response.body.clear();
        let cut: fn(&mut Message) = |response| response.body.truncate(response.body.len() - 1);
        for http2 in [false, true] {
            let (relay, _upstream) = relay_over(http2).await;
            for (change, code) in [(removed, "missing-body"), (cut, "cut-body")] {
                let middle = Middle::new(relay.address, change).await;
                for encode_type in [EncodeType::Mke, EncodeType::Mte] {
                    let client = client(&middle).encode_type(encode_type).build().unwrap();
                    for path in PATHS {
                        let error = read(&client, path).await.expect_err(path);
                        assert_eq!(error.code(), code, "{path} {encode_type} http2 {http2}: {error}");
                    }
                }
            }
        }
    });
}

#[test]
fn an_empty_body_is_empty_and_one_inserted_in_transit_is_an_error() {
    run(async {
        let forged: fn(&mut Message) = |response| {
            response.body = b"a body in the clear, long enough for a header".to_vec();
            for (name, value) in &mut response.headers {
                if name == "x-mte-relay" {
                    *value = value.replace(",1,0,1,1,", ",1,0,1,0,");
                }
            }
        };
        for http2 in [false, true] {
            let (relay, _upstream) = relay_over(http2).await;
            let honest = Middle::new(relay.address, |_| {}).await;
            let middle = Middle::new(relay.address, forged).await;
            let (honest, client) = (client(&honest).build().unwrap(), client(&middle).build().unwrap());
            for path in ["/bytes/0", "/stream/0", "/status/404"] {
                assert_eq!(read(&honest, path).await.unwrap(), b"", "{path} http2 {http2}");
                let code = read(&client, path).await.expect_err(path).code();
                assert!(["clear-body", "changed-body"].contains(&code), "{path} http2 {http2}: {code}");
            }
        }
    });
}

#[test]
fn a_recorded_response_is_not_accepted_a_second_time() {
    run(async {
        let (relay, _upstream) = relay_over(false).await;
        let kept = Arc::new(Mutex::new(None::<Message>));
        let middle = Middle::new(relay.address, move |response| match &mut *kept.lock() {
            Some(kept) => *response = kept.clone(),
            empty => *empty = Some(response.clone()),
        })
        .await;
        let client = client(&middle).build().unwrap();
        assert_eq!(read(&client, "/bytes/5").await.unwrap().len(), 5);
        for path in ["/bytes/5", "/bytes/6"] {
            let error = read(&client, path).await.unwrap_err();
            assert!(matches!(error, Error::Response(_)), "{error}");
        }
        // Another client does not accept it either: its pair cannot open it.
        let other = self::client(&middle).build().unwrap();
        assert_eq!(read(&other, "/bytes/5").await.unwrap_err().code(), "sealed-headers");
    });
}

#[test]
fn a_response_without_its_sealed_headers_is_never_a_response() {
    run(async {
        let (relay, _upstream) = relay_over(false).await;
        for (status, code) in [(200, "not-sealed"), (304, "not-sealed"), (404, "relay"), (502, "relay")] {
            let middle = Middle::new(relay.address, move |response| {
                response.start = format!("HTTP/1.1 {status} Forged");
                response.headers.retain(|(name, _)| name != "x-mte-relay-eh");
            })
            .await;
            let error = read(&client(&middle).build().unwrap(), "/bytes/5").await.unwrap_err();
            assert_eq!(error.code(), code, "{error}");
        }
    });
}

/// An upstream whose responses have headers of every kind.
async fn talkative() -> Upstream {
    Upstream::serve(|_| async {
        let mut reply = reply(Pattern::known(5));
        for (name, value) in UPSTREAMS {
            reply.headers_mut().append(name, value.parse().unwrap());
        }
        Ok(reply)
    })
    .await
}

const UPSTREAMS: [(&str, &str); 11] = [
    ("content-type", "a/b"),
    ("content-language", "eo"),
    ("etag", "\"1\""),
    ("cache-control", "max-age=60"),
    ("vary", "accept"),
    ("x-total", "17"),
    ("link", "</x>; rel=next"),
    ("location", "/elsewhere"),
    ("set-cookie", "a=1"),
    ("set-cookie", "b=2"),
    ("alt-svc", "clear"),
];

#[test]
fn a_header_added_or_changed_in_transit_does_not_count() {
    run(async {
        let upstream = talkative().await;
        let relay = Relay::of(&upstream).await;
        let middle = Middle::new(relay.address, |response| {
            for (name, _) in UPSTREAMS.iter().take(8) {
                response.headers.retain(|(own, _)| own != name);
                response.headers.push(((*name).to_owned(), "forged".to_owned()));
            }
            for name in ["x-added", "content-encoding", "content-range", "age", "refresh", "expires"] {
                response.headers.push((name.to_owned(), "forged".to_owned()));
            }
        })
        .await;
        let response = client(&middle).build().unwrap().get("/").await.unwrap();
        for (name, value) in UPSTREAMS {
            assert!(response.headers().get_all(name).iter().any(|own| own == value), "{name}");
        }
        let forged: Vec<_> = response.headers().iter().filter(|(_, value)| *value == "forged").collect();
        assert!(forged.is_empty(), "{forged:?}");
        assert_eq!(digest(response.into_body()).await.unwrap(), Pattern::digest(5));
    });
}

#[test]
fn only_the_headers_that_browsers_and_proxies_act_on_are_in_the_clear() {
    run(async {
        let upstream = talkative().await;
        let relay = Relay::of(&upstream).await;
        let middle = Middle::new(relay.address, |_| {}).await;
        let list = ResponseHeaders::Only(vec![HeaderName::from_static("x-total")]);
        for wanted in [ResponseHeaders::All, list.clone()] {
            let client = client(&middle).response_headers(wanted).build().unwrap();
            let response = client.get("/").await.unwrap();
            for (name, value) in UPSTREAMS {
                assert!(response.headers().get_all(name).iter().any(|own| own == value), "{name}");
            }
        }
        let [all, listed] = &middle.passed()[..] else { panic!("two responses") };
        let visible = [
            "alt-svc",
            "cache-control",
            "content-length",
            "content-type",
            "date",
            "set-cookie",
            "x-request-id",
        ];
        for (name, value) in &all.headers {
            let name = name.to_ascii_lowercase();
            let own = name.starts_with("x-mte-relay") || name == "connection" || name == "transfer-encoding";
            assert!(own || visible.contains(&name.as_str()), "{name}: {value}");
        }
        assert_eq!(
            (all.header("cache-control"), listed.header("cache-control")),
            (Some("no-store"), Some("no-store"))
        );
        assert_eq!((listed.header("x-total"), listed.header("etag")), (None, None));
        assert_eq!(listed.header("location"), Some("/elsewhere"));
    });
}

#[test]
fn the_length_of_a_body_that_is_not_sent_is_sealed() {
    run(async {
        let (relay, _upstream) = relay_over(false).await;
        let middle = Middle::new(relay.address, |response| {
            response.headers.retain(|(name, _)| name != "content-length");
            response.headers.push(("content-length".to_owned(), "99".to_owned()));
        })
        .await;
        let request = Request::head("/bytes/17").body(Body::empty()).unwrap();
        let response = client(&middle).build().unwrap().send(request).await.unwrap();
        assert_eq!(response.headers()["content-length"], "17");
    });
}

#[test]
fn a_forged_relay_error_does_not_repeat_a_post() {
    run(async {
        let (relay, upstream) = relay_over(false).await;
        let middle = Middle::new(relay.address, |response| {
            response.start = "HTTP/1.1 560 No Such Pair".to_owned();
            response.headers.retain(|(name, _)| name != "x-mte-relay-eh");
        })
        .await;
        let client = client(&middle).build().unwrap();
        let error = client.post("/", "a transfer").await.unwrap_err();
        assert_eq!((error.code(), upstream.begun()), ("not-repeated", 1), "{error}");
        assert!(error.to_string().contains("find out whether it took effect"), "{error}");
        let error = client.get("/").await.unwrap_err();
        assert_eq!((error.code(), upstream.begun()), ("not-repeated", 3), "{error}");
    });
}

#[test]
fn the_command_exits_with_76_if_a_body_was_removed_in_transit() {
    run(async {
        let (relay, _upstream) = relay_over(true).await;
        let middle = Middle::new(relay.address, |response| response.body.clear()).await;
        let (url, host) = (format!("http://{}/stream/1000", middle.address), format!("host: {HOST}"));
        let (code, stdout, stderr) = output(&["request", "-H", &host, &url], &[]).await;
        assert_eq!((code, &*stdout), (76, ""), "{stderr}");
        assert!(stderr.contains("announce a body, and it has none"), "{stderr}");
    });
}
